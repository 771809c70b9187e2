// SPDX-License-Identifier: MIT
/*
 * The pool of grey objects: how they get into it and out again, and the part of marking
 * that mutators do: assists, and what their barriers and stacks shade.
 *
 * The pool has one lock, work->lock; work.c says what it guards.  It is a leaf, taken
 * under world too, and held for a copy of some hundred entries at most.  But whoever has
 * it may lose its CPU for milliseconds, and a mutator that answers a handshake, or pays
 * for an allocation, must not wait that long.  So mutators only try it: what they have to
 * hand over they put down beside it (struct deposit), and who has the lock takes that,
 * when it gets the lock and once more when it has released it.
 */
#include "mark.h"

/* Entries that a mutator takes at a time, and has room for. */
#define ASSIST_TAKE	64u
#define ASSIST_ENTRIES	SHADES_MAX

/**
 * grey_add - put entries into the pool (work->lock held)
 * @work: the heap's
 * @entries: grey objects
 * @nr: how many
 *
 * Return: false: no memory, nothing was moved.
 */
bool grey_add(struct work *work, const uint64_t *entries, size_t nr)
{
	struct mark_stack *pool = &work->pool;

	while (pool->max - pool->nr < nr)
		if (!stack_grow(pool))
			return false;
	memcpy(&pool->entries[pool->nr], entries, nr * sizeof(*entries));
	__atomic_store_n(&pool->nr, pool->nr + nr, __ATOMIC_RELAXED);
	if (work->waiting && !work->alone)
		pthread_cond_broadcast(&work->changed);
	if (work->waiting_idle && !work->alone && pool->nr >= IDLE_LEAST)
		pthread_cond_broadcast(&work->plenty);
	return true;
}

/**
 * grey_lose - forget entries of no stack any more (work->lock held)
 * @work: the heap's
 * @entries: grey objects, which a walk over what is marked will find
 * @nr: how many
 */
void grey_lose(struct work *work, const uint64_t *entries, size_t nr)
{
	entries_forget(container_of(work, struct gca_heap, work), entries, nr);
	work->pool.overflow = true;
}

/* The lock held: what a mutator has marked, and how often it is no longer busy. */
static void add_marked(struct work *work, const uint64_t *entries, size_t nr,
		       const struct mark_result *result, uint32_t busy)
{
	if (nr && !grey_add(work, entries, nr))
		grey_lose(work, entries, nr);
	work->result.bytes += result->bytes;
	work->result.objects += result->objects;
	work->result.scanned += result->scanned;
	work->busy -= busy;
	if (busy && work->waiting && !work->busy && !work->pool.nr)
		pthread_cond_broadcast(&work->changed);
}

/* The lock held. */
static void take_deposits(struct work *work)
{
	struct deposit *deposit = __atomic_exchange_n(&work->deposits, NULL, __ATOMIC_ACQUIRE);

	while (deposit) {
		struct deposit *next = deposit->next;

		add_marked(work, deposit->entries, deposit->nr, &deposit->result, deposit->busy);
		__atomic_store_n(&deposit->pending, 0, __ATOMIC_RELEASE);
		deposit = next;
	}
}

/**
 * grey_lock - take the pool's lock, and what was put down beside it
 * @work: the heap's
 */
void grey_lock(struct work *work)
{
	pthread_mutex_lock(&work->lock);
	if (unlikely(__atomic_load_n(&work->deposits, __ATOMIC_RELAXED)))
		take_deposits(work);
}

static bool try_lock(struct work *work)
{
	return !gca_fault_hit(GCA_FAULT_WORK_LOCKED) && !pthread_mutex_trylock(&work->lock);
}

/**
 * grey_unlock - release it
 * @work: the heap's
 *
 * Who found the lock taken before this has put something down, which is seen here; who
 * comes later gets the lock.
 */
