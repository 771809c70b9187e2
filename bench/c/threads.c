// SPDX-License-Identifier: MIT
/*
 * threads THREADS OPERATIONS: few at work, the rest blocked.
 *
 * Each of THREADS threads makes a list of 64 nodes and holds it.  Two of them then make
 * OPERATIONS nodes in all, one in sixteen of which takes the place of an older
 * one; the others wait for those two, as threads of a server wait for a request.
 */
#include "bench.h"

#define AT_WORK		2u
#define LIST		64u
#define SLOTS		65536u	/* of each that works */
#define KEPT_OF		16u

#define LINK_FIELDS(F)	F(REF, struct link, next) F(VALS, uint64_t, data, 2) F(VAL, uint64_t, value)
PEER_STRUCT(link, LINK_FIELDS);

struct crew {
	pthread_t thread;
	uint64_t index, operations, sum;
	struct laps laps;
};

static pthread_barrier_t made, over;

static void work(peer_thread t, struct crew *self)
{
	peer_ref *table = must(peer_refs(t, SLOTS));
	struct link *link, *old;

	laps_begin(&self->laps);
	for (uint64_t i = 0; i < self->operations; i++) {
		link = must(peer_new(t, link));
		link->value = i;
		if (i % KEPT_OF) {
			self->sum += link->value;
			peer_free(link);
		} else {
			peer_ref *slot = &table[i / KEPT_OF % SLOTS];

			old = peer_load(slot);
			if (old)
				self->sum += old->value;
			peer_free(old);
			peer_store(t, slot, (void *)link);
		}
		if (i % BATCH == BATCH - 1)
			laps_next(&self->laps);
	}
	/* The table must be known to the last: collectors look at the stack. */
	for (uint64_t i = 0; i < SLOTS; i++)
		self->sum += peer_load(&table[i]) ? 1 : 0;
}

static void *run(void *arg)
{
	struct crew *self = arg;
	struct link *list = NULL, *link;
	peer_thread t = peer_enter();

	for (unsigned int i = 0; i < LIST; i++) {
		link = must(peer_new(t, link));
		link->value = i;
		peer_init(t, &link->next, list);
		list = link;
	}
	peer_blocked(t, pthread_barrier_wait(&made));
	if (self->index < AT_WORK)
		work(t, self);
	peer_blocked(t, pthread_barrier_wait(&over));
	for (link = list; link; link = peer_load(&link->next))
		self->sum += link->value;
	peer_leave(t);
	return NULL;
}

void run_threads(struct bench *b)
{
	uint64_t nr = bench_number(b, 0, AT_WORK), operations = bench_number(b, 1, BATCH);
	struct crew *crew = must(calloc(nr, sizeof(*crew)));
	uint64_t sum = 0, begin;
	peer_thread t = b->t;

	pthread_barrier_init(&made, NULL, (unsigned int)nr + 1);
	pthread_barrier_init(&over, NULL, (unsigned int)nr + 1);
	for (uint64_t i = 0; i < nr; i++) {
		crew[i].index = i;
		crew[i].operations = operations / AT_WORK;
		if (pthread_create(&crew[i].thread, NULL, run, &crew[i]))
			bench_die("no thread");
	}
	peer_blocked(t, pthread_barrier_wait(&made));
	begin = now_ns();
	peer_blocked(t, pthread_barrier_wait(&over));
	bench_ops(operations, begin);
	for (uint64_t i = 0; i < nr; i++) {
		peer_blocked(t, pthread_join(crew[i].thread, NULL));
		sum += crew[i].sum;
		if (i)
			laps_add(&crew[0].laps, &crew[i].laps);
	}
	laps_print(&crew[0].laps);
	bench_sum(sum);
	free(crew);
}
