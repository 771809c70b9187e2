// SPDX-License-Identifier: MIT
/*
 * Per-CPU caches of ready spans: when they are filled, that a hit is what it
 * says, and each of the ways in which spans leave them again.
 *
 * Whatever happens to a cache, no span is lost and none is there twice: the
 * validator counts them, and so does this program, through the span table.
 */
#include <pthread.h>
#include <sched.h>

#include "guest.h"

#define SIZE		(64 * MIB)
#define MANY		256U
/* Refills of a class after which its CPU's cache is stocked, with some to spare. */
#define WARM		10
/* For a hit that nobody comes between. */
#define TRIES		20
/* Two ticks of the worker, and some. */
#define DECAY_MS	5000

static struct gcarena_span spans[4096];

static struct gcarena_counters counters(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats.counters;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail("CPU %d: %s", cpu, strerror(errno));
}

static unsigned int in_state(struct arena *a, unsigned int state)
{
	unsigned int count = 0;
	uint64_t page;

	for (page = 0; page < a->size / PAGE; page++) {
		uint64_t word0 = a->rows[page].word0;

		if (!(word0 & GCARENA_ROW_IN_USE) ||
		    (word0 >> GCARENA_ROW_OFFSET_SHIFT & 0xffff))
			continue;
		count += (a->rows[page].word1 & GCARENA_ROW_STATE_MASK) == state;
	}
	return count;
}

/* Have so many refills of @cls, of @nr spans each, that what follows are hits. */
static unsigned int warm_slot(struct arena *a, unsigned int cls, unsigned int nr, unsigned int at)
{
	for (int i = 0; i < WARM; i++, at += nr)
		if (g_refill(a, cls, 0, &spans[at], nr) != (int)nr)
			bail("no spans to warm a cache with");
	return at;
}

static void give_all(struct arena *a, unsigned int nr)
{
	for (unsigned int at = 0; at < nr; at += MANY)
		eq(g_return(a, &spans[at], nr - at < MANY ? nr - at : MANY), 0, "all returned");
}

static void test_hit(struct arena *a)
{
	struct gcarena_counters before, after;
	struct gcarena_features features = { .size = sizeof(features) };
	unsigned int n, i;

	g_ioctl(a->fd, GCARENA_IOC_FEATURES, &features);
	ok(features.features & GCARENA_FEATURE_PERCPU, "the feature is there");

	eq(g_refill(a, C_64, 0, spans, 1), 1, "a first refill");
	eq(counters(a).spans_ready, 0, "stocks nothing");
	n = warm_slot(a, C_64, 4, 1);
	before = counters(a);
	ok(before.spans_ready >= 4, "some refills stock the cache (%llu)",
	   (unsigned long long)before.spans_ready);
	eq(before.heap_ready, before.spans_ready * PAGE, "bytes of what lies ready");
	eq(in_state(a, GCARENA_STATE_READY), before.spans_ready, "and so say the rows");
	eq(before.spans_held, n, "what lies ready is not held");
	eq(before.heap_inuse, (before.spans_ready + n) * PAGE, "but in use");

	eq(g_refill(a, C_64, 0, &spans[n], 4), 4, "a refill of what lies ready");
	after = counters(a);
	eq(after.refill_hits, before.refill_hits + 1, "hit: is counted");
	eq(after.refill_ready, before.refill_ready + 4, "hit: its spans are");
	eq(after.refill_calls, before.refill_calls + 1, "hit: is a refill");
	eq(after.refill_spans, before.refill_spans + 4, "hit: of four spans");
	eq(after.spans_held, before.spans_held + 4, "hit: which are held now");
	eq(after.spans_ready, before.spans_ready - 4, "hit: and ready no more");
	eq(after.heap_inuse, before.heap_inuse, "hit: nothing more is in use");
	for (i = n; i < n + 4; i++) {
		eq(a->rows[spans[i].page].word1 & GCARENA_ROW_STATE_MASK, GCARENA_STATE_HELD,
		   "hit: its row says held");
		eq(a->rows[spans[i].page].word0 & 0xffff, C_64, "hit: of the class");
		ok(!(spans[i].flags & GCARENA_SPAN_NEEDS_ZERO), "hit: of clean pages");
		memset(g_addr(a, spans[i].page), 0x5a, PAGE);
	}
	eq(g_validate(a->setup.id), 0, "hit: the arena is valid");
	n += 4;

	eq(g_refill(a, C_16, 0, &spans[n], 1), 1, "another class");
	eq(counters(a).refill_hits, after.refill_hits, "is no hit");
	n++;
	give_all(a, n);
	eq(g_validate(a->setup.id), 0, "returned: the arena is valid");
}

