/* SPDX-License-Identifier: MIT */
/*
 * bench.h: what the kernel benchmarks share: a clock, a row, a ratio.
 *
 * The programs run in a guest whose clock counts instructions (-icount), where
 * the TSC advances by one for each: figures are instructions, the kernel's and
 * the program's, of everything that the one CPU does meanwhile.  A string
 * instruction counts once for each iteration.  Anywhere else they are cycles of
 * a busy machine and mean little.  Nothing here allocates or prints while an
 * operation is measured.
 *
 * A program prints rows, tab-separated, which bench/kernel/run makes a table of:
 *
 *   row   PART  WHAT  LEAST  MEDIAN  PER
 *   ratio CLAIM  A/B  ALLOWED  ok|over
 */
#ifndef BENCH_KERNEL_BENCH_H
#define BENCH_KERNEL_BENCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/gcarena.h>

/* Odd, for the median; the least is without timer interrupts. */
#define BENCH_ROUNDS	9

/**
 * struct bench - one operation to be measured
 * @part: whose: "arena", "memfd", "anonymous", "system"
 * @what: the operation
 * @per: of what one unit is: "call", "span", "chunk", "8 KiB", …
 * @units: units in one run
 * @before: prepares a run, unmeasured; or NULL
 * @run: what is measured
 * @after: cleans up, unmeasured; or NULL
 */
struct bench {
	const char *part;
	const char *what;
	const char *per;
	unsigned int units;
	void (*before)(void *arg);
	void (*run)(void *arg);
	void (*after)(void *arg);
};

static inline uint64_t bench_clock(void)
{
	return __builtin_ia32_rdtsc();
}

static inline int bench_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

#define BENCH_KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/scan_sleep_millisecs"
#define BENCH_ASLEEP	"4000000000"

/*
 * khugepaged is counted with whoever runs, and who releases waits for it: a chunk that
 * it looks at just then costs twice as much.  After this it sleeps for weeks.
 */
__attribute__((constructor))
static void bench_quiet(void)
{
	int fd = open(BENCH_KHUGEPAGED, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, BENCH_ASLEEP, strlen(BENCH_ASLEEP)) < 0)
		printf("note\tkhugepaged is awake: %s\n", strerror(errno));
	close(fd);
	/* The scan that this wakes it for. */
	sleep(1);
}

/* Measures @b, prints its row; the median for one unit. */
__attribute__((unused))
static double bench_row(const struct bench *b, void *arg)
{
	uint64_t took[BENCH_ROUNDS];
	double units = b->units ? b->units : 1;
	unsigned int i;

	/* The first round warms page tables, slabs and translations. */
	for (i = 0; i <= BENCH_ROUNDS; i++) {
		uint64_t since;

		if (b->before)
			b->before(arg);
		since = bench_clock();
		b->run(arg);
		took[i ? i - 1 : 0] = bench_clock() - since;
		if (b->after)
			b->after(arg);
	}
	qsort(took, BENCH_ROUNDS, sizeof(took[0]), bench_compare);
	printf("row\t%s\t%s\t%.0f\t%.0f\t%s\n", b->part, b->what, took[0] / units,
	       took[BENCH_ROUNDS / 2] / units, b->per);
	fflush(stdout);
	return took[BENCH_ROUNDS / 2] / units;
}

/* @claim: @a is at most @allowed times @b; or at least -@allowed times. */
__attribute__((unused))
static bool bench_ratio(const char *claim, double a, double b, double allowed)
{
	double ratio = b > 0 ? a / b : 0;
	bool good = allowed < 0 ? ratio >= -allowed : ratio <= allowed;

	printf("ratio\t%s\t%.2f\t%s %.2f\t%s\n", claim, ratio, allowed < 0 ? ">=" : "<=",
	       allowed < 0 ? -allowed : allowed, good ? "ok" : "over");
	fflush(stdout);
	return good;
}

/* A benchmark that cannot be set up says why and fails. */
__attribute__((noreturn, format(printf, 1, 2), unused))
static void bench_die(const char *format, ...)
{
	va_list ap;

	printf("died\t");
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	printf(": %s\n", strerror(errno));
	fflush(stdout);
	exit(1);
}

/* The class table of all programs here. */
enum { BENCH_C64, BENCH_C1K, BENCH_LARGE, BENCH_MANUAL, BENCH_CLASSES };

