// SPDX-License-Identifier: MIT
/*
 * Profiles: every object at rate 1, to the byte; the truth within a few per cent at other
 * rates, from samples that the inline path cannot see; what died, what was freed by hand,
 * what is large; stacks without the library's frames; waits.
 *
 * "profile sites FILE" is a program for others to look at: it allocates from places with
 * known names, and prints what is in use from each.
 */
#include "pprof.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>

struct pair;
#define PAIR_FIELDS(F) F(REF, struct pair, a) F(VALS, char, more, 40)
GCA_STRUCT(pair, PAIR_FIELDS);

static char path[64];

static struct profile_read *take_profile(struct gca_heap *heap,
					 int (*write_to)(struct gca_heap *heap, int fd))
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	struct profile_read *read;

	if (fd < 0)
		bail("%s: %s", path, strerror(errno));
	ok(!write_to(heap, fd), "the profile is written: %s", gca_error());
	close(fd);
	read = profile_open_file(path);
	ok(!read->error, "and can be read: %s", read->error ? read->error : "");
	return read;
}

/* Sites.  Each has a name of its own, and its call is no tail call. */
static NOINLINE void *site_kept(struct gca_mutator *m, size_t size)
{
	void *object = must(gca_new_bytes_raw(m, size));

	gca_keepalive(object);
	return object;
}

static NOINLINE void site_dropped(struct gca_mutator *m, size_t size)
{
	gca_keepalive(must(gca_new_bytes_raw(m, size)));
}

static NOINLINE struct pair *site_pair(struct gca_mutator *m)
{
	struct pair *pair = must(gca_new(m, pair));

	gca_keepalive(pair);
	return pair;
}

static NOINLINE void *site_large(struct gca_mutator *m)
{
	void *object = must(gca_new_bytes_raw(m, 100000));

	gca_keepalive(object);
	return object;
}

static NOINLINE bool site_freed(struct gca_mutator *m)
{
	void *object = must(gca_new_bytes(m, 200));

	return gca_free(m, object);
}

static NOINLINE char *site_string(struct gca_mutator *m)
{
	char *string = must(gca_strdup(m, "a string"));

	gca_keepalive(string);
	return string;
}

/* What is counted of an object: its slot, with the byte that nobody may use. */
static size_t slot_of(struct gca_heap *heap, const void *object)
{
	size_t usable = 0;

	gca_object_of(heap, object, &usable);
	return (usable + 15) / 16 * 16;
}

/* Whether a sample's innermost function is one of the library's. */
static bool has_library_leaf(const struct profile_read *read)
{
	size_t i;

	for (i = 0; i < read->nr_samples; i++) {
		uint64_t name = read->name_of[read->function_of[read->samples[i].leaf]];

		if (name < read->nr_strings && read->lengths[name] > 4 &&
		    (!memcmp(read->strings[name], "gca_", 4) ||
		     !memcmp(read->strings[name], "allo", 4) ||
		     !memcmp(read->strings[name], "prof", 4)))
			return true;
	}
	return false;
}

static void test_exact(enum gca_mode mode)
{
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct profile_read *read;
	size_t slot = 0, large = 0, pair = 0;
	unsigned int i, freed = 0;

	eq(gca_profile_set_rate(heap, 1), 512 * KIB, "the rate is half a MiB at first");
	{
		GCA_FRAME(m, f, gca_ref *kept; struct pair *pairs; void *last);
		f.kept = must(gca_new_refs(m, 1001));
		for (i = 0; i < 1000; i++) {
			gca_store(m, &f.kept[i], site_kept(m, 300));
			site_dropped(m, 300);
		}
		for (i = 0; i < 500; i++) {
			struct pair *fresh = site_pair(m);

			gca_init(m, &fresh->a, f.pairs);
			f.pairs = fresh;
		}
		gca_store(m, &f.kept[1000], site_string(m));
		f.last = site_large(m);
		site_large(m);
		slot = slot_of(heap, gca_load(&f.kept[0]));
		large = slot_of(heap, f.last);
		pair = slot_of(heap, f.pairs);
		read = take_profile(heap, gca_profile_heap_write);
		eq(profile_flat(read, "site_dropped", "inuse_objects"), 1000,
		   "before a cycle all is in use");
		eq(profile_flat(read, "site_kept", "alloc_space"), 1000 * slot,
		   "bytes allocated, by slot");
		eq(read->nr_types, 4, "four values");
		eq(read->period, 1, "the period is the rate");
		ok(!has_library_leaf(read), "no stack ends in the library");
		ok(read->nr_mappings > 0 && read->lengths[read->first_file] > 0,
		   "there are mappings");
		profile_done(read);

		gca_collect(m);
		for (i = 0; i < 200; i++)
			freed += site_freed(m);
		diag("%u of 200 came free by hand", freed);
		site_kept(m, 300);	/* after the cycle: not yet counted */
		read = take_profile(heap, gca_profile_heap_write);
		eq(profile_flat(read, "site_kept", "inuse_objects"), 1000, "kept: objects");
		eq(profile_flat(read, "site_kept", "inuse_space"), 1000 * slot, "kept: bytes");
		eq(profile_flat(read, "site_kept", "alloc_objects"), 1000, "kept: as of the cycle");
		eq(profile_flat(read, "site_dropped", "inuse_space"), 0, "dropped: none in use");
		eq(profile_flat(read, "site_dropped", "alloc_objects"), 1000, "dropped: allocated");
		eq(profile_flat(read, "site_pair", "inuse_space"), 500 * pair, "of a kind");
		eq(profile_flat(read, "site_large", "alloc_space"), 2 * large, "large: allocated");
		eq(profile_flat(read, "site_large", "inuse_space"), large, "large: in use");
		eq(profile_flat(read, "site_string", "inuse_objects"), 1, "by way of the API");
		eq(profile_flat(read, NULL, "inuse_space"), stats_of(heap).heap_live,
		   "all sites together are the live heap");
		profile_done(read);
		gca_collect(m);
		read = take_profile(heap, gca_profile_heap_write);
		eq(profile_flat(read, "site_freed", "alloc_objects"), 200, "freed by hand: all");
		eq(profile_flat(read, "site_freed", "inuse_objects"), 0, "and none in use");
		eq(profile_flat(read, NULL, "inuse_space"), stats_of(heap).heap_live,
		   "the live heap again");
		profile_done(read);

		eq(gca_profile_set_rate(heap, 0), 1, "off");
		for (i = 0; i < 1000; i++)
			site_dropped(m, 300);
		gca_collect(m);
		read = take_profile(heap, gca_profile_heap_write);
		eq(read->nr_samples, 0, "off: samples are forgotten, there are no new ones");
		profile_done(read);
		gca_profile_set_rate(heap, 1);
		for (i = 0; i < 100; i++)
			site_dropped(m, 300);
		read = take_profile(heap, gca_profile_heap_write);
		eq(profile_flat(read, "site_dropped", "alloc_objects"), 100, "on again, at once");
		profile_done(read);
	}
	gca_detach(m);
	gca_close(heap);
}

