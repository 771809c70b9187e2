// SPDX-License-Identifier: MIT
/*
 * C1, the reserve: chunks are backed ahead of demand by the arena's thread, so
 * that a refill neither allocates, zeroes, compacts nor reclaims; how many
 * follows demand and ends with it; they never cost anybody else memory.
 *
 * A chunk is one large span here.  What happens in the caller's context is read
 * from a tracing instance of its own that follows this process alone.  What a
 * refill costs is measured elsewhere: this test runs on guests whose clock means
 * nothing.
 */
#include <dirent.h>
#include <stdlib.h>

#include "guest.h"

#define CGROUP		"/sys/fs/cgroup"
#define GROUP		CGROUP "/gcarena-reserve"
#define SHMEM_ENABLED	"/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define TRACING		"/sys/kernel/tracing"
#define BACKOFF_NS	1000000000LL	/* the first one */
#define INSTANCE	TRACING "/instances/gcarena-reserve"

#define SIZE		(256 * MIB)
#define MOST		4
/* Of a limit: more chunks than the thread wants to see left before it backs one. */
#define GROWTH		(5 + (int)sysconf(_SC_NPROCESSORS_ONLN))

/* Of the arena. */
static struct gcarena_counters counters(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats.counters;
}

static int set_reserve(struct arena *a, uint32_t chunks, uint64_t retain)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .reserve_chunks = chunks, .retain_bytes = retain,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};

	return g_ioctl(a->fd, GCARENA_IOC_POLICY, &args);
}

static uint64_t ready(struct arena *a)
{
	return __atomic_load_n(&a->status->reserve_chunks, __ATOMIC_RELAXED);
}

static struct gcarena_span take(struct arena *a)
{
	struct gcarena_span span;
	int got = g_refill(a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1);

	if (got != 1)
		bail("refill: %s", strerror(-got));
	return span;
}

static bool is_zero(struct arena *a, const struct gcarena_span *span)
{
	const uint64_t *words = (const uint64_t *)g_addr(a, span->page);

	for (unsigned long i = 0; i < CHUNK / sizeof(*words); i++)
		if (words[i])
			return false;
	return true;
}

static long of_scavenger(struct arena *a, const char *key)
{
	char path[64];

	snprintf(path, sizeof(path), DEBUGFS "/%u/scavenger", a->setup.id);
	return g_file_value(path, key);
}

static long group_event(const char *key)
{
	return g_file_value(GROUP "/memory.events", key);
}

static long group_number(const char *name)
{
	char path[128], text[32] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), GROUP "/%s", name);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? atol(text) : -1;
}

static void group_set(const char *name, long value)
{
	char path[128], text[32] = "max";

	snprintf(path, sizeof(path), GROUP "/%s", name);
	if (value >= 0)
		snprintf(text, sizeof(text), "%ld", value);
	if (g_write_file(path, text))
		bail("%s: %s", path, text);
}

static void test_feature(void)
{
	struct gcarena_features f = { .size = sizeof(f) };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);

	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &f), 0, "C1: features");
	ok(f.features & GCARENA_FEATURE_RESERVE, "C1: the reserve is one");
	close(fd);
}

/* Without a policy there is none; with one, not before there is demand. */
static void test_fill(void)
{
	struct gcarena_span span;
	struct arena a;
	long pmd;

	g_open(&a, SIZE);
	take(&a);
	take(&a);
	g_msleep(50);
	eq(counters(&a).reserve_backed, 0, "C1 fill: no reserve unless asked for");
	eq(set_reserve(&a, MOST, 0), 0, "C1 fill: a policy with a reserve");
	g_msleep(50);
	eq(counters(&a).reserve_backed, 0, "C1 fill: nothing is backed before there is demand");

	take(&a);
	eq(counters(&a).refill_backed, 3, "C1 fill: the first chunk is backed by the refill");
	ok(g_wait_for(ready(&a) == 1, 2000), "C1 fill: then one is backed ahead");
	eq(counters(&a).chunks_idle, 1, "C1 fill: it is idle");
	eq(g_debugfs_stat(a.setup.id, "mapping_bytes"), 4 * (long)CHUNK, "C1 fill: and there");
	eq(counters(&a).chunks_small, 0, "C1 fill: and huge");

	pmd = g_smaps(a.heap, "ShmemPmdMapped");
	span = take(&a);
	eq(counters(&a).refill_backed, 3, "C1 fill: the next refill backs nothing");
	eq(counters(&a).reserve_taken, 1, "C1 fill: it takes from the reserve");
	eq(span.flags, 0, "C1 fill: a span that is huge and needs no zeroing");
	*g_addr(&a, span.page) = 0;
	eq(g_smaps(a.heap, "ShmemPmdMapped"), pmd + (long)CHUNK, "C1 fill: one PMD is mapped");
	ok(is_zero(&a, &span), "C1 fill: all of it reads as zero");
	eq(g_validate(a.setup.id), 0, "C1 fill: all is valid");
	g_close(&a);
}

