/* SPDX-License-Identifier: MIT */
/*
 * What the library's tests share: heaps that are there or the test ends, random
 * numbers that can be repeated, sizes scaled to the machine.
 *
 * GCARENA_BACKEND chooses the backend for every test.  GCARENA_TEST_SCALE is
 * per cent of the usual amount of work; the default is 100, and 20 on the device,
 * whose guests are emulated.  GCARENA_TEST_SEED repeats a random test.
 */
#ifndef SELFTESTS_LIB_LIB_H
#define SELFTESTS_LIB_LIB_H

#include <errno.h>
#include <gcarena.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define KIB	(1UL << 10)
#define MIB	(1UL << 20)

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN	1
#else
#define TEST_ASAN	0
#endif

#define UNUSED		__attribute__((unused))
/* Its frame, and what it leaves in registers, is not its caller's. */
#define NOINLINE	__attribute__((noinline, noclone, unused))

static UNUSED bool test_on_device(void)
{
	const char *name = getenv("GCARENA_BACKEND");

	return name && !strcmp(name, "device");
}

/* @count, less on a slow machine, at least 1. */
static UNUSED size_t scaled(size_t count)
{
	const char *text = getenv("GCARENA_TEST_SCALE");
	size_t percent = text ? strtoul(text, NULL, 10) : test_on_device() ? 20 : 100;
	size_t result = count * percent / 100;

	return result ? result : 1;
}

/* xorshift64*: the same everywhere for the same seed. */
struct rng {
	uint64_t state;
};

static UNUSED struct rng rng_seeded(uint64_t salt)
{
	const char *text = getenv("GCARENA_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : 1;

	return (struct rng){ (seed + salt) * 0x9e3779b97f4a7c15ull | 1 };
}

static UNUSED uint64_t rng_next(struct rng *rng)
{
	rng->state ^= rng->state >> 12;
	rng->state ^= rng->state << 25;
	rng->state ^= rng->state >> 27;
	return rng->state * 0x2545f4914f6cdd1dull;
}

/* Below @bound, which is not 0. */
static UNUSED uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	return (rng_next(rng) >> 16) % bound;
}

static UNUSED struct gca_heap *open_with(const struct gca_config *config)
{
	struct gca_heap *heap = NULL;
	int err = gca_open(config, &heap);

	if (err)
		bail("gca_open: %s: %s", strerror(-err), gca_error());
	return heap;
}

/* A heap of @mode that collects only when told. */
static UNUSED struct gca_heap *open_quiet(enum gca_mode mode)
{
	struct gca_config config;

	gca_config_init(&config);
	config.mode = mode;
	config.percent = GCA_PERCENT_OFF;
	return open_with(&config);
}

/* What the checks have reported since the last open_debug(). */
static UNUSED struct {
	unsigned int count;
	char text[8192];	/* all of them, a line each */
} reports;

static UNUSED void count_report(struct gca_heap *heap, const char *text, void *arg)
{
	size_t used = strlen(reports.text);

	reports.count++;
	snprintf(reports.text + used, sizeof(reports.text) - used, "%s\n", text);
}

/* A heap with GCARENA_DEBUG=@debug, unless NULL, whose reports are counted. */
static UNUSED struct gca_heap *open_debug(const char *debug, enum gca_mode mode, int percent)
{
	struct gca_config config;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.mode = mode;
	config.percent = percent;
	if (debug)
		setenv("GCARENA_DEBUG", debug, 1);
	heap = open_with(&config);
	unsetenv("GCARENA_DEBUG");
	memset(&reports, 0, sizeof(reports));
	gca_set_report_handler(heap, count_report, NULL);
	return heap;
}

static UNUSED struct gca_mutator *attach(struct gca_heap *heap, unsigned int flags)
{
	struct gca_mutator *m = NULL;
	int err = gca_attach(heap, flags, &m);

	if (err)
		bail("gca_attach: %s: %s", strerror(-err), gca_error());
	return m;
}

/* An object, or the test is over. */
static UNUSED void *must(void *object)
{
	if (!object)
		bail("allocation failed: %s", gca_error());
	return object;
}

static UNUSED struct gca_stats stats_of(struct gca_heap *heap)
{
	struct gca_stats stats = { .size = sizeof(stats) };
	int err = gca_stats(heap, &stats);

	if (err)
		bail("gca_stats: %s", strerror(-err));
	return stats;
}

static UNUSED uint64_t live_objects(struct gca_mutator *m)
{
	if (gca_collect(m))
		bail("gca_collect: %s", gca_error());
	return stats_of(gca_heap_of(m)).heap_live_objects;
}

static UNUSED bool is_zero(const void *memory, size_t size)
{
	const unsigned char *byte = memory;

	return !size || (!byte[0] && !memcmp(byte, byte + 1, size - 1));
}

static UNUSED bool is_filled(const void *memory, unsigned char with, size_t size)
{
	const unsigned char *byte = memory;

	return !size || (byte[0] == with && !memcmp(byte, byte + 1, size - 1));
}

static UNUSED uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static UNUSED void sleep_ms(unsigned int ms)
{
	struct timespec ts = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

#endif /* SELFTESTS_LIB_LIB_H */
