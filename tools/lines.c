// SPDX-License-Identifier: MIT
/*
 * From an offset in a file to the source's lines, by elfutils' libdwfl.
 *
 * Debug info that stands beside the file, as distributions ship it, is found by build id
 * or link; nothing is fetched.  What is damaged is as if it were not there.
 */
#include "lines.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUILD_ID_MAX	64	/* bytes */

/* A file's name in the debug info, and with the directory of its compilation. */
struct name {
	const char *short_one;
	const char *directory;
	char *full;
};

struct lines {
	Dwfl *dwfl;
	Dwfl_Module *module;
	Elf *elf;
	Dwarf_Addr bias;	/* from the file's addresses to the module's */
	struct name *names;
	size_t nr_names;
};

static bool is_build(Dwfl_Module *module, const char *want)
{
	char text[2 * BUILD_ID_MAX + 1] = "";
	const unsigned char *bits;
	GElf_Addr address;
	int i, nr = dwfl_module_build_id(module, &bits, &address);

	/* Without one there is nothing to tell files apart by. */
	if (nr <= 0 || !*want)
		return true;
	for (i = 0; i < nr && i < BUILD_ID_MAX; i++)
		snprintf(text + 2 * i, 3, "%02x", bits[i]);
	return !strcmp(text, want);
}

/**
 * lines_open - look at a file's debug info
 * @path: a program or a library
 * @build_id: in hexadecimal, or empty
 *
 * Return: it, or NULL.
 */
struct lines *lines_open(const char *path, const char *build_id)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	struct lines *lines = tool_alloc(sizeof(*lines));
	Dwarf_Addr bias;

	/* That would be over the network. */
	unsetenv("DEBUGINFOD_URLS");
	lines->dwfl = dwfl_begin(&callbacks);
	if (lines->dwfl) {
		dwfl_report_begin(lines->dwfl);
		lines->module = dwfl_report_elf(lines->dwfl, path, path, -1, 0, false);
		dwfl_report_end(lines->dwfl, NULL, NULL);
	}
	if (lines->module)
		lines->elf = dwfl_module_getelf(lines->module, &lines->bias);
	if (!lines->elf || !is_build(lines->module, build_id) ||
	    !dwfl_module_getdwarf(lines->module, &bias)) {
		lines_close(lines);
		return NULL;
	}
	return lines;
}

/**
 * lines_close - the counterpart
 * @lines: the file
 */
void lines_close(struct lines *lines)
{
	size_t i;

	for (i = 0; i < lines->nr_names; i++)
		free(lines->names[i].full);
	free(lines->names);
	if (lines->dwfl)
		dwfl_end(lines->dwfl);
	free(lines);
}

static bool address_of(struct lines *lines, uint64_t offset, Dwarf_Addr *address)
{
	GElf_Phdr segment;
	size_t i, nr;

	if (elf_getphdrnum(lines->elf, &nr))
		return false;
	for (i = 0; i < nr; i++) {
		if (!gelf_getphdr(lines->elf, (int)i, &segment) || segment.p_type != PT_LOAD ||
		    offset - segment.p_offset >= segment.p_filesz)
			continue;
		*address = offset - segment.p_offset + segment.p_vaddr + lines->bias;
		return true;
	}
	return false;
}

/* Of the unit that has @address; *bias: from its addresses to the module's. */
static Dwarf_Die *unit_of(struct lines *lines, Dwarf_Addr address, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = dwfl_module_addrdie(lines->module, address, bias);

	if (unit)
		return unit;
	/* There need not be a table of which unit has what. */
	while ((unit = dwfl_module_nextcu(lines->module, unit, bias)))
		if (dwarf_haspc(unit, address - *bias) > 0)
			return unit;
	return NULL;
}

/* With a directory, so that a reader finds it from anywhere. */
static const char *full_name(struct lines *lines, Dwarf_Die *unit, const char *file)
{
	Dwarf_Attribute attribute;
	const char *directory;
	struct name *name;
	size_t i;

	if (!file || file[0] == '/')
		return file;
	directory = dwarf_formstring(dwarf_attr(unit, DW_AT_comp_dir, &attribute));
	if (!directory)
		return file;
	for (i = 0; i < lines->nr_names; i++)
		if (lines->names[i].short_one == file && lines->names[i].directory == directory)
			return lines->names[i].full;
	lines->names = tool_realloc(lines->names, (lines->nr_names + 1) * sizeof(*lines->names));
	name = &lines->names[lines->nr_names++];
	*name = (struct name){ file, directory,
			       tool_alloc(strlen(directory) + strlen(file) + 2) };
	sprintf(name->full, "%s/%s", directory, file);
	return name->full;
}

/* Where an inlined function was called; @frame is its caller's then. */
static void take_call(struct lines *lines, Dwarf_Die *unit, Dwarf_Die *die,
		      struct frame *frame)
{
	Dwarf_Attribute attribute;
	Dwarf_Files *files;
	Dwarf_Word value;
	size_t nr;

	frame->line = 0;
	frame->file = NULL;
	if (dwarf_attr(die, DW_AT_call_line, &attribute) &&
	    !dwarf_formudata(&attribute, &value))
		frame->line = value;
	if (dwarf_attr(die, DW_AT_call_file, &attribute) &&
	    !dwarf_formudata(&attribute, &value) && !dwarf_getsrcfiles(unit, &files, &nr) &&
	    value < nr)
		frame->file = full_name(lines, unit, dwarf_filesrc(files, value, NULL, NULL));
}

/**
 * lines_at - what runs there
 * @lines: the file
 * @offset: in the file, of an instruction
 * @frames: to be filled, from the innermost
 * @max: how many there may be
 *
 * Return: how many there are.
 */
size_t lines_at(struct lines *lines, uint64_t offset, struct frame *frames, size_t max)
{
	Dwarf_Die *unit, *scopes = NULL, *chain = NULL;
	struct frame frame = { 0 };
	Dwarf_Addr address, bias;
	int i, nr, line_number;
	size_t found = 0;
	Dwarf_Line *line;

	if (!address_of(lines, offset, &address))
		return 0;
	unit = unit_of(lines, address, &bias);
	if (!unit)
		return 0;
	line = dwarf_getsrc_die(unit, address - bias);
	if (line && !dwarf_lineno(line, &line_number)) {
		frame.file = full_name(lines, unit, dwarf_linesrc(line, NULL, NULL));
		frame.line = (uint64_t)line_number;
	}
	nr = dwarf_getscopes(unit, address - bias, &scopes);
	nr = nr > 0 ? dwarf_getscopes_die(&scopes[0], &chain) : 0;
	for (i = 0; i < nr && found < max; i++) {
		int tag = dwarf_tag(&chain[i]);

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		frame.function = dwarf_diename(&chain[i]);
		if (!frame.function)
			frame.function = "?";
		frames[found++] = frame;
		if (tag == DW_TAG_subprogram)
			break;
		take_call(lines, unit, &chain[i], &frame);
	}
	free(scopes);
	free(chain);
	return found;
}
