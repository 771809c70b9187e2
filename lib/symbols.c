// SPDX-License-Identifier: MIT
/*
 * Names of functions: from the symbol table of each ELF file that is mapped, or from
 * its dynamic one when it was stripped.
 *
 * The files are the system's, but nobody promises that they are well made, or still
 * what was mapped: every offset is checked against the file's size before it is used,
 * and a table that does not fit is no table.
 */
#include "internal.h"
#include "symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUILD_ID_MAX	64u	/* bytes */

struct symbol {
	uint64_t start;		/* address in the file */
	uint64_t size;		/* 0: up to the next */
	const char *name;
};

struct symbol_file {
	const uint8_t *data;
	size_t size;
	const Elf64_Phdr *segments;
	size_t nr_segments;
	struct symbol *symbols;	/* by address */
	size_t nr;
	char build_id[2 * BUILD_ID_MAX + 1];
};

/* @count things of @size bytes at @offset, or NULL. */
static const void *file_at(const struct symbol_file *file, uint64_t offset, uint64_t count,
			   uint64_t size)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes) || offset > file->size ||
	    bytes > file->size - offset || offset % sizeof(uint32_t))
		return NULL;
	return file->data + offset;
}

static void take_build_id(struct symbol_file *file, const Elf64_Phdr *segment)
{
	uint64_t at = 0, step;
	unsigned int i;

	while (at + sizeof(Elf64_Nhdr) <= segment->p_filesz) {
		const Elf64_Nhdr *note = file_at(file, segment->p_offset + at, 1, sizeof(*note));
		const uint8_t *bytes;

		if (!note)
			return;
		step = sizeof(*note) + align_up(note->n_namesz, 4) + align_up(note->n_descsz, 4);
		bytes = file_at(file, segment->p_offset + at, 1, step);
		if (!bytes)
			return;
		at += step;
		if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != sizeof(ELF_NOTE_GNU) ||
		    memcmp(bytes + sizeof(*note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) ||
		    note->n_descsz > BUILD_ID_MAX)
			continue;
		bytes += sizeof(*note) + align_up(note->n_namesz, 4);
		for (i = 0; i < note->n_descsz; i++)
			snprintf(file->build_id + 2 * i, 3, "%02x", bytes[i]);
		return;
	}
}

static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *one = a, *other = b;

	return (one->start > other->start) - (one->start < other->start);
}

static bool take_symbols(struct symbol_file *file, const Elf64_Shdr *sections, size_t nr,
			 uint32_t type)
{
	const Elf64_Shdr *table = NULL, *strings;
	const Elf64_Sym *symbols;
	const char *names;
	size_t i, count;

	for (i = 0; i < nr && !table; i++)
		if (sections[i].sh_type == type && sections[i].sh_entsize == sizeof(*symbols))
			table = &sections[i];
	if (!table || table->sh_link >= nr)
		return false;
	strings = &sections[table->sh_link];
	count = table->sh_size / sizeof(*symbols);
	symbols = file_at(file, table->sh_offset, count, sizeof(*symbols));
	if (!symbols || !strings->sh_size || strings->sh_offset > file->size ||
	    strings->sh_size > file->size - strings->sh_offset)
		return false;
	names = (const char *)file->data + strings->sh_offset;
	/* So that every name within the table ends. */
	if (names[strings->sh_size - 1])
		return false;
	file->symbols = calloc(count ? count : 1, sizeof(*file->symbols));
	if (!file->symbols)
		return false;
	for (i = 0; i < count; i++) {
		if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC || !symbols[i].st_value ||
		    symbols[i].st_name >= strings->sh_size)
			continue;
		file->symbols[file->nr++] = (struct symbol){
			symbols[i].st_value, symbols[i].st_size, names + symbols[i].st_name,
		};
	}
	qsort(file->symbols, file->nr, sizeof(*file->symbols), compare_symbols);
	return true;
}

static void take_elf(struct symbol_file *file)
{
	const Elf64_Ehdr *header = file_at(file, 0, 1, sizeof(*header));
	const Elf64_Shdr *sections;
	size_t i;

	if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) ||
	    header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_phentsize != sizeof(Elf64_Phdr))
		return;
	file->segments = file_at(file, header->e_phoff, header->e_phnum, sizeof(Elf64_Phdr));
	if (!file->segments)
		return;
	file->nr_segments = header->e_phnum;
	for (i = 0; i < file->nr_segments && !file->build_id[0]; i++)
		if (file->segments[i].p_type == PT_NOTE)
			take_build_id(file, &file->segments[i]);
	if (header->e_shentsize != sizeof(*sections))
		return;
	sections = file_at(file, header->e_shoff, header->e_shnum, sizeof(*sections));
	if (sections && !take_symbols(file, sections, header->e_shnum, SHT_SYMTAB))
		take_symbols(file, sections, header->e_shnum, SHT_DYNSYM);
}

