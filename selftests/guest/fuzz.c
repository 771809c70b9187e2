// SPDX-License-Identifier: MIT
/*
 * Random calls, mappings, advice, forks and kills, by several threads of one owner
 * after another; what must hold is checked on the way.
 *
 * Each thread fills the spans it is given and finds them as it left them when it
 * gives them back; no page is given to two; lies are refused; a child gets -EIO; the
 * arena is valid when an owner ends by itself; and when all have ended nothing is
 * left.  What the kernel thinks of it is for the guest's runner to find.
 * A round is a thousand operations of one owner; in one of four it is killed.
 *
 *	fuzz [-s SEED] [-o OPERATIONS] [-t THREADS]
 *
 * A round follows from its seed, which is printed with a finding: -s SEED -o 0 plays
 * that round alone, with -t 1 in the same order.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#include "guest.h"

/* Where the kernel checks itself, and where it would only be slow again. */
#define OPERATIONS	50000
#define OPERATIONS_STOCK 10000
#define LONG_SCALE	1000	/* of GCARENA_TEST_SCALE: */
#define LONG_TIMES	20	/* a million where the kernel checks itself */
#define CHECKING_KERNEL	"/proc/lockdep"
#define ROUND		1000	/* operations of one owner */
#define PROGRESS	20	/* lines of it in a run */
#define THREADS		3
#define HELD		24	/* spans of one thread */
#define SIZE		(24 * MIB)
#define PAGES		(SIZE / PAGE)
#define LARGE_MAX	300	/* pages: more than a chunk */
#define SLACK		(8L * MIB)	/* of the rest of the system, in Shmem */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

/**
 * struct shared - what survives an owner that is killed
 * @wrong: findings
 * @what: the first one
 * @done: operations
 * @owner: by page: thread + 1, or 0
 */
struct shared {
	atomic_uint wrong;
	char what[200];
	atomic_ulong done;
	atomic_uchar owner[PAGES];
};

struct worker {
	pthread_t thread;
	uint64_t random;
	unsigned int nr;
	unsigned int id;
	unsigned long operations;
	struct gcarena_span held[HELD];
};

static struct shared *shared;
static struct arena arena;

__attribute__((format(printf, 1, 2)))
static void wrong(const char *format, ...)
{
	va_list ap;

	if (atomic_fetch_add(&shared->wrong, 1))
		return;
	va_start(ap, format);
	vsnprintf(shared->what, sizeof(shared->what), format, ap);
	va_end(ap);
}

static uint32_t below(struct worker *w, uint32_t n)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return ((w->random * 0x2545f4914f6cdd1dULL) >> 32) % n;
}

static uint64_t *word_at(uint32_t page, unsigned int end)
{
	return (uint64_t *)(g_addr(&arena, page) + (end ? PAGE - sizeof(uint64_t) : 0));
}

static uint64_t pattern(const struct worker *w, uint32_t page)
{
	return (page * 0x9e3779b97f4a7c15ULL) ^ w->id;
}

static void fill(struct worker *w, const struct gcarena_span *s)
{
	for (uint32_t page = s->page; page < s->page + s->npages; page++)
		for (unsigned int end = 0; end < 2; end++)
			*word_at(page, end) = pattern(w, page);
}

static void check(struct worker *w, const struct gcarena_span *s)
{
	for (uint32_t page = s->page; page < s->page + s->npages; page++)
		for (unsigned int end = 0; end < 2; end++)
			if (*word_at(page, end) != pattern(w, page))
				wrong("page %u, held, has changed", page);
}

/* Bits only in what is held: elsewhere they would be somebody's objects. */
static void some_bits(struct worker *w, const struct gcarena_span *s)
{
	for (unsigned int which = 0; which < 2; which++)
		if (below(w, 3) == 0)
			g_set_bit(&arena, which, s->page + below(w, s->npages),
				  below(w, GCARENA_PAGE_GRANULES));
}

