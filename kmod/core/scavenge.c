// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Scavenging: which free memory goes back to the system, and when.
 *
 * Wholly free chunks go first, highest address first, because the page heap
 * fills from below.  Chunks in use are broken only when asked: by "everything",
 * or by "N bytes" where at least GCA_BREAK_PAGES of one go.  The worker never
 * breaks a chunk and never goes below the retain goal.  Inside spans (holes.c) only
 * what is asked for by name goes, in one go with what is free of the chunk.
 *
 * Reclaim takes wholly free chunks only, one at a time and chosen by the host,
 * which does the releasing between gca_core_shrink_begin() and _end(): nothing
 * here may wait or allocate on its behalf.
 *
 * What is being released is in transit, so nothing of it can be given out.
 * Bytes reported are what the host says came free.
 */
#include "core_internal.h"

/*
 * The free pages @going of a chunk in transit have no backing any more, nor have the
 * halves @holes of others, if any.
 */
static void note_released(struct gca_core *core, struct gca_chunk *chunk, const u64 *going,
			  const u64 *holes)
{
	u64 halves[GCA_HALF_WORDS];
	u32 npages = 0;
	u32 i;

	if (chunk->nr_holes) {
		gca_map_double(halves, going, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
		gca_holes_clear(core, chunk, halves);
	}
	if (holes)
		gca_holes_set(core, chunk, holes);
	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++) {
		npages += hweight64(going[i]);
		chunk->released[i] |= going[i];
		chunk->dirty[i] &= ~going[i];
	}
	if (!npages && (!holes || !gca_map_any(holes, GCA_HALF_WORDS)))
		return;
	if (chunk->reserved) {
		core->counters.reserve_released++;
		gca_reserve_forget(core, chunk);
	}
	chunk->nr_released += npages;
	core->counters.heap_released += gca_page_bytes(npages);
	if (chunk->nr_released == GCARENA_CHUNK_PAGES) {
		core->counters.chunks_backed--;
		if (chunk->small)
			core->counters.chunks_small--;
		chunk->small = false;
		chunk->patience = 0;
	} else if (!chunk->small) {
		chunk->small = true;
		core->counters.chunks_small++;
		core->counters.scavenge_broken++;
		gca_collapse_broken(core, chunk);
	}
}

/* Of a chunk in transit @kept has what the host could not release: of nobody's else? */
static void note_kept(struct gca_core *core, struct gca_chunk *chunk, bool kept)
{
	gca_chunk_withhold(core, chunk,
			   kept && core->ops->held && core->ops->held(core->host, chunk->index));
}

/**
 * struct release - what goes of a chunk
 * @pages: free ones that are not released
 * @free: their halves
 * @inside: halves of pages in use
 * @kept: of both, what the host had to keep
 * @bytes: what came free, by the host
 */
struct release {
	u64 pages[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 free[GCA_HALF_WORDS];
	u64 inside[GCA_HALF_WORDS];
	u64 kept[GCA_HALF_WORDS];
	u64 bytes;
};

/* Of halves inside spans, or of those of which some were kept: what became of each. */
static bool sort_halves(struct gca_core *core, const struct gca_chunk *chunk,
			struct release *what, u64 *holes)
{
	u64 whole[GCA_HALF_WORDS];
	u32 held = 0, inside = 0;
	bool kept = false;
	u32 i;