static bool within(int64_t got, int64_t truth, int percent)
{
	return got >= truth - truth * percent / 100 && got <= truth + truth * percent / 100;
}

/* Sizes from 48 to 3000 bytes at a rate that each is a small part of.  Cycles open and
 * close runs at odd places: none of it may change how many samples there are.
 */
static void test_estimates(void)
{
	static const size_t sizes[] = { 48, 200, 900, 3000 };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t each = scaled(40 * MIB), bytes = 0;
	struct profile_read *read;
	struct rng rng = rng_seeded(1);
	struct gca_stats stats;
	int64_t got;

	gca_profile_set_rate(heap, 8 * KIB);
	while (bytes < each) {
		size_t size = sizes[rng_below(&rng, 4)];

		site_dropped(m, size);
		bytes += size;
		if (rng_below(&rng, 2000) == 0)
			gca_collect(m);
	}
	gca_collect(m);
	read = take_profile(heap, gca_profile_heap_write);
	stats = stats_of(heap);
	got = profile_flat(read, "site_dropped", "alloc_space");
	/* 5000 samples: the standard error is 1.4 per cent; a fifth of them, 3.2. */
	ok(within(got, (int64_t)stats.total_alloc, each < 40 * MIB ? 15 : 6),
	   "%lld bytes estimated of %llu", (long long)got, (unsigned long long)stats.total_alloc);
	got = profile_flat(read, "site_dropped", "alloc_objects");
	ok(within(got, (int64_t)stats.mallocs, each < 40 * MIB ? 40 : 12),
	   "%lld objects estimated of %llu", (long long)got, (unsigned long long)stats.mallocs);
	profile_done(read);
	gca_detach(m);
	gca_close(heap);
}

static void *allocates(void *arg)
{
	struct gca_heap *heap = arg;
	struct gca_mutator *m = attach(heap, 0);
	size_t i, n = scaled(40000);

	for (i = 0; i < n; i++) {
		site_dropped(m, 64 + i % 512);
		if (i % 1000 == 0)
			site_freed(m);
	}
	gca_detach(m);
	return NULL;
}

/* Samples from several threads, while cycles settle them and profiles are written. */
static void test_threads(void)
{
	struct gca_heap *heap = open_with(NULL);
	struct gca_mutator *m = attach(heap, 0);
	struct profile_read *read;
	pthread_t threads[3];
	unsigned int i;

	gca_profile_set_rate(heap, 256);
	gca_profile_set_wait_rate(heap, 1000);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, allocates, heap);
	for (i = 0; i < 3; i++) {
		gca_collect(m);
		profile_done(take_profile(heap, gca_profile_heap_write));
	}
	gca_blocking_begin(m);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	gca_blocking_end(m);
	gca_collect(m);
	read = take_profile(heap, gca_profile_wait_write);
	ok(profile_flat(read, NULL, "contentions") > 0, "waits were counted");
	ok(profile_flat(read, NULL, "delay") > 0, "and timed");
	ok(profile_flat(read, "site_dropped", "delay") > 0, "at their site");
	profile_done(read);
	gca_detach(m);
	gca_close(heap);
}

