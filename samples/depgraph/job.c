// SPDX-License-Identifier: MIT
/*
 * The job: load, ask, change under load, drop.
 *
 * The thread that runs it is attached with a precise stack and does no work on
 * the graph but what is safe there.  A conservative one would keep stray words
 * of the graph's addresses, and one such word keeps nearly all of it alive,
 * since every package leads to most others.  The work is done by crews, whose
 * stacks are gone when they are.
 *
 * Answers are printed only while no crew runs: at quiescent points.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "hash.h"
#include "job.h"
#include "report.h"

#define REPLACED_PER_ROUND	10	/* one package in so many */
#define ROUND_QUERIES		4	/* a round asks a quarter of what step 1 does */
#define SINGLE_ANSWERS		6	/* printed one by one */
#define REPLACE_BATCH		16	/* packages taken at a time */

/**
 * struct job - a run
 * @options: what was asked for
 * @index: the index
 * @heap: the heap
 * @m: this thread's mutator
 * @report: figures
 * @batch: the questions of the step or round
 * @order: places in graph->indexed, shuffled: rounds replace along it
 * @nr_order: how many
 * @round: the number of the running one, from 1; 0 in step 1
 * @replace_next: how many of the round's replacements have been taken; atomic
 * @replace_nr: how many a round makes
 * @next_progress: seconds; when to print the next line
 */
struct job {
	const struct options *options;
	const struct index *index;
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct report report;
	struct batch batch;
	uint32_t *order;
	uint32_t nr_order;
	uint32_t round;
	uint32_t replace_next;
	uint32_t replace_nr;
	double next_progress;
};

static void say_failed(const char *what)
{
	fprintf(stderr, "depgraph: %s: %s\n", what, gca_error());
}

static void tick(void *arg)
{
	struct job *job = arg;
	struct gca_stats stats;
	double seconds;

	report_sample(&job->report, &stats);
	if (!job->options->progress)
		return;
	seconds = report_seconds(&job->report);
	if (seconds < job->next_progress)
		return;
	job->next_progress = seconds + 1;
	printf("%7.2f s  allocated %" PRIu64 " MiB, in use %" PRIu64 " MiB, live %" PRIu64
	       " MiB, %" PRIu64 " collections\n",
	       seconds, stats.total_alloc >> 20, stats.heap_inuse >> 20, stats.heap_live >> 20,
	       stats.num_gc);
}

/* Runs @work on @threads threads and says what went wrong. */
static enum exit_status run_crew(struct job *job, crew_work_fn work, unsigned int threads)
{
	struct crew crew;

	crew_init(&crew, job->heap, work, job);
	crew.tick = tick;
	if (!crew_run(&crew, job->m, threads))
		return STATUS_OK;
	if (crew.mistake.text[0]) {
		mistake_print(&crew.mistake, job->index);
		return STATUS_INPUT;
	}
	fprintf(stderr, "depgraph: %s\n", crew.reason);
	return STATUS_FAILED;
}

/* ---------------------------------------------------------------- loading */

static int load_work(struct gca_mutator *m, struct crew *crew, unsigned int worker,
		     struct mistake *mistake)
{
	struct job *job = crew->arg;

	return graph_load(m, job->index, mistake);
}

static void print_graph(const struct job *job)
{
	const struct graph *graph = gca_load(&roots.graph);
	struct graph_summary summary;

	printf("answer: %" PRIu32 " packages, %" PRIu32 " versions, %" PRIu32 " names, %" PRIu32
	       " duplicates\n",
	       gca_load(&graph->indexed)->nr, graph->nr_versions, gca_load(&graph->packages)->nr,
	       graph->nr_duplicates);
	printf("answer: %" PRIu32 " depends, %" PRIu32 " pre-depends, %" PRIu32 " recommends, %"
	       PRIu32 " provides, %" PRIu32 " alternatives\n",
	       graph->nr_relations[KIND_DEPENDS], graph->nr_relations[KIND_PRE_DEPENDS],
	       graph->nr_relations[KIND_RECOMMENDS], graph->nr_relations[KIND_PROVIDES],
	       graph->nr_alternatives);
	graph_summarise(graph, &summary);
	printf("answer: graph %016" PRIx64 ", %" PRIu64 " edges, %" PRIu64 " stale\n",
	       summary.hash, summary.edges, summary.stale);
}

