// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The validator: walks every structure and recomputes every count.
 *
 * Reads only, but for the complaints, with the lock held throughout: for tests
 * and debug kernels.  It may run beside other threads: what is in state TRANSIT
 * or SWEEPING, or a chunk in transit, is somebody's and is checked only where
 * its owner does not write.  Nothing here calls the code that it checks.
 */
#include "core_internal.h"

/**
 * struct check - what a walk found
 * @core: the arena
 * @wrong: complaints so far
 * @seen: counters as they should be; only those that follow structures
 * @bucketed: chunks found in buckets
 * @listed: spans in state SWEPT
 * @sweeping: spans in state SWEEPING
 * @transit: chunks in transit
 * @old: spans of an older generation, manual ones not counted
 * @reserved: chunks of the reserve
 * @reserve_idle: of those, idle
 * @busy: spans of which a part is being released
 */
struct check {
	struct gca_core *core;
	u32 wrong;
	struct gcarena_counters seen;
	u64 bucketed;
	u64 listed;
	u32 sweeping;
	u32 transit;
	u64 old;
	u32 reserved;
	u32 reserve_idle;
	u32 busy;
};

#define CHECK(check, condition, format, ...) do { \
	if (!(condition)) { \
		(check)->wrong++; \
		gca_complain(format, ##__VA_ARGS__); \
	} \
} while (0)

static void check_rows(struct check *check, u32 page, const struct gca_record *record)
{
	struct gca_core *core = check->core;
	bool large = core->classes[record->span_class].flags & GCARENA_CLASS_FLAGS;
	u32 i;

	for (i = 0; i < record->npages; i++) {
		struct gcarena_row *row = gca_host_row(core->host, page + i);
		u64 word0 = READ_ONCE(row->word0);
		u64 word1 = READ_ONCE(row->word1);
		u32 offset = word0 >> GCARENA_ROW_OFFSET_SHIFT & 0xffff;

		CHECK(check, word0 & GCARENA_ROW_IN_USE, "page %u of span %u: row not in use",
		      page + i, page);
		CHECK(check, !!(word0 & GCARENA_ROW_LARGE) == large &&
		      (word0 & 0xffff) == record->span_class,
		      "page %u of span %u: row of class %u", page + i, page,
		      (u32)(word0 & 0xffff));
		CHECK(check, offset == min_t(u32, i, GCARENA_ROW_OFFSET_ESCAPE),
		      "page %u of span %u: row says offset %u", page + i, page, offset);
		if (i) {
			CHECK(check, word1 == (large ? page : 0),
			      "page %u of span %u: word1 %llx", page + i, page, word1);
			continue;
		}
		CHECK(check, (word1 & GCARENA_ROW_STATE_MASK) == record->state &&
		      word1 >> GCARENA_ROW_GENERATION_SHIFT == record->generation &&
		      (word1 >> GCARENA_ROW_NPAGES_SHIFT & GCARENA_ROW_NPAGES_MASK) ==
		      record->npages,
		      "span %u: word1 %llx, state %u, generation %u, %u pages", page, word1,
		      record->state, record->generation, record->npages);
	}
}

static void check_free_row(struct check *check, u32 page)
{
	u64 word0 = READ_ONCE(gca_host_row(check->core->host, page)->word0);

	CHECK(check, !(word0 & GCARENA_ROW_IN_USE), "free page %u: row in use", page);
}

