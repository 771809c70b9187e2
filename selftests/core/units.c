// SPDX-License-Identifier: MIT
/*
 * Each behaviour of the core by itself, on a host that checks what it is asked.
 *
 * One thread: what another would do in the middle of a call is done from the
 * host's operations, at the very place where the core has dropped its lock.
 */
#include "testhost.h"
#include "tap.h"

enum { TINY, HALF, WHOLE, WIDE, LARGE, MANUAL, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[TINY] = { .elem_size = 16, .npages = 1 },
	[HALF] = { .elem_size = 4096, .npages = 1 },
	[WHOLE] = { .elem_size = 8192, .npages = 1 },
	[WIDE] = { .elem_size = 65536, .npages = 64 },
	[LARGE] = { .flags = GCARENA_CLASS_LARGE },
	[MANUAL] = { .flags = GCARENA_CLASS_MANUAL },
};

#define ALL	GCARENA_BATCH_MAX

static struct test_host host;
static struct gca_core *core;
static struct gcarena_span got[ALL];
static u32 nr_got;
static u32 nr_complaints;

static void count_complaint(const char *text)
{
	nr_complaints++;
}

static void begin(u32 chunks, const struct gcarena_policy *policy)
{
	core = host_begin(&host, chunks, classes, CLASSES, policy);
	if (!core)
		bail("no core");
}

static void end(const char *name)
{
	ok(host_end(&host), "%s: core valid, host content, nothing leaked", name);
}

static struct gcarena_counters counters(void)
{
	return host_counters(&host);
}

/* Into @spans; the number, or the error. */
static int refill_into(struct gcarena_span *spans, u16 span_class, u32 npages, u32 nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.span_class = span_class,
		.npages = npages,
		.nr_ready = nr,
	};
	int err = gca_core_refill(core, &args, NULL, spans);

	return err ? err : (int)args.nr_ready;
}

static int refill(u16 span_class, u32 npages, u32 nr)
{
	int ret = refill_into(got, span_class, npages, nr);

	nr_got = ret < 0 ? 0 : ret;
	return ret;
}

static int give(const struct gcarena_span *span, u16 flags)
{
	struct gcarena_span spent = *span;
	u32 taken;

	spent.flags = flags;
	return gca_core_return(core, &spent, 1, &taken);
}

static u64 *line(unsigned int which, u32 page)
{
	return gca_host_line(&host, which, page);
}

static u8 state_of(u32 page)
{
	struct gca_span_info info;

	if (!gca_core_next_span(core, page, &info) || info.page != page)
		return GCARENA_STATE_FREE;
	return info.state;
}

static u32 generation(void)
{
	return host.tables.status->generation;
}

static int start_sweep(void)
{
	struct gcarena_sweep args = { .size = sizeof(args), .generation = generation() };

	return gca_core_start_sweep(core, &args);
}

static u32 assist(u32 nr)
{
	struct gcarena_sweep args = { .size = sizeof(args), .nr_spans = nr };

	gca_core_sweep_assist(core, &args);
	return args.nr_spans;
}

static u64 scavenge(u64 bytes)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .bytes = bytes };

	if (bytes == U64_MAX) {
		args.bytes = 0;
		args.flags = GCARENA_SCAVENGE_ALL;
	}
	gca_core_scavenge(core, &args);
	return args.bytes;
}

static int policy(u64 limit, u64 retain)
{
	struct gcarena_policy p = {
		.size = sizeof(p),
		.limit_bytes = limit,
		.retain_bytes = retain,
	};

	return gca_core_set_policy(core, &p);
}

static int try_create(u64 size, const struct gcarena_class *table, u32 nr,
		      const struct gcarena_policy *p)
{
	int err = gca_core_create(&host_ops, &host, size, table, nr, p, &core);

	if (!err)
		gca_core_destroy(core);
	return err;
}

static int try_class(u32 elem_size, u16 npages, u16 flags)
{
	struct gcarena_class cls = { elem_size, npages, flags };

	return try_create(GCARENA_CHUNK_SIZE, &cls, 1, NULL);
}

