/* SPDX-License-Identifier: MIT */
/*
 * A host for the core that remembers everything and believes nothing.
 *
 * There is no heap behind it: the core never touches one.  It knows for each half of
 * a page whether it is present and for each page whether it is dirty, checks each
 * operation against that, and can fail any of them.  A hook runs inside the operations
 * that are called without the core lock, where a test may call into the core again as
 * another thread would.  One thread only.
 */
#ifndef TESTHOST_H
#define TESTHOST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_internal.h"

enum host_site {
	SITE_BACK,
	SITE_AHEAD,
	SITE_RELEASE,
	SITE_META_ALLOC,
	SITE_META_BACK,
	SITE_COLLAPSE,
	SITES
};

struct test_host {
	struct gca_tables tables;	/* first: the core's host pointer */
	struct gca_core *core;
	u32 nr_pages;
	u32 nr_chunks;

	bool *present;			/* by half of a page */
	bool *dirty;			/* by page: handed out since it was absent */
	bool *small;			/* by chunk */
	bool *meta;			/* by chunk: meta_back() was called */
	bool *idle;			/* by chunk: chunk_idle() without chunk_busy() */
	int *node;			/* by chunk: of what is present */
	bool *hands;			/* by page: kept, as somebody has it in his hands */

	/* Tests set these. */
	u32 fail_percent[SITES];
	int fail_next[SITES];		/* so many calls from now, 0 never */
	bool back_small;
	u32 lost_percent;		/* of what is released, not really freed */
	u32 keep_percent;		/* of what is to be released, kept */
	bool keep_in_hands;		/* because somebody has it */
	void (*hook)(struct test_host *host, enum host_site site);
	bool (*in_use)(struct test_host *host, u32 page);
	bool (*may_go)(struct test_host *host, u32 half);	/* although in use */
	int nodes;			/* how many there are */
	int caller;			/* node that callers prefer */
	u32 stray_percent;		/* of chunks backed, on another node */
	int (*wait)(struct test_host *host, u32 sequence);
	u32 (*random)(void);
	u64 now;

	/* What happened. */
	u32 calls[SITES];
	u32 failed[SITES];
	u32 last_page[SITES];
	u32 last_npages[SITES];
	u32 woken;
	u32 done;
	u32 wakes_transit;
	u32 pressed;
	u64 released;
	u64 shrunk;			/* by host_shrink() */
	u32 shrinks;
	u64 meta_bytes;
	u32 wrong;
};

