/* SPDX-License-Identifier: MIT */
/*
 * A structure as a program's debug info has it: members, and where its pointers are.
 *
 * Found by types.c, read by dwarf.c, shown by layout.c, turned into kind declarations by
 * kinds.c.  A structure is a tree of members; offsets are from the structure's beginning, of
 * the first element where a member is in an array.
 */
#ifndef GCARENA_TOOLS_DWARF_H
#define GCARENA_TOOLS_DWARF_H

#include <gcarena.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum member_sort {
	MEMBER_DATA,
	MEMBER_REF,		/* GCA_REF, gca_ref */
	MEMBER_POINTER,		/* a plain pointer to data, a reference if asked for */
	MEMBER_CODE,		/* a pointer to a function */
	MEMBER_STRUCT,
	MEMBER_UNION,
};

struct member {
	char *name;		/* "" for an anonymous one */
	char *type;		/* as C has it */
	enum member_sort sort;
	bool array;
	bool flexible;		/* an array without an end */
	bool virtual_base;
	uint64_t count;		/* elements; 1 if no array, 0 if flexible */
	uint64_t offset;
	uint64_t size;		/* of all elements; 0 if flexible */
	uint64_t align;
	uint32_t bit_size;	/* 0: no bit-field */
	uint32_t bit_offset;	/* from @offset */
	struct member *members;	/* of a structure or union */
	size_t nr_members;
};

struct layout {
	struct member self;	/* offset 0 */
	bool typedef_only;	/* no tag: C calls it by a typedef */
	bool packed;		/* some member is not aligned */
	char *unit;		/* source file that it was found in */
	/* The pointer map; NULL, with the reason in @refused, if there cannot be one. */
	struct gca_run *runs;	/* ended by count 0 */
	size_t nr_runs;
	uint32_t tail;		/* or GCA_NO_TAIL */
	bool exact;		/* GCA_LAYOUT_EXACT may be set */
	uint64_t plain;		/* pointers that are not in the map */
	char *refused;
};

struct binary;

/* NULL: tool_fail() has said why. */
struct binary *binary_open(const char *path);
void binary_close(struct binary *binary);
/* TYPE, "struct TYPE", "class TYPE", "union TYPE" or a typedef; in C++ a whole name, or the
 * end of one; @plain: plain pointers to data are references too.  False: tool_fail() has
 * said why.
 */
bool layout_read(struct binary *binary, const char *name, bool plain, struct layout *layout);
void layout_free(struct layout *layout);
/* "struct node" or "node_t", as a program says it; for the caller to free. */
char *layout_c_name(const struct layout *layout);
/* Of the slot that the library gives such an object; 0: it has said why not. */
uint64_t layout_slot(const struct layout *layout, uint64_t size, const char **flavour);

#endif /* GCARENA_TOOLS_DWARF_H */
