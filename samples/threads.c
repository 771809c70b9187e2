// SPDX-License-Identifier: MIT
/*
 * threads: attach, detach, and what happens without.  Threads that come and go, one that ends
 * attached, one that sleeps while cycles go by, a thread in two heaps at once, a child that
 * executes another program, and one that tries to use the heap, which is its parent's.
 */
#include <errno.h>
#include <gcarena.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS	4

#define COUNT_FIELDS(F) F(VAL, long, count)
GCA_STRUCT(count, COUNT_FIELDS);

static struct gca_heap *heap;
static GCA_REF(struct count) results[WORKERS];	/* registered as roots */

/* Who is not attached cannot touch the heap; who is passes the mutator along. */
static void *work(void *arg)
{
	struct gca_mutator *m;
	struct count *count;
	size_t at = (size_t)arg;

	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		return NULL;
	count = gca_new(m, count);
	for (long i = 0; count && i < 5000; i++) {
		struct count *next = gca_new(m, count);

		if (!next)
			break;
		next->count = count->count + 1;
		count = next;
	}
	gca_store(m, &results[at], count);
	if (at)
		gca_detach(m);
	/* The first forgets it: the end of a thread is the end of its mutator. */
	return NULL;
}

static int sleeper[2];

static void *sleep_attached(void *failed)
{
	struct gca_mutator *m;
	char byte;

	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		return failed;
	gca_blocking_begin(m);			/* cycles do not wait for this one */
	if (read(sleeper[0], &byte, 1) != 1)
		perror("threads");
	gca_blocking_end(m);
	return gca_detach(m) ? failed : NULL;
}

static long join_all(struct gca_mutator *m, pthread_t *threads)
{
	long sum = 0;

	gca_blocking_begin(m);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	gca_blocking_end(m);
	for (size_t i = 0; i < WORKERS; i++)
		sum += gca_load(&results[i]) ? gca_load(&results[i])->count : -1;
	return sum;
}

/* What lives in one heap refers to nothing in another. */
static bool two_heaps(void)
{
	struct gca_heap *other;
	struct gca_mutator *m;
	char *text;
	bool good;

	if (gca_open(NULL, &other) || gca_attach(other, GCA_STACK_CONSERVATIVE, &m))
		return false;
	text = gca_strdup(m, "elsewhere");
	good = text && gca_object_of(other, text, NULL) == text && !gca_object_of(heap, text, NULL);
	return gca_close(other) == -EBUSY && !gca_detach(m) && !gca_close(other) && good;
}

static bool children(struct gca_mutator *m)
{
	int status = 0, tried = 0;
	pid_t pid = fork();

	if (!pid) {
		execlp("true", "true", NULL);
		_exit(1);
	}
	gca_blocking_begin(m);
	waitpid(pid, &status, 0);
	gca_blocking_end(m);
	pid = fork();
	if (!pid)		/* its memory was not inherited: nothing works, and says so */
		_exit(gca_collect(m) == -EIO && !gca_new_bytes(m, 100) ? 42 : 1);
	gca_blocking_begin(m);
	waitpid(pid, &tried, 0);
	gca_blocking_end(m);
	return !status && WIFEXITED(tried) && WEXITSTATUS(tried) == 42;
}

int main(void)
{
	pthread_t threads[WORKERS], sleeps;
	struct gca_mutator *m;
	bool all, two, forked;
	void *failed = NULL;

	if (pipe(sleeper) || gca_open(NULL, &heap) ||
	    gca_attach(heap, GCA_STACK_CONSERVATIVE, &m) ||
	    gca_root_add(heap, results, sizeof(results))) {
		fprintf(stderr, "threads: %s\n", gca_error());
		return 1;
	}
	pthread_create(&sleeps, NULL, sleep_attached, &heap);
	for (size_t i = 0; i < WORKERS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)i))
			return 1;
	gca_collect(m);
	all = join_all(m, threads) == WORKERS * 5000;
	printf("%d threads have counted: %s\n", WORKERS, all ? "right" : "wrong");
	two = two_heaps();
	printf("two heaps know nothing of each other: %s\n", two ? "yes" : "no");
	forked = children(m);
	printf("a child may execute, and not collect: %s\n", forked ? "yes" : "no");
	if (write(sleeper[1], "", 1) != 1)
		return 1;
	gca_blocking_begin(m);
	pthread_join(sleeps, &failed);
	gca_blocking_end(m);
	gca_root_remove(heap, results);
	gca_detach(m);
	printf("nobody is attached at the end: %s\n", failed ? "no" : "yes");
	return gca_close(heap) || failed || !all || !two || !forked;
}
