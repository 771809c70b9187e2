// SPDX-License-Identifier: MIT
/*
 * The pacer, without a heap: programs that allocate, live and are scanned at given
 * rates are simulated over hundreds of cycles, with workers that have their share of
 * the CPUs and mutators that pay what the pacer asks.  Bounded are how far a heap goes
 * beyond its goal, how much mutators pay, and after a step how soon all is well again.
 */
#include "lib.h"

#include "pacer.h"

#define CYCLES	300

#define SHARE		0.25	/* of the CPUs, the workers' */

static double smaller(double a, double b)
{
	return a < b ? a : b;
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/* A program, as the cycle @n finds it. */
struct program {
	const char *name;
	double (*live)(unsigned int n);		/* bytes that live at its end */
	double (*rate)(unsigned int n);		/* bytes allocated in a CPU second */
	double scan_rate;			/* bytes scanned in one */
	double scannable;			/* of the live bytes */
	double cpus;
	double busy;				/* of the CPUs, by the program when alone */
	int percent;
	uint64_t limit;
	uint64_t heap_max;
	double overhead;			/* of the objects' bytes */
	double idle;				/* CPUs that workers have beyond their share */
};

struct seen {
	double peak;		/* bytes, before the cycle's end */
	double goal;		/* that it had */
	double trigger;
	double live;		/* after it */
	double share;		/* of all CPUs, of workers while marking */
	double assist;		/* of the program's CPU time, while marking */
	double seconds;		/* from the end of the one before */
};

static struct pacer pacer_for(const struct program *program)
{
	struct pacer pacer = {
		.percent = program->percent ? program->percent : 100,
		.limit = program->limit,
		.heap_max = program->heap_max,
		.cpus = program->cpus,
		.eager = 100,
	};

	pacer_set(&pacer);
	return pacer;
}

/* One cycle from the end of the last; @heap: bytes of objects, in and out. */
static struct seen run_cycle(const struct program *program, struct pacer *pacer, unsigned int n,
			     double *heap)
{
	double rate = program->rate(n), gc_cpus = SHARE * program->cpus + program->idle;
	double mutator_cpus = smaller(program->busy * program->cpus, program->cpus - gc_cpus);
	struct seen seen = { .goal = pacer->goal, .trigger = pacer->trigger };
	double to_scan = program->live(n) * program->scannable;
	double step = larger((double)pacer->goal - pacer->live, 1e5) / 2000;
	double scanned = 0, credit = 0, debt = 0, cpu_assist = 0, cpu_program = 0, time = 0;
	struct pacer_cycle cycle = { 0 };
	double allocated = 0;

	if (*heap < (double)pacer->trigger) {
		seen.seconds = ((double)pacer->trigger - *heap) /
			       (rate * program->busy * program->cpus);
		*heap = (double)pacer->trigger;
	}
	pacer_begin(pacer, (uint64_t)*heap, false);
	while (scanned < to_scan) {
		double ratio = pacer_assist(pacer->due, pacer->from, pacer->expected,
					    (uint64_t)*heap, (uint64_t)scanned);
		double cpu = step / rate, pay, here;

		debt += step * ratio;
		pay = smaller(debt, credit);
		credit -= pay;
		debt -= pay;
		/* Bounded: what is left is owed. */
		pay = smaller(smaller(debt, step * 64), to_scan - scanned);
		debt -= pay;
		cpu_assist += pay / program->scan_rate;
		cpu_program += cpu;
		here = (cpu + pay / program->scan_rate) / mutator_cpus;
		time += here;
		scanned += pay + here * gc_cpus * program->scan_rate;
		credit += here * gc_cpus * program->scan_rate;
		*heap += step;
		allocated += step;
	}
	seen.peak = *heap;
	seen.seconds += time;
	seen.share = gc_cpus / program->cpus;
	seen.assist = cpu_assist / (cpu_program + cpu_assist);
	cycle.live = (uint64_t)program->live(n);
	cycle.scanned = (uint64_t)to_scan;
	cycle.by_workers = (uint64_t)(time * gc_cpus * program->scan_rate);
	cycle.allocated = (uint64_t)allocated;
	cycle.mark_ns = (uint64_t)(time * 1e9);
	cycle.worker_ns = (uint64_t)(time * gc_cpus * 1e9);
	cycle.assist_ns = (uint64_t)(cpu_assist * 1e9);
	cycle.program_ns = (uint64_t)(cpu_program * 1e9);
	cycle.overhead = (uint64_t)(program->overhead * program->live(n));
	pacer_end(pacer, &cycle);
	/* What was allocated while it marked is black. */
	*heap = (double)cycle.live + allocated;
	seen.live = (double)cycle.live;
	return seen;
}

static double steady(unsigned int n)
{
	return 100e6;
}

static double small(unsigned int n)
{
	return 300e3;
}

static double growing(unsigned int n)
{
	double live = 10e6;

	while (n--)
		live *= 1.02;
	return live;
}

static double step_up(unsigned int n)
{
	return n < 100 ? 20e6 : 100e6;
}

static double step_down(unsigned int n)
{
	return n < 100 ? 100e6 : 20e6;
}

static double jitter(unsigned int n)
{
	struct rng rng = rng_seeded(900 + n);

	return 80e6 + (double)rng_below(&rng, 20000000);
}

static double sawtooth(unsigned int n)
{
	return 20e6 + 2e6 * (n % 20);
}

static double calm(unsigned int n)
{
	return 50e6;
}

static double brisk(unsigned int n)
{
	return 1e9;
}

static double furious(unsigned int n)
{
	return 8e9;
}

static double uneven(unsigned int n)
{
	struct rng rng = rng_seeded(700 + n);

	return 50e6 + (double)rng_below(&rng, 400000000);
}

static double rate_step(unsigned int n)
{
	return n < 100 ? 50e6 : 2e9;
}

struct expectation {
	struct program program;
	double over;		/* of the goal, at most, once settled */
	double assist;		/* at most, once settled */
	double assist_least;
	unsigned int settled;	/* cycles from the start, and from cycle 100 */
};

#define COMMON .scan_rate = 2e9, .scannable = 1, .cpus = 4, .busy = 1

static const struct expectation expectations[] = {
	{ { "steady", steady, calm, COMMON }, 1.0, 0.01, 0, 2 },
	{ { "steady, on two CPUs", steady, calm, .scan_rate = 2e9, .scannable = 1, .cpus = 2,
	    .busy = 1 }, 1.0, 0.01, 0, 2 },
	{ { "brisk", steady, brisk, COMMON }, 1.02, 0.55, 0, 2 },
	{ { "faster than can be marked", steady, furious, COMMON }, 1.05, 0.95, 0.3, 2 },
	{ { "one busy CPU of four", steady, brisk, .scan_rate = 2e9, .scannable = 1, .cpus = 4,
	    .busy = 0.25 }, 1.02, 0.4, 0, 2 },
	{ { "growing", growing, calm, COMMON }, 1.02, 0.05, 0, 2 },
	{ { "step up", step_up, calm, COMMON }, 1.02, 0.05, 0, 2 },
	{ { "step down", step_down, calm, COMMON }, 1.02, 0.05, 0, 2 },
	{ { "a step of the rate", steady, rate_step, COMMON }, 1.05, 0.8, 0, 2 },
	{ { "jitter of the heap", jitter, calm, COMMON }, 1.02, 0.2, 0, 2 },
	{ { "jitter of the rate", steady, uneven, COMMON }, 1.02, 0.4, 0, 2 },
	{ { "saw-tooth", sawtooth, calm, COMMON }, 1.02, 0.2, 0, 2 },
	{ { "a tiny heap", small, brisk, COMMON }, 1.02, 0.2, 0, 2 },
	{ { "slow to scan", steady, calm, .scan_rate = 100e6, .scannable = 1, .cpus = 4,
	    .busy = 1 }, 1.05, 0.9, 0, 2 },
	{ { "next to nothing to scan", steady, brisk, .scan_rate = 2e9, .scannable = 0.01,
	    .cpus = 4, .busy = 1 }, 1.0, 0.01, 0, 2 },
	{ { "percent 20", steady, calm, COMMON, .percent = 20 }, 1.02, 0.3, 0, 2 },
	{ { "percent 800", steady, brisk, COMMON, .percent = 800 }, 1.02, 0.05, 0, 2 },
	{ { "one thread, and workers on the idle CPU", steady, brisk, .scan_rate = 2e9,
	    .scannable = 1, .cpus = 2, .busy = 0.5, .idle = 0.5 }, 1.0, 0.35, 0, 2 },
	{ { "calm, and workers on the idle CPU", steady, calm, .scan_rate = 2e9,
	    .scannable = 1, .cpus = 2, .busy = 0.5, .idle = 0.5 }, 1.0, 0.02, 0, 2 },
	{ { "a hard heap size", steady, calm, COMMON, .heap_max = 130000000 }, 1.02, 0.3, 0, 2 },
	{ { "a limit near", steady, calm, COMMON, .limit = 140000000, .overhead = 0.1 },
	    1.02, 0.5, 0, 2 },
};

static void test_programs(void)
{
	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
		const struct expectation *want = &expectations[i];
		const struct program *program = &want->program;
		struct pacer pacer = pacer_for(program);
		double heap = 0, over = 0, assist = 0, least = 1, early = 1;
		unsigned int bad = 0;

		for (unsigned int n = 0; n < CYCLES; n++) {
			struct seen seen = run_cycle(program, &pacer, n, &heap);
			unsigned int since = n >= 100 ? n - 100 : n;

			if (seen.peak / seen.goal > 1.1)
				bad++;
			if (since < want->settled)
				continue;
			over = larger(over, seen.peak / seen.goal);
			assist = larger(assist, seen.assist);
			least = smaller(least, seen.assist);
			early = smaller(early, seen.peak / seen.goal);
		}
		diag("%s: %.3f to %.3f of the goal; assist %.3f to %.3f; cons/mark %.4f",
		     program->name, early, over, least, assist, pacer.cons_mark);
		ok(over <= want->over, "%s: the heap keeps to its goal", program->name);
		ok(assist <= want->assist, "mutators pay no more than they must");
		ok(least >= want->assist_least, "and no less");
		ok(bad <= 2, "never a tenth above it but in a step: %u", bad);
	}
}

