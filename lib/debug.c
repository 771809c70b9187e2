// SPDX-License-Identifier: MIT
/*
 * Errors, reports and assertions: everything that the library says in words.
 *
 * gca_error() is the calling thread's and is overwritten by its next failure.  A
 * report is a failed check's; it goes to the program's handler or ends the
 * process.  Neither allocates.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

#define ERROR_MAX	256	/* bytes, cut when longer */
#define REPORT_MAX	1024

static __thread char last_error[ERROR_MAX];

/**
 * gca_error - the calling thread's last failure in a sentence
 *
 * Return: never NULL; empty before the first failure.
 */
const char *gca_error(void)
{
	return last_error;
}

/**
 * error_set - remember a failure
 * @error: a negative errno
 * @format: a sentence, as for printf()
 *
 * Return: @error.
 */
int error_set(int error, const char *format, ...)
{
	char text[ERROR_MAX];	/* an argument may be last_error */
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(last_error, text, sizeof(text));
	return error;
}

/**
 * gca_report - a check has found something
 * @heap: in this heap
 * @format: what, as for printf()
 */
void gca_report(struct gca_heap *heap, const char *format, ...)
{
	UNCANCELLED();
	char text[REPORT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (heap->report) {
		heap->report(heap, text, heap->report_arg);
		return;
	}
	fprintf(stderr, "gcarena: %s\n", text);
	abort();
}

/**
 * gca_warn - something is odd, and nothing is wrong
 * @heap: in this heap
 * @format: what, as for printf()
 */
void gca_warn(struct gca_heap *heap, const char *format, ...)
{
	UNCANCELLED();
	char text[REPORT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (heap->report)
		heap->report(heap, text, heap->report_arg);
	else
		fprintf(stderr, "gcarena: %s\n", text);
}

/**
 * assertion_failed - an invariant does not hold
 * @condition: which
 * @file: where
 * @line: where
 */
void assertion_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "gcarena: %s:%d: assertion failed: %s\n", file, line, condition);
	abort();
}
