#!/bin/bash
# SPDX-License-Identifier: MIT
#
# damage.t: what the tool reads, with bits turned over and ends cut off: answers of endpoints
# whose length is right, files of debugfs, recordings, kernel logs, traces.  The sanitized tool
# gives an answer or an error, soon; and what it gives is well formed all the same: JSON
# that a parser takes, metrics that promtool takes, a page without scripts.
# GCARENA_TEST_SCALE makes it more.
# shellcheck disable=SC1091,SC2154,SC2016	# live.sh; perl's variables
. "$(dirname "$0")/live.sh"
rounds=$((6 * ${GCARENA_TEST_SCALE:-100} / 100))
promtool=$("$top/scripts/promtool" 2> "$tmp/log")
result $? "there is promtool" "$tmp/log"

cat > "$tmp/damage.pl" << 'END'
# damage IN OUT SEED: the same each time for a seed; 0 changes nothing.
my ($in, $out, $seed) = @ARGV;
local $/;
open(my $file, "<:raw", $in) or die "$in: $!";
my $text = <$file>;
my $length = length($text);
srand($seed);
if (!$seed || !$length) {
} elsif ($seed % 4 == 1) {
	$text = substr($text, 0, rand($length));
} elsif ($seed % 4 == 2) {
	# Numbers that no counter has.
	my @odd = ("18446744073709551615", "-1", "99999999999999999999999", "", "1e308", "nan", "0");
	for (1 .. 5) {
		my $odd = $odd[rand(@odd)];
		my $skip = int(rand(100));
		my $nr = 0;
		$text =~ s/(\d+)/$nr++ == $skip ? $odd : $1/ge;
	}
} else {
	vec($text, rand(8 * $length), 1) ^= 1 for (1 .. 1 + $length / 200);
}
open($file, ">:raw", $out) or die "$out: $!";
print $file $text;
END
damage()
{
	perl "$tmp/damage.pl" "$1" "$2" "$3"
}

# What a real one says.
"$top/samples/depgraph/mkindex" 1000 > "$tmp/index" || exit 2
start --rounds 3000 --hold-seconds 0 && at_work
mkdir "$tmp/real" "$tmp/say"
for request in "stats all" "map 1" "profile 1 heap"; do
	ask "$pid" "$request" > "$tmp/real/${request%% *}"
done
timeout 60 "$gcarena" --debugfs "$tmp/none" record --interval 20 --seconds 1 --output "$tmp/run" "pid:$pid" > "$tmp/log" 2>&1
finish "$pid"
rm -f "$tmp/e/gcarena/"*
grep -q '^heap_inuse: [1-9]' "$tmp/real/stats" && grep -q '^chunk map' "$tmp/real/map" && [ -s "$tmp/real/profile" ] &&
	[ -s "$tmp/run" ]
result $? "a real endpoint's answers" "$tmp/real/stats"
pretend 77 "$tmp/say"

wrong=
# try NAME ARGUMENT...: an answer or an error, in $tmp/out, and no sanitizer's
try()
{
	local name=$1 status
	shift

	timeout 30 "$gcarena" --debugfs "${debugfs:-$tmp/none}" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	status=$?
	[ "$status" -le 1 ] && { [ "$status" = 0 ] || [ -s "$tmp/err" ]; } && return
	wrong="$wrong $name:$status"
	cat "$tmp/err" >> "$tmp/wrong"
}

# form NAME COMMAND...: and what it gave is well formed
form()
{
	local name=$1
	shift

	"$@" < "$tmp/out" > "$tmp/log" 2>&1 && return
	wrong="$wrong $name"
	{ echo "$name:"; head -n 5 "$tmp/log"; } >> "$tmp/wrong"
}

is_json()
{
	perl -MJSON::PP -e 'local $/; decode_json(<STDIN>)'
}

is_page()
{
	! grep -qi '<script\|onload=' && grep -q '</html>' "$tmp/out"
}

# clean NAME: nothing was wrong since the last time
clean()
{
	[ -z "$wrong" ]
	result $? "$1${wrong:+:$wrong}" "$tmp/wrong"
	wrong=
	: > "$tmp/wrong"
}
: > "$tmp/wrong"

