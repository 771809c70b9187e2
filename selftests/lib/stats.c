// SPDX-License-Identifier: MIT
/*
 * Statistics: the equalities that gcarena.h states, counts that can be known
 * exactly, several heaps that know nothing of each other.
 */
#include "lib.h"

struct pair;
#define PAIR_FIELDS(F) F(REF, struct pair, a) F(REF, struct pair, b)
GCA_STRUCT(pair, PAIR_FIELDS);

static void check_equalities(struct gca_heap *heap, const char *when)
{
	struct gca_stats s = stats_of(heap);

	eq(s.heap_sys, s.heap_inuse + s.heap_idle, "%s: sys = inuse + idle", when);
	ok(s.heap_released <= s.heap_idle, "%s: released <= idle", when);
	ok(s.heap_alloc >= s.heap_live, "%s: alloc >= live", when);
	ok(s.heap_alloc <= s.heap_inuse, "%s: alloc %llu <= inuse %llu", when,
	   (unsigned long long)s.heap_alloc, (unsigned long long)s.heap_inuse);
	ok(s.pause_p50_ns <= s.pause_p99_ns && s.pause_p99_ns <= s.pause_max_ns &&
	   s.pause_max_ns <= s.pause_total_ns, "%s: p50 <= p99 <= max <= total", when);
	ok(s.num_forced_gc <= s.num_gc, "%s: forced <= all", when);
	ok(s.size == sizeof(s), "%s: the size is kept", when);
}

static void test_counts(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	struct gca_stats before, after;

	check_equalities(heap, "empty");
	before = stats_of(heap);
	eq(before.mallocs, 0, "nothing allocated");
	eq(before.num_gc, 0, "no cycle");
	{
		GCA_FRAME(m, f, struct pair *head);
		for (unsigned int i = 0; i < 1000; i++) {
			struct pair *pair = must(gca_new(m, pair));

			gca_init(m, &pair->a, f.head);
			f.head = pair;
		}
		for (unsigned int i = 0; i < 500; i++)
			must(gca_new_bytes(m, 1000));
		for (unsigned int i = 0; i < 3; i++)
			must(gca_new_bytes(m, 100000));
		after = stats_of(heap);
		eq(after.mallocs - before.mallocs, 1503, "every object is counted");
		ok(after.total_alloc >= 1000 * 16 + 500 * 1000 + 3 * 100000 &&
		   after.total_alloc <= (1000 * 32 + 500 * 1152 + 3 * 106496),
		   "and its bytes: %llu", (unsigned long long)after.total_alloc);
		check_equalities(heap, "allocated");
		ok(after.heap_alloc >= after.total_alloc, "all of it counts as in the heap");
		eq(gca_collect(m), 0, "gca_collect()");
		after = stats_of(heap);
		eq(after.num_gc, 1, "one cycle");
		eq(after.num_forced_gc, 1, "forced");
		eq(after.heap_live_objects, 1000, "live objects are exact");
		ok(after.heap_live >= 1000 * 16 && after.heap_live <= 1000 * 32,
		   "live bytes are theirs: %llu", (unsigned long long)after.heap_live);
		eq(after.mallocs, 1503, "what died was allocated all the same");
		ok(after.pause_max_ns && after.gc_cpu_ns, "pause and CPU time are measured");
		check_equalities(heap, "collected");
		ok(after.meta_sys, "the tables are counted");
	}
	gca_collect(m);
	after = stats_of(heap);
	eq(after.heap_live_objects, 0, "all dead");
	eq(after.heap_live, 0, "and no bytes live");
	eq(after.num_gc, 2, "two cycles");
	check_equalities(heap, "emptied");
}

