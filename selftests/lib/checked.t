#!/bin/bash
# SPDX-License-Identifier: MIT
#
# checked.t: every check of GCARENA_DEBUG at once is silent while the library's own
# tests run, threads, limits and plain C included; and a library built with
# -DGCA_DEBUG keeps the shadow without being asked.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

# checks, config and sizeclasses set the variable themselves, or need no heap.
tests='alloc kinds limit percent plain reach release roots stack stats threads'
for t in $tests; do
	need "$build/selftests/lib/$t"
done

export GCARENA_TEST_SCALE=${GCARENA_TEST_SCALE:-40}
for t in $tests; do
	GCARENA_DEBUG=verify=1,shadow=1,poison=1 "$build/selftests/lib/$t" > "$tmp/log" 2>&1
	result $? "$t, with every check on" "$tmp/log"
done

cat > "$tmp/raw.c" <<'END'
#include <gcarena.h>

#define NODE_FIELDS(F) F(REF, struct node, next)
GCA_STRUCT(node, NODE_FIELDS);

int main(int argc, char **argv)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct node *node;

	(void)argv;
	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m))
		return 1;
	node = gca_new(m, node);
	if (argc > 1)
		node->next.gca_raw = node;
	else
		gca_store(m, &node->next, node);
	gca_collect(m);
	gca_keepalive(node);
	return 0;
}
END
cd "$top" || exit 2
${CC:-cc} -std=gnu11 -O1 -DGCA_DEBUG -D_GNU_SOURCE -Ilib -Ilib/include -Ilib/shim -Ikmod/core \
	-Iuapi -o "$tmp/raw" "$tmp/raw.c" lib/*.c lib/shim/*.c kmod/core/*.c -pthread -lm -lz \
	> "$tmp/log" 2>&1
result $? "a debug build compiles" "$tmp/log"
unset GCARENA_DEBUG
"$tmp/raw" > "$tmp/log" 2>&1
result $? "it is silent about a barrier" "$tmp/log"
{ "$tmp/raw" raw; } > "$tmp/log" 2>&1	# the shell's word on the abort, too
[ $? -gt 128 ] && grep -q 'last barrier stored' "$tmp/log"
result $? "and ends with a report of a raw store" "$tmp/log"
GCARENA_DEBUG=shadow=0 "$tmp/raw" raw > "$tmp/log" 2>&1
result $? "unless it is told not to" "$tmp/log"
tap_done
