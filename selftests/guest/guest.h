/* SPDX-License-Identifier: MIT */
/*
 * guest.h: what the device's tests share.
 *
 * The contract alone (uapi) and plain system calls: a bug in libgcarena must
 * not be able to hide one in the kernel.  The tests run as root in a guest that
 * selftests/vm/run has booted, with debugfs and cgroup2 mounted.  Calls return
 * 0 or a negative errno, like the kernel's own.
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/gcarena.h>

#include "tap.h"

#define DEVICE		"/dev/gcarena"
#define DEBUGFS		"/sys/kernel/debug/gcarena"
#define MIB		(1UL << 20)
#define CHUNK		GCARENA_CHUNK_SIZE
#define PAGE		GCARENA_PAGE_SIZE
#define BASE_PAGE	4096UL

/* The class table of all tests. */
enum {
	C_16,		/* 512 objects of 16 bytes in a page */
	C_64,		/* 128 of 64 bytes */
	C_1K,		/* 16 of 1 KiB in two pages */
	C_CHUNKY,	/* 64 pages in one span, 8 KiB objects */
	C_LARGE,
	C_MANUAL,
	C_COUNT
};

static const struct gcarena_class g_classes[C_COUNT] __attribute__((unused)) = {
	[C_16] = { .elem_size = 16, .npages = 1 },
	[C_64] = { .elem_size = 64, .npages = 1 },
	[C_1K] = { .elem_size = 1024, .npages = 2 },
	[C_CHUNKY] = { .elem_size = 8192, .npages = 64 },
	[C_LARGE] = { .flags = GCARENA_CLASS_LARGE },
	[C_MANUAL] = { .flags = GCARENA_CLASS_MANUAL },
};

struct arena {
	int fd;
	struct gcarena_setup setup;
	uint64_t size;
	char *heap;
	struct gcarena_row *rows;
	uint64_t *bits[2];
	struct gcarena_status *status;
};

__attribute__((unused))
static int g_ioctl(int fd, unsigned long cmd, void *arg)
{
	return ioctl(fd, cmd, arg) < 0 ? -errno : 0;
}

__attribute__((unused))
static int g_setup(int fd, uint64_t size, struct gcarena_setup *out)
{
	struct gcarena_setup args = {
		.size = sizeof(args),
		.heap_size = size,
		.classes = (uintptr_t)g_classes,
		.nr_classes = C_COUNT,
		.class_size = sizeof(struct gcarena_class),
	};
	int err = g_ioctl(fd, GCARENA_IOC_SETUP, &args);

	if (out)
		*out = args;
	return err;
}

/* Open, set up and map all there is; a failure ends the program. */
__attribute__((unused))
static void g_open(struct arena *a, uint64_t size)
{
	int err;

	memset(a, 0, sizeof(*a));
	a->size = size;
	a->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (a->fd < 0)
		bail("open %s: %s", DEVICE, strerror(errno));
	err = g_setup(a->fd, size, &a->setup);
	if (err)
		bail("set-up: %s", strerror(-err));
	a->heap = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, GCARENA_OFF_HEAP);
	a->rows = mmap(NULL, a->setup.spans_size, PROT_READ, MAP_SHARED, a->fd,
		       a->setup.spans_offset);
	a->bits[0] = mmap(NULL, 2 * a->setup.bitmap_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  a->fd, a->setup.bitmaps_offset);
	a->bits[1] = (void *)((char *)a->bits[0] + a->setup.bitmap_size);
	a->status = mmap(NULL, a->setup.status_size, PROT_READ, MAP_SHARED, a->fd,
			 a->setup.status_offset);
	if (a->heap == MAP_FAILED || a->rows == MAP_FAILED || (void *)a->bits[0] == MAP_FAILED ||
	    a->status == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
}

__attribute__((unused))
static void g_unmap_meta(struct arena *a)
{
	munmap(a->rows, a->setup.spans_size);
	munmap(a->bits[0], 2 * a->setup.bitmap_size);
	munmap(a->status, a->setup.status_size);
}

static int g_validate(uint32_t id);

/* Every test ends with a look at the arena's structures. */
__attribute__((unused))
static void g_close(struct arena *a)
{
	int err = g_validate(a->setup.id);

	if (err)
		ok(false, "arena %u is not valid: %s", a->setup.id, strerror(-err));
	munmap(a->heap, a->size);
	g_unmap_meta(a);
	close(a->fd);
}

