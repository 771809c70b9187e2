// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * canary: a module that misbehaves as it is told to while it is inserted, so
 * that canary.t can show that vm/run notices.  insmod itself succeeds, unless
 * the kernel dies of it: the command's status must not be what gives it away.
 * For a test guest only.
 */
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>

static char *fault = "";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "a name in canary_faults; count is none, race is for KCSAN");

/* Seconds; canary.t sets the kernel's own limits well below. */
#define CANARY_HUNG	5
#define CANARY_LOCKUP	6
#define CANARY_RACE	2

static noinline void canary_null(void)
{
	int *nowhere = NULL;

	OPTIMIZER_HIDE_VAR(nowhere);
	WRITE_ONCE(*nowhere, 1);
}

static noinline void canary_list(void)
{
	LIST_HEAD(head);
	LIST_HEAD(entry);

	list_add(&entry, &head);
	list_add(&entry, &head);
}

/* KASAN */
static noinline void canary_after_free(void)
{
	int *mem = kmalloc(sizeof(*mem), GFP_KERNEL);

	kfree(mem);
	OPTIMIZER_HIDE_VAR(mem);
	pr_info("canary: %d\n", READ_ONCE(*mem));
}

static noinline void canary_out_of_bounds(void)
{
	char *mem = kmalloc(13, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(mem);
	WRITE_ONCE(mem[13], 1);
	kfree(mem);
}

/* Lockdep: either order is harmless, had there not been the other. */
static noinline void canary_inversion(void)
{
	static DEFINE_MUTEX(one);
	static DEFINE_MUTEX(other);

	mutex_lock(&one);
	mutex_lock(&other);
	mutex_unlock(&other);
	mutex_unlock(&one);
	mutex_lock(&other);
	mutex_lock(&one);
	mutex_unlock(&one);
	mutex_unlock(&other);
}

/* A lock of the arena's kind around an allocation that may sleep, but does not. */
static noinline void canary_atomic(void)
{
	static DEFINE_SPINLOCK(lock);
	void *mem;

	spin_lock(&lock);
	mem = kmalloc(64, GFP_KERNEL);
	spin_unlock(&lock);
	kfree(mem);
}

static noinline void canary_shift(void)
{
	unsigned int by = 40;

	OPTIMIZER_HIDE_VAR(by);
	pr_info("canary: %d\n", 1 << by);
}

/* Forgotten by everybody, this stack and its registers too. */
static noinline void canary_leak(void)
{
	int i;

	for (i = 0; i < 16; i++) {
		void *mem = kmalloc(200, GFP_KERNEL);

		OPTIMIZER_HIDE_VAR(mem);
	}
}

static unsigned long canary_shared;

static int canary_racer(void *data)
{
	while (!kthread_should_stop()) {
		canary_shared++;
		barrier();
		cond_resched();
	}
	return 0;
}

static noinline void canary_race(void)
{
	struct task_struct *one = kthread_run(canary_racer, NULL, "canary/1");
	struct task_struct *other = kthread_run(canary_racer, NULL, "canary/2");

	ssleep(CANARY_RACE);
	if (!IS_ERR(one))
		kthread_stop(one);
	if (!IS_ERR(other))
		kthread_stop(other);
}

/* Of two instructions each, whatever they take. */
#define CANARY_TURNS	1000000UL

static noinline void canary_count(void)
{
	unsigned long flags, turns = CANARY_TURNS;
	u64 since;

	local_irq_save(flags);
	since = ktime_get_ns();
	asm volatile("1: dec %0; jnz 1b" : "+r" (turns) : : "cc");
	since = ktime_get_ns() - since;
	local_irq_restore(flags);
	pr_info("canary: %llu ns\n", since);
}

static noinline void canary_warn(void)
{
	WARN_ON(1);
}

static noinline void canary_bug(void)
{
	BUG();
}

static void canary_hung(void)
{
	schedule_timeout_uninterruptible(CANARY_HUNG * HZ);
}

static void canary_lockup(void)
{
	preempt_disable();
	mdelay(CANARY_LOCKUP * MSEC_PER_SEC);
	preempt_enable();
}

static const struct {
	const char *name;
	void (*run)(void);
} canary_faults[] = {
	{ "warn", canary_warn },
	{ "bug", canary_bug },
	{ "null", canary_null },
	{ "list", canary_list },
	{ "hung", canary_hung },
	{ "lockup", canary_lockup },
	{ "uaf", canary_after_free },
	{ "oob", canary_out_of_bounds },
	{ "inversion", canary_inversion },
	{ "atomic", canary_atomic },
	{ "shift", canary_shift },
	{ "leak", canary_leak },
	{ "race", canary_race },
	{ "count", canary_count },
};

static int __init canary_init(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(canary_faults); i++)
		if (!strcmp(fault, canary_faults[i].name)) {
			canary_faults[i].run();
			return 0;
		}
	return -EINVAL;
}

static void __exit canary_exit(void)
{
}

module_init(canary_init);
module_exit(canary_exit);

MODULE_DESCRIPTION("Misbehaves on demand, to test the guest runner");
MODULE_LICENSE("Dual MIT/GPL");