static void test_create(void)
{
	struct gcarena_policy p = { .size = sizeof(p), .flags = 1 };
	int i, err = -1;

	host_init(&host, 4);
	eq(try_create(0, classes, CLASSES, NULL), -EINVAL, "create: no size");
	eq(try_create(3 << 20, classes, CLASSES, NULL), -EINVAL, "create: half a chunk");
	eq(try_create(GCARENA_HEAP_SIZE_MAX + GCARENA_CHUNK_SIZE, classes, CLASSES, NULL), -EINVAL,
	   "create: above the maximum");
	eq(try_create(8 << 20, classes, 0, NULL), -EINVAL, "create: no classes");
	eq(try_create(8 << 20, classes, GCARENA_CLASSES_MAX + 1, NULL), -EINVAL,
	   "create: too many classes");
	eq(try_class(24, 1, 0), -EINVAL, "class: size not a multiple of the granule");
	eq(try_class(0, 1, 0), -EINVAL, "class: no element size");
	eq(try_class(8208, 1, 0), -EINVAL, "class: element longer than the span");
	eq(try_class(16, 0, 0), -EINVAL, "class: no pages");
	eq(try_class(16, 65, 0), -EINVAL, "class: too many pages");
	eq(try_class(16, 0, GCARENA_CLASS_LARGE), -EINVAL, "class: large with element size");
	eq(try_class(0, 1, GCARENA_CLASS_MANUAL), -EINVAL, "class: manual with pages");
	eq(try_class(0, 0, GCARENA_CLASS_FLAGS), -EINVAL, "class: both large and manual");
	eq(try_class(16, 1, 4), -EINVAL, "class: unknown flag");
	eq(try_class(8192, 1, 0), 0, "class: one element a span");
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: unknown flag");
	p = (struct gcarena_policy){ .reserved = 1 };
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: reserved field");
	p = (struct gcarena_policy){ .watermark_low = 85 };
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: low as high");
	p = (struct gcarena_policy){ .watermark_high = 93 };
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: high above max");
	p = (struct gcarena_policy){ .watermark_max = 101 };
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: more than the limit");
	p = (struct gcarena_policy){ .node = 2 };
	eq(try_create(8 << 20, classes, CLASSES, &p), -EINVAL, "policy: no such node");

	for (i = 1; i < 20 && err; i++) {
		host.fail_next[SITE_META_ALLOC] = i;
		err = try_create(8 << 20, classes, CLASSES, NULL);
		if (err != -ENOMEM && err)
			break;
	}
	ok(!err && i > 5, "create: -ENOMEM at each of %d allocations", i - 2);
	eq(host.meta_bytes, 0, "create: nothing leaked");
	host_exit(&host);
}

static int refill_args(struct gcarena_refill args)
{
	int err;

	args.size = sizeof(args);
	args.nr_spent = args.nr_spent ? args.nr_spent : 1;
	err = gca_core_refill(core, &args, got, got);
	if (args.nr_spent || args.nr_ready)
		return -1000;
	return err;
}

static void test_refill_arguments(void)
{
	begin(2, NULL);
	got[0] = (struct gcarena_span){};
	eq(refill_args((struct gcarena_refill){ .flags = 1 }), -EINVAL, "refill: flags");
	eq(refill_args((struct gcarena_refill){ .reserved = 1 }), -EINVAL, "refill: reserved");
	eq(refill_args((struct gcarena_refill){ .reserved2 = 1 }), -EINVAL, "refill: reserved2");
	eq(refill_args((struct gcarena_refill){ .node = 2 }), -EINVAL, "refill: no such node");
	eq(refill_args((struct gcarena_refill){ .nr_ready = ALL + 1 }), -EINVAL,
	   "refill: batch too long");
	eq(refill_args((struct gcarena_refill){ .nr_spent = ALL + 1 }), -EINVAL,
	   "refill: too many spent");
	eq(refill_args((struct gcarena_refill){ .span_class = CLASSES }), -EINVAL,
	   "refill: unknown class");
	eq(refill_args((struct gcarena_refill){ .span_class = TINY, .npages = 1 }), -EINVAL,
	   "refill: length of a fixed class");
	eq(refill_args((struct gcarena_refill){ .span_class = LARGE }), -EINVAL,
	   "refill: no length of a large class");
	eq(refill(LARGE, 513, 1), -ENOMEM, "refill: longer than the heap");
	eq(refill(LARGE, U32_MAX, 1), -ENOMEM, "refill: absurdly long");
	eq(refill(TINY, 0, 0), 0, "refill: nothing wanted");
	eq(counters().heap_sys, 0, "refill: nothing was taken into use");
	end("refill arguments");
}

static void test_fresh(void)
{
	const struct gcarena_row *row;
	u32 i;

	begin(4, NULL);
	memset(line(0, 0), 0xff, GCARENA_LINE_SIZE);
	memset(line(1, 0), 0xff, GCARENA_LINE_SIZE);
	eq(refill(TINY, 0, 16), 16, "fresh: the whole batch");
	eq(host.calls[SITE_BACK], 1, "fresh: backed once");
	eq(host.last_npages[SITE_BACK], GCARENA_CHUNK_PAGES, "fresh: a whole chunk");
	for (i = 0; i < 16; i++)
		if (got[i].page != i || got[i].npages != 1 || got[i].flags ||
		    got[i].span_class != TINY || got[i].generation)
			break;
	eq(i, 16, "fresh: lowest pages first, clean, huge");
	ok(!*line(0, 0) && !*line(1, 0), "fresh: both lines clear");
	row = gca_host_row(&host, 3);
	eq(row->word0, GCARENA_ROW_IN_USE | TINY, "fresh: word0");
	eq(row->word1, GCARENA_STATE_HELD | 1 << GCARENA_ROW_NPAGES_SHIFT, "fresh: word1");
	host.back_small = true;
	refill(LARGE, 256, 1);
	eq(got[0].flags, GCARENA_SPAN_SMALL, "fresh: told that the chunk is small");
	eq(counters().back_small, 1, "fresh: counted small");
	end("fresh");
}

