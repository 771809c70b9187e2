// SPDX-License-Identifier: MIT
/*
 * Weak references, ephemerons and finalizers, in both modes and with verify=1: who is
 * cleared and called, in which order, what comes back; the gate, with a mistake
 * seeded; chains of ephemerons in an order that no pass likes; threads that load
 * weakly while cycles run, against the rule that what they get stays whole.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, next)		\
	F(REF, struct gca_weak, weak)		\
	F(REF, struct gca_ephemeron, ephemeron)	\
	F(VAL, uint64_t, key)
GCA_STRUCT(node, NODE_FIELDS);

static GCA_REF(struct node) roots[4];
static GCA_REF(struct gca_weak) weaks[4];

static struct gca_heap *open_verified(enum gca_mode mode, int percent)
{
	struct gca_heap *heap = open_debug("verify=1", mode, percent);

	if (gca_root_add(heap, roots, sizeof(roots)) || gca_root_add(heap, weaks, sizeof(weaks)))
		bail("roots: %s", gca_error());
	return heap;
}

static void close_verified(struct gca_heap *heap, struct gca_mutator *m, const char *what)
{
	eq(reports.count, 0, "%s: verify has nothing to say", what);
	if (reports.count)
		diag("%s", reports.text);
	gca_detach(m);
	eq(gca_close(heap), 0, "%s: close", what);
}

static struct node *node_new(struct gca_mutator *m, uint64_t key)
{
	struct node *node = must(gca_new(m, node));

	node->key = key;
	return node;
}

static void collect(struct gca_mutator *m)
{
	if (gca_collect(m))
		bail("gca_collect: %s", gca_error());
}

/* --------------------------------------------------------- weak references */

static void test_weak(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node; struct gca_weak *weak);

	f.node = node_new(m, 7);
	f.weak = must(gca_weak_new(m, f.node));
	collect(m);
	ok(gca_weak_get(m, f.weak) == f.node, "a weak reference leads to what is held");
	eq(stats_of(gca_heap_of(m)).weak_refs, 1, "and is counted");
	f.node = NULL;
	collect(m);
	ok(!gca_weak_get(m, f.weak), "and to nothing when nobody holds it");
	collect(m);
	ok(!gca_weak_get(m, f.weak), "and stays so");
	f.weak = NULL;
	collect(m);
	eq(stats_of(gca_heap_of(m)).weak_refs, 0, "a dead one is forgotten");

	f.node = node_new(m, 8);
	f.weak = must(gca_weak_new(m, f.node));
	gca_weak_clear(f.weak);
	ok(!gca_weak_get(m, f.weak), "one that was cleared leads to nothing");
	ok(!gca_weak_new(m, &roots[0]), "a weak reference to what is no object is refused");
	ok(!gca_weak_new(m, (char *)f.node + 8), "and to the middle of one");
	ok(!gca_weak_new(m, NULL), "and to NULL");
	/* The target refers to the reference: neither holds the other. */
	f.weak = must(gca_weak_new(m, f.node));
	gca_store(m, &f.node->weak, f.weak);
	f.weak = NULL;
	gca_store(m, &roots[0], NULL);
	f.node = NULL;
	eq(live_objects(m), 0, "a target that holds its own reference dies");
}

/* -------------------------------------------------------------- ephemerons */

