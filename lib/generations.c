// SPDX-License-Identifier: MIT
/*
 * Generations: which cycles are minor ones, and what they begin with.
 *
 * An object is old when the sweep that is complete found it alive: its mark bit was
 * left set, if the sweep was a sticky one.  A minor cycle begins with those bits,
 * and with the dirty cards as roots; all else about it is as in any other.  A full
 * one after a sticky sweep clears them first.  Documentation/generations.rst says why
 * nothing live is lost.
 *
 * Whether the next cycle may be a minor one is decided before this one's last
 * rounds: from then on mutators dirty cards, and the sweep will be sticky.  worth.c says
 * whether one would pay.
 */
#include "mark.h"

/* When they are on: of the room that a full cycle left, what must be there for a minor one. */
#define ROOM_PARTS	2

#define get(value)	__atomic_load_n(value, __ATOMIC_RELAXED)

/**
 * gca_set_generations - whether cycles may be minor ones
 * @heap: the heap
 * @generations: off, auto or on; DEFAULT: as if nothing had been said
 *
 * From the next cycle on.  A stop-the-world heap, and one whose arena cannot sweep that
 * way, has none.
 *
 * Return: what it was.
 */
enum gca_generations gca_set_generations(struct gca_heap *heap, enum gca_generations generations)
{
	RUNTIME();
	if (generations <= GCA_GENERATIONS_DEFAULT || generations > GCA_GENERATIONS_ON)
		generations = GENERATIONS_DEFAULT;
	return (enum gca_generations)__atomic_exchange_n(&heap->generations.mode,
							 (uint32_t)generations,
							 __ATOMIC_RELAXED);
}

/* Mark bits of the old.  Spans that are made meanwhile have none. */
static void clear_marks(struct gca_heap *heap)
{
	uint64_t *bits = mark_bitmap(heap);
	uint32_t used = heap_pages_used(heap), page;
	unsigned int i;

	if (gca_fault_hit(GCA_FAULT_STALE_OLD))
		return;
	for (page = 0; page < used; page++) {
		uint64_t *line = &bits[(uint64_t)page * GCARENA_LINE_WORDS];

		/* The lines of others may be no memory yet. */
		if (!(row_word0(heap, page) & GCARENA_ROW_IN_USE))
			continue;
		for (i = 0; i < GCARENA_LINE_WORDS; i++)
			if (get(&line[i]))
				__atomic_store_n(&line[i], 0, __ATOMIC_RELAXED);
	}
}

/**
 * generations_begin - a cycle begins
 * @heap: the heap, its world held, the sweep before complete, every mutator white
 * @full: it may not be a minor one
 */
void generations_begin(struct gca_heap *heap, bool full)
{
	struct generations *generations = &heap->generations;

	generations->before = get(&heap->heap_live);
	generations->allocated = heap_allocated(heap);

	generations->minor = generations->remember && !full && !heap->pacer.by_limit &&
			     !heap->pacer.thrashing &&
			     get(&generations->mode) != GCA_GENERATIONS_OFF;
	generations->cards = 0;
	if (!generations->remember)
		return;
	generations->dirty = true;
	if (!generations->minor) {
		/* Cards were dirtied for nothing. */
		worth_wasted(&generations->worth);
		clear_marks(heap);
	}
	__atomic_store_n(&generations->remember, false, __ATOMIC_RELAXED);
}

/* Bytes of objects that were marked when this cycle began, and are not counted by it. */
static uint64_t old_count(const struct gca_heap *heap, uint64_t *objects)
{
	const struct generations *generations = &heap->generations;
	uint32_t epoch = get(&heap->epoch) ^ 1;

	*objects = get(&heap->heap_live_objects) + get(&generations->black[epoch].objects) -
		   get(&generations->freed[epoch].objects);
	return get(&heap->heap_live) + get(&generations->black[epoch].bytes) -
	       get(&generations->freed[epoch].bytes);
}

/* World held: what there is room for when the cycle is over, cycle->live being taken for
 * alive, and of that the runway of a full one.
 */
static void find_room(const struct gca_heap *heap, struct worth_cycle *cycle)
{
	struct pacer pacer = heap->pacer;

	if (!cycle->minor) {
		pacer.live = cycle->live;
		pacer.promoted = 0;
		pacer_set(&pacer);
	}
	cycle->room = pacer.goal > cycle->live ? pacer.goal - cycle->live : 0;
	cycle->runway = pacer_runway(&pacer);
}

