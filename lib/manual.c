// SPDX-License-Identifier: MIT
/*
 * Manual memory: runs of the arena's pages that no cycle looks at, for stacks,
 * buffers and an embedder's own allocators.
 *
 * Up to MANUAL_CACHED_PAGES a run has a power of two of pages, and one that is freed
 * is kept for the next request of its size: programs that make and drop stacks do
 * not go to the arena for each.  A cycle gives back half of what is kept, so an idle
 * program keeps nothing.
 *
 * The lock is special.lock; the backend is called without it.
 */
#include "internal.h"

/* Bytes kept at most. */
#define CACHE_BYTES	(4 * MIB)
/* Spans given back in one call. */
#define TRIM_BATCH	64u

static unsigned int size_of_pages(uint32_t npages)
{
	return npages > 1 ? 32u - (unsigned int)__builtin_clz(npages - 1) : 0;
}

/* Pages of a request: 0 when it is none, or more than a heap has. */
static uint32_t pages_of(const struct gca_heap *heap, size_t bytes)
{
	size_t npages = bytes / GCARENA_PAGE_SIZE + !!(bytes % GCARENA_PAGE_SIZE);

	if (!bytes || npages > heap_pages(heap))
		return 0;
	if (npages > MANUAL_CACHED_PAGES)
		return (uint32_t)npages;
	return 1u << size_of_pages((uint32_t)npages);
}

static uintptr_t address_of(const struct gca_heap *heap, const struct gcarena_span *span)
{
	return heap->base + ((uintptr_t)span->page << GCARENA_PAGE_SHIFT);
}

/* Lock held. */
static bool take_cached(struct manual_cache *cache, uint32_t npages, struct gcarena_span *span)
{
	unsigned int size = size_of_pages(npages);

	if (npages > MANUAL_CACHED_PAGES || !cache->nr[size])
		return false;
	*span = cache->free[size][--cache->nr[size]];
	cache->bytes -= (size_t)npages << GCARENA_PAGE_SHIFT;
	return true;
}

/* Lock held. */
static bool keep_cached(struct manual_cache *cache, const struct gcarena_span *span)
{
	unsigned int size = size_of_pages(span->npages);
	size_t bytes = (size_t)span->npages << GCARENA_PAGE_SHIFT;

	if (span->npages > MANUAL_CACHED_PAGES || cache->bytes + bytes > CACHE_BYTES ||
	    !array_room((void **)&cache->free[size], cache->nr[size], &cache->max[size],
			sizeof(*span)))
		return false;
	cache->free[size][cache->nr[size]++] = *span;
	cache->bytes += bytes;
	return true;
}

static void return_spans(struct gca_heap *heap, struct gcarena_span *spans, uint32_t nr)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)spans,
		.nr_spent = nr,
	};
	int error;

	if (!nr)
		return;
	error = heap->ops->give_back(heap, &args);
	gca_assert(!error || error == -EIO);
}

/**
 * gca_manual_alloc - memory that is freed by hand
 * @mutator: the calling thread's
 * @bytes: rounded up to a power of two of 8 KiB pages, from 512 KiB on to pages
 *
 * A safepoint.  Page-aligned; what is in it is anything.  No cycle looks into it: what
 * it refers to has to be held by other means, such as gca_root_add() of a part of it.
 * It counts as in use, and against a limit.
 *
 * Return: the memory, or NULL: -EINVAL for no bytes, -ENOMEM.
 */
