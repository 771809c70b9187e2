// SPDX-License-Identifier: MIT
/*
 * Whose memory it is: everything is charged to the owner's cgroup, a limit shows
 * as -ENOMEM and not as a killed process, what is scavenged is uncharged, and
 * the worker is where its owner is.
 *
 * The process moves itself into a cgroup with a limit.  It touches nothing new
 * of its own there while the limit is reached, because that could only be had
 * by killing somebody.
 */

#include "guest.h"

#define CGROUP		"/sys/fs/cgroup"
#define GROUP		CGROUP "/gcarena-test"
#define OTHER		CGROUP "/gcarena-other"
#define SIZE		(256 * MIB)
#define LIMIT		(64 * MIB)
#define SPAN_BYTES	(64 * PAGE)
#define NR_SPANS	(SIZE / SPAN_BYTES)

static struct gcarena_span spans[NR_SPANS];

static long group_stat(const char *key)
{
	return g_file_value(GROUP "/memory.stat", key);
}

static long group_event(const char *key)
{
	return g_file_value(GROUP "/memory.events", key);
}

static int enter(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return g_write_file(path, "0");
}

/* Refill and touch until it fails; how many spans, and the error. */
static int fill(struct arena *a, int *err)
{
	int n = 0, got;

	while ((got = g_refill(a, C_CHUNKY, 0, &spans[n], 1)) == 1) {
		memset(g_addr(a, spans[n].page), 0x33, SPAN_BYTES);
		g_set_bit(a, spans[n].generation & 1, spans[n].page, 0);
		if (++n == (int)NR_SPANS)
			break;
	}
	*err = got;
	return n;
}

static void drop_all(struct arena *a, int n)
{
	for (int i = 0; i < n; i++) {
		memset(a->bits[0] + spans[i].page * GCARENA_LINE_WORDS, 0,
		       spans[i].npages * GCARENA_LINE_SIZE);
		memset(a->bits[1] + spans[i].page * GCARENA_LINE_WORDS, 0,
		       spans[i].npages * GCARENA_LINE_SIZE);
	}
	for (int i = 0; i < n; i += 64)
		g_return(a, spans + i, n - i < 64 ? n - i : 64);
}

static void test_charge(struct arena *a)
{
	long shmem = group_stat("shmem");
	long kernel = group_stat("kernel");
	long thp = group_stat("shmem_thp");

	eq(g_refill(a, C_CHUNKY, 0, spans, 32), 32, "16 MiB of spans");
	ok(group_stat("shmem") >= shmem + 16 * (long)MIB, "are charged to the owner, untouched");
	ok(group_stat("shmem_thp") >= thp + 16 * (long)MIB, "as huge pages");
	ok(group_stat("kernel") >= kernel + 8 * 9 * (long)BASE_PAGE, "so is their metadata");
	eq(g_return(a, spans, 32), 0, "returned");
	eq(g_scavenge(a, GCARENA_SCAVENGE_ALL, 0), 16 * (long)MIB, "and scavenged");
	/* memory.stat is flushed now and then. */
	ok(g_wait_for(group_stat("shmem") < shmem + (long)MIB, 5000), "they are uncharged");
}

static void test_limit(struct arena *a)
{
	struct gcarena_stats stats;
	long kills = group_event("oom_kill");
	long peak;
	int n, err, got;

	/* At the limit there may be no room left for a page table. */
	for (got = 0; got < 2; got++) {
		__atomic_load_n(a->bits[got], __ATOMIC_RELAXED);
		__atomic_load_n(a->bits[got] + LIMIT / PAGE * GCARENA_LINE_WORDS, __ATOMIC_RELAXED);
	}
	n = fill(a, &err);
	eq(err, -ENOMEM, "at memory.max a refill says -ENOMEM");
	ok(n >= (int)(LIMIT / SPAN_BYTES * 3 / 4), "after most of the limit was given");
	eq(group_event("oom_kill"), kills, "nobody was killed");
	g_stats(a, &stats);
	eq(stats.counters.spans_held, n, "what was given is held");
	ok(stats.counters.refill_failed >= 1, "the failure is counted");
	g_wait_for(group_stat("shmem") >= n * (long)SPAN_BYTES, 5000);
	peak = group_stat("shmem");
	diag("%d spans, shmem %ld KiB", n, peak / 1024);

	got = g_refill(a, C_LARGE, 100 * MIB / PAGE, &spans[NR_SPANS - 1], 1);
	eq(got, -ENOMEM, "a large span over the limit: -ENOMEM");
	eq(g_return(a, &spans[0], 1), 0, "one span returned");
	eq(g_refill(a, C_CHUNKY, 0, &spans[0], 1), 1, "can be had again");

	drop_all(a, n);
	g_stats(a, &stats);
	eq(stats.counters.spans_inuse, 0, "all dropped");
	ok(g_scavenge(a, GCARENA_SCAVENGE_ALL, 0) >= n * (long)SPAN_BYTES, "and scavenged");
	ok(g_wait_for(group_stat("shmem") < peak / 20 || group_stat("shmem") < 8 * (long)MIB,
		      2000), "within two seconds the cgroup has its memory back");
	eq(g_debugfs_stat(a->setup.id, "mapping_bytes"), 0, "and no page is forgotten");
}

