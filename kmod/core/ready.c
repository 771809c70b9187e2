// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Slots: caches of ready spans, so that a refill need not meet anybody else's.
 *
 * A host that has some number of places where refills come from (the kernel: its
 * CPUs) gives each a slot.  A ready span is one that could be handed out at once:
 * swept, of the current generation, with room, or of fresh pages with its rows
 * and lines written.  It is in state READY, in use, and in no list but its slot's.
 *
 * Spans come into a slot, and leave it unused, under the core lock and inside it
 * the slot's.  They are handed out under the slot's lock alone, which therefore
 * also protects the change of state from READY to HELD.  What handing out changes
 * of the core's counters the slot keeps for itself until somebody who has the core
 * lock adds it up (fold()).  Until then spans_held is too small and what counts
 * ready spans too large; their sum is right.
 *
 * A flip drains all slots before it changes the generation, so a ready span is
 * always of the current one.  Nothing here allocates with a lock held.
 */
#include "core_internal.h"

static size_t slot_size(const struct gca_core *core)
{
	return sizeof(struct gca_slot) + core->nr_classes * sizeof(struct gca_slot_class);
}

static size_t slots_size(const struct gca_core *core)
{
	return core->nr_slots * sizeof(*core->slots);
}

/**
 * gca_core_slot_lock_init - initialise a slot's lock
 * @lock: of a slot, or one to tell the host's lock checker about them
 */
void gca_core_slot_lock_init(gca_lock_t *lock)
{
	gca_lock_init(lock);
}

/**
 * gca_core_slots - give an arena slots
 * @core: the arena, which nobody uses yet
 * @nr: how many; those that are never used cost a pointer
 * @bytes: of ready spans in one of them, at most
 *
 * Return: 0 or -ENOMEM.
 */
int gca_core_slots(struct gca_core *core, u32 nr, u64 bytes)
{
	core->nr_slots = nr;
	core->slot_bytes = bytes;
	core->slots = core->ops->meta_alloc(core->host, slots_size(core));
	if (!core->slots) {
		core->nr_slots = 0;
		return -ENOMEM;
	}
	core->counters.meta_sys += slots_size(core);
	return 0;
}

/**
 * gca_slots_free - free all slots, when nobody uses the core any more
 * @core: the arena
 */
void gca_slots_free(struct gca_core *core)
{
	u32 i;

	for (i = 0; i < core->nr_slots; i++)
		if (core->slots[i])
			core->ops->meta_free(core->host, core->slots[i], slot_size(core));
	if (core->slots)
		core->ops->meta_free(core->host, core->slots, slots_size(core));
}

/* A slot's index may be a moment old: any will do, as each has its lock. */
static struct gca_slot *slot_at(struct gca_core *core, u32 index)
{
	/* Pairs with the release in gca_slot_prepare(). */
	return index < core->nr_slots ? smp_load_acquire(&core->slots[index]) : NULL;
}

/**
 * gca_slot_prepare - have a slot's memory if it is going to be used
 * @core: the arena, no lock held
 * @index: of the slot, or GCA_SLOT_NONE
 *
 * An arena that is hardly used has none.  Without memory it has none, either.
 */
void gca_slot_prepare(struct gca_core *core, u32 index)
{
	struct gca_slot *slot;
	u32 i;

	if (index >= core->nr_slots || !core->slot_bytes || slot_at(core, index) ||
	    READ_ONCE(core->counters.refill_calls) < GCA_STOCK_AFTER)
		return;
	slot = core->ops->meta_alloc(core->host, slot_size(core));
	if (!slot)
		return;
	gca_core_slot_lock_init(&slot->lock);
	slot->node = GCA_NODE_ANY;
	for (i = 0; i < GCA_SLOT_SPANS; i++) {
		slot->ready[i].next = slot->unused;
		slot->unused = &slot->ready[i];
	}

	gca_lock(&core->lock);
	if (!core->slots[index]) {
		core->counters.meta_sys += slot_size(core);
		/* Pairs with the acquire in slot_at(). */
		smp_store_release(&core->slots[index], slot);
		slot = NULL;
	}
	gca_unlock(&core->lock);
	if (slot)
		core->ops->meta_free(core->host, slot, slot_size(core));
}