	for (i = 0; i < GCA_HALF_WORDS; i++) {
		held += hweight64(what->kept[i]);
		kept |= what->kept[i] & what->free[i];
		what->free[i] &= ~what->kept[i];
		what->inside[i] &= ~what->kept[i];
		inside += hweight64(what->inside[i]);
	}
	gca_map_both(what->pages, what->free, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	gca_map_double(whole, what->pages, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	/* Where the host kept one half of a free page the other is a hole. */
	for (i = 0; i < GCA_HALF_WORDS; i++)
		holes[i] = ((what->free[i] & ~whole[i]) | what->inside[i]) & ~chunk->holes[i];
	core->counters.scavenge_inside += min(what->bytes, gca_half_bytes(inside));
	core->counters.scavenge_kept += gca_half_bytes(held);
	return kept;
}

/* The host has done it.  Pages put back meanwhile stay as they are. */
static void note_release(struct gca_core *core, struct gca_chunk *chunk, struct release *what)
{
	bool plain = !gca_map_any(what->kept, GCA_HALF_WORDS) &&
		     !gca_map_any(what->inside, GCA_HALF_WORDS);
	u64 holes[GCA_HALF_WORDS];
	bool kept = false;

	if (!plain)
		kept = sort_halves(core, chunk, what, holes);
	note_released(core, chunk, what->pages, plain ? NULL : holes);
	core->counters.scavenged_bytes += what->bytes;
	note_kept(core, chunk, kept);
}

/*
 * Release what is free and backed of a chunk that is not in transit, and if @inside
 * what has no object in spans that nobody holds.  Drops the lock.
 */
static u64 release_chunk(struct gca_core *core, struct gca_chunk *chunk, bool inside)
	__must_hold(&core->lock)
{
	u64 spans[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)] = {};
	u64 halves[GCA_HALF_WORDS];
	struct release what = {};
	u32 generation = core->generation;
	/* The host gets all of it, and forgets the chunk. */
	bool whole = chunk->nr_free == GCARENA_CHUNK_PAGES;
	u32 i;

	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++)
		what.pages[i] = chunk->free[i] & ~chunk->released[i];
	gca_map_double(what.free, what.pages, GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	gca_chunk_begin_transit(core, chunk);
	if (inside)
		inside = gca_holes_begin(core, chunk, spans);
	gca_unlock(&core->lock);

	if (inside)
		gca_holes_find(core, chunk, spans, generation, what.inside);
	for (i = 0; i < GCA_HALF_WORDS; i++)
		halves[i] = whole ? ~0ULL : what.free[i] | what.inside[i];
	/* And of one that is not, something has to stay. */
	i = inside ? gca_map_last(what.inside, GCA_CHUNK_HALVES) : GCA_CHUNK_HALVES;
	if (i < GCA_CHUNK_HALVES &&
	    gca_map_count(halves, 0, GCA_CHUNK_HALVES) == GCA_CHUNK_HALVES) {
		gca_map_clear(what.inside, i, 1);
		gca_map_clear(halves, i, 1);
	}
	if (gca_map_any(halves, GCA_HALF_WORDS))
		what.bytes = core->ops->release(core->host, chunk->index, halves, what.kept);

	gca_lock(&core->lock);
	if (inside)
		gca_holes_end(core, chunk, spans);
	note_release(core, chunk, &what);
	gca_chunk_end_transit(core, chunk);
	return what.bytes;
}

static u32 pages_to_release(const struct gca_chunk *chunk)
{
	u32 npages = 0;
	u32 i;

	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++)
		npages += hweight64(chunk->free[i] & ~chunk->released[i]);
	return npages;
}

/* Let others in between pieces of work under the lock. */
static void breathe(struct gca_core *core) __must_hold(&core->lock)
{
	gca_unlock(&core->lock);
	gca_relax();
	gca_lock(&core->lock);
}

/* How much has to go of a chunk: all of it is free only of one that is withheld. */
static u32 worth_releasing(const struct gca_chunk *chunk, u32 threshold)
{
	return chunk->nr_free == GCARENA_CHUNK_PAGES ? 1 : threshold;
}

/* Whether there may be a span in a chunk to release inside. */
static bool has_spans(const struct gca_chunk *chunk)
{
	return chunk->nr_free < GCARENA_CHUNK_PAGES;
}

/*
 * Release in chunks from the top down where at least @threshold pages go; with
 * @inside also in their spans.
 */
static u64 release_in_chunks(struct gca_core *core, u64 bytes, u32 threshold, bool inside)
	__must_hold(&core->lock)
{
	u32 index = core->top_chunk;
	u64 released = 0;

	while (index-- && released < bytes && !gca_killed()) {
		struct gca_chunk *chunk = gca_chunk_at(core, index);

		if (index % GCA_LEAF_CHUNKS == 0)
			breathe(core);
		if (!chunk || chunk->transit)
			continue;
		if (pages_to_release(chunk) < worth_releasing(chunk, threshold) &&
		    !(inside && has_spans(chunk)))
			continue;
		released += release_chunk(core, chunk, inside);
		if (inside)
			breathe(core);
	}
	return released;
}

/**
 * gca_core_check_scavenge - is this something to ask for
 * @args: the call's
 *
 * Return: 0, or -EINVAL for unknown flags and those that do not go together.
 */
int gca_core_check_scavenge(const struct gcarena_scavenge *args)
{
	bool all = args->flags & GCARENA_SCAVENGE_ALL;

	if (args->flags & ~(GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE))
		return -EINVAL;
	return (all ? args->bytes : args->flags) ? -EINVAL : 0;
}

/**
 * gca_core_scavenge - give free memory back to the system
 * @core: the arena
 * @args: in: GCARENA_SCAVENGE_ALL, with or without GCARENA_SCAVENGE_INSIDE, or how
 *	many bytes; out: bytes that came free
 *
 * Ends early when the caller is being killed.
 *
 * Return: 0 or -EINVAL.
 */
int gca_core_scavenge(struct gca_core *core, struct gcarena_scavenge *args)
{
	bool inside = args->flags & GCARENA_SCAVENGE_INSIDE;
	bool all = args->flags & GCARENA_SCAVENGE_ALL;
	u64 bytes = all ? U64_MAX : args->bytes;
	u64 released = 0;
	u32 index = GCA_NONE;

	if (gca_core_check_scavenge(args))
		return -EINVAL;
	gca_lock(&core->lock);
	/* Asked to give back: not to be filled again before there is demand, nor by a
	 * worker that is at it while the lock is dropped.
	 */
	core->reserve.goal = 0;
	gca_slots_drain(core);
	gca_withheld_check(core, GCA_WITHHELD_MANY);
	while (released < bytes && !gca_killed()) {
		index = gca_idle_highest(core, index);
		if (index == GCA_NONE)
			break;
		released += release_chunk(core, gca_chunk_at(core, index), false);
		breathe(core);
	}
	if (released < bytes)
		released += release_in_chunks(core, bytes - released,
					      all ? 1 : GCA_BREAK_PAGES, inside);
	args->bytes = released;
	gca_publish(core);
	gca_unlock(&core->lock);
	return 0;
}

/* The highest idle chunk below @below, if it is above the retain goal, or NULL. */
static struct gca_chunk *above_goal(struct gca_core *core, u32 below)
{
	u64 backed = gca_backed_bytes(core);
	struct gca_chunk *chunk;
	u32 index;

