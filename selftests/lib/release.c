// SPDX-License-Identifier: MIT
/*
 * Memory goes back: after everything is dropped gca_release() leaves next to
 * nothing resident, as the system itself counts it, and the heap works on.
 */
#include "lib.h"

#include <inttypes.h>

#include "internal.h"

/* Bytes resident in the mapping that @address lies in. */
static size_t resident_at(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	bool inside = false;
	size_t total = 0;
	char line[512];

	if (!file)
		bail("/proc/self/smaps");
	while (fgets(line, sizeof(line), file)) {
		uintptr_t low, high;
		size_t kib;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &low, &high) == 2)
			inside = (uintptr_t)address - low < high - low;
		else if (inside && sscanf(line, "Rss: %zu kB", &kib) == 1)
			total += kib * KIB;
	}
	fclose(file);
	return total;
}

/* The same about all of the process. */
static size_t resident(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	size_t pages = 0;

	if (!file || fscanf(file, "%*u %zu", &pages) != 1)
		bail("/proc/self/statm");
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void fill(struct gca_mutator *m, gca_ref *table, size_t count, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		void *bytes = must(gca_new_bytes(m, size));

		memset(bytes, 1, size);
		gca_store(m, &table[i], bytes);
	}
}

static void test_release(struct gca_mutator *m, size_t size)
{
	struct gca_heap *heap = gca_heap_of(m);
	size_t volume = scaled(64 * MIB), count, full, sparse, empty, all;
	struct gca_stats before, after;
	void *address;

	count = volume / size;
	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, count));
		fill(m, f.table, count, size);
		address = gca_load(&f.table[0]);
		full = resident_at(address);
		all = resident();
		ok(full >= volume, "objects of %zu: %zu MiB are resident", size, full / MIB);

		/* Most of it, in runs: a part of the heap. */
		for (size_t i = 0; i < count; i++)
			if (i * 8 / count % 4)
				gca_store(m, &f.table[i], NULL);
		before = stats_of(heap);
		ok(gca_release(m) > volume / 2, "three quarters dropped, over a half released");
		after = stats_of(heap);
		sparse = resident_at(address);
		ok(sparse < full / 2, "and is gone: %zu MiB resident", sparse / MIB);
		ok(after.heap_released > before.heap_released, "heap_released grows");
		ok(after.heap_idle >= after.heap_released, "as a part of heap_idle");
		for (size_t i = 0; i < count; i++) {
			void *bytes = gca_load(&f.table[i]);

			if (bytes && !is_filled(bytes, 1, size))
				bail("an object was lost");
		}
		ok(true, "what lives is intact");
		fill(m, f.table, count, size);
		ok(resident_at(address) >= volume, "memory comes back when it is needed");
	}
	ok(gca_release(m) > volume / 2, "all dropped: released");
	empty = resident_at(address);
	after = stats_of(heap);
	ok(empty <= 2 * MIB, "%zu KiB of the heap stay resident", empty / KIB);
	ok(resident() + volume * 9 / 10 <= all, "the process as a whole has shrunk by as much");
	ok(after.heap_inuse <= 256 * KIB, "%llu KiB in use",
	   (unsigned long long)after.heap_inuse / KIB);
	ok(after.heap_idle - after.heap_released <= 2 * MIB, "the rest is released");
	ok(gca_release(m) <= 2 * MIB, "there is nothing more to release");
	eq(stats_of(heap).heap_sys, stats_of(heap).heap_inuse + stats_of(heap).heap_idle,
	   "sys = inuse + idle");
}

/*
 * Most of each page is dropped: what is between the objects that live goes only when
 * it is asked for, and is zero when it is used again.
 */
static void test_release_all(struct gca_mutator *m, size_t size, size_t every)
{
	size_t volume = scaled(32 * MIB), count = volume / size, sparse, left, bad = 0;
	void *address;

	GCA_FRAME(m, f, gca_ref *table);
	f.table = must(gca_new_refs(m, count));
	fill(m, f.table, count, size);
	address = gca_load(&f.table[0]);
	for (size_t i = 0; i < count; i++)
		if (i % every)
			gca_store(m, &f.table[i], NULL);
	gca_release(m);
	sparse = resident_at(address);
	ok(gca_release_all(m) > sparse / 2,
	   "1 of %zu objects of %zu lives: half of what is left goes", every, size);
	left = resident_at(address);
	ok(left < sparse / 2, "and is gone: %zu of %zu KiB resident", left / KIB, sparse / KIB);
	for (size_t i = 0; i < count; i += every)
		bad += !is_filled(gca_load(&f.table[i]), 1, size);
	eq(bad, 0, "what lives is intact");
	for (size_t i = 0; i < count; i++) {
		void *bytes = i % every ? must(gca_new_bytes(m, size)) : NULL;

		if (!bytes)
			continue;
		bad += !is_filled(bytes, 0, size);
		memset(bytes, 1, size);
		gca_store(m, &f.table[i], bytes);
	}
	eq(bad, 0, "what is allocated between them is zero");
	for (size_t i = 0; i < count; i++)
		bad += !is_filled(gca_load(&f.table[i]), 1, size);
	eq(bad, 0, "and all of it there");
}

static unsigned int asked_times;
static uint32_t asked_flags;

static int refuse_scavenge(struct gca_heap *heap, struct gcarena_scavenge *args)
{
	(void)heap;
	asked_times++;
	asked_flags = args->flags;
	return -EINVAL;
}

/*
 * What an arena cannot do it says beforehand and is not asked for; an error of one
 * that can is an error.
 */
static void test_feature(struct gca_mutator *m, bool has)
{
	struct gca_heap *heap = gca_heap_of(m);
	const struct backend_ops *real = heap->ops;
	struct backend_ops spy = *real;
	bool had = heap->has_inside;

	spy.scavenge = refuse_scavenge;
	heap->ops = &spy;
	heap->has_inside = has;
	asked_times = 0;
	eq(gca_release_all(m), 0, "%s the feature: an error releases nothing",
	   has ? "with" : "without");
	heap->has_inside = had;
	heap->ops = real;
	eq(asked_times, 1, "and is not tried again in another way");
	eq(asked_flags, has ? GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE : GCARENA_SCAVENGE_ALL,
	   "the flag is asked for as the arena has it");
}

/* Without being asked: the background scavenger follows the goal. */
static void test_background(void)
{
	struct gca_heap *heap = open_with(NULL);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t volume = scaled(64 * MIB), left = 0;
	void *address;

	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, volume / 1000));
		fill(m, f.table, volume / 1000, 1000);
		address = gca_load(&f.table[0]);
	}
	gca_collect(m);
	gca_collect(m);
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < 100; i++) {
		left = resident_at(address);
		if (left <= 12 * MIB)
			break;
		sleep_ms(100);
	}
	gca_blocking_end(m);
	ok(left <= 12 * MIB, "after a large heap died, %zu MiB stay without a call", left / MIB);
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	if (TEST_ASAN)
		skip_all("ASan's own memory is resident too");
	test_release(m, 100);
	test_release(m, 30000);
	test_release(m, 500000);
	test_release_all(m, 1000, 16);
	test_release_all(m, 4096, 4);
	ok(heap->has_inside, "the arena says that it can release inside spans");
	test_feature(m, true);
	test_feature(m, false);
	gca_detach(m);
	gca_close(heap);
	test_background();
	return tap_done();
}
