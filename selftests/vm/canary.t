#!/bin/bash
# SPDX-License-Identifier: MIT
#
# canary.t: the guest runner notices what it must, and only that.  Every fault
# here is a real one, made by the kernel; the command itself always succeeds.
# Boots a guest for each case: gcarena.ko is not needed and not loaded.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd -P)
run=$top/selftests/vm/run
release=$("$top/scripts/guest-kernel" --release "$("$top/scripts/guest-kernel" 6.12)") || exit 1
canary=$top/build/canary/$release/selftests/vm/canary/canary.ko
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

# try NAME WANTED-STATUS WANTED-STDERR-REGEX ARGS...: one run, one result.  An
# empty expression wants an empty stderr.
try()
{
	local name=$1 want=$2 regex=$3

	shift 3
	"$run" "$@" > "$tmp/out" 2> "$tmp/err"
	verdict $? "$name" "$want" "$regex"
}

# verdict GOT NAME WANTED-STATUS WANTED-STDERR-REGEX: of the run before
verdict()
{
	local got=$1 name=$2 want=$3 regex=$4

	n=$((n + 1))
	if [ "$got" = "$want" ] && if [ -n "$regex" ]; then
		grep -qE -e "$regex" "$tmp/err"
	else
		[ ! -s "$tmp/err" ]
	fi; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		echo "#   status $got, want $want; stderr wants /$regex/ and is:"
		sed 's/^/#   /' "$tmp/err" "$tmp/out" | tail -n 60
	fi
}

guest=(--cpus 1 --mem 512M --timeout 120)
boot()
{
	local name=$1 want=$2 regex=$3

	shift 3
	try "$name" "$want" "$regex" "${guest[@]}" --no-module --no-programs --add "$canary:/canary.ko" "$@"
}

try "no command is a usage error" 2 "no command"
try "an unknown option is a usage error" 2 "unknown option" --frobnicate -- true
try "an option without its argument is a usage error" 2 "wants an argument" --cpus
try "a wrong number of CPUs is a usage error" 2 "not a number" --cpus many -- true
try "a wrong size is a usage error" 2 "not a size" --mem lots -- true
try "a wrong timeout is a usage error" 2 "seconds" --timeout 0 -- true
try "an empty --expect is a usage error" 2 "match anything" --expect '' -- true
try "a wrong --expect is a usage error" 2 "regular expression" --expect '(' -- true
try "no node is a usage error" 2 "not a number" --numa 0 -- true
try "CPUs that do not divide into the nodes are a usage error" 2 "does not divide" --numa 2 --cpus 3 -- true
try "memory that does not divide into the nodes is a usage error" 2 "does not divide" --numa 3 --mem 1G -- true
try "a file to add that is not there is a usage error" 2 "no such file" --add /nonexistent -- true
try "a kernel that is not there is a usage error" 2 "neither a series" --kernel /nonexistent -- true
try "a file that is no kernel is refused" 126 "not an x86 kernel" --kernel "$run" -- true
# What an old QEMU does to a guest is in testing.rst.
for version in 7.2.22 8.0.5; do
	printf '#!/bin/sh\necho "QEMU emulator version %s (Debian)"\n' $version > "$tmp/qemu-system-x86_64"
	chmod 755 "$tmp/qemu-system-x86_64"
	PATH=$tmp:$PATH try "QEMU $version is refused" 126 "QEMU ${version//./\\.} is older than" -- true
done

boot "status 0 is passed on, and a clean run says nothing" 0 "" -- true
boot "status 7 is passed on" 7 "" -- sh -c 'exit 7'
boot "status 137 is passed on" 137 "" -- sh -c 'kill -9 $$'
boot "a command that is not there is status 127" 127 "" -- nonexistent

# Two instructions a turn: the clock must have seen 2 ms, however long it took.
boot "with --icount a counted loop takes as long as it has instructions" 0 "" --icount -- \
	sh -c 'insmod /canary.ko fault=count && dmesg | grep -q "canary: 2000... ns"'
# shellcheck disable=SC2016	# the guest's shell expands it
boot "--numa makes nodes, with memory and CPUs each" 0 "" --numa 2 --cpus 4 -- \
	sh -c 'test "$(cat /sys/devices/system/node/node?/cpulist | xargs)" = "0-1 2-3" &&
		test "$(cat /sys/devices/system/node/has_memory)" = 0-1'

boot "text of a report in the command's output is only text" 0 "" -- \
	sh -c 'echo "WARNING: CPU: 0 PID: 1 at x.c:1 f+0x0/0x10"; echo "Kernel panic - not syncing"; echo "exit 3"'
n=$((n + 1))
if [ "$(wc -l < "$tmp/out")" = 3 ] && grep -qx 'exit 3' "$tmp/out"; then
	echo "ok $n - and arrives on stdout unchanged"
else
	echo "not ok $n - and arrives on stdout unchanged"
	sed 's/^/#   /' "$tmp/out"
fi

boot "a WARN fails the run" 125 "reported: WARNING: CPU.*canary_warn" -- insmod /canary.ko fault=warn
boot "a WARN that is expected passes" 0 "" --expect 'WARNING: .*canary_warn' -- insmod /canary.ko fault=warn
boot "another than the expected report fails" 125 "reported: WARNING" \
	--expect 'WARNING: .*gca_' -- insmod /canary.ko fault=warn
boot "an expected report that never comes fails" 125 "no kernel report matched" --expect 'WARNING: ' -- true
boot "the status counts beside an expected report" 9 "" --expect 'WARNING: .*canary_warn' -- \
	sh -c 'insmod /canary.ko fault=warn; exit 9'
boot "a BUG fails the run" 125 "reported: kernel BUG at" -- insmod /canary.ko fault=bug
boot "an oops fails the run" 125 "reported: BUG: kernel NULL pointer" -- insmod /canary.ko fault=null
boot "an oops that is expected passes" 0 "" --expect 'NULL pointer dereference' -- insmod /canary.ko fault=null
boot "a corrupted list fails the run" 125 "reported: (kernel BUG at lib/list_debug.c|list_add)" -- insmod /canary.ko fault=list
boot "a panic fails the run" 125 "reported: Kernel panic" -- sh -c 'echo c > /proc/sysrq-trigger; sleep 60'
boot "a hung task fails the run" 125 "reported: INFO: task .* blocked for more than" -- \
	sh -c 'echo 1 > /proc/sys/kernel/hung_task_timeout_secs; insmod /canary.ko fault=hung'
boot "a lockup fails the run" 125 "reported: .*soft lockup" -- \
	sh -c 'echo 1 > /proc/sys/kernel/watchdog_thresh; insmod /canary.ko fault=lockup'
boot "a guest that stops by itself has no status" 126 "died without a status" -- \
	sh -c 'poweroff -f; sleep 60'

# On a busy machine the shorter time may end while the guest still boots.
for seconds in 12 90; do
	"$run" --cpus 1 --mem 512M --timeout "$seconds" --no-module --no-programs -- sleep 1000 > "$tmp/out" 2> "$tmp/err"
	got=$?
	grep -q "was booting" "$tmp/err" || break
done
verdict "$got" "a timeout is seen" 124 "timeout: .* $seconds s .*command was running"
echo "1..$n"