/* A trigger of @mb million bytes. */
static void runway_is(const struct pacer *pacer, double mb, const char *what)
{
	double off = (double)pacer->trigger - mb * 1e6;

	ok(off < 10 && off > -10, "%s: %llu", what, (unsigned long long)pacer->trigger);
}

/* A full cycle that nobody assisted. */
static const struct pacer_cycle workers_only = {
	.live = 100000000, .scanned = 100000000, .by_workers = 100000000,
	/* Seven eighths of the way. */
	.allocated = 17500000, .worker_ns = 50000000, .program_ns = 150000000,
};

/* What a cycle teaches: of CPU time and bytes, the clock plays no part. */
static void test_rates(void)
{
	struct pacer pacer = { .percent = 100, .cpus = 2, .eager = 100 };
	struct pacer_cycle cycle = workers_only;

	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 180, "the runway is what was allocated while workers scanned");
	cycle.mark_ns = 9000000000;
	cycle.worker_ns *= 3;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 180, "however long that took");
	/* A third of the program's CPU time went into scanning half of it. */
	cycle.by_workers = 50000000;
	cycle.allocated = 8750000;
	cycle.assist_ns = 75000000;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 170, "that of assists would have been the program's");
	cycle.assist_ns = 0;
	cycle.stalled_ns = 75000000;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 170, "and that of stalls");
	cycle.by_workers = 0;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 170, "workers that got no CPU: the longest runway");
	cycle.forced = true;
	cycle.by_workers = 100000000;
	cycle.stalled_ns = 0;
	for (unsigned int i = 0; i < 2 * PACER_HISTORY; i++)
		pacer_end(&pacer, &cycle);
	runway_is(&pacer, 170, "forced cycles teach nothing");
	cycle.forced = false;
	for (unsigned int i = 0; i < PACER_HISTORY; i++)
		pacer_end(&pacer, &cycle);
	runway_is(&pacer, 190, "the longest of the last few is forgotten");
}

