/* SPDX-License-Identifier: MIT */
/*
 * A map from addresses to words: open addressing, linear probing, no tombstones.
 *
 * Not locked: its owner's lock covers it.  Address 0 is no key.  Memory is the
 * library's own, so that what it holds keeps nothing in a heap alive, and a map may grow
 * with the world stopped (malloc's locks may be held by who stands still).
 */
#ifndef GCARENA_ADDRMAP_H
#define GCARENA_ADDRMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addrmap {
	struct addrmap_slot {
		uintptr_t key;
		uint64_t value;
	} *slots;
	size_t nr;
	size_t size;		/* slots, a power of two, or 0 */
};

/* 0 or -ENOMEM, map unharmed.  Replaces what @key had. */
int addrmap_put(struct addrmap *map, uintptr_t key, uint64_t value);
bool addrmap_get(const struct addrmap *map, uintptr_t key, uint64_t *value);
/* False: it was not there. */
bool addrmap_remove(struct addrmap *map, uintptr_t key);
void addrmap_free(struct addrmap *map);

#endif /* GCARENA_ADDRMAP_H */
