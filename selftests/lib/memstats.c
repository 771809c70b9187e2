// SPDX-License-Identifier: MIT
/*
 * gca_memstats() and gca_gcstats(): the equalities of the header, objects by size
 * exactly, the ring of pauses, stops by cause, what a reader beside running cycles
 * sees, and what reading costs.
 */
#include "lib.h"

#define ROUNDS		300u	/* cycles: more than are remembered */
#define READS		2000u

struct pair;
#define PAIR_FIELDS(F) F(REF, struct pair, a) F(REF, struct pair, b)
GCA_STRUCT(pair, PAIR_FIELDS);

static struct gca_memstats mem_of(struct gca_heap *heap)
{
	struct gca_memstats s = { .size = sizeof(s) };
	int err = gca_memstats(heap, &s);

	if (err)
		bail("gca_memstats: %s", gca_error());
	return s;
}

static struct gca_gcstats gc_of(struct gca_heap *heap)
{
	struct gca_gcstats s = { .size = sizeof(s) };
	int err = gca_gcstats(heap, &s);

	if (err)
		bail("gca_gcstats: %s", gca_error());
	return s;
}

/* NULL: all is as the header says. */
static const char *wrong_in(const struct gca_memstats *s)
{
	uint64_t mallocs = 0, frees = 0;

	if (s->heap_sys != s->heap_inuse + s->heap_idle)
		return "sys = inuse + idle";
	if (s->heap_released > s->heap_idle)
		return "released <= idle";
	if (s->heap_objects != s->mallocs - s->frees)
		return "objects = mallocs - frees";
	if (s->sys != s->heap_sys + s->mspan_sys + s->gc_sys)
		return "sys is a sum";
	if (s->alloc != s->heap_alloc)
		return "alloc = heap_alloc";
	if (s->mspan_inuse > s->mspan_sys)
		return "mspan_inuse <= mspan_sys";
	if (s->num_forced_gc > s->num_gc + 1)
		return "forced <= all";
	if (!s->num_gc != !s->last_gc)
		return "last_gc is set by the first cycle";
	for (uint32_t i = 0; i < s->nr_sizes; i++) {
		if (s->by_size[i].frees > s->by_size[i].mallocs)
			return "frees <= mallocs of a size";
		if (i && s->by_size[i].size <= s->by_size[i - 1].size)
			return "sizes go up";
		mallocs += s->by_size[i].mallocs;
		frees += s->by_size[i].frees;
	}
	/* Large objects are of no size. */
	if (frees > s->frees)
		return "frees of all sizes";
	return NULL;
}

static uint64_t of_size(const struct gca_memstats *s, uint32_t size, bool freed)
{
	for (uint32_t i = 0; i < s->nr_sizes; i++)
		if (s->by_size[i].size == size)
			return freed ? s->by_size[i].frees : s->by_size[i].mallocs;
	bail("no size class of %u bytes", size);
}

static void check(struct gca_heap *heap, const char *when)
{
	struct gca_memstats s = mem_of(heap);
	const char *wrong = wrong_in(&s);

	ok(!wrong, "%s: %s", when, wrong ? wrong : "the equalities hold");
}

