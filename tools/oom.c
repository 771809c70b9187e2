// SPDX-License-Identifier: MIT
/*
 * gcarena oom [FILE]: what a kernel log says of OOM kills, and whose memory it was.
 *
 * The killer writes who was chosen and why; the module (kmod/oom.c) what the victim's
 * arenas had when it died.  The two are joined by pid.  Their order is nearly fixed: the
 * reason comes first, but a victim may die, and its arenas' lines come, before the line
 * that says that it was killed.  Lines come from dmesg, a journal, /dev/kmsg: whatever
 * stands before the kernel's own words is passed over.
 */
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>

#define SYSLOG_READ_ALL		3	/* of syslog(2) */
#define SYSLOG_SIZE		10

#define WORD_MAX		256	/* bytes kept of a name or a path */
#define LINE_ARENA		"gcarena: oom: "
#define LINE_REASON		"oom-kill:constraint="
#define LINE_KILLED		"Killed process "
#define LINE_USAGE		"memory: usage "
#define LINE_SUPPRESSED		"gca_oom_report: "

/* KiB, as the kernel writes them. */
struct arena {
	uint64_t id, inuse, free, released, memory, manual, meta, limit, reclaimed, sweeps;
};

struct kill {
	uint64_t pid;
	bool reason;		/* its reason was there */
	bool killed;		/* the line with its memory was there */
	bool group;		/* at a memory cgroup's limit */
	char comm[WORD_MAX];
	char memcg[WORD_MAX];
	uint64_t limit;		/* of the cgroup, KiB; 0: not known */
	uint64_t anon, file, shmem;
	struct arena *arenas;
	size_t nr_arenas;
};

struct log {
	struct kill *kills;
	size_t nr_kills;
	uint64_t usage_limit;	/* of the report that is being read */
	uint64_t suppressed;	/* lines that the module held back */
	unsigned int line;
	int status;
};

static void add_size(struct text *text, uint64_t kib)
{
	if (kib < 1024)
		text_add(text, "%llu KiB", (unsigned long long)kib);
	else if (kib < 1024 * 1024)
		text_add(text, "%.1f MiB", (double)kib / 1024);
	else
		text_add(text, "%.1f GiB", (double)kib / (1024 * 1024));
}

/* The last one of @pid, or NULL. */
static struct kill *kill_of(const struct log *log, uint64_t pid)
{
	size_t i;

	for (i = log->nr_kills; i-- > 0;)
		if (log->kills[i].pid == pid)
			return &log->kills[i];
	return NULL;
}

static struct kill *kill_new(struct log *log, uint64_t pid)
{
	struct kill *kill;

	log->kills = tool_realloc(log->kills, (log->nr_kills + 1) * sizeof(*kill));
	kill = &log->kills[log->nr_kills++];
	memset(kill, 0, sizeof(*kill));
	kill->pid = pid;
	return kill;
}

/* The number behind @name in a line; false: there is none. */
static bool number_after(const char *line, const char *name, uint64_t *value)
{
	const char *at = strstr(line, name);
	char *end;

	if (!at)
		return false;
	at += strlen(name);
	if (*at < '0' || *at > '9')
		return false;
	*value = strtoull(at, &end, 10);
	return true;
}

/* The word behind @name, up to @end or the line's end. */
static void word_after(const char *line, const char *name, char end, char *word)
{
	const char *at = strstr(line, name);
	size_t i;

	if (!at)
		return;
	at += strlen(name);
	for (i = 0; i + 1 < WORD_MAX && at[i] && at[i] != end && at[i] != '\n'; i++)
		word[i] = at[i];
	word[i] = 0;
}

/* oom-kill:constraint=CONSTRAINT_MEMCG,...,oom_memcg=/x,task_memcg=/x,task=name,pid=1 */
static void take_reason(struct log *log, const char *line)
{
	struct kill *kill;
	uint64_t pid;

	if (!number_after(line, ",pid=", &pid))
		return;
	kill = kill_new(log, pid);
	kill->reason = true;
	kill->group = strstr(line, "CONSTRAINT_MEMCG");
	word_after(line, ",oom_memcg=", ',', kill->memcg);
	word_after(line, ",task=", ',', kill->comm);
	kill->limit = kill->group ? log->usage_limit : 0;
	log->usage_limit = 0;
}

