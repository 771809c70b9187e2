// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The page heap: which free pages a span gets, and how they come to be backed.
 *
 * Spans fill the fullest chunk that fits, so that the others come wholly free
 * and their huge pages can stay whole or go whole.  Then backed wholly free
 * chunks, then unbacked ones, lowest address first.  Longer spans take runs of
 * wholly free chunks; what the last one has left stays usable.
 *
 * Taking is done under the lock, backing without it, so each span goes through
 * take, back, use, and where it ends, put.  Must never give out a page of a
 * chunk in transit, nor touch a page of a span that is in use.
 */
#include "core_internal.h"

/**
 * gca_transit_changed - something in transit ended, or pages came free
 * @core: the arena, lock held
 */
void gca_transit_changed(struct gca_core *core)
{
	gca_lock_assert_held(&core->lock);
	WRITE_ONCE(core->transit_sequence, core->transit_sequence + 1);
	if (core->nr_waiters)
		core->ops->transit_wake(core->host);
}

/**
 * gca_transit_wait - wait until something that others work on may be free
 * @core: the arena, lock held; dropped meanwhile
 *
 * Return: 0 to try again, -ENOMEM when there is nothing to wait for, or the
 * host's -EINTR.
 */
int gca_transit_wait(struct gca_core *core)
{
	u32 sequence = core->transit_sequence;
	int err;

	if (!core->nr_transit && !core->nr_sweeping)
		return -ENOMEM;
	core->nr_waiters++;
	gca_unlock(&core->lock);
	err = core->ops->transit_wait(core->host, sequence);
	gca_lock(&core->lock);
	core->nr_waiters--;
	return err;
}

/*
 * The chunk with the fewest free pages among those with a run of @npages.
 * Higher orders fit for sure; in the length's own order @scan chunks are
 * looked at, fewest free pages first.
 */
static struct gca_chunk *bucket_find(struct gca_core *core, u32 npages, u32 scan)
{
	u32 order = fls64(npages) - 1;
	bool exact = npages == 1U << order;
	struct gca_chunk *best = NULL;
	struct gca_chunk *chunk;
	u32 o, slot;

	if (order >= GCA_ORDERS)
		return NULL;
	for (o = exact ? order : order + 1; o < GCA_ORDERS; o++) {
		slot = gca_map_next(core->bucket_map[o], GCARENA_CHUNK_PAGES, 0);
		if (slot < GCARENA_CHUNK_PAGES && (!best || slot + 1 < best->nr_free))
			best = container_of(core->bucket[o][slot].first, struct gca_chunk, link);
	}
	if (exact)
		return best;

	for (slot = gca_map_next(core->bucket_map[order], GCARENA_CHUNK_PAGES, 0);
	     slot < (best ? best->nr_free - 1 : GCARENA_CHUNK_PAGES);
	     slot = gca_map_next(core->bucket_map[order], GCARENA_CHUNK_PAGES, slot + 1)) {
		hlist_for_each_entry(chunk, &core->bucket[order][slot], link) {
			if (chunk->longest >= npages)
				return chunk;
			if (!--scan)
				return best;
		}
	}
	return best;
}

/*
 * As bucket_find(), among chunks on @node; few are looked at.  Of each order the
 * fullest come first.
 */
static struct gca_chunk *bucket_find_on(struct gca_core *core, u32 npages, int node)
{
	u32 order = fls64(npages) - 1;
	u32 look = GCA_NODE_CHUNKS;
	struct gca_chunk *best = NULL;
	struct gca_chunk *chunk;
	u32 slot;

	for (; order < GCA_ORDERS; order++) {
		for (slot = gca_map_next(core->bucket_map[order], GCARENA_CHUNK_PAGES, 0);
		     slot < (best ? best->nr_free - 1 : GCARENA_CHUNK_PAGES);
		     slot = gca_map_next(core->bucket_map[order], GCARENA_CHUNK_PAGES, slot + 1)) {
			hlist_for_each_entry(chunk, &core->bucket[order][slot], link) {
				if (!look--)
					return best;
				if (chunk->node == node && chunk->longest >= npages) {
					best = chunk;
					break;
				}
			}
		}
	}
	return best;
}

