#!/bin/bash
# SPDX-License-Identifier: MIT
#
# percpu-cost.t: a refill that its CPU's cache answers costs at most 2 ioctls that
# return at once, 64 spans in one batch at most 4, in instructions of a guest
# that counts them.  The figures are bench/kernel/percpu's.
set -u

cd "$(dirname "$0")/../.." || exit 1
out=$(mktemp)
trap 'rm -f "$out"' EXIT

echo "1..3"
if selftests/vm/run --icount --mem 1G --timeout 240 -- /build/bench/kernel/percpu > "$out" 2>&1; then
	echo "ok 1 - the benchmark runs"
else
	echo "not ok 1 - the benchmark runs"
fi
sed 's/^/# /' "$out"
n=1
for claim in "cached refill of 1 : ioctl" "cached refill of 64 : ioctl"; do
	n=$((n + 1))
	ratio=$(tr -d '\r' < "$out" | awk -F '\t' -v c="$claim" '$1 == "ratio" && $2 == c { print $3, $4, $5 }')
	case $ratio in
	*ok) echo "ok $n - $claim: $ratio" ;;
	*) echo "not ok $n - $claim: ${ratio:-no figure}" ;;
	esac
done
