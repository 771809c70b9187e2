#!/bin/bash
# SPDX-License-Identifier: MIT
#
# canary.t: what the debug kernel is for, it does: each kind of mistake makes
# the run fail, and by the report meant for it.  One kind a boot, since the first
# report of another kind turns lockdep off.  The cheap ones always, all of them
# when GCARENA_TEST_SCALE says long.
set -u

top=$(cd "$(dirname "$0")/../.." && pwd -P)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
long=$([ "${GCARENA_TEST_SCALE:-0}" -ge 1000 ] && echo 1)
n=0

# mistake KERNEL FAULT REGEX [OPTION...]: it ends with status 125 and this report
mistake()
{
	local kernel=$1 fault=$2 regex=$3 prepare=: kdir release status=0

	shift 3
	kdir=$("$top/scripts/debug-kernel" --kdir "$kernel") || exit 1
	release=${kdir%/build}
	[ "$fault" != hung ] || prepare='echo 1 > /proc/sys/kernel/hung_task_timeout_secs'
	"$top/selftests/vm/run" --kernel "$kernel" --cpus 2 --mem 512M --no-module --no-programs "$@" \
		--add "$top/build/canary/${release##*/}/selftests/vm/canary/canary.ko:/canary.ko" -- \
		sh -c "$prepare; insmod /canary.ko fault=$fault" > "$tmp/out" 2> "$tmp/err" || status=$?
	n=$((n + 1))
	if [ "$status" = 125 ] && grep -qE -e "^vm/run: the kernel reported: .*$regex" "$tmp/err"; then
		echo "ok $n - $kernel: $fault"
	else
		echo "not ok $n - $kernel: $fault"
		echo "#   status $status, want 125 and /$regex/"
		sed 's/^/#   /' "$tmp/err" "$tmp/out" | tail -n 60
	fi
}

mistake debug uaf 'KASAN: slab-use-after-free in canary_after_free'
mistake debug inversion 'possible circular locking dependency'
mistake debug leak 'kmemleak: [0-9]+ new suspected memory leaks' --append kmemleak=on
if [ -n "$long" ]; then
	mistake debug oob 'KASAN: slab-out-of-bounds in canary_out_of_bounds'
	mistake debug atomic 'BUG: sleeping function called from invalid context'
	mistake debug shift 'UBSAN: shift-out-of-bounds'
	mistake debug list 'list_add (corruption|double add)|kernel BUG at lib/list_debug'
	mistake debug hung 'INFO: task .* blocked for more than'
	mistake kcsan race 'KCSAN: data-race in canary_racer'
fi
echo "1..$n"
