// SPDX-License-Identifier: MIT
/*
 * Who holds whom, and what dies in which order: a test for each row of the
 * tables in Documentation/lifetime.rst.
 *
 * An owner that has to die is a child, which hands its descriptor back over a
 * socket; so this process always plays "whoever else holds it".
 */
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "guest.h"

#define SIZE	(32 * MIB)
#define FILL	(16 * MIB)
/* Shmem of the rest of the system may move by so much. */
#define NOISE	(2L * MIB)
#ifndef MADV_DOFORK
#define MADV_DOFORK	11
#endif

static long shmem_bytes(void)
{
	return g_file_value("/proc/meminfo", "Shmem") * 1024;
}

static void send_fd(int sock, int fd, const struct gcarena_setup *setup)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { (void *)setup, sizeof(*setup) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	if (sendmsg(sock, &msg, 0) < 0)
		_exit(99);
}

static int receive_fd(int sock, struct gcarena_setup *setup)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {};
	struct iovec iov = { setup, sizeof(*setup) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf, .msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, 0) <= 0)
		bail("the child sent nothing");
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg)
		bail("the child sent no descriptor");
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

/* Fill some of the heap and give the worker a reason to exist. */
static void fill(struct arena *a)
{
	static struct gcarena_span s[FILL / (64 * PAGE)];
	int n = g_refill(a, C_CHUNKY, 0, s, FILL / (64 * PAGE));

	for (int i = 0; i < n; i++) {
		memset(g_addr(a, s[i].page), 0x42, 64 * PAGE);
		g_set_bit(a, s[i].generation & 1, s[i].page, 0);
		g_set_bit(a, !(s[i].generation & 1), s[i].page, 0);
	}
	g_return(a, s, n);
	g_start_sweep(a, 0);
}

/* An owner in a process of its own. */
struct owner {
	pid_t pid;
	int fd;
	int sock;
	struct gcarena_setup setup;
};

enum what { WAIT, EXEC };

static void owner_start(struct owner *o, enum what what)
{
	int sock[2];

	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		bail("socketpair");
	o->pid = fork();
	if (!o->pid) {
		struct arena a;
		char byte;

		close(sock[0]);
		g_open(&a, SIZE);
		fcntl(a.fd, F_SETFD, 0);
		fill(&a);
		send_fd(sock[1], a.fd, &a.setup);
		if (read(sock[1], &byte, 1) != 1)
			_exit(98);
		if (what == EXEC)
			execl("/bin/busybox", "sleep", "1000", (char *)NULL);
		pause();
		_exit(97);
	}
	close(sock[1]);
	o->sock = sock[0];
	o->fd = receive_fd(o->sock, &o->setup);
}

static void owner_go_on(struct owner *o)
{
	if (write(o->sock, "x", 1) != 1)
		bail("the child is gone");
}

static void owner_kill(struct owner *o)
{
	kill(o->pid, SIGKILL);
	waitpid(o->pid, NULL, 0);
	close(o->sock);
}

static void expect_dead(struct owner *o, const char *how)
{
	struct pollfd pfd = { .fd = o->fd };
	struct gcarena_stats stats = { .size = sizeof(stats) };
	struct gcarena_features features = { .size = sizeof(features) };
	struct gcarena_setup setup;

	eq(poll(&pfd, 1, 5000), 1, "%s: poll ends", how);
	eq(pfd.revents, POLLHUP | POLLERR, "%s: poll says hang-up and error", how);
	ok(g_wait_for(!g_debugfs_has(o->setup.id), 5000), "%s: gone from debugfs", how);
	ok(g_wait_for(!g_worker(o->setup.id), 5000), "%s: its thread is gone", how);
	eq(g_ioctl(o->fd, GCARENA_IOC_STATS, &stats), -EIO, "%s: a call is -EIO", how);
	eq(g_setup(o->fd, SIZE, &setup), -EIO, "%s: another set-up is -EIO", how);
	eq(g_ioctl(o->fd, GCARENA_IOC_FEATURES, &features), 0, "%s: features still answers", how);
	ok(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, o->fd, 0) == MAP_FAILED && errno == EIO,
	   "%s: mmap is -EIO", how);
}

