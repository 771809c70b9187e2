// SPDX-License-Identifier: MIT
/*
 * The cycle, when it starts, and what the heap may grow to.
 *
 * A cycle is: finish the sweep before; stop the world; mark; flip, which makes the
 * mark bitmap the alloc truth of every span at once; give back every span that a
 * mutator holds, since each is of the old generation now; set the next goal;
 * start the world.  All of it under heap->world, by the mutator that found the
 * goal reached.  The backend sweeps afterwards, beside the program.
 *
 * Nobody allocates between the last mark and the return of the held spans, so an
 * object born after the flip lies in a span that was swept before it was handed
 * out: white is its right colour.
 *
 * Pacing is the proportional rule: the goal is live + live * percent / 100, and at
 * least MIN_HEAP * percent / 100; since marking stops the world, a cycle starts at
 * the goal and not before it, unless fragmentation has taken in-use a tenth above
 * the goal.  The arena keeps a tenth more than the goal.
 */
#include "internal.h"

/* As Go's: with 100 per cent no cycle below 4 MiB. */
#define MIN_HEAP	(4 * MIB)
/* In-use may be a tenth above the goal: free slots in spans in use. */
#define HOLES_PARTS	10
/* What stays backed above the goal, so that reaching it costs no backing. */
#define RETAIN_PARTS	10
/* Spans swept in one call by who waits for a sweep's end: some 100 us. */
#define ASSIST_SPANS	256

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t percent_of(uint64_t bytes, int percent)
{
	unsigned __int128 share = (unsigned __int128)bytes * (unsigned int)percent / 100;

	return share > UINT64_MAX ? UINT64_MAX : (uint64_t)share;
}

/**
 * cycle_set_goal - goal and policy, from what is live
 * @heap: its world held, or not shared yet
 *
 * Return: 0, or what the backend says to the policy.
 */
int cycle_set_goal(struct gca_heap *heap)
{
	uint64_t goal = UINT64_MAX;

	if (heap->percent != GCA_PERCENT_OFF) {
		uint64_t least = percent_of(MIN_HEAP, heap->percent);

		goal = saturating_add(heap->heap_live,
				      percent_of(heap->heap_live, heap->percent));
		if (goal < least)
			goal = least;
	}
	__atomic_store_n(&heap->next_gc, goal, __ATOMIC_RELAXED);
	heap->policy.retain_bytes = saturating_add(goal, goal / RETAIN_PARTS);
	return heap->ops->set_policy(heap, &heap->policy);
}

/**
 * cycle_finish_sweep - see the sweep to its end
 * @mutator: the calling thread's, running
 *
 * A safepoint, unless the world is held.  Return: 0, or -EIO when the arena is
 * gone.
 */
int cycle_finish_sweep(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	struct gcarena_sweep args;
	int error;

	/* By a call even if the status page says that it is done: a page that the
	 * arena writes as it goes orders nothing, and marking must see every line
	 * that the sweep has cleared.
	 */
	blocked_enter(mutator);
	do {
		memset(&args, 0, sizeof(args));
		args.size = sizeof(args);
		args.nr_spans = ASSIST_SPANS;
		error = heap->ops->sweep_assist(heap, &args);
	} while (!error && args.nr_spans);
	if (!error && args.left)
		error = heap->ops->wait_sweep(heap);
	blocked_leave(mutator);
	if (error)
		error_set(error, "sweep: %s", strerror(-error));
	return error;
}

static void note_peak(struct gca_heap *heap)
{
	uint64_t inuse = __atomic_load_n(&heap->status->counters.heap_inuse, __ATOMIC_RELAXED);

	if (inuse > heap->peak_inuse)
		__atomic_store_n(&heap->peak_inuse, inuse, __ATOMIC_RELAXED);
}

/* World stopped: no mutator holds a span then, and each has the right bitmap. */
static void flush_all(struct gca_heap *heap)
{
	struct gca_mutator *mutator;

	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		mutator->abi.alloc_bits = alloc_bitmap(heap);
		alloc_flush(mutator);
	}
}

/* World stopped, marking done: the mark bitmap becomes the truth. */
static int flip(struct gca_heap *heap)
{
	struct gcarena_sweep args = {
		.size = sizeof(args),
		.generation = heap->generation,
	};
	int error = heap->ops->start_sweep(heap, &args);

	if (error) {
		/* Half a cycle cannot be taken back: the mark bits are not clear. */
		__atomic_store_n(&heap->broken, 1, __ATOMIC_RELAXED);
		return error_set(error, "start of the sweep: %s", strerror(-error));
	}
	heap->generation = args.generation;
	flush_all(heap);
	return 0;
}

