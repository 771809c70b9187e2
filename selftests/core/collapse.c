// SPDX-License-Identifier: MIT
/*
 * C4 in the core: what a host has to keep of a release is not taken as released,
 * and which chunks are named for collapse, when, and what becomes of them.
 */
#include "testhost.h"
#include "tap.h"

enum { PAGE, MANUAL, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[PAGE] = { .elem_size = 8192, .npages = 1 },
	[MANUAL] = { .flags = GCARENA_CLASS_MANUAL },
};

static struct test_host host;
static struct gca_core *core;
static struct gcarena_span spans[GCARENA_CHUNK_PAGES];

static void begin(u32 chunks)
{
	core = host_begin(&host, chunks, classes, CLASSES, NULL);
	if (!core)
		bail("no core");
}

static void end(const char *name)
{
	ok(host_end(&host), "%s: core valid, host content", name);
}

static struct gcarena_counters counters(void)
{
	return host_counters(&host);
}

static void take(struct gcarena_span *out, u32 nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args), .span_class = MANUAL, .npages = 1, .nr_ready = nr,
	};

	if (gca_core_refill(core, &args, NULL, out) || args.nr_ready != nr)
		bail("refill");
}

/* Return the first @nr spans. */
static void give(u32 nr)
{
	u32 taken;

	if (gca_core_return(core, spans, nr, &taken) || taken != nr)
		bail("return");
}

static u64 scavenge(u32 flags, u64 bytes)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = flags, .bytes = bytes };

	gca_core_scavenge(core, &args);
	return args.bytes;
}

/* A cycle without a thing to sweep; how many chunks are named after it. */
static u32 cycle(void)
{
	struct gcarena_sweep args = {
		.size = sizeof(args), .generation = host.tables.status->generation,
	};

	if (gca_core_start_sweep(core, &args) || args.left)
		bail("sweep");
	return host.tables.status->nr_collapse;
}

static u32 collapse(u32 chunk)
{
	u32 huge;

	if (gca_core_collapse(core, &chunk, 1, &huge))
		bail("collapse");
	return huge;
}

static void test_kept(void)
{
	begin(1);
	take(spans, GCARENA_CHUNK_PAGES);
	give(10);
	host.keep_percent = 100;
	eq(scavenge(GCARENA_SCAVENGE_ALL, 0), 0, "kept: nothing goes");
	eq(counters().heap_released, 0, "kept: nor is it released");
	eq(counters().scavenge_broken, 0, "kept: nothing is broken");
	ok(counters().scavenge_kept > 0, "kept: counted");
	take(spans, 1);
	ok(spans[0].flags & GCARENA_SPAN_NEEDS_ZERO, "kept: what is handed out needs zeroing");
	host.keep_percent = 0;
	eq(scavenge(GCARENA_SCAVENGE_ALL, 0), 9 * GCARENA_PAGE_SIZE, "kept: goes the next time");
	end("kept");
}

static void test_named(void)
{
	begin(2);
	take(spans, GCARENA_CHUNK_PAGES);
	eq(cycle(), 0, "named: no huge chunk");
	give(16);
	eq(scavenge(0, 1 << 20), 0, "named: bytes do not break it");
	scavenge(GCARENA_SCAVENGE_ALL, 0);
	eq(cycle(), 0, "named: not in the first cycle");
	eq(cycle(), 1, "named: in the second");
	eq(host.tables.status->collapse[0], 0, "named: which");
	host.fail_next[SITE_COLLAPSE] = 1;
	eq(collapse(0), 0, "named: it does not collapse");
	eq(counters().collapse_failed, 1, "named: counted");
	eq(counters().heap_released, 16 * GCARENA_PAGE_SIZE, "named: nothing has changed");
	eq(cycle() + cycle() + cycle(), 0, "named: it has to wait for longer");
	eq(cycle(), 1, "named: and again");
	eq(collapse(0), 1, "named: it does");
	eq(counters().heap_released, 0, "named: what was released is backed");
	eq(counters().chunks_small, 0, "named: and no chunk small");
	eq(collapse(0), 0, "named: once");
	eq(collapse(7) + collapse(U32_MAX), 0, "named: none that is not there");
	take(spans, 1);
	eq(spans[0].flags, 0, "named: what it filled is clean and huge");
	end("named");
}

static void test_not_worth(void)
{
	begin(1);
	take(spans, GCARENA_CHUNK_PAGES);
	give(17);
	scavenge(GCARENA_SCAVENGE_ALL, 0);
	cycle();
	eq(cycle(), 0, "worth: too much released");
	take(spans, 1);
	eq(cycle(), 1, "worth: not any more");
	give(1);
	eq(cycle(), 1, "worth: free, but backed");
	end("worth");
	begin(1);
	host.back_small = true;
	take(spans, GCARENA_CHUNK_PAGES);
	eq(cycle(), 1, "worth: never huge, and full");
	give(GCA_BREAK_PAGES / 2 + 1);
	eq(cycle(), 0, "worth: not with more than an eighth free");
	end("worth, small");
}

int main(void)
{
	test_kept();
	test_named();
	test_not_worth();
	return tap_done();
}