/* What differs between the short way and the long one must be its cost alone. */
static void test_errors(struct arena *a)
{
	unsigned int n = warm_slot(a, C_64, 4, 0);
	struct gcarena_refill args = {
		.size = sizeof(args), .ready = (uintptr_t)&spans[n], .nr_ready = 2,
		.span_class = C_64,
	};
	struct gcarena_counters before;
	struct gcarena_refill bad;
	int error;

	/* The worker may have emptied the cache of somebody so slow, or be looking at it. */
	for (unsigned int tries = 0;; tries++) {
		before = counters(a);
		bad = args;
		bad.ready = 16;
		error = g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad);
		if (error != -EFAULT || tries == TRIES ||
		    counters(a).refill_hits > before.refill_hits)
			break;
		if (g_refill(a, C_64, 0, &spans[n], 4) != 4)
			bail("no spans to warm the cache again");
		n += 4;
		args.ready = (uintptr_t)&spans[n];
	}
	eq(error, -EFAULT, "nowhere to put spans");
	eq(counters(a).spans_held, before.spans_held, "then none is handed out");
	bad = args;
	bad.ready += 2;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "not aligned");
	bad = args;
	bad.flags = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "flags");
	bad = args;
	bad.reserved2 = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "a reserved field");
	bad = args;
	bad.npages = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "a length with a fixed class");
	bad = args;
	bad.span_class = C_COUNT;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "no such class");
	bad = args;
	bad.nr_ready = GCARENA_BATCH_MAX + 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), -EINVAL, "too many");
	eq(counters(a).refill_hits, before.refill_hits + 1, "one of those was a hit undone");
	bad = args;
	bad.nr_ready = 0;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), 0, "none wanted");
	bad = args;
	bad.spent = (uintptr_t)spans;
	bad.nr_spent = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &bad), 0, "with one returned");
	ok(bad.nr_spent == 1 && bad.nr_ready == 2, "takes it, and gives two");
	memmove(spans, spans + 1, (n + 1) * sizeof(*spans));
	n += 1;
	eq(g_validate(a->setup.id), 0, "errors: the arena is valid");
	give_all(a, n);
}

/* A flip: what lies ready is swept like anything else, by its marks. */
static void test_flip(struct arena *a)
{
	struct gcarena_counters before, after;
	struct gcarena_span again[64];
	unsigned int n, i, kept = 0;
	uint32_t generation = a->status->generation;
	unsigned int now = generation & 1;
	int got;

	n = warm_slot(a, C_64, 8, 0);
	/* An object in each: then they come back from the central list. */
	for (i = 0; i < n; i++)
		g_set_bit(a, now, spans[i].page, 0);
	give_all(a, n);
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	eq(in_state(a, GCARENA_STATE_SWEPT), n, "flip: all are listed");
	for (i = 0; i < 4; i++) {
		if (g_refill(a, C_64, 0, again, 1) != 1)
			bail("no span");
		spans[i] = again[0];
	}
	before = counters(a);
	ok(before.spans_ready > 0, "flip: spans with objects lie ready (%llu)",
	   (unsigned long long)before.spans_ready);
	/* Every second one is found dead. */
	for (i = 0; i < a->size / PAGE; i++)
		if ((a->rows[i].word1 & GCARENA_ROW_STATE_MASK) == GCARENA_STATE_READY &&
		    a->rows[i].word0 & GCARENA_ROW_IN_USE && i % 2) {
			g_set_bit(a, !now, i, 0);
			kept++;
		}
	eq(g_start_sweep(a, generation), 0, "flip: a sweep");
	for (i = 0; i < 4; i++) {
		struct gcarena_span keep = g_spent(spans[i], GCARENA_SPAN_KEEP);

		eq(g_return(a, &keep, 1), 0, "flip: held ones are kept");
	}
	g_assist(a);
	ok(g_wait_for(!a->status->sweeping, 5000), "flip: the sweep ends");
	after = counters(a);
	eq(after.spans_inuse, kept + 4, "flip: what was marked is left, no more");
	eq(g_validate(a->setup.id), 0, "flip: the arena is valid");
	got = 0;
	while (got < 64 && g_refill(a, C_64, 0, &again[got], 1) == 1) {
		if (again[got].generation != generation + 1)
			ok(false, "flip: a span of generation %u", again[got].generation);
		got++;
	}
	eq(g_validate(a->setup.id), 0, "flip: and after refills");
	eq(got, 64, "flip: many of them");
	eq(g_return(a, again, got), 0, "flip: returned");
	for (i = 0; i < 4; i++)
		spans[i].generation = generation + 1;
	eq(g_return(a, spans, 4), 0, "flip: so are those that were kept");

	/*
	 * Without a mark all of it dies, also what no refill came by: which of the
	 * kept ones did is the worker's timing.
	 */
	memset(a->bits[now], 0, a->size / PAGE * GCARENA_LINE_SIZE);
	eq(g_start_sweep(a, generation + 1), 0, "flip: a sweep of nothing marked");
	g_assist(a);
	ok(g_wait_for(!a->status->sweeping, 5000), "flip: it ends, too");
	eq(in_state(a, GCARENA_STATE_SWEPT), 0, "flip: no span has an object left");
	after = counters(a);
	eq(after.spans_inuse, after.spans_ready, "flip: what is in use lies ready");
	memset(a->bits[!now], 0, a->size / PAGE * GCARENA_LINE_SIZE);
	eq(g_validate(a->setup.id), 0, "flip: and valid");
}

