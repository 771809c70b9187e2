// SPDX-License-Identifier: MIT
/*
 * Allocation in other forms: arrays of a kind, aligned, tiny, strings, realloc, and
 * objects freed by hand.
 *
 * All of it is built on alloc_in_class() and gca_alloc(); nothing here knows of
 * runs, but for gca_free(), which takes back the last slot of one.  Sums and
 * products of sizes are checked: what is no size_t is NULL with the reason.
 *
 * A tiny block is one slot of 16 bytes without pointers that lives while any word
 * points into it.  The mutator forgets it when it turns black or white, because
 * it was of the colour of its time.
 */
#include "internal.h"

#define TINY_BLOCK	15u	/* bytes of a slot of 16: the last one is padding */

/**
 * gca_alloc_array_ - allocate structures of one kind in a row
 * @mutator: the calling thread's
 * @kind: the structures'
 * @count: how many
 *
 * Return: as gca_alloc().
 */
void *gca_alloc_array_(struct gca_mutator *mutator, const struct gca_kind *kind, size_t count)
{
	RUNTIME();
	const struct kind *full = kind_of(kind);
	size_t bytes;

	if (full->wrong)
		return alloc_fail(mutator, 0, full->wrong);
	if (__builtin_mul_overflow(count, (size_t)kind->size, &bytes))
		return alloc_fail(mutator, SIZE_MAX, "so many elements are no size");
	if (full->tail != GCA_NO_TAIL)
		return alloc_fail(mutator, bytes, "elements of an array have no tail");
	/* Plain bytes, or any word: the same for many as for one. */
	if (kind->flavour == GCA_FLAVOUR_NOSCAN)
		return gca_alloc(mutator, gca_kind_noscan(), bytes);
	if (!kind->size)
		return alloc_fail(mutator, bytes, "elements of an array have a size");
	full = kind_array_of(full);
	return full ? gca_alloc(mutator, &full->abi, bytes) : NULL;
}

static unsigned int aligned_class(unsigned int flavour, size_t size, size_t align)
{
	unsigned int class = small_class_of[flavour][(size + 16) >> GCARENA_GRANULE_SHIFT];

	for (; class < nr_span_classes && span_classes[class].flavour == flavour; class++)
		if (span_classes[class].elem % align == 0)
			return class;
	return 0;
}

/**
 * gca_alloc_aligned - allocate at an aligned address
 * @mutator: the calling thread's
 * @kind: where its pointers are
 * @size: bytes, as for gca_alloc()
 * @align: a power of two up to GCARENA_PAGE_SIZE
 *
 * Spans begin at pages, so that slots of a multiple of @align are all aligned; a
 * large object begins at a page.
 *
 * Return: as gca_alloc(); NULL also for a bad @align.
 */
void *gca_alloc_aligned(struct gca_mutator *mutator, const struct gca_kind *kind, size_t size,
			size_t align)
{
	RUNTIME();
	const struct kind *full = kind_of(kind);
	unsigned int class = 0;

	if (!align || align & (align - 1) || align > GCARENA_PAGE_SIZE)
		return alloc_fail(mutator, size, "the alignment is no power of two up to a page");
	if (align <= GCARENA_GRANULE_SIZE)
		return gca_alloc(mutator, kind, size);
	if (!alloc_ready(mutator, full, size))
		return NULL;
	if (size < SMALL_MAX) {
		class = aligned_class(flavour_of(kind->flavour, size), size, align);
		if (class)
			return alloc_in_class(mutator, full, class, size, true);
		/* No such slot: pages of its own, as a large object has. */
		size = SMALL_MAX;
	}
	return gca_alloc_slow(mutator, kind, size);
}

/**
 * gca_new_tiny - allocate a few bytes that share a slot with others
 * @mutator: the calling thread's
 * @size: bytes; from 16 on it is gca_new_bytes()
 *
 * Return: as gca_alloc().
 */
