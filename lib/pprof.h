/* SPDX-License-Identifier: MIT */
/*
 * A profile in the format of github.com/google/pprof: gzip of the protobuf message
 * perftools.profiles.Profile, built in memory and written in one go.
 *
 * One thread's.  A lack of memory is remembered and told at the end, so that callers
 * need not look at each step.
 */
#ifndef GCARENA_PPROF_H
#define GCARENA_PPROF_H

#include <stddef.h>
#include <stdint.h>

#include "addrmap.h"
#include "symbols.h"

/* A growing buffer of encoded fields. */
struct pbuf {
	uint8_t *data;
	size_t nr;
	size_t max;
	int error;
};

struct pprof {
	struct pbuf message;
	struct pbuf strings;	/* the table's entries, encoded */
	uint64_t nr_strings;
	struct addrmap functions; /* start to id */
	struct addrmap locations; /* pc to id */
	struct mappings mappings;
};

/* A label of a sample: a string, or a number in a unit. */
struct pprof_label {
	const char *key;
	const char *text;	/* NULL: the number */
	int64_t number;
	const char *unit;
};

/* 0 or a negative errno. */
int pprof_begin(struct pprof *pprof);
void pprof_value_type(struct pprof *pprof, const char *type, const char *unit);
/* Innermost frame first; those of the library itself are left out. */
void pprof_sample(struct pprof *pprof, const uintptr_t *pcs, uint32_t depth,
		  const int64_t *values, unsigned int nr_values, const struct pprof_label *label);
void pprof_period(struct pprof *pprof, const char *type, const char *unit, uint64_t period);
void pprof_default(struct pprof *pprof, const char *type);
void pprof_comment(struct pprof *pprof, const char *text);
/* Adds what the samples refer to, writes it all, and frees.  0 or a negative errno. */
int pprof_end(struct pprof *pprof, uint64_t begun_ns, int fd);

#endif /* GCARENA_PPROF_H */
