// SPDX-License-Identifier: MIT
/*
 * Calls: what a refill and a return cost, one span and batches, beside a system
 * call and an ioctl that return at once.  The floor for every other figure here.
 */
#include <sys/syscall.h>

#include "bench.h"

#define CALLS	256
#define BATCH	64

static struct bench_arena arena;
static struct gcarena_span spans[BATCH];

static void run_getppid(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
}

/* Refused by its size field, after one word was read from the caller. */
static void run_null_ioctl(void *arg)
{
	struct gcarena_return args = { .size = 0 };

	for (int i = 0; i < CALLS; i++)
		ioctl(arena.fd, GCARENA_IOC_RETURN, &args);
}

static void run_empty_return(void *arg)
{
	for (int i = 0; i < CALLS; i++)
		bench_return(&arena, NULL, 0);
}

/* A bit in each span, so that it goes to the lists with room in it. */
static void mark(unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		arena.bits[spans[i].generation & 1][(uint64_t)spans[i].page * 8] |= 1;
}

static void refill(void *arg)
{
	unsigned int nr = *(unsigned int *)arg;

	if (bench_refill(&arena, BENCH_C64, 0, spans, nr) != nr)
		bench_die("%u spans wanted", nr);
	mark(nr);
}

static void give(void *arg)
{
	unsigned int nr = *(unsigned int *)arg;

	if (bench_return(&arena, spans, nr) != nr)
		bench_die("%u spans back", nr);
}

/* The steady state of an allocating thread: full spans in, spans with room out. */
static void exchange(void *arg)
{
	unsigned int nr = *(unsigned int *)arg;
	struct gcarena_refill args = {
		.size = sizeof(args),
		.spent = (uintptr_t)spans,
		.ready = (uintptr_t)spans,
		.nr_spent = nr,
		.nr_ready = nr,
		.span_class = BENCH_C64,
	};

	if (ioctl(arena.fd, GCARENA_IOC_REFILL, &args) || args.nr_ready != nr)
		bench_die("%u spans for others", nr);
	mark(nr);
}

static const struct bench floors[] = {
	{ "system", "getppid", "call", CALLS, NULL, run_getppid, NULL },
	{ "arena", "ioctl that returns at once", "call", CALLS, NULL, run_null_ioctl, NULL },
	{ "arena", "return of nothing", "call", CALLS, NULL, run_empty_return, NULL },
};

static const struct bench singles[] = {
	{ "arena", "refill, central list, 1", "span", 1, NULL, refill, give },
	{ "arena", "return, 1", "span", 1, refill, give, NULL },
	{ "arena", "return and refill in one call, 1", "span", 1, NULL, exchange, NULL },
};

static const struct bench batches[] = {
	{ "arena", "refill, central list, 64", "span", BATCH, NULL, refill, give },
	{ "arena", "return, 64", "span", BATCH, refill, give, NULL },
	{ "arena", "return and refill in one call, 64", "span", BATCH, NULL, exchange, NULL },
};

int main(void)
{
	unsigned int one = 1, batch = BATCH;
	unsigned int i;

	bench_open(&arena, 64ULL << 20, NULL);
	for (i = 0; i < 3; i++)
		bench_row(&floors[i], NULL);
	for (i = 0; i < 3; i++) {
		/* The last of each finds spans in hand. */
		if (i == 2)
			refill(&batch);
		bench_row(&singles[i], &one);
		bench_row(&batches[i], &batch);
	}
	bench_close(&arena);
	return 0;
}
