// SPDX-License-Identifier: MIT
/*
 * What the kernel's log has of an arena whose owner the OOM killer chose: one line with
 * its figures, and "gcarena oom" explains it; nothing of one that was killed otherwise;
 * not more lines than the limit, however many arenas a victim has.
 *
 * The victims are children in a cgroup with a limit, and fill it with memory of their
 * own: an arena's refill says -ENOMEM and has nobody killed.
 */
#include "guest.h"

#define GROUP		"/sys/fs/cgroup/gcarena-oom"
#define LIMIT		"67108864"
#define TOOL		"/build/tools/gcarena"
#define LOG		"/tmp/oom.log"
#define HELD		(8 * MIB)
#define MANY		14
#define LINES_MAX	10	/* of kmod/oom.c */

static char kernel_log[1 << 16];

static int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* What came since into kernel_log[], the messages alone. */
static void kmsg_read(int fd)
{
	char record[8192], *text;
	size_t used = 0;
	ssize_t n;

	kernel_log[0] = 0;
	for (;;) {
		n = read(fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text)
			continue;
		text[strcspn(text, "\n") + 1] = 0;
		used += (size_t)snprintf(kernel_log + used, sizeof(kernel_log) - used, "%s",
					 text + 1);
		if (used >= sizeof(kernel_log))
			break;
	}
}

static unsigned int lines_with(const char *what)
{
	unsigned int nr = 0;
	const char *at;

	for (at = kernel_log; (at = strstr(at, what)); at++)
		nr++;
	return nr;
}

/* A value of the line that has @pid's arena. */
static long figure(pid_t pid, const char *name)
{
	char start[64], key[32], line[512] = "";
	const char *at;

	snprintf(start, sizeof(start), "gcarena: oom: pid=%d ", pid);
	at = strstr(kernel_log, start);
	if (!at)
		return -1;
	snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	snprintf(key, sizeof(key), " %s=", name);
	at = strstr(line, key);
	return at ? atol(at + strlen(key)) : -1;
}

static void fill_until_killed(void)
{
	size_t bytes = 256 * MIB;
	volatile char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; at < bytes; at += 4096)
		memory[at] = 1;
	_exit(3);
}

/* In the cgroup, with an arena that holds HELD bytes, or @arenas that hold a page. */
static pid_t victim(unsigned int arenas, bool killed_otherwise)
{
	struct gcarena_span span;
	struct arena a;
	pid_t pid = fork();

	if (pid)
		return pid;
	if (g_write_file(GROUP "/cgroup.procs", "0"))
		_exit(4);
	for (unsigned int i = 0; i < arenas; i++) {
		g_open(&a, 64 * MIB);
		if (g_refill(&a, C_LARGE, arenas == 1 ? HELD / PAGE : 1, &span, 1) != 1)
			_exit(5);
	}
	/* Of no memory in use: no line. */
	g_open(&a, 64 * MIB);
	if (killed_otherwise) {
		kill(getpid(), SIGKILL);
		_exit(6);
	}
	fill_until_killed();
	_exit(7);
}

/* @pid was killed, and everything that the kernel says of that is in kernel_log[]. */
static void await_death(pid_t pid, int fd, const char *what)
{
	int status = 0;

	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%s was killed", what);
	if (!WIFSIGNALED(status))
		diag("status %#x", status);
	g_msleep(200);
	kmsg_read(fd);
}

static void test_one(int fd)
{
	pid_t pid = victim(1, false);
	char want[64];

	await_death(pid, fd, "an owner that takes too much memory");
	snprintf(want, sizeof(want), "gcarena: oom: pid=%d ", pid);
	eq(lines_with(want), 1, "the log has one line of its arena");
	eq(figure(pid, "inuse"), HELD / 1024, "with what was in use");
	eq(figure(pid, "free") + figure(pid, "released"), 0, "and free or released: nothing");
	ok(figure(pid, "memory") >= (long)(HELD / 1024), "with what was in memory");
	ok(figure(pid, "arena") > 0 && figure(pid, "meta") > 0, "with its name and its metadata");
	ok(strstr(kernel_log, "comm=oom\n"), "and its owner's");
}

static void test_tool(void)
{
	FILE *log = fopen(LOG, "w");
	char text[4096];
	size_t n;

	if (access(TOOL, X_OK)) {
		skip(2, "no " TOOL " in this guest");
		return;
	}
	fputs(kernel_log, log);
	fclose(log);
	log = popen(TOOL " oom " LOG, "r");
	n = fread(text, 1, sizeof(text) - 1, log);
	text[n] = 0;
	eq(pclose(log), 0, "gcarena oom reads that log");
	ok(strstr(text, "(oom)") && strstr(text, "8.0 MiB in use"), "and says whose memory it was");
	diag("%.*s", (int)strcspn(text, "\n"), text);
}

static void test_other(int fd)
{
	await_death(victim(1, true), fd, "an owner that is killed otherwise");
	eq(lines_with("gcarena: oom:"), 0, "leaves no line");
}

static void test_many(int fd)
{
	unsigned int nr;

	await_death(victim(MANY, false), fd, "an owner of many arenas");
	nr = lines_with("gcarena: oom:");
	ok(nr > 0 && nr <= LINES_MAX, "leaves some lines, and not one each");
	diag("%u lines", nr);
}

int main(void)
{
	int fd = kmsg_open();

	if (fd < 0)
		skip_all("no /dev/kmsg");
	mkdir(GROUP, 0755);
	if (g_write_file(GROUP "/memory.max", LIMIT))
		skip_all("no memory controller");
	g_write_file(GROUP "/memory.swap.max", "0");
	test_one(fd);
	test_tool();
	test_other(fd);
	test_many(fd);
	close(fd);
	ok(g_wait_for(!rmdir(GROUP), 5000), "nothing holds the cgroup afterwards");
	return tap_done();
}
