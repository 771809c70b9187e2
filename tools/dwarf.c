// SPDX-License-Identifier: MIT
/*
 * From a type in debug info to a structure's layout, by elfutils' libdw; types.c finds it.
 *
 * Debug info comes from outside and may be damaged: depth and counts are bounded, what
 * cannot be read is an error with the type's name.
 */
#include "die.h"
#include "tool.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_MAX	(1u << 20)	/* as the library has it */
#define MEMBERS_MAX	(1u << 20)	/* of one type; damaged ones may contain themselves */
#define WORD		sizeof(void *)

/* Members that the type being read may still have. */
static uint32_t members_left;

static char *copy(const char *text)
{
	return strcpy(tool_alloc(strlen(text) + 1), text);
}

static void member_free(struct member *member)
{
	size_t i;

	for (i = 0; i < member->nr_members; i++)
		member_free(&member->members[i]);
	free(member->members);
	free(member->name);
	free(member->type);
}

/**
 * layout_free - forget a layout
 * @layout: what layout_read() filled
 */
void layout_free(struct layout *layout)
{
	member_free(&layout->self);
	free(layout->unit);
	free(layout->runs);
	free(layout->refused);
}

static bool attribute(Dwarf_Die *die, unsigned int name, uint64_t *value)
{
	Dwarf_Attribute attr;
	Dwarf_Word word;

	if (!dwarf_attr_integrate(die, name, &attr) || dwarf_formudata(&attr, &word))
		return false;
	*value = word;
	return true;
}

static bool type_of(Dwarf_Die *die, Dwarf_Die *type)
{
	Dwarf_Attribute attr;

	return dwarf_attr_integrate(die, DW_AT_type, &attr) && dwarf_formref_die(&attr, type);
}

/**
 * die_peeled - a type without typedefs and qualifiers
 * @die: the type
 * @bare: what it is
 *
 * Return: the tag of @bare, or 0.
 */
int die_peeled(Dwarf_Die *die, Dwarf_Die *bare)
{
	Dwarf_Attribute attr;
	unsigned int depth;
	Dwarf_Die next;

	*bare = *die;
	for (depth = 0; depth < DEPTH_MAX; depth++) {
		switch (dwarf_tag(bare)) {
		case DW_TAG_typedef:
		case DW_TAG_const_type:
		case DW_TAG_volatile_type:
		case DW_TAG_restrict_type:
		case DW_TAG_atomic_type:
			if (!type_of(bare, &next))
				return 0;
			*bare = next;
			break;
		default:
			/* Of C++ a declaration only: the type has a unit of its own. */
			if (!dwarf_attr(bare, DW_AT_signature, &attr))
				return dwarf_tag(bare);
			if (!dwarf_formref_die(&attr, &next))
				return 0;
			*bare = next;
		}
	}
	return 0;
}

/**
 * die_is_struct - is it a structure, or C++'s class?
 * @tag: of a type
 */
bool die_is_struct(int tag)
{
	return tag == DW_TAG_structure_type || tag == DW_TAG_class_type;
}

/**
 * die_add_scope - namespaces and classes around a type, as C++ writes them
 * @text: to this "app::graph::" is added
 * @die: the type
 */
void die_add_scope(struct text *text, Dwarf_Die *die)
{
	Dwarf_Die *scopes = NULL;
	/* From the inside out, the type itself first. */
	int nr = dwarf_getscopes_die(die, &scopes);
	const char *name;

	while (nr-- > 1) {
		if (!die_is_struct(dwarf_tag(&scopes[nr])) &&
		    dwarf_tag(&scopes[nr]) != DW_TAG_union_type &&
		    dwarf_tag(&scopes[nr]) != DW_TAG_namespace)
			continue;
		name = dwarf_diename(&scopes[nr]);
		if (name)
			text_add(text, "%s::", name);
	}
	free(scopes);
}

/* "struct app::node"; what has no name is {}. */
static char *scoped(const char *word, Dwarf_Die *die)
{
	const char *name = dwarf_diename(die);
	struct text text = { 0 };

	text_add(&text, "%s", word);
	if (name)
		die_add_scope(&text, die);
	text_add(&text, "%s", name ? name : "{}");
	return text.bytes;
}

