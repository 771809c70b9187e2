// SPDX-License-Identifier: MIT
/*
 * gcarena heap: a profile of a running process's heap, for "go tool pprof".
 *
 * The process makes it and its endpoint gives it; here it is only looked at whether it
 * came whole: gzip, with the length that the endpoint named.  It never goes to a terminal.
 */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int write_out(const struct text *profile, const char *path)
{
	FILE *out = path ? fopen(path, "we") : stdout;

	if (!out)
		return tool_fail("%s: %s", path, strerror(errno));
	fwrite(profile->bytes, 1, profile->length, out);
	if (!path)
		return tool_flush(TOOL_OK);
	if (ferror(out) | fclose(out))
		return tool_fail("%s: %s", path, strerror(errno));
	return TOOL_OK;
}

/**
 * command_heap - a profile of a running process's heap
 * @argc: words
 * @argv: the command's name, options, the process
 *
 * Return: the exit status.
 */
int command_heap(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "wait", no_argument, NULL, 'w' },
		{ 0 }
	};
	const char *path = NULL, *kind = "heap";
	struct text profile = { 0 };
	struct target target;
	char request[64];
	int c, status;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (c == 'o')
			path = optarg;
		else if (c == 'w')
			kind = "wait";
		else
			return tool_usage();
	}
	if (argc - optind != 1)
		return tool_misused("one process is to be named");
	if (!target_parse(argv[optind], &target))
		return TOOL_USAGE;
	/* A number alone is a process here. */
	if (target.arena)
		target.pid = target.arena;
	if (!path && isatty(STDOUT_FILENO))
		return tool_misused("a profile is not for a terminal: give --output");
	status = endpoint_only_heap(target.pid, &target.heap);
	if (status == TOOL_OK) {
		snprintf(request, sizeof(request), "profile %u %s", target.heap, kind);
		status = endpoint_ask(target.pid, request, &profile);
	}
	if (status == TOOL_OK && (profile.length < 2 || memcmp(profile.bytes, "\037\213", 2)))
		status = tool_fail("process %u: what it gave is no profile", target.pid);
	if (status == TOOL_OK)
		status = write_out(&profile, path);
	text_free(&profile);
	return status;
}
