#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The C blocks of a guide, in their order, are one program: it compiles without a
# warning as a user would compile it, and runs; with every check on too.
#
# CC and CHECK_BUILD (the build directory) are taken from the environment.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
cc=${CC:-cc}
flags='-std=gnu11 -O1 -Wall -Wextra -Werror'

# guide PAGE EXPECTED: runs the page's program, which reads "one" and "two"
guide()
{
	local name=$1

	awk '/^\.\. code-block:: c$/ { block = 1; next }
		block && /^[^\t]/ { block = 0 }
		block { sub(/^\t/, ""); print }' "Documentation/$name.rst" > "$tmp/$name.c"
	# shellcheck disable=SC2086
	$cc $flags -Ilib/include -Iuapi -c -o "$tmp/$name.o" "$tmp/$name.c" > "$tmp/log" 2>&1
	result $? "$name: the program compiles without a warning" "$tmp/log"
	$cc -o "$tmp/$name" "$tmp/$name.o" "$build/test/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1
	result $? "$name: it links with the library" "$tmp/log"
	printf 'one\ntwo\n' | "$tmp/$name" > "$tmp/log" 2>&1
	result $? "$name: it runs" "$tmp/log"
	grep -q "$2" "$tmp/log"
	result $? "$name: and says what it should" "$tmp/log"
	printf 'one\n' | GCARENA_DEBUG=verify=1,shadow=1 "$tmp/$name" > "$tmp/log" 2>&1
	result $? "$name: with every check on too" "$tmp/log"
}

guide library '"is" was used 200000 times'
guide guide 'the sum is 2020000'
guide references '[1-9][0-9]* of 10 streams were closed'
tap_done
