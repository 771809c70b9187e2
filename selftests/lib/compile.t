#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What gcarena.h is to refuse at compile time, and what it is to accept: each case
# is a few lines put after the same declarations.  A case that must fail also says
# what the compiler is to complain about, so that a typing error does not pass.
#
# CC is taken from the environment; clang runs the same cases when it is there.  What
# C++ accepts is compiled as that too.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
c='-std=gnu11' cxx='-x c++ -std=gnu++11' dialect=$c
flags='-Wall -Wextra -Werror -Wno-unused-parameter -Ilib/include -Iuapi -fsyntax-only'

cat > "$tmp/head.h" <<'END'
#include <gcarena.h>
#include <stdio.h>
struct node;
struct other;
#define NODE_FIELDS(F)			\
	F(REF, struct node, next)	\
	F(REFS, struct node, child, 4)	\
	F(VAL, int, key)		\
	F(VALS, char, name, 16)		\
	F(RAW, FILE *, log)		\
	F(TAIL, struct node, more)
GCA_STRUCT(node, NODE_FIELDS);
#define OTHER_FIELDS(F) F(REF, struct other, next)
GCA_STRUCT(other, OTHER_FIELDS);
END

compile()
{
	{ cat "$tmp/head.h"; cat; } > "$tmp/case.c"
	# shellcheck disable=SC2086
	$1 $dialect $flags "$tmp/case.c" > "$tmp/log" 2>&1
}

# accept NAME < code: compiles without a warning
accept()
{
	cat > "$tmp/code"
	for compiler in $compilers; do
		compile "$compiler" < "$tmp/code"
		result $? "$compiler accepts $1" "$tmp/log"
		dialect=$cxx
		compile "$compiler" < "$tmp/code"
		result $? "$compiler accepts $1 in C++" "$tmp/log"
		dialect=$c
	done
}

# refuse NAME PATTERN < code: does not, and the message matches
refuse()
{
	cat > "$tmp/code"
	for compiler in $compilers; do
		if compile "$compiler" < "$tmp/code"; then
			result 1 "$compiler refuses $1" "$tmp/log"
		else
			grep -Eq "$2" "$tmp/log"
			result $? "$compiler refuses $1" "$tmp/log"
		fi
	done
}

# in_body accept|refuse ...: the code is a function's body with these arguments
in_body()
{
	{
		printf '%s\n' 'void f(struct gca_mutator *m, struct node *a, struct node *b,' \
			'       struct other *o, gca_ref *refs, int n);' \
			'void f(struct gca_mutator *m, struct node *a, struct node *b,' \
			'       struct other *o, gca_ref *refs, int n)' '{'
		cat
		echo '}'
	} > "$tmp/body"
	"$@" < "$tmp/body"
}

compilers=${CC:-cc}
command -v clang > /dev/null 2>&1 && compilers="$compilers clang"

in_body accept "every form of use" << 'END'
	a->key = n;
	a->log = stderr;
	gca_store(m, &a->next, b);
	gca_init(m, &a->child[3], NULL);
	gca_store(m, &a->more[n], gca_load(&b->next));
	b = gca_exchange(m, &a->next, b);
	if (gca_compare_exchange(m, &a->next, b, NULL))
		gca_safepoint(m);
	gca_copy_refs(m, a->child, b->child, 4);
	gca_clear_refs(m, a->child, 4);
	gca_store(m, &refs[0], a);
	gca_store(m, &o->next, gca_new(m, other));
	gca_store(m, &a->next, gca_new_tail(m, node, 3));
	gca_keepalive(a);
END
in_body accept "frames and stack variables" << 'END'
	GCA_FRAME(m, f, struct node *a; struct other *o);
	f.a = gca_load(&a->next);
	f.o = o;
	a = f.a;