void *gca_new_tiny(struct gca_mutator *mutator, size_t size)
{
	RUNTIME();
	size_t align = size & 1 ? 1 : size & 2 ? 2 : size & 4 ? 4 : 8;
	uintptr_t place = align_up(mutator->tiny, align);

	if (size > TINY_BLOCK)
		return gca_new_bytes(mutator, size);
	if (unlikely(!size))
		size = 1;
	if (!mutator->tiny || place + size > mutator->tiny_end) {
		uintptr_t block = (uintptr_t)gca_new_bytes(mutator, TINY_BLOCK);

		if (!block)
			return NULL;
		/* Only now: the allocation was a safepoint. */
		place = block;
		/* The roomier of the two stays open. */
		if (mutator->tiny && mutator->tiny_end - mutator->tiny > TINY_BLOCK - size)
			return (void *)place;
		mutator->tiny_end = block + TINY_BLOCK;
	}
	mutator->tiny = place + size;
	return (void *)place;
}

/**
 * gca_strndup - copy a string into the heap
 * @mutator: the calling thread's
 * @string: not in the heap, or held by the caller
 * @length: bytes of it at most
 *
 * Return: the copy, ended by a zero byte, or NULL.
 */
char *gca_strndup(struct gca_mutator *mutator, const char *string, size_t length)
{
	RUNTIME();
	char *copy;

	length = strnlen(string, length);
	copy = gca_new_bytes_raw(mutator, length + 1);
	if (!copy)
		return NULL;
	memcpy(copy, string, length);
	copy[length] = '\0';
	return copy;
}

/**
 * gca_strdup - copy a string into the heap
 * @mutator: the calling thread's
 * @string: not in the heap, or held by the caller
 *
 * Return: the copy, or NULL.
 */
char *gca_strdup(struct gca_mutator *mutator, const char *string)
{
	RUNTIME();
	return gca_strndup(mutator, string, strlen(string));
}

/* Tells the barrier, or the shadow, of the pointers that a copy brought. */
struct copied {
	struct gca_visitor visitor; /* first */
	struct gca_mutator *mutator;
};

static void copied_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	struct gca_mutator *mutator = ((struct copied *)visitor)->mutator;
	size_t i;

	for (i = 0; i < count; i++)
		if (slots[i])
			gca_init_slow(mutator, (gca_word_ *)&slots[i], slots[i]);
}

static void copied_value(struct gca_visitor *visitor, const void *object)
{
	if (((struct copied *)visitor)->mutator->mark_bits)
		mark_shade(((struct copied *)visitor)->mutator, (uintptr_t)object);
}

static void copied_words(struct gca_visitor *visitor, uintptr_t low, uintptr_t high)
{
	for (; low < high; low += sizeof(void *))
		copied_value(visitor, *(void *const *)low);
}

static void copied(struct gca_mutator *mutator, void *object)
{
	struct copied copied = {
		.visitor = {
			.slots = copied_slots,
			.value = copied_value,
			.words = copied_words,
			.heap = mutator->heap,
			.low = 0,
			.high = UINTPTR_MAX,
		},
		.mutator = mutator,
	};
	struct object of;

	if (object_at(mutator->heap, (uintptr_t)object, &of))
		object_visit(mutator->heap, &of, &copied.visitor);
}

/**
 * gca_realloc - another size for an object
 * @mutator: the calling thread's
 * @kind: as it was allocated with
 * @object: it, by its beginning, or NULL
 * @old_size: bytes that it was allocated with
 * @size: bytes that are wanted
 *
 * It stays where it is if it needs the same slot and has no pointer map that would
 * change.  If not, the old one is left to the collector: others may know it.
 *
 * Return: the object, or NULL, as gca_alloc().
 */
void *gca_realloc(struct gca_mutator *mutator, const struct gca_kind *kind, void *object,
		  size_t old_size, size_t size)
{
	RUNTIME();
	const struct kind *full = kind_of(kind);
	struct gca_heap *heap = mutator->heap;
	size_t usable, fill;
	void *fresh;

	if (!object)
		return gca_alloc(mutator, kind, size);
	if (gca_object_of(heap, object, &usable) != object || old_size > usable)
		return alloc_fail(mutator, size, "realloc of what is no object of that size");
	if (size >= full->abi.size && size <= usable && size > usable / 2 &&
	    kind->flavour == GCA_FLAVOUR_NOSCAN) {
		fill = size > old_size ? size - old_size : 0;
		memset((char *)object + old_size, 0, fill);
		return object;
	}
	fresh = gca_alloc(mutator, kind, size);
	gca_keepalive(object);
	if (!fresh)
		return NULL;
	generations_copying(mutator, fresh, size);
	memcpy(fresh, object, old_size < size ? old_size : size);
	if (mutator->abi.barrier && kind->flavour != GCA_FLAVOUR_NOSCAN)
		copied(mutator, fresh);
	return fresh;
}

