// SPDX-License-Identifier: MIT
/*
 * mutate NODES STEPS: a large graph whose pointers change all the time.
 *
 * NODES of 64 bytes behind a table.  A step stores two pointers between old nodes, puts
 * one new node in the place of another that one of the first quarter of the nodes refers
 * to, and makes a list of three nodes that dies at once.  The sum is of what the
 * steps read on their way and of where the pointers lead in the end.
 */
#include "bench.h"

#define MUTANT_FIELDS(F)	F(REF, struct mutant, left) F(REF, struct mutant, right) \
				F(REF, struct mutant, extra) F(VALS, uint64_t, data, 4) \
				F(VAL, uint64_t, value)
PEER_STRUCT(mutant, MUTANT_FIELDS);

static peer_ref roots[1];
static struct laps laps;

static struct mutant *node_at(peer_ref *table, uint64_t i)
{
	return peer_load(&table[i]);
}

static uint64_t short_list(peer_thread t, uint64_t step)
{
	struct mutant *first, *second, *third;
	uint64_t sum;

	first = must(peer_new(t, mutant));
	first->value = step;
	second = must(peer_new(t, mutant));
	peer_init(t, &second->left, first);
	third = must(peer_new(t, mutant));
	peer_init(t, &third->left, second);
	second = peer_load(&third->left);
	first = peer_load(&second->left);
	sum = first->value;
	peer_free(first);
	peer_free(second);
	peer_free(third);
	return sum;
}

void run_mutate(struct bench *b)
{
	uint64_t nodes = bench_number(b, 0, 4), steps = bench_number(b, 1, BATCH);
	uint64_t slots = nodes / 4, state = 1, sum = 0, begin;
	struct mutant *node, *old;
	peer_thread t = b->t;
	peer_ref *table;

	peer_roots(roots, 1);
	table = bench_table(t, &roots[0], nodes);
	for (uint64_t i = 0; i < nodes; i++) {
		node = must(peer_new(t, mutant));
		node->value = i;
		if (i)
			peer_init(t, &node->left, node_at(table, draw_below(&state, i)));
		peer_store(t, &table[i], (void *)node);
	}
	begin = now_ns();
	laps_begin(&laps);
	for (uint64_t i = 0; i < steps; i++) {
		node = node_at(table, draw_below(&state, nodes));
		peer_store(t, &node->left, node_at(table, draw_below(&state, nodes)));
		node = node_at(table, draw_below(&state, nodes));
		peer_store(t, &node->right, node_at(table, draw_below(&state, nodes)));
		node = must(peer_new(t, mutant));
		node->value = i;
		old = node_at(table, draw_below(&state, slots));
		if (peer_load(&old->extra)) {
			sum += peer_load(&old->extra)->value;
			peer_free(peer_load(&old->extra));
		}
		peer_store(t, &old->extra, node);
		sum += short_list(t, i);
		if (i % BATCH == BATCH - 1)
			laps_next(&laps);
	}
	bench_ops(steps, begin);
	laps_print(&laps);
	for (uint64_t i = 0; i < nodes; i++) {
		node = node_at(table, i);
		if (peer_load(&node->left))
			sum += peer_load(&node->left)->value;
		if (peer_load(&node->right))
			sum += 3 * peer_load(&node->right)->value;
	}
	bench_sum(sum);
}
