// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The arena's kernel thread, gcarena/<id>: sweeps after each cycle, backs chunks
 * of the reserve, scavenges at leisure.
 *
 * Started when the core first has work for it, by the owner on its way out of
 * a call, so that its start can put it into the owner's cgroups.  It follows
 * the owner to other cgroups the same way.  The thread itself must never wait
 * for cgroup_mutex or take a reference on the owner's mm: the owner's last
 * mmput() may come with that mutex held, or from anywhere, and waits for the
 * thread to stop.
 *
 * Sweeping is not throttled, somebody waits for its end; nor is the reserve,
 * which does what refills would have to.  Scavenging gets a fixed share of a CPU.
 * With nothing to do the thread sleeps without a timer.
 */
#include <linux/cgroup.h>
#include <linux/freezer.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>

#include "arena.h"

/* Scavenging rests this many times as long as it worked: 1/20 is 5 % of a CPU. */
#define GCA_REST_FACTOR		19
/* Rests shorter than this are saved up: a timer's wake-up costs, too. */
#define GCA_REST_MIN_NS		(2 * NSEC_PER_MSEC)
/* What per-CPU caches have and nobody refills from them goes after one or two. */
#define GCA_TICK_NS		(NSEC_PER_SEC / 2)
/* Attaching to a cgroup takes system-wide locks; the owner chooses when. */
#define GCA_ATTACH_INTERVAL	HZ

/*
 * A version 2 cgroup that has a kernel thread is never frozen, and is not empty
 * while the thread is in it.
 */
static bool worker_in_cgroup = true;
module_param(worker_in_cgroup, bool, 0644);
MODULE_PARM_DESC(worker_in_cgroup,
		 "Arenas' threads follow their owners into cgroups, which are charged for their CPU time");

/**
 * gca_worker_create - the worker of a new arena, no thread yet
 * @worker: to fill
 */
void gca_worker_create(struct gca_worker *worker)
{
	mutex_init(&worker->start_lock);
	init_waitqueue_head(&worker->wait);
	worker->next_attach = jiffies + GCA_ATTACH_INTERVAL;
}

/**
 * gca_worker_poke - there is work (core lock held)
 * @host: the arena
 *
 * Without a thread the flag stays until gca_worker_tend() finds it.
 */
void gca_worker_poke(void *host)
{
	struct gca_arena *arena = host;

	WRITE_ONCE(arena->worker.work, true);
	wake_up(&arena->worker.wait);
}

/**
 * gca_worker_tick - begin or stop to tick (core lock held)
 * @arena: the arena
 * @wanted: whether to
 */
void gca_worker_tick(struct gca_arena *arena, bool wanted)
{
	WRITE_ONCE(arena->worker.tick, wanted);
	if (wanted)
		gca_worker_poke(arena);
}

/* Tell the core what the thread ran since last time. */
static void gca_worker_count(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;
	u64 now = current->se.sum_exec_runtime;

	if (now > worker->counted_ns)
		gca_core_add_worker_time(arena->core, now - worker->counted_ns);
	worker->counted_ns = now;
}

/* One piece, what it allocates (splitting a folio does) charged to the owner. */
static enum gca_work gca_worker_step(struct gca_arena *arena)
{
	struct mem_cgroup *memcg = get_mem_cgroup_from_mm(arena->mm);
	struct mem_cgroup *old = set_active_memcg(memcg);
	enum gca_work more;

	more = gca_core_work(arena->core);
	gca_backing_recount(arena);
	set_active_memcg(old);
	mem_cgroup_put(memcg);
	return more;
}

/*
 * How long to rest for @ran nanoseconds of scavenging and @rested of resting.
 * Saved up until it is worth a timer.
 */
static u64 gca_worker_due(u64 ran, u64 rested)
{
	u64 due = ran * GCA_REST_FACTOR;

	return due >= rested + GCA_REST_MIN_NS ? due - rested : 0;
}

/* Rest up to @ns; a sweep that starts ends it. */
static u64 gca_worker_rest(struct gca_worker *worker, u64 ns)
{
	u64 start = ktime_get_ns();

	wait_event_freezable_timeout(worker->wait,
				     kthread_should_stop() || READ_ONCE(worker->work),
				     nsecs_to_jiffies(ns) + 1);
	WRITE_ONCE(worker->work, false);
	return ktime_get_ns() - start;
}

