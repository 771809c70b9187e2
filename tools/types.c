// SPDX-License-Identifier: MIT
/*
 * From a name to a type in a binary's debug info, in C and in C++.
 *
 * A type's whole name has the namespaces, classes and functions around it: app::graph::edge,
 * main()::local.  It is asked for by that, or by its end; a whole name goes before ends of
 * others, and an end that several types have is an error that names them.  Unnamed
 * namespaces are no part of it.
 *
 * By libdwfl, for objects' relocations.  Only the file itself is looked at; nothing is
 * fetched.  Debug info may be damaged: depth is bounded.
 */
#include "die.h"
#include "tool.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOWN		8u	/* names in an error */
#define SIMILAR_MAX	4u

struct binary {
	Dwfl *dwfl;
	Dwarf *dwarf;
	const char *path;
};

/* Types of one whole name. */
struct candidate {
	char *name;
	struct layout layout;
	char *other;		/* the unit that has a different one, or NULL */
};

struct wanted {
	const char *name;	/* without struct or union */
	bool whole;		/* and not its end: it began with :: */
	bool structs;		/* only those */
	bool unions;
	bool plain;
	struct candidate *found;
	size_t nr;
	bool declared;		/* seen without a definition */
	bool broken;
	bool no_struct;		/* a type of that name is none */
	struct text similar;
	unsigned int nr_similar;
	Dwarf_Die *unit;
};

static int no_debuginfo(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			const char *file, const char *link, GElf_Word crc, char **found)
{
	return -1;
}

/**
 * binary_open - look at a file's debug info
 * @path: a program, a library or an object
 *
 * Return: it, or NULL; then it has been said why.
 */
struct binary *binary_open(const char *path)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = no_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct binary *binary;
	Dwfl_Module *module;
	Dwarf *dwarf = NULL;
	Dwarf_Addr bias;
	Dwfl *dwfl;

	if (fd < 0) {
		tool_fail("%s: %s", path, strerror(errno));
		return NULL;
	}
	dwfl = dwfl_begin(&callbacks);
	if (!dwfl) {
		close(fd);
		tool_fail("%s: %s", path, dwfl_errmsg(-1));
		return NULL;
	}
	dwfl_report_begin(dwfl);
	/* The descriptor is dwfl's if it succeeds. */
	module = dwfl_report_offline(dwfl, path, path, fd);
	if (!module)
		close(fd);
	dwfl_report_end(dwfl, NULL, NULL);
	if (module)
		dwarf = dwfl_module_getdwarf(module, &bias);
	if (!dwarf) {
		tool_fail("%s: no debug info: %s (compile with -g)", path, dwfl_errmsg(-1));
		dwfl_end(dwfl);
		return NULL;
	}
	binary = tool_alloc(sizeof(*binary));
	*binary = (struct binary){ dwfl, dwarf, path };
	return binary;
}

/**
 * binary_close - the counterpart
 * @binary: the file
 */
void binary_close(struct binary *binary)
{
	dwfl_end(binary->dwfl);
	free(binary);
}

/* -------------------------------------------------------------------- names */

/* Behind the last :: that is outside of a template's arguments. */
static const char *last_part(const char *name)
{
	const char *part = name, *at;
	unsigned int depth = 0;

	for (at = name; *at; at++) {
		depth += *at == '<';
		depth -= *at == '>' && depth;
		if (!depth && at[0] == ':' && at[1] == ':')
			part = at + 2;
	}
	return part;
}

static bool is_named(const struct wanted *wanted, const char *name)
{
	size_t asked = strlen(wanted->name), length = strlen(name);

	if (wanted->whole || length <= asked)
		return !strcmp(name, wanted->name);
	return !strcmp(name + length - asked, wanted->name) && length >= asked + 2 &&
	       !strncmp(name + length - asked - 2, "::", 2);
}

/* The same but for a template's arguments, which compilers write in their own way. */
static void note_similar(struct wanted *wanted, const char *name)
{
	const char *asked = last_part(wanted->name), *part = last_part(name);
	size_t length = strcspn(asked, "<");

	if (strncmp(part, asked, length) || part[length] != '<' ||
	    wanted->nr_similar >= SIMILAR_MAX)
		return;
	if (wanted->similar.bytes && strstr(wanted->similar.bytes, name))
		return;
	text_add(&wanted->similar, "%s%s", wanted->nr_similar++ ? ", " : "", name);
}

