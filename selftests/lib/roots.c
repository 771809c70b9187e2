// SPDX-License-Identifier: MIT
/*
 * Registered root ranges, root callbacks and precise frames: what they keep,
 * that they stop keeping it, and each error.
 */
#include "lib.h"

#include <setjmp.h>

struct item;
#define ITEM_FIELDS(F) F(REF, struct item, next) F(VAL, unsigned long, tag)
GCA_STRUCT(item, ITEM_FIELDS);

static struct item *new_item(struct gca_mutator *m, struct item *next)
{
	struct item *item = must(gca_new(m, item));

	gca_store(m, &item->next, next);
	return item;
}

static void test_ranges(struct gca_mutator *m)
{
	static GCA_REF(struct item) table[100];
	static GCA_REF(struct item) other[4];
	struct gca_heap *heap = gca_heap_of(m);
	gca_ref *many = calloc(300, sizeof(*many));

	memset(table, 0xff, sizeof(table));
	eq(gca_root_add(heap, table, sizeof(table)), 0, "a range is added");
	ok(is_zero(table, sizeof(table)), "and set to zero");
	eq(live_objects(m), 0, "it keeps nothing yet");
	gca_store(m, &table[0], new_item(m, NULL));
	gca_store(m, &table[50], new_item(m, gca_load(&table[0])));
	gca_store(m, &table[99], new_item(m, new_item(m, NULL)));
	eq(live_objects(m), 4, "its first, middle and last slots keep");
	gca_store(m, &table[50], NULL);
	eq(live_objects(m), 3, "a cleared slot keeps no more");

	eq(gca_root_add(heap, table, sizeof(table)), -EINVAL, "the same range again");
	eq(gca_root_add(heap, &table[99], 8), -EINVAL, "a part of it");
	eq(gca_root_add(heap, (char *)table + 4, 8), -EINVAL, "a misaligned start");
	eq(gca_root_add(heap, other, 12), -EINVAL, "a misaligned length");
	eq(gca_root_remove(heap, &table[1]), -ENOENT, "removing what was not added");
	eq(gca_root_remove(heap, other), -ENOENT, "removing another range");
	eq(live_objects(m), 3, "errors change nothing");

	eq(gca_root_add(heap, other, sizeof(other)), 0, "a second range");
	gca_store(m, &other[3], new_item(m, NULL));
	eq(live_objects(m), 4, "keeps as well");
	eq(gca_root_remove(heap, table), 0, "the first is removed");
	eq(live_objects(m), 1, "what it kept goes");
	eq(gca_root_remove(heap, table), -ENOENT, "it cannot be removed twice");
	eq(gca_root_add(heap, table, sizeof(table)), 0, "it can be added again");
	ok(is_zero(table, sizeof(table)), "and is zero again");

	/* Enough ranges that the list of them grows. */
	for (unsigned int i = 0; i < 300; i++)
		if (gca_root_add(heap, &many[i], sizeof(many[i])))
			bail("gca_root_add: %s", gca_error());
	for (unsigned int i = 0; i < 300; i++)
		gca_store(m, &many[i], new_item(m, NULL));
	eq(live_objects(m), 301, "300 ranges of one slot");
	for (unsigned int i = 0; i < 300; i += 2)
		gca_root_remove(heap, &many[i]);
	eq(live_objects(m), 151, "of which every second is removed");
	for (unsigned int i = 1; i < 300; i += 2)
		gca_root_remove(heap, &many[i]);
	gca_root_remove(heap, table);
	gca_root_remove(heap, other);
	eq(live_objects(m), 0, "none is left");
	free(many);
}

struct visited {
	GCA_REF(struct item) slots[3];
	struct item *value;
	unsigned int calls;
};

static void visit_root(struct gca_visitor *visitor, void *arg)
{
	struct visited *visited = arg;

	visited->calls++;
	gca_visit_value(visitor, visited->value);
	gca_visit_slots(visitor, visited->slots, 2);
	gca_visit(visitor, &visited->slots[2]);
}

static void test_callbacks(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	struct visited one = { 0 }, two = { 0 };

	eq(gca_root_callback_add(heap, visit_root, &one), 0, "a callback is added");
	eq(gca_root_callback_add(heap, visit_root, &two), 0, "with two arguments");
	eq(live_objects(m), 0, "null values and slots are nothing");
	one.value = new_item(m, new_item(m, NULL));
	for (unsigned int i = 0; i < 3; i++)
		two.slots[i].gca_raw = new_item(m, NULL);
	one.calls = 0;
	eq(live_objects(m), 5, "gca_visit_value(), _slots() and gca_visit() keep");
	ok(one.calls, "it runs at the cycle");
	eq(gca_root_callback_remove(heap, visit_root, &one), 0, "one is removed");
	one.calls = 0;
	eq(live_objects(m), 3, "the other still keeps");
	eq(one.calls, 0, "the removed one is not called");
	eq(gca_root_callback_remove(heap, visit_root, &one), -ENOENT, "it is not there");
	eq(gca_root_callback_remove(heap, visit_root, &two), 0, "the other is removed");
	eq(live_objects(m), 0, "nothing is kept");
}

