/* SPDX-License-Identifier: MIT */
/*
 * Publication: an allocation zeroes, writes the layout, then sets the alloc bit with
 * release; a marker that finds a conservative word follows it only if it sees the
 * bit, with acquire.  Then it sees zeroes and layout, not what was there before.
 */
#define LOCATIONS 3
#define THREADS 2
#define STORES 2
#include "weak.h"
#define MEMORY 0		/* 1: zeroed */
#define LAYOUT 1		/* 1: this object's */
#define BIT 2

bool ready;

active proctype allocates()
{
	byte l_ = 0, k_ = 0;

	atomic { weak_init(); ready = true };
	store_relaxed(0, MEMORY, 1);
	store_relaxed(0, LAYOUT, 1);
#ifdef RELAXED_STORE
	store_relaxed(0, BIT, 1)
#else
	store_release(0, BIT, 1)
#endif
}



active proctype marks()
{
	byte l_ = 0, k_ = 0, set = 0, memory = 0, layout = 0;

	(ready);
#ifdef RELAXED_LOAD
	load_relaxed(1, BIT, set);
#else
	load_acquire(1, BIT, set);
#endif
	load_relaxed(1, LAYOUT, layout);
	load_relaxed(1, MEMORY, memory);
	assert(!set || (layout && memory))
}
