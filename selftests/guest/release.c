// SPDX-License-Identifier: MIT
/*
 * C3: one call releases all that is free, however scattered.
 * C4: what was released stays released though khugepaged tries hard, and what is
 * live becomes huge again where the status page says that it is worth it.
 *
 * And what has a page in its hands for I/O when that is released keeps it: nobody
 * who gets the address next is seen there.
 */
#include <stdlib.h>
#include <sys/uio.h>

#include "khugepaged.h"

#define TRACING		"/sys/kernel/tracing/"
#define PIN_BROKEN	"/sys/module/gcarena/parameters/pin_broken"

#define RANGES		10000
#define SIZE		(200 * MIB)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

static struct gcarena_span spans[2 * RANGES + CHUNK_PAGES];

static void take(struct arena *a, struct gcarena_span *out, uint32_t npages, int nr)
{
	int n, done;

	for (done = 0; done < nr; done += n) {
		n = g_refill(a, C_MANUAL, npages, out + done,
			     nr - done < GCARENA_BATCH_MAX ? nr - done : GCARENA_BATCH_MAX);
		if (n < 1)
			bail("refill: %d", n);
	}
}

static void give(struct arena *a, struct gcarena_span *span)
{
	if (g_return(a, span, 1))
		bail("return");
}

static int count_vmas(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, lines = 0;

	while (f && (c = fgetc(f)) != EOF)
		lines += c == '\n';
	if (f)
		fclose(f);
	return lines;
}

/* Flushes of this task's address space since tracing was last turned on. */
static long count_flushes(void)
{
	FILE *f = fopen(TRACING "trace", "r");
	char line[512];
	long n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += line[0] != '#' && strstr(line, "tlb_flush:");
	if (f)
		fclose(f);
	return n;
}

static bool trace_flushes(bool on)
{
	char pid[16];

	if (!g_exists(TRACING "events/tlb/tlb_flush"))
		return false;
	snprintf(pid, sizeof(pid), "%d", getpid());
	g_write_file(TRACING "set_event_pid", on ? pid : "");
	/* A flush of an mm is one here, by whichever CPUs it is done. */
	g_write_file(TRACING "events/tlb/tlb_flush/filter", on ? "reason == 3" : "0");
	if (on)
		g_write_file(TRACING "trace", "\n");
	return !g_write_file(TRACING "events/tlb/tlb_flush/enable", on ? "1" : "0");
}

static void test_scattered(void)
{
	long flushes, got, before;
	int vmas, bad = 0, i;
	struct arena a;
	bool traced;

	g_open(&a, SIZE);
	take(&a, spans, 1, 2 * RANGES);
	for (i = 0; i < 2 * RANGES; i++)
		memset(g_addr(&a, spans[i].page), 1 + i % 200, PAGE);
	/* By page, so that every second one of the address space goes. */
	for (i = 0; i < 2 * RANGES; i++)
		if (spans[i].page % 2)
			give(&a, &spans[i]);
	before = g_debugfs_stat(a.setup.id, "mapping_bytes");
	vmas = count_vmas();
	traced = trace_flushes(true);
	got = g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
	flushes = count_flushes();
	trace_flushes(false);
	ok(got >= (long)(RANGES * PAGE), "C3 %d scattered ranges go in one call (%ld bytes)",
	   RANGES, got);
	eq(before - g_debugfs_stat(a.setup.id, "mapping_bytes"), got,
	   "C3 and left the mapping");
	eq(count_vmas(), vmas, "C3 with as many VMAs as before");
	if (traced)
		ok(flushes > 0 && flushes <= got / (long)(CHUNK_PAGES * PAGE / 2) + 1,
		   "C3 and at most one TLB flush a chunk (%ld)", flushes);
	else
		skip(1, "no tracepoint of TLB flushes");
	for (i = 0; i < 2 * RANGES; i++)
		for (unsigned int k = 0; !(spans[i].page % 2) && k < PAGE; k += 512)
			bad += g_addr(&a, spans[i].page)[k] != (char)(1 + i % 200);
	eq(bad, 0, "C3 what is in use is unharmed");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), 0, "C3 nothing is left to release");
	for (i = 0; i < 2 * RANGES; i++)
		if (spans[i].page % 2) {
			take(&a, &spans[i], 1, 1);
			if (!(spans[i].flags & GCARENA_SPAN_NEEDS_ZERO))
				bad += g_addr(&a, spans[i].page)[100];
		}
	eq(bad, 0, "C3 what comes back is zero");
	g_close(&a);
}

#define HELD_PAGES	32
#define BROKEN		4	/* chunks of which one span stays */
#define GONE		2	/* chunks of which nothing stays */
#define FULL		8

/*
 * Chunks with partial holes, whole holes, none; survivors touched, khugepaged over
 * it.  Pages of holes that have memory again.
 */
