#!/bin/bash
# SPDX-License-Identifier: MIT
#
# calls.t: how the gcarena tool is called: help, version, what is not there, what makes
# no sense, an output that cannot be written, a debugfs that is missing, forbidden, or
# not what it should be.  With the sanitizers.
# shellcheck disable=SC1091,SC2154	# tap.sh: build, tmp, top
. "$(dirname "$0")/../tap.sh"
gcarena=$build/asan/tools/gcarena
need "$gcarena"

# says STATUS REGEX NAME ARGUMENT...: it ends so, with that on stdout or stderr
says()
{
	local want=$1 regex=$2 name=$3 got
	shift 3

	"$gcarena" "$@" > "$tmp/out" 2> "$tmp/err" < /dev/null
	got=$?
	cat "$tmp/out" "$tmp/err" > "$tmp/log"
	echo "status $got" >> "$tmp/log"
	[ "$got" = "$want" ] && grep -qE -e "$regex" "$tmp/log"
	result $? "$name" "$tmp/log"
}

version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' "$top/dkms.conf")
says 0 "^gcarena $version\$" "--version" --version
says 0 "^  check +[a-z]" "--help lists the commands" --help
says 2 "^usage: " "nothing is a wrong call"
says 2 "no command 'chunk'" "an unknown command is named" chunk
says 2 "unrecognized option" "an unknown option" --nonsense

# Each command: help, and an option that it does not have.
commands=$("$gcarena" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
for c in $commands; do
	says 0 "^usage: gcarena $c" "$c --help" "$c" --help
	says 2 "gcarena $c: .*option" "$c: an unknown option" "$c" --nonsense
	grep -q "^\.Ss $c\b" "$top/man/gcarena.1"
	result $? "$c is in the manual"
done
"$gcarena" --help > /dev/full 2> "$tmp/err"
[ $? = 1 ] && grep -q 'cannot write' "$tmp/err"
result $? "a full disk is an error" "$tmp/err"

# A debugfs to try with.
mkdir -p "$tmp/debug/7" "$tmp/closed"
echo ok > "$tmp/debug/7/validate"
says 0 '^arena 7: ok$' "check: an arena that is well" --debugfs "$tmp/debug" check 7
says 1 'no arena 8' "check: an arena that is not there" --debugfs "$tmp/debug" check 8
says 1 'module loaded' "check: no debugfs" --debugfs "$tmp/none" check 7
for id in 0 -1 x 7x '' 4294967296; do
	says 2 "no id of an arena" "check: '$id' is no id" check -- "$id"
done
says 2 'one arena' "check: no id" check
says 2 'one arena' "check: two ids" check 1 2
mkdir "$tmp/debug/9" "$tmp/debug/9/validate"
says 1 'Is a directory' "check: a file that cannot be read" --debugfs "$tmp/debug" check 9
if [ "$(id -u)" != 0 ]; then
	chmod 0 "$tmp/closed"
	says 1 'permission denied' "check: a debugfs of root's" --debugfs "$tmp/closed" check 1
	chmod 755 "$tmp/closed"
elif setpriv --reuid 65534 --clear-groups true 2> /dev/null; then
	chmod 755 "$tmp"
	chmod 0 "$tmp/closed"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$gcarena" --debugfs "$tmp/closed" check 1 \
		> "$tmp/log" 2>&1
	[ $? = 1 ] && grep -q 'permission denied' "$tmp/log"
	result $? "check: a debugfs of root's" "$tmp/log"
else
	skip "check: a debugfs of root's" "cannot become somebody else"
fi
tap_done
