#!/bin/bash
# SPDX-License-Identifier: MIT
#
# numa.t: the NUMA test of the device on the debug kernel, in a guest with two nodes of
# memory and a CPU each: the work item that populates another node, and lists for each
# node, as lockdep and KASAN see them.  In check-long.
set -u

cd "$(dirname "$0")/../.." || exit 1
exec selftests/vm/run --kernel debug --numa 2 --mem 1G --append kmemleak=on \
	--timeout $((300 * ${CHECK_SLACK:-1})) -- /build/selftests/guest/numa
