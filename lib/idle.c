// SPDX-License-Identifier: MIT
/*
 * CPUs that nobody wants: who may use one asks here and sleeps until there is one.
 *
 * Only the scheduler knows whether a CPU is idle, and a thread of its policy "idle" is
 * how it tells: the keeper runs when there is one, and wakes one of those that have
 * asked, who works for half a millisecond with the usual policy and asks again.  The
 * keeper itself holds no lock and nothing grey, so that it may be kept waiting for
 * as long as the machine is busy; a worker with that policy would hold up the cycle.
 *
 * One keeper for the process, made when somebody first asks.  When nobody may ask any
 * more it is told to end, and ends when it is given a CPU: waiting for that could take as
 * long, and is not done for long.  A process whose heaps are closed has no thread of the
 * library's for good, and can end by the end of its own.  It touches nothing but the
 * places below.
 */
#include "internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define KEEPER_STACK	(64 * KIB)
#define PLACES		64u
/* Nanoseconds that are waited for a keeper's end: enough where a CPU is idle. */
#define END_NS		10000000u

/* One of each asker's. */
static uint32_t granted[PLACES];	/* futex; atomic */
static uint64_t wanted;			/* by place; atomic */
static uint32_t asked;			/* futex: counts requests */
static uintptr_t current;		/* number of the keeper that is to stay; atomic */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t taken;			/* by place; lock */
static bool running;			/* there is a keeper; lock */
static pthread_t thread;		/* which; lock */
static bool refused;			/* there cannot be one; lock */

static void sleep_on(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void grant(unsigned int place)
{
	__atomic_store_n(&granted[place], 1, __ATOMIC_RELEASE);
	futex_wake(&granted[place]);
}

static void *keeper(void *number)
{
	struct sched_param param = { 0 };
	uint32_t before;
	uint64_t who;

	/* Without it nobody gets more than a share. */
	if (sched_setscheduler(0, SCHED_IDLE, &param))
		return NULL;
	for (;;) {
		before = __atomic_load_n(&asked, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&current, __ATOMIC_SEQ_CST) != (uintptr_t)number)
			return NULL;
		who = __atomic_load_n(&wanted, __ATOMIC_SEQ_CST);
		if (!who) {
			sleep_on(&asked, before);
			continue;
		}
		/* The lowest one; it may have been released meanwhile. */
		who &= -who;
		if (__atomic_fetch_and(&wanted, ~who, __ATOMIC_SEQ_CST) & who)
			grant((unsigned int)__builtin_ctzll(who));
	}
}

/**
 * idle_join - a thread wants to ask for idle CPUs
 *
 * Return: its place, or -1: there is none, or no keeper.
 */
int idle_join(void)
{
	int place = -1;

	pthread_mutex_lock(&lock);
	if (!running && !refused) {
		refused = thread_start(&thread, "gca-idle", KEEPER_STACK, keeper,
				       (void *)current);
		running = !refused;
	}
	if (running && ~taken) {
		place = __builtin_ctzll(~taken);
		taken |= 1ull << place;
	}
	pthread_mutex_unlock(&lock);
	return place;
}

/* Lock held.  Leak checkers see to it that what can end before the program does so. */
static void keeper_end(void)
{
	UNCANCELLED();
	struct timespec until;

	__atomic_add_fetch(&current, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
	futex_wake(&asked);
	running = false;
	/* By the clock that TSan's libraries know of. */
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += END_NS;
	if (until.tv_nsec >= (long)NSEC_PER_SEC) {
		until.tv_nsec -= NSEC_PER_SEC;
		until.tv_sec++;
	}
	if (pthread_timedjoin_np(thread, NULL, &until))
		pthread_detach(thread);
}

/**
 * idle_leave - it wants no more
 * @place: its place, or -1
 */
void idle_leave(int place)
{
	if (place < 0)
		return;
	__atomic_fetch_and(&wanted, ~(1ull << place), __ATOMIC_SEQ_CST);
	__atomic_store_n(&granted[place], 0, __ATOMIC_RELAXED);
	pthread_mutex_lock(&lock);
	taken &= ~(1ull << place);
	if (!taken)
		keeper_end();
	pthread_mutex_unlock(&lock);
}

/**
 * idle_await - sleep until a CPU is idle, or idle_release()
 * @place: the calling thread's
 */
void idle_await(int place)
{
	__atomic_fetch_or(&wanted, 1ull << place, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&asked, 1, __ATOMIC_SEQ_CST);
	futex_wake(&asked);
	while (!__atomic_exchange_n(&granted[place], 0, __ATOMIC_ACQUIRE))
		sleep_on(&granted[place], 0);
}

/**
 * idle_release - let it go on, idle CPU or not
 * @place: its place, or -1
 *
 * A release that comes before the wait ends it as soon as it begins.
 */
void idle_release(int place)
{
	if (place < 0)
		return;
	__atomic_fetch_and(&wanted, ~(1ull << place), __ATOMIC_SEQ_CST);
	grant((unsigned int)place);
}

/**
 * idle_forked - in a child: no keeper, and nobody who asked
 */
void idle_forked(void)
{
	unsigned int i;

	pthread_mutex_init(&lock, NULL);
	running = false;
	taken = 0;
	wanted = 0;
	for (i = 0; i < PLACES; i++)
		granted[i] = 0;
}
