// SPDX-License-Identifier: MIT
/*
 * Contents survive reclaim: spans on huge pages, first read and then written,
 * in a cgroup that holds half of them, the rest going to swap and back, while
 * khugepaged is as busy as it can be.
 *
 * Needs swap: see swap_device.h.
 */
#include "swap_device.h"

#define GROUP		"/sys/fs/cgroup/gcarena-swap"
#define LIMIT		"25165824"
#define KHUGEPAGED	"/sys/kernel/mm/transparent_hugepage/khugepaged/"
#define SIZE		(64 * MIB)
#define NR_SPANS	24
#define SECONDS		15

static unsigned int seed = 77;

static unsigned int roll(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static volatile uint64_t *words(struct arena *a, const struct gcarena_span *s)
{
	return (volatile uint64_t *)g_addr(a, s->page);
}

static void write_span(struct arena *a, const struct gcarena_span *s, uint64_t mark)
{
	volatile uint64_t *w = words(a, s);

	/* Look at all of it, as who finds NEEDS_ZERO clear may, then write. */
	for (size_t i = 0; i < CHUNK / 8; i += 64)
		(void)w[i];
	for (size_t i = 0; i < BASE_PAGE / 8; i++)
		w[i] = mark + i;
}

static bool intact(struct arena *a, const struct gcarena_span *s, uint64_t mark)
{
	volatile uint64_t *w = words(a, s);

	for (size_t i = 0; i < BASE_PAGE / 8; i++)
		if (w[i] != mark + i)
			return false;
	return true;
}

/* How long khugepaged sleeps, in milliseconds, when it has nothing to do. */
static void khugepaged_sleep(const char *scan, const char *alloc)
{
	g_write_file(KHUGEPAGED "scan_sleep_millisecs", scan);
	g_write_file(KHUGEPAGED "alloc_sleep_millisecs", alloc);
}

int main(void)
{
	struct gcarena_span s[NR_SPANS];
	uint64_t mark[NR_SPANS] = {}, next = 1;
	unsigned long filled = 0, checked = 0, torn = 0;
	time_t end = time(NULL) + SECONDS;
	long swapped = 0;
	struct arena a;

	if (!swap_on())
		skip_all("no " SWAP_MODULE " in this guest");
	mkdir(GROUP, 0755);
	if (g_write_file(GROUP "/memory.max", LIMIT) ||
	    g_write_file(GROUP "/cgroup.procs", "0"))
		skip_all("no memory controller");
	khugepaged_sleep("0", "0");

	g_open(&a, SIZE);
	while (time(NULL) < end) {
		unsigned int i = roll(NR_SPANS);

		if (!mark[i]) {
			if (g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &s[i], 1) != 1)
				continue;
			mark[i] = next++ << 32;
			write_span(&a, &s[i], mark[i]);
			filled++;
			continue;
		}
		torn += !intact(&a, &s[i], mark[i]);
		checked++;
		if (swapped <= 0)
			swapped = g_file_number(GROUP "/memory.swap.current");
		if (!roll(8)) {
			g_return(&a, &s[i], 1);
			g_scavenge(&a, 0, CHUNK);
			mark[i] = 0;
		}
	}
	diag("%lu filled, %lu checked, %ld bytes in swap when first seen", filled, checked,
	     swapped);
	ok(filled > NR_SPANS && checked > NR_SPANS, "spans were filled and looked at");
	ok(swapped > 0, "some of them were swapped out");
	eq(torn, 0, "every span has its contents");
	eq(g_file_value(GROUP "/memory.events", "oom_kill"), 0, "nobody was killed");
	g_close(&a);
	khugepaged_sleep("10000", "60000");
	g_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(GROUP);
	swap_off();
	return tap_done();
}
