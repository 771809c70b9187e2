// SPDX-License-Identifier: MIT
/*
 * gcarena top: a live table of all heaps and arenas that this user may see.
 *
 * --json prints every figure under the name that its source gives it, for machines.
 */
#include "sources.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_S	1
#define INTERVAL_MAX_S	86400
#define MS_PER_S	1000

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	interrupted = 1;
}

/* 17.3M: four digits at most, binary units. */
static const char *size_text(uint64_t bytes, char *out, size_t room)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned int unit = 0;

	for (; value >= 1000 && unit + 1 < strlen(units); unit++)
		value /= 1024;
	snprintf(out, room, unit && value < 100 ? "%.1f%c" : "%.0f%c", value, units[unit]);
	return out;
}

static const char *count_text(uint64_t count, char *out, size_t room)
{
	snprintf(out, room, "%" PRIu64, count);
	return out;
}

static const char *time_text(uint64_t ns, char *out, size_t room)
{
	if (ns < 1000000)
		snprintf(out, room, "%.0fus", (double)ns / 1000);
	else if (ns < 1000000000)
		snprintf(out, room, "%.1fms", (double)ns / 1000000);
	else
		snprintf(out, room, "%.1fs", (double)ns / 1000000000);
	return out;
}

static const char *pressure_text(uint64_t level)
{
	static const char *const names[] = { "-", "some", "full" };

	return level < 3 ? names[level] : "?";
}

/* The third figure of "pauses". */
static uint64_t longest_pause(const struct source *source)
{
	const char *at = source->text.bytes ? strstr(source->text.bytes, "\npauses: ") : NULL;
	uint64_t longest = 0;

	if (at && sscanf(at, " pauses: %*u %*u %" SCNu64, &longest) != 1)
		longest = 0;
	return longest;
}

static void row(const struct source *source)
{
	char a[16], b[16], c[16], d[16], e[16], f[16], name[16] = "-", arena[16] = "-";
	char huge[16] = "-";
	double share;
	uint64_t goal = source_number(source, "next_gc");
	bool known = source->heap;

	if (known)
		snprintf(name, sizeof(name), "%u", source->heap);
	if (source->arena)
		snprintf(arena, sizeof(arena), "%u", source->arena);
	if (source_huge_share(source, &share))
		snprintf(huge, sizeof(huge), "%.0f%%", share * 100);
	printf("%7u %-15s %4s %5s %7s %7s %7s %8s %5s %5.2f %6s %8s %8s\n", source->pid,
	       source->comm, name, arena,
	       size_text(source_number(source, "heap_inuse"), a, sizeof(a)),
	       known ? size_text(source_number(source, "heap_live"), b, sizeof(b)) : "-",
	       !known ? "-" : goal == UINT64_MAX ? "off" : size_text(goal, c, sizeof(c)),
	       size_text(source_number(source, "heap_released"), d, sizeof(d)),
	       huge, source_fragmentation(source),
	       known ? count_text(source_number(source, "num_gc"), e, sizeof(e)) : "-",
	       known ? time_text(longest_pause(source), f, sizeof(f)) : "-",
	       pressure_text(source_number(source, "pressure")));
}

static void table(const struct sources *sources)
{
	size_t i;

	printf("%7s %-15s %4s %5s %7s %7s %7s %8s %5s %5s %6s %8s %8s\n", "PID", "COMM", "HEAP",
	       "ARENA", "INUSE", "LIVE", "GOAL", "RELEASED", "HUGE", "FRAG", "CYCLES", "PAUSE",
	       "PRESSURE");
	for (i = 0; i < sources->nr; i++)
		row(&sources->all[i]);
	if (!sources->nr && !sources->trouble.length)
		printf("no heap that this user may see has an endpoint, and no arena is in %s\n",
		       debugfs_root);
}

/* ------------------------------------------------------------------- JSON */

