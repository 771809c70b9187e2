// SPDX-License-Identifier: MIT
/*
 * Allocation: runs of free slots, spans, refills, and what happens when there is
 * no memory.
 *
 * A mutator holds spans.  Of the one in use it knows a run of free slots, which
 * the inline path hands out one by one; here the next run is looked for in the
 * span's alloc line, then in the next span of the stock, then the backend is
 * asked.  Only the holder writes a held span's alloc bits, pointer bits and
 * kind cells, so none of this is locked.
 *
 * Slots of kinds with pointers are zeroed with their run, a piece of it at a time,
 * which costs a tenth of zeroing each and finds them in the cache when they are
 * written; bytes are zeroed one by one, by who wants them so.
 *
 * An object is published by its alloc bit, stored with release after the slot is
 * zero and its layout is written.  Pointer bits of a free slot are clear: they
 * are cleared when a run is opened, since a dead object may have left some.
 *
 * Once every mutator has its barrier a run is black from the moment it is open: the mark bits of
 * all its slots are set, and those of slots never used are cleared when it is
 * closed.  So an allocation is born black by its alloc bit alone.
 *
 * Any call here that may collect closes every run and takes every span away:
 * nothing read from a cache before it is valid after it.
 */
#include "internal.h"

#include <sys/sysinfo.h>

/* Spans of the first refill of a class; doubles with each until STOCK_MAX, and is
 * halved by a cycle, so that idle classes hold little.
 */
#define BATCH_FIRST	1u
/* Bytes of spans that one refill brings at most, if more than one: a heap with
 * many classes and threads must not be mostly stock.
 */
#define BATCH_BYTES	(64 * KIB)
/* The same of a class in steady demand, where that is little of the heap: all that a
 * mutator holds is to be no more than this part of the goal over all of them.
 */
#define BATCH_STEADY	(2 * BATCH_BYTES)
_Static_assert(BATCH_STEADY / GCARENA_PAGE_SIZE <= STOCK_MAX, "a refill fits into the stock");
#define BATCH_PARTS	16
/* Bytes of spans that threads in blocking regions keep at most, all together: what
 * ten thousand of them would hold must be there for those that run.
 */
#define BLOCKED_HELD_MAX (4 * MIB)
/* Bytes of a run that are zeroed at once: a part of the nearest cache. */
#define ZERO_PIECE	(2 * KIB)
/* Objects of a run that are black at once, and paid for, if that is more. */
#define PIECE_OBJECTS	(size_t)8
/* Times that the failure handler may ask for one more try: a handler that always
 * says yes must not hang the program.
 */
#define MEMORY_TRIES	8
/* Cycles that one allocation runs for itself, while the last one of anybody freed
 * so many bytes: less is not what another thread snatched away.
 */
#define MEMORY_ROUNDS	4
#define MEMORY_WORTH	(256 * KIB)
/* Of what lives, the part that must have been allocated since the last cycle for
 * another one to be worth its price while the program is thrashing.
 */
#define THRASHING_PARTS	8
/* From how many bytes on a request is compared with what the machine has. */
#define MACHINE_LOOK	GIB

/* Of the classes, those that @mutator ever refilled. */
#define for_each_used(mutator, class)						\
	for ((class) = next_used((mutator)->used, CLASS_SMALL); (class) < nr_span_classes; \
	     (class) = next_used((mutator)->used, (class) + 1))

/* For the pacing, which is told by cycle, and for verify. */
static void count_allocated(struct gca_mutator *mutator, uint64_t bytes, uint64_t objects)
{
	struct gca_heap *heap = mutator->heap;

	__atomic_add_fetch(&heap->allocated[mutator->epoch], bytes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->total_alloc, bytes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->mallocs, objects, __ATOMIC_RELAXED);
	if (mutator->born_black) {
		__atomic_add_fetch(&heap->black_objects, objects, __ATOMIC_RELAXED);
		generations_count(&heap->generations.black[mutator->epoch], bytes, objects);
	}
}

static void count_run(struct gca_mutator *mutator, unsigned int class)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];
	uint64_t bytes;

	/* The inline path adds first and looks then. */
	if (cache->cur > cache->end)
		cache->cur = cache->end;
	bytes = cache->cur - holding->run;
	if (!bytes)
		return;
	mutator->uncounted += bytes;
	mutator->uncounted_objects += bytes / cache->elem;
	holding->uncounted += (uint32_t)(bytes / cache->elem);
	holding->run = cache->cur;
}

/* What was counted of runs becomes the heap's: before it is looked at, and before
 * the mutator changes its epoch.
 */
static void count_out(struct gca_mutator *mutator)
{
	uint64_t bytes = mutator->uncounted, objects = mutator->uncounted_objects;

	if (!bytes)
		return;
	mutator->uncounted = 0;
	mutator->uncounted_objects = 0;
	mutator->total_alloc += bytes;
	count_allocated(mutator, bytes, objects);
}

/**
 * alloc_count_class - count what the open run of a class has handed out
 * @mutator: the calling thread's
 * @class: the class
 */
