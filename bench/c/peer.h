/* SPDX-License-Identifier: MIT */
/*
 * The heaps that a C workload is compiled for, under one small set of names, so
 * that one source serves all: -DPEER_GCARENA, -DPEER_MALLOC (glibc, or whichever
 * malloc is preloaded), -DPEER_BDWGC.
 *
 * What is called often is inline or a macro: what is compared is the heaps, and a
 * wrapper must never cost what its heap does not.  A workload frees with
 * peer_free() where a program on malloc would; on a collector it is nothing.
 * peer.c has what is called once a run.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(PEER_GCARENA)

#include <gcarena.h>
#include <pthread.h>

#define PEER_COLLECTS	1

typedef struct gca_mutator *peer_thread;
typedef gca_ref peer_ref;

#define PEER_STRUCT(tag, FIELDS)	GCA_STRUCT(tag, FIELDS)
#define peer_new(t, tag)		gca_new(t, tag)
#define peer_refs(t, n)			gca_new_refs(t, n)
#define peer_load(slot)			gca_load(slot)
#define peer_init(t, slot, value)	gca_init(t, slot, value)
#define peer_store(t, slot, value)	gca_store(t, slot, value)
#define peer_bytes(t, size)		gca_new_bytes(t, size)
#define peer_bytes_raw(t, size)		gca_new_bytes_raw(t, size)
#define peer_free(object)		((void)(object))
#define peer_safepoint(t)		gca_safepoint(t)
#define peer_blocked(t, wait) do {					\
	gca_blocking_begin(t);						\
	wait;								\
	gca_blocking_end(t);						\
} while (0)

#else /* plain C */

typedef char peer_thread;
typedef void *peer_ref;

#define PEER_FIELD_REF_(type, name)	type *name;
#define PEER_FIELD_VAL_(type, name)	type name;
#define PEER_FIELD_VALS_(type, name, n)	type name[n];
#define PEER_FIELD_(sort, ...)		PEER_FIELD_##sort##_(__VA_ARGS__)
#define PEER_STRUCT(tag, FIELDS)	struct tag { FIELDS(PEER_FIELD_) }
#define peer_load(slot)			(*(slot))
#define peer_init(t, slot, value)	((void)(t), (void)(*(slot) = (value)))
#define peer_store(t, slot, value)	((void)(t), (void)(*(slot) = (value)))
#define peer_safepoint(t)		((void)(t))
#define peer_blocked(t, wait)		((void)(t), (void)(wait))

#if defined(PEER_BDWGC)

#define GC_THREADS
#include <gc.h>
#include <pthread.h>

#define PEER_COLLECTS	1

#define peer_new(t, tag)		((void)(t), (struct tag *)GC_MALLOC(sizeof(struct tag)))
#define peer_refs(t, n)			((void)(t), (peer_ref *)GC_MALLOC((n) * sizeof(void *)))
#define peer_bytes(t, size)		((void)(t), memset(GC_MALLOC_ATOMIC(size), 0, size))
#define peer_bytes_raw(t, size)		((void)(t), GC_MALLOC_ATOMIC(size))
#define peer_free(object)		((void)(object))

#elif defined(PEER_MALLOC)

#include <pthread.h>

#define PEER_COLLECTS	0

#define peer_new(t, tag)		((void)(t), (struct tag *)calloc(1, sizeof(struct tag)))
#define peer_refs(t, n)			((void)(t), (peer_ref *)calloc(n, sizeof(void *)))
#define peer_bytes(t, size)		((void)(t), calloc(1, size))
#define peer_bytes_raw(t, size)		((void)(t), malloc(size))
#define peer_free(object)		free(object)

#else
#error "compile with -DPEER_GCARENA, -DPEER_MALLOC or -DPEER_BDWGC"
#endif

#endif /* plain C */

void peer_open(void);
peer_thread peer_enter(void);
void peer_leave(peer_thread t);
void peer_roots(peer_ref *roots, size_t n);
void peer_collect(peer_thread t);
void peer_release(peer_thread t);
bool peer_release_inside(peer_thread t);
void peer_figures(void);

#endif /* BENCH_PEER_H */
