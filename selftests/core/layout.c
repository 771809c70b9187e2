// SPDX-License-Identifier: MIT
/*
 * The contract's layout against a kept one: every structure, field, constant
 * and ioctl number of uapi/linux/gcarena.h, on 64 and on 32 bit.
 *
 * A difference is a break of the ABI, or a new thing that belongs into
 * uapi-layout.expected ("layout -d" prints it).  Fields must fill their
 * structure without holes, so that none can be missing here; constants are
 * counted in the header.  The 32-bit compiler is asked by way of static
 * assertions made from the kept text, which needs neither 32-bit headers nor
 * a 32-bit C library.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/gcarena.h>

#include "tap.h"

#define EXPECTED	"selftests/core/uapi-layout.expected"
#define HEADER		"uapi/linux/gcarena.h"
#define LINE_MAX_	160

#define LAYOUT(STRUCT, FIELD) \
	STRUCT(gcarena_row) \
	FIELD(gcarena_row, word0) \
	FIELD(gcarena_row, word1) \
	STRUCT(gcarena_class) \
	FIELD(gcarena_class, elem_size) \
	FIELD(gcarena_class, npages) \
	FIELD(gcarena_class, flags) \
	STRUCT(gcarena_policy) \
	FIELD(gcarena_policy, size) \
	FIELD(gcarena_policy, flags) \
	FIELD(gcarena_policy, limit_bytes) \
	FIELD(gcarena_policy, retain_bytes) \
	FIELD(gcarena_policy, reserve_chunks) \
	FIELD(gcarena_policy, watermark_high) \
	FIELD(gcarena_policy, watermark_max) \
	FIELD(gcarena_policy, watermark_low) \
	FIELD(gcarena_policy, node) \
	FIELD(gcarena_policy, reserved) \
	FIELD(gcarena_policy, reserved2) \
	STRUCT(gcarena_features) \
	FIELD(gcarena_features, size) \
	FIELD(gcarena_features, flags) \
	FIELD(gcarena_features, features) \
	FIELD(gcarena_features, heap_size_max) \
	FIELD(gcarena_features, classes_max) \
	FIELD(gcarena_features, batch_max) \
	FIELD(gcarena_features, setup_size) \
	FIELD(gcarena_features, policy_size) \
	FIELD(gcarena_features, refill_size) \
	FIELD(gcarena_features, stats_size) \
	FIELD(gcarena_features, status_size) \
	FIELD(gcarena_features, reserved) \
	STRUCT(gcarena_setup) \
	FIELD(gcarena_setup, size) \
	FIELD(gcarena_setup, flags) \
	FIELD(gcarena_setup, heap_size) \
	FIELD(gcarena_setup, classes) \
	FIELD(gcarena_setup, nr_classes) \
	FIELD(gcarena_setup, class_size) \
	FIELD(gcarena_setup, policy) \
	FIELD(gcarena_setup, spans_offset) \
	FIELD(gcarena_setup, spans_size) \
	FIELD(gcarena_setup, bitmaps_offset) \
	FIELD(gcarena_setup, bitmap_size) \
	FIELD(gcarena_setup, status_offset) \
	FIELD(gcarena_setup, status_size) \
	FIELD(gcarena_setup, id) \
	FIELD(gcarena_setup, reserved) \
	STRUCT(gcarena_span) \
	FIELD(gcarena_span, page) \
	FIELD(gcarena_span, npages) \
	FIELD(gcarena_span, span_class) \
	FIELD(gcarena_span, flags) \
	FIELD(gcarena_span, generation) \
	STRUCT(gcarena_refill) \
	FIELD(gcarena_refill, size) \
	FIELD(gcarena_refill, flags) \
	FIELD(gcarena_refill, spent) \
	FIELD(gcarena_refill, ready) \
	FIELD(gcarena_refill, nr_spent) \
	FIELD(gcarena_refill, nr_ready) \
	FIELD(gcarena_refill, npages) \
	FIELD(gcarena_refill, span_class) \
	FIELD(gcarena_refill, reserved) \
	FIELD(gcarena_refill, node) \
	FIELD(gcarena_refill, reserved2) \
	STRUCT(gcarena_return) \
	FIELD(gcarena_return, size) \
	FIELD(gcarena_return, flags) \
	FIELD(gcarena_return, spent) \
	FIELD(gcarena_return, nr_spent) \
	FIELD(gcarena_return, reserved) \
	STRUCT(gcarena_sweep) \
	FIELD(gcarena_sweep, size) \
	FIELD(gcarena_sweep, flags) \
	FIELD(gcarena_sweep, generation) \
	FIELD(gcarena_sweep, nr_spans) \
	FIELD(gcarena_sweep, left) \
	STRUCT(gcarena_scavenge) \
	FIELD(gcarena_scavenge, size) \
	FIELD(gcarena_scavenge, flags) \
	FIELD(gcarena_scavenge, bytes) \
	STRUCT(gcarena_policy_call) \
	FIELD(gcarena_policy_call, size) \
	FIELD(gcarena_policy_call, flags) \
	FIELD(gcarena_policy_call, policy) \
	STRUCT(gcarena_run) \
	FIELD(gcarena_run, page) \
	FIELD(gcarena_run, npages) \
	FIELD(gcarena_run, state) \
	FIELD(gcarena_run, in_use) \
	STRUCT(gcarena_residency) \
	FIELD(gcarena_residency, size) \
	FIELD(gcarena_residency, flags) \
	FIELD(gcarena_residency, page) \
	FIELD(gcarena_residency, npages) \
	FIELD(gcarena_residency, runs) \
	FIELD(gcarena_residency, nr_runs) \
	FIELD(gcarena_residency, reserved) \
	STRUCT(gcarena_collapse) \
	FIELD(gcarena_collapse, size) \
	FIELD(gcarena_collapse, flags) \
	FIELD(gcarena_collapse, chunks) \
	FIELD(gcarena_collapse, nr_chunks) \
	FIELD(gcarena_collapse, nr_huge) \
	STRUCT(gcarena_counters) \
	FIELD(gcarena_counters, heap_sys) \
	FIELD(gcarena_counters, heap_inuse) \
	FIELD(gcarena_counters, heap_idle) \
	FIELD(gcarena_counters, heap_released) \
	FIELD(gcarena_counters, heap_manual) \
	FIELD(gcarena_counters, meta_sys) \
	FIELD(gcarena_counters, spans_inuse) \
	FIELD(gcarena_counters, spans_held) \
	FIELD(gcarena_counters, chunks_backed) \
	FIELD(gcarena_counters, chunks_small) \
	FIELD(gcarena_counters, chunks_idle) \
	FIELD(gcarena_counters, swept_spans) \
	FIELD(gcarena_counters, swept_freed) \
	FIELD(gcarena_counters, refill_calls) \
	FIELD(gcarena_counters, refill_spans) \
	FIELD(gcarena_counters, refill_central) \
	FIELD(gcarena_counters, refill_swept) \
	FIELD(gcarena_counters, refill_fresh) \
	FIELD(gcarena_counters, refill_backed) \
	FIELD(gcarena_counters, refill_failed) \
	FIELD(gcarena_counters, back_small) \
	FIELD(gcarena_counters, returned_spans) \
	FIELD(gcarena_counters, scavenged_bytes) \
	FIELD(gcarena_counters, scavenge_broken) \
	FIELD(gcarena_counters, worker_ns) \
	FIELD(gcarena_counters, worker_wakeups) \
	FIELD(gcarena_counters, cycles) \
	FIELD(gcarena_counters, shrink_calls) \
	FIELD(gcarena_counters, shrink_bytes) \
	FIELD(gcarena_counters, scavenge_kept) \
	FIELD(gcarena_counters, scavenge_inside) \
	FIELD(gcarena_counters, heap_holes) \
	FIELD(gcarena_counters, collapsed) \
	FIELD(gcarena_counters, collapse_failed) \
	FIELD(gcarena_counters, reserve_backed) \
	FIELD(gcarena_counters, reserve_taken) \
	FIELD(gcarena_counters, reserve_released) \
	FIELD(gcarena_counters, reserve_failed) \
	FIELD(gcarena_counters, reserve_backoffs) \
	FIELD(gcarena_counters, pressure_events) \
	FIELD(gcarena_counters, heap_ready) \
	FIELD(gcarena_counters, spans_ready) \
	FIELD(gcarena_counters, refill_ready) \
	FIELD(gcarena_counters, refill_hits) \
	FIELD(gcarena_counters, ready_drained) \
	FIELD(gcarena_counters, chunks_withheld) \
	FIELD(gcarena_counters, refill_remote) \
	STRUCT(gcarena_stats) \
	FIELD(gcarena_stats, size) \
	FIELD(gcarena_stats, flags) \
	FIELD(gcarena_stats, sequence) \
	FIELD(gcarena_stats, generation) \
	FIELD(gcarena_stats, sweeping) \
	FIELD(gcarena_stats, sweep_left) \
	FIELD(gcarena_stats, counters) \
	STRUCT(gcarena_status) \
	FIELD(gcarena_status, size) \
	FIELD(gcarena_status, update) \
	FIELD(gcarena_status, sequence) \
	FIELD(gcarena_status, generation) \
	FIELD(gcarena_status, sweeping) \
	FIELD(gcarena_status, sweep_left) \
	FIELD(gcarena_status, pressure) \
	FIELD(gcarena_status, nr_collapse) \
	FIELD(gcarena_status, pressure_sequence) \
	FIELD(gcarena_status, reserve_chunks) \
	FIELD(gcarena_status, pressure_causes) \
	FIELD(gcarena_status, reserved) \
	FIELD(gcarena_status, counters) \
	FIELD(gcarena_status, collapse)

#define CONSTANTS(C) \
	C(GCARENA_CHUNK_SHIFT) \
	C(GCARENA_PAGE_SHIFT) \
	C(GCARENA_GRANULE_SHIFT) \
	C(GCARENA_CHUNK_SIZE) \
	C(GCARENA_PAGE_SIZE) \
	C(GCARENA_GRANULE_SIZE) \
	C(GCARENA_CHUNK_PAGES) \
	C(GCARENA_PAGE_GRANULES) \
	C(GCARENA_LINE_SIZE) \
	C(GCARENA_LINE_WORDS) \
	C(GCARENA_HEAP_SIZE_MIN) \
	C(GCARENA_HEAP_SIZE_MAX) \
	C(GCARENA_CLASSES_MAX) \
	C(GCARENA_SPAN_PAGES_MAX) \
	C(GCARENA_BATCH_MAX) \
	C(GCARENA_OFF_HEAP) \
	C(GCARENA_OFF_SPANS) \
	C(GCARENA_OFF_BITMAPS) \
	C(GCARENA_OFF_STATUS) \
	C(GCARENA_ROW_CLASS_SHIFT) \
	C(GCARENA_ROW_OFFSET_SHIFT) \
	C(GCARENA_ROW_OFFSET_ESCAPE) \
	C(GCARENA_ROW_IN_USE) \
	C(GCARENA_ROW_LARGE) \
	C(GCARENA_ROW_STATE_SHIFT) \
	C(GCARENA_ROW_NPAGES_SHIFT) \
	C(GCARENA_ROW_GENERATION_SHIFT) \
	C(GCARENA_ROW_STATE_MASK) \
	C(GCARENA_ROW_NPAGES_MASK) \
	C(GCARENA_CLASS_LARGE) \
	C(GCARENA_CLASS_MANUAL) \
	C(GCARENA_CLASS_FLAGS) \
	C(GCARENA_WATERMARK_HIGH) \
	C(GCARENA_WATERMARK_MAX) \
	C(GCARENA_WATERMARK_LOW) \
	C(GCARENA_FEATURE_RESERVE) \
	C(GCARENA_FEATURE_SHRINKER) \
	C(GCARENA_FEATURE_PERCPU) \
	C(GCARENA_FEATURE_PRESSURE) \
	C(GCARENA_FEATURE_NUMA) \
	C(GCARENA_FEATURE_RESIDENCY) \
	C(GCARENA_FEATURE_COLLAPSE) \
	C(GCARENA_FEATURE_STICKY) \
	C(GCARENA_SWEEP_STICKY) \
	C(GCARENA_FEATURE_INSIDE) \
	C(GCARENA_SPAN_NEEDS_ZERO) \
	C(GCARENA_SPAN_SMALL) \
	C(GCARENA_SPAN_KEEP) \
	C(GCARENA_SCAVENGE_ALL) \
	C(GCARENA_SCAVENGE_INSIDE) \
	C(GCARENA_POLICY_SET) \
	C(GCARENA_RESIDENCY_PAGES) \
	C(GCARENA_COLLAPSE_MAX) \
	C(GCARENA_COLLAPSE_BEGIN) \
	C(GCARENA_PRESSURE_RECLAIM) \
	C(GCARENA_PRESSURE_HIGH) \
	C(GCARENA_PRESSURE_MAX) \
	C(GCARENA_STATUS_COLLAPSE) \
	C(GCARENA_FEATURES_SIZE_VER0) \
	C(GCARENA_SETUP_SIZE_VER0) \
	C(GCARENA_POLICY_SIZE_VER0) \
	C(GCARENA_REFILL_SIZE_VER0) \
	C(GCARENA_RETURN_SIZE_VER0) \
	C(GCARENA_SWEEP_SIZE_VER0) \
	C(GCARENA_SCAVENGE_SIZE_VER0) \
	C(GCARENA_POLICY_CALL_SIZE_VER0) \
	C(GCARENA_RESIDENCY_SIZE_VER0) \
	C(GCARENA_COLLAPSE_SIZE_VER0) \
	C(GCARENA_STATS_SIZE_VER0) \
	C(GCARENA_IOC_FEATURES) \
	C(GCARENA_IOC_SETUP) \
	C(GCARENA_IOC_REFILL) \
	C(GCARENA_IOC_RETURN) \
	C(GCARENA_IOC_START_SWEEP) \
	C(GCARENA_IOC_SWEEP_ASSIST) \
	C(GCARENA_IOC_SCAVENGE) \
	C(GCARENA_IOC_POLICY) \
	C(GCARENA_IOC_RESIDENCY) \
	C(GCARENA_IOC_COLLAPSE) \
	C(GCARENA_IOC_STATS) \
	C(GCARENA_STATE_FREE) \
	C(GCARENA_STATE_READY) \
	C(GCARENA_STATE_HELD) \
	C(GCARENA_STATE_SWEPT) \
	C(GCARENA_STATE_UNSWEPT) \
	C(GCARENA_STATE_SWEEPING) \
	C(GCARENA_STATE_MANUAL) \
	C(GCARENA_STATE_TRANSIT) \
	C(GCARENA_RES_RELEASED) \
	C(GCARENA_RES_SMALL) \
	C(GCARENA_RES_HUGE) \
	C(GCARENA_RES_SWAPPED) \
	C(GCARENA_PRESSURE_NONE) \
	C(GCARENA_PRESSURE_SOME) \
	C(GCARENA_PRESSURE_FULL)

struct item {
	const char *structure;
	const char *field;	/* NULL: the structure itself */
	size_t offset;
	size_t size;
};

