// SPDX-License-Identifier: MIT
/*
 * The checks behind GCARENA_DEBUG: silent on a sound heap, and each seeded fault
 * is caught by the check that is there for it.  In the ASan build a use after
 * collection, in a child, dies with ASan's report.
 */
#include "child.h"

#include "internal.h"

#include <fcntl.h>
#include <regex.h>
#include <signal.h>

struct node;
#define NODE_FIELDS(F) F(REF, struct node, left) F(REF, struct node, right) F(VAL, size_t, key)
GCA_STRUCT(node, NODE_FIELDS);

/* The same as a kind with an id, and one with a callback. */
#define WIDE_FIELDS(F)				\
	F(REF, struct node, left)		\
	F(REF, struct node, right)		\
	F(VALS, size_t, key, 100)
GCA_STRUCT(wide, WIDE_FIELDS);

struct traced {
	GCA_REF(struct node) left;
	GCA_REF(struct node) right;
	size_t key;
};

static void trace_traced(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct traced *traced = object;

	gca_visit(visitor, &traced->left);
	gca_visit(visitor, &traced->right);
}

GCA_TRACED(traced, trace_traced);

static struct node *tree(struct gca_mutator *m, unsigned int depth)
{
	GCA_FRAME(m, f, struct node *node);
	f.node = must(depth % 3 == 0 ? (struct node *)gca_new(m, traced) :
		      depth % 3 == 1 ? gca_new(m, node) : (struct node *)gca_new(m, wide));
	if (depth) {
		gca_store(m, &f.node->left, tree(m, depth - 1));
		gca_store(m, &f.node->right, tree(m, depth - 1));
	}
	return f.node;
}

static size_t tree_size(struct node *node)
{
	return node ? 1 + tree_size(gca_load(&node->left)) + tree_size(gca_load(&node->right)) : 0;
}

/* Every switch on, on every sort of thing the library does. */
static void test_silent(const char *debug, enum gca_mode mode)
{
	struct gca_heap *heap = open_debug(debug, mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t size = 0;

	static GCA_REF(struct node) range[20];

	gca_root_add(heap, range, sizeof(range));
	{
		GCA_FRAME(m, f, struct node *tree; gca_ref *refs; void *plain);
		for (unsigned int round = 0; round < 5; round++) {
			f.tree = tree(m, 9);
			f.refs = must(gca_new_refs(m, 5000 + 20000 * round));
			f.plain = must(gca_alloc(m, gca_kind_conservative(), 3000));
			for (unsigned int i = 0; i < 5000; i++) {
				gca_store(m, &f.refs[i], must(gca_new_bytes(m, 1 + i % 900)));
				gca_store(m, &range[i % 20], (struct node *)f.tree);
			}
			((void **)f.plain)[7] = f.tree;
			gca_copy_refs(m, f.refs + 10, f.refs, 3000);
			gca_copy_refs(m, f.refs, f.refs + 5, 3000);
			gca_clear_refs(m, f.refs + 4000, 500);
			gca_exchange(m, &range[3], NULL);
			gca_compare_exchange(m, &range[4], f.tree, NULL);
			gca_compare_exchange(m, &range[5], NULL, f.tree);
			gca_collect(m);
			size += tree_size(f.tree);
		}
	}
	gca_release(m);
	eq(size, 5 * 1023, "%s: the heap works", debug);
	eq(reports.count, 0, "%s, mode %d: silent on a sound heap", debug, mode);
	if (reports.count)
		diag("%s", reports.text);
	gca_root_remove(heap, range);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void check_report(const char *what, const char *pattern)
{
	ok(reports.count > 0, "%s is reported", what);
	ok(strstr(reports.text, pattern), "it says \"%s\"", pattern);
	diag("%.*s", (int)strcspn(reports.text, "\n"), reports.text);
}

/* One fault in one collection of a tree; the heap is then of no more use. */
static void test_fault(enum gca_fault fault, uint64_t nth, const char *what, const char *pattern)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct node *tree);
		f.tree = tree(m, 8);
		gca_collect(m);
		eq(reports.count, 0, "%s: silent before", what);
		f.tree = tree(m, 8);
		if (fault == GCA_FAULT_STALE_ROW || fault == GCA_FAULT_STALE_CLASS)
			nth = (((uintptr_t)f.tree - heap->base) >> GCARENA_PAGE_SHIFT) + 1;
		gca_fault_arm(fault, nth);
		gca_collect(m);
		ok(gca_fault_fired(fault), "%s: the fault happened", what);
		gca_fault_arm(fault, 0);
		check_report(what, pattern);
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_faults(void)
{
	test_fault(GCA_FAULT_SKIP_MARK, 1, "the root's mark skipped", "is not marked");
	test_fault(GCA_FAULT_SKIP_MARK, 100, "a skipped mark", "is not marked");
	test_fault(GCA_FAULT_SKIP_MARK, 511, "the last mark skipped", "is not marked");
	test_fault(GCA_FAULT_CLEAR_ALLOC, 1, "a cleared alloc bit", "alloc bit is clear");
	test_fault(GCA_FAULT_CLEAR_ALLOC, 200, "another cleared alloc bit", "alloc bit is clear");
	test_fault(GCA_FAULT_STALE_ROW, 0, "a stale span row", "not in use");
	test_fault(GCA_FAULT_STALE_CLASS, 0, "a row of another class", "verify: ");
	test_fault(GCA_FAULT_KEEP_ALLOC, 50, "a dead object kept", "still has its alloc bit");
}

/* Without a handler: stderr, and abort. */
static void fail_loudly(void)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	gca_set_report_handler(heap, NULL, NULL);
	GCA_FRAME(m, f, struct node *tree);
	f.tree = tree(m, 4);
	gca_fault_arm(GCA_FAULT_SKIP_MARK, 3);
	gca_collect(m);
}

