// SPDX-License-Identifier: MIT
/*
 * Finalizers: functions called once for objects that nothing reaches any more.
 *
 * A finalizer is registered for an object, which does not know of it.  At a cycle's
 * end those whose objects are unmarked are ready: the object is marked again, with
 * all that it reaches (resurrection), and the pair goes to the queue, which is a root.
 * The program runs the queue on a thread of its own choice, or on the heap's.
 *
 * Ordered ones (the default) first mark what their objects reach, but not the objects
 * themselves: what is still unmarked then is reached from no other one, so of a
 * chain only the head is ready.  Objects on a cycle of references are never.
 *
 * The list is changed by mutators and by a cycle, under special.lock; entries move and
 * go only in finalizers_find(): one taken back before has object 0.  The queue is
 * published after everything that a ready object reaches is marked: who takes it from
 * there holds nothing unmarked.
 */
#include "internal.h"

/* Finalizers are the program's code. */
#define FINALIZER_STACK	(1 * MIB)

static bool room(struct finalizer_list *list)
{
	return array_room((void **)&list->entries, list->nr, &list->max, sizeof(*list->entries));
}

/* Lock held, by the cycle.  The last entry takes its place. */
static void take_out(struct special *special, size_t at)
{
	struct finalizer_list *list = &special->finalizers;
	struct finalizer *last = &list->entries[list->nr - 1];

	if (list->entries[at].object)
		addrmap_remove(&special->by_object, list->entries[at].object);
	if (&list->entries[at] != last) {
		list->entries[at] = *last;
		/* Its key is there already, if any: no memory is needed. */
		if (last->object)
			addrmap_put(&special->by_object, last->object, at);
	}
	__atomic_store_n(&list->nr, list->nr - 1, __ATOMIC_RELAXED);
}

/* Lock held. */
static int put_in(struct special *special, const struct finalizer *finalizer)
{
	struct finalizer_list *list = &special->finalizers;
	uint64_t at;

	if (addrmap_get(&special->by_object, finalizer->object, &at)) {
		list->entries[at] = *finalizer;
		return 0;
	}
	if (!room(list) || addrmap_put(&special->by_object, finalizer->object, list->nr))
		return error_set(-ENOMEM, "no memory for a finalizer");
	list->entries[list->nr] = *finalizer;
	__atomic_store_n(&list->nr, list->nr + 1, __ATOMIC_RELAXED);
	return 0;
}

/**
 * gca_finalizer_set - have a function called when nothing reaches an object
 * @mutator: the calling thread's
 * @object: its base
 * @fn: the function, or NULL: take the one that was set back
 * @arg: for it; not a reference that keeps anything alive
 * @flags: GCA_FINALIZE_ORDERED (0) or GCA_FINALIZE_UNORDERED
 *
 * One an object; setting another replaces it.
 *
 * Return: 0; -EINVAL: @object is no object, or unknown flags; -ENOENT: there is none
 * to take back; -ENOMEM; -EIO.
 */
int gca_finalizer_set(struct gca_mutator *mutator, void *object, gca_finalizer_fn fn, void *arg,
		      unsigned int flags)
{
	RUNTIME();
	struct finalizer finalizer = { (uintptr_t)object, fn, arg, flags };
	struct special *special = &mutator->heap->special;
	int error = heap_usable(mutator->heap);
	uint64_t at;

	if (error)
		return error;
	if (flags & ~GCA_FINALIZE_UNORDERED)
		return error_set(-EINVAL, "finalizer: unknown flags %#x", flags);
	if (!object || gca_object_of(mutator->heap, object, NULL) != object)
		return error_set(-EINVAL, "finalizer: %p is not an object of this heap", object);
	pthread_mutex_lock(&special->lock);
	if (fn)
		error = put_in(special, &finalizer);
	else if (addrmap_get(&special->by_object, finalizer.object, &at) &&
		 addrmap_remove(&special->by_object, finalizer.object))
		special->finalizers.entries[at].object = 0;
	else
		error = error_set(-ENOENT, "finalizer: %p has none", object);
	pthread_mutex_unlock(&special->lock);
	return error;
}

/* ---------------------------------------------------------------- the cycle */

/* Entry @at to the ready ones.  Without memory for that it stays, and lives on. */
static void make_ready(struct gca_heap *heap, struct gca_visitor *visitor, size_t at)
{
	struct special *special = &heap->special;
	struct finalizer finalizer = special->finalizers.entries[at];

	if (!room(&special->ready)) {
		visitor->value(visitor, (void *)finalizer.object);
		return;
	}
	special->ready.entries[special->ready.nr++] = finalizer;
	take_out(special, at);
}

