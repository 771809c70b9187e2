// SPDX-License-Identifier: MIT
/*
 * settings: what can be changed while a heap is in use, and what it changes.  An operator
 * overrides what a program asks for when it opens one: GCARENA_PERCENT=50 ./settings, and
 * GCARENA_LIMIT, _HEAP_MAX, _SHARE, _WORKERS, _GENERATIONS, _BACKEND.
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MIB	(1024 * 1024)

static unsigned int wrong;

static void show(bool good, const char *what)
{
	printf("%s: %s\n", good ? "ok" : "NOT OK", what);
	wrong += !good;
}

static struct gca_stats stats_of(struct gca_mutator *m)
{
	struct gca_stats stats = { .size = sizeof(stats) };

	gca_stats(gca_heap_of(m), &stats);
	return stats;
}

/* So many bytes of garbage beside 4 MiB that live: how many cycles that took. */
static uint64_t work(struct gca_mutator *m, size_t bytes)
{
	uint64_t before = stats_of(m).num_gc;

	for (size_t done = 0; done < bytes; done += 4096)
		if (!gca_new_bytes_raw(m, 4096))
			return UINT64_MAX;
	return stats_of(m).num_gc - before;
}

static void pace(struct gca_heap *heap, struct gca_mutator *m)
{
	uint64_t often, seldom;

	gca_set_percent(heap, 25);
	gca_collect(m);
	often = work(m, 24 * MIB);
	show(gca_set_percent(heap, 400) == 25, "each call gives what was set before");
	gca_collect(m);
	seldom = work(m, 24 * MIB);
	show(often > seldom, "at 25 per cent there are more cycles than at 400");
	gca_set_percent(heap, GCA_PERCENT_OFF);
	gca_collect(m);
	show(!work(m, 24 * MIB), "with none there is none, but for gca_collect()");

	/* All that is in use, with tables and reserve. */
	gca_set_limit(heap, 64 * MIB);
	show(work(m, 96 * MIB) && stats_of(m).heap_inuse <= 64 * MIB, "unless there is a limit");
	gca_set_limit(heap, 0);
	gca_set_percent(heap, GCA_PERCENT_DEFAULT);
}

static void others(struct gca_heap *heap, struct gca_mutator *m)
{
	const struct timespec ms = { 0, 1000000 };
	uint64_t before = stats_of(m).num_gc;
	unsigned int waited = 0;

	/* For a heap that allocates little: the collector's thread looks at the clock. */
	show(gca_set_period(heap, 20) == 120000, "two minutes without a cycle at most");
	gca_blocking_begin(m);
	while (stats_of(m).num_gc == before && waited++ < 10000)
		nanosleep(&ms, NULL);
	gca_blocking_end(m);
	show(stats_of(m).num_gc > before, "or twenty milliseconds");
	gca_set_period(heap, 0);

	show(gca_set_assist(heap, false), "threads that allocate helped to mark, and do no more");
	work(m, 24 * MIB);
	before = stats_of(m).assists;
	work(m, 24 * MIB);
	show(stats_of(m).assists == before, "that is so");
	gca_set_assist(heap, true);

	show(!gca_set_adaptive(heap, true), "the percent follows load and pressure");
	gca_set_adaptive(heap, false);
	show(gca_set_idle(heap, false), "marking keeps off idle CPUs");
	gca_set_idle(heap, true);
	show(gca_follow_cgroup(heap, 101) < 0, "what makes no sense is refused");
	printf("    %s\n", gca_error());
	show(!gca_follow_cgroup(heap, 80), "four fifths of the control group's, if it has one");
}

/* For embedders that want one number: objects, dead and alive, never take more. */
static void hard_size(void)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.heap_max = 8 * MIB;
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		show(false, gca_error());
		return;
	}
	show(work(m, 32 * MIB) != UINT64_MAX, "garbage passes through a heap of 8 MiB");
	show(!gca_new_bytes(m, 9 * MIB), "what is larger does not fit");
	show(gca_new_bytes(m, 4 * MIB), "what is smaller does");
	gca_set_heap_max(heap, 32 * MIB);
	show(gca_new_bytes(m, 9 * MIB), "and the larger one too, now that there is room");
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.percent = 200;		/* at first */
	config.share = 50;		/* half of the CPUs may mark */
	config.workers = 2;		/* with two threads at most */
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "settings: %s\n", gca_error());
		return 1;
	}
	{
		GCA_FRAME(m, f, char *live);

		f.live = gca_new_bytes(m, 4 * MIB);
		pace(heap, m);
		others(heap, m);
	}
	gca_detach(m);
	if (gca_close(heap))
		return 1;
	hard_size();

	/* A variable that does not parse is an error, not a heap without a limit. */
	setenv("GCARENA_LIMIT", "64 megs", 1);
	show(gca_open(NULL, &heap) < 0, "a variable with a mistake is refused");
	printf("    %s\n", gca_error());
	return wrong != 0;
}
