#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC1091,SC2154
#
# litmus.t: orderings; each models/litmus/*.pml holds, and each of its orderings
# weakened by one is caught.
. "$(dirname "$0")/../tap.sh"
. "$(dirname "$0")/spin.sh"

for f in "$top"/models/litmus/*.pml; do
	name=${f##*/}
	spin_holds "litmus/${name%.pml}" '.'
	spin_mutations "litmus/${name%.pml}"
done
tap_done
