// SPDX-License-Identifier: MIT
/*
 * Whether minor cycles are worth it: see worth.h, and Documentation/generations.rst for the
 * model.
 *
 * A cycle buys room: what the program may allocate until the next one.  What counts is
 * CPU time for each byte of it.  A full cycle is followed by a sequence of minor ones,
 * each with less room than the one before, since what they take for old and was dead
 * stays.  The sequence goes on as long as the next minor cycle is expected to cost no
 * more for its room than all of it so far: the cost for a byte is least then.  When it is
 * over, and its minor cycles did cost more than the full one, full ones follow for a
 * while, longer each time.
 */
#include "worth.h"

/* Below so much alive there is little to save. */
#define LEAST_LIVE	(4ull << 20)
/* CPU time of what a cycle does beside marking: its handshakes, refills after it. */
#define CYCLE_NS	200e3
/* Of a store that dirties its card, and of those that find it dirty, for each dirty card. */
#define CARD_NS		10.0
/* Full cycles before minor ones are tried again: first, and at most. */
#define REST_FIRST	1u
#define REST_MOST	64u

/* Does @ns for @room cost more than @sum, byte by byte? */
static bool dearer(double ns, double room, const struct worth_sum *sum)
{
	return ns * sum->room > sum->ns * room;
}

/* Minor cycles did not pay: none for a while. */
static void rest(struct worth *worth)
{
	if (!worth->penalty)
		worth->penalty = REST_FIRST;
	worth->rest = worth->penalty;
	if (worth->penalty < REST_MOST)
		worth->penalty *= 2;
}

/* A sequence is over: did its minor cycles pay? */
static void judge(struct worth *worth)
{
	if (!worth->minors)
		return;
	if (dearer(worth->minor.ns, worth->minor.room, &worth->full))
		rest(worth);
	else
		worth->penalty = 0;
}

/*
 * The first minor cycle after a full one marks what will survive of the room, at the
 * price of the full one's live bytes.  As much survives as did since the full cycle before,
 * or more, as some of what was old died: by how much the live heap grew.
 */
static bool worth_first(const struct worth_cycle *cycle, double ns, uint64_t grown,
			double allocated)
{
	double room = (double)cycle->room, live = (double)cycle->live;
	double survives = allocated > 0 ? (double)grown / allocated : 1;
	struct worth_sum full = { .ns = ns, .room = room };

	if (survives > 1)
		survives = 1;
	ns = ns * survives * room / live + CYCLE_NS;
	return room * (1 - survives) >= (double)cycle->runway &&
	       !dearer(ns, room * (1 - survives), &full);
}

static bool after_full(struct worth *worth, const struct worth_cycle *cycle, double ns)
{
	double allocated = worth->full.room + worth->minor.room;
	uint64_t grown = cycle->live > worth->live ? cycle->live - worth->live : 0;

	judge(worth);
	worth->full = (struct worth_sum){ .ns = ns };
	worth->minor = (struct worth_sum){ 0 };
	worth->minors = 0;
	worth->live = cycle->live;
	worth->sequence = true;
	if (worth->rest) {
		worth->rest--;
		return false;
	}
	return cycle->live >= LEAST_LIVE && worth_first(cycle, ns, grown, allocated);
}

/* The next one is expected to cost as much, and to find as much alive of as much. */
static bool after_minor(struct worth *worth, const struct worth_cycle *cycle, double ns)
{
	double room = (double)cycle->room, allocated = (double)cycle->allocated;
	double old = cycle->live > cycle->before ? (double)(cycle->live - cycle->before) : 0;
	struct worth_sum all;

	worth->minor.ns += ns;
	worth->minors++;
	all.ns = worth->full.ns + worth->minor.ns;
	all.room = worth->full.room + worth->minor.room + room;
	if (!worth->sequence || allocated <= 0 || old >= allocated)
		return false;
	/* The full one after it would begin too late. */
	if (room - old < (double)cycle->runway)
		return false;
	return !dearer(ns, room * (1 - old / allocated), &all);
}

/**
 * worth_decide - a cycle has marked what there was: may the next one be a minor one?
 * @worth: the model
 * @cycle: what it measured
 */
bool worth_decide(struct worth *worth, const struct worth_cycle *cycle)
{
	double ns = (double)cycle->ns + CYCLE_NS + CARD_NS * (double)cycle->cards;
	struct worth_sum *last = worth->last_minor ? &worth->minor : &worth->full;

	last->room += (double)cycle->allocated;
	worth->last_minor = cycle->minor;
	return cycle->minor ? after_minor(worth, cycle, ns) : after_full(worth, cycle, ns);
}

/**
 * worth_wasted - stores were remembered for a minor cycle, and a full one comes
 * @worth: the model
 */
void worth_wasted(struct worth *worth)
{
	rest(worth);
}
