// SPDX-License-Identifier: MIT
/*
 * Several threads mark one heap, stopped or beside the mutators: whatever the shape
 * of the graph and however many they are, the same objects survive.  Lists and
 * arrays of ten million, arrays in pieces with pointers on both sides of each cut,
 * large objects of every kind, marking without memory for its stacks; and the share
 * of the CPUs that marking keeps to while nobody waits for it.
 */
#include "lib.h"

#include "mark.h"

#include <sched.h>

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, left)		\
	F(REF, struct node, right)		\
	F(VAL, uint64_t, key)			\
	F(VAL, uint64_t, more)
GCA_STRUCT(node, NODE_FIELDS);

#define BIG_FIELDS(F)				\
	F(VAL, uint64_t, length)		\
	F(REF, struct node, first)		\
	F(TAIL, struct node, more)
GCA_STRUCT(big, BIG_FIELDS);

/* By a callback, all slots each time. */
struct traced {
	uint64_t length;
	gca_ref slot[];
};

static void trace_traced(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct traced *traced = object;

	gca_visit_slots(visitor, traced->slot, traced->length);
}

GCA_TRACED(traced, trace_traced);

static struct gca_heap *open_workers(enum gca_mode mode, unsigned int workers, int percent)
{
	struct gca_config config;

	gca_config_init(&config);
	config.mode = mode;
	config.workers = workers;
	config.percent = percent;
	return open_with(&config);
}

static struct node *tree(struct gca_mutator *m, unsigned int depth)
{
	GCA_FRAME(m, f, struct node *left; struct node *right; struct node *node);
	if (depth) {
		f.left = tree(m, depth - 1);
		f.right = tree(m, depth - 1);
	}
	f.node = must(gca_new(m, node));
	f.node->key = depth;
	gca_init(m, &f.node->left, f.left);
	gca_init(m, &f.node->right, f.right);
	return f.node;
}

static uint64_t tree_size(struct node *node)
{
	if (!node)
		return 0;
	return 1 + tree_size(gca_load(&node->left)) + tree_size(gca_load(&node->right));
}

static GCA_REF(struct node) ranges[5000];