	/* Cheap no first: asked each time that pages come free. */
	if (!core->policy.retain_bytes || core->counters.chunks_idle <= core->reserve.goal ||
	    backed <= core->policy.retain_bytes)
		return NULL;
	index = gca_idle_highest(core, below);
	if (index == GCA_NONE)
		return NULL;
	chunk = gca_chunk_at(core, index);
	backed -= gca_page_bytes(pages_to_release(chunk)) - gca_half_bytes(chunk->nr_holes);
	return backed >= core->policy.retain_bytes ? chunk : NULL;
}

/**
 * gca_scavenge_wake - wake the worker if there is something above the goal
 * @core: the arena, lock held
 */
void gca_scavenge_wake(struct gca_core *core)
{
	if (!core->worker_awake && above_goal(core, GCA_NONE))
		gca_worker_wake(core);
}

/**
 * gca_scavenge_retain - release one idle chunk above the retain goal
 * @core: the arena, lock held; dropped meanwhile
 *
 * Return: false if there is none, or none of which anything can go.
 */
bool gca_scavenge_retain(struct gca_core *core)
{
	struct gca_chunk *chunk;
	u32 below = GCA_NONE;

	while ((chunk = above_goal(core, below))) {
		u64 released = core->counters.heap_released;

		below = chunk->index;
		release_chunk(core, chunk, false);
		if (chunk->nr_released || core->counters.heap_released != released)
			return true;
	}
	return false;
}

/**
 * gca_scavenge_reserve - release a chunk of the reserve that is not wanted
 * @core: the arena, lock held; dropped meanwhile
 *
 * Return: false if there is none.
 */
bool gca_scavenge_reserve(struct gca_core *core)
{
	struct gca_chunk *chunk;

	if (!gca_reserve_surplus(core))
		return false;
	chunk = hlist_entry(core->reserve.list.first, struct gca_chunk, link);
	release_chunk(core, chunk, false);
	/* Kept by somebody: an idle chunk like others, and not tried again. */
	if (chunk->reserved && chunk->place == GCA_PLACE_IDLE) {
		gca_chunk_unplace(core, chunk);
		core->counters.reserve_released++;
		gca_reserve_forget(core, chunk);
		gca_chunk_place(core, chunk);
	}
	return true;
}

/**
 * gca_scavenge_clean - release a chunk that is idle and was never written to
 * @core: the arena, lock held; dropped meanwhile
 * @index: of any chunk
 */
void gca_scavenge_clean(struct gca_core *core, u32 index)
{
	struct gca_chunk *chunk = gca_chunk_at(core, index);

	if (chunk && chunk->place == GCA_PLACE_IDLE &&
	    !gca_map_count(chunk->dirty, 0, GCARENA_CHUNK_PAGES))
		release_chunk(core, chunk, false);
}

/**
 * gca_core_shrink_begin - reclaim wants a chunk: take it out of reach
 * @core: the arena
 * @index: of a chunk that chunk_idle() named and chunk_busy() did not since
 *
 * Never waits.  Called with the host's lock for its list of idle chunks held,
 * which nests inside the core lock everywhere else: hence the trylock.
 * chunk_busy() is not called; the host takes the chunk off its list.
 *
 * Return: true with the chunk in transit, the caller's to release until
 * gca_core_shrink_end(); false if the core is busy.
 */
bool gca_core_shrink_begin(struct gca_core *core, u32 index)
{
	if (gca_trylock(&core->lock)) {
		gca_chunk_isolate(core, gca_chunk_at(core, index));
		gca_unlock(&core->lock);
		return true;
	}
	return false;
}

/**
 * gca_core_shrink_end - reclaim is done with a chunk
 * @core: the arena
 * @index: of the chunk, from gca_core_shrink_begin()
 * @kept: bit map of pages that still have backing, with old contents or zeroes
 * @bytes: what came free
 *
 * With pages kept the chunk is idle again, and chunk_idle() says so, unless somebody
 * has them in his hands.
 */
void gca_core_shrink_end(struct gca_core *core, u32 index, const u64 *kept, u64 bytes)
{
	u64 going[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	struct gca_chunk *chunk;
	u32 i;

	gca_lock(&core->lock);
	chunk = gca_chunk_at(core, index);
	GCA_ASSERT(chunk->transit && chunk->nr_free == GCARENA_CHUNK_PAGES);
	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++)
		going[i] = ~(chunk->released[i] | kept[i]);
	note_released(core, chunk, going, NULL);
	core->counters.shrink_calls++;
	core->counters.shrink_bytes += bytes;
	note_kept(core, chunk, gca_map_count(kept, 0, GCARENA_CHUNK_PAGES));
	gca_chunk_end_transit(core, chunk);
	gca_reserve_yield(core);
	gca_publish(core);
	gca_unlock(&core->lock);
}
