// SPDX-License-Identifier: MIT
/*
 * I/O on the heap, as on any memory: vectors, O_DIRECT, io_uring with fixed
 * buffers, another process's eyes (process_vm_readv, ptrace), core dumps.  And what
 * is released while I/O has it in its hands.
 *
 * Each transfer crosses from one span's pages into the next and starts at an odd
 * place where the interface allows it.  io_uring is spoken to by its system
 * calls alone.  What needs a disk uses a RAM disk (selftests/vm/run --module
 * brd).
 */
#include <elf.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "swap_device.h"

#define SIZE	(32 * MIB)
#define DISK	SWAP_DEVICE
#define SPAN	(64 * PAGE)
#define SPANS	8
/* Across the end of the first span, and of the second chunk. */
#define ODD	(SPAN - 3)
#define LENGTH	(3 * SPAN + 4097)
#define DIRECT	(2 * SPAN)

static struct arena arena;
static char *heap;	/* SPANS spans that follow each other */

static void pattern(char *at, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		at[i] = (char)(seed + i * 7 + (i >> 12));
}

static bool has_pattern(const char *at, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		if (at[i] != (char)(seed + i * 7 + (i >> 12)))
			return false;
	return true;
}

static void start(void)
{
	struct gcarena_span s;

	g_open(&arena, SIZE);
	if (g_refill(&arena, C_LARGE, SPANS * 64, &s, 1) != 1)
		bail("refill");
	heap = g_addr(&arena, s.page);
}

static void test_vectors(void)
{
	struct iovec out[3] = {
		{ heap + ODD, 100 }, { heap + 2 * SPAN + 1, LENGTH - 107 }, { heap + 7, 7 },
	};
	struct iovec in[2] = { { heap + 5, 1000 }, { heap + SPAN + 11, LENGTH - 1000 } };
	int file = open("/tmp/io", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int fds[2];

	pattern(out[0].iov_base, out[0].iov_len, 1);
	pattern(out[1].iov_base, out[1].iov_len, 2);
	pattern(out[2].iov_base, out[2].iov_len, 3);
	eq(writev(file, out, 3), (long)LENGTH, "writev from three places of the heap");
	memset(heap, 0, SPANS * SPAN);
	lseek(file, 0, SEEK_SET);
	eq(readv(file, in, 2), (long)LENGTH, "readv into two others");
	ok(has_pattern(heap + 5, 100, 1) && has_pattern(heap + SPAN + 11 + LENGTH - 1007, 7, 3),
	   "brings what was written");
	eq(pwrite(file, heap + ODD, LENGTH, 0), (long)LENGTH, "pwrite across a span's end");
	eq(pread(file, heap + 1, LENGTH, 0), (long)LENGTH, "pread to before it");
	unlink("/tmp/io");
	close(file);

	if (pipe(fds))
		bail("pipe");
	pattern(heap + ODD, 4096, 9);
	eq(write(fds[1], heap + ODD, 4096), 4096, "write to a pipe");
	eq(read(fds[0], heap + 2 * SPAN + 1, 4096), 4096, "read from it");
	ok(has_pattern(heap + 2 * SPAN + 1, 4096, 9), "brings the same");
	close(fds[0]);
	close(fds[1]);
}

static void test_direct(void)
{
	int disk = open(DISK, O_RDWR | O_DIRECT);

	if (disk < 0) {
		skip(4, "O_DIRECT: no disk");
		return;
	}
	pattern(heap + SPAN, DIRECT, 5);
	eq(pwrite(disk, heap + SPAN, DIRECT, 0), (long)DIRECT, "O_DIRECT: written from the heap");
	memset(heap, 0, SPANS * SPAN);
	eq(pread(disk, heap + 4 * SPAN + 512, DIRECT, 0), (long)DIRECT, "O_DIRECT: read back");
	ok(has_pattern(heap + 4 * SPAN + 512, DIRECT, 5), "O_DIRECT: the same");
	eq(heap[4 * SPAN + 511] | heap[4 * SPAN + 512 + DIRECT], 0, "O_DIRECT: and no byte more");
	close(disk);
}

/* A ring of a few entries, without a library. */
struct ring {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

static int ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return -errno;
	r->sq = mmap(NULL, r->p.sq_off.array + r->p.sq_entries * sizeof(uint32_t),
		     PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe),
		     PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, IORING_OFF_CQ_RING);
	r->sqes = mmap(NULL, r->p.sq_entries * sizeof(*r->sqes), PROT_READ | PROT_WRITE,
		       MAP_SHARED, r->fd, IORING_OFF_SQES);
	if (r->sq == MAP_FAILED || r->cq == MAP_FAILED || (void *)r->sqes == MAP_FAILED)
		bail("io_uring: mmap: %s", strerror(errno));
	return 0;
}

