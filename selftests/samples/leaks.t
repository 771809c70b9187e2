#!/bin/bash
# SPDX-License-Identifier: MIT
#
# leaks.t: each leak of samples/leaks is found as Documentation/finding-leaks.rst says:
# the heap profile names the place that it is allocated at.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

cd "$top" || exit 2
export GCARENA_BACKEND=process PPROF_TMPDIR=$tmp
unset GCARENA_DEBUG GCARENA_PERCENT GCARENA_LIMIT

# shown VALUE NAME: the profile's table, "share function" a line
shown()
{
	go tool pprof -top -nodecount=1000 -sample_index="$1" "$tmp/$2".*.heap.pb.gz 2> "$tmp/err" |
		awk 'table { sub(/%/, "", $2); print $2, $6 } /flat%/ { table = 1 }' > "$tmp/shown"
}

# finds NAME VALUE SITE: SITE has nine tenths of VALUE in NAME's profile
finds()
{
	shown "$2" "$1"
	awk -v site="$3" '$2 == site && $1 >= 90 { found = 1 } END { exit !found }' "$tmp/shown"
	result $? "$1: $2 points at $3()" "$tmp/shown" "$tmp/err"
	grep -q "$3()" Documentation/finding-leaks.rst
	result $? "$1: as the page says" "$tmp/shown"
}

for source in samples/leaks/*.c; do
	name=$(basename "$source" .c)
	${CC:-cc} -std=gnu11 -O2 -g -Wall -Wextra -Werror -Ilib/include -Iuapi -o "$tmp/$name.run" \
		"$source" "$build/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1
	result $? "$name: it compiles without a warning" "$tmp/log"
	GCARENA_PROFILE=rate=8192,close=1,file=$tmp/$name "$tmp/$name.run" > "$tmp/log" 2>&1
	result $? "$name: it runs" "$tmp/log"
	grep -q "samples/leaks/$name.c" Documentation/finding-leaks.rst
	result $? "$name: the page has it"
done
finds table inuse_space remember
finds slice inuse_space read_page
finds queue inuse_space send_message
finds pool inuse_space grow_buffer
finds storm alloc_space format_line
finds storm inuse_space keep_result
tap_done