static int holes_filled(struct arena *a, bool *all_scanned)
{
	int filled = 0;

	g_open(a, 64 * MIB);
	take(a, spans, HELD_PAGES, (BROKEN + GONE + FULL) * CHUNK_PAGES / HELD_PAGES);
	for (int i = 0; i < (BROKEN + GONE + FULL) * CHUNK_PAGES / HELD_PAGES; i++) {
		uint32_t chunk = spans[i].page / CHUNK_PAGES;
		uint32_t at = spans[i].page % CHUNK_PAGES;

		memset(g_addr(a, spans[i].page), 0x5a, HELD_PAGES * PAGE);
		if (chunk < BROKEN + GONE && (chunk >= BROKEN || at != chunk * HELD_PAGES))
			give(a, &spans[i]);
	}
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	for (int chunk = 0; chunk < BROKEN; chunk++) {
		char *at = g_addr(a, chunk * CHUNK_PAGES + chunk * HELD_PAGES);

		for (unsigned long i = 0; i < HELD_PAGES * PAGE; i += BASE_PAGE)
			*(volatile char *)(at + i) = 1;
	}
	*all_scanned = scanned();
	for (int chunk = 0; chunk < BROKEN + GONE; chunk++)
		filled += (chunk < BROKEN ? CHUNK_PAGES - HELD_PAGES : CHUNK_PAGES) -
			  in_state(a, chunk, GCARENA_RES_RELEASED);
	return filled;
}

static void test_stays_released(void)
{
	struct gcarena_stats stats;
	bool all_scanned;
	struct arena a;
	int filled;
	long huge;

	khugepaged_hard();
	filled = holes_filled(&a, &all_scanned);
	if (!all_scanned) {
		g_close(&a);
		skip(7, "khugepaged does not scan");
		return;
	}
	eq(filled, 0, "C4 three scans of khugepaged later partial and whole holes are holes");
	eq(g_debugfs_stat(a.setup.id, "host_pins"), BROKEN, "C4 by a pin for each broken chunk");
	huge = g_smaps(a.heap, "ShmemPmdMapped");
	ok(huge >= (long)(FULL * CHUNK), "C4 live chunks are huge");
	g_stats(&a, &stats);
	ok(huge * 10 >= (long)stats.counters.heap_inuse * 9,
	   "C4 nine tenths of what is in use are mapped by PMDs (%ld of %llu)", huge,
	   (unsigned long long)stats.counters.heap_inuse);
	g_close(&a);

	g_write_file(PIN_BROKEN, "N");
	filled = holes_filled(&a, &all_scanned);
	g_write_file(PIN_BROKEN, "Y");
	ok(filled >= CHUNK_PAGES - HELD_PAGES,
	   "C4 without them they are not (%d pages came back)", filled);
	eq(g_debugfs_stat(a.setup.id, "host_pins"), 0, "C4 and there was none");
	/* What khugepaged brought back nobody believes to be there. */
	g_close(&a);
	ok(!g_validate(a.setup.id) || !g_debugfs_has(a.setup.id), "C4 the arena is gone");
}

static int collapse(struct arena *a, uint32_t chunk, uint32_t flags, uint32_t *huge)
{
	struct gcarena_collapse args = {
		.size = sizeof(args),
		.flags = flags,
		.chunks = (uintptr_t)&chunk,
		.nr_chunks = 1,
	};
	int err = g_ioctl(a->fd, GCARENA_IOC_COLLAPSE, &args);

	if (huge)
		*huge = args.nr_huge;
	return err;
}

static int ask(struct arena *a, uint32_t chunk)
{
	return madvise(g_addr(a, chunk * CHUNK_PAGES), CHUNK, MADV_COLLAPSE) ? -errno : 0;
}

static void one_cycle(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	if (g_start_sweep(a, stats.generation) || g_assist(a))
		bail("sweep");
}

