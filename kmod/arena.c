// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * An arena's life.
 *
 * It belongs to the mm that set it up.  It dies with that mm (the mmu
 * notifier's release) or with the last reference to its file, whichever comes
 * first; a forked child or a receiver of the descriptor keeps the file and
 * nothing of the arena.  Death takes apart everything a user can cause to
 * grow: the thread, the heap's pages, the core, the metadata.  What is left
 * for the file's release is this structure, two empty inodes and the
 * struct of the mm.
 *
 * Who may touch what:
 *  - A call by the owner, or a fault in its mm, holds mm_users.  Death by the
 *    notifier comes when mm_users is 0, death by release when nobody is in a
 *    call: so owner's calls and faults need no lock against death.
 *  - debugfs readers and scans of the shrinker are waited for; the worker is
 *    stopped.
 *  - Everybody else (another mm's calls and polls, fdinfo) looks only at @dead
 *    and at what lives until release.
 *
 * Locks, outermost first:
 *   gca_file.setup_lock       set-up; held over mmap_lock and allocations
 *     mmap_lock
 *   gca_worker.start_lock     trylock only; over cgroup_mutex and the like
 *   gca_arena.life_lock       dying; over i_mmap_rwsem, folio locks and the
 *                             list of arenas, under which it is only tried
 *     core lock               spinlock, never over anything that sleeps
 *       a slot's lock         spinlock, of a per-CPU cache
 *       the shrinker's list, wait queue locks
 * The notifier's release runs wherever the last mmput() does, possibly with
 * cgroup_mutex held: it must not take setup_lock, start_lock, an inode's or
 * any mmap_lock, and must not wait for anybody who does.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "arena.h"
#include "trace.h"

/* Each arena may cost a kernel thread, which no other limit counts. */
static unsigned int arenas_per_user = 1024;
module_param(arenas_per_user, uint, 0644);
MODULE_PARM_DESC(arenas_per_user, "Arenas that one user without CAP_SYS_RESOURCE may have");

/*
 * Heap sizes, not memory: that bounds what faults take as well, and in proportion
 * the tables, which cannot be swapped.  64 TiB is half of what a process can map.
 */
static unsigned long heap_bytes_per_user = 1UL << 46;
module_param(heap_bytes_per_user, ulong, 0644);
MODULE_PARM_DESC(heap_bytes_per_user,
		 "Sum of the heap sizes of one user's arenas without CAP_SYS_RESOURCE");

static DEFINE_XARRAY_ALLOC1(gca_arenas);
static u32 gca_next_id;
/* Makes counting a user's arenas and adding one a single step. */
static DEFINE_MUTEX(gca_arenas_lock);

static void *gca_op_meta_alloc(void *host, size_t size)
{
	return kvzalloc(size, gca_gfp_meta());
}

static void gca_op_meta_free(void *host, void *mem, size_t size)
{
	kvfree(mem);
}

static void gca_op_sweep_started(void *host)
{
	struct gca_arena *arena = host;
	const struct gcarena_status *status = gca_host_status(arena);

	arena->sweep_mark.ns = ktime_get_ns();
	arena->sweep_mark.swept = status->counters.swept_spans;
	arena->sweep_mark.freed = status->counters.swept_freed;
	trace_gcarena_sweep_begin(arena->id, status->generation, status->sweep_left);
}

static void gca_op_sweep_done(void *host)
{
	struct gca_arena *arena = host;
	const struct gcarena_status *status = gca_host_status(arena);

	trace_gcarena_sweep_end(arena->id, status->generation,
				status->counters.swept_spans - arena->sweep_mark.swept,
				status->counters.swept_freed - arena->sweep_mark.freed,
				ktime_get_ns() - arena->sweep_mark.ns);
	trace_gcarena_cycle(arena->id, status->generation, &status->counters);
	wake_up_poll(arena->events, EPOLLIN | EPOLLRDNORM);
}

static int gca_op_transit_wait(void *host, u32 sequence)
{
	struct gca_arena *arena = host;

	if (wait_event_killable(arena->transit,
				gca_core_transit_sequence(arena->core) != sequence))
		return -EINTR;
	return 0;
}

static void gca_op_transit_wake(void *host)
{
	struct gca_arena *arena = host;

	wake_up_all(&arena->transit);
}

static void gca_op_slots_stocked(void *host)
{
	struct gca_arena *arena = host;

	gca_shrinker_add_ready(arena);
	gca_worker_tick(arena, true);
}

static void gca_op_slots_empty(void *host)
{
	struct gca_arena *arena = host;

	gca_shrinker_del_ready(arena);
	gca_worker_tick(arena, false);
}

static u64 gca_op_now(void *host)
{
	return ktime_get_ns();
}

static void gca_op_pressure(void *host)
{
	struct gca_arena *arena = host;
	const struct gcarena_status *status = gca_host_status(arena);

	trace_gcarena_pressure(arena->id, status);
	wake_up_poll(arena->events, EPOLLPRI);
}

static const struct gca_host_ops gca_ops = {
	.back = gca_backing_back,
	.fill = gca_backing_fill,
	.release = gca_backing_release,
	.meta_alloc = gca_op_meta_alloc,
	.meta_free = gca_op_meta_free,
	.meta_back = gca_meta_back,
	.chunk_idle = gca_shrinker_add,
	.chunk_busy = gca_shrinker_del,
	.collapse = gca_backing_collapse,
	.filled = gca_backing_filled,
	.wake_worker = gca_worker_poke,
	.sweep_done = gca_op_sweep_done,
	.transit_wait = gca_op_transit_wait,
	.transit_wake = gca_op_transit_wake,
	.sweep_started = gca_op_sweep_started,
	.back_ahead = gca_backing_ahead,
	.now = gca_op_now,
	.pressure = gca_op_pressure,
	.slots_stocked = gca_op_slots_stocked,
	.slots_empty = gca_op_slots_empty,
	.held = gca_backing_held,
	.node = gca_populate_node,
	.caller_node = gca_populate_caller_node,
	.node_valid = gca_populate_node_valid,
};

static int gca_arena_register(struct gca_arena *arena)
{
	unsigned int limit = READ_ONCE(arenas_per_user);
	u64 bytes_limit = READ_ONCE(heap_bytes_per_user);
	u64 bytes = arena->heap_size;	/* 2^31 arenas of 2^40 fit */
	struct gca_arena *other;
	unsigned int count = 0;
	unsigned long id;
	int err = 0;

	mutex_lock(&gca_arenas_lock);
	xa_for_each(&gca_arenas, id, other) {
		if (!uid_eq(other->uid, arena->uid))
			continue;
		count++;
		bytes += other->heap_size;
	}
	if (count >= limit)
		err = -EMFILE;
	else if (bytes > bytes_limit)
		err = -EDQUOT;
	if (err && capable(CAP_SYS_RESOURCE))
		err = 0;
	if (!err)
		err = xa_alloc_cyclic(&gca_arenas, &arena->id, arena, xa_limit_31b, &gca_next_id,
				      GCA_GFP_META);
	mutex_unlock(&gca_arenas_lock);
	return min(err, 0);	/* 1 says that ids have wrapped */
}

static void gca_arena_unregister(struct gca_arena *arena)
{
	mutex_lock(&gca_arenas_lock);
	xa_erase(&gca_arenas, arena->id);
	mutex_unlock(&gca_arenas_lock);
}

/**
 * gca_arena_each - look at every arena that is alive
 * @look: called with each; may take its core lock and must not sleep
 * @data: for @look
 *
 * An arena that is dying is passed over, never waited for: whoever takes it
 * apart holds its life_lock and comes for gca_arenas_lock.
 */
void gca_arena_each(void (*look)(struct gca_arena *arena, void *data), void *data)
{
	struct gca_arena *arena;
	unsigned long id;

	mutex_lock(&gca_arenas_lock);
	xa_for_each(&gca_arenas, id, arena) {
		if (!mutex_trylock(&arena->life_lock))
			continue;
		if (!arena->dead)
			look(arena, data);
		mutex_unlock(&arena->life_lock);
	}
	mutex_unlock(&gca_arenas_lock);
}

/* Take the arena apart, once.  @owner_gone: nobody may keep the heap. */
static void gca_arena_die(struct gca_arena *arena, bool owner_gone)
{
	mutex_lock(&arena->life_lock);
	if (!arena->dead) {
		WRITE_ONCE(arena->dead, true);
		wake_up_poll(arena->events, EPOLLHUP | EPOLLERR);
		gca_debugfs_remove(arena);
		gca_worker_stop(arena);
		gca_shrinker_quiesce(arena);
		gca_reclaim_stop(arena);
		gca_shrinker_unanchor(arena);
		gca_oom_report(arena);
		gca_core_destroy(arena->core);
		arena->core = NULL;
		gca_shrinker_free(arena->ready);
		gca_meta_empty(&arena->meta);
		if (owner_gone)
			gca_backing_empty(arena);
		gca_arena_unregister(arena);
	}
	mutex_unlock(&arena->life_lock);
}

static void gca_arena_mm_release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct gca_arena *arena = container_of(notifier, struct gca_arena, notifier);

	/* Also called by mmu_notifier_unregister(): there the owner may live
	 * on, with a heap mapping that is plain memory from now on.
	 */
	gca_arena_die(arena, !atomic_read(&mm->mm_users));
}

static const struct mmu_notifier_ops gca_arena_mm_ops = {
	.release = gca_arena_mm_release,
};

/**
 * gca_arena_transit_init - initialise a queue for gca_host_ops.transit_wait
 * @transit: an arena's, or one to tell lockdep about them
 */
void gca_arena_transit_init(wait_queue_head_t *transit)
{
	init_waitqueue_head(transit);
}

/**
 * gca_arena_create - set up an arena for the calling process
 * @heap_size: bytes
 * @classes: class table, checked by the core
 * @nr_classes: its entries
 * @policy: checked by the core
 * @events: wait queue of the file, which outlives the arena
 * @inode: address space of the file's metadata mappings, likewise
 * @out: where the arena goes
 *
 * Return: 0; -EINVAL; -EMFILE for too many arenas of this user, -EDQUOT for too
 * many bytes; -ENOMEM; -ERESTARTNOINTR
 * when a signal came in between.  After an error nothing is left behind.
 */
int gca_arena_create(u64 heap_size, const struct gcarena_class *classes, u32 nr_classes,
		     const struct gcarena_policy *policy, wait_queue_head_t *events,
		     struct inode *inode, struct gca_arena **out)
{
	struct gca_arena *arena;
	int err;

	arena = kzalloc(sizeof(*arena), GCA_GFP_META);
	if (!arena)
		return -ENOMEM;
	mutex_init(&arena->life_lock);
	gca_arena_transit_init(&arena->transit);
	gca_worker_create(&arena->worker);
	gca_reclaim_create(&arena->reclaim);
	arena->events = events;
	arena->heap_size = heap_size;
	arena->uid = current_uid();
	arena->mm = current->mm;
	arena->owner = get_pid(task_tgid(current));
	arena->notifier.ops = &gca_arena_mm_ops;

	err = gca_backing_create(arena);
	if (err)
		goto out_free;
	err = gca_meta_create(&arena->meta, heap_size, inode);
	if (err)
		goto out_heap;
	err = gca_core_create(&gca_ops, arena, heap_size, classes, nr_classes, policy,
			      &arena->core);
	if (err)
		goto out_meta;
	err = gca_percpu_create(arena);
	if (err)
		goto out_core;
	err = gca_shrinker_create(arena);
	if (err)
		goto out_core;
	err = gca_arena_register(arena);
	if (err)
		goto out_ready;
	err = mmu_notifier_register(&arena->notifier, arena->mm);
	if (err) {
		/* Any signal stops it.  Nothing has happened: begin again. */
		if (err == -EINTR)
			err = -ERESTARTNOINTR;
		goto out_unregister;
	}
	gca_debugfs_add(arena);
	*out = arena;
	return 0;

out_unregister:
	gca_arena_unregister(arena);
out_ready:
	gca_shrinker_free(arena->ready);
out_core:
	gca_core_destroy(arena->core);
out_meta:
	gca_meta_empty(&arena->meta);
out_heap:
	fput(arena->heap);
out_free:
	put_pid(arena->owner);
	kfree(arena);
	return err;
}

/**
 * gca_arena_destroy - the file is going, and with it the arena
 * @arena: dead or alive; no call, fault or metadata mapping left
 */
void gca_arena_destroy(struct gca_arena *arena)
{
	/* Kills it if nothing has yet, and waits if that is going on. */
	mmu_notifier_unregister(&arena->notifier, arena->mm);
	fput(arena->heap);
	put_pid(arena->owner);
	kfree(arena);
}
