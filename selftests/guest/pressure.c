// SPDX-License-Identifier: MIT
/*
 * C7, pressure: EPOLLPRI on the arena's own descriptor, when in-use bytes pass a
 * watermark and when somebody reclaims the owner's memory.  One event an episode,
 * none for arming, whoever polls and however; and what the status page says.
 *
 * A span here is one page of 8 KiB or a whole chunk, and the limit 16 MiB, so that
 * a per cent of it is some twenty pages.
 */
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "guest.h"

#define CGROUP		"/sys/fs/cgroup"
#define GROUP		CGROUP "/gcarena-pressure"
#define OTHER		CGROUP "/gcarena-pressure-other"
#define SIZE		(64 * MIB)
#define LIMIT		(16 * MIB)
#define LIMIT_PAGES	(LIMIT / PAGE)

static struct gcarena_span spans[LIMIT_PAGES];
static unsigned long held;

static int set_policy(struct arena *a, uint64_t limit, uint32_t high, uint32_t max, uint32_t low)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .limit_bytes = limit, .watermark_high = high,
		.watermark_max = max, .watermark_low = low,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};

	return g_ioctl(a->fd, GCARENA_IOC_POLICY, &args);
}

/* Have @wanted pages in use, by single pages. */
static void use(struct arena *a, unsigned long wanted)
{
	while (held < wanted) {
		if (g_refill(a, C_16, 0, &spans[held], 1) != 1)
			bail("refill of page %lu", held);
		held++;
	}
	while (held > wanted) {
		unsigned long n = held - wanted < 64 ? held - wanted : 64;

		if (g_return(a, &spans[held - n], n))
			bail("return");
		held -= n;
	}
}

static unsigned long percent(unsigned int share)
{
	return LIMIT_PAGES * share / 100;
}

static bool priority(struct arena *a)
{
	struct pollfd p = { .fd = a->fd, .events = POLLPRI };

	return poll(&p, 1, 0) == 1 && p.revents & POLLPRI;
}

static struct gcarena_stats stats_of(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats;
}

static long events(struct arena *a)
{
	return __atomic_load_n(&a->status->counters.pressure_events, __ATOMIC_RELAXED);
}

static unsigned int level(struct arena *a)
{
	return __atomic_load_n(&a->status->pressure, __ATOMIC_RELAXED);
}

static uint64_t causes(struct arena *a)
{
	return __atomic_load_n(&a->status->pressure_causes, __ATOMIC_RELAXED);
}

static void test_watermarks(void)
{
	struct gcarena_stats stats;
	struct arena a;
	uint64_t before;

	g_open_uncached(&a, SIZE);
	ok(!priority(&a), "C7 watermarks: none before there is a limit");
	eq(set_policy(&a, LIMIT, 0, 0, 0), 0, "C7 watermarks: a limit, with the defaults");
	ok(!priority(&a), "C7 watermarks: arming is no event");
	use(&a, percent(84));
	ok(!priority(&a) && !level(&a), "C7 watermarks: none at 84 %%");
	before = a.status->sequence;
	use(&a, percent(85) + 1);
	ok(priority(&a), "C7 watermarks: EPOLLPRI at 85 %%");
	eq(events(&a), 1, "C7 watermarks: one event");
	eq(level(&a), GCARENA_PRESSURE_SOME, "C7 watermarks: some pressure");
	eq(causes(&a), GCARENA_PRESSURE_HIGH, "C7 watermarks: by the high one");
	eq(a.status->sequence, (long)before + 1, "C7 watermarks: a step of the sequence");
	eq(a.status->pressure_sequence, (long)before + 1, "C7 watermarks: named as such");
	ok(priority(&a), "C7 watermarks: until the sequence is read it stays");
	stats = stats_of(&a);
	eq(stats.sequence, (long)before + 1, "C7 watermarks: read by statistics");
	ok(!priority(&a), "C7 watermarks: which re-arm it");
	use(&a, percent(90));
	use(&a, percent(80));
	use(&a, percent(90));
	ok(!priority(&a) && events(&a) == 1, "C7 watermarks: no second one within the episode");

	use(&a, percent(92) + 1);
	ok(priority(&a), "C7 watermarks: EPOLLPRI at 92 %%");
	eq(level(&a), GCARENA_PRESSURE_FULL, "C7 watermarks: full pressure");
	eq(causes(&a), GCARENA_PRESSURE_HIGH | GCARENA_PRESSURE_MAX, "C7 watermarks: by both");
	eq(events(&a), 2, "C7 watermarks: an event of its own");
	stats_of(&a);
	use(&a, percent(76));
	eq(level(&a), GCARENA_PRESSURE_FULL, "C7 watermarks: it goes on at 76 %%");
	use(&a, percent(75));
	eq(level(&a), GCARENA_PRESSURE_NONE, "C7 watermarks: and is over at 75 %%");
	ok(!priority(&a) && events(&a) == 2, "C7 watermarks: the end is no event");
	use(&a, percent(86));
	ok(priority(&a) && events(&a) == 3, "C7 watermarks: the next episode has one again");
	use(&a, 0);
	ok(priority(&a), "C7 watermarks: an event is not lost when the episode is over");
	stats_of(&a);

	eq(g_refill(&a, C_LARGE, percent(95), &spans[0], 1), 1, "C7 watermarks: past both at once");
	eq(events(&a), 4, "C7 watermarks: is one event");
	eq(g_return(&a, &spans[0], 1), 0, "C7 watermarks: returned");
	g_close(&a);
}