/* World held, sweep complete. */
static int run_stopped(struct gca_heap *heap, struct gca_mutator *self, bool forced)
{
	struct gctrace trace = { .forced = forced, .goal = heap->next_gc };
	struct mark_result result;
	uint64_t begin, stopped, marked, end, cpu, freed;
	int error;

	begin = now_ns();
	trace.open_ns = begin - heap->open_ns;
	note_peak(heap);
	world_stop(heap, self);
	stopped = now_ns();
	cpu = thread_cpu_ns();
	tables_trim(heap, false);
	verify_table(heap);
	shadow_check(heap);
	mark_heap(heap, &result);
	marked = now_ns();
	cpu = thread_cpu_ns() - cpu;
	verify_marked(heap);
	poison_dead(heap);
	error = flip(heap);
	if (!error) {
		/* Exact: the flush has counted what open runs handed out. */
		trace.heap_start = heap->heap_live + heap->allocated;
		trace.heap_end = trace.heap_start;
		trace.heap_live = result.bytes;
		freed = trace.heap_start - result.bytes;
		__atomic_store_n(&heap->heap_live, result.bytes, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->heap_live_objects, result.objects, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->allocated, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->last_freed, freed, __ATOMIC_RELAXED);
		__atomic_add_fetch(&heap->cycles, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&heap->forced_cycles, forced, __ATOMIC_RELAXED);
		__atomic_add_fetch(&heap->gc_cpu_ns, cpu, __ATOMIC_RELAXED);
		verify_flipped(heap);
		error = cycle_set_goal(heap);
	}
	world_start(heap, self);
	end = now_ns();
	pthread_mutex_lock(&heap->stats_lock);
	pause_record(&heap->pauses, end - begin);
	pthread_mutex_unlock(&heap->stats_lock);

	trace.cycle = heap->cycles;
	trace.stop_ns = stopped - begin;
	trace.mark_ns = marked - stopped;
	trace.end_ns = end - marked;
	trace.mark_cpu_ns = cpu;
	trace.gc_cpu_ns = heap->gc_cpu_ns;
	trace.stacks = result.stack_bytes;
	trace.globals = result.range_bytes;
	if (heap->debug_gctrace)
		gctrace_print(heap, &trace);
	return error;
}

/**
 * cycle_run - collect
 * @mutator: the calling thread's, running
 * @forced: the program asked for it
 *
 * Not forced, it is content with a cycle that another thread began after the
 * call.
 *
 * Return: 0 or a negative errno; gca_error() says more.
 */
int cycle_run(struct gca_mutator *mutator, bool forced)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t cycles = __atomic_load_n(&heap->cycles_begun, __ATOMIC_SEQ_CST);
	int error;

	/* Most of it before the lock, for which attach and statistics wait too. */
	error = cycle_finish_sweep(mutator);
	if (error)
		return error;
	world_lock(heap, mutator);
	if (forced || heap->cycles_begun == cycles) {
		__atomic_store_n(&heap->cycles_begun, heap->cycles_begun + 1, __ATOMIC_SEQ_CST);
		error = heap_usable(heap);
		if (!error)
			error = cycle_finish_sweep(mutator);
		if (!error)
			error = run_stopped(heap, mutator, forced);
	}
	world_unlock(heap);
	return error;
}

/*
 * By what was allocated; or, where the holes of fragmentation take more than
 * their share, by what is in use, but not before half of the goal's room was
 * allocated, since the next cycle would find the same holes.
 */
static bool goal_reached(const struct gca_heap *heap, size_t bytes)
{
	uint64_t live = __atomic_load_n(&heap->heap_live, __ATOMIC_RELAXED);
	uint64_t allocated = __atomic_load_n(&heap->allocated, __ATOMIC_RELAXED) + bytes;
	uint64_t goal = __atomic_load_n(&heap->next_gc, __ATOMIC_RELAXED);
	uint64_t inuse;

	if (live + allocated >= goal)
		return true;
	if (allocated < (goal - live) / 2)
		return false;
	inuse = __atomic_load_n(&heap->status->counters.heap_inuse, __ATOMIC_RELAXED) + bytes;
	return inuse >= saturating_add(goal, goal / HOLES_PARTS);
}

/**
 * cycle_poll_for - collect if it is time to
 * @mutator: the calling thread's, running
 * @bytes: about to be allocated
 *
 * A failure is not the caller's: its refill will show it.
 */
void cycle_poll_for(struct gca_mutator *mutator, size_t bytes)
{
	struct gca_heap *heap = mutator->heap;

	gca_safepoint(mutator);
	if (likely(!goal_reached(heap, bytes)))
		return;
	/* A large object alone may be more than the goal: not a cycle for each. */
	if (!__atomic_load_n(&heap->allocated, __ATOMIC_RELAXED))
		return;
	cycle_run(mutator, false);
}

/**
 * cycle_scavenge_all - give everything free back to the system
 * @mutator: the calling thread's, running
 * @released: where the bytes go that came free, or NULL
 *
 * Return: 0 or a negative errno.
 */
int cycle_scavenge_all(struct gca_mutator *mutator, size_t *released)
{
	struct gcarena_scavenge args = {
		.size = sizeof(args),
		.flags = GCARENA_SCAVENGE_ALL,
	};
	struct gca_heap *heap = mutator->heap;
	int error;

	/* The backend may take its time: nobody need wait for this thread. */
	blocked_enter(mutator);
	error = heap->ops->scavenge(heap, &args);
	blocked_leave(mutator);
	if (error)
		return error_set(error, "scavenge: %s", strerror(-error));
	if (released)
		*released = args.bytes;
	return 0;
}

/**
 * gca_collect - one whole new cycle, its sweep included
 * @mutator: the calling thread's
 *
 * Return: 0, or -EIO when the arena is gone.
 */
int gca_collect(struct gca_mutator *mutator)
{
	int error = heap_usable(mutator->heap);

	if (!error)
		error = cycle_run(mutator, true);
	if (!error)
		error = cycle_finish_sweep(mutator);
	return error;
}

/**
 * gca_release - collect, and give everything free back to the system
 * @mutator: the calling thread's
 *
 * Return: the bytes that came free.
 */
size_t gca_release(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	size_t released = 0;

	if (gca_collect(mutator))
		return 0;
	/* What the mutators took since; then the tables of what is free. */
	world_lock(heap, mutator);
	world_stop(heap, mutator);
	flush_all(heap);
	tables_trim(heap, true);
	mark_close(heap);
	world_start(heap, mutator);
	world_unlock(heap);
	if (cycle_scavenge_all(mutator, &released))
		return 0;
	return released;
}
