// SPDX-License-Identifier: MIT
/*
 * classes: layouts that are known at run time only.  A dynamic language's classes come from its
 * programs: each gets a layout made from its list of fields, and a kind made from that.  Where
 * even that is not enough, since a word is a pointer or not by what a tag says, a callback
 * visits the pointers.
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELDS_MAX	8

/* For the collector a class is its kind.  Kinds are for ever, and so are layouts. */
struct class {
	struct gca_layout layout;
	struct gca_run runs[FIELDS_MAX + 1];
	struct class *next;
};

static struct class *classes;

struct instance {
	const struct class *class;
	uintptr_t fields[];
};

typedef GCA_REF(struct instance) field_t;

static field_t *field(struct instance *instance, size_t at)
{
	return (field_t *)&instance->fields[at];
}

/* "rnr": a reference, a number, a reference. */
static struct class *class_new(const char *name, const char *fields)
{
	size_t nr = strlen(fields), runs = 0;
	struct class *class = nr <= FIELDS_MAX ? calloc(1, sizeof(*class)) : NULL;

	if (!class)
		return NULL;
	class->next = classes;
	classes = class;
	for (size_t i = 0; i < nr; i++)
		if (fields[i] == 'r')
			class->runs[runs++] = (struct gca_run){
				.offset = (uint32_t)(offsetof(struct instance, fields) +
						     i * sizeof(uintptr_t)),
				.count = 1,
			};
	class->layout = (struct gca_layout){
		.name = name,
		.size = (uint32_t)(sizeof(struct instance) + nr * sizeof(uintptr_t)),
		.tail = GCA_NO_TAIL,
		.runs = class->runs,
	};
	return class;
}

static struct instance *instance_new(struct gca_mutator *m, struct class *class)
{
	struct instance *instance = gca_alloc(m, gca_kind_of(&class->layout), class->layout.size);

	if (instance)
		instance->class = class;
	return instance;
}

/* A pointer when @is_object is set, which is so before anybody else sees it and for ever. */
struct any {
	uintptr_t is_object;
	union {
		long number;
		field_t object;
	} as;
};

static void trace_any(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct any *any = object;

	if (any->is_object)
		gca_visit(visitor, &any->as.object);
}

GCA_TRACED(any, trace_any);

static int run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct any *any; struct instance *account; struct instance *owner);
	struct gca_stats stats = { .size = sizeof(stats) };
	struct class *owner = class_new("Owner", "n");
	struct class *account = class_new("Account", "rnr");
	static const struct gca_run outside[] = { { 4096, 1 }, { 0, 0 } };
	static struct gca_layout bad = {
		.name = "Bad", .size = 16, .tail = GCA_NO_TAIL, .runs = outside,
	};
	bool good;

	if (!owner || !account)
		return 1;
	f.owner = instance_new(m, owner);
	f.account = instance_new(m, account);
	f.any = gca_new(m, any);
	if (!f.owner || !f.account || !f.any)
		return 1;
	f.owner->fields[0] = 7;
	gca_store(m, field(f.account, 0), f.owner);
	f.account->fields[1] = (uintptr_t)f.owner;	/* a number, whatever it looks like */
	f.any->is_object = 1;
	gca_store(m, &f.any->as.object, f.account);
	f.account = NULL;
	f.owner = NULL;

	gca_collect(m);
	gca_stats(gca_heap_of(m), &stats);
	f.account = gca_load(&f.any->as.object);
	good = stats.heap_live_objects == 3 && gca_load(field(f.account, 0))->fields[0] == 7;
	printf("%llu objects by way of a tag and a map: %s\n",
	       (unsigned long long)stats.heap_live_objects, good ? "whole" : "NOT whole");
	gca_store(m, field(f.account, 0), NULL);
	gca_collect(m);
	gca_stats(gca_heap_of(m), &stats);
	good = good && stats.heap_live_objects == 2;
	printf("a number keeps nothing: %llu are left\n",
	       (unsigned long long)stats.heap_live_objects);

	/* A map that is wrong gives a kind from which every allocation fails. */
	good = good && !gca_alloc(m, gca_kind_of(&bad), 16);
	printf("%s\n", gca_error());
	return !good;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "classes: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_detach(m);
	return gca_close(heap) || status;
}
