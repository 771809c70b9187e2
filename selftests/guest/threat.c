// SPDX-License-Identifier: MIT
/*
 * The threat model: a test for each line of Documentation/threat-model.rst that
 * no other program tests, named by the line.
 *
 * The attacker is an ordinary process: it may corrupt what it can write, call
 * anything with anything, and be killed at any moment.  What must hold is that
 * the kernel reports nothing (selftests/vm/run looks), that an arena which was
 * lied about is still valid, and that others' arenas are as they were.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "guest.h"

#define SIZE		(32 * MIB)
#define GROUP		"/sys/fs/cgroup/gcarena-threat"
#define USER		1000
/* A task that was told to die has this long: half of what is called a hung one. */
#define DEATH_MS	30000

/* An arena with known contents, that nobody may harm. */
static struct arena victim;
static struct gcarena_span victims[4];

static uint64_t state = 88172645463325252ULL;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static bool victim_unharmed(void)
{
	if (g_validate(victim.setup.id))
		return false;
	for (int i = 0; i < 4; i++)
		for (size_t at = 0; at < 64 * PAGE; at += 512)
			if (g_addr(&victim, victims[i].page)[at] != 0x5a)
				return false;
	return true;
}

static void victim_start(void)
{
	g_open(&victim, SIZE);
	if (g_refill(&victim, C_CHUNKY, 0, victims, 4) != 4)
		bail("no victim");
	for (int i = 0; i < 4; i++)
		memset(g_addr(&victim, victims[i].page), 0x5a, 64 * PAGE);
}

/* T1: the kernel's truth cannot be written, by any way to a process's memory. */
static void test_truth(void)
{
	struct iovec local, remote;
	uint64_t lie = 0;
	struct arena a;
	int mem;

	g_open(&a, SIZE);
	local = (struct iovec) { &lie, sizeof(lie) };
	remote = (struct iovec) { a.rows, sizeof(lie) };
	eq(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), -1,
	   "T1 truth: process_vm_writev to the span table fails");
	mem = open("/proc/self/mem", O_RDWR);
	eq(pwrite(mem, &lie, sizeof(lie), (off_t)(uintptr_t)a.rows), -1,
	   "T1 truth: so does /proc/self/mem, which forces");
	eq(pwrite(mem, &lie, sizeof(lie), (off_t)(uintptr_t)a.status), -1,
	   "T1 truth: and to the status page");
	eq(pwrite(mem, &lie, sizeof(lie), (off_t)(uintptr_t)a.bits[0]), (long)sizeof(lie),
	   "T1 truth: the bitmaps can be written");
	close(mem);
	/* read() writes to user memory as well. */
	mem = open("/dev/zero", O_RDONLY);
	eq(read(mem, a.rows, sizeof(lie)), -1, "T1 truth: nor can read() be aimed there");
	eq(errno, EFAULT, "T1 truth: which is EFAULT");
	close(mem);
	g_close(&a);
}

/* T2: any bits, while every call runs. */
static void test_bits(void)
{
	static struct gcarena_span s[GCARENA_BATCH_MAX];
	uint64_t words;
	struct arena a;
	int held = 0;

	g_open(&a, SIZE);
	words = a.setup.bitmap_size / 8;
	for (int round = 0; round < 20; round++) {
		struct gcarena_stats stats;
		int n;

		for (uint64_t i = 0; i < words; i += 1 + rnd() % 8) {
			a.bits[0][i] = round % 3 ? rnd() : ~0ULL;
			a.bits[1][i] = round % 5 ? rnd() : ~0ULL;
		}
		n = g_refill(&a, rnd() % C_LARGE, 0, s, 1 + rnd() % 64);
		held += n > 0;
		for (uint64_t i = 0; i < words; i += 1 + rnd() % 8)
			a.bits[rnd() & 1][i] = rnd();
		if (n > 0)
			g_return(&a, s, n);
		g_stats(&a, &stats);
		g_start_sweep(&a, stats.generation);
		g_assist(&a);
		g_scavenge(&a, round % 4 ? 0 : GCARENA_SCAVENGE_ALL, round % 4 ? CHUNK : 0);
	}
	ok(held > 10, "T2 bits: arenas with random bits still hand out spans");
	eq(g_validate(a.setup.id), 0, "T2 bits: the liar's arena is valid");
	ok(victim_unharmed(), "T2 bits: another is unharmed");
	g_close(&a);
}