static void test_collapse(void)
{
	struct arena a;
	uint32_t huge;
	long mapped;
	int bad = 0;

	g_write_file(THP "khugepaged/scan_sleep_millisecs", "60000");
	g_open(&a, 64 * MIB);
	take(&a, spans, 1, 2 * CHUNK_PAGES);
	for (int i = 0; i < 2 * CHUNK_PAGES; i++)
		memset(g_addr(&a, spans[i].page), spans[i].page % 250 + 1, PAGE);
	for (int i = 0; i < 2 * CHUNK_PAGES; i++)
		if (spans[i].page < CHUNK_PAGES && spans[i].page % 16 == 3)
			give(&a, &spans[i]);
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), 16 * (long)PAGE, "C4 a chunk is broken");
	eq(a.status->nr_collapse, 0, "C4 and not named at once");
	one_cycle(&a);
	eq(a.status->nr_collapse, 0, "C4 nor after a cycle");
	one_cycle(&a);
	eq(a.status->nr_collapse, 1, "C4 but then");
	eq(a.status->collapse[0], 0, "C4 the chunk that was broken");
	ok(ask(&a, 0) < 0, "C4 it does not collapse by itself");
	mapped = g_smaps(a.heap, "ShmemPmdMapped");
	eq(collapse(&a, 0, GCARENA_COLLAPSE_BEGIN, NULL), 0, "C4 announced");
	/* 6.1 says -EINVAL when all is done but the mapping, which a touch makes. */
	bad = ask(&a, 0);
	ok(!bad || bad == -EINVAL, "C4 it does");
	bad = 0;
	*(volatile char *)g_addr(&a, 0) = *g_addr(&a, 0);
	eq(collapse(&a, 0, 0, &huge), 0, "C4 told");
	eq(huge, 1, "C4 and seen to be huge");
	eq(in_state(&a, 0, GCARENA_RES_HUGE), CHUNK_PAGES, "C4 all of it");
	eq(g_smaps(a.heap, "ShmemPmdMapped") - mapped, CHUNK, "C4 and mapped by a PMD");
	for (uint32_t i = 0; i < 2 * CHUNK_PAGES; i++) {
		uint32_t page = spans[i].page;
		char want = page < CHUNK_PAGES && page % 16 == 3 ? 0 : page % 250 + 1;

		bad += g_addr(&a, page)[77] != want;
	}
	eq(bad, 0, "C4 contents are unharmed");
	eq(g_debugfs_stat(a.setup.id, "collapsed"), 1, "C4 counted");
	eq(g_debugfs_stat(a.setup.id, "heap_released"), 0, "C4 nothing is released now");
	one_cycle(&a);
	eq(a.status->nr_collapse, 0, "C4 nor named");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), 16 * (long)PAGE, "C4 what it filled can go");
	for (int i = 0; i < 3; i++)
		one_cycle(&a);
	eq(a.status->nr_collapse, 0, "C4 broken again, it waits longer than before");
	one_cycle(&a);
	eq(a.status->nr_collapse, 1, "C4 and is named then");
	collapse(&a, 0, GCARENA_COLLAPSE_BEGIN, NULL);
	eq(collapse(&a, 0, 0, &huge), 0, "C4 told without having asked");
	eq(huge, 0, "C4 it is not huge");
	eq(g_debugfs_stat(a.setup.id, "collapse_failed"), 1, "C4 which is counted");
	ok(ask(&a, 0) < 0, "C4 and it is kept from khugepaged again");
	eq(collapse(&a, 1 << 30, 0, &huge), 0, "C4 a chunk that is none: nothing happens");
	eq(collapse(&a, 1 << 30, GCARENA_COLLAPSE_BEGIN, NULL), 0, "C4 either way");
	eq(collapse(&a, 0, 2, NULL), -EINVAL, "C4 unknown flag");
	g_close(&a);
}

/*
 * One page of a chunk goes into a pipe by reference; its span is returned and
 * released, taken again and written to.  What comes out of the pipe must be old.
 * @whole: all of the chunk is free; @broken: it was on base pages before.
 */
static void pinned(bool whole, bool broken, const char *name)
{
	static char old[PAGE], out[PAGE];
	struct iovec iov;
	struct arena a;
	int fd[2], mine = 0, other = 0;

	g_open(&a, 16 * MIB);
	take(&a, spans, 1, CHUNK_PAGES);
	if (broken) {
		other = spans[0].page == 200 ? 1 : 0;
		give(&a, &spans[other]);
		g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
		take(&a, &spans[other], 1, 1);
	}
	for (int i = 0; i < CHUNK_PAGES; i++)
		if (spans[i].page == 7)
			mine = i;
	memset(old, 'A', PAGE);
	memcpy(g_addr(&a, 7), old, PAGE);
	iov = (struct iovec){ .iov_base = g_addr(&a, 7), .iov_len = PAGE };
	if (pipe(fd) || vmsplice(fd[1], &iov, 1, 0) != PAGE)
		bail("vmsplice");
	for (int i = 0; i < CHUNK_PAGES; i++)
		if (i != mine && (whole || spans[i].page % 8 == 1))
			give(&a, &spans[i]);
	give(&a, &spans[mine]);
	g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
	/* Everybody who can get anything of that chunk writes to it. */
	for (int i = 0; i < CHUNK_PAGES; i++) {
		struct gcarena_span span;

		if (g_refill(&a, C_MANUAL, 1, &span, 1) == 1)
			memset(g_addr(&a, span.page), 'B', PAGE);
	}
	ok(read(fd[0], out, PAGE) == PAGE && !memcmp(out, old, PAGE),
	   "C3 a page in a pipe is not its next owner's: %s", name);
	close(fd[0]);
	close(fd[1]);
	g_close(&a);
}

int main(void)
{
	test_scattered();
	test_stays_released();
	test_collapse();
	pinned(true, false, "a whole huge chunk released");
	pinned(true, true, "a whole broken chunk released");
	pinned(false, true, "a part of a broken chunk released");
	pinned(false, false, "a part of a huge chunk released");
	return tap_done();
}
