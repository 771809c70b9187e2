#!/bin/bash
# SPDX-License-Identifier: MIT
#
# layout.t: gcarena layout and gcarena kinds on programs whose structures are known: what
# they say, that the header compiles and its kinds keep what they are to keep, and what
# they refuse.
# shellcheck disable=SC1091,SC2154	# tap.sh: build, tmp, top
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1
gcarena=$build/asan/tools/gcarena
need "$gcarena"
cc=${CC:-cc}
flags="-std=gnu11 -Wall -Wextra -Werror -Ilib/include -Iuapi -I$tmp"
# What the archive wants beside it.
libs=$(sed -n 's/^Libs.private: *//p' "$build/gcarena.pc")

# says STATUS REGEX NAME COMMAND ARGUMENT...: lines are joined by blanks
says()
{
	local want=$1 regex=$2 name=$3 got
	shift 3

	timeout 60 "$gcarena" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	got=$?
	cat "$tmp/out" "$tmp/err" > "$tmp/said"
	echo "status $got" >> "$tmp/said"
	[ "$got" = "$want" ] && tr -s '\n ' ' ' < "$tmp/said" | grep -qE -e "$regex"
	result $? "$name" "$tmp/said"
}

cat > "$tmp/types.h" <<'EOT'
#include <gcarena.h>
struct leaf { GCA_REF(struct leaf) next; long key; };
struct inner { int a; GCA_REF(struct leaf) x; };
typedef GCA_REF(struct leaf) leaf_ref;
/* Of everything that has a place in a pointer map. */
struct all {
	char first;
	leaf_ref by_typedef;
	struct inner nested[2];
	unsigned int three : 3, five : 5;
	struct { int n; GCA_REF(struct leaf) unnamed; };
	gca_ref array[2][3];
	union { long l; double d; } data;
	void (*code)(void);
	struct { struct { GCA_REF(struct leaf) deep; } b[1]; } named;
	short last;
};
typedef struct { long n; GCA_REF(struct leaf) one; leaf_ref rest[]; } tailed;
struct bytes { char name[40]; unsigned long long count; };
struct plain { struct plain *next; const char *name; int (*fn)(void); };
struct in_union { int which; union { GCA_REF(struct leaf) ref; long number; } u; };
struct tail_of_structs { long n; struct inner inner[]; };
struct __attribute__((packed)) tight { char c; GCA_REF(struct leaf) ref; };
struct declared;
enum colour { RED };
EOT
cat > "$tmp/types.c" <<'EOT'
#include "types.h"
struct all all;
struct leaf leaf;
tailed *t;
struct bytes bytes;
struct plain plain;
struct in_union in_union;
struct tail_of_structs *tail_of_structs;
struct tight tight;
struct declared *declared;
enum colour colour;
struct twice { long a; } twice_here;
int main(void) { return 0; }
EOT
echo 'struct twice { int a, b, c; } twice_there;' > "$tmp/other.c"

# Debug info in every shape that compilers write by options.
for shape in -gdwarf-5 -gdwarf-4 '-gdwarf-4 -fdebug-types-section' '-gdwarf-2 -gstrict-dwarf' '-gdwarf-5 -gz' \
	'-gdwarf-5 -gsplit-dwarf'; do
	# shellcheck disable=SC2086
	$cc $flags $shape -o "$tmp/types" "$tmp/types.c" "$tmp/other.c" > "$tmp/log" 2>&1 &&
		"$gcarena" layout "$tmp/types" all tailed bytes plain leaf > "$tmp/full" 2>> "$tmp/log" &&
		sed 's/^\(.*alignment [0-9]*\) (.*)$/\1/' "$tmp/full" > "$tmp/now" &&
		{ [ -e "$tmp/before" ] || cp "$tmp/now" "$tmp/before"; } && diff "$tmp/before" "$tmp/now" >> "$tmp/log" 2>&1
	result $? "$shape: the same layouts" "$tmp/log"
done
# shellcheck disable=SC2086
$cc $flags -g -o "$tmp/types" "$tmp/types.c" "$tmp/other.c"
# shellcheck disable=SC2086
$cc $flags -g -c -o "$tmp/types.o" "$tmp/types.c"

