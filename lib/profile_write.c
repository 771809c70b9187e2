// SPDX-License-Identifier: MIT
/*
 * Profiles as files: what was sampled, scaled to what it stands for.
 *
 * An object of s bytes was a sample with probability 1 - exp(-s / rate), so each sample
 * stands for the reciprocal of that many.  The buckets are copied with the lock held,
 * which is short, and looked up, encoded and written without it.
 */
#include "internal.h"
#include "pprof.h"

#include <math.h>
#include <stdlib.h>

struct copy {
	struct profile_bucket **buckets; /* copies */
	size_t nr;
	uint64_t rate;
	uint64_t begun_ns;
	uint64_t lost;
	bool settled;
};

static void copy_free(struct copy *copy)
{
	size_t i;

	for (i = 0; i < copy->nr; i++)
		free(copy->buckets[i]);
	free(copy->buckets);
}

/* Lock held. */
static int copy_table(struct copy *copy, const struct profile_table *table)
{
	const struct profile_bucket *bucket;
	size_t i, bytes;

	copy->buckets = calloc(table->nr ? table->nr : 1, sizeof(*copy->buckets));
	if (!copy->buckets)
		return -ENOMEM;
	for (i = 0; i < table->size; i++) {
		for (bucket = table->slots[i]; bucket; bucket = bucket->next) {
			bytes = sizeof(*bucket) + bucket->depth * sizeof(bucket->pcs[0]);
			copy->buckets[copy->nr] = malloc(bytes);
			if (!copy->buckets[copy->nr])
				return -ENOMEM;
			memcpy(copy->buckets[copy->nr++], bucket, bytes);
		}
	}
	return 0;
}

static int take_copy(struct gca_heap *heap, bool waits, struct copy *copy)
{
	struct profile *profile = &heap->profile;
	int error;

	pthread_mutex_lock(&profile->lock);
	copy->rate = waits ? profile->wait_rate : profile->rate;
	copy->begun_ns = profile->begun_ns;
	copy->lost = profile->lost;
	copy->settled = profile->settled;
	error = copy_table(copy, waits ? &profile->waits : &profile->sites);
	pthread_mutex_unlock(&profile->lock);
	return error;
}

static void put_heap_sample(struct pprof *pprof, const struct copy *copy,
			    const struct profile_bucket *bucket)
{
	uint64_t allocs = copy->settled ? bucket->settled_allocs : bucket->allocs;
	uint64_t frees = copy->settled ? bucket->settled_frees : bucket->frees;
	double size = (double)bucket->tag, scale = 1;
	struct pprof_label label = { "bytes", NULL, (int64_t)bucket->tag, "bytes" };
	int64_t values[4];

	if (!allocs)
		return;
	if (copy->rate > 1)
		scale = -1 / expm1(-size / (double)copy->rate);
	values[0] = llround((double)allocs * scale);
	values[1] = llround((double)allocs * scale * size);
	values[2] = llround((double)(allocs - frees) * scale);
	values[3] = llround((double)(allocs - frees) * scale * size);
	pprof_sample(pprof, bucket->pcs, bucket->depth, values, ARRAY_SIZE(values), &label);
}

static void put_wait_sample(struct pprof *pprof, const struct profile_bucket *bucket)
{
	static const char *const causes[ACCOUNT_STATES] = {
		[ACCOUNT_ASSIST] = "assist",
		[ACCOUNT_STALL] = "stall",
		[ACCOUNT_GATE] = "gate",
		[ACCOUNT_HANDSHAKE] = "handshake",
		[ACCOUNT_REFILL] = "refill",
	};
	struct pprof_label label = { "cause", causes[bucket->tag], 0, NULL };
	int64_t values[2] = { llround(bucket->waits), llround(bucket->wait_ns) };

	pprof_sample(pprof, bucket->pcs, bucket->depth, values, ARRAY_SIZE(values), &label);
}

static int write_profile(struct gca_heap *heap, bool waits, int fd)
{
	struct copy copy = { 0 };
	struct pprof pprof;
	size_t i;
	int error = heap_usable(heap);

	if (error)
		return error;
	if (fd < 0)
		return error_set(-EBADF, "profile: no file descriptor");
	error = take_copy(heap, waits, &copy);
	if (error)
		goto out;
	error = pprof_begin(&pprof);
	if (error)
		goto out;
	if (waits) {
		pprof_value_type(&pprof, "contentions", "count");
		pprof_value_type(&pprof, "delay", "nanoseconds");
		for (i = 0; i < copy.nr; i++)
			put_wait_sample(&pprof, copy.buckets[i]);
		pprof_period(&pprof, "delay", "nanoseconds", copy.rate);
	} else {
		pprof_value_type(&pprof, "alloc_objects", "count");
		pprof_value_type(&pprof, "alloc_space", "bytes");
		pprof_value_type(&pprof, "inuse_objects", "count");
		pprof_value_type(&pprof, "inuse_space", "bytes");
		for (i = 0; i < copy.nr; i++)
			put_heap_sample(&pprof, &copy, copy.buckets[i]);
		pprof_period(&pprof, "space", "bytes", copy.rate);
		pprof_default(&pprof, "inuse_space");
		if (!copy.settled)
			pprof_comment(&pprof, "no cycle has ended: all allocations are in use");
	}
	if (copy.lost)
		pprof_comment(&pprof, "samples were lost: there was no memory for them");
	error = pprof_end(&pprof, copy.begun_ns, fd);
out:
	copy_free(&copy);
	return error ? error_set(error, "profile: %s", strerror(-error)) : 0;
}

/**
 * gca_profile_heap_write - write where the heap is allocated from
 * @heap: the heap
 * @fd: a file, pipe or socket, open for writing; stays open
 *
 * Return: 0; -EIO when the heap is gone, -ENOMEM, or what write() says.
 */
int gca_profile_heap_write(struct gca_heap *heap, int fd)
{
	return write_profile(heap, false, fd);
}

/**
 * gca_profile_wait_write - write where threads wait for the collector
 * @heap: the heap
 * @fd: as for gca_profile_heap_write()
 *
 * Return: as gca_profile_heap_write().
 */
int gca_profile_wait_write(struct gca_heap *heap, int fd)
{
	return write_profile(heap, true, fd);
}
