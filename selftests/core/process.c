// SPDX-License-Identifier: MIT
/*
 * The process host: its calls' errors, its memory, its worker, and fork().
 *
 * Whatever a system may refuse is refused once, at the seam or for real; each
 * time the arena must stay usable and nothing may be lost.
 */
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <dirent.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "core.h"
#include "tap.h"

#define HEAP	(64ULL << 20)

enum { SMALL_CLASS, LARGE_CLASS, MANUAL_CLASS, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[SMALL_CLASS] = { .elem_size = 8192, .npages = 1 },
	[LARGE_CLASS] = { .flags = GCARENA_CLASS_LARGE },
	[MANUAL_CLASS] = { .flags = GCARENA_CLASS_MANUAL },
};

static const struct gcarena_setup good_setup = {
	.size = sizeof(struct gcarena_setup),
	.heap_size = HEAP,
	.classes = (uintptr_t)classes,
	.nr_classes = CLASSES,
	.class_size = sizeof(struct gcarena_class),
};

static struct gca_process *process;
static struct gcarena_span got[GCARENA_BATCH_MAX];

/* Fail the nth time that this seam is asked; 0 never, -1 always. */
static enum gca_seam failing_seam;
static int failing_in;

static bool seam(enum gca_seam which)
{
	if (which != failing_seam || !failing_in)
		return false;
	return failing_in < 0 || !--failing_in;
}

static void fail(enum gca_seam which, int in)
{
	failing_seam = which;
	failing_in = in;
	gca_seam_fails = seam;
}

static void open_arena(void)
{
	if (gca_process_open(&good_setup, &process))
		bail("no arena");
}

static void close_arena(const char *name)
{
	ok(!gca_core_validate(process->core), "%s: core valid", name);
	gca_process_close(process);
	failing_in = 0;
}

static int refill(u16 span_class, u32 npages, u32 nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)got,
		.span_class = span_class,
		.npages = npages,
		.nr_ready = nr,
	};
	int err = gca_process_refill(process, &args);

	return err ? err : (int)args.nr_ready;
}

static int give(const struct gcarena_span *span)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)span,
		.nr_spent = 1,
	};

	return gca_process_return(process, &args);
}

static u64 scavenge_all(void)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = GCARENA_SCAVENGE_ALL };

	return gca_process_scavenge(process, &args) ? 0 : args.bytes;
}

static struct gcarena_counters counters(void)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };

	gca_process_stats(process, &stats);
	return stats.counters;
}

static int start_sweep(void)
{
	struct gcarena_sweep args = {
		.size = sizeof(args),
		.generation = READ_ONCE(process->tables.status->generation),
	};

	return gca_process_start_sweep(process, &args);
}

static int set_policy(u64 limit, u64 retain)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy),
		.limit_bytes = limit,
		.retain_bytes = retain,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};

	return gca_process_policy(process, &args);
}

static char *memory(u32 page)
{
	return (char *)process->heap + ((size_t)page << GCARENA_PAGE_SHIFT);
}

static void sleep_ms(u32 ms)
{
	usleep(ms * 1000);
}

static u32 nr_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	u32 nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr - 2;
}

/* Base pages of [@page, @page + @npages) that are in memory. */
static u32 resident(u32 page, u32 npages)
{
	static unsigned char map[4096];
	size_t size = (size_t)npages << GCARENA_PAGE_SHIFT;
	u32 nr = 0;
	size_t i;

	if (mincore(memory(page), size, map))
		return U32_MAX;
	for (i = 0; i < size / sysconf(_SC_PAGESIZE); i++)
		nr += map[i] & 1;
	return nr;
}

static int try_open(struct gcarena_setup setup)
{
	struct gca_process *p;
	int err = gca_process_open(&setup, &p);

	if (!err)
		gca_process_close(p);
	return err;
}