static void test_kill(void)
{
	struct pollfd pfd = { .events = POLLIN };
	long before = shmem_bytes();
	struct owner o;

	owner_start(&o, WAIT);
	pfd.fd = o.fd;
	ok(shmem_bytes() >= before + (long)FILL - NOISE, "kill: the owner has memory");
	ok(g_worker(o.setup.id) > 0, "kill: and a kernel thread");
	eq(poll(&pfd, 1, 0), 0, "kill: another process polls and sees nothing while it lives");
	owner_kill(&o);
	expect_dead(&o, "kill");
	ok(g_wait_for(shmem_bytes() < before + NOISE, 5000),
	   "kill: its memory is gone while we hold the descriptor");
	close(o.fd);
}

/* Somebody sleeps in poll while the owner is killed. */
static void test_kill_wakes(void)
{
	struct owner o;
	int status;
	pid_t pid;

	owner_start(&o, WAIT);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct pollfd pfd = { .fd = o.fd, .events = POLLIN };
		int64_t start = g_now_ns();
		int n = poll(&pfd, 1, 10000);

		/* At its timeout poll looks once more: that is not being woken. */
		_exit(n == 1 && g_now_ns() - start < 5000000000LL ? pfd.revents : 0);
	}
	g_msleep(200);
	owner_kill(&o);
	waitpid(pid, &status, 0);
	eq(WEXITSTATUS(status), POLLHUP | POLLERR, "kill: wakes who sleeps in poll");
	close(o.fd);
}

static void test_exec(void)
{
	long before = shmem_bytes();
	struct owner o;

	owner_start(&o, EXEC);
	owner_go_on(&o);
	expect_dead(&o, "exec");
	ok(g_wait_for(shmem_bytes() < before + NOISE, 5000), "exec: its memory is gone");
	eq(kill(o.pid, 0), 0, "exec: the process lives on");
	owner_kill(&o);
	close(o.fd);
}

static void test_passed(void)
{
	struct gcarena_stats stats = { .size = sizeof(stats) };
	struct owner o;
	struct arena a;
	int status;
	pid_t pid;

	owner_start(&o, WAIT);
	eq(g_ioctl(o.fd, GCARENA_IOC_STATS, &stats), -EIO,
	   "passed on: a call from another process is -EIO while the owner lives");
	ok(mmap(NULL, SIZE, PROT_READ, MAP_SHARED, o.fd, 0) == MAP_FAILED && errno == EIO,
	   "passed on: so is mmap");
	ok(g_debugfs_has(o.setup.id), "passed on: the arena does not mind");
	owner_kill(&o);
	close(o.fd);

	/* Not set up yet, a descriptor is nobody's. */
	a.fd = open(DEVICE, O_RDWR);
	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(-g_setup(a.fd, SIZE, &a.setup));
	waitpid(pid, &status, 0);
	eq(WEXITSTATUS(status), 0, "passed on before set-up: the child sets it up");
	eq(g_setup(a.fd, SIZE, &a.setup), -EIO, "and takes it to its grave");
	close(a.fd);
}

static void test_close(void)
{
	struct gcarena_span s;
	struct arena a;
	char *p;

	g_open(&a, SIZE);
	g_refill(&a, C_64, 0, &s, 1);
	strcpy(g_addr(&a, s.page), "still here");
	p = a.heap;
	close(a.fd);
	ok(g_debugfs_has(a.setup.id), "close: mapped metadata keeps the arena");
	eq(g_row_state(&a, s.page), GCARENA_STATE_HELD, "close: its tables can be read");
	munmap(a.rows, a.setup.spans_size);
	munmap(a.status, a.setup.status_size);
	ok(g_debugfs_has(a.setup.id), "close: any of the regions does");
	munmap(a.bits[0], a.setup.bitmap_size);
	ok(g_debugfs_has(a.setup.id), "close: even a part of one");
	munmap(a.bits[1], a.setup.bitmap_size);
	ok(g_wait_for(!g_debugfs_has(a.setup.id), 5000), "close: the last unmap ends it");
	ok(!strcmp(p + s.page * PAGE, "still here"), "close: the heap mapping outlives it");
	memset(p, 0x11, SIZE);
	ok(p[SIZE - 1] == 0x11, "close: as plain memory, all of it");
	munmap(p, SIZE);
}

