// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The reserve: a few chunks that the worker backs ahead of demand, so that a
 * refill finds memory that is there, huge and zero.
 *
 * How many is the goal, at most the policy's reserve_chunks.  It counts idle
 * chunks of any kind: beside chunks that came free nothing need be backed.  It
 * starts at 0, doubles each time that a refill has to back a chunk itself, and
 * follows the rate at which refills take chunks; without demand it halves each
 * period, and what is over is given back.  Reclaim, or a failure to back, makes
 * it 0 for a back-off that doubles until a chunk of the reserve has been of use.
 *
 * Only wholly fresh chunks are backed ahead: the holes of a broken one would be
 * filled by small pages, and a broken chunk was broken because memory was short.
 * Nothing here waits for memory, and nothing is backed under the lock.  A refill
 * never waits for a chunk that is being backed, unless it would fail otherwise:
 * that chunk may be all that the limit leaves.
 */
#include "core_internal.h"

#define NS_PER_S	1000000000ULL

/* How often the goal is looked at while it is not 0. */
#define GCA_RESERVE_PERIOD	NS_PER_S
/*
 * The goal is this part of what was taken in the last period: what refills take
 * while the worker does not get a CPU for an eighth of a second.
 */
#define GCA_RESERVE_PART	8
/* Of back-offs, the first as long as an episode of reclaim lasts. */
#define GCA_BACKOFF_MIN		NS_PER_S
#define GCA_BACKOFF_MAX		(64 * NS_PER_S)

/* Beyond the limit no refill could take it. */
static bool within_limit(const struct gca_core *core)
{
	u64 limit = core->policy.limit_bytes;
	u64 ready = (core->counters.chunks_idle + 1) << GCARENA_CHUNK_SHIFT;

	return !limit || core->counters.heap_inuse + ready <= limit;
}

static bool lacking(const struct gca_core *core)
{
	return core->counters.chunks_idle < core->reserve.goal && within_limit(core);
}

/**
 * gca_reserve_surplus - whether a chunk of the reserve is to be given back
 * @core: the arena, lock held
 *
 * Return: true if more chunks than the goal are idle, one of them is of the
 * reserve, and the retain goal is met without it.
 */
bool gca_reserve_surplus(struct gca_core *core)
{
	u64 backed = gca_backed_bytes(core);

	return !hlist_empty(&core->reserve.list) &&
	       core->counters.chunks_idle > core->reserve.goal &&
	       backed - GCARENA_CHUNK_SIZE >= core->policy.retain_bytes;
}

static void wake(struct gca_core *core)
{
	if (lacking(core)) {
		/* Even if it is awake: it may be resting from scavenging. */
		core->worker_awake = false;
		gca_worker_wake(core);
	} else if (gca_reserve_surplus(core)) {
		gca_worker_wake(core);
	}
}

/**
 * gca_reserve_forget - a chunk is of the reserve no more
 * @core: the arena, lock held
 * @chunk: reserved, in no place
 */
void gca_reserve_forget(struct gca_core *core, struct gca_chunk *chunk)
{
	GCA_ASSERT(chunk->reserved && core->reserve.nr && chunk->place == GCA_PLACE_NONE);
	chunk->reserved = false;
	core->reserve.nr--;
}

/**
 * gca_reserve_take - a refill takes pages of a chunk that was wholly free
 * @core: the arena, lock held
 * @chunk: in no place; its maps do not say so yet
 * @node: that the refill prefers: the next ones may, too
 */
void gca_reserve_take(struct gca_core *core, struct gca_chunk *chunk, int node)
{
	struct gca_reserve *reserve = &core->reserve;
	u32 most = core->policy.reserve_chunks;
	u64 now;

	if (chunk->reserved) {
		gca_reserve_forget(core, chunk);
		core->counters.reserve_taken++;
		reserve->backoff = 0;
	}
	reserve->node = node;
	if (!most)
		return;
	now = core->ops->now(core->host);
	if (now < reserve->retry)
		return;
	reserve->taken++;
	if (!reserve->goal)
		reserve->tick = now + GCA_RESERVE_PERIOD;
	if (chunk->nr_released == GCARENA_CHUNK_PAGES)
		reserve->goal = min(most, reserve->goal ? 2 * reserve->goal : 1);
	wake(core);
}

