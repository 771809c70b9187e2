// SPDX-License-Identifier: MIT
/*
 * Stores of pointers that cannot be plain, and the bulk forms.
 *
 * abi.barrier is set while a store has more to do than to store: while marking is
 * on, and in a heap with GCARENA_DEBUG=shadow=1, where slot and shadow change under
 * one lock.  The inline forms then come here.  A store here has the ordering of the
 * inline one, release, so that whoever loads the pointer sees the object complete.
 *
 * While marking is on a store shades what it overwrites (the deletion half, without
 * which a scanned stack could hold what was cut off from the unmarked graph) and
 * what it writes (the insertion half, for mutators whose stack is not yet scanned,
 * and for two stores that race).  What it overwrites is known by exchanging: read
 * before, it could be another than the one that a mutator without a barrier yet has
 * stored since.  To shade is to put into the mutator's buffer; nothing between a
 * store and its shades is a safepoint.
 */
#include "internal.h"

/* @value is a base pointer, NULL, or what the program should not have stored. */
static void shade(struct gca_mutator *mutator, void *value)
{
	uint64_t offset = (uintptr_t)value - mutator->abi.heap_base;
	uint64_t granule = offset >> GCARENA_GRANULE_SHIFT;

	if (offset >= mutator->heap->size)
		return;
	if (__atomic_load_n(&mutator->mark_bits[granule >> 6], __ATOMIC_RELAXED) >>
	    (granule & 63) & 1)
		return;
	mark_shade(mutator, (uintptr_t)value);
}

static void shade_old(struct gca_mutator *mutator, void *value)
{
	if (!gca_fault_hit(GCA_FAULT_NO_DELETION))
		shade(mutator, value);
}

/**
 * barrier_shade - keep what a place of the library's own holds, or held
 * @mutator: the calling thread's
 * @value: an object, or NULL
 */
void barrier_shade(struct gca_mutator *mutator, void *value)
{
	if (mutator->mark_bits)
		shade(mutator, value);
}

/**
 * gca_store_slow - store into the heap or a registered range
 * @mutator: the calling thread's
 * @slot: where
 * @value: an object, or NULL
 */
void gca_store_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	if (mutator->mark_bits)
		gca_exchange_slow(mutator, slot, value);
	else if (mutator->heap->debug_shadow)
		shadow_store(mutator->heap, (void **)slot, value);
	else
		__atomic_store_n(slot, value, __ATOMIC_RELEASE);
}

/**
 * gca_init_slow - store into an object that nobody else knows yet
 * @mutator: the calling thread's
 * @slot: where
 * @value: an object, or NULL
 */
void gca_init_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	if (mutator->mark_bits)
		shade(mutator, value);
	if (mutator->heap->debug_shadow)
		shadow_init(mutator->heap, (void **)slot, value);
	else
		__atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

/**
 * gca_exchange_slow - store, and return what was there
 * @mutator: the calling thread's
 * @slot: where
 * @value: an object, or NULL
 */
void *gca_exchange_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	bool early = mutator->mark_bits && gca_fault_hit(GCA_FAULT_OLD_READ_BEFORE);
	void *before = early ? __atomic_load_n(slot, __ATOMIC_RELAXED) : NULL;
	void *old;

	if (mutator->mark_bits) {
		shade(mutator, value);
		gca_stage(mutator->heap, GCA_STAGE_STORING);
	}
	if (mutator->heap->debug_shadow)
		old = shadow_exchange(mutator->heap, (void **)slot, value);
	else
		old = __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
	if (mutator->mark_bits)
		shade_old(mutator, early ? before : old);
	return old;
}

/**
 * gca_cas_slow - store if the slot holds what is expected
 * @mutator: the calling thread's
 * @slot: where
 * @expected: what must be there
 * @desired: an object, or NULL
 *
 * Return: whether it was stored.
 */
bool gca_cas_slow(struct gca_mutator *mutator, gca_word_ *slot, void *expected, void *desired)
{
	void *old = expected;
	bool stored;

	if (mutator->mark_bits)
		shade(mutator, desired);
	if (mutator->heap->debug_shadow)
		stored = shadow_cas(mutator->heap, (void **)slot, expected, desired);
	else
		stored = __atomic_compare_exchange_n(slot, &expected, desired, false,
						     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	if (stored && mutator->mark_bits)
		shade_old(mutator, old);
	return stored;
}

/**
 * gca_copy_slots - gca_store() from one array of slots to another
 * @mutator: the calling thread's
 * @dst: to
 * @src: from; may overlap @dst
 * @count: slots
 */
void gca_copy_slots(struct gca_mutator *mutator, void *dst, const void *src, size_t count)
{
	gca_word_ *to = dst;
	const gca_word_ *from = src;
	size_t i;

	if ((uintptr_t)to - (uintptr_t)from >= count * sizeof(*to)) {
		for (i = 0; i < count; i++)
			gca_store_(mutator, &to[i], __atomic_load_n(&from[i], __ATOMIC_ACQUIRE));
	} else {
		for (i = count; i-- > 0;)
			gca_store_(mutator, &to[i], __atomic_load_n(&from[i], __ATOMIC_ACQUIRE));
	}
}

/**
 * gca_clear_slots - gca_store() of NULL to an array of slots
 * @mutator: the calling thread's
 * @dst: the array
 * @count: slots
 */
void gca_clear_slots(struct gca_mutator *mutator, void *dst, size_t count)
{
	gca_word_ *to = dst;
	size_t i;

	for (i = 0; i < count; i++)
		gca_store_(mutator, &to[i], NULL);
}
