#!/bin/bash
# SPDX-License-Identifier: MIT
#
# versions.t: builds versions.c with the sample's sources and runs it.
# shellcheck disable=SC1091,SC2154	# tap.sh: top, tmp
. "$(dirname "$0")/../tap.sh"

if ! ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -g -fsanitize=address,undefined -o "$tmp/versions" \
	"$top/selftests/samples/versions.c" "$top/samples/depgraph/relation.c" \
	"$top/samples/depgraph/index.c"; then
	echo "Bail out! versions.c does not build"
	exit 1
fi
"$tmp/versions"
