// SPDX-License-Identifier: MIT
/*
 * Release: what one call that gives back all that is free costs beside a loop of
 * MADV_REMOVE over the maximal runs, for equal bytes, from equal states of a heap
 * and of a memfd: whole chunks, and chunks of which a fraction is free, scattered
 * or in one run, that are still huge or broken already.  And what breaking a chunk
 * costs its survivors: the faults that map them again.
 *
 *	release [PATTERN]...	all, or those of these names
 */
#include "bench.h"

#define CHUNKS	8
#define PAGES	(CHUNKS * GCARENA_CHUNK_PAGES)
#define SIZE	(CHUNKS * GCARENA_CHUNK_SIZE)

static struct bench_arena arena;
static struct gcarena_span spans[PAGES];
static bool free_page[PAGES];
static unsigned int nr_free;
static char *map;

/* A pattern of free pages, the same in each chunk: @nr in runs of @run. */
struct pattern {
	const char *name;
	unsigned int nr;
	unsigned int run;
	bool broken;
};

static void lay(const struct pattern *p)
{
	unsigned int runs = p->nr / p->run, stride = GCARENA_CHUNK_PAGES / runs;

	nr_free = 0;
	memset(free_page, 0, sizeof(free_page));
	for (unsigned int page = 0; page < PAGES; page++)
		if (page % GCARENA_CHUNK_PAGES % stride < p->run) {
			free_page[page] = true;
			nr_free++;
		}
}

static void touch_rest(char *at, bool all)
{
	for (unsigned int page = 0; page < PAGES; page++)
		for (unsigned int i = 0; i < 2 && (all || !free_page[page]); i++)
			*(volatile char *)(at + page * GCARENA_PAGE_SIZE + i * 4096) = 1;
}

/* Arena. */

static void take_all(void)
{
	unsigned int nr = 0;

	while (nr < PAGES) {
		unsigned int n = bench_refill(&arena, BENCH_MANUAL, 1, spans + nr,
					      GCARENA_BATCH_MAX);

		if (!n)
			bench_die("refill");
		nr += n;
	}
	touch_rest(arena.heap, true);
}

static void give_free(void)
{
	for (unsigned int i = 0; i < PAGES; i++)
		if (free_page[spans[i].page] && bench_return(&arena, &spans[i], 1) != 1)
			bench_die("return");
}

static void give_rest(void *arg)
{
	for (unsigned int i = 0; i < PAGES; i++)
		if (!free_page[spans[i].page] && bench_return(&arena, &spans[i], 1) != 1)
			bench_die("return");
	if (bench_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0) < 0)
		bench_die("scavenge");
}

static void scavenge(void *arg)
{
	if (bench_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0) !=
	    (long)(nr_free * GCARENA_PAGE_SIZE))
		bench_die("scavenge");
}

/* All pages mapped: by a PMD, or by base pages of a chunk broken before. */
static void arena_before(void *arg)
{
	const struct pattern *p = arg;
	unsigned int i;

	take_all();
	if (p->broken) {
		give_free();
		scavenge(NULL);
		for (i = 0; i < PAGES; i++)
			if (free_page[spans[i].page] &&
			    !bench_refill(&arena, BENCH_MANUAL, 1, &spans[i], 1))
				bench_die("refill");
		touch_rest(arena.heap, true);
	}
	give_free();
}

static void arena_survivors(void *arg)
{
	touch_rest(arena.heap, false);
}

static void arena_broken(void *arg)
{
	arena_before(arg);
	scavenge(NULL);
}

/* memfd. */

static void drop_all(void *arg)
{
	if (madvise(map, SIZE, MADV_REMOVE))
		bench_die("MADV_REMOVE");
}

static void remove_runs(void *arg)
{
	unsigned int from = 0, end;

	while (from < PAGES) {
		if (!free_page[from]) {
			from++;
			continue;
		}
		for (end = from; end < PAGES && free_page[end]; end++)
			;
		if (madvise(map + from * GCARENA_PAGE_SIZE, (end - from) * GCARENA_PAGE_SIZE,
			    MADV_REMOVE))
			bench_die("MADV_REMOVE");
		from = end;
	}
}

static void memfd_before(void *arg)
{
	const struct pattern *p = arg;

	touch_rest(map, true);
	if (p->broken) {
		remove_runs(NULL);
		touch_rest(map, true);
	}
}

static void memfd_survivors(void *arg)
{
	touch_rest(map, false);
}

static void memfd_broken(void *arg)
{
	memfd_before(arg);
	remove_runs(NULL);
}

static const struct pattern patterns[] = {
	{ "whole", 256, 256, false },
	{ "1 page", 1, 1, false },
	{ "1/16, scattered", 16, 1, false },
	{ "1/8, scattered", 32, 1, false },
	{ "1/4, scattered", 64, 1, false },
	{ "1/4, one run", 64, 64, false },
	{ "1/2, scattered", 128, 1, false },
	{ "3/4, one run", 192, 192, false },
	{ "1/16, scattered, broken", 16, 1, true },
	{ "1/4, scattered, broken", 64, 1, true },
	{ "1/2, scattered, broken", 128, 1, true },
	{ "1/4, one run, broken", 64, 64, true },
};

static double row(const char *part, const char *what, const struct pattern *p, const char *per,
		  unsigned int units, void (*before)(void *), void (*run)(void *),
		  void (*after)(void *))
{
	char text[64];
	const struct bench b = {
		part, text, per, units, before, run, after,
	};

	snprintf(text, sizeof(text), "%s: %s", what, p->name);
	return bench_row(&b, (void *)p);
}

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	unsigned int i;

	if (fd < 0 || ftruncate(fd, SIZE))
		bench_die("memfd");
	map = bench_map(SIZE, MAP_SHARED, fd);
	bench_open(&arena, SIZE, NULL);

	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		const struct pattern *p = &patterns[i];
		double a, m, as, ms;
		char claim[96];

		if (!wanted(p->name, argc, argv))
			continue;
		lay(p);
		a = row("arena", "one call", p, "8 KiB", nr_free, arena_before, scavenge,
			give_rest);
		m = row("memfd", "MADV_REMOVE loop", p, "8 KiB", nr_free, memfd_before,
			remove_runs, drop_all);
		snprintf(claim, sizeof(claim), "C3 release, %s", p->name);
		bench_ratio(claim, a, m, nr_free == PAGES ? 1.05 : 1.0);
		if (nr_free == PAGES)
			continue;
		as = row("arena", "survivors touched", p, "chunk", CHUNKS, arena_broken,
			 arena_survivors, give_rest);
		ms = row("memfd", "survivors touched", p, "chunk", CHUNKS, memfd_broken,
			 memfd_survivors, drop_all);
		snprintf(claim, sizeof(claim), "C3 release and survivors, %s", p->name);
		bench_ratio(claim, a * nr_free + as * CHUNKS, m * nr_free + ms * CHUNKS, 1.0);
	}
	bench_close(&arena);
	return 0;
}