/* T3: spans that were never given out, in every combination. */
static void test_forged(void)
{
	struct gcarena_span real[8], forged[GCARENA_BATCH_MAX];
	struct gcarena_stats before, after;
	struct arena a;
	int accepted = 0;

	g_open(&a, SIZE);
	eq(g_refill(&a, C_1K, 0, real, 8), 8, "T3 forged: some real spans");
	g_stats(&a, &before);
	for (int i = 0; i < 20000; i++) {
		struct gcarena_span *f = forged;

		*f = real[rnd() % 8];
		/* One lie at least, a small one as often as a wild one. */
		switch (rnd() % 5) {
		case 0:
			f->page = rnd() & 1 ? f->page + 1 : (uint32_t)rnd() | 0x10000000;
			break;
		case 1:
			f->npages += rnd() & 1 ? 1 : (uint32_t)rnd() | 1;
			break;
		case 2:
			f->span_class = rnd() & 1 ? C_64 : (uint16_t)(rnd() | 0x100);
			break;
		case 3:
			f->generation += rnd() & 1 ? 1 : (uint32_t)rnd() | 1;
			break;
		default:
			f->flags = (uint16_t)(rnd() | 0x8000);
			break;
		}
		accepted += !g_return(&a, forged, 1);
	}
	eq(accepted, 0, "T3 forged: none of 20000 lies is taken");
	g_stats(&a, &after);
	eq(after.counters.spans_held, before.counters.spans_held, "T3 forged: what is held stays");
	eq(after.counters.returned_spans, before.counters.returned_spans,
	   "T3 forged: none is counted");
	eq(g_validate(a.setup.id), 0, "T3 forged: the arena is valid");
	eq(g_return(&a, real, 8), 0, "T3 forged: the real ones go back");
	g_close(&a);
}

/* T4: arguments that change while the kernel reads them. */
static volatile struct gcarena_refill racy;
static volatile bool racing;

/* A good call, and each of its fields wrong for a moment. */
static void *race(void *unused)
{
	while (racing) {
		racy.size = BASE_PAGE + 8;
		racy.size = sizeof(racy);
		racy.nr_ready = ~0U;
		racy.nr_ready = 1;
		racy.nr_spent = 3;
		racy.nr_spent = 0;
		racy.span_class = 0xffff;
		racy.span_class = C_LARGE;
		racy.span_class = 0;
		racy.npages = 3;
		racy.npages = 0;
		racy.flags = 1;
		racy.flags = 0;
	}
	return NULL;
}

static void test_racing(void)
{
	static struct gcarena_span ready[GCARENA_BATCH_MAX];
	int good = 0, odd = 0;
	struct arena a;
	pthread_t thread;

	g_open(&a, SIZE);
	racy.size = sizeof(racy);
	racy.spent = (uintptr_t)ready;
	racy.ready = (uintptr_t)ready;
	racy.nr_ready = 1;
	racing = true;
	pthread_create(&thread, NULL, race, NULL);
	for (int i = 0; i < 20000; i++) {
		int err = g_ioctl(a.fd, GCARENA_IOC_REFILL, (void *)&racy);

		good += !err;
		odd += err && err != -EINVAL && err != -E2BIG && err != -ENOMEM && err != -EFAULT;
	}
	racing = false;
	pthread_join(thread, NULL);
	ok(good > 0 && good < 20000, "T4 racing: some of 20000 calls are good, %d", good);
	eq(odd, 0, "T4 racing: arguments that change give documented errors only");
	eq(g_validate(a.setup.id), 0, "T4 racing: the arena is valid");
	ok(victim_unharmed(), "T4 racing: another is unharmed");
	g_close(&a);
}

/* T5: nothing of a dead arena, or of a released page, is seen again. */
static void test_old_data(void)
{
	static struct gcarena_span s[64];
	struct arena a;
	long dirty = 0;
	int n, rounds;

	for (rounds = 0; rounds < 3; rounds++) {
		fflush(stdout);
		if (!fork()) {
			g_open(&a, SIZE);
			n = g_refill(&a, C_CHUNKY, 0, s, 32);
			for (int i = 0; i < n; i++)
				memset(g_addr(&a, s[i].page), 0xa5, 64 * PAGE);
			memset(a.bits[0], 0xa5, 4 * BASE_PAGE);
			raise(SIGKILL);
		}
		wait(NULL);
		g_open(&a, SIZE);
		n = g_refill(&a, C_CHUNKY, 0, s, 32);
		if (n <= 0)
			bail("refill");
		for (int i = 0; i < n; i++)
			for (size_t at = 0; at < 64 * PAGE; at += 8)
				dirty += *(uint64_t *)(g_addr(&a, s[i].page) + at) != 0;
		for (size_t i = 0; i < 4 * BASE_PAGE / 8; i++)
			dirty += a.bits[0][i] != 0;
		g_close(&a);
	}
	eq(dirty, 0, "T5 old data: a dead arena's is never seen in a new one");
}

