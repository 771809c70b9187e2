#!/bin/bash
# SPDX-License-Identifier: MIT
#
# unload.t: a program that loads the library with dlopen() and lets go of it with a heap open
# has it still: threads of the heap's, and of the program's when they end, are in it.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

cat > "$tmp/unload.c" <<'END'
#include <dlfcn.h>
#include <gcarena.h>
#include <pthread.h>
#include <stdio.h>

static struct gca_heap *heap;
static __typeof__(&gca_attach) attach;

static void *end_attached(void *library)
{
	struct gca_mutator *m;

	if (attach(heap, 0, &m))
		return heap;
	return dlclose(library) ? heap : NULL;	/* its end detaches it */
}

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL, *failed = NULL;
	__typeof__(&gca_open) open_heap;
	__typeof__(&gca_collect) collect;
	__typeof__(&gca_blocking_begin) begin;
	__typeof__(&gca_blocking_end) end;
	struct gca_mutator *m;
	pthread_t thread;

	if (!library)
		return 2;
	open_heap = (__typeof__(open_heap))dlsym(library, "gca_open");
	attach = (__typeof__(attach))dlsym(library, "gca_attach");
	collect = (__typeof__(collect))dlsym(library, "gca_collect");
	begin = (__typeof__(begin))dlsym(library, "gca_blocking_begin");
	end = (__typeof__(end))dlsym(library, "gca_blocking_end");
	if (open_heap(NULL, &heap) || attach(heap, 0, &m) || collect(m))
		return 3;
	if (pthread_create(&thread, NULL, end_attached, library))
		return 4;
	begin(m);
	pthread_join(thread, &failed);
	end(m);
	if (failed || collect(m))
		return 5;
	puts("collected");
	return 0;
}
END
cd "$top" || exit 2
${CC:-cc} -std=gnu11 -O1 -Wall -Ilib/include -Iuapi -o "$tmp/unload" "$tmp/unload.c" -ldl -pthread > "$tmp/log" 2>&1
result $? "a program that loads the library compiles" "$tmp/log"
"$tmp/unload" "$build/libgcarena.so" > "$tmp/log" 2>&1
result $? "it goes on after dlclose(), and ends" "$tmp/log"
grep -q collected "$tmp/log"
result $? "and collects in between" "$tmp/log"
tap_done
