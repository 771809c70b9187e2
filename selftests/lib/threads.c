// SPDX-License-Identifier: MIT
/*
 * Many mutators: allocation and collection from all of them at once, attach and
 * detach without end, blocking regions that cycles do not wait for, threads that
 * exit attached or are canceled.  What each thread keeps is checked by its sums.
 */
#include "lib.h"

#include "internal.h"

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>

#define THREADS	6

struct cell;
#define CELL_FIELDS(F)				\
	F(REF, struct cell, next)		\
	F(REF, unsigned char, payload)		\
	F(VAL, uint64_t, value)			\
	F(VAL, uint32_t, bytes)
GCA_STRUCT(cell, CELL_FIELDS);

struct worker {
	struct gca_heap *heap;
	unsigned int number;
	unsigned int flags;
	size_t rounds;
	size_t wrong;		/* out */
	int err;		/* out */
};

static void spawn(struct worker *worker, pthread_t *thread, void *(*fn)(void *))
{
	if (pthread_create(thread, NULL, fn, worker))
		bail("pthread_create");
}

static void run_workers(struct gca_heap *heap, struct worker *workers, unsigned int nr,
			void *(*fn)(void *))
{
	pthread_t threads[THREADS * 2];

	for (unsigned int i = 0; i < nr; i++) {
		workers[i].heap = heap;
		workers[i].number = i;
		spawn(&workers[i], &threads[i], fn);
	}
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

static size_t total_wrong(const struct worker *workers, unsigned int nr)
{
	size_t wrong = 0;

	for (unsigned int i = 0; i < nr; i++)
		wrong += workers[i].wrong + (workers[i].err != 0);
	return wrong;
}

/* A list that is built, pruned and summed while everything else happens. */
static size_t churn(struct gca_mutator *m, struct rng *rng, size_t rounds, unsigned char mark)
{
	size_t wrong = 0;

	GCA_FRAME(m, f, struct cell *head; struct cell *fresh);
	for (size_t round = 0; round < rounds; round++) {
		uint64_t sum = 0, want = 0;

		for (unsigned int i = 0; i < 200; i++) {
			f.fresh = must(gca_new(m, cell));
			f.fresh->bytes = (uint32_t)rng_below(rng, 300) + 1;
			f.fresh->value = rng_next(rng) >> 32;
			gca_store(m, &f.fresh->payload, must(gca_new_bytes(m, f.fresh->bytes)));
			memset(gca_load(&f.fresh->payload), mark, f.fresh->bytes);
			if (i % 4 == 0) {
				gca_store(m, &f.fresh->next, f.head);
				f.head = f.fresh;
				want += f.fresh->value;
			}
		}
		for (struct cell *cell = f.head; cell; cell = gca_load(&cell->next)) {
			sum += cell->value;
			wrong += !is_filled(gca_load(&cell->payload), mark, cell->bytes);
			gca_safepoint(m);
		}
		wrong += sum != want;
		f.head = NULL;
		if (rng_below(rng, 40) == 0)
			gca_collect(m);
	}
	return wrong;
}

static void *churner(void *arg)
{
	struct worker *worker = arg;
	struct rng rng = rng_seeded(100 + worker->number);
	struct gca_mutator *m = attach(worker->heap, worker->flags);

	worker->wrong = churn(m, &rng, worker->rounds, (unsigned char)(worker->number + 1));
	worker->err = gca_detach(m);
	return NULL;
}

static void test_churn(enum gca_mode mode, int percent)
{
	struct worker workers[THREADS] = { 0 };
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_stats stats;

	gca_config_init(&config);
	config.mode = mode;
	config.percent = percent;
	heap = open_with(&config);
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].rounds = scaled(150) < 20 ? 20 : scaled(150);
		workers[i].flags = i % 2 ? GCA_STACK_PRECISE : GCA_STACK_CONSERVATIVE;
	}
	run_workers(heap, workers, THREADS, churner);
	stats = stats_of(heap);
	eq(total_wrong(workers, THREADS), 0, "%u threads churn, all sums right (mode %d)", THREADS,
	   mode);
	ok(stats.num_gc > 2, "over %llu cycles", (unsigned long long)stats.num_gc);
	eq(stats.mutators, 0, "no mutator is left");
	eq(gca_close(heap), 0, "close");
}

/* One shared list head, pushed and popped by all with the atomic forms. */
static GCA_REF(struct cell) shared;
static GCA_REF(struct cell) claimed[THREADS];