static void json_string(const char *text, size_t length)
{
	size_t i;

	putchar('"');
	for (i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < ' ' || c >= 127)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

/* One that JSON has: no zero before others, digits around the point. */
static bool is_number(const char *text, size_t length)
{
	size_t digits = strspn(text, "0123456789"), more;

	if (!digits || (text[0] == '0' && digits > 1 && length > 1))
		return false;
	if (digits >= length)
		return true;
	more = text[digits] == '.' ? strspn(text + digits + 1, "0123456789") : 0;
	return more && digits + 1 + more >= length;
}

static bool all_numbers(const char *text, size_t length)
{
	size_t at, word;

	for (at = 0; at < length; at += word + 1) {
		word = strcspn(text + at, "\n ");
		if (word > length - at)
			word = length - at;
		if (word && !is_number(text + at, word))
			return false;
	}
	return true;
}

/* A number, several numbers as an array, or a string. */
static void json_value(const char *text, size_t length)
{
	const char *separator = "[";
	size_t at, word;

	if (is_number(text, length)) {
		printf("%.*s", (int)length, text);
		return;
	}
	if (!all_numbers(text, length)) {
		json_string(text, length);
		return;
	}
	for (at = 0; at < length; at += word + 1) {
		word = strcspn(text + at, "\n ");
		if (word > length - at)
			word = length - at;
		if (!word)
			continue;
		printf("%s%.*s", separator, (int)word, text + at);
		separator = ",";
	}
	printf("%s]", *separator == '[' ? "[" : "");
}

static void json_lines(const struct text *text)
{
	const char *line, *end, *colon, *separator = "";

	for (line = text->bytes; line && *line; line = end + 1) {
		end = line + strcspn(line, "\n");
		colon = memchr(line, ':', (size_t)(end - line));
		if (colon) {
			const char *value = colon + 1 + (colon[1] == ' ');

			printf("%s", separator);
			json_string(line, (size_t)(colon - line));
			putchar(':');
			json_value(value, value < end ? (size_t)(end - value) : 0);
			separator = ",";
		}
		if (!*end)
			break;
	}
}

static void json(const struct sources *sources)
{
	size_t i;

	printf("{\"heaps\":[");
	for (i = 0; i < sources->nr; i++) {
		const struct source *source = &sources->all[i];
		double share;

		printf("%s{\"pid\":%u,\"heap\":%u,\"arena\":%u,\"comm\":", i ? "," : "",
		       source->pid, source->heap, source->arena);
		json_string(source->comm, strlen(source->comm));
		printf(",\"fragmentation_ratio\":%.6f", source_fragmentation(source));
		if (source_huge_share(source, &share))
			printf(",\"huge_ratio\":%.6f", share);
		printf(",\"endpoint\":{");
		json_lines(&source->text);
		printf("},\"debugfs\":{");
		json_lines(&source->debugfs);
		printf("}}");
	}
	printf("]}\n");
}

static int show(bool as_json, bool clear)
{
	struct sources sources = { 0 };
	int status;

	sources_read(&sources);
	/* Home, and nothing below. */
	if (clear)
		printf("\033[H\033[J");
	if (as_json)
		json(&sources);
	else
		table(&sources);
	status = sources_complain(&sources);
	sources_free(&sources);
	return status;
}

/* ------------------------------------------------------------------- live */

static struct termios terminal;
static bool has_keys;

static void restore_terminal(void)
{
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
}

/* Keys as they are pressed, for "q". */
static void take_keys(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal))
		return;
	raw = terminal;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	has_keys = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	if (has_keys)
		atexit(restore_terminal);
}

/* Until the next table: whether there is to be one.  A key brings it at once. */
static bool wait_for_next(uint64_t seconds)
{
	struct pollfd keys = { .fd = STDIN_FILENO, .events = POLLIN };
	char key;

	if (!interrupted && poll(&keys, has_keys, (int)seconds * MS_PER_S) > 0 &&
	    (read(STDIN_FILENO, &key, 1) != 1 || key == 'q'))
		return false;
	return !interrupted;
}

/**
 * command_top - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_top(int argc, char **argv)
{
	static const struct option options[] = {
		{ "once", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "interval", required_argument, NULL, 'i' },
		{ 0 }
	};
	struct sigaction action = { .sa_handler = interrupt };
	uint64_t interval = INTERVAL_S;
	bool once = false, as_json = false, live;
	int c, status;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'o':
			once = true;
			break;
		case 'j':
			as_json = true;
			break;
		case 'i':
			if (!tool_number(optarg, INTERVAL_MAX_S, &interval) || !interval)
				return tool_misused("--interval %s: seconds, from 1", optarg);
			break;
		default:
			return tool_usage();
		}
	}
	if (optind != argc)
		return tool_misused("'%s' means nothing here", argv[optind]);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	live = !once && !as_json && isatty(STDOUT_FILENO);
	if (live)
		take_keys();
	do {
		status = show(as_json, live);
		if (tool_flush(status) != status)
			return TOOL_FAILED;
	} while (!once && wait_for_next(interval));
	return once ? status : TOOL_OK;
}
