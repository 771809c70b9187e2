#!/bin/bash
# SPDX-License-Identifier: MIT
#
# depgraph_input.t: depgraph refuses a bad index with file and line, and ends
# cleanly: status 2, one sentence, nothing leaked, no fault.  The sanitised build
# reads every one of them.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

program=${DEPGRAPH:-$build/asan/samples/depgraph}
need "$program"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}:exitcode=99 UBSAN_OPTIONS=halt_on_error=1:exitcode=99
export GCARENA_BACKEND=process
quick=(--threads 2 --rounds 1 --queries 8 --hold-seconds 0)

run()
{
	"$program" "${quick[@]}" "$@" > "$tmp/out" 2> "$tmp/err"
}

# refused NAME REGEX [ARGS...]: reads $tmp/index, or what ARGS say
refused()
{
	local name=$1 regex=$2 status

	shift 2
	[ $# -gt 0 ] || set -- --index "$tmp/index"
	run "$@"
	status=$?
	echo "status $status, wanted 2 and /$regex/" > "$tmp/why"
	[ "$status" = 2 ] && [ "$(wc -l < "$tmp/err")" = 1 ] && grep -qE -e "$regex" "$tmp/err"
	result $? "$name" "$tmp/why" "$tmp/err"
}

good='Package: good\nVersion: 1.0-1\nArchitecture: all\n'

# malformed NAME LINE REGEX TEXT: a good stanza of four lines, then TEXT
malformed()
{
	printf '%b' "$good\n$4" > "$tmp/index"
	refused "$1" "^depgraph: $tmp/index:$2: .*$3"
}

# in_field NAME REGEX FIELD: a bad relation field, on line 8
in_field()
{
	malformed "$1" 8 "$2" "Package: p\nVersion: 1\nArchitecture: all\n$3\n\n"
}

printf '%b' "$good\n" > "$tmp/index"
run --index "$tmp/index"
result $? "a good stanza is accepted" "$tmp/err"

malformed "a stanza without Package" 5 "without Package" 'Version: 1\nArchitecture: all\n\n'
malformed "a stanza without Version" 5 "without Version" 'Package: p\nArchitecture: all\n\n'
malformed "a stanza without Architecture" 5 "without Architecture" 'Package: p\nVersion: 1\n\n'
malformed "an empty Package" 5 "without Package" 'Package:\nVersion: 1\nArchitecture: all\n\n'
malformed "a line without a colon" 6 "no colon" 'Package: p\nVersion 1\nArchitecture: all\n\n'
malformed "a line that begins with a colon" 6 "no field name" 'Package: p\n: 1\n\n'
malformed "a continuation of nothing" 5 "continuation" ' text\nPackage: p\n\n'
malformed "a field twice" 7 "second Version" 'Package: p\nVersion: 1\nversion: 2\n\n'
malformed "a bad package name" 5 "bad name" 'Package: p!\nVersion: 1\nArchitecture: all\n\n'
malformed "two words as a name" 5 "bad name" 'Package: p q\nVersion: 1\nArchitecture: all\n\n'
malformed "a name of a thousand letters" 5 "bad name" \
	"Package: $(printf '%01000d' 7)\nVersion: 1\nArchitecture: all\n\n"
for v in 'a.b' '1 2' ':1' '1:' 'x:1' '1-' '1_2' '12345678901:1' '-1'; do
	malformed "the version \"$v\"" 6 "bad version" "Package: p\nVersion: $v\nArchitecture: all\n\n"
done

in_field "an unknown operator" "bad relation operator" 'Depends: a (=> 1)'
in_field "no operator" "bad relation operator" 'Depends: a (1)'
in_field "a parenthesis that stays open" "not closed" 'Depends: a (>= 1, b'
in_field "a parenthesis that ends the field" "not closed" 'Depends: a (>= 1'
in_field "a bad version in a relation" "bad version" 'Depends: a (>= one)'
in_field "no version in a relation" "bad version" 'Depends: a (>= )'
in_field "an empty clause" "empty relation" 'Depends: a, , b'
in_field "a comma at the end" "empty relation" 'Depends: a,'
in_field "a bar at the end" "empty relation" 'Depends: a |'
in_field "two names without a comma" "unexpected \"b\"" 'Depends: a b'
in_field "an architecture list" "unexpected \"\\[\"" 'Depends: a [amd64]'
in_field "a bad name in a relation" "bad name" 'Recommends: _a'
in_field "an empty qualifier" "bad name" 'Depends: a:'
in_field "two qualifiers" "bad name" 'Depends: a:any:any'
in_field "alternatives in Provides" "unexpected \"\\|\"" 'Provides: a | b'
in_field "a bound in Provides" "bad relation operator" 'Provides: a (>= 1)'
malformed "a mistake in a folded line is on that line" 10 "bad name" \
	'Package: p\nVersion: 1\nArchitecture: all\nDepends: a,\n b,\n c!\n\n'

printf '%b' "$good\nPackage: p\nVersion: 1\nArchitecture: all\nDescription: a\\0b\n\n" > "$tmp/index"
refused "a zero byte" ":8: binary data \\(byte 0x00\\)"
printf '\x1f\x8b\x08\x00\x01\x02\x03\n\n' > "$tmp/index"
refused "a compressed index" ":1: binary data"
head -c 100000 "$program" > "$tmp/index"
refused "a program" ":1: binary data"
head -c 2000000 /dev/zero | tr '\0' 'x' > "$tmp/index"
refused "a line without an end" ":1: .*cut off"
{ printf '%b' "${good}Description: "; head -c 2000000 /dev/zero | tr '\0' 'x'; printf '\n\n'; } > "$tmp/index"
refused "a line of two million letters" ":4: a line of 2000013 bytes"

: > "$tmp/index"
refused "an empty file" "$tmp/index: empty"
printf '\n\n\n' > "$tmp/index"
refused "empty lines only" ":1: no package"
refused "a file that is not there" "$tmp/none: No such file" --index "$tmp/none"
refused "a directory" "$tmp: Is a directory" --index "$tmp"
refused "a path through a file" "Not a directory" --index "$tmp/index/x"
printf '%b' "$good\n" > "$tmp/index"
chmod 0 "$tmp/index"
if [ -r "$tmp/index" ]; then
	skip "a file that may not be read" "root may read everything"
else
	refused "a file that may not be read" "Permission denied"
fi
refused "standard input that is closed" "standard input: Bad file descriptor" --index - <&-
refused "standard input that is empty" "standard input: empty" --index - < /dev/null
printf '%b' "$good\nPackage: p\n\n" > "$tmp/pipe"
refused "a bad stanza from a pipe" "standard input:5: .*without Version" --index - < <(cat "$tmp/pipe")

# Cut anywhere, an index is refused, but for the places between stanzas.
"$top/samples/depgraph/mkindex" 40 > "$tmp/whole"
size=$(wc -c < "$tmp/whole")
wrong=0
: > "$tmp/why"
for ((i = 1; i <= 60; i++)); do
	cut=$((size * i / 61 + i % 7))
	head -c "$cut" "$tmp/whole" > "$tmp/index"
	run --index "$tmp/index"
	status=$?
	want=2
	# Whole stanzas only: it ends with an empty line, or in the line break after it.
	[ "$(tail -c 2 "$tmp/index" | od -An -tx1 | tr -d ' ')" = 0a0a ] && want=0
	if [ "$status" != "$want" ]; then
		wrong=1
		echo "cut at $cut: status $status, wanted $want" | cat - "$tmp/err" >> "$tmp/why"
	fi
done
result "$wrong" "an index cut off at 60 places" "$tmp/why"

# One byte wrong anywhere: accepted or refused, nothing else.
wrong=0
: > "$tmp/why"
for ((i = 1; i <= 60; i++)); do
	cp "$tmp/whole" "$tmp/index"
	at=$((size * i / 61))
	printf '%b' "\\x$(printf '%02x' $((i * 37 % 256)))" |
		dd of="$tmp/index" bs=1 seek="$at" conv=notrunc 2> /dev/null
	run --index "$tmp/index"
	status=$?
	if [ "$status" != 0 ] && { [ "$status" != 2 ] || ! grep -q "^depgraph: $tmp/index:[0-9]" "$tmp/err"; }; then
		wrong=1
		echo "byte $at: status $status" | cat - "$tmp/err" >> "$tmp/why"
	fi
done
result "$wrong" "an index with a wrong byte at 60 places" "$tmp/why"

# usage NAME REGEX ARGS...: more than one line on stderr is fine here
usage()
{
	local name=$1 regex=$2 status

	shift 2
	"$program" "$@" > "$tmp/out" 2> "$tmp/err"
	status=$?
	[ "$status" = 2 ] && [ ! -s "$tmp/out" ] && grep -qE -e "$regex" "$tmp/err"
	result $? "$name" "$tmp/err"
}

usage "no index is a usage error" "--index is missing"
usage "an unknown option is a usage error" "unrecognized option" --bogus
usage "an option without its value is a usage error" "requires an argument" --index
usage "no thread is a usage error" "not a number from 1" --index x --threads 0
usage "too many threads are a usage error" "not a number from 1" --index x --threads 65
usage "a word for a number is a usage error" "not a number" --index x --rounds many
usage "a negative number is a usage error" "not a number" --index x --queries -1
usage "a huge number is a usage error" "not a number" --index x --seed 99999999999999999999999
usage "an argument that is no option is a usage error" "not an option" --index x y
tap_done
