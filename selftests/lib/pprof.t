#!/bin/bash
# SPDX-License-Identifier: MIT
#
# pprof.t: "go tool pprof" opens what the library writes and names the program's
# places of allocation: with what is in use within 5 % at the default rate, and to
# the byte at rate 1.  The random numbers are always the same, so the figures are too.
# GCARENA_TEST_SCALE makes the run longer.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

program=$build/selftests/lib/profile
export GCARENA_BACKEND=process PPROF_TMPDIR=$tmp
command -v go > "$tmp/log" 2>&1
result $? "there is go tool pprof" "$tmp/log"

# compare PER-MILLE: what pprof shows of each site against what the program says
compare()
{
	awk -v most="$1" '
		NR == FNR { truth[$1] = $2; next }
		$6 in truth { got[$6] = $1 + 0 }
		END {
			for (site in truth) {
				off = (got[site] - truth[site]) / truth[site] * 1000
				printf "%s: %d of %d\n", site, got[site], truth[site]
				if (!(site in got) || off > most || -off > most)
					bad = 1
			}
			exit bad
		}' "$tmp/truth" "$tmp/top" > "$tmp/log"
}

# top_of FILE: its table
top_of()
{
	go tool pprof -top -unit=B -nodefraction=0 -nodecount=1000 "$1" > "$tmp/top" 2> "$tmp/err"
}

scale=$((${GCARENA_TEST_SCALE:-100} < 100 ? 100 : ${GCARENA_TEST_SCALE:-100}))
"$program" sites "$tmp/default" $((256 * scale / 100)) > "$tmp/truth" && top_of "$tmp/default"
result $? "a profile at the default rate" "$tmp/truth" "$tmp/err"
compare 50
result $? "the sites, within 5 %" "$tmp/log" "$tmp/top"
grep -q '^Type: inuse_space' "$tmp/top"
result $? "what is in use is shown first" "$tmp/top"
grep -q "^File: profile" "$tmp/top" && grep -q '^Build ID: [0-9a-f]\{16,\}' "$tmp/top"
result $? "the program and its build id" "$tmp/top"

GCARENA_PROFILE=rate=1 "$program" sites "$tmp/exact" 2 > "$tmp/truth" && top_of "$tmp/exact"
result $? "a profile of every object" "$tmp/truth" "$tmp/err"
compare 0
result $? "the sites, to the byte" "$tmp/log" "$tmp/top"
go tool pprof -top -sample_index=alloc_objects "$tmp/exact" 2>&1 | grep -q site_garbage
result $? "garbage was allocated" "$tmp/top"
! grep -q site_garbage "$tmp/top"
result $? "and is not in use" "$tmp/top"

go tool pprof -top -unit=B -nodefraction=0 -diff_base "$tmp/exact" "$tmp/exact" > "$tmp/top" 2>&1 &&
	grep -q '^Showing nodes accounting for 0, 0% of' "$tmp/top"
result $? "a difference of two: nothing from itself" "$tmp/top"
go tool pprof -top -unit=B -nodefraction=0 -sample_index=alloc_space -diff_base "$tmp/default" "$tmp/exact" > "$tmp/top" 2>&1 &&
	grep -q '^ *-[0-9.]*B .*site' "$tmp/top"
result $? "and less where less was allocated" "$tmp/top"

# The flame graph is a page of pprof's own, with the stacks in it.
port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
go tool pprof -no_browser "-http=127.0.0.1:$port" "$tmp/exact" > "$tmp/log" 2>&1 &
server=$!
for ((i = 0; i < 200; i++)); do
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or exit 1;
		print $s "GET /ui/flamegraph HTTP/1.0\r\n\r\n";
		print while <$s>;' "$port" > "$tmp/flame" && break
	sleep 0.05
done
kill "$server"
wait "$server" 2> /dev/null
grep -q '^HTTP/1.. 200' "$tmp/flame" && [ "$(grep -o '"site_[a-z]*"' "$tmp/flame" | sort -u | wc -l)" -ge 2 ]
result $? "a flame graph with the sites" "$tmp/log"
go tool pprof -raw "$tmp/exact" > "$tmp/raw" 2>&1 && grep -q 'bytes:\[' "$tmp/raw"
result $? "samples tell the objects' size" "$tmp/raw"

head -c 300 "$tmp/exact" > "$tmp/cut"
! go tool pprof -top "$tmp/cut" > "$tmp/log" 2>&1
result $? "one that is cut off is refused" "$tmp/log"
tap_done
