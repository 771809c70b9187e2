// SPDX-License-Identifier: MIT
/*
 * Asking the endpoints of processes: Documentation/observability.rst has the protocol.
 *
 * Trusts nobody: a socket's owner must be who we are (or we are root), an answer has
 * a length and a bound, and every wait an end.  A process that is killed while it answers
 * is an answer cut off, which is said.  A name in a directory of ours at which nobody
 * listens is a killed process's and is removed.
 */
#include "sources.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_S	5
#define HEAD_MAX	600u		/* bytes of an answer's first line */
#define BODY_MAX	(1ull << 30)	/* bytes of an answer: more is no answer */

const char *endpoint_root;

static const char *why(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A sentence that is good until the next one. */
static const char *why(const char *format, ...)
{
	static char sentence[HEAD_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return sentence;
}

/* @error says that nobody is there any more: what came is for take_answer() to judge. */
static bool is_gone(int error)
{
	return error == ECONNRESET || error == EPIPE;
}

static const char *receive_all(int fd, struct text *raw)
{
	char buffer[16384];
	ssize_t got;

	for (;;) {
		got = recv(fd, buffer, sizeof(buffer), 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return why("it does not answer");
		if (!got || (got < 0 && is_gone(errno)))
			return NULL;
		if (got < 0)
			return why("reading its answer: %s", strerror(errno));
		if (raw->length + (size_t)got > BODY_MAX)
			return why("its answer has no end");
		text_append(raw, buffer, (size_t)got);
	}
}

/* Takes the head off and checks the rest by it. */
static const char *take_answer(const struct text *raw, struct text *answer)
{
	static const char fine[] = "gcarena 1 ok ", bad[] = "gcarena 1 error ";
	const char *end = raw->bytes ? memchr(raw->bytes, '\n', raw->length) : NULL;
	unsigned long long length;
	size_t rest;
	char *tail;

	if (!raw->length)
		return why("it ended before it answered");
	if (!end)
		return why("its answer was cut off: it ended meanwhile, or is no gcarena");
	if (!strncmp(raw->bytes, bad, strlen(bad)))
		return why("%.*s", (int)(end - raw->bytes - (ptrdiff_t)strlen(bad)),
			   raw->bytes + strlen(bad));
	if (strncmp(raw->bytes, fine, strlen(fine)))
		return why("what answers is no gcarena, or of another version");
	length = strtoull(raw->bytes + strlen(fine), &tail, 10);
	rest = raw->length - (size_t)(end + 1 - raw->bytes);
	if (tail != end)
		return why("its answer is damaged");
	if (rest != length)
		return why("its answer was cut off after %zu of %llu bytes: it ended meanwhile",
			   rest, length);
	text_append(answer, end + 1, rest);
	return NULL;
}

/**
 * endpoint_ask_path - ask by a socket's path
 * @path: where it is
 * @request: a line without its end
 * @answer: to this the answer is added
 * @stale: whether nobody listens there; may be NULL
 *
 * Return: NULL, or a sentence, good until the next call.
 */
const char *endpoint_ask_path(const char *path, const char *request, struct text *answer,
			      bool *stale)
{
	static const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct text raw = { 0 }, line = { 0 };
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const char *wrong = NULL;
	int fd;

	if (stale)
		*stale = false;
	if (strlen(path) >= sizeof(address.sun_path))
		return why("%s: too long for a socket", path);
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return why("a socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		if (stale)
			*stale = errno == ECONNREFUSED;
		wrong = errno == ECONNREFUSED ? why("it was killed, and left %s", path) :
			why("%s: %s", path, strerror(errno));
	} else if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) ||
		   (peer.uid != geteuid() && geteuid())) {
		wrong = why("%s: somebody else listens there", path);
	} else {
		text_add(&line, "%s\n", request);
		if (send(fd, line.bytes, line.length, MSG_NOSIGNAL) != (ssize_t)line.length)
			wrong = is_gone(errno) ? why("it ended before it was asked") :
				why("asking it: %s", strerror(errno));
		else
			wrong = receive_all(fd, &raw);
		if (!wrong)
			wrong = take_answer(&raw, answer);
	}
	close(fd);
	text_free(&raw);
	text_free(&line);
	return wrong;
}

/* ------------------------------------------------------------- directories */

typedef void (*visit_fn)(const char *path, const char *name, void *arg);

static void visit_directory(const char *root, visit_fn fn, void *arg)
{
	struct text directory = { 0 }, path = { 0 };
	struct dirent *entry;
	DIR *dir;

	text_add(&directory, "%s/gcarena", root);
	dir = opendir(directory.bytes);
	while (dir && (entry = readdir(dir))) {
		/* A dot in front: a process that has not begun to listen. */
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		path.length = 0;
		text_add(&path, "%s/%s", directory.bytes, entry->d_name);
		fn(path.bytes, entry->d_name, arg);
	}
	if (dir)
		closedir(dir);
	text_free(&path);
	text_free(&directory);
}

static void visit_users(visit_fn fn, void *arg)
{
	struct text root = { 0 };
	struct dirent *entry;
	DIR *dir = opendir("/run/user");

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		root.length = 0;
		text_add(&root, "/run/user/%s", entry->d_name);
		visit_directory(root.bytes, fn, arg);
	}
	if (dir)
		closedir(dir);
	text_free(&root);
}

