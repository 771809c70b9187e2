// SPDX-License-Identifier: MIT
/*
 * The cycle, when it starts, and what the heap may grow to.  How a concurrent one
 * runs is in concurrent.c.
 *
 * A stopped cycle is: finish the sweep before; stop the world; mark; flip, which
 * makes the mark bitmap the alloc truth of every span at once; give back every span that a
 * mutator holds, since each is of the old generation now; set the next goal;
 * start the world.  All of it under heap->world, by the mutator that found the
 * goal reached.  The backend sweeps afterwards, beside the program.
 *
 * Nobody allocates between the last mark and the return of the held spans, so an
 * object born after the flip lies in a span that was swept before it was handed
 * out: white is its right colour.
 *
 * Pacing is the proportional rule: the goal is live + live * percent / 100, and at
 * least MIN_HEAP * percent / 100.  A stopped cycle starts at the goal, a concurrent
 * one before it, by what the program is expected to allocate meanwhile; both when
 * fragmentation has taken in-use a tenth above the goal.  The arena keeps a tenth
 * more than the goal.
 */
#include "internal.h"

/* As Go's: with 100 per cent no cycle below 4 MiB. */
#define MIN_HEAP	(4 * MIB)
/* In-use may be a tenth above the goal: free slots in spans in use. */
#define HOLES_PARTS	10
/* What stays backed above the goal, so that reaching it costs no backing. */
#define RETAIN_PARTS	10
/* A concurrent cycle starts at this much of the way to the goal, in per cent: a
 * bad estimate must neither make it run all the time nor always come too late.
 */
#define TRIGGER_FIRST	50
#define TRIGGER_LAST	95
/* An allocation at the goal waits for the cycle's end so long, and as long as it
 * takes when the heap is OVERDUE_PARTS above the goal.
 */
#define WAIT_NS		(10 * 1000 * 1000ULL)
#define OVERDUE_PARTS	10
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

/* Where a concurrent cycle starts, so that it ends at @goal. */
static void set_trigger(struct gca_heap *heap, uint64_t goal)
{
	uint64_t live = heap->heap_live;
	uint64_t room = goal > live ? goal - live : 0;
	uint64_t runway = heap->runway;

	if (runway < percent_of(room, 100 - TRIGGER_LAST))
		runway = percent_of(room, 100 - TRIGGER_LAST);
	if (runway > percent_of(room, 100 - TRIGGER_FIRST))
		runway = percent_of(room, 100 - TRIGGER_FIRST);
	if (heap->mode != GCA_MODE_CONCURRENT || goal == UINT64_MAX)
		runway = 0;
	__atomic_store_n(&heap->trigger, goal - runway, __ATOMIC_RELAXED);
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
	set_trigger(heap, goal);
	heap->policy.retain_bytes = saturating_add(goal, goal / RETAIN_PARTS);
	return heap->ops->set_policy(heap, &heap->policy);
}

/**
 * cycle_finish_sweep_for - see the sweep to its end
 * @heap: the heap; the calling thread's mutator, if any, is blocked
 *
 * Return: 0, or -EIO when the arena is gone.
 */
int cycle_finish_sweep_for(struct gca_heap *heap)
{
	struct gcarena_sweep args;
	int error;

	/* By a call even if the status page says that it is done: a page that the
	 * arena writes as it goes orders nothing, and marking must see every line
	 * that the sweep has cleared.
	 */
	do {
		memset(&args, 0, sizeof(args));
		args.size = sizeof(args);
		args.nr_spans = ASSIST_SPANS;
		error = heap->ops->sweep_assist(heap, &args);
	} while (!error && args.nr_spans);
	if (!error && args.left)
		error = heap->ops->wait_sweep(heap);
	if (error)
		error_set(error, "sweep: %s", strerror(-error));
	return error;
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
	int error;

	blocked_enter(mutator);
	error = cycle_finish_sweep_for(mutator->heap);
	blocked_leave(mutator);
	return error;
}

/**
 * cycle_note_peak - remember how much was in use at most
 * @heap: the heap, at the start of a cycle
 */
void cycle_note_peak(struct gca_heap *heap)
{
	uint64_t inuse = __atomic_load_n(&heap->status->counters.heap_inuse, __ATOMIC_RELAXED);

	if (inuse > heap->peak_inuse)
		__atomic_store_n(&heap->peak_inuse, inuse, __ATOMIC_RELAXED);
}

