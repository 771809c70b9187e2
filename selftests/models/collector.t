#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154
#
# collector.t: handshakes, barrier, termination, gate; models/collector.pml says
# what must hold.
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/spin.sh"

spin_holds collector 'weak = 0' -DNO_WEAK
spin_holds collector '^$' -DSTEPS=3
# Who is black already is not asked to turn.
spin_holds collector 'weak = 0|black\[m\] = 1|request\[m\] = NOTHING' -DNO_WEAK -DSIGNALS -DSTEPS=3
[ "${GCARENA_TEST_SCALE:-100}" -lt 1000 ] || {
	spin_holds collector '^$'
	spin_holds collector 'weak = 0' -DNO_WEAK -DREGISTERS=2 -DSTEPS=3
	spin_holds collector 'weak = 0' -DNO_WEAK -DSTEPS=3 -DOTHER_STEPS=3
}
spin_mutations collector
tap_done
