// SPDX-License-Identifier: MIT
/*
 * Where a mutator's time goes: one account, whose states add up to its wall time.
 *
 * A mutator is in one state at a time.  Its own thread changes it, by reading the
 * clock once: what has passed since the last change belongs to the state before.
 * Others may read the account at any time: a sequence, odd while it changes, tells
 * them to look again.  Being kept from a CPU is nothing that a thread can see of
 * itself; the kernel's count of it is taken off the running time when asked for.
 *
 * Utilisation: for windows of 1, 10 and 100 ms the time lost to the collector is kept
 * in sixteenths of a window, and the largest sum of the last whole window and the
 * sixteenth that it began in is remembered.  So what is reported is not too good.
 */
#include "internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#define NS_PER_US	1000u

static const uint64_t window_ns[MMU_WINDOWS] = { 1000000, 10000000, 100000000 };

#define get(value)	__atomic_load_n(value, __ATOMIC_RELAXED)
#define put(value, to)	__atomic_store_n(value, to, __ATOMIC_RELAXED)

/* Nanoseconds that thread @tid was runnable and did not run; 0 if nobody knows. */
static uint64_t run_delay(int tid)
{
	UNCANCELLED();
	unsigned long long ran, waited;
	char path[64], text[128];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (length <= 0)
		return 0;
	text[length] = 0;
	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

/* Time that was lost in other parts of the window than the newest, or in more than one. */
static __attribute__((noinline)) void window_move(struct mmu_window *window, uint64_t length,
						  uint64_t from, uint64_t to)
{
	uint64_t part = length / MMU_PARTS;

	if (to - from >= length) {
		put(&window->worst, length);
		from = to - length;
	}
	while (from < to) {
		uint64_t index = from / part, end = (index + 1) * part;
		uint64_t steps = index - window->newest;

		if (steps > MMU_PARTS)
			steps = MMU_PARTS + 1;
		while (steps--) {
			uint64_t *oldest = &window->lost[(index - steps) % (MMU_PARTS + 1)];

			window->sum -= *oldest;
			*oldest = 0;
		}
		window->newest = index;
		window->end = end;
		window->part = &window->lost[index % (MMU_PARTS + 1)];
		if (end > to)
			end = to;
		*window->part += end - from;
		window->sum += end - from;
		from = end;
	}
}

static void window_add(struct mmu_window *window, uint64_t length, uint64_t from, uint64_t to)
{
	/* Mostly microseconds after the last time: no division for those. */
	if (likely(to <= window->end && window->end - from <= length / MMU_PARTS)) {
		*window->part += to - from;
		window->sum += to - from;
	} else {
		window_move(window, length, from, to);
	}
	if (window->sum > window->worst)
		put(&window->worst, window->sum < length ? window->sum : length);
}

static bool is_lost(enum account_state state)
{
	return state >= ACCOUNT_LOST;
}

/**
 * account_begin - a mutator's time begins
 * @account: the calling thread's mutator's
 */
void account_begin(struct account *account)
{
	unsigned int i;

	account->tid = gettid();
	account->delayed = run_delay(account->tid);
	account->since = now_ns();
	account->state = ACCOUNT_RUNNING;
	for (i = 0; i < MMU_WINDOWS; i++)
		account->windows[i].newest = account->since * MMU_PARTS / window_ns[i];
}

/**
 * account_switch - what the calling thread's mutator does from now on
 * @account: its account
 * @to: what
 *
 * Return: what it did before.
 */
enum account_state account_switch(struct account *account, enum account_state to)
{
	enum account_state from = account->state;
	uint64_t since = account->since, now;
	unsigned int i;

	if (from == to)
		return from;
	now = now_ns();
	__atomic_store_n(&account->sequence, account->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	put(&account->ns[from], account->ns[from] + (now - since));
	put(&account->since, now);
	__atomic_store_n(&account->state, to, __ATOMIC_RELAXED);
	__atomic_store_n(&account->sequence, account->sequence + 1, __ATOMIC_RELEASE);
	if (is_lost(from) && now > since)
		for (i = 0; i < MMU_WINDOWS; i++)
			window_add(&account->windows[i], window_ns[i], since, now);
	return from;
}

/* A consistent copy of its times up to now. */
static void snapshot(const struct account *account, uint64_t ns[ACCOUNT_STATES])
{
	uint32_t before, state;
	uint64_t since, now;
	unsigned int i;

	do {
		before = __atomic_load_n(&account->sequence, __ATOMIC_ACQUIRE);
		for (i = 0; i < ACCOUNT_STATES; i++)
			ns[i] = get(&account->ns[i]);
		since = get(&account->since);
		state = get(&account->state);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (before & 1 || before != get(&account->sequence));
	now = now_ns();
	if (now > since)
		ns[state] += now - since;
}

static void add_account(struct gca_account *to, const struct account *account)
{
	uint64_t ns[ACCOUNT_STATES], delay;
	unsigned int i;

	snapshot(account, ns);
	delay = run_delay(account->tid);
	delay = delay > account->delayed ? delay - account->delayed : 0;
	/* The kernel's clock and ours need not agree to the nanosecond; and what came
	 * upon another state is that state's.
	 */
	if (delay > ns[ACCOUNT_RUNNING])
		delay = ns[ACCOUNT_RUNNING];
	for (i = 0; i < ACCOUNT_STATES; i++)
		to->wall_ns += ns[i];
	to->running_ns += ns[ACCOUNT_RUNNING] - delay;
	to->unscheduled_ns += delay;
	to->blocked_ns += ns[ACCOUNT_BLOCKED];
	to->assist_ns += ns[ACCOUNT_ASSIST];
	to->stall_ns += ns[ACCOUNT_STALL];
	to->gate_ns += ns[ACCOUNT_GATE];
	to->handshake_ns += ns[ACCOUNT_HANDSHAKE];
	to->refill_ns += ns[ACCOUNT_REFILL];
	for (i = 0; i < MMU_WINDOWS; i++) {
		uint64_t lost = get(&account->windows[i].worst);
		uint32_t mmu = (uint32_t)((window_ns[i] - lost) * 1000 / window_ns[i]);

		if (mmu < to->mmu[i])
			to->mmu[i] = mmu;
	}
}

static void account_clear(struct gca_account *account)
{
	size_t size = account->size;
	unsigned int i;

	memset(account, 0, sizeof(*account));
	account->size = size;
	for (i = 0; i < MMU_WINDOWS; i++)
		account->mmu[i] = 1000;
}

/**
 * account_gone - a mutator leaves: its times are the heap's
 * @heap: the heap, its world held
 * @account: the mutator's
 */
void account_gone(struct gca_heap *heap, const struct account *account)
{
	if (!heap->gone.size) {
		heap->gone.size = sizeof(heap->gone);
		account_clear(&heap->gone);
	}
	add_account(&heap->gone, account);
}

/**
 * gca_account - where a thread's time went since it attached
 * @mutator: the calling thread's
 * @out: its size is set
 *
 * Return: 0, or -EINVAL for a size that this library does not know.
 */
int gca_account(struct gca_mutator *mutator, struct gca_account *out)
{
	RUNTIME();
	if (out->size != sizeof(*out))
		return error_set(-EINVAL, "account: a structure of %zu bytes", out->size);
	account_clear(out);
	add_account(out, &mutator->account);
	return 0;
}

/* World held. */
static void add_all(struct gca_heap *heap, struct gca_account *out)
{
	struct gca_mutator *mutator;

	account_clear(out);
	if (heap->gone.size)
		*out = heap->gone;
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		add_account(out, &mutator->account);
}

/**
 * gca_account_all - the same of all threads together, those that are gone too
 * @heap: the heap
 * @out: its size is set
 *
 * Return: 0, -EINVAL for a size that this library does not know, or -EIO.
 */
int gca_account_all(struct gca_heap *heap, struct gca_account *out)
{
	RUNTIME();
	int error = heap_usable(heap);

	if (error)
		return error;
	if (out->size != sizeof(*out))
		return error_set(-EINVAL, "account: a structure of %zu bytes", out->size);
	world_lock(heap, mutator_self(heap));
	add_all(heap, out);
	world_unlock(heap);
	return 0;
}

/**
 * account_try_all - the same, if nobody holds the world
 * @heap: the heap
 * @out: its size is set
 *
 * Return: false: somebody does.
 */
bool account_try_all(struct gca_heap *heap, struct gca_account *out)
{
	if (pthread_mutex_trylock(&heap->world))
		return false;
	add_all(heap, out);
	world_unlock(heap);
	return true;
}

/* -------------------------------------------------------------- stopwatch */

static void usage(uint64_t *cpu, long *switches)
{
	struct rusage used;

	getrusage(RUSAGE_THREAD, &used);
	*cpu = ((uint64_t)used.ru_utime.tv_sec + (uint64_t)used.ru_stime.tv_sec) * NSEC_PER_SEC +
	       ((uint64_t)used.ru_utime.tv_usec + (uint64_t)used.ru_stime.tv_usec) * NS_PER_US;
	*switches = used.ru_nvcsw;
}

/**
 * stopwatch_start - begin to measure what the calling thread itself does
 * @watch: the watch
 */
void stopwatch_start(struct stopwatch *watch)
{
	usage(&watch->cpu, &watch->switches);
	watch->wall = now_ns();
}

/**
 * stopwatch_stop - how long it took, without waits for a CPU
 * @watch: the watch
 * @unscheduled: that wait, in nanoseconds, is added
 *
 * A thread that did not give its CPU up and has used less CPU time than time has
 * passed was kept from it.  If it did, the wait was for somebody, and counts.
 *
 * Return: nanoseconds.
 */
uint64_t stopwatch_stop(const struct stopwatch *watch, uint64_t *unscheduled)
{
	uint64_t wall = now_ns() - watch->wall, cpu;
	long switches;

	usage(&cpu, &switches);
	/* CPU times are whole microseconds. */
	cpu = cpu - watch->cpu + NS_PER_US;
	if (switches != watch->switches || wall <= cpu)
		return wall;
	__atomic_add_fetch(unscheduled, wall - cpu, __ATOMIC_RELAXED);
	return cpu;
}

/**
 * unscheduled_ns - how long the calling thread has waited for a CPU, ever
 */
uint64_t unscheduled_ns(void)
{
	return run_delay(gettid());
}
