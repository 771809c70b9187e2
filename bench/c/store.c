// SPDX-License-Identifier: MIT
/*
 * store HOW COUNT: pointer stores into an old object.
 *
 * HOW is "plain" (an assignment), "off" (a barrier with marking off) or "on" (with
 * marking on).  The marker is kept at work by a trace callback that waits, so that
 * marking is on for as long as the stores take and does nothing meanwhile.
 */
#include "bench.h"

#ifdef PEER_GCARENA

#include <semaphore.h>

#define SLOTS	64u	/* of the object stored into; the values are as many */

#define HOLDER_FIELDS(F)	F(REF, struct holder, next) F(VAL, unsigned long, number)
PEER_STRUCT(holder, HOLDER_FIELDS);

/* An object whose tracing waits: when it is reached, then when the stores are done. */
struct brake {
	long unused;
};

static sem_t reached, done;
static int waits;

static void trace_brake(const void *object, size_t size, struct gca_visitor *visitor)
{
	if (__atomic_exchange_n(&waits, 0, __ATOMIC_ACQ_REL)) {
		sem_post(&reached);
		sem_wait(&done);
	}
}

GCA_TRACED(brake, trace_brake);

static void *collect(void *arg)
{
	peer_thread t = peer_enter();

	gca_collect(t);
	peer_leave(t);
	return NULL;
}

static struct holder *values[SLOTS];

static void store_plain(gca_ref *slots, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		*(void *volatile *)&slots[i % SLOTS].gca_raw = values[(i ^ i >> 6) % SLOTS];
		__asm__ volatile("" : : : "memory");
	}
}

static void store_barrier(peer_thread t, gca_ref *slots, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		gca_store(t, &slots[i % SLOTS], values[(i ^ i >> 6) % SLOTS]);
		__asm__ volatile("" : : : "memory");
	}
}

void run_store(struct bench *b)
{
	unsigned long count = bench_number(b, 1, 1);
	const char *how = b->argv[0];
	pthread_t collector;
	peer_thread t = b->t;

	{
		GCA_FRAME(t, f, gca_ref *slots; gca_ref *kept; struct brake *brake);
		f.slots = gca_new_refs(t, SLOTS);
		f.kept = gca_new_refs(t, SLOTS);
		f.brake = gca_new(t, brake);
		if (!f.slots || !f.kept || !f.brake)
			bench_die("out of memory");
		for (unsigned int i = 0; i < SLOTS; i++) {
			struct holder *value = gca_new(t, holder);

			if (!value)
				bench_die("out of memory");
			values[i] = value;
			gca_store(t, &f.kept[i], value);
		}
		if (!strcmp(how, "on")) {
			sem_init(&reached, 0, 0);
			sem_init(&done, 0, 0);
			waits = 1;
			if (pthread_create(&collector, NULL, collect, NULL))
				bench_die("no thread");
			peer_blocked(t, sem_wait(&reached));
			store_barrier(t, f.slots, count);
			sem_post(&done);
			peer_blocked(t, pthread_join(collector, NULL));
		} else if (!strcmp(how, "off")) {
			store_barrier(t, f.slots, count);
		} else if (!strcmp(how, "plain")) {
			store_plain(f.slots, count);
		} else {
			bench_die("store plain|off|on COUNT");
		}
	}
	bench_sum(count);
}

#endif /* PEER_GCARENA */
