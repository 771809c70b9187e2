// SPDX-License-Identifier: MIT
/*
 * Marking beside the mutators.  Mistakes are seeded into the protocol and each has
 * to be caught, at a stage of the cycle where it is certain to lose an object; at
 * every stage threads attach, block, allocate and leave.  Random graphs are changed
 * by several threads, each with a model beside it that knows what is reachable, its
 * address and its key.  The stop-the-world mode is the oracle: the same program has
 * the same survivors.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, left)		\
	F(REF, struct node, right)		\
	F(VAL, uint64_t, key)
GCA_STRUCT(node, NODE_FIELDS);

/* ---------------------------------------------------------------- stages */

/* The collector waits at this stage of the next cycle until it is let go. */
static struct {
	struct gca_heap *heap;
	uint32_t stage;
	uint32_t there;
	uint32_t go;
} script;

static void hook(struct gca_heap *heap, enum gca_stage stage)
{
	if (heap != script.heap || stage != script.stage ||
	    __atomic_exchange_n(&script.there, 1, __ATOMIC_SEQ_CST))
		return;
	while (!__atomic_load_n(&script.go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
}

/* Begins a cycle and brings it to @stage; the calling thread answers meanwhile. */
static uint64_t cycle_to(struct gca_mutator *m, enum gca_stage stage)
{
	uint64_t cycle;

	memset(&script, 0, sizeof(script));
	script.heap = gca_heap_of(m);
	script.stage = stage;
	__atomic_store_n(&gca_stage_hook, hook, __ATOMIC_RELEASE);
	cycle = concurrent_request(gca_heap_of(m));
	while (!__atomic_load_n(&script.there, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	return cycle;
}

static void cycle_on(struct gca_mutator *m, uint64_t cycle)
{
	__atomic_store_n(&script.go, 1, __ATOMIC_RELEASE);
	concurrent_wait(m, cycle, UINT64_MAX);
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
}

/* -------------------------------------------------------- seeded mistakes */

static GCA_REF(struct node) roots[4];
static GCA_REF(struct node) passing[1];

static struct node *new_node(struct gca_mutator *m, uint64_t key)
{
	struct node *node = must(gca_new(m, node));

	node->key = key;
	return node;
}

/* An object is cut off from the graph by a store, and held by a scanned stack. */
static void cut(struct gca_mutator *m, struct node **held)
{
	struct node *a = gca_load(&roots[0]);

	*held = gca_load(&a->left);
	gca_store(m, &a->left, NULL);
}

static void cut_by_exchange(struct gca_mutator *m, struct node **held)
{
	*held = gca_exchange(m, &gca_load(&roots[0])->left, NULL);
}

static void cut_by_cas(struct gca_mutator *m, struct node **held)
{
	struct node *a = gca_load(&roots[0]);

	*held = gca_load(&a->left);
	gca_compare_exchange(m, &a->left, *held, NULL);
}

static void cut_by_bulk(struct gca_mutator *m, struct node **held)
{
	struct node *a = gca_load(&roots[0]);

	*held = gca_load(&a->left);
	gca_clear_refs(m, &a->left, 1);
}

static void cut_by_unroot(struct gca_mutator *m, struct node **held)
{
	*held = gca_load(&passing[0]);
	gca_root_remove(gca_heap_of(m), passing);
}

typedef void (*cut_fn)(struct gca_mutator *m, struct node **held);

static void test_cut(enum gca_fault fault, bool armed, cut_fn action, const char *what)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;

	gca_root_add(heap, roots, sizeof(roots));
	gca_root_add(heap, passing, sizeof(passing));
	{
		GCA_FRAME(m, f, struct node *held);
		gca_store(m, &roots[0], new_node(m, 1));
		gca_store(m, &gca_load(&roots[0])->left, new_node(m, 2));
		gca_store(m, &passing[0], new_node(m, 2));
		if (action != cut_by_unroot)
			gca_store(m, &passing[0], NULL);
		else
			gca_store(m, &gca_load(&roots[0])->left, NULL);
		gca_collect(m);
		cycle = cycle_to(m, GCA_STAGE_SCANNED);
		if (armed)
			gca_fault_arm(fault, 1);
		/* The inline path makes no mistakes. */
		if (armed)
			m->abi.barrier |= GCA_BARRIER_SLOW;
		action(m, &f.held);
		cycle_on(m, cycle);
		if (armed) {
			ok(gca_fault_fired(fault), "%s: the mistake was made", what);
			ok(reports.count && strstr(reports.text, "is not marked"),
			   "and is caught");
			diag("%s", reports.text);
		} else {
			eq(reports.count, 0, "%s: silent without a mistake", what);
			eq(f.held->key, 2, "the object is there");
			memset(&reports, 0, sizeof(reports));
			eq(live_objects(m), 2, "and nothing else");
		}
		gca_fault_arm(fault, 0);
	}
	gca_root_remove(heap, roots);
	gca_root_remove(heap, passing);
	gca_detach(m);
	gca_close(heap);
}

/* The only reference goes from a stack that is not scanned yet into a black object. */
static void hide(struct gca_mutator *m, struct node **held, unsigned int how)
{
	struct node *black = gca_load(&roots[0]);

	if (how == 0)
		gca_store(m, &black->left, *held);
	else if (how == 1)
		gca_init(m, &black->left, *held);
	else if (how == 2)
		gca_exchange(m, &black->left, *held);
	else
		gca_copy_refs(m, &black->left, (gca_ref *)held, 1);
	*held = NULL;
}

static void test_insertion(bool armed, unsigned int how, const char *what)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;

	gca_root_add(heap, roots, sizeof(roots));
	{
		GCA_FRAME(m, f, struct node *held);
		f.held = new_node(m, 2);
		gca_collect(m);
		cycle = cycle_to(m, GCA_STAGE_SETTLED);
		gca_store(m, &roots[0], new_node(m, 1));
		if (armed) {
			m->abi.barrier |= GCA_BARRIER_SLOW;
			gca_fault_arm(GCA_FAULT_NO_INSERTION, 1);
		}
		hide(m, &f.held, how);
		cycle_on(m, cycle);
		if (armed) {
			ok(gca_fault_fired(GCA_FAULT_NO_INSERTION), "%s: not inserted", what);
			ok(reports.count && strstr(reports.text, "is not marked"),
			   "and is caught");
			diag("%s", reports.text);
		} else {
			eq(reports.count, 0, "%s: what it writes is kept", what);
			eq(gca_load(&gca_load(&roots[0])->left)->key, 2, "and is there");
		}
		gca_fault_arm(GCA_FAULT_NO_INSERTION, 0);
	}
	gca_root_remove(heap, roots);
	gca_detach(m);
	gca_close(heap);
}

/* A thread takes an object out of the hands of one that has no barrier yet. */
static uint32_t step;

static void await_step(uint32_t want)
{
	while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) != want)
		sched_yield();
}

