/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The span core: page heap, span table, central lists, sweep, scavenge policy.
 *
 * Compiled into gcarena.ko and, over lib/shim, into libgcarena's process
 * backend.  It knows nothing of VFS, VMAs, threads or LRUs: what it needs of
 * its host comes through struct gca_host_ops and through the one header
 * core_host.h, which lib/shim replaces.
 *
 * Locking: one core lock for each arena.  It never sleeps and is never held
 * across a host operation that may.  Entry points take it themselves.
 */
#ifndef GCARENA_CORE_H
#define GCARENA_CORE_H

#include "core_host.h"	/* types, lists, lock, bit operations, assertions */

struct gca_core;
struct gca_chunk;

/*
 * Half a page, 4 KiB: what can be given back by itself.  It is the base page of
 * the machines that have 2 MiB chunks; a system with longer ones keeps what it
 * cannot give back in part.
 */
#define GCA_HALF_SHIFT		(GCARENA_PAGE_SHIFT - 1)
#define GCA_CHUNK_HALVES	(2U * GCARENA_CHUNK_PAGES)
#define GCA_HALF_WORDS		(GCA_CHUNK_HALVES / 64)

/* No node in particular. */
#define GCA_NODE_ANY	(-1)

/* How deep a refill had to go; each says that those before did not suffice. */
enum gca_level {
	GCA_LEVEL_READY,	/* a slot's ready spans, or nothing asked */
	GCA_LEVEL_CENTRAL,	/* swept spans with room */
	GCA_LEVEL_SWEEP,	/* swept spans itself */
	GCA_LEVEL_FRESH,	/* backed pages of the page heap */
	GCA_LEVEL_BACK,		/* backed pages in the caller's context */
	GCA_LEVELS
};

/**
 * struct gca_host_ops - what the core asks of the host it lives in
 * @back: Make the @npages pages from @page on present, which are a chunk without
 *	backing: on a huge page if one can be had, of @node, if that can be had and
 *	it is not GCA_NODE_ANY.  May sleep; called without the core lock, the chunk
 *	in transit.  They read as zero after.  Returns 0 (huge), 1 (backed by small
 *	pages) or a negative errno, after which nothing of it is backed.
 * @fill: Make the halves of pages in map @halves of @chunk present, which are not,
 *	while others of it are.  Likewise; of the others nothing changes.  Returns 0
 *	or a negative errno, after which none of them is.
 * @release: Give the halves of pages in map @going, all of @chunk, back to the
 *	system: in one go, so that the host unmaps and flushes once.  A chunk
 *	that is wholly free is named whole, with what is not backed, and no other
 *	is.  May sleep; called without the core lock, the chunk in transit.  They read as zero
 *	when they are next backed, but for those that it puts into @kept (zeroes
 *	before): these still have backing and their old contents.  Returns the
 *	bytes that really came free, read from the mapping.
 * @meta_alloc: Zeroed memory for the core's own descriptors, charged to the
 *	owner; NULL when there is none.  May sleep; no core lock.
 * @meta_free: Its counterpart.  Does not sleep.
 * @meta_back: Make the rows and both bitmaps' lines of @chunk present, so that
 *	gca_host_row() and gca_host_line() never fail for it.  May sleep.
 *	Returns the bytes newly allocated or a negative errno.
 * @chunk_idle: @chunk became backed and wholly free.  Core lock held.
 * @chunk_busy: It stopped being so, but by gca_core_shrink_begin().  Core lock
 *	held.
 * @collapse: Is @chunk, in use and in transit, on a huge page now?  A host that can
 *	asks the system to make it so first.  All of it is then backed, what had
 *	no backing reads as zero.  May sleep; no core lock.  0 or a negative errno.
 * @filled: All of @chunk is backed again, by small pages.  Core lock held.
 *	Optional: may be NULL.
 * @wake_worker: There is work for gca_core_work().  Core lock held.
 * @sweep_done: The sweep became complete.  Core lock held.
 * @transit_wait: Sleep until gca_core_transit_sequence() differs from @sequence,
 *	killable.  No core lock.  0 or -EINTR.
 * @transit_wake: gca_core_transit_sequence() changed and somebody waits.  Core
 *	lock held.
 * @sweep_started: A sweep began, the status page says which.  Core lock held.
 *	Optional: may be NULL.
 * @back_ahead: As back() for a whole chunk that nobody waits for: only from what
 *	is at hand, never by reclaim, never so that others run short.  From
 *	gca_core_work() only.  Optional: without it there is no reserve.
 * @now: Nanoseconds of a monotonic clock.  Does not sleep.
 * @pressure: An episode of pressure began, the status page says which.  Core
 *	lock held.  Optional: may be NULL.
 * @slots_stocked: A slot has ready spans, none had before.  From now on, and
 *	until @slots_empty, gca_core_tick() wants to be called.  Core lock held.
 *	Optional, for a host that has slots.
 * @slots_empty: No slot has any more.  Core lock held.  Likewise.
 * @node: The node of what is in memory of @chunk, or GCA_NODE_ANY.  No core lock.
 *	Optional: a host without it has one node, 0.
 * @caller_node: The node that the caller prefers memory of, or GCA_NODE_ANY if it
 *	has no preference.  No core lock.  Together with @node.
 * @node_valid: Is there a node @node, with memory?  Together with @node.
 * @held: Is there anything in @chunk that somebody else has a reference of, as
 *	I/O has?  Never no while I/O is going on; yes for now, if unsure.  Core lock
 *	held.  Optional: a host without it never keeps what somebody has.
 */
