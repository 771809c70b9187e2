// SPDX-License-Identifier: MIT
/*
 * Shadow: the value that a barrier last wrote to each pointer slot, kept apart
 * from the slot and compared with it at each stop.  A slot that changed by a
 * plain store differs, and would be a lost object once marking is concurrent.
 *
 * Three things are found: a slot that holds what no barrier wrote; a store to an
 * address that is neither in the heap nor in a registered range, hence no root;
 * an initialising store to an object that a cycle has seen already.  The last two
 * are noted where they happen and reported at the next stop, because reports
 * are made with the world stopped.
 *
 * A slot and its shadow change together under a lock chosen by the slot's
 * address; nobody stops while holding one.  The tables are NORESERVE mappings
 * over the whole heap.  Conservative objects are exempt; so is a heap opened
 * stop-the-world, which has no barriers.
 */
#include "internal.h"

#include <stdlib.h>

#define LOCKS		64	/* enough that two threads seldom meet */
#define NOTES_MAX	8	/* findings between stops, and reports a stop */

enum note_sort {
	NOTE_OUTSIDE,		/* a store to neither heap nor range */
	NOTE_LATE,		/* an initialising store, too late */
};

struct note {
	enum note_sort sort;
	void **slot;
	void *value;
};

struct shadow_range {
	struct shadow_range *next;
	uintptr_t start;
	size_t bytes;
	void **values;
};

struct shadow {
	void **values;		/* by heap offset */
	uint64_t *fresh;	/* a bit a granule: allocated since the last stop */
	uint16_t *kinds;	/* by granule: the kind's id, for reports */
	size_t heap_size;

	pthread_mutex_t locks[LOCKS];

	pthread_mutex_t lock;	/* of what follows; taken after one of locks[] */
	struct shadow_range *ranges;
	struct note notes[NOTES_MAX];
	size_t nr_notes;	/* may exceed NOTES_MAX: more than were kept */
};

struct shadow_visitor {
	struct gca_visitor visitor;
	struct shadow *shadow;
	const struct object *object;
	size_t reports;
};

static size_t values_bytes(size_t heap_size)
{
	return heap_size;
}

static size_t fresh_bytes(size_t heap_size)
{
	return heap_size >> GCARENA_GRANULE_SHIFT >> 3;
}

static size_t kinds_bytes(size_t heap_size)
{
	return (heap_size >> GCARENA_GRANULE_SHIFT) * sizeof(uint16_t);
}

/**
 * shadow_open - start to keep a shadow, if the heap is to have one
 * @heap: the heap, its range known, not yet shared
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_open(struct gca_heap *heap)
{
	struct shadow *shadow;

	/* Plain stores are right there: no barrier is to come here. */
	if (heap->mode != GCA_MODE_CONCURRENT)
		heap->debug_shadow = false;
	if (!heap->debug_shadow)
		return 0;
	shadow = calloc(1, sizeof(*shadow));
	if (!shadow)
		return error_set(-ENOMEM, "no memory for the shadow of the heap");
	shadow->heap_size = heap->size;
	shadow->values = table_map(values_bytes(heap->size));
	shadow->fresh = table_map(fresh_bytes(heap->size));
	shadow->kinds = table_map(kinds_bytes(heap->size));
	pthread_mutex_init(&shadow->lock, NULL);
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&shadow->locks[i], NULL);
	heap->shadow = shadow;
	if (!shadow->values || !shadow->fresh || !shadow->kinds) {
		shadow_close(heap);
		return error_set(-ENOMEM, "no address space for the shadow of the heap");
	}
	return 0;
}

/**
 * shadow_close - the heap is going
 * @heap: the heap, no mutator attached
 */
void shadow_close(struct gca_heap *heap)
{
	struct shadow *shadow = heap->shadow;

	if (!shadow)
		return;
	while (shadow->ranges) {
		struct shadow_range *range = shadow->ranges;

		shadow->ranges = range->next;
		free(range->values);
		free(range);
	}
	table_unmap(shadow->values, values_bytes(shadow->heap_size));
	table_unmap(shadow->fresh, fresh_bytes(shadow->heap_size));
	table_unmap(shadow->kinds, kinds_bytes(shadow->heap_size));
	for (unsigned int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&shadow->locks[i]);
	pthread_mutex_destroy(&shadow->lock);
	free(shadow);
	heap->shadow = NULL;
}