void alloc_count_class(struct gca_mutator *mutator, unsigned int class)
{
	count_run(mutator, class);
}

/**
 * alloc_settled - is every slot that was handed out an object?
 * @mutator: the calling thread's; in a signal, not inside the library
 *
 * The inline path takes a slot by one instruction and sets its alloc bit last.
 */
bool alloc_settled(const struct gca_mutator *mutator)
{
	unsigned int class;

	for_each_used(mutator, class) {
		const struct gca_cache *cache = &mutator->caches[class];

		if (cache->cur > mutator->holdings[class].run && cache->cur <= cache->end &&
		    !bit_test(mutator->abi.alloc_bits,
			      granule_of(mutator->heap, cache->cur - cache->elem)))
			return false;
	}
	return true;
}

/**
 * alloc_count - count what the open runs have handed out
 * @mutator: the calling thread's
 */
void alloc_count(struct gca_mutator *mutator)
{
	unsigned int class;

	for_each_used(mutator, class) {
		count_run(mutator, class);
		class_count_out(mutator, class);
	}
	count_out(mutator);
}

/*
 * Sets or clears the mark bits of the free slots [slot, end).  A marker may set
 * bits of the same words: of objects of this span, never of these slots, whose
 * alloc bits are clear.
 */
static void color_slots(struct gca_mutator *mutator, uintptr_t slot, uintptr_t end, uint32_t elem,
			bool black)
{
	uint64_t granule = granule_of(mutator->heap, slot);
	uint64_t last = granule_of(mutator->heap, end);
	uint64_t *bits = mutator->mark_bits;

	while (granule < last) {
		uint64_t word = granule >> 6, mask = 0;

		for (; granule < last && granule >> 6 == word;
		     granule += elem >> GCARENA_GRANULE_SHIFT)
			mask |= 1ULL << (granule & 63);
		if (black)
			__atomic_fetch_or(&bits[word], mask, __ATOMIC_RELAXED);
		else
			__atomic_fetch_and(&bits[word], ~mask, __ATOMIC_RELAXED);
	}
}

/* The caller counts on at least one free entry of @mutator->spent afterwards. */
static void spend(struct gca_mutator *mutator, const struct gcarena_span *span)
{
	if (mutator->nr_spent == ARRAY_SIZE(mutator->spent))
		alloc_return_spent(mutator);
	mutator->held_bytes -= (uint64_t)span->npages << GCARENA_PAGE_SHIFT;
	mutator->spent[mutator->nr_spent] = *span;
	mutator->spent[mutator->nr_spent++].flags = 0;
}

/**
 * alloc_give_back - give spans back to the arena
 * @heap: the heap
 * @spent: spans that no mutator has any more
 * @nr: how many
 *
 * Waits for the arena's lock.
 */
void alloc_give_back(struct gca_heap *heap, const struct gcarena_span *spent, uint32_t nr)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)spent,
		.nr_spent = nr,
	};
	int error;

	if (!nr)
		return;
	error = heap->ops->give_back(heap, &args);
	/* A span refused would be one that we do not hold.  With -EIO the arena is
	 * gone, and its spans with it.
	 */
	gca_assert(!error || error == -EIO);
}

/**
 * alloc_take_spent - take a mutator's spent spans off it
 * @mutator: the calling thread's, or one claimed
 * @spent: room for GCARENA_BATCH_MAX
 *
 * Return: how many; for alloc_give_back().
 */
uint32_t alloc_take_spent(struct gca_mutator *mutator, struct gcarena_span *spent)
{
	uint32_t nr = mutator->nr_spent;

	memcpy(spent, mutator->spent, nr * sizeof(*spent));
	mutator->nr_spent = 0;
	return nr;
}

/**
 * alloc_return_spent - give spent spans back
 * @mutator: the calling thread's, or one claimed
 */
void alloc_return_spent(struct gca_mutator *mutator)
{
	alloc_give_back(mutator->heap, mutator->spent, mutator->nr_spent);
	mutator->nr_spent = 0;
}

/* Closes the run of @class and drops its span and stock into spent. */
static void flush_class(struct gca_mutator *mutator, unsigned int class)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];
	uint32_t i;

	count_run(mutator, class);
	class_count_out(mutator, class);
	if (mutator->born_black)
		color_slots(mutator, cache->cur, cache->end, cache->elem, false);
	profile_unused(holding, cache->end - cache->cur);
	cache->cur = 0;
	cache->end = 0;
	holding->run = 0;
	holding->run_end = 0;
	holding->limit = 0;
	if (holding->span.npages) {
		spend(mutator, &holding->span);
		holding->span.npages = 0;
	}
	for (i = 0; i < holding->nr_stock; i++)
		spend(mutator, &mutator->stock[i][class]);
	holding->nr_stock = 0;
	if (holding->batch > BATCH_FIRST)
		holding->batch /= 2;
}