static void test_idle(struct arena *a)
{
	unsigned int n = warm_slot(a, C_64, 8, 0);

	ok(counters(a).spans_ready > 0, "idle: something lies ready");
	give_all(a, n);
	ok(g_wait_for(!counters(a).spans_ready, DECAY_MS), "idle: nothing does a while later");
	eq(counters(a).heap_ready, 0, "idle: no bytes");
	eq(in_state(a, GCARENA_STATE_READY), 0, "idle: no rows");
	ok(counters(a).ready_drained > 0, "idle: they were drained");
	ok(g_wait_for(!g_debugfs_stat(a->setup.id, "state_ready_spans"), 100), "idle: in debugfs");
}

/* A chunk whose only spans lie ready is reclaim's, too. */
static void test_reclaim(struct arena *a)
{
	struct gcarena_counters before, after;
	unsigned int n;

	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	n = warm_slot(a, C_64, 8, 0);
	give_all(a, n);
	before = counters(a);
	eq(before.heap_inuse, before.heap_ready, "reclaim: all that is in use lies ready");
	ok(before.heap_ready > 0, "reclaim: and something does");
	eq(before.chunks_idle, 0, "reclaim: no chunk is idle");
	g_write_file("/proc/sys/vm/drop_caches", "2");
	after = counters(a);
	eq(after.spans_ready, 0, "reclaim: nothing lies ready any more");
	ok(after.shrink_bytes >= before.shrink_bytes + CHUNK, "reclaim: the chunk went");
	eq(after.chunks_backed, 0, "reclaim: nothing is backed");
	eq(g_validate(a->setup.id), 0, "reclaim: the arena is valid");
}

static void test_scavenge(struct arena *a)
{
	unsigned int n = warm_slot(a, C_64, 8, 0);

	give_all(a, n);
	/* Reclaim has caches rest; until then they may not have been stocked. */
	ok(g_scavenge(a, GCARENA_SCAVENGE_ALL, 0) >= (long)CHUNK, "scavenge: the chunk went");
	eq(counters(a).spans_ready, 0, "scavenge: nothing lies ready");
	eq(counters(a).heap_inuse, 0, "scavenge: nothing is in use");
}

/* A refill that would fail takes what lies ready elsewhere. */
static void test_limit(struct arena *a)
{
	struct gcarena_policy policy = { .size = sizeof(policy) };
	struct gcarena_policy_call call = {
		.size = sizeof(call), .flags = GCARENA_POLICY_SET, .policy = (uintptr_t)&policy,
	};
	struct gcarena_counters before;
	unsigned int n = 0, got;

	for (int i = 0; i < 40 && !counters(a).spans_ready; i++)
		n = warm_slot(a, C_64, 8, n);
	before = counters(a);
	ok(before.spans_ready > 0, "limit: something lies ready");
	policy.limit_bytes = before.heap_inuse;
	eq(g_ioctl(a->fd, GCARENA_IOC_POLICY, &call), 0, "limit: set to what is in use");
	got = g_refill(a, C_16, 0, &spans[n], before.spans_ready);
	ok((int)got > 0, "limit: a refill of another class");
	while ((int)got > 0 && n < 4000) {
		n += got;
		got = g_refill(a, C_16, 0, &spans[n], 1);
	}
	eq((int)got, -ENOMEM, "limit: and then no more");
	eq(counters(a).spans_held, before.spans_held + before.spans_ready,
	   "limit: every span that lay ready was to be had");
	policy.limit_bytes = 0;
	eq(g_ioctl(a->fd, GCARENA_IOC_POLICY, &call), 0, "limit: none again");
	give_all(a, n);
}

