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

/**
 * gctrace_print - print a cycle's line
 * @heap: the heap it was a cycle of
 * @trace: what to print
 */
void gctrace_print(struct gca_heap *heap, const struct gctrace *trace)
{
	enum { STOP, MARK, END, MARK_CPU, TIMES };
	char times[TIMES][24];
	char line[512];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t elapsed = trace->open_ns + trace->stop_ns + trace->mark_ns + trace->end_ns;
	uint64_t percent = 0;
	int length;

	if (cpus < 1)
		cpus = 1;
	if (elapsed)
		percent = trace->gc_cpu_ns * 100 / (elapsed * (uint64_t)cpus);
	format_ms(times[STOP], sizeof(times[STOP]), trace->stop_ns);
	format_ms(times[MARK], sizeof(times[MARK]), trace->mark_ns);
	format_ms(times[END], sizeof(times[END]), trace->end_ns);
	format_ms(times[MARK_CPU], sizeof(times[MARK_CPU]), trace->mark_cpu_ns);
	length = snprintf(line, sizeof(line),
			  "gc %" PRIu64 " @%" PRIu64 ".%03" PRIu64 "s %" PRIu64 "%%: "
			  "%s+%s+%s ms clock, 0+0/%s/0+0 ms cpu, "
			  "%" PRIu64 "->%" PRIu64 "->%" PRIu64 " MB, %" PRIu64 " MB goal, "
			  "%" PRIu64 " MB stacks, %" PRIu64 " MB globals, %ld P%s\n",
			  trace->cycle, trace->open_ns / NS_PER_S,
			  trace->open_ns % NS_PER_S / NS_PER_MS, percent,
			  times[STOP], times[MARK], times[END], times[MARK_CPU],
			  trace->heap_start >> MIB_SHIFT, trace->heap_end >> MIB_SHIFT,
			  trace->heap_live >> MIB_SHIFT, trace->goal >> MIB_SHIFT,
			  trace->stacks >> MIB_SHIFT, trace->globals >> MIB_SHIFT,
			  cpus, trace->forced ? " (forced)" : "");
	if (length > 0 && write(STDERR_FILENO, line, (size_t)length) < 0)
		return;		/* nowhere to complain to */
}
