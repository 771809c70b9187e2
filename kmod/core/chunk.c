// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Chunk descriptors: where they hang, how they come to be, and in which index
 * of the page heap each one stands.
 *
 * A chunk stands in exactly one place, which follows from its maps: whoever
 * changes a map takes the chunk out first and places it again after.  So the
 * host's chunk_idle() and chunk_busy() always pair.  Descriptors live until
 * the core is destroyed, so a pointer once found stays good without the lock.
 */
#include "core_internal.h"

/**
 * gca_core_chunk_index - which chunk a descriptor describes
 * @chunk: the descriptor
 *
 * Return: its index; no lock needed.
 */
u32 gca_core_chunk_index(const struct gca_chunk *chunk)
{
	return chunk->index;
}

/**
 * gca_core_chunk_reserved - whether a chunk is of the reserve
 * @chunk: the descriptor, of an idle chunk
 *
 * Return: true if it was backed ahead of demand and not taken since.
 */
bool gca_core_chunk_reserved(const struct gca_chunk *chunk)
{
	return chunk->reserved;
}

static void chunk_mem_free(struct gca_core *core, struct gca_chunk *chunk)
{
	if (chunk->records)
		core->ops->meta_free(core->host, chunk->records,
				     sizeof(*chunk->records) * GCARENA_CHUNK_PAGES);
	core->ops->meta_free(core->host, chunk, sizeof(*chunk));
}

static struct gca_chunk *chunk_mem_alloc(struct gca_core *core, u32 index)
{
	struct gca_chunk *chunk = core->ops->meta_alloc(core->host, sizeof(*chunk));

	if (!chunk)
		return NULL;
	chunk->records = core->ops->meta_alloc(core->host,
					       sizeof(*chunk->records) * GCARENA_CHUNK_PAGES);
	if (!chunk->records) {
		chunk_mem_free(core, chunk);
		return NULL;
	}
	chunk->index = index;
	chunk->node = GCA_NODE_ANY;
	chunk->nr_free = GCARENA_CHUNK_PAGES;
	chunk->nr_released = GCARENA_CHUNK_PAGES;
	gca_map_set(chunk->free, 0, GCARENA_CHUNK_PAGES);
	gca_map_set(chunk->released, 0, GCARENA_CHUNK_PAGES);
	return chunk;
}

/**
 * gca_chunk_create - take a chunk into use: its descriptor, rows and lines
 * @core: the arena, lock held; dropped meanwhile
 * @index: a chunk whose bit in map_empty the caller has cleared, which makes
 *	it the only one who creates it
 *
 * Leaves the chunk placed nowhere, in transit.
 *
 * Return: 0, -ENOMEM or what meta_back() said.
 */
int gca_chunk_create(struct gca_core *core, u32 index) __must_hold(&core->lock)
{
	u32 leaf_index = index >> GCA_LEAF_SHIFT;
	const size_t leaf_size = sizeof(struct gca_chunk *) * GCA_LEAF_CHUNKS;
	struct gca_chunk **leaf = NULL;
	bool need_leaf = !core->leaves[leaf_index];
	struct gca_chunk *chunk;
	long tables = -ENOMEM;

	core->nr_transit++;
	gca_unlock(&core->lock);

	chunk = chunk_mem_alloc(core, index);
	if (chunk && need_leaf)
		leaf = core->ops->meta_alloc(core->host, leaf_size);
	if (chunk && (leaf || !need_leaf))
		tables = core->ops->meta_back(core->host, index);
	if (tables < 0) {
		if (chunk)
			chunk_mem_free(core, chunk);
		if (leaf)
			core->ops->meta_free(core->host, leaf, leaf_size);
	}

	gca_lock(&core->lock);
	core->nr_transit--;
	gca_transit_changed(core);
	if (tables < 0)
		return tables;

	if (leaf && !core->leaves[leaf_index]) {
		core->leaves[leaf_index] = leaf;
		core->counters.meta_sys += leaf_size;
	} else if (leaf) {
		core->ops->meta_free(core->host, leaf, leaf_size);
	}
	core->leaves[leaf_index][index % GCA_LEAF_CHUNKS] = chunk;
	core->top_chunk = max(core->top_chunk, index + 1);
	core->counters.meta_sys += tables + sizeof(*chunk) +
				   sizeof(*chunk->records) * GCARENA_CHUNK_PAGES;
	core->counters.heap_sys += GCARENA_CHUNK_SIZE;
	core->counters.heap_idle += GCARENA_CHUNK_SIZE;
	core->counters.heap_released += GCARENA_CHUNK_SIZE;
	gca_chunk_begin_transit(core, chunk);
	return 0;
}

