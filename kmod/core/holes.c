// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Holes: halves of pages inside spans that have no object in them and no backing.
 *
 * Made by "scavenge, inside spans too" of spans that nobody holds, swept at the
 * current generation: there the alloc bits say of each byte whether an object has
 * it, and no allocation changes that before a refill takes the span.  So that none
 * does while the lock is dropped, a span is busy meanwhile, in the list where it is;
 * what a refill cannot have it cannot write to.  A flip may come in between: what is
 * marked by then was allocated before.
 *
 * A span is filled before it is handed out, so an owner never meets a hole: where
 * there is no memory for it the refill fails, or finds another span.  A span that
 * is freed takes its holes along to the page heap, which fills them with what else
 * the next span lacks, or releases the rest.
 *
 * In the maps a hole is a half of a page that is not released; it stays dirty, as
 * its other half may be.  Maps of a chunk change only while it is in transit.
 */
#include "core_internal.h"

/**
 * gca_span_holed - whether a span has holes
 * @core: the arena, lock held
 * @page: its first page, with the others in one chunk, or a large one's
 *
 * Return: true if so; large and manual spans have none.
 */
bool gca_span_holed(struct gca_core *core, u32 page)
{
	const struct gca_record *record = gca_record_at(core, page);

	if (!core->counters.heap_holes || !core->classes[record->span_class].npages)
		return false;
	return gca_chunk_holes(gca_chunk_at(core, gca_page_chunk(page)),
			       gca_page_in_chunk(page), record->npages);
}

/* Wait until nobody works on a chunk. */
static int chunk_wait(struct gca_core *core, struct gca_chunk *chunk)
	__must_hold(&core->lock)
{
	int err = 0;

	while (chunk->transit && !err)
		err = gca_transit_wait(core);
	return err;
}

/**
 * gca_span_fill - back the holes of a span
 * @core: the arena, lock held; dropped meanwhile
 * @page: its first page, just popped from a central list
 * @node: preferred, or GCA_NODE_ANY
 *
 * The span is in a central list again after, with or without them, or a sweep has freed it.
 *
 * Return: 0, or the host's errno.
 */
int gca_span_fill(struct gca_core *core, u32 page, int node)
{
	struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page));
	struct gca_record *record = gca_record_at(core, page);
	int err;

	/* Ours until it is settled, and of the sweep that may start meanwhile. */
	record->state = GCARENA_STATE_SWEEPING;
	core->nr_sweeping++;
	core->nr_returning++;
	err = chunk_wait(core, chunk);
	/* It may have been collapsed. */
	if (!err && gca_span_holed(core, page)) {
		gca_chunk_begin_transit(core, chunk);
		err = gca_chunk_fill(core, chunk, gca_page_in_chunk(page), record->npages, node);
		gca_chunk_end_transit(core, chunk);
	}
	if (record->generation != core->generation) {
		/* One that is empty is as good, if it is going to be handed out. */
		gca_span_settle(core, page, !err);
		core->nr_returning--;
		return err;
	}
	core->nr_returning--;
	core->nr_sweeping--;
	record->state = GCARENA_STATE_SWEPT;
	gca_central_push(core, page, false);
	gca_transit_changed(core);
	return err;
}

/**
 * gca_holes_begin - keep spans of a chunk from being taken, to look for holes in them
 * @core: the arena, lock held
 * @chunk: in transit
 * @spans: zeroes; gets a bit for the first page of each
 *
 * Return: whether there is any.
 */
bool gca_holes_begin(struct gca_core *core, struct gca_chunk *chunk, u64 *spans)
{
	bool any = false;
	u32 i;

	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		struct gca_record *record = &chunk->records[i];

		/* A slot may just be handing it out. */
		if (READ_ONCE(record->state) != GCARENA_STATE_SWEPT ||
		    record->generation != core->generation ||
		    !core->classes[record->span_class].npages)
			continue;
		record->busy = true;
		gca_map_set(spans, i, 1);
		any = true;
	}
	return any;
}

/* Clear what an object of @size, or several from @first to @last, has of a span's halves. */
static void occupy(u64 *halves, u32 from, u32 npages, u32 first, u32 last, u32 size)
{
	u32 low = first >> (GCA_HALF_SHIFT - GCARENA_GRANULE_SHIFT);
	u32 end = ((last << GCARENA_GRANULE_SHIFT) + size - 1) >> GCA_HALF_SHIFT;

	end = min(end + 1, 2 * npages);
	gca_map_clear(halves, 2 * from + low, end - low);
}

