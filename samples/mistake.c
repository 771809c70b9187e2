// SPDX-License-Identifier: MIT
/*
 * mistake: a store that goes round the barrier, and how it is found.  A plain assignment to a
 * reference does not compile; memcpy() over one does, and loses objects seldom and far
 * from here.  With GCARENA_DEBUG=shadow=1 the next cycle names object, slot and kind.  Run a
 * program's tests with it once.
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define NODE_FIELDS(F)			\
	F(VAL, long, number)		\
	F(REF, struct node, next)
GCA_STRUCT(node, NODE_FIELDS);

static char last[300];
static unsigned int reports;

/* Without it the report goes to stderr, and the program ends there by abort(). */
static void on_report(struct gca_heap *heap, const char *report, void *arg)
{
	snprintf(last, sizeof(last), "%s", report);
	reports++;
}

static int run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *one; struct node *two);
	struct node copy = { .number = 1 };

	f.one = gca_new(m, node);
	f.two = gca_new(m, node);
	if (!f.one || !f.two)
		return 1;
	gca_store(m, &f.one->next, f.two);
	gca_collect(m);
	printf("a store by gca_store(): %u reports\n", reports);
	if (reports)
		return 1;

	/* The mistake: a whole structure, pointers and all.  gca_copy_structs() is right. */
	copy.next.gca_raw = f.one;
	memcpy(f.two, &copy, sizeof(copy));
	gca_collect(m);
	fprintf(stderr, "%s\n", last);
	printf("one by memcpy(): %s\n", reports ? "reported" : "not noticed");
	printf("the kind is named: %s\n", strstr(last, "node") ? "yes" : "no");
	return !reports || !strstr(last, "node");
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	setenv("GCARENA_DEBUG", "shadow=1", 1);		/* the user's to set, as a rule */
	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "mistake: %s\n", gca_error());
		return 1;
	}
	gca_set_report_handler(heap, on_report, NULL);
	status = run(m);
	gca_detach(m);
	return gca_close(heap) || status;
}