/**
 * shadow_alloc - an object is about to be published
 * @heap: the heap
 * @object: zeroed
 * @size: the slot's bytes, or a large object's
 * @kind: what it is
 */
void shadow_alloc(struct gca_heap *heap, void *object, size_t size, const struct gca_kind *kind)
{
	struct shadow *shadow = heap->shadow;
	size_t offset = (uintptr_t)object - heap->base;
	uint64_t granule = offset >> GCARENA_GRANULE_SHIFT;

	if (!shadow)
		return;
	if (kind->flavour != GCA_FLAVOUR_NOSCAN) {
		/* Large: whole pages of it had better not be touched. */
		if (size > SMALL_MAX)
			table_release(shadow->values, offset, align_up(size, GCARENA_PAGE_SIZE));
		else
			memset((char *)shadow->values + offset, 0, size);
	}
	shadow->kinds[granule] = (uint16_t)kind->id;
	/* Neighbours in one word may be of another thread's span. */
	__atomic_fetch_or(&shadow->fresh[granule >> 6], 1ULL << (granule & 63), __ATOMIC_RELAXED);
}

/**
 * shadow_kind - an object becomes another kind's
 * @heap: the heap
 * @object: the object
 * @kind: the kind
 */
void shadow_kind(struct gca_heap *heap, void *object, const struct gca_kind *kind)
{
	struct shadow *shadow = heap->shadow;
	uint64_t granule = ((uintptr_t)object - heap->base) >> GCARENA_GRANULE_SHIFT;

	if (shadow)
		shadow->kinds[granule] = (uint16_t)kind->id;
}

/**
 * shadow_root_add - a range became roots, and zero
 * @heap: the heap
 * @start: the range's first byte
 * @bytes: its length
 *
 * Return: 0 or -ENOMEM.
 */
int shadow_root_add(struct gca_heap *heap, void *start, size_t bytes)
{
	struct shadow *shadow = heap->shadow;
	struct shadow_range *range;

	if (!shadow)
		return 0;
	range = calloc(1, sizeof(*range));
	if (!range)
		return error_set(-ENOMEM, "no memory for the shadow of a root range");
	range->start = (uintptr_t)start;
	range->bytes = bytes;
	range->values = calloc(bytes / sizeof(void *) + 1, sizeof(void *));
	if (!range->values) {
		free(range);
		return error_set(-ENOMEM, "no memory for the shadow of a root range");
	}
	pthread_mutex_lock(&shadow->lock);
	range->next = shadow->ranges;
	shadow->ranges = range;
	pthread_mutex_unlock(&shadow->lock);
	return 0;
}

/**
 * shadow_root_remove - a range stops being roots
 * @heap: the heap
 * @start: the range's first byte
 */
void shadow_root_remove(struct gca_heap *heap, void *start)
{
	struct shadow *shadow = heap->shadow;
	struct shadow_range **link, *range;

	if (!shadow)
		return;
	pthread_mutex_lock(&shadow->lock);
	for (link = &shadow->ranges; *link; link = &(*link)->next) {
		range = *link;
		if (range->start != (uintptr_t)start)
			continue;
		*link = range->next;
		free(range->values);
		free(range);
		break;
	}
	pthread_mutex_unlock(&shadow->lock);
}

static void note(struct shadow *shadow, enum note_sort sort, void **slot, void *value)
{
	if (shadow->nr_notes < NOTES_MAX)
		shadow->notes[shadow->nr_notes] = (struct note){ sort, slot, value };
	shadow->nr_notes++;
}

/* Where the shadow of @slot is; NULL, and noted, when it has none.  With the
 * slot's lock held, so that it can be stored to.
 */