static void test_ephemeron(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *key; struct node *value; struct gca_ephemeron *e);

	f.key = node_new(m, 1);
	f.value = node_new(m, 2);
	/* The value refers to its key: a weak table would keep both for ever. */
	gca_store(m, &f.value->next, f.key);
	f.e = must(gca_ephemeron_new(m, f.key, f.value));
	f.value = NULL;
	collect(m);
	f.value = gca_ephemeron_value(m, f.e);
	ok(f.value && f.value->key == 2, "an ephemeron keeps its value while the key lives");
	ok(gca_ephemeron_key(m, f.e) == f.key, "and tells the key");
	f.value = node_new(m, 3);
	gca_ephemeron_set_value(m, f.e, f.value);
	f.value = NULL;
	eq(live_objects(m), 3, "key, new value and ephemeron are alive");
	f.value = gca_ephemeron_value(m, f.e);
	eq(f.value->key, 3, "the value is the new one");
	gca_store(m, &f.value->next, f.key);
	f.value = NULL;
	f.key = NULL;
	eq(live_objects(m), 1, "with the key goes the value, though it refers to the key");
	ok(!gca_ephemeron_key(m, f.e) && !gca_ephemeron_value(m, f.e), "and both read as NULL");
	f.value = node_new(m, 4);
	gca_ephemeron_set_value(m, f.e, f.value);
	ok(!gca_ephemeron_value(m, f.e), "a value without a key is not kept");
	f.value = NULL;
	f.e = NULL;
	eq(live_objects(m), 0, "an ephemeron that nobody holds goes");
	ok(!gca_ephemeron_new(m, NULL, NULL), "an ephemeron without a key is refused");
	eq(stats_of(gca_heap_of(m)).ephemerons, 0, "none is left");
}

/* A chain: the value of each is the key of another, made in a shuffled order, and
 * only the first key is held.
 */