static void test_large(struct arena *a)
{
	struct gcarena_span large;
	struct gcarena_stats stats;
	long before = g_file_number(GROUP "/memory.current");

	eq(g_refill(a, C_LARGE, 200 * MIB / PAGE, &large, 1), -ENOMEM,
	   "a large span over the whole limit: -ENOMEM");
	ok(g_wait_for(g_file_number(GROUP "/memory.current") < before + 4 * (long)MIB, 2000),
	   "everything that was backed for it goes back");
	g_stats(a, &stats);
	eq(stats.counters.heap_inuse, 0, "nothing is in use");
	eq(g_refill(a, C_LARGE, 32 * MIB / PAGE, &large, 1), 1, "one within the limit is had");
	eq(g_return(a, &large, 1), 0, "and returned");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	eq(g_debugfs_stat(a->setup.id, "mapping_bytes"), 0, "and no page is forgotten");
}

/* The limit reached by metadata alone. */
static void test_setup_limit(void)
{
	struct gcarena_setup setup;
	int fd = open(DEVICE, O_RDWR);

	eq(g_setup(fd, GCARENA_HEAP_SIZE_MAX, &setup), 0, "a TiB of addresses costs little");
	ok(g_file_number(GROUP "/memory.current") < (long)LIMIT, "well below the limit");
	close(fd);
}

static bool is_in(pid_t pid, const char *group)
{
	char path[64], line[256] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	line[strcspn(line, "\n")] = 0;
	return !strcmp(line + strcspn(line, "/"), group);
}

static void test_worker(struct arena *a)
{
	uint32_t generation = a->status->generation;
	struct gcarena_span s;
	pid_t worker;

	g_refill(a, C_64, 0, &s, 1);
	g_set_bit(a, s.generation & 1, s.page, 0);
	g_return(a, &s, 1);
	eq(g_start_sweep(a, generation), 0, "a sweep");
	worker = g_worker(a->setup.id);
	ok(worker > 0, "the worker is there");
	ok(is_in(worker, "/gcarena-test"), "in its owner's cgroup");
	eq(enter(OTHER), 0, "the owner moves");
	g_msleep(1100);
	g_refill(a, C_64, 0, &s, 1);
	ok(g_wait_for(is_in(worker, "/gcarena-other"), 3000), "the worker follows with a call");
	eq(enter(GROUP), 0, "the owner moves back");
}

int main(void)
{
	char limit[32];
	struct arena a;

	if (!g_exists(CGROUP "/cgroup.controllers"))
		skip_all("no cgroup2 at " CGROUP);
	mkdir(GROUP, 0755);
	mkdir(OTHER, 0755);
	snprintf(limit, sizeof(limit), "%lu", LIMIT);
	if (g_write_file(GROUP "/memory.max", limit))
		skip_all("no memory controller");
	g_write_file(GROUP "/memory.swap.max", "0");
	memset(spans, 0, sizeof(spans));
	if (enter(GROUP))
		bail("cannot enter the cgroup");

	g_open(&a, SIZE);
	test_charge(&a);
	test_limit(&a);
	test_large(&a);
	test_setup_limit();
	test_worker(&a);
	g_close(&a);

	enter(CGROUP);
	ok(g_wait_for(!rmdir(GROUP), 5000), "nothing holds the cgroup afterwards");
	ok(g_wait_for(!rmdir(OTHER), 5000), "nor the other");
	return tap_done();
}
