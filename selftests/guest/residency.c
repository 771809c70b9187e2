// SPDX-License-Identifier: MIT
/*
 * C6: the state of the memory behind any range, without root.
 *
 * Each way by which a page changes its state (refill, scavenge, the owner's own
 * MADV_REMOVE, a fault, a system without huge pages, swap) is done to pages that
 * are known, and every page of the heap is then compared with what it must be;
 * the totals with what /proc says of the same mapping.  Swap is on a RAM disk
 * whose module selftests/vm/run --module brd brings.
 */
#include <stdlib.h>

#include "khugepaged.h"
#include "swap_device.h"

#define SIZE		(32 * MIB)
#define PAGES		(SIZE / PAGE)
#define BIG		(4096 * MIB)
#define BIG_PAGES	(BIG / PAGE)
#define ROOM		4096
#define SCATTERED	300

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

enum { NR_STATES = GCARENA_RES_SWAPPED + 1 };

static struct gcarena_run runs[ROOM];
/* state << 1 | in_use of every page, by the calls and as it must be */
static unsigned char got[BIG_PAGES], want[BIG_PAGES];

static int call(struct arena *a, uint32_t *page, uint32_t *npages, uint32_t room)
{
	struct gcarena_residency args = {
		.size = sizeof(args),
		.page = *page,
		.npages = *npages,
		.runs = (uintptr_t)runs,
		.nr_runs = room,
	};
	int err = g_ioctl(a->fd, GCARENA_IOC_RESIDENCY, &args);

	if (err)
		return err;
	*page = args.page;
	*npages = args.npages;
	return (int)args.nr_runs;
}

/*
 * Walk [@page, @page + @npages) with so much @room into got[].  Each call's runs
 * must be in order, not empty, of no overlap, and end at the cursor.  How many
 * calls it took, or -1.
 */
static int walk(struct arena *a, uint32_t page, uint32_t npages, uint32_t room)
{
	uint32_t end = page + npages;
	int calls = 0;

	memset(got, 0xff, sizeof(got));
	while (npages) {
		uint32_t at = page;
		int nr = call(a, &page, &npages, room);

		if (nr < 1 || nr > (int)room || page - at > GCARENA_RESIDENCY_PAGES ||
		    page + npages != end)
			return -1;
		for (int i = 0; i < nr; i++) {
			if (runs[i].page != at || !runs[i].npages ||
			    runs[i].state >= NR_STATES || runs[i].in_use > 1)
				return -1;
			if (i && runs[i].state == runs[i - 1].state &&
			    runs[i].in_use == runs[i - 1].in_use)
				return -1;
			memset(got + at, runs[i].state << 1 | runs[i].in_use, runs[i].npages);
			at += runs[i].npages;
		}
		if (at != page)
			return -1;
		calls++;
	}
	return calls;
}

static void expect(uint32_t page, uint32_t npages, unsigned int state, unsigned int in_use)
{
	memset(want + page, state << 1 | in_use, npages);
}

static bool as_expected(struct arena *a, uint32_t pages)
{
	if (walk(a, 0, pages, ROOM) < 1) {
		diag("the walk failed");
		return false;
	}
	for (uint32_t i = 0; i < pages; i++)
		if (got[i] != want[i]) {
			diag("page %u: state %u in use %u, want %u %u", i, got[i] >> 1,
			     got[i] & 1, want[i] >> 1, want[i] & 1);
			return false;
		}
	return true;
}

/* Bytes of pages in @state, in use or not, as the last walk found. */
static long bytes(uint32_t pages, unsigned int state)
{
	long n = 0;

	for (uint32_t i = 0; i < pages; i++)
		n += got[i] >> 1 == state;
	return n * (long)PAGE;
}