/* The names of types as C has them, arrays' brackets apart. */
static char *type_name(Dwarf_Die *die, unsigned int depth)
{
	const char *name = dwarf_diename(die);
	struct text whole = { 0 };
	Dwarf_Die inner;
	char *text;

	switch (dwarf_tag(die)) {
	case DW_TAG_structure_type:
		return scoped("struct ", die);
	case DW_TAG_class_type:
		return scoped("class ", die);
	case DW_TAG_union_type:
		return scoped("union ", die);
	case DW_TAG_enumeration_type:
		return scoped("enum ", die);
	case DW_TAG_typedef:
		return scoped("", die);
	case DW_TAG_const_type:
	case DW_TAG_volatile_type:
	case DW_TAG_restrict_type:
	case DW_TAG_atomic_type:
	case DW_TAG_array_type:
		if (!type_of(die, &inner) || depth > DEPTH_MAX)
			return copy("void");
		return type_name(&inner, depth + 1);
	case DW_TAG_pointer_type:
		if (!type_of(die, &inner) || depth > DEPTH_MAX)
			return copy("void *");
		text = type_name(&inner, depth + 1);
		text_add(&whole, "%s%s", text, text[strlen(text) - 1] == '*' ? "*" : " *");
		free(text);
		return whole.bytes;
	case DW_TAG_subroutine_type:
		return copy("function");
	default:
		return copy(name ? name : "?");
	}
}

static bool read_members(Dwarf_Die *die, struct member *of, unsigned int depth);

/**
 * die_is_ref - is it the one-member structure of GCA_REF?
 * @bare: a type
 * @pointer: the member's type
 */
bool die_is_ref(Dwarf_Die *bare, Dwarf_Die *pointer)
{
	Dwarf_Die child, next, type;
	const char *name;

	if (!die_is_struct(dwarf_tag(bare)) || dwarf_child(bare, &child))
		return false;
	name = dwarf_diename(&child);
	if (dwarf_tag(&child) != DW_TAG_member || !name || strcmp(name, "gca_raw") ||
	    !dwarf_siblingof(&child, &next) || !type_of(&child, &type))
		return false;
	return die_peeled(&type, pointer) == DW_TAG_pointer_type;
}

/* Elements of an array of any dimension; false: without an end. */
static bool array_count(Dwarf_Die *array, uint64_t *count)
{
	uint64_t part, upper;
	Dwarf_Die child;

	*count = 1;
	if (dwarf_child(array, &child))
		return false;
	do {
		if (dwarf_tag(&child) != DW_TAG_subrange_type)
			continue;
		if (attribute(&child, DW_AT_count, &part))
			;
		else if (attribute(&child, DW_AT_upper_bound, &upper))
			part = upper + 1;	/* -1 for [0] */
		else
			return false;
		if (__builtin_mul_overflow(*count, part, count))
			return false;
	} while (!dwarf_siblingof(&child, &child));
	return *count > 0;
}

/* What a type makes of a member: sort, sizes, alignment, and its own members. */
static bool read_type(Dwarf_Die *type, struct member *member, unsigned int depth)
{
	Dwarf_Die bare, pointer, target;
	uint64_t element = 0, count;
	int tag = die_peeled(type, &bare);
	Dwarf_Word size;

	if (!tag || depth > DEPTH_MAX)
		return false;
	if (tag == DW_TAG_array_type) {
		if (!array_count(&bare, &count))
			count = 0;
		if (!type_of(&bare, &target) || !read_type(&target, member, depth + 1))
			return false;
		member->array = true;
		member->flexible |= !count;
		if (__builtin_mul_overflow(member->count, count, &member->count) ||
		    __builtin_mul_overflow(member->size, count, &member->size))
			return false;
		return true;
	}
	member->count = 1;
	if (dwarf_aggregate_size(&bare, &size))
		return false;
	element = size;
	member->size = element;
	member->align = 1;
	while (member->align < 16 && element && element % (member->align * 2) == 0)
		member->align *= 2;
	if (die_is_ref(&bare, &pointer)) {
		member->sort = MEMBER_REF;
		member->align = WORD;
		member->type = type_name(&pointer, 0);
	} else if (die_is_struct(tag) || tag == DW_TAG_union_type) {
		member->sort = tag == DW_TAG_union_type ? MEMBER_UNION : MEMBER_STRUCT;
		member->type = type_name(type, 0);
		return read_members(&bare, member, depth + 1);
	} else if (tag == DW_TAG_pointer_type) {
		member->sort = type_of(&bare, &target) &&
			       die_peeled(&target, &target) == DW_TAG_subroutine_type ?
			       MEMBER_CODE : MEMBER_POINTER;
		member->type = type_name(type, 0);
	} else {
		member->sort = MEMBER_DATA;
		member->type = type_name(type, 0);
	}
	return true;
}

