// SPDX-License-Identifier: MIT
/*
 * gcarena trace: one timeline of the library's events and the kernel's, for Perfetto and
 * chrome://tracing.
 *
 * Reads text: the kernel's trace file, what "trace-cmd report" prints of a recording, and
 * the files of GCARENA_TIMELINE, which have one format and, with the trace clock "mono",
 * one clock.  Each line stands alone but for phases, which last until the next.  Lines of
 * other events are passed over; one of ours that cannot be read is an error, and a file
 * without any is no trace.
 */
#include "tool.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Groups of threads in the picture. */
enum { GROUP_LIBRARY = 1, GROUP_KERNEL };

#define SECONDS_MAX	1e12	/* a clock that says more is none */
#define HEAPS_MAX	64u	/* whose phases are followed at a time */
#define NAME_ROOM	64u
#define TRACE_CMD_MAGIC	"\027\010\104tracing"

struct event {
	char comm[NAME_ROOM];
	char name[NAME_ROOM];
	unsigned long tid;
	double us;
	unsigned int group;
	const char *fields;
};

struct phase {
	unsigned long heap;
	char name[NAME_ROOM];	/* empty: none is under way */
	unsigned long tid;
	double us;
};

struct threads {
	struct {
		unsigned long tid;
		unsigned int group;
	} *all;
	size_t nr;
};

struct timeline {
	FILE *out;
	const char *path;
	unsigned long line;
	unsigned long events;
	struct phase phases[HEAPS_MAX];
	struct threads threads;
};

static void put_string(FILE *out, const char *text, size_t length)
{
	size_t i;

	fputc('"', out);
	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c > '~')
			fprintf(out, "\\u%04x", c);
		else
			fprintf(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
	}
	fputc('"', out);
}

/* The value of "key=" in @fields, or NULL; up to the next blank. */
static const char *field(const char *fields, const char *key)
{
	size_t length = strlen(key);
	const char *at;

	for (at = fields; (at = strstr(at, key)); at += length)
		if ((at == fields || at[-1] == ' ') && at[length] == '=')
			return at + length + 1;
	return NULL;
}

static unsigned long number(const char *fields, const char *key)
{
	const char *value = field(fields, key);

	return value ? strtoul(value, NULL, 10) : 0;
}

static bool is_number(const char *text, size_t length)
{
	size_t i;

	/* One that JSON has: no zero before others. */
	for (i = length > 1 && text[0] == '-'; i < length; i++)
		if (!isdigit((unsigned char)text[i]))
			return false;
	return length && length <= 15 && !(text[0] == '0' && length > 1) &&
	       strncmp(text, "-0", 2);
}

static void put_args(FILE *out, const char *fields)
{
	const char *at = fields, *end, *equals;
	bool first = true;

	fprintf(out, ",\"args\":{");
	for (; *at; at = end) {
		at += strspn(at, " \t");
		end = at + strcspn(at, " \t");
		equals = memchr(at, '=', (size_t)(end - at));
		if (!equals || equals == at)
			continue;
		if (!first)
			fputc(',', out);
		first = false;
		put_string(out, at, (size_t)(equals - at));
		fputc(':', out);
		if (is_number(equals + 1, (size_t)(end - equals - 1)))
			fwrite(equals + 1, 1, (size_t)(end - equals - 1), out);
		else
			put_string(out, equals + 1, (size_t)(end - equals - 1));
	}
	fputc('}', out);
}

static void begin_event(struct timeline *timeline, const char *name, unsigned long tid,
			unsigned int group)
{
	fprintf(timeline->out, "%s\n{\"name\":", timeline->events++ ? "," : "");
	put_string(timeline->out, name, strlen(name));
	fprintf(timeline->out, ",\"pid\":%u,\"tid\":%lu", group, tid);
}

