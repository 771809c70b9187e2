/* SPDX-License-Identifier: MIT */
/*
 * No call of the library's is a cancellation point: a thread that ended in one would
 * leave locks taken and a cycle half done.  Stands where something waits, and where a
 * file is read or written.
 */
#ifndef GCA_UNCANCELLED_H
#define GCA_UNCANCELLED_H

#include <pthread.h>

static inline int cancel_off(void)
{
	int before = PTHREAD_CANCEL_ENABLE;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void cancel_as_before(const int *before)
{
	pthread_setcancelstate(*before, NULL);
}

/* A declaration: to the end of its block. */
#define UNCANCELLED() \
	int uncancelled_ __attribute__((cleanup(cancel_as_before), unused)) = cancel_off()

#endif /* GCA_UNCANCELLED_H */
