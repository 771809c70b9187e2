// SPDX-License-Identifier: MIT
/*
 * Races of one mutator with a step of the cycle, which the models found: each is
 * played with a thread that is held up in the middle of one operation of the
 * library, and once more with the mistake put in, which must lose an object.
 *
 * And what is best looked at between two answers: what marking the shaded costs.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>
#include <sys/resource.h>

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, next)		\
	F(VAL, uint64_t, key)
GCA_STRUCT(node, NODE_FIELDS);

static GCA_REF(struct node) slot[1];
static GCA_REF(struct gca_weak) reference[1];

/* What the threads wait for, in the order of the play. */
static uint32_t at;

static void await(uint32_t want)
{
	while (__atomic_load_n(&at, __ATOMIC_ACQUIRE) < want)
		sched_yield();
}

static void await_polling(struct gca_mutator *m, uint32_t want)
{
	while (__atomic_load_n(&at, __ATOMIC_ACQUIRE) < want) {
		gca_safepoint(m);
		sched_yield();
	}
}

static void await_barrier(struct gca_mutator *m)
{
	while (!m->abi.barrier) {
		gca_safepoint(m);
		sched_yield();
	}
}

static void advance(uint32_t to)
{
	__atomic_store_n(&at, to, __ATOMIC_RELEASE);
}

/* This one, and no other yet. */
static void answer(struct gca_mutator *m, enum handshake what)
{
	while (__atomic_load_n(&m->request, __ATOMIC_ACQUIRE) != what)
		sched_yield();
	gca_safepoint(m);
}

static struct gca_heap *open_concurrent(const char *debug)
{
	return open_debug(debug, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
}

static void join(struct gca_mutator *m, pthread_t thread)
{
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
}

/* --------------------------------------- a store against one without barrier */

enum { STORE_NONE, STORE_ATTACHED, STORE_BEGUN, STORE_SILENT, STORE_HELD, STORE_ON };

static void hold_store(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_BEGUN) {
		advance(STORE_BEGUN);
		await(STORE_SILENT);
	} else if (stage == GCA_STAGE_STORING) {
		advance(STORE_HELD);
		await(STORE_ON);
	}
}

static void *storer(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	advance(STORE_ATTACHED);
	await_barrier(m);
	/* What gca_store() does inline, with a stage between its two halves. */
	gca_store_slow(m, GCA_SLOT_(&slot[0]), NULL);
	gca_detach(m);
	return NULL;
}

static void test_store(bool armed)
{
	struct gca_heap *heap = open_concurrent("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;
	uint64_t cycle;

	gca_root_add(heap, slot, sizeof(slot));
	{
		GCA_FRAME(m, f, struct node *made; struct node *taken);
		f.made = must(gca_new(m, node));
		f.made->key = 7;
		at = STORE_NONE;
		__atomic_store_n(&gca_stage_hook, hold_store, __ATOMIC_RELEASE);
		if (armed)
			gca_fault_arm(GCA_FAULT_UNSETTLED, 1);
		if (pthread_create(&thread, NULL, storer, heap))
			bail("pthread_create");
		await_polling(m, STORE_ATTACHED);
		cycle = concurrent_request(heap);
		await_polling(m, STORE_BEGUN);
		/* No safepoint from here: the storer turns black, this one does not. */
		advance(STORE_SILENT);
		await(STORE_HELD);
		ok(!m->abi.barrier, "the second mutator has no barrier yet");
		gca_store(m, &slot[0], f.made);
		f.made = NULL;
		/* Black, and without the third handshake scanned with empty hands. */
		answer(m, HANDSHAKE_BLACK);
		answer(m, armed ? HANDSHAKE_SCAN : HANDSHAKE_SETTLE);
		f.taken = gca_load(&slot[0]);
		advance(STORE_ON);
		concurrent_wait(m, cycle, UINT64_MAX);
		__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
		join(m, thread);
		if (armed) {
			ok(gca_fault_fired(GCA_FAULT_UNSETTLED),
			   "the scan is asked for while a store is on");
			ok(reports.count, "and an object is lost, which is noticed");
		} else {
			eq(reports.count, 0, "a store that races with one without barrier: silent");
			eq(f.taken->key, 7, "and what it overwrote is there");
		}
	}
	gca_fault_arm(GCA_FAULT_UNSETTLED, 0);
	gca_root_remove(heap, slot);
	gca_detach(m);
	gca_close(heap);
}

/* ------------------------- a store without barrier into what another has just made */

enum { MADE_NONE, MADE_ATTACHED, MADE_BEGUN, MADE_SILENT, MADE_THERE };

static GCA_REF(struct node) made[1];

static void hold_start(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_BEGUN) {
		advance(MADE_BEGUN);
		await(MADE_SILENT);
	}
}

static void *maker(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	advance(MADE_ATTACHED);
	await_barrier(m);
	gca_store(m, &made[0], must(gca_new(m, node)));
	advance(MADE_THERE);
	gca_detach(m);
	return NULL;
}

/* The only path to an object leads, when its old one is cut, over one that is made while
 * not everybody has a barrier: were that one black, nobody would look into it.
 */
