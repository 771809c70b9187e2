// SPDX-License-Identifier: MIT
/*
 * limit MIB OPERATIONS: churn with 60 % of a memory limit of MIB live.
 *
 * The runner sets the limit; for "confined" it is a control group's, and the heap's own a
 * tenth below, for what is not its.  Objects are of 64 bytes with a pointer to 128 to 1,024
 * bytes; each operation puts a new pair in the place of another.  A heap that says no
 * is reported as not having completed, and has no sum.
 */
#include "bench.h"

#define LIVE_PERCENT	60u
#define PAIR_BYTES	(64 + 560)	/* the mean, size classes' rounding included */
#define BYTES_LEAST	128u
#define BYTES_DOUBLINGS	3u

#define PAIR_FIELDS(F)	F(REF, uint8_t, bytes) F(VALS, uint64_t, data, 6) F(VAL, uint64_t, value)
PEER_STRUCT(pair, PAIR_FIELDS);

static peer_ref roots[1];
static struct laps laps;

/* NULL: no memory. */
static struct pair *new_pair(peer_thread t, uint64_t value, uint64_t *state)
{
	uint64_t size = draw_size(state, BYTES_LEAST, BYTES_DOUBLINGS);
	struct pair *pair = peer_new(t, pair);
	uint8_t *bytes = pair ? peer_bytes_raw(t, size) : NULL;

	if (!bytes)
		return NULL;
	bytes[0] = (uint8_t)value;
	bytes[size - 1] = (uint8_t)value;
	pair->value = value;
	peer_store(t, &pair->bytes, bytes);
	return pair;
}

void run_limit(struct bench *b)
{
	uint64_t limit = bench_number(b, 0, 16) << 20, operations = bench_number(b, 1, BATCH);
	uint64_t nr = limit * LIVE_PERCENT / 100 / PAIR_BYTES, state = 7, sum = 0, begin;
	struct pair *pair, *old;
	peer_thread t = b->t;
	peer_ref *table;

	peer_roots(roots, 1);
	table = bench_table(t, &roots[0], nr);
	for (uint64_t i = 0; i < nr; i++) {
		pair = new_pair(t, i, &state);
		if (!pair)
			goto refused;
		peer_store(t, &table[i], (void *)pair);
	}
	begin = now_ns();
	laps_begin(&laps);
	for (uint64_t i = 0; i < operations; i++) {
		peer_ref *slot = &table[draw_below(&state, nr)];

		pair = new_pair(t, i, &state);
		if (!pair)
			goto refused;
		old = peer_load(slot);
		sum += old->value + peer_load(&old->bytes)[0];
		peer_store(t, slot, (void *)pair);
		peer_free(peer_load(&old->bytes));
		peer_free(old);
		if (i % BATCH == BATCH - 1)
			laps_next(&laps);
	}
	bench_ops(operations, begin);
	laps_print(&laps);
	bench_figure("completed", "1", 1);
	bench_sum(sum);
	return;
refused:
	bench_figure("completed", "1", 0);
	printf("sum none\n");
}
