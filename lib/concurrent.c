// SPDX-License-Identifier: MIT
/*
 * The concurrent cycle, and the thread that runs it.
 *
 * A heap opened GCA_MODE_CONCURRENT gets a thread when its first cycle is asked
 * for.  It is no mutator: it takes heap->world for each step that needs the list of
 * mutators to stand still, and lets go of it while it marks.  One cycle:
 *
 *	sweep complete
 *	BLACK handshake		barrier and black allocation on in every mutator
 *	SETTLE handshake	stores begun before are over
 *	SCAN handshake		only then: each one's registers, stack and frames
 *	mark_beside()		ranges, heap; FLUSH handshakes until one finds nothing
 *	start of the sweep	the mark bitmap is the truth
 *	WHITE handshake		only then: held spans go back, allocation is white
 *
 * Documentation/collector.rst says why each "only then" is one.  With verify, poison
 * or shadow on, the start and the end of a cycle are done in a stop of the world.
 *
 * A cycle that has next to nothing to do is run by the mutator that finds it is time for
 * one, if there is no other: the same steps by the same functions, with that mutator
 * blocked, and so answered for.  Waking the collector, and waiting for it, would cost more
 * than the cycle.  Should there be more to mark than the last one let expect, the
 * collector is handed the rest.
 *
 * Lock order: world, then gc_lock or work.lock, which are leaves.  Waiting for a
 * cycle is done while blocked, without world.
 */
#include "internal.h"

#include <time.h>

/* Trace callbacks and reports run on it. */
#define COLLECTOR_STACK	(1 * MIB)

/* What the last cycle found, at most, for the next one to be a small one; 10 us of work. */
#define SMALL_SCANNED	(4 * KIB)
#define SMALL_RANGES	(4 * KIB)
#define SMALL_LIVE	(64 * KIB)
#define SMALL_PROFILE	4096u	/* slots of the profile's tables */
#define SMALL_SWEEP	64u	/* spans that are not yet swept */

struct cycle {
	struct gctrace trace;
	struct mark_result result;
	uint64_t begin;		/* ns */
	uint64_t pause;		/* ns, the longest stop of any one mutator */
	struct pacer_cycle pace;
	uint64_t cpu;
	bool full;		/* asked for as such */
	bool small;		/* all of it is a stop of its mutator's */
	size_t profiled;	/* slots that profile_settle() has looked at */
	uint64_t start_stop;	/* ns, the longest until marking */
	uint64_t stops;		/* of all, in ns, when marking began */
	uint64_t marking;	/* ns: when it did */
	uint64_t idle;		/* CPU time on idle CPUs */
	uint64_t assist_ns;	/* of all cycles before */
};

static bool ends_stopped(const struct gca_heap *heap)
{
	return heap->debug_verify || heap->debug_poison || GCA_ASAN;
}

/* World held. */
static void check_stopped(struct gca_heap *heap)
{
	uint64_t begin;

	if (!heap->debug_verify && !heap->debug_shadow)
		return;
	world_stop(heap, NULL);
	begin = now_ns();
	verify_table(heap);
	shadow_check(heap);
	stop_note(heap, GCA_STOP_WORLD, now_ns() - begin);
	world_start(heap, NULL);
}

/* What the program has lost to a cycle's two ends: stops, and the CPU time of this thread. */
static uint64_t taken_ns(const struct gca_heap *heap)
{
	return stops_ns(heap) + thread_cpu_ns();
}