/* Every endpoint there may be. */
static void visit_all(visit_fn fn, void *arg)
{
	const char *named = endpoint_root ? endpoint_root : getenv("GCARENA_ENDPOINT");
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (named) {
		visit_directory(named, fn, arg);
		return;
	}
	if (runtime)
		visit_directory(runtime, fn, arg);
	if (!geteuid() && !(runtime && !strncmp(runtime, "/run/user/", strlen("/run/user/"))))
		visit_users(fn, arg);
}

/* ------------------------------------------------------------- one process */

struct search {
	uint32_t pid;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool found;
};

static void find_pid(const char *path, const char *name, void *arg)
{
	struct search *search = arg;

	if (strtoul(name, NULL, 10) != search->pid || strlen(path) >= sizeof(search->path))
		return;
	strcpy(search->path, path);
	search->found = true;
}

/**
 * endpoint_try - ask a process
 * @pid: which
 * @request: a line without its end
 * @answer: to this the answer is added
 *
 * Return: NULL, or a sentence, good until the next call.
 */
const char *endpoint_try(uint32_t pid, const char *request, struct text *answer)
{
	struct search search = { .pid = pid };
	const char *wrong;
	bool stale;

	visit_all(find_pid, &search);
	if (!search.found)
		return why("no endpoint: no heap open, another GCARENA_ENDPOINT, or gone");
	wrong = endpoint_ask_path(search.path, request, answer, &stale);
	if (stale)
		unlink(search.path);
	return wrong;
}

/**
 * endpoint_ask - ask a process, and say what is wrong
 * @pid: which
 * @request: a line without its end
 * @answer: to this the answer is added
 *
 * Return: TOOL_OK or TOOL_FAILED.
 */
int endpoint_ask(uint32_t pid, const char *request, struct text *answer)
{
	const char *wrong = endpoint_try(pid, request, answer);

	return wrong ? tool_fail("process %u: %s", pid, wrong) : TOOL_OK;
}

/**
 * endpoint_only_heap - which heap is meant if none is named
 * @pid: the process
 * @heap: its number, or 0: the only one is wanted
 *
 * Return: TOOL_OK or TOOL_FAILED.
 */
