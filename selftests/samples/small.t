#!/bin/bash
# SPDX-License-Identifier: MIT
#
# small.t: each sample of one file compiles as a user would compile it, and runs; with
# every check on too.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
flags='-std=gnu11 -O2 -Wall -Wextra -Werror'

for source in samples/*.c; do
	name=$(basename "$source" .c)
	# shellcheck disable=SC2086
	${CC:-cc} $flags -Ilib/include -Iuapi -o "$tmp/$name" "$source" "$build/test/libgcarena.a" \
		-pthread -lm -lz > "$tmp/log" 2>&1
	result $? "$name: it compiles without a warning" "$tmp/log"
	"$tmp/$name" > "$tmp/log" 2>&1
	result $? "$name: it runs" "$tmp/log"
	GCARENA_DEBUG=verify=1,shadow=1 "$tmp/$name" > "$tmp/log" 2>&1
	result $? "$name: with every check on too" "$tmp/log"
done
tap_done