static struct symbol_file *file_open(const char *path)
{
	struct symbol_file *file = NULL;
	struct stat status;
	void *data;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_size > 0) {
		data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (data != MAP_FAILED) {
			file = calloc(1, sizeof(*file));
			if (file) {
				file->data = data;
				file->size = (size_t)status.st_size;
				take_elf(file);
			} else {
				munmap(data, (size_t)status.st_size);
			}
		}
	}
	close(fd);
	return file;
}

static void file_close(struct symbol_file *file)
{
	if (!file)
		return;
	munmap((void *)file->data, file->size);
	free(file->symbols);
	free(file);
}

/* Mappings of one file share it. */
static struct symbol_file *file_of(struct mapping *mapping)
{
	if (!mapping->opened) {
		mapping->opened = true;
		if (mapping->path[0] == '/')
			mapping->file = file_open(mapping->path);
	}
	return mapping->file;
}

static int add_mapping(struct mappings *mappings, const char *line)
{
	unsigned long start, end, offset;
	struct mapping *mapping;
	char execute;
	int name = 0;

	if (sscanf(line, "%lx-%lx %*c%*c%c%*c %lx %*s %*s %n", &start, &end, &execute, &offset,
		   &name) < 4 || !name || execute != 'x')
		return 0;
	if (!array_room((void **)&mappings->entries, mappings->nr, &mappings->max,
			sizeof(*mapping)))
		return -ENOMEM;
	mapping = &mappings->entries[mappings->nr];
	*mapping = (struct mapping){ .start = start, .end = end, .offset = offset };
	mapping->path = strndup(line + name, strcspn(line + name, "\n"));
	if (!mapping->path)
		return -ENOMEM;
	mappings->nr++;
	return 0;
}

/**
 * mappings_read - what is mapped to run now
 * @mappings: zero; freed by the caller when it succeeds
 *
 * Return: 0 or a negative errno.
 */
int mappings_read(struct mappings *mappings)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t room = 0;
	int error = 0;

	if (!maps)
		return -errno;
	while (!error && getline(&line, &room, maps) > 0)
		error = add_mapping(mappings, line);
	free(line);
	fclose(maps);
	if (error)
		mappings_free(mappings);
	return error;
}

/**
 * mappings_free - forget them
 * @mappings: empty afterwards
 */
void mappings_free(struct mappings *mappings)
{
	size_t i;

	for (i = 0; i < mappings->nr; i++) {
		file_close(mappings->entries[i].file);
		free(mappings->entries[i].path);
	}
	array_free(mappings->entries, mappings->max, sizeof(*mappings->entries));
	*mappings = (struct mappings){ 0 };
}

/**
 * mapping_of - which one an address is in
 * @mappings: all of them
 * @pc: the address
 */
struct mapping *mapping_of(struct mappings *mappings, uintptr_t pc)
{
	size_t low = 0, high = mappings->nr;

	while (low < high) {
		size_t middle = (low + high) / 2;
		struct mapping *mapping = &mappings->entries[middle];

		if (pc < mapping->start)
			high = middle;
		else if (pc >= mapping->end)
			low = middle + 1;
		else
			return mapping;
	}
	return NULL;
}

/**
 * symbol_of - the function that an address is in
 * @mapping: that it is in
 * @pc: the address
 * @start: where the function begins
 *
 * Return: its name, which lives as long as the mappings, or NULL.
 */
const char *symbol_of(struct mapping *mapping, uintptr_t pc, uintptr_t *start)
{
	const struct symbol_file *file = file_of(mapping);
	uint64_t offset = pc - mapping->start + mapping->offset, address = 0;
	size_t low = 0, high, i;

	if (!file)
		return NULL;
	for (i = 0; i < file->nr_segments; i++) {
		const Elf64_Phdr *segment = &file->segments[i];

		if (segment->p_type == PT_LOAD && offset - segment->p_offset < segment->p_filesz)
			address = offset - segment->p_offset + segment->p_vaddr;
	}
	/* The last that begins at or before it. */
	for (high = file->nr; low < high;) {
		size_t middle = (low + high) / 2;

		if (file->symbols[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || !address)
		return NULL;
	if (file->symbols[low - 1].size &&
	    address - file->symbols[low - 1].start >= file->symbols[low - 1].size)
		return NULL;
	*start = pc - (address - file->symbols[low - 1].start);
	return file->symbols[low - 1].name;
}

/**
 * mapping_build_id - what identifies its file
 * @mapping: the mapping
 */
const char *mapping_build_id(struct mapping *mapping)
{
	const struct symbol_file *file = file_of(mapping);

	return file ? file->build_id : "";
}