static void test_open(void)
{
	struct {
		struct gcarena_setup setup;
		u64 more;
	} longer = { .setup = good_setup };
	struct gcarena_policy policy = { .size = sizeof(policy), .limit_bytes = 1 << 20 };
	struct gcarena_setup s = good_setup;
	struct gca_process *p;

	eq(gca_process_open(NULL, &p), -EFAULT, "open: no set-up");
	eq(gca_process_open((void *)((char *)&longer + 1), &p), -EINVAL, "open: misaligned");
#define REFUSED(field, value, errno_, name) do { \
	s = good_setup; \
	s.field = value; \
	eq(try_open(s), errno_, "open: " name); \
} while (0)
	REFUSED(size, sizeof(s) - 1, -EINVAL, "shorter than ever published");
	REFUSED(size, 4097, -E2BIG, "longer than any");
	REFUSED(flags, 1, -EINVAL, "flags");
	REFUSED(reserved, 1, -EINVAL, "reserved");
	REFUSED(heap_size, 0, -EINVAL, "no heap");
	REFUSED(heap_size, HEAP + 4096, -EINVAL, "heap not a multiple of the chunk");
	REFUSED(heap_size, GCARENA_HEAP_SIZE_MAX * 2, -EINVAL, "heap above the maximum");
	REFUSED(classes, 0, -EFAULT, "no class table");
	REFUSED(nr_classes, 0, -EINVAL, "no classes");
	REFUSED(nr_classes, GCARENA_CLASSES_MAX + 1, -EINVAL, "too many classes");
	REFUSED(class_size, 16, -EINVAL, "classes of another size");
#undef REFUSED
	longer.setup.size = sizeof(longer);
	eq(gca_process_open(&longer.setup, &p), 0, "open: a longer structure, zero behind");
	gca_process_close(p);
	longer.more = 1;
	eq(gca_process_open(&longer.setup, &p), -E2BIG, "open: something unknown behind");
	s = good_setup;
	s.policy = (uintptr_t)&policy;
	eq(try_open(s), 0, "open: with a policy");
	policy.reserve_chunks = 1;
	eq(try_open(s), -EOPNOTSUPP, "open: a policy that needs a feature");
	policy.size = 8;
	eq(try_open(s), -EINVAL, "open: a policy too short");
	s = good_setup;
	s.heap_size = GCARENA_HEAP_SIZE_MAX;
	ok(try_open(s) == 0 || try_open(s) == -ENOMEM, "open: 1 TiB, or -ENOMEM");
}

static void test_open_refused(void)
{
	static const enum gca_seam seams[] = { GCA_SEAM_MAP, GCA_SEAM_META_ALLOC };
	int i, k, err;

	for (i = 0; i < 2; i++) {
		for (k = 1, err = -1; k < 20 && err; k++) {
			fail(seams[i], k);
			err = try_open(good_setup);
			if (err && err != -ENOMEM)
				break;
		}
		ok(!err && k > 5, "open: -ENOMEM at each of %d places", k - 2);
	}
	failing_in = 0;
}

