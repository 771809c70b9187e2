#!/bin/bash
# SPDX-License-Identifier: MIT
#
# kunit.t: the KUnit suites in the debug kernel, one boot for each module.
#
# insmod succeeds whatever the cases found, and a suite that did not run says
# nothing: so results are read from debugfs, and every case that the sources
# name must be among them.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd -P)
kdir=$("$top/scripts/debug-kernel" --kdir) || exit 1
release=${kdir%/build}
modules=$top/build/kunit/${release##*/}/selftests/kunit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

result()
{
	n=$((n + 1))
	echo "$1 $n - $2"
}

# suites MODULE SOURCE...: run them, one result for each case and parameter
suites()
{
	local module=$1 status=0 want got line
	shift

	"$top/selftests/vm/run" --kernel debug --mem 1G --no-module --no-programs --log "$tmp/log" \
		--add "$modules/$module.ko:/kunit.ko" -- \
		sh -c 'insmod /kunit.ko || exit; cat /sys/kernel/debug/kunit/gcarena*/results; rmmod '"$module" \
		> "$tmp/out" 2> "$tmp/err" || status=$?
	# Of cases and parameters: those are indented, suites are not.
	while read -r line; do
		result "${line%% [0-9]*}" "${module#gcarena_}: ${line#*ok [0-9]* }"
	done < <(grep -E '^ +(not )?ok ' "$tmp/out")
	if grep -qE '^ *not ok ' "$tmp/out"; then
		grep -vE '^ *(ok|KTAP|1\.\.|# (Subtest|module))' "$tmp/out" | sed 's/^/#   /'
	fi
	want=$(cat "$@" | grep -oE '\bKUNIT_CASE(_PARAM)?\([a-z_0-9]+' | sed 's/.*(//' | sort)
	# A case's own line, not its parameters'.
	got=$(sed -nE 's/^    (not )?ok [0-9]+ ([a-z_0-9]+).*/\2/p' "$tmp/out" | sort)
	if [ -n "$want" ] && [ "$got" = "$want" ]; then
		result ok "$module: every case ran ($(wc -w <<< "$want"))"
	else
		result 'not ok' "$module: every case ran"
		diff <(echo "$want") <(echo "$got") | sed 's/^/#   /'
	fi
	if [ "$status" = 0 ] && [ ! -s "$tmp/err" ]; then
		result ok "$module: it came and went, and its kernel reported nothing"
	else
		result 'not ok' "$module: it came and went, and its kernel reported nothing"
		sed "s/^/#   status $status: /" "$tmp/err" | tail -n 100
	fi
}

suites gcarena_kunit_core "$top/selftests/kunit/core.c"
suites gcarena_kunit "$top"/selftests/kunit/linux*.c
echo "1..$n"
