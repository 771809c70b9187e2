// SPDX-License-Identifier: MIT
/*
 * C2 and C7, every way to be short of memory by every kind of memory that an arena
 * has: {memory.max, memory.reclaim, the whole machine, drop_caches} with and without
 * swap, with and without MGLRU, the arena's memory being free, ready in per-CPU
 * caches, or in use.
 *
 * In each cell: what is free goes, and nobody is killed while there is something
 * free; what is in use has its contents afterwards; the owner is told by EPOLLPRI
 * that is there once an episode and gone when it was read.
 *
 * All cells take GCARENA_TEST_SCALE of 1000; otherwise those run that differ most
 * from one another and from shrinker.c.  The machine is made short by raising
 * vm.min_free_kbytes to what is free but some, which costs no time: kswapd and
 * direct reclaim see the same watermarks as if the rest had been taken.  A part of
 * what is then wanted is page cache, so that there is something to reclaim where
 * the arena has nothing to give.
 */
#include <stdlib.h>

#include "reclaim.h"
#include "swap_device.h"

#define GROUP		CGROUP "/gcarena-matrix"
#define MIN_FREE	"/proc/sys/vm/min_free_kbytes"
#define SIZE		(128 * MIB)
#define NR		24	/* chunks */
#define USED		8	/* of them in use, where some are free */
#define WARM		10	/* refills after which a cache is stocked */

/* What the owner wants beside the arena, in the states' order. */
#define ROOM		(3 * MIB)
#define EPISODE_NS	1000000000LL
#define GIVE_UP_MS	20000
/* Left to the machine when it is short; page cache that nobody will miss. */
#define MACHINE_LEFT	(24 * MIB)
#define MACHINE_CACHE	(32 * MIB)

enum how { MEMORY_MAX, MEMORY_RECLAIM, MACHINE, CACHES, HOWS };
enum state { FREE, READY, IN_USE, STATES };

static const char * const how_name[HOWS] = {
	"memory.max", "memory.reclaim", "the machine", "drop_caches",
};

static const char * const state_name[STATES] = { "free", "ready", "in use" };

struct cell {
	struct arena a;
	enum how how;
	enum state state;
	bool swap;
	int used;		/* chunks with a pattern in @spans */
	struct gcarena_span spans[NR];
	char name[80];
};

static unsigned long nr_cells;

static long memory_current(void)
{
	return g_file_number(GROUP "/memory.current");
}

/* Of the whole machine; of the group where the kernel does not count events. */
static long kills(void)
{
	long all = g_file_value("/proc/vmstat", "oom_kill");

	return all < 0 ? g_file_value(GROUP "/memory.events", "oom_kill") : all;
}

/* The state, and no more: everything else in the arena is in use. */
static void prepare(struct cell *c)
{
	struct gcarena_span small[8 * WARM];

	take_chunks(&c->a, c->spans, NR);
	c->used = NR;
	if (c->state == IN_USE)
		return;
	/* Scattered, so that free and used ones lie beside each other. */
	c->used = free_chunks(&c->a, c->spans, NR, NR / USED);
	if (c->state == FREE)
		return;
	g_scavenge(&c->a, GCARENA_SCAVENGE_ALL, 0);
	for (int i = 0; i < WARM; i++)
		if (g_refill(&c->a, C_64, 0, &small[8 * i], 8) != 8)
			bail("refill");
	if (g_return(&c->a, small, 8 * WARM))
		bail("return");
}

/* Whether what was to go has gone. */
static bool gone(struct cell *c)
{
	struct gcarena_counters now = counters(&c->a);

	return !now.chunks_idle && !now.heap_ready;
}

static bool noticed(struct cell *c)
{
	return __atomic_load_n(&c->a.status->counters.pressure_events, __ATOMIC_RELAXED);
}

/*
 * A child that takes memory page by page, and tells how much it has.  Then it goes on
 * slowly: with MGLRU kswapd goes from cgroup to cgroup, and may have what it wants
 * before it comes to the owner's.
 */