static void test_default_report(void)
{
	char output[4096];
	int status = child_output(fail_loudly, output, sizeof(output));

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "without a handler: abort");
	ok(strstr(output, "is not marked"), "after the report on stderr");
}

static void test_shadow(void)
{
	struct gca_heap *heap = open_debug("shadow=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	static GCA_REF(struct node) range[4];
	GCA_REF(struct node) stray = { NULL };

	gca_root_add(heap, range, sizeof(range));
	{
		GCA_FRAME(m, f, struct node *a, *b; struct wide *wide; struct traced *traced;
			  gca_ref *refs, *big);
		f.a = must(gca_new(m, node));
		f.b = must(gca_new(m, node));
		f.wide = must(gca_new(m, wide));
		f.traced = must(gca_new(m, traced));
		f.refs = must(gca_new_refs(m, 10));
		f.big = must(gca_new_refs(m, 10000));
		gca_store(m, &f.a->left, f.b);
		gca_init(m, &f.b->left, f.a);
		gca_collect(m);
		eq(reports.count, 0, "stores by the barrier are silent");

#define SEEDED(statement, name) do {						\
		memset(&reports, 0, sizeof(reports));				\
		statement;							\
		gca_collect(m);							\
		check_report("a raw store to " name, "last barrier stored");	\
		memset(&reports, 0, sizeof(reports));				\
		gca_collect(m);							\
		eq(reports.count, 0, "once");					\
} while (0)
		SEEDED(f.a->right.gca_raw = f.b, "a field");
		ok(true, "shadow names");
		SEEDED(f.a->left.gca_raw = NULL, "a field, of NULL");
		SEEDED(f.wide->right.gca_raw = f.b, "a field of a kind with an id");
		SEEDED(f.traced->right.gca_raw = f.b, "a field that a callback visits");
		SEEDED(f.refs[9].gca_raw = f.b, "an array's last slot");
		SEEDED(f.big[9999].gca_raw = f.b, "a large array's last slot");
		SEEDED(range[3].gca_raw = f.b, "a registered range");
		SEEDED(memcpy(&f.refs[1], &f.refs[9], 8), "an array by memcpy");

		f.a->key = 77;
		f.wide->key[99] = (size_t)f.b;
		memset(&reports, 0, sizeof(reports));
		gca_collect(m);
		eq(reports.count, 0, "data fields are nobody's business");

		gca_store(m, &stray, f.b);
		gca_collect(m);
		check_report("a barrier on no slot", "neither in the heap nor");
		memset(&reports, 0, sizeof(reports));
		gca_init(m, &f.a->right, f.a);
		gca_collect(m);
		check_report("a late gca_init()", "gca_init() of");
		f.refs = must(gca_new_refs(m, 100));
		for (unsigned int i = 0; i < 100; i++)
			gca_init(m, &f.refs[i], f.a);
		memset(&reports, 0, sizeof(reports));
		gca_collect(m);
		eq(reports.count, 0, "one in time is silent");
	}
	gca_root_remove(heap, range);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");

	/* Where plain stores are right, nothing is said. */
	heap = open_debug("shadow=1,verify=1", GCA_MODE_STOP_THE_WORLD, GCA_PERCENT_OFF);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, struct node *a);
		f.a = must(gca_new(m, node));
		f.a->right.gca_raw = must(gca_new(m, node));
		gca_store(m, &f.a->left, f.a);
		f.a->left.gca_raw = gca_exchange(m, &f.a->right, f.a);
		gca_collect(m);
		eq(reports.count, 0, "stop-the-world: plain stores are right");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* What a report says of a kind with pointer bits is the kind's name. */
