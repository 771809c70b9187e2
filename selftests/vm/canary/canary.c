// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * canary: a module that misbehaves as it is told to while it is inserted, so
 * that canary.t can show that vm/run notices.  insmod itself succeeds, unless
 * the kernel dies of it: the command's status must not be what gives it away.
 * For a test guest only.
 */
#include <linux/delay.h>
#include <linux/irqflags.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>

static char *fault = "";
module_param(fault, charp, 0);
MODULE_PARM_DESC(fault, "warn, bug, null, list, hung, lockup; or count, which is none");

/* Seconds; canary.t sets the kernel's own limits well below. */
#define CANARY_HUNG	5
#define CANARY_LOCKUP	6

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

static int __init canary_init(void)
{
	if (!strcmp(fault, "warn")) {
		WARN_ON(1);
	} else if (!strcmp(fault, "bug")) {
		BUG();
	} else if (!strcmp(fault, "null")) {
		canary_null();
	} else if (!strcmp(fault, "list")) {
		canary_list();
	} else if (!strcmp(fault, "hung")) {
		schedule_timeout_uninterruptible(CANARY_HUNG * HZ);
	} else if (!strcmp(fault, "lockup")) {
		preempt_disable();
		mdelay(CANARY_LOCKUP * MSEC_PER_SEC);
		preempt_enable();
	} else if (!strcmp(fault, "count")) {
		canary_count();
	} else {
		return -EINVAL;
	}
	return 0;
}

static void __exit canary_exit(void)
{
}

module_init(canary_init);
module_exit(canary_exit);

MODULE_DESCRIPTION("Misbehaves on demand, to test the guest runner");
MODULE_LICENSE("Dual MIT/GPL");
