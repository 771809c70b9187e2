// SPDX-License-Identifier: MIT
/*
 * Verify: the cycle's work done again in another way, and every table read as a
 * stranger would read it.
 *
 * Before marking: each row of the span table belongs to a consistent span, the
 * spans add up to what the backend counts, alloc bits stand where objects can
 * begin, mark bits are clear.  After marking: a trace from the same roots, with a
 * bitmap and a stack of its own, finds exactly the marked objects; each precise
 * slot holds the address of an object.  After the flip: the alloc bits are what
 * the trace found, and as many as were counted.
 *
 * Looks objects up by division, not by the marker's reciprocals, and shares with
 * it only the row accessor and the enumeration of roots and slots.  The world is
 * stopped throughout; the backend may sweep beside verify_flipped(), which hence
 * reads only what a sweep leaves alone.  Silent when all is right.
 */
#include "internal.h"

#include <stdlib.h>
#include <stdio.h>

#define REPORTS_MAX	8	/* a check: what follows says nothing new */
#define TABLE_TRIES	3	/* reads of the counters against a changing heap */
#define TINY_BLOCK	32	/* bytes: tiny objects share slots no larger */
#define STACK_MIN	(64 * KIB / sizeof(uint64_t))

struct verify {
	struct gca_visitor visitor;
	struct gca_heap *heap;
	uint64_t *visited;	/* a bit a granule */
	size_t visited_bytes;
	uint64_t *stack;	/* granules of objects to scan */
	size_t top;
	size_t room;
	bool traced;		/* visited holds a whole trace */
	bool exact;		/* the marker saw exactly the same roots */
	const struct object *from; /* being scanned; NULL: roots */
	size_t reports;
};

#define report(verify, ...) do {					\
	if ((verify)->reports++ < REPORTS_MAX)				\
		gca_report((verify)->heap, __VA_ARGS__);		\
} while (0)

/* -------------------------------------------------------------- open, close */

static struct verify *verify_of(struct gca_heap *heap)
{
	struct verify *verify = heap->verify;

	if (verify)
		return verify;
	verify = table_map(sizeof(*verify));
	if (!verify)
		return NULL;
	verify->heap = heap;
	verify->visited_bytes = heap->size >> GCARENA_GRANULE_SHIFT >> 3;
	verify->visited = table_map(verify->visited_bytes);
	verify->room = STACK_MIN;
	verify->stack = table_map(verify->room * sizeof(*verify->stack));
	heap->verify = verify;
	if (verify->visited && verify->stack)
		return verify;
	verify_close(heap);
	return NULL;
}

/**
 * verify_close - the heap is going
 * @heap: the heap, no mutator attached
 */
void verify_close(struct gca_heap *heap)
{
	struct verify *verify = heap->verify;

	if (!verify)
		return;
	table_unmap(verify->visited, verify->visited_bytes);
	table_unmap(verify->stack, verify->room * sizeof(*verify->stack));
	table_unmap(verify, sizeof(*verify));
	heap->verify = NULL;
}

/* -------------------------------------------------------------------- names */

/* "slot +16 of object 0x... (node)", or what else led here. */
static const char *whence(const struct verify *verify, const void *slot, char *text, size_t room)
{
	const struct object *from = verify->from;

	if (from && slot)
		snprintf(text, room, "slot +%zu of object %p (%s)",
			 (size_t)((uintptr_t)slot - from->base), (void *)from->base,
			 object_kind_name(verify->heap, from));
	else if (from)
		snprintf(text, room, "object %p (%s)", (void *)from->base,
			 object_kind_name(verify->heap, from));
	else if (slot)
		snprintf(text, room, "root slot %p", slot);
	else
		snprintf(text, room, "a root callback");
	return text;
}

/* -------------------------------------------------------------------- trace */

static bool push(struct verify *verify, uint64_t granule)
{
	if (verify->top == verify->room) {
		size_t bytes = verify->room * sizeof(*verify->stack);
		uint64_t *larger = table_map(2 * bytes);

		if (!larger)
			return false;
		memcpy(larger, verify->stack, bytes);
		table_unmap(verify->stack, bytes);
		verify->stack = larger;
		verify->room *= 2;
	}
	verify->stack[verify->top++] = granule;
	return true;
}

