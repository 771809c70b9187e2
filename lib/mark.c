// SPDX-License-Identifier: MIT
/*
 * Marking: from a grey object to every object that can be reached from it.
 *
 * Runs with the sweep complete, on any number of threads (work.c), with the world
 * stopped or beside the mutators, who then set mark bits too, allocate black, and
 * hand over what their barriers shaded.  So mark bits are set by atomic or; of those
 * that set one, the one that found it clear counts the object and pushes it.
 * The mark bitmap's lines are clear for every span in use when marking begins: the
 * sweep before left them so.
 *
 * An entry of a mark stack is an object that is marked and not yet scanned: its
 * granule and its span class in one word.  The granule of a piece of a large object
 * is that of the piece: the span table tells where the object begins.  A stack that
 * cannot grow drops the entry and remembers that it did; since the object is marked,
 * a walk over the marked objects finds it again.  That is slow and loses nothing.
 * Pieces are not dropped: without room for them the object is scanned in one.
 *
 * The path of one pointer is written for its cache misses: its mark and alloc bits
 * are asked for when the pointer is found and looked at some pointers later (the
 * ring); the object's memory and pointer bits are asked for when it leaves the
 * stack and read some objects later (the queue).  Most pointers lead to a marked
 * object, whose memory is never asked for.
 */
#include "mark.h"

#include <sys/mman.h>

#define CLASS_BITS	16
#define STACK_FIRST	(64 * KIB)	/* bytes; grows by doubling */
/* Objects between asking for their memory and reading it. */
#define QUEUE		8u

/**
 * stack_grow - make room on a mark stack
 * @stack: the stack, mapped or not yet
 *
 * Return: false when there is no memory.
 */
bool stack_grow(struct mark_stack *stack)
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

/**
 * stack_drop - give a mark stack's memory back
 * @stack: empty, not in use
 */
void stack_drop(struct mark_stack *stack)
{
	table_unmap(stack->entries, stack->max * sizeof(*stack->entries));
	stack->entries = NULL;
	__atomic_store_n(&stack->max, 0, __ATOMIC_RELAXED);
}

/* False: there is no room for it. */
static bool try_push(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	struct mark_stack *stack = marker->stack;

	if (unlikely(stack->nr == stack->max)) {
		if (stack->fixed)
			work_put(marker->heap, stack);
		else if (!stack_grow(stack))
			return false;
	}
	stack->entries[stack->nr++] = granule << CLASS_BITS | span_class;
	return true;
}

static void push(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	if (!try_push(marker, granule, span_class))
		marker->stack->overflow = true;
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
	marker->result.bytes += object->size;
	marker->result.objects++;
	marker->marked[object->span_class]++;
	if (unlikely(marker->watch))
		marker->watch(marker->watch_arg, object->base);
	if (span_classes[object->span_class].flavour != GCA_FLAVOUR_NOSCAN)
		push(marker, object->granule, object->span_class);
}

/* A precise pointer: a base, or one into a tiny block, which is a granule; anything
 * else is passed over here and reported by verify.
 */
static void mark_base(struct marker *marker, uintptr_t address)
{
	uint64_t granule = (address - marker->base) >> GCARENA_GRANULE_SHIFT;
	struct object object;

	if (__atomic_load_n(&marker->mark_bits[granule >> 6], __ATOMIC_RELAXED) >>
	    (granule & 63) & 1)
		return;
	if (!bit_test(marker->alloc_bits, granule))
		return;
	if (unlikely(!object_at(marker->heap, address, &object) ||
		     address - object.base >= GCARENA_GRANULE_SIZE))
		return;
	mark_object(marker, &object);
}

/**
 * marker_word - mark what a word points to, into the middle of an object too
 * @marker: the calling thread's
 * @word: anything
 */
void marker_word(struct marker *marker, uintptr_t word)
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
			marker_word(marker, value);
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

/* The piece of a large object that begins at @granule; at its beginning, its other
 * pieces go onto the stack first.
 */
