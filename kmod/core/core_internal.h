/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The span core's own structures, and what its files call of each other.
 *
 * Nothing outside core/ includes this, but its tests.  Everything here is
 * under gca_core.lock unless it says otherwise.  A span or a chunk that an
 * operation works on without the lock is first taken out of reach: a span by
 * the states TRANSIT and SWEEPING, a chunk by its transit flag, which keeps it
 * out of every index.  Whoever set that is its only owner until it is undone.
 */
#ifndef GCARENA_CORE_INTERNAL_H
#define GCARENA_CORE_INTERNAL_H

#include "core.h"
#include "bits.h"

#define GCA_PERCENT	100

#define GCA_NONE	U32_MAX		/* no page, no chunk, end of a list */

/* Chunk descriptors hang in two levels: 1 GiB of address space a leaf. */
#define GCA_LEAF_SHIFT	9
#define GCA_LEAF_CHUNKS	512U

/*
 * Partly used chunks are indexed by floor(log2(longest free run)), at most
 * log2(255), and by the number of free pages, 1 to 255.
 */
#define GCA_ORDERS	8

/*
 * Spans that a refill sweeps for each span it wants before it takes fresh pages
 * instead: so many of its class, then so many of any.  Bounds a refill's latency
 * (each is about the work of preparing one fresh span of a few pages, and less where
 * nothing is free) and what
 * a heap grows by beside unswept garbage: one fresh span for so many swept.
 */
#define GCA_REFILL_SWEEP_OWN	64
#define GCA_REFILL_SWEEP	16

/* Spans in one piece of the worker's work: some 10 us without the lock. */
#define GCA_WORK_SPANS	64

/*
 * Chunks looked at in one bucket for a length that is not a power of two, of
 * which the bucket says only that it may fit.
 */
#define GCA_BUCKET_SCAN	16

/*
 * Chunks, and spans of a central list, looked at for one of a node.  Each look is a
 * cache miss at most, under the lock, and so less than what a few accesses to another
 * node's memory cost.
 */
#define GCA_NODE_CHUNKS		32
#define GCA_NODE_SPANS		8

/*
 * Refills of a class from a slot, in the time since the tick before the last,
 * after which the next ones are expected: fewer are not worth a lock saved.
 */
#define GCA_STOCK_AFTER	4U

/*
 * Spans of one class that refills took between two flips, from which on the next
 * cycle's are left to them: the worker comes back to those in its share of the CPU.
 * Handing a span out that the refill has swept costs half of freeing it and making
 * another.
 */
#define GCA_SWEEP_LEAVE	64U

/* Ready spans of one class in a slot at most: the largest usual batch. */
#define GCA_STOCK_MAX	64U

/* Ready spans of all classes in a slot at most; 56 bytes each. */
#define GCA_SLOT_SPANS	128U

/* Refills after reclaim had the slots drained, in which none is stocked. */
#define GCA_STOCK_REST	64U

/*
 * Ready spans of all slots together: a small share of what is in use, however
 * many slots there are, but as much as one slot may have in a small heap.
 */
#define GCA_READY_SHARE		32
#define GCA_READY_BYTES_MIN	0x100000UL

/*
 * Withheld chunks looked at before fresh memory is taken into use, at a flip, and
 * before a refill fails or memory is given back.  Looking costs about 100 ns, under
 * the lock.
 */
#define GCA_WITHHELD_SOME	16
#define GCA_WITHHELD_MANY	1024

/*
 * Spans of a list looked at for one without holes.  Each look is two cache misses, under
 * the lock; what has none found is a refill that fills holes, or takes fresh pages.
 */
#define GCA_WHOLE_SPANS	64

/*
 * A chunk is broken by "scavenge N bytes" only where at least so many pages
 * go.  Breaking costs as much as giving back a whole chunk and the survivors'
 * refaults as much again, so that less than a quarter is not worth it.
 */
#define GCA_BREAK_PAGES	(GCARENA_CHUNK_PAGES / 4)

