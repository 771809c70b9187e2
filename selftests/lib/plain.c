// SPDX-License-Identifier: MIT
/*
 * Plain C on a stop-the-world heap: ordinary structures, ordinary pointers and
 * assignments, memcpy and qsort over arrays of them, conservative data and stack,
 * several threads.  No macro but the allocation.
 */
#include "lib.h"

struct tree {
	struct tree *left;
	struct tree *right;
	char *name;
	unsigned long key;
};

static struct tree *insert(struct gca_mutator *m, struct tree *tree, unsigned long key)
{
	if (!tree) {
		tree = must(gca_alloc(m, gca_kind_conservative(), sizeof(*tree)));
		tree->key = key;
		tree->name = must(gca_new_bytes(m, 24));
		snprintf(tree->name, 24, "key %lu", key);
	} else if (key < tree->key) {
		tree->left = insert(m, tree->left, key);
	} else if (key > tree->key) {
		tree->right = insert(m, tree->right, key);
	}
	return tree;
}

/* Checks order and names; the number of nodes, or 0 when something is wrong. */
static size_t check(const struct tree *tree, unsigned long low, unsigned long high)
{
	char name[24];

	if (!tree)
		return 0;
	snprintf(name, sizeof(name), "key %lu", tree->key);
	if (tree->key < low || tree->key >= high || strcmp(name, tree->name))
		bail("a node is not what was built: %lu, \"%s\"", tree->key, tree->name);
	return 1 + check(tree->left, low, tree->key) + check(tree->right, tree->key + 1, high);
}

static int by_key(const void *a, const void *b)
{
	const struct tree *x = *(struct tree *const *)a;
	const struct tree *y = *(struct tree *const *)b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void collect_nodes(struct tree *tree, struct tree **array, size_t *nr)
{
	if (!tree)
		return;
	collect_nodes(tree->left, array, nr);
	array[(*nr)++] = tree;
	collect_nodes(tree->right, array, nr);
}

/* Builds, flattens into a heap array, shuffles it, sorts it by libc, rebuilds. */
static size_t exercise(struct gca_mutator *m, struct rng *rng, size_t nodes)
{
	struct tree *tree = NULL, *again = NULL;
	struct tree **array, **copy;
	size_t nr = 0, count;

	for (size_t i = 0; i < nodes; i++)
		tree = insert(m, tree, rng_below(rng, 1000000));
	count = check(tree, 0, 1000000);
	array = must(gca_alloc(m, gca_kind_conservative(), count * sizeof(*array)));
	collect_nodes(tree, array, &nr);
	tree = NULL;
	gca_collect(m);
	for (size_t i = 0; i < nr; i++) {
		size_t j = rng_below(rng, nr);
		struct tree *swap = array[i];

		array[i] = array[j];
		array[j] = swap;
	}
	copy = must(gca_alloc(m, gca_kind_conservative(), count * sizeof(*array)));
	memcpy(copy, array, count * sizeof(*array));
	array = NULL;
	gca_collect(m);
	for (size_t i = 0; i < nr; i++) {
		copy[i]->left = NULL;
		copy[i]->right = NULL;
	}
	for (size_t i = 0; i < nr; i++)
		again = insert(m, again, copy[i]->key);
	qsort(copy, nr, sizeof(*copy), by_key);
	gca_collect(m);
	for (size_t i = 1; i < nr; i++)
		if (copy[i - 1]->key >= copy[i]->key)
			return 0;
	return check(again, 0, 1000000) == nr ? nr : 0;
}

struct job {
	struct gca_heap *heap;
	unsigned int number;
	size_t failed;
};

static void *work(void *arg)
{
	struct job *job = arg;
	struct gca_mutator *m = attach(job->heap, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded(job->number);

	for (size_t round = 0; round < scaled(10); round++)
		job->failed += !exercise(m, &rng, 2000);
	job->failed += gca_detach(m) != 0;
	return NULL;
}

/* A global is a root when it is registered; its stores stay plain. */
static struct tree *global;

static void test_global(struct gca_heap *heap)
{
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t nodes = 0;

	eq(gca_root_add(heap, &global, sizeof(global)), 0, "a global is registered");
	for (unsigned long i = 0; i < 500; i++) {
		struct tree *node = must(gca_alloc(m, gca_kind_conservative(), sizeof(*node)));

		node->left = global;
		node->key = i;
		global = node;
	}
	eq(live_objects(m), 500, "what it leads to lives");
	for (struct tree *node = global; node; node = node->left)
		nodes += node->key == 499 - nodes;
	eq(nodes, 500, "in order");
	global = NULL;
	eq(live_objects(m), 0, "and goes when it is cleared");
	gca_root_remove(heap, &global);
	gca_detach(m);
}

int main(void)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct job jobs[4];
	pthread_t threads[4];
	size_t failed = 0;

	gca_config_init(&config);
	config.mode = GCA_MODE_STOP_THE_WORLD;
	config.percent = 30;
	heap = open_with(&config);
	for (unsigned int i = 0; i < 4; i++) {
		jobs[i] = (struct job){ heap, i, 0 };
		if (pthread_create(&threads[i], NULL, work, &jobs[i]))
			bail("pthread_create");
	}
	for (unsigned int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		failed += jobs[i].failed;
	}
	eq(failed, 0, "trees of plain C in four threads");
	ok(stats_of(heap).num_gc > 4, "over %llu cycles",
	   (unsigned long long)stats_of(heap).num_gc);
	test_global(heap);
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
