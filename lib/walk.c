// SPDX-License-Identifier: MIT
/*
 * The heap walk: every object, shown to the program with the world stopped.
 *
 * What is there is what the last cycle found alive and what was allocated since:
 * the alloc bits, after the sweep is complete.  The world lock is held, so no flip
 * comes between; a cycle may be marking meanwhile, and stands still.
 */
#include "internal.h"

struct walk {
	struct gca_heap *heap;
	gca_walk_fn fn;
	void *arg;
	size_t nr;
	bool stopped;		/* by @fn */
};

static void show(struct walk *walk, uintptr_t base)
{
	struct gca_object_info info = { .size = sizeof(info) };
	struct object object;

	if (walk->stopped || !object_at(walk->heap, base, &object) || object.base != base)
		return;
	info.object = (void *)base;
	info.bytes = object_usable(&object);
	info.kind = object_kind_name(walk->heap, &object);
	info.flavour = span_classes[object.span_class].flavour;
	walk->nr++;
	walk->stopped = !walk->fn(&info, walk->arg);
}

static void walk_span(struct walk *walk, const struct span *span)
{
	const uint64_t *alloc = alloc_bitmap(walk->heap);
	uint64_t word = (uint64_t)span->page * GCARENA_LINE_WORDS;
	/* A large object's only bit is in its first word. */
	uint64_t end = word + (span->large ? 1 : (uint64_t)span->npages * GCARENA_LINE_WORDS);

	for (; word < end; word++) {
		uint64_t bits = __atomic_load_n(&alloc[word], __ATOMIC_ACQUIRE);

		for (; bits; bits &= bits - 1)
			show(walk, walk->heap->base + ((word * 64 +
			     (unsigned int)__builtin_ctzll(bits)) << GCARENA_GRANULE_SHIFT));
	}
}

static void walk_stopped(struct walk *walk)
{
	uint32_t end = heap_pages_used(walk->heap), page = 0;
	struct span span;

	while (page < end && !walk->stopped) {
		if (!span_at(walk->heap, page, &span) || span.page != page || !span.npages) {
			page++;
			continue;
		}
		if (span.span_class != CLASS_MANUAL)
			walk_span(walk, &span);
		page += span.npages;
	}
}

/**
 * gca_heap_walk - show every object to a function
 * @mutator: the calling thread's
 * @fn: the function; runs with the world stopped and must not allocate, store into the
 *	heap or call anything that does; false: enough
 * @arg: for it
 * @nr: where the number of objects shown goes, or NULL
 *
 * A safepoint.  Objects that died since the last cycle are shown too: call
 * gca_collect() first to see none.
 *
 * Return: 0, -EINVAL: no function, or -EIO.
 */
int gca_heap_walk(struct gca_mutator *mutator, gca_walk_fn fn, void *arg, size_t *nr)
{
	RUNTIME();
	UNCANCELLED();
	struct gca_heap *heap = mutator->heap;
	struct walk walk = { .heap = heap, .fn = fn, .arg = arg };
	int error = heap_usable(heap);

	if (error)
		return error;
	if (!fn)
		return error_set(-EINVAL, "a walk without a function");
	/* Most of it without the lock. */
	error = cycle_finish_sweep(mutator);
	if (error)
		return error;
	world_lock(heap, mutator);
	error = cycle_finish_sweep(mutator);
	if (!error) {
		world_stop(heap, mutator);
		walk_stopped(&walk);
		world_start(heap, mutator);
	}
	world_unlock(heap);
	if (nr)
		*nr = walk.nr;
	return error;
}
