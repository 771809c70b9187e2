// SPDX-License-Identifier: MIT
/*
 * Pacing: see pacer.h for what it is, Documentation/pacing.rst for why.
 *
 * The goal is live + (live + roots) * percent / 100, not below a least heap, not
 * above what the memory limit and the hard heap size leave.  A concurrent cycle
 * starts its runway before the goal: what the program will allocate while the workers
 * scan what there is to scan.  That comes as one ratio, cons/mark, measured in each cycle
 * in bytes and CPU time, never by the clock: on a machine that has other things to do the
 * two go apart.  The largest of the last few is expected, since starting early
 * costs little and starting late makes mutators pay.
 *
 * Sums saturate: a goal of UINT64_MAX is none.
 */
#include "pacer.h"

/* A chunk of 2 MiB backed ahead for each so much of goal, and never more than so many: a
 * thirty-second of the heap, and what a thread takes while it is not scheduled.
 */
#define RESERVE_GOAL	(64ull << 20)
#define RESERVE_MOST	4
/* As Go's: with 100 per cent no goal below 4 MiB. */
#define LEAST_HEAP	(4ull << 20)
/* The runway's bounds, in per cent of the room between live and goal: a bad estimate
 * must neither make cycles run all the time nor always come too late.
 */
#define RUNWAY_LEAST	5
#define RUNWAY_MOST	30
/* Of a full cycle after minor ones: to begin later leaves room for those. */
#define RUNWAY_AFTER	20
#define RUNWAY_MINOR	15
/* Of the limit, per cent that the goal stays below it, and at least so much: what is
 * held and not yet counted.
 */
#define LIMIT_HEADROOM	3
#define LIMIT_HEADROOM_LEAST (1ull << 20)
/* A share of the CPU time that the program needs at least for its rate to be believed,
 * and of what was scanned that workers did.
 */
#define PROGRAM_LEAST	0.02
#define WORKERS_LEAST	64
/* Of the bytes that a cycle may find more to scan than the last one did. */
#define EXPECT_LEAST	(64ull << 10)
/* An assist pays at most so many bytes for one: the goal is overrun then. */
#define ASSIST_MOST	64.0
/* Of the way from trigger to goal, the part that is left for the end of the cycle when all
 * is scanned; and the least room that a price is made for, past the goal too.
 */
#define END_PARTS	8
#define ROOM_PARTS	16
/* What is born while a minor cycle marks stays until the next full one: such a cycle is to be
 * over in a part of its way.
 */
#define MINOR_WAY	2
/* CPU time that the collector may use more than the program does, for each CPU,
 * before it is called thrashing: Go's limit of 50 %, with half its memory.
 */
#define EXCESS_NS	500e6
/* The way back: half of it paid off. */
#define EXCESS_PARTS	2
/* Adaptive percent: parts of the set one, in per cent, that are used at least and at most;
 * and without pressure at least.
 */
#define EAGER_LEAST	25u
#define EAGER_MOST	400u
#define EAGER_USUAL	100u
/* The collector's share of CPU time above which the heap may grow further, and below
 * which it need not be larger.  Twice the heap halves the share: a step of a quarter
 * cannot lead from one bound to the other.
 */
#define BUSY_SHARE	0.25
#define IDLE_SHARE	0.10
#define EAGER_STEP	4u	/* a quarter */
/* Of what a full cycle scanned, what the first minor one after it is expected to. */
#define FIRST_MINOR_PARTS	8u

