// SPDX-License-Identifier: MIT
/*
 * Profiles as files: what was sampled, scaled to what it stands for.
 *
 * An object of s bytes was a sample with probability 1 - exp(-s / rate), so each sample
 * stands for the reciprocal of that many.  The buckets are copied with the lock held,
 * which is short, and looked up, encoded and written without it: all of it by a thread
 * that is blocked to the collector, since it calls malloc() and the file may be slow.
 */
#include "internal.h"
#include "endpoint.h"
#include "pprof.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct copy {
	char *memory;
	size_t bytes;		/* of copies, end to end */
	uint64_t rate;
	uint64_t begun_ns;
	uint64_t lost;
	bool settled;
};

static size_t bucket_bytes(const struct profile_bucket *bucket)
{
	return sizeof(*bucket) + bucket->depth * sizeof(bucket->pcs[0]);
}

/* Lock held: false if @room is not enough; @copy->bytes is what would have been. */
static bool copy_table(struct copy *copy, const struct profile_table *table, size_t room)
{
	const struct profile_bucket *bucket;
	size_t i;

	copy->bytes = 0;
	for (i = 0; i < table->size; i++) {
		for (bucket = table->slots[i]; bucket; bucket = bucket->next) {
			size_t bytes = bucket_bytes(bucket);

			if (copy->bytes + bytes <= room)
				memcpy(copy->memory + copy->bytes, bucket, bytes);
			copy->bytes += bytes;
		}
	}
	return copy->bytes <= room;
}

static int take_copy(struct gca_heap *heap, bool waits, struct copy *copy)
{
	struct profile *profile = &heap->profile;
	size_t room = 0;
	bool enough;

	for (;;) {
		pthread_mutex_lock(&profile->lock);
		copy->rate = waits ? profile->wait_rate : profile->rate;
		copy->begun_ns = profile->begun_ns;
		copy->lost = profile->lost;
		copy->settled = profile->settled;
		enough = copy_table(copy, waits ? &profile->waits : &profile->sites, room);
		pthread_mutex_unlock(&profile->lock);
		if (enough)
			return 0;
		/* A quarter more, for what comes meanwhile. */
		room = copy->bytes + copy->bytes / 4;
		free(copy->memory);
		copy->memory = malloc(room);
		if (!copy->memory)
			return -ENOMEM;
	}
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

static void put_samples(struct pprof *pprof, const struct copy *copy, bool waits)
{
	const struct profile_bucket *bucket;
	size_t at;

	for (at = 0; at < copy->bytes; at += bucket_bytes(bucket)) {
		bucket = (const struct profile_bucket *)(copy->memory + at);
		if (waits)
			put_wait_sample(pprof, bucket);
		else
			put_heap_sample(pprof, copy, bucket);
	}
}

static int write_copy(const struct copy *copy, bool waits, int fd)
{
	struct pprof pprof;
	int error = pprof_begin(&pprof);

	if (error)
		return error;
	if (waits) {
		pprof_value_type(&pprof, "contentions", "count");
		pprof_value_type(&pprof, "delay", "nanoseconds");
		pprof_period(&pprof, "delay", "nanoseconds", copy->rate);
	} else {
		pprof_value_type(&pprof, "alloc_objects", "count");
		pprof_value_type(&pprof, "alloc_space", "bytes");
		pprof_value_type(&pprof, "inuse_objects", "count");
		pprof_value_type(&pprof, "inuse_space", "bytes");
		pprof_period(&pprof, "space", "bytes", copy->rate);
		pprof_default(&pprof, "inuse_space");
		if (!copy->settled)
			pprof_comment(&pprof, "no cycle has ended: all allocations are in use");
	}
	put_samples(&pprof, copy, waits);
	if (copy->lost)
		pprof_comment(&pprof, "samples were lost: there was no memory for them");
	return pprof_end(&pprof, copy->begun_ns, fd);
}

static int write_profile(struct gca_heap *heap, bool waits, int fd)
{
	UNCANCELLED();
	struct gca_mutator *mutator;
	struct copy copy = { 0 };
	int error = heap_usable(heap);

	if (error)
		return error;
	if (fd < 0)
		return error_set(-EBADF, "profile: no file descriptor");
	mutator = mutator_self(heap);
	blocked_enter(mutator);
	error = take_copy(heap, waits, &copy);
	if (!error)
		error = write_copy(&copy, waits, fd);
	free(copy.memory);
	blocked_leave(mutator);
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
	RUNTIME();
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
	RUNTIME();
	return write_profile(heap, true, fd);
}

/**
 * endpoint_profile - what the endpoint says to who asks for a profile
 * @heap: the heap
 * @args: "heap" or "wait"
 * @out: the file goes there
 *
 * Return: 0 or a negative errno with gca_error() set.
 */
int endpoint_profile(struct gca_heap *heap, const char *args, FILE *out)
{
	bool waits = !strcmp(args, "wait");
	char bytes[4096];
	ssize_t got;
	int fd, error;

	if (!waits && strcmp(args, "heap"))
		return error_set(-EINVAL, "'%s' is no profile: heap, wait", args);
	fd = memfd_create("profile", MFD_CLOEXEC);
	if (fd < 0)
		return error_set(-errno, "profile: %s", strerror(errno));
	error = write_profile(heap, waits, fd);
	if (!error && lseek(fd, 0, SEEK_SET) < 0)
		error = error_set(-errno, "profile: %s", strerror(errno));
	while (!error && (got = read(fd, bytes, sizeof(bytes)))) {
		if (got < 0)
			error = error_set(-errno, "profile: %s", strerror(errno));
		else
			fwrite(bytes, 1, (size_t)got, out);
	}
	close(fd);
	return error;
}