static void start_marking(struct gca_heap *heap, struct cycle *cycle)
{
	uint64_t begin;
	bool one;

	world_lock(heap, NULL);
	cycle_note_peak(heap);
	check_stopped(heap);
	cycle->trace.goal = heap->next_gc;
	generations_begin(heap, cycle->full);
	pace_begin(heap, heap->generations.minor, &cycle->pace);
	gca_stage(heap, GCA_STAGE_BEGUN);
	special_begin(heap);
	heap->drifted = 0;
	heap->black_objects = 0;
	__atomic_store_n(&heap->epoch, heap->epoch ^ 1, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->in_flight, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->marking, 1, __ATOMIC_RELAXED);
	one = gca_fault_hit(GCA_FAULT_ONE_HANDSHAKE);
	handshake(heap, one ? HANDSHAKE_ONE_FOR_TWO : HANDSHAKE_BLACK);
	world_unlock(heap);
	gca_stage(heap, GCA_STAGE_BLACK);

	world_lock(heap, NULL);
	if (heap->roots.nr_callbacks) {
		world_stop(heap, NULL);
		begin = now_ns();
		work_open_phase(heap, false);
		handshake_scan_stopped(heap);
		stop_note(heap, GCA_STOP_WORLD, now_ns() - begin);
		world_start(heap, NULL);
	} else if (!one) {
		if (!gca_fault_hit(GCA_FAULT_UNSETTLED))
			handshake(heap, HANDSHAKE_SETTLE);
		gca_stage(heap, GCA_STAGE_SETTLED);
		/* Who has been scanned need not wait for the others to assist. */
		work_open_phase(heap, false);
		handshake(heap, HANDSHAKE_SCAN);
	} else {
		work_open_phase(heap, false);
	}
	world_unlock(heap);
	gca_stage(heap, GCA_STAGE_SCANNED);
}

/* World held. */
static int flip_stopped(struct gca_heap *heap, struct cycle *cycle)
{
	struct gca_mutator *mutator;
	uint64_t begin;
	int error;

	world_stop(heap, NULL);
	begin = now_ns();
	/* No slot is black then that is no object. */
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		alloc_flush(mutator);
	verify_marked(heap);
	poison_dead(heap);
	error = cycle_flip(heap);
	if (!error) {
		__atomic_store_n(&heap->marking, 0, __ATOMIC_RELAXED);
		for (mutator = heap->mutators; mutator; mutator = mutator->next) {
			/* As in a handshake: the last round found nothing unmarked. */
			mark_shades_drop(mutator);
			alloc_turn_white(mutator, heap->generation);
			alloc_return_spent(mutator);
		}
		__atomic_store_n(&heap->heap_live_objects, cycle->result.objects,
				 __ATOMIC_RELAXED);
		verify_flipped(heap);
	}
	stop_note(heap, GCA_STOP_WORLD, now_ns() - begin);
	world_start(heap, NULL);
	return error;
}

/* World held. */
static int flip_beside(struct gca_heap *heap)
{
	int error;

	if (gca_fault_hit(GCA_FAULT_EARLY_WHITE))
		handshake(heap, HANDSHAKE_WHITE);
	gca_stage(heap, GCA_STAGE_FLIPPING);
	error = cycle_flip(heap);
	if (error)
		return error;
	__atomic_store_n(&heap->marking, 0, __ATOMIC_RELAXED);
	gca_stage(heap, GCA_STAGE_FLIPPED);
	handshake(heap, HANDSHAKE_WHITE);
	return 0;
}

/* Bytes allocated since marking began. */
static uint64_t allocated_since(const struct gca_heap *heap)
{
	return __atomic_load_n(&heap->allocated[heap->epoch], __ATOMIC_RELAXED);
}

/* World held: may a mutator run the next cycle by itself? */
static bool is_small(const struct gca_heap *heap, const struct cycle *cycle)
{
	return cycle->result.scanned <= SMALL_SCANNED && cycle->result.bytes <= SMALL_LIVE &&
	       cycle->result.range_bytes <= SMALL_RANGES && cycle->profiled <= SMALL_PROFILE &&
	       !heap->roots.nr_callbacks && !special_any(heap) &&
	       !__atomic_load_n(&heap->generations.remember, __ATOMIC_RELAXED);
}

/* World held, every mutator white. */
static int settle(struct gca_heap *heap, struct cycle *cycle)
{
	uint64_t before;

	stats_begin(heap);
	class_settle(heap, heap->epoch ^ 1, false);
	/* Exact: who turned black counted what its open runs had handed out. */
	before = heap->heap_live + heap->allocated[heap->epoch ^ 1];
	__atomic_store_n(&heap->last_freed, before - cycle->result.bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->heap_live, cycle->result.bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->heap_live_objects, cycle->result.objects, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->allocated[heap->epoch ^ 1], 0, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->cycles, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->forced_cycles, cycle->trace.forced, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->gc_cpu_ns, cycle->cpu, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->gc_idle_ns, cycle->idle, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->mark_ns, cycle->trace.mark_ns, __ATOMIC_RELAXED);
	if (cycle->small)
		cycle->pause = now_ns() - cycle->begin;
	pause_record(heap, cycle->pause);
	stats_end(heap);
	cycle->pace.mark_ns = cycle->trace.mark_ns;
	cycle->pace.forced = cycle->trace.forced;
	cycle->pace.small = cycle->small;
	cycle->pace.minor = heap->generations.minor;
	cycle->pace.next_minor = heap->generations.remember;
	cycle->trace.minor = heap->generations.minor;
	cycle->trace.heap_start = before;
	cycle->trace.heap_live = cycle->result.bytes;
	cycle->trace.heap_end = before + allocated_since(heap);
	__atomic_store_n(&heap->gc_small, is_small(heap, cycle), __ATOMIC_RELAXED);
	return pace_end(heap, &cycle->result, &cycle->pace);
}

