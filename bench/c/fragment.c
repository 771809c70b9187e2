// SPDX-License-Identifier: MIT
/*
 * fragment PHASES OBJECTS SECONDS: what stays of memory when little of each part lives.
 *
 * In each of PHASES phases OBJECTS byte objects of 32 B to 4 KiB are made, every
 * doubling as likely; then a random tenth of them is kept for good and the rest dropped, and
 * collected: what is measured is how memory breaks up, not when collections come.
 * Shown is the process's memory over the live bytes, with the table of what is kept: after
 * the last collection, SECONDS later, and after the call that gives back what is free; where
 * there is one, after the call that takes what lies between objects as well, with what that
 * leaves of huge pages.
 */
#include "bench.h"

#define NS_PER_SEC	1000000000ull
#define LEAST		32u
#define DOUBLINGS	7u
#define KEPT_OF		10u	/* one of so many */

static peer_ref roots[2];	/* of the phase, kept */

__attribute__((noinline))
static uint64_t fill(struct bench *b, uint64_t phases, uint64_t objects, uint64_t *live,
		     uint64_t *held)
{
	uint64_t state = 3, sum = 0, nr = 0, room = phases * objects, begin = now_ns();
	peer_ref *table, *kept;
	peer_thread t = b->t;
	uint64_t *sizes;

	table = bench_table(t, &roots[0], objects);
	/* Half as much again as is expected; the rest of the stream may be in luck. */
	room = room * 3 / (2 * KEPT_OF) + BATCH;
	kept = bench_table(t, &roots[1], room);
	sizes = must(peer_bytes_raw(t, objects * sizeof(*sizes)));
	for (uint64_t phase = 0; phase < phases; phase++) {
		for (uint64_t i = 0; i < objects; i++) {
			uint64_t size = draw_size(&state, LEAST, DOUBLINGS);
			uint8_t *object = must(peer_bytes_raw(t, size));

			object[0] = (uint8_t)i;
			object[size - 1] = (uint8_t)phase;
			sizes[i] = size;
			peer_store(t, &table[i], (void *)object);
		}
		for (uint64_t i = 0; i < objects; i++) {
			uint8_t *object = peer_load(&table[i]);

			if (draw_below(&state, KEPT_OF) || nr == room) {
				peer_free(object);
				continue;
			}
			peer_store(t, &kept[nr], (void *)object);
			nr++;
			*live += sizes[i];
			sum += object[0] + object[sizes[i] - 1];
		}
		for (uint64_t i = 0; i < objects; i++)
			peer_store(t, &table[i], NULL);
		peer_collect(t);
	}
	bench_ops(phases * objects, begin);
	*held = *live + nr * sizeof(*kept);
	peer_free(sizes);
	peer_free(table);
	return sum;
}

void run_fragment(struct bench *b)
{
	uint64_t phases = bench_number(b, 0, 1), objects = bench_number(b, 1, KEPT_OF);
	uint64_t seconds = bench_number(b, 2, 0), live = 0, held, sum;

	peer_roots(roots, 2);
	sum = fill(b, phases, objects, &live, &held);
	bench_sum(sum + live);
	bench_figure("live", "KiB", (double)held / 1024);
	peer_store(b->t, &roots[0], NULL);
	peer_collect(b->t);
	bench_memory("collected", held);
	bench_sleep(b->t, seconds * NS_PER_SEC);
	bench_memory("later", held);
	peer_release(b->t);
	bench_memory("released", held);
	if (peer_release_inside(b->t))
		bench_memory("inside", held);
}