static void count_state(struct check *check, u32 page, const struct gca_record *record)
{
	struct gca_core *core = check->core;
	const struct gca_class *cls = &core->classes[record->span_class];
	bool old = record->generation != core->generation;

	switch (record->state) {
	case GCARENA_STATE_READY:
		check->seen.spans_ready++;
		check->seen.heap_ready += gca_page_bytes(record->npages);
		CHECK(check, !old && core->classes[record->span_class].npages,
		      "span %u: ready, of class %u at %u", page, record->span_class,
		      record->generation);
		break;
	case GCARENA_STATE_HELD:
		check->seen.spans_held++;
		check->old += old;
		CHECK(check, !gca_class_manual(cls), "manual span %u: held", page);
		break;
	case GCARENA_STATE_MANUAL:
		check->seen.heap_manual += gca_page_bytes(record->npages);
		CHECK(check, gca_class_manual(cls), "span %u: manual", page);
		break;
	case GCARENA_STATE_SWEPT:
		check->listed++;
		check->busy += record->busy;
		check->old += old;
		CHECK(check, !gca_class_manual(cls), "manual span %u: swept", page);
		break;
	case GCARENA_STATE_SWEEPING:
		check->sweeping++;
		check->old += old && !gca_class_manual(cls);
		return;
	case GCARENA_STATE_TRANSIT:
		return;
	default:
		CHECK(check, false, "span %u: state %u", page, record->state);
		return;
	}
	check_rows(check, page, record);
}

/* A span's pages are not free, and no page in it begins another span. */
static void check_span(struct check *check, u32 page, const struct gca_record *record)
{
	struct gca_core *core = check->core;
	u32 i;

	check->seen.spans_inuse++;
	check->seen.heap_inuse += gca_page_bytes(record->npages);
	CHECK(check, record->span_class < core->nr_classes, "span %u: class %u", page,
	      record->span_class);
	if (record->span_class >= core->nr_classes)
		return;
	CHECK(check, !core->classes[record->span_class].npages ||
	      core->classes[record->span_class].npages == record->npages,
	      "span %u: %u pages", page, record->npages);
	for (i = 0; i < record->npages; i++) {
		struct gca_chunk *chunk = gca_chunk_at(core, gca_page_chunk(page + i));
		u32 bit = gca_page_in_chunk(page + i);

		CHECK(check, chunk, "span %u: no chunk at page %u", page, page + i);
		if (!chunk)
			return;
		CHECK(check, !gca_map_test(chunk->free, bit), "span %u: page %u is free", page,
		      page + i);
		CHECK(check, !i || chunk->records[bit].state == GCARENA_STATE_FREE,
		      "span %u: another begins at page %u", page, page + i);
		if (record->state == GCARENA_STATE_TRANSIT)
			continue;
		CHECK(check, !gca_map_test(chunk->released, bit), "span %u: page %u not backed",
		      page, page + i);
		CHECK(check, gca_map_test(chunk->dirty, bit), "span %u: page %u clean", page,
		      page + i);
		/* One that is being filled is SWEEPING. */
		CHECK(check, record->state == GCARENA_STATE_SWEPT ||
		      record->state == GCARENA_STATE_SWEEPING ||
		      !(chunk->holes[bit / 32] >> bit % 32 * 2 & 3),
		      "span %u: state %u, with a hole in page %u", page, record->state, page + i);
	}
	count_state(check, page, record);
}

static u32 longest_run(const u64 *map)
{
	u32 longest = 0;
	u32 run = 0;
	u32 i;

	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		run = gca_map_test(map, i) ? run + 1 : 0;
		longest = max(longest, run);
	}
	return longest;
}

static void check_place(struct check *check, const struct gca_chunk *chunk)
{
	struct gca_core *core = check->core;
	u8 place = GCA_PLACE_BUCKET;

	if (chunk->transit || chunk->withheld || !chunk->nr_free)
		place = GCA_PLACE_NONE;
	else if (chunk->nr_free == GCARENA_CHUNK_PAGES)
		place = chunk->nr_released == GCARENA_CHUNK_PAGES ? GCA_PLACE_EMPTY :
								      GCA_PLACE_IDLE;
	CHECK(check, chunk->place == place, "chunk %u: in place %u, not %u", chunk->index,
	      chunk->place, place);
	CHECK(check, gca_map_test(core->map_idle, chunk->index) == (place == GCA_PLACE_IDLE),
	      "chunk %u: idle map is wrong", chunk->index);
	CHECK(check, gca_map_test(core->map_empty, chunk->index) == (place == GCA_PLACE_EMPTY),
	      "chunk %u: empty map is wrong", chunk->index);
	CHECK(check, place != GCA_PLACE_IDLE || core->low_idle <= chunk->index,
	      "chunk %u: below low_idle", chunk->index);
	CHECK(check, place != GCA_PLACE_EMPTY || core->low_empty <= chunk->index,
	      "chunk %u: below low_empty", chunk->index);
	if (place == GCA_PLACE_IDLE) {
		check->seen.chunks_idle++;
		check->reserve_idle += chunk->reserved;
	}
	if (place == GCA_PLACE_BUCKET) {
		u32 longest = longest_run(chunk->free);

		check->bucketed++;
		CHECK(check, chunk->longest == longest && chunk->order == fls64(longest) - 1,
		      "chunk %u: longest run %u, not %u", chunk->index, chunk->longest, longest);
	}
}

