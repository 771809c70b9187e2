// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The core's unit tests (selftests/core/units.c) as a KUnit suite: the same
 * program, but with the kernel's locks, lists, bit operations and memory under
 * the core, and with KASAN and lockdep watching.
 *
 * The module consists of the core, the test host and the tests, in this one
 * object; shim/ has what they want of a C library.  One case at a time.
 */
#include <kunit/test.h>
#include <linux/module.h>

#include "core_host.h"

/* As in lib/shim, but only to count them: where complaints go. */
static void (*gca_complaint)(const char *text);

#undef gca_complain
#define gca_complain(format, ...) do { \
	if (gca_complaint) \
		gca_complaint(""); \
	else \
		pr_err("gcarena: " format "\n", ##__VA_ARGS__); \
} while (0)

#include "core_sources.h"

/* As in lib/shim: what the test host begins with. */
struct gca_tables {
	struct gcarena_row *spans;
	u64 *bitmap[2];
	struct gcarena_status *status;
};

struct gcarena_row *gca_host_row(void *host, u32 page)
{
	return ((struct gca_tables *)host)->spans + page;
}

u64 *gca_host_line(void *host, unsigned int which, u32 page)
{
	return ((struct gca_tables *)host)->bitmap[which] + (size_t)page * GCARENA_LINE_WORDS;
}

struct gcarena_status *gca_host_status(void *host)
{
	return ((struct gca_tables *)host)->status;
}

/* The case that runs; shim/tap.h tells it. */
static struct kunit *tap_test;

#include "units.c"

static void core_unit_describe(const struct unit *unit, char *text)
{
	strscpy(text, unit->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(core_unit, units, core_unit_describe);

static void core_unit(struct kunit *test)
{
	const struct unit *unit = test->param_value;

	tap_test = test;
	gca_complaint = NULL;
	unit->run();
}

static struct kunit_case core_cases[] = {
	KUNIT_CASE_PARAM(core_unit, core_unit_gen_params),
	{}
};

static struct kunit_suite core_suite = {
	.name = "gcarena_core",
	.test_cases = core_cases,
};

kunit_test_suite(core_suite);

MODULE_DESCRIPTION("KUnit: the span core of gcarena");
MODULE_LICENSE("Dual MIT/GPL");
