// SPDX-License-Identifier: MIT
/*
 * Out of memory at every point: a set-up or a refill is tried with a cgroup
 * limit that leaves it so many pages, then with some more, and so on until it
 * succeeds.  Each failure must be -ENOMEM, lose nothing and leave the
 * descriptor as good as before.
 *
 * The limit is tightened by this process, outside of the cgroup, while the one
 * inside waits with all that it needs already touched.
 */
#include "guest.h"

#define GROUP		"/sys/fs/cgroup/gcarena-enomem"
#define SIZE		GCARENA_HEAP_SIZE_MAX
#define LARGE_PAGES	(3 * GCARENA_CHUNK_PAGES)

enum what { SETUP, REFILL, WHATS };

/* Where both are; advanced by one, then the other. */
enum step { START, READY, TIGHT, CALLED, LOOSE, DONE, CHECKED };

/**
 * struct shared - a page that both see, because a pipe would want memory
 * @step: how far they are
 * @err: of the call with the tight limit
 * @again: of the same call without it
 * @leftovers: spans in use after a failure
 * @id: of the arena
 */
struct shared {
	_Atomic int step;
	int err;
	int again;
	int leftovers;
	uint32_t id;
};

static struct shared *shared;

static int put_limit(long bytes)
{
	char text[32];

	if (bytes < 0)
		snprintf(text, sizeof(text), "max");
	else
		snprintf(text, sizeof(text), "%ld", bytes);
	return g_write_file(GROUP "/memory.max", text);
}

static int call(struct arena *a, enum what what)
{
	static struct gcarena_span span;
	int n;

	if (what == SETUP)
		return g_setup(a->fd, SIZE, &a->setup);
	n = g_refill(a, C_LARGE, LARGE_PAGES, &span, 1);
	return n < 0 ? n : 0;
}

/* Wait for @step; false if @pid, unless 0, ends before. */
static bool wait_step(enum step step, pid_t pid)
{
	while (shared->step < (int)step) {
		if (pid && waitpid(pid, NULL, WNOHANG) == pid)
			return false;
		g_msleep(1);
	}
	return true;
}

/* The one inside: wait, call, wait, call again. */
static void inside(enum what what)
{
	struct gcarena_stats stats;
	struct arena a;

	if (g_write_file(GROUP "/cgroup.procs", "0"))
		_exit(1);
	mlockall(MCL_CURRENT);
	memset(&stats, 0, sizeof(stats));
	if (what == SETUP)
		a.fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	else
		g_open(&a, SIZE);
	shared->step = READY;
	wait_step(TIGHT, 0);
	shared->err = call(&a, what);
	shared->step = CALLED;
	wait_step(LOOSE, 0);
	if (what == REFILL && shared->err) {
		g_stats(&a, &stats);
		shared->leftovers = stats.counters.spans_inuse;
	}
	shared->again = shared->err ? call(&a, what) : 0;
	shared->id = a.setup.id;
	shared->step = DONE;
	wait_step(CHECKED, 0);
	_exit(0);
}

/* One try with @spare bytes left.  False: the one inside was killed. */
static bool attempt(enum what what, long spare, int *valid)
{
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	put_limit(-1);
	fflush(stdout);
	pid = fork();
	if (!pid)
		inside(what);
	if (!wait_step(READY, pid))
		return false;
	/* Pages charged in advance, one batch for each CPU, go back. */
	g_write_file(GROUP "/memory.high", "0");
	g_write_file(GROUP "/memory.high", "max");
	put_limit(g_file_number(GROUP "/memory.current") + spare);
	shared->step = TIGHT;
	if (!wait_step(CALLED, pid))
		return false;
	put_limit(-1);
	shared->step = LOOSE;
	if (!wait_step(DONE, pid))
		return false;
	*valid = g_validate(shared->id);
	shared->step = CHECKED;
	waitpid(pid, NULL, 0);
	return true;
}

static void test(enum what what, const char *name, long step, long end, bool enough)
{
	unsigned int tries = 0, failed = 0, killed = 0, odd = 0, lost = 0, stuck = 0, broken = 0;
	int valid = 0;
	long spare;

	for (spare = 0; spare <= end; spare += step) {
		if (!attempt(what, spare, &valid)) {
			killed++;
			continue;
		}
		tries++;
		failed += shared->err == -ENOMEM;
		odd += shared->err && shared->err != -ENOMEM;
		lost += shared->leftovers != 0;
		stuck += shared->again != 0;
		broken += valid != 0;
	}
	diag("%s: %u tries, %u failed, %u times somebody was killed", name, tries, failed, killed);
	ok(failed >= 5, "%s: fails with too little memory", name);
	if (enough)
		ok(failed < tries, "%s: succeeds with enough", name);
	eq(odd, 0, "%s: every failure is -ENOMEM", name);
	eq(lost, 0, "%s: and loses nothing", name);
	eq(stuck, 0, "%s: the same call works when there is memory again", name);
	eq(broken, 0, "%s: and the arena is valid", name);
	eq(killed, 0, "%s: nobody is killed", name);
}

int main(void)
{
	if (!g_exists("/sys/fs/cgroup/cgroup.controllers"))
		skip_all("no cgroup2");
	shared = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared->step = START;
	mkdir(GROUP, 0755);
	if (put_limit(-1))
		skip_all("no memory controller");
	g_write_file(GROUP "/memory.swap.max", "0");
	test(SETUP, "set-up", BASE_PAGE, 256 * 1024, true);
	test(REFILL, "refill", 128 * 1024, 8 * (long)MIB, true);
	test(REFILL, "refill, to its tables", 2 * BASE_PAGE, 512 * 1024, false);
	ok(g_wait_for(!rmdir(GROUP), 5000), "nothing holds the cgroup afterwards");
	return tap_done();
}
