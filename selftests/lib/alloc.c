// SPDX-License-Identifier: MIT
/*
 * Allocation: alignment, zeroing of fresh and of reused memory, tiny, small and
 * large objects, contents across collections, and every way to get NULL.
 */
#include "lib.h"

/* Sizes about each place where the path or the arithmetic changes. */
static const size_t sizes[] = {
	1, 2, 7, 8, 14, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 100, 127, 128, 129, 255, 256,
	257, 400, 495, 496, 497, 511, 512, 513, 527, 528, 1000, 1023, 1024, 1025, 2000, 2047, 2048,
	4095, 4096, 5000, 8191, 8192, 8193, 16383, 16384, 20000, 32751, 32752, 32767, 32768, 32769,
	40000, 65536, 100000, 262143, 262144, 524288, 1000000, 2097151, 2097152, 2097153, 5000000,
};

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

static size_t per_size(size_t size)
{
	size_t volume = scaled(4 * MIB) / size;

	return volume > 500 ? 500 : volume < 2 ? 2 : volume;
}

static const struct gca_kind *kind_number(unsigned int i)
{
	return i == 0 ? gca_kind_noscan() : i == 1 ? gca_kind_refs() : gca_kind_conservative();
}

static const char * const kind_names[] = { "noscan", "refs", "conservative" };

/* What a reuse of the object must not show; pointers to itself where it has any. */
static void soil(struct gca_mutator *m, unsigned int k, void *object, size_t size)
{
	gca_ref *refs = object;

	if (k != 1)
		memset(object, 0xff, size);
	for (size_t i = 0; k == 1 && i < size / sizeof(*refs); i++)
		gca_store(m, &refs[i], object);
}

static void test_all_sizes(struct gca_mutator *m)
{
	for (unsigned int k = 0; k < 3; k++) {
		size_t unaligned = 0, dirty = 0, outside = 0, reused_dirty = 0, overlap = 0;

		for (size_t i = 0; i < NR_SIZES; i++) {
			size_t size = k == 1 ? (sizes[i] + 7) & ~7ul : sizes[i];
			size_t count = per_size(size);

			for (unsigned int round = 0; round < 2; round++) {
				unsigned char *last = NULL;

				for (size_t j = 0; j < count; j++) {
					unsigned char *p = must(gca_alloc(m, kind_number(k), size));
					unsigned char *base;
					size_t usable = 0;

					if (size >= 16 && (uintptr_t)p % 16)
						unaligned++;
					if (!is_zero(p, size))
						(*(round ? &reused_dirty : &dirty))++;
					base = gca_object_of(gca_heap_of(m), p + size - 1, &usable);
					/* A tiny one may be a part of a block. */
					if (!base || base > p || base + usable < p + size)
						outside++;
					if (last && last < p + size && p < last + size)
						overlap++;
					soil(m, k, p, size);
					last = p;
				}
				gca_collect(m);
			}
		}
		eq(unaligned, 0, "%s: 16-byte aligned", kind_names[k]);
		eq(dirty, 0, "%s: zeroed when fresh", kind_names[k]);
		eq(reused_dirty, 0, "%s: zeroed when reused", kind_names[k]);
		eq(overlap, 0, "%s: neighbours do not overlap", kind_names[k]);
		eq(outside, 0, "%s: gca_object_of() knows the last byte", kind_names[k]);
	}
}

/* Everything allocated at once: no two objects share a byte, and contents last. */
static void test_contents(struct gca_mutator *m)
{
	size_t count = 3000, wrong = 0, order = 0;
	struct rng rng = rng_seeded(1);

	GCA_FRAME(m, f, gca_ref *table);
	f.table = must(gca_new_refs(m, count));
	for (size_t i = 0; i < count; i++) {
		size_t size = sizes[rng_below(&rng, i % 50 ? NR_SIZES - 16 : NR_SIZES - 4)];
		unsigned char *p = must(gca_new_bytes(m, size));

		memset(p, (int)(i % 251 + 1), size);
		gca_store(m, &f.table[i], p);
		if (i % 500 == 0)
			gca_collect(m);
	}
	gca_collect(m);
	rng = rng_seeded(1);
	for (size_t i = 0; i < count; i++) {
		size_t size = sizes[rng_below(&rng, i % 50 ? NR_SIZES - 16 : NR_SIZES - 4)];
		unsigned char *p = gca_load(&f.table[i]);

		if (!is_filled(p, (unsigned char)(i % 251 + 1), size))
			wrong++;
		if (!gca_object_of(gca_heap_of(m), p, NULL))
			order++;
	}
	eq(wrong, 0, "%zu objects of all sizes keep their contents", count);
	eq(order, 0, "and are known to gca_object_of()");
}

