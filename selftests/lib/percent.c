// SPDX-License-Identifier: MIT
/*
 * The GC percent bounds the heap: under churn with a steady live heap, what is in
 * use stays below 2.5 times what lives at percent 100, and does not with
 * collection off.  And it bounds the work: a small heap of many threads and
 * size classes is not collected for what its threads hold and have not used.
 */
#include "lib.h"

struct entry;
#define ENTRY_FIELDS(F)				\
	F(REF, unsigned char, bytes)		\
	F(VAL, size_t, size)
GCA_STRUCT(entry, ENTRY_FIELDS);

#define RATIO_PERCENT	250

/* The small heap: each thread keeps some 400 KiB alive and allocates 10 MiB.  With
 * a goal of 4 MiB and 1.6 MiB alive, 17 cycles are due.
 */
#define SMALL_THREADS	4
#define SMALL_ENTRIES	400
#define SMALL_BYTES	(10 * MIB)
#define SMALL_CYCLES	40

static void replace(struct gca_mutator *m, gca_ref *table, size_t index, struct rng *rng)
{
	/* Sizes as programs have them: mostly small, a few large. */
	size_t size = rng_below(rng, 100) ? 16 + rng_below(rng, 600) : rng_below(rng, 40000);

	GCA_FRAME(m, f, struct entry *entry);
	f.entry = must(gca_new(m, entry));
	gca_store(m, &f.entry->bytes, must(gca_new_bytes(m, size)));
	memset(gca_load(&f.entry->bytes), (int)size, size);
	f.entry->size = size;
	gca_store(m, &table[index], f.entry);
}

/* The worst in-use, in per cent of live, in the steady state. */
static uint64_t worst_ratio(int percent)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	/* A smaller heap is mostly what its threads hold. */
	size_t count = scaled(40000) < 16000 ? 16000 : scaled(40000);
	struct rng rng = rng_seeded(7);
	uint64_t worst = 0, live;
	size_t wrong = 0;

	gca_config_init(&config);
	config.percent = percent;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, count));
		for (size_t i = 0; i < count; i++)
			replace(m, f.table, i, &rng);
		gca_collect(m);
		live = stats_of(heap).heap_live;
		for (size_t i = 0; i < 6 * count; i++) {
			replace(m, f.table, rng_below(&rng, count), &rng);
			if (i % (count / 50 + 1) == 0) {
				struct gca_stats s = stats_of(heap);

				if (s.heap_inuse * 100 / live > worst)
					worst = s.heap_inuse * 100 / live;
			}
		}
		for (size_t i = 0; i < count; i++) {
			struct entry *entry = gca_load(&f.table[i]);

			wrong += !is_filled(gca_load(&entry->bytes), (unsigned char)entry->size,
					    entry->size);
		}
		diag("percent %d: live %llu KiB, %llu cycles, worst in use %llu %%", percent,
		     (unsigned long long)live / KIB, (unsigned long long)stats_of(heap).num_gc,
		     (unsigned long long)worst);
		eq(wrong, 0, "percent %d: contents are right", percent);
	}
	gca_detach(m);
	gca_close(heap);
	return worst;
}

static pthread_barrier_t small_start;

/* In turns, however few CPUs there are, so that all hold spans at a time. */
static void small_turn(struct gca_mutator *m, size_t done, size_t before)
{
	if (done / (64 * KIB) == before / (64 * KIB))
		return;
	gca_blocking_begin(m);
	pthread_barrier_wait(&small_start);
	gca_blocking_end(m);
}

static void *small_thread(void *arg)
{
	const struct gca_kind *kinds[] = { gca_kind_noscan(), gca_kind_refs(),
					   gca_kind_conservative() };
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);
	struct rng rng = rng_seeded(11);
	size_t done = 0;

	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, SMALL_ENTRIES));
		while (done < scaled(SMALL_BYTES)) {
			size_t size = 8 * (1 + rng_below(&rng, 250));

			gca_store(m, &f.table[rng_below(&rng, SMALL_ENTRIES)],
				  must(gca_alloc(m, kinds[rng_below(&rng, 3)], size)));
			done += size;
			small_turn(m, done, done - size);
		}
	}
	gca_detach(m);
	return NULL;
}

static uint64_t small_heap_cycles(void)
{
	pthread_t threads[SMALL_THREADS];
	struct gca_heap *heap = open_with(NULL);
	struct gca_stats s;

	pthread_barrier_init(&small_start, NULL, SMALL_THREADS);
	for (unsigned int i = 0; i < SMALL_THREADS; i++)
		if (pthread_create(&threads[i], NULL, small_thread, heap))
			bail("pthread_create");
	for (unsigned int i = 0; i < SMALL_THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&small_start);
	s = stats_of(heap);
	diag("small heap: %llu KiB allocated, %llu KiB live, goal %llu KiB, %llu cycles",
	     (unsigned long long)s.total_alloc / KIB, (unsigned long long)s.heap_live / KIB,
	     (unsigned long long)s.next_gc / KIB, (unsigned long long)s.num_gc);
	gca_close(heap);
	return s.num_gc;
}

int main(void)
{
	uint64_t worst = worst_ratio(100), cycles;

	ok(worst <= RATIO_PERCENT, "percent 100: in use at most %llu %% of live",
	   (unsigned long long)worst);
	worst = worst_ratio(GCA_PERCENT_OFF);
	ok(worst > RATIO_PERCENT, "off: in use up to %llu %% of live", (unsigned long long)worst);
	cycles = small_heap_cycles();
	ok(cycles <= scaled(SMALL_CYCLES), "a small heap of many classes and threads: %llu cycles",
	   (unsigned long long)cycles);
	return tap_done();
}
