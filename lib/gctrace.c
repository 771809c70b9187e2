// SPDX-License-Identifier: MIT
/*
 * GCARENA_DEBUG=gctrace=1: a line a cycle in the format of Go's gctrace, so that
 * tools and eyes used to it work here; what only this collector has to say comes
 * after Go's fields.  scavtrace=1: a line where memory was given back, in the format
 * of Go's scavtrace.  Documentation/library.rst has the fields.
 *
 * One write to stderr a line, so that lines of several heaps do not mix.  Never
 * allocates and takes no lock: it may run with the world stopped.
 */
#include "internal.h"
#include "debug.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define NS_PER_US	1000u
#define NS_PER_MS	1000000u
#define NS_PER_S	1000000000u
#define KIB_SHIFT	10
#define MIB_SHIFT	20

/* Two significant digits and at most three decimals, as Go prints times: 18000
 * ns is 0.018, 1312000 ns is 1.3, 104000000 ns is 104.
 */
static void format_ms(char *out, size_t room, uint64_t ns)
{
	uint64_t value = ns / NS_PER_US;
	int decimals = 3;
	uint64_t scale = 1000;

	if (ns >= 10ull * NS_PER_MS) {
		snprintf(out, room, "%" PRIu64, ns / NS_PER_MS);
		return;
	}
	if (!value) {
		snprintf(out, room, "0");
		return;
	}
	while (value >= 100) {
		value /= 10;
		scale /= 10;
		decimals--;
	}
	if (!decimals)
		snprintf(out, room, "%" PRIu64, value);
	else
		snprintf(out, room, "%" PRIu64 ".%0*" PRIu64, value / scale, decimals,
			 value % scale);
}

struct line {
	char text[640];		/* more than numbers of 20 digits can fill */
	size_t length;
};

__attribute__((format(printf, 2, 3)))
static void add(struct line *line, const char *format, ...)
{
	va_list args;
	int added;

	va_start(args, format);
	added = vsnprintf(line->text + line->length, sizeof(line->text) - line->length, format,
			  args);
	va_end(args);
	if (added > 0 && (size_t)added < sizeof(line->text) - line->length)
		line->length += (size_t)added;
}

static void put(const struct line *line)
{
	if (write(STDERR_FILENO, line->text, line->length) < 0)
		return;		/* nowhere to complain to */
}

/* The arena's figures, which its status page has: no call into it. */
static void add_arena(struct line *line, const struct gca_heap *heap)
{
	struct gcarena_counters arena = { 0 };
	uint32_t update, generation;

	stats_arena(heap, &arena, &update, &generation);
	add(line, "; arena: %" PRIu64 " MB in use, %" PRIu64 " MB idle, %" PRIu64 " MB released",
	    (uint64_t)arena.heap_inuse >> MIB_SHIFT, (uint64_t)arena.heap_idle >> MIB_SHIFT,
	    (uint64_t)arena.heap_released >> MIB_SHIFT);
	/* In-process the kernel decides by itself, and only a system call would tell. */
	if (heap->backend_kind == GCA_BACKEND_DEVICE && arena.chunks_backed)
		add(line, ", %" PRIu64 "%% huge", (uint64_t)
		    ((arena.chunks_backed - arena.chunks_small) * 100 / arena.chunks_backed));
}

/**
 * gctrace_print - print a cycle's line
 * @heap: the heap it was a cycle of
 * @trace: what to print
 */
void gctrace_print(struct gca_heap *heap, const struct gctrace *trace)
{
	enum { STOP, MARK, END, STOP_CPU, ASSIST, MARK_CPU, IDLE_CPU, END_CPU, TIMES };
	char times[TIMES][24];
	struct line line = { .length = 0 };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int percent = (unsigned int)(stats_cpu_fraction(heap) * 100);

	if (cpus < 1)
		cpus = 1;
	format_ms(times[STOP], sizeof(times[STOP]), trace->stop_ns);
	format_ms(times[MARK], sizeof(times[MARK]), trace->mark_ns);
	format_ms(times[END], sizeof(times[END]), trace->end_ns);
	format_ms(times[STOP_CPU], sizeof(times[STOP_CPU]), trace->stop_cpu_ns);
	format_ms(times[ASSIST], sizeof(times[ASSIST]), trace->assist_ns);
	format_ms(times[MARK_CPU], sizeof(times[MARK_CPU]), trace->mark_cpu_ns);
	format_ms(times[IDLE_CPU], sizeof(times[IDLE_CPU]), trace->idle_cpu_ns);
	format_ms(times[END_CPU], sizeof(times[END_CPU]), trace->end_cpu_ns);
	add(&line, "gc %" PRIu64 " @%" PRIu64 ".%03" PRIu64 "s %u%%: ", trace->cycle,
	    trace->open_ns / NS_PER_S, trace->open_ns % NS_PER_S / NS_PER_MS, percent);
	add(&line, "%s+%s+%s ms clock, %s+%s/%s/%s+%s ms cpu, ", times[STOP], times[MARK],
	    times[END], times[STOP_CPU], times[ASSIST], times[MARK_CPU], times[IDLE_CPU],
	    times[END_CPU]);
	add(&line, "%" PRIu64 "->%" PRIu64 "->%" PRIu64 " MB, ", trace->heap_start >> MIB_SHIFT,
	    trace->heap_end >> MIB_SHIFT, trace->heap_live >> MIB_SHIFT);
	add(&line, "%" PRIu64 " MB goal, %" PRIu64 " MB stacks, %" PRIu64 " MB globals, %ld P%s%s",
	    trace->goal >> MIB_SHIFT, trace->stacks >> MIB_SHIFT, trace->globals >> MIB_SHIFT,
	    cpus, trace->forced ? " (forced)" : "", trace->minor ? " (minor)" : "");
	add_arena(&line, heap);
	add(&line, "\n");
	put(&line);
}

/**
 * scavtrace_print - tell what was given back to the system since the last line
 * @heap: the heap
 * @forced: gca_release() did it
 *
 * Prints nothing where nothing was.  Threads may call it at once: each byte is
 * told of in one line.
 */
void scavtrace_print(struct gca_heap *heap, bool forced)
{
	struct gcarena_counters arena = { 0 };
	struct line line = { .length = 0 };
	uint64_t seen = __atomic_load_n(&heap->scav_seen, __ATOMIC_RELAXED);
	uint64_t total, work, eager, backed;
	uint32_t update, generation;

	stats_arena(heap, &arena, &update, &generation);
	total = arena.scavenged_bytes + arena.shrink_bytes;
	do {
		if (total <= seen)
			return;
	} while (!__atomic_compare_exchange_n(&heap->scav_seen, &seen, total, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	work = total - seen;
	eager = __atomic_exchange_n(&heap->scav_eager, 0, __ATOMIC_RELAXED);
	/* A call may have been between counting and returning at the last line. */
	if (eager > work)
		eager = work;
	backed = arena.heap_inuse + arena.heap_idle - arena.heap_released - arena.heap_holes;
	add(&line, "scav %" PRIu64 " KiB work (bg), %" PRIu64 " KiB work (eager), ",
	    (work - eager) >> KIB_SHIFT, eager >> KIB_SHIFT);
	add(&line, "%" PRIu64 " KiB total, %" PRIu64 "%% util%s\n",
	    (uint64_t)arena.heap_released >> KIB_SHIFT,
	    backed ? (uint64_t)(arena.heap_inuse - arena.heap_holes) * 100 / backed : 0,
	    forced ? " (forced)" : "");
	put(&line);
}