/* Every span becomes spent. */
static void spend_all(struct gca_mutator *mutator)
{
	unsigned int class;

	for_each_used(mutator, class)
		flush_class(mutator, class);
	count_out(mutator);
	mutator->tiny = 0;
	mutator->tiny_end = 0;
}

/**
 * alloc_flush - give every span of a mutator back
 * @mutator: the calling thread's, or one claimed
 */
void alloc_flush(struct gca_mutator *mutator)
{
	spend_all(mutator);
	alloc_return_spent(mutator);
}

/**
 * alloc_before_block - leave what others need
 * @mutator: the calling thread's, about to enter a blocking region
 *
 * Each mutator may keep its share of BLOCKED_HELD_MAX; with few of them that is more
 * than any has, and costs a comparison.
 */
void alloc_before_block(struct gca_mutator *mutator)
{
	uint32_t mutators = __atomic_load_n(&mutator->heap->nr_mutators, __ATOMIC_RELAXED);

	if (likely(mutator->held_bytes * mutators <= BLOCKED_HELD_MAX))
		return;
	alloc_flush(mutator);
}

/**
 * alloc_turn_black - what is allocated from now on survives the cycle
 * @mutator: the calling thread's, or one claimed; or it has turned black before
 *
 * Not before every mutator has its barrier: nobody looks into what is born black, so
 * whatever is stored there must be shaded by who stores it.
 *
 * The open runs are blackened whole, so that the inline path need not know.
 */
void alloc_turn_black(struct gca_mutator *mutator)
{
	unsigned int class;

	gca_assert(mutator->mark_bits);
	if (mutator->born_black)
		return;
	alloc_count(mutator);
	/* The tiny block may be white. */
	mutator->tiny = 0;
	mutator->tiny_end = 0;
	mutator->epoch = mutator->heap->epoch;
	mutator->born_black = true;
	for_each_used(mutator, class) {
		struct gca_cache *cache = &mutator->caches[class];

		if (cache->cur != cache->end)
			color_slots(mutator, cache->cur, cache->end, cache->elem, true);
	}
}

/**
 * alloc_turn_white - the generation was flipped: no more of the old spans
 * @mutator: the calling thread's, or one claimed
 * @generation: the new one
 *
 * The caller gives them back, by alloc_return_spent() or alloc_take_spent(): the next cycle
 * waits for that.  In a handshake not before the answer, since whoever has the arena's lock
 * may not have a CPU, and for a claimed mutator when it may run again.
 */
void alloc_turn_white(struct gca_mutator *mutator, uint32_t generation)
{
	class_marked_out(mutator);
	if (mutator->generation == generation && !mutator->mark_bits)
		return;
	spend_all(mutator);
	mutator->mark_bits = NULL;
	mutator->born_black = false;
	mutator->generation = generation;
	mutator->abi.alloc_bits = mutator->heap->bitmap[generation & 1];
	mutator->abi.barrier = generations_barrier(mutator->heap, false);
}

static void bits_clear(uint64_t *word, uint64_t bits)
{
	__atomic_store_n(word, *word & ~bits, __ATOMIC_RELAXED);
}

/* Clears the pointer bits of [start, end).  A marker may be reading the words at
 * either end, where other objects' bits are.
 */
static void clear_pointer_bits(struct gca_heap *heap, uintptr_t start, uintptr_t end)
{
	uint64_t *bits = heap->pointer_bits;
	uint64_t first = (start - heap->base) / sizeof(void *);
	uint64_t last = (end - heap->base) / sizeof(void *) - 1;
	uint64_t low = ~0ULL << (first & 63);
	uint64_t high = ~0ULL >> (63 - (last & 63));

	if (first >> 6 == last >> 6) {
		bits_clear(&bits[first >> 6], low & high);
		return;
	}
	bits_clear(&bits[first >> 6], low);
	memset(&bits[(first >> 6) + 1], 0, ((last >> 6) - (first >> 6) - 1) * sizeof(*bits));
	bits_clear(&bits[last >> 6], high);
}

/* The first alloc bit set in granules [from, to), or @to. */
static uint64_t next_allocated(const uint64_t *bits, uint64_t from, uint64_t to)
{
	uint64_t word = from >> 6;
	uint64_t value = bits[word] & ~0ULL << (from & 63);

	while (!value) {
		if (++word << 6 >= to)
			return to;
		value = bits[word];
	}
	from = (word << 6) + (uint64_t)__builtin_ctzll(value);
	return from < to ? from : to;
}