static enum exit_status print_components(struct job *job)
{
	struct answer answer;

	if (query_components(job->m, &answer)) {
		say_failed("components");
		return STATUS_FAILED;
	}
	printf("answer: components %" PRIu64 ", the largest of %" PRIu64 ", hash %016" PRIx64 "\n",
	       answer.size, answer.extra, answer.hash);
	return STATUS_OK;
}

static enum exit_status step_load(struct job *job)
{
	enum exit_status status;

	printf("loading %s (%.1f MiB)\n", job->index->path, job->index->length / 1048576.0);
	status = run_crew(job, load_work, 1);
	if (status)
		return status;
	/* Only a number: where the heap is mapped. */
	job->report.address = (uintptr_t)gca_load(&roots.graph);
	if (job->options->wrong)
		graph_lose_edge(job->m, gca_load(&roots.graph));
	gca_collect(job->m);
	report_point(&job->report, "loaded");
	print_graph(job);
	return STATUS_OK;
}

/* ----------------------------------------------------------------- asking */

static enum exit_status batch_begin(struct job *job, uint32_t nr)
{
	struct batch *batch = &job->batch;

	free(batch->asked);
	*batch = (struct batch){ .seed = job->options->seed, .number = job->round, .nr = nr };
	batch->asked = calloc(nr ? nr : 1, sizeof(*batch->asked));
	if (batch->asked)
		return STATUS_OK;
	fprintf(stderr, "depgraph: out of memory for %" PRIu32 " answers\n", nr);
	return STATUS_FAILED;
}

static int ask_work(struct gca_mutator *m, struct crew *crew, unsigned int worker,
		    struct mistake *mistake)
{
	struct job *job = crew->arg;

	return batch_work(m, crew, &job->batch);
}

static enum exit_status step_ask(struct job *job)
{
	enum exit_status status = batch_begin(job, job->options->queries);

	printf("step 1: %" PRIu32 " questions by %" PRIu32 " threads\n", job->options->queries,
	       job->options->threads);
	if (!status)
		status = run_crew(job, ask_work, job->options->threads);
	if (status)
		return status;
	batch_print(&job->batch, gca_load(&roots.graph), SINGLE_ANSWERS);
	status = print_components(job);
	report_point(&job->report, "asked");
	return status;
}

/* --------------------------------------------------------------- changing */

static enum exit_status shuffle(struct job *job)
{
	uint32_t nr = gca_load(&gca_load(&roots.graph)->indexed)->nr;
	uint64_t random = hash_mix(job->options->seed);

	job->order = calloc(nr, sizeof(*job->order));
	if (!job->order) {
		fprintf(stderr, "depgraph: out of memory for %" PRIu32 " packages\n", nr);
		return STATUS_FAILED;
	}
	for (uint32_t i = 0; i < nr; i++) {
		uint32_t j;

		random = hash_add(random, i);
		j = random % (i + 1);
		job->order[i] = job->order[j];
		job->order[j] = i;
	}
	job->nr_order = nr;
	job->replace_nr = (nr + REPLACED_PER_ROUND - 1) / REPLACED_PER_ROUND;
	return STATUS_OK;
}

