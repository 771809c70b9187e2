// SPDX-License-Identifier: MIT
/*
 * gcarena layout BINARY TYPE: a structure as the compiler laid it out, where the
 * collector finds its pointers, the slot it gets, and what another order would save.
 *
 * The slot is the library's own answer, for the pointer map that is shown.  Another
 * order is one by alignment, largest first, which leaves no hole; what must stay last,
 * a flexible array, does.
 */
#include "dwarf.h"
#include "tool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shown {
	struct text text;
	uint64_t holes;		/* bytes */
	unsigned int nr_holes;
	bool bits;		/* some bit-field */
};

static void show_row(struct text *text, uint64_t offset, uint64_t size, unsigned int depth,
		     const char *format, const char *type, const char *name)
{
	text_add(text, "%8llu %8llu  %*s", (unsigned long long)offset, (unsigned long long)size,
		 (int)depth * 2, "");
	text_add(text, format, type, name);
}

static void show_member(struct shown *shown, const struct member *member, unsigned int depth)
{
	static const char * const notes[] = {
		[MEMBER_REF] = "  reference",
		[MEMBER_POINTER] = "  plain pointer",
		[MEMBER_CODE] = "  pointer to a function",
	};
	const char *note = member->sort < sizeof(notes) / sizeof(notes[0]) ?
			   notes[member->sort] : NULL;

	show_row(&shown->text, member->offset, member->size, depth, *member->name ? "%s %s" : "%s",
		 member->type, member->name);
	if (member->flexible)
		text_add(&shown->text, "[]");
	else if (member->array)
		text_add(&shown->text, "[%llu]", (unsigned long long)member->count);
	if (member->bit_size) {
		text_add(&shown->text, " : %u  bits %u to %u", member->bit_size,
			 member->bit_offset, member->bit_offset + member->bit_size - 1);
		shown->bits = true;
	}
	text_add(&shown->text, "%s\n", note ? note : "");
}

/* @end: where the structure that these are members of ends; 0 for a union's. */
static void show_members(struct shown *shown, const struct member *of, uint64_t end,
			 unsigned int depth)
{
	uint64_t at = of->offset, element;
	size_t i;

	for (i = 0; i < of->nr_members; i++) {
		const struct member *member = &of->members[i];

		if (end && member->offset > at) {
			show_row(&shown->text, at, member->offset - at, depth, "%s%s\n",
				 "-- hole --", "");
			shown->holes += member->offset - at;
			shown->nr_holes++;
		}
		show_member(shown, member, depth);
		element = member->count ? member->size / member->count : 0;
		if (member->nr_members)
			show_members(shown, member, member->sort == MEMBER_STRUCT ?
				     member->offset + element : 0, depth + 1);
		if (member->offset + member->size > at)
			at = member->offset + member->size;
	}
	if (end && at < end && of->nr_members) {
		show_row(&shown->text, at, end - at, depth, "%s%s\n", "-- padding --", "");
		shown->holes += end - at;
		shown->nr_holes++;
	}
}

static void show_map(const struct layout *layout)
{
	const struct gca_run *run;

	if (layout->refused) {
		printf("no pointer map: %s\n", layout->refused);
		return;
	}
	printf("pointer map:");
	for (run = layout->runs; run->count; run++)
		printf(run->count > 1 ? " +%u (%u of them)" : " +%u", run->offset, run->count);
	if (layout->tail != GCA_NO_TAIL)
		printf(" +%u to the end", layout->tail);
	if (!layout->nr_runs && layout->tail == GCA_NO_TAIL)
		printf(" none, the object is never scanned");
	printf("\n");
	if (layout->plain)
		printf("%llu plain pointer%s not in the map%s\n",
		       (unsigned long long)layout->plain, layout->plain > 1 ? "s are" : " is",
		       ": the collector does not follow them (--plain: it is to)");
}