static void name_thread(struct timeline *timeline, const struct event *event)
{
	struct threads *threads = &timeline->threads;
	size_t i;

	for (i = 0; i < threads->nr; i++)
		if (threads->all[i].tid == event->tid && threads->all[i].group == event->group)
			return;
	threads->all = tool_realloc(threads->all, (threads->nr + 1) * sizeof(*threads->all));
	threads->all[threads->nr].tid = event->tid;
	threads->all[threads->nr++].group = event->group;
	begin_event(timeline, "thread_name", event->tid, event->group);
	fprintf(timeline->out, ",\"ph\":\"M\",\"args\":{\"name\":");
	put_string(timeline->out, event->comm, strlen(event->comm));
	fprintf(timeline->out, "}}");
}

static void put_span(struct timeline *timeline, const char *name, unsigned long tid,
		     unsigned int group, double us, double duration, const char *fields)
{
	begin_event(timeline, name, tid, group);
	fprintf(timeline->out, ",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f", us, duration);
	put_args(timeline->out, fields);
	fputc('}', timeline->out);
}

/* The phase that was under way is over, another has begun. */
static void change_phase(struct timeline *timeline, const struct event *event)
{
	unsigned long heap = number(event->fields, "heap");
	const char *name = field(event->fields, "name");
	struct phase *phase = &timeline->phases[heap % HEAPS_MAX];

	if (phase->name[0] && phase->heap == heap && event->us >= phase->us)
		put_span(timeline, phase->name, phase->tid, GROUP_LIBRARY, phase->us,
			 event->us - phase->us, "");
	phase->name[0] = 0;
	/* Sweeping is beside the program, until nobody knows when. */
	if (!name || !strncmp(name, "sweep ", strlen("sweep ")))
		return;
	snprintf(phase->name, sizeof(phase->name), "%.*s", (int)strcspn(name, " "), name);
	phase->heap = heap;
	phase->tid = event->tid;
	phase->us = event->us;
}

static void put_event(struct timeline *timeline, struct event *event)
{
	bool library = event->group == GROUP_LIBRARY;
	double duration = (double)number(event->fields, "ns") / 1000;

	name_thread(timeline, event);
	if (library && !strcmp(event->name, "phase")) {
		change_phase(timeline, event);
		return;
	}
	if (library && !strcmp(event->name, "cycle_end"))
		snprintf(event->name, sizeof(event->name), "cycle %lu",
			 number(event->fields, "cycle"));
	if (field(event->fields, "ns")) {
		put_span(timeline, event->name, event->tid, event->group, event->us - duration,
			 duration, event->fields);
		return;
	}
	begin_event(timeline, event->name, event->tid, event->group);
	fprintf(timeline->out, ",\"ph\":\"i\",\"s\":\"t\",\"ts\":%.3f", event->us);
	put_args(timeline->out, event->fields);
	fputc('}', timeline->out);
}

/* "  comm-TID [CPU] flags SEC.USEC: " at the beginning of @line: what follows, or NULL.
 * A comm may have anything in it.
 */
static char *parse_head(char *line, struct event *event)
{
	char *bracket, *dash, *at, *end;
	double seconds;

	for (bracket = strstr(line, " ["); bracket; bracket = strstr(bracket + 1, " [")) {
		for (dash = bracket; dash > line && *dash != '-'; dash--)
			;
		if (dash == line)
			continue;
		event->tid = strtoul(dash + 1, &end, 10);
		if (end == dash + 1 || end > bracket || !isdigit((unsigned char)bracket[2]))
			continue;
		for (at = strchr(bracket, ']'); at; at = strpbrk(at, " \t")) {
			at += 1 + strspn(at + 1, " \t");
			if (!isdigit((unsigned char)*at))
				continue;
			seconds = strtod(at, &end);
			/* As a trace has it: what else strtod() takes need not be finite. */
			if (*end != ':' || !memchr(at, '.', (size_t)(end - at)) ||
			    strspn(at, "0123456789.") != (size_t)(end - at) ||
			    seconds > SECONDS_MAX)
				continue;
			event->us = seconds * 1e6;
			*dash = 0;
			line += strspn(line, " \t");
			snprintf(event->comm, sizeof(event->comm), "%s", line);
			return end + 1 + strspn(end + 1, " \t");
		}
	}
	return NULL;
}

