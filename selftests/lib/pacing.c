// SPDX-License-Identifier: MIT
/*
 * Pacing on the real heap: threads that outrun marking pay for it and the heap keeps
 * to its bound, with assists and without; a heap that does nothing is collected after
 * its period; steps of the live heap; holes; metadata counts to the limit; a cycle with
 * little to do is its mutator's, and one that turns out to have much is not.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>
#include <sys/stat.h>

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, left)		\
	F(REF, struct node, right)		\
	F(REF, struct node, other)		\
	F(VALS, uint32_t, data, 9)
GCA_STRUCT(node, NODE_FIELDS);

static struct gca_heap *open_share(unsigned int share)
{
	struct gca_config config;

	gca_config_init(&config);
	config.share = share;
	return open_with(&config);
}

static size_t many(size_t count)
{
	return scaled(TEST_ASAN ? count / 2 : count);
}

struct run {
	struct gca_heap *heap;
	size_t live;
	size_t volume;
	double over;		/* out: in-use over the bound, at most */
	double objects;		/* the same of the objects' bytes */
};

/* (live + (live + roots) * percent / 100) is, in steady state, the goal.  Two cycles after
 * a step, not counting the one that was under way.
 */
static void look(struct run *run, uint64_t first_cycle)
{
	struct gca_stats s = stats_of(run->heap);
	double over = (double)s.heap_inuse / (double)s.next_gc;
	double objects = (double)s.heap_alloc / (double)s.next_gc;

	if (s.num_gc < first_cycle + 3)
		return;
	run->over = over > run->over ? over : run->over;
	run->objects = objects > run->objects ? objects : run->objects;
}

static void fill(struct gca_mutator *m, struct run *run)
{
	struct rng rng = rng_seeded(17);
	uint64_t cycles;

	GCA_FRAME(m, f, gca_ref *table; struct node *node);
	f.table = must(gca_new_refs(m, run->live));
	for (size_t i = 0; i < run->live; i++) {
		f.node = must(gca_new(m, node));
		gca_store(m, &f.table[i], (void *)f.node);
	}
	cycles = stats_of(run->heap).num_gc;
	for (size_t i = 0; i < run->volume; i++) {
		f.node = must(gca_new(m, node));
		if (i % 16 == 0)
			gca_store(m, &f.table[rng_below(&rng, run->live)], (void *)f.node);
		if (i % 1024 == 0)
			look(run, cycles);
	}
}

static void test_bound(bool assist)
{
	struct run run = { .heap = open_share(1), .live = many(150000),
			   .volume = many(1500000) };
	struct gca_mutator *m = attach(run.heap, GCA_STACK_PRECISE);
	struct gca_stats s;

	eq(gca_set_assist(run.heap, assist), true, "assist is on at first");
	fill(m, &run);
	s = stats_of(run.heap);
	diag("%llu cycles; %llu assists, %llu us; %llu stalls, %llu us; at most %.3f of the goal",
	     (unsigned long long)s.num_gc, (unsigned long long)s.assists,
	     (unsigned long long)s.assist_ns / 1000, (unsigned long long)s.stalls,
	     (unsigned long long)s.stall_ns / 1000, run.over);
	ok(s.num_gc >= 3, "assist %d: cycles were run", assist);
	/* A heap of few spans is mostly what its threads hold. */
	if (s.heap_live > 4 * MIB)
		ok(run.over <= 1.1, "in use stays within a tenth of the bound");
	else
		skip(1, "the heap is too small");
	if (assist)
		ok(s.assists && s.assist_bytes >= s.assists && s.assist_ns, "threads assist");
	else
		ok(!s.assists && !s.assist_bytes, "nobody assists");
	ok(assist || s.stalls, "or waits");
	eq(gca_set_assist(run.heap, true), assist, "the switch was as it was set");
	gca_detach(m);
	gca_close(run.heap);
}

/* The live heap grows fourfold, then shrinks.  In use it cannot shrink as fast: what
 * lives on is scattered over the spans of the larger heap.
 */
static void test_steps(void)
{
	struct run run = { .heap = open_share(25), .live = 0 };
	struct gca_mutator *m = attach(run.heap, GCA_STACK_PRECISE);
	double worst = 0;

	for (unsigned int step = 0; step < 3; step++) {
		run.live = many(step == 1 ? 250000 : 60000);
		run.volume = 7 * run.live;
		run.over = 0;
		run.objects = 0;
		fill(m, &run);
		diag("step to %zu: %.3f of the bound, in use %.3f", run.live, run.objects,
		     run.over);
		worst = run.objects > worst ? run.objects : worst;
		if (step < 2 && run.over > worst)
			worst = run.over;
	}
	if (many(100) >= 50)
		ok(worst <= 1.1, "two cycles after a step the heap is within its bound");
	else
		skip(1, "the heap is too small");
	gca_detach(m);
	gca_close(run.heap);
}