static void test_refill_scavenge(struct arena *a)
{
	struct gcarena_span span[2];
	uint32_t page;

	expect(0, PAGES, GCARENA_RES_RELEASED, 0);
	ok(as_expected(a, PAGES), "C6 set-up: all released and free");
	eq(walk(a, 0, PAGES, 1), 1, "C6 set-up: which is one run");

	eq(g_refill(a, C_CHUNKY, 0, &span[0], 1), 1, "C6 a span");
	page = span[0].page;
	expect(page / 256 * 256, 256, GCARENA_RES_HUGE, 0);
	expect(page, 64, GCARENA_RES_HUGE, 1);
	ok(as_expected(a, PAGES), "C6 refill: its chunk is huge, the span in use");

	g_set_bit(a, span[0].generation & 1, page, 0);
	memset(g_addr(a, page), 0x11, 64 * PAGE);
	eq(g_scavenge(a, GCARENA_SCAVENGE_ALL, 0), 192 * (long)PAGE, "C6 scavenge inside it");
	expect(page / 256 * 256, 256, GCARENA_RES_RELEASED, 0);
	expect(page, 64, GCARENA_RES_SMALL, 1);
	ok(as_expected(a, PAGES), "C6 scavenge: what is left is small, the rest released");

	eq(g_refill(a, C_LARGE, 2 * 256, &span[1], 1), 1, "C6 a large span");
	expect(span[1].page, 2 * 256, GCARENA_RES_HUGE, 1);
	ok(as_expected(a, PAGES), "C6 large span: huge and in use throughout");
	eq(walk(a, span[1].page + 7, 300, 1), 1, "C6 a part of it is one run, over two chunks");

	memset(a->bits[0] + page * GCARENA_LINE_WORDS, 0, GCARENA_LINE_SIZE);
	eq(g_return(a, span, 2), 0, "C6 both returned");
	expect(page, 64, GCARENA_RES_SMALL, 0);
	expect(span[1].page, 2 * 256, GCARENA_RES_HUGE, 0);
	ok(as_expected(a, PAGES), "C6 return: free, and as resident as before");
	ok(g_scavenge(a, GCARENA_SCAVENGE_ALL, 0) > 0, "C6 scavenged");
	expect(0, PAGES, GCARENA_RES_RELEASED, 0);
	ok(as_expected(a, PAGES), "C6 scavenge: all released");
}

/* What the owner does behind the arena's back. */
static void test_owner(struct arena *a)
{
	struct gcarena_span span;
	uint32_t page;

	eq(g_refill(a, C_CHUNKY, 0, &span, 1), 1, "C6 a span");
	page = span.page;
	memset(g_addr(a, page), 0x22, 64 * PAGE);
	eq(madvise(g_addr(a, page + 8), 8 * PAGE, MADV_REMOVE), 0, "C6 MADV_REMOVE of 8 pages");
	expect(page / 256 * 256, 256, GCARENA_RES_SMALL, 0);
	expect(page, 64, GCARENA_RES_SMALL, 1);
	expect(page + 8, 8, GCARENA_RES_RELEASED, 1);
	ok(as_expected(a, PAGES), "C6 MADV_REMOVE: in use and released");
	eq(madvise(g_addr(a, page + 32), BASE_PAGE, MADV_REMOVE), 0,
	   "C6 MADV_REMOVE of half a page");
	ok(as_expected(a, PAGES), "C6 half a page that has memory: small");
	eq(madvise(g_addr(a, page + 32) + BASE_PAGE, BASE_PAGE, MADV_REMOVE), 0,
	   "C6 of its other half");
	expect(page + 32, 1, GCARENA_RES_RELEASED, 1);
	ok(as_expected(a, PAGES), "C6 no half that has memory: released");

	/* The last chunk, which the arena never used. */
	*g_addr(a, PAGES - 1) = 1;
	expect(PAGES - 256, 256, GCARENA_RES_HUGE, 0);
	ok(as_expected(a, PAGES), "C6 a fault in a chunk never used: huge and free");
	madvise(g_addr(a, PAGES - 256), CHUNK, MADV_REMOVE);
	eq(g_return(a, &span, 1), 0, "C6 returned");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	expect(0, PAGES, GCARENA_RES_RELEASED, 0);
	ok(as_expected(a, PAGES), "C6 owner: all released");
}

static void test_deny(struct arena *a, const char *shmem_enabled)
{
	struct gcarena_span span;

	eq(g_write_file(SHMEM_ENABLED, "deny"), 0, "shmem_enabled=deny");
	eq(g_refill(a, C_CHUNKY, 0, &span, 1), 1, "C6 a span");
	eq(g_write_file(SHMEM_ENABLED, shmem_enabled), 0, "shmem_enabled as it was");
	expect(span.page / 256 * 256, 256, GCARENA_RES_SMALL, 0);
	expect(span.page, 64, GCARENA_RES_SMALL, 1);
	ok(as_expected(a, PAGES), "C6 shmem_enabled=deny: small");
	eq(g_return(a, &span, 1), 0, "C6 returned");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
}

