#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb.t: gdb's commands and printers for heaps (tools/gdb), on a live process and on its
# core file, of gdb/debuggee.c; and what they say when something is missing or damaged.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1

gdb=$(command -v gdb) || {
	echo "1..0 # SKIP no gdb (packages.list, group test)"
	exit 0
}
export GCARENA_BACKEND=process DEBUGINFOD_URLS='' PYTHONDONTWRITEBYTECODE=1
flags='-std=gnu11 -O1 -g -Ilib/include -Iuapi'
# What the archive wants beside it.
libs=$(sed -n 's/^Libs.private: *//p' "$build/gcarena.pc")

# debug PROGRAM [CORE] < commands: each with what it says, framed by its own text
debug()
{
	local arguments=() line

	while read -r line; do
		arguments+=(-ex "echo \\n== $line\\n" -ex "$line")
	done
	timeout 60 "$gdb" -nx -batch -iex 'set auto-load no' -ex 'set pagination off' -ex "source $script" \
		"${arguments[@]}" "$@" > "$tmp/out" 2>&1
	script=tools/gdb/gcarena-gdb.py
}
script=tools/gdb/gcarena-gdb.py

# says COMMAND PATTERN... : each pattern is in what the command said, in this order
says()
{
	local command=$1 status=0 pattern

	awk -v c="== $1" '/^== / { on = ($0 == c) } on' "$tmp/out" | tail -n +2 > "$tmp/said"
	shift
	cp "$tmp/said" "$tmp/rest"
	for pattern; do
		awk -v p="$pattern" 'found { print } !found && $0 ~ p { found = 1 } END { exit !found }' \
			"$tmp/rest" > "$tmp/next" || { status=1; break; }
		mv "$tmp/next" "$tmp/rest"
	done
	result "$status" "$where: $command${pattern:+: $pattern}" "$tmp/said"
}

# shellcheck disable=SC2086
"${CC:-cc}" $flags -o "$tmp/debuggee" selftests/tools/gdb/debuggee.c "$build/libgcarena.a" $libs > "$tmp/log" 2>&1
result $? "the program builds" "$tmp/log"

cat > "$tmp/questions" <<'EOT'
gca-heap -c
gca-roots ~third
gca-roots ~handled
gca-roots ~pinned
gca-roots ~pooled
gca-roots ~valued
gca-roots ~dropped
gca-roots ~finalized
gca-roots ~wide
gca-roots ~traced
gca-roots ~inside
gca-roots ~stacked
gca-roots ~framed
gca-roots ~asleep
gca-obj ~third+16
gca-obj ~pinned
gca-span ~listed
gca-span ~array
gca-span ~manual
print table[3]
print *weak
print heap->rows[0]
gca-obj ~manual
gca-obj ~freed
gca-obj ~beyond
gca-obj &heap
gca-obj
gca-obj nothing
EOT

answers()
{
	local hex='0x[0-9a-f]+'

	says "gca-heap -c" "^heap $hex: 16.0 MiB .* process backend" 'roots: 2 ranges, 0 callbacks; 2 mutators' \
		'LWP [0-9]+\): blocked' 'LWP [0-9]+\): running' '^  1 \(large, kinded\) +1 +[0-9]+ +1$' \
		'48 bytes, precise\) +[0-9]+ +[0-9]+ +17$'
	says "gca-roots ~third" "^root range at table \\+ 24 \\($hex\\), slot 3" '^  -> .*\(node, ' '\+0 .next -> ' '\+0 .next -> '
	says "gca-roots ~handled" "^handle $hex" '-> .*\(node'
	says "gca-roots ~pinned" '^a pin of it'
	says "gca-roots ~pooled" "^pool $hex \\(primary\\)"
	says "gca-roots ~valued" '^root range at table \+ 40' "value of the ephemeron whose key is $hex -> .*node"
	says "gca-roots ~dropped" '^nothing .* reaches' "weak reference $hex refers to it" 'next cycle frees'
	says "gca-roots ~finalized" '^nothing .* reaches' 'has a finalizer, finalize'
	says "gca-roots ~wide" '^root range at table \+ 56' '\(refs, 40960 bytes' '\+32000 -> .*node'
	says "gca-roots ~traced" '^root range at table \+ 64' '\(pair,' '\+0 .first -> .*node'
	says "gca-roots ~inside" '^root range at table \+ 80' '\(cursor, ' '\+0 .at -> .*node'
	says "gca-roots ~stacked" '^stack of thread 1 .*run\(\)' '-> .*node'
	says "gca-roots ~framed" '^GCA_FRAME slot 1 .*run\(\)' '-> .*node'
	says "gca-roots ~asleep" 'of thread 2 .*sleeper\(\)' '-> .*node'
	says "gca-obj ~third+16" '^object at .* \(\+16\): node' '\+24 +.child\[1\] -> .*node' 'struct node .* key = 0, '
	says "gca-obj ~pinned" 'it is pinned'
	says "gca-span ~listed" '^span at .*pages 0 to 0' '48 bytes, precise\), held' 'objects 16 of 170' 'thread 1 .*allocates in it'
	says "gca-span ~array" 'pages [0-9]+ to [0-9]+, 40960 bytes' 'large, kinded' 'objects 1 of 1'
	says "gca-span ~manual" '16384 bytes' '\(manual\), manual'
	says "print table[3]" "= \\(struct node \\*\\) $hex"
	says "print *weak" "= weak -> $hex"
	says "print heap->rows[0]" '= span class [0-9]+, small, first of 1 pages, held'
	says "gca-obj ~manual" 'in manual memory of 16384 bytes'
	says "gca-obj ~freed" 'is in free pages'
	says "gca-obj ~beyond" 'is behind the last object of the span'
	says "gca-obj &heap" "^$hex is in no heap; heaps are $hex-$hex"
	says "gca-obj" 'an address is missing'
	says "gca-obj nothing" 'No symbol "nothing"'
	! grep -q 'Traceback\|Python Exception' "$tmp/out"
	result $? "$where: no Python exception" "$tmp/out"
}

