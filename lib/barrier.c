// SPDX-License-Identifier: MIT
/*
 * Stores of pointers that cannot be plain, and the bulk forms.
 *
 * abi.barrier is set while a store has more to do than to store: while marking is
 * on, and in a heap with GCARENA_DEBUG=shadow=1, where slot and shadow change under
 * one lock.  The inline forms then come here, but for gca_store() while marking.  A
 * store here has the ordering of the inline one, release, so that whoever loads the
 * pointer sees the object complete.
 *
 * While marking is on a store shades what it overwrites (the deletion half, without
 * which a scanned stack could hold what was cut off from the unmarked graph) and
 * what it writes (the insertion half, for mutators whose stack is not yet scanned,
 * and for two stores that race and read the same old value).  To shade is to put
 * into the mutator's buffer; nothing between a shade and its store is a safepoint.
 * Reading what is overwritten and storing are two steps: that nobody without a
 * barrier can have stored in between is what the cycle's settle handshake is for.
 */
#include "internal.h"

static void shade(struct gca_mutator *mutator, void *value)
{
	if (value)
		mark_shade(mutator, (uintptr_t)value);
}

static void shade_old(struct gca_mutator *mutator, void *value)
{
	if (!gca_fault_hit(GCA_FAULT_NO_DELETION))
		shade(mutator, value);
}

static void shade_new(struct gca_mutator *mutator, void *value)
{
	if (!gca_fault_hit(GCA_FAULT_NO_INSERTION))
		shade(mutator, value);
}

/* Before the store: who is stopped between the two holds the value still. */
static void remember(struct gca_mutator *mutator, const gca_word_ *slot)
{
	if (mutator->abi.barrier & GCA_BARRIER_CARD && !gca_fault_hit(GCA_FAULT_NO_CARD))
		gca_card_(&mutator->abi, slot);
}

/* Words ahead whose bits are asked for. */
#define AHEAD	8

/* Drops from the buffer what needs no marking: most of it, late in a cycle. */
static size_t drop_marked(struct gca_mutator *mutator)
{
	const uint64_t *bits = mutator->mark_bits;
	uintptr_t *kept = mutator->shades, *word;

	for (word = mutator->shades; word < mutator->abi.shades; word++) {
		uintptr_t offset = *word - mutator->abi.heap_base;

		/* Of the buffer's own, noted or not: nothing is read there. */
		if (word < &mutator->shades[SHADES_MAX - AHEAD])
			__builtin_prefetch(&bits[(word[AHEAD] - mutator->abi.heap_base) >>
						 (GCARENA_GRANULE_SHIFT + 6)]);
		if (offset >= mutator->heap->size)
			continue;
		if (__atomic_load_n(&bits[offset >> (GCARENA_GRANULE_SHIFT + 6)],
				    __ATOMIC_RELAXED) >>
		    (offset >> GCARENA_GRANULE_SHIFT & 63) & 1)
			continue;
		*kept++ = *word;
	}
	mutator->abi.shades = kept;
	return (size_t)(kept - mutator->shades);
}

/**
 * gca_shade_flush - make room for what the barrier notes
 * @mutator: the calling thread's; its buffer has no room for two words more
 */
