// SPDX-License-Identifier: MIT
/*
 * Mutators: a thread's attachment to a heap.
 *
 * The list of a heap's mutators changes under heap->world, so a stop or a handshake
 * sees it fixed; a thread that attaches joins in the phase that the cycle is in,
 * with nothing of the heap in its hands.  A thread
 * that ends without detaching is detached by a destructor of thread-specific data;
 * its frames are gone with its stack.  The program's destructors may use the heap, or
 * detach: so ours waits for a late round of them, but not for the last, in which
 * sanitizers end the thread.
 *
 * A mutator is inherited memory (not a table): in a child of fork() the
 * inline functions go on reading it, and must find empty caches there.
 */
#include "internal.h"

#include <limits.h>
#include <sys/mman.h>

#define EXIT_ROUND	(PTHREAD_DESTRUCTOR_ITERATIONS - 1)

/* The calling thread's mutators, of all heaps. */
static __thread struct gca_mutator *mine RUNTIME_TLS;

/* What abi.cache points to while every allocation is to take the slow path. */
static struct gca_cache empty_caches[SPAN_CLASSES_MAX];

static pthread_key_t exit_key;
static int exit_key_error;
/* Rounds of destructors that have come by in the calling thread. */
static __thread unsigned int exit_round RUNTIME_TLS;

/**
 * mutator_self - the calling thread's mutator
 * @heap: of this heap
 *
 * Return: it, or NULL when the thread is not attached.
 */
struct gca_mutator *mutator_self(struct gca_heap *heap)
{
	struct gca_mutator *mutator;

	for (mutator = mine; mutator; mutator = mutator->next_mine)
		if (mutator->heap == heap)
			break;
	return mutator;
}

/**
 * mutators_mine - the calling thread's mutators
 *
 * Return: the first; next_mine leads on.
 */
struct gca_mutator *mutators_mine(void)
{
	return mine;
}

static void forget_mine(struct gca_mutator *mutator)
{
	struct gca_mutator **link;

	for (link = &mine; *link != mutator; link = &(*link)->next_mine)
		gca_assert(*link);
	*link = mutator->next_mine;
}

static void mutator_free(struct gca_mutator *mutator)
{
	table_unmap(mutator->stack_copy, STACK_COPY_MAX);
	munmap(mutator, sizeof(*mutator));
}

/* Bytes of memory that a mutator of @flags is. */
static size_t mutator_bytes(unsigned int flags)
{
	return sizeof(struct gca_mutator) + (flags & GCA_STACK_PRECISE ? 0 : STACK_COPY_MAX);
}

static void detach(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;

	alloc_flush(mutator);
	world_lock(heap, mutator);
	/* The wait was a safepoint, but no allocation: no span to flush again.  What
	 * was shaded is nobody else's to hand over.
	 */
	mark_shade_flush(mutator);
	grey_settle(mutator);
	if (heap->marking)
		heap->drifted = 1;
	*mutator->link = mutator->next;
	if (mutator->next)
		mutator->next->link = mutator->link;
	__atomic_store_n(&heap->nr_mutators, heap->nr_mutators - 1, __ATOMIC_RELAXED);
	heap->meta_bytes -= mutator_bytes(mutator->flags);
	class_marked_out(mutator);
	account_gone(heap, &mutator->account);
	world_unlock(heap);
	forget_mine(mutator);
	mutator_free(mutator);
}

/* In a child nothing is taken from the heap's lists: they are the parent's. */
static void drop(struct gca_mutator *mutator)
{
	forget_mine(mutator);
	mutator_free(mutator);
}

static void thread_exits(void *value)
{
	RUNTIME();
	struct gca_mutator *each;

	/* The thread may have ended inside blocking regions and frames: what those lie on is
	 * in use for other things already.
	 */
	for (each = mine; each; each = each->next_mine) {
		/* First: the wait below may be as long as a cycle that scans for us. */
		__atomic_store_n(&each->frames, NULL, __ATOMIC_RELAXED);
		if (each->depth && !__atomic_load_n(&each->heap->forked, __ATOMIC_RELAXED)) {
			each->depth = 1;
			blocked_leave(each);
		}
	}
	if (++exit_round < EXIT_ROUND && mine && !pthread_setspecific(exit_key, value))
		return;
	while (mine) {
		struct gca_mutator *mutator = mine;

		if (__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED)) {
			drop(mutator);
			continue;
		}
		detach(mutator);
	}
}

/* Before most of the program's keys: the first round drops frames before its
 * destructors write over them.
 */
static void __attribute__((constructor)) make_exit_key(void)
{
	exit_key_error = pthread_key_create(&exit_key, thread_exits);
}

