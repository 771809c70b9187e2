/* SPDX-License-Identifier: MIT */
/*
 * Temporary containers in the heap: a growing list, and a set that remembers
 * the order of insertion.
 *
 * One thread's own: nothing here may be shared while it grows.  None is ever
 * freed; the arrays that a container has outgrown and the container itself are
 * garbage as soon as nobody looks.  The functions are right under conservative
 * and precise stacks alike, provided the caller keeps the container reachable
 * and passes values that are reachable elsewhere too.
 */
#ifndef DEPGRAPH_LIST_H
#define DEPGRAPH_LIST_H

#include <stdint.h>

#include "heap.h"

#define LIST_FIELDS(F)				\
	F(REF, gca_ref, items)			\
	F(VAL, uint32_t, nr)			\
	F(VAL, uint32_t, room)
GCA_STRUCT(list, LIST_FIELDS);

struct list *list_new(struct gca_mutator *m, uint32_t room);
int list_add(struct gca_mutator *m, struct list *list, void *value);

static inline void *list_get(const struct list *list, uint32_t i)
{
	return gca_load(&gca_load(&list->items)[i]);
}

/*
 * @members: in the order they came
 * @keys: of the members, uint32_t each
 * @slots: an open hash table of 1 + a member's place; 0 is free
 * @nr_slots: a power of two, more than 4/3 of the members
 */
#define SET_FIELDS(F)				\
	F(REF, struct list, members)		\
	F(REF, uint32_t, keys)			\
	F(REF, uint32_t, slots)			\
	F(VAL, uint32_t, nr_keys)		\
	F(VAL, uint32_t, nr_slots)
GCA_STRUCT(set, SET_FIELDS);

struct set *set_new(struct gca_mutator *m);
int set_add(struct gca_mutator *m, struct set *set, uint32_t key, void *value);
void *set_find(const struct set *set, uint32_t key);

static inline uint32_t set_size(const struct set *set)
{
	return gca_load(&set->members)->nr;
}

static inline void *set_member(const struct set *set, uint32_t i)
{
	return list_get(gca_load(&set->members), i);
}

#endif /* DEPGRAPH_LIST_H */
