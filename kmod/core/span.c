// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Spans: made, handed out, given back, settled, freed; their rows and lines.
 *
 *	FREE -> TRANSIT -> HELD -> SWEEPING -> SWEPT -> SWEEPING -> FREE
 *	                     ^                   |
 *	                     +-------------------+
 *
 * and FREE -> TRANSIT -> MANUAL -> SWEEPING -> FREE.  TRANSIT and SWEEPING spans
 * belong to whoever put them there, who works on their rows and lines without
 * the lock; all other changes of state are made under it.
 *
 * Order: lines are cleared, then rows written (word1 before word0, which is a
 * release), then the span is held; rows are cleared before its pages are free.
 * Lines are the owner's to scribble on: each word is read once and the outcome
 * is only ever "how many bits", so that a lie moves a span from one list to
 * another or frees what its owner said was empty, and no more.
 */
#include "core_internal.h"

static u64 row_word1(const struct gca_record *record)
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
void gca_row_update(struct gca_core *core, u32 page)
{
	WRITE_ONCE(gca_host_row(core->host, page)->word1,
		   row_word1(gca_record_at(core, page)));
}

/**
 * gca_rows_write - publish a span, but its state
 * @core: the arena
 * @page: its first page; the caller owns the span
 * @npages: its length
 * @span_class: its class
 */
void gca_rows_write(struct gca_core *core, u32 page, u32 npages, u16 span_class)
{
	bool large = core->classes[span_class].flags & GCARENA_CLASS_FLAGS;
	u64 word0 = (u64)span_class << GCARENA_ROW_CLASS_SHIFT | GCARENA_ROW_IN_USE;
	u32 i;

	if (large)
		word0 |= GCARENA_ROW_LARGE;
	for (i = 0; i < npages; i++) {
		struct gcarena_row *row = gca_host_row(core->host, page + i);
		u64 offset = min_t(u32, i, GCARENA_ROW_OFFSET_ESCAPE);

		if (i)
			WRITE_ONCE(row->word1, large ? page : 0);
		else
			WRITE_ONCE(row->word1, row_word1(gca_record_at(core, page)));
		smp_store_release(&row->word0, word0 | offset << GCARENA_ROW_OFFSET_SHIFT);
	}
}

/**
 * gca_rows_clear - a span's pages are of no span any more
 * @core: the arena
 * @page: its first page; the caller owns the span
 * @npages: its length
 */
void gca_rows_clear(struct gca_core *core, u32 page, u32 npages)
{
	u32 i;

	for (i = 0; i < npages; i++)
		WRITE_ONCE(gca_host_row(core->host, page + i)->word0, 0);
}

/**
 * gca_lines_clear - clear a span's lines of one bitmap
 * @core: the arena
 * @which: of the two bitmaps
 * @page: its first page; the caller owns the span
 * @npages: its length
 */
void gca_lines_clear(struct gca_core *core, unsigned int which, u32 page, u32 npages)
{
	u32 i, k;

	for (i = 0; i < npages; i++) {
		u64 *line = gca_host_line(core->host, which, page + i);

		for (k = 0; k < GCARENA_LINE_WORDS; k++)
			WRITE_ONCE(line[k], 0);
	}
}

/**
 * gca_lines_count - how many objects a span's lines name
 * @core: the arena
 * @which: of the two bitmaps
 * @page: its first page
 * @npages: its length
 * @cls: its class
 *
 * Return: bits set; for large spans, whose one bit is the first, 0 or 1; for
 * manual ones 0.
 */
u32 gca_lines_count(struct gca_core *core, unsigned int which, u32 page, u32 npages,
		    const struct gca_class *cls)
{
	u32 count = 0;
	u32 i, k;

	if (gca_class_manual(cls))
		return 0;
	if (cls->flags & GCARENA_CLASS_LARGE)
		return READ_ONCE(*gca_host_line(core->host, which, page)) & 1;
	for (i = 0; i < npages; i++) {
		u64 *line = gca_host_line(core->host, which, page + i);

		for (k = 0; k < GCARENA_LINE_WORDS; k++)
			count += hweight64(READ_ONCE(line[k]));
	}
	return count;
}

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

	span->page = page;
	span->npages = record->npages;
	span->span_class = record->span_class;
	span->flags = flags | gca_pages_use(core, page, record->npages);
	span->generation = record->generation;
}

