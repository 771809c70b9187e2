// SPDX-License-Identifier: MIT
/*
 * A queue whose reader died: what is written is appended for ever.
 *
 * Documentation/finding-leaks.rst finds it: messages in use grow at send_message(), and
 * their number at its sites tells that none is ever taken.
 */
#include <gcarena.h>
#include <pthread.h>

#define MESSAGES	60000
#define READ		100	/* messages, before the reader gives up */

#define MESSAGE_FIELDS(F)			\
	F(REF, struct message, next)		\
	F(VALS, char, body, 200)
GCA_STRUCT(message, MESSAGE_FIELDS);

typedef GCA_REF(struct message) link_t;

static struct {
	pthread_mutex_t lock;
	link_t ends[2];		/* the next one to be read; the last one written */
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* No call here is a safepoint while the lock is held. */
static void append(struct gca_mutator *m, struct message *message)
{
	struct message *last;

	pthread_mutex_lock(&queue.lock);
	last = gca_load(&queue.ends[1]);
	if (last && gca_load(&queue.ends[0]))
		gca_store(m, &last->next, message);
	else
		gca_store(m, &queue.ends[0], message);
	gca_store(m, &queue.ends[1], message);
	pthread_mutex_unlock(&queue.lock);
}

static __attribute__((noinline)) void send_message(struct gca_mutator *m, unsigned int number)
{
	struct message *message = gca_new(m, message);

	if (!message)
		return;
	message->body[0] = (char)number;
	append(m, message);
}

/* The leak: it ends, and nobody starts another. */
static void *reader(void *arg)
{
	struct gca_heap *heap = arg;
	struct gca_mutator *m;
	unsigned int taken = 0;

	if (gca_attach(heap, 0, &m))
		return NULL;
	while (taken < READ) {
		struct message *first;

		gca_safepoint(m);
		pthread_mutex_lock(&queue.lock);
		first = gca_load(&queue.ends[0]);
		if (first) {
			gca_store(m, &queue.ends[0], gca_load(&first->next));
			taken++;
		}
		pthread_mutex_unlock(&queue.lock);
	}
	gca_detach(m);
	return NULL;
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	pthread_t thread;
	unsigned int i;

	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m) ||
	    gca_root_add(heap, queue.ends, sizeof(queue.ends)) ||
	    pthread_create(&thread, NULL, reader, heap))
		return 1;
	for (i = 0; i < MESSAGES; i++)
		send_message(m, i);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	gca_collect(m);
	gca_detach(m);
	return gca_close(heap);
}
