// SPDX-License-Identifier: MIT
/*
 * A map from addresses to words.
 *
 * Removal moves later entries of the same probe back (Knuth, vol. 3, 6.4, algorithm
 * R), so that a map that objects come into and leave for ever does not fill with
 * marks of what was there.
 */
#include "internal.h"
#include "addrmap.h"

#define SLOTS_FIRST	64u

/* Addresses are multiples of 16; the multiplier is 2^64 over the golden ratio. */
static size_t home_of(const struct addrmap *map, uintptr_t key)
{
	return (size_t)((key >> 4) * 0x9e3779b97f4a7c15ull >> 20) & (map->size - 1);
}

static struct addrmap_slot *find(const struct addrmap *map, uintptr_t key)
{
	size_t at = home_of(map, key);

	while (map->slots[at].key && map->slots[at].key != key)
		at = (at + 1) & (map->size - 1);
	return &map->slots[at];
}

static int grow(struct addrmap *map)
{
	struct addrmap grown = { .size = map->size ? map->size * 2 : SLOTS_FIRST, .nr = map->nr };
	size_t i;

	grown.slots = array_map(grown.size * sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	for (i = 0; i < map->size; i++)
		if (map->slots[i].key)
			*find(&grown, map->slots[i].key) = map->slots[i];
	array_unmap(map->slots, map->size * sizeof(*map->slots));
	*map = grown;
	return 0;
}

/**
 * addrmap_put - set a key's value
 * @map: the map
 * @key: not 0
 * @value: anything
 *
 * Return: 0 or -ENOMEM.
 */
int addrmap_put(struct addrmap *map, uintptr_t key, uint64_t value)
{
	struct addrmap_slot *slot;

	/* At most three quarters full. */
	if (map->nr + 1 > map->size / 4 * 3 && grow(map))
		return -ENOMEM;
	slot = find(map, key);
	map->nr += !slot->key;
	slot->key = key;
	slot->value = value;
	return 0;
}

/**
 * addrmap_get - a key's value
 * @map: the map
 * @key: not 0
 * @value: where it goes
 *
 * Return: false if there is none.
 */
bool addrmap_get(const struct addrmap *map, uintptr_t key, uint64_t *value)
{
	const struct addrmap_slot *slot;

	if (!map->nr)
		return false;
	slot = find(map, key);
	if (!slot->key)
		return false;
	*value = slot->value;
	return true;
}

/**
 * addrmap_remove - forget a key
 * @map: the map
 * @key: not 0
 *
 * Return: false if it was not there.
 */
bool addrmap_remove(struct addrmap *map, uintptr_t key)
{
	struct addrmap_slot *slot;
	size_t hole, at, home;

	if (!map->nr)
		return false;
	slot = find(map, key);
	if (!slot->key)
		return false;
	hole = (size_t)(slot - map->slots);
	for (at = (hole + 1) & (map->size - 1); map->slots[at].key;
	     at = (at + 1) & (map->size - 1)) {
		home = home_of(map, map->slots[at].key);
		/* May it stand in the hole?  Only if its home is not behind it. */
		if (((at - home) & (map->size - 1)) >= ((at - hole) & (map->size - 1))) {
			map->slots[hole] = map->slots[at];
			hole = at;
		}
	}
	map->slots[hole].key = 0;
	map->nr--;
	return true;
}

/**
 * addrmap_free - drop a map's memory
 * @map: empty afterwards
 */
void addrmap_free(struct addrmap *map)
{
	array_unmap(map->slots, map->size * sizeof(*map->slots));
	*map = (struct addrmap){ 0 };
}
