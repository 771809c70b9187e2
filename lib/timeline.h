/* SPDX-License-Identifier: MIT */
/*
 * The library's events in the order of the kernel's: GCARENA_TIMELINE=ftrace writes each
 * as a marker into the kernel's trace, GCARENA_TIMELINE=FILE into a file in the format
 * that the kernel prints, by the monotonic clock.  Documentation/timeline.rst has both.
 *
 * No lock, no memory, one write() an event: from any thread, in a signal too.
 */
#ifndef GCARENA_TIMELINE_H
#define GCARENA_TIMELINE_H

struct gca_heap;

/* 0 or a negative errno with gca_error() set. */
int timeline_open(struct gca_heap *heap);
void timeline_close(struct gca_heap *heap);
void timeline_event(struct gca_heap *heap, const char *format, ...)
	__attribute__((format(printf, 2, 3), cold));

#define EVENT_REFILL	"refill class=%u spans=%d ns=%llu"

/* A load and a branch where nobody asked for it. */
#define EVENT(heap, ...) do { \
	if (unlikely((heap)->timeline)) \
		timeline_event(heap, __VA_ARGS__); \
} while (0)

#endif /* GCARENA_TIMELINE_H */
