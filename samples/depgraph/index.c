// SPDX-License-Identifier: MIT
/*
 * The index file and its stanzas.
 *
 * A regular file is mapped, anything else (a pipe, standard input) is read to
 * its end first.  The text is only ever read; lines are counted only when a
 * mistake is printed, as that is rare and an index has a million lines.  To
 * shorten a file that is in use is to kill its reader: give a pipe where that can
 * happen.
 *
 * What this file must never do is repair: an index that is cut off, binary or
 * malformed is refused, with the place, because a graph of half an index would
 * give answers that look right.  A stanza therefore ends with an empty line,
 * the last one too.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index.h"

/* Debian's longest line, a Provides field, has 76 thousand bytes. */
#define LINE_MAX_BYTES	(1024u * 1024)
#define READ_STEP	(1024u * 1024)	/* bytes a pipe's buffer grows by at first */

/**
 * mistake_set - note what is wrong and where
 * @mistake: filled in
 * @at: the place in the index's text, or NULL for the file as a whole
 * @format: as printf()
 *
 * Return: -EINVAL, for the caller to return.
 */
int mistake_set(struct mistake *mistake, const char *at, const char *format, ...)
{
	va_list args;

	mistake->at = at;
	va_start(args, format);
	vsnprintf(mistake->text, sizeof(mistake->text), format, args);
	va_end(args);
	/* What is quoted came from the file: keep the terminal whole. */
	for (char *c = mistake->text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	return -EINVAL;
}

/**
 * mistake_print - say on standard error what is wrong, with file and line
 * @mistake: what
 * @index: of which index
 */
void mistake_print(const struct mistake *mistake, const struct index *index)
{
	const char *at = index->text;
	size_t line = 1;

	if (!mistake->at) {
		fprintf(stderr, "depgraph: %s: %s\n", index->path, mistake->text);
		return;
	}
	while ((at = memchr(at, '\n', mistake->at - at))) {
		line++;
		at++;
	}
	fprintf(stderr, "depgraph: %s:%zu: %s\n", index->path, line, mistake->text);
}

static int read_all(struct index *index, int fd, struct mistake *mistake)
{
	size_t room = 0;
	char *text = NULL;
	ssize_t n;

	for (;;) {
		if (index->length == room) {
			char *more;

			room += room ? room : READ_STEP;
			more = realloc(text, room);
			if (!more) {
				free(text);
				mistake_set(mistake, NULL, "out of memory after %zu bytes",
					    index->length);
				return -ENOMEM;
			}
			text = more;
		}
		n = read(fd, text + index->length, room - index->length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		index->length += n;
	}
	if (n < 0) {
		free(text);
		return mistake_set(mistake, NULL, "%s", strerror(errno));
	}
	index->text = text;
	return 0;
}

/**
 * index_open - bring an index into memory
 * @index: filled in; index_close() when this succeeds
 * @path: a file, or "-" for standard input
 * @mistake: why not
 *
 * Return: 0, -EINVAL, -ENOMEM.
 */
int index_open(struct index *index, const char *path, struct mistake *mistake)
{
	bool standard = !strcmp(path, "-");
	struct stat st;
	int fd, err = 0;

	memset(index, 0, sizeof(*index));
	index->path = standard ? "standard input" : path;
	fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		err = mistake_set(mistake, NULL, "%s", strerror(errno));
	} else if (S_ISREG(st.st_mode) && st.st_size > 0 && !standard) {
		void *text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (text == MAP_FAILED) {
			err = mistake_set(mistake, NULL, "%s", strerror(errno));
		} else {
			index->text = text;
			index->length = st.st_size;
			index->mapped = true;
		}
	} else {
		err = read_all(index, fd, mistake);
	}
	if (fd >= 0 && !standard)
		close(fd);
	if (!err && !index->length) {
		index_close(index);
		err = mistake_set(mistake, NULL, "empty: no package in it");
	}
	return err;
}

/**
 * index_close - let go of the text
 * @index: from index_open(); slices of it are invalid from here on
 */
void index_close(struct index *index)
{
	if (index->mapped)
		munmap((void *)index->text, index->length);
	else
		free((void *)index->text);
	index->text = NULL;
}

static struct slice trim(const char *at, const char *end)
{
	while (at < end && isspace((unsigned char)*at))
		at++;
	while (at < end && isspace((unsigned char)end[-1]))
		end--;
	return (struct slice){ at, end - at };
}

static const struct slice field_names[FIELDS] = {
#define NAME(string)	{ string, sizeof(string) - 1 }
	[FIELD_PACKAGE] = NAME("Package"),
	[FIELD_VERSION] = NAME("Version"),
	[FIELD_ARCHITECTURE] = NAME("Architecture"),
	[FIELD_MULTI_ARCH] = NAME("Multi-Arch"),
	[FIELD_DEPENDS] = NAME("Depends"),
	[FIELD_PRE_DEPENDS] = NAME("Pre-Depends"),
	[FIELD_RECOMMENDS] = NAME("Recommends"),
	[FIELD_PROVIDES] = NAME("Provides"),
#undef NAME
};

/* The field called @name, or FIELDS for one that depgraph has no use for. */
static enum field field_of(struct slice name)
{
	enum field f;

	for (f = 0; f < FIELDS; f++)
		if (name.length == field_names[f].length &&
		    !strncasecmp(name.at, field_names[f].at, name.length))
			break;
	return f;
}

static bool blank(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return at == end;
}

static const char *skip_blank_lines(const char *at, const char *end)
{
	while (at < end) {
		const char *eol = memchr(at, '\n', end - at);

		if (!blank(at, eol ? eol : end))
			break;
		at = eol ? eol + 1 : end;
	}
	return at;
}

/* A line "Name: value": where the value starts, and which field it is. */
static int field_begin(const char *at, const char *end, enum field *field, const char **value,
		       struct mistake *mistake)
{
	const char *c;

	for (c = at; c < end && *c != ':' && *c != ' ' && *c != '\t'; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			return mistake_set(mistake, at,
					   "binary data (byte 0x%02x) where a field name should be",
					   (unsigned char)*c);
	if (c == end || *c != ':')
		return mistake_set(mistake, at, "no colon after the field name in \"%.*s\"",
				   (int)(end - at < 60 ? end - at : 60), at);
	if (c == at)
		return mistake_set(mistake, at, "no field name before the colon");
	*field = field_of((struct slice){ at, c - at });
	*value = c + 1;
	return 0;
}

/* The lines of one stanza; @at is at its first, and is left behind its last. */
static int stanza_lines(const char **at, const char *end, struct stanza *stanza,
			struct mistake *mistake)
{
	const char *line = *at, *value = NULL, *eol;
	enum field field = FIELDS;
	bool started = false;

	for (; line < end; line = eol + 1) {
		eol = memchr(line, '\n', end - line);
		if (!eol)
			return mistake_set(mistake, line,
					   "the index ends inside a line: is it cut off?");
		if (eol - line > LINE_MAX_BYTES)
			return mistake_set(mistake, line, "a line of %td bytes (at most %u)",
					   eol - line, LINE_MAX_BYTES);
		if (blank(line, eol))
			break;
		if (*line == ' ' || *line == '\t') {
			if (!started)
				return mistake_set(mistake, line,
						   "a continuation line with nothing before it");
		} else {
			int err = field_begin(line, eol, &field, &value, mistake);

			if (err)
				return err;
			started = true;
			if (field < FIELDS && stanza->field[field].at)
				return mistake_set(mistake, line, "a second %s in one stanza",
						   field_names[field].at);
		}
		if (field < FIELDS)
			stanza->field[field] = trim(value, eol);
	}
	if (line >= end)
		return mistake_set(mistake, end - 1,
				   "the index ends inside a stanza (no empty line): is it cut off?");
	*at = line;
	return 0;
}

/**
 * stanza_next - the next stanza of an index
 * @index: the index
 * @offset: bytes from its start; moved behind the stanza
 * @stanza: filled in; Package, Version and Architecture are present and valid
 * @mistake: why not
 *
 * Return: 1, 0 at the end of the index, or -EINVAL.
 */
int stanza_next(const struct index *index, uint64_t *offset, struct stanza *stanza,
		struct mistake *mistake)
{
	const char *end = index->text + index->length;
	const char *at = index->text + *offset;
	const char *start, *nul;
	int err;

	at = skip_blank_lines(at, end);
	if (at == end)
		return 0;
	memset(stanza, 0, sizeof(*stanza));
	start = at;
	err = stanza_lines(&at, end, stanza, mistake);
	if (err)
		return err;
	nul = memchr(start, 0, at - start);
	if (nul)
		return mistake_set(mistake, nul, "binary data (byte 0x00)");
	stanza->offset = start - index->text;
	stanza->length = at - start;
	*offset = at - index->text;
	for (enum field f = FIELD_PACKAGE; f <= FIELD_ARCHITECTURE; f++)
		if (!stanza->field[f].at || !stanza->field[f].length)
			return mistake_set(mistake, start, "a stanza without %s",
					   field_names[f].at);
	err = name_check(stanza->field[FIELD_PACKAGE], mistake);
	if (!err)
		err = version_check(stanza->field[FIELD_VERSION], mistake);
	if (!err)
		err = name_check(stanza->field[FIELD_ARCHITECTURE], mistake);
	return err ? err : 1;
}