static uint64_t rounded(uint64_t value, uint64_t align)
{
	return (value + align - 1) / align * align;
}

/*
 * Size in the order of alignment.  A member's size is a multiple of its alignment, so
 * only the end may need padding.  Bit-fields that share a unit go together, as one
 * member of its type; so do those of a union.
 */
static uint64_t reordered(const struct member *self)
{
	uint64_t sum = 0, unit_end = 0;
	size_t i;

	for (i = 0; i < self->nr_members; i++) {
		const struct member *member = &self->members[i];

		if (!member->bit_size) {
			sum += member->size;
			continue;
		}
		if (member->offset >= unit_end) {
			sum += member->size;
			unit_end = member->offset + member->size;
		}
	}
	return rounded(sum, self->align);
}

static void show_slots(const struct layout *layout)
{
	uint64_t size = layout->self.size, slot, better, smaller;
	const char *flavour;

	slot = layout_slot(layout, size, &flavour);
	if (!slot)
		return;
	printf("slot: %llu bytes, %s; waste %llu (%.0f %%)\n", (unsigned long long)slot, flavour,
	       (unsigned long long)(slot - size), 100.0 * (double)(slot - size) / (double)slot);
	if (layout->tail != GCA_NO_TAIL)
		printf("  without any element of its flexible array\n");
	if (layout->self.sort != MEMBER_STRUCT || layout->packed)
		return;
	smaller = reordered(&layout->self);
	if (smaller >= size) {
		printf("no other order of its members is smaller\n");
		return;
	}
	better = layout_slot(layout, smaller, &flavour);
	if (!better)
		return;
	printf("ordered by alignment, largest first: %llu bytes, slot %llu: saves %llu bytes",
	       (unsigned long long)smaller, (unsigned long long)better,
	       (unsigned long long)(size - smaller));
	if (better < slot)
		printf(", %llu of memory for each object\n", (unsigned long long)(slot - better));
	else
		printf(", but no memory: the slot is the same\n");
}

static void show_layout(const struct layout *layout)
{
	struct shown shown = { .holes = 0 };
	char *name = layout_c_name(layout);

	printf("%s: %llu bytes, alignment %llu (%s)\n", name,
	       (unsigned long long)layout->self.size, (unsigned long long)layout->self.align,
	       layout->unit);
	free(name);
	show_members(&shown, &layout->self, layout->self.sort == MEMBER_UNION ? 0 :
		     layout->self.size, 0);
	printf("  offset     size\n%s", shown.text.bytes ? shown.text.bytes : "");
	text_free(&shown.text);
	if (layout->packed)
		printf("packed: members are not aligned\n");
	else if (shown.nr_holes)
		printf("%llu bytes in %u hole%s%s\n", (unsigned long long)shown.holes,
		       shown.nr_holes, shown.nr_holes > 1 ? "s" : "",
		       shown.bits ? ", bits between bit-fields not counted" : "");
	else
		printf("no holes\n");
	show_map(layout);
	if (!layout->refused)
		show_slots(layout);
}

/**
 * command_layout - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_layout(int argc, char **argv)
{
	static const struct option options[] = {
		{ "plain", no_argument, NULL, 'p' },
		{ 0 }
	};
	struct layout layout;
	struct binary *binary;
	bool plain = false;
	int c, status = TOOL_OK;

	while ((c = getopt_long(argc, argv, "p", options, NULL)) != -1) {
		if (c != 'p')
			return tool_usage();
		plain = true;
	}
	if (argc - optind < 2)
		return tool_misused("a binary and a type are to be named");
	binary = binary_open(argv[optind++]);
	if (!binary)
		return TOOL_FAILED;
	for (; optind < argc; optind++) {
		if (!layout_read(binary, argv[optind], plain, &layout)) {
			status = TOOL_FAILED;
			continue;
		}
		show_layout(&layout);
		layout_free(&layout);
	}
	binary_close(binary);
	return status;
}
