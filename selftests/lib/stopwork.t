#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The work of stops, in instructions: what a mutator does in all its answers to one
# cycle is bounded, and does not grow with the heap.  So no single stop is longer.
#
# Callgrind counts inside of handshake_answer() only; a machine's load changes nothing.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2

cycles=5
# A stack of some KiB, the bits of open runs, a full buffer, spans given back; twice
# what was measured.
most=250000

if ! command -v valgrind > /dev/null; then
	skip "the work of stops" "valgrind is not installed"
	tap_done
fi
cat > "$tmp/stopwork.c" <<'END'
#include <gcarena.h>
#include <pthread.h>
#include <stdlib.h>
#include <sched.h>

#define ITEM_FIELDS(F) F(REF, struct item, left) F(REF, struct item, other) F(VALS, long, data, 6)
GCA_STRUCT(item, ITEM_FIELDS);

static int cycles;

static void *mutates(void *arg)
{
	struct gca_mutator *m;
	size_t objects = *(size_t *)arg;
	gca_ref *table;

	if (gca_attach(*(struct gca_heap **)((size_t *)arg + 1), GCA_STACK_CONSERVATIVE, &m))
		exit(1);
	table = gca_new_refs(m, objects);
	for (size_t i = 0; i < objects; i++)
		gca_store(m, &table[i], (void *)gca_new(m, item));
	__atomic_store_n(&cycles, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; __atomic_load_n(&cycles, __ATOMIC_ACQUIRE) != 2; i++) {
		gca_store(m, &table[i % objects], (void *)gca_new(m, item));
		gca_safepoint(m);
	}
	gca_keepalive(table);
	gca_detach(m);
	return NULL;
}

int main(int argc, char **argv)
{
	struct { size_t objects; struct gca_heap *heap; } arg = { strtoul(argv[1], NULL, 10), NULL };
	struct gca_config config;
	struct gca_mutator *m;
	pthread_t thread;

	gca_config_init(&config);
	config.percent = GCA_PERCENT_OFF;
	if (gca_open(&config, &arg.heap) || pthread_create(&thread, NULL, mutates, &arg))
		return 1;
	while (__atomic_load_n(&cycles, __ATOMIC_ACQUIRE) != 1)
		sched_yield();
	if (gca_attach(arg.heap, GCA_STACK_PRECISE, &m))
		return 1;
	for (int i = 0; i < atoi(argv[2]); i++)
		gca_collect(m);
	__atomic_store_n(&cycles, 2, __ATOMIC_RELEASE);
	gca_detach(m);
	pthread_join(thread, NULL);
	return gca_close(arg.heap) ? 1 : 0;
}
END
"${CC:-cc}" -std=gnu11 -O2 -g -Ilib/include -Iuapi -o "$tmp/stopwork" "$tmp/stopwork.c" \
	"$build/test/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1
result $? "the program compiles" "$tmp/log"

# work OBJECTS: instructions of all answers of one cycle
work()
{
	GCARENA_SIGNAL=off GCARENA_BACKEND=process valgrind --tool=callgrind --fair-sched=yes \
		--callgrind-out-file=/dev/null --toggle-collect=handshake_answer \
		"$tmp/stopwork" "$1" "$cycles" 2> "$tmp/log"
	awk -v cycles="$cycles" '/Collected/ { print int($NF / cycles) }' "$tmp/log"
}

small=$(work 1000)
large=$(work 30000)
test "${small:-0}" -gt 1000 && test "$small" -le "$most"
result $? "a thousand objects live: ${small:-no} instructions of stops in a cycle" "$tmp/log"
test "${large:-0}" -gt 1000 && test "$large" -le "$most"
result $? "thirty thousand: ${large:-no}" "$tmp/log"
tap_done