static void test_shapes(enum gca_mode mode, unsigned int workers)
{
	struct gca_heap *heap = open_workers(mode, workers, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t slots = scaled(1000000), cut = MARK_PIECE / sizeof(gca_ref), i, wrong = 0;
	unsigned int depth = test_on_device() ? 12 : 16;
	uint64_t nodes = (2u << depth) - 1;

	gca_root_add(heap, ranges, sizeof(ranges));
	{
		GCA_FRAME(m, f, struct node *tree; struct big *big; gca_ref *refs);
		GCA_FRAME(m, g, struct traced *traced; void **words);
		f.tree = tree(m, depth);
		eq(live_objects(m), nodes, "mode %d, %u workers: a tree", mode, workers);
		eq(tree_size(f.tree), nodes, "is whole");
		f.tree = NULL;

		for (i = 0; i < ARRAY_SIZE(ranges); i++)
			gca_store(m, &ranges[i], must(gca_new(m, node)));
		eq(live_objects(m), ARRAY_SIZE(ranges), "a range of roots, in pieces");
		gca_clear_refs(m, ranges, ARRAY_SIZE(ranges));

		f.big = must(gca_new_tail(m, big, slots));
		gca_store(m, &f.big->first, must(gca_new(m, node)));
		for (i = 0; i < slots; i += i % 3 + 1)
			gca_store(m, &f.big->more[i], must(gca_new(m, node)));
		nodes = live_objects(m);
		for (i = 0; i < slots; i++) {
			struct node *node = gca_load(&f.big->more[i]);

			nodes -= !!node;
			wrong += node && gca_object_of(heap, node, NULL) != node;
		}
		eq(nodes, 2, "an array of %zu slots with a head: all it holds", slots);
		eq(wrong, 0, "and nothing else");
		f.big = NULL;

		/* The pieces' first and last slots only. */
		f.refs = must(gca_new_refs(m, slots));
		for (i = 0; i < slots; i++)
			if (i % cut < 2 || i % cut == cut - 1)
				gca_store(m, &f.refs[i], (void *)must(gca_new(m, node)));
		nodes = 1;
		for (i = 0; i < slots; i++)
			nodes += !!gca_load(&f.refs[i]);
		eq(live_objects(m), nodes, "pointers at the cuts between pieces");
		f.refs = NULL;

		g.traced = must(gca_alloc(m, GCA_KIND(traced),
					  sizeof(*g.traced) + slots * sizeof(void *)));
		g.traced->length = slots;
		gca_store(m, &g.traced->slot[0], (void *)must(gca_new(m, node)));
		gca_store(m, &g.traced->slot[slots - 1], (void *)must(gca_new(m, node)));
		eq(live_objects(m), 3, "a large object with a callback");
		g.traced = NULL;

		g.words = must(gca_alloc(m, gca_kind_conservative(), slots * sizeof(void *)));
		for (i = 0; i < slots; i += 5000) {
			GCA_REF(struct node) *slot = (void *)&g.words[i];

			gca_store(m, slot, must(gca_new(m, node)));
		}
		eq(live_objects(m), 1 + (slots + 4999) / 5000, "a large conservative one");
		g.words = NULL;
		eq(live_objects(m), 0, "nothing in the end");
	}
	gca_root_remove(heap, ranges);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void test_ten_million(enum gca_mode mode)
{
	struct gca_heap *heap = open_workers(mode, 0, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t length = TEST_ASAN || test_on_device() ? scaled(200000) : scaled(10000000);
	size_t i;

	{
		GCA_FRAME(m, f, struct node *list; struct node *node; gca_ref *refs);
		for (i = 0; i < length; i++) {
			f.node = must(gca_new(m, node));
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		f.node = NULL;
		eq(live_objects(m), length, "mode %d: a list of %zu", mode, length);
		f.list = NULL;
		f.refs = must(gca_new_refs(m, length));
		for (i = 0; i < length; i += 100)
			gca_store(m, &f.refs[i], (void *)must(gca_new(m, node)));
		eq(live_objects(m), 1 + (length + 99) / 100, "an array of %zu slots", length);
		/* Which of a large object is on a stack is what comes next. */
		ok(heap->mark_stack.max * sizeof(uint64_t) <= 64 * KIB, "a short stack is enough");
	}
	gca_detach(m);
	gca_close(heap);
}

/* No stack can grow, from the first entry on. */
static void test_no_memory(enum gca_mode mode)
{
	struct gca_heap *heap = open_workers(mode, 4, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	unsigned int depth = 10;

	{
		GCA_FRAME(m, f, struct node *tree; gca_ref *refs);
		f.tree = tree(m, depth);
		f.refs = must(gca_new_refs(m, 100000));
		gca_store(m, &f.refs[99999], (void *)must(gca_new(m, node)));
		gca_release(m);
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 1);
		eq(live_objects(m), (2u << depth) - 1 + 2, "mode %d: marked without a stack", mode);
		ok(gca_fault_fired(GCA_FAULT_NO_MEMORY), "there was none");
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 0);
		eq(live_objects(m), (2u << depth) - 1 + 2, "and the same with one");
		eq(tree_size(f.tree), (2u << depth) - 1, "whole");
	}
	gca_detach(m);
	gca_close(heap);
}

/* The same while threads allocate; every worker count, both modes. */
struct churner {
	struct gca_heap *heap;
	size_t rounds;
	size_t wrong;
};

static void *churn(void *arg)
{
	struct churner *self = arg;
	struct gca_mutator *m = attach(self->heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct node *old; struct node *young);
		f.old = tree(m, 12);
		for (size_t i = 0; i < self->rounds; i++) {
			f.young = tree(m, 8);
			self->wrong += tree_size(f.young) != (2u << 8) - 1;
			/* A subtree moves under the marker. */
			gca_store(m, &f.young->left, gca_load(&f.old->right));
			gca_store(m, &f.old->right, gca_load(&f.old->left));
			gca_store(m, &f.old->left, gca_load(&f.young->left));
		}
		self->wrong += tree_size(f.old) != (2u << 12) - 1;
	}
	gca_detach(m);
	return NULL;
}

static void test_churn(enum gca_mode mode, unsigned int workers)
{
	struct gca_heap *heap = open_workers(mode, workers, 50);
	struct churner churners[3];
	pthread_t threads[3];
	size_t wrong = 0;

	for (unsigned int i = 0; i < 3; i++) {
		churners[i] = (struct churner){ .heap = heap, .rounds = scaled(1500) };
		if (pthread_create(&threads[i], NULL, churn, &churners[i]))
			bail("pthread_create");
	}
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		wrong += churners[i].wrong;
	}
	eq(wrong, 0, "mode %d, %u workers: three threads' trees over %llu cycles", mode, workers,
	   (unsigned long long)stats_of(heap).num_gc);
	eq(gca_close(heap), 0, "close");
}

static uint32_t held_up;	/* the collector, and for how long */

static void hold_up(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_SCANNED)
		while (__atomic_load_n(&held_up, __ATOMIC_ACQUIRE))
			usleep(100);
}

