// SPDX-License-Identifier: MIT
/*
 * census: the heap walk.  What is in the heap, by kind and size, most bytes first: the first
 * thing to ask of a program that has grown.  (Where it was allocated is a profile's to say.)
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define ROWS	16
#define SHEEP	1000
#define DOGS	3

#define SHEEP_FIELDS(F) F(REF, struct sheep, next) F(VALS, char, wool, 100)
GCA_STRUCT(sheep, SHEEP_FIELDS);

#define DOG_FIELDS(F) F(REF, struct dog, next) F(REF, struct sheep, flock) F(REF, char, name)
GCA_STRUCT(dog, DOG_FIELDS);

struct row {
	const char *kind;	/* small objects with a pointer map are all "precise" */
	size_t size;
	size_t objects;
};

struct census {
	struct row rows[ROWS];
	size_t nr;
};

/* The world is stopped: this neither allocates in the heap nor stores into it. */
static bool show(const struct gca_object_info *info, void *arg)
{
	struct census *census = arg;
	size_t i;

	for (i = 0; i < census->nr; i++)
		if (census->rows[i].size == info->bytes &&
		    !strcmp(census->rows[i].kind, info->kind))
			break;
	if (i == ROWS)
		return false;		/* enough */
	if (i == census->nr)
		census->rows[census->nr++] = (struct row){ info->kind, info->bytes, 0 };
	census->rows[i].objects++;
	return true;
}

static int by_bytes(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return (x->size * x->objects < y->size * y->objects) -
	       (x->size * x->objects > y->size * y->objects);
}

static size_t take(struct gca_mutator *m, struct census *census)
{
	size_t objects = 0;

	memset(census, 0, sizeof(*census));
	/* Without a cycle before it what died lately is counted too. */
	if (gca_collect(m) || gca_heap_walk(m, show, census, &objects))
		return SIZE_MAX;
	qsort(census->rows, census->nr, sizeof(*census->rows), by_bytes);
	for (size_t i = 0; i < census->nr; i++)
		printf("%8zu of %zu bytes, %s\n", census->rows[i].objects, census->rows[i].size,
		       census->rows[i].kind);
	return objects;
}

static int run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct dog *dogs; struct dog *dog);
	struct census census;
	size_t before, after;

	for (int i = 0; i < DOGS; i++) {
		char *name;

		f.dog = gca_new(m, dog);
		if (!f.dog)
			return 1;
		gca_init(m, &f.dog->next, f.dogs);
		f.dogs = f.dog;
		name = gca_strdup(m, "Bello");
		gca_store(m, &f.dogs->name, name);
	}
	for (int i = 0; i < SHEEP; i++) {
		struct sheep *sheep = gca_new(m, sheep);

		if (!sheep)
			return 1;
		gca_init(m, &sheep->next, gca_load(&f.dog->flock));
		gca_store(m, &f.dog->flock, sheep);
	}
	before = take(m, &census);
	gca_store(m, &f.dog->flock, NULL);
	printf("the flock goes\n");
	after = take(m, &census);
	return before != SHEEP + 2 * DOGS || after != 2 * DOGS;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "census: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_detach(m);
	return gca_close(heap) || status;
}
