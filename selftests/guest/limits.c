// SPDX-License-Identifier: MIT
/*
 * What bounds a user: the module's two limits, and how the system's own
 * (RLIMIT_AS, RLIMIT_MEMLOCK, mlockall) meet an arena.
 *
 * Limits are for who has no CAP_SYS_RESOURCE and no CAP_IPC_LOCK, so each case
 * runs in a child that is another user, and reports over a pipe.
 */
#include <grp.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "guest.h"

#define PARAMETERS	"/sys/module/gcarena/parameters/"
#define USER		1000
#define SIZE		(32 * MIB)
/* Below the default that a user may not raise, above what the program needs. */
#define LOCKED		(4 * MIB)

#ifndef MCL_ONFAULT
#define MCL_ONFAULT	4
#endif

/* Run @child as @uid: what it returned, which must fit into an int. */
static int as_user(uid_t uid, int (*child)(long arg), long arg)
{
	int fds[2], value = -9999;
	pid_t pid;

	if (pipe(fds))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (uid && (setgroups(0, NULL) || setgid(uid) || setuid(uid)))
			_exit(99);
		value = child(arg);
		_exit(write(fds[1], &value, sizeof(value)) != sizeof(value));
	}
	close(fds[1]);
	if (read(fds[0], &value, sizeof(value)) != sizeof(value))
		diag("the child said nothing");
	close(fds[0]);
	waitpid(pid, NULL, 0);
	return value;
}

/*
 * Set up arenas of SIZE until it fails, @arg at most: how many, and the error
 * in thousands.
 */
static int child_arenas(long arg)
{
	int n = 0, err = 0;

	while (n < arg && !err) {
		err = g_setup(open(DEVICE, O_RDWR), SIZE, NULL);
		n += !err;
	}
	return n - 1000 * err;
}

static void set_parameter(const char *name, unsigned long value)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%lu", value);
	eq(g_write_file(path, text), 0, "%s=%s", name, text);
}

static unsigned long parameter(const char *name)
{
	char path[128];
	unsigned long value = 0;
	FILE *f;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%lu", &value) != 1)
		bail("no %s", path);
	fclose(f);
	return value;
}

/* Another user holds some while the first is counted. */
static void test_counted(const char *name, int err)
{
	int ready[2], hold[2];
	pid_t pid;
	char byte;

	if (pipe(ready) || pipe(hold))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(hold[1]);
		if (setuid(USER + 1) || child_arenas(3) != 3 || write(ready[1], "r", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &byte, 1) < 0);
	}
	close(hold[0]);
	eq(read(ready[0], &byte, 1), 1, "%s: another user has three arenas", name);
	eq(as_user(USER, child_arenas, 5), 3 - 1000 * err,
	   "%s: a user gets three all the same, then %s", name, strerror(-err));
	eq(as_user(USER, child_arenas, 3), 3, "%s: and after they died, three again", name);
	eq(as_user(USER + 1, child_arenas, 1), -1000 * err, "%s: the other has no more", name);
	eq(as_user(0, child_arenas, 5), 5, "%s: who has CAP_SYS_RESOURCE gets more", name);
	close(hold[1]);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_per_user(void)
{
	unsigned long arenas = parameter("arenas_per_user");
	unsigned long bytes = parameter("heap_bytes_per_user");

	eq(arenas, 1024, "limit: a thousand arenas by default");
	ok(bytes == 1UL << 46, "limit: 64 TiB of heap by default");

	set_parameter("arenas_per_user", 3);
	test_counted("arenas", -EMFILE);
	set_parameter("arenas_per_user", arenas);

	set_parameter("heap_bytes_per_user", 4 * SIZE - CHUNK);
	test_counted("bytes", -EDQUOT);
	set_parameter("heap_bytes_per_user", 0);
	eq(as_user(USER, child_arenas, 1), 1000 * EDQUOT, "bytes: 0 is none at all");
	set_parameter("heap_bytes_per_user", bytes);
	eq(as_user(USER, child_arenas, 5), 5, "limits as they were");
}

