// SPDX-License-Identifier: MIT
/*
 * Slots of ready spans: random refills, returns, flips and drains, and what is
 * true of them after each: no span is handed out twice, or under another class,
 * or gone while somebody holds it, and the validator agrees.
 *
 * The core is compiled into this program with the mistakes seeded in it by which
 * reuse of cached spans is known to fail elsewhere: a span filed under the wrong
 * class, a span scavenged while a cache has it, a cached flag lost between two
 * who change it.  Each must be noticed.
 */
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

static int mistake;

enum mistake {
	WRONG_CLASS = 1,
	SCAVENGED,
	FLAG_LOST,
	LEFT_IN_SLOT,
	FLIP_WITHOUT_DRAIN,
	MISTAKES
};

static const char *const mistake_names[MISTAKES] = {
	[WRONG_CLASS] = "a drained span is filed under another class",
	[SCAVENGED] = "pages of a ready span count as free",
	[FLAG_LOST] = "a span handed out stays ready",
	[LEFT_IN_SLOT] = "a slot keeps what it was drained of",
	[FLIP_WITHOUT_DRAIN] = "a flip leaves spans in slots",
};

#include "../../kmod/core/chunk.c"
#include "../../kmod/core/pageheap.c"
#include "../../kmod/core/central.c"
#include "../../kmod/core/rows.c"
#include "../../kmod/core/span.c"

static void push_elsewhere(struct gca_core *core, u32 page, bool full)
{
	struct gca_record *record = gca_record_at(core, page);
	u16 span_class = record->span_class;

	if (mistake == WRONG_CLASS)
		record->span_class = !span_class;
	gca_central_push(core, page, full);
	record->span_class = span_class;
}

static u32 take_and_free(struct gca_core *core, u32 npages, int node)
{
	u32 page = gca_pages_take_backed(core, npages, node);

	if (mistake == SCAVENGED && page != GCA_NONE)
		gca_pages_put(core, page, npages);
	return page;
}

#define gca_central_push push_elsewhere
#define gca_pages_take_backed take_and_free
#pragma push_macro("smp_store_release")
#undef smp_store_release
/* The barrier of ready.c, but for the mistake. */
#define smp_store_release(p, v) do { \
	if (mistake != FLAG_LOST || (uintptr_t)(v) != GCARENA_STATE_HELD) \
		__atomic_store_n((p), (v), __ATOMIC_RELEASE); \
} while (0)
/* The one place that asserts it is where entries leave a slot unused. */
#pragma push_macro("GCA_ASSERT")
#undef GCA_ASSERT
#define GCA_ASSERT(condition) do { \
	if (mistake == LEFT_IN_SLOT && slot->nr < GCA_SLOT_SPANS / 2) { \
		gca_central_push(core, page, false); \
		return; \
	} \
} while (0)

#include "../../kmod/core/ready.c"

#pragma pop_macro("GCA_ASSERT")
#pragma pop_macro("smp_store_release")
#undef gca_central_push
#undef gca_pages_take_backed

#define gca_slots_drain(core) \
	(mistake == FLIP_WITHOUT_DRAIN ? 0 : gca_slots_drain(core))
#include "../../kmod/core/sweep.c"
#undef gca_slots_drain
#include "../../kmod/core/scavenge.c"
#include "../../kmod/core/validate.c"
#include "../../kmod/core/core.c"

#include "testhost.h"
#include "tap.h"

#define CHUNKS		6
#define PAGES		(CHUNKS * GCARENA_CHUNK_PAGES)
#define SLOTS		2
#define SLOT_BYTES	(64 * GCARENA_PAGE_SIZE)
#define STEPS		4000
#define HELD_MAX	256

static const struct gcarena_class classes[] = {
	{ .elem_size = 1024, .npages = 1 },
	{ .elem_size = 2048, .npages = 2 },
};

static struct test_host host;
static struct gca_core *core;
static struct gcarena_span held[HELD_MAX];
static u32 nr_held;
static u8 owned[PAGES];
static u64 seed;
static u64 hits, stocked_seen, empty_seen;

static u32 rnd(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return (seed * 0x2545f4914f6cdd1dULL) >> 32;
}

static bool page_owned(struct test_host *h, u32 page)
{
	return owned[page];
}

static void slots_stocked(void *arg)
{
	stocked_seen++;
}

static void slots_empty(void *arg)
{
	empty_seen++;
}

static void complain(const char *text)
{
	host_wrong(&host, "%s", text);
}

static void own(const struct gcarena_span *span, u16 span_class)
{
	u32 i;

	if (span->span_class != span_class || span->npages != classes[span_class].npages)
		host_wrong(&host, "span %u: of class %u, not %u", span->page, span->span_class,
			   span_class);
	if (span->page + span->npages > PAGES) {
		host_wrong(&host, "span %u: outside", span->page);
		return;
	}
	for (i = span->page; i < span->page + span->npages; i++) {
		if (owned[i])
			host_wrong(&host, "page %u: handed out twice", i);
		if (!host.present[2 * i] || !host.present[2 * i + 1])
			host_wrong(&host, "page %u: handed out without memory", i);
		if (host.dirty[i] && !(span->flags & GCARENA_SPAN_NEEDS_ZERO))
			host_wrong(&host, "page %u: handed out dirty", i);
		owned[i] = true;
		host.dirty[i] = true;
	}
	held[nr_held++] = *span;
}