/* The last slot that @class's run handed out goes back to it. */
static bool take_back(struct gca_mutator *mutator, unsigned int class, uintptr_t slot)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];

	if (slot + cache->elem != cache->cur || slot < holding->run)
		return false;
	memset((void *)slot, 0, cache->elem);
	cache->cur = slot;
	/* Freed before this one: not to be taken for one that is being allocated. */
	if (slot > holding->run &&
	    !bit_test(mutator->abi.alloc_bits, granule_of(mutator->heap, slot - cache->elem)))
		alloc_count_class(mutator, class);
	return true;
}

static void clear_bits(uint64_t *bits, uint64_t first, uint64_t count)
{
	for (; count; count--, first++)
		__atomic_store_n(&bits[first >> 6], bits[first >> 6] & ~(1ULL << (first & 63)),
				 __ATOMIC_RELAXED);
}

static bool is_tiny(const struct object *object)
{
	const struct span_class *class = &span_classes[object->span_class];

	return class->flavour == GCA_FLAVOUR_NOSCAN && class->elem == GCARENA_GRANULE_SIZE;
}

/**
 * gca_free - say that nobody will use an object again
 * @mutator: the calling thread's
 * @pointer: the object, by its beginning, or NULL
 *
 * Only the holder of a span writes its alloc bits, so that only objects of spans
 * that this mutator holds come free; none while marking is on, when bits are the
 * collector's too.  Tiny ones share their slot and are left alone.
 *
 * Return: whether its memory came free.
 */
bool gca_free(struct gca_mutator *mutator, void *pointer)
{
	RUNTIME();
	struct gca_heap *heap = mutator->heap;
	bool checks = heap->debug_poison || heap->debug_shadow;
	const struct holding *holding;
	struct object object;
	bool known, sampled;
	uint64_t word;

	if (!pointer || heap_usable(heap))
		return false;
	known = object_at(heap, (uintptr_t)pointer, &object);
	if (known && is_tiny(&object))
		return false;
	if (!known || object.base != (uintptr_t)pointer ||
	    !bit_test(mutator->abi.alloc_bits, object.granule)) {
		if (checks)
			gca_report(heap, "free of %p, which is no object or was freed already",
				   pointer);
		return false;
	}
	holding = &mutator->holdings[object.span_class];
	if (mutator->mark_bits || __atomic_load_n(&heap->marking, __ATOMIC_RELAXED) ||
	    GCA_ASAN || heap->debug_shadow ||
	    !holding->span.npages ||
	    object.base - (heap->base + ((uintptr_t)holding->span.page << GCARENA_PAGE_SHIFT)) >=
	    (uintptr_t)holding->span.npages << GCARENA_PAGE_SHIFT)
		return false;
	word = (object.base - heap->base) / sizeof(void *);
	if (span_classes[object.span_class].flavour == GCA_FLAVOUR_PRECISE)
		clear_bits(heap->pointer_bits, word, object.size / sizeof(void *));
	clear_bits(mutator->abi.alloc_bits, object.granule, 1);
	/* What is allocated there next is not old. */
	generations_freed(mutator, &object);
	sampled = profile_freed(heap, object.base);
	if (mutator->caches[object.span_class].cur > mutator->caches[object.span_class].end)
		alloc_count_class(mutator, object.span_class);
	if (heap->debug_poison)
		poison_slot(heap, object.base, object.size);
	/* A sample's slot is not for the inline path. */
	if (heap->debug_poison || sampled) {
		/* The same as in take_back(). */
		alloc_count_class(mutator, object.span_class);
	} else {
		take_back(mutator, object.span_class, object.base);
	}
	return true;
}
