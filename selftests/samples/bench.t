#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench.t: the harness of the benchmarks, at sizes that take no time: the same sums
# from every peer that is here, records as documented, and that it notices a peer
# that does other work, a record that is none, and a regression.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
peers=$build/bench/peers
need "$peers/gcarena" "$peers/malloc"
out=$tmp/results.jsonl
runs=(bench/run --no-build --programs "$peers" --present --out "$out")

"${runs[@]}" --set tiny --peers gcarena,glibc,bdwgc,go,serial > "$tmp/table" 2> "$tmp/log"
result $? "every workload runs and the sums of all peers agree" "$tmp/log"
grep -q 'gcarena / glibc = ' "$tmp/table"
result $? "ratios are printed" "$tmp/table"
grep -q 'about .* s left' "$tmp/log"
result $? "progress is shown" "$tmp/log"

# ------------------------------------------------------------------ records

workloads=$(sed -n 's/^{"workload": "\([a-z]*\)".*/\1/p' "$out" | sort -u | tr '\n' ' ')
[ "$workloads" = "alloc bursty connections depgraph fragment gcbench jitter large limit mutate percent scale threads trees " ]
result $? "records of every workload" <(echo "$workloads")
report()
{
	bench/report --results "$1" --out "$tmp/report.html" > "$tmp/log" 2>&1
}
report "$out"
result $? "the records are valid and the report renders" "$tmp/log"
grep -q '^1 *trees: cpu, over glibc' "$tmp/log" && grep -qE '(met|missed)$' "$tmp/log"
result $? "targets are judged" "$tmp/log"
python3 - "$tmp/report.html" > "$tmp/log" 2>&1 << 'END'
import html.parser, sys
class Check(html.parser.HTMLParser):
    svg = 0
    def handle_starttag(self, tag, attrs):
        self.svg += tag == "svg"
        for name, value in attrs:
            assert name not in ("src", "href"), f"{tag} {name}={value}: needs a network"
check = Check()
check.feed(open(sys.argv[1]).read())
assert check.svg > 20, check.svg
END
result $? "the page has plots and needs nothing else" "$tmp/log"
for bad in 's/"metric": "cpu"/"metrik": "cpu"/' 's/"value": [0-9.e-]*/"value": "much"/' \
	's/"load": [0-9.]*/"lead": 1/' 's/"peer": "glibc"/"peer": "other"/' 's/^{/[/'; do
	sed "$bad" "$out" > "$tmp/bad.jsonl"
	! report "$tmp/bad.jsonl" && grep -q '^bench: .*bad.jsonl:[0-9]*: ' "$tmp/log"
	result $? "a record that is none is refused: $bad" "$tmp/log"
done

# ------------------------------------------------------------ a peer that lies

mkdir "$tmp/peers"
ln -s "$peers/gcarena" "$tmp/peers/gcarena"
# stand_in PROGRAM FILTER [PRELUDE]: $tmp/peers/PROGRAM prints the real one's lines through FILTER
stand_in()
{
	rm -f "$tmp/peers/$1"
	printf '#!/bin/bash\n%s\nset -o pipefail\n"%s" "$@" | %s\n' "${3:-}" "$peers/$1" "$2" > "$tmp/peers/$1"
	chmod +x "$tmp/peers/$1"
}
lies()
{
	bench/run --no-build --programs "$tmp/peers" --out "$tmp/lies.jsonl" --set tiny \
		--peers gcarena,glibc depgraph > "$tmp/log" 2>&1
}
stand_in malloc cat
lies
result $? "a stand-in that does the work is believed" "$tmp/log"
stand_in malloc "sed 's/^sum /sum 1/'"
! lies && grep -q '^bench: depgraph 500 640: the sums differ: ' "$tmp/log"
result $? "another sum ends the comparison" "$tmp/log"
stand_in malloc "grep -v '^sum'"
! lies && grep -q 'glibc printed no sum' "$tmp/log"
result $? "no sum ends it" "$tmp/log"
stand_in malloc cat 'exit 3'
! lies && grep -q 'glibc failed, status 3' "$tmp/log"
result $? "a peer that fails ends it" "$tmp/log"

# -------------------------------------------------------------- a regression

stand_in malloc cat
check()
{
	bench/check --no-build --programs "$tmp/peers" --set tiny-check --baseline "$tmp/baseline.json" \
		"$@" > "$tmp/log" 2>&1
}
check --record && grep -q '"alloc zeroed 64 4000000": \[' "$tmp/baseline.json"
result $? "a baseline is recorded" "$tmp/log"
# times LOW HIGH: the machine may be busy; what is tested is not how close the spread is
times()
{
	echo "{\"instructions\": {}, \"times\": {\"alloc zeroed 64 4000000\": [$1, $2]}}" > "$tmp/baseline.json"
}
times 0.0001 100
check
result $? "CPU time within the spread passes" "$tmp/log"
times 0.0001 0.0002
! check && [ "$(grep -c '^alloc .* recorded' "$tmp/log")" = 3 ] && grep -q '^REGRESSION alloc' "$tmp/log"
result $? "above it in three runs fails" "$tmp/log"
echo '{"instructions": {"a: instructions": 100}, "times": {}}' > "$tmp/baseline.json"
echo '{"a: instructions": 109}' > "$tmp/counts"
check --no-time --counts "$tmp/counts"
result $? "nine per cent more instructions pass" "$tmp/log"
echo '{"a: instructions": 111}' > "$tmp/counts"
! check --no-time --counts "$tmp/counts" && grep -q '^REGRESSION a: instructions: .*+11' "$tmp/log"
result $? "eleven do not" "$tmp/log"
echo '{"b: instructions": 1}' > "$tmp/counts"
! check --no-time --counts "$tmp/counts"
result $? "nor does what the baseline does not know" "$tmp/log"
tap_done
