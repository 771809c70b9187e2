// SPDX-License-Identifier: MIT
/*
 * Lines for a profile: the message Profile of profile.proto is read, and written again with
 * what the debug info of the files knows of its locations.
 *
 * The process that made it looked at symbols only: debug info takes time and memory that
 * are not the program's to spend.  "go tool pprof" reads it by itself, but knows nothing of
 * inlined functions, as all that allocate are.  Where a mapping's file is not there any
 * more, or another one, its locations stay as they were.
 *
 * Fields that are not needed here are copied as they are.
 */
#include "lines.h"
#include "../lib/profile_proto.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define BYTES_MAX	(1ull << 30)	/* of a profile, unpacked */
#define FRAMES_MAX	32u
#define GZIP_BITS	(15 + 16)

struct field {
	unsigned int number;
	uint64_t value;		/* a varint's */
	const char *bytes;	/* of a string or message; NULL: it is none */
	size_t length;
	const char *begin;	/* with its key */
	const char *end;
};

struct mapping {
	uint64_t id, start, limit, offset, filename, build_id;
	struct lines *lines;	/* NULL: its locations stay as they are */
};

struct string {
	const char *bytes;
	size_t length;
};

struct function {
	uint64_t id;
	const char *name;
	const char *file;
};

struct profile {
	struct string *strings;
	uint64_t nr_strings;
	struct mapping *mappings;
	size_t nr_mappings;
	uint64_t last_function;	/* the greatest id */
	struct function *functions; /* that are new */
	size_t nr_functions;
	struct text out;
	struct text new_strings;
};

/* ----------------------------------------------------------------- reading */

