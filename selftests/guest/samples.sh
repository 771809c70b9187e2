#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# samples.sh: each sample of one file does on the device what it does in a process, word for
# word, and leaves no arena.

debugfs=/sys/kernel/debug/gcarena
dir=$(mktemp -d)
n=0

# result STATUS NAME FILE...: the files explain a failure
result()
{
	local status=$1 name=$2

	shift 2
	n=$((n + 1))
	if [ "$status" = 0 ]; then
		echo "ok $n - $name"
		return
	fi
	echo "not ok $n - $name"
	for f; do
		tail -n 30 "$f" | sed 's/^/#   /'
	done
}

for expected in /selftests/samples/*.expected; do
	name=$(basename "$expected" .expected)
	GCARENA_BACKEND=device timeout 60 "/build/samples/$name" > "$dir/out" 2> "$dir/err"
	result $? "$name: ends well" "$dir/err" "$dir/out"
	diff "$expected" "$dir/out" > "$dir/diff" 2>&1
	result $? "$name: prints what it should" "$dir/diff"
done
[ "$n" -gt 20 ]
result $? "there are samples"

tries=50
while [ -n "$(find "$debugfs" -mindepth 1 -type d)" ] && [ "$tries" -gt 0 ]; do
	tries=$((tries - 1))
	usleep 100000
done
[ "$tries" -gt 0 ]
result $? "no arena is left"
rm -rf "$dir"
echo "1..$n"
