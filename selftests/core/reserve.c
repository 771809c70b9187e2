// SPDX-License-Identifier: MIT
/*
 * The reserve's policy and the watermarks' episodes, on a host whose clock the
 * test turns.
 */
#include "testhost.h"
#include "tap.h"

enum { TINY, LARGE, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[TINY] = { .elem_size = 16, .npages = 1 },
	[LARGE] = { .flags = GCARENA_CLASS_LARGE },
};

#define CHUNKS		64
#define NS_PER_S	1000000000ULL
#define MOST		8

static struct test_host host;
static struct gca_core *core;
static struct gcarena_span spans[CHUNKS];
static u32 nr_spans;

static void set_policy(u32 reserve, u64 limit, u64 retain)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .reserve_chunks = reserve, .limit_bytes = limit,
		.retain_bytes = retain,
	};

	if (gca_core_set_policy(core, &policy))
		bail("policy");
}

static void begin(u32 reserve)
{
	core = host_begin(&host, CHUNKS, classes, CLASSES, NULL);
	if (!core)
		bail("no core");
	host.now = NS_PER_S;
	nr_spans = 0;
	set_policy(reserve, 0, 0);
}

static void end(const char *name)
{
	ok(host_end(&host), "%s: core valid, host content, nothing leaked", name);
}

static struct gcarena_counters counters(void)
{
	return host_counters(&host);
}

static struct gca_reserve_info reserve(void)
{
	struct gca_reserve_info info;

	gca_core_reserve(core, &info);
	return info;
}

static void take_pages(u32 npages)
{
	struct gcarena_refill args = {
		.size = sizeof(args), .span_class = LARGE, .npages = npages, .nr_ready = 1,
	};

	if (gca_core_refill(core, &args, NULL, &spans[nr_spans]))
		bail("refill");
	nr_spans++;
}

static void take(u32 chunks)
{
	while (chunks--)
		take_pages(GCARENA_CHUNK_PAGES);
}

static void give_last(void)
{
	u32 taken;

	gca_core_return(core, &spans[--nr_spans], 1, &taken);
}

/* As the worker does; how many pieces. */
static u32 work(void)
{
	u32 pieces = 0;

	while (gca_core_work(core) != GCA_WORK_IDLE)
		pieces++;
	return pieces;
}

static void test_goal(void)
{
	u32 woken;

	begin(MOST);
	eq(gca_core_work_in(core) == U64_MAX, true, "goal: nothing to wait for");
	take(1);
	eq(reserve().goal, 1, "goal: one after the first miss");
	eq(host.woken, 1, "goal: the worker is woken");
	eq(gca_core_work_in(core), NS_PER_S, "goal: and looks again after a second");
	take(1);
	eq(reserve().goal, 2, "goal: twice as many after the second");
	eq(work(), 2, "goal: two are backed");
	eq(reserve().chunks, 2, "goal: and ready");
	eq(host.last_npages[SITE_AHEAD], GCARENA_CHUNK_PAGES, "goal: whole chunks");
	woken = host.woken;
	take(1);
	eq(counters().reserve_taken, 1, "goal: a refill takes one");
	eq(spans[2].flags, 0, "goal: which is clean and huge");
	eq(reserve().goal, 2, "goal: that is no miss");
	eq(host.woken, woken + 1, "goal: the worker is to back another");
	work();
	take(8);
	eq(reserve().goal, MOST, "goal: never more than the policy's");

	host.now += NS_PER_S;
	work();
	eq(reserve().goal, MOST / 2, "goal: half of it a second later, at eleven chunks a second");
	eq(reserve().chunks, MOST / 2, "goal: and as many are there");
	take(2);
	work();
	host.now += NS_PER_S;
	work();
	eq(reserve().goal, 2, "goal: an eighth of what a second takes, or half");
	host.now += NS_PER_S;
	work();
	host.now += NS_PER_S;
	work();
	eq(reserve().goal, 0, "goal: nothing in the end");
	eq(reserve().chunks, 0, "goal: and no chunk");
	eq(gca_core_work_in(core) == U64_MAX, true, "goal: nor a reason to look again");
	eq(counters().chunks_backed, nr_spans, "goal: all of it was released");
	end("goal");
}

static void test_rate(void)
{
	u32 misses;
	int i;

	begin(MOST);
	take(1);
	work();
	misses = counters().refill_backed;
	for (i = 0; i < 40; i++) {
		take(1);
		work();
	}
	eq(counters().refill_backed, misses, "rate: a worker that keeps up leaves no miss");
	host.now += NS_PER_S;
	work();
	eq(reserve().goal, 6, "rate: the goal is an eighth of the 41 taken");
	end("rate");
}

static void test_idle_and_limit(void)
{
	u32 backed;

	begin(MOST);
	take(4);
	give_last();
	give_last();
	work();
	eq(reserve().goal, MOST, "idle: wanted after four misses");
	eq(reserve().chunks, MOST - 2, "idle: chunks that came free count as ready");
	backed = counters().chunks_backed;
	set_policy(MOST, 0, 1);
	work();
	eq(counters().chunks_backed, backed, "idle: the retain goal leaves them alone");
	set_policy(1, 0, 0);
	work();
	eq(reserve().chunks, 0, "idle: a smaller policy gives them back");
	eq(counters().chunks_idle, 2, "idle: not others, without a retain goal");
	end("idle");

	begin(MOST);
	set_policy(MOST, 5 * GCARENA_CHUNK_SIZE, 0);
	take(3);
	work();
	eq(reserve().chunks, 2, "limit: no more than a refill could take");
	end("limit");
}

