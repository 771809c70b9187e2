// SPDX-License-Identifier: MIT
/*
 * The core against a naive model: random operations, the validator after each.
 *
 * The model knows per page which span it belongs to, per span its class, state,
 * generation and bits, and predicts or judges everything that a call does.  The
 * "user" also lies: it returns spans that it does not hold, and scribbles over
 * the bitmaps.  Host operations fail at random, and call into the core again
 * as other threads would.  All of it follows from one seed.
 *
 * The core is compiled into this program, with mistakes seeded by macro between
 * where a function is defined and where it is called.  Each mistake must be
 * noticed: a test that cannot fail proves nothing.
 *
 *	model [-s SEED] [-n SEEDS] [-o OPERATIONS] [-m MISTAKE]
 */
#include <getopt.h>
#include <sys/wait.h>
#include <unistd.h>

static int mistake;

enum mistake {
	WRONG_LIST = 1,
	MARKS_NOT_CLEARED,
	STICKY_CLEARED,
	DIRTY_FORGOTTEN,
	ROW_LEFT_BEHIND,
	SWEEP_NEVER_DONE,
	RELEASE_TOO_MUCH,
	TRANSIT_OFFERED,
	COUNT_WRONG_BITMAP,
	HANDS_FORGOTTEN,
	WITHHELD_FOR_EVER,
	NODE_IGNORED,
	HOLES_HANDED_OUT,
	OBJECTS_RELEASED,
	BUSY_TAKEN,
	HOLES_LOST,
	PUT_LEFT_OPEN,
	TOO_MANY,
	MISTAKES
};

static const char *const mistake_names[MISTAKES] = {
	[WRONG_LIST] = "full and partial lists exchanged",
	[MARKS_NOT_CLEARED] = "sweep leaves the other bitmap's lines",
	[STICKY_CLEARED] = "a sticky sweep clears the other bitmap's lines",
	[DIRTY_FORGOTTEN] = "fresh pages never need zeroing",
	[ROW_LEFT_BEHIND] = "rows of freed spans stay in use",
	[SWEEP_NEVER_DONE] = "completion of a sweep is not noticed",
	[RELEASE_TOO_MUCH] = "release inside a chunk takes one page more",
	[TRANSIT_OFFERED] = "a chunk being released is offered meanwhile",
	[COUNT_WRONG_BITMAP] = "sweep counts the other bitmap",
	[HANDS_FORGOTTEN] = "what somebody has in his hands is given out",
	[WITHHELD_FOR_EVER] = "what nobody has any more is not given out",
	[NODE_IGNORED] = "a refill takes any node's memory",
	[HOLES_HANDED_OUT] = "spans are handed out with holes",
	[OBJECTS_RELEASED] = "release inside a span takes what an object reaches into",
	[BUSY_TAKEN] = "a span is handed out while a part of it is released",
	[HOLES_LOST] = "holes of a span that is freed are taken for memory",
	[PUT_LEFT_OPEN] = "a chunk that a sweep put pages to is in no place after",
	[TOO_MANY] = "pages of one span more than is handed out are taken",
};

#include "../../kmod/core/chunk.c"

#define gca_withheld_check(core, nr) \
	(mistake == WITHHELD_FOR_EVER ? false : gca_withheld_check(core, nr))

#define gca_chunk_holes(chunk, from, npages) \
	(mistake == HOLES_LOST ? 0 : gca_chunk_holes(chunk, from, npages))

#include "../../kmod/core/pageheap.c"

#undef gca_chunk_holes

#include "../../kmod/core/central.c"
#include "../../kmod/core/rows.c"

#define gca_central_push(core, page, full) \
	gca_central_push(core, page, mistake == WRONG_LIST ? !(full) : (full))
#define gca_lines_clear(core, which, page, npages) \
	((mistake == MARKS_NOT_CLEARED) ? (void)0 : gca_lines_clear(core, which, page, npages))
#define gca_lines_copy(core, from, page, npages) \
	(mistake == STICKY_CLEARED ? gca_lines_clear(core, !(from), page, npages) : \
	 gca_lines_copy(core, from, page, npages))
#define gca_lines_count(core, which, page, npages, cls) \
	gca_lines_count(core, mistake == COUNT_WRONG_BITMAP ? !(which) : (which), page, npages, cls)
#define gca_pages_use(core, page, npages) \
	(gca_pages_use(core, page, npages) & \
	 ~(mistake == DIRTY_FORGOTTEN ? GCARENA_SPAN_NEEDS_ZERO : 0))
#define gca_rows_clear(core, page, npages) \
	(mistake == ROW_LEFT_BEHIND ? (void)0 : gca_rows_clear(core, page, npages))
#define gca_pages_take(core, npages, node, page) \
	gca_pages_take(core, npages, mistake == NODE_IGNORED ? GCA_NODE_ANY : (node), page)
#define gca_sweep_check_done(core) \
	(mistake == SWEEP_NEVER_DONE ? (void)0 : gca_sweep_check_done(core))
#define gca_pages_take_more(core, last, npages, pages, nr) \
	gca_pages_take_more(core, last, npages, pages, (nr) + (mistake == TOO_MANY))

#include "../../kmod/core/span.c"

#undef gca_pages_take
#undef gca_pages_take_more
#undef gca_lines_clear
#undef gca_lines_copy
#undef gca_lines_count
#undef gca_rows_clear
#undef gca_sweep_check_done

#define gca_pages_put_end(core) \
	(mistake == PUT_LEFT_OPEN ? (void)0 : gca_pages_put_end(core))

#include "../../kmod/core/sweep.c"

#undef gca_pages_put_end

#include "../../kmod/core/holes.c"

#define gca_holes_find(core, chunk, spans, generation, halves) do { \
	gca_holes_find(core, chunk, spans, generation, halves); \
	if (mistake == OBJECTS_RELEASED) \
		gca_map_set(halves, 2 * gca_map_next(spans, GCARENA_CHUNK_PAGES, 0), 1); \
} while (0)
#define gca_holes_begin(core, chunk, spans) \
	(gca_holes_begin(core, chunk, spans) && \
	 (mistake != BUSY_TAKEN || (gca_holes_end(core, chunk, spans), true)))
#define gca_span_holed(core, page) \
	(mistake == HOLES_HANDED_OUT ? false : gca_span_holed(core, page))

