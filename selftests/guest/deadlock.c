// SPDX-License-Identifier: MIT
/*
 * Nobody waits for ever: refills, returns and scavenging by several threads of an
 * owner at its memory limit, with swap, while khugepaged runs at full rate, the
 * owner removes, collapses and pages out ranges of the heap by itself, and others
 * reclaim its cgroup; with huge folios, and with small ones forced.
 *
 * Lockdep knows nothing of folio locks, so what shows a deadlock is that somebody
 * makes no step: the kernel reports tasks that hang (a minute, see vm/init), and
 * this program ends with a dump of who waits for what before that.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "reclaim.h"
#include "swap_device.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define GROUP		CGROUP "/gcarena-deadlock"
#define LIMIT		"50331648"
#define SIZE		(96 * MIB)
#define HELD		6		/* chunks of each of the churners */
#define CHURNERS	2
#define GROWTH		(8 * MIB)
#define GROWTH_STEP	(512 * 1024UL)
#define KHUGEPAGED	THP "khugepaged/"
#define SHORT_MS	1500
#define LONG_MS		60000
/* In which each thread takes a step, or is stuck: on a machine with much to do. */
#define STUCK_MS	150000
#define WORDS		64		/* looked at in a chunk, all over it */

struct actor {
	const char *name;
	void (*step)(struct actor *self);
	bool unwatched;
	pthread_t thread;
	unsigned int random;
	struct gcarena_span spans[HELD];
	atomic_ulong steps;
};

static struct arena arena;
static atomic_bool stop;
static atomic_ulong spoilt_words, refused, collapsed, removed;

static unsigned int roll(struct actor *self, unsigned int n)
{
	return rand_r(&self->random) / 7 % n;
}

static volatile uint64_t *word(uint32_t page, unsigned int i)
{
	return (volatile uint64_t *)(g_addr(&arena, page) + i * (CHUNK / WORDS));
}

/*
 * Holds some chunks: the even ones keep what was written to them, the odd ones
 * are the owner's to remove, which reads as zeroes or as it was.
 */
static void churn(struct actor *self)
{
	unsigned int i = roll(self, HELD);
	struct gcarena_span *s = &self->spans[i];
	char *at;

	if (!s->npages) {
		if (g_refill(&arena, C_LARGE, GCARENA_CHUNK_PAGES, s, 1) != 1) {
			*s = (struct gcarena_span){};
			atomic_fetch_add(&refused, 1);
			return;
		}
		for (unsigned int w = 0; w < WORDS; w++)
			*word(s->page, w) = s->page * 1000ULL + w;
		return;
	}
	for (unsigned int w = 0; w < WORDS; w++) {
		uint64_t got = *word(s->page, w);

		if (got != s->page * 1000ULL + w && (got || !(i & 1)))
			atomic_fetch_add(&spoilt_words, 1);
	}
	at = g_addr(&arena, s->page);
	switch (roll(self, 5)) {
	case 0:
		if (i & 1 && !madvise(at + roll(self, 500) * BASE_PAGE, 8 * BASE_PAGE, MADV_REMOVE))
			atomic_fetch_add(&removed, 1);
		break;
	case 1:
		madvise(at + roll(self, 256) * BASE_PAGE, CHUNK / 2, MADV_PAGEOUT);
		break;
	case 2:
		atomic_fetch_add(&collapsed, !madvise(at, CHUNK, MADV_COLLAPSE));
		break;
	default:
		g_return(&arena, s, 1);
		s->npages = 0;
	}
}

/* Base pages here and there: chunks that are partly free, and broken. */
static void scatter(struct actor *self)
{
	struct gcarena_span s[32];
	int n = g_refill(&arena, C_64, 0, s, 32);

	for (int i = 0; i < n; i++)
		*word(s[i].page, 0) = i;
	for (int i = 0; i < n; i += 8)
		g_return(&arena, &s[i], n - i < 8 ? n - i : 8);
}

static void scavenge(struct actor *self)
{
	g_scavenge(&arena, roll(self, 3) ? 0 : GCARENA_SCAVENGE_ALL, roll(self, 16) * MIB);
}

/* Anywhere, whoever has it or nobody. */
static void advise(struct actor *self)
{
	char *at = arena.heap + roll(self, SIZE / CHUNK) * CHUNK;

	if (roll(self, 2))
		atomic_fetch_add(&collapsed, !madvise(at, CHUNK, MADV_COLLAPSE));
	else
		madvise(at, CHUNK, MADV_PAGEOUT);
}

