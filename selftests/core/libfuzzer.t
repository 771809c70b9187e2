#!/bin/bash
# SPDX-License-Identifier: MIT
#
# libfuzzer.t: libFuzzer looks for an input of selftests/core/fuzz.c that the model
# or the sanitizer does not like, from the kept corpus on (make fuzz-core), for
# three seconds a per cent of GCARENA_TEST_SCALE above 100.  So only in check-long.
cd "$(dirname "$0")/../.." || exit 1

seconds=$(((${GCARENA_TEST_SCALE:-100} - 100) / 3))
if [ "$seconds" -le 0 ]; then
	echo "1..0 # SKIP for make check-long"
	exit 0
fi
if ! command -v clang-14 > /dev/null; then
	echo "1..0 # SKIP no clang-14: scripts/install-deps long"
	exit 0
fi
out=$(mktemp)
trap 'rm -f "$out"' EXIT
echo "1..2"
if ${MAKE:-make} -s B="${CHECK_BUILD:-build}" fuzz-core FUZZ_SECONDS="$seconds" > "$out" 2>&1; then
	echo "ok 1 - nothing found in $seconds s"
else
	echo "not ok 1 - nothing found in $seconds s"
	tail -n 40 "$out" | sed 's/^/# /'
fi
runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$out")
if [ "${runs:-0}" -gt "$seconds" ]; then
	echo "ok 2 - $runs inputs were tried"
else
	echo "not ok 2 - ${runs:-no} inputs were tried"
fi
tail -n 3 "$out" | sed 's/^/# /'
