/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the span core needs of the kernel: the only place where core/ meets
 * <linux/...>.
 *
 * lib/shim/core_host.h has the same include guard and takes this file's place
 * in user space, so whatever the core uses must be in both.  It stands outside
 * core/ because a quoted include looks beside the including file first.  Must
 * never grow a dependency on VFS, VMAs or threads.
 */
#ifndef GCARENA_CORE_HOST_H
#define GCARENA_CORE_HOST_H

#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/container_of.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/barrier.h>

#include <linux/gcarena.h>

/*
 * The core lock.  A leaf: taken with any of the host's locks held, nothing is
 * taken and nothing allocated under it but by the host operations that say so.
 */
#define gca_lock_t			spinlock_t

#define gca_lock_init(lock)		spin_lock_init(lock)
#define gca_lock(lock)			spin_lock(lock)
#define gca_unlock(lock)		spin_unlock(lock)
#define gca_lock_assert_held(lock)	lockdep_assert_held(lock)
#ifdef __CHECKER__
/* sparse loses count of a lock that is tried: let it see one that is taken. */
#define gca_trylock(lock)		({ gca_lock(lock); true; })
#else
#define gca_trylock(lock)		spin_trylock(lock)
#endif

/* An index that was checked against @size, also when mispredicted. */
#define gca_nospec(index, size)		array_index_nospec(index, size)

/* Memory that is going to be written to: to find it in the tables costs as much here. */
#define gca_prefetch(address)		((void)sizeof(address))

/* Between pieces of long work, without the lock. */
#define gca_relax()			cond_resched()

/* The caller is being killed: nobody is going to see what long work comes to. */
#define gca_killed()			fatal_signal_pending(current)

/* A broken invariant of the core: never the user's fault. */
#define GCA_ASSERT(condition)		WARN_ON_ONCE(!(condition))

#define gca_complain(format, ...)	pr_err("gcarena: " format "\n", ##__VA_ARGS__)

/* Bits set in a line. */
static inline u32 gca_line_weight(const u64 *line)
{
	u32 count = 0;
	u32 k;

	for (k = 0; k < GCARENA_LINE_WORDS; k++)
		count += hweight64(READ_ONCE(line[k]));
	return count;
}

/* Of the Linux side; see core.h for their contract. */
struct gcarena_row *gca_host_row(void *host, u32 page);
u64 *gca_host_line(void *host, unsigned int which, u32 page);
struct gcarena_status *gca_host_status(void *host);

#endif /* GCARENA_CORE_HOST_H */
