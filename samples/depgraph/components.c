// SPDX-License-Identifier: MIT
/*
 * Strongly connected components of the whole graph (Tarjan), without recursion:
 * dependency cycles are long, and a thread's stack is not.
 *
 * The walk's own stack is a chain of objects in the heap, and so are its tables.
 * This file is right under precise stacks: what must survive an allocation is in
 * a frame, and every other pointer is loaded again after it.  A thread attached
 * with GCA_STACK_PRECISE leaves no stray pointer on its stack to keep a dropped
 * graph alive.
 *
 * A name leads to the targets of its versions' Depends and Pre-Depends, to what
 * provides it, and from a qualified name to its base.
 */
#include <errno.h>
#include <string.h>

#include "hash.h"
#include "query.h"

#define SUCCESSORS_ROOM	8

/*
 * One name being visited.
 * @parent: whose visit goes on when this one is done
 * @successors: packages
 * @id: the name's
 * @next: which of @successors comes next
 */
#define VISIT_FIELDS(F)				\
	F(REF, struct visit, parent)		\
	F(REF, struct list, successors)		\
	F(VAL, uint32_t, id)			\
	F(VAL, uint32_t, next)
GCA_STRUCT(visit, VISIT_FIELDS);

/*
 * By id, with numbers from 1 in the order of discovery and 0 for none:
 * @found: the name's own number
 * @low: the lowest number that it is known to reach; DONE once in a component
 * @open: ids of the names that are in no component yet, as a stack
 */
#define WALK_FIELDS(F)				\
	F(REF, struct visit, top)		\
	F(REF, uint32_t, found)			\
	F(REF, uint32_t, low)			\
	F(REF, uint32_t, open)			\
	F(VAL, uint32_t, nr_found)		\
	F(VAL, uint32_t, nr_open)
GCA_STRUCT(walk, WALK_FIELDS);

#define DONE	UINT32_MAX

static int add_targets(struct gca_mutator *m, struct list *list, const struct version *version)
{
	for (uint32_t i = 0; i < version->clauses; i++) {
		const struct relation *r = gca_load(&version->clause[i]);

		if (r->kind != KIND_DEPENDS && r->kind != KIND_PRE_DEPENDS)
			continue;
		for (; r; r = gca_load(&r->alternative))
			if (list_add(m, list, gca_load(&r->target)))
				return -ENOMEM;
	}
	return 0;
}

/* Where @package leads; NULL: out of memory. */
static struct list *successors(struct gca_mutator *m, const struct package *package)
{
	GCA_FRAME(m, f, struct list *list; struct version *version; struct edge *edge);

	f.list = list_new(m, SUCCESSORS_ROOM);
	if (!f.list)
		return NULL;
	/* In the frame, as another thread may replace them meanwhile. */
	for (f.version = gca_load(&package->versions); f.version;
	     f.version = gca_load(&f.version->older))
		if (add_targets(m, f.list, f.version))
			return NULL;
	for (f.edge = gca_load(&package->providers); f.edge; f.edge = gca_load(&f.edge->next))
		if (list_add(m, f.list, gca_load(&gca_load(&f.edge->from)->package)))
			return NULL;
	if (gca_load(&package->base) && list_add(m, f.list, gca_load(&package->base)))
		return NULL;
	return f.list;
}

static struct walk *walk_new(struct gca_mutator *m, uint32_t names)
{
	struct walk *walk;

	GCA_FRAME(m, f, uint32_t *found; uint32_t *low; uint32_t *open);

	f.found = gca_new_bytes(m, names * sizeof(uint32_t));
	f.low = gca_new_bytes(m, names * sizeof(uint32_t));
	f.open = gca_new_bytes(m, names * sizeof(uint32_t));
	if (!f.found || !f.low || !f.open)
		return NULL;
	walk = gca_new(m, walk);
	if (!walk)
		return NULL;
	gca_init(m, &walk->found, f.found);
	gca_init(m, &walk->low, f.low);
	gca_init(m, &walk->open, f.open);
	return walk;
}

static int visit_begin(struct gca_mutator *m, struct walk *walk, const struct package *package)
{
	struct visit *visit;

	GCA_FRAME(m, f, struct list *list);

	f.list = successors(m, package);
	if (!f.list)
		return -ENOMEM;
	visit = gca_new(m, visit);
	if (!visit)
		return -ENOMEM;
	visit->id = package->id;
	gca_init(m, &visit->successors, f.list);
	gca_init(m, &visit->parent, gca_load(&walk->top));
	gca_store(m, &walk->top, visit);
	walk->nr_found++;
	gca_load(&walk->found)[visit->id] = walk->nr_found;
	gca_load(&walk->low)[visit->id] = walk->nr_found;
	gca_load(&walk->open)[walk->nr_open++] = visit->id;
	return 0;
}

/* The names above @id on the open stack are a component with it. */
static void component_close(struct walk *walk, uint32_t id, const struct list *packages,
			    struct answer *answer)
{
	const uint32_t *open = gca_load(&walk->open);
	uint64_t size = 0, hash = 0;
	uint32_t member;

	do {
		const struct package *package;

		member = open[--walk->nr_open];
		package = list_get(packages, member);
		gca_load(&walk->low)[member] = DONE;
		hash += hash_mix(package->hash);
		size++;
	} while (member != id);
	answer->size++;
	if (size > answer->extra)
		answer->extra = size;
	answer->hash += hash_add(hash, size);
}

static void lower(uint32_t *low, uint32_t id, uint32_t to)
{
	if (to < low[id])
		low[id] = to;
}

/* Everything that can be reached from @package and was not before. */
static int walk_from(struct gca_mutator *m, struct walk *walk, const struct package *package,
		     const struct list *packages, struct answer *answer)
{
	uint32_t *found = gca_load(&walk->found), *low = gca_load(&walk->low);
	struct visit *visit;

	if (visit_begin(m, walk, package))
		return -ENOMEM;
	while ((visit = gca_load(&walk->top))) {
		const struct list *list = gca_load(&visit->successors);
		struct visit *parent = gca_load(&visit->parent);

		if (visit->next < list->nr) {
			const struct package *to = list_get(list, visit->next++);

			if (!found[to->id]) {
				if (visit_begin(m, walk, to))
					return -ENOMEM;
			} else if (low[to->id] != DONE) {
				lower(low, visit->id, found[to->id]);
			}
			continue;
		}
		gca_store(m, &walk->top, parent);
		if (parent)
			lower(low, parent->id, low[visit->id]);
		if (low[visit->id] == found[visit->id])
			component_close(walk, visit->id, packages, answer);
	}
	return 0;
}

/**
 * query_components - the strongly connected components of the whole graph
 * @m: the calling thread's, of either sort of stack
 * @answer: filled in
 *
 * Return: 0 or -ENOMEM.
 */
int query_components(struct gca_mutator *m, struct answer *answer)
{
	GCA_FRAME(m, f, struct graph *graph; struct walk *walk);

	memset(answer, 0, sizeof(*answer));
	f.graph = gca_load(&roots.graph);
	f.walk = walk_new(m, gca_load(&f.graph->packages)->nr);
	if (!f.walk)
		return -ENOMEM;
	for (uint32_t i = 0; i < gca_load(&f.graph->packages)->nr; i++) {
		const struct list *packages = gca_load(&f.graph->packages);
		const struct package *package = list_get(packages, i);

		if (!gca_load(&f.walk->found)[package->id] &&
		    walk_from(m, f.walk, package, packages, answer))
			return -ENOMEM;
	}
	return 0;
}