/* Chunks taken faster than the thread backs them. */
static void raise_goal(struct arena *a)
{
	for (int i = 0; i < 64 && of_scavenger(a, "reserve_goal") < MOST; i++)
		take(a);
}

/* A whole reserve.  A thread that gets no CPU for a second has its goal halved. */
static bool fill(struct arena *a)
{
	for (int i = 0; i < 20; i++) {
		raise_goal(a);
		if (g_wait_for(ready(a) == MOST, 200))
			return true;
	}
	return false;
}

/* More with each miss, no more than asked for, none without demand. */
static void test_demand(void)
{
	struct arena a;
	uint64_t backed;

	g_open(&a, SIZE);
	set_reserve(&a, MOST, 0);
	ok(fill(&a), "C1 demand: bursts raise the goal to as many as the policy allows");
	g_msleep(20);
	eq(ready(&a), MOST, "C1 demand: and no more");
	eq(of_scavenger(&a, "reserve_chunks"), MOST, "C1 demand: debugfs says so");

	backed = counters(&a).chunks_backed;
	ok(g_wait_for(!ready(&a), 8000), "C1 demand: without any, it goes");
	eq(counters(&a).chunks_backed, backed - MOST, "C1 demand: and its memory");
	eq(counters(&a).reserve_released, MOST, "C1 demand: which is counted");
	eq(of_scavenger(&a, "reserve_goal"), 0, "C1 demand: nothing is wanted any more");
	eq(g_validate(a.setup.id), 0, "C1 demand: all is valid");
	g_close(&a);
}

/* Beside chunks that came free none need be backed; scavenge means it. */
static void test_idle(void)
{
	struct gcarena_span spans[6];
	struct arena a;
	uint64_t backed;

	g_open(&a, SIZE);
	for (int i = 0; i < 6; i++)
		spans[i] = take(&a);
	g_return(&a, spans, 5);
	set_reserve(&a, MOST, 0);
	spans[0] = take(&a);
	spans[1] = take(&a);
	g_msleep(50);
	eq(counters(&a).reserve_backed, 0, "C1 idle: free chunks are reserve enough");
	g_close(&a);

	g_open(&a, SIZE);
	set_reserve(&a, MOST, 0);
	take(&a);
	g_wait_for(ready(&a) == 1, 2000);
	backed = counters(&a).reserve_backed;
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), CHUNK, "C1 idle: scavenge takes the reserve");
	g_msleep(50);
	eq(counters(&a).reserve_backed, (long)backed, "C1 idle: which is not filled again");
	eq(ready(&a), 0, "C1 idle: the status page says so");
	take(&a);
	ok(g_wait_for(ready(&a) == 1, 2000), "C1 idle: before there is demand");
	eq(set_reserve(&a, 0, 0), 0, "C1 idle: a policy without");
	ok(g_wait_for(!ready(&a), 2000), "C1 idle: gives it back");
	g_close(&a);
}

/* At a limit of the cgroup the reserve stays away, and nobody notices it. */
static void test_limit(const char *which)
{
	struct arena a;
	long kills, high;

	if (g_write_file(GROUP "/cgroup.procs", "0"))
		bail("cannot enter the cgroup");
	g_open(&a, SIZE);
	set_reserve(&a, MOST, 0);
	group_set(which, group_number("memory.current") + 4 * (long)CHUNK);
	kills = group_event("oom") + group_event("oom_kill") + group_event("max");
	high = group_event("high");
	/* These fit, with the tables; another is left, and that is too little. */
	take(&a);
	take(&a);
	take(&a);
	ok(g_wait_for(counters(&a).reserve_failed > 0, 2000), "C1 %s: not a chunk is backed ahead",
	   which);
	g_msleep(50);
	eq(ready(&a), 0, "C1 %s: where there is no room for it", which);
	ok(counters(&a).reserve_backoffs == 1, "C1 %s: it backs off", which);
	ok(of_scavenger(&a, "reserve_backoff_ns") > 0, "C1 %s: for some time", which);
	eq(group_event("oom") + group_event("oom_kill") + group_event("max"), kills,
	   "C1 %s: the group has not met its limit", which);
	eq(group_event("high"), high, "C1 %s: nor had to reclaim", which);
	eq(g_debugfs_stat(a.setup.id, "mapping_bytes"), 3 * (long)CHUNK,
	   "C1 %s: no page is left of the attempt", which);
	group_set(which, -1);
	eq(g_validate(a.setup.id), 0, "C1 %s: all is valid", which);
	g_close(&a);
	g_write_file(CGROUP "/cgroup.procs", "0");
}

