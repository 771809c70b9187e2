# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# tap.sh: what the tests in shell share; sourced, never run.
#
# Results speak TAP.  Everything a test makes is under $tmp, which goes when the
# test ends, however it ends.  tap_done must be the last command: a test that
# stops before it has no plan and counts as failed.
set -u

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
build=${CHECK_BUILD:-$top/build}
case $build in
/*) ;;
*) build=$top/$build ;;
esac
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
tap_count=0
tap_failed=0

# result STATUS NAME [FILE...]: one result; the files explain a failure
result()
{
	local status=$1 name=$2 f

	shift 2
	tap_count=$((tap_count + 1))
	if [ "$status" = 0 ]; then
		echo "ok $tap_count - $name"
		return
	fi
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $name"
	for f; do
		sed 's/^/#   /' "$f" | cut -c 1-200 | tail -n 20
	done
}

# skip NAME REASON
skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_done()
{
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

# need PROGRAM...: without them nothing here can run
need()
{
	local p

	for p; do
		if [ ! -x "$p" ]; then
			echo "Bail out! $p is missing: build it first"
			exit 1
		fi
	done
}