/**
 * struct gca_record - what the core knows of a span, by its first page
 * @next: in the list that holds it, its next span's first page, or GCA_NONE
 * @npages: length
 * @generation: at which it was last swept or handed out
 * @span_class: index in the class table
 * @state: enum gcarena_state; FREE in the records of all pages that are not
 *	a span's first, and never UNSWEPT, which is SWEPT of an older generation
 * @full: in a full list, else in a partial list (SWEPT only)
 * @busy: a part of it is being released: it stays in its list, and is not taken
 *	(SWEPT only)
 *
 * @state goes from READY to HELD under a slot's lock; see ready.c.  The rows that
 * the owner reads are written from it and never read back.
 */
struct gca_record {
	u32 next;
	u32 npages;
	u32 generation;
	u16 span_class;
	u8 state;
	u8 full : 1;
	u8 busy : 1;
};

static_assert(GCA_LEAF_CHUNKS == 1 << GCA_LEAF_SHIFT);
static_assert(sizeof(struct gca_record) * GCARENA_CHUNK_PAGES == 4096);

/* Which index a chunk stands in.  EMPTY is also what a chunk never used is. */
enum gca_place {
	GCA_PLACE_NONE,		/* full, in transit, or withheld */
	GCA_PLACE_BUCKET,	/* partly used */
	GCA_PLACE_IDLE,		/* wholly free, some of it backed */
	GCA_PLACE_EMPTY		/* wholly free, nothing backed */
};

/**
 * struct gca_chunk - descriptor of 2 MiB taken into use
 * @link: in its bucket, in gca_reserve.list, or in gca_core.withheld
 * @free: pages of no span
 * @dirty: pages that were handed out and not released since
 * @released: pages not backed; all of them free, but while in transit
 * @holes: halves of other pages that are not backed: of spans in central lists and,
 *	since these were freed, of free pages
 * @records: one for each page
 * @index: of the chunk in the arena
 * @nr_free: bits of @free
 * @nr_released: bits of @released
 * @nr_holes: bits of @holes
 * @longest: longest run in @free; valid while in a bucket
 * @order: floor(log2(@longest)); valid while in a bucket
 * @place: enum gca_place
 * @patience: it is not named for collapse before 2 to the power of so many cycles
 * @transit: an operation without the lock owns its backing
 * @small: backed, but not (all) by a huge page
 * @node: of its memory, as of when it was backed; GCA_NODE_ANY before
 * @broken_at: the generation in which it was last broken, or could not be collapsed
 * @reserved: backed ahead of demand and not taken since: wholly free, clean
 * @withheld: what was to be released of it is in somebody's hands: no page of it is
 *	given out
 */