#define ITEM_STRUCT(s)		{ #s, NULL, 0, sizeof(struct s) },
#define ITEM_FIELD(s, f)	{ #s, #f, offsetof(struct s, f), sizeof(((struct s *)0)->f) },

static const struct item items[] = {
	LAYOUT(ITEM_STRUCT, ITEM_FIELD)
};

struct constant {
	const char *name;
	unsigned long long value;
};

#define CONSTANT(c)	{ #c, c },

static const struct constant constants[] = {
	CONSTANTS(CONSTANT)
};

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static void item_text(char *text, const struct item *item)
{
	if (item->field)
		snprintf(text, LINE_MAX_, "field %s %s %zu %zu\n", item->structure, item->field,
			 item->offset, item->size);
	else
		snprintf(text, LINE_MAX_, "struct %s %zu\n", item->structure, item->size);
}

static void constant_text(char *text, const struct constant *constant)
{
	snprintf(text, LINE_MAX_, "constant %s %llu\n", constant->name, constant->value);
}

static int dump(void)
{
	char text[LINE_MAX_];
	size_t i;

	for (i = 0; i < COUNT(items); i++) {
		item_text(text, &items[i]);
		fputs(text, stdout);
	}
	for (i = 0; i < COUNT(constants); i++) {
		constant_text(text, &constants[i]);
		fputs(text, stdout);
	}
	return 0;
}

