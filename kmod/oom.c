// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the kernel's log says of the arenas of a process that the OOM killer chose.
 *
 * The killer's own report has the victim's memory by kinds, in which an arena is
 * shmem like any other; debugfs knows better, and is gone with the arena.  So an
 * arena that dies with a victim's mm leaves one line, which "gcarena oom" explains.
 * It must not allocate: there is no memory.
 *
 * Called under the arena's life_lock, with nobody left in the arena.
 */
#include <linux/oom.h>
#include <linux/pid.h>
#include <linux/ratelimit.h>
#include <linux/sched/coredump.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "arena.h"

/* A victim may have a thousand arenas: so many lines in any five seconds. */
#define GCA_OOM_INTERVAL	(5 * HZ)
#define GCA_OOM_LINES		10

static DEFINE_RATELIMIT_STATE(gca_oom_limit, GCA_OOM_INTERVAL, GCA_OOM_LINES);

static u64 kib(u64 bytes)
{
	return bytes >> 10;
}

/*
 * The killer notes the mm with the victim's signals before it kills, and marks the mm
 * when it asks for it to be reaped, possibly after that.  A victim that was waited
 * for already is known by the mark alone.
 */
static bool was_victim(const struct gca_arena *arena, struct task_struct *owner)
{
	if (owner && READ_ONCE(owner->signal->oom_mm) == arena->mm)
		return true;
	return test_bit(MMF_OOM_REAP_QUEUED, &arena->mm->flags);
}

/**
 * gca_oom_report - say what an arena had, if its owner was killed for want of memory
 * @arena: dying, its figures final, its core there still
 */
void gca_oom_report(struct gca_arena *arena)
{
	struct task_struct *owner = get_pid_task(arena->owner, PIDTYPE_TGID);
	struct gcarena_stats stats = {};
	struct gcarena_policy policy;
	char comm[TASK_COMM_LEN] = "-";

	gca_core_stats(arena->core, &stats);
	/* Nothing to tell of one that nobody used: no line that another may need. */
	if (!was_victim(arena, owner) || !stats.counters.heap_sys || !__ratelimit(&gca_oom_limit))
		goto out;
	if (owner)
		get_task_comm(comm, owner);
	gca_core_get_policy(arena->core, &policy);
	pr_info("gcarena: oom: pid=%d arena=%u inuse=%llukB free=%llukB released=%llukB memory=%llukB manual=%llukB meta=%llukB limit=%llukB reclaimed=%llukB sweeps=%llu comm=%*pE\n",
		pid_nr(arena->owner), arena->id, kib(stats.counters.heap_inuse),
		kib(stats.counters.heap_idle - stats.counters.heap_released),
		kib(stats.counters.heap_released),
		kib((u64)READ_ONCE(arena->heap->f_mapping->nrpages) << PAGE_SHIFT),
		kib(stats.counters.heap_manual), kib(stats.counters.meta_sys),
		kib(policy.limit_bytes), kib(stats.counters.shrink_bytes), stats.counters.cycles,
		(int)strnlen(comm, sizeof(comm)), comm);
out:
	if (owner)
		put_task_struct(owner);
}
