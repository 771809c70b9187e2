// SPDX-License-Identifier: MIT
/*
 * Allocation in other forms, and stores of many pointers: arrays of a kind, aligned,
 * tiny, raw, strings, realloc, free; copy, clear and move of slots, with overlap and
 * across a cycle; exact kinds.  All of it idle, and while marking stands still.
 */
#include "lib.h"

#include "internal.h"

#define PAIR_FIELDS(F)	F(REF, struct pair, left) F(REF, struct pair, right)
GCA_STRUCT(pair, PAIR_FIELDS);
#define ITEM_FIELDS(F)	F(VAL, long, before) F(REF, struct item, next) F(VAL, long, after)
GCA_STRUCT(item, ITEM_FIELDS);
#define ENDS_FIELDS(F)	F(REF, struct ends, next) F(VALS, long, value, 3)
GCA_STRUCT(ends, ENDS_FIELDS);
#define TAILED_FIELDS(F) F(VAL, long, count) F(TAIL, struct pair, more)
GCA_STRUCT(tailed, TAILED_FIELDS);

/* Marking begins and stands still between the two: the collector is in a callback. */
struct brake {
	long unused;
};

static uint32_t brake_on, brake_reached, brake_off;

static void trace_brake(const void *object, size_t size, struct gca_visitor *visitor)
{
	if (!__atomic_exchange_n(&brake_on, 0, __ATOMIC_ACQ_REL))
		return;
	__atomic_store_n(&brake_reached, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&brake_off, __ATOMIC_ACQUIRE))
		sched_yield();
}

GCA_TRACED(brake, trace_brake);

static uint64_t marking_begin(struct gca_mutator *m)
{
	uint64_t cycle;

	__atomic_store_n(&brake_off, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&brake_reached, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&brake_on, 1, __ATOMIC_RELEASE);
	cycle = concurrent_request(gca_heap_of(m));
	while (!__atomic_load_n(&brake_reached, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	return cycle;
}

static void marking_end(struct gca_mutator *m, uint64_t cycle)
{
	__atomic_store_n(&brake_off, 1, __ATOMIC_RELEASE);
	concurrent_wait(m, cycle, UINT64_MAX);
	gca_collect(m);
}

static void test_exact(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	char *a = must(gca_new(m, pair)), *b = must(gca_new(m, pair));
	char *c = must(gca_new(m, ends)), *d = must(gca_new(m, ends));
	size_t size = 0;

	eq(sizeof(struct pair), 16, "a structure of two pointers");
	ok(b - a == 16 || a - b == 16, "fills its slot");
	ok(gca_object_of(heap, a, &size) == a && size == 16, "and has its 16 bytes");
	ok(gca_object_of(heap, a + 16, NULL) != a, "one past its end is another's");
	ok(llabs(d - c) == 48 || TEST_ASAN, "one that ends in an array has padding");
	ok(gca_object_of(heap, c + 32, NULL) == c, "so that one past its end is its own");
	a = must(gca_alloc(m, GCA_KIND(pair), 16));
	ok(gca_object_of(heap, a, &size) == a && size == 16, "the same by gca_alloc()");
	a = must(gca_alloc(m, GCA_KIND(pair), 17));
	ok(gca_object_of(heap, a, &size) == a && size >= 17, "a longer one has its bytes");
}

static void test_arrays(struct gca_mutator *m)
{
	static const size_t counts[] = { 1, 2, 7, 21, 22, 100, 1000, 5000 };
	struct gca_heap *heap = gca_heap_of(m);
	size_t lost = 0, missing = 0, wrong = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		GCA_FRAME(m, f, struct item *items);
		f.items = must(gca_new_array(m, item, counts[i]));
		missing += !gca_object_of(heap, (char *)(f.items + counts[i]) - 1, NULL);
		for (size_t j = 0; j < counts[i]; j++) {
			struct item *leaf = must(gca_new(m, item));

			leaf->before = (long)j;
			/* Data that looks like a pointer is none. */
			f.items[j].before = (long)leaf + 24;
			f.items[j].after = -1;
			gca_store(m, &f.items[j].next, leaf);
		}
		wrong += live_objects(m) != 1 + counts[i] + 1;
		for (size_t j = 0; j < counts[i]; j++)
			lost += gca_load(&f.items[j].next)->before != (long)j;
	}
	eq(missing, 0, "arrays of a kind have room for all their elements");
	eq(lost, 0, "what their elements refer to lives");
	eq(wrong, 0, "and nothing else does");
	ok(!gca_new_array(m, item, SIZE_MAX / 8), "too many elements are NULL");
	ok(!gca_new_array(m, tailed, 2), "so are elements with a tail");
	ok(gca_new_array(m, brake, 3), "elements may have a callback");
}

static void test_aligned(struct gca_mutator *m)
{
	static const struct gca_kind *(*const kinds[])(void) = {
		gca_kind_noscan, gca_kind_conservative,
	};
	size_t unaligned = 0, dirty = 0, none = 0, outside = 0;

	for (size_t align = 1; align <= 8192; align *= 2) {
		for (size_t size = 1; size < 70000; size = size * 3 + 1) {
			for (unsigned int k = 0; k < 2; k++) {
				char *p = gca_alloc_aligned(m, kinds[k](), size, align);

				none += !p;
				if (!p)
					continue;
				unaligned += (uintptr_t)p % align != 0;
				dirty += !is_zero(p, size);
				outside += gca_object_of(gca_heap_of(m), p + size - 1, NULL) != p;
				memset(p, 0xff, size);
			}
		}
	}
	eq(none, 0, "aligned allocation of all sizes");
	eq(unaligned, 0, "aligned");
	eq(dirty, 0, "zeroed");
	eq(outside, 0, "with its bytes");
	ok(!gca_alloc_aligned(m, gca_kind_noscan(), 8, 48), "48 is no alignment");
	ok(!gca_alloc_aligned(m, gca_kind_noscan(), 8, 16384), "nor is more than a page");
	ok(!gca_alloc_aligned(m, gca_kind_noscan(), SIZE_MAX, 64), "nor SIZE_MAX a size");
}

static void test_tiny_forms(struct gca_mutator *m)
{
	size_t count = scaled(20000), unaligned = 0, wrong = 0, blocks;

	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, count));
		blocks = live_objects(m);
		for (size_t i = 0; i < count; i++) {
			size_t size = i % 9;
			unsigned char *p = must(gca_new_tiny(m, size));

			unaligned += size && (uintptr_t)p % (size & -size) != 0;
			wrong += !is_zero(p, size);
			memset(p, (int)(i % 255 + 1), size);
			gca_store(m, &f.table[i], p);
			if (i % 3000 == 2999)
				gca_collect(m);
		}
		eq(unaligned, 0, "tiny objects are aligned to what divides them");
		eq(wrong, 0, "and zeroed");
		blocks = live_objects(m) - blocks;
		ok(blocks < count / 2, "%zu of them share %zu slots", count, blocks);
		/* Most die, so that what shares their block must hold it. */
		for (size_t i = 0; i < count; i++)
			if (i % 5)
				gca_store(m, &f.table[i], NULL);
		gca_collect(m);
		for (size_t i = 0; i < count; i++)
			memset(must(gca_new_tiny(m, i % 9)), 0xee, i % 9);
		for (size_t i = 0; i < count; i += 5)
			wrong += !is_filled(gca_load(&f.table[i]), (unsigned char)(i % 255 + 1),
					    i % 9);
		eq(wrong, 0, "one reference keeps its block");
	}
	eq(live_objects(m), 0, "and without one it dies");
}