/* Opens the next piece of the run, as much as is zeroed at once. */
static void next_piece(struct gca_mutator *mutator, unsigned int class)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];
	const struct span_class *info = &span_classes[class];
	uintptr_t slot = holding->run, end = holding->run_end;
	bool soiled = holding->span.flags & GCARENA_SPAN_NEEDS_ZERO && !cache->needs_zero;

	/* A piece is also what is paid for at once. */
	if (soiled || mutator->mark_bits) {
		size_t piece = info->elem < ZERO_PIECE ? ZERO_PIECE / info->elem * info->elem :
							 info->elem;

		/* Where nothing is cleared: not the slow path for each. */
		if (!soiled && piece < PIECE_OBJECTS * info->elem)
			piece = PIECE_OBJECTS * info->elem;

		if (end - slot > piece)
			end = slot + piece;
	}
	if (unlikely(mutator->profile_rate !=
		     __atomic_load_n(&mutator->heap->profile.rate, __ATOMIC_RELAXED)))
		profile_arm(mutator);
	if (likely(holding->sample_left >= end - slot))
		holding->sample_left -= end - slot;
	else
		end = profile_cut(holding, info->elem, slot);
	if (soiled)
		memset((void *)slot, 0, end - slot);
	cache->cur = slot;
	cache->end = end;
	if (info->flavour == GCA_FLAVOUR_PRECISE)
		clear_pointer_bits(mutator->heap, slot, end);
	if (mutator->born_black)
		color_slots(mutator, slot, end, info->elem, true);
}

/* No alloc bit is set in the lines of a span. */
static bool lines_clear(const uint64_t *bits, uint32_t npages)
{
	const uint64_t *end = bits + npages * GCARENA_LINE_WORDS;

	for (; bits < end; bits += GCARENA_LINE_WORDS)
		if (bits[0] | bits[1] | bits[2] | bits[3] | bits[4] | bits[5] | bits[6] | bits[7])
			return false;
	return true;
}

/* Opens the first run of the span in use at or after @slot: true, or false at its end. */
static bool open_run(struct gca_mutator *mutator, unsigned int class, uintptr_t slot)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];
	struct gca_heap *heap = mutator->heap;
	const uint64_t *bits = mutator->abi.alloc_bits;
	uint64_t end;

	while (slot < holding->limit && bit_test(bits, granule_of(heap, slot)))
		slot += cache->elem;
	if (slot == holding->limit) {
		cache->cur = slot;
		cache->end = slot;
		holding->run = slot;
		holding->run_end = slot;
		return false;
	}
	end = next_allocated(bits, granule_of(heap, slot), granule_of(heap, holding->limit));
	holding->run = slot;
	holding->run_end = heap->base + (end << GCARENA_GRANULE_SHIFT);
	/* A bit inside a slot: the program wrote to the bitmap. */
	gca_assert((holding->run_end - slot) % cache->elem == 0);
	next_piece(mutator, class);
	return true;
}

/* Opens the next run of the span in use: true, or false at the span's end. */
static bool next_run(struct gca_mutator *mutator, unsigned int class)
{
	const struct holding *holding = &mutator->holdings[class];
	uintptr_t slot = mutator->caches[class].end;

	count_run(mutator, class);
	pace_assist(mutator);
	if (slot != holding->run_end) {
		next_piece(mutator, class);
		return true;
	}
	/* Mostly: of a span that was wholly free. */
	if (slot == holding->limit)
		return false;
	return open_run(mutator, class, slot);
}

/* Takes the stock's next span into use: its first run is open, or false. */
static bool next_span(struct gca_mutator *mutator, unsigned int class)
{
	struct holding *holding = &mutator->holdings[class];
	struct gca_cache *cache = &mutator->caches[class];
	const struct span_class *info = &span_classes[class];
	bool by_object = info->flavour == GCA_FLAVOUR_NOSCAN || mutator->heap->slow_alloc;
	uintptr_t base;

	class_count_out(mutator, class);
	for (;;) {
		if (holding->span.npages) {
			spend(mutator, &holding->span);
			holding->span.npages = 0;
		}
		if (!holding->nr_stock)
			return false;
		holding->span = mutator->stock[--holding->nr_stock][class];
		base = mutator->heap->base + ((uintptr_t)holding->span.page << GCARENA_PAGE_SHIFT);
		cache->elem = info->elem;
		cache->needs_zero = by_object && holding->span.flags & GCARENA_SPAN_NEEDS_ZERO;
		holding->limit = base + (uintptr_t)info->elem * info->objects;
		/* Most are wholly free where much dies. */
		if (lines_clear(&mutator->abi.alloc_bits[(uint64_t)holding->span.page *
							 GCARENA_LINE_WORDS], info->npages)) {
			holding->run = base;
			holding->run_end = holding->limit;
			next_piece(mutator, class);
			return true;
		}
		if (open_run(mutator, class, base))
			return true;
	}
}