static void report_cycle(struct gca_heap *heap, struct cycle *cycle, uint64_t start_stop,
			 uint64_t end_stop)
{
	cycle->trace.open_ns = cycle->begin - heap->open_ns;
	cycle->trace.cycle = heap->cycles;
	cycle->trace.stop_ns = start_stop;
	cycle->trace.end_ns = end_stop;
	cycle->trace.mark_cpu_ns = cycle->cpu;
	cycle->trace.idle_cpu_ns = cycle->idle;
	cycle->trace.assist_ns = __atomic_load_n(&heap->assist_ns, __ATOMIC_RELAXED) -
				 cycle->assist_ns;
	cycle->trace.stacks = cycle->result.stack_bytes;
	cycle->trace.globals = cycle->result.range_bytes;
	if (heap->debug_gctrace)
		gctrace_print(heap, &cycle->trace);
	if (heap->debug_scavtrace)
		scavtrace_print(heap, false);
}

/* Up to where marking begins. */
static int run_begin(struct gca_heap *heap, struct cycle *cycle)
{
	int error = heap_usable(heap);

	PROBE2(phase, heap, PHASE_SWEEP_END);
	EVENT(heap, "phase name=sweep_end");
	if (!error)
		error = cycle_finish_sweep_for(heap);
	if (error)
		return error;
	cycle->begin = now_ns();
	PROBE3(cycle__begin, heap, heap->cycles + 1, cycle->trace.forced);
	EVENT(heap, "cycle_begin cycle=%llu forced=%d", (unsigned long long)heap->cycles + 1,
	      cycle->trace.forced);
	PROBE2(phase, heap, PHASE_START);
	EVENT(heap, "phase name=start");
	/* The workers' times, this thread's too. */
	cycle->cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED);
	cycle->idle = __atomic_load_n(&heap->work.idle_ns, __ATOMIC_RELAXED);
	cycle->assist_ns = __atomic_load_n(&heap->assist_ns, __ATOMIC_RELAXED);
	__atomic_store_n(&heap->stop_longest, 0, __ATOMIC_RELAXED);
	cycle->trace.stop_cpu_ns = taken_ns(heap);
	start_marking(heap, cycle);
	cycle->trace.stop_cpu_ns = taken_ns(heap) - cycle->trace.stop_cpu_ns;
	cycle->stops = stops_ns(heap);
	cycle->start_stop = __atomic_exchange_n(&heap->stop_longest, 0, __ATOMIC_RELAXED);
	cycle->marking = now_ns();
	PROBE2(phase, heap, PHASE_MARK);
	EVENT(heap, "phase name=mark");
	return 0;
}