says 0 ' 0 1 char first 1 7 -- hole -- 8 8 struct leaf \* by_typedef reference ' "layout: offsets, holes, a typedef of a reference" layout "$tmp/types" all
says 0 ' 16 32 struct inner nested\[2\] 16 4 int a 20 4 -- hole -- 24 8 struct leaf \* x reference' "nested structures" layout "$tmp/types" all
says 0 'three : 3 bits 0 to 2 48 4 unsigned int five : 5 bits 3 to 7' "bit-fields" layout "$tmp/types" all
says 0 'pointer map: \+8 \+24 \+40 \+64 \(7 of them\) \+136 1 plain' "the pointer map" layout "$tmp/types" "struct all"
says 0 'saves 16 bytes, 16 of memory for each object' "what another order saves" layout "$tmp/types" all
says 0 'tailed: 16 bytes.* 16 0 struct leaf \* rest\[\] reference .*pointer map: \+8 \+16 to the end slot: 32 bytes, precise' "a flexible array, by a typedef" layout "$tmp/types" tailed
says 0 'pointer map: none.* slot: 64 bytes, bytes; waste 16 \(25 %\)' "a structure without pointers" layout "$tmp/types" bytes
says 0 'pointer map: none.* 3 plain pointers are not in the map' "plain pointers" layout "$tmp/types" plain
says 0 'pointer map: \+0 \(2 of them\) 1 plain pointer is not' "plain pointers as references" layout --plain "$tmp/types" plain
says 0 'no pointer map: u is a union with a reference.*GCA_TRACED' "layout shows a union all the same" layout "$tmp/types" in_union
slot=$("$gcarena" layout "$tmp/types" leaf | sed -n 's/^slot: \([0-9]*\).*/\1/p')
[ "$slot" = 16 ]
result $? "an exact structure fills its slot"

# The header, in a program that allocates each kind and has cycles look for its references.
says 0 'struct gca_layout \* ?gca_layout_all' "kinds writes a header" kinds "$tmp/types" leaf all tailed bytes
"$gcarena" kinds -o "$tmp/kinds.h" "$tmp/types" leaf all tailed bytes 2> "$tmp/log"
result $? "into a file" "$tmp/log"
"$gcarena" kinds --plain -o "$tmp/plain-kinds.h" "$tmp/types" plain 2> "$tmp/log"
result $? "and of plain pointers" "$tmp/log"
cat > "$tmp/prog.c" <<'EOT'
#include "types.h"
#include "kinds.h"
#include "plain-kinds.h"
#include <stdio.h>

static struct gca_mutator *m;
static gca_ref root;
static long expected;

static struct leaf *leaf(void)
{
	struct leaf *leaf = gca_new(m, leaf);

	expected++;
	return leaf;
}

/* What lives is the root's object and the leaves made since. */
static int check(const char *what)
{
	struct gca_stats stats = { .size = sizeof(stats) };

	gca_collect(m);
	gca_stats(gca_heap_of(m), &stats);
	if ((long)stats.heap_live_objects == expected + 1)
		return 0;
	printf("%s: %lu objects live, want %ld\n", what, (unsigned long)stats.heap_live_objects,
	       expected + 1);
	return 1;
}

#define START(object, how) \
	do { (object) = (how); gca_store(m, &root, (void *)(object)); expected = 0; } while (0)

int main(void)
{
	struct gca_heap *heap;
	struct all *all;
	tailed *tail;
	struct bytes *bytes;
	struct plain *plain;
	int i, wrong = 0;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_add(heap, &root, sizeof(root)))
		return 2;
	START(all, gca_new(m, all));
	gca_store(m, &all->by_typedef, leaf());
	gca_store(m, &all->nested[0].x, leaf());
	gca_store(m, &all->nested[1].x, leaf());
	gca_store(m, &all->unnamed, leaf());
	for (i = 0; i < 6; i++)
		gca_store(m, &all->array[i / 3][i % 3], (void *)leaf());
	gca_store(m, &all->named.b[0].deep, leaf());
	gca_store(m, &all->by_typedef.gca_raw->next, leaf());
	all->three = 7;
	all->code = (void (*)(void))main;
	wrong |= check("all");
	START(tail, gca_alloc_tail_(m, GCA_KIND(tailed), sizeof(tailed), 5));
	gca_store(m, &tail->one, leaf());
	for (i = 0; i < 5; i++)
		gca_store(m, &tail->rest[i], leaf());
	wrong |= check("tailed");
	START(bytes, gca_new(m, bytes));
	*(void **)bytes = leaf();
	expected = 0;
	wrong |= check("bytes");
	START(plain, gca_new(m, plain));
	plain->next = (struct plain *)leaf();
	wrong |= check("plain");
	gca_root_remove(heap, &root);
	gca_detach(m);
	return wrong;
}
EOT
# shellcheck disable=SC2086
$cc $flags -g -o "$tmp/prog" "$tmp/prog.c" "$build/libgcarena.a" $libs > "$tmp/log" 2>&1
result $? "it compiles without a warning" "$tmp/log"
GCARENA_BACKEND=process GCARENA_DEBUG=verify=1 "$tmp/prog" > "$tmp/log" 2>&1
result $? "and its kinds keep what they are to keep, and no more" "$tmp/log"
sed -i 's/char first;/char first; long added;/' "$tmp/types.h"
# shellcheck disable=SC2086
! $cc $flags -c -o "$tmp/stale.o" "$tmp/prog.c" 2> "$tmp/log" && grep -q 'struct all has changed: run gcarena kinds again' "$tmp/log"
result $? "a structure that has changed since does not compile" "$tmp/log"