/* Begin one operation; 0 or an error. */
static int ring_begin(struct ring *r, int op, int fd, void *at, uint32_t len, uint64_t offset)
{
	uint32_t *tail = (uint32_t *)(r->sq + r->p.sq_off.tail);
	uint32_t *array = (uint32_t *)(r->sq + r->p.sq_off.array);
	uint32_t slot = *tail & *(uint32_t *)(r->sq + r->p.sq_off.ring_mask);

	r->sqes[slot] = (struct io_uring_sqe) {
		.opcode = op, .fd = fd, .addr = (uintptr_t)at, .len = len, .off = offset,
	};
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) == 1 ? 0 : -errno;
}

/* Wait for one: its result. */
static int ring_end(struct ring *r)
{
	uint32_t *head = (uint32_t *)(r->cq + r->p.cq_off.head);
	uint32_t mask = *(uint32_t *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes);
	int result;

	if (syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	result = cqes[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static int ring_do(struct ring *r, int op, int fd, void *at, uint32_t len, uint64_t offset)
{
	int err = ring_begin(r, op, fd, at, len, offset);

	return err ? err : ring_end(r);
}

static void test_uring(void)
{
	struct iovec all = { heap, SPANS * SPAN };
	int disk = open(DISK, O_RDWR | O_DIRECT);
	int err, file = disk;
	struct ring r;

	err = ring_open(&r);
	if (err) {
		skip(7, "io_uring: not in this kernel");
		return;
	}
	if (disk < 0)
		file = open("/tmp/io", O_RDWR | O_CREAT | O_TRUNC, 0600);
	eq(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &all, 1), 0,
	   "io_uring: the heap is a fixed buffer");
	pattern(heap + SPAN, DIRECT, 6);
	eq(ring_do(&r, IORING_OP_WRITE_FIXED, file, heap + SPAN, DIRECT, 4096), (int)DIRECT,
	   "io_uring: written from the fixed buffer");
	memset(heap, 0, SPANS * SPAN);
	eq(ring_do(&r, IORING_OP_READ_FIXED, file, heap + 5 * SPAN, DIRECT, 4096), (int)DIRECT,
	   "io_uring: read into it");
	ok(has_pattern(heap + 5 * SPAN, DIRECT, 6), "io_uring: the mapping shows what was read");
	eq(ring_do(&r, IORING_OP_READ_FIXED, file, heap + SPANS * SPAN, 4096, 0), -EFAULT,
	   "io_uring: not beyond the buffer");
	eq(syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0), 0,
	   "io_uring: unregistered");
	eq(ring_do(&r, IORING_OP_READ, file, heap + 2 * SPAN, DIRECT, 4096), (int)DIRECT,
	   "io_uring: read without it");
	close(r.fd);
	close(file);
	unlink("/tmp/io");
}

#define SMALL_HEAP	(8 * CHUNK)
#define SMALL_PAGES	(SMALL_HEAP / PAGE)
#define CHUNK_PAGES	GCARENA_CHUNK_PAGES

/* Take all that there is, and write to it: how many spans, how many of @chunk. */
static int take_all(struct arena *a, struct gcarena_span *out, uint32_t chunk, int *of_chunk)
{
	int nr = 0, n;

	*of_chunk = 0;
	while ((n = g_refill(a, C_MANUAL, 1, out + nr, 16)) > 0)
		for (; n; n--, nr++) {
			memset(g_addr(a, out[nr].page), 'B', PAGE);
			*of_chunk += out[nr].page / CHUNK_PAGES == chunk;
		}
	return nr;
}

/*
 * A page is read into while its span is returned and released, with others of its chunk.
 * A huge one cannot be split then: none of them is anybody's before I/O is done.  From
 * base pages that one leaves the heap.
 */
static void test_released(void)
{
	static struct gcarena_span spans[SMALL_PAGES + CHUNK_PAGES];
	struct gcarena_span *next = spans + CHUNK_PAGES;
	int given = 0, bad = 0, of_chunk, nr, fds[2];
	uint32_t chunk;
	bool huge;
	struct iovec iov;
	struct arena a;
	struct ring r;
	char *at;

	if (ring_open(&r)) {
		skip(12, "io_uring: not in this kernel");
		return;
	}
	g_open_uncached(&a, SMALL_HEAP);
	if (pipe(fds) || g_refill(&a, C_MANUAL, 1, spans, CHUNK_PAGES) != CHUNK_PAGES)
		bail("pipe or refill");
	chunk = spans[0].page / CHUNK_PAGES;
	huge = !(spans[0].flags & GCARENA_SPAN_SMALL);
	for (int i = 0; i < CHUNK_PAGES; i++)
		memset(g_addr(&a, spans[i].page), 'A', PAGE);
	at = g_addr(&a, spans[7].page);
	iov = (struct iovec) { at, PAGE };
	eq(syscall(SYS_io_uring_register, r.fd, IORING_REGISTER_BUFFERS, &iov, 1), 0,
	   "released under I/O: a page is pinned");
	eq(ring_begin(&r, IORING_OP_READ_FIXED, fds[0], at, PAGE, 0), 0,
	   "released under I/O: and being read into");
	for (int i = 7; i < CHUNK_PAGES; i += 8, given++)
		if (g_return(&a, &spans[i], 1))
			bail("return");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), huge ? 0 : given * (long)PAGE,
	   "released under I/O: nothing of a huge page can go");
	eq(g_debugfs_stat(a.setup.id, "chunks_withheld"), huge,
	   "released under I/O: its chunk is withheld");
	nr = take_all(&a, next, chunk, &of_chunk);
	eq(nr, (int)(SMALL_PAGES - CHUNK_PAGES) + (huge ? 0 : given),
	   "released under I/O: all else is given out");
	eq(of_chunk, huge ? 0 : given, "released under I/O: and nothing of it");
	memset(heap, 'C', PAGE);
	eq(write(fds[1], heap, PAGE), (long)PAGE, "released under I/O: there is something to read");
	eq(ring_end(&r), (int)PAGE, "released under I/O: it is read");
	for (int i = 0; i < nr; i++)
		for (unsigned int k = 0; k < PAGE; k += 1024)
			bad += g_addr(&a, next[i].page)[k] != 'B';
	eq(bad, 0, "released under I/O: and harms nobody");
	eq(at[0] + at[PAGE - 1], 2 * (huge ? 'C' : 'B'),
	   "released under I/O: its own page has it, if that is still there");
	if (syscall(SYS_io_uring_register, r.fd, IORING_UNREGISTER_BUFFERS, NULL, 0))
		bail("io_uring: unregister: %s", strerror(errno));
	close(r.fd);
	if (huge)
		g_wait_for((take_all(&a, next + nr, chunk, &of_chunk), of_chunk), 5000);
	eq(of_chunk, given, "released under I/O: all of it is given out once that is done");
	eq(g_debugfs_stat(a.setup.id, "chunks_withheld"), 0,
	   "released under I/O: nothing is withheld");
	close(fds[0]);
	close(fds[1]);
	g_close(&a);
}