views()
{
	try "$1 top" top --once
	try "$1 json" top --once --json
	form "$1 json" is_json
	try "$1 export" export
	form "$1 metrics" "$promtool" check metrics
}

report()
{
	try "$1 report" report "$2"
	[ ! -s "$tmp/out" ] || form "$1 page" is_page
}

for ((i = 0; i < rounds; i++)); do
	for name in stats map profile; do
		damage "$tmp/real/$name" "$tmp/say/$name" "$i"
	done
	views "seed $i"
	try "seed $i map" map pid:77/1
	try "seed $i svg" map --svg pid:77/1
	try "seed $i heap" heap -o "$tmp/x" pid:77/1
	try "seed $i record" record --interval 1 --seconds 1 --output "$tmp/lies" pid:77
	[ ! -s "$tmp/lies" ] || report "seed $i lies" "$tmp/lies"
	rm -f "$tmp/lies"
done
clean "endpoints that say nonsense"

# A name that would be markup, a label's end, or a string's.
sed 's/^comm: .*/comm: "}\\ <script>\x27\&/' "$tmp/real/stats" > "$tmp/say/stats"
views "odd name"
grep -q 'comm="\\"}\\\\ <script>' "$tmp/out" || wrong="$wrong label"
timeout 30 "$gcarena" record --interval 1 --seconds 1 --output "$tmp/odd" pid:77 > "$tmp/log" 2>&1
report "odd name" "$tmp/odd"
clean "a process whose name is markup"
finish "$liar"
rm -f "$tmp/e/gcarena/77"

# ----------------------------------------------------------- debugfs, files

mkdir -p "$tmp/whole" "$tmp/debugfs/3"
sed 's/^arena: .*/arena: 3/' "$tmp/real/stats" > "$tmp/whole/stats"
awk '/^[0-9]+ [HShs.-]+$/ { print $1, 10, 5, 0, "huge", 0, 0, $2 } NR == 1 { print "chunk free longest transit backing node holes map" }' \
	"$tmp/real/map" > "$tmp/whole/chunks"
awk 'on { print $1, $2, $3, "held", 4, 10 } /^page / { on = 1; print "page npages class state generation objects" }' \
	"$tmp/real/map" > "$tmp/whole/spans"
awk 'on && !seen[$3]++ { print $3, $4, $2, 0, 1, 8192, 3, 512, 5, 0, 0 }
	/^page / { on = 1; print "class elem_size npages flags spans bytes objects room occupancy vacant tail" }' \
	"$tmp/real/map" > "$tmp/whole/span_classes"
echo ok > "$tmp/whole/validate"
debugfs=$tmp/debugfs
for ((i = 0; i < rounds; i++)); do
	for name in stats chunks spans span_classes validate; do
		damage "$tmp/whole/$name" "$tmp/debugfs/3/$name" "$i"
	done
	views "seed $i"
	try "seed $i map" map 3
	[ "$i" != 0 ] || grep -q 'chunks of 2 MiB' "$tmp/out" || wrong="$wrong whole"
	try "seed $i svg" map --svg 3
	try "seed $i check" check 3
done
clean "a debugfs that says nonsense"
debugfs=

for ((i = 0; i < 2 * rounds; i++)); do
	damage "$tmp/run" "$tmp/bent" "$i"
	report "seed $i" "$tmp/bent"
done
clean "damaged recordings"

log=$top/selftests/tools/data/oom.log
for ((i = 0; i < 2 * rounds; i++)); do
	damage "$log" "$tmp/bent" "$i"
	try "seed $i oom" oom "$tmp/bent"
done
clean "damaged kernel logs"

GCARENA_TIMELINE=$tmp/events "$depgraph" --index "$tmp/index" --rounds 2 --hold-seconds 0 > "$tmp/log" 2>&1
head -n 200 "$tmp/events" > "$tmp/some"
for ((i = 0; i < 2 * rounds; i++)); do
	damage "$tmp/some" "$tmp/bent" "$i"
	try "seed $i trace" trace "$tmp/bent"
	[ ! -s "$tmp/out" ] || form "seed $i JSON" is_json
done
clean "damaged traces"
tap_done