static void shuffled_chain(struct gca_mutator *m)
{
	GCA_FRAME(m, f, gca_ref *nodes; gca_ref *boxes; struct node *head);
	size_t count = scaled(100000), i, found = 0;
	struct rng rng = rng_seeded(11);
	uint32_t *order = malloc(count * sizeof(*order));
	uint64_t begin;

	f.nodes = must(gca_new_refs(m, count + 1));
	f.boxes = must(gca_new_refs(m, count));
	for (i = 0; i <= count; i++)
		gca_store(m, &f.nodes[i], (void *)node_new(m, i));
	for (i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (i = count; i > 1; i--) {
		size_t j = rng_below(&rng, i);
		uint32_t swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
	for (i = 0; i < count; i++) {
		struct gca_ephemeron *e = gca_ephemeron_new(m, gca_load(&f.nodes[order[i]]),
							    gca_load(&f.nodes[order[i] + 1]));

		gca_store(m, &f.boxes[order[i]], (void *)must(e));
	}
	f.head = gca_load(&f.nodes[0]);
	f.nodes = NULL;
	begin = clock_ns();
	collect(m);
	diag("a chain of %zu ephemerons: %.1f ms", count, (double)(clock_ns() - begin) / 1e6);
	for (i = 0; i < count; i++) {
		struct node *node = gca_ephemeron_value(m, (void *)gca_load(&f.boxes[i]));

		found += node && node->key == i + 1;
	}
	eq(found, count, "every value of a shuffled chain lives while its first key does");
	f.head = NULL;
	collect(m);
	for (i = 0, found = 0; i < count; i++)
		found += !!gca_ephemeron_key(m, (void *)gca_load(&f.boxes[i]));
	eq(found, 0, "and none when it does not");
	free(order);
}

/* Without verify, which looks through all for each that it finds. */
static void test_chain(enum gca_mode mode)
{
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	shuffled_chain(m);
	gca_detach(m);
	eq(gca_close(heap), 0, "chain: close");
}

/* -------------------------------------------------------------- finalizers */

static struct {
	uint64_t keys[16];
	unsigned int nr;
	struct gca_weak *weak;
	bool weak_was_clear;
} called;

static void note(struct gca_mutator *m, void *object, void *arg)
{
	struct node *node = object;

	called.keys[called.nr++ % 16] = node->key;
	if (gca_load(&node->weak))
		called.weak_was_clear = !gca_weak_get(m, gca_load(&node->weak));
}

static void resurrect(struct gca_mutator *m, void *object, void *arg)
{
	note(m, object, NULL);
	gca_store(m, &roots[0], (struct node *)object);
	if (arg)
		gca_finalizer_set(m, object, resurrect, arg, 0);
}

/* a refers to b refers to c. */
static void chain_of_three(struct gca_mutator *m, unsigned int flags)
{
	GCA_FRAME(m, f, struct node *a; struct node *b; struct node *c);

	f.a = node_new(m, 1);
	f.b = node_new(m, 2);
	f.c = node_new(m, 3);
	gca_store(m, &f.a->next, f.b);
	gca_store(m, &f.b->next, f.c);
	/* In another order than they refer. */
	eq(gca_finalizer_set(m, f.b, note, NULL, flags), 0, "a finalizer is set");
	gca_finalizer_set(m, f.c, note, NULL, flags);
	gca_finalizer_set(m, f.a, note, NULL, flags);
	collect(m);
	eq(gca_finalizers_ready(gca_heap_of(m)), 0, "nothing is ready while it is held");
	eq(stats_of(gca_heap_of(m)).finalizers, 3, "three are counted");
}

static size_t collect_and_run(struct gca_mutator *m)
{
	collect(m);
	return gca_finalizers_run(m, 0);
}

static void ring_of_two(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *a; struct node *b);

	f.a = node_new(m, 1);
	f.b = node_new(m, 2);
	gca_store(m, &f.a->next, f.b);
	gca_store(m, &f.b->next, f.a);
	gca_finalizer_set(m, f.a, note, NULL, GCA_FINALIZE_ORDERED);
	gca_finalizer_set(m, f.b, note, NULL, GCA_FINALIZE_UNORDERED);
}

static NOINLINE void one_for_resurrection(struct gca_mutator *m, void *again)
{
	GCA_FRAME(m, f, struct node *node; struct gca_weak *weak);

	f.node = node_new(m, 5);
	gca_store(m, &f.node->next, node_new(m, 6));
	f.weak = must(gca_weak_new(m, f.node));
	gca_store(m, &f.node->weak, f.weak);
	gca_store(m, &weaks[0], f.weak);
	gca_finalizer_set(m, f.node, resurrect, again, 0);
}

static void test_finalizers(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node);

	memset(&called, 0, sizeof(called));
	chain_of_three(m, GCA_FINALIZE_ORDERED);
	eq(collect_and_run(m), 1, "of a chain the head is ready alone");
	eq(called.keys[0], 1, "it is the one that refers");
	eq(collect_and_run(m), 1, "then the next");
	eq(called.keys[1], 2, "in order");
	eq(collect_and_run(m), 1, "and the last");
	eq(called.keys[2], 3, "of them");
	eq(collect_and_run(m), 0, "each once");
	eq(live_objects(m), 0, "and all are gone");

	memset(&called, 0, sizeof(called));
	chain_of_three(m, GCA_FINALIZE_UNORDERED);
	eq(collect_and_run(m), 3, "unordered ones are ready together");
	eq(live_objects(m), 0, "and gone after one more cycle");

	memset(&called, 0, sizeof(called));
	one_for_resurrection(m, &called);
	collect(m);
	ok(!gca_weak_get(m, gca_load(&weaks[0])), "its weak reference is cleared before");
	eq(gca_finalizers_run(m, 1), 1, "the finalizer is called");
	ok(called.weak_was_clear, "which finds the reference clear, in a box that lives");
	f.node = gca_load(&roots[0]);
	ok(f.node && f.node->key == 5 && gca_load(&f.node->next)->key == 6,
	   "an object that it stored is whole, with what it refers to");
	f.node = NULL;
	eq(collect_and_run(m), 0, "while it is held it is not called again");
	gca_store(m, &roots[0], NULL);
	eq(collect_and_run(m), 1, "it is, having been set again, when it is not");
	f.node = gca_load(&roots[0]);
	eq(gca_finalizer_set(m, f.node, NULL, NULL, 0), 0, "a finalizer is taken back");
	eq(gca_finalizer_set(m, f.node, NULL, NULL, 0), -ENOENT, "once");
	f.node = NULL;
	gca_store(m, &roots[0], NULL);
	gca_store(m, &weaks[0], NULL);
	eq(collect_and_run(m), 0, "and not called then");
	eq(live_objects(m), 0, "nothing is left");

	memset(&called, 0, sizeof(called));
	ring_of_two(m);
	eq(collect_and_run(m), 1, "on a ring only the unordered one is called");
	eq(called.keys[0], 2, "that one");
	eq(collect_and_run(m), 0, "the ordered one never");
	eq(live_objects(m), 2, "and the ring stays");

	eq(gca_finalizer_set(m, &called, note, NULL, 0), -EINVAL, "no object: refused");
	f.node = node_new(m, 9);
	eq(gca_finalizer_set(m, f.node, note, NULL, 8), -EINVAL, "unknown flags: refused");
}

