// SPDX-License-Identifier: MIT
/*
 * The table at the end, and the samples taken on the way: see report.h.
 *
 * The ratio of memory in use to live memory is what a GC percent promises to
 * bound, so it is sampled while the heap changes, and not computed from the
 * end: its largest value is the one that counts.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "report.h"

#define MIB	(1024.0 * 1024.0)
#define NS_MS	1e6

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/**
 * report_begin - start the clock
 * @report: filled in
 * @heap: about which
 */
void report_begin(struct report *report, struct gca_heap *heap)
{
	memset(report, 0, sizeof(*report));
	report->heap = heap;
	report->start = now();
}

/**
 * report_seconds - the time since the start
 * @report: from report_begin()
 *
 * Return: seconds.
 */
double report_seconds(const struct report *report)
{
	return now() - report->start;
}

static void stats_read(struct gca_heap *heap, struct gca_stats *stats)
{
	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	gca_stats(heap, stats);
}

/**
 * report_point - note what the heap holds now
 * @report: from report_begin()
 * @name: the column's head
 *
 * Return: the point.
 */
const struct point *report_point(struct report *report, const char *name)
{
	struct point *point = &report->points[report->nr];

	if (report->nr < POINTS_MAX - 1)
		report->nr++;
	point->name = name;
	point->seconds = report_seconds(report);
	stats_read(report->heap, &point->stats);
	footprint_read(&point->footprint, report->address);
	return point;
}

/**
 * report_sample - look at in use and live
 * @report: from report_begin()
 * @stats: filled in, for the caller's own use
 */
void report_sample(struct report *report, struct gca_stats *stats)
{
	double ratio;

	stats_read(report->heap, stats);
	if (!report->sampling || !stats->heap_live)
		return;
	report->samples++;
	ratio = (double)stats->heap_inuse / stats->heap_live;
	if (ratio > report->ratio) {
		report->ratio = ratio;
		report->ratio_inuse = stats->heap_inuse;
		report->ratio_live = stats->heap_live;
	}
}

static void row(const struct report *report, const char *name, bool known, size_t offset,
		double unit)
{
	printf("%-22s", name);
	for (unsigned int i = 0; i < report->nr; i++) {
		uint64_t value;

		memcpy(&value, (const char *)&report->points[i] + offset, sizeof(value));
		if (!known || value == UINT64_MAX)
			printf(" %10s", "n/a");
		else
			printf(" %10.*f", unit > 1 ? 1 : 0, value / unit);
	}
	printf("\n");
}

#define AT(member)	offsetof(struct point, member)

static void row_backed(const struct report *report)
{
	printf("%-22s", "backed (MiB)");
	for (unsigned int i = 0; i < report->nr; i++) {
		const struct gca_stats *stats = &report->points[i].stats;

		if (HEAP_COLLECTS)
			printf(" %10.1f", (stats->heap_sys - stats->heap_released) / MIB);
		else
			printf(" %10s", "n/a");
	}
	printf("\n");
}

/**
 * report_print - the table
 * @report: with its points
 */
void report_print(const struct report *report)
{
	const struct gca_stats *last = &report->points[report->nr ? report->nr - 1 : 0].stats;

	printf("\n%-22s", heap_backend_name(report->heap));
	for (unsigned int i = 0; i < report->nr; i++)
		printf(" %10s", report->points[i].name);
	printf("\n");
	row(report, "allocated (MiB)", true, AT(stats.total_alloc), MIB);
	row(report, "objects", true, AT(stats.mallocs), 1);
	row(report, "live (MiB)", HEAP_COLLECTS, AT(stats.heap_live), MIB);
	row(report, "in use (MiB)", HEAP_COLLECTS, AT(stats.heap_inuse), MIB);
	row(report, "released (MiB)", HEAP_COLLECTS, AT(stats.heap_released), MIB);
	row_backed(report);
	row(report, "resident (MiB)", HEAP_COLLECTS, AT(footprint.resident), MIB);
	row(report, "  by huge pages (MiB)", HEAP_COLLECTS, AT(footprint.huge), MIB);
	row(report, "cgroup shmem (MiB)", HEAP_COLLECTS, AT(footprint.shmem), MIB);
	row(report, "collections", HEAP_COLLECTS, AT(stats.num_gc), 1);
	row(report, "  asked for", HEAP_COLLECTS, AT(stats.num_forced_gc), 1);
	printf("%-22s", "time (s)");
	for (unsigned int i = 0; i < report->nr; i++)
		printf(" %10.2f", report->points[i].seconds);
	printf("\n");
	if (!HEAP_COLLECTS) {
		printf("longest stop: n/a\nmax in use / live: n/a\n");
		return;
	}
	printf("longest stop: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n",
	       last->pause_p50_ns / NS_MS, last->pause_p99_ns / NS_MS, last->pause_max_ns / NS_MS);
	if (report->samples)
		printf("max in use / live: %.2f (%.1f / %.1f MiB, the worst of %" PRIu64
		       " samples in step 2)\n",
		       report->ratio, report->ratio_inuse / MIB, report->ratio_live / MIB,
		       report->samples);
	else
		printf("max in use / live: n/a (no step 2)\n");
}