static void test_debugfs(struct arena *a)
{
	char path[64], line[128];
	unsigned int cpu, cls, nr, found = 0, total = 0;
	unsigned long bytes;
	FILE *f;

	for (int i = 0; i < 40 && !counters(a).spans_ready; i++)
		give_all(a, warm_slot(a, C_1K, 4, 0));
	snprintf(path, sizeof(path), DEBUGFS "/%u/percpu", a->setup.id);
	f = fopen(path, "r");
	ok(f && fgets(line, sizeof(line), f) &&
	   !strcmp(line, "cpu class spans bytes demand refills\n"), "debugfs: heading");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %u %u %lu", &cpu, &cls, &nr, &bytes) != 4)
			continue;
		total += nr;
		if (cls == C_1K && nr) {
			found++;
			eq(bytes, nr * 2 * PAGE, "debugfs: bytes of a row");
			ok(cpu < (unsigned int)sysconf(_SC_NPROCESSORS_CONF), "debugfs: a CPU");
		}
	}
	if (f)
		fclose(f);
	ok(found, "debugfs: a row of the class");
	ok(total > 0, "debugfs: spans lie ready");
	ok(g_debugfs_stat(a->setup.id, "latency_back_count") > 0, "latency: refills that backed");
	ok(g_debugfs_stat(a->setup.id, "latency_back_max_ns") >=
	   g_debugfs_stat(a->setup.id, "latency_back_mean_ns"), "latency: the longest is longest");
	ok(g_debugfs_stat(a->setup.id, "latency_fresh_count") > 0, "latency: refills that did not");
	give_all(a, 0);
}

/* Threads that refill, touch and return, of both CPUs. */
struct mutator {
	struct arena *arena;
	pthread_t thread;
	unsigned int seed;
	unsigned long refills;
	unsigned long wrong;
	bool stop;
};

static void *mutate(void *arg)
{
	struct mutator *m = arg;
	struct gcarena_span mine[32];

	while (!__atomic_load_n(&m->stop, __ATOMIC_RELAXED)) {
		unsigned int want = 1 + rand_r(&m->seed) % 8;
		unsigned int cls = rand_r(&m->seed) % 3;
		int n = g_refill(m->arena, cls, 0, mine, want);

		if (n < 0) {
			m->wrong += n != -ENOMEM;
			continue;
		}
		m->refills++;
		/* Nobody else has them while this thread does. */
		for (int i = 0; i < n; i++)
			__atomic_store_n((unsigned int *)g_addr(m->arena, mine[i].page),
					 m->seed + i, __ATOMIC_RELAXED);
		for (int i = 0; i < n; i++) {
			m->wrong += *(unsigned int *)g_addr(m->arena, mine[i].page) != m->seed + i;
			m->wrong += mine[i].span_class != cls;
		}
		m->wrong += n && g_return(m->arena, mine, n);
	}
	return NULL;
}

#define MUTATORS	4

static void start(struct arena *a, struct mutator *m)
{
	for (int i = 0; i < MUTATORS; i++) {
		m[i] = (struct mutator){ .arena = a, .seed = 100 + i };
		if (pthread_create(&m[i].thread, NULL, mutate, &m[i]))
			bail("no thread");
	}
}

static void stop(struct mutator *m, const char *name)
{
	unsigned long refills = 0, wrong = 0;

	for (int i = 0; i < MUTATORS; i++)
		__atomic_store_n(&m[i].stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < MUTATORS; i++) {
		pthread_join(m[i].thread, NULL);
		refills += m[i].refills;
		wrong += m[i].wrong;
	}
	diag("%s: %lu refills", name, refills);
	ok(refills > 100, "%s: refills went on", name);
	eq(wrong, 0, "%s: every span was its holder's alone", name);
}

static void check_count(struct arena *a, const char *name)
{
	struct gcarena_counters now = counters(a);

	eq(now.spans_held, 0, "%s: nothing is held", name);
	eq(now.spans_inuse, now.spans_ready, "%s: and no span lost", name);
	eq(in_state(a, GCARENA_STATE_READY), now.spans_ready, "%s: nor there twice", name);
	eq(g_validate(a->setup.id), 0, "%s: the arena is valid", name);
}

