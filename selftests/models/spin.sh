# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
#
# spin.sh: what the tests of the models share; sourced after tap.sh.
#
# A search counts only if it was complete: no error, nothing cut off at a depth, no
# memory short.  What it never reached is shown to be only what is named, since a
# model that cannot do anything has no errors either.

# Deep enough for all of them; a search that meets it fails.
SPIN_DEPTH=1000000
SPIN_MEGABYTES=6000

# spin_search MODEL [-D...]: its result in $tmp/out; the verifier's own status is no verdict
spin_search()
{
	local model=$1 dir

	shift
	dir=$(mktemp -d -p "$tmp")
	: > "$tmp/out"
	(
		cd "$dir" || exit
		spin -a "$@" "$top/models/$model.pml" &&
			gcc -O1 -w -DSAFETY -DCOLLAPSE -DMEMLIM=$SPIN_MEGABYTES -o pan pan.c &&
			./pan -m$SPIN_DEPTH
	) > "$tmp/out" 2>&1 || :
	rm -rf "$dir"
}

# spin_holds MODEL UNREACHED [-D...]: UNREACHED, an extended regular expression, is
# what the search may leave out
spin_holds()
{
	local model=$1 unreached=$2 status=0

	shift 2
	spin_search "$model" "$@"
	grep -q 'errors: 0' "$tmp/out" || status=1
	! grep -qE 'not completed|max search depth|out of memory|truncated' "$tmp/out" || status=1
	result "$status" "$model $*: holds in all of $(awk '/states, stored/ { print $1 }' "$tmp/out") states" "$tmp/out"
	grep -E '\.pml:[0-9]+, state' "$tmp/out" | grep -vE -e '-end-' -e "$unreached" > "$tmp/unreached" || :
	[ ! -s "$tmp/unreached" ]
	result $? "$model $*: nothing else is out of reach" "$tmp/unreached"
}

# spin_caught MODEL MISTAKE [-D...]
spin_caught()
{
	local model=$1 mistake=$2 status=0

	shift 2
	grep -qE "^#if(n)?def $mistake\$" "$top/models/$model.pml" || status=1
	spin_search "$model" "-D$mistake" "$@"
	grep -qE '^pan:1: assertion violated' "$tmp/out" || status=1
	result "$status" "$model: $mistake is caught" "$tmp/out"
}

# every line of models/mutations that is of this model
spin_mutations()
{
	local model mistake config

	while read -r model mistake config; do
		# shellcheck disable=SC2086
		[ "$model" != "$1" ] || spin_caught "$model" "$mistake" $config
	done < <(grep -v '^#' "$top/models/mutations")
}

if ! command -v spin > /dev/null; then
	echo "1..0 # SKIP spin is not installed (packages.list)"
	exit 0
fi