#define gca_map_double(halves, going, words) do { \
	gca_map_double(halves, going, words); \
	if (mistake == RELEASE_TOO_MUCH) \
		gca_map_set(halves, min(gca_map_last(halves, GCA_CHUNK_HALVES), \
					GCA_CHUNK_HALVES - 3) + 1, 2); \
} while (0)
#define gca_chunk_begin_transit(core, chunk) do { \
	if (mistake == TRANSIT_OFFERED) \
		(core)->nr_transit++; \
	else \
		gca_chunk_begin_transit(core, chunk); \
} while (0)
#define gca_chunk_end_transit(core, chunk) do { \
	if (mistake == TRANSIT_OFFERED) { \
		(core)->nr_transit--; \
		gca_chunk_unplace(core, chunk); \
		gca_chunk_place(core, chunk); \
	} else { \
		gca_chunk_end_transit(core, chunk); \
	} \
} while (0)

#define gca_chunk_withhold(core, chunk, withhold) \
	gca_chunk_withhold(core, chunk, mistake != HANDS_FORGOTTEN && (withhold))

#include "../../kmod/core/scavenge.c"
#include "../../kmod/core/reserve.c"
#include "../../kmod/core/pressure.c"

#undef gca_map_double
#undef gca_chunk_begin_transit
#undef gca_chunk_end_transit
#undef gca_chunk_withhold

#include "../../kmod/core/collapse.c"
#include "../../kmod/core/validate.c"
#include "../../kmod/core/core.c"

#include "testhost.h"
#include "tap.h"

#define CHUNKS		6
#define PAGES		(CHUNKS * GCARENA_CHUNK_PAGES)

/* Small spans, spans with tails, the longest, large, manual. */
static const struct gcarena_class classes[] = {
	{ .elem_size = 16, .npages = 1 },
	{ .elem_size = 4096, .npages = 1 },
	{ .elem_size = 8192, .npages = 1 },
	{ .elem_size = 1040, .npages = 3 },
	{ .elem_size = 32768, .npages = 64 },
	{ .elem_size = 65536, .npages = 8 },
	{ .flags = GCARENA_CLASS_LARGE },
	{ .flags = GCARENA_CLASS_MANUAL },
};

#define CLASSES		((u32)(sizeof(classes) / sizeof(classes[0])))

enum { NONE, HELD, MANUAL, LISTED };

struct span {
	u32 npages;
	u32 generation;
	u32 raw[2];		/* bits in each bitmap */
	u16 span_class;
	u8 state;
	bool first_bit[2];
	bool full;		/* as last listed */
	bool handed;		/* by a call that has not returned yet */
	bool seen;
};

static struct test_host host;
static struct gca_core *core;
static struct span spans[PAGES];	/* by first page */
static u32 owner[PAGES];		/* first page + 1, 0 free */
static u32 generation;
static u64 limit, retain;
static bool sticky;			/* this generation's sweep */
static struct gcarena_policy watermarks;
static int policy_node;
static unsigned int depth;
static bool disturbed;			/* a hook ran or something failed */
static bool flipped;			/* inside the call */
static u32 complaints;
static u64 random_state;

/* Chances come from here while it lasts, two bytes each; see fuzz.c. */
static const unsigned char *input;
static size_t input_left;

static u32 rnd(void)
{
	if (input_left >= 2) {
		u32 chosen = input[0] | input[1] << 8;

		input += 2;
		input_left -= 2;
		return chosen;
	}
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dULL) >> 32;
}

static u32 below(u32 n)
{
	return rnd() % n;
}

static bool chance(u32 percent)
{
	return below(100) < percent;
}

#define wrong(...)	host_wrong(&host, __VA_ARGS__)

static void complaint(const char *text)
{
	complaints++;
	wrong("validator: %s", text);
}

static u64 *line(unsigned int which, u32 page)
{
	return host.tables.bitmap[which] + (size_t)page * GCARENA_LINE_WORDS;
}

static u32 raw_count(unsigned int which, u32 page, u32 npages)
{
	const u64 *word = line(which, page);
	u32 count = 0;
	u32 i;

	for (i = 0; i < npages * GCARENA_LINE_WORDS; i++)
		count += __builtin_popcountll(word[i]);
	return count;
}

static bool is_manual(const struct span *s)
{
	return classes[s->span_class].flags & GCARENA_CLASS_MANUAL;
}

static u32 capacity(const struct span *s)
{
	const struct gcarena_class *cls = &classes[s->span_class];

	return cls->flags ? 1 : cls->npages * GCARENA_PAGE_SIZE / cls->elem_size;
}

/* What the contract calls objects of a span, by one of the bitmaps. */
static u32 objects(const struct span *s, unsigned int which)
{
	if (is_manual(s))
		return 0;
	if (classes[s->span_class].flags & GCARENA_CLASS_LARGE)
		return s->first_bit[which];
	return s->raw[which];
}

static void look_at_bits(u32 page, struct span *s)
{
	unsigned int which;

	for (which = 0; which < 2; which++) {
		s->raw[which] = raw_count(which, page, s->npages);
		s->first_bit[which] = *line(which, page) & 1;
	}
}

static void drop(u32 page)
{
	u32 i;

	for (i = 0; i < spans[page].npages; i++)
		owner[page + i] = 0;
	memset(&spans[page], 0, sizeof(spans[page]));
}

static void list(struct span *s)
{
	bool old = s->generation != generation;

	s->state = LISTED;
	s->full = objects(s, generation & 1) >= capacity(s);
	if (old) {
		s->raw[!(generation & 1)] = sticky ? s->raw[generation & 1] : 0;
		s->first_bit[!(generation & 1)] = sticky && s->first_bit[generation & 1];
	}
	s->generation = generation;
}