/* Killed process 1 (name) total-vm:1kB, anon-rss:1kB, file-rss:1kB, shmem-rss:1kB, ... */
static void take_killed(struct log *log, const char *line)
{
	struct kill *kill;
	uint64_t pid;

	if (!number_after(line, LINE_KILLED, &pid))
		return;
	kill = kill_of(log, pid);
	if (!kill || kill->killed)
		kill = kill_new(log, pid);
	kill->killed = true;
	kill->group |= !!strstr(line, "Memory cgroup out of memory");
	word_after(line, " (", ')', kill->comm);
	number_after(line, "anon-rss:", &kill->anon);
	number_after(line, "file-rss:", &kill->file);
	number_after(line, "shmem-rss:", &kill->shmem);
}

static void take_arena(struct log *log, const char *line)
{
	struct arena arena;
	struct kill *kill;
	uint64_t pid;

	if (!number_after(line, " pid=", &pid) || !number_after(line, " arena=", &arena.id) ||
	    !number_after(line, " inuse=", &arena.inuse) ||
	    !number_after(line, " free=", &arena.free) ||
	    !number_after(line, " released=", &arena.released) ||
	    !number_after(line, " memory=", &arena.memory) ||
	    !number_after(line, " manual=", &arena.manual) ||
	    !number_after(line, " meta=", &arena.meta) ||
	    !number_after(line, " limit=", &arena.limit) ||
	    !number_after(line, " reclaimed=", &arena.reclaimed) ||
	    !number_after(line, " sweeps=", &arena.sweeps) || !strstr(line, " comm=")) {
		log->status = tool_fail("line %u is cut off or damaged: %s", log->line, line);
		return;
	}
	kill = kill_of(log, pid);
	if (!kill)
		kill = kill_new(log, pid);
	if (!kill->comm[0])
		word_after(line, " comm=", '\n', kill->comm);
	kill->arenas = tool_realloc(kill->arenas, (kill->nr_arenas + 1) * sizeof(arena));
	kill->arenas[kill->nr_arenas++] = arena;
}

static void take_line(struct log *log, const char *line)
{
	const char *at;
	uint64_t nr;

	log->line++;
	at = strstr(line, LINE_ARENA);
	if (at) {
		/* With the blank before the first name. */
		take_arena(log, at + strlen(LINE_ARENA) - 1);
		return;
	}
	at = strstr(line, LINE_REASON);
	if (at) {
		take_reason(log, at);
		return;
	}
	at = strstr(line, LINE_SUPPRESSED);
	if (at && number_after(at, LINE_SUPPRESSED, &nr)) {
		log->suppressed += nr;
		return;
	}
	at = strstr(line, LINE_USAGE);
	if (at)
		number_after(at, "limit ", &log->usage_limit);
	else if (strstr(line, LINE_KILLED))
		take_killed(log, line);
}

static void add_arena(struct text *text, const struct arena *arena)
{
	text_add(text, "  arena %llu: ", (unsigned long long)arena->id);
	add_size(text, arena->inuse);
	text_add(text, " in use");
	if (arena->manual) {
		text_add(text, " (");
		add_size(text, arena->manual);
		text_add(text, " of it manual)");
	}
	text_add(text, ", ");
	add_size(text, arena->free);
	text_add(text, " free, ");
	add_size(text, arena->released);
	text_add(text, " given back; ");
	add_size(text, arena->memory);
	text_add(text, " in memory, ");
	add_size(text, arena->meta);
	text_add(text, " of tables; swept %llu times, ", (unsigned long long)arena->sweeps);
	if (arena->limit) {
		text_add(text, "limit ");
		add_size(text, arena->limit);
	} else {
		text_add(text, "no limit");
	}
	if (arena->reclaimed) {
		text_add(text, "; reclaim had taken ");
		add_size(text, arena->reclaimed);
	}
	text_add(text, "\n");
}

