// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /sys/kernel/debug/gcarena/: what root sees.  Here the files of one value a
 * line; those of one row a thing are in debugfs_walk.c.
 *
 * Documentation/debugfs.rst describes each file and field.  Readers cannot meet
 * a dying arena, because removing a debugfs file waits for them; so nothing
 * here may wait for an arena's end.  Only "validate" holds the core lock for
 * longer than it takes to look at one span or chunk.
 */
#include <linux/debugfs.h>
#include <linux/init_task.h>
#include <linux/math64.h>
#include <linux/memcontrol.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>

#include "arena.h"

static struct dentry *gca_debugfs;

#define GCA_COUNTER(name) { #name, offsetof(struct gcarena_counters, name) }

static const struct {
	const char *name;
	size_t offset;
} gca_counters[] = {
	GCA_COUNTER(heap_sys), GCA_COUNTER(heap_inuse), GCA_COUNTER(heap_idle),
	GCA_COUNTER(heap_released), GCA_COUNTER(heap_manual), GCA_COUNTER(meta_sys),
	GCA_COUNTER(spans_inuse), GCA_COUNTER(spans_held), GCA_COUNTER(chunks_backed),
	GCA_COUNTER(chunks_small), GCA_COUNTER(chunks_idle), GCA_COUNTER(swept_spans),
	GCA_COUNTER(swept_freed), GCA_COUNTER(refill_calls), GCA_COUNTER(refill_spans),
	GCA_COUNTER(refill_central), GCA_COUNTER(refill_swept), GCA_COUNTER(refill_fresh),
	GCA_COUNTER(refill_backed), GCA_COUNTER(refill_failed), GCA_COUNTER(back_small),
	GCA_COUNTER(returned_spans), GCA_COUNTER(scavenged_bytes), GCA_COUNTER(scavenge_broken),
	GCA_COUNTER(worker_ns), GCA_COUNTER(worker_wakeups), GCA_COUNTER(cycles),
	GCA_COUNTER(shrink_calls), GCA_COUNTER(shrink_bytes), GCA_COUNTER(scavenge_kept),
	GCA_COUNTER(scavenge_inside), GCA_COUNTER(heap_holes), GCA_COUNTER(collapsed),
	GCA_COUNTER(collapse_failed), GCA_COUNTER(reserve_backed),
	GCA_COUNTER(reserve_taken), GCA_COUNTER(reserve_released), GCA_COUNTER(reserve_failed),
	GCA_COUNTER(reserve_backoffs), GCA_COUNTER(pressure_events), GCA_COUNTER(heap_ready),
	GCA_COUNTER(spans_ready), GCA_COUNTER(refill_ready), GCA_COUNTER(refill_hits),
	GCA_COUNTER(ready_drained), GCA_COUNTER(chunks_withheld),
	GCA_COUNTER(refill_remote),
};

static void show_counters(struct seq_file *m, const struct gcarena_counters *counters)
{
	size_t i;

	BUILD_BUG_ON(ARRAY_SIZE(gca_counters) * sizeof(u64) != sizeof(*counters));
	for (i = 0; i < ARRAY_SIZE(gca_counters); i++)
		seq_printf(m, "%s: %llu\n", gca_counters[i].name,
			   *(u64 *)((char *)counters + gca_counters[i].offset));
}

static u64 mapping_bytes(const struct gca_arena *arena)
{
	return (u64)READ_ONCE(arena->heap->f_mapping->nrpages) << PAGE_SHIFT;
}

static u64 permille(u64 part, u64 whole)
{
	return whole ? div64_u64(part * 1000, whole) : 0;
}

/* Refills that went the long way, by how deep they had to go. */
static void show_latency(struct seq_file *m, struct gca_arena *arena)
{
	static const char * const names[GCA_LEVELS] = {
		[GCA_LEVEL_READY] = "ready",
		[GCA_LEVEL_CENTRAL] = "central",
		[GCA_LEVEL_SWEEP] = "sweep",
		[GCA_LEVEL_FRESH] = "fresh",
		[GCA_LEVEL_BACK] = "back",
	};
	int i;

	for (i = 0; i < GCA_LEVELS; i++)
		gca_latency_show(m, names[i], &arena->latency[i]);
}