/* All there, all clean, all free. */
static void check_reserved(struct check *check, const struct gca_chunk *chunk)
{
	check->reserved++;
	CHECK(check, chunk->nr_free == GCARENA_CHUNK_PAGES && !chunk->nr_released &&
	      !gca_map_count(chunk->dirty, 0, GCARENA_CHUNK_PAGES),
	      "chunk %u: reserved, with %u free, %u released", chunk->index, chunk->nr_free,
	      chunk->nr_released);
}

static void check_reserve(struct check *check)
{
	const struct gca_reserve *reserve = &check->core->reserve;
	const struct gcarena_counters *have = &check->core->counters;
	struct gca_chunk *chunk;
	u32 listed = 0;

	hlist_for_each_entry(chunk, &reserve->list, link) {
		CHECK(check, chunk->reserved && chunk->place == GCA_PLACE_IDLE,
		      "chunk %u: in the reserve's list", chunk->index);
		if (listed++ > check->reserve_idle)
			break;
	}
	CHECK(check, listed == check->reserve_idle, "%u chunks in the reserve's list, not %u",
	      listed, check->reserve_idle);
	CHECK(check, reserve->nr == check->reserved, "%u chunks reserved, counted %u",
	      check->reserved, reserve->nr);
	CHECK(check, have->reserve_backed ==
	      have->reserve_taken + have->reserve_released + reserve->nr,
	      "reserve_backed %llu != taken %llu + released %llu + %u", have->reserve_backed,
	      have->reserve_taken, have->reserve_released, reserve->nr);
	CHECK(check, reserve->goal <= check->core->policy.reserve_chunks,
	      "reserve of %u chunks wanted, of %u", reserve->goal,
	      check->core->policy.reserve_chunks);
}

static void check_chunk(struct check *check, u32 index, const struct gca_chunk *chunk)
{
	u32 nr_free = gca_map_count(chunk->free, 0, GCARENA_CHUNK_PAGES);
	u32 nr_released = gca_map_count(chunk->released, 0, GCARENA_CHUNK_PAGES);
	u32 i;

	CHECK(check, chunk->index == index, "chunk %u: calls itself %u", index, chunk->index);
	CHECK(check, index < check->core->top_chunk, "chunk %u: above the top", index);
	CHECK(check, chunk->nr_free == nr_free, "chunk %u: %u free, not %u", index,
	      chunk->nr_free, nr_free);
	CHECK(check, chunk->nr_released == nr_released, "chunk %u: %u released, not %u", index,
	      chunk->nr_released, nr_released);
	CHECK(check, chunk->nr_holes == gca_map_count(chunk->holes, 0, GCA_CHUNK_HALVES),
	      "chunk %u: %u holes", index, chunk->nr_holes);
	check->seen.heap_sys += GCARENA_CHUNK_SIZE;
	check->seen.heap_idle += gca_page_bytes(nr_free);
	check->seen.chunks_backed += nr_released < GCARENA_CHUNK_PAGES;
	check->seen.chunks_small += chunk->small;
	check->seen.chunks_withheld += chunk->withheld;
	CHECK(check, !chunk->withheld || (!chunk->reserved &&
					  nr_released < GCARENA_CHUNK_PAGES),
	      "chunk %u: withheld, with %u released", index, nr_released);
	check->transit += chunk->transit;
	if (chunk->reserved)
		check_reserved(check, chunk);
	if (!chunk->transit) {
		CHECK(check, !chunk->small || nr_released < GCARENA_CHUNK_PAGES,
		      "chunk %u: small, but not backed", index);
		CHECK(check, chunk->small || (!chunk->nr_holes &&
					      (!nr_released || nr_released == GCARENA_CHUNK_PAGES)),
		      "chunk %u: broken, but not small", index);
	}
	for (i = 0; i < GCA_MAP_WORDS(GCARENA_CHUNK_PAGES); i++) {
		u64 both = chunk->released[i] & chunk->free[i];

		check->seen.heap_released += gca_page_bytes(hweight64(both));
		CHECK(check, chunk->transit || both == chunk->released[i],
		      "chunk %u: pages in use are released", index);
		CHECK(check, !(chunk->released[i] & chunk->dirty[i]),
		      "chunk %u: released pages are dirty", index);
	}
	for (i = 0; i < GCA_CHUNK_HALVES; i++) {
		if (!gca_map_test(chunk->holes, i))
			continue;
		CHECK(check, !gca_map_test(chunk->released, i / 2),
		      "chunk %u: a hole in a page that is released", index);
		if (gca_map_test(chunk->free, i / 2))
			check->seen.heap_released += 1U << GCA_HALF_SHIFT;
		else
			check->seen.heap_holes += 1U << GCA_HALF_SHIFT;
	}
	check_place(check, chunk);
}

