// SPDX-License-Identifier: MIT
/*
 * Kinds: the collector follows every pointer field and nothing else.
 *
 * With precise stacks the number of survivors is exact, so that each test plants
 * in data fields the addresses of objects that must die, and in pointer fields
 * objects that must live, at every slot and for sizes of each flavour: pointer
 * bits to 512 bytes, kind ids above, spans of their own for large ones.
 */
#include "lib.h"

struct leaf;
#define LEAF_FIELDS(F) F(REF, struct leaf, self) F(VAL, unsigned long, tag)
GCA_STRUCT(leaf, LEAF_FIELDS);

/* Every sort of field; the data fields before, between and after. */
#define ALL_FIELDS(F)				\
	F(VAL, uintptr_t, before)		\
	F(REF, struct leaf, one)		\
	F(VALS, uintptr_t, between, 3)		\
	F(REFS, struct leaf, four, 4)		\
	F(RAW, void *, outside)			\
	F(VALS, char, name, 13)			\
	F(REF, void, any)			\
	F(VAL, uintptr_t, after)
GCA_STRUCT(all, ALL_FIELDS);

#define TAIL_FIELDS(F)				\
	F(REF, struct leaf, first)		\
	F(VAL, uintptr_t, length)		\
	F(TAIL, struct leaf, item)
GCA_STRUCT(tailed, TAIL_FIELDS);

/* Pointers at both ends of objects whose words span one, two and many words of
 * pointer bits, and beyond what pointer bits serve.
 */
#define WIDE_FIELDS(F)				\
	F(REF, struct leaf, first)		\
	F(VALS, uintptr_t, pad, WIDE_PAD)	\
	F(REF, struct leaf, last)
#define WIDE_PAD 29
GCA_STRUCT(wide31, WIDE_FIELDS);
#undef WIDE_PAD
#define WIDE_PAD 61
GCA_STRUCT(wide63, WIDE_FIELDS);
#undef WIDE_PAD
#define WIDE_PAD 62
GCA_STRUCT(wide64, WIDE_FIELDS);
#undef WIDE_PAD
#define WIDE_PAD 63
GCA_STRUCT(wide65, WIDE_FIELDS);
#undef WIDE_PAD
#define WIDE_PAD 500
GCA_STRUCT(wide502, WIDE_FIELDS);
#undef WIDE_PAD
#define WIDE_PAD 10000
GCA_STRUCT(wide10002, WIDE_FIELDS);

static unsigned long tags;

static struct leaf *new_leaf(struct gca_mutator *m)
{
	struct leaf *leaf = must(gca_new(m, leaf));

	gca_store(m, &leaf->self, leaf);
	leaf->tag = ++tags;
	return leaf;
}

static bool is_leaf(struct leaf *leaf)
{
	return leaf && gca_load(&leaf->self) == leaf;
}

/* An object that nothing but data refers to. */
static uintptr_t doomed(struct gca_mutator *m)
{
	return (uintptr_t)new_leaf(m);
}

static bool alive(struct gca_mutator *m, uintptr_t address)
{
	return gca_object_of(gca_heap_of(m), (void *)address, NULL);
}

static void test_fields(struct gca_mutator *m)
{
	enum { OBJECTS = 400 };
	uint64_t before = live_objects(m);
	size_t wrong = 0;

	GCA_FRAME(m, f, gca_ref *table; struct all *all);
	f.table = must(gca_new_refs(m, OBJECTS));
	for (unsigned int i = 0; i < OBJECTS; i++) {
		f.all = must(gca_new(m, all));
		gca_store(m, &f.table[i], f.all);
		f.all->before = doomed(m);
		f.all->after = doomed(m);
		for (unsigned int j = 0; j < 3; j++)
			f.all->between[j] = doomed(m);
		gca_store(m, &f.all->one, new_leaf(m));
		for (unsigned int j = 0; j < 4; j++)
			gca_store(m, &f.all->four[j], new_leaf(m));
		f.all->outside = (void *)doomed(m);
		strcpy(f.all->name, "twelve chars");
		gca_store(m, &f.all->any, gca_load(&f.all->four[i % 4]));
	}
	eq(live_objects(m), before + 1 + OBJECTS * 6, "REF and REFS keep, data and RAW do not");
	for (unsigned int i = 0; i < OBJECTS; i++) {
		struct all *all = gca_load(&f.table[i]);

		wrong += !is_leaf(gca_load(&all->one));
		for (unsigned int j = 0; j < 4; j++)
			wrong += !is_leaf(gca_load(&all->four[j]));
		wrong += gca_load(&all->any) != (void *)gca_load(&all->four[i % 4]);
		wrong += strcmp(all->name, "twelve chars") != 0;
		wrong += alive(m, all->before) + alive(m, all->between[1]) +
			 alive(m, (uintptr_t)all->outside) + alive(m, all->after);
	}
	eq(wrong, 0, "all fields hold what was stored");
}

