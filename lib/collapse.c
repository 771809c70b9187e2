// SPDX-License-Identifier: MIT
/*
 * Collapse: broken chunks that are mostly in use again get a huge page back.
 *
 * The arena names them in its status page after each sweep; collapsing copies
 * 2 MiB, on the thread that calls here, never on one that allocates.  It gets a
 * fixed share of the time that has passed.  Mutators run on: what they touch
 * meanwhile they wait for in the kernel.
 */
#include "internal.h"

/* So many times as long as a round took until the next: 5 per cent. */
#define REST_FACTOR	19

/* Chunks in one round: some ms. */
#define ROUND_CHUNKS	8

/* The names are hints: the arena looks at each again. */
static uint32_t named(const struct gca_heap *heap, uint32_t *chunks, uint32_t max)
{
	uint32_t nr = __atomic_load_n(&heap->status->nr_collapse, __ATOMIC_ACQUIRE);
	uint32_t i;

	if (nr > max)
		nr = max;
	for (i = 0; i < nr; i++)
		chunks[i] = __atomic_load_n(&heap->status->collapse[i], __ATOMIC_RELAXED);
	return nr;
}

/**
 * collapse_some - give some of the chunks that are named a huge page
 * @heap: the heap; the calling thread holds nothing and is no running mutator
 */
void collapse_some(struct gca_heap *heap)
{
	uint32_t chunks[ROUND_CHUNKS];
	struct gcarena_collapse args = {
		.size = sizeof(args),
		.chunks = (uintptr_t)chunks,
	};
	uint64_t begin;

	if (!__atomic_load_n(&heap->status->nr_collapse, __ATOMIC_RELAXED))
		return;
	begin = now_ns();
	if (begin < __atomic_load_n(&heap->collapse_rest_ns, __ATOMIC_RELAXED))
		return;
	args.nr_chunks = named(heap, chunks, ROUND_CHUNKS);
	/* A failure is the arena's to count, and only costs speed. */
	heap->ops->collapse(heap, &args);
	__atomic_store_n(&heap->collapse_rest_ns, begin + (now_ns() - begin) * (REST_FACTOR + 1),
			 __ATOMIC_RELAXED);
}
