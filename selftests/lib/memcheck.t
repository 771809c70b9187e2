#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A right program is right under AddressSanitizer and valgrind's memcheck: neither its
# stacks, of which no one has written every word, nor what the library keeps is complained of.
# The library is the ordinary one.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2

cat > "$tmp/memcheck.c" <<'END'
#include <gcarena.h>
#include <pthread.h>
#include <stdlib.h>

#define ITEM_FIELDS(F) F(REF, struct item, next) F(VAL, int, depth)
GCA_STRUCT(item, ITEM_FIELDS);

static struct gca_heap *heap;

__attribute__((noinline)) static int down(struct gca_mutator *m, int depth)
{
	volatile char unset[3000];
	struct item *item = gca_new(m, item);

	item->depth = depth;
	unset[depth] = 0;
	if (depth)
		down(m, depth - 1);
	else if (gca_collect(m))
		abort();
	return unset[depth] + item->depth;
}

static void *work(void *arg)
{
	struct gca_mutator *m;
	struct gca_weak *weak;

	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		abort();
	for (int i = 0; i < 5; i++)
		if (down(m, 20 + i) != 20 + i)
			abort();
	weak = gca_weak_new(m, gca_new(m, item));
	gca_release(m);
	gca_weak_get(m, weak);
	gca_detach(m);
	return arg;
}

int main(int argc, char **argv)
{
	struct gca_config config;
	pthread_t thread;

	gca_config_init(&config);
	config.mode = argc > 1 ? GCA_MODE_STOP_THE_WORLD : GCA_MODE_CONCURRENT;
	if (gca_open(&config, &heap) || pthread_create(&thread, NULL, work, NULL))
		return 1;
	work(NULL);
	pthread_join(thread, NULL);
	return gca_close(heap);
}
END
build_as()
{
	${CC:-cc} -O0 -g "${@:2}" -Ilib/include -Iuapi -o "$tmp/$1" "$tmp/memcheck.c" \
		"$build/test/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1
}

fixed=()
setarch -R true 2> /dev/null && fixed=(setarch -R)
build_as asan -fsanitize=address && "${fixed[@]}" "$tmp/asan" > "$tmp/log" 2>&1 &&
	"${fixed[@]}" "$tmp/asan" stopped > "$tmp/log" 2>&1
result $? "a program that is built with AddressSanitizer runs" "$tmp/log"
if ! command -v valgrind > /dev/null || [ ! -e /usr/include/valgrind/memcheck.h ]; then
	skip "the program under memcheck" "valgrind and its headers are not installed"
	tap_done
fi
build_as memcheck
result $? "the program without it" "$tmp/log"
for mode in "" stopped; do
	valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect \
		--errors-for-leak-kinds=definite,indirect "$tmp/memcheck" $mode > "$tmp/log" 2>&1
	result $? "${mode:-concurrent}: nothing is said of it" "$tmp/log"
done
tap_done