/* Hand out @nr spans of a class that has so many.  The slot's lock is held. */
static void take(struct gca_slot *slot, struct gca_slot_class *cls, u32 nr,
		 struct gcarena_span *spans)
{
	struct gca_ready *first = cls->head;
	struct gca_ready *ready = first;
	struct gca_ready *last = first;
	u32 bytes;
	u32 i;

	for (i = 0; i < nr; i++) {
		WRITE_ONCE(*ready->word1, ready->held);
		/* Pairs with the acquire in gca_span_give_back(): whoever finds
		 * it held writes to its row after this.
		 */
		smp_store_release(&ready->record->state, GCARENA_STATE_HELD);
		spans[i] = ready->span;
		last = ready;
		ready = ready->next;
	}
	bytes = gca_page_bytes(spans->npages) * nr;
	last->next = slot->unused;
	slot->unused = first;
	cls->head = ready;
	cls->nr -= nr;
	slot->nr -= nr;
	slot->bytes -= bytes;
	slot->taken += nr;
	slot->taken_bytes += bytes;
}

static void note(struct gca_slot_class *cls, u32 nr)
{
	cls->refills++;
	cls->demand += nr;
}

/**
 * gca_core_refill_ready - hand out spans that lie ready, without the core lock
 * @core: the arena
 * @index: of the slot; GCA_SLOT_NONE has none
 * @span_class: any value
 * @nr: how many, at least 1
 * @spans: room for them
 *
 * Return: true with all of them, or false and nothing done: then it is
 * gca_core_refill_slot() that helps.
 */
bool gca_core_refill_ready(struct gca_core *core, u32 index, u16 span_class, u32 nr,
			   struct gcarena_span *spans)
{
	struct gca_slot *slot = slot_at(core, index);
	struct gca_slot_class *cls;
	bool hit;

	if (!slot || span_class >= core->nr_classes)
		return false;
	cls = &slot->classes[gca_nospec(span_class, core->nr_classes)];
	gca_lock(&slot->lock);
	hit = cls->nr >= nr && !slot->closed;
	if (hit) {
		note(cls, nr);
		slot->hits++;
		take(slot, cls, nr, spans);
	}
	gca_unlock(&slot->lock);
	return hit;
}

/* Have the core's counters know what was handed out.  Both locks are held. */
static void fold(struct gca_core *core, struct gca_slot *slot)
{
	struct gcarena_counters *counters = &core->counters;

	counters->spans_held += slot->taken;
	counters->spans_ready -= slot->taken;
	counters->heap_ready -= slot->taken_bytes;
	counters->refill_spans += slot->taken;
	counters->refill_ready += slot->taken;
	counters->refill_calls += slot->hits;
	counters->refill_hits += slot->hits;
	slot->taken = 0;
	slot->taken_bytes = 0;
	slot->hits = 0;
}

/**
 * gca_slots_fold - bring the counters up to date
 * @core: the arena, lock held
 */
void gca_slots_fold(struct gca_core *core)
{
	u32 i;

	for (i = 0; i < core->nr_slots; i++) {
		struct gca_slot *slot = core->slots[i];

		if (!slot)
			continue;
		gca_lock(&slot->lock);
		fold(core, slot);
		gca_unlock(&slot->lock);
	}
}

/**
 * gca_slot_take - the part of a refill that a slot can give
 * @core: the arena, lock held
 * @index: of the slot, or GCA_SLOT_NONE
 * @span_class: of which class
 * @nr: how many are wanted
 * @node: that the refill prefers: so is what is stocked next
 * @spans: room for them
 *
 * Return: how many there were.
 */
u32 gca_slot_take(struct gca_core *core, u32 index, u16 span_class, u32 nr, int node,
		  struct gcarena_span *spans)
{
	struct gca_slot *slot = slot_at(core, index);
	struct gca_slot_class *cls;

	if (!slot)
		return 0;
	cls = &slot->classes[span_class];
	gca_lock(&slot->lock);
	slot->node = node;
	note(cls, nr);
	nr = min_t(u32, nr, cls->nr);
	if (nr)
		take(slot, cls, nr, spans);
	fold(core, slot);
	gca_unlock(&slot->lock);
	return nr;
}

/*
 * Make a span ready that nobody else can reach: just popped from its list, or of
 * fresh pages.  Both locks are held and the slot has room.
 */