static void test_pacing(void)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct gca_stats s;
	uint64_t cycles;

	gca_config_init(&config);
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	s = stats_of(heap);
	eq(s.next_gc, 4 * MIB, "the first cycle is due at 4 MiB");
	for (size_t i = 0; i < 3 * MIB; i += 1000)
		must(gca_new_bytes(m, 1000));
	eq(stats_of(heap).num_gc, 0, "3 MiB do not start one");
	for (size_t i = 0; i < 2 * MIB; i += 1000)
		must(gca_new_bytes(m, 1000));
	s = stats_of(heap);
	eq(s.num_gc, 1, "5 MiB do");
	eq(s.num_forced_gc, 0, "unforced");
	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, 20 * KIB));
		for (unsigned int i = 0; i < 20 * KIB; i++)
			gca_store(m, &f.table[i], must(gca_new_bytes(m, 1000)));
		gca_collect(m);
		s = stats_of(heap);
		ok(s.heap_live > 20 * MIB, "20 MiB live");
		ok(s.next_gc >= 2 * s.heap_live - s.heap_live / 100 &&
		   s.next_gc <= 2 * s.heap_live + s.heap_live / 100,
		   "then the next is due at the double: %llu of %llu",
		   (unsigned long long)s.next_gc, (unsigned long long)s.heap_live);
		cycles = s.num_gc;
		gca_set_percent(heap, 50);
		s = stats_of(heap);
		ok(s.next_gc <= s.heap_live * 151 / 100 && s.next_gc >= s.heap_live * 149 / 100,
		   "percent 50 acts at once");
		for (size_t i = 0; i < 35 * MIB; i += 1000)
			must(gca_new_bytes(m, 1000));
		s = stats_of(heap);
		/* They begin before the goal, by an estimate. */
		ok(s.num_gc - cycles >= 3 && s.num_gc - cycles <= 8, "35 MiB more are %llu cycles",
		   (unsigned long long)(s.num_gc - cycles));
		gca_set_percent(heap, GCA_PERCENT_OFF);
		gca_collect(m);		/* one may be under way */
		cycles = stats_of(heap).num_gc;
		for (size_t i = 0; i < 35 * MIB; i += 1000)
			must(gca_new_bytes(m, 1000));
		eq(stats_of(heap).num_gc, cycles, "off: none");
		gca_set_percent(heap, 100);
		for (size_t i = 0; i < MIB; i += 1000)
			must(gca_new_bytes(m, 1000));
		ok(stats_of(heap).num_gc > cycles, "on again: at once");
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_errors(struct gca_heap *heap)
{
	struct gca_stats s;

	memset(&s, 0x5a, sizeof(s));
	s.size = 0;
	eq(gca_stats(heap, &s), -EINVAL, "size 0");
	ok(is_filled(&s.total_alloc, 0x5a, sizeof(s) - sizeof(s.size)), "nothing is written");
	s.size = sizeof(s) + 8;
	eq(gca_stats(heap, &s), -EINVAL, "a size that is too large");
}

#define HEAPS 6

static void test_heaps(void)
{
	struct gca_mutator *m[HEAPS];
	struct gca_heap *heap[HEAPS];
	struct pair *kept[HEAPS];
	size_t wrong = 0;

	for (unsigned int i = 0; i < HEAPS; i++) {
		heap[i] = open_quiet(i % 2 ? GCA_MODE_STOP_THE_WORLD : GCA_MODE_CONCURRENT);
		m[i] = attach(heap[i], GCA_STACK_PRECISE);
	}
	{
		GCA_FRAME(m[0], f0, struct pair *head);
		GCA_FRAME(m[1], f1, struct pair *head);
		GCA_FRAME(m[2], f2, struct pair *head);
		struct pair **head[3] = { &f0.head, &f1.head, &f2.head };

		for (unsigned int i = 0; i < 3000; i++) {
			unsigned int h = i % HEAPS;
			struct pair *pair = must(gca_new(m[h], pair));

			if (h < 3) {
				gca_store(m[h], &pair->a, *head[h]);
				*head[h] = pair;
			}
			kept[h] = pair;
		}
		for (unsigned int i = 0; i < HEAPS; i++)
			for (unsigned int j = 0; j < HEAPS; j++)
				wrong += !gca_object_of(heap[i], kept[j], NULL) == (i == j);
		eq(wrong, 0, "each heap knows its own objects only");
		for (unsigned int i = 0; i < HEAPS; i++)
			eq(live_objects(m[i]), i < 3 ? 500 : 0, "heap %u", i);
	}
	eq(live_objects(m[1]), 0, "one is emptied");
	eq(stats_of(heap[0]).heap_live_objects, 500, "another is not collected by that");
	for (unsigned int i = 0; i < HEAPS; i++) {
		gca_detach(m[i]);
		wrong += gca_close(heap[i]) != 0;
	}
	eq(wrong, 0, "all closed");
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	test_counts(m);
	test_errors(heap);
	gca_detach(m);
	gca_close(heap);
	test_pacing();
	test_heaps();
	return tap_done();
}
