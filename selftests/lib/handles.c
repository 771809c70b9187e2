// SPDX-License-Identifier: MIT
/*
 * Handles, pins, pools, manual memory and the heap walk, in both modes with verify=1:
 * what they keep alive and for how long, what is refused, what threads do to pools
 * while cycles run.
 */
#include "lib.h"

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, next)		\
	F(VAL, uint64_t, key)
GCA_STRUCT(node, NODE_FIELDS);

#define WIDE_FIELDS(F)				\
	F(REFS, struct node, nodes, 100)
GCA_STRUCT(wide, WIDE_FIELDS);

#define COUNT_OF(a)	(sizeof(a) / sizeof((a)[0]))

static struct node *node_new(struct gca_mutator *m, uint64_t key)
{
	struct node *node = must(gca_new(m, node));

	node->key = key;
	return node;
}

/* ---------------------------------------------------------------- handles */

static NOINLINE struct gca_handle *handle_to(struct gca_mutator *m, uint64_t key)
{
	struct gca_handle *handle = gca_handle_new(m, node_new(m, key));

	if (!handle)
		bail("gca_handle_new: %s", gca_error());
	return handle;
}

static void test_handles(struct gca_mutator *m)
{
	size_t count = 2000, whole = 0;	/* several blocks of them */
	struct gca_handle **handles = calloc(count, sizeof(*handles));
	struct gca_handle *again;
	struct node *node;

	for (size_t i = 0; i < count; i++)
		handles[i] = handle_to(m, i);
	eq(live_objects(m), count, "what handles refer to lives");
	for (size_t i = 0; i < count; i++) {
		node = gca_handle_get(handles[i]);
		whole += node->key == i;
	}
	eq(whole, count, "and is what they were made for");
	for (size_t i = 0; i < count; i += 2)
		gca_handle_free(m, handles[i]);
	gca_handle_set(m, handles[1], NULL);
	eq(live_objects(m), count / 2 - 1, "what ended or refers elsewhere keeps nothing");
	again = handle_to(m, 7);
	eq(live_objects(m), count / 2, "a handle is used again");
	eq(gca_handle_free(m, again), 0, "a handle ends");
	eq(gca_handle_free(m, again), -EINVAL, "once");
	eq(gca_handle_free(m, (struct gca_handle *)((char *)again + 1)), -EINVAL,
	   "not in its middle");
	eq(gca_handle_free(m, (struct gca_handle *)handles), -EINVAL, "what is none is refused");
	eq(gca_handle_free(m, NULL), 0, "NULL is no mistake");
	for (size_t i = 1; i < count; i += 2)
		gca_handle_free(m, handles[i]);
	eq(live_objects(m), 0, "nothing is left");
	free(handles);
}

/* ------------------------------------------------------------------- pins */

static NOINLINE char *pinned_buffer(struct gca_mutator *m)
{
	GCA_FRAME(m, f, char *buffer);

	f.buffer = must(gca_new_bytes(m, 5000));
	memset(f.buffer, 0x5a, 5000);
	eq(gca_pin(m, f.buffer + 17), 0, "an object is pinned by an address in it");
	eq(gca_pin(m, f.buffer), 0, "twice");
	return f.buffer;
}

static void test_pins(struct gca_mutator *m)
{
	char *buffer = pinned_buffer(m);
	int outside;

	eq(live_objects(m), 1, "a pinned object lives");
	ok(is_filled(buffer, 0x5a, 5000), "unharmed");
	eq(gca_unpin(m, buffer), 0, "one pin is taken back");
	eq(live_objects(m), 1, "the other holds it");
	eq(gca_unpin(m, buffer + 4999), 0, "both");
	eq(live_objects(m), 0, "it goes");
	eq(gca_unpin(m, buffer), -EINVAL, "what is not pinned is not unpinned");
	eq(gca_pin(m, &outside), -EINVAL, "what is no object is not pinned");
}

/* ------------------------------------------------------------------ pools */

static void test_pool(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct node *node);
	struct gca_pool *pool = gca_pool_new(gca_heap_of(m));

	ok(pool && !gca_pool_get(m, pool), "a new pool has nothing");
	gca_pool_put(m, pool, node_new(m, 1));
	gca_pool_put(m, pool, node_new(m, 2));
	gca_pool_put(m, pool, NULL);
	f.node = gca_pool_get(m, pool);
	ok(f.node && f.node->key <= 2, "an object comes back");
	f.node = NULL;
	eq(live_objects(m), 1, "the other lives through one cycle");
	f.node = gca_pool_get(m, pool);
	ok(f.node && f.node->key <= 2, "and is there");
	gca_pool_put(m, pool, f.node);
	f.node = NULL;
	gca_collect(m);
	eq(live_objects(m), 0, "what nobody asked for in two cycles is gone");
	ok(!gca_pool_get(m, pool), "from the pool too");
	gca_pool_put(m, pool, node_new(m, 3));
	gca_pool_free(m, pool);
	eq(live_objects(m), 0, "a pool that ended holds nothing");
	gca_pool_free(m, NULL);
}

