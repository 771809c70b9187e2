/* SPDX-License-Identifier: MIT */
/*
 * The messages of profile.proto (github.com/google/pprof) by the numbers of their fields, and
 * how a number is encoded: for who writes profiles, lib/pprof.c in the process and
 * tools/profile.c after it.  Needs nothing of the library.
 */
#ifndef GCARENA_PROFILE_PROTO_H
#define GCARENA_PROFILE_PROTO_H

#include <stddef.h>
#include <stdint.h>

enum {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE,
	PROFILE_MAPPING,
	PROFILE_LOCATION,
	PROFILE_FUNCTION,
	PROFILE_STRING_TABLE,
	PROFILE_DROP_FRAMES,
	PROFILE_KEEP_FRAMES,
	PROFILE_TIME_NANOS,
	PROFILE_DURATION_NANOS,
	PROFILE_PERIOD_TYPE,
	PROFILE_PERIOD,
	PROFILE_COMMENT,
	PROFILE_DEFAULT_SAMPLE_TYPE,

	TYPE_TYPE = 1,
	TYPE_UNIT,

	SAMPLE_LOCATION = 1,
	SAMPLE_VALUE,
	SAMPLE_LABEL,

	LABEL_KEY = 1,
	LABEL_STR,
	LABEL_NUM,
	LABEL_UNIT,

	MAPPING_ID = 1,
	MAPPING_START,
	MAPPING_LIMIT,
	MAPPING_OFFSET,
	MAPPING_FILENAME,
	MAPPING_BUILD_ID,
	MAPPING_HAS_FUNCTIONS,
	MAPPING_HAS_FILENAMES,
	MAPPING_HAS_LINE_NUMBERS,
	MAPPING_HAS_INLINE_FRAMES,

	LOCATION_ID = 1,
	LOCATION_MAPPING,
	LOCATION_ADDRESS,
	LOCATION_LINE,

	LINE_FUNCTION = 1,
	LINE_LINE,

	FUNCTION_ID = 1,
	FUNCTION_NAME,
	FUNCTION_SYSTEM_NAME,
	FUNCTION_FILENAME,
};

/* What follows a field's key, field << 3 | one of these. */
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

#define VARINT_MAX	10u

/* Seven bits a byte, the lowest first, all but the last with the eighth: how many. */
static inline size_t varint_encode(uint8_t bytes[VARINT_MAX], uint64_t value)
{
	size_t nr = 0;

	for (; value > 0x7f; value >>= 7)
		bytes[nr++] = (uint8_t)(value | 0x80);
	bytes[nr++] = (uint8_t)value;
	return nr;
}

#endif /* GCARENA_PROFILE_PROTO_H */