static void test_threads(struct arena *a)
{
	struct mutator m[MUTATORS];
	struct gcarena_counters before = counters(a);
	int64_t end = g_now_ns() + 2000000000LL;
	unsigned int valid = 0;

	start(a, m);
	while (g_now_ns() < end) {
		g_write_file("/proc/sys/vm/drop_caches", "2");
		g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
		valid += !g_validate(a->setup.id);
		g_msleep(20);
	}
	stop(m, "threads");
	ok(valid > 0, "threads: valid at every look");
	ok(counters(a).refill_hits > before.refill_hits, "threads: some were hits");
	check_count(a, "threads");
}

#define CPU1	"/sys/devices/system/cpu/cpu1/online"

static void test_hotplug(struct arena *a)
{
	struct gcarena_counters before;
	struct mutator m[MUTATORS];
	unsigned int n;

	if (!g_exists(CPU1)) {
		skip(1, "no CPU to take offline");
		return;
	}
	pin(1);
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	n = 0;
	for (int i = 0; i < 40 && !counters(a).spans_ready; i++)
		n = warm_slot(a, C_64, 4, n);
	before = counters(a);
	ok(before.spans_ready > 0, "hotplug: something lies ready on CPU 1");
	pin(0);
	eq(g_write_file(CPU1, "0"), 0, "hotplug: CPU 1 goes");
	eq(counters(a).spans_ready, 0, "hotplug: and with it what lay ready there");
	eq(counters(a).spans_inuse, n, "hotplug: nothing else");
	eq(g_write_file(CPU1, "1"), 0, "hotplug: CPU 1 comes");
	give_all(a, n);

	sched_setaffinity(0, sizeof(cpu_set_t), &(cpu_set_t){ .__bits = { 3 } });
	start(a, m);
	for (int i = 0; i < 10; i++) {
		g_write_file(CPU1, "0");
		g_msleep(50);
		if (g_validate(a->setup.id))
			ok(false, "hotplug: valid without CPU 1");
		g_write_file(CPU1, "1");
		g_msleep(50);
	}
	stop(m, "hotplug");
	check_count(a, "hotplug");
}

#define BYTES	"/sys/module/gcarena/parameters/cpu_cache_bytes"

static void test_off(void)
{
	struct gcarena_counters c;
	char kept[32];
	struct arena a;

	snprintf(kept, sizeof(kept), "%ld", g_file_number(BYTES));
	eq(g_write_file(BYTES, "0"), 0, "off: no bytes for caches");
	g_open(&a, SIZE);
	eq(g_write_file(BYTES, kept), 0, "off: for this arena only");
	warm_slot(&a, C_64, 8, 0);
	warm_slot(&a, C_64, 8, 0);
	c = counters(&a);
	ok(!c.spans_ready && !c.refill_ready, "off: nothing lies ready");
	g_close(&a);

	eq(g_write_file(BYTES, "65536"), 0, "cap: of 64 KiB");
	g_open(&a, SIZE);
	g_write_file(BYTES, kept);
	pin(0);
	for (int i = 0; i < 4; i++)
		warm_slot(&a, C_64, 20, 0);
	c = counters(&a);
	ok(c.spans_ready > 0 && c.heap_ready <= 65536, "cap: is kept (%llu)",
	   (unsigned long long)c.heap_ready);
	g_close(&a);
	sched_setaffinity(0, sizeof(cpu_set_t), &(cpu_set_t){ .__bits = { 3 } });
}

/* An arena that goes while something lies ready. */
static void test_close(void)
{
	struct gcarena_stats stats;
	struct arena a;

	g_open(&a, SIZE);
	warm_slot(&a, C_64, 8, 0);
	g_stats(&a, &stats);
	ok(stats.counters.spans_ready > 0, "close: something lies ready");
	g_close(&a);
	ok(!g_debugfs_has(a.setup.id), "close: the arena is gone");
}

int main(void)
{
	struct arena a;

	g_open(&a, SIZE);
	pin(0);
	test_hit(&a);
	g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0);
	test_errors(&a);
	test_flip(&a);
	test_idle(&a);
	test_reclaim(&a);
	test_scavenge(&a);
	test_limit(&a);
	test_debugfs(&a);
	sched_setaffinity(0, sizeof(cpu_set_t), &(cpu_set_t){ .__bits = { 3 } });
	test_threads(&a);
	test_hotplug(&a);
	g_close(&a);
	test_off();
	test_close();
	return tap_done();
}