/* Waits for one cycle more, at most @ms. */
static bool cycle_comes(struct gca_mutator *m, uint64_t before, unsigned int ms)
{
	struct gca_heap *heap = gca_heap_of(m);

	while (ms-- && stats_of(heap).num_gc == before) {
		gca_safepoint(m);
		sleep_ms(1);
	}
	return stats_of(heap).num_gc > before;
}

static void test_period(void)
{
	struct gca_heap *heap = open_with(NULL);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t before;

	gca_collect(m);
	before = stats_of(heap).num_gc;
	ok(!cycle_comes(m, before, 100), "no cycle without a reason");
	eq(gca_set_period(heap, 50), 120000, "two minutes at first");
	ok(cycle_comes(m, before, 20000), "a cycle after the period, allocation or not");
	ok(cycle_comes(m, before + 1, 20000), "and another");
	eq(gca_set_period(heap, 0), 50, "none");
	/* One may have been under way. */
	gca_collect(m);
	before = stats_of(heap).num_gc;
	ok(!cycle_comes(m, before, 200), "no more cycles");
	eq(stats_of(heap).num_forced_gc, 2, "those were nobody's");
	gca_detach(m);
	gca_close(heap);

	heap = open_quiet(GCA_MODE_STOP_THE_WORLD);
	m = attach(heap, GCA_STACK_PRECISE);
	gca_set_period(heap, 1);
	before = stats_of(heap).num_gc;
	for (unsigned int i = 0; i < 1000 && stats_of(heap).num_gc == before; i++) {
		sleep_ms(1);
		for (unsigned int j = 0; j < 200; j++)
			must(gca_new(m, node));
	}
	ok(stats_of(heap).num_gc > before, "a stop-the-world heap at a refill");
	gca_detach(m);
	gca_close(heap);
}

static void test_metadata(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_stats s;

	{
		GCA_FRAME(m, f, struct node *list; struct node *node);
		gca_set_limit(heap, 24 * MIB);
		while ((f.node = gca_new(m, node))) {
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		s = stats_of(heap);
		ok(s.heap_inuse + s.meta_sys <= 24 * MIB + GCARENA_CHUNK_SIZE,
		   "in use and metadata stay below the limit: %llu + %llu KiB",
		   (unsigned long long)s.heap_inuse / KIB, (unsigned long long)s.meta_sys / KIB);
		ok(s.heap_inuse >= 16 * MIB, "which can be used");
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_heap_max(void)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct gca_stats s;

	gca_config_init(&config);
	config.heap_max = 16 * MIB;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, struct node *list; struct node *node);
		for (size_t i = 0; i < 1000000; i++)
			must(gca_new(m, node));
		ok(stats_of(heap).heap_alloc <= 16 * MIB + MIB, "garbage fits a hard heap size");
		while ((f.node = gca_new(m, node))) {
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		s = stats_of(heap);
		ok(s.heap_live >= 14 * MIB && s.heap_live <= 16 * MIB + MIB,
		   "what lives fills it and no more: %llu KiB",
		   (unsigned long long)s.heap_live / KIB);
		ok(!gca_new_bytes(m, 20 * MIB), "nor does a large object fit");
		f.list = NULL;
		ok(gca_new_bytes(m, 12 * MIB), "room that comes free is used");
		eq(gca_set_heap_max(heap, 8 * MIB), 16 * MIB, "the size is changed");
		ok(!gca_new_bytes(m, 10 * MIB), "to less");
		ok(gca_new_bytes(m, 6 * MIB), "which can be used");
		eq(gca_set_heap_max(heap, 0), 8 * MIB, "or to none");
		ok(gca_new_bytes(m, 20 * MIB), "and what did not fit does");
	}
	gca_detach(m);
	gca_close(heap);
	/* What an operator says has the last word. */
	setenv("GCARENA_HEAP_MAX", "4MiB", 1);
	heap = open_with(&config);
	unsetenv("GCARENA_HEAP_MAX");
	eq(gca_set_heap_max(heap, 0), 4 * MIB, "GCARENA_HEAP_MAX overrides the field");
	gca_close(heap);
}

/* ---------------------------------------------------------------- cgroup */

static void put_file(const char *root, const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file))
		bail("%s: %s", path, strerror(errno));
}

