// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * gcarena: loading and unloading.
 *
 * The device is registered last and goes first, so that whoever can open it
 * finds everything else in place.  While a file is open, or a metadata region
 * is mapped, the module cannot be unloaded (fops->owner); a heap mapping alone
 * is plain shmem and does not need the module any more.
 *
 * Unloading must not wait for user space, and has nothing to wait for: an arena
 * is taken apart before its file's last reference is gone.
 */
#include <linux/module.h>

#include "arena.h"

#ifndef CONFIG_64BIT
#error "gcarena needs a 64-bit kernel"
#endif
#if !defined(CONFIG_TRANSPARENT_HUGEPAGE) || !defined(CONFIG_SHMEM) || !defined(CONFIG_MMU_NOTIFIER)
#error "gcarena needs CONFIG_SHMEM, CONFIG_TRANSPARENT_HUGEPAGE and CONFIG_MMU_NOTIFIER"
#endif

static int __init gcarena_init(void)
{
	int err;

	err = gca_backing_init();
	if (err)
		return err;
	err = gca_meta_init();
	if (err)
		goto out_backing;
	err = gca_shrinker_init();
	if (err)
		goto out_meta;
	err = gca_percpu_init();
	if (err)
		goto out_shrinker;
	gca_debugfs_init();
	err = gca_device_init();
	if (err)
		goto out_debugfs;
	return 0;

out_debugfs:
	gca_debugfs_exit();
	gca_percpu_exit();
out_shrinker:
	gca_shrinker_exit();
out_meta:
	gca_meta_exit();
out_backing:
	gca_backing_exit();
	return err;
}

static void __exit gcarena_exit(void)
{
	gca_device_exit();
	gca_debugfs_exit();
	gca_percpu_exit();
	gca_shrinker_exit();
	gca_meta_exit();
	gca_backing_exit();
}

module_init(gcarena_init);
module_exit(gcarena_exit);

MODULE_DESCRIPTION("Arena of huge-page-backed spans for garbage-collected heaps");
MODULE_LICENSE("Dual MIT/GPL");
