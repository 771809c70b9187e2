// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The shrinker: chunks that are backed and wholly free go back to the system
 * inside reclaim, global or of a memory cgroup, without the program running.
 *
 * One shrinker and one list for the module, by cgroup and node.  A chunk's
 * entry is allocated when the chunk is backed, under the cgroup that is charged
 * for it, and freed when it is released; it is on the list while the core says
 * that the chunk is idle.
 *
 * A scan runs wherever somebody allocates, with whatever locks that holds.  So
 * it must never wait for anybody who may himself be waiting for memory, and
 * never take an arena apart:
 *  - nothing without __GFP_FS, since such a caller may hold a file system's lock;
 *  - the list's lock, inside which the core lock is only tried;
 *  - then no lock but the core lock, in which nobody allocates, and what
 *    gca_backing_reclaim() says.
 *
 * A scan is a read section of gca_scans.  An arena that dies is first marked
 * dead, which scans then leave alone, and waits for those that may not have
 * seen it; its entries go after that.
 *
 * Each arena that ever backed a chunk has an anchor in a list of its own, in its
 * owner's cgroup: there reclaim learns that somebody is to be told, also where
 * nothing is idle.  Counting does that, as the one thing that all reclaim does.
 *
 * Lock order: core lock, then the list's.  Documentation/locking.rst has all.
 */
#include <linux/cgroup.h>
#include <linux/list_lru.h>
#include <linux/memcontrol.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>

#include "arena.h"
#include "compat.h"
#include "trace.h"

/*
 * The shrinker counts base pages, so that its numbers compare with those of the
 * LRU lists.  A scan is asked for at least half a chunk and takes a whole one:
 * that way the half of all idle memory which each pass of reclaim asks for (see
 * seeks) is rounded up to chunks, and a cgroup's only idle chunk goes too.
 */
#define GCA_SHRINK_BATCH	(GCA_CHUNK_BASES / 2)

/*
 * No I/O brings idle memory back and nobody misses what is in it, so half of it
 * goes in every pass, before reclaim works its way to what is in use.
 */
#define GCA_SHRINK_SEEKS	0

/* In place of a chunk's index: what an arena has ready in its per-CPU caches. */
#define GCA_IDLE_READY		U32_MAX

/* Entries looked at for one whose arena is not busy. */
#define GCA_SHRINK_WALK		32

/*
 * Anchors looked at in one pass over a cgroup; the list turns, so that others
 * come next time.  And of those, arenas told: the others' turn comes as well.
 */
#define GCA_ANCHOR_WALK		64
#define GCA_ANCHOR_TELL		8

/**
 * struct gca_anchor - what reclaim finds of an arena that has nothing to give
 * @link: in gca_anchor_lru, from the first backed chunk to the arena's death
 * @arena: whose
 * @group: id of the cgroup that it is charged to, and so found in
 */
struct gca_anchor {
	struct list_head link;
	struct gca_arena *arena;
	u64 group;
};

/**
 * struct gca_told - arenas whose owners are to be told
 * @nr: entries of @arenas
 * @arenas: alive, until the read section ends
 */
struct gca_told {
	unsigned int nr;
	struct gca_arena *arenas[GCA_ANCHOR_TELL];
};

/**
 * struct gca_idle - a backed chunk's entry for the shrinker, or the caches'
 * @link: in gca_idle_lru while the chunk is idle; changed under the arena's
 *	core lock, or by who has the chunk in transit
 * @arena: whose chunk
 * @chunk: its index, or GCA_IDLE_READY
 * @reserved: it is of the reserve; like @link
 */
struct gca_idle {
	struct list_head link;
	struct gca_arena *arena;
	u32 chunk;
	bool reserved;
};

static struct kmem_cache *gca_idle_cache;
static struct list_lru gca_idle_lru;
static struct kmem_cache *gca_anchor_cache;
static struct list_lru gca_anchor_lru;
static struct shrinker *gca_shrinker;
/* Chunks of the reserve on the lists: with none they need not be looked for. */
static atomic_long_t gca_reserved;
DEFINE_STATIC_SRCU(gca_scans);

