// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Spans: made, handed out, given back, settled, freed.
 *
 *	FREE -> TRANSIT -> HELD -> SWEEPING -> SWEPT -> SWEEPING -> FREE
 *	                     ^                   |
 *	                     +-------------------+
 *
 * and FREE -> TRANSIT -> MANUAL -> SWEEPING -> FREE.  TRANSIT and SWEEPING spans
 * belong to whoever put them there, who works on their rows and lines without
 * the lock; all other changes of state are made under it.
 *
 * Order: pages are backed, lines cleared, rows written, then the span is held;
 * rows are cleared before its pages are free.
 */
#include "core_internal.h"

/**
 * gca_span_now_current - a span of an older generation became one of this
 * @core: the arena, lock held
 * @record: its record
 */
void gca_span_now_current(struct gca_core *core, struct gca_record *record)
{
	GCA_ASSERT(record->generation != core->generation && core->sweep_left);
	record->generation = core->generation;
	core->sweep_left--;
}

static void fill_entry(struct gca_core *core, u32 page, const struct gca_record *record,
		       u16 flags, struct gcarena_span *span)
{
	span->page = page;
	span->npages = record->npages;
	span->span_class = record->span_class;
	span->flags = flags | gca_pages_use(core, page, record->npages);
	span->generation = record->generation;
}

/**
 * gca_span_hold - hand a span out
 * @core: the arena, lock held
 * @page: its first page
 * @flags: GCARENA_SPAN_NEEDS_ZERO; the others are found here
 * @span: the entry to fill
 */
void gca_span_hold(struct gca_core *core, u32 page, u16 flags, struct gcarena_span *span)
{
	struct gca_record *record = gca_record_at(core, page);
	const struct gca_class *cls = &core->classes[record->span_class];

	if (gca_class_manual(cls)) {
		record->state = GCARENA_STATE_MANUAL;
		core->counters.heap_manual += gca_page_bytes(record->npages);
	} else {
		record->state = GCARENA_STATE_HELD;
		core->counters.spans_held++;
	}
	record->generation = core->generation;
	gca_row_update(core, page);
	fill_entry(core, page, record, flags, span);
}

/**
 * gca_span_make - pages become a span, in transit
 * @core: the arena, lock held
 * @page: the first one, just taken
 * @npages: as taken
 * @span_class: its class
 */
void gca_span_make(struct gca_core *core, u32 page, u32 npages, u16 span_class)
{
	struct gca_record *record = gca_record_at(core, page);

	GCA_ASSERT(record->state == GCARENA_STATE_FREE);
	record->next = GCA_NONE;
	record->npages = npages;
	record->generation = core->generation;
	record->span_class = span_class;
	record->full = false;
	record->busy = false;
	record->state = GCARENA_STATE_TRANSIT;
	core->counters.spans_inuse++;
}

/**
 * gca_span_write - rows and lines of a new span
 * @core: the arena
 * @page: its first page; in transit, the caller's
 * @npages: its length
 * @span_class: its class
 */
void gca_span_write(struct gca_core *core, u32 page, u32 npages, u16 span_class)
{
	gca_lines_clear(core, 0, page, npages);
	gca_lines_clear(core, 1, page, npages);
	gca_rows_write(core, page, npages, span_class);
}

/* Pages of a span whose lines are gone through with the lock held: a few cache lines,
 * which cost less than dropping and taking it.
 */
#define LINES_LOCKED	2

/* All that makes backed pages a span that is held, for short ones: the lock is not dropped. */
static void make_held(struct gca_core *core, u32 page, u32 npages, u16 span_class,
		      struct gcarena_span *span)
{
	struct gca_record *record = gca_record_at(core, page);

	gca_span_make(core, page, npages, span_class);
	record->state = GCARENA_STATE_HELD;
	core->counters.spans_held++;
	gca_span_write(core, page, npages, span_class);
	fill_entry(core, page, record, 0, span);
}

/**
 * gca_span_fresh - make a span of fresh pages and hand it out
 * @core: the arena, lock held; dropped meanwhile
 * @span_class: its class
 * @npages: its length
 * @node: preferred, or GCA_NODE_ANY
 * @span: the entry to fill
 *
 * Return: 0, or 1 if memory had to be backed for it; -ENOMEM (limit, space or
 * memory), or another errno of the host.
 */
int gca_span_fresh(struct gca_core *core, u16 span_class, u32 npages, int node,
		   struct gcarena_span *span)
{
	u64 limit = core->policy.limit_bytes;
	u64 bytes = gca_page_bytes(npages);
	int err, backed;
	u32 page;

	if (limit && core->counters.heap_inuse + core->claimed_bytes + bytes > limit)
		return -ENOMEM;
	/* Taking may drop the lock before the pages count as in use. */
	core->claimed_bytes += bytes;
	err = gca_pages_take(core, npages, node, &page);
	core->claimed_bytes -= bytes;
	if (err)
		return err;

