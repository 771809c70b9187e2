/* SPDX-License-Identifier: MIT */
/*
 * Profiles of a heap: where it is allocated from, and where its mutators wait for the
 * collector.  Documentation/profiling.rst says how it is sampled and why.
 *
 * profile->lock is a leaf: nobody waits for a mutator or allocates from the heap with
 * it held.  A mutator takes it once for each sample, the collector once a cycle.
 *
 * What a profile remembers is mapped memory and holds addresses only: it keeps nothing
 * alive, and a sample waits for no lock of malloc()'s, whose holder may stand still in a
 * signal until this thread comes to a safepoint.
 */
#ifndef GCARENA_PROFILE_H
#define GCARENA_PROFILE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addrmap.h"

struct gca_heap;
struct gca_mutator;
struct holding;

/* Bytes allocated between two samples, on average, as Go's MemProfileRate. */
#define PROFILE_RATE_DEFAULT	(512ull << 10)
/* Nanoseconds waited between two samples: a stack takes some 10 us, a hundredth of it. */
#define PROFILE_WAIT_DEFAULT	1000000ull
/* Frames of a stack that are kept, from the innermost. */
#define PROFILE_DEPTH		64u

/* Of holding->sample_left: nothing is sampled, with room to add what went unused; and
 * the run that is open is one object, the next sample.
 */
#define SAMPLE_NEVER		(1ull << 62)
#define SAMPLE_NOW		UINT64_MAX

/* Samples of one stack and one size, or one stack and one cause of waiting. */
struct profile_bucket {
	struct profile_bucket *next; /* of the same hash */
	struct profile_bucket *before; /* made before it, of any */
	uint64_t tag;		/* bytes of an object, or enum account_state */
	/* Of the heap: objects sampled, and those of them that died; and as they were
	 * at the end of the last cycle.
	 */
	uint64_t allocs;
	uint64_t frees;
	uint64_t settled_allocs;
	uint64_t settled_frees;
	/* Of waiting: estimates. */
	double waits;
	double wait_ns;
	uint32_t hash;
	uint32_t depth;
	uintptr_t pcs[];	/* innermost first, inside of the calls */
};

/* A stack: the calls, innermost first, and where their return addresses lay. */
struct profile_stack {
	uintptr_t pcs[PROFILE_DEPTH];
	uintptr_t slots[PROFILE_DEPTH];
	uint32_t depth;
	bool known;		/* @slots is right, and all of it in the thread's stack */
};

struct profile_piece;

struct profile_table {
	struct profile_bucket **slots;
	struct profile_bucket *all; /* whatever the hash */
	size_t size;		/* a power of two, or 0 */
	size_t nr;
	struct profile_piece *pieces; /* memory of the buckets */
	size_t left;		/* bytes at the end of the first one */
};

/* Counts samples by a hash of their address, so that who frees by hand need not look. */
#define PROFILE_FILTER		(1u << 14)

/* Bytes of the beginning of a file's name. */
#define PROFILE_NAME		256u

struct profile {
	/* fixed */
	char file[PROFILE_NAME];
	bool at_close;		/* write them then */
	int signal;		/* and when it comes; 0: none */
	struct gca_heap *next_writer; /* profile_config.c's lock held */

	uint64_t rate;		/* atomic; 0: off */
	uint64_t wait_rate;	/* the same, of waiting */
	uint64_t seeds;		/* atomic: of the mutators' random numbers */
	pthread_mutex_t lock;

	/* lock held */
	struct profile_table sites;
	struct profile_table waits;
	struct addrmap live;	/* sampled object to its bucket */
	bool settled;		/* a cycle has ended since samples are taken */
	uint64_t begun_ns;	/* wall clock */
	uint64_t lost;		/* samples for which there was no memory */
	uint8_t filter[PROFILE_FILTER]; /* atomic; a full one stays full */
};

void profile_open(struct gca_heap *heap);
void profile_close(struct gca_heap *heap);
/* At attach, and when the rate has changed. */
void profile_arm(struct gca_mutator *mutator);
/* Owner, just allocated and published. */
void profile_sample(struct gca_mutator *mutator, unsigned int class, uintptr_t object,
		    uint64_t size);
/* Owner: the same for objects that have no run. */
void profile_large(struct gca_mutator *mutator, unsigned int class, uintptr_t object,
		   uint64_t size);
/* Marking done, generation not flipped: those without a mark have died. */
size_t profile_settle(struct gca_heap *heap);
/* Freed by hand: true if it was a sample. */
bool profile_freed(struct gca_heap *heap, uintptr_t object);
uintptr_t profile_cut(struct holding *holding, uint32_t elem, uintptr_t slot);
void profile_unused(struct holding *holding, uint64_t bytes);

/* ------------------------------------------------------ profile_stack.c */

const struct profile_stack *profile_stack(struct gca_mutator *mutator);

/* ----------------------------------------------------- profile_config.c */

/* Each 0 or a negative errno with gca_error() set. */
int profile_env(struct gca_heap *heap);
int profile_writer_open(struct gca_heap *heap);
void profile_writer_close(struct gca_heap *heap);
void profile_writer_forked(void);

#endif /* GCARENA_PROFILE_H */