static void check_span_info(const struct gca_span_info *info, bool strict)
{
	struct span *s = &spans[info->page];
	bool old = s->generation != generation;

	if (info->state == GCARENA_STATE_TRANSIT && strict)
		wrong("span %u in transit after the call", info->page);
	if (info->state == GCARENA_STATE_TRANSIT || s->state == NONE) {
		/* Made by the call that is going on; told of when it returns. */
		if (strict)
			wrong("unknown span %u, state %u", info->page, info->state);
		if (s->state == LISTED && old && !objects(s, generation & 1))
			drop(info->page);
		return;
	}
	if (s->state == LISTED && !s->handed &&
	    (info->state == GCARENA_STATE_HELD || info->state == GCARENA_STATE_MANUAL)) {
		if (strict)
			wrong("span %u is held, and nobody has it", info->page);
		if (old && !objects(s, generation & 1)) {
			drop(info->page);	/* freed, and made again */
			return;
		}
		if (old)
			list(s);
		s->handed = true;
	}
	s->seen = true;
	if (info->npages != s->npages || info->span_class != s->span_class) {
		wrong("span %u: %u pages of class %u, should be %u of %u", info->page,
		      info->npages, info->span_class, s->npages, s->span_class);
		return;
	}
	switch (s->state) {
	case HELD:
		if (info->state != GCARENA_STATE_HELD || info->generation != s->generation)
			wrong("span %u: state %u generation %u, should be held at %u",
			      info->page, info->state, info->generation, s->generation);
		break;
	case MANUAL:
		if (info->state != GCARENA_STATE_MANUAL)
			wrong("span %u: state %u, should be manual", info->page, info->state);
		break;
	case LISTED:
		if (s->handed)
			break;
		if (old && info->generation == generation &&
		    (info->state == GCARENA_STATE_SWEPT ||
		     info->state == GCARENA_STATE_SWEEPING)) {
			if (!objects(s, generation & 1) && info->state == GCARENA_STATE_SWEPT)
				wrong("span %u: swept, empty, and not freed", info->page);
			list(s);
		} else if (info->state == GCARENA_STATE_UNSWEPT) {
			if (!old || info->generation != s->generation)
				wrong("span %u: unswept of %u at %u, should be %u", info->page,
				      info->generation, generation, s->generation);
		} else if (info->state != GCARENA_STATE_SWEPT &&
			   (strict || info->state != GCARENA_STATE_SWEEPING)) {
			/* Of an outer call that fills its holes, perhaps. */
			wrong("span %u: state %u, should be listed", info->page, info->state);
		}
		break;
	}
}

/*
 * Learn from the core what it swept and freed, and whether it was right to;
 * everything else must be as it was, bit by bit.
 */
static void sync_spans(bool strict)
{
	struct gca_span_info info;
	u32 page;

	for (page = 0; page < PAGES; page++)
		spans[page].seen = false;
	for (page = 0; page < PAGES && gca_core_next_span(core, page, &info);
	     page = info.page + info.npages) {
		if (info.page < page || info.page >= PAGES || info.page + info.npages > PAGES) {
			wrong("next_span from %u: %u+%u", page, info.page, info.npages);
			break;
		}
		check_span_info(&info, strict);
	}
	for (page = 0; page < PAGES; page++) {
		struct span *s = &spans[page];

		if (s->state == NONE)
			continue;
		if (!s->seen) {
			if (s->state != LISTED || s->handed || s->generation == generation ||
			    objects(s, generation & 1))
				wrong("span %u: gone, in model state %u of %u at %u, %u objects",
				      page, s->state, s->generation, generation,
				      objects(s, generation & 1));
			drop(page);
			continue;
		}
		if (raw_count(0, page, s->npages) != s->raw[0] ||
		    raw_count(1, page, s->npages) != s->raw[1])
			wrong("span %u, state %u of %u at %u: bits %u %u, should be %u %u",
			      page, s->state, s->generation, generation,
			      raw_count(0, page, s->npages), raw_count(1, page, s->npages),
			      s->raw[0], s->raw[1]);
	}
}

static bool chunk_whole(u32 chunk)
{
	u32 i;

	for (i = 0; i < GCARENA_CHUNK_PAGES; i++)
		if (owner[chunk * GCARENA_CHUNK_PAGES + i])
			return false;
	return true;
}

static u32 absent_bytes(u32 page)
{
	return (2 - host.present[2 * page] - host.present[2 * page + 1]) << GCA_HALF_SHIFT;
}

/* Pages of which anything is present. */
static u32 chunk_present(u32 chunk, bool free_only)
{
	u32 count = 0;
	u32 i;

	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		u32 page = chunk * GCARENA_CHUNK_PAGES + i;

		count += absent_bytes(page) < GCARENA_PAGE_SIZE && !(free_only && owner[page]);
	}
	return count;
}

/*
 * A chunk that is not all released has backing, though it may be all holes.  That what
 * the core believes of each half is so the model checks here.
 */
static bool chunk_backed(u32 index)
{
	const struct gca_chunk *chunk = gca_chunk_at(core, index);
	u32 i;

	for (i = 0; chunk && i < GCA_CHUNK_HALVES; i++) {
		bool absent = gca_map_test(chunk->released, i / 2) || gca_map_test(chunk->holes, i);

		if (host.present[index * GCA_CHUNK_HALVES + i] == absent)
			wrong("half %u of chunk %u: present %u", i, index, !absent);
	}
	return chunk && chunk->nr_released < GCARENA_CHUNK_PAGES;
}

static bool may_have_holes(const struct span *s)
{
	return s->state == LISTED && classes[s->span_class].npages;
}

/* Whether an object that the alloc bits name has any byte of a half of a span. */
static bool occupied(u32 page, const struct span *s, u32 half)
{
	u64 from = (u64)(half - 2 * page) << GCA_HALF_SHIFT;
	u32 size = classes[s->span_class].elem_size;
	u32 i;

	for (i = 0; i < s->npages * GCARENA_LINE_WORDS; i++) {
		u64 word = line(generation & 1, page)[i];

		for (; word; word &= word - 1) {
			u64 at = ((u64)i * 64 + __builtin_ctzll(word)) * GCARENA_GRANULE_SIZE;

			if (at < from + (1U << GCA_HALF_SHIFT) && at + size > from)
				return true;
		}
	}
	return false;
}

/* Every counter that describes a state, from the model's arrays. */
static u64 watermark(u32 percent, u32 otherwise)
{
	return limit * (percent ? percent : otherwise) / 100;
}

