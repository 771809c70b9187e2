// SPDX-License-Identifier: MIT
/*
 * Kinds with flags: fields that may point into objects, and objects that change shape.
 *
 * A tree's nodes are leaves with data and branches with pointers in turn; what a layout
 * does not have as a pointer keeps nothing, what it has is never lost, beside marking
 * too.  The checks look at each layout as it is.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

struct leafshape;
struct branch;
#define LEAF_FIELDS(F)				\
	F(VAL, uint64_t, tag)			\
	F(VALS, uintptr_t, data, 8)		\
	F(REF, struct branch, last)
GCA_STRUCT_FLAGS(leafshape, LEAF_FIELDS, GCA_LAYOUT_CHANGES);
#define BRANCH_FIELDS(F)			\
	F(VAL, uint64_t, tag)			\
	F(REFS, struct branch, child, 6)	\
	F(VALS, uintptr_t, data, 2)		\
	F(REF, struct branch, last)
GCA_STRUCT_FLAGS(branch, BRANCH_FIELDS, GCA_LAYOUT_CHANGES);
#define HUGE_FIELDS(F) F(VALS, uintptr_t, data, 400) F(REF, struct branch, last)
GCA_STRUCT_FLAGS(hugeshape, HUGE_FIELDS, GCA_LAYOUT_CHANGES);
#define FIXED_FIELDS(F) F(REF, struct branch, one) F(VALS, uintptr_t, data, 9)
GCA_STRUCT(fixedshape, FIXED_FIELDS);

#define CURSOR_FIELDS(F) F(REF, uint64_t, at) F(REFS, uint64_t, more, 3) F(TAIL, uint64_t, rest)
GCA_STRUCT_FLAGS(cursor, CURSOR_FIELDS, GCA_LAYOUT_INTERIOR);
#define POINTER_FIELDS(F) F(REF, uint64_t, at)
GCA_STRUCT(strict, POINTER_FIELDS);

static void test_refused(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct branch *branch; struct fixedshape *fixed);
		f.branch = must(gca_new(m, branch));
		f.fixed = must(gca_new(m, fixedshape));
		eq(gca_relayout(m, f.branch, GCA_KIND(fixedshape)), -EINVAL, "to a fixed kind: %s",
		   gca_error());
		eq(gca_relayout(m, f.fixed, GCA_KIND(branch)), -EINVAL, "of one: %s", gca_error());
		eq(gca_relayout(m, f.branch, GCA_KIND(hugeshape)), -EINVAL, "too large: %s",
		   gca_error());
		eq(gca_relayout(m, (char *)f.branch + 16, GCA_KIND(leafshape)), -EINVAL,
		   "not the beginning: %s", gca_error());
		eq(gca_relayout(m, heap, GCA_KIND(leafshape)), -EINVAL, "no object: %s",
		   gca_error());
		eq(gca_relayout(m, f.branch, GCA_KIND(leafshape)), 0, "and one that may");
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_shapes(enum gca_mode mode, const char *debug)
{
	struct gca_heap *heap = open_debug(debug, mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct branch *node; struct branch *kept);
		struct leafshape *leaf;
		bool cleared = true;

		f.node = must(gca_new(m, branch));
		for (unsigned int i = 0; i < 6; i++)
			gca_store(m, &f.node->child[i], must(gca_new(m, branch)));
		gca_store(m, &f.node->last, must(gca_new(m, branch)));
		eq(live_objects(m), 8, "%s: a branch and its seven", debug ? debug : "-");
		eq(gca_relayout(m, f.node, GCA_KIND(leafshape)), 0, "becomes a leaf");
		leaf = (struct leafshape *)f.node;
		eq(live_objects(m), 2, "which keeps what is a field in both");
		/* What looks like pointers is data now, stored plainly. */
		f.kept = must(gca_new(m, branch));
		for (unsigned int i = 0; i < 8; i++)
			leaf->data[i] = (uintptr_t)f.kept;
		f.kept = NULL;
		eq(live_objects(m), 2, "and data keeps nothing");
		eq(gca_relayout(m, leaf, GCA_KIND(branch)), 0, "a branch again");
		for (unsigned int i = 0; i < 6; i++)
			cleared &= !gca_load(&f.node->child[i]);
		ok(cleared && gca_load(&f.node->last), "whose new fields are NULL");
		gca_store(m, &f.node->child[3], must(gca_new(m, branch)));
		eq(live_objects(m), 3, "and count");
		f.node = NULL;
		eq(live_objects(m), 0, "all of it dies");
	}
	eq(reports.count, 0, "nothing to report %s", reports.text);
	gca_detach(m);
	gca_close(heap);
}

/* ---------------------------------------------------------- beside marking */

static uint32_t stop_changing;

