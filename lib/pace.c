// SPDX-License-Identifier: MIT
/*
 * Pacing a heap: pacer.c decides, this file measures for it and carries it out.
 *
 * At each refill a mutator looks whether a cycle is to start and sweeps what falls to it.
 * While marking is on it pays for each 2 KiB that it has allocated: out of what the
 * workers have scanned, else by scanning itself (assist), a bounded amount at a time.
 * It waits only when the heap is well past its goal and there is nothing that it could
 * scan: an allocation stall, counted.
 *
 * heap->pacer changes with world held.  What mutators read of it is published in
 * atomics of the heap, each good by itself.
 */
#include "internal.h"

#include <stdio.h>
#include <unistd.h>

/* In-use may be more than the objects, by free slots in spans in use: a cycle begins with a
 * tenth above the trigger, and nobody goes on with a twelfth above the goal.  So it stays within
 * a tenth of the goal, also of the next one, which may be a little lower.
 */
#define HOLES_PARTS	10
#define HOLES_LAST	12
/* What was in use when the last cycle ended, and so much of the goal more, is no reason to begin
 * one, or to wait, up to so much above the goal: beyond that it would creep on.
 */
#define HOLES_GROWN	64
#define HOLES_KEPT	11
/* What stays backed above the goal, so that reaching it costs no backing. */
#define RETAIN_PARTS	10
/* The heap may be so much above the goal; who is there does nothing but assist or
 * wait until the cycle is over.
 */
#define OVERDUE_PARTS	20
/* Bytes scanned in one assist: so many pay for looking, and so many at a time once the heap
 * is past its goal.  A KiB of objects that are in no cache costs 3 us, one that is all in the
 * cache a tenth of it: so what one allocation pays ends by the clock.
 */
#define ASSIST_MOST	(16 * KIB)
#define ASSIST_LEAST	(2 * KIB)
#define ASSISTS_NS	(4 * 1000u)
/* Bytes allocated between two of them: where holes are short, there is a new run for every
 * other object.
 */
#define ASSISTS_APART	(2 * KIB)
/* Debt that nothing could be scanned for is not remembered without end. */
#define DEBT_MOST	(256 * KIB)
/* How long one wait is: what is to be scanned may have come up meanwhile. */
#define STALL_NS	(500 * 1000ull)
/* Spans swept by one refill at most: some 10 us. */
#define SWEEP_SPANS	8u
/* Levels of pressure, as the uapi has them and the API repeats them. */
#define LEVELS		3
_Static_assert((int)GCA_PRESSURE_SOME == (int)GCARENA_PRESSURE_SOME &&
	       (int)GCA_PRESSURE_FULL == (int)GCARENA_PRESSURE_FULL, "levels of pressure");
/* Of the holes that a refusal adds to those that count, the part that goes with each
 * cycle, the part that is added, and the part that stays.
 */
#define REFUSED_FADES	4
#define REFUSED_ADDS	8
#define REFUSED_STAYS	64
/* Of the limit, what metadata may take before it is the limit that is wrong. */
#define META_PARTS	2

#define get(value)	__atomic_load_n(value, __ATOMIC_RELAXED)
#define put(value, to)	__atomic_store_n(value, to, __ATOMIC_RELAXED)

static uint64_t saturating_add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* Memory that the limit counts beside what is in use, with the tables of all chunks that it
 * leaves room for: a heap may fill them before anybody looks again.  World held.
 */
static uint64_t metadata(struct gca_heap *heap)
{
	const struct gcarena_counters *counters = &heap->status->counters;
	uint64_t chunks = get(&counters->chunks_backed);
	uint64_t room = heap->pacer.limit / (GCARENA_CHUNK_SIZE + TABLE_BYTES);

	return heap->meta_bytes + work_bytes(heap) + get(&counters->meta_sys) +
	       (chunks > room ? chunks : room) * TABLE_BYTES +
	       get(&heap->status->reserve_chunks) * GCARENA_CHUNK_SIZE;
}

