// SPDX-License-Identifier: MIT
/*
 * Statistics: clocks, the pause histogram, gca_stats().
 *
 * Reading never stops a mutator: what mutators count they add to the heap's when a
 * run of slots ends; a thread that asks sees its own allocations exactly, and all are
 * exact after a cycle.  Go's names for the same are in memstats.c.
 */
#include "internal.h"

#include <time.h>

#define SUB_SHIFT	4	/* 16 buckets to a power of two: 6 % wide */

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/**
 * now_ns - monotonic time
 */
uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/**
 * thread_cpu_ns - CPU time of the calling thread
 */
uint64_t thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/**
 * process_cpu_ns - CPU time of all threads
 */
uint64_t process_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Below 16 ns a bucket each; then 16 to every power of two. */
static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log;

	if (ns < 1U << SUB_SHIFT)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	if (log > PAUSE_BUCKETS / (1U << SUB_SHIFT) + SUB_SHIFT - 2)
		return PAUSE_BUCKETS - 1;
	return ((log - SUB_SHIFT + 1) << SUB_SHIFT) +
	       (unsigned int)(ns >> (log - SUB_SHIFT) & ((1U << SUB_SHIFT) - 1));
}

/**
 * pause_bucket_end - the longest pause that a bucket of struct pause_stats counts
 * @bucket: which
 */
uint64_t pause_bucket_end(unsigned int bucket)
{
	unsigned int group = bucket >> SUB_SHIFT;
	uint64_t sub = bucket & ((1U << SUB_SHIFT) - 1);

	if (!group)
		return sub;
	return (((1ULL << SUB_SHIFT) + sub + 1) << (group - 1)) - 1;
}

/**
 * stop_bucket - which bucket of a struct gca_stops counts a stop
 * @ns: how long it was
 */
unsigned int stop_bucket(uint64_t ns)
{
	unsigned int bucket = 0;

	if (ns > GCA_STOP_BUCKET_NS(0))
		bucket = 64 - (unsigned int)__builtin_clzll((ns - 1) / GCA_STOP_BUCKET_NS(0));
	return bucket < GCA_STOP_BUCKETS ? bucket : GCA_STOP_BUCKETS - 1;
}

static void put(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/**
 * pause_record - count a pause that ends now
 * @heap: the heap, between stats_begin() and stats_end()
 * @ns: how long it was
 */
void pause_record(struct gca_heap *heap, uint64_t ns)
{
	struct pause_stats *pauses = &heap->pauses;
	uint32_t *bucket = &pauses->buckets[bucket_of(ns)];

	__atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
	put(&pauses->ns[pauses->count % GCA_PAUSES], ns);
	put(&pauses->end[pauses->count % GCA_PAUSES], clock_ns(CLOCK_REALTIME));
	put(&pauses->count, pauses->count + 1);
	put(&pauses->total_ns, pauses->total_ns + ns);
	if (ns > pauses->max_ns)
		put(&pauses->max_ns, ns);
}

/**
 * pause_quantiles - pauses that so many are not longer than
 * @pauses: the histogram, a copy
 * @per_mille: how many of a thousand, ascending
 * @ns: for each, at most 6 % above the true quantile and never above the longest pause; 0
 * when there was none
 * @nr: how many are wanted
 */
void pause_quantiles(const struct pause_stats *pauses, const unsigned int *per_mille,
		     uint64_t *ns, unsigned int nr)
{
	uint64_t seen = 0, rank, end;
	unsigned int bucket = 0, i;

	if (pauses->count)
		seen = pauses->buckets[0];
	for (i = 0; i < nr; i++) {
		rank = (pauses->count * per_mille[i] + 999) / 1000;
		while (seen < rank && bucket < PAUSE_BUCKETS - 1)
			seen += pauses->buckets[++bucket];
		end = pause_bucket_end(bucket);
		ns[i] = end < pauses->max_ns ? end : pauses->max_ns;
	}
}

static uint64_t get(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

/**
 * gca_stats - what the heap has done and holds
 * @heap: the heap
 * @out: its size is set
 *
 * Return: 0; -EINVAL: its size is not one that this library knows; -EIO.
 */
int gca_stats(struct gca_heap *heap, struct gca_stats *out)
{
	RUNTIME();
	static const unsigned int per_mille[] = { 500, 990 };
	uint64_t quantiles[ARRAY_SIZE(per_mille)];
	struct gca_stats stats = { .size = out->size };
	struct gca_mutator *self = mutator_self(heap);
	struct gcarena_stats arena = { 0 };
	struct pause_stats pauses;
	int error = heap_usable(heap);

	if (error)
		return error;
	if (out->size < offsetof(struct gca_stats, total_alloc) || out->size > sizeof(stats) ||
	    out->size % sizeof(uint64_t))
		return error_set(-EINVAL, "statistics: a structure of %zu bytes", out->size);
	error = heap->ops->stats(heap, &arena);
	if (error)
		return error_set(error, "statistics: %s", strerror(-error));
	/* A thread in a blocking region may not count: a cycle may be at it. */
	if (self && !self->depth)
		alloc_count(self);
	stats.total_alloc = get(&heap->total_alloc);
	stats.mallocs = get(&heap->mallocs);
	stats.mutators = __atomic_load_n(&heap->nr_mutators, __ATOMIC_RELAXED);
	stats.meta_sys = get(&heap->meta_bytes) + work_bytes(heap);
	stats.heap_live = get(&heap->heap_live);
	stats.heap_live_objects = get(&heap->heap_live_objects);
	stats.heap_alloc = stats.heap_live + heap_allocated(heap);
	stats.heap_sys = arena.counters.heap_sys;
	stats.heap_inuse = arena.counters.heap_inuse;
	stats.heap_idle = arena.counters.heap_idle;
	stats.heap_released = arena.counters.heap_released;
	stats.meta_sys += arena.counters.meta_sys + arena.counters.chunks_backed * TABLE_BYTES;
	stats.next_gc = get(&heap->next_gc);
	stats.peak_inuse = get(&heap->peak_inuse);
	stats.num_gc = get(&heap->cycles);
	stats.num_forced_gc = get(&heap->forced_cycles);
	stats.gc_cpu_ns = get(&heap->gc_cpu_ns);
	stats.gc_idle_ns = get(&heap->gc_idle_ns);
	stats.safepoint_max_ns = get(&heap->safepoint_max_ns);
	stats.failed_allocs = get(&heap->failed_allocs);
	stats.mark_ns = get(&heap->mark_ns);
	stats.assists = get(&heap->assists);
	stats.assist_bytes = get(&heap->assist_bytes);
	stats.assist_ns = get(&heap->assist_ns);
	stats.stalls = get(&heap->stalls);
	stats.stall_ns = get(&heap->stall_ns);
	stats.stop_unscheduled_ns = get(&heap->stop_unscheduled_ns);
	stats.minor_gc = get(&heap->generations.minors);
	stats.old_bytes = get(&heap->generations.old_bytes);
	stats.cards_scanned = get(&heap->generations.cards_ever);
	stats.sweep_assisted = get(&heap->sweep_assisted);
	stats_pauses(heap, &pauses);
	stats.pause_total_ns = pauses.total_ns;
	pause_quantiles(&pauses, per_mille, quantiles, ARRAY_SIZE(per_mille));
	stats.pause_p50_ns = quantiles[0];
	stats.pause_p99_ns = quantiles[1];
	stats.pause_max_ns = pauses.max_ns;
	special_stats(heap, &stats);
	memcpy(out, &stats, out->size);
	return 0;
}
