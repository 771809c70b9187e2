/* SPDX-License-Identifier: MIT */
/*
 * What the heap holds at the points of the job, and the table of it.
 *
 * Reads counters only; never touches an object of the heap and may be called
 * inside a blocking region.
 */
#ifndef DEPGRAPH_REPORT_H
#define DEPGRAPH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "heap.h"

/**
 * struct footprint - what the kernel says; bytes, or UINT64_MAX: not known
 * @resident: of the mapping that the heap is in
 * @huge: of that, mapped by huge pages
 * @shmem: charged to the process's memory cgroup
 */
struct footprint {
	uint64_t resident;
	uint64_t huge;
	uint64_t shmem;
};

void footprint_read(struct footprint *footprint, uintptr_t address);

#define POINTS_MAX	6

struct point {
	const char *name;
	double seconds;
	struct gca_stats stats;
	struct footprint footprint;
};

/**
 * struct report - what is told at the end
 * @heap: about which
 * @address: of something in the heap, to find its mapping by; never followed
 * @start: of the run, seconds
 * @nr: how many points
 * @points: in their order in time
 * @sampling: in the step that the ratio is about
 * @samples: how many were taken in it
 * @ratio: the largest in use / live among them
 * @ratio_inuse: bytes, at that sample
 * @ratio_live: bytes, at that sample
 */
struct report {
	struct gca_heap *heap;
	uintptr_t address;
	double start;
	unsigned int nr;
	struct point points[POINTS_MAX];
	bool sampling;
	uint64_t samples;
	double ratio;
	uint64_t ratio_inuse;
	uint64_t ratio_live;
};

void report_begin(struct report *report, struct gca_heap *heap);
double report_seconds(const struct report *report);
const struct point *report_point(struct report *report, const char *name);
void report_sample(struct report *report, struct gca_stats *stats);
void report_print(const struct report *report);

#endif /* DEPGRAPH_REPORT_H */