static void test_names(void)
{
	struct gca_heap *heap = open_debug("shadow=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct node *a);
		f.a = must(gca_new(m, node));
		f.a->right.gca_raw = f.a;
		gca_collect(m);
		ok(strstr(reports.text, "(node,") && strstr(reports.text, "slot +8"),
		   "kind and offset are named");
	}
	gca_detach(m);
	gca_close(heap);
}

/* A mark stack that cannot grow costs time and no object. */
static void test_mark_stack(void)
{
	struct gca_heap *heap = open_debug("verify=0", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t count = scaled(80000);

	if (count < 80000)	/* more kilobytes of nodes than a fresh stack has entries */
		count = 80000;
	{
		GCA_FRAME(m, f, gca_ref *refs; struct node *node);
		f.refs = must(gca_new_refs(m, count));
		for (size_t i = 0; i < count; i++) {
			f.node = must(gca_new(m, node));
			gca_store(m, &f.refs[i], f.node);
			gca_store(m, &f.node->left, tree(m, 1));
		}
		f.node = NULL;
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 1);
		eq(live_objects(m), 1 + 4 * count, "without memory for it marking is complete");
		ok(gca_fault_fired(GCA_FAULT_NO_MEMORY), "it asked for memory");
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 2);
		eq(live_objects(m), 1 + 4 * count, "so it is when the second step is refused");
		gca_fault_arm(GCA_FAULT_NO_MEMORY, 0);
		eq(live_objects(m), 1 + 4 * count, "and with memory");
	}
	gca_detach(m);
	gca_close(heap);
}

/* Every mapping that opening a heap makes, refused: an error, and no trace. */
static void test_open_without_memory(void)
{
	struct gca_heap *heap = NULL;
	unsigned int failed = 0;
	int err = -ENOMEM;

	setenv("GCARENA_DEBUG", "verify=1,shadow=1", 1);
	for (unsigned int nth = 1; nth < 50 && err; nth++) {
		struct gca_mutator *m = NULL;

		gca_fault_arm(GCA_FAULT_NO_MEMORY, nth);
		err = gca_open(NULL, &heap);
		if (!err) {
			err = gca_attach(heap, 0, &m);
			if (!err) {
				gca_new(m, node);
				gca_detach(m);
			}
			gca_close(heap);
		}
		failed += err == -ENOMEM;
	}
	gca_fault_arm(GCA_FAULT_NO_MEMORY, 0);
	unsetenv("GCARENA_DEBUG");
	ok(!err && failed > 3, "%u mappings refused to open and attach: -ENOMEM each", failed);
}