/* From where marking is over. */
static int run_end(struct gca_heap *heap, struct cycle *cycle)
{
	uint64_t end_stop;
	int error;

	cycle->trace.mark_ns = now_ns() - cycle->marking;
	gca_stage(heap, GCA_STAGE_MARKED);
	cycle->profiled = profile_settle(heap);
	PROBE2(phase, heap, PHASE_TERMINATE);
	EVENT(heap, "phase name=terminate");

	/* As the clock's: also what the rounds of marking's end stopped. */
	cycle->trace.end_cpu_ns = cycle->stops + thread_cpu_ns();
	world_lock(heap, NULL);
	error = ends_stopped(heap) ? flip_stopped(heap, cycle) : flip_beside(heap);
	end_stop = __atomic_exchange_n(&heap->stop_longest, 0, __ATOMIC_RELAXED);
	cycle->cpu = __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED) - cycle->cpu;
	cycle->idle = __atomic_load_n(&heap->work.idle_ns, __ATOMIC_RELAXED) - cycle->idle;
	cycle->pause = cycle->start_stop > end_stop ? cycle->start_stop : end_stop;
	if (!error)
		error = settle(heap, cycle);
	world_unlock(heap);
	cycle->trace.end_cpu_ns = taken_ns(heap) - cycle->trace.end_cpu_ns;
	PROBE2(phase, heap, PHASE_SWEEP);
	EVENT(heap, "phase name=sweep");
	PROBE4(cycle__end, heap, heap->cycles, cycle->result.bytes, now_ns() - cycle->begin);
	EVENT(heap, "cycle_end cycle=%llu live=%llu ns=%llu", (unsigned long long)heap->cycles,
	      (unsigned long long)cycle->result.bytes,
	      (unsigned long long)(now_ns() - cycle->begin));
	if (!error)
		report_cycle(heap, cycle, cycle->start_stop, end_stop);
	return error;
}

/* gc_lock held. */
static void finished(struct gca_heap *heap, int error)
{
	heap->gc_error = error;
	heap->gc_finished++;
	pthread_cond_broadcast(&heap->gc_ended);
}

/* A whole one, or what a mutator has left of one.  gc_lock held, but not meanwhile. */
static void run(struct gca_heap *heap)
{
	struct cycle *cycle = heap->gc_handed, own = { 0 };
	int error = 0;

	heap->gc_handed = NULL;
	if (!cycle) {
		cycle = &own;
		heap->gc_begun++;
		own.trace.forced = heap->gc_forced >= heap->gc_begun;
		own.full = heap->gc_full >= heap->gc_begun;
	}
	pthread_mutex_unlock(&heap->gc_lock);
	if (cycle == &own)
		error = run_begin(heap, cycle);
	if (!error) {
		mark_beside(heap, &cycle->result);
		error = run_end(heap, cycle);
	}
	pthread_mutex_lock(&heap->gc_lock);
	finished(heap, error);
	pthread_mutex_unlock(&heap->gc_lock);
	if (!error)
		collapse_some(heap);
	pthread_mutex_lock(&heap->gc_lock);
}

/* gc_lock held: something for the collector to do. */
static bool asked(const struct gca_heap *heap)
{
	return heap->gc_handed ||
	       (heap->gc_wanted != heap->gc_begun && heap->gc_begun == heap->gc_finished);
}

/* gc_lock held: until something is asked for, or the period is over. */
static void await_request(struct gca_heap *heap)
{
	uint64_t period = __atomic_load_n(&heap->period_ns, __ATOMIC_RELAXED);
	uint64_t ended = __atomic_load_n(&heap->gc_ended_ns, __ATOMIC_RELAXED);
	struct timespec until;
	uint64_t due;

	if (!period || __builtin_add_overflow(ended, period, &due)) {
		pthread_cond_wait(&heap->gc_asked, &heap->gc_lock);
		return;
	}
	until.tv_sec = (time_t)(due / NSEC_PER_SEC);
	until.tv_nsec = (long)(due % NSEC_PER_SEC);
	if (pthread_cond_timedwait(&heap->gc_asked, &heap->gc_lock, &until) == ETIMEDOUT &&
	    heap->gc_wanted == heap->gc_begun)
		heap->gc_full = ++heap->gc_wanted;
}

static void *collector(void *arg)
{
	struct gca_heap *heap = arg;

	pthread_mutex_lock(&heap->gc_lock);
	for (;;) {
		while (!heap->gc_quit && !asked(heap))
			await_request(heap);
		if (heap->gc_quit)
			break;
		run(heap);
	}
	pthread_mutex_unlock(&heap->gc_lock);
	return NULL;
}

/* gc_lock held. */
static bool have_thread(struct gca_heap *heap)
{
	int error;

	if (heap->gc_running || heap->gc_refused)
		return heap->gc_running;
	error = thread_start(&heap->gc_thread, "gca-collect", COLLECTOR_STACK, collector, heap);
	heap->gc_running = !error;
	heap->gc_refused = error;
	return heap->gc_running;
}