static void refill(void)
{
	struct gcarena_span spans[16];
	u16 span_class = rnd() % 2;
	u32 nr = 1 + rnd() % 8;
	struct gcarena_refill args = {
		.size = sizeof(args), .span_class = span_class, .nr_ready = nr,
	};
	u32 slot = rnd() % SLOTS;
	enum gca_level level;
	u32 i;

	if (nr_held + nr > HELD_MAX)
		return;
	if (gca_core_refill_ready(core, slot, span_class, nr, spans)) {
		hits++;
	} else {
		if (gca_core_refill_slot(core, slot, &args, NULL, spans, &level))
			return;
		nr = args.nr_ready;
	}
	for (i = 0; i < nr; i++)
		own(&spans[i], span_class);
}

static void give(void)
{
	u32 at = nr_held ? rnd() % nr_held : 0;
	u32 taken, i;

	if (!nr_held)
		return;
	/* Half of them with an object, marked or not. */
	for (i = 0; i < 2; i++)
		*gca_host_line(&host, i, held[at].page) = rnd() & 1;
	for (i = 0; i < held[at].npages; i++)
		owned[held[at].page + i] = false;
	if (gca_core_return(core, &held[at], 1, &taken))
		host_wrong(&host, "span %u: not taken back", held[at].page);
	held[at] = held[--nr_held];
}

static void flip(void)
{
	struct gcarena_sweep args = {
		.size = sizeof(args), .generation = host.tables.status->generation,
	};
	u32 taken, i;

	if (gca_core_start_sweep(core, &args))
		return;
	for (i = 0; i < nr_held; i++) {
		held[i].flags = GCARENA_SPAN_KEEP;
		*gca_host_line(&host, !(args.generation & 1), held[i].page) = 0;
		if (gca_core_return(core, &held[i], 1, &taken))
			host_wrong(&host, "span %u: not kept", held[i].page);
		held[i].generation = args.generation;
		held[i].flags = 0;
	}
}

static void step(void)
{
	struct gcarena_scavenge all = { .size = sizeof(all), .flags = GCARENA_SCAVENGE_ALL };
	u32 what = rnd() % 100;

	if (what < 60) {
		refill();
	} else if (what < 85) {
		give();
		give();
	} else if (what < 88) {
		flip();
	} else if (what < 93) {
		gca_core_work(core);
	} else if (what < 95) {
		gca_core_drain_slot(core, rnd() % SLOTS);
	} else if (what < 96) {
		gca_core_shrink_slots(core);
	} else if (what < 97) {
		gca_core_tick(core);
	} else if (what < 98) {
		gca_core_drain(core);
	} else if (what < 99) {
		gca_core_scavenge(core, &all);
	}
}

/* What was found wrong. */
static u32 run(u64 with)
{
	struct gca_host_ops ops = host_ops;
	struct gcarena_stats stats = { .size = sizeof(stats) };
	u32 i;

	ops.slots_stocked = slots_stocked;
	ops.slots_empty = slots_empty;
	seed = with;
	gca_complaint = complain;
	host_init(&host, CHUNKS);
	if (gca_core_create(&ops, &host, (u64)CHUNKS * GCARENA_CHUNK_SIZE, classes, 2, NULL,
			    &core) || gca_core_slots(core, SLOTS, SLOT_BYTES))
		bail("no core");
	host.core = core;
	host.random = rnd;
	host.in_use = page_owned;
	for (i = 0; i < STEPS && host.wrong < 20; i++) {
		step();
		if (gca_core_validate(core))
			host_wrong(&host, "not valid after step %u", i);
	}
	gca_core_stats(core, &stats);
	diag("%llu hits, %llu spans ready, %llu drained, stocked %llu times, empty %llu", hits,
	     stats.counters.refill_ready, stats.counters.ready_drained, stocked_seen, empty_seen);
	if (!mistake) {
		ok(hits > 50, "hits happen");
		ok(stats.counters.ready_drained > 100, "drains happen");
		ok(stocked_seen && stocked_seen - empty_seen < 2, "the host was told by turns");
		eq(stats.counters.refill_hits, hits, "hits are counted");
		ok(!gca_core_refill_ready(core, GCA_SLOT_NONE, 0, 1, held), "no slot, no hit");
		ok(!gca_core_refill_ready(core, 0, 2, 1, held), "no class, no hit");
	}
	gca_core_destroy(core);
	if (host.wrong < 20)
		host_exit(&host);
	return host.wrong;
}

int main(void)
{
	int m, status;

	eq(run(1), 0, "without a mistake nothing is wrong");
	for (m = 1; m < MISTAKES; m++) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			if (!freopen("/dev/null", "w", stdout) ||
			    !freopen("/dev/null", "w", stderr))
				_exit(2);
			mistake = m;
			memset(owned, 0, sizeof(owned));
			nr_held = 0;
			_exit(run(2) ? 1 : 0);
		}
		waitpid(pid, &status, 0);
		/* One that makes the core assert, or crash, is noticed as well. */
		ok(!WIFEXITED(status) || WEXITSTATUS(status) == 1, "noticed: %s", mistake_names[m]);
	}
	return tap_done();
}