static void test_duplicates(void)
{
	struct arena a;
	int other;

	g_open(&a, SIZE);
	other = dup(a.fd);
	g_unmap_meta(&a);
	close(a.fd);
	a.fd = other;
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), 0, "dup: the other descriptor is as good");
	close(other);
	ok(g_wait_for(!g_debugfs_has(a.setup.id), 5000), "dup: the last close ends the arena");
	munmap(a.heap, SIZE);
}

/* A child that shares the heap because its parent said so. */
static void test_dofork(void)
{
	long before = shmem_bytes();
	int sock[2], status;
	pid_t owner, heir;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock))
		bail("socketpair");
	fflush(stdout);
	owner = fork();
	if (!owner) {
		struct arena a;

		g_open(&a, SIZE);
		fill(&a);
		madvise(a.heap, SIZE, MADV_DOFORK);
		heir = fork();
		if (!heir) {
			if (a.heap[0] != 0x42 || write(sock[1], "r", 1) != 1 ||
			    read(sock[1], &byte, 1) != 1)
				_exit(1);
			a.heap[0] = 1;
			_exit(write(sock[1], "w", 1) != 1);
		}
		waitpid(heir, &status, 0);
		_exit(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	}
	if (read(sock[0], &byte, 1) != 1)
		bail("the heir is gone");
	kill(owner, SIGKILL);
	waitpid(owner, &status, 0);
	ok(g_wait_for(shmem_bytes() < before + NOISE, 5000),
	   "MADV_DOFORK: the memory goes with the owner, though a child maps it");
	if (write(sock[0], "x", 1) != 1)
		bail("the heir is gone");
	/* The heir is not our child: it is gone when the socket ends. */
	close(sock[1]);
	eq(read(sock[0], &byte, 1), 0, "MADV_DOFORK: the child dies of touching it");
	ok(shmem_bytes() < before + NOISE, "MADV_DOFORK: and got no memory for it");
	close(sock[0]);
}

static void *thread_setup(void *arg)
{
	struct arena *a = arg;

	g_open(a, SIZE);
	return NULL;
}

/* The owner is the mm, not the thread that set up. */
static void test_thread(void)
{
	struct gcarena_span s;
	struct arena a;
	pthread_t thread;

	pthread_create(&thread, NULL, thread_setup, &a);
	pthread_join(thread, NULL);
	eq(g_refill(&a, C_64, 0, &s, 1), 1, "a thread's arena outlives the thread");
	g_close(&a);
}

static void test_worker(void)
{
	struct gcarena_span s;
	struct arena a;

	g_open(&a, SIZE);
	g_refill(&a, C_64, 0, &s, 1);
	eq(g_worker(a.setup.id), 0, "worker: none before there is work");
	g_set_bit(&a, s.generation & 1, s.page, 0);
	g_return(&a, &s, 1);
	g_start_sweep(&a, 0);
	ok(g_worker(a.setup.id) > 0, "worker: started by the first sweep");
	ok(g_wait_for(!a.status->sweeping, 5000), "worker: which it completes by itself");
	ok(!g_row_in_use(&a, s.page), "worker: freeing what was not marked");
	g_close(&a);
	ok(g_wait_for(!g_worker(a.setup.id), 5000), "worker: gone with the arena");
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

/* Signals do not show in a set-up. */
static void test_signals(void)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = {};
	struct sigaction action = { .sa_handler = on_alarm };
	int bad = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 100; i++) {
		int fd = open(DEVICE, O_RDWR);

		bad += g_setup(fd, SIZE, NULL) != 0;
		close(fd);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	eq(bad, 0, "signals: a hundred set-ups under %d of them", alarms);
}

