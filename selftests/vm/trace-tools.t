#!/bin/bash
# SPDX-License-Identifier: MIT
#
# trace-tools.t: the recipes of Documentation/tracepoints.rst, as they stand
# there, in a guest: trace-cmd and bpftrace find the events, print their fields
# by name and count what a program does.  A tool that is not installed here is
# skipped (scripts/install-deps trace).
set -u

cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

check()
{
	n=$((n + 1))
	if grep -qE -e "$2" "$tmp/out"; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "#   no line matches /$2/"
		sed 's/^/#   /' "$tmp/out" | tail -n 30
	fi
}

add=()
for tool in trace-cmd bpftrace; do
	path=$(command -v $tool) && add+=(--add "$(realpath "$path"):/usr/bin/$tool")
done
if [ ${#add[@]} = 0 ]; then
	echo "1..0 # SKIP neither trace-cmd nor bpftrace is installed"
	exit 0
fi

# The recipe: the indented block below the heading, "program" replaced.
recipe()
{
	awk -v heading="$1" '
		$0 == heading { inside = 1; next }
		inside && /^=+$/ { next }
		inside && /^    / { sub(/^    /, ""); print; seen = 1; next }
		inside && seen && !/^$/ { exit }' Documentation/tracepoints.rst | sed 's/program/spans/'
}

{
	echo 'cd /tmp'
	echo 'if which trace-cmd > /dev/null; then'
	recipe 'With trace-cmd'
	echo 'fi; if which bpftrace > /dev/null; then'
	recipe 'With bpftrace'
	echo 'fi'
} > "$tmp/recipes"
selftests/vm/run --mem 2G --timeout 240 "${add[@]}" --add "$tmp/recipes:/recipes" -- \
	sh /recipes > "$tmp/out" 2>&1
status=$?
n=$((n + 1))
if [ "$status" = 0 ]; then
	echo "ok $n - the recipes run"
else
	echo "not ok $n - the recipes run"
	echo "#   status $status"
fi

if command -v trace-cmd > /dev/null; then
	check "trace-cmd tells refills and their level" \
		'spans-[0-9]+ .*gcarena_refill: +arena=[0-9]+ class=.* level=back err=0$'
	check "trace-cmd tells backing" 'gcarena_back: +arena=[0-9]+ page=.* huge=1 err=0$'
	check "trace-cmd tells the end of a sweep" 'gcarena_sweep_end: +arena=.* ns=[0-9]+$'
	n=$((n + 1))
	if grep -q 'FAILED TO PARSE' "$tmp/out"; then
		echo "not ok $n - trace-cmd can print every event"
		grep -m 5 'FAILED TO PARSE' "$tmp/out" | sed 's/^/#   /'
	else
		echo "ok $n - trace-cmd can print every event"
	fi
else
	n=$((n + 1))
	echo "ok $n # SKIP trace-cmd is not installed"
fi
if command -v bpftrace > /dev/null; then
	check "bpftrace counts refills by level" '^@level\[3\]: [1-9]'
	check "bpftrace counts huge pages" '^@huge\[1\]: [1-9]'
	check "bpftrace adds up what the thread scavenged" '^@scavenged\[gcarena/[0-9]+\]: [1-9]'
	check "bpftrace times sweeps" '^@sweep_us: *$'
else
	n=$((n + 1))
	echo "ok $n # SKIP bpftrace is not installed"
fi
echo "1..$n"