/* Spans and their bytes by state. */
static void show_spans_by_state(struct seq_file *m, struct gca_arena *arena)
{
	u64 spans[GCA_STATES] = {}, pages[GCA_STATES] = {};
	struct gca_span_info info;
	u32 page = 0;
	int i;

	while (!fatal_signal_pending(current) &&
	       gca_core_next_span(arena->core, page, &info)) {
		spans[info.state]++;
		pages[info.state] += info.npages;
		page = info.page + info.npages;
		cond_resched();
	}
	for (i = GCARENA_STATE_FREE + 1; i < GCA_STATES; i++) {
		seq_printf(m, "state_%s_spans: %llu\n", gca_state_name(i), spans[i]);
		seq_printf(m, "state_%s_bytes: %llu\n", gca_state_name(i),
			   pages[i] << GCARENA_PAGE_SHIFT);
	}
	seq_printf(m, "span_records_inuse: %llu\n", spans[GCARENA_STATE_READY] +
		   spans[GCARENA_STATE_HELD] + spans[GCARENA_STATE_SWEPT] +
		   spans[GCARENA_STATE_UNSWEPT] + spans[GCARENA_STATE_SWEEPING] +
		   spans[GCARENA_STATE_MANUAL] + spans[GCARENA_STATE_TRANSIT]);
}

/* Descriptors, and what idles in chunks that are in use. */
static void show_chunks(struct seq_file *m, struct gca_arena *arena)
{
	u64 chunks = 0, in_use = 0, pages = 0, idle = 0;
	struct gca_chunk_info info;
	u32 chunk = 0;

	while (!fatal_signal_pending(current) &&
	       gca_core_next_chunk(arena->core, chunk, &info)) {
		chunks++;
		if (info.nr_free < GCARENA_CHUNK_PAGES) {
			in_use++;
			pages += GCARENA_CHUNK_PAGES - info.nr_free;
			/* In transit, pages that are taken may be released as well. */
			idle += info.nr_free - min(info.nr_free, info.nr_released);
		}
		chunk = info.chunk + 1;
		cond_resched();
	}
	seq_printf(m, "span_records: %llu\n", chunks * GCARENA_CHUNK_PAGES);
	seq_printf(m, "chunk_descriptors: %llu\n", chunks);
	seq_printf(m, "chunk_descriptors_inuse: %llu\n", in_use);
	seq_printf(m, "partial_idle_bytes: %llu\n", idle << GCARENA_PAGE_SHIFT);
	seq_printf(m, "fragmentation_permille: %llu\n", permille(idle, pages + idle));
}

/* What is behind it all, as the page cache knows it. */
static void show_residency(struct seq_file *m, struct gca_arena *arena)
{
	struct gca_resident resident;
	u64 bases[GCA_RES_STATES] = {};
	u32 chunk;
	int i;

	for (chunk = 0; !fatal_signal_pending(current) && gca_residency_next(arena, &chunk);
	     chunk++) {
		gca_residency_look(arena, chunk * GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES,
				   &resident);
		for (i = 0; i < GCA_RES_STATES; i++)
			bases[i] += resident.bases[i];
		cond_resched();
	}
	seq_printf(m, "resident_huge_bytes: %llu\n", bases[GCARENA_RES_HUGE] << PAGE_SHIFT);
	seq_printf(m, "resident_small_bytes: %llu\n", bases[GCARENA_RES_SMALL] << PAGE_SHIFT);
	seq_printf(m, "swapped_bytes: %llu\n", bases[GCARENA_RES_SWAPPED] << PAGE_SHIFT);
	seq_printf(m, "huge_coverage_permille: %llu\n",
		   permille(bases[GCARENA_RES_HUGE],
			    bases[GCARENA_RES_HUGE] + bases[GCARENA_RES_SMALL]));
}

