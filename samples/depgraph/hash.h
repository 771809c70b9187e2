/* SPDX-License-Identifier: MIT */
/*
 * Hashes for the name table and for comparing answers between builds.
 *
 * They are the same on every machine and every run, and never depend on an
 * address: addresses differ between builds.  Nothing here resists an attacker.
 */
#ifndef DEPGRAPH_HASH_H
#define DEPGRAPH_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_START	0x9e3779b97f4a7c15ull	/* 2^64 / golden ratio */

/* A bijection in which every bit of @x reaches every bit of the result. */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= HASH_START;
	x ^= x >> 29;
	x *= HASH_START;
	x ^= x >> 32;
	return x;
}

static inline uint64_t hash_add(uint64_t hash, uint64_t value)
{
	return hash_mix(hash + HASH_START + value);
}

static inline uint64_t hash_bytes(uint64_t hash, const char *at, size_t length)
{
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)at[i]) * HASH_START;
	return hash_add(hash, length);
}

#endif /* DEPGRAPH_HASH_H */
