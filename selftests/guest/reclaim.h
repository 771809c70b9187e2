/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h: what the tests of reclaim share: chunks with a pattern in every
 * word, cgroups, and what is chosen by writing to a file.
 *
 * A chunk is one large span here, so that which chunks are free is the test's
 * choice.  Helpers that cannot do their part end the program.
 */
#ifndef SELFTESTS_GUEST_RECLAIM_H
#define SELFTESTS_GUEST_RECLAIM_H

#include "guest.h"

#define CGROUP		"/sys/fs/cgroup"
#define LRU_GEN		"/sys/kernel/mm/lru_gen/enabled"
#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define SHMEM_ENABLED	THP "shmem_enabled"
#define DROP_CACHES	"/proc/sys/vm/drop_caches"
#define CHUNK_WORDS	(CHUNK / sizeof(uint64_t))

__attribute__((unused))
static void fill_pattern(char *chunk, uint64_t seed)
{
	uint64_t *words = (uint64_t *)chunk;

	for (unsigned long i = 0; i < CHUNK_WORDS; i++)
		words[i] = (seed << 32 ^ i) * 0x9e3779b97f4a7c15ULL;
}

__attribute__((unused))
static bool has_pattern(const char *chunk, uint64_t seed)
{
	const uint64_t *words = (const uint64_t *)chunk;

	for (unsigned long i = 0; i < CHUNK_WORDS; i++)
		if (words[i] != (seed << 32 ^ i) * 0x9e3779b97f4a7c15ULL)
			return false;
	return true;
}

/* @nr spans of a chunk each, written. */
__attribute__((unused))
static void take_chunks(struct arena *a, struct gcarena_span *spans, int nr)
{
	for (int i = 0; i < nr; i++) {
		int got = g_refill(a, C_LARGE, GCARENA_CHUNK_PAGES, &spans[i], 1);

		if (got != 1)
			bail("refill: %s", strerror(-got));
		fill_pattern(g_addr(a, spans[i].page), spans[i].page);
	}
}

/* Give back all but every @keep-th, or all; how many stay. */
__attribute__((unused))
static int free_chunks(struct arena *a, struct gcarena_span *spans, int nr, int keep)
{
	int kept = 0;

	for (int i = 0; i < nr; i++) {
		if (keep && i % keep == 0)
			spans[kept++] = spans[i];
		else if (g_return(a, &spans[i], 1))
			bail("return");
	}
	return kept;
}

__attribute__((unused))
static int spoilt(struct arena *a, const struct gcarena_span *spans, int nr)
{
	int count = 0;

	for (int i = 0; i < nr; i++)
		count += !has_pattern(g_addr(a, spans[i].page), spans[i].page);
	return count;
}

__attribute__((unused))
static long mapped(struct arena *a)
{
	return g_debugfs_stat(a->setup.id, "mapping_bytes");
}

__attribute__((unused))
static struct gcarena_counters counters(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats.counters;
}

__attribute__((unused))
static int enter(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return g_write_file(path, "0");
}

/* All that can be had: less than was asked for is -EAGAIN. */
__attribute__((unused))
static void group_reclaim(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	g_write_file(path, "1G");
}

__attribute__((unused))
static void choose(const char *path, const char *value)
{
	int err = g_write_file(path, value);

	if (err)
		bail("%s: %s: %s", path, value, strerror(-err));
}

#endif /* SELFTESTS_GUEST_RECLAIM_H */