/* No reserve for a while, longer each time that the last was in vain. */
static void back_off(struct gca_core *core)
{
	struct gca_reserve *reserve = &core->reserve;
	u64 now = core->ops->now(core->host);

	reserve->goal = 0;
	reserve->taken = 0;
	if (now >= reserve->retry) {
		reserve->backoff = min(max(2 * reserve->backoff, GCA_BACKOFF_MIN),
				       GCA_BACKOFF_MAX);
		core->counters.reserve_backoffs++;
	}
	reserve->retry = now + reserve->backoff;
}

/**
 * gca_reserve_yield - memory is wanted elsewhere
 * @core: the arena, lock held
 */
void gca_reserve_yield(struct gca_core *core)
{
	if (!core->policy.reserve_chunks)
		return;
	back_off(core);
	wake(core);
}

/**
 * gca_reserve_policy - the policy has changed
 * @core: the arena, lock held
 */
void gca_reserve_policy(struct gca_core *core)
{
	core->reserve.goal = min(core->reserve.goal, core->policy.reserve_chunks);
	wake(core);
}

static void look_at_goal(struct gca_core *core)
{
	struct gca_reserve *reserve = &core->reserve;
	u32 wanted = DIV_ROUND_UP(reserve->taken, GCA_RESERVE_PART);
	u64 now;

	if (!reserve->goal)
		return;
	now = core->ops->now(core->host);
	if (now < reserve->tick)
		return;
	reserve->goal = max(min(wanted, core->policy.reserve_chunks), reserve->goal / 2);
	reserve->taken = 0;
	reserve->tick = now + GCA_RESERVE_PERIOD;
}

/* A chunk without backing, in transit, or NULL.  May drop the lock. */
static struct gca_chunk *claim_empty(struct gca_core *core) __must_hold(&core->lock)
{
	u32 index = gca_empty_lowest(core);
	struct gca_chunk *chunk;

	if (index == GCA_NONE)
		return NULL;
	chunk = gca_chunk_at(core, index);
	if (chunk) {
		gca_chunk_begin_transit(core, chunk);
		return chunk;
	}
	gca_map_clear(core->map_empty, index, 1);
	if (gca_chunk_create(core, index)) {
		gca_empty_unclaim(core, index);
		return NULL;
	}
	return gca_chunk_at(core, index);
}

/**
 * gca_reserve_step - the worker's part: back one chunk if one is lacking
 * @core: the arena, lock held; dropped meanwhile
 *
 * Return: false if none was lacking, or could be had.
 */
bool gca_reserve_step(struct gca_core *core)
{
	int node = core->policy.node ? core->policy.node - 1 : core->reserve.node;
	struct gca_chunk *chunk;
	int on, ret = -ENOMEM;

	look_at_goal(core);
	if (!lacking(core))
		return false;
	chunk = claim_empty(core);
	if (chunk) {
		core->reserve.backing = true;
		gca_unlock(&core->lock);
		ret = core->ops->back_ahead(core->host, chunk->index * GCARENA_CHUNK_PAGES,
					    GCARENA_CHUNK_PAGES, node);
		on = gca_core_node(core, chunk->index);
		gca_lock(&core->lock);
		core->reserve.backing = false;
		if (ret >= 0) {
			gca_chunk_backed(core, chunk, ret > 0, on);
			chunk->reserved = true;
			core->reserve.nr++;
			core->counters.reserve_backed++;
		}
		gca_chunk_end_transit(core, chunk);
	}
	if (ret < 0) {
		core->counters.reserve_failed++;
		back_off(core);
	}
	return ret >= 0;
}

/**
 * gca_core_work_in - when there may be work that nobody announces
 * @core: the arena
 *
 * Return: nanoseconds until the goal of the reserve has to be looked at, U64_MAX
 * if there is none.  An arena without demand has none after some periods, so its
 * worker sleeps.
 */
u64 gca_core_work_in(struct gca_core *core)
{
	u64 left = U64_MAX;

	gca_lock(&core->lock);
	if (core->reserve.goal) {
		u64 now = core->ops->now(core->host);

		left = core->reserve.tick > now ? core->reserve.tick - now : 0;
	}
	gca_unlock(&core->lock);
	return left;
}
