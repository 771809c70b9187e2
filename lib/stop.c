// SPDX-License-Identifier: MIT
/*
 * Stopping the world, and the mutators' side of it.
 *
 * A mutator is RUNNING, or BLOCKED: its stack is published and it keeps off the
 * heap.  One word, mutator->state, decides between the two parties:
 *
 *	mutator		RUNNING -> BLOCKED	any time
 *	mutator		BLOCKED -> RUNNING	compare-and-swap, heap->stop is 0
 *	stopper		BLOCKED -> CLAIMED	compare-and-swap, world held
 *	mutator		CLAIMED -> AWAITED	before it sleeps on the word
 *	stopper		either -> BLOCKED	when it is done with it
 *
 * The stopper holds heap->world, sets heap->stop, then every poll, and waits
 * until it has claimed each mutator.  A mutator that becomes BLOCKED stores its
 * state and then loads heap->stop, the stopper stores heap->stop and then looks at
 * the state, all four sequentially consistent: one of them sees the other, so
 * that either the stopper claims or the mutator wakes it (heap->acks).  A mutator
 * that wants to run again waits while heap->stop is 1; should it have seen 0 just
 * before, its compare-and-swap fails when the stopper claimed first, and when it
 * won, the stopper sees RUNNING and waits for the poll that it has set.
 *
 * What a claimed mutator wrote before BLOCKED is visible to the stopper, and what
 * the stopper wrote into it before CLAIMED -> BLOCKED to the mutator (release
 * and acquire on state).
 *
 * A handshake (handshake.c) claims single mutators in the same way.
 *
 * Nobody spins for long: machines are shared, and the thread waited for may need
 * this very CPU.
 */
#include "internal.h"
#include "relax.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Looks at a mutator before the stopper sleeps: about a microsecond, in which a
 * running one may well reach its poll.
 */
#define STOP_SPINS	50
#define NS_PER_MS	1000000u

static void futex_wait_for(uint32_t *word, uint32_t value, uint64_t ns)
{
	struct timespec timeout = { (time_t)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC) };

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ns ? &timeout : NULL, NULL, 0);
}

static void futex_wait(uint32_t *word, uint32_t value)
{
	futex_wait_for(word, value, 0);
}

/**
 * futex_wake - wake all who sleep on a word
 * @word: the word
 */
void futex_wake(uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Own thread; a check may read it meanwhile. */
static uint32_t change_depth(struct gca_mutator *mutator, int by)
{
	uint32_t depth = mutator->depth + (uint32_t)by;

	__atomic_store_n(&mutator->depth, depth, __ATOMIC_RELAXED);
	return depth;
}

/**
 * blocked_enter - keep off the heap from now on
 * @mutator: the calling thread's, or NULL; regions nest
 */
void blocked_enter(struct gca_mutator *mutator)
{
	struct gca_heap *heap;

	if (!mutator || change_depth(mutator, 1) > 1)
		return;
	heap = mutator->heap;
	/* Inside another state the wait is that state's. */
	mutator->outside = mutator->account.state;
	if (mutator->outside == ACCOUNT_RUNNING)
		account_switch(&mutator->account, ACCOUNT_BLOCKED);
	stack_publish(mutator);
	frames_publish(mutator);
	__atomic_store_n(&mutator->state, MUTATOR_BLOCKED, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&heap->stop, __ATOMIC_SEQ_CST) ||
	    __atomic_load_n(&mutator->request, __ATOMIC_SEQ_CST))
		stop_acknowledge(heap);
}

