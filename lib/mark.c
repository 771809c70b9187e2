// SPDX-License-Identifier: MIT
/*
 * Marking: from the roots to every object that can be reached.
 *
 * Runs with the sweep complete, on one thread, either with the world stopped or
 * beside the mutators (mark_beside()), who then set mark bits too, allocate black,
 * and hand over what their barriers shaded.  So mark bits are set by atomic or;
 * of two that set one, the one that found it clear counts the object and pushes it.
 * The mark bitmap's lines are clear for every span in use when marking begins: the
 * sweep before left them so.
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
/* Slots of registered ranges between two chances for others to take world. */
#define RANGE_PIECE	4096u
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
	void (*watch)(void *arg, uintptr_t object);
	void *watch_arg;
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
	/* For statistics, which may be asked for while marking is on. */
	__atomic_store_n(&stack->max, bytes / sizeof(*stack->entries), __ATOMIC_RELAXED);
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

	if (__atomic_load_n(word, __ATOMIC_RELAXED) & bit)
		return;
	if (gca_fault_hit(GCA_FAULT_SKIP_MARK))
		return;
	if (__atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit)
		return;
	marker->result->bytes += object->size;
	marker->result->objects++;
	if (unlikely(marker->watch))
		marker->watch(marker->watch_arg, object->base);
	if (span_classes[object->span_class].flavour != GCA_FLAVOUR_NOSCAN)
		push(marker, object->granule, object->span_class);
}