int endpoint_only_heap(uint32_t pid, uint32_t *heap)
{
	struct text answer = { 0 };
	const char *at, *next;
	uint64_t number;
	int status;

	if (*heap)
		return TOOL_OK;
	status = endpoint_ask(pid, "stats all", &answer);
	if (status == TOOL_OK && !text_value(&answer, "heap", &number))
		status = tool_fail("process %u has no heap open", pid);
	if (status == TOOL_OK) {
		*heap = (uint32_t)number;
		at = strstr(answer.bytes, "heap: ");
		next = at ? strstr(at + 1, "\nheap: ") : NULL;
		if (next)
			status = tool_fail("process %u has several heaps: say pid:%u/%u",
					   pid, pid, *heap);
	}
	text_free(&answer);
	return status;
}

/* ------------------------------------------------------------- all of them */

static struct source *add_source(struct sources *sources)
{
	struct source *source;

	sources->all = tool_realloc(sources->all, (sources->nr + 1) * sizeof(*sources->all));
	source = &sources->all[sources->nr++];
	memset(source, 0, sizeof(*source));
	return source;
}

/* The word behind a name. */
static void take_comm(const struct text *text, char *comm, size_t room)
{
	const char *at = text->bytes ? strstr(text->bytes, "comm: ") : NULL;
	size_t length;

	if (!at)
		return;
	at += strlen("comm: ");
	length = strcspn(at, "\n");
	if (length >= room)
		length = room - 1;
	memcpy(comm, at, length);
	comm[length] = 0;
	/* Any process may call itself anything; what is no text would spoil all metrics. */
	for (; *comm; comm++)
		if (*comm < ' ' || *comm > '~')
			*comm = '?';
}

static void add_process(const char *path, const char *name, void *arg)
{
	struct sources *sources = arg;
	struct text answer = { 0 };
	const char *wrong, *at;
	bool stale;

	wrong = endpoint_ask_path(path, "stats all", &answer, &stale);
	if (stale)
		unlink(path);
	else if (wrong)
		text_add(&sources->trouble, "process %s: %s\n", name, wrong);
	/* A section a heap. */
	for (at = answer.bytes; !wrong && at && *at;) {
		const char *next = strstr(at + 1, "\nheap: ");
		struct source *source = add_source(sources);

		text_append(&source->text, at, next ? (size_t)(next + 1 - at) : strlen(at));
		source->pid = (uint32_t)source_number(source, "pid");
		source->heap = (uint32_t)source_number(source, "heap");
		source->arena = (uint32_t)source_number(source, "arena");
		take_comm(&source->text, source->comm, sizeof(source->comm));
		at = next ? next + 1 : NULL;
	}
	text_free(&answer);
}

/* The kernel's view of those that told, and of those that did not. */
static void add_debugfs(struct sources *sources)
{
	uint32_t *ids;
	int nr = debugfs_arenas(&ids);
	size_t i;
	int id;

	for (id = 0; id < nr; id++) {
		struct source *source = NULL;
		struct text text = { 0 };

		/* It may have died since. */
		if (debugfs_read(ids[id], "stats", &text)) {
			text_free(&text);
			continue;
		}
		for (i = 0; i < sources->nr; i++)
			if (sources->all[i].arena == ids[id])
				source = &sources->all[i];
		if (!source)
			source = add_source(sources);
		source->debugfs = text;
		source->arena = ids[id];
		if (!source->pid) {
			source->pid = (uint32_t)source_number(source, "pid");
			take_comm(&source->debugfs, source->comm, sizeof(source->comm));
		}
	}
	free(ids);
}

static int by_pid(const void *a, const void *b)
{
	const struct source *one = a, *other = b;

	if (one->pid != other->pid)
		return one->pid < other->pid ? -1 : 1;
	if (one->heap != other->heap)
		return one->heap < other->heap ? -1 : 1;
	return one->arena < other->arena ? -1 : one->arena > other->arena;
}

/**
 * sources_read - ask everybody
 * @sources: empty
 */
