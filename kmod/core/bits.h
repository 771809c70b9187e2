/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Bit maps in arrays of u64: runs of pages in a chunk, of chunks in a heap.
 *
 * Pure functions over the caller's memory.  Sizes and positions are in bits,
 * a position equal to the size means "none".  The maps' users hold whatever
 * lock protects them.
 */
#ifndef GCARENA_CORE_BITS_H
#define GCARENA_CORE_BITS_H

#include "core_host.h"

#define GCA_MAP_WORDS(bits)	(((bits) + 63) / 64)

static inline bool gca_map_test(const u64 *map, u32 bit)
{
	return map[bit / 64] >> (bit % 64) & 1;
}

/* The bits [from, from + n) of one word, of which n >= 1 lie in it. */
static inline u64 gca_map_mask(u32 from, u32 n)
{
	return (n < 64 ? (1ULL << n) - 1 : ~0ULL) << (from % 64);
}

static inline void gca_map_set(u64 *map, u32 from, u32 n)
{
	while (n) {
		u32 step = min(n, 64 - from % 64);

		map[from / 64] |= gca_map_mask(from, step);
		from += step;
		n -= step;
	}
}

static inline void gca_map_clear(u64 *map, u32 from, u32 n)
{
	while (n) {
		u32 step = min(n, 64 - from % 64);

		map[from / 64] &= ~gca_map_mask(from, step);
		from += step;
		n -= step;
	}
}

/* Bits set in [from, from + n). */
static inline u32 gca_map_count(const u64 *map, u32 from, u32 n)
{
	u32 count = 0;

	while (n) {
		u32 step = min(n, 64 - from % 64);

		count += hweight64(map[from / 64] & gca_map_mask(from, step));
		from += step;
		n -= step;
	}
	return count;
}

static inline bool gca_map_any(const u64 *map, u32 words)
{
	u64 bits = 0;
	u32 i;

	for (i = 0; i < words; i++)
		bits |= map[i];
	return bits;
}

/* First bit at or after @from that is set in @map, or in @map or @other. */
static inline u32 gca_map_next_of(const u64 *map, const u64 *other, u32 size, u32 from)
{
	u32 word = from / 64;
	u64 bits;

	if (from >= size)
		return size;
	bits = (map[word] | other[word]) & (~0ULL << (from % 64));
	while (!bits) {
		if (++word >= GCA_MAP_WORDS(size))
			return size;
		bits = map[word] | other[word];
	}
	return min(word * 64 + (u32)__ffs64(bits), size);
}

static inline u32 gca_map_next(const u64 *map, u32 size, u32 from)
{
	return gca_map_next_of(map, map, size, from);
}

/* First bit at or after @from that is clear in both. */
static inline u32 gca_map_next_clear_of(const u64 *map, const u64 *other, u32 size, u32 from)
{
	u32 word = from / 64;
	u64 bits;

	if (from >= size)
		return size;
	bits = ~(map[word] | other[word]) & (~0ULL << (from % 64));
	while (!bits) {
		if (++word >= GCA_MAP_WORDS(size))
			return size;
		bits = ~(map[word] | other[word]);
	}
	return min(word * 64 + (u32)__ffs64(bits), size);
}

static inline u32 gca_map_next_clear(const u64 *map, u32 size, u32 from)
{
	return gca_map_next_clear_of(map, map, size, from);
}

/* Last bit set below @below, or U32_MAX. */
static inline u32 gca_map_last(const u64 *map, u32 below)
{
	u32 word;
	u64 bits;

	if (!below)
		return U32_MAX;
	word = (below - 1) / 64;
	bits = map[word] & gca_map_mask(0, (below - 1) % 64 + 1);
	while (!bits) {
		if (!word--)
			return U32_MAX;
		bits = map[word];
	}
	return word * 64 + (u32)fls64(bits) - 1;
}

/* The bits of @half, 32 of them, each twice. */
static inline u64 gca_map_spread(u32 half)
{
	u64 bits = half;

	bits = (bits | bits << 16) & 0x0000ffff0000ffffULL;
	bits = (bits | bits << 8) & 0x00ff00ff00ff00ffULL;
	bits = (bits | bits << 4) & 0x0f0f0f0f0f0f0f0fULL;
	bits = (bits | bits << 2) & 0x3333333333333333ULL;
	bits = (bits | bits << 1) & 0x5555555555555555ULL;
	return bits | bits << 1;
}

/* Each bit of @map, @words long, becomes two in @twice. */
static inline void gca_map_double(u64 *twice, const u64 *map, u32 words)
{
	u32 i;

	for (i = 0; i < words; i++) {
		twice[2 * i] = gca_map_spread((u32)map[i]);
		twice[2 * i + 1] = gca_map_spread((u32)(map[i] >> 32));
	}
}

/* The reverse of gca_map_spread(): bits 0, 2, 4, ... of @bits. */
static inline u32 gca_map_squeeze(u64 bits)
{
	bits &= 0x5555555555555555ULL;
	bits = (bits | bits >> 1) & 0x3333333333333333ULL;
	bits = (bits | bits >> 2) & 0x0f0f0f0f0f0f0f0fULL;
	bits = (bits | bits >> 4) & 0x00ff00ff00ff00ffULL;
	bits = (bits | bits >> 8) & 0x0000ffff0000ffffULL;
	return (u32)(bits | bits >> 16);
}

/* Of each two bits of @twice one of @map, @words long, that is set if both are. */
static inline void gca_map_both(u64 *map, const u64 *twice, u32 words)
{
	u32 i;

	for (i = 0; i < words; i++)
		map[i] = gca_map_squeeze(twice[2 * i] & (twice[2 * i] >> 1)) |
			 (u64)gca_map_squeeze(twice[2 * i + 1] & (twice[2 * i + 1] >> 1)) << 32;
}

/* Length of the longest run of bits that are set. */
static inline u32 gca_map_longest(const u64 *map, u32 size)
{
	u32 longest = 0;
	u32 from = 0;

	while ((from = gca_map_next(map, size, from)) < size) {
		u32 end = gca_map_next_clear(map, size, from);

		longest = max(longest, end - from);
		from = end;
	}
	return longest;
}

#endif /* GCARENA_CORE_BITS_H */
