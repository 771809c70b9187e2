// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Looking at an arena from outside: its spans, its chunks, its classes.
 *
 * For debugfs, residency and tests.  Reads only.  A walk takes the lock for one
 * span or chunk at a time and for at most one leaf of descriptors that have
 * nothing to show, so it never holds anybody up; what it tells is true of each
 * item at its moment and of no moment as a whole.
 */
#include "core_internal.h"

/*
 * The first chunk at or after @index, in the same leaf, that has a descriptor
 * and, with @used, pages in use.
 */
static struct gca_chunk *chunk_in_leaf(struct gca_core *core, u32 index, bool used)
{
	u32 end = min((index | (GCA_LEAF_CHUNKS - 1)) + 1, core->top_chunk);

	gca_lock_assert_held(&core->lock);
	if (!core->leaves[index >> GCA_LEAF_SHIFT])
		return NULL;
	for (; index < end; index++) {
		struct gca_chunk *chunk = gca_chunk_at(core, index);

		if (chunk && (!used || chunk->nr_free < GCARENA_CHUNK_PAGES))
			return chunk;
	}
	return NULL;
}

/* The first page at or after @from of @chunk that begins a span. */
static u32 first_page_in(const struct gca_chunk *chunk, u32 from)
{
	while (from < GCARENA_CHUNK_PAGES && chunk->records[from].state == GCARENA_STATE_FREE)
		from++;
	return from;
}

static void span_info(struct gca_core *core, u32 page, struct gca_span_info *info)
{
	const struct gca_record *record = gca_record_at(core, page);

	info->page = page;
	info->npages = record->npages;
	info->generation = record->generation;
	info->span_class = record->span_class;
	/* A slot may just be handing it out. */
	info->state = READ_ONCE(record->state);
	if (info->state == GCARENA_STATE_SWEPT && record->generation != core->generation)
		info->state = GCARENA_STATE_UNSWEPT;
	info->objects = gca_lines_count(core, core->generation & 1, page, record->npages,
					&core->classes[record->span_class]);
}

/**
 * gca_core_next_span - walk the spans in use, by address
 * @core: the arena
 * @page: where to begin
 * @info: filled with the first span at or after it
 *
 * Return: false if there is none.
 */
bool gca_core_next_span(struct gca_core *core, u32 page, struct gca_span_info *info)
{
	bool found = false;

	gca_lock(&core->lock);
	while (gca_page_chunk(page) < core->top_chunk) {
		u32 index = gca_page_chunk(page);
		struct gca_chunk *chunk = chunk_in_leaf(core, index, true);

		if (!chunk) {
			page = ((index | (GCA_LEAF_CHUNKS - 1)) + 1) * GCARENA_CHUNK_PAGES;
		} else {
			u32 base = chunk->index * GCARENA_CHUNK_PAGES;
			u32 at = first_page_in(chunk, page > base ? page - base : 0);

			found = at < GCARENA_CHUNK_PAGES;
			if (found) {
				span_info(core, base + at, info);
				break;
			}
			page = base + GCARENA_CHUNK_PAGES;
		}
		gca_unlock(&core->lock);
		gca_relax();
		gca_lock(&core->lock);
	}
	gca_unlock(&core->lock);
	return found;
}

/**
 * gca_core_next_chunk - walk the chunks ever used, by address
 * @core: the arena
 * @chunk: where to begin
 * @info: filled with the first one at or after it
 *
 * Return: false if there is none.
 */
bool gca_core_next_chunk(struct gca_core *core, u32 chunk, struct gca_chunk_info *info)
{
	struct gca_chunk *found = NULL;

	gca_lock(&core->lock);
	while (chunk < core->top_chunk) {
		found = chunk_in_leaf(core, chunk, false);
		if (found)
			break;
		chunk = (chunk | (GCA_LEAF_CHUNKS - 1)) + 1;
		gca_unlock(&core->lock);
		gca_relax();
		gca_lock(&core->lock);
	}
	if (found) {
		info->chunk = found->index;
		info->nr_free = found->nr_free;
		info->nr_released = found->nr_released;
		info->nr_holes = found->nr_holes;
		info->transit = found->transit;
		info->small = found->small;
		info->withheld = found->withheld;
		memcpy(info->free, found->free, sizeof(info->free));
		memcpy(info->released, found->released, sizeof(info->released));
		memcpy(info->holes, found->holes, sizeof(info->holes));
	}
	gca_unlock(&core->lock);
	if (found)
		info->longest = gca_map_longest(info->free, GCARENA_CHUNK_PAGES);
	return found;
}

/**
 * gca_core_class - an entry of the class table
 * @core: the arena
 * @index: of the class
 * @cls: filled with it
 * @capacity: how many objects a span of it holds
 *
 * Return: false past the table's end.
 */
bool gca_core_class(struct gca_core *core, u32 index, struct gcarena_class *cls, u32 *capacity)
{
	if (index >= core->nr_classes)
		return false;
	cls->elem_size = core->classes[index].elem_size;
	cls->npages = core->classes[index].npages;
	cls->flags = core->classes[index].flags;
	*capacity = core->classes[index].capacity;
	return true;
}

/**
 * gca_core_reserve - the reserve and pressure
 * @core: the arena
 * @info: filled
 */
void gca_core_reserve(struct gca_core *core, struct gca_reserve_info *info)
{
	u64 now = core->ops->now(core->host);

	gca_lock(&core->lock);
	info->chunks = core->reserve.nr;
	info->goal = core->reserve.goal;
	info->backoff_ns = core->reserve.retry > now ? core->reserve.retry - now : 0;
	info->pressure = gca_pressure_level(core);
	info->causes = core->pressure.causes;
	gca_unlock(&core->lock);
}