static void check_chunks(struct check *check)
{
	struct gca_core *core = check->core;
	u32 covered = 0;
	u32 index, i;

	for (index = 0; index < core->nr_chunks; index++) {
		struct gca_chunk *chunk = gca_chunk_at(core, index);

		if (!chunk) {
			CHECK(check, core->nr_transit || gca_map_test(core->map_empty, index),
			      "chunk %u: never used, not in the empty map", index);
			CHECK(check, !gca_map_test(core->map_idle, index),
			      "chunk %u: never used, idle", index);
			CHECK(check, covered <= index * GCARENA_CHUNK_PAGES,
			      "chunk %u: never used, in a span", index);
			continue;
		}
		check_chunk(check, index, chunk);
		for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
			u32 page = index * GCARENA_CHUNK_PAGES + i;
			const struct gca_record *record = &chunk->records[i];

			if (record->state != GCARENA_STATE_FREE) {
				CHECK(check, page >= covered, "span %u: inside another", page);
				check_span(check, page, record);
				covered = max(covered, page + record->npages);
			} else if (page >= covered) {
				CHECK(check, gca_map_test(chunk->free, i),
				      "page %u: of no span, and not free", page);
				check_free_row(check, page);
			}
		}
	}
	CHECK(check, !core->nr_chunks || core->low_idle <= core->nr_chunks, "low_idle %u",
	      core->low_idle);
}

static void check_buckets(struct check *check)
{
	struct gca_core *core = check->core;
	u64 found = 0;
	u32 order, slot;

	for (order = 0; order < GCA_ORDERS; order++) {
		for (slot = 0; slot < GCARENA_CHUNK_PAGES; slot++) {
			struct hlist_head *head = &core->bucket[order][slot];
			struct gca_chunk *chunk;

			CHECK(check, gca_map_test(core->bucket_map[order], slot) ==
			      !hlist_empty(head), "bucket %u/%u: map is wrong", order, slot);
			hlist_for_each_entry(chunk, head, link) {
				CHECK(check, chunk->place == GCA_PLACE_BUCKET &&
				      chunk->order == order && chunk->nr_free == slot + 1,
				      "chunk %u: in bucket %u/%u", chunk->index, order, slot);
				if (found++ > check->bucketed)
					break;
			}
		}
	}
	CHECK(check, found == check->bucketed, "%llu chunks in buckets, not %llu", found,
	      check->bucketed);
}

