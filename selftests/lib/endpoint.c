// SPDX-License-Identifier: MIT
/*
 * The endpoint as another process meets it: who may ask, what is answered, bad requests,
 * clients that stand still, two heaps, fork, exit, a name that a killed process left,
 * a place that will not do.
 */
#include "lib.h"
#include "internal.h"

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define ANSWER_MAX	(256 * KIB)
#define STRANGER	65534
#define FORTY		"0123456789012345678901234567890123456789"

static char place[64];
static char answer[ANSWER_MAX];

static void name_of(char *path, size_t room, pid_t pid)
{
	snprintf(path, room, "%s/gcarena/%d", place, (int)pid);
}

static int connect_to(pid_t pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	name_of(address.sun_path, sizeof(address.sun_path), pid);
	if (!connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	close(fd);
	return -errno;
}

/* Everything that comes until the end. */
static const char *receive(int fd)
{
	size_t length = 0;
	ssize_t got;

	while (length < ANSWER_MAX - 1 &&
	       (got = recv(fd, answer + length, ANSWER_MAX - 1 - length, 0)) > 0)
		length += (size_t)got;
	answer[length] = 0;
	close(fd);
	return answer;
}

static const char *ask(pid_t pid, const char *request)
{
	int fd = connect_to(pid);

	if (fd < 0)
		return "no connection";
	send(fd, request, strlen(request), MSG_NOSIGNAL);
	return receive(fd);
}

static unsigned long long value(const char *text, const char *name)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "\n%s: ", name);
	at = strstr(text, line);
	return at ? strtoull(at + strlen(line), NULL, 10) : ~0ull;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool is_there(pid_t pid)
{
	char path[128];

	name_of(path, sizeof(path), pid);
	return !access(path, F_OK);
}

static void test_answers(struct gca_heap *heap)
{
	struct gca_heap *other;
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_memstats stats = { .size = sizeof(stats) };
	const char *text;
	struct stat info;
	char path[128];
	size_t length;

	name_of(path, sizeof(path), getpid());
	ok(!stat(path, &info) && S_ISSOCK(info.st_mode), "there is a socket");
	snprintf(path, sizeof(path), "%s/gcarena", place);
	ok(!stat(path, &info) && (info.st_mode & 0777) == 0700, "in a directory of ours alone");
	for (unsigned int i = 0; i < 100; i++)
		must(gca_new_bytes(m, 1000));
	gca_collect(m);
	/* The arena's thread may still be at work. */
	for (unsigned int i = 0; i < 1000; i++) {
		gca_memstats(heap, &stats);
		text = ask(getpid(), "stats all\n");
		if (value(text, "arena_sequence") == stats.sequence)
			break;
		usleep(1000);
	}
	ok(begins(text, "gcarena 1 ok "), "stats are answered");
	length = strtoul(text + strlen("gcarena 1 ok "), NULL, 10);
	eq(strlen(strchr(text, '\n') + 1), length, "as long as it says");
	eq(value(text, "pid"), getpid(), "the process");
	eq(value(text, "mallocs"), 100, "the figures of the heap");
	eq(value(text, "frees"), stats.frees, "frees");
	eq(value(text, "heap_sys"), stats.heap_sys, "heap_sys");
	eq(value(text, "heap_inuse"), stats.heap_inuse, "heap_inuse");
	eq(value(text, "num_gc"), 1, "cycles");
	eq(value(text, "sequence"), stats.sequence, "of the same sequence");
	eq(value(text, "arena_sequence"), stats.sequence, "the arena's too");
	ok(value(text, "account_wall_ns") != ~0ull, "accounts");
	if (!test_on_device())
		ok(value(text, "resident_bytes") >= 8 * KIB &&
		   value(text, "resident_bytes") <= stats.heap_sys &&
		   value(text, "resident_huge_bytes") <= value(text, "resident_bytes"),
		   "%llu bytes resident of %llu", value(text, "resident_bytes"),
		   (unsigned long long)stats.heap_sys);

	other = open_quiet(GCA_MODE_STOP_THE_WORLD);
	text = ask(getpid(), "stats all\n");
	ok(strstr(text, "\nheap: 1\n") && strstr(text, "\nheap: 2\n"), "two heaps, both listed");
	text = ask(getpid(), "stats 2\n");
	ok(!strstr(text, "\nheap: 1\n") && strstr(text, "\nheap: 2\n"), "or the one asked for");
	gca_close(other);
	text = ask(getpid(), "stats 2\n");
	ok(begins(text, "gcarena 1 error ") && strstr(text, "no heap 2"), "one that is closed");
	ok(begins(ask(getpid(), "stats 1\n"), "gcarena 1 ok "), "the other is still there");

	text = ask(getpid(), "map 1\n");
	ok(strstr(text, "\nchunk map\n0 ") && strstr(text, "\npage npages class elem\n"), "a map");
	/* Packed, as go tool pprof wants it; selftests/tools/heap.t has it read them. */
	for (unsigned int i = 0; i < 2; i++) {
		text = ask(getpid(), i ? "profile 1 wait\n" : "profile 1 heap\n");
		ok(begins(text, "gcarena 1 ok ") && strstr(text, "\n\x1f\x8b"),
		   "a profile of %s", i ? "waits" : "allocations");
	}
	ok(strstr(ask(getpid(), "profile 1 moon\n"), " error "), "not of anything else: %s",
	   answer);
	text = ask(getpid(), "check 1\n");
	ok(test_on_device() ? !!strstr(text, "root") : !!strstr(text, "\nok\n"),
	   "a check: %s", strchr(text, '\n') ? strchr(text, '\n') + 1 : text);
	gca_detach(m);
}

