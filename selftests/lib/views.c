// SPDX-License-Identifier: MIT
/*
 * The three views of a running depgraph agree: gca_memstats() by way of the endpoint,
 * debugfs' stats where there is a module, and the exporter.
 *
 * Depgraph is the sample as everybody builds it, at work on its rounds; all of its
 * threads but the endpoint's are held still (ptrace) while the views are looked at, one
 * after the other.  What the kernel's thread changes meanwhile shows in the tags, and then
 * all are looked at again.
 */
#include "lib.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#define PACKAGES	3000u
#define SNAPSHOTS	3u
#define THREADS_MAX	64u
#define TRIES		100u
#define PATIENCE_S	120u
#define ENDPOINT	"gca-endpoint"
#define TEXT_MAX	(256 * KIB)

static char place[64], build[PATH_MAX];
static char endpoint[TEXT_MAX], again[TEXT_MAX], debugfs[TEXT_MAX], metrics[TEXT_MAX];
static pid_t pid;

/* ---------------------------------------------------------------- depgraph */

static void write_index(const char *path)
{
	FILE *file = fopen(path, "we");
	unsigned int i, j;

	if (!file)
		bail("%s: %s", path, strerror(errno));
	for (i = 0; i < PACKAGES; i++) {
		fprintf(file, "Package: p%u\nVersion: 1.%u-1\nArchitecture: amd64\nDepends: ", i,
			i % 7);
		for (j = 1; j <= 6; j++)
			fprintf(file, "%sp%u", j > 1 ? ", " : "", i * j * 7919 % PACKAGES);
		fputs("\nDescription: nothing\n\n", file);
	}
	if (fclose(file))
		bail("%s: %s", path, strerror(errno));
}

static void start(void)
{
	char program[PATH_MAX + 32], index[128], out[128];

	snprintf(program, sizeof(program), "%s/samples/depgraph", build);
	snprintf(index, sizeof(index), "%s/index", place);
	snprintf(out, sizeof(out), "%s/out", place);
	write_index(index);
	fflush(stdout);
	pid = fork();
	if (pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!freopen(out, "w", stdout))
		_exit(1);
	execl(program, "depgraph", "--index", index, "--rounds", "1000000", "--queries", "64",
	      "--hold-seconds", "0", NULL);
	_exit(127);
}

/* Rounds that it says it has done. */
static unsigned int rounds(void)
{
	static char text[4 * MIB];
	unsigned int nr = 0;
	char path[128], *at;
	FILE *file;

	snprintf(path, sizeof(path), "%s/out", place);
	file = fopen(path, "re");
	if (!file)
		return 0;
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	for (at = text; (at = strstr(at, "step 2: round ")); at++)
		nr++;
	return nr;
}

/* ------------------------------------------------------------- held threads */

static struct {
	pid_t tids[THREADS_MAX];
	unsigned int nr;
} held;

static bool is_endpoint(pid_t tid)
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)pid, (int)tid);
	file = fopen(path, "re");
	if (!file)
		return true;	/* it has ended */
	if (!fgets(comm, sizeof(comm), file))
		comm[0] = 0;
	fclose(file);
	return !strncmp(comm, ENDPOINT, strlen(ENDPOINT));
}

static bool is_held(pid_t tid)
{
	unsigned int i;

	for (i = 0; i < held.nr; i++)
		if (held.tids[i] == tid)
			return true;
	return false;
}

/* Or it does so just now. */
static bool has_ended(pid_t tid)
{
	char path[64], state = 'X';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	f = fopen(path, "r");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	if (f)
		fclose(f);
	return state == 'X' || state == 'Z';
}

static bool hold_one(pid_t tid)
{
	int status;

	if (is_held(tid) || is_endpoint(tid) || held.nr == THREADS_MAX)
		return false;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL)) {
		int error = errno;

		/* -EPERM for one that is about to be gone. */
		if (!has_ended(tid))
			bail("ptrace: %s", strerror(error));
		return false;
	}
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) || waitpid(tid, &status, __WALL) != tid ||
	    !WIFSTOPPED(status))
		return false;
	held.tids[held.nr++] = tid;
	return true;
}

