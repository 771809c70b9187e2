/* SPDX-License-Identifier: MIT */
/*
 * The commands of gcarena, by name: COMMAND(name, summary, arguments).
 *
 * One line each, in the order of --help.  A command is a file of its own, tools/NAME.c,
 * with a function command_NAME(); nothing else knows of it but its part of gcarena(1)
 * and its tests in selftests/tools.  Included more than once: no guard.
 */
COMMAND(check, "validate the tables of an arena", "ID")
COMMAND(oom, "explain the OOM kills in a kernel log", "[FILE|-]")
COMMAND(trace, "one timeline of the library and the kernel, as JSON for Perfetto", "FILE|-...")
COMMAND(layout, "lay a structure open: holes, pointers, slot", "[--plain] BINARY TYPE...")
COMMAND(kinds, "write kind declarations for structures", "[--plain] [-o FILE] BINARY TYPE...")
