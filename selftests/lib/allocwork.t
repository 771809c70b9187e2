#!/bin/bash
# SPDX-License-Identifier: MIT
#
# allocwork.t: what an object costs that is garbage at once, in instructions of all
# threads: allocation, its share of a span's life, of sweeping and of a cycle.  Bounds
# are jemalloc's calloc() + free() and malloc() + free() at 16 to 256 bytes where these
# are reached, else a fourth above what was measured: how much of the sweep the worker does
# before a refill comes to it is up to the machine.
# shellcheck disable=SC1091,SC2154	# tap.sh: build, tmp
. "$(dirname "$0")/../tap.sh"

program=$build/bench/peers/gcarena
short=50000
long=250000

# count WHAT SIZE N: instructions of a run
count()
{
	GCARENA_BACKEND=process GCARENA_PROFILE=wait=0 valgrind --tool=callgrind \
		--callgrind-out-file=/dev/null "$program" alloc "$@" 2>&1 > /dev/null |
		awk '/Collected/ { print $NF }'
}

command -v valgrind > "$tmp/log" 2>&1
result $? "there is valgrind" "$tmp/log"
while read -r what size most; do
	# Start and end cancel out.
	first=$(count "$what" "$size" $short)
	second=$(count "$what" "$size" $long)
	each=$(((${second:-0} - ${first:-0}) / (long - short)))
	echo "$first $second" > "$tmp/log"
	[ "$each" -gt 20 ] && [ "$each" -le "$most" ]
	result $? "$what, $size bytes: $each instructions, at most $most" "$tmp/log"
done << END
zeroed 16 145
zeroed 64 147
zeroed 256 162
zeroed 1024 218
raw 16 77
raw 64 78
raw 256 79
raw 1024 115
END
tap_done