static void note_span(struct gca_heap *heap, const struct gcarena_span *span)
{
	uint32_t end = span->page + span->npages;
	uint32_t high = __atomic_load_n(&heap->pages_high, __ATOMIC_RELAXED);

	while (end > high)
		if (__atomic_compare_exchange_n(&heap->pages_high, &high, end, true,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			break;
}

/*
 * Spans of a newer generation than this mutator's: the flip has happened, and its
 * handshake is on the way.  The bits of the new spans are in the other bitmap, so
 * the mutator takes the step now.  Those of the old generation go back.
 */
static void refill_flipped(struct gca_mutator *mutator, struct gcarena_span *ready, uint32_t *nr)
{
	uint32_t generation = ready[*nr - 1].generation, kept = 0, i;
	struct stopwatch watch;

	stopwatch_start(&watch);
	alloc_turn_white(mutator, generation);
	stop_note(mutator->heap, GCA_STOP_WHITE,
		  stopwatch_stop(&watch, &mutator->heap->stop_unscheduled_ns));
	for (i = 0; i < *nr; i++) {
		if (ready[i].generation == generation)
			ready[kept++] = ready[i];
		else
			spend(mutator, &ready[i]);
	}
	*nr = kept;
	alloc_return_spent(mutator);
}

/*
 * More than the machine has, memory and swap together: the arena backs what it hands
 * out, so the process would be killed for it, where malloc() gives NULL.
 */
static bool beyond_machine(uint64_t bytes)
{
	struct sysinfo info;

	if (likely(bytes < MACHINE_LOOK) || sysinfo(&info))
		return false;
	return bytes > ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
}

/* One refill: 0 when at least one span came into @ready. */
static int refill(struct gca_mutator *mutator, unsigned int class, uint32_t npages,
		  struct gcarena_span *ready, uint32_t *nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.spent = (uintptr_t)mutator->spent,
		.ready = (uintptr_t)ready,
		.nr_spent = mutator->nr_spent,
		.nr_ready = *nr,
		.npages = npages,
		.span_class = (uint16_t)class,
	};
	enum account_state before;
	uint64_t begin;
	uint32_t i;
	int error;

	if (unlikely((class != CLASS_MANUAL &&
		      !pace_may_grow(mutator->heap, (uint64_t)npages << GCARENA_PAGE_SHIFT)) ||
		     beyond_machine((uint64_t)npages << GCARENA_PAGE_SHIFT))) {
		*nr = 0;
		return -ENOMEM;
	}
	before = account_switch(&mutator->account, ACCOUNT_REFILL);
	begin = mutator->account.since;
	error = mutator->heap->ops->refill(mutator->heap, &args);
	profile_wait_end(mutator, before);
	PROBE4(refill, mutator->heap, class, error ? error : (int)args.nr_ready,
	       mutator->account.since - begin);
	EVENT(mutator->heap, EVENT_REFILL, class,
	      error ? error : (int)args.nr_ready,
	      (unsigned long long)(mutator->account.since - begin));

	/* An error that came before the first was looked at has left all as it was. */
	if (!error || (error == -ENOMEM && !args.nr_ready)) {
		gca_assert(args.nr_spent == mutator->nr_spent);
		mutator->nr_spent = 0;
	}
	*nr = error ? 0 : args.nr_ready;
	gca_assert(error || *nr);
	for (i = 0; i < *nr; i++) {
		note_span(mutator->heap, &ready[i]);
		mutator->held_bytes += (uint64_t)ready[i].npages << GCARENA_PAGE_SHIFT;
	}
	if (!error && unlikely(ready[*nr - 1].generation != mutator->generation))
		refill_flipped(mutator, ready, nr);
	return error;
}

static int fail(struct gca_heap *heap, int error, size_t size)
{
	__atomic_add_fetch(&heap->failed_allocs, 1, __ATOMIC_RELAXED);
	return error_set(error, "allocation of %zu bytes: %s", size,
			 error == -ENOMEM ? "out of memory, address space or limit" :
			 strerror(-error));
}

static bool ask_program(struct gca_mutator *mutator, size_t size)
{
	struct gca_heap *heap = mutator->heap;
	gca_failure_fn handler;
	bool again;
	void *arg;

	/* It must not allocate, and if it does it must not be asked by itself. */
	if (mutator->asking)
		return false;
	world_lock(heap, mutator);
	handler = heap->failure;
	arg = heap->failure_arg;
	world_unlock(heap);
	mutator->asking = true;
	again = handler && handler(mutator, size, arg);
	mutator->asking = false;
	return again;
}

/*
 * When the backend has no memory: first the garbage that is known already, then a
 * whole new cycle (the one before may have let garbage of its time float), then
 * everything free is given back, since what is short may be the system's memory
 * and not the limit.  Other threads may have taken what that brought: while
 * cycles do free memory, we try again.  Last the program is asked, as often as it
 * says yes.
 */
static int refill_hard(struct gca_mutator *mutator, unsigned int class, uint32_t npages,
		       struct gcarena_span *ready, uint32_t *nr, size_t size)
{
	enum { SWEEP, COLLECT, SCAVENGE, HANDLER } step = SWEEP;
	struct gca_heap *heap = mutator->heap;
	unsigned int rounds = 0, tries = 0;
	bool hopeless = __atomic_load_n(&heap->thrashing, __ATOMIC_RELAXED) &&
			heap_allocated(heap) < __atomic_load_n(&heap->heap_live,
							       __ATOMIC_RELAXED) / THRASHING_PARTS;
	int error;

	for (;;) {
		uint32_t want = 1;	/* no more than what is asked for */

		switch (step) {
		case SWEEP:
			error = cycle_finish_sweep(mutator);
			break;
		case COLLECT:
			__atomic_store_n(&heap->refused, true, __ATOMIC_RELAXED);
			error = cycle_run(mutator, false);
			if (!error)
				error = cycle_finish_sweep(mutator);
			break;
		case SCAVENGE:
			error = cycle_scavenge_all(mutator, GCARENA_SCAVENGE_ALL, NULL);
			break;
		default:
			if (tries++ == MEMORY_TRIES || !ask_program(mutator, size))
				return fail(heap, -ENOMEM, size);
			/* What the handler let go of is garbage now. */
			error = cycle_run(mutator, false);
			if (!error)
				error = cycle_finish_sweep(mutator);
			break;
		}
		if (error && error != -ENOMEM)
			return fail(heap, error, size);
		error = refill(mutator, class, npages, ready, &want);
		*nr = want;
		if (!error)
			return 0;
		if (error != -ENOMEM)
			return fail(heap, error, size);
		/* Cycles that free next to nothing would be all that still happens. */
		if (step == SWEEP && hopeless)
			step = SCAVENGE;
		else if (step == SCAVENGE && !hopeless && ++rounds < MEMORY_ROUNDS &&
			 __atomic_load_n(&heap->last_freed, __ATOMIC_RELAXED) >= MEMORY_WORTH)
			step = COLLECT;
		else if (step != HANDLER)
			step++;
	}
}

/* Spans that the refill after one of @batch asks for. */
static uint32_t next_batch(const struct gca_mutator *mutator, unsigned int class, uint32_t batch)
{
	const struct gca_heap *heap = mutator->heap;
	uint64_t goal = __atomic_load_n(&heap->next_gc, __ATOMIC_RELAXED);
	uint64_t held = mutator->held_bytes + BATCH_STEADY;
	uint64_t bytes = BATCH_BYTES;
	uint32_t most;

	if (goal != UINT64_MAX && goal / BATCH_PARTS >=
	    held * __atomic_load_n(&heap->nr_mutators, __ATOMIC_RELAXED))
		bytes = BATCH_STEADY;
	most = (uint32_t)(bytes >> GCARENA_PAGE_SHIFT) / span_classes[class].npages;
	batch *= 2;
	return batch < most ? batch : most ? most : 1;
}

/* Makes @class's cache non-empty, collecting when it is time to: 0, or -ENOMEM
 * with gca_error() set.
 */
static int refill_small(struct gca_mutator *mutator, unsigned int class, size_t size)
{
	struct holding *holding = &mutator->holdings[class];
	const uint64_t bit = 1ULL << (class & 63);
	struct gcarena_span ready[STOCK_MAX];
	uint32_t nr, i;
	int error;

	if (unlikely(!(mutator->used[class / 64] & bit))) {
		mutator->used[class / 64] |= bit;
		__atomic_fetch_or(&mutator->heap->used[class / 64], bit, __ATOMIC_RELAXED);
	}
	for (;;) {
		if (next_run(mutator, class) || next_span(mutator, class))
			return 0;
		count_out(mutator);
		pace_poll(mutator, 0);
		if (holding->batch < BATCH_FIRST)
			holding->batch = BATCH_FIRST;
		nr = holding->batch;
		error = refill(mutator, class, 0, ready, &nr);
		if (!error)
			holding->batch = next_batch(mutator, class, holding->batch);
		else if (error == -ENOMEM)
			error = refill_hard(mutator, class, 0, ready, &nr, size);
		else if (error)
			error = fail(mutator->heap, error, size);
		if (error)
			return error;
		/* In the backend's order: the first is used first. */
		for (i = 0; i < nr; i++)
			mutator->stock[nr - 1 - i][class] = ready[i];
		holding->nr_stock = nr;
	}
}

/* Sets pointer bits [first, first + count), count up to 64. */
static void set_pointer_bits(uint64_t *bits, uint64_t first, uint32_t count)
{
	unsigned int shift = first & 63;
	uint64_t mask;

	if (!count)
		return;
	mask = ~0ULL >> (64 - count);
	gca_bits_or_(&bits[first >> 6], mask << shift);
	if (shift + count > 64)
		gca_bits_or_(&bits[(first >> 6) + 1], mask >> (64 - shift));
}

/* The layout of a new object, before its alloc bit. */
static void write_layout(struct gca_heap *heap, const struct kind *kind, unsigned int flavour,
			 uintptr_t slot, size_t size)
{
	uint64_t word = (slot - heap->base) / sizeof(void *);
	const struct gca_run *run;
	size_t element = 0;

	if (flavour == GCA_FLAVOUR_KINDED) {
		generations_note_kind(heap, kind);
		heap->kind_ids[(slot - heap->base) >> CELL_SHIFT] = (uint16_t)kind->abi.id;
		return;
	}
	if (flavour != GCA_FLAVOUR_PRECISE)
		return;
	/* Once, or for each element of an array. */
	do {
		for (run = kind->runs; run->count; run++)
			set_pointer_bits(heap->pointer_bits,
					 word + (element + run->offset) / sizeof(void *),
					 run->count);
		element += kind->elem;
	} while (kind->elem && element + kind->elem <= size);
	if (kind->tail != GCA_NO_TAIL)
		set_pointer_bits(heap->pointer_bits, word + kind->tail / sizeof(void *),
				 (uint32_t)((size - kind->tail) / sizeof(void *)));
}

/* alloc_in_class(); @flavour is the class's. */
static inline __attribute__((always_inline)) void *
in_class(struct gca_mutator *mutator, const struct kind *kind, unsigned int flavour,
	 unsigned int class, size_t size, bool zeroed)
{
	struct gca_cache *cache = &mutator->caches[class];
	struct gca_heap *heap = mutator->heap;
	uintptr_t slot;

	if (cache->cur >= cache->end && refill_small(mutator, class, size))
		return NULL;
	slot = cache->cur;
	cache->cur = slot + cache->elem;
	poison_alloc((void *)slot, cache->elem);
	if (cache->needs_zero && zeroed)
		memset((void *)slot, 0, cache->elem);
	if (flavour != GCA_FLAVOUR_NOSCAN)
		write_layout(heap, kind, flavour, slot, size);
	if (unlikely(heap->debug_shadow))
		shadow_alloc(heap, (void *)slot, cache->elem, &kind->abi);
	bit_publish(mutator->abi.alloc_bits, granule_of(heap, slot));
	if (unlikely(mutator->holdings[class].sample_left == SAMPLE_NOW))
		profile_sample(mutator, class, slot, cache->elem);
	return (void *)slot;
}

/**
 * alloc_in_class - allocate a slot of a small span class
 * @mutator: the calling thread's
 * @kind: a good kind
 * @class: of a flavour that serves @kind
 * @size: bytes that are used
 * @zeroed: they must read as zero
 *
 * Return: the object, or NULL with gca_error() set.
 */
void *alloc_in_class(struct gca_mutator *mutator, const struct kind *kind, unsigned int class,
		     size_t size, bool zeroed)
{
	return in_class(mutator, kind, span_classes[class].flavour, class, size, zeroed);
}

static void *alloc_small(struct gca_mutator *mutator, const struct kind *kind, size_t size,
			 bool zeroed)
{
	unsigned int flavour = flavour_of(kind->abi.flavour, size);
	const uint16_t *class_of = small_class_of[flavour];

	/* Of an exact kind the classes are its own, for its own size only. */
	if (size == kind->abi.size && flavour == kind->abi.flavour)
		class_of = kind->abi.class_of;
	return alloc_in_class(mutator, kind, class_of[(size + 16) >> GCARENA_GRANULE_SHIFT], size,
			      zeroed);
}

static void *alloc_large(struct gca_mutator *mutator, const struct kind *kind, size_t size,
			 bool zeroed)
{
	bool scan = kind->abi.flavour != GCA_FLAVOUR_NOSCAN;
	unsigned int class = scan ? CLASS_LARGE_SCAN : CLASS_LARGE_NOSCAN;
	struct gca_heap *heap = mutator->heap;
	struct gcarena_span span;
	uint32_t npages, nr = 1;
	uintptr_t slot;
	size_t bytes;
	int error;

	/* The byte of padding included. */
	if (size >= heap->size)
		return alloc_fail(mutator, size, "more than the heap's address space");
	npages = (uint32_t)(size / GCARENA_PAGE_SIZE + 1);
	bytes = (size_t)npages << GCARENA_PAGE_SHIFT;
	pace_poll(mutator, bytes);
	error = refill(mutator, class, npages, &span, &nr);
	if (error == -ENOMEM)
		error = refill_hard(mutator, class, npages, &span, &nr, size);
	else if (error)
		error = fail(heap, error, size);
	if (error)
		return NULL;
	slot = heap->base + ((uintptr_t)span.page << GCARENA_PAGE_SHIFT);
	poison_alloc((void *)slot, bytes);
	if (span.flags & GCARENA_SPAN_NEEDS_ZERO && zeroed)
		memset((void *)slot, 0, bytes);
	if (scan)
		generations_note_kind(heap, kind);
	if (scan)
		heap->kind_ids[(slot - heap->base) >> CELL_SHIFT] = (uint16_t)kind->abi.id;
	if (heap->debug_shadow)
		shadow_alloc(heap, (void *)slot, bytes, &kind->abi);
	if (mutator->born_black)
		color_slots(mutator, slot, slot + GCARENA_GRANULE_SIZE, GCARENA_GRANULE_SIZE, true);
	bit_publish(mutator->abi.alloc_bits, granule_of(heap, slot));
	profile_large(mutator, class, slot, bytes);
	mutator->uncounted += bytes;
	mutator->uncounted_objects++;
	class_count_large(mutator, class);
	count_out(mutator);
	spend(mutator, &span);
	pace_assist(mutator);
	return (void *)slot;
}

/**
 * alloc_fail - an allocation that cannot be
 * @mutator: the calling thread's
 * @size: bytes asked for
 * @why: in a sentence
 *
 * Return: NULL; gca_error() says why.
 */
void *alloc_fail(struct gca_mutator *mutator, size_t size, const char *why)
{
	__atomic_add_fetch(&mutator->heap->failed_allocs, 1, __ATOMIC_RELAXED);
	error_set(-EINVAL, "allocation of %zu bytes: %s", size, why);
	return NULL;
}

/* alloc_ready() */
static inline bool ready_for(struct gca_mutator *mutator, const struct kind *kind, size_t size)
{
	if (unlikely(__atomic_load_n(&mutator->heap->forked, __ATOMIC_RELAXED))) {
		error_set(-EIO, "the heap belongs to the parent process");
		return false;
	}
	gca_safepoint(mutator);
	if (unlikely(kind->wrong)) {
		alloc_fail(mutator, size, kind->wrong);
		return false;
	}
	if (unlikely(size < kind->abi.size)) {
		fail(mutator->heap, -EINVAL, size);
		error_set(-EINVAL, "allocation of %zu bytes: kind %s has %u", size, kind->name,
			  kind->abi.size);
		return false;
	}
	return true;
}

/**
 * alloc_ready - the safepoint and the checks before an allocation
 * @mutator: the calling thread's
 * @kind: of what is to be allocated
 * @size: bytes
 *
 * Return: false, with gca_error() set, when there can be no such object.
 */
bool alloc_ready(struct gca_mutator *mutator, const struct kind *kind, size_t size)
{
	return ready_for(mutator, kind, size);
}

/**
 * alloc_manual - pages that no cycle looks at
 * @mutator: the calling thread's
 * @npages: how many
 * @span: where they are
 *
 * Return: 0 or a negative errno with gca_error() set.
 */
int alloc_manual(struct gca_mutator *mutator, uint32_t npages, struct gcarena_span *span)
{
	size_t bytes = (size_t)npages << GCARENA_PAGE_SHIFT;
	uint32_t nr = 1;
	int error;

	pace_poll(mutator, bytes);
	error = refill(mutator, CLASS_MANUAL, npages, span, &nr);
	if (error == -ENOMEM)
		error = refill_hard(mutator, CLASS_MANUAL, npages, span, &nr, bytes);
	else if (error)
		error = fail(mutator->heap, error, bytes);
	/* It is the program's. */
	if (!error)
		mutator->held_bytes -= bytes;
	return error;
}

/**
 * gca_alloc_slow - allocate where the inline path cannot
 * @mutator: the calling thread's
 * @kind: where its pointers are
 * @size: bytes
 *
 * Return: as gca_alloc().
 */
void *gca_alloc_slow(struct gca_mutator *mutator, const struct gca_kind *kind, size_t size)
{
	RUNTIME();
	const struct kind *full = kind_of(kind);

	if (!alloc_ready(mutator, full, size))
		return NULL;
	if (size < SMALL_MAX)
		return alloc_small(mutator, full, size, true);
	return alloc_large(mutator, full, size, true);
}

/**
 * gca_alloc_raw_slow - the same of bytes that need not be zero
 * @mutator: the calling thread's
 * @size: bytes
 *
 * Return: as gca_alloc().
 */
void *gca_alloc_raw_slow(struct gca_mutator *mutator, size_t size)
{
	RUNTIME();
	const struct kind *bytes = kind_of(gca_kind_noscan());

	if (unlikely(!ready_for(mutator, bytes, size)))
		return NULL;
	if (likely(size < SMALL_MAX))
		return in_class(mutator, bytes, GCA_FLAVOUR_NOSCAN,
				small_class_of[GCA_FLAVOUR_NOSCAN][(size + 16) >>
								   GCARENA_GRANULE_SHIFT],
				size, false);
	return alloc_large(mutator, bytes, size, false);
}

/**
 * gca_alloc_tail_ - allocate a fixed part and an array of pointers
 * @mutator: the calling thread's
 * @kind: where its pointers are
 * @size: bytes of the fixed part
 * @count: pointers
 *
 * Return: as gca_alloc(); NULL also when the kind has no tail, or the size in
 * bytes is no size_t.
 */
void *gca_alloc_tail_(struct gca_mutator *mutator, const struct gca_kind *kind, size_t size,
		      size_t count)
{
	RUNTIME();
	const struct kind *full = kind_of(kind);
	size_t bytes;

	if (count && full->tail == GCA_NO_TAIL && !full->trace && !full->conservative &&
	    !full->wrong) {
		fail(mutator->heap, -EINVAL, size);
		error_set(-EINVAL, "allocation of a tail: kind %s has none", full->name);
		return NULL;
	}
	if (__builtin_mul_overflow(count, sizeof(void *), &bytes) ||
	    __builtin_add_overflow(bytes, size, &bytes)) {
		fail(mutator->heap, -EINVAL, SIZE_MAX);
		error_set(-EINVAL, "allocation of %zu pointers: too many", count);
		return NULL;
	}
	return gca_alloc(mutator, kind, bytes);
}
