/* SPDX-License-Identifier: MIT */
/*
 * A reader of profile.proto for tests: what "go tool pprof" would read, where there is
 * no Go.  Written from the format's description, not from the library's writer.
 *
 * Whatever is wrong with a file is an error in a sentence; nothing is guessed.
 */
#ifndef SELFTESTS_LIB_PPROF_H
#define SELFTESTS_LIB_PPROF_H

#include <zlib.h>

#include "lib.h"

#define PROFILE_VALUES	4
#define PROFILE_ITEMS	4096

struct profile_field {
	uint64_t number;
	uint64_t value;		/* of a varint */
	const uint8_t *data;	/* of what has a length */
	size_t length;
};

struct profile_sample {
	uint64_t leaf;		/* location's id, 0: no stack */
	int64_t values[PROFILE_VALUES];
	uint64_t nr_values;
	uint64_t label;		/* index of a string, or 0 */
	uint64_t label_number;
};

struct profile_read {
	uint8_t *data;
	size_t length;
	const char *error;	/* NULL: it could be read */
	const char *strings[PROFILE_ITEMS]; /* not ended: with their lengths */
	size_t lengths[PROFILE_ITEMS];
	size_t nr_strings;
	struct profile_sample samples[PROFILE_ITEMS];
	size_t nr_samples;
	uint64_t function_of[PROFILE_ITEMS]; /* of a location */
	uint64_t name_of[PROFILE_ITEMS];	/* of a function */
	size_t nr_types;
	uint64_t type[PROFILE_VALUES];
	uint64_t period;
	size_t nr_mappings;
	uint64_t first_file;
	uint64_t first_build_id;
};

static UNUSED bool profile_varint(const uint8_t **at, const uint8_t *end, uint64_t *value)
{
	unsigned int shift = 0;

	*value = 0;
	for (; *at < end && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* The next field of a message: false at its end, or with *bad. */
static UNUSED bool profile_next(const uint8_t **at, const uint8_t *end,
				struct profile_field *field, bool *bad)
{
	uint64_t key;

	if (*at == end)
		return false;
	*bad = true;
	memset(field, 0, sizeof(*field));
	if (!profile_varint(at, end, &key) || !profile_varint(at, end, &field->value))
		return false;
	field->number = key >> 3;
	if ((key & 7) == 2) {
		if (field->value > (size_t)(end - *at))
			return false;
		field->data = *at;
		field->length = field->value;
		*at += field->length;
	} else if (key & 7) {
		return false;
	}
	*bad = false;
	return true;
}

static UNUSED bool profile_read_sample(struct profile_read *read, const struct profile_field *of)
{
	struct profile_sample *sample = &read->samples[read->nr_samples++];
	const uint8_t *at = of->data, *end = at + of->length;
	struct profile_field field, label;
	bool bad = false;
	uint64_t value;

	while (profile_next(&at, end, &field, &bad)) {
		const uint8_t *in = field.data, *in_end = in + field.length;

		if (field.number == 1) {
			if (in < in_end && !profile_varint(&in, in_end, &sample->leaf))
				return false;
		} else if (field.number == 2) {
			while (in < in_end && sample->nr_values < PROFILE_VALUES) {
				if (!profile_varint(&in, in_end, &value))
					return false;
				sample->values[sample->nr_values++] = (int64_t)value;
			}
		} else if (field.number == 3) {
			while (profile_next(&in, in_end, &label, &bad)) {
				if (label.number == 2)
					sample->label = label.value;
				if (label.number == 3)
					sample->label_number = label.value;
			}
		}
	}
	return !bad;
}

/* Field @want of the message @of; of a message in it if @inner. */
static UNUSED uint64_t profile_get(const struct profile_field *of, uint64_t want, uint64_t inner)
{
	const uint8_t *at = of->data, *end = at + of->length;
	struct profile_field field;
	bool bad = false;

	while (profile_next(&at, end, &field, &bad))
		if (field.number == want)
			return inner ? profile_get(&field, inner, 0) : field.value;
	return 0;
}

static UNUSED bool profile_take(struct profile_read *read, const struct profile_field *field)
{
	uint64_t id;

	switch (field->number) {
	case 1:
		if (read->nr_types == PROFILE_VALUES)
			return false;
		read->type[read->nr_types++] = profile_get(field, 1, 0);
		return true;
	case 2:
		return read->nr_samples < PROFILE_ITEMS && profile_read_sample(read, field);
	case 3:
		if (!read->nr_mappings++) {
			read->first_file = profile_get(field, 5, 0);
			read->first_build_id = profile_get(field, 6, 0);
		}
		return true;
	case 4:
		id = profile_get(field, 1, 0);
		if (!id || id >= PROFILE_ITEMS)
			return false;
		read->function_of[id] = profile_get(field, 4, 1);
		return true;
	case 5:
		id = profile_get(field, 1, 0);
		if (!id || id >= PROFILE_ITEMS)
			return false;
		read->name_of[id] = profile_get(field, 2, 0);
		return true;
	case 6:
		if (read->nr_strings == PROFILE_ITEMS)
			return false;
		read->strings[read->nr_strings] = (const char *)field->data;
		read->lengths[read->nr_strings++] = field->length;
		return true;
	case 12:
		read->period = field->value;
		return true;
	default:
		return true;
	}
}

/* Reads @path.  Free with profile_done(). */
static UNUSED struct profile_read *profile_open_file(const char *path)
{
	struct profile_read *read = calloc(1, sizeof(*read));
	struct profile_field field;
	const uint8_t *at, *end;
	size_t room = 16 * MIB;
	bool bad = false;
	gzFile file = gzopen(path, "rb");
	int got = -1;

	if (!read)
		bail("no memory");
	read->data = malloc(room);
	if (file && read->data)
		got = gzread(file, read->data, (unsigned int)room);
	if (got < 0 || !file || gzdirect(file))
		read->error = "no gzip";
	if (file && gzclose(file) != Z_OK)
		read->error = "the gzip is cut off";
	if (read->error)
		return read;
	read->length = (size_t)got;
	at = read->data;
	end = at + read->length;
	while (profile_next(&at, end, &field, &bad))
		if (!profile_take(read, &field))
			bad = true;
	if (bad)
		read->error = "a field is bad";
	else if (!read->nr_strings || read->lengths[0])
		read->error = "the first string is not empty";
	return read;
}

static UNUSED void profile_done(struct profile_read *read)
{
	free(read->data);
	free(read);
}

static UNUSED bool profile_string_is(const struct profile_read *read, uint64_t index,
				     const char *text)
{
	return index < read->nr_strings && read->lengths[index] == strlen(text) &&
	       !memcmp(read->strings[index], text, strlen(text));
}

/* The sum of values @type of samples whose innermost function is @name; NULL: any. */
static UNUSED int64_t profile_flat(const struct profile_read *read, const char *name,
				   const char *type)
{
	int64_t sum = 0;
	size_t column, i;

	for (column = 0; column < read->nr_types; column++)
		if (profile_string_is(read, read->type[column], type))
			break;
	if (column == read->nr_types)
		return -1;
	for (i = 0; i < read->nr_samples; i++) {
		uint64_t leaf = read->samples[i].leaf;

		if (name && (leaf >= PROFILE_ITEMS ||
			     !profile_string_is(read, read->name_of[read->function_of[leaf]],
						name)))
			continue;
		sum += read->samples[i].values[column];
	}
	return sum;
}

#endif /* SELFTESTS_LIB_PPROF_H */
