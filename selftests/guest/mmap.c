// SPDX-License-Identifier: MIT
/*
 * The four regions: who may map what, with which rights, how far, and whether
 * the heap really comes in huge pages.
 *
 * Faults are provoked in this process, because mappings do not survive fork;
 * the handler jumps back.
 */
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include "guest.h"

#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define SIZE		(64 * MIB)
/* Of what may be busy, for a hundredth of a second each. */
#define TRIES		200
#define COMPACT_MEMORY	"/proc/sys/vm/compact_memory"
#ifndef MADV_DOFORK
#define MADV_DOFORK	11
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT	4
#endif

static sigjmp_buf jump;
static volatile int caught;

static void on_fault(int sig)
{
	caught = sig;
	siglongjmp(jump, 1);
}

/* Touch @addr: 0 or the signal. */
static int touch(volatile char *addr, bool write)
{
	caught = 0;
	if (!sigsetjmp(jump, 1)) {
		if (write)
			*addr = 1;
		else
			(void)*addr;
	}
	return caught;
}

static int map_err(int fd, size_t len, int prot, int flags, off_t offset)
{
	void *p = mmap(NULL, len, prot, flags, fd, offset);
	int err = p == MAP_FAILED ? -errno : 0;

	if (!err)
		munmap(p, len);
	return err;
}

static void test_rights(void)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct gcarena_setup s;
	struct arena a;
	int fd = open(DEVICE, O_RDWR);

	eq(map_err(fd, SIZE, rw, MAP_SHARED, 0), -ENXIO, "no mapping before set-up");
	close(fd);

	g_open(&a, SIZE);
	s = a.setup;
	eq(s.spans_offset, GCARENA_OFF_SPANS, "span table where the header says");
	eq(s.spans_size, SIZE / PAGE * sizeof(struct gcarena_row), "a row for each page");
	eq(s.bitmaps_offset, GCARENA_OFF_BITMAPS, "bitmaps where the header says");
	eq(s.bitmap_size, SIZE / PAGE * GCARENA_LINE_SIZE, "a line for each page");
	eq(s.status_offset, GCARENA_OFF_STATUS, "status where the header says");
	ok(s.status_size >= sizeof(struct gcarena_status), "status page holds the structure");

	eq(map_err(a.fd, SIZE, rw, MAP_PRIVATE, 0), -EINVAL, "heap: MAP_PRIVATE refused");
	eq(map_err(a.fd, SIZE, PROT_READ, MAP_PRIVATE, 0), -EINVAL,
	   "heap: MAP_PRIVATE refused, read-only too");
	eq(map_err(a.fd, BASE_PAGE, PROT_READ, MAP_PRIVATE, s.spans_offset), -EINVAL,
	   "span table: MAP_PRIVATE refused");
	eq(map_err(a.fd, BASE_PAGE, rw, MAP_SHARED, s.spans_offset), -EACCES,
	   "span table: PROT_WRITE refused");
	eq(map_err(a.fd, BASE_PAGE, rw, MAP_SHARED, s.status_offset), -EACCES,
	   "status: PROT_WRITE refused");
	eq(map_err(a.fd, BASE_PAGE, rw | PROT_EXEC, MAP_SHARED, s.bitmaps_offset), -EACCES,
	   "bitmaps: PROT_EXEC refused");
	eq(map_err(a.fd, SIZE, PROT_READ, MAP_SHARED, 0), 0, "heap: read-only mapping of it");

	eq(map_err(a.fd, BASE_PAGE, PROT_READ, MAP_SHARED, SIZE), -EINVAL, "beyond the heap");
	eq(map_err(a.fd, BASE_PAGE, PROT_READ, MAP_SHARED, s.spans_offset - BASE_PAGE), -EINVAL,
	   "before the span table");
	eq(map_err(a.fd, BASE_PAGE, PROT_READ, MAP_SHARED, s.spans_offset + s.spans_size),
	   -EINVAL, "beyond the span table");
	eq(map_err(a.fd, BASE_PAGE, rw, MAP_SHARED, s.bitmaps_offset + 2 * s.bitmap_size),
	   -EINVAL, "beyond the bitmaps");
	eq(map_err(a.fd, BASE_PAGE, PROT_READ, MAP_SHARED, s.status_offset + s.status_size),
	   -EINVAL, "beyond the status page");

	eq(mprotect(a.rows, BASE_PAGE, rw), -1, "span table: no mprotect(PROT_WRITE) later");
	eq(errno, EACCES, "span table: mprotect says EACCES");
	eq(mprotect(a.status, BASE_PAGE, rw), -1, "status: no mprotect(PROT_WRITE) later");
	eq(errno, EACCES, "status: mprotect says EACCES");
	eq(touch((char *)a.rows, true), SIGSEGV, "span table: a write is SIGSEGV");
	eq(touch((char *)a.status, true), SIGSEGV, "status: a write is SIGSEGV");
	ok(mremap(a.status, a.setup.status_size, 2 * a.setup.status_size, MREMAP_MAYMOVE) ==
	   MAP_FAILED, "status: does not grow");
	g_close(&a);
}