static void test_cgroup(void)
{
	char root[] = "/tmp/gcarena-cgroup-XXXXXX", path[256], proc[256];
	struct gca_heap *heap;

	if (!mkdtemp(root))
		bail("mkdtemp: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/a", root);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/a/b", root);
	mkdir(path, 0700);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	eq(cgroup_limit(proc, root), 0, "no group: no limit");
	put_file(root, "proc", "4:memory:/x\n0::/a/b\n");
	eq(cgroup_limit(proc, root), 0, "a group without limits");
	put_file(root, "a/b/memory.max", "max\n");
	eq(cgroup_limit(proc, root), 0, "max is none");
	put_file(root, "a/b/memory.max", "300000000\n");
	eq(cgroup_limit(proc, root), 300000000, "memory.max");
	put_file(root, "a/b/memory.high", "200000000\n");
	eq(cgroup_limit(proc, root), 200000000, "memory.high, if it is less");
	put_file(root, "a/memory.max", "100000000\n");
	eq(cgroup_limit(proc, root), 100000000, "or the limit of a group above");
	put_file(root, "proc", "0::/\n");
	put_file(root, "memory.max", "50\n");
	eq(cgroup_limit(proc, root), 50, "the root of a name space");
	snprintf(path, sizeof(path), "rm -r %s", root);
	if (system(path))
		diag("%s is left", root);

	setenv("GCARENA_LIMIT", "101%", 1);
	eq(gca_open(NULL, &heap), -EINVAL, "GCARENA_LIMIT=101%%: %s", gca_error());
	setenv("GCARENA_LIMIT", "80%", 1);
	heap = open_with(NULL);
	eq(heap->follow_cgroup, 80, "GCARENA_LIMIT=80%%");
	eq(heap->pacer.limit, cgroup_limit(NULL, NULL) / 100 * 80, "of what there is");
	unsetenv("GCARENA_LIMIT");
	eq(gca_follow_cgroup(heap, 101), -EINVAL, "more than all: %s", gca_error());
	eq(gca_follow_cgroup(heap, 0), 0, "no longer");
	gca_close(heap);
}

/* Allocates and drops until so many cycles have been: the room that they were left, in per cent. */
static unsigned int room_after(struct gca_mutator *m, unsigned int cycles)
{
	struct gca_heap *heap = gca_heap_of(m);
	uint64_t until = stats_of(heap).num_gc + cycles;
	struct gca_stats stats;

	do {
		for (unsigned int i = 0; i < 1000; i++)
			must(gca_new(m, node));
		stats = stats_of(heap);
	} while (stats.num_gc < until);
	return (unsigned int)((stats.next_gc - stats.heap_live) * 100 / stats.heap_live);
}