/* What must hold of watermarks, whatever happened on the way. */
static void check_pressure(const struct gcarena_counters *counters)
{
	const struct gcarena_status *status = host.tables.status;
	u64 high = watermark(watermarks.watermark_high, 85);
	u64 max = watermark(watermarks.watermark_max, 92);
	u64 low = watermark(watermarks.watermark_low, 75);
	u64 inuse = counters->heap_inuse;
	u64 causes = status->pressure_causes;
	u64 marks = causes & (GCARENA_PRESSURE_HIGH | GCARENA_PRESSURE_MAX);
	u32 level = causes & GCARENA_PRESSURE_MAX ? GCARENA_PRESSURE_FULL :
		    causes ? GCARENA_PRESSURE_SOME : GCARENA_PRESSURE_NONE;

	if (!limit || inuse <= low) {
		if (marks)
			wrong("causes %llx with %llu in use of %llu", causes, inuse, limit);
	} else {
		if (inuse >= high && !(marks & GCARENA_PRESSURE_HIGH))
			wrong("causes %llx with %llu in use, high %llu", causes, inuse, high);
		if (inuse >= max && !(marks & GCARENA_PRESSURE_MAX))
			wrong("causes %llx with %llu in use, max %llu", causes, inuse, max);
	}
	if (status->pressure != level)
		wrong("pressure %u with causes %llx", status->pressure, causes);
	if (counters->pressure_events != host.pressed)
		wrong("%llu events of pressure, told of %u", counters->pressure_events,
		      host.pressed);
	if (status->reserve_chunks != counters->reserve_backed - counters->reserve_taken -
	    counters->reserve_released)
		wrong("status: %llu chunks in reserve", status->reserve_chunks);
}

static void check_counters_and_status(void)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };
	const struct gcarena_status *status = host.tables.status;
	struct gcarena_counters want = {};
	u64 left = 0;
	u32 page, chunk;

	gca_core_stats(core, &stats);
	for (page = 0; page < PAGES; page++) {
		const struct span *s = &spans[page];

		if (owner[page])
			want.heap_inuse += GCARENA_PAGE_SIZE;
		if (owner[page])
			want.heap_holes += absent_bytes(page);
		else if (host.meta[page / GCARENA_CHUNK_PAGES])
			want.heap_released += absent_bytes(page);
		if (owner[page] && absent_bytes(page) && !may_have_holes(&spans[owner[page] - 1]))
			wrong("page %u is in use and not present", page);
		if (s->state == NONE)
			continue;
		want.spans_inuse++;
		want.spans_held += s->state == HELD;
		if (s->state == MANUAL)
			want.heap_manual += s->npages * GCARENA_PAGE_SIZE;
		else
			left += s->generation != generation;
	}
	for (chunk = 0; chunk < CHUNKS; chunk++) {
		bool backed = chunk_backed(chunk);
		bool withheld = gca_chunk_at(core, chunk) && gca_chunk_at(core, chunk)->withheld;
		bool idle = backed && chunk_whole(chunk) && !withheld;

		if (host_held(&host, chunk) && !withheld)
			wrong("chunk %u: in somebody's hands, and not withheld", chunk);
		want.chunks_withheld += withheld;
		want.heap_sys += host.meta[chunk] * GCARENA_CHUNK_SIZE;
		want.chunks_backed += backed;
		want.chunks_idle += idle;
		want.chunks_small += backed && host.small[chunk];
		if (host.idle[chunk] != idle)
			wrong("chunk %u: idle %u, should be %u", chunk, host.idle[chunk], idle);
	}
	want.heap_idle = want.heap_sys - want.heap_inuse;

#define SAME(name) do { \
	if (stats.counters.name != want.name) \
		wrong(#name " is %llu, should be %llu", stats.counters.name, want.name); \
} while (0)
	SAME(heap_sys);
	SAME(heap_inuse);
	SAME(heap_idle);
	SAME(heap_released);
	SAME(heap_holes);
	SAME(heap_manual);
	SAME(spans_inuse);
	SAME(spans_held);
	SAME(chunks_backed);
	SAME(chunks_small);
	SAME(chunks_idle);
	SAME(chunks_withheld);
#undef SAME
	if (stats.counters.scavenged_bytes != host.released)
		wrong("scavenged_bytes is %llu, should be %llu", stats.counters.scavenged_bytes,
		      host.released);
	if (stats.counters.shrink_bytes != host.shrunk ||
	    stats.counters.shrink_calls != host.shrinks)
		wrong("shrink_bytes is %llu after %llu calls, should be %llu after %u",
		      stats.counters.shrink_bytes, stats.counters.shrink_calls, host.shrunk,
		      host.shrinks);
	if (stats.generation != generation || stats.sweep_left != left ||
	    stats.sweeping != !!left)
		wrong("generation %u, sweeping %u, left %llu; should be %u, %llu left",
		      stats.generation, stats.sweeping, stats.sweep_left, generation, left);
	if (stats.sequence != host.done + (u64)host.pressed)
		wrong("sequence %llu after %u sweeps were done, and %u events", stats.sequence,
		      host.done, host.pressed);
	check_pressure(&stats.counters);
	if (status->update % 2 || status->generation != generation ||
	    status->sweep_left != left || status->sweeping != !!left ||
	    memcmp(&status->counters, &stats.counters, sizeof(stats.counters)))
		wrong("the status page is behind");
}

/* The user's side: bits. */

static void scribble_span(u32 page, const struct span *s, unsigned int which)
{
	u32 i;

	switch (below(4)) {
	case 0:
		for (i = 0; i < s->npages; i++)
			memset(line(which, page + i), 0, GCARENA_LINE_SIZE);
		break;
	case 1:
		*line(which, page) |= 1;
		break;
	case 2:
		for (i = 0; i < s->npages; i++)
			memset(line(which, page + i), 0xff, GCARENA_LINE_SIZE);
		break;
	case 3:
		for (i = 0; i < 4; i++)
			line(which, page + below(s->npages))[below(8)] |= 1ULL << below(64);
		break;
	}
}

/* Bits of any page at all, whoever it belongs to. */
static void lie(void)
{
	u64 *word = line(below(2), below(PAGES)) + below(GCARENA_LINE_WORDS);

	*word = chance(50) ? 0 : (u64)rnd() << 32 | rnd();
}

static void mark(void)
{
	u32 page;

	for (page = 0; page < PAGES; page++)
		if (spans[page].state != NONE && chance(60))
			scribble_span(page, &spans[page], !(generation & 1));
}

static u32 pick(u8 state)
{
	u32 from = below(PAGES);
	u32 i;

	for (i = 0; i < PAGES; i++)
		if (spans[(from + i) % PAGES].state == state)
			return (from + i) % PAGES;
	return GCA_NONE;
}

