// SPDX-License-Identifier: MIT
/*
 * Looking: what it costs to learn the physical state of a heap, by the arena's
 * residency call and by PAGEMAP_SCAN of a memfd, each over the same pattern of
 * huge pages, base pages and holes.
 */
#include "bench.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#endif

#define CHUNKS	32
#define SIZE	(CHUNKS * GCARENA_CHUNK_SIZE)
#define RUNS	4096

/* As the kernel's <linux/fs.h> has them since 6.7. */
struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

struct scan_region {
	uint64_t start, end, categories;
};

#define SCAN		_IOWR('f', 16, struct scan_arg)
#define SCAN_PRESENT	(1ULL << 3)
#define SCAN_SWAPPED	(1ULL << 4)
#define SCAN_HUGE	(1ULL << 6)

static struct bench_arena arena;
static struct gcarena_span spans[CHUNKS];
static struct gcarena_run runs[RUNS];
static struct scan_region regions[RUNS];
static char *map;
static int pagemap;

static void residency(void *arg)
{
	struct gcarena_residency args = {
		.size = sizeof(args),
		.npages = SIZE >> GCARENA_PAGE_SHIFT,
		.runs = (uintptr_t)runs,
		.nr_runs = RUNS,
	};

	if (ioctl(arena.fd, GCARENA_IOC_RESIDENCY, &args) || args.npages)
		bench_die("residency");
}

/* The vector may fill up before the end: then again from there. */
static void scan(void *arg)
{
	struct scan_arg args = {
		.size = sizeof(args),
		.start = (uintptr_t)map,
		.end = (uintptr_t)map + SIZE,
		.vec = (uintptr_t)regions,
		.vec_len = RUNS,
		.return_mask = SCAN_PRESENT | SCAN_SWAPPED | SCAN_HUGE,
	};

	while (args.start < args.end) {
		if (ioctl(pagemap, SCAN, &args) < 0 || args.walk_end <= args.start)
			bench_die("PAGEMAP_SCAN");
		args.start = args.walk_end;
	}
}

static void make_holes(char *at)
{
	/* Every fourth chunk: each other 8 KiB of it. */
	for (int i = 0; i < CHUNKS; i += 4)
		for (unsigned int p = 0; p < GCARENA_CHUNK_PAGES; p += 2)
			if (madvise(at + i * GCARENA_CHUNK_SIZE + p * GCARENA_PAGE_SIZE,
				    GCARENA_PAGE_SIZE, MADV_REMOVE))
				bench_die("MADV_REMOVE");
}

static const struct bench huge[] = {
	{ "arena", "residency, all huge", "chunk", CHUNKS, NULL, residency, NULL },
	{ "memfd", "PAGEMAP_SCAN, all huge", "chunk", CHUNKS, NULL, scan, NULL },
};

static const struct bench holes[] = {
	{ "arena", "residency, a quarter in holes", "chunk", CHUNKS, NULL, residency, NULL },
	{ "memfd", "PAGEMAP_SCAN, a quarter in holes", "chunk", CHUNKS, NULL, scan, NULL },
};

static void compare(const struct bench both[2], const char *claim)
{
	struct scan_arg probe = { .size = sizeof(probe) };
	double ours = bench_row(&both[0], NULL);

	if (ioctl(pagemap, SCAN, &probe) < 0 && errno == ENOTTY) {
		printf("note\tno PAGEMAP_SCAN in this kernel\n");
		return;
	}
	bench_ratio(claim, ours, bench_row(&both[1], NULL), 2);
}

int main(void)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE))
		bench_die("memfd");
	map = bench_map(SIZE, MAP_SHARED, fd);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bench_open(&arena, SIZE, NULL);
	if (bench_refill(&arena, BENCH_LARGE, GCARENA_CHUNK_PAGES, spans, CHUNKS) != CHUNKS)
		bench_die("%d chunks wanted", CHUNKS);
	for (uint64_t at = 0; at < SIZE; at += GCARENA_CHUNK_SIZE) {
		arena.heap[at] = 1;
		map[at] = 1;
	}
	compare(huge, "residency / PAGEMAP_SCAN, all huge");
	make_holes(arena.heap);
	make_holes(map);
	/* What is left is mapped again, or PAGEMAP_SCAN would not see it. */
	madvise(map, SIZE, MADV_POPULATE_READ);
	make_holes(map);
	compare(holes, "residency / PAGEMAP_SCAN, a quarter in holes");
	bench_close(&arena);
	return 0;
}
