// SPDX-License-Identifier: MIT
/*
 * Minor cycles: what is young and reached only from what is old is found, whatever the
 * old object is and however it was stored there; and each step that this rests on is
 * left out once, which must lose an object or keep a dead one.
 *
 * All objects hang on one registered range; stacks are precise.  verify=1 traces
 * everything that can be reached at the end of each cycle and says what is not marked.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

struct node;
#define NODE_FIELDS(F) F(REF, struct node, next) F(REF, struct node, other) F(VAL, uint64_t, key)
GCA_STRUCT(node, NODE_FIELDS);
#define WIDE_FIELDS(F) F(VALS, char, pad, 1500) F(REF, struct node, next) F(REF, struct node, other)
GCA_STRUCT(wide, WIDE_FIELDS);
GCA_STRUCT_FLAGS(inner, WIDE_FIELDS, GCA_LAYOUT_INTERIOR);
GCA_STRUCT_FLAGS(shape, WIDE_FIELDS, GCA_LAYOUT_CHANGES);
#define CURVE_FIELDS(F) F(REF, struct node, first) F(VALS, char, pad, 1600)
GCA_STRUCT_FLAGS(curve, CURVE_FIELDS, GCA_LAYOUT_CHANGES);

struct traced {
	char pad[900];

	GCA_REF(struct node) next;
};

static void trace(const void *object, size_t size, struct gca_visitor *visitor)
{
	gca_visit(visitor, &((const struct traced *)object)->next);
}

GCA_TRACED(traced, trace);

#define LARGE	30000u		/* references: several pieces */
#define ARRAY	3000u

static gca_ref root[2];

#define FIELD(base, offset)	((GCA_REF(struct node) *)(void *)((char *)(base) + (offset)))

static struct gca_heap *open_minor(const char *debug)
{
	struct gca_heap *heap = open_debug(debug, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);

	gca_set_generations(heap, GCA_GENERATIONS_ON);
	gca_root_add(heap, root, sizeof(root));
	return heap;
}

