#!/bin/bash
# SPDX-License-Identifier: MIT
#
# man.t: the manual is whole (scripts/man-pages sees to it), mandoc finds nothing
# wrong with it, a page shows what its function does, and make install puts it
# where man(1) looks.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2
unset MAKEFLAGS MFLAGS MAKELEVEL

scripts/man-pages "$tmp/man" > "$tmp/log" 2>&1
result $? "every public function is on one page, and says what it does" "$tmp/log"

if command -v mandoc > /dev/null; then
	for page in "$tmp"/man/*; do
		# The others only lead to a page.
		grep -q '^\.so ' "$page" || mandoc -T lint -W warning "$page"
	done > "$tmp/log" 2>&1
	[ ! -s "$tmp/log" ]
	result $? "mandoc has nothing to say" "$tmp/log"
	mandoc "$tmp/man/gca_weak_new.3" | col -b > "$tmp/log" 2>&1
	grep -q 'void \*gca_weak_get(struct gca_mutator \*mutator, struct gca_weak \*weak);' "$tmp/log" &&
		grep -q 'the target, which lives while the caller holds it' "$tmp/log"
	result $? "a page has the prototype, and what the comment says" "$tmp/log"
else
	skip "mandoc has nothing to say" "mandoc is not installed"
	skip "a page has the prototype, and what the comment says" "mandoc is not installed"
fi

# A function without a group must not pass.
mkdir -p "$tmp/tree/lib/include" "$tmp/tree/scripts"
cp -r man "$tmp/tree/man"
cp scripts/man-pages "$tmp/tree/scripts/"
cp lib/*.c "$tmp/tree/lib/"
{ cat lib/include/gcarena.h; echo 'GCA_API int gca_brand_new(void);'; } > "$tmp/tree/lib/include/gcarena.h"
! "$tmp/tree/scripts/man-pages" "$tmp/out" > "$tmp/log" 2>&1 && grep -q gca_brand_new "$tmp/log"
result $? "a public function without a page is an error that names it" "$tmp/log"

make -s B="$build" DESTDIR="$tmp/to" PREFIX=/usr install > "$tmp/log" 2>&1 &&
	[ -f "$tmp/to/usr/share/man/man3/gca_open.3" ] &&
	[ -f "$tmp/to/usr/share/man/man3/gca_pool_get.3" ] &&
	[ -f "$tmp/to/usr/share/man/man1/gcarena.1" ] && [ -f "$tmp/to/usr/share/man/man4/gcarena.4" ] && [ -f "$tmp/to/usr/share/man/man7/gcarena.7" ]
result $? "make install installs it" "$tmp/log"
make -s B="$build" DESTDIR="$tmp/to" PREFIX=/usr uninstall > "$tmp/log" 2>&1 &&
	[ -z "$(find "$tmp/to" ! -type d)" ]
result $? "make uninstall leaves nothing" "$tmp/log"
tap_done
