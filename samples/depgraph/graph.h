/* SPDX-License-Identifier: MIT */
/*
 * The dependency graph: what is in the heap, and who may touch it how.
 *
 *	graph		-> buckets of packages, each chained to the next
 *	package		-> versions -> relations, chains of alternatives -> package
 *	package		-> edges: dependers, providers -> version
 *
 * A package is a name: one that has stanzas, one that is only depended upon,
 * one that others provide, or one with a qualifier (python3:any).  Packages are
 * made while the index is loaded, by one thread, and live until the graph is
 * dropped.  A version and its relations are built whole, then published by one
 * store to package->versions and never changed; graph_replace() publishes fresh
 * ones while others read.  A reader that holds the old ones may go on: they say
 * the same, and the collector keeps them as long as somebody looks.
 *
 * Edges are the way back.  Replacing a version moves its edges to the new one,
 * so an edge leads to the old or to the new version of the same package.
 */
#ifndef DEPGRAPH_GRAPH_H
#define DEPGRAPH_GRAPH_H

#include "heap.h"
#include "index.h"
#include "list.h"

enum relation_kind {
	KIND_DEPENDS,
	KIND_PRE_DEPENDS,
	KIND_RECOMMENDS,
	KIND_PROVIDES,
	KINDS,
};

struct package;
struct version;
struct relation;
struct edge;

/*
 * @next: in its bucket's chain
 * @versions: newest first; NULL for a name without stanzas
 * @dependers: edges of relations that name it
 * @providers: edges of Provides that name it
 * @base: of a qualified name, the package without the qualifier, else NULL
 * @qualified: the first qualified name of a base; of a qualified name the next
 * @id: its place in graph->packages
 */
#define PACKAGE_FIELDS(F)			\
	F(REF, struct package, next)		\
	F(REF, struct version, versions)	\
	F(REF, struct edge, dependers)		\
	F(REF, struct edge, providers)		\
	F(REF, struct package, base)		\
	F(REF, struct package, qualified)	\
	F(REF, char, name)			\
	F(VAL, uint32_t, id)			\
	F(VAL, uint32_t, hash)
GCA_STRUCT(package, PACKAGE_FIELDS);

enum multi_arch { MULTI_ARCH_NO, MULTI_ARCH_SAME, MULTI_ARCH_FOREIGN, MULTI_ARCH_ALLOWED };

/*
 * @older: the next of its package
 * @offset: bytes, of its stanza in the index
 * @round: in which it was parsed, 0 at loading
 * @clauses: how many @clause there are; each the first of a chain of alternatives
 */
#define VERSION_FIELDS(F)			\
	F(REF, struct package, package)		\
	F(REF, struct version, older)		\
	F(REF, char, text)			\
	F(REF, char, arch)			\
	F(VAL, uint64_t, offset)		\
	F(VAL, uint32_t, round)			\
	F(VAL, uint32_t, clauses)		\
	F(VAL, enum multi_arch, multi_arch)	\
	F(TAIL, struct relation, clause)
GCA_STRUCT(version, VERSION_FIELDS);

/*
 * @alternative: the next way to satisfy the same clause
 * @edge: its way back, from @target to the version; the old version's relation
 *	and the new one's share it
 * @bound: the version that @op compares with, or NULL
 */
#define RELATION_FIELDS(F)			\
	F(REF, struct relation, alternative)	\
	F(REF, struct package, target)		\
	F(REF, struct edge, edge)		\
	F(REF, char, bound)			\
	F(VAL, uint8_t, kind)			\
	F(VAL, uint8_t, op)
GCA_STRUCT(relation, RELATION_FIELDS);

#define EDGE_FIELDS(F)				\
	F(REF, struct edge, next)		\
	F(REF, struct version, from)		\
	F(VAL, uint32_t, kind)
GCA_STRUCT(edge, EDGE_FIELDS);

/*
 * @buckets: of the name table, a power of two
 * @packages: every name, by id
 * @indexed: the names with stanzas, in the index's order
 */
#define GRAPH_FIELDS(F)				\
	F(REF, gca_ref, buckets)		\
	F(REF, struct list, packages)		\
	F(REF, struct list, indexed)		\
	F(VAL, uint32_t, nr_buckets)		\
	F(VAL, uint32_t, nr_versions)		\
	F(VAL, uint32_t, nr_duplicates)		\
	F(VALS, uint32_t, nr_relations, KINDS)	\
	F(VAL, uint32_t, nr_alternatives)
GCA_STRUCT(graph, GRAPH_FIELDS);

/* The root of it all; a registered root range. */
struct graph_roots {
	GCA_REF(struct graph) graph;
};

extern struct graph_roots roots;

/* -ENOMEM: gca_error() says why; -EINVAL: the mistake does. */
int graph_load(struct gca_mutator *m, const struct index *index, struct mistake *mistake);
int graph_replace(struct gca_mutator *m, const struct index *index, struct package *package,
		  uint32_t round, struct mistake *mistake);

/**
 * struct graph_summary - the whole graph in a few numbers
 * @hash: of every name, version, relation and number of edges
 * @edges: ways back
 * @stale: of those, how many lead to a version that is no longer published
 */
struct graph_summary {
	uint64_t hash;
	uint64_t edges;
	uint64_t stale;
};

void graph_summarise(const struct graph *graph, struct graph_summary *summary);
void graph_lose_edge(struct gca_mutator *m, struct graph *graph);

#endif /* DEPGRAPH_GRAPH_H */
