# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC1091,SC2034,SC2154	# tap.sh: build, tmp, top; who sources this uses the rest
#
# live.sh: what the tests of the tool on processes share; sourced, never run.  The sanitized
# tool, a place for endpoints of the test's own, depgraphs in it that are killed when the test
# ends, and endpoints that say what they are told to.
. "$(dirname "$0")/../tap.sh"
gcarena=$build/asan/tools/gcarena
depgraph=$build/samples/depgraph
need "$gcarena" "$depgraph"
unset XDG_RUNTIME_DIR
export GCARENA_ENDPOINT=$tmp/e GCARENA_BACKEND=process
mkdir -p "$tmp/e" "$tmp/none"
pids=
# shellcheck disable=SC2086	# words
trap 'kill -9 $pids 2> /dev/null; rm -rf "$tmp"' EXIT

# await PATH: a socket that is to be there soon
await()
{
	local i

	for ((i = 0; i < 400; i++)); do
		[ ! -S "$1" ] || return 0
		sleep 0.02
	done
	return 1
}

# start ARGUMENT...: a depgraph, which is $pid, with an endpoint; it prints into $tmp/depgraph
start()
{
	rm -f "$tmp/depgraph"
	"$depgraph" --index "$tmp/index" "$@" > "$tmp/depgraph" 2>&1 &
	pid=$!
	pids="$pids $pid"
	await "$tmp/e/gcarena/$pid"
}

# at_work: until it asks its questions; what one before it said is gone when it starts
at_work()
{
	local i

	for ((i = 0; i < 1500; i++)); do
		! grep -sq '^step 2' "$tmp/depgraph" || return 0
		sleep 0.02
	done
	return 1
}

# finish PID: it is killed, and leaves a name
finish()
{
	kill -9 "$1" 2> /dev/null
	wait "$1" 2> /dev/null
}

# ask PID REQUEST: the answer without its head
ask()
{
	perl -MIO::Socket::UNIX -e '
		my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die "connect: $!";
		print $s "$ARGV[1]\n"; my $head = <$s>; local $/; print <$s>;' "$tmp/e/gcarena/$1" "$2"
}

# pretend NUMBER DIRECTORY [WHOLE]: an endpoint by that name, whose process is $liar.  It answers
# with the file of the request's name, as long as it says, or with that named raw as it
# is.  It is killed in the middle of the answer after so many WHOLE ones.
pretend()
{
	perl "$top/selftests/tools/endpoint.pl" "$tmp/e/gcarena/$1" "$2" "${3:-}" &
	liar=$!
	pids="$pids $liar"
	# Nobody is to be told that it was killed.
	disown "$liar"
	await "$tmp/e/gcarena/$1"
}