#define POKED	"by debug"

/* A child with a heap of its own, stopped; its arena by address. */
static pid_t child_start(char **at, int *hold)
{
	int fds[2], back[2];
	pid_t pid;

	if (pipe(fds) || pipe(back))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_span s;
		struct arena a;
		char byte, *p;

		g_open(&a, SIZE);
		g_refill(&a, C_LARGE, SPANS * 64, &s, 1);
		p = g_addr(&a, s.page);
		pattern(p + ODD, LENGTH, 8);
		if (write(fds[1], &p, sizeof(p)) != sizeof(p) || read(back[0], &byte, 1) != 1)
			_exit(1);
		if (memcmp(p + ODD, POKED, 8))
			_exit(2);
		pattern(p + ODD, 8, 8);
		_exit(has_pattern(p + ODD, LENGTH, 8) ? 0 : 3);
	}
	if (read(fds[0], at, sizeof(*at)) != sizeof(*at))
		bail("the child is gone");
	close(fds[0]);
	close(fds[1]);
	close(back[0]);
	*hold = back[1];
	return pid;
}

static void test_others(void)
{
	static char copy[LENGTH];
	struct iovec local = { copy, LENGTH }, remote;
	int hold, status;
	char *at;
	pid_t pid;
	long word;

	memcpy(&word, POKED, sizeof(word));

	pid = child_start(&at, &hold);
	remote = (struct iovec) { at + ODD, LENGTH };
	eq(process_vm_readv(pid, &local, 1, &remote, 1, 0), (long)LENGTH,
	   "process_vm_readv of another's heap");
	ok(has_pattern(copy, LENGTH, 8), "shows its contents");

	eq(ptrace(PTRACE_ATTACH, pid, NULL, NULL), 0, "ptrace: attach");
	waitpid(pid, &status, 0);
	errno = 0;
	status = memcmp(copy, &(long) { ptrace(PTRACE_PEEKDATA, pid, at + ODD, NULL) }, 8);
	ok(!errno && !status, "ptrace: PEEKDATA reads the heap");
	eq(ptrace(PTRACE_POKEDATA, pid, at + ODD, word), 0, "ptrace: POKEDATA writes it");
	ptrace(PTRACE_DETACH, pid, NULL, NULL);
	if (write(hold, "x", 1) != 1)
		bail("the child is gone");
	waitpid(pid, &status, 0);
	eq(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 0, "ptrace: its owner sees that");
	close(hold);
}