static void test_bad_pointers(void)
{
	struct gca_heap *heap = open_debug("verify=1", GCA_MODE_STOP_THE_WORLD, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	int outside;

	{
		GCA_FRAME(m, f, struct node *a; struct wide *b; struct node *c);
		f.a = must(gca_new(m, node));
		f.b = must(gca_new(m, wide));
		f.a->left.gca_raw = (void *)&outside;
		gca_collect(m);
		check_report("a REF to outside of the heap", "is not in the heap");
		memset(&reports, 0, sizeof(reports));
		f.a->left.gca_raw = (void *)&f.b->key[3];
		gca_collect(m);
		check_report("a REF into an object", "inside an object");
		memset(&reports, 0, sizeof(reports));
		f.c = must(gca_new(m, node));
		f.a->left.gca_raw = (struct node *)((char *)f.c + 32);
		f.c = NULL;
		gca_collect(m);
		check_report("a REF to a free slot", "alloc bit is clear");
		memset(&reports, 0, sizeof(reports));
		f.a->left.gca_raw = (struct node *)(heap->base + heap->size - 64);
		gca_collect(m);
		check_report("a REF to an unused page", "not in use");
		f.a->left.gca_raw = NULL;
		memset(&reports, 0, sizeof(reports));
		gca_collect(m);
		eq(reports.count, 0, "mended: silent");
	}
	gca_detach(m);
	gca_close(heap);
}

static void test_poison(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	unsigned char *dead;
	size_t dirty = 0;

	if (TEST_ASAN) {
		skip(3, "ASan poisons in its own way");
		return;
	}
	heap = open_debug("poison=1,verify=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, unsigned char *live);
		dead = must(gca_new_bytes(m, 100));
		memset(dead, 1, 100);
		f.live = must(gca_new_bytes(m, 100));
		memset(f.live, 2, 100);
		gca_collect(m);
		ok(is_filled(dead, 0xdb, 100), "a dead object is filled");
		ok(is_filled(f.live, 2, 100), "a live one is not");
		for (unsigned int i = 0; i < 2000; i++)
			dirty += !is_zero(must(gca_new_bytes(m, 100)), 100);
		eq(dirty, 0, "what is allocated there is zero");
	}
	gca_detach(m);
	gca_close(heap);
}

static void use_after_collect(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct node *dead = must(gca_new(m, node));

	dead->key = 1;
	gca_collect(m);
	dead->key = 2;
}

static void use_after_collect_large(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	volatile char *dead = must(gca_new_bytes(m, MIB));

	dead[5000] = 1;
	gca_collect(m);
	dead[5000] = 2;
}

static void test_asan(void)
{
	char output[4096];
	int status;

	if (!TEST_ASAN) {
		skip(4, "not an ASan build");
		return;
	}
	status = child_output(use_after_collect, output, sizeof(output));
	ok(status, "a use after collection ends the process");
	ok(strstr(output, "AddressSanitizer: use-after-poison"), "with ASan's report");
	status = child_output(use_after_collect_large, output, sizeof(output));
	ok(status, "the same of a large object");
	ok(strstr(output, "AddressSanitizer: use-after-poison"), "with ASan's report");
}

static void traced_cycles(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;

	setenv("GCARENA_DEBUG", "gctrace=1", 1);
	heap = open_with(NULL);
	m = attach(heap, GCA_STACK_PRECISE);
	for (size_t i = 0; i < 9 * MIB; i += 1000)
		must(gca_new_bytes(m, 1000));
	gca_collect(m);
}

/* Go's line, which tools parse. */
#define GCTRACE_START	"gc %u @%lfs %u%%: "
#define GCTRACE_TIMES	"%lf+%lf+%lf ms clock, %lf+%lf/%lf/%lf+%lf ms cpu, "
#define GCTRACE_SIZES	"%u->%u->%u MB, %u MB goal, %u MB stacks, %u MB globals, %u P"
#define GCTRACE_FORMAT	GCTRACE_START GCTRACE_TIMES GCTRACE_SIZES

static void test_gctrace(void)
{
	unsigned int lines = 0, good = 0, forced = 0, ends = 0;
	char output[8192], *line, *rest = output;
	int status = child_output(traced_cycles, output, sizeof(output));

	eq(status, 0, "gctrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		double at, t1, t2, t3, c1, c2, c3, c4, c5;
		unsigned int n, percent, m1, m2, m3, goal, stacks, globals, procs;

		diag("%s", line);
		lines++;
		good += sscanf(line, GCTRACE_FORMAT, &n, &at, &percent, &t1, &t2, &t3, &c1, &c2,
			       &c3, &c4, &c5, &m1, &m2, &m3, &goal, &stacks, &globals,
			       &procs) == 18 && n == lines && goal >= 4 && m1 >= m3;
		forced += !!strstr(line, "(forced)");
		ends += c1 > 0 && c5 > 0;
	}
	ok(lines >= 3, "%u lines", lines);
	eq(good, lines, "each in Go's format, numbered");
	eq(forced, 1, "a forced one says so");
	eq(ends, lines, "and each with what its beginning and its end took");
}

static void traced_stops(void)
{
	struct gca_heap *heap = open_debug("gctrace=1", GCA_MODE_STOP_THE_WORLD, 100);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	for (unsigned int i = 0; i < 5; i++) {
		must(gca_new_bytes(m, MIB));
		gca_collect(m);
	}
}

static void traced_pacer(void)
{
	struct gca_heap *heap = open_debug("gctrace=1,pacertrace=1", GCA_MODE_CONCURRENT, 100);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	for (unsigned int i = 0; i < 4; i++) {
		GCA_FRAME(m, f, unsigned char *live);

		f.live = must(gca_new_bytes(m, (i + 3) * MIB));
		gca_collect(m);
	}
}

/* A line beside each cycle's: what it found alive is gctrace's, and so is the goal it sets. */
static void test_pacertrace(void)
{
	unsigned int cycles = 0, same = 0, goals = 0, start, end, live_mb, goal_mb;
	unsigned long long live = 0, goal = 0, before = 0;
	char output[16384], *line, *rest = output;

	eq(child_output(traced_pacer, output, sizeof(output)), 0, "pacertrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		const char *at = strstr(line, "; goal ");

		if (sscanf(line, "pacer: live %llu roots", &live) == 1 &&
		    at && sscanf(at, "; goal %llu", &goal) == 1)
			continue;
		at = strstr(line, " ms cpu, ");
		if (!at || sscanf(at, " ms cpu, %u->%u->%u MB, %u MB goal", &start, &end, &live_mb,
				  &goal_mb) != 4)
			continue;
		cycles++;
		same += live && live >> 20 == live_mb;
		goals += !before || before >> 20 == goal_mb;
		before = goal;
	}
	eq(cycles, 4, "cycles");
	eq(same, cycles, "each with a pacer's line of the same live bytes before it");
	eq(goals, cycles, "whose goal is the next one's");
}

#define GCTRACE_ENDS	"%15[^+]+%*[^+]+%15s ms clock, %15[^+]+%*[^+]+%15s ms"

/* One thread of the program is stopped, so each moment of a stop takes one CPU. */
static void test_gctrace_stops(void)
{
	unsigned int lines = 0, same = 0, some = 0;
	char output[8192], *line, *rest = output;

	eq(child_output(traced_stops, output, sizeof(output)), 0, "gctrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		char start[16], end[16], start_cpu[16], end_cpu[16];

		lines++;
		same += sscanf(line, "gc %*u @%*fs %*u%%: " GCTRACE_ENDS,
			       start, end, start_cpu, end_cpu) == 4 &&
			!strcmp(start, start_cpu) && !strcmp(end, end_cpu);
		some += strtod(end_cpu, NULL) > 0;
	}
	eq(lines, 5, "a line for each cycle");
	ok(some, "%u of them ended in a time that is printed", some);
	eq(same, lines, "of one stopped thread the clock's time is what CPUs have lost");
}

/* The collector has next to no share of the CPUs: whoever allocates is made to assist. */
static void traced_assists(void)
{
	struct gca_stats stats = { .size = sizeof(stats) };
	struct gca_heap *heap;
	struct gca_mutator *m;

	setenv("GCARENA_SHARE", "1", 1);
	heap = open_debug("gctrace=1", GCA_MODE_CONCURRENT, 100);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, gca_ref *live);

		f.live = must(gca_new_refs(m, 50000));
		for (size_t i = 0; i < 400000; i++)
			gca_store(m, &f.live[i % 50000], (void *)must(gca_new(m, node)));
		/* With the last cycle's line. */
		gca_collect(m);
		gca_stats(heap, &stats);
	}
	dprintf(STDERR_FILENO, "assisted %f\n", (double)stats.assist_ns / 1000000);
}