static void next_step(uint32_t to)
{
	__atomic_store_n(&step, to, __ATOMIC_RELEASE);
}

static void *passer(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct node *p);
		f.p = new_node(m, 3);
		next_step(1);
		/* With verify a cycle begins with a stop. */
		while (!__atomic_load_n(&script.there, __ATOMIC_ACQUIRE)) {
			gca_safepoint(m);
			sched_yield();
		}
		next_step(2);		/* no safepoint from here */
		await_step(3);
		gca_store(m, &roots[1], f.p);
		next_step(4);
		await_step(5);
		gca_store(m, &roots[1], NULL);
		f.p = NULL;		/* to here */
	}
	gca_detach(m);
	return NULL;
}

static void test_one_handshake(bool armed)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;
	uint64_t cycle;

	gca_root_add(heap, roots, sizeof(roots));
	next_step(0);
	memset(&script, 0, sizeof(script));
	{
		GCA_FRAME(m, f, struct node *taken);
		if (pthread_create(&thread, NULL, passer, heap))
			bail("pthread_create");
		await_step(1);
		if (armed)
			gca_fault_arm(GCA_FAULT_ONE_HANDSHAKE, 1);
		cycle = cycle_to(m, GCA_STAGE_BEGUN);
		await_step(2);
		__atomic_store_n(&script.go, 1, __ATOMIC_RELEASE);
		while (!m->abi.barrier) {
			gca_safepoint(m);
			sched_yield();
		}
		next_step(3);
		await_step(4);
		f.taken = gca_load(&roots[1]);
		next_step(5);
		concurrent_wait(m, cycle, UINT64_MAX);
		gca_blocking_begin(m);
		pthread_join(thread, NULL);
		gca_blocking_end(m);
		if (armed) {
			ok(gca_fault_fired(GCA_FAULT_ONE_HANDSHAKE), "one handshake for two");
			ok(reports.count && strstr(reports.text, "is not marked"), "is caught");
			diag("%s", reports.text);
		} else {
			eq(reports.count, 0, "two handshakes: silent");
			eq(f.taken->key, 3, "what was passed is there");
		}
	}
	gca_root_remove(heap, roots);
	gca_detach(m);
	gca_close(heap);
}

