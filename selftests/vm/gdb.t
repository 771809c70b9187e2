#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb.t: a debugger on a heap, as on any memory: reads it, writes it, sets a
# watchpoint on it, dumps core with it, and reads that; and the library's commands for
# heaps (tools/gdb), live and on such a core file.  Skipped without gdb.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1

gdb=$(command -v gdb) || {
	echo "1..0 # SKIP no gdb (packages.list, group trace)"
	exit 0
}
need "$build/selftests/guest/io"

# Its Python wants its library, whether it is used or not.
python=$(ldd "$gdb" | sed -n 's|.*libpython\(3\.[0-9]*\)\.so.*|/usr/lib/python\1|p')
mkdir "$tmp/python"
[ -z "$python" ] || tar -C "$python" -c --exclude=test --exclude=__pycache__ --exclude='config-*' . | tar -C "$tmp/python" -x

cat > "$tmp/script" <<'EOT'
set pagination off
set confirm off
break test_vectors
run
printf "first %d\n", heap[7]
set var heap[7] = 77
printf "written %d\n", heap[7]
call (void)pattern(heap, 4096, 5)
printf "called %d\n", heap[1]
watch heap[131]
continue
printf "watched %d\n", heap[131]
set var heap[262144] = 99
generate-core-file /tmp/core.gdb
kill
core-file /tmp/core.gdb
printf "from core %d\n", ((char *)heap)[262144]
quit
EOT
# The same program as natively (selftests/tools/gdb.t), on the device.
# shellcheck disable=SC2046
"${CC:-cc}" -std=gnu11 -O1 -g -Ilib/include -Iuapi -o "$tmp/debuggee" selftests/tools/gdb/debuggee.c \
	"$build/libgcarena.a" $(sed -n 's/^Libs.private: *//p' "$build/gcarena.pc")
result $? "the program with a library's heap builds"
cat > "$tmp/live" <<'EOT'
set pagination off
set confirm off
source /tools/gdb/gcarena-gdb.py
break stop_here
run
gca-heap
gca-roots ~third
gca-roots ~stacked
gca-span ~listed
python open("/proc/%d/coredump_filter" % gdb.selected_inferior().pid, "w").write("0x7f")
set dump-excluded-mappings on
generate-core-file /tmp/core.heap
set dump-excluded-mappings off
generate-core-file /tmp/core.bare
kill
quit
EOT
cat > "$tmp/both" <<'EOT'
gdb -nx -batch -x /script /build/selftests/guest/io || exit
export GCARENA_BACKEND=device
echo "== live"
gdb -nx -batch -x /live /debuggee || exit
for core in heap bare; do
	echo "== $core"
	gdb -nx -batch -ex "source /tools/gdb/gcarena-gdb.py" -ex "gca-roots ~third" -ex "gca-span ~listed" \
		/debuggee /tmp/core.$core
done
exit 0
EOT
timeout 300 selftests/vm/run --mem 1G --add "$gdb:/bin/gdb" --add "$tmp/script:/script" \
	--add "$tmp/live:/live" --add "$tmp/both:/both" --add "$tmp/debuggee:/debuggee" --add tools/gdb:/tools/gdb \
	--add /usr/share/gdb/python:/usr/share/gdb/python --add "$tmp/python:${python:-/tmp/none}" -- sh /both > "$tmp/log" 2>&1
result $? "gdb runs a program with a heap" "$tmp/log"
for want in "first 0:reads it" "written 77:writes it" "called 12:has the program write it" \
	"from core 99:finds its contents in a core file"; do
	grep -q "^${want%%:*}\$" "$tmp/log"
	result $? "gdb ${want#*:}" "$tmp/log"
done
grep -q 'atchpoint 2' "$tmp/log" && grep -q '^New value' "$tmp/log"
result $? "gdb watches it" "$tmp/log"

# in_part PART REGEX NAME
in_part()
{
	awk -v c="== $1" '{ sub(/\r$/, "") } /^== / { on = ($0 == c) } on' "$tmp/log" > "$tmp/part"
	grep -qE -e "$2" "$tmp/part"
	result $? "$3" "$tmp/part"
}

in_part live '^heap .* device backend' "gca-heap on the device"
in_part live '^root range at table \+ 24' "gca-roots: a range"
in_part live '^stack of thread 1 .*run\(\)' "gca-roots: a stack"
in_part live '48 bytes, precise\), held' "gca-span"
in_part heap '^root range at table \+ 24' "a core file with the tables: gca-roots"
in_part heap '48 bytes, precise\), held' "gca-span"
in_part bare 'dump-excluded-mappings' "one without: what is missing, and how to have it"
tap_done
