#!/bin/bash
# SPDX-License-Identifier: MIT
#
# statswork.t: reading statistics stays under a microsecond, in instructions of the library
# that programs link with, which are simple ones: 13400 were measured to take 0.7.  None of
# it is a system call.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2

calls=10
most=17000

command -v valgrind > "$tmp/log" 2>&1
result $? "there is valgrind" "$tmp/log"
# With a full ring of pauses, objects of many sizes, and what cycles leave.
cat > "$tmp/statswork.c" << END
#include <gcarena.h>
#include <unistd.h>

int main(void)
{
	static struct gca_memstats mem = { .size = sizeof(mem) };
	static struct gca_gcstats gc = { .size = sizeof(gc) };
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;

	gca_config_init(&config);
	/* Cycles on this thread: valgrind takes long from one to another. */
	config.mode = GCA_MODE_STOP_THE_WORLD;
	config.workers = 1;
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m))
		return 1;
	for (unsigned int i = 0; i < 300; i++) {
		gca_new_bytes(m, 16 + i * 100);
		gca_collect(m);
	}
	/* For who watches system calls. */
	(void)!write(-1, "begin", 5);
	for (unsigned int i = 0; i < $calls; i++)
		if (gca_memstats(heap, &mem) || gca_gcstats(heap, &gc))
			return 1;
	(void)!write(-1, "end", 3);
	if (mem.num_gc < 300 || gc.nr_pauses != GCA_PAUSES)
		return 1;
	gca_detach(m);
	return gca_close(heap) ? 1 : 0;
}
END
"${CC:-cc}" -std=gnu11 -O2 -g -Ilib/include -Iuapi -o "$tmp/statswork" "$tmp/statswork.c" "$build/libgcarena.a" \
	-pthread -lm -lz > "$tmp/log" 2>&1
result $? "the program compiles" "$tmp/log"
export GCARENA_BACKEND=process
"$tmp/statswork" > "$tmp/log" 2>&1
result $? "it reads what it should" "$tmp/log"
for call in gca_memstats gca_gcstats; do
	valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="$call" "$tmp/statswork" 2> "$tmp/log"
	work=$(awk -v calls="$calls" '/Collected/ { print int($NF / calls) }' "$tmp/log")
	[ "${work:-0}" -gt 1000 ] && [ "$work" -le "$most" ]
	result $? "$call: ${work:-no} instructions" "$tmp/log"
done
# Those of the first thread, between the two; the time, elsewhere, needs no call.
valgrind --tool=none --trace-syscalls=yes "$tmp/statswork" 2>&1 | awk '/^SYSCALL\[[0-9]+,1\]/ {
		if (/sys_write.*, 5 \)/) on = 1
		if (on) print
		if (on && /sys_write.*, 3 \)/) exit
	}' | grep -v clock_gettime > "$tmp/log"
[ "$(wc -l < "$tmp/log")" = 2 ]
result $? "no system call" "$tmp/log"
tap_done
