// SPDX-License-Identifier: MIT
/*
 * The grammar of Debian's relation fields and versions, and the order of
 * versions (deb-version(7), Debian policy 5.6.12 and 7.1).
 *
 *	field	= clause { "," clause }
 *	clause	= term { "|" term }		(one term in Provides)
 *	term	= name [ ":" qualifier ] [ "(" op version ")" ]
 *
 * Text in, slices out; nothing is allocated, and nothing is accepted that a
 * package manager would have to guess about.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "index.h"

#define NAME_MAX_BYTES		256	/* far above the longest name there is */
#define VERSION_MAX_BYTES	256
#define EPOCH_MAX_DIGITS	9	/* so that an epoch fits an int */

static int quoted(struct slice s)
{
	return s.length < 60 ? (int)s.length : 60;
}

/**
 * name_check - is this a package's name?
 * @name: without qualifier
 * @mistake: why not
 *
 * Return: 0 or -EINVAL.
 */
int name_check(struct slice name, struct mistake *mistake)
{
	bool good = name.length && name.length <= NAME_MAX_BYTES &&
		    isalnum((unsigned char)name.at[0]);

	for (size_t i = 1; good && i < name.length; i++)
		good = isalnum((unsigned char)name.at[i]) || strchr("+-._", name.at[i]);
	if (good)
		return 0;
	return mistake_set(mistake, name.at, "bad name \"%.*s\"", quoted(name), name.at);
}

/**
 * version_check - is this a version?
 * @version: [epoch:]upstream[-revision]
 * @mistake: why not
 *
 * Return: 0 or -EINVAL.
 */
int version_check(struct slice version, struct mistake *mistake)
{
	const char *at = version.at, *end = at + version.length;
	const char *colon = memchr(at, ':', version.length);
	bool good = version.length && version.length <= VERSION_MAX_BYTES;

	if (good && colon) {
		good = colon > at && colon - at <= EPOCH_MAX_DIGITS;
		for (; good && at < colon; at++)
			good = isdigit((unsigned char)*at);
		at = colon + 1;
	}
	good = good && at < end && isdigit((unsigned char)*at) && end[-1] != '-';
	for (; good && at < end; at++)
		good = isalnum((unsigned char)*at) || strchr(".+-~:", *at);
	if (good)
		return 0;
	return mistake_set(mistake, version.at, "bad version \"%.*s\"", quoted(version),
			   version.at);
}

/* In a part that is not digits: ~ before the end, the end before letters,
 * letters before the rest.
 */
static int weight(const char *at, const char *end)
{
	unsigned char c;

	if (at == end)
		return 0;
	c = *at;
	if (isdigit(c))
		return 0;
	if (c == '~')
		return -1;
	return isalpha(c) ? c : c + UINT8_MAX + 1;
}

static const char *skip_zeros(const char *at, const char *end)
{
	while (at < end && *at == '0')
		at++;
	return at;
}

static const char *skip_digits(const char *at, const char *end)
{
	while (at < end && isdigit((unsigned char)*at))
		at++;
	return at;
}

static int compare_numbers(const char *a, const char *a_end, const char *b, const char *b_end)
{
	if (a_end - a != b_end - b)
		return a_end - a < b_end - b ? -1 : 1;
	return memcmp(a, b, a_end - a);
}

/* Upstream versions or revisions: text and number in turn. */
static int compare_part(const char *a, const char *a_end, const char *b, const char *b_end)
{
	while (a < a_end || b < b_end) {
		const char *a_digits, *b_digits;
		int diff;

		while ((a < a_end && !isdigit((unsigned char)*a)) ||
		       (b < b_end && !isdigit((unsigned char)*b))) {
			diff = weight(a, a_end) - weight(b, b_end);
			if (diff)
				return diff;
			/* Equal weights here: neither is a digit or the end. */
			a++;
			b++;
		}
		a = skip_zeros(a, a_end);
		b = skip_zeros(b, b_end);
		a_digits = skip_digits(a, a_end);
		b_digits = skip_digits(b, b_end);
		diff = compare_numbers(a, a_digits, b, b_digits);
		if (diff)
			return diff;
		a = a_digits;
		b = b_digits;
	}
	return 0;
}

static const char *skip_epoch(const char *version, const char **digits, const char **digits_end)
{
	const char *colon = strchr(version, ':');

	*digits = version;
	*digits_end = version;
	if (!colon)
		return version;
	*digits = skip_zeros(version, colon);
	*digits_end = colon;
	return colon + 1;
}

/**
 * version_compare - the order of two versions
 * @a: one, valid by version_check()
 * @b: the other
 *
 * Return: below, equal or above zero as @a is older, the same or newer.
 */
