#!/bin/bash
# SPDX-License-Identifier: MIT
#
# heap.t: "gcarena heap" gets the profiles of a running program, and puts lines into those
# that programs wrote; what cannot be had is an error, and no file.
# shellcheck disable=SC1091,SC2154,SC2016	# tap.sh: top, build, tmp; perl's variables
. "$(dirname "$0")/../tap.sh"

tool=$build/asan/tools/gcarena
need "$tool" "$build/samples/depgraph"
export GCARENA_ENDPOINT=$tmp PPROF_TMPDIR=$tmp
"$top/samples/depgraph/mkindex" 500 > "$tmp/index" || exit 2
GCARENA_BACKEND=process GCARENA_PROFILE=rate=4096 "$build/samples/depgraph" --index "$tmp/index" \
	--rounds 1 --hold-seconds 60 > "$tmp/log" 2>&1 &
pid=$!
for ((i = 0; i < 200; i++)); do
	[ -S "$tmp/gcarena/$pid" ] && grep -q '^answer:' "$tmp/log" && break
	sleep 0.05
done

"$tool" heap -o "$tmp/heap" "$pid" > "$tmp/out" 2> "$tmp/err"
result $? "a profile of a running process" "$tmp/err"
go tool pprof -top -sample_index=alloc_space "$tmp/heap" > "$tmp/top" 2>&1 &&
	grep -q 'set_add\|list_add' "$tmp/top"
result $? "names its functions" "$tmp/top"
cycles()
{
	"$tool" top --once --json | grep -o '"num_forced_gc":[0-9]*' | cut -d: -f2
}
before=$(cycles)
"$tool" heap --gc -o "$tmp/alive" "$pid" > "$tmp/out" 2> "$tmp/err" && [ "$(cycles)" = $((before + 1)) ] &&
	go tool pprof -raw "$tmp/alive" > "$tmp/top" 2>&1
result $? "after a cycle that was asked for" "$tmp/err" "$tmp/top"
"$tool" heap --wait "pid:$pid" > "$tmp/wait" 2> "$tmp/err" &&
	go tool pprof -top "$tmp/wait" 2>&1 | grep -q '^Type: delay'
result $? "its waits, to a pipe or file" "$tmp/err"
kill "$pid"
wait "$pid" 2> /dev/null
for who in "$pid" "pid:$pid/7"; do
	"$tool" heap -o "$tmp/none" "$who" > "$tmp/out" 2> "$tmp/err"
	[ $? = 1 ] && [ -s "$tmp/err" ] && [ ! -e "$tmp/none" ]
	result $? "a process that is gone: $(head -c 60 "$tmp/err")" "$tmp/err"
done
"$tool" heap -o "$tmp/none" zero > "$tmp/out" 2> "$tmp/err"
[ $? = 2 ]
result $? "no process at all" "$tmp/err"

# A heap that stops the world is collected by whoever allocates in it next.
cat > "$tmp/stopping.c" << 'END'
#include <gcarena.h>
#include <unistd.h>

int main(void)
{
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;

	gca_config_init(&config);
	config.mode = GCA_MODE_STOP_THE_WORLD;
	config.percent = GCA_PERCENT_OFF;
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		return 1;
	for (;;) {
		gca_new_bytes(m, 1000);
		usleep(100);
	}
}
END
"${CC:-cc}" -std=gnu11 -O2 -I"$top/lib/include" -I"$top/uapi" -o "$tmp/stopping" "$tmp/stopping.c" \
	"$build/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1
GCARENA_BACKEND=process "$tmp/stopping" > "$tmp/log" 2>&1 &
pid=$!
for ((i = 0; i < 200; i++)); do
	[ ! -S "$tmp/gcarena/$pid" ] || break
	sleep 0.05
done
"$tool" heap --gc -o "$tmp/alive" "pid:$pid" > "$tmp/out" 2> "$tmp/err" && [ "$(cycles)" = 1 ] &&
	go tool pprof -raw "$tmp/alive" > "$tmp/top" 2>&1
result $? "--gc, of a heap that stops the world" "$tmp/err" "$tmp/top"
kill "$pid"
wait "$pid" 2> /dev/null

# ------------------------------------------------------------------- lines

# Two places of one function, by an inlined one, which is inlined itself.
cat > "$tmp/places.c" << 'END'
#include <gcarena.h>
#include <stdlib.h>

static void *keep[20];

static inline __attribute__((always_inline)) void *make(struct gca_mutator *m, size_t bytes)
{
	return gca_new_bytes(m, bytes);
}

static __attribute__((noinline)) void places(struct gca_mutator *m)
{
	for (int i = 0; i < 10; i++) {
		keep[i] = make(m, 1024);	/* first place */
		keep[10 + i] = make(m, 4096);	/* second place */
	}
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m) ||
	    gca_root_add(heap, (void *)keep, sizeof(keep)))
		return 1;
	places(m);
	gca_collect(m);
	gca_detach(m);
	return gca_close(heap);
}
END
# build FLAG...: anew
build()
{
	"${CC:-cc}" -std=gnu11 -O2 -g "$@" -I"$top/lib/include" -I"$top/uapi" -o "$tmp/places" "$tmp/places.c" \
		"$build/libgcarena.a" -pthread -lm -lz > "$tmp/log" 2>&1 &&
		rm -f "$tmp"/p.*.heap.pb.gz &&
		GCARENA_BACKEND=process GCARENA_PROFILE=rate=1,close=1,file=$tmp/p "$tmp/places" > "$tmp/log" 2>&1 &&
		mv "$tmp"/p.*.heap.pb.gz "$tmp/raw.pb.gz"
}