static pid_t start_grower(volatile unsigned long **taken, unsigned long most)
{
	pid_t pid;

	*taken = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	/* The first to go if there is a kill: then it is seen, and not felt. */
	g_write_file("/proc/self/oom_score_adj", "1000");
	if (enter(CGROUP))
		_exit(1);
	for (unsigned long at = 0; at < most + MACHINE_CACHE / 2; at += MIB) {
		char *more;

		if (at >= most)
			g_msleep(100);
		more = mmap(NULL, MIB, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (more == MAP_FAILED)
			_exit(1);
		**taken = at + MIB;
	}
	for (;;)
		pause();
}

static void keep_free(long kib)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", kib);
	choose(MIN_FREE, text);
}

/* Clean pages of the RAM disk, until it is closed. */
static int fill_cache(void)
{
	static char buf[MIB];
	int fd = open(SWAP_DEVICE, O_RDONLY | O_CLOEXEC);

	for (unsigned long at = 0; at < MACHINE_CACHE; at += sizeof(buf))
		if (read(fd, buf, sizeof(buf)) != sizeof(buf))
			bail("%s: %s", SWAP_DEVICE, strerror(errno));
	return fd;
}

/*
 * The machine: memory is taken until the arena has given what it has.  With swap
 * it is enough that it gave: pages of idle chunks may go that way instead.
 */
static bool by_machine(struct cell *c)
{
	unsigned long most = MACHINE_LEFT +
			     (c->state == FREE ? (NR - USED) * CHUNK / 2 : MACHINE_CACHE / 4);
	long before = g_file_number(MIN_FREE);
	int cache = fill_cache();
	volatile unsigned long *taken;
	int status;
	pid_t pid;
	bool done;

	keep_free(g_file_value("/proc/meminfo", "MemFree") - MACHINE_LEFT / 1024);
	pid = start_grower(&taken, most);
	done = g_wait_for((noticed(c) && (c->swap || gone(c)) && *taken >= most) ||
			  waitpid(pid, &status, WNOHANG) == pid, GIVE_UP_MS) &&
	       noticed(c) && (c->swap || gone(c)) && *taken >= most;
	keep_free(before);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(cache);
	if (!done)
		diag("%s: of %lu MiB %lu were taken", c->name, most / MIB, *taken / MIB);
	munmap((void *)taken, BASE_PAGE);
	return done && (c->state != FREE || mapped(&c->a) < NR * (long)CHUNK);
}