static void test_structures(void)
{
	struct gcarena_refill refill_args = { .size = 8 };
	struct gcarena_return return_args = { .size = 8 };
	struct gcarena_sweep sweep = { .size = 8 };
	struct gcarena_scavenge scavenge = { .size = 8 };
	struct gcarena_policy_call policy_call = { .size = 8 };
	struct gcarena_policy policy = { .size = sizeof(policy) };
	struct gcarena_stats stats = { .size = 8 };

	open_arena();
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: too short");
	eq(gca_process_return(process, &return_args), -EINVAL, "return: too short");
	eq(gca_process_start_sweep(process, &sweep), -EINVAL, "start_sweep: too short");
	eq(gca_process_sweep_assist(process, &sweep), -EINVAL, "sweep_assist: too short");
	eq(gca_process_scavenge(process, &scavenge), -EINVAL, "scavenge: too short");
	eq(gca_process_policy(process, &policy_call), -EINVAL, "policy: too short");
	eq(gca_process_stats(process, &stats), -EINVAL, "stats: too short");
	eq(gca_process_stats(process, NULL), -EFAULT, "stats: nowhere to go");

	refill_args = (struct gcarena_refill){ .size = sizeof(refill_args), .nr_ready = 1 };
	eq(gca_process_refill(process, &refill_args), -EFAULT, "refill: nowhere to go");
	refill_args.ready = (uintptr_t)got + 1;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: misaligned");
	refill_args.ready = (uintptr_t)got;
	refill_args.nr_spent = 1;
	eq(gca_process_refill(process, &refill_args), -EFAULT, "refill: no spent spans");
	refill_args.nr_spent = GCARENA_BATCH_MAX + 1;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: too many spent");
	refill_args.nr_spent = 0;
	refill_args.nr_ready = GCARENA_BATCH_MAX + 1;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: too many ready");
	refill_args.nr_ready = 1;
	refill_args.flags = 1;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: flags");
	refill_args.flags = 0;
	refill_args.node = 2;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: no such node");
	refill_args.node = 0;
	got[0].page = 7;
	refill_args.spent = (uintptr_t)got;
	refill_args.nr_spent = 1;
	eq(gca_process_refill(process, &refill_args), -EINVAL, "refill: a span that is not held");
	ok(!refill_args.nr_spent && !refill_args.nr_ready, "refill: told that nothing was done");

	return_args = (struct gcarena_return){ .size = sizeof(return_args), .flags = 1 };
	eq(gca_process_return(process, &return_args), -EINVAL, "return: flags");
	return_args.flags = 0;
	return_args.reserved = 1;
	eq(gca_process_return(process, &return_args), -EINVAL, "return: reserved");
	return_args.reserved = 0;
	eq(gca_process_return(process, &return_args), 0, "return: nothing");

	sweep = (struct gcarena_sweep){ .size = sizeof(sweep), .generation = 5 };
	eq(gca_process_start_sweep(process, &sweep), -EINVAL, "start_sweep: generation");
	sweep.flags = 1;
	eq(gca_process_sweep_assist(process, &sweep), -EINVAL, "sweep_assist: flags");

	scavenge = (struct gcarena_scavenge){ .size = sizeof(scavenge), .flags = 2 };
	eq(gca_process_scavenge(process, &scavenge), -EINVAL, "scavenge: flags");

	policy_call = (struct gcarena_policy_call){ .size = sizeof(policy_call) };
	eq(gca_process_policy(process, &policy_call), -EFAULT, "policy: nowhere to go");
	policy_call.policy = (uintptr_t)&policy;
	eq(set_policy(123, 456), 0, "policy: set");
	eq(gca_process_policy(process, &policy_call), 0, "policy: read");
	ok(policy.limit_bytes == 123 && policy.retain_bytes == 456, "policy: as set");
	policy.size = 8;
	eq(gca_process_policy(process, &policy_call), -EINVAL, "policy: too short to read");
	policy_call.flags = 2;
	eq(gca_process_policy(process, &policy_call), -EINVAL, "policy: flags");
	close_arena("structures");
}

static void test_memory(void)
{
	struct gcarena_span span;
	u32 i;

	open_arena();
	eq((uintptr_t)process->heap % GCARENA_CHUNK_SIZE, 0, "memory: heap aligned");
	eq(resident(0, GCARENA_CHUNK_PAGES), 0, "memory: nothing at first");
	eq(refill(SMALL_CLASS, 0, 3), 3, "memory: refill");
	eq(resident(0, GCARENA_CHUNK_PAGES), GCARENA_CHUNK_SIZE / sysconf(_SC_PAGESIZE),
	   "memory: all of the chunk is there before it is touched");
	for (i = 0; i < 3; i++)
		memset(memory(got[i].page), 0x5a, GCARENA_PAGE_SIZE);
	span = got[0];
	give(&got[1]);
	eq(scavenge_all(), 254 * GCARENA_PAGE_SIZE, "memory: all but the two is given back");
	eq(resident(got[1].page, 1), 0, "memory: it is gone");
	eq(memory(span.page)[100], 0x5a, "memory: what is in use stays");
	eq(memory(got[2].page)[GCARENA_PAGE_SIZE - 1], 0x5a, "memory: to the last byte");
	give(&got[2]);
	refill(SMALL_CLASS, 0, 1);
	ok(!(got[0].flags & GCARENA_SPAN_NEEDS_ZERO) == !memory(got[0].page)[0],
	   "memory: needs zero exactly if not zero");
	/* Locked memory is the user's right, and must not break a release. */
	give(&got[0]);
	if (mlock(memory(0), GCARENA_CHUNK_SIZE)) {
		skip(2, "mlock is not allowed");
	} else {
		memset(memory(8), 0x5a, GCARENA_PAGE_SIZE);
		scavenge_all();
		eq(refill(LARGE_CLASS, 200, 1), 1, "memory: refill of locked memory");
		eq(memory(got[0].page)[0], 0, "memory: which reads zero");
		munlock(memory(0), GCARENA_CHUNK_SIZE);
	}
	close_arena("memory");
}

