/* SPDX-License-Identifier: MIT */
/*
 * tap.h: what the C tests need of the Test Anything Protocol.
 *
 * A program calls ok() and its kin, then ends with "return tap_done();", which
 * prints the plan and gives the exit status.  A crash, an exit() in between or
 * a hang therefore leaves no plan, and prove counts the program as failed.
 *
 * One thread at a time and one process reports: a forked child talks to its
 * parent by exit status or pipe and leaves by _exit(), never through ok().
 */
#ifndef SELFTESTS_TAP_H
#define SELFTESTS_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned int tap_count;
static unsigned int tap_failed;

/* A comment line: shown by prove -v, and with a failure. */
#define diag(...)							\
	do {								\
		printf("# ");						\
		printf(__VA_ARGS__);					\
		printf("\n");						\
		fflush(stdout);						\
	} while (0)

__attribute__((format(printf, 5, 6), unused))
static bool tap_ok_(bool pass, const char *file, int line, const char *what, const char *fmt, ...)
{
	va_list ap;

	tap_count++;
	printf("%sok %u - ", pass ? "" : "not ", tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!pass) {
		tap_failed++;
		printf("#   %s:%d: %s\n", file, line, what);
	}
	fflush(stdout);
	return pass;
}

/* ok(condition, "name", ...): one result; its value is the condition. */
#define ok(cond, ...)	tap_ok_(!!(cond), __FILE__, __LINE__, #cond, __VA_ARGS__)

__attribute__((format(printf, 7, 8), unused))
static bool tap_eq_(long long got, long long want, const char *file, int line, const char *what,
		    const char *wanted, const char *fmt, ...)
{
	bool pass = got == want;
	char name[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	tap_ok_(pass, file, line, what, "%s", name);
	if (!pass)
		printf("#   got %lld (%#llx), want %lld (%s)\n", got, got, want, wanted);
	fflush(stdout);
	return pass;
}

/* eq(got, want, "name", ...): like ok(got == want), and shows both. */
#define eq(got, want, ...)						\
	tap_eq_((long long)(got), (long long)(want), __FILE__, __LINE__, #got, #want, __VA_ARGS__)

/* skip(count, "reason"): results that cannot be had here; they do not fail. */
__attribute__((unused))
static void skip(unsigned int count, const char *reason)
{
	while (count--)
		printf("ok %u # SKIP %s\n", ++tap_count, reason);
	fflush(stdout);
}

/* skip_all("reason"): the whole program cannot run here; does not return. */
__attribute__((noreturn, unused))
static void skip_all(const char *reason)
{
	printf("1..0 # SKIP %s\n", reason);
	exit(0);
}

/* bail("reason"): nothing after this could mean anything; does not return. */
#define bail(...)							\
	do {								\
		printf("Bail out! ");					\
		printf(__VA_ARGS__);					\
		printf("\n");						\
		exit(255);						\
	} while (0)

/* The plan, and what main() returns. */
__attribute__((unused))
static int tap_done(void)
{
	printf("1..%u\n", tap_count);
	if (tap_failed)
		printf("# %u of %u failed\n", tap_failed, tap_count);
	fflush(stdout);
	return tap_failed ? 1 : 0;
}

#endif /* SELFTESTS_TAP_H */