static void test_readonly_fd(void)
{
	struct gcarena_setup s;
	int fd = open(DEVICE, O_RDONLY);

	eq(g_setup(fd, SIZE, &s), 0, "set-up on an O_RDONLY descriptor");
	eq(map_err(fd, SIZE, PROT_READ, MAP_SHARED, 0), -EACCES, "O_RDONLY: heap refused");
	eq(map_err(fd, BASE_PAGE, PROT_READ, MAP_SHARED, s.spans_offset), -EACCES,
	   "O_RDONLY: span table refused");
	eq(map_err(fd, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 0), -EACCES,
	   "O_RDONLY: writable heap refused");
	close(fd);
}

static void test_bounds(void)
{
	struct arena a;
	char *p;

	g_open(&a, SIZE);
	p = mmap(NULL, SIZE + CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
	ok(p != MAP_FAILED, "heap: a mapping may reach beyond the size");
	eq(touch(p + SIZE - 1, true), 0, "heap: last byte");
	eq(touch(p + SIZE, true), SIGBUS, "heap: SIGBUS after it");
	munmap(p, SIZE + CHUNK);

	p = mmap(NULL, a.setup.spans_size + BASE_PAGE, PROT_READ, MAP_SHARED, a.fd,
		 a.setup.spans_offset);
	eq(touch(p + a.setup.spans_size - 1, false), 0, "span table: last byte");
	eq(touch(p + a.setup.spans_size, false), SIGBUS, "span table: SIGBUS after it");
	munmap(p, a.setup.spans_size + BASE_PAGE);

	p = mmap(NULL, 2 * a.setup.bitmap_size + BASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
		 a.fd, a.setup.bitmaps_offset);
	eq(touch(p + 2 * a.setup.bitmap_size - 1, true), 0, "bitmaps: last byte");
	eq(touch(p + 2 * a.setup.bitmap_size, true), SIGBUS, "bitmaps: SIGBUS after it");
	eq(((unsigned char *)a.bits[1])[a.setup.bitmap_size - 1], 1,
	   "bitmaps: two mappings show the same memory");
	munmap(p, 2 * a.setup.bitmap_size + BASE_PAGE);

	p = mmap(NULL, 2 * BASE_PAGE, PROT_READ, MAP_SHARED, a.fd, a.setup.status_offset);
	eq(touch(p, false), 0, "status: first page");
	eq(touch(p + a.setup.status_size, false), SIGBUS, "status: SIGBUS after it");
	munmap(p, 2 * BASE_PAGE);
	g_close(&a);
}

static void test_partial(void)
{
	struct gcarena_span span[1];
	struct arena a;
	char *p;

	g_open(&a, SIZE);
	eq(g_refill(&a, C_LARGE, 2 * GCARENA_CHUNK_PAGES, span, 1), 1, "four MiB in one span");
	p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, CHUNK);
	ok(p != MAP_FAILED, "one chunk of the heap, mapped alone");
	strcpy(g_addr(&a, GCARENA_CHUNK_PAGES), "seen twice");
	ok(!strcmp(p, "seen twice"), "is the same memory");
	munmap(p, CHUNK);

	p = mmap(NULL, BASE_PAGE, PROT_READ, MAP_SHARED, a.fd,
		 a.setup.spans_offset + BASE_PAGE);
	ok(!memcmp(p, &a.rows[GCARENA_CHUNK_PAGES], BASE_PAGE),
	   "rows of the second chunk, mapped alone");
	munmap(p, BASE_PAGE);

	p = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd,
		 a.setup.bitmaps_offset + a.setup.bitmap_size + BASE_PAGE);
	a.bits[1][BASE_PAGE / 8] = 0x1234567;
	eq(*(uint64_t *)p, 0x1234567, "a page of bitmap[1], mapped alone");
	munmap(p, BASE_PAGE);
	g_close(&a);
}