/* Of what is defined outside of the class or namespace that declares it: where that is. */
static void add_outer(struct text *scope, Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	Dwarf_Die inside;

	if (!dwarf_attr(die, DW_AT_specification, &attr) || !dwarf_formref_die(&attr, &inside))
		return;
	scope->length = 0;
	text_add(scope, "%s", "");
	die_add_scope(scope, &inside);
}

/* ------------------------------------------------------------------- search */

static bool same_members(const struct member *a, const struct member *b)
{
	size_t i;

	if (a->offset != b->offset || a->size != b->size || a->sort != b->sort ||
	    a->nr_members != b->nr_members || a->count != b->count)
		return false;
	for (i = 0; i < a->nr_members; i++)
		if (!same_members(&a->members[i], &b->members[i]))
			return false;
	return true;
}

static void take_definition(struct wanted *wanted, const char *name, bool typedef_only,
			    Dwarf_Die *bare)
{
	struct layout layout;
	size_t i;

	if (!layout_of(bare, name, typedef_only, dwarf_diename(wanted->unit), wanted->plain,
		       &layout)) {
		wanted->broken = true;
		return;
	}
	for (i = 0; i < wanted->nr; i++) {
		struct candidate *candidate = &wanted->found[i];

		if (strcmp(candidate->name, name))
			continue;
		if (!candidate->other &&
		    !same_members(&layout.self, &candidate->layout.self)) {
			candidate->other = layout.unit;
			layout.unit = NULL;
		}
		layout_free(&layout);
		return;
	}
	wanted->found = tool_realloc(wanted->found, (wanted->nr + 1) * sizeof(*wanted->found));
	wanted->found[wanted->nr].layout = layout;
	wanted->found[wanted->nr].other = NULL;
	wanted->found[wanted->nr++].name = layout.self.name;
}

static void look_at(struct wanted *wanted, Dwarf_Die *die, const char *name)
{
	int tag = dwarf_tag(die);
	Dwarf_Die bare = *die, pointer;
	bool is_typedef = tag == DW_TAG_typedef;

	if (!is_named(wanted, name)) {
		if (die_is_struct(tag))
			note_similar(wanted, name);
		return;
	}
	if (is_typedef) {
		if (wanted->structs || wanted->unions)
			return;
		tag = die_peeled(die, &bare);
	}
	if (!die_is_struct(tag) && tag != DW_TAG_union_type) {
		wanted->no_struct |= tag == DW_TAG_base_type || tag == DW_TAG_enumeration_type ||
				     tag == DW_TAG_pointer_type || tag == DW_TAG_array_type;
		return;
	}
	if ((wanted->structs && !die_is_struct(tag)) || (wanted->unions && die_is_struct(tag)))
		return;
	if (dwarf_hasattr(&bare, DW_AT_declaration)) {
		wanted->declared = true;
		return;
	}
	/* A GCA_REF of its own is a pointer. */
	if (die_is_ref(&bare, &pointer)) {
		wanted->no_struct = true;
		return;
	}
	take_definition(wanted, name, is_typedef && !dwarf_diename(&bare), &bare);
}

/* What other types may be in. */
static bool is_scope(Dwarf_Die *die)
{
	switch (dwarf_tag(die)) {
	case DW_TAG_namespace:
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_lexical_block:
		return true;
	case DW_TAG_subprogram:
		/* Inlined ones are copies. */
		return !dwarf_hasattr(die, DW_AT_abstract_origin);
	default:
		return false;
	}
}

static void look_through(struct wanted *wanted, Dwarf_Die *of, const char *scope,
			 unsigned int depth)
{
	Dwarf_Die child;

	if (depth > DEPTH_MAX || dwarf_child(of, &child))
		return;
	do {
		struct text path = { 0 };
		const char *name = dwarf_diename(&child);
		bool function = dwarf_tag(&child) == DW_TAG_subprogram;

		if (!is_scope(&child) && dwarf_tag(&child) != DW_TAG_typedef &&
		    dwarf_tag(&child) != DW_TAG_base_type &&
		    dwarf_tag(&child) != DW_TAG_enumeration_type)
			continue;
		text_add(&path, "%s", scope);
		add_outer(&path, &child);
		if (name) {
			text_add(&path, "%s%s", name, function ? "()" : "");
			look_at(wanted, &child, path.bytes);
			text_add(&path, "::");
		}
		if (is_scope(&child))
			look_through(wanted, &child, path.bytes, depth + 1);
		text_free(&path);
	} while (!dwarf_siblingof(&child, &child));
}

