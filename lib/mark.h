/* SPDX-License-Identifier: MIT */
/*
 * What the files of marking share: mark.c, which marks and scans objects; work.c, the
 * threads that do so; grey.c, the pool from which they and assisting mutators take.
 *
 * A marker is one thread's: nobody else looks at it, its stack or its result.
 * What it shares, mark bits apart, it shares through the pool.
 */
#ifndef GCARENA_MARK_H
#define GCARENA_MARK_H

#include "internal.h"

#define WORD_GRANULES	64ull	/* of a word of a bitmap */
#define WORD_BYTES	(WORD_GRANULES << GCARENA_GRANULE_SHIFT)
#define GRANULE_WORDS	(GCARENA_GRANULE_SIZE / sizeof(void *))

/* Slots of the objects that begin in a kilobyte, at most. */
#define WORD_SLOTS	(2u * 64u + 63u)
/* Pointers noted at most, before they are looked at. */
#define FOUND_MAX	256u
/* Bytes of a large object that are scanned as one, so that no other worker waits for a long
 * array: 512 pointers to objects that are nowhere near take 25 us.  An assist, for which that
 * is long, takes a quarter.
 */
#define MARK_PIECE	(4 * KIB)
#define ASSIST_PIECE	(1 * KIB)
/* Grey objects in the pool for which a CPU that nobody wants is asked for: to mark fewer takes
 * no longer than to ask and to be woken.
 */
#define IDLE_LEAST	64u

/* The average is over about so many calls; and what it begins with. */
#define NEAR_YIELD_ONE	8u
#define NEAR_YIELD_FIRST (12u * NEAR_YIELD_ONE)

struct marker;

/* Scans the grey objects of @word of the bitmaps, all of small class @span_class, and what
 * these reach there.  Pointers to elsewhere are noted.
 */
typedef void (*mark_near_fn)(struct marker *marker, uint64_t word, uint32_t span_class);

struct marker {
	struct gca_visitor visitor; /* first */
	struct gca_heap *heap;
	uintptr_t base;
	size_t size;
	uint64_t *alloc_bits;
	uint64_t *mark_bits;
	const uint64_t *pointer_bits;
	uint64_t *grey_bits;
	struct mark_stack *stack;
	struct mark_result result;
	uint32_t *marked;	/* the same objects by span class; the calling thread's */
	/* Called each time @left has run out, which it sets again.  False: stop. */
	bool (*tick)(struct marker *marker);
	int64_t left;		/* bytes to scan until then */
	uint64_t last_old;	/* granule of the last object that a card made grey */
	size_t piece;		/* bytes of a large object at a time; divides MARK_PIECE */
	/* Told of each object that this marker marks; mark_watch(). */
	void (*watch)(void *arg, uintptr_t object);
	void *watch_arg;
	mark_near_fn near;	/* for this CPU */
	uint32_t near_yield;	/* objects a call, of late, times NEAR_YIELD_ONE */
	uint32_t near_rest;	/* blocks until it is tried again */
	uint32_t nr_found;
	uint64_t found[FOUND_MAX]; /* granules pointed to, not yet looked at; last */
};

/* ---------------------------------------------------------------- mark.c */

/* Without a tick: never called. */
void marker_init(struct marker *marker, struct gca_heap *heap, struct mark_stack *stack,
		 uint32_t *marked);
/* Scans what is on the stack and what that leads to.  False: tick() said so; what is
 * left is on the stack.
 */
bool marker_drain(struct marker *marker);
/* What one word may point to: asks for its bits; marks it. */
void marker_ask(struct marker *marker, uintptr_t word);
void marker_word(struct marker *marker, uintptr_t word);
/* A marked object, allocated, is grey: scanned with a later block. */
void marker_grey(struct marker *marker, uint64_t granule, uint32_t span_class);
/* The same for those of @mask in a word of the bitmaps, of a class with pointer bits. */
void marker_grey_word(struct marker *marker, uint64_t word, uint64_t mask, uint32_t span_class);
/* Scans a part of an object with a kind id, without a callback. */
void marker_part(struct marker *marker, const struct object *object, uintptr_t low,
		 uintptr_t high);
/* Scans every marked object once more, and what that leads to. */
void marker_rescan(struct marker *marker);

/* Looks at the pointers that were found, or but the last ones, whose bits are on their way. */
void mark_found(struct marker *marker, bool keep);

/* False: no memory, the stack is as it was. */
bool stack_grow(struct mark_stack *stack);
void stack_drop(struct mark_stack *stack);
static inline size_t stack_left(const struct mark_stack *stack)
{
	return stack->nr - stack->low;
}

/* Sets those of @mask in a word of the mark bitmap: what was clear. */
static inline uint64_t set_bits(struct marker *marker, uint64_t word, uint64_t mask)
{
	uint64_t *bits = &marker->mark_bits[word];
	uint64_t old = __atomic_load_n(bits, __ATOMIC_RELAXED);

	mask = gca_fault_bits(GCA_FAULT_SKIP_MARK, mask & ~old);
	do {
		if (!(mask & ~old))
			return 0;
	} while (!__atomic_compare_exchange_n(bits, &old, old | mask, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return mask & ~old;
}

/* An entry of a mark stack: an object's granule, or with ENTRY_WORD the first of a word that
 * has grey bits; and the span class.
 */
#define CLASS_BITS	16
#define ENTRY_WORD	0x8000u
#define CLASS_MASK	(ENTRY_WORD - 1)
/* Or some pages whose cards are to be looked at, as of the granule's: no object is grey of
 * that class.
 */
#define CLASS_CARDS	CLASS_MANUAL
/* Or what is left of a large object, of which some pieces are on a stack. */
#define CLASS_LARGE_REST CLASS_LARGE_NOSCAN
#define PAGE_GRANULES_SHIFT (GCARENA_PAGE_SHIFT - GCARENA_GRANULE_SHIFT)

static inline uint64_t entry_of(uint64_t granule, uint32_t span_class)
{
	return granule << CLASS_BITS | span_class;
}

/* Entries that nobody is going to scan: their objects are only found by marker_rescan(). */
static inline void entries_forget(struct gca_heap *heap, const uint64_t *entries, size_t nr)
{
	for (; nr; nr--, entries++)
		if (*entries & ENTRY_WORD)
			__atomic_store_n(&heap->grey_bits[(*entries >> CLASS_BITS) / WORD_GRANULES],
					 0, __ATOMIC_RELAXED);
}

/* --------------------------------------------------------------- cards.c */

/* Old objects on dirty cards become grey, of a row of pages from @page on, or as an entry of the
 * stack; the cards are clean then.
 */
void cards_scan(struct marker *marker, uint32_t page);
/* The same for all rows of the heap, as entries of the pool. */
void cards_give(struct gca_heap *heap);

/* ----------------------------------------------------------- mark_near.c */

mark_near_fn mark_near_best(void);

/* ---------------------------------------------------------------- grey.c */

/* Entries for whoever has none; if the pool cannot grow they are dropped and the overflow is
 * remembered.  And all those of a stack that cannot grow.
 */
void grey_give(struct gca_heap *heap, const uint64_t *entries, size_t nr);
void grey_put(struct gca_heap *heap, struct mark_stack *from);

void grey_lock(struct work *work);
void grey_unlock(struct work *work);
void grey_wait(struct work *work);
bool grey_add(struct work *work, const uint64_t *entries, size_t nr);
void grey_lose(struct work *work, const uint64_t *entries, size_t nr);
void grey_take(struct work *work, struct mark_stack *stack, size_t max);

#endif /* GCARENA_MARK_H */
