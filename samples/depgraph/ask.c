// SPDX-License-Identifier: MIT
/*
 * Choosing the questions, asking them, printing the answers: see ask.h.
 *
 * Asking runs on conservative stacks.  Printing reads names out of the graph and
 * allocates nothing, so it is for any thread while nobody replaces.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "ask.h"
#include "hash.h"

/* One in so many questions is about the whole graph: it costs as much as many of
 * the others.
 */
#define COMPONENTS_EVERY	64

static const char *const question_names[QUESTIONS] = {
	[ASK_DEPENDERS] = "dependers",
	[ASK_INSTALL] = "install",
	[ASK_INSTALL_RECOMMENDS] = "install with recommends",
	[ASK_COMPONENTS] = "components",
};

/* Three in four are about something that a random package names: libraries, which
 * have many dependers, rather than programs, which have none.
 */
static struct package *subject(const struct graph *graph, uint64_t random)
{
	const struct list *indexed = gca_load(&graph->indexed);
	struct package *package = list_get(indexed, random % indexed->nr);
	const struct version *v = gca_load(&package->versions);
	const struct relation *r;
	struct package *target;

	random = hash_mix(random);
	if (!(random & 3) || !v->clauses)
		return package;
	r = gca_load(&v->clause[(random >> 2) % v->clauses]);
	target = gca_load(&r->target);
	return gca_load(&target->versions) ? target : package;
}

static int ask(struct gca_mutator *m, const struct batch *batch, uint32_t q, struct asked *asked)
{
	uint64_t random = hash_add(hash_add(hash_mix(batch->seed), batch->number), q);
	struct package *package = subject(gca_load(&roots.graph), random);

	asked->id = package->id;
	asked->question = q % 2 ? ASK_INSTALL + q / 2 % 2 : ASK_DEPENDERS;
	if (q % COMPONENTS_EVERY == COMPONENTS_EVERY - 1)
		asked->question = ASK_COMPONENTS;
	switch (asked->question) {
	case ASK_DEPENDERS:
		return query_dependers(m, package, &asked->answer);
	case ASK_COMPONENTS:
		return query_components(m, &asked->answer);
	default:
		return query_install(m, package, asked->question == ASK_INSTALL_RECOMMENDS,
				     &asked->answer);
	}
}

/**
 * batch_work - ask questions until none is left
 * @m: the calling thread's
 * @crew: which the thread is of
 * @batch: shared with the crew's other threads
 *
 * Return: 0 or -ENOMEM.
 */
int batch_work(struct gca_mutator *m, struct crew *crew, struct batch *batch)
{
	while (!crew_failed(crew)) {
		uint32_t q = __atomic_fetch_add(&batch->next, 1, __ATOMIC_RELAXED);
		int err;

		if (q >= batch->nr)
			break;
		err = ask(m, batch, q, &batch->asked[q]);
		if (err)
			return err;
	}
	return 0;
}

/**
 * batch_print - the answers
 * @batch: all of whose questions have been asked
 * @graph: the graph
 * @singly: how many to print one by one before the sums
 */
void batch_print(const struct batch *batch, const struct graph *graph, uint32_t singly)
{
	const struct list *packages = gca_load(&graph->packages);
	struct answer sum[QUESTIONS] = { 0 };
	uint32_t nr[QUESTIONS] = { 0 };

	for (uint32_t q = 0; q < batch->nr; q++) {
		const struct asked *asked = &batch->asked[q];
		const struct package *package = list_get(packages, asked->id);
		const struct answer *answer = &asked->answer;
		struct answer *to = &sum[asked->question];

		if (q < singly)
			printf("answer: %s %s: %" PRIu64 " packages, %" PRIu64
			       " %s, hash %016" PRIx64 "\n",
			       question_names[asked->question], gca_load(&package->name),
			       answer->size, answer->extra,
			       asked->question == ASK_DEPENDERS ? "other names" : "unsatisfied",
			       answer->hash);
		nr[asked->question]++;
		to->size += answer->size;
		to->extra += answer->extra;
		to->hash = hash_add(hash_add(to->hash, asked->id), answer->hash);
	}
	for (enum question i = 0; i < QUESTIONS; i++)
		if (nr[i])
			printf("answer: %" PRIu32 " questions of %s: sums %" PRIu64 " and %" PRIu64
			       ", hash %016" PRIx64 "\n",
			       nr[i], question_names[i], sum[i].size, sum[i].extra, sum[i].hash);
}
