/* SPDX-License-Identifier: MIT */
/*
 * What other processes of the same user may ask of this one's heaps.
 *
 * One socket a process, Documentation/observability.rst says where and what is spoken.
 * A request is a line, "NAME HEAP ARGUMENTS"; what it is answered with is text or
 * bytes, at once and whole.  A new kind of request is a function and a line of the
 * table in endpoint.c.
 */
#ifndef GCARENA_ENDPOINT_H
#define GCARENA_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct gca_heap;

/*
 * Adds the answer to @out, or returns a negative errno with gca_error() set.  @args is
 * what follows the heap's number, or "".  On the endpoint's thread, which is no
 * mutator; the heap stays open meanwhile, and fork() and gca_close() wait: no waits for
 * mutators.
 */
typedef int (*endpoint_fn)(struct gca_heap *heap, const char *args, FILE *out);

/* endpoint_text.c */
int endpoint_stats(struct gca_heap *heap, const char *args, FILE *out);
int endpoint_map(struct gca_heap *heap, const char *args, FILE *out);
int endpoint_collect(struct gca_heap *heap, const char *args, FILE *out);
int endpoint_check(struct gca_heap *heap, const char *args, FILE *out);
/* profile_write.c: @args is "heap" or "wait". */
int endpoint_profile(struct gca_heap *heap, const char *args, FILE *out);

/* A heap was opened, is about to be closed.  Without a place for the socket there is
 * none; -EINVAL: GCARENA_ENDPOINT names one that will not do.
 */
int endpoint_open(void);
void endpoint_close(void);
/* Around fork(). */
void endpoint_lock(void);
void endpoint_unlock(void);
void endpoint_forked(void);

/* heap.c: the process's heaps, which stay while they are locked. */
void heaps_lock_all(void);
void heaps_unlock_all(void);
struct gca_heap *heaps_next(const struct gca_heap *heap); /* NULL: the first */

#endif /* GCARENA_ENDPOINT_H */
