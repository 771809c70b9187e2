// SPDX-License-Identifier: MIT
/*
 * Per-CPU caches: what a refill costs that finds its spans ready, against an
 * ioctl that returns at once, and against the same refill from central lists.
 *
 * "Cached" is the arena as it is; "central" one that was set up with
 * cpu_cache_bytes 0.  Each refill asks for spans with objects in them, so that
 * both have the same ones to give.  Contention is not in it: the CPUs of a guest
 * that counts instructions take turns.  -c counts spans of one and two threads in
 * slices of time instead, for a guest that does not.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

#include "bench.h"

#define PARAMETER	"/sys/module/gcarena/parameters/cpu_cache_bytes"
#define CALLS		64
#define BATCH		64
/* Spans that exist: what all slots together may have is a 32nd of it. */
#define SPANS		6144
/* Spans of a contender's turn; how long and how often each way has its own. */
#define TURN		32
#define SLICE_MS	100
#define SLICES		10

/* Done-when, in ioctls that return at once: one span, a batch. */
#define ALLOWED_ONE	2.0
#define ALLOWED_BATCH	4.0

static struct bench_arena arena;
static struct gcarena_span spans[SPANS];

/* The last number of the device's range, which means nothing yet. */
static void run_null(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		ioctl(arena.fd, _IOWR(GCARENA_IOC_MAGIC, 0x9f, struct gcarena_stats), NULL);
}

static void run_features(void *arg)
{
	struct gcarena_features args = { .size = sizeof(args) };

	for (int i = 0; i < CALLS; i++)
		ioctl(arena.fd, GCARENA_IOC_FEATURES, &args);
}

static void run_getppid(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
}

static void refill(struct bench_arena *a, struct gcarena_span *to, unsigned int nr)
{
	if (bench_refill(a, BENCH_C64, 0, to, nr) != nr)
		bench_die("%u spans wanted", nr);
}

static void give_back(struct bench_arena *a, struct gcarena_span *from, unsigned int nr)
{
	for (unsigned int at = 0; at < nr; at += BATCH)
		if (bench_return(a, from + at, nr - at < BATCH ? nr - at : BATCH) !=
		    (nr - at < BATCH ? nr - at : BATCH))
			bench_die("spans back");
}

/* Misses until the slot has all that the measured refills will want. */
static void stock(void *arg)
{
	unsigned int nr = *(unsigned int *)arg;

	for (int i = 0; i < 8; i++)
		refill(&arena, spans + i * BATCH, nr > 1 ? nr : 16);
	for (int i = 0; i < 8; i++)
		give_back(&arena, spans + i * BATCH, nr > 1 ? nr : 16);
	/* More than lies ready, so a miss: it stocks again. */
	refill(&arena, spans, nr > 1 ? 2 * BATCH : 2 * BATCH);
	give_back(&arena, spans, 2 * BATCH);
}

static void run_ones(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		refill(&arena, spans + i, 1);
}

static void return_ones(void *arg)
{
	give_back(&arena, spans, CALLS);
}

static void run_batch(void *arg)
{
	refill(&arena, spans, BATCH);
}

static void set_bytes(const char *text)
{
	FILE *f = fopen(PARAMETER, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		bench_die("%s", PARAMETER);
}

/* An arena of spans that have one object each, and are in central lists. */
static void open_arena(const char *bytes)
{
	set_bytes(bytes);
	bench_open(&arena, 64ULL << 20, NULL);
	set_bytes("1048576");
	for (unsigned int at = 0; at < SPANS; at += BATCH)
		refill(&arena, spans + at, BATCH);
	for (unsigned int i = 0; i < SPANS; i++)
		arena.bits[spans[i].generation & 1][(uint64_t)spans[i].page * 8] |= 1;
	give_back(&arena, spans, SPANS);
}

static uint64_t hits(void)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };

	if (ioctl(arena.fd, GCARENA_IOC_STATS, &stats))
		bench_die("statistics");
	return stats.counters.refill_hits;
}

static const struct bench nulls[] = {
	{ "system", "getppid", "call", CALLS, NULL, run_getppid, NULL },
	{ "arena", "ioctl that is unknown", "call", CALLS, NULL, run_null, NULL },
	{ "arena", "features", "call", CALLS, NULL, run_features, NULL },
};

static const struct bench cached[] = {
	{ "arena", "refill, cached, 1", "call", CALLS, stock, run_ones, return_ones },
	{ "arena", "refill, cached, 64", "call", 1, stock, run_batch, return_ones },
};