static void put(struct gca_core *core, struct gca_slot *slot, u32 page, bool fresh)
{
	struct gca_record *record = gca_record_at(core, page);
	struct gca_slot_class *cls = &slot->classes[record->span_class];
	u32 bytes = gca_page_bytes(record->npages);
	struct gca_ready *ready = slot->unused;

	record->generation = core->generation;
	record->state = GCARENA_STATE_READY;
	gca_row_update(core, page);

	ready->span.page = page;
	ready->span.npages = record->npages;
	ready->span.span_class = record->span_class;
	ready->span.generation = record->generation;
	ready->span.flags = gca_pages_use(core, page, record->npages);
	if (!fresh)
		ready->span.flags |= GCARENA_SPAN_NEEDS_ZERO;
	ready->record = record;
	ready->word1 = &gca_host_row(core->host, page)->word1;
	ready->held = (*ready->word1 & ~(u64)GCARENA_ROW_STATE_MASK) | GCARENA_STATE_HELD;
	ready->fresh = fresh;

	slot->unused = ready->next;
	ready->next = cls->head;
	cls->head = ready;
	cls->nr++;
	slot->nr++;
	slot->bytes += bytes;
	core->counters.spans_ready++;
	core->counters.heap_ready += bytes;
	if (!core->stocked) {
		core->stocked = true;
		if (core->ops->slots_stocked)
			core->ops->slots_stocked(core->host);
	}
}

/* Back to where they came from.  Both locks are held. */
static void drain_class(struct gca_core *core, struct gca_slot *slot, struct gca_slot_class *cls)
{
	while (cls->nr) {
		struct gca_ready *ready = cls->head;
		struct gca_record *record = ready->record;
		u32 page = ready->span.page;
		u32 npages = ready->span.npages;
		u64 bytes = gca_page_bytes(npages);

		GCA_ASSERT(record->state == GCARENA_STATE_READY);
		cls->head = ready->next;
		ready->next = slot->unused;
		slot->unused = ready;
		cls->nr--;
		slot->nr--;
		slot->bytes -= bytes;
		core->counters.spans_ready--;
		core->counters.heap_ready -= bytes;
		core->counters.ready_drained++;
		if (ready->fresh) {
			/* Nobody had them: what was zero still is. */
			if (!(ready->span.flags & GCARENA_SPAN_NEEDS_ZERO))
				gca_pages_unuse(core, page, npages);
			gca_rows_clear(core, page, npages);
			record->state = GCARENA_STATE_FREE;
			core->counters.spans_inuse--;
			gca_pages_put(core, page, npages);
		} else {
			record->state = GCARENA_STATE_SWEPT;
			gca_central_push(core, page, false);
			gca_row_update(core, page);
		}
	}
}

static void drain_slot(struct gca_core *core, struct gca_slot *slot)
{
	u32 i;

	fold(core, slot);
	for (i = 0; slot->nr && i < core->nr_classes; i++)
		drain_class(core, slot, &slot->classes[i]);
}

/* Tell the host if no slot has anything any more. */
static void check_empty(struct gca_core *core)
{
	if (!core->stocked || core->counters.spans_ready)
		return;
	core->stocked = false;
	if (core->ops->slots_empty)
		core->ops->slots_empty(core->host);
}

/**
 * gca_slots_drain - take all ready spans back
 * @core: the arena, lock held
 *
 * Return: how many there were.
 */
u64 gca_slots_drain(struct gca_core *core)
{
	u64 before = core->counters.ready_drained;
	u32 i;

	for (i = 0; core->stocked && i < core->nr_slots; i++) {
		struct gca_slot *slot = core->slots[i];

		if (!slot)
			continue;
		gca_lock(&slot->lock);
		drain_slot(core, slot);
		gca_unlock(&slot->lock);
	}
	check_empty(core);
	return core->counters.ready_drained - before;
}

/**
 * gca_core_drain - take all ready spans back
 * @core: the arena
 */
void gca_core_drain(struct gca_core *core)
{
	gca_lock(&core->lock);
	gca_slots_drain(core);
	gca_publish(core);
	gca_unlock(&core->lock);
}

/**
 * gca_core_drain_slot - a slot is not going to be used for a while
 * @core: the arena
 * @index: of the slot
 */
