// SPDX-License-Identifier: MIT
/*
 * sessions: finalizers.  Each session owns a file descriptor, which a cycle knows nothing
 * of.  When nothing reaches a session any more its finalizer says goodbye and closes it; one
 * that has something left to send lives again until that is done.
 *
 * A finalizer is a safety net: it runs some time after the last reference is gone.  Who
 * knows that a session is over closes it, and takes the finalizer back.
 */
#include <gcarena.h>
#include <stdio.h>
#include <unistd.h>

#define SESSIONS	10

#define SESSION_FIELDS(F)		\
	F(REF, char, text)		\
	F(VAL, int, fd)			\
	F(VAL, int, unsent)
GCA_STRUCT(session, SESSION_FIELDS);

static GCA_REF(struct session) sessions[SESSIONS];	/* registered as roots */
static unsigned int revived;

static void session_end(struct gca_mutator *m, void *object, void *arg)
{
	struct session *session = object;
	char *text = gca_load(&session->text);	/* what it refers to is whole, too */

	if (session->unsent) {
		session->unsent = 0;
		revived++;
		/* Reachable again, and to be told once more. */
		gca_store(m, &sessions[0], session);
		gca_finalizer_set(m, session, session_end, arg, GCA_FINALIZE_ORDERED);
		return;
	}
	if (write(session->fd, text, strlen(text)) < 0)
		perror("sessions");
	close(session->fd);
}

static int session_begin(struct gca_mutator *m, size_t at, int fd)
{
	GCA_FRAME(m, f, struct session *session);
	char *text;

	f.session = gca_new(m, session);
	text = f.session ? gca_strdup(m, "bye ") : NULL;
	if (!text)
		return -1;
	gca_store(m, &f.session->text, text);
	f.session->fd = dup(fd);
	gca_store(m, &sessions[at], f.session);
	return gca_finalizer_set(m, f.session, session_end, NULL, GCA_FINALIZE_ORDERED);
}

/* The orderly way. */
static int session_close(struct gca_mutator *m, size_t at)
{
	struct session *session = gca_load(&sessions[at]);
	int error = gca_finalizer_set(m, session, NULL, NULL, 0);

	close(session->fd);
	gca_store(m, &sessions[at], NULL);
	return error;
}

/* Reads until every session is closed: the length of what they said. */
static ssize_t read_all(struct gca_mutator *m, int fd)
{
	ssize_t total = 0, got;
	char text[256];

	gca_blocking_begin(m);		/* the finalizers' thread may want a cycle */
	while ((got = read(fd, text, sizeof(text))) > 0)
		total += got;
	gca_blocking_end(m);
	return total;
}

static int run(struct gca_heap *heap, struct gca_mutator *m)
{
	size_t first, second;
	int fds[2];
	ssize_t said;

	if (pipe(fds))
		return 1;
	for (size_t i = 0; i < SESSIONS; i++)
		if (session_begin(m, i, fds[1]))
			return 1;
	gca_load(&sessions[2])->unsent = 1;
	if (session_close(m, SESSIONS - 1))
		return 1;
	for (size_t i = 0; i < 4; i++)
		gca_store(m, &sessions[i], NULL);
	gca_collect(m);
	printf("%zu of 4 that were dropped are ready\n", gca_finalizers_ready(heap));
	first = gca_finalizers_run(m, 0);
	gca_collect(m);
	printf("%zu were called, %u lives again, %zu are ready\n", first, revived,
	       gca_finalizers_ready(heap));

	/* From now on a thread of the heap's calls them. */
	if (gca_finalizer_thread(heap))
		return 1;
	gca_clear_refs(m, sessions, SESSIONS);
	gca_collect(m);
	close(fds[1]);
	said = read_all(m, fds[0]);
	close(fds[0]);
	second = SESSIONS - 1;
	printf("every session is closed, and %zd bytes of %zu goodbyes were read\n", said, second);
	return first != 4 || revived != 1 || said != (ssize_t)(4 * second);
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_add(heap, sessions, sizeof(sessions))) {
		fprintf(stderr, "sessions: %s\n", gca_error());
		return 1;
	}
	status = run(heap, m);
	gca_root_remove(heap, sessions);
	gca_detach(m);
	return gca_close(heap) || status;
}