static const struct bench central[] = {
	{ "arena", "refill, central, 1", "call", CALLS, stock, run_ones, return_ones },
	{ "arena", "refill, central, 64", "call", 1, stock, run_batch, return_ones },
};

static int instructions(void)
{
	unsigned int sizes[2] = { 1, BATCH };
	double null, cost[2][2];
	uint64_t before;
	unsigned int i;

	open_arena("1048576");
	bench_row(&nulls[0], NULL);
	null = bench_row(&nulls[1], NULL);
	bench_row(&nulls[2], NULL);
	for (i = 0; i < 2; i++) {
		before = hits();
		cost[0][i] = bench_row(&cached[i], &sizes[i]);
		/* What is called cached has to be. */
		if (hits() - before < BENCH_ROUNDS * (i ? 1 : CALLS))
			bench_die("only %llu hits", (unsigned long long)(hits() - before));
	}
	bench_close(&arena);
	open_arena("0");
	for (i = 0; i < 2; i++)
		cost[1][i] = bench_row(&central[i], &sizes[i]);
	bench_close(&arena);

	bench_ratio("cached refill of 1 : ioctl", cost[0][0], null, ALLOWED_ONE);
	bench_ratio("cached refill of 64 : ioctl", cost[0][1], null, ALLOWED_BATCH);
	bench_ratio("cached refill of 1 : central", cost[0][0], cost[1][0], 1);
	bench_ratio("cached refill of 64 : central", cost[0][1], cost[1][1], 1);
	return 0;
}

/*
 * Contended: three ways to get 32 spans and give them back, by turns, so that what
 * else the machine does is shared out among them.
 */
enum { CACHED, CENTRAL, BATCHED, WAYS };

static const char * const way_name[WAYS] = {
	"cached, by 4", "central, by 4", "central, by 32",
};

static struct bench_arena way_arena[WAYS];

struct contender {
	pthread_t thread;
	unsigned int cpu, way;
	unsigned long spans;
};

static bool contend_stop;

static void *contend(void *arg)
{
	struct contender *c = arg;
	struct bench_arena *a = &way_arena[c->way];
	unsigned int each = c->way == BATCHED ? TURN : TURN / 8, i;
	struct gcarena_span mine[TURN];
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(c->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	while (!__atomic_load_n(&contend_stop, __ATOMIC_RELAXED)) {
		for (i = 0; i < TURN; i += each)
			refill(a, mine + i, each);
		give_back(a, mine, TURN);
		c->spans += TURN;
	}
	return NULL;
}

static unsigned long slice(unsigned int way, unsigned int threads)
{
	struct contender c[2] = { { .cpu = 0, .way = way }, { .cpu = 1, .way = way } };
	struct timespec ms = { 0, SLICE_MS * 1000000L };
	unsigned long sum = 0;
	unsigned int i;

	contend_stop = false;
	for (i = 0; i < threads; i++)
		if (pthread_create(&c[i].thread, NULL, contend, &c[i]))
			bench_die("a thread");
	nanosleep(&ms, NULL);
	__atomic_store_n(&contend_stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < threads; i++) {
		pthread_join(c[i].thread, NULL);
		sum += c[i].spans;
	}
	return sum;
}

static int contention(void)
{
	unsigned int n, way, turn;

	for (way = 0; way < WAYS; way++) {
		open_arena(way == CACHED ? "1048576" : "0");
		way_arena[way] = arena;
	}
	for (n = 1; n <= 2; n++) {
		unsigned long sum[WAYS] = { 0 };

		for (turn = 0; turn < SLICES; turn++)
			for (way = 0; way < WAYS; way++)
				sum[way] += slice(way, n);
		for (way = 0; way < WAYS; way++)
			printf("row\tarena\t%s, %u threads\t%lu\t%lu\tspans/s\n", way_name[way], n,
			       sum[way] * 1000 / (SLICES * SLICE_MS),
			       sum[way] * 1000 / (SLICES * SLICE_MS));
		bench_ratio("cached : central", sum[CACHED], sum[CENTRAL], -1);
		bench_ratio("cached : central, batched", sum[CACHED], sum[BATCHED], -1);
	}
	for (way = 0; way < WAYS; way++)
		bench_close(&way_arena[way]);
	return 0;
}

int main(int argc, char **argv)
{
	return argc > 1 && !strcmp(argv[1], "-c") ? contention() : instructions();
}
