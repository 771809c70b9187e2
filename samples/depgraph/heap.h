/* SPDX-License-Identifier: MIT */
/*
 * The one line in which the two builds of depgraph differ.
 *
 * A program of your own needs only <gcarena.h>.  depgraph is also built on
 * malloc (-DDEPGRAPH_MALLOC), from the same sources and without the library;
 * that build never frees, so that no mistake in collecting can change its
 * answers, and it is what the collected builds are compared with.
 *
 * No other file may ask which of the two it is in.
 */
#ifndef DEPGRAPH_HEAP_H
#define DEPGRAPH_HEAP_H

#ifdef DEPGRAPH_MALLOC
#include "malloc_heap.h"
#else
#include <gcarena.h>
#endif

/* Where the heap's memory comes from, for the table. */
static inline const char *heap_backend_name(const struct gca_heap *heap)
{
#ifdef DEPGRAPH_MALLOC
	return "malloc";
#else
	return gca_backend(heap) == GCA_BACKEND_DEVICE ? "device" : "process";
#endif
}

/* Whether anything is ever collected: figures of a collector are meaningful. */
#ifdef DEPGRAPH_MALLOC
#define HEAP_COLLECTS	0
#else
#define HEAP_COLLECTS	1
#endif

#endif /* DEPGRAPH_HEAP_H */