static void **shadow_of(struct gca_heap *heap, void **slot, void *value)
{
	struct shadow *shadow = heap->shadow;
	struct shadow_range *range;
	void **found = NULL;

	if (heap_has(heap, (uintptr_t)slot))
		return (void **)((char *)shadow->values + ((uintptr_t)slot - heap->base));
	pthread_mutex_lock(&shadow->lock);
	for (range = shadow->ranges; range; range = range->next)
		if ((uintptr_t)slot - range->start < range->bytes) {
			found = &range->values[((uintptr_t)slot - range->start) / sizeof(void *)];
			break;
		}
	if (!found)
		note(shadow, NOTE_OUTSIDE, slot, value);
	pthread_mutex_unlock(&shadow->lock);
	return found;
}

static pthread_mutex_t *lock_slot(struct gca_heap *heap, void **slot)
{
	struct shadow *shadow = heap->shadow;
	pthread_mutex_t *lock = &shadow->locks[(uintptr_t)slot / sizeof(void *) % LOCKS];

	pthread_mutex_lock(lock);
	return lock;
}

/**
 * shadow_store - store to a slot and its shadow
 * @heap: the heap
 * @slot: where to
 * @value: what
 */
void shadow_store(struct gca_heap *heap, void **slot, void *value)
{
	pthread_mutex_t *lock = lock_slot(heap, slot);
	void **shadow = shadow_of(heap, slot, value);

	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
	if (shadow)
		*shadow = value;
	pthread_mutex_unlock(lock);
}

/**
 * shadow_init - the same for a store that is right only in a fresh object
 * @heap: the heap
 * @slot: where to
 * @value: what
 */
void shadow_init(struct gca_heap *heap, void **slot, void *value)
{
	struct shadow *shadow = heap->shadow;
	struct object object;

	if (object_at(heap, (uintptr_t)slot, &object) &&
	    !bit_test(shadow->fresh, object.granule)) {
		pthread_mutex_lock(&shadow->lock);
		note(shadow, NOTE_LATE, slot, value);
		pthread_mutex_unlock(&shadow->lock);
	}
	shadow_store(heap, slot, value);
}

/**
 * shadow_exchange - store to a slot and its shadow
 * @heap: the heap
 * @slot: where to
 * @value: what
 *
 * Return: what the slot held.
 */
void *shadow_exchange(struct gca_heap *heap, void **slot, void *value)
{
	pthread_mutex_t *lock = lock_slot(heap, slot);
	void **shadow = shadow_of(heap, slot, value);
	void *old = __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);

	if (shadow)
		*shadow = value;
	pthread_mutex_unlock(lock);
	return old;
}

/**
 * shadow_cas - store to a slot and its shadow, if it holds what is expected
 * @heap: the heap
 * @slot: where to
 * @expected: what it has to hold
 * @desired: what to store
 *
 * Return: whether it did.
 */