/* The lowest idle chunk on @node, of a few, or NULL. */
static struct gca_chunk *idle_on(struct gca_core *core, int node)
{
	u32 index = gca_idle_lowest(core);
	u32 look;

	for (look = GCA_NODE_CHUNKS; look && index < core->nr_chunks; look--) {
		struct gca_chunk *chunk = gca_chunk_at(core, index);

		if (chunk->node == node)
			return chunk;
		index = gca_map_next(core->map_idle, core->nr_chunks, index + 1);
	}
	return NULL;
}

/* The shortest free run of at least @npages, the lowest of equals. */
static u32 best_run(const struct gca_chunk *chunk, u32 npages)
{
	u32 best = GCA_NONE;
	u32 best_length = GCARENA_CHUNK_PAGES + 1;
	u32 from = 0;

	while ((from = gca_map_next(chunk->free, GCARENA_CHUNK_PAGES, from)) <
	       GCARENA_CHUNK_PAGES) {
		u32 end = gca_map_next_clear(chunk->free, GCARENA_CHUNK_PAGES, from);

		if (end - from >= npages && end - from < best_length) {
			best = from;
			best_length = end - from;
			if (best_length == npages)
				break;
		}
		from = end;
	}
	return best;
}

/*
 * Take [@from, @from + @npages) out of a chunk.  Leaves it in transit exactly
 * if some of that has to be backed.
 */
static void take_from_chunk(struct gca_core *core, struct gca_chunk *chunk, u32 from,
			    u32 npages, int node)
{
	u32 unbacked = gca_map_count(chunk->released, from, npages);
	u32 holes = gca_chunk_holes(chunk, from, npages);

	GCA_ASSERT(gca_map_count(chunk->free, from, npages) == npages);
	gca_chunk_unplace(core, chunk);
	if (chunk->nr_free == GCARENA_CHUNK_PAGES)
		gca_reserve_take(core, chunk, node);
	gca_map_clear(chunk->free, from, npages);
	chunk->nr_free -= npages;
	core->counters.heap_released -= gca_page_bytes(unbacked) + gca_half_bytes(holes);
	core->counters.heap_holes += gca_half_bytes(holes);
	unbacked += holes;
	if (unbacked && !chunk->transit)
		gca_chunk_begin_transit(core, chunk);
	else if (!unbacked && chunk->transit)
		gca_chunk_end_transit(core, chunk);
	else
		gca_chunk_place(core, chunk);
}

/**
 * gca_empty_unclaim - a chunk that its creator claimed and could not create
 * @core: the arena, lock held
 * @index: whose bit in map_empty the caller had cleared
 */
void gca_empty_unclaim(struct gca_core *core, u32 index)
{
	gca_map_set(core->map_empty, index, 1);
	core->low_empty = min(core->low_empty, index);
}

/*
 * -EAGAIN when nothing fits.  What there is on @node first, but what there is on others
 * before memory that nobody has asked for yet.
 */
static int take_in_one(struct gca_core *core, u32 npages, int node, u32 *page)
{
	struct gca_chunk *chunk = NULL;
	u32 from = 0;
	u32 index;
	int err;

	if (node != GCA_NODE_ANY) {
		chunk = bucket_find_on(core, npages, node);
		if (!chunk)
			chunk = idle_on(core, node);
	}
	if (!chunk)
		chunk = bucket_find(core, npages, GCA_BUCKET_SCAN);
	if (!chunk && gca_withheld_check(core, GCA_WITHHELD_SOME))
		chunk = bucket_find(core, npages, GCA_BUCKET_SCAN);
	if (!chunk) {
		index = gca_idle_lowest(core);
		if (index == GCA_NONE)
			index = gca_empty_lowest(core);
		if (index != GCA_NONE) {
			chunk = gca_chunk_at(core, index);
			if (!chunk) {
				gca_map_clear(core->map_empty, index, 1);
				err = gca_chunk_create(core, index);
				if (err) {
					gca_empty_unclaim(core, index);
					return err;
				}
				chunk = gca_chunk_at(core, index);
			}
		} else {
			chunk = bucket_find(core, npages, U32_MAX);
			if (!chunk)
				return -EAGAIN;
		}
	}
	if (chunk->nr_free < GCARENA_CHUNK_PAGES)
		from = best_run(chunk, npages);
	take_from_chunk(core, chunk, from, npages, node);
	*page = chunk->index * GCARENA_CHUNK_PAGES + from;
	return 0;
}

