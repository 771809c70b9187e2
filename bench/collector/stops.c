// SPDX-License-Identifier: MIT
/*
 * stops [OBJECTS [THREADS [MILLISECONDS [PERCENT]]]]: what mutators feel.
 *
 * OBJECTS objects of 64 bytes live, in trees held by the threads, each of which then
 * allocates such objects as fast as it can, keeping one in sixteen in the place of
 * another.  Printed: stops, assists, stalls, the CPU share of marking, the heap's
 * peak over its bound, and the latency of batches of 64 allocations.
 *
 * One measurement a run.  Not part of make check.
 */
#include "../latency.h"

#include <gcarena.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_SEC	1000000000ull
#define THREADS_MAX	64

/* 63 bytes: with the byte of padding a slot of 64. */
#define ITEM_FIELDS(F)				\
	F(REF, struct item, left)		\
	F(REF, struct item, right)		\
	F(REF, struct item, other)		\
	F(VALS, uint32_t, data, 9)
GCA_STRUCT(item, ITEM_FIELDS);

struct thread {
	struct gca_heap *heap;
	pthread_t thread;
	size_t objects;
	struct laps laps;
};

static pthread_barrier_t start;
static uint32_t quit;

static void must(const void *object)
{
	if (object)
		return;
	fprintf(stderr, "stops: %s\n", gca_error());
	exit(1);
}

static void *run(void *arg)
{
	struct thread *self = arg;
	struct gca_mutator *m;
	uint64_t seed = (uintptr_t)self | 1;

	if (gca_attach(self->heap, GCA_STACK_CONSERVATIVE, &m))
		exit(1);
	{
		GCA_FRAME(m, f, gca_ref *table; struct item *item);
		f.table = gca_new_refs(m, self->objects);
		must(f.table);
		for (size_t i = 0; i < self->objects; i++) {
			f.item = gca_new(m, item);
			must(f.item);
			if (i)
				gca_init(m, &f.item->left,
					 (struct item *)gca_load(&f.table[seed % i]));
			gca_store(m, &f.table[i], (void *)f.item);
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			seed ^= seed >> 33;
		}
		gca_blocking_begin(m);
		pthread_barrier_wait(&start);
		pthread_barrier_wait(&start);
		gca_blocking_end(m);
		laps_begin_scheduled(&self->laps);
		while (!__atomic_load_n(&quit, __ATOMIC_RELAXED)) {
			for (unsigned int i = 0; i < BATCH; i++) {
				f.item = gca_new(m, item);
				must(f.item);
				f.item->data[0] = i;
				if (i % 16)
					continue;
				seed = seed * 6364136223846793005ull + 1442695040888963407ull;
				gca_store(m, &f.table[(seed >> 33) % self->objects],
					  (void *)f.item);
			}
			laps_next(&self->laps);
		}
	}
	gca_detach(m);
	return NULL;
}

static struct gca_stats stats_of(struct gca_heap *heap)
{
	struct gca_stats stats = { .size = sizeof(stats) };

	if (gca_stats(heap, &stats))
		exit(1);
	return stats;
}

/* What the longest stops were: a busy machine shows as those that two threads take part in. */
static void show_causes(struct gca_heap *heap)
{
	static struct gca_gcstats stats = { .size = sizeof(stats) };
	unsigned int cause;

	if (gca_gcstats(heap, &stats))
		exit(1);
	for (cause = 0; cause < GCA_STOP_CAUSES; cause++)
		if (stats.stops[cause].count)
			printf("%s_max_us %.1f ", gca_stop_name((enum gca_stop)cause),
			       (double)stats.stops[cause].max_ns / 1e3);
	printf("\n");
}

