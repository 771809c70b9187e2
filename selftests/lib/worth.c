// SPDX-License-Identifier: MIT
/*
 * Whether minor cycles are worth it, without a heap: programs of several sorts are played
 * with full cycles only, with minor ones wherever there is room, and as the model decides.
 * Bounded is what the last costs beside the better of the others, and that it follows when
 * a program changes.
 */
#include "lib.h"
#include "internal.h"

#include "worth.h"

#define MEGA		1e6
/* As measured: marking, for a byte; what a cycle does beside it. */
#define MARK_NS		0.25
#define CYCLE_NS	200e3
#define LEAST_GOAL	(4 * MEGA)
/* Cycles beside full ones only, allocated bytes deciding how long a play is. */
#define CYCLES		400

enum policy { OFF, ON, AUTO };

/* What a program is like, the @part of it being over. */
struct program {
	const char *name;
	double (*live)(double part);		/* bytes */
	double (*survives)(double part);	/* of the bytes allocated between two cycles */
	double (*dirty)(double part);		/* of a full cycle's price, that of the cards */
	double floats;				/* bytes born black and dead, by each cycle */
	double best;				/* the most that AUTO may cost beside the best */
	double least, most;			/* minor cycles, of all of AUTO's */
};

struct seen {
	double ns;		/* of all cycles */
	unsigned int cycles;
	unsigned int minors;
	unsigned int late;	/* of them in the last quarter */
	unsigned int late_cycles;
};

static struct seen play(const struct program *program, enum policy policy)
{
	double total = CYCLES * program->live(1), done = 0, taken = 0, goal = LEAST_GOAL, full = 0;
	struct worth worth = { 0 };
	struct seen seen = { 0 };
	bool minor = false;

	while (done < total) {
		double room = goal - taken > MEGA / 16 ? goal - taken : MEGA / 16, part, old;
		struct worth_cycle cycle = { .before = (uint64_t)taken,
					     .allocated = (uint64_t)room };
		bool worthy;

		done += room;
		part = done < total ? done / total : 1;
		old = taken;
		if (minor) {
			double young = program->survives(part) * room;
			double dirty = program->dirty(part) * old;

			taken = old + young + program->floats;
			cycle.ns = (uint64_t)((young + dirty) * MARK_NS);
			cycle.cards = (uint64_t)(dirty / 512);
		} else {
			taken = program->live(part);
			/* It cannot have grown by more than there was. */
			if (taken > old + room)
				taken = old + room;
			goal = taken * 2 > LEAST_GOAL ? taken * 2 : LEAST_GOAL;
			full = goal - taken;
			cycle.ns = (uint64_t)(taken * MARK_NS);
		}
		cycle.minor = minor;
		cycle.live = (uint64_t)taken;
		cycle.room = goal > taken ? (uint64_t)(goal - taken) : 0;
		seen.ns += (double)cycle.ns + CYCLE_NS;
		seen.cycles++;
		seen.minors += minor;
		if (part > 0.75) {
			seen.late_cycles++;
			seen.late += minor;
		}
		worthy = worth_decide(&worth, &cycle);
		minor = policy == AUTO ? worthy : policy == ON && (double)cycle.room >= full / 2;
	}
	return seen;
}

static double eight(double part)
{
	return 8 * MEGA;
}

static double hundred(double part)
{
	return 100 * MEGA;
}

/* Most of its way it only grows. */
static double grows(double part)
{
	return 200 * MEGA * part;
}

static double none(double part)
{
	return 0;
}

static double hardly(double part)
{
	return 0.02;
}

static double quarter(double part)
{
	return 0.25;
}

static double most(double part)
{
	return 0.8;
}

static double all(double part)
{
	return 1;
}

/* A large tree is being built each time another has died. */
static double now_and_then(double part)
{
	unsigned int time = (unsigned int)(part * 2 * CYCLES);

	return time % 8 ? 0.02 : 0.5;
}

static double third(double part)
{
	return 0.33;
}

static double dearer(double part)
{
	return 1.5;
}

static double first_dearer(double part)
{
	return part < 0.4 ? 1.5 : 0.02;
}

static double then_dearer(double part)
{
	return part < 0.4 ? 0.02 : 1.5;
}