static void test_rows_of_large(void)
{
	const u32 npages = 260 * GCARENA_CHUNK_PAGES + 5;
	u32 wrong = 0;
	u32 first, i;

	begin(270, NULL);
	refill(TINY, 0, 1);
	eq(refill(LARGE, npages, 1), 1, "large: over chunks");
	first = got[0].page;
	eq(first, GCARENA_CHUNK_PAGES, "large: from the first wholly free chunk");
	for (i = 0; i < npages; i++) {
		const struct gcarena_row *row = gca_host_row(&host, first + i);
		u64 offset = row->word0 >> GCARENA_ROW_OFFSET_SHIFT & 0xffff;

		wrong += offset != (i < 0xffff ? i : GCARENA_ROW_OFFSET_ESCAPE);
		wrong += i && row->word1 != first;
		wrong += (row->word0 & ~(0xffffULL << GCARENA_ROW_OFFSET_SHIFT)) !=
			 (GCARENA_ROW_IN_USE | GCARENA_ROW_LARGE | LARGE);
	}
	eq(wrong, 0, "large: every row, beyond the escape too");
	eq(gca_host_row(&host, first)->word1 >> GCARENA_ROW_NPAGES_SHIFT & GCARENA_ROW_NPAGES_MASK,
	   npages, "large: length in word1");
	refill(WIDE, 0, 1);
	eq(got[0].page, first + npages, "large: the last chunk's tail is usable");
	end("rows of large spans");
}

/* Two chunks' worth of one-page spans, of which some go back. */
static void test_placement(void)
{
	static struct gcarena_span a[GCARENA_CHUNK_PAGES], b[GCARENA_CHUNK_PAGES];
	u32 i;

	begin(4, NULL);
	refill_into(a, WHOLE, 0, 256);
	refill_into(b, WHOLE, 0, 256);
	eq(a[255].page, 255, "placement: first chunk full");
	eq(b[0].page, 256, "placement: second chunk");
	/* First chunk: runs of 5 at 10 and 3 at 100.  Second: 40 at 0. */
	for (i = 0; i < 5; i++)
		give(&a[10 + i], 0);
	for (i = 0; i < 3; i++)
		give(&a[100 + i], 0);
	for (i = 0; i < 40; i++)
		give(&b[i], 0);
	refill(LARGE, 2, 1);
	eq(got[0].page, 100, "placement: fullest chunk, shortest run that fits");
	refill(LARGE, 5, 1);
	eq(got[0].page, 10, "placement: a run of just this length, not a power of two");
	refill(LARGE, 5, 1);
	eq(got[0].page, 256, "placement: next fullest chunk");
	refill(LARGE, 64, 1);
	eq(got[0].page, 512, "placement: a new chunk only when nothing fits");
	/* Chunk 1 wholly free and backed, chunk 2 in use, chunk 3 never used. */
	for (i = 40; i < 256; i++)
		give(&b[i], 0);
	refill(LARGE, 5, 1);
	eq(got[0].page, 576, "placement: the fullest, though higher");
	eq(host.calls[SITE_BACK], 3, "placement: each chunk backed once");
	end("placement");
}

static void test_idle_before_new(void)
{
	struct gcarena_span a, b, c;

	begin(4, NULL);
	refill_into(&a, LARGE, 256, 1);
	refill_into(&b, LARGE, 256, 1);
	refill_into(&c, LARGE, 256, 1);
	give(&a, 0);
	eq(scavenge(1), GCARENA_CHUNK_SIZE, "order: chunk 0 released");
	give(&b, 0);
	refill(LARGE, 256, 1);
	eq(got[0].page, 256, "order: backed before unbacked, though higher");
	eq(got[0].flags, GCARENA_SPAN_NEEDS_ZERO, "order: reused pages need zero");
	refill(LARGE, 256, 1);
	eq(got[0].page, 0, "order: unbacked before never used");
	eq(got[0].flags, 0, "order: released pages are clean");
	refill(LARGE, 256, 1);
	eq(got[0].page, 768, "order: then a new chunk");
	eq(refill(LARGE, 256, 1), -ENOMEM, "order: then none");
	eq(counters().refill_failed, 1, "order: counted");
	end("order");
}

static void test_return_errors(void)
{
	struct gcarena_span s, bad, pair[3];
	u32 taken = 9;

	begin(2, NULL);
	refill_into(&s, TINY, 0, 1);
#define BAD(field, value, name) do { \
	bad = s; \
	bad.field = value; \
	eq(give(&bad, bad.flags), -EINVAL, "return: " name); \
} while (0)
	BAD(page, 1, "a free page");
	BAD(page, 300, "a page of a chunk never used");
	BAD(page, U32_MAX, "a page outside the heap");
	BAD(npages, 2, "wrong length");
	BAD(span_class, HALF, "wrong class");
	BAD(span_class, 0xffff, "unknown class");
	BAD(generation, 1, "wrong generation");
	BAD(flags, 8, "unknown flag");
#undef BAD
	eq(give(&s, 0), 0, "return: the span itself");
	eq(give(&s, 0), -EINVAL, "return: twice");
	eq(give(&s, GCARENA_SPAN_KEEP), -EINVAL, "keep: what was returned");
	refill_into(&s, MANUAL, 3, 1);
	eq(give(&s, GCARENA_SPAN_KEEP), -EINVAL, "keep: a manual span");
	eq(give(&s, GCARENA_SPAN_NEEDS_ZERO | GCARENA_SPAN_SMALL), 0,
	   "return: flags that refill set are ignored");
	eq(state_of(s.page), GCARENA_STATE_FREE, "return: a manual span is free at once");

	refill_into(pair, TINY, 0, 3);
	pair[1].npages = 7;
	eq(gca_core_return(core, pair, 3, &taken), -EINVAL, "return: a bad entry in the middle");
	eq(taken, 1, "return: those before it are taken");
	eq(state_of(pair[2].page), GCARENA_STATE_HELD, "return: those after it are not");
	eq(gca_core_return(core, pair, ALL + 1, &taken), -EINVAL, "return: too many");
	end("return");
}

