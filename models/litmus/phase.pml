/* SPDX-License-Identifier: MIT */
/*
 * Phase flag: a mutator answers a handshake with release after what it stored without
 * a barrier; the collector acquires the answer before it reads the heap, and so sees
 * the store.
 */
#define LOCATIONS 2
#define THREADS 2
#define STORES 3
#include "weak.h"
#define SLOT 0
#define REQUEST 1		/* 1: asked, 2: answered */

bool ready;

active proctype collector()
{
	byte l_ = 0, k_ = 0, answer = 0, slot = 0;

	atomic { weak_init(); ready = true };
	store_seq_cst(0, REQUEST, 1);
	do
	::
#ifdef RELAXED_SEEN
		load_relaxed(0, REQUEST, answer);
#else
		load_acquire(0, REQUEST, answer);
#endif
		if
		:: answer == 2 -> break
		:: else
		fi
	od;
	load_relaxed(0, SLOT, slot);
	assert(slot)
}

active proctype mutator()
{
	byte l_ = 0, k_ = 0, request = 0;

	(ready);
	store_relaxed(1, SLOT, 1);
	do
	::	load_acquire(1, REQUEST, request);
		if
		:: request == 1 -> break
		:: else
		fi
	od;
#ifdef RELAXED_ANSWER
	store_relaxed(1, REQUEST, 2)
#else
	store_seq_cst(1, REQUEST, 2)
#endif
}
