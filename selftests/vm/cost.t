#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016
#
# cost.t: what claims promise in instructions, in a guest that counts them, by the
# programs of bench/kernel.  C1: a chunk of the reserve costs at most two that are
# backed already, one without reserve at least ten.  A refill that its CPU's cache
# answers costs at most 2 ioctls that return at once, 64 spans in one batch at most
# 4.  C3: releasing whole chunks costs at most 1.05 of a MADV_REMOVE loop; in check-long
# also: scattered pages, and base pages inside spans, no more than the loop.
set -u

cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

programs=(percpu reserve "release whole")
claims=("cached refill of 1 : ioctl" "cached refill of 64 : ioctl" "C1 reserve / idle" "C1 no reserve / idle"
	"C3 release, whole")
if [ "${GCARENA_TEST_SCALE:-100}" -ge 1000 ]; then
	programs=(percpu reserve release inside)
	claims+=("C3 release, 1 page" "C3 release, "{3/4,1/2,1/4}" inside" "C3 release, "{3/4,1/2}" inside, broken")
	for part in 1/16 1/8 1/4 1/2; do
		claims+=("C3 release, $part, scattered" "C3 release and survivors, $part, scattered"
			"C3 release, $part, scattered, broken")
	done
	# Not measured in that state.
	claims=("${claims[@]/C3 release, 1\/8, scattered, broken/C3 release, 3\/4, one run}")
fi

echo "1..$((${#claims[@]} + 1))"
if selftests/vm/run --icount --cpus 1 --mem 1G --timeout $((550 * ${CHECK_SLACK:-1})) -- sh -c '
	echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled
	for b; do /build/bench/kernel/$b || exit 1; done' sh "${programs[@]}" > "$out" 2>&1; then
	echo "ok 1 - the benchmarks run"
else
	echo "not ok 1 - the benchmarks run"
fi
sed 's/^/# /' "$out"
n=1
for claim in "${claims[@]}"; do
	n=$((n + 1))
	ratio=$(tr -d '\r' < "$out" | awk -F '\t' -v c="$claim" '$1 == "ratio" && $2 == c { print $3, $4, $5 }')
	case $ratio in
	*ok) echo "ok $n - $claim: $ratio" ;;
	*) echo "not ok $n - $claim: ${ratio:-no figure}" ;;
	esac
done