static void test_collect(struct gca_heap *heap)
{
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	char request[64];
	unsigned long long cycle, forced = 0;
	struct gca_memstats stats = { .size = sizeof(stats) };

	must(gca_new_bytes(m, 1000));
	gca_memstats(heap, &stats);
	forced = stats.num_forced_gc;
	/* What asks is no thread of the heap's; this one must not be waited for. */
	gca_blocking_begin(m);
	cycle = value(ask(getpid(), "collect 1\n"), "cycle");
	ok(cycle && cycle != ~0ull, "a cycle is asked for: %llu", cycle);
	snprintf(request, sizeof(request), "collect 1 %llu\n", cycle);
	for (unsigned int i = 0; i < 10000 && value(ask(getpid(), request), "over") != 1; i++)
		usleep(1000);
	eq(value(answer, "over"), 1, "and is over");
	gca_blocking_end(m);
	gca_memstats(heap, &stats);
	eq(stats.num_forced_gc, forced + 1, "one that was asked for");
	eq(stats.heap_objects, 0, "what had died is gone");
	snprintf(request, sizeof(request), "collect 1 %llu\n", cycle + 1);
	eq(value(ask(getpid(), request), "over"), 0, "the next one is not");
	gca_detach(m);
}

/* Of the heap that was opened last. */
static unsigned int last_heap(void)
{
	const char *at = ask(getpid(), "stats all\n");
	unsigned long number = 0, one;

	while ((at = strstr(at, "\nheap: "))) {
		at += strlen("\nheap: ");
		one = strtoul(at, NULL, 10);
		number = one > number ? one : number;
	}
	return (unsigned int)number;
}

/* Nobody but the program's threads can collect: one of them does when it allocates. */
static void test_collect_stopped(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_STOP_THE_WORLD);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_memstats stats = { .size = sizeof(stats) };
	unsigned int number = last_heap();
	unsigned long long cycle;
	char request[64];

	must(gca_new_bytes(m, 1000));
	snprintf(request, sizeof(request), "collect %u\n", number);
	cycle = value(ask(getpid(), request), "cycle");
	eq(cycle, 1, "a heap that stops the world: a cycle is asked for");
	snprintf(request, sizeof(request), "collect %u %llu\n", number, cycle);
	eq(value(ask(getpid(), request), "over"), 0, "and waits for who allocates");
	for (unsigned int i = 0; i < 100; i++)
		must(gca_new_bytes(m, 1000));
	eq(value(ask(getpid(), request), "over"), 1, "who runs it");
	gca_memstats(heap, &stats);
	eq(stats.num_gc, 1, "once");
	eq(stats.num_forced_gc, 1, "as one that was asked for");
	gca_detach(m);
	gca_close(heap);
}

/* A row of the span table is another class's: check says which. */
static void test_damaged(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	unsigned int number = last_heap();
	char request[64], want[64];
	uint64_t *word;
	uint32_t page;

	if (test_on_device()) {
		/* Nobody can damage that one, and root asks the kernel. */
		gca_detach(m);
		gca_close(heap);
		return;
	}
	page = (uint32_t)(((uintptr_t)must(gca_new_bytes(m, 1000)) - (uintptr_t)heap->base) >>
			  GCARENA_PAGE_SHIFT);
	word = (uint64_t *)&heap->rows[page].word0;
	*word ^= 1;
	snprintf(request, sizeof(request), "check %u\n", number);
	snprintf(want, sizeof(want), "\ndamaged\npage %u of span %u: row of class", page, page);
	ok(strstr(ask(getpid(), request), want), "a damaged row is named: %s", answer);
	*word ^= 1;
	ok(strstr(ask(getpid(), request), "\nok\n"), "and is well when it is mended");
	gca_detach(m);
	gca_close(heap);
}

