// SPDX-License-Identifier: MIT
/*
 * Pressure: the program's handler is called when live data nears the limit, once for
 * each watermark, and when there is room again.  On the device also when the kernel
 * reclaims the program's memory, which starts a cycle.
 */
#include "lib.h"

#include <fcntl.h>
#include <sys/stat.h>

#define GROUP		"/sys/fs/cgroup/lib-pressure"
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

static int group_put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return put < 0 ? -1 : 0;
}

/* Sleeps and allocates until so many were told, for ten seconds at most. */
static bool told_times(struct gca_mutator *m, unsigned int times, struct link **head)
{
	for (unsigned int i = 0; i < 100 && nr_told < times; i++) {
		gca_blocking_begin(m);
		sleep_ms(100);
		gca_blocking_end(m);
		push(m, head);
	}
	return nr_told == times;
}

static void test_reclaim(void)
{
	struct gca_mutator *m, *caller = NULL;
	struct gca_stats before, after;

	if (!test_on_device()) {
		skip(6, "nobody tells a process of reclaim");
		return;
	}
	if ((mkdir(GROUP, 0755) && errno != EEXIST) || group_put(GROUP "/cgroup.procs", "0") ||
	    access(GROUP "/memory.reclaim", W_OK)) {
		skip(6, "no control group with memory.reclaim");
		return;
	}
	heap = open_with(NULL);
	gca_set_pressure_handler(heap, on_pressure, &caller);
	m = attach(heap, GCA_STACK_PRECISE);
	nr_told = 0;
	{
		GCA_FRAME(m, f, struct link *head);
		for (size_t i = 0; i < 8; i++)
			push(m, &f.head);
		before = stats_of(heap);
		eq(nr_told, 0, "nobody reclaims");
		/* Less than was asked for is an error. */
		group_put(GROUP "/memory.reclaim", "8M");
		push(m, &f.head);
		eq(nr_told, 1, "the kernel reclaims, and who allocates is told");
		eq(told[0], GCA_PRESSURE_SOME, "of some pressure");
		ok(told_times(m, 2, &f.head) && told[1] == GCA_PRESSURE_NONE, "and of its end");
		after = stats_of(heap);
		ok(after.num_gc > before.num_gc, "a cycle was run for it");
		eq(after.num_forced_gc, before.num_forced_gc, "that nobody else asked for");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "closed");
	group_put("/sys/fs/cgroup/cgroup.procs", "0");
	rmdir(GROUP);
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
	test_reclaim();
	return tap_done();
}