/* What the model makes of an entry: true if the core must take it. */
static bool give_back(const struct gcarena_span *e)
{
	struct span *s;

	if (e->page >= PAGES)
		return false;
	s = &spans[e->page];
	if (s->state != HELD && s->state != MANUAL)
		return false;
	if (s->npages != e->npages || s->span_class != e->span_class ||
	    s->generation != e->generation || e->flags & ~7)
		return false;
	if (e->flags & GCARENA_SPAN_KEEP) {
		if (s->state == MANUAL)
			return false;
		s->generation = generation;
		return true;
	}
	if (objects(s, generation & 1))
		list(s);
	else
		drop(e->page);
	return true;
}

static void spoil(struct gcarena_span *e)
{
	switch (below(7)) {
	case 0:
		e->page = chance(50) ? below(PAGES) : rnd();
		break;
	case 1:
		e->npages += chance(50) ? 1 : -1;
		break;
	case 2:
		e->span_class = below(CLASSES + 1);
		break;
	case 3:
		e->generation += chance(50) ? 1 : -1;
		break;
	case 4:
		e->flags = 1 << below(16);
		break;
	case 5:
		e->page = pick(LISTED);
		break;
	}
}

static u32 make_spent(struct gcarena_span *spent, u32 room)
{
	u32 nr = below(room + 1);
	u32 i;

	for (i = 0; i < nr; i++) {
		u32 page = pick(chance(80) ? HELD : MANUAL);

		if (page == GCA_NONE)
			page = below(PAGES);
		spent[i] = (struct gcarena_span) {
			.page = page,
			.npages = spans[page].npages,
			.span_class = spans[page].span_class,
			.generation = spans[page].generation,
			.flags = chance(20) ? GCARENA_SPAN_KEEP : below(4),
		};
		if (chance(4))
			spoil(&spent[i]);
	}
	return nr;
}

/* In order, up to the first bad one. */
static u32 predict_give_back(const struct gcarena_span *spent, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (!give_back(&spent[i]))
			break;
	return i;
}

/* A chunk in somebody's hands has nothing for anybody else. */
static bool chunk_free(u32 chunk)
{
	return chunk_whole(chunk) && !host_held(&host, chunk);
}

/* -ENOMEM although nothing failed: is it true? */
static bool fits(u32 npages)
{
	u32 run = 0;
	u32 i;

	if (limit) {
		u64 inuse = 0;

		for (i = 0; i < PAGES; i++)
			inuse += owner[i] ? GCARENA_PAGE_SIZE : 0;
		if (inuse + (u64)npages * GCARENA_PAGE_SIZE > limit)
			return false;
	}
	if (npages > GCARENA_CHUNK_PAGES) {
		u32 need = (npages + GCARENA_CHUNK_PAGES - 1) / GCARENA_CHUNK_PAGES;

		for (i = 0; i < CHUNKS; i++) {
			run = chunk_free(i) ? run + 1 : 0;
			if (run == need)
				return true;
		}
		return false;
	}
	for (i = 0; i < PAGES; i++) {
		if (owner[i] || host_held(&host, i / GCARENA_CHUNK_PAGES))
			run = 0;
		else
			run = i % GCARENA_CHUNK_PAGES ? run + 1 : 1;
		if (run == npages)
			return true;
	}
	return false;
}

/* One entry of a refill.  True if it came from a central list. */
static bool take_ready(const struct gcarena_span *e, const struct gcarena_refill *args, u32 npages)
{
	struct span *s = &spans[e->page];
	bool zero = e->flags & GCARENA_SPAN_NEEDS_ZERO;
	bool small = e->flags & GCARENA_SPAN_SMALL;
	bool any_dirty = false;
	bool any_small = false;
	u32 i;

	if (e->page + npages > PAGES || e->npages != npages || e->span_class != args->span_class ||
	    e->flags & ~3) {
		wrong("refill: entry %u+%u class %u flags %x", e->page, e->npages, e->span_class,
		      e->flags);
		return false;
	}
	if (e->generation != generation && !flipped)
		wrong("refill: generation %u at %u", e->generation, generation);
	for (i = 0; i < npages; i++) {
		if (absent_bytes(e->page + i))
			wrong("refill: page %u of span %u is not present", e->page + i, e->page);
		any_dirty |= host.dirty[e->page + i];
		any_small |= host.small[(e->page + i) / GCARENA_CHUNK_PAGES];
		host.dirty[e->page + i] = true;
	}
	if (small != any_small && !disturbed)
		wrong("refill: span %u small %u, should be %u", e->page, small, any_small);

	if (s->state == LISTED) {
		if (s->full)
			wrong("refill: span %u was full", e->page);
		if (!zero)
			wrong("refill: span %u was used and needs no zero", e->page);
		s->state = HELD;
		s->handed = false;
		s->generation = e->generation;
		return true;
	}
	for (i = 0; i < npages; i++)
		if (host.hands[e->page + i])
			wrong("refill: page %u of span %u is in somebody's hands", e->page + i,
			      e->page);
	for (i = 0; i < npages; i++)
		if (owner[e->page + i])
			wrong("refill: page %u of span %u belongs to span %u", e->page + i, e->page,
			      owner[e->page + i] - 1);
	if (zero != any_dirty)
		wrong("refill: span %u needs zero %u, should be %u", e->page, zero, any_dirty);
	if (raw_count(0, e->page, npages) || raw_count(1, e->page, npages))
		wrong("refill: fresh span %u has bits", e->page);
	memset(s, 0, sizeof(*s));
	s->npages = npages;
	s->span_class = e->span_class;
	s->generation = e->generation;
	s->state = is_manual(s) ? MANUAL : HELD;
	for (i = 0; i < npages; i++)
		owner[e->page + i] = e->page + 1;
	return false;
}

static u32 count_ready(u16 span_class)
{
	u32 count = 0;
	u32 page;

	for (page = 0; page < PAGES; page++) {
		const struct span *s = &spans[page];

		count += s->state == LISTED && s->span_class == span_class && !s->full &&
			 !s->handed && s->generation == generation;
	}
	return count;
}

static u32 unswept_left(void)
{
	u32 count = 0;
	u32 page;

	for (page = 0; page < PAGES; page++)
		count += spans[page].state == LISTED && spans[page].generation != generation;
	return count;
}

