// SPDX-License-Identifier: MIT
/*
 * Sampling: which allocations are remembered, and what became of them.
 *
 * A sample is taken at each point of a Poisson process over the bytes allocated, so
 * that an object of s bytes is one with probability 1 - exp(-s / rate), wherever it
 * comes from.  The process is memoryless, so each mutator has one for each span class,
 * and all of them together are one.  A run of free slots is cut short before the slot
 * that the next point falls into: the inline path finds the run used up, and the
 * slow path, which it takes then, allocates that one object from a run of its own.  So
 * profiling costs the inline path nothing, and the slow path a comparison a run.
 *
 * What was opened and given back unused is put back, or there would be more samples
 * than points.
 *
 * Objects that died are those that the end of marking finds unmarked.  What is reported
 * is what was so at the end of a cycle: between two of them allocations would be
 * counted whose garbage is not.
 *
 * Never called in a signal handler, never with a lock held.
 */
#include "internal.h"

#include <math.h>
#include <time.h>

#define FILTER_FULL	255u

/* --------------------------------------------------------------- buckets */

/* Memory of buckets, all given back at once. */
struct profile_piece {
	struct profile_piece *next;
};

#define PIECE_BYTES	(64 * KIB)
#define SLOTS_FIRST	512u

static void *take_memory(struct profile_table *table, size_t bytes)
{
	struct profile_piece *piece;

	if (table->left < bytes) {
		piece = table_map(PIECE_BYTES);
		if (!piece)
			return NULL;
		piece->next = table->pieces;
		table->pieces = piece;
		table->left = PIECE_BYTES - sizeof(*piece);
	}
	table->left -= bytes;
	return (char *)table->pieces + sizeof(*piece) + table->left;
}

static uint32_t hash_of(const struct profile_stack *stack, uint64_t tag)
{
	uint64_t hash = tag * 0x9e3779b97f4a7c15ull;
	uint32_t i;

	for (i = 0; i < stack->depth; i++)
		hash = (hash ^ stack->pcs[i]) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(hash >> 32);
}

static bool table_grow(struct profile_table *table)
{
	size_t size = table->size ? table->size * 2 : SLOTS_FIRST, i;
	struct profile_bucket **slots = table_map(size * sizeof(*slots)), *bucket;

	if (!slots)
		return false;
	for (i = 0; i < table->size; i++) {
		while ((bucket = table->slots[i])) {
			table->slots[i] = bucket->next;
			bucket->next = slots[bucket->hash & (size - 1)];
			slots[bucket->hash & (size - 1)] = bucket;
		}
	}
	table_unmap(table->slots, table->size * sizeof(*table->slots));
	table->slots = slots;
	table->size = size;
	return true;
}

/* Lock held; NULL: no memory. */
static struct profile_bucket *bucket_of(struct profile_table *table,
					const struct profile_stack *stack, uint64_t tag)
{
	uint32_t hash = hash_of(stack, tag);
	size_t bytes = stack->depth * sizeof(stack->pcs[0]);
	struct profile_bucket *bucket;

	if (table->nr >= table->size && !table_grow(table))
		return NULL;
	for (bucket = table->slots[hash & (table->size - 1)]; bucket; bucket = bucket->next)
		if (bucket->hash == hash && bucket->tag == tag && bucket->depth == stack->depth &&
		    !memcmp(bucket->pcs, stack->pcs, bytes))
			return bucket;
	bucket = take_memory(table, sizeof(*bucket) + bytes);
	if (!bucket)
		return NULL;
	bucket->tag = tag;
	bucket->hash = hash;
	bucket->depth = stack->depth;
	memcpy(bucket->pcs, stack->pcs, bytes);
	bucket->next = table->slots[hash & (table->size - 1)];
	table->slots[hash & (table->size - 1)] = bucket;
	bucket->before = table->all;
	table->all = bucket;
	table->nr++;
	return bucket;
}