static void test_return_states(void)
{
	struct gcarena_span s[3];
	struct gcarena_counters c;

	begin(2, NULL);
	refill_into(s, HALF, 0, 3);
	*line(0, s[1].page) = 1;
	*line(0, s[2].page) = 1;
	line(0, s[2].page)[4] = 1;
	*line(1, s[1].page) = 0x10;
	give(&s[0], 0);
	give(&s[1], 0);
	give(&s[2], 0);
	eq(state_of(s[0].page), GCARENA_STATE_FREE, "states: no objects, free");
	eq(state_of(s[1].page), GCARENA_STATE_SWEPT, "states: one object, listed");
	eq(*line(1, s[1].page), 0x10, "states: marks of this generation stay");
	c = counters();
	eq(c.spans_inuse, 2, "states: two in use");
	eq(c.spans_held, 0, "states: none held");
	refill(HALF, 0, 2);
	eq(got[0].page, s[1].page, "states: the one with room comes back");
	eq(got[0].flags, GCARENA_SPAN_NEEDS_ZERO, "states: and needs zero");
	eq(got[1].page, s[0].page, "states: the full one does not");
	c = counters();
	eq(c.refill_central, 1, "states: one from a list");
	/* Bits that cannot be: more than there is room for. */
	memset(line(0, got[0].page), 0xff, GCARENA_LINE_SIZE);
	give(&got[0], 0);
	refill(HALF, 0, 1);
	ok(got[0].page != s[1].page, "states: a span of too many bits is full");
	end("return states");
}

static void test_sweep(void)
{
	struct gcarena_sweep args = { .size = sizeof(args), .generation = 1 };
	struct gcarena_span s[6];
	u32 i;

	begin(4, NULL);
	eq(gca_core_start_sweep(core, &args), -EINVAL, "sweep: wrong generation");
	args.generation = 0;
	args.flags = 2;
	eq(gca_core_start_sweep(core, &args), -EINVAL, "sweep: flags");
	args.flags = 0;
	eq(gca_core_start_sweep(core, &args), 0, "sweep: empty heap");
	eq(args.generation, 1, "sweep: new generation");
	eq(host.done, 1, "sweep: complete at once");
	ok(!gca_core_sweeping(core), "sweep: not sweeping");

	refill_into(s, HALF, 0, 6);
	for (i = 0; i < 6; i++)
		*line(1, s[i].page) = 1;
	give(&s[0], 0);		/* dies */
	give(&s[1], 0);		/* stays, with room */
	give(&s[2], 0);		/* stays, full */
	*line(0, s[1].page) = 1;
	*line(0, s[2].page) = 1;
	line(0, s[2].page)[4] = 1;
	*line(0, s[3].page) = 1;
	/* s[3] to s[5] are held; s[4] and s[5] have no marks. */
	eq(start_sweep(), 0, "sweep: started");
	eq(start_sweep(), -EBUSY, "sweep: another while it goes on");
	eq(host.woken, 1, "sweep: the worker is woken");
	eq(host.tables.status->sweep_left, 6, "sweep: all spans are left");
	eq(state_of(s[0].page), GCARENA_STATE_UNSWEPT, "sweep: unswept");
	eq(assist(1), 1, "sweep: assist does as many as asked");
	eq(assist(10), 2, "sweep: assist does as many as there are");
	eq(state_of(s[0].page), GCARENA_STATE_FREE, "sweep: without marks, freed");
	eq(state_of(s[1].page), GCARENA_STATE_SWEPT, "sweep: with marks, kept");
	eq(*line(1, s[1].page), 0, "sweep: the other line is clear");
	eq(*line(0, s[1].page), 1, "sweep: the marks are");
	eq(state_of(s[3].page), GCARENA_STATE_HELD, "sweep: held spans are not touched");
	eq(*line(1, s[3].page), 1, "sweep: nor their lines");
	eq(host.done, 1, "sweep: not complete while old spans are held");
	eq(give(&s[3], GCARENA_SPAN_KEEP), 0, "sweep: kept");
	eq(*line(1, s[3].page), 1, "sweep: lines of kept spans are the holder's");
	eq(give(&s[3], GCARENA_SPAN_KEEP), -EINVAL, "sweep: kept with the old generation again");
	s[3].generation = 2;
	eq(give(&s[3], GCARENA_SPAN_KEEP), 0, "sweep: keeping a current span changes nothing");
	eq(give(&s[4], 0), 0, "sweep: old span returned");
	eq(state_of(s[4].page), GCARENA_STATE_FREE, "sweep: and swept by that");
	*line(0, s[5].page) = 1;
	eq(give(&s[5], 0), 0, "sweep: the last old span");
	eq(*line(1, s[5].page), 0, "sweep: its other line is clear");
	eq(host.done, 2, "sweep: complete, once");
	eq(host.tables.status->sequence, 2, "sweep: an event each");
	eq(counters().swept_spans, 5, "sweep: spans swept");
	eq(counters().swept_freed, 2, "sweep: of them freed");
	eq(counters().cycles, 2, "sweep: cycles");
	eq(start_sweep(), 0, "sweep: and the next can start");
	end("sweep");
}

