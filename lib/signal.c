// SPDX-License-Identifier: MIT
/*
 * Stops by signal: a thread with a conservative stack that comes to no safepoint is
 * made to stand still wherever it is.
 *
 * The handler does nothing of a cycle's: it publishes registers and stack, becomes
 * BLOCKED and sleeps; whoever waits claims the mutator as any that blocks (stop.c),
 * and acts for it.  What the handler calls is safe in a signal: futexes, clocks, no
 * lock, no memory.  It stands still only where that harms nobody:
 *
 *  - not inside the library, which may hold its locks or be half through with a
 *    span (runtime_depth counts; RUNTIME() is the first line of every function that a
 *    program can call);
 *  - not between taking a slot and publishing its object, which alloc_settled() sees.
 *    The slot is taken by one instruction (GCA_TAKE_), so there is nothing before;
 *  - not on another stack than the one that would be scanned.
 *
 * Elsewhere it returns, and is sent again.  A store that is interrupted between its
 * look at the barrier and the store itself happens late and unshaded: a cycle that
 * saw such a stop looks at all stacks in its last rounds again (heap->in_flight;
 * Documentation/collector.rst says why that is enough).
 *
 * While a thread stands still it may hold locks of the C library's: whoever works
 * with claimed mutators must not call malloc() or stdio.
 */
#include "internal.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define SIGNAL_STOPS	1
#else
/* No GCA_TAKE_ in one instruction; or handlers run late, with old registers. */
#define SIGNAL_STOPS	0
#endif

/* Time without an answer until a signal for a thread whose last answer took a signal. */
#define LATE_AGAIN_NS	200000u
/* Until the next one, if the last found the thread where it must not stop. */
#define AGAIN_NS	1000000u
/* Bytes below the stack pointer that a function may use without moving it. */
#define RED_ZONE	128u

__thread unsigned int runtime_depth RUNTIME_TLS;

#if SIGNAL_STOPS

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool installed[_NSIG]; /* lock */