void *gca_manual_alloc(struct gca_mutator *mutator, size_t bytes)
{
	RUNTIME();
	struct gca_heap *heap = mutator->heap;
	struct manual_cache *cache = &heap->special.manual;
	uint32_t npages = pages_of(heap, bytes);
	struct gcarena_span span;
	bool cached;
	int error;

	if (!npages) {
		error_set(bytes ? -ENOMEM : -EINVAL, "manual memory: %zu bytes", bytes);
		return NULL;
	}
	if (heap_usable(heap))
		return NULL;
	pthread_mutex_lock(&heap->special.lock);
	cached = take_cached(cache, npages, &span);
	pthread_mutex_unlock(&heap->special.lock);
	if (!cached && alloc_manual(mutator, npages, &span))
		return NULL;
	pthread_mutex_lock(&heap->special.lock);
	error = addrmap_put(&cache->in_use, address_of(heap, &span),
			    (uint64_t)span.generation << 32 | npages);
	pthread_mutex_unlock(&heap->special.lock);
	if (error) {
		return_spans(heap, &span, 1);
		error_set(error, "no memory for manual memory");
		return NULL;
	}
	poison_alloc((void *)address_of(heap, &span), (size_t)npages << GCARENA_PAGE_SHIFT);
	return (void *)address_of(heap, &span);
}

/**
 * gca_manual_free - give manual memory back
 * @mutator: the calling thread's
 * @memory: from gca_manual_alloc(), by any thread; NULL does nothing
 *
 * Return: 0, -EINVAL: not such memory, or -EIO.
 */
int gca_manual_free(struct gca_mutator *mutator, void *memory)
{
	RUNTIME();
	struct gca_heap *heap = mutator->heap;
	struct manual_cache *cache = &heap->special.manual;
	struct gcarena_span span = { .span_class = CLASS_MANUAL };
	int error = memory ? heap_usable(heap) : 0;
	bool kept = false, found;
	uint64_t value;

	if (!memory || error)
		return error;
	pthread_mutex_lock(&heap->special.lock);
	found = addrmap_get(&cache->in_use, (uintptr_t)memory, &value);
	if (found) {
		addrmap_remove(&cache->in_use, (uintptr_t)memory);
		span.page = (uint32_t)(((uintptr_t)memory - heap->base) >> GCARENA_PAGE_SHIFT);
		span.npages = (uint32_t)value;
		span.generation = (uint32_t)(value >> 32);
		kept = keep_cached(cache, &span);
	}
	pthread_mutex_unlock(&heap->special.lock);
	if (!found)
		return error_set(-EINVAL, "%p is not manual memory of this heap", memory);
	if (!kept)
		return_spans(heap, &span, 1);
	return 0;
}

/* Takes up to TRIM_BATCH spans of @size, of which @leave stay: how many. */
static uint32_t take_batch(struct gca_heap *heap, unsigned int size, size_t leave,
			   struct gcarena_span *spans)
{
	struct manual_cache *cache = &heap->special.manual;
	uint32_t nr = 0;

	pthread_mutex_lock(&heap->special.lock);
	while (nr < TRIM_BATCH && cache->nr[size] > leave) {
		spans[nr] = cache->free[size][--cache->nr[size]];
		cache->bytes -= (size_t)spans[nr++].npages << GCARENA_PAGE_SHIFT;
	}
	pthread_mutex_unlock(&heap->special.lock);
	return nr;
}

/**
 * manual_trim - give back what is kept
 * @heap: the heap
 * @all: everything; else half of each size, rounded up
 */
void manual_trim(struct gca_heap *heap, bool all)
{
	struct gcarena_span spans[TRIM_BATCH];
	unsigned int size;
	uint32_t nr;

	for (size = 0; size < MANUAL_SIZES; size++) {
		size_t leave = all ? 0 : heap->special.manual.nr[size] / 2;

		while ((nr = take_batch(heap, size, leave, spans)))
			return_spans(heap, spans, nr);
	}
}

/**
 * manual_close - the heap goes, and all its memory with it
 * @heap: the heap
 */
void manual_close(struct gca_heap *heap)
{
	struct manual_cache *cache = &heap->special.manual;
	unsigned int size;

	for (size = 0; size < MANUAL_SIZES; size++)
		array_free(cache->free[size], cache->max[size], sizeof(*cache->free[size]));
	addrmap_free(&heap->special.manual.in_use);
}
