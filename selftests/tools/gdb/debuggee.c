// SPDX-License-Identifier: MIT
/*
 * What gdb.t looks at: a heap with one object for each way of being kept alive, and
 * then stopped in stop_here(), where nothing of it is in the way.
 *
 * The heap is small, so that a core file of it is.  Every object that the test asks
 * for is named by a global, hidden: a word that is no heap address to the collector.
 */
#include <gcarena.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NODE_FIELDS(F)			\
	F(REF, struct node, next)	\
	F(VAL, long, key)		\
	F(REFS, struct node, child, 2)
GCA_STRUCT(node, NODE_FIELDS);

#define CURSOR_FIELDS(F) F(REF, char, at)
GCA_STRUCT_FLAGS(cursor, CURSOR_FIELDS, GCA_LAYOUT_INTERIOR);

struct pair {
	GCA_REF(struct node) first;
	bool is_pair;
};

static void trace_pair(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct pair *pair = object;

	if (pair->is_pair)
		gca_visit(visitor, &pair->first);
}

GCA_TRACED(pair, trace_pair);

static GCA_REF(struct node) table[16];
static struct gca_heap *heap;
static struct gca_pool *pool;
struct gca_weak *weak;

/* Where the objects are, so that no word of these is an address in the heap. */
uintptr_t listed, third, handled, pinned, pooled, framed, valued, keyed, dropped, finalized,
	  array, traced, bytes, manual, stacked, asleep, freed, beyond, wide, inside;

static void hide(uintptr_t *where, const void *object)
{
	*where = ~(uintptr_t)object;
}

static struct node *new_node(struct gca_mutator *m, long key)
{
	struct node *node = gca_new(m, node);

	if (!node)
		abort();
	node->key = key;
	return node;
}

static void finalize(struct gca_mutator *m, void *object, void *arg)
{
}

static void __attribute__((noinline)) populate(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node; struct pair *pair; struct cursor *cursor;
		  gca_ref *refs);
	long i;

	for (i = 0; i < 3; i++) {
		f.node = new_node(m, i);
		gca_store(m, &f.node->next, gca_load(&table[3]));
		gca_store(m, &table[3], f.node);
	}
	hide(&listed, f.node);
	f.node = gca_load(&gca_load(&f.node->next)->next);
	hide(&third, f.node);
	gca_store(m, &f.node->child[1], new_node(m, 100));

	f.node = new_node(m, 10);
	hide(&handled, f.node);
	gca_handle_new(m, f.node);
	f.node = new_node(m, 11);
	hide(&pinned, f.node);
	gca_pin(m, f.node);
	f.node = new_node(m, 12);
	hide(&pooled, f.node);
	gca_pool_put(m, pool, f.node);

	/* In the table: a key, the ephemeron that has it, and through it the value. */
	f.node = new_node(m, 13);
	hide(&keyed, f.node);
	gca_store(m, &table[4], f.node);
	f.node = new_node(m, 14);
	hide(&valued, f.node);
	gca_store(m, &table[5], (struct node *)(void *)
		  gca_ephemeron_new(m, gca_load(&table[4]), f.node));

	f.node = new_node(m, 15);
	hide(&dropped, f.node);
	weak = gca_weak_new(m, f.node);
	gca_store(m, &table[6], (struct node *)(void *)weak);
	f.node = new_node(m, 16);
	hide(&finalized, f.node);
	gca_finalizer_set(m, f.node, finalize, NULL, 0);

	f.refs = gca_new_refs(m, 4096);
	hide(&array, f.refs);
	gca_store(m, &table[7], (struct node *)(void *)f.refs);
	f.node = new_node(m, 17);
	hide(&wide, f.node);
	gca_store(m, &f.refs[4000], (void *)f.node);

	f.pair = gca_new(m, pair);
	f.pair->is_pair = true;
	gca_store(m, &table[8], (struct node *)(void *)f.pair);
	f.node = new_node(m, 18);
	hide(&traced, f.node);
	gca_store(m, &f.pair->first, f.node);

	/* A cursor into the middle of a node. */
	f.node = new_node(m, 19);
	hide(&inside, f.node);
	f.cursor = gca_new(m, cursor);
	gca_store(m, &table[10], (struct node *)(void *)f.cursor);
	gca_store(m, &f.cursor->at, (char *)f.node + 24);

	f.node = gca_new_bytes(m, 100);
	hide(&bytes, f.node);
	gca_store(m, &table[9], f.node);
	hide(&manual, gca_manual_alloc(m, 10000));
	f.node = NULL;
}

static void __attribute__((noinline)) clobber_stack(void)
{
	volatile char space[16384];
	size_t i;

	for (i = 0; i < sizeof(space); i++)
		space[i] = 0;
}

void __attribute__((noinline)) stop_here(void)
{
	__asm__ volatile("" : : : "memory");
}

static pthread_barrier_t ready;

static void *sleeper(void *arg)
{
	struct gca_mutator *m;
	struct node *volatile mine;

	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		abort();
	mine = new_node(m, 20);
	hide(&asleep, mine);
	gca_blocking_begin(m);
	pthread_barrier_wait(&ready);
	pause();
	gca_blocking_end(m);
	return (void *)mine;
}

static void __attribute__((noinline)) run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *unused; struct node *node);
	struct node *volatile local = new_node(m, 21);

	hide(&stacked, local);
	f.node = new_node(m, 22);
	hide(&framed, f.node);
	stop_here();
	gca_keepalive(local);
}

int main(int argc, char **argv)
{
	struct gca_config config;
	struct gca_mutator *m;
	pthread_t thread;

	gca_config_init(&config);
	config.heap_size = 16ul << 20;
	config.percent = GCA_PERCENT_OFF;
	pthread_barrier_init(&ready, NULL, 2);
	if (argc > 1)
		stop_here();
	if (gca_open(&config, &heap) || gca_attach(heap, 0, &m)) {
		fprintf(stderr, "%s\n", gca_error());
		return 1;
	}
	if (gca_root_add(heap, table, sizeof(table)))
		return 1;
	pool = gca_pool_new(heap);
	populate(m);
	clobber_stack();
	hide(&freed, (char *)~bytes + 4096 * 10);
	hide(&beyond, (char *)(~listed | (8192 - 1)) - 7);
	if (pthread_create(&thread, NULL, sleeper, NULL))
		return 1;
	pthread_barrier_wait(&ready);
	run(m);
	return 0;
}
