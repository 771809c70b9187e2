// SPDX-License-Identifier: MIT
/*
 * The memory limit of the process's control group, for a limit that follows it.
 *
 * Only the unified hierarchy (version 2) is known.  What holds is the least of
 * memory.max and memory.high of the group and of all above it.  A file that cannot be
 * read limits nothing.  Called at the start of cycles, by no mutator that is running.
 */
#include "internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* The process's group in the unified hierarchy, "/" at least; false: there is none. */
static bool own_group(const char *proc, char *group, size_t room)
{
	bool found = false;
	char line[PATH_MAX];
	FILE *file = fopen(proc, "re");

	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = 0;
		found = (size_t)snprintf(group, room, "%s", line + 3) < room;
	}
	fclose(file);
	return found;
}

/* "max", and what cannot be read, is no limit. */
static uint64_t read_limit(const char *root, const char *group, const char *name)
{
	unsigned long long bytes;
	char path[2 * PATH_MAX];
	uint64_t limit = UINT64_MAX;
	FILE *file;

	if ((size_t)snprintf(path, sizeof(path), "%s%s/%s", root, group, name) >= sizeof(path))
		return UINT64_MAX;
	file = fopen(path, "re");
	if (!file)
		return UINT64_MAX;
	if (fscanf(file, "%llu", &bytes) == 1)
		limit = bytes;
	fclose(file);
	return limit;
}

/**
 * cgroup_limit - how much memory the process's control group may use
 * @proc: /proc/self/cgroup, or NULL for it
 * @root: where the hierarchy is mounted, or NULL for /sys/fs/cgroup
 *
 * Return: bytes; 0: no limit is known.
 */
uint64_t cgroup_limit(const char *proc, const char *root)
{
	UNCANCELLED();
	uint64_t least = UINT64_MAX, limit;
	char group[PATH_MAX];
	char *slash;

	if (!root)
		root = "/sys/fs/cgroup";
	if (!own_group(proc ? proc : "/proc/self/cgroup", group, sizeof(group)))
		return 0;
	for (;;) {
		limit = read_limit(root, group, "memory.max");
		if (limit < least)
			least = limit;
		limit = read_limit(root, group, "memory.high");
		if (limit < least)
			least = limit;
		slash = strrchr(group, '/');
		if (!slash || !group[0])
			break;
		*slash = 0;
	}
	return least == UINT64_MAX ? 0 : least;
}