/**
 * gca_span_fresh - make a span of fresh pages and hand it out
 * @core: the arena, lock held; dropped meanwhile
 * @span_class: its class
 * @npages: its length
 * @span: the entry to fill
 *
 * Return: 0, -ENOMEM (limit, space or memory), or another errno of the host.
 */
int gca_span_fresh(struct gca_core *core, u16 span_class, u32 npages,
		   struct gcarena_span *span)
{
	u64 limit = core->policy.limit_bytes;
	struct gca_record *record;
	u32 page;
	int err;

	if (limit && (core->counters.heap_inuse > limit ||
		      gca_page_bytes(npages) > limit - core->counters.heap_inuse))
		return -ENOMEM;
	err = gca_pages_take(core, npages, &page);
	if (err)
		return err;

	record = gca_record_at(core, page);
	GCA_ASSERT(record->state == GCARENA_STATE_FREE);
	record->next = GCA_NONE;
	record->npages = npages;
	record->generation = core->generation;
	record->span_class = span_class;
	record->full = false;
	record->state = GCARENA_STATE_TRANSIT;
	core->counters.spans_inuse++;

	err = gca_pages_back(core, page, npages);
	if (err) {
		record->state = GCARENA_STATE_FREE;
		core->counters.spans_inuse--;
		return err;
	}
	gca_unlock(&core->lock);
	gca_lines_clear(core, 0, page, npages);
	gca_lines_clear(core, 1, page, npages);
	gca_rows_write(core, page, npages, span_class);
	gca_lock(&core->lock);
	gca_span_hold(core, page, 0, span);
	return 0;
}

/**
 * gca_span_settle - decide from its alloc bits what becomes of a span
 * @core: the arena, lock held; dropped meanwhile
 * @page: its first page; the caller owns the span, which is SWEEPING
 *
 * A span of an older generation is swept: the other bitmap's lines become the
 * next cycle's mark lines and are cleared.  One given back in its own
 * generation keeps them, for marking may be going on.
 *
 * Return: true if it was freed.
 */
bool gca_span_settle(struct gca_core *core, u32 page)
{
	struct gca_record *record = gca_record_at(core, page);
	const struct gca_class *cls = &core->classes[record->span_class];
	u32 npages = record->npages;
	u32 generation, objects;

	GCA_ASSERT(record->state == GCARENA_STATE_SWEEPING);
	do {
		/* A sweep may start meanwhile, of which this span is then part. */
		generation = core->generation;
		gca_unlock(&core->lock);
		objects = gca_lines_count(core, generation & 1, page, npages, cls);
		if (!objects)
			gca_rows_clear(core, page, npages);
		else if (record->generation != generation)
			gca_lines_clear(core, !(generation & 1), page, npages);
		gca_lock(&core->lock);
	} while (objects && generation != core->generation);

	if (!gca_class_manual(cls) && record->generation != core->generation) {
		gca_span_now_current(core, record);
		core->counters.swept_spans++;
		if (!objects)
			core->counters.swept_freed++;
	}
	core->nr_sweeping--;
	if (objects) {
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
	return !objects;
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

	if (!record || span->flags & ~SPAN_FLAGS)
		return -EINVAL;
	if (record->state != GCARENA_STATE_HELD &&
	    (record->state != GCARENA_STATE_MANUAL || keep))
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
	core->nr_sweeping++;
	if (record->state == GCARENA_STATE_MANUAL) {
		core->counters.heap_manual -= gca_page_bytes(record->npages);
		record->state = GCARENA_STATE_SWEEPING;
		gca_span_settle(core, span->page);
		return 0;
	}
	core->counters.spans_held--;
	core->nr_returning++;
	record->state = GCARENA_STATE_SWEEPING;
	gca_span_settle(core, span->page);
	core->nr_returning--;
	return 0;
}