void gca_shade_flush(struct gca_mutator *mutator)
{
	RUNTIME();
	uintptr_t *end = &mutator->shades[SHADES_FLUSH - 1];
	size_t nr;

	/* A signal stopped the thread amid its store, and the cycle ended meanwhile: it has
	 * written the buffer's end as it was.
	 */
	if (unlikely(!mutator->mark_bits)) {
		mark_shades_drop(mutator);
		return;
	}
	/* A flush has its price too: not for a few words. */
	nr = drop_marked(mutator);
	if (nr > SHADES_FLUSH / 2) {
		if (nr < SHADES_MAX - SHADES_FLUSH / 2 && grey_pending(mutator))
			end = &mutator->shades[SHADES_MAX - 1];
		else
			mark_shade_flush(mutator);
	}
	mutator->abi.shades_end = end;
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
	RUNTIME();
	if (mutator->mark_bits) {
		shade_old(mutator, __atomic_load_n(slot, __ATOMIC_RELAXED));
		shade_new(mutator, value);
		gca_stage(mutator->heap, GCA_STAGE_STORING);
	}
	remember(mutator, slot);
	if (mutator->heap->debug_shadow)
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
	RUNTIME();
	if (mutator->mark_bits) {
		shade_new(mutator, value);
		/* Born black, it is old when marking is over. */
		remember(mutator, slot);
	}
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
	RUNTIME();
	void *old;

	if (mutator->mark_bits)
		shade_new(mutator, value);
	remember(mutator, slot);
	if (mutator->heap->debug_shadow)
		old = shadow_exchange(mutator->heap, (void **)slot, value);
	else
		old = __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
	if (mutator->mark_bits)
		shade_old(mutator, old);
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
	RUNTIME();
	void *old = expected;
	bool stored;

	if (mutator->mark_bits)
		shade_new(mutator, desired);
	remember(mutator, slot);
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
 * gca_copy_slots_slow - gca_store() from one array of slots to another
 * @mutator: the calling thread's
 * @dst: to
 * @src: from; may overlap @dst
 * @count: slots
 */
void gca_copy_slots_slow(struct gca_mutator *mutator, gca_word_ *dst, const gca_word_ *src,
			 size_t count)
{
	RUNTIME();
	size_t i;

	if ((uintptr_t)dst - (uintptr_t)src >= count * sizeof(*dst)) {
		for (i = 0; i < count; i++)
			gca_store_(mutator, &dst[i], __atomic_load_n(&src[i], __ATOMIC_ACQUIRE));
	} else {
		for (i = count; i-- > 0;)
			gca_store_(mutator, &dst[i], __atomic_load_n(&src[i], __ATOMIC_ACQUIRE));
	}
}

/**
 * gca_clear_slots_slow - gca_store() of NULL to an array of slots
 * @mutator: the calling thread's
 * @dst: the array
 * @count: slots
 */
void gca_clear_slots_slow(struct gca_mutator *mutator, gca_word_ *dst, size_t count)
{
	RUNTIME();
	size_t i;

	for (i = 0; i < count; i++)
		gca_store_(mutator, &dst[i], NULL);
}

/**
 * gca_move_slots - copy slots, and clear where they were
 * @mutator: the calling thread's
 * @dst: to
 * @src: from; may overlap @dst
 * @count: slots
 */
void gca_move_slots(struct gca_mutator *mutator, void *dst, void *src, size_t count)
{
	RUNTIME();
	gca_word_ *to = dst, *from = src;
	size_t ahead = (size_t)(to - from), behind = (size_t)(from - to);

	gca_copy_slots(mutator, to, from, count);
	if (to > from && ahead < count)
		gca_clear_slots(mutator, from, ahead);
	else if (to < from && behind < count)
		gca_clear_slots(mutator, &to[count], behind);
	else if (to != from)
		gca_clear_slots(mutator, from, count);
}

/* One structure: pointers by the barrier, what is between them as it is. */
static void copy_struct(struct gca_mutator *mutator, const struct kind *kind, char *to,
			const char *from)
{
	const struct gca_run *run;
	size_t done = 0;

	for (run = kind->runs; run->count; run++) {
		if (run->offset > done)
			memmove(to + done, from + done, run->offset - done);
		gca_copy_slots(mutator, to + run->offset, from + run->offset, run->count);
		done = run->offset + run->count * sizeof(void *);
	}
	if (kind->abi.size > done)
		memmove(to + done, from + done, kind->abi.size - done);
}

/**
 * gca_copy_structs_ - copy structures that have pointers among their data
 * @mutator: the calling thread's
 * @gca_kind: what they are; with runs in ascending order, without a callback
 * @dst: to
 * @src: from; may overlap @dst
 * @n: how many
 */
void gca_copy_structs_(struct gca_mutator *mutator, const struct gca_kind *gca_kind, void *dst,
		       const void *src, size_t n)
{
	RUNTIME();
	const struct kind *kind = kind_of(gca_kind);
	size_t size = kind->abi.size, i;
	const char *from = src;
	char *to = dst;

	gca_assert(!kind->wrong && !kind->trace);
	if ((uintptr_t)to - (uintptr_t)from >= n * size) {
		for (i = 0; i < n; i++)
			copy_struct(mutator, kind, to + i * size, from + i * size);
	} else {
		for (i = n; i-- > 0;)
			copy_struct(mutator, kind, to + i * size, from + i * size);
	}
}