/* World held. */
static bool decide(struct gca_heap *heap, const struct worth_cycle *cycle)
{
	const struct pacer *pacer = &heap->pacer;
	uint32_t mode = get(&heap->generations.mode);
	uint64_t base = pacer->live - pacer->promoted;
	bool worth = worth_decide(&heap->generations.worth, cycle);

	if (mode == GCA_GENERATIONS_OFF || !heap->has_sticky || pacer->by_limit ||
	    pacer->thrashing)
		return false;
	if (mode == GCA_GENERATIONS_AUTO)
		return worth && pacer->percent != PACER_OFF;
	return !cycle->minor || pacer->goal <= base ||
	       cycle->room >= (pacer->goal - base) / ROOM_PARTS;
}

/**
 * generations_decide - whether the next cycle may be a minor one
 * @heap: the heap, marking on, no round of the end yet; the calling thread runs the cycle
 */
void generations_decide(struct gca_heap *heap)
{
	struct generations *generations = &heap->generations;
	struct work *work = &heap->work;
	struct worth_cycle cycle = {
		.minor = generations->minor,
		.ns = pace_marking_ns(heap, &generations->begun),
		.cards = generations->cards,
		.before = generations->before,
		.allocated = generations->allocated,
	};
	uint64_t objects, old;

	grey_lock(work);
	cycle.live = work->result.bytes;
	grey_unlock(work);
	pthread_mutex_lock(&heap->world);
	old = old_count(heap, &objects);
	cycle.live += cycle.minor ? old : 0;
	find_room(heap, &cycle);
	__atomic_store_n(&generations->remember, decide(heap, &cycle), __ATOMIC_RELAXED);
	pthread_mutex_unlock(&heap->world);
}

/**
 * generations_add_old - count what was marked when the cycle began
 * @heap: the heap, marking over, mutators black
 * @result: what was marked in it
 */
void generations_add_old(struct gca_heap *heap, struct mark_result *result)
{
	struct generations *generations = &heap->generations;
	uint32_t epoch = get(&heap->epoch) ^ 1;
	uint64_t objects = 0, bytes = 0;

	if (generations->minor) {
		bytes = old_count(heap, &objects);
		__atomic_add_fetch(&generations->minors, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&generations->cards_ever, generations->cards, __ATOMIC_RELAXED);
	}
	generations->black[epoch] = (struct gen_count){ 0 };
	generations->freed[epoch] = (struct gen_count){ 0 };
	__atomic_store_n(&generations->old_bytes, bytes, __ATOMIC_RELAXED);
	result->bytes += bytes;
	result->objects += objects;
}

/**
 * generations_freed - an object was freed by hand: it is no longer old
 * @mutator: the calling thread's, white, which holds the object's span
 * @object: the object, its alloc bit clear
 */
void generations_freed(struct gca_mutator *mutator, const struct object *object)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t *word = &heap->bitmap[!(mutator->generation & 1)][object->granule >> 6];
	uint64_t bit = 1ULL << (object->granule & 63);

	if (likely(!(get(word) & bit)) || gca_fault_hit(GCA_FAULT_FREE_OLD))
		return;
	__atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
	generations_count(&heap->generations.freed[mutator->epoch], object->size, 1);
	__atomic_add_fetch(&heap->classes[object->span_class].freed[mutator->epoch], 1,
			   __ATOMIC_RELAXED);
}

/**
 * generations_copying - a new object is about to get pointers by a plain copy
 * @mutator: the calling thread's
 * @object: the new one
 * @size: bytes
 *
 * Of a mutator that is still black when others are not, the object may be old before
 * what is copied into it is.
 */
void generations_copying(struct gca_mutator *mutator, void *object, size_t size)
{
	uintptr_t at = (uintptr_t)object, end = at + size;

	if (likely(!mutator->mark_bits || !(mutator->abi.barrier & GCA_BARRIER_CARD)))
		return;
	for (; at < end; at += 1u << GCA_CARD_SHIFT)
		gca_card_(&mutator->abi, (const gca_word_ *)at);
	gca_card_(&mutator->abi, (const gca_word_ *)(end - 1));
}