/* The price of an allocation, from the trigger to beyond the goal. */
static void test_price(void)
{
	uint64_t scanned = 0, expected = 100000000, goal = 200000000, trigger = 170000000, heap;
	double price, before = 0, most = 0;
	unsigned int falls = 0;

	ok(pacer_assist(UINT64_MAX, trigger, expected, trigger, 0) == 0, "no goal: no price");
	price = pacer_assist(goal, trigger, expected, trigger, 0);
	ok(price > 3.3 && price < 4.2, "what is to be scanned over the room, a little more: %.2f",
	   price);
	for (heap = trigger; heap < goal + goal / 20; heap += 100000) {
		price = pacer_assist(goal, trigger, expected, heap, 0);
		falls += price < before;
		before = price;
	}
	eq(falls, 0, "with nothing scanned it rises");
	ok(before > 20 && before < 64, "and stays finite past the goal: %.1f", before);
	/* Of what is asked a mutator can pay two thirds. */
	for (heap = trigger; heap < goal && scanned < expected; heap += 8192) {
		price = pacer_assist(goal, trigger, expected, heap, scanned);
		most = larger(most, price);
		scanned += (uint64_t)(price * 8192 * 2 / 3);
	}
	ok(scanned >= expected - expected / 20, "who pays too little pays more later: %.3f of it",
	   (double)scanned / (double)expected);
	ok(most < 30, "in steps: at most %.1f", most);
	scanned = 0;
	for (heap = trigger; scanned < expected - expected / 100; heap += 8192)
		scanned += (uint64_t)(pacer_assist(goal, trigger, expected, heap, scanned) * 8192);
	ok(heap < goal, "who pays is through before the goal: %.4f",
	   (double)(goal - heap) / (double)(goal - trigger));
}

