// SPDX-License-Identifier: MIT
/*
 * Pools of objects for reuse, drained by cycles in two steps.
 *
 * What was put back since the last cycle is primary; a cycle makes it victim and
 * drops the victim of before.  So what a program uses steadily stays, and what it
 * used once is garbage two cycles later (as Go's sync.Pool has it).
 *
 * A pool is split into shards, each with a lock, so that threads do not meet.  What a
 * pool holds are roots: taking something out while marking is on shades it, putting
 * something in does too.  Shards' locks are below special.lock.
 */
#include "internal.h"

#define SHARDS		8u

struct pool_half {
	uintptr_t *objects;
	size_t nr;
	size_t max;
};

struct pool_shard {
	pthread_mutex_t lock;
	struct pool_half primary;
	struct pool_half victim;
} __attribute__((aligned(64)));

struct gca_pool {
	struct gca_heap *heap;
	struct gca_pool *next;	/* special.lock */
	struct gca_pool **link;
	struct pool_shard shards[SHARDS];
};

/* Mutators are large and aligned: the low bits say nothing. */
static struct pool_shard *shard_of(struct gca_pool *pool, const struct gca_mutator *mutator,
				   unsigned int nth)
{
	return &pool->shards[(((uintptr_t)mutator >> 12) * 0x9e3779b9u + nth) % SHARDS];
}

/**
 * gca_pool_new - an empty pool
 * @heap: of objects of this heap
 *
 * Return: the pool, or NULL: no memory, or the heap is gone.  It ends with the heap,
 * or by gca_pool_free().
 */
struct gca_pool *gca_pool_new(struct gca_heap *heap)
{
	RUNTIME();
	struct special *special = &heap->special;
	struct gca_pool *pool;
	unsigned int i;

	if (heap_usable(heap))
		return NULL;
	pool = array_map(sizeof(*pool));
	if (!pool) {
		error_set(-ENOMEM, "no memory for a pool");
		return NULL;
	}
	pool->heap = heap;
	for (i = 0; i < SHARDS; i++)
		pthread_mutex_init(&pool->shards[i].lock, NULL);
	pthread_mutex_lock(&special->lock);
	pool->next = special->pools;
	if (pool->next)
		pool->next->link = &pool->next;
	pool->link = &special->pools;
	special->pools = pool;
	pthread_mutex_unlock(&special->lock);
	return pool;
}

static void half_free(struct pool_half *half)
{
	array_free(half->objects, half->max, sizeof(*half->objects));
}

static void pool_free(struct gca_pool *pool)
{
	unsigned int i;

	for (i = 0; i < SHARDS; i++) {
		half_free(&pool->shards[i].primary);
		half_free(&pool->shards[i].victim);
		pthread_mutex_destroy(&pool->shards[i].lock);
	}
	array_unmap(pool, sizeof(*pool));
}

/**
 * gca_pool_free - forget a pool and what is in it
 * @mutator: the calling thread's
 * @pool: the pool, which nobody else uses any more; NULL does nothing
 */
void gca_pool_free(struct gca_mutator *mutator, struct gca_pool *pool)
{
	RUNTIME();
	struct special *special;

	/* In a child of fork() it goes with the heap. */
	if (!pool || heap_usable(pool->heap))
		return;
	special = &pool->heap->special;
	pthread_mutex_lock(&special->lock);
	*pool->link = pool->next;
	if (pool->next)
		pool->next->link = pool->link;
	pthread_mutex_unlock(&special->lock);
	/* Nobody has what was in it: it need not be shaded. */
	pool_free(pool);
}

/**
 * gca_pool_put - put an object into a pool
 * @mutator: the calling thread's
 * @pool: the pool
 * @object: an object's base, not used by the caller any more
 *
 * Without memory the pool does not take it.
 */
void gca_pool_put(struct gca_mutator *mutator, struct gca_pool *pool, void *object)
{
	RUNTIME();
	struct pool_shard *shard = shard_of(pool, mutator, 0);
	struct pool_half *half = &shard->primary;

	if (!object || heap_usable(pool->heap))
		return;
	pthread_mutex_lock(&shard->lock);
	if (array_room((void **)&half->objects, half->nr, &half->max,
		       sizeof(*half->objects))) {
		half->objects[half->nr++] = (uintptr_t)object;
		barrier_shade(mutator, object);
	}
	pthread_mutex_unlock(&shard->lock);
}

static uintptr_t take(struct gca_mutator *mutator, struct pool_shard *shard)
{
	struct pool_half *half;
	uintptr_t object = 0;

	pthread_mutex_lock(&shard->lock);
	half = shard->primary.nr ? &shard->primary : &shard->victim;
	if (half->nr) {
		object = half->objects[--half->nr];
		barrier_shade(mutator, (void *)object);
	}
	pthread_mutex_unlock(&shard->lock);
	return object;
}

/**
 * gca_pool_get - take some object out of a pool
 * @mutator: the calling thread's
 * @pool: the pool
 *
 * Return: one that was put there, as it was then; or NULL: make a new one.
 */
void *gca_pool_get(struct gca_mutator *mutator, struct gca_pool *pool)
{
	RUNTIME();
	uintptr_t object = 0;
	unsigned int i;

	if (heap_usable(pool->heap))
		return NULL;
	for (i = 0; i < SHARDS && !object; i++)
		object = take(mutator, shard_of(pool, mutator, i));
	return (void *)object;
}

/**
 * pools_rotate - a cycle begins: primary becomes victim
 * @heap: the heap, marking not on
 */
void pools_rotate(struct gca_heap *heap)
{
	struct gca_pool *pool;
	unsigned int i;

	pthread_mutex_lock(&heap->special.lock);
	for (pool = heap->special.pools; pool; pool = pool->next) {
		for (i = 0; i < SHARDS; i++) {
			struct pool_shard *shard = &pool->shards[i];
			struct pool_half dropped;

			pthread_mutex_lock(&shard->lock);
			dropped = shard->victim;
			shard->victim = shard->primary;
			/* Its room is kept, empty. */
			dropped.nr = 0;
			shard->primary = dropped;
			pthread_mutex_unlock(&shard->lock);
		}
	}
	pthread_mutex_unlock(&heap->special.lock);
}

/**
 * pools_visit - show what pools hold to @visitor
 * @heap: the heap, special.lock held
 * @visitor: who wants to see it
 */
void pools_visit(struct gca_heap *heap, struct gca_visitor *visitor)
{
	struct gca_pool *pool;
	unsigned int i;
	size_t at;

	for (pool = heap->special.pools; pool; pool = pool->next) {
		for (i = 0; i < SHARDS; i++) {
			struct pool_shard *shard = &pool->shards[i];

			pthread_mutex_lock(&shard->lock);
			for (at = 0; at < shard->primary.nr; at++)
				visitor->value(visitor, (void *)shard->primary.objects[at]);
			for (at = 0; at < shard->victim.nr; at++)
				visitor->value(visitor, (void *)shard->victim.objects[at]);
			pthread_mutex_unlock(&shard->lock);
		}
	}
}

/**
 * pools_close - the heap goes
 * @heap: the heap
 */
void pools_close(struct gca_heap *heap)
{
	struct gca_pool *pool = heap->special.pools, *next;

	for (; pool; pool = next) {
		next = pool->next;
		pool_free(pool);
	}
	heap->special.pools = NULL;
}