static void test_memory_refused(void)
{
	open_arena();
	fail(GCA_SEAM_BACK, 1);
	eq(refill(SMALL_CLASS, 0, 2), -ENOMEM, "refused: backing");
	fail(GCA_SEAM_META_BACK, 1);
	eq(refill(LARGE_CLASS, 300, 1), -ENOMEM, "refused: tables");
	fail(GCA_SEAM_META_ALLOC, 1);
	eq(refill(LARGE_CLASS, 600, 1), -ENOMEM, "refused: descriptors");
	eq(refill(SMALL_CLASS, 0, 2), 2, "refused: and then it works");
	memset(memory(got[0].page), 0x5a, GCARENA_PAGE_SIZE);
	give(&got[0]);
	fail(GCA_SEAM_RELEASE, -1);
	eq(scavenge_all(), 0, "refused: release, and says so");
	failing_in = 0;
	eq(refill(SMALL_CLASS, 0, 1), 1, "refused: the page again");
	ok(!(got[0].flags & GCARENA_SPAN_NEEDS_ZERO) && !memory(got[0].page)[0],
	   "refused: which reads zero all the same");
	close_arena("refused");
}

/* In a child, so that limits do not stay.  Its exit status says which check failed. */
static int in_child(int (*run)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(run());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int without_address_space(void)
{
	struct rlimit limit = { .rlim_cur = 32 << 20, .rlim_max = 32 << 20 };

	if (setrlimit(RLIMIT_AS, &limit))
		return 1;
	return try_open(good_setup) == -ENOMEM ? 0 : 2;
}

static int without_huge_pages(void)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return 1;
	if (gca_process_open(&good_setup, &process))
		return 2;
	if (refill(SMALL_CLASS, 0, 4) != 4)
		return 3;
	if (!(got[0].flags & GCARENA_SPAN_SMALL))
		return 4;
	memset(memory(got[3].page), 1, GCARENA_PAGE_SIZE);
	if (counters().chunks_small != 1)
		return 5;
	gca_process_close(process);
	return 0;
}

static int forked_child(void)
{
	struct gcarena_sweep sweep = { .size = sizeof(sweep) };
	unsigned char map[GCARENA_CHUNK_SIZE >> 12];

	if (refill(SMALL_CLASS, 0, 1) != -EIO)
		return 1;
	if (give(&got[0]) != -EIO)
		return 2;
	if (gca_process_start_sweep(process, &sweep) != -EIO ||
	    gca_process_sweep_assist(process, &sweep) != -EIO)
		return 3;
	if (scavenge_all() || set_policy(0, 0) != -EIO)
		return 4;
	if (gca_process_wait_sweep(process, -1) != -EIO)
		return 5;
	if (!mincore(process->heap, GCARENA_CHUNK_SIZE, map))
		return 6;
	gca_process_close(process);
	return 0;
}

static bool huge_pages_possible(void)
{
	FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
	char text[64] = "";
	bool possible;

	possible = file && fgets(text, sizeof(text), file) && !strstr(text, "[never]");
	if (file)
		fclose(file);
	return possible;
}

static void test_surroundings(void)
{
	eq(in_child(without_address_space), 0, "surroundings: -ENOMEM without address space");
	eq(in_child(without_huge_pages), 0, "surroundings: small spans without huge pages");
	open_arena();
	refill(SMALL_CLASS, 0, 1);
	if (huge_pages_possible())
		ok(!(got[0].flags & GCARENA_SPAN_SMALL), "surroundings: huge pages where they are");
	else
		skip(1, "no transparent huge pages here");
	set_policy(0, 1);
	start_sweep();
	eq(in_child(forked_child), 0, "fork: every call of a child fails, and it may close");
	eq(give(&got[0]), 0, "fork: nothing changed for the parent");
	close_arena("surroundings");
}

