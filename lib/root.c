// SPDX-License-Identifier: MIT
/*
 * Roots: registered ranges, root callbacks, frames, and the walk over all of them.
 *
 * Ranges and callbacks change under heap->world, which a cycle holds from before
 * its stop, so a walk sees them fixed.  Frames are the mutator's own and are
 * walked only while it is claimed.  Ranges are kept by address: overlap shows at
 * the neighbours.
 */
#include "internal.h"

#ifdef __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND	0
#define VALGRIND_MAKE_MEM_DEFINED(address, bytes)	((void)(address), (void)(bytes), 0)
#endif

/* Index of the first range that ends above @address. */
static size_t range_after(const struct roots *roots, uintptr_t address)
{
	size_t low = 0, high = roots->nr_ranges;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (roots->ranges[middle].start + roots->ranges[middle].bytes > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int add_range(struct gca_heap *heap, uintptr_t start, size_t bytes)
{
	struct roots *roots = &heap->roots;
	size_t at = range_after(roots, start);
	int error;

	if (at < roots->nr_ranges && roots->ranges[at].start < start + bytes)
		return error_set(-EINVAL, "root range %#zx+%zu overlaps %#zx+%zu", (size_t)start,
				 bytes, (size_t)roots->ranges[at].start, roots->ranges[at].bytes);
	if (!array_room((void **)&roots->ranges, roots->nr_ranges, &roots->max_ranges,
			sizeof(*roots->ranges)))
		return error_set(-ENOMEM, "no memory for a root range");
	memset((void *)start, 0, bytes);
	if (heap->debug_shadow) {
		error = shadow_root_add(heap, (void *)start, bytes);
		if (error)
			return error_set(error, "no memory for the shadow of a root range");
	}
	memmove(&roots->ranges[at + 1], &roots->ranges[at],
		(roots->nr_ranges - at) * sizeof(*roots->ranges));
	roots->ranges[at].start = start;
	roots->ranges[at].bytes = bytes;
	roots->nr_ranges++;
	return 0;
}

/**
 * gca_root_add - make a range of memory roots
 * @heap: the heap that it points into
 * @start: pointer-aligned; set to zero
 * @bytes: a multiple of a pointer's size
 *
 * Return: 0, -EINVAL for alignment, an empty range, one inside the heap or one
 * that overlaps another, or -ENOMEM.
 */
int gca_root_add(struct gca_heap *heap, void *start, size_t bytes)
{
	RUNTIME();
	uintptr_t address = (uintptr_t)start;
	int error;

	if (!start || !bytes || (address | bytes) % sizeof(void *) || address + bytes < address)
		return error_set(-EINVAL, "root range %p+%zu: empty or not aligned", start, bytes);
	if (address < heap->base + heap->size && heap->base < address + bytes)
		return error_set(-EINVAL, "root range %p+%zu: inside the heap", start, bytes);
	error = heap_usable(heap);
	if (error)
		return error;
	world_lock(heap, mutator_self(heap));
	error = add_range(heap, address, bytes);
	world_unlock(heap);
	return error;
}

/**
 * gca_root_remove - forget a range
 * @heap: the heap it was added to
 * @start: its start
 *
 * Return: 0 or -ENOENT.
 */
int gca_root_remove(struct gca_heap *heap, void *start)
{
	RUNTIME();
	struct roots *roots = &heap->roots;
	int error = heap_usable(heap);
	size_t at;

	if (error)
		return error;
	world_lock(heap, mutator_self(heap));
	at = range_after(roots, (uintptr_t)start);
	if (at == roots->nr_ranges || roots->ranges[at].start != (uintptr_t)start) {
		error = error_set(-ENOENT, "no root range begins at %p", start);
	} else {
		if (heap->debug_shadow)
			shadow_root_remove(heap, start);
		/* The deletion half of the barrier, for all its slots at once. */
		if (heap->marking && !gca_fault_hit(GCA_FAULT_NO_UNROOT))
			mark_shades(heap, start, roots->ranges[at].bytes / sizeof(void *));
		roots->nr_ranges--;
		memmove(&roots->ranges[at], &roots->ranges[at + 1],
			(roots->nr_ranges - at) * sizeof(*roots->ranges));
	}
	world_unlock(heap);
	return error;
}

static size_t find_callback(const struct roots *roots, gca_root_fn fn, void *arg)
{
	size_t i;

	for (i = 0; i < roots->nr_callbacks; i++)
		if (roots->callbacks[i].fn == fn && roots->callbacks[i].arg == arg)
			break;
	return i;
}

/**
 * gca_root_callback_add - have @fn asked for roots at every cycle
 * @heap: the heap
 * @fn: the callback
 * @arg: for it; the same @fn may be added with several
 *
 * Return: 0, -EINVAL for no function, -EEXIST, or -ENOMEM.
 */
int gca_root_callback_add(struct gca_heap *heap, gca_root_fn fn, void *arg)
{
	RUNTIME();
	struct roots *roots = &heap->roots;
	int error = heap_usable(heap);

	if (error)
		return error;
	if (!fn)
		return error_set(-EINVAL, "a root callback without a function");
	world_lock(heap, mutator_self(heap));
	if (find_callback(roots, fn, arg) < roots->nr_callbacks)
		error = error_set(-EEXIST, "this root callback was added already");
	else if (!array_room((void **)&roots->callbacks, roots->nr_callbacks,
			     &roots->max_callbacks, sizeof(*roots->callbacks)))
		error = error_set(-ENOMEM, "no memory for a root callback");
	else
		roots->callbacks[roots->nr_callbacks++] = (struct root_callback){ fn, arg };
	world_unlock(heap);
	return error;
}

/**
 * gca_root_callback_remove - forget a callback
 * @heap: the heap
 * @fn: the callback
 * @arg: as when it was added
 *
 * Return: 0 or -ENOENT.
 */
int gca_root_callback_remove(struct gca_heap *heap, gca_root_fn fn, void *arg)
{
	RUNTIME();
	struct roots *roots = &heap->roots;
	int error = heap_usable(heap);
	size_t at;

	if (error)
		return error;
	world_lock(heap, mutator_self(heap));
	at = find_callback(roots, fn, arg);
	if (at == roots->nr_callbacks)
		error = error_set(-ENOENT, "this root callback was not added");
	else
		roots->callbacks[at] = roots->callbacks[--roots->nr_callbacks];
	world_unlock(heap);
	return error;
}

/**
 * gca_frame_push - make a frame's slots roots
 * @mutator: the calling thread's
 * @frame: on its stack; its slots are NULL or objects
 */
void gca_frame_push(struct gca_mutator *mutator, struct gca_frame *frame)
{
	frame->next = mutator->frames;
	/* A signal that stops the thread here finds the list whole. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	mutator->frames = frame;
}

/**
 * gca_frame_pop - forget the frame that was pushed last
 * @frame: that frame; begins with a struct gca_frame
 */
void gca_frame_pop(void *frame)
{
	struct gca_frame *head = frame;

	/* In the order of blocks: longjmp() over one wants gca_frame_unwind(). */
	gca_assert(head->mutator->frames == head);
	head->mutator->frames = head->next;
}

/**
 * gca_frame_unwind - forget the frames of blocks that were left by longjmp()
 * @mutator: the calling thread's
 * @frame: the innermost one that is still there, NULL for none
 *
 * Right after setjmp() has returned once more: what the frames lie on is no longer theirs.
 */
void gca_frame_unwind(struct gca_mutator *mutator, void *frame)
{
	mutator->frames = frame;
}

/**
 * frames_publish - copy the slots of the calling thread's frames
 * @mutator: the thread's, about to become BLOCKED
 *
 * A thread that is canceled or exits in a blocking region leaves its frames, without
 * -fexceptions, as they are, and goes on using what they lie on: beside somebody who scans
 * them.  Nothing in them changes meanwhile otherwise.
 */
void frames_publish(struct gca_mutator *mutator)
{
	const struct gca_frame *frame;
	uint32_t nr = 0;

	for (frame = mutator->frames; frame; frame = frame->next) {
		if (frame->count > FRAME_SLOTS - nr) {
			nr = FRAMES_IN_PLACE;
			break;
		}
		memcpy(&mutator->frame_slots[nr], frame + 1, frame->count * sizeof(void *));
		nr += (uint32_t)frame->count;
	}
	mutator->nr_frame_slots = nr;
}

/*
 * Words that may be pointers.  Memcheck would name each that nobody has written yet, where
 * the collector looks at it: it is shown copies, which are said to have been.
 */
static void visit_stack(struct gca_visitor *visitor, uintptr_t low, uintptr_t high)
{
	uintptr_t words[64];
	size_t nr;

	if (likely(!RUNNING_ON_VALGRIND)) {
		visitor->words(visitor, low, high);
		return;
	}
	for (; low < high; low += nr * sizeof(*words)) {
		nr = (high - low) / sizeof(*words);
		if (nr > ARRAY_SIZE(words))
			nr = ARRAY_SIZE(words);
		memcpy(words, (const void *)low, nr * sizeof(*words));
		(void)VALGRIND_MAKE_MEM_DEFINED(words, nr * sizeof(*words));
		visitor->words(visitor, (uintptr_t)words, (uintptr_t)(words + nr));
	}
}

/**
 * roots_visit_mutator - show a mutator's stack and frames to @visitor
 * @mutator: the calling thread's, its stack published, or one claimed
 * @visitor: who wants to see them
 */
void roots_visit_mutator(struct gca_mutator *mutator, struct gca_visitor *visitor)
{
	uintptr_t copy = (uintptr_t)mutator->stack_copy;
	struct gca_frame *frame;

	if (copy) {
		visit_stack(visitor, copy, copy + mutator->copied);
		visit_stack(visitor, mutator->stack_low + mutator->copied, mutator->stack_base);
	}
	if (mutator->nr_frame_slots != FRAMES_IN_PLACE) {
		visitor->slots(visitor, mutator->frame_slots, mutator->nr_frame_slots);
		return;
	}
	for (frame = mutator->frames; frame; frame = frame->next)
		visitor->slots(visitor, (void *const *)(frame + 1), frame->count);
}

/**
 * roots_visit_callbacks - ask the program for the roots that only it can find
 * @heap: the heap, stopped
 * @visitor: who wants to see them
 */
void roots_visit_callbacks(struct gca_heap *heap, struct gca_visitor *visitor)
{
	size_t i;

	visitor->low = 0;
	visitor->high = UINTPTR_MAX;
	for (i = 0; i < heap->roots.nr_callbacks; i++)
		heap->roots.callbacks[i].fn(visitor, heap->roots.callbacks[i].arg);
}

/**
 * roots_next_piece - the next slots of the registered ranges
 * @heap: the heap, its world held
 * @at: address from which on; out: for the next call
 * @slots: how many at most
 * @start: out: the first slot
 *
 * Between two calls ranges may come and go: one that comes is zero, the slots of
 * one that goes are shaded.
 *
 * Return: how many slots; 0: there is nothing from @at on.
 */
size_t roots_next_piece(struct gca_heap *heap, uintptr_t *at, size_t slots, void *const **start)
{
	struct roots *roots = &heap->roots;
	size_t i = range_after(roots, *at);
	uintptr_t first, end;

	if (i == roots->nr_ranges)
		return 0;
	first = roots->ranges[i].start > *at ? roots->ranges[i].start : *at;
	end = roots->ranges[i].start + roots->ranges[i].bytes;
	if ((end - first) / sizeof(void *) > slots)
		end = first + slots * sizeof(void *);
	*start = (void *const *)first;
	*at = end;
	return (end - first) / sizeof(void *);
}

/**
 * roots_visit - show every root to @visitor
 * @heap: the heap, stopped
 * @visitor: who wants to see them
 */
void roots_visit(struct gca_heap *heap, struct gca_visitor *visitor)
{
	struct gca_mutator *mutator;
	size_t i;

	visitor->low = 0;
	visitor->high = UINTPTR_MAX;
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		roots_visit_mutator(mutator, visitor);
	for (i = 0; i < heap->roots.nr_ranges; i++)
		visitor->slots(visitor, (void *const *)heap->roots.ranges[i].start,
			       heap->roots.ranges[i].bytes / sizeof(void *));
	special_visit_roots(heap, visitor);
	roots_visit_callbacks(heap, visitor);
}

/**
 * gca_visit_slots - from a callback: these slots hold pointers
 * @visitor: as the callback got it
 * @slots: the first one
 * @count: how many
 *
 * Of a trace callback, slots outside of its object are passed over.
 */
void gca_visit_slots(struct gca_visitor *visitor, const void *slots, size_t count)
{
	uintptr_t low = (uintptr_t)slots, high;

	if (low % sizeof(void *) || __builtin_mul_overflow(count, sizeof(void *), &high) ||
	    __builtin_add_overflow(low, high, &high))
		return;
	if (low < visitor->low)
		low = visitor->low;
	if (high > visitor->high)
		high = visitor->high;
	if (low < high)
		visitor->slots(visitor, (void *const *)low, (high - low) / sizeof(void *));
}

/**
 * gca_visit_words - from a callback: any of these words may be a pointer
 * @visitor: as the callback got it
 * @low: the first word
 * @high: behind the last one
 *
 * As a stack is scanned: interior pointers count.  Of a trace callback, words outside
 * of its object are passed over.
 */
void gca_visit_words(struct gca_visitor *visitor, const void *low, const void *high)
{
	uintptr_t from = align_up((uintptr_t)low, sizeof(void *));
	uintptr_t to = (uintptr_t)high & ~(sizeof(void *) - 1);

	if (from < visitor->low)
		from = visitor->low;
	if (to > visitor->high)
		to = visitor->high;
	if (from >= to)
		return;
	if (!visitor->low)
		visitor->fleeting = true;
	visit_stack(visitor, from, to);
}

/**
 * gca_visit_value - from a callback: this is a pointer
 * @visitor: as the callback got it
 * @object: an object's base, or NULL
 */
void gca_visit_value(struct gca_visitor *visitor, const void *object)
{
	visitor->value(visitor, object);
}