static void close_minor(struct gca_heap *heap, struct gca_mutator *m)
{
	gca_root_remove(heap, root);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void full(struct gca_mutator *m)
{
	if (gca_collect(m))
		bail("gca_collect: %s", gca_error());
}

/* False: it was not a minor one. */
static bool minor(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	uint64_t before = stats_of(heap).minor_gc, cycle;

	cycle = concurrent_request(heap);
	concurrent_wait(m, cycle, UINT64_MAX);
	cycle_finish_sweep(m);
	return stats_of(heap).minor_gc == before + 1;
}

static bool alive(struct gca_mutator *m, const void *object)
{
	return object && gca_object_of(gca_heap_of(m), object, NULL) == object;
}

/* ------------------------------------------------- containers and stores */

static void *make_node(struct gca_mutator *m)
{
	return gca_new(m, node);
}

static void *make_wide(struct gca_mutator *m)
{
	return gca_new(m, wide);
}

static void *make_inner(struct gca_mutator *m)
{
	return gca_new(m, inner);
}

static void *make_traced(struct gca_mutator *m)
{
	return gca_new(m, traced);
}

static void *make_array(struct gca_mutator *m)
{
	return gca_new_array(m, node, ARRAY);
}

static void *make_large(struct gca_mutator *m)
{
	return gca_new_refs(m, LARGE);
}

static void *make_conservative(struct gca_mutator *m)
{
	return gca_alloc(m, gca_kind_conservative(), 400);
}

static void *make_conservative_wide(struct gca_mutator *m)
{
	return gca_alloc(m, gca_kind_conservative(), 5000);
}

static void *make_conservative_large(struct gca_mutator *m)
{
	return gca_alloc(m, gca_kind_conservative(), 100000);
}

static void *make_shape(struct gca_mutator *m)
{
	return gca_new(m, shape);
}

static void by_store(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	gca_store(m, FIELD(base, offset), value);
}

static void by_exchange(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	(void)gca_exchange(m, FIELD(base, offset), value);
}

static void by_cas(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	(void)gca_compare_exchange(m, FIELD(base, offset), gca_load(FIELD(base, offset)), value);
}

static void by_copy(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	GCA_REF(struct node) from = { value };

	gca_copy_slots(m, (char *)base + offset, &from, 1);
}

static void by_plain(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	*(struct node **)((char *)base + offset) = value;
}

/* The young one is stored when the object has become of another kind. */
static void by_relayout(struct gca_mutator *m, void *base, size_t offset, struct node *value)
{
	if (gca_relayout(m, base, GCA_KIND(curve)))
		bail("relayout: %s", gca_error());
	gca_store(m, FIELD(base, 0), value);
}

struct setting {
	const char *name;
	void *(*make)(struct gca_mutator *m);
	size_t offset;
	void (*store)(struct gca_mutator *m, void *base, size_t offset, struct node *value);
};

static const struct setting settings[] = {
	{ "a small object", make_node, offsetof(struct node, next), by_store },
	{ "the same by exchange", make_node, offsetof(struct node, other), by_exchange },
	{ "the same by CAS", make_node, offsetof(struct node, other), by_cas },
	{ "the same by a bulk form", make_node, offsetof(struct node, next), by_copy },
	{ "a wider one", make_wide, offsetof(struct wide, other), by_store },
	{ "one with interior pointers", make_inner, offsetof(struct inner, next), by_store },
	{ "one with a callback", make_traced, offsetof(struct traced, next), by_store },
	{ "an array of structures", make_array, 2500 * sizeof(struct node), by_store },
	{ "the end of a large array", make_large, (LARGE - 1) * sizeof(void *), by_store },
	{ "the middle of a large array", make_large, 10001 * sizeof(void *), by_copy },
	{ "one that changed its kind", make_shape, 0, by_relayout },
	{ "a conservative one", make_conservative, 392, by_store },
	{ "a large conservative one", make_conservative_large, 90000, by_store },
};

/* Those may be stored into by plain stores: no card tells of it. */
static const struct setting plain[] = {
	{ "a conservative one", make_conservative, 392, by_plain },
	{ "a wider conservative one", make_conservative_wide, 4096, by_plain },
	{ "a large conservative one", make_conservative_large, 90000, by_plain },
};

/* A young object, with another behind it, that only an old one refers to. */
static void hang(struct gca_mutator *m, const struct setting *setting, uintptr_t hidden[2])
{
	GCA_FRAME(m, f, struct node *young; struct node *behind);

	f.behind = must(gca_new(m, node));
	f.behind->key = 2;
	f.young = must(gca_new(m, node));
	gca_init(m, &f.young->next, f.behind);
	f.young->key = 1;
	setting->store(m, gca_load(&root[0]), setting->offset, f.young);
	hidden[0] = ~(uintptr_t)f.young;
	hidden[1] = ~(uintptr_t)f.behind;
}

static void play(const struct setting *setting, const char *debug)
{
	struct gca_heap *heap = open_minor(debug);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden[2];

	gca_store(m, &root[0], must(setting->make(m)));
	full(m);
	hang(m, setting, hidden);
	ok(minor(m), "%s, %s: a minor cycle", setting->name, debug);
	ok(alive(m, (void *)~hidden[0]) && alive(m, (void *)~hidden[1]),
	   "what it refers to is alive");
	eq(((struct node *)~hidden[1])->key, 2, "and whole");
	/* Old itself by now, and found by a full one too. */
	ok(minor(m), "another");
	ok(alive(m, (void *)~hidden[1]), "alive");
	full(m);
	ok(alive(m, (void *)~hidden[1]), "alive");
	gca_store(m, &root[0], NULL);
	ok(minor(m) && alive(m, (void *)~hidden[1]), "a minor cycle leaves what was old");
	full(m);
	ok(!alive(m, (void *)~hidden[0]) && !alive(m, (void *)~hidden[1]), "a full one does not");
	eq(reports.count, 0, "nothing to report %s", reports.text);
	close_minor(heap, m);
}

/* An object may begin before the card that its slot is on, and on another page. */
static void test_sizes(void)
{
	static const unsigned int refs[] = { 1, 2, 5, 9, 13, 17, 23, 31, 41, 49, 55, 63 };
	enum { OBJECTS = 700, APART = 13 };

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		struct gca_heap *heap = open_minor("verify=1");
		struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
		unsigned int nr, young = 0, found = 0;
		uintptr_t hidden[OBJECTS], begin, end;

		{
			GCA_FRAME(m, f, gca_ref *table; gca_ref *one; struct node *young);
			f.table = must(gca_new_refs(m, OBJECTS));
			gca_store(m, &root[0], (void *)f.table);
			for (nr = 0; nr < OBJECTS; nr++)
				gca_store(m, &f.table[nr], (void *)must(gca_new_refs(m, refs[i])));
			full(m);
			/* Nobody else dirties the cards before the slot's. */
			for (nr = 0; nr < OBJECTS; nr++) {
				f.one = (gca_ref *)gca_load(&f.table[nr]);
				begin = (uintptr_t)f.one;
				end = (uintptr_t)&f.one[refs[i] - 1];
				if (nr % APART && !((begin ^ end) >> GCARENA_PAGE_SHIFT))
					continue;
				f.young = must(gca_new(m, node));
				gca_store(m, &f.one[refs[i] - 1], (void *)f.young);
				hidden[young++] = ~(uintptr_t)f.young;
			}
			f.young = NULL;
			f.one = NULL;
		}
		ok(minor(m), "arrays of %u: a minor cycle", refs[i]);
		for (nr = 0; nr < young; nr++)
			found += alive(m, (void *)~hidden[nr]);
		eq(found, young, "what their last slots refer to is alive");
		eq(reports.count, 0, "nothing to report %s", reports.text);
		gca_store(m, &root[0], NULL);
		close_minor(heap, m);
	}
}