/* T6: tables are charged, and their growth hits their maker only. */
static void test_tables(void)
{
	long kills, own;
	int status;
	pid_t pid;

	rmdir(GROUP);
	if (mkdir(GROUP, 0755) || g_write_file(GROUP "/memory.max", "24M"))
		bail("no cgroup");
	g_write_file(GROUP "/memory.swap.max", "0");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_setup setup;
		volatile char *rows;
		int fd;

		if (g_write_file(GROUP "/cgroup.procs", "0"))
			_exit(1);
		fd = open(DEVICE, O_RDWR);
		if (g_setup(fd, GCARENA_HEAP_SIZE_MAX, &setup))
			_exit(2);
		rows = mmap(NULL, setup.spans_size, PROT_READ, MAP_SHARED, fd, setup.spans_offset);
		if (rows == MAP_FAILED)
			_exit(3);
		for (uint64_t at = 0; at < setup.spans_size; at += BASE_PAGE)
			(void)rows[at];
		_exit(4);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	   "T6 tables: who reads through the rows of a TiB dies at the limit of its cgroup");
	kills = g_file_value(GROUP "/memory.events", "oom_kill");
	ok(kills >= 1, "T6 tables: of an OOM kill in there");
	own = g_file_value("/sys/fs/cgroup/gcarena-threat/memory.stat", "kernel");
	ok(g_wait_for(g_file_value(GROUP "/memory.stat", "kernel") < 4L * (long)MIB, DEATH_MS),
	   "T6 tables: and they are gone with it (%ld before)", own);
	ok(victim_unharmed(), "T6 tables: another is unharmed");
	g_wait_for(!rmdir(GROUP), DEATH_MS);
}