/* A finding.  Printed as a comment, and remembered. */
__attribute__((format(printf, 2, 3), unused))
static void host_wrong(struct test_host *host, const char *format, ...)
{
	va_list ap;

	host->wrong++;
	if (host->wrong > 20)
		return;
	printf("# wrong: ");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static bool host_fails(struct test_host *host, enum host_site site)
{
	bool fails = false;

	host->calls[site]++;
	if (host->fail_next[site] && !--host->fail_next[site])
		fails = true;
	if (host->fail_percent[site] && host->random() % 100 < host->fail_percent[site])
		fails = true;
	host->failed[site] += fails;
	return fails;
}

static void host_check_range(struct test_host *host, const char *what, u32 page, u32 npages)
{
	if (!npages || page + npages > host->nr_pages ||
	    page / GCARENA_CHUNK_PAGES != (page + npages - 1) / GCARENA_CHUNK_PAGES)
		host_wrong(host, "%s: range %u+%u", what, page, npages);
}

static int host_back_at(struct test_host *host, enum host_site site, u32 page, u32 npages,
			int node)
{
	u32 chunk = page / GCARENA_CHUNK_PAGES;
	u32 i;

	host_check_range(host, "back", page, npages);
	host->last_page[site] = page;
	host->last_npages[site] = npages;
	if (npages != GCARENA_CHUNK_PAGES)
		host_wrong(host, "back: %u pages", npages);
	for (i = 2 * page; i < 2 * (page + npages); i++)
		if (host->present[i])
			host_wrong(host, "back: page %u is present", i / 2);
	if (host->hook)
		host->hook(host, site);
	if (host_fails(host, site))
		return -ENOMEM;
	memset(&host->present[2 * page], true, 2 * npages);
	memset(&host->dirty[page], false, npages);
	host->small[chunk] = host->back_small;
	host->node[chunk] = max(node, 0);
	if (host->stray_percent && host->random() % 100 < host->stray_percent)
		host->node[chunk] = host->random() % host->nodes;
	return host->back_small;
}

static int host_fill(void *arg, u32 chunk, const u64 *halves, int node)
{
	struct test_host *host = arg;
	u32 first = chunk * GCA_CHUNK_HALVES;
	u32 i;

	if (chunk >= host->nr_chunks || !gca_map_count(halves, 0, GCA_CHUNK_HALVES))
		host_wrong(host, "fill: chunk %u, map", chunk);
	host->last_page[SITE_BACK] = (first + gca_map_next(halves, GCA_CHUNK_HALVES, 0)) / 2;
	host->last_npages[SITE_BACK] = gca_map_count(halves, 0, GCA_CHUNK_HALVES) / 2;
	for (i = 0; i < GCA_CHUNK_HALVES; i++)
		if (gca_map_test(halves, i) && host->present[first + i])
			host_wrong(host, "fill: half %u is present", first + i);
	if (host->hook)
		host->hook(host, SITE_BACK);
	if (host_fails(host, SITE_BACK))
		return -ENOMEM;
	for (i = 0; i < GCA_CHUNK_HALVES; i++)
		host->present[first + i] |= gca_map_test(halves, i);
	return 0;
}

static int host_back(void *arg, u32 page, u32 npages, int node)
{
	return host_back_at(arg, SITE_BACK, page, npages, node);
}

static int host_back_ahead(void *arg, u32 page, u32 npages, int node)
{
	if (npages != GCARENA_CHUNK_PAGES)
		host_wrong(arg, "back_ahead: %u pages", npages);
	return host_back_at(arg, SITE_AHEAD, page, npages, node);
}

static u64 host_now(void *arg)
{
	return ((struct test_host *)arg)->now;
}

static void host_pressure(void *arg)
{
	((struct test_host *)arg)->pressed++;
}

static u64 host_release(void *arg, u32 chunk, const u64 *going, u64 *kept)
{
	struct test_host *host = arg;
	u32 first = chunk * GCARENA_CHUNK_PAGES;
	bool removed = false;
	bool whole = true;
	u64 bytes = 0;
	u32 i;

	if (chunk >= host->nr_chunks || !gca_map_count(going, 0, GCA_CHUNK_HALVES) ||
	    gca_map_count(kept, 0, GCA_CHUNK_HALVES))
		host_wrong(host, "release: chunk %u, maps", chunk);
	host->last_page[SITE_RELEASE] = first + gca_map_next(going, GCA_CHUNK_HALVES, 0) / 2;
	host->last_npages[SITE_RELEASE] = gca_map_count(going, 0, GCA_CHUNK_HALVES) / 2;
	if (host->hook)
		host->hook(host, SITE_RELEASE);
	host_fails(host, SITE_RELEASE);
	for (i = 0; i < GCA_CHUNK_HALVES; i++) {
		u32 page = first + i / 2;
		u32 half = 2 * first + i;
		bool in_use = host->in_use && host->in_use(host, page);

		if (!gca_map_test(going, i)) {
			whole = false;
			continue;
		}
		if (in_use && !(host->may_go && host->may_go(host, half)))
			host_wrong(host, "release: half %u is in use", half);
		if (host->present[half] && host->keep_percent &&
		    host->random() % 100 < host->keep_percent) {
			gca_map_set(kept, i, 1);
			host->hands[page] |= host->keep_in_hands && !in_use;
			whole = false;
			continue;
		}
		if (host->present[half] &&
		    (!host->lost_percent || host->random() % 100 >= host->lost_percent))
			bytes += 1U << GCA_HALF_SHIFT;
		host->present[half] = false;
		removed = true;
	}
	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		u32 page = first + i;

		if (!gca_map_test(going, 2 * i) || !gca_map_test(going, 2 * i + 1) ||
		    host->present[2 * page] || host->present[2 * page + 1])
			continue;
		host->hands[page] = false;
		if (!host->in_use || !host->in_use(host, page))
			host->dirty[page] = false;
	}
	if (removed)
		host->small[chunk] = !whole;
	host->released += bytes;
	return bytes;
}