static void test_strings(struct gca_mutator *m)
{
	size_t dirty = 0;

	ok(!strcmp(must(gca_strdup(m, "a word")), "a word"), "gca_strdup()");
	ok(!strcmp(must(gca_strndup(m, "a word", 3)), "a w"), "gca_strndup() cuts");
	ok(!strcmp(must(gca_strndup(m, "a word", 99)), "a word"), "or does not");
	ok(!strcmp(must(gca_strdup(m, "")), ""), "the empty string is one");
	for (size_t size = 1; size < 40000; size = size * 2 + 1)
		memset(must(gca_new_bytes_raw(m, size)), 0xff, size);
	gca_collect(m);
	for (size_t size = 1; size < 40000; size = size * 2 + 1)
		dirty += !is_zero(must(gca_new_bytes(m, size)), size);
	eq(dirty, 0, "bytes are zeroed although raw ones were there");
}

static void test_realloc(struct gca_mutator *m)
{
	size_t wrong = 0, size = 0, steps = 0;

	{
		GCA_FRAME(m, f, unsigned char *p; gca_ref *refs; gca_ref *fresh);
		while (size < 100000) {
			size_t larger = size + size / 3 + 1;

			f.p = must(gca_realloc(m, gca_kind_noscan(), f.p, size, larger));
			wrong += size && !is_filled(f.p, (unsigned char)steps, size);
			wrong += !is_zero(f.p + size, larger - size);
			steps++;
			memset(f.p, (unsigned char)steps, larger);
			size = larger;
		}
		eq(wrong, 0, "realloc in %zu steps keeps the old and zeroes the new", steps);
		f.p = must(gca_realloc(m, gca_kind_noscan(), f.p, size, 100));
		ok(is_filled(f.p, (unsigned char)steps, 100), "shrunk: the beginning is left");
		f.refs = must(gca_new_refs(m, 10));
		for (unsigned int i = 0; i < 10; i++)
			gca_store(m, &f.refs[i], must(gca_new(m, item)));
		/* A live map: pointers of an array that grows while marking. */
		{
			uint64_t cycle = marking_begin(m);

			f.fresh = must(gca_realloc(m, gca_kind_refs(), f.refs, 80, 8000));
			f.refs = NULL;
			marking_end(m, cycle);
		}
		wrong = 0;
		for (unsigned int i = 0; i < 1000; i++) {
			void *to = gca_load(&f.fresh[i]);

			wrong += (i < 10) != !!to ||
				 (to && !gca_object_of(gca_heap_of(m), to, NULL));
		}
		eq(wrong, 0, "an array of pointers grows while marking is on");
		ok(!gca_realloc(m, gca_kind_noscan(), f.p + 1, 10, 20), "no object, no realloc");
		ok(!gca_realloc(m, gca_kind_noscan(), f.p, 4000, 20), "nor with a wrong size");
	}
}

