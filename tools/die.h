/* SPDX-License-Identifier: MIT */
/*
 * Between types.c, which finds a type in debug info, and dwarf.c, which reads it.
 */
#ifndef GCARENA_TOOLS_DIE_H
#define GCARENA_TOOLS_DIE_H

#include "dwarf.h"
#include "tool.h"

#include <elfutils/libdw.h>

#define DEPTH_MAX	32u	/* structures in structures, typedefs of typedefs, scopes */

int die_peeled(Dwarf_Die *die, Dwarf_Die *bare);
bool die_is_struct(int tag);
void die_add_scope(struct text *text, Dwarf_Die *die);
bool die_is_ref(Dwarf_Die *bare, Dwarf_Die *pointer);
bool layout_of(Dwarf_Die *bare, const char *name, bool typedef_only, const char *unit, bool plain,
	       struct layout *layout);

#endif /* GCARENA_TOOLS_DIE_H */