/* A constant, or in older debug info an expression that adds one. */
static bool member_offset(Dwarf_Die *die, uint64_t *offset)
{
	Dwarf_Attribute attr;
	Dwarf_Op *ops;
	size_t nr;

	*offset = 0;
	if (attribute(die, DW_AT_data_member_location, offset) ||
	    !dwarf_attr_integrate(die, DW_AT_data_member_location, &attr))
		return true;
	if (dwarf_getlocation(&attr, &ops, &nr) || nr != 1 || ops[0].atom != DW_OP_plus_uconst)
		return false;
	*offset = ops[0].number;
	return true;
}

static bool read_member(Dwarf_Die *die, struct member *member, uint64_t base, unsigned int depth)
{
	uint64_t bits, at, storage;
	const char *name = dwarf_diename(die);
	Dwarf_Die type;

	*member = (struct member){
		.name = copy(name && dwarf_tag(die) == DW_TAG_member ? name : ""),
		.virtual_base = dwarf_hasattr_integrate(die, DW_AT_virtuality),
	};
	/* That of a virtual base is found at run time. */
	if (!member_offset(die, &at) && !member->virtual_base)
		return false;
	member->offset = base + at;
	if (!type_of(die, &type) || !read_type(&type, member, depth))
		return false;
	if (attribute(die, DW_AT_bit_size, &bits)) {
		member->bit_size = (uint32_t)bits;
		storage = member->size * 8;
		if (attribute(die, DW_AT_data_bit_offset, &at)) {
			/* In the storage unit of its type that it begins in. */
			member->offset = base + at / storage * member->size;
			member->bit_offset = (uint32_t)(at % storage);
		} else if (attribute(die, DW_AT_bit_offset, &at)) {
			/* DWARF 2 and 3 count from the other end. */
			member->bit_offset = (uint32_t)(storage - at - bits);
		}
	}
	return true;
}

static bool read_members(Dwarf_Die *die, struct member *of, unsigned int depth)
{
	uint64_t align = 1, given;
	Dwarf_Die child;

	if (!dwarf_child(die, &child)) {
		do {
			struct member *member;
			int tag = dwarf_tag(&child);

			/* A static member is a variable. */
			if ((tag != DW_TAG_member && tag != DW_TAG_inheritance) ||
			    dwarf_hasattr(&child, DW_AT_external))
				continue;
			if (!members_left--)
				return false;
			of->members = tool_realloc(of->members,
						   (of->nr_members + 1) * sizeof(*member));
			member = &of->members[of->nr_members++];
			if (!read_member(&child, member, of->offset, depth))
				return false;
			if (member->align > align)
				align = member->align;
		} while (!dwarf_siblingof(&child, &child));
	}
	if (attribute(die, DW_AT_alignment, &given) && given > align)
		align = given;
	of->align = align;
	return true;
}

/* ------------------------------------------------------------ the pointer map */

static const char a_union[] =
	"is a union with a reference: declare the kind with GCA_TRACED and a callback";
static const char flexible_structs[] =
	"is a flexible array of structures with references: declare the kind with GCA_TRACED";

struct mapper {
	struct layout *layout;
	bool plain;
	uint64_t end;		/* of the structure */
};

static void refuse(struct layout *layout, const char *path, const char *why)
{
	struct text text = { 0 };

	if (layout->refused)
		return;
	text_add(&text, "%s %s", *path ? path : "it", why);
	layout->refused = text.bytes;
}