static int replace_work(struct gca_mutator *m, struct crew *crew, struct mistake *mistake)
{
	struct job *job = crew->arg;
	const struct list *indexed = gca_load(&gca_load(&roots.graph)->indexed);

	while (!crew_failed(crew)) {
		uint32_t i = __atomic_fetch_add(&job->replace_next, REPLACE_BATCH,
						__ATOMIC_RELAXED);
		uint32_t end = i + REPLACE_BATCH;

		if (i >= job->replace_nr)
			break;
		if (end > job->replace_nr)
			end = job->replace_nr;
		for (; i < end; i++) {
			uint64_t place = (uint64_t)(job->round - 1) * job->replace_nr + i;
			struct package *package;
			int err;

			package = list_get(indexed, job->order[place % job->nr_order]);
			err = graph_replace(m, job->index, package, job->round, mistake);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Every other thread replaces first, the rest ask; who is done helps the others. */
static int round_work(struct gca_mutator *m, struct crew *crew, unsigned int worker,
		      struct mistake *mistake)
{
	struct job *job = crew->arg;
	int err;

	if (worker % 2) {
		err = batch_work(m, crew, &job->batch);
		return err ? err : replace_work(m, crew, mistake);
	}
	err = replace_work(m, crew, mistake);
	return err ? err : batch_work(m, crew, &job->batch);
}

static enum exit_status step_change(struct job *job)
{
	const struct options *options = job->options;
	enum exit_status status = shuffle(job);

	if (status)
		return status;
	/* From here in use is held against live, so start from a measured live. */
	gca_collect(job->m);
	job->report.sampling = true;
	for (uint32_t round = 1; round <= options->rounds; round++) {
		job->round = round;
		job->replace_next = 0;
		status = batch_begin(job, options->queries / ROUND_QUERIES);
		printf("step 2: round %" PRIu32 ", %" PRIu32 " of %" PRIu32
		       " packages replaced, %" PRIu32 " questions meanwhile\n",
		       round, job->replace_nr, job->nr_order, job->batch.nr);
		if (!status)
			status = run_crew(job, round_work, options->threads);
		if (status)
			return status;
		batch_print(&job->batch, gca_load(&roots.graph), 0);
		print_graph(job);
	}
	status = print_components(job);
	job->report.sampling = false;
	report_point(&job->report, "changed");
	return status;
}

/* --------------------------------------------------------------- dropping */

static void step_drop(struct job *job)
{
	struct timespec hold = { .tv_sec = job->options->hold_seconds };

	gca_store(job->m, &roots.graph, NULL);
	gca_release(job->m);
	report_point(&job->report, "dropped");
	printf("step 3: everything dropped and collected\n");
	if (!HEAP_COLLECTS || !hold.tv_sec)
		return;
	printf("holding the empty heap for %" PRIu32 " s\n", job->options->hold_seconds);
	gca_blocking_begin(job->m);
	while (nanosleep(&hold, &hold) && errno == EINTR)
		;
	gca_blocking_end(job->m);
	report_point(&job->report, "later");
}

static enum exit_status job_steps(struct job *job)
{
	enum exit_status status = step_load(job);

	if (!status)
		status = step_ask(job);
	if (!status)
		status = step_change(job);
	if (status)
		return status;
	step_drop(job);
	report_print(&job->report);
	return STATUS_OK;
}

/**
 * job_run - open a heap, do the three steps, close it
 * @options: what was asked for
 * @index: the index
 *
 * Return: the exit status; what went wrong has been said.
 */
enum exit_status job_run(const struct options *options, const struct index *index)
{
	struct job job = { .options = options, .index = index };
	enum exit_status status = STATUS_FAILED;
	struct gca_config config;

	gca_config_init(&config);
	if (options->no_collect)
		config.percent = GCA_PERCENT_OFF;
	if (gca_open(&config, &job.heap)) {
		say_failed("no heap");
		return STATUS_FAILED;
	}
	report_begin(&job.report, job.heap);
	if (gca_root_add(job.heap, &roots, sizeof(roots))) {
		say_failed("no root range");
	} else if (gca_attach(job.heap, GCA_STACK_PRECISE, &job.m)) {
		say_failed("cannot attach");
		gca_root_remove(job.heap, &roots);
	} else {
		status = job_steps(&job);
		gca_root_remove(job.heap, &roots);
		gca_detach(job.m);
	}
	free(job.batch.asked);
	free(job.order);
	if (gca_close(job.heap)) {
		say_failed("cannot close the heap");
		status = STATUS_FAILED;
	}
	return status;
}
