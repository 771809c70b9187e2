// SPDX-License-Identifier: MIT
/*
 * shapes: fields that point into objects, and objects that change shape.
 *
 * A cursor keeps the text that it stands in, wherever it stands; a leaf of a tree
 * that is full becomes a branch, without being allocated anew, so that whoever
 * refers to it need not know.
 */
#include <gcarena.h>
#include <stdio.h>

/* A cursor holds no more than a place in a text. */
#define CURSOR_FIELDS(F) F(REF, char, at)
GCA_STRUCT_FLAGS(cursor, CURSOR_FIELDS, GCA_LAYOUT_INTERIOR);

/* Leaf and branch begin alike; what follows is numbers in one and pointers in the other. */
#define LEAF_FIELDS(F)				\
	F(VAL, long, is_branch)			\
	F(VAL, long, used)			\
	F(VALS, long, number, 4)
GCA_STRUCT_FLAGS(leaf, LEAF_FIELDS, GCA_LAYOUT_CHANGES);

#define BRANCH_FIELDS(F)			\
	F(VAL, long, is_branch)			\
	F(VAL, long, used)			\
	F(REFS, struct leaf, child, 2)
GCA_STRUCT_FLAGS(branch, BRANCH_FIELDS, GCA_LAYOUT_CHANGES);

static long fail(const char *what)
{
	fprintf(stderr, "shapes: %s: %s\n", what, gca_error());
	return -1;
}

/* The leaf's numbers go to two new ones, and it becomes the branch above them. */
static long split(struct gca_mutator *m, struct leaf *leaf)
{
	struct leaf *low = gca_new(m, leaf), *high = gca_new(m, leaf);
	struct branch *branch = (struct branch *)leaf;

	if (!low || !high)
		return fail("split");
	low->used = 2;
	high->used = 2;
	for (int i = 0; i < 2; i++) {
		low->number[i] = leaf->number[i];
		high->number[i] = leaf->number[2 + i];
	}
	if (gca_relayout(m, leaf, GCA_KIND(branch)))
		return fail("relayout");
	/* Its fields are NULL now, and stored to like any. */
	branch->is_branch = 1;
	gca_store(m, &branch->child[0], low);
	gca_store(m, &branch->child[1], high);
	return 0;
}

static long sum(const struct leaf *leaf)
{
	const struct branch *branch = (const struct branch *)leaf;
	long total = 0;

	if (leaf->is_branch)
		return sum(gca_load(&branch->child[0])) + sum(gca_load(&branch->child[1]));
	for (long i = 0; i < leaf->used; i++)
		total += leaf->number[i];
	return total;
}

int main(void)
{
	struct gca_mutator *m;
	struct cursor *cursor;
	struct gca_heap *heap;
	struct leaf *tree;
	char *text;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m)) {
		fprintf(stderr, "shapes: %s\n", gca_error());
		return 1;
	}
	cursor = gca_new(m, cursor);
	tree = gca_new(m, leaf);
	text = gca_strdup(m, "the text that a cursor stands in");
	if (!cursor || !tree || !text) {
		fail("allocate");
		return 1;
	}
	gca_store(m, &cursor->at, text + 9);
	for (int i = 0; i < 4; i++)
		tree->number[tree->used++] = i + 1;
	if (split(m, tree))
		return 1;
	gca_collect(m);
	printf("cursor at \"%s\", sum %ld\n", gca_load(&cursor->at), sum(tree));
	gca_detach(m);
	return gca_close(heap) ? 1 : 0;
}
