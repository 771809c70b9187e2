/* SPDX-License-Identifier: MIT */
/*
 * The commands of gcarena, by name: COMMAND(name, summary, arguments).
 *
 * One line each, in the order of --help.  A command is a file of its own, tools/NAME.c,
 * with a function command_NAME(); nothing else knows of it but its part of gcarena(1)
 * and its tests in selftests/tools.  Included more than once: no guard.
 */
COMMAND(top, "a live table of heaps and arenas", "[--once] [--json] [--interval SECONDS]")
COMMAND(map, "the chunks of an arena as a picture", "[--svg] ID | pid:PID[/HEAP]")
COMMAND(check, "validate the tables of an arena", "ID | pid:PID[/HEAP]")
COMMAND(record, "what a process's heaps say, over time, into a file",
	"[--interval MS] [--seconds N] --output FILE pid:PID | -- COMMAND...")
COMMAND(report, "a recording as a page with plots", "[--output FILE] RECORDING")
COMMAND(export, "all heaps as Prometheus metrics", "[--textfile FILE | --listen [ADDRESS:]PORT]")
COMMAND(heap, "a profile of a process, for go tool pprof",
	"[--gc] [--wait] [-o FILE] PID | pid:PID/HEAP | PROFILE")
COMMAND(oom, "explain the OOM kills in a kernel log", "[FILE|-]")
COMMAND(trace, "one timeline of the library and the kernel, as JSON for Perfetto", "FILE|-...")
COMMAND(layout, "lay a structure open: holes, pointers, slot", "[--plain] BINARY TYPE...")
COMMAND(kinds, "write kind declarations for structures", "[--plain] [-o FILE] BINARY TYPE...")
