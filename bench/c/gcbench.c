// SPDX-License-Identifier: MIT
/*
 * gcbench DEPTH: Boehm's benchmark, DEPTH is its long-lived tree's (16 in the original).
 *
 * A tree of DEPTH + 2 is made and dropped; one of DEPTH and an array of half a million
 * numbers are kept; then for each second depth from 4 to DEPTH so many trees are made,
 * once from the root down and once from the leaves up, that each depth allocates
 * twice what the first tree did.  The sum is of the nodes made and of what was kept.
 */
#include "bench.h"

#define MIN_DEPTH	4u
#define ARRAY		500000u

#define BOEHM_FIELDS(F)	F(REF, struct boehm, left) F(REF, struct boehm, right) \
			F(VAL, uint32_t, i) F(VAL, uint32_t, j)
PEER_STRUCT(boehm, BOEHM_FIELDS);

static uint64_t made;

static struct boehm *one(peer_thread t)
{
	made++;
	return must(peer_new(t, boehm));
}

/* Stores into a node that is old by then. */
static void populate(peer_thread t, unsigned int depth, struct boehm *node)
{
	if (!depth)
		return;
	peer_store(t, &node->left, one(t));
	peer_store(t, &node->right, one(t));
	populate(t, depth - 1, peer_load(&node->left));
	populate(t, depth - 1, peer_load(&node->right));
}

static struct boehm *make(peer_thread t, unsigned int depth)
{
	struct boehm *left, *right, *node;

	if (!depth)
		return one(t);
	left = make(t, depth - 1);
	right = make(t, depth - 1);
	node = one(t);
	peer_init(t, &node->left, left);
	peer_init(t, &node->right, right);
	return node;
}

static uint64_t count(const struct boehm *node)
{
	const struct boehm *left = peer_load(&node->left);

	return left ? 1 + count(left) + count(peer_load(&node->right)) : 1;
}

static void drop(struct boehm *node)
{
#if !PEER_COLLECTS
	if (node->left) {
		drop(node->left);
		drop(node->right);
	}
	peer_free(node);
#endif
}

void run_gcbench(struct bench *b)
{
	unsigned int depth = (unsigned int)bench_number(b, 0, MIN_DEPTH);
	struct boehm *kept, *tree;
	uint64_t begin = now_ns(), sum;
	peer_thread t = b->t;
	double *array;

	drop(make(t, depth + 2));
	kept = one(t);
	populate(t, depth, kept);
	array = must(peer_bytes(t, ARRAY * sizeof(*array)));
	for (unsigned int i = 1; i < ARRAY; i++)
		array[i] = 1.0 / i;
	for (unsigned int d = MIN_DEPTH; d <= depth; d += 2) {
		unsigned long trees = 2 * ((2ul << (depth + 2)) - 1) / ((2ul << d) - 1);

		for (unsigned long i = 0; i < trees; i++) {
			tree = one(t);
			populate(t, d, tree);
			drop(tree);
		}
		for (unsigned long i = 0; i < trees; i++)
			drop(make(t, d));
	}
	sum = made + count(kept) + (uint64_t)(array[1000] * 1e6);
	bench_ops(made, begin);
	bench_sum(sum);
	drop(kept);
	peer_free(array);
}
