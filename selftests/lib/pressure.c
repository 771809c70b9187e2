// SPDX-License-Identifier: MIT
/*
 * Pressure: the program's handler is called when live data nears the limit, once for
 * each watermark, and when there is room again.
 */
#include "lib.h"

#define LIMIT		(64 * MIB)
#define OBJECT		(64 * KIB)
#define MOST		16

struct link;
#define LINK_FIELDS(F) F(REF, struct link, next) F(REF, unsigned char, payload)
GCA_STRUCT(link, LINK_FIELDS);

static enum gca_pressure told[MOST];
static size_t inuse[MOST];
static unsigned int nr_told;
static struct gca_heap *heap;

static void on_pressure(struct gca_mutator *m, enum gca_pressure level, void *arg)
{
	struct gca_stats stats = stats_of(heap);

	if (nr_told < MOST) {
		told[nr_told] = level;
		inuse[nr_told] = stats.heap_inuse;
	}
	nr_told++;
	*(struct gca_mutator **)arg = m;
}

/* One more, or false. */
static bool push(struct gca_mutator *m, struct link **head)
{
	struct link *link;

	GCA_FRAME(m, f, unsigned char *payload);
	f.payload = gca_new_bytes(m, OBJECT);
	if (!f.payload)
		return false;
	link = gca_new(m, link);
	if (!link)
		return false;
	gca_init(m, &link->payload, f.payload);
	gca_init(m, &link->next, *head);
	*head = link;
	return true;
}

/* The arena has no event for watermarks that come down to what is in use. */
static void test_limit_lowered(void)
{
	struct gca_mutator *m, *caller = NULL;
	struct gca_config config;
	struct gca_stats stats;

	gca_config_init(&config);
	config.limit = LIMIT;
	heap = open_with(&config);
	gca_set_pressure_handler(heap, on_pressure, &caller);
	m = attach(heap, GCA_STACK_PRECISE);
	nr_told = 0;
	{
		GCA_FRAME(m, f, struct link *head);
		while (stats_of(heap).heap_inuse < LIMIT / 2)
			if (!push(m, &f.head))
				bail("half of the limit cannot be had");
		stats = stats_of(heap);
		gca_set_limit(heap, stats.heap_inuse / 88 * 100 + stats.meta_sys);
		push(m, &f.head);
		eq(nr_told, 1, "a limit lowered to what is in use is told of");
		eq(told[0], GCA_PRESSURE_SOME, "as some pressure");
		push(m, &f.head);
		eq(nr_told, 1, "once");
		gca_set_limit(heap, LIMIT);
		push(m, &f.head);
		eq(nr_told, 2, "so is its end");
		eq(told[1], GCA_PRESSURE_NONE, "when the limit is raised");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "closed");
}

int main(void)
{
	struct gca_mutator *m, *caller = NULL;
	struct gca_config config;
	unsigned int at_end;
	size_t i;

	gca_config_init(&config);
	config.limit = LIMIT;
	heap = open_with(&config);
	gca_set_pressure_handler(heap, on_pressure, &caller);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, struct link *head);
		while (stats_of(heap).heap_inuse < LIMIT / 2)
			if (!push(m, &f.head))
				bail("half of the limit cannot be had");
		eq(nr_told, 0, "half of the limit in use is no pressure");
		while (push(m, &f.head))
			;
		ok(nr_told >= 2, "on the way to the limit the program is told: %u times", nr_told);
		eq(told[0], GCA_PRESSURE_SOME, "first of some pressure");
		ok(inuse[0] > LIMIT / 2 && inuse[0] < LIMIT / 100 * 93, "at %zu KiB in use",
		   inuse[0] / KIB);
		eq(told[1], GCA_PRESSURE_FULL, "then of full");
		ok(inuse[1] > inuse[0], "at %zu KiB", inuse[1] / KIB);
		ok(caller == m, "by the thread that allocates");
		at_end = nr_told;
		f.head = NULL;
		eq(gca_collect(m), 0, "everything is dropped");
		for (i = 0; i < 8; i++)
			push(m, &f.head);
		eq(nr_told, at_end + 1, "it is told once more");
		eq(told[nr_told - 1], GCA_PRESSURE_NONE, "that it is over");
		gca_set_pressure_handler(heap, NULL, NULL);
		while (push(m, &f.head))
			;
		eq(nr_told, at_end + 1, "without a handler nobody is told");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "closed");
	test_limit_lowered();
	return tap_done();
}