/* The lowest run of @nr chunks that are wholly free, used before or not. */
static u32 find_chunk_run(struct gca_core *core, u32 nr)
{
	u32 from = min(core->low_idle, core->low_empty);

	while (1) {
		u32 end;

		from = gca_map_next_of(core->map_idle, core->map_empty, core->nr_chunks, from);
		if (from >= core->nr_chunks)
			return GCA_NONE;
		end = gca_map_next_clear_of(core->map_idle, core->map_empty, core->nr_chunks,
					    from);
		if (end - from >= nr)
			return from;
		from = end;
	}
}

/* -EAGAIN when nothing fits. */
static int take_run(struct gca_core *core, u32 npages, int node, u32 *page)
{
	u32 nr = DIV_ROUND_UP(npages, GCARENA_CHUNK_PAGES);
	u32 first = find_chunk_run(core, nr);
	u32 left = npages;
	int err = 0;
	u32 i;

	if (first == GCA_NONE)
		return -EAGAIN;
	/* All at once, since setting one up drops the lock. */
	for (i = first; i < first + nr; i++) {
		struct gca_chunk *chunk = gca_chunk_at(core, i);

		if (chunk)
			gca_chunk_begin_transit(core, chunk);
		else
			gca_map_clear(core->map_empty, i, 1);
	}
	for (i = first; i < first + nr && !err; i++)
		if (!gca_chunk_at(core, i))
			err = gca_chunk_create(core, i);
	for (i = first; i < first + nr; i++) {
		struct gca_chunk *chunk = gca_chunk_at(core, i);

		if (!err) {
			u32 n = min_t(u32, left, GCARENA_CHUNK_PAGES);

			take_from_chunk(core, chunk, 0, n, node);
			left -= n;
		} else if (chunk) {
			gca_chunk_end_transit(core, chunk);
		} else {
			gca_empty_unclaim(core, i);
		}
	}
	*page = first * GCARENA_CHUNK_PAGES;
	return err;
}

/**
 * gca_pages_take - take free pages for a span
 * @core: the arena, lock held; may be dropped meanwhile
 * @npages: how many, at least 1
 * @node: preferred, or GCA_NODE_ANY
 * @page: where the first one's index goes
 *
 * The pages are not backed yet: gca_pages_back() must follow.
 *
 * Return: 0, -ENOMEM, or -EINTR from waiting for what others have in transit.
 */
int gca_pages_take(struct gca_core *core, u32 npages, int node, u32 *page)
{
	int err;

	if (npages > core->nr_pages)
		return -ENOMEM;
	while (1) {
		if (npages <= GCARENA_CHUNK_PAGES)
			err = take_in_one(core, npages, node, page);
		else
			err = take_run(core, npages, node, page);
		if (!err)
			break;
		if (err == -EAGAIN && gca_withheld_check(core, GCA_WITHHELD_MANY))
			continue;
		if (err == -EAGAIN)
			err = gca_transit_wait(core);
		if (err)
			return err;
	}
	core->counters.heap_inuse += gca_page_bytes(npages);
	core->counters.heap_idle -= gca_page_bytes(npages);
	return 0;
}

