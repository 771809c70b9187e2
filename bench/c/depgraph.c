// SPDX-License-Identifier: MIT
/*
 * depgraph PACKAGES QUERIES: a graph of packages that is asked and changed.
 *
 * Each package depends on up to eight earlier ones, of which a few are popular, by a list
 * of edges.  A query walks everything that one package needs, from a queue in the heap,
 * and sums it up; after each, one package in the place of an older one gets new edges.
 */
#include "bench.h"

#define EDGES_MAX	8u
#define UNIT		1024u	/* of the draw that makes a few popular */

struct edge;

#define PACKAGE_FIELDS(F)	F(REF, struct edge, edges) F(VAL, uint64_t, visited) \
				F(VAL, uint64_t, number)
PEER_STRUCT(package, PACKAGE_FIELDS);

/* Of a package's list, and of the queue of a query. */
#define EDGE_FIELDS(F)	F(REF, struct edge, next) F(REF, struct package, to)
PEER_STRUCT(edge, EDGE_FIELDS);

static peer_ref roots[1];
static struct laps laps;

static void drop_edges(struct edge *edge)
{
#if !PEER_COLLECTS
	while (edge) {
		struct edge *next = edge->next;

		peer_free(edge);
		edge = next;
	}
#endif
}

static void connect(peer_thread t, peer_ref *table, uint64_t i, uint64_t *state)
{
	struct package *package = peer_load(&table[i]), *to;
	struct edge *list = NULL, *edge;
	uint64_t n = i ? draw_below(state, EDGES_MAX + 1) : 0;

	while (n--) {
		uint64_t u = draw_below(state, UNIT);

		to = peer_load(&table[i * u / UNIT * u / UNIT * u / UNIT]);
		edge = must(peer_new(t, edge));
		peer_init(t, &edge->next, list);
		peer_init(t, &edge->to, to);
		list = edge;
	}
	drop_edges(peer_load(&package->edges));
	peer_store(t, &package->edges, list);
}

static uint64_t ask(peer_thread t, struct package *from, uint64_t query)
{
	struct edge *head, *tail, *edge, *item;
	struct package *package;
	uint64_t sum = 0;

	head = must(peer_new(t, edge));
	peer_init(t, &head->to, from);
	tail = head;
	from->visited = query;
	while (head) {
		package = peer_load(&head->to);
		sum += package->number;
		for (edge = peer_load(&package->edges); edge; edge = peer_load(&edge->next)) {
			package = peer_load(&edge->to);
			if (package->visited == query)
				continue;
			package->visited = query;
			item = must(peer_new(t, edge));
			peer_init(t, &item->to, package);
			peer_store(t, &tail->next, item);
			tail = item;
		}
		item = head;
		head = peer_load(&item->next);
		peer_free(item);
	}
	return sum;
}

void run_depgraph(struct bench *b)
{
	uint64_t nr = bench_number(b, 0, 2), queries = bench_number(b, 1, BATCH);
	uint64_t state = 9, sum = 0, begin;
	peer_thread t = b->t;
	peer_ref *table;

	peer_roots(roots, 1);
	table = bench_table(t, &roots[0], nr);
	for (uint64_t i = 0; i < nr; i++) {
		struct package *package = must(peer_new(t, package));

		package->number = i;
		peer_store(t, &table[i], (void *)package);
		connect(t, table, i, &state);
	}
	begin = now_ns();
	laps_begin(&laps);
	for (uint64_t query = 1; query <= queries; query++) {
		sum += ask(t, peer_load(&table[draw_below(&state, nr)]), query);
		connect(t, table, draw_below(&state, nr), &state);
		if (query % BATCH == 0)
			laps_next(&laps);
	}
	bench_ops(queries, begin);
	laps_print(&laps);
	bench_sum(sum);
}