int version_compare(const char *a, const char *b)
{
	const char *a_epoch, *a_epoch_end, *b_epoch, *b_epoch_end;
	const char *a_dash, *b_dash, *a_end, *b_end;
	int diff;

	a = skip_epoch(a, &a_epoch, &a_epoch_end);
	b = skip_epoch(b, &b_epoch, &b_epoch_end);
	diff = compare_numbers(a_epoch, a_epoch_end, b_epoch, b_epoch_end);
	if (diff)
		return diff;
	a_end = a + strlen(a);
	b_end = b + strlen(b);
	a_dash = strrchr(a, '-');
	b_dash = strrchr(b, '-');
	diff = compare_part(a, a_dash ? a_dash : a_end, b, b_dash ? b_dash : b_end);
	if (diff)
		return diff;
	/* No revision is the same as revision 0. */
	return compare_part(a_dash ? a_dash + 1 : a_end, a_end,
			    b_dash ? b_dash + 1 : b_end, b_end);
}

/**
 * clause_count - how many clauses a relation field has at most
 * @field: its value, absent or empty included
 *
 * Return: the number that term_next() finds when the field is well formed.
 */
size_t clause_count(struct slice field)
{
	size_t n = field.length > 0;

	for (size_t i = 0; i < field.length; i++)
		n += field.at[i] == ',';
	return n;
}

/**
 * term_begin - start to walk a relation field
 * @cursor: filled in
 * @field: its value; absent or empty is a field without terms
 * @provides: it is Provides
 */
void term_begin(struct term_cursor *cursor, struct slice field, bool provides)
{
	*cursor = (struct term_cursor){
		.at = field.at,
		.end = field.at + field.length,
		.provides = provides,
		.more = field.length > 0,
	};
}

static void skip_blanks(struct term_cursor *cursor)
{
	while (cursor->at < cursor->end && isspace((unsigned char)*cursor->at))
		cursor->at++;
}

static struct slice word(struct term_cursor *cursor, const char *stops)
{
	struct slice s = { cursor->at, 0 };

	while (cursor->at < cursor->end && !isspace((unsigned char)*cursor->at) &&
	       !strchr(stops, *cursor->at))
		cursor->at++;
	s.length = cursor->at - s.at;
	return s;
}

static int term_name(struct term_cursor *cursor, struct term *term, struct mistake *mistake)
{
	struct slice base, qualifier;
	const char *colon;
	int err;

	term->name = word(cursor, ",|([<");
	if (!term->name.length)
		return mistake_set(mistake, cursor->at - (cursor->at == cursor->end),
				   "an empty relation");
	colon = memchr(term->name.at, ':', term->name.length);
	if (!colon)
		return name_check(term->name, mistake);
	base = (struct slice){ term->name.at, colon - term->name.at };
	qualifier = (struct slice){ colon + 1, term->name.length - base.length - 1 };
	err = name_check(base, mistake);
	return err ? err : name_check(qualifier, mistake);
}

static enum relation_op op_of(struct slice op)
{
	static const struct {
		const char *text;
		enum relation_op op;
	} ops[] = {
		{ "<<", OP_LT }, { "<=", OP_LE }, { "=", OP_EQ }, { ">=", OP_GE }, { ">>", OP_GT },
		/* Obsolete, and not what they look like. */
		{ "<", OP_LE }, { ">", OP_GE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (op.length == strlen(ops[i].text) && !memcmp(op.at, ops[i].text, op.length))
			return ops[i].op;
	return OP_NONE;
}

/* "(op version)", the cursor at the parenthesis. */
static int term_bound(struct term_cursor *cursor, struct term *term, struct mistake *mistake)
{
	const char *open = cursor->at++;
	struct slice op = { NULL, 0 };

	skip_blanks(cursor);
	op.at = cursor->at;
	while (cursor->at < cursor->end && strchr("<>=", *cursor->at))
		cursor->at++;
	op.length = cursor->at - op.at;
	term->op = op_of(op);
	if (term->op == OP_NONE || (cursor->provides && term->op != OP_EQ))
		return mistake_set(mistake, open, "bad relation operator \"%.*s\"", quoted(op),
				   op.at);
	skip_blanks(cursor);
	term->bound = word(cursor, "),|");
	skip_blanks(cursor);
	if (cursor->at == cursor->end || *cursor->at != ')')
		return mistake_set(mistake, open, "a relation's parenthesis is not closed");
	cursor->at++;
	return version_check(term->bound, mistake);
}

/**
 * term_next - the next term of a relation field
 * @cursor: from term_begin()
 * @term: filled in
 * @mistake: why not
 *
 * Return: 1, 0 at the end of the field, or -EINVAL.
 */
int term_next(struct term_cursor *cursor, struct term *term, struct mistake *mistake)
{
	int err;

	if (!cursor->more)
		return 0;
	memset(term, 0, sizeof(*term));
	term->alternative = cursor->alternative;
	skip_blanks(cursor);
	err = term_name(cursor, term, mistake);
	if (err)
		return err;
	skip_blanks(cursor);
	if (cursor->at < cursor->end && *cursor->at == '(') {
		err = term_bound(cursor, term, mistake);
		if (err)
			return err;
		skip_blanks(cursor);
	}
	cursor->more = cursor->at < cursor->end;
	cursor->alternative = cursor->more && *cursor->at == '|';
	if (cursor->more && (!strchr(",|", *cursor->at) ||
			     (cursor->alternative && cursor->provides)))
		return mistake_set(mistake, cursor->at, "unexpected \"%c\" in a relation",
				   *cursor->at);
	cursor->at += cursor->more;
	return 1;
}