/* The bytes at @addr in a core file, or NULL if they are not in it. */
static const char *core_find(const char *core, uint64_t addr, uint64_t len)
{
	const Elf64_Ehdr *e = (const void *)core;
	const Elf64_Phdr *p = (const void *)(core + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && addr >= p[i].p_vaddr &&
		    addr + len <= p[i].p_vaddr + p[i].p_filesz)
			return core + p[i].p_offset + (addr - p[i].p_vaddr);
	return NULL;
}

struct crash {
	uint64_t heap, rows;
};

/* Crash with a heap; its core file, mapped. */
static const char *crash(struct crash *c, bool dontdump)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	struct crash *shared = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct stat st;
	const char *core;
	int fd, status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_span s;
		struct arena a;

		if (chdir("/tmp") || setrlimit(RLIMIT_CORE, &all))
			_exit(1);
		/* Not our own heap, which is another arena's. */
		g_open(&a, SIZE);
		g_refill(&a, C_LARGE, SPANS * 64, &s, 1);
		pattern(g_addr(&a, s.page) + ODD, LENGTH, 4);
		if (dontdump)
			madvise(a.heap, SIZE, MADV_DONTDUMP);
		shared->heap = (uintptr_t)g_addr(&a, s.page);
		shared->rows = (uintptr_t)a.rows;
		abort();
	}
	waitpid(pid, &status, 0);
	*c = *shared;
	munmap(shared, BASE_PAGE);
	fd = open("/tmp/core", O_RDONLY);
	if (!WIFSIGNALED(status) || !WCOREDUMP(status) || fd < 0 || fstat(fd, &st))
		return NULL;
	core = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	unlink("/tmp/core");
	return core == MAP_FAILED ? NULL : core;
}

static void test_core(void)
{
	const char *core, *at;
	struct crash c;

	if (g_write_file("/proc/sys/kernel/core_pattern", "core") ||
	    g_write_file("/proc/sys/kernel/core_uses_pid", "0"))
		bail("core_pattern");
	core = crash(&c, false);
	ok(core, "core: a crash leaves one");
	if (!core)
		return;
	at = core_find(core, c.heap + ODD, LENGTH);
	ok(at && has_pattern(at, LENGTH, 4), "core: with the heap's contents");
	ok(!core_find(core, c.rows, 1), "core: without the span table");

	core = crash(&c, true);
	ok(core && !core_find(core, c.heap, 1), "core: MADV_DONTDUMP leaves the heap out");
}

int main(void)
{
	start();
	ram_disk_load();
	test_vectors();
	test_direct();
	test_uring();
	test_released();
	test_others();
	test_core();
	g_close(&arena);
	return tap_done();
}