/* gc_lock held: the number of a cycle that has not begun. */
static uint64_t ask(struct gca_heap *heap)
{
	if (heap->gc_wanted == heap->gc_begun) {
		heap->gc_wanted++;
		pthread_cond_signal(&heap->gc_asked);
	}
	return heap->gc_wanted;
}

static uint64_t request(struct gca_heap *heap, bool full)
{
	uint64_t cycle = 0;

	pthread_mutex_lock(&heap->gc_lock);
	if (have_thread(heap)) {
		cycle = heap->gc_begun != heap->gc_finished ? heap->gc_begun : ask(heap);
		if (full)
			heap->gc_full = cycle;
	}
	pthread_mutex_unlock(&heap->gc_lock);
	return cycle;
}

/**
 * concurrent_request - have a cycle begin, if none is under way
 * @heap: the heap
 *
 * Return: the number of the cycle under way or to come; 0 without a collector.
 */
uint64_t concurrent_request(struct gca_heap *heap)
{
	return request(heap, false);
}

/**
 * concurrent_request_full - the same, and that it is no minor one
 * @heap: the heap
 *
 * Return: as concurrent_request(); one under way may be minor.
 */
uint64_t concurrent_request_full(struct gca_heap *heap)
{
	return request(heap, true);
}

/* gc_lock held: a cycle that the calling thread is to run, or NULL. */
static struct cycle *begin_small(struct gca_heap *heap)
{
	if (!heap->gc_running || heap->gc_wanted != heap->gc_finished)
		return NULL;
	if (!heap->gc_cycle)
		heap->gc_cycle = array_map(sizeof(*heap->gc_cycle));
	if (!heap->gc_cycle)
		return NULL;
	memset(heap->gc_cycle, 0, sizeof(*heap->gc_cycle));
	heap->gc_wanted++;
	heap->gc_begun++;
	return heap->gc_cycle;
}

/* The calling thread's mutator is blocked. */
static void run_small(struct gca_heap *heap, struct cycle *cycle)
{
	UNCANCELLED();
	int error;

	cycle->small = true;
	work_alone(heap, true);
	error = run_begin(heap, cycle);
	if (!error && !mark_small(heap, &cycle->result)) {
		cycle->small = false;
		work_alone(heap, false);
		pthread_mutex_lock(&heap->gc_lock);
		heap->gc_handed = cycle;
	} else {
		if (!error)
			error = run_end(heap, cycle);
		work_alone(heap, false);
		pthread_mutex_lock(&heap->gc_lock);
		finished(heap, error);
	}
	if (asked(heap))
		pthread_cond_signal(&heap->gc_asked);
	pthread_mutex_unlock(&heap->gc_lock);
}

/**
 * concurrent_small - run a cycle here and now, if that is little work
 * @mutator: the calling thread's, running
 *
 * Return: whether there was one; it may be that the collector does the rest of it.
 */
bool concurrent_small(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	enum account_state before;
	struct stopwatch watch;
	struct cycle *cycle;

	if (!__atomic_load_n(&heap->gc_small, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&heap->nr_mutators, __ATOMIC_RELAXED) != 1 ||
	    __atomic_load_n(&heap->status->sweep_left, __ATOMIC_RELAXED) > SMALL_SWEEP ||
	    __atomic_load_n(&heap->status->nr_collapse, __ATOMIC_RELAXED))
		return false;
	pthread_mutex_lock(&heap->gc_lock);
	cycle = begin_small(heap);
	pthread_mutex_unlock(&heap->gc_lock);
	if (!cycle)
		return false;
	before = account_switch(&mutator->account, ACCOUNT_HANDSHAKE);
	stopwatch_start(&watch);
	blocked_enter(mutator);
	run_small(heap, cycle);
	blocked_leave(mutator);
	stop_note(heap, GCA_STOP_WORLD, stopwatch_stop(&watch, &heap->stop_unscheduled_ns));
	profile_wait_end(mutator, before);
	return true;
}

/**
 * concurrent_ask - have a new and full cycle run, as the program could ask for one
 * @heap: the heap
 *
 * Any thread may: nothing is waited for.
 *
 * Return: its number, for concurrent_over(); 0 without a collector.
 */
uint64_t concurrent_ask(struct gca_heap *heap)
{
	uint64_t cycle = 0;

	pthread_mutex_lock(&heap->gc_lock);
	if (have_thread(heap)) {
		cycle = ask(heap);
		heap->gc_forced = cycle;
		heap->gc_full = cycle;
	}
	pthread_mutex_unlock(&heap->gc_lock);
	return cycle;
}