static void test_sweep_large_and_manual(void)
{
	struct gcarena_span a, b, m;

	begin(8, NULL);
	refill_into(&a, LARGE, 600, 1);
	refill_into(&b, LARGE, 3, 1);
	refill_into(&m, MANUAL, 3, 1);
	*line(0, a.page) = 1;
	*line(0, b.page) = 1;
	eq(counters().heap_manual, 3 * GCARENA_PAGE_SIZE, "manual: counted");
	give(&a, 0);
	give(&b, 0);
	/* Bits elsewhere than at the first granule are no objects. */
	*line(1, a.page) = 0x2;
	*line(1, a.page + 1) = 1;
	*line(1, b.page) = 1;
	start_sweep();
	eq(host.tables.status->sweep_left, 2, "manual: not part of a sweep");
	eq(assist(10), 2, "large: swept");
	eq(state_of(a.page), GCARENA_STATE_FREE, "large: freed without its one bit");
	eq(state_of(b.page), GCARENA_STATE_SWEPT, "large: kept with it");
	eq(gca_host_row(&host, a.page + 599)->word0, 0, "large: rows cleared to the last");
	eq(refill(LARGE, 3, 1), 1, "large: another");
	ok(got[0].page != b.page, "large: one in use is never handed out again");
	eq(give(&m, 0), 0, "manual: returned in a later generation");
	eq(counters().heap_manual, 0, "manual: counted back");
	end("large and manual");
}

static void test_sweep_before_growing(void)
{
	struct gcarena_span s[GCARENA_CHUNK_PAGES];
	u32 i;

	begin(4, NULL);
	refill_into(s, TINY, 0, 256);
	for (i = 0; i < 256; i++) {
		*line(0, s[i].page) = 1;
		give(&s[i], 0);
	}
	start_sweep();
	*line(1, s[7].page) = 1;
	refill(TINY, 0, 4);
	eq(host.calls[SITE_BACK], 1, "sweep before growing: no chunk was backed");
	/* For each span wanted, so many of its class and so many of any. */
	ok(counters().refill_swept >= 4 && counters().refill_swept <= 8 * GCA_REFILL_SWEEP,
	   "sweep before growing: %llu swept by refill", counters().refill_swept);
	end("sweep before growing");

	begin(4, NULL);
	refill_into(s, TINY, 0, 256);
	for (i = 0; i < 256; i++) {
		*line(0, s[i].page) = 1;
		give(&s[i], 0);
	}
	start_sweep();
	refill(LARGE, 3, 1);
	eq(counters().swept_freed, GCA_REFILL_SWEEP,
	   "sweep before growing: another class's garbage too");
	eq(host.calls[SITE_BACK], 1, "sweep before growing: its pages serve instead of a chunk");
	end("sweep before growing, of any class");
}

static void test_limit(void)
{
	struct gcarena_span s[ALL];
	u32 i;

	begin(4, NULL);
	policy(10 * GCARENA_PAGE_SIZE, 0);
	eq(refill_into(s, TINY, 0, 16), 10, "limit: a partial batch is no error");
	eq(refill(TINY, 0, 1), -ENOMEM, "limit: and then nothing");
	eq(refill(LARGE, 1, 1), -ENOMEM, "limit: of any class");
	for (i = 0; i < 10; i++) {
		*line(0, s[i].page) = 1;
		give(&s[i], 0);
	}
	eq(refill(TINY, 0, 1), 1, "limit: spans with room are not fresh pages");
	give(&got[0], 0);
	start_sweep();
	*line(1, s[0].page) = 1;
	eq(refill(LARGE, 9, 1), 1, "limit: everything is swept before a refill fails");
	eq(refill(LARGE, 1, 1), -ENOMEM, "limit: reached again");
	policy(0, 0);
	eq(refill(LARGE, 1, 1), 1, "limit: zero is none");
	policy(1, 0);
	eq(refill(LARGE, 1, 1), -ENOMEM, "limit: below what is in use");
	end("limit");
}