/* T7: a killed task is gone soon, whatever it is in. */
static long killed_in(void (*work)(struct arena *a))
{
	int64_t start;
	int fds[2];
	pid_t pid;
	char byte;

	if (pipe(fds))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct arena a;

		g_open(&a, 4096 * MIB);
		if (write(fds[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			work(&a);
	}
	if (read(fds[0], &byte, 1) != 1)
		bail("the child is gone");
	g_msleep(100);
	start = g_now_ns();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	return (g_now_ns() - start) / 1000000;
}

static void work_refill(struct arena *a)
{
	struct gcarena_span s;

	/* More than there is. */
	g_refill(a, C_LARGE, 3072 * MIB / PAGE, &s, 1);
}

static void work_residency(struct arena *a)
{
	static struct gcarena_run runs[4096];
	struct gcarena_residency args = {
		.size = sizeof(args), .npages = 4096 * MIB / PAGE, .runs = (uintptr_t)runs,
		.nr_runs = 4096,
	};

	g_ioctl(a->fd, GCARENA_IOC_RESIDENCY, &args);
}

static void work_sweep(struct arena *a)
{
	static struct gcarena_span s[GCARENA_BATCH_MAX];
	struct gcarena_stats stats;
	int n = g_refill(a, C_16, 0, s, GCARENA_BATCH_MAX);

	if (n > 0)
		g_return(a, s, n);
	g_stats(a, &stats);
	g_start_sweep(a, stats.generation);
	g_assist(a);
}

/* Shares the memory of who asks, so that what it came to can be seen after its death. */
static int scavenger(void *arg)
{
	g_scavenge(arg, GCARENA_SCAVENGE_ALL, 0);
	return 0;
}

static void test_scavenge_killable(void)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	const uint64_t bytes = 512 * MIB;
	struct gcarena_stats stats;
	struct gcarena_span s;
	struct arena a;
	uint64_t before;
	int status = 0;
	pid_t pid;

	g_open(&a, 1024 * MIB);
	eq(g_refill(&a, C_LARGE, bytes / PAGE, &s, 1), 1, "T7 killable: memory to release");
	g_return(&a, &s, 1);
	g_stats(&a, &stats);
	before = stats.counters.heap_released;
	pid = clone(scavenger, stack + sizeof(stack), CLONE_VM | SIGCHLD, &a);
	if (pid < 0)
		bail("clone");
	do {
		g_stats(&a, &stats);
	} while (stats.counters.heap_released == before && !waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	g_stats(&a, &stats);
	ok(stats.counters.heap_released > before && stats.counters.heap_released - before < bytes,
	   "T7 killable: out of releasing, after %llu MiB",
	   (unsigned long long)((stats.counters.heap_released - before) / MIB));
	ok(!g_validate(a.setup.id), "T7 killable: and the arena is valid");
	g_close(&a);
}

static void test_killable(void)
{
	long ms;

	ms = killed_in(work_refill);
	ok(ms < DEATH_MS, "T7 killable: out of a large refill, in %ld ms", ms);
	ms = killed_in(work_residency);
	ok(ms < DEATH_MS, "T7 killable: out of residency, in %ld ms", ms);
	ms = killed_in(work_sweep);
	ok(ms < DEATH_MS, "T7 killable: out of sweeping, in %ld ms", ms);
	test_scavenge_killable();
}

/* T8: a call whose arguments never come holds up nobody but its own file. */
static int fault_fd(void *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { (uintptr_t)page, BASE_PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -1;
	return fd;
}

static void *stuck_setup(void *arg)
{
	struct gcarena_setup args = {
		.size = sizeof(args), .heap_size = SIZE, .classes = (uintptr_t)g_classes,
		.nr_classes = C_COUNT, .class_size = sizeof(struct gcarena_class),
	};
	int *fd = arg;

	/* The page that never comes: read with the set-up's lock held. */
	args.policy = (uintptr_t)mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fault_fd((void *)(uintptr_t)args.policy) < 0)
		_exit(77);
	g_ioctl(*fd, GCARENA_IOC_SETUP, &args);
	return NULL;
}

static void test_stuck(void)
{
	struct gcarena_features features = { .size = sizeof(features) };
	int fd = open(DEVICE, O_RDWR), other, status;
	int64_t start;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		pthread_t thread;

		pthread_create(&thread, NULL, stuck_setup, &fd);
		pthread_join(thread, NULL);
		_exit(0);
	}
	g_msleep(300);
	if (waitpid(pid, &status, WNOHANG) == pid) {
		skip(3, "T8 stuck: no userfaultfd here");
		close(fd);
		return;
	}
	other = open(DEVICE, O_RDWR);
	eq(g_setup(other, SIZE, NULL), 0, "T8 stuck: another file's set-up goes on");
	close(other);
	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &features), 0,
	   "T8 stuck: so does a call on this file");
	start = g_now_ns();
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(g_now_ns() - start < DEATH_MS * 1000000LL, "T8 stuck: and the caller can be killed");
	close(fd);
}

/*
 * T3: spans that a refill is about to tell of, returned by another thread that has found
 * them in the span table, when the refill then cannot tell of them.
 */
struct late {
	struct arena *a;
	struct gcarena_span *ready;
	uint32_t nr;
	int err;
};

static void *late_refill(void *arg)
{
	struct late *late = arg;

	late->err = g_refill(late->a, C_64, 0, late->ready, late->nr);
	return NULL;
}

/* Any held span whose page is not in @known. */
static struct gcarena_span found_held(struct arena *a, const bool *known)
{
	struct gcarena_span span = { .npages = 1, .span_class = C_64 };

	while (span.page < SIZE / PAGE && (known[span.page] || !g_row_in_use(a, span.page) ||
					   g_row_state(a, span.page) != GCARENA_STATE_HELD))
		span.page++;
	if (span.page < SIZE / PAGE)
		span.generation = a->rows[span.page].word1 >> GCARENA_ROW_GENERATION_SHIFT;
	return span;
}

