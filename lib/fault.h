/* SPDX-License-Identifier: MIT */
/*
 * Seeded faults: what the checks must catch, put in on purpose.
 *
 * Compiled only with -DGCA_TEST_FAULTS=1, which the build gives to the test and
 * ASan archives and never to what is installed; elsewhere every hook is a
 * constant.  A fault is armed by a test, fires once at its nth opportunity and
 * disarms itself; stale rows, missing memory and instructions, late cards, and the lock of
 * another last until disarmed.
 */
#ifndef GCARENA_FAULT_H
#define GCARENA_FAULT_H

#include <stdbool.h>
#include <stdint.h>

enum gca_fault {
	GCA_FAULT_SKIP_MARK,	/* the marker passes over an object that it reached */
	GCA_FAULT_CLEAR_ALLOC,	/* a marked object's alloc bit is clear before verify */
	GCA_FAULT_STALE_ROW,	/* the library reads an old row: not in use */
	GCA_FAULT_STALE_CLASS,	/* the same: of another class */
	GCA_FAULT_KEEP_ALLOC,	/* a dead object's mark bit is set before the flip */
	GCA_FAULT_NO_MEMORY,	/* a mapping of the library's own cannot be had */
	GCA_FAULT_NO_DELETION,	/* a barrier does not shade what it overwrites */
	GCA_FAULT_NO_INSERTION,	/* a barrier does not shade what it writes */
	GCA_FAULT_ONE_HANDSHAKE, /* barrier and scan in one handshake, not two */
	GCA_FAULT_LOSE_SHADES,	/* a mutator's buffer is dropped at a handshake */
	GCA_FAULT_EARLY_END,	/* marking ends without a round that finds nothing */
	GCA_FAULT_EARLY_WHITE,	/* mutators turn white before the flip */
	GCA_FAULT_NO_UNROOT,	/* a range stops being roots and is not shaded */
	GCA_FAULT_OPEN_GATE,	/* weak loads are not held up at a cycle's end */
	GCA_FAULT_NO_UNQUEUE,	/* what leaves the finalizers' queue is not shaded */
	GCA_FAULT_UNSETTLED,	/* the scan is asked for while stores from before are on */
	GCA_FAULT_GATE_SEEN_LATE, /* a weak load looks at the gate after the reference */
	GCA_FAULT_NO_CARD,	/* a barrier's slow path does not dirty the card */
	GCA_FAULT_CARDS_LATE,	/* cards begin with the white handshake, not before the flip */
	GCA_FAULT_NO_CARD_SCAN,	/* a minor cycle does not look at dirty cards */
	GCA_FAULT_FREE_OLD,	/* an object freed by hand keeps its mark bit */
	GCA_FAULT_STALE_OLD,	/* a full cycle begins with the mark bits of the old */
	GCA_FAULT_WORK_LOCKED,	/* somebody else has the lock that a mutator tries */
	GCA_FAULT_BLACK_EARLY,	/* allocation is black before every mutator has its barrier */
	GCA_FAULT_NARROW,	/* no instructions but those that every CPU has */
	GCA_FAULTS,
};

/* Where the collector of a concurrent heap has got to. */
enum gca_stage {
	GCA_STAGE_BEGUN,	/* before the first handshake, the world held */
	GCA_STAGE_BLACK,	/* the first handshake is over */
	GCA_STAGE_SETTLED,	/* the second, which blackens allocation; the world held */
	GCA_STAGE_SCANNED,	/* the third; nothing has been marked from ranges */
	GCA_STAGE_DRAINED,	/* before each round that may be the last */
	GCA_STAGE_GATED,	/* weak loads are held up, nothing is cleared yet */
	GCA_STAGE_MARKED,	/* after the last, before the flip */
	GCA_STAGE_FLIPPING,	/* the same with the world held */
	GCA_STAGE_FLIPPED,	/* before the mutators are told, the world held */
	/* Of mutators, by their own threads. */
	GCA_STAGE_STORING,	/* in a barrier, before the store */
	GCA_STAGE_WEAK_LOADED,	/* in a weak load: the reference was read */
};

struct gca_heap;

#ifdef GCA_TEST_FAULTS

/* For tests: called by the thread that is there, if not NULL; the world is held where
 * it says so.
 */
typedef void (*gca_stage_fn)(struct gca_heap *heap, enum gca_stage stage);
extern gca_stage_fn gca_stage_hook;

static inline void gca_stage(struct gca_heap *heap, enum gca_stage stage)
{
	gca_stage_fn hook = __atomic_load_n(&gca_stage_hook, __ATOMIC_ACQUIRE);

	if (hook)
		hook(heap, stage);
}

/* For tests. @nth counts from 1; for the stale rows it is page index + 1.  0 disarms. */
void gca_fault_arm(enum gca_fault fault, uint64_t nth);
/* How often @fault fired since it was armed. */
uint64_t gca_fault_fired(enum gca_fault fault);

/* For the library: true when @fault is to happen here and now. */
bool gca_fault_hit(enum gca_fault fault);
/* The same for each bit of @mask: those where it does not happen. */
static inline uint64_t gca_fault_bits(enum gca_fault fault, uint64_t mask)
{
	uint64_t left;

	for (left = mask; left; left &= left - 1)
		if (gca_fault_hit(fault))
			mask &= ~(left & -left);
	return mask;
}

/* For its row accessor: what it is to see instead of @word0. */
uint64_t gca_fault_row(uint64_t page, uint64_t word0);

#else

static inline bool gca_fault_hit(enum gca_fault fault)
{
	return false;
}

static inline uint64_t gca_fault_bits(enum gca_fault fault, uint64_t mask)
{
	return mask;
}

static inline uint64_t gca_fault_row(uint64_t page, uint64_t word0)
{
	return word0;
}

static inline void gca_stage(struct gca_heap *heap, enum gca_stage stage)
{
}

#endif /* GCA_TEST_FAULTS */
#endif /* GCARENA_FAULT_H */