static void test_scavenge(void)
{
	struct gcarena_span a[GCARENA_CHUNK_PAGES], b, c;
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = 4 };
	u32 i;

	begin(4, NULL);
	eq(gca_core_scavenge(core, &args), -EINVAL, "scavenge: flags");
	args.flags = GCARENA_SCAVENGE_INSIDE;
	eq(gca_core_scavenge(core, &args), -EINVAL, "scavenge: inside spans, but not everything");
	args.flags = GCARENA_SCAVENGE_ALL;
	args.bytes = 1;
	eq(gca_core_scavenge(core, &args), -EINVAL, "scavenge: both everything and bytes");
	refill_into(a, WHOLE, 0, 256);
	refill_into(&b, LARGE, 256, 1);
	refill_into(&c, LARGE, 256, 1);
	eq(scavenge(U64_MAX), 0, "scavenge: nothing is free");
	eq(host.calls[SITE_RELEASE], 0, "scavenge: and nothing is asked for");
	give(&b, 0);
	give(&c, 0);
	ok(host.idle[1] && host.idle[2], "scavenge: two idle chunks");
	eq(scavenge(1), GCARENA_CHUNK_SIZE, "scavenge: whole chunks");
	eq(host.last_page[SITE_RELEASE], 512, "scavenge: the highest first");
	/* 63 scattered pages and one run of 1: below, then at the threshold. */
	for (i = 0; i < GCA_BREAK_PAGES - 1; i++)
		give(&a[i * 2], 0);
	eq(scavenge(8 << 20), GCARENA_CHUNK_SIZE, "scavenge: no chunk is broken for little");
	eq(counters().scavenge_broken, 0, "scavenge: counted");
	give(&a[255], 0);
	eq(scavenge(8 << 20), GCA_BREAK_PAGES * GCARENA_PAGE_SIZE,
	   "scavenge: but for a quarter of it");
	eq(counters().scavenge_broken, 1, "scavenge: counted");
	eq(counters().chunks_small, 1, "scavenge: and small");
	give(&a[254], 0);
	eq(scavenge(8 << 20), 0, "scavenge: not again for one page");
	eq(scavenge(U64_MAX), GCARENA_PAGE_SIZE, "scavenge: everything takes it");
	refill(LARGE, 1, 1);
	eq(got[0].flags, GCARENA_SPAN_SMALL, "scavenge: broken is small, released is clean");
	eq(host.last_npages[SITE_BACK], 1, "scavenge: and just what was missing is backed");
	host.lost_percent = 100;
	refill_into(&b, LARGE, 256, 1);
	give(&b, 0);
	eq(scavenge(1), 0, "scavenge: reported is what really came free");
	eq(counters().heap_released % GCARENA_PAGE_SIZE, 0, "scavenge: and the rest is let go");
	end("scavenge");
}

static void test_worker(void)
{
	struct gcarena_span s[3];
	u32 i;

	begin(4, NULL);
	eq(gca_core_work(core), GCA_WORK_IDLE, "worker: nothing to do");
	for (i = 0; i < 3; i++)
		refill_into(&s[i], LARGE, 256, 1);
	give(&s[0], 0);
	eq(host.woken, 0, "worker: no goal, no wake");
	policy(0, 2 * GCARENA_CHUNK_SIZE);
	eq(host.woken, 1, "worker: woken by a new goal");
	give(&s[1], 0);
	eq(host.woken, 1, "worker: once while awake");
	eq(gca_core_work(core), GCA_WORK_PACED, "worker: releases one chunk");
	eq(host.last_page[SITE_RELEASE], 256, "worker: the highest idle one");
	eq(gca_core_work(core), GCA_WORK_IDLE, "worker: and not below the goal");
	give(&s[2], 0);
	eq(host.woken, 1, "worker: idle at the goal is no work");
	policy(0, 2 * GCARENA_CHUNK_SIZE - 1);
	eq(gca_core_work(core), GCA_WORK_IDLE, "worker: never below the goal");
	policy(0, ~0ULL);
	eq(gca_core_work(core), GCA_WORK_IDLE, "worker: a goal that keeps all");
	policy(0, 1);
	eq(host.woken, 2, "worker: woken again after idle");
	eq(gca_core_work(core), GCA_WORK_PACED, "worker: one");
	eq(gca_core_work(core), GCA_WORK_IDLE, "worker: the last one would go below");
	refill_into(s, TINY, 0, 3);
	for (i = 0; i < 3; i++) {
		*line(0, s[i].page) = 1;
		give(&s[i], 0);
	}
	start_sweep();
	eq(host.woken, 3, "worker: woken by a sweep");
	eq(gca_core_work(core), GCA_WORK_MORE, "worker: sweeps");
	ok(!gca_core_sweeping(core), "worker: to the end");
	gca_core_add_worker_time(core, 1234);
	eq(host.tables.status->counters.worker_ns, 1234, "worker: its time is counted");
	end("worker");
}

/* What "another thread" does inside an operation, and what came of it. */
static struct gcarena_span other;
static int other_ret;
static u32 waits;

static int give_up(struct test_host *h, u32 sequence)
{
	waits += gca_core_transit_sequence(core) == sequence;
	return -EINTR;
}

static void refill_other(struct test_host *h, enum host_site site)
{
	h->hook = NULL;
	other_ret = refill_into(&other, WHOLE, 0, 1);
	if (gca_core_validate(core))
		host_wrong(h, "invalid inside an operation");
}

static void flip_other(struct test_host *h, enum host_site site)
{
	h->hook = NULL;
	other_ret = start_sweep();
}

static void test_transit(void)
{
	struct gcarena_span s;

	begin(3, NULL);
	host.wait = give_up;
	host.hook = refill_other;
	refill(WHOLE, 0, 1);
	ok(other_ret == 1 && other.page / 256 != got[0].page / 256,
	   "transit: a chunk being set up is not offered");
	refill_into(&s, LARGE, 256, 1);
	give(&s, 0);
	/* One chunk is idle; while it is released nothing of it may go. */
	policy(0, 1);
	host.hook = refill_other;
	eq(gca_core_work(core), GCA_WORK_PACED, "transit: releasing");
	ok(other_ret == 1 && other.page / 256 != s.page / 256,
	   "transit: a chunk being released is not offered");
	end("transit");

	begin(1, NULL);
	host.wait = give_up;
	waits = 0;
	host.hook = refill_other;
	eq(refill(WHOLE, 0, 1), 1, "transit: the only chunk");
	eq(other_ret, -EINTR, "transit: others wait for it, and can be killed");
	eq(waits, 1, "transit: with the sequence as it is");
	ok(host.wakes_transit == 0, "transit: nobody is woken who does not wait");
	eq(refill(WHOLE, 0, 255), 255, "transit: nothing was lost by it");
	end("transit, one chunk");

	begin(1, NULL);
	host.hook = flip_other;
	refill(WHOLE, 0, 1);
	eq(got[0].generation, 1, "transit: a span made across a flip is of the new generation");
	ok(!gca_core_sweeping(core), "transit: and not part of that sweep");
	end("transit, flip");
}

