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

#include "../latency.h"
#include "peer.h"

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
/* The number that @format, as scanf(3) has it, finds in a line of the file. */
uint64_t bench_kib(const char *path, const char *format);
void bench_sleep(peer_thread t, uint64_t ns);
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

/* An allocation that must not fail. */
#define must(object) __extension__ ({				\
	__typeof__(object) must_ = (object);			\
	if (!must_)						\
		bench_die("out of memory");			\
	must_;							\
})

/* A table of @nr references that @root leads to. */
static inline peer_ref *bench_table(peer_thread t, peer_ref *root, uint64_t nr)
{
	peer_ref *table = must(peer_refs(t, nr));

	peer_store(t, root, (void *)table);
	return table;
}

void run_alloc(struct bench *b);
void run_backing(struct bench *b);
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
