// SPDX-License-Identifier: MIT
/*
 * gcarena kinds BINARY TYPE...: kind declarations for structures as they are, so that
 * nobody types a pointer map by hand.
 *
 * What comes out is a header to be included after the structures: for each type what
 * GCA_STRUCT would have made beside it, and assertions that fail to compile when the
 * structure has changed since.  All or nothing: one type that cannot be described is
 * an error, and no header.
 */
#include "dwarf.h"
#include "tool.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An assertion for each reference's offset where C can name it: bases of anonymous
 * structures are passed over, C reaches through them.
 */
static void add_assertions(struct text *text, const struct member *of, const char *name,
			   const char *before, bool plain)
{
	size_t i;

	for (i = 0; i < of->nr_members; i++) {
		const struct member *member = &of->members[i];
		struct text path = { 0 };

		text_add(&path, "%s%s%s%s", before, *before && *member->name ? "." : "",
			 member->name, member->array && member->nr_members ? "[0]" : "");
		if (member->sort == MEMBER_REF || (plain && member->sort == MEMBER_POINTER))
			text_add(text, "GCA_STATIC_ASSERT_(offsetof(%s, %s) == %llu,\n"
				 "\t       \"%s.%s has moved: run gcarena kinds again\");\n",
				 name, path.bytes, (unsigned long long)member->offset, name,
				 path.bytes);
		else if (member->sort == MEMBER_STRUCT)
			add_assertions(text, member, name, path.bytes, plain);
		text_free(&path);
	}
}

/* app__graph__edge of C++'s app::graph::edge. */
static char *identifier(const char *name)
{
	char *text = tool_alloc(strlen(name) + 1), *c;

	strcpy(text, name);
	for (c = text; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '_';
	return text;
}

static void add_kind(struct text *text, const struct layout *layout, bool plain)
{
	char *name = layout_c_name(layout), *tag = identifier(layout->self.name);
	const struct gca_run *run;

	text_add(text, "\n/* %s: %llu bytes; from %s */\n", name,
		 (unsigned long long)layout->self.size, layout->unit);
	text_add(text, "GCA_STATIC_ASSERT_(sizeof(%s) == %llu,\n"
		 "\t       \"%s has changed: run gcarena kinds again\");\n",
		 name, (unsigned long long)layout->self.size, name);
	add_assertions(text, &layout->self, name, "", plain);
	text_add(text, "static inline __attribute__((unused)) struct gca_layout *\n"
		 "gca_layout_%s(void)\n{\n\tstatic const struct gca_run runs[] = {\n", tag);
	for (run = layout->runs; run->count; run++)
		text_add(text, "\t\t{ %u, %u },\n", run->offset, run->count);
	text_add(text, "\t\t{ 0, 0 }\n\t};\n\tstatic struct gca_layout layout = {\n"
		 "\t\t\"%s\", sizeof(%s), ", layout->self.name, name);
	if (layout->tail == GCA_NO_TAIL)
		text_add(text, "GCA_NO_TAIL");
	else
		text_add(text, "%u", layout->tail);
	text_add(text, ",\n\t\truns, NULL, NULL, %s\n\t};\n\n\treturn &layout;\n}\n",
		 layout->exact ? "GCA_LAYOUT_EXACT" : "0");
	free(name);
	free(tag);
}

static bool add_type(struct text *text, struct binary *binary, const char *type, bool plain)
{
	struct layout layout;
	bool good;

	if (!layout_read(binary, type, plain, &layout))
		return false;
	good = !layout.refused;
	if (strstr(layout.self.name, "()"))
		good = tool_fail("%s is a function's own: nothing outside can name it", type) ==
		       TOOL_OK;
	else if (good)
		add_kind(text, &layout, plain);
	else
		tool_fail("%s has no pointer map: %s", type, layout.refused);
	layout_free(&layout);
	return good;
}

static int write_header(const char *path, const char *binary, const struct text *kinds)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	FILE *file = strcmp(path, "-") ? fopen(path, "w") : stdout;
	struct text guard = { 0 };
	bool failed;

	if (!file)
		return tool_fail("%s: %m", path);
	text_add(&guard, "GCARENA_%s", file == stdout ? "kinds.h" : base);
	for (char *c = guard.bytes; *c; c++)
		*c = isalnum((unsigned char)*c) ? (char)toupper((unsigned char)*c) : '_';
	fprintf(file, "/* Made by \"gcarena kinds\" of %s: not to be edited.\n"
		" * To be included after the structures.\n */\n", binary);
	fprintf(file, "#ifndef %s\n#define %s\n\n", guard.bytes, guard.bytes);
	fprintf(file, "#include <gcarena.h>\n#include <stddef.h>\n%s\n#endif\n", kinds->bytes);
	failed = fflush(file) || ferror(file);
	if (file != stdout)
		failed |= fclose(file) != 0;
	text_free(&guard);
	return failed ? tool_fail("%s: %m", path) : TOOL_OK;
}

/**
 * command_kinds - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_kinds(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "plain", no_argument, NULL, 'p' },
		{ 0 }
	};
	const char *output = "-", *path;
	struct text kinds = { 0 };
	struct binary *binary;
	int c, status = TOOL_OK;
	bool plain = false;

	while ((c = getopt_long(argc, argv, "o:p", options, NULL)) != -1) {
		if (c == 'o')
			output = optarg;
		else if (c == 'p')
			plain = true;
		else
			return tool_usage();
	}
	if (argc - optind < 2)
		return tool_misused("a binary and at least one type are to be named");
	path = argv[optind++];
	binary = binary_open(path);
	if (!binary)
		return TOOL_FAILED;
	for (; optind < argc; optind++)
		if (!add_type(&kinds, binary, argv[optind], plain))
			status = TOOL_FAILED;
	binary_close(binary);
	if (!status)
		status = write_header(output, path, &kinds);
	text_free(&kinds);
	return status;
}
