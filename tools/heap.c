// SPDX-License-Identifier: MIT
/*
 * gcarena heap: a profile of a running process's heap, for "go tool pprof"; or one that a
 * process wrote, with lines.
 *
 * The process makes it and its endpoint gives it; lines of the source are added here, by
 * profile.c.  It never goes to a terminal.
 */
#include "lines.h"
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COLLECT_POLL_MS	20
#define COLLECT_MAX_S	60

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

static int read_file(const char *path, struct text *text)
{
	char buffer[65536];
	FILE *in = fopen(path, "re");
	int status = TOOL_OK;
	size_t got;

	if (!in)
		return tool_fail("%s: %s", path, strerror(errno));
	while ((got = fread(buffer, 1, sizeof(buffer), in)))
		text_append(text, buffer, got);
	if (ferror(in))
		status = tool_fail("%s: %s", path, strerror(errno));
	fclose(in);
	return status;
}

/* A whole cycle of the heap's: asked for, and seen to its end. */
static int run_cycle(const struct target *target)
{
	struct timespec pause = { .tv_nsec = COLLECT_POLL_MS * 1000000 };
	struct text answer = { 0 };
	uint64_t cycle, over = 0;
	unsigned int waited;
	char request[64];
	int status;

	snprintf(request, sizeof(request), "collect %u", target->heap);
	status = endpoint_ask(target->pid, request, &answer);
	if (status == TOOL_OK && !text_value(&answer, "cycle", &cycle))
		status = tool_fail("process %u: its answer is damaged", target->pid);
	for (waited = 0; status == TOOL_OK && !over; waited += COLLECT_POLL_MS) {
		if (waited > COLLECT_MAX_S * 1000)
			status = tool_fail("process %u: no cycle in %u s: it may not be allocating",
					   target->pid, COLLECT_MAX_S);
		text_free(&answer);
		nanosleep(&pause, NULL);
		snprintf(request, sizeof(request), "collect %u %" PRIu64, target->heap, cycle);
		if (status == TOOL_OK)
			status = endpoint_ask(target->pid, request, &answer);
		if (status == TOOL_OK && !text_value(&answer, "over", &over))
			status = tool_fail("process %u: its answer is damaged", target->pid);
	}
	text_free(&answer);
	return status;
}

/* A number alone is a process, and not an arena. */
static int read_process(const char *name, const char *kind, bool gc, struct text *profile)
{
	struct target target;
	char request[64];
	int status;

	if (!target_parse(name, &target))
		return TOOL_USAGE;
	if (target.arena)
		target.pid = target.arena;
	status = endpoint_only_heap(target.pid, &target.heap);
	if (status == TOOL_OK && gc)
		status = run_cycle(&target);
	if (status != TOOL_OK)
		return status;
	snprintf(request, sizeof(request), "profile %u %s", target.heap, kind);
	return endpoint_ask(target.pid, request, profile);
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
		{ "gc", no_argument, NULL, 'g' },
		{ 0 }
	};
	const char *path = NULL, *kind = "heap", *name;
	struct text profile = { 0 };
	bool gc = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "o:", options, NULL)) != -1) {
		if (c == 'o')
			path = optarg;
		else if (c == 'w')
			kind = "wait";
		else if (c == 'g')
			gc = true;
		else
			return tool_usage();
	}
	if (argc - optind != 1)
		return tool_misused("one process or profile is to be named");
	name = argv[optind];
	if (!path && isatty(STDOUT_FILENO))
		return tool_misused("a profile is not for a terminal: give --output");
	if (strchr(name, '.') || (strchr(name, '/') && strncmp(name, "pid:", 4)))
		status = read_file(name, &profile);
	else
		status = read_process(name, kind, gc, &profile);
	if (status == TOOL_OK)
		status = profile_add_lines(&profile, name);
	if (status == TOOL_OK)
		status = write_out(&profile, path);
	text_free(&profile);
	return status;
}
