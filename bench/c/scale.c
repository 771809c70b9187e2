// SPDX-License-Identifier: MIT
/*
 * scale MIB CYCLES: what a collection costs by the live set, beside the floor.
 *
 * Nodes of 64 bytes with two pointers each, to nodes anywhere before them, all kept by a
 * table.  CYCLES collections are asked for, the process's CPU time taken for each.
 * The floor is what no collector goes below: following all those pointers
 * once, from a queue that prefetches; and for memory, clearing what was touched before,
 * clearing what was not, and giving it back.  Beside those stands what the heap takes to
 * give back all that was live, and to make zeroed buffers of what it then has.
 */
#include "bench.h"

#include <pthread.h>
#include <sys/mman.h>

#define AHEAD		16u	/* nodes between prefetch and use */
#define CHASERS		2u
#define CHASES		3u	/* of which the faster counts */
#define UNIT		64u	/* bytes: of memory, figures are for so many */
#define MEMORY_MOST	(256u << 20)	/* what the floors clear and give back */
#define BUFFER		((1u << 20) - UNIT)	/* what a heap adds still fits the MiB */

#define SCALED_FIELDS(F)	F(REF, struct scaled, left) F(REF, struct scaled, right) \
				F(VALS, uint64_t, data, 4) F(VAL, uint64_t, seen) \
				F(VAL, uint64_t, value)
PEER_STRUCT(scaled, SCALED_FIELDS);

static peer_ref roots[1];

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Two threads share the graph: who comes first to a node goes on from there. */
struct chaser {
	pthread_t thread;
	peer_ref *table;
	uint64_t nr, first, step;	/* entries of the table; those that are its own */
	uint64_t round, seen;
	struct scaled *ring[AHEAD];	/* asked for, looked at in this order */
	uint32_t oldest, waiting;
	struct scaled **stack;		/* what the ring has no room for */
	uint64_t depth;
};

static inline void visit(struct chaser *c, struct scaled *node)
{
	if (!node)
		return;
	if (c->waiting == AHEAD) {
		c->stack[c->depth++] = node;
		return;
	}
	__builtin_prefetch(&node->seen, 1);
	c->ring[(c->oldest + c->waiting++) % AHEAD] = node;
}

/* Every node comes in by the table, as with a collector, and once more for each pointer. */
static void *chase(void *arg)
{
	struct chaser *c = arg;
	uint64_t i = c->first;

	for (;;) {
		struct scaled *node;

		while (c->waiting < AHEAD && (c->depth || i < c->nr)) {
			if (c->depth) {
				visit(c, c->stack[--c->depth]);
			} else {
				visit(c, peer_load(&c->table[i]));
				i += c->step;
			}
		}
		if (!c->waiting)
			return NULL;
		node = c->ring[c->oldest];
		c->oldest = (c->oldest + 1) % AHEAD;
		c->waiting--;
		if (__atomic_load_n(&node->seen, __ATOMIC_RELAXED) == c->round)
			continue;
		__atomic_store_n(&node->seen, c->round, __ATOMIC_RELAXED);
		c->seen++;
		visit(c, peer_load(&node->left));
		visit(c, peer_load(&node->right));
	}
}

/* Over all of the graph by @nr_chasers threads: what the clock says, and CPU time to @cpu. */
static double chase_all(peer_ref *table, uint64_t nr, unsigned int nr_chasers, double *cpu)
{
	static uint64_t round;
	struct chaser chasers[CHASERS] = { 0 };
	uint64_t seen = 0, wall;
	double begin;

	round++;
	for (unsigned int i = 0; i < nr_chasers; i++)
		chasers[i] = (struct chaser){
			.table = table, .nr = nr, .first = i, .step = nr_chasers, .round = round,
			.stack = must(malloc((2 * nr + AHEAD) * sizeof(void *))),
		};
	begin = cpu_s();
	wall = now_ns();
	for (unsigned int i = 1; i < nr_chasers; i++)
		if (pthread_create(&chasers[i].thread, NULL, chase, &chasers[i]))
			bench_die("no thread");
	chase(&chasers[0]);
	for (unsigned int i = 1; i < nr_chasers; i++)
		pthread_join(chasers[i].thread, NULL);
	wall = now_ns() - wall;
	*cpu = cpu_s() - begin;
	for (unsigned int i = 0; i < nr_chasers; i++) {
		seen += chasers[i].seen;
		free(chasers[i].stack);
	}
	/* Two may have come to a node at the same moment. */
	if (seen < nr || (nr_chasers == 1 && seen != nr))
		bench_die("the chase did not see every node");
	return (double)wall;
}

