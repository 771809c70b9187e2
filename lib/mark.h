/* SPDX-License-Identifier: MIT */
/*
 * What the files of marking share: mark.c, which marks and scans objects; work.c,
 * which deals grey ones out to workers and to mutators that assist.
 *
 * A marker is one thread's: nobody else looks at it, its stack or its result.
 * What it shares, mark bits apart, it shares through work_give() and work_put().
 */
#ifndef GCARENA_MARK_H
#define GCARENA_MARK_H

#include "internal.h"

/* Pointers noted at most, before they are looked at: two cache lines are asked for by
 * each, which the nearest cache holds well.
 */
#define FOUND_MAX	128u
/* Bytes of a large object that are scanned as one: some 20 us of marking, so that
 * neither an assist nor another worker waits for a long array.
 */
#define MARK_PIECE	(16 * KIB)

struct marker {
	struct gca_visitor visitor; /* first */
	struct gca_heap *heap;
	uintptr_t base;
	size_t size;
	uint64_t *alloc_bits;
	uint64_t *mark_bits;
	const uint64_t *pointer_bits;
	struct mark_stack *stack;
	struct mark_result result;
	uint32_t *marked;	/* the same objects by span class; the calling thread's */
	/* Called each time @left has run out, which it sets again.  False: stop. */
	bool (*tick)(struct marker *marker);
	int64_t left;		/* bytes to scan until then */
	/* Told of each object that this marker marks; mark_watch(). */
	void (*watch)(void *arg, uintptr_t object);
	void *watch_arg;
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
/* Marks what one word may point to. */
void marker_word(struct marker *marker, uintptr_t word);
/* A marked object, allocated, is grey: scanned with a later block. */
void marker_grey(struct marker *marker, uint64_t granule, uint32_t span_class);
/* Scans a part of an object with a kind id, without a callback. */
void marker_part(struct marker *marker, const struct object *object, uintptr_t low,
		 uintptr_t high);
/* Scans every marked object once more, and what that leads to. */
void marker_rescan(struct marker *marker);

/* False: no memory, the stack is as it was. */
bool stack_grow(struct mark_stack *stack);
void stack_drop(struct mark_stack *stack);
static inline size_t stack_left(const struct mark_stack *stack)
{
	return stack->nr - stack->low;
}

/* --------------------------------------------------------------- cards.c */

/* What old objects on dirty cards refer to; the cards are clean then. */
void cards_scan(struct marker *marker);

/* ---------------------------------------------------------------- work.c */

/* Everything on a stack that cannot grow goes to the pool; if that cannot grow
 * either the entries are dropped and the overflow is remembered.
 */
void work_put(struct gca_heap *heap, struct mark_stack *from);

#endif /* GCARENA_MARK_H */