static void test_counts(enum gca_mode mode)
{
	const char *name = mode == GCA_MODE_CONCURRENT ? "concurrent" : "stopped";
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_memstats s, before;

	check(heap, "empty");
	before = mem_of(heap);
	eq(before.mallocs, 0, "%s: nothing allocated", name);
	eq(before.num_gc, 0, "%s: no cycle", name);
	{
		GCA_FRAME(m, f, struct pair *head; void *large);

		for (unsigned int i = 0; i < 1000; i++) {
			struct pair *pair = must(gca_new(m, pair));

			must(gca_new_bytes(m, 1000));
			if (i % 2)
				continue;
			gca_store(m, &pair->a, f.head);
			f.head = pair;
		}
		f.large = must(gca_new_bytes(m, 100000));
		must(gca_new_bytes(m, 100000));
		s = mem_of(heap);
		eq(s.mallocs, 2002, "%s: every object is counted", name);
		eq(of_size(&s, 16, false), 1000, "%s: those of 16 bytes", name);
		eq(s.frees, 0, "%s: none is dead before a cycle", name);
		ok(s.heap_alloc >= 1000 * 16 + 1000 * 1000 + 2 * 100000 &&
		   s.heap_alloc == s.total_alloc, "%s: and its bytes", name);
		check(heap, "allocated");

		gca_collect(m);
		s = mem_of(heap);
		eq(s.num_gc, 1, "%s: a cycle", name);
		eq(s.num_forced_gc, 1, "%s: forced", name);
		eq(s.frees, 500 + 1000 + 1, "%s: the dead are counted", name);
		eq(s.heap_objects, 501, "%s: and the living", name);
		eq(of_size(&s, 16, true), 500, "%s: by size", name);
		ok(s.heap_inuse && s.heap_sys && s.gc_sys && s.mspan_inuse, "%s: in use", name);
		eq(s.pause_ns[0], s.pause_total_ns, "%s: one pause is the total", name);
		ok(s.last_gc == s.pause_end[0] && s.last_gc / 1000000000 >= 1700000000,
		   "%s: it ended after 2023", name);
		ok(s.gc_cpu_fraction > 0 && s.gc_cpu_fraction <= 1, "%s: CPU share %f", name,
		   s.gc_cpu_fraction);
		check(heap, "collected");
		eq(s.generation, before.generation + 1, "%s: tagged with the generation", name);
		ok(s.sequence != before.sequence, "%s: and the arena's sequence", name);
		ok(test_on_device() ? s.arena : !s.arena, "%s: the arena's name is %u", name,
		   s.arena);

		/* Survivors of two cycles die once. */
		f.head = NULL;
		gca_collect(m);
		gca_collect(m);
		s = mem_of(heap);
		eq(s.frees, 2001, "%s: each dies once", name);
		eq(s.heap_objects, 1, "%s: but for one", name);
	}
	gca_detach(m);
	check(heap, "detached");
	gca_close(heap);
}

static void test_pauses(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t total = 0, buckets = 0;
	unsigned int unordered = 0;
	struct gca_memstats s;
	struct gca_gcstats g;

	g = gc_of(heap);
	ok(!g.num_gc && !g.nr_pauses && !g.last_gc && !g.pause_quantiles[4], "no pause yet");
	for (unsigned int i = 0; i < ROUNDS; i++) {
		must(gca_new_bytes(m, 100));
		gca_collect(m);
	}
	s = mem_of(heap);
	g = gc_of(heap);
	eq(s.num_gc, ROUNDS, "cycles");
	eq(g.num_gc, ROUNDS, "in both");
	eq(g.nr_pauses, GCA_PAUSES, "the last pauses are remembered");
	eq(g.pause_ns[0], s.pause_ns[(s.num_gc + 255) % 256], "most recent first");
	eq(g.pause_end[0], s.last_gc, "with its end");
	for (unsigned int i = 0; i < g.nr_pauses; i++) {
		total += g.pause_ns[i];
		unordered += i && g.pause_end[i] > g.pause_end[i - 1];
	}
	eq(unordered, 0, "each ended before the next");
	ok(total <= g.pause_total_ns, "they are part of the total");
	for (unsigned int i = 0; i < GCA_STOP_BUCKETS; i++)
		buckets += g.pauses.buckets[i];
	eq(buckets, ROUNDS, "the histogram has all of them");
	eq(g.pauses.count, ROUNDS, "and their number");
	for (unsigned int i = 1; i < GCA_QUANTILES; i++)
		ok(g.pause_quantiles[i - 1] <= g.pause_quantiles[i], "quantile %u", i);
	eq(g.pause_quantiles[4], g.pauses.max_ns, "the last is the longest");

	for (unsigned int cause = 0; cause < GCA_STOP_CAUSES; cause++) {
		const struct gca_stops *stops = &g.stops[cause];

		buckets = 0;
		for (unsigned int i = 0; i < GCA_STOP_BUCKETS; i++)
			buckets += stops->buckets[i];
		ok(buckets == stops->count && stops->max_ns <= stops->total_ns &&
		   !stops->count == !stops->total_ns, "stops by %s: %llu, %llu ns at most",
		   gca_stop_name(cause), (unsigned long long)stops->count,
		   (unsigned long long)stops->max_ns);
	}
	/* Whoever waits for a cycle is blocked, and answered for. */
	ok(g.stops[GCA_STOP_PROXY].count >= ROUNDS, "each cycle answered for the blocked thread");
	ok(!gca_stop_name(GCA_STOP_CAUSES), "no name beyond the last");
	gca_detach(m);
	gca_close(heap);
}