/* Fill half the heap; bytes of it that are mapped by PMD, in per cent. */
static long fill_and_measure(struct arena *a)
{
	struct gcarena_span span[GCARENA_BATCH_MAX];
	long rss, pmd;
	int i, n;

	n = g_refill(a, C_CHUNKY, 0, span, SIZE / 2 / (64 * PAGE));
	eq(n, SIZE / 2 / (64 * PAGE), "half the heap in spans");
	for (i = 0; i < n; i++)
		memset(g_addr(a, span[i].page), i + 1, 64 * PAGE);
	for (i = 0; i < n; i++)
		if (g_addr(a, span[i].page)[64 * PAGE - 1] != (char)(i + 1))
			break;
	eq(i, n, "and it holds what was written");
	rss = g_smaps(a->heap, "Rss");
	pmd = g_smaps(a->heap, "ShmemPmdMapped");
	diag("Rss %ld ShmemPmdMapped %ld small %u", rss, pmd,
	     !!(span[0].flags & GCARENA_SPAN_SMALL));
	ok(rss >= (long)SIZE / 2, "all of it is resident");
	ok(!!(span[0].flags & GCARENA_SPAN_SMALL) == !pmd, "the small flag tells the truth");
	return rss > 0 ? 100 * pmd / rss : -1;
}

static void test_huge(void)
{
	struct gcarena_stats stats;
	char before[32];
	struct arena a;

	g_read_choice(SHMEM_ENABLED, before, sizeof(before));
	g_open(&a, SIZE);
	ok(!((uintptr_t)a.heap & (CHUNK - 1)), "mmap aligns the heap for huge pages");
	ok(fill_and_measure(&a) >= 90, "at least 90 %% of Rss is mapped by PMD");
	g_stats(&a, &stats);
	eq(stats.counters.chunks_small, 0, "no small chunk counted");
	g_close(&a);

	eq(g_write_file(SHMEM_ENABLED, "deny"), 0, "shmem_enabled=deny");
	g_open(&a, SIZE);
	eq(fill_and_measure(&a), 0, "deny: nothing is mapped by PMD");
	g_stats(&a, &stats);
	eq(stats.counters.chunks_small, stats.counters.chunks_backed, "deny: all chunks small");
	ok(stats.counters.back_small >= SIZE / 2 / CHUNK, "deny: each backing counted");
	g_close(&a);
	eq(g_write_file(SHMEM_ENABLED, before), 0, "shmem_enabled as it was");
}

static void test_fork(void)
{
	struct gcarena_span span[1];
	struct arena a;

	g_open(&a, SIZE);
	g_refill(&a, C_64, 0, span, 1);
	eq(touch(a.heap, true), 0, "parent has the heap");
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	eq(g_child_touch(a.heap, true), SIGSEGV, "fork: the child has no heap");
	eq(g_child_touch((char *)a.rows, false), SIGSEGV, "fork: no span table");
	eq(g_child_touch((char *)a.bits[0], true), SIGSEGV, "fork: no bitmaps");
	eq(g_child_touch((char *)a.status, false), SIGSEGV, "fork: no status page");

	madvise(a.heap, SIZE, MADV_DOFORK);
	eq(g_child_touch(a.heap, true), 0, "MADV_DOFORK shares the heap, as plain shmem");
	madvise(a.bits[0], 2 * a.setup.bitmap_size, MADV_DOFORK);
	eq(g_child_touch((char *)a.bits[0], true), SIGBUS, "MADV_DOFORK does not share bitmaps");
	g_close(&a);
}

