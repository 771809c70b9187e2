// SPDX-License-Identifier: MIT
/*
 * Tracepoints: things are done, and tracefs tells them in that order, with the
 * numbers that the calls gave.
 */
#include <stdlib.h>

#include "guest.h"

#define SIZE		(32 * MIB)
#define TRACING		"/sys/kernel/tracing"
#define EVENTS		TRACING "/events/gcarena"
#define LINES		256

static char lines[LINES][512];
static int nr_lines, at;

/* What the trace has now, of our events, from "gcarena_..." on. */
static void read_trace(void)
{
	FILE *f = fopen(TRACING "/trace", "r");
	char line[1024];

	nr_lines = 0;
	at = 0;
	while (f && nr_lines < LINES && fgets(line, sizeof(line), f)) {
		char *event = strstr(line, ": gcarena_");

		if (line[0] != '#' && event)
			snprintf(lines[nr_lines++], sizeof(lines[0]), "%s", event + 2);
	}
	if (f)
		fclose(f);
	g_write_file(TRACING "/trace", "\n");
}

/* The number of @field in a line; -1 without it. */
static long number(const char *line, const char *field)
{
	char key[64];
	const char *found;

	snprintf(key, sizeof(key), " %s=", field);
	found = strstr(line, key);
	return found ? atol(found + strlen(key)) : -1;
}

/* The next line of @event; what was before is passed over. */
static const char *next(const char *event)
{
	size_t len = strlen(event);

	while (at < nr_lines) {
		const char *line = lines[at++];

		if (!strncmp(line, event, len) && line[len] == ':')
			return line;
	}
	return "";
}

static bool level_is(const char *line, const char *level)
{
	char key[32];

	snprintf(key, sizeof(key), " level=%s ", level);
	return strstr(line, key);
}

static void test_refill(struct arena *a)
{
	struct gcarena_span spans[4];
	const char *line;

	eq(g_refill(a, C_64, 0, spans, 3), 3, "a refill of a fresh arena");
	read_trace();
	line = next("gcarena_back");
	eq(number(line, "arena"), a->setup.id, "back: the arena");
	eq(number(line, "page"), spans[0].page / 256 * 256, "back: the chunk's first page");
	eq(number(line, "npages"), 256, "back: a whole chunk");
	eq(number(line, "huge"), 1, "back: a huge page");
	eq(number(line, "err"), 0, "back: no error");
	line = next("gcarena_refill");
	eq(number(line, "arena"), a->setup.id, "refill: after it; the arena");
	eq(number(line, "class"), C_64, "refill: the class");
	eq(number(line, "wanted"), 3, "refill: how many were wanted");
	eq(number(line, "ready"), 3, "refill: how many there are");
	eq(number(line, "spent"), 0, "refill: none was spent");
	ok(level_is(line, "back"), "refill: level back");
	eq(at, nr_lines, "refill: and nothing else");

	eq(g_refill(a, C_64, 0, &spans[3], 1), 1, "from the chunk that is backed");
	read_trace();
	ok(level_is(next("gcarena_refill"), "fresh"), "refill: level fresh");

	g_set_bit(a, spans[0].generation & 1, spans[0].page, 0);
	eq(g_return(a, spans, 1), 0, "one returned with room");
	eq(g_refill(a, C_64, 0, spans, 1), 1, "and had again");
	read_trace();
	ok(level_is(next("gcarena_refill"), "central"), "refill: level central");

	eq(g_refill(a, C_LARGE, SIZE / PAGE + 1, spans, 1), -ENOMEM, "more than there is");
	read_trace();
	line = next("gcarena_refill");
	eq(number(line, "npages"), SIZE / PAGE + 1, "refill: the length");
	eq(number(line, "err"), -ENOMEM, "refill: the error");
	eq(number(line, "ready"), 0, "refill: nothing");

	eq(g_refill(a, C_64, 0, NULL, 2), -EFAULT, "nowhere to say which");
	read_trace();
	line = next("gcarena_refill");
	eq(number(line, "err"), -EFAULT, "refill: that error");
	eq(number(line, "ready"), 0, "refill: they went back");
}