static void test_failures(void)
{
	/* In the order in which a chunk is set up. */
	static const enum host_site sites[] = { SITE_META_ALLOC, SITE_META_BACK, SITE_BACK };
	u32 i;

	begin(2, NULL);
	for (i = 0; i < 3; i++) {
		host.fail_next[sites[i]] = 1;
		eq(refill(WHOLE, 0, 4), -ENOMEM, "failure %u: reported", i);
		ok(!gca_core_validate(core), "failure %u: core valid", i);
	}
	eq(counters().heap_inuse, 0, "failure: nothing in use");
	eq(refill(WHOLE, 0, 250), 250, "failure: and then it works");
	host.fail_next[SITE_BACK] = 1;
	eq(refill(WHOLE, 0, 10), 6, "failure in a batch: what there is");
	eq(refill(WHOLE, 0, 1), 1, "failure in a batch: the rest is not lost");
	end("failures");

	begin(8, NULL);
	host.fail_next[SITE_BACK] = 3;
	eq(refill(LARGE, 4 * GCARENA_CHUNK_PAGES, 1), -ENOMEM, "failure in a run: reported");
	eq(counters().chunks_backed, 0, "failure in a run: what was backed went back");
	eq(counters().scavenged_bytes, 2 * GCARENA_CHUNK_SIZE, "failure in a run: and is counted");
	eq(refill(TINY, 0, 1), 1, "failure in a run: a chunk in use");
	give(&got[0], 0);
	host.fail_next[SITE_BACK] = 2;
	eq(refill(LARGE, 4 * GCARENA_CHUNK_PAGES, 1), -ENOMEM, "failure in a run: again");
	eq(counters().chunks_idle, 1, "failure in a run: what had been idle before stays");
	host.fail_next[SITE_META_BACK] = 3;
	eq(refill(LARGE, 8 * GCARENA_CHUNK_PAGES, 1), -ENOMEM, "failure in setting up a run");
	ok(!gca_core_validate(core), "failure in a run: core valid");
	eq(refill(LARGE, 8 * GCARENA_CHUNK_PAGES, 1), 1, "failure in a run: nothing lost");
	end("failures in runs");
}

/* Reclaim: chosen by the host, never waits, whole chunks only. */
static void test_shrink(void)
{
	struct gcarena_counters before;
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};
	struct gcarena_span span, again;

	begin(4, NULL);
	refill_into(&span, MANUAL, GCARENA_CHUNK_PAGES, 1);
	give(&span, 0);
	ok(host.idle[0], "shrink: an idle chunk");

	gca_lock(&core->lock);
	ok(!gca_core_shrink_begin(core, 0), "shrink: does not wait for the lock");
	gca_unlock(&core->lock);
	ok(host.idle[0] && counters().chunks_idle == 1, "shrink: and then changes nothing");

	before = counters();
	ok(gca_core_shrink_begin(core, 0), "shrink: begun");
	ok(host.idle[0], "shrink: the host takes it off its list itself");
	host.idle[0] = false;
	refill_into(&again, MANUAL, GCARENA_CHUNK_PAGES, 1);
	eq(again.page, GCARENA_CHUNK_PAGES, "shrink: nobody gets it meanwhile");
	kept[0] = 1;
	gca_core_shrink_end(core, 0, kept, GCARENA_CHUNK_SIZE - GCARENA_PAGE_SIZE);
	ok(host.idle[0], "shrink: with a page kept it is idle again");
	eq(counters().heap_released, GCARENA_CHUNK_SIZE - GCARENA_PAGE_SIZE,
	   "shrink: the others are released");
	eq(counters().shrink_bytes - before.shrink_bytes, GCARENA_CHUNK_SIZE - GCARENA_PAGE_SIZE,
	   "shrink: bytes are counted");
	eq(counters().shrink_calls - before.shrink_calls, 1, "shrink: so are calls");
	eq(counters().scavenged_bytes, before.scavenged_bytes, "shrink: by no other counter");
	eq(counters().chunks_small, before.chunks_small + 1, "shrink: what is left is small");
	memset(host.present + 2, 0, GCA_CHUNK_HALVES - 2);
	memset(host.dirty + 1, 0, GCARENA_CHUNK_PAGES - 1);
	host.small[0] = true;

	ok(host_shrink(&host, 0, 0), "shrink: once more");
	eq(counters().heap_released, GCARENA_CHUNK_SIZE, "shrink: takes the rest");
	eq(counters().chunks_backed, 1, "shrink: the chunk has no backing");
	give(&again, 0);
	refill_into(&span, MANUAL, GCARENA_CHUNK_PAGES, 1);
	end("shrink");
}

