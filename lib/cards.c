// SPDX-License-Identifier: MIT
/*
 * Cards: where stores into the heap were, 512 bytes exactly enough.
 *
 * The pages of a heap are looked at in rows of some, each an entry of the pool of grey objects
 * (mark.c): workers and assisting mutators take them as any other.  Without memory for an
 * entry all old objects are scanned, and the cards stay dirty.
 *
 * A byte each, reserved for the whole heap, touched where stores are.  A store of a
 * mutator whose barrier has GCA_BARRIER_CARD dirties its slot's card before it stores.
 * A minor cycle takes the dirty ones when every mutator is black: nobody dirties any
 * then, but who was stopped by a signal amid a store, whose card is looked at by
 * the next minor cycle, and what it stores was marked in its registers.
 *
 * A card is cleaned, then those objects on it that are marked and allocated are made
 * grey: old ones, as a rule; one that is black already is scanned twice.  What is not
 * marked is young, and may be dead: it is not looked at.  Conservative objects may be
 * stored into without a barrier, so that all their cards count as dirty.
 */
#include "mark.h"

#define PAGE_CARDS	(GCARENA_PAGE_SIZE >> GCA_CARD_SHIFT)
#define CARD_SIZE	(1u << GCA_CARD_SHIFT)
#define CARD_GRANULES	(CARD_SIZE >> GCARENA_GRANULE_SHIFT)
#define CARD_MASK	((1ull << CARD_GRANULES) - 1)
#define WORD_CARDS	(WORD_GRANULES / CARD_GRANULES)
_Static_assert(GCA_INLINE_MAX <= CARD_SIZE, "slots with pointer bits are on two cards at most");

/* Of an entry, up to the next multiple. */
#define ROW_PAGES	64u
_Static_assert(PAGE_CARDS == 2 * sizeof(uint64_t), "two words have a page's cards");

static uint64_t page_granule(uint32_t page)
{
	return (uint64_t)page << PAGE_GRANULES_SHIFT;
}

struct scan {
	struct marker *marker;
	struct gca_heap *heap;
	struct span span;
	uint64_t row;		/* of the page: the span is still this one */
	bool conservative;	/* only conservative objects */
};

/* An old object at @base, or what else is marked; false: it need not be looked at. */
static bool is_old(struct scan *scan, uint32_t page, uintptr_t base, uint64_t granule)
{
	/* A free slot of an open run is black, and no object. */
	if (!bit_test(scan->marker->mark_bits, granule) ||
	    !bit_test(scan->marker->alloc_bits, granule))
		return false;
	/* The bits are of a span that may be another one by now. */
	return row_word0(scan->heap, page) == scan->row;
}

static void scan_object(struct scan *scan, const struct object *object, uintptr_t low,
			uintptr_t high)
{
	struct marker *marker = scan->marker;
	bool kinded = span_classes[object->span_class].flavour == GCA_FLAVOUR_KINDED;

	if (scan->conservative && !object_conservative(scan->heap, object))
		return;
	if (kinded && object_splits(scan->heap, object)) {
		if (low < object->base)
			low = object->base;
		if (high > object->base + object->size)
			high = object->base + object->size;
		marker_part(marker, object, low, high);
	} else if (object->granule != marker->last_old) {
		marker->last_old = object->granule;
		marker_grey(marker, object->granule, object->span_class);
	}
}

/* The objects that have a part in [low, high), which is in @page. */
static void scan_part(struct scan *scan, uint32_t page, uintptr_t low, uintptr_t high)
{
	const struct span_class *class = &span_classes[scan->span.span_class];
	struct object object = { .span_class = scan->span.span_class };
	uint32_t i;

	if (scan->span.large) {
		object.base = scan->span.base;
		object.size = (size_t)scan->span.npages << GCARENA_PAGE_SHIFT;
		object.granule = granule_of(scan->heap, object.base);
		if (is_old(scan, page, object.base, object.granule))
			scan_object(scan, &object, low, high);
		return;
	}
	object.size = class->elem;
	for (i = (uint32_t)((low - scan->span.base) / class->elem); i < class->objects; i++) {
		object.base = scan->span.base + (uintptr_t)i * class->elem;
		if (object.base >= high)
			break;
		object.granule = granule_of(scan->heap, object.base);
		if (is_old(scan, page, object.base, object.granule))
			scan_object(scan, &object, low, high);
	}
}

/*
 * The same for small objects with pointer bits, those of a word of the bitmaps at a time.
 * @starts: granules where one may begin that has a part on a dirty card.
 */
static void scan_word(struct scan *scan, uint32_t page, uint64_t word, uint64_t starts)
{
	struct marker *marker = scan->marker;

	starts &= __atomic_load_n(&marker->mark_bits[word], __ATOMIC_RELAXED) &
		  __atomic_load_n(&marker->alloc_bits[word], __ATOMIC_ACQUIRE);
	/* As in is_old(). */
	if (starts && row_word0(scan->heap, page) == scan->row)
		marker_grey_word(marker, word, starts, scan->span.span_class);
}