struct job {
	struct gca_heap *heap;
	struct gca_pool *pool;
	unsigned int number;
	uint64_t wrong;
	uint64_t reused;
};

static uint32_t stop;

static void *use_pool(void *arg)
{
	struct job *job = arg;
	struct gca_mutator *m = attach(job->heap, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded(job->number);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct node *nodes[8];
		size_t nr = 1 + rng_below(&rng, 8);

		for (size_t i = 0; i < nr; i++) {
			nodes[i] = gca_pool_get(m, job->pool);
			if (nodes[i]) {
				job->reused++;
				job->wrong += gca_load(&nodes[i]->next)->key != ~nodes[i]->key;
			} else {
				nodes[i] = node_new(m, 0);
			}
			nodes[i]->key = rng_next(&rng);
			gca_store(m, &nodes[i]->next, node_new(m, ~nodes[i]->key));
		}
		for (size_t i = 0; i < nr; i++)
			gca_pool_put(m, job->pool, nodes[i]);
	}
	gca_detach(m);
	return NULL;
}

static void test_pool_threads(enum gca_mode mode)
{
	struct gca_heap *heap = open_debug("verify=1", mode, 50);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t until = clock_ns() + (uint64_t)scaled(800) * 1000000;
	struct gca_pool *pool = gca_pool_new(heap);
	struct job jobs[3];
	pthread_t threads[3];
	uint64_t wrong = 0, reused = 0;

	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < 3; i++) {
		jobs[i] = (struct job){ heap, pool, i, 0, 0 };
		if (pthread_create(&threads[i], NULL, use_pool, &jobs[i]))
			bail("pthread_create");
	}
	while (clock_ns() < until)
		gca_collect(m);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		wrong += jobs[i].wrong;
		reused += jobs[i].reused;
	}
	gca_blocking_end(m);
	eq(wrong, 0, "what threads take from a pool is whole");
	ok(reused, "and they do: %llu times", (unsigned long long)reused);
	eq(reports.count, 0, "verify has nothing to say");
	if (reports.count)
		diag("%s", reports.text);
	gca_detach(m);
	eq(gca_close(heap), 0, "close, with a pool");
}

/* ----------------------------------------------------------------- manual */

static void test_manual(struct gca_mutator *m)
{
	struct gca_heap *heap = gca_heap_of(m);
	size_t sizes[] = { 1, 8192, 8193, 100000, 512 * KIB, 3 * MIB + 1 };
	char *runs[COUNT_OF(sizes)], *other;
	uint64_t inuse;

	gca_release(m);
	inuse = stats_of(heap).heap_inuse;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		runs[i] = must(gca_manual_alloc(m, sizes[i]));
		ok(!((uintptr_t)runs[i] & 4095), "%zu bytes, page-aligned", sizes[i]);
		memset(runs[i], (int)i + 1, sizes[i]);
	}
	gca_collect(m);
	gca_collect(m);
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		ok(is_filled(runs[i], (unsigned char)(i + 1), sizes[i]), "%zu bytes, unharmed",
		   sizes[i]);
	ok(stats_of(heap).heap_inuse >= inuse + 3 * MIB + 600 * KIB, "they count as in use");
	eq(live_objects(m), 0, "and are no objects");
	ok(!gca_object_of(heap, runs[0], NULL), "for gca_object_of() neither");
	eq(gca_manual_free(m, runs[2]), 0, "one is freed");
	other = must(gca_manual_alloc(m, 9000));
	ok(other == runs[2], "and handed out again for the same size");
	eq(gca_manual_free(m, other), 0, "freed");
	eq(gca_manual_free(m, other), -EINVAL, "once");
	eq(gca_manual_free(m, runs[3] + 8192), -EINVAL, "not from its middle");
	eq(gca_manual_free(m, NULL), 0, "NULL is no mistake");
	for (size_t i = 0; i < COUNT_OF(sizes); i++)
		if (i != 2)
			eq(gca_manual_free(m, runs[i]), 0, "%zu bytes are freed", sizes[i]);
	gca_release(m);
	eq(stats_of(heap).heap_inuse, inuse, "nothing stays in use after a release");
	ok(!gca_manual_alloc(m, 0), "no bytes: refused");
	ok(!gca_manual_alloc(m, SIZE_MAX), "nor more than there is");
}