/* More than one buffer of what a mutator has marked, before anybody takes the first. */
static void test_put_down_twice(void)
{
	struct gca_heap *heap = open_workers(GCA_MODE_CONCURRENT, 1, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t lists = 4 * SHADES_MAX, found = 0;
	uint64_t cycle;

	{
		GCA_FRAME(m, f, gca_ref *refs; struct node *node);
		f.refs = must(gca_new_refs(m, lists));
		for (size_t i = 0; i < lists; i++) {
			f.node = tree(m, 1);
			gca_store(m, &f.refs[i], (void *)f.node);
		}
		f.node = NULL;
		gca_stage_hook = hold_up;
		__atomic_store_n(&held_up, 1, __ATOMIC_RELEASE);
		gca_fault_arm(GCA_FAULT_WORK_LOCKED, 1);
		cycle = concurrent_request(heap);
		while (!m->mark_bits)
			gca_safepoint(m);
		/* Each is in nobody's hands but the barrier's. */
		for (size_t i = 0; i < lists / 2; i++) {
			f.node = gca_load(&f.refs[i]);
			gca_store(m, &f.refs[i], gca_load(&f.refs[lists - 1 - i]));
			gca_store(m, &f.refs[lists - 1 - i], (void *)f.node);
		}
		f.node = NULL;
		__atomic_store_n(&held_up, 0, __ATOMIC_RELEASE);
		while (!concurrent_over(heap, cycle))
			gca_safepoint(m);
		gca_fault_arm(GCA_FAULT_WORK_LOCKED, 0);
		gca_stage_hook = NULL;
		for (size_t i = 0; i < lists; i++)
			found += tree_size(gca_load(&f.refs[i]));
		eq(found, 3 * lists, "put down twice: all trees are whole");
		eq(live_objects(m), 3 * lists + 1, "and live");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Put down, and whoever is to take it sleeps: true if it stays so. */
static bool stays_down(struct gca_mutator *m)
{
	uint64_t since = now_ns();

	while (__atomic_load_n(&m->heap->work.ending, __ATOMIC_SEQ_CST) &&
	       __atomic_load_n(&m->deposit.pending, __ATOMIC_SEQ_CST))
		if (now_ns() - since > NSEC_PER_SEC)
			return true;
	return false;
}

/* The one worker waits for who assists, and that one cannot get the lock. */
static void test_put_down_last(void)
{
	uint64_t until = now_ns() + 20 * NSEC_PER_SEC, cycle;
	struct gca_heap *heap = open_workers(GCA_MODE_CONCURRENT, 1, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	bool waited = false, stuck = false;

	{
		GCA_FRAME(m, f, struct node *list; struct node *node);
		for (size_t i = 0; i < 100000; i++) {
			f.node = must(gca_new(m, node));
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		gca_fault_arm(GCA_FAULT_WORK_LOCKED, 1);
		while (!waited && !stuck && now_ns() < until) {
			cycle = concurrent_request(heap);
			while (!stuck && !concurrent_over(heap, cycle)) {
				gca_safepoint(m);
				if (m->mark_bits)
					work_assist(m, KIB);
				waited |= __atomic_load_n(&heap->work.ending, __ATOMIC_RELAXED);
				stuck = stays_down(m);
			}
		}
		gca_fault_arm(GCA_FAULT_WORK_LOCKED, 0);
		ok(waited, "put down last: the worker waited");
		ok(!stuck, "and was told");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* What an assist takes of a long array is little, and nothing of it is passed over. */
static void test_assist_pieces(void)
{
	uint64_t until = now_ns() + 20 * NSEC_PER_SEC, cycle, scanned, most = 0;
	size_t nr = 20 * MARK_PIECE / sizeof(gca_ref) + 3;
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.workers = 1;
	config.share = 1;
	config.percent = GCA_PERCENT_OFF;
	heap = open_with(&config);
	gca_set_idle(heap, false);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *refs);
		f.refs = must(gca_new_refs(m, nr));
		for (size_t i = 0; i < nr; i++)
			gca_store(m, &f.refs[i], must(gca_new_bytes_raw(m, 16)));
		while (most < ASSIST_PIECE && now_ns() < until) {
			cycle = concurrent_request(heap);
			while (!concurrent_over(heap, cycle)) {
				gca_safepoint(m);
				scanned = m->mark_bits ? work_assist(m, 1) : 0;
				if (scanned > most)
					most = scanned;
			}
		}
		ok(most >= ASSIST_PIECE, "an assist took a piece of an array");
		ok(most < MARK_PIECE, "a small one: %llu bytes", (unsigned long long)most);
		eq(live_objects(m), nr + 1, "all that the pieces refer to is live");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Mutators never get the lock of the pool: what they mark is put down beside it. */
static void test_locked(void)
{
	gca_fault_arm(GCA_FAULT_WORK_LOCKED, 1);
	test_churn(GCA_MODE_CONCURRENT, 2);
	ok(gca_fault_fired(GCA_FAULT_WORK_LOCKED), "with a lock that is always another's");
	gca_fault_arm(GCA_FAULT_WORK_LOCKED, 0);
	test_put_down_twice();
	test_put_down_last();
}

static void test_config(void)
{
	struct gca_config config;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.share = 101;
	eq(gca_open(&config, &heap), -EINVAL, "more than all CPUs: %s", gca_error());
	setenv("GCARENA_SHARE", "0", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "GCARENA_SHARE=0: %s", gca_error());
	setenv("GCARENA_SHARE", "40", 1);
	setenv("GCARENA_WORKERS", "1000", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "GCARENA_WORKERS=1000: %s", gca_error());
	setenv("GCARENA_WORKERS", "3", 1);
	heap = open_with(NULL);
	eq(heap->work.share, 40, "the environment sets the share");
	eq(heap->work.workers_max, 3, "and the threads");
	unsetenv("GCARENA_SHARE");
	unsetenv("GCARENA_WORKERS");
	gca_close(heap);
}

int main(void)
{
	static const enum gca_mode modes[] = { GCA_MODE_CONCURRENT, GCA_MODE_STOP_THE_WORLD };

	test_config();
	for (unsigned int i = 0; i < ARRAY_SIZE(modes); i++) {
		test_shapes(modes[i], 1);
		test_shapes(modes[i], 4);
		test_ten_million(modes[i]);
		test_no_memory(modes[i]);
		test_churn(modes[i], 1);
		test_churn(modes[i], 2);
		test_churn(modes[i], 5);
	}
	test_locked();
	test_assist_pieces();
	return tap_done();
}
