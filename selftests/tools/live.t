#!/bin/bash
# SPDX-License-Identifier: MIT
#
# live.t: each command of the gcarena tool on a depgraph that runs on the process backend,
# and on endpoints that lie, stall, or were killed.  The tool is the sanitized one.
# shellcheck disable=SC1091,SC2154,SC2016	# live.sh; perl's variables
. "$(dirname "$0")/live.sh"
"$top/samples/depgraph/mkindex" 2000 > "$tmp/index"

# says STATUS REGEX NAME ARGUMENT...: as in calls.t
says()
{
	local want=$1 regex=$2 name=$3 got
	shift 3

	timeout 60 "$gcarena" --debugfs "$tmp/none" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	got=$?
	cat "$tmp/out" "$tmp/err" > "$tmp/log"
	echo "status $got" >> "$tmp/log"
	[ "$got" = "$want" ] && grep -qE -e "$regex" "$tmp/log"
	result $? "$name" "$tmp/log"
}

# value JSON NAME: the first figure of that name
value()
{
	grep -oE "\"$2\":[0-9.]+" "$1" | head -n 1 | cut -d: -f2
}

says 0 'no heap that this user may see' "top: nothing is there" top --once

start --rounds 3 --hold-seconds 30
result $? "a process with a heap has an endpoint"

says 0 "^ *$pid depgraph +1 +- " "top: a row for it" top --once
says 0 '"heap_inuse":' "top: JSON" top --once --json

# The views of one snapshot: program, endpoint and exporter have the same figures.
same=1
for ((i = 0; i < 200 && same; i++)); do
	"$gcarena" --debugfs "$tmp/none" top --once --json > "$tmp/json" || break
	"$gcarena" --debugfs "$tmp/none" export > "$tmp/metrics" || break
	[ "$(value "$tmp/json" sequence)" = "$(sed -n 's/^gcarena_snapshot_sequence.* //p' "$tmp/metrics")" ] && same=
	[ -z "$same" ] || sleep 0.1
