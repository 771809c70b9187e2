// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Scavenging: which free memory goes back to the system, and when.
 *
 * Wholly free chunks go first, highest address first, because the page heap
 * fills from below.  Chunks in use are broken only when asked: by "everything",
 * or by "N bytes" where at least GCA_BREAK_PAGES of one go.  The worker never
 * breaks a chunk and never goes below the retain goal.
 *
 * Reclaim takes wholly free chunks only, one at a time and chosen by the host,
 * which does the releasing between gca_core_shrink_begin() and _end(): nothing
 * here may wait or allocate on its behalf.
 *
 * What is being released is in transit, so nothing of it can be given out.
 * Bytes reported are what the host says came free.
 */
#include "core_internal.h"

/* The pages @going of a chunk in transit have no backing any more. */
static void note_released(struct gca_core *core, struct gca_chunk *chunk, const u64 *going)
{
	u32 npages = 0;
	u32 i;

	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++) {
		npages += hweight64(going[i]);
		chunk->released[i] |= going[i];
		chunk->dirty[i] &= ~going[i];
	}
	if (!npages)
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

/*
 * Release what is free and backed of a chunk that is not in transit.  Drops the
 * lock.  Pages put back meanwhile stay as they are.
 */
static u64 release_free(struct gca_core *core, struct gca_chunk *chunk)
	__must_hold(&core->lock)
{
	u64 going[GCA_MAP_WORDS(GCARENA_CHUNK_PAGES)];
	u64 halves[GCA_HALF_WORDS];
	u64 kept[GCA_HALF_WORDS] = {};
	u32 held = 0;
	u64 bytes;
	u32 i;

	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++)
		going[i] = chunk->free[i] & ~chunk->released[i];
	GCA_ASSERT(gca_map_count(going, 0, GCARENA_CHUNK_PAGES));
	/* Whole: the host gets all of it, and forgets the chunk. */
	gca_map_double(halves, chunk->nr_free == GCARENA_CHUNK_PAGES ? chunk->free : going,
		       GCA_MAP_WORDS(GCARENA_CHUNK_PAGES));
	gca_chunk_begin_transit(core, chunk);
	gca_unlock(&core->lock);
	bytes = core->ops->release(core->host, chunk->index, halves, kept);
	/* What the host had to keep a part of is not released. */
	for (i = gca_map_next(kept, GCA_CHUNK_HALVES, 0); i < GCA_CHUNK_HALVES;
	     i = gca_map_next(kept, GCA_CHUNK_HALVES, i + 1)) {
		gca_map_clear(going, i / 2, 1);
		held++;
	}
	gca_lock(&core->lock);

	note_released(core, chunk, going);
	core->counters.scavenged_bytes += bytes;
	core->counters.scavenge_kept += (u64)held << GCA_HALF_SHIFT;
	note_kept(core, chunk, held);
	gca_chunk_end_transit(core, chunk);
	return bytes;
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

/* Release in chunks from the top down where at least @threshold pages go. */
static u64 release_inside(struct gca_core *core, u64 bytes, u32 threshold)
	__must_hold(&core->lock)
{
	u32 index = core->top_chunk;
	u64 released = 0;

	while (index-- && released < bytes) {
		struct gca_chunk *chunk = gca_chunk_at(core, index);

		if (index % GCA_LEAF_CHUNKS == 0)
			breathe(core);
		if (!chunk || chunk->transit ||
		    pages_to_release(chunk) < worth_releasing(chunk, threshold))
			continue;
		released += release_free(core, chunk);
	}
	return released;
}

/**
 * gca_core_scavenge - give free memory back to the system
 * @core: the arena
 * @args: in: GCARENA_SCAVENGE_ALL, or how many bytes; out: bytes that came free
 *
 * Return: 0 or -EINVAL.
 */
int gca_core_scavenge(struct gca_core *core, struct gcarena_scavenge *args)
{
	bool all = args->flags & GCARENA_SCAVENGE_ALL;
	u64 bytes = all ? U64_MAX : args->bytes;
	u64 released = 0;
	u32 index = GCA_NONE;

	if (args->flags & ~GCARENA_SCAVENGE_ALL || (all && args->bytes))
		return -EINVAL;
	gca_lock(&core->lock);
	/* Asked to give back: not to be filled again before there is demand, nor by a
	 * worker that is at it while the lock is dropped.
	 */
	core->reserve.goal = 0;
	gca_slots_drain(core);
	gca_withheld_check(core, GCA_WITHHELD_MANY);
	while (released < bytes) {
		index = gca_idle_highest(core, index);
		if (index == GCA_NONE)
			break;
		released += release_free(core, gca_chunk_at(core, index));
		breathe(core);
	}
	if (released < bytes)
		released += release_inside(core, bytes - released, all ? 1 : GCA_BREAK_PAGES);
	args->bytes = released;
	gca_publish(core);
	gca_unlock(&core->lock);
	return 0;
}

/* The highest idle chunk below @below, if it is above the retain goal, or NULL. */
static struct gca_chunk *above_goal(struct gca_core *core, u32 below)
{
	u64 backed = core->counters.heap_sys - core->counters.heap_released;
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
	backed -= gca_page_bytes(pages_to_release(chunk));
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
		release_free(core, chunk);
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
	release_free(core, chunk);
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
		release_free(core, chunk);
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
	note_released(core, chunk, going);
	core->counters.shrink_calls++;
	core->counters.shrink_bytes += bytes;
	note_kept(core, chunk, gca_map_count(kept, 0, GCARENA_CHUNK_PAGES));
	gca_chunk_end_transit(core, chunk);
	gca_reserve_yield(core);
	gca_publish(core);
	gca_unlock(&core->lock);
}
