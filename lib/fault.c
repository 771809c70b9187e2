// SPDX-License-Identifier: MIT
/*
 * Seeded faults: arming by tests, firing inside the library.
 *
 * State is the process's, not one heap's, and atomic: any mutator or the marker
 * may reach a hook.  Counting happens only while a fault is armed, so that an
 * unarmed hook costs one relaxed load.  See fault.h for what each fault means.
 */
#include "fault.h"

#ifdef GCA_TEST_FAULTS

#include <linux/gcarena.h>

struct fault_state {
	uint64_t left;		/* opportunities until it fires; 0: not armed */
	uint64_t fired;
};

static struct fault_state faults[GCA_FAULTS];

gca_stage_fn gca_stage_hook;

/**
 * gca_fault_arm - let @fault happen, once or from then on
 * @fault: which
 * @nth: at its nth opportunity, from 1; stale rows: page index + 1; 0: disarm
 */
void gca_fault_arm(enum gca_fault fault, uint64_t nth)
{
	__atomic_store_n(&faults[fault].fired, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&faults[fault].left, nth, __ATOMIC_RELEASE);
}

/**
 * gca_fault_fired - how often @fault happened since it was armed
 * @fault: which
 */
uint64_t gca_fault_fired(enum gca_fault fault)
{
	return __atomic_load_n(&faults[fault].fired, __ATOMIC_ACQUIRE);
}

/**
 * gca_fault_hit - is @fault to happen here and now?
 * @fault: which; this is one opportunity for it
 */
bool gca_fault_hit(enum gca_fault fault)
{
	struct fault_state *state = &faults[fault];
	uint64_t left = __atomic_load_n(&state->left, __ATOMIC_RELAXED);

	while (left) {
		if (!__atomic_compare_exchange_n(&state->left, &left, left - 1, true,
						 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		if (left > 1)
			return false;
		if (fault == GCA_FAULT_NO_MEMORY || fault == GCA_FAULT_CARDS_LATE ||
		    fault == GCA_FAULT_WORK_LOCKED || fault == GCA_FAULT_NARROW)
			__atomic_store_n(&state->left, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&state->fired, 1, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

/**
 * gca_fault_row - the first word of a row, as a stale copy of it would be
 * @page: index of the row
 * @word0: what the table holds
 */
uint64_t gca_fault_row(uint64_t page, uint64_t word0)
{
	struct fault_state *stale = &faults[GCA_FAULT_STALE_ROW];
	struct fault_state *class = &faults[GCA_FAULT_STALE_CLASS];

	if (__atomic_load_n(&stale->left, __ATOMIC_RELAXED) == page + 1) {
		__atomic_add_fetch(&stale->fired, 1, __ATOMIC_RELEASE);
		return word0 & ~GCARENA_ROW_IN_USE;
	}
	if (__atomic_load_n(&class->left, __ATOMIC_RELAXED) == page + 1) {
		__atomic_add_fetch(&class->fired, 1, __ATOMIC_RELEASE);
		return word0 ^ (1ULL << GCARENA_ROW_CLASS_SHIFT);
	}
	return word0;
}

#endif /* GCA_TEST_FAULTS */