/* Reclaim, as the host does it: take up an idle chunk, keep some of its pages. */
__attribute__((unused))
static bool host_shrink(struct test_host *host, u32 chunk, u32 keep_percent)
{
	u32 first = chunk * GCARENA_CHUNK_PAGES;
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};
	bool removed = false;
	bool left = false;
	u64 bytes = 0;
	u32 i;

	if (!host->idle[chunk])
		host_wrong(host, "shrink: chunk %u is not idle", chunk);
	if (!gca_core_shrink_begin(host->core, chunk))
		return false;
	host->idle[chunk] = false;
	if (host->hook)
		host->hook(host, SITE_RELEASE);
	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		if (host->in_use && host->in_use(host, first + i))
			host_wrong(host, "shrink: page %u is in use", first + i);
		if (!host->present[2 * (first + i)] && !host->present[2 * (first + i) + 1]) {
			host->dirty[first + i] = false;
			continue;
		}
		if (keep_percent && host->random() % 100 < keep_percent) {
			gca_map_set(kept, i, 1);
			host->hands[first + i] |= host->keep_in_hands;
			left = true;
			continue;
		}
		bytes += ((u64)host->present[2 * (first + i)] +
			  host->present[2 * (first + i) + 1]) << GCA_HALF_SHIFT;
		memset(&host->present[2 * (first + i)], false, 2);
		host->dirty[first + i] = false;
		host->hands[first + i] = false;
		removed = true;
	}
	if (removed || !left)
		host->small[chunk] = left;
	host->shrunk += bytes;
	host->shrinks++;
	gca_core_shrink_end(host->core, chunk, kept, bytes);
	return true;
}

static bool host_held(void *arg, u32 chunk)
{
	struct test_host *host = arg;
	u32 i;

	for (i = 0; i < GCARENA_CHUNK_PAGES; i++)
		if (host->hands[chunk * GCARENA_CHUNK_PAGES + i])
			return true;
	return false;
}

static int host_node(void *arg, u32 chunk)
{
	return ((struct test_host *)arg)->node[chunk];
}

static int host_caller_node(void *arg)
{
	return ((struct test_host *)arg)->caller;
}

static bool host_node_valid(void *arg, int node)
{
	return node < ((struct test_host *)arg)->nodes;
}

static void *host_meta_alloc(void *arg, size_t size)
{
	struct test_host *host = arg;

	if (host->hook)
		host->hook(host, SITE_META_ALLOC);
	if (host_fails(host, SITE_META_ALLOC))
		return NULL;
	host->meta_bytes += size;
	return calloc(1, size);
}

static void host_meta_free(void *arg, void *mem, size_t size)
{
	struct test_host *host = arg;

	if (size > host->meta_bytes)
		host_wrong(host, "meta_free: more than was allocated");
	host->meta_bytes -= size;
	free(mem);
}

static long host_meta_back(void *arg, u32 chunk)
{
	struct test_host *host = arg;

	if (chunk >= host->nr_chunks)
		host_wrong(host, "meta_back: chunk %u", chunk);
	if (host->meta[chunk])
		host_wrong(host, "meta_back: chunk %u again", chunk);
	if (host->hook)
		host->hook(host, SITE_META_BACK);
	if (host_fails(host, SITE_META_BACK))
		return -ENOMEM;
	host->meta[chunk] = true;
	return 36864;
}

static void host_chunk_idle(void *arg, struct gca_chunk *chunk)
{
	struct test_host *host = arg;
	u32 index = chunk->index;

	if (host->idle[index])
		host_wrong(host, "chunk_idle: chunk %u twice", index);
	host->idle[index] = true;
}

static void host_chunk_busy(void *arg, struct gca_chunk *chunk)
{
	struct test_host *host = arg;
	u32 index = chunk->index;

	if (!host->idle[index])
		host_wrong(host, "chunk_busy: chunk %u was not idle", index);
	host->idle[index] = false;
}

static int host_collapse(void *arg, u32 chunk)
{
	struct test_host *host = arg;

	if (host->hook)
		host->hook(host, SITE_COLLAPSE);
	if (host_fails(host, SITE_COLLAPSE))
		return -EAGAIN;
	memset(&host->present[chunk * GCA_CHUNK_HALVES], true, GCA_CHUNK_HALVES);
	host->small[chunk] = false;
	return 0;
}

static void host_filled(void *arg, u32 chunk)
{
	struct test_host *host = arg;
	u32 i;

	for (i = 0; i < GCA_CHUNK_HALVES; i++)
		if (!host->present[chunk * GCA_CHUNK_HALVES + i])
			host_wrong(host, "filled: half %u of chunk %u is not", i, chunk);
}

