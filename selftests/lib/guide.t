#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The C blocks of Documentation/library.rst, in their order, are one program: it
# compiles without a warning as a user would compile it, and runs.
#
# CC and CHECK_BUILD (the build directory) are taken from the environment.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
cc=${CC:-cc}

awk '/^\.\. code-block:: c$/ { block = 1; next }
	block && /^[^\t]/ { block = 0 }
	block { sub(/^\t/, ""); print }' Documentation/library.rst > "$tmp/guide.c"

flags='-std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function'
# shellcheck disable=SC2086
$cc $flags -Ilib/include -Iuapi -c -o "$tmp/guide.o" "$tmp/guide.c" > "$tmp/log" 2>&1
result $? "the guide's program compiles without a warning" "$tmp/log"
$cc -o "$tmp/guide" "$tmp/guide.o" "$build/test/libgcarena.a" -pthread > "$tmp/log" 2>&1
result $? "it links with the library" "$tmp/log"
printf 'one\ntwo\n' | "$tmp/guide" > "$tmp/log" 2>&1
result $? "it runs" "$tmp/log"
grep -q '"is" was used 200000 times' "$tmp/log"
result $? "and says what it should" "$tmp/log"
printf 'one\n' | GCARENA_DEBUG=verify=1,shadow=1 "$tmp/guide" > "$tmp/log" 2>&1
result $? "with every check on too" "$tmp/log"
tap_done