static void test_free(struct gca_mutator *m)
{
	uint64_t cycle;
	void *a, *b;

	ok(!gca_free(m, NULL), "NULL is not freed");
	if (TEST_ASAN) {
		skip(6, "an ASan build leaves all to the collector");
		return;
	}
	a = must(gca_new(m, item));
	memset(a, 0xff, sizeof(struct item));
	ok(gca_free(m, a), "the last object comes free");
	b = must(gca_new(m, item));
	ok(a == b, "and its memory is used at once");
	ok(is_zero(b, sizeof(struct item)), "zeroed");
	a = must(gca_new(m, item));
	ok(gca_free(m, b) && !gca_object_of(gca_heap_of(m), b, NULL), "an older one too");
	ok(!gca_free(m, b), "but once");
	cycle = marking_begin(m);
	ok(!gca_free(m, a) && gca_object_of(gca_heap_of(m), a, NULL), "none while marking");
	marking_end(m, cycle);
}

#define SLOTS	100u

static bool moved_as(struct gca_mutator *m, unsigned int how, unsigned int to, unsigned int from,
		     unsigned int count)
{
	void *want[SLOTS], *had[SLOTS];
	bool right = true;

	GCA_FRAME(m, f, gca_ref *slots);
	f.slots = must(gca_new_refs(m, SLOTS));
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct item *item = must(gca_new(m, item));

		gca_store(m, &f.slots[i], item);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		had[i] = gca_load(&f.slots[i]);
	memcpy(want, had, sizeof(want));
	if (how == 2)
		memset(&want[from], 0, count * sizeof(want[0]));
	memcpy(&want[to], &had[from], count * sizeof(want[0]));
	if (how == 1)
		gca_copy_refs(m, &f.slots[to], &f.slots[from], count);
	else
		gca_move_refs(m, &f.slots[to], &f.slots[from], count);
	for (unsigned int i = 0; i < SLOTS; i++)
		right &= gca_load(&f.slots[i]) == want[i];
	gca_clear_refs(m, f.slots, SLOTS);
	for (unsigned int i = 0; i < SLOTS; i++)
		right &= !gca_load(&f.slots[i]);
	return right;
}

static void test_bulk(struct gca_mutator *m, const char *when)
{
	static const struct item empty;
	size_t wrong[3] = { 0 }, bad = 0;

	for (unsigned int i = 0; i < 60; i++) {
		unsigned int to = i * 7 % 50, from = i * 13 % 50, count = i % 50;

		for (unsigned int how = 1; how <= 2; how++)
			wrong[how] += !moved_as(m, how, to, from, count);
	}
	eq(wrong[1], 0, "%s: slots are copied, overlap or not", when);
	eq(wrong[2], 0, "%s: and moved, what they left is clear", when);
	{
		GCA_FRAME(m, f, struct item *items);
		f.items = must(gca_new_array(m, item, 20));
		for (unsigned int i = 0; i < 20; i++) {
			f.items[i].before = (int)i;
			f.items[i].after = -(int)i;
			gca_store(m, &f.items[i].next, must(gca_new(m, item)));
			gca_load(&f.items[i].next)->before = (int)i;
		}
		gca_copy_structs(m, item, &f.items[5], &f.items[0], 15);
		gca_copy_structs(m, item, &f.items[0], &empty, 1);
		for (int i = 5; i < 20; i++)
			bad += f.items[i].before != i - 5 || f.items[i].after != 5 - i ||
			       gca_load(&f.items[i].next)->before != i - 5;
		bad += !!gca_load(&f.items[0].next);
		eq(bad, 0, "%s: structures are copied whole", when);
	}
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;

	test_exact(m);
	test_tiny_forms(m);
	{
		GCA_FRAME(m, f, struct brake *brake);
		f.brake = must(gca_new(m, brake));
		test_arrays(m);
		test_aligned(m);
		test_strings(m);
		test_realloc(m);
		test_free(m);
		test_bulk(m, "idle");
		cycle = marking_begin(m);
		test_bulk(m, "marking");
		marking_end(m, cycle);
	}
	eq(live_objects(m), 0, "nothing is left");
	eq(gca_detach(m), 0, "detach");
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
