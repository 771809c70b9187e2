/* SPDX-License-Identifier: MIT */
/*
 * What a heap knows about single objects beside their contents: weak references,
 * ephemerons, finalizers, pools, handles, pins and manual memory, as the rest of the
 * library sees them.
 *
 * special->lock is a leaf below heap->world, but for a pool's shards, which are
 * below it.  Nobody waits for a mutator with it held.  Lists of addresses are
 * appended to by mutators; only a cycle takes something out of them, in pieces,
 * so that no mutator waits long for the lock.
 *
 * Documentation/references.rst says why what is done at a cycle's end is done in
 * that order.
 */
#ifndef GCARENA_SPECIAL_H
#define GCARENA_SPECIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/gcarena.h>

#include "gcarena.h"
#include "addrmap.h"

struct gca_visitor;

/* Objects' base addresses. */
struct address_list {
	uintptr_t *entries;
	size_t nr;
	size_t max;
};

struct finalizer {
	uintptr_t object;
	gca_finalizer_fn fn;
	void *arg;
	uint32_t flags;		/* GCA_FINALIZE_* */
};

struct finalizer_list {
	struct finalizer *entries;
	size_t nr;
	size_t max;
};

/* Entries of a list that a cycle looks at with the lock held: some 100 us. */
#define SPECIAL_PIECE	4096u

#define MANUAL_CACHED_PAGES	64u	/* longest run of pages that is kept */
#define MANUAL_SIZES		7u	/* powers of two up to that */

struct manual_cache {
	struct addrmap in_use;	/* address to generation << 32 | pages */
	struct gcarena_span *free[MANUAL_SIZES];
	size_t nr[MANUAL_SIZES];
	size_t max[MANUAL_SIZES];
	size_t bytes;		/* in free[] */
};

struct special {
	pthread_mutex_t lock;

	uint32_t gate;		/* futex: 1 while weak loads of the unmarked wait */
	uint64_t gate_wait_ns;	/* atomic */

	/* lock held */
	struct address_list weaks;
	struct address_list ephemerons;
	struct finalizer_list finalizers;
	struct addrmap by_object; /* index into them */
	struct finalizer_list queue; /* to be run; their objects are roots */
	size_t queue_head;	/* those before it were taken */
	pthread_cond_t queued;
	uint64_t finalizers_run;
	struct gca_pool *pools;
	struct handle_block *handles; /* with a free slot */
	struct addrmap handle_blocks; /* all, by the address of their slots */
	struct addrmap pins;	/* object to the handle that pins it */
	struct manual_cache manual;

	/* The cycle's: found ready, not published yet; a piece of a list. */
	struct finalizer_list ready;
	uintptr_t piece[SPECIAL_PIECE];

	/* The thread that runs finalizers, or none. */
	pthread_t thread;
	bool thread_running;
	bool thread_quit;
};

void special_open(struct gca_heap *heap);
/* No mutator attached, no cycle under way. */
void special_close(struct gca_heap *heap);

/* ------------------------------------------------------------- special.c */

/* World held or stopped, marking not begun. */
void special_begin(struct gca_heap *heap);
/* What the heap itself holds: queued finalizers' objects, pools. */
void special_visit_roots(struct gca_heap *heap, struct gca_visitor *visitor);
/* True when a cycle's end has to close the gate. */
bool special_wants_gate(const struct gca_heap *heap);
/* True when there is anything that a cycle has to look at. */
bool special_any(const struct gca_heap *heap);
/* Marking on, nothing grey, no mutator can get at an unmarked object: clears, finds
 * what is ready for its finalizer, and marks what that needs.  @visitor marks.
 */
void special_end(struct gca_heap *heap, struct gca_visitor *visitor);
/* For verify, world stopped, marked: what is alive for another reason than roots.
 * True when @visitor was shown an object that was not yet @seen.
 */
bool special_visit_kept(struct gca_heap *heap, struct gca_visitor *visitor,
			bool (*seen)(struct gca_visitor *visitor, uintptr_t object));
void special_stats(struct gca_heap *heap, struct gca_stats *stats);
bool special_marked(const struct gca_heap *heap, uintptr_t object);

/* ---------------------------------------------------------------- weak.c */

void weak_gate_close(struct gca_heap *heap);
void weak_gate_open(struct gca_heap *heap);
/* Marks the values of marked ephemerons with marked keys, until there is none
 * left: true if it marked something.
 */
bool ephemerons_mark(struct gca_heap *heap, struct gca_visitor *visitor);
/* Clears what refers to the unmarked; then, after resurrection, forgets dead boxes. */
void weak_clear(struct gca_heap *heap);
void weak_forget(struct gca_heap *heap);
bool ephemerons_visit(struct gca_heap *heap, struct gca_visitor *visitor,
		      bool (*seen)(struct gca_visitor *visitor, uintptr_t object));

/* ----------------------------------------------------------- finalizer.c */

void finalizers_find(struct gca_heap *heap, struct gca_visitor *visitor);
void finalizers_publish(struct gca_heap *heap);
void finalizer_thread_stop(struct gca_heap *heap);

/* ---------------------------------------------------------------- pool.c */

void pools_rotate(struct gca_heap *heap);
void pools_visit(struct gca_heap *heap, struct gca_visitor *visitor);
void pools_close(struct gca_heap *heap);

/* -------------------------------------------------------------- handle.c */

void handles_close(struct gca_heap *heap);
bool handle_known(const struct gca_heap *heap, const void *handle);

/* -------------------------------------------------------------- manual.c */

/* Gives back half of what is cached, or all. */
void manual_trim(struct gca_heap *heap, bool all);
void manual_close(struct gca_heap *heap);

#endif /* GCARENA_SPECIAL_H */