static void test_tiny(struct gca_mutator *m)
{
	size_t count = scaled(20000), wrong = 0;

	GCA_FRAME(m, f, gca_ref *table);
	f.table = must(gca_new_refs(m, count));
	for (size_t i = 0; i < count; i++) {
		size_t size = i % 15 + 1;
		unsigned char *p = must(gca_new_bytes(m, size));

		if (!is_zero(p, size))
			wrong++;
		memset(p, (int)(i % 255 + 1), size);
		/* Most die, so that what shares their block must hold it. */
		if (i % 7 == 0)
			gca_store(m, &f.table[i], p);
		if (i % 5000 == 4999)
			gca_collect(m);
	}
	eq(wrong, 0, "tiny objects are zeroed");
	gca_collect(m);
	/* What was freed is used again and overwritten. */
	for (size_t i = 0; i < count; i++)
		memset(must(gca_new_bytes(m, i % 15 + 1)), 0xee, i % 15 + 1);
	for (size_t i = 0; i < count; i += 7)
		if (!is_filled(gca_load(&f.table[i]), (unsigned char)(i % 255 + 1), i % 15 + 1))
			wrong++;
	eq(wrong, 0, "tiny objects share nothing and outlive their neighbours");
}

#define SMALL_FIELDS(F) F(REF, struct small, next) F(VAL, long, key)
GCA_STRUCT(small, SMALL_FIELDS);

#define FLEX_FIELDS(F) F(VAL, long, length) F(TAIL, struct small, item)
GCA_STRUCT(flex, FLEX_FIELDS);

static bool fails(const void *object)
{
	bool said = gca_error()[0] != '\0';

	return !object && said;
}

static void test_null(struct gca_mutator *m)
{
	uint64_t failed = stats_of(gca_heap_of(m)).failed_allocs;
	struct small *one;

	ok(fails(gca_alloc(m, GCA_KIND(small), 8)), "smaller than the layout is NULL");
	ok(fails(gca_alloc(m, GCA_KIND(small), 0)), "size 0 with a layout is NULL");
	ok(fails(gca_new_bytes(m, SIZE_MAX)), "SIZE_MAX bytes is NULL");
	ok(fails(gca_new_bytes(m, SIZE_MAX - 15)), "nearly SIZE_MAX is NULL");
	ok(fails(gca_new_bytes(m, SIZE_MAX / 2)), "half of SIZE_MAX is NULL");
	ok(fails(gca_new_bytes(m, 1ul << 45)), "more than any heap is NULL");
	ok(fails(gca_new_refs(m, SIZE_MAX / 8 + 2)), "a count that overflows is NULL");
	ok(fails(gca_new_tail(m, flex, SIZE_MAX / 8)), "so is a flexible array's");
	ok(fails(gca_new_tail(m, small, 1)), "a tail of a kind without one is NULL");
	ok(stats_of(gca_heap_of(m)).failed_allocs > failed, "failures are counted");
	one = gca_new(m, small);
	ok(one && !gca_load(&one->next) && !one->key, "after all that, allocation works");
}

static void test_zero_size(struct gca_mutator *m)
{
	void *bytes = gca_new_bytes(m, 0);
	gca_ref *refs = gca_new_refs(m, 0);
	struct flex *flex = gca_new_tail(m, flex, 0);

	ok(bytes, "an object of no bytes is an object");
	ok(refs, "an array of no pointers too");
	ok(flex && !flex->length, "a flexible array may be empty");
}

/* A large object is as long as it says, to the last word, and dies whole. */
static void test_large(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	uint64_t before = live_objects(m);
	size_t count = 5 * MIB / sizeof(gca_ref), dirty = 0, lost = 0;

	{
		GCA_FRAME(m, f, gca_ref *big);
		f.big = must(gca_new_refs(m, count));
		for (size_t i = 0; i < count; i++)
			dirty += !!gca_load(&f.big[i]);
		eq(dirty, 0, "5 MiB of pointers are null");
		for (size_t i = 0; i < count; i += count / 1000) {
			long *leaf = must(gca_new_bytes(m, 16));

			*leaf = (long)i;
			gca_store(m, &f.big[i], leaf);
		}
		gca_store(m, &f.big[count - 1], must(gca_new_bytes(m, 64 * KIB)));
		gca_collect(m);
		for (size_t i = 0; i < count - 1; i += count / 1000)
			lost += *(long *)gca_load(&f.big[i]) != (long)i;
		eq(lost, 0, "what a large object refers to lives");
		ok(gca_object_of(heap, gca_load(&f.big[count - 1]), NULL), "its last slot counts");
		ok(gca_object_of(heap, (char *)f.big + 5 * MIB - 1, NULL) == f.big,
		   "its last byte is its own");
	}
	eq(live_objects(m), before, "it dies, with all it referred to");
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	test_all_sizes(m);
	test_contents(m);
	test_tiny(m);
	test_null(m);
	test_zero_size(m);
	test_large(m);
	eq(gca_detach(m), 0, "detach");
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
