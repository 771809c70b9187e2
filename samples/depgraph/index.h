/* SPDX-License-Identifier: MIT */
/*
 * A Debian package index as text: the file, its stanzas, their fields, and what
 * relations and versions look like.
 *
 * Nothing here knows of the heap: slices point into the index, which stays in
 * memory unchanged until index_close().  So several threads may parse at once,
 * and stanzas can be parsed again at any time.
 *
 * Every function that can meet bad input says where and why in a struct
 * mistake and returns -EINVAL; nothing here prints or exits.
 */
#ifndef DEPGRAPH_INDEX_H
#define DEPGRAPH_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

struct slice {
	const char *at;		/* NULL: absent */
	size_t length;
};

/**
 * struct index - a package index in memory
 * @path: as the user gave it, for messages
 * @text: the whole of it
 * @length: bytes of @text
 * @mapped: @text is a mapping of the file, not from malloc()
 */
struct index {
	const char *path;
	const char *text;
	size_t length;
	bool mapped;
};

#define MISTAKE_TEXT	200	/* bytes: a sentence that quotes a name or two */

/**
 * struct mistake - what is wrong with an index
 * @at: where in the text, or NULL for the file as a whole
 * @text: a sentence
 */
struct mistake {
	const char *at;
	char text[MISTAKE_TEXT];
};

__attribute__((format(printf, 3, 4)))
int mistake_set(struct mistake *mistake, const char *at, const char *format, ...);
void mistake_print(const struct mistake *mistake, const struct index *index);

int index_open(struct index *index, const char *path, struct mistake *mistake);
void index_close(struct index *index);

enum field {
	FIELD_PACKAGE,
	FIELD_VERSION,
	FIELD_ARCHITECTURE,
	FIELD_MULTI_ARCH,
	FIELD_DEPENDS,
	FIELD_PRE_DEPENDS,
	FIELD_RECOMMENDS,
	FIELD_PROVIDES,
	FIELDS,
};

/**
 * struct stanza - one package's paragraph
 * @offset: bytes from the start of the index
 * @length: bytes
 * @field: values without surrounding blanks, folded lines included
 */
struct stanza {
	uint64_t offset;
	size_t length;
	struct slice field[FIELDS];
};

int stanza_next(const struct index *index, uint64_t *offset, struct stanza *stanza,
		struct mistake *mistake);

enum relation_op { OP_NONE, OP_LT, OP_LE, OP_EQ, OP_GE, OP_GT };

/**
 * struct term - one alternative of one clause of a relation field
 * @name: the package, with its qualifier if it has one (python3:any)
 * @op: how the version is bounded, or OP_NONE
 * @bound: the version, when @op is not OP_NONE
 * @alternative: this is another way to satisfy the previous term's clause
 */
struct term {
	struct slice name;
	enum relation_op op;
	struct slice bound;
	bool alternative;
};

/* Walks a relation field: @at and @end shrink towards each other. */
struct term_cursor {
	const char *at;
	const char *end;
	bool provides;		/* no alternatives, no bound but = */
	bool alternative;	/* the last separator was | */
	bool more;		/* a separator was seen: a term must follow */
};

size_t clause_count(struct slice field);
void term_begin(struct term_cursor *cursor, struct slice field, bool provides);
int term_next(struct term_cursor *cursor, struct term *term, struct mistake *mistake);

int name_check(struct slice name, struct mistake *mistake);
int version_check(struct slice version, struct mistake *mistake);
int version_compare(const char *a, const char *b);

#endif /* DEPGRAPH_INDEX_H */
