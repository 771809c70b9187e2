// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Central lists: for each span class the spans nobody holds, by whether they
 * have room and by whether they have been swept.
 *
 * Four stacks a class, only pushed and popped.  The parity of the generation
 * says which two are swept; the flip makes them unswept without touching them,
 * which is right because a flip waits for the sweep before it, so the other
 * two are empty then.  A span of which a part is being released stays where it is and
 * is passed over.  Under the core lock throughout.
 */
#include "core_internal.h"

static unsigned int swept(struct gca_core *core)
{
	return core->generation & 1;
}

/* What leads to the first span that may be taken, if @whole to one without holes. */
static u32 *takeable(struct gca_core *core, u32 *link, bool whole)
{
	u32 look = GCA_WHOLE_SPANS;

	while (*link != GCA_NONE) {
		struct gca_record *record = gca_record_at(core, *link);

		GCA_ASSERT(record->state == GCARENA_STATE_SWEPT);
		if (!record->busy) {
			if (!whole || !gca_span_holed(core, *link))
				return link;
			if (!--look)
				return NULL;
		}
		link = &record->next;
	}
	return NULL;
}

/* What whoever takes the next span of a list is going to touch: where nothing of it is in a
 * cache, sweeping a span is waiting for these four.
 */
static void ask_for(struct gca_core *core, u32 page)
{
	if (page == GCA_NONE)
		return;
	gca_prefetch(gca_record_at(core, page));
	gca_prefetch(gca_host_line(core->host, 0, page));
	gca_prefetch(gca_host_line(core->host, 1, page));
	gca_prefetch(gca_host_row(core->host, page));
}

static u32 pop(struct gca_core *core, u16 span_class, unsigned int parity, u32 *head, bool whole)
{
	struct gca_class *cls = &core->classes[span_class];
	struct gca_record *record;
	u32 *link;
	u32 page;

	gca_lock_assert_held(&core->lock);
	page = *head;
	if (page == GCA_NONE)
		return GCA_NONE;
	link = head;
	record = gca_record_at(core, page);
	if (whole || unlikely(record->busy)) {
		link = takeable(core, head, whole);
		if (!link)
			return GCA_NONE;
		page = *link;
		record = gca_record_at(core, page);
	}
	GCA_ASSERT(record->state == GCARENA_STATE_SWEPT);
	*link = record->next;
	ask_for(core, record->next);
	record->next = GCA_NONE;
	core->nr_listed--;
	if (cls->partial[parity] == GCA_NONE && cls->full[parity] == GCA_NONE)
		gca_map_clear(core->class_map[parity], span_class, 1);
	return page;
}

/**
 * gca_central_push - put a swept span on its class's list
 * @core: the arena, lock held
 * @page: its first page; in state SWEPT, of the current generation
 * @full: without room for another object
 */
void gca_central_push(struct gca_core *core, u32 page, bool full)
{
	struct gca_record *record = gca_record_at(core, page);
	struct gca_class *cls = &core->classes[record->span_class];
	unsigned int parity = swept(core);
	u32 *head = full ? &cls->full[parity] : &cls->partial[parity];

	gca_lock_assert_held(&core->lock);
	GCA_ASSERT(record->generation == core->generation);
	record->full = full;
	record->next = *head;
	*head = page;
	core->nr_listed++;
	gca_map_set(core->class_map[parity], record->span_class, 1);
}

/* The first span of a list on @node, among a few, moved to its head; if there is one. */
static void node_first(struct gca_core *core, u32 *head, int node)
{
	u32 look = GCA_NODE_SPANS;
	struct gca_record *before = NULL;
	u32 page = *head;

	while (page != GCA_NONE && look--) {
		struct gca_record *record = gca_record_at(core, page);

		if (gca_chunk_at(core, gca_page_chunk(page))->node == node) {
			if (before) {
				before->next = record->next;
				record->next = *head;
				*head = page;
			}
			return;
		}
		before = record;
		page = record->next;
	}
}

/**
 * gca_central_pop_partial - take a swept span that has room
 * @core: the arena, lock held
 * @span_class: of which class
 * @node: preferred, or GCA_NODE_ANY
 * @whole: leave those with holes; few are looked at
 *
 * Return: its first page or GCA_NONE.
 */
u32 gca_central_pop_partial(struct gca_core *core, u16 span_class, int node, bool whole)
{
	u32 *head = &core->classes[span_class].partial[swept(core)];

	if (node != GCA_NODE_ANY)
		node_first(core, head, node);
	return pop(core, span_class, swept(core), head, whole);
}

/**
 * gca_central_pop_unswept - take a span to sweep
 * @core: the arena, lock held
 * @span_class: of which class
 *
 * Those that had room come first, as they are likelier to have some again.
 *
 * Return: its first page or GCA_NONE.
 */
u32 gca_central_pop_unswept(struct gca_core *core, u16 span_class)
{
	struct gca_class *cls = &core->classes[span_class];
	unsigned int parity = !swept(core);
	u32 page = GCA_NONE;

	if (cls->partial[parity] != GCA_NONE)
		page = pop(core, span_class, parity, &cls->partial[parity], false);
	if (page == GCA_NONE && cls->full[parity] != GCA_NONE)
		page = pop(core, span_class, parity, &cls->full[parity], false);
	return page;
}

/**
 * gca_central_unswept_class - find a class that has spans to sweep
 * @core: the arena, lock held
 * @from: the first class to look at
 *
 * Return: the class or GCA_NONE.
 */
u32 gca_central_unswept_class(struct gca_core *core, u32 from)
{
	u32 cls = gca_map_next(core->class_map[!swept(core)], core->nr_classes, from);

	return cls < core->nr_classes ? cls : GCA_NONE;
}
