// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Per-CPU caches of ready spans: which CPU has which slot of the core, and the
 * short way of a refill that finds in its CPU's slot all that it wants.
 *
 * Slot i is CPU i's.  A task may have moved on when it takes the slot's lock;
 * that costs a little contention and nothing else, so preemption is never off
 * for more than a slot's lock.  What CPUs that went away, or that nobody refills
 * on any more, leave behind is taken back by hotplug and by the worker's ticks.
 *
 * The short way must refuse nothing and allow nothing that the long way in
 * device.c does not: whatever it does not understand it leaves to that.  It looks
 * at user memory before and after the slot's lock, never under it.
 */
#include <linux/build_bug.h>
#include <linux/cpuhotplug.h>
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "arena.h"
#include "compat.h"
#include "trace.h"

/* As much as a batch of the longest usual one needs twice over: 64 spans of 8 KiB. */
static unsigned long cpu_cache_bytes = 1UL << 20;
module_param(cpu_cache_bytes, ulong, 0644);
MODULE_PARM_DESC(cpu_cache_bytes,
		 "Bytes of ready spans that an arena set up from now on keeps for each CPU (0: none)");

/* Spans of a refill on the short way; with 16 bytes each they are on the stack. */
#define GCA_HIT_SPANS	64U

static int gca_hotplug_state;

/**
 * union gca_refill_words - a call's structure, as it is copied
 * @args: what it means
 * @words: what is copied
 */
union gca_refill_words {
	struct gcarena_refill args;
	u64 words[sizeof(struct gcarena_refill) / sizeof(u64)];
};

/**
 * gca_percpu_create - give a new arena its slots
 * @arena: with a core that nobody uses yet
 *
 * Return: 0 or -ENOMEM.
 */
int gca_percpu_create(struct gca_arena *arena)
{
	return gca_core_slots(arena->core, nr_cpu_ids, READ_ONCE(cpu_cache_bytes));
}

/**
 * gca_percpu_slot - the slot for a refill by the current task
 *
 * Return: the CPU, a moment ago.
 */
u32 gca_percpu_slot(void)
{
	return raw_smp_processor_id();
}

static int gca_percpu_copy_in(union gca_refill_words *to, void __user *addr)
{
	const u64 __user *from = addr;
	u64 *words = to->words;	/* no array: nothing is to be called in between */
	unsigned int i;

	BUILD_BUG_ON(sizeof(*to) != sizeof(to->args));
	if (!user_read_access_begin(from, sizeof(*to)))
		return -EFAULT;
	for (i = 0; i < ARRAY_SIZE(to->words); i++)
		unsafe_get_user(words[i], &from[i], fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/* The spans, and the counts, which are what they were: all were had. */
static int gca_percpu_copy_out(const union gca_refill_words *from, void __user *addr,
			       const struct gcarena_span *spans)
{
	struct gcarena_refill __user *args = addr;
	struct gcarena_span __user *to = u64_to_user_ptr(from->args.ready);
	unsigned int nr = from->args.nr_ready;
	const u64 *words = (const u64 *)spans;
	const u64 *end = words + 2 * nr;
	u64 __user *out = (u64 __user *)to;

	BUILD_BUG_ON(sizeof(*spans) != 2 * sizeof(u64));
	if (!access_ok(args, sizeof(*args)) || !user_write_access_begin(to, nr * sizeof(*to)))
		return -EFAULT;
	for (; words < end; words += 2, out += 2) {
		unsafe_put_user(words[0], &out[0], fault);
		unsafe_put_user(words[1], &out[1], fault);
	}
	unsafe_put_user(from->args.nr_ready, &args->nr_ready, fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/* A plain wish for a few spans, of the caller's node. */
static bool gca_percpu_understands(const struct gcarena_refill *args)
{
	return args->size == sizeof(*args) && !args->flags && !args->nr_spent &&
	       args->nr_ready && args->nr_ready <= GCA_HIT_SPANS && !args->npages &&
	       !args->reserved && !args->node && !args->reserved2 &&
	       IS_ALIGNED(args->spent | args->ready, sizeof(u32));
}

/**
 * gca_percpu_refill - the short way of a refill
 * @arena: the caller's
 * @addr: its struct gcarena_refill
 *
 * Return: 0, -EFAULT, or -EAGAIN if it has to go the long way.
 */
int gca_percpu_refill(struct gca_arena *arena, void __user *addr)
{
	/* Only what was filled is copied; zeroing all of it would cost more. */
	struct gcarena_span spans[GCA_HIT_SPANS] __uninitialized;
	union gca_refill_words call __uninitialized;
	u32 wanted;
	int err = 0;

	if (!IS_ALIGNED((uintptr_t)addr, sizeof(u32)) || gca_percpu_copy_in(&call, addr) ||
	    !gca_percpu_understands(&call.args) ||
	    !gca_core_refill_ready(arena->core, gca_percpu_slot(), call.args.span_class,
				   call.args.nr_ready, spans))
		return -EAGAIN;
	wanted = call.args.nr_ready;
	if (gca_percpu_copy_out(&call, addr, spans)) {
		gca_refill_undo(arena, spans, wanted);
		call.args.nr_ready = 0;
		err = -EFAULT;
	}
	trace_gcarena_refill(arena->id, &call.args, wanted, GCA_LEVEL_READY, err);
	return err;
}

static void gca_percpu_drain(struct gca_arena *arena, void *data)
{
	gca_core_drain_slot(arena->core, *(unsigned int *)data);
}

/* The CPU is gone: nobody refills there. */
static int gca_percpu_dead(unsigned int cpu)
{
	gca_arena_each(gca_percpu_drain, &cpu);
	return 0;
}

/**
 * gca_percpu_init - hear of CPUs that go away
 *
 * Return: 0 or a negative errno.
 */
int gca_percpu_init(void)
{
	int state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "gcarena:dead", NULL,
					      gca_percpu_dead);

	if (state < 0)
		return state;
	gca_hotplug_state = state;
	return 0;
}

/**
 * gca_percpu_exit - the counterpart, all arenas being gone
 */
void gca_percpu_exit(void)
{
	cpuhp_remove_state_nocalls(gca_hotplug_state);
}
