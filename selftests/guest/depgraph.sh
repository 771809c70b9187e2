#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# depgraph.sh: the sample on the device answers as it does on malloc, and its
# memory is where it should be: in huge pages while in use, within 2.5 times of
# what lives, back with the system when dropped.  Also with huge pages denied,
# as another user, and killed half-way.  Wants an index at /suite/index.
# shellcheck disable=SC1091,SC2154	# results: debugfs, dir, n
. "$(dirname "$0")/results"

index=/suite/index
group=/sys/fs/cgroup/depgraph
shmem_enabled=/sys/kernel/mm/transparent_hugepage/shmem_enabled
chmod 755 "$dir"

# on_device NAME ARGS...: one run in a cgroup of its own
on_device()
{
	local name=$1

	shift
	mkdir "$group"
	sh -c 'echo $$ > '"$group"'/cgroup.procs; exec env GCARENA_BACKEND=device "$@"' sh \
		depgraph --index "$index" --rounds 3 --queries 64 "$@" > "$dir/out" 2> "$dir/err"
	result $? "$name: ends well" "$dir/err"
	rmdir "$group"
	[ ! -s "$dir/err" ]
	result $? "$name: says nothing on stderr" "$dir/err"
	grep '^answer:' "$dir/out" > "$dir/answers"
	cmp -s "$dir/answers" "$dir/wanted"
	result $? "$name: answers as on malloc" "$dir/out" "$dir/err"
}

# The table's row @1 as one line of figures.
row()
{
	sed -n "s/^ *$1  *//p" "$dir/out"
}

# huge_share MIN MAX: of the resident heap, in every column where it is in use
huge_share()
{
	echo "$(row 'resident (MiB)') $(row 'by huge pages (MiB)')" | awk -v min="$1" -v max="$2" '{
		if (NF < 6 || NF % 2)
			exit 1
		for (i = 1; i <= 3; i++) {
			share = $i ? $(NF / 2 + i) / $i : -1
			if (share < min || share > max)
				exit 1
		}
	}'
	result $? "between $1 and $2 of the heap in use is in huge pages" "$dir/out"
}

ratio()
{
	sed -n 's/^max in use \/ live: \([0-9.]*\).*/\1/p' "$dir/out" |
		awk -v op="$1" -v bound="$2" '{ n++; good = op == "<" ? $1 < bound : $1 >= bound }
			END { exit !(n == 1 && good) }'
	result $? "in use $1 $2 times live under change" "$dir/out"
}

depgraph-malloc --index "$index" --rounds 3 --queries 64 --hold-seconds 0 > "$dir/out" 2> "$dir/err"
result $? "the oracle ends well" "$dir/err"
grep '^answer:' "$dir/out" > "$dir/wanted"
[ "$(wc -l < "$dir/wanted")" -gt 10 ]
result $? "and gives answers" "$dir/out"

on_device "device" --hold-seconds 2
grep -q '^device ' "$dir/out"
result $? "it is the device's heap" "$dir/out"
huge_share 0.9 1
ratio "<" 2.5
row 'cgroup shmem (MiB)' | awk '{
	for (i = 1; i <= NF; i++)
		if ($i > peak)
			peak = $i
	exit !(NF >= 5 && peak > 8 && ($NF < peak / 20 || $NF < 8))
}'
result $? "two seconds after the drop the cgroup's shmem is below 8 MiB or a twentieth" "$dir/out"
no_arena "no arena is left"

on_device "no collection" --no-collect --hold-seconds 0
ratio ">=" 2.5

was=$(sed 's/.*\[\(.*\)\].*/\1/' "$shmem_enabled")
echo deny > "$shmem_enabled"
on_device "huge pages denied" --hold-seconds 0
huge_share 0 0
echo "$was" > "$shmem_enabled"

GCARENA_DEBUG=verify=1,shadow=1 on_device "verified" --hold-seconds 0

su -s /bin/sh -c "GCARENA_BACKEND=device /build/samples/depgraph --index $index --rounds 1 --queries 8 \
	--hold-seconds 0" nobody > "$dir/out" 2> "$dir/err"
result $? "nobody may use the device" "$dir/err"

GCARENA_BACKEND=device depgraph --index "$index" --rounds 1000 > "$dir/out" 2>&1 &
pid=$!
tries=100
until grep -q '^step 2: round 1,' "$dir/out" || [ "$tries" = 0 ]; do
	tries=$((tries - 1))
	usleep 300000
done
cat "$debugfs"/*/stats > "$dir/stats" 2> /dev/null
grep -qx "comm: depgraph" "$dir/stats"
result $? "debugfs knows whose arena it is" "$dir/stats" "$dir/out"
kill -9 "$pid"
wait "$pid" 2> /dev/null
no_arena "killed half-way, it leaves no arena"

rm -rf "$dir"
echo "1..$n"
