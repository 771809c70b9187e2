// SPDX-License-Identifier: MIT
/*
 * Marking: from the roots to every object that can be reached.
 *
 * Runs with the world stopped and the sweep complete, on one thread: nobody else
 * writes either bitmap, so bits are set plainly.  The mark bitmap's lines are
 * clear for every span in use: the sweep before left them so.
 *
 * An entry of the mark stack is an object that is marked and not yet scanned: its
 * granule and its span class in one word.  A stack that cannot grow drops the
 * entry and remembers that it did; since the object is marked, a walk over the
 * marked objects finds it again.  That is slow and loses nothing.
 *
 * The path of one pointer is written for its cache misses: its mark and alloc bits
 * are asked for when the pointer is found and looked at some pointers later (the
 * ring); the object's memory and pointer bits are asked for when it leaves the
 * stack and read some objects later (the queue).  Most pointers lead to a marked
 * object, whose memory is never asked for.
 */
#include "internal.h"

#include <sys/mman.h>

#define CLASS_BITS	16
#define STACK_FIRST	(64 * KIB)	/* bytes; grows by doubling */
/* Kept mapped from cycle to cycle; the rest goes back. */
#define STACK_KEEP	(1 * MIB)
/* Pointers, and objects, between asking for a line and using it: enough to cover a
 * miss, few enough for the nearest cache and the CPU's outstanding misses.
 */
#define RING		16u
#define QUEUE		8u

struct marker {
	struct gca_visitor visitor; /* first */
	struct gca_heap *heap;
	uintptr_t base;
	size_t size;
	uint64_t *alloc_bits;
	uint64_t *mark_bits;
	struct mark_stack *stack;
	struct mark_result *result;
	uint32_t ring_at;
	uintptr_t ring[RING];	/* pointers found, not yet looked at; 0: none */
};

static bool stack_grow(struct mark_stack *stack)
{
	size_t bytes = stack->max * sizeof(*stack->entries);
	void *grown;

	if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
		return false;
	if (!stack->entries) {
		grown = table_map(STACK_FIRST);
		bytes = STACK_FIRST;
		if (!grown)
			return false;
	} else {
		grown = mremap(stack->entries, bytes, bytes * 2, MREMAP_MAYMOVE);
		bytes *= 2;
		if (grown == MAP_FAILED)
			return false;
	}
	stack->entries = grown;
	stack->max = bytes / sizeof(*stack->entries);
	return true;
}

static void push(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	struct mark_stack *stack = marker->stack;

	if (unlikely(stack->nr == stack->max) && !stack_grow(stack)) {
		stack->overflow = true;
		return;
	}
	stack->entries[stack->nr++] = granule << CLASS_BITS | span_class;
}

static void mark_object(struct marker *marker, const struct object *object)
{
	uint64_t *word = &marker->mark_bits[object->granule >> 6];
	uint64_t bit = 1ULL << (object->granule & 63);

	if (*word & bit)
		return;
	if (gca_fault_hit(GCA_FAULT_SKIP_MARK))
		return;
	*word |= bit;
	marker->result->bytes += object->size;
	marker->result->objects++;
	if (span_classes[object->span_class].flavour != GCA_FLAVOUR_NOSCAN)
		push(marker, object->granule, object->span_class);
}

/* A precise pointer: a base, or it is passed over here and reported by verify. */
static void mark_base(struct marker *marker, uintptr_t address)
{
	uint64_t granule = (address - marker->base) >> GCARENA_GRANULE_SHIFT;
	struct object object;

	if (marker->mark_bits[granule >> 6] >> (granule & 63) & 1)
		return;
	if (!bit_test(marker->alloc_bits, granule))
		return;
	if (unlikely(!object_at(marker->heap, address, &object) || object.base != address))
		return;
	mark_object(marker, &object);
}

/* A word that may be a pointer, into the middle of an object too. */
static void mark_word(struct marker *marker, uintptr_t word)
{
	struct object object;

	if (!object_at(marker->heap, word, &object) ||
	    !bit_test(marker->alloc_bits, object.granule))
		return;
	mark_object(marker, &object);
}

static void ring_drain(struct marker *marker)
{
	uint32_t i;

	for (i = 0; i < RING; i++) {
		uintptr_t address = marker->ring[i];

		marker->ring[i] = 0;
		if (address)
			mark_base(marker, address);
	}
}

static inline void found(struct marker *marker, uintptr_t address)
{
	uintptr_t *entry = &marker->ring[marker->ring_at++ % RING];
	uintptr_t older = *entry;
	uint64_t granule;

	if (address - marker->base >= marker->size)
		return;
	granule = (address - marker->base) >> GCARENA_GRANULE_SHIFT;
	__builtin_prefetch(&marker->mark_bits[granule >> 6], 1);
	__builtin_prefetch(&marker->alloc_bits[granule >> 6]);
	*entry = address;
	if (older)
		mark_base(marker, older);
}

static void visit_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	struct marker *marker = (struct marker *)visitor;
	size_t i;

	for (i = 0; i < count; i++)
		found(marker, (uintptr_t)__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
}

static void visit_value(struct gca_visitor *visitor, const void *object)
{
	found((struct marker *)visitor, (uintptr_t)object);
}

/* Stacks of other threads, and of this one below its frames' redzones. */
static GCA_NO_ASAN void visit_words(struct gca_visitor *visitor, uintptr_t low, uintptr_t high)
{
	struct marker *marker = (struct marker *)visitor;
	const volatile uintptr_t *word;

	for (word = (const uintptr_t *)low; word < (const uintptr_t *)high; word++) {
		uintptr_t value = *word;

		if (value - marker->base < marker->size)
			mark_word(marker, value);
	}
}

