// SPDX-License-Identifier: MIT
/*
 * What threads keep of free memory: many that have allocated a little of each size
 * and then block leave it to those that run, within a bound of bytes; what they
 * allocated stays; and a batch grows with demand.
 */
#include "lib.h"

#include "internal.h"

#define THREADS		200u	/* each would keep SIZES spans of a page or more */
#define SIZES		12u
#define SIZE_OF(i)	(16u + 40u * (i))
#define BOUND		(4 * MIB)	/* of blocked threads: what the library says */
#define READY		(1 * MIB)	/* of the device's CPUs: its cpu_cache_bytes */

static pthread_barrier_t blocked, go_on;

struct worker {
	pthread_t thread;
	struct gca_heap *heap;
	size_t wrong;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, GCA_STACK_PRECISE);
	size_t seen = (size_t)(uintptr_t)worker >> 4;

	{
		GCA_FRAME(m, f, unsigned char *mine[SIZES]);
		for (unsigned int i = 0; i < SIZES; i++) {
			f.mine[i] = must(gca_new_bytes(m, SIZE_OF(i)));
			memset(f.mine[i], (int)(seen % 255 + 1), SIZE_OF(i));
		}
		gca_blocking_begin(m);
		pthread_barrier_wait(&blocked);
		pthread_barrier_wait(&go_on);
		gca_blocking_end(m);
		for (unsigned int i = 0; i < SIZES; i++) {
			worker->wrong += !is_filled(f.mine[i], (unsigned char)(seen % 255 + 1),
						    SIZE_OF(i));
			worker->wrong += !is_zero(must(gca_new_bytes(m, SIZE_OF(i))), SIZE_OF(i));
		}
	}
	gca_detach(m);
	return NULL;
}

static void test_blocked(void)
{
	/* Not fewer than would have several times the bound. */
	size_t wanted = scaled(THREADS);
	unsigned int threads = wanted > THREADS ? (unsigned int)wanted : THREADS;
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct worker *workers = calloc(threads, sizeof(*workers));
	uint64_t inuse, held = 0, objects = 0;
	size_t wrong = 0;

	for (unsigned int i = 0; i < SIZES; i++)
		objects += threads * SIZE_OF(i);
	pthread_barrier_init(&blocked, NULL, 2);
	pthread_barrier_init(&go_on, NULL, threads + 1);
	gca_blocking_begin(m);
	/* One after another: those that run at one time have a span of each size each. */
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].heap = heap;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			bail("pthread_create");
		pthread_barrier_wait(&blocked);
	}
	/* All stand still, and nobody detaches: the list may be read. */
	for (struct gca_mutator *each = heap->mutators; each; each = each->next)
		held += each->held_bytes;
	inuse = stats_of(heap).heap_inuse;
	pthread_barrier_wait(&go_on);
	for (unsigned int i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		wrong += workers[i].wrong;
	}
	gca_blocking_end(m);
	diag("%u blocked threads hold %llu KiB; in use %llu KiB", threads,
	     (unsigned long long)held / 1024, (unsigned long long)inuse / 1024);
	ok(held <= BOUND, "blocked threads hold no more than the bound");
	/* A fraction of what their caches would be: 30 MiB of 200 threads. */
	ok(inuse < BOUND + (test_on_device() ? READY : 0) + 4 * objects,
	   "so that as little is in use");
	eq(wrong, 0, "what they had is as it was, what they get is zero");
	free(workers);
	gca_detach(m);
	gca_close(heap);
}

/* A thread alone keeps its spans: a region costs no refill. */
static void test_alone(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t calls;

	must(gca_new_bytes(m, 16));
	calls = heap->status->counters.refill_calls;
	for (unsigned int i = 0; i < 100; i++) {
		gca_blocking_begin(m);
		gca_blocking_end(m);
		must(gca_new_bytes(m, 16));
	}
	eq(heap->status->counters.refill_calls, calls, "a thread alone keeps its spans");
	gca_detach(m);
	gca_close(heap);
}

/* Refills bring more as more is wanted, and what is held is known to the byte. */
static void test_batches(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	uint64_t calls = heap->status->counters.refill_calls;
	uint64_t spans = heap->status->counters.refill_spans;
	size_t count = scaled(40000);

	for (size_t i = 0; i < count; i++)
		must(gca_new_bytes(m, 100));
	calls = heap->status->counters.refill_calls - calls;
	spans = heap->status->counters.refill_spans - spans;
	ok(spans > 4 * calls, "%llu spans came in %llu refills", (unsigned long long)spans,
	   (unsigned long long)calls);
	alloc_flush(m);
	eq(m->held_bytes, 0, "without spans it holds none");
	must(gca_new_bytes(m, 100000));
	eq(m->held_bytes, 0, "a large object is not held");
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	test_alone();
	test_batches();
	test_blocked();
	return tap_done();
}
