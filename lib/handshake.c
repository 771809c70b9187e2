// SPDX-License-Identifier: MIT
/*
 * Handshakes: every mutator does one small thing, each at its own time.
 *
 * The collector, world held, writes what it asks for into each mutator's request
 * and sets its poll.  A running mutator answers at its next safepoint, on its own;
 * a blocked one is claimed (stop.c), and the collector answers for it.  Nobody
 * waits for another mutator's answer: a stop is as long as one mutator's own work.
 *
 * A mutator that becomes blocked stores its state and then loads its request, the
 * collector stores the request and then looks at the state, all sequentially
 * consistent: either the collector claims or the mutator wakes it.  The answer
 * stores 0 to the request with release, so that the collector has seen all that
 * the mutator did before, when the handshake returns.
 *
 * The one holder of world is the only one that asks or stops: a poll that is set
 * while a handshake is on is that handshake's.
 */
#include "internal.h"

/* An answer for another thread that is looked at again: was there a CPU for it? */
#define PROXY_LONG_NS	20000u

/* A visitor that shades into a mutator's buffer. */
struct shader {
	struct gca_visitor visitor; /* first */
	struct gca_mutator *mutator;
};

static void shade_word(struct gca_visitor *visitor, uintptr_t word)
{
	struct shader *shader = (struct shader *)visitor;

	if (heap_has(visitor->heap, word))
		mark_shade(shader->mutator, word);
}

static void shade_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		shade_word(visitor, (uintptr_t)__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
}

static void shade_value(struct gca_visitor *visitor, const void *object)
{
	shade_word(visitor, (uintptr_t)object);
}

/* Stacks, of other threads too. */
static GCA_NO_ASAN GCA_NO_TSAN void shade_words(struct gca_visitor *visitor, uintptr_t low,
						uintptr_t high)
{
	const volatile uintptr_t *word;

	for (word = (const uintptr_t *)low; word < (const uintptr_t *)high; word++)
		shade_word(visitor, *word);
}

static struct shader shader_of(struct gca_mutator *mutator)
{
	return (struct shader){
		.visitor = {
			.slots = shade_slots,
			.value = shade_value,
			.words = shade_words,
			.heap = mutator->heap,
			.low = 0,
			.high = UINTPTR_MAX,
		},
		.mutator = mutator,
	};
}

/* It shades, and allocates white still: others have no barrier yet. */
static void barrier_on(struct gca_mutator *mutator)
{
	gca_assert(!mutator->mark_bits);
	/* A store that a signal interrupted may have left old words there. */
	mark_shades_drop(mutator);
	mutator->mark_bits = mark_bitmap(mutator->heap);
	mutator->abi.barrier = generations_barrier(mutator->heap, true);
	if (gca_fault_hit(GCA_FAULT_BLACK_EARLY))
		alloc_turn_black(mutator);
}

/* A round of the end: the flip may come next, and then somebody's first young object. */
static void remember(struct gca_mutator *mutator)
{
	if (mutator->mark_bits && !gca_fault_hit(GCA_FAULT_CARDS_LATE))
		mutator->abi.barrier = generations_barrier(mutator->heap, true);
}

static void scan(struct gca_mutator *mutator)
{
	struct shader shader = shader_of(mutator);

	/* In a stop, which needs no settling. */
	alloc_turn_black(mutator);
	roots_visit_mutator(mutator, &shader.visitor);
	mark_shade_flush(mutator);
	remember(mutator);
}

static void flush(struct gca_mutator *mutator)
{
	if (gca_fault_hit(GCA_FAULT_LOSE_SHADES))
		mark_shades_drop(mutator);
	mark_shade_flush(mutator);
	remember(mutator);
}