/* What else a program does to memory works as on any other. */
static void test_ordinary(void)
{
	struct gcarena_span s[4];
	struct iovec local, remote;
	char text[32] = "";
	int mem, fds[2], collapsed = -1;
	struct arena a;

	g_open(&a, SIZE);
	eq(g_refill(&a, C_CHUNKY, 0, s, 4), 4, "a chunk of spans");
	local = (struct iovec) { "written by another", 19 };
	remote = (struct iovec) { g_addr(&a, s[0].page), 19 };
	eq(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), 19, "process_vm_writev");
	mem = open("/proc/self/mem", O_RDONLY);
	eq(pread(mem, text, 19, (off_t)(uintptr_t)remote.iov_base), 19, "/proc/self/mem");
	ok(!strcmp(text, "written by another"), "shows the same");
	close(mem);
	if (pipe(fds))
		bail("pipe");
	eq(vmsplice(fds[1], &remote, 1, 0), 19, "vmsplice pins a page of it");
	eq(g_return(&a, s, 1), 0, "the span is returned");
	eq(g_return(&a, s + 1, 3), 0, "and its neighbours");
	g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
	eq(read(fds[0], text, 19), 19, "what was pinned can still be read");
	ok(!strcmp(text, "written by another"), "with its contents");
	close(fds[0]);
	close(fds[1]);
	eq(g_refill(&a, C_CHUNKY, 0, s, 4), 4, "the chunk again");
	ok(!*g_addr(&a, s[0].page) || s[0].flags & GCARENA_SPAN_NEEDS_ZERO,
	   "zero, or said not to be");

	/* The owner may throw its own contents away. */
	memset(g_addr(&a, s[0].page), 1, 64 * PAGE);
	eq(madvise(g_addr(&a, s[0].page), 64 * PAGE, MADV_REMOVE), 0, "MADV_REMOVE of a held span");
	eq(*g_addr(&a, s[0].page), 0, "which then reads as zero");
	/*
	 * -EAGAIN: a page of it is locked, off the LRU, referenced or just filled, by
	 * khugepaged or kcompactd; they are gone soon.  -ENOMEM: no huge page at hand, as
	 * after other tests; compaction makes one.  Anything else will not pass by itself.
	 */
	for (unsigned int tries = 0; tries < TRIES; tries++) {
		collapsed = madvise(g_addr(&a, s[0].page & ~255U), CHUNK, MADV_COLLAPSE);
		if (!collapsed || (errno != EAGAIN && errno != ENOMEM))
			break;
		if (errno == ENOMEM)
			g_write_file(COMPACT_MEMORY, "1");
		usleep(10000);
	}
	ok(!collapsed, "MADV_COLLAPSE (errno %d)", collapsed ? errno : 0);
	eq(g_smaps(a.heap, "ShmemPmdMapped"), (long)CHUNK, "makes the chunk huge again");
	eq(g_return(&a, s, 4), 0, "and all is returned");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), (long)CHUNK, "and released");
	g_close(&a);
}

static void test_locked(void)
{
	struct gcarena_span s[4];
	struct arena a;

	eq(mlockall(MCL_FUTURE | MCL_ONFAULT), 0, "mlockall(MCL_FUTURE | MCL_ONFAULT)");
	g_open(&a, SIZE);
	eq(g_smaps(a.heap, "Rss"), 0, "does not populate the reservation");
	eq(g_refill(&a, C_CHUNKY, 0, s, 4), 4, "spans");
	memset(g_addr(&a, s[0].page), 1, 4 * 64 * PAGE);
	eq(g_smaps(a.heap, "Locked"), (long)CHUNK, "are locked when touched");
	eq(g_return(&a, s, 4), 0, "returned");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), (long)CHUNK, "and released, though locked");
	g_close(&a);
	munlockall();
}

static void test_address_space(void)
{
	struct rlimit old, tight;
	struct gcarena_setup setup;
	int fd = open(DEVICE, O_RDWR);

	eq(g_setup(fd, GCARENA_HEAP_SIZE_MAX, &setup), 0, "a heap of a TiB");
	getrlimit(RLIMIT_AS, &old);
	tight = old;
	tight.rlim_cur = 1UL << 32;
	setrlimit(RLIMIT_AS, &tight);
	eq(map_err(fd, GCARENA_HEAP_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, 0), -ENOMEM,
	   "RLIMIT_AS: its mapping is -ENOMEM");
	setrlimit(RLIMIT_AS, &old);
	eq(map_err(fd, GCARENA_HEAP_SIZE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, 0), 0,
	   "and possible without the limit");
	close(fd);
}

int main(void)
{
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	test_rights();
	test_readonly_fd();
	test_bounds();
	test_partial();
	test_huge();
	test_ordinary();
	test_locked();
	test_address_space();
	test_fork();
	return tap_done();
}