static uint64_t add(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t subtract(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t percent_of(uint64_t bytes, unsigned int percent)
{
	unsigned __int128 share = (unsigned __int128)bytes * percent / 100;

	return share > UINT64_MAX ? UINT64_MAX : (uint64_t)share;
}

static uint64_t goal_by_percent(const struct pacer *pacer)
{
	uint64_t goal, least, live, eager;
	unsigned int percent;

	if (pacer->percent == PACER_OFF)
		return UINT64_MAX;
	eager = percent_of((uint64_t)pacer->percent, pacer->eager);
	percent = eager > UINT32_MAX ? UINT32_MAX : (unsigned int)eager;
	if (!percent)
		percent = 1;
	live = subtract(pacer->live, pacer->promoted);
	goal = add(live, percent_of(add(live, pacer->roots), percent));
	least = percent_of(LEAST_HEAP, percent);
	return goal > least ? goal : least;
}

/* Not below what lives: the limit's sequence has the last word then. */
static uint64_t goal_by_limit(const struct pacer *pacer)
{
	uint64_t headroom, goal;

	if (!pacer->limit || pacer->thrashing)
		return UINT64_MAX;
	headroom = percent_of(pacer->limit, LIMIT_HEADROOM);
	if (headroom < LIMIT_HEADROOM_LEAST)
		headroom = LIMIT_HEADROOM_LEAST;
	if (headroom > pacer->limit / 4)
		headroom = pacer->limit / 4;
	goal = subtract(pacer->limit, add(pacer->overhead, headroom));
	return goal > pacer->live ? goal : pacer->live;
}

/* For @scan bytes, where @room is between what lives and the goal, @percent of it at most.
 * All is scanned then when the way is over but for its last part.
 */
static uint64_t runway_for(const struct pacer *pacer, uint64_t scan, uint64_t room,
			   unsigned int percent)
{
	double runway = pacer->cons_mark * (double)scan * END_PARTS / (END_PARTS - 1);
	uint64_t least = percent_of(room, RUNWAY_LEAST);
	uint64_t most = percent_of(room, percent);

	if (runway < (double)least)
		return least;
	return runway > (double)most ? most : (uint64_t)runway;
}

/**
 * pacer_runway - what the program may allocate while a full cycle after minor ones marks
 * @pacer: the pacer, its goal that of the cycle
 *
 * What minor cycles have taken for old is no less room to a full one: it finds
 * what of that is dead.
 *
 * Return: bytes before the goal, 0 without one.
 */
uint64_t pacer_runway(const struct pacer *pacer)
{
	uint64_t base = subtract(pacer->live, pacer->promoted);

	if (pacer->stopped || pacer->goal == UINT64_MAX)
		return 0;
	return runway_for(pacer, add(pacer->scan_full, pacer->promoted),
			  subtract(pacer->goal, base), RUNWAY_AFTER);
}

static void set_trigger(struct pacer *pacer)
{
	uint64_t room = subtract(pacer->goal, pacer->live), runway;

	if (pacer->stopped || pacer->goal == UINT64_MAX)
		runway = 0;
	else if (pacer->next_minor)
		runway = runway_for(pacer, pacer->scan, room, RUNWAY_MINOR);
	else if (pacer->promoted)
		runway = pacer_runway(pacer);
	else
		runway = runway_for(pacer, pacer->scan, room, RUNWAY_MOST);
	pacer->trigger = subtract(pacer->goal, runway);
	/* At once, if a full one comes late. */
	if (pacer->trigger < pacer->live && pacer->live < pacer->goal)
		pacer->trigger = pacer->live;
}

/**
 * pacer_set - goal and trigger from settings and from what was found
 * @pacer: the pacer
 */
void pacer_set(struct pacer *pacer)
{
	uint64_t goal = goal_by_percent(pacer);
	uint64_t limit = goal_by_limit(pacer);

	pacer->by_limit = limit < goal;
	if (limit < goal)
		goal = limit;
	if (pacer->heap_max && goal > pacer->heap_max)
		goal = pacer->heap_max > pacer->live ? pacer->heap_max : pacer->live;
	pacer->goal = goal;
	set_trigger(pacer);
}

/**
 * pacer_begin - a cycle begins
 * @pacer: the pacer
 * @heap: bytes of objects, live and allocated
 * @minor: it is a minor one
 *
 * As much is expected to be scanned as last time; in the first cycle, all.
 */
void pacer_begin(struct pacer *pacer, uint64_t heap, bool minor)
{
	pacer->from = pacer->trigger;
	pacer->due = pacer->goal;
	if (minor && pacer->goal != UINT64_MAX) {
		pacer->from = heap;
		pacer->due = add(heap, subtract(pacer->goal, heap) / MINOR_WAY);
	}
	pacer->expected = pacer->scan ? pacer->scan : heap;
	if (pacer->expected < EXPECT_LEAST)
		pacer->expected = EXPECT_LEAST;
}

/**
 * pacer_assist - what a mutator owes for what it allocates
 * @due: where it is to be over
 * @from: where it began
 * @expected: bytes to scan in it
 * @heap: bytes of objects now
 * @scanned: bytes that were scanned in this cycle
 *
 * When more was scanned than expected, everything there was when the cycle began may
 * be live.  All is to be scanned a little before the goal, since a cycle takes some time
 * to end.  The room that the price is made for has a least, so that the price rises there and
 * does not become infinite: for each such room the rest shrinks to a third.
 *
 * Return: bytes to scan for each byte.
 */
double pacer_assist(uint64_t due, uint64_t from, uint64_t expected, uint64_t heap,
		    uint64_t scanned)
{
	uint64_t way = subtract(due, from), room;
	double ratio;

	if (due == UINT64_MAX)
		return 0;
	if (scanned >= expected)
		expected = add(scanned, subtract(from, scanned) / 4);
	room = subtract(due - way / END_PARTS, heap);
	if (room < way / ROOM_PARTS)
		room = way / ROOM_PARTS;
	ratio = (double)add(subtract(expected, scanned), 1) / (double)add(room, 1);
	return ratio < ASSIST_MOST ? ratio : ASSIST_MOST;
}

static void learn(struct pacer *pacer, const struct pacer_cycle *cycle)
{
	double program = (double)cycle->program_ns, largest = 0, ratio;
	double kept = (double)cycle->assist_ns + (double)cycle->stalled_ns;
	uint64_t by_workers = cycle->by_workers;
	unsigned int i;

	if (cycle->forced || cycle->minor || cycle->small || !cycle->worker_ns || !cycle->scanned)
		return;
	/* Kept from allocating by the cycle: it would have gone on. */
	if (program < (program + kept) * PROGRAM_LEAST)
		program = (program + kept) * PROGRAM_LEAST;
	if (by_workers < cycle->scanned / WORKERS_LEAST)
		by_workers = cycle->scanned / WORKERS_LEAST;
	if (!by_workers || program <= 0)
		return;
	ratio = (double)cycle->allocated * (1 + kept / program) / (double)by_workers;
	pacer->ratios[pacer->next_ratio++ % PACER_HISTORY] = ratio;
	for (i = 0; i < PACER_HISTORY; i++)
		if (pacer->ratios[i] > largest)
			largest = pacer->ratios[i];
	pacer->cons_mark = largest;
}

/**
 * pacer_end - a cycle is over
 * @pacer: the pacer
 * @cycle: what it measured
 */
void pacer_end(struct pacer *pacer, const struct pacer_cycle *cycle)
{
	learn(pacer, cycle);
	if (cycle->minor) {
		pacer->promoted = add(pacer->promoted, subtract(cycle->live, pacer->live));
	} else {
		pacer->promoted = 0;
		pacer->scan_full = cycle->scanned;
	}
	pacer->live = cycle->live;
	pacer->roots = cycle->roots;
	pacer->scan = cycle->scanned;
	pacer->next_minor = cycle->next_minor;
	if (!cycle->next_minor)
		pacer->scan = add(pacer->scan_full, pacer->promoted);
	else if (!cycle->minor)
		pacer->scan /= FIRST_MINOR_PARTS;
	pacer->overhead = cycle->overhead;
	pacer_set(pacer);
}

/**
 * pacer_spent - who used the CPUs
 * @pacer: the pacer
 * @gc_ns: CPU time of the collector since the last call
 * @program_ns: CPU time of everything else
 *
 * Thrashing begins when the collector has used EXCESS_NS a CPU more than the program,
 * and ends when half of that is paid off.  The limit's goal does not hold meanwhile.
 */
void pacer_spent(struct pacer *pacer, uint64_t gc_ns, uint64_t program_ns)
{
	double most = EXCESS_NS * pacer->cpus;

	pacer->excess_ns += (double)gc_ns - (double)program_ns;
	if (pacer->excess_ns < 0)
		pacer->excess_ns = 0;
	if (pacer->excess_ns >= most) {
		pacer->excess_ns = most;
		pacer->thrashing = true;
	} else if (pacer->excess_ns < most / EXCESS_PARTS) {
		pacer->thrashing = false;
	}
}

/**
 * pacer_sweep - spans that a mutator has to sweep now
 * @all: spans when the sweep began
 * @left: of those not yet swept
 * @allocated: bytes since it began
 * @room: bytes until the next cycle starts
 */
uint64_t pacer_sweep(uint64_t all, uint64_t left, uint64_t allocated, uint64_t room)
{
	uint64_t may;

	if (allocated >= room)
		return left;
	may = (uint64_t)((unsigned __int128)all * (room - allocated) / room);
	return subtract(left, may);
}

/**
 * pacer_reserve - chunks that the arena may back ahead of demand
 * @goal: of the heap, UINT64_MAX for none
 *
 * None for a small heap, whose every page shows.
 */
uint32_t pacer_reserve(uint64_t goal)
{
	uint64_t chunks = goal / RESERVE_GOAL;

	return chunks < RESERVE_MOST ? (uint32_t)chunks : RESERVE_MOST;
}

/**
 * pacer_adapt - more heap for a busy collector, less under pressure
 * @pacer: the pacer; nothing happens if it is not adaptive
 * @share: of the CPU time since the last cycle, the collector's
 * @pressure: 0: none; 1: some; 2: full
 *
 * One step a cycle.  Pressure has the last word: memory is short for others too.
 */
void pacer_adapt(struct pacer *pacer, double share, unsigned int pressure)
{
	unsigned int eager = pacer->eager;

	if (!pacer->adaptive)
		return;
	if (pressure > 1)
		eager = EAGER_LEAST;
	else if (pressure)
		eager = eager > 2 * EAGER_USUAL ? EAGER_USUAL : eager / 2;
	else if (share > BUSY_SHARE)
		eager += eager / EAGER_STEP;
	else if (eager < EAGER_USUAL)
		eager = eager + eager / EAGER_STEP < EAGER_USUAL ? eager + eager / EAGER_STEP :
								    EAGER_USUAL;
	else if (share < IDLE_SHARE && eager > EAGER_USUAL)
		eager = eager - eager / EAGER_STEP > EAGER_USUAL ? eager - eager / EAGER_STEP :
								    EAGER_USUAL;
	if (eager < EAGER_LEAST)
		eager = EAGER_LEAST;
	if (eager > EAGER_MOST)
		eager = EAGER_MOST;
	pacer->eager = eager;
}