static void op_refill(struct worker *w)
{
	static const unsigned int classes[] = { C_16, C_64, C_1K, C_CHUNKY, C_LARGE, C_MANUAL };
	unsigned int cls = classes[below(w, 6)];
	uint32_t room = HELD - w->nr;
	struct gcarena_span *got = &w->held[w->nr];
	uint32_t npages = 0;
	int n;

	if (!room)
		return;
	if (cls == C_LARGE || cls == C_MANUAL)
		npages = 1 + below(w, below(w, 4) ? 8 : LARGE_MAX);
	n = g_refill(&arena, cls, npages, got, 1 + below(w, room));
	if (n < 0) {
		if (n != -ENOMEM)
			wrong("refill: %s", strerror(-n));
		return;
	}
	for (int i = 0; i < n; i++) {
		struct gcarena_span *s = &got[i];

		if (s->span_class != cls || !s->npages || s->page + s->npages > PAGES) {
			wrong("refill gave page %u, %u pages, class %u", s->page, s->npages,
			      s->span_class);
			continue;
		}
		for (uint32_t page = s->page; page < s->page + s->npages; page++)
			if (atomic_exchange(&shared->owner[page], w->id + 1))
				wrong("page %u was given to two", page);
		fill(w, s);
		some_bits(w, s);
	}
	w->nr += n;
}

static void give(struct worker *w, unsigned int i)
{
	struct gcarena_span s = w->held[i];
	int err;

	check(w, &s);
	for (uint32_t page = s.page; page < s.page + s.npages; page++)
		atomic_store(&shared->owner[page], 0);
	s.flags = 0;
	err = g_return(&arena, &s, 1);
	if (err)
		wrong("return of page %u: %s", s.page, strerror(-err));
	w->held[i] = w->held[--w->nr];
}

static void op_return(struct worker *w)
{
	for (uint32_t n = 1 + below(w, 4); n && w->nr; n--)
		give(w, below(w, w->nr));
}

static void op_keep(struct worker *w)
{
	struct gcarena_span *s, entry;
	uint32_t before, after;
	int err;

	if (!w->nr)
		return;
	s = &w->held[below(w, w->nr)];
	if (s->span_class == C_MANUAL)
		return;
	entry = g_spent(*s, GCARENA_SPAN_KEEP);
	before = __atomic_load_n(&arena.status->generation, __ATOMIC_ACQUIRE);
	err = g_return(&arena, &entry, 1);
	after = __atomic_load_n(&arena.status->generation, __ATOMIC_ACQUIRE);
	if (err) {
		wrong("keep of page %u: %s", s->page, strerror(-err));
		return;
	}
	/* A flip in between: the row has the generation at which it is held. */
	s->generation = before == after ? after :
		arena.rows[s->page].word1 >> GCARENA_ROW_GENERATION_SHIFT;
}

static void op_lie(struct worker *w)
{
	struct gcarena_span s = { .page = below(w, 2 * PAGES), .npages = 1 + below(w, 8),
				  .span_class = below(w, C_COUNT + 2), .flags = below(w, 16),
				  .generation = 1000000 + below(w, 1000) };

	if (g_return(&arena, &s, 1) != -EINVAL)
		wrong("a span of generation %u at page %u was taken", s.generation, s.page);
}

static void op_sweep(struct worker *w)
{
	struct gcarena_sweep args = { .size = sizeof(args) };
	int err;

	args.generation = __atomic_load_n(&arena.status->generation, __ATOMIC_ACQUIRE);
	err = g_ioctl(arena.fd, GCARENA_IOC_START_SWEEP, &args);
	if (err && err != -EBUSY && err != -EINVAL)
		wrong("start of a sweep: %s", strerror(-err));
	args = (struct gcarena_sweep){ .size = sizeof(args), .nr_spans = below(w, 64) };
	err = g_ioctl(arena.fd, GCARENA_IOC_SWEEP_ASSIST, &args);
	if (err)
		wrong("assist: %s", strerror(-err));
}

static void op_scavenge(struct worker *w)
{
	bool all = !below(w, 4);
	bool inside = all && !below(w, 2);
	long got = g_scavenge(&arena, (all ? GCARENA_SCAVENGE_ALL : 0) |
			      (inside ? GCARENA_SCAVENGE_INSIDE : 0),
			      all ? 0 : below(w, 8) * (uint64_t)MIB);

	if (got < 0)
		wrong("scavenge: %s", strerror(-got));
}

static void op_policy(struct worker *w)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy),
		.limit_bytes = below(w, 4) ? 0 : (1 + below(w, 24)) * MIB,
		.retain_bytes = below(w, 2) ? ~0ULL : below(w, 24) * MIB,
	};
	struct gcarena_policy_call call = { .size = sizeof(call), .policy = (uintptr_t)&policy,
					    .flags = below(w, 2) };
	int err = g_ioctl(arena.fd, GCARENA_IOC_POLICY, &call);

	if (err)
		wrong("policy: %s", strerror(-err));
}

