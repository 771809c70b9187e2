// SPDX-License-Identifier: MIT
/*
 * Objects that change shape.
 *
 * A kind whose objects may change is told by an id in the kind table, a cell for each
 * object, so that a change is one store of 16 bits that no neighbour shares.
 * Pointer bits would be a word for several objects, which only the span's holder
 * writes.
 *
 * The order of a change, no safepoint inside of it: what the old layout points to is
 * shaded, since a marker that comes later will not see it; what becomes a pointer is
 * NULL, through the barrier; then the id, with release.  A marker that is in the
 * object with the old layout may read data for a pointer: it believes no word that is
 * not where an object begins, and then keeps one too many for a cycle.
 */
#include "internal.h"

/* Shades what it is shown. */
struct shader {
	struct gca_visitor visitor;	/* first */
	struct gca_mutator *mutator;
};

static void shade_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	struct gca_mutator *mutator = ((struct shader *)visitor)->mutator;
	size_t i;

	for (i = 0; i < count; i++)
		barrier_shade(mutator, __atomic_load_n(&slots[i], __ATOMIC_RELAXED));
}

static void shade_words(struct gca_visitor *visitor, uintptr_t low, uintptr_t high)
{
	shade_slots(visitor, (void *const *)low, (high - low) / sizeof(void *));
}

static bool has_slot(const struct kind *kind, uint32_t offset)
{
	const struct gca_run *run;

	for (run = kind->runs; run->count; run++)
		if (offset >= run->offset && offset - run->offset < run->count * sizeof(void *))
			return true;
	return kind->tail != GCA_NO_TAIL && offset >= kind->tail;
}

/* A slot from now on, and NULL; no barrier: what was there was data. */
static void clear_slot(struct gca_heap *heap, void **slot)
{
	if (heap->debug_shadow)
		shadow_store(heap, slot, NULL);
	else
		__atomic_store_n(slot, NULL, __ATOMIC_RELAXED);
}

static void clear_new(struct gca_heap *heap, const struct object *object, const struct kind *from,
		      const struct kind *to)
{
	const struct gca_run *run;
	uint32_t offset, i;

	for (run = to->runs; run->count; run++)
		for (i = 0; i < run->count; i++) {
			offset = run->offset + i * (uint32_t)sizeof(void *);
			if (!has_slot(from, offset))
				clear_slot(heap, (void **)(object->base + offset));
		}
	if (to->tail == GCA_NO_TAIL)
		return;
	for (offset = to->tail; offset + sizeof(void *) <= object->size; offset += sizeof(void *))
		if (!has_slot(from, offset))
			clear_slot(heap, (void **)(object->base + offset));
}

/**
 * gca_relayout - let an object be of another kind from now on
 * @mutator: the calling thread's
 * @pointer: the object, by its beginning, in no other thread's hands meanwhile
 * @gca_kind: what it becomes
 *
 * No safepoint.  Return: 0, or -EINVAL with gca_error() set: no object, a kind whose
 * objects do not change, or one that does not fit the slot.
 */
int gca_relayout(struct gca_mutator *mutator, void *pointer, const struct gca_kind *gca_kind)
{
	RUNTIME();
	const struct kind *to = kind_of(gca_kind), *from;
	struct gca_heap *heap = mutator->heap;
	struct shader shader = {
		.visitor = {
			.slots = shade_slots,
			.words = shade_words,
			.heap = heap,
			.high = UINTPTR_MAX,
		},
		.mutator = mutator,
	};
	struct object object;
	uint16_t *cell;

	if (heap_usable(heap))
		return -EIO;
	if (!to)
		return error_set(-EINVAL, "relayout to no kind");
	if (to->wrong || !to->changes)
		return error_set(-EINVAL, "relayout: objects of kind %s do not change", to->name);
	/* Not by the mutator's own bitmap: the flip may have come already. */
	if (gca_object_of(heap, pointer, NULL) != pointer ||
	    !object_at(heap, (uintptr_t)pointer, &object))
		return error_set(-EINVAL, "relayout of %p, which is no object", pointer);
	if (span_classes[object.span_class].flavour != GCA_FLAVOUR_KINDED)
		return error_set(-EINVAL, "relayout: objects of its kind do not change");
	cell = &heap->kind_ids[(object.base - heap->base) >> CELL_SHIFT];
	from = kind_by_id(*cell);
	gca_assert(from);
	if (!from->changes)
		return error_set(-EINVAL, "relayout: objects of kind %s do not change", from->name);
	if (to->abi.size >= object.size)
		return error_set(-EINVAL, "relayout: kind %s has %u bytes, the slot %zu", to->name,
				 to->abi.size, object.size);
	if (mutator->mark_bits)
		object_visit(heap, &object, &shader.visitor);
	clear_new(heap, &object, from, to);
	__atomic_store_n(cell, (uint16_t)to->abi.id, __ATOMIC_RELEASE);
	if (heap->debug_shadow)
		shadow_kind(heap, pointer, gca_kind);
	return 0;
}