/**
 * concurrent_wait - wait for a cycle's end
 * @mutator: the calling thread's, running
 * @cycle: its number
 * @ns: how long at most, or UINT64_MAX
 *
 * Return: whether it is over.
 */
bool concurrent_wait(struct gca_mutator *mutator, uint64_t cycle, uint64_t ns)
{
	UNCANCELLED();
	struct gca_heap *heap = mutator->heap;
	struct timespec until;
	int error = 0;
	bool over;

	if (ns != UINT64_MAX) {
		uint64_t then = now_ns() + ns;

		until.tv_sec = (time_t)(then / NSEC_PER_SEC);
		until.tv_nsec = (long)(then % NSEC_PER_SEC);
	}
	blocked_enter(mutator);
	work_wait_begin(heap);
	pthread_mutex_lock(&heap->gc_lock);
	while (heap->gc_finished < cycle && !error) {
		if (ns == UINT64_MAX)
			pthread_cond_wait(&heap->gc_ended, &heap->gc_lock);
		else
			error = pthread_cond_timedwait(&heap->gc_ended, &heap->gc_lock, &until);
	}
	over = heap->gc_finished >= cycle;
	pthread_mutex_unlock(&heap->gc_lock);
	work_wait_end(heap);
	blocked_leave(mutator);
	return over;
}

/**
 * concurrent_over - is a cycle over?
 * @heap: the heap
 * @cycle: its number
 */
bool concurrent_over(struct gca_heap *heap, uint64_t cycle)
{
	bool over;

	pthread_mutex_lock(&heap->gc_lock);
	over = heap->gc_finished >= cycle;
	pthread_mutex_unlock(&heap->gc_lock);
	return over;
}

/**
 * concurrent_run - collect, and wait for it
 * @mutator: the calling thread's, running
 * @forced: the program asked for it
 *
 * Return: 0, -EAGAIN without a collector, or another negative errno.
 */
int concurrent_run(struct gca_mutator *mutator, bool forced)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t cycle;
	int error;

	pthread_mutex_lock(&heap->gc_lock);
	if (!have_thread(heap)) {
		pthread_mutex_unlock(&heap->gc_lock);
		return -EAGAIN;
	}
	cycle = ask(heap);
	if (forced)
		heap->gc_forced = cycle;
	/* Nothing is short there. */
	if (!mutator->stressing)
		heap->gc_full = cycle;
	pthread_mutex_unlock(&heap->gc_lock);
	concurrent_wait(mutator, cycle, UINT64_MAX);
	error = heap_usable(heap);
	if (error)
		return error;
	pthread_mutex_lock(&heap->gc_lock);
	error = heap->gc_error;
	pthread_mutex_unlock(&heap->gc_lock);
	return error ? error_set(error, "collection: %s", strerror(-error)) : 0;
}

/**
 * concurrent_open - what a heap needs to have a collector, but no thread yet
 * @heap: the heap, not shared yet
 */
void concurrent_open(struct gca_heap *heap)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&heap->gc_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&heap->gc_asked, &attr);
	pthread_cond_init(&heap->gc_ended, &attr);
	pthread_condattr_destroy(&attr);
	heap->gc_ended_ns = now_ns();
}

/**
 * concurrent_wake - let the collector look at its period again
 * @heap: the heap
 */
void concurrent_wake(struct gca_heap *heap)
{
	pthread_mutex_lock(&heap->gc_lock);
	pthread_cond_signal(&heap->gc_asked);
	pthread_mutex_unlock(&heap->gc_lock);
}

/**
 * concurrent_close - end the collector
 * @heap: the heap, no mutator attached; not in a child of fork()
 */
void concurrent_close(struct gca_heap *heap)
{
	bool running;

	pthread_mutex_lock(&heap->gc_lock);
	heap->gc_quit = true;
	running = heap->gc_running;
	pthread_cond_signal(&heap->gc_asked);
	pthread_mutex_unlock(&heap->gc_lock);
	if (running)
		pthread_join(heap->gc_thread, NULL);
	if (heap->gc_cycle)
		array_unmap(heap->gc_cycle, sizeof(*heap->gc_cycle));
}