static void table_free(struct profile_table *table)
{
	struct profile_piece *piece;

	while ((piece = table->pieces)) {
		table->pieces = piece->next;
		table_unmap(piece, PIECE_BYTES);
	}
	table_unmap(table->slots, table->size * sizeof(*table->slots));
	*table = (struct profile_table){ 0 };
}

/* ---------------------------------------------------------------- filter */

static uint8_t *filter_of(struct profile *profile, uintptr_t object)
{
	uint64_t hash = (uint64_t)(object >> GCARENA_GRANULE_SHIFT) * 0x9e3779b97f4a7c15ull;

	return &profile->filter[hash >> 50 & (PROFILE_FILTER - 1)];
}

/* Lock held. */
static void filter_change(struct profile *profile, uintptr_t object, int by)
{
	uint8_t *count = filter_of(profile, object);
	unsigned int value = *count;

	if (value != FILTER_FULL)
		__atomic_store_n(count, (uint8_t)(value + (unsigned int)by), __ATOMIC_RELAXED);
}

/* Lock held: @object, which is a sample, is dead. */
static void forget(struct profile *profile, uintptr_t object, uint64_t bucket)
{
	((struct profile_bucket *)(uintptr_t)bucket)->frees++;
	addrmap_remove(&profile->live, object);
	filter_change(profile, object, -1);
}

/**
 * profile_freed - an object was freed by hand
 * @heap: the heap
 * @object: its base
 *
 * Return: whether it was a sample.
 */
bool profile_freed(struct gca_heap *heap, uintptr_t object)
{
	struct profile *profile = &heap->profile;
	uint64_t bucket;
	bool was;

	if (likely(!__atomic_load_n(filter_of(profile, object), __ATOMIC_RELAXED)))
		return false;
	pthread_mutex_lock(&profile->lock);
	was = addrmap_get(&profile->live, object, &bucket);
	if (was)
		forget(profile, object, bucket);
	pthread_mutex_unlock(&profile->lock);
	return was;
}

/* -------------------------------------------------------------- sampling */

/* Between 0 and 1, neither of them, with 53 bits. */
static double random_part(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return ((double)(x * 0x2545f4914f6cdd1dull >> 11) + 0.5) / (double)(1ull << 53);
}

/* Bytes until the next point: exponentially distributed. */
static uint64_t draw(struct gca_mutator *mutator)
{
	uint64_t rate = mutator->profile_rate;

	if (!rate)
		return SAMPLE_NEVER;
	/* Every byte is a point. */
	if (rate == 1)
		return 0;
	return (uint64_t)(-log(random_part(&mutator->profile_random)) * (double)rate);
}

/**
 * profile_arm - take samples at the heap's rate
 * @mutator: the calling thread's; no run of its is open that is to be sampled
 */
void profile_arm(struct gca_mutator *mutator)
{
	struct profile *profile = &mutator->heap->profile;
	unsigned int class;
	uint64_t seed;

	if (!mutator->profile_random) {
		seed = __atomic_add_fetch(&profile->seeds, 1, __ATOMIC_RELAXED);
		mutator->profile_random = seed * 0x9e3779b97f4a7c15ull | 1;
		/* One of its own: waiting goes by the clock, samples can be repeated. */
		mutator->wait_random = mutator->profile_random;
	}
	/* It may have been another thread's, whose stack is gone. */
	mutator->profile_stacks[mutator->profile_last].known = false;
	mutator->profile_rate = __atomic_load_n(&profile->rate, __ATOMIC_RELAXED);
	for (class = 0; class < nr_span_classes; class++)
		mutator->holdings[class].sample_left = draw(mutator);
}

/**
 * profile_cut - end a run before the next sample, or make it that
 * @holding: whose run it is
 * @elem: bytes from slot to slot
 * @slot: where the run begins
 *
 * Return: where it ends.
 */
uintptr_t profile_cut(struct holding *holding, uint32_t elem, uintptr_t slot)
{
	uint64_t before = holding->sample_left / elem * elem;

	if (!before) {
		holding->sample_left = SAMPLE_NOW;
		return slot + elem;
	}
	holding->sample_left -= before;
	return slot + before;
}

