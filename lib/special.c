// SPDX-License-Identifier: MIT
/*
 * What a cycle does about single objects: the order of it, and what holds for all.
 *
 * At a cycle's begin pools are rotated.  While it marks, what the heap holds itself
 * is marked as roots are.  At its end, with nothing grey and weak loads held up:
 *
 *	1. ephemerons, to a fixpoint (the marker's loop has come to one already)
 *	2. weak references and ephemerons whose target or key is unmarked are cleared
 *	3. finalizers that are ready are found, their objects marked with what they reach
 *	4. ephemerons again, for what came back
 *	5. boxes that are still unmarked are forgotten
 *	6. the queue of finalizers is published; the gate opens
 *
 * So a finalizer, and who gets its object from there, never meets a weak reference
 * to what is dead, and no weak reference leads to an object whose finalizer was
 * called.
 */
#include "internal.h"

/**
 * special_open - a heap without any
 * @heap: the heap, not shared yet
 */
void special_open(struct gca_heap *heap)
{
	pthread_mutex_init(&heap->special.lock, NULL);
	pthread_cond_init(&heap->special.queued, NULL);
}

/**
 * special_close - drop them all
 * @heap: the heap, its threads gone
 */
void special_close(struct gca_heap *heap)
{
	struct special *special = &heap->special;

	pools_close(heap);
	handles_close(heap);
	manual_close(heap);
	array_free(special->weaks.entries, special->weaks.max,
		   sizeof(*special->weaks.entries));
	array_free(special->ephemerons.entries, special->ephemerons.max,
		   sizeof(*special->ephemerons.entries));
	array_free(special->finalizers.entries, special->finalizers.max,
		   sizeof(*special->finalizers.entries));
	array_free(special->queue.entries, special->queue.max,
		   sizeof(*special->queue.entries));
	array_free(special->ready.entries, special->ready.max,
		   sizeof(*special->ready.entries));
	addrmap_free(&special->by_object);
	/* In a child the finalizers' thread waits on it for ever, as far as it knows. */
	if (!heap->forked)
		pthread_cond_destroy(&special->queued);
	pthread_mutex_destroy(&special->lock);
}

/**
 * special_marked - is an object marked in this cycle?
 * @heap: the heap, marking on or stopped for it
 * @object: its base
 */
bool special_marked(const struct gca_heap *heap, uintptr_t object)
{
	return bit_test(mark_bitmap(heap), granule_of(heap, object));
}

/**
 * special_begin - a cycle begins
 * @heap: the heap, marking not on in any mutator
 */
void special_begin(struct gca_heap *heap)
{
	pools_rotate(heap);
	manual_trim(heap, false);
}

/**
 * special_visit_roots - show the heap's own references to @visitor
 * @heap: the heap; stopped, or marking and every mutator scanned
 * @visitor: who wants to see them
 *
 * What is taken from them while marking is on is shaded by who takes it.
 */
void special_visit_roots(struct gca_heap *heap, struct gca_visitor *visitor)
{
	struct special *special = &heap->special;
	size_t i;

	pthread_mutex_lock(&special->lock);
	for (i = special->queue_head; i < special->queue.nr; i++)
		visitor->value(visitor, (void *)special->queue.entries[i].object);
	for (i = 0; i < special->ready.nr; i++)
		visitor->value(visitor, (void *)special->ready.entries[i].object);
	pools_visit(heap, visitor);
	pthread_mutex_unlock(&special->lock);
}

/**
 * special_wants_gate - is there anything that an end has to look at?
 * @heap: the heap
 *
 * What is added after a no needs no look: its targets are held, and marked.
 */
bool special_wants_gate(const struct gca_heap *heap)
{
	return __atomic_load_n(&heap->special.weaks.nr, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&heap->special.ephemerons.nr, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&heap->special.finalizers.nr, __ATOMIC_RELAXED);
}

/**
 * special_any - is there anything that a cycle has to look at?
 * @heap: the heap, its world held
 */
bool special_any(const struct gca_heap *heap)
{
	const struct special *special = &heap->special;

	return special_wants_gate(heap) || __atomic_load_n(&special->pools, __ATOMIC_RELAXED) ||
	       __atomic_load_n(&special->queue.nr, __ATOMIC_RELAXED);
}

/**
 * special_end - a cycle has marked what can be reached
 * @heap: the heap, gate closed or stopped, nothing grey
 * @visitor: the marker's
 */
void special_end(struct gca_heap *heap, struct gca_visitor *visitor)
{
	weak_clear(heap);
	finalizers_find(heap, visitor);
	ephemerons_mark(heap, visitor);
	weak_forget(heap);
	finalizers_publish(heap);
}

/**
 * special_visit_kept - show a visitor what is alive for no root's sake
 * @heap: the heap, stopped, its cycle's marking done
 * @visitor: who wants to see it
 * @seen: whether it has seen an object
 *
 * Return: true when something new was shown: call again when it is traced.
 */
bool special_visit_kept(struct gca_heap *heap, struct gca_visitor *visitor,
			bool (*seen)(struct gca_visitor *visitor, uintptr_t object))
{
	const struct finalizer_list *list = &heap->special.finalizers;
	bool some = ephemerons_visit(heap, visitor, seen);
	size_t i;

	/* Of a cycle of references, or below an object that was ready. */
	for (i = 0; i < list->nr; i++) {
		uintptr_t object = list->entries[i].object;

		if (!object || !special_marked(heap, object) || seen(visitor, object))
			continue;
		visitor->value(visitor, (void *)object);
		some = true;
	}
	return some;
}

/**
 * special_stats - the counts of them
 * @heap: the heap
 * @stats: where they go
 */
void special_stats(struct gca_heap *heap, struct gca_stats *stats)
{
	struct special *special = &heap->special;

	pthread_mutex_lock(&special->lock);
	stats->weak_refs = special->weaks.nr;
	stats->ephemerons = special->ephemerons.nr;
	/* Less those taken back, which have no entry in the map. */
	stats->finalizers = special->by_object.nr;
	stats->finalizers_ready = special->queue.nr - special->queue_head;
	stats->finalizers_run = special->finalizers_run;
	pthread_mutex_unlock(&special->lock);
	stats->gate_wait_ns = __atomic_load_n(&special->gate_wait_ns, __ATOMIC_RELAXED);
}
