// SPDX-License-Identifier: MIT
/*
 * alloc WHAT SIZE COUNT: objects of one size that die at once.
 *
 * WHAT is "zeroed" (bytes, cleared: calloc and free), "raw" (bytes as they come:
 * malloc and free) or "node" (a structure with two pointers and SIZE bytes in
 * all, cleared).  One word of each object is written; the sum is of those.
 */
#include "bench.h"

/* The object's address is known to nobody but this register. */
#define opaque(p)	__asm__ volatile("" : "+r"(p) : : "memory")

#define NODE16_FIELDS(F)	F(REF, struct node16, left) F(REF, struct node16, right)
#define NODE64_FIELDS(F)	F(REF, struct node64, left) F(REF, struct node64, right) \
				F(VALS, uint64_t, value, 5) F(VAL, uint64_t, last)
#define NODE256_FIELDS(F)	F(REF, struct node256, left) F(REF, struct node256, right) \
				F(VALS, uint64_t, value, 29) F(VAL, uint64_t, last)
PEER_STRUCT(node16, NODE16_FIELDS);
PEER_STRUCT(node64, NODE64_FIELDS);
#define NODE1024_FIELDS(F)	F(REF, struct node1024, left) F(REF, struct node1024, right) \
				F(VALS, uint64_t, value, 125) F(VAL, uint64_t, last)
PEER_STRUCT(node256, NODE256_FIELDS);
PEER_STRUCT(node1024, NODE1024_FIELDS);

/* Each loop has its size as a constant, as a program has. */
#define LOOP_WITH(store, count, allocation) do {			\
	unsigned long i_;						\
									\
	for (i_ = 0; i_ < (count); i_++) {				\
		uint64_t *object_ = (void *)(allocation);		\
									\
		if (!object_)						\
			bench_die("out of memory");			\
		opaque(object_);					\
		store(object_[1], i_);					\
		sum += object_[1];					\
		opaque(object_);					\
		peer_free(object_);					\
	}								\
} while (0)
#define ADD(to, value)			((to) += (value))
#define PUT(to, value)			((to) = (value))
#define LOOP(count, allocation)		LOOP_WITH(ADD, count, allocation)
/* What is not cleared cannot be added to. */
#define LOOP_RAW(count, allocation)	LOOP_WITH(PUT, count, allocation)

void run_alloc(struct bench *b)
{
	unsigned long size = bench_number(b, 1, 16);
	unsigned long count = bench_number(b, 2, 1);
	const char *what = b->argv[0];
	uint64_t sum = 0, begin = now_ns();
	peer_thread t = b->t;

	if (!strcmp(what, "zeroed") && size == 16)
		LOOP(count, peer_bytes(t, 16));
	else if (!strcmp(what, "zeroed") && size == 64)
		LOOP(count, peer_bytes(t, 64));
	else if (!strcmp(what, "zeroed") && size == 256)
		LOOP(count, peer_bytes(t, 256));
	else if (!strcmp(what, "zeroed") && size == 1024)
		LOOP(count, peer_bytes(t, 1024));
	else if (!strcmp(what, "zeroed"))
		LOOP(count, peer_bytes(t, size));
	else if (!strcmp(what, "raw") && size == 16)
		LOOP_RAW(count, peer_bytes_raw(t, 16));
	else if (!strcmp(what, "raw") && size == 64)
		LOOP_RAW(count, peer_bytes_raw(t, 64));
	else if (!strcmp(what, "raw") && size == 256)
		LOOP_RAW(count, peer_bytes_raw(t, 256));
	else if (!strcmp(what, "raw") && size == 1024)
		LOOP_RAW(count, peer_bytes_raw(t, 1024));
	else if (!strcmp(what, "raw"))
		LOOP_RAW(count, peer_bytes_raw(t, size));
	else if (!strcmp(what, "node") && size == 16)
		LOOP(count, peer_new(t, node16));
	else if (!strcmp(what, "node") && size == 64)
		LOOP(count, peer_new(t, node64));
	else if (!strcmp(what, "node") && size == 256)
		LOOP(count, peer_new(t, node256));
	else if (!strcmp(what, "node") && size == 1024)
		LOOP(count, peer_new(t, node1024));
	else
		bench_die("alloc zeroed|raw|node SIZE COUNT, nodes of 16, 64, 256 or 1024 bytes");
	bench_ops(count, begin);
	bench_sum(sum);
}
