// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Episodes of reclaim: the owner is told when memory of its cgroup, or of its
 * node, is being reclaimed, whether or not its arena has anything to give.
 *
 * An arena's anchor (shrinker.c) makes reclaim come by.  The first time begins an
 * episode, which the core announces; each later one only notes when it was.  A
 * delayed work ends the episode a second after the last.
 *
 * gca_reclaim_note() and _begin() run inside reclaim, in a read section of the
 * shrinker's scans: the core lock is the most that they take.  An arena that dies
 * waits for those, then for the work, which takes no other lock either.
 */
#include <linux/jiffies.h>

#include "arena.h"

/* Without reclaim for so long an episode is over. */
#define GCA_EPISODE	HZ

static void gca_reclaim_end(struct work_struct *work)
{
	struct gca_reclaim *reclaim = container_of(to_delayed_work(work), struct gca_reclaim, end);
	struct gca_arena *arena = container_of(reclaim, struct gca_arena, reclaim);
	unsigned long last = READ_ONCE(reclaim->last);
	unsigned long over = last + GCA_EPISODE;
	unsigned long now = jiffies;

	if (time_before(now, over)) {
		/* It goes on, and the reserve keeps away for as long. */
		gca_core_reclaim(arena->core, true);
		schedule_delayed_work(&reclaim->end, over - now);
		return;
	}
	gca_core_reclaim(arena->core, false);
	atomic_set(&reclaim->going, 0);
	/* Pairs with gca_reclaim_note(): who came by since took it for going on. */
	smp_mb();
	if (READ_ONCE(reclaim->last) != last)
		gca_reclaim_begin(arena);
}

/**
 * gca_reclaim_create - of a new arena, with no episode
 * @reclaim: to fill
 */
void gca_reclaim_create(struct gca_reclaim *reclaim)
{
	INIT_DELAYED_WORK(&reclaim->end, gca_reclaim_end);
	atomic_set(&reclaim->going, 0);
}

/**
 * gca_reclaim_note - reclaim came by
 * @arena: alive; any locks may be held
 *
 * Return: true if no episode is going on: gca_reclaim_begin() is to follow.
 */
bool gca_reclaim_note(struct gca_arena *arena)
{
	WRITE_ONCE(arena->reclaim.last, jiffies);
	/* Pairs with gca_reclaim_end(): it sees the time, or it has ended. */
	smp_mb();
	return !atomic_read(&arena->reclaim.going);
}

/**
 * gca_reclaim_begin - begin an episode, if nobody else has
 * @arena: alive, and kept so; no spinlock held
 */
void gca_reclaim_begin(struct gca_arena *arena)
{
	if (atomic_xchg(&arena->reclaim.going, 1))
		return;
	gca_core_reclaim(arena->core, true);
	schedule_delayed_work(&arena->reclaim.end, GCA_EPISODE);
}

/**
 * gca_reclaim_stop - no more episodes
 * @arena: dying; reclaim does not find it any more
 */
void gca_reclaim_stop(struct gca_arena *arena)
{
	cancel_delayed_work_sync(&arena->reclaim.end);
}