static int stats_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	struct gcarena_stats stats = {};
	char comm[TASK_COMM_LEN] = "-";
	struct task_struct *task;
	u32 update;

	task = get_pid_task(arena->owner, PIDTYPE_PID);
	if (task) {
		get_task_comm(comm, task);
		put_task_struct(task);
	}
	update = gca_core_snapshot(arena->core, &stats);

	seq_printf(m, "pid: %d\n", pid_nr(arena->owner));
	/* The owner's to choose: it makes no lines of its own. */
	seq_puts(m, "comm: ");
	seq_escape(m, comm, "\n\\");
	seq_putc(m, '\n');
	seq_printf(m, "heap_size: %llu\n", arena->heap_size);
	seq_printf(m, "generation: %u\n", stats.generation);
	seq_printf(m, "update: %u\n", update);
	seq_printf(m, "sweeping: %u\n", stats.sweeping);
	seq_printf(m, "sweep_left: %llu\n", stats.sweep_left);
	show_counters(m, &stats.counters);
	/* Beside the core's own: what the mapping and the host have. */
	seq_printf(m, "mapping_bytes: %llu\n", mapping_bytes(arena));
	seq_printf(m, "host_meta_bytes: %ld\n", atomic_long_read(&arena->meta.bytes));
	seq_printf(m, "host_chunks_idle: %ld\n", atomic_long_read(&arena->idle_chunks));
	seq_printf(m, "host_pins: %ld\n", atomic_long_read(&arena->pins));
	show_spans_by_state(m, arena);
	show_chunks(m, arena);
	show_residency(m, arena);
	show_latency(m, arena);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

static int scavenger_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	/* The thread is stopped only when nobody reads here any more. */
	struct task_struct *task = READ_ONCE(arena->worker.task);
	struct gcarena_policy policy;
	struct gcarena_stats stats = {};
	struct gca_reserve_info reserve;
	u64 backed, above = 0;

	gca_core_stats(arena->core, &stats);
	gca_core_get_policy(arena->core, &policy);
	gca_core_reserve(arena->core, &reserve);
	backed = stats.counters.heap_sys - stats.counters.heap_released -
		 stats.counters.heap_holes;
	if (policy.retain_bytes && backed > policy.retain_bytes)
		above = min(backed - policy.retain_bytes,
			    stats.counters.chunks_idle << GCARENA_CHUNK_SHIFT);

	seq_printf(m, "limit_bytes: %llu\n", policy.limit_bytes);
	seq_printf(m, "retain_bytes: %llu\n", policy.retain_bytes);
	seq_printf(m, "backed_bytes: %llu\n", backed);
	seq_printf(m, "above_goal_bytes: %llu\n", above);
	seq_printf(m, "chunks_idle: %llu\n", stats.counters.chunks_idle);
	seq_printf(m, "scavenged_bytes: %llu\n", stats.counters.scavenged_bytes);
	seq_printf(m, "scavenge_broken: %llu\n", stats.counters.scavenge_broken);
	seq_printf(m, "scavenge_inside: %llu\n", stats.counters.scavenge_inside);
	seq_printf(m, "heap_holes: %llu\n", stats.counters.heap_holes);
	seq_printf(m, "reserve_max: %u\n", policy.reserve_chunks);
	seq_printf(m, "reserve_goal: %u\n", reserve.goal);
	seq_printf(m, "reserve_chunks: %u\n", reserve.chunks);
	seq_printf(m, "reserve_backoff_ns: %llu\n", reserve.backoff_ns);
	seq_printf(m, "pressure: %u\n", reserve.pressure);
	seq_printf(m, "pressure_causes: %u\n", reserve.causes);
	seq_printf(m, "worker_pid: %d\n", task ? task_pid_nr(task) : 0);
	seq_printf(m, "worker_work: %d\n", READ_ONCE(arena->worker.work));
	seq_printf(m, "worker_ns: %llu\n", stats.counters.worker_ns);
	seq_printf(m, "worker_wakeups: %llu\n", stats.counters.worker_wakeups);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(scavenger);