/* By the mutator, its stack published if it is to be scanned, or for a claimed one. */
static void answer(struct gca_mutator *mutator, enum handshake what)
{
	switch (what) {
	case HANDSHAKE_BLACK:
		barrier_on(mutator);
		break;
	case HANDSHAKE_SETTLE:
		alloc_turn_black(mutator);
		break;
	case HANDSHAKE_SCAN:
		scan(mutator);
		break;
	case HANDSHAKE_ONE_FOR_TWO:
		barrier_on(mutator);
		scan(mutator);
		break;
	case HANDSHAKE_FLUSH:
		flush(mutator);
		break;
	case HANDSHAKE_WHITE:
		/* All of it is marked: the last round found nothing. */
		mark_shades_drop(mutator);
		alloc_turn_white(mutator, mutator->heap->generation);
		break;
	default:
		gca_assert(what == HANDSHAKE_NONE);
	}
	__atomic_store_n(&mutator->abi.poll, mutator->heap->debug_stress, __ATOMIC_RELAXED);
	__atomic_store_n(&mutator->request, HANDSHAKE_NONE, __ATOMIC_SEQ_CST);
}

static enum gca_stop cause_of(enum handshake what)
{
	static const enum gca_stop causes[] = {
		[HANDSHAKE_BLACK] = GCA_STOP_BLACK,
		[HANDSHAKE_SETTLE] = GCA_STOP_SETTLE,
		[HANDSHAKE_SCAN] = GCA_STOP_SCAN,
		[HANDSHAKE_FLUSH] = GCA_STOP_FLUSH,
		[HANDSHAKE_WHITE] = GCA_STOP_WHITE,
		[HANDSHAKE_ONE_FOR_TWO] = GCA_STOP_SCAN,
	};

	return causes[what];
}

/**
 * handshake_answer - do what a handshake asks for
 * @mutator: the calling thread's, running, its request not none
 */
void handshake_answer(struct gca_mutator *mutator)
{
	enum handshake what = __atomic_load_n(&mutator->request, __ATOMIC_ACQUIRE);
	struct gca_heap *heap = mutator->heap;
	enum account_state before;
	struct stopwatch watch;

	before = account_switch(&mutator->account, ACCOUNT_HANDSHAKE);
	stopwatch_start(&watch);
	if (what == HANDSHAKE_SCAN || what == HANDSHAKE_ONE_FOR_TWO)
		stack_publish(mutator);
	mutator->quiet_since = UINT64_MAX;
	mutator->late = false;
	answer(mutator, what);
	stop_note(heap, cause_of(what), stopwatch_stop(&watch, &heap->stop_unscheduled_ns));
	stop_acknowledge(heap);
	alloc_return_spent(mutator);
	profile_wait_end(mutator, before);
}

/*
 * How long it took since @begin, without waits for a CPU.  The stopwatch costs more than
 * most answers do: it runs since @pass began, and is looked at when one took long.
 */
static uint64_t proxy_ns(struct gca_heap *heap, struct stopwatch *pass, uint64_t begin)
{
	uint64_t now = now_ns(), wall = now - begin, all, ran;

	if (wall < PROXY_LONG_NS)
		return wall;
	all = now - pass->wall;
	ran = stopwatch_stop(pass, &heap->stop_unscheduled_ns);
	stopwatch_start(pass);
	if (ran >= all)
		return wall;
	return wall > all - ran ? wall - (all - ran) : 0;
}