/* ------------------------------------------------------------- mistakes */

static void play_wrong(enum gca_fault fault, const char *debug, const char *what)
{
	struct gca_heap *heap = open_minor(debug);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden[2];

	gca_store(m, &root[0], must(make_node(m)));
	full(m);
	gca_fault_arm(fault, 1);
	hang(m, &settings[0], hidden);
	minor(m);
	ok(gca_fault_fired(fault), "%s: it was left out", what);
	ok(strstr(reports.text, "is not marked"), "and that is noticed");
	gca_fault_arm(fault, 0);
	close_minor(heap, m);
}

/* Without memory for what is to be looked at: each time that it is asked for. */
static void test_no_memory(void)
{
	unsigned int nth, fired = 0, lost = 0, kept = 0;

	for (nth = 1; nth <= 4; nth++) {
		struct gca_heap *heap = open_minor("verify=1");
		struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
		uintptr_t hidden[2];

		gca_store(m, &root[0], must(make_node(m)));
		full(m);
		work_trim(heap);
		hang(m, &settings[0], hidden);
		gca_fault_arm(GCA_FAULT_NO_MEMORY, nth);
		if (!minor(m))
			bail("not a minor cycle");
		fired += gca_fault_fired(GCA_FAULT_NO_MEMORY);
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 0);
		kept += alive(m, (void *)~hidden[1]) && ((struct node *)~hidden[1])->key == 2;
		lost += reports.count;
		close_minor(heap, m);
	}
	ok(fired >= 2, "a stack of marking had no memory, %u times", fired);
	eq(kept, nth - 1, "what young objects hang on is found all the same");
	eq(lost, 0, "nothing to report %s", reports.text);
}

