// SPDX-License-Identifier: MIT
/*
 * C2, giving back inside reclaim: free chunks go when somebody else needs the
 * memory, by a cgroup's limit, memory.reclaim or drop_caches, without a call by
 * the owner; what is in use keeps its contents; nobody is killed beside free
 * memory.  And the same program on what user space can have for a heap, a memfd
 * or anonymous huge pages, which can only be killed.
 *
 * Everything runs with MGLRU on and off, and with huge and with small folios
 * (where the system lets them be chosen), all in one boot, without swap; at the
 * end with swap, where there is a RAM disk for it (brd is a module: the runner
 * has to be told to add it, see SWAP_MODULE).
 *
 * A chunk is one large span here, so that which chunks are free is the test's
 * choice.  In-use chunks carry a pattern of their own in every word.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <stdatomic.h>

#include "reclaim.h"
#include "swap_device.h"

#define GROUP		CGROUP "/gcarena-shrink"
#define OTHER		CGROUP "/gcarena-shrink-other"

#define SIZE		(256 * MIB)

/* Of the growing task: 60 % of its arena is free, and that is what it lacks. */
#define LIMIT		(96 * MIB)
#define TASK_CHUNKS	40
#define TASK_USED	16
#define TASK_GROWTH	(40 * MIB)

static const char *mode = "";

static long group_event(const char *key)
{
	return g_file_value(GROUP "/memory.events", key);
}

static void group_limit(const char *limit)
{
	if (g_write_file(GROUP "/memory.max", limit))
		bail("memory.max %s", limit);
}

/* A task at its limit. */

enum { TASK_FINE, TASK_SPOILT, TASK_FAILED, TASK_KILLED };

static int grow(void)
{
	char *more = mmap(NULL, TASK_GROWTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (more == MAP_FAILED)
		return TASK_FAILED;
	for (unsigned long at = 0; at < TASK_GROWTH; at += BASE_PAGE)
		more[at] = 1;
	return TASK_FINE;
}

/* The same steps on the device and, as a heap would have it, on a memfd. */
static int task_on_arena(void)
{
	static struct gcarena_span spans[TASK_CHUNKS];
	struct arena a;
	int err;

	g_open(&a, SIZE);
	take_chunks(&a, spans, TASK_CHUNKS);
	for (int i = TASK_USED; i < TASK_CHUNKS; i++)
		if (g_return(&a, &spans[i], 1))
			return TASK_FAILED;
	err = grow();
	return err ? err : spoilt(&a, spans, TASK_USED) ? TASK_SPOILT : TASK_FINE;
}

/* A heap of user space: the chunks that it has free are on its own list alone. */
static int task_on_heap(char *heap)
{
	if (heap == MAP_FAILED)
		return TASK_FAILED;
	for (int i = 0; i < TASK_CHUNKS; i++)
		fill_pattern(heap + i * CHUNK, i);
	/* All but TASK_USED are free from here on. */
	return grow();
}

static int task_on_memfd(void)
{
	int fd = memfd_create("heap", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, SIZE))
		return TASK_FAILED;
	return task_on_heap(mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
}

static int task_on_anonymous(void)
{
	char *heap = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (heap != MAP_FAILED && madvise(heap, SIZE, MADV_HUGEPAGE))
		return TASK_FAILED;
	return task_on_heap(heap);
}

static int run_limited(int (*task)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (enter(GROUP))
			_exit(TASK_FAILED);
		_exit(task());
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? TASK_KILLED : TASK_FAILED;
	return WEXITSTATUS(status);
}

static void test_limit(bool with_baseline)
{
	char limit[32];
	long kills;

	snprintf(limit, sizeof(limit), "%lu", LIMIT);
	group_limit(limit);
	kills = group_event("oom_kill");
	eq(run_limited(task_on_arena), TASK_FINE,
	   "C2 limit%s: a task grows into the free chunks of its arena", mode);
	eq(group_event("oom_kill"), kills, "C2 limit%s: nobody is killed", mode);
	for (unsigned int i = 0; with_baseline && i < 2; i++) {
		static int (* const task[2])(void) = { task_on_memfd, task_on_anonymous };
		static const char * const where[2] = { "a memfd", "anonymous huge pages" };

		kills = group_event("oom_kill");
		eq(run_limited(task[i]), TASK_KILLED,
		   "C2 limit%s: on %s the same task is killed", mode, where[i]);
		eq(group_event("oom_kill"), kills + 1, "C2 limit%s: for lack of memory", mode);
	}
	group_limit("max");
}

/* Asked for from outside. */

static void reclaim_group(void)
{
	group_reclaim(GROUP);
}

static void reclaim_caches(void)
{
	g_write_file(DROP_CACHES, "2");
}

static void test_reclaim(const char *how, void (*reclaim)(void))
{
	enum { NR = 24 };
	struct gcarena_span spans[NR], again[NR];
	struct gcarena_counters c;
	struct arena a;
	bool zero = true;
	int kept, i;

	g_open(&a, SIZE);
	take_chunks(&a, spans, NR);
	kept = free_chunks(&a, spans, NR, 3);
	eq(mapped(&a), NR * (long)CHUNK, "C2 %s%s: freed chunks stay backed", how, mode);
	reclaim();
	eq(mapped(&a), kept * (long)CHUNK, "C2 %s%s: all of them go, and nothing else", how, mode);
	c = counters(&a);
	eq(c.shrink_bytes, (NR - kept) * CHUNK, "C2 %s%s: they are counted", how, mode);
	ok(c.shrink_calls >= (uint64_t)(NR - kept), "C2 %s%s: so are the calls", how, mode);
	eq(c.chunks_idle, 0, "C2 %s%s: none is idle", how, mode);
	eq(c.chunks_backed, kept, "C2 %s%s: the others are backed", how, mode);
	eq(g_debugfs_stat(a.setup.id, "host_chunks_idle"), 0,
	   "C2 %s%s: nor has the shrinker one", how, mode);
	eq(a.status->counters.shrink_bytes, (long)c.shrink_bytes,
	   "C2 %s%s: the status page says so", how, mode);
	eq(spoilt(&a, spans, kept), 0, "C2 %s%s: chunks in use keep their contents", how, mode);

	for (i = 0; i < NR - kept; i++) {
		if (g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &again[i], 1) != 1)
			break;
		zero &= !(again[i].flags & GCARENA_SPAN_NEEDS_ZERO) && !*g_addr(&a, again[i].page);
		fill_pattern(g_addr(&a, again[i].page), again[i].page);
	}
	eq(i, NR - kept, "C2 %s%s: and can be had again", how, mode);
	ok(zero, "C2 %s%s: as zeroes", how, mode);
	eq(spoilt(&a, spans, kept) + spoilt(&a, again, i), 0, "C2 %s%s: each its own", how, mode);
	free_chunks(&a, again, i, 0);
	free_chunks(&a, spans, kept, 0);
	reclaim();
	eq(mapped(&a), 0, "C2 %s%s: an empty arena has nothing left", how, mode);
	g_close(&a);
}