static void add_run(struct mapper *mapper, const char *path, uint64_t offset, uint64_t count)
{
	struct layout *layout = mapper->layout;
	struct gca_run *last = layout->nr_runs ? &layout->runs[layout->nr_runs - 1] : NULL;

	if (offset % WORD) {
		refuse(layout, path, "is a reference that is not aligned (packed?)");
		return;
	}
	if (offset > UINT32_MAX || count > UINT32_MAX || layout->nr_runs >= RUNS_MAX) {
		refuse(layout, path, "has more references than a layout can hold");
		return;
	}
	if (last && last->offset + last->count * WORD == offset) {
		last->count += (uint32_t)count;
		return;
	}
	layout->runs = tool_realloc(layout->runs, (layout->nr_runs + 2) * sizeof(*last));
	layout->runs[layout->nr_runs++] = (struct gca_run){ (uint32_t)offset, (uint32_t)count };
}

static bool is_reference(const struct mapper *mapper, const struct member *member)
{
	return member->sort == MEMBER_REF || (mapper->plain && member->sort == MEMBER_POINTER);
}

static bool has_references(const struct mapper *mapper, const struct member *member)
{
	size_t i;

	if (is_reference(mapper, member))
		return true;
	for (i = 0; i < member->nr_members; i++)
		if (has_references(mapper, &member->members[i]))
			return true;
	return false;
}

/* @shift: how far this is from the first element of the arrays around it. */
static void map_member(struct mapper *mapper, const struct member *member, const char *before,
		       uint64_t shift, bool last)
{
	struct layout *layout = mapper->layout;
	uint64_t element = member->count ? member->size / member->count : 0, i;
	struct text path = { 0 };
	size_t m;

	text_add(&path, "%s%s%s", before, *before && *member->name ? "." : "", member->name);
	if (member->offset + shift + member->size > mapper->end)
		refuse(layout, path.bytes, "does not end inside the structure");
	if (member->offset % member->align && !member->bit_size)
		layout->packed = true;
	if ((member->sort == MEMBER_POINTER && !mapper->plain) || member->sort == MEMBER_CODE)
		layout->plain += member->count;
	if (!has_references(mapper, member))
		goto out;
	if (!member->flexible && element < WORD)
		refuse(layout, path.bytes, "is smaller than a reference");
	if (member->virtual_base)
		refuse(layout, path.bytes, "is a virtual base: where it is only the program knows");
	if (member->flexible && (!last || shift))
		refuse(layout, path.bytes, "is a flexible array and not the structure's end");
	if (member->sort == MEMBER_UNION) {
		refuse(layout, path.bytes, a_union);
	} else if (member->sort == MEMBER_STRUCT && member->flexible) {
		refuse(layout, path.bytes, flexible_structs);
	} else if (member->sort == MEMBER_STRUCT) {
		for (i = 0; i < member->count && !layout->refused; i++)
			for (m = 0; m < member->nr_members; m++)
				map_member(mapper, &member->members[m], path.bytes,
					   shift + i * element,
					   last && i + 1 == member->count &&
					   m + 1 == member->nr_members);
	} else if (member->flexible && member->offset % WORD) {
		refuse(layout, path.bytes, "is a reference that is not aligned (packed?)");
	} else if (member->flexible) {
		layout->tail = (uint32_t)member->offset;
	} else {
		add_run(mapper, path.bytes, member->offset + shift, member->count);
	}
out:
	text_free(&path);
}

/* As GCA_STRUCT has it: nothing at its end is what a loop runs over. */
static bool ends_exactly(const struct member *self)
{
	const struct member *last;

	if (!self->nr_members)
		return false;
	last = &self->members[self->nr_members - 1];
	return !last->array && last->size <= WORD;
}

static void map_pointers(struct layout *layout, bool plain)
{
	struct mapper mapper = { layout, plain, layout->self.size };
	size_t i;

	layout->tail = GCA_NO_TAIL;
	layout->runs = tool_alloc(sizeof(*layout->runs));
	if (layout->self.size > UINT32_MAX)
		refuse(layout, "", "is larger than a layout can say");
	if (layout->self.sort == MEMBER_UNION && has_references(&mapper, &layout->self))
		refuse(layout, "", a_union);
	for (i = 0; i < layout->self.nr_members && !layout->refused; i++)
		map_member(&mapper, &layout->self.members[i], "", 0,
			   i + 1 == layout->self.nr_members);
	layout->runs[layout->nr_runs] = (struct gca_run){ 0, 0 };
	layout->exact = ends_exactly(&layout->self) && layout->tail == GCA_NO_TAIL;
}

