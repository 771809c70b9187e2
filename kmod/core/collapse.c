// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Collapse: which broken chunks are worth being made huge again, and what becomes
 * of one that was.
 *
 * The core only names them, when a sweep has told what is in use; making a huge
 * page of base pages is the system's, asked by the owner.  A chunk is named when it
 * is mostly in use, without holes in spans, and little of it is released, which a collapse
 * takes back.  So
 * that it is not broken and collapsed in turn: scavenging a number of bytes breaks
 * a chunk only where GCA_BREAK_PAGES go, twice what may be free of one that is
 * named; and who was broken, or would not collapse, waits for so many cycles before
 * it is named, twice as many each time.
 *
 * Under the core lock but for the host's operation, the chunk in transit.
 */
#include "core_internal.h"

/* Free pages of a chunk that is mostly in use. */
#define GCA_COLLAPSE_FREE	(GCA_BREAK_PAGES / 2)

/* Released pages that a collapse may take back. */
#define GCA_COLLAPSE_RELEASED	(GCARENA_CHUNK_PAGES / 16)

/* Chunks looked at after one sweep: 16 GiB, some 100 us with the lock. */
#define GCA_COLLAPSE_LOOK	8192U

/* A chunk waits for 2 to the power of so much cycles, at most. */
#define GCA_COLLAPSE_PATIENCE	6

static bool worth(const struct gca_core *core, const struct gca_chunk *chunk)
{
	return chunk->small && !chunk->transit && chunk->nr_free <= GCA_COLLAPSE_FREE &&
	       chunk->nr_released <= GCA_COLLAPSE_RELEASED && !chunk->nr_holes &&
	       core->generation - chunk->broken_at >= 1U << chunk->patience;
}

/* From now on it waits, and the next time for longer. */
static void put_off(struct gca_core *core, struct gca_chunk *chunk)
{
	chunk->broken_at = core->generation;
	if (chunk->patience < GCA_COLLAPSE_PATIENCE)
		chunk->patience++;
}

/**
 * gca_collapse_broken - a chunk was broken by a release inside it
 * @core: the arena, lock held
 * @chunk: the chunk
 */
void gca_collapse_broken(struct gca_core *core, struct gca_chunk *chunk)
{
	put_off(core, chunk);
}

/* So that a reader who finds a number finds as many entries. */
static void publish(struct gcarena_status *status, u32 nr)
{
	/* Pairs with the reader's acquire. */
	smp_store_release(&status->nr_collapse, nr);
}

/**
 * gca_collapse_name - say in the status page which chunks are worth collapsing
 * @core: the arena, lock held; a sweep has just been completed
 */
void gca_collapse_name(struct gca_core *core)
{
	struct gcarena_status *status = gca_host_status(core->host);
	u32 look = min(core->top_chunk, GCA_COLLAPSE_LOOK);
	u32 nr = 0;

	gca_lock_assert_held(&core->lock);
	if (!core->counters.chunks_small && !READ_ONCE(status->nr_collapse))
		return;
	publish(status, 0);
	while (look-- && core->counters.chunks_small && nr < GCARENA_STATUS_COLLAPSE) {
		struct gca_chunk *chunk;

		if (core->next_look >= core->top_chunk)
			core->next_look = 0;
		chunk = gca_chunk_at(core, core->next_look);
		if (chunk && worth(core, chunk))
			WRITE_ONCE(status->collapse[nr++], core->next_look);
		core->next_look++;
	}
	publish(status, nr);
}

/* It is on a huge page: what was released is not any more. */
static void note_collapsed(struct gca_core *core, struct gca_chunk *chunk)
{
	/* Pages may have been put back meanwhile, none taken. */
	gca_holes_clear(core, chunk, chunk->holes);
	core->counters.heap_released -= gca_page_bytes(chunk->nr_released);
	memset(chunk->released, 0, sizeof(chunk->released));
	chunk->nr_released = 0;
	chunk->small = false;
	core->counters.chunks_small--;
	core->counters.collapsed++;
}

/**
 * gca_core_collapse - chunks are to be, or were to be, huge again
 * @core: the arena
 * @chunks: indices, any values
 * @nr: how many
 * @nr_huge: how many of them are huge now
 *
 * Those that are not backed by small pages, or not in use, are passed over.
 *
 * Return: 0 or -EINVAL.
 */
int gca_core_collapse(struct gca_core *core, const u32 *chunks, u32 nr, u32 *nr_huge)
{
	u32 i;

	*nr_huge = 0;
	if (nr > GCARENA_STATUS_COLLAPSE)
		return -EINVAL;
	gca_lock(&core->lock);
	for (i = 0; i < nr; i++) {
		struct gca_chunk *chunk = gca_chunk_at(core, chunks[i]);
		int err;

		if (!chunk || !chunk->small || chunk->transit ||
		    chunk->nr_free == GCARENA_CHUNK_PAGES)
			continue;
		gca_chunk_begin_transit(core, chunk);
		gca_unlock(&core->lock);
		err = core->ops->collapse(core->host, chunk->index);
		gca_lock(&core->lock);
		if (err) {
			put_off(core, chunk);
			core->counters.collapse_failed++;
		} else {
			note_collapsed(core, chunk);
			++*nr_huge;
		}
		gca_chunk_end_transit(core, chunk);
	}
	gca_publish(core);
	gca_unlock(&core->lock);
	return 0;
}