/* World held: what pacer_set() found becomes what mutators and the arena go by. */
static int publish(struct gca_heap *heap)
{
	struct pacer *pacer = &heap->pacer;
	uint64_t meta = metadata(heap), limit = pacer->limit;

	put(&heap->next_gc, pacer->goal);
	put(&heap->trigger, pacer->trigger);
	__atomic_store_n(&heap->thrashing, pacer->thrashing, __ATOMIC_RELAXED);
	heap->policy.retain_bytes = saturating_add(pacer->goal, pacer->goal / RETAIN_PARTS);
	if (heap->has_reserve)
		heap->policy.reserve_chunks = pacer_reserve(pacer->goal);
	heap->policy.limit_bytes = limit - (meta < limit / META_PARTS ? meta : limit / META_PARTS);
	return heap->ops->set_policy(heap, &heap->policy);
}

/**
 * pace_set - settings have changed
 * @heap: the heap, its world held, or not shared yet
 *
 * Return: 0, or what the backend says to the policy.
 */
int pace_set(struct gca_heap *heap)
{
	struct pacer *pacer = &heap->pacer;

	pacer->cpus = __atomic_load_n(&heap->work.cpus, __ATOMIC_RELAXED);
	pacer->stopped = heap->mode == GCA_MODE_STOP_THE_WORLD;
	pacer_set(pacer);
	return publish(heap);
}

/* World held: takes over a limit that has changed. */
static void follow_cgroup(struct gca_heap *heap)
{
	uint64_t limit;

	if (!heap->follow_cgroup)
		return;
	limit = cgroup_limit(NULL, NULL) / 100 * heap->follow_cgroup;
	if (limit == heap->pacer.limit)
		return;
	heap->pacer.limit = limit;
	/* A policy that was taken before is taken again. */
	pace_set(heap);
}

/* One line a cycle, beside gctrace's. */
static void trace(const struct gca_heap *heap, const struct pacer_cycle *cycle)
{
	const struct pacer *pacer = &heap->pacer;
	char line[512];
	int length;

	length = snprintf(line, sizeof(line),
			  "pacer: live %llu roots %llu scanned %llu (workers %llu) allocated %llu overhead %llu; clock %llu us; workers %llu us, assists %llu us, program %llu us, stalled %llu us; cons/mark %.4f; goal %llu%s trigger %llu%s\n",
			  (unsigned long long)cycle->live, (unsigned long long)cycle->roots,
			  (unsigned long long)cycle->scanned,
			  (unsigned long long)cycle->by_workers,
			  (unsigned long long)cycle->allocated,
			  (unsigned long long)cycle->overhead,
			  (unsigned long long)cycle->mark_ns / 1000,
			  (unsigned long long)cycle->worker_ns / 1000,
			  (unsigned long long)cycle->assist_ns / 1000,
			  (unsigned long long)cycle->program_ns / 1000,
			  (unsigned long long)cycle->stalled_ns / 1000, pacer->cons_mark,
			  (unsigned long long)pacer->goal, pacer->by_limit ? " (limit)" : "",
			  (unsigned long long)pacer->trigger,
			  pacer->thrashing ? " thrashing" : "");
	if (length > 0 && (size_t)length < sizeof(line) &&
	    write(STDERR_FILENO, line, (size_t)length) < 0)
		return;		/* nowhere to complain to */
}

/*
 * Bytes in use that no object is in, and none will be: holes that the next objects
 * fill are not lost to the limit.  So what counts is how it was when the spans
 * were at their fullest; a cycle that starts earlier finds more holes, and a goal
 * lowered by those would start the next one earlier still.  Where the arena
 * refused more, some of what is found then is added, most of it for a few cycles
 * only: one class may have had no room while all others had.
 */
static uint64_t holes(struct gca_heap *heap, uint64_t objects)
{
	uint64_t inuse = get(&heap->status->counters.heap_inuse);
	uint64_t now = inuse > objects ? inuse - objects : 0;
	bool refused = __atomic_exchange_n(&heap->refused, false, __ATOMIC_RELAXED);

	heap->holes_refused -= heap->holes_refused / REFUSED_FADES;
	if (objects >= heap->holes_objects) {
		heap->holes_objects = objects;
		heap->holes = now;
	} else if (now < heap->holes) {
		heap->holes = now;
	} else if (refused) {
		heap->holes_refused += (now - heap->holes) / REFUSED_ADDS;
		heap->holes += (now - heap->holes) / REFUSED_STAYS;
	}
	now = heap->holes + heap->holes_refused;
	return now < inuse ? now : inuse;
}

/**
 * pace_begin - a cycle begins
 * @heap: the heap, its world held, the sweep before complete
 * @minor: it is a minor one
 * @cycle: what is measured now is filled in
 */
