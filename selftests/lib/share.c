// SPDX-License-Identifier: MIT
/*
 * The share: while nobody waits for a cycle and nobody assists, marking uses the part
 * of the CPUs that was set, three points more or less; what it uses of idle CPUs is counted
 * apart, and not at all where that is switched off.
 *
 * CPU time over the clock's: more than the share would be the library's fault on any
 * machine.  Less may be the machine's, which has other things to do: that is asked
 * only where the load leaves a CPU.
 */
#include "lib.h"

#include "internal.h"

#include <stdio.h>

#define OBJECTS		800000u
#define CYCLES		5u
#define POINTS		0.03

struct link;
#define LINK_FIELDS(F) F(REF, struct link, next) F(REF, struct link, other) F(VALS, long, data, 5)
GCA_STRUCT(link, LINK_FIELDS);

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static bool idle(void)
{
	FILE *file = fopen("/proc/loadavg", "r");
	double load = 1000;

	if (!file || fscanf(file, "%lf", &load) != 1)
		load = 1000;
	if (file)
		fclose(file);
	return load < 0.5;
}

/* The part of all CPUs that one cycle used while it marked. */
static double one_cycle(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	struct gca_stats before = stats_of(heap), after;
	uint64_t cycle = concurrent_request(heap);

	gca_blocking_begin(m);
	/* Who waits for it would lend its CPU. */
	while (!concurrent_over(heap, cycle)) {
		/* As if a CPU were idle. */
		for (unsigned int i = 0; i < heap->work.nr_helpers; i++)
			idle_release(heap->work.helpers[i].place);
		sleep_ms(1);
	}
	gca_blocking_end(m);
	after = stats_of(heap);
	eq(after.assists - before.assists, 0, "nobody assists");
	return (double)(after.gc_cpu_ns - before.gc_cpu_ns) /
	       ((double)(after.mark_ns - before.mark_ns) * heap->work.cpus);
}

/* A worker that has nothing of the share. */
static bool has_spare(const struct gca_heap *heap)
{
	return heap->work.share * heap->work.cpus <= 100 * (heap->work.workers_max - 1);
}

static void test_share(unsigned int share)
{
	struct rng rng = rng_seeded(share);
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	double shares[CYCLES];
	uint64_t idle_ns;
	size_t nr = scaled(OBJECTS);

	gca_config_init(&config);
	config.percent = GCA_PERCENT_OFF;
	config.share = share;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *table; struct link *link);
		f.table = must(gca_new_refs(m, nr));
		for (size_t i = 0; i < nr; i++) {
			f.link = must(gca_new(m, link));
			if (i)
				gca_store(m, &f.link->other,
					  (struct link *)gca_load(&f.table[rng_below(&rng, i)]));
			gca_store(m, &f.table[i], (void *)f.link);
		}
		/* Threads that mark are made in the first. */
		gca_collect(m);
		for (unsigned int i = 0; i < CYCLES; i++)
			shares[i] = one_cycle(m);
		qsort(shares, CYCLES, sizeof(*shares), by_value);
		ok(shares[CYCLES / 2] <= share / 100.0 + POINTS, "%u per cent: %.1f used at most",
		   share, 100 * shares[CYCLES / 2]);
		if (idle())
			ok(shares[CYCLES / 2] >= share / 100.0 - POINTS, "and at least");
		else
			skip(1, "the machine has other things to do");
		idle_ns = stats_of(heap).gc_idle_ns;
		if (has_spare(heap) && nr == OBJECTS)
			ok(idle_ns, "idle CPUs are used beside it: %llu us",
			   (unsigned long long)idle_ns / 1000);
		else
			skip(1, "no worker without a share, or too little to mark");
		eq(gca_set_idle(heap, false), true, "idle CPUs are used at first");
		one_cycle(m);
		eq(stats_of(heap).gc_idle_ns, idle_ns, "and then are not");
		eq(gca_set_idle(heap, true), false, "the switch was as it was set");
	}
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	test_share(25);
	test_share(50);
	/* With two CPUs: one worker has a whole one, and one the half of one. */
	test_share(75);
	return tap_done();
}