static u64 check_list(struct check *check, u32 span_class, u32 head, bool swept, bool full)
{
	struct gca_core *core = check->core;
	u32 generation = core->generation - !swept;
	u64 found = 0;
	u32 page = head;

	while (page != GCA_NONE) {
		struct gca_record *record = gca_record_at(core, page);

		CHECK(check, record && record->state == GCARENA_STATE_SWEPT &&
		      record->span_class == span_class && record->full == full &&
		      record->generation == generation,
		      "class %u: page %u in the wrong list", span_class, page);
		if (!record || found++ > check->listed)
			break;
		page = record->next;
	}
	return found;
}

static void check_central(struct check *check)
{
	struct gca_core *core = check->core;
	unsigned int now = core->generation & 1;
	u64 found = 0;
	u64 unswept = 0;
	u32 i;

	for (i = 0; i < core->nr_classes; i++) {
		struct gca_class *cls = &core->classes[i];
		u64 in_swept = check_list(check, i, cls->partial[now], true, false) +
			       check_list(check, i, cls->full[now], true, true);
		u64 in_unswept = check_list(check, i, cls->partial[!now], false, false) +
				 check_list(check, i, cls->full[!now], false, true);

		CHECK(check, gca_map_test(core->class_map[now], i) == !!in_swept &&
		      gca_map_test(core->class_map[!now], i) == !!in_unswept,
		      "class %u: class map is wrong", i);
		found += in_swept + in_unswept;
		unswept += in_unswept;
	}
	CHECK(check, found == check->listed && core->nr_listed == found,
	      "%llu spans in lists, counted %llu, in state swept %llu", found, core->nr_listed,
	      check->listed);
	CHECK(check, core->sweeping || !unswept, "%llu unswept spans and no sweep", unswept);
	CHECK(check, core->sweep_left == check->old, "%llu spans left to sweep, counted %llu",
	      check->old, core->sweep_left);
	CHECK(check, core->sweeping == !!core->sweep_left, "sweeping %u with %llu left",
	      core->sweeping, core->sweep_left);
}

/* The entries of one class in a slot. */
static u32 check_slot_class(struct check *check, const struct gca_slot *slot, u32 span_class)
{
	const struct gca_slot_class *cls = &slot->classes[span_class];
	const struct gca_ready *ready;
	struct gca_core *core = check->core;
	u32 found = 0;

	for (ready = cls->head; ready && found < cls->nr; ready = ready->next, found++) {
		const struct gca_record *record = gca_record_at(core, ready->span.page);
		u64 word1;

		CHECK(check, record && record == ready->record &&
		      record->state == GCARENA_STATE_READY && record->span_class == span_class &&
		      ready->span.span_class == span_class &&
		      record->npages == ready->span.npages &&
		      ready->span.generation == core->generation,
		      "class %u: page %u of %u at %u lies ready", span_class, ready->span.page,
		      ready->span.span_class, ready->span.generation);
		if (!record)
			continue;
		word1 = READ_ONCE(gca_host_row(core->host, ready->span.page)->word1);
		CHECK(check, (ready->held & ~(u64)GCARENA_ROW_STATE_MASK) ==
		      (word1 & ~(u64)GCARENA_ROW_STATE_MASK) &&
		      (ready->held & GCARENA_ROW_STATE_MASK) == GCARENA_STATE_HELD,
		      "span %u: would become %llx from %llx", ready->span.page, ready->held,
		      word1);
	}
	CHECK(check, !ready && found == cls->nr, "class %u: %u ready, counted %u",
	      span_class, found, cls->nr);
	return found;
}

/* Every ready span is in exactly one slot.  The slots are closed. */
static void check_slots(struct check *check)
{
	struct gca_core *core = check->core;
	u64 found = 0;
	u64 bytes = 0;
	u32 i, k;

	for (i = 0; i < core->nr_slots; i++) {
		const struct gca_slot *slot = core->slots[i];
		u32 unused = 0;
		u32 nr = 0;
		const struct gca_ready *at;

		if (!slot)
			continue;
		for (k = 0; k < core->nr_classes; k++)
			nr += check_slot_class(check, slot, k);
		for (at = slot->unused; at && unused <= GCA_SLOT_SPANS; unused++)
			at = at->next;
		CHECK(check, slot->nr == nr && nr + unused == GCA_SLOT_SPANS,
		      "slot %u: %u ready, counted %u, %u unused", i, nr, slot->nr, unused);
		found += nr;
		bytes += slot->bytes;
	}
	CHECK(check, found == check->seen.spans_ready && bytes == check->seen.heap_ready,
	      "%llu spans in slots, in state ready %llu; bytes %llu, %llu", found,
	      check->seen.spans_ready, bytes, check->seen.heap_ready);
	CHECK(check, core->stocked || !found, "%llu spans in slots that nobody ticks", found);
}