static void host_wake_worker(void *arg)
{
	((struct test_host *)arg)->woken++;
}

static void host_sweep_done(void *arg)
{
	((struct test_host *)arg)->done++;
}

static int host_transit_wait(void *arg, u32 sequence)
{
	struct test_host *host = arg;

	if (host->wait)
		return host->wait(host, sequence);
	host_wrong(host, "transit_wait: nobody to wait for");
	return -EINTR;
}

static void host_transit_wake(void *arg)
{
	((struct test_host *)arg)->wakes_transit++;
}

static const struct gca_host_ops host_ops = {
	.back = host_back,
	.fill = host_fill,
	.release = host_release,
	.meta_alloc = host_meta_alloc,
	.meta_free = host_meta_free,
	.meta_back = host_meta_back,
	.chunk_idle = host_chunk_idle,
	.chunk_busy = host_chunk_busy,
	.collapse = host_collapse,
	.filled = host_filled,
	.wake_worker = host_wake_worker,
	.sweep_done = host_sweep_done,
	.transit_wait = host_transit_wait,
	.transit_wake = host_transit_wake,
	.back_ahead = host_back_ahead,
	.now = host_now,
	.pressure = host_pressure,
	.held = host_held,
	.node = host_node,
	.caller_node = host_caller_node,
	.node_valid = host_node_valid,
};

static u32 host_zero(void)
{
	return 0;
}

__attribute__((unused))
static void host_init(struct test_host *host, u32 nr_chunks)
{
	memset(host, 0, sizeof(*host));
	host->nr_chunks = nr_chunks;
	host->nr_pages = nr_chunks * GCARENA_CHUNK_PAGES;
	host->tables.spans = calloc(host->nr_pages, sizeof(struct gcarena_row));
	host->tables.bitmap[0] = calloc(host->nr_pages, GCARENA_LINE_SIZE);
	host->tables.bitmap[1] = calloc(host->nr_pages, GCARENA_LINE_SIZE);
	host->tables.status = calloc(1, sizeof(struct gcarena_status));
	host->present = calloc(2 * host->nr_pages, sizeof(bool));
	host->dirty = calloc(host->nr_pages, sizeof(bool));
	host->small = calloc(nr_chunks, sizeof(bool));
	host->meta = calloc(nr_chunks, sizeof(bool));
	host->idle = calloc(nr_chunks, sizeof(bool));
	host->hands = calloc(host->nr_pages, sizeof(bool));
	host->node = calloc(nr_chunks, sizeof(int));
	host->nodes = 1;
	host->caller = GCA_NODE_ANY;
	host->random = host_zero;
}

/* After gca_core_destroy(): nothing of the core's memory is left. */
__attribute__((unused))
static void host_exit(struct test_host *host)
{
	if (host->meta_bytes)
		host_wrong(host, "%llu bytes of metadata leaked", host->meta_bytes);
	free(host->tables.spans);
	free(host->tables.bitmap[0]);
	free(host->tables.bitmap[1]);
	free(host->tables.status);
	free(host->present);
	free(host->dirty);
	free(host->small);
	free(host->meta);
	free(host->idle);
	free(host->hands);
	free(host->node);
}

/* A host of @chunks and its core; NULL where the core refuses. */
__attribute__((unused))
static struct gca_core *host_begin(struct test_host *host, u32 chunks,
				   const struct gcarena_class *classes, u32 nr_classes,
				   const struct gcarena_policy *policy)
{
	host_init(host, chunks);
	if (gca_core_create(&host_ops, host, (u64)chunks * GCARENA_CHUNK_SIZE, classes, nr_classes,
			    policy, &host->core))
		return NULL;
	return host->core;
}

/* The end of both; was the core valid, the host content, and nothing leaked? */
__attribute__((unused))
static bool host_end(struct test_host *host)
{
	int valid = gca_core_validate(host->core);

	gca_core_destroy(host->core);
	host_exit(host);
	return !valid && !host->wrong;
}

__attribute__((unused))
static struct gcarena_counters host_counters(struct test_host *host)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };

	gca_core_stats(host->core, &stats);
	return stats.counters;
}

/* What libFuzzer calls, and fuzz.c by itself. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#endif /* TESTHOST_H */