static void test_tails(struct gca_mutator *m)
{
	static const size_t lengths[] = {
		0, 1, 2, 3, 5, 10, 28, 29, 30, 31, 60, 61, 62, 63, 64, 100, 500, 4000, 4094, 4095,
		4096, 10000, 300000,
	};

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t before = live_objects(m), want;
		size_t n = lengths[i], step = n > 100 ? 7 : 1, wrong = 0;

		GCA_FRAME(m, f, struct tailed *tailed);
		f.tailed = must(gca_new_tail(m, tailed, n));
		f.tailed->length = doomed(m);
		gca_store(m, &f.tailed->first, new_leaf(m));
		want = before + 2;
		for (size_t j = 0; j < n; j += step, want++)
			gca_store(m, &f.tailed->item[j], new_leaf(m));
		if (n && (n - 1) % step) {
			gca_store(m, &f.tailed->item[n - 1], new_leaf(m));
			want++;
		}
		eq(live_objects(m), want, "a TAIL of %zu keeps exactly its elements", n);
		for (size_t j = 0; j < n; j += step)
			wrong += !is_leaf(gca_load(&f.tailed->item[j]));
		if (wrong)
			ok(false, "%zu elements of a TAIL of %zu are not what they were", wrong, n);
	}
}

#define TEST_WIDE(m, tag, count) do {						\
	uint64_t before_ = live_objects(m);					\
	GCA_FRAME(m, f, gca_ref *table; struct tag *object);			\
	f.table = must(gca_new_refs(m, (count)));				\
	for (size_t i = 0; i < (count); i++) {					\
		f.object = must(gca_new(m, tag));				\
		gca_store(m, &f.table[i], f.object);				\
		gca_store(m, &f.object->first, new_leaf(m));			\
		gca_store(m, &f.object->last, new_leaf(m));			\
		f.object->pad[0] = doomed(m);					\
		f.object->pad[sizeof(f.object->pad) / 8 - 1] = doomed(m);	\
		f.object->pad[i % (sizeof(f.object->pad) / 8)] = doomed(m);	\
	}									\
	eq(live_objects(m), before_ + 1 + 3 * (count), #tag ": both ends, nothing between"); \
} while (0)

static void test_wide(struct gca_mutator *m)
{
	TEST_WIDE(m, wide31, 300);
	TEST_WIDE(m, wide63, 300);
	TEST_WIDE(m, wide64, 300);
	TEST_WIDE(m, wide65, 300);
	TEST_WIDE(m, wide502, 50);
	TEST_WIDE(m, wide10002, 5);
}

/* Layouts made at run time: a random choice of words, at random sizes. */
#define RANDOM_KINDS	60
#define RANDOM_WORDS	130

