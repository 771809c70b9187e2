// SPDX-License-Identifier: MIT
/*
 * gcarena record: what the heaps of a process say, each interval, into a file; for
 * gcarena report.
 *
 * The file is "gcarena record 1", then samples: a line "sample NS LENGTH", NS since
 * 1970, and so many bytes as the endpoint answered to "stats all".  Each sample is written
 * whole and at once: what a killed recording leaves ends after one.
 */
#include "sources.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS	100
#define INTERVAL_MS_MAX	3600000
#define SECONDS_MAX	(365ull * 86400)
#define MS		1000000ull
#define SECOND		1000000000ull
/* As a shell says it. */
#define EXEC_FAILED	127

struct recording {
	uint32_t pid;
	pid_t child;		/* 0: somebody else's process */
	int child_status;
	bool child_ended;
	uint64_t interval;	/* ns */
	uint64_t until;		/* ns of the clock, 0: for ever */
	FILE *file;
	const char *path;
	uint64_t samples;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = 1;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static void sleep_ns(uint64_t ns)
{
	struct timespec left = { (time_t)(ns / SECOND), (long)(ns % SECOND) };

	nanosleep(&left, NULL);
}

static bool ended(struct recording *recording)
{
	if (recording->child) {
		if (!recording->child_ended &&
		    waitpid(recording->child, &recording->child_status, WNOHANG) ==
		    recording->child)
			recording->child_ended = true;
		return recording->child_ended;
	}
	return kill((pid_t)recording->pid, 0) && errno == ESRCH;
}

static int write_sample(struct recording *recording, const struct text *text)
{
	fprintf(recording->file, "sample %" PRIu64 " %zu\n", clock_ns(CLOCK_REALTIME),
		text->length);
	fwrite(text->bytes, 1, text->length, recording->file);
	if (fflush(recording->file) || ferror(recording->file))
		return tool_fail("%s: %s", recording->path, strerror(errno));
	recording->samples++;
	return TOOL_OK;
}

/* Until it ends, the time is over, or somebody interrupts. */
static int record(struct recording *recording)
{
	uint64_t next = clock_ns(CLOCK_MONOTONIC), now;
	int status = TOOL_OK;

	while (!interrupted && status == TOOL_OK) {
		struct text text = { 0 };
		const char *wrong = endpoint_try(recording->pid, "stats all", &text);

		/* An empty one: no heap is open. */
		if (!wrong && text.length)
			status = write_sample(recording, &text);
		text_free(&text);
		/* A child may not have come to its heap yet, or be past it. */
		if (wrong && !recording->child) {
			if (!recording->samples)
				return tool_fail("process %u: %s", recording->pid, wrong);
			tool_fail("process %u: %s; %" PRIu64 " samples were recorded until then",
				  recording->pid, wrong, recording->samples);
			return TOOL_OK;
		}
		if (ended(recording))
			break;
		now = clock_ns(CLOCK_MONOTONIC);
		if (recording->until && now >= recording->until)
			break;
		next += recording->interval;
		if (next > now)
			sleep_ns(next - now);
		else
			next = now;
	}
	return status;
}

/* Its endpoint is where nobody else's is. */
static pid_t start_command(char **argv, const char *directory)
{
	pid_t child = fork();

	if (child)
		return child;
	setenv("GCARENA_ENDPOINT", directory, 1);
	execvp(argv[0], argv);
	fprintf(stderr, "gcarena record: %s: %s\n", argv[0], strerror(errno));
	_exit(EXEC_FAILED);
}

static int record_command(struct recording *recording, char **argv)
{
	char directory[] = "/tmp/gcarena-record-XXXXXX";
	struct text inside = { 0 };
	int status;

	if (!mkdtemp(directory))
		return tool_fail("%s: %s", directory, strerror(errno));
	endpoint_root = directory;
	fflush(NULL);
	recording->child = start_command(argv, directory);
	if (recording->child < 0) {
		status = tool_fail("fork: %s", strerror(errno));
	} else {
		recording->pid = (uint32_t)recording->child;
		status = record(recording);
		if (!recording->child_ended)
			waitpid(recording->child, &recording->child_status, 0);
	}
	text_add(&inside, "%s/gcarena/%u", directory, recording->pid);
	unlink(inside.bytes);
	inside.length = 0;
	text_add(&inside, "%s/gcarena", directory);
	rmdir(inside.bytes);
	rmdir(directory);
	text_free(&inside);
	if (status != TOOL_OK)
		return status;
	if (WIFSIGNALED(recording->child_status))
		return tool_fail("%s was killed by signal %d", argv[0],
				 WTERMSIG(recording->child_status));
	return WEXITSTATUS(recording->child_status);
}

static int record_to(struct recording *recording, const char *path, char **command)
{
	struct sigaction action = { .sa_handler = interrupt };
	int status;

	recording->path = path;
	recording->file = fopen(path, "we");
	if (!recording->file)
		return tool_fail("%s: %s", path, strerror(errno));
	fputs("gcarena record 1\n", recording->file);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	status = command ? record_command(recording, command) : record(recording);
	if (fclose(recording->file))
		status = tool_fail("%s: %s", path, strerror(errno));
	if (status == TOOL_OK && !recording->samples)
		status = tool_fail("nothing was recorded: no heap was open when it was asked");
	return status;
}

/**
 * command_record - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_record(int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "seconds", required_argument, NULL, 's' },
		{ "output", required_argument, NULL, 'o' },
		{ 0 }
	};
	struct recording recording = { .interval = INTERVAL_MS * MS };
	const char *output = NULL;
	struct target target;
	uint64_t number;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			if (!tool_number(optarg, INTERVAL_MS_MAX, &number) || !number)
				return tool_misused("--interval %s: milliseconds, from 1", optarg);
			recording.interval = number * MS;
			break;
		case 's':
			if (!tool_number(optarg, SECONDS_MAX, &number) || !number)
				return tool_misused("--seconds %s: seconds, from 1", optarg);
			recording.until = clock_ns(CLOCK_MONOTONIC) + number * SECOND;
			break;
		case 'o':
			output = optarg;
			break;
		default:
			return tool_usage();
		}
	}
	if (!output)
		return tool_misused("--output FILE is missing");
	if (optind == argc)
		return tool_misused("a process or a command is to be named");
	if (optind > 1 && !strcmp(argv[optind - 1], "--"))
		return record_to(&recording, output, argv + optind);
	if (argc - optind != 1)
		return tool_misused("one process is to be named, or -- and a command");
	if (!target_parse(argv[optind], &target))
		return TOOL_USAGE;
	if (!target.pid)
		return tool_misused("'%s': say pid:PID", argv[optind]);
	recording.pid = target.pid;
	return record_to(&recording, output, NULL);
}
