// SPDX-License-Identifier: MIT
/*
 * Memory of the library's own that is small, and arrays in it that grow.
 *
 * For what is few: root ranges, kinds, lists of weak references and finalizers.  Never
 * for anything per object.  It is not malloc's: a thread may be stopped by a signal
 * while it holds one of malloc's locks, and who is waited for must not wait for that
 * thread.  A child of fork() inherits it, other than what table_map() returns.  The
 * caller's lock protects an array.
 */
#include "internal.h"

#include <sys/mman.h>

#define FIRST_BYTES	4096u	/* mapped at first; no entry is larger */

/**
 * array_map - memory that is not malloc's
 * @bytes: how much
 *
 * Return: zeroed memory, or NULL.
 */
void *array_map(size_t bytes)
{
	void *memory;

	if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
		return NULL;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return memory == MAP_FAILED ? NULL : memory;
}

/**
 * array_unmap - the counterpart of array_map()
 * @memory: what it returned, or NULL
 * @bytes: as given to it
 */
void array_unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

/* What is mapped for @max entries: they fill it but for less than one. */
static size_t bytes_of(size_t max, size_t size)
{
	return (max * size + FIRST_BYTES - 1) & ~(size_t)(FIRST_BYTES - 1);
}

/**
 * memory_grow - make a mapping longer, and perhaps move it
 * @memory: private and anonymous
 * @bytes: its length
 * @want: what it is to be
 *
 * Return: where it is then, or MAP_FAILED.
 */
void *memory_grow(void *memory, size_t bytes, size_t want)
{
#if defined(__SANITIZE_THREAD__)
	/* The sanitizer knows of mmap() and munmap() only: what comes where this was would
	 * seem to be the same memory.
	 */
	void *grown = mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (grown != MAP_FAILED) {
		memcpy(grown, memory, bytes);
		munmap(memory, bytes);
	}
	return grown;
#else
	return mremap(memory, bytes, want, MREMAP_MAYMOVE);
#endif
}

/**
 * array_room - room for one more
 * @array: NULL at first
 * @nr: entries in it
 * @max: its room, 0 at first; changed with it
 * @size: bytes of an entry
 *
 * Return: false when there is no memory; the array is unharmed.
 */
bool array_room(void **array, size_t nr, size_t *max, size_t size)
{
	size_t bytes = bytes_of(*max, size), want = bytes ? bytes * 2 : FIRST_BYTES;
	void *grown;

	if (nr < *max)
		return true;
	if (!bytes) {
		grown = array_map(want);
		if (!grown)
			return false;
	} else {
		if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
			return false;
		grown = memory_grow(*array, bytes, want);
		if (grown == MAP_FAILED)
			return false;
	}
	*array = grown;
	*max = want / size;
	return true;
}

/**
 * array_free - the end of an array
 * @array: as array_room() left it
 * @max: the same
 * @size: bytes of an entry
 */
void array_free(void *array, size_t max, size_t size)
{
	array_unmap(array, bytes_of(max, size));
}