static void test_back_off(void)
{
	struct gcarena_scavenge all = { .size = sizeof(all), .flags = GCARENA_SCAVENGE_ALL };

	begin(MOST);
	host.fail_next[SITE_AHEAD] = 1;
	take(1);
	work();
	eq(counters().reserve_failed, 1, "back-off: a failure is counted");
	eq(counters().reserve_backoffs, 1, "back-off: and a back-off");
	eq(reserve().goal, 0, "back-off: nothing is wanted");
	eq(reserve().backoff_ns, NS_PER_S, "back-off: for a second");
	take(2);
	eq(reserve().goal, 0, "back-off: whatever is taken");
	host.now += NS_PER_S;
	host.fail_next[SITE_AHEAD] = 1;
	take(1);
	work();
	eq(reserve().backoff_ns, 2 * NS_PER_S, "back-off: the next is twice as long");
	host.now += 2 * NS_PER_S;
	take(1);
	work();
	eq(reserve().chunks, 1, "back-off: then there is one");
	gca_core_reclaim(core, true);
	eq(reserve().backoff_ns, 4 * NS_PER_S, "back-off: in vain, it doubles again");
	work();
	eq(reserve().chunks, 0, "back-off: reclaim gets it back");
	host.now += 4 * NS_PER_S;
	take(1);
	work();
	take(1);
	host.now += NS_PER_S;
	gca_core_reclaim(core, true);
	eq(reserve().backoff_ns, NS_PER_S, "back-off: of use, it begins anew");
	gca_core_reclaim(core, true);
	eq(counters().reserve_backoffs, 4, "back-off: within one there is no other");
	gca_core_reclaim(core, false);

	host.now += NS_PER_S;
	take(1);
	work();
	gca_core_scavenge(core, &all);
	eq(all.bytes, GCARENA_CHUNK_SIZE, "scavenge: takes the reserve");
	eq(work(), 0, "scavenge: which is not filled again");
	take(1);
	ok(reserve().goal > 0, "scavenge: before there is demand");
	end("back-off");
}

/* A refill in the middle of it does not wait. */
static void refill_meanwhile(struct test_host *h, enum host_site site)
{
	if (site == SITE_AHEAD) {
		h->hook = NULL;
		take(1);
	}
}

static int waited;

static int wait_for_it(struct test_host *h, u32 sequence)
{
	waited++;
	return -EINTR;
}

/* A refill in the middle of it that has no memory, since the reserve has the last. */
static void refill_without_room(struct test_host *h, enum host_site site)
{
	struct gcarena_refill args = {
		.size = sizeof(args), .span_class = LARGE, .npages = GCARENA_CHUNK_PAGES,
		.nr_ready = 1,
	};

	if (site != SITE_AHEAD)
		return;
	h->hook = NULL;
	h->wait = wait_for_it;
	h->fail_next[SITE_BACK] = 1;
	eq(gca_core_refill(core, &args, NULL, &spans[nr_spans]), -EINTR,
	   "meanwhile: one that has no memory to back its own");
	h->wait = NULL;
}

static void test_meanwhile(void)
{
	begin(MOST);
	take(1);
	host.hook = refill_meanwhile;
	work();
	eq(nr_spans, 2, "meanwhile: a refill while a chunk is being backed ahead");
	ok(spans[1].page != host.last_page[SITE_AHEAD] && counters().refill_backed == 2,
	   "meanwhile: backs one of its own");
	end("meanwhile");

	begin(MOST);
	take(1);
	host.hook = refill_without_room;
	work();
	eq(waited, 1, "meanwhile: waits for that of the reserve instead of failing");
	take(1);
	eq(counters().reserve_taken, 1, "meanwhile: and gets it then");
	end("meanwhile, the last memory");
}

static u32 pressed(u32 per_cent)
{
	u32 before = host.pressed;

	while (nr_spans)
		give_last();
	take_pages(CHUNKS / 2 * GCARENA_CHUNK_PAGES * per_cent / 100);
	return host.pressed - before;
}

static void test_watermarks(void)
{
	const struct gcarena_status *status;

	begin(0);
	status = host.tables.status;
	set_policy(0, (u64)CHUNKS / 2 * GCARENA_CHUNK_SIZE, 0);
	eq(pressed(50), 0, "watermarks: half is none");
	eq(pressed(87), 1, "watermarks: the high one");
	eq(status->pressure, GCARENA_PRESSURE_SOME, "watermarks: some");
	eq(pressed(95), 1, "watermarks: back and past both: one event");
	eq(status->pressure, GCARENA_PRESSURE_FULL, "watermarks: full");
	eq(status->pressure_sequence, status->sequence, "watermarks: the last event");
	gca_core_reclaim(core, true);
	eq(host.pressed, 3, "watermarks: reclaim besides has an event of its own");
	eq(status->pressure, GCARENA_PRESSURE_FULL, "watermarks: the level is the worst one's");
	gca_core_reclaim(core, true);
	eq(host.pressed, 3, "watermarks: once");
	while (nr_spans)
		give_last();
	eq(status->pressure, GCARENA_PRESSURE_SOME, "watermarks: reclaim goes on alone");
	gca_core_reclaim(core, false);
	eq(status->pressure, GCARENA_PRESSURE_NONE, "watermarks: and ends");
	eq(counters().pressure_events, 3, "watermarks: three in all");
	end("watermarks");
}

int main(void)
{
	test_goal();
	test_rate();
	test_idle_and_limit();
	test_back_off();
	test_meanwhile();
	test_watermarks();
	return tap_done();
}