static void test_errors(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	int fd = open("/dev/full", O_WRONLY), pipes[2];

	eq(gca_profile_heap_write(heap, -1), -EBADF, "no file");
	ok(fd < 0 || gca_profile_heap_write(heap, fd) == -ENOSPC, "a full disk: %s", gca_error());
	close(fd);
	if (!pipe(pipes)) {
		close(pipes[0]);
		signal(SIGPIPE, SIG_IGN);
		eq(gca_profile_heap_write(heap, pipes[1]), -EPIPE, "a reader that left");
		close(pipes[1]);
	}
	gca_close(heap);
	setenv("GCARENA_PROFILE", "rate=lots", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "a rate that is none: %s", gca_error());
	setenv("GCARENA_PROFILE", "every=1", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "an unknown key: %s", gca_error());
	setenv("GCARENA_PROFILE", "signal=KILL", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "a signal that is not for this: %s", gca_error());
	setenv("GCARENA_PROFILE", "", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "nothing at all: %s", gca_error());
	unsetenv("GCARENA_PROFILE");
}

/* The program's signal writes both profiles; its close writes them again. */
static void test_files(void)
{
	char value[128], name[128];
	struct profile_read *read;
	struct gca_heap *heap;
	struct gca_mutator *m;
	unsigned int i;

	snprintf(value, sizeof(value), "rate=1,signal=USR2,close=1,file=%s", path);
	setenv("GCARENA_PROFILE", value, 1);
	heap = open_quiet(GCA_MODE_CONCURRENT);
	unsetenv("GCARENA_PROFILE");
	m = attach(heap, 0);
	for (i = 0; i < 100; i++)
		site_dropped(m, 64);
	kill(getpid(), SIGUSR2);
	snprintf(name, sizeof(name), "%s.%d.1.wait.pb.gz", path, getpid());
	for (i = 0; i < 5000 && access(name, R_OK); i++)
		sleep_ms(1);
	/* The second of the two: the first is complete. */
	unlink(name);
	snprintf(name, sizeof(name), "%s.%d.1.heap.pb.gz", path, getpid());
	read = profile_open_file(name);
	eq(profile_flat(read, "site_dropped", "alloc_objects"), 100, "written at the signal");
	profile_done(read);
	unlink(name);
	gca_detach(m);
	gca_close(heap);
	snprintf(name, sizeof(name), "%s.%d.2.heap.pb.gz", path, getpid());
	read = profile_open_file(name);
	eq(profile_flat(read, "site_dropped", "alloc_objects"), 100, "and at the close");
	profile_done(read);
	unlink(name);
	snprintf(name, sizeof(name), "%s.%d.2.wait.pb.gz", path, getpid());
	unlink(name);
}

/* ------------------------------------------------------------- "sites" */

static NOINLINE void *site_small(struct gca_mutator *m)
{
	void *object = must(gca_new_bytes_raw(m, 1500));

	gca_keepalive(object);
	return object;
}

static NOINLINE void *site_medium(struct gca_mutator *m)
{
	void *object = must(gca_new_bytes_raw(m, 6000));

	gca_keepalive(object);
	return object;
}

static NOINLINE void *site_chunk(struct gca_mutator *m)
{
	void *object = must(gca_new_bytes_raw(m, 300000));

	gca_keepalive(object);
	return object;
}

static NOINLINE void site_garbage(struct gca_mutator *m)
{
	gca_keepalive(must(gca_new_bytes_raw(m, 2000)));
}

/* Nobody writes to what it allocates: most of it costs addresses only. */
static int sites(const char *file, size_t mib)
{
	static const char *const names[] = { "site_small", "site_medium", "site_chunk" };
	typedef void *(*site_fn)(struct gca_mutator *m);
	static const site_fn fns[] = { site_small, site_medium, site_chunk };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	int fd = open(file, O_CREAT | O_WRONLY | O_TRUNC, 0600);
	unsigned int which;
	size_t i, n, bytes;

	GCA_FRAME(m, f, gca_ref *kept[3]);
	for (which = 0; which < 3; which++) {
		n = mib * MIB / (which == 0 ? 1500 : which == 1 ? 6000 : 300000);
		f.kept[which] = must(gca_new_refs(m, n));
		for (i = bytes = 0; i < n; i++) {
			void *object = fns[which](m);

			gca_store(m, &f.kept[which][i], object);
			bytes += slot_of(heap, object);
			if (i % 4 == 0)
				site_garbage(m);
		}
		printf("%s %zu\n", names[which], bytes);
	}
	if (gca_collect(m) || gca_profile_heap_write(heap, fd)) {
		fprintf(stderr, "%s\n", gca_error());
		return 1;
	}
	return close(fd);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "sites"))
		return sites(argv[2], strtoul(argv[3], NULL, 10));
	snprintf(path, sizeof(path), "/tmp/profile-test.%d", getpid());
	test_exact(GCA_MODE_CONCURRENT);
	test_exact(GCA_MODE_STOP_THE_WORLD);
	test_estimates();
	test_threads();
	test_errors();
	test_files();
	unlink(path);
	return tap_done();
}
