// SPDX-License-Identifier: MIT
/*
 * Threads that work on the heap together: see crew.h.
 *
 * gca_error() is the calling thread's, so a worker that fails copies it under
 * the crew's lock before it ends.  The lock is never held across an allocation
 * or any other safepoint, so no collection waits behind it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crew.h"

struct worker {
	struct crew *crew;
	unsigned int number;
	pthread_t thread;
};

static void fail(struct crew *crew, int err, const char *reason, const struct mistake *mistake)
{
	pthread_mutex_lock(&crew->lock);
	if (!crew->err) {
		__atomic_store_n(&crew->err, err, __ATOMIC_RELAXED);
		snprintf(crew->reason, sizeof(crew->reason), "%s", reason);
		if (mistake)
			crew->mistake = *mistake;
	}
	pthread_mutex_unlock(&crew->lock);
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	struct crew *crew = worker->crew;
	struct mistake mistake = { NULL, "" };
	struct gca_mutator *m;
	int err;

	err = gca_attach(crew->heap, GCA_STACK_CONSERVATIVE, &m);
	if (err) {
		fail(crew, err, gca_error(), NULL);
	} else {
		err = crew->work(m, crew, worker->number, &mistake);
		if (err)
			fail(crew, err, gca_error(), &mistake);
		gca_detach(m);
	}
	__atomic_sub_fetch(&crew->running, 1, __ATOMIC_RELEASE);
	return NULL;
}

/**
 * crew_init - prepare a piece of work
 * @crew: filled in; @tick may be set afterwards
 * @heap: whose mutators the threads become
 * @work: what each does
 * @arg: for @work
 */
void crew_init(struct crew *crew, struct gca_heap *heap, crew_work_fn work, void *arg)
{
	memset(crew, 0, sizeof(*crew));
	pthread_mutex_init(&crew->lock, NULL);
	crew->heap = heap;
	crew->work = work;
	crew->arg = arg;
}

/**
 * crew_run - do the work and wait for its end
 * @crew: from crew_init()
 * @m: the calling thread's
 * @threads: how many, 1 to CREW_THREADS_MAX
 *
 * Return: 0 or the first failure, which @crew describes.
 */
int crew_run(struct crew *crew, struct gca_mutator *m, unsigned int threads)
{
	static const struct timespec tick = { .tv_nsec = CREW_TICK_NS };
	struct worker workers[CREW_THREADS_MAX];
	char reason[MISTAKE_TEXT];
	unsigned int started;

	gca_blocking_begin(m);
	for (started = 0; started < threads; started++) {
		struct worker *worker = &workers[started];
		int err;

		worker->crew = crew;
		worker->number = started;
		__atomic_add_fetch(&crew->running, 1, __ATOMIC_RELAXED);
		err = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (err) {
			__atomic_sub_fetch(&crew->running, 1, __ATOMIC_RELAXED);
			snprintf(reason, sizeof(reason), "cannot start a thread: %s",
				 strerror(err));
			fail(crew, -err, reason, NULL);
			break;
		}
	}
	while (__atomic_load_n(&crew->running, __ATOMIC_ACQUIRE)) {
		if (crew->tick)
			crew->tick(crew->arg);
		nanosleep(&tick, NULL);
	}
	while (started)
		pthread_join(workers[--started].thread, NULL);
	gca_blocking_end(m);
	return crew->err;
}
