// SPDX-License-Identifier: MIT
/*
 * The cycle; how a concurrent one runs is in concurrent.c.
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
 * When a cycle starts, and what is done at the goal, is in pace.c.
 */
#include "internal.h"

/* Spans swept in one call by who waits for a sweep's end: some 100 us. */
#define ASSIST_SPANS	256

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
		.flags = heap->generations.remember ? GCARENA_SWEEP_STICKY : 0,
	};
	int error = heap->ops->start_sweep(heap, &args);

	if (error) {
		/* Half a cycle cannot be taken back: the mark bits are not clear. */
		__atomic_store_n(&heap->broken, 1, __ATOMIC_RELAXED);
		return error_set(error, "start of the sweep: %s", strerror(-error));
	}
	__atomic_store_n(&heap->generation, args.generation, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->sweep_spans,
			 __atomic_load_n(&heap->status->sweep_left, __ATOMIC_RELAXED),
			 __ATOMIC_RELAXED);
	return 0;
}

/* World stopped: afterwards no mutator holds a span, and each has the right bitmap. */
static int flip_stopped(struct gca_heap *heap)
{
	int error = cycle_flip(heap);
	struct gca_mutator *mutator;

	if (error)
		return error;
	for (mutator = heap->mutators; mutator; mutator = mutator->next) {
		alloc_turn_white(mutator, heap->generation);
		alloc_return_spent(mutator);
	}
	return 0;
}

/* CPUs that the heap's threads could be using: what a moment of a stop takes. */
static uint64_t cpus_stopped(const struct gca_heap *heap)
{
	uint32_t threads = __atomic_load_n(&heap->nr_mutators, __ATOMIC_RELAXED);
	uint32_t cpus = __atomic_load_n(&heap->work.cpus, __ATOMIC_RELAXED);

	return threads < cpus ? threads : cpus;
}

/* World held, sweep complete. */
static int run_stopped(struct gca_heap *heap, struct gca_mutator *self, bool forced)
{
	struct gctrace trace = { .forced = forced, .goal = heap->next_gc };
	struct pacer_cycle pace = { .forced = forced };
	struct mark_result result;
	uint64_t begin, stopped, marked, end, cpu, freed;
	int error;

	begin = now_ns();
	PROBE3(cycle__begin, heap, heap->cycles + 1, forced);
	EVENT(heap, "cycle_begin cycle=%llu forced=%d", (unsigned long long)heap->cycles + 1,
	      forced);
	PROBE2(phase, heap, PHASE_START);
	EVENT(heap, "phase name=start");
	trace.open_ns = begin - heap->open_ns;
	cycle_note_peak(heap);
	pace_begin(heap, false, &pace);
	work_prepare(heap);
	world_stop(heap, self);
	stopped = now_ns();
	cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED);
	generations_begin(heap, true);
	special_begin(heap);
	tables_trim(heap, false);
	verify_table(heap);
	shadow_check(heap);
	PROBE2(phase, heap, PHASE_MARK);
	EVENT(heap, "phase name=mark");
	mark_heap(heap, &result);
	PROBE2(phase, heap, PHASE_TERMINATE);
	EVENT(heap, "phase name=terminate");
	marked = now_ns();
	cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED) - cpu;
	pace.mark_ns = marked - stopped;
	verify_marked(heap);
	poison_dead(heap);
	profile_settle(heap);
	error = flip_stopped(heap);
	if (!error) {
		stats_begin(heap);
		class_settle(heap, 0, true);
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
		stats_end(heap);
		verify_flipped(heap);
		error = pace_end(heap, &result, &pace);
	}
	world_start(heap, self);
	end = now_ns();
	PROBE2(phase, heap, PHASE_SWEEP);
	EVENT(heap, "phase name=sweep");
	PROBE4(cycle__end, heap, heap->cycles, result.bytes, end - begin);
	EVENT(heap, "cycle_end cycle=%llu live=%llu ns=%llu", (unsigned long long)heap->cycles,
	      (unsigned long long)result.bytes, (unsigned long long)(end - begin));
	if (self)
		stop_note(heap, GCA_STOP_WORLD, end - begin);
	stats_begin(heap);
	pause_record(heap, end - begin);
	stats_end(heap);

	trace.cycle = heap->cycles;
	trace.stop_ns = stopped - begin;
	trace.mark_ns = marked - stopped;
	trace.end_ns = end - marked;
	trace.mark_cpu_ns = cpu;
	trace.stop_cpu_ns = trace.stop_ns * cpus_stopped(heap);
	trace.end_cpu_ns = trace.end_ns * cpus_stopped(heap);
	trace.stacks = result.stack_bytes;
	trace.globals = result.range_bytes;
	if (heap->debug_gctrace)
		gctrace_print(heap, &trace);
	if (heap->debug_scavtrace)
		scavtrace_print(heap, false);
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
	UNCANCELLED();
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

