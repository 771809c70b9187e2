// SPDX-License-Identifier: MIT
/*
 * The device backend: an arena behind /dev/gcarena.
 *
 * Every operation is one ioctl with the uapi's own structure.  The descriptor is
 * kept, close-on-exec: with it goes the arena's name in the process, while the
 * arena itself lives and dies with the address space that set it up.  Calls may
 * sleep and may be interrupted; an interrupted one did nothing and is repeated.
 */
#include "internal.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define DEFAULT_PATH	"/dev/gcarena"
/* A lost wake-up must not hang a program: the sweep is asked about again. */
#define SWEEP_POLL_MS	50

struct device {
	int fd;
	void *rows;
	size_t rows_size;
	void *bitmaps;
	size_t bitmaps_size;
	void *status;
	size_t status_size;
};

static int call(struct gca_heap *heap, unsigned long request, void *args)
{
	const struct device *device = heap->backend;

	while (ioctl(device->fd, request, args) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static void unmap(void *start, size_t size)
{
	if (start && start != MAP_FAILED)
		munmap(start, size);
}

static void device_close(struct gca_heap *heap)
{
	struct device *device = heap->backend;

	/* A child has other mappings there, if any. */
	if (!heap->forked) {
		unmap((void *)heap->base, heap->size);
		unmap(device->rows, device->rows_size);
		unmap(device->bitmaps, device->bitmaps_size);
		unmap(device->status, device->status_size);
	}
	if (device->fd >= 0)
		close(device->fd);
	free(device);
	heap->backend = NULL;
	heap->base = 0;
}

static int device_refill(struct gca_heap *heap, struct gcarena_refill *args)
{
	return call(heap, GCARENA_IOC_REFILL, args);
}

static int device_give_back(struct gca_heap *heap, struct gcarena_return *args)
{
	return call(heap, GCARENA_IOC_RETURN, args);
}

static int device_start_sweep(struct gca_heap *heap, struct gcarena_sweep *args)
{
	return call(heap, GCARENA_IOC_START_SWEEP, args);
}

static int device_sweep_assist(struct gca_heap *heap, struct gcarena_sweep *args)
{
	return call(heap, GCARENA_IOC_SWEEP_ASSIST, args);
}

static int device_scavenge(struct gca_heap *heap, struct gcarena_scavenge *args)
{
	return call(heap, GCARENA_IOC_SCAVENGE, args);
}

static int device_collapse(struct gca_heap *heap, struct gcarena_collapse *args)
{
	const uint32_t *chunks = (const uint32_t *)(uintptr_t)args->chunks;
	uint32_t nr = args->nr_chunks;
	int error;

	args->flags = GCARENA_COLLAPSE_BEGIN;
	error = call(heap, GCARENA_IOC_COLLAPSE, args);
	if (error)
		return error;
	for (uint32_t i = 0; i < nr; i++)
		madvise((void *)(heap->base + ((uintptr_t)chunks[i] << GCARENA_CHUNK_SHIFT)),
			GCARENA_CHUNK_SIZE, MADV_COLLAPSE);
	/* What became of them the arena sees for itself. */
	args->flags = 0;
	return call(heap, GCARENA_IOC_COLLAPSE, args);
}

/* Letters of a page's state, in use and free. */
static int device_chunk_map(struct gca_heap *heap, uint32_t chunk, char map[GCARENA_CHUNK_PAGES])
{
	static const char letters[2][5] = { ".shw", "-SHW" };
	struct gcarena_run runs[GCARENA_CHUNK_PAGES];
	struct gcarena_residency args = {
		.size = sizeof(args),
		.page = chunk * GCARENA_CHUNK_PAGES,
		.npages = GCARENA_CHUNK_PAGES,
		.runs = (uintptr_t)runs,
		.nr_runs = ARRAY_SIZE(runs),
	};
	int error = call(heap, GCARENA_IOC_RESIDENCY, &args);
	uint32_t i, page;

	if (error)
		return error;
	memset(map, '.', GCARENA_CHUNK_PAGES);
	for (i = 0; i < args.nr_runs; i++)
		for (page = 0; page < runs[i].npages; page++)
			map[(runs[i].page + page) % GCARENA_CHUNK_PAGES] =
				letters[!!runs[i].in_use][runs[i].state & 3];
	return 0;
}

static int device_set_policy(struct gca_heap *heap, const struct gcarena_policy *policy)
{
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)policy,
	};

	return call(heap, GCARENA_IOC_POLICY, &args);
}

static int device_stats(struct gca_heap *heap, struct gcarena_stats *stats)
{
	stats->size = sizeof(*stats);
	stats->flags = 0;
	return call(heap, GCARENA_IOC_STATS, stats);
}

static int device_wait_sweep(struct gca_heap *heap)
{
	UNCANCELLED();
	const struct device *device = heap->backend;

	for (;;) {
		struct pollfd pollfd = { .fd = device->fd, .events = POLLIN };
		struct gcarena_stats stats = { 0 };
		int error = device_stats(heap, &stats);	/* re-arms poll */

		if (error)
			return error;
		if (!stats.sweeping)
			return 0;
		if (poll(&pollfd, 1, SWEEP_POLL_MS) < 0 && errno != EINTR)
			return -errno;
		if (pollfd.revents & (POLLERR | POLLHUP | POLLNVAL))
			return -EIO;
	}
}

