#!/bin/bash
# SPDX-License-Identifier: MIT
#
# small.t: each sample of one file compiles as a user would compile it, runs, and prints what
# NAME.expected has; so it does with every check on, and under ASan.  Each is named in the
# page of samples.  The same on the device: selftests/guest/samples.sh.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
expected=selftests/samples
flags='-std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -Ilib/include -Iuapi'
asan='-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined'
unset GCARENA_DEBUG GCARENA_PERCENT GCARENA_LIMIT GCARENA_GENERATIONS GCARENA_SHARE GCARENA_WORKERS

# compile NAME LIBRARY FLAGS
compile()
{
	# shellcheck disable=SC2086
	${CC:-cc} $flags $3 -o "$tmp/$1" "samples/$1.c" "$2" -pthread -lm -lz > "$tmp/log" 2>&1
}

# prints NAME: with status 0 what is expected, in so many words
prints()
{
	timeout 60 "$tmp/$1" > "$tmp/out" 2> "$tmp/log" || return
	diff "$expected/$1.expected" "$tmp/out" >> "$tmp/log"
}

for source in samples/*.c; do
	name=$(basename "$source" .c)
	grep -q "\`$name.c\`" samples/README.md
	result $? "$name: samples/README.md has it"
	compile "$name" "$build/test/libgcarena.a" -O2
	result $? "$name: it compiles without a warning" "$tmp/log"
	prints "$name"
	result $? "$name: it runs, and prints what it should" "$tmp/log" "$tmp/out"
	GCARENA_DEBUG=verify=1,shadow=1 prints "$name"
	result $? "$name: with every check on too" "$tmp/log" "$tmp/out"
	compile "$name" "$build/asan/libgcarena.a" "$asan" && prints "$name"
	result $? "$name: and under ASan" "$tmp/log" "$tmp/out"
done
for file in "$expected"/*.expected; do
	[ -e "samples/$(basename "$file" .expected).c" ] || echo "$file"
done > "$tmp/stray"
[ ! -s "$tmp/stray" ]
result $? "nothing is expected of what is not there" "$tmp/stray"
tap_done
