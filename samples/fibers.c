// SPDX-License-Identifier: MIT
/*
 * fibers: manual memory.  An interpreter's green threads have operand stacks of their own, in
 * pages of the arena that are freed by hand and used again, as goroutines' stacks are.  The
 * collector sees what is on them by a root callback.
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define FIBERS		4
#define STACK_BYTES	(32 * 1024)
#define DEPTH		200

#define VALUE_FIELDS(F)			\
	F(REF, struct value, rest)	\
	F(VAL, long, number)
GCA_STRUCT(value, VALUE_FIELDS);

struct fiber {
	struct value **stack;	/* manual memory: not zeroed, and no cycle looks into it */
	size_t used;
	struct fiber *next;
};

static struct fiber *fibers;

/* The world is stopped: all of the fibers' stacks are as they are to be seen. */
static void visit_fibers(struct gca_visitor *visitor, void *arg)
{
	struct fiber * const *first = arg;

	for (const struct fiber *fiber = *first; fiber; fiber = fiber->next)
		gca_visit_words(visitor, fiber->stack, fiber->stack + fiber->used);
}

static struct fiber *fiber_begin(struct gca_mutator *m)
{
	struct fiber *fiber = calloc(1, sizeof(*fiber));

	if (!fiber)
		return NULL;
	fiber->stack = gca_manual_alloc(m, STACK_BYTES);
	if (!fiber->stack) {
		free(fiber);
		return NULL;
	}
	fiber->next = fibers;
	fibers = fiber;
	return fiber;
}

static void fiber_end(struct gca_mutator *m, struct fiber *fiber)
{
	struct fiber **link = &fibers;

	while (*link != fiber)
		link = &(*link)->next;
	*link = fiber->next;
	gca_manual_free(m, fiber->stack);
	free(fiber);
}

/* One instruction: push a list of two.  A stack is written to plainly, as any stack is. */
static int step(struct gca_mutator *m, struct fiber *fiber, long number)
{
	struct value *value = gca_new(m, value), *head;

	if (!value)
		return -1;
	value->number = number;
	fiber->stack[fiber->used++] = value;
	head = gca_new(m, value);
	if (!head)
		return -1;
	head->number = -number;
	gca_init(m, &head->rest, fiber->stack[fiber->used - 1]);
	fiber->stack[fiber->used - 1] = head;
	return 0;
}

static bool whole(const struct fiber *fiber)
{
	for (size_t i = 0; i < fiber->used; i++) {
		const struct value *head = fiber->stack[i];

		if (head->number != -(long)i || gca_load(&head->rest)->number != (long)i)
			return false;
	}
	return fiber->used == DEPTH;
}

static int run(struct gca_mutator *m)
{
	struct fiber *ring[FIBERS];
	unsigned int good = 0;
	void *was;

	for (size_t i = 0; i < FIBERS; i++) {
		ring[i] = fiber_begin(m);
		if (!ring[i])
			return 1;
	}
	/* In turn, with a cycle now and then. */
	for (long i = 0; i < DEPTH; i++) {
		for (size_t j = 0; j < FIBERS; j++)
			if (step(m, ring[j], i))
				return 1;
		if (i % 50 == 49)
			gca_collect(m);
	}
	for (size_t i = 0; i < FIBERS; i++)
		good += whole(ring[i]);
	printf("%u of %d fibers have all that they pushed\n", good, FIBERS);

	was = ring[0]->stack;
	fiber_end(m, ring[0]);
	ring[0] = fiber_begin(m);
	if (!ring[0])
		return 1;
	printf("a new one has %s stack\n", ring[0]->stack == was ? "the ended one's" : "another");
	good = good == FIBERS && ring[0]->stack == was;
	for (size_t i = 0; i < FIBERS; i++)
		fiber_end(m, ring[i]);
	return !good;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_callback_add(heap, visit_fibers, &fibers)) {
		fprintf(stderr, "fibers: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_root_callback_remove(heap, visit_fibers, &fibers);
	gca_detach(m);
	return gca_close(heap) || status;
}