/* Roots in memory that only the program knows, seen as a stack would be. */
static uintptr_t own_stack[16];

static void visit_own(struct gca_visitor *visitor, void *arg)
{
	gca_visit_words(visitor, own_stack, own_stack + 16);
}

static NOINLINE void store_in_own(struct gca_mutator *m)
{
	/* Interior. */
	own_stack[5] = (uintptr_t)node_new(m, 4) + 8;
}

static void test_words(struct gca_mutator *m)
{
	gca_root_callback_add(gca_heap_of(m), visit_own, NULL);
	store_in_own(m);
	eq(live_objects(m), 1, "words that a callback shows are roots");
	own_stack[5] = 0;
	eq(live_objects(m), 0, "while they are there");
	gca_root_callback_remove(gca_heap_of(m), visit_own, NULL);
}

/* ------------------------------------------------------------------- walk */

struct seen {
	size_t nodes;
	size_t wide;
	size_t bytes;
	size_t large;
	size_t limit;
	size_t total;
	struct gca_heap *heap;
	size_t wrong;		/* not as large as gca_object_of() says */
};

static bool see(const struct gca_object_info *info, void *arg)
{
	struct seen *seen = arg;
	size_t bytes = 0;

	if (gca_object_of(seen->heap, info->object, &bytes) != info->object || bytes != info->bytes)
		seen->wrong++;
	if (info->size != sizeof(*info) || !info->kind)
		return false;
	if (!strcmp(info->kind, "wide"))
		seen->wide++;
	else if (info->flavour == GCA_FLAVOUR_NOSCAN && info->bytes >= 100000)
		seen->large++;
	else if (info->flavour == GCA_FLAVOUR_NOSCAN)
		seen->bytes++;
	else if (info->flavour == GCA_FLAVOUR_PRECISE)
		seen->nodes++;
	return ++seen->total != seen->limit;
}

static void test_walk(struct gca_mutator *m)
{
	GCA_FRAME(m, f, struct wide *wide; char *large; gca_ref *bytes);
	struct seen seen = { .heap = gca_heap_of(m) };
	size_t nr = 0;

	gca_collect(m);
	f.wide = must(gca_new(m, wide));
	for (size_t i = 0; i < 100; i++)
		gca_store(m, &f.wide->nodes[i], node_new(m, i));
	f.bytes = must(gca_new_refs(m, 1));
	gca_store(m, &f.bytes[0], (void *)must(gca_new_bytes(m, 40)));
	f.large = must(gca_new_bytes(m, 100000));
	eq(gca_heap_walk(m, see, &seen, &nr), 0, "a walk");
	eq(seen.wrong, 0, "shows what gca_object_of() does");
	eq(nr, 104, "shows each object once");
	eq(seen.wide, 1, "with the name of its kind");
	eq(seen.nodes, 101, "or its flavour");
	eq(seen.bytes, 1, "bytes");
	eq(seen.large, 1, "large ones");
	f.wide = NULL;
	gca_collect(m);
	seen = (struct seen){ .heap = gca_heap_of(m) };
	gca_heap_walk(m, see, &seen, NULL);
	eq(seen.total, 3, "after a cycle those that live");
	seen = (struct seen){ .heap = gca_heap_of(m) };
	seen.limit = 2;
	gca_heap_walk(m, see, &seen, &nr);
	eq(nr, 2, "and no more than are wanted");
	eq(gca_heap_walk(m, NULL, NULL, NULL), -EINVAL, "a walk without a function is refused");
	f.large = NULL;
	f.bytes = NULL;
}

static void test_mode(enum gca_mode mode)
{
	struct gca_heap *heap = open_debug("verify=1", mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	diag("%s", mode == GCA_MODE_CONCURRENT ? "concurrent" : "stop-the-world");
	test_handles(m);
	test_pins(m);
	test_pool(m);
	test_manual(m);
	test_words(m);
	test_walk(m);
	eq(reports.count, 0, "verify has nothing to say");
	if (reports.count)
		diag("%s", reports.text);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
	test_pool_threads(mode);
}

int main(void)
{
	test_mode(GCA_MODE_STOP_THE_WORLD);
	test_mode(GCA_MODE_CONCURRENT);
	return tap_done();
}