/* Minor cycles, and the full one after them. */
static void test_minor(void)
{
	struct pacer pacer = { .percent = 100, .cpus = 2, .eager = 100 };
	struct pacer_cycle cycle = workers_only;

	cycle.next_minor = true;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 195, "a minor cycle is expected to scan an eighth, and begins late");
	pacer_begin(&pacer, pacer.trigger, true);
	ok(pacer.from == pacer.trigger && pacer.due > pacer.trigger &&
	   pacer.due <= pacer.trigger + (pacer.goal - pacer.trigger) / 2,
	   "and is to be over in a part of its way");
	cycle.minor = true;
	cycle.live = 130000000;
	cycle.scanned = 5000000;
	pacer_end(&pacer, &cycle);
	eq(pacer.goal, 200000000, "it leaves the goal where it was");
	eq(pacer_runway(&pacer), 20000000, "the runway of a full one is that of all there is");
	cycle.next_minor = false;
	cycle.live = 165000000;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 180, "what minor ones took for old is no less room to a full one");
	cycle.live = 190000000;
	pacer_end(&pacer, &cycle);
	runway_is(&pacer, 190, "which begins at once when it comes late");
	pacer_begin(&pacer, 190000000, false);
	eq(pacer.due, pacer.goal, "and has its whole way");
}

