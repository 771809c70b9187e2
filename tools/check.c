// SPDX-License-Identifier: MIT
/*
 * gcarena check ID: the module recomputes every structure of an arena and compares.
 *
 * Holds the arena's lock meanwhile, as "validate" of Documentation/debugfs.rst says.
 */
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

/**
 * command_check - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_check(int argc, char **argv)
{
	static const struct option options[] = { { 0 } };
	struct text text = { 0 };
	uint32_t id;
	int status;

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return tool_usage();
	if (argc - optind != 1)
		return tool_misused("one arena is to be named");
	if (!tool_arena_id(argv[optind], &id))
		return TOOL_USAGE;
	status = debugfs_read(id, "validate", &text);
	if (status == -EUCLEAN)
		status = tool_fail("arena %u is damaged: the kernel's log says where", id);
	else if (status)
		status = debugfs_read_or_fail(id, "validate", &text);
	else
		printf("arena %u: %s", id, text.bytes);
	text_free(&text);
	return status;
}