static void op_residency(struct worker *w)
{
	struct gcarena_run runs[16];
	struct gcarena_residency args = {
		.size = sizeof(args),
		.page = below(w, PAGES),
		.npages = 1,
		.runs = (uintptr_t)runs,
		.nr_runs = 1 + below(w, 16),
	};
	int err;

	args.npages += below(w, PAGES - args.page);
	err = g_ioctl(arena.fd, GCARENA_IOC_RESIDENCY, &args);
	if (err || !args.nr_runs || args.nr_runs > 16)
		wrong("residency: %d, %u runs", err, args.nr_runs);
}

/* Advice that must lose nothing, on any of the heap; errors are as may be. */
static void op_advise(struct worker *w)
{
	static const int advice[] = { MADV_DONTNEED, MADV_HUGEPAGE, MADV_COLLAPSE, MADV_COLD,
				      MADV_PAGEOUT, MADV_WILLNEED };
	uint64_t at = below(w, SIZE / BASE_PAGE) * BASE_PAGE;
	uint64_t bytes = (1 + below(w, 2 * CHUNK / BASE_PAGE)) * BASE_PAGE;

	if (at + bytes > SIZE)
		bytes = SIZE - at;
	madvise(arena.heap + at, bytes, advice[below(w, 6)]);
}

/* Holes in what is the thread's own, and zeroes there after. */
static void op_remove(struct worker *w)
{
	struct gcarena_span *s;

	if (!w->nr)
		return;
	s = &w->held[below(w, w->nr)];
	check(w, s);
	if (madvise(g_addr(&arena, s->page), s->npages * PAGE, MADV_REMOVE))
		return;
	for (uint32_t page = s->page; page < s->page + s->npages; page++)
		if (*word_at(page, 0) || *word_at(page, 1))
			wrong("page %u, removed, is not zero", page);
	fill(w, s);
}

static void op_map(struct worker *w)
{
	static const uint64_t offsets[] = { GCARENA_OFF_HEAP, GCARENA_OFF_SPANS,
					    GCARENA_OFF_BITMAPS, GCARENA_OFF_STATUS, 1ULL << 50 };
	uint64_t bytes = (1 + below(w, 64)) * BASE_PAGE;
	int prot = below(w, 2) ? PROT_READ : PROT_READ | PROT_WRITE;
	char *map = mmap(NULL, bytes, prot, below(w, 4) ? MAP_SHARED : MAP_PRIVATE, arena.fd,
			 offsets[below(w, 5)] + below(w, 4) * BASE_PAGE);

	if (map == MAP_FAILED)
		return;
	if (below(w, 2))
		mprotect(map, BASE_PAGE, PROT_READ);
	munmap(map, bytes);
}

/* Another view of the heap shows the same. */
static void op_view(struct worker *w)
{
	struct gcarena_span *s;
	uint64_t *view;

	if (!w->nr)
		return;
	s = &w->held[below(w, w->nr)];
	view = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, arena.fd, (uint64_t)s->page * PAGE);
	if (view == MAP_FAILED)
		return;
	if (*view != pattern(w, s->page))
		wrong("another mapping of page %u shows something else", s->page);
	munmap(view, PAGE);
}

/* Nothing but calls in the child: the other threads' locks are nobody's there. */
static void op_fork(struct worker *w)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		struct gcarena_stats stats = { .size = sizeof(stats) };

		_exit(g_ioctl(arena.fd, GCARENA_IOC_STATS, &stats) != -EIO);
	}
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		wrong("a child got at the arena: status %x", status);
}

static void op_nonsense(struct worker *w)
{
	uint64_t args[16];

	for (unsigned int i = 0; i < 16; i++)
		args[i] = ((uint64_t)below(w, ~0U) << 32) | below(w, ~0U);
	/* Too long by what the kernel does not know, or too short. */
	*(uint32_t *)args = below(w, 2) ? below(w, 8) : 5000 + below(w, 5000);
	if (!g_ioctl(arena.fd, _IOWR('G', 0x80 + below(w, 32), uint64_t), args))
		wrong("nonsense was taken");
}

static void op_lock(struct worker *w)
{
	struct gcarena_span *s;

	if (!w->nr)
		return;
	s = &w->held[below(w, w->nr)];
	if (!mlock(g_addr(&arena, s->page), PAGE))
		munlock(g_addr(&arena, s->page), PAGE);
}

