/* SPDX-License-Identifier: MIT */
/*
 * A blocked mutator is either claimed or comes back, and sees what was done for it:
 * both by a compare-and-swap against "blocked"; the claim is given up with release,
 * the return acquires.
 */
#define LOCATIONS 2
#define THREADS 2
#define STORES 4
#include "weak.h"
#define STATE 0
#define WORK 1			/* what the stopper does for the mutator: its spans, its buffer */
#define RUNNING 1
#define CLAIMED 2
#define BLOCKED 0		/* as it begins */

bool ready, claims, runs;

active proctype mutator()
{
	byte l_ = 0, k_ = 0, work = 0, state = 0;
	bool done = false;

	atomic { weak_init(); ready = true };
#ifdef PLAIN_RETURN
	load_acquire(0, STATE, state);
	if
	:: state == BLOCKED -> store_relaxed(0, STATE, RUNNING); runs = true
	:: else -> skip
	fi;
#else
	do
	:: atomic { NEWEST(STATE) == BLOCKED ->
#ifdef RELAXED_RETURN
		update(0, STATE, RUNNING, false, false);
#else
		update(0, STATE, RUNNING, true, false);
#endif
		done = stores[STATE] > 2;
		runs = true;
		break }
	od;
#endif
	assert(!claims);
	load_relaxed(0, WORK, work);
	/* If a claim came first, its work is seen. */
	assert(!done || work)
}

active proctype stopper()
{
	byte l_ = 0, k_ = 0;

	(ready);
	atomic {
		if
		:: NEWEST(STATE) == BLOCKED ->
			update(1, STATE, CLAIMED, true, false);
			claims = true
		:: else -> goto out
		fi
	};
	assert(!runs);
	store_relaxed(1, WORK, 1);
	assert(!runs);
	atomic {
		claims = false;
#ifdef RELAXED_UNCLAIM
		update(1, STATE, BLOCKED, false, false)
#else
		update(1, STATE, BLOCKED, false, true)
#endif
	};
out:	skip
}
