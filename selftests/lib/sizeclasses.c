// SPDX-License-Identifier: MIT
/*
 * The size class rule, for every request from 1 to 32767 bytes and every flavour:
 * the slot leaves a byte of padding, and what it wastes, its share of the span's
 * tail counted, stays within the bounds that Documentation/sizeclasses.rst gives.
 */
#include "lib.h"

#include "internal.h"

#define REQUEST_MAX	32767u
#define FINE_MAX	128u	/* below: bounded in bytes */
#define FINE_WASTE	16u	/* bytes, the padding byte aside */
#define WASTE_PARTS	8u	/* from there on: one part in so many */

static const struct span_class *class_of(unsigned int flavour, uint32_t request)
{
	return &span_classes[small_class_of[flavour][(request + 16) / 16]];
}

/* From which request to which the flavour serves small objects. */
static uint32_t last_of(unsigned int flavour)
{
	return flavour == GCA_FLAVOUR_NOSCAN || flavour == GCA_FLAVOUR_KINDED ? REQUEST_MAX :
	       GCA_INLINE_MAX;
}

static void test_flavour(unsigned int flavour, const char *name)
{
	/* Slots of kinded objects begin at cells of 64 bytes, to which the
	 * bounds for small requests do not apply.
	 */
	uint32_t first = flavour == GCA_FLAVOUR_KINDED ? 64 : 1;
	size_t padding = 0, bytes = 0, share = 0, aligned = 0, flavours = 0, smaller = 0;
	uint64_t worst = 0;
	uint32_t worst_request = 0;

	for (uint32_t n = 1; n <= last_of(flavour); n++) {
		const struct span_class *class = class_of(flavour, n);
		uint64_t span = (uint64_t)class->npages * GCARENA_PAGE_SIZE;
		uint64_t waste;

		if (!class->elem) {
			padding++;
			continue;
		}
		padding += class->elem < n + 1;
		aligned += class->elem % 16 || class->elem * class->objects > span ||
			   class->objects != span / class->elem;
		flavours += class->flavour != flavour;
		/* The class below must not have served. */
		smaller += class > span_classes && class[-1].flavour == flavour &&
			   class[-1].elem > n;
		if (n < first)
			continue;
		/* Of the span, were all its objects requests of n bytes. */
		waste = span - (uint64_t)class->objects * n;
		if (n < FINE_MAX)
			bytes += waste >= (uint64_t)class->objects * (FINE_WASTE + 1);
		else
			share += waste * WASTE_PARTS > span;
		if (n >= FINE_MAX && waste * 1000 / span > worst) {
			worst = waste * 1000 / span;
			worst_request = n;
		}
	}
	eq(padding, 0, "%s: every request has its slot and a byte of padding", name);
	eq(aligned, 0, "%s: slots are multiples of 16 and fill their spans", name);
	eq(flavours, 0, "%s: in classes of its own", name);
	eq(smaller, 0, "%s: the smallest slot that will do", name);
	eq(bytes, 0, "%s: under 16 bytes of waste below 128", name);
	eq(share, 0, "%s: at most an eighth of waste from 128 on", name);
	diag("%s: worst %llu.%llu %% at %u bytes", name, (unsigned long long)worst / 10,
	     (unsigned long long)worst % 10, worst_request);
}

/* The lookup of an object's index is a multiplication: right for every byte. */
static void test_reciprocals(void)
{
	size_t wrong = 0;

	for (unsigned int c = 0; c < nr_span_classes; c++) {
		const struct span_class *class = &span_classes[c];
		uint32_t granules = class->elem / 16;

		for (uint32_t g = 0; class->elem && g < class->npages * GCARENA_PAGE_GRANULES; g++)
			wrong += g * class->reciprocal >> 32 != g / granules;
	}
	eq(wrong, 0, "every granule of every class leads to its object");
	ok(nr_span_classes <= SPAN_CLASSES_MAX, "%u span classes", nr_span_classes);
}

/* What is really allocated is what the tables say. */
static void test_real(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t wrong = 0, usable = 0, step = 100 / scaled(100) * 3;
	uint64_t total = stats_of(heap).total_alloc;

	for (uint32_t n = 1; n <= REQUEST_MAX; n += n < 600 ? 1 : (uint32_t)step) {
		void *object = must(gca_new_bytes(m, n));
		uint64_t now = stats_of(heap).total_alloc;
		size_t size = 0;

		wrong += now - total != class_of(GCA_FLAVOUR_NOSCAN, n)->elem;
		usable += gca_object_of(heap, object, &size) != object || size < n;
		total = now;
	}
	eq(wrong, 0, "requests take the slot that the rule gives");
	eq(usable, 0, "and have its bytes");
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	sizeclass_init();
	test_flavour(GCA_FLAVOUR_NOSCAN, "noscan");
	test_flavour(GCA_FLAVOUR_PRECISE, "precise");
	test_flavour(GCA_FLAVOUR_CONSERVATIVE, "conservative");
	test_flavour(GCA_FLAVOUR_KINDED, "kinded");
	test_reciprocals();
	test_real();
	return tap_done();
}
