// SPDX-License-Identifier: MIT
/*
 * GCARENA_DEBUG=gctrace=1: a line a cycle in the format of Go's gctrace, so that
 * tools and eyes used to it work here.  A field that this collector has nothing
 * to say about is 0.  Documentation/library.rst has the table of fields.
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
	char text[512];		/* more than numbers of 20 digits can fill */
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

/**
 * gctrace_print - print a cycle's line
 * @heap: the heap it was a cycle of
 * @trace: what to print
 */
void gctrace_print(struct gca_heap *heap, const struct gctrace *trace)
{
	enum { STOP, MARK, END, MARK_CPU, TIMES };
	char times[TIMES][24];
	struct line line = { .length = 0 };
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t elapsed = trace->open_ns + trace->stop_ns + trace->mark_ns + trace->end_ns;
	uint64_t percent = 0;

	if (cpus < 1)
		cpus = 1;
	if (elapsed)
		percent = trace->gc_cpu_ns * 100 / (elapsed * (uint64_t)cpus);
	format_ms(times[STOP], sizeof(times[STOP]), trace->stop_ns);
	format_ms(times[MARK], sizeof(times[MARK]), trace->mark_ns);
	format_ms(times[END], sizeof(times[END]), trace->end_ns);
	format_ms(times[MARK_CPU], sizeof(times[MARK_CPU]), trace->mark_cpu_ns);
	add(&line, "gc %" PRIu64 " @%" PRIu64 ".%03" PRIu64 "s %" PRIu64 "%%: ", trace->cycle,
	    trace->open_ns / NS_PER_S, trace->open_ns % NS_PER_S / NS_PER_MS, percent);
	add(&line, "%s+%s+%s ms clock, 0+0/%s/0+0 ms cpu, ", times[STOP], times[MARK], times[END],
	    times[MARK_CPU]);
	add(&line, "%" PRIu64 "->%" PRIu64 "->%" PRIu64 " MB, ", trace->heap_start >> MIB_SHIFT,
	    trace->heap_end >> MIB_SHIFT, trace->heap_live >> MIB_SHIFT);
	add(&line, "%" PRIu64 " MB goal, %" PRIu64 " MB stacks, %" PRIu64 " MB globals, %ld P%s\n",
	    trace->goal >> MIB_SHIFT, trace->stacks >> MIB_SHIFT, trace->globals >> MIB_SHIFT,
	    cpus, trace->forced ? " (forced)" : "");
	if (write(STDERR_FILENO, line.text, line.length) < 0)
		return;		/* nowhere to complain to */
}