/* The signals that the thread beside this one blocks. */
static u64 worker_blocks(void)
{
	char path[300], text[256];
	u64 blocked = 0;
	struct dirent *entry;
	DIR *dir = opendir("/proc/self/task");

	while (dir && (entry = readdir(dir))) {
		FILE *file;

		if (entry->d_name[0] == '.' || atoi(entry->d_name) == getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = fopen(path, "r");
		while (file && fgets(text, sizeof(text), file))
			sscanf(text, "SigBlk: %llx", &blocked);
		if (file)
			fclose(file);
	}
	if (dir)
		closedir(dir);
	return blocked;
}

static void make_garbage(u32 nr)
{
	u32 i;

	refill(SMALL_CLASS, 0, nr);
	for (i = 0; i < nr; i++) {
		*gca_host_line(&process->tables, got[i].generation & 1, got[i].page) = 1;
		give(&got[i]);
	}
}

static void test_worker(void)
{
	u32 threads = nr_threads();
	struct gcarena_span held;
	u32 i;

	open_arena();
	make_garbage(200);
	eq(nr_threads(), threads, "worker: not before there is work");
	eq(start_sweep(), 0, "worker: sweep");
	eq(gca_process_wait_sweep(process, 5000), 0, "worker: sweeps without being asked");
	eq(nr_threads(), threads + 1, "worker: one thread");
	ok((worker_blocks() >> (SIGUSR1 - 1)) & (worker_blocks() >> (SIGINT - 1)) & 1,
	   "worker: takes no signals of the program");
	eq(counters().swept_freed, 200, "worker: freed all");
	ok(counters().worker_ns > 0, "worker: its time is counted");

	refill(SMALL_CLASS, 0, 1);
	held = got[0];
	start_sweep();
	eq(gca_process_wait_sweep(process, 0), -ETIMEDOUT, "wait: looks");
	eq(gca_process_wait_sweep(process, 20), -ETIMEDOUT, "wait: not for ever");
	give(&held);
	eq(gca_process_wait_sweep(process, -1), 0, "wait: over");

	for (i = 0; i < 3; i++)
		refill(LARGE_CLASS, GCARENA_CHUNK_PAGES, 1);
	for (i = 0; i < 3; i++) {
		held = (struct gcarena_span){
			.page = got[0].page - i * GCARENA_CHUNK_PAGES,
			.npages = GCARENA_CHUNK_PAGES,
			.span_class = LARGE_CLASS,
			.generation = got[0].generation,
		};
		give(&held);
	}
	ok(counters().chunks_idle >= 3, "worker: idle chunks stay without a goal");
	set_policy(0, 2 * GCARENA_CHUNK_SIZE);
	for (i = 0; i < 200 && counters().heap_sys - counters().heap_released >
	     2 * GCARENA_CHUNK_SIZE; i++)
		sleep_ms(10);
	eq(counters().heap_sys - counters().heap_released, 2 * GCARENA_CHUNK_SIZE,
	   "worker: releases down to the goal");
	close_arena("worker");
	eq(nr_threads(), threads, "worker: gone with the arena");
}

static void test_without_worker(void)
{
	open_arena();
	fail(GCA_SEAM_THREAD, -1);
	make_garbage(100);
	start_sweep();
	eq(gca_process_wait_sweep(process, -1), 0, "no thread: who waits sweeps");
	eq(counters().swept_freed, 100, "no thread: freed all");
	make_garbage(100);
	start_sweep();
	eq(refill(SMALL_CLASS, 0, 100), 100, "no thread: who refills sweeps");
	eq(counters().refill_backed, 1, "no thread: and takes nothing new");
	close_arena("no thread");
}

/* Refills that meet while the only chunk is being backed. */
#define CROWD	6

static pthread_barrier_t crowd_gate;

static void *refill_in_crowd(void *arg)
{
	struct gcarena_span span;
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)&span,
		.span_class = SMALL_CLASS,
		.nr_ready = 1,
	};

	pthread_barrier_wait(&crowd_gate);
	return (void *)(intptr_t)gca_process_refill(process, &args);
}

static void test_waiting(void)
{
	struct gcarena_setup setup = good_setup;
	u32 failed = 0;
	u32 held = 0;
	int round, i;

	setup.heap_size = GCARENA_CHUNK_SIZE;
	pthread_barrier_init(&crowd_gate, NULL, CROWD);
	for (round = 0; round < 50; round++) {
		pthread_t threads[CROWD];

		if (gca_process_open(&setup, &process))
			bail("no arena");
		for (i = 0; i < CROWD; i++)
			if (pthread_create(&threads[i], NULL, refill_in_crowd, NULL))
				bail("no thread");
		for (i = 0; i < CROWD; i++) {
			void *err;

			pthread_join(threads[i], &err);
			failed += !!err;
		}
		held += counters().spans_held;
		gca_process_close(process);
	}
	pthread_barrier_destroy(&crowd_gate);
	eq(failed, 0, "waiting: no refill fails while a chunk is on its way");
	eq(held, 50 * CROWD, "waiting: each got a span");
}

int main(void)
{
	test_waiting();
	test_open();
	test_open_refused();
	test_structures();
	test_memory();
	test_memory_refused();
	test_surroundings();
	test_worker();
	test_without_worker();
	return tap_done();
}
