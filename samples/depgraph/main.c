// SPDX-License-Identifier: MIT
/*
 * depgraph: a Debian package index as a graph in a garbage-collected heap.
 *
 * The command line, and nothing else.  It must never go on with an option that
 * it has not understood whole: a run with other arguments gives other answers,
 * and answers are compared.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "job.h"

#define THREADS_DEFAULT		4
#define ROUNDS_DEFAULT		6
#define QUERIES_DEFAULT		256
#define HOLD_DEFAULT		2	/* seconds */
#define COUNT_MAX		1000000
#define HOLD_MAX		86400

static const char help[] =
	"usage: depgraph --index FILE [options]\n"
	"\n"
	"Reads a Debian package index (\"apt-cache dumpavail\" prints one) into a graph,\n"
	"asks it questions with several threads, replaces its packages meanwhile, drops\n"
	"it, and shows what the heap did.  Lines that begin with \"answer:\" depend on the\n"
	"index and the options marked * only, not on the heap or on timing.\n"
	"\n"
	"  --index FILE        the index, - for standard input *\n"
	"  --threads N         threads at work at a time, 1 to %u (default %u)\n"
	"  --rounds N          rounds of replacing a tenth of the packages (default %u) *\n"
	"  --queries N         questions before that; a round asks a quarter (default %u) *\n"
	"  --seed N            chooses questions and replacements (default 1) *\n"
	"  --hold-seconds N    keep the empty heap so long at the end (default %u)\n"
	"  --no-collect        collect only at the steps' ends\n"
	"  --progress          a line about the heap each second\n"
	"  --wrong             lose an edge: answers must differ (a test of the tests) *\n"
	"  --help              this\n"
	"\n"
	"Environment: GCARENA_BACKEND (device, process, auto), GCARENA_PERCENT,\n"
	"GCARENA_LIMIT, GCARENA_DEBUG (gctrace=1, verify=1, shadow=1, poison=1).\n"
	"\n"
	"Exit status: 0 done; 1 out of memory or no heap; 2 a bad option or index.\n";

static bool parse_count(const struct option *option, uint32_t min, uint32_t max,
			uint32_t *value)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(optarg, &end, 10);
	if (*optarg < '0' || *optarg > '9' || *end || errno || n < min || n > max) {
		fprintf(stderr, "depgraph: --%s %s: not a number from %u to %u\n",
			option->name, optarg, min, max);
		return false;
	}
	*value = n;
	return true;
}

static bool parse(int argc, char **argv, struct options *options)
{
	enum { INDEX = 1, THREADS, ROUNDS, QUERIES, SEED, HOLD, NO_COLLECT, PROGRESS, WRONG, HELP };
	static const struct option longs[] = {
		{ "index", required_argument, NULL, INDEX },
		{ "threads", required_argument, NULL, THREADS },
		{ "rounds", required_argument, NULL, ROUNDS },
		{ "queries", required_argument, NULL, QUERIES },
		{ "seed", required_argument, NULL, SEED },
		{ "hold-seconds", required_argument, NULL, HOLD },
		{ "no-collect", no_argument, NULL, NO_COLLECT },
		{ "progress", no_argument, NULL, PROGRESS },
		{ "wrong", no_argument, NULL, WRONG },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	bool good = true;
	int c, i;

	while (good && (c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		switch (c) {
		case INDEX:
			options->index = optarg;
			break;
		case THREADS:
			good = parse_count(&longs[i], 1, CREW_THREADS_MAX, &options->threads);
			break;
		case ROUNDS:
			good = parse_count(&longs[i], 0, COUNT_MAX, &options->rounds);
			break;
		case QUERIES:
			good = parse_count(&longs[i], 0, COUNT_MAX, &options->queries);
			break;
		case SEED:
			good = parse_count(&longs[i], 0, UINT32_MAX, &options->seed);
			break;
		case HOLD:
			good = parse_count(&longs[i], 0, HOLD_MAX, &options->hold_seconds);
			break;
		case NO_COLLECT:
			options->no_collect = true;
			break;
		case PROGRESS:
			options->progress = true;
			break;
		case WRONG:
			options->wrong = true;
			break;
		case HELP:
			printf(help, CREW_THREADS_MAX, THREADS_DEFAULT, ROUNDS_DEFAULT,
			       QUERIES_DEFAULT, HOLD_DEFAULT);
			exit(STATUS_OK);
		default:
			good = false;
		}
	}
	if (good && optind < argc) {
		fprintf(stderr, "depgraph: %s: not an option\n", argv[optind]);
		good = false;
	}
	if (good && !options->index) {
		fprintf(stderr, "depgraph: --index is missing\n");
		good = false;
	}
	if (!good)
		fprintf(stderr, "Try: depgraph --help\n");
	return good;
}

int main(int argc, char **argv)
{
	struct options options = {
		.threads = THREADS_DEFAULT,
		.rounds = ROUNDS_DEFAULT,
		.queries = QUERIES_DEFAULT,
		.hold_seconds = HOLD_DEFAULT,
		.seed = 1,
	};
	struct mistake mistake;
	enum exit_status status;
	struct index index;

	if (!parse(argc, argv, &options))
		return STATUS_INPUT;
	/* Whole lines as they come, also into a pipe. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	switch (index_open(&index, options.index, &mistake)) {
	case 0:
		break;
	case -ENOMEM:
		mistake_print(&mistake, &index);
		return STATUS_FAILED;
	default:
		mistake_print(&mistake, &index);
		return STATUS_INPUT;
	}
	status = job_run(&options, &index);
	index_close(&index);
	return status;
}
