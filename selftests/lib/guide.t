#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The C blocks of Documentation/library.rst, in their order, are one program: it
# compiles without a warning as a user would compile it, and runs.
#
# CC and CHECK_BUILD (the build directory) are taken from the environment.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${CHECK_BUILD:-build}
cc=${CC:-cc}
dir=$(mktemp -d) || exit 2
trap 'rm -rf "$dir"' EXIT

awk '/^\.\. code-block:: c$/ { block = 1; next }
	block && /^[^\t]/ { block = 0 }
	block { sub(/^\t/, ""); print }' Documentation/library.rst > "$dir/guide.c"

flags='-std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function'
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

# shellcheck disable=SC2086
$cc $flags -Ilib/include -Iuapi -c -o "$dir/guide.o" "$dir/guide.c" > "$dir/log" 2>&1
result $? "the guide's program compiles without a warning"
if [ -e "$dir/guide.o" ] && [ -e "$build/test/libgcarena.a" ]; then
	$cc -o "$dir/guide" "$dir/guide.o" "$build/test/libgcarena.a" -pthread > "$dir/log" 2>&1
	result $? "it links with the library"
	printf 'one\ntwo\n' | "$dir/guide" > "$dir/log" 2>&1
	result $? "it runs"
	grep -q '"is" was used 200000 times' "$dir/log"
	result $? "and says what it should"
	printf 'one\n' | GCARENA_DEBUG=verify=1,shadow=1 "$dir/guide" > "$dir/log" 2>&1
	result $? "with every check on too"
else
	echo "# no $build/test/libgcarena.a"
fi
echo "1..$count"