/* Threads make threads: until there is no new one. */
static void hold_all(void)
{
	struct dirent *entry;
	char path[64];
	bool more;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	do {
		more = false;
		dir = opendir(path);
		while (dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.')
				more |= hold_one((pid_t)strtol(entry->d_name, NULL, 10));
		if (dir)
			closedir(dir);
	} while (more);
}

static void let_go(void)
{
	while (held.nr)
		ptrace(PTRACE_DETACH, held.tids[--held.nr], NULL, NULL);
}

/* -------------------------------------------------------------------- views */

/* A newline before, as a name is looked for at the beginning of a line. */
static bool contents(FILE *from, char *text)
{
	size_t length = from ? fread(text + 1, 1, TEXT_MAX - 2, from) : 0;

	text[0] = '\n';
	text[length + 1] = 0;
	return length;
}

/* False: it does not answer, as one of the held threads has what it needs. */
static bool ask(char *answer)
{
	static const struct timeval timeout = { .tv_sec = 2 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool fine;
	FILE *from;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/gcarena/%d", place, (int)pid);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    send(fd, "stats 1\n", 8, MSG_NOSIGNAL) != 8) {
		close(fd);
		return false;
	}
	from = fdopen(fd, "r");
	fine = contents(from, answer) && !ferror(from);
	fclose(from);
	return fine && strstr(answer, "\ngcarena 1 ok ");
}

static bool number(const char *text, const char *name, unsigned long long *value)
{
	char line[80];
	const char *at;
	char *end;

	snprintf(line, sizeof(line), "\n%s: ", name);
	at = strstr(text, line);
	if (!at)
		return false;
	*value = strtoull(at + strlen(line), &end, 10);
	return *end == '\n';
}

static unsigned long long value(const char *text, const char *name)
{
	unsigned long long value;

	return number(text, name, &value) ? value : ~0ull;
}

/* Of depgraph's heap. */
static unsigned long long metric(const char *name)
{
	char line[128];
	const char *at, *end;

	snprintf(line, sizeof(line), "\n%s{pid=\"%d\",", name, (int)pid);
	at = strstr(metrics, line);
	end = at ? strchr(at + 1, '\n') : NULL;
	while (end && end[-1] != ' ')
		end--;
	return end ? strtoull(end, NULL, 10) : ~0ull;
}

/* All views, threads held: are they of one state of the arena? */
static bool look(void)
{
	char path[PATH_MAX + 64];
	FILE *file;
	bool fine;

	if (!ask(endpoint))
		return false;
	snprintf(path, sizeof(path), "%s/tools/gcarena export", build);
	file = popen(path, "r");
	contents(file, metrics);
	if (!file || pclose(file))
		bail("%s failed", path);
	if (test_on_device()) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/gcarena/%llu/stats",
			 value(endpoint, "arena"));
		file = fopen(path, "re");
		fine = contents(file, debugfs);
		if (file)
			fclose(file);
		if (!fine)
			bail("%s: %s", path, strerror(errno));
	}
	/* Once more, so that nothing has changed between. */
	return ask(again) && value(again, "sequence") == value(endpoint, "sequence") &&
	       value(endpoint, "arena_sequence") == value(endpoint, "sequence") &&
	       metric("gcarena_snapshot_sequence") == value(endpoint, "sequence") &&
	       (!test_on_device() || value(debugfs, "update") == value(endpoint, "sequence"));
}

/* Until it has done another round, and run another cycle. */
static void go_on(unsigned long long cycles)
{
	unsigned int before = rounds();

	for (unsigned int i = 0; i < PATIENCE_S * 100; i++) {
		if (rounds() > before && ask(again) && value(again, "num_gc") > cycles)
			return;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			bail("depgraph ended by itself");
		usleep(10000);
	}
	bail("depgraph does nothing");
}

static bool snapshot(void)
{
	bool same = false;
	unsigned int i;

	for (i = 0; i < TRIES && !same; i++) {
		hold_all();
		if (!held.nr)
			bail("no thread of depgraph's is there to be held");
		/* The kernel's thread, or a page of its counters half written. */
		for (unsigned int j = 0; j < 3 && !same; j++)
			same = look();
		let_go();
		usleep(1000);
	}
	return same;
}