where=live
{
	echo "gca-heap"
	echo "break stop_here"
	echo "run"
	cat "$tmp/questions"
	echo "generate-core-file $tmp/core"
	echo "print heap->rows[0].word0 = 0x1000012345"
	echo "print heap->rows[0].word0 = 0x100000000 + 4711"
	echo "gca-span ~listed"
	echo "gca-roots ~wide"
	echo "print heap->rows[0].word0 = 0x100050040"
	echo "gca-obj ~listed"
	echo "print heap->rows = (struct gcarena_row *)4096"
	echo "gca-roots ~third"
} | debug "$tmp/debuggee"
says "gca-heap" 'not being run, and there is no core'
answers
says "gca-span ~listed" "row of page 0 .* is corrupt: span class 4711 of [0-9]+"
says "gca-roots ~wide" '\+32000|nothing that'
says "gca-obj ~listed" 'row of page 0 .* is corrupt: its span begins at page -5'
says "gca-roots ~third" "span table or bitmaps are not there"

where=core
debug "$tmp/debuggee" "$tmp/core" < "$tmp/questions"
answers

where="core cut short"
head -c 200000 "$tmp/core" > "$tmp/cut"
debug "$tmp/debuggee" "$tmp/cut" <<'EOT'
gca-heap
EOT
! grep -q 'Traceback\|Python Exception' "$tmp/out" && awk '/^== gca-heap/ { on = 1; next } on && NF { some = 1 } END { exit !some }' "$tmp/out"
result $? "$where: an error, no exception" "$tmp/out"

# Its tables overwritten in each way that gdb/damage.py knows: every question has an answer or
# an error, soon, and not one in gdb's Python.
timeout 60 "$gdb" -nx -batch -iex 'set auto-load no' -ex "set \$core = \"$tmp/core\"" \
	-ex 'source selftests/tools/gdb/damage.py' "$tmp/debuggee" "$tmp/core" > "$tmp/log" 2>&1
ways=$(sed -n 's/^damaged: //p' "$tmp/log")
[ "$(wc -w <<< "$ways")" = 11 ]
result $? "core files are damaged in 11 ways" "$tmp/log"
for way in $ways; do
	where="core with damaged $way"
	debug "$tmp/debuggee" "$tmp/core_$way" < "$tmp/questions"
	status=$?
	awk '/^== / { if (on && !some) bad = 1; on = 1; some = 0; n++; next } NF { some = 1 }
		/Traceback|Python Exception|internal-error/ { bad = 1 } END { exit bad || !some || n < 28 }' "$tmp/out" && [ "$status" = 0 ]
	result $? "$where: an answer or an error to each of the questions" "$tmp/out"
	rm "$tmp/core_$way"
	cp "$tmp/out" "$tmp/out.$way"
done
# says_of WAY COMMAND PATTERN...
says_of()
{
	where="core with damaged $1"
	cp "$tmp/out.$1" "$tmp/out"
	shift
	says "$@"
}
says_of rows "gca-heap -c" 'warning: the row of page [0-9]+ .* is corrupt'
says_of kinds "gca-roots ~third" 'is damaged|unknown|nobody registered|root range'
says_of circles "gca-heap -c" 'the list of heaps has no end: it is damaged'
says_of specials "gca-roots ~third" 'what else the heap knows of it is damaged' 'not everything that might'
says_of sizes "gca-heap -c" 'more than there can be|cannot be read'
says_of heap_all "gca-obj ~third+16" 'damaged'

where="no heap"
debug --args "$tmp/debuggee" early <<'EOT'
break stop_here
run
gca-heap
EOT
says gca-heap 'has no heap open'

where="no debug info"
strip -g -o "$tmp/library.a" "$build/libgcarena.a"
# shellcheck disable=SC2086
"${CC:-cc}" $flags -o "$tmp/stripped" selftests/tools/gdb/debuggee.c "$tmp/library.a" $libs
debug "$tmp/stripped" <<'EOT'
break stop_here
run
gca-heap
EOT
says gca-heap 'libgcarena has no debug info'
where="another program"
debug "$(command -v true)" <<'EOT'
gca-heap
EOT
says gca-heap 'no libgcarena in this program'

where=installed
make -s B="$build" DESTDIR="$tmp/dest" PREFIX=/opt/gca install > "$tmp/log" 2>&1
at=$tmp/dest/opt/gca
# What gdb finds by itself is by the library's place, which here is below DESTDIR.
mkdir -p "$tmp/auto$at/lib"
sed "s|/opt/gca/share|$at/share|" "$at/share/gdb/auto-load/opt/gca/lib/libgcarena.so.0-gdb.py" \
	> "$tmp/auto$at/lib/libgcarena.so.0-gdb.py"
# shellcheck disable=SC2086
"${CC:-cc}" $flags -o "$tmp/shared" selftests/tools/gdb/debuggee.c -L"$at/lib" -Wl,-rpath,"$at/lib" -lgcarena -pthread
timeout 60 "$gdb" -nx -batch -iex "set auto-load safe-path $tmp/auto" -iex "set auto-load scripts-directory $tmp/auto" \
	-ex 'break stop_here' -ex run -ex 'echo == gca-roots ~third\n' -ex 'gca-roots ~third' "$tmp/shared" > "$tmp/out" 2>&1
says 'gca-roots ~third' '^root range at table' '.next -> .*node'

tap_done
