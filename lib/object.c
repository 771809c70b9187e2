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
 * object_usable - bytes of an object that its program may use
 * @object: the object
 *
 * The last byte is padding: a pointer to it is one past the end.  But an exact object
 * has none, and what has pointer bits may be one.
 */
size_t object_usable(const struct object *object)
{
	return object->size - (span_classes[object->span_class].flavour != GCA_FLAVOUR_PRECISE);
}

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
	RUNTIME();
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
	if (size)
		*size = object_usable(&object);
	return (void *)object.base;
}

/* Those of @count slots at @offset words of an object that lie in [low, high). */
static void visit_run(const struct kind *kind, const struct object *object, size_t offset,
		      size_t count, uintptr_t low, uintptr_t high, struct gca_visitor *visitor)
{
	uintptr_t start = object->base + offset * sizeof(void *);
	uintptr_t end = start + count * sizeof(void *);

	if (start < low)
		start = low;
	if (end > high)
		end = high;
	if (start >= end)
		return;
	if (kind->interior)
		visitor->words(visitor, start, end);
	else
		visitor->slots(visitor, (void *const *)start, (end - start) / sizeof(void *));
}

static const struct kind *kind_at(const struct gca_heap *heap, const struct object *object)
{
	uint64_t cell = (object->base - heap->base) >> CELL_SHIFT;
	/* The id may be changing: gca_relayout(). */
	const struct kind *kind = kind_by_id(__atomic_load_n(&heap->kind_ids[cell],
							     __ATOMIC_ACQUIRE));

	/* The kind table is the library's own: nobody else writes to it. */
	gca_assert(kind);
	return kind;
}

/* Of an array of a kind: the elements that have a part in [low, high). */
static void visit_array(const struct kind *kind, const struct object *object, uintptr_t low,
			uintptr_t high, struct gca_visitor *visitor)
{
	size_t count = object->size / kind->elem;
	size_t i = (low - object->base) / kind->elem;
	const struct gca_run *run;

	for (; i < count && object->base + i * kind->elem < high; i++) {
		uintptr_t element = object->base + i * kind->elem;

		if (kind->trace)
			kind->trace((const void *)element, kind->elem, visitor);
		else
			for (run = kind->runs; run->count; run++)
				visit_run(kind, object,
					  (i * kind->elem + run->offset) / sizeof(void *),
					  run->count, low, high, visitor);
	}
}

static void visit_kinded(struct gca_heap *heap, const struct object *object, uintptr_t low,
			 uintptr_t high, struct gca_visitor *visitor)
{
	const struct kind *kind = kind_at(heap, object);
	size_t words = object->size / sizeof(void *);
	const struct gca_run *run;

	if (kind->conservative) {
		visitor->words(visitor, low, high);
		return;
	}
	if (kind->trace || kind->elem) {
		visitor->low = low;
		visitor->high = high;
		if (kind->elem)
			visit_array(kind, object, low, high, visitor);
		else
			kind->trace((const void *)object->base, object->size - 1, visitor);
		visitor->low = 0;
		visitor->high = UINTPTR_MAX;
		return;
	}
	for (run = kind->runs; run->count; run++)
		visit_run(kind, object, run->offset / sizeof(void *), run->count, low, high,
			  visitor);
	if (kind->tail != GCA_NO_TAIL)
		visit_run(kind, object, kind->tail / sizeof(void *),
			  words - kind->tail / sizeof(void *), low, high, visitor);
}

/**
 * object_splits - may an object's pointers be visited in parts?
 * @heap: the heap
 * @object: one that is allocated, of class LARGE_SCAN
 *
 * Return: false for a trace callback's, which visits all of them each time.
 */
bool object_splits(const struct gca_heap *heap, const struct object *object)
{
	return !kind_at(heap, object)->trace;
}

/**
 * object_conservative - may an object's pointers be stored without a barrier?
 * @heap: the heap
 * @object: one that is allocated, with a kind id
 */
bool object_conservative(const struct gca_heap *heap, const struct object *object)
{
	return kind_at(heap, object)->conservative;
}

/**
 * object_visit_part - show the pointers in a part of an object to @visitor
 * @heap: the heap
 * @object: one that is allocated, of class LARGE_SCAN
 * @low: where the part begins, pointer-aligned
 * @high: where it ends
 * @visitor: who wants to see them
 */
void object_visit_part(struct gca_heap *heap, const struct object *object, uintptr_t low,
		       uintptr_t high, struct gca_visitor *visitor)
{
	visit_kinded(heap, object, low, high, visitor);
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
		visit_kinded(heap, object, object->base, object->base + object->size, visitor);
	}
}