static int mutator_new(struct gca_heap *heap, unsigned int flags, struct gca_mutator **out)
{
	struct gca_mutator *mutator;
	int error;

	if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
		return error_set(-ENOMEM, "no memory for a mutator");
	/* Most of it is for classes that the thread never uses: pages that are not there. */
	mutator = mmap(NULL, sizeof(*mutator), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mutator == MAP_FAILED)
		return error_set(-ENOMEM, "no memory for a mutator");
	/* Those of many threads lie side by side: a huge page would be all of them. */
	madvise(mutator, sizeof(*mutator), MADV_NOHUGEPAGE);
	mutator->heap = heap;
	mutator->flags = flags;
	mutator->nr_frame_slots = FRAMES_IN_PLACE;
	mutator->abi.heap_base = heap->base;
	mutator->abi.pointer_bits = heap->pointer_bits;
	mutator->abi.cache = heap->slow_alloc ? empty_caches : mutator->caches;
	mutator->abi.cards = heap->cards;
	mutator->abi.heap_size = heap->size;
	mutator->abi.poll = heap->debug_stress;
	mutator->abi.noscan_cache = noscan_cache_of;
	mutator->abi.shades_end = &mutator->shades[SHADES_FLUSH - 1];
	mark_shades_drop(mutator);
	profile_arm(mutator);
	if (!(flags & GCA_STACK_PRECISE)) {
		error = stack_find(&mutator->stack_limit, &mutator->stack_base);
		if (error)
			goto fail;
		mutator->stack_copy = table_map(STACK_COPY_MAX);
		if (!mutator->stack_copy) {
			error = error_set(-ENOMEM, "no memory for a mutator's stack");
			goto fail;
		}
	}
	*out = mutator;
	return 0;
fail:
	munmap(mutator, sizeof(*mutator));
	return error;
}

/**
 * gca_attach - let the calling thread use a heap
 * @heap: the heap
 * @flags: GCA_STACK_PRECISE, or 0
 * @out: where the mutator goes
 *
 * Waits while the world is stopped.  Must be called on the thread's own stack
 * unless its roots are precise.
 *
 * Return: 0, -EBUSY when it is attached already, -EINVAL for unknown flags,
 * -ENOTSUP when its stack cannot be found, -ENOMEM, -EIO.
 */
int gca_attach(struct gca_heap *heap, unsigned int flags, struct gca_mutator **out)
{
	RUNTIME();
	struct gca_mutator *mutator = NULL;
	int error = heap_usable(heap);

	if (error)
		return error;
	if (flags & ~GCA_STACK_PRECISE)
		return error_set(-EINVAL, "attach: unknown flags %#x", flags);
	if (mutator_self(heap))
		return error_set(-EBUSY, "this thread is attached to this heap already");
	/* Any value but NULL makes the destructor run, if a round is left. */
	if (exit_round >= EXIT_ROUND || exit_key_error || pthread_setspecific(exit_key, &exit_key))
		return error_set(-ENOMEM, "no thread-specific data for a mutator");
	error = mutator_new(heap, flags, &mutator);
	if (error)
		return error;
	account_begin(&mutator->account);

	world_lock(heap, NULL);
	mutator->abi.alloc_bits = alloc_bitmap(heap);
	mutator->generation = heap->generation;
	mutator->epoch = heap->epoch;
	mutator->quiet_since = UINT64_MAX;
	mutator->abi.barrier = generations_barrier(heap, heap->marking);
	/* Whoever has world finds all barriers on: this one may begin black. */
	if (heap->marking) {
		mutator->mark_bits = mark_bitmap(heap);
		alloc_turn_black(mutator);
	}
	mutator->next = heap->mutators;
	if (mutator->next)
		mutator->next->link = &mutator->next;
	mutator->link = &heap->mutators;
	heap->mutators = mutator;
	__atomic_store_n(&heap->nr_mutators, heap->nr_mutators + 1, __ATOMIC_RELAXED);
	heap->meta_bytes += mutator_bytes(flags);
	world_unlock(heap);

	mutator->next_mine = mine;
	/* A signal may come here, and walk the list. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	mine = mutator;
	*out = mutator;
	return 0;
}

/**
 * gca_detach - end the calling thread's use of a heap
 * @mutator: its mutator; gone afterwards
 *
 * Return: 0; -EBUSY: frames are still pushed, or the thread is in a blocking
 * region; -EPERM: the mutator is another thread's.
 */
int gca_detach(struct gca_mutator *mutator)
{
	RUNTIME();
	if (mutator_self(mutator->heap) != mutator)
		return error_set(-EPERM, "the mutator is another thread's");
	if (__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED)) {
		drop(mutator);
		return 0;
	}
	if (mutator->frames)
		return error_set(-EBUSY, "frames are still pushed");
	if (mutator->depth)
		return error_set(-EBUSY, "the thread is in a blocking region");
	detach(mutator);
	return 0;
}

/**
 * gca_heap_of - the heap of a mutator
 * @mutator: the calling thread's
 */
struct gca_heap *gca_heap_of(struct gca_mutator *mutator)
{
	return mutator->heap;
}

/**
 * mutator_forked - in the child: the only thread's mutators allocate no more
 */
void mutator_forked(void)
{
	struct gca_mutator *mutator;

	for (mutator = mine; mutator; mutator = mutator->next_mine) {
		mutator->abi.cache = empty_caches;
		mutator->abi.poll = 0;
		mutator->abi.barrier = 0;
		mutator->mark_bits = NULL;
		mutator->born_black = false;
		/* Its copy is a table, which children do not inherit. */
		mutator->stack_copy = NULL;
	}
}

/**
 * mutator_drop - in the child: forget the thread's mutator of @heap
 * @heap: a heap of the parent's
 */
void mutator_drop(struct gca_heap *heap)
{
	struct gca_mutator *mutator = mutator_self(heap);

	if (mutator)
		drop(mutator);
}