static void test_early_white(bool armed)
{
	struct gca_heap *heap = open_debug(NULL, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;

	{
		GCA_FRAME(m, f, struct node *fresh);
		if (armed)
			gca_fault_arm(GCA_FAULT_EARLY_WHITE, 1);
		cycle = cycle_to(m, GCA_STAGE_FLIPPING);
		f.fresh = new_node(m, 5);
		cycle_on(m, cycle);
		cycle_finish_sweep(m);
		if (armed) {
			ok(gca_fault_fired(GCA_FAULT_EARLY_WHITE), "white before the flip");
			ok(!gca_object_of(heap, f.fresh, NULL), "loses what is allocated then");
			f.fresh = NULL;
		} else {
			ok(gca_object_of(heap, f.fresh, NULL), "black up to the flip: kept");
			eq(f.fresh->key, 5, "as it was");
			eq(live_objects(m), 1, "once");
		}
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_mistakes(void)
{
	test_cut(GCA_FAULT_NO_DELETION, false, cut, "a store");
	test_cut(GCA_FAULT_NO_DELETION, false, cut_by_exchange, "an exchange");
	test_cut(GCA_FAULT_NO_DELETION, false, cut_by_cas, "a compare-exchange");
	test_cut(GCA_FAULT_NO_DELETION, false, cut_by_bulk, "a bulk form");
	test_cut(GCA_FAULT_NO_UNROOT, false, cut_by_unroot, "a range removed");
	test_cut(GCA_FAULT_NO_DELETION, true, cut, "no deletion half");
	test_cut(GCA_FAULT_NO_DELETION, true, cut_by_exchange, "none in an exchange");
	test_cut(GCA_FAULT_NO_DELETION, true, cut_by_cas, "none in a compare-exchange");
	test_cut(GCA_FAULT_NO_DELETION, true, cut_by_bulk, "none in a bulk form");
	test_cut(GCA_FAULT_NO_UNROOT, true, cut_by_unroot, "a range removed unshaded");
	test_cut(GCA_FAULT_LOSE_SHADES, true, cut, "a lost buffer");
	test_cut(GCA_FAULT_EARLY_END, true, cut, "an early end");
	test_insertion(false, 0, "a store");
	test_insertion(false, 1, "an initialising store");
	test_insertion(false, 2, "an exchange");
	test_insertion(false, 3, "a bulk form");
	test_insertion(true, 0, "no insertion half");
	test_insertion(true, 1, "none in an initialising store");
	test_insertion(true, 2, "none in an exchange");
	test_insertion(true, 3, "none in a bulk form");
	test_one_handshake(false);
	test_one_handshake(true);
	if (TEST_ASAN) {
		skip(5, "an ASan build flips in a stop");
	} else {
		test_early_white(false);
		test_early_white(true);
	}
}

/* ---------------------------------------------------- every stage, everything */

struct visitor_thread {
	struct gca_heap *heap;
	unsigned int flags;
	uint64_t key;
	uint32_t told;
};

/* Attaches, leaves an object in a root, detaches. */
static void *passer_by(void *arg)
{
	struct visitor_thread *self = arg;
	struct gca_mutator *m = attach(self->heap, self->flags);

	{
		GCA_FRAME(m, f, struct node *node);
		f.node = new_node(m, self->key);
		gca_store(m, &f.node->left, gca_load(&roots[2]));
		gca_store(m, &roots[2], f.node);
		for (unsigned int i = 0; i < 3000; i++)
			new_node(m, 0);
	}
	gca_detach(m);
	return NULL;
}

/* In a blocking region from one stage to another. */
static void *sleeper(void *arg)
{
	struct visitor_thread *self = arg;
	struct gca_mutator *m = attach(self->heap, self->flags);
	uint64_t key;

	{
		GCA_FRAME(m, f, struct node *node);
		f.node = new_node(m, self->key);
		gca_blocking_begin(m);
		__atomic_store_n(&self->told, 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&self->told, __ATOMIC_ACQUIRE) == 1)
			sleep_ms(1);
		gca_blocking_end(m);
		key = f.node->key;
		gca_store(m, &f.node->left, gca_load(&roots[3]));
		gca_store(m, &roots[3], f.node);
		__atomic_store_n(&self->told, key == self->key ? 3 : 4, __ATOMIC_RELEASE);
	}
	gca_detach(m);
	return NULL;
}

static size_t chain_length(struct node *node)
{
	size_t length = 0;

	for (; node; node = gca_load(&node->left))
		length += node->key >= 100;
	return length;
}

static void test_stage(enum gca_stage stage, const char *name, const char *debug)
{
	struct gca_heap *heap = open_debug(debug, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct visitor_thread by[2] = {
		{ .heap = heap, .key = 100 },
		{ .heap = heap, .key = 101, .flags = GCA_STACK_PRECISE },
	};
	struct visitor_thread asleep[2] = {
		{ .heap = heap, .key = 200 },
		{ .heap = heap, .key = 201, .flags = GCA_STACK_PRECISE },
	};
	pthread_t threads[2], sleepers[2];
	uint64_t cycle;

	gca_root_add(heap, roots, sizeof(roots));
	{
		GCA_FRAME(m, f, struct node *list);
		for (unsigned int i = 0; i < 2; i++) {
			if (pthread_create(&sleepers[i], NULL, sleeper, &asleep[i]))
				bail("pthread_create");
			while (!__atomic_load_n(&asleep[i].told, __ATOMIC_ACQUIRE))
				sched_yield();
		}
		for (unsigned int i = 0; i < 1000; i++) {
			struct node *node = new_node(m, 100 + i);

			gca_init(m, &node->left, f.list);
			f.list = node;
		}
		cycle = cycle_to(m, stage);
		/* The list goes over to a root, new and old nodes in turns. */
		while (f.list) {
			struct node *rest = gca_load(&f.list->left);

			gca_store(m, &f.list->left, gca_load(&roots[0]));
			gca_store(m, &roots[0], f.list);
			f.list = rest;
			if (rest) {
				struct node *node = new_node(m, 100);

				gca_store(m, &node->left, gca_load(&roots[0]));
				gca_store(m, &roots[0], node);
			}
		}
		/* One sleeper wakes in this stage, the other after the cycle; it needs
		 * no lock to, nor do those who only look.
		 */
		__atomic_store_n(&asleep[0].told, 2, __ATOMIC_RELEASE);
		while (__atomic_load_n(&asleep[0].told, __ATOMIC_ACQUIRE) == 2)
			sched_yield();
		for (unsigned int i = 0; i < 2 && stage < GCA_STAGE_FLIPPING; i++) {
			if (pthread_create(&threads[i], NULL, passer_by, &by[i]))
				bail("pthread_create");
			pthread_join(threads[i], NULL);
		}
		cycle_on(m, cycle);
		__atomic_store_n(&asleep[1].told, 2, __ATOMIC_RELEASE);
		gca_blocking_begin(m);
		for (unsigned int i = 0; i < 2; i++)
			pthread_join(sleepers[i], NULL);
		gca_blocking_end(m);
		gca_collect(m);
		/* What is free is used again, should it be something that lives. */
		for (unsigned int i = 0; i < 5000; i++)
			new_node(m, 0);
		eq(chain_length(gca_load(&roots[0])), 1999, "%s%s: a list moved under the marker",
		   name, debug ? ", verified" : "");
		eq(chain_length(gca_load(&roots[2])), stage < GCA_STAGE_FLIPPING ? 2 : 0,
		   "what threads left who came and went");
		eq(chain_length(gca_load(&roots[3])), 2, "and who woke");
		eq(asleep[0].told + asleep[1].told, 6, "to their own objects");
		eq(reports.count, 0, "silent");
		if (reports.count)
			diag("%s", reports.text);
	}
	gca_root_remove(heap, roots);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void test_stages(const char *debug)
{
	test_stage(GCA_STAGE_BLACK, "before the scan", debug);
	test_stage(GCA_STAGE_SCANNED, "before marking", debug);
	test_stage(GCA_STAGE_DRAINED, "before the last round", debug);
	test_stage(GCA_STAGE_MARKED, "after it", debug);
	/* With verify these two do not happen. */
	if (!debug && !TEST_ASAN) {
		test_stage(GCA_STAGE_FLIPPING, "before the flip", debug);
		test_stage(GCA_STAGE_FLIPPED, "after the flip", debug);
	}
}

/* ---------------------------------------------------------- random graphs */

#define THREADS		4
#define GRAPH_ROOTS	32
#define SWAPS		16

/* What a thread believes of its graph.  Never freed before the end. */
struct model {
	struct model *child[2];
	struct node *address;
	uint64_t key;
	struct model *next_made;
	uint32_t seen;
};

struct graph {
	struct gca_heap *heap;
	unsigned int number;
	unsigned int flags;
	size_t rounds;
	struct model *root[GRAPH_ROOTS];
	struct model *made;
	uint64_t keys;
	uint32_t stamp;
	size_t wrong;		/* out */
	size_t reached;		/* out: by the model, at the end */
	struct rng rng;
};

static GCA_REF(struct node) graph_roots[THREADS][GRAPH_ROOTS];
/* Trees whose keys add up, from hand to hand. */
static GCA_REF(struct node) swaps[SWAPS];

static struct model *model_new(struct graph *g, struct node *node)
{
	struct model *model = calloc(1, sizeof(*model));

	if (!model)
		bail("calloc");
	model->address = node;
	model->key = ++g->keys << 8 | g->number;
	node->key = model->key;
	model->next_made = g->made;
	g->made = model;
	return model;
}

static bool same(struct graph *g, const struct model *model, const struct node *node)
{
	bool right = model ? model->address == node && node->key == model->key : !node;

	g->wrong += !right;
	return right;
}

static void compare(struct graph *g, struct model *model, struct node *node)
{
	while (same(g, model, node) && model && model->seen != g->stamp) {
		model->seen = g->stamp;
		g->reached++;
		compare(g, model->child[0], gca_load(&node->left));
		node = gca_load(&node->right);
		model = model->child[1];
	}
}

/* A node found by a walk of random length from a random root, or NULL. */
static struct model *walk(struct graph *g, struct node **out)
{
	unsigned int r = (unsigned int)rng_below(&g->rng, GRAPH_ROOTS);
	unsigned int length = (unsigned int)rng_below(&g->rng, 24);
	struct node *node = gca_load(&graph_roots[g->number][r]);
	struct model *model = g->root[r];

	if (!same(g, model, node))
		return NULL;
	while (model && length--) {
		unsigned int side = rng_next(&g->rng) >> 40 & 1;

		if (!model->child[side])
			break;
		model = model->child[side];
		node = side ? gca_load(&node->right) : gca_load(&node->left);
		if (!same(g, model, node))
			return NULL;
	}
	*out = node;
	return model;
}

static void put(struct gca_mutator *m, struct graph *g, struct model *in, struct node *node,
		struct model *value, struct node *object)
{
	unsigned int side = rng_next(&g->rng) >> 40 & 1;

	if (in) {
		in->child[side] = value;
		if (side)
			gca_store(m, &node->right, object);
		else
			gca_store(m, &node->left, object);
	} else {
		unsigned int r = (unsigned int)rng_below(&g->rng, GRAPH_ROOTS);

		g->root[r] = value;
		gca_store(m, &graph_roots[g->number][r], object);
	}
}

static void graph_step(struct gca_mutator *m, struct graph *g)
{
	struct model *at, *found;

	GCA_FRAME(m, f, struct node *at; struct node *found);
	f.at = NULL;
	f.found = NULL;
	switch (rng_below(&g->rng, 8)) {
	case 0 ... 2:		/* grow */
		f.found = must(gca_new(m, node));
		found = model_new(g, f.found);
		at = rng_below(&g->rng, 4) ? walk(g, &f.at) : NULL;
		put(m, g, at, f.at, found, f.found);
		break;
	case 3:			/* one more way to something */
		found = walk(g, &f.found);
		at = walk(g, &f.at);
		if (found)
			put(m, g, at, f.at, found, f.found);
		break;
	case 4 ... 5:		/* cut off, hold for a while, put back elsewhere */
		at = walk(g, &f.at);
		if (!at)
			break;
		found = at->child[0];
		f.found = gca_exchange(m, &f.at->left, NULL);
		if (!same(g, found, f.found))
			break;
		at->child[0] = NULL;
		gca_safepoint(m);
		at = walk(g, &f.at);
		put(m, g, at, f.at, found, f.found);
		break;
	case 6:			/* new above old: an object born black holds a white one */
		found = walk(g, &f.found);
		if (!found)
			break;
		f.at = must(gca_new(m, node));
		at = model_new(g, f.at);
		at->child[0] = found;
		gca_init(m, &f.at->left, f.found);
		put(m, g, NULL, NULL, at, f.at);
		break;
	default:		/* drop */
		if (rng_below(&g->rng, 6) == 0)
			put(m, g, NULL, NULL, NULL, NULL);
		break;
	}
}

static struct node *sum_tree(struct gca_mutator *m, struct rng *rng, unsigned int depth)
{
	GCA_FRAME(m, f, struct node *node; struct node *left; struct node *right);
	f.left = depth ? sum_tree(m, rng, depth - 1) : NULL;
	f.right = depth ? sum_tree(m, rng, depth - 1) : NULL;
	f.node = must(gca_new(m, node));
	f.node->key = depth ? f.left->key + f.right->key + 1 : rng_next(rng);
	gca_init(m, &f.node->left, f.left);
	gca_init(m, &f.node->right, f.right);
	return f.node;
}

static size_t sums_wrong(struct node *node)
{
	struct node *left = gca_load(&node->left), *right = gca_load(&node->right);

	if (!left || !right)
		return left || right;
	return (node->key != left->key + right->key + 1) + sums_wrong(left) + sums_wrong(right);
}

/* Gives a tree of its own for somebody's, and keeps that for a while. */
static void swap_step(struct gca_mutator *m, struct graph *g)
{
	unsigned int i = (unsigned int)rng_below(&g->rng, SWAPS);

	GCA_FRAME(m, f, struct node *mine; struct node *theirs);
	f.mine = sum_tree(m, &g->rng, 4);
	f.theirs = gca_exchange(m, &swaps[i], f.mine);
	f.mine = NULL;
	for (unsigned int j = 0; j < 20; j++)
		graph_step(m, g);
	if (f.theirs)
		g->wrong += sums_wrong(f.theirs);
}

static void *graph_worker(void *arg)
{
	struct graph *g = arg;
	struct gca_mutator *m = attach(g->heap, g->flags);

	for (size_t i = 0; i < g->rounds && !g->wrong; i++) {
		graph_step(m, g);
		if (i % 50 == 0)
			swap_step(m, g);
		if (i % 5000 == 0 && g->number == 0)
			gca_collect(m);
		if (i % 997 == 0) {
			gca_blocking_begin(m);
			sched_yield();
			gca_blocking_end(m);
		}
		if (i % 20000 == 0) {
			g->stamp++;
			for (unsigned int r = 0; r < GRAPH_ROOTS; r++)
				compare(g, g->root[r], gca_load(&graph_roots[g->number][r]));
		}
	}
	g->stamp++;
	g->reached = 0;
	for (unsigned int r = 0; r < GRAPH_ROOTS; r++)
		compare(g, g->root[r], gca_load(&graph_roots[g->number][r]));
	gca_detach(m);
	return NULL;
}

/* What is live at the end, by the heap; @modelled: by the models. */
static uint64_t run_graphs(const char *debug, enum gca_mode mode, int percent, unsigned int nr,
			   size_t rounds, uint64_t *modelled)
{
	struct gca_heap *heap = open_debug(debug, mode, percent);
	struct graph graphs[THREADS] = { 0 };
	pthread_t threads[THREADS];
	struct gca_mutator *m;
	size_t wrong = 0;
	uint64_t live;

	gca_root_add(heap, graph_roots, sizeof(graph_roots));
	gca_root_add(heap, swaps, sizeof(swaps));
	*modelled = 0;
	for (unsigned int i = 0; i < nr; i++) {
		graphs[i].heap = heap;
		graphs[i].number = i;
		graphs[i].flags = i & 1 ? 0 : GCA_STACK_PRECISE;
		graphs[i].rounds = rounds;
		graphs[i].rng = rng_seeded(500 + i);
		if (pthread_create(&threads[i], NULL, graph_worker, &graphs[i]))
			bail("pthread_create");
	}
	for (unsigned int i = 0; i < nr; i++) {
		pthread_join(threads[i], NULL);
		wrong += graphs[i].wrong;
		*modelled += graphs[i].reached;
		while (graphs[i].made) {
			struct model *model = graphs[i].made;

			graphs[i].made = model->next_made;
			free(model);
		}
	}
	m = attach(heap, GCA_STACK_PRECISE);
	for (unsigned int i = 0; i < SWAPS; i++)
		gca_store(m, &swaps[i], NULL);
	live = live_objects(m);
	eq(wrong, 0, "mode %d, %u threads%s%s: every node is where the model has it", (int)mode, nr,
	   debug ? ", " : "", debug ? debug : "");
	eq(live, *modelled, "and what is live is what the models reach");
	eq(reports.count, 0, "silent over %llu cycles",
	   (unsigned long long)stats_of(heap).num_gc);
	if (reports.count)
		diag("%s", reports.text);
	gca_root_remove(heap, graph_roots);
	gca_root_remove(heap, swaps);
	gca_detach(m);
	gca_close(heap);
	return live;
}

static void test_graphs(void)
{
	uint64_t modelled, live;

	run_graphs(NULL, GCA_MODE_CONCURRENT, 20, THREADS, scaled(60000), &modelled);
	run_graphs("verify=1", GCA_MODE_CONCURRENT, 20, THREADS, scaled(20000), &modelled);
	run_graphs("verify=1,shadow=1,poison=1", GCA_MODE_CONCURRENT, 50, 2, scaled(15000),
		   &modelled);
	live = run_graphs(NULL, GCA_MODE_CONCURRENT, 30, 1, scaled(30000), &modelled);
	eq(live, run_graphs(NULL, GCA_MODE_STOP_THE_WORLD, 30, 1, scaled(30000), &modelled),
	   "the same program has the same survivors as stop-the-world");
}

/* ------------------------------------------------------------------ lists */

/* Reversed in place again and again: each step cuts off the rest. */
static void test_list(void)
{
	struct gca_heap *heap = open_debug(NULL, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t length = scaled(200000), wrong = 0;
	uint64_t cycles;

	{
		GCA_FRAME(m, f, struct node *done; struct node *rest);
		for (size_t i = 0; i < length; i++) {
			f.rest = new_node(m, 100 + i);
			gca_init(m, &f.rest->left, f.done);
			f.done = f.rest;
		}
		f.rest = NULL;
		cycles = stats_of(heap).num_gc;
		/* Until the collector, whatever CPU it gets, has seen it some times. */
		while (stats_of(heap).num_gc < cycles + 3) {
			concurrent_request(heap);
			f.rest = f.done;
			f.done = NULL;
			while (f.rest) {
				struct node *next = gca_load(&f.rest->left);

				gca_store(m, &f.rest->left, f.done);
				f.done = f.rest;
				f.rest = next;
				gca_safepoint(m);
			}
			wrong += chain_length(f.done) != length;
		}
		eq(wrong, 0, "a list of %zu, reversed under the marker, is whole", length);
		ok(stats_of(heap).num_gc > cycles, "over %llu cycles",
		   (unsigned long long)(stats_of(heap).num_gc - cycles));
		eq(live_objects(m), length, "all of it is live, and nothing else");
	}
	eq(live_objects(m), 0, "and then none");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	test_mistakes();
	test_stages(NULL);
	test_stages("verify=1");
	test_graphs();
	test_list();
	return tap_done();
}
