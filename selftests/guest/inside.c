// SPDX-License-Identifier: MIT
/*
 * C3, C4 inside spans: base pages without an object go on request and only on request,
 * of spans that nobody holds; they stay gone though khugepaged tries hard, and are
 * there again when their span is handed out. Where there is no memory for that, refill
 * says so.
 */
#include "khugepaged.h"

#define GROUP	"/sys/fs/cgroup/gcarena-inside"
#define SIZE	(64 * MIB)
#define SPANS	1024		/* of C_1K: 8 chunks */
#define ALL	GCARENA_SCAVENGE_ALL
#define INSIDE	(GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE)
#define OBJECT	1024
#define SLOTS	16		/* objects of a span: four to a base page */
#define KEPT	5		/* which of them stays, in the second base page */

static struct gcarena_span spans[SPANS];

static struct gcarena_counters counters(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats.counters;
}

/* @nr spans, each with one object, every byte of the others written. */
static void take(struct arena *a, int nr)
{
	for (int n, done = 0; done < nr; done += n) {
		n = g_refill(a, C_1K, 0, spans + done,
			     nr - done < GCARENA_BATCH_MAX ? nr - done : GCARENA_BATCH_MAX);
		if (n < 1)
			bail("refill: %d", n);
	}
	for (int i = 0; i < nr; i++) {
		memset(g_addr(a, spans[i].page), 1 + spans[i].page % 200, 2 * PAGE);
		g_set_bit(a, 0, spans[i].page, KEPT * OBJECT / 16);
		g_set_bit(a, 1, spans[i].page, KEPT * OBJECT / 16);
	}
}

static void give(struct arena *a, int nr)
{
	for (int i = 0; i < nr; i += 64)
		if (g_return(a, spans + i, nr - i < 64 ? nr - i : 64))
			bail("return");
}

/* Bytes of the objects of @nr spans that are not as they were. */
static int spoilt(struct arena *a, const struct gcarena_span *span, int nr)
{
	int bad = 0;

	for (int i = 0; i < nr; i++) {
		char *object = g_addr(a, span[i].page) + KEPT * OBJECT;

		for (int k = 0; k < OBJECT; k++)
			bad += object[k] != (char)(1 + span[i].page % 200);
	}
	return bad;
}

/* Base pages of @nr spans that are in memory; none is touched. */
static int resident(struct arena *a, const struct gcarena_span *span, int nr)
{
	unsigned char in[2 * PAGE / BASE_PAGE];
	int count = 0;

	for (int i = 0; i < nr; i++) {
		if (mincore(g_addr(a, span[i].page), 2 * PAGE, in))
			bail("mincore");
		for (unsigned int k = 0; k < sizeof(in); k++)
			count += in[k] & 1;
	}
	return count;
}

