/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The Linux side of gcarena.ko: what its files share.
 *
 * One open file may own one arena, one arena belongs to one mm.  arena.c says
 * in which order locks nest and who keeps what alive; each other file names
 * the part of struct gca_arena that is its own.
 */
#ifndef GCARENA_ARENA_H
#define GCARENA_ARENA_H

#include <linux/build_bug.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/types.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/gcarena.h>
#include "core/core.h"

/* Base pages in an arena page, and in a chunk. */
#define GCA_PAGE_BASES		(1U << (GCARENA_PAGE_SHIFT - PAGE_SHIFT))
#define GCA_CHUNK_BASES		(1U << (GCARENA_CHUNK_SHIFT - PAGE_SHIFT))

/* Charged to the owner, and rather fails than have somebody killed. */
#define GCA_GFP_META	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)
/* The same by the thread, ahead of demand: what is at hand, or nothing. */
#define GCA_GFP_AHEAD	(__GFP_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

/* For the core's and the arena's own memory, by who asks for it. */
static inline gfp_t gca_gfp_meta(void)
{
	return current->flags & PF_KTHREAD ? GCA_GFP_AHEAD : GCA_GFP_META;
}

/* The four mapped regions. */
enum gca_region {
	GCA_REGION_HEAP,
	GCA_REGION_SPANS,
	GCA_REGION_BITMAPS,
	GCA_REGION_STATUS,
	GCA_REGIONS
};

struct gca_anchor;
struct gca_idle;
struct gca_meta_leaf;
struct seq_file;

/**
 * struct gca_meta - span table, bitmaps and status page (meta.c)
 * @top: one leaf for each GiB of heap, each made when first needed
 * @nr_top: entries of @top
 * @nr_chunks: chunks of the heap
 * @status: the status page
 * @inode: whose address space the metadata mappings are in; the file's alone
 * @bytes: allocated so far, tables of pointers included
 * @unreported: of @bytes, what gca_meta_back() has not yet told the core
 *
 * Pointers go from NULL to an allocation once, by cmpxchg, and stay until the
 * arena dies.
 */
struct gca_meta {
	struct gca_meta_leaf **top;
	u32 nr_top;
	u32 nr_chunks;
	void *status;
	struct inode *inode;
	atomic_long_t bytes;
	atomic_long_t unreported;
};

/**
 * struct gca_worker - the arena's kernel thread (worker.c)
 * @task: NULL until started; written by the owner under @start_lock
 * @wait: where it sleeps
 * @start_lock: one start or re-attachment at a time
 * @work: there is something for gca_core_work(); set under the core lock
 * @tick: gca_core_tick() wants to be called; written under the core lock
 * @next_attach: jiffies before which its cgroups are not looked at again
 * @counted_ns: of its run time, what the core's counter has
 */
struct gca_worker {
	struct task_struct *task;
	wait_queue_head_t wait;
	struct mutex start_lock;	/* trylock only; see arena.c */
	bool work;
	bool tick;
	unsigned long next_attach;
	u64 counted_ns;
};

/**
 * struct gca_sweep_mark - a sweep's beginning, for the trace of its end
 * @ns: when
 * @swept: spans swept before, since set-up
 * @freed: of those, freed
 *
 * Under the core lock.
 */
struct gca_sweep_mark {
	u64 ns;
	u64 swept;
	u64 freed;
};

/* Buckets of a latency: 2^n ns and above, the last without end: 4 s. */
#define GCA_LATENCY_BUCKETS	33

/**
 * struct gca_latency - how long the refills of one level took (latency.c)
 * @count: refills
 * @sum_ns: of all
 * @max_ns: of the longest
 * @bucket: refills by the logarithm of their time
 */
struct gca_latency {
	atomic64_t count;
	atomic64_t sum_ns;
	atomic64_t max_ns;
	atomic64_t bucket[GCA_LATENCY_BUCKETS];
};

/**
 * struct gca_reclaim - who asks for the arena's memory (pressure.c)
 * @anchor: makes reclaim of the owner's cgroup look at the arena (shrinker.c);
 *	NULL until a chunk is backed.  Later changed under gca_worker.start_lock
 * @end: ends an episode
 * @last: jiffies of the last time that reclaim asked; no lock
 * @going: an episode is going on, @end is due
 */