struct gca_host_ops {
	int (*back)(void *host, u32 page, u32 npages, int node);
	int (*fill)(void *host, u32 chunk, const u64 *halves, int node);
	u64 (*release)(void *host, u32 chunk, const u64 *going, u64 *kept);
	void *(*meta_alloc)(void *host, size_t size);
	void (*meta_free)(void *host, void *mem, size_t size);
	long (*meta_back)(void *host, u32 chunk);
	void (*chunk_idle)(void *host, struct gca_chunk *chunk);
	void (*chunk_busy)(void *host, struct gca_chunk *chunk);
	int (*collapse)(void *host, u32 chunk);
	void (*filled)(void *host, u32 chunk);
	void (*wake_worker)(void *host);
	void (*sweep_done)(void *host);
	int (*transit_wait)(void *host, u32 sequence);
	void (*transit_wake)(void *host);
	void (*sweep_started)(void *host);
	int (*back_ahead)(void *host, u32 page, u32 npages, int node);
	u64 (*now)(void *host);
	void (*pressure)(void *host);
	void (*slots_stocked)(void *host);
	void (*slots_empty)(void *host);
	bool (*held)(void *host, u32 chunk);
	int (*node)(void *host, u32 chunk);
	int (*caller_node)(void *host);
	bool (*node_valid)(void *host, int node);
};

/*
 * Supplied by the host beside the operations, for speed as inlines or direct
 * calls declared by core_host.h:
 *
 *   struct gcarena_row *gca_host_row(void *host, u32 page);
 *   u64 *gca_host_line(void *host, unsigned int which, u32 page);
 *   struct gcarena_status *gca_host_status(void *host);
 *
 * Valid for chunks that meta_back() has seen.  A line is GCARENA_LINE_WORDS
 * words that the owner may write at any time: read each word once.
 */

int gca_core_create(const struct gca_host_ops *ops, void *host, u64 heap_size,
		    const struct gcarena_class *classes, u32 nr_classes,
		    const struct gcarena_policy *policy, struct gca_core **out);
void gca_core_destroy(struct gca_core *core);

int gca_core_check_classes(const struct gcarena_class *classes, u32 nr);
int gca_core_check_policy(const struct gcarena_policy *policy);
int gca_core_check_scavenge(const struct gcarena_scavenge *args);

int gca_core_refill(struct gca_core *core, struct gcarena_refill *args,
		    const struct gcarena_span *spent, struct gcarena_span *ready);
int gca_core_refill_slot(struct gca_core *core, u32 slot, struct gcarena_refill *args,
			 const struct gcarena_span *spent, struct gcarena_span *ready,
			 enum gca_level *level);
int gca_core_return(struct gca_core *core, const struct gcarena_span *spent,
		    u32 nr_spent, u32 *taken);
int gca_core_start_sweep(struct gca_core *core, struct gcarena_sweep *args);
int gca_core_sweep_assist(struct gca_core *core, struct gcarena_sweep *args);
int gca_core_scavenge(struct gca_core *core, struct gcarena_scavenge *args);
int gca_core_set_policy(struct gca_core *core, const struct gcarena_policy *policy);
void gca_core_get_policy(struct gca_core *core, struct gcarena_policy *policy);
void gca_core_stats(struct gca_core *core, struct gcarena_stats *stats);
u32 gca_core_snapshot(struct gca_core *core, struct gcarena_stats *stats);
void gca_core_add_worker_time(struct gca_core *core, u64 ns);

/* Slots: caches of ready spans.  ready.c says how they work. */
#define GCA_SLOT_NONE	U32_MAX

int gca_core_slots(struct gca_core *core, u32 nr, u64 bytes);
bool gca_core_refill_ready(struct gca_core *core, u32 slot, u16 span_class, u32 nr,
			   struct gcarena_span *spans);
void gca_core_drain(struct gca_core *core);
void gca_core_drain_slot(struct gca_core *core, u32 slot);
bool gca_core_shrink_slots(struct gca_core *core);
bool gca_core_tick(struct gca_core *core);

/**
 * struct gca_ready_info - a class in a slot, as debugfs and tests see it
 * @slot: index of the slot
 * @span_class: index in the class table
 * @spans: that lie ready
 * @demand: wanted lately, as far as it counts
 * @refills: since the last tick
 * @bytes: in @spans
 */
struct gca_ready_info {
	u32 slot;
	u32 span_class;
	u32 spans;
	u32 demand;
	u32 refills;
	u64 bytes;
};

bool gca_core_next_ready(struct gca_core *core, struct gca_ready_info *at);