static void grow(struct actor *self)
{
	static char *more;
	static unsigned long at;

	if (!more) {
		more = mmap(NULL, GROWTH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (more == MAP_FAILED)
			bail("mmap");
		at = 0;
	}
	for (unsigned long end = at + GROWTH_STEP; at < end; at += BASE_PAGE)
		more[at] = 1;
	if (at < GROWTH)
		return;
	munmap(more, GROWTH);
	more = NULL;
}

/*
 * Not watched: what is asked for may take as long as the others keep everything
 * hot, as MGLRU then only ages it.
 */
static void squeeze(struct actor *self)
{
	if (roll(self, 4))
		g_write_file(GROUP "/memory.reclaim", "8M");
	else
		g_write_file(DROP_CACHES, "3");
}

static void observe(struct actor *self)
{
	g_validate(arena.setup.id);
	g_debugfs_stat(arena.setup.id, "heap_inuse");
}

static struct actor actors[] = {
	{ .name = "churn", .step = churn },
	{ .name = "churn too", .step = churn },
	{ .name = "scatter", .step = scatter },
	{ .name = "scavenge", .step = scavenge },
	{ .name = "advise", .step = advise },
	{ .name = "grow", .step = grow },
	{ .name = "the others", .step = squeeze, .unwatched = true },
	{ .name = "observe", .step = observe },
};

#define ACTORS	(sizeof(actors) / sizeof(actors[0]))

static void *act(void *arg)
{
	struct actor *self = arg;

	while (!atomic_load(&stop)) {
		self->step(self);
		atomic_fetch_add(&self->steps, 1);
	}
	return NULL;
}

/* A thread that is stuck cannot be joined: everything ends here. */
static void check_progress(unsigned long *seen, int64_t *since)
{
	for (unsigned int i = 0; i < ACTORS; i++) {
		unsigned long steps = atomic_load(&actors[i].steps);

		if (steps != seen[i] || actors[i].unwatched) {
			seen[i] = steps;
			since[i] = g_now_ns();
		} else if (g_now_ns() - since[i] > STUCK_MS * 1000000LL) {
			g_write_file("/proc/sysrq-trigger", "w");
			ok(false, "'%s' goes on", actors[i].name);
			bail("stuck after %lu steps", steps);
		}
	}
}

static void run(const char *shmem, const char *name, long ms)
{
	unsigned long seen[ACTORS] = {};
	int64_t since[ACTORS], end = g_now_ns() + ms * 1000000LL;
	unsigned int idle = 0;

	choose(SHMEM_ENABLED, shmem);
	atomic_store(&stop, false);
	atomic_store(&spoilt_words, 0);
	g_open(&arena, SIZE);
	for (unsigned int i = 0; i < ACTORS; i++) {
		since[i] = g_now_ns();
		actors[i].random = i + 1;
		atomic_store(&actors[i].steps, 0);
		memset(actors[i].spans, 0, sizeof(actors[i].spans));
		if (pthread_create(&actors[i].thread, NULL, act, &actors[i]))
			bail("a thread");
	}
	while (g_now_ns() < end || idle) {
		g_msleep(100);
		check_progress(seen, since);
		/* Nobody has been left out, however busy the machine is. */
		idle = 0;
		for (unsigned int i = 0; i < ACTORS; i++)
			idle += !atomic_load(&actors[i].steps) && !actors[i].unwatched;
	}
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < ACTORS; i++)
		pthread_join(actors[i].thread, NULL);
	ok(true, "%s: everybody went on to the end", name);
	eq(atomic_load(&spoilt_words), 0, "%s: what was held has its contents", name);
	for (unsigned int i = 0; i < ACTORS; i++)
		diag("%s: %lu steps of '%s'", name, atomic_load(&actors[i].steps), actors[i].name);
	diag("%s: %lu refills refused, %lu collapsed, %lu ranges removed", name,
	     atomic_load(&refused), atomic_load(&collapsed), atomic_load(&removed));
	for (unsigned int i = 0; i < CHURNERS; i++)
		for (unsigned int n = 0; n < HELD; n++)
			if (actors[i].spans[n].npages)
				g_return(&arena, &actors[i].spans[n], 1);
	eq(g_validate(arena.setup.id), 0, "%s: the arena is valid", name);
	eq(counters(&arena).spans_held, 0, "%s: nothing is held", name);
	g_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0);
	eq(g_validate(arena.setup.id), 0, "%s: the arena is valid when all is free", name);
	g_close(&arena);
}

int main(void)
{
	const char *scale = getenv("GCARENA_TEST_SCALE");
	bool has_lru_gen = g_exists(LRU_GEN), longer = scale && atoi(scale) >= 1000;
	long ms = longer ? LONG_MS : SHORT_MS;
	char shmem[32], sleep_ms[2][16];

	if (!swap_on())
		skip_all("no " SWAP_MODULE " in this guest");
	mkdir(GROUP, 0755);
	if (g_write_file(GROUP "/memory.max", LIMIT) || enter(GROUP))
		skip_all("no memory controller");
	g_read_choice(SHMEM_ENABLED, shmem, sizeof(shmem));
	for (unsigned int i = 0; i < 2; i++) {
		const char *path = i ? KHUGEPAGED "alloc_sleep_millisecs" :
				   KHUGEPAGED "scan_sleep_millisecs";

		snprintf(sleep_ms[i], sizeof(sleep_ms[i]), "%ld", g_file_number(path));
		choose(path, "0");
	}
	run(shmem, "huge", ms);
	run("deny", "small", ms);
	if (longer && has_lru_gen) {
		choose(LRU_GEN, "0");
		run(shmem, "huge, no MGLRU", ms);
		run("deny", "small, no MGLRU", ms);
		choose(LRU_GEN, "7");
	}
	eq(g_file_value(GROUP "/memory.events", "oom_kill"), 0, "nobody was killed");
	choose(KHUGEPAGED "scan_sleep_millisecs", sleep_ms[0]);
	choose(KHUGEPAGED "alloc_sleep_millisecs", sleep_ms[1]);
	choose(SHMEM_ENABLED, shmem);
	enter(CGROUP);
	ok(g_wait_for(!rmdir(GROUP), 5000), "nothing holds the cgroup afterwards");
	swap_off();
	return tap_done();
}