/* A chunk of @node with room for @npages, told by the page heap's own rules. */
static bool node_has(int node, u32 npages)
{
	u32 run = 0;
	u32 i;

	for (i = 0; i < PAGES; i++) {
		u32 chunk = i / GCARENA_CHUNK_PAGES;

		if (owner[i] || absent_bytes(i) || host.node[chunk] != node ||
		    gca_chunk_at(core, chunk)->withheld)
			run = 0;
		else
			run = i % GCARENA_CHUNK_PAGES ? run + 1 : 1;
		if (run == npages)
			return true;
	}
	return false;
}

static void do_refill(void)
{
	struct gcarena_span spent[8], ready[8];
	struct gcarena_refill args = { .size = sizeof(args), .span_class = below(CLASSES) };
	u32 expect_taken, want, in_lists, npages, i;
	bool outer_flipped = flipped;
	bool local = false;
	u32 central = 0;
	int node;
	int err;

	npages = classes[args.span_class].npages;
	if (!npages) {
		npages = chance(70) ? 1 + below(20) : 1 + below(3 * GCARENA_CHUNK_PAGES);
		args.npages = npages;
	}
	args.nr_spent = make_spent(spent, depth ? 1 : 4);
	args.nr_ready = below(9);
	want = args.nr_ready;
	expect_taken = args.nr_spent;
	memset(ready, 0xa5, sizeof(ready));

	i = predict_give_back(spent, args.nr_spent);
	expect_taken = i;
	if (i < args.nr_spent)
		want = 0;
	in_lists = count_ready(args.span_class);
	flipped = false;
	args.node = chance(10) ? 1 + below(2) : 0;
	node = args.node ? args.node - 1 : policy_node ? policy_node - 1 : host.caller;
	/* A span that is swept and found empty looks as if it were fresh. */
	if (node != GCA_NODE_ANY && npages < GCARENA_CHUNK_PAGES && !unswept_left())
		local = node_has(node, npages);

	err = gca_core_refill(core, &args, spent, ready);

	if (args.nr_spent != expect_taken)
		wrong("refill: took %u, should take %u", args.nr_spent, expect_taken);
	if (!want && args.nr_ready)
		wrong("refill: %u ready, none wanted", args.nr_ready);
	sync_spans(false);
	for (i = 0; i < args.nr_ready; i++) {
		bool listed = take_ready(&ready[i], &args, npages);

		central += listed;
		if (listed)
			continue;
		if (local && !disturbed &&
		    host.node[ready[i].page / GCARENA_CHUNK_PAGES] != node)
			wrong("refill: span %u is not on node %d, which had room", ready[i].page,
			      node);
		/* The first one may have been all that there was. */
		local = false;
	}
	sync_spans(!depth);

	if (err == -EINVAL) {
		if (want)
			wrong("refill: -EINVAL");
	} else if (err == -ENOMEM) {
		if (args.nr_ready)
			wrong("refill: -ENOMEM with %u ready", args.nr_ready);
		if (!disturbed && (fits(npages) || unswept_left()))
			wrong("refill: -ENOMEM for %u pages, which fit", npages);
	} else if (err == -EINTR) {
		if (!disturbed)
			wrong("refill: -EINTR");
	} else if (err) {
		wrong("refill: %d", err);
	} else if (want && !args.nr_ready) {
		wrong("refill: no error and nothing ready");
	}
	if (!err && !disturbed && central < min(want, in_lists))
		wrong("refill: %u from lists that had %u", central, in_lists);
	flipped |= outer_flipped;
}

static void do_return(void)
{
	struct gcarena_span spent[16];
	u32 nr = make_spent(spent, depth ? 2 : 16);
	u32 expect = predict_give_back(spent, nr);
	u32 taken = 99;
	int err;

	err = gca_core_return(core, spent, nr, &taken);
	if (taken != expect || err != (expect < nr ? -EINVAL : 0))
		wrong("return: %d, took %u of %u, should take %u", err, taken, nr, expect);
	sync_spans(!depth);
}

static void do_start_sweep(void)
{
	bool sweeping = gca_core_sweeping(core);
	struct gcarena_sweep args = { .size = sizeof(args), .generation = generation };
	int expect = sweeping ? -EBUSY : 0;
	int err;

	if (chance(5)) {
		args.generation += chance(50) ? 1 : -1;
		expect = -EINVAL;
	}
	if (chance(50))
		args.flags = GCARENA_SWEEP_STICKY;
	if (chance(2)) {
		args.flags |= 2u << below(31);
		expect = -EINVAL;
	}
	if (!expect) {
		generation++;
		sticky = args.flags;
	}
	err = gca_core_start_sweep(core, &args);
	if (err != expect)
		wrong("start_sweep: %d, should be %d", err, expect);
	if (!err && args.generation != generation)
		wrong("start_sweep: generation %u, should be %u", args.generation, generation);
	if (!err)
		flipped = true;
	sync_spans(!depth);
}

static void do_assist(void)
{
	struct gcarena_sweep args = { .size = sizeof(args), .nr_spans = below(12) };
	u32 most = args.nr_spans;
	u32 before = 0;
	u32 after = 0;
	u32 busy = 0;
	u32 page;

	for (page = 0; page < PAGES; page++) {
		if (spans[page].state != LISTED || spans[page].generation == generation ||
		    spans[page].handed)
			continue;
		before++;
		/* Those of an outer call. */
		busy += gca_record_at(core, page)->busy ||
			gca_record_at(core, page)->state == GCARENA_STATE_SWEEPING;
	}
	gca_core_sweep_assist(core, &args);
	sync_spans(!depth);
	for (page = 0; page < PAGES; page++)
		after += spans[page].state == LISTED && spans[page].generation != generation &&
			 !spans[page].handed;
	if (args.nr_spans != min(most, before - busy) || before - after != args.nr_spans)
		wrong("assist: %u of %u, %u before, %u after", args.nr_spans, most, before, after);
}

static u64 chunk_bytes(u32 chunk)
{
	u64 count = 0;
	u32 i;

	for (i = 0; i < GCA_CHUNK_HALVES; i++)
		count += host.present[chunk * GCA_CHUNK_HALVES + i];
	return count << GCA_HALF_SHIFT;
}

/* After a release inside spans: of those swept what has no object is gone. */
static void check_inside(void)
{
	u32 page, half;

	for (page = 0; page < PAGES; page++) {
		const struct span *s = &spans[page];

		if (!may_have_holes(s) || s->generation != generation)
			continue;
		/* But for the last of a chunk. */
		if (chunk_bytes(page / GCARENA_CHUNK_PAGES) == 1U << GCA_HALF_SHIFT)
			continue;
		for (half = 2 * page; half < 2 * (page + s->npages); half++)
			if (host.present[half] && !occupied(page, s, half))
				wrong("scavenge: half %u of span %u has no object", half, page);
	}
}