done
[ -z "$same" ]
result $? "top and export of one sequence" "$tmp/json"
for pair in heap_inuse:heap_inuse_bytes heap_idle:heap_idle_bytes heap_released:heap_released_bytes \
	heap_sys:heap_sys_bytes generation:generation num_gc:gc_cycles_total; do
	[ "$(value "$tmp/json" "${pair%:*}")" = "$(sed -n "s/^gcarena_${pair#*:}{.* //p" "$tmp/metrics")" ]
	result $? "and of the same ${pair%:*}" "$tmp/metrics"
done

# --------------------------------------------------------------- Prometheus

# Each cause of stops that the library knows has its histogram.
ask "$pid" "stats 1" | sed -n 's/^stops_\([a-z]*\): .*/\1/p' | sort > "$tmp/causes"
sed -n 's/^gcarena_stop_seconds_count{.*cause="\([a-z]*\)".*/\1/p' "$tmp/metrics" | sort | diff "$tmp/causes" - > "$tmp/log" &&
	[ "$(wc -l < "$tmp/causes")" -ge 9 ]
result $? "export: a histogram for every cause of stops" "$tmp/log"

promtool=$("$top/scripts/promtool" 2> "$tmp/log")
result $? "there is promtool" "$tmp/log"
"$promtool" check metrics < "$tmp/metrics" > "$tmp/log" 2>&1 && [ ! -s "$tmp/log" ]
result $? "promtool has nothing to say about the metrics" "$tmp/log"
cp "$top/tools/prometheus/gcarena.rules.yml" "$top/selftests/tools/prometheus.rules-test.yml" "$tmp"
"$promtool" check rules "$tmp/gcarena.rules.yml" > "$tmp/log" 2>&1
result $? "nor about the rules" "$tmp/log"
(cd "$tmp" && "$promtool" test rules prometheus.rules-test.yml) > "$tmp/log" 2>&1
result $? "each alert fires on what it is for" "$tmp/log"
# Each panel's query, as a rule.
perl -MJSON::PP -e '
	local $/;
	my $all = decode_json(<STDIN>);
	sub queries { my $n = shift; ref $n eq "HASH" ? map { $_ eq "expr" ? $n->{$_} : queries($n->{$_}) } sort keys %$n
		: ref $n eq "ARRAY" ? map { queries($_) } @$n : () }
	my @queries = queries($all) or die "no query\n";
	print "groups:\n- name: panels\n  rules:\n";
	for (@queries) { s/\$__\w+/5m/g; s/\$\w+/.*/g; s/\x27/\x27\x27/g; print "  - record: panel:", $i++, "\n    expr: \x27$_\x27\n" }' \
	< "$top/tools/prometheus/gcarena.dashboard.json" > "$tmp/panels.yml" 2> "$tmp/log" &&
	"$promtool" check rules "$tmp/panels.yml" > "$tmp/log" 2>&1
result $? "the dashboard is JSON, and its queries are PromQL" "$tmp/log" "$tmp/panels.yml"
# What rules and dashboard ask for is there, but for a limit, which this heap has not, and
# the share of its memory, which it may not have any more.
grep -ohE 'gcarena_[a-z_]+' "$top"/tools/prometheus/* |
	grep -vx -e gcarena_limit_bytes -e gcarena_huge_ratio | sort -u |
	while read -r name; do
		grep -qE "^$name(\{| )" "$tmp/metrics" || echo "$name"
	done > "$tmp/log"
[ ! -s "$tmp/log" ]
result $? "rules and dashboard know only metrics that there are" "$tmp/log"

says 0 '' "export: a file" export --textfile "$tmp/metrics.prom"
grep -q '^gcarena_exporter_unanswered 0$' "$tmp/metrics.prom" && [ -z "$(find "$tmp" -name '*.tmp')" ]
result $? "export: the file is whole, and nothing beside it"
says 1 'No such file' "export: a file where there is no directory" export --textfile "$tmp/nowhere/metrics"
says 2 'PORT or ADDRESS' "export: no address" export --listen localhost:http
says 2 'PORT or ADDRESS' "export: no port" export --listen 65536
says 2 'either' "export: both" export --listen 1 --textfile x

: > "$tmp/port"
"$gcarena" --debugfs "$tmp/none" export --listen 0 > "$tmp/port" 2>&1 &
exporter=$!
for ((i = 0; i < 100; i++)); do
	grep -q port "$tmp/port" && break
	sleep 0.1
done
port=$(sed -n 's/.* port //p' "$tmp/port")
# get METHOD PATH: the answer of the exporter
get()
{
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or die "connect: $!";
		print $s "$ARGV[1] $ARGV[2] HTTP/1.0\r\n\r\n";
		print while <$s>;' "$port" "$1" "$2" > "$tmp/log" 2>&1
}
get GET /metrics
grep -q '^HTTP/1.. 200' "$tmp/log" && grep -q '^Content-Type: text/plain; version=0.0.4' "$tmp/log" &&
	grep -q "^gcarena_heap_inuse_bytes{pid=\"$pid\"" "$tmp/log"
result $? "export: over HTTP" "$tmp/log"
get GET /nothing
grep -q '^HTTP/1.. 404' "$tmp/log"
result $? "export: another path is not found" "$tmp/log"
get POST /metrics
grep -q '^HTTP/1.. 405' "$tmp/log"
result $? "export: another method is not allowed" "$tmp/log"
kill "$exporter"
wait "$exporter"
result $? "export: ends when it is told to"

# ---------------------------------------------------- map, check, record

says 0 'chunks of 2 MiB' "map: a picture" map "pid:$pid"
says 0 '^</svg>$' "map: an SVG" map --svg "pid:$pid/1"
says 1 'no heap 2' "map: a heap that is not there" map "pid:$pid/2"
says 2 'no heap: say pid' "map: no process" map pid:
says 2 'no id of an arena' "map: no target" map x
says 1 'no endpoint' "map: a process without a heap" map pid:1
says 0 "^heap 1 of process $pid: ok" "check: all is well" check "pid:$pid"
mkdir "$tmp/damaged"
printf 'damaged\npage 3 of span 3: row of class 7\n' > "$tmp/damaged/check"
pretend 99999 "$tmp/damaged"
says 1 '^page 3 of span 3: row of class 7' "check: what is wrong" check pid:99999/1
grep -q '^gcarena check: heap 1 of process 99999 is damaged' "$tmp/err"
result $? "check: and that it is" "$tmp/log"
finish "$liar"
rm "$tmp/e/gcarena/99999"

says 0 '' "record: half a second" record --interval 20 --seconds 1 --output "$tmp/run" "pid:$pid"
[ "$(grep -ac '^sample ' "$tmp/run")" -ge 5 ]
result $? "record: samples" "$tmp/run"
says 0 '' "record: a command" record --interval 5 --output "$tmp/whole" -- \
	"$depgraph" --index "$tmp/index" --rounds 40 --hold-seconds 0
says 0 '' "report: a page" report --output "$tmp/page" "$tmp/whole"
for series in heap_sys heap_inuse heap_alloc heap_live next_gc pause gc_cpu_ns assist_ns heap_idle \
	heap_released scavenged_bytes fragmentation_ratio huge_ratio; do
	grep -qE "data-series=\"$series\" data-points=\"[1-9]" "$tmp/page"
	result $? "report: $series has points" "$tmp/page"
done
! grep -qE '<script|https?://' "$tmp/page"
result $? "report: no script, no network" "$tmp/page"
says 3 '' "record: the command's status" record --output "$tmp/x" -- sh -c 'exit 3'
says 127 'No such file' "record: no such command" record --output "$tmp/x" -- "$tmp/nothing"
says 1 'nothing was recorded' "record: a program without a heap" record --output "$tmp/x" -- true
says 1 'No such file' "record: no place to write to" record --output "$tmp/no/x" "pid:$pid"
says 2 'FILE is missing' "record: no file" record "pid:$pid"
says 2 'milliseconds' "record: no interval" record --interval 0 --output "$tmp/x" "pid:$pid"

length=$(stat -c %s "$tmp/run")
head -c $((length - 100)) "$tmp/run" > "$tmp/cut"
says 0 'last sample was cut off' "report: a recording that was cut off" report --output "$tmp/x" "$tmp/cut"
head -c 17 "$tmp/run" > "$tmp/empty"
says 1 'no sample' "report: an empty one" report "$tmp/empty"
says 1 'no recording' "report: something else" report "$tmp/index"
says 1 'No such file' "report: nothing" report "$tmp/nothing"
sed '2s/.*/sample x y/' "$tmp/run" > "$tmp/bad"
says 1 'damaged' "report: a damaged one" report "$tmp/bad"

# ----------------------------------------------------- killed, and lying

"$gcarena" record --interval 10 --output "$tmp/killed" "pid:$pid" > "$tmp/log" 2>&1 &
recorder=$!
sleep 1
kill -9 "$pid"
wait "$pid" 2> /dev/null
wait "$recorder"
result $? "record: the process is killed meanwhile" "$tmp/log"
says 0 '' "report: what was recorded until then" report --output "$tmp/x" "$tmp/killed"
[ ! -S "$tmp/e/gcarena/$pid" ] || says 0 'no heap' "top: a name that was left is removed" top --once
[ ! -e "$tmp/e/gcarena/$pid" ]
result $? "no stale name is left"
says 1 'no endpoint' "map: the killed process" map "pid:$pid"

# lies NAME REGEX ANSWER: an endpoint that says so
mkdir "$tmp/say"
lies()
{
	# shellcheck disable=SC2059	# with its line ends
	printf "$3" > "$tmp/say/raw"
	pretend 99999 "$tmp/say"
	says 1 "$2" "$1" map pid:99999/1
	finish "$liar"
	rm -f "$tmp/e/gcarena/99999"
}
lies "cut off before it answered" 'ended before it answered' ''
lies "cut off in the head" 'cut off' 'gcarena 1 ok 10'
lies "cut off in the body" 'cut off after 3 of 10 bytes' 'gcarena 1 ok 10\nabc'
lies "too much" 'cut off after 3 of 1' 'gcarena 1 ok 1\nabc'
lies "another protocol" 'no gcarena' 'HTTP/1.1 200 OK\n'
lies "no length" 'damaged' 'gcarena 1 ok x\n'
lies "an error" 'the moon is full' 'gcarena 1 error the moon is full\n'
lies "a span without an end" 'not what this version knows' 'gcarena 1 ok 51\nchunk map\npage npages class elem\n0 4294967295 1 16\n'
lies "a map that is none" 'not what this version knows' 'gcarena 1 ok 16\nchunk map\n0 xyz\n'
rm -r "$tmp/say"

# ------------------------------------------------------------ killed mid-read

# Each command that reads a process, P, and what it prints when there is nothing to be read.
cat > "$tmp/commands" << 'END'
top --once
top --once --json
export
export --textfile metrics
map pid:P
map --svg pid:P
check pid:P
heap --output profile P
heap --gc --output profile pid:P/1
heap --wait P
record --output recording pid:P
END

# ends: what a command did when its process was killed: $got, in out and err; it has said so,
# has no half of an answer, and left no file behind
ends()
{
	local command=$1 regex=$2

	{ echo "status $got"; cat "$tmp/err"; tail -n 3 "$tmp/out"; } > "$tmp/log"
	grep -qE "^gcarena ${command%% *}: .*($regex)" "$tmp/err" || return
	case $command in
	export*) ;;
	*) [ "$got" = 1 ] || return ;;
	esac
	case $command in
	"top --once --json") [ "$(cat "$tmp/out")" = '{"heaps":[]}' ] ;;
	top*) [ "$(wc -l < "$tmp/out")" = 1 ] ;;
	export) [ "$got" = 0 ] && grep -qx 'gcarena_exporter_unanswered 1' "$tmp/out" ;;
	export*) [ "$got" = 0 ] && grep -qx 'gcarena_exporter_unanswered 1' "$tmp/files/metrics" ;;
	record*) [ ! -s "$tmp/out" ] && ! grep -q '^sample' "$tmp/files/recording" ;;
	*) [ ! -s "$tmp/out" ] && [ -z "$(ls "$tmp/files")" ] ;;
	esac
}