# listed PLACE BYTES: pprof, which is somewhere else, has so much in use there, in slots
# that may be some larger
listed()
{
	awk -v place="$1 place" -v bytes="$2" 'index($0, place) && $2 + 0 >= bytes && $2 + 0 <= bytes * 1.2 { seen = 1 }
		END { exit !seen }' "$tmp/list"
}

for flags in -gdwarf-5 -gdwarf-4 "-gdwarf-5 -gz"; do
	# shellcheck disable=SC2086
	build $flags && "$tool" heap -o "$tmp/lines.pb.gz" "$tmp/raw.pb.gz" > "$tmp/log" 2>&1
	result $? "$flags: lines for a profile that a program wrote" "$tmp/log"
	(cd / && go tool pprof -unit=B -list '^places$' "$tmp/lines.pb.gz") > "$tmp/list" 2>&1
	listed first 10240 && listed second 40960
	result $? "$flags: pprof -list tells two places of one function apart" "$tmp/list"
done
go tool pprof -raw "$tmp/lines.pb.gz" 2>&1 | grep -A 1 ' make .*places.c:8 ' | grep -q ' places .*places.c:1[45] '
result $? "with the function that was inlined, and not the library's"
go tool pprof -top -unit=B "$tmp/raw.pb.gz" 2> "$tmp/log" | sed -n 's/^Showing nodes accounting for //p' > "$tmp/before"
go tool pprof -top -unit=B "$tmp/lines.pb.gz" 2>> "$tmp/log" | sed -n 's/^Showing nodes accounting for //p' > "$tmp/after"
[ -s "$tmp/before" ] && diff "$tmp/before" "$tmp/after" >> "$tmp/log"
result $? "and as many bytes as before" "$tmp/log"
"$tool" heap -o "$tmp/twice.pb.gz" "$tmp/lines.pb.gz" > "$tmp/log" 2>&1 &&
	(cd / && go tool pprof -unit=B -list '^places$' "$tmp/twice.pb.gz") > "$tmp/list" 2>&1 && listed first 10240
result $? "a profile that has lines keeps them" "$tmp/log" "$tmp/list"
cp "$tmp/raw.pb.gz" "$tmp/old.pb.gz"
sed -i '1s/^/\n\n\n/' "$tmp/places.c"
build -gdwarf-5 && "$tool" heap -o "$tmp/lines.pb.gz" "$tmp/old.pb.gz" > "$tmp/log" 2>&1 &&
	go tool pprof -raw "$tmp/lines.pb.gz" > "$tmp/list" 2>&1 && ! grep -q 'places\.c' "$tmp/list" &&
	grep -q ' places ' "$tmp/list"
result $? "a program that was built anew since has no lines for it" "$tmp/log" "$tmp/list"

# ----------------------------------------------------------------- damaged

# bad STATUS REGEX NAME: it ends so, with that on stderr, and there is no file
bad()
{
	rm -f "$tmp/none"
	timeout 20 "$tool" heap -o "$tmp/none" "$tmp/bad.pb.gz" > "$tmp/out" 2> "$tmp/err"
	[ $? = "$1" ] && grep -q "$2" "$tmp/err" && [ ! -e "$tmp/none" ]
	result $? "$3" "$tmp/err"
}
head -c 300 "$tmp/raw.pb.gz" > "$tmp/bad.pb.gz"
bad 1 'no profile, or cut off' "a profile that is cut off"
: > "$tmp/bad.pb.gz"
bad 1 'no profile' "an empty one"
echo text > "$tmp/bad.pb.gz"
bad 1 'no profile' "text"
echo text | gzip > "$tmp/bad.pb.gz"
bad 1 'no profile' "text that is packed"
rm "$tmp/bad.pb.gz"
bad 1 'No such file' "no file"

# The message inside with bits turned over and ends cut off; and the program's debug info.
cat > "$tmp/damage" << 'END'
use IO::Uncompress::Gunzip qw(gunzip);
use IO::Compress::Gzip qw(gzip);
my ($in, $out, $seed) = @ARGV;
my ($message, $packed);
gunzip($in => \$message) or die;
my $length = length($message);
if ($seed % 4 == 0) {
	$message = substr($message, 0, $seed * 7919 % $length);
} else {
	vec($message, ($seed * 104729 + $_ * 7919) % (8 * $length), 1) ^= 1 for (1 .. $seed % 4);
}
gzip(\$message => $out) or die;
END
failed=0
for ((i = 0; i < 24; i++)); do
	perl "$tmp/damage" "$tmp/raw.pb.gz" "$tmp/bad.pb.gz" "$i" || { failed=1; break; }
	timeout 20 "$tool" heap -o "$tmp/x" "$tmp/bad.pb.gz" > "$tmp/out" 2> "$tmp/err"
	[ $? -le 1 ] || { failed=1; break; }
done
result "$failed" "damaged in bits: an error or an answer" "$tmp/err"
cp "$tmp/places" "$tmp/whole"
size=$(stat -c %s "$tmp/whole")
failed=0
for ((i = 0; i < 12; i++)); do
	cp "$tmp/whole" "$tmp/places"
	for ((j = 0; j < 8; j++)); do
		printf '%b' "\\x$(printf %x $(((i * 37 + j * 11) % 256)))" |
			dd of="$tmp/places" bs=1 seek=$(((i * 104729 + j * 7919) % size)) conv=notrunc status=none
	done
	timeout 20 "$tool" heap -o "$tmp/x" "$tmp/raw.pb.gz" > "$tmp/out" 2> "$tmp/err"
	[ $? -le 1 ] || { failed=1; break; }
done
result "$failed" "a damaged program: lines or none" "$tmp/err"
tap_done