static struct gca_idle *gca_shrinker_entry(struct gca_arena *arena, u32 chunk, gfp_t gfp)
{
	struct gca_idle *idle = kmem_cache_alloc_lru(gca_idle_cache, &gca_idle_lru, gfp);

	if (idle) {
		idle->arena = arena;
		idle->chunk = chunk;
		idle->reserved = false;
	}
	return idle;
}

/**
 * gca_shrinker_create - make the entry of a new arena's per-CPU caches
 * @arena: the caller's
 *
 * It is on the list while any of them has something.
 *
 * Return: 0 or -ENOMEM.
 */
int gca_shrinker_create(struct gca_arena *arena)
{
	arena->ready = gca_shrinker_entry(arena, GCA_IDLE_READY, GCA_GFP_META);
	return arena->ready ? 0 : -ENOMEM;
}

/**
 * gca_shrinker_add_ready - per-CPU caches have something (core lock held)
 * @arena: the arena
 */
void gca_shrinker_add_ready(struct gca_arena *arena)
{
	WRITE_ONCE(arena->shrinkable, true);
	list_lru_add_obj(&gca_idle_lru, &arena->ready->link);
}

/**
 * gca_shrinker_del_ready - they have nothing any more (core lock held)
 * @arena: the arena
 */
void gca_shrinker_del_ready(struct gca_arena *arena)
{
	list_lru_del_obj(&gca_idle_lru, &arena->ready->link);
}

/* The id of the caller's cgroup, or of the one it works for. */
static u64 gca_shrinker_group(void)
{
	u64 id = 0;
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg;

	rcu_read_lock();
	memcg = current->active_memcg;
	if (!memcg)
		memcg = mem_cgroup_from_task(current);
	if (memcg)
		id = cgroup_id(memcg->css.cgroup);
	rcu_read_unlock();
#endif
	return id;
}

static struct gca_anchor *gca_anchor_create(struct gca_arena *arena, gfp_t gfp)
{
	struct gca_anchor *anchor = kmem_cache_alloc_lru(gca_anchor_cache, &gca_anchor_lru, gfp);

	if (anchor) {
		anchor->arena = arena;
		anchor->group = gca_shrinker_group();
	}
	return anchor;
}

static void gca_anchor_free(struct gca_anchor *anchor)
{
	list_lru_del_obj(&gca_anchor_lru, &anchor->link);
	kmem_cache_free(gca_anchor_cache, anchor);
}

/* Without memory the arena has none, until the next chunk is backed. */
static void gca_shrinker_anchor(struct gca_arena *arena, gfp_t gfp)
{
	struct gca_anchor *anchor;

	if (READ_ONCE(arena->reclaim.anchor))
		return;
	anchor = gca_anchor_create(arena, gfp);
	if (!anchor)
		return;
	/* On the list first: once it is known, another thread may replace and free it. */
	list_lru_add_obj(&gca_anchor_lru, &anchor->link);
	if (cmpxchg(&arena->reclaim.anchor, NULL, anchor))
		gca_anchor_free(anchor);
}

/**
 * gca_shrinker_follow - the owner may have moved to another cgroup
 * @arena: the caller's; gca_worker.start_lock held
 */
void gca_shrinker_follow(struct gca_arena *arena)
{
	struct gca_anchor *old = READ_ONCE(arena->reclaim.anchor);
	struct gca_anchor *anchor;

	if (!old || old->group == gca_shrinker_group())
		return;
	anchor = gca_anchor_create(arena, GCA_GFP_META);
	if (!anchor)
		return;
	WRITE_ONCE(arena->reclaim.anchor, anchor);
	list_lru_add_obj(&gca_anchor_lru, &anchor->link);
	gca_anchor_free(old);
}

/**
 * gca_shrinker_unanchor - reclaim need not find the arena any more
 * @arena: dying, and no scan looks at it
 */
void gca_shrinker_unanchor(struct gca_arena *arena)
{
	if (arena->reclaim.anchor)
		gca_anchor_free(arena->reclaim.anchor);
	arena->reclaim.anchor = NULL;
}

/**
 * gca_shrinker_prepare - make the entry of a chunk about to be backed
 * @arena: the caller's
 * @chunk: index, of a chunk that has no backing
 * @gfp: how hard to try
 *
 * Charged to the caller, or to the active memcg, as the chunk's memory is going
 * to be.
 *
 * Return: 0 or -ENOMEM.
 */
