/* SPDX-License-Identifier: MIT */
/*
 * Whether minor cycles are worth it: what they cost beside what full ones do.
 *
 * Functions of one structure and their arguments, without a clock, a lock or a heap, as
 * pacer.h, so that a test can play heaps of any sort.  Documentation/generations.rst has
 * the model and what its constants are from.
 */
#ifndef GCARENA_WORTH_H
#define GCARENA_WORTH_H

#include <stdbool.h>
#include <stdint.h>

/* What cycles used, and what the program could allocate for that until the next one. */
struct worth_sum {
	double ns;
	double room;		/* bytes */
};

struct worth {
	struct worth_sum full;	/* the last full cycle */
	struct worth_sum minor;	/* the minor ones since, all together */
	uint32_t minors;	/* how many */
	bool last_minor;	/* the last cycle was one of them */
	bool sequence;		/* there was a full one */
	uint64_t live;		/* that the last full one found */
	uint32_t rest;		/* full cycles until minor ones are tried again */
	uint32_t penalty;	/* the next such rest; 0: the first */
};

/* A cycle that has marked what there was. */
struct worth_cycle {
	bool minor;
	uint64_t ns;		/* CPU time of marking */
	uint64_t cards;		/* that were dirty when it began; of a minor one */
	uint64_t before;	/* bytes taken for alive when the last one ended */
	uint64_t allocated;	/* since then */
	uint64_t live;		/* bytes taken for alive now */
	uint64_t room;		/* bytes that may be allocated until the next one */
	uint64_t runway;	/* of these, while a full one marks */
};

/* The cycle counts; is the next one to be a minor one? */
bool worth_decide(struct worth *worth, const struct worth_cycle *cycle);
/* Stores were remembered, and the next cycle was a full one all the same. */
void worth_wasted(struct worth *worth);

#endif /* GCARENA_WORTH_H */