static int search(struct binary *binary, struct wanted *wanted)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit, split;
	uint8_t sort;
	int error;

	for (;;) {
		error = dwarf_get_units(binary->dwarf, cu, &cu, NULL, &sort, &unit, &split);
		if (error)
			return error;
		if (sort == DW_UT_skeleton && dwarf_tag(&split))
			unit = split;
		wanted->unit = &unit;
		look_through(wanted, &unit, "", 0);
	}
}

/* The one that is meant, or NULL: several are, or none. */
static struct candidate *choose(const struct wanted *wanted)
{
	size_t i;

	for (i = 0; i < wanted->nr; i++)
		if (!strcmp(wanted->found[i].name, wanted->name))
			return &wanted->found[i];
	return wanted->nr == 1 ? &wanted->found[0] : NULL;
}

static void say_ambiguous(const char *path, const char *name, const struct wanted *wanted)
{
	struct text names = { 0 };
	size_t i;

	for (i = 0; i < wanted->nr && i < SHOWN; i++)
		text_add(&names, "%s%s (%s)", i ? ", " : "", wanted->found[i].name,
			 wanted->found[i].layout.unit);
	if (wanted->nr > SHOWN)
		text_add(&names, " and %zu more", wanted->nr - SHOWN);
	tool_fail("%s: %s is ambiguous: say which of %s", path, name, names.bytes);
	text_free(&names);
}

static void say_none(const char *path, const char *name, const struct wanted *wanted)
{
	if (wanted->broken)
		tool_fail("%s: the debug info of %s is damaged", path, name);
	else if (wanted->declared)
		tool_fail("%s: %s is only declared there, not defined", path, name);
	else if (wanted->no_struct)
		tool_fail("%s: %s is no structure", path, name);
	else if (wanted->nr_similar)
		tool_fail("%s: there is no type %s, but %s", path, name, wanted->similar.bytes);
	else
		tool_fail("%s: there is no type %s", path, name);
}

/**
 * layout_read - a structure's layout
 * @binary: where to look
 * @name: its name, or the end of it, with or without "struct", "class" or "union" before it;
 *	a typedef's too
 * @plain: plain pointers to data are references too
 * @layout: to fill
 *
 * Return: false if there is none, or several, or two that differ; then it has been said.
 */
bool layout_read(struct binary *binary, const char *name, bool plain, struct layout *layout)
{
	static const struct {
		const char *word;
		bool unions;
	} words[] = { { "struct ", false }, { "class ", false }, { "union ", true } };
	struct wanted wanted = { .name = name, .plain = plain };
	struct candidate *chosen;
	bool good = false;
	size_t i;
	int error;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(name, words[i].word, strlen(words[i].word)))
			continue;
		wanted.structs = !words[i].unions;
		wanted.unions = words[i].unions;
		wanted.name += strlen(words[i].word);
	}
	wanted.whole = !strncmp(wanted.name, "::", 2);
	wanted.name += wanted.whole ? 2 : 0;
	error = search(binary, &wanted);
	chosen = choose(&wanted);
	if (error < 0)
		tool_fail("%s: the debug info is damaged: %s", binary->path, dwarf_errmsg(-1));
	else if (!wanted.nr || wanted.broken)
		say_none(binary->path, name, &wanted);
	else if (!chosen)
		say_ambiguous(binary->path, name, &wanted);
	else if (chosen->other)
		tool_fail("%s: %s is one thing in %s and another in %s", binary->path, name,
			  chosen->layout.unit, chosen->other);
	else
		good = true;
	for (i = 0; i < wanted.nr; i++) {
		free(wanted.found[i].other);
		if (good && &wanted.found[i] == chosen)
			*layout = wanted.found[i].layout;
		else
			layout_free(&wanted.found[i].layout);
	}
	free(wanted.found);
	text_free(&wanted.similar);
	return good;
}
