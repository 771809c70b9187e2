#!/bin/bash
# SPDX-License-Identifier: MIT
#
# install.t: what make install puts where, and that a program builds and runs
# with nothing but that, shared and static.
set -u

cd "$(dirname "$0")/../.." || exit 1
build=${CHECK_BUILD:-build}
cc=${CC:-cc}
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset MAKEFLAGS MFLAGS MAKELEVEL
n=0

result()
{
	local status=$1

	n=$((n + 1))
	if [ "$status" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/#   /' "$tmp/log" | tail -n 30
	fi
}

to=$tmp/dest
make -s B="$build" DESTDIR="$to" PREFIX=/opt/gca install > "$tmp/log" 2>&1
result $? "make install with DESTDIR and PREFIX"

(cd "$to" && find . ! -type d ! -path './opt/gca/share/man/*' | sort) > "$tmp/log"
diff - "$tmp/log" > /dev/null <<-'EOT'
	./opt/gca/bin/gcarena
	./opt/gca/include/gcarena.h
	./opt/gca/include/linux/gcarena.h
	./opt/gca/lib/libgcarena.a
	./opt/gca/lib/libgcarena.so
	./opt/gca/lib/libgcarena.so.0
	./opt/gca/lib/pkgconfig/gcarena.pc
	./opt/gca/share/gcarena/gdb/gcarena-gdb.py
	./opt/gca/share/gcarena/gdb/gcarena_gdb/__init__.py
	./opt/gca/share/gcarena/gdb/gcarena_gdb/commands.py
	./opt/gca/share/gcarena/gdb/gcarena_gdb/heap.py
	./opt/gca/share/gcarena/gdb/gcarena_gdb/printers.py
	./opt/gca/share/gcarena/gdb/gcarena_gdb/roots.py
	./opt/gca/share/gdb/auto-load/opt/gca/lib/libgcarena.so.0-gdb.py
EOT
result $? "installs these files and no others"

nm -D --defined-only "$to/opt/gca/lib/libgcarena.so" | awk '$3 !~ /^gca_/ { print; bad = 1 } END { exit bad }' > "$tmp/log"
result $? "the shared library exports gca_ names only"
nm -g --defined-only "$to/opt/gca/lib/libgcarena.a" 2> /dev/null |
	awk 'NF == 3 && $3 !~ /^gca_/ { print; bad = 1 } END { exit bad }' > "$tmp/log"
result $? "the static library defines gca_ names only"
nm -g --defined-only "$to/opt/gca/lib/libgcarena.a" 2> /dev/null | awk 'NF == 3 { print $3 }' | sort > "$tmp/static"
nm -D --defined-only "$to/opt/gca/lib/libgcarena.so" | awk '{ print $3 }' | sort > "$tmp/shared"
diff "$tmp/static" "$tmp/shared" > "$tmp/log"
result $? "and the same ones"

cat > "$tmp/prog.c" <<-'EOT'
	#include <gcarena.h>

	#define NODE_FIELDS(F) F(REF, struct node, next) F(VAL, long, key)
	GCA_STRUCT(node, NODE_FIELDS);

	/* Names that the library uses inside: a user may have them as well. */
	int error_set, mark, sweep, refill, heap_open;

	int main(void)
	{
		struct gca_heap *heap;
		struct gca_mutator *m;
		struct node *n;

		if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m))
			return 1;
		n = gca_new(m, node);
		if (!n || gca_collect(m))
			return 2;
		gca_detach(m);
		return gca_close(heap);
	}
EOT
export PKG_CONFIG_SYSROOT_DIR=$to PKG_CONFIG_PATH=$to/opt/gca/lib/pkgconfig
flags()
{
	pkg-config "$@" gcarena
}
# shellcheck disable=SC2046
"$cc" -Wall -Wextra -Werror -o "$tmp/shared.out" "$tmp/prog.c" $(flags --cflags --libs) > "$tmp/log" 2>&1
result $? "a program builds with pkg-config's flags"
LD_LIBRARY_PATH=$to/opt/gca/lib GCARENA_BACKEND=process "$tmp/shared.out" > "$tmp/log" 2>&1
result $? "and runs with the shared library"
readelf -d "$tmp/shared.out" > "$tmp/log"
grep -q 'NEEDED.*libgcarena\.so\.0' "$tmp/log"
result $? "which it needs by its soname"
# shellcheck disable=SC2046
"$cc" -Wall -Wextra -Werror -static -o "$tmp/static.out" "$tmp/prog.c" $(flags --static --cflags --libs) \
	> "$tmp/log" 2>&1 && GCARENA_BACKEND=process "$tmp/static.out" >> "$tmp/log" 2>&1
result $? "and so with the static one, whatever names the program uses"

[ "$(flags --modversion)" = "$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)" ]
result $? "pkg-config and DKMS name the same version"

make -s B="$build" DESTDIR="$to" PREFIX=/opt/gca uninstall > "$tmp/log" 2>&1 && ! find "$to" ! -type d | grep .
result $? "make uninstall takes it all away"
echo "1..$n"