static uint64_t nested(struct gca_mutator *m, unsigned int depth)
{
	GCA_FRAME(m, f, struct item *mine; struct item *none);
	f.mine = new_item(m, NULL);
	if (depth == 0)
		return live_objects(m);
	return nested(m, depth - 1);
}

static int leave_early(struct gca_mutator *m, int how)
{
	GCA_FRAME(m, f, struct item *a);
	f.a = new_item(m, NULL);
	for (int i = 0; i < 3; i++) {
		GCA_FRAME(m, g, struct item *b);
		g.b = new_item(m, f.a);
		if (how == 1 && i == 1)
			return 1;
		if (how == 2 && i == 1)
			break;
		if (how == 3)
			continue;
		if (how == 4)
			goto out;
	}
	return 0;
out:
	return 4;
}

static NOINLINE void throw(struct gca_mutator *m, jmp_buf to, unsigned int depth)
{
	GCA_FRAME(m, f, struct item *mine);
	f.mine = new_item(m, NULL);
	if (depth)
		throw(m, to, depth - 1);
	else if (to)
		longjmp(to, 1);
}

static void test_longjmp(struct gca_mutator *m)
{
	jmp_buf here;

	for (volatile int i = 0; i < 3; i++) {
		GCA_FRAME(m, f, struct item *kept);
		f.kept = new_item(m, NULL);
		if (!setjmp(here))
			throw(m, here, 10);
		gca_frame_unwind(m, &f);
		eq(live_objects(m), 1, "what longjmp() left is forgotten, no more");
	}
	eq(live_objects(m), 0, "which is popped as ever");
	if (!setjmp(here))
		throw(m, here, 10);
	gca_frame_unwind(m, NULL);
	eq(live_objects(m), 0, "all of them");
}

static void test_frames(struct gca_mutator *m)
{
	eq(live_objects(m), 0, "no frame, no object");
	{
		GCA_FRAME(m, f, struct item *a; struct item *b; struct item *many[5]);
		ok(!f.a && !f.b && is_zero(f.many, sizeof(f.many)), "a frame starts null");
		f.a = new_item(m, NULL);
		f.b = new_item(m, f.a);
		f.many[4] = new_item(m, NULL);
		new_item(m, NULL);
		eq(live_objects(m), 3, "every slot of a frame keeps");
		f.a = NULL;
		eq(live_objects(m), 3, "what the heap holds stays");
		f.b = NULL;
		eq(live_objects(m), 1, "what nothing holds goes");
		{
			GCA_FRAME(m, g, struct item *c);
			g.c = new_item(m, NULL);
			eq(live_objects(m), 2, "an inner frame adds its own");
			eq(gca_detach(m), -EBUSY, "no detach with frames pushed");
			ok(strlen(gca_error()) > 0, "and a sentence: %s", gca_error());
		}
		eq(live_objects(m), 1, "and takes it along when left");
	}
	eq(live_objects(m), 0, "frames popped, nothing left");
	eq(nested(m, 200), 201, "201 frames deep");
	eq(live_objects(m), 0, "all popped");
	for (int how = 0; how < 5; how++)
		leave_early(m, how);
	eq(live_objects(m), 0, "return, break, continue and goto pop");
}

/* What a callback shows of a stack that runs is another thing each time. */
static struct {
	uintptr_t words[4];
	unsigned int calls;
} running;

static void visit_running(struct gca_visitor *visitor, void *arg)
{
	unsigned int call = running.calls++ % 4;

	gca_visit_words(visitor, &running.words[call], &running.words[call + 1]);
}

static NOINLINE void hide(struct gca_mutator *m)
{
	for (unsigned int i = 0; i < 4; i++)
		running.words[i] = (uintptr_t)must(gca_new_bytes(m, 100));
}

static void test_running(void)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_STOP_THE_WORLD, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	hide(m);
	gca_root_callback_add(heap, visit_running, NULL);
	eq(gca_collect(m), 0, "a callback shows one object for another");
	gca_root_callback_remove(heap, visit_running, NULL);
	ok(running.calls >= 2 && !reports.count, "which is no mistake: %s", reports.text);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	test_ranges(m);
	test_callbacks(m);
	test_frames(m);
	test_longjmp(m);
	eq(gca_detach(m), 0, "detach");
	eq(gca_close(heap), 0, "close");
	test_running();
	return tap_done();
}
