/* SPDX-License-Identifier: MIT */
/*
 * The part of gcarena.h that depgraph uses, over calloc() that never frees.
 *
 * It is the oracle's heap: the same names, types and memory ordering, so that
 * the same source compiles, and nothing behind them that could go wrong in the
 * way a collector does.  It must never free, move or share an object, and must
 * not use libgcarena.
 *
 * Loads acquire and stores release, as with the library: concurrent readers of
 * a replaced object see it whole.  Counters are a mutator's own until
 * gca_detach() adds them to the heap's.
 */
#ifndef DEPGRAPH_MALLOC_HEAP_H
#define DEPGRAPH_MALLOC_HEAP_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct gca_heap {
	uint64_t total_alloc;
	uint64_t mallocs;
};

struct gca_mutator {
	struct gca_heap *heap;
	uint64_t total_alloc;
	uint64_t mallocs;
};

struct gca_config {
	int percent;
};

struct gca_stats {
	size_t size;
	uint64_t total_alloc;
	uint64_t mallocs;
	uint64_t heap_live;
	uint64_t heap_alloc;
	uint64_t heap_sys;
	uint64_t heap_inuse;
	uint64_t heap_released;
	uint64_t num_gc;
	uint64_t num_forced_gc;
	uint64_t pause_p50_ns;
	uint64_t pause_p99_ns;
	uint64_t pause_max_ns;
};

#define GCA_PERCENT_OFF		(-1)
#define GCA_STACK_CONSERVATIVE	0x0u
#define GCA_STACK_PRECISE	0x1u

static inline void gca_config_init(struct gca_config *config)
{
	memset(config, 0, sizeof(*config));
}

static inline int gca_open(const struct gca_config *config, struct gca_heap **heap)
{
	*heap = (struct gca_heap *)calloc(1, sizeof(**heap));
	return *heap ? 0 : -ENOMEM;
}

static inline int gca_close(struct gca_heap *heap)
{
	free(heap);
	return 0;
}

static inline const char *gca_error(void)
{
	return "out of memory";
}

static inline int gca_attach(struct gca_heap *heap, unsigned int flags,
			     struct gca_mutator **mutator)
{
	struct gca_mutator *m = (struct gca_mutator *)calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->heap = heap;
	*mutator = m;
	return 0;
}

static inline int gca_detach(struct gca_mutator *mutator)
{
	__atomic_fetch_add(&mutator->heap->total_alloc, mutator->total_alloc, __ATOMIC_RELAXED);
	__atomic_fetch_add(&mutator->heap->mallocs, mutator->mallocs, __ATOMIC_RELAXED);
	free(mutator);
	return 0;
}

#define gca_blocking_begin(mutator)	((void)(mutator))
#define gca_blocking_end(mutator)	((void)(mutator))
#define gca_safepoint(mutator)		((void)(mutator))

static inline int gca_root_add(struct gca_heap *heap, void *start, size_t bytes)
{
	memset(start, 0, bytes);
	return 0;
}

static inline int gca_root_remove(struct gca_heap *heap, void *start)
{
	return 0;
}

static inline int gca_collect(struct gca_mutator *mutator)
{
	return 0;
}

static inline size_t gca_release(struct gca_mutator *mutator)
{
	return 0;
}

static inline int gca_stats(struct gca_heap *heap, struct gca_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	stats->total_alloc = __atomic_load_n(&heap->total_alloc, __ATOMIC_RELAXED);
	stats->mallocs = __atomic_load_n(&heap->mallocs, __ATOMIC_RELAXED);
	stats->heap_alloc = stats->total_alloc;
	stats->heap_sys = stats->total_alloc;
	stats->heap_inuse = stats->total_alloc;
	return 0;
}

/* Declarations: the structure alone, as there is no layout to describe. */
#define GCA_REF(type)	struct { type *gca_raw; }
typedef GCA_REF(void) gca_ref;

#define GCA_FIELD_REF_(type, name)	GCA_REF(type) name;
#define GCA_FIELD_REFS_(type, name, n)	GCA_REF(type) name[n];
#define GCA_FIELD_TAIL_(type, name)	GCA_REF(type) name[];
#define GCA_FIELD_VAL_(type, name)	type name;
#define GCA_FIELD_VALS_(type, name, n)	type name[n];
#define GCA_FIELD_RAW_(type, name)	type name;
#define GCA_FIELD_(sort, ...)		GCA_FIELD_##sort##_(__VA_ARGS__)
#define GCA_STRUCT(tag, FIELDS)		struct tag { FIELDS(GCA_FIELD_) }

static inline void *gca_calloc_(struct gca_mutator *mutator, size_t size)
{
	mutator->total_alloc += size;
	mutator->mallocs++;
	return calloc(1, size ? size : 1);
}

#define gca_new(mutator, tag) \
	((struct tag *)gca_calloc_((mutator), sizeof(struct tag)))
#define gca_new_tail(mutator, tag, n) \
	((struct tag *)gca_calloc_((mutator), sizeof(struct tag) + (size_t)(n) * sizeof(void *)))
#define gca_new_refs(mutator, n) \
	((gca_ref *)gca_calloc_((mutator), (size_t)(n) * sizeof(void *)))
#define gca_new_bytes(mutator, size)	gca_calloc_((mutator), (size))

#define gca_store(mutator, slot, value) do {					\
	__typeof__((slot)->gca_raw) gca_value_ = (value);			\
	(void)(mutator);							\
	__atomic_store_n(&(slot)->gca_raw, gca_value_, __ATOMIC_RELEASE);	\
} while (0)

#define gca_init(mutator, slot, value)	gca_store(mutator, slot, value)
#define gca_load(slot)			__atomic_load_n(&(slot)->gca_raw, __ATOMIC_ACQUIRE)

#define gca_compare_exchange(mutator, slot, expected, desired) __extension__ ({	\
	__typeof__((slot)->gca_raw) gca_expected_ = (expected);			\
	__typeof__((slot)->gca_raw) gca_desired_ = (desired);			\
	(void)(mutator);							\
	__atomic_compare_exchange_n(&(slot)->gca_raw, &gca_expected_, gca_desired_, \
				    false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);	\
})

#define gca_copy_refs(mutator, dst, src, count)					\
	((void)(mutator), (void)memmove((dst), (src), (count) * sizeof(*(dst))))

#define GCA_FRAME(mutator, name, ...)						\
	struct { __VA_ARGS__; } name = { 0 };					\
	(void)(mutator)

#endif /* DEPGRAPH_MALLOC_HEAP_H */