int gca_shrinker_prepare(struct gca_arena *arena, u32 chunk, gfp_t gfp)
{
	struct gca_idle **slot = gca_meta_idle(&arena->meta, chunk);
	struct gca_idle *idle;

	if (WARN_ON_ONCE(*slot))
		return 0;
	idle = gca_shrinker_entry(arena, chunk, gfp);
	if (!idle)
		return -ENOMEM;
	*slot = idle;
	WRITE_ONCE(arena->shrinkable, true);
	gca_shrinker_anchor(arena, gfp);
	return 0;
}

static void gca_shrinker_unlist(struct gca_idle *idle)
{
	if (list_lru_del_obj(&gca_idle_lru, &idle->link) && idle->reserved)
		atomic_long_dec(&gca_reserved);
}

/**
 * gca_shrinker_free - free an entry
 * @idle: of a dying arena that no scan looks at any more, or on no list; or NULL
 */
void gca_shrinker_free(struct gca_idle *idle)
{
	if (!idle)
		return;
	gca_shrinker_unlist(idle);
	kmem_cache_free(gca_idle_cache, idle);
}

/**
 * gca_shrinker_forget - a chunk has no backing any more
 * @arena: the arena
 * @chunk: index; in transit, so on no list
 */
void gca_shrinker_forget(struct gca_arena *arena, u32 chunk)
{
	struct gca_idle **slot = gca_meta_idle(&arena->meta, chunk);

	WARN_ON_ONCE(*slot && !list_empty(&(*slot)->link));
	gca_shrinker_free(*slot);
	*slot = NULL;
}

/**
 * gca_shrinker_add - a chunk became idle (core lock held)
 * @host: the arena
 * @chunk: its descriptor
 */
void gca_shrinker_add(void *host, struct gca_chunk *chunk)
{
	struct gca_arena *arena = host;
	struct gca_idle *idle = *gca_meta_idle(&arena->meta, gca_core_chunk_index(chunk));

	atomic_long_inc(&arena->idle_chunks);
	if (WARN_ON_ONCE(!idle))
		return;
	idle->reserved = gca_core_chunk_reserved(chunk);
	if (idle->reserved)
		atomic_long_inc(&gca_reserved);
	list_lru_add_obj(&gca_idle_lru, &idle->link);
}

/**
 * gca_shrinker_del - a chunk is idle no more (core lock held)
 * @host: the arena
 * @chunk: its descriptor
 */
void gca_shrinker_del(void *host, struct gca_chunk *chunk)
{
	struct gca_arena *arena = host;
	struct gca_idle *idle = *gca_meta_idle(&arena->meta, gca_core_chunk_index(chunk));

	WARN_ON_ONCE(atomic_long_dec_return(&arena->idle_chunks) < 0);
	if (!WARN_ON_ONCE(!idle))
		gca_shrinker_unlist(idle);
}

/**
 * gca_shrinker_quiesce - wait until no scan uses an arena, for good
 * @arena: marked dead
 *
 * Scans do not wait for anybody, so this takes no longer than releasing a chunk.
 */
void gca_shrinker_quiesce(struct gca_arena *arena)
{
	WARN_ON_ONCE(!arena->dead);
	if (READ_ONCE(arena->shrinkable))
		synchronize_srcu_expedited(&gca_scans);
}

/**
 * struct gca_walk - a walk over the list, for one entry
 * @reserved: one of the reserve
 * @found: that entry, taken off the list, or NULL
 * @left: entries to look at; list_lru stops at 0
 * @chunks_only: leave what lies ready in per-CPU caches
 */
struct gca_walk {
	bool reserved;
	struct gca_idle *found;
	unsigned long left;
	bool chunks_only;
};

