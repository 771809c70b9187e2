/* SPDX-License-Identifier: MIT */
/*
 * khugepaged.h: have khugepaged try its hardest, and see what came of it; or not run.
 */
#ifndef SELFTESTS_GUEST_KHUGEPAGED_H
#define SELFTESTS_GUEST_KHUGEPAGED_H

#include "guest.h"

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define CHUNK_PAGES	256

/* Base states of pages of a chunk: how many are in @state. */
static __attribute__((unused)) int in_state(struct arena *a, uint32_t chunk, uint32_t state)
{
	static struct gcarena_run runs[CHUNK_PAGES];
	struct gcarena_residency args = {
		.size = sizeof(args),
		.page = chunk * CHUNK_PAGES,
		.npages = CHUNK_PAGES,
		.runs = (uintptr_t)runs,
		.nr_runs = CHUNK_PAGES,
	};
	int err = g_ioctl(a->fd, GCARENA_IOC_RESIDENCY, &args);
	int n = 0;

	if (err)
		return err;
	for (uint32_t i = 0; i < args.nr_runs; i++)
		n += runs[i].state == state ? (int)runs[i].npages : 0;
	return n;
}

/* What it is set to, and what a test sets it to. */
static struct khugepaged_knob {
	const char *name, *hard;
	char before[64];
} khugepaged_knobs[] = {
	{ "enabled", "always", "" },
	{ "khugepaged/defrag", "1", "" },
	{ "khugepaged/max_ptes_none", "511", "" },
	{ "khugepaged/max_ptes_shared", "511", "" },
	{ "khugepaged/pages_to_scan", "65536", "" },
	{ "khugepaged/alloc_sleep_millisecs", "10", "" },
	{ "khugepaged/scan_sleep_millisecs", "10", "" },
};

#define KHUGEPAGED_KNOBS (sizeof(khugepaged_knobs) / sizeof(khugepaged_knobs[0]))

/* The tests of one boot share it: at full rate it has its hands on all their chunks. */
static void khugepaged_as_before(void)
{
	char path[128];

	for (unsigned int i = 0; i < KHUGEPAGED_KNOBS; i++) {
		struct khugepaged_knob *knob = &khugepaged_knobs[i];

		snprintf(path, sizeof(path), THP "%s", knob->name);
		if (*knob->before)
			g_write_file(path, knob->before);
	}
}

static void khugepaged_set(struct khugepaged_knob *knob, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), THP "%s", knob->name);
	/* A number, or one word of several in brackets. */
	if (strchr(knob->name, '/'))
		snprintf(knob->before, sizeof(knob->before), "%ld", g_file_number(path));
	else
		g_read_choice(path, knob->before, sizeof(knob->before));
	if (g_write_file(path, value))
		diag("%s cannot be set", path);
}

static __attribute__((unused)) void khugepaged_hard(void)
{
	for (unsigned int i = 0; i < KHUGEPAGED_KNOBS; i++)
		khugepaged_set(&khugepaged_knobs[i], khugepaged_knobs[i].hard);
	atexit(khugepaged_as_before);
}

/* Its thread ends; shared memory has huge pages all the same. */
static __attribute__((unused)) void khugepaged_off(void)
{
	khugepaged_set(&khugepaged_knobs[0], "never");
	atexit(khugepaged_as_before);
}

static __attribute__((unused)) long scans_so_far(void)
{
	FILE *f = fopen(THP "khugepaged/full_scans", "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* One that had begun, and three from their beginning. */
static __attribute__((unused)) bool scanned(void)
{
	long until = scans_so_far() + 4;

	return g_wait_for(scans_so_far() >= until, 20000);
}

#endif /* SELFTESTS_GUEST_KHUGEPAGED_H */