void gca_core_drain_slot(struct gca_core *core, u32 index)
{
	struct gca_slot *slot = slot_at(core, index);

	if (!slot)
		return;
	gca_lock(&core->lock);
	gca_lock(&slot->lock);
	drain_slot(core, slot);
	gca_unlock(&slot->lock);
	check_empty(core);
	gca_publish(core);
	gca_unlock(&core->lock);
}

/**
 * gca_core_shrink_slots - reclaim wants what lies ready
 * @core: the arena
 *
 * Never waits.  Chunks that come wholly free are told by chunk_idle().  No slot
 * is filled again for a while.
 *
 * Return: true if none has anything any more; false if it has been busy.
 */
bool gca_core_shrink_slots(struct gca_core *core)
{
	bool empty;
	u32 i;

	if (!gca_trylock(&core->lock))
		return false;
	core->stock_rest = GCA_STOCK_REST;
	for (i = 0; i < core->nr_slots; i++) {
		struct gca_slot *slot = core->slots[i];

		if (slot && gca_trylock(&slot->lock)) {
			drain_slot(core, slot);
			gca_unlock(&slot->lock);
		}
	}
	check_empty(core);
	empty = !core->stocked;
	gca_publish(core);
	gca_unlock(&core->lock);
	return empty;
}

/* How many spans of a class a slot should get now.  Both locks are held. */
static u32 lacks(struct gca_core *core, struct gca_slot *slot, u32 span_class)
{
	const struct gca_slot_class *cls = &slot->classes[span_class];
	u64 span_bytes = gca_page_bytes(core->classes[span_class].npages);
	u64 arena_bytes = max(core->counters.heap_inuse / GCA_READY_SHARE,
			      (u64)GCA_READY_BYTES_MIN);
	u64 bytes = core->slot_bytes;
	u32 want = min(cls->demand, GCA_STOCK_MAX);

	if (cls->refills + cls->refills_before < GCA_STOCK_AFTER || cls->nr >= want)
		return 0;
	bytes -= min(bytes, slot->bytes);
	arena_bytes -= min(arena_bytes, core->counters.heap_ready);
	bytes = min(bytes, arena_bytes);
	want = min_t(u32, want - cls->nr, GCA_SLOT_SPANS - slot->nr);
	return min_t(u64, want, bytes / span_bytes);
}

/* Ready spans from the central list.  Both locks are held. */
static u32 stock_swept(struct gca_core *core, struct gca_slot *slot, u16 span_class, u32 nr)
{
	u32 done;

	for (done = 0; done < nr; done++) {
		/* Filling holes takes memory, and drops the lock. */
		u32 page = gca_central_pop_partial(core, span_class, slot->node, true);

		if (page == GCA_NONE)
			break;
		put(core, slot, page, false);
	}
	return done;
}

/*
 * Ready spans of pages that are backed, beside others in use: nothing is waited
 * or paid for, and no idle chunk is broken into.  The core lock is dropped.
 */
static void stock_fresh(struct gca_core *core, struct gca_slot *slot, u16 span_class, u32 nr)
	__must_hold(&core->lock)
{
	u32 npages = core->classes[span_class].npages;
	u32 pages[GCA_STOCK_MAX];
	u32 taken = 0;
	u32 i;

	nr = gca_span_afford(core, npages, nr);
	while (taken < nr) {
		pages[taken] = gca_pages_take_backed(core, npages, slot->node);
		if (pages[taken] == GCA_NONE)
			break;
		taken++;
		taken += gca_pages_take_more(core, pages[taken - 1], npages, &pages[taken],
					     nr - taken);
	}
	for (i = 0; i < taken; i++)
		gca_span_make(core, pages[i], npages, span_class);
	if (!taken)
		return;
	gca_unlock(&core->lock);
	for (i = 0; i < taken; i++)
		gca_span_write(core, pages[i], npages, span_class);
	gca_lock(&core->lock);

	gca_lock(&slot->lock);
	for (i = 0; i < taken; i++) {
		if (slot->unused) {
			put(core, slot, pages[i], true);
			continue;
		}
		/* Somebody else stocked it meanwhile. */
		gca_rows_clear(core, pages[i], npages);
		gca_record_at(core, pages[i])->state = GCARENA_STATE_FREE;
		core->counters.spans_inuse--;
		gca_pages_put(core, pages[i], npages);
	}
	gca_unlock(&slot->lock);
}