int main(int argc, char **argv)
{
	size_t objects = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000000;
	unsigned int nr = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 2;
	uint64_t ms = argc > 3 ? strtoul(argv[3], NULL, 10) : 4000;
	static struct thread threads[THREADS_MAX];
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct gca_account account = { .size = sizeof(account) };
	struct gca_stats before, after, s;
	struct gca_config config;
	uint64_t begin, peak = 0;
	double over = 0, now;
	struct gca_heap *heap;
	struct laps laps = { 0 };

	if (nr < 1 || nr > THREADS_MAX)
		return 2;
	gca_config_init(&config);
	config.percent = argc > 4 ? atoi(argv[4]) : 100;
	if (gca_open(&config, &heap)) {
		fprintf(stderr, "stops: %s\n", gca_error());
		return 1;
	}
	pthread_barrier_init(&start, NULL, nr + 1);
	for (unsigned int i = 0; i < nr; i++) {
		threads[i].heap = heap;
		threads[i].objects = objects / nr;
		pthread_create(&threads[i].thread, NULL, run, &threads[i]);
	}
	pthread_barrier_wait(&start);
	before = stats_of(heap);
	pthread_barrier_wait(&start);
	begin = now_ns();
	while (now_ns() - begin < ms * 1000000) {
		usleep(2000);
		s = stats_of(heap);
		/* From the first whole cycle of the steady state. */
		if (s.num_gc < before.num_gc + 2)
			continue;
		/* Each new peak by the bound of its cycle.  Afterwards the live heap shrinks: the
		 * first objects refer to each other, those that take their places do not.
		 */
		if (s.heap_inuse <= peak)
			continue;
		peak = s.heap_inuse;
		now = (double)peak / (double)s.next_gc;
		if (now > over)
			over = now;
	}
	__atomic_store_n(&quit, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(threads[i].thread, NULL);
		laps_add(&laps, &threads[i].laps);
	}
	after = stats_of(heap);
	printf("objects %zu threads %u cycles %" PRIu64 "\n", objects, nr,
	       after.num_gc - before.num_gc);
	printf("stop_p50_us %.1f stop_p99_us %.1f stop_max_us %.1f safepoint_max_us %.1f\n",
	       (double)after.pause_p50_ns / 1e3, (double)after.pause_p99_ns / 1e3,
	       (double)after.pause_max_ns / 1e3, (double)after.safepoint_max_ns / 1e3);
	printf("batch_p50_us %.1f batch_p99_us %.1f batch_p999_us %.1f batch_max_us %.1f\n",
	       laps_quantile(&laps, 0.5), laps_quantile(&laps, 0.99),
	       laps_quantile(&laps, 0.999), (double)laps.worst / 1e3);
	printf("alloc_mb_s %.0f mark_share %.3f assist_share %.3f stall_share %.3f\n",
	       (double)(after.total_alloc - before.total_alloc) / (double)ms / 1e3,
	       (double)(after.gc_cpu_ns - before.gc_cpu_ns) /
	       ((double)(after.mark_ns - before.mark_ns) + 1) / (double)cpus,
	       (double)(after.assist_ns - before.assist_ns) / ((double)ms * 1e6 * nr),
	       (double)(after.stall_ns - before.stall_ns) / ((double)ms * 1e6 * nr));
	printf("marking %.3f assists %" PRIu64 " stalls %" PRIu64 " over %.3f live_mb %.1f\n",
	       (double)(after.mark_ns - before.mark_ns) / ((double)ms * 1e6),
	       after.assists - before.assists, after.stalls - before.stalls, over,
	       (double)after.heap_live / 1e6);
	show_causes(heap);
	if (gca_account_all(heap, &account))
		return 1;
	printf("lost %.4f unscheduled %.3f mmu_1ms %.3f mmu_10ms %.3f mmu_100ms %.3f\n",
	       (double)(account.assist_ns + account.stall_ns + account.handshake_ns +
			account.gate_ns + account.refill_ns) / (double)account.wall_ns,
	       (double)account.unscheduled_ns / (double)account.wall_ns,
	       account.mmu[0] / 1e3, account.mmu[1] / 1e3, account.mmu[2] / 1e3);
	gca_close(heap);
	return 0;
}