static void scan_small(struct scan *scan, uint32_t page, uint32_t dirty)
{
	const struct span_class *class = &span_classes[scan->span.span_class];
	const uint32_t granules = class->elem >> GCARENA_GRANULE_SHIFT;
	/* A start so far before a card, at most, is of an object with slots on it. */
	const uint32_t before = (granules < CARD_GRANULES ? granules : CARD_GRANULES) - 1;
	const uint64_t first = (uint64_t)page * GCARENA_LINE_WORDS;
	uint64_t spill = 0;
	uint32_t i;

	/* Down: an object that reaches into a word may begin in the one below. */
	for (i = GCARENA_LINE_WORDS; i--;) {
		uint64_t cards = dirty >> (i * WORD_CARDS) & ((1u << WORD_CARDS) - 1);
		uint64_t starts = spill;

		spill = 0;
		for (; cards; cards &= cards - 1) {
			uint32_t at = (uint32_t)__builtin_ctzll(cards) * CARD_GRANULES;

			starts |= CARD_MASK << at;
			if (at)
				starts |= ((1ull << before) - 1) << (at - before);
			else if (before)
				spill = ~0ull << (WORD_GRANULES - before);
		}
		if (starts)
			scan_word(scan, page, first + i, starts);
	}
	if (spill && page > scan->span.page)
		scan_word(scan, page, first - 1, spill);
}

/* The dirty cards of a page, a bit each, which are clean then. */
static uint32_t take_cards(struct gca_heap *heap, uint32_t page)
{
	uint64_t *words = (uint64_t *)(heap->cards + (size_t)page * PAGE_CARDS);
	uint32_t dirty = 0, i;

	for (i = 0; i < 2; i++) {
		uint64_t word = __atomic_load_n(&words[i], __ATOMIC_RELAXED);

		if (likely(!word))
			continue;
		__atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
		/* Each byte is 0 or 1: the lowest bits side by side. */
		dirty |= (uint32_t)(word * 0x0102040810204080ull >> 56) << (8 * i);
	}
	return dirty;
}

/* May there be a store that no card tells of? */
static bool may_be_conservative(const struct scan *scan)
{
	uint32_t flavour = span_classes[scan->span.span_class].flavour;

	return flavour == GCA_FLAVOUR_CONSERVATIVE ||
	       (flavour == GCA_FLAVOUR_KINDED &&
		__atomic_load_n(&scan->heap->generations.conservative, __ATOMIC_RELAXED));
}

static void scan_page(struct scan *scan, uint32_t page, uint32_t dirty)
{
	uintptr_t base = scan->heap->base + ((uintptr_t)page << GCARENA_PAGE_SHIFT);
	const struct span_class *class = &span_classes[scan->span.span_class];

	if (class->flavour == GCA_FLAVOUR_CONSERVATIVE) {
		scan_part(scan, page, base, base + GCARENA_PAGE_SIZE);
		return;
	}
	if (unlikely(may_be_conservative(scan))) {
		scan->conservative = true;
		scan_part(scan, page, base, base + GCARENA_PAGE_SIZE);
		scan->conservative = false;
	}
	if (class->words) {
		scan_small(scan, page, dirty);
		return;
	}
	while (dirty) {
		uint32_t first = (uint32_t)__builtin_ctz(dirty);
		uint32_t nr = (uint32_t)__builtin_ctz(~(dirty >> first));

		scan_part(scan, page, base + first * CARD_SIZE, base + (first + nr) * CARD_SIZE);
		dirty &= ~(((1u << nr) - 1) << first);
	}
}

/**
 * cards_scan - make grey the old objects on the dirty cards of one page
 * @marker: the calling thread's, which counts as busy; a minor cycle's, every mutator black
 * @page: where to look first; up to the end of its row of pages
 *
 * What is left of the row goes onto the stack before the objects, and so is looked at after
 * what these lead to.
 */
void cards_scan(struct marker *marker, uint32_t page)
{
	struct gca_heap *heap = marker->heap;
	struct scan scan = { .marker = marker, .heap = heap };
	uint32_t used = heap_pages_used(heap), end = (page / ROW_PAGES + 1) * ROW_PAGES, dirty;

	for (end = end < used ? end : used; page < end; page++) {
		scan.row = row_word0(heap, page);
		if (!(scan.row & GCARENA_ROW_IN_USE) || !span_at(heap, page, &scan.span))
			continue;
		if (scan.span.span_class == CLASS_MANUAL ||
		    span_classes[scan.span.span_class].flavour == GCA_FLAVOUR_NOSCAN)
			continue;
		dirty = take_cards(heap, page);
		if (!dirty && !may_be_conservative(&scan))
			continue;
		__atomic_add_fetch(&heap->generations.cards, __builtin_popcount(dirty),
				   __ATOMIC_RELAXED);
		if (page + 1 < end)
			marker_grey(marker, page_granule(page + 1), CLASS_CARDS);
		scan_page(&scan, page, dirty);
		return;
	}
}

/**
 * cards_give - have all dirty cards looked at
 * @heap: the heap, its phase open, a minor cycle's; every mutator black
 */
void cards_give(struct gca_heap *heap)
{
	uint32_t used = heap_pages_used(heap), page = 0;
	uint64_t entries[ROW_PAGES];
	size_t nr;

	if (gca_fault_hit(GCA_FAULT_NO_CARD_SCAN))
		return;
	while (page < used) {
		for (nr = 0; nr < ARRAY_SIZE(entries) && page < used; page += ROW_PAGES)
			entries[nr++] = entry_of(page_granule(page), CLASS_CARDS);
		grey_give(heap, entries, nr);
	}
}

/**
 * cards_clear - all cards become clean
 * @heap: the heap, every mutator black, or none with cards
 */
void cards_clear(struct gca_heap *heap)
{
	uint32_t used = heap_pages_used(heap), page;

	for (page = 0; heap->generations.dirty && page < used; page++)
		take_cards(heap, page);
	heap->generations.dirty = false;
}