static void *sharer(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, GCA_STACK_PRECISE);
	uint64_t balance = 0;

	{
		GCA_FRAME(m, f, struct cell *mine; struct cell *old);
		for (size_t i = 0; i < worker->rounds; i++) {
			f.mine = must(gca_new(m, cell));
			f.mine->value = i;
			balance += i;
			do {
				f.old = gca_load(&shared);
				gca_store(m, &f.mine->next, f.old);
			} while (!gca_compare_exchange(m, &shared, f.old, f.mine));
			if (i % 3 == 0) {
				/* Take the whole list: no ABA to think of. */
				f.old = gca_exchange(m, &shared, NULL);
				while (f.old) {
					balance -= f.old->value;
					f.old = gca_load(&f.old->next);
					gca_safepoint(m);
				}
			}
			if (i % 500 == 0)
				gca_collect(m);
		}
		gca_store(m, &claimed[worker->number], f.mine);
	}
	worker->wrong = (size_t)balance;
	worker->err = gca_detach(m);
	return NULL;
}

static void test_shared(void)
{
	struct worker workers[THREADS] = { 0 };
	struct gca_config config;
	struct gca_heap *heap;
	struct gca_mutator *m;
	uint64_t balance = 0;

	gca_config_init(&config);
	config.percent = 50;
	heap = open_with(&config);
	gca_root_add(heap, &shared, sizeof(shared));
	gca_root_add(heap, claimed, sizeof(claimed));
	for (unsigned int i = 0; i < THREADS; i++)
		workers[i].rounds = scaled(10000);
	run_workers(heap, workers, THREADS, sharer);
	/* Everything pushed and not taken is still in the list. */
	for (unsigned int i = 0; i < THREADS; i++)
		balance += workers[i].wrong;
	m = attach(heap, GCA_STACK_PRECISE);
	gca_collect(m);
	for (struct cell *cell = gca_load(&shared); cell; cell = gca_load(&cell->next))
		balance -= cell->value;
	eq(balance, 0, "a list shared by exchange and compare-exchange loses nothing");
	gca_root_remove(heap, &shared);
	gca_root_remove(heap, claimed);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Attach, allocate a little, detach: again and again, beside collections. */
static void *comer_and_goer(void *arg)
{
	struct worker *worker = arg;

	for (size_t i = 0; i < worker->rounds; i++) {
		struct gca_mutator *m = attach(worker->heap, i & 1);
		unsigned char *p = must(gca_new_bytes(m, 50 + i % 300));

		memset(p, (int)i, 50);
		if (i % 100 == 50)
			gca_collect(m);
		worker->wrong += i % 2 == 0 && !is_filled(p, (unsigned char)i, 50);
		gca_keepalive(p);
		worker->err |= gca_detach(m);
	}
	return NULL;
}

static void *other_detaches(void *arg)
{
	return (void *)(long)gca_detach(arg);
}

static void test_attach_churn(void)
{
	struct worker workers[THREADS] = { 0 };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m, *again = NULL;
	pthread_t thread;
	uint64_t inuse;
	void *result;

	m = attach(heap, GCA_STACK_PRECISE);
	eq(gca_attach(heap, 0, &again), -EBUSY, "a thread attaches once to a heap");
	eq(gca_attach(heap, 0x80, &again), -EINVAL, "unknown flags");
	eq(gca_close(heap), -EBUSY, "no close with a mutator attached");
	gca_blocking_begin(m);
	eq(gca_detach(m), -EBUSY, "no detach in a blocking region");
	gca_blocking_end(m);
	if (pthread_create(&thread, NULL, other_detaches, m) || pthread_join(thread, &result))
		bail("pthread_create");
	eq((long)result, -EPERM, "no detach by another thread");
	eq(stats_of(heap).mutators, 1, "one mutator is counted");
	ok(gca_heap_of(m) == heap, "which knows its heap");
	gca_detach(m);
	eq(stats_of(heap).mutators, 0, "and gone");

	for (unsigned int i = 0; i < THREADS; i++)
		workers[i].rounds = scaled(1000);
	run_workers(heap, workers, THREADS, comer_and_goer);
	eq(total_wrong(workers, THREADS), 0, "attach and detach beside collections");
	m = attach(heap, GCA_STACK_PRECISE);
	eq(live_objects(m), 0, "detached threads keep nothing");
	gca_release(m);
	inuse = stats_of(heap).heap_inuse;
	ok(inuse <= 64 * KIB, "nor spans: %llu bytes in use", (unsigned long long)inuse);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* A thread that does nothing for a while, in a blocking region. */
static int stage;

static void *blocker(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, worker->flags);
	struct cell *kept;

	{
		GCA_FRAME(m, f, struct cell *kept);
		kept = must(gca_new(m, cell));
		f.kept = kept;
		kept->value = 4711 + worker->number;
		gca_blocking_begin(m);
		gca_blocking_begin(m);		/* regions nest */
		gca_blocking_end(m);
		__atomic_add_fetch(&stage, 1, __ATOMIC_RELEASE);
		while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) < 100)
			sleep_ms(1);
		gca_blocking_end(m);
		worker->wrong = kept->value != 4711 + worker->number;
		gca_keepalive(kept);
	}
	worker->err = gca_detach(m);
	return NULL;
}