/* The figure of a metric that has one sample. */
static unsigned long long metric(const char *text, const char *name)
{
	const char *at = strstr(text, name), *end;

	while (at && (at == text || at[-1] != '\n' ||
		      (at[strlen(name)] != '{' && at[strlen(name)] != ' ')))
		at = strstr(at + 1, name);
	end = at ? strchr(at, '\n') : NULL;
	while (end && end[-1] != ' ')
		end--;
	return end ? strtoull(end, NULL, 10) : ~0ull;
}

static void contents(FILE *from, char *text, size_t room)
{
	size_t length = from ? fread(text + 1, 1, room - 2, from) : 0;

	/* A name is looked for at the beginning of a line. */
	text[0] = '\n';
	text[length + 1] = 0;
}

/*
 * Program, endpoint, debugfs and exporter: of one state of the arena all say the same.  Where
 * there is a module, root and the tool; selftests/tools/live.t has the rest.
 */
static void test_views(struct gca_heap *heap)
{
	static const struct {
		const char *name;
		const char *metric;
		size_t offset;
	} figures[] = {
		{ "heap_inuse", "gcarena_heap_inuse_bytes",
		  offsetof(struct gca_memstats, heap_inuse) },
		{ "heap_idle", "gcarena_heap_idle_bytes",
		  offsetof(struct gca_memstats, heap_idle) },
		{ "heap_released", "gcarena_heap_released_bytes",
		  offsetof(struct gca_memstats, heap_released) },
		{ "heap_sys", "gcarena_heap_sys_bytes",
		  offsetof(struct gca_memstats, heap_sys) },
	};
	static char debugfs[64 * KIB], metrics[ANSWER_MAX], endpoint[ANSWER_MAX];
	struct gca_memstats stats = { .size = sizeof(stats) };
	char path[PATH_MAX], tool[PATH_MAX + 64];
	const char *at;
	FILE *file;
	bool same = false;
	ssize_t length;

	if (!test_on_device())
		return;
	length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	path[length < 0 ? 0 : length] = 0;
	at = strstr(path, "/selftests/");
	snprintf(tool, sizeof(tool), "%.*s/tools/gcarena export", at ? (int)(at - path) : 0, path);
	for (unsigned int i = 0; i < 100 && !same; i++) {
		gca_memstats(heap, &stats);
		snprintf(endpoint, sizeof(endpoint), "%s", ask(getpid(), "stats 1\n"));
		snprintf(path, sizeof(path), "/sys/kernel/debug/gcarena/%llu/stats",
			 value(endpoint, "arena"));
		file = fopen(path, "r");
		if (!file)
			bail("%s: %s", path, strerror(errno));
		contents(file, debugfs, sizeof(debugfs));
		fclose(file);
		file = popen(tool, "r");
		contents(file, metrics, sizeof(metrics));
		if (!file || pclose(file))
			bail("%s", tool);
		same = value(endpoint, "arena_sequence") == stats.sequence &&
		       value(debugfs, "update") == stats.sequence &&
		       metric(metrics, "gcarena_snapshot_sequence") == stats.sequence;
	}
	ok(same, "four views of one snapshot, %u", stats.sequence);
	eq(value(debugfs, "generation"), stats.generation, "debugfs: its generation");
	eq(metric(metrics, "gcarena_generation"), stats.generation, "exporter: its generation");
	for (unsigned int i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
		uint64_t want = *(uint64_t *)((char *)&stats + figures[i].offset);

		eq(value(endpoint, figures[i].name), want, "endpoint: %s", figures[i].name);
		eq(value(debugfs, figures[i].name), want, "debugfs: %s", figures[i].name);
		eq(metric(metrics, figures[i].metric), want, "exporter: %s", figures[i].name);
	}
}

static void test_requests(void)
{
	char longest[1000];
	struct timespec from, to;
	int silent, left;

	ok(strstr(ask(getpid(), "nonsense 1\n"), "does not know the request 'nonsense'"),
	   "an unknown request");
	ok(strstr(ask(getpid(), "stats x\n"), "no number of a heap"), "no number");
	ok(strstr(ask(getpid(), "stats\n"), "no number of a heap"), "none at all");
	ok(begins(ask(getpid(), "\n"), "gcarena 1 error "), "an empty line");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	ok(!strstr(ask(getpid(), longest), " ok "), "a line that is too long");

	/* One says nothing, one goes away with its answer on the way. */
	silent = connect_to(getpid());
	left = connect_to(getpid());
	send(left, "stats all\n", 10, MSG_NOSIGNAL);
	close(left);
	clock_gettime(CLOCK_MONOTONIC, &from);
	ok(begins(ask(getpid(), "stats 1\n"), "gcarena 1 ok "), "others need not wait for them");
	clock_gettime(CLOCK_MONOTONIC, &to);
	ok(to.tv_sec - from.tv_sec < 30, "for ever");
	ok(strstr(receive(silent), "there is no request"), "who says nothing is told so");
}