void pace_begin(struct gca_heap *heap, bool minor, struct pacer_cycle *cycle)
{
	uint64_t objects = get(&heap->heap_live) + heap_allocated(heap);

	follow_cgroup(heap);
	cycle->overhead = holes(heap, objects) + metadata(heap);
	/* As of now: what there is beyond at the end is the cycle's. */
	cycle->scanned = get(&heap->work.scanned);
	cycle->by_workers = get(&heap->assist_bytes);
	cycle->stalled_ns = get(&heap->stall_ns);
	cycle->worker_ns = get(&heap->work.cpu_ns) + get(&heap->work.idle_ns);
	cycle->assist_ns = get(&heap->assist_ns);
	cycle->program_ns = process_cpu_ns();
	heap->generations.begun = *cycle;
	pacer_begin(&heap->pacer, objects, minor);
	put(&heap->assist_from, heap->pacer.from);
	put(&heap->assist_due, heap->pacer.due);
	put(&heap->expected, heap->pacer.expected);
	put(&heap->scan_begun, get(&heap->work.scanned));
	__atomic_store_n(&heap->work.credit, 0, __ATOMIC_RELAXED);
}

/* CPU time since the last cycle's end: the collector's, and everybody's but its.  What was
 * used on idle CPUs was taken from nobody.
 */
static void note_spent(struct gca_heap *heap, bool forced)
{
	uint64_t gc = get(&heap->work.cpu_ns) + heap->assist_cpu_ns;
	uint64_t all = process_cpu_ns() - get(&heap->work.idle_ns);
	uint64_t gc_since = gc - heap->gc_seen_ns, all_since = all - heap->cpu_seen_ns;

	heap->gc_seen_ns = gc;
	heap->cpu_seen_ns = all;
	/* Who asks for cycles gets them. */
	if (forced)
		return;
	pacer_spent(&heap->pacer, gc_since, all_since > gc_since ? all_since - gc_since : 0);
	pacer_adapt(&heap->pacer, all_since ? (double)gc_since / (double)all_since : 0,
		    __atomic_load_n(&heap->status->pressure, __ATOMIC_RELAXED));
}

/*
 * What marking has used, each less what there was when it began.  A mutator's time in
 * an assist is known by the clock, which is as much too long as others wanted its CPU:
 * what counts is what it scanned, at the workers' price.
 */
static void note_marking(const struct gca_heap *heap, struct pacer_cycle *cycle)
{
	uint64_t assisted = get(&heap->assist_bytes) - cycle->by_workers;

	cycle->scanned = get(&heap->work.scanned) - cycle->scanned;
	cycle->worker_ns = get(&heap->work.cpu_ns) + get(&heap->work.idle_ns) - cycle->worker_ns;
	cycle->assist_ns = get(&heap->assist_ns) - cycle->assist_ns;
	cycle->by_workers = cycle->scanned > assisted ? cycle->scanned - assisted : 0;
	if (cycle->by_workers) {
		double price = (double)cycle->worker_ns / (double)cycle->by_workers;
		double spent = price * (double)assisted;

		if (spent < (double)cycle->assist_ns)
			cycle->assist_ns = (uint64_t)spent;
	}
}

/**
 * pace_marking_ns - CPU time that marking has used
 * @heap: the heap, marking, nobody amid an assist or scanning
 * @begun: what pace_begin() filled in
 */
uint64_t pace_marking_ns(const struct gca_heap *heap, const struct pacer_cycle *begun)
{
	struct pacer_cycle cycle = *begun;

	note_marking(heap, &cycle);
	return cycle.worker_ns + cycle.assist_ns;
}

static void note_used(struct gca_heap *heap, struct pacer_cycle *cycle)
{
	uint64_t process = process_cpu_ns() - cycle->program_ns, collector;

	note_marking(heap, cycle);
	cycle->stalled_ns = get(&heap->stall_ns) - cycle->stalled_ns;
	heap->assist_cpu_ns += cycle->assist_ns;
	collector = cycle->worker_ns + cycle->assist_ns;
	cycle->program_ns = process > collector ? process - collector : 0;
	cycle->scanned += cycle->roots;
	cycle->by_workers += cycle->roots;
}

/**
 * pace_end - a cycle is over: the next goal
 * @heap: the heap, its world held, heap_live and allocated settled
 * @result: what was marked
 * @cycle: as pace_begin() got it; mark_ns and forced are set
 *
 * Return: 0, or what the backend says to the policy.
 */
