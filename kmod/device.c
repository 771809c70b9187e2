// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /dev/gcarena: the calls, and who may make them.
 *
 * Everything that comes from user space is copied, checked for size, flags and
 * reserved fields, and bounded here; what only the core can judge (classes,
 * spans, generations) it judges.  No user memory is touched with a lock held
 * but setup_lock, which nothing takes on a path that user memory needs.
 *
 * Order of checks, the same for every call: known number, aligned address,
 * size, copy, unknown tail, flags and reserved fields, then whether there is an
 * arena and it is the caller's, then the rest.
 */
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "arena.h"
#include "trace.h"
#include "compat.h"

/* What every structure here is aligned to, on 32 bit as well. */
#define GCA_UAPI_ALIGN		sizeof(u32)
/* Spans that a call keeps on its stack rather than allocate room for. */
#define GCA_STACK_SPANS		16
/* Spans swept between two looks at signals and the scheduler. */
#define GCA_ASSIST_STEP		64U

/**
 * struct gca_file - an open file of the device
 * @setup_lock: one set-up at a time
 * @arena: NULL until set-up, then the same until release
 * @events: poll
 * @inode: holds the address space of the file's metadata mappings
 * @seen: the event sequence as last read: what came after it poll reports
 */
struct gca_file {
	struct mutex setup_lock;	/* outermost; see arena.c */
	struct gca_arena *arena;
	wait_queue_head_t events;
	struct inode *inode;
	u64 seen;
};

/**
 * struct gca_call - a call's structure in user memory
 * @addr: its address
 * @size: as the caller has it
 */
struct gca_call {
	void __user *addr;
	u32 size;
};

/**
 * gca_file_arena - the arena of an open file
 * @file: of the device
 *
 * Return: the arena, NULL before set-up.
 */
struct gca_arena *gca_file_arena(struct file *file)
{
	struct gca_file *gf = file->private_data;

	/* Pairs with the release in gca_setup_locked(). */
	return smp_load_acquire(&gf->arena);
}

/* The arena, if the caller may use it. */
static struct gca_arena *gca_callers_arena(struct file *file)
{
	struct gca_arena *arena = gca_file_arena(file);

	if (!arena)
		return ERR_PTR(-ENXIO);
	if (arena->mm != current->mm || READ_ONCE(arena->dead))
		return ERR_PTR(-EIO);
	return arena;
}