/* Makes ready what is unmarked, from the end: what takes its place was looked at. */
static void find(struct gca_heap *heap, struct gca_visitor *visitor, uint32_t flags)
{
	struct special *special = &heap->special;
	size_t at;

	pthread_mutex_lock(&special->lock);
	for (at = special->finalizers.nr; at-- > 0;) {
		const struct finalizer *finalizer = &special->finalizers.entries[at];

		if (!finalizer->object)
			take_out(special, at);
		else if (finalizer->flags == flags && !special_marked(heap, finalizer->object))
			make_ready(heap, visitor, at);
	}
	pthread_mutex_unlock(&special->lock);
}

/* Marks what the objects of ordered finalizers reach, from their pointers on. */
static void mark_below(struct gca_heap *heap, struct gca_visitor *visitor)
{
	const struct finalizer_list *list = &heap->special.finalizers;
	struct object object;
	size_t at = 0;
	bool more;

	do {
		size_t end;

		pthread_mutex_lock(&heap->special.lock);
		end = list->nr - at < SPECIAL_PIECE ? list->nr : at + SPECIAL_PIECE;
		more = at < end;
		for (; at < end; at++) {
			uintptr_t base = list->entries[at].object;

			if (base && !special_marked(heap, base) && object_at(heap, base, &object))
				object_visit(heap, &object, visitor);
		}
		pthread_mutex_unlock(&heap->special.lock);
		mark_drain(visitor);
	} while (more);
}

/**
 * finalizers_find - find what is ready, and mark what it needs
 * @heap: the heap, gate closed or stopped, nothing grey
 * @visitor: the marker's
 */
void finalizers_find(struct gca_heap *heap, struct gca_visitor *visitor)
{
	struct special *special = &heap->special;
	size_t i;

	if (!__atomic_load_n(&special->finalizers.nr, __ATOMIC_RELAXED))
		return;
	find(heap, visitor, GCA_FINALIZE_UNORDERED);
	mark_below(heap, visitor);
	find(heap, visitor, GCA_FINALIZE_ORDERED);
	for (i = 0; i < special->ready.nr; i++)
		visitor->value(visitor, (void *)special->ready.entries[i].object);
	mark_drain(visitor);
}

/**
 * finalizers_publish - let the program have what is ready
 * @heap: the heap; all that finalizers_find() found is marked and scanned
 */
void finalizers_publish(struct gca_heap *heap)
{
	struct special *special = &heap->special;
	struct finalizer_list *ready = &special->ready;
	struct finalizer_list *queue = &special->queue;
	size_t i;

	if (!ready->nr)
		return;
	pthread_mutex_lock(&special->lock);
	for (i = 0; i < ready->nr && room(queue); i++) {
		queue->entries[queue->nr] = ready->entries[i];
		__atomic_store_n(&queue->nr, queue->nr + 1, __ATOMIC_RELAXED);
	}
	pthread_cond_broadcast(&special->queued);
	pthread_mutex_unlock(&special->lock);
	/* Without memory the rest stays ready until the next cycle, and is a root. */
	memmove(ready->entries, ready->entries + i, (ready->nr - i) * sizeof(*ready->entries));
	ready->nr -= i;
}

/* -------------------------------------------------------------- running them */

/* The next of the queue into @finalizer, its object into @slot of a frame: false at
 * its end.
 */