static void do_scavenge(void)
{
	bool inside = chance(30);
	bool all = inside || chance(30);
	u64 bytes = all ? 0 : (u64)below(4 << 20);
	struct gcarena_scavenge args = { .size = sizeof(args), .bytes = bytes };
	u64 before = host.released;
	u32 chunk;

	if (all)
		args.flags = GCARENA_SCAVENGE_ALL | (inside ? GCARENA_SCAVENGE_INSIDE : 0);
	host.keep_percent = chance(20) ? 20 : 0;
	host.keep_in_hands = chance(50);
	if (gca_core_scavenge(core, &args))
		wrong("scavenge: refused");
	sync_spans(!depth);
	if (disturbed || depth || host.keep_percent)
		return;
	if (args.bytes != host.released - before)
		wrong("scavenge: %llu bytes, should be %llu", args.bytes, host.released - before);
	for (chunk = 0; chunk < CHUNKS; chunk++) {
		u32 rest = chunk_present(chunk, true);

		if (all ? rest : args.bytes < bytes && (rest >= GCA_BREAK_PAGES ||
							(rest && chunk_whole(chunk))))
			wrong("scavenge: %u pages of chunk %u left", rest, chunk);
	}
	if (inside)
		check_inside();
}

/* Any chunks, named or not: those in use and on small pages become huge. */
static void do_collapse(void)
{
	struct gcarena_status *status = host.tables.status;
	u32 chunks[4], expect = 0, huge, i;

	for (i = 0; i < 4; i++) {
		chunks[i] = below(CHUNKS + 1);
		if (i < status->nr_collapse)
			chunks[i] = status->collapse[i];
	}
	host.fail_percent[SITE_COLLAPSE] = chance(30) ? 50 : 0;
	if (gca_core_collapse(core, chunks, 4, &huge))
		wrong("collapse: refused");
	sync_spans(!depth);
	if (disturbed || depth || host.fail_percent[SITE_COLLAPSE])
		return;
	for (i = 0; i < 4; i++)
		expect += chunks[i] < CHUNKS && !chunk_whole(chunks[i]) &&
			  chunk_present(chunks[i], false) && host.small[chunks[i]];
	if (expect)
		wrong("collapse: %u chunks in use are still small", expect);
}

/* Reclaim takes any idle chunk, and gets all of it, some or nothing. */
static void do_shrink(void)
{
	static const u32 keep[] = { 0, 0, 3, 60, 100 };
	u32 chunk = below(CHUNKS);

	if (!host.idle[chunk])
		return;
	host.keep_in_hands = chance(50);
	if (!host_shrink(&host, chunk, keep[below(sizeof(keep) / sizeof(keep[0]))]))
		wrong("shrink: the lock is held");
	sync_spans(!depth);
}

/* I/O on some of what it has is done. */
static void do_let_go(void)
{
	u32 chunk = below(CHUNKS);

	memset(&host.hands[chunk * GCARENA_CHUNK_PAGES], 0, GCARENA_CHUNK_PAGES);
}

static u64 backed_bytes(void)
{
	u64 count = 0;
	u32 chunk;

	for (chunk = 0; chunk < CHUNKS; chunk++)
		count += chunk_bytes(chunk);
	return count;
}

static void do_work(void)
{
	u32 releases = host.calls[SITE_RELEASE];
	u64 before = backed_bytes();
	u32 unswept = unswept_left();
	enum gca_work work = gca_core_work(core);
	u32 chunk;

	sync_spans(!depth);
	if (depth || disturbed)
		return;
	if (work == GCA_WORK_PACED && unswept_left() < unswept) {
		if (host.calls[SITE_RELEASE] != releases)
			wrong("work: swept what was left to refills, and released");
	} else if (work == GCA_WORK_PACED) {
		if (host.calls[SITE_RELEASE] != releases + 1 || backed_bytes() < retain)
			wrong("work: released %u times, %llu backed of %llu, goal %llu",
			      host.calls[SITE_RELEASE] - releases, backed_bytes(), before, retain);
	} else if (host.calls[SITE_RELEASE] != releases) {
		wrong("work: %u, and released", work);
	}
	if (work == GCA_WORK_IDLE) {
		if (unswept_left())
			wrong("work: idle with spans to sweep");
		/* The highest idle chunk is the one it would take. */
		for (chunk = CHUNKS; chunk--;)
			if (host.idle[chunk])
				break;
		if (retain && chunk < CHUNKS &&
		    core->counters.chunks_idle > core->reserve.goal &&
		    before - chunk_bytes(chunk) >= retain)
			wrong("work: idle with chunk %u above the goal", chunk);
	}
}

static void do_policy(void)
{
	struct gcarena_policy policy = { .size = sizeof(policy) };

	if (chance(40))
		limit = below(PAGES) * GCARENA_PAGE_SIZE;
	else
		limit = 0;
	retain = chance(50) ? below(PAGES) * GCARENA_PAGE_SIZE + 1 : 0;
	policy.limit_bytes = limit;
	policy.retain_bytes = retain;
	policy_node = chance(30) ? 1 + below(2) : 0;
	policy.node = policy_node;
	policy.reserve_chunks = chance(60) ? below(CHUNKS) : 0;
	if (chance(50)) {
		policy.watermark_low = 1 + below(97);
		policy.watermark_high = policy.watermark_low + 1 + below(99 - policy.watermark_low);
		policy.watermark_max = policy.watermark_high +
				       below(101 - policy.watermark_high);
	}
	watermarks = policy;
	if (gca_core_set_policy(core, &policy))
		wrong("policy: refused");
}

/* As another thread, inside an operation of the host. */
static void hook(struct test_host *h, enum host_site site)
{
	if (!core || depth || !chance(15))
		return;
	depth++;
	disturbed = true;
	sync_spans(false);
	switch (below(8)) {
	case 0:
	case 1:
		do_refill();
		break;
	case 2:
		do_return();
		break;
	case 3:
		do_assist();
		break;
	case 4:
		do_scavenge();
		break;
	case 5:
		do_start_sweep();
		break;
	case 6:
		do_shrink();
		break;
	case 7:
		do_collapse();
		break;
	}
	depth--;
}

