#!/bin/bash
# SPDX-License-Identifier: MIT
#
# oom.t: what gcarena oom makes of kernel logs: the module's lines as a guest wrote them
# (selftests/guest/oom), in other wrappings, in another order, incomplete, and damaged.
# shellcheck disable=SC1091,SC2154	# tap.sh: build, tmp, top
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1
gcarena=$build/asan/tools/gcarena
need "$gcarena"

# says STATUS REGEX NAME [ARGUMENT...] < log
says()
{
	local want=$1 regex=$2 name=$3 got
	shift 3

	"$gcarena" oom "$@" > "$tmp/out" 2> "$tmp/err"
	got=$?
	cat "$tmp/out" "$tmp/err" > "$tmp/said"
	echo "status $got" >> "$tmp/said"
	[ "$got" = "$want" ] && tr '\n' ' ' < "$tmp/said" | grep -qE -e "$regex"
	result $? "$name" "$tmp/said"
}

log=selftests/tools/data/oom.log
arena()
{
	echo "gcarena: oom: pid=$1 arena=3 inuse=$2kB free=$3kB released=1024kB memory=$4kB manual=0kB meta=100kB limit=$5kB reclaimed=512kB sweeps=7 comm=a b)"
}
killed="Out of memory: Killed process 9 (a b) total-vm:1kB, anon-rss:1000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:92kB oom_score_adj:0"
reason="oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/x,task=a b,pid=9,uid=0"

says 0 '^process [0-9]+ \(oom\) was killed: the memory cgroup /gcarena-oom was at its limit of 64\.0 MiB   it had [0-9.]+ MiB anonymous.*arena [0-9]+: 8\.0 MiB in use, 0 KiB free, 0 KiB given back; 8\.0 MiB in memory.*most of its memory was not in arenas' \
	"a guest's log" "$log"
says 0 '8\.0 MiB in use' "the same on standard input" - < "$log"
sed 's/^/Nov 21 13:14:02 host kernel: /' "$log" > "$tmp/journal"
says 0 'limit of 64\.0 MiB .* 8\.0 MiB in use' "the same from a journal" "$tmp/journal"
sed 's/^/<6>/' "$log" > "$tmp/raw"
says 0 'limit of 64\.0 MiB .* 8\.0 MiB in use' "and as the kernel has it" "$tmp/raw"

{ echo "$reason"; arena 9 51200 100 51300 0; echo "$killed"; } > "$tmp/log"
says 0 '^process 9 \(a b\) was killed: the machine was out of memory .*977|1000 KiB anonymous.* arena 3: 50\.0 MiB in use.*no limit; reclaim had taken 512 KiB.*GCARENA_LIMIT' \
	"the victim died before it was said to be killed" "$tmp/log"
[ "$(grep -c '^process' "$tmp/out")" = 1 ]
result $? "it is one victim" "$tmp/out"
{ echo "$reason"; echo "$killed"; arena 9 10240 40960 51200 102400; } > "$tmp/log"
says 0 '40\.0 MiB were free, beside .*below the limit, which is too high beside' "free memory and a limit that was too high" "$tmp/log"
{ echo "$reason"; echo "$killed"; echo "$reason"; echo "$killed"; arena 9 1 1 1 0; } > "$tmp/log"
says 0 'no arena of it is in the log.*process 9.*arena 3' "the same pid twice: the later one has the arena" "$tmp/log"
{ echo "$reason"; echo "$killed"; } > "$tmp/log"
says 0 'no arena of it is in the log' "a victim without arenas" "$tmp/log"
arena 9 1 1 1 0 > "$tmp/log"
says 0 'does not have the reason.*arena 3' "an arena alone" "$tmp/log"
{ arena 9 1 1 1 0; echo "gca_oom_report: 5 callbacks suppressed"; } > "$tmp/log"
says 0 '5 lines of arenas were held back' "held back lines are counted" "$tmp/log"

says 1 'no OOM kill' "a log of something else" /etc/hostname
: > "$tmp/empty"
says 1 'no OOM kill' "an empty one" "$tmp/empty"
arena 9 1 1 1 0 | cut -c 1-60 > "$tmp/log"
says 1 'line 1 is cut off or damaged: .*pid=9' "a line that is cut off" "$tmp/log"
{ arena 9 1 1 1 0 | tr 1 x; arena 9 51200 1 1 0; } > "$tmp/log"
says 1 'arena 3: 50\.0 MiB.*line 1 is cut off or damaged' "a damaged line, and a good one after it" "$tmp/log"
head -c 100000 /dev/urandom > "$tmp/noise"
says 1 'no OOM kill' "noise" "$tmp/noise"
says 1 'No such file' "no such file" "$tmp/none"
says 1 'Is a directory' "a directory" "$tmp"
says 2 'one log' "two files" a b
tap_done
