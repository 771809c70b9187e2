#!/bin/bash
# SPDX-License-Identifier: MIT
#
# readme.t: the README's two C blocks.  The first is a program that compiles
# without a warning and runs; the second is the body of one that maps the device.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

awk -v dir="$tmp" '/^```c$/ { file = dir "/block" ++blocks; next }
	/^```/ { file = "" }
	file { print > file }' "$top/README.md"

{
	printf '#include <fcntl.h>\n#include <stddef.h>\n#include <stdint.h>\n'
	printf '#include <sys/ioctl.h>\n#include <sys/mman.h>\n#include <linux/gcarena.h>\n'
	printf 'int main(void)\n{\n'
	cat "$tmp/block2"
	printf '\treturn heap == MAP_FAILED || !refill.nr_ready;\n}\n'
} > "$tmp/device.c"
mv "$tmp/block1" "$tmp/link.c"

# compile NAME ARGS...
compile()
{
	${CC:-cc} -O2 -Wall -Wextra -Werror -I"$top/lib/include" -I"$top/uapi" \
		-o "$tmp/$1" "$tmp/$1.c" "${@:2}" > "$tmp/log" 2>&1
}

compile link "$build/libgcarena.a" -pthread -lm -lz
result $? "the program that links the library compiles without a warning" "$tmp/log"
GCARENA_BACKEND=process GCARENA_DEBUG=gctrace=1 "$tmp/link" > "$tmp/log" 2>&1
result $? "it runs" "$tmp/log"
grep -q '^gc 10 ' "$tmp/log"
result $? "and collects" "$tmp/log"
compile device
result $? "the program that maps the device compiles without a warning" "$tmp/log"
tap_done
