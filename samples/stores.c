// SPDX-License-Identifier: MIT
/*
 * stores: the ways to write a pointer into the heap, one after the other.  Ends with 0
 * if each did what its comment says.  Try it with GCARENA_DEBUG=verify=1,shadow=1.
 *
 *	cc stores.c $(pkg-config --cflags --libs gcarena) && ./a.out
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define ITEM_FIELDS(F)			\
	F(REF, struct item, next)	\
	F(VAL, long, number)
GCA_STRUCT(item, ITEM_FIELDS);

static GCA_REF(struct item) top;	/* a root: a stack that threads may share */

static void check(bool true_, const char *what)
{
	printf("%s: %s\n", true_ ? "ok" : "NOT OK", what);
	if (!true_)
		exit(1);
}

/* Lock-free: the new item is nobody else's until the exchange succeeds. */
static int push(struct gca_mutator *m, long number)
{
	struct item *item = gca_new(m, item), *old;

	if (!item)
		return -1;
	item->number = number;
	do {
		old = gca_load(&top);
		gca_init(m, &item->next, old);
	} while (!gca_compare_exchange(m, &top, old, item));
	return 0;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	struct item *items;
	gca_ref *queue;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m) ||
	    gca_root_add(heap, &top, sizeof(top))) {
		fprintf(stderr, "%s\n", gca_error());
		return 1;
	}

	for (long i = 0; i < 1000; i++)
		if (push(m, i))
			return 1;
	check(!!gca_load(&top), "a stack by gca_compare_exchange()");
	gca_collect(m);
	check(gca_load(&top)->number == 999, "which lives by its registered range");

	/* Arrays of pointers: never by memcpy(). */
	queue = gca_new_refs(m, 100);
	check(queue, "an array of pointers");
	gca_store(m, &queue[0], gca_load(&top));
	gca_copy_refs(m, &queue[1], queue, 50);		/* may overlap */
	check(gca_load(&queue[1]) == gca_load(&top), "copied");
	gca_move_refs(m, &queue[10], queue, 20);	/* and clears what it left */
	check(!gca_load(&queue[0]) && gca_load(&queue[11]), "moved");
	gca_clear_refs(m, queue, 100);
	check(!gca_load(&queue[11]), "cleared");

	/* Structures with pointers among their data: never by assignment. */
	items = gca_new_array(m, item, 10);
	check(items, "an array of structures");
	gca_copy_structs(m, item, &items[3], gca_load(&top), 1);
	check(items[3].number == 999 && gca_load(&items[3].next), "one copied, data and pointer");

	/* Take the whole stack at once. */
	check(((struct item *)gca_exchange(m, &top, NULL))->number == 999, "exchanged");
	gca_root_remove(heap, &top);
	return gca_detach(m) || gca_close(heap);
}
