// SPDX-License-Identifier: MIT
/*
 * backing HOW MIB: memory that comes and goes, MIB of it, in buffers of a MiB.
 *
 * HOW is "touch" (the first write to each base page, allocation included), "release" (all
 * of it dropped and collected; timed is the call that gives it back) or "pressure" (the
 * same, but another process wants as much as the machine has left and half of MIB more, and
 * gets it when the heap's is given up; timed is that process).  Operations are base pages.
 */
#include "bench.h"

#ifdef PEER_GCARENA

#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUFFER		((1u << 20) - 64)	/* with what a heap adds still 128 pages */
#define BASE_PAGE	4096u
#define WIPED		8192u

static peer_ref roots[1];

/* Not inlined: what it leaves on the stack must not outlive it. */
__attribute__((noinline))
static uint64_t fill(peer_thread t, uint64_t nr)
{
	peer_ref *table = bench_table(t, &roots[0], nr);
	uint64_t sum = 0;

	for (uint64_t i = 0; i < nr; i++) {
		uint8_t *buffer = must(peer_bytes_raw(t, BUFFER));

		for (unsigned int at = 0; at < BUFFER; at += BASE_PAGE)
			buffer[at] = (uint8_t)i;
		peer_store(t, &table[i], (void *)buffer);
		sum += buffer[BUFFER - BASE_PAGE];
	}
	return sum;
}

/* What fill() left below: a collector that looks at the stack would keep the table. */
__attribute__((noinline))
static void wipe(void)
{
	char below[WIPED];

	memset(below, 0, sizeof(below));
	__asm__ volatile("" : : "r"(below) : "memory");
}

/* The other process: this program once more, as "backing hog KIB". */
static void hog(uint64_t kib)
{
	char *memory = mmap(NULL, kib << 10, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_die("out of memory");
	for (uint64_t at = 0; at < kib << 10; at += BASE_PAGE)
		memory[at] = 1;
	_exit(0);
}

static void press(struct bench *b, uint64_t mib)
{
	char kib[32], *argv[] = { "bench", "backing", "hog", kib, NULL };
	uint64_t available = bench_kib("/proc/meminfo", "MemAvailable: %lu");
	int status;
	pid_t pid;

	snprintf(kib, sizeof(kib), "%lu", (unsigned long)(available + mib * 1024 / 2));
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ))
		bench_die("no other process");
	peer_blocked(b->t, waitpid(pid, &status, 0));
	if (status)
		bench_die("the other process did not get its memory");
}

void run_backing(struct bench *b)
{
	uint64_t nr = bench_number(b, 1, 1), begin, sum;
	const char *how = b->argv[0];

	if (!strcmp(how, "hog"))
		hog(nr);
	peer_roots(roots, 1);
	begin = now_ns();
	sum = fill(b->t, nr);
	if (strcmp(how, "touch")) {
		peer_store(b->t, &roots[0], NULL);
		wipe();
		peer_collect(b->t);
		bench_memory("dropped", 0);
		begin = now_ns();
		if (!strcmp(how, "release"))
			peer_release(b->t);
		else if (!strcmp(how, "pressure"))
			press(b, nr);
		else
			bench_die("backing touch|release|pressure MIB");
	}
	bench_ops(nr * (BUFFER / BASE_PAGE), begin);
	bench_memory("after", 0);
	bench_sum(sum);
}

#endif /* PEER_GCARENA */