/* The last one is not too small a share to be worth a pass. */
static void test_single(void)
{
	struct gcarena_span span;
	struct arena a;

	g_open(&a, SIZE);
	take_chunks(&a, &span, 1);
	free_chunks(&a, &span, 1, 0);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 single%s: the only idle chunk goes", mode);
	g_close(&a);
}

/* Only wholly free chunks, also where pages inside others are free. */
static void test_partly(void)
{
	struct gcarena_span spans[4];
	struct arena a;
	long before;

	g_open(&a, SIZE);
	eq(g_refill(&a, C_CHUNKY, 0, spans, 4), 4, "C2 partly%s: a chunk of four spans", mode);
	for (int i = 0; i < 4; i++)
		memset(g_addr(&a, spans[i].page), 0x55, spans[i].npages * PAGE);
	g_return(&a, spans, 3);
	before = mapped(&a);
	group_reclaim(GROUP);
	eq(mapped(&a), before, "C2 partly%s: keeps its pages while one is held", mode);
	eq(counters(&a).chunks_small, counters(&a).back_small, "C2 partly%s: and is not broken",
	   mode);
	g_return(&a, &spans[3], 1);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 partly%s: and then goes", mode);
	g_close(&a);
}

static void test_locked(void)
{
	struct gcarena_span spans[4];
	struct arena a;
	char *lock;

	g_open(&a, SIZE);
	take_chunks(&a, spans, 4);
	lock = g_addr(&a, spans[1].page);
	eq(mlock(lock, CHUNK), 0, "C2 locked%s: a chunk is locked into memory", mode);
	free_chunks(&a, spans, 4, 0);
	group_reclaim(GROUP);
	eq(mapped(&a), CHUNK, "C2 locked%s: free or not, it stays", mode);
	eq(counters(&a).chunks_idle, 1, "C2 locked%s: and stays idle", mode);
	eq(g_validate(a.setup.id), 0, "C2 locked%s: all is valid", mode);
	munlock(lock, CHUNK);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 locked%s: and goes when unlocked", mode);

	/* Of small pages, what can go does. */
	take_chunks(&a, spans, 2);
	if (counters(&a).chunks_small == 2) {
		lock = g_addr(&a, spans[1].page) + 7 * PAGE;
		mlock(lock, BASE_PAGE);
		free_chunks(&a, spans, 2, 0);
		group_reclaim(GROUP);
		eq(mapped(&a), BASE_PAGE, "C2 locked%s: one base page is kept", mode);
		eq(counters(&a).heap_sys - counters(&a).heap_released, PAGE,
		   "C2 locked%s: its page counts as backed", mode);
		eq(g_validate(a.setup.id), 0, "C2 locked%s: all is valid", mode);
		take_chunks(&a, spans, 2);
		eq(spoilt(&a, spans, 2), 0, "C2 locked%s: both can be had again", mode);
		munlock(lock, BASE_PAGE);
	}
	free_chunks(&a, spans, 2, 0);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 locked%s: and go", mode);
	g_close(&a);
}