/* A child without MADV_DOFORK: its copies of the descriptor are all it has. */
static void test_fork(void)
{
	struct gcarena_span s;
	struct arena a;
	int status;
	pid_t pid;

	g_open(&a, SIZE);
	g_refill(&a, C_64, 0, &s, 1);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_stats stats = { .size = sizeof(stats) };
		int err = g_ioctl(a.fd, GCARENA_IOC_STATS, &stats);

		close(a.fd);
		_exit(-err);
	}
	waitpid(pid, &status, 0);
	eq(WEXITSTATUS(status), EIO, "fork: the child is not the owner");
	eq(g_return(&a, &s, 1), 0, "fork: and its end is not the arena's");
	g_close(&a);
}

static int sharer(void *arg)
{
	struct arena *a = arg;
	struct gcarena_span s;

	return g_refill(a, C_64, 0, &s, 1) == 1 && !g_return(a, &s, 1) ? 0 : 1;
}

/* A process with the same mm, as vfork() makes. */
static void test_sharer(void)
{
	static char stack[16 * BASE_PAGE] __attribute__((aligned(16)));
	struct arena a;
	int status = -1;
	pid_t pid;

	g_open(&a, SIZE);
	pid = clone(sharer, stack + sizeof(stack), CLONE_VM | SIGCHLD, &a);
	waitpid(pid, &status, 0);
	eq(status, 0, "CLONE_VM: a process of the same mm is the owner");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), (long)CHUNK,
	   "CLONE_VM: and its end is not the arena's");
	g_close(&a);
}

/* Nothing is left but a heap mapping: it has the memory until it goes. */
static void test_heap_only(void)
{
	long before = shmem_bytes();
	struct arena a;

	g_open(&a, SIZE);
	fill(&a);
	g_unmap_meta(&a);
	close(a.fd);
	ok(g_wait_for(!g_debugfs_has(a.setup.id), 5000), "heap only: the arena is gone");
	ok(shmem_bytes() >= before + (long)FILL - NOISE, "heap only: the memory is not");
	munmap(a.heap, SIZE / 2);
	eq(a.heap[SIZE - 1], 0, "heap only: half of the mapping does as well");
	munmap(a.heap + SIZE / 2, SIZE / 2);
	ok(g_wait_for(shmem_bytes() < before + NOISE, 5000), "heap only: the last munmap frees it");
}

/* A page that somebody has pinned outlives arena and owner, with its contents. */
static void test_pinned(void)
{
	char text[16] = "";
	int fds[2], status;
	pid_t pid;

	if (pipe(fds))
		bail("pipe");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct gcarena_span s;
		struct arena a;
		struct iovec iov;

		g_open(&a, SIZE);
		g_refill(&a, C_64, 0, &s, 1);
		iov = (struct iovec) { g_addr(&a, s.page), 8 };
		strcpy(iov.iov_base, "pinned.");
		if (vmsplice(fds[1], &iov, 1, 0) != 8)
			_exit(1);
		raise(SIGKILL);
	}
	waitpid(pid, &status, 0);
	ok(WIFSIGNALED(status), "pinned: the owner is dead");
	close(fds[1]);
	eq(read(fds[0], text, sizeof(text)), 8, "pinned: what it gave to a pipe is there");
	ok(!strcmp(text, "pinned."), "pinned: unchanged");
	close(fds[0]);
}

/* Who has a file of debugfs open sees an arena's end, and delays no more than that. */
static void test_debugfs(void)
{
	char path[64], text[64];
	struct arena a;
	int fd;

	g_open(&a, SIZE);
	snprintf(path, sizeof(path), DEBUGFS "/%u/stats", a.setup.id);
	fd = open(path, O_RDONLY);
	ok(read(fd, text, sizeof(text)) > 0, "debugfs: an arena's statistics");
	g_close(&a);
	ok(g_wait_for(!g_debugfs_has(a.setup.id), 5000), "debugfs: an open file does not keep it");
	eq(pread(fd, text, sizeof(text), 0), -1, "debugfs: and reads no more");
	close(fd);
}