/**
 * profile_unused - a run is closed before its end
 * @holding: whose run it is
 * @bytes: that were not allocated of it
 */
void profile_unused(struct holding *holding, uint64_t bytes)
{
	if (holding->sample_left == SAMPLE_NOW)
		holding->sample_left = 0;
	else
		holding->sample_left += bytes;
}

/**
 * profile_sample - remember an object, and where it is allocated
 * @mutator: the calling thread's
 * @class: its span class
 * @object: its base, published
 * @size: its slot's
 */
void profile_sample(struct gca_mutator *mutator, unsigned int class, uintptr_t object,
		    uint64_t size)
{
	struct profile *profile = &mutator->heap->profile;
	struct profile_bucket *bucket;
	const struct profile_stack *stack;
	uint64_t old;

	mutator->holdings[class].sample_left = draw(mutator);
	stack = profile_stack(mutator);
	pthread_mutex_lock(&profile->lock);
	/* Those of another rate were forgotten. */
	if (mutator->profile_rate == profile->rate) {
		bucket = bucket_of(&profile->sites, stack, size);
		/* Freed by hand, while nobody looked. */
		if (bucket && addrmap_get(&profile->live, object, &old))
			forget(profile, object, old);
		if (bucket && !addrmap_put(&profile->live, object, (uintptr_t)bucket)) {
			bucket->allocs++;
			filter_change(profile, object, 1);
		} else {
			profile->lost++;
		}
	}
	pthread_mutex_unlock(&profile->lock);
}

/**
 * profile_large - an object with a span of its own was allocated
 * @mutator: the calling thread's
 * @class: its span class
 * @object: its base, published
 * @size: its span's
 */
void profile_large(struct gca_mutator *mutator, unsigned int class, uintptr_t object,
		   uint64_t size)
{
	struct holding *holding = &mutator->holdings[class];

	if (unlikely(mutator->profile_rate !=
		     __atomic_load_n(&mutator->heap->profile.rate, __ATOMIC_RELAXED)))
		profile_arm(mutator);
	if (holding->sample_left < size)
		profile_sample(mutator, class, object, size);
	else
		holding->sample_left -= size;
}

/* ---------------------------------------------------------- end of cycle */

/**
 * profile_settle - a cycle has marked all that lives
 * @heap: the heap, its generation not flipped
 *
 * An object that a mutator allocates beside this is black, as is its bit.
 *
 * Return: how many slots and sites it had to look at.
 */
size_t profile_settle(struct gca_heap *heap)
{
	struct profile *profile = &heap->profile;
	struct profile_bucket *bucket;
	size_t i = 0, looked;

	pthread_mutex_lock(&profile->lock);
	looked = profile->live.size + profile->sites.nr;
	while (i < profile->live.size) {
		const struct addrmap_slot *slot = &profile->live.slots[i];

		/* Another takes the place of one that is removed. */
		if (slot->key && !special_marked(heap, slot->key))
			forget(profile, slot->key, slot->value);
		else
			i++;
	}
	for (bucket = profile->sites.all; bucket; bucket = bucket->before) {
		bucket->settled_allocs = bucket->allocs;
		bucket->settled_frees = bucket->frees;
	}
	profile->settled = true;
	pthread_mutex_unlock(&profile->lock);
	return looked;
}

/* --------------------------------------------------------------- waiting */

/*
 * One as long as the rate is always remembered, a shorter one with the probability
 * that its length has of it, and then for as many as it stands for.
 */
