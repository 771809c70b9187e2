// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * gcarena: module entry and exit.
 */
#include <linux/module.h>

static int __init gcarena_init(void)
{
	return 0;
}

static void __exit gcarena_exit(void)
{
}

module_init(gcarena_init);
module_exit(gcarena_exit);

MODULE_DESCRIPTION("Arena of huge-page-backed spans for garbage-collected heaps");
MODULE_LICENSE("Dual MIT/GPL");