static void test_random_layouts(struct gca_mutator *m)
{
	static struct gca_run runs[RANDOM_KINDS][RANDOM_WORDS + 1];
	static struct gca_layout layouts[RANDOM_KINDS];
	static bool pointer[RANDOM_KINDS][RANDOM_WORDS];
	struct rng rng = rng_seeded(2);
	size_t count = scaled(2000);
	uint64_t want = live_objects(m) + 1;
	size_t wrong = 0;

	for (unsigned int k = 0; k < RANDOM_KINDS; k++) {
		size_t words = 1 + rng_below(&rng, k % 3 ? 64 : RANDOM_WORDS);
		unsigned int density = 1 + (unsigned int)rng_below(&rng, 9);
		unsigned int nr = 0;

		for (unsigned int w = 0; w < words; w++) {
			pointer[k][w] = rng_below(&rng, 10) < density;
			if (!pointer[k][w])
				continue;
			if (nr && runs[k][nr - 1].offset + 8 * runs[k][nr - 1].count == 8 * w)
				runs[k][nr - 1].count++;
			else
				runs[k][nr++] = (struct gca_run){ 8 * w, 1 };
		}
		layouts[k] = (struct gca_layout){ "random", (uint32_t)(8 * words), GCA_NO_TAIL,
						  runs[k], NULL, NULL,
						  words % 4 ? 0 : GCA_LAYOUT_EXACT };
	}
	GCA_FRAME(m, f, gca_ref *table; gca_ref *words; struct leaf *leaf);
	f.table = must(gca_new_refs(m, count));
	for (size_t i = 0; i < count; i++) {
		unsigned int k = (unsigned int)rng_below(&rng, RANDOM_KINDS);

		f.words = must(gca_alloc(m, gca_kind_of(&layouts[k]), layouts[k].size));
		gca_store(m, &f.table[i], f.words);
		want++;
		for (unsigned int w = 0; w < layouts[k].size / 8; w++) {
			f.leaf = new_leaf(m);
			if (pointer[k][w]) {
				gca_store(m, &f.words[w], f.leaf);
				want++;
			} else {
				*(uintptr_t *)&f.words[w] = (uintptr_t)f.leaf;
			}
		}
		f.leaf = NULL;
	}
	f.words = NULL;
	eq(live_objects(m), want, "random layouts: exactly the objects in pointer words live");
	rng = rng_seeded(3);
	for (size_t i = 0; i < count; i++) {
		gca_ref *words = gca_load(&f.table[i]);

		wrong += !gca_object_of(gca_heap_of(m), words, NULL);
	}
	eq(wrong, 0, "and all parents");
}

/* A union whose tag is fixed before publication; the callback reads it. */
struct variant {
	unsigned long tag;
	union {
		GCA_REF(struct leaf) ref[40];
		uintptr_t data[40];
	} u;
};

static unsigned int calls;
static size_t size_seen;

static void trace_variant(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct variant *variant = object;

	/* Several threads may mark. */
	__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&size_seen, size, __ATOMIC_RELAXED);
	if (variant->tag == 1)
		for (unsigned int i = 0; i < 40; i += 2)
			gca_visit(visitor, &variant->u.ref[i]);
	if (variant->tag == 2)
		gca_visit_slots(visitor, &variant->u.ref[1], 39);
	if (variant->tag == 3)
		gca_visit_value(visitor, (void *)variant->u.data[39]);
}

GCA_TRACED(variant, trace_variant);

static void test_traced(struct gca_mutator *m)
{
	static const unsigned int kept[] = { 0, 20, 39, 1 };
	enum { EACH = 25 };
	uint64_t before = live_objects(m), want = before + 1;

	GCA_FRAME(m, f, gca_ref *table; struct variant *variant);
	f.table = must(gca_new_refs(m, 4 * EACH));
	for (unsigned int i = 0; i < 4 * EACH; i++) {
		unsigned int tag = i % 4;

		f.variant = must(gca_new(m, variant));
		f.variant->tag = tag;
		gca_store(m, &f.table[i], f.variant);
		for (unsigned int j = 0; j < 40; j++) {
			bool visited = (tag == 1 && j % 2 == 0) || (tag == 2 && j);

			if (visited)
				gca_store(m, &f.variant->u.ref[j], new_leaf(m));
			else
				f.variant->u.data[j] = doomed(m);
		}
		want += 1 + kept[tag];
	}
	calls = 0;
	eq(live_objects(m), want, "a trace callback decides what lives");
	ok(calls >= 4 * EACH, "it is called for each object");
	ok(size_seen >= sizeof(struct variant), "with at least the object's size");
}

struct smallv {
	GCA_REF(struct leaf) leaf;
	unsigned long on;
};

static void trace_smallv(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct smallv *smallv = object;

	if (smallv->on)
		gca_visit(visitor, &smallv->leaf);
}

GCA_TRACED(smallv, trace_smallv);

static void test_traced_small(struct gca_mutator *m)
{
	enum { COUNT = 200 };
	uint64_t before = live_objects(m);

	GCA_FRAME(m, f, gca_ref *table; struct smallv *small);
	f.table = must(gca_new_refs(m, COUNT));
	for (unsigned int i = 0; i < COUNT; i++) {
		f.small = must(gca_new(m, smallv));
		f.small->on = i & 1;
		gca_store(m, &f.table[i], f.small);
		gca_store(m, &f.small->leaf, new_leaf(m));
	}
	eq(live_objects(m), before + 1 + COUNT + COUNT / 2, "small traced objects too");
}

struct plain {
	long number;
	void *first;
	char text[24];
	void *second;
};

