#!/bin/bash
# SPDX-License-Identifier: MIT
#
# unused_cost.t: what probes, the timeline and the lines of gctrace and its kin cost depgraph
# while nobody asks for them: at most 0.1 % of its instructions.
#
# Two builds, or two runs, differ by more than that.  So one run is counted by its lines: all
# that the compiler made of the statements that are there for them, calls from them included.
# shellcheck disable=SC1091,SC2154,SC2016	# tap.sh: top, build, tmp; perl's variables
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2

limit=1000	# one in so many

command -v valgrind > "$tmp/log" 2>&1
result $? "there is valgrind" "$tmp/log"
"$top/samples/depgraph/mkindex" 2000 > "$tmp/index" || exit 2
unset GCARENA_DEBUG GCARENA_TIMELINE
GCARENA_BACKEND=process valgrind --tool=callgrind --callgrind-out-file="$tmp/callgrind" \
	--compress-strings=no --compress-pos=no --dump-line=yes \
	"$build/samples/depgraph" --index "$tmp/index" --threads 1 --rounds 1 --queries 64 \
	--hold-seconds 0 > "$tmp/log" 2>&1
result $? "depgraph runs" "$tmp/log"

# FILE LINE of each such statement, all of its lines: to the semicolon.
for file in lib/*.c; do
	awk -v file="$file" '
		/(PROBE[234]|EVENT)\(|debug_(gc|scav|pacer)trace|[^a-z_]trace(\.|->)/ { inside = 1 }
		inside { print file, FNR }
		/[;{]/ || !NF { inside = 0 }' "$file"
done > "$tmp/statements"

# Of those the instructions, and of all.
perl -e '
	open(my $list, "<", $ARGV[0]) or die;
	while (<$list>) { my ($f, $l) = split; $wanted{"$f:$l"} = 1 }
	my $file = "";
	open(my $out, "<", $ARGV[1]) or die;
	while (<$out>) {
		if (/^(?:fl|fi|fe)=(.*)/) { $file = $1; $file =~ s|.*/(lib/[^/]+)$|$1| }
		elsif (/^summary: (\d+)/ or /^totals: (\d+)/) { $all = $1 }
		elsif (/^(\d+) (\d+)$/ and $wanted{"$file:$1"}) {
			# Costs of calls, too, are in lines of that form.
			$spent += $2;
			$lines{"$file:$1"} += $2;
		}
	}
	print "all $all\nunused ", $spent // 0, "\n";
	printf "%s %d\n", $_, $lines{$_} for sort { $lines{$b} <=> $lines{$a} } keys %lines;
	' "$tmp/statements" "$tmp/callgrind" > "$tmp/cost"
all=$(awk '$1 == "all" { print $2 }' "$tmp/cost")
unused=$(awk '$1 == "unused" { print $2 }' "$tmp/cost")
echo "# ${unused:-no} of ${all:-no} instructions"
[ "$(grep -c '^lib/' "$tmp/cost")" -ge 20 ]
result $? "many of them were met" "$tmp/cost"
[ "${unused:-0}" -gt 0 ] && [ $((unused * limit)) -le "${all:-0}" ]
result $? "they cost at most 0.1 %" "$tmp/cost"
tap_done
