// SPDX-License-Identifier: MIT
/*
 * connections COUNT OPERATIONS SECONDS: the states of a server's connections.
 *
 * COUNT of them, each a header of 64 bytes and a buffer of 64 B to 4 KiB, every
 * doubling as likely.  An operation closes one and opens another in its place (a quarter
 * of them), gives one a buffer of another size (a quarter), or touches one.  Then all are
 * dropped, and the memory is shown after one collection: a second later, SECONDS later,
 * and after the call that gives back what is free.
 */
#include "bench.h"

#define NS_PER_SEC	1000000000ull
#define LISTENERS	16u
#define BUFFER_LEAST	64u
#define BUFFER_DOUBLINGS 6u

#define LISTENER_FIELDS(F)	F(VAL, uint64_t, accepted)
PEER_STRUCT(listener, LISTENER_FIELDS);

#define CONN_FIELDS(F)	F(REF, uint8_t, buffer) F(REF, struct listener, listener) \
			F(VALS, uint64_t, counters, 4) F(VAL, uint64_t, size) \
			F(VAL, uint64_t, touched)
PEER_STRUCT(conn, CONN_FIELDS);

static peer_ref roots[2];	/* connections, listeners */
static struct laps laps;
static uint64_t live;		/* bytes of headers and buffers */

static uint8_t *new_buffer(peer_thread t, uint64_t size, const uint8_t *old, uint64_t old_size)
{
	uint8_t *buffer = must(peer_bytes_raw(t, size));

	if (old)
		memcpy(buffer, old, old_size < size ? old_size : size);
	else
		buffer[0] = 0;
	buffer[size - 1] = 1;
	live += size;
	return buffer;
}

static void open_at(peer_thread t, peer_ref *table, uint64_t i, uint64_t *state)
{
	struct listener *listener;
	struct conn *conn;

	conn = must(peer_new(t, conn));
	listener = peer_load(&((peer_ref *)peer_load(&roots[1]))[i % LISTENERS]);
	listener->accepted++;
	peer_init(t, &conn->listener, listener);
	conn->size = draw_size(state, BUFFER_LEAST, BUFFER_DOUBLINGS);
	peer_store(t, &conn->buffer, new_buffer(t, conn->size, NULL, 0));
	live += sizeof(*conn);
	peer_store(t, &table[i], (void *)conn);
}

static void close_at(peer_thread t, peer_ref *table, uint64_t i)
{
	struct conn *conn = peer_load(&table[i]);

	live -= sizeof(*conn) + conn->size;
	peer_free(peer_load(&conn->buffer));
	peer_free(conn);
}

static void resize_at(peer_thread t, peer_ref *table, uint64_t i, uint64_t *state)
{
	struct conn *conn = peer_load(&table[i]);
	uint64_t size = draw_size(state, BUFFER_LEAST, BUFFER_DOUBLINGS);
	uint8_t *old = peer_load(&conn->buffer);

	peer_store(t, &conn->buffer, new_buffer(t, size, old, conn->size));
	peer_free(old);
	live -= conn->size;
	conn->size = size;
}

static uint64_t touch_at(peer_ref *table, uint64_t i)
{
	struct conn *conn = peer_load(&table[i]);
	uint8_t *buffer = peer_load(&conn->buffer);

	conn->touched++;
	buffer[0]++;
	buffer[conn->size - 1]++;
	return conn->touched + buffer[0] + buffer[conn->size - 1];
}

/* Not inlined: what it leaves on the stack must not outlive it. */
__attribute__((noinline))
static uint64_t serve(struct bench *b, uint64_t count, uint64_t operations)
{
	uint64_t state = 2, sum = 0, begin;
	peer_thread t = b->t;
	peer_ref *table;

	table = bench_table(t, &roots[1], LISTENERS);
	for (unsigned int i = 0; i < LISTENERS; i++)
		peer_store(t, &table[i], (void *)must(peer_new(t, listener)));
	table = bench_table(t, &roots[0], count);
	for (uint64_t i = 0; i < count; i++)
		open_at(t, table, i, &state);
	begin = now_ns();
	laps_begin(&laps);
	for (uint64_t op = 0; op < operations; op++) {
		uint64_t i = draw_below(&state, count), what = draw_below(&state, 4);

		if (what == 0) {
			close_at(t, table, i);
			open_at(t, table, i, &state);
		} else if (what == 1) {
			resize_at(t, table, i, &state);
		} else {
			sum += touch_at(table, i);
		}
		if (op % BATCH == BATCH - 1)
			laps_next(&laps);
	}
	bench_ops(operations, begin);
	laps_print(&laps);
	return sum;
}

__attribute__((noinline))
static void drop(struct bench *b, uint64_t count)
{
	peer_ref *table = peer_load(&roots[0]);

	for (uint64_t i = 0; i < count; i++)
		close_at(b->t, table, i);
	peer_free(table);
}

void run_connections(struct bench *b)
{
	uint64_t count = bench_number(b, 0, 1), operations = bench_number(b, 1, BATCH);
	uint64_t seconds = bench_number(b, 2, 1), sum;

	peer_roots(roots, 2);
	sum = serve(b, count, operations);
	bench_figure("live", "KiB", (double)live / 1024);
	sum += live;
	bench_sum(sum);
	bench_memory("full", 0);
	if (!PEER_COLLECTS)
		drop(b, count);
	peer_store(b->t, &roots[0], NULL);
	peer_collect(b->t);
	bench_sleep(b->t, NS_PER_SEC);
	bench_memory("dropped_1s", 0);
	bench_sleep(b->t, (seconds - 1) * NS_PER_SEC);
	bench_memory("dropped_end", 0);
	peer_release(b->t);
	bench_memory("released", 0);
}
