// SPDX-License-Identifier: MIT
/*
 * Lists and sets in the heap: see list.h.
 *
 * Allocation is a safepoint, so anything that was allocated before another
 * allocation is held in a frame, and a store into it afterwards is gca_store()
 * and no longer gca_init().
 */
#include <errno.h>
#include <string.h>

#include "list.h"

#define SET_SLOTS_MIN	16
#define FIBONACCI_32	2654435769u	/* 2^32 / golden ratio: spreads dense keys */

/**
 * list_new - an empty list
 * @m: the calling thread's
 * @room: how many items it has room for at first, at least 1
 *
 * Return: the list, or NULL: out of memory.
 */
struct list *list_new(struct gca_mutator *m, uint32_t room)
{
	struct list *list;

	GCA_FRAME(m, f, gca_ref *items);

	f.items = gca_new_refs(m, room);
	if (!f.items)
		return NULL;
	list = gca_new(m, list);
	if (!list)
		return NULL;
	gca_init(m, &list->items, f.items);
	list->room = room;
	return list;
}

/**
 * list_add - append to a list
 * @m: the calling thread's
 * @list: the caller's own
 * @value: what to append
 *
 * Return: 0 or -ENOMEM.
 */
int list_add(struct gca_mutator *m, struct list *list, void *value)
{
	if (list->nr == list->room) {
		gca_ref *items = gca_new_refs(m, 2 * (size_t)list->room);

		if (!items)
			return -ENOMEM;
		gca_copy_refs(m, items, gca_load(&list->items), list->nr);
		gca_store(m, &list->items, items);
		list->room *= 2;
	}
	gca_store(m, &gca_load(&list->items)[list->nr], value);
	list->nr++;
	return 0;
}

/**
 * set_new - an empty set
 * @m: the calling thread's
 *
 * Return: the set, or NULL: out of memory.
 */
struct set *set_new(struct gca_mutator *m)
{
	const uint32_t room = SET_SLOTS_MIN / 4 * 3;
	struct set *set;

	GCA_FRAME(m, f, struct list *members; uint32_t *keys; uint32_t *slots);

	f.members = list_new(m, room);
	f.keys = gca_new_bytes(m, room * sizeof(uint32_t));
	f.slots = gca_new_bytes(m, SET_SLOTS_MIN * sizeof(uint32_t));
	set = gca_new(m, set);
	if (!f.members || !f.keys || !f.slots || !set)
		return NULL;
	gca_init(m, &set->members, f.members);
	gca_init(m, &set->keys, f.keys);
	gca_init(m, &set->slots, f.slots);
	set->nr_keys = room;
	set->nr_slots = SET_SLOTS_MIN;
	return set;
}

/* The slot of @key, or the free one where it belongs. */
static uint32_t *set_slot(const struct set *set, uint32_t *slots, uint32_t nr_slots, uint32_t key)
{
	const uint32_t *keys = gca_load(&set->keys);
	uint32_t i = key * FIBONACCI_32;

	/* The high bits are the well mixed ones. */
	for (i = (i >> 16) ^ i;; i++) {
		uint32_t *slot = &slots[i & (nr_slots - 1)];

		if (!*slot || keys[*slot - 1] == key)
			return slot;
	}
}

static int set_grow(struct gca_mutator *m, struct set *set)
{
	uint32_t nr_slots = 2 * set->nr_slots, nr_keys = nr_slots / 4 * 3, nr = set_size(set);

	GCA_FRAME(m, f, uint32_t *keys; uint32_t *slots);

	f.keys = gca_new_bytes(m, nr_keys * sizeof(uint32_t));
	f.slots = gca_new_bytes(m, nr_slots * sizeof(uint32_t));
	if (!f.keys || !f.slots)
		return -ENOMEM;
	memcpy(f.keys, gca_load(&set->keys), nr * sizeof(uint32_t));
	for (uint32_t i = 0; i < nr; i++)
		*set_slot(set, f.slots, nr_slots, f.keys[i]) = i + 1;
	gca_store(m, &set->keys, f.keys);
	gca_store(m, &set->slots, f.slots);
	set->nr_keys = nr_keys;
	set->nr_slots = nr_slots;
	return 0;
}

/**
 * set_add - add to a set
 * @m: the calling thread's
 * @set: the caller's own
 * @key: what the member is known by
 * @value: the member
 *
 * Return: 1, 0 when a member with this key is there already, or -ENOMEM.
 */
int set_add(struct gca_mutator *m, struct set *set, uint32_t key, void *value)
{
	uint32_t nr = set_size(set);
	uint32_t *slot = set_slot(set, gca_load(&set->slots), set->nr_slots, key);
	int err;

	if (*slot)
		return 0;
	if (nr == set->nr_keys) {
		err = set_grow(m, set);
		if (err)
			return err;
	}
	err = list_add(m, gca_load(&set->members), value);
	if (err)
		return err;
	gca_load(&set->keys)[nr] = key;
	*set_slot(set, gca_load(&set->slots), set->nr_slots, key) = nr + 1;
	return 1;
}

/**
 * set_find - look into a set
 * @set: the set
 * @key: what the member is known by
 *
 * Return: the member or NULL.
 */
void *set_find(const struct set *set, uint32_t key)
{
	uint32_t slot = *set_slot(set, gca_load(&set->slots), set->nr_slots, key);

	return slot ? set_member(set, slot - 1) : NULL;
}
