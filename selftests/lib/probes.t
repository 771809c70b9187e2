#!/bin/bash
# SPDX-License-Identifier: MIT
#
# probes.t: the probes that Documentation/probes.rst lists are in the library, static
# and shared, with as many arguments as it says, and nothing else is.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, build, tmp
. "$(dirname "$0")/../tap.sh"

# probe and number of arguments, by the page
awk '/^``[a-z_]+`` +heap/ { name = $1; gsub(/`/, "", name); sub(/^``[a-z_]+`` +/, "")
		sub(/:.*/, ""); gsub(/\([^)]*\)/, ""); print name, gsub(/,/, ",") + 1 }' \
	"$top/Documentation/probes.rst" | sort > "$tmp/page"
result "$([ "$(wc -l < "$tmp/page")" -ge 8 ]; echo $?)" "the page lists probes" "$tmp/page"

# of FILE: the same, by its notes
of()
{
	readelf -n "$1" 2> /dev/null | awk '
		/Provider: gcarena/ { ours = 1 }
		/Name:/ { name = $2 }
		/Semaphore:/ && ours && !/Semaphore: 0x0+$/ { print name, "semaphore" }
		/Arguments:/ { if (ours) print name, NF - 1; ours = 0 }' | sort -u
}

for file in "$build/libgcarena.so.0" "$build/samples/depgraph"; do
	of "$file" > "$tmp/has"
	diff "$tmp/page" "$tmp/has" > "$tmp/log"
	result $? "${file##*/} has them" "$tmp/log"
done
tap_done