static void scan_large(struct marker *marker, uint64_t granule)
{
	uintptr_t low = marker->base + (granule << GCARENA_GRANULE_SHIFT), high, end;
	struct object object;

	if (!object_at(marker->heap, low, &object))
		return;
	end = object.base + object.size;
	high = end;
	if (object.size > MARK_PIECE && object_splits(marker->heap, &object)) {
		high = low + MARK_PIECE;
		/* The last first: it is the first that leaves the stack last. */
		while (low == object.base && end > high) {
			uintptr_t piece = end - 1 - (end - 1 - low) % MARK_PIECE;

			if (!try_push(marker, granule_of(marker->heap, piece), CLASS_LARGE_SCAN))
				break;
			end = piece;
		}
		if (low == object.base && end > high)
			high = end;
		if (high > object.base + object.size)
			high = object.base + object.size;
	}
	marker->left -= (int64_t)(high - low);
	marker->result.scanned += high - low;
	object_visit_part(marker->heap, &object, low, high, &marker->visitor);
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

	if (span_class == CLASS_LARGE_SCAN) {
		scan_large(marker, granule);
		return;
	}
	marker->left -= class->elem;
	marker->result.scanned += class->elem;
	if (class->flavour == GCA_FLAVOUR_PRECISE)
		scan_bits(marker, object.base, object.size);
	else
		object_visit(marker->heap, &object, &marker->visitor);
}

static void scan_entry(struct marker *marker, uint64_t entry)
{
	scan(marker, entry >> CLASS_BITS, entry & ((1U << CLASS_BITS) - 1));
}

static uint64_t take_top(struct marker *marker)
{
	struct mark_stack *stack = marker->stack;
	uint64_t entry = stack->entries[--stack->nr], granule = entry >> CLASS_BITS;

	if (stack->nr == stack->low) {
		stack->nr = 0;
		stack->low = 0;
	}
	__builtin_prefetch((const void *)(marker->base + (granule << GCARENA_GRANULE_SHIFT)));
	__builtin_prefetch(&marker->heap->pointer_bits[granule >> 5]);
	return entry;
}

/* An object's memory and its pointer bits are asked for when it leaves the stack;
 * it is scanned when QUEUE others have left it after.  No object is at granule 0
 * of class 0 here: that class has no pointers.  False: tick() said so.
 */
static bool drain_stack(struct marker *marker)
{
	struct mark_stack *stack = marker->stack;
	uint64_t queue[QUEUE] = { 0 };
	uint32_t at = 0, held = 0, i;

	while (stack_left(stack) || held) {
		uint64_t *place = &queue[at++ % QUEUE];
		uint64_t older = *place;

		*place = 0;
		if (stack_left(stack)) {
			*place = take_top(marker);
			held++;
		}
		if (!older)
			continue;
		held--;
		scan_entry(marker, older);
		if (likely(marker->left > 0) || marker->tick(marker))
			continue;
		for (i = 0; i < QUEUE; i++)
			if (queue[i])
				push(marker, queue[i] >> CLASS_BITS,
				     queue[i] & ((1U << CLASS_BITS) - 1));
		return false;
	}
	return true;
}

/**
 * marker_drain - scan until nothing is grey that this marker knows of
 * @marker: the calling thread's
 *
 * The ring holds what may yet become grey: it is empty afterwards.
 *
 * Return: false when tick() stopped it; what is left is on the stack.
 */
bool marker_drain(struct marker *marker)
{
	bool all;

	do {
		all = drain_stack(marker);
		ring_drain(marker);
	} while (all && stack_left(marker->stack));
	return all;
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
		marker_drain(marker);
	}
}

/**
 * marker_rescan - scan every marked object once more
 * @marker: the calling thread's, its tick never stopping it; nobody else has grey ones
 */
void marker_rescan(struct marker *marker)
{
	uint32_t used = heap_pages_used(marker->heap);
	struct span span;
	uint32_t page = 0;

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
 * mark_watch - be told of each object that a marker marks
 * @visitor: the marker's
 * @fn: whom to tell, before the object is scanned; must not mark; NULL: nobody
 * @arg: for it
 *
 * What other threads mark meanwhile is not told.
 */
void mark_watch(struct gca_visitor *visitor, void (*fn)(void *arg, uintptr_t object), void *arg)
{
	struct marker *marker = (struct marker *)visitor;

	marker->watch = fn;
	marker->watch_arg = arg;
}

static bool never(struct marker *marker)
{
	marker->left = INT64_MAX;
	return true;
}

/**
 * marker_init - make a marker
 * @marker: to fill
 * @heap: the heap, marking on, or stopped
 * @stack: its stack, the calling thread's
 * @marked: where it counts objects by span class, the same thread's
 */
void marker_init(struct marker *marker, struct gca_heap *heap, struct mark_stack *stack,
		 uint32_t *marked)
{
	*marker = (struct marker){
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
		.marked = marked,
		.tick = never,
		.left = INT64_MAX,
	};
}