/**
 * gca_pages_take_more - take what gca_pages_take() would take next, if that is cheap
 * @core: the arena, lock held
 * @last: a page just taken
 * @npages: as taken
 * @pages: where the first ones' indices go
 * @nr: how many times @npages at most
 *
 * While the chunk that a span came from has room for another it is the fullest that
 * has, and the rest of a run the shortest: so nothing is looked for.  Only what is
 * backed is taken.
 *
 * Return: how many times @npages were taken.
 */
u32 gca_pages_take_more(struct gca_core *core, u32 last, u32 npages, u32 *pages, u32 nr)
{
	struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(last));
	u32 from = 0, left = 0, done = 0;

	if (chunk->place != GCA_PLACE_BUCKET || chunk->nr_released || chunk->nr_holes)
		return 0;
	gca_chunk_unplace(core, chunk);
	for (; done < nr; done++) {
		if (left < npages) {
			from = best_run(chunk, npages);
			if (from == GCA_NONE)
				break;
			left = gca_map_next_clear(chunk->free, GCARENA_CHUNK_PAGES, from) - from;
		}
		gca_map_clear(chunk->free, from, npages);
		pages[done] = chunk->index * GCARENA_CHUNK_PAGES + from;
		from += npages;
		left -= npages;
	}
	chunk->nr_free -= done * npages;
	gca_chunk_place(core, chunk);
	core->counters.heap_inuse += gca_page_bytes(done * npages);
	core->counters.heap_idle -= gca_page_bytes(done * npages);
	return done;
}

/**
 * gca_pages_take_backed - take free pages that cost nothing
 * @core: the arena, lock held
 * @npages: how many, less than a chunk
 * @node: preferred, or GCA_NODE_ANY
 *
 * Return: the first one's index, of pages that are backed, in a chunk that is
 * partly used; or GCA_NONE.
 */
u32 gca_pages_take_backed(struct gca_core *core, u32 npages, int node)
{
	struct gca_chunk *chunk = NULL;
	u32 from;

	if (node != GCA_NODE_ANY)
		chunk = bucket_find_on(core, npages, node);
	if (!chunk)
		chunk = bucket_find(core, npages, GCA_BUCKET_SCAN);
	from = chunk ? best_run(chunk, npages) : GCA_NONE;
	if (from == GCA_NONE || gca_map_count(chunk->released, from, npages) ||
	    gca_chunk_holes(chunk, from, npages))
		return GCA_NONE;
	take_from_chunk(core, chunk, from, npages, node);
	core->counters.heap_inuse += gca_page_bytes(npages);
	core->counters.heap_idle -= gca_page_bytes(npages);
	return chunk->index * GCARENA_CHUNK_PAGES + from;
}

/**
 * gca_chunk_backed - a chunk in transit got all of its backing
 * @core: the arena, lock held
 * @chunk: that had none
 * @small: not (all) on a huge page
 * @node: of it
 */
void gca_chunk_backed(struct gca_core *core, struct gca_chunk *chunk, bool small, int node)
{
	GCA_ASSERT(chunk->transit && chunk->nr_released == GCARENA_CHUNK_PAGES);
	/* What is free of it was released and is not any more. */
	core->counters.heap_released -= gca_page_bytes(chunk->nr_free);
	core->counters.chunks_backed++;
	chunk->small = small;
	chunk->node = node;
	if (small) {
		core->counters.chunks_small++;
		core->counters.back_small++;
	}
	gca_map_clear(chunk->released, 0, GCARENA_CHUNK_PAGES);
	chunk->nr_released = 0;
}

/* A chunk without any backing gets all of it at once: a huge page.  Drops the lock. */
static int back_whole(struct gca_core *core, struct gca_chunk *chunk, int node)
{
	int on, ret;

	gca_unlock(&core->lock);
	ret = core->ops->back(core->host, chunk->index * GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES,
			      node);
	on = gca_core_node(core, chunk->index);
	gca_lock(&core->lock);
	if (ret < 0)
		return ret;
	gca_chunk_backed(core, chunk, ret > 0, on);
	core->counters.refill_backed++;
	return 0;
}