/* What the policy does to an episode: nothing that anybody is told. */
static void test_arming(void)
{
	struct arena a;

	g_open_uncached(&a, SIZE);
	use(&a, percent(90));
	eq(set_policy(&a, LIMIT / 2, 0, 0, 0), 0, "C7 arming: a limit below what is in use");
	ok(!priority(&a) && !events(&a), "C7 arming: is no event");
	eq(level(&a), GCARENA_PRESSURE_FULL, "C7 arming: the level says so");
	use(&a, percent(80));
	ok(!priority(&a) && !events(&a), "C7 arming: nor is what follows within");
	use(&a, percent(37));
	eq(level(&a), GCARENA_PRESSURE_NONE, "C7 arming: it ends at 75 %% of the limit");
	use(&a, percent(43));
	eq(events(&a), 1, "C7 arming: and the next has its event");
	stats_of(&a);
	eq(set_policy(&a, LIMIT, 0, 0, 0), 0, "C7 arming: the limit raised in an episode");
	eq(level(&a), GCARENA_PRESSURE_NONE, "C7 arming: ends it");

	use(&a, percent(60));
	eq(set_policy(&a, LIMIT, 50, 70, 40), 0, "C7 arming: watermarks below what is in use");
	eq(level(&a), GCARENA_PRESSURE_SOME, "C7 arming: an episode");
	ok(!priority(&a) && events(&a) == 1, "C7 arming: without an event");
	eq(set_policy(&a, LIMIT, 80, 90, 45), 0, "C7 arming: raised in an episode");
	eq(level(&a), GCARENA_PRESSURE_SOME, "C7 arming: it goes on down to the low one");
	use(&a, percent(81));
	eq(events(&a), 1, "C7 arming: so passing the new one is none");
	use(&a, percent(91));
	eq(events(&a), 2, "C7 arming: the other one's is");
	eq(set_policy(&a, 0, 0, 0, 0), 0, "C7 arming: no limit");
	eq(level(&a), GCARENA_PRESSURE_NONE, "C7 arming: no watermarks");
	use(&a, 0);
	eq(set_policy(&a, LIMIT, 100, 100, 99), 0, "C7 arming: at the limit only");
	use(&a, LIMIT_PAGES);
	eq(events(&a), 3, "C7 arming: is where it comes");
	use(&a, 0);
	g_close(&a);
}

/* Several threads wait; edge and level. */

#define POLLERS	3

static struct arena shared;
static atomic_int woken, lost;

static void *poller(void *arg)
{
	struct pollfd p = { .fd = shared.fd, .events = POLLPRI };

	if (poll(&p, 1, 10000) == 1 && p.revents == POLLPRI)
		atomic_fetch_add(&woken, 1);
	else
		atomic_fetch_add(&lost, 1);
	return NULL;
}

static void test_waiting(void)
{
	struct epoll_event event = { .events = EPOLLPRI | EPOLLET };
	struct epoll_event got;
	pthread_t threads[POLLERS];
	int edge = epoll_create1(0);
	int plain = epoll_create1(0);

	g_open(&shared, SIZE);
	set_policy(&shared, LIMIT, 0, 0, 0);
	epoll_ctl(edge, EPOLL_CTL_ADD, shared.fd, &event);
	event.events = EPOLLPRI;
	epoll_ctl(plain, EPOLL_CTL_ADD, shared.fd, &event);
	eq(epoll_wait(edge, &got, 1, 0), 0, "C7 waiting: nothing yet");
	for (int i = 0; i < POLLERS; i++)
		pthread_create(&threads[i], NULL, poller, NULL);
	g_msleep(50);
	use(&shared, percent(86));
	for (int i = 0; i < POLLERS; i++)
		pthread_join(threads[i], NULL);
	eq(woken, POLLERS, "C7 waiting: every thread in poll wakes");
	eq(lost, 0, "C7 waiting: and sees EPOLLPRI alone");
	eq(epoll_wait(edge, &got, 1, 0), 1, "C7 waiting: edge-triggered, it is there");
	eq(epoll_wait(edge, &got, 1, 0), 0, "C7 waiting: once");
	eq(epoll_wait(plain, &got, 1, 0), 1, "C7 waiting: level-triggered, it is there");
	eq(epoll_wait(plain, &got, 1, 0), 1, "C7 waiting: until it has been read");
	stats_of(&shared);
	eq(epoll_wait(plain, &got, 1, 0), 0, "C7 waiting: by whoever");
	use(&shared, percent(93));
	eq(epoll_wait(edge, &got, 1, 0), 1, "C7 waiting: the next event is another edge");
	use(&shared, 0);
	close(edge);
	close(plain);
	g_close(&shared);
}

