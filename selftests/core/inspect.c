// SPDX-License-Identifier: MIT
/*
 * Looking at the core from outside: walks over spans and chunks of more than
 * one leaf of descriptors, the class table, and what the optional host
 * operations are told.
 */
#include "testhost.h"
#include "tap.h"

#define CHUNKS	1100	/* two leaves and a part of a third */
#define LONG	700	/* chunks of one large span: over the end of a leaf */

enum { SMALL, LARGE, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[SMALL] = { .elem_size = 48, .npages = 2 },
	[LARGE] = { .flags = GCARENA_CLASS_LARGE },
};

static struct test_host host;
static struct gca_core *core;
static enum gca_level level;
static u32 begun, done_at_begin;

static void host_sweep_started(void *arg)
{
	struct test_host *h = arg;

	begun++;
	done_at_begin = h->done;
	if (!h->tables.status->sweeping)
		host_wrong(h, "a sweep that began is not in the status page");
}

static int refill(struct gcarena_span *spans, u16 span_class, u32 npages, u32 nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args), .span_class = span_class, .npages = npages, .nr_ready = nr,
	};
	int err = gca_core_refill_slot(core, GCA_SLOT_NONE, &args, NULL, spans, &level);

	return err ? err : (int)args.nr_ready;
}

static void give(const struct gcarena_span *span)
{
	u32 taken;

	if (gca_core_return(core, span, 1, &taken))
		bail("a span is not taken back");
}

static u32 count_chunks(u32 *in_use)
{
	struct gca_chunk_info info;
	u32 chunk = 0, nr = 0;

	*in_use = 0;
	while (gca_core_next_chunk(core, chunk, &info)) {
		nr++;
		*in_use += info.nr_free < GCARENA_CHUNK_PAGES;
		chunk = info.chunk + 1;
	}
	return nr;
}

static void test_walks(void)
{
	struct gcarena_span small[3], large;
	struct gca_chunk_info chunk;
	struct gca_span_info span;
	u32 in_use;

	ok(!gca_core_next_span(core, 0, &span), "no span at first");
	ok(!gca_core_next_chunk(core, 0, &chunk), "and no chunk");

	eq(refill(small, SMALL, 0, 3), 3, "three small spans");
	eq(refill(&large, LARGE, LONG * GCARENA_CHUNK_PAGES - 1, 1), 1, "a large one");
	ok(gca_core_next_span(core, small[2].page + 1, &span) && span.page == large.page,
	   "the large one follows the small ones");
	ok(!gca_core_next_span(core, large.page + 1, &span), "and is the last, seen from inside");
	ok(!gca_core_next_span(core, CHUNKS * GCARENA_CHUNK_PAGES, &span), "none past the end");
	ok(!gca_core_next_span(core, U32_MAX, &span), "nor at the last page there can be");
	eq(count_chunks(&in_use), 1 + LONG, "a chunk for each 2 MiB");
	eq(in_use, 1 + LONG, "all in use");

	give(&small[1]);
	ok(gca_core_next_chunk(core, 0, &chunk) && !chunk.chunk, "the first chunk");
	eq(chunk.nr_free, GCARENA_CHUNK_PAGES - 4, "has a hole of two pages");
	eq(chunk.longest, GCARENA_CHUNK_PAGES - 6, "and a longer run");
	eq(chunk.nr_released, 0, "all of it backed");
	eq(chunk.free[0] & 0x3f, 0x0c, "the hole is where the span was");
	ok(gca_core_next_chunk(core, LONG, &chunk) && chunk.nr_free == 1 && chunk.longest == 1,
	   "the last chunk has one page left");

	give(&large);
	ok(!gca_core_next_span(core, small[2].page + 1, &span), "no span in 700 idle chunks");
	eq(count_chunks(&in_use), 1 + LONG, "which are still known");
	eq(in_use, 1, "but not in use");
	give(&small[0]);
	give(&small[2]);
}

static void test_classes(void)
{
	struct gcarena_class cls;
	u32 capacity;

	ok(gca_core_class(core, SMALL, &cls, &capacity), "the first class");
	ok(!memcmp(&cls, &classes[SMALL], sizeof(cls)), "is as it was given");
	eq(capacity, 2 * GCARENA_PAGE_SIZE / 48, "and how many objects a span of it has");
	ok(gca_core_class(core, LARGE, &cls, &capacity) && capacity == 1, "large: one");
	ok(!gca_core_class(core, CLASSES, &cls, &capacity), "none past the end");
}

static void test_told(void)
{
	struct gcarena_scavenge all = { .size = sizeof(all), .flags = GCARENA_SCAVENGE_ALL };
	struct gcarena_sweep sweep = { .size = sizeof(sweep) };
	struct gcarena_span spans[2];

	gca_core_scavenge(core, &all);
	refill(spans, SMALL, 0, 2);
	eq(level, GCA_LEVEL_BACK, "a chunk had to be backed");

	give(&spans[1]);
	refill(&spans[1], SMALL, 0, 1);
	eq(level, GCA_LEVEL_FRESH, "pages that were backed");
	*gca_host_line(&host, 0, spans[0].page) = 1;
	*gca_host_line(&host, 1, spans[0].page) = 1;
	give(&spans[0]);
	refill(spans, SMALL, 0, 1);
	eq(level, GCA_LEVEL_CENTRAL, "a span that lay ready");
	give(&spans[0]);
	give(&spans[1]);

	eq(gca_core_start_sweep(core, &sweep), 0, "a sweep");
	eq(begun, 1, "its begin is told");
	refill(spans, SMALL, 0, 1);
	eq(level, GCA_LEVEL_SWEEP, "a span that had to be swept");
	eq(refill(spans, LARGE, CHUNKS * GCARENA_CHUNK_PAGES + 1, 1), -ENOMEM, "too much");
	eq(host.done, 1, "the sweep is done");
	give(&spans[0]);
	sweep.generation = 1;
	gca_core_start_sweep(core, &sweep);
	refill(spans, SMALL, 0, 0);
	eq(begun, 2, "a second one");
	eq(done_at_begin, 1, "begins before it is done");
	refill(spans, SMALL, 0, 1);
}

int main(void)
{
	struct gca_host_ops ops = host_ops;

	ops.sweep_started = host_sweep_started;
	host_init(&host, CHUNKS);
	if (gca_core_create(&ops, &host, (u64)CHUNKS * GCARENA_CHUNK_SIZE, classes, CLASSES, NULL,
			    &core))
		bail("no core");
	host.core = core;
	test_walks();
	test_classes();
	test_told();
	ok(!gca_core_validate(core) && !host.wrong, "the core is valid");
	gca_core_destroy(core);
	host_exit(&host);
	return tap_done();
}
