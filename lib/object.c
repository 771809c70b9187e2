// SPDX-License-Identifier: MIT
/*
 * Objects: what an address points into, and where an object's pointers are.
 *
 * The way from an address is range, row of the span table, slot by reciprocal,
 * alloc bit (internal.h has it inline for the marker).  The way to the pointers
 * is the span class's flavour: none, pointer bits, every word, or the kind that
 * the kind table names.  Nothing here writes.
 */
#include "internal.h"

/**
 * gca_object_of - the object that an address points into
 * @heap: the heap; the calling thread is attached and running
 * @address: any, an interior one too
 * @size: where the object's usable bytes go, or NULL
 *
 * Return: the object, or NULL: outside of the heap, in free memory, in a manual
 * span, or in the padding between objects.
 */
void *gca_object_of(struct gca_heap *heap, const void *address, size_t *size)
{
	const uint32_t *generation = &heap->status->generation;
	struct object object;
	uint32_t before;
	bool there;

	if (heap_usable(heap) || !object_at(heap, (uintptr_t)address, &object))
		return NULL;
	/* The flip may come between choosing the bitmap and reading it, which a
	 * sweep clears after that.
	 */
	do {
		before = __atomic_load_n(generation, __ATOMIC_ACQUIRE);
		there = bit_test(heap->bitmap[before & 1], object.granule);
	} while (before != __atomic_load_n(generation, __ATOMIC_RELAXED));
	if (!there)
		return NULL;
	/* The last byte is padding: a pointer to it is one past the end. */
	if (size)
		*size = object.size - 1;
	return (void *)object.base;
}

/**
 * object_kind_name - what the kind of an object is called
 * @heap: the heap
 * @object: one that is allocated
 *
 * Return: the name of its layout if it has a kind id, else of its flavour.
 */
const char *object_kind_name(const struct gca_heap *heap, const struct object *object)
{
	static const char * const flavours[] = { "bytes", "precise", "conservative", "kinded" };
	uint32_t flavour = span_classes[object->span_class].flavour;
	const struct kind *kind;

	if (object->span_class == CLASS_LARGE_NOSCAN)
		return flavours[GCA_FLAVOUR_NOSCAN];
	if (flavour != GCA_FLAVOUR_KINDED)
		return flavours[flavour];
	kind = kind_by_id(heap->kind_ids[(object->base - heap->base) >> CELL_SHIFT]);
	return kind && kind->name ? kind->name : "unknown kind";
}

/**
 * object_visit - show the pointers of an object to @visitor
 * @heap: the heap
 * @object: one that is allocated
 * @visitor: who wants to see them
 */
void object_visit(struct gca_heap *heap, const struct object *object,
		  struct gca_visitor *visitor)
{
	void *const *slots = (void *const *)object->base;
	size_t words = object->size / sizeof(void *);
	uint64_t word = (object->base - heap->base) / sizeof(void *);
	const struct gca_run *run;
	const struct kind *kind;
	size_t i;

	switch (span_classes[object->span_class].flavour) {
	case GCA_FLAVOUR_NOSCAN:
		return;
	case GCA_FLAVOUR_CONSERVATIVE:
		visitor->words(visitor, object->base, object->base + object->size);
		return;
	case GCA_FLAVOUR_PRECISE:
		for (i = 0; i < words; i++)
			if (bit_test(heap->pointer_bits, word + i))
				visitor->slots(visitor, &slots[i], 1);
		return;
	default:
		break;
	}
	kind = kind_by_id(heap->kind_ids[(object->base - heap->base) >> CELL_SHIFT]);
	/* The kind table is the library's own: nobody else writes to it. */
	gca_assert(kind);
	if (kind->conservative) {
		visitor->words(visitor, object->base, object->base + object->size);
		return;
	}
	if (kind->trace) {
		visitor->low = object->base;
		visitor->high = object->base + object->size;
		kind->trace(slots, object->size - 1, visitor);
		visitor->low = 0;
		visitor->high = UINTPTR_MAX;
		return;
	}
	for (run = kind->runs; run->count; run++)
		visitor->slots(visitor, &slots[run->offset / sizeof(void *)], run->count);
	if (kind->tail != GCA_NO_TAIL)
		visitor->slots(visitor, &slots[kind->tail / sizeof(void *)],
			       words - kind->tail / sizeof(void *));
}