static void chase_figures(peer_ref *table, uint64_t nr)
{
	double least = 1e18, least_wall = 1e18, least_both = 1e18, cpu, wall;

	for (unsigned int i = 0; i < CHASES; i++) {
		wall = chase_all(table, nr, 1, &cpu);
		least = cpu < least ? cpu : least;
		least_wall = wall < least_wall ? wall : least_wall;
		wall = chase_all(table, nr, CHASERS, &cpu);
		least_both = wall < least_both ? wall : least_both;
	}
	bench_figure("chase", "ns/object", least / (double)nr * 1e9);
	bench_figure("chase_wall", "ns/object", least_wall / (double)nr);
	bench_figure("chase_both_wall", "ns/object", least_both / (double)nr);
}

/* CPU time since @begin, for each unit of @bytes. */
static void per_unit(const char *name, double begin, size_t bytes)
{
	bench_figure(name, "ns/64B", (cpu_s() - begin) / (double)(bytes / UNIT) * 1e9);
}

static void *map(size_t bytes, int advice)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);

	if (memory == MAP_FAILED)
		bench_die("out of memory");
	madvise(memory, bytes, advice);
	return memory;
}

static void floors(peer_ref *table, uint64_t nr, size_t bytes)
{
	double begin;
	void *memory;

	chase_figures(table, nr);
	memory = map(bytes, MADV_NOHUGEPAGE);
	begin = cpu_s();
	memset(memory, 1, bytes);
	per_unit("first_touch_small", begin, bytes);
	munmap(memory, bytes);
	memory = map(bytes, MADV_HUGEPAGE);
	begin = cpu_s();
	memset(memory, 1, bytes);
	per_unit("first_touch", begin, bytes);
	begin = cpu_s();
	memset(memory, 0, bytes);
	__asm__ volatile("" : : "r"(memory) : "memory");
	per_unit("memset", begin, bytes);
	begin = cpu_s();
	munmap(memory, bytes);
	per_unit("munmap", begin, bytes);
}

/* By itself, as the next: stacks are scanned as they are, and no frame is to keep the table. */
static __attribute__((noinline)) void drop(struct bench *b, uint64_t nr)
{
	peer_ref *table = peer_load(&roots[0]);

	for (uint64_t i = 0; i < nr && !PEER_COLLECTS; i++)
		peer_free(peer_load(&table[i]));
	peer_store(b->t, &roots[0], NULL);
	peer_free(table);
}

/* All that was live, and then @bytes of it anew, dropped at once. */
static void give_back(struct bench *b, uint64_t nr, size_t bytes)
{
	double begin;

	drop(b, nr);
	peer_collect(b->t);
	begin = cpu_s();
	peer_release(b->t);
	per_unit("release", begin, nr * sizeof(struct scaled));
	begin = cpu_s();
	for (size_t done = 0; done < bytes; done += BUFFER) {
		uint8_t *buffer = must(peer_bytes(b->t, BUFFER));

		for (size_t i = 0; i < BUFFER; i += UNIT)
			buffer[i] = 1;
		__asm__ volatile("" : : "r"(buffer) : "memory");
		peer_free(buffer);
	}
	per_unit("zeroed", begin, bytes);
}

static __attribute__((noinline)) void build_and_measure(struct bench *b, uint64_t nr, size_t bytes)
{
	uint64_t cycles = bench_number(b, 1, 1), state = 8, sum = 0;
	double least = 1e9, least_wall = 1e18, begin;
	uint64_t wall;
	struct scaled *node;
	peer_thread t = b->t;
	peer_ref *table;

	peer_roots(roots, 1);
	table = bench_table(t, &roots[0], nr);
	for (uint64_t i = 0; i < nr; i++) {
		node = must(peer_new(t, scaled));
		node->value = i;
		if (i) {
			peer_init(t, &node->left, peer_load(&table[draw_below(&state, i)]));
			peer_init(t, &node->right, peer_load(&table[draw_below(&state, i)]));
		}
		peer_store(t, &table[i], (void *)node);
	}
	for (uint64_t i = 0; i < cycles && PEER_COLLECTS; i++) {
		begin = cpu_s();
		wall = now_ns();
		peer_collect(t);
		wall = now_ns() - wall;
		begin = cpu_s() - begin;
		if (begin < least)
			least = begin;
		if ((double)wall < least_wall)
			least_wall = (double)wall;
	}
	if (PEER_COLLECTS) {
		bench_figure("cycle", "ns/object", least / (double)nr * 1e9);
		bench_figure("cycle_wall", "ns/object", least_wall / (double)nr);
	}
	floors(table, nr, bytes);
	for (uint64_t i = 1; i < nr; i++) {
		node = peer_load(&table[i]);
		sum += peer_load(&node->left)->value + peer_load(&node->right)->value;
	}
	bench_sum(sum);
}

void run_scale(struct bench *b)
{
	uint64_t nr = (bench_number(b, 0, 1) << 20) / sizeof(struct scaled);
	size_t bytes = nr * sizeof(struct scaled);

	if (bytes > MEMORY_MOST)
		bytes = MEMORY_MOST;
	build_and_measure(b, nr, bytes);
	give_back(b, nr, bytes);
}