/**
 * cycle_flip - the mark bitmap becomes the truth
 * @heap: the heap, its world held, marking done
 *
 * Mutators hold spans of the old generation, and go on to allocate black, until
 * they are told.
 *
 * Return: 0 or a negative errno; the heap is of no more use then.
 */
int cycle_flip(struct gca_heap *heap)
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
	__atomic_store_n(&heap->generation, args.generation, __ATOMIC_RELAXED);
	return 0;
}

/* World stopped: afterwards no mutator holds a span, and each has the right bitmap. */
static int flip_stopped(struct gca_heap *heap)
{
	int error = cycle_flip(heap);
	struct gca_mutator *mutator;

	if (error)
		return error;
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		alloc_turn_white(mutator, heap->generation);
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
	cycle_note_peak(heap);
	work_prepare(heap);
	world_stop(heap, self);
	stopped = now_ns();
	cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED);
	tables_trim(heap, false);
	verify_table(heap);
	shadow_check(heap);
	mark_heap(heap, &result);
	marked = now_ns();
	cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED) - cpu;
	verify_marked(heap);
	poison_dead(heap);
	error = flip_stopped(heap);
	if (!error) {
		/* Exact: the flush has counted what open runs handed out. */
		trace.heap_start = heap->heap_live + heap_allocated(heap);
		trace.heap_end = trace.heap_start;
		trace.heap_live = result.bytes;
		freed = trace.heap_start - result.bytes;
		__atomic_store_n(&heap->heap_live, result.bytes, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->heap_live_objects, result.objects, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->allocated[0], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&heap->allocated[1], 0, __ATOMIC_RELAXED);
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

	if (heap->mode == GCA_MODE_CONCURRENT) {
		error = concurrent_run(mutator, forced);
		if (error != -EAGAIN)
			return error;
	}
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
static bool goal_reached(const struct gca_heap *heap, uint64_t target, size_t bytes)
{
	uint64_t live = __atomic_load_n(&heap->heap_live, __ATOMIC_RELAXED);
	uint64_t allocated = heap_allocated(heap) + bytes;
	uint64_t goal = __atomic_load_n(&heap->next_gc, __ATOMIC_RELAXED);
	uint64_t inuse;

	if (live + allocated >= target)
		return true;
	if (allocated < (goal - live) / 2)
		return false;
	inuse = __atomic_load_n(&heap->status->counters.heap_inuse, __ATOMIC_RELAXED) + bytes;
	return inuse >= saturating_add(goal, goal / HOLES_PARTS);
}

/* At the goal, with that cycle under way: it gets the CPU, and the time. */
static void pace(struct gca_mutator *mutator, uint64_t cycle, size_t bytes)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t goal = __atomic_load_n(&heap->next_gc, __ATOMIC_RELAXED);

	if (!goal_reached(heap, goal, bytes))
		return;
	if (goal_reached(heap, saturating_add(goal, goal / OVERDUE_PARTS), bytes))
		concurrent_wait(mutator, cycle, UINT64_MAX);
	else
		concurrent_wait(mutator, cycle, WAIT_NS);
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
	if (likely(!goal_reached(heap, __atomic_load_n(&heap->trigger, __ATOMIC_RELAXED), bytes)))
		return;
	/* A large object alone may be more than the goal: not a cycle for each. */
	if (!heap_allocated(heap))
		return;
	if (heap->mode == GCA_MODE_CONCURRENT) {
		uint64_t cycle = concurrent_request(heap);

		if (cycle) {
			pace(mutator, cycle, bytes);
			return;
		}
	}
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
	struct gca_mutator *each;
	size_t released = 0;

	if (gca_collect(mutator))
		return 0;
	/* What the mutators took since; then the tables of what is free. */
	world_lock(heap, mutator);
	world_stop(heap, mutator);
	for (each = heap->mutators; each; each = each->next)
		alloc_flush(each);
	tables_trim(heap, true);
	if (!heap->marking)
		work_trim(heap);
	world_start(heap, mutator);
	world_unlock(heap);
	if (cycle_scavenge_all(mutator, &released))
		return 0;
	return released;
}
