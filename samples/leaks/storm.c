// SPDX-License-Identifier: MIT
/*
 * A storm of temporary objects beside a slow real growth: nearly all that is allocated
 * is format_line()'s, and nothing of it stays; what grows is keep_result().
 *
 * Documentation/finding-leaks.rst tells them apart: alloc_space and inuse_space of one
 * profile.  The storm costs cycles, the growth memory.
 */
#include <gcarena.h>
#include <stdio.h>

#define LINES		200000
#define KEEP_EVERY	50

struct result;
#define RESULT_FIELDS(F)			\
	F(REF, struct result, next)		\
	F(VALS, char, text, 100)
GCA_STRUCT(result, RESULT_FIELDS);

typedef GCA_REF(struct result) results_t;

static results_t results;

/* The storm. */
static __attribute__((noinline)) char *format_line(struct gca_mutator *m, unsigned int number)
{
	char *line = gca_new_bytes_raw(m, 400);

	if (line)
		snprintf(line, 400, "line %u", number);
	return line;
}

/* The growth. */
static __attribute__((noinline)) void keep_result(struct gca_mutator *m, const char *line)
{
	struct result *result = gca_new(m, result);

	if (!result)
		return;
	strncpy(result->text, line, sizeof(result->text) - 1);
	gca_store(m, &result->next, gca_load(&results));
	gca_store(m, &results, result);
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	unsigned int i;

	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m) ||
	    gca_root_add(heap, &results, sizeof(results)))
		return 1;
	for (i = 0; i < LINES; i++) {
		const char *line = format_line(m, i);

		if (line && i % KEEP_EVERY == 0)
			keep_result(m, line);
	}
	gca_collect(m);
	gca_detach(m);
	return gca_close(heap);
}