static void test_generation_wraps(void)
{
	struct gcarena_span s[2];

	begin(1, NULL);
	core->generation = U32_MAX;
	refill_into(s, TINY, 0, 2);
	*line(1, s[0].page) = 1;
	*line(0, s[0].page) = 1;
	give(&s[0], 0);
	gca_lock(&core->lock);
	gca_publish(core);
	gca_unlock(&core->lock);
	eq(start_sweep(), 0, "wrap: started");
	eq(generation(), 0, "wrap: generation 0");
	eq(assist(5), 1, "wrap: swept");
	eq(state_of(s[0].page), GCARENA_STATE_SWEPT, "wrap: kept");
	eq(give(&s[1], 0), 0, "wrap: returned at the last generation before");
	ok(!gca_core_sweeping(core), "wrap: complete");
	end("wrap");
}

static void test_policy_and_status(void)
{
	struct gcarena_policy p = { .size = 1, .limit_bytes = 5, .retain_bytes = 6 };
	struct gcarena_policy q = {};
	const struct gcarena_status *status;
	u32 update;

	begin(1, NULL);
	status = host.tables.status;
	eq(status->size, sizeof(*status), "status: size");
	eq(status->update % 2, 0, "status: even");
	update = status->update;
	eq(gca_core_set_policy(core, &p), 0, "policy: set");
	gca_core_get_policy(core, &q);
	ok(q.limit_bytes == 5 && q.retain_bytes == 6 && q.size == sizeof(q), "policy: read back");
	p.flags = 1;
	eq(gca_core_set_policy(core, &p), -EINVAL, "policy: flags");
	p.flags = 0;
	p.node = 2;
	eq(gca_core_set_policy(core, &p), -EINVAL, "policy: set, no such node");
	policy(0, 0);
	refill(TINY, 0, 1);
	ok(status->update != update && status->update % 2 == 0, "status: updated");
	eq(status->counters.heap_inuse, GCARENA_PAGE_SIZE, "status: counters");
	ok(status->counters.meta_sys > 36864, "status: tables are counted");
	end("policy and status");
}

/* The validator must see what it exists for. */
static void test_validator(void)
{
	struct gcarena_span s[4];
	struct gca_record *record;
	struct gca_chunk *chunk;

	begin(2, NULL);
	gca_complaint = count_complaint;
	refill_into(s, HALF, 0, 4);
	*line(0, s[0].page) = 1;
	give(&s[0], 0);
	chunk = gca_chunk_at(core, 0);
	record = gca_record_at(core, s[0].page);
	ok(!gca_core_validate(core) && !nr_complaints, "validator: silent when all is well");
#define NOTICED(field, name) do { \
	__typeof__((field) + 0) kept = (field); \
	nr_complaints = 0; \
	(field)++; \
	ok(gca_core_validate(core) == -EUCLEAN && nr_complaints, "validator: " name); \
	(field) = kept; \
} while (0)
	NOTICED(core->counters.heap_inuse, "heap_inuse");
	NOTICED(core->counters.heap_released, "heap_released");
	NOTICED(core->counters.spans_held, "spans_held");
	NOTICED(core->counters.chunks_backed, "chunks_backed");
	NOTICED(core->nr_listed, "listed spans");
	NOTICED(core->sweep_left, "spans left to sweep");
	NOTICED(chunk->nr_free, "free pages");
	NOTICED(chunk->longest, "longest run");
	NOTICED(chunk->free[0], "the free map");
	NOTICED(chunk->released[3], "the released map");
	NOTICED(chunk->dirty[0], "the dirty map");
	NOTICED(record->npages, "a span's length");
	NOTICED(record->generation, "a span's generation");
	NOTICED(record->state, "a span's state");
	NOTICED(record->full, "the wrong list");
	NOTICED(record->busy, "a span that nobody releases in");
	NOTICED(chunk->nr_holes, "holes");
	NOTICED(chunk->holes[1], "the map of holes");
	NOTICED(core->class_map[0][0], "the class map");
	NOTICED(core->map_empty[0], "the map of empty chunks");
	NOTICED(host.tables.spans[s[0].page].word0, "a row's class");
	NOTICED(host.tables.spans[s[0].page].word1, "a row's state");
	NOTICED(host.tables.spans[s[1].page].word1, "a held span's row");
#undef NOTICED
	gca_complaint = NULL;
	end("validator");
}

#define UNIT(name)	{ #name, test_##name }

/* What there is to run; by KUnit as well (selftests/kunit/core.c). */
static const struct unit {
	const char *name;
	void (*run)(void);
} units[] = {
	UNIT(create),
	UNIT(refill_arguments),
	UNIT(fresh),
	UNIT(rows_of_large),
	UNIT(placement),
	UNIT(idle_before_new),
	UNIT(return_errors),
	UNIT(return_states),
	UNIT(sweep),
	UNIT(sweep_large_and_manual),
	UNIT(sweep_before_growing),
	UNIT(limit),
	UNIT(scavenge),
	UNIT(worker),
	UNIT(transit),
	UNIT(failures),
	UNIT(shrink),
	UNIT(generation_wraps),
	UNIT(policy_and_status),
	UNIT(validator),
};

#ifndef __KERNEL__
int main(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		units[i].run();
	return tap_done();
}
#endif