static const struct backend_ops device_ops = {
	.name = "device",
	.close = device_close,
	.refill = device_refill,
	.give_back = device_give_back,
	.start_sweep = device_start_sweep,
	.sweep_assist = device_sweep_assist,
	.scavenge = device_scavenge,
	.set_policy = device_set_policy,
	.collapse = device_collapse,
	.stats = device_stats,
	.wait_sweep = device_wait_sweep,
	.chunk_map = device_chunk_map,
};

/* What this library was compiled with must be what the module speaks. */
static int check_features(struct gca_heap *heap, const char *path,
			  const struct gcarena_setup *setup)
{
	struct gcarena_features features = { .size = sizeof(features) };
	int error = call(heap, GCARENA_IOC_FEATURES, &features);

	if (error == -ENOTTY)
		return error_set(-ENODEV, "%s is not a gcarena device", path);
	if (error)
		return error_set(error, "%s: query of features: %s", path, strerror(-error));
	if (setup->heap_size > features.heap_size_max)
		return error_set(-EINVAL, "%s: a heap of %llu bytes, but at most %llu", path,
				 (unsigned long long)setup->heap_size,
				 (unsigned long long)features.heap_size_max);
	if (setup->nr_classes > features.classes_max)
		return error_set(-ENODEV, "%s: takes %u span classes, %u are needed", path,
				 features.classes_max, setup->nr_classes);
	heap->has_reserve = features.features & GCARENA_FEATURE_RESERVE;
	heap->has_sticky = features.features & GCARENA_FEATURE_STICKY;
	heap->has_inside = features.features & GCARENA_FEATURE_INSIDE;
	return 0;
}

static int map_region(struct gca_heap *heap, const char *path, const char *what, uint64_t offset,
		      size_t size, int prot, void **out)
{
	const struct device *device = heap->backend;
	int error;

	*out = mmap(NULL, size, prot, MAP_SHARED, device->fd, (off_t)offset);
	if (*out != MAP_FAILED)
		return 0;
	error = -errno;
	return error_set(error, "%s: mapping the %s (%zu bytes): %s", path, what, size,
			 strerror(-error));
}

static int map_regions(struct gca_heap *heap, const char *path, const struct gcarena_setup *setup)
{
	struct device *device = heap->backend;
	void *base;
	int error;

	device->rows_size = setup->spans_size;
	device->bitmaps_size = setup->bitmap_size * 2;
	device->status_size = setup->status_size;
	error = map_region(heap, path, "heap", GCARENA_OFF_HEAP, setup->heap_size,
			   PROT_READ | PROT_WRITE, &base);
	if (error)
		return error;
	heap->base = (uintptr_t)base;
	/* A hint for faults; the device populates huge pages in any case. */
	madvise(base, setup->heap_size, MADV_HUGEPAGE);
	error = map_region(heap, path, "span table", setup->spans_offset, device->rows_size,
			   PROT_READ, &device->rows);
	if (!error)
		error = map_region(heap, path, "bitmaps", setup->bitmaps_offset,
				   device->bitmaps_size, PROT_READ | PROT_WRITE, &device->bitmaps);
	if (!error)
		error = map_region(heap, path, "status page", setup->status_offset,
				   device->status_size, PROT_READ, &device->status);
	if (error)
		return error;
	heap->rows = device->rows;
	heap->bitmap[0] = device->bitmaps;
	heap->bitmap[1] = heap->bitmap[0] + setup->bitmap_size / sizeof(uint64_t);
	heap->status = device->status;
	return 0;
}

/**
 * backend_device_open - set up an arena of the device for @heap
 * @heap: its size is set; on success everything that a backend fills
 * @path: of the device, or NULL
 * @setup: size, classes and policy
 *
 * Return: 0; -ENODEV: no such device, or one that is not ours or too old;
 * -EACCES, -EPERM: not permitted; -EINVAL, -ENOMEM.  gca_error() says more.
 */
int backend_device_open(struct gca_heap *heap, const char *path,
			const struct gcarena_setup *setup)
{
	struct gcarena_setup args = *setup;
	struct device *device;
	int error;

	if (!path)
		path = DEFAULT_PATH;
	device = calloc(1, sizeof(*device));
	if (!device)
		return error_set(-ENOMEM, "no memory for the device backend");
	heap->backend = device;
	device->fd = open(path, O_RDWR | O_CLOEXEC);
	if (device->fd < 0) {
		error = -errno;
		error_set(error, "%s: %s", path, strerror(-error));
		if (error == -ENOENT || error == -ENXIO || error == -ENOTDIR)
			error = -ENODEV;
		goto fail;
	}
	error = check_features(heap, path, setup);
	if (error)
		goto fail;
	error = call(heap, GCARENA_IOC_SETUP, &args);
	if (error) {
		error_set(error, "%s: set-up of %llu bytes: %s", path,
			  (unsigned long long)setup->heap_size, strerror(-error));
		goto fail;
	}
	error = map_regions(heap, path, &args);
	if (error)
		goto fail;
	heap->arena = args.id;
	heap->ops = &device_ops;
	heap->backend_kind = GCA_BACKEND_DEVICE;
	return 0;
fail:
	device_close(heap);
	return error;
}
