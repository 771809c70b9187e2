/* SPDX-License-Identifier: MIT */
/*
 * Threads that work on the heap together: started, attached, watched, joined.
 *
 * Each piece of work runs on threads of its own that end with it, so that no
 * stack outlives the work and keeps what it looked at alive.  The thread that
 * calls crew_run() waits in a blocking region: collections do not wait for it.
 */
#ifndef DEPGRAPH_CREW_H
#define DEPGRAPH_CREW_H

#include <pthread.h>
#include <stdbool.h>

#include "heap.h"
#include "index.h"

#define CREW_THREADS_MAX	64

struct crew;

/* One thread's part.  Returns 0, -ENOMEM, or -EINVAL with a mistake. */
typedef int (*crew_work_fn)(struct gca_mutator *m, struct crew *crew, unsigned int worker,
			    struct mistake *mistake);
/* Called every CREW_TICK_NS by the waiting thread. */
typedef void (*crew_tick_fn)(void *arg);

#define CREW_TICK_NS	1000000

/**
 * struct crew - what the threads of one piece of work share
 * @heap: theirs
 * @work: what each does
 * @tick: called while they work
 * @arg: for @work and @tick
 * @lock: protects @err, @reason, @mistake
 * @err: the first failure; read without the lock by those that may stop early
 * @reason: in a sentence, unless @mistake says it
 * @mistake: in the index; its text is empty when that is not the reason
 * @running: threads that have not finished
 */
struct crew {
	struct gca_heap *heap;
	crew_work_fn work;
	crew_tick_fn tick;
	void *arg;
	pthread_mutex_t lock;
	int err;
	char reason[MISTAKE_TEXT];
	struct mistake mistake;
	unsigned int running;
};

void crew_init(struct crew *crew, struct gca_heap *heap, crew_work_fn work, void *arg);
int crew_run(struct crew *crew, struct gca_mutator *m, unsigned int threads);

/* Whether another thread has failed, so that there is no point in going on. */
static inline bool crew_failed(const struct crew *crew)
{
	return __atomic_load_n(&crew->err, __ATOMIC_RELAXED);
}

#endif /* DEPGRAPH_CREW_H */
