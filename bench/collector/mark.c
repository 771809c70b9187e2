// SPDX-License-Identifier: MIT
/*
 * mark SHAPE [OBJECTS [WORKERS [ROUNDS]]]: marking against a walk that cannot be faster.
 *
 * SHAPE is "random" (64 bytes, four edges to anywhere), "tree" (16 bytes, built from
 * the leaves) or "list" (64 bytes, in order of allocation).  The heap stops for its
 * cycles, so that a forced cycle is marking and little else.  The floor is a
 * walk over the same objects by the program itself: a byte an object says that it
 * was seen, a queue of pointers asks for memory ahead.  Each round does both, one
 * after the other; printed: nanoseconds an object, medians, and the ratio.
 *
 * Not part of make check.
 */
#include <gcarena.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define EDGES		4
#define ROUNDS_MAX	101	/* a byte says which */
/* Pointers between asking for an object and reading it. */
#define AHEAD		16u
#define HEAP_SIZE	(64ull << 30)	/* more than is used on either side */

#define WIDE_FIELDS(F)	F(REFS, struct wide, edge, EDGES) F(VALS, uint64_t, data, 3) \
			F(VAL, uint64_t, last)
#define LEAN_FIELDS(F)	F(REFS, struct lean, edge, 2)
GCA_STRUCT(wide, WIDE_FIELDS);
GCA_STRUCT(lean, LEAN_FIELDS);

static struct gca_mutator *m;

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "mark: %s: %s\n", what, gca_error());
	exit(1);
}

/* With one worker all is done by this thread: then its CPU time, which a busy machine
 * does not stretch.
 */
static clockid_t watch = CLOCK_MONOTONIC;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(watch, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t random_next(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static struct wide *make_random(size_t objects)
{
	gca_ref *table = gca_new_refs(m, objects);
	struct wide *node;
	size_t i;
	int e;

	must(table, "table");
	for (i = 0; i < objects; i++) {
		node = gca_new(m, wide);
		must(node, "node");
		gca_store(m, &table[i], (void *)node);
	}
	for (i = 0; i < objects; i++) {
		node = gca_load(&table[i]);
		/* A ring, so that all are reached, and three edges to anywhere. */
		gca_store(m, &node->edge[0], (struct wide *)gca_load(&table[(i + 1) % objects]));
		for (e = 1; e < EDGES; e++)
			gca_store(m, &node->edge[e],
				  (struct wide *)gca_load(&table[random_next() % objects]));
	}
	return gca_load(&table[0]);
}

static struct wide *make_list(size_t objects)
{
	struct wide *node, *head = NULL;

	while (objects--) {
		node = gca_new(m, wide);
		must(node, "node");
		gca_init(m, &node->edge[0], head);
		head = node;
	}
	return head;
}

static struct lean *make_tree(unsigned int levels)
{
	struct lean *left = NULL, *right = NULL, *node;

	if (levels) {
		left = make_tree(levels - 1);
		right = make_tree(levels - 1);
	}
	node = gca_new(m, lean);
	must(node, "node");
	gca_init(m, &node->edge[0], left);
	gca_init(m, &node->edge[1], right);
	return node;
}

struct floor {
	uint8_t *seen;		/* in which round, by 16 bytes of the heap from @low on */
	uintptr_t low;
	uint8_t round;
	void **stack;
	size_t nr;
};

/* Objects reached. */
static size_t walk(struct floor *f, void *root, unsigned int edges)
{
	void *queue[AHEAD] = { root };
	unsigned int at = 0, held = 1, e;
	size_t objects = 0;

	while (held || f->nr) {
		void **place = &queue[at++ % AHEAD], *object = *place;

		*place = NULL;
		if (f->nr) {
			*place = f->stack[--f->nr];
			__builtin_prefetch(*place);
			__builtin_prefetch(&f->seen[((uintptr_t)*place - f->low) >> 4], 1);
			held++;
		}
		if (!object)
			continue;
		held--;
		if (f->seen[((uintptr_t)object - f->low) >> 4] == f->round)
			continue;
		f->seen[((uintptr_t)object - f->low) >> 4] = f->round;
		objects++;
		for (e = 0; e < edges; e++) {
			void *next = gca_load(&((gca_ref *)object)[e]);

			if (next)
				f->stack[f->nr++] = next;
		}
	}
	return objects;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int nr)
{
	qsort(values, nr, sizeof(*values), compare);
	return values[nr / 2];
}

int main(int argc, char **argv)
{
	double floor_ns[ROUNDS_MAX], mark_ns[ROUNDS_MAX], ratio[ROUNDS_MAX];
	const char *shape = argc > 1 ? argv[1] : "random";
	size_t objects = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000, reached = 0;
	unsigned int workers = argc > 3 ? (unsigned int)atoi(argv[3]) : 1;
	unsigned int rounds = argc > 4 ? (unsigned int)atoi(argv[4]) : 11, i, edges = EDGES;
	struct gca_stats stats = { .size = sizeof(stats) };
	struct gca_config config;
	struct gca_heap *heap;
	struct floor f = { 0 };
	uint64_t cpu_ns;
	void *root;

	if (!rounds || rounds > ROUNDS_MAX)
		rounds = ROUNDS_MAX;
	if (workers == 1)
		watch = CLOCK_THREAD_CPUTIME_ID;
	gca_config_init(&config);
	config.mode = GCA_MODE_STOP_THE_WORLD;
	config.workers = workers;
	must(!gca_open(&config, &heap), "open");
	must(!gca_attach(heap, GCA_STACK_CONSERVATIVE, &m), "attach");
	if (!strcmp(shape, "tree")) {
		unsigned int levels = 0;

		while ((2ul << levels) < objects)
			levels++;
		root = make_tree(levels);
		edges = 2;
	} else if (!strcmp(shape, "list")) {
		root = make_list(objects);
	} else {
		root = make_random(objects);
	}
	must(!gca_collect(m), "collect");
	must(!gca_stats(heap, &stats), "stats");
	/* Wherever the root is in the heap. */
	f.low = (uintptr_t)root - HEAP_SIZE / 2;
	cpu_ns = stats.gc_cpu_ns;
	f.seen = mmap(NULL, HEAP_SIZE >> 4, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	f.stack = malloc((stats.heap_live_objects * edges + 1) * sizeof(*f.stack));
	must(f.seen != MAP_FAILED && f.stack, "memory");
	for (i = 0; i < rounds; i++) {
		uint64_t begin, middle;

		f.round++;
		begin = now();
		reached = walk(&f, root, edges);
		middle = now();
		must(!gca_collect(m), "collect");
		mark_ns[i] = (double)(now() - middle);
		floor_ns[i] = (double)(middle - begin);
		ratio[i] = floor_ns[i] / mark_ns[i];
		f.nr = 0;
	}
	must(!gca_stats(heap, &stats), "stats");
	printf("%s: %zu objects, %u workers: ", shape, reached, workers);
	printf("floor %.1f ns, mark %.1f ns an object, throughput %.2f of the floor's; ",
	       median(floor_ns, rounds) / (double)reached,
	       median(mark_ns, rounds) / (double)stats.heap_live_objects, median(ratio, rounds));
	printf("%.1f ns of all workers' CPU an object\n",
	       (double)(stats.gc_cpu_ns - cpu_ns) / rounds / (double)stats.heap_live_objects);
	gca_detach(m);
	return gca_close(heap) != 0;
}
