#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154
#
# generations.t: cards over a flip, and what a minor cycle marks by them;
# models/generations.pml says what must hold.
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/spin.sh"

spin_holds generations '^$'
# A young object behind another, neither shaded, takes more steps.
spin_holds generations 'field\[ref\]' -DSIGNALS -DOTHER_STEPS=1
[ "${GCARENA_TEST_SCALE:-100}" -lt 1000 ] ||
	spin_holds generations '^$' -DOBJECTS=3 -DSTEPS=3
spin_mutations generations
tap_done
