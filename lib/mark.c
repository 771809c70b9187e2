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
 * granule and its span class in one word.  Or it is a word of the mark bitmap, where
 * grey_bits tell which objects those are: who sets the first of them pushes the word, and
 * who finds it on a stack takes all of its page (mark_near.c).  So objects of
 * precise kinds are kept as long as that has several of them scanned at a time.
 * Or a row of pages whose dirty cards nobody has looked at yet (cards.c).
 * The granule of a piece of a large object
 * is that of the piece: the span table tells where the object begins.  A stack that
 * cannot grow drops the entry and remembers that it did; since the object is marked,
 * a walk over the marked objects finds it again.  That is slow and loses nothing.
 * Pieces are not dropped: without room for them the object is scanned in one.
 *
 * The path of a pointer is written for its cache misses, and in batches, for the
 * branches that a CPU cannot foresee.  Pointers are found by scanning a block of
 * objects and only noted, their mark bits asked for (marker->found).  When
 * there are enough, they are looked at: first those to marked objects are dropped,
 * which most are, without a branch for each; then the bits of those that are left
 * are set, all of one word by one atomic or, and their objects' memory is asked for,
 * which is read with a later block.  Memory of marked objects is never asked for.
 */
#include "mark.h"

#include <sys/mman.h>

#define STACK_FIRST	(64 * KIB)	/* bytes; grows by doubling */
/* Objects that leave the stack together: enough to cover the misses of one. */
#define BLOCK		32u
/* Pointers found until some are looked at; of those the last KEEP are not. */
#define BATCH		48u
#define KEEP		16u
/* Words are pushed as long as so many objects are scanned of one; else it is tried again
 * after so many blocks.
 */
#define NEAR_PAYS	2u
#define NEAR_REST	63u
_Static_assert(GCA_INLINE_MAX == 64 * sizeof(void *), "a word has the bits of an object");
_Static_assert(BATCH + WORD_SLOTS <= FOUND_MAX, "room for a kilobyte of objects more");
/* Bytes of a large object whose pieces go onto a stack at a time: pieces for others beside what
 * a worker keeps, and room on a stack that cannot grow.
 */
#define RUN		(256 * MARK_PIECE)
#define RUN_FIXED	(8 * MARK_PIECE)
#define PAGE_BITS_SHIFT	(PAGE_GRANULES_SHIFT - 6) /* words of a bitmap */

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
		grown = memory_grow(stack->entries, bytes, bytes * 2);
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

static __attribute__((noinline)) bool make_room(struct marker *marker)
{
	if (!marker->stack->fixed)
		return stack_grow(marker->stack);
	grey_put(marker->heap, marker->stack);
	return true;
}

/* False: there is no room for it. */
static inline bool try_push(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	struct mark_stack *stack = marker->stack;

	if (unlikely(stack->nr == stack->max) && !make_room(marker))
		return false;
	stack->entries[stack->nr++] = entry_of(granule, span_class);
	return true;
}

static inline void push(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	uint64_t entry = entry_of(granule, span_class);

	if (likely(try_push(marker, granule, span_class)))
		return;
	entries_forget(marker->heap, &entry, 1);
	marker->stack->overflow = true;
}

static __attribute__((noinline)) void marked_slowly(struct marker *marker, uint64_t word,
						    uint64_t mask, uint32_t span_class)
{
	for (; mask; mask &= mask - 1) {
		uint64_t granule = word << 6 | (uint64_t)__builtin_ctzll(mask);

		if (marker->watch)
			marker->watch(marker->watch_arg,
				      marker->base + (granule << GCARENA_GRANULE_SHIFT));
		if (span_classes[span_class].flavour != GCA_FLAVOUR_NOSCAN)
			push(marker, granule, span_class);
	}
}

/* Who finds no bit set has the word to scan, all that is added till then. */
static inline void grey_word(struct marker *marker, uint64_t word, uint64_t mask,
			     uint32_t span_class)
{
	if (!__atomic_fetch_or(&marker->grey_bits[word], mask, __ATOMIC_RELEASE))
		push(marker, word * WORD_GRANULES, span_class | ENTRY_WORD);
}