/*
 * Statistics that one thread has read, and is a long time about being told, because
 * the page may not be written yet, when another reads of a later event.
 */
static void *late_stats(void *stats)
{
	return (void *)(intptr_t)g_ioctl(shared.fd, GCARENA_IOC_STATS, stats);
}

static void test_late(void)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct gcarena_stats *stats = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {
		.range = { (uintptr_t)stats, BASE_PAGE }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect protect = {
		.range = range.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	struct pollfd fault = {
		.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), .events = POLLIN,
	};
	pthread_t thread;
	void *err;

	stats->size = sizeof(*stats);
	if (fault.fd < 0 || ioctl(fault.fd, UFFDIO_API, &api) ||
	    ioctl(fault.fd, UFFDIO_REGISTER, &range) ||
	    ioctl(fault.fd, UFFDIO_WRITEPROTECT, &protect)) {
		skip(4, "C7 late: no userfaultfd that protects");
		return;
	}
	g_open_uncached(&shared, SIZE);
	set_policy(&shared, LIMIT, 0, 0, 0);
	pthread_create(&thread, NULL, late_stats, stats);
	eq(poll(&fault, 1, 10000), 1, "C7 late: statistics wait to be written");
	use(&shared, percent(86));
	stats_of(&shared);
	ok(!priority(&shared), "C7 late: others have read of an event since");
	protect.mode = 0;
	ioctl(fault.fd, UFFDIO_WRITEPROTECT, &protect);
	pthread_join(thread, &err);
	eq((intptr_t)err, 0, "C7 late: then they are");
	ok(!priority(&shared), "C7 late: what was read stays read");
	use(&shared, 0);
	close(fault.fd);
	munmap(stats, BASE_PAGE);
	g_close(&shared);
}

/* The owner's end ends the wait; others are told nothing else. */
static void test_end(void)
{
	struct pollfd p;
	struct arena a;
	int sockets[2];
	pid_t pid;
	char c;

	if (pipe(sockets))
		bail("pipe");
	a.fd = open(DEVICE, O_RDWR);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_setup setup;

		held = 0;
		if (g_setup(a.fd, SIZE, &setup) || set_policy(&a, LIMIT, 0, 0, 0))
			_exit(1);
		use(&a, percent(86));
		if (write(sockets[1], "x", 1) != 1)
			_exit(1);
		pause();
	}
	if (read(sockets[0], &c, 1) != 1)
		bail("child");
	p = (struct pollfd){ .fd = a.fd, .events = POLLPRI };
	eq(poll(&p, 1, 0), 0, "C7 end: another process is not told of pressure");
	kill(pid, SIGKILL);
	eq(poll(&p, 1, 5000), 1, "C7 end: the owner's end wakes it");
	ok(p.revents & POLLHUP && !(p.revents & POLLPRI), "C7 end: with EPOLLHUP, not EPOLLPRI");
	waitpid(pid, NULL, 0);
	close(a.fd);
	close(sockets[0]);
	close(sockets[1]);
}

/* Reclaim. */

static void reclaim_from(const char *group, const char *bytes)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/memory.reclaim", group);
	g_write_file(path, bytes);
}

static int enter(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	return g_write_file(path, "0");
}

static void test_reclaim(bool idle)
{
	const char *with = idle ? "with idle chunks" : "without idle chunks";
	struct gcarena_span span[2];
	struct arena a;

	g_open(&a, SIZE);
	eq(g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span[0], 1), 1, "C7 reclaim %s", with);
	eq(g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span[1], 1), 1, "C7 reclaim %s", with);
	if (idle)
		g_return(&a, &span[0], 1);
	ok(!priority(&a) && !level(&a), "C7 reclaim %s: nothing yet", with);
	for (int i = 0; i < 5; i++)
		reclaim_from(GROUP, "8M");
	ok(priority(&a), "C7 reclaim %s: EPOLLPRI", with);
	eq(events(&a), 1, "C7 reclaim %s: one event for five times", with);
	eq(level(&a), GCARENA_PRESSURE_SOME, "C7 reclaim %s: some pressure", with);
	eq(causes(&a), GCARENA_PRESSURE_RECLAIM, "C7 reclaim %s: by reclaim", with);
	stats_of(&a);
	ok(!priority(&a), "C7 reclaim %s: re-armed", with);
	g_msleep(600);
	reclaim_from(GROUP, "1M");
	g_msleep(600);
	eq(level(&a), GCARENA_PRESSURE_SOME, "C7 reclaim %s: the episode goes on", with);
	ok(g_wait_for(!level(&a), 3000), "C7 reclaim %s: and ends a second after the last", with);
	ok(!priority(&a) && events(&a) == 1, "C7 reclaim %s: without an event", with);
	reclaim_from(GROUP, "1M");
	ok(priority(&a) && events(&a) == 2, "C7 reclaim %s: the next has its own", with);
	g_close(&a);
}

