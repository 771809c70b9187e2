/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the process host's two files share: process.c has its memory and its
 * worker, process_calls.c the calls and their checks.
 */
#ifndef GCARENA_PROCESS_INTERNAL_H
#define GCARENA_PROCESS_INTERNAL_H

#include "process.h"
#include "core.h"
#include "uncancelled.h"

#include <stdint.h>
#include <time.h>

/**
 * struct process - a gca_process and what it keeps to itself
 * @pub: the public part; its first member is the core's host
 * @spans_size: bytes of the span table's mapping
 * @bitmap_size: bytes of one bitmap's mapping
 * @status_size: bytes of the status page's mapping, wiped in children
 * @base_page: bytes, the system's
 * @lock: protects all below
 * @transit: something in transit changed
 * @swept: a sweep became complete
 * @work: for the worker: @wanted or @stop changed
 * @worker: the thread, if @running
 * @wanted: the core has work
 * @lingers: the worker will look at @wanted soon by itself
 * @stop: the worker must end
 * @running: the worker was started
 * @refused: the worker could not be started; not tried again
 */
struct process {
	struct gca_process pub;
	size_t spans_size;
	size_t bitmap_size;
	size_t status_size;
	size_t base_page;

	pthread_mutex_t lock;
	pthread_cond_t transit;
	pthread_cond_t swept;
	pthread_cond_t work;
	pthread_t worker;
	bool wanted;
	bool lingers;
	bool stop;
	bool running;
	bool refused;
};

static inline struct process *process_of(struct gca_process *process)
{
	return container_of(process, struct process, pub);
}

/* A child of fork() has neither heap nor worker, and a wiped status page. */
static inline bool process_forked(const struct process *p)
{
	return !READ_ONCE(p->pub.tables.status->size);
}

/* process.c */
u64 process_clock_ns(clockid_t clock);
void process_wait_ns(pthread_cond_t *cond, pthread_mutex_t *lock, u64 ns);
void process_tend_worker(struct process *p);

/* process_calls.c: structures in and out, as the device copies them */
int process_take_in(void *to, u32 known, u32 min_size, const void *from);

static inline void *process_address(u64 value)
{
	return (void *)(uintptr_t)value;
}

#endif /* GCARENA_PROCESS_INTERNAL_H */