/* A span with a marked object, one without, one that is held. */
static void test_sweep(struct arena *a)
{
	struct gcarena_stats stats;
	struct gcarena_span spans[3];
	uint32_t generation;
	const char *line;
	uint64_t freed, swept;

	g_stats(a, &stats);
	generation = stats.generation;
	eq(g_refill(a, C_1K, 0, spans, 3), 3, "three spans");
	for (int i = 0; i < 3; i++)
		g_set_bit(a, generation & 1, spans[i].page, 0);
	g_set_bit(a, !(generation & 1), spans[0].page, 0);
	eq(g_return(a, spans, 2), 0, "two returned");
	g_stats(a, &stats);
	freed = stats.counters.swept_freed;
	swept = stats.counters.swept_spans;
	read_trace();
	eq(g_start_sweep(a, generation), 0, "a sweep");
	g_assist(a);
	read_trace();
	line = next("gcarena_sweep_begin");
	eq(number(line, "arena"), a->setup.id, "sweep begin: the arena");
	eq(number(line, "generation"), generation + 1, "sweep begin: the generation");
	ok(number(line, "left") >= 3, "sweep begin: spans to sweep");
	ok(!*next("gcarena_sweep_end"), "no end before the held ones are returned");

	/* All that this program holds. */
	eq(g_return(a, &spans[2], 1), 0, "the held one returned");
	for (uint32_t page = 0; page < SIZE / PAGE; page++) {
		struct gcarena_span held;

		if (!g_row_in_use(a, page) || g_row_state(a, page) != GCARENA_STATE_HELD)
			continue;
		held = (struct gcarena_span) {
			.page = page,
			.npages = a->rows[page].word1 >> GCARENA_ROW_NPAGES_SHIFT &
				  GCARENA_ROW_NPAGES_MASK,
			.span_class = a->rows[page].word0 & 0xffff,
			.generation = a->rows[page].word1 >> GCARENA_ROW_GENERATION_SHIFT,
		};
		if (g_return(a, &held, 1))
			diag("page %u is not to be returned", page);
	}
	ok(g_wait_for((g_stats(a, &stats), !stats.sweeping), 5000), "the sweep ends");
	read_trace();
	line = next("gcarena_sweep_end");
	eq(number(line, "generation"), generation + 1, "sweep end: the generation");
	eq(number(line, "swept"), stats.counters.swept_spans - swept, "sweep end: spans swept");
	eq(number(line, "freed"), stats.counters.swept_freed - freed, "sweep end: spans freed");
	ok(number(line, "freed") >= 2, "sweep end: those without a mark among them");
	ok(number(line, "ns") > 0, "sweep end: how long it took");
	line = next("gcarena_cycle");
	eq(number(line, "generation"), generation + 1, "cycle: after it; the generation");
	eq(number(line, "spans"), 1, "cycle: what is left");
	eq(number(line, "inuse"), 2 * PAGE, "cycle: in so many bytes");
	eq(number(line, "idle"), stats.counters.heap_idle, "cycle: idle bytes");

	generation++;
	eq(g_start_sweep(a, generation), 0, "another sweep");
	ok(g_wait_for((g_stats(a, &stats), !stats.sweeping), 5000), "ends");
	eq(g_start_sweep(a, generation + 1), 0, "and one with nothing to do");
	read_trace();
	next("gcarena_sweep_end");
	eq(number(next("gcarena_sweep_begin"), "left"), 0, "sweep begin: nothing to do");
	eq(number(next("gcarena_sweep_end"), "swept"), 0, "sweep end: after its begin");
}

static void test_scavenge(struct arena *a)
{
	struct gcarena_span large;
	const char *line;
	long freed, sum = 0;

	eq(g_refill(a, C_LARGE, 512, &large, 1), 1, "two chunks");
	eq(g_return(a, &large, 1), 0, "returned");
	read_trace();
	freed = g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	read_trace();
	while (*(line = next("gcarena_scavenge"))) {
		eq(number(line, "arena"), a->setup.id, "scavenge: the arena");
		ok(number(line, "npages") > 0 && number(line, "page") >= 0, "scavenge: a range");
		sum += number(line, "bytes");
	}
	eq(sum, freed, "scavenge: together what the call said");
	ok(freed >= 2 * (long)CHUNK, "and that is two chunks at least");
}

/* Global reclaim without the page cache: the shrinkers alone. */
static void test_shrink(struct arena *a)
{
	struct gcarena_stats before, after;
	struct gcarena_span large;
	const char *line;
	long sum = 0;

	eq(g_refill(a, C_LARGE, 512, &large, 1), 1, "two chunks");
	eq(g_return(a, &large, 1), 0, "returned");
	g_stats(a, &before);
	read_trace();
	g_write_file("/proc/sys/vm/drop_caches", "2");
	g_stats(a, &after);
	read_trace();
	while (*(line = next("gcarena_shrink"))) {
		eq(number(line, "arena"), a->setup.id, "shrink: the arena");
		eq(number(line, "npages"), 256, "shrink: a whole chunk");
		eq(number(line, "page") % 256, 0, "shrink: from its first page");
		sum += number(line, "bytes");
	}
	ok(sum > 0, "shrink: reclaim took something");
	eq(sum, after.counters.shrink_bytes - before.counters.shrink_bytes,
	   "shrink: together what was counted");
}

static void test_off(struct arena *a)
{
	struct gcarena_span span;

	eq(g_write_file(EVENTS "/enable", "0"), 0, "events off");
	read_trace();
	eq(g_refill(a, C_64, 0, &span, 1), 1, "a refill");
	read_trace();
	eq(nr_lines, 0, "off: nothing is told");
	eq(g_return(a, &span, 1), 0, "returned");
}

int main(void)
{
	struct arena a;
	char filter[32];

	if (!g_exists(EVENTS))
		skip_all("no " EVENTS);
	g_open_uncached(&a, SIZE);
	snprintf(filter, sizeof(filter), "arena == %u", a.setup.id);
	eq(g_write_file(EVENTS "/filter", filter), 0, "events of this arena only");
	eq(g_write_file(EVENTS "/enable", "1"), 0, "events on");
	g_write_file(TRACING "/trace", "\n");
	test_refill(&a);
	test_sweep(&a);
	test_scavenge(&a);
	test_shrink(&a);
	test_off(&a);
	g_write_file(EVENTS "/filter", "0");
	g_close(&a);
	return tap_done();
}
