// SPDX-License-Identifier: MIT
/*
 * Arrays that grow, of malloc's memory.
 *
 * For what is the collector's own and few: root ranges, lists of weak references
 * and finalizers, caches of manual memory.  Never for anything per object.  The
 * caller's lock protects the array.
 */
#include "internal.h"

#include <stdlib.h>

#define FIRST_ROOM	64

/**
 * array_room - room for one more
 * @array: malloc's, or NULL
 * @nr: entries in it
 * @max: its room; changed with it
 * @size: bytes of an entry
 *
 * Return: false when there is no memory; the array is unharmed.
 */
bool array_room(void **array, size_t nr, size_t *max, size_t size)
{
	size_t want = *max ? *max * 2 : FIRST_ROOM;
	void *grown;

	if (nr < *max)
		return true;
	if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
		return false;
	grown = reallocarray(*array, want, size);
	if (!grown)
		return false;
	*array = grown;
	*max = want;
	return true;
}
