// SPDX-License-Identifier: MIT
/*
 * Work at a rate that is given: a share of objects each millisecond.
 *
 * bursty NODES TICKS RATE: NODES of 64 bytes live; RATE are made each tick of a
 * millisecond, and ten times as many in every second stretch of 50 ticks; one in four
 * takes the place of a live one.  percent PERCENT NODES TICKS RATE: the same at one
 * rate; the runner sets the GC percent.  Latency counts the work of a batch, not the
 * waiting between ticks.
 */
#include "bench.h"

#define TICK_NS		1000000ull
#define STRETCH		50u	/* ticks */
#define BURST		10u	/* times the rate */
#define KEPT_OF		4u

#define PACED_FIELDS(F)	F(REF, struct paced, next) F(VALS, uint64_t, data, 6) \
			F(VAL, uint64_t, value)
PEER_STRUCT(paced, PACED_FIELDS);

static peer_ref roots[1];
static struct laps laps;

static void paced(struct bench *b, int first, unsigned int burst)
{
	uint64_t nodes = bench_number(b, first, 1), ticks = bench_number(b, first + 1, 1);
	uint64_t rate = bench_number(b, first + 2, BATCH), state = 6, sum = 0, made = 0;
	uint64_t begin, late = 0;
	struct paced *node, *old;
	peer_thread t = b->t;
	peer_ref *table, *slot;

	peer_roots(roots, 1);
	table = bench_table(t, &roots[0], nodes);
	for (uint64_t i = 0; i < nodes; i++)
		peer_store(t, &table[i], (void *)must(peer_new(t, paced)));
	begin = now_ns();
	for (uint64_t tick = 0; tick < ticks; tick++) {
		uint64_t due = begin + tick * TICK_NS, now = now_ns();
		uint64_t n = tick / STRETCH % 2 ? rate * burst : rate;

		if (now < due)
			bench_sleep(t, due - now);
		else if (now > due + TICK_NS)
			late++;
		laps_begin(&laps);
		for (uint64_t i = 0; i < n; i++) {
			node = must(peer_new(t, paced));
			node->value = made++;
			if (i % KEPT_OF) {
				sum += node->value;
				peer_free(node);
			} else {
				slot = &table[draw_below(&state, nodes)];
				old = peer_load(slot);
				sum += old->value;
				peer_store(t, slot, (void *)node);
				peer_free(old);
			}
			if (i % BATCH == BATCH - 1)
				laps_next(&laps);
		}
	}
	bench_ops(made, begin);
	bench_figure("late", "ticks", (double)late);
	laps_print(&laps);
	bench_sum(sum);
}

void run_bursty(struct bench *b)
{
	paced(b, 0, BURST);
}

void run_percent(struct bench *b)
{
	paced(b, 1, 1);
}