/* Other arenas' pages are uncharged by and by, of which the limit must know nothing. */
static void settle(void)
{
	long before = -1;

	for (int i = 0; i < 50 && before != group_number("memory.current"); i++) {
		before = group_number("memory.current");
		g_msleep(30);
	}
}

/* As many chunks as a limit of @chunks leaves, by a caller who wants them at once. */
static int take_all(struct arena *a, int chunks, int reserve)
{
	struct gcarena_span span;
	int taken = 0;

	settle();
	g_open(a, SIZE);
	set_reserve(a, reserve, 0);
	group_set("memory.max", group_number("memory.current") + chunks * (long)CHUNK);
	while (g_refill(a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1) == 1)
		/* The thread's first chunk needs the thread. */
		if (++taken == 1)
			g_wait_for(!reserve || counters(a).reserve_backed, 20);
	group_set("memory.max", -1);
	return taken;
}

/*
 * The thread looks at the room, zeroes a chunk and is charged for it, while refills
 * are charged for theirs: then none may fail because the thread has the last one.
 */
static void test_growth(void)
{
	int without, fewer = 0, unused = 0;
	struct arena a;
	long kills;

	if (g_write_file(GROUP "/cgroup.procs", "0"))
		bail("cannot enter the cgroup");
	without = take_all(&a, GROWTH, 0);
	g_close(&a);
	ok(without >= GROWTH - 1, "C1 growth: %d chunks of %d without reserve", without, GROWTH);
	kills = group_event("oom") + group_event("oom_kill");
	for (int i = 0; i < 8; i++) {
		fewer += take_all(&a, GROWTH, MOST) < GROWTH - 1;
		unused += !counters(&a).reserve_backed;
		g_close(&a);
	}
	ok(unused < 8, "C1 growth: there is a reserve while there is room");
	eq(fewer, 0, "C1 growth: and not a chunk less of memory for it");
	eq(group_event("oom") + group_event("oom_kill"), kills, "C1 growth: nor anybody killed");
	g_write_file(CGROUP "/cgroup.procs", "0");
}

static bool trace_shrinks(void)
{
	mkdir(INSTANCE, 0755);
	return !g_write_file(INSTANCE "/events/gcarena/gcarena_shrink/enable", "1") &&
	       !g_write_file(INSTANCE "/tracing_on", "1");
}

/*
 * Of what reclaim took, in that order: of arena @reserve some, and of arena @other
 * nothing before the last of it.
 */
static bool reserve_went_first(uint32_t reserve, uint32_t other)
{
	FILE *f = fopen(INSTANCE "/trace", "r");
	bool some = false, late = false, first = true;
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		const char *event = strstr(line, "gcarena_shrink: arena=");
		unsigned long arena;

		if (!event)
			continue;
		arena = strtoul(strchr(event, '=') + 1, NULL, 10);
		if (arena == other)
			late = true;
		if (arena != reserve)
			continue;
		some = true;
		first &= !late;
	}
	if (f)
		fclose(f);
	rmdir(INSTANCE);
	return some && first;
}

/* One chunk of the cgroup's memory, and perhaps more. */
static void reclaim_some(void)
{
	g_write_file(GROUP "/memory.reclaim", "2M");
}

/*
 * One list for all arenas, and the other's free chunk is on it for longer.  A scan
 * only tries the core lock, and the thread that learns of reclaim gives the reserve
 * up as well: where either comes between, the order is not reclaim's choice.
 */
