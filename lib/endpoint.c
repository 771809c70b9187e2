// SPDX-License-Identifier: MIT
/*
 * The endpoint: a socket by which another process of the same user reads a heap's
 * statistics and asks for profiles, whatever backend it is on.
 *
 * It is there while the process has a heap open, at <directory>/gcarena/<pid>, where the
 * directory is GCARENA_ENDPOINT or XDG_RUNTIME_DIR.  One thread accepts, answers one
 * request a connection, and closes; nobody else ever waits for a client, and a client
 * that stands still is dropped.  Who may ask: the user that the process runs as, and
 * root, by the kernel's word (SO_PEERCRED).
 *
 * A socket gets its name when it already listens.  So a name that refuses is one that
 * a killed process left, and may be removed by who finds it.
 *
 * Lock order: endpoint.lock, then heaps_lock.  A child of fork() closes what it
 * inherited, so that a connection to a dead parent fails at once.
 */
#include "internal.h"
#include "endpoint.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG		16
#define REQUEST_MAX	256u	/* bytes of a request's line */
#define RECEIVE_S	1	/* seconds that a client has to say what it wants */
#define SEND_S		5	/* and to take the answer */
/* Of 108 bytes that a socket's path may have, the rest for the name. */
#define DIRECTORY_MAX	80u
#define NAMES_MAX	16u	/* processes of one pid, in several pid namespaces */
#define THREAD_STACK	(512 * KIB)

static const struct {
	const char *name;
	endpoint_fn answer;
} requests[] = {
	{ "stats", endpoint_stats },
	{ "map", endpoint_map },
	{ "check", endpoint_check },
	{ "profile", endpoint_profile },
	{ "collect", endpoint_collect },
};

static struct {
	pthread_mutex_t lock;

	/* lock held */
	unsigned int heaps;
	bool running;
	pthread_t thread;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	/* written with lock held; read by the thread, and by a child */
	int listener;
	int client;		/* atomic; the thread's */
} endpoint = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.listener = -1,
	.client = -1,
};

/* -------------------------------------------------------------- one client */

static bool send_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return false;
		bytes += sent;
		length -= (size_t)sent;
	}
	return true;
}

static void send_error(int fd, const char *sentence)
{
	char line[512];
	int length = snprintf(line, sizeof(line), "gcarena 1 error %s\n", sentence);

	send_all(fd, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line) - 1);
}

static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		return false;
	return !peer.uid || peer.uid == geteuid();
}

/* A line without its end; false: there is none in time, or it is too long. */
static bool receive_line(int fd, char *line)
{
	size_t length = 0;

	while (length < REQUEST_MAX - 1) {
		ssize_t got = recv(fd, line + length, REQUEST_MAX - 1 - length, 0);
		char *end;

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		length += (size_t)got;
		line[length] = 0;
		end = strchr(line, '\n');
		if (end) {
			*end = 0;
			return true;
		}
	}
	return false;
}

/* Splits the first word off: what follows it. */
static char *next_word(char *text)
{
	char *space = strchr(text, ' ');

	if (!space)
		return text + strlen(text);
	*space = 0;
	return space + 1;
}

/* Of all heaps, or of the one of that number. */
static int answer_heaps(endpoint_fn answer, const char *number, const char *args, FILE *out)
{
	unsigned long wanted = strtoul(number, NULL, 10);
	int error = -ENOENT;
	struct gca_heap *heap;

	if (strcmp(number, "all") && !wanted)
		return error_set(-EINVAL, "'%s' is no number of a heap", number);
	heaps_lock_all();
	for (heap = heaps_next(NULL); heap; heap = heaps_next(heap)) {
		if (wanted && heap->number != wanted)
			continue;
		error = heap_usable(heap);
		/* Of all heaps one that is gone has nothing to say. */
		if (error && !wanted)
			continue;
		if (!error)
			error = answer(heap, args, out);
		if (error)
			break;
	}
	heaps_unlock_all();
	if (error == -ENOENT && wanted)
		error_set(error, "the process has no heap %lu", wanted);
	else if (!wanted && (error == -ENOENT || error == -EIO))
		error = 0;
	return error;
}

static int answer(char *line, FILE *out)
{
	char *number = next_word(line), *args = next_word(number);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++)
		if (!strcmp(line, requests[i].name))
			return answer_heaps(requests[i].answer, number, args, out);
	return error_set(-EINVAL, "this process does not know the request '%s'", line);
}

static void serve(int fd)
{
	static const struct timeval receive = { .tv_sec = RECEIVE_S }, give = { .tv_sec = SEND_S };
	char line[REQUEST_MAX], head[64];
	char *body = NULL;
	size_t length = 0;
	FILE *out;
	int error;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive, sizeof(receive));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &give, sizeof(give));
	if (!may_ask(fd)) {
		send_error(fd, "permission denied: the process is another user's");
		return;
	}
	if (!receive_line(fd, line)) {
		send_error(fd, "there is no request, or none that ends");
		return;
	}
	out = open_memstream(&body, &length);
	error = out ? answer(line, out) : error_set(-ENOMEM, "the process is out of memory");
	if (out && (fflush(out) || ferror(out)) && !error)
		error = error_set(-ENOMEM, "the process is out of memory");
	if (out)
		fclose(out);
	if (error) {
		send_error(fd, gca_error());
	} else {
		snprintf(head, sizeof(head), "gcarena 1 ok %zu\n", length);
		if (send_all(fd, head, strlen(head)))
			send_all(fd, body, length);
	}
	free(body);
}

