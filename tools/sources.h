/* SPDX-License-Identifier: MIT */
/*
 * Where the commands have their figures from: endpoints of processes, and debugfs.
 *
 * What a source says is kept as it came, "name: value" lines, and looked up by name:
 * an older or a newer library says less or more, and nothing breaks.  Names and meanings
 * are in Documentation/observability.rst and debugfs.rst.
 */
#ifndef GCARENA_SOURCES_H
#define GCARENA_SOURCES_H

#include "tool.h"

/* --endpoint, or NULL: GCARENA_ENDPOINT, XDG_RUNTIME_DIR, and for root /run/user. */
extern const char *endpoint_root;

/* One heap, or one arena that no endpoint tells of. */
struct source {
	uint32_t pid;
	uint32_t heap;		/* its number in the process; 0: only debugfs knows it */
	uint32_t arena;		/* its number in debugfs; 0: the process backend */
	char comm[32];
	struct text text;	/* the endpoint's lines */
	struct text debugfs;	/* and the kernel's; empty if not readable */
};

struct sources {
	struct source *all;	/* by pid, heap, arena */
	size_t nr;
	struct text trouble;	/* a sentence a line: who did not answer, and why */
};

/* Asks all there are.  Stale endpoints of ours are removed. */
void sources_read(struct sources *sources);
/* Says who did not answer: TOOL_OK if nobody. */
int sources_complain(const struct sources *sources);
void sources_free(struct sources *sources);
/* The figure of that name; the endpoint's goes before the kernel's. */
bool source_value(const struct source *source, const char *name, uint64_t *value);
uint64_t source_number(const struct source *source, const char *name);

/* What a command was given: an arena's number, or pid:PID, or pid:PID/HEAP. */
struct target {
	uint32_t arena;		/* 0: a process's heap */
	uint32_t pid;
	uint32_t heap;		/* 0: the only one */
};

/* False: tool_misused() has said why. */
bool target_parse(const char *text, struct target *target);

/*
 * Asks the endpoint of process @pid; the answer is added to @answer.  TOOL_OK, or
 * TOOL_FAILED when tool_fail() has said why.
 */
int endpoint_ask(uint32_t pid, const char *request, struct text *answer);
/* The same without a word: NULL, or a sentence, good until the next call. */
const char *endpoint_try(uint32_t pid, const char *request, struct text *answer);
/* The same of a socket's path; NULL, or why not. */
const char *endpoint_ask_path(const char *path, const char *request, struct text *answer,
			      bool *stale);
/* The number of the only heap of a process, if @heap is 0.  TOOL_OK or TOOL_FAILED. */
int endpoint_only_heap(uint32_t pid, uint32_t *heap);

/* The share of idle memory beside what is in use, as debugfs defines it. */
double source_fragmentation(const struct source *source);
/* Of its memory: on huge pages.  False: it has none. */
bool source_huge_share(const struct source *source, double *share);

#endif /* GCARENA_SOURCES_H */
