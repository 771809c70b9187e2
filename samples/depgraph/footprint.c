// SPDX-License-Identifier: MIT
/*
 * The kernel's figures for the heap's memory, from /proc and the cgroup.
 *
 * They are what an operator would look at, and independent of the library's own
 * counters.  What cannot be read is left as not known: a container may hide
 * cgroups, and that is no reason to fail.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

#define LINE_BYTES	4352	/* a path and what stands before it in smaps */

/* "Name:   123 kB" of smaps: the bytes, when @line is about @name. */
static bool kilobytes(const char *line, const char *name, uint64_t *bytes)
{
	size_t n = strlen(name);
	uint64_t kib;

	if (strncmp(line, name, n) || sscanf(line + n, ": %" SCNu64 " kB", &kib) != 1)
		return false;
	*bytes = kib << 10;
	return true;
}

static void read_smaps(struct footprint *footprint, uintptr_t address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	uint64_t start, end, bytes;
	char line[LINE_BYTES];
	bool ours = false;

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &start, &end) == 2) {
			if (ours)
				break;
			ours = address >= start && address < end;
		} else if (!ours) {
			continue;
		} else if (kilobytes(line, "Rss", &bytes)) {
			footprint->resident = bytes;
			footprint->huge = 0;
		} else if (kilobytes(line, "AnonHugePages", &bytes) ||
			   kilobytes(line, "ShmemPmdMapped", &bytes)) {
			footprint->huge += bytes;
		}
	}
	fclose(file);
}

/* The cgroup v2 path of this process, "/" when it is in the root. */
static bool cgroup_path(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[LINE_BYTES];
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		found = !strncmp(line, "0::", 3);
	}
	fclose(file);
	if (found)
		snprintf(path, size, "/sys/fs/cgroup%s/memory.stat", line + 3);
	return found;
}

static void read_memcg(struct footprint *footprint)
{
	char path[LINE_BYTES + 64], line[LINE_BYTES];
	FILE *file;

	if (!cgroup_path(path, sizeof(path)))
		return;
	file = fopen(path, "re");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "shmem %" SCNu64, &footprint->shmem) == 1)
			break;
	fclose(file);
}

/**
 * footprint_read - what the kernel says about the heap's memory
 * @footprint: filled in
 * @address: somewhere in the heap, or 0
 */
void footprint_read(struct footprint *footprint, uintptr_t address)
{
	memset(footprint, 0xff, sizeof(*footprint));
	if (address)
		read_smaps(footprint, address);
	read_memcg(footprint);
}