/* A tenth of what lives between two cycles: nearly all CPU time is the collector's. */
static void test_adaptive(void)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	unsigned int fixed, adaptive, again;

	gca_config_init(&config);
	config.percent = 10;
	config.generations = GCA_GENERATIONS_OFF;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, struct node *list; struct node *node);
		for (size_t i = 0; i < 8 * MIB / sizeof(*f.node); i++) {
			f.node = must(gca_new(m, node));
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		gca_collect(m);
		fixed = room_after(m, 3);
		ok(fixed > 5 && fixed < 15, "ten per cent are some ten: %u", fixed);
		ok(!gca_set_adaptive(heap, true), "at first the percent does not adapt");
		adaptive = room_after(m, 12);
		ok(adaptive > 20, "a collector that has all the CPU gets room: %u", adaptive);
		ok(gca_set_adaptive(heap, false), "until it is told not to");
		again = room_after(m, 1);
		ok(again > 5 && again < 15, "and it is ten again: %u", again);
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Who began the last cycle and who ended it, and how many this thread did. */
static struct {
	pthread_t begun, marked;
	uint64_t own;
} seen;

static void note(struct gca_heap *heap, enum gca_stage stage)
{
	if (stage == GCA_STAGE_BEGUN)
		seen.begun = pthread_self();
	if (stage == GCA_STAGE_MARKED) {
		seen.marked = pthread_self();
		__atomic_add_fetch(&seen.own, pthread_equal(seen.begun, seen.marked) &&
				   !pthread_equal(seen.begun, heap->gc_thread), __ATOMIC_RELAXED);
	}
}

static void garbage(struct gca_mutator *m, size_t bytes)
{
	for (; bytes > 256; bytes -= 256)
		must(gca_new_bytes_raw(m, 200));
}

static size_t list_length(struct node *node)
{
	size_t length = 0;

	for (; node; node = gca_load(&node->left))
		length++;
	return length;
}

static void *sleep_attached(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	gca_blocking_begin(m);
	while (__atomic_load_n(&seen.own, __ATOMIC_ACQUIRE) != UINT64_MAX)
		usleep(1000);
	gca_blocking_end(m);
	gca_detach(m);
	return NULL;
}

/* Steps: all dies; much lives of a sudden; all dies again; another thread comes. */
static void test_small(void)
{
	size_t length = 4 * MIB / sizeof(struct node), later;
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t own, cycles;
	pthread_t thread;

	gca_set_percent(heap, 100);
	gca_set_generations(heap, GCA_GENERATIONS_OFF);
	gca_collect(m);
	gca_stage_hook = note;
	{
		GCA_FRAME(m, f, struct node *list; struct node *node);
		cycles = stats_of(heap).num_gc;
		garbage(m, scaled(64 * MIB));
		own = seen.own;
		cycles = stats_of(heap).num_gc - cycles;
		ok(cycles >= scaled(64) / 8 && own >= cycles / 2,
		   "all dies: of %llu cycles %llu were the mutator's own",
		   (unsigned long long)cycles, (unsigned long long)own);
		/* The next one expects nothing, and finds a list. */
		while (seen.own == own)
			garbage(m, 64 * KIB);
		own = seen.own;
		cycles = heap->cycles;
		for (size_t i = 0; i < length; i++) {
			f.node = must(gca_new(m, node));
			gca_init(m, &f.node->left, f.list);
			f.list = f.node;
		}
		while (__atomic_load_n(&heap->cycles, __ATOMIC_ACQUIRE) < cycles + 2)
			garbage(m, 64 * KIB);
		later = seen.own - own;
		ok(!later, "much lives: %zu of the next two were", later);
		ok(list_length(f.list) == length, "and all of it still does");
		f.list = NULL;
		f.node = NULL;
	}
	gca_collect(m);
	gca_collect(m);
	own = seen.own;
	garbage(m, scaled(64 * MIB));
	ok(seen.own > own, "all is dead again: its own");

	pthread_create(&thread, NULL, sleep_attached, heap);
	while (__atomic_load_n(&heap->nr_mutators, __ATOMIC_ACQUIRE) < 2)
		gca_safepoint(m);
	gca_collect(m);
	own = seen.own;
	garbage(m, scaled(64 * MIB));
	eq(seen.own, own, "another thread is there: none");
	gca_stage_hook = NULL;
	__atomic_store_n(&seen.own, UINT64_MAX, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Replaces objects at random until a cycle has begun and ended: of the room there was, what was
 * allocated when it began.
 */
static double room_used(struct gca_mutator *m, gca_ref *table, size_t count, struct rng *rng)
{
	struct gca_heap *heap = gca_heap_of(m);
	struct gca_stats before = stats_of(heap);

	do {
		for (size_t i = 0; i < 1000; i++)
			gca_store(m, &table[rng_below(rng, count)], must(gca_new(m, node)));
	} while (stats_of(heap).num_gc == before.num_gc);
	return (double)heap->generations.allocated /
	       (double)(before.next_gc - heap->generations.before);
}

/* No page ever comes free, so that in-use stays as it was when live objects were most.  New
 * ones go into holes, which is no reason for a cycle before its time.
 */
static void test_holes(void)
{
	size_t count = many(200000);
	struct rng rng = rng_seeded(3);
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct gca_stats stats;
	unsigned int early = 0;
	double used;

	gca_config_init(&config);
	config.generations = GCA_GENERATIONS_OFF;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, count));
		for (size_t i = 0; i < count; i++)
			gca_store(m, &f.table[i], must(gca_new(m, node)));
		for (unsigned int i = 0; i < 4; i++)
			room_used(m, f.table, count, &rng);
		/* By its runway a cycle begins with three tenths left, at most. */
		for (unsigned int i = 0; i < 9; i++) {
			used = room_used(m, f.table, count, &rng);
			early += used < 0.68;
			diag("%.2f of the room used", used);
		}
		stats = stats_of(heap);
	}
	ok((double)stats.heap_inuse > 0.9 * (double)stats.next_gc, "spans have holes: %.2f in use",
	   (double)stats.heap_inuse / (double)stats.next_gc);
	ok(early <= 4, "and no reason for early cycles: %u of 9 are", early);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	test_small();
	test_heap_max();
	test_adaptive();
	test_cgroup();
	test_bound(true);
	test_bound(false);
	test_steps();
	/* On the device in-use moves by the kernel's sweep as well, and may come to the bound. */
	if (!test_on_device())
		test_holes();
	test_period();
	test_metadata();
	return tap_done();
}