static void test_blocking(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct worker workers[2] = {
		{ .heap = heap, .number = 0, .flags = GCA_STACK_CONSERVATIVE },
		{ .heap = heap, .number = 1, .flags = GCA_STACK_PRECISE },
	};
	pthread_t threads[2];
	struct gca_mutator *m;
	uint64_t live;

	for (unsigned int i = 0; i < 2; i++)
		spawn(&workers[i], &threads[i], blocker);
	while (__atomic_load_n(&stage, __ATOMIC_ACQUIRE) < 2)
		sleep_ms(1);
	m = attach(heap, GCA_STACK_PRECISE);
	for (unsigned int i = 0; i < 20; i++) {
		gca_collect(m);
		for (unsigned int j = 0; j < 500; j++)
			memset(must(gca_new(m, cell)), 0, sizeof(struct cell));
	}
	ok(true, "20 cycles did not wait for two blocked threads");
	live = live_objects(m);
	ok(live >= 2 && live <= 50, "whose roots count: %llu objects", (unsigned long long)live);
	__atomic_store_n(&stage, 100, __ATOMIC_RELEASE);
	/* They come back while cycles go on. */
	for (unsigned int i = 0; i < 20; i++)
		gca_collect(m);
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	gca_blocking_end(m);
	eq(total_wrong(workers, 2), 0, "their objects are as they left them");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* In and out of blocking regions as fast as it goes, against stops. */
static void *flapper(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, worker->flags);
	struct rng rng = rng_seeded(worker->number);

	{
		GCA_FRAME(m, f, struct cell *head);
		for (size_t i = 0; i < worker->rounds; i++) {
			struct cell *cell;

			gca_blocking_begin(m);
			if (rng_below(&rng, 8) == 0)
				sched_yield();
			gca_blocking_end(m);
			cell = must(gca_new(m, cell));
			cell->value = i;
			gca_store(m, &cell->next, i % 50 ? f.head : NULL);
			f.head = cell;
			if (f.head->value != i)
				worker->wrong++;
			if (i % 50 == 49) {
				size_t length = 0;

				for (; cell; cell = gca_load(&cell->next))
					worker->wrong += cell->value != i - length++;
				worker->wrong += length != 50;
			}
			if (i % 200 == 199)
				gca_collect(m);
		}
	}
	worker->err = gca_detach(m);
	return NULL;
}

static void test_flapping(void)
{
	struct worker workers[4] = { 0 };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);

	for (unsigned int i = 0; i < 4; i++) {
		workers[i].rounds = scaled(5000);
		workers[i].flags = i % 2;
	}
	run_workers(heap, workers, 4, flapper);
	eq(total_wrong(workers, 4), 0, "blocking regions against stops");
	eq(gca_close(heap), 0, "close");
}

static void *wants_world(void *arg)
{
	struct worker *worker = arg;

	world_lock(worker->heap, NULL);
	__atomic_store_n(&worker->rounds, 1, __ATOMIC_RELEASE);
	world_unlock(worker->heap);
	return NULL;
}

static bool somebody_waits(struct gca_heap *heap)
{
	if (pthread_mutex_trylock(&heap->turn))
		return true;
	pthread_mutex_unlock(&heap->turn);
	return false;
}

