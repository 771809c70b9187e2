#!/bin/bash
# SPDX-License-Identifier: MIT
#
# trace.t: "gcarena trace" makes one timeline of what the library wrote and what the
# kernel's trace says: JSON, every event of which has what Perfetto needs, spans where
# they were; damaged input is an error with a place, and nothing is printed.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

tool=$build/asan/tools/gcarena
need "$tool" "$build/selftests/lib/stats"

# As "trace-cmd report" and the kernel's trace file print them.
cat > "$tmp/kernel" << 'END'
cpus=2
# tracer: nop
           spans-130   [000]    95.000100: gcarena_refill:       arena=1 class=3 level=back err=0
  my [odd] name-x-131   [001] .....    95.000200: gcarena_sweep_end: arena=1 spans=4 ns=150000
      gcarena/1-132   [001] d..1.    95.000300: sched_switch: prev_comm=gcarena/1 prev_pid=132
           spans-130   [000]    95.000400: print:                tracing_mark_write: gcarena: assist bytes=64 ns=2000 heap=1
END

# json FILE: it is JSON in the trace event format; then a line an event
json()
{
	perl -MJSON::PP -e '
		local $/;
		my $all = decode_json(<STDIN>);
		ref $all->{traceEvents} eq "ARRAY" or die "no traceEvents\n";
		for my $e (@{$all->{traceEvents}}) {
			for my $key (qw(name ph pid tid)) {
				defined $e->{$key} or die "an event without $key\n";
			}
			$e->{ph} =~ /^[XiM]$/ or die "ph $e->{ph}\n";
			$e->{ph} eq "M" or $e->{ts} =~ /^[0-9.]+$/ or die "no ts\n";
			$e->{ph} ne "X" or $e->{dur} =~ /^[0-9.]+$/ or die "no dur\n";
			$e->{ph} ne "i" or $e->{s} eq "t" or die "no scope\n";
			ref $e->{args} eq "HASH" or die "no args\n";
			printf "%s %s pid=%d tid=%d ts=%.0f dur=%.0f %s\n", $e->{name}, $e->{ph},
				$e->{pid}, $e->{tid}, $e->{ts} // 0, $e->{dur} // 0,
				$e->{args}{name} // "";
		}' < "$1" > "$tmp/events" 2> "$tmp/err"
}

"$tool" trace "$tmp/kernel" > "$tmp/json" 2> "$tmp/err" && json "$tmp/json"
result $? "a trace of the kernel's becomes valid JSON" "$tmp/err"
grep -qx 'refill i pid=2 tid=130 ts=95000100 dur=0 ' "$tmp/events"
result $? "an instant" "$tmp/events"
grep -qx 'sweep_end X pid=2 tid=131 ts=95000050 dur=150 ' "$tmp/events"
result $? "what took time ends at its event" "$tmp/events"
grep -qx 'assist X pid=1 tid=130 ts=95000398 dur=2 ' "$tmp/events"
result $? "a marker is the library's" "$tmp/events"
grep -q 'thread_name M pid=2 tid=131 .* my \[odd\] name-x$' "$tmp/events"
result $? "a thread's name may have anything in it" "$tmp/events"
! grep -q sched "$tmp/events"
result $? "other events are passed over" "$tmp/events"

GCARENA_BACKEND=process GCARENA_TIMELINE=$tmp/library "$build/selftests/lib/stats" > "$tmp/log" 2>&1
result $? "a program writes its events" "$tmp/log"
"$tool" trace "$tmp/library" "$tmp/kernel" > "$tmp/json" 2> "$tmp/err" && json "$tmp/json"
result $? "both in one timeline" "$tmp/err"
for name in 'cycle 1' mark terminate refill stop; do
	grep -q "^$name X pid=1" "$tmp/events"
	result $? "it has spans: $name"
done
# Marking is within the cycle, on the same thread.
awk '/^cycle 1 X/ && !seen++ { split($0, f, /[ =]/); tid = f[7]; from = f[9]; to = from + f[11] + 2 }
	/^mark X/ && !found { split($0, f, /[ =]/); mtid = f[6]; begin = f[8]; end = begin + f[10]; found = 1 }
	END { exit !(seen && found && tid == mtid && begin >= from - 2 && end <= to) }' "$tmp/events"
result $? "the first mark is inside of the first cycle" "$tmp/events"
! GCARENA_BACKEND=process GCARENA_TIMELINE=$tmp/no/where "$build/selftests/lib/stats" \
	> "$tmp/log" 2>&1 && grep -q 'GCARENA_TIMELINE=.*No such file' "$tmp/log"
result $? "a place where no file can be is an error" "$tmp/log"

# fails WORDS FILE...: an error with those words, and no output
fails()
{
	local words=$1

	shift
	"$tool" trace "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	[ $? = 1 ] && [ ! -s "$tmp/out" ] && grep -q "$words" "$tmp/err"
	result $? "an error: $words" "$tmp/err"
}

fails "No such file" "$tmp/nothing"
fails "no trace" -
sed '4s/arena=.*//;4q' "$tmp/kernel" > "$tmp/cut"
fails ":4: an event that is cut off" "$tmp/cut"
for time in 9.5e307 1000000000000000000000.0; do
	sed "4s/95.000200/$time/;4q" "$tmp/kernel" > "$tmp/never"
	fails ":4: an event that is cut off" "$tmp/never"
done
printf 'gcarena_refill: arena=1\n' > "$tmp/bad"
fails ":1: an event that is cut off" "$tmp/bad"
printf '\027\010\104tracing6\0' > "$tmp/trace.dat"
fails "trace-cmd report" "$tmp/trace.dat"
head -c 100000 /dev/urandom > "$tmp/random"
fails "no trace" "$tmp/random"
tap_done
