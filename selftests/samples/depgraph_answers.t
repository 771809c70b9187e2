#!/bin/bash
# SPDX-License-Identifier: MIT
#
# depgraph_answers.t: depgraph says the same on a collected heap as on malloc,
# which never frees, however often the heap collects and whichever threads do
# what; a wrong answer is noticed; and the heap does what its settings promise.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

heap=$build/samples/depgraph
asan=$build/asan/samples/depgraph
oracle=$build/samples/depgraph-malloc
need "$heap" "$asan" "$oracle"
export GCARENA_BACKEND=process ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1
unset GCARENA_PERCENT GCARENA_LIMIT GCARENA_DEBUG
small=(--index "$tmp/small" --rounds 8 --queries 128 --hold-seconds 0)
big=(--index "$tmp/big" --rounds 6 --queries 96 --hold-seconds 0)

"$top/samples/depgraph/mkindex" 2000 > "$tmp/small" || exit
"$top/samples/depgraph/mkindex" 30000 > "$tmp/big" || exit

# answers FILE COMMAND...: its answers into FILE, all of it into FILE.out and .err
answers()
{
	local file=$1

	shift
	"$@" > "$file.out" 2> "$file.err" || return
	grep '^answer:' "$file.out" > "$file"
}

# same NAME WANTED COMMAND...: its answers are WANTED's, and it says nothing else
same()
{
	local name=$1 wanted=$2 status

	shift 2
	answers "$tmp/got" "$@" && [ ! -s "$tmp/got.err" ] &&
		diff "$wanted" "$tmp/got" > "$tmp/diff"
	status=$?
	result "$status" "$name" "$tmp/got.err" "$tmp/diff"
}

# check NAME CONDITION...: a condition on the last run
check()
{
	local name=$1

	shift
	"$@"
	result $? "$name" "$tmp/got.out"
}

differ()
{
	[ -s "$1" ] && [ -s "$2" ] && ! cmp -s "$1" "$2"
}

# figure ROW COLUMN: a number of the last run's table; columns from 1, or last
figure()
{
	awk -v row="$1" -v column="$2" 'index($0, row) == 1 {
		n = split(substr($0, length(row) + 1), f)
		print f[column == "last" ? n : column]
		exit
	}' "$tmp/got.out"
}

ratio()
{
	sed -n 's/^max in use \/ live: \([0-9.]*\) .*/\1/p' "$tmp/got.out"
}

# is NUMBER OPERATOR NUMBER
is()
{
	awk -v a="$1" -v b="$3" "BEGIN { exit !(a != \"\" && a + 0 $2 b + 0) }"
}

answers "$tmp/want" "$oracle" "${small[@]}"
result $? "the oracle runs" "$tmp/want.err"
check "and has an answer for each round" [ "$(grep -c 'answer: graph' "$tmp/want")" = 9 ]
check "and they differ from round to round" \
	[ "$(grep 'answer: graph' "$tmp/want" | sort -u | wc -l)" = 9 ]
check "and no edge is stale" [ "$(grep -c ' 0 stale' "$tmp/want")" = 9 ]
same "the oracle's answers do not depend on threads" "$tmp/want" "$oracle" "${small[@]}" --threads 1
same "nor on how the index is read" "$tmp/want" "$oracle" "${small[@]:2}" --index - < <(cat "$tmp/small")

for threads in 1 2 4 9; do
	same "the heap's are the same with $threads threads" "$tmp/want" \
		"$heap" "${small[@]}" --threads "$threads"
done
same "and when it collects all the time" "$tmp/want" env GCARENA_PERCENT=5 "$heap" "${small[@]}"
check "which it did" is "$(figure collections last)" ">" 20
same "and when every cycle is verified and every store shadowed" "$tmp/want" \
	env GCARENA_PERCENT=50 GCARENA_DEBUG=verify=1,shadow=1 "$heap" "${small[@]}"
same "and when what died is poisoned" "$tmp/want" \
	env GCARENA_PERCENT=20 GCARENA_DEBUG=poison=1 "$heap" "${small[@]}"
same "and when the build is sanitised, with dead slots poisoned" "$tmp/want" \
	env GCARENA_PERCENT=100 GCARENA_DEBUG=poison=1,verify=1 "$asan" "${small[@]}"
same "and when it never collects by itself" "$tmp/want" "$heap" "${small[@]}" --no-collect
check "which it did not" \
	[ "$(figure collections last)" = "$(figure '  asked for' last)" ]

answers "$tmp/other" "$oracle" "${small[@]}" --seed 7
check "another seed asks other questions" differ "$tmp/want" "$tmp/other"
same "and both builds agree on them" "$tmp/other" "$heap" "${small[@]}" --seed 7
answers "$tmp/wrong" "$heap" "${small[@]}" --wrong
check "an edge that is lost is noticed" differ "$tmp/want" "$tmp/wrong"

answers "$tmp/want-big" "$oracle" "${big[@]}"
result $? "the oracle runs on a larger index" "$tmp/want-big.err"
same "and the heap agrees" "$tmp/want-big" env GCARENA_PERCENT=100 "$heap" "${big[@]}"
check "in use stays under 2.5 times live at a GC percent of 100" is "$(ratio)" "<" 2.5
check "by collecting" is "$(figure collections last)" ">" "$(figure '  asked for' last)"
check "dropped, next to nothing is live" is "$(figure 'live (MiB)' last)" "<" 0.2
check "and the memory goes back" is "$(figure 'backed (MiB)' last)" "<=" 8
same "the heap agrees when it never collects by itself" "$tmp/want-big" "$heap" "${big[@]}" --no-collect
check "and in use does not stay under 2.5 times live" is "$(ratio)" ">" 2.5
same "a limit makes it collect instead" "$tmp/want-big" \
	env GCARENA_LIMIT=64MiB "$heap" "${big[@]}" --no-collect
check "and in use stays under the limit" is "$(figure 'in use (MiB)' 3)" "<=" 64

# refuses NAME REGEX COMMAND...: status 1 and one sentence
refuses()
{
	local name=$1 regex=$2 status

	shift 2
	"$@" > "$tmp/got.out" 2> "$tmp/got.err"
	status=$?
	echo "status $status" > "$tmp/why"
	[ "$status" = 1 ] && [ "$(wc -l < "$tmp/got.err")" = 1 ] && grep -q -e "$regex" "$tmp/got.err"
	result $? "$name" "$tmp/why" "$tmp/got.err"
}

refuses "a limit too low for the index is reported" '^depgraph: ' \
	env GCARENA_LIMIT=6MiB "$heap" "${big[@]}"
refuses "a limit too low, in the sanitised build" '^depgraph: ' \
	env GCARENA_LIMIT=6MiB "$asan" "${big[@]}"
refuses "a limit too low for the queries is reported" '^depgraph: ' \
	env GCARENA_LIMIT=3MiB "$heap" "${small[@]}" --threads 9
refuses "a setting that is none is reported" '^depgraph: no heap: ' \
	env GCARENA_PERCENT=many "$heap" "${small[@]}"
if [ -e /dev/gcarena ]; then
	skip "a forced device that is missing is reported" "there is one"
else
	refuses "a forced device that is missing is reported" '^depgraph: no heap: ' \
		env GCARENA_BACKEND=device "$heap" "${small[@]}"
fi
tap_done