bool shadow_cas(struct gca_heap *heap, void **slot, void *expected, void *desired)
{
	pthread_mutex_t *lock = lock_slot(heap, slot);
	void **shadow = shadow_of(heap, slot, desired);
	bool stored = __atomic_compare_exchange_n(slot, &expected, desired, false,
						  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

	if (stored && shadow)
		*shadow = desired;
	pthread_mutex_unlock(lock);
	return stored;
}

static const char *name_of(const struct shadow *shadow, const struct object *object)
{
	const struct kind *kind = kind_by_id(shadow->kinds[object->granule]);

	return kind && kind->name ? kind->name : "unknown";
}

/* The slots of one object, or of one range when there is no object. */
static void compare(struct shadow_visitor *visitor, void *const *slots, void **values,
		    size_t count)
{
	struct gca_heap *heap = visitor->visitor.heap;
	static const char holds[] = "holds", stored[] = "but the last barrier stored";
	const struct object *object = visitor->object;

	for (size_t i = 0; i < count; i++) {
		void *now = __atomic_load_n(&slots[i], __ATOMIC_RELAXED);
		void *then = values[i];

		if (likely(now == then))
			continue;
		values[i] = now;	/* reported once */
		if (visitor->reports++ >= NOTES_MAX)
			continue;
		if (object)
			gca_report(heap, "shadow: slot +%zu of %p (%s, %zu bytes) %s %p, %s %p",
				   (size_t)((uintptr_t)&slots[i] - object->base),
				   (void *)object->base, name_of(visitor->shadow, object),
				   object->size, holds, now, stored, then);
		else
			gca_report(heap, "shadow: root slot %p %s %p, %s %p", (void *)&slots[i],
				   holds, now, stored, then);
	}
}

static void compare_slots(struct gca_visitor *base, void *const *slots, size_t count)
{
	struct shadow_visitor *visitor = container_of(base, struct shadow_visitor, visitor);
	uintptr_t offset = (uintptr_t)slots - base->heap->base;

	/* A callback may show what is not in its object: it has no shadow. */
	if ((uintptr_t)slots - visitor->object->base >= visitor->object->size)
		return;
	compare(visitor, slots, (void **)((char *)visitor->shadow->values + offset), count);
}

static void no_value(struct gca_visitor *base, const void *object)
{
}

static void no_words(struct gca_visitor *base, uintptr_t low, uintptr_t high)
{
}

static void report_notes(struct gca_heap *heap, struct shadow *shadow)
{
	size_t kept = shadow->nr_notes < NOTES_MAX ? shadow->nr_notes : NOTES_MAX;

	for (size_t i = 0; i < kept; i++) {
		const struct note *found = &shadow->notes[i];

		if (found->sort == NOTE_OUTSIDE)
			gca_report(heap, "shadow: store of %p to %p: %s", found->value,
				   (void *)found->slot,
				   "neither in the heap nor in a registered range");
		else
			gca_report(heap, "shadow: gca_init() of %p to %p: %s", found->value,
				   (void *)found->slot,
				   "a cycle has seen the object, use gca_store()");
	}
	if (shadow->nr_notes > kept)
		gca_report(heap, "shadow: %zu more stores like these", shadow->nr_notes - kept);
	shadow->nr_notes = 0;
}

static void check_span(struct gca_heap *heap, const struct span *span,
		       struct shadow_visitor *visitor)
{
	const struct span_class *class = &span_classes[span->span_class];
	const uint64_t *alloc = alloc_bitmap(heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;
	uint64_t words = span->large ? 1 : (uint64_t)span->npages * GCARENA_LINE_WORDS;

	for (uint64_t i = first; i < first + words; i++) {
		uint64_t bits = __atomic_load_n(&alloc[i], __ATOMIC_ACQUIRE);

		for (; bits; bits &= bits - 1) {
			struct object object;

			object.granule = i * 64 + (unsigned int)__builtin_ctzll(bits);
			object.base = heap->base + (object.granule << GCARENA_GRANULE_SHIFT);
			object.span_class = span->span_class;
			object.size = span->large ? (size_t)span->npages << GCARENA_PAGE_SHIFT :
				      class->elem;
			visitor->object = &object;
			object_visit(heap, &object, &visitor->visitor);
		}
	}
}

/**
 * shadow_check - compare every slot with its shadow
 * @heap: the heap, stopped
 */
void shadow_check(struct gca_heap *heap)
{
	struct shadow *shadow = heap->shadow;
	struct shadow_visitor visitor = {
		.visitor = {
			.slots = compare_slots,
			.value = no_value,
			.words = no_words,
			.heap = heap,
			.low = 0,
			.high = UINTPTR_MAX,
		},
		.shadow = shadow,
	};
	struct shadow_range *range;
	uint32_t page = 0, end;
	struct span span;

	if (!shadow)
		return;
	report_notes(heap, shadow);
	for (range = shadow->ranges; range; range = range->next)
		compare(&visitor, (void *const *)range->start, range->values,
			range->bytes / sizeof(void *));
	for (end = heap_pages_used(heap); page < end; page += span.npages) {
		if (!span_at(heap, page, &span) || span.page != page || !span.npages) {
			span.npages = 1;
			continue;
		}
		if (span.span_class != CLASS_MANUAL && span.span_class != CLASS_LARGE_NOSCAN &&
		    span_classes[span.span_class].flavour != GCA_FLAVOUR_NOSCAN)
			check_span(heap, &span, &visitor);
	}
	if (visitor.reports > NOTES_MAX)
		gca_report(heap, "shadow: %zu more slots like these",
			   visitor.reports - NOTES_MAX);
	table_release(shadow->fresh, 0, fresh_bytes(shadow->heap_size));
}