/**
 * layout_of - what a type looks like
 * @bare: a structure or union, without typedefs
 * @name: what it is called
 * @typedef_only: by a typedef, as it has no tag
 * @unit: the source that it is found in
 * @plain: plain pointers to data are references too
 * @layout: to fill
 *
 * Return: false: its debug info is damaged.
 */
bool layout_of(Dwarf_Die *bare, const char *name, bool typedef_only, const char *unit, bool plain,
	       struct layout *layout)
{
	struct text type = { 0 };

	*layout = (struct layout){ .unit = copy(unit ? unit : "a type unit") };
	members_left = MEMBERS_MAX;
	layout->typedef_only = typedef_only;
	layout->self.name = copy(name);
	if (!read_type(bare, &layout->self, 0)) {
		layout_free(layout);
		return false;
	}
	if (!typedef_only)
		text_add(&type, "%s ", dwarf_tag(bare) == DW_TAG_union_type ? "union" :
			 dwarf_tag(bare) == DW_TAG_class_type ? "class" : "struct");
	text_add(&type, "%s", name);
	free(layout->self.type);
	layout->self.type = type.bytes;
	map_pointers(layout, plain);
	return true;
}

/**
 * layout_c_name - what a program calls a structure
 * @layout: the structure
 *
 * Return: a text to be freed.
 */
char *layout_c_name(const struct layout *layout)
{
	return copy(layout->self.type);
}

/* ---------------------------------------------------------------- the library */

static bool first_object(const struct gca_object_info *info, void *arg)
{
	*(struct gca_object_info *)arg = *info;
	return false;
}

/**
 * layout_slot - what memory the library gives to an object
 * @layout: its pointer map is not refused
 * @size: bytes, of its fixed part or of that reordered
 * @flavour: how the collector finds its pointers
 *
 * Asks the library, by allocating one.
 *
 * Return: bytes; 0: it has been said why it cannot be told.
 */
uint64_t layout_slot(const struct layout *layout, uint64_t size, const char **flavour)
{
	static const char * const names[] = { "bytes", "precise", "conservative", "kinded" };
	struct gca_object_info info = { 0 };
	struct gca_layout kind = {
		.name = layout->self.name, .size = (uint32_t)size, .tail = layout->tail,
		.runs = layout->runs, .flags = layout->exact ? GCA_LAYOUT_EXACT : 0,
	};
	static const struct gca_run one[] = { { 0, 1 }, { 0, 0 } };
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;

	/* Another size has its pointers elsewhere; that it has some is what counts. */
	if (size != layout->self.size) {
		kind.runs = layout->nr_runs ? one : layout->runs;
		if (kind.tail != GCA_NO_TAIL)
			kind.tail = (uint32_t)(size & ~(WORD - 1));
	}
	unsetenv("GCARENA_BACKEND");
	unsetenv("GCARENA_LIMIT");
	unsetenv("GCARENA_DEBUG");
	gca_config_init(&config);
	config.backend = GCA_BACKEND_PROCESS;
	config.heap_size = (size + ((uint64_t)64 << 20)) * 2;
	if (gca_open(&config, &heap)) {
		tool_fail("its slot cannot be found out: %s", gca_error());
		return 0;
	}
	if (gca_attach(heap, 0, &m)) {
		tool_fail("its slot cannot be found out: %s", gca_error());
	} else {
		void *volatile object = gca_alloc(m, gca_kind_of(&kind), size);

		if (!object)
			tool_fail("%s: %s", layout->self.name, gca_error());
		else
			gca_heap_walk(m, first_object, &info, NULL);
		gca_keepalive(object);
		gca_detach(m);
	}
	gca_close(heap);
	if (!info.object)
		return 0;
	*flavour = names[info.flavour];
	/* The last byte is the library's, but of precise objects. */
	return info.bytes + (info.flavour != GCA_FLAVOUR_PRECISE);
}
