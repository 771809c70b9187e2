// SPDX-License-Identifier: MIT
/*
 * alloc: objects of one size that die at once.  alloc WHAT SIZE COUNT
 *
 * WHAT is "zeroed" (bytes, cleared: calloc and free), "raw" (bytes as they come:
 * malloc and free) or "node" (a structure with two pointers and SIZE bytes in
 * all, cleared).  One word of each object is written.  Prints what was written,
 * summed up, for the runner to compare.
 */
#include "../peer.h"

/* The object's address is known to nobody but this register. */
#define opaque(p)	__asm__ volatile("" : "+r"(p) : : "memory")

#define NODE16_FIELDS(F)	F(REF, struct node16, left) F(REF, struct node16, right)
#define NODE64_FIELDS(F)	F(REF, struct node64, left) F(REF, struct node64, right) \
				F(VALS, uint64_t, value, 5) F(VAL, uint64_t, last)
#define NODE256_FIELDS(F)	F(REF, struct node256, left) F(REF, struct node256, right) \
				F(VALS, uint64_t, value, 29) F(VAL, uint64_t, last)
PEER_STRUCT(node16, NODE16_FIELDS);
PEER_STRUCT(node64, NODE64_FIELDS);
PEER_STRUCT(node256, NODE256_FIELDS);

/* Each loop has its size as a constant, as a program has. */
#define LOOP(count, allocation) do {					\
	unsigned long i_;						\
									\
	for (i_ = 0; i_ < (count); i_++) {				\
		uint64_t *object_ = (void *)(allocation);		\
									\
		if (!object_)						\
			peer_die("out of memory");			\
		opaque(object_);					\
		object_[1] += i_;					\
		sum += object_[1];					\
		opaque(object_);					\
		peer_free(object_);					\
	}								\
} while (0)

/* What is not cleared cannot be added to. */
#define LOOP_RAW(count, allocation) do {				\
	unsigned long i_;						\
									\
	for (i_ = 0; i_ < (count); i_++) {				\
		uint64_t *object_ = (void *)(allocation);		\
									\
		if (!object_)						\
			peer_die("out of memory");			\
		opaque(object_);					\
		object_[1] = i_;					\
		sum += object_[1];					\
		opaque(object_);					\
		peer_free(object_);					\
	}								\
} while (0)

int main(int argc, char **argv)
{
	unsigned long size = peer_number(argc, argv, 2, 16);
	unsigned long count = peer_number(argc, argv, 3, 1);
	const char *what = argv[1];
	uint64_t sum = 0;
	peer_thread t;

	peer_open();
	t = peer_enter();
	if (!strcmp(what, "zeroed") && size == 16)
		LOOP(count, peer_bytes(t, 16));
	else if (!strcmp(what, "zeroed") && size == 64)
		LOOP(count, peer_bytes(t, 64));
	else if (!strcmp(what, "zeroed") && size == 256)
		LOOP(count, peer_bytes(t, 256));
	else if (!strcmp(what, "zeroed"))
		LOOP(count, peer_bytes(t, size));
	else if (!strcmp(what, "raw") && size == 16)
		LOOP_RAW(count, peer_bytes_raw(t, 16));
	else if (!strcmp(what, "raw") && size == 64)
		LOOP_RAW(count, peer_bytes_raw(t, 64));
	else if (!strcmp(what, "raw") && size == 256)
		LOOP_RAW(count, peer_bytes_raw(t, 256));
	else if (!strcmp(what, "raw"))
		LOOP_RAW(count, peer_bytes_raw(t, size));
	else if (!strcmp(what, "node") && size == 16)
		LOOP(count, peer_new(t, node16));
	else if (!strcmp(what, "node") && size == 64)
		LOOP(count, peer_new(t, node64));
	else if (!strcmp(what, "node") && size == 256)
		LOOP(count, peer_new(t, node256));
	else
		peer_die("alloc zeroed|raw|node SIZE COUNT, nodes of 16, 64 or 256 bytes");
	peer_leave(t);
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
