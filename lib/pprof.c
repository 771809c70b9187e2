// SPDX-License-Identifier: MIT
/*
 * The message Profile of profile.proto, field by field.  Only what is written here is
 * encoded: unsigned and signed numbers as varints, strings and messages by length.
 *
 * Functions get their names, so that any reader shows them, but the mappings do not say
 * that they have: a reader that knows debug information looks lines up itself, and
 * inlined functions, of which drop_frames takes the library's away.
 */
#include "internal.h"
#include "pprof.h"
#include "profile_proto.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* Frames in which an allocation is the library's, from the innermost, at most. */
#define LIBRARY_FRAMES	12u
/* What a program calls to allocate, inlined or not. */
#define ALLOCATORS	"gca_alloc.*|gca_new.*|gca_strn?dup|gca_realloc|gca_weak_.*|gca_ephemeron_.*"

static void put_bytes(struct pbuf *buf, const void *data, size_t nr)
{
	size_t want = buf->max ? buf->max : 4096;
	uint8_t *grown;

	while (want - buf->nr < nr)
		want *= 2;
	if (want != buf->max) {
		grown = buf->error ? NULL : realloc(buf->data, want);
		if (!grown) {
			buf->error = -ENOMEM;
			return;
		}
		buf->data = grown;
		buf->max = want;
	}
	memcpy(buf->data + buf->nr, data, nr);
	buf->nr += nr;
}

static void put_varint(struct pbuf *buf, uint64_t value)
{
	uint8_t bytes[VARINT_MAX];

	put_bytes(buf, bytes, varint_encode(bytes, value));
}

static void put_number(struct pbuf *buf, unsigned int field, uint64_t value)
{
	/* 0 is what a reader takes a missing one for. */
	if (!value)
		return;
	put_varint(buf, field << 3 | WIRE_VARINT);
	put_varint(buf, value);
}

static void put_string(struct pbuf *buf, unsigned int field, const void *data, size_t nr)
{
	put_varint(buf, field << 3 | WIRE_BYTES);
	put_varint(buf, nr);
	put_bytes(buf, data, nr);
}

/* @inner becomes a field of @buf, and is freed. */
static void put_message(struct pbuf *buf, unsigned int field, struct pbuf *inner)
{
	if (inner->error)
		buf->error = inner->error;
	else
		put_string(buf, field, inner->data ? inner->data : (uint8_t *)"", inner->nr);
	free(inner->data);
	*inner = (struct pbuf){ 0 };
}

/* The index of @text in the table of strings: each is put there anew. */
static uint64_t string(struct pprof *pprof, const char *text)
{
	if (pprof->nr_strings && !*text)
		return 0;
	put_string(&pprof->strings, PROFILE_STRING_TABLE, text, strlen(text));
	return pprof->nr_strings++;
}

static void put_type(struct pprof *pprof, unsigned int field, const char *type, const char *unit)
{
	struct pbuf inner = { 0 };

	put_number(&inner, TYPE_TYPE, string(pprof, type));
	put_number(&inner, TYPE_UNIT, string(pprof, unit));
	put_message(&pprof->message, field, &inner);
}

/**
 * pprof_begin - begin a profile
 * @pprof: to be filled
 *
 * Return: 0 or a negative errno.
 */
int pprof_begin(struct pprof *pprof)
{
	memset(pprof, 0, sizeof(*pprof));
	/* The first one is empty. */
	string(pprof, "");
	return mappings_read(&pprof->mappings);
}

/**
 * pprof_value_type - what the next value of each sample is
 * @pprof: the profile, without samples yet
 * @type: what it counts
 * @unit: in what
 */
void pprof_value_type(struct pprof *pprof, const char *type, const char *unit)
{
	put_type(pprof, PROFILE_SAMPLE_TYPE, type, unit);
}

