// SPDX-License-Identifier: MIT
/*
 * forms: the ways to allocate, one after the other.  Ends with 0 if each did what
 * its comment says.
 *
 *	cc forms.c $(pkg-config --cflags --libs gcarena) && ./a.out
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define POINT_FIELDS(F)			\
	F(REF, struct point, next)	\
	F(VAL, int, x)			\
	F(VAL, int, y)
GCA_STRUCT(point, POINT_FIELDS);

#define ROW_FIELDS(F)			\
	F(VAL, size_t, columns)		\
	F(TAIL, struct point, column)
GCA_STRUCT(row, ROW_FIELDS);

static void check(bool true_, const char *what)
{
	printf("%s: %s\n", true_ ? "ok" : "NOT OK", what);
	if (!true_)
		exit(1);
}

int main(void)
{
	unsigned char *raw, *buffer;
	struct gca_mutator *m;
	struct point *point;
	struct gca_heap *heap;
	struct point *all;
	struct row *row;
	short *tiny;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m)) {
		fprintf(stderr, "%s\n", gca_error());
		return 1;
	}

	/* A structure: zeroed. */
	point = gca_new(m, point);
	check(point && !gca_load(&point->next) && !point->x, "gca_new() is zeroed");

	/* With a flexible array of pointers at its end. */
	row = gca_new_tail(m, row, 10);
	check(row, "gca_new_tail()");
	row->columns = 10;
	gca_store(m, &row->column[9], point);

	/* Many in a row; pointers into it keep all of them, if a stack holds them. */
	all = gca_new_array(m, point, 1000);
	check(all, "gca_new_array()");
	gca_store(m, &all[999].next, point);
	check(!gca_new_array(m, point, SIZE_MAX / 2), "NULL for more than there is, not less");

	/* Bytes; raw ones hold anything, and cost no zeroing. */
	raw = gca_new_bytes_raw(m, 4096);
	check(raw, "gca_new_bytes_raw()");
	memset(raw, 'x', 4096);

	/* At an address that hardware wants. */
	buffer = gca_alloc_aligned(m, gca_kind_noscan(), 1500, 512);
	check(buffer && (uintptr_t)buffer % 512 == 0, "gca_alloc_aligned()");

	/* A few bytes, which share 16 with others. */
	tiny = gca_new_tiny(m, sizeof(*tiny));
	check(tiny && !*tiny, "gca_new_tiny()");

	/* A copy of a string; and another size for bytes. */
	check(!strcmp(gca_strdup(m, "text"), "text"), "gca_strdup()");
	raw = gca_realloc(m, gca_kind_noscan(), raw, 4096, 8192);
	check(raw && raw[4095] == 'x' && !raw[4096], "gca_realloc() keeps, and zeroes the rest");

	/* A hint that saves a cycle the work; never needed. */
	gca_free(m, gca_new_bytes(m, 64));

	check(gca_load(&row->column[9]) == point, "and all is still there");
	return gca_detach(m) || gca_close(heap);
}
