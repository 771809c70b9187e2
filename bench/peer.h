/* SPDX-License-Identifier: MIT */
/*
 * The heaps that a C workload is compiled for, under one small set of names, so
 * that one source serves all: -DPEER_GCARENA, -DPEER_MALLOC (glibc, or whichever
 * malloc is preloaded), -DPEER_BDWGC.
 *
 * Everything here is inline or a macro: what is compared is the heaps, and a
 * wrapper must never cost what its heap does not.  A workload frees with
 * peer_free() where a program on malloc would; on a collector it is nothing.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEER_UNUSED	__attribute__((unused))

PEER_UNUSED __attribute__((noreturn))
static void peer_die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

#if defined(PEER_GCARENA)

#include <gcarena.h>

#define PEER_NAME	"gcarena"
#define PEER_COLLECTS	1

typedef struct gca_mutator *peer_thread;

static struct gca_heap *peer_heap;

PEER_UNUSED
static void peer_open(void)
{
	if (gca_open(NULL, &peer_heap))
		peer_die(gca_error());
}

PEER_UNUSED
static peer_thread peer_enter(void)
{
	struct gca_mutator *m;

	if (gca_attach(peer_heap, GCA_STACK_CONSERVATIVE, &m))
		peer_die(gca_error());
	return m;
}

PEER_UNUSED
static void peer_leave(peer_thread t)
{
	gca_detach(t);
}

#define PEER_STRUCT(tag, FIELDS)	GCA_STRUCT(tag, FIELDS)
#define peer_new(t, tag)		gca_new(t, tag)
#define peer_load(slot)			gca_load(slot)
#define peer_init(t, slot, value)	gca_init(t, slot, value)
#define peer_store(t, slot, value)	gca_store(t, slot, value)
#define peer_bytes(t, size)		gca_new_bytes(t, size)
#define peer_bytes_raw(t, size)		gca_new_bytes_raw(t, size)
#define peer_free(object)		((void)(object))
#define peer_blocked(t, wait) do {					\
	gca_blocking_begin(t);						\
	wait;								\
	gca_blocking_end(t);						\
} while (0)

#else /* plain C */

typedef char peer_thread;

#define PEER_FIELD_REF_(type, name)	type *name;
#define PEER_FIELD_VAL_(type, name)	type name;
#define PEER_FIELD_VALS_(type, name, n)	type name[n];
#define PEER_FIELD_(sort, ...)		PEER_FIELD_##sort##_(__VA_ARGS__)
#define PEER_STRUCT(tag, FIELDS)	struct tag { FIELDS(PEER_FIELD_) }
#define peer_load(slot)			(*(slot))
#define peer_init(t, slot, value)	((void)(t), (void)(*(slot) = (value)))
#define peer_store(t, slot, value)	((void)(t), (void)(*(slot) = (value)))
#define peer_blocked(t, wait)		((void)(t), (void)(wait))

#if defined(PEER_BDWGC)

#define GC_THREADS
#include <gc.h>

#define PEER_NAME	"bdwgc"
#define PEER_COLLECTS	1

PEER_UNUSED
static void peer_open(void)
{
	GC_INIT();
	GC_allow_register_threads();
}

/* Its pthread_create() registers the others. */
PEER_UNUSED
static peer_thread peer_enter(void)
{
	return 0;
}

PEER_UNUSED
static void peer_leave(peer_thread t)
{
}

#define peer_new(t, tag)		((void)(t), (struct tag *)GC_MALLOC(sizeof(struct tag)))
#define peer_bytes(t, size)		((void)(t), memset(GC_MALLOC_ATOMIC(size), 0, size))
#define peer_bytes_raw(t, size)		((void)(t), GC_MALLOC_ATOMIC(size))
#define peer_free(object)		((void)(object))

#elif defined(PEER_MALLOC)

#include <pthread.h>

#define PEER_NAME	"malloc"
#define PEER_COLLECTS	0

PEER_UNUSED
static void peer_open(void)
{
}

PEER_UNUSED
static peer_thread peer_enter(void)
{
	return 0;
}

PEER_UNUSED
static void peer_leave(peer_thread t)
{
}

#define peer_new(t, tag)		((void)(t), (struct tag *)calloc(1, sizeof(struct tag)))
#define peer_bytes(t, size)		((void)(t), calloc(1, size))
#define peer_bytes_raw(t, size)		((void)(t), malloc(size))
#define peer_free(object)		free(object)

#else
#error "compile with -DPEER_GCARENA, -DPEER_MALLOC or -DPEER_BDWGC"
#endif

#endif /* plain C */

PEER_UNUSED
static unsigned long peer_number(int argc, char **argv, int i, unsigned long least)
{
	char *end;
	unsigned long n;

	if (i >= argc)
		peer_die("an argument is missing");
	n = strtoul(argv[i], &end, 10);
	if (*end || n < least)
		peer_die("an argument is not a number that will do");
	return n;
}

#endif /* BENCH_PEER_H */