/* Nothing is handed out of slots while they are closed. */
static void close_slots(struct gca_core *core, bool closed)
{
	u32 i;

	for (i = 0; i < core->nr_slots; i++) {
		struct gca_slot *slot = core->slots[i];

		if (!slot)
			continue;
		gca_lock(&slot->lock);
		slot->closed = closed;
		gca_unlock(&slot->lock);
	}
}

/* The counters that follow from the structures. */
#define COUNTER(name)	{ #name, offsetof(struct gcarena_counters, name) }

static const struct {
	const char *name;
	size_t offset;
} followers[] = {
	COUNTER(heap_sys),
	COUNTER(heap_inuse),
	COUNTER(heap_idle),
	COUNTER(heap_released),
	COUNTER(heap_manual),
	COUNTER(spans_inuse),
	COUNTER(spans_held),
	COUNTER(chunks_backed),
	COUNTER(chunks_small),
	COUNTER(chunks_idle),
	COUNTER(heap_ready),
	COUNTER(spans_ready),
	COUNTER(chunks_withheld),
	COUNTER(heap_holes),
};

static u64 counter_at(const struct gcarena_counters *counters, size_t offset)
{
	return *(const u64 *)((const char *)counters + offset);
}

static void check_counters(struct check *check)
{
	const struct gca_core *core = check->core;
	const struct gcarena_counters *have = &core->counters;
	size_t i;

	for (i = 0; i < sizeof(followers) / sizeof(*followers); i++) {
		u64 seen = counter_at(&check->seen, followers[i].offset);
		u64 counted = counter_at(have, followers[i].offset);

		CHECK(check, seen == counted, "%s is %llu, counted %llu", followers[i].name,
		      seen, counted);
	}
	CHECK(check, have->heap_sys == have->heap_inuse + have->heap_idle,
	      "heap_sys %llu != heap_inuse %llu + heap_idle %llu", have->heap_sys,
	      have->heap_inuse, have->heap_idle);
	CHECK(check, have->refill_spans ==
	      have->refill_central + have->refill_fresh + have->refill_ready,
	      "refill_spans %llu != refill_central %llu + refill_fresh %llu + refill_ready %llu",
	      have->refill_spans, have->refill_central, have->refill_fresh, have->refill_ready);
	CHECK(check, core->nr_sweeping == check->sweeping && core->nr_returning <= check->sweeping,
	      "%u spans being swept, counted %u", check->sweeping, core->nr_sweeping);
	CHECK(check, !core->putting && !core->put_later, "a chunk was left where pages are put");
	CHECK(check, !check->busy || check->transit, "%u spans busy, and no chunk in transit",
	      check->busy);
	CHECK(check, core->nr_transit >= check->transit, "%u chunks in transit, counted %u",
	      check->transit, core->nr_transit);
}

/**
 * gca_core_validate - check everything the core believes
 * @core: the arena
 *
 * Return: 0, or -EUCLEAN after a complaint for each thing that is wrong.
 */
int gca_core_validate(struct gca_core *core)
{
	struct check check = { .core = core };

	gca_lock(&core->lock);
	close_slots(core, true);
	gca_slots_fold(core);
	check_chunks(&check);
	check_buckets(&check);
	check_central(&check);
	check_reserve(&check);
	check_slots(&check);
	check_counters(&check);
	close_slots(core, false);
	gca_unlock(&core->lock);
	return check.wrong ? -EUCLEAN : 0;
}