static void test_gctrace_assists(void)
{
	double assisted = -1, all = 0, slack = 0, one;
	char output[65536], *line, *rest = output;

	eq(child_output(traced_assists, output, sizeof(output)), 0, "gctrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		if (sscanf(line, "assisted %lf", &assisted) == 1)
			continue;
		line = strstr(line, " ms clock, ");
		if (!line || sscanf(line, " ms clock, %*f+%lf/", &one) != 1)
			continue;
		all += one;
		/* Two digits of it are printed, cut off. */
		slack += one / 10 + 0.001;
	}
	ok(assisted >= all - 0.001 && assisted <= all + slack,
	   "%f ms of assists are in the lines, of %f", all, assisted);
}

/* Go's part of the line, then the arena's. */
#define GCTRACE_MS	"[0-9]+(\\.[0-9]+)?"
#define GCTRACE_GO	"^gc [0-9]+ @[0-9]+\\.[0-9]+s [0-9]+%: " \
			GCTRACE_MS "\\+" GCTRACE_MS "\\+" GCTRACE_MS " ms clock, " \
			GCTRACE_MS "\\+" GCTRACE_MS "/" GCTRACE_MS "/" GCTRACE_MS "\\+" \
			GCTRACE_MS " ms cpu, [0-9]+->[0-9]+->[0-9]+ MB, [0-9]+ MB goal, " \
			"[0-9]+ MB stacks, [0-9]+ MB globals, [0-9]+ P( \\(forced\\))?"
