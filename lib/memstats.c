// SPDX-License-Identifier: MIT
/*
 * Statistics by Go's names: gca_memstats(), gca_gcstats(); what they need counted.
 *
 * Reading takes no lock and makes no system call.  What a cycle changes together it
 * writes between stats_begin() and stats_end(), with heap->world held, so one at a
 * time; a reader that finds the sequence odd or changed reads again.  The arena's
 * counters have a sequence of their own, in the status page.  All words are read and
 * written one by one, atomically: a torn copy is thrown away, and is no data race.
 *
 * Objects by class: allocated is counted by each mutator when a span is used up, under
 * its epoch; marked by each marker.  At the end of a cycle what was allocated before it
 * began is settled, and what of it was not marked is dead.  What is allocated while
 * marking is on is of the next epoch, black, and counted in neither.
 */
#include "internal.h"

#include <sched.h>
#include <unistd.h>

/* Looks at a sequence before the writer is given the CPU: it may wait for this one. */
#define READ_SPINS	64u
/* Classes that are looked at together, as most have nothing to say. */
#define MARKED_BLOCK	8u

static uint64_t get(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void put(uint64_t *to, uint64_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* Words that others may be writing. */
static void copy_words(uint64_t *to, const uint64_t *from, size_t bytes)
{
	size_t i, words = bytes / sizeof(*to);

	for (i = 0; i + 4 <= words; i += 4) {
		to[i] = get(&from[i]);
		to[i + 1] = get(&from[i + 1]);
		to[i + 2] = get(&from[i + 2]);
		to[i + 3] = get(&from[i + 3]);
	}
	for (; i < words; i++)
		to[i] = get(&from[i]);
}

/**
 * stats_begin - readers must see all of what follows or none
 * @heap: the heap, its world held
 */
void stats_begin(struct gca_heap *heap)
{
	put(&heap->stats_sequence, heap->stats_sequence + 1);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/**
 * stats_end - the end of such changes
 * @heap: the heap, its world held
 */
void stats_end(struct gca_heap *heap)
{
	__atomic_store_n(&heap->stats_sequence, heap->stats_sequence + 1, __ATOMIC_RELEASE);
}

/**
 * stats_read - begin to copy what stats_begin() guards
 * @heap: the heap
 *
 * Return: for stats_retry().
 */
uint64_t stats_read(const struct gca_heap *heap)
{
	unsigned int spins = 0;
	uint64_t sequence;

	for (;;) {
		sequence = __atomic_load_n(&heap->stats_sequence, __ATOMIC_ACQUIRE);
		if (!(sequence & 1))
			return sequence;
		if (++spins % READ_SPINS == 0)
			sched_yield();
	}
}

/**
 * stats_retry - is the copy of no use?
 * @heap: the heap
 * @sequence: what stats_read() returned
 */
bool stats_retry(const struct gca_heap *heap, uint64_t sequence)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return get(&heap->stats_sequence) != sequence;
}

/**
 * stats_pauses - a consistent copy of the pauses
 * @heap: the heap
 * @pauses: the copy
 */
void stats_pauses(const struct gca_heap *heap, struct pause_stats *pauses)
{
	uint64_t sequence;

	_Static_assert(sizeof(*pauses) % sizeof(uint64_t) == 0, "whole words");
	do {
		sequence = stats_read(heap);
		copy_words((uint64_t *)pauses, (const uint64_t *)&heap->pauses, sizeof(*pauses));
	} while (stats_retry(heap, sequence));
}

/**
 * stats_arena - the arena's counters of one moment
 * @heap: the heap
 * @counters: they
 * @update: the status page's, of that moment
 * @generation: as well
 */
void stats_arena(const struct gca_heap *heap, struct gcarena_counters *counters,
		 uint32_t *update, uint32_t *generation)
{
	const struct gcarena_status *status = heap->status;
	unsigned int spins = 0;

	for (;;) {
		*update = __atomic_load_n(&status->update, __ATOMIC_ACQUIRE);
		if (!(*update & 1)) {
			copy_words((uint64_t *)counters, (const uint64_t *)&status->counters,
				   sizeof(*counters));
			*generation = __atomic_load_n(&status->generation, __ATOMIC_RELAXED);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__atomic_load_n(&status->update, __ATOMIC_RELAXED) == *update)
				return;
		}
		if (++spins % READ_SPINS == 0)
			sched_yield();
	}
}

/* --------------------------------------------------------------- classes */

static void class_allocated(struct gca_mutator *mutator, unsigned int class, uint64_t objects)
{
	struct class_count *count = &mutator->heap->classes[class];

	__atomic_add_fetch(&count->allocated[mutator->epoch], objects, __ATOMIC_RELAXED);
	if (mutator->born_black)
		__atomic_add_fetch(&count->black[mutator->epoch], objects, __ATOMIC_RELAXED);
}

/**
 * class_count_slow - tell the heap what was allocated of a class
 * @mutator: the calling thread's, or one claimed
 * @class: of small objects
 */
void class_count_slow(struct gca_mutator *mutator, unsigned int class)
{
	struct holding *holding = &mutator->holdings[class];

	class_allocated(mutator, class, holding->uncounted);
	holding->uncounted = 0;
}

/**
 * class_count_large - the same of one large object
 * @mutator: the calling thread's
 * @class: its class
 */
void class_count_large(struct gca_mutator *mutator, unsigned int class)
{
	class_allocated(mutator, class, 1);
}

/**
 * class_marked - objects of each class were marked
 * @heap: the heap
 * @marked: how many, the calling thread's; 0 afterwards
 */
void class_marked(struct gca_heap *heap, uint32_t *marked)
{
	unsigned int class, block;

	_Static_assert(SPAN_CLASSES_MAX % MARKED_BLOCK == 0, "whole blocks");
	for (block = 0; block < nr_span_classes; block += MARKED_BLOCK) {
		const uint32_t *in = &marked[block];

		if (!(in[0] | in[1] | in[2] | in[3] | in[4] | in[5] | in[6] | in[7]))
			continue;
		for (class = block; class < block + MARKED_BLOCK; class++) {
			if (!marked[class])
				continue;
			__atomic_add_fetch(&heap->classes[class].marked, marked[class],
					   __ATOMIC_RELAXED);
			marked[class] = 0;
		}
	}
}

/**
 * class_marked_out - the same of what a mutator marked
 * @mutator: the calling thread's, or one claimed
 */
void class_marked_out(struct gca_mutator *mutator)
{
	if (!mutator->has_marked)
		return;
	class_marked(mutator->heap, mutator->marked);
	mutator->has_marked = false;
}

static uint64_t taken(uint64_t *count)
{
	return __atomic_exchange_n(count, 0, __ATOMIC_RELAXED);
}

static void settle_one(struct gca_heap *heap, unsigned int class, uint32_t epoch, bool both)
{
	struct class_count *count = &heap->classes[class];
	uint64_t white = taken(&count->allocated[epoch]), marked = taken(&count->marked);
	uint64_t black = taken(&count->black[epoch]), freed = taken(&count->freed[epoch]);

	/* A minor cycle finds the others marked. */
	if (heap->generations.minor)
		marked += count->settled - count->dead + black - freed;
	if (both)
		white += taken(&count->allocated[epoch ^ 1]);
	put(&count->settled, count->settled + white);
	put(&count->dead, count->settled > marked ? count->settled - marked : 0);
}

/**
 * class_settle - a cycle is over: what is dead
 * @heap: the heap, between stats_begin() and stats_end(), every mutator white
 * @epoch: what was allocated in this one was white
 * @both: in the other one as well
 */
void class_settle(struct gca_heap *heap, uint32_t epoch, bool both)
{
	unsigned int class;

	class_marked(heap, heap->shaded);
	for (class = 0; class < CLASS_SMALL; class++)
		settle_one(heap, class, epoch, both);
	for (class = next_used(heap->used, CLASS_SMALL); class < nr_span_classes;
	     class = next_used(heap->used, class + 1))
		settle_one(heap, class, epoch, both);
}

/* ----------------------------------------------------------------- Go's */

/* Rows of Go's table: all span classes of one slot together. */
static void by_size(const struct gca_heap *heap, struct gca_memstats *stats)
{
	unsigned int class, row;

	_Static_assert(GCA_SIZES >= SIZE_CLASSES_MAX, "room for all");
	stats->nr_sizes = nr_size_classes;
	for (row = 0; row < nr_size_classes; row++) {
		stats->by_size[row].size = size_classes[row].slot;
		stats->by_size[row].mallocs = 0;
		stats->by_size[row].frees = 0;
	}
	stats->frees = 0;
	for (class = 0; class < nr_span_classes; class++) {
		const struct class_count *count = &heap->classes[class];
		uint64_t dead = get(&count->dead);

		stats->frees += dead;
		if (!span_classes[class].elem)
			continue;
		row = span_classes[class].size;
		stats->by_size[row].mallocs += get(&count->settled) + get(&count->allocated[0]) +
					       get(&count->allocated[1]);
		stats->by_size[row].frees += dead;
	}
}

/* What stats_begin() guards. */
static void read_cycles(const struct gca_heap *heap, struct gca_memstats *stats)
{
	const struct pause_stats *pauses = &heap->pauses;
	uint64_t sequence;

	do {
		sequence = stats_read(heap);
		stats->heap_alloc = get(&heap->heap_live) + heap_allocated(heap);
		stats->total_alloc = get(&heap->total_alloc);
		stats->mallocs = get(&heap->mallocs);
		stats->num_gc = get(&pauses->count);
		stats->num_forced_gc = get(&heap->forced_cycles);
		stats->pause_total_ns = get(&pauses->total_ns);
		copy_words(stats->pause_ns, pauses->ns, sizeof(pauses->ns));
		copy_words(stats->pause_end, pauses->end, sizeof(pauses->end));
		by_size(heap, stats);
	} while (stats_retry(heap, sequence));
}

/**
 * stats_cpu_fraction - the collector's part of what all CPUs could have done
 * @heap: the heap, since it was opened
 *
 * Return: from 0 to 1.
 */
double stats_cpu_fraction(const struct gca_heap *heap)
{
	uint64_t spent = get(&heap->work.cpu_ns) + get(&heap->assist_ns);
	uint32_t cpus = __atomic_load_n(&heap->work.cpus, __ATOMIC_RELAXED);
	uint64_t since = now_ns() - heap->open_ns;

	if (!cpus || !since)
		return 0;
	return (double)spent / ((double)since * cpus);
}

/**
 * gca_memstats - what the heap has done and holds, by Go's names
 * @heap: the heap
 * @stats: its size is set
 *
 * Takes no lock: may be called at any time by any thread, as often as wanted.
 *
 * Return: 0; -EINVAL: its size is not what this library knows; -EIO.
 */
int gca_memstats(struct gca_heap *heap, struct gca_memstats *stats)
{
	RUNTIME();
	struct gca_mutator *self = mutator_self(heap);
	struct gcarena_counters arena = { 0 };
	int error = heap_usable(heap);
	uint64_t meta;

	if (error)
		return error;
	if (stats->size != sizeof(*stats))
		return error_set(-EINVAL, "memstats: a structure of %zu bytes", stats->size);
	/* A thread in a blocking region may not count: a cycle may be at it. */
	if (self && !self->depth)
		alloc_count(self);
	stats_arena(heap, &arena, &stats->sequence, &stats->generation);
	read_cycles(heap, stats);
	stats->arena = heap->arena;
	stats->alloc = stats->heap_alloc;
	stats->heap_objects = stats->mallocs > stats->frees ? stats->mallocs - stats->frees : 0;
	stats->heap_sys = arena.heap_sys;
	stats->heap_idle = arena.heap_idle;
	stats->heap_inuse = arena.heap_inuse;
	stats->heap_released = arena.heap_released;
	stats->mspan_inuse = (arena.heap_inuse >> GCARENA_PAGE_SHIFT) * sizeof(*heap->rows);
	stats->mspan_sys = (arena.heap_sys >> GCARENA_PAGE_SHIFT) * sizeof(*heap->rows);
	meta = get(&heap->meta_bytes) + work_bytes(heap) + arena.meta_sys +
	       arena.chunks_backed * TABLE_BYTES;
	stats->gc_sys = meta > stats->mspan_sys ? meta - stats->mspan_sys : 0;
	stats->sys = stats->heap_sys + stats->mspan_sys + stats->gc_sys;
	stats->next_gc = get(&heap->next_gc);
	stats->last_gc = stats->num_gc ? stats->pause_end[(stats->num_gc - 1) % GCA_PAUSES] : 0;
	stats->gc_cpu_fraction = stats_cpu_fraction(heap);
	return 0;
}

static void sum_pauses(const struct pause_stats *pauses, struct gca_stops *to)
{
	unsigned int i;

	memset(to, 0, sizeof(*to));
	to->count = pauses->count;
	to->total_ns = pauses->total_ns;
	to->max_ns = pauses->max_ns;
	for (i = 0; i < PAUSE_BUCKETS; i++)
		if (pauses->buckets[i])
			to->buckets[stop_bucket(pause_bucket_end(i))] += pauses->buckets[i];
}

/**
 * gca_gcstats - pauses, and what stopped threads
 * @heap: the heap
 * @stats: its size is set
 *
 * Takes no lock, as gca_memstats().
 *
 * Return: 0; -EINVAL: its size is not what this library knows; -EIO.
 */
int gca_gcstats(struct gca_heap *heap, struct gca_gcstats *stats)
{
	RUNTIME();
	static const unsigned int per_mille[GCA_QUANTILES] = { 0, 250, 500, 750, 1000 };
	int error = heap_usable(heap);
	struct pause_stats pauses;
	unsigned int i;

	if (error)
		return error;
	if (stats->size != sizeof(*stats))
		return error_set(-EINVAL, "gcstats: a structure of %zu bytes", stats->size);
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	stats_pauses(heap, &pauses);
	stats->num_gc = pauses.count;
	stats->pause_total_ns = pauses.total_ns;
	stats->nr_pauses = pauses.count < GCA_PAUSES ? (uint32_t)pauses.count : GCA_PAUSES;
	for (i = 0; i < stats->nr_pauses; i++) {
		stats->pause_ns[i] = pauses.ns[(pauses.count - 1 - i) % GCA_PAUSES];
		stats->pause_end[i] = pauses.end[(pauses.count - 1 - i) % GCA_PAUSES];
	}
	stats->last_gc = stats->pause_end[0];
	pause_quantiles(&pauses, per_mille, stats->pause_quantiles, GCA_QUANTILES);
	sum_pauses(&pauses, &stats->pauses);
	for (i = 0; i < GCA_STOP_CAUSES; i++)
		copy_words((uint64_t *)&stats->stops[i], (const uint64_t *)&heap->stops[i],
			   sizeof(stats->stops[i]));
	return 0;
}

/**
 * gca_stop_name - what a cause of stops is called
 * @cause: which
 *
 * Return: a word, or NULL: there is no such cause.
 */
const char *gca_stop_name(enum gca_stop cause)
{
	RUNTIME();
	static const char *const names[GCA_STOP_CAUSES] = {
		[GCA_STOP_BLACK] = "black",
		[GCA_STOP_SETTLE] = "settle",
		[GCA_STOP_SCAN] = "scan",
		[GCA_STOP_FLUSH] = "flush",
		[GCA_STOP_WHITE] = "white",
		[GCA_STOP_WORLD] = "world",
		[GCA_STOP_LEAVE] = "leave",
		[GCA_STOP_PROXY] = "proxy",
		[GCA_STOP_SIGNAL] = "signal",
	};

	return (unsigned int)cause < GCA_STOP_CAUSES ? names[cause] : NULL;
}
