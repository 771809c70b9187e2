/* SPDX-License-Identifier: MIT */
/*
 * Many questions, shared out among threads.
 *
 * Question number q of a batch is a pure function of the seed, the batch and q,
 * and its answer goes into place q of an array outside the heap.  So which
 * thread asks it, and when, cannot be seen in the result.
 */
#ifndef DEPGRAPH_ASK_H
#define DEPGRAPH_ASK_H

#include "crew.h"
#include "query.h"

enum question {
	ASK_DEPENDERS,
	ASK_INSTALL,
	ASK_INSTALL_RECOMMENDS,
	ASK_COMPONENTS,
	QUESTIONS,
};

/**
 * struct asked - one question and its answer
 * @question: what was asked
 * @id: of the package it was asked about
 * @answer: the answer
 */
struct asked {
	enum question question;
	uint32_t id;
	struct answer answer;
};

/**
 * struct batch - questions to be asked
 * @seed: of the run
 * @number: of the batch
 * @nr: how many
 * @next: the first that nobody has taken; atomic
 * @asked: @nr places; each written by the thread that took the number
 */
struct batch {
	uint32_t seed;
	uint32_t number;
	uint32_t nr;
	uint32_t next;
	struct asked *asked;
};

int batch_work(struct gca_mutator *m, struct crew *crew, struct batch *batch);
void batch_print(const struct batch *batch, const struct graph *graph, uint32_t singly);

#endif /* DEPGRAPH_ASK_H */