END
accept "a traced structure and a global" << 'END'
struct pair { GCA_REF(struct node) a; GCA_REF(struct other) b; };
static void trace(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct pair *pair = (const struct pair *)object;

	gca_visit(visitor, &pair->a);
	gca_visit(visitor, &pair->b);
}
GCA_TRACED(pair, trace);
static GCA_REF(struct node) global;
int f(struct gca_heap *heap, struct gca_mutator *m);
int f(struct gca_heap *heap, struct gca_mutator *m)
{
	gca_store(m, &global, NULL);
	return gca_root_add(heap, &global, sizeof(global)) || !gca_new(m, pair);
}
END
accept "structures with one field of each sort" << 'END'
#define A(F) F(REF, void, x)
GCA_STRUCT(a, A);
#define B(F) F(VAL, double, x)
GCA_STRUCT(b, B);
#define C(F) F(VALS, unsigned char, x, 3)
GCA_STRUCT(c, C);
#define D(F) F(VAL, size_t, n) F(TAIL, void, x)
GCA_STRUCT(d, D);
END

in_body refuse "a pointer assigned to a field" 'incompatible type' << 'END'
	a->next = b;
END
in_body refuse "NULL assigned to a field" 'incompatible type' << 'END'
	a->next = NULL;
END
in_body refuse "a field assigned to a pointer" 'incompatible type' << 'END'
	b = a->next;
END
in_body refuse "a field followed without gca_load()" 'struct|member' << 'END'
	n = a->next->key;
END
in_body refuse "a field compared" 'invalid operands|scalar' << 'END'
	n = a->next == b;
END
in_body refuse "a field tested" 'scalar|arithmetic or pointer' << 'END'
	if (a->next)
		n = 1;
END
in_body refuse "a store of the wrong type" 'incompatible pointer' << 'END'
	gca_store(m, &a->next, o);
END
in_body refuse "an initialising store of the wrong type" 'incompatible pointer' << 'END'
	gca_init(m, &a->next, o);
END
in_body refuse "an exchange of the wrong type" 'incompatible pointer' << 'END'
	gca_exchange(m, &a->next, o);
END
in_body refuse "a load into the wrong type" 'incompatible pointer' << 'END'
	o = gca_load(&a->next);
END
in_body refuse "a store to a data field" 'gca_raw' << 'END'
	gca_store(m, &a->key, b);
END
in_body refuse "a store to a pointer on the stack" 'gca_raw' << 'END'
	gca_store(m, &a, b);
END
in_body refuse "a copy of references of another type" 'distinct pointer types|lacks a cast' << 'END'
	gca_copy_refs(m, a->child, &o->next, 1);
END
in_body refuse "a copy over data" 'gca_raw' << 'END'
	gca_copy_refs(m, a->name, b->name, 4);
END
refuse "a pointer as VAL" 'REF \(into the heap\) or RAW' << 'END'
#define P(F) F(VAL, struct node *, x)
GCA_STRUCT(p, P);
END
refuse "a char pointer as VAL" 'REF \(into the heap\) or RAW' << 'END'
#define P(F) F(VAL, char *, x)
GCA_STRUCT(p, P);
END
refuse "pointers as VALS" 'REF \(into the heap\) or RAW' << 'END'
#define P(F) F(VALS, void *, x, 2)
GCA_STRUCT(p, P);
END
refuse "a TAIL that is not last" 'flexible array' << 'END'
#define P(F) F(VAL, int, n) F(TAIL, struct node, x) F(VAL, int, y)
GCA_STRUCT(p, P);
END
refuse "two TAILs" 'flexible array' << 'END'
#define P(F) F(VAL, int, n) F(TAIL, struct node, x) F(TAIL, struct node, y)
GCA_STRUCT(p, P);
END
# The header itself, in a program that has more warnings for errors than we do.
echo '#include <gcarena.h>' > "$tmp/header.c"
strict='-Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual -Wundef'
for compiler in $compilers; do
	for dialect in "$c" "$cxx -Wold-style-cast"; do
		# shellcheck disable=SC2086
		$compiler $dialect $flags $strict "$tmp/header.c" > "$tmp/log" 2>&1
		result $? "$compiler has nothing to say of the header with $dialect" "$tmp/log"
	done
done
tap_done
