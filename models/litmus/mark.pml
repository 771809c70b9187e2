/* SPDX-License-Identifier: MIT */
/*
 * Mark bit: a marker and a mutator that allocates black set bits of one word.  Both
 * by an atomic or, relaxed: no bit is lost, and nothing else is ordered by it.
 */
#define LOCATIONS 1
#define THREADS 2
#define STORES 3
#include "weak.h"
#define WORD 0

bool ready;
byte done;

proctype sets(byte t, bit_)
{
	byte l_ = 0, k_ = 0, old = 0;

#ifdef LOAD_AND_STORE
	load_relaxed(t, WORD, old);
	store_relaxed(t, WORD, old | bit_);
#else
	atomic { update(t, WORD, NEWEST(WORD) | bit_, false, false) };
#endif
	done++
}

init {
	byte l_ = 0;

	atomic { weak_init(); run sets(0, 1); run sets(1, 2) };
	(done == 2);
	assert(NEWEST(WORD) == 3)
}
