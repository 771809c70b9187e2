// SPDX-License-Identifier: MIT
/*
 * Misuse: what a program must not do gets an error and a sentence, or where there is nobody
 * to give an error to, an end that says why; and nothing that lives is lost by it.
 */
#include "child.h"

#include <signal.h>

struct node;
#define NODE_FIELDS(F) F(REF, struct node, next) F(VAL, size_t, key)
GCA_STRUCT(node, NODE_FIELDS);

#define CHANGES_FIELDS(F) F(REF, struct node, first) F(VALS, long, more, 4)
GCA_STRUCT_FLAGS(changes, CHANGES_FIELDS, GCA_LAYOUT_CHANGES);

static bool says(const char *what)
{
	if (strstr(gca_error(), what))
		return true;
	diag("the error is: %s", gca_error());
	return false;
}

static void test_sizes(struct gca_mutator *m)
{
	struct gca_stats before = stats_of(gca_heap_of(m));

	ok(!gca_new_bytes(m, SIZE_MAX) && says("address space"), "all bytes there are");
	ok(!gca_new_bytes_raw(m, SIZE_MAX - 15) && says("address space"), "raw ones");
	ok(!gca_new_bytes(m, 1ul << 40) && says("address space"), "more than the heap has");
	ok(!gca_alloc_aligned(m, gca_kind_noscan(), SIZE_MAX, 64) && says("address space"),
	   "and aligned");
	ok(!gca_new_refs(m, SIZE_MAX / 8 + 2) && says("too many"), "pointers beyond a size");
	ok(!gca_new_array(m, node, SIZE_MAX / 15) && says("no size"), "structures beyond one");
	ok(!gca_manual_alloc(m, SIZE_MAX) && !gca_manual_alloc(m, 0), "manual memory of no size");
	eq(stats_of(gca_heap_of(m)).num_gc, before.num_gc, "no cycle was run for any of them");
	ok(gca_new_bytes(m, 0) && gca_new_refs(m, 0) && gca_new_tiny(m, 0) &&
	   gca_new_array(m, node, 0), "nothing is something, with an address");
}

static void test_places(struct gca_heap *heap, struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node; struct changes *changes;
		  struct gca_ephemeron *ephemeron);
	long outside = 0;

	eq(gca_root_add(heap, NULL, 8), -EINVAL, "no root range is at NULL");
	f.changes = must(gca_new(m, changes));
	eq(gca_relayout(m, f.changes, NULL), -EINVAL, "no kind is none to change to");
	f.node = must(gca_new(m, node));
	f.ephemeron = must(gca_ephemeron_new(m, f.node, f.node));
	gca_ephemeron_set_value(m, f.ephemeron, &outside);
	ok(says("not an object"), "an ephemeron's value is an object");
	eq(gca_collect(m), 0, "a cycle goes by");
	ok(gca_ephemeron_value(m, f.ephemeron) == f.node, "and it has the one that it had");
	gca_ephemeron_set_value(m, f.ephemeron, NULL);
	ok(!gca_ephemeron_value(m, f.ephemeron), "or none");
}

static unsigned int asked;

/* It must not allocate. */
static bool allocates(struct gca_mutator *m, size_t size, void *arg)
{
	bool *had = arg;

	asked++;
	*had = gca_new_bytes(m, size);
	return asked < 3;
}

static void test_handler(void)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	bool had = true;

	gca_config_init(&config);
	config.limit = 16 * MIB;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	gca_set_failure_handler(heap, allocates, &had);
	ok(!gca_new_bytes(m, 32 * MIB), "a failure handler that allocates is no way round");
	eq(asked, 3, "it is asked until it says no, and not by itself");
	ok(!had, "what it cannot have is NULL there");
	ok(gca_new_bytes(m, MIB), "what there is can be had");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void *collects(void *mutator)
{
	gca_collect(mutator);
	return NULL;
}

static NOINLINE void wrong_thread(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_CONSERVATIVE);
	pthread_t thread;

	alarm(60);
	if (pthread_create(&thread, NULL, collects, m))
		_exit(1);
	pthread_join(thread, NULL);
	_exit(0);
}

static void test_wrong_thread(void)
{
	char text[1000];
	int status = child_output(wrong_thread, text, sizeof(text));

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
	   "a mutator in another thread's hands ends the program");
	if (!ok(strstr(text, "of the thread that attached it"), "which says why"))
		diag("%s", text);
}

static void *stays(void *arg)
{
	struct gca_mutator *mine = arg;

	eq(gca_detach(mine), -EPERM, "who did not attach cannot detach");
	return NULL;
}

static void test_ends(struct gca_heap *heap, struct gca_mutator *m)
{
	pthread_t thread;
	void *object;

	eq(gca_close(heap), -EBUSY, "a heap with somebody in it is not closed");
	if (pthread_create(&thread, NULL, stays, m))
		bail("pthread_create");
	pthread_join(thread, NULL);
	gca_blocking_begin(m);
	eq(gca_detach(m), -EBUSY, "nor does one detach in a blocking region");
	gca_blocking_end(m);
	{
		GCA_FRAME(m, f, void *object);

		f.object = must(gca_new(m, node));
		eq(gca_detach(m), -EBUSY, "or in a frame");
		object = f.object;
		eq(gca_pin(m, object), 0, "a pin");
		must(gca_handle_new(m, object));
		must(gca_manual_alloc(m, 100000));
		gca_pool_put(m, must(gca_pool_new(heap)), object);
	}
	eq(gca_detach(m), 0, "what a thread has pinned outlives its being attached");
	m = attach(heap, GCA_STACK_PRECISE);
	gca_collect(m);
	eq(gca_unpin(m, object), 0, "and others can unpin it");
	eq(gca_detach(m), 0, "detach");
	eq(gca_close(heap), 0, "a heap takes handles, pools and manual memory with it");
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;

	eq(gca_close(NULL), 0, "no heap is closed at once");
	test_wrong_thread();
	heap = open_quiet(GCA_MODE_CONCURRENT);
	m = attach(heap, GCA_STACK_PRECISE);
	test_sizes(m);
	test_places(heap, m);
	test_handler();
	test_ends(heap, m);
	return tap_done();
}