mkdir "$tmp/files"
cd "$tmp/files" || exit
# A real one: stopped, asked, and killed while the tool waits.
while read -r command; do
	start --rounds 100000 --hold-seconds 0
	kill -STOP "$pid"
	# shellcheck disable=SC2086
	"$gcarena" --debugfs "$tmp/none" ${command//P/$pid} > "$tmp/out" 2> "$tmp/err" < /dev/null &
	asking=$!
	pids="$pids $asking"
	# It connects as soon as it has a socket, and waits 5 s.
	for ((i = 0; i < 500; i++)); do
		! find "/proc/$asking/fd" -lname 'socket:*' 2> /dev/null | grep -q . || break
		sleep 0.02
	done
	sleep 0.2
	finish "$pid"
	wait "$asking"
	got=$?
	ends "$command" 'it ended before it'
	result $? "killed while it is asked: $command" "$tmp/log"
	rm -rf "$tmp/e/gcarena/"* "$tmp/files/"*
done < "$tmp/commands"

# One that dies in the middle of each of the answers that a command wants.
start --rounds 100000 --hold-seconds 0 && at_work
mkdir "$tmp/real"
for request in "stats all" "map 1" "check 1" "profile 1 heap"; do
	ask "$pid" "$request" > "$tmp/real/${request%% *}"
done
echo "cycle: 5
over: 0" > "$tmp/real/collect"
finish "$pid"
rm -f "$tmp/e/gcarena/"*
while read -r command; do
	nr=0
	case $command in
	map*|check*|heap*) most=1 ;;
	*) most=0 ;;
	esac
	case $command in
	*--gc*) most=5 ;;
	esac
	for ((whole = 0; whole <= most; whole++)); do
		# A heap that is named is not looked for.
		case $command in
		*/1) [ "$whole" != 0 ] || continue ;;
		esac
		pretend 99999 "$tmp/real" "$whole"
		# shellcheck disable=SC2086
		timeout 60 "$gcarena" --debugfs "$tmp/none" ${command//P/99999} > "$tmp/out" 2> "$tmp/err" < /dev/null
		got=$?
		ends "$command" 'cut off|it was killed' || nr=$((nr + 1))
		finish "$liar"
		rm -rf "$tmp/e/gcarena/"* "$tmp/files/"*
	done
	[ "$nr" = 0 ]
	result $? "killed in the middle of an answer: $command" "$tmp/log"
done < "$tmp/commands"

# Of a recording what there is until then is kept.
sleep 60 &
pid=$!
pids="$pids $pid"
pretend "$pid" "$tmp/real" 3
says 0 'cut off .* 3 samples were recorded until then' "record: in the middle of the fourth sample" \
	record --interval 1 --output "$tmp/killed" "pid:$pid"
finish "$pid"
says 0 '' "report: of three" report --output "$tmp/x" "$tmp/killed"
finish "$liar"
rm -f "$tmp/e/gcarena/"*

# A timeline that comes by a pipe from a process that is killed: lines are whole, as each is one
# write.
mkfifo "$tmp/pipe"
rm -f "$tmp/depgraph"
GCARENA_TIMELINE=$tmp/pipe "$depgraph" --index "$tmp/index" --rounds 100000 --hold-seconds 0 > "$tmp/depgraph" 2>&1 &
pid=$!
pids="$pids $pid"
timeout 120 "$gcarena" trace "$tmp/pipe" > "$tmp/out" 2> "$tmp/err" &
asking=$!
at_work
finish "$pid"
wait "$asking"
got=$?
[ "$got" = 0 ] && perl -MJSON::PP -e 'local $/; @{decode_json(<STDIN>)->{traceEvents}} > 10 or die "few\n"' < "$tmp/out" 2>> "$tmp/err"
result $? "trace: of a process that is killed, what it wrote" "$tmp/err"
tap_done