static void gca_worker_run(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;
	u64 cpu_before = current->se.sum_exec_runtime;
	u64 ran = 0, rested = 0;

	WRITE_ONCE(worker->work, false);
	/* With mm_users at 0 the owner's memcg can no longer be told, and all
	 * of this is about to go anyway.
	 */
	while (!kthread_should_stop() && atomic_read(&arena->mm->mm_users)) {
		u64 start = ktime_get_ns();
		enum gca_work work = gca_worker_step(arena);
		u64 cpu, due;

		if (work == GCA_WORK_IDLE)
			break;
		cond_resched();
		if (work != GCA_WORK_PACED) {
			cpu_before = current->se.sum_exec_runtime - ran;
			continue;
		}

		/* The scheduler's count has everything in it, but only since
		 * its last look; the clock's has this piece.
		 */
		cpu = current->se.sum_exec_runtime - cpu_before;
		ran = max(ran + ktime_get_ns() - start, cpu);
		due = gca_worker_due(ran, rested);
		if (!due)
			continue;
		rested += gca_worker_rest(worker, due);
		gca_worker_count(arena);
	}
}

/* Until there is work, or may be; until the next tick is due, if one is wanted. */
static void gca_worker_sleep(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;
	u64 ns = gca_core_work_in(arena->core);

	if (READ_ONCE(worker->tick))
		ns = min_t(u64, ns, GCA_TICK_NS);
	if (ns == U64_MAX)
		wait_event_freezable(worker->wait,
				     kthread_should_stop() || READ_ONCE(worker->work));
	else
		wait_event_freezable_timeout(worker->wait,
					     kthread_should_stop() || READ_ONCE(worker->work),
					     nsecs_to_jiffies(ns) + 1);
}

static int gca_worker_main(void *data)
{
	struct gca_arena *arena = data;
	struct gca_worker *worker = &arena->worker;
	unsigned long next_tick = jiffies;

	set_freezable();
	while (!kthread_should_stop()) {
		gca_worker_sleep(arena);
		gca_worker_run(arena);
		if (READ_ONCE(worker->tick) && time_after_eq(jiffies, next_tick)) {
			gca_core_tick(arena->core);
			next_tick = jiffies + nsecs_to_jiffies(GCA_TICK_NS);
		}
		gca_worker_count(arena);
	}
	return 0;
}

/* The owner's cgroups for the thread, in the owner's context. */
static void gca_worker_attach(struct gca_worker *worker)
{
	bool same;

	rcu_read_lock();
	same = task_css_set(current) == task_css_set(worker->task);
	rcu_read_unlock();
	if (!same)
		cgroup_attach_task_all(current, worker->task);
}

/* What stands in for the owner elsewhere goes where the owner is. */
static void gca_worker_follow(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;

	WRITE_ONCE(worker->next_attach, jiffies + GCA_ATTACH_INTERVAL);
	gca_shrinker_follow(arena);
	if (worker->task && READ_ONCE(worker_in_cgroup))
		gca_worker_attach(worker);
}

static void gca_worker_start(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;
	struct task_struct *task;

	task = kthread_create(gca_worker_main, arena, "gcarena/%u", arena->id);
	/* No thread now: the next call tries again. */
	if (IS_ERR(task))
		return;
	WRITE_ONCE(worker->task, task);
	gca_worker_follow(arena);
	wake_up_process(task);
}

/**
 * gca_worker_tend - start the thread if it is wanted, or let it follow
 * @arena: the caller's, in a call that holds no lock
 */
void gca_worker_tend(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;

	bool wanted = !READ_ONCE(worker->task) && READ_ONCE(worker->work);

	if (likely(!wanted && time_before(jiffies, READ_ONCE(worker->next_attach))))
		return;
	/* Whoever holds it does what there is to do. */
	if (!mutex_trylock(&worker->start_lock))
		return;
	if (!worker->task && READ_ONCE(worker->work))
		gca_worker_start(arena);
	else if (!time_before(jiffies, worker->next_attach))
		gca_worker_follow(arena);
	mutex_unlock(&worker->start_lock);
}

/**
 * gca_worker_stop - end the thread, if there is one
 * @arena: dying, so that no call can start one
 */
void gca_worker_stop(struct gca_arena *arena)
{
	struct gca_worker *worker = &arena->worker;

	if (worker->task)
		kthread_stop(worker->task);
	worker->task = NULL;
}