int pace_end(struct gca_heap *heap, const struct mark_result *result, struct pacer_cycle *cycle)
{
	cycle->live = result->bytes;
	cycle->roots = result->stack_bytes + result->range_bytes;
	cycle->allocated = heap_allocated(heap);
	note_used(heap, cycle);
	heap->pacer.cpus = __atomic_load_n(&heap->work.cpus, __ATOMIC_RELAXED);
	note_spent(heap, cycle->forced);
	pacer_end(&heap->pacer, cycle);
	put(&heap->gc_ended_ns, now_ns());
	put(&heap->inuse_ended, get(&heap->status->counters.heap_inuse));
	if (heap->debug_pacertrace)
		trace(heap, cycle);
	return publish(heap);
}

/*
 * By what was allocated; or, where the holes of fragmentation take more than
 * their share, by what is in use, but not before half of the goal's room was
 * allocated, since the next cycle would find the same holes.
 */
static bool goal_reached(const struct gca_heap *heap, uint64_t target, uint64_t most,
			 size_t bytes)
{
	uint64_t live = get(&heap->heap_live);
	uint64_t allocated = heap_allocated(heap) + bytes;
	uint64_t goal = get(&heap->next_gc);
	uint64_t inuse;

	if (live + allocated >= target)
		return true;
	if (goal < live || allocated < (goal - live) / 2)
		return false;
	inuse = get(&heap->status->counters.heap_inuse) + bytes;
	return inuse >= most;
}

/* Where no page came free, in-use is after a cycle what it was at its end.  As long as it
 * is about that, new objects go into holes, and neither an early cycle nor a wait would change
 * anything.
 */
static uint64_t inuse_most(const struct gca_heap *heap, uint64_t bound)
{
	uint64_t goal = get(&heap->next_gc);
	uint64_t kept = saturating_add(get(&heap->inuse_ended), goal / HOLES_GROWN);
	uint64_t high = saturating_add(goal, goal / HOLES_KEPT);

	if (kept > high)
		kept = high;
	return bound > kept ? bound : kept;
}

static bool trigger_reached(const struct gca_heap *heap, size_t bytes)
{
	uint64_t trigger = get(&heap->trigger);
	uint64_t most = saturating_add(trigger, trigger / HOLES_PARTS);

	return goal_reached(heap, trigger, inuse_most(heap, most), bytes);
}

static bool overdue(const struct gca_heap *heap, size_t bytes)
{
	uint64_t goal = get(&heap->next_gc);
	uint64_t most = saturating_add(goal, goal / HOLES_LAST);

	return goal_reached(heap, saturating_add(goal, goal / OVERDUE_PARTS),
			    inuse_most(heap, most), bytes);
}

/**
 * pace_may_grow - does the hard heap size leave room?
 * @heap: the heap
 * @bytes: for how much more
 */
bool pace_may_grow(const struct gca_heap *heap, uint64_t bytes)
{
	uint64_t most = get(&heap->pacer.heap_max);

	return !most || get(&heap->heap_live) + heap_allocated(heap) + bytes <= most;
}

/* ----------------------------------------------------------------- assist */

/* Scans up to @bytes: what came of it, 0 if there was nothing to scan. */
static uint64_t assist_with(struct gca_mutator *mutator, uint64_t bytes)
{
	struct gca_heap *heap = mutator->heap;
	enum account_state before;
	uint64_t begin, scanned, ns;

	if (!__atomic_load_n(&heap->work.pool.nr, __ATOMIC_RELAXED))
		return 0;
	before = account_switch(&mutator->account, ACCOUNT_ASSIST);
	begin = mutator->account.since;
	scanned = work_assist(mutator, bytes);
	profile_wait_end(mutator, before);
	ns = mutator->account.since - begin;
	PROBE3(assist, heap, scanned, ns);
	EVENT(heap, "assist bytes=%llu ns=%llu", (unsigned long long)scanned,
	      (unsigned long long)ns);
	if (!scanned)
		return 0;
	__atomic_add_fetch(&heap->assist_ns, ns, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->assist_bytes, scanned, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->assists, 1, __ATOMIC_RELAXED);
	return scanned;
}

