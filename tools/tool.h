/* SPDX-License-Identifier: MIT */
/*
 * What the commands of gcarena share: how they are called, how they complain, and how
 * the module's debugfs is read.
 *
 * A command is called with its own name as argv[0], so that what getopt_long() prints
 * says who speaks, and with optind reset.  Its result is the exit status: 0, or 1 when
 * it found what it looked for to be wrong, could not be had, or was cut off; 2 when it
 * was called wrongly.  What went wrong is one sentence on stderr, never half an answer
 * on stdout without it.
 */
#ifndef GCARENA_TOOL_H
#define GCARENA_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TOOL_OK,
	TOOL_FAILED,
	TOOL_USAGE,
};

#define COMMAND(name, summary, arguments) int command_##name(int argc, char **argv);
#include "commands.h"
#undef COMMAND

/* Of Makefile, or unknown. */
extern const char tool_version[];

/* One sentence on stderr, the command's name before it.  Return TOOL_FAILED. */
int tool_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says how the running command is called.  Returns TOOL_USAGE. */
int tool_usage(void);
/* The same after a sentence. */
int tool_misused(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What was printed has arrived: a full disk is no success. */
int tool_flush(int status);

/* Memory or the end of the program. */
void *tool_alloc(size_t bytes);
void *tool_realloc(void *memory, size_t bytes);

/* A whole decimal number up to @max; false: it is none. */
bool tool_number(const char *text, uint64_t max, uint64_t *out);

/* Arenas are numbered from 1; false: tool_fail() or tool_misused() has said why. */
bool tool_arena_id(const char *text, uint32_t *id);

/* A growing text. */
struct text {
	char *bytes;		/* ended by 0; NULL: empty */
	size_t length;
	size_t room;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_append(struct text *text, const void *bytes, size_t length);
void text_free(struct text *text);
/* The value of a "name: value" line; false: there is none, or it is no number. */
bool text_value(const struct text *text, const char *name, uint64_t *value);

/* ------------------------------------------------------------ debugfs.c */

/* Where the module's directory is: --debugfs, or where everybody mounts it. */
extern const char *debugfs_root;

/* Reads <root>/<id>/<name>, or <root>/<name> for id 0, whole.  0 or a negative errno. */
int debugfs_read(uint32_t id, const char *name, struct text *text);
/* The same; and what is wrong in words that help: the return value is for exit. */
int debugfs_read_or_fail(uint32_t id, const char *name, struct text *text);
/* Ids of all arenas, ascending, to be freed; how many, or a negative errno. */
int debugfs_arenas(uint32_t **ids);

#endif /* GCARENA_TOOL_H */