/* Base pages of the heap that /proc/self/pagemap calls present, in bytes. */
static long pagemap_present(struct arena *a)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	static uint64_t map[SIZE / BASE_PAGE];
	long n = 0;

	if (pread(fd, map, sizeof(map), (uintptr_t)a->heap / BASE_PAGE * 8) != sizeof(map))
		n = -1;
	for (unsigned int i = 0; n >= 0 && i < SIZE / BASE_PAGE; i++)
		n += map[i] >> 63;
	close(fd);
	return n * (long)BASE_PAGE;
}

/* Everything touched, so that what is resident is also mapped. */
static void test_proc(struct arena *a)
{
	struct gcarena_span span[3];

	eq(g_refill(a, C_LARGE, 4 * 256, &span[0], 1), 1, "C6 four chunks");
	memset(g_addr(a, span[0].page), 0x33, 4 * CHUNK);
	madvise(g_addr(a, span[0].page + 20), 17 * PAGE, MADV_REMOVE);
	madvise(g_addr(a, span[0].page + 256), CHUNK, MADV_REMOVE);
	for (unsigned long at = 0; at < 4 * CHUNK; at += BASE_PAGE)
		if (at / PAGE < 20 || (at / PAGE >= 37 && at < CHUNK) || at >= 2 * CHUNK)
			*(volatile char *)(g_addr(a, span[0].page) + at);
	walk(a, 0, PAGES, ROOM);
	eq(bytes(PAGES, GCARENA_RES_HUGE), 2 * (long)CHUNK, "C6 two chunks are huge");
	eq(g_smaps(a->heap, "ShmemPmdMapped"), bytes(PAGES, GCARENA_RES_HUGE),
	   "C6 huge is what smaps calls ShmemPmdMapped");
	eq(g_smaps(a->heap, "Rss"),
	   bytes(PAGES, GCARENA_RES_HUGE) + bytes(PAGES, GCARENA_RES_SMALL),
	   "C6 huge and small together are Rss");
	eq(pagemap_present(a), bytes(PAGES, GCARENA_RES_HUGE) + bytes(PAGES, GCARENA_RES_SMALL),
	   "C6 and what pagemap calls present");
	eq(g_debugfs_stat(a->setup.id, "mapping_bytes"),
	   bytes(PAGES, GCARENA_RES_HUGE) + bytes(PAGES, GCARENA_RES_SMALL),
	   "C6 and what the mapping has");
	eq(g_return(a, span, 1), 0, "C6 returned");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
}

static bool all_in_state(uint32_t page, uint32_t npages, unsigned int state)
{
	for (uint32_t i = page; i < page + npages; i++)
		if (got[i] >> 1 != state)
			return false;
	return true;
}

/*
 * Reclaim may need to be asked more than once: pages are locked, or active.  6.1
 * splits a huge page and takes its head; the rest must be mapped to be asked for.
 */
static bool page_out(struct arena *a, uint32_t page, uint32_t npages)
{
	for (int i = 0; i < 20; i++) {
		for (size_t at = 0; at < npages * PAGE; at += BASE_PAGE)
			(void)*(volatile char *)(g_addr(a, page) + at);
		if (madvise(g_addr(a, page), npages * PAGE, MADV_PAGEOUT))
			return false;
		walk(a, page, npages, ROOM);
		if (all_in_state(page, npages, GCARENA_RES_SWAPPED))
			return true;
		g_msleep(50);
	}
	return false;
}

static void test_swap(struct arena *a)
{
	struct gcarena_span span;
	char *at;

	if (!swap_on()) {
		skip(1, "C6 swapped: no " SWAP_MODULE " in this guest");
		return;
	}
	eq(g_refill(a, C_LARGE, 2 * 256, &span, 1), 1, "C6 two chunks");
	at = g_addr(a, span.page);
	memset(at, 0x44, 2 * CHUNK);
	ok(page_out(a, span.page, 2 * 256), "C6 MADV_PAGEOUT: all of it is swapped");
	expect(0, PAGES, GCARENA_RES_RELEASED, 0);
	expect(span.page, 2 * 256, GCARENA_RES_SWAPPED, 1);
	ok(as_expected(a, PAGES), "C6 swapped: in use, and nothing else is");
	eq(g_smaps(a->heap, "Swap"), bytes(PAGES, GCARENA_RES_SWAPPED),
	   "C6 swapped is what smaps calls Swap");

	for (unsigned long i = 0; i < 2 * CHUNK; i += BASE_PAGE)
		if (at[i] != 0x44) {
			ok(false, "C6 contents differ at %lu", i);
			break;
		}
	walk(a, 0, PAGES, ROOM);
	eq(bytes(PAGES, GCARENA_RES_SWAPPED), 0, "C6 all read: nothing is swapped");
	eq(bytes(PAGES, GCARENA_RES_SMALL) + bytes(PAGES, GCARENA_RES_HUGE), 2 * (long)CHUNK,
	   "C6 all read: all in memory");

	/* Half a page swapped, half released; then half in memory. */
	ok(page_out(a, span.page, 2 * 256), "C6 swapped again");
	madvise(at + 60 * PAGE, BASE_PAGE, MADV_REMOVE);
	expect(span.page, 2 * 256, GCARENA_RES_SWAPPED, 1);
	walk(a, span.page + 60, 1, 1);
	eq(got[span.page + 60] >> 1, GCARENA_RES_SWAPPED,
	   "C6 half swapped, half released: swapped");
	at[60 * PAGE] = 1;
	walk(a, span.page + 60, 1, 1);
	eq(got[span.page + 60] >> 1, GCARENA_RES_SWAPPED,
	   "C6 half swapped, half in memory: swapped");
	eq(g_return(a, &span, 1), 0, "C6 returned");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	expect(0, PAGES, GCARENA_RES_RELEASED, 0);
	ok(as_expected(a, PAGES), "C6 scavenged from swap: released");
	eq(g_smaps(a->heap, "Swap"), 0, "C6 and out of swap");
	swap_off();
}

