// SPDX-License-Identifier: MIT
/*
 * The reserve: what a refill of a chunk and its first touch cost the caller, when the
 * chunk is of the reserve, when it was free and backed, and when there is none.
 *
 * In the caller's own CPU time, since on one CPU the arena's thread may take its
 * turn in the middle.  A span that is never returned makes each chunk a new one.
 * init_on_alloc zeroes a chunk a second time, wherever it is allocated: the
 * command line is in the table's head.
 */
#include <time.h>

#include "bench.h"

#define SIZE		(128 * GCARENA_CHUNK_SIZE)
#define WAIT_NS		1000000
#define WAITS		2000
#define NS_PER_S	1000000000ULL

static struct bench_arena arena;
static struct gcarena_status *status;

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static void set_reserve(uint32_t chunks)
{
	struct gcarena_policy policy = { .size = sizeof(policy), .reserve_chunks = chunks };
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};

	if (ioctl(arena.fd, GCARENA_IOC_POLICY, &args))
		bench_die("policy");
}

static uint64_t ready(void)
{
	return __atomic_load_n(&status->reserve_chunks, __ATOMIC_RELAXED);
}

static uint64_t backed(void)
{
	return __atomic_load_n(&status->counters.refill_backed, __ATOMIC_RELAXED);
}

static void await(uint64_t chunks)
{
	struct timespec rest = { .tv_nsec = WAIT_NS };

	for (int i = 0; i < WAITS && ready() != chunks; i++)
		nanosleep(&rest, NULL);
	if (ready() != chunks)
		bench_die("%llu chunks in reserve, not %llu", (unsigned long long)ready(),
			  (unsigned long long)chunks);
}

static long pmd_mapped(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[128];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "ShmemPmdMapped: %ld", &kb);
	if (f)
		fclose(f);
	return kb;
}

static struct gcarena_span take(void)
{
	struct gcarena_span span;

	if (bench_refill(&arena, BENCH_LARGE, GCARENA_CHUNK_PAGES, &span, 1) != 1)
		bench_die("refill");
	*(volatile char *)bench_addr(&arena, span.page) = 1;
	return span;
}

static void prepare_reserve(void)
{
	await(1);
}

/* The lowest idle chunk is what comes next; its mapping goes, its memory stays. */
static void prepare_backed(void)
{
	struct gcarena_span span = take();

	bench_return(&arena, &span, 1);
	madvise(arena.heap, arena.size, MADV_DONTNEED);
}

static double measure(const char *what, void (*prepare)(void), uint64_t backs)
{
	uint64_t took[BENCH_ROUNDS];
	uint64_t before = backed();
	uint64_t clock;
	long mapped = 0;

	for (int i = 0; i < BENCH_ROUNDS; i++) {
		if (prepare)
			prepare();
		clock = cpu_ns();
		clock = cpu_ns() - clock;
		mapped = pmd_mapped();
		took[i] = cpu_ns();
		take();
		took[i] = cpu_ns() - took[i] - clock;
		mapped = pmd_mapped() - mapped;
	}
	if (prepare == prepare_reserve && backed() - before != backs)
		bench_die("%llu chunks were backed by the refills",
			  (unsigned long long)(backed() - before));
	if (mapped << 10 != (long)GCARENA_CHUNK_SIZE)
		bench_die("the touch mapped %ld KiB by a PMD", mapped);
	qsort(took, BENCH_ROUNDS, sizeof(took[0]), bench_compare);
	printf("row\tarena\t%s\t%llu\t%llu\tchunk\n", what, (unsigned long long)took[0],
	       (unsigned long long)took[BENCH_ROUNDS / 2]);
	fflush(stdout);
	return took[BENCH_ROUNDS / 2];
}

int main(void)
{
	double reserve, idle, none;

	bench_open(&arena, SIZE, NULL);
	status = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ, MAP_SHARED, arena.fd,
		      GCARENA_OFF_STATUS);
	if (status == MAP_FAILED)
		bench_die("status page");
	take();
	idle = measure("refill and touch, idle", prepare_backed, 0);
	none = measure("refill and touch, no reserve", NULL, BENCH_ROUNDS);
	set_reserve(1);
	take();
	reserve = measure("refill and touch, of the reserve", prepare_reserve, 0);
	bench_ratio("C1 reserve / idle", reserve, idle, 2);
	bench_ratio("C1 no reserve / idle", none, idle, -10);
	bench_close(&arena);
	return 0;
}
