// SPDX-License-Identifier: MIT
/*
 * C5, the arena's thread: memory of a process that does not run falls to the
 * retain goal by itself, within a share of a CPU that is counted; the thread
 * sleeps without a timer when there is nothing to do, and lets itself be frozen.
 */
#include <dirent.h>
#include <stdlib.h>

#include "guest.h"

#define SIZE		(256 * MIB)
#define NR		48
#define RETAIN		(8 * CHUNK)
#define PM_TEST		"/sys/power/pm_test"
#define PM_STATE	"/sys/power/state"

static void set_policy(struct arena *a, uint32_t reserve, uint64_t retain)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .reserve_chunks = reserve, .retain_bytes = retain,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};

	if (g_ioctl(a->fd, GCARENA_IOC_POLICY, &args))
		bail("policy");
}

static long of_scavenger(uint32_t id, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), DEBUGFS "/%u/scavenger", id);
	return g_file_value(path, key);
}

/* How often a thread has gone to sleep. */
static long sleeps(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return g_file_value(path, "voluntary_ctxt_switches");
}

static void take(struct arena *a, struct gcarena_span *spans, int nr)
{
	for (int i = 0; i < nr; i++) {
		if (g_refill(a, C_LARGE, GCARENA_CHUNK_PAGES, &spans[i], 1) != 1)
			bail("refill");
		memset(g_addr(a, spans[i].page), 0x11, BASE_PAGE);
	}
}

/* The child stops itself with everything free, above the goal. */
static void test_stopped(void)
{
	struct gcarena_span spans[NR];
	int64_t start, took;
	uint32_t *id;
	struct arena a;
	int status;
	long ns;
	pid_t pid;

	id = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		g_open(&a, SIZE);
		take(&a, spans, NR);
		for (int i = 0; i < NR; i += 8)
			g_return(&a, &spans[i], 8);
		set_policy(&a, 0, RETAIN);
		*id = a.setup.id;
		raise(SIGSTOP);
		_exit(0);
	}
	start = g_now_ns();
	waitpid(pid, &status, WUNTRACED);
	ok(WIFSTOPPED(status), "C5 stopped: a process that does not run");
	ok(g_wait_for(g_debugfs_stat(*id, "mapping_bytes") == (long)RETAIN, 20000),
	   "C5 stopped: its memory falls to the retain goal by itself");
	took = g_now_ns() - start;
	g_msleep(100);
	eq(g_debugfs_stat(*id, "mapping_bytes"), (long)RETAIN, "C5 stopped: and not below");
	ns = of_scavenger(*id, "worker_ns");
	ok(ns > 0, "C5 stopped: the thread's CPU time is counted");
	/* At 5 %, with as much again for what a tick rounds. */
	ok(ns < took / 10 + 20000000, "C5 stopped: and a small share");
	diag("%d chunks in %lld ms, %ld ms of CPU", NR - 8, (long long)took / 1000000,
	     ns / 1000000);
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	munmap(id, BASE_PAGE);
}

/* No timer, no work: no wake-up.  With a reserve, some, and then none. */
static void test_idle(void)
{
	struct gcarena_span spans[4];
	struct arena a;
	pid_t worker;
	long before;

	g_open(&a, SIZE);
	eq(of_scavenger(a.setup.id, "worker_pid"), 0, "C5 idle: no thread before there is work");
	set_policy(&a, 2, 0);
	take(&a, spans, 4);
	ok(g_wait_for((worker = of_scavenger(a.setup.id, "worker_pid")) > 0, 1000),
	   "C5 idle: then there is one");
	ok(g_wait_for(!of_scavenger(a.setup.id, "reserve_goal") &&
		      !of_scavenger(a.setup.id, "reserve_chunks"), 8000),
	   "C5 idle: without demand it comes to rest");
	g_msleep(100);
	before = sleeps(worker);
	ok(before > 0, "C5 idle: it has slept");
	g_msleep(2500);
	eq(sleeps(worker), before, "C5 idle: and sleeps on: no timer wakes it");
	take(&a, spans, 1);
	ok(g_wait_for(sleeps(worker) > before, 2000), "C5 idle: demand does");
	g_close(&a);
	ok(!kill(worker, 0) ? g_wait_for(kill(worker, 0), 2000) : true,
	   "C5 idle: with the arena it is gone");
}

/* Suspend as far as freezing all tasks: a thread that will not is an error. */
static void test_freezer(void)
{
	struct gcarena_span spans[NR];
	struct arena a;
	int err;

	if (!g_exists(PM_TEST) || g_write_file(PM_TEST, "freezer")) {
		skip(1, "C5 freezer: no " PM_TEST);
		return;
	}
	g_open(&a, SIZE);
	take(&a, spans, NR);
	for (int i = 0; i < NR; i += 8)
		g_return(&a, &spans[i], 8);
	/* Asleep, resting, or at work: whichever it is just then. */
	set_policy(&a, 2, RETAIN);
	for (int i = 0; i < 2; i++) {
		err = g_write_file(PM_STATE, "freeze");
		eq(err, 0, "C5 freezer: all tasks freeze, the thread too (%d)", i);
	}
	ok(g_wait_for(g_debugfs_stat(a.setup.id, "mapping_bytes") == (long)RETAIN, 20000),
	   "C5 freezer: and it goes on afterwards");
	g_write_file(PM_TEST, "none");
	g_close(&a);
}

int main(void)
{
	test_stopped();
	test_idle();
	test_freezer();
	return tap_done();
}
