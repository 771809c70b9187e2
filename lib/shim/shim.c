// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The little of lib/shim/core_host.h that is not inline: assertions, complaints,
 * and the tests' hooks.
 *
 * Must never allocate: it speaks when invariants are already broken.
 */
#include "core_host.h"

#include <stdarg.h>

/* Longer complaints are cut. */
#define COMPLAINT_MAX	256

bool (*gca_seam_fails)(enum gca_seam seam);
void (*gca_complaint)(const char *text);
__thread FILE *gca_complaints;
#if defined(__x86_64__) && !defined(__POPCNT__)
bool gca_have_popcnt;
#endif

/**
 * gca_assert_failed - end the program at a broken invariant
 * @condition: its text
 * @file: where
 * @line: where
 */
void gca_assert_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "gcarena: %s:%d: broken invariant: %s\n", file, line, condition);
	abort();
}

/**
 * gca_complain - say what a validator found
 * @format: as printf's, without a newline
 */
void gca_complain(const char *format, ...)
{
	char text[COMPLAINT_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (gca_complaint)
		gca_complaint(text);
	else if (gca_complaints)
		fprintf(gca_complaints, "%s\n", text);
	else
		fprintf(stderr, "gcarena: %s\n", text);
}
