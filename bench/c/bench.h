/* SPDX-License-Identifier: MIT */
/*
 * What the workloads in C share besides the heap: the stream of random numbers,
 * clocks, the histogram of batches, and how a run says what it saw.
 *
 * A run prints lines: "sum NUMBER" once, which must be the same in every
 * language and on every heap, and "figure NAME UNIT VALUE".  The stream and the
 * order in which a workload draws from it are part of the workload: the sources
 * in go/ and java/ draw alike.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "peer.h"

#include <time.h>

/* Latency is that of so many operations, so that the clock costs nothing. */
#define BATCH		64u
/* Buckets of 6 %: sixteen to a power of two. */
#define BUCKETS		1024u

struct laps {
	uint64_t last;	/* ns: when the batch began */
	uint64_t count;
	uint64_t worst;
	uint64_t buckets[BUCKETS];
};

struct bench {
	peer_thread t;
	int argc;
	char **argv;
};

__attribute__((noreturn)) void bench_die(const char *what);
unsigned long bench_number(const struct bench *b, int i, unsigned long least);
void bench_sum(uint64_t sum);
void bench_figure(const char *name, const char *unit, double value);
void bench_memory(const char *when, uint64_t live);
void bench_ops(uint64_t ops, uint64_t begin);
void bench_sleep(peer_thread t, uint64_t ns);
void laps_add(struct laps *to, const struct laps *from);
void laps_print(const struct laps *laps);

/* A draw: splitmix64. */
static inline uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Below @n; of 31 bits, as Java's numbers have signs. */
static inline uint64_t draw_below(uint64_t *state, uint64_t n)
{
	return (draw(state) >> 33) % n;
}

/* From @least to 2^@doublings times it, each doubling as likely. */
static inline uint64_t draw_size(uint64_t *state, uint64_t least, uint64_t doublings)
{
	uint64_t base = least << draw_below(state, doublings);

	return base + draw_below(state, base);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline unsigned int laps_bucket(uint64_t ns)
{
	unsigned int log;

	if (ns < 16)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	return ((log - 3) << 4) + (unsigned int)(ns >> (log - 4) & 15);
}

static inline void laps_begin(struct laps *laps)
{
	laps->last = now_ns();
}

/* After each batch. */
static inline void laps_next(struct laps *laps)
{
	uint64_t now = now_ns(), ns = now - laps->last;

	laps->last = now;
	laps->count++;
	laps->buckets[laps_bucket(ns)]++;
	if (ns > laps->worst)
		laps->worst = ns;
}

/* An allocation that must not fail. */
#define must(object) __extension__ ({				\
	__typeof__(object) must_ = (object);			\
	if (!must_)						\
		bench_die("out of memory");			\
	must_;							\
})

void run_alloc(struct bench *b);
void run_bursty(struct bench *b);
void run_connections(struct bench *b);
void run_depgraph(struct bench *b);
void run_fragment(struct bench *b);
void run_gcbench(struct bench *b);
void run_jitter(struct bench *b);
void run_large(struct bench *b);
void run_limit(struct bench *b);
void run_mutate(struct bench *b);
void run_percent(struct bench *b);
void run_scale(struct bench *b);
void run_store(struct bench *b);
void run_threads(struct bench *b);
void run_trees(struct bench *b);

#endif /* BENCH_BENCH_H */