/* Refill @nr spans of @cls; the count, or a negative errno. */
__attribute__((unused))
static int g_refill(struct arena *a, unsigned int cls, uint32_t npages, struct gcarena_span *ready,
		    uint32_t nr)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)ready,
		.nr_ready = nr,
		.npages = npages,
		.span_class = cls,
	};
	int err = g_ioctl(a->fd, GCARENA_IOC_REFILL, &args);

	return err ? err : (int)args.nr_ready;
}

__attribute__((unused))
static int g_return(struct arena *a, struct gcarena_span *spent, uint32_t nr)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)spent,
		.nr_spent = nr,
	};

	return g_ioctl(a->fd, GCARENA_IOC_RETURN, &args);
}

__attribute__((unused))
static int g_start_sweep(struct arena *a, uint32_t generation)
{
	struct gcarena_sweep args = { .size = sizeof(args), .generation = generation };

	return g_ioctl(a->fd, GCARENA_IOC_START_SWEEP, &args);
}

/* Sweep all there is; spans left of an older generation (held ones). */
__attribute__((unused))
static long g_assist(struct arena *a)
{
	struct gcarena_sweep args = { .size = sizeof(args), .nr_spans = ~0U };
	int err = g_ioctl(a->fd, GCARENA_IOC_SWEEP_ASSIST, &args);

	return err ? err : (long)args.left;
}

__attribute__((unused))
static long g_scavenge(struct arena *a, uint32_t flags, uint64_t bytes)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = flags, .bytes = bytes };
	int err = g_ioctl(a->fd, GCARENA_IOC_SCAVENGE, &args);

	return err ? err : (long)args.bytes;
}

__attribute__((unused))
static void g_stats(struct arena *a, struct gcarena_stats *stats)
{
	int err;

	memset(stats, 0, sizeof(*stats));
	stats->size = sizeof(*stats);
	err = g_ioctl(a->fd, GCARENA_IOC_STATS, stats);
	if (err)
		bail("statistics: %s", strerror(-err));
}

/* An entry as it came from refill, as it goes into a return. */
__attribute__((unused))
static struct gcarena_span g_spent(struct gcarena_span span, uint16_t flags)
{
	span.flags = flags;
	return span;
}

__attribute__((unused))
static char *g_addr(struct arena *a, uint32_t page)
{
	return a->heap + ((uint64_t)page << GCARENA_PAGE_SHIFT);
}

/* Allocation bit of the object at granule @granule of @page. */
__attribute__((unused))
static void g_set_bit(struct arena *a, unsigned int which, uint32_t page, unsigned int granule)
{
	uint64_t *line = a->bits[which] + (uint64_t)page * GCARENA_LINE_WORDS;

	line[granule / 64] |= 1ULL << granule % 64;
}

__attribute__((unused))
static unsigned int g_count_bits(struct arena *a, unsigned int which, uint32_t page,
				 uint32_t npages)
{
	uint64_t *line = a->bits[which] + (uint64_t)page * GCARENA_LINE_WORDS;
	unsigned int count = 0;
	uint64_t i;

	for (i = 0; i < (uint64_t)npages * GCARENA_LINE_WORDS; i++)
		count += __builtin_popcountll(line[i]);
	return count;
}

__attribute__((unused))
static unsigned int g_row_state(struct arena *a, uint32_t page)
{
	return a->rows[page].word1 & GCARENA_ROW_STATE_MASK;
}

__attribute__((unused))
static bool g_row_in_use(struct arena *a, uint32_t page)
{
	return __atomic_load_n(&a->rows[page].word0, __ATOMIC_ACQUIRE) & GCARENA_ROW_IN_USE;
}

/* A field of the VMA at @addr in smaps, in bytes; -1 without VMA or field. */
__attribute__((unused))
static long g_smaps(void *addr, const char *field)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	size_t len = strlen(field);
	char line[512];
	bool here = false;
	long kb = -1;

	while (f && fgets(line, sizeof(line), f)) {
		unsigned long lo, hi;

		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2)
			here = (unsigned long)addr >= lo && (unsigned long)addr < hi;
		else if (here && !strncmp(line, field, len) && line[len] == ':')
			sscanf(line + len + 1, "%ld", &kb);
	}
	if (f)
		fclose(f);
	return kb < 0 ? -1 : kb * 1024;
}