/* In use, with what objects take beside their bytes. */
static void test_limit(void)
{
	struct program program = { "limit", steady, calm, COMMON, .limit = 140000000,
				   .overhead = 0.1 };
	struct pacer pacer = pacer_for(&program);
	double heap = 0, most = 0;

	for (unsigned int n = 0; n < CYCLES; n++) {
		struct seen seen = run_cycle(&program, &pacer, n, &heap);

		if (n > 1)
			most = larger(most, seen.peak + program.overhead * seen.live);
		if (n == 1)
			ok(pacer.by_limit, "the goal is the limit's");
	}
	ok(most <= 1.02 * (double)program.limit, "in use stays within 2 %% of the limit: %.4f",
	   most / (double)program.limit);

	/* Live heap above it: nothing can be done by pacing. */
	program.limit = 90000000;
	pacer = pacer_for(&program);
	for (unsigned int n = 0; n < 20; n++)
		run_cycle(&program, &pacer, n, &heap);
	eq(pacer.goal, pacer.live, "a limit below what lives: the goal is what lives");
}

static void test_thrashing(void)
{
	struct pacer pacer = { .percent = 100, .limit = 100000000, .cpus = 2,
			       .eager = 100, .live = 99000000 };
	unsigned int calls = 0;

	pacer_set(&pacer);
	ok(pacer.by_limit, "near the limit");
	for (unsigned int i = 0; i < 1000; i++)
		pacer_spent(&pacer, 50000000, 50000000);
	ok(!pacer.thrashing, "half of the CPU time is not thrashing, however long");
	while (!pacer.thrashing && calls < 1000) {
		pacer_spent(&pacer, 90000000, 10000000);
		calls++;
	}
	eq(calls, 13, "nine tenths are, after a second's more than the program had");
	pacer_set(&pacer);
	ok(!pacer.by_limit, "the limit starts no cycles then");
	calls = 0;
	while (pacer.thrashing && calls < 1000) {
		pacer_spent(&pacer, 0, 50000000);
		calls++;
	}
	eq(calls, 11, "it is paid off by half");
	pacer_set(&pacer);
	ok(pacer.by_limit, "and then it does again");
}

static void test_numbers(void)
{
	struct pacer pacer = { .percent = 100, .cpus = 2, .eager = 100 };

	pacer_set(&pacer);
	eq(pacer.goal, 4 * MIB, "the least heap");
	pacer.percent = 50;
	pacer_set(&pacer);
	eq(pacer.goal, 2 * MIB, "is in proportion");
	pacer.percent = 100;
	pacer.live = 10000000;
	pacer.roots = 3000000;
	pacer_set(&pacer);
	eq(pacer.goal, 23000000, "live + (live + roots) * percent / 100");
	pacer.eager = 50;
	pacer_set(&pacer);
	eq(pacer.goal, 16500000, "under pressure with half the percent");
	pacer.eager = 100;
	pacer.percent = PACER_OFF;
	pacer_set(&pacer);
	ok(pacer.goal == UINT64_MAX && pacer.trigger == UINT64_MAX, "off: no goal");
	pacer.limit = 50000000;
	pacer_set(&pacer);
	ok(pacer.goal < 50000000 && pacer.goal > 40000000, "but the limit's");
	pacer.heap_max = 20000000;
	pacer_set(&pacer);
	eq(pacer.goal, 20000000, "or the hard heap size");
	eq(pacer_reserve(63 * MIB), 0, "no chunk is backed ahead for a small heap");
	eq(pacer_reserve(130 * MIB), 2, "one for each 64 MiB");
	eq(pacer_reserve(UINT64_MAX), 4, "up to four");
	pacer.live = UINT64_MAX / 2 + 1;
	pacer.limit = 0;
	pacer.heap_max = 0;
	pacer.percent = 1000000;
	pacer_set(&pacer);
	ok(pacer.goal == UINT64_MAX, "sums saturate");
	pacer.stopped = true;
	pacer.percent = 100;
	pacer.live = 8 * MIB;
	pacer.roots = 0;
	pacer_set(&pacer);
	eq(pacer.trigger, pacer.goal, "a stopped cycle starts at the goal");
}