void grey_unlock(struct work *work)
{
	pthread_mutex_unlock(&work->lock);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while (unlikely(__atomic_load_n(&work->deposits, __ATOMIC_RELAXED)) &&
	       !pthread_mutex_trylock(&work->lock)) {
		take_deposits(work);
		pthread_mutex_unlock(&work->lock);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
}

/**
 * grey_wait - until somebody is no longer busy, or has something (work->lock held)
 * @work: the heap's; the calling thread runs the cycle
 *
 * A wait lets go of the lock without a look at what was put down: so it is announced, and
 * who puts something down meanwhile waits for the lock.
 */
void grey_wait(struct work *work)
{
	__atomic_store_n(&work->ending, true, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&work->deposits, __ATOMIC_SEQ_CST)) {
		take_deposits(work);
	} else {
		work->waiting++;
		pthread_cond_wait(&work->changed, &work->lock);
		work->waiting--;
		take_deposits(work);
	}
	__atomic_store_n(&work->ending, false, __ATOMIC_RELAXED);
}

/*
 * What a mutator has marked, and what of it is grey, for everybody; with @busy it is no
 * longer busy.  Whoever has the lock may be without a CPU for long, and a handshake and an
 * assist are short: so where the lock is taken, it is put down for who has it.
 */
static void hand_over(struct work *work, struct gca_mutator *owner, const uint64_t *entries,
		      size_t nr, const struct mark_result *result, uint32_t busy)
{
	struct deposit *own = owner ? &owner->deposit : NULL, *next;
	bool locked = try_lock(work);

	if (!locked && (!own || __atomic_load_n(&own->pending, __ATOMIC_ACQUIRE))) {
		grey_lock(work);
		locked = true;
	}
	if (locked) {
		add_marked(work, entries, nr, result, busy);
		grey_unlock(work);
		return;
	}
	memcpy(own->entries, entries, nr * sizeof(*entries));
	own->nr = (uint32_t)nr;
	own->busy = busy;
	own->result = *result;
	own->pending = 1;
	next = __atomic_load_n(&work->deposits, __ATOMIC_RELAXED);
	do {
		own->next = next;
	} while (!__atomic_compare_exchange_n(&work->deposits, &next, own, true,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (try_lock(work)) {
		take_deposits(work);
		grey_unlock(work);
	} else if (__atomic_load_n(&work->ending, __ATOMIC_SEQ_CST)) {
		grey_lock(work);
		grey_unlock(work);
	}
}

/**
 * grey_settle - nothing of a mutator's is on its way any more
 * @mutator: the calling thread's, about to go
 */
void grey_settle(struct gca_mutator *mutator)
{
	struct work *work = &mutator->heap->work;

	if (!grey_pending(mutator))
		return;
	grey_lock(work);
	grey_unlock(work);
}

/**
 * grey_take - take entries out of the pool, half of them at most (work->lock held)
 * @work: the heap's
 * @stack: where they go; it has room
 * @max: how many at most
 */
void grey_take(struct work *work, struct mark_stack *stack, size_t max)
{
	struct mark_stack *pool = &work->pool;
	size_t nr = (pool->nr + 1) / 2;

	if (nr > max)
		nr = max;
	__atomic_store_n(&pool->nr, pool->nr - nr, __ATOMIC_RELAXED);
	memcpy(&stack->entries[stack->nr], &pool->entries[pool->nr],
	       nr * sizeof(*stack->entries));
	stack->nr += nr;
}

/**
 * grey_give - entries for whoever has none
 * @heap: the heap, marking on
 * @entries: grey objects
 * @nr: how many
 *
 * Without memory they are dropped: what they are of is marked, and will be found.
 */
void grey_give(struct gca_heap *heap, const uint64_t *entries, size_t nr)
{
	struct work *work = &heap->work;

	grey_lock(work);
	if (!grey_add(work, entries, nr))
		grey_lose(work, entries, nr);
	grey_unlock(work);
}

/**
 * grey_put - the grey objects of a stack for whoever has none
 * @heap: the heap, marking on
 * @from: whose entries go, all of them
 */
void grey_put(struct gca_heap *heap, struct mark_stack *from)
{
	grey_give(heap, &from->entries[from->low], stack_left(from));
	from->nr = 0;
	from->low = 0;
}

static bool assist_tick(struct marker *marker)
{
	return false;
}

/**
 * work_assist - scan some grey objects, if there are any to be had
 * @mutator: the calling thread's, black
 * @bytes: about how much
 *
 * Return: the bytes scanned; 0: there were none.
 */
uint64_t work_assist(struct gca_mutator *mutator, uint64_t bytes)
{
	struct gca_heap *heap = mutator->heap;
	struct work *work = &heap->work;
	uint64_t entries[ASSIST_ENTRIES], scanned;
	struct mark_stack stack = { .entries = entries, .max = ASSIST_ENTRIES, .fixed = true };
	struct marker marker;

	/* Whoever has the lock may be without a CPU: there is always a next time. */
	if (!__atomic_load_n(&work->pool.nr, __ATOMIC_RELAXED) ||
	    grey_pending(mutator) ||
	    pthread_mutex_trylock(&work->lock))
		return 0;
	if (!work->open || work->stopped || !work->pool.nr) {
		grey_unlock(work);
		return 0;
	}
	grey_take(work, &stack, ASSIST_TAKE);
	work->busy++;
	grey_unlock(work);
	marker_init(&marker, heap, &stack, mutator->marked);
	mutator->has_marked = true;
	marker.tick = assist_tick;
	marker.left = (int64_t)bytes;
	marker.piece = ASSIST_PIECE;
	marker_drain(&marker);
	scanned = marker.result.scanned;
	__atomic_add_fetch(&work->scanned, scanned, __ATOMIC_RELAXED);
	hand_over(work, mutator, &entries[stack.low], stack_left(&stack), &marker.result, 1);
	return scanned;
}

/* @owner's bitmaps, or with world held the heap's: between the flip and its answer a
 * mutator is black by the bitmaps that it was black by before.
 */
static void shades(struct gca_heap *heap, struct gca_mutator *owner, const uintptr_t *words,
		   size_t nr)
{
	struct work *work = &heap->work;
	uint64_t entries[SHADES_MAX];
	struct mark_stack stack;
	struct marker marker;
	size_t i;

	while (nr) {
		size_t here = nr < SHADES_MAX ? nr : SHADES_MAX;

		stack = (struct mark_stack){ .entries = entries, .max = SHADES_MAX, .fixed = true };
		marker_init(&marker, heap, &stack, owner ? owner->marked : heap->shaded);
		/* As objects: the grey bits of a page that no worker has been to are a page
		 * fault each, and this may be the answer to a handshake.
		 */
		marker.near_rest = UINT32_MAX;
		if (owner) {
			owner->has_marked = true;
			marker.alloc_bits = owner->abi.alloc_bits;
			marker.mark_bits = owner->mark_bits;
		}
		for (i = 0; i < here; i++)
			marker_ask(&marker, __atomic_load_n(&words[i], __ATOMIC_RELAXED));
		for (i = 0; i < here; i++)
			marker_word(&marker, __atomic_load_n(&words[i], __ATOMIC_RELAXED));
		if (marker.result.objects) {
			hand_over(work, owner, entries, stack_left(&stack), &marker.result, 0);
			__atomic_add_fetch(&work->marked, marker.result.objects, __ATOMIC_SEQ_CST);
		}
		words += here;
		nr -= here;
	}
}

/**
 * mark_shades - mark what some words point to
 * @heap: the heap, marking on, its world held
 * @words: each a pointer into the heap or anything else
 * @nr: how many
 */
void mark_shades(struct gca_heap *heap, const uintptr_t *words, size_t nr)
{
	shades(heap, NULL, words, nr);
}

/**
 * mark_shade_flush - mark what a mutator has shaded
 * @mutator: the calling thread's, or one claimed
 */
void mark_shade_flush(struct gca_mutator *mutator)
{
	size_t nr = (size_t)(mutator->abi.shades - mutator->shades);

	mark_shades_drop(mutator);
	/* Nobody is black any more once the flip is done: nothing can be grey. */
	if (mutator->mark_bits)
		shades(mutator->heap, mutator, mutator->shades, nr);
}
