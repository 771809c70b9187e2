// SPDX-License-Identifier: MIT
/*
 * The program of all C workloads: PEER WORKLOAD PARAMETER...
 *
 * Opens the heap, runs one workload on the main thread, prints what the heap
 * knows about itself.  Must never touch the heap before peer_open().
 */
#include "bench.h"

#include <inttypes.h>

#define STACK_GROWN	(256u << 10)

static const struct workload {
	const char *name;
	void (*run)(struct bench *b);
} workloads[] = {
	{ "alloc", run_alloc },
#ifdef PEER_GCARENA
	{ "backing", run_backing },
#endif
	{ "bursty", run_bursty },
	{ "confined", run_limit },
	{ "connections", run_connections },
	{ "depgraph", run_depgraph },
	{ "fragment", run_fragment },
	{ "gcbench", run_gcbench },
	{ "jitter", run_jitter },
	{ "large", run_large },
	{ "limit", run_limit },
	{ "mutate", run_mutate },
	{ "percent", run_percent },
	{ "scale", run_scale },
#ifdef PEER_GCARENA
	{ "store", run_store },
#endif
	{ "threads", run_threads },
	{ "trees", run_trees },
};

void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

/**
 * bench_number - a parameter of the workload
 * @b: the run
 * @i: which, from 0
 * @least: what it must be at least
 *
 * Return: the number; ends the program without one.
 */
unsigned long bench_number(const struct bench *b, int i, unsigned long least)
{
	unsigned long n;
	char *end;

	if (i >= b->argc)
		bench_die("a parameter is missing");
	n = strtoul(b->argv[i], &end, 10);
	if (*end || n < least)
		bench_die("a parameter is not a number that will do");
	return n;
}

void bench_sum(uint64_t sum)
{
	printf("sum %" PRIu64 "\n", sum);
}

void bench_figure(const char *name, const char *unit, double value)
{
	printf("figure %s %s %.6g\n", name, unit, value);
}

/* Proportional set, and what of it is in huge pages, in KiB. */
static void memory(unsigned long *pss, unsigned long *huge)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib;
	char line[128];

	*pss = 0;
	*huge = 0;
	if (!file)
		bench_die("no /proc/self/smaps_rollup");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Pss: %lu", &kib) == 1)
			*pss = kib;
		else if (sscanf(line, "AnonHugePages: %lu", &kib) == 1 ||
			 sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			*huge += kib;
	}
	fclose(file);
}

/**
 * bench_memory - print the memory that the process has at this moment
 * @when: end of the figure's name
 * @live: bytes that the program has in use, or 0: no ratio
 */
void bench_memory(const char *when, uint64_t live)
{
	unsigned long pss, huge;
	char name[64];

	memory(&pss, &huge);
	snprintf(name, sizeof(name), "resident_%s", when);
	bench_figure(name, "KiB", (double)pss);
	snprintf(name, sizeof(name), "huge_%s", when);
	bench_figure(name, "KiB", (double)huge);
	if (!live)
		return;
	snprintf(name, sizeof(name), "resident_over_live_%s", when);
	bench_figure(name, "1", (double)pss * 1024 / (double)live);
}

/* At the end: the share of memory that is in huge pages. */
static void huge_share(void)
{
	unsigned long pss, huge;

	memory(&pss, &huge);
	bench_figure("huge_share", "1", (double)huge / (double)(pss ? pss : 1));
}

/* @ops operations since @begin. */
void bench_ops(uint64_t ops, uint64_t begin)
{
	bench_figure("ops", "1/s", (double)ops * 1e9 / (double)(now_ns() - begin));
}

uint64_t bench_kib(const char *path, const char *format)
{
	FILE *file = fopen(path, "r");
	unsigned long kib = 0;
	char line[128];

	if (!file)
		bench_die(path);
	while (fgets(line, sizeof(line), file) && sscanf(line, format, &kib) != 1)
		;
	fclose(file);
	return kib;
}

/* The kernel's for a parent that waits would count what ran before exec, too. */
static void peak(void)
{
	bench_figure("peak", "KiB", (double)bench_kib("/proc/self/status", "VmHWM: %lu"));
}

void bench_sleep(peer_thread t, uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	peer_blocked(t, nanosleep(&ts, NULL));
}

void laps_print(const struct laps *laps)
{
	static const char *const names[WINDOWS] = { "progress_1ms", "progress_10ms",
						    "progress_100ms" };

	bench_figure("batch_p50", "us", laps_quantile(laps, 0.5));
	bench_figure("batch_p99", "us", laps_quantile(laps, 0.99));
	bench_figure("batch_p999", "us", laps_quantile(laps, 0.999));
	bench_figure("batch_max", "us", (double)laps->worst / 1e3);
	for (unsigned int i = 0; i < WINDOWS; i++)
		if (laps->windows[i].worst > 0)
			bench_figure(names[i], "1", laps_progress(laps, i));
}

/* Valgrind cannot deliver a signal, by which a collector may stop a thread, where the
 * stack would have to grow for it.
 */
__attribute__((noinline))
static void grow_stack(void)
{
	volatile char deep[STACK_GROWN];

	for (size_t i = 0; i < sizeof(deep); i += 4096)
		deep[i] = 0;
}

int main(int argc, char **argv)
{
	struct bench b = { .argc = argc - 2, .argv = argv + 2 };

	for (size_t i = 0; argc > 1 && i < sizeof(workloads) / sizeof(*workloads); i++) {
		if (strcmp(argv[1], workloads[i].name))
			continue;
		grow_stack();
		peer_open();
		b.t = peer_enter();
		workloads[i].run(&b);
		huge_share();
		peer_figures();
		peak();
		peer_leave(b.t);
		return 0;
	}
	fprintf(stderr, "usage: %s WORKLOAD PARAMETER...\n", argv[0]);
	return 2;
}
