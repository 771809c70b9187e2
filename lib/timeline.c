// SPDX-License-Identifier: MIT
/*
 * Events of a heap as lines of a trace.  A marker gets its thread, CPU and time from the
 * kernel; into a file the same is written by ourselves.
 *
 * An event is "gcarena: NAME heap=N FIELD=VALUE...".  What takes time is written when it
 * is over, with a field ns.
 */
#include "internal.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAME		"GCARENA_TIMELINE"
#define LINE_MAX_	256
#define NS_PER_US	1000u
/* Above those that a program may expect to be its own. */
#define FD_LEAST	3

static int open_marker(void)
{
	int fd = open("/sys/kernel/tracing/trace_marker", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? open("/sys/kernel/debug/tracing/trace_marker", O_WRONLY | O_CLOEXEC) : fd;
}

/**
 * timeline_open - let the environment say where a heap's events go
 * @heap: the heap, not shared yet
 *
 * Return: 0, or a negative errno with gca_error() naming the variable and its value.
 */
int timeline_open(struct gca_heap *heap)
{
	const char *value = secure_getenv(NAME);
	int fd;

	if (!value)
		return 0;
	heap->timeline_marks = !strcmp(value, "ftrace");
	if (heap->timeline_marks)
		fd = open_marker();
	else
		fd = open(value, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_set(-errno, NAME "=%s: %s", value, strerror(errno));
	heap->timeline = fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);
	close(fd);
	if (heap->timeline < 0) {
		heap->timeline = 0;
		return error_set(-errno, NAME "=%s: %s", value, strerror(errno));
	}
	return 0;
}

/**
 * timeline_close - no more events
 * @heap: the heap, its threads gone
 */
void timeline_close(struct gca_heap *heap)
{
	if (heap->timeline)
		close(heap->timeline);
}

/**
 * timeline_event - write an event
 * @heap: the heap, which has a timeline
 * @format: its name and fields, but for the heap
 */
void timeline_event(struct gca_heap *heap, const char *format, ...)
{
	UNCANCELLED();
	char line[LINE_MAX_], event[LINE_MAX_ / 2], comm[16] = "";
	uint64_t us = now_ns() / NS_PER_US;
	int error = errno, length;
	va_list args;

	va_start(args, format);
	vsnprintf(event, sizeof(event), format, args);
	va_end(args);
	if (heap->timeline_marks) {
		length = snprintf(line, sizeof(line), "gcarena: %s heap=%u\n", event,
				  heap->number);
	} else {
		prctl(PR_GET_NAME, comm);
		length = snprintf(line, sizeof(line),
				  "%16s-%-7d [%03d] ..... %llu.%06llu: tracing_mark_write: gcarena: %s heap=%u\n",
				  comm, gettid(), sched_getcpu(),
				  (unsigned long long)(us / 1000000),
				  (unsigned long long)(us % 1000000), event, heap->number);
	}
	/* One that cannot be written is missing: the program goes on. */
	if (length > 0 && length < (int)sizeof(line) &&
	    write(heap->timeline, line, (size_t)length) < 0)
		errno = error;
	errno = error;
}
