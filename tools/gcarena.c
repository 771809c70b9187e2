// SPDX-License-Identifier: MIT
/*
 * gcarena: what arenas and heaps do, seen from outside, by one command with several
 * names.  This file finds the command and has what all of them share; it knows of none.
 *
 * Never writes to the process or the arena that it looks at.  Errors are sentences on
 * stderr; see tool.h for the exit status.
 */
#include "sources.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef GCARENA_VERSION
#define GCARENA_VERSION	"unknown"
#endif

#define NAME_MAX_	32	/* bytes of "gcarena" and a command's name */

static const struct command {
	const char *name;
	const char *summary;
	const char *arguments;
	int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND(name, summary, arguments) { #name, summary, arguments, command_##name },
#include "commands.h"
#undef COMMAND
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

const char tool_version[] = GCARENA_VERSION;

static const struct command *running;

static void say_who(void)
{
	fprintf(stderr, running ? "gcarena %s: " : "gcarena: ", running ? running->name : "");
}

/**
 * tool_fail - say what cannot be done
 * @format: a sentence, as for printf()
 *
 * Return: TOOL_FAILED.
 */
int tool_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	say_who();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return TOOL_FAILED;
}

/**
 * tool_usage - say how the running command is called
 *
 * Return: TOOL_USAGE.
 */
int tool_usage(void)
{
	if (running)
		fprintf(stderr, "usage: gcarena %s %s\n", running->name, running->arguments);
	else
		fprintf(stderr, "usage: gcarena [OPTION]... COMMAND ..., or gcarena --help\n");
	return TOOL_USAGE;
}

/**
 * tool_misused - say what is wrong with how it was called
 * @format: a sentence, as for printf()
 *
 * Return: TOOL_USAGE.
 */
int tool_misused(const char *format, ...)
{
	va_list args;

	say_who();
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return tool_usage();
}

/**
 * tool_flush - what was printed has arrived
 * @status: of the command so far
 *
 * Return: @status, or TOOL_FAILED when it has not.
 */
int tool_flush(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return tool_fail("cannot write: %s", strerror(errno));
	return status;
}

/**
 * tool_realloc - memory, or the end of the program
 * @memory: as for realloc()
 * @bytes: as for realloc()
 *
 * Return: never NULL.
 */
void *tool_realloc(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes ? bytes : 1);
	if (!memory)
		exit(tool_fail("out of memory"));
	return memory;
}

/**
 * tool_alloc - zeroed memory, or the end of the program
 * @bytes: how much
 *
 * Return: never NULL.
 */
void *tool_alloc(size_t bytes)
{
	return memset(tool_realloc(NULL, bytes), 0, bytes);
}

/**
 * tool_number - read a number
 * @text: decimal digits and nothing else
 * @max: the largest that makes sense
 * @out: the number
 *
 * Return: whether it is one.
 */
bool tool_number(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	*out = value;
	return value <= max;
}

/**
 * tool_arena_id - read the number of an arena
 * @text: what the user gave
 * @id: the number
 *
 * Return: whether it may be one; if not, that has been said.
 */
bool tool_arena_id(const char *text, uint32_t *id)
{
	uint64_t value;

	if (!tool_number(text, UINT32_MAX, &value) || !value) {
		tool_misused("'%s' is no id of an arena: they are numbers from 1", text);
		return false;
	}
	*id = (uint32_t)value;
	return true;
}

/**
 * text_append - add bytes to a text
 * @text: to this
 * @bytes: which
 * @length: how many
 */
void text_append(struct text *text, const void *bytes, size_t length)
{
	if (text->length + length + 1 > text->room) {
		text->room = (text->length + length + 1) * 2;
		text->bytes = tool_realloc(text->bytes, text->room);
	}
	memcpy(text->bytes + text->length, bytes, length);
	text->length += length;
	text->bytes[text->length] = 0;
}

/**
 * text_add - add formatted words to a text
 * @text: to this
 * @format: as for printf()
 */
void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	char *words;
	int length;

	va_start(args, format);
	length = vasprintf(&words, format, args);
	va_end(args);
	if (length < 0)
		exit(tool_fail("out of memory"));
	text_append(text, words, (size_t)length);
	free(words);
}

/**
 * text_free - forget a text
 * @text: empty then
 */
void text_free(struct text *text)
{
	free(text->bytes);
	memset(text, 0, sizeof(*text));
}

/**
 * text_value - a value of a text of "name: value" lines
 * @text: the text
 * @name: which
 * @value: the value
 *
 * Return: whether there is such a line with a number.
 */
bool text_value(const struct text *text, const char *name, uint64_t *value)
{
	const char *line = text->bytes;
	size_t length = strlen(name);

	for (; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		char *end;

		if (strncmp(line, name, length) || line[length] != ':')
			continue;
		errno = 0;
		*value = strtoull(line + length + 1, &end, 10);
		return !errno && end != line + length + 1;
	}
	return false;
}

static int show_commands(void)
{
	size_t i;

	printf("usage: gcarena [OPTION]... COMMAND [ARGUMENT]...\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].summary);
	printf("\n--debugfs=DIR: the module's directory, else /sys/kernel/debug/gcarena\n");
	printf("--endpoint=DIR: of processes, else $GCARENA_ENDPOINT or $XDG_RUNTIME_DIR\n");
	printf("gcarena COMMAND --help says what a command takes; gcarena(1) has it all.\n");
	return tool_flush(TOOL_OK);
}

static int run(const struct command *command, int argc, char **argv)
{
	char name[NAME_MAX_];

	running = command;
	if (argc > 1 && !strcmp(argv[1], "--help")) {
		printf("usage: gcarena %s %s\n\n%s\n", command->name, command->arguments,
		       command->summary);
		return tool_flush(TOOL_OK);
	}
	snprintf(name, sizeof(name), "gcarena %s", command->name);
	argv[0] = name;
	/* 0, not 1: glibc forgets all of the scan before. */
	optind = 0;
	return tool_flush(command->run(argc, argv));
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ "debugfs", required_argument, NULL, 'd' },
		{ "endpoint", required_argument, NULL, 'e' },
		{ 0 }
	};
	size_t i;
	int c;

	/* Options of a command's are its own: stop at its name. */
	while ((c = getopt_long(argc, argv, "+hv", options, NULL)) != -1) {
		switch (c) {
		case 'h':
			return show_commands();
		case 'v':
			printf("gcarena %s\n", tool_version);
			return tool_flush(TOOL_OK);
		case 'd':
			debugfs_root = optarg;
			break;
		case 'e':
			endpoint_root = optarg;
			break;
		default:
			return tool_usage();
		}
	}
	if (optind == argc)
		return tool_usage();
	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(argv[optind], commands[i].name))
			return run(&commands[i], argc - optind, argv + optind);
	return tool_misused("there is no command '%s'", argv[optind]);
}