static void futex_sleep(uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/*
 * The vector registers too: a copy of pointers may be in one.  The kernel says how
 * much of them it has saved.
 */
static size_t vector_bytes(const struct _libc_fpstate *state)
{
	/* struct _fpx_sw_bytes at byte 464 of the 512: magic, then sizes. */
	const uint32_t *sw = (const uint32_t *)state + 464 / sizeof(uint32_t);
	const uint32_t magic = 0x46505853u;
	size_t bytes = sizeof(*state);

	if (sw[0] == magic && sw[1] > bytes)
		bytes = sw[1];
	return bytes < STACK_COPY_MAX / 2 ? bytes : STACK_COPY_MAX / 2;
}

static GCA_NO_ASAN void copy_words(uintptr_t *to, const void *from, size_t bytes)
{
	const volatile uintptr_t *words = from;
	size_t i;

	for (i = 0; i < bytes / sizeof(*to); i++)
		to[i] = words[i];
}

/*
 * Registers and the top of the stack go to the copy, as stack.c's do: the rest of the
 * stack is scanned where it is, nobody uses it meanwhile.
 */
static GCA_NO_ASAN bool publish(struct gca_mutator *mutator, const ucontext_t *context)
{
	const mcontext_t *registers = &context->uc_mcontext;
	uintptr_t low = (uintptr_t)registers->gregs[REG_RSP] - RED_ZONE;
	size_t general = sizeof(registers->gregs), vector = 0, bytes;
	uintptr_t *copy = mutator->stack_copy;

	low &= ~(sizeof(void *) - 1);
	if (low < mutator->stack_limit || low >= mutator->stack_base)
		return false;
	copy_words(copy, registers->gregs, general);
	if (registers->fpregs) {
		vector = vector_bytes(registers->fpregs) & ~(sizeof(void *) - 1);
		copy_words(copy + general / sizeof(*copy), registers->fpregs, vector);
	}
	bytes = mutator->stack_base - low;
	if (bytes > STACK_COPY_MAX - general - vector)
		bytes = STACK_COPY_MAX - general - vector;
	copy_words(copy + (general + vector) / sizeof(*copy), (const void *)low, bytes);
	mutator->copied = general + vector + bytes;
	/* Behind what was copied the scan goes on in place. */
	mutator->stack_low = low - general - vector;
	return true;
}

static bool wanted(struct gca_mutator *mutator)
{
	return __atomic_load_n(&mutator->heap->stop, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&mutator->request, __ATOMIC_SEQ_CST);
}

/* BLOCKED until nothing is asked of @mutator any more, then RUNNING. */
static void stand(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	uint32_t state, request;

	__atomic_store_n(&mutator->parked, 1, __ATOMIC_RELAXED);
	if (__atomic_load_n(&heap->marking, __ATOMIC_RELAXED))
		__atomic_store_n(&heap->in_flight, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->signal_stops, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&mutator->depth, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&mutator->state, MUTATOR_BLOCKED, __ATOMIC_SEQ_CST);
	stop_acknowledge(heap);
	for (;;) {
		while ((request = __atomic_load_n(&mutator->request, __ATOMIC_SEQ_CST)))
			futex_sleep(&mutator->request, request);
		if (__atomic_load_n(&heap->stop, __ATOMIC_SEQ_CST)) {
			futex_sleep(&heap->stop, 1);
			continue;
		}
		state = MUTATOR_BLOCKED;
		if (__atomic_compare_exchange_n(&mutator->state, &state, MUTATOR_RUNNING, false,
						__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
			break;
		if (state == MUTATOR_CLAIMED &&
		    __atomic_compare_exchange_n(&mutator->state, &state, MUTATOR_AWAITED, false,
						__ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
			state = MUTATOR_AWAITED;
		if (state == MUTATOR_AWAITED)
			futex_sleep(&mutator->state, MUTATOR_AWAITED);
	}
	__atomic_store_n(&mutator->depth, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&mutator->parked, 0, __ATOMIC_RELAXED);
	mutator->wakes++;
}

static void park(struct gca_mutator *mutator, const ucontext_t *context)
{
	enum account_state before;
	struct stopwatch watch;

	if (!wanted(mutator) || !publish(mutator, context))
		return;
	before = account_switch(&mutator->account, ACCOUNT_HANDSHAKE);
	stopwatch_start(&watch);
	stand(mutator);
	stop_note(mutator->heap, GCA_STOP_SIGNAL,
		  stopwatch_stop(&watch, &mutator->heap->stop_unscheduled_ns));
	account_switch(&mutator->account, before);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	struct gca_mutator *mutator;
	int saved = errno;

	/* The list is changed by one store at a time. */
	for (mutator = mutators_mine(); mutator; mutator = mutator->next_mine) {
		if (!runtime_depth && mutator->stack_copy && mutator->state == MUTATOR_RUNNING &&
		    alloc_settled(mutator))
			park(mutator, context);
		__atomic_store_n(&mutator->signalled, 0, __ATOMIC_RELEASE);
	}
	errno = saved;
}

/* lock held */
static int install(int number)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART }, old;

	if (installed[number])
		return 0;
	if (sigaction(number, NULL, &old))
		return error_set(-EINVAL, "signal %d: %s", number, strerror(errno));
	if (old.sa_flags & SA_SIGINFO || old.sa_handler != SIG_DFL)
		return error_set(-EBUSY, "signal %d has a handler of the program's", number);
	action.sa_sigaction = on_signal;
	sigfillset(&action.sa_mask);
	if (sigaction(number, &action, NULL))
		return error_set(-EINVAL, "signal %d: %s", number, strerror(errno));
	installed[number] = true;
	return 0;
}

/**
 * signal_lock - no handler is being installed until signal_unlock()
 */
void signal_lock(void)
{
	pthread_mutex_lock(&lock);
}

/**
 * signal_unlock - the counterpart of signal_lock()
 */
void signal_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

/* Before each use: the program may have taken the signal since. */
static bool still_ours(int number)
{
	struct sigaction now;

	return !sigaction(number, NULL, &now) && now.sa_flags & SA_SIGINFO &&
	       now.sa_sigaction == on_signal;
}

/*
 * @number, or where nobody chose it and it has a handler (of another copy of the library,
 * say) one of the next ones below; 0: none.
 */
static int ready(struct gca_heap *heap, int number)
{
	int chosen = number, error;

	pthread_mutex_lock(&lock);
	error = install(chosen);
	while (error == -EBUSY && chosen <= SIGRTMAX - STOP_SIGNAL_BELOW &&
	       chosen > SIGRTMAX - STOP_SIGNAL_BELOW - STOP_SIGNAL_TRIES)
		error = install(--chosen);
	pthread_mutex_unlock(&lock);
	if (!error && still_ours(chosen)) {
		__atomic_store_n(&heap->stop_signal, chosen, __ATOMIC_RELAXED);
		return chosen;
	}
	__atomic_store_n(&heap->stop_signal, 0, __ATOMIC_RELAXED);
	gca_warn(heap, "signal %d is the program's: threads that do not poll are waited for",
		 number);
	return 0;
}

/**
 * signal_late - make those stand still who are waited for too long
 * @heap: the heap, its world held
 * @waited: nanoseconds since they were asked
 *
 * Return: nanoseconds until this should be called again; 0: no need to.
 */
uint64_t signal_late(struct gca_heap *heap, uint64_t waited)
{
	int number = __atomic_load_n(&heap->stop_signal, __ATOMIC_RELAXED);
	struct gca_mutator *mutator;
	uint64_t late = __atomic_load_n(&heap->late_ns, __ATOMIC_RELAXED), next = 0;

	if (!number)
		return 0;
	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		uint64_t due = mutator->late && late > LATE_AGAIN_NS ? LATE_AGAIN_NS : late;

		if (!mutator->stack_copy ||
		    __atomic_load_n(&mutator->state, __ATOMIC_ACQUIRE) != MUTATOR_RUNNING ||
		    !__atomic_load_n(&mutator->abi.poll, __ATOMIC_RELAXED))
			continue;
		if (waited >= due) {
			due = waited + AGAIN_NS;
			/* Of several pending each would be delivered. */
			if (!__atomic_load_n(&mutator->signalled, __ATOMIC_ACQUIRE) ||
			    waited - mutator->signalled_at > 10 * AGAIN_NS) {
				number = ready(heap, number);
				if (!number)
					return 0;
				mutator->late = true;
				mutator->signalled_at = waited;
				__atomic_store_n(&mutator->signalled, 1, __ATOMIC_RELEASE);
				syscall(SYS_tgkill, getpid(), mutator->account.tid, number);
			}
		}
		if (!next || due - waited < next)
			next = due - waited;
	}
	return next;
}

/**
 * gca_set_stop_signal - choose the signal that stops threads which do not poll
 * @heap: the heap
 * @number: a real-time signal that nobody else uses; 0: none is sent
 *
 * Return: 0; -EINVAL: no real-time signal; -EBUSY: it has a handler already; -ENOTSUP:
 * no signals on this machine.
 */
int gca_set_stop_signal(struct gca_heap *heap, int number)
{
	RUNTIME();
	int error = 0;

	if (number && (number < SIGRTMIN || number > SIGRTMAX))
		return error_set(-EINVAL, "signal %d is no real-time signal", number);
	pthread_mutex_lock(&lock);
	if (number)
		error = install(number);
	pthread_mutex_unlock(&lock);
	if (!error)
		__atomic_store_n(&heap->stop_signal, number, __ATOMIC_RELAXED);
	return error;
}

/*
 * Valgrind, which is preloaded, runs a program slower than any limit on lateness is
 * meant for, and kills one of which a signal finds the main stack about to grow.
 */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

/**
 * signal_default - the signal that a heap begins with
 *
 * Return: a real-time signal, or 0: none.
 */
int signal_default(void)
{
	return under_valgrind() ? 0 : SIGRTMAX - STOP_SIGNAL_BELOW;
}

#else

uint64_t signal_late(struct gca_heap *heap, uint64_t waited)
{
	return 0;
}

int gca_set_stop_signal(struct gca_heap *heap, int number)
{
	RUNTIME();

	if (!number)
		return 0;
	return error_set(-ENOTSUP, "threads cannot be stopped by signal on this machine");
}

int signal_default(void)
{
	return 0;
}

void signal_lock(void)
{
}

void signal_unlock(void)
{
}

#endif
