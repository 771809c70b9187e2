/* SPDX-License-Identifier: MIT */
/*
 * Latency of batches of operations, in a histogram: what a thread adds to without
 * a lock, and quantiles of.  Buckets are of 6 %, sixteen to a power of two.
 *
 * Begun by laps_begin_scheduled(), what a thread waited for a CPU is taken off: a batch
 * that took long is looked at again, since the kernel's count costs a system call.
 *
 * Beside it the progress of the worst window of each length, in batches a nanosecond:
 * over the mean of all it is what a mutator's utilisation is, seen from outside, so that
 * every heap can be asked for it.
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Latency is that of so many operations, so that the clock costs nothing. */
#define BATCH		64u
#define BUCKETS		1024u
/* Shorter batches are not looked at again. */
#define LOOK_NS		10000u
#define WINDOWS		3u	/* of 1, 10 and 100 ms */

struct window {
	uint64_t ns, count;	/* of the one that runs: of work, not of waiting between */
	double worst;		/* batches a ns, of those that are over; 0: none is */
};

struct laps {
	uint64_t last;	/* ns: when the batch began */
	uint64_t count, ns;
	uint64_t worst;
	struct window windows[WINDOWS];
	uint64_t buckets[BUCKETS];
	int schedstat;		/* 0: waits for a CPU count */
	uint64_t waited;	/* ns, as of the last look */
};

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline unsigned int laps_bucket(uint64_t ns)
{
	unsigned int log;

	if (ns < 16)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	return ((log - 3) << 4) + (unsigned int)(ns >> (log - 4) & 15);
}

static inline void laps_begin(struct laps *laps)
{
	laps->last = now_ns();
}

/* Nanoseconds that the calling thread was runnable and did not run, ever. */
static inline uint64_t laps_waited(const struct laps *laps)
{
	unsigned long long ran, waited;
	char text[128];
	ssize_t length = pread(laps->schedstat, text, sizeof(text) - 1, 0);

	if (length <= 0)
		return 0;
	text[length] = 0;
	return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

/* By the thread itself; without CONFIG_SCHED_INFO the same as laps_begin(). */
static inline void laps_begin_scheduled(struct laps *laps)
{
	int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

	if (fd > 0) {
		laps->schedstat = fd;
		laps->waited = laps_waited(laps);
	}
	laps_begin(laps);
}

static inline void laps_worse(struct window *window, double rate)
{
	if (rate > 0 && (window->worst == 0 || rate < window->worst))
		window->worst = rate;
}

static inline void laps_windows(struct laps *laps, uint64_t ns)
{
	uint64_t length = 1000000;

	for (unsigned int i = 0; i < WINDOWS; i++, length *= 10) {
		struct window *window = &laps->windows[i];

		window->ns += ns;
		window->count++;
		if (window->ns < length)
			continue;
		laps_worse(window, (double)window->count / (double)window->ns);
		window->ns = 0;
		window->count = 0;
	}
}

/* After each batch. */
static inline void laps_next(struct laps *laps)
{
	uint64_t now = now_ns(), ns = now - laps->last, waited;

	laps->last = now;
	if (ns >= LOOK_NS && laps->schedstat) {
		waited = laps_waited(laps);
		ns -= waited - laps->waited < ns ? waited - laps->waited : ns;
		laps->waited = waited;
		/* The look itself is nobody's. */
		laps->last = now_ns();
	}
	laps->count++;
	laps->ns += ns;
	laps_windows(laps, ns);
	laps->buckets[laps_bucket(ns)]++;
	if (ns > laps->worst)
		laps->worst = ns;
}

static inline void laps_add(struct laps *to, const struct laps *from)
{
	to->count += from->count;
	to->ns += from->ns;
	for (unsigned int i = 0; i < WINDOWS; i++)
		laps_worse(&to->windows[i], from->windows[i].worst);
	if (from->worst > to->worst)
		to->worst = from->worst;
	for (unsigned int i = 0; i < BUCKETS; i++)
		to->buckets[i] += from->buckets[i];
}

/* In microseconds: the end of the bucket in which the quantile lies, or the worst. */
static inline double laps_quantile(const struct laps *laps, double q)
{
	uint64_t seen = 0;
	unsigned int i;

	for (i = 0; i < BUCKETS - 1; i++) {
		seen += laps->buckets[i];
		if ((double)seen >= q * (double)laps->count)
			break;
	}
	seen = i < 16 ? i : ((16ull + (i & 15) + 1) << ((i >> 4) - 1)) - 1;
	return (double)(seen < laps->worst ? seen : laps->worst) / 1e3;
}

/* Of window @i over the mean; 0 where none of its length was. */
static inline double laps_progress(const struct laps *laps, unsigned int i)
{
	return laps->ns ? laps->windows[i].worst * (double)laps->ns / (double)laps->count : 0;
}

#endif /* BENCH_LATENCY_H */