static void visit(struct verify *verify, const struct object *object)
{
	uint64_t *word = &verify->visited[object->granule >> 6];
	uint64_t bit = 1ULL << (object->granule & 63);

	if (*word & bit)
		return;
	*word |= bit;
	if (!push(verify, object->granule)) {
		/* Half a trace proves nothing. */
		verify->traced = false;
		verify->top = 0;
	}
}

/*
 * The object at @address by what the table says, every field looked at: NULL and
 * @object filled, or what is wrong.
 */
static const char *lookup(const struct gca_heap *heap, uintptr_t address, struct object *object)
{
	uint32_t page = (uint32_t)((address - heap->base) >> GCARENA_PAGE_SHIFT);
	const struct span_class *class;
	uint64_t row, first_row;
	uint32_t offset, first, npages, state;

	if (!heap_has(heap, address))
		return "is not in the heap";
	row = row_word0(heap, page);
	if (!(row & GCARENA_ROW_IN_USE))
		return "is in a page whose row says it is not in use";
	object->span_class = (uint32_t)(row >> GCARENA_ROW_CLASS_SHIFT) & 0xffff;
	if (object->span_class >= nr_span_classes)
		return "is in a page whose row names an unknown class";
	class = &span_classes[object->span_class];
	if (object->span_class == CLASS_MANUAL)
		return "is in a manual span";
	if (!(row & GCARENA_ROW_LARGE) == !class->elem)
		return "is in a page whose row's large flag and class disagree";
	offset = (uint32_t)(row >> GCARENA_ROW_OFFSET_SHIFT) & 0xffff;
	first = offset == GCARENA_ROW_OFFSET_ESCAPE ? (uint32_t)row_word1(heap, page) :
		page - offset;
	if (first > page)
		return "is in a page whose row leads to no first page";
	first_row = row_word0(heap, first);
	if (first_row != (row & ~(0xffffULL << GCARENA_ROW_OFFSET_SHIFT)))
		return "is in a page whose row disagrees with its span's first row";
	state = row_word1(heap, first) & GCARENA_ROW_STATE_MASK;
	if (state < GCARENA_STATE_READY || state > GCARENA_STATE_SWEEPING)
		return "is in a span whose state can hold no object";
	npages = (uint32_t)(row_word1(heap, first) >> GCARENA_ROW_NPAGES_SHIFT &
			    GCARENA_ROW_NPAGES_MASK);
	if (page - first >= npages || (class->elem && npages != class->npages))
		return "is in a span whose length does not cover it";
	object->base = heap->base + ((uintptr_t)first << GCARENA_PAGE_SHIFT);
	if (class->elem) {
		uintptr_t index = (address - object->base) / class->elem;

		if (index >= class->objects)
			return "is behind the last slot of its span";
		object->base += index * class->elem;
		object->size = class->elem;
	} else {
		object->size = (size_t)npages << GCARENA_PAGE_SHIFT;
	}
	object->granule = granule_of(heap, object->base);
	return NULL;
}

/* A tiny object is a part of an object without pointers. */
static bool may_be_inside(const struct object *object)
{
	return object->span_class != CLASS_LARGE_NOSCAN && object->size <= TINY_BLOCK &&
	       span_classes[object->span_class].flavour == GCA_FLAVOUR_NOSCAN;
}

static void check_mark(struct verify *verify, const struct object *object, const void *slot)
{
	struct gca_heap *heap = verify->heap;
	char from[160];

	if (bit_test(mark_bitmap(heap), object->granule)) {
		visit(verify, object);
		return;
	}
	report(verify, "verify: object %p (%s, %zu bytes), reached from %s, is not marked",
	       (void *)object->base, object_kind_name(heap, object), object->size,
	       whence(verify, slot, from, sizeof(from)));
}

static void check_precise(struct verify *verify, const void *slot, uintptr_t value)
{
	struct gca_heap *heap = verify->heap;
	struct object object;
	const char *wrong;
	char from[160];

	if (!value)
		return;
	wrong = lookup(heap, value, &object);
	if (!wrong && object.base != value && !may_be_inside(&object))
		wrong = "is inside an object, not its beginning";
	if (!wrong && !bit_test(alloc_bitmap(heap), object.granule))
		wrong = "is a slot whose alloc bit is clear";
	if (wrong)
		report(verify, "verify: %p, reached from %s, %s", (void *)value,
		       whence(verify, slot, from, sizeof(from)), wrong);
	else
		check_mark(verify, &object, slot);
}

