#!/bin/bash
# SPDX-License-Identifier: MIT
#
# deps.t: scripts/install-deps by each of its ways: nothing missing, as root,
# through sudo, with neither, when apt fails, and for a package too old here.  The
# programs that it would change the machine with are stand-ins that write down how
# they were called.
# shellcheck disable=SC1091,SC2154,SC2016	# tap.sh: top, tmp; bodies of scripts
. "$(dirname "$0")/../tap.sh"
cd "$top" || exit 1

bin=$tmp/bin
mkdir "$bin"
# standin NAME: a program of that name whose body is stdin; $CALLS is the record
standin()
{
	{ echo '#!/bin/bash'; cat; } > "$bin/$1"
	chmod +x "$bin/$1"
}
standin dpkg-query <<< 'for p; do :; done; [[ " $MISSING " == *" $p "* ]] || echo -n "installed ${VERSION:-9}"'
standin apt-cache <<< 'echo "  Candidate: ${CANDIDATE:-9}"'
standin id <<< 'echo "$UID_SAYS"'
standin apt-get <<'EOT'
echo "apt-get $*" >> "$CALLS"
[[ $* != indextargets* ]] || echo "Packages mirror: ${RELEASE:-bookworm}"
for p; do
	[[ $p != Dir::Etc::sourceparts=* ]] || sed 's/^/sources: /' "${p#*=}"/gcarena* >> "$CALLS"
done
[[ $* != *" install "* ]] || exit "$APT_STATUS"
EOT
standin sleep <<< 'echo "sleep $*" >> "$CALLS"'
standin sudo <<< 'echo "sudo $*" >> "$CALLS"; [ "$1" != -n ] || exit "$SUDO_STATUS"; exec "$@"'

# deps NAME STATUS UID SUDO-STATUS APT-STATUS MISSING GROUP: run it; $tmp/calls, $tmp/out
deps()
{
	local name=$1 want=$2 got

	: > "$tmp/calls"
	PATH=$bin:/usr/bin:/bin CALLS=$tmp/calls UID_SAYS=$3 SUDO_STATUS=$4 APT_STATUS=$5 MISSING=$6 \
		scripts/install-deps "$7" > "$tmp/out" 2>&1 < /dev/null
	got=$?
	[ "$got" = "$want" ]
	result $? "$name: status $want" "$tmp/out"
}

# called NAME REGEX: one call matches
called()
{
	grep -qE -e "$2" "$tmp/calls"
	result $? "$1" "$tmp/calls"
}

deps "nothing missing" 0 1000 1 1 "" build
[ ! -s "$tmp/calls" ]
result $? "nothing missing: nothing is called" "$tmp/calls"

deps "root" 0 0 1 0 "make gcc" build
called "root: apt-get directly, with what is missing" '^apt-get .*install .* make gcc$'
! grep -q sudo "$tmp/calls"
result $? "root: without sudo" "$tmp/calls"

deps "sudo" 0 1000 0 0 "make" build
called "sudo: asks whether it may" '^sudo -n true$'
called "sudo: updates through it" '^sudo env (.* )?apt-get .*update$'
called "sudo: installs through it, without a question" '^sudo env DEBIAN_FRONTEND=noninteractive apt-get .*install -y .*make$'

deps "neither" 1 1000 1 0 "make gcc" build
grep -q 'apt-get install .*make gcc$' "$tmp/out"
result $? "neither: prints the one command" "$tmp/out"
! grep -q '^apt-get' "$tmp/calls"
result $? "neither: and runs none" "$tmp/calls"

deps "apt fails" 1 0 1 100 "make" build
[ "$(grep -c '^apt-get .*install' "$tmp/calls")" = 3 ]
result $? "apt fails: three attempts" "$tmp/calls"
grep -q 'bookworm-security' "$tmp/out"
result $? "apt fails: says what the sources must offer" "$tmp/out"

# guest has one that must be newer than some release has it.
VERSION=1:7.2 CANDIDATE=1:10.0 deps "too old" 0 0 1 0 "" guest
called "too old: the release's newer one" '^apt-get .*install .* qemu-system-x86( |$)'
VERSION=1:7.2 CANDIDATE=1:7.2 deps "too old, and the release's too" 0 0 1 0 "" guest
called "too old, and the release's too: from its backports" \
	'^apt-get .*install .* qemu-system-x86/bookworm-backports( |$)'
called "too old, and the release's too: which are at the same mirror" \
	'^sources: deb mirror: bookworm-backports main$'
VERSION=1:8.1 deps "just new enough" 0 0 1 0 "" guest
[ ! -s "$tmp/calls" ]
result $? "just new enough: nothing is called" "$tmp/calls"
VERSION=1:7.2 deps "too old, and nobody may" 1 1000 1 0 "" guest
grep -q 'qemu-system-x86 1:8.1 or later, which bookworm-backports has' "$tmp/out"
result $? "too old, and nobody may: says from where" "$tmp/out"
VERSION=1:7.2 CANDIDATE=1:7.2 RELEASE=trixie deps "too old, of no such release" 1 0 1 0 "" guest
grep -q 'apt has no bookworm' "$tmp/out"
result $? "too old, of no such release: says so" "$tmp/out"

deps "a group that is not there" 2 0 1 0 "" nonsense
tap_done