/* Another user's process, the way to the socket left open by mistake. */
static void test_stranger(void)
{
	char directory[128], path[128];
	int status = -1;
	pid_t pid;

	if (getuid()) {
		skip(1, "a stranger is refused: not root");
		return;
	}
	snprintf(directory, sizeof(directory), "%s/gcarena", place);
	name_of(path, sizeof(path), getpid());
	chmod(place, 0755);
	chmod(directory, 0755);
	chmod(path, 0777);
	pid_t parent = getpid();

	fflush(stdout);
	pid = fork();
	if (!pid) {
		const char *text;

		if (setuid(STRANGER))
			_exit(2);
		text = ask(parent, "stats all\n");
		_exit(!strstr(text, "error permission denied"));
	}
	waitpid(pid, &status, 0);
	eq(status, 0, "a stranger is refused");
	chmod(directory, 0700);
}

static void test_fork(struct gca_heap *heap)
{
	int up[2], status = -1, fd;
	pid_t pid, parent = getpid();
	char byte;

	if (pipe(up))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gca_heap *own;
		bool fine = !is_there(getpid());

		gca_close(heap);
		fine &= is_there(parent);
		if (gca_open(NULL, &own))
			_exit(2);
		fine &= is_there(getpid()) && begins(ask(getpid(), "stats all\n"), "gcarena 1 ok ");
		fine &= begins(ask(parent, "stats all\n"), "gcarena 1 ok ");
		if (write(up[1], "x", 1) != 1 || !fine)
			_exit(1);
		/* To be killed. */
		pause();
	}
	close(up[1]);
	ok(read(up[0], &byte, 1) == 1, "the child has an endpoint of its own");
	ok(begins(ask(pid, "stats all\n"), "gcarena 1 ok "), "that we may ask");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "killed");
	fd = connect_to(pid);
	eq(fd, -ECONNREFUSED, "what it left refuses");
	ok(is_there(parent), "ours is still there");
	close(up[0]);
}

static void test_exit(void)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gca_heap *own;

		if (gca_open(NULL, &own) || !is_there(getpid()))
			_exit(1);
		exit(0);
	}
	waitpid(pid, &status, 0);
	eq(status, 0, "a process ends with a heap open");
	ok(!is_there(pid), "and leaves no name");
}

static void test_places(void)
{
	char path[128];
	static const struct {
		const char *value;
		int error;
		const char *says;
	} cases[] = {
		{ "off", 0, "" },
		{ "relative", -EINVAL, "must be a path from /" },
		{ "", -EINVAL, "must be a path from /" },
		{ "/nonexistent/place", -EINVAL, "No such file" },
		{ "/dev/null", -EINVAL, "Not a directory" },
		{ "/" FORTY FORTY, -EINVAL, "too long" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct gca_heap *heap = NULL;
		int err;

		setenv("GCARENA_ENDPOINT", cases[i].value, 1);
		err = gca_open(NULL, &heap);
		ok(err == cases[i].error && (!err || strstr(gca_error(), cases[i].says)),
		   "GCARENA_ENDPOINT=%.20s is %d", cases[i].value, err);
		if (!err)
			gca_close(heap);
	}
	snprintf(path, sizeof(path), "%s/shared", place);
	mkdir(path, 0755);
	setenv("GCARENA_ENDPOINT", path, 1);
	snprintf(path, sizeof(path), "%s/shared/gcarena", place);
	mkdir(path, 0700);
	chmod(path, 0777);
	{
		struct gca_heap *heap = NULL;

		eq(gca_open(NULL, &heap), -EINVAL, "a directory that others may write to");
		ok(!!strstr(gca_error(), "not this user's alone"), "says so");
		unsetenv("GCARENA_ENDPOINT");
		snprintf(path, sizeof(path), "%s/shared", place);
		setenv("XDG_RUNTIME_DIR", path, 1);
		eq(gca_open(NULL, &heap), 0, "that nobody asked for: no endpoint, and no error");
		gca_close(heap);
	}
}

int main(void)
{
	struct gca_heap *heap;
	char command[128];

	snprintf(place, sizeof(place), "/tmp/gcarena-endpoint-XXXXXX");
	if (!mkdtemp(place))
		bail("mkdtemp");
	setenv("GCARENA_ENDPOINT", place, 1);
	heap = open_quiet(GCA_MODE_CONCURRENT);
	test_answers(heap);
	test_collect(heap);
	test_collect_stopped();
	test_damaged();
	test_views(heap);
	test_requests();
	test_stranger();
	test_fork(heap);
	test_exit();
	gca_close(heap);
	test_places();
	snprintf(command, sizeof(command), "rm -rf %s", place);
	if (system(command))
		printf("# %s is left\n", place);
	return tap_done();
}
