/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * An arena of the case that runs: what the suites of the Linux side share.
 *
 * The case's thread gets an mm, which owns the arena; when the case has ended,
 * that mm goes, and the arena dies of it before its file's part is taken apart.
 */
#ifndef KUNIT_LINUX_H
#define KUNIT_LINUX_H

#include <kunit/test.h>
#include <linux/mman.h>

#include "arena.h"

/* More than two leaves of metadata. */
#define LINUX_CHUNKS	1026U

enum { LINUX_TINY, LINUX_LARGE, LINUX_MANUAL, LINUX_CLASSES };

/**
 * struct linux_case - what a case has
 * @arena: the arena
 * @events: its file's wait queue
 * @inode: its file's address space
 * @user: a page of user memory
 */
struct linux_case {
	struct gca_arena *arena;
	wait_queue_head_t events;
	struct inode *inode;
	void __user *user;
};

int linux_case_init(struct kunit *test);
void linux_case_exit(struct kunit *test);

#endif /* KUNIT_LINUX_H */
