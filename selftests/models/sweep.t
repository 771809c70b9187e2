#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154
#
# sweep.t: refill, sweep and flip; models/sweep.pml says what must hold.
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/spin.sh"

# A sweep that is going on keeps the next flip off, so only a return meets one.
recheck='"\(1\)"|returning = \(returning-1\)'

spin_holds sweep "$recheck" -DSPANS=1 -DSLOTS=2
spin_holds sweep "$recheck" -DSPANS=1 -DSLOTS=2 -DINSIDE
# With one mutator the second cache is out of reach, as the first search is not.
spin_holds sweep '.' -DMUTATORS=1 -DSLOTS=2
[ "${GCARENA_TEST_SCALE:-100}" -lt 1000 ] || {
	spin_holds sweep '.' -DSPANS=2 -DSLOTS=1
	spin_holds sweep '.' -DMUTATORS=1 -DSLOTS=2 -DINSIDE
}
spin_mutations sweep
tap_done