/* A chunk is found by reclaim of the cgroup that is charged for it. */
static void test_migration(void)
{
	struct gcarena_span spans[4];
	struct arena a;

	g_open(&a, SIZE);
	take_chunks(&a, spans, 4);
	eq(enter(OTHER), 0, "C2 migration%s: backed in one cgroup, moved to another", mode);
	free_chunks(&a, spans, 4, 0);
	group_reclaim(OTHER);
	eq(mapped(&a), 4 * CHUNK, "C2 migration%s: the new one has nothing to give", mode);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 migration%s: the one charged has", mode);
	take_chunks(&a, spans, 4);
	free_chunks(&a, spans, 4, 0);
	group_reclaim(GROUP);
	eq(mapped(&a), 4 * CHUNK, "C2 migration%s: backed in the new one, it is charged", mode);
	group_reclaim(OTHER);
	eq(mapped(&a), 0, "C2 migration%s: and gives", mode);
	eq(enter(GROUP), 0, "C2 migration%s: moved back", mode);
	g_close(&a);
}

/*
 * Threads refill, write, check and return while reclaim never rests.  What they
 * hold at most (36 MiB) and what another thread maps, touches and unmaps (12 MiB)
 * is within the limit, their idle chunks besides are not: so faults and refills
 * reclaim as well, with the owner's mmap_lock held or a chunk being backed.
 */
#define CHURNERS	3
#define CHURN_CHUNKS	6
#define CHURN_GROWTH	(12 * MIB)
#define CHURN_LIMIT	"64M"
#define CHURN_MS	1500
#define CHURN_MOST_MS	30000

static struct arena churn_arena;
static atomic_bool churn_stop;
static atomic_int churn_spoilt, churn_failed, churn_starved;
static atomic_long churn_rounds;

static void *churner(void *arg)
{
	struct gcarena_span spans[CHURN_CHUNKS];
	struct arena *a = &churn_arena;

	while (!atomic_load(&churn_stop)) {
		for (int i = 0; i < CHURN_CHUNKS; i++) {
			int got;

			/* At the limit that is allowed; forever, the run ends it. */
			while ((got = g_refill(a, C_LARGE, GCARENA_CHUNK_PAGES, &spans[i], 1)) ==
			       -ENOMEM)
				atomic_fetch_add(&churn_starved, 1);
			if (got != 1) {
				atomic_fetch_add(&churn_failed, 1);
				return NULL;
			}
			for (unsigned long at = 0; at < CHUNK; at += BASE_PAGE)
				*(uint64_t *)(g_addr(a, spans[i].page) + at) = spans[i].page + at;
		}
		sched_yield();
		for (int i = 0; i < CHURN_CHUNKS; i++) {
			for (unsigned long at = 0; at < CHUNK; at += BASE_PAGE)
				if (*(uint64_t *)(g_addr(a, spans[i].page) + at) !=
				    spans[i].page + at)
					atomic_fetch_add(&churn_spoilt, 1);
			if (g_return(a, &spans[i], 1))
				atomic_fetch_add(&churn_failed, 1);
		}
		atomic_fetch_add(&churn_rounds, 1);
	}
	return NULL;
}