static void test_released(void)
{
	const long holes = (SPANS - 64) * 3 * (long)BASE_PAGE;
	static struct gcarena_span again[64];
	struct gcarena_counters c;
	int n, bad = 0, full = 0;
	struct arena a;
	long before;

	g_open_uncached(&a, SIZE);
	eq(g_scavenge(&a, GCARENA_SCAVENGE_INSIDE, 0), -EINVAL,
	   "C3 inside, not everything: refused");
	eq(g_scavenge(&a, INSIDE, 1), -EINVAL, "C3 inside, and bytes: refused");
	take(&a, SPANS);
	/* The last 64 stay held. */
	give(&a, SPANS - 64);
	eq(g_scavenge(&a, ALL, 0), 0, "C3 unasked nothing inside spans goes");
	before = g_debugfs_stat(a.setup.id, "mapping_bytes");
	eq(g_scavenge(&a, INSIDE, 0), holes, "C3 inside: three of four base pages go");
	eq(before - g_debugfs_stat(a.setup.id, "mapping_bytes"), holes,
	   "C3 inside: they left the mapping");
	c = counters(&a);
	eq(c.heap_holes, holes, "C3 inside: and are holes");
	eq(c.scavenge_inside, holes, "C3 inside: counted");
	eq(c.heap_inuse, SPANS * 2 * (long)PAGE, "C3 inside: all spans are in use as before");
	eq(c.heap_sys - c.heap_released - c.heap_holes,
	   g_debugfs_stat(a.setup.id, "mapping_bytes"), "C3 inside: what is believed backed is");
	eq(resident(&a, spans, SPANS - 64), SPANS - 64, "C3 inside: a base page a span stays");
	eq(resident(&a, spans + SPANS - 64, 64), 64 * 4, "C3 inside: of a span that is held all");
	eq(spoilt(&a, spans, SPANS), 0, "C3 inside: objects are unharmed");
	eq(in_state(&a, 0, GCARENA_RES_RELEASED), CHUNK_PAGES / 2,
	   "C6 inside: residency has pages in use that are released");
	ok(c.chunks_small > 0 && c.scavenge_broken == c.chunks_small,
	   "C3 inside: the price: %llu chunks on small pages", (unsigned long long)c.chunks_small);
	eq(g_scavenge(&a, INSIDE, 0), 0, "C3 inside: nothing goes twice");
	eq(g_validate(a.setup.id), 0, "C3 inside: the arena is valid");

	n = g_refill(&a, C_1K, 0, again, 64);
	eq(n, 64, "C3 inside: spans are handed out");
	eq(resident(&a, again, n), n * 4, "C3 inside: with all of their pages");
	eq(spoilt(&a, again, n), 0, "C3 inside: and their objects");
	for (int i = 0; i < n; i++) {
		char *at = g_addr(&a, again[i].page);

		full += again[i].flags == (GCARENA_SPAN_NEEDS_ZERO | GCARENA_SPAN_SMALL);
		for (unsigned long k = 0; k < 2 * PAGE; k++)
			bad += at[k] && k / BASE_PAGE != KEPT * OBJECT / BASE_PAGE;
	}
	eq(full, n, "C3 inside: on small pages, to be zeroed");
	eq(bad, 0, "C3 inside: what was released reads as zero");
	c = counters(&a);
	eq(c.heap_holes, holes - n * 3 * (long)BASE_PAGE, "C3 inside: and no hole any more");
	g_close(&a);
}

/* Spans that a sweep frees take their holes along; all of them are clean at last. */
static void test_freed(void)
{
	struct gcarena_counters c;
	struct arena a;

	g_open_uncached(&a, SIZE);
	take(&a, SPANS);
	give(&a, SPANS);
	g_scavenge(&a, INSIDE, 0);
	for (int i = 0; i < SPANS; i++)
		memset(a.bits[1] + spans[i].page * GCARENA_LINE_WORDS, 0, 2 * GCARENA_LINE_SIZE);
	eq(g_start_sweep(&a, 0), 0, "freed: all objects died");
	while (g_assist(&a))
		;
	c = counters(&a);
	eq(c.heap_inuse, 0, "freed: so did their spans");
	eq(c.heap_holes, 0, "freed: no holes inside spans are left");
	eq(c.heap_released, SPANS * 3 * (long)BASE_PAGE,
	   "freed: but are what is not backed of the free");
	eq(g_validate(a.setup.id), 0, "freed: the arena is valid");
	/* Of chunks with holes: what they lack is backed. */
	take(&a, SPANS / 2);
	eq(resident(&a, spans, SPANS / 2), SPANS / 2 * 4, "freed: new spans are all there");
	give(&a, SPANS / 2);
	ok(g_scavenge(&a, INSIDE, 0) > 0, "freed: and may have holes again");
	c = counters(&a);
	eq(c.heap_holes, SPANS / 2 * 3 * (long)BASE_PAGE, "freed: of spans");
	eq(c.heap_released, c.heap_idle, "freed: what is free is all released");
	eq(g_debugfs_stat(a.setup.id, "mapping_bytes"), SPANS / 2 * (long)BASE_PAGE,
	   "freed: what is in memory is what has an object");
	g_close(&a);
}

