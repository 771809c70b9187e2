#!/bin/bash
# SPDX-License-Identifier: MIT
#
# gdb.t: a debugger on a heap, as on any memory: reads it, writes it, sets a
# watchpoint on it, dumps core with it, and reads that.  Skipped without gdb.
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
timeout 300 selftests/vm/run --mem 1G --add "$gdb:/bin/gdb" --add "$tmp/script:/script" \
	--add "$tmp/python:${python:-/tmp/none}" -- \
	gdb -nx -batch -x /script /build/selftests/guest/io > "$tmp/log" 2>&1
result $? "gdb runs a program with a heap" "$tmp/log"
for want in "first 0:reads it" "written 77:writes it" "called 12:has the program write it" \
	"from core 99:finds its contents in a core file"; do
	grep -q "^${want%%:*}\$" "$tmp/log"
	result $? "gdb ${want#*:}" "$tmp/log"
done
grep -q 'atchpoint 2' "$tmp/log" && grep -q '^New value' "$tmp/log"
result $? "gdb watches it" "$tmp/log"
tap_done
