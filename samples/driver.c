// SPDX-License-Identifier: MIT
/*
 * driver: handles and pins.  Requests go to a thread that knows nothing of the heap, as a
 * kernel, a device or another library does.  The buffer that it fills is pinned until it is
 * done; the object that the answer is for travels as a handle.
 */
#include <gcarena.h>
#include <pthread.h>
#include <stdio.h>

#define REQUESTS	8
#define BYTES		2000

#define READER_FIELDS(F)		\
	F(REF, char, buffer)		\
	F(VAL, int, number)		\
	F(VAL, int, answered)
GCA_STRUCT(reader, READER_FIELDS);

/* In memory that no cycle looks at. */
struct request {
	char *into;			/* pinned */
	struct gca_handle *reader;
	int number;
};

static struct request requests[REQUESTS];

/* Not attached: it may touch what is pinned, and nothing else. */
static void *drive(void *unused)
{
	for (int i = 0; i < REQUESTS; i++)
		memset(requests[i].into, 'a' + requests[i].number, BYTES);
	return unused;
}

static int submit(struct gca_mutator *m, int number)
{
	GCA_FRAME(m, f, struct reader *reader; char *buffer);
	struct request *request = &requests[number];

	f.reader = gca_new(m, reader);
	f.buffer = gca_new_bytes(m, BYTES);
	if (!f.reader || !f.buffer || gca_pin(m, f.buffer))
		return -1;
	f.reader->number = number;
	request->into = f.buffer;
	request->number = number;
	request->reader = gca_handle_new(m, f.reader);
	return request->reader ? 0 : -1;
	/* Here the frame ends: handle and pin are all that holds the two. */
}

static int complete(struct gca_mutator *m, struct request *request)
{
	struct reader *reader = gca_handle_get(request->reader);

	gca_store(m, &reader->buffer, request->into);
	reader->answered = request->into[0] == 'a' + reader->number &&
			   request->into[BYTES - 1] == 'a' + reader->number;
	return reader->answered;
}

static uint64_t live(struct gca_mutator *m)
{
	struct gca_stats stats = { .size = sizeof(stats) };

	gca_collect(m);
	gca_stats(gca_heap_of(m), &stats);
	return stats.heap_live_objects;
}

static int run(struct gca_mutator *m)
{
	uint64_t during, after;
	pthread_t driver;
	int answered = 0;

	for (int i = 0; i < REQUESTS; i++)
		if (submit(m, i))
			return 1;
	during = live(m);
	if (pthread_create(&driver, NULL, drive, NULL))
		return 1;
	gca_collect(m);			/* while it writes */
	gca_blocking_begin(m);
	pthread_join(driver, NULL);
	gca_blocking_end(m);
	for (int i = 0; i < REQUESTS; i++) {
		answered += complete(m, &requests[i]);
		gca_unpin(m, requests[i].into);
		gca_handle_free(m, requests[i].reader);
	}
	after = live(m);
	printf("%llu objects for %d requests, %d answered, %llu objects left\n",
	       (unsigned long long)during, REQUESTS, answered, (unsigned long long)after);
	return during != 2 * REQUESTS || answered != REQUESTS || after;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "driver: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_detach(m);
	return gca_close(heap) || status;
}