/* At limits: by the owner's own allocations. */
static void test_limits(const char *which)
{
	struct gcarena_span span;
	struct arena a;
	char path[128], limit[32], text[32] = "";
	volatile char *more;
	int fd;

	snprintf(path, sizeof(path), GROUP "/memory.current");
	fd = open(path, O_RDONLY);
	if (read(fd, text, sizeof(text) - 1) < 0)
		bail("memory.current");
	close(fd);
	snprintf(path, sizeof(path), GROUP "/%s", which);
	snprintf(limit, sizeof(limit), "%lu", atol(text) + 8 * MIB);

	g_open(&a, SIZE);
	g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1);
	g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1);
	g_return(&a, &span, 1);
	if (g_write_file(path, limit))
		bail("%s", path);
	ok(!events(&a), "C7 %s: setting it is no event", which);
	more = mmap(NULL, 5 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (unsigned long at = 0; at < 5 * MIB; at += BASE_PAGE)
		more[at] = 1;
	ok(priority(&a), "C7 %s: EPOLLPRI when the owner grows elsewhere", which);
	eq(events(&a), 1, "C7 %s: one event", which);
	munmap((void *)more, 5 * MIB);
	g_write_file(path, "max");
	g_close(&a);
}

/* It is the owner's cgroup that counts, also after a move. */
static void test_migration(void)
{
	struct gcarena_span span;
	struct arena a;

	g_open(&a, SIZE);
	g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1);
	reclaim_from(OTHER, "1M");
	ok(!priority(&a), "C7 migration: another cgroup is no concern");
	eq(enter(OTHER), 0, "C7 migration: the owner moves");
	g_msleep(1100);
	g_refill(&a, C_16, 0, &span, 1);
	reclaim_from(OTHER, "1M");
	ok(priority(&a) && events(&a) == 1, "C7 migration: with its next call it is");
	eq(enter(GROUP), 0, "C7 migration: and back");
	g_close(&a);
}

/* Arenas die while they are being told. */
static void test_death(void)
{
	pid_t reclaimer;
	int status, odd = 0;

	fflush(stdout);
	reclaimer = fork();
	if (!reclaimer)
		for (;;)
			reclaim_from(GROUP, "1M");
	for (int i = 0; i < 16; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct gcarena_span span;
			struct arena a;

			g_open(&a, SIZE);
			g_refill(&a, C_LARGE, GCARENA_CHUNK_PAGES, &span, 1);
			g_wait_for(events(&a), 2000);
			_exit(events(&a) == 1 ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		odd += !WIFEXITED(status) || WEXITSTATUS(status);
	}
	kill(reclaimer, SIGKILL);
	waitpid(reclaimer, &status, 0);
	eq(odd, 0, "C7 death: sixteen owners were told once each, and died in their episodes");
}

int main(void)
{
	struct gcarena_features f = { .size = sizeof(f) };
	int fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	bool groups = g_exists(CGROUP "/cgroup.controllers");

	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &f), 0, "C7: features");
	ok(f.features & GCARENA_FEATURE_PRESSURE, "C7: pressure is one");
	close(fd);
	test_watermarks();
	held = 0;
	test_arming();
	test_waiting();
	test_late();
	test_end();

	mkdir(GROUP, 0755);
	mkdir(OTHER, 0755);
	if (!groups || g_write_file(GROUP "/memory.max", "max") ||
	    !g_exists(GROUP "/memory.reclaim")) {
		skip(1, "C7 reclaim: no memory controller");
		return tap_done();
	}
	g_write_file(GROUP "/memory.swap.max", "0");
	if (enter(GROUP))
		bail("cannot enter the cgroup");
	test_reclaim(false);
	test_reclaim(true);
	test_limits("memory.high");
	test_limits("memory.max");
	test_migration();
	test_death();
	enter(CGROUP);
	ok(g_wait_for(!rmdir(GROUP), 5000), "C7: nothing holds the cgroup afterwards");
	ok(g_wait_for(!rmdir(OTHER), 5000), "C7: nor the other");
	return tap_done();
}
