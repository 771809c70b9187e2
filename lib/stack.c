// SPDX-License-Identifier: MIT
/*
 * The conservative side of a thread: its registers and its stack.
 *
 * A thread publishes its stack before it leaves RUNNING, and a stopper that has
 * claimed it scans what was published as words.  Registers are pushed by
 * __builtin_unwind_init() into a frame of that range: setjmp() will not do, glibc
 * mangles some of them.
 *
 * A thread that publishes may return to the program (a blocking region) and go
 * on using its frames, so that a pointer that was in one may be in a register
 * when the scan comes, where nobody can see it.  So registers and what the frames
 * near the top hold are copied at once.  Frames further up belong to callers
 * that wait for a return and do not change.
 *
 * Words outside of any object are read here on purpose: no AddressSanitizer.
 */
#include "internal.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* Bytes of a main thread's stack that may have any number of them. */
#define STACK_MAX	(1 * GIB)

/*
 * For the main thread the C library reads /proc/self/maps, which may not be there (chroot) or
 * cannot be opened (no descriptor is left).  Without: from the limit, as it does.
 */
static bool main_stack(uintptr_t *low, uintptr_t *high)
{
	struct rlimit limit;
	uintptr_t size = STACK_MAX;

	if (getpid() != gettid() || !&__libc_stack_end)
		return false;
	if (!getrlimit(RLIMIT_STACK, &limit) && limit.rlim_cur < size)
		size = limit.rlim_cur;
	*high = (uintptr_t)__libc_stack_end & ~(sizeof(void *) - 1);
	*low = *high - size;
	return true;
}

/**
 * stack_find - the bounds of the calling thread's stack
 * @low: where the low end goes
 * @high: where the high end goes
 *
 * Return: 0, or -ENOTSUP when the system does not tell.
 */
int stack_find(uintptr_t *low, uintptr_t *high)
{
	pthread_attr_t attr;
	void *start;
	size_t size;
	int error;

	error = pthread_getattr_np(pthread_self(), &attr);
	if (!error) {
		error = pthread_attr_getstack(&attr, &start, &size);
		pthread_attr_destroy(&attr);
	}
	if (error && main_stack(low, high))
		return 0;
	if (error)
		return error_set(-ENOTSUP, "the thread's stack cannot be found: %s",
				 strerror(error));
	*low = (uintptr_t)start;
	*high = ((uintptr_t)start + size) & ~(sizeof(void *) - 1);
	return 0;
}

/* Every page of [@low, @high) is there. */
static bool mapped(uintptr_t low, uintptr_t high)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), bytes;
	unsigned char state[256];

	for (low &= ~(page - 1); low < high; low += bytes) {
		bytes = align_up(high - low, page);
		if (bytes > sizeof(state) * page)
			bytes = sizeof(state) * page;
		if (mincore((void *)low, bytes, state))
			return false;
	}
	return true;
}

/*
 * The main thread's stack grows as far as RLIMIT_STACK allows, which the program may have
 * changed since the bounds were looked up.  Below it the kernel leaves a gap: what is joined
 * to it is it.
 */
static bool has_grown(struct gca_mutator *mutator, uintptr_t low)
{
	if (getpid() != gettid() || low >= mutator->stack_base ||
	    !mapped(low, mutator->stack_limit))
		return false;
	mutator->stack_limit = low;
	return true;
}

/* There in a program that was built with it, as the library need not be. */
extern int __asan_address_is_poisoned(const void *address) __attribute__((weak));

/* AddressSanitizer looks into memcpy(), and into what becomes one. */
static GCA_NO_ASAN void copy_words(uintptr_t *to, const uintptr_t *from, size_t bytes)
{
	const volatile uintptr_t *words = from;
	size_t i;

	if (likely(!GCA_ASAN && !__asan_address_is_poisoned)) {
		memcpy(to, from, bytes);
		return;
	}
	for (i = 0; i < bytes / sizeof(*to); i++)
		to[i] = words[i];
}

/* In a frame of its own, below the one that the registers were pushed to. */
static __attribute__((noinline)) GCA_NO_ASAN void publish_from(struct gca_mutator *mutator)
{
	uintptr_t low = (uintptr_t)__builtin_frame_address(0) & ~(sizeof(void *) - 1);
	size_t bytes;

	/* On another stack (a coroutine's, a signal's) the scan would read what is
	 * not there and miss what is: such threads attach with GCA_STACK_PRECISE.
	 */
	if (unlikely(low < mutator->stack_limit || low >= mutator->stack_base) &&
	    !has_grown(mutator, low))
		assertion_failed("a mutator is used on the stack of the thread that attached it",
				 __FILE__, __LINE__);
	bytes = mutator->stack_base - low;
	if (bytes > STACK_COPY_MAX)
		bytes = STACK_COPY_MAX;
	copy_words(mutator->stack_copy, (const uintptr_t *)low, bytes);
	mutator->stack_low = low;
	mutator->copied = bytes;
}

/**
 * stack_publish - make the calling thread's stack and registers known
 * @mutator: the thread's; nothing happens for one with precise roots only
 */
__attribute__((noinline)) GCA_NO_ASAN void stack_publish(struct gca_mutator *mutator)
{
	if (!mutator->stack_copy)
		return;
	__builtin_unwind_init();
	publish_from(mutator);
	/* Not a tail call: the registers are in this frame. */
	__asm__ volatile("" : : : "memory");
}
