/* SPDX-License-Identifier: MIT */
/*
 * The three steps of the job, and what the command line can ask of them.
 */
#ifndef DEPGRAPH_JOB_H
#define DEPGRAPH_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "index.h"

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,	/* out of memory, no heap, no thread */
	STATUS_INPUT = 2,	/* usage, or an index that cannot be used */
};

/**
 * struct options - what the command line asks for
 * @index: path, or "-"
 * @threads: mutators at work at a time
 * @rounds: of replacement in step 2
 * @queries: in step 1; each round asks a quarter of it
 * @seed: chooses what is asked and what is replaced when
 * @hold_seconds: between the drop and the last look
 * @no_collect: no collection but at the steps' ends
 * @progress: a line each second
 * @wrong: spoil the graph, to see that the answers tell
 */
struct options {
	const char *index;
	uint32_t threads;
	uint32_t rounds;
	uint32_t queries;
	uint32_t seed;
	uint32_t hold_seconds;
	bool no_collect;
	bool progress;
	bool wrong;
};

enum exit_status job_run(const struct options *options, const struct index *index);

#endif /* DEPGRAPH_JOB_H */