/* What follows from the figures, and what would have helped. */
static void add_verdict(struct text *text, const struct kill *kill)
{
	uint64_t inuse = 0, free = 0, memory = 0, limit = 0;
	uint64_t all = kill->anon + kill->file;
	size_t i;

	for (i = 0; i < kill->nr_arenas; i++) {
		inuse += kill->arenas[i].inuse;
		free += kill->arenas[i].free;
		memory += kill->arenas[i].memory;
		limit += kill->arenas[i].limit;
	}
	/* The killer counts of shared memory what the process had touched. */
	all += memory > kill->shmem ? memory : kill->shmem;
	if (kill->killed && memory < all / 2) {
		text_add(text, "  most of its memory was not in arenas: ");
		add_size(text, all - memory);
		text_add(text, " of ");
		add_size(text, all);
		text_add(text, "\n");
		return;
	}
	if (free > memory / 4) {
		text_add(text, "  ");
		add_size(text, free);
		text_add(text, " were free, beside spans in use (gca_release() gives it back)\n");
	}
	if (!limit)
		text_add(text, "  no limit was set: GCARENA_LIMIT=cgroup collects before that\n");
	else if (inuse < limit)
		text_add(text, "  in use was below the limit, which is too high beside the rest\n");
}

static void show(const struct kill *kill)
{
	struct text text = { 0 };
	size_t i;

	text_add(&text, "process %llu", (unsigned long long)kill->pid);
	if (kill->comm[0])
		text_add(&text, " (%s)", kill->comm);
	text_add(&text, " was killed: ");
	if (kill->group) {
		text_add(&text, "the memory cgroup %s was at its limit",
			 kill->memcg[0] ? kill->memcg : "(unknown)");
		if (kill->limit) {
			text_add(&text, " of ");
			add_size(&text, kill->limit);
		}
	} else if (kill->reason || kill->killed) {
		text_add(&text, "the machine was out of memory");
	} else {
		text_add(&text, "the log does not have the reason");
	}
	text_add(&text, "\n");
	if (kill->killed) {
		text_add(&text, "  it had ");
		add_size(&text, kill->anon);
		text_add(&text, " anonymous, ");
		add_size(&text, kill->file);
		text_add(&text, " of files, ");
		add_size(&text, kill->shmem);
		text_add(&text, " shared (of arenas what it had touched)\n");
	}
	for (i = 0; i < kill->nr_arenas; i++)
		add_arena(&text, &kill->arenas[i]);
	if (kill->nr_arenas)
		add_verdict(&text, kill);
	else
		text_add(&text, "  no arena of it is in the log (the process backend has none)\n");
	fputs(text.bytes, stdout);
	text_free(&text);
}

static void read_stream(struct log *log, FILE *file)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, file) >= 0) {
		line[strcspn(line, "\n")] = 0;
		take_line(log, line);
	}
	free(line);
}

static int read_file(struct log *log, const char *name)
{
	FILE *file = strcmp(name, "-") ? fopen(name, "r") : stdin;
	int error = errno;

	if (file) {
		errno = 0;
		read_stream(log, file);
		error = ferror(file) ? errno : 0;
		if (file != stdin)
			fclose(file);
	}
	return error ? tool_fail("%s: %s", name, strerror(error)) : TOOL_OK;
}

static int read_kernel(struct log *log)
{
	static const char sorry[] = "the kernel's log cannot be read (%s): give a file";
	int size = klogctl(SYSLOG_SIZE, NULL, 0);
	char *text, *line, *rest;

	if (size <= 0)
		return tool_fail(sorry, strerror(errno));
	text = tool_alloc((size_t)size + 1);
	size = klogctl(SYSLOG_READ_ALL, text, size);
	if (size < 0) {
		free(text);
		return tool_fail(sorry, strerror(errno));
	}
	text[size] = 0;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		take_line(log, line);
	free(text);
	return TOOL_OK;
}

/**
 * command_oom - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_oom(int argc, char **argv)
{
	static const struct option options[] = { { 0 } };
	struct log log = { 0 };
	int status;
	size_t i;

	if (getopt_long(argc, argv, "", options, NULL) != -1)
		return tool_usage();
	if (argc - optind > 1)
		return tool_misused("one log at a time");
	status = optind < argc ? read_file(&log, argv[optind]) : read_kernel(&log);
	for (i = 0; i < log.nr_kills; i++)
		show(&log.kills[i]);
	if (log.suppressed)
		printf("%llu lines of arenas were held back by the kernel's rate limit\n",
		       (unsigned long long)log.suppressed);
	if (!status)
		status = log.status;
	if (!status && !log.nr_kills)
		status = tool_fail("no OOM kill is in this log");
	for (i = 0; i < log.nr_kills; i++)
		free(log.kills[i].arenas);
	free(log.kills);
	return status;
}