/* A chain whose nodes change shape all the time: the chain is what both have. */
static void *changes(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded(7);
	size_t wrong = 0;

	{
		GCA_FRAME(m, f, struct branch *head; struct branch *node; struct branch *next);
		for (unsigned int i = 0; i < 300; i++) {
			f.node = must(gca_new(m, branch));
			f.node->tag = 300 - i;
			gca_store(m, &f.node->last, f.head);
			f.head = f.node;
		}
		while (!__atomic_load_n(&stop_changing, __ATOMIC_ACQUIRE)) {
			uint64_t tag = 1;

			for (f.node = f.head; f.node; f.node = gca_load(&f.node->last)) {
				wrong += f.node->tag++ != tag++;
				if (rng_below(&rng, 4))
					continue;
				/* A child of this branch only, held before that is a leaf. */
				gca_store(m, &f.node->child[0], must(gca_new(m, branch)));
				gca_load(&f.node->child[0])->tag = 77;
				gca_safepoint(m);
				f.next = gca_load(&f.node->child[0]);
				wrong += gca_relayout(m, f.node, GCA_KIND(leafshape)) != 0;
				((struct leafshape *)f.node)->data[0] = (uintptr_t)f.head;
				gca_safepoint(m);
				wrong += f.next->tag != 77;
				f.next = NULL;
				wrong += gca_relayout(m, f.node, GCA_KIND(branch)) != 0;
				wrong += !!gca_load(&f.node->child[0]);
			}
			for (f.node = f.head; f.node; f.node = gca_load(&f.node->last))
				f.node->tag--;
		}
	}
	gca_detach(m);
	return (void *)wrong;
}

static void test_beside(const char *debug)
{
	struct gca_heap *heap = open_debug(debug, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t until = clock_ns() + (uint64_t)scaled(300) * 1000000;
	unsigned int cycles = 0;
	pthread_t thread;
	void *wrong;

	stop_changing = 0;
	if (pthread_create(&thread, NULL, changes, heap))
		bail("pthread_create");
	while (clock_ns() < until || cycles < 5) {
		gca_collect(m);
		cycles++;
	}
	__atomic_store_n(&stop_changing, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, &wrong);
	gca_blocking_end(m);
	eq((size_t)wrong, 0, "%s: shapes change beside %u cycles", debug ? debug : "-", cycles);
	eq(reports.count, 0, "nothing to report %s", reports.text);
	gca_detach(m);
	gca_close(heap);
}

/* ---------------------------------------------------------------- interior */

static void test_interior(enum gca_mode mode)
{
	struct gca_heap *heap = open_debug("verify=1", mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct cursor *cursor; uint64_t *array; struct strict *strict);
		f.cursor = (void *)must(gca_new_tail(m, cursor, 4));
		for (unsigned int i = 0; i < 3; i++) {
			f.array = must(gca_new_bytes(m, 100 * sizeof(uint64_t)));
			f.array[50] = 4711 + i;
			f.array[99] = i;
			if (i == 0)
				gca_store(m, &f.cursor->at, &f.array[50]);
			else if (i == 1)
				gca_store(m, &f.cursor->more[1], &f.array[100]);
			else
				gca_store(m, &f.cursor->rest[3], &f.array[1]);
		}
		f.array = NULL;
		eq(live_objects(m), 4, "mode %d: fields that point into objects keep them", mode);
		for (unsigned int i = 0; i < 1000; i++)
			must(gca_new_bytes(m, 100 * sizeof(uint64_t)));
		ok(*gca_load(&f.cursor->at) == 4711 && gca_load(&f.cursor->more[1])[-1] == 1 &&
		   gca_load(&f.cursor->rest[3])[49] == 4713, "one past their end, too");
		eq(reports.count, 0, "which is no mistake %s", reports.text);
		gca_store(m, &f.cursor->at, NULL);
		eq(live_objects(m), 3, "and let them go");
		f.cursor = NULL;
		f.strict = must(gca_new(m, strict));
		f.array = must(gca_new_bytes(m, 100 * sizeof(uint64_t)));
		gca_store(m, &f.strict->at, &f.array[50]);
		live_objects(m);
		ok(reports.count, "of another kind it is: %s", reports.text);
	}
	gca_detach(m);
	gca_close(heap);
}

static void trace_nothing(const void *object, size_t size, struct gca_visitor *visitor)
{
}

static void test_flags(void)
{
	static const struct gca_run none[] = { { 0, 0 } };
	static struct gca_layout traced = { "traced", 64, GCA_NO_TAIL, none, trace_nothing, NULL,
					    GCA_LAYOUT_CHANGES };
	static struct gca_layout unknown = { "unknown", 64, GCA_NO_TAIL, none, NULL, NULL, 0x80 };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	ok(!gca_alloc(m, gca_kind_register(&traced), 64), "no callback for what changes: %s",
	   gca_error());
	ok(!gca_alloc(m, gca_kind_register(&unknown), 64), "no unknown flag");
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	test_flags();
	test_refused();
	test_shapes(GCA_MODE_STOP_THE_WORLD, NULL);
	test_shapes(GCA_MODE_CONCURRENT, NULL);
	test_shapes(GCA_MODE_CONCURRENT, "shadow=1,verify=1");
	test_beside(NULL);
	test_beside("shadow=1,verify=1");
	test_interior(GCA_MODE_STOP_THE_WORLD);
	test_interior(GCA_MODE_CONCURRENT);
	return tap_done();
}