/* CPUs come and go. */
static void test_hotplug(void)
{
	const char *online = "/sys/devices/system/cpu/cpu1/online";
	static struct gcarena_span s[64];
	struct arena a;
	int n = 0;

	if (!g_exists(online)) {
		skip(4, "hotplug: one CPU only, or none that goes");
		return;
	}
	g_open(&a, SIZE);
	for (int i = 0; i < 4; i++) {
		eq(g_write_file(online, i & 1 ? "1" : "0"), 0, "hotplug: cpu1 %s",
		   i & 1 ? "on" : "off");
		n += g_refill(&a, i & 1 ? C_64 : C_1K, 0, s + n, 16);
		g_start_sweep(&a, i);
		g_return(&a, s, n);
		g_assist(&a);
		n = 0;
	}
	ok(g_wait_for(!a.status->sweeping, 5000), "hotplug: sweeping goes on");
	eq(g_validate(a.setup.id), 0, "hotplug: the arena is valid");
	g_close(&a);
}

static long debugfs_arenas(void)
{
	return g_file_value(DEBUGFS "/totals", "arenas");
}

/* The owner goes while its thread is in the middle of work, at every stage. */
static void test_busy_worker(void)
{
	long before = shmem_bytes();
	int status, bad = 0;

	for (int i = 0; i < 20; i++) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		if (!pid) {
			struct gcarena_policy policy = {
				.size = sizeof(policy), .retain_bytes = CHUNK,
			};
			struct gcarena_policy_call call = {
				.size = sizeof(call), .flags = GCARENA_POLICY_SET,
				.policy = (uintptr_t)&policy,
			};
			struct arena a;

			g_open(&a, SIZE);
			fill(&a);
			g_ioctl(a.fd, GCARENA_IOC_POLICY, &call);
			usleep(i * 500);
			raise(SIGKILL);
		}
		waitpid(pid, &status, 0);
		bad += !WIFSIGNALED(status);
	}
	eq(bad, 0, "busy thread: twenty owners die beside it");
	ok(g_wait_for(!debugfs_arenas(), 5000), "busy thread: no arena is left");
	ok(g_wait_for(shmem_bytes() < before + NOISE, 5000), "busy thread: nor memory");
}

static int module_unload(void)
{
	return syscall(SYS_delete_module, "gcarena", O_NONBLOCK) ? -errno : 0;
}

static int module_load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;

	close(fd);
	return err;
}

static void test_unload(void)
{
	const char *path = getenv("GCARENA_KO");
	struct gcarena_span s;
	struct arena a;
	char *status;

	if (!path)
		path = "/lib/modules/gcarena.ko";
	if (access(path, R_OK)) {
		skip(9, "no module file to load again: set GCARENA_KO");
		return;
	}
	g_open(&a, SIZE);
	g_refill(&a, C_64, 0, &s, 1);
	strcpy(g_addr(&a, s.page), "still here");
	eq(module_unload(), -EWOULDBLOCK, "unload: refused while the device is open");
	status = (char *)a.status;
	munmap(a.rows, a.setup.spans_size);
	munmap(a.bits[0], 2 * a.setup.bitmap_size);
	close(a.fd);
	eq(module_unload(), -EWOULDBLOCK, "unload: refused while metadata is mapped");
	ok(((struct gcarena_status *)status)->size, "unload: which can be read");
	munmap(status, a.setup.status_size);
	ok(g_wait_for(!module_unload(), 5000), "unload: a heap mapping alone does not stop it");
	ok(!g_exists(DEVICE), "unload: the device is gone");
	ok(!strcmp(g_addr(&a, s.page), "still here"), "unload: the heap mapping has its contents");
	memset(a.heap, 0x22, SIZE);
	ok(a.heap[SIZE - 1] == 0x22, "unload: and faults in new memory");
	munmap(a.heap, SIZE);

	eq(module_load(path), 0, "unload: the module loads again");
	g_wait_for(g_exists(DEVICE), 5000);
	g_open(&a, SIZE);
	eq(g_refill(&a, C_64, 0, &s, 1), 1, "unload: and works");
	g_close(&a);
}

int main(void)
{
	test_kill();
	test_kill_wakes();
	test_exec();
	test_passed();
	test_close();
	test_duplicates();
	test_dofork();
	test_thread();
	test_worker();
	test_busy_worker();
	test_fork();
	test_sharer();
	test_heap_only();
	test_pinned();
	test_debugfs();
	test_hotplug();
	test_signals();
	test_unload();
	return tap_done();
}
