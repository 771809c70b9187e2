/* SPDX-License-Identifier: MIT */
/*
 * Questions to the graph.
 *
 * Each makes its working sets in the heap and leaves them there as garbage;
 * what it returns holds no pointer into the heap.  Any number of threads may
 * ask at once, also while packages are replaced: an answer does not depend on
 * which of two versions that say the same it met.
 */
#ifndef DEPGRAPH_QUERY_H
#define DEPGRAPH_QUERY_H

#include "graph.h"

/**
 * struct answer - what a question brought
 * @size: packages found; components
 * @extra: dependers: other names on the way; install: clauses that nothing
 *	satisfies; components: packages in the largest
 * @hash: of everything found
 */
struct answer {
	uint64_t size;
	uint64_t extra;
	uint64_t hash;
};

/* All return 0 or -ENOMEM.  The first two: conservative stacks only. */
int query_dependers(struct gca_mutator *m, struct package *package, struct answer *answer);
int query_install(struct gca_mutator *m, struct package *package, bool recommends,
		  struct answer *answer);
int query_components(struct gca_mutator *m, struct answer *answer);

#endif /* DEPGRAPH_QUERY_H */
