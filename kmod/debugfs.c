// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /sys/kernel/debug/gcarena/<id>/{stats,spans,validate}: what root sees of an
 * arena.
 *
 * Not an interface to build on: names and lines may change.  Readers cannot
 * meet a dying arena, because removing a debugfs file waits for them; so
 * nothing here may wait for an arena's end.
 */
#include <linux/debugfs.h>
#include <linux/pid.h>
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
	GCA_COUNTER(shrink_calls), GCA_COUNTER(shrink_bytes),
};

static int stats_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	struct gcarena_stats stats = {};
	char comm[TASK_COMM_LEN] = "-";
	struct task_struct *task;
	size_t i;

	BUILD_BUG_ON(ARRAY_SIZE(gca_counters) * sizeof(u64) != sizeof(struct gcarena_counters));

	task = get_pid_task(arena->owner, PIDTYPE_PID);
	if (task) {
		get_task_comm(comm, task);
		put_task_struct(task);
	}
	gca_core_stats(arena->core, &stats);

	seq_printf(m, "pid: %d\n", pid_nr(arena->owner));
	seq_printf(m, "comm: %s\n", comm);
	seq_printf(m, "heap_size: %llu\n", arena->heap_size);
	seq_printf(m, "generation: %u\n", stats.generation);
	seq_printf(m, "sweeping: %u\n", stats.sweeping);
	seq_printf(m, "sweep_left: %llu\n", stats.sweep_left);
	for (i = 0; i < ARRAY_SIZE(gca_counters); i++)
		seq_printf(m, "%s: %llu\n", gca_counters[i].name,
			   *(u64 *)((char *)&stats.counters + gca_counters[i].offset));
	/* Beside the core's own: what the mapping and the host have. */
	seq_printf(m, "mapping_bytes: %llu\n",
		   (u64)READ_ONCE(arena->heap->f_mapping->nrpages) << PAGE_SHIFT);
	seq_printf(m, "host_meta_bytes: %ld\n", atomic_long_read(&arena->meta.bytes));
	seq_printf(m, "host_chunks_idle: %ld\n", atomic_long_read(&arena->idle_chunks));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

/* Position 0 is the heading, page + 1 the first span at or after page. */
static void *spans_find(struct seq_file *m, loff_t *pos)
{
	struct gca_span_info *info = m->private;
	struct gca_arena *arena = file_inode(m->file)->i_private;

	if (*pos == 0)
		return SEQ_START_TOKEN;
	if (*pos - 1 > U32_MAX || !gca_core_next_span(arena->core, *pos - 1, info))
		return NULL;
	*pos = (loff_t)info->page + 1;
	return info;
}

static void *spans_start(struct seq_file *m, loff_t *pos)
{
	return spans_find(m, pos);
}

static void *spans_next(struct seq_file *m, void *v, loff_t *pos)
{
	if (v == SEQ_START_TOKEN)
		*pos = 1;
	else
		*pos += ((struct gca_span_info *)v)->npages;
	return spans_find(m, pos);
}

static void spans_stop(struct seq_file *m, void *v)
{
}

static int spans_show(struct seq_file *m, void *v)
{
	static const char * const states[] = {
		[GCARENA_STATE_FREE] = "free",
		[GCARENA_STATE_READY] = "ready",
		[GCARENA_STATE_HELD] = "held",
		[GCARENA_STATE_SWEPT] = "swept",
		[GCARENA_STATE_UNSWEPT] = "unswept",
		[GCARENA_STATE_SWEEPING] = "sweeping",
		[GCARENA_STATE_MANUAL] = "manual",
		[GCARENA_STATE_TRANSIT] = "transit",
	};
	struct gca_span_info *info = v;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "page npages class state generation objects\n");
		return 0;
	}
	seq_printf(m, "%u %u %u %s %u %u\n", info->page, info->npages, info->span_class,
		   info->state < ARRAY_SIZE(states) ? states[info->state] : "?",
		   info->generation, info->objects);
	return 0;
}

static const struct seq_operations spans_seq_ops = {
	.start = spans_start,
	.next = spans_next,
	.stop = spans_stop,
	.show = spans_show,
};

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

static int spans_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &spans_seq_ops, sizeof(struct gca_span_info));
}

static const struct file_operations spans_fops = {
	.owner = THIS_MODULE,
	.open = spans_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/**
 * gca_debugfs_init - make the directory
 */
void gca_debugfs_init(void)
{
	gca_debugfs = debugfs_create_dir("gcarena", NULL);
}

/**
 * gca_debugfs_exit - remove it, all arenas being gone
 */
void gca_debugfs_exit(void)
{
	debugfs_remove(gca_debugfs);
}

/**
 * gca_debugfs_add - show an arena
 * @arena: complete
 */
void gca_debugfs_add(struct gca_arena *arena)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", arena->id);
	arena->debugfs = debugfs_create_dir(name, gca_debugfs);
	debugfs_create_file("stats", 0400, arena->debugfs, arena, &stats_fops);
	debugfs_create_file("spans", 0400, arena->debugfs, arena, &spans_fops);
	debugfs_create_file("validate", 0400, arena->debugfs, arena, &validate_fops);
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
