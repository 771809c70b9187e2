// SPDX-License-Identifier: MIT
/*
 * trees DEPTH THREADS: binary-trees.
 *
 * One tree of DEPTH + 1 is made and dropped, one of DEPTH is kept, and of each
 * depth from 4 to DEPTH in steps of two so many trees are made, walked and dropped
 * that each depth makes as many nodes; the threads share them out.  The sum is of the nodes
 * counted.  A tree is built from its leaves and freed whole.
 */
#include "bench.h"

#define MIN_DEPTH	4
#define THREADS_MAX	64

#define NODE_FIELDS(F)	F(REF, struct node, left) F(REF, struct node, right)
PEER_STRUCT(node, NODE_FIELDS);

static unsigned int depth, nr_threads;

static struct node *make(peer_thread t, unsigned int levels)
{
	struct node *left = NULL, *right = NULL, *node;

	if (levels) {
		left = make(t, levels - 1);
		right = make(t, levels - 1);
	}
	node = peer_new(t, node);
	if (!node)
		bench_die("out of memory");
	peer_init(t, &node->left, left);
	peer_init(t, &node->right, right);
	return node;
}

static unsigned long count(const struct node *node)
{
	const struct node *left = peer_load(&node->left);

	return left ? 1 + count(left) + count(peer_load(&node->right)) : 1;
}

#if PEER_COLLECTS
static void drop(struct node *node)
{
}
#else
static void drop(struct node *node)
{
	if (node->left) {
		drop(node->left);
		drop(node->right);
	}
	peer_free(node);
}
#endif

struct share {
	pthread_t thread;
	unsigned int index;
	unsigned long nodes;
};

static void *work(void *arg)
{
	struct share *share = arg;
	peer_thread t = peer_enter();

	for (unsigned int d = MIN_DEPTH; d <= depth; d += 2) {
		unsigned long trees = 1ul << (depth - d + MIN_DEPTH);

		for (unsigned long i = share->index; i < trees; i += nr_threads) {
			struct node *tree = make(t, d);

			share->nodes += count(tree);
			drop(tree);
		}
	}
	peer_leave(t);
	return NULL;
}

void run_trees(struct bench *b)
{
	struct share shares[THREADS_MAX] = { 0 };
	uint64_t begin = now_ns();
	unsigned long nodes;
	struct node *tree;
	peer_thread t = b->t;

	depth = (unsigned int)bench_number(b, 0, MIN_DEPTH);
	nr_threads = (unsigned int)bench_number(b, 1, 1);
	if (nr_threads > THREADS_MAX)
		bench_die("too many threads");
	tree = make(t, depth + 1);
	nodes = count(tree);
	drop(tree);
	tree = make(t, depth);
	for (unsigned int i = 0; i < nr_threads; i++) {
		shares[i].index = i;
		if (pthread_create(&shares[i].thread, NULL, work, &shares[i]))
			bench_die("no thread");
	}
	for (unsigned int i = 0; i < nr_threads; i++) {
		peer_blocked(t, pthread_join(shares[i].thread, NULL));
		nodes += shares[i].nodes;
	}
	nodes += count(tree);
	drop(tree);
	bench_ops(nodes, begin);
	bench_sum(nodes);
}