static void test_reclaim_order(void)
{
	struct arena reserve, other;
	struct gcarena_span span;
	bool filled = true, first = false;

	if (!trace_shrinks()) {
		skip(2, "C1 reclaim order: no tracing");
		return;
	}
	rmdir(INSTANCE);
	if (g_write_file(GROUP "/cgroup.procs", "0"))
		bail("cannot enter the cgroup");
	for (int round = 0; round < 10 && filled && !first; round++) {
		g_open(&other, SIZE);
		set_reserve(&other, 0, SIZE);
		span = take(&other);
		g_return(&other, &span, 1);
		g_open(&reserve, SIZE);
		set_reserve(&reserve, MOST, 0);
		filled = fill(&reserve);
		trace_shrinks();
		reclaim_some();
		first = reserve_went_first(reserve.setup.id, other.setup.id);
		g_close(&reserve);
		g_close(&other);
	}
	ok(filled, "C1 reclaim order: a reserve");
	ok(first, "C1 reclaim order: it goes before other free chunks");
	g_write_file(CGROUP "/cgroup.procs", "0");
}

/* To the owner, and first to go. */
static void test_reclaim(void)
{
	struct gcarena_counters c;
	struct gcarena_span span;
	struct arena a;
	int64_t since;
	long thp;

	if (g_write_file(GROUP "/cgroup.procs", "0"))
		bail("cannot enter the cgroup");
	g_open(&a, SIZE);
	set_reserve(&a, MOST, 0);
	thp = g_file_value(GROUP "/memory.stat", "shmem_thp");
	span = take(&a);
	ok(fill(&a), "C1 reclaim: a reserve");
	thp += (long)counters(&a).chunks_backed * (long)CHUNK;
	ok(g_wait_for(g_file_value(GROUP "/memory.stat", "shmem_thp") >= thp, 5000),
	   "C1 reclaim: is charged to the owner's cgroup");
	g_return(&a, &span, 1);
	c = counters(&a);
	since = g_now_ns();
	reclaim_some();
	ok(g_wait_for(!ready(&a), 2000), "C1 reclaim: all of it, if some");
	diag("reclaim: %llu by reclaim, %llu of the reserve",
	     (unsigned long long)(counters(&a).shrink_calls - c.shrink_calls),
	     (unsigned long long)(counters(&a).reserve_released - c.reserve_released));
	/* Each time that reclaim comes by after that while is another. */
	ok(counters(&a).reserve_backoffs - c.reserve_backoffs >= 1 &&
	   counters(&a).reserve_backoffs - c.reserve_backoffs <=
	   1 + (uint64_t)((g_now_ns() - since) / BACKOFF_NS),
	   "C1 reclaim: and keeps away for a while");
	/* On a machine with much to do the while may be over. */
	ok(!of_scavenger(&a, "reserve_goal") || g_now_ns() - since >= BACKOFF_NS,
	   "C1 reclaim: nothing is wanted");
	take(&a);
	take(&a);
	take(&a);
	g_msleep(100);
	ok(counters(&a).reserve_backed == c.reserve_backed || g_now_ns() - since >= BACKOFF_NS,
	   "C1 reclaim: whatever the demand is then");
	eq(g_validate(a.setup.id), 0, "C1 reclaim: all is valid");
	g_close(&a);
	g_write_file(CGROUP "/cgroup.procs", "0");
}

/* No huge page to be had: none is better than one that stays small. */
static void test_small(void)
{
	char shmem[32];
	struct arena a;
	long bytes;

	g_open(&a, SIZE);
	set_reserve(&a, MOST, 0);
	g_read_choice(SHMEM_ENABLED, shmem, sizeof(shmem));
	if (g_write_file(SHMEM_ENABLED, "deny"))
		bail("cannot deny huge pages");
	take(&a);
	ok(g_wait_for(counters(&a).reserve_failed == 1, 2000), "C1 small: an attempt without luck");
	bytes = g_debugfs_stat(a.setup.id, "mapping_bytes");
	eq(bytes, CHUNK, "C1 small: leaves nothing behind");
	eq(counters(&a).reserve_backoffs, 1, "C1 small: and is not repeated");
	take(&a);
	g_msleep(50);
	eq(counters(&a).reserve_failed, 1, "C1 small: with the next refill");
	ok(g_wait_for(!of_scavenger(&a, "reserve_backoff_ns"), 3000),
	   "C1 small: for a second or so");
	take(&a);
	ok(g_wait_for(counters(&a).reserve_failed == 2, 2000), "C1 small: then it is");
	ok(of_scavenger(&a, "reserve_backoff_ns") > 1000000000, "C1 small: and waits longer");
	g_write_file(SHMEM_ENABLED, shmem);
	eq(g_validate(a.setup.id), 0, "C1 small: all is valid");
	g_close(&a);
}

