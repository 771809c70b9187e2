#!/bin/bash
# SPDX-License-Identifier: MIT
#
# heap.t: "gcarena heap" gets the profiles of a running program; what cannot be had is an
# error, and no file.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

tool=$build/asan/tools/gcarena
need "$tool" "$build/samples/depgraph"
export GCARENA_ENDPOINT=$tmp PPROF_TMPDIR=$tmp
"$top/samples/depgraph/mkindex" 500 > "$tmp/index" || exit 2
GCARENA_BACKEND=process GCARENA_PROFILE=rate=4096 "$build/samples/depgraph" --index "$tmp/index" \
	--rounds 1 --hold-seconds 60 > "$tmp/log" 2>&1 &
pid=$!
for ((i = 0; i < 200; i++)); do
	[ -S "$tmp/gcarena/$pid" ] && grep -q '^answer:' "$tmp/log" && break
	sleep 0.05
done

"$tool" heap -o "$tmp/heap" "$pid" > "$tmp/out" 2> "$tmp/err"
result $? "a profile of a running process" "$tmp/err"
go tool pprof -top -sample_index=alloc_space "$tmp/heap" > "$tmp/top" 2>&1 &&
	grep -q 'set_add\|list_add' "$tmp/top"
result $? "names its functions" "$tmp/top"
"$tool" heap --wait "pid:$pid" > "$tmp/wait" 2> "$tmp/err" &&
	go tool pprof -top "$tmp/wait" 2>&1 | grep -q '^Type: delay'
result $? "its waits, to a pipe or file" "$tmp/err"
kill "$pid"
wait "$pid" 2> /dev/null
for who in "$pid" "pid:$pid/7"; do
	"$tool" heap -o "$tmp/none" "$who" > "$tmp/out" 2> "$tmp/err"
	[ $? = 1 ] && [ -s "$tmp/err" ] && [ ! -e "$tmp/none" ]
	result $? "a process that is gone: $(head -c 60 "$tmp/err")" "$tmp/err"
done
"$tool" heap -o "$tmp/none" zero > "$tmp/out" 2> "$tmp/err"
[ $? = 2 ]
result $? "no process at all" "$tmp/err"
tap_done
