// SPDX-License-Identifier: MIT
/*
 * buffers: an object pool.  Requests take a buffer and put it back, so that busy times
 * allocate nothing; what was not wanted during two cycles is garbage, so that idle times keep
 * nothing.  leaks/pool.c shows how not to do it.
 */
#include <gcarena.h>
#include <stdio.h>

#define REQUESTS	1000
#define AT_A_TIME	8
#define USUAL		1024
#define LARGE		(64 * 1024)

#define BUFFER_FIELDS(F)		\
	F(VAL, size_t, room)		\
	F(REF, char, bytes)
GCA_STRUCT(buffer, BUFFER_FIELDS);

static unsigned int made;

static struct buffer *buffer_new(struct gca_mutator *m, size_t room)
{
	GCA_FRAME(m, f, struct buffer *buffer);
	char *bytes;

	f.buffer = gca_new(m, buffer);
	bytes = f.buffer ? gca_new_bytes_raw(m, room) : NULL;
	if (!bytes)
		return NULL;
	f.buffer->room = room;
	gca_store(m, &f.buffer->bytes, bytes);
	made++;
	return f.buffer;
}

static struct buffer *buffer_take(struct gca_mutator *m, struct gca_pool *pool, size_t need)
{
	struct buffer *buffer = need <= USUAL ? gca_pool_get(m, pool) : NULL;

	return buffer ? buffer : buffer_new(m, need <= USUAL ? USUAL : need);
}

/* It comes back as it was put there.  Those that grew stay out: all would grow in time. */
static void buffer_put(struct gca_mutator *m, struct gca_pool *pool, struct buffer *buffer)
{
	if (buffer->room == USUAL)
		gca_pool_put(m, pool, buffer);
}

static int serve(struct gca_mutator *m, struct gca_pool *pool, unsigned int requests)
{
	GCA_FRAME(m, f, struct buffer *busy[AT_A_TIME]);

	for (unsigned int i = 0; i < requests; i += AT_A_TIME) {
		for (unsigned int j = 0; j < AT_A_TIME; j++) {
			f.busy[j] = buffer_take(m, pool, (i + j) % 100 ? 500 : LARGE);
			if (!f.busy[j])
				return -1;
			memset(gca_load(&f.busy[j]->bytes), (int)j, 500);
		}
		for (unsigned int j = 0; j < AT_A_TIME; j++)
			buffer_put(m, pool, f.busy[j]);
	}
	return 0;
}

static int run(struct gca_mutator *m, struct gca_pool *pool)
{
	unsigned int usual;
	bool one, two;

	if (serve(m, pool, REQUESTS))
		return 1;
	usual = made - REQUESTS / 100;
	printf("%d requests made %u buffers, and %d large ones\n", REQUESTS, usual, REQUESTS / 100);
	gca_collect(m);
	one = gca_pool_get(m, pool);
	gca_collect(m);
	gca_collect(m);
	two = gca_pool_get(m, pool);
	printf("after an idle cycle there %s one, after another two there is %s\n",
	       one ? "is" : "is not", two ? "one" : "none");
	return usual != AT_A_TIME || !one || two;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	struct gca_pool *pool;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "buffers: %s\n", gca_error());
		return 1;
	}
	pool = gca_pool_new(heap);
	if (!pool)
		return 1;
	status = run(m, pool);
	gca_pool_free(m, pool);
	gca_detach(m);
	return gca_close(heap) || status;
}