	gca_span_make(core, page, npages, span_class);
	backed = gca_pages_back(core, page, npages, node);
	if (backed < 0) {
		gca_record_at(core, page)->state = GCARENA_STATE_FREE;
		core->counters.spans_inuse--;
		gca_pages_undo(core, page, npages);
		return backed;
	}
	if (npages <= LINES_LOCKED) {
		gca_span_write(core, page, npages, span_class);
	} else {
		gca_unlock(&core->lock);
		gca_span_write(core, page, npages, span_class);
		gca_lock(&core->lock);
	}
	gca_span_hold(core, page, 0, span);
	return backed;
}

/**
 * gca_span_afford - how many spans of fresh pages the limit has room for
 * @core: the arena, lock held
 * @npages: of one
 * @nr: how many are wanted
 *
 * Return: @nr or fewer.
 */
u32 gca_span_afford(const struct gca_core *core, u32 npages, u32 nr)
{
	u64 limit = core->policy.limit_bytes;
	u64 inuse = core->counters.heap_inuse + core->claimed_bytes;
	u64 left = limit - min(limit, inuse);

	return limit ? min_t(u64, nr, left / gca_page_bytes(npages)) : nr;
}

/**
 * gca_span_more - what gca_span_fresh() would make next, if that is cheap
 * @core: the arena, lock held
 * @spans: [0] the span that it has made; the others are filled
 * @nr: how many more at most
 *
 * Return: how many more; 0 also of spans that are long, or at the limit.
 */
u32 gca_span_more(struct gca_core *core, struct gcarena_span *spans, u32 nr)
{
	u32 npages = spans->npages;
	u16 span_class = spans->span_class;
	u32 pages[GCA_STOCK_MAX];
	u32 done;

	if (!nr || npages > LINES_LOCKED || core->classes[span_class].flags)
		return 0;
	nr = gca_span_afford(core, npages, min(nr, GCA_STOCK_MAX));
	nr = gca_pages_take_more(core, spans->page, npages, pages, nr);
	for (done = 0; done < nr; done++)
		make_held(core, pages[done], npages, span_class, &spans[done + 1]);
	return nr;
}

/* The span's objects.  Without any its rows go, unless it is @wanted as it is. */
static u32 settle_lines(struct gca_core *core, u32 page, u32 generation, bool sticky,
			bool wanted)
{
	const struct gca_record *record = gca_record_at(core, page);
	u32 objects = gca_lines_count(core, generation & 1, page, record->npages,
				      &core->classes[record->span_class]);

	if (!objects && !wanted)
		gca_rows_clear(core, page, record->npages);
	else if (record->generation == generation)
		return objects;
	else if (sticky && objects)
		gca_lines_copy(core, generation & 1, page, record->npages);
	else
		gca_lines_clear(core, !(generation & 1), page, record->npages);
	return objects;
}

/**
 * gca_span_settle - decide from its alloc bits what becomes of a span
 * @core: the arena, lock held; dropped meanwhile
 * @page: its first page; the caller owns the span, which is SWEEPING
 * @wanted: somebody is about to take a span of its class: an empty one is as good, if
 *	it has no holes
 *
 * A span of an older generation is swept: the other bitmap's lines become the
 * next cycle's mark lines and are cleared, or after a sticky start become what is
 * alive.  One given back in its own
 * generation keeps them, for marking may be going on.
 *
 * Return: true if it was freed.
 */
bool gca_span_settle(struct gca_core *core, u32 page, bool wanted) __must_hold(&core->lock)
{
	struct gca_record *record = gca_record_at(core, page);
	const struct gca_class *cls = &core->classes[record->span_class];
	u32 npages = record->npages;
	u32 generation, objects;
	bool sticky, goes;

	GCA_ASSERT(record->state == GCARENA_STATE_SWEEPING);
	wanted = wanted && !gca_span_holed(core, page);
	do {
		/* A sweep may start meanwhile, of which this span is then part. */
		generation = core->generation;
		sticky = core->sticky;
		if (npages <= LINES_LOCKED) {
			objects = settle_lines(core, page, generation, sticky, wanted);
		} else {
			gca_pages_put_end(core);
			gca_unlock(&core->lock);
			objects = settle_lines(core, page, generation, sticky, wanted);
			gca_lock(&core->lock);
		}
		goes = !objects && !wanted;
	} while (!goes && generation != core->generation);

	if (!gca_class_manual(cls) && record->generation != core->generation) {
		gca_span_now_current(core, record);
		core->counters.swept_spans++;
		if (goes)
			core->counters.swept_freed++;
	}
	core->nr_sweeping--;
	if (!goes) {
		record->state = GCARENA_STATE_SWEPT;
		gca_central_push(core, page, objects >= cls->capacity);
		gca_row_update(core, page);
		gca_transit_changed(core);
	} else {
		record->state = GCARENA_STATE_FREE;
		core->counters.spans_inuse--;
		gca_pages_put(core, page, npages);
	}
	gca_sweep_check_done(core);
	return goes;
}

