/* SPDX-License-Identifier: MIT */
/*
 * What the calling process has mapped to run, and the names of its functions.
 *
 * Read anew for each profile from /proc/self/maps and the files' own tables; a file
 * that is gone, or no good, is a mapping without names.  No debug information is read.
 */
#ifndef GCARENA_SYMBOLS_H
#define GCARENA_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbol_file;

struct mapping {
	uintptr_t start;
	uintptr_t end;
	uint64_t offset;
	char *path;		/* may be a name in brackets */
	struct symbol_file *file; /* NULL: not looked at, or cannot be read */
	bool opened;
	bool used;
};

struct mappings {
	struct mapping *entries; /* by address */
	size_t nr;
	size_t max;
};

/* 0 or a negative errno.  Frees what it has when it fails. */
int mappings_read(struct mappings *mappings);
void mappings_free(struct mappings *mappings);
/* The one that @pc is in, or NULL. */
struct mapping *mapping_of(struct mappings *mappings, uintptr_t pc);
/* The function that @pc is in, and where that begins; NULL: nobody knows. */
const char *symbol_of(struct mapping *mapping, uintptr_t pc, uintptr_t *start);
/* Of the file, as hexadecimal digits; empty: it has none. */
const char *mapping_build_id(struct mapping *mapping);

#endif /* GCARENA_SYMBOLS_H */
