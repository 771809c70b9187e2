#!/bin/bash
# SPDX-License-Identifier: MIT
#
# trace-tools.t: the recipes of Documentation/tracepoints.rst, as they stand
# there, in a guest: trace-cmd and bpftrace find the events, print their fields
# by name and count what a program does.  The same of the library on the device:
# bpftrace attaches to its probes, trace-cmd records its timeline among the
# module's events and "gcarena trace" reads that (scripts/install-deps trace).
set -u

cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0
build=$PWD/build
library=/build/selftests/lib/forms

# check TITLE REGEX [FILE]
check()
{
	local file=${3-$tmp/out}

	n=$((n + 1))
	if grep -qE -e "$2" "$file"; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		echo "#   no line matches /$2/"
		tail -n 30 "$file" | cut -c 1-300 | sed 's/^/#   /'
	fi
}

# part NAME: what the guest printed between "== NAME" and the next of its kind
part()
{
	awk -v name="$1" '/^== / { inside = $2 == name; next } inside' "$tmp/out" > "$tmp/$1"
}

add=()
for tool in trace-cmd bpftrace; do
	path=$(command -v $tool) || { echo "Bail out! no $tool: scripts/install-deps trace"; exit 1; }
	add+=(--add "$(realpath "$path"):/usr/bin/$tool")
done

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
	recipe 'With trace-cmd'
	echo 'echo "== timeline"'
	echo "trace-cmd record -q -C mono -e gcarena env GCARENA_BACKEND=device \
		GCARENA_TIMELINE=ftrace $library > /tmp/log && trace-cmd report || exit 1"
	echo 'echo "== end"'
	recipe 'With bpftrace'
	echo 'echo "== list"'
	echo "bpftrace -l 'usdt:$library:gcarena:*' || exit 1"
	echo 'echo "== probes"'
	echo "GCARENA_BACKEND=device bpftrace -c $library \
		-e 'usdt:$library:gcarena:* { @[probe] = count(); }' || exit 1"
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

part timeline
n=$((n + 1))
# Kernel, library, kernel, by the order of time that the report has.
if awk '/: gcarena_[a-z_]+: / { if (marker) between = 1; kernel = 1 }
	kernel && /: gcarena: cycle_begin / { marker = 1 }
	END { exit !between }' "$tmp/timeline"; then
	echo "ok $n - trace-cmd has the library's cycles between the module's events"
else
	echo "not ok $n - trace-cmd has the library's cycles between the module's events"
	tail -n 30 "$tmp/timeline" | sed 's/^/#   /'
fi
# A line an event: its process, 1 the library's and 2 the kernel's, and name.
n=$((n + 1))
if "$build/tools/gcarena" trace "$tmp/timeline" > "$tmp/json" 2> "$tmp/events" &&
   perl -MJSON::PP -e 'local $/; print "$_->{pid} $_->{ph} $_->{name}\n"
		for @{decode_json(<STDIN>)->{traceEvents}}' \
	< "$tmp/json" > "$tmp/events" 2>&1; then
	echo "ok $n - gcarena trace makes JSON of it"
else
	echo "not ok $n - gcarena trace makes JSON of it"
	tail -n 30 "$tmp/events" | sed 's/^/#   /'
fi
check "the JSON has the library's cycles" '^1 X cycle 1$' "$tmp/events"
check "the JSON has the library's phases" '^1 X mark$' "$tmp/events"
check "the JSON has the module's refills" '^2 [iX] refill$' "$tmp/events"

check "bpftrace counts refills by level" '^@level\[3\]: [1-9]'
check "bpftrace counts huge pages" '^@huge\[1\]: [1-9]'
check "bpftrace adds up what the thread scavenged" '^@scavenged\[gcarena/[0-9]+\]: [1-9]'
check "bpftrace times sweeps" '^@sweep_us: *$'

# What lib/ places; of the page selftests/lib/probes.t says that it is the same.
probes=$(grep -oh 'PROBE[234]([a-z_]*' lib/*.c | sed 's/.*(//' | sort -u)
part list
part probes
for probe in $probes; do
	check "bpftrace finds the library's probe $probe" \
		"^usdt:$library:gcarena:$probe\$" "$tmp/list"
done
places=$(readelf -n "$PWD$library" 2> /dev/null | grep -c 'Provider: gcarena')
check "bpftrace attaches at every place they are at" \
	"^Attaching $places probes\.\.\.\$" "$tmp/probes"
# An assist, a stall and pressure are not sure to happen.
for probe in cycle__begin cycle__end phase stop refill; do
	check "bpftrace counts $probe" \
		"^@\[usdt:$library:gcarena:$probe\]: [1-9]" "$tmp/probes"
done
echo "1..$n"