/* Who collects all the time comes back for the lock at once: who has waited for it is first. */
static void test_turns(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_STOP_THE_WORLD);
	struct worker worker = { .heap = heap };
	unsigned int ms, waits = 0;
	pthread_t thread;

	world_lock(heap, NULL);
	spawn(&worker, &thread, wants_world);
	/* Who only looks whether the world is free has the turn for an instant. */
	for (ms = 0; ms < 5000 && waits < 20; ms++) {
		waits = somebody_waits(heap) ? waits + 1 : 0;
		sleep_ms(1);
	}
	world_unlock(heap);
	world_lock(heap, NULL);
	eq(__atomic_load_n(&worker.rounds, __ATOMIC_ACQUIRE), 1, "who waits is first");
	world_unlock(heap);
	pthread_join(thread, NULL);
	eq(gca_close(heap), 0, "close");
}

#define SLOW_MS	100u

static const struct backend_ops *real_ops;
static unsigned int given_back;

/* As if the holder of the arena's lock had no CPU. */
static int slow_give_back(struct gca_heap *heap, struct gcarena_return *args)
{
	sleep_ms(SLOW_MS);
	given_back += args->nr_spent;
	return real_ops->give_back(heap, args);
}

/* A blocked mutator that is answered for is not kept while the spans that it had go back. */
static void test_kept_short(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_CONSERVATIVE);
	struct gca_gcstats gc = { .size = sizeof(gc) };
	struct backend_ops spy;

	real_ops = heap->ops;
	spy = *real_ops;
	spy.give_back = slow_give_back;
	must(gca_new(m, cell));
	heap->ops = &spy;
	given_back = 0;
	gca_collect(m);
	heap->ops = real_ops;
	ok(given_back, "the collector gave a blocked thread's spans back");
	eq(gca_gcstats(heap, &gc), 0, "stops");
	ok(gc.stops[GCA_STOP_PROXY].max_ns < SLOW_MS * 1000000ull / 2,
	   "which did not keep it from running, %llu us at most",
	   (unsigned long long)gc.stops[GCA_STOP_PROXY].max_ns / 1000);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* A thread that exits attached is detached, and holds up nobody. */
static void *leaver(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, GCA_STACK_CONSERVATIVE);

	must(gca_new(m, cell));
	return NULL;
}

static void test_exit(void)
{
	struct worker workers[THREADS] = { 0 };
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m;

	run_workers(heap, workers, THREADS, leaver);
	m = attach(heap, GCA_STACK_PRECISE);
	eq(live_objects(m), 0, "threads that exited attached keep nothing");
	eq(stats_of(heap).mutators, 1, "and are no mutators");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* No call of the library's is a cancellation point: the request waits for the program's. */
static void *canceled(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, worker->flags);
	struct gca_account account = { .size = sizeof(account) };
	int null = open("/dev/null", O_WRONLY);

	pthread_cancel(pthread_self());
	must(gca_new(m, cell));
	worker->err = gca_collect(m);
	worker->err |= gca_account(m, &account);
	gca_release(m);
	worker->err |= gca_profile_heap_write(worker->heap, null);
	worker->rounds = 1;
	gca_blocking_begin(m);
	pthread_testcancel();
	worker->wrong++;
	return NULL;
}

