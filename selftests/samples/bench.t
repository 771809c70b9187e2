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
[ "$(grep -c '"metric": "touch_before", "unit": "ns/64 B", "value": [1-9]' "$out")" = "$(grep -c '"metric": "cpu"' "$out")" ]
result $? "memory is made ready before each run, and what that took is recorded" <(grep touch_before "$out")
report "$out"
result $? "the records are valid and the report renders" "$tmp/log"
grep -q '^1 *trees: cpu, over glibc' "$tmp/log" && grep -qE '(met|missed)$' "$tmp/log"
result $? "targets are judged" "$tmp/log"
grep -qE '^7 *scale: the chase by one thread .* [0-9.]+ +floor$' "$tmp/log"
result $? "what the machine gives anybody stands beside them, and is none" "$tmp/log"
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
! lies && grep -q 'glibc failed, status 3' "$tmp/log" && grep -q '"peer": "gcarena"' "$tmp/lies.jsonl"
result $? "a peer that fails is named, and the others are measured" "$tmp/log"
# shellcheck disable=SC2016
stand_in malloc cat 'kill -KILL $$'
! lies && grep -q 'glibc failed, killed by SIGKILL: out of memory' "$tmp/log"
result $? "so is one that is killed" "$tmp/log"

# A virtual machine's threads end a moment after they were joined: they may be listed still.
cat > "$tmp/Gone.java" << 'END'
public class Gone {
    public static void main(String[] args) throws Exception {
        if (Bench.collectorNs(new java.io.File("/proc/self/task/2147483647")) != 0)
            System.exit(1);
    }
}
END
if [ -e "$peers/java/Bench.class" ] && command -v javac > /dev/null; then
	javac -cp "$peers/java" -d "$tmp" "$tmp/Gone.java" > "$tmp/log" 2>&1 &&
		java -XX:TieredStopAtLevel=1 -cp "$peers/java:$tmp" Gone >> "$tmp/log" 2>&1
	result $? "a thread that ended before it was looked at ends no run" "$tmp/log"
else
	skip "a thread that ended before it was looked at ends no run" "no Java here"
fi

# ---------------------------------------------------------- what goes wrong

for bad in "--set none" "--rounds 0" "--peers none" "nothing" "--peers zgc limit" "--programs $tmp/none"; do
	# shellcheck disable=SC2086
	! bench/run --no-build --programs "$peers" --out "$tmp/bad.jsonl" --set tiny $bad > "$tmp/log" 2>&1 &&
		grep -q '^bench: ' "$tmp/log" && ! grep -q Traceback "$tmp/log"
	result $? "a sentence and a status for $bad" "$tmp/log"
done
for bad in '@' '@much' '@-1' '@1 @2'; do
	echo "tiny 1 trees 8 2 / glibc $bad" > "$tmp/sizes"
	! PYTHONPATH=bench python3 -c 'import sys, harness; harness.main(lambda: harness.read_sizes("tiny", sys.argv[1]))' \
		"$tmp/sizes" > "$tmp/log" 2>&1 && grep -q '^bench: .*sizes:1: .*no number of MiB' "$tmp/log"
	result $? "so for a size to make ready that is none: $bad" "$tmp/log"
done
"${runs[@]}" --programs "$tmp/peers" --set tiny --peers gcarena,bdwgc depgraph > "$tmp/log" 2>&1 &&
	grep -q '^bdwgc is left out: .* is missing' "$tmp/log"
result $? "--present does without a peer that is not there" "$tmp/log"

# killed HOW: a run that is killed while its peer is at work, beside what was recorded
killed()
{
	local run i

	stand_in malloc cat "echo \$\$ > '$tmp/pid'; exec sleep 100"
	rm -f "$tmp/pid" "$tmp/killed.jsonl"
	bench/run --no-build --programs "$tmp/peers" --out "$tmp/killed.jsonl" --set tiny \
		--peers gcarena,glibc trees depgraph > "$tmp/log" 2>&1 &
	run=$!
	# Once in the warm-up, small; what is waited for is a run with a record before it.
	for ((i = 0; i < 300; i++)); do
		[ ! -s "$tmp/pid" ] || break
		sleep 0.1
	done
	kill "-$1" "$run"
	wait "$run" 2> /dev/null
	for ((i = 0; i < 100; i++)); do
		kill -0 "$(cat "$tmp/pid")" 2> /dev/null || return 0
		sleep 0.1
	done
	return 1
}
for how in KILL TERM; do
	killed "$how"
	result $? "SIG$how takes the peer along" "$tmp/log"