struct gca_reclaim {
	struct gca_anchor *anchor;
	struct delayed_work end;
	unsigned long last;
	atomic_t going;
};

/**
 * struct gca_arena - an arena
 * @id: its name
 * @dead: set once, under @life_lock, before anything is taken apart
 * @uid: who set it up, for the limit on arenas
 * @heap_size: bytes
 * @mm: the owner's; the notifier holds its mm_count until release
 * @owner: process that set it up, for people to read
 * @notifier: tells when @mm is about to go
 * @life_lock: serialises the ways to die
 * @core: the span core; NULL once dead
 * @heap: shmem file of the heap; its pages go at death, the file at release
 * @meta: metadata regions
 * @worker: kernel thread
 * @events: the file's wait queue, for poll
 * @transit: where backing in progress is waited for
 * @idle_chunks: backed and wholly free, as told by the core
 * @pins: broken chunks that have one (pin.c)
 * @sweep_mark: where the last sweep began
 * @shrinkable: a scan may have met it: some chunk has been backed
 * @reclaim: episodes of reclaim
 * @recount: gca_backing_recount() has something to do
 * @ready: entry for the shrinker of what lies ready in per-CPU caches
 * @latency: of refills that went the long way, by level
 * @debugfs: directory
 */
struct gca_arena {
	u32 id;
	bool dead;
	kuid_t uid;
	u64 heap_size;
	struct mm_struct *mm;
	struct pid *owner;
	struct mmu_notifier notifier;
	struct mutex life_lock;		/* see arena.c */
	struct gca_core *core;
	struct file *heap;
	struct gca_meta meta;
	struct gca_worker worker;
	wait_queue_head_t *events;
	wait_queue_head_t transit;
	atomic_long_t idle_chunks;
	atomic_long_t pins;
	bool shrinkable;
	struct gca_reclaim reclaim;
	bool recount;
	struct gca_idle *ready;
	struct gca_latency latency[GCA_LEVELS];
	struct gca_sweep_mark sweep_mark;
	struct dentry *debugfs;
};

/* arena.c */
int gca_arena_create(u64 heap_size, const struct gcarena_class *classes, u32 nr_classes,
		     const struct gcarena_policy *policy, wait_queue_head_t *events,
		     struct inode *inode, struct gca_arena **out);
void gca_arena_destroy(struct gca_arena *arena);
void gca_arena_each(void (*look)(struct gca_arena *arena, void *data), void *data);
void gca_arena_transit_init(wait_queue_head_t *transit);

/* backing.c */
int gca_backing_init(void);
void gca_backing_exit(void);
int gca_backing_create(struct gca_arena *arena);
void gca_backing_empty(struct gca_arena *arena);
int gca_backing_back(void *host, u32 page, u32 npages, int node);
int gca_backing_fill(void *host, u32 chunk, const u64 *halves, int node);
int gca_backing_ahead(void *host, u32 page, u32 npages, int node);
u64 gca_backing_release(void *host, u32 chunk, const u64 *going, u64 *kept);
void gca_backing_recount(struct gca_arena *arena);
u64 gca_backing_reclaim(struct gca_arena *arena, u32 chunk, u64 *kept);
int gca_backing_collapse(void *host, u32 chunk);
bool gca_backing_held(void *host, u32 chunk);
void gca_backing_filled(void *host, u32 chunk);
int gca_backing_mmap(struct gca_arena *arena, struct vm_area_struct *vma);

/* populate.c */

/**
 * struct gca_populate - memory to be had for a part of a heap
 * @arena: whose
 * @index: first base page that is not there yet
 * @end: past the last
 * @gfp: how hard to try
 * @huge: all of it is on huge pages
 */
struct gca_populate {
	struct gca_arena *arena;
	pgoff_t index;
	pgoff_t end;
	gfp_t gfp;
	bool huge;
};

int gca_populate(struct gca_populate *what, int node);
int gca_populate_node(void *host, u32 chunk);
int gca_populate_caller_node(void *host);
bool gca_populate_node_valid(void *host, int node);

/* residency.c */
#define GCA_RES_STATES	(GCARENA_RES_SWAPPED + 1)