/* At a limit: the owner grows, outside the arena or, if nothing is free, in it. */
static bool by_limit(struct cell *c)
{
	unsigned long growth = c->state == FREE ? 2 * ROOM + (NR - USED) * CHUNK / 2 : ROOM + MIB;
	struct gcarena_span more[8];
	char limit[32], *memory;
	int n = 0, got;

	snprintf(limit, sizeof(limit), "%lu", memory_current() + ROOM);
	choose(GROUP "/memory.max", limit);
	if (c->state == IN_USE && !c->swap) {
		while (n < 8 && (got = g_refill(&c->a, C_LARGE, GCARENA_CHUNK_PAGES, &more[n],
						1)) == 1)
			n++;
		for (int i = 0; i < n; i++)
			g_return(&c->a, &more[i], 1);
		choose(GROUP "/memory.max", "max");
		return got == -ENOMEM && n < 8;
	}
	memory = mmap(NULL, growth, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		bail("mmap");
	madvise(memory, growth, MADV_NOHUGEPAGE);
	for (unsigned long at = 0; at < growth; at += BASE_PAGE)
		memory[at] = 1;
	munmap(memory, growth);
	choose(GROUP "/memory.max", "max");
	/* As much as was needed, and that was not all. */
	return c->state != READY || gone(c) || c->swap;
}

static bool press(struct cell *c)
{
	switch (c->how) {
	case MEMORY_MAX:
		return by_limit(c);
	case MACHINE:
		return by_machine(c);
	case MEMORY_RECLAIM:
		group_reclaim(GROUP);
		break;
	default:
		g_write_file(DROP_CACHES, "2");
	}
	/* Swap may have had the pages first: then they are nobody's memory, too. */
	return c->swap ? mapped(&c->a) <= c->used * (long)CHUNK :
			 gone(c) && mapped(&c->a) == c->used * (long)CHUNK;
}

static void run_cell(enum how how, enum state state, bool swap, bool lru_gen)
{
	static struct cell c;
	struct pollfd p = { .events = POLLPRI };
	int64_t since;
	uint64_t events;
	long before;

	c = (struct cell){ .how = how, .state = state, .swap = swap };
	snprintf(c.name, sizeof(c.name), "%s, %s, %s, %s", how_name[how], state_name[state],
		 swap ? "swap" : "no swap", lru_gen ? "MGLRU" : "no MGLRU");
	g_open(&c.a, SIZE);
	p.fd = c.a.fd;
	prepare(&c);
	before = kills();
	/* Backing may have had to reclaim, and that is an episode of its own. */
	g_stats(&c.a, &(struct gcarena_stats){});
	events = counters(&c.a).pressure_events;
	since = g_now_ns();

	ok(press(&c), "C2 %s: what is free goes", c.name);
	ok(before >= 0 && kills() == before, "C2 %s: nobody is killed", c.name);
	events = counters(&c.a).pressure_events - events;
	/* Reading statistics has re-armed it; an episode lasts a second at least. */
	ok(events >= 1 && events <= 1 + (uint64_t)((g_now_ns() - since) / EPISODE_NS),
	   "C7 %s: the owner is told, once an episode", c.name);
	eq(poll(&p, 1, 0), 0, "C7 %s: and not again when it knows", c.name);
	eq(spoilt(&c.a, c.spans, c.used), 0, "C2 %s: what is in use has its contents", c.name);
	if (state != IN_USE) {
		take_chunks(&c.a, c.spans + c.used, NR - c.used);
		eq(spoilt(&c.a, c.spans, NR), 0, "C2 %s: and what went can be had again", c.name);
		c.used = NR;
	}
	free_chunks(&c.a, c.spans, c.used, 0);
	g_scavenge(&c.a, GCARENA_SCAVENGE_ALL, 0);
	eq(mapped(&c.a), 0, "C2 %s: nothing is left", c.name);
	g_close(&c.a);
	nr_cells++;
}

static bool everything, ram_disk;

/* Those where the ways in differ most; shrinker.c has free chunks and huge or small. */
static bool chosen(enum how how, enum state state, bool swap, bool lru_gen)
{
	if (everything)
		return true;
	if (how == MACHINE)
		return state == FREE && !swap && lru_gen;
	return (state == READY || how != CACHES) && state != FREE && swap != lru_gen;
}

static void run_all(bool swap, bool lru_gen)
{
	for (int how = 0; how < HOWS; how++)
		for (int state = 0; state < STATES; state++)
			if (chosen(how, state, swap, lru_gen) && (how != MACHINE || ram_disk))
				run_cell(how, state, swap, lru_gen);
}

int main(void)
{
	const char *scale = getenv("GCARENA_TEST_SCALE");
	bool has_lru_gen = g_exists(LRU_GEN);
	int64_t since = g_now_ns();

	everything = scale && atoi(scale) >= 1000;
	if (!g_exists(CGROUP "/cgroup.controllers"))
		skip_all("no cgroup2 at " CGROUP);
	mkdir(GROUP, 0755);
	if (g_write_file(GROUP "/memory.max", "max"))
		skip_all("no memory controller");
	if (!g_exists(GROUP "/memory.reclaim"))
		skip_all("no memory.reclaim");
	if (enter(GROUP))
		bail("cannot enter the cgroup");
	ram_disk = ram_disk_load();
	for (int lru_gen = has_lru_gen; lru_gen >= 0; lru_gen--) {
		if (has_lru_gen)
			choose(LRU_GEN, lru_gen ? "7" : "0");
		run_all(false, lru_gen);
		if (!ram_disk) {
			skip(1, "no " SWAP_MODULE ": no swap, and the machine never short");
			continue;
		}
		swap_on();
		run_all(true, lru_gen);
		swap_off();
	}
	if (has_lru_gen)
		choose(LRU_GEN, "7");
	diag("%lu cells in %lld ms", nr_cells, (long long)(g_now_ns() - since) / 1000000);
	enter(CGROUP);
	ok(g_wait_for(!rmdir(GROUP), 5000), "C2: nothing holds the cgroup afterwards");
	return tap_done();
}