done

stand_in malloc cat
lies
head -c -20 "$tmp/lies.jsonl" > "$tmp/half.jsonl"
report "$tmp/half.jsonl"
result $? "half a line at the end of the records is passed over" "$tmp/log"
bench/run --no-build --programs "$tmp/peers" --out "$tmp/half.jsonl" --set tiny --resume \
	--peers gcarena,glibc depgraph gcbench > "$tmp/log" 2>&1 && report "$tmp/half.jsonl"
result $? "and cut off when the run goes on" "$tmp/log"
(ulimit -f 8; bench/run --no-build --programs "$tmp/peers" --out "$tmp/full.jsonl" --set tiny \
	--peers gcarena,glibc depgraph gcbench) > "$tmp/log" 2>&1
[ $? = 1 ] && grep -q '^bench: .*full.jsonl: .*--resume' "$tmp/log" && ! grep -q Traceback "$tmp/log" &&
	[ -z "$(tail -c 1 "$tmp/full.jsonl")" ]
result $? "a disk that is full is a sentence, and no half records" "$tmp/log"

# others CPUS: the records as if others had used so many
others()
{
	sed 's/\("metric": "others", "unit": "CPUs", "value": \)[0-9.e-]*/\1'"$1"'/' "$out" > "$tmp/others.jsonl"
	report "$tmp/others.jsonl"
}
others 1.5 && grep -q '^THE MACHINE WAS BUSY: others used 1.5 CPUs' "$tmp/log"
result $? "a busy machine is said to be" "$tmp/log"
others 0.01 && ! grep -q BUSY "$tmp/log"
result $? "an idle one is not" "$tmp/log"

printf 'by hand\n.. bench/report --rst begins\nold\n.. bench/report --rst ends\nmore\n' > "$tmp/page.rst"
bench/report --results "$out" --out "$tmp/report.html" --rst "$tmp/page.rst" > "$tmp/log" 2>&1 &&
	[ "$(sed -n '1p;$p' "$tmp/page.rst" | tr '\n' ' ')" = "by hand more " ] &&
	grep -q 'trees: cpu, over glibc' "$tmp/page.rst" && ! grep -q '^old' "$tmp/page.rst"
result $? "the page's generated part is written anew, the rest is left" "$tmp/log"

# ------------------------------------------------------------ a control group

# confined: gcarena and a malloc under the limit of a group
confined()
{
	rm -f "$tmp/confined.jsonl"
	bench/run --no-build --programs "$tmp/peers" --out "$tmp/confined.jsonl" --set tiny-confined > "$tmp/log" 2>&1
}
# completed PEER: the figure of the record
completed()
{
	sed -n 's/.*"peer": "'"$1"'", "metric": "completed".*"value": \([01]\).*/\1/p' "$tmp/confined.jsonl"
}
if confined || ! grep -q 'no control group' "$tmp/log"; then
	[ "$(completed gcarena)$(completed glibc)" = 11 ]
	result $? "both complete within the limit of a control group" "$tmp/log"
	# Three times the limit, and no more: a supervisor may move it out of the group.
	stand_in malloc cat 'exec python3 -c "bytearray(b\"x\" * (192 << 20))"'
	if confined || ! grep -q 'no control group' "$tmp/log"; then
		[ "$(completed gcarena)$(completed glibc)" = 10 ]
		result $? "what the kernel kills there has not completed" "$tmp/log"
	else
		skip "a control group's limit" "what is put into a group is moved out of it here"
	fi
else
	skip "a control group's limit" "no control group can be made here"
fi

# --------------------------------------------------------------- a checkout

if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
	git ls-files --others --exclude-standard bench > "$tmp/log" && [ ! -s "$tmp/log" ]
	result $? "all of the benchmark is in the repository" "$tmp/log"
else
	skip "all of the benchmark is in the repository" "this is none"
fi

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