/**
 * cycle_ask - have a new cycle run by who allocates next
 * @heap: one that stops the world
 *
 * Any thread may, and need not be one of the heap's: nothing is waited for.
 *
 * Return: its number, for cycle_over().
 */
uint64_t cycle_ask(struct gca_heap *heap)
{
	uint64_t cycle = __atomic_load_n(&heap->cycles_begun, __ATOMIC_SEQ_CST) + 1;

	__atomic_store_n(&heap->cycle_asked, cycle, __ATOMIC_RELAXED);
	return cycle;
}

/**
 * cycle_over - is such a cycle over?
 * @heap: the heap
 * @cycle: its number
 */
bool cycle_over(const struct gca_heap *heap, uint64_t cycle)
{
	return __atomic_load_n(&heap->cycles, __ATOMIC_ACQUIRE) >= cycle;
}

/**
 * cycle_scavenge_all - give everything free back to the system
 * @mutator: the calling thread's, running
 * @flags: GCARENA_SCAVENGE_ALL, with GCARENA_SCAVENGE_INSIDE also what has no object
 *	in spans, where the arena has GCARENA_FEATURE_INSIDE
 * @released: where the bytes go that came free, or NULL
 *
 * Return: 0 or a negative errno.
 */
int cycle_scavenge_all(struct gca_mutator *mutator, uint32_t flags, size_t *released)
{
	struct gca_heap *heap = mutator->heap;
	struct gcarena_scavenge args = {
		.size = sizeof(args),
		.flags = heap->has_inside ? flags : flags & ~GCARENA_SCAVENGE_INSIDE,
	};
	int error;

	/* The backend may take its time: nobody need wait for this thread. */
	blocked_enter(mutator);
	error = heap->ops->scavenge(heap, &args);
	blocked_leave(mutator);
	if (error)
		return error_set(error, "scavenge: %s", strerror(-error));
	__atomic_add_fetch(&heap->scav_eager, args.bytes, __ATOMIC_RELAXED);
	if (released)
		*released = args.bytes;
	return 0;
}

static int collect(struct gca_mutator *mutator)
{
	int error = heap_usable(mutator->heap);

	if (!error)
		error = cycle_run(mutator, true);
	if (!error)
		error = cycle_finish_sweep(mutator);
	return error;
}

/**
 * gca_collect - one whole new cycle, its sweep included
 * @mutator: the calling thread's
 *
 * Return: 0, or -EIO when the arena is gone.
 */
int gca_collect(struct gca_mutator *mutator)
{
	RUNTIME();
	int error = collect(mutator);

	if (error)
		return error;
	blocked_enter(mutator);
	collapse_some(mutator->heap);
	blocked_leave(mutator);
	return 0;
}

static size_t release(struct gca_mutator *mutator, uint32_t flags)
{
	UNCANCELLED();
	struct gca_heap *heap = mutator->heap;
	struct gca_mutator *each;
	size_t released = 0;

	if (collect(mutator))
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
	manual_trim(heap, true);
	if (cycle_scavenge_all(mutator, flags, &released))
		return 0;
	if (heap->debug_scavtrace)
		scavtrace_print(heap, true);
	return released;
}

/**
 * gca_release - collect, and give everything free back to the system
 * @mutator: the calling thread's
 *
 * Return: the bytes that came free.
 */
size_t gca_release(struct gca_mutator *mutator)
{
	RUNTIME();

	return release(mutator, GCARENA_SCAVENGE_ALL);
}

/**
 * gca_release_all - and also what lies between objects, at the price of huge pages
 * @mutator: the calling thread's
 *
 * Return: the bytes that came free.
 */
size_t gca_release_all(struct gca_mutator *mutator)
{
	RUNTIME();

	return release(mutator, GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE);
}