static void (*const common[])(struct worker *w) = {
	op_refill, op_refill, op_return, op_return, op_keep, op_sweep, op_lie,
};

static void (*const rare[])(struct worker *w) = {
	op_scavenge, op_policy, op_residency, op_advise, op_remove, op_map, op_view, op_fork,
	op_nonsense, op_lock,
};

static void *work(void *arg)
{
	struct worker *w = arg;

	while (w->operations--) {
		if (below(w, 16))
			common[below(w, 7)](w);
		else
			rare[below(w, 10)](w);
		atomic_fetch_add(&shared->done, 1);
	}
	return NULL;
}

static void own(uint64_t seed, unsigned int threads)
{
	static struct worker workers[16];
	int err;

	memset(shared->owner, 0, sizeof(shared->owner));
	g_open(&arena, SIZE);
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].id = i;
		workers[i].random = (seed * 16 + i + 1) * 0x9e3779b97f4a7c15ULL;
		workers[i].operations = ROUND / threads;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			_exit(2);
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < threads; i++)
		while (workers[i].nr)
			give(&workers[i], 0);
	err = g_validate(arena.setup.id);
	if (err)
		wrong("the arena is not valid: %s", strerror(-err));
	_exit(0);
}

/* Who waits for a million of them wants to know how it goes. */
static void progress(uint64_t seed, unsigned long operations, int64_t since)
{
	static unsigned long told;
	unsigned long done = atomic_load(&shared->done);
	int64_t ms = (g_now_ns() - since) / 1000000;

	if (done < operations && done - told < operations / PROGRESS)
		return;
	told = done;
	diag("%lu operations in %lld s, the last of seed %llu: %lld a second", done,
	     (long long)ms / 1000, (unsigned long long)seed,
	     (long long)done * 1000 / (ms ? ms : 1));
}

/* False: something was found. */
static bool play(uint64_t seed, unsigned int threads)
{
	struct timespec life = { .tv_nsec = seed * 7919 % 300 * 1000000L };
	bool dies = seed % 4 == 3;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		own(seed, threads);
	if (dies) {
		nanosleep(&life, NULL);
		kill(pid, SIGKILL);
	}
	waitpid(pid, &status, 0);
	if (!shared->wrong && status && !(dies && WIFSIGNALED(status)))
		wrong("the owner ended with status %x", status);
	if (shared->wrong)
		diag("seed %llu: %u findings, the first: %s", (unsigned long long)seed,
		     atomic_load(&shared->wrong), shared->what);
	return !shared->wrong;
}

int main(int argc, char **argv)
{
	unsigned long operations = g_exists(CHECKING_KERNEL) ? OPERATIONS : OPERATIONS_STOCK;
	unsigned int threads = THREADS;
	const char *scale = getenv("GCARENA_TEST_SCALE");
	uint64_t seed = 1;
	bool fine = true;
	int64_t since;
	long shmem;
	int opt;

	if (scale)
		operations = strtoul(scale, NULL, 10) >= LONG_SCALE ? operations * LONG_TIMES :
			     operations * strtoul(scale, NULL, 10) / 100;
	while ((opt = getopt(argc, argv, "s:o:t:")) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (opt == 'o')
			operations = strtoul(optarg, NULL, 10);
		else if (opt == 't')
			threads = strtoul(optarg, NULL, 10);
		else
			bail("usage: fuzz [-s SEED] [-o OPERATIONS] [-t THREADS]");
	}
	if (!threads || threads > 16)
		bail("-t %u: 1 to 16", threads);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		bail("mmap: %s", strerror(errno));
	shmem = g_file_value("/proc/meminfo", "Shmem") * 1024;
	since = g_now_ns();
	do {
		fine = play(seed, threads);
		progress(seed++, operations, since);
	} while (fine && shared->done < operations);
	ok(fine, "%lu random operations: what must hold holds", atomic_load(&shared->done));
	ok(shared->done >= operations || !fine, "all of them were made");
	ok(g_wait_for(g_file_value(DEBUGFS "/totals", "arenas") == 0, 10000), "no arena is left");
	ok(g_wait_for(g_file_value("/proc/meminfo", "Shmem") * 1024 <= shmem + SLACK, 10000),
	   "no heap memory is left");
	return tap_done();
}