/* What gca_core_work() did, and so what its caller does next. */
enum gca_work {
	GCA_WORK_IDLE,		/* nothing: sleep until wake_worker() or the time
				 * of gca_core_work_in() is over
				 */
	GCA_WORK_MORE,		/* swept or backed: call again at once */
	GCA_WORK_PACED		/* scavenged, or swept what refills were left: call again
				 * within the CPU share
				 */
};

/* One bounded piece of the worker's work: sweep some spans and back a chunk of
 * the reserve; with neither to do release one idle chunk that nobody wants kept.
 */
enum gca_work gca_core_work(struct gca_core *core);

int gca_core_collapse(struct gca_core *core, const u32 *chunks, u32 nr, u32 *nr_huge);

/* Nanoseconds after which there may be work without a wake_worker(), or U64_MAX. */
u64 gca_core_work_in(struct gca_core *core);

/* Reclaim asks (or stopped asking) for memory of the arena's group or node. */
void gca_core_reclaim(struct gca_core *core, bool asking);

/* Words of a bit map of a chunk's pages. */
#define GCA_CHUNK_MAP_WORDS	(GCARENA_CHUNK_PAGES / 64)

/* Reclaim, in any context that may not wait: release one idle chunk. */
bool gca_core_shrink_begin(struct gca_core *core, u32 index);
void gca_core_shrink_end(struct gca_core *core, u32 index, const u64 *kept, u64 bytes);

/* The index of a chunk, for chunk_idle() and chunk_busy(). */
u32 gca_core_chunk_index(const struct gca_chunk *chunk);

/* Whether an idle chunk is of the reserve, likewise. */
bool gca_core_chunk_reserved(const struct gca_chunk *chunk);

/* Where all core and slot locks are made: for the host's lock checker. */
void gca_core_lock_init(gca_lock_t *lock);
void gca_core_slot_lock_init(gca_lock_t *lock);

/* For the host's transit_wait(); no lock needed. */
u32 gca_core_transit_sequence(struct gca_core *core);

/* True while a sweep is in progress; for poll. */
bool gca_core_sweeping(struct gca_core *core);

/**
 * struct gca_span_info - one span, as debugfs and tests see it
 * @page: index of its first page
 * @npages: length
 * @generation: of its last sweep, or at which it is held
 * @objects: alloc bits set
 * @span_class: index in the class table
 * @state: enum gcarena_state
 */
struct gca_span_info {
	u32 page;
	u32 npages;
	u32 generation;
	u32 objects;
	u16 span_class;
	u8 state;
};

/* The first span in use at or after @page: true and @info filled, or false.
 * Takes the lock for one span at a time.
 */
bool gca_core_next_span(struct gca_core *core, u32 page, struct gca_span_info *info);

/**
 * struct gca_chunk_info - one chunk, as debugfs and residency see it
 * @chunk: its index
 * @nr_free: pages of no span
 * @nr_released: of those: not backed, as the core believes
 * @nr_holes: halves of other pages, in use or free, that are not, likewise
 * @longest: longest run of free pages
 * @transit: somebody is backing or releasing a part of it
 * @small: believed backed, but not (all) by a huge page
 * @withheld: nothing of it is given out, as somebody has a reference of it
 * @free: a bit a page: of no span
 * @released: a bit a page: believed not backed
 * @holes: a bit for each half of another page: likewise
 */
struct gca_chunk_info {
	u32 chunk;
	u16 nr_free;
	u16 nr_released;
	u16 nr_holes;
	u16 longest;
	bool transit;
	bool small;
	bool withheld;
	u64 free[GCARENA_CHUNK_PAGES / 64];
	u64 released[GCARENA_CHUNK_PAGES / 64];
	u64 holes[GCA_HALF_WORDS];
};

/* The first chunk ever used at or after @chunk: true and @info filled, or
 * false.  Takes the lock for one chunk at a time.
 */
bool gca_core_next_chunk(struct gca_core *core, u32 chunk, struct gca_chunk_info *info);

/**
 * struct gca_reserve_info - the reserve and pressure, as debugfs sees them
 * @chunks: backed ahead of demand
 * @goal: idle chunks wanted now
 * @backoff_ns: until the goal may rise again; 0 if it may
 * @pressure: enum gcarena_pressure
 * @causes: GCARENA_PRESSURE_RECLAIM, ...
 */
struct gca_reserve_info {
	u32 chunks;
	u32 goal;
	u64 backoff_ns;
	u32 pressure;
	u32 causes;
};

void gca_core_reserve(struct gca_core *core, struct gca_reserve_info *info);

/* Entry @index of the class table, and how many objects a span of it holds (1
 * for large and manual); false past its end.  No lock needed.
 */
bool gca_core_class(struct gca_core *core, u32 index, struct gcarena_class *cls, u32 *capacity);

/* Walks every structure and checks every count.  0, or -EUCLEAN after one
 * message through gca_complain() for each thing found wrong.  Holds the lock
 * throughout: for tests and debug kernels.
 */
int gca_core_validate(struct gca_core *core);

#endif /* GCARENA_CORE_H */