static void waited(struct gca_mutator *mutator, unsigned int cause, uint64_t ns)
{
	struct profile *profile = &mutator->heap->profile;
	uint64_t rate = __atomic_load_n(&profile->wait_rate, __ATOMIC_RELAXED);
	struct profile_bucket *bucket;
	const struct profile_stack *stack;
	double weight = 1;

	if (!rate || !ns)
		return;
	if (ns < rate) {
		if (random_part(&mutator->wait_random) * (double)rate >= (double)ns)
			return;
		weight = (double)rate / (double)ns;
	}
	stack = profile_stack(mutator);
	pthread_mutex_lock(&profile->lock);
	bucket = bucket_of(&profile->waits, stack, cause);
	if (bucket) {
		bucket->waits += weight;
		bucket->wait_ns += weight * (double)ns;
	} else {
		profile->lost++;
	}
	pthread_mutex_unlock(&profile->lock);
}

/**
 * profile_wait_end - the calling thread has waited for the collector
 * @mutator: its mutator
 * @to: what it does now
 *
 * What it did until now was the cause.
 */
void profile_wait_end(struct gca_mutator *mutator, enum account_state to)
{
	enum account_state cause = mutator->account.state;
	uint64_t begin = mutator->account.since;

	account_switch(&mutator->account, to);
	waited(mutator, cause, mutator->account.since - begin);
}

/* -------------------------------------------------------------- settings */

static uint64_t wall_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

/* Lock held, or the heap is nobody's. */
static void sites_forget(struct profile *profile)
{
	table_free(&profile->sites);
	addrmap_free(&profile->live);
	memset(profile->filter, 0, sizeof(profile->filter));
	profile->settled = false;
	profile->begun_ns = wall_ns();
}

/**
 * profile_open - a heap's profiles begin
 * @heap: the heap, not shared yet
 */
void profile_open(struct gca_heap *heap)
{
	pthread_mutex_init(&heap->profile.lock, NULL);
	heap->profile.rate = PROFILE_RATE_DEFAULT;
	heap->profile.wait_rate = PROFILE_WAIT_DEFAULT;
	heap->profile.begun_ns = wall_ns();
}

/**
 * profile_close - drop what they know
 * @heap: the heap, its threads gone
 */
void profile_close(struct gca_heap *heap)
{
	/* A child of fork() has none of the tables. */
	if (!heap->forked) {
		sites_forget(&heap->profile);
		table_free(&heap->profile.waits);
	}
	pthread_mutex_destroy(&heap->profile.lock);
}

/**
 * gca_profile_set_rate - how many allocations are sampled
 * @heap: the heap
 * @bytes: between two samples, on average; 1: every object; 0: none
 *
 * Samples of another rate are forgotten.
 *
 * Return: the previous one.
 */
uint64_t gca_profile_set_rate(struct gca_heap *heap, uint64_t bytes)
{
	RUNTIME();
	struct profile *profile = &heap->profile;
	uint64_t before;

	if (heap_usable(heap))
		return profile->rate;
	/* Beyond it all of them are as good as none, and the sums would overflow. */
	if (bytes > SAMPLE_NEVER >> 8)
		bytes = 0;
	pthread_mutex_lock(&profile->lock);
	before = profile->rate;
	__atomic_store_n(&profile->rate, bytes, __ATOMIC_RELAXED);
	if (bytes != before)
		sites_forget(profile);
	pthread_mutex_unlock(&profile->lock);
	return before;
}

/**
 * gca_profile_set_wait_rate - how much of the waiting is sampled
 * @heap: the heap
 * @ns: waits of so many nanoseconds are all remembered, shorter ones in proportion; 0: none
 *
 * Waits that another rate found are forgotten.
 *
 * Return: the previous one.
 */
uint64_t gca_profile_set_wait_rate(struct gca_heap *heap, uint64_t ns)
{
	RUNTIME();
	struct profile *profile = &heap->profile;
	uint64_t before;

	if (heap_usable(heap))
		return profile->wait_rate;
	pthread_mutex_lock(&profile->lock);
	before = profile->wait_rate;
	__atomic_store_n(&profile->wait_rate, ns, __ATOMIC_RELAXED);
	if (ns != before)
		table_free(&profile->waits);
	pthread_mutex_unlock(&profile->lock);
	return before;
}
