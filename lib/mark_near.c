// SPDX-License-Identifier: MIT
/*
 * Marking within a kilobyte: what a word of the mark bitmap is of.
 *
 * Objects that are made one after the other mostly point to each other.  A word's
 * mark and alloc bits fit registers, so pointers to the same kilobyte are followed
 * at once, without the mark stack, an atomic operation for each, or a line asked for.
 * Objects are looked at in the order of their addresses, down and then up, as trees are
 * built from their leaves or from their root; the next one does not depend on
 * what the last one pointed to, so that a CPU need not wait to know.
 *
 * Of objects of a power of two up to 64 bytes, where many are reached together, a CPU with
 * AVX2 first turns every granule of the kilobyte into a word, a bit for each granule that
 * it points to.  It reads what is there, free slots too, and believes none of it:
 * only edges of objects that are reached count, and only to objects that are there.
 *
 * Marks are set when the word is done.  Another marker may have scanned some of its objects
 * too; of each one only the marker that finds its bit clear counts it.  Objects
 * allocated after the alloc bits were read are black.
 */
#include "mark.h"

/* Slots for a word of edges to be worth 500 instructions: objects reached in a visit, on
 * average, and those that may be in this one.
 */
#define WIDE_YIELD	12u
#define WIDE_LEAST	16u

struct edges {
	uint64_t near[WORD_GRANULES];	/* by granule: granules of the word it points to */
	uint64_t away[GRANULE_WORDS];	/* a bit a slot: it points to elsewhere */
};

#if defined(__has_builtin)
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && __has_builtin(__builtin_shufflevector)
#define HAVE_WIDE	1
#define WIDE		__attribute__((target("avx2,bmi,bmi2,popcnt")))

typedef uint64_t wide __attribute__((vector_size(32), aligned(8), may_alias));
typedef long long wide_signed __attribute__((vector_size(32)));
typedef double wide_double __attribute__((vector_size(32)));

/* The slots of a nibble of pointer bits. */
#define M(bit)	((bit) ? ~0ULL : 0)
#define ROW(n)	{ M((n) & 1), M((n) & 2), M((n) & 4), M((n) & 8) }
static const wide slots_of[16] = {
	ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7),
	ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14), ROW(15),
};

/* Four slots: a bit for each granule of the word that each points to. */
static inline WIDE __attribute__((always_inline)) wide
slots_near(wide slots, uintptr_t base)
{
	wide one = { 1, 1, 1, 1 };

	/* 0 for what is elsewhere: so the instruction is defined. */
	slots = (slots - base) >> GCARENA_GRANULE_SHIFT;
	return (wide)__builtin_ia32_psllv4di((wide_signed)one, (wide_signed)slots);
}

static inline WIDE __attribute__((always_inline)) uint64_t
slots_away(wide slots, wide near)
{
	return (uint64_t)__builtin_ia32_movmskpd256((wide_double)((near == 0) & (slots != 0)));
}

static WIDE GCA_NO_ASAN void
edges_read(struct edges *edges, uintptr_t base, const uint64_t *pointer_bits)
{
	const wide *slots = (const wide *)base;
	unsigned int word, i;

	for (word = 0; word < GRANULE_WORDS; word++) {
		uint64_t bits = __atomic_load_n(&pointer_bits[word], __ATOMIC_RELAXED), away = 0;

		/* Eight slots, four granules. */
		for (i = 0; i < 64; i += 8, bits >>= 8, slots += 2) {
			wide low = slots[0] & slots_of[bits & 15];
			wide high = slots[1] & slots_of[bits >> 4 & 15];
			wide near_low = slots_near(low, base), near_high = slots_near(high, base);
			wide even, odd;

			away |= slots_away(low, near_low) << i;
			away |= slots_away(high, near_high) << (i + 4);
			even = __builtin_shufflevector(near_low, near_high, 0, 2, 4, 6);
			odd = __builtin_shufflevector(near_low, near_high, 1, 3, 5, 7);
			*(wide *)&edges->near[word * 32 + i / 2] = even | odd;
		}
		edges->away[word] = away;
	}
}

#endif
#endif

#ifndef HAVE_WIDE
#define HAVE_WIDE	0

/* Never called. */
static inline void edges_read(struct edges *edges, uintptr_t base, const uint64_t *pointer_bits)
{
}
#endif

/* A page while it is looked at. */
struct view {
	uint64_t near[GCARENA_LINE_WORDS];	/* granules that are pointed to, or were grey */
	uint64_t left[GCARENA_LINE_WORDS];	/* of objects there, neither marked nor scanned */
};

/* A pointer to another word of the page, or to elsewhere: noted, its bits asked for. */
static inline uint64_t *note_away(const struct marker *marker, struct view *view, uintptr_t page,
				  uintptr_t slot, uint64_t *end)
{
	uintptr_t offset = slot - page;

	if (offset < GCARENA_PAGE_SIZE) {
		offset /= GCARENA_GRANULE_SIZE;
		view->near[offset / WORD_GRANULES] |= 1ULL << (offset % WORD_GRANULES);
		return end;
	}
	offset = slot - marker->base;
	if (offset >= marker->size)
		return end;
	*end++ = offset / GCARENA_GRANULE_SIZE;
	offset /= WORD_BYTES;
	__builtin_prefetch(&marker->mark_bits[offset], 1);
	return end;
}