static void test_sweep(void)
{
	uint64_t left = 1000, late = 0;

	eq(pacer_sweep(1000, 1000, 0, 100), 0, "sweep: nothing is due at first");
	eq(pacer_sweep(1000, 1000, 50, 100), 500, "half at half the way");
	eq(pacer_sweep(1000, 400, 50, 100), 0, "nothing if others were faster");
	eq(pacer_sweep(1000, 7, 100, 100), 7, "all that is left at the end");
	eq(pacer_sweep(1000, 7, 5, 0), 7, "and without room");
	/* Sixteen at a time, at each of 100 refills. */
	for (uint64_t n = 1; n <= 100; n++) {
		uint64_t due = pacer_sweep(1000, left, n, 100);

		left -= due < 16 ? due : 16;
		late = due > 16 ? due : late;
	}
	eq(left, 0, "a sweep in small steps is over in time");
	eq(late, 0, "no step was too small");
}

/* The collector works in inverse proportion to the room. */
static double share_of(const struct pacer *pacer, double work)
{
	return work / (work + pacer->eager / 100.0);
}

static void test_adaptive(void)
{
	struct pacer pacer = { .percent = 100, .cpus = 2, .eager = 100,
			       .live = 100000000 };
	struct pacer large = { .percent = (1 << 30) + 1, .cpus = 1, .eager = 400,
			       .live = 100000000 };
	unsigned int changes = 0, before;

	pacer_set(&large);
	ok(large.goal / large.live > 1 << 20, "a percent beyond all bounds is one, times four too");
	pacer_adapt(&pacer, 0.9, 2);
	eq(pacer.eager, 100, "not adaptive: nothing moves");
	pacer.adaptive = true;
	for (unsigned int i = 0; i < 50; i++)
		pacer_adapt(&pacer, share_of(&pacer, 0.05), 0);
	eq(pacer.eager, 100, "a collector with little to do: the percent that is set");
	for (unsigned int i = 0; i < 300; i++) {
		before = pacer.eager;
		pacer_adapt(&pacer, share_of(&pacer, 0.6), 0);
		changes += i >= 20 && pacer.eager != before;
	}
	ok(share_of(&pacer, 0.6) <= 0.25 && share_of(&pacer, 0.6) >= 0.15,
	   "a busy one: %u per cent of it, a share of %.2f", pacer.eager, share_of(&pacer, 0.6));
	eq(changes, 0, "and there it stays");
	for (unsigned int i = 0; i < 50; i++)
		pacer_adapt(&pacer, share_of(&pacer, 30), 0);
	eq(pacer.eager, 400, "four times is the most");
	pacer_set(&pacer);
	eq(pacer.goal, 500000000, "of which the goal follows");
	pacer_adapt(&pacer, 0.9, 1);
	eq(pacer.eager, 100, "some pressure, however busy: no more than is set");
	pacer_adapt(&pacer, 0.9, 1);
	eq(pacer.eager, 50, "then half, while it lasts");
	pacer_adapt(&pacer, 0.9, 2);
	eq(pacer.eager, 25, "full pressure: a quarter");
	pacer_adapt(&pacer, 0.9, 1);
	eq(pacer.eager, 25, "which is the least");
	for (changes = 0; changes < 20 && pacer.eager < 100; changes++)
		pacer_adapt(&pacer, 0.05, 0);
	ok(changes <= 8, "when it is over, back within %u cycles", changes);
	pacer_adapt(&pacer, 0.05, 0);
	eq(pacer.eager, 100, "and not beyond");
}

int main(void)
{
	test_numbers();
	test_rates();
	test_price();
	test_minor();
	test_programs();
	test_limit();
	test_thrashing();
	test_sweep();
	test_adaptive();
	return tap_done();
}