static bool take(struct gca_mutator *mutator, struct finalizer *finalizer, void **slot)
{
	struct special *special = &mutator->heap->special;
	bool some;

	pthread_mutex_lock(&special->lock);
	some = special->queue_head < special->queue.nr;
	if (some) {
		*finalizer = special->queue.entries[special->queue_head++];
		*slot = (void *)finalizer->object;
		/* A root goes: the deletion half. */
		if (!gca_fault_hit(GCA_FAULT_NO_UNQUEUE))
			barrier_shade(mutator, *slot);
		special->finalizers_run++;
	}
	if (special->queue_head == special->queue.nr) {
		special->queue_head = 0;
		/* Cycles ask without the lock whether there is anything. */
		__atomic_store_n(&special->queue.nr, 0, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&special->lock);
	return some;
}

/**
 * gca_finalizers_run - call finalizers that are ready
 * @mutator: the calling thread's, which they get
 * @max: how many at most; 0: all that are ready, also those that become so meanwhile
 *
 * Return: how many were called.
 */
size_t gca_finalizers_run(struct gca_mutator *mutator, size_t max)
{
	RUNTIME();
	GCA_FRAME(mutator, f, void *object);
	struct finalizer finalizer;
	unsigned int depth;
	size_t nr = 0;

	if (heap_usable(mutator->heap))
		return 0;
	while ((!max || nr < max) && take(mutator, &finalizer, &f.object)) {
		/* The program's code, which may compute for long. */
		depth = runtime_depth;
		runtime_depth = 0;
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		finalizer.fn(mutator, f.object, finalizer.arg);
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
		runtime_depth = depth;
		f.object = NULL;
		nr++;
	}
	return nr;
}

/**
 * gca_finalizers_ready - how many wait to be called
 * @heap: the heap
 */
size_t gca_finalizers_ready(struct gca_heap *heap)
{
	RUNTIME();
	struct special *special = &heap->special;
	size_t nr;

	if (heap_usable(heap))
		return 0;
	pthread_mutex_lock(&special->lock);
	nr = special->queue.nr - special->queue_head;
	pthread_mutex_unlock(&special->lock);
	return nr;
}

static bool wait_queued(struct gca_mutator *mutator)
{
	struct special *special = &mutator->heap->special;
	bool quit;

	blocked_enter(mutator);
	pthread_mutex_lock(&special->lock);
	while (!special->thread_quit && special->queue_head == special->queue.nr)
		pthread_cond_wait(&special->queued, &special->lock);
	quit = special->thread_quit;
	pthread_mutex_unlock(&special->lock);
	blocked_leave(mutator);
	return !quit;
}

/* Who starts the thread waits until it is attached, or could not be. */
struct start {
	struct gca_heap *heap;
	int error;
	bool done;		/* special.lock */
};

static void *finalizer_thread(void *arg)
{
	struct start *start = arg;
	struct gca_heap *heap = start->heap;
	struct gca_mutator *mutator;
	int error = gca_attach(heap, 0, &mutator);

	pthread_mutex_lock(&heap->special.lock);
	start->error = error;
	start->done = true;
	pthread_cond_broadcast(&heap->special.queued);
	pthread_mutex_unlock(&heap->special.lock);
	/* From here on start is gone. */
	if (error)
		return NULL;
	while (wait_queued(mutator))
		gca_finalizers_run(mutator, 0);
	gca_detach(mutator);
	return NULL;
}

/**
 * gca_finalizer_thread - have a thread of the heap's call finalizers
 * @heap: the heap; gca_close() ends the thread
 *
 * Return: 0; -EALREADY: there is one; or why there cannot be one.
 */
int gca_finalizer_thread(struct gca_heap *heap)
{
	RUNTIME();
	UNCANCELLED();
	struct gca_mutator *self = mutator_self(heap);
	struct special *special = &heap->special;
	struct start start = { .heap = heap };
	int error = heap_usable(heap);

	if (error)
		return error;
	pthread_mutex_lock(&special->lock);
	error = special->thread_running ? -EALREADY : 0;
	special->thread_running = true;
	pthread_mutex_unlock(&special->lock);
	if (error)
		return error_set(error, "the heap has a finalizer thread already");
	error = -thread_start(&special->thread, "gca-finalize", FINALIZER_STACK,
			      finalizer_thread, &start);
	if (!error) {
		blocked_enter(self);
		pthread_mutex_lock(&special->lock);
		while (!start.done)
			pthread_cond_wait(&special->queued, &special->lock);
		pthread_mutex_unlock(&special->lock);
		blocked_leave(self);
		error = start.error;
		if (error)
			pthread_join(special->thread, NULL);
	}
	if (!error)
		return 0;
	pthread_mutex_lock(&special->lock);
	special->thread_running = false;
	pthread_mutex_unlock(&special->lock);
	return error_set(error, "finalizer thread: %s", strerror(-error));
}

/**
 * finalizer_thread_stop - end the heap's thread, once it is done with a finalizer
 * @heap: the heap; the calling thread is not attached
 */
void finalizer_thread_stop(struct gca_heap *heap)
{
	struct special *special = &heap->special;
	bool running;

	pthread_mutex_lock(&special->lock);
	running = special->thread_running;
	special->thread_quit = true;
	pthread_cond_broadcast(&special->queued);
	pthread_mutex_unlock(&special->lock);
	if (running)
		pthread_join(special->thread, NULL);
	special->thread_running = false;
	special->thread_quit = false;
}