static const struct program programs[] = {
	{ "all dies young, few stores", hundred, hardly, hardly, 0, 1.05, 0.7, 1 },
	{ "a small heap, now and then half is alive", eight, now_and_then, none, 0, 1.1,
	  0.6, 1 },
	{ "a small heap, much is born black", eight, hardly, none, MEGA, 1.1, 0.5, 1 },
	{ "random stores, cards at a third of a full cycle", hundred, quarter, third, 0, 1.05,
	  0.4, 1 },
	{ "random stores, cards dearer than a full cycle", hundred, quarter, dearer, 0, 1.05,
	  0, 0.1 },
	{ "most survives, old dies", hundred, most, none, 0, 1.05, 0, 0.1 },
	{ "it grows", grows, all, none, 0, 1.05, 0, 0.1 },
	{ "a small heap where most survives", eight, most, third, 0, 1.05, 0, 0.1 },
};

static void test_programs(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		const struct program *program = &programs[i];
		struct seen off = play(program, OFF), on = play(program, ON);
		struct seen by_itself = play(program, AUTO);
		double best = off.ns < on.ns ? off.ns : on.ns;
		double part = (double)by_itself.minors / by_itself.cycles;

		diag("%s: %u of %u minor; %.2f of off, %.2f of on", program->name,
		     by_itself.minors, by_itself.cycles, by_itself.ns / off.ns,
		     by_itself.ns / on.ns);
		ok(by_itself.ns <= best * program->best, "%s: %.3f of the better one",
		   program->name, by_itself.ns / best);
		ok(part >= program->least && part <= program->most, "%s: %.2f of the cycles minor",
		   program->name, part);
	}
}

/* A program that was of one sort for two fifths of its time. */
static void test_change(void)
{
	struct program program = { .live = hundred, .survives = hardly };
	struct seen seen;

	program.dirty = first_dearer;
	seen = play(&program, AUTO);
	ok(seen.late * 2 >= seen.late_cycles, "they are tried again: %u of the last %u", seen.late,
	   seen.late_cycles);
	program.dirty = then_dearer;
	seen = play(&program, AUTO);
	ok(seen.late * 10 <= seen.late_cycles, "and given up: %u of the last %u", seen.late,
	   seen.late_cycles);
}

/* A full cycle where stores were remembered counts as one that did not pay. */
static void test_wasted(void)
{
	struct worth_cycle cycle = { .ns = 25 * 1000 * 1000, .before = 100 * 1000 * 1000,
				     .allocated = 100 * 1000 * 1000, .live = 100 * 1000 * 1000,
				     .room = 100 * 1000 * 1000 };
	unsigned int remembered = 0;
	struct worth worth = { 0 };

	for (unsigned int i = 0; i < 130; i++) {
		if (!worth_decide(&worth, &cycle))
			continue;
		remembered++;
		worth_wasted(&worth);
	}
	ok(remembered >= 3 && remembered <= 8,
	   "where only full cycles come, stores are remembered for %u of 130", remembered);
}

/* Minor cycles that cost next to nothing: as long as the full one after them has its runway. */
static void test_runway(void)
{
	struct worth_cycle cycle = { .ns = 25 * 1000 * 1000, .before = 100 * 1000 * 1000,
				     .allocated = 100 * 1000 * 1000, .live = 100 * 1000 * 1000,
				     .room = 100 * 1000 * 1000, .runway = 30 * 1000 * 1000 };
	struct worth worth = { 0 };
	unsigned int minors = 0;

	worth_decide(&worth, &cycle);
	ok(worth_decide(&worth, &cycle), "a minor cycle pays");
	cycle.minor = true;
	cycle.ns = 1000 * 1000;
	do {
		minors++;
		cycle.before = cycle.live;
		cycle.allocated = cycle.room;
		cycle.live += 10 * 1000 * 1000;
		cycle.room -= 10 * 1000 * 1000;
	} while (worth_decide(&worth, &cycle) && minors < 10);
	eq(minors, 7, "and the last one leaves the runway of a full one");
}

int main(void)
{
	test_programs();
	test_change();
	test_wasted();
	test_runway();
	return tap_done();
}
