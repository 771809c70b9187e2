// SPDX-License-Identifier: MIT
/*
 * GCARENA_PROFILE: how an operator has a program's profiles written, without touching it.
 *
 * A comma-separated list of key=value: rate and wait are what the two functions of that
 * name set; file is the beginning of the files' names; close=1 writes them when the heap
 * is closed; signal=USR2, say, when the process gets that signal.
 *
 * A signal handler can do next to nothing: it posts a semaphore, and a thread of ours
 * writes.  One handler and one thread a process, for all heaps that asked; a handler that
 * the program has installed is left alone.  heap->profile's output fields are fixed when
 * the heap is open.
 */
#include "internal.h"

#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME		"GCARENA_PROFILE"
#define NAME_ROOM	4096
#define WRITER_STACK	(256 * KIB)

static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "HUP", SIGHUP }, { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 }, { "PROF", SIGPROF },
};

static pthread_mutex_t writer_lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t writer_wake;
/* Lock held; 0: none. */
static int writer_signal;
static struct gca_heap *writer_heaps;
static uint64_t files_written;	/* atomic */

/* One profile of @heap into a new file. */
static void write_file(struct gca_heap *heap, uint64_t number, const char *what,
		       int (*write_to)(struct gca_heap *heap, int fd))
{
	char name[NAME_ROOM];
	int fd, error;

	snprintf(name, sizeof(name), "%s.%d.%llu.%s.pb.gz", heap->profile.file, getpid(),
		 (unsigned long long)number, what);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	error = fd < 0 ? -errno : write_to(heap, fd);
	if (fd >= 0 && close(fd) && !error)
		error = -errno;
	if (error)
		gca_warn(heap, "profile: %s: %s", name, strerror(-error));
}

static void write_files(struct gca_heap *heap)
{
	uint64_t number = __atomic_add_fetch(&files_written, 1, __ATOMIC_RELAXED);

	write_file(heap, number, "heap", gca_profile_heap_write);
	write_file(heap, number, "wait", gca_profile_wait_write);
}

static void on_signal(int number)
{
	int error = errno;

	sem_post(&writer_wake);
	errno = error;
}

static void *writer(void *arg)
{
	struct gca_heap *heap;

	for (;;) {
		while (sem_wait(&writer_wake))
			;
		pthread_mutex_lock(&writer_lock);
		for (heap = writer_heaps; heap; heap = heap->profile.next_writer)
			write_files(heap);
		pthread_mutex_unlock(&writer_lock);
	}
	return arg;
}

/* Lock held: the handler and its thread, if they are not there yet. */
static int writer_start(int number)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART }, old;
	pthread_t thread;
	int error;

	if (writer_signal == number)
		return 0;
	if (writer_signal)
		return error_set(-EINVAL, NAME ": another heap has another signal");
	if (sigaction(number, NULL, &old))
		return error_set(-errno, NAME ": signal %d: %s", number, strerror(errno));
	/* In a child it may be ours already. */
	if (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN && old.sa_handler != on_signal)
		return error_set(-EBUSY, NAME ": the program has a handler for signal %d", number);
	sem_init(&writer_wake, 0, 0);
	error = thread_start(&thread, "gca-profile", WRITER_STACK, writer, NULL);
	if (error)
		return error_set(error, NAME ": no thread to write: %s", strerror(-error));
	pthread_detach(thread);
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
	writer_signal = number;
	return 0;
}

/**
 * profile_writer_open - have a heap's profiles written when the signal comes
 * @heap: the heap, all of it open
 *
 * Return: 0 or a negative errno with gca_error() set.
 */
int profile_writer_open(struct gca_heap *heap)
{
	int error = 0;

	if (!heap->profile.signal)
		return 0;
	pthread_mutex_lock(&writer_lock);
	error = writer_start(heap->profile.signal);
	if (!error) {
		heap->profile.next_writer = writer_heaps;
		writer_heaps = heap;
	}
	pthread_mutex_unlock(&writer_lock);
	return error;
}

/**
 * profile_writer_close - the last profile of a heap that is to be closed
 * @heap: the heap, no mutator attached; not in a child of fork()
 */
void profile_writer_close(struct gca_heap *heap)
{
	struct gca_heap **link;

	pthread_mutex_lock(&writer_lock);
	for (link = &writer_heaps; *link; link = &(*link)->profile.next_writer) {
		if (*link != heap)
			continue;
		*link = heap->profile.next_writer;
		break;
	}
	pthread_mutex_unlock(&writer_lock);
	if (heap->profile.at_close)
		write_files(heap);
}

/**
 * profile_writer_forked - in a child: no thread that writes, and no heap to be written
 */
void profile_writer_forked(void)
{
	pthread_mutex_init(&writer_lock, NULL);
	writer_signal = 0;
	writer_heaps = NULL;
}

/* ----------------------------------------------------------- environment */

static int bad(const char *value, const char *want)
{
	return error_set(-EINVAL, NAME "=%s: %s", value, want);
}

static bool take_number(const char *text, size_t length, uint64_t *out)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < length; i++)
		if (text[i] < '0' || text[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
			return false;
	*out = value;
	return length;
}

static int take_signal(const char *text, size_t length)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(signals); i++)
		if (strlen(signals[i].name) == length && !memcmp(signals[i].name, text, length))
			return signals[i].number;
	return 0;
}

/* One key=value of @value, @length bytes at @at. */
static int take(struct profile *profile, const char *value, const char *at, size_t length)
{
	const char *equals = memchr(at, '=', length);
	size_t key = equals ? (size_t)(equals - at) : length;
	const char *text = at + key + 1;
	uint64_t number = 0;

	length = equals ? length - key - 1 : 0;
	if (key == 4 && !memcmp(at, "rate", 4)) {
		if (!take_number(text, length, &profile->rate) || profile->rate > SAMPLE_NEVER >> 8)
			return bad(value, "rate is a number of bytes");
	} else if (key == 4 && !memcmp(at, "wait", 4)) {
		if (!take_number(text, length, &profile->wait_rate))
			return bad(value, "wait is a number of nanoseconds");
	} else if (key == 6 && !memcmp(at, "signal", 6)) {
		profile->signal = take_signal(text, length);
		if (!profile->signal)
			return bad(value, "signal is HUP, USR1, USR2 or PROF");
	} else if (key == 5 && !memcmp(at, "close", 5)) {
		if (!take_number(text, length, &number) || number > 1)
			return bad(value, "close is 0 or 1");
		profile->at_close = number;
	} else if (key == 4 && !memcmp(at, "file", 4)) {
		if (!length || length >= sizeof(profile->file))
			return bad(value, "file is the beginning of a name");
		memcpy(profile->file, text, length);
		profile->file[length] = 0;
	} else {
		return bad(value, "the keys are rate, wait, file, close, signal");
	}
	return 0;
}

/**
 * profile_env - let the environment say what is sampled and written
 * @heap: the heap, not shared yet
 *
 * Return: 0, or -EINVAL with gca_error() naming the variable and its value.
 */
int profile_env(struct gca_heap *heap)
{
	const char *value = secure_getenv(NAME), *at = value, *end;
	int error = 0;

	strcpy(heap->profile.file, "gcarena");
	while (at && !error) {
		end = strchrnul(at, ',');
		error = take(&heap->profile, value, at, (size_t)(end - at));
		at = *end ? end + 1 : NULL;
	}
	return error;
}