static uint32_t ran_on_thread;

static void count_run(struct gca_mutator *m, void *object, void *arg)
{
	/* It may allocate, and collect. */
	must(gca_new(m, node));
	__atomic_add_fetch(&ran_on_thread, 1, __ATOMIC_RELAXED);
}

static NOINLINE void many_finalizers(struct gca_mutator *m, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		GCA_FRAME(m, f, struct node *node);

		f.node = node_new(m, i);
		gca_finalizer_set(m, f.node, count_run, NULL, i & 1);
	}
}

/* What a finalizer must not do: its thread would be waited for by itself. */
static struct {
	bool go;
	bool done;
	int error;
} closing;

static void close_own(struct gca_mutator *m, void *object, void *arg)
{
	gca_blocking_begin(m);
	while (!__atomic_load_n(&closing.go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	gca_blocking_end(m);
	closing.error = gca_close(gca_heap_of(m));
	__atomic_store_n(&closing.done, true, __ATOMIC_RELEASE);
}

static void test_finalizer_closes(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	if (gca_finalizer_thread(heap) ||
	    gca_finalizer_set(m, must(gca_new(m, node)), close_own, NULL, 0))
		bail("finalizer: %s", gca_error());
	gca_collect(m);
	gca_detach(m);
	__atomic_store_n(&closing.go, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&closing.done, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	eq(closing.error, -EBUSY, "a finalizer on the heap's thread does not close it");
	eq(gca_close(heap), 0, "who has no part in it does");
}

static void test_finalizer_thread(enum gca_mode mode)
{
	struct gca_heap *heap = open_verified(mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t count = scaled(5000);
	unsigned int waits;

	ran_on_thread = 0;
	eq(gca_finalizer_thread(heap), 0, "a thread for finalizers");
	eq(gca_finalizer_thread(heap), -EALREADY, "only one");
	many_finalizers(m, count);
	collect(m);
	gca_blocking_begin(m);
	for (waits = 0; waits < 2000; waits++) {
		if (__atomic_load_n(&ran_on_thread, __ATOMIC_RELAXED) == count)
			break;
		sleep_ms(5);
	}
	gca_blocking_end(m);
	eq(__atomic_load_n(&ran_on_thread, __ATOMIC_RELAXED), count, "calls them all by itself");
	close_verified(heap, m, "thread");
}

/* --------------------------------------------------------------- the gate */

static struct {
	struct gca_heap *heap;
	struct gca_mutator *reader;
	uint32_t stage;
	uint32_t there;
	uint32_t go;
	uint32_t over;
	uint32_t result;	/* 1: the load returned NULL; 2: an object */
} gate;

static void gate_hook(struct gca_heap *heap, enum gca_stage stage)
{
	if (heap != gate.heap || stage != gate.stage ||
	    __atomic_exchange_n(&gate.there, 1, __ATOMIC_SEQ_CST))
		return;
	while (!__atomic_load_n(&gate.go, __ATOMIC_ACQUIRE))
		sleep_ms(1);
}

static void *load_weakly(void *arg)
{
	struct gca_mutator *m = attach(gate.heap, GCA_STACK_PRECISE);
	struct node *node;

	__atomic_store_n(&gate.reader, m, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&gate.there, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	node = gca_weak_get(m, gca_load(&weaks[0]));
	if (node)
		gca_store(m, &roots[1], node);
	__atomic_store_n(&gate.result, node ? 2 : 1, __ATOMIC_RELEASE);
	/* Nothing that it has shaded is handed over before the end. */
	while (!__atomic_load_n(&gate.over, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	gca_detach(m);
	return NULL;
}

/* Does the reader wait there?  On a busy machine it takes a while to get so far. */
static bool at_gate(void)
{
	struct gca_mutator *reader = __atomic_load_n(&gate.reader, __ATOMIC_ACQUIRE);

	return reader && __atomic_load_n(&reader->account.state, __ATOMIC_RELAXED) == ACCOUNT_GATE;
}

static NOINLINE void weak_to_garbage(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node);

	f.node = node_new(m, 77);
	gca_store(m, &f.node->next, node_new(m, 78));
	gca_store(m, &weaks[0], must(gca_weak_new(m, f.node)));
}

static void test_gate(bool fault)
{
	struct gca_heap *heap = open_verified(GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;
	uint64_t cycle;

	memset(&gate, 0, sizeof(gate));
	gate.heap = heap;
	gate.stage = GCA_STAGE_GATED;
	weak_to_garbage(m);
	if (fault)
		gca_fault_arm(GCA_FAULT_OPEN_GATE, 1);
	if (pthread_create(&thread, NULL, load_weakly, NULL))
		bail("pthread_create");
	__atomic_store_n(&gca_stage_hook, gate_hook, __ATOMIC_RELEASE);
	cycle = concurrent_request(heap);
	while (!__atomic_load_n(&gate.there, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	gca_blocking_begin(m);
	for (int i = 0; !fault && i < 1000 && !at_gate(); i++)
		sleep_ms(10);
	sleep_ms(30);
	if (!fault)
		eq(__atomic_load_n(&gate.result, __ATOMIC_ACQUIRE), 0,
		   "a weak load of the unmarked waits at the gate");
	__atomic_store_n(&gate.go, 1, __ATOMIC_RELEASE);
	gca_blocking_end(m);
	concurrent_wait(m, cycle, UINT64_MAX);
	__atomic_store_n(&gate.over, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
	if (fault) {
		collect(m);
		ok(gate.result == 2 && reports.count, "without the gate it gets what dies: caught");
		gca_fault_arm(GCA_FAULT_OPEN_GATE, 0);
		reports.count = 0;
	} else {
		eq(gate.result, 1, "and gets NULL");
		ok(stats_of(heap).gate_wait_ns, "the wait is counted");
	}
	gca_store(m, &roots[1], NULL);
	gca_store(m, &weaks[0], NULL);
	close_verified(heap, m, "gate");
}

/* --------------------------------------------------------------- the queue */

/* In a finalizer called after the caller's scan: the cycle ends, with its object in
 * nobody's hands but the caller's.
 */
static void end_cycle(struct gca_mutator *m, void *object, void *arg)
{
	struct node *node = object;

	__atomic_store_n(&gate.go, 1, __ATOMIC_RELEASE);
	concurrent_wait(m, *(uint64_t *)arg, UINT64_MAX);
	/* Where it was lost it is not to be looked at. */
	gate.result = !reports.count && node->key == 5 && gca_load(&node->next)->key == 6;
}

static NOINLINE void finalized_pair(struct gca_mutator *m, uint64_t *cycle)
{
	GCA_FRAME(m, f, struct node *node);

	f.node = node_new(m, 5);
	gca_store(m, &f.node->next, node_new(m, 6));
	gca_finalizer_set(m, f.node, end_cycle, cycle, 0);
}

static void test_queue(bool fault)
{
	struct gca_heap *heap = open_verified(GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;

	finalized_pair(m, &cycle);
	collect(m);
	memset(&gate, 0, sizeof(gate));
	gate.heap = heap;
	gate.stage = GCA_STAGE_SCANNED;
	__atomic_store_n(&gca_stage_hook, gate_hook, __ATOMIC_RELEASE);
	cycle = concurrent_request(heap);
	while (!__atomic_load_n(&gate.there, __ATOMIC_ACQUIRE)) {
		gca_safepoint(m);
		sched_yield();
	}
	if (fault)
		gca_fault_arm(GCA_FAULT_NO_UNQUEUE, 1);
	eq(gca_finalizers_run(m, 0), 1, "a finalizer is called while marking is on");
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
	if (fault) {
		ok(reports.count,
		   "taken from the queue without a barrier, its object is lost: caught");
		gca_fault_arm(GCA_FAULT_NO_UNQUEUE, 0);
		reports.count = 0;
	} else {
		ok(gate.result, "its object is whole when the cycle is over");
	}
	close_verified(heap, m, "queue");
}

/* ---------------------------------------------------------------- threads */

#define CELLS	64u
#define ENOUGH_NS	20000000000ull

/* Cells of weak references to nodes that one thread makes and forgets. */
static GCA_REF(struct gca_weak) cells[CELLS];
static GCA_REF(struct node) held[CELLS];
static uint32_t stop, rest;
static uint64_t loads, nulls, wrong;

static bool goes_on(struct gca_mutator *m)
{
	while (__atomic_load_n(&rest, __ATOMIC_RELAXED)) {
		gca_safepoint(m);
		sched_yield();
	}
	return !__atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static void *weak_reader(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded((uintptr_t)&rng);

	while (goes_on(m)) {
		struct gca_weak *weak = gca_load(&cells[rng_below(&rng, CELLS)]);
		struct node *node = weak ? gca_weak_get(m, weak) : NULL;
		struct node *below;

		gca_safepoint(m);
		__atomic_add_fetch(node ? &loads : &nulls, 1, __ATOMIC_RELAXED);
		if (!node)
			continue;
		below = gca_load(&node->next);
		if (!below || below->key != ~node->key)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
		if (!rng_below(&rng, 16))
			gca_store(m, &held[rng_below(&rng, CELLS)], node);
	}
	gca_detach(m);
	return NULL;
}

static void *weak_maker(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded(3);
	uint64_t key = 0;

	while (goes_on(m)) {
		struct node *node = node_new(m, ++key);
		size_t at = rng_below(&rng, CELLS);

		gca_store(m, &node->next, node_new(m, ~key));
		gca_store(m, &cells[at], must(gca_weak_new(m, node)));
		if (!rng_below(&rng, 4))
			gca_store(m, &held[at], node);
		else if (!rng_below(&rng, 4))
			gca_store(m, &held[at], NULL);
		if (!rng_below(&rng, 8))
			gca_finalizer_set(m, node, count_run, NULL, key & 1);
		if (!(key & 255))
			gca_finalizers_run(m, 0);
	}
	gca_detach(m);
	return NULL;
}

static void test_threads(enum gca_mode mode)
{
	struct gca_heap *heap = open_verified(mode, 50);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t begin = clock_ns(), least = (uint64_t)scaled(1000) * 1000000;
	pthread_t threads[3];
	unsigned int i, n = 0;

	stop = 0;
	rest = 0;
	loads = 0;
	nulls = 0;
	wrong = 0;
	if (gca_root_add(heap, cells, sizeof(cells)) || gca_root_add(heap, held, sizeof(held)))
		bail("roots: %s", gca_error());
	for (i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, i ? weak_reader : weak_maker, heap))
			bail("pthread_create");
	/* Until there was some of both, however slow the machine. */
	while (clock_ns() - begin < least ||
	       (clock_ns() - begin < ENOUGH_NS && !(__atomic_load_n(&loads, __ATOMIC_RELAXED) &&
						    __atomic_load_n(&nulls, __ATOMIC_RELAXED)))) {
		/* What is loaded while a cycle marks lives on: all there is, in a long one. */
		__atomic_store_n(&rest, ++n % 4 == 0, __ATOMIC_RELAXED);
		collect(m);
	}
	__atomic_store_n(&rest, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gca_blocking_begin(m);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	gca_blocking_end(m);
	eq(wrong, 0, "what a weak load returns is whole");
	ok(loads && nulls, "of both sorts: %llu objects, %llu NULL, %llu cycles",
	   (unsigned long long)loads, (unsigned long long)nulls,
	   (unsigned long long)stats_of(heap).num_gc);
	close_verified(heap, m, "threads");
}

static void test_mode(enum gca_mode mode)
{
	struct gca_heap *heap = open_verified(mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	diag("%s", mode == GCA_MODE_CONCURRENT ? "concurrent" : "stop-the-world");
	test_weak(m);
	test_ephemeron(m);
	test_finalizers(m);
	close_verified(heap, m, "alone");
	test_chain(mode);
	test_finalizer_thread(mode);
	test_threads(mode);
}

int main(void)
{
	test_finalizer_closes();
	test_mode(GCA_MODE_STOP_THE_WORLD);
	test_mode(GCA_MODE_CONCURRENT);
	test_gate(false);
	test_gate(true);
	test_queue(false);
	test_queue(true);
	return tap_done();
}
