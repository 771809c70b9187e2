// SPDX-License-Identifier: MIT
/*
 * gcarena check: every structure of an arena is recomputed and compared, by the module
 * for root, or by the process that has it as its backend.
 *
 * Holds the arena's lock meanwhile, as "validate" of Documentation/debugfs.rst says.
 */
#include "sources.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

static int check_arena(uint32_t id, struct text *text)
{
	int error = debugfs_read(id, "validate", text);

	if (error == -EUCLEAN)
		return tool_fail("arena %u is damaged: the kernel's log says where", id);
	if (error)
		return debugfs_read_or_fail(id, "validate", text);
	printf("arena %u: %s", id, text->bytes);
	return TOOL_OK;
}

static int check_heap(struct target *target, struct text *text)
{
	static const char damaged[] = "damaged\n";
	struct text request = { 0 };
	int status = endpoint_only_heap(target->pid, &target->heap);

	if (status == TOOL_OK) {
		text_add(&request, "check %u", target->heap);
		status = endpoint_ask(target->pid, request.bytes, text);
	}
	if (status == TOOL_OK && !strncmp(text->bytes, damaged, strlen(damaged))) {
		printf("%s", text->bytes + strlen(damaged));
		status = tool_fail("heap %u of process %u is damaged: above is what is wrong",
				   target->heap, target->pid);
	} else if (status == TOOL_OK) {
		printf("heap %u of process %u: %s", target->heap, target->pid, text->bytes);
	}
	text_free(&request);
	return status;
}

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
	struct target target;
	int status;

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return tool_usage();
	if (argc - optind != 1)
		return tool_misused("one arena is to be named");
	if (!target_parse(argv[optind], &target))
		return TOOL_USAGE;
	status = target.arena ? check_arena(target.arena, &text) : check_heap(&target, &text);
	text_free(&text);
	return status;
}
