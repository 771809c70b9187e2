// SPDX-License-Identifier: MIT
/*
 * A profile is written while a stopped thread holds malloc's lock.
 *
 * One thread is stopped by a signal inside malloc(), which this program has for itself,
 * with its lock held.  The thread that writes the profile waits for that lock; the one
 * that collects must not wait for the writer, or all three wait for ever.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECONDS		60u	/* until a deadlock is called one */

struct node;
#define NODE_FIELDS(F) F(REF, struct node, next) F(VAL, uint64_t, value)
GCA_STRUCT(node, NODE_FIELDS);

static uint32_t held, held_until, waits, armed;
static __thread bool writer;

#if !TEST_ASAN
void *__libc_malloc(size_t bytes);

void *malloc(size_t bytes)
{
	if (writer && __atomic_load_n(&armed, __ATOMIC_ACQUIRE)) {
		__atomic_store_n(&waits, 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&held, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	return __libc_malloc(bytes);
}
#endif

static void await(const uint32_t *word)
{
	while (!__atomic_load_n(word, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* As if in malloc(): no safepoint, no library function, until it is told. */
static void *holds(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);

	__atomic_store_n(&held, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&held_until, __ATOMIC_ACQUIRE))
		;
	__atomic_store_n(&held, 0, __ATOMIC_RELEASE);
	gca_detach(m);
	return NULL;
}

static void *writes(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);
	int file = memfd_create("profile", MFD_CLOEXEC);
	int error;

	writer = true;
	error = gca_profile_heap_write(arg, file);
	close(file);
	gca_detach(m);
	return (void *)(intptr_t)error;
}

int main(void)
{
	pthread_t holder, author;
	struct gca_mutator *m;
	struct gca_heap *heap;
	void *error;

	if (TEST_ASAN || !signal_default()) {
		skip(1, "malloc is the sanitizer's, or no thread is stopped by signal");
		return tap_done();
	}
	heap = open_quiet(GCA_MODE_STOP_THE_WORLD);
	m = attach(heap, GCA_STACK_PRECISE);
	gca_profile_set_rate(heap, 1);
	for (unsigned int i = 0; i < 1000; i++)
		must(gca_new(m, node));
	if (pthread_create(&holder, NULL, holds, heap))
		bail("pthread_create");
	await(&held);
	__atomic_store_n(&armed, 1, __ATOMIC_RELEASE);
	if (pthread_create(&author, NULL, writes, heap))
		bail("pthread_create");
	await(&waits);
	alarm(SECONDS);
	eq(gca_collect(m), 0, "a cycle, while a profile waits for malloc's lock");
	alarm(0);
	ok(heap->signal_stops, "whose holder was stopped by signal");
	ok(__atomic_load_n(&held, __ATOMIC_ACQUIRE), "and still holds it");
	__atomic_store_n(&held_until, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(holder, NULL);
	pthread_join(author, &error);
	gca_blocking_end(m);
	eq((intptr_t)error, 0, "then the profile is written");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