/* The id of a new function, or of one that was there. */
static uint64_t function_of(struct pprof *pprof, const char *name, uintptr_t start)
{
	struct pbuf inner = { 0 };
	uint64_t id, text;

	if (addrmap_get(&pprof->functions, start, &id))
		return id;
	id = pprof->functions.nr + 1;
	if (addrmap_put(&pprof->functions, start, id)) {
		pprof->message.error = -ENOMEM;
		return 0;
	}
	text = string(pprof, name);
	put_number(&inner, FUNCTION_ID, id);
	put_number(&inner, FUNCTION_NAME, text);
	put_number(&inner, FUNCTION_SYSTEM_NAME, text);
	put_message(&pprof->message, PROFILE_FUNCTION, &inner);
	return id;
}

static uint64_t location_of(struct pprof *pprof, uintptr_t pc)
{
	struct mapping *mapping = mapping_of(&pprof->mappings, pc);
	struct pbuf inner = { 0 }, line = { 0 };
	const char *name = NULL;
	uintptr_t start;
	uint64_t id;

	if (addrmap_get(&pprof->locations, pc, &id))
		return id;
	id = pprof->locations.nr + 1;
	if (addrmap_put(&pprof->locations, pc, id)) {
		pprof->message.error = -ENOMEM;
		return 0;
	}
	put_number(&inner, LOCATION_ID, id);
	if (mapping) {
		mapping->used = true;
		put_number(&inner, LOCATION_MAPPING,
			   (uint64_t)(mapping - pprof->mappings.entries) + 1);
		name = symbol_of(mapping, pc, &start);
	}
	put_number(&inner, LOCATION_ADDRESS, pc);
	if (name) {
		put_number(&line, LINE_FUNCTION, function_of(pprof, name, start));
		put_message(&inner, LOCATION_LINE, &line);
	}
	put_message(&pprof->message, PROFILE_LOCATION, &inner);
	return id;
}

static const char *name_of(struct pprof *pprof, uintptr_t pc)
{
	struct mapping *mapping = mapping_of(&pprof->mappings, pc);
	uintptr_t start;
	const char *name = mapping ? symbol_of(mapping, pc, &start) : NULL;

	return name ? name : "";
}

/* How many of the innermost frames are the library's: up to the last function of the
 * API, which may have called another.  What a finalizer does is the program's.
 */
static uint32_t library_frames(struct pprof *pprof, const uintptr_t *pcs, uint32_t depth)
{
	uint32_t i, nr = 0;

	for (i = 0; i < depth && i < LIBRARY_FRAMES; i++) {
		const char *name = name_of(pprof, pcs[i]);

		if (!strcmp(name, "gca_finalizers_run"))
			break;
		if (!strncmp(name, "gca_", 4))
			nr = i + 1;
	}
	return nr < depth ? nr : 0;
}

/**
 * pprof_sample - add a sample
 * @pprof: the profile
 * @pcs: its stack, from the innermost
 * @depth: frames of it
 * @values: as many as there are types
 * @nr_values: how many that is
 * @label: what else is known
 */
void pprof_sample(struct pprof *pprof, const uintptr_t *pcs, uint32_t depth,
		  const int64_t *values, unsigned int nr_values, const struct pprof_label *label)
{
	struct pbuf sample = { 0 }, inner = { 0 };
	uint32_t i;

	for (i = library_frames(pprof, pcs, depth); i < depth; i++)
		put_varint(&inner, location_of(pprof, pcs[i]));
	put_message(&sample, SAMPLE_LOCATION, &inner);
	for (i = 0; i < nr_values; i++)
		put_varint(&inner, (uint64_t)values[i]);
	put_message(&sample, SAMPLE_VALUE, &inner);
	put_number(&inner, LABEL_KEY, string(pprof, label->key));
	if (label->text) {
		put_number(&inner, LABEL_STR, string(pprof, label->text));
	} else {
		put_number(&inner, LABEL_NUM, (uint64_t)label->number);
		put_number(&inner, LABEL_UNIT, string(pprof, label->unit));
	}
	put_message(&sample, SAMPLE_LABEL, &inner);
	put_message(&pprof->message, PROFILE_SAMPLE, &sample);
}

/**
 * pprof_period - what stands between two samples
 * @pprof: the profile
 * @type: of what
 * @unit: in what
 * @period: how many of them
 */
