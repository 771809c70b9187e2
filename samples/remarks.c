// SPDX-License-Identifier: MIT
/*
 * remarks: ephemerons.  A table beside a tree says something about some of its nodes.  It
 * must keep no node alive, although each remark refers to the node that it is about: with weak
 * references to nodes, and remarks in the table, no node would ever go.
 */
#include <gcarena.h>
#include <stdio.h>

#define NODES	200

#define NODE_FIELDS(F) F(VAL, size_t, number)
GCA_STRUCT(node, NODE_FIELDS);

#define REMARK_FIELDS(F)		\
	F(REF, struct node, about)	\
	F(REF, char, text)
GCA_STRUCT(remark, REMARK_FIELDS);

static GCA_REF(gca_ref) nodes;				/* both registered as roots */
static GCA_REF(struct gca_ephemeron) table[NODES];

static int remark(struct gca_mutator *m, size_t at, const char *text)
{
	GCA_FRAME(m, f, struct remark *remark);
	struct gca_ephemeron *entry;
	struct node *node = gca_load(&gca_load(&nodes)[at]);
	char *copy;

	f.remark = gca_new(m, remark);
	if (!f.remark)
		return -1;
	gca_init(m, &f.remark->about, node);
	copy = gca_strdup(m, text);
	if (!copy)
		return -1;
	gca_store(m, &f.remark->text, copy);
	entry = gca_ephemeron_new(m, node, f.remark);
	if (!entry)
		return -1;
	gca_store(m, &table[at], entry);
	return 0;
}

/* How many remarks are there; entries whose node is gone are let go of. */
static size_t count(struct gca_mutator *m)
{
	size_t there = 0;

	for (size_t i = 0; i < NODES; i++) {
		struct gca_ephemeron *entry = gca_load(&table[i]);
		struct remark *remark = entry ? gca_ephemeron_value(m, entry) : NULL;

		if (!remark)
			gca_store(m, &table[i], NULL);
		else if (gca_load(&remark->about) == gca_ephemeron_key(m, entry))
			there++;
	}
	return there;
}

static int run(struct gca_mutator *m)
{
	size_t all, half, none;
	gca_ref *array = gca_new_refs(m, NODES);

	gca_store(m, &nodes, array);
	for (size_t i = 0; array && i < NODES; i++) {
		struct node *node = gca_new(m, node);

		if (!node)
			return 1;
		node->number = i;
		gca_store(m, &array[i], node);
		if (remark(m, i, "as it was found"))
			return 1;
	}
	gca_collect(m);
	all = count(m);
	for (size_t i = 0; i < NODES; i += 2)
		gca_store(m, &array[i], NULL);
	gca_collect(m);
	half = count(m);
	gca_store(m, &nodes, NULL);
	gca_collect(m);
	none = count(m);
	printf("%zu remarks on %d nodes; %zu when every other one is gone; %zu at the end\n", all,
	       NODES, half, none);
	return all != NODES || half != NODES / 2 || none;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_add(heap, &nodes, sizeof(nodes)) ||
	    gca_root_add(heap, table, sizeof(table))) {
		fprintf(stderr, "remarks: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_root_remove(heap, table);
	gca_root_remove(heap, &nodes);
	gca_detach(m);
	return gca_close(heap) || status;
}
