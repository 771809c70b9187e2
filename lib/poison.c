// SPDX-License-Identifier: MIT
/*
 * Poison: what dies in a cycle is made unusable before its memory is used again,
 * so that a use after collection shows at the use.
 *
 * In an ASan build a dead slot is poisoned in ASan's shadow and unpoisoned by the
 * allocation that takes it next: allocation is slow there, slot by slot.  In other
 * builds, with the switch on, it is filled with a byte that makes no pointer.
 *
 * Dead means: alloc bit set, mark bit clear, marking done, generation not yet
 * flipped, world stopped.  Never writes to a slot that has no object: it may
 * stand in memory that nobody has touched.  What is filled here is handed out
 * as needs-zero, because its pages are dirty or its span is partial.
 */
#include "internal.h"

#if GCA_ASAN
#include <sanitizer/asan_interface.h>
#endif

#define POISON_BYTE	0xdb	/* 0xdbdb...: no canonical address */
/* Of a dead large object; the rest may never have been touched. */
#define POISON_MAX	(2 * MIB)

/**
 * poison_slot - make a dead slot unusable
 * @heap: the heap
 * @slot: its address
 * @size: the whole slot's
 */
void poison_slot(struct gca_heap *heap, uintptr_t slot, size_t size)
{
#if GCA_ASAN
	uintptr_t end = slot + size;

	ASAN_POISON_MEMORY_REGION((void *)slot, size);
	if (end > (uintptr_t)heap->poison)
		heap->poison = (void *)end;	/* the highest, for poison_close() */
#else
	memset((void *)slot, POISON_BYTE, size < POISON_MAX ? size : POISON_MAX);
#endif
}

static void poison_span(struct gca_heap *heap, const struct span *span)
{
	const uint64_t *alloc = alloc_bitmap(heap);
	const uint64_t *mark = mark_bitmap(heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;
	uint64_t words = (uint64_t)span->npages * GCARENA_LINE_WORDS;
	size_t size = span_classes[span->span_class].elem;

	if (span->large) {
		size = (size_t)span->npages << GCARENA_PAGE_SHIFT;
		words = 1;
	}
	for (uint64_t i = first; i < first + words; i++) {
		uint64_t dead = __atomic_load_n(&alloc[i], __ATOMIC_RELAXED) &
				~__atomic_load_n(&mark[i], __ATOMIC_RELAXED);

		for (; dead; dead &= dead - 1) {
			uint64_t granule = i * 64 + (unsigned int)__builtin_ctzll(dead);

			poison_slot(heap, heap->base + (granule << GCARENA_GRANULE_SHIFT), size);
		}
	}
}

/**
 * poison_dead - make what this cycle found dead unusable
 * @heap: the heap, stopped, marked, not flipped
 */
void poison_dead(struct gca_heap *heap)
{
	uint32_t end = heap_pages_used(heap);
	uint32_t page = 0;
	struct span span;

	if (!GCA_ASAN && !heap->debug_poison)
		return;
	while (page < end) {
		if (!span_at(heap, page, &span) || span.page != page || !span.npages) {
			page++;
			continue;
		}
		if (span.span_class != CLASS_MANUAL)
			poison_span(heap, &span);
		page += span.npages;
	}
}

/**
 * poison_alloc - a slot is about to be an object
 * @slot: its address
 * @size: the whole slot's, or span's
 */
void poison_alloc(void *slot, size_t size)
{
#if GCA_ASAN
	ASAN_UNPOISON_MEMORY_REGION(slot, size);
#endif
}

/**
 * poison_close - leave nothing poisoned where something else may be mapped
 * @heap: the heap, still mapped
 */
void poison_close(struct gca_heap *heap)
{
#if GCA_ASAN
	if (heap->poison)
		ASAN_UNPOISON_MEMORY_REGION((void *)heap->base,
					    (uintptr_t)heap->poison - heap->base);
#endif
}