/**
 * gca_slot_stock - after a miss: have the next refills find what they want
 * @core: the arena, lock held; dropped meanwhile
 * @index: of the slot, or GCA_SLOT_NONE
 * @span_class: of which class
 *
 * As many as were wanted of the class lately.  Fresh pages are only taken when
 * there is nothing to sweep, as garbage goes before growth.
 */
void gca_slot_stock(struct gca_core *core, u32 index, u16 span_class)
{
	struct gca_slot *slot = slot_at(core, index);
	u32 nr;

	if (!slot)
		return;
	if (core->stock_rest) {
		core->stock_rest--;
		return;
	}
	gca_lock(&slot->lock);
	nr = lacks(core, slot, span_class);
	if (nr)
		nr -= stock_swept(core, slot, span_class, nr);
	gca_unlock(&slot->lock);
	if (nr && gca_central_unswept_class(core, 0) == GCA_NONE)
		stock_fresh(core, slot, span_class, nr);
}

/**
 * gca_slots_stock_ahead - the worker's part: sweep what slots are going to want
 * @core: the arena, lock held; dropped meanwhile
 *
 * One slot at a time, each once after a flip has drained them all.
 *
 * Return: true if there may be another slot to look at.
 */
bool gca_slots_stock_ahead(struct gca_core *core)
{
	u32 left = GCA_WORK_SPANS;
	struct gca_slot *slot;
	u32 i;

	if (core->stock_next >= core->nr_slots)
		return false;
	slot = core->slots[core->stock_next++];
	for (i = 0; slot && left && i < core->nr_classes; i++) {
		u32 nr;

		do {
			gca_lock(&slot->lock);
			nr = lacks(core, slot, i);
			if (nr)
				nr -= stock_swept(core, slot, i, nr);
			gca_unlock(&slot->lock);
		} while (nr && left-- && gca_sweep_one(core, i, false));
	}
	return true;
}

/**
 * gca_core_tick - some time has passed
 * @core: the arena
 *
 * What was not refilled from a slot since the last tick leaves it.
 *
 * Return: true while any slot has ready spans, and so another tick is wanted.
 */
bool gca_core_tick(struct gca_core *core)
{
	bool more;
	u32 i, k;

	gca_lock(&core->lock);
	for (i = 0; i < core->nr_slots; i++) {
		struct gca_slot *slot = core->slots[i];

		if (!slot)
			continue;
		gca_lock(&slot->lock);
		fold(core, slot);
		for (k = 0; k < core->nr_classes; k++) {
			struct gca_slot_class *cls = &slot->classes[k];

			if (!cls->refills)
				drain_class(core, slot, cls);
			cls->demand = cls->refills ? min_t(u32, cls->demand, GCA_STOCK_MAX) / 2 : 0;
			cls->refills_before = cls->refills;
			cls->refills = 0;
		}
		gca_unlock(&slot->lock);
		/* Other refills want the lock, too. */
		gca_unlock(&core->lock);
		gca_relax();
		gca_lock(&core->lock);
	}
	core->stock_rest = 0;
	check_empty(core);
	more = core->stocked;
	gca_publish(core);
	gca_unlock(&core->lock);
	return more;
}

/**
 * gca_core_next_ready - walk over what lies ready
 * @core: the arena
 * @at: slot and class to begin at
 *
 * Return: true and @at filled with the first class of a slot, at or after, that is
 * wanted there or has spans; or false.
 */
bool gca_core_next_ready(struct gca_core *core, struct gca_ready_info *at)
{
	bool found = false;

	for (; at->slot < core->nr_slots; at->slot++, at->span_class = 0) {
		struct gca_slot *slot = slot_at(core, at->slot);

		if (!slot)
			continue;
		gca_lock(&slot->lock);
		for (; !found && at->span_class < core->nr_classes; at->span_class++) {
			const struct gca_slot_class *cls = &slot->classes[at->span_class];

			if (!cls->nr && !cls->demand)
				continue;
			found = true;
			at->spans = cls->nr;
			at->bytes = cls->nr * gca_page_bytes(core->classes[at->span_class].npages);
			at->demand = min_t(u32, cls->demand, GCA_STOCK_MAX);
			at->refills = cls->refills;
			break;
		}
		gca_unlock(&slot->lock);
		if (found)
			return true;
	}
	return false;
}