/* True: it is an event of ours, or none at all. */
static bool parse_line(char *line, struct timeline *timeline)
{
	static const char mark[] = "tracing_mark_write: gcarena: ", kernel[] = "gcarena_";
	struct event event = { .group = GROUP_LIBRARY };
	char *at, *name, *end;

	line[strcspn(line, "\r\n")] = 0;
	if (line[0] == '#' || !strstr(line, "gcarena"))
		return true;
	at = parse_head(line, &event);
	/* A name of something else, in an event of somebody else. */
	if (!at)
		return !strstr(line, mark) && !strstr(line, kernel);
	name = strstr(at, mark);
	if (name) {
		name += strlen(mark);
	} else if (!strncmp(at, kernel, strlen(kernel))) {
		event.group = GROUP_KERNEL;
		name = at + strlen(kernel);
	} else {
		return true;
	}
	end = name + strcspn(name, ": ");
	if (end == name || !*end || (size_t)(end - name) >= sizeof(event.name))
		return false;
	memcpy(event.name, name, (size_t)(end - name));
	event.fields = end + 1 + strspn(end + 1, " \t");
	if (!strchr(event.fields, '='))
		return false;
	put_event(timeline, &event);
	return true;
}

static int read_trace(struct timeline *timeline, FILE *in)
{
	unsigned long before = timeline->events;
	char *line = NULL;
	size_t room = 0;
	int status = TOOL_OK;
	ssize_t length;

	timeline->line = 0;
	while (status == TOOL_OK && (length = getline(&line, &room, in)) > 0) {
		timeline->line++;
		if (timeline->line == 1 && !strncmp(line, TRACE_CMD_MAGIC,
						    strlen(TRACE_CMD_MAGIC)))
			status = tool_fail("%s: not text: give what \"trace-cmd report\" prints",
					   timeline->path);
		else if (!parse_line(line, timeline))
			status = tool_fail("%s:%lu: an event that is cut off or damaged",
					   timeline->path, timeline->line);
	}
	if (status == TOOL_OK && ferror(in))
		status = tool_fail("%s: %s", timeline->path, strerror(errno));
	if (status == TOOL_OK && timeline->events == before)
		status = tool_fail("%s: no trace, or without an event of gcarena's",
				   timeline->path);
	free(line);
	return status;
}

static int read_file(struct timeline *timeline, const char *path)
{
	FILE *in;
	int status;

	timeline->path = path;
	if (!strcmp(path, "-")) {
		timeline->path = "stdin";
		return read_trace(timeline, stdin);
	}
	in = fopen(path, "r");
	if (!in)
		return tool_fail("%s: %s", path, strerror(errno));
	status = read_trace(timeline, in);
	fclose(in);
	return status;
}

/**
 * command_trace - one timeline of the library's events and the kernel's
 * @argc: words
 * @argv: the command's name, options, files
 *
 * Return: the exit status.
 */
int command_trace(int argc, char **argv)
{
	static const char *const groups[] = { [GROUP_LIBRARY] = "libgcarena",
					      [GROUP_KERNEL] = "gcarena.ko" };
	struct timeline timeline = { 0 };
	char *text = NULL;
	size_t length = 0;
	int status = TOOL_OK, i;

	if (getopt_long(argc, argv, "", (const struct option[]){ { 0 } }, NULL) != -1)
		return tool_usage();
	if (optind == argc)
		return tool_misused("which trace? '-' is stdin");
	/* Nothing is printed of what turns out to be damaged. */
	timeline.out = open_memstream(&text, &length);
	if (!timeline.out)
		return tool_fail("out of memory");
	for (i = optind; i < argc && status == TOOL_OK; i++)
		status = read_file(&timeline, argv[i]);
	for (i = GROUP_LIBRARY; i <= GROUP_KERNEL; i++) {
		begin_event(&timeline, "process_name", 0, (unsigned int)i);
		fprintf(timeline.out, ",\"ph\":\"M\",\"args\":{\"name\":\"%s\"}}", groups[i]);
	}
	if (fclose(timeline.out))
		status = tool_fail("out of memory");
	if (status == TOOL_OK)
		printf("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[%s\n]}\n", text);
	free(text);
	free(timeline.threads.all);
	return status == TOOL_OK ? tool_flush(status) : status;
}