/* A precise pointer: a base, or it is passed over here and reported by verify. */
static void mark_base(struct marker *marker, uintptr_t address)
{
	uint64_t granule = (address - marker->base) >> GCARENA_GRANULE_SHIFT;
	struct object object;

	if (__atomic_load_n(&marker->mark_bits[granule >> 6], __ATOMIC_RELAXED) >>
	    (granule & 63) & 1)
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
static GCA_NO_ASAN GCA_NO_TSAN void visit_words(struct gca_visitor *visitor, uintptr_t low,
						uintptr_t high)
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
		uint64_t mask = __atomic_load_n(&bits[word >> 6], __ATOMIC_RELAXED) >> shift;

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
	struct object object;
	uintptr_t base;
	uint32_t i;

	if (span->span_class == CLASS_MANUAL || class->flavour == GCA_FLAVOUR_NOSCAN)
		return;
	for (i = 0; i < objects; i++, granule += class->elem >> GCARENA_GRANULE_SHIFT) {
		/* A free slot of an open run is black, and no object. */
		if (!bit_test(marker->mark_bits, granule) ||
		    !bit_test(marker->alloc_bits, granule))
			continue;
		/* The row was read before: once more, now that an object is there. */
		base = marker->base + (granule << GCARENA_GRANULE_SHIFT);
		if (!object_at(marker->heap, base, &object) || object.base != base ||
		    object.span_class != span->span_class)
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

/**
 * mark_drain - mark all that is grey to the marker, and what that reaches
 * @visitor: the marker's
 */
void mark_drain(struct gca_visitor *visitor)
{
	struct marker *marker = (struct marker *)visitor;

	drain(marker);
	/* Each walk marks something new or overflows no more. */
	while (marker->stack->overflow)
		rescan(marker);
}

/**
 * mark_watch - be told of each object that this marker marks
 * @visitor: the marker's
 * @fn: whom to tell, before the object is scanned; must not mark; NULL: nobody
 * @arg: for it
 */
void mark_watch(struct gca_visitor *visitor, void (*fn)(void *arg, uintptr_t object), void *arg)
{
	struct marker *marker = (struct marker *)visitor;

	marker->watch = fn;
	marker->watch_arg = arg;
}

static void stack_drop(struct mark_stack *stack)
{
	table_unmap(stack->entries, stack->max * sizeof(*stack->entries));
	stack->entries = NULL;
	__atomic_store_n(&stack->max, 0, __ATOMIC_RELAXED);
}

/**
 * mark_close - give the mark stacks back
 * @heap: the heap, not being marked
 */
void mark_close(struct gca_heap *heap)
{
	stack_drop(&heap->mark_stack);
	stack_drop(&heap->grey);
}

static struct marker marker_of(struct gca_heap *heap, struct mark_stack *stack,
			       struct mark_result *result)
{
	return (struct marker){
		.visitor = {
			.slots = visit_slots,
			.value = visit_value,
			.words = visit_words,
			.heap = heap,
			.low = 0,
			.high = UINTPTR_MAX,
		},
		.heap = heap,
		.base = heap->base,
		.size = heap->size,
		.alloc_bits = alloc_bitmap(heap),
		.mark_bits = mark_bitmap(heap),
		.stack = stack,
		.result = result,
	};
}

/* The caller's entries go to the marker. */
static void hand_over(struct gca_heap *heap, const struct mark_stack *from,
		      const struct mark_result *result)
{
	struct mark_stack *grey = &heap->grey;

	pthread_mutex_lock(&heap->grey_lock);
	while (grey->max - grey->nr < from->nr && stack_grow(grey))
		;
	if (grey->max - grey->nr < from->nr) {
		/* They are marked: the marker will find them. */
		grey->overflow = true;
	} else if (from->nr) {
		memcpy(&grey->entries[grey->nr], from->entries,
		       from->nr * sizeof(*from->entries));
		grey->nr += from->nr;
	}
	heap->grey_result.bytes += result->bytes;
	heap->grey_result.objects += result->objects;
	pthread_mutex_unlock(&heap->grey_lock);
	__atomic_add_fetch(&heap->grey_marked, result->objects, __ATOMIC_SEQ_CST);
}

/**
 * mark_shades - mark what some words point to
 * @heap: the heap, marking on; the calling thread is running in it, or holds world
 * @words: each a pointer into the heap or anything else
 * @nr: how many
 */
void mark_shades(struct gca_heap *heap, const uintptr_t *words, size_t nr)
{
	uint64_t entries[SHADES_MAX];
	struct mark_result result;
	struct mark_stack stack;
	struct marker marker;
	size_t i;

	while (nr) {
		size_t here = nr < SHADES_MAX ? nr : SHADES_MAX;

		memset(&result, 0, sizeof(result));
		stack = (struct mark_stack){ .entries = entries, .max = SHADES_MAX };
		marker = marker_of(heap, &stack, &result);
		for (i = 0; i < here; i++)
			mark_word(&marker, __atomic_load_n(&words[i], __ATOMIC_RELAXED));
		if (result.objects)
			hand_over(heap, &stack, &result);
		words += here;
		nr -= here;
	}
}

/**
 * mark_shade_flush - mark what a mutator has shaded
 * @mutator: the calling thread's, or one claimed
 */
void mark_shade_flush(struct gca_mutator *mutator)
{
	uint32_t nr = mutator->nr_shades;

	mutator->nr_shades = 0;
	/* Nobody is black any more once the flip is done: nothing can be grey. */
	if (mutator->mark_bits)
		mark_shades(mutator->heap, mutator->shades, nr);
}

/* What mutators have marked comes onto the marker's stack: false if nothing. */
static bool take_grey(struct gca_heap *heap, struct mark_stack *stack)
{
	struct mark_stack *grey = &heap->grey;
	bool some;

	pthread_mutex_lock(&heap->grey_lock);
	some = grey->nr || grey->overflow;
	stack->overflow |= grey->overflow;
	grey->overflow = false;
	while (grey->nr && stack->nr < stack->max)
		stack->entries[stack->nr++] = grey->entries[--grey->nr];
	if (grey->nr && !stack_grow(stack)) {
		grey->nr = 0;
		stack->overflow = true;
	}
	pthread_mutex_unlock(&heap->grey_lock);
	return some;
}

/*
 * One round of the mutators: true when it found nothing.
 *
 * When it begins, the marker holds no grey object, and neither does heap->grey if it
 * is empty afterwards and nothing was marked meanwhile.  A mutator's buffer only
 * grows between its flushes; so one that had a grey object at the beginning has it
 * at its flush, which marks it.  Hence, nothing marked: nothing was grey at the
 * beginning, and every object that a mutator can reach is marked.
 */
static bool round_found_nothing(struct gca_heap *heap)
{
	uint64_t before = __atomic_load_n(&heap->grey_marked, __ATOMIC_SEQ_CST);
	bool nothing;

	pthread_mutex_lock(&heap->grey_lock);
	nothing = !heap->grey.nr && !heap->grey.overflow;
	pthread_mutex_unlock(&heap->grey_lock);
	if (!nothing)
		return false;
	gca_stage(heap, GCA_STAGE_DRAINED);
	if (gca_fault_hit(GCA_FAULT_EARLY_END))
		return true;
	pthread_mutex_lock(&heap->world);
	handshake(heap, HANDSHAKE_FLUSH);
	pthread_mutex_unlock(&heap->world);
	return __atomic_load_n(&heap->grey_marked, __ATOMIC_SEQ_CST) == before;
}

/* Registered ranges, a piece at a time: who attaches need not wait for all. */
static void mark_ranges(struct marker *marker, struct mark_result *result)
{
	struct gca_heap *heap = marker->heap;
	uintptr_t from = 0, at = 0;
	bool more = true;

	while (more) {
		pthread_mutex_lock(&heap->world);
		from = at;
		more = roots_visit_ranges(heap, &marker->visitor, &at, RANGE_PIECE);
		pthread_mutex_unlock(&heap->world);
		if (more)
			result->range_bytes += at - from < RANGE_PIECE * sizeof(void *) ?
					       at - from : RANGE_PIECE * sizeof(void *);
		drain(marker);
	}
}

/* Until a round finds nothing, and no ephemeron owes anything. */
static void mark_until_done(struct marker *marker)
{
	struct gca_heap *heap = marker->heap;

	do {
		while (take_grey(heap, marker->stack) || marker->stack->overflow)
			mark_drain(&marker->visitor);
	} while (ephemerons_mark(heap, &marker->visitor) || !round_found_nothing(heap));
}

/**
 * mark_beside - mark what can be reached, while the program runs
 * @heap: the heap, marking on, every mutator scanned
 * @result: what was marked
 */
void mark_beside(struct gca_heap *heap, struct mark_result *result)
{
	struct mark_stack *stack = &heap->mark_stack;
	struct marker marker = marker_of(heap, stack, result);

	gca_assert(!stack->nr);
	stack->overflow = false;
	mark_ranges(&marker, result);
	special_visit_roots(heap, &marker.visitor);
	mark_drain(&marker.visitor);
	mark_until_done(&marker);
	if (special_wants_gate(heap)) {
		weak_gate_close(heap);
		mark_until_done(&marker);
		gca_stage(heap, GCA_STAGE_GATED);
		special_end(heap, &marker.visitor);
		weak_gate_open(heap);
	}
	result->bytes += heap->grey_result.bytes;
	result->objects += heap->grey_result.objects;
	memset(&heap->grey_result, 0, sizeof(heap->grey_result));
	if (stack->max * sizeof(*stack->entries) > STACK_KEEP)
		stack_drop(stack);
}

/**
 * mark_heap - mark what can be reached
 * @heap: the heap, stopped, its sweep complete
 * @result: what was marked and scanned
 */
void mark_heap(struct gca_heap *heap, struct mark_result *result)
{
	struct mark_stack *stack = &heap->mark_stack;
	struct marker marker = marker_of(heap, stack, result);
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
	mark_drain(&marker.visitor);
	while (ephemerons_mark(heap, &marker.visitor))
		;
	special_end(heap, &marker.visitor);
	if (stack->max * sizeof(*stack->entries) > STACK_KEEP)
		stack_drop(stack);
}