# Refused, each with its reason; and no header is written then.
rm -f "$tmp/none.h"
says 1 'in_union has no pointer map: u is a union with a reference' "kinds: a union" kinds -o "$tmp/none.h" "$tmp/types" leaf in_union
[ ! -e "$tmp/none.h" ]
result $? "no header then, of the good ones neither"
says 1 'inner is a flexible array of structures' "a flexible array of structures" kinds "$tmp/types" tail_of_structs
says 1 'ref is a reference that is not aligned' "a packed structure" kinds "$tmp/types" tight
says 1 'declared is only declared' "one that is only declared" kinds "$tmp/types" declared
says 1 'twice is one thing in .*types.c and another in .*other.c' "one that is defined twice, differently" kinds "$tmp/types" twice
says 1 'no type missing' "one that is not there" layout "$tmp/types" missing
says 1 'colour is no structure' "what is no structure" layout "$tmp/types" colour
says 1 'no type union leaf' "the wrong word before it" layout "$tmp/types" "union leaf"
says 1 'no debug info' "a program without debug info" layout /bin/true leaf
says 1 'no debug info' "no program" layout "$tmp/types.h" leaf
says 1 'No such file' "no file" layout "$tmp/nothing" leaf
says 1 'Permission denied|No such file|Is a directory' "a header that cannot be written" kinds -o "$tmp/no/where.h" "$tmp/types" leaf
says 2 'are to be named' "layout: no type" layout "$tmp/types"
says 2 'are to be named' "kinds: nothing" kinds

says 0 'struct leaf: 16 bytes' "an object file, whose debug info is not relocated yet" layout "$tmp/types.o" leaf

