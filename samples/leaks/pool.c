// SPDX-License-Identifier: MIT
/*
 * A pool misused: buffers grow to the largest request that each has ever served, and go
 * back to the pool so.  One request in a hundred is large; after a while each buffer is.
 *
 * Documentation/finding-leaks.rst finds it: grow_buffer() is in use for many times what
 * requests need at a time.  The cure is to give back only buffers of the usual size.
 */
#include <gcarena.h>

#define BUFFERS		64	/* in use at a time */
#define REQUESTS	20000
#define USUAL		256
#define LARGE		(256 * 1024)

struct buffer;
#define BUFFER_FIELDS(F)			\
	F(REF, char, bytes)			\
	F(VAL, size_t, room)
GCA_STRUCT(buffer, BUFFER_FIELDS);

static __attribute__((noinline)) void grow_buffer(struct gca_mutator *m, struct buffer *buffer,
						  size_t room)
{
	char *bytes = gca_new_bytes_raw(m, room);

	if (!bytes)
		return;
	gca_store(m, &buffer->bytes, bytes);
	buffer->room = room;
}

static struct buffer *take_buffer(struct gca_mutator *m, struct gca_pool *pool, size_t need)
{
	struct buffer *buffer = gca_pool_get(m, pool);

	if (!buffer)
		buffer = gca_new(m, buffer);
	if (buffer && buffer->room < need)
		grow_buffer(m, buffer, need);
	return buffer;
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct gca_pool *pool;
	unsigned int i, j;

	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m))
		return 1;
	pool = gca_pool_new(heap);
	if (!pool)
		return 1;
	for (i = 0; i < REQUESTS / BUFFERS; i++) {
		struct buffer *busy[BUFFERS];

		/* In turn one of them is large. */
		for (j = 0; j < BUFFERS; j++)
			busy[j] = take_buffer(m, pool, j == i % BUFFERS ? LARGE : USUAL);
		/* The leak: it is put back whatever it has become. */
		for (j = 0; j < BUFFERS; j++)
			if (busy[j])
				gca_pool_put(m, pool, busy[j]);
	}
	gca_collect(m);
	gca_pool_free(m, pool);
	gca_detach(m);
	return gca_close(heap);
}