static void *grower(void *arg)
{
	while (!atomic_load(&churn_stop)) {
		char *more = mmap(NULL, CHURN_GROWTH, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (more == MAP_FAILED) {
			atomic_fetch_add(&churn_failed, 1);
			break;
		}
		for (unsigned long at = 0; at < CHURN_GROWTH; at += BASE_PAGE)
			more[at] = 1;
		munmap(more, CHURN_GROWTH);
	}
	return NULL;
}

static bool churned(void)
{
	return churn_rounds > 0 && counters(&churn_arena).shrink_bytes > 0;
}

static void test_churn(void)
{
	pthread_t threads[CHURNERS + 1];
	unsigned long *passes = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t reclaimer;
	long kills = group_event("oom_kill");

	group_limit(CHURN_LIMIT);
	atomic_store(&churn_stop, false);
	atomic_store(&churn_starved, 0);
	atomic_store(&churn_rounds, 0);
	atomic_store(&churn_spoilt, 0);
	atomic_store(&churn_failed, 0);
	g_open(&churn_arena, SIZE);
	for (int i = 0; i < CHURNERS; i++)
		pthread_create(&threads[i], NULL, churner, NULL);
	pthread_create(&threads[CHURNERS], NULL, grower, NULL);
	/*
	 * By another process: while everything is hot MGLRU only ages it, and a call
	 * may take as long as the threads go on.
	 */
	reclaimer = fork();
	if (!reclaimer)
		for (;;) {
			if ((*passes)++ % 4)
				g_write_file(GROUP "/memory.reclaim", "16M");
			else
				reclaim_caches();
		}
	g_msleep(CHURN_MS);
	/* Longer where the machine has much to do, until both have had their turn. */
	g_wait_for(churned(), CHURN_MOST_MS);
	atomic_store(&churn_stop, true);
	kill(reclaimer, SIGKILL);
	waitpid(reclaimer, NULL, 0);
	for (int i = 0; i <= CHURNERS; i++)
		pthread_join(threads[i], NULL);
	group_limit("max");
	eq(group_event("oom_kill"), kills, "C2 churn%s: nobody is killed", mode);
	eq(churn_failed, 0, "C2 churn%s: every refill and return is served", mode);
	eq(churn_spoilt, 0, "C2 churn%s: no page in use is lost", mode);
	ok(churned(), "C2 churn%s: both went on", mode);
	diag("churn%s: %ld rounds, %lu passes, %llu MiB by reclaim in %llu calls, %d starved",
	     mode, atomic_load(&churn_rounds), *passes,
	     (unsigned long long)counters(&churn_arena).shrink_bytes / MIB,
	     (unsigned long long)counters(&churn_arena).shrink_calls, churn_starved);
	group_reclaim(GROUP);
	munmap(passes, BASE_PAGE);
	eq(mapped(&churn_arena), 0, "C2 churn%s: nothing is left behind", mode);
	g_close(&churn_arena);
}

/* Owners die while their idle chunks are being reclaimed. */

#define DEATHS		24

static void mortal(int how)
{
	struct gcarena_span spans[8];
	struct arena a;

	g_open(&a, SIZE);
	take_chunks(&a, spans, 8);
	free_chunks(&a, spans, 8, 4);
	/* Exit, or leave by closing: first one, then the other way to die. */
	if (how % 2) {
		munmap(a.heap, a.size);
		g_unmap_meta(&a);
		close(a.fd);
	}
	if (how % 3 == 2)
		raise(SIGKILL);
	_exit(0);
}

static void test_death(void)
{
	unsigned long *passes = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t reclaimer, pid;
	int status, odd = 0;

	if (passes == MAP_FAILED)
		bail("mmap");
	fflush(stdout);
	reclaimer = fork();
	if (!reclaimer) {
		for (;;) {
			g_write_file(GROUP "/memory.reclaim", "8M");
			reclaim_caches();
			__atomic_add_fetch(passes, 1, __ATOMIC_RELAXED);
		}
	}
	/* On a slow machine some more, until a pass of reclaim was made beside them. */
	for (int i = 0; i < DEATHS || (i < 10 * DEATHS &&
				       !__atomic_load_n(passes, __ATOMIC_RELAXED)); i++) {
		pid = fork();
		if (!pid)
			mortal(i);
		waitpid(pid, &status, 0);
		if (i % 3 == 2)
			odd += !WIFSIGNALED(status);
		else
			odd += !WIFEXITED(status) || WEXITSTATUS(status);
	}
	kill(reclaimer, SIGKILL);
	waitpid(reclaimer, &status, 0);
	eq(odd, 0, "C2 death%s: owners die as they like while reclaim runs", mode);
	ok(__atomic_load_n(passes, __ATOMIC_RELAXED), "C2 death%s: and it did", mode);
	munmap(passes, BASE_PAGE);
}

/* Cells of the matrix. */

static void run_cell(const char *lru_gen, const char *shmem, const char *name)
{
	choose(SHMEM_ENABLED, shmem);
	if (g_exists(LRU_GEN))
		choose(LRU_GEN, lru_gen);
	mode = name;
	/* What user space can do does not depend on this mount's folios. */
	test_limit(!!strcmp(shmem, "deny"));
	if (enter(GROUP))
		bail("cannot enter the cgroup");
	test_reclaim("memory.reclaim", reclaim_group);
	test_reclaim("drop_caches", reclaim_caches);
	test_single();
	test_partly();
	test_locked();
	test_migration();
	test_churn();
	test_death();
	if (enter(CGROUP))
		bail("cannot leave the cgroup");
}

/* With swap: what was swapped out stays as it is until it is released. */

static long swapped(void)
{
	char text[32] = "";
	int fd = open(GROUP "/memory.swap.current", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 ? atol(text) : -1;
}

static void test_swap(void)
{
	enum { NR = 12 };
	struct gcarena_span spans[NR];
	struct arena a;
	long before, after;
	int kept;

	/* A memfd's owner lives, too: its free memory is swapped out. */
	test_limit(false);
	if (enter(GROUP))
		bail("cannot enter the cgroup");
	g_open(&a, SIZE);
	take_chunks(&a, spans, NR);
	before = swapped();
	group_reclaim(GROUP);
	ok(swapped() - before > NR * (long)CHUNK / 2 && mapped(&a) < NR * (long)CHUNK / 2,
	   "C2 swap%s: what is in use is swapped out", mode);
	diag("swap%s: %ld KiB swapped, %ld KiB mapped", mode, (swapped() - before) / 1024,
	     mapped(&a) / 1024);
	kept = free_chunks(&a, spans, NR, 3);
	group_reclaim(GROUP);
	eq(g_validate(a.setup.id), 0, "C2 swap%s: freed and left by reclaim, all is valid",
	   mode);
	eq(counters(&a).chunks_idle, NR - kept, "C2 swap%s: swapped chunks stay idle", mode);
	ok(g_scavenge(&a, 0, (NR - kept) * CHUNK) >= 0, "C2 swap%s: scavenged", mode);
	/* Some of the test's own memory may have been swapped as well. */
	after = swapped();
	ok(after - before < (kept + 1) * (long)CHUNK, "C2 swap%s: their swap is free", mode);
	diag("swap%s: %ld KiB left swapped", mode, (after - before) / 1024);
	eq(g_validate(a.setup.id), 0, "C2 swap%s: all is valid", mode);
	eq(spoilt(&a, spans, kept), 0, "C2 swap%s: chunks in use come back as they were", mode);
	free_chunks(&a, spans, kept, 0);
	group_reclaim(GROUP);
	eq(mapped(&a), 0, "C2 swap%s: an empty arena has nothing left", mode);
	g_close(&a);
	test_churn();
	if (enter(CGROUP))
		bail("cannot leave the cgroup");
}

static void run_swap_cells(const char *shmem)
{
	if (!swap_on()) {
		skip(1, "no " SWAP_MODULE ": nothing was swapped");
		return;
	}
	g_write_file(GROUP "/memory.swap.max", "max");
	mode = ", MGLRU, swap";
	choose(SHMEM_ENABLED, shmem);
	test_swap();
	mode = ", small, swap";
	choose(SHMEM_ENABLED, "deny");
	test_swap();
	swap_off();
}

static void test_feature(void)
{
	struct gcarena_features f = { .size = sizeof(f) };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &f), 0, "C2: features");
	ok(f.features & GCARENA_FEATURE_SHRINKER, "C2: the shrinker is one");
	close(fd);
}

int main(void)
{
	char shmem[32];

	if (!g_exists(CGROUP "/cgroup.controllers"))
		skip_all("no cgroup2 at " CGROUP);
	mkdir(GROUP, 0755);
	mkdir(OTHER, 0755);
	if (g_write_file(GROUP "/memory.max", "max"))
		skip_all("no memory controller");
	if (!g_exists(GROUP "/memory.reclaim"))
		skip_all("no memory.reclaim");
	g_write_file(GROUP "/memory.swap.max", "0");
	g_read_choice(SHMEM_ENABLED, shmem, sizeof(shmem));

	test_feature();
	run_cell("7", shmem, ", MGLRU");
	run_cell("0", shmem, ", no MGLRU");
	run_cell("0", "deny", ", no MGLRU, small");
	run_cell("7", "deny", ", MGLRU, small");
	run_swap_cells(shmem);
	choose(SHMEM_ENABLED, shmem);
	if (!g_exists(LRU_GEN))
		diag("no %s: MGLRU was never on", LRU_GEN);

	ok(g_wait_for(!rmdir(GROUP), 5000), "C2: nothing holds the cgroup afterwards");
	ok(g_wait_for(!rmdir(OTHER), 5000), "C2: nor the other");
	return tap_done();
}