/* Of what the workers have scanned and nobody has claimed, @wanted at most. */
static int64_t take_credit(struct gca_heap *heap, int64_t wanted)
{
	int64_t credit = __atomic_load_n(&heap->work.credit, __ATOMIC_RELAXED);
	int64_t taken;

	do {
		if (credit <= 0)
			return 0;
		taken = credit < wanted ? credit : wanted;
	} while (!__atomic_compare_exchange_n(&heap->work.credit, &credit, credit - taken, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return taken;
}

/**
 * pace_assist_slow - pay for what was allocated since the last time
 * @mutator: the calling thread's, black
 */
void pace_assist_slow(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t total = mutator->total_alloc + mutator->uncounted;
	uint64_t allocated = total - mutator->charged;
	uint64_t *in_assists = &mutator->account.ns[ACCOUNT_ASSIST];
	uint64_t heap_now, scanned, until;
	double ratio;

	if (allocated < ASSISTS_APART)
		return;
	mutator->charged = total;
	if (!__atomic_load_n(&heap->assist_on, __ATOMIC_RELAXED))
		return;
	heap_now = get(&heap->heap_live) + heap_allocated(heap) + mutator->uncounted;
	ratio = pacer_assist(get(&heap->assist_due), get(&heap->assist_from), get(&heap->expected),
			     heap_now, get(&heap->work.scanned) - get(&heap->scan_begun));
	mutator->debt += (int64_t)((double)allocated * ratio);
	if (mutator->debt < (int64_t)ASSIST_LEAST)
		return;
	mutator->debt -= take_credit(heap, mutator->debt);
	if (mutator->debt < (int64_t)ASSIST_LEAST)
		return;
	until = *in_assists + ASSISTS_NS;
	do {
		scanned = assist_with(mutator, ASSIST_LEAST);
		mutator->debt -= (int64_t)scanned;
	} while (scanned && mutator->debt >= (int64_t)ASSIST_LEAST && *in_assists < until);
	if (mutator->debt > (int64_t)DEBT_MOST)
		mutator->debt = DEBT_MOST;
}

/* Blocked until the cycle is over, @ns at most; true: it is. */
static bool stall_for(struct gca_mutator *mutator, uint64_t cycle, uint64_t ns)
{
	struct gca_heap *heap = mutator->heap;
	enum account_state before = account_switch(&mutator->account, ACCOUNT_STALL);
	uint64_t begin = mutator->account.since;
	bool over = concurrent_wait(mutator, cycle, ns);

	profile_wait_end(mutator, before);
	PROBE2(stall, heap, mutator->account.since - begin);
	EVENT(heap, "stall ns=%llu", (unsigned long long)(mutator->account.since - begin));
	__atomic_add_fetch(&heap->stall_ns, mutator->account.since - begin, __ATOMIC_RELAXED);
	__atomic_add_fetch(&heap->stalls, 1, __ATOMIC_RELAXED);
	return over;
}

/*
 * A cycle is under way, and the heap may be well past its goal: what it has paid for each
 * piece was not enough, or the cycle is slow to end.  Up to there nobody waits.
 */
static void at_goal(struct gca_mutator *mutator, size_t bytes)
{
	bool helps = __atomic_load_n(&mutator->heap->assist_on, __ATOMIC_RELAXED);
	struct gca_heap *heap = mutator->heap;
	uint64_t cycle;

	if (likely(!overdue(heap, bytes)))
		return;
	cycle = concurrent_request(heap);
	for (;;) {
		if (helps && assist_with(mutator, ASSIST_MOST)) {
			gca_safepoint(mutator);
			if (concurrent_over(heap, cycle))
				return;
		} else if (stall_for(mutator, cycle, helps ? STALL_NS : UINT64_MAX)) {
			return;
		}
		/* The flip lets go of a heap's garbage before the cycle is over. */
		if (!overdue(heap, bytes))
			return;
	}
}

/* ------------------------------------------------------------------ sweep */

/* So that the sweep is over when the next cycle starts: mutators sweep as they
 * allocate, what the arena's own thread has not done by then.
 */
static void pace_sweep(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	struct gcarena_sweep args = { .size = sizeof(args) };
	uint64_t live, trigger, due;

	if (!__atomic_load_n(&heap->status->sweeping, __ATOMIC_RELAXED))
		return;
	live = get(&heap->heap_live);
	trigger = get(&heap->trigger);
	if (trigger == UINT64_MAX)
		return;
	due = pacer_sweep(get(&heap->sweep_spans), get(&heap->status->sweep_left),
			  heap_allocated(heap), trigger > live ? trigger - live : 0);
	if (!due)
		return;
	args.nr_spans = due < SWEEP_SPANS ? (uint32_t)due : SWEEP_SPANS;
	/* A failure is not the caller's: its refill will show it. */
	if (!heap->ops->sweep_assist(heap, &args))
		__atomic_add_fetch(&heap->sweep_assisted, args.nr_spans, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------- poll */

/* Without the collector's thread, which looks at the clock itself. */
static bool period_over(const struct gca_heap *heap)
{
	uint64_t period = get(&heap->period_ns);

	return heap->mode == GCA_MODE_STOP_THE_WORLD && period &&
	       now_ns() - get(&heap->gc_ended_ns) >= period;
}

/* From outside, and taken by this thread; one that has begun since is that one. */
static bool asked_from_outside(struct gca_heap *heap)
{
	uint64_t cycle = get(&heap->cycle_asked);

	if (likely(!cycle))
		return false;
	return __atomic_compare_exchange_n(&heap->cycle_asked, &cycle, 0, false, __ATOMIC_RELAXED,
					   __ATOMIC_RELAXED) &&
	       get(&heap->cycles_begun) < cycle;
}

/* Once for each episode of reclaim; towards the limit the goal is pace enough. */
static bool pressure_new(struct gca_heap *heap)
{
	const struct gcarena_status *status = heap->status;
	uint64_t sequence = get(&status->pressure_sequence), seen = get(&heap->pressure_seen);

	if (likely(sequence == seen) ||
	    !(get(&status->pressure_causes) & GCARENA_PRESSURE_RECLAIM))
		return false;
	return __atomic_compare_exchange_n(&heap->pressure_seen, &seen, sequence, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Once for each event and each rise, and when it is over: the sequence and the level in one
 * word.  A rise without an event is the watermarks': they follow the limit, and that what
 * tables leave of it.
 */
static void tell_pressure(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	uint64_t level = __atomic_load_n(&heap->status->pressure, __ATOMIC_RELAXED);
	uint64_t now = get(&heap->status->pressure_sequence) * LEVELS + level;
	uint64_t told = get(&heap->pressure_told);
	gca_pressure_fn handler;
	void *arg;

	/* From full to some is neither an event nor the end. */
	if (likely(now == told) ||
	    (now / LEVELS == told / LEVELS && level && level <= told % LEVELS))
		return;
	if (!__atomic_compare_exchange_n(&heap->pressure_told, &told, now, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	world_lock(heap, mutator);
	PROBE2(pressure, heap, level);
	EVENT(heap, "pressure level=%u", (unsigned int)level);
	handler = heap->pressure;
	arg = heap->pressure_arg;
	/* Not only with the next cycle: that may be far. */
	if (heap->pacer.adaptive && level) {
		pacer_adapt(&heap->pacer, 0, (unsigned int)level);
		pace_set(heap);
	}
	world_unlock(heap);
	if (handler)
		handler(mutator, (enum gca_pressure)level, arg);
}

/**
 * pace_poll - collect if it is time to
 * @mutator: the calling thread's, running
 * @bytes: about to be allocated
 *
 * A safepoint.  A failure is not the caller's: its refill will show it.
 */
void pace_poll(struct gca_mutator *mutator, size_t bytes)
{
	struct gca_heap *heap = mutator->heap;
	bool pressed = false;

	gca_safepoint(mutator);
	tell_pressure(mutator);
	pace_sweep(mutator);
	if (__atomic_load_n(&heap->marking, __ATOMIC_RELAXED)) {
		at_goal(mutator, bytes);
		return;
	}
	if (asked_from_outside(heap)) {
		cycle_run(mutator, true);
		return;
	}
	if (likely(!trigger_reached(heap, bytes))) {
		pressed = pressure_new(heap);
		if (likely(!pressed) && likely(!period_over(heap)))
			return;
	}
	/* A large object alone may be more than the goal: not a cycle for each. */
	if (!heap_allocated(heap))
		return;
	if (!pressed && concurrent_small(mutator))
		return;
	if (heap->mode == GCA_MODE_CONCURRENT &&
	    (pressed ? concurrent_request_full(heap) : concurrent_request(heap))) {
		at_goal(mutator, bytes);
		return;
	}
	cycle_run(mutator, false);
}
