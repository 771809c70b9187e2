#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The README's two C blocks: the first is a program that compiles without a
# warning and runs; the second is the body of one that uses the device.
#
# CC and CHECK_BUILD (the build directory) are taken from the environment.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${CHECK_BUILD:-build}
cc=${CC:-cc}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT

awk -v dir="$dir" '/^```c$/ { file = dir "/block" ++blocks; next }
	/^```/ { file = "" }
	file { print > file }' README.md

{
	printf '#include <fcntl.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <sys/ioctl.h>\n'
	printf '#include <sys/mman.h>\n#include <linux/gcarena.h>\nint main(void)\n{\n'
	cat "$dir/block2"
	printf '\treturn heap == MAP_FAILED || !refill.nr_ready;\n}\n'
} > "$dir/device.c"
mv "$dir/block1" "$dir/link.c"

count=0
result()
{
	count=$((count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $count - $2"
	else
		echo "not ok $count - $2"
		sed 's/^/# /' "$dir/log"
	fi
}

$cc -O2 -Wall -Wextra -Werror -Ilib/include -Iuapi -o "$dir/link" "$dir/link.c" \
	"$build/libgcarena.a" -pthread > "$dir/log" 2>&1
result $? "the program that links the library compiles without a warning"
GCARENA_BACKEND=process GCARENA_DEBUG=gctrace=1 "$dir/link" > "$dir/log" 2>&1
result $? "it runs"
grep -q '^gc 10 ' "$dir/log"
result $? "and collects"
$cc -O2 -Wall -Wextra -Werror -Iuapi -o "$dir/device" "$dir/device.c" > "$dir/log" 2>&1
result $? "the program that maps the device compiles without a warning"
echo "1..$count"