/* Pages all over 4 GiB, walked with much room and with little. */
static void test_cursor(const char *shmem_enabled)
{
	static unsigned char once[BIG_PAGES];
	struct arena a;
	uint32_t page = 0, npages = BIG_PAGES;
	unsigned int seed = 4711;
	int calls;

	g_open(&a, BIG);
	expect(0, BIG_PAGES, GCARENA_RES_RELEASED, 0);
	g_write_file(SHMEM_ENABLED, "deny");
	for (int i = 0; i < SCATTERED; i++) {
		uint32_t at = rand_r(&seed) % BIG_PAGES;

		g_addr(&a, at)[rand_r(&seed) % PAGE] = 1;
		expect(at, 1, GCARENA_RES_SMALL, 0);
	}
	/* On both sides of where a call must end. */
	for (uint32_t at = GCARENA_RESIDENCY_PAGES - 3; at < GCARENA_RESIDENCY_PAGES + 3; at++) {
		*g_addr(&a, at) = 1;
		expect(at, 1, GCARENA_RES_SMALL, 0);
	}
	g_write_file(SHMEM_ENABLED, shmem_enabled);
	ok(as_expected(&a, BIG_PAGES), "C6 scattered pages in 4 GiB, each one found");
	memcpy(once, got, sizeof(once));

	eq(call(&a, &page, &npages, ROOM) > 0, 1, "C6 a call over all of it");
	eq(page, GCARENA_RESIDENCY_PAGES, "C6 ends at its bound");
	eq(npages, BIG_PAGES - GCARENA_RESIDENCY_PAGES, "C6 and says what is left");
	calls = walk(&a, 0, BIG_PAGES, 3);
	ok(calls > SCATTERED / 2, "C6 with room for three runs it takes many calls (%d)", calls);
	ok(!memcmp(got, once, sizeof(once)), "C6 and finds the same");
	ok(walk(&a, 0, BIG_PAGES, 1) > SCATTERED, "C6 with room for one");
	ok(!memcmp(got, once, sizeof(once)), "C6 the same again");
	g_close(&a);
}

/* No root: an arena of somebody else's own. */
static void test_nobody(void)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_span span;
		struct arena a;

		if (setgid(65534) || setuid(65534))
			_exit(1);
		g_open(&a, SIZE);
		if (g_refill(&a, C_64, 0, &span, 1) != 1)
			_exit(2);
		memset(want, GCARENA_RES_RELEASED << 1, PAGES);
		expect(span.page / 256 * 256, 256, GCARENA_RES_HUGE, 0);
		expect(span.page, 1, GCARENA_RES_HUGE, 1);
		_exit(as_expected(&a, PAGES) ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	eq(status, 0, "C6 without root");
}

int main(void)
{
	char shmem_enabled[32];
	struct arena a;

	/* It undoes what is looked at: small pages become huge, removed ones come back. */
	khugepaged_off();
	g_read_choice(SHMEM_ENABLED, shmem_enabled, sizeof(shmem_enabled));
	g_open(&a, SIZE);
	test_refill_scavenge(&a);
	test_owner(&a);
	test_deny(&a, shmem_enabled);
	test_proc(&a);
	test_swap(&a);
	g_close(&a);
	test_cursor(shmem_enabled);
	test_nobody();
	return tap_done();
}