static void test_stays(void)
{
	int before, after;
	struct arena a;

	khugepaged_hard();
	g_open_uncached(&a, SIZE);
	take(&a, SPANS);
	give(&a, SPANS);
	g_scavenge(&a, INSIDE, 0);
	before = resident(&a, spans, SPANS);
	/* So that there is something mapped to look at. */
	eq(spoilt(&a, spans, SPANS), 0, "C4 inside: objects are there");
	if (!scanned()) {
		skip(3, "khugepaged does not scan");
		g_close(&a);
		return;
	}
	after = resident(&a, spans, SPANS);
	eq(after, before, "C4 inside: three scans of khugepaged later holes are holes");
	eq(before, SPANS, "C4 inside: a base page a span");
	for (uint32_t generation = 0; generation < 4; generation++) {
		for (int i = 0; i < SPANS; i++)
			g_set_bit(&a, ~generation & 1, spans[i].page, KEPT * OBJECT / 16);
		g_start_sweep(&a, generation);
		while (g_assist(&a))
			;
	}
	eq(a.status->nr_collapse, 0, "C4 inside: nor is a chunk with holes named for collapse");
	g_close(&a);
}

/* In a cgroup that has no room for the holes: 0, or at what it failed. */
static int at_the_limit(void)
{
	static struct gcarena_span got[SPANS];
	int n = 0, err = 0, bad, limit;
	struct arena a;
	char text[32];

	if (g_write_file(GROUP "/cgroup.procs", "0"))
		return 1;
	/* At the limit an open() may have us killed. */
	limit = open(GROUP "/memory.max", O_WRONLY);
	if (limit < 0)
		return 9;
	g_open_uncached(&a, SIZE);
	take(&a, SPANS);
	give(&a, SPANS);
	if (g_scavenge(&a, INSIDE, 0) <= 0)
		return 2;
	/* All that the limit is not meant for: page tables, our own memory. */
	memset(got, 0xff, sizeof(got));
	if (spoilt(&a, spans, SPANS))
		return 8;
	/* Room for some of them. */
	snprintf(text, sizeof(text), "%ld",
		 g_file_number(GROUP "/memory.current") + (long)(2 * MIB));
	if (g_write_file(GROUP "/memory.max", text))
		return 3;
	while (n < SPANS) {
		err = g_refill(&a, C_1K, 0, got + n, 1);
		if (err != 1)
			break;
		n++;
	}
	if (err != -ENOMEM)
		return 4;
	/* What was handed out can be written to: no SIGBUS. */
	bad = spoilt(&a, got, n);
	for (int i = 0; i < n; i++)
		memset(g_addr(&a, got[i].page), 0x77, 2 * PAGE);
	if (write(limit, "max", 3) != 3)
		return 10;
	close(limit);
	if (bad || n < 16)
		return 5;
	if (g_validate(a.setup.id))
		return 6;
	err = g_refill(&a, C_1K, 0, got + n, 1);
	if (err != 1 || spoilt(&a, got + n, 1))
		return 7;
	g_close(&a);
	return 0;
}

static void test_limit(void)
{
	int status = 0;
	pid_t pid;

	g_write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	mkdir(GROUP, 0755);
	g_write_file(GROUP "/memory.swap.max", "0");
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(at_the_limit());
	waitpid(pid, &status, 0);
	ok(WIFEXITED(status), "inside, at memory.max: nobody is killed (status %x)", status);
	eq(WEXITSTATUS(status), 0, "inside, at memory.max: refill says -ENOMEM, and not SIGBUS");
	rmdir(GROUP);
}

int main(void)
{
	test_released();
	test_freed();
	test_limit();
	test_stays();
	return tap_done();
}