static void steal_spans(struct arena *a, const bool *known, uint32_t nr, const char *way)
{
	struct gcarena_stats before, after;
	struct late late = { .a = a, .nr = nr };
	struct gcarena_span span;
	struct pollfd pollfd;
	pthread_t thread;

	late.ready = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	pollfd = (struct pollfd) { .fd = fault_fd(late.ready), .events = POLLIN };
	if (pollfd.fd < 0) {
		munmap(late.ready, BASE_PAGE);
		skip(4, "T3 stolen: no userfaultfd here");
		return;
	}
	g_stats(a, &before);
	pthread_create(&thread, NULL, late_refill, &late);
	poll(&pollfd, 1, DEATH_MS);
	g_stats(a, &after);
	eq(after.counters.refill_hits - before.counters.refill_hits, way[0] == 's',
	   "T3 stolen: a refill by the %s waits to tell", way);
	span = found_held(a, known);
	eq(g_return(a, &span, 1), 0, "T3 stolen: one of its spans goes back before it does");
	munmap(late.ready, BASE_PAGE);
	close(pollfd.fd);
	pthread_join(thread, NULL);
	eq(late.err, -EFAULT, "T3 stolen: it cannot tell");
	g_stats(a, &after);
	eq(after.counters.spans_held, before.counters.spans_held,
	   "T3 stolen: and the others have gone back");
}

static void test_stolen(void)
{
	static bool known[SIZE / PAGE];
	struct gcarena_span s[4];
	cpu_set_t old, one;
	struct arena a;

	/* What lies ready does so on one CPU. */
	sched_getaffinity(0, sizeof(old), &old);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	g_open(&a, SIZE);
	steal_spans(&a, known, 3, "long way");
	for (int i = 0; i < 8; i++) {
		if (g_refill(&a, C_64, 0, s, 4) != 4)
			bail("no spans");
		for (int k = 0; k < 4; k++)
			known[s[k].page] = true;
	}
	steal_spans(&a, known, 3, "short way");
	sched_setaffinity(0, sizeof(old), &old);
	g_close(&a);
}

/* T9: what root sees, others do not; and nobody sees an address. */
static int child_reads(const char *path)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		int fd;

		if (setgid(USER) || setuid(USER))
			_exit(99);
		fd = open(path, O_RDONLY);
		_exit(fd < 0 ? errno : 0);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static bool shows_addresses(const char *path)
{
	char line[4096];
	bool found = false;
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, "ffff8") || strstr(line, "ffffc") || strstr(line, "ffffa");
	if (f)
		fclose(f);
	return !f || found;
}

static void test_seen(void)
{
	static const char * const files[] = { "stats", "spans", "chunks", "validate" };
	char path[128];
	struct stat st;

	/* The directory above may be opened up by a mount option. */
	chmod("/sys/kernel/debug", 0755);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), DEBUGFS "/%u/%s", victim.setup.id, files[i]);
		eq(child_reads(path), EACCES, "T9 seen: debugfs %s is root's", files[i]);
		if (strcmp(files[i], "validate"))
			ok(!shows_addresses(path), "T9 seen: and shows no kernel address");
	}
	chmod("/sys/kernel/debug", 0700);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", victim.fd);
	ok(!shows_addresses(path), "T9 seen: fdinfo shows none");
	eq(stat(DEVICE, &st), 0, "T9 seen: the device");
	eq(st.st_mode & 0777, 0666, "T9 seen: is everybody's");
	eq(child_reads(DEVICE), 0, "T9 seen: and can be opened by anybody");
}

/* T10: descriptor in others' hands. */
static void test_inherited(void)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };
	int status, bad = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_scavenge scavenge = {
			.size = sizeof(scavenge), .flags = GCARENA_SCAVENGE_ALL,
		};

		bad += g_ioctl(victim.fd, GCARENA_IOC_STATS, &stats) != -EIO;
		bad += g_ioctl(victim.fd, GCARENA_IOC_SCAVENGE, &scavenge) != -EIO;
		bad += g_return(&victim, victims, 4) != -EIO;
		bad += mmap(NULL, SIZE, PROT_READ, MAP_SHARED, victim.fd, 0) != MAP_FAILED;
		bad += ftruncate(victim.fd, 0) != -1;
		bad += write(victim.fd, "x", 1) != -1;
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	eq(WEXITSTATUS(status), 0,
	   "T10 passed on: the descriptor gives nothing to another process");
	ok(victim_unharmed(), "T10 passed on: the arena is unharmed");
}

/* T11: the thread follows at most once a second, however often the owner moves. */
#define EVENT	"/sys/kernel/tracing/events/cgroup/cgroup_attach_task/"

static long attached(const char *comm)
{
	FILE *f = fopen("/sys/kernel/tracing/trace", "r");
	char line[512];
	long n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, "cgroup_attach_task:") && strstr(line, comm);
	if (f)
		fclose(f);
	return n;
}