#define GCTRACE_ARENA	"; arena: [0-9]+ MB in use, [0-9]+ MB idle, [0-9]+ MB released" \
			"(, (100|[0-9]{1,2})% huge)?$"
#define SCAVTRACE_LINE	"^scav [0-9]+ KiB work \\(bg\\), [0-9]+ KiB work \\(eager\\), " \
			"[0-9]+ KiB total, (100|[0-9]{1,2})% util( \\(forced\\))?$"

#define SCAVTRACE_WORK	"scav %lu KiB work (bg), %lu KiB work (eager), "
#define SCAVTRACE_FORMAT SCAVTRACE_WORK "%lu KiB total, %u%% util"

static bool matches(const char *line, const char *pattern)
{
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		bail("regcomp: %s", pattern);
	found = !regexec(&regex, line, 0, NULL, 0);
	regfree(&regex);
	return found;
}

/* 8 MiB that live, and 16 MiB that do not, in objects of 1 MiB. */
#define TRACED_LIVE	(8 * MIB)
#define TRACED_DEAD	(16 * MIB)

static void leave_garbage(struct gca_mutator *m)
{
	for (size_t bytes = 0; bytes < TRACED_DEAD; bytes += MIB)
		memset(must(gca_new_bytes(m, MIB)), 1, MIB);
}

static void traced_arena(void)
{
	struct gca_heap *heap = open_debug("gctrace=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, unsigned char *live);
		f.live = must(gca_new_bytes(m, TRACED_LIVE));
		leave_garbage(m);
		gca_release(m);
		gca_collect(m);
	}
}

static void test_gctrace_arena(void)
{
	unsigned int lines = 0, good = 0, mb = 0, idle = 0, released = 0;
	char output[8192], *line, *rest = output;

	eq(child_output(traced_arena, output, sizeof(output)), 0, "gctrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		const char *arena = strstr(line, "; arena: ");

		diag("%s", line);
		lines++;
		good += matches(line, GCTRACE_GO GCTRACE_ARENA);
		if (!arena || sscanf(arena, "; arena: %u MB in use, %u MB idle, %u MB released",
				     &mb, &idle, &released) != 3)
			mb = 0;
	}
	eq(lines, 2, "a line for the release and one for the collection");
	eq(good, lines, "each in Go's format, then the arena's figures");
	ok(mb >= TRACED_LIVE / MIB && mb < (TRACED_LIVE + TRACED_DEAD) / MIB,
	   "%u MB in use after a release", mb);
	ok(released >= TRACED_DEAD / MIB && released <= idle, "%u MB of %u MB idle released",
	   released, idle);
}