/**
 * struct gca_resident - what is in memory of a chunk, or of a part of it
 * @state: of each arena page, enum gcarena_residency_state
 * @bases: base pages in each state
 * @node: of the first that is in memory, or NUMA_NO_NODE
 */
struct gca_resident {
	u8 state[GCARENA_CHUNK_PAGES];
	u32 bases[GCA_RES_STATES];
	int node;
};

void gca_residency_look(struct gca_arena *arena, u32 page, u32 npages, struct gca_resident *out);
bool gca_residency_next(struct gca_arena *arena, u32 *chunk);
int gca_residency_runs(struct gca_arena *arena, struct gcarena_residency *args);

/* meta.c */
int gca_meta_init(void);
void gca_meta_exit(void);
struct inode *gca_meta_inode(void);
int gca_meta_create(struct gca_meta *meta, u64 heap_size, struct inode *inode);
void gca_meta_empty(struct gca_meta *meta);
long gca_meta_back(void *host, u32 chunk);
struct gca_idle **gca_meta_idle(struct gca_meta *meta, u32 chunk);
struct folio **gca_meta_pin(struct gca_meta *meta, u32 chunk);
u64 gca_meta_region_size(const struct gca_arena *arena, enum gca_region region);
int gca_meta_mmap(struct gca_arena *arena, enum gca_region region, struct vm_area_struct *vma);

/* pin.c */
int gca_pin_set(struct gca_arena *arena, u32 chunk, const u64 *going);
void gca_pin_drop(struct gca_arena *arena, u32 chunk);

/* shrinker.c */
int gca_shrinker_init(void);
void gca_shrinker_exit(void);
int gca_shrinker_prepare(struct gca_arena *arena, u32 chunk, gfp_t gfp);
void gca_shrinker_forget(struct gca_arena *arena, u32 chunk);
void gca_shrinker_free(struct gca_idle *idle);
void gca_shrinker_add(void *host, struct gca_chunk *chunk);
void gca_shrinker_del(void *host, struct gca_chunk *chunk);
void gca_shrinker_quiesce(struct gca_arena *arena);
void gca_shrinker_follow(struct gca_arena *arena);
void gca_shrinker_unanchor(struct gca_arena *arena);

/* pressure.c */
void gca_reclaim_create(struct gca_reclaim *reclaim);
bool gca_reclaim_note(struct gca_arena *arena);
void gca_reclaim_begin(struct gca_arena *arena);
void gca_reclaim_stop(struct gca_arena *arena);
int gca_shrinker_create(struct gca_arena *arena);
void gca_shrinker_add_ready(struct gca_arena *arena);
void gca_shrinker_del_ready(struct gca_arena *arena);

/* oom.c */
void gca_oom_report(struct gca_arena *arena);

/* percpu.c */
int gca_percpu_init(void);
void gca_percpu_exit(void);
int gca_percpu_create(struct gca_arena *arena);
u32 gca_percpu_slot(void);
int gca_percpu_refill(struct gca_arena *arena, void __user *addr);

/* latency.c */
void gca_latency_add(struct gca_latency *latency, u64 ns);
void gca_latency_show(struct seq_file *m, const char *name, const struct gca_latency *latency);

/* worker.c */
void gca_worker_create(struct gca_worker *worker);
void gca_worker_tend(struct gca_arena *arena);
void gca_worker_stop(struct gca_arena *arena);
void gca_worker_poke(void *host);
void gca_worker_tick(struct gca_arena *arena, bool wanted);

/* debugfs.c */
void gca_debugfs_init(void);
void gca_debugfs_exit(void);
void gca_debugfs_add(struct gca_arena *arena);
void gca_debugfs_remove(struct gca_arena *arena);

/* debugfs_walk.c */
#define GCA_STATES	(GCARENA_STATE_TRANSIT + 1)

extern const struct file_operations gca_spans_fops;
extern const struct file_operations gca_span_classes_fops;
extern const struct file_operations gca_chunks_fops;
extern const struct file_operations gca_percpu_fops;
const char *gca_state_name(unsigned int state);

/* device.c */
int gca_device_init(void);
void gca_device_exit(void);
/* The arena of @file, or NULL before set-up. */
struct gca_arena *gca_file_arena(struct file *file);
void gca_refill_undo(struct gca_arena *arena, const struct gcarena_span *ready, u32 nr);

#endif /* GCARENA_ARENA_H */
