#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.t: make demo with a small generated index does all of its parts, and
# notices a wrong answer in whichever of the three runs it is.
set -u

cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export B=${CHECK_BUILD:-build}
n=0

# demo NAME WANTED-STATUS REGEX ARGS...
demo()
{
	local name=$1 want=$2 regex=$3 got

	shift 3
	n=$((n + 1))
	scripts/demo.sh --index "$tmp/index" "$@" -- --rounds 3 --queries 32 > "$tmp/out" 2>&1
	got=$?
	if [ "$got" = "$want" ] && grep -qE -e "$regex" "$tmp/out"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "#   status $got, wanted $want and /$regex/"
		sed 's/^/#   /' "$tmp/out" | tail -n 40
	fi
}

samples/depgraph/mkindex 2000 > "$tmp/index" || exit 1
demo "malloc, process and device give the same answers" 0 "answers are the same from malloc, process and device"
for want in "debugfs, loaded: " "debugfs, everything dropped: " "heap_released [0-9]" "no arena is left"; do
	n=$((n + 1))
	if grep -qE -e "$want" "$tmp/out"; then
		echo "ok $n - it shows '$want'"
	else
		echo "not ok $n - it shows '$want'"
	fi
done
demo "a wrong answer on the device is noticed" 1 "the device run's answers differ" --wrong device
demo "a wrong answer in the process is noticed" 1 "the process run's answers differ" --wrong process
demo "a wrong answer of the oracle is noticed" 1 "answers differ from malloc's" --wrong malloc
echo "1..$n"
