// SPDX-License-Identifier: MIT
/*
 * batches [OBJECTS [THREADS [MILLISECONDS [ROUNDS]]]]: the latency of 64 operations.
 *
 * The same threads over the same live set, on malloc and on gcarena in turn: each
 * operation makes an object of 64 bytes and writes to it; one in sixteen takes the
 * place of another in a table, the rest die at once (on malloc: are freed).  Assists,
 * stalls, handshakes and faults are in the figures, from the second cycle on or after a
 * tenth of a second; waits for a CPU are not.  Printed: median of the rounds'
 * quantiles for both, and the ratio at p99.9, which is to be at most 3; the exit
 * status says whether it is.
 */
#include "../latency.h"

#include <gcarena.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEEP_ONE_OF	16u
#define THREADS_MAX	64u
#define ROUNDS_MAX	15u
#define RATIO_MOST	3.0

/* 63 bytes: with the byte of padding a slot of 64. */
#define ITEM_FIELDS(F)				\
	F(REF, struct item, left)		\
	F(REF, struct item, right)		\
	F(REF, struct item, other)		\
	F(VALS, uint32_t, data, 9)
GCA_STRUCT(item, ITEM_FIELDS);

struct thread {
	struct gca_heap *heap;	/* NULL: malloc */
	pthread_t thread;
	size_t objects;
	uint64_t seed;
	struct laps laps;
};

static pthread_barrier_t start;
static uint32_t quit;
static uint32_t measuring;

#define WARM_CYCLES	2u
#define WARM_US		100000u

static void *must(void *object)
{
	if (object)
		return object;
	fprintf(stderr, "batches: out of memory: %s\n", gca_error());
	exit(2);
}

static uint64_t next(struct thread *self)
{
	self->seed = self->seed * 6364136223846793005ull + 1442695040888963407ull;
	return self->seed >> 33;
}

static void lap(struct thread *self)
{
	if (self->laps.last)
		laps_next(&self->laps);
	else if (__atomic_load_n(&measuring, __ATOMIC_RELAXED))
		laps_begin_scheduled(&self->laps);
}

static void warm(struct gca_heap *heap)
{
	struct gca_stats stats = { .size = sizeof(stats) };
	uint64_t before;

	usleep(WARM_US);
	if (!heap || gca_stats(heap, &stats))
		return;
	for (before = stats.num_gc; stats.num_gc < before + WARM_CYCLES;) {
		usleep(1000);
		if (gca_stats(heap, &stats))
			must(NULL);
	}
}

static void *on_malloc(void *arg)
{
	struct thread *self = arg;
	struct item **table = must(calloc(self->objects, sizeof(*table)));

	for (size_t i = 0; i < self->objects; i++)
		table[i] = must(calloc(1, sizeof(**table)));
	pthread_barrier_wait(&start);
	while (!__atomic_load_n(&quit, __ATOMIC_RELAXED)) {
		for (unsigned int i = 0; i < BATCH; i++) {
			struct item *item = must(calloc(1, sizeof(*item)));
			size_t at;

			item->data[0] = i;
			__asm__ volatile("" : : "r" (item) : "memory");
			if (i % KEEP_ONE_OF) {
				free(item);
				continue;
			}
			at = next(self) % self->objects;
			free(table[at]);
			table[at] = item;
		}
		lap(self);
	}
	for (size_t i = 0; i < self->objects; i++)
		free(table[i]);
	free(table);
	return NULL;
}

static void *on_gcarena(void *arg)
{
	struct thread *self = arg;
	struct gca_mutator *m;
	gca_ref *table;

	if (gca_attach(self->heap, GCA_STACK_CONSERVATIVE, &m))
		must(NULL);
	table = must(gca_new_refs(m, self->objects));
	for (size_t i = 0; i < self->objects; i++)
		gca_store(m, &table[i], must(gca_new(m, item)));
	gca_blocking_begin(m);
	pthread_barrier_wait(&start);
	gca_blocking_end(m);
	while (!__atomic_load_n(&quit, __ATOMIC_RELAXED)) {
		for (unsigned int i = 0; i < BATCH; i++) {
			struct item *item = must(gca_new(m, item));

			item->data[0] = i;
			if (i % KEEP_ONE_OF == 0)
				gca_store(m, &table[next(self) % self->objects], (void *)item);
		}
		lap(self);
	}
	gca_keepalive(table);
	gca_detach(m);
	return NULL;
}

struct figures {
	double p50, p99, p999;
};

static struct figures measure(bool collected, size_t objects, unsigned int nr, uint64_t ms)
{
	static struct thread threads[THREADS_MAX];
	struct gca_heap *heap = NULL;
	struct laps laps = { 0 };
	struct figures figures;

	memset(threads, 0, sizeof(threads));
	quit = 0;
	measuring = 0;
	if (collected && gca_open(NULL, &heap))
		must(NULL);
	pthread_barrier_init(&start, NULL, nr + 1);
	for (unsigned int i = 0; i < nr; i++) {
		threads[i].heap = heap;
		threads[i].objects = objects / nr;
		threads[i].seed = i + 1;
		if (pthread_create(&threads[i].thread, NULL, collected ? on_gcarena : on_malloc,
				   &threads[i]))
			must(NULL);
	}
	pthread_barrier_wait(&start);
	warm(heap);
	__atomic_store_n(&measuring, 1, __ATOMIC_RELAXED);
	usleep((useconds_t)(ms * 1000));
	__atomic_store_n(&quit, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(threads[i].thread, NULL);
		laps_add(&laps, &threads[i].laps);
	}
	pthread_barrier_destroy(&start);
	figures.p50 = laps_quantile(&laps, 0.5);
	figures.p99 = laps_quantile(&laps, 0.99);
	figures.p999 = laps_quantile(&laps, 0.999);
	if (heap)
		gca_close(heap);
	return figures;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), by_value);
	return values[nr / 2];
}

int main(int argc, char **argv)
{
	size_t objects = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000;
	unsigned int nr = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 2;
	uint64_t ms = argc > 3 ? strtoul(argv[3], NULL, 10) : 3000;
	unsigned int rounds = argc > 4 ? (unsigned int)strtoul(argv[4], NULL, 10) : 5;
	static double p50[2][ROUNDS_MAX], p99[2][ROUNDS_MAX], p999[2][ROUNDS_MAX];
	double ratios[ROUNDS_MAX], ratio;

	if (nr < 1 || nr > THREADS_MAX || rounds < 1 || rounds > ROUNDS_MAX || objects < nr) {
		fprintf(stderr, "batches [OBJECTS [THREADS [MILLISECONDS [ROUNDS]]]]\n");
		return 2;
	}
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int which = 0; which < 2; which++) {
			struct figures figures = measure(which, objects, nr, ms);

			p50[which][round] = figures.p50;
			p99[which][round] = figures.p99;
			p999[which][round] = figures.p999;
		}
		ratios[round] = p999[1][round] / p999[0][round];
	}
	for (unsigned int which = 0; which < 2; which++)
		printf("%s p50_us %.1f p99_us %.1f p999_us %.1f\n", which ? "gcarena" : "malloc",
		       median(p50[which], rounds), median(p99[which], rounds),
		       median(p999[which], rounds));
	ratio = median(ratios, rounds);
	printf("ratio_p999 %.2f\n", ratio);
	return ratio <= RATIO_MOST ? 0 : 1;
}