static void compare_line(FILE *file, const char *text, unsigned int *different)
{
	char kept[LINE_MAX_] = "";

	if (!fgets(kept, sizeof(kept), file) || strcmp(kept, text)) {
		diag("kept: %.*s, is: %.*s", (int)strcspn(kept, "\n"), kept,
		     (int)strcspn(text, "\n"), text);
		++*different;
	}
}

static void compare(void)
{
	FILE *file = fopen(EXPECTED, "r");
	unsigned int different = 0;
	char text[LINE_MAX_];
	size_t i;

	if (!ok(file, "%s is there", EXPECTED))
		return;
	for (i = 0; i < COUNT(items); i++) {
		item_text(text, &items[i]);
		compare_line(file, text, &different);
	}
	for (i = 0; i < COUNT(constants); i++) {
		constant_text(text, &constants[i]);
		compare_line(file, text, &different);
	}
	ok(!different && fgetc(file) == EOF, "layout is as kept");
	fclose(file);
}

/* Each field begins where the one before it ends, and the last ends it. */
static void check_holes(void)
{
	unsigned int holes = 0;
	size_t end = 0;
	size_t size = 0;
	size_t i;

	for (i = 0; i < COUNT(items); i++) {
		if (!items[i].field) {
			holes += end != size;
			size = items[i].size;
			end = 0;
		} else {
			if (items[i].offset != end)
				diag("hole before %s.%s", items[i].structure, items[i].field);
			holes += items[i].offset != end;
			end = items[i].offset + items[i].size;
		}
	}
	holes += end != size;
	ok(!holes, "no structure has a hole or a field unknown here");
}

