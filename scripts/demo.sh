#!/bin/bash
# SPDX-License-Identifier: MIT
#
# demo.sh [--index FILE] [--wrong malloc|process|device] [-- DEPGRAPH-ARGS...]
#
# make demo: depgraph on a Debian package index, three times with the same
# arguments: on malloc, which never frees and is the oracle; on a gcarena heap
# in this process; on /dev/gcarena in a guest that runs Debian's stock kernel,
# with what debugfs shows of the arena meanwhile.  Fails if an answer differs or
# the guest's kernel reported a fault.  Installs the packages that are missing.
#
# --index takes another index than apt's; --wrong seeds a wrong answer into one
# of the three, which must then be noticed.  Both are for tests.
set -euo pipefail

cd "$(dirname "$0")/.."
build=${B:-build}
make=${MAKE:-make}
unset MAKEFLAGS MFLAGS MAKELEVEL
dir=$build/demo
attempts=3
guest_limit=300		# seconds; two minutes are the aim, this is when it hangs
guest_aim=120
packages_min=1000	# fewer are no index of Debian

index='' wrong=''
while [ $# -gt 0 ]; do
	case $1 in
	--index) index=${2:?--index wants a file}; shift ;;
	--wrong) wrong=${2:?--wrong wants malloc, process or device}; shift ;;
	--) shift; break ;;
	*) echo "demo: unknown option $1" >&2; exit 2 ;;
	esac
	shift
done
arguments=("$@")

say()
{
	printf '\n== %s\n' "$*"
}

die()
{
	echo "demo: $*" >&2
	exit 1
}

mkdir -p "$dir"

say "packages"
scripts/install-deps build guest
echo "all there"

say "build"
image=$(scripts/guest-kernel 6.12)
release=$(scripts/guest-kernel --release "$image")
"$make" -s -j2 B="$build" KDIR="/lib/modules/$release/build" lib samples module < /dev/null || die "the build failed"
echo "library, samples, and gcarena.ko for $release"

if [ -z "$index" ]; then
	say "package index"
	index=$dir/index
	for ((i = 1; ; i++)); do
		if apt-cache dumpavail > "$index"; then
			count=$(grep -c '^Package: ' "$index") || count=0
			[ "$count" -lt "$packages_min" ] || break
			echo "apt knows only $count packages" >&2
		fi
		[ "$i" -lt "$attempts" ] || die "no package index: apt-get update must work, and its sources offer Debian's main"
		if [ "$(id -u)" = 0 ]; then
			apt-get -q update || echo "demo: apt-get update had errors" >&2
		elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
			sudo apt-get -q update || echo "demo: apt-get update had errors" >&2
		else
			die "no package index: run apt-get update as root"
		fi
		sleep $((2 * i))
	done
	echo "$count packages"
fi

# depgraph_arguments RUN FILE: into args
depgraph_arguments()
{
	args=(--index "$2" --hold-seconds 4 ${arguments[@]+"${arguments[@]}"})
	[ "$wrong" != "$1" ] || args+=(--wrong)
}

# answers RUN: take them from its output; they must be the oracle's
answers()
{
	grep '^answer:' "$dir/$1.out" > "$dir/$1.answers" || die "the $1 run gave no answers"
	if ! diff -u "$dir/malloc.answers" "$dir/$1.answers" > "$dir/$1.diff"; then
		head -n 20 "$dir/$1.diff"
		die "the $1 run's answers differ from malloc's ($dir/$1.diff)"
	fi
}

say "depgraph on malloc, which never frees: the oracle"
depgraph_arguments malloc "$index"
"$build/samples/depgraph-malloc" "${args[@]}" > "$dir/malloc.out" || die "depgraph-malloc failed: status $?"
answers malloc
echo "$(wc -l < "$dir/malloc.answers") answers"

say "depgraph on a gcarena heap in this process"
depgraph_arguments process "$index"
GCARENA_BACKEND=process "$build/samples/depgraph" "${args[@]}" > >(tee "$dir/process.out") ||
	die "depgraph on the process backend failed: status $?"
wait
answers process

say "depgraph on /dev/gcarena, in Debian's $release under QEMU"
depgraph_arguments device /demo/index
since=$EPOCHSECONDS
status=0
selftests/vm/run --kernel "$image" --mem 2G --timeout "$guest_limit" \
	--add "$index:/demo/index" --add scripts/demo-guest:/demo/run --log "$dir/guest-kernel.log" \
	-- sh /demo/run "${args[@]}" > >(tee "$dir/device.out") || status=$?
wait
[ "$status" = 0 ] || die "the guest run failed: status $status"
answers device
took=$((EPOCHSECONDS - since))
echo "the guest took $took s$([ "$took" -le "$guest_aim" ] || echo ", more than the $guest_aim it should")"

say "comparison"
echo "$(wc -l < "$dir/malloc.answers") answers are the same from malloc, process and device;" \
	"the guest's kernel reported nothing"
