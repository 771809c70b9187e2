/* SPDX-License-Identifier: MIT */
/*
 * Lines of a program's source by address, the functions that were inlined there among
 * them; and a profile that has them.
 */
#ifndef GCARENA_TOOLS_LINES_H
#define GCARENA_TOOLS_LINES_H

#include "tool.h"

struct frame {
	const char *function;
	const char *file;	/* with its directory, if that is known */
	uint64_t line;
};

struct lines;

/* NULL: it cannot be read, has no debug info, or is not the file of that build id. */
struct lines *lines_open(const char *path, const char *build_id);
void lines_close(struct lines *lines);
/*
 * What runs at an offset of the file: from the innermost function that was inlined there
 * to the one that it is in.  How many, at most @max; 0: nothing is known.  They live as long as
 * @lines.
 */
size_t lines_at(struct lines *lines, uint64_t offset, struct frame *frames, size_t max);

/*
 * Puts lines and inlined functions into a profile, of the programs and libraries that are
 * still what ran.  TOOL_OK, or TOOL_FAILED with a sentence: it is no profile.
 */
int profile_add_lines(struct text *profile, const char *name);

#endif /* GCARENA_TOOLS_LINES_H */
