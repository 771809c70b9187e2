/* SPDX-License-Identifier: MIT */
/*
 * No stop is missed: a mutator stores that it is blocked, then looks whether a stop
 * or a handshake is asked for; the stopper asks, then looks at the state.  One of the
 * two sees the other, which needs all four sequentially consistent.
 */
#define LOCATIONS 2
#define THREADS 2
#define STORES 2
#include "weak.h"
#define STATE 0			/* 1: blocked */
#define STOP 1

bool ready;
byte done, seen;

active proctype mutator()
{
	byte l_ = 0, k_ = 0, stop = 0;

	atomic { weak_init(); ready = true };
#ifdef RELEASE_ACQUIRE
	store_release(0, STATE, 1);
	load_acquire(0, STOP, stop);
#else
	store_seq_cst(0, STATE, 1);
	load_seq_cst(0, STOP, stop);
#endif
	atomic { seen = seen + stop; done++; assert(done < 2 || seen) }
}

active proctype stopper()
{
	byte l_ = 0, k_ = 0, state = 0;

	(ready);
#ifdef RELEASE_ACQUIRE
	store_release(1, STOP, 1);
	load_acquire(1, STATE, state);
#else
	store_seq_cst(1, STOP, 1);
	load_seq_cst(1, STATE, state);
#endif
	atomic { seen = seen + state; done++; assert(done < 2 || seen) }
}