static void test_cancel(enum gca_mode mode)
{
	struct worker workers[2] = { { .flags = GCA_STACK_PRECISE }, { .flags = 0 } };
	struct gca_heap *heap = open_debug("verify=1", mode, GCA_PERCENT_OFF);
	struct gca_mutator *m;

	run_workers(heap, workers, 2, canceled);
	ok(workers[0].rounds && workers[1].rounds, "a canceled thread leaves no call early");
	eq(total_wrong(workers, 2), 0, "and ends in a blocking region");
	m = attach(heap, GCA_STACK_PRECISE);
	eq(live_objects(m), 0, "which holds up nobody");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* A program's destructor, which finds its thread attached as long as it likes. */
static pthread_key_t late_key;
static struct gca_mutator *late;
static int late_detached = 1;

static void late_destructor(void *value)
{
	uintptr_t round = (uintptr_t)value;

	must(gca_new(late, cell));
	if (round < 2)
		pthread_setspecific(late_key, (void *)(round + 1));
	else
		late_detached = gca_detach(late);
}

static void *late_leaver(void *arg)
{
	struct worker *worker = arg;

	late = attach(worker->heap, GCA_STACK_PRECISE);
	pthread_setspecific(late_key, (void *)1);
	{
		GCA_FRAME(late, f, struct cell *cell);
		f.cell = must(gca_new(late, cell));
		pthread_exit(NULL);
	}
}

static void test_destructors(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct worker worker[1] = { 0 };

	if (pthread_key_create(&late_key, late_destructor))
		bail("pthread_key_create");
	run_workers(heap, worker, 1, late_leaver);
	eq(late_detached, 0, "destructors of the program's use the heap, and detach");
	eq(stats_of(heap).mutators, 0, "once");
	pthread_key_delete(late_key);
	eq(gca_close(heap), 0, "close");
}

/* A thread that ends in a region and in a frame, while the world is stopped. */
static struct {
	sem_t go;
	struct gca_mutator *mutator;	/* atomic */
	struct gca_frame *frames;	/* out */
	bool ended;
} ending;

static void *ends_in_frame(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	GCA_FRAME(m, f, struct cell *cell[32]);
	for (unsigned int i = 0; i < 32; i++)
		f.cell[i] = must(gca_new(m, cell));
	gca_blocking_begin(m);
	__atomic_store_n(&ending.mutator, m, __ATOMIC_RELEASE);
	sem_wait(&ending.go);
	pthread_exit(NULL);
}

/* What the thread waits for the stop's end with lies where its frame was. */
static void end_thread(struct gca_visitor *visitor, void *arg)
{
	struct gca_mutator *m = ending.mutator;

	if (ending.ended)
		return;
	ending.ended = true;
	sem_post(&ending.go);
	while (__atomic_load_n(&m->account.state, __ATOMIC_RELAXED) != ACCOUNT_HANDSHAKE)
		usleep(1000);
	ending.frames = __atomic_load_n(&m->frames, __ATOMIC_RELAXED);
}

static void test_end_in_stop(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_STOP_THE_WORLD);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;

	if (sem_init(&ending.go, 0, 0) || pthread_create(&thread, NULL, ends_in_frame, heap))
		bail("pthread_create");
	while (!__atomic_load_n(&ending.mutator, __ATOMIC_ACQUIRE))
		usleep(1000);
	gca_root_callback_add(heap, end_thread, NULL);
	eq(gca_collect(m), 0, "a thread ends in a frame while the world is stopped");
	gca_root_callback_remove(heap, end_thread, NULL);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	ok(ending.ended && !ending.frames, "what was its frame is not looked at any more");
	eq(live_objects(m), 0, "and keeps nothing");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Ended where it is blocked, a thread writes over its frame beside the scan of it. */
static void *scribbles(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, GCA_STACK_PRECISE);

	{
		GCA_FRAME(m, f, struct cell *cell);
		struct cell *cell;

		f.cell = must(gca_new(m, cell));
		f.cell->value = 77;
		cell = f.cell;
		gca_blocking_begin(m);
		f.cell = (struct cell *)&worker->rounds;
		__atomic_store_n(&ending.mutator, m, __ATOMIC_RELEASE);
		sem_wait(&ending.go);
		f.cell = cell;
		gca_blocking_end(m);
		worker->wrong = f.cell->value != 77;
	}
	worker->err = gca_detach(m);
	return NULL;
}

static void test_scribble(enum gca_mode mode)
{
	struct gca_heap *heap = open_debug("verify=1,poison=1", mode, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct worker worker = { .heap = heap };
	pthread_t thread;

	ending.mutator = NULL;
	spawn(&worker, &thread, scribbles);
	while (!__atomic_load_n(&ending.mutator, __ATOMIC_ACQUIRE))
		usleep(1000);
	gca_collect(m);
	gca_collect(m);
	sem_post(&ending.go);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	if (!eq(reports.count, 0, "frames of a blocked thread are what they were"))
		diag("%s", reports.text);
	eq(total_wrong(&worker, 1), 0, "and keep what they kept");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	test_attach_churn();
	test_churn(GCA_MODE_CONCURRENT, 20);
	test_churn(GCA_MODE_STOP_THE_WORLD, 20);
	test_shared();
	test_blocking();
	test_flapping();
	test_turns();
	test_kept_short();
	test_exit();
	test_cancel(GCA_MODE_CONCURRENT);
	test_cancel(GCA_MODE_STOP_THE_WORLD);
	test_destructors();
	test_end_in_stop();
	test_scribble(GCA_MODE_CONCURRENT);
	test_scribble(GCA_MODE_STOP_THE_WORLD);
	return tap_done();
}