/* A full cycle begins with what is old unmarked. */
static void test_full(bool armed)
{
	struct gca_heap *heap = open_minor("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden;

	gca_store(m, &root[0], must(make_node(m)));
	full(m);
	hidden = ~(uintptr_t)gca_load(&root[0]);
	gca_store(m, &root[0], NULL);
	if (armed)
		gca_fault_arm(GCA_FAULT_STALE_OLD, 1);
	full(m);
	if (armed)
		ok(gca_fault_fired(GCA_FAULT_STALE_OLD) && reports.count,
		   "old marks in a full cycle are noticed");
	else
		ok(!alive(m, (void *)~hidden) && !reports.count, "it dies by a full one");
	gca_fault_arm(GCA_FAULT_STALE_OLD, 0);
	close_minor(heap, m);
}

/* An old object that is freed by hand is old no more. */
static void test_free(bool armed)
{
	struct gca_heap *heap = open_minor("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	bool freed;

	gca_store(m, &root[0], must(make_node(m)));
	full(m);
	{
		GCA_FRAME(m, f, struct node *old; struct node *more);
		/* The span comes back with its old object. */
		f.more = must(gca_new(m, node));
		f.old = gca_load(&root[0]);
		gca_store(m, &root[0], NULL);
		if (armed)
			gca_fault_arm(GCA_FAULT_FREE_OLD, 1);
		freed = gca_free(m, f.old);
		f.old = NULL;
		if (TEST_ASAN) {
			ok(!freed, "nothing is freed by hand");
		} else {
			ok(freed, "an old object was freed");
			ok(minor(m), "a minor cycle");
			if (armed)
				ok(strstr(reports.text, "its alloc bit is clear"),
				   "a mark bit that stayed is noticed");
			else
				eq(reports.count, 0, "silent %s", reports.text);
			eq(stats_of(heap).heap_live_objects, 1 + armed, "and counted");
		}
	}
	gca_fault_arm(GCA_FAULT_FREE_OLD, 0);
	close_minor(heap, m);
}

/* --------------------------------------------- what dead young ones refer to */

static NOINLINE void hang_dead(struct gca_mutator *m, uintptr_t hidden[2])
{
	GCA_FRAME(m, f, struct node *dead; struct node *behind);

	f.dead = must(gca_new(m, node));
	f.behind = must(gca_new(m, node));
	gca_store(m, &f.dead->next, f.behind);
	hidden[0] = ~(uintptr_t)f.dead;
	hidden[1] = ~(uintptr_t)f.behind;
}

static void test_dead(void)
{
	struct gca_heap *heap = open_minor("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden[2];

	gca_store(m, &root[0], must(make_node(m)));
	full(m);
	hang_dead(m, hidden);
	ok(minor(m), "a minor cycle");
	ok(!alive(m, (void *)~hidden[0]) && !alive(m, (void *)~hidden[1]),
	   "a dead young object keeps nothing, its dirty card or not");
	close_minor(heap, m);
}

/* ------------------------------------------------------ weak ones, finalizers */

static unsigned int finalized;

static void finalize(struct gca_mutator *m, void *object, void *arg)
{
	finalized++;
}

static NOINLINE void fill(struct gca_mutator *m, struct gca_ephemeron *ephemeron,
			  struct gca_weak **weak, uintptr_t *hidden)
{
	GCA_FRAME(m, f, struct node *value; struct node *dead);

	f.value = must(gca_new(m, node));
	gca_ephemeron_set_value(m, ephemeron, f.value);
	*hidden = ~(uintptr_t)f.value;
	f.dead = must(gca_new(m, node));
	*weak = must(gca_weak_new(m, f.dead));
	if (gca_finalizer_set(m, f.dead, finalize, NULL, 0))
		bail("finalizer: %s", gca_error());
}

static void test_special(void)
{
	struct gca_heap *heap = open_minor("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden;

	{
		GCA_FRAME(m, f, struct node *key; struct node *old);
		GCA_FRAME(m, w, struct gca_ephemeron *ephemeron; struct gca_weak *old, *young);
		f.key = must(gca_new(m, node));
		f.old = must(gca_new(m, node));
		w.ephemeron = must(gca_ephemeron_new(m, f.key, NULL));
		w.old = must(gca_weak_new(m, f.old));
		gca_finalizer_set(m, f.old, finalize, NULL, 0);
		full(m);
		f.old = NULL;
		fill(m, w.ephemeron, &w.young, &hidden);
		ok(minor(m), "a minor cycle");
		ok(gca_ephemeron_value(m, w.ephemeron) == (void *)~hidden &&
		   alive(m, (void *)~hidden), "an old ephemeron and key keep a young value");
		ok(!gca_weak_get(m, w.young), "a young target is gone");
		eq(gca_finalizers_run(m, 0), 1, "and its finalizer was called");
		ok(gca_weak_get(m, w.old), "an old one is not");
		full(m);
		full(m);
		ok(!gca_weak_get(m, w.old), "by a full cycle it is");
		eq(gca_finalizers_run(m, 0), 1, "and its finalizer was called");
		eq(reports.count, 0, "nothing to report %s", reports.text);
	}
	close_minor(heap, m);
}

/* ------------------------------- between the flip and the last one told of it */

enum { LATE_NONE, LATE_ATTACHED, LATE_FLIPPED, LATE_WHITE, LATE_STORED, LATE_OVER };
static uint32_t at;

static void await(uint32_t want)
{
	while (__atomic_load_n(&at, __ATOMIC_ACQUIRE) < want)
		sched_yield();
}

static void advance(uint32_t to)
{
	__atomic_store_n(&at, to, __ATOMIC_RELEASE);
}

static void await_polling(struct gca_mutator *m, uint32_t want)
{
	while (__atomic_load_n(&at, __ATOMIC_ACQUIRE) < want) {
		gca_safepoint(m);
		sched_yield();
	}
}

static void note_flip(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_FLIPPED && __atomic_load_n(&at, __ATOMIC_RELAXED) == LATE_ATTACHED)
		advance(LATE_FLIPPED);
}

/* Turns white, and allocates the first young object. */
static void *teller(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct node *young);
		advance(LATE_ATTACHED);
		await_polling(m, LATE_FLIPPED);
		while (m->mark_bits) {
			gca_safepoint(m);
			sched_yield();
		}
		f.young = must(gca_new(m, node));
		f.young->key = 3;
		gca_store(m, &root[1], (void *)f.young);
		f.young = NULL;
		advance(LATE_WHITE);
		await_polling(m, LATE_OVER);
	}
	gca_detach(m);
	return NULL;
}

/* Stores it into an object that is old, or born black, before it is told. */
static NOINLINE void store_late(struct gca_mutator *m, bool fresh, uintptr_t *hidden)
{
	struct node *young, *into;

	/* No safepoint from the flip on. */
	while (__atomic_load_n(&at, __ATOMIC_ACQUIRE) < LATE_FLIPPED) {
		if (__atomic_load_n(&m->request, __ATOMIC_ACQUIRE) != HANDSHAKE_WHITE)
			gca_safepoint(m);
		sched_yield();
	}
	await(LATE_WHITE);
	if (fresh) {
		/* As the inline allocation does, which is no safepoint. */
		into = must(gca_new(m, node));
		young = (struct node *)gca_load(&root[1]);
		gca_init(m, &into->next, young);
		gca_store(m, &root[0], (void *)into);
	} else {
		young = (struct node *)gca_load(&root[1]);
		gca_store(m, FIELD(gca_load(&root[0]), 0), young);
	}
	gca_store(m, &root[1], NULL);
	*hidden = ~(uintptr_t)young;
	advance(LATE_STORED);
}

static void test_late(bool fresh, bool armed)
{
	struct gca_heap *heap = open_minor(NULL);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uintptr_t hidden = 0;
	pthread_t thread;
	uint64_t cycle;

	gca_store(m, &root[0], must(make_node(m)));
	at = LATE_NONE;
	if (pthread_create(&thread, NULL, teller, heap))
		bail("pthread_create");
	await_polling(m, LATE_ATTACHED);
	__atomic_store_n(&gca_stage_hook, note_flip, __ATOMIC_RELEASE);
	gca_fault_arm(GCA_FAULT_CARDS_LATE, armed);
	cycle = concurrent_request(heap);
	/* A slot of an open run, so that no refill is needed after the flip. */
	must(gca_new(m, node));
	store_late(m, fresh, &hidden);
	concurrent_wait(m, cycle, UINT64_MAX);
	gca_fault_arm(GCA_FAULT_CARDS_LATE, 0);
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
	/* Bits are not read while somebody may allocate. */
	advance(LATE_OVER);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	ok(minor(m), "a minor cycle");
	eq(alive(m, (void *)~hidden), !armed,
	   "a young object stored into %s before its thread was told of the flip%s",
	   fresh ? "a fresh one" : "an old one", armed ? ", cards being on too late" : "");
	close_minor(heap, m);
}

/* ------------------------------------------------------------------ policy */

enum churn { DROPS, DROPS_STORED, REWRITES };

/* A list, each node of it stored into. */
static struct node *stored(struct gca_mutator *m, unsigned int length)
{
	GCA_FRAME(m, f, struct node *first; struct node *last; struct node *more);
	f.first = must(gca_new(m, node));
	f.last = f.first;
	while (--length) {
		f.more = must(gca_new(m, node));
		gca_store(m, &f.last->next, f.more);
		f.last = f.more;
	}
	return f.first;
}

/* Keeps a tree, and drops what it makes; or rewrites the tree all the time. */
static void churn(struct gca_mutator *m, enum churn how, unsigned int slots, uint64_t cycles)
{
	struct gca_heap *heap = gca_heap_of(m);
	struct rng rng = rng_seeded(5);

	GCA_FRAME(m, f, gca_ref *kept; struct node *node);
	f.kept = must(gca_new_refs(m, slots));
	for (unsigned int i = 0; i < slots; i++)
		gca_store(m, &f.kept[i], must(gca_new(m, node)));
	while (stats_of(heap).num_gc < cycles) {
		for (unsigned int i = 0; i < 10000; i++) {
			if (how == DROPS_STORED) {
				f.node = stored(m, 20);
				continue;
			}
			f.node = must(gca_new(m, node));
			if (how == REWRITES) {
				gca_store(m, &f.kept[rng_below(&rng, slots)], f.node);
				f.node = gca_load(&f.kept[rng_below(&rng, slots)]);
				gca_store(m, &f.node->other,
					  gca_load(&f.kept[rng_below(&rng, slots)]));
			}
		}
	}
}

static void test_policy(void)
{
	static const struct {
		const char *what;
		enum churn how;
		unsigned int slots;
		bool minor;
	} programs[] = {
		{ "where little is stored", DROPS, 1 << 18, true },
		/* Their cards are more bytes than all that is alive. */
		{ "where all that is young is stored into", DROPS_STORED, 1 << 17, true },
		{ "where all of it is rewritten", REWRITES, 1 << 18, false },
	};
	struct gca_config config;
	struct gca_stats stats;
	struct gca_mutator *m;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.generations = GCA_GENERATIONS_AUTO;
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		heap = open_with(&config);
		m = attach(heap, GCA_STACK_PRECISE);
		churn(m, programs[i].how, programs[i].slots, 32);
		stats = stats_of(heap);
		/* On a busy machine much is born black, which leaves no room for many. */
		ok(programs[i].minor ? stats.minor_gc >= 10 : stats.minor_gc <= 10,
		   "%s minor cycles are %s: %llu of %llu", programs[i].what,
		   programs[i].minor ? "many" : "few", (unsigned long long)stats.minor_gc,
		   (unsigned long long)stats.num_gc);
		gca_detach(m);
		gca_close(heap);
	}
	config.mode = GCA_MODE_STOP_THE_WORLD;
	config.generations = GCA_GENERATIONS_ON;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	churn(m, DROPS, 1 << 18, 4);
	eq(stats_of(heap).minor_gc, 0, "a heap without barriers has none");
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		play(&settings[i], "verify=1");
		play(&settings[i], "verify=1,shadow=1,poison=1");
	}
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		play(&plain[i], "verify=1");
	test_sizes();
	test_no_memory();
	/* Stores take the slow path under shadow=1. */
	play_wrong(GCA_FAULT_NO_CARD, "verify=1,shadow=1", "a store's card");
	play_wrong(GCA_FAULT_NO_CARD_SCAN, "verify=1", "the look at dirty cards");
	test_full(false);
	test_full(true);
	test_free(false);
	test_free(true);
	test_dead();
	test_special();
	/* Where freed slots are poisoned, a cycle ends in a stop. */
	if (!TEST_ASAN) {
		test_late(false, false);
		test_late(true, false);
		test_late(false, true);
		test_late(true, true);
	}
	test_policy();
	return tap_done();
}