static void test_conservative(struct gca_mutator *m)
{
	static const size_t sizes[] = { sizeof(struct plain), 504, 512, 600, 4096, 40000, 3 * MIB };

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t before = live_objects(m);
		size_t words = sizes[i] / sizeof(uintptr_t);

		GCA_FRAME(m, f, uintptr_t *plain);
		f.plain = must(gca_alloc(m, gca_kind_conservative(), sizes[i]));
		for (size_t w = 0; w < words; w += 1 + w / 4)
			f.plain[w] = doomed(m);
		f.plain[words - 1] = (uintptr_t)must(gca_new_bytes(m, 100)) + 50;
		f.plain[words - 2] = (uintptr_t)must(gca_new_bytes(m, 96)) + 96;
		gca_collect(m);
		ok(alive(m, f.plain[0]) && alive(m, f.plain[1]),
		   "%zu bytes of plain data keep what their words look like", sizes[i]);
		ok(alive(m, f.plain[words - 1]), "an address inside an object counts");
		ok(gca_object_of(gca_heap_of(m), (void *)(f.plain[words - 2] - 96), NULL),
		   "so does one past its end");
		memset(f.plain, 0, sizes[i]);
		eq(live_objects(m), before + 1, "cleared, it keeps nothing");
	}
}

static void test_noscan(struct gca_mutator *m)
{
	uint64_t before = live_objects(m);

	GCA_FRAME(m, f, uintptr_t *bytes);
	for (unsigned int size = 16; size < 100000; size = size * 2 + 24) {
		f.bytes = must(gca_new_bytes(m, size));
		for (unsigned int w = 0; w < size / 8; w += 10)
			f.bytes[w] = doomed(m);
	}
	eq(live_objects(m), before + 1, "bytes keep nothing");
}

/* Layouts that are wrong: never NULL, and nothing can be allocated from them. */
static void bad_layout(struct gca_mutator *m, const char *what, uint32_t size, uint32_t tail,
		       const struct gca_run *runs, gca_trace_fn trace)
{
	static struct gca_layout layouts[16];	/* kinds outlive the test */
	static unsigned int nr;
	struct gca_layout *layout = &layouts[nr++];
	const struct gca_kind *kind;

	*layout = (struct gca_layout){ "bad", size, tail, runs, trace, NULL, 0 };
	kind = gca_kind_register(layout);
	ok(kind && !gca_alloc(m, kind, size ? size : 64), "%s: no allocation", what);
	ok(gca_error()[0], "%s: \"%s\"", what, gca_error());
}

static void test_bad_layouts(struct gca_mutator *m)
{
	static const struct gca_run none[] = { { 0, 0 } };
	static const struct gca_run unaligned[] = { { 4, 1 }, { 0, 0 } };
	static const struct gca_run outside[] = { { 16, 1 }, { 0, 0 } };
	static const struct gca_run long_run[] = { { 8, 2 }, { 0, 0 } };
	static const struct gca_run huge_run[] = { { 8, UINT32_MAX }, { 0, 0 } };
	static const struct gca_run far[] = { { UINT32_MAX - 7, 2 }, { 0, 0 } };
	static const struct gca_run fine[] = { { 8, 1 }, { 0, 0 } };
	struct gca_layout good = { "good", 16, GCA_NO_TAIL, fine, NULL, NULL, 0 };
	const struct gca_kind *kind;

	bad_layout(m, "unaligned run", 16, GCA_NO_TAIL, unaligned, NULL);
	bad_layout(m, "run at the end", 16, GCA_NO_TAIL, outside, NULL);
	bad_layout(m, "run over the end", 16, GCA_NO_TAIL, long_run, NULL);
	bad_layout(m, "run of 4 billion", 16, GCA_NO_TAIL, huge_run, NULL);
	bad_layout(m, "run that wraps", 16, GCA_NO_TAIL, far, NULL);
	bad_layout(m, "unaligned tail", 16, 12, none, NULL);
	bad_layout(m, "tail outside", 16, 24, none, NULL);
	kind = gca_kind_register(&good);
	ok(kind && good.kind == kind && gca_kind_register(&good) == kind,
	   "registering twice gives the same kind");
	ok(gca_alloc(m, kind, 16), "which works");
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	test_fields(m);
	test_tails(m);
	test_wide(m);
	test_random_layouts(m);
	test_traced(m);
	test_traced_small(m);
	test_conservative(m);
	test_noscan(m);
	test_bad_layouts(m);
	eq(gca_detach(m), 0, "detach");
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