/* The others are this thread's own outer call: nobody will wake us. */
static int interrupted(struct test_host *h, u32 sequence)
{
	if (!depth)
		wrong("transit_wait: nobody to wait for");
	return -EINTR;
}

static bool page_in_use(struct test_host *h, u32 page)
{
	return owner[page];
}

/* In one that nobody holds what has no object may go.  A flip says anything of bits. */
static bool half_may_go(struct test_host *h, u32 half)
{
	u32 page = owner[half / 2] - 1;

	return may_have_holes(&spans[page]) && !spans[page].handed &&
	       (flipped || !occupied(page, &spans[page], half));
}

static void step(void)
{
	u32 failures = host.failed[SITE_BACK] + host.failed[SITE_META_ALLOC] +
		       host.failed[SITE_META_BACK];
	u32 page, i;
	u32 dice;

	/* Mostly moments, now and then longer than any period of the core's. */
	host.now += chance(10) ? below(200) * 1000000000ULL : below(300) * 1000000ULL;

	/* The user is busy with its bits between calls. */
	for (i = below(4); i; i--) {
		page = pick(chance(70) ? HELD : LISTED);
		if (page != GCA_NONE)
			scribble_span(page, &spans[page], below(2));
	}
	if (chance(10))
		lie();
	if (chance(10))
		do_let_go();
	host.caller = (int)below(3) - 1;
	host.back_small = chance(20);
	dice = below(100);
	if (dice < 6 && !gca_core_sweeping(core))
		mark();
	for (page = 0; page < PAGES; page++)
		if (spans[page].state != NONE)
			look_at_bits(page, &spans[page]);
	disturbed = false;
	flipped = false;
	/* A failure inside the call is seen after it, so say so beforehand. */
	if (host.fail_percent[SITE_BACK])
		disturbed = true;

	if (dice < 10)
		do_start_sweep();
	else if (dice < 50)
		do_refill();
	else if (dice < 72)
		do_return();
	else if (dice < 82)
		do_assist();
	else if (dice < 87)
		do_scavenge();
	else if (dice < 94)
		do_work();
	else if (dice < 96)
		do_shrink();
	else if (dice < 97)
		do_collapse();
	else if (dice < 98)
		gca_core_reclaim(core, chance(50));
	else
		do_policy();

	failures -= host.failed[SITE_BACK] + host.failed[SITE_META_ALLOC] +
		    host.failed[SITE_META_BACK];
	if (failures && !disturbed)
		wrong("failures out of season");
	if (dice < 97)
		check_counters_and_status();
	gca_core_validate(core);
}

/* One sequence of operations.  The number of findings. */
static u32 run(u64 seed, u32 operations)
{
	u32 i;

	random_state = (seed + 1) * 0x9e3779b97f4a7c15ULL;
	memset(spans, 0, sizeof(spans));
	memset(owner, 0, sizeof(owner));
	limit = 0;
	retain = 0;
	policy_node = 0;
	memset(&watermarks, 0, sizeof(watermarks));
	sticky = false;
	generation = 0;
	depth = 0;
	core = NULL;
	host_init(&host, CHUNKS);
	host.random = rnd;
	host.nodes = 2;
	host.stray_percent = 20;
	host.hook = hook;
	host.wait = interrupted;
	host.in_use = page_in_use;
	host.may_go = half_may_go;
	gca_complaint = complaint;
	if (gca_core_create(&host_ops, &host, (u64)CHUNKS * GCARENA_CHUNK_SIZE, classes, CLASSES,
			    NULL, &core))
		bail("no core");
	host.core = core;
	/* Start close to where the generation wraps, in every other run. */
	if (seed % 2) {
		generation = U32_MAX - 3;
		core->generation = generation;
		gca_lock(&core->lock);
		gca_publish(core);
		gca_unlock(&core->lock);
	}

	for (i = 0; i < operations && !host.wrong && (!input || input_left >= 2); i++) {
		/* Calm stretches, in which everything can be predicted, and others. */
		bool storm = i / 64 % 2;

		host.fail_percent[SITE_BACK] = storm ? 10 : 0;
		host.fail_percent[SITE_META_ALLOC] = storm ? 10 : 0;
		host.fail_percent[SITE_META_BACK] = storm ? 10 : 0;
		host.fail_percent[SITE_AHEAD] = storm ? 30 : 0;
		host.lost_percent = storm ? 30 : 0;
		step();
		if (host.wrong)
			diag("seed %llu: wrong at operation %u", seed, i);
	}
	i = host.wrong;
	host.hook = NULL;
	gca_core_destroy(core);
	core = NULL;
	host_exit(&host);
	return i + host.wrong - i;
}

#ifndef MODEL_FUZZ

/* In a child, for assertions abort.  True if the mistake was noticed. */
static bool noticed(enum mistake which, u64 seed, u32 nr_seeds, u32 operations)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		u64 s;

		mistake = which;
		if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
			_exit(0);
		for (s = seed; s < seed + nr_seeds; s++)
			if (run(s, operations))
				_exit(1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail("fork");
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGABRT;
	return WEXITSTATUS(status) == 1;
}

int main(int argc, char **argv)
{
	u32 operations = 2000;
	u32 nr_seeds = 12;
	u64 seed = 1;
	u64 s;
	const char *scale = getenv("GCARENA_TEST_SCALE");
	int opt;

	/* Per cent of the usual work. */
	if (scale && atoi(scale) > 0)
		nr_seeds = max(nr_seeds * atoi(scale) / 100, 1U);
	while ((opt = getopt(argc, argv, "s:n:o:m:")) != -1) {
		switch (opt) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			nr_seeds = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			operations = strtoul(optarg, NULL, 0);
			break;
		case 'm':
			mistake = atoi(optarg);
			break;
		default:
			bail("usage: model [-s SEED] [-n SEEDS] [-o OPERATIONS] [-m MISTAKE]");
		}
	}

	for (s = seed; s < seed + nr_seeds; s++)
		ok(!run(s, operations), "seed %llu: %u operations agree with the model", s,
		   operations);
	if (!mistake) {
		int m;

		for (m = 1; m < MISTAKES; m++)
			ok(noticed(m, seed, nr_seeds, operations), "noticed: %s", mistake_names[m]);
	}
	return tap_done();
}

#endif /* MODEL_FUZZ */