static void test_errors(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_memstats s = { .size = sizeof(s) - 8 };
	struct gca_gcstats g = { .size = 0 };

	eq(gca_memstats(heap, &s), -EINVAL, "memstats: a wrong size");
	eq(s.heap_sys, 0, "nothing is written");
	eq(gca_gcstats(heap, &g), -EINVAL, "gcstats: a wrong size");
	gca_close(heap);
}

/* ------------------------------------------------- beside running mutators */

static struct gca_heap *shared;
static bool done;

static void churn(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct pair *head);
	unsigned int i = 0;

	while (!__atomic_load_n(&done, __ATOMIC_RELAXED)) {
		struct pair *pair = must(gca_new(m, pair));

		gca_store(m, &pair->a, f.head);
		f.head = ++i % 5000 ? pair : NULL;
		must(gca_new_bytes(m, 300));
	}
}

static void *allocate(void *unused)
{
	struct gca_mutator *m = attach(shared, GCA_STACK_PRECISE);

	churn(m);
	gca_detach(m);
	return NULL;
}

static void test_beside(void)
{
	struct gca_memstats last = { 0 }, s;
	const char *wrong = NULL, *first = NULL;
	unsigned int backwards = 0;
	pthread_t threads[2];

	shared = open_with(NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, allocate, NULL);
	for (size_t i = 0; i < scaled(READS) || mem_of(shared).num_gc < 5; i++) {
		s = mem_of(shared);
		wrong = wrong_in(&s);
		if (wrong && !first)
			first = wrong;
		backwards += s.mallocs < last.mallocs || s.frees < last.frees ||
			     s.num_gc < last.num_gc || s.pause_total_ns < last.pause_total_ns;
		last = s;
		if (i % 16 == 0)
			usleep(100);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ok(!first, "beside %llu cycles: %s", (unsigned long long)last.num_gc,
	   first ? first : "the equalities hold");
	eq(backwards, 0, "what counts up never counts down");
	{
		struct gca_mutator *m = attach(shared, GCA_STACK_PRECISE);

		gca_collect(m);
		s = mem_of(shared);
		eq(s.heap_objects, 0, "all that was allocated has died");
		eq(s.mallocs, s.frees, "and is counted as such");
		gca_detach(m);
	}
	gca_close(shared);
}

/* Of many, the fastest hundred: what it costs when nobody takes the CPU. */
static void test_cost(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	uint64_t best = UINT64_MAX;

	for (unsigned int i = 0; i < 50; i++) {
		struct gca_memstats s = { .size = sizeof(s) };
		struct timespec from, to;
		uint64_t ns;

		clock_gettime(CLOCK_MONOTONIC, &from);
		for (unsigned int j = 0; j < 100; j++)
			gca_memstats(heap, &s);
		clock_gettime(CLOCK_MONOTONIC, &to);
		ns = ((uint64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (uint64_t)to.tv_nsec -
		      (uint64_t)from.tv_nsec) / 100;
		best = ns < best ? ns : best;
	}
	printf("# gca_memstats(): %llu ns\n", (unsigned long long)best);
	/* Unoptimised, emulated, sanitised: still far from a lock or a system call. */
	ok(best < (TEST_ASAN || test_on_device() ? 100000 : 4000), "reading is cheap");
	gca_close(heap);
}

int main(void)
{
	test_counts(GCA_MODE_CONCURRENT);
	test_counts(GCA_MODE_STOP_THE_WORLD);
	test_pauses();
	test_errors();
	test_beside();
	test_cost();
	return tap_done();
}