static bool take_varint(const char **at, const char *end, uint64_t *value)
{
	unsigned int shift;

	*value = 0;
	for (shift = 0; shift < 64 && *at < end; shift += 7) {
		unsigned char byte = (unsigned char)*(*at)++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* The next field of a message; false: it is damaged.  Not called at its end. */
static bool take_field(const char **at, const char *end, struct field *field)
{
	uint64_t key, length;

	memset(field, 0, sizeof(*field));
	field->begin = *at;
	if (!take_varint(at, end, &key) || key >> 3 > UINT32_MAX)
		return false;
	field->number = (unsigned int)(key >> 3);
	length = 0;
	switch (key & 7) {
	case WIRE_VARINT:
		if (!take_varint(at, end, &field->value))
			return false;
		break;
	case WIRE_BYTES:
		if (!take_varint(at, end, &length))
			return false;
		field->bytes = *at;
		field->length = length;
		break;
	case WIRE_64:
		length = sizeof(uint64_t);
		break;
	case WIRE_32:
		length = sizeof(uint32_t);
		break;
	default:
		return false;
	}
	if (length > (uint64_t)(end - *at))
		return false;
	*at += length;
	field->end = *at;
	return true;
}

static bool read_mapping(struct profile *profile, const struct field *message)
{
	const char *at = message->bytes, *end = at + message->length;
	struct mapping *mapping;
	struct field field;

	profile->mappings = tool_realloc(profile->mappings, (profile->nr_mappings + 1) *
					 sizeof(*profile->mappings));
	mapping = &profile->mappings[profile->nr_mappings++];
	memset(mapping, 0, sizeof(*mapping));
	while (at < end) {
		if (!take_field(&at, end, &field))
			return false;
		switch (field.number) {
		case MAPPING_ID:
			mapping->id = field.value;
			break;
		case MAPPING_START:
			mapping->start = field.value;
			break;
		case MAPPING_LIMIT:
			mapping->limit = field.value;
			break;
		case MAPPING_OFFSET:
			mapping->offset = field.value;
			break;
		case MAPPING_FILENAME:
			mapping->filename = field.value;
			break;
		case MAPPING_BUILD_ID:
			mapping->build_id = field.value;
			break;
		}
	}
	return true;
}

static bool read_function(struct profile *profile, const struct field *message)
{
	const char *at = message->bytes, *end = at + message->length;
	struct field field;

	while (at < end) {
		if (!take_field(&at, end, &field))
			return false;
		if (field.number == FUNCTION_ID && field.value > profile->last_function)
			profile->last_function = field.value;
	}
	return profile->last_function < UINT64_MAX / 2;
}

/* What the rewriting must know before it begins. */
static bool read_profile(struct profile *profile, const struct text *in)
{
	const char *at = in->bytes, *end = at + in->length;
	uint64_t room = 0;
	struct field field;
	bool fine = true;

	while (fine && at < end) {
		fine = take_field(&at, end, &field);
		if (!fine || !field.bytes)
			continue;
		if (field.number == PROFILE_MAPPING) {
			fine = read_mapping(profile, &field);
		} else if (field.number == PROFILE_FUNCTION) {
			fine = read_function(profile, &field);
		} else if (field.number == PROFILE_STRING_TABLE) {
			if (profile->nr_strings == room) {
				room = room ? 2 * room : 256;
				profile->strings = tool_realloc(profile->strings,
								room * sizeof(*profile->strings));
			}
			profile->strings[profile->nr_strings++] =
				(struct string){ field.bytes, field.length };
		}
	}
	/* The first string of each profile is empty. */
	return fine && profile->nr_strings && !profile->strings[0].length;
}

static char *string_at(const struct profile *profile, uint64_t index)
{
	const struct string *string;
	char *text;

	if (index >= profile->nr_strings)
		index = 0;
	string = &profile->strings[index];
	text = tool_alloc(string->length + 1);
	memcpy(text, string->bytes, string->length);
	return text;
}

static void open_files(struct profile *profile)
{
	size_t i;

	for (i = 0; i < profile->nr_mappings; i++) {
		struct mapping *mapping = &profile->mappings[i];
		char *path = string_at(profile, mapping->filename);
		char *build_id = string_at(profile, mapping->build_id);

		if (path[0] == '/')
			mapping->lines = lines_open(path, build_id);
		free(path);
		free(build_id);
	}
}

/* ----------------------------------------------------------------- writing */

static void put_varint(struct text *out, uint64_t value)
{
	uint8_t bytes[VARINT_MAX];

	text_append(out, bytes, varint_encode(bytes, value));
}

static void put_number(struct text *out, unsigned int field, uint64_t value)
{
	put_varint(out, field << 3 | WIRE_VARINT);
	put_varint(out, value);
}

static void put_bytes(struct text *out, unsigned int field, const void *bytes, size_t length)
{
	put_varint(out, field << 3 | WIRE_BYTES);
	put_varint(out, length);
	text_append(out, bytes, length);
}

static void put_message(struct text *out, unsigned int field, struct text *message)
{
	put_bytes(out, field, message->bytes ? message->bytes : "", message->length);
	text_free(message);
}

static uint64_t new_string(struct profile *profile, const char *text)
{
	put_bytes(&profile->new_strings, PROFILE_STRING_TABLE, text, strlen(text));
	return profile->nr_strings++;
}

/* The id of a function of the debug info's, which is put there once. */
static uint64_t function_of(struct profile *profile, const struct frame *frame)
{
	struct text message = { 0 };
	struct function *function;
	const char *file = frame->file ? frame->file : "";
	uint64_t name;
	size_t i;

	/* The strings are the debug info's, and stay where they are. */
	for (i = 0; i < profile->nr_functions; i++)
		if (profile->functions[i].name == frame->function &&
		    !strcmp(profile->functions[i].file, file))
			return profile->functions[i].id;
	profile->functions = tool_realloc(profile->functions, (profile->nr_functions + 1) *
					  sizeof(*profile->functions));
	function = &profile->functions[profile->nr_functions++];
	*function = (struct function){ ++profile->last_function, frame->function, file };
	name = new_string(profile, frame->function);
	put_number(&message, FUNCTION_ID, function->id);
	put_number(&message, FUNCTION_NAME, name);
	put_number(&message, FUNCTION_SYSTEM_NAME, name);
	put_number(&message, FUNCTION_FILENAME, new_string(profile, file));
	put_message(&profile->out, PROFILE_FUNCTION, &message);
	return function->id;
}

/* False: nothing is known of it but what it has. */
static bool write_location(struct profile *profile, const struct field *message)
{
	const char *at = message->bytes, *end = at + message->length;
	uint64_t id = 0, mapping_id = 0, address = 0;
	struct frame frames[FRAMES_MAX];
	struct text out = { 0 }, line = { 0 };
	const struct mapping *mapping = NULL;
	struct field field;
	size_t i, nr = 0;

	while (at < end) {
		if (!take_field(&at, end, &field))
			return false;
		if (field.number == LOCATION_ID)
			id = field.value;
		else if (field.number == LOCATION_MAPPING)
			mapping_id = field.value;
		else if (field.number == LOCATION_ADDRESS)
			address = field.value;
	}
	for (i = 0; i < profile->nr_mappings; i++)
		if (profile->mappings[i].id == mapping_id)
			mapping = &profile->mappings[i];
	if (mapping && mapping->lines && address >= mapping->start && address < mapping->limit)
		nr = lines_at(mapping->lines, address - mapping->start + mapping->offset, frames,
			      FRAMES_MAX);
	if (!nr)
		return false;
	put_number(&out, LOCATION_ID, id);
	put_number(&out, LOCATION_MAPPING, mapping_id);
	put_number(&out, LOCATION_ADDRESS, address);
	for (i = 0; i < nr; i++) {
		put_number(&line, LINE_FUNCTION, function_of(profile, &frames[i]));
		put_number(&line, LINE_LINE, frames[i].line);
		put_message(&out, LOCATION_LINE, &line);
	}
	put_message(&profile->out, PROFILE_LOCATION, &out);
	return true;
}

/* A reader is told that there is nothing left to look up. */
static void write_mapping(struct profile *profile, const struct field *message)
{
	struct text out = { 0 };

	text_append(&out, message->bytes, message->length);
	put_number(&out, MAPPING_HAS_FUNCTIONS, 1);
	put_number(&out, MAPPING_HAS_FILENAMES, 1);
	put_number(&out, MAPPING_HAS_LINE_NUMBERS, 1);
	put_number(&out, MAPPING_HAS_INLINE_FRAMES, 1);
	put_message(&profile->out, PROFILE_MAPPING, &out);
}

static void write_profile(struct profile *profile, const struct text *in)
{
	const char *at = in->bytes, *end = at + in->length;
	struct field field;
	size_t mapping = 0;

	/* It was read once: each field is whole. */
	while (at < end && take_field(&at, end, &field)) {
		if (field.number == PROFILE_MAPPING && field.bytes &&
		    profile->mappings[mapping++].lines)
			write_mapping(profile, &field);
		else if (field.number != PROFILE_LOCATION || !field.bytes ||
			 !write_location(profile, &field))
			text_append(&profile->out, field.begin,
				    (size_t)(field.end - field.begin));
	}
	if (profile->new_strings.length)
		text_append(&profile->out, profile->new_strings.bytes,
			    profile->new_strings.length);
}

/* -------------------------------------------------------------------- gzip */

static bool unpack(const struct text *in, struct text *out)
{
	z_stream stream = { .next_in = (Bytef *)in->bytes, .avail_in = (uInt)in->length };
	char buffer[65536];
	int status;

	if (in->length > UINT32_MAX || inflateInit2(&stream, GZIP_BITS) != Z_OK)
		return false;
	do {
		stream.next_out = (Bytef *)buffer;
		stream.avail_out = sizeof(buffer);
		status = inflate(&stream, Z_NO_FLUSH);
		if (status == Z_OK || status == Z_STREAM_END)
			text_append(out, buffer, sizeof(buffer) - stream.avail_out);
	} while (status == Z_OK && out->length <= BYTES_MAX);
	inflateEnd(&stream);
	return status == Z_STREAM_END;
}

static bool pack(const struct text *in, struct text *out)
{
	z_stream stream = { .next_in = (Bytef *)in->bytes, .avail_in = (uInt)in->length };
	char *buffer;
	uLong room;
	bool fine;

	if (in->length > UINT32_MAX ||
	    deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_BITS, 8,
			 Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	room = deflateBound(&stream, (uLong)in->length);
	buffer = tool_alloc(room);
	stream.next_out = (Bytef *)buffer;
	stream.avail_out = (uInt)room;
	fine = deflate(&stream, Z_FINISH) == Z_STREAM_END;
	if (fine)
		text_append(out, buffer, stream.total_out);
	deflateEnd(&stream);
	free(buffer);
	return fine;
}

/**
 * profile_add_lines - put lines and inlined functions into a profile
 * @profile: as a file has it; the new one afterwards
 * @name: what it is called in words
 *
 * Return: TOOL_OK, or TOOL_FAILED when tool_fail() has said why.
 */
int profile_add_lines(struct text *profile, const char *name)
{
	struct profile reading = { 0 };
	struct text message = { 0 }, packed = { 0 };
	int status = TOOL_OK;
	size_t i;

	if (!profile->length || !unpack(profile, &message))
		status = tool_fail("%s is no profile, or cut off", name);
	else if (!message.length || !read_profile(&reading, &message))
		status = tool_fail("%s is no profile: damaged, or something else", name);
	if (status == TOOL_OK) {
		open_files(&reading);
		write_profile(&reading, &message);
		if (!pack(&reading.out, &packed))
			status = tool_fail("%s: too large", name);
	}
	if (status == TOOL_OK) {
		text_free(profile);
		*profile = packed;
	}
	for (i = 0; i < reading.nr_mappings; i++)
		if (reading.mappings[i].lines)
			lines_close(reading.mappings[i].lines);
	free(reading.mappings);
	free(reading.strings);
	free(reading.functions);
	text_free(&reading.out);
	text_free(&reading.new_strings);
	text_free(&message);
	return status;
}