static void bucket_add(struct gca_core *core, struct gca_chunk *chunk)
{
	u32 longest = gca_map_longest(chunk->free, GCARENA_CHUNK_PAGES);
	u32 slot = chunk->nr_free - 1;

	chunk->longest = longest;
	chunk->order = fls64(longest) - 1;
	hlist_add_head(&chunk->link, &core->bucket[chunk->order][slot]);
	gca_map_set(core->bucket_map[chunk->order], slot, 1);
}

static void bucket_del(struct gca_core *core, struct gca_chunk *chunk)
{
	u32 slot = chunk->nr_free - 1;

	hlist_del_init(&chunk->link);
	if (hlist_empty(&core->bucket[chunk->order][slot]))
		gca_map_clear(core->bucket_map[chunk->order], slot, 1);
}

/**
 * gca_chunk_place - put a chunk where its maps say it belongs
 * @core: the arena, lock held
 * @chunk: in no place
 */
void gca_chunk_place(struct gca_core *core, struct gca_chunk *chunk)
{
	GCA_ASSERT(chunk->place == GCA_PLACE_NONE);
	if (chunk->transit || chunk->withheld || !chunk->nr_free)
		return;
	if (chunk->nr_free < GCARENA_CHUNK_PAGES) {
		bucket_add(core, chunk);
		chunk->place = GCA_PLACE_BUCKET;
	} else if (chunk->nr_released < GCARENA_CHUNK_PAGES) {
		gca_map_set(core->map_idle, chunk->index, 1);
		core->low_idle = min(core->low_idle, chunk->index);
		core->counters.chunks_idle++;
		if (chunk->reserved)
			hlist_add_head(&chunk->link, &core->reserve.list);
		chunk->place = GCA_PLACE_IDLE;
		core->ops->chunk_idle(core->host, chunk);
	} else {
		gca_map_set(core->map_empty, chunk->index, 1);
		core->low_empty = min(core->low_empty, chunk->index);
		chunk->place = GCA_PLACE_EMPTY;
	}
}

static void idle_del(struct gca_core *core, struct gca_chunk *chunk)
{
	gca_map_clear(core->map_idle, chunk->index, 1);
	core->counters.chunks_idle--;
	if (chunk->reserved)
		hlist_del_init(&chunk->link);
}

/**
 * gca_chunk_unplace - take a chunk out of its place, before its maps change
 * @core: the arena, lock held
 * @chunk: in any place
 */
void gca_chunk_unplace(struct gca_core *core, struct gca_chunk *chunk)
{
	switch (chunk->place) {
	case GCA_PLACE_NONE:
		break;
	case GCA_PLACE_BUCKET:
		bucket_del(core, chunk);
		break;
	case GCA_PLACE_IDLE:
		idle_del(core, chunk);
		core->ops->chunk_busy(core->host, chunk);
		break;
	case GCA_PLACE_EMPTY:
		gca_map_clear(core->map_empty, chunk->index, 1);
		break;
	}
	chunk->place = GCA_PLACE_NONE;
}

/**
 * gca_chunk_begin_transit - make the caller the owner of a chunk's backing
 * @core: the arena, lock held
 * @chunk: not in transit
 *
 * Until gca_chunk_end_transit() no page of it is given out.  Pages may still
 * be put back into it.
 */
void gca_chunk_begin_transit(struct gca_core *core, struct gca_chunk *chunk)
{
	GCA_ASSERT(!chunk->transit);
	gca_chunk_unplace(core, chunk);
	chunk->transit = true;
	core->nr_transit++;
}

/**
 * gca_chunk_isolate - begin the transit of a chunk that the host found idle
 * @core: the arena, lock held
 * @chunk: backed and wholly free
 *
 * As gca_chunk_begin_transit(), but without chunk_busy(): the host has the
 * chunk in its hands and takes it off its list itself.
 */
void gca_chunk_isolate(struct gca_core *core, struct gca_chunk *chunk)
{
	GCA_ASSERT(chunk->place == GCA_PLACE_IDLE && !chunk->transit);
	idle_del(core, chunk);
	chunk->place = GCA_PLACE_NONE;
	chunk->transit = true;
	core->nr_transit++;
}