# C++: names with namespaces, classes and functions around them, or their ends.
cat > "$tmp/names.cc" <<'EOT'
#include "names.h"
namespace { struct hidden { char a; long b; }; }
struct global { long only; };
namespace deep { struct global { long other[2]; }; }
struct app::graph::outside { char c[3]; };
static long function()
{
	struct local { char a; long b; };
	static local l;
	return l.b + l.a;
}
app::node a; app::inner::node b; app::graph g; app::graph::outside o; app::list<int> i; app::alias l;
app::colour col; hidden h; global one; deep::global two;
int main() { return (int)(function() + h.b + one.only + two.other[0] + i.first + b.c + l.c + o.c[0] + g.n + a.key + col); }
EOT
cat > "$tmp/names.h" <<'EOT'
#include <gcarena.h>
namespace app {
struct node { GCA_REF(node) next; char c; long key; };
namespace inner { struct node { char a; GCA_REF(app::node) p; char c; }; }
struct graph {
	struct edge { char kind; GCA_REF(edge) to; char w; };
	struct outside;
	edge e;
	int n;
};
template <typename T> struct list { char c; T first; };
typedef list<long> alias;
enum colour { red };
}
EOT
if cxx=$(command -v "${CXX:-g++}"); then
	for shape in -gdwarf-5 '-gdwarf-4 -fdebug-types-section' '-gdwarf-5 -gsplit-dwarf'; do
		# shellcheck disable=SC2086
		"$cxx" $shape -Ilib/include -Iuapi "-I$tmp" -o "$tmp/names" "$tmp/names.cc" > "$tmp/log" 2>&1 &&
			"$gcarena" layout "$tmp/names" app::node app::graph graph::outside local > "$tmp/full" 2>> "$tmp/log" &&
			sed 's/^\(.*alignment [0-9]*\) (.*)$/\1/; s/[a-z]*:://g' "$tmp/full" > "$tmp/now" &&
			{ [ -e "$tmp/in_c++" ] || cp "$tmp/now" "$tmp/in_c++"; } && diff "$tmp/in_c++" "$tmp/now" >> "$tmp/log" 2>&1
		result $? "C++, $shape: the same layouts" "$tmp/log"
	done
	# shellcheck disable=SC2086
	"$cxx" -g -Ilib/include -Iuapi "-I$tmp" -o "$tmp/names" "$tmp/names.cc"
	says 0 '^struct app::node: 24 bytes.* 0 8 struct app::node \* next reference.*pointer map: \+0 slot' \
		"C++: a namespace" layout "$tmp/names" app::node
	says 0 '^struct app::inner::node: 24 bytes.*pointer map: \+8 slot' "the end of a name" layout "$tmp/names" inner::node
	says 0 '^struct app::graph::edge: 24 bytes.*saves 8 bytes' "a class in a class, by its own name alone" layout "$tmp/names" edge
	says 0 '^struct app::graph::outside: 3 bytes' "one that is defined outside of it" layout "$tmp/names" app::graph::outside
	says 0 '^struct app::list<int>: 8 bytes' "a template's" layout "$tmp/names" 'list<int>'
	says 0 '^struct app::list<long int>: 16 bytes|^struct app::alias: 16 bytes' "by a typedef" layout "$tmp/names" app::alias
	says 0 '^struct hidden: 16 bytes' "in an unnamed namespace" layout "$tmp/names" hidden
	says 0 '^struct function\(\)::local: 16 bytes' "in a function" layout "$tmp/names" local
	says 0 '^struct global: 8 bytes' "a whole name goes before ends of others" layout "$tmp/names" global
	says 1 'node is ambiguous: say which of app::node \(.*names.cc\), app::inner::node' "an end that several have" layout "$tmp/names" node
	says 1 'no type ::node' "a whole name that none has" layout "$tmp/names" ::node
	says 1 'no type app::list<short>, but app::list<int>' "another argument of a template" layout "$tmp/names" 'app::list<short>'
	says 1 'app::colour is no structure' "what is no class" layout "$tmp/names" app::colour
	says 1 "local is a function's own" "kinds: one in a function" kinds "$tmp/names" local
	"$gcarena" kinds -o "$tmp/names-kinds.h" "$tmp/names" app::node app::graph::edge 'app::list<int>' > "$tmp/log" 2>&1 &&
		cat > "$tmp/uses.cc" <<'EOT' &&
#include "names.h"
#include "names-kinds.h"
int main()
{
	gca_layout *node = gca_layout_app__node(), *edge = gca_layout_app__graph__edge();
	return node->size != sizeof(app::node) || node->runs[0].offset || edge->runs[0].offset != 8 ||
		gca_layout_app__list_int_()->runs[0].count;
}
EOT
		"$cxx" -Wall -Wextra -Werror -Ilib/include -Iuapi "-I$tmp" -o "$tmp/uses" "$tmp/uses.cc" > "$tmp/log" 2>&1 && "$tmp/uses"
	result $? "kinds: a header that C++ takes" "$tmp/log"
else
	skip "types of C++" "no g++ (packages.list, group test)"
fi

# Damaged: an error or an answer, never a crash, and not for ever.
size=$(stat -c %s "$tmp/types")
bad=0
for i in 1 2 3 4 5 6 7 8; do
	head -c $((size * i / 9)) "$tmp/types" > "$tmp/cut"
	timeout 20 "$gcarena" layout "$tmp/cut" all > /dev/null 2> "$tmp/err"
	[ $? = 1 ] || bad=1
done
result "$bad" "cut off anywhere: an error" "$tmp/err"
read -r offset length < <(readelf -SW "$tmp/types" | sed 's/^ *\[ *[0-9]*\] *//' | awk '$1 == ".debug_info" { print $4, $5 }')
bad=0
for ((i = 0; i < 24; i++)); do
	cp "$tmp/types" "$tmp/bent"
	at=$((0x$offset + (i * 7919 + 13) % 0x$length))
	printf '%b' "\\x$(printf %x $((i * 37 % 256)))" | dd of="$tmp/bent" bs=1 seek=$at conv=notrunc status=none
	timeout 20 "$gcarena" kinds "$tmp/bent" all tailed plain > /dev/null 2> "$tmp/err"
	[ $? -le 1 ] || { bad=1; break; }
done
result "$bad" "damaged in single bytes: an error or an answer" "$tmp/err"
tap_done