/* An arena that has its thread, as there was something to sweep. */
static void open_swept(struct arena *a)
{
	struct gcarena_span s;

	g_open(a, SIZE);
	g_refill(a, C_64, 0, &s, 1);
	g_set_bit(a, s.generation & 1, s.page, 0);
	g_return(a, &s, 1);
	g_start_sweep(a, 0);
}

static void test_moving(void)
{
	struct gcarena_span s;
	int64_t start, seconds;
	struct arena a;
	char comm[32];
	long moves = 0, n;

	if (!g_exists(EVENT)) {
		skip(4, "T11 moving: no tracefs");
		return;
	}
	open_swept(&a);
	ok(g_worker(a.setup.id) > 0, "T11 moving: there is a thread");
	snprintf(comm, sizeof(comm), "comm=gcarena/%u", a.setup.id);
	mkdir(GROUP, 0755);
	g_write_file("/sys/kernel/tracing/trace", "");
	g_write_file(EVENT "enable", "1");
	start = g_now_ns();
	while (g_now_ns() - start < 2500000000LL) {
		g_write_file(moves++ & 1 ? "/sys/fs/cgroup/cgroup.procs" : GROUP "/cgroup.procs",
			     "0");
		g_refill(&a, C_64, 0, &s, 1);
		g_return(&a, &s, 1);
	}
	/* Both ways, long enough after: one of them is where the thread is not. */
	for (int way = 0; way < 2; way++) {
		g_write_file(way ? "/sys/fs/cgroup/cgroup.procs" : GROUP "/cgroup.procs", "0");
		g_msleep(1200);
		if (g_refill(&a, C_64, 0, &s, 1) == 1)
			g_return(&a, &s, 1);
	}
	seconds = (g_now_ns() - start) / 1000000000;
	g_write_file(EVENT "enable", "0");
	n = attached(comm);
	g_write_file("/sys/kernel/tracing/trace", "");
	diag("%ld moves of the owner, %ld of its thread", moves, n);
	ok(moves > 20, "T11 moving: the owner moved often");
	ok(n >= 1, "T11 moving: its thread followed");
	ok(n <= seconds + 1, "T11 moving: its thread at most once a second");
	g_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	g_close(&a);
	g_wait_for(!rmdir(GROUP), DEATH_MS);
}

/* T11: by choice it stays where it was, so that the owner's cgroup can be frozen and removed. */
#define IN_CGROUP	"/sys/module/gcarena/parameters/worker_in_cgroup"

static void test_outside(void)
{
	struct gcarena_stats stats;
	struct arena a;
	int ready[2];
	char byte;
	pid_t pid;

	mkdir(GROUP, 0755);
	if (pipe(ready) || g_write_file(IN_CGROUP, "0"))
		bail("no " IN_CGROUP);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		g_write_file(GROUP "/cgroup.procs", "0");
		open_swept(&a);
		byte = g_worker(a.setup.id) > 0;
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	ok(read(ready[0], &byte, 1) == 1 && byte, "T11 outside: there is a thread");
	g_write_file(GROUP "/cgroup.freeze", "1");
	ok(g_wait_for(g_file_value(GROUP "/cgroup.events", "frozen") == 1, 5000),
	   "T11 outside: the owner's cgroup freezes");
	g_write_file(GROUP "/cgroup.freeze", "0");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	g_write_file(IN_CGROUP, "1");
	g_wait_for(!rmdir(GROUP), DEATH_MS);

	/* And where it is to follow, any call will do. */
	open_swept(&a);
	mkdir(GROUP, 0755);
	g_write_file(GROUP "/cgroup.procs", "0");
	g_msleep(1200);
	g_stats(&a, &stats);
	g_write_file("/sys/fs/cgroup/cgroup.procs", "0");
	eq(g_file_value(GROUP "/cgroup.events", "populated"), 1,
	   "T11 outside: else it follows with the next call");
	g_msleep(1200);
	g_stats(&a, &stats);
	ok(g_wait_for(!rmdir(GROUP), 5000), "T11 outside: and leaves the cgroup empty");
	g_close(&a);
}

int main(void)
{
	victim_start();
	test_truth();
	test_bits();
	test_forged();
	test_racing();
	test_old_data();
	test_tables();
	test_killable();
	test_stuck();
	test_stolen();
	test_seen();
	test_inherited();
	test_moving();
	test_outside();
	ok(victim_unharmed(), "after all of that another arena is as it was");
	g_close(&victim);
	return tap_done();
}