/* The list's lock is held, which keeps the entry and so its arena. */
static enum lru_status gca_shrinker_isolate(struct list_head *item, struct list_lru_one *list,
					    spinlock_t *lock, void *arg)
{
	struct gca_idle *idle = container_of(item, struct gca_idle, link);
	struct gca_arena *arena = idle->arena;
	struct gca_walk *walk = arg;

	if (walk->reserved && !idle->reserved)
		return LRU_SKIP;
	/* Pairs with gca_shrinker_quiesce(): seen, or waited for. */
	if (READ_ONCE(arena->dead))
		return LRU_SKIP;
	if (idle->chunk == GCA_IDLE_READY) {
		if (walk->chunks_only)
			return LRU_SKIP;
	} else {
		if (!gca_core_shrink_begin(arena->core, idle->chunk))
			return LRU_ROTATE;
		atomic_long_dec(&arena->idle_chunks);
		if (idle->reserved)
			atomic_long_dec(&gca_reserved);
	}
	list_lru_isolate(list, item);
	walk->found = idle;
	walk->left = 0;
	return LRU_REMOVED;
}

/*
 * A chunk taken out of reach, of the reserve if the walk meets one; or, unless
 * @chunks_only, an arena's entry for its caches; or NULL.
 */
static struct gca_idle *gca_shrinker_take(struct shrink_control *sc, bool chunks_only)
{
	struct gca_walk walk = {
		.reserved = atomic_long_read(&gca_reserved),
		.left = GCA_SHRINK_WALK,
		.chunks_only = chunks_only,
	};

	if (walk.reserved)
		list_lru_walk_one(&gca_idle_lru, sc->nid, sc->memcg, gca_shrinker_isolate, &walk,
				  &walk.left);
	if (walk.found)
		return walk.found;
	walk.reserved = false;
	walk.left = GCA_SHRINK_WALK;
	list_lru_walk_one(&gca_idle_lru, sc->nid, sc->memcg, gca_shrinker_isolate, &walk,
			  &walk.left);
	return walk.found;
}

/* Release a chunk in transit: base pages that came free. */
static unsigned long gca_shrinker_release(struct gca_idle *idle)
{
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};
	struct gca_arena *arena = idle->arena;
	u32 chunk = idle->chunk;
	u64 bytes;

	bytes = gca_backing_reclaim(arena, chunk, kept);
	if (!memchr_inv(kept, 0, sizeof(kept)))
		gca_shrinker_forget(arena, chunk);
	trace_gcarena_shrink(arena->id, chunk * GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES, bytes);
	gca_core_shrink_end(arena->core, chunk, kept, bytes);
	return bytes >> PAGE_SHIFT;
}

/*
 * Have an arena's caches drained, so that chunks come wholly free.  A cache that
 * was busy stays, and so does the entry; who adds it at the same time does no harm.
 */
static void gca_shrinker_drain(struct gca_idle *idle)
{
	if (!gca_core_shrink_slots(idle->arena->core))
		list_lru_add_obj(&gca_idle_lru, &idle->link);
}

/* The list's lock is held, which keeps the anchor and so its arena. */
static enum lru_status gca_anchor_ask(struct list_head *item, struct list_lru_one *list,
				      spinlock_t *lock, void *arg)
{
	struct gca_arena *arena = container_of(item, struct gca_anchor, link)->arena;
	struct gca_told *told = arg;

	/* As for gca_shrinker_isolate(). */
	if (!READ_ONCE(arena->dead) && gca_reclaim_note(arena) && told->nr < GCA_ANCHOR_TELL)
		told->arenas[told->nr++] = arena;
	return LRU_ROTATE;
}

/* Somebody reclaims: tell who can be told. */
static void gca_shrinker_tell(struct shrink_control *sc)
{
	unsigned long walk = GCA_ANCHOR_WALK;
	struct gca_told told = {};
	unsigned int i;
	int reader;

	reader = srcu_read_lock(&gca_scans);
	list_lru_walk_one(&gca_anchor_lru, sc->nid, sc->memcg, gca_anchor_ask, &told, &walk);
	for (i = 0; i < told.nr; i++)
		gca_reclaim_begin(told.arenas[i]);
	srcu_read_unlock(&gca_scans, reader);
}

static unsigned long gca_shrinker_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long idle = list_lru_shrink_count(&gca_idle_lru, sc);
	unsigned long anchors = list_lru_shrink_count(&gca_anchor_lru, sc);

	if (anchors)
		gca_shrinker_tell(sc);
	if (idle)
		return idle * GCA_CHUNK_BASES;
	/* Empty means not to ask again before something is added. */
	return anchors ? 0 : SHRINK_EMPTY;
}