/**
 * gca_span_sweep_hold - sweep a span of a class that a refill wants, and hand it out
 * @core: the arena, lock held; dropped meanwhile
 * @span_class: of which class
 * @span: the entry to fill
 *
 * Long ones, large ones and those with holes are only swept.
 *
 * Return: enum gca_took.
 */
enum gca_took gca_span_sweep_hold(struct gca_core *core, u16 span_class,
				  struct gcarena_span *span)
{
	const struct gca_class *cls = &core->classes[span_class];
	u32 page = gca_central_pop_unswept(core, span_class);
	struct gca_record *record;
	u32 objects;

	if (page == GCA_NONE)
		return GCA_TOOK_NONE;
	record = gca_record_at(core, page);
	if (cls->flags || record->npages > LINES_LOCKED ||
	    (core->counters.heap_holes && gca_span_holed(core, page))) {
		record->state = GCARENA_STATE_SWEEPING;
		core->nr_sweeping++;
		gca_span_settle(core, page, !gca_class_large(cls));
		return GCA_TOOK_SWEPT;
	}
	objects = settle_lines(core, page, core->generation, core->sticky, true);
	gca_span_now_current(core, record);
	core->counters.swept_spans++;
	if (objects >= cls->capacity) {
		gca_central_push(core, page, true);
		gca_row_update(core, page);
	} else {
		gca_span_hold(core, page, GCARENA_SPAN_NEEDS_ZERO, span);
	}
	gca_sweep_check_done(core);
	return objects >= cls->capacity ? GCA_TOOK_SWEPT : GCA_TOOK_SPAN;
}

/*
 * What gca_span_settle() does of a short span given back in its own generation with
 * objects in it, which most are; or nothing, and false.
 */
static bool give_back_used(struct gca_core *core, u32 page, struct gca_record *record)
{
	const struct gca_class *cls = &core->classes[record->span_class];
	u32 objects;

	if (record->generation != core->generation || record->npages > LINES_LOCKED)
		return false;
	objects = gca_lines_count(core, core->generation & 1, page, record->npages, cls);
	if (!objects)
		return false;
	record->state = GCARENA_STATE_SWEPT;
	gca_central_push(core, page, objects >= cls->capacity);
	gca_row_update(core, page);
	gca_transit_changed(core);
	return true;
}

#define SPAN_FLAGS	(GCARENA_SPAN_NEEDS_ZERO | GCARENA_SPAN_SMALL | GCARENA_SPAN_KEEP)

/**
 * gca_span_give_back - the owner returns or keeps a span
 * @core: the arena, lock held; dropped meanwhile
 * @span: what the owner says; flags that only refill sets are ignored
 *
 * Return: 0, or -EINVAL unless it names a span that the owner holds exactly.
 */
int gca_span_give_back(struct gca_core *core, const struct gcarena_span *span)
{
	struct gca_record *record = gca_record_at(core, span->page);
	bool keep = span->flags & GCARENA_SPAN_KEEP;
	u8 state;

	if (!record || span->flags & ~SPAN_FLAGS)
		return -EINVAL;
	/* A slot may just be handing it out; pairs with the release there. */
	state = smp_load_acquire(&record->state);
	if (state != GCARENA_STATE_HELD && (state != GCARENA_STATE_MANUAL || keep))
		return -EINVAL;
	if (record->npages != span->npages || record->span_class != span->span_class ||
	    record->generation != span->generation)
		return -EINVAL;

	if (keep) {
		if (record->generation != core->generation) {
			gca_span_now_current(core, record);
			gca_row_update(core, span->page);
			gca_sweep_check_done(core);
		}
		return 0;
	}

	core->counters.returned_spans++;
	if (record->state == GCARENA_STATE_MANUAL) {
		core->nr_sweeping++;
		core->counters.heap_manual -= gca_page_bytes(record->npages);
		record->state = GCARENA_STATE_SWEEPING;
		gca_span_settle(core, span->page, false);
		return 0;
	}
	/* Slots may have handed out some that are not counted yet. */
	if (!core->counters.spans_held)
		gca_slots_fold(core);
	core->counters.spans_held--;
	if (give_back_used(core, span->page, record))
		return 0;
	core->nr_sweeping++;
	core->nr_returning++;
	record->state = GCARENA_STATE_SWEEPING;
	gca_span_settle(core, span->page, false);
	core->nr_returning--;
	return 0;
}
