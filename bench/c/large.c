// SPDX-License-Identifier: MIT
/*
 * large SLOTS OPERATIONS: buffers of 33 KiB to 8 MiB that come and go.
 *
 * Each operation puts a zeroed buffer in the place of another and writes a byte of each
 * base page.  jitter SLOTS STEPS: a buffer of 33 KiB every 16 steps, a small object
 * each step, and another thread that asks for one collection after another.
 */
#include "bench.h"

#define BUFFER_LEAST	(33u << 10)
#define BUFFER_DOUBLINGS 8u
#define BASE_PAGE	4096u
#define BUFFER_EVERY	16u	/* steps of jitter */
#define SMALL_SLOTS	4096u
#define COLLECT_EVERY_NS 20000000ull

#define CRUMB_FIELDS(F)	F(REF, struct crumb, next) F(VALS, uint64_t, data, 6) \
			F(VAL, uint64_t, value)
PEER_STRUCT(crumb, CRUMB_FIELDS);

static peer_ref roots[2];
static struct laps laps;

static uint64_t fresh(peer_thread t, peer_ref *slot, uint64_t size)
{
	uint8_t *buffer, *old = peer_load(slot);
	uint64_t sum = 0;

	peer_store(t, slot, NULL);
	peer_free(old);
	buffer = must(peer_bytes(t, size));
	for (uint64_t i = 0; i < size; i += BASE_PAGE) {
		sum += buffer[i];
		buffer[i] = 1;
	}
	peer_store(t, slot, (void *)buffer);
	return sum + size;
}

void run_large(struct bench *b)
{
	uint64_t slots = bench_number(b, 0, 1), operations = bench_number(b, 1, BATCH);
	uint64_t state = 4, sum = 0, begin = now_ns();
	peer_thread t = b->t;
	peer_ref *table;

	peer_roots(roots, 2);
	table = bench_table(t, &roots[0], slots);
	laps_begin(&laps);
	for (uint64_t i = 0; i < operations; i++) {
		uint64_t size = draw_size(&state, BUFFER_LEAST, BUFFER_DOUBLINGS);

		sum += fresh(t, &table[draw_below(&state, slots)], size);
		if (i % BATCH == BATCH - 1)
			laps_next(&laps);
	}
	bench_ops(operations, begin);
	laps_print(&laps);
	bench_sum(sum);
}

static uint32_t quit;

static void *collect(void *arg)
{
	peer_thread t = peer_enter();

	while (!__atomic_load_n(&quit, __ATOMIC_RELAXED)) {
		peer_collect(t);
		bench_sleep(t, COLLECT_EVERY_NS);
	}
	peer_leave(t);
	return NULL;
}

void run_jitter(struct bench *b)
{
	uint64_t slots = bench_number(b, 0, 1), steps = bench_number(b, 1, BATCH);
	uint64_t state = 5, sum = 0, begin;
	peer_ref *table, *small;
	peer_thread t = b->t;
	pthread_t collector;

	peer_roots(roots, 2);
	table = bench_table(t, &roots[0], slots);
	small = bench_table(t, &roots[1], SMALL_SLOTS);
	if (pthread_create(&collector, NULL, collect, NULL))
		bench_die("no thread");
	begin = now_ns();
	laps_begin(&laps);
	for (uint64_t i = 0; i < steps; i++) {
		struct crumb *crumb = must(peer_new(t, crumb)), *old;
		peer_ref *slot = &small[draw_below(&state, SMALL_SLOTS)];

		crumb->value = i;
		old = peer_load(slot);
		if (old)
			sum += old->value;
		peer_store(t, slot, (void *)crumb);
		peer_free(old);
		if (i % BUFFER_EVERY == 0)
			sum += fresh(t, &table[draw_below(&state, slots)], BUFFER_LEAST);
		if (i % BATCH == BATCH - 1)
			laps_next(&laps);
	}
	bench_ops(steps, begin);
	laps_print(&laps);
	bench_sum(sum);
	__atomic_store_n(&quit, 1, __ATOMIC_RELAXED);
	peer_blocked(t, pthread_join(collector, NULL));
}