/* All halves of a span that no object by its alloc bits reaches into. */
static void find_in_span(struct gca_core *core, const struct gca_chunk *chunk, u32 from,
			 u32 generation, u64 *halves)
{
	const struct gca_record *record = &chunk->records[from];
	u32 size = core->classes[record->span_class].elem_size;
	u32 page = chunk->index * GCARENA_CHUNK_PAGES + from;
	u32 i, k;

	gca_map_set(halves, 2 * from, 2 * record->npages);
	for (i = 0; i < record->npages; i++) {
		const u64 *line = gca_host_line(core->host, generation & 1, page + i);

		for (k = 0; k < GCARENA_LINE_WORDS; k++) {
			u64 word = READ_ONCE(line[k]);
			u32 base = i * GCARENA_PAGE_GRANULES + 64 * k;

			/* What lies between the first and the last is in the same half. */
			if (word)
				occupy(halves, from, record->npages, base + __ffs64(word),
				       base + fls64(word) - 1, size);
		}
	}
}

/**
 * gca_holes_find - what has backing and no object
 * @core: the arena, no lock
 * @chunk: in transit
 * @spans: from gca_holes_begin()
 * @generation: as of then
 * @halves: gets a bit for each half of their pages
 */
void gca_holes_find(struct gca_core *core, const struct gca_chunk *chunk, const u64 *spans,
		    u32 generation, u64 *halves)
{
	u64 found[GCA_HALF_WORDS] = {};
	u32 at;

	for (at = gca_map_next(spans, GCARENA_CHUNK_PAGES, 0); at < GCARENA_CHUNK_PAGES;
	     at = gca_map_next(spans, GCARENA_CHUNK_PAGES, at + 1))
		find_in_span(core, chunk, at, generation, found);
	for (at = 0; at < GCA_HALF_WORDS; at++)
		halves[at] = found[at] & ~chunk->holes[at];
}

/**
 * gca_holes_end - let the spans be taken again
 * @core: the arena, lock held
 * @chunk: in transit
 * @spans: from gca_holes_begin()
 */
void gca_holes_end(struct gca_core *core, struct gca_chunk *chunk, const u64 *spans)
{
	u32 at;

	for (at = gca_map_next(spans, GCARENA_CHUNK_PAGES, 0); at < GCARENA_CHUNK_PAGES;
	     at = gca_map_next(spans, GCARENA_CHUNK_PAGES, at + 1))
		chunk->records[at].busy = false;
	/* A sweep that began meanwhile may have had all but these. */
	if (core->sweeping)
		gca_worker_wake(core);
}

/* Halves of map @halves, of which part is free and part in use: so are their bytes. */
static void count(struct gca_core *core, const struct gca_chunk *chunk, const u64 *halves,
		  u64 *free_bytes, u64 *used_bytes)
{
	u64 free_halves[GCA_HALF_WORDS];
	u32 in_free = 0;
	u32 all = 0;
	u32 i;

	gca_map_double(free_halves, chunk->free, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	for (i = 0; i < GCA_HALF_WORDS; i++) {
		in_free += hweight64(halves[i] & free_halves[i]);
		all += hweight64(halves[i]);
	}
	*free_bytes = gca_half_bytes(in_free);
	*used_bytes = gca_half_bytes(all - in_free);
}

/**
 * gca_holes_set - halves of pages that are not released have no backing any more
 * @core: the arena, lock held
 * @chunk: in transit
 * @halves: a map of them, none of which was a hole
 */
void gca_holes_set(struct gca_core *core, struct gca_chunk *chunk, const u64 *halves)
{
	u64 free_bytes, used_bytes;
	u32 i;

	count(core, chunk, halves, &free_bytes, &used_bytes);
	core->counters.heap_released += free_bytes;
	core->counters.heap_holes += used_bytes;
	chunk->nr_holes += (free_bytes + used_bytes) >> GCA_HALF_SHIFT;
	for (i = 0; i < GCA_HALF_WORDS; i++)
		chunk->holes[i] |= halves[i];
}

/**
 * gca_holes_clear - holes are backed, or of pages that are released
 * @core: the arena, lock held
 * @chunk: in transit
 * @halves: a map of halves, holes or not; may be the chunk's own
 */
void gca_holes_clear(struct gca_core *core, struct gca_chunk *chunk, const u64 *halves)
{
	u64 gone[GCA_HALF_WORDS];
	u64 free_bytes, used_bytes;
	u32 i;

	if (!chunk->nr_holes)
		return;
	for (i = 0; i < GCA_HALF_WORDS; i++) {
		gone[i] = chunk->holes[i] & halves[i];
		chunk->holes[i] &= ~gone[i];
	}
	count(core, chunk, gone, &free_bytes, &used_bytes);
	core->counters.heap_released -= free_bytes;
	core->counters.heap_holes -= used_bytes;
	chunk->nr_holes -= (free_bytes + used_bytes) >> GCA_HALF_SHIFT;
}
