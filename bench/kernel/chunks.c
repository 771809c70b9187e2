// SPDX-License-Identifier: MIT
/*
 * Chunks: what 2 MiB cost to get and to give back, in an arena and in plain user
 * space: anonymous huge pages; a memfd with MADV_HUGEPAGE, alone and with a
 * thread that populates ahead by MADV_POPULATE_WRITE; given back by MADV_DONTNEED
 * and MADV_REMOVE.  "Caller" is what the allocating thread pays, "in all" what the
 * machine does.
 */
#include <pthread.h>

#include "bench.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#define CHUNKS	4
#define SIZE	(CHUNKS * GCARENA_CHUNK_SIZE)

static struct bench_arena arena;
static struct gcarena_span spans[CHUNKS];

static void touch(char *at)
{
	for (int i = 0; i < CHUNKS; i++)
		*(volatile char *)(at + i * GCARENA_CHUNK_SIZE) = 1;
}

/* Arena. */

static void refill(void *arg)
{
	if (bench_refill(&arena, BENCH_LARGE, GCARENA_CHUNK_PAGES, spans, CHUNKS) != CHUNKS)
		bench_die("%d chunks wanted", CHUNKS);
}

static void touch_spans(void)
{
	for (int i = 0; i < CHUNKS; i++)
		*(volatile char *)bench_addr(&arena, spans[i].page) = 1;
}

static void refill_and_touch(void *arg)
{
	refill(NULL);
	touch_spans();
}

static void give(void *arg)
{
	if (bench_return(&arena, spans, CHUNKS) != CHUNKS)
		bench_die("%d chunks back", CHUNKS);
}

static void scavenge(void *arg)
{
	if (bench_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0) < 0)
		bench_die("scavenge");
}

static void give_and_scavenge(void *arg)
{
	give(NULL);
	scavenge(NULL);
}

/* Maps go, as if never touched; the memory stays. */
static void give_and_unmap(void *arg)
{
	give(NULL);
	if (madvise(arena.heap, arena.size, MADV_DONTNEED))
		bench_die("MADV_DONTNEED");
}

static void filled(void *arg)
{
	refill_and_touch(NULL);
	give(NULL);
}

static const struct bench of_arena[] = {
	{ "arena", "refill and touch, nothing backed", "chunk", CHUNKS, NULL, refill_and_touch,
	  give_and_scavenge },
	{ "arena", "refill and touch, backed", "chunk", CHUNKS, NULL, refill_and_touch,
	  give_and_unmap },
	{ "arena", "scavenge", "chunk", CHUNKS, filled, scavenge, NULL },
};

/* User space. */

struct user {
	char *map;
	int remove;
};

static void user_touch(void *arg)
{
	touch(((struct user *)arg)->map);
}

static void user_give(void *arg)
{
	struct user *u = arg;

	if (madvise(u->map, SIZE, u->remove))
		bench_die("giving back");
}

static void user_unmap(void *arg)
{
	if (madvise(((struct user *)arg)->map, SIZE, MADV_DONTNEED))
		bench_die("MADV_DONTNEED");
}

static void *populate(void *arg)
{
	struct user *u = arg;

	if (madvise(u->map, SIZE, MADV_POPULATE_WRITE))
		bench_die("MADV_POPULATE_WRITE");
	return NULL;
}

static void helper(void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, populate, arg) || pthread_join(thread, NULL))
		bench_die("a thread");
}

static void helper_and_touch(void *arg)
{
	helper(arg);
	user_touch(arg);
}

static const struct bench of_anonymous[] = {
	{ "anonymous", "touch", "chunk", CHUNKS, NULL, user_touch, user_give },
	{ "anonymous", "MADV_DONTNEED", "chunk", CHUNKS, user_touch, user_give, NULL },
};

static const struct bench of_memfd[] = {
	{ "memfd", "touch, nothing backed", "chunk", CHUNKS, NULL, user_touch, user_give },
	{ "memfd", "touch, backed", "chunk", CHUNKS, NULL, user_touch, user_unmap },
	{ "memfd", "touch, populated by a helper: caller", "chunk", CHUNKS, helper, user_touch,
	  user_give },
	{ "memfd", "touch, populated by a helper: in all", "chunk", CHUNKS, NULL,
	  helper_and_touch, user_give },
	{ "memfd", "MADV_REMOVE", "chunk", CHUNKS, user_touch, user_give, NULL },
};

int main(void)
{
	struct user anonymous = { .remove = MADV_DONTNEED };
	struct user memfd = { .remove = MADV_REMOVE };
	int fd = memfd_create("bench", MFD_CLOEXEC);
	unsigned int i;

	if (fd < 0 || ftruncate(fd, SIZE))
		bench_die("memfd");
	anonymous.map = bench_map(SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memfd.map = bench_map(SIZE, MAP_SHARED, fd);
	bench_open(&arena, 64ULL << 20, NULL);

	for (i = 0; i < 3; i++)
		bench_row(&of_arena[i], NULL);
	for (i = 0; i < 2; i++)
		bench_row(&of_anonymous[i], &anonymous);
	for (i = 0; i < 5; i++)
		bench_row(&of_memfd[i], &memfd);
	bench_close(&arena);
	return 0;
}
