#!/bin/bash
# SPDX-License-Identifier: MIT
#
# profile_cost.t: what heap profiles at the default rate cost depgraph, in instructions:
# at most 1 % over none at all.  Waits are left out of both: they are sampled by the
# clock, which runs fifty times as fast here, for the instructions.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

limit=10	# per mille

command -v valgrind > "$tmp/log" 2>&1
result $? "there is valgrind" "$tmp/log"
"$top/samples/depgraph/mkindex" 2000 > "$tmp/index" || exit 2

# collected PROFILE: instructions of a run.  Collections only at the steps' ends, by
# one thread: they do not depend on time.
collected()
{
	GCARENA_BACKEND=process GCARENA_PROFILE=$1 GCARENA_WORKERS=1 \
		valgrind --tool=callgrind --callgrind-out-file=/dev/null \
		"$build/samples/depgraph" --index "$tmp/index" --threads 1 --rounds 1 \
		--queries 64 --no-collect --hold-seconds 0 2>&1 > "$tmp/out" |
		sed -n 's/.*Collected : //p'
}

off=$(collected rate=0,wait=0)
on=$(collected rate=524288,wait=0)
echo "off $off, on $on" > "$tmp/log"
echo "# $(cat "$tmp/log")"
[ "${off:-0}" -gt 0 ] && [ "${on:-0}" -gt 0 ] && [ $(((on - off) * 1000)) -le $((off * limit)) ]
result $? "the default rate costs at most 1 %" "$tmp/log"
tap_done