/**
 * gca_chunk_fill - back what a broken chunk lacks of some pages
 * @core: the arena, lock held; dropped meanwhile
 * @chunk: in transit
 * @from: the first page
 * @npages: how many, none of which is free
 * @node: preferred, or GCA_NODE_ANY
 *
 * Return: 0, or the host's errno, after which nothing has changed.
 */
int gca_chunk_fill(struct gca_core *core, struct gca_chunk *chunk, u32 from, u32 npages, int node)
{
	u64 range[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)] = {};
	u64 halves[GCA_HALF_WORDS], lacks[GCA_HALF_WORDS];
	int err;
	u32 i;

	gca_map_set(range, from, npages);
	gca_map_double(halves, range, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	gca_map_double(lacks, chunk->released, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	for (i = 0; i < GCA_HALF_WORDS; i++)
		lacks[i] = (lacks[i] | chunk->holes[i]) & halves[i];
	gca_unlock(&core->lock);
	err = core->ops->fill(core->host, chunk->index, lacks, node);
	gca_lock(&core->lock);
	if (err)
		return err;

	/* Not free, so not counted in heap_released. */
	chunk->nr_released -= gca_map_count(chunk->released, from, npages);
	gca_map_clear(chunk->released, from, npages);
	gca_holes_clear(core, chunk, halves);
	if (!chunk->nr_released && !chunk->nr_holes && core->ops->filled)
		core->ops->filled(core->host, chunk->index);
	return 0;
}

/**
 * gca_pages_back - make pages just taken present
 * @core: the arena, lock held; dropped meanwhile if there is something to back
 * @page: the first one, from gca_pages_take()
 * @npages: as taken
 * @node: as taken
 *
 * Return: 1 if any had to be backed, 0 if none, or the host's errno, after which
 * gca_pages_undo() must follow.
 */
int gca_pages_back(struct gca_core *core, u32 page, u32 npages, int node)
{
	bool backed = false;
	u32 done = 0;
	int err = 0;

	while (done < npages) {
		struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page + done));
		u32 from = gca_page_in_chunk(page + done);
		u32 n = min(npages - done, GCARENA_CHUNK_PAGES - from);

		if (chunk->transit && (gca_map_count(chunk->released, from, n) ||
				       gca_chunk_holes(chunk, from, n))) {
			backed = true;
			if (!err && chunk->nr_released == GCARENA_CHUNK_PAGES)
				err = back_whole(core, chunk, node);
			else if (!err)
				err = gca_chunk_fill(core, chunk, from, n, node);
			gca_chunk_end_transit(core, chunk);
		}
		done += n;
	}
	return err ? err : backed;
}

/**
 * gca_pages_put_end - what was put is in its place
 * @core: the arena, lock held, and not to be dropped before
 *
 * After gca_pages_put_begin(); both may come any number of times.
 */
void gca_pages_put_end(struct gca_core *core)
{
	struct gca_chunk *chunk = core->putting;

	core->put_later = false;
	if (!chunk)
		return;
	core->putting = NULL;
	gca_chunk_place(core, chunk);
	gca_transit_changed(core);
	gca_scavenge_wake(core);
}

/**
 * gca_pages_put_begin - many pages are about to be put, of neighbours
 * @core: the arena, lock held
 *
 * Until gca_pages_put_end() the chunk that was put to last stands in no place, so that
 * it is not placed for each.
 */
void gca_pages_put_begin(struct gca_core *core)
{
	core->put_later = true;
}

/* The part of gca_pages_put() that gca_pages_put_end() ends; true if it is all. */
static bool put_later(struct gca_core *core, u32 page, u32 npages)
{
	struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page));
	u32 from = gca_page_in_chunk(page);

	if (chunk->nr_released || chunk->nr_holes || chunk->transit || chunk->withheld ||
	    from + npages > GCARENA_CHUNK_PAGES)
		return false;
	GCA_ASSERT(!gca_map_count(chunk->free, from, npages));
	if (core->putting != chunk) {
		gca_pages_put_end(core);
		core->put_later = true;
		gca_chunk_unplace(core, chunk);
		core->putting = chunk;
	}
	gca_map_set(chunk->free, from, npages);
	chunk->nr_free += npages;
	core->counters.heap_inuse -= gca_page_bytes(npages);
	core->counters.heap_idle += gca_page_bytes(npages);
	return true;
}