static unsigned long gca_shrinker_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	unsigned long freed = SHRINK_STOP;
	struct gca_idle *idle;
	int reader;

	/* Folio locks may be held nonetheless; see gca_backing_reclaim(). */
	if (!(sc->gfp_mask & __GFP_FS))
		return SHRINK_STOP;

	reader = srcu_read_lock(&gca_scans);
	idle = gca_shrinker_take(sc, false);
	if (idle && idle->chunk == GCA_IDLE_READY) {
		gca_shrinker_drain(idle);
		/* Even if no chunk came free: there may be more to do. */
		freed = 0;
		idle = gca_shrinker_take(sc, true);
	}
	if (idle)
		freed = gca_shrinker_release(idle);
	if (freed != SHRINK_STOP)
		sc->nr_scanned = GCA_CHUNK_BASES;
	srcu_read_unlock(&gca_scans, reader);
	return freed;
}

/*
 * Tell lockdep what a scan takes, so that it reports an allocation under one of
 * these locks, or one of them around an arena's death, when it first happens and
 * not when memory is short at that very moment.
 */
static void __init gca_shrinker_prime(void)
{
	wait_queue_head_t transit;
	gca_lock_t core, slot;
	int reader;

	if (!IS_ENABLED(CONFIG_LOCKDEP))
		return;
	gca_core_lock_init(&core);
	gca_core_slot_lock_init(&slot);
	gca_arena_transit_init(&transit);

	fs_reclaim_acquire(GFP_KERNEL);
	reader = srcu_read_lock(&gca_scans);
	gca_lock(&core);
	gca_lock(&slot);
	wake_up_all(&transit);
	gca_unlock(&slot);
	gca_unlock(&core);
	srcu_read_unlock(&gca_scans, reader);
	fs_reclaim_release(GFP_KERNEL);
}

static void gca_anchor_ctor(void *mem)
{
	struct gca_anchor *anchor = mem;

	INIT_LIST_HEAD(&anchor->link);
}

static void gca_idle_ctor(void *mem)
{
	struct gca_idle *idle = mem;

	INIT_LIST_HEAD(&idle->link);
}

/**
 * gca_shrinker_init - begin to take part in reclaim
 *
 * Return: 0 or -ENOMEM.
 */
int __init gca_shrinker_init(void)
{
	int err = -ENOMEM;

	gca_shrinker_prime();
	gca_idle_cache = kmem_cache_create("gcarena_idle", sizeof(struct gca_idle), 0,
					   SLAB_ACCOUNT, gca_idle_ctor);
	if (!gca_idle_cache)
		return err;
	gca_anchor_cache = kmem_cache_create("gcarena_anchor", sizeof(struct gca_anchor), 0,
					     SLAB_ACCOUNT, gca_anchor_ctor);
	if (!gca_anchor_cache)
		goto out_idle;
	gca_shrinker = gca_shrinker_alloc(SHRINKER_MEMCG_AWARE | SHRINKER_NUMA_AWARE);
	if (!gca_shrinker)
		goto out_anchor;
	gca_shrinker->count_objects = gca_shrinker_count;
	gca_shrinker->scan_objects = gca_shrinker_scan;
	gca_shrinker->batch = GCA_SHRINK_BATCH;
	gca_shrinker->seeks = GCA_SHRINK_SEEKS;
	err = gca_shrinker_register(gca_shrinker, &gca_idle_lru, &gca_anchor_lru);
	if (err)
		goto out_shrinker;
	return 0;

out_shrinker:
	gca_shrinker_unregister(gca_shrinker);
out_anchor:
	kmem_cache_destroy(gca_anchor_cache);
out_idle:
	kmem_cache_destroy(gca_idle_cache);
	return err;
}

/**
 * gca_shrinker_exit - the counterpart, all arenas being gone
 */
void gca_shrinker_exit(void)
{
	/* Waits for scans; there is nothing left for them to find. */
	gca_shrinker_unregister(gca_shrinker);
	list_lru_destroy(&gca_anchor_lru);
	list_lru_destroy(&gca_idle_lru);
	kmem_cache_destroy(gca_anchor_cache);
	kmem_cache_destroy(gca_idle_cache);
}