/* Errno of an mmap of a heap of @size. */
static int map_heap(long size)
{
	int fd = open(DEVICE, O_RDWR), err = g_setup(fd, size, NULL);
	void *p;

	if (err)
		return err;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return p == MAP_FAILED ? -errno : 0;
}

static void limit(int resource, unsigned long bytes)
{
	struct rlimit r = { bytes, bytes };

	if (setrlimit(resource, &r))
		_exit(98);
}

static int child_address_space(long size)
{
	limit(RLIMIT_AS, 4096 * MIB);
	return map_heap(size);
}

static int child_future_over(long arg)
{
	limit(RLIMIT_MEMLOCK, LOCKED);
	if (mlockall(MCL_FUTURE))
		return -errno;
	return map_heap(SIZE);
}

static int child_current_over(long arg)
{
	struct arena a;

	g_open(&a, SIZE);
	limit(RLIMIT_MEMLOCK, LOCKED);
	return mlockall(MCL_CURRENT) ? -errno : 0;
}

static int child_mlock_over(long arg)
{
	struct arena a;

	g_open(&a, SIZE);
	limit(RLIMIT_MEMLOCK, CHUNK);
	if (mlock(a.heap, CHUNK))
		return -errno;
	if (mlock(a.heap + CHUNK, CHUNK) == 0)
		return 1;
	return errno == ENOMEM ? 0 : -errno;
}

/* MiB of the heap that are resident after mlockall(@flags), before or after the mapping. */
static int child_resident(long flags)
{
	struct arena a;

	if (flags & MCL_FUTURE && mlockall(flags))
		return -errno;
	g_open(&a, SIZE);
	if (flags & MCL_CURRENT && mlockall(flags))
		return -errno;
	return g_smaps(a.heap, "Rss") / MIB;
}

/* MiB of locked, free memory that scavenge releases. */
static int child_scavenge(long flags)
{
	struct gcarena_span s[4];
	struct arena a;

	if (mlockall(flags))
		return -errno;
	g_open(&a, SIZE);
	if (g_refill(&a, C_CHUNKY, 0, s, 4) != 4)
		return -1;
	memset(g_addr(&a, s[0].page), 1, CHUNK);
	if (g_smaps(a.heap, "Locked") < (long)CHUNK)
		return -2;
	if (g_return(&a, s, 4))
		return -3;
	return g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0) / MIB;
}

static void test_system(void)
{
	eq(as_user(USER, child_address_space, 8192 * MIB), -ENOMEM,
	   "RLIMIT_AS: a heap beyond it does not map: ENOMEM");
	eq(as_user(USER, child_address_space, 1024 * MIB), 0, "RLIMIT_AS: a smaller one does");

	eq(as_user(USER, child_mlock_over, 0), 0,
	   "RLIMIT_MEMLOCK: a chunk can be locked, one more is ENOMEM");
	eq(as_user(USER, child_current_over, 0), -ENOMEM,
	   "RLIMIT_MEMLOCK: mlockall(MCL_CURRENT) with a larger heap is ENOMEM");
	eq(as_user(USER, child_future_over, 0), -EAGAIN,
	   "RLIMIT_MEMLOCK: with MCL_FUTURE the heap's mmap is EAGAIN");

	eq(as_user(0, child_resident, MCL_FUTURE), (int)(SIZE / MIB),
	   "mlockall: MCL_FUTURE populates the reservation");
	eq(as_user(0, child_resident, MCL_CURRENT), (int)(SIZE / MIB),
	   "mlockall: MCL_CURRENT as well");
	eq(as_user(0, child_resident, MCL_FUTURE | MCL_ONFAULT), 0,
	   "mlockall: MCL_FUTURE | MCL_ONFAULT does not");
	eq(as_user(0, child_resident, MCL_CURRENT | MCL_ONFAULT), 0,
	   "mlockall: MCL_CURRENT | MCL_ONFAULT does not");
	eq(as_user(0, child_scavenge, MCL_FUTURE | MCL_ONFAULT), 2,
	   "mlockall: what is locked and free is released by scavenge");
	eq(as_user(0, child_scavenge, MCL_FUTURE), 2,
	   "mlockall: what was populated and never handed out is not");
}

int main(void)
{
	test_per_user();
	test_system();
	return tap_done();
}
