/* SPDX-License-Identifier: MIT */
/*
 * The checks behind GCARENA_DEBUG, as the rest of the library calls them.
 *
 * Each hook names the one point it is called from and what holds there: which
 * threads stand still, whether a sweep may be under way.  A hook whose switch
 * is off returns at once, so that callers need not ask; the four shadow_ stores
 * are the exception and are called only while heap->shadow is not NULL.
 *
 * The checks never change the heap (poison writes to dead slots only), never
 * allocate from it, and never wait for a mutator.  A finding goes through
 * gca_report() of debug.c, which calls the report handler, or prints and aborts.
 */
#ifndef GCARENA_DEBUG_H
#define GCARENA_DEBUG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gca_heap;
struct gca_kind;
struct gca_mutator;

#if defined(__SANITIZE_ADDRESS__)
#define GCA_ASAN	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GCA_ASAN	1
#endif
#endif
#ifndef GCA_ASAN
#define GCA_ASAN	0
#endif

/* Reads words that belong to no C object, or to another thread's frame. */
#define GCA_NO_ASAN	__attribute__((no_sanitize("address")))

/* Reads another thread's frames, which may be in use: any word will do there. */
#define GCA_NO_TSAN	__attribute__((no_sanitize("thread")))

/*
 * shadow: for each pointer slot of the heap and of the registered ranges, the
 * value that the last barrier wrote.  While it is on, mutator->barrier is set
 * and allocation is slow, in every mutator, from attach to detach.
 */

/* From gca_open(), the heap's range being known; -ENOMEM.  And gca_close(). */
int shadow_open(struct gca_heap *heap);
void shadow_close(struct gca_heap *heap);
/* Slow allocation, @object zeroed, its alloc bit not yet set; @size is the slot's,
 * for a large object what was asked for.
 */
void shadow_alloc(struct gca_heap *heap, void *object, size_t size,
		  const struct gca_kind *kind);
/* An object becomes another kind's. */
void shadow_kind(struct gca_heap *heap, void *object, const struct gca_kind *kind);
/* After the range was zeroed; before it is forgotten.  -ENOMEM. */
int shadow_root_add(struct gca_heap *heap, void *start, size_t bytes);
void shadow_root_remove(struct gca_heap *heap, void *start);
/* Each does the store to the slot itself, the slot's lock held, so that slot
 * and shadow change together.  The bulk forms call shadow_store() by slot.
 */
void shadow_store(struct gca_heap *heap, void **slot, void *value);
void shadow_init(struct gca_heap *heap, void **slot, void *value);
void *shadow_exchange(struct gca_heap *heap, void **slot, void *value);
bool shadow_cas(struct gca_heap *heap, void **slot, void *expected, void *desired);
/* World stopped, before marking. */
void shadow_check(struct gca_heap *heap);

/*
 * verify: the cycle's work, done again in another way.
 */

/* World stopped, the sweep before this cycle complete, marking not begun. */
void verify_table(struct gca_heap *heap);
/* World stopped, marking done, generation not flipped. */
void verify_marked(struct gca_heap *heap);
/* World stopped, generation flipped, heap_live_objects counted, nothing
 * allocated since.  The sweep may run beside it.
 */
void verify_flipped(struct gca_heap *heap);
/* From gca_close(): what the checks hold. */
void verify_close(struct gca_heap *heap);

/*
 * poison: in an ASan build always, elsewhere by the switch.  In an ASan build
 * every allocation takes the slow path (poison_wants_slow()).
 */
static inline bool poison_wants_slow(void)
{
	return GCA_ASAN;
}

/* World stopped, marking (and verify_marked()) done, not flipped: fills, or
 * poisons for ASan, every slot whose alloc bit is set and mark bit is not.
 */
void poison_dead(struct gca_heap *heap);
/* Slow allocation, before the slot is zeroed: @size is the whole slot's, for a
 * large object the whole span's.
 */
void poison_alloc(void *slot, size_t size);
/* A slot whose object was freed by hand. */
void poison_slot(struct gca_heap *heap, uintptr_t slot, size_t size);
/* From gca_close(), before the heap is unmapped. */
void poison_close(struct gca_heap *heap);

/*
 * gctrace: one line a cycle, in Go's format, to stderr.
 */
struct gctrace {
	uint64_t cycle;		/* from 1 */
	uint64_t open_ns;	/* from gca_open() to the cycle's start */
	uint64_t stop_ns;	/* from asking for the stop to the last mutator's */
	uint64_t mark_ns;	/* marking */
	uint64_t end_ns;	/* from there to the mutators' release */
	uint64_t stop_cpu_ns;	/* that the beginning kept from the program, all threads, */
	uint64_t mark_cpu_ns;	/* CPU time of marking, */
	uint64_t idle_cpu_ns;	/* of marking on idle CPUs, */
	uint64_t assist_ns;	/* of the assists beside it, */
	uint64_t end_cpu_ns;	/* and that the end kept from the program */
	uint64_t heap_start;	/* heap_alloc at the cycle's start, bytes */
	uint64_t heap_end;	/* at its end, before anything is swept */
	uint64_t heap_live;	/* marked */
	uint64_t goal;		/* next_gc that this cycle was started for */
	uint64_t stacks;	/* bytes of stack scanned */
	uint64_t globals;	/* bytes of registered ranges */
	bool forced;		/* by gca_collect() or gca_release() */
	bool minor;
};

/* Any time, the line's fields being final. */
void gctrace_print(struct gca_heap *heap, const struct gctrace *trace);

/*
 * scavtrace: a line where memory has been given back since the last one.
 */

/* Any time, after a cycle and after gca_release(), which is @forced. */
void scavtrace_print(struct gca_heap *heap, bool forced);

#endif /* GCARENA_DEBUG_H */