struct gca_chunk {
	struct hlist_node link;
	u64 free[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 dirty[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 released[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 holes[GCA_HALF_WORDS];
	struct gca_record *records;
	u32 index;
	u16 nr_free;
	u16 nr_released;
	u16 nr_holes;
	u16 longest;
	u8 order;
	u8 place;
	u8 patience;
	bool transit;
	bool small;
	bool reserved;
	bool withheld;
	int node;
	u32 broken_at;
};

/**
 * struct gca_reserve - chunks backed ahead of demand (reserve.c)
 * @list: those of them that are idle
 * @nr: all of them, those in transit too
 * @goal: idle chunks to have ready; follows demand, at most the policy's
 * @taken: wholly free chunks that refills took since @tick was set
 * @tick: when @goal is next looked at, if it is not 0
 * @retry: when it may be raised again after a back-off
 * @backoff: length of the last one, 0 after a success
 * @node: that the refill preferred which last took a wholly free chunk
 * @backing: the worker is backing one
 */
struct gca_reserve {
	struct hlist_head list;
	u32 nr;
	u32 goal;
	u32 taken;
	u64 tick;
	u64 retry;
	u64 backoff;
	int node;
	bool backing;
};

/**
 * struct gca_pressure - episodes of pressure (pressure.c)
 * @causes: going on: GCARENA_PRESSURE_RECLAIM, ...
 * @sequence: gca_core.sequence at the last event
 * @high: bytes in use at which an episode begins
 * @max: likewise
 * @low: at which both end
 */
struct gca_pressure {
	u32 causes;
	u64 sequence;
	u64 high;
	u64 max;
	u64 low;
};

/**
 * struct gca_class - a span class, and the central lists of its spans
 * @elem_size: bytes, 0 for large and manual
 * @capacity: objects in a span, 1 for large
 * @npages: 0 for large and manual
 * @flags: GCARENA_CLASS_*
 * @partial: heads of stacks of spans with room, [generation & 1] swept
 * @full: the same for spans without
 * @taken: spans that refills took since the flip
 * @taken_before: between the last two flips
 */
struct gca_class {
	u32 elem_size;
	u32 capacity;
	u16 npages;
	u16 flags;
	u32 partial[2];
	u32 full[2];
	u32 taken;
	u32 taken_before;
};

/**
 * struct gca_ready - a span in a slot
 * @span: as it will be handed out
 * @record: the span's
 * @word1: of its row
 * @held: what @word1 becomes when it is handed out
 * @next: entry of the same class, or unused one, or NULL
 * @fresh: of pages that nobody had since they were taken: no object in it
 */
struct gca_ready {
	struct gcarena_span span;
	struct gca_record *record;
	u64 *word1;
	u64 held;
	struct gca_ready *next;
	bool fresh;
};

/**
 * struct gca_slot_class - a class in a slot
 * @head: its ready spans
 * @nr: how many
 * @demand: spans wanted lately, at each tick halved
 * @refills: since the last tick
 * @refills_before: between the last two
 */
struct gca_slot_class {
	struct gca_ready *head;
	u32 nr;
	u32 demand;
	u32 refills;
	u32 refills_before;
};

/**
 * struct gca_slot - a cache of ready spans
 * @lock: protects all of it; inside the core lock, or alone
 * @closed: not to be taken from; changed under both locks
 * @nr: entries of @ready that have a span
 * @unused: those that have none
 * @bytes: in their spans
 * @taken: spans handed out since the last fold
 * @taken_bytes: in those
 * @hits: refills without the core lock since the last fold
 * @node: that the last refill preferred which went the long way
 * @ready: the entries
 * @classes: by class, as many as the core has
 */
struct gca_slot {
	gca_lock_t lock;
	bool closed;
	u32 nr;
	struct gca_ready *unused;
	u64 bytes;
	u64 taken;
	u64 taken_bytes;
	u64 hits;
	int node;
	struct gca_ready ready[GCA_SLOT_SPANS];
	struct gca_slot_class classes[];
};

/**
 * struct gca_core - an arena's spans
 * @ops: the host
 * @host: its argument
 * @nr_pages: length of the heap
 * @nr_chunks: the same in chunks
 * @nr_classes: length of @classes
 * @classes: the class table; sizes and flags are fixed at creation
 * @leaves: chunk descriptors, GCA_LEAF_CHUNKS to a leaf; an entry once set
 *	stays until the core is destroyed
 * @lock: protects all that follows, and the chunks, records and lists
 * @map_idle: chunks in GCA_PLACE_IDLE
 * @map_empty: chunks in GCA_PLACE_EMPTY, or never used
 * @low_idle: no bit of @map_idle below
 * @low_empty: no bit of @map_empty below
 * @top_chunk: no chunk was ever used at or above
 * @bucket: partly used chunks by order and free pages - 1
 * @bucket_map: which buckets of an order are not empty
 * @class_map: which classes have spans in central lists, by their parity
 * @policy: as last set
 * @policy_node: its node, for readers without the lock
 * @reserve: chunks backed ahead of demand
 * @pressure: watermarks and episodes
 * @counters: all but those of gca_core_add_worker_time() follow the structures
 * @withheld: chunks withheld, to be looked at; [1] those that were
 * @putting: chunk that pages are being put into, which is in no place meanwhile
 * @put_later: see gca_pages_put_begin(); false whenever the lock is free
 * @claimed_bytes: about to be in use, counted against the limit
 * @sequence: events so far
 * @sweep_left: spans of an older generation, in any state
 * @nr_listed: spans in central lists
 * @nr_sweeping: spans in state SWEEPING, which may come free
 * @nr_returning: of those, what was of the generation then current and in no list
 * @nr_transit: chunks in transit, and claims of chunks being set up
 * @nr_waiters: calls inside transit_wait()
 * @generation: of sweeping; compare for equality only, it wraps
 * @transit_sequence: changes when something in transit or swept may have come
 *	free; hosts read it without the lock
 * @status_update: last value of the status page's update
 * @next_look: chunk at which looking for some to collapse goes on
 * @sweeping: from the start of a sweep to its completion
 * @sticky: this generation's sweep copies alloc lines to the mark lines
 * @worker_awake: woken, and has not said idle since
 * @slots: caches of ready spans, NULL until used; an entry once set stays
 * @nr_slots: how many there may be; fixed before the first use
 * @slot_bytes: of ready spans in one slot at most; likewise
 * @stock_rest: refills still to come that stock no slot
 * @stock_next: slot that the worker stocks next
 * @stocked: the host was told that slots are stocked, and not since that none is
 */
struct gca_core {
	const struct gca_host_ops *ops;
	void *host;
	u32 nr_pages;
	u32 nr_chunks;
	u32 nr_classes;
	struct gca_class *classes;
	struct gca_chunk ***leaves;

	gca_lock_t lock;
	u64 *map_idle;
	u64 *map_empty;
	u32 low_idle;
	u32 low_empty;
	u32 top_chunk;
	struct hlist_head bucket[GCA_ORDERS][GCARENA_CHUNK_PAGES];
	u64 bucket_map[GCA_ORDERS][GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 *class_map[2];
	struct gcarena_policy policy;
	u32 policy_node;
	struct gca_reserve reserve;
	struct gca_pressure pressure;
	struct gcarena_counters counters;
	struct hlist_head withheld[2];
	u64 claimed_bytes;
	u64 sequence;
	u64 sweep_left;
	u64 nr_listed;
	u32 nr_sweeping;
	u32 nr_returning;
	u32 nr_transit;
	u32 nr_waiters;
	u32 generation;
	u32 transit_sequence;
	u32 status_update;
	u32 next_look;
	bool sweeping;
	bool sticky;
	bool worker_awake;
	bool put_later;
	struct gca_chunk *putting;

	struct gca_slot **slots;
	u32 nr_slots;
	u64 slot_bytes;
	u32 stock_rest;
	u32 stock_next;
	bool stocked;
};

static inline u32 gca_page_chunk(u32 page)
{
	return page / GCARENA_CHUNK_PAGES;
}

static inline u32 gca_page_in_chunk(u32 page)
{
	return page % GCARENA_CHUNK_PAGES;
}

static inline u64 gca_page_bytes(u64 npages)
{
	return npages << GCARENA_PAGE_SHIFT;
}

static inline u64 gca_half_bytes(u64 nr)
{
	return nr << GCA_HALF_SHIFT;
}

/* What the core believes to have memory. */
static inline u64 gca_backed_bytes(const struct gca_core *core)
{
	return core->counters.heap_sys - core->counters.heap_released - core->counters.heap_holes;
}

/* Halves without backing of pages [@from, @from + @npages) of a chunk that are not released. */
static inline u32 gca_chunk_holes(const struct gca_chunk *chunk, u32 from, u32 npages)
{
	return chunk->nr_holes ? gca_map_count(chunk->holes, 2 * from, 2 * npages) : 0;
}

static inline bool gca_class_large(const struct gca_class *cls)
{
	return cls->flags & GCARENA_CLASS_LARGE;
}

static inline bool gca_class_manual(const struct gca_class *cls)
{
	return cls->flags & GCARENA_CLASS_MANUAL;
}

/**
 * gca_chunk_at - the descriptor of a chunk
 * @core: the arena
 * @index: of the chunk, any value
 *
 * Return: NULL for a chunk never used.
 */
static inline struct gca_chunk *gca_chunk_at(struct gca_core *core, u32 index)
{
	struct gca_chunk **leaf;

	if (index >= core->nr_chunks)
		return NULL;
	/* It may be a user's. */
	index = gca_nospec(index, core->nr_chunks);
	leaf = core->leaves[index >> GCA_LEAF_SHIFT];
	return leaf ? leaf[index % GCA_LEAF_CHUNKS] : NULL;
}

/**
 * gca_record_at - the record of a page
 * @core: the arena
 * @page: any value
 *
 * Return: NULL for a page of a chunk never used.
 */
static inline struct gca_record *gca_record_at(struct gca_core *core, u32 page)
{
	struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page));

	return chunk ? &chunk->records[gca_page_in_chunk(page)] : NULL;
}

/* The second word of a row: what its owner may know of a span's state. */
static inline u64 gca_row_word1(const struct gca_record *record)
{
	return (u64)record->state << GCARENA_ROW_STATE_SHIFT |
	       (u64)record->npages << GCARENA_ROW_NPAGES_SHIFT |
	       (u64)record->generation << GCARENA_ROW_GENERATION_SHIFT;
}

/**
 * gca_row_update - publish a span's state and generation
 * @core: the arena
 * @page: its first page; the caller holds the lock
 *
 * Not done for TRANSIT and SWEEPING, which nobody else may act on.
 */
static inline void gca_row_update(struct gca_core *core, u32 page)
{
	WRITE_ONCE(gca_host_row(core->host, page)->word1,
		   gca_row_word1(gca_record_at(core, page)));
}

/* chunk.c: descriptors, and which index they stand in */
int gca_chunk_create(struct gca_core *core, u32 index) __must_hold(&core->lock);
void gca_chunk_place(struct gca_core *core, struct gca_chunk *chunk);
void gca_chunk_unplace(struct gca_core *core, struct gca_chunk *chunk);
void gca_chunk_begin_transit(struct gca_core *core, struct gca_chunk *chunk);
void gca_chunk_isolate(struct gca_core *core, struct gca_chunk *chunk);
void gca_chunk_end_transit(struct gca_core *core, struct gca_chunk *chunk);
void gca_chunk_withhold(struct gca_core *core, struct gca_chunk *chunk, bool withhold);
bool gca_withheld_check(struct gca_core *core, u32 nr);
u32 gca_idle_lowest(struct gca_core *core);
u32 gca_idle_highest(struct gca_core *core, u32 below);
u32 gca_empty_lowest(struct gca_core *core);
void gca_chunks_free(struct gca_core *core);

/* pageheap.c: which pages a span gets, and their backing */
int gca_pages_take(struct gca_core *core, u32 npages, int node, u32 *page)
	__must_hold(&core->lock);
int gca_pages_back(struct gca_core *core, u32 page, u32 npages, int node)
	__must_hold(&core->lock);
int gca_chunk_fill(struct gca_core *core, struct gca_chunk *chunk, u32 from, u32 npages,
		   int node) __must_hold(&core->lock);
void gca_pages_put(struct gca_core *core, u32 page, u32 npages);
void gca_pages_put_begin(struct gca_core *core);
void gca_pages_put_end(struct gca_core *core);
u32 gca_pages_take_more(struct gca_core *core, u32 last, u32 npages, u32 *pages, u32 nr);
void gca_pages_undo(struct gca_core *core, u32 page, u32 npages) __must_hold(&core->lock);
u16 gca_pages_use(struct gca_core *core, u32 page, u32 npages);
void gca_chunk_backed(struct gca_core *core, struct gca_chunk *chunk, bool small, int node);
void gca_empty_unclaim(struct gca_core *core, u32 index);
void gca_pages_unuse(struct gca_core *core, u32 page, u32 npages);
u32 gca_pages_take_backed(struct gca_core *core, u32 npages, int node);
void gca_transit_changed(struct gca_core *core);
int gca_transit_wait(struct gca_core *core) __must_hold(&core->lock);

/* What gca_span_sweep_hold() did. */
enum gca_took {
	GCA_TOOK_NONE,		/* nothing is left to sweep */
	GCA_TOOK_SWEPT,		/* swept one, which may be in the central list */
	GCA_TOOK_SPAN		/* swept one and handed it out */
};

/* span.c: making, settling and freeing spans */
int gca_span_fresh(struct gca_core *core, u16 span_class, u32 npages, int node,
		   struct gcarena_span *span) __must_hold(&core->lock);
u32 gca_span_afford(const struct gca_core *core, u32 npages, u32 nr);
u32 gca_span_more(struct gca_core *core, struct gcarena_span *spans, u32 nr);
void gca_span_make(struct gca_core *core, u32 page, u32 npages, u16 span_class);
void gca_span_write(struct gca_core *core, u32 page, u32 npages, u16 span_class);
void gca_span_hold(struct gca_core *core, u32 page, u16 flags, struct gcarena_span *span);
int gca_span_give_back(struct gca_core *core, const struct gcarena_span *span)
	__must_hold(&core->lock);
bool gca_span_settle(struct gca_core *core, u32 page, bool wanted) __must_hold(&core->lock);
void gca_span_now_current(struct gca_core *core, struct gca_record *record);

/* rows.c: rows of the span table, lines of the bitmaps */
void gca_rows_write(struct gca_core *core, u32 page, u32 npages, u16 span_class);
void gca_rows_clear(struct gca_core *core, u32 page, u32 npages);
void gca_lines_clear(struct gca_core *core, unsigned int which, u32 page, u32 npages);
void gca_lines_copy(struct gca_core *core, unsigned int from, u32 page, u32 npages);
u32 gca_lines_count(struct gca_core *core, unsigned int which, u32 page, u32 npages,
		    const struct gca_class *cls);

/* central.c: lists of swept and unswept spans by class */
void gca_central_push(struct gca_core *core, u32 page, bool full);
u32 gca_central_pop_partial(struct gca_core *core, u16 span_class, int node, bool whole);
u32 gca_central_pop_unswept(struct gca_core *core, u16 span_class);
u32 gca_central_unswept_class(struct gca_core *core, u32 from);

/* sweep.c */
bool gca_sweep_one(struct gca_core *core, u16 span_class, bool wanted) __must_hold(&core->lock);
u32 gca_sweep_idle(struct gca_core *core, u32 nr, bool wanted) __must_hold(&core->lock);
u32 gca_sweep_some(struct gca_core *core, u32 nr) __must_hold(&core->lock);
enum gca_took gca_span_sweep_hold(struct gca_core *core, u16 span_class,
				  struct gcarena_span *span) __must_hold(&core->lock);
void gca_sweep_check_done(struct gca_core *core);

/* holes.c: base pages inside spans that were given back */
bool gca_span_holed(struct gca_core *core, u32 page);
int gca_span_fill(struct gca_core *core, u32 page, int node) __must_hold(&core->lock);
bool gca_holes_begin(struct gca_core *core, struct gca_chunk *chunk, u64 *spans);
void gca_holes_find(struct gca_core *core, const struct gca_chunk *chunk, const u64 *spans,
		    u32 generation, u64 *halves);
void gca_holes_end(struct gca_core *core, struct gca_chunk *chunk, const u64 *spans);
void gca_holes_set(struct gca_core *core, struct gca_chunk *chunk, const u64 *halves);
void gca_holes_clear(struct gca_core *core, struct gca_chunk *chunk, const u64 *halves);

/* scavenge.c */
void gca_scavenge_wake(struct gca_core *core);
bool gca_scavenge_retain(struct gca_core *core) __must_hold(&core->lock);
void gca_scavenge_clean(struct gca_core *core, u32 index) __must_hold(&core->lock);
bool gca_scavenge_reserve(struct gca_core *core) __must_hold(&core->lock);

/* reserve.c: how much is backed ahead of demand, and when */
void gca_reserve_take(struct gca_core *core, struct gca_chunk *chunk, int node);
void gca_reserve_forget(struct gca_core *core, struct gca_chunk *chunk);
bool gca_reserve_step(struct gca_core *core) __must_hold(&core->lock);
void gca_reserve_yield(struct gca_core *core);
void gca_reserve_policy(struct gca_core *core);
bool gca_reserve_surplus(struct gca_core *core);

/* pressure.c */
void gca_pressure_policy(struct gca_core *core);
bool gca_pressure_check(struct gca_core *core);
u32 gca_pressure_level(const struct gca_core *core);

/* collapse.c */
void gca_collapse_broken(struct gca_core *core, struct gca_chunk *chunk);
void gca_collapse_name(struct gca_core *core);

/* ready.c: slots of ready spans */
void gca_slots_free(struct gca_core *core);
void gca_slot_prepare(struct gca_core *core, u32 index);
u32 gca_slot_take(struct gca_core *core, u32 index, u16 span_class, u32 nr, int node,
		  struct gcarena_span *spans);
void gca_slot_stock(struct gca_core *core, u32 index, u16 span_class) __must_hold(&core->lock);
bool gca_slots_stock_ahead(struct gca_core *core) __must_hold(&core->lock);
u64 gca_slots_drain(struct gca_core *core);
void gca_slots_fold(struct gca_core *core);

/* core.c */
int gca_core_node(struct gca_core *core, u32 chunk);
void gca_worker_wake(struct gca_core *core);
void gca_publish(struct gca_core *core);

#endif /* GCARENA_CORE_INTERNAL_H */