void sources_read(struct sources *sources)
{
	visit_all(add_process, sources);
	add_debugfs(sources);
	if (sources->nr)
		qsort(sources->all, sources->nr, sizeof(*sources->all), by_pid);
}

/**
 * sources_complain - say who did not answer, and why
 * @sources: what was asked
 *
 * Return: TOOL_OK: all did.
 */
int sources_complain(const struct sources *sources)
{
	const char *at = sources->trouble.bytes, *end;
	int status = TOOL_OK;

	for (; at && *at; at = end + 1) {
		end = at + strcspn(at, "\n");
		status = tool_fail("%.*s", (int)(end - at), at);
		if (!*end)
			break;
	}
	return status;
}

/**
 * sources_free - forget them
 * @sources: empty then
 */
void sources_free(struct sources *sources)
{
	size_t i;

	for (i = 0; i < sources->nr; i++) {
		text_free(&sources->all[i].text);
		text_free(&sources->all[i].debugfs);
	}
	free(sources->all);
	text_free(&sources->trouble);
	memset(sources, 0, sizeof(*sources));
}

/**
 * source_value - a figure
 * @source: whose
 * @name: of which name
 * @value: it
 *
 * Return: whether there is one.
 */
bool source_value(const struct source *source, const char *name, uint64_t *value)
{
	return text_value(&source->text, name, value) ||
	       text_value(&source->debugfs, name, value);
}

/**
 * source_number - a figure, or 0
 * @source: whose
 * @name: of which name
 */
uint64_t source_number(const struct source *source, const char *name)
{
	uint64_t value;

	return source_value(source, name, &value) ? value : 0;
}

/**
 * source_fragmentation - memory that idles in chunks in use, of what they take
 * @source: whose
 *
 * Return: from 0 to 1.
 */
double source_fragmentation(const struct source *source)
{
	double idle = (double)source_number(source, "partial_idle_bytes");
	double inuse = (double)source_number(source, "heap_inuse");

	return inuse + idle > 0 ? idle / (inuse + idle) : 0;
}

/**
 * source_huge_share - how much of the heap's memory is on huge pages
 * @source: whose
 * @share: from 0 to 1, as the kernel has it; else by chunks, as the arena believes
 *
 * Return: whether there is memory, of which it could be a share.
 */
bool source_huge_share(const struct source *source, double *share)
{
	uint64_t backed, permille, resident, huge;

	if (text_value(&source->text, "resident_bytes", &resident) &&
	    text_value(&source->text, "resident_huge_bytes", &huge)) {
		*share = resident ? (double)huge / (double)resident : 0;
		return resident;
	}
	backed = source_number(source, "chunks_backed");
	if (text_value(&source->debugfs, "huge_coverage_permille", &permille))
		*share = (double)permille / 1000;
	else if (backed)
		*share = 1 - (double)source_number(source, "chunks_small") / (double)backed;
	return backed;
}

/**
 * target_parse - what a command is to look at
 * @text: as the user gave it
 * @target: it
 *
 * Return: whether it makes sense; if not, that has been said.
 */
bool target_parse(const char *text, struct target *target)
{
	struct text pid = { 0 };
	const char *slash;
	uint64_t number;
	bool fine;

	memset(target, 0, sizeof(*target));
	if (strncmp(text, "pid:", 4))
		return tool_arena_id(text, &target->arena);
	text += 4;
	slash = strchr(text, '/');
	text_append(&pid, text, slash ? (size_t)(slash - text) : strlen(text));
	fine = tool_number(pid.bytes, INT32_MAX, &number) && number;
	text_free(&pid);
	target->pid = fine ? (uint32_t)number : 0;
	if (fine && slash) {
		fine = tool_number(slash + 1, UINT32_MAX, &number) && number;
		target->heap = fine ? (uint32_t)number : 0;
	}
	if (!fine)
		tool_misused("'pid:%s' is no heap: say pid:PID or pid:PID/HEAP", text);
	return fine;
}