/* Every figure that the exporter has as it is. */
static void test_metrics(void)
{
	static const char *const figures[][2] = {
		{ "generation", "gcarena_generation" },
		{ "sequence", "gcarena_snapshot_sequence" },
		{ "heap_inuse", "gcarena_heap_inuse_bytes" },
		{ "heap_idle", "gcarena_heap_idle_bytes" },
		{ "heap_released", "gcarena_heap_released_bytes" },
		{ "heap_sys", "gcarena_heap_sys_bytes" },
		{ "heap_alloc", "gcarena_heap_alloc_bytes" },
		{ "heap_live", "gcarena_heap_live_bytes" },
		{ "heap_objects", "gcarena_heap_objects" },
		{ "sys", "gcarena_sys_bytes" },
		{ "next_gc", "gcarena_next_gc_bytes" },
		{ "partial_idle_bytes", "gcarena_partial_idle_bytes" },
		{ "total_alloc", "gcarena_alloc_bytes_total" },
		{ "mallocs", "gcarena_mallocs_total" },
		{ "frees", "gcarena_frees_total" },
		{ "num_gc", "gcarena_gc_cycles_total" },
		{ "num_forced_gc", "gcarena_gc_forced_cycles_total" },
		{ "minor_gc", "gcarena_gc_minor_cycles_total" },
		{ "scavenged_bytes", "gcarena_scavenged_bytes_total" },
		{ "refill_calls", "gcarena_refills_total" },
	};

	for (unsigned int i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		eq(metric(figures[i][1]), value(endpoint, figures[i][0]), "exporter: %s",
		   figures[i][0]);
}

/* Every figure that debugfs and the endpoint have by the same name. */
static void test_debugfs(void)
{
	unsigned int common = 0, different = 0;
	char line[128], *at, *colon;
	unsigned long long here, there;

	if (!test_on_device())
		return;
	for (at = debugfs; (at = strchr(at, '\n')) && at[1]; at++) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = 0;
		if (!number(debugfs, line, &there) || !number(endpoint, line, &here))
			continue;
		common++;
		if (here == there)
			continue;
		different++;
		diag("%s: %llu by the endpoint, %llu in debugfs", line, here, there);
	}
	ok(common >= 15, "debugfs: %u figures that the endpoint has too", common);
	eq(different, 0, "debugfs: all the same");
	eq(value(debugfs, "generation"), value(endpoint, "generation"), "its generation");
	eq(value(debugfs, "update"), value(endpoint, "sequence"), "its sequence");
	eq(value(debugfs, "heap_inuse"), value(endpoint, "heap_inuse"), "and heap_inuse");
}

int main(void)
{
	unsigned long long cycles = 0;
	ssize_t length;
	bool same;
	char *at;

	length = readlink("/proc/self/exe", build, sizeof(build) - 1);
	build[length < 0 ? 0 : length] = 0;
	at = strstr(build, TEST_ASAN ? "/asan/selftests/" : "/selftests/");
	if (!at)
		bail("%s is not where it is built", build);
	*at = 0;
	snprintf(place, sizeof(place), "/tmp/views.XXXXXX");
	if (!mkdtemp(place))
		bail("mkdtemp: %s", strerror(errno));
	setenv("GCARENA_ENDPOINT", place, 1);
	start();
	for (unsigned int i = 0; i < SNAPSHOTS; i++) {
		go_on(cycles);
		same = snapshot();
		ok(same, "snapshot %u: every view of sequence %llu", i + 1,
		   value(endpoint, "sequence"));
		ok(value(endpoint, "num_gc") > cycles, "at work: %llu cycles, generation %llu",
		   value(endpoint, "num_gc"), value(endpoint, "generation"));
		cycles = value(endpoint, "num_gc");
		ok(value(endpoint, "heap_inuse") > 100 * KIB, "%llu bytes in use",
		   value(endpoint, "heap_inuse"));
		test_metrics();
		test_debugfs();
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(build, sizeof(build), "rm -rf %s", place);
	if (system(build))
		diag("%s", build);
	return tap_done();
}