/* The number after @key in a file of "key value" or "key: value" lines; -1. */
__attribute__((unused))
static long g_file_value(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	char name[128];
	long value = -1, v;

	while (f && fscanf(f, "%127s %ld%*[^\n]", name, &v) >= 1) {
		size_t len = strlen(name);

		if (len && name[len - 1] == ':')
			name[len - 1] = 0;
		if (!strcmp(name, key)) {
			value = v;
			break;
		}
	}
	if (f)
		fclose(f);
	return value;
}

/* The one number in a file; -1. */
__attribute__((unused))
static long g_file_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 ? atol(text) : -1;
}

/*
 * Tasks whose name is @name, or begins with it if it ends with a slash: how many,
 * and in *@pid one of them.
 */
__attribute__((unused))
static unsigned int g_tasks(const char *name, pid_t *pid)
{
	size_t len = strlen(name) + (name[strlen(name) - 1] != '/');
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	unsigned int count = 0;

	while (dir && (entry = readdir(dir))) {
		char path[280], comm[32] = "";
		FILE *f;

		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (f && fscanf(f, "%31s", comm) == 1 && !strncmp(comm, name, len)) {
			count++;
			if (pid)
				*pid = atoi(entry->d_name);
		}
		if (f)
			fclose(f);
	}
	if (dir)
		closedir(dir);
	return count;
}

/* The pid of an arena's thread, 0 if it has none. */
__attribute__((unused))
static pid_t g_worker(uint32_t id)
{
	char name[32];
	pid_t pid = 0;

	snprintf(name, sizeof(name), "gcarena/%u", id);
	g_tasks(name, &pid);
	return pid;
}

__attribute__((unused))
static int g_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	ssize_t n;
	int err = 0;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n != (ssize_t)strlen(text))
		err = n < 0 ? -errno : -EIO;
	close(fd);
	return err;
}

/*
 * An arena whose figures can be told to the page: without per-CPU caches, whose
 * ready spans are in use until they are asked for.
 */
__attribute__((unused))
static void g_open_uncached(struct arena *a, uint64_t size)
{
	/* Read when an arena is set up. */
	static const char path[] = "/sys/module/gcarena/parameters/cpu_cache_bytes";
	char before[32];

	snprintf(before, sizeof(before), "%ld", g_file_number(path));
	if (g_write_file(path, "0"))
		bail("%s", path);
	g_open(a, size);
	if (g_write_file(path, before))
		bail("%s", path);
}

/* The choice in brackets of a "one [two] three" file. */
__attribute__((unused))
static void g_read_choice(const char *path, char *choice, size_t size)
{
	char text[256] = "";
	char *lo, *hi;
	int fd = open(path, O_RDONLY);

	if (fd >= 0 && read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	lo = strchr(text, '[');
	hi = lo ? strchr(lo, ']') : NULL;
	snprintf(choice, size, "%.*s", hi ? (int)(hi - lo - 1) : 0, hi ? lo + 1 : "");
}

__attribute__((unused))
static bool g_exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

__attribute__((unused))
static bool g_debugfs_has(uint32_t id)
{
	char path[64];

	snprintf(path, sizeof(path), DEBUGFS "/%u", id);
	return g_exists(path);
}

__attribute__((unused))
static long g_debugfs_stat(uint32_t id, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), DEBUGFS "/%u/stats", id);
	return g_file_value(path, key);
}

/* Have the kernel check every structure of the arena: 0 or what it says. */
__attribute__((unused))
static int g_validate(uint32_t id)
{
	char path[64], text[8] = "";
	int fd, err;

	snprintf(path, sizeof(path), DEBUGFS "/%u/validate", id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = read(fd, text, sizeof(text)) < 0 ? -errno : strncmp(text, "ok", 2);
	close(fd);
	return err;
}

__attribute__((unused))
static int64_t g_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

__attribute__((unused))
static void g_msleep(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* Wait until @cond, at most @ms milliseconds; its last value. */
#define g_wait_for(cond, ms)						\
	({								\
		long left_ = (ms);					\
		bool true_;						\
									\
		while (!(true_ = (cond)) && left_ > 0) {		\
			g_msleep(5);					\
			left_ -= 5;					\
		}							\
		true_;							\
	})

/* A write of one byte in a child: 0, or the signal it died of. */
__attribute__((unused))
static int g_child_touch(volatile char *addr, bool write)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (write)
			*addr = 1;
		else
			(void)*addr;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

#endif /* SELFTESTS_GUEST_H */