/* What can be reached in the word @index of the page from what is near there. */
static inline __attribute__((always_inline)) void
scan_word(struct marker *marker, struct view *view, uint64_t first, unsigned int index,
	  const struct span_class *class, bool may_be_wide)
{
	const uint64_t *pointer_bits = &marker->pointer_bits[(first + index) * GRANULE_WORDS];
	const uintptr_t page = marker->base + first * WORD_BYTES;
	const uintptr_t base = page + index * WORD_BYTES;
	const uint64_t words = class->words;
	const uint32_t granules = class->elem >> GCARENA_GRANULE_SHIFT;
	const bool even = !(granules & (granules - 1));
	uint64_t near = view->near[index], left = view->left[index], before = left, todo;
	uint64_t *end = &marker->found[marker->nr_found];
	bool down = true, whole = false;
	struct edges edges;
	uint32_t count;

	if (may_be_wide && even && granules <= 4 &&
	    marker->near_yield >= WIDE_YIELD * NEAR_YIELD_ONE &&
	    (uint32_t)__builtin_popcountll(left) >= WIDE_LEAST) {
		/* The next one is most likely the word below. */
		if (index && view->left[index - 1])
			for (count = 0; count < WORD_BYTES; count += 64)
				__builtin_prefetch((const char *)base - WORD_BYTES + count);
		edges_read(&edges, base, pointer_bits);
		pointer_bits = edges.away;
		whole = true;
	}
	while ((todo = near & left)) {
		uint64_t some = left & (down ? ~0ULL >> __builtin_clzll(todo) : -(todo & -todo));

		while (near & some) {
			unsigned int at = (unsigned int)(down ? 63 - __builtin_clzll(some) :
								__builtin_ctzll(some));
			void *const *slots = (void *const *)(base + at * GCARENA_GRANULE_SIZE);
			unsigned int shift = at * GRANULE_WORDS;
			const uint64_t *from = &pointer_bits[shift / 64];
			uint64_t bits;
			uint32_t i;

			shift &= 63;
			some ^= 1ULL << at;
			if (!(near >> at & 1))
				continue;
			left ^= 1ULL << at;
			bits = __atomic_load_n(from, __ATOMIC_RELAXED) >> shift;
			/* The object's bits go on in the next word. */
			if (unlikely(!even) && words >> 1 >> (63 - shift))
				bits |= __atomic_load_n(from + 1, __ATOMIC_RELAXED) <<
					1 << (63 - shift);
			if (whole)
				for (i = 0; i < granules; i++)
					near |= edges.near[at + i];
			for (bits &= words; bits; bits &= bits - 1) {
				uintptr_t slot = (uintptr_t)
					__atomic_load_n(&slots[__builtin_ctzll(bits)],
							__ATOMIC_RELAXED);
				uint64_t here = slot - base < WORD_BYTES;

				near |= here << ((slot - base) >> GCARENA_GRANULE_SHIFT & 63);
				if (unlikely(slot && !here))
					end = note_away(marker, view, page, slot, end);
			}
		}
		down = !down;
	}
	view->near[index] = near;
	view->left[index] = left;
	marker->nr_found = (uint32_t)(end - marker->found);
	count = (uint32_t)__builtin_popcountll(left ^ before);
	marker->near_yield += count - marker->near_yield / NEAR_YIELD_ONE;
	marker->left -= (int64_t)count * class->elem;
	marker->result.scanned += (uint64_t)count * class->elem;
}

static inline __attribute__((always_inline)) void
scan_page(struct marker *marker, uint64_t word, uint32_t span_class, bool may_be_wide)
{
	const struct span_class *class = &span_classes[span_class];
	uint64_t first = word & -(uint64_t)GCARENA_LINE_WORDS;
	uint64_t there[GCARENA_LINE_WORDS], grey, set;
	struct view view;
	unsigned int i;
	bool again;

	/* Another word's entry came first. */
	if (!__atomic_load_n(&marker->grey_bits[word], __ATOMIC_RELAXED))
		return;
	for (i = 0; i < GCARENA_LINE_WORDS; i++) {
		grey = __atomic_load_n(&marker->grey_bits[first + i], __ATOMIC_RELAXED);
		if (grey)
			grey = __atomic_exchange_n(&marker->grey_bits[first + i], 0,
						   __ATOMIC_ACQUIRE);
		there[i] = __atomic_load_n(&marker->alloc_bits[first + i], __ATOMIC_ACQUIRE) &
			   ~__atomic_load_n(&marker->mark_bits[first + i], __ATOMIC_RELAXED);
		view.near[i] = grey;
		view.left[i] = there[i] | grey;
	}
	do {
		again = false;
		for (i = GCARENA_LINE_WORDS; i--;) {
			if (!(view.near[i] & view.left[i]))
				continue;
			again = true;
			if (marker->nr_found > FOUND_MAX - WORD_SLOTS)
				mark_found(marker, true);
			scan_word(marker, &view, first, i, class, may_be_wide);
		}
	} while (again);
	for (i = 0; i < GCARENA_LINE_WORDS; i++) {
		set = there[i] & ~view.left[i];
		if (!set)
			continue;
		set = (uint64_t)__builtin_popcountll(set_bits(marker, first + i, set));
		marker->result.bytes += set * class->elem;
		marker->result.objects += set;
		marker->marked[span_class] += (uint32_t)set;
	}
}

static void narrow(struct marker *marker, uint64_t word, uint32_t span_class)
{
	scan_page(marker, word, span_class, false);
}

#if HAVE_WIDE
static WIDE void wide_page(struct marker *marker, uint64_t word, uint32_t span_class)
{
	scan_page(marker, word, span_class, true);
}
#endif

/**
 * mark_near_best - the way to scan grey words on this CPU
 */
mark_near_fn mark_near_best(void)
{
#if HAVE_WIDE
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
	    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
	    !gca_fault_hit(GCA_FAULT_NARROW))
		return wide_page;
#endif
	return narrow;
}