/* What the kernel does for a call, in this thread. */

static const char *const watched[] = {
	"kmem/mm_page_alloc", "compaction/mm_compaction_begin",
	"vmscan/mm_vmscan_direct_reclaim_begin", "vmscan/mm_vmscan_memcg_reclaim_begin",
	"gcarena/gcarena_back", "gcarena/gcarena_refill",
};

static bool trace_begin(void)
{
	char path[160], text[32];
	bool all = true;

	mkdir(INSTANCE, 0755);
	snprintf(text, sizeof(text), "%d", getpid());
	if (g_write_file(INSTANCE "/set_event_pid", text))
		return false;
	for (unsigned int i = 0; i < sizeof(watched) / sizeof(watched[0]); i++) {
		snprintf(path, sizeof(path), INSTANCE "/events/%s/enable", watched[i]);
		all &= !g_write_file(path, "1");
	}
	return all;
}

struct traced {
	int huge;		/* allocations of 2 MiB */
	int pages;		/* of anything */
	int reclaims;		/* and compactions */
	int backs;		/* of chunks */
	int refills;
};

static struct traced trace_read(void)
{
	FILE *f = fopen(INSTANCE "/trace", "r");
	struct traced traced = {};
	char line[1024];

	while (f && fgets(line, sizeof(line), f)) {
		traced.huge += strstr(line, "mm_page_alloc:") && strstr(line, "order=9");
		traced.pages += !!strstr(line, "mm_page_alloc:");
		traced.reclaims += strstr(line, "reclaim_begin:") ||
				   strstr(line, "compaction_begin:");
		traced.backs += !!strstr(line, "gcarena_back:");
		traced.refills += !!strstr(line, "gcarena_refill:");
	}
	if (f)
		fclose(f);
	g_write_file(INSTANCE "/trace", "\n");
	return traced;
}

static struct traced traced_take(struct arena *a)
{
	struct gcarena_span span;

	g_write_file(INSTANCE "/trace", "\n");
	g_write_file(INSTANCE "/tracing_on", "1");
	span = take(a);
	*g_addr(a, span.page) = 1;
	g_write_file(INSTANCE "/tracing_on", "0");
	return trace_read();
}

static void test_trace(void)
{
	struct traced with, without;
	struct arena a;

	if (!trace_begin()) {
		skip(1, "C1 trace: no such events");
		rmdir(INSTANCE);
		return;
	}
	g_open(&a, SIZE);
	without = traced_take(&a);
	eq(without.refills, 1, "C1 trace: a refill without reserve");
	eq(without.backs, 1, "C1 trace: backs a chunk");
	eq(without.huge, 1, "C1 trace: allocates 2 MiB in the caller's context");
	set_reserve(&a, MOST, 0);
	take(&a);
	ok(g_wait_for(ready(&a) == 1, 2000), "C1 trace: a reserve");
	with = traced_take(&a);
	eq(with.refills, 1, "C1 trace: a refill from it");
	eq(with.backs, 0, "C1 trace: backs nothing");
	eq(with.huge, 0, "C1 trace: allocates, and so zeroes, no chunk");
	eq(with.reclaims, 0, "C1 trace: neither compacts nor reclaims");
	diag("pages allocated by the caller: %d with, %d without", with.pages, without.pages);
	g_close(&a);
	rmdir(INSTANCE);
}

int main(void)
{
	bool groups = g_exists(CGROUP "/cgroup.controllers");

	mkdir(GROUP, 0755);
	groups = groups && !g_write_file(GROUP "/memory.max", "max");
	test_feature();
	test_fill();
	test_demand();
	test_idle();
	test_small();
	test_trace();
	if (groups) {
		g_write_file(GROUP "/memory.swap.max", "0");
		test_limit("memory.max");
		test_limit("memory.high");
		test_growth();
		test_reclaim_order();
		test_reclaim();
		ok(g_wait_for(!rmdir(GROUP), 5000), "C1: nothing holds the cgroup afterwards");
	} else {
		skip(1, "C1 limit, reclaim: no memory controller");
	}
	return tap_done();
}