/**
 * gca_pages_put - pages of no span any more
 * @core: the arena, lock held
 * @page: the first one
 * @npages: as taken
 */
void gca_pages_put(struct gca_core *core, u32 page, u32 npages)
{
	u32 done = 0;

	if (core->put_later) {
		if (put_later(core, page, npages))
			return;
		gca_pages_put_end(core);
		core->put_later = true;
	}

	while (done < npages) {
		struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page + done));
		u32 from = gca_page_in_chunk(page + done);
		u32 n = min(npages - done, GCARENA_CHUNK_PAGES - from);
		u64 holes = gca_half_bytes(gca_chunk_holes(chunk, from, n));

		GCA_ASSERT(!gca_map_count(chunk->free, from, n));
		gca_chunk_unplace(core, chunk);
		gca_map_set(chunk->free, from, n);
		chunk->nr_free += n;
		core->counters.heap_released +=
			gca_page_bytes(gca_map_count(chunk->released, from, n)) + holes;
		core->counters.heap_holes -= holes;
		gca_chunk_place(core, chunk);
		done += n;
	}
	core->counters.heap_inuse -= gca_page_bytes(npages);
	core->counters.heap_idle += gca_page_bytes(npages);
	gca_transit_changed(core);
	gca_scavenge_wake(core);
}

/**
 * gca_pages_undo - pages that could not all be backed
 * @core: the arena, lock held; dropped meanwhile
 * @page: the first one, of no span any more
 * @npages: as taken
 *
 * Whole chunks of them that were backed and that nobody has written to go back
 * to the system: what failed for want of memory must not sit on it.
 */
void gca_pages_undo(struct gca_core *core, u32 page, u32 npages)
{
	u32 index = gca_page_chunk(page);
	u32 last = gca_page_chunk(page + npages - 1);

	gca_pages_put(core, page, npages);
	for (; index <= last; index++)
		gca_scavenge_clean(core, index);
}

/**
 * gca_pages_use - pages are about to be handed out and written to
 * @core: the arena, lock held
 * @page: the first one
 * @npages: how many, all backed
 *
 * Return: GCARENA_SPAN_NEEDS_ZERO and GCARENA_SPAN_SMALL as they apply.
 */
u16 gca_pages_use(struct gca_core *core, u32 page, u32 npages)
{
	u32 done = 0;
	u16 flags = 0;

	if (npages == 1) {
		struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page));
		u64 *dirty = &chunk->dirty[gca_page_in_chunk(page) / 64];
		u64 bit = 1ULL << page % 64;

		if (*dirty & bit)
			flags |= GCARENA_SPAN_NEEDS_ZERO;
		if (chunk->small)
			flags |= GCARENA_SPAN_SMALL;
		*dirty |= bit;
		return flags;
	}

	while (done < npages) {
		struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page + done));
		u32 from = gca_page_in_chunk(page + done);
		u32 n = min(npages - done, GCARENA_CHUNK_PAGES - from);

		if (gca_map_count(chunk->dirty, from, n))
			flags |= GCARENA_SPAN_NEEDS_ZERO;
		if (chunk->small)
			flags |= GCARENA_SPAN_SMALL;
		gca_map_set(chunk->dirty, from, n);
		done += n;
	}
	return flags;
}

/**
 * gca_pages_unuse - pages were not handed out after all, and not written to
 * @core: the arena, lock held
 * @page: the first one, in one chunk with the others
 * @npages: how many, none of which needed zeroing
 */
void gca_pages_unuse(struct gca_core *core, u32 page, u32 npages)
{
	struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page));

	gca_map_clear(chunk->dirty, gca_page_in_chunk(page), npages);
}