/* Gives back by gca_release(), by nobody's call as the arena's worker does, and not at all. */
static void released_twice(void)
{
	struct gcarena_scavenge args = { .size = sizeof(args), .flags = GCARENA_SCAVENGE_ALL };
	struct gca_heap *heap;
	struct gca_mutator *m;

	heap = open_debug("scavtrace=1", GCA_MODE_STOP_THE_WORLD, GCA_PERCENT_OFF);
	m = attach(heap, GCA_STACK_PRECISE);
	{
		GCA_FRAME(m, f, unsigned char *live);
		f.live = must(gca_new_bytes(m, TRACED_LIVE));
		leave_garbage(m);
		dprintf(STDERR_FILENO, "released %zu\n", gca_release(m) >> 10);
		leave_garbage(m);
		gca_collect(m);
		heap->ops->scavenge(heap, &args);
		gca_collect(m);
		/* Mostly nothing is left, but a device may have stocked its reserve meanwhile. */
		dprintf(STDERR_FILENO, "again %zu\n", gca_release(m) >> 10);
		gca_collect(m);
	}
}

static void test_scavtrace(void)
{
	unsigned long released = 0, again = 0, bg[3] = { 0 }, eager[3] = { 0 }, total[3] = { 0 };
	unsigned int lines = 0, good = 0, util[3] = { 0 };
	bool forced[3] = { false };
	char output[8192], *line, *rest = output;
	int status = child_output(released_twice, output, sizeof(output));

	eq(status, 0, "scavtrace=1: the program runs");
	while ((line = strsep(&rest, "\n")) && *line) {
		diag("%s", line);
		if (sscanf(line, "released %lu", &released) == 1 ||
		    sscanf(line, "again %lu", &again) == 1)
			continue;
		good += matches(line, SCAVTRACE_LINE);
		if (lines < 3 && sscanf(line, SCAVTRACE_FORMAT, &bg[lines], &eager[lines],
					&total[lines], &util[lines]) == 4)
			forced[lines] = strstr(line, "(forced)");
		lines++;
	}
	eq(lines, again ? 3 : 2, "a line where something was given back, none where nothing was");
	eq(good, lines, "each in Go's format");
	ok(forced[0] && !forced[1], "the release's says so");
	ok(released >= TRACED_DEAD >> 10, "it gave back %lu KiB", released);
	eq(eager[0], released, "all of it eagerly");
	eq(eager[2], again, "the second release's says what that gave back: %lu KiB", again);
	ok(bg[1] >= TRACED_DEAD >> 10 && !eager[1], "the other tells of %lu KiB in the background",
	   bg[1]);
	ok(total[0] >= released && total[1] >= TRACED_DEAD >> 10, "totals: %lu, %lu KiB", total[0],
	   total[1]);
	ok(util[0] >= 50 && util[1] >= 50, "what is left is used: %u%%, %u%%", util[0], util[1]);
}

/* Two sizes that take as many pages: what the longer array held must not be
 * looked for behind the end of the shorter one that comes to lie there.
 */
static void test_shadow_reuse(void)
{
	enum { LONG = 7 * 1024 - 1, SHORT = 6 * 1024, ARRAYS = 64 };
	struct gca_heap *heap = open_debug("shadow=1", GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, gca_ref *array; gca_ref *all);
		for (unsigned int i = 0; i < ARRAYS; i++) {
			f.array = must(gca_new_refs(m, LONG));
			for (unsigned int j = 0; j < LONG; j++)
				gca_store(m, &f.array[j], f.array);
		}
		f.array = NULL;
		gca_collect(m);
		f.all = must(gca_new_refs(m, ARRAYS));
		for (unsigned int i = 0; i < ARRAYS; i++)
			gca_store(m, &f.all[i], must(gca_new_refs(m, SHORT)));
		gca_collect(m);
		eq(reports.count, 0, "a shorter array where a longer one was: silent");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	test_silent("verify=1", GCA_MODE_CONCURRENT);
	test_silent("verify=1", GCA_MODE_STOP_THE_WORLD);
	test_silent("shadow=1", GCA_MODE_CONCURRENT);
	test_silent("poison=1", GCA_MODE_CONCURRENT);
	test_silent("verify=1,shadow=1,poison=1", GCA_MODE_CONCURRENT);
	test_faults();
	test_default_report();
	test_shadow();
	test_shadow_reuse();
	test_names();
	test_mark_stack();
	test_open_without_memory();
	test_bad_pointers();
	test_poison();
	test_asan();
	test_gctrace();
	test_gctrace_stops();
	test_pacertrace();
	test_gctrace_assists();
	test_gctrace_arena();
	test_scavtrace();
	return tap_done();
}