/**
 * struct bench_arena - an arena with its heap mapped
 * @fd: the descriptor
 * @size: of the heap
 * @heap: where it is, aligned to a chunk
 * @bits: bitmap[0], bitmap[1]
 * @generation: of sweeping
 */
struct bench_arena {
	int fd;
	uint64_t size;
	char *heap;
	uint64_t *bits[2];
	uint32_t generation;
};

__attribute__((unused))
static void bench_open(struct bench_arena *a, uint64_t size, const struct gcarena_policy *policy)
{
	static const struct gcarena_class classes[BENCH_CLASSES] = {
		[BENCH_C64] = { .elem_size = 64, .npages = 1 },
		[BENCH_C1K] = { .elem_size = 1024, .npages = 2 },
		[BENCH_LARGE] = { .flags = GCARENA_CLASS_LARGE },
		[BENCH_MANUAL] = { .flags = GCARENA_CLASS_MANUAL },
	};
	struct gcarena_setup setup = {
		.size = sizeof(setup),
		.heap_size = size,
		.classes = (uintptr_t)classes,
		.nr_classes = BENCH_CLASSES,
		.class_size = sizeof(classes[0]),
		.policy = (uintptr_t)policy,
	};

	memset(a, 0, sizeof(*a));
	a->size = size;
	a->fd = open("/dev/gcarena", O_RDWR | O_CLOEXEC);
	if (a->fd < 0 || ioctl(a->fd, GCARENA_IOC_SETUP, &setup))
		bench_die("set-up");
	a->heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, GCARENA_OFF_HEAP);
	a->bits[0] = mmap(NULL, 2 * setup.bitmap_size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd,
			  setup.bitmaps_offset);
	if (a->heap == MAP_FAILED || (void *)a->bits[0] == MAP_FAILED)
		bench_die("mmap of the arena");
	a->bits[1] = a->bits[0] + setup.bitmap_size / sizeof(uint64_t);
}

__attribute__((unused))
static void bench_close(struct bench_arena *a)
{
	munmap(a->heap, a->size);
	munmap(a->bits[0], (char *)a->bits[1] - (char *)a->bits[0] +
	       (a->size >> GCARENA_PAGE_SHIFT) * GCARENA_LINE_SIZE);
	close(a->fd);
}

/* One refill call: how many spans came, of those wanted. */
static inline unsigned int bench_refill(struct bench_arena *a, unsigned int cls, uint32_t npages,
					struct gcarena_span *ready, uint32_t nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)ready,
		.nr_ready = nr,
		.npages = npages,
		.span_class = cls,
	};

	return ioctl(a->fd, GCARENA_IOC_REFILL, &args) ? 0 : args.nr_ready;
}

/* Entries as they came from refill may go back as they are. */
static inline unsigned int bench_return(struct bench_arena *a, struct gcarena_span *spent,
					uint32_t nr)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)spent,
		.nr_spent = nr,
	};

	return ioctl(a->fd, GCARENA_IOC_RETURN, &args) ? 0 : args.nr_spent;
}

static inline int64_t bench_scavenge(struct bench_arena *a, uint32_t flags, uint64_t bytes)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = flags, .bytes = bytes };

	return ioctl(a->fd, GCARENA_IOC_SCAVENGE, &args) ? -errno : (int64_t)args.bytes;
}

static inline char *bench_addr(struct bench_arena *a, uint32_t page)
{
	return a->heap + ((uint64_t)page << GCARENA_PAGE_SHIFT);
}

/* A mapping of @size, aligned to 2 MiB, that may have huge pages. */
__attribute__((unused))
static char *bench_map(uint64_t size, int flags, int fd)
{
	char *lower = mmap(NULL, size + GCARENA_CHUNK_SIZE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t at = ((uintptr_t)lower + GCARENA_CHUNK_SIZE - 1) & ~(GCARENA_CHUNK_SIZE - 1);
	char *map;

	if (lower == MAP_FAILED)
		bench_die("address space");
	map = mmap((void *)at, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED | MAP_NORESERVE,
		   fd, 0);
	if (map == MAP_FAILED)
		bench_die("mmap of %llu MiB", (unsigned long long)size >> 20);
	if (madvise(map, size, MADV_HUGEPAGE))
		bench_die("MADV_HUGEPAGE");
	return map;
}

#endif /* BENCH_KERNEL_BENCH_H */