/**
 * struct gca_totals - sums over the arenas that are alive
 * @arenas: how many
 * @heap_size: bytes
 * @mapping: bytes in their mappings
 * @meta: bytes of their tables and bitmaps
 * @counters: the sum of each
 */
struct gca_totals {
	u64 arenas;
	u64 heap_size;
	u64 mapping;
	u64 meta;
	struct gcarena_counters counters;
};

static void totals_add(struct gca_arena *arena, void *data)
{
	struct gca_totals *totals = data;
	struct gcarena_stats stats = {};
	size_t i;

	gca_core_stats(arena->core, &stats);
	totals->arenas++;
	totals->heap_size += arena->heap_size;
	totals->mapping += mapping_bytes(arena);
	totals->meta += atomic_long_read(&arena->meta.bytes);
	for (i = 0; i < ARRAY_SIZE(gca_counters); i++)
		*(u64 *)((char *)&totals->counters + gca_counters[i].offset) +=
			*(u64 *)((char *)&stats.counters + gca_counters[i].offset);
}

static int totals_show(struct seq_file *m, void *unused)
{
	struct gca_totals totals = {};

	gca_arena_each(totals_add, &totals);
	seq_printf(m, "arenas: %llu\n", totals.arenas);
	seq_printf(m, "heap_size: %llu\n", totals.heap_size);
	show_counters(m, &totals.counters);
	seq_printf(m, "mapping_bytes: %llu\n", totals.mapping);
	seq_printf(m, "host_meta_bytes: %llu\n", totals.meta);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(totals);

/* Walks everything with the core lock held: for tests. */
static int validate_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	int err = gca_core_validate(arena->core);

	if (err)
		return err;
	seq_puts(m, "ok\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(validate);

/**
 * gca_debugfs_init - make the directory
 */
void gca_debugfs_init(void)
{
	gca_debugfs = debugfs_create_dir("gcarena", NULL);
	debugfs_create_file("totals", 0400, gca_debugfs, NULL, &totals_fops);
}

/**
 * gca_debugfs_exit - remove it, all arenas being gone
 */
void gca_debugfs_exit(void)
{
	debugfs_remove(gca_debugfs);
}

/* The root's, which is not exported and never goes. */
static struct mem_cgroup *root_memcg(void)
{
	struct mem_cgroup *memcg = NULL;

#ifdef CONFIG_MEMCG
	rcu_read_lock();
	memcg = mem_cgroup_from_task(&init_task);
	rcu_read_unlock();
#endif
	return memcg;
}

/**
 * gca_debugfs_add - show an arena
 * @arena: complete
 *
 * debugfs allocates in a way that may not fail: at the owner's limit somebody
 * would be killed for it.  So this is charged to the root cgroup; it is some
 * KiB, as often as arenas_per_user allows.
 */
void gca_debugfs_add(struct gca_arena *arena)
{
	struct mem_cgroup *old = set_active_memcg(root_memcg());
	char name[16];

	snprintf(name, sizeof(name), "%u", arena->id);
	arena->debugfs = debugfs_create_dir(name, gca_debugfs);
	debugfs_create_file("stats", 0400, arena->debugfs, arena, &stats_fops);
	debugfs_create_file("scavenger", 0400, arena->debugfs, arena, &scavenger_fops);
	debugfs_create_file("spans", 0400, arena->debugfs, arena, &gca_spans_fops);
	debugfs_create_file("span_classes", 0400, arena->debugfs, arena, &gca_span_classes_fops);
	debugfs_create_file("chunks", 0400, arena->debugfs, arena, &gca_chunks_fops);
	debugfs_create_file("percpu", 0400, arena->debugfs, arena, &gca_percpu_fops);
	debugfs_create_file("validate", 0400, arena->debugfs, arena, &validate_fops);
	set_active_memcg(old);
}

/**
 * gca_debugfs_remove - stop showing it, and wait for readers
 * @arena: about to die
 */
void gca_debugfs_remove(struct gca_arena *arena)
{
	debugfs_remove(arena->debugfs);
	arena->debugfs = NULL;
}
