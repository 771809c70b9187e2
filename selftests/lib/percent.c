// SPDX-License-Identifier: MIT
/*
 * The GC percent bounds the heap: under churn with a steady live heap, what is in
 * use stays below 2.5 times what lives at percent 100, and does not with
 * collection off.
 */
#include "lib.h"

struct entry;
#define ENTRY_FIELDS(F)				\
	F(REF, unsigned char, bytes)		\
	F(VAL, size_t, size)
GCA_STRUCT(entry, ENTRY_FIELDS);

#define RATIO_PERCENT	250

static void replace(struct gca_mutator *m, gca_ref *table, size_t index, struct rng *rng)
{
	/* Sizes as programs have them: mostly small, a few large. */
	size_t size = rng_below(rng, 100) ? 16 + rng_below(rng, 600) : rng_below(rng, 40000);

	GCA_FRAME(m, f, struct entry *entry);
	f.entry = must(gca_new(m, entry));
	gca_store(m, &f.entry->bytes, must(gca_new_bytes(m, size)));
	memset(gca_load(&f.entry->bytes), (int)size, size);
	f.entry->size = size;
	gca_store(m, &table[index], f.entry);
}

/* The worst in-use, in per cent of live, in the steady state. */
static uint64_t worst_ratio(int percent)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	size_t count = scaled(40000);
	struct rng rng = rng_seeded(7);
	uint64_t worst = 0, live;
	size_t wrong = 0;

	gca_config_init(&config);
	config.percent = percent;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = must(gca_new_refs(m, count));
		for (size_t i = 0; i < count; i++)
			replace(m, f.table, i, &rng);
		gca_collect(m);
		live = stats_of(heap).heap_live;
		for (size_t i = 0; i < 6 * count; i++) {
			replace(m, f.table, rng_below(&rng, count), &rng);
			if (i % (count / 50 + 1) == 0) {
				struct gca_stats s = stats_of(heap);

				if (s.heap_inuse * 100 / live > worst)
					worst = s.heap_inuse * 100 / live;
			}
		}
		for (size_t i = 0; i < count; i++) {
			struct entry *entry = gca_load(&f.table[i]);

			wrong += !is_filled(gca_load(&entry->bytes), (unsigned char)entry->size,
					    entry->size);
		}
		diag("percent %d: live %llu KiB, %llu cycles, worst in use %llu %%", percent,
		     (unsigned long long)live / KIB, (unsigned long long)stats_of(heap).num_gc,
		     (unsigned long long)worst);
		eq(wrong, 0, "percent %d: contents are right", percent);
	}
	gca_detach(m);
	gca_close(heap);
	return worst;
}

int main(void)
{
	uint64_t worst = worst_ratio(100);

	ok(worst <= RATIO_PERCENT, "percent 100: in use at most %llu %% of live",
	   (unsigned long long)worst);
	worst = worst_ratio(GCA_PERCENT_OFF);
	ok(worst > RATIO_PERCENT, "off: in use up to %llu %% of live", (unsigned long long)worst);
	return tap_done();
}