/* Objects that this marker has just marked, of one span: their bits in a word. */
static inline void marked(struct marker *marker, uint64_t word, uint64_t mask,
			  uint32_t span_class, size_t size)
{
	bool scans = span_classes[span_class].flavour != GCA_FLAVOUR_NOSCAN;
	uint64_t left = mask, first = word << (6 + CLASS_BITS) | span_class;
	struct mark_stack *stack = marker->stack;
	uint32_t count = 0;

	if (!marker->near_rest && span_classes[span_class].words && likely(!marker->watch)) {
		grey_word(marker, word, mask, span_class);
		scans = false;
	}

	if (unlikely(marker->watch || (scans && stack->max - stack->nr < 64))) {
		marked_slowly(marker, word, mask, span_class);
		scans = false;
	}
	if (scans) {
		uint64_t *top = &stack->entries[stack->nr];

		for (; left; left &= left - 1)
			top[count++] = first + ((uint64_t)__builtin_ctzll(left) << CLASS_BITS);
		stack->nr += count;
	} else {
		for (; left; left &= left - 1)
			count++;
	}
	marker->result.bytes += count * size;
	marker->result.objects += count;
	marker->marked[span_class] += count;
}

static void mark_object(struct marker *marker, const struct object *object)
{
	uint64_t word = object->granule >> 6;
	uint64_t mask = set_bits(marker, word, 1ULL << (object->granule & 63));

	if (mask)
		marked(marker, word, mask, object->span_class, object->size);
}

/*
 * Precise pointers to objects of one kilobyte, @mask their bits of word @word of the
 * bitmaps.  An alloc bit is set at an object's first granule only: so each that is
 * set is a base, and the row, written before it, names its class.  Anything else
 * is passed over here and reported by verify.
 */
static inline void mark_word(struct marker *marker, uint64_t word, uint64_t mask)
{
	uint32_t page = (uint32_t)(word >> PAGE_BITS_SHIFT), span_class;
	struct object object;
	uint64_t row;

	mask &= __atomic_load_n(&marker->alloc_bits[word], __ATOMIC_ACQUIRE);
	if (unlikely(!mask))
		return;
	row = row_word0(marker->heap, page);
	span_class = (uint32_t)(row >> GCARENA_ROW_CLASS_SHIFT) & CLASS_MASK;
	if (unlikely((row & (GCARENA_ROW_IN_USE | GCARENA_ROW_LARGE)) != GCARENA_ROW_IN_USE ||
		     span_class >= nr_span_classes)) {
		uintptr_t address = marker->base + (word << (6 + GCARENA_GRANULE_SHIFT)) +
				    ((uintptr_t)__builtin_ctzll(mask) << GCARENA_GRANULE_SHIFT);

		/* A large object is alone in its pages. */
		if (object_at(marker->heap, address, &object) && object.base == address)
			mark_object(marker, &object);
		return;
	}
	mask = set_bits(marker, word, mask);
	if (mask)
		marked(marker, word, mask, span_class, span_classes[span_class].elem);
}

/**
 * mark_found - look at the pointers that were found
 * @marker: the calling thread's
 * @some: all but the last KEEP, whose bits may not have come yet
 */
void mark_found(struct marker *marker, bool some)
{
	const uint32_t keep = some ? KEEP : 0;
	uint64_t *found = marker->found;
	uint32_t nr, left = 0, i;

	/* So that what is kept does not overlap its place. */
	if (marker->nr_found < 2 * keep || !marker->nr_found)
		return;
	nr = marker->nr_found - keep;

	for (i = 0; i < nr; i++) {
		uint64_t granule = found[i];
		uint64_t bits = __atomic_load_n(&marker->mark_bits[granule >> 6],
						__ATOMIC_RELAXED);

		found[left] = granule;
		left += ~(bits >> (granule & 63)) & 1;
	}
	/* All together: an atomic operation below waits for what was asked for before it. */
	for (i = 0; i < left; i++)
		__builtin_prefetch(&marker->alloc_bits[found[i] >> 6]);
	for (i = 0; i < left;) {
		uint64_t word = found[i] >> 6, mask = 0;

		/* Neighbours are often found together. */
		do {
			mask |= 1ULL << (found[i++] & 63);
		} while (i < left && found[i] >> 6 == word);
		mark_word(marker, word, mask);
	}
	if (keep)
		memcpy(found, &found[nr], KEEP * sizeof(*found));
	marker->nr_found = keep;
}