/* Macros with a value, and enumerators, as the header has them. */
static void check_complete(void)
{
	FILE *file = fopen(HEADER, "r");
	char text[LINE_MAX_], name[LINE_MAX_];
	unsigned int unknown = 0;
	size_t i;

	if (!ok(file, "%s is there", HEADER))
		return;
	while (fgets(text, sizeof(text), file)) {
		if (sscanf(text, "#define GCARENA_%100[A-Z0-9_] %*[^\n]", name) != 1 &&
		    sscanf(text, " GCARENA_%100[A-Z0-9_] =", name) != 1)
			continue;
		if (!strchr(text, ' ') || !strcmp(name, "IOC_MAGIC"))
			continue;
		for (i = 0; i < COUNT(constants); i++)
			if (!strcmp(constants[i].name + strlen("GCARENA_"), name))
				break;
		if (i == COUNT(constants)) {
			diag("unknown: GCARENA_%s", name);
			unknown++;
		}
	}
	fclose(file);
	ok(!unknown, "no constant of the header is unknown here");
}

/* The same assertions from the kept text, through the compiler. */
static bool compiles(const char *flags)
{
	char command[256], kept[LINE_MAX_], s[LINE_MAX_], f[LINE_MAX_];
	FILE *file = fopen(EXPECTED, "r");
	unsigned long long n, m;
	FILE *pipe;

	/* The 64-bit headers serve: the contract asks for fixed sizes only. */
	snprintf(command, sizeof(command),
		 "${CC:-cc} %s -fsyntax-only -Iuapi -idirafter %s -x c - 2>&1", flags,
		 "/usr/include/$(uname -m)-linux-gnu");
	pipe = file ? popen(command, "w") : NULL;
	if (!pipe) {
		if (file)
			fclose(file);
		return false;
	}
	fprintf(pipe, "#include <stddef.h>\n#include <linux/gcarena.h>\n"
		"#define SAME(a, b) _Static_assert((a) == (b), #a)\n");
	while (fgets(kept, sizeof(kept), file)) {
		if (sscanf(kept, "struct %159s %llu", s, &n) == 2)
			fprintf(pipe, "SAME(sizeof(struct %s), %llu);\n", s, n);
		else if (sscanf(kept, "field %159s %159s %llu %llu", s, f, &n, &m) == 4)
			fprintf(pipe, "SAME(offsetof(struct %s, %s), %llu);\n"
				"SAME(sizeof(((struct %s *)0)->%s), %llu);\n", s, f, n, s, f, m);
		else if (sscanf(kept, "constant %159s %llu", s, &n) == 2)
			fprintf(pipe, "SAME((unsigned long long)%s, %lluULL);\n", s, n);
	}
	fclose(file);
	return !pclose(pipe);
}

static void check_32_bit(void)
{
	if (system("echo | ${CC:-cc} -m32 -fsyntax-only -x c - 2>/dev/null")) {
		skip(1, "the compiler has no -m32");
		return;
	}
	ok(compiles("-m32"), "the same on 32 bit");
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-d"))
		return dump();
	compare();
	check_holes();
	check_complete();
	ok(compiles("-std=c11"), "the same for a strict compiler");
	check_32_bit();
	return tap_done();
}