/**
 * gca_chunk_end_transit - the reverse; wakes who waits for pages
 * @core: the arena, lock held
 * @chunk: in transit
 */
void gca_chunk_end_transit(struct gca_core *core, struct gca_chunk *chunk)
{
	GCA_ASSERT(chunk->transit && core->nr_transit);
	chunk->transit = false;
	core->nr_transit--;
	gca_chunk_place(core, chunk);
	gca_transit_changed(core);
}

/**
 * gca_chunk_withhold - give nothing out of a chunk, or again
 * @core: the arena, lock held
 * @chunk: in no place
 * @withhold: which
 *
 * What I/O has in its hands must not be anybody's else until I/O is done.  The host
 * cannot say which pages of a huge one these are.
 */
void gca_chunk_withhold(struct gca_core *core, struct gca_chunk *chunk, bool withhold)
{
	GCA_ASSERT(chunk->place == GCA_PLACE_NONE);
	if (chunk->withheld == withhold)
		return;
	chunk->withheld = withhold;
	if (withhold) {
		if (chunk->reserved) {
			core->counters.reserve_released++;
			gca_reserve_forget(core, chunk);
		}
		hlist_add_head(&chunk->link, &core->withheld[1]);
		core->counters.chunks_withheld++;
	} else {
		hlist_del_init(&chunk->link);
		core->counters.chunks_withheld--;
	}
}

/**
 * gca_withheld_check - give out again what nobody has in his hands any more
 * @core: the arena, lock held
 * @nr: how many withheld chunks to look at; each comes before one is again
 *
 * Return: whether there is anything to be had.
 */
bool gca_withheld_check(struct gca_core *core, u32 nr)
{
	bool any = false;

	nr = min_t(u64, nr, core->counters.chunks_withheld);
	while (nr--) {
		struct gca_chunk *chunk;

		if (hlist_empty(&core->withheld[0])) {
			core->withheld[0].first = core->withheld[1].first;
			core->withheld[0].first->pprev = &core->withheld[0].first;
			core->withheld[1].first = NULL;
		}
		chunk = hlist_entry(core->withheld[0].first, struct gca_chunk, link);
		if (!chunk->transit && !core->ops->held(core->host, chunk->index)) {
			gca_chunk_withhold(core, chunk, false);
			gca_chunk_place(core, chunk);
			any = true;
			continue;
		}
		hlist_del_init(&chunk->link);
		hlist_add_head(&chunk->link, &core->withheld[1]);
	}
	if (any)
		gca_transit_changed(core);
	return any;
}

/**
 * gca_idle_lowest - the lowest chunk that is backed and wholly free
 * @core: the arena, lock held
 *
 * Return: its index or GCA_NONE.
 */
u32 gca_idle_lowest(struct gca_core *core)
{
	u32 index = gca_map_next(core->map_idle, core->nr_chunks, core->low_idle);

	core->low_idle = index;
	return index < core->nr_chunks ? index : GCA_NONE;
}

/**
 * gca_idle_highest - the highest chunk that is backed and wholly free
 * @core: the arena, lock held
 * @below: consider only chunks below this one
 *
 * Return: its index or GCA_NONE.
 */
u32 gca_idle_highest(struct gca_core *core, u32 below)
{
	return gca_map_last(core->map_idle, min(below, core->top_chunk));
}

/**
 * gca_empty_lowest - the lowest chunk that has no backing
 * @core: the arena, lock held
 *
 * Return: its index, perhaps of a chunk never used, or GCA_NONE.
 */
u32 gca_empty_lowest(struct gca_core *core)
{
	u32 index = gca_map_next(core->map_empty, core->nr_chunks, core->low_empty);

	core->low_empty = index;
	return index < core->nr_chunks ? index : GCA_NONE;
}

/**
 * gca_chunks_free - free all descriptors, when nobody uses the core any more
 * @core: the arena
 */
void gca_chunks_free(struct gca_core *core)
{
	u32 i, k;

	for (i = 0; i < DIV_ROUND_UP(core->nr_chunks, GCA_LEAF_CHUNKS); i++) {
		struct gca_chunk **leaf = core->leaves[i];

		if (!leaf)
			continue;
		for (k = 0; k < GCA_LEAF_CHUNKS; k++)
			if (leaf[k])
				chunk_mem_free(core, leaf[k]);
		core->ops->meta_free(core->host, leaf, sizeof(*leaf) * GCA_LEAF_CHUNKS);
	}
}
