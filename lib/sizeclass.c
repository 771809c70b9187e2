// SPDX-License-Identifier: MIT
/*
 * Size classes and the span classes made of them.
 *
 * The slots follow from a rule (Documentation/sizeclasses.rst) and are computed
 * once for the process, so that nobody maintains a table.  Everything here is
 * fixed after sizeclass_init() and read without a lock.
 *
 * The rule: a request of n bytes goes to the smallest slot above n.  The byte of
 * padding keeps a pointer one past the object's end inside its slot, so that
 * conservative scanning never takes it for the next object.  An exact kind, of
 * which there are no such pointers, goes to the smallest slot not below n.
 */
#include "internal.h"

/* Below this request waste is bounded in bytes, from it on as a share. */
#define FINE_MAX	128u
/* Of a slot's share of its span at most 1 part in WASTE_PARTS is waste. */
#define WASTE_PARTS	8u

struct size_class size_classes[SIZE_CLASSES_MAX];
unsigned int nr_size_classes;
struct span_class span_classes[SPAN_CLASSES_MAX];
unsigned int nr_span_classes;
uint16_t small_class_of[GCA_FLAVOURS][SMALL_MAX / GCARENA_GRANULE_SIZE + 1];
uint16_t exact_class_of[GCA_INLINE_MAX / GCARENA_GRANULE_SIZE + 2];
uint16_t noscan_cache_of[GCA_INLINE_BYTES_MAX / GCARENA_GRANULE_SIZE + 2];

/* The longest span for slots of @slot bytes.  Each mutator holds at least one span
 * of each class that it uses: 64 KiB bounds what that costs a small heap, and
 * larger slots get no longer ones than makes eight of them.
 */
static uint32_t span_pages_max(uint32_t slot)
{
	return slot <= 4096 ? 8 : slot <= 16384 ? 16 : 32;
}

/* The shortest span in which slots of @slot bytes waste little enough when they
 * hold requests of @request bytes; 0 when there is none.
 */
static uint32_t span_pages_for(uint32_t slot, uint32_t request)
{
	uint32_t npages;

	for (npages = 1; npages <= span_pages_max(slot); npages *= 2) {
		uint64_t bytes = (uint64_t)npages * GCARENA_PAGE_SIZE;
		uint64_t objects = bytes / slot;

		if (objects && (bytes - objects * request) * WASTE_PARTS <= bytes)
			return npages;
	}
	return 0;
}

/* The largest slot for requests from @request bytes on. */
static struct size_class next_size_class(uint32_t request)
{
	struct size_class class;

	if (request < FINE_MAX) {
		class.slot = request + GCARENA_GRANULE_SIZE;
		class.npages = 1;
		return class;
	}
	class.slot = request + request / (WASTE_PARTS - 1) + GCARENA_GRANULE_SIZE;
	class.slot &= ~(uint32_t)(GCARENA_GRANULE_SIZE - 1);
	if (class.slot > SMALL_MAX)
		class.slot = SMALL_MAX;
	for (;;) {
		class.npages = span_pages_for(class.slot, request);
		if (class.npages)
			return class;
		class.slot -= GCARENA_GRANULE_SIZE;
		/* One granule more than the request fits its longest span well. */
		gca_assert(class.slot > request);
	}
}

static void add_flavour(unsigned int flavour, uint32_t first, uint32_t last)
{
	uint32_t granules = 1;
	unsigned int i;

	for (i = 0; i < nr_size_classes; i++) {
		const struct size_class *size = &size_classes[i];
		struct span_class *class = &span_classes[nr_span_classes];

		if (size->slot < first)
			continue;
		gca_assert(nr_span_classes < SPAN_CLASSES_MAX);
		class->elem = size->slot;
		class->npages = size->npages;
		class->objects = (uint32_t)(size->npages * GCARENA_PAGE_SIZE / size->slot);
		class->flavour = (uint16_t)flavour;
		class->size = (uint16_t)i;
		class->reciprocal = ((1ULL << 32) + size->slot / GCARENA_GRANULE_SIZE - 1) /
				    (size->slot / GCARENA_GRANULE_SIZE);
		/* A slot may be longer than any object with pointer bits. */
		if (flavour == GCA_FLAVOUR_PRECISE)
			class->words = size->slot < GCA_INLINE_MAX ?
				       (1ULL << size->slot / sizeof(void *)) - 1 : ~0ULL;
		for (; granules * GCARENA_GRANULE_SIZE <= size->slot; granules++)
			small_class_of[flavour][granules] = (uint16_t)nr_span_classes;
		nr_span_classes++;
		if (size->slot > last)
			break;
	}
}

static void compute(void)
{
	uint32_t request = 0;
	unsigned int i;

	while (request < SMALL_MAX) {
		gca_assert(nr_size_classes < SIZE_CLASSES_MAX);
		size_classes[nr_size_classes] = next_size_class(request);
		request = size_classes[nr_size_classes].slot;
		nr_size_classes++;
	}
	span_classes[CLASS_LARGE_NOSCAN].flavour = GCA_FLAVOUR_NOSCAN;
	span_classes[CLASS_LARGE_SCAN].flavour = GCA_FLAVOUR_KINDED;
	span_classes[CLASS_MANUAL].flavour = GCA_FLAVOUR_NOSCAN;
	nr_span_classes = CLASS_SMALL;
	/* Slots of KINDED objects start in cells of their own. */
	add_flavour(GCA_FLAVOUR_NOSCAN, 0, SMALL_MAX);
	add_flavour(GCA_FLAVOUR_PRECISE, 0, GCA_INLINE_MAX);
	add_flavour(GCA_FLAVOUR_CONSERVATIVE, 0, GCA_INLINE_MAX);
	add_flavour(GCA_FLAVOUR_KINDED, 1U << CELL_SHIFT, SMALL_MAX);
	/* Of sizes that are multiples of the granule: index - 1 granules. */
	for (i = 2; i < ARRAY_SIZE(exact_class_of); i++)
		exact_class_of[i] = small_class_of[GCA_FLAVOUR_PRECISE][i - 1];
	_Static_assert(SPAN_CLASSES_MAX * sizeof(struct gca_cache) <= UINT16_MAX, "offsets");
	for (i = 0; i < ARRAY_SIZE(noscan_cache_of); i++)
		noscan_cache_of[i] = (uint16_t)(small_class_of[GCA_FLAVOUR_NOSCAN][i] *
						sizeof(struct gca_cache));
}

/**
 * sizeclass_init - compute the classes, the first time
 */
void sizeclass_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, compute);
}

/**
 * sizeclass_table - the class table that a backend is set up with
 * @table: room for nr_span_classes entries
 */
void sizeclass_table(struct gcarena_class *table)
{
	unsigned int i;

	for (i = 0; i < nr_span_classes; i++) {
		table[i].elem_size = span_classes[i].elem;
		table[i].npages = (uint16_t)span_classes[i].npages;
		table[i].flags = 0;
	}
	table[CLASS_LARGE_NOSCAN].flags = GCARENA_CLASS_LARGE;
	table[CLASS_LARGE_SCAN].flags = GCARENA_CLASS_LARGE;
	table[CLASS_MANUAL].flags = GCARENA_CLASS_MANUAL;
}