static void test_made(bool armed)
{
	struct gca_heap *heap = open_concurrent("verify=1");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;
	uint64_t cycle;

	gca_root_add(heap, slot, sizeof(slot));
	gca_root_add(heap, made, sizeof(made));
	gca_store(m, &slot[0], must(gca_new(m, node)));
	gca_load(&slot[0])->key = 7;
	at = MADE_NONE;
	__atomic_store_n(&gca_stage_hook, hold_start, __ATOMIC_RELEASE);
	if (armed)
		gca_fault_arm(GCA_FAULT_BLACK_EARLY, 1);
	if (pthread_create(&thread, NULL, maker, heap))
		bail("pthread_create");
	await_polling(m, MADE_ATTACHED);
	cycle = concurrent_request(heap);
	await_polling(m, MADE_BEGUN);
	/* No safepoint from here: the maker gets its barrier, this one does not. */
	advance(MADE_SILENT);
	await(MADE_THERE);
	ok(!m->abi.barrier, "the second mutator has no barrier yet");
	gca_store(m, &gca_load(&made[0])->next, gca_load(&slot[0]));
	gca_store(m, &slot[0], NULL);
	concurrent_wait(m, cycle, UINT64_MAX);
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
	join(m, thread);
	if (armed) {
		ok(gca_fault_fired(GCA_FAULT_BLACK_EARLY),
		   "what is made is black before all have barriers");
		ok(reports.count, "and what is stored there is lost, which is noticed");
	} else {
		eq(reports.count, 0, "a store without barrier into what was just made: silent");
		eq(gca_load(&gca_load(&made[0])->next)->key, 7, "and what it stored is there");
	}
	gca_fault_arm(GCA_FAULT_BLACK_EARLY, 0);
	gca_store(m, &made[0], NULL);
	gca_root_remove(heap, slot);
	gca_root_remove(heap, made);
	gca_detach(m);
	gca_close(heap);
}

/* ----------------------------------------------- a weak load against the gate */

enum { WEAK_NONE, WEAK_GATED, WEAK_LOADED, WEAK_FLIPPED };

static void hold_load(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_GATED) {
		advance(WEAK_GATED);
		await(WEAK_LOADED);
	} else if (stage == GCA_STAGE_WEAK_LOADED &&
		   __atomic_load_n(&at, __ATOMIC_ACQUIRE) == WEAK_GATED) {
		advance(WEAK_LOADED);
		await(WEAK_FLIPPED);
	} else if (stage == GCA_STAGE_FLIPPED) {
		advance(WEAK_FLIPPED);
	}
}

static void test_weak(bool armed)
{
	struct gca_heap *heap = open_concurrent(NULL);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	void *got;
	uint64_t cycle;

	gca_root_add(heap, reference, sizeof(reference));
	{
		GCA_FRAME(m, f, struct node *target);
		f.target = must(gca_new(m, node));
		gca_store(m, &reference[0], gca_weak_new(m, f.target));
		f.target = NULL;
		at = WEAK_NONE;
		__atomic_store_n(&gca_stage_hook, hold_load, __ATOMIC_RELEASE);
		if (armed)
			gca_fault_arm(GCA_FAULT_GATE_SEEN_LATE, 1);
		cycle = concurrent_request(heap);
		await_polling(m, WEAK_GATED);
		got = gca_weak_get(m, gca_load(&reference[0]));
		concurrent_wait(m, cycle, UINT64_MAX);
		__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
		if (armed) {
			ok(gca_fault_fired(GCA_FAULT_GATE_SEEN_LATE),
			   "the gate was looked at after the reference");
			ok(got && !gca_object_of(heap, got, NULL), "and what came is dead");
		} else {
			ok(!got, "a weak load across the gate finds nothing");
		}
	}
	gca_fault_arm(GCA_FAULT_GATE_SEEN_LATE, 0);
	gca_root_remove(heap, reference);
	gca_detach(m);
	gca_close(heap);
}

/* Sanitizers have tables of their own. */
#ifdef __SANITIZE_THREAD__
#define FAULTS_ARE_OURS	0
#else
#define FAULTS_ARE_OURS	(!TEST_ASAN)
#endif

static long faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

#define APART	(512 * KIB)	/* grey bits of so much are a page of the system's */
#define PARTS	128u

/* What a mutator marks for its barrier is part of its stops: there, nothing is
 * touched for the first time, however large the heap is.
 */
static void test_shades(void)
{
	struct gca_heap *heap = open_concurrent("gctrace=0");
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t cycle;
	long before;

	gca_root_add(heap, slot, sizeof(slot));
	{
		GCA_FRAME(m, f, gca_ref *table; struct node *node);
		f.table = must(gca_new_refs(m, PARTS));
		for (size_t i = 0; i < PARTS * APART / sizeof(struct node); i++) {
			f.node = must(gca_new(m, node));
			if (i % (APART / sizeof(struct node)) == 0)
				gca_store(m, &f.table[i / (APART / sizeof(struct node))],
					  (void *)f.node);
		}
		f.node = NULL;
		cycle = concurrent_request(heap);
		/* Nothing is scanned before the next answer. */
		answer(m, HANDSHAKE_BLACK);
		before = faults();
		for (size_t i = 0; i < 4 * PARTS; i++)
			gca_store(m, &slot[0], (struct node *)gca_load(&f.table[i % PARTS]));
		before = faults() - before;
		ok(before <= PARTS / 8, "marking what is shaded: %ld page faults", before);
		concurrent_wait(m, cycle, UINT64_MAX);
	}
	gca_root_remove(heap, slot);
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	/* The device's tables come by faults: the kernel maps them at the first touch. */
	if (FAULTS_ARE_OURS && !test_on_device())
		test_shades();
	test_store(true);
	test_store(false);
	test_made(true);
	test_made(false);
	/* Where freed slots are poisoned, a cycle ends in a stop. */
	if (TEST_ASAN)
		return tap_done();
	test_weak(true);
	test_weak(false);
	return tap_done();
}
