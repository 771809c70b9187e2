// SPDX-License-Identifier: MIT
/*
 * Release inside spans: what one call costs that gives back all base pages without an
 * object, beside a loop of MADV_REMOVE over the maximal runs of the same base pages of
 * a memfd, which would have to be found first; and what the pages cost that are used
 * again: in the arena by refill, which backs them, in the memfd by faults.
 */
#include "bench.h"

#define CHUNKS	8
#define PAGES	(CHUNKS * GCARENA_CHUNK_PAGES)
#define SIZE	(CHUNKS * GCARENA_CHUNK_SIZE)
#define BASE	4096UL
#define SPAN	4			/* base pages of one, of the class used */
#define SPANS	(PAGES * GCARENA_PAGE_SIZE / BASE / SPAN)
#define BATCH	64

static struct bench_arena arena;
static struct gcarena_span spans[SPANS];
static char *map;

/* Base pages of each span in which an object lives, as bits; and whether broken before. */
struct pattern {
	const char *name;
	unsigned int live;
	bool broken;
};

static unsigned int holes(const struct pattern *p)
{
	return SPAN - __builtin_popcount(p->live);
}

static void touch(char *at, unsigned int which)
{
	for (unsigned int i = 0; i < SPAN; i++)
		if (which & 1U << i)
			*(volatile char *)(at + i * BASE) = 1;
}

/* Arena. */

static void take_all(const struct pattern *p)
{
	unsigned int nr = 0, n;

	for (; nr < SPANS; nr += n) {
		n = bench_refill(&arena, BENCH_C1K, 0, spans + nr, GCARENA_BATCH_MAX);
		if (!n)
			bench_die("refill");
	}
	for (unsigned int i = 0; i < SPANS; i++) {
		touch(bench_addr(&arena, spans[i].page), (1U << SPAN) - 1);
		for (unsigned int k = 0; k < SPAN; k++) {
			unsigned int granule = k * (BASE >> GCARENA_GRANULE_SHIFT);
			uint64_t at = (uint64_t)spans[i].page * GCARENA_LINE_WORDS + granule / 64;

			for (unsigned int b = 0; b < 2 && p->live & 1U << k; b++)
				arena.bits[b][at] |= 1ULL << granule % 64;
		}
	}
}

static void give_all(void)
{
	for (unsigned int i = 0; i < SPANS; i += BATCH)
		if (bench_return(&arena, spans + i, BATCH) != BATCH)
			bench_die("return");
}

static void scavenge(void *arg)
{
	const struct pattern *p = arg;

	if (bench_scavenge(&arena, GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE, 0) !=
	    (long)(SPANS * holes(p) * BASE))
		bench_die("scavenge");
}

static void arena_before(void *arg)
{
	const struct pattern *p = arg;

	take_all(p);
	give_all();
	if (!p->broken)
		return;
	scavenge(arg);
	take_all(p);
	give_all();
}

/* All objects die. */
static void arena_after(void *arg)
{
	struct gcarena_sweep sweep = { .size = sizeof(sweep), .generation = arena.generation };

	for (unsigned int i = 0; i < SPANS; i++)
		for (unsigned int b = 0; b < 2; b++)
			memset(arena.bits[b] + (uint64_t)spans[i].page * GCARENA_LINE_WORDS, 0,
			       2 * GCARENA_LINE_SIZE);
	if (ioctl(arena.fd, GCARENA_IOC_START_SWEEP, &sweep))
		bench_die("start of a sweep");
	arena.generation = sweep.generation;
	do {
		sweep = (struct gcarena_sweep){ .size = sizeof(sweep), .nr_spans = ~0U };
		if (ioctl(arena.fd, GCARENA_IOC_SWEEP_ASSIST, &sweep))
			bench_die("sweep");
	} while (sweep.left);
	if (bench_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0) < 0)
		bench_die("scavenge");
}

static void arena_released(void *arg)
{
	arena_before(arg);
	scavenge(arg);
}

static void arena_again(void *arg)
{
	for (unsigned int i = 0; i < SPANS; i += BATCH) {
		if (bench_refill(&arena, BENCH_C1K, 0, spans + i, BATCH) != BATCH)
			bench_die("refill");
		for (unsigned int k = 0; k < BATCH; k++)
			touch(bench_addr(&arena, spans[i + k].page), (1U << SPAN) - 1);
	}
}

static void arena_again_after(void *arg)
{
	give_all();
	arena_after(arg);
}

/* memfd. */

static void remove_runs(void *arg)
{
	const struct pattern *p = arg;
	unsigned int from = 0, end;

	while (from < SPANS * SPAN) {
		if (p->live & 1U << from % SPAN) {
			from++;
			continue;
		}
		for (end = from; end < SPANS * SPAN && !(p->live & 1U << end % SPAN); end++)
			;
		if (madvise(map + from * BASE, (end - from) * BASE, MADV_REMOVE))
			bench_die("MADV_REMOVE");
		from = end;
	}
}

static void memfd_again(void *arg)
{
	for (unsigned int i = 0; i < SPANS; i++)
		touch(map + i * SPAN * BASE, (1U << SPAN) - 1);
}

static void memfd_before(void *arg)
{
	const struct pattern *p = arg;

	memfd_again(arg);
	if (!p->broken)
		return;
	remove_runs(arg);
	memfd_again(arg);
}

static void memfd_released(void *arg)
{
	memfd_before(arg);
	remove_runs(arg);
}

static void memfd_after(void *arg)
{
	if (madvise(map, SIZE, MADV_REMOVE))
		bench_die("MADV_REMOVE");
}

static double row(const char *part, const char *what, const struct pattern *p, const char *per,
		  unsigned int units, void (*before)(void *), void (*run)(void *),
		  void (*after)(void *))
{
	char text[64];
	const struct bench b = { part, text, per, units, before, run, after };

	snprintf(text, sizeof(text), "%s: %s", what, p->name);
	return bench_row(&b, (void *)p);
}

static const struct pattern patterns[] = {
	{ "3/4 inside", 0x2, false },
	{ "1/2 inside", 0x5, false },
	{ "1/4 inside", 0xb, false },
	{ "3/4 inside, broken", 0x2, true },
	{ "1/2 inside, broken", 0x5, true },
};

int main(void)
{
	/* The thread would release what a sweep leaves free. */
	const struct gcarena_policy policy = { .size = sizeof(policy), .retain_bytes = ~0ULL };
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE))
		bench_die("memfd");
	map = bench_map(SIZE, MAP_SHARED, fd);
	bench_open(&arena, SIZE, &policy);

	for (unsigned int i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		const struct pattern *p = &patterns[i];
		unsigned int units = SPANS * holes(p) * BASE / GCARENA_PAGE_SIZE;
		double a, m;
		char claim[96];

		a = row("arena", "one call", p, "8 KiB", units, arena_before, scavenge,
			arena_after);
		m = row("memfd", "MADV_REMOVE loop", p, "8 KiB", units, memfd_before,
			remove_runs, memfd_after);
		snprintf(claim, sizeof(claim), "C3 release, %s", p->name);
		bench_ratio(claim, a, m, 1.0);
		row("arena", "used again, refill", p, "span", SPANS, arena_released,
		    arena_again, arena_again_after);
		row("memfd", "used again, faults", p, "span", SPANS, memfd_released,
		    memfd_again, memfd_after);
	}
	bench_close(&arena);
	return 0;
}
