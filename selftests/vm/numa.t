#!/bin/bash
# SPDX-License-Identifier: MIT
#
# numa.t: the NUMA test of the device where there is something to see: in a guest
# with two nodes of memory and a CPU each.
set -u

cd "$(dirname "$0")/../.." || exit 1
exec selftests/vm/run --numa 2 --mem 1G --timeout 120 -- /build/selftests/guest/numa
