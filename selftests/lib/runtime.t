#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every function that a program can call keeps signals from stopping the thread inside
# the library: RUNTIME() is its first line.  Exempt is what takes no lock and changes
# nothing, or is done by one store.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, tmp
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 2

exempt=' gca_backend gca_config_init gca_error gca_heap_of gca_kind_noscan gca_kind_refs
	gca_kind_conservative gca_visit_slots gca_visit_value gca_visit_words gca_frame_push
	gca_frame_pop gca_frame_unwind gca_handle_get '

sed -n '/^GCA_API/,/;/p' lib/include/gcarena.h | tr '\n' ' ' | grep -o 'GCA_API [^(]*(' |
	sed 's/($//' | grep -o 'gca_[a-z_]*$' | sort -u > "$tmp/names"
nr=0
while read -r name; do
	case $exempt in *[[:space:]]"$name"[[:space:]]*) continue ;; esac
	nr=$((nr + 1))
	cat lib/*.c | awk -v name="$name" '
		$0 ~ "^[a-z].*[ *]" name "\\(" { inside = 1 }
		inside && /;$/ && !/^\t/ { inside = 0 }
		inside && /^{/ { getline; if (/RUNTIME\(\);/) found = 1; inside = 0 }
		END { exit !found }' || echo "$name" >> "$tmp/missing"
done < "$tmp/names"
test "$nr" -gt 50
result $? "the header has $nr functions that do something"
test ! -e "$tmp/missing"
result $? "each of them counts the thread in" "$tmp/missing"
tap_done
