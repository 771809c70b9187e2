#!/bin/bash
# SPDX-License-Identifier: MIT
#
# render.t: the page of gcarena report in a browser: depgraph is recorded, headless
# chromium builds the document and draws it.  What live.t finds in the text is asked of
# the DOM here, which leaves out what the browser could not read.
# shellcheck disable=SC1091,SC2154	# tap.sh: build, tmp, top
. "$(dirname "$0")/../tap.sh"
gcarena=$build/tools/gcarena
depgraph=$build/samples/depgraph
need "$gcarena" "$depgraph"
unset XDG_RUNTIME_DIR
export GCARENA_ENDPOINT=$tmp/e GCARENA_BACKEND=process
mkdir -p "$tmp/e" "$tmp/none" "$tmp/home"

command -v chromium > "$tmp/log" 2>&1
result $? "there is chromium" "$tmp/log"

# browser PAGE OPTION...: headless chromium, with nothing of the user's and no network
browser()
{
	local page=$1
	shift

	HOME=$tmp/home timeout -k 5 100 chromium --headless --no-sandbox --disable-gpu \
		--disable-dev-shm-usage --user-data-dir="$tmp/home/profile" \
		--host-resolver-rules='MAP * ~NOTFOUND' "$@" "file://$tmp/$page.html" 2> "$tmp/log"
}

"$top/samples/depgraph/mkindex" 2000 > "$tmp/index" &&
	timeout 60 "$gcarena" --debugfs "$tmp/none" record --interval 5 --output "$tmp/run" -- \
		"$depgraph" --index "$tmp/index" --rounds 40 --hold-seconds 0 > "$tmp/log" 2>&1 &&
	"$gcarena" report --output "$tmp/page.html" "$tmp/run" > "$tmp/log" 2>&1
result $? "a page of a run of depgraph" "$tmp/log"

browser page --dump-dom > "$tmp/dom" && grep -q '</svg>' "$tmp/dom"
result $? "chromium reads it" "$tmp/log"

# Line or dots, the points are in the element itself.
for series in heap_sys heap_inuse heap_alloc heap_live next_gc pause gc_cpu_ns assist_ns worker_ns \
	account_assist_ns account_stall_ns account_handshake_ns account_refill_ns heap_idle heap_released \
	scavenged_bytes fragmentation_ratio huge_ratio; do
	grep -E -A 1 "<g data-series=\"$series\" data-points=\"[1-9]" "$tmp/dom" > "$tmp/log"
	grep -qE '<polyline points="[0-9]+\.[0-9],[0-9]+\.[0-9] |<circle cx="[0-9]' "$tmp/log"
	result $? "$series is there and has points" "$tmp/log"
done
grep -o 'data-series="[a-z_]*"' "$tmp/page.html" | sort > "$tmp/written"
grep -o 'data-series="[a-z_]*"' "$tmp/dom" | sort | diff "$tmp/written" - > "$tmp/log"
result $? "no series of the page is missing" "$tmp/log"

# picture PAGE: bytes of a screenshot
picture()
{
	browser "$1" --hide-scrollbars --window-size=1000,2100 --screenshot="$tmp/$1.png" > /dev/null
	stat -c %s "$tmp/$1.png" 2>> "$tmp/log"
}

# Nothing at all, and the page without its points: what is drawn takes bytes.
echo '<!DOCTYPE html><title>blank</title>' > "$tmp/blank.html"
sed -E 's/<polyline[^>]*>//g; s/<circle[^>]*>//g' "$tmp/page.html" > "$tmp/axes.html"
blank=$(picture blank)
axes=$(picture axes)
page=$(picture page)
echo "# screenshots of ${blank:-0} bytes, ${axes:-0} with axes, ${page:-0} with points"
[ "${blank:-0}" -gt 0 ] && [ "${axes:-0}" -ge $((2 * ${blank:-0})) ]
result $? "the picture is not blank" "$tmp/log"
[ "${axes:-0}" -gt 0 ] && [ "${page:-0}" -ge $((axes * 5 / 4)) ]
result $? "lines and dots are in it" "$tmp/log"
tap_done