/* BLOCKED to RUNNING; or false, after a wait for whoever has claimed it. */
static bool try_run(struct gca_mutator *mutator)
{
	uint32_t state = MUTATOR_BLOCKED;

	if (__atomic_compare_exchange_n(&mutator->state, &state, MUTATOR_RUNNING, false,
					__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		return true;
	/* Claimed meanwhile, and perhaps free again by now. */
	if (state == MUTATOR_CLAIMED &&
	    __atomic_compare_exchange_n(&mutator->state, &state, MUTATOR_AWAITED, false,
					__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
		state = MUTATOR_AWAITED;
	if (state == MUTATOR_AWAITED)
		futex_wait(&mutator->state, MUTATOR_AWAITED);
	return false;
}

/**
 * blocked_leave - use the heap again, once nobody stops the world
 * @mutator: as given to blocked_enter()
 */
void blocked_leave(struct gca_mutator *mutator)
{
	uint64_t begin = 0, delay = 0, waited;
	struct gca_heap *heap;
	bool stopped = false;

	if (!mutator)
		return;
	gca_assert(mutator->depth);
	if (change_depth(mutator, -1))
		return;
	heap = mutator->heap;
	for (;;) {
		if (!__atomic_load_n(&heap->stop, __ATOMIC_ACQUIRE) && try_run(mutator))
			break;
		if (!begin) {
			begin = now_ns();
			delay = unscheduled_ns();
			if (mutator->outside == ACCOUNT_RUNNING)
				account_switch(&mutator->account, ACCOUNT_HANDSHAKE);
		}
		if (__atomic_load_n(&heap->stop, __ATOMIC_ACQUIRE)) {
			stopped = true;
			futex_wait(&heap->stop, 1);
		}
	}
	mutator->wakes++;
	mutator->nr_frame_slots = FRAMES_IN_PLACE;
	if (!begin) {
		account_switch(&mutator->account, mutator->outside);
		return;
	}
	if (mutator->outside == ACCOUNT_RUNNING)
		profile_wait_end(mutator, mutator->outside);
	else
		account_switch(&mutator->account, mutator->outside);
	waited = now_ns() - begin;
	delay = unscheduled_ns() - delay;
	if (delay > waited)
		delay = waited;
	__atomic_add_fetch(&heap->stop_unscheduled_ns, delay, __ATOMIC_RELAXED);
	stop_note(heap, stopped ? GCA_STOP_WORLD : GCA_STOP_LEAVE, waited - delay);
}

/**
 * mutator_unclaim - a claimed mutator may run again
 * @mutator: claimed by the calling thread, which holds world
 */
void mutator_unclaim(struct gca_mutator *mutator)
{
	uint32_t state = __atomic_exchange_n(&mutator->state, MUTATOR_BLOCKED, __ATOMIC_SEQ_CST);

	gca_assert(state == MUTATOR_CLAIMED || state == MUTATOR_AWAITED);
	if (state == MUTATOR_AWAITED)
		futex_wake(&mutator->state);
}

static void thread_name(int tid, char *name, size_t room)
{
	char path[64];
	ssize_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		length = read(fd, name, room - 1);
		close(fd);
	}
	name[length > 0 ? length - 1 : 0] = 0;
}

/* Names who is waited for since @begin, once. */
static void watchdog(struct gca_heap *heap, uint64_t begin, uint64_t ns)
{
	struct gca_mutator *mutator;
	char name[32];

	if (heap->late_told == begin)
		return;
	heap->late_told = begin;
	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		if (__atomic_load_n(&mutator->state, __ATOMIC_ACQUIRE) != MUTATOR_RUNNING ||
		    !__atomic_load_n(&mutator->abi.poll, __ATOMIC_RELAXED))
			continue;
		thread_name(mutator->account.tid, name, sizeof(name));
		gca_warn(heap, "thread %d (%s) has come to no safepoint for %llu ms: it does not poll",
			 mutator->account.tid, name, (unsigned long long)(ns / NS_PER_MS));
	}
}

/**
 * stop_wait - wait for a mutator to become safe
 * @heap: the heap, its world held
 * @acks: heap->acks before the mutators were looked at
 * @nth: how often this was called in a row, from 0
 * @begin: when this began, now_ns()
 */
void stop_wait(struct gca_heap *heap, uint32_t acks, unsigned int nth, uint64_t begin)
{
	uint64_t period = __atomic_load_n(&heap->watchdog_ns, __ATOMIC_RELAXED);
	uint64_t waited, signal, pause;

	if (nth < STOP_SPINS) {
		relax();
		return;
	}
	waited = now_ns() - begin;
	if (period && waited >= period)
		watchdog(heap, begin, waited);
	pause = waited < period ? period - waited : 0;
	signal = signal_late(heap, waited);
	if (signal && (!pause || signal < pause))
		pause = signal;
	futex_wait_for(&heap->acks, acks, pause);
}

/**
 * stop_acknowledge - the calling thread's mutator has become safe, or has answered
 * @heap: the heap
 */
void stop_acknowledge(struct gca_heap *heap)
{
	__atomic_add_fetch(&heap->acks, 1, __ATOMIC_SEQ_CST);
	futex_wake(&heap->acks);
}

static void raise_to(uint64_t *most, uint64_t ns)
{
	uint64_t before = __atomic_load_n(most, __ATOMIC_RELAXED);

	while (ns > before)
		if (__atomic_compare_exchange_n(most, &before, ns, true, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			break;
}

/**
 * stop_note - a mutator was kept from running
 * @heap: the heap
 * @cause: by what
 * @ns: for how long
 */
void stop_note(struct gca_heap *heap, enum gca_stop cause, uint64_t ns)
{
	struct gca_stops *count = &heap->stops[cause];

	PROBE3(stop, heap, cause, ns);
	EVENT(heap, "stop cause=%s ns=%llu", gca_stop_name(cause), (unsigned long long)ns);
	raise_to(&heap->stop_longest, ns);
	raise_to(&count->max_ns, ns);
	__atomic_add_fetch(&count->count, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&count->total_ns, ns, __ATOMIC_RELAXED);
	__atomic_add_fetch(&count->buckets[stop_bucket(ns)], 1, __ATOMIC_RELAXED);
}

/**
 * stops_ns - what stops have taken from mutators
 * @heap: the heap
 *
 * Those that were blocked, for which somebody answered, lost nothing by that.
 *
 * Return: the sum over all of them since the heap was opened.
 */
uint64_t stops_ns(const struct gca_heap *heap)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < GCA_STOP_CAUSES; i++)
		if (i != GCA_STOP_PROXY)
			sum += __atomic_load_n(&heap->stops[i].total_ns, __ATOMIC_RELAXED);
	return sum;
}

/**
 * world_lock - take heap->world, a safepoint while it waits
 * @heap: the heap
 * @mutator: the calling thread's in it, or NULL
 */
void world_lock(struct gca_heap *heap, struct gca_mutator *mutator)
{
	/* Who comes back for it at once finds the turn taken by who has waited meanwhile. */
	if (!pthread_mutex_trylock(&heap->turn)) {
		bool locked = !pthread_mutex_trylock(&heap->world);

		pthread_mutex_unlock(&heap->turn);
		if (locked)
			return;
	}
	blocked_enter(mutator);
	pthread_mutex_lock(&heap->turn);
	pthread_mutex_lock(&heap->world);
	pthread_mutex_unlock(&heap->turn);
	/* No stop is in force while we hold it: this does not wait. */
	blocked_leave(mutator);
}

/**
 * world_unlock - release heap->world
 * @heap: the heap
 */
void world_unlock(struct gca_heap *heap)
{
	pthread_mutex_unlock(&heap->world);
}

static bool claim_all(struct gca_heap *heap, struct gca_mutator *self)
{
	struct gca_mutator *mutator;
	bool all = true;

	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		uint32_t expected = MUTATOR_BLOCKED;

		if (mutator == self)
			continue;
		if (__atomic_load_n(&mutator->state, __ATOMIC_SEQ_CST) >= MUTATOR_CLAIMED)
			continue;
		if (!__atomic_compare_exchange_n(&mutator->state, &expected, MUTATOR_CLAIMED, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			all = false;
	}
	return all;
}

/**
 * world_stop - stop every mutator
 * @heap: the heap, its world held
 * @self: the calling thread's mutator, which goes on, or NULL
 *
 * Waits for as long as a mutator needs to its next safepoint.
 */
void world_stop(struct gca_heap *heap, struct gca_mutator *self)
{
	struct gca_mutator *mutator;
	uint64_t begin = now_ns();
	unsigned int spins = 0;
	uint64_t waited;

	if (self)
		stack_publish(self);
	__atomic_store_n(&heap->stop, 1, __ATOMIC_SEQ_CST);
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		if (mutator != self)
			__atomic_store_n(&mutator->abi.poll, 1, __ATOMIC_RELAXED);
	for (;;) {
		uint32_t acks = __atomic_load_n(&heap->acks, __ATOMIC_SEQ_CST);

		if (claim_all(heap, self))
			break;
		stop_wait(heap, acks, spins++, begin);
	}
	waited = now_ns() - begin;
	if (waited > heap->safepoint_max_ns)
		__atomic_store_n(&heap->safepoint_max_ns, waited, __ATOMIC_RELAXED);
}

/**
 * world_start - let the mutators go on
 * @heap: the heap, stopped by this thread
 * @self: as given to world_stop()
 */
void world_start(struct gca_heap *heap, struct gca_mutator *self)
{
	struct gca_mutator *mutator;

	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		if (mutator == self)
			continue;
		__atomic_store_n(&mutator->abi.poll, heap->debug_stress, __ATOMIC_RELAXED);
		mutator_unclaim(mutator);
	}
	__atomic_store_n(&heap->stop, 0, __ATOMIC_SEQ_CST);
	futex_wake(&heap->stop);
}

/**
 * gca_blocking_begin - keep off the heap; cycles do not wait for this thread
 * @mutator: the calling thread's
 */
void gca_blocking_begin(struct gca_mutator *mutator)
{
	RUNTIME();
	if (__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED))
		return;
	if (!mutator->depth)
		alloc_before_block(mutator);
	blocked_enter(mutator);
}

/**
 * gca_blocking_end - the end of such a region
 * @mutator: the calling thread's
 *
 * Waits while the world is stopped.
 */
void gca_blocking_end(struct gca_mutator *mutator)
{
	RUNTIME();
	if (__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED))
		return;
	blocked_leave(mutator);
}

/* GCARENA_DEBUG=stress=1: whatever may happen at a safepoint happens at each. */
static void stress(struct gca_mutator *mutator)
{
	if (mutator->stressing || mutator->depth)
		return;
	mutator->stressing = true;
	/* A failure shows where somebody asks for a cycle. */
	if (!cycle_run(mutator, false))
		cycle_finish_sweep(mutator);
	mutator->stressing = false;
}

/**
 * gca_safepoint_slow - stop here if somebody asks for it
 * @mutator: the calling thread's
 */
void gca_safepoint_slow(struct gca_mutator *mutator)
{
	RUNTIME();
	enum account_state before;

	if (__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED))
		return;
	if (__atomic_load_n(&mutator->request, __ATOMIC_ACQUIRE))
		handshake_answer(mutator);
	if (__atomic_load_n(&mutator->heap->stop, __ATOMIC_ACQUIRE)) {
		before = account_switch(&mutator->account, ACCOUNT_HANDSHAKE);
		blocked_enter(mutator);
		blocked_leave(mutator);
		profile_wait_end(mutator, before);
	}
	if (unlikely(mutator->heap->debug_stress))
		stress(mutator);
}