static inline void ask_bits(const struct marker *marker, uint64_t granule)
{
	__builtin_prefetch(&marker->mark_bits[granule >> 6], 1);
}

/**
 * marker_ask - have ready what marker_word() will look at
 * @marker: the calling thread's
 * @word: anything
 */
void marker_ask(struct marker *marker, uintptr_t word)
{
	uintptr_t offset = word - marker->base;
	uint64_t granule = offset >> GCARENA_GRANULE_SHIFT;

	if (offset >= marker->size)
		return;
	ask_bits(marker, granule);
	__builtin_prefetch(&marker->heap->rows[granule >> (6 + PAGE_BITS_SHIFT)]);
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

/* Notes a word that may be a pointer into the heap, and asks for its bits. */
static inline void note(struct marker *marker, uintptr_t address)
{
	uintptr_t offset = address - marker->base;
	uint64_t granule = offset >> GCARENA_GRANULE_SHIFT;

	if (offset >= marker->size)
		return;
	marker->found[marker->nr_found++] = granule;
	ask_bits(marker, granule);
}

static inline void found(struct marker *marker, uintptr_t address)
{
	note(marker, address);
	if (unlikely(marker->nr_found == FOUND_MAX))
		mark_found(marker, true);
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

/*
 * A large object from @low on, of which @high is the end of the first piece: the pieces after it
 * are put onto the stack, the first on top, and below them what is left.  So threads that mark
 * one array go through it side by side, from its beginning.  One that began further on
 * would find what mostly lies before, in no order, and make holes there.
 *
 * Return: the end of what has to be scanned now: @high, or more where there was no room.
 */
static uintptr_t push_rest(struct marker *marker, const struct object *object, uintptr_t low,
			   uintptr_t high)
{
	uintptr_t end = object->base + object->size, piece;
	uintptr_t some = marker->stack->fixed ? RUN_FIXED : RUN;

	if (end - high > some) {
		if (!try_push(marker, granule_of(marker->heap, high + some), CLASS_LARGE_REST))
			return end;
		end = high + some;
	}
	while (end > high) {
		piece = end - 1 - (end - 1 - low) % MARK_PIECE;
		if (!try_push(marker, granule_of(marker->heap, piece), CLASS_LARGE_SCAN))
			break;
		end = piece;
	}
	return end;
}

/* A piece of a large object, which begins at @granule, or all of it from there on.  A marker
 * with smaller pieces puts the rest of one onto the stack.
 */
static void scan_large(struct marker *marker, uint64_t granule, bool rest)
{
	uintptr_t low = marker->base + (granule << GCARENA_GRANULE_SHIFT), high, end;
	struct object object;

	if (!object_at(marker->heap, low, &object))
		return;
	end = object.base + object.size;
	high = end;
	if (object.size > MARK_PIECE && object_splits(marker->heap, &object)) {
		high = low + MARK_PIECE - (low - object.base) % MARK_PIECE;
		if (high > end)
			high = end;
		if (rest || low == object.base)
			high = push_rest(marker, &object, low, high);
		if (high - low > marker->piece && high - low <= MARK_PIECE &&
		    try_push(marker, granule_of(marker->heap, low + marker->piece),
			     CLASS_LARGE_SCAN))
			high = low + marker->piece;
	}
	marker->left -= (int64_t)(high - low);
	marker->result.scanned += high - low;
	object_visit_part(marker->heap, &object, low, high, &marker->visitor);
}

struct block {
	uint32_t nr;
	uint64_t entries[BLOCK];
};

/*
 * Scans the objects of @block from the @i'th on, as long as they have pointer bits,
 * not enough was found, and it is not time for tick().  Nine of ten instructions of
 * marking are here, in mark_found() and in mark_near.c: what a marker never changes is in
 * registers, and no branch depends on whether a slot is NULL, as half of them may be.
 *
 * Return: the first that was not scanned.
 */
static uint32_t scan_run(struct marker *marker, const struct block *block, uint32_t i)
{
	const uint64_t *mark_bits = marker->mark_bits;
	const uint64_t *pointer_bits = marker->pointer_bits;
	const uintptr_t base = marker->base, size = marker->size;
	uint64_t *end = &marker->found[marker->nr_found], *const enough = &marker->found[BATCH];
	const int64_t before = marker->left;
	int64_t left = before;

	for (; i < block->nr && end < enough && left > 0; i++) {
		uint64_t entry = block->entries[i];
		const struct span_class *class = &span_classes[entry & CLASS_MASK];
		uint64_t granule = entry >> CLASS_BITS;
		uint64_t word = granule * GRANULE_WORDS, words = class->words, bits;
		void *const *slots = (void *const *)(base + (granule << GCARENA_GRANULE_SHIFT));
		unsigned int shift = word & 63;

		if (unlikely(!words || entry & ENTRY_WORD))
			break;
		word >>= 6;
		bits = __atomic_load_n(&pointer_bits[word], __ATOMIC_RELAXED) >> shift;
		/* The object's bits go on in the next word. */
		if (unlikely(words >> 1 >> (63 - shift)))
			bits |= __atomic_load_n(&pointer_bits[word + 1], __ATOMIC_RELAXED) <<
				1 << (63 - shift);
		for (bits &= words; bits; bits &= bits - 1) {
			uintptr_t offset = (uintptr_t)__atomic_load_n(&slots[__builtin_ctzll(bits)],
								      __ATOMIC_RELAXED) - base;
			uint64_t inside = offset < size;

			*end = offset >> GCARENA_GRANULE_SHIFT;
			offset = (offset & -inside) >> (GCARENA_GRANULE_SHIFT + 6);
			__builtin_prefetch(&mark_bits[offset], 1);
			end += inside;
		}
		left -= class->elem;
	}
	marker->nr_found = (uint32_t)(end - marker->found);
	marker->result.scanned += (uint64_t)(before - left);
	marker->left = left;
	return i;
}

/* Any other object. */
static void scan_entry(struct marker *marker, uint64_t entry)
{
	const struct span_class *class = &span_classes[entry & CLASS_MASK];
	uint64_t granule = entry >> CLASS_BITS;
	struct object object;

	if (entry & ENTRY_WORD) {
		marker->near(marker, granule / WORD_GRANULES, entry & CLASS_MASK);
		return;
	}
	if (unlikely((entry & CLASS_MASK) == CLASS_CARDS)) {
		cards_scan(marker, (uint32_t)(granule >> PAGE_GRANULES_SHIFT));
		return;
	}
	if (unlikely((entry & CLASS_MASK) < CLASS_SMALL)) {
		scan_large(marker, granule, (entry & CLASS_MASK) == CLASS_LARGE_REST);
		return;
	}
	object.base = marker->base + (granule << GCARENA_GRANULE_SHIFT);
	object.size = class->elem;
	object.granule = granule;
	object.span_class = entry & CLASS_MASK;
	object_visit(marker->heap, &object, &marker->visitor);
	marker->left -= class->elem;
	marker->result.scanned += class->elem;
}

/* The top of the stack; the memory and the pointer bits of its objects are asked for. */
static void take_block(struct marker *marker, struct block *block)
{
	struct mark_stack *stack = marker->stack;
	size_t nr = stack_left(stack), i;

	if (nr > BLOCK)
		nr = BLOCK;
	stack->nr -= nr;
	for (i = 0; i < nr; i++) {
		uint64_t entry = stack->entries[stack->nr + i], granule = entry >> CLASS_BITS;

		block->entries[i] = entry;
		__builtin_prefetch((const void *)(marker->base +
						  (granule << GCARENA_GRANULE_SHIFT)));
		__builtin_prefetch(&marker->pointer_bits[granule / (64 / GRANULE_WORDS)]);
		if (entry & ENTRY_WORD) {
			__builtin_prefetch(&marker->grey_bits[granule / WORD_GRANULES], 1);
			__builtin_prefetch(&marker->mark_bits[granule / WORD_GRANULES], 1);
			__builtin_prefetch(&marker->alloc_bits[granule / WORD_GRANULES]);
		}
	}
	block->nr = (uint32_t)nr;
	if (stack->nr == stack->low) {
		stack->nr = 0;
		stack->low = 0;
	}
}

/* Are words with grey bits worth pushing?  Objects scanned a word say so. */
static void near_pays(struct marker *marker)
{
	uint32_t *rest = &marker->heap->work.near_rest;

	if (marker->near_rest) {
		if (!--marker->near_rest)
			__atomic_store_n(rest, 0, __ATOMIC_RELAXED);
	} else if (marker->near_yield < NEAR_PAYS * NEAR_YIELD_ONE) {
		marker->near_rest = NEAR_REST;
		marker->near_yield = NEAR_PAYS * NEAR_YIELD_ONE;
		__atomic_store_n(rest, NEAR_REST, __ATOMIC_RELAXED);
	}
}

static void push_back(struct marker *marker, const struct block *block, uint32_t from)
{
	for (; from < block->nr; from++)
		push(marker, block->entries[from] >> CLASS_BITS,
		     block->entries[from] & (CLASS_MASK | ENTRY_WORD));
}

/**
 * marker_drain - scan until nothing is grey that this marker knows of
 * @marker: the calling thread's
 *
 * What was found may yet become grey: nothing is left of it.  A block is scanned when
 * the next one has left the stack.
 *
 * Return: false when tick() stopped it; what is left is on the stack.
 */
bool marker_drain(struct marker *marker)
{
	struct block blocks[2], *now = &blocks[0], *next = &blocks[1];
	uint32_t i;

	now->nr = 0;
	for (;;) {
		mark_found(marker, now->nr + stack_left(marker->stack) >= BLOCK);
		take_block(marker, next);
		if (!now->nr && !next->nr)
			return true;
		for (i = 0; i < now->nr;) {
			uint32_t done = scan_run(marker, now, i);

			if (unlikely(done == i))
				scan_entry(marker, now->entries[done++]);
			i = done;
			if (marker->nr_found >= BATCH)
				mark_found(marker, true);
			if (likely(marker->left > 0) || marker->tick(marker))
				continue;
			push_back(marker, now, i);
			push_back(marker, next, 0);
			mark_found(marker, false);
			return false;
		}
		near_pays(marker);
		next = now;
		now = now == blocks ? blocks + 1 : blocks;
	}
}

/**
 * marker_grey - have a marked object scanned
 * @marker: the calling thread's
 * @granule: its own
 * @span_class: its class, not a large one
 */
void marker_grey(struct marker *marker, uint64_t granule, uint32_t span_class)
{
	push(marker, granule, span_class);
}

/**
 * marker_grey_word - the same for objects of one span in a word of the bitmaps
 * @marker: the calling thread's
 * @word: which
 * @mask: their bits
 * @span_class: their class, one with pointer bits
 */
void marker_grey_word(struct marker *marker, uint64_t word, uint64_t mask, uint32_t span_class)
{
	grey_word(marker, word, mask, span_class);
}

/**
 * marker_part - scan a part of a marked object
 * @marker: the calling thread's
 * @object: allocated, with a kind id, without a callback
 * @low: where the part begins, pointer-aligned
 * @high: where it ends
 */
void marker_part(struct marker *marker, const struct object *object, uintptr_t low,
		 uintptr_t high)
{
	marker->left -= (int64_t)(high - low);
	marker->result.scanned += high - low;
	object_visit_part(marker->heap, object, low, high, &marker->visitor);
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
		scan_entry(marker, entry_of(granule, span->span_class));
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
	memset(marker, 0, offsetof(struct marker, found));
	marker->visitor.slots = visit_slots;
	marker->visitor.value = visit_value;
	marker->visitor.words = visit_words;
	marker->visitor.heap = heap;
	marker->visitor.high = UINTPTR_MAX;
	marker->heap = heap;
	marker->base = heap->base;
	marker->size = heap->size;
	marker->alloc_bits = alloc_bitmap(heap);
	marker->mark_bits = mark_bitmap(heap);
	marker->pointer_bits = heap->pointer_bits;
	marker->grey_bits = heap->grey_bits;
	marker->stack = stack;
	marker->marked = marked;
	marker->near = mark_near_best();
	marker->near_yield = NEAR_YIELD_FIRST;
	marker->near_rest = __atomic_load_n(&heap->work.near_rest, __ATOMIC_RELAXED);
	marker->tick = never;
	marker->left = INT64_MAX;
	marker->piece = MARK_PIECE;
	marker->last_old = UINT64_MAX;
}