static void see_slots(struct gca_visitor *visitor, void *const *slots, size_t count)
{
	struct verify *verify = container_of(visitor, struct verify, visitor);

	for (size_t i = 0; i < count; i++)
		check_precise(verify, &slots[i],
			      (uintptr_t)__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
}

static void see_value(struct gca_visitor *visitor, const void *object)
{
	check_precise(container_of(visitor, struct verify, visitor), NULL, (uintptr_t)object);
}

/* Any word; most are no pointers, and what is wrong with those is nothing. */
GCA_NO_ASAN GCA_NO_TSAN
static void see_words(struct gca_visitor *visitor, uintptr_t low, uintptr_t high)
{
	struct verify *verify = container_of(visitor, struct verify, visitor);
	struct gca_heap *heap = verify->heap;
	struct object object;

	for (uintptr_t at = align_up(low, sizeof(uintptr_t)); at + sizeof(uintptr_t) <= high;
	     at += sizeof(uintptr_t)) {
		uintptr_t value = *(const uintptr_t *)at;

		if (!heap_has(heap, value) || lookup(heap, value, &object) ||
		    !bit_test(alloc_bitmap(heap), object.granule))
			continue;
		/* A stack may show now what it did not then: a blocked thread's, or one that a
		 * callback knows of.
		 */
		if ((!verify->exact || visitor->fleeting) && !verify->from &&
		    !bit_test(mark_bitmap(heap), object.granule))
			continue;
		check_mark(verify, &object, (const void *)at);
	}
}

static bool seen(struct gca_visitor *visitor, uintptr_t object)
{
	const struct verify *verify = (const struct verify *)visitor;

	return bit_test(verify->visited, granule_of(verify->heap, object));
}

static void drain(struct verify *verify)
{
	struct gca_heap *heap = verify->heap;

	while (verify->top) {
		uint64_t granule = verify->stack[--verify->top];
		struct object object;

		/* Nothing that lookup() can refuse is pushed. */
		if (lookup(heap, heap->base + (granule << GCARENA_GRANULE_SHIFT), &object))
			continue;
		verify->from = &object;
		object_visit(heap, &object, &verify->visitor);
		verify->from = NULL;
	}
}

static void trace(struct verify *verify)
{
	struct gca_heap *heap = verify->heap;
	struct gca_mutator *mutator;

	verify->visitor = (struct gca_visitor){
		.slots = see_slots,
		.value = see_value,
		.words = see_words,
		.heap = heap,
		.low = 0,
		.high = UINTPTR_MAX,
	};
	verify->top = 0;
	verify->traced = true;
	verify->exact = true;
	/* The stack of a thread in a blocking region goes on changing above what
	 * was copied of it: the marker may have seen more there.
	 */
	if (heap->marking && heap->drifted)
		verify->exact = false;
	/* What was alive a cycle ago is taken for alive. */
	if (heap->generations.minor)
		verify->exact = false;
	/* Nor is what a mutator has let go since it is black. */
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		if (heap->marking && mutator->wakes != mutator->quiet_since)
			verify->exact = false;
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		if (__atomic_load_n(&mutator->depth, __ATOMIC_RELAXED) &&
		    !(mutator->flags & GCA_STACK_PRECISE))
			verify->exact = false;
	verify->from = NULL;
	roots_visit(heap, &verify->visitor);
	if (verify->visitor.fleeting)
		verify->exact = false;
	do {
		drain(verify);
	} while (special_visit_kept(heap, &verify->visitor, seen));
}

typedef void (*span_fn)(struct verify *verify, const struct span *span);

/* Calls @fn for each span of collected objects. */
static void with_spans(struct verify *verify, span_fn fn)
{
	struct gca_heap *heap = verify->heap;
	uint32_t end = heap_pages_used(heap);
	uint32_t page = 0;
	struct span span;

	while (page < end) {
		if (!span_at(heap, page, &span) || span.page != page || !span.npages) {
			page++;
			continue;
		}
		if (span.span_class != CLASS_MANUAL)
			fn(verify, &span);
		page += span.npages;
	}
}

static struct object object_of_bit(const struct verify *verify, const struct span *span,
				   uint64_t word, uint64_t bits)
{
	struct object object;

	object.granule = word * 64 + (unsigned int)__builtin_ctzll(bits);
	object.base = verify->heap->base + (object.granule << GCARENA_GRANULE_SHIFT);
	object.span_class = span->span_class;
	object.size = span->large ? (size_t)span->npages << GCARENA_PAGE_SHIFT :
		      span_classes[span->span_class].elem;
	return object;
}

static void compare_marks(struct verify *verify, const struct span *span)
{
	const uint64_t *alloc = alloc_bitmap(verify->heap);
	const uint64_t *mark = mark_bitmap(verify->heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;

	for (uint64_t i = first; i < first + (uint64_t)span->npages * GCARENA_LINE_WORDS; i++) {
		struct object object;
		uint64_t extra;

		extra = mark[i] & ~alloc[i];
		if (extra) {
			object = object_of_bit(verify, span, i, extra);
			report(verify, "verify: %p (%s) is marked, but its alloc bit is clear",
			       (void *)object.base, object_kind_name(verify->heap, &object));
		}
		extra = mark[i] & alloc[i] & ~verify->visited[i];
		if (extra && verify->exact) {
			object = object_of_bit(verify, span, i, extra);
			report(verify, "verify: object %p (%s) is marked, but nothing reaches it",
			       (void *)object.base, object_kind_name(verify->heap, &object));
		}
	}
}

/* ------------------------------------------------------------ seeded faults */

#ifdef GCA_TEST_FAULTS
static void clear_one_alloc(struct verify *verify, const struct span *span)
{
	uint64_t *alloc = alloc_bitmap(verify->heap);
	const uint64_t *mark = mark_bitmap(verify->heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;

	for (uint64_t i = first; i < first + (uint64_t)span->npages * GCARENA_LINE_WORDS; i++)
		for (uint64_t live = mark[i]; live; live &= live - 1)
			if (gca_fault_hit(GCA_FAULT_CLEAR_ALLOC))
				alloc[i] &= ~(live & -live);
}

static void keep_one_alloc(struct verify *verify, const struct span *span)
{
	const uint64_t *alloc = alloc_bitmap(verify->heap);
	uint64_t *mark = mark_bitmap(verify->heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;

	for (uint64_t i = first; i < first + (uint64_t)span->npages * GCARENA_LINE_WORDS; i++)
		for (uint64_t dead = alloc[i] & ~mark[i]; dead; dead &= dead - 1)
			if (gca_fault_hit(GCA_FAULT_KEEP_ALLOC))
				mark[i] |= dead & -dead;
}
#endif

/**
 * verify_marked - did marking find what is reachable?
 * @heap: the heap, stopped, marked, not flipped
 */
void verify_marked(struct gca_heap *heap)
{
	struct verify *verify;

	if (!heap->debug_verify)
		return;
	verify = verify_of(heap);
	if (!verify) {
		fprintf(stderr, "gcarena: no memory to verify a cycle\n");
		return;
	}
	verify->reports = 0;
	table_release(verify->visited, 0, verify->visited_bytes);
#ifdef GCA_TEST_FAULTS
	with_spans(verify, clear_one_alloc);
#endif
	trace(verify);
	/* After a finding the rest of the trace is missing. */
	if (verify->traced && !verify->reports)
		with_spans(verify, compare_marks);
	if (verify->reports)
		verify->traced = false;
#ifdef GCA_TEST_FAULTS
	with_spans(verify, keep_one_alloc);
#endif
	if (verify->reports > REPORTS_MAX)
		gca_report(heap, "verify: %zu more findings in this cycle",
			   verify->reports - REPORTS_MAX);
}

/* ---------------------------------------------------------- after the flip */

static uint64_t count_alloc(struct verify *verify, const struct span *span)
{
	const uint64_t *alloc = alloc_bitmap(verify->heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;
	uint64_t count = 0;

	for (uint64_t i = first; i < first + (uint64_t)span->npages * GCARENA_LINE_WORDS; i++) {
		uint64_t bits = __atomic_load_n(&alloc[i], __ATOMIC_RELAXED);
		struct object object;
		uint64_t extra;

		count += (unsigned int)__builtin_popcountll(bits);
		extra = bits & ~verify->visited[i];
		if (extra && verify->exact) {
			object = object_of_bit(verify, span, i, extra);
			report(verify, "verify: dead object %p (%s) still has its alloc bit",
			       (void *)object.base, object_kind_name(verify->heap, &object));
		}
		extra = verify->visited[i] & ~bits;
		if (extra) {
			object = object_of_bit(verify, span, i, extra);
			report(verify, "verify: live object %p (%s) lost its alloc bit",
			       (void *)object.base, object_kind_name(verify->heap, &object));
		}
	}
	return count;
}

/**
 * verify_flipped - are the alloc bits now what was reachable?
 * @heap: the heap, stopped, flipped, nothing allocated since
 */
void verify_flipped(struct gca_heap *heap)
{
	struct verify *verify = heap->verify;
	uint64_t objects = 0, live;
	uint32_t end, page = 0;
	struct span span;

	if (!heap->debug_verify || !verify || !verify->traced)
		return;
	verify->reports = 0;
	for (end = heap_pages_used(heap); page < end; page += span.npages) {
		/* A span without objects may be freed under our eyes. */
		if (!span_at(heap, page, &span) || span.page != page || !span.npages) {
			span.npages = 1;
			continue;
		}
		if (span.span_class != CLASS_MANUAL)
			objects += count_alloc(verify, &span);
	}
	live = __atomic_load_n(&heap->heap_live_objects, __ATOMIC_RELAXED) +
	       __atomic_load_n(&heap->black_objects, __ATOMIC_RELAXED);
	if (objects != live)
		report(verify, "verify: %zu objects after the flip, but the marker counted %zu",
		       (size_t)objects, (size_t)live);
	if (verify->reports > REPORTS_MAX)
		gca_report(heap, "verify: %zu more findings after the flip",
			   verify->reports - REPORTS_MAX);
	verify->traced = false;
}

/* -------------------------------------------------------------- span table */

static void check_bits(struct verify *verify, const struct span *span)
{
	const struct span_class *class = &span_classes[span->span_class];
	const uint64_t *alloc = alloc_bitmap(verify->heap);
	const uint64_t *mark = mark_bitmap(verify->heap);
	uint64_t first = (uint64_t)span->page * GCARENA_LINE_WORDS;
	uint64_t words = (uint64_t)span->npages * GCARENA_LINE_WORDS;

	for (uint64_t i = first; i < first + words; i++) {
		for (uint64_t bits = alloc[i]; bits; bits &= bits - 1) {
			struct object object = object_of_bit(verify, span, i, bits);
			uintptr_t offset = object.base - span->base;

			if (span->large ? !offset :
			    offset % class->elem == 0 && offset / class->elem < class->objects)
				continue;
			report(verify, "verify: alloc bit at %p: no slot begins there (%p, %u)",
			       (void *)object.base, (void *)span->base, class->elem);
		}
		/* What is old is marked already. */
		if (mark[i] & ~(verify->heap->generations.remember ? alloc[i] : 0))
			report(verify, "verify: mark bits of span %p are set before marking",
			       (void *)span->base);
	}
}

/* The span whose first row is @page's: its pages, or 0 after a report. */
static uint32_t check_rows(struct verify *verify, uint32_t page)
{
	struct gca_heap *heap = verify->heap;
	uint64_t first = row_word0(heap, page);
	uint64_t word1 = row_word1(heap, page);
	uint32_t span_class = (uint32_t)(first >> GCARENA_ROW_CLASS_SHIFT) & 0xffff;
	uint32_t npages = (uint32_t)(word1 >> GCARENA_ROW_NPAGES_SHIFT & GCARENA_ROW_NPAGES_MASK);
	uint32_t state = word1 & GCARENA_ROW_STATE_MASK;
	bool large = first & GCARENA_ROW_LARGE;
	bool manual = span_class == CLASS_MANUAL;

	if ((first >> GCARENA_ROW_OFFSET_SHIFT & 0xffff) != 0) {
		report(verify, "verify: row %u is in use, but no span begins there or before",
		       page);
		return 0;
	}
	if (span_class >= nr_span_classes) {
		report(verify, "verify: row %u names class %u of %u", page, span_class,
		       nr_span_classes);
		return 0;
	}
	if (large != !span_classes[span_class].elem) {
		report(verify, "verify: row %u: large flag %d and class %u disagree", page, large,
		       span_class);
		return 0;
	}
	if (!npages || npages > heap_pages(heap) - page ||
	    (!large && npages != span_classes[span_class].npages)) {
		report(verify, "verify: row %u: a span of %u pages of class %u", page, npages,
		       span_class);
		return 0;
	}
	if (manual ? state != GCARENA_STATE_MANUAL :
	    state != GCARENA_STATE_READY && state != GCARENA_STATE_HELD &&
	    state != GCARENA_STATE_SWEPT)
		report(verify, "verify: row %u: state %u with the sweep complete", page, state);
	if (!manual && (uint32_t)(word1 >> GCARENA_ROW_GENERATION_SHIFT) != heap->generation)
		report(verify, "verify: row %u: generation %u with the sweep of %u complete", page,
		       (uint32_t)(word1 >> GCARENA_ROW_GENERATION_SHIFT), heap->generation);
	for (uint32_t i = 1; i < npages; i++) {
		uint64_t offset = i < GCARENA_ROW_OFFSET_ESCAPE ? i : GCARENA_ROW_OFFSET_ESCAPE;
		uint64_t want = first | offset << GCARENA_ROW_OFFSET_SHIFT;

		if (row_word0(heap, page + i) != want ||
		    row_word1(heap, page + i) != (large ? page : 0)) {
			report(verify, "verify: row %u disagrees with the first row %u of its span",
			       page + i, page);
			return 0;
		}
	}
	return npages;
}

/* A refill that a blocked thread began may end, and the worker stock a CPU's cache or
 * empty it, while the table is read.
 */
static bool stood_still(const struct gcarena_counters *before,
			const struct gcarena_counters *after)
{
	return before->refill_calls == after->refill_calls &&
	       before->returned_spans == after->returned_spans &&
	       before->heap_inuse == after->heap_inuse &&
	       before->spans_inuse == after->spans_inuse &&
	       before->spans_ready == after->spans_ready &&
	       before->ready_drained == after->ready_drained;
}

/* Behind the last page that may be in use: spans that lie ready in the kernel's caches
 * may be above any that the heap ever held.
 */
static uint32_t pages_taken(const struct gca_heap *heap, const struct gcarena_counters *counters)
{
	uint64_t taken = counters->heap_sys >> GCARENA_PAGE_SHIFT;
	uint32_t used = heap_pages_used(heap);

	return taken > used ? (uint32_t)taken : used;
}

/**
 * verify_table - is the span table consistent?
 * @heap: the heap, stopped, its sweep complete, marking not begun
 */
void verify_table(struct gca_heap *heap)
{
	struct gcarena_stats before = { .size = sizeof(before) };
	struct gcarena_stats after = { .size = sizeof(after) };
	struct verify *verify;
	uint64_t pages = 0, spans = 0;
	uint32_t end, page = 0;

	if (!heap->debug_verify)
		return;
	verify = verify_of(heap);
	if (!verify)
		return;
	verify->reports = 0;
	for (unsigned int try = 0; try < TABLE_TRIES; try++) {
		if (heap->ops->stats(heap, &before))
			return;
		pages = 0;
		spans = 0;
		end = pages_taken(heap, &before.counters);
		for (page = 0; page < end;) {
			uint32_t npages = 0;

			if (row_word0(heap, page) & GCARENA_ROW_IN_USE)
				npages = check_rows(verify, page);
			pages += npages;
			spans += npages != 0;
			page += npages ? npages : 1;
		}
		if (heap->ops->stats(heap, &after))
			return;
		if (stood_still(&before.counters, &after.counters))
			break;
	}
	if (!verify->reports && stood_still(&before.counters, &after.counters)) {
		if (pages << GCARENA_PAGE_SHIFT != after.counters.heap_inuse)
			report(verify, "verify: %zu bytes in use by the rows, %zu by the backend",
			       (size_t)pages << GCARENA_PAGE_SHIFT,
			       (size_t)after.counters.heap_inuse);
		if (spans != after.counters.spans_inuse)
			report(verify, "verify: %zu spans by the rows, %zu by the backend",
			       (size_t)spans, (size_t)after.counters.spans_inuse);
	}
	if (!verify->reports)
		with_spans(verify, check_bits);
	if (verify->reports > REPORTS_MAX)
		gca_report(heap, "verify: %zu more findings in the span table",
			   verify->reports - REPORTS_MAX);
}
