// SPDX-License-Identifier: MIT
/*
 * A thousand owners that are killed in the middle of things leave nothing
 * behind: no arena, no thread, no memory.  What the kernel thinks of it (leaks
 * of references, locks held at exit) is for the guest's runner to find.
 */
#include <dirent.h>
#include <sched.h>

#include "guest.h"

#define ROUNDS		1000
#define WARM_UP		50
#define SIZE		(16 * MIB)
/* What the rest of the system may take in between, of 1000 arenas' share of
 * some 100 KiB each, or 4 MiB with their heap.
 */
#define NOISE		(12L * MIB)

#define FILES		"/proc/sys/fs/file-nr"
#define INODES		"/proc/sys/fs/inode-nr"

static unsigned int seed = 12345;

static unsigned int roll(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static unsigned int count_entries(const char *path, const char *prefix)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int count = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' && !strncmp(entry->d_name, prefix, strlen(prefix)))
			count++;
	if (dir)
		closedir(dir);
	return count;
}

static long available(void)
{
	return g_file_value("/proc/meminfo", "MemAvailable") * 1024;
}

/* Open files, or inodes, of the whole system. */
static long kernel_objects(const char *path)
{
	FILE *f = fopen(path, "r");
	long count = -1;

	if (!f || fscanf(f, "%ld", &count) != 1)
		count = -1;
	if (f)
		fclose(f);
	return count;
}

/* Use the arena until killed; does not return. */
static void live(unsigned int how)
{
	struct gcarena_span s[32], large;
	struct arena a;
	uint32_t gen = 0;

	g_open(&a, SIZE);
	for (;;) {
		int n = g_refill(&a, C_64, 0, s, 32);

		for (int i = 0; i < n; i++) {
			memset(g_addr(&a, s[i].page), i, 128);
			g_set_bit(&a, s[i].generation & 1, s[i].page, 0);
		}
		if (g_refill(&a, C_LARGE, 300, &large, 1) == 1) {
			g_addr(&a, large.page)[0] = 1;
			g_set_bit(&a, large.generation & 1, large.page, 0);
		}
		if (how == 0)
			raise(SIGKILL);
		g_return(&a, s, n);
		g_return(&a, &large, 1);
		if (!g_start_sweep(&a, gen))
			gen++;
		if (how == 1)
			raise(SIGKILL);
		g_assist(&a);
		g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
	}
}

static int one_round(void)
{
	unsigned int how = roll(4);
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		live(how);
	if (how >= 2) {
		/* At any point: set-up, a fault, a populate, a sweep. */
		struct timespec ts = { 0, roll(12) * 1000000 };

		nanosleep(&ts, NULL);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(void)
{
	long shmem, free_before, files, inodes;
	int i, killed = 0;

	for (i = 0; i < WARM_UP; i++)
		one_round();
	g_wait_for(count_entries(DEBUGFS, "") == 1, 5000);
	shmem = g_file_value("/proc/meminfo", "Shmem") * 1024;
	free_before = available();
	files = kernel_objects(FILES);
	inodes = kernel_objects(INODES);

	for (i = 0; i < ROUNDS; i++)
		killed += one_round();
	eq(killed, ROUNDS, "a thousand owners set up, fill and are killed");
	ok(g_wait_for(count_entries(DEBUGFS, "") == 1, 10000),
	   "no arena is left in debugfs, but the file of totals");
	eq(g_file_value(DEBUGFS "/totals", "arenas"), 0, "which counts none");
	ok(g_wait_for(!g_tasks("gcarena/", NULL), 10000), "no thread is left");
	ok(g_wait_for(g_file_value("/proc/meminfo", "Shmem") * 1024 <= shmem + (long)MIB, 10000),
	   "no heap memory is left");
	ok(g_wait_for(available() >= free_before - NOISE, 10000), "nor any other memory");
	ok(g_wait_for(kernel_objects(FILES) < files + ROUNDS / 4, 10000), "no file is left open");
	ok(g_wait_for(kernel_objects(INODES) < inodes + ROUNDS / 4, 10000), "no inode is left");
	diag("files %ld -> %ld, inodes %ld -> %ld", files, kernel_objects(FILES), inodes,
	     kernel_objects(INODES));
	diag("available before %ld after %ld KiB", free_before / 1024, available() / 1024);
	return tap_done();
}