static void *serve_all(void *unused)
{
	/* Until endpoint_close() shuts the socket down. */
	for (;;) {
		int fd = accept4(endpoint.listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			/* The program's to mend; meanwhile not a loop at full speed. */
			usleep(100000);
			continue;
		}
		if (fd < 0)
			return NULL;
		__atomic_store_n(&endpoint.client, fd, __ATOMIC_RELAXED);
		serve(fd);
		__atomic_store_n(&endpoint.client, -1, __ATOMIC_RELAXED);
		close(fd);
	}
}

/* -------------------------------------------------------------- the socket */

/* @path/gcarena, which is ours alone. */
static int make_directory(const char *path, char *directory, size_t room)
{
	struct stat stat;

	if (path[0] != '/')
		return error_set(-EINVAL, "GCARENA_ENDPOINT=%s: must be a path from /, or off",
				 path);
	if ((size_t)snprintf(directory, room, "%s/gcarena", path) >= room)
		return error_set(-EINVAL, "GCARENA_ENDPOINT=%s: too long for a socket", path);
	if (mkdir(directory, 0700) && errno != EEXIST)
		return error_set(-EINVAL, "GCARENA_ENDPOINT=%s: %s", path, strerror(errno));
	if (lstat(directory, &stat) || !S_ISDIR(stat.st_mode))
		return error_set(-EINVAL, "GCARENA_ENDPOINT: %s is no directory", directory);
	if (stat.st_uid != geteuid() || stat.st_mode & 022)
		return error_set(-EINVAL, "GCARENA_ENDPOINT: %s is not this user's alone",
				 directory);
	return 0;
}

/* Does somebody listen there? */
static bool is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return true;
	alive = !connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
		errno == EAGAIN;
	close(fd);
	return alive;
}

static int listen_at(const char *directory)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX }, final = address;
	int error = -EADDRINUSE, fd;
	unsigned int i;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/.%d.new", directory, getpid());
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
		error = -errno;
		close(fd);
		unlink(address.sun_path);
		return error;
	}
	for (i = 0; i < NAMES_MAX; i++) {
		snprintf(final.sun_path, sizeof(final.sun_path), i ? "%s/%d-%u" : "%s/%d",
			 directory, getpid(), i);
		if (is_alive(&final))
			continue;
		error = rename(address.sun_path, final.sun_path) ? -errno : 0;
		break;
	}
	if (error) {
		unlink(address.sun_path);
		close(fd);
		return error;
	}
	memcpy(endpoint.path, final.sun_path, sizeof(endpoint.path));
	endpoint.listener = fd;
	return 0;
}

/* Lock held. */
static void stop_listening(void)
{
	if (endpoint.path[0])
		unlink(endpoint.path);
	endpoint.path[0] = 0;
	if (endpoint.listener >= 0)
		close(endpoint.listener);
	endpoint.listener = -1;
}

/* Lock held: a socket and its thread, if they are wanted and can be had. */
static int start(void)
{
	const char *path = secure_getenv("GCARENA_ENDPOINT");
	bool explicit = path;
	char directory[DIRECTORY_MAX];
	int error;

	if (path && !strcmp(path, "off"))
		return 0;
	if (!path)
		path = secure_getenv("XDG_RUNTIME_DIR");
	if (!path)
		return 0;
	error = make_directory(path, directory, sizeof(directory));
	if (!error) {
		error = listen_at(directory);
		if (error)
			error_set(error, "GCARENA_ENDPOINT: a socket in %s: %s", directory,
				  strerror(-error));
	}
	if (!error && thread_start(&endpoint.thread, "gca-endpoint", THREAD_STACK, serve_all,
				   NULL)) {
		stop_listening();
		error = error_set(-ENOMEM, "no thread for the endpoint");
	}
	endpoint.running = !error;
	if (error && !explicit) {
		/* Nobody asked for it. */
		error_set(0, "%s", "");
		error = 0;
	}
	return error;
}

/**
 * endpoint_open - a heap was opened
 *
 * Return: 0, or a negative errno with gca_error() set if GCARENA_ENDPOINT names a place
 * that will not do.
 */
int endpoint_open(void)
{
	int error = 0;

	pthread_mutex_lock(&endpoint.lock);
	if (!endpoint.heaps)
		error = start();
	endpoint.heaps += !error;
	pthread_mutex_unlock(&endpoint.lock);
	return error;
}

/**
 * endpoint_close - a heap is about to be closed; not in a child of fork()
 */
void endpoint_close(void)
{
	pthread_mutex_lock(&endpoint.lock);
	if (!--endpoint.heaps && endpoint.running) {
		shutdown(endpoint.listener, SHUT_RDWR);
		pthread_join(endpoint.thread, NULL);
		stop_listening();
		endpoint.running = false;
	}
	pthread_mutex_unlock(&endpoint.lock);
}

/**
 * endpoint_lock - before fork(): nothing changes
 */
void endpoint_lock(void)
{
	pthread_mutex_lock(&endpoint.lock);
}

/**
 * endpoint_unlock - after it, in the parent
 */
void endpoint_unlock(void)
{
	pthread_mutex_unlock(&endpoint.lock);
}

/**
 * endpoint_forked - after it, in the child: it has no endpoint, until it opens a heap
 */
void endpoint_forked(void)
{
	int client = __atomic_exchange_n(&endpoint.client, -1, __ATOMIC_RELAXED);

	if (client >= 0)
		close(client);
	/* The name is the parent's. */
	endpoint.path[0] = 0;
	stop_listening();
	endpoint.running = false;
	endpoint.heaps = 0;
	pthread_mutex_unlock(&endpoint.lock);
}

/* A program that ends without closing its heaps takes the name along. */
__attribute__((destructor))
static void endpoint_exit(void)
{
	if (endpoint.path[0])
		unlink(endpoint.path);
}