/* The pointers of an object of up to GCA_INLINE_MAX bytes, by its bits. */
static void scan_bits(struct marker *marker, uintptr_t base, size_t size)
{
	const uint64_t *bits = marker->heap->pointer_bits;
	uint64_t word = (base - marker->base) / sizeof(void *);
	void *const *slots = (void *const *)base;
	size_t left = size / sizeof(void *);

	while (left) {
		unsigned int shift = word & 63;
		size_t here = 64 - shift < left ? 64 - shift : left;
		uint64_t mask = bits[word >> 6] >> shift;

		if (here < 64)
			mask &= (1ULL << here) - 1;
		for (; mask; mask &= mask - 1)
			found(marker, (uintptr_t)__atomic_load_n(&slots[__builtin_ctzll(mask)],
								 __ATOMIC_RELAXED));
		slots += here;
		word += here;
		left -= here;
	}
}

static void scan(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	const struct span_class *class = &span_classes[span_class];
	struct object object = {
		.base = marker->base + (granule << GCARENA_GRANULE_SHIFT),
		.size = class->elem,
		.granule = granule,
		.span_class = span_class,
	};

	if (class->flavour == GCA_FLAVOUR_PRECISE) {
		scan_bits(marker, object.base, object.size);
		return;
	}
	if (span_class == CLASS_LARGE_SCAN && !object_at(marker->heap, object.base, &object))
		return;
	object_visit(marker->heap, &object, &marker->visitor);
}

static void scan_entry(struct marker *marker, uint64_t entry)
{
	scan(marker, entry >> CLASS_BITS, entry & ((1U << CLASS_BITS) - 1));
}

/* An object's memory and its pointer bits are asked for when it leaves the stack;
 * it is scanned when QUEUE others have left it after.  No object is at granule 0
 * of class 0 here: that class has no pointers.
 */
static void drain_stack(struct marker *marker)
{
	struct mark_stack *stack = marker->stack;
	uint64_t queue[QUEUE] = { 0 };
	uint32_t at = 0, held = 0;

	while (stack->nr || held) {
		uint64_t *place = &queue[at++ % QUEUE];
		uint64_t older = *place, entry = 0, granule;

		if (stack->nr) {
			entry = stack->entries[--stack->nr];
			granule = entry >> CLASS_BITS;
			__builtin_prefetch((const void *)(marker->base +
							  (granule << GCARENA_GRANULE_SHIFT)));
			__builtin_prefetch(&marker->heap->pointer_bits[granule >> 5]);
			held++;
		}
		*place = entry;
		if (older) {
			held--;
			scan_entry(marker, older);
		}
	}
}

/* Until nothing is grey.  The ring holds what may yet become so. */
static void drain(struct marker *marker)
{
	do {
		drain_stack(marker);
		ring_drain(marker);
	} while (marker->stack->nr);
}

/* Scans every marked object of a span once more. */
static void rescan_span(struct marker *marker, const struct span *span)
{
	const struct span_class *class = &span_classes[span->span_class];
	uint32_t objects = span->large ? 1 : class->objects;
	uint64_t granule = granule_of(marker->heap, span->base);
	uint32_t i;

	if (span->span_class == CLASS_MANUAL || class->flavour == GCA_FLAVOUR_NOSCAN)
		return;
	for (i = 0; i < objects; i++, granule += class->elem >> GCARENA_GRANULE_SHIFT) {
		if (!bit_test(marker->mark_bits, granule))
			continue;
		scan(marker, granule, span->span_class);
		drain(marker);
	}
}

static void rescan(struct marker *marker)
{
	uint32_t used = heap_pages_used(marker->heap);
	struct span span;
	uint32_t page = 0;

	marker->stack->overflow = false;
	while (page < used) {
		if (!span_at(marker->heap, page, &span)) {
			page++;
			continue;
		}
		rescan_span(marker, &span);
		page = span.page + span.npages;
	}
}

static void stack_drop(struct mark_stack *stack)
{
	table_unmap(stack->entries, stack->max * sizeof(*stack->entries));
	stack->entries = NULL;
	stack->max = 0;
}

/**
 * mark_close - give the mark stack back
 * @heap: the heap, about to be closed
 */
void mark_close(struct gca_heap *heap)
{
	stack_drop(&heap->mark_stack);
}

/**
 * mark_heap - mark what can be reached
 * @heap: the heap, stopped, its sweep complete
 * @result: what was marked and scanned
 */
void mark_heap(struct gca_heap *heap, struct mark_result *result)
{
	struct marker marker = {
		.visitor = {
			.slots = visit_slots,
			.value = visit_value,
			.words = visit_words,
			.heap = heap,
		},
		.heap = heap,
		.base = heap->base,
		.size = heap->size,
		.alloc_bits = alloc_bitmap(heap),
		.mark_bits = mark_bitmap(heap),
		.stack = &heap->mark_stack,
		.result = result,
	};
	struct mark_stack *stack = &heap->mark_stack;
	struct gca_mutator *mutator;
	size_t i;

	memset(result, 0, sizeof(*result));
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		if (mutator->stack_copy)
			result->stack_bytes += mutator->stack_base - mutator->stack_low;
	for (i = 0; i < heap->roots.nr_ranges; i++)
		result->range_bytes += heap->roots.ranges[i].bytes;

	gca_assert(!stack->nr);
	stack->overflow = false;
	roots_visit(heap, &marker.visitor);
	drain(&marker);
	/* Each walk marks something new or overflows no more. */
	while (stack->overflow)
		rescan(&marker);
	if (stack->max * sizeof(*stack->entries) > STACK_KEEP)
		stack_drop(stack);
}
