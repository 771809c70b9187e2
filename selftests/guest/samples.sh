#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# samples.sh: each sample of one file does on the device what it does in a process, word for
# word, and leaves no arena.
# shellcheck disable=SC1091,SC2154	# results: dir, n
. "$(dirname "$0")/results"

for expected in /selftests/samples/*.expected; do
	name=$(basename "$expected" .expected)
	GCARENA_BACKEND=device timeout 60 "/build/samples/$name" > "$dir/out" 2> "$dir/err"
	result $? "$name: ends well" "$dir/err" "$dir/out"
	diff "$expected" "$dir/out" > "$dir/diff" 2>&1
	result $? "$name: prints what it should" "$dir/diff"
done
[ "$n" -gt 20 ]
result $? "there are samples"

no_arena "no arena is left"
rm -rf "$dir"
echo "1..$n"