/* A structure whose first field is its size, from @addr to @dst. */
static int gca_copy_in(void *dst, u32 ksize, u32 min_size, void __user *addr, u32 *usize)
{
	if (!IS_ALIGNED((uintptr_t)addr, GCA_UAPI_ALIGN))
		return -EINVAL;
	if (get_user(*usize, (u32 __user *)addr))
		return -EFAULT;
	if (*usize < min_size)
		return -EINVAL;
	if (*usize > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(dst, ksize, addr, *usize);
}

static int gca_copy_out(const struct gca_call *call, void *src, u32 ksize)
{
	/* Not what a second read of it found: the checked one. */
	*(u32 *)src = call->size;
	return copy_to_user(call->addr, src, min(call->size, ksize)) ? -EFAULT : 0;
}

/* Policy. */

static int gca_policy_copy_in(struct gcarena_policy *policy, u64 addr)
{
	u32 usize;
	int err;

	err = gca_copy_in(policy, sizeof(*policy), GCARENA_POLICY_SIZE_VER0, u64_to_user_ptr(addr),
			  &usize);
	if (err)
		return err;
	policy->size = sizeof(*policy);
	return gca_core_check_policy(policy);
}

static int gca_ioctl_policy(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_policy_call *args = data;
	struct gcarena_policy policy = {};
	struct gca_call where = { .addr = u64_to_user_ptr(args->policy) };
	struct gca_arena *arena;
	int err;

	if (args->flags & ~GCARENA_POLICY_SET)
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	if (args->flags & GCARENA_POLICY_SET) {
		err = gca_policy_copy_in(&policy, args->policy);
		return err ?: gca_core_set_policy(arena->core, &policy);
	}
	/* Only the size is the caller's, and what is not known here must be zero. */
	err = gca_copy_in(&policy, sizeof(policy), GCARENA_POLICY_SIZE_VER0, where.addr,
			  &where.size);
	if (err)
		return err;
	gca_core_get_policy(arena->core, &policy);
	return gca_copy_out(&where, &policy, sizeof(policy));
}

/* Features and set-up. */

static int gca_ioctl_features(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_features *args = data;

	if (args->flags || args->reserved)
		return -EINVAL;
	*args = (struct gcarena_features) {
		.features = GCARENA_FEATURE_RESIDENCY | GCARENA_FEATURE_SHRINKER |
			    GCARENA_FEATURE_COLLAPSE | GCARENA_FEATURE_STICKY |
			    GCARENA_FEATURE_INSIDE |
			    GCARENA_FEATURE_RESERVE | GCARENA_FEATURE_PRESSURE |
			    GCARENA_FEATURE_PERCPU | GCARENA_FEATURE_NUMA,
		.heap_size_max = GCARENA_HEAP_SIZE_MAX,
		.classes_max = GCARENA_CLASSES_MAX,
		.batch_max = GCARENA_BATCH_MAX,
		.setup_size = sizeof(struct gcarena_setup),
		.policy_size = sizeof(struct gcarena_policy),
		.refill_size = sizeof(struct gcarena_refill),
		.stats_size = sizeof(struct gcarena_stats),
		.status_size = sizeof(struct gcarena_status),
	};
	return gca_copy_out(call, args, sizeof(*args));
}

static int gca_setup_check(const struct gcarena_setup *args)
{
	if (args->flags || args->reserved)
		return -EINVAL;
	if (args->heap_size < GCARENA_HEAP_SIZE_MIN || args->heap_size > GCARENA_HEAP_SIZE_MAX ||
	    !IS_ALIGNED(args->heap_size, GCARENA_CHUNK_SIZE))
		return -EINVAL;
	if (!args->nr_classes || args->nr_classes > GCARENA_CLASSES_MAX ||
	    args->class_size != sizeof(struct gcarena_class))
		return -EINVAL;
	if (!IS_ALIGNED(args->classes, GCA_UAPI_ALIGN))
		return -EINVAL;
	return 0;
}

static void gca_setup_fill(struct gcarena_setup *args, const struct gca_arena *arena)
{
	args->spans_offset = GCARENA_OFF_SPANS;
	args->spans_size = gca_meta_region_size(arena, GCA_REGION_SPANS);
	args->bitmaps_offset = GCARENA_OFF_BITMAPS;
	args->bitmap_size = gca_meta_region_size(arena, GCA_REGION_BITMAPS) / 2;
	args->status_offset = GCARENA_OFF_STATUS;
	args->status_size = gca_meta_region_size(arena, GCA_REGION_STATUS);
	args->id = arena->id;
}

/* setup_lock held, no arena yet. */
static int gca_setup_locked(struct file *file, const struct gca_call *call,
			    struct gcarena_setup *args)
{
	struct gca_file *gf = file->private_data;
	struct gcarena_policy policy = { .size = sizeof(policy) };
	struct gcarena_class *classes;
	struct gca_arena *arena;
	int err;

	if (args->policy) {
		err = gca_policy_copy_in(&policy, args->policy);
		if (err)
			return err;
	}
	classes = vmemdup_array_user(u64_to_user_ptr(args->classes), args->nr_classes,
				     sizeof(*classes));
	if (IS_ERR(classes))
		return PTR_ERR(classes);
	err = gca_core_check_classes(classes, args->nr_classes);
	if (!err)
		err = gca_arena_create(args->heap_size, classes, args->nr_classes, &policy,
				       &gf->events, gf->inode, &arena);
	kvfree(classes);
	if (err)
		return err;

	gca_setup_fill(args, arena);
	err = gca_copy_out(call, args, sizeof(*args));
	if (err) {
		gca_arena_destroy(arena);
		return err;
	}
	/* Pairs with the acquire in gca_file_arena(). */
	smp_store_release(&gf->arena, arena);
	/* EPOLLIN may hold from now on. */
	wake_up_poll(&gf->events, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static int gca_ioctl_setup(struct file *file, const struct gca_call *call, void *data)
{
	struct gca_file *gf = file->private_data;
	struct gcarena_setup *args = data;
	int err;

	err = gca_setup_check(args);
	if (err)
		return err;
	if (mutex_lock_killable(&gf->setup_lock))
		return -EINTR;
	if (gf->arena) {
		struct gca_arena *arena = gca_callers_arena(file);

		err = IS_ERR(arena) ? PTR_ERR(arena) : -EBUSY;
	} else {
		err = gca_setup_locked(file, call, args);
	}
	mutex_unlock(&gf->setup_lock);
	return err;
}

/* Spans in and out. */

/**
 * struct gca_spans - span entries of a call
 * @list: @stack or an allocation
 * @stack: room for a usual batch
 */
struct gca_spans {
	struct gcarena_span *list;
	struct gcarena_span stack[GCA_STACK_SPANS];
};

static int gca_spans_get(struct gca_spans *spans, u32 nr)
{
	spans->list = spans->stack;
	if (nr > GCARENA_BATCH_MAX)
		return -EINVAL;
	if (nr > GCA_STACK_SPANS)
		spans->list = kmalloc_array(nr, sizeof(*spans->list), GCA_GFP_META);
	return spans->list ? 0 : -ENOMEM;
}

static int gca_spans_copy_in(struct gca_spans *spans, u64 addr, u32 nr)
{
	int err = gca_spans_get(spans, nr);

	if (err || !nr)
		return err;
	if (copy_from_user(spans->list, u64_to_user_ptr(addr), nr * sizeof(*spans->list)))
		return -EFAULT;
	return 0;
}

static void gca_spans_put(struct gca_spans *spans)
{
	if (spans->list != spans->stack)
		kfree(spans->list);
}

/**
 * gca_refill_undo - what was filled cannot be told to the caller: back with it
 * @arena: the caller's
 * @ready: spans
 * @nr: how many
 *
 * Those of them that another thread has returned or kept meanwhile, which it can
 * know of from the span table, are passed over.
 */
void gca_refill_undo(struct gca_arena *arena, const struct gcarena_span *ready, u32 nr)
{
	u32 i, taken;

	for (i = 0; i < nr; i += taken)
		if (gca_core_return(arena->core, ready + i, nr - i, &taken))
			taken++;
}

static int gca_refill_run(struct gca_arena *arena, const struct gca_call *call,
			  struct gcarena_refill *args, const struct gca_spans *spent,
			  struct gca_spans *ready)
{
	void __user *out = u64_to_user_ptr(args->ready);
	u64 start = ktime_get_ns();
	u32 wanted = args->nr_ready;
	enum gca_level level;
	u32 filled;
	int err, fault;

	err = gca_core_refill_slot(arena->core, gca_percpu_slot(), args, spent->list, ready->list,
				   &level);
	/* Nothing was looked at: nothing is written. */
	if (level >= GCA_LEVELS)
		return err;
	gca_latency_add(&arena->latency[level], ktime_get_ns() - start);
	filled = err ? 0 : args->nr_ready;
	args->nr_ready = filled;

	fault = filled && copy_to_user(out, ready->list, filled * sizeof(*ready->list)) ?
		-EFAULT : 0;
	/* After an error, too: how many spent spans went is in there. */
	if (!fault)
		fault = gca_copy_out(call, args, sizeof(*args));
	if (fault) {
		gca_refill_undo(arena, ready->list, filled);
		args->nr_ready = 0;
	}
	if (!err)
		err = fault;
	trace_gcarena_refill(arena->id, args, wanted, level, err);
	return err;
}

static int gca_ioctl_refill(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_refill *args = data;
	struct gca_spans spent, ready;
	struct gca_arena *arena;
	int err;

	if (args->flags || args->reserved || args->reserved2 ||
	    !IS_ALIGNED(args->spent | args->ready, GCA_UAPI_ALIGN))
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	err = gca_spans_get(&ready, args->nr_ready);
	if (err)
		return err;
	err = gca_spans_copy_in(&spent, args->spent, args->nr_spent);
	if (!err)
		err = gca_refill_run(arena, call, args, &spent, &ready);
	gca_spans_put(&spent);
	gca_spans_put(&ready);
	return err;
}

/*
 * In steps from the caller's memory: who is at a limit must be able to give back,
 * and so this allocates nothing.
 */
static int gca_return_run(struct gca_arena *arena, struct gcarena_return *args)
{
	struct gcarena_span __user *from = u64_to_user_ptr(args->spent);
	struct gcarena_span step[GCA_STACK_SPANS];
	u32 nr = args->nr_spent;
	u32 done = 0;
	int err = 0;

	args->nr_spent = 0;
	while (!err && args->nr_spent < nr) {
		u32 want = min_t(u32, nr - args->nr_spent, GCA_STACK_SPANS);

		if (copy_from_user(step, from + args->nr_spent, want * sizeof(*step)))
			return -EFAULT;
		err = gca_core_return(arena->core, step, want, &done);
		args->nr_spent += done;
	}
	return err;
}

static int gca_ioctl_return(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_return *args = data;
	struct gca_arena *arena;
	int err, fault;

	if (args->flags || args->reserved || !IS_ALIGNED(args->spent, GCA_UAPI_ALIGN))
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	if (args->nr_spent > GCARENA_BATCH_MAX)
		return -EINVAL;

	err = gca_return_run(arena, args);
	fault = gca_copy_out(call, args, sizeof(*args));
	return err ? err : fault;
}

/* Sweep and scavenge. */

static int gca_ioctl_start_sweep(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_sweep *args = data;
	struct gca_arena *arena;
	int err;

	if (args->flags & ~GCARENA_SWEEP_STICKY)
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	err = gca_core_start_sweep(arena->core, args);
	return err ? err : gca_copy_out(call, args, sizeof(*args));
}

static int gca_ioctl_sweep_assist(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_sweep *args = data;
	u32 wanted = args->nr_spans;
	struct gca_arena *arena;
	u32 swept = 0;
	int err;

	if (args->flags)
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	for (;;) {
		args->nr_spans = min(wanted - swept, GCA_ASSIST_STEP);
		err = gca_core_sweep_assist(arena->core, args);
		if (err)
			return err;
		swept += args->nr_spans;
		if (!args->nr_spans || swept >= wanted || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	args->nr_spans = swept;
	return gca_copy_out(call, args, sizeof(*args));
}

static int gca_ioctl_scavenge(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_scavenge *args = data;
	struct gca_arena *arena;
	int err;

	if (gca_core_check_scavenge(args))
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	err = gca_core_scavenge(arena->core, args);
	gca_backing_recount(arena);
	return err ? err : gca_copy_out(call, args, sizeof(*args));
}

static int gca_ioctl_collapse(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_collapse *args = data;
	u32 chunks[GCARENA_COLLAPSE_MAX];
	struct gca_arena *arena;
	int err = 0;
	u32 i;

	if (args->flags & ~GCARENA_COLLAPSE_BEGIN || !IS_ALIGNED(args->chunks, GCA_UAPI_ALIGN))
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	if (args->nr_chunks > GCARENA_COLLAPSE_MAX)
		return -EINVAL;
	if (copy_from_user(chunks, u64_to_user_ptr(args->chunks),
			   args->nr_chunks * sizeof(chunks[0])))
		return -EFAULT;
	args->nr_huge = 0;
	if (args->flags & GCARENA_COLLAPSE_BEGIN)
		for (i = 0; i < args->nr_chunks; i++)
			gca_pin_drop(arena, chunks[i]);
	else
		err = gca_core_collapse(arena->core, chunks, args->nr_chunks, &args->nr_huge);
	return err ? err : gca_copy_out(call, args, sizeof(*args));
}

static int gca_ioctl_residency(struct file *file, const struct gca_call *call, void *data)
{
	struct gcarena_residency *args = data;
	struct gca_arena *arena;
	int err;

	if (args->flags || args->reserved || !IS_ALIGNED(args->runs, GCA_UAPI_ALIGN))
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);

	err = gca_residency_runs(arena, args);
	return err ? err : gca_copy_out(call, args, sizeof(*args));
}

static int gca_ioctl_stats(struct file *file, const struct gca_call *call, void *data)
{
	struct gca_file *gf = file->private_data;
	struct gcarena_stats *args = data;
	struct gca_arena *arena;
	u64 seen;
	int err;

	if (args->flags)
		return -EINVAL;
	arena = gca_callers_arena(file);
	if (IS_ERR(arena))
		return PTR_ERR(arena);
	memset(args, 0, sizeof(*args));
	gca_core_stats(arena->core, args);
	err = gca_copy_out(call, args, sizeof(*args));
	if (err)
		return err;
	/* Another thread may have read a later one: that stays read. */
	seen = READ_ONCE(gf->seen);
	while (args->sequence > seen && !try_cmpxchg(&gf->seen, &seen, args->sequence))
		;
	return 0;
}

struct gca_ioctl {
	int (*run)(struct file *file, const struct gca_call *call, void *args);
	u32 size;
	u32 min_size;
};

#define GCA_IOCTL(cmd, fn, type, min)					\
	[_IOC_NR(cmd) - _IOC_NR(GCARENA_IOC_FEATURES)] =		\
		{ .run = fn, .size = sizeof(struct type), .min_size = min }

static const struct gca_ioctl gca_ioctls[] = {
	GCA_IOCTL(GCARENA_IOC_FEATURES, gca_ioctl_features, gcarena_features,
		  GCARENA_FEATURES_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_SETUP, gca_ioctl_setup, gcarena_setup, GCARENA_SETUP_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_REFILL, gca_ioctl_refill, gcarena_refill, GCARENA_REFILL_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_RETURN, gca_ioctl_return, gcarena_return, GCARENA_RETURN_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_START_SWEEP, gca_ioctl_start_sweep, gcarena_sweep,
		  GCARENA_SWEEP_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_SWEEP_ASSIST, gca_ioctl_sweep_assist, gcarena_sweep,
		  GCARENA_SWEEP_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_SCAVENGE, gca_ioctl_scavenge, gcarena_scavenge,
		  GCARENA_SCAVENGE_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_POLICY, gca_ioctl_policy, gcarena_policy_call,
		  GCARENA_POLICY_CALL_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_RESIDENCY, gca_ioctl_residency, gcarena_residency,
		  GCARENA_RESIDENCY_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_COLLAPSE, gca_ioctl_collapse, gcarena_collapse,
		  GCARENA_COLLAPSE_SIZE_VER0),
	GCA_IOCTL(GCARENA_IOC_STATS, gca_ioctl_stats, gcarena_stats, GCARENA_STATS_SIZE_VER0),
};

static long gca_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	u32 nr = _IOC_NR(cmd) - _IOC_NR(GCARENA_IOC_FEATURES);
	struct gca_call call = { .addr = (void __user *)arg };
	const struct gca_ioctl *ioctl;
	struct gca_arena *arena;
	union {
		struct gcarena_features features;
		struct gcarena_setup setup;
		struct gcarena_refill refill;
		struct gcarena_return give;
		struct gcarena_sweep sweep;
		struct gcarena_scavenge scavenge;
		struct gcarena_policy_call policy;
		struct gcarena_residency residency;
		struct gcarena_collapse collapse;
		struct gcarena_stats stats;
	} args;
	int err;

	/* Not the size in @cmd: that one may differ as structures grow. */
	if (_IOC_TYPE(cmd) != GCARENA_IOC_MAGIC || _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    nr >= ARRAY_SIZE(gca_ioctls))
		return -ENOTTY;
	if (cmd == GCARENA_IOC_REFILL) {
		arena = gca_callers_arena(file);
		/* Errors are the long way's to tell, in its order. */
		err = IS_ERR(arena) ? -EAGAIN : gca_percpu_refill(arena, call.addr);
		if (err != -EAGAIN)
			return err;
	}
	ioctl = &gca_ioctls[array_index_nospec(nr, ARRAY_SIZE(gca_ioctls))];

	memset(&args, 0, sizeof(args));
	err = gca_copy_in(&args, ioctl->size, ioctl->min_size, call.addr, &call.size);
	if (err)
		return err;
	err = ioctl->run(file, &call, &args);
	arena = gca_callers_arena(file);
	if (!IS_ERR(arena))
		gca_worker_tend(arena);
	return err;
}

/* Mappings. */

static int gca_region_of(const struct gca_arena *arena, u64 offset, enum gca_region *region)
{
	static const u64 base[GCA_REGIONS] = {
		GCARENA_OFF_HEAP, GCARENA_OFF_SPANS, GCARENA_OFF_BITMAPS, GCARENA_OFF_STATUS,
	};
	int i;

	for (i = 0; i < GCA_REGIONS; i++)
		if (offset >= base[i] &&
		    offset - base[i] < gca_meta_region_size(arena, i)) {
			*region = i;
			return 0;
		}
	return -EINVAL;
}

static int gca_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct gca_arena *arena = gca_callers_arena(file);
	enum gca_region region;
	int err;

	if (IS_ERR(arena))
		return PTR_ERR(arena);
	/* A file that is not open for both loses VM_SHARED on the way here. */
	if (!(file->f_mode & FMODE_READ) || !(file->f_mode & FMODE_WRITE))
		return -EACCES;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	err = gca_region_of(arena, (u64)vma->vm_pgoff << PAGE_SHIFT, &region);
	if (err)
		return err;
	if (region == GCA_REGION_HEAP)
		return gca_backing_mmap(arena, vma);
	return gca_meta_mmap(arena, region, vma);
}

static unsigned long gca_get_unmapped_area(struct file *file, unsigned long addr,
					   unsigned long len, unsigned long pgoff,
					   unsigned long flags)
{
	struct gca_arena *arena = gca_file_arena(file);

	/* shmem aligns for huge pages, but only its own files. */
	if (arena && pgoff < arena->heap_size >> PAGE_SHIFT)
		return arena->heap->f_op->get_unmapped_area(arena->heap, addr, len, pgoff, flags);
	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
}

/* The rest of a file's operations. */

static __poll_t gca_poll(struct file *file, poll_table *wait)
{
	struct gca_file *gf = file->private_data;
	const struct gcarena_status *status;
	struct gca_arena *arena;
	__poll_t events = 0;

	poll_wait(file, &gf->events, wait);
	arena = gca_file_arena(file);
	if (!arena)
		return 0;
	if (READ_ONCE(arena->dead))
		return EPOLLHUP | EPOLLERR;
	/* Others may wait for the end, but not look inside. */
	if (arena->mm != current->mm)
		return 0;
	if (!gca_core_sweeping(arena->core))
		events |= EPOLLIN | EPOLLRDNORM;
	/* What is in the page is the kernel's: nobody else can write it. */
	status = gca_host_status(arena);
	if (READ_ONCE(status->pressure_sequence) > READ_ONCE(gf->seen))
		events |= EPOLLPRI;
	return events;
}

static void gca_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct gca_arena *arena = gca_file_arena(file);

	if (!arena)
		return;
	seq_printf(m, "gcarena-id:\t%u\n", arena->id);
	seq_printf(m, "gcarena-owner:\t%d\n", pid_nr_ns(arena->owner, task_active_pid_ns(current)));
	seq_printf(m, "gcarena-dead:\t%u\n", READ_ONCE(arena->dead));
	seq_printf(m, "gcarena-heap-size:\t%llu\n", arena->heap_size);
	seq_printf(m, "gcarena-heap-bytes:\t%llu\n",
		   (u64)READ_ONCE(arena->heap->f_mapping->nrpages) << PAGE_SHIFT);
	seq_printf(m, "gcarena-meta-bytes:\t%ld\n", READ_ONCE(arena->dead) ? 0 :
		   atomic_long_read(&arena->meta.bytes));
}

static int gca_open(struct inode *inode, struct file *file)
{
	struct gca_file *gf = kzalloc(sizeof(*gf), GFP_KERNEL_ACCOUNT);

	if (!gf)
		return -ENOMEM;
	gf->inode = gca_meta_inode();
	if (IS_ERR(gf->inode)) {
		int err = PTR_ERR(gf->inode);

		kfree(gf);
		return err;
	}
	mutex_init(&gf->setup_lock);
	init_waitqueue_head(&gf->events);
	file->private_data = gf;
	file->f_mapping = gf->inode->i_mapping;
	return nonseekable_open(inode, file);
}

static int gca_release(struct inode *inode, struct file *file)
{
	struct gca_file *gf = file->private_data;

	if (gf->arena)
		gca_arena_destroy(gf->arena);
	file->f_mapping = inode->i_mapping;
	iput(gf->inode);
	kfree(gf);
	return 0;
}

static const struct file_operations gca_fops = {
	.owner = THIS_MODULE,
	.open = gca_open,
	.release = gca_release,
	.unlocked_ioctl = gca_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = gca_mmap,
	.get_unmapped_area = gca_get_unmapped_area,
	.poll = gca_poll,
	.show_fdinfo = gca_show_fdinfo,
};

/* 0666: an arena is charged to its owner and bounded; see Documentation/uapi.rst. */
static struct miscdevice gca_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "gcarena",
	.fops = &gca_fops,
	.mode = 0666,
};

/**
 * gca_device_init - register /dev/gcarena
 *
 * Return: 0 or a negative errno.
 */
int gca_device_init(void)
{
	BUILD_BUG_ON(sizeof(struct gcarena_class) != 8);
	BUILD_BUG_ON(sizeof(struct gcarena_span) != 16);
	BUILD_BUG_ON(sizeof(struct gcarena_features) < GCARENA_FEATURES_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_setup) < GCARENA_SETUP_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_policy) < GCARENA_POLICY_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_refill) < GCARENA_REFILL_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_return) < GCARENA_RETURN_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_sweep) < GCARENA_SWEEP_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_scavenge) < GCARENA_SCAVENGE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_policy_call) < GCARENA_POLICY_CALL_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_residency) < GCARENA_RESIDENCY_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_collapse) < GCARENA_COLLAPSE_SIZE_VER0);
	BUILD_BUG_ON(sizeof(struct gcarena_stats) < GCARENA_STATS_SIZE_VER0);
	return misc_register(&gca_device);
}

/**
 * gca_device_exit - the counterpart
 */
void gca_device_exit(void)
{
	misc_deregister(&gca_device);
}