/* True when @mutator has answered, or it was answered for it. */
static bool answered(struct gca_mutator *mutator, enum handshake what, struct stopwatch *pass)
{
	struct gca_heap *heap = mutator->heap;
	uint32_t expected = MUTATOR_BLOCKED;
	uint32_t nr_spent = 0;
	uint64_t begin;

	if (!__atomic_load_n(&mutator->request, __ATOMIC_SEQ_CST))
		return true;
	if (!__atomic_compare_exchange_n(&mutator->state, &expected, MUTATOR_CLAIMED, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	begin = now_ns();
	/* It may have answered and become blocked since. */
	if (__atomic_load_n(&mutator->request, __ATOMIC_SEQ_CST)) {
		if (what == HANDSHAKE_BLACK)
			mutator->quiet_since = mutator->wakes;
		answer(mutator, what);
		nr_spent = alloc_take_spent(mutator, heap->proxy_spent);
	}
	mutator_unclaim(mutator);
	if (__atomic_load_n(&mutator->parked, __ATOMIC_RELAXED))
		futex_wake(&mutator->request);
	stop_note(heap, GCA_STOP_PROXY, proxy_ns(heap, pass, begin));
	alloc_give_back(heap, heap->proxy_spent, nr_spent);
	return true;
}

static void shade_directly(struct gca_visitor *visitor, uintptr_t word)
{
	if (heap_has(visitor->heap, word))
		mark_shades(visitor->heap, &word, 1);
}

static void shade_callback_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		shade_directly(visitor, (uintptr_t)__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
}

static void shade_callback_value(struct gca_visitor *visitor, const void *object)
{
	shade_directly(visitor, (uintptr_t)object);
}

static GCA_NO_ASAN GCA_NO_TSAN void shade_callback_words(struct gca_visitor *visitor,
							 uintptr_t low, uintptr_t high)
{
	const volatile uintptr_t *word;

	for (word = (const uintptr_t *)low; word < (const uintptr_t *)high; word++)
		shade_directly(visitor, *word);
}

/**
 * handshake_scan_stopped - shade the roots of all mutators and of the callbacks
 * @heap: the heap, stopped, its mutators black
 *
 * What a callback finds is moved by plain stores, between it and a stack too: all
 * of it is seen at one time or not right.
 */
void handshake_scan_stopped(struct gca_heap *heap)
{
	struct gca_visitor visitor = {
		.slots = shade_callback_slots,
		.value = shade_callback_value,
		.words = shade_callback_words,
		.heap = heap,
	};
	struct gca_mutator *mutator;

	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		scan(mutator);
	roots_visit_callbacks(heap, &visitor);
}

/**
 * handshake - have every mutator do something
 * @heap: the heap, its world held by the calling thread, no mutator's
 * @what: what
 */
void handshake(struct gca_heap *heap, enum handshake what)
{
	struct gca_mutator *mutator;
	uint64_t begin = now_ns();
	struct stopwatch pass;
	unsigned int waits = 0;
	uint64_t waited;
	bool all;

	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		/* In this order: the answer clears both. */
		__atomic_store_n(&mutator->abi.poll, 1, __ATOMIC_RELAXED);
		__atomic_store_n(&mutator->request, what, __ATOMIC_SEQ_CST);
	}
	for (;;) {
		uint32_t acks = __atomic_load_n(&heap->acks, __ATOMIC_SEQ_CST);

		all = true;
		stopwatch_start(&pass);
		for (mutator = heap->mutators; mutator; mutator = mutator->next)
			if (!answered(mutator, what, &pass))
				all = false;
		if (all)
			break;
		stop_wait(heap, acks, waits++, begin);
	}
	waited = now_ns() - begin;
	/* That of blocked mutators is none. */
	if (waits && waited > heap->safepoint_max_ns)
		__atomic_store_n(&heap->safepoint_max_ns, waited, __ATOMIC_RELAXED);
}

/**
 * handshake_round - have every mutator hand over what it shaded
 * @heap: the heap, its world held, marking on
 *
 * Was a thread stopped by a signal since marking began, then a store of its may have
 * overwritten a pointer that nobody shaded, and that some other stack holds: stacks are
 * scanned again, and with them what root callbacks find.
 */
void handshake_round(struct gca_heap *heap)
{
	uint64_t begin;

	if (!__atomic_load_n(&heap->in_flight, __ATOMIC_RELAXED)) {
		handshake(heap, HANDSHAKE_FLUSH);
	} else if (!heap->roots.nr_callbacks) {
		handshake(heap, HANDSHAKE_SCAN);
	} else {
		world_stop(heap, NULL);
		begin = now_ns();
		handshake_scan_stopped(heap);
		stop_note(heap, GCA_STOP_WORLD, now_ns() - begin);
		world_start(heap, NULL);
	}
}