void pprof_period(struct pprof *pprof, const char *type, const char *unit, uint64_t period)
{
	put_type(pprof, PROFILE_PERIOD_TYPE, type, unit);
	put_number(&pprof->message, PROFILE_PERIOD, period);
}

/**
 * pprof_default - which value a reader shows first
 * @pprof: the profile
 * @type: a type of value
 */
void pprof_default(struct pprof *pprof, const char *type)
{
	put_number(&pprof->message, PROFILE_DEFAULT_SAMPLE_TYPE, string(pprof, type));
}

/**
 * pprof_comment - a line for people
 * @pprof: the profile
 * @text: the line
 */
void pprof_comment(struct pprof *pprof, const char *text)
{
	put_number(&pprof->message, PROFILE_COMMENT, string(pprof, text));
}

/* A reader takes the first for the program: the kernel lists it there. */
static void put_mappings(struct pprof *pprof)
{
	struct pbuf inner = { 0 };
	size_t i;

	for (i = 0; i < pprof->mappings.nr; i++) {
		struct mapping *mapping = &pprof->mappings.entries[i];

		if (!mapping->used && i)
			continue;
		put_number(&inner, MAPPING_ID, i + 1);
		put_number(&inner, MAPPING_START, mapping->start);
		put_number(&inner, MAPPING_LIMIT, mapping->end);
		put_number(&inner, MAPPING_OFFSET, mapping->offset);
		put_number(&inner, MAPPING_FILENAME, string(pprof, mapping->path));
		put_number(&inner, MAPPING_BUILD_ID,
			   string(pprof, mapping_build_id(mapping)));
		put_message(&pprof->message, PROFILE_MAPPING, &inner);
	}
}

static int write_all(int fd, const uint8_t *data, size_t nr)
{
	while (nr) {
		ssize_t written = write(fd, data, nr);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? -errno : -EIO;
		data += written;
		nr -= (size_t)written;
	}
	return 0;
}

static int write_gzip(int fd, const struct pbuf *buf)
{
	enum { WINDOW_BITS = 15, GZIP = 16, MEMORY_LEVEL = 8 };
	z_stream stream = { .next_in = buf->data, .avail_in = (uInt)buf->nr };
	uint8_t *out;
	uLong room;
	int error;

	if (buf->nr > UINT32_MAX)
		return -EFBIG;
	if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP,
			 MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	room = deflateBound(&stream, (uLong)buf->nr);
	out = malloc(room);
	stream.next_out = out;
	stream.avail_out = (uInt)room;
	if (!out)
		error = -ENOMEM;
	else if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
		error = -EIO;
	else
		error = write_all(fd, out, stream.total_out);
	deflateEnd(&stream);
	free(out);
	return error;
}

/**
 * pprof_end - finish a profile and write it
 * @pprof: the profile; freed
 * @begun_ns: since when it is taken, wall clock
 * @fd: where it goes, or -1: only freed
 *
 * Return: 0 or a negative errno.
 */
int pprof_end(struct pprof *pprof, uint64_t begun_ns, int fd)
{
	struct timespec now;
	uint64_t ns;
	int error = 0;

	if (fd >= 0) {
		clock_gettime(CLOCK_REALTIME, &now);
		ns = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
		put_mappings(pprof);
		put_number(&pprof->message, PROFILE_DROP_FRAMES, string(pprof, ALLOCATORS));
		put_number(&pprof->message, PROFILE_TIME_NANOS, ns);
		put_number(&pprof->message, PROFILE_DURATION_NANOS,
			   ns > begun_ns ? ns - begun_ns : 0);
		if (pprof->strings.error)
			pprof->message.error = pprof->strings.error;
		else
			put_bytes(&pprof->message, pprof->strings.data, pprof->strings.nr);
		error = pprof->message.error;
		if (!error)
			error = write_gzip(fd, &pprof->message);
	}
	free(pprof->message.data);
	free(pprof->strings.data);
	addrmap_free(&pprof->functions);
	addrmap_free(&pprof->locations);
	mappings_free(&pprof->mappings);
	return error;
}
