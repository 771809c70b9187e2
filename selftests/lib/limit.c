// SPDX-License-Identifier: MIT
/*
 * Out of memory: at a limit and at the end of the address space an allocation
 * first collects, then asks the failure handler, then returns NULL; nothing that
 * lives is lost, nothing crashes, and room that comes free is used.
 */
#include "lib.h"

#include <sys/sysinfo.h>

#include "internal.h"

#define LIMIT	(32 * MIB)

struct link;
#define LINK_FIELDS(F) F(REF, struct link, next) F(REF, unsigned char, payload) F(VAL, size_t, size)
GCA_STRUCT(link, LINK_FIELDS);

static struct gca_heap *limited(size_t limit, size_t heap_size, int percent)
{
	struct gca_config config;

	gca_config_init(&config);
	config.limit = limit;
	config.heap_size = heap_size;
	config.percent = percent;
	return open_with(&config);
}

/* Keeps everything until an allocation fails; the links that were made. */
static size_t fill(struct gca_mutator *m, struct link **head, size_t size)
{
	size_t count = 0;

	GCA_FRAME(m, f, struct link *link; unsigned char *payload);
	f.link = *head;
	for (;;) {
		struct link *link;

		f.payload = gca_new_bytes(m, size);
		if (!f.payload)
			break;
		memset(f.payload, (int)(count + 1), size);
		link = gca_new(m, link);
		if (!link)
			break;
		gca_init(m, &link->payload, f.payload);
		gca_init(m, &link->next, f.link);
		link->size = size;
		*head = f.link = link;
		count++;
	}
	return count;
}

static size_t intact(struct link *head, size_t count)
{
	size_t good = 0;

	for (; head; head = gca_load(&head->next), count--)
		good += is_filled(gca_load(&head->payload), (unsigned char)count, head->size);
	return good;
}

static void test_limit(size_t size)
{
	struct gca_heap *heap = limited(LIMIT, 0, GCA_PERCENT_DEFAULT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_stats stats;
	size_t count, again;

	{
		GCA_FRAME(m, f, struct link *head);
		count = fill(m, &f.head, size);
		stats = stats_of(heap);
		ok(count * size > LIMIT / 2, "objects of %zu: %zu KiB were had of %zu", size,
		   count * size / KIB, (size_t)LIMIT / KIB);
		ok(stats.heap_inuse <= LIMIT, "in use is not over the limit: %llu KiB",
		   (unsigned long long)stats.heap_inuse / KIB);
		ok(stats.failed_allocs >= 1 && strlen(gca_error()) > 10, "the failure says: %s",
		   gca_error());
		ok(stats.num_gc >= 1, "it collected first");
		eq(intact(f.head, count), count, "what was allocated is intact");
		/* Half of the limit is dropped, and can be had again. */
		for (size_t i = 0; i < count / 2; i++)
			f.head = gca_load(&f.head->next);
		count -= count / 2;
		again = 0;
		while (again < count / 4 && gca_new_bytes(m, size))
			again++;
		eq(again, count / 4, "after a half is dropped, allocation works again");
		eq(intact(f.head, count), count, "and the other half is intact");
		f.head = NULL;
		ok(gca_new_bytes(m, LIMIT / 2), "with all dropped, half the limit in one piece");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* What no machine's memory can hold is refused, not tried: its pages would all be backed. */
static void test_machine(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	struct sysinfo info;
	size_t beyond;

	if (sysinfo(&info))
		bail("sysinfo");
	beyond = (info.totalram + info.totalswap) * info.mem_unit + 512 * MIB;
	if (beyond < 1536 * MIB)
		beyond = 1536 * MIB;
	heap = limited(0, beyond + 512 * MIB, GCA_PERCENT_OFF);
	m = attach(heap, GCA_STACK_PRECISE);
	ok(!gca_new_bytes_raw(m, beyond), "more than the machine's memory and swap is NULL");
	ok(!gca_manual_alloc(m, beyond), "as manual memory too");
	ok(stats_of(heap).heap_inuse < MIB, "and nothing is taken into use for it");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* Garbage without end fits into any limit. */
static void test_garbage(int percent)
{
	struct gca_heap *heap = limited(LIMIT, 0, percent);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t volume = scaled(400 * MIB), done = 0, failed = 0;
	struct rng rng = rng_seeded(5);

	while (done < volume) {
		size_t size = rng_below(&rng, 20) ? rng_below(&rng, 2000) + 1 :
			      rng_below(&rng, 300 * KIB) + 1;

		failed += !gca_new_bytes(m, size);
		done += size;
	}
	eq(failed, 0, "percent %d: %zu MiB of garbage pass through %zu MiB", percent,
	   volume / MIB, (size_t)LIMIT / MIB);
	ok(stats_of(heap).peak_inuse <= LIMIT, "in use never went over");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* More than half of the limit lives, in spans that never come free whole: the holes
 * of a cycle are what the next objects fill, and must not make it start ever earlier.
 */
static void test_churn(void)
{
	struct gca_heap *heap = limited(LIMIT, 0, GCA_PERCENT_DEFAULT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t live = 0, nr = 0, volume = 0, want = scaled(160 * MIB), failed = 0, size;
	const size_t room = 128 * KIB;
	struct rng rng = rng_seeded(7);
	uint64_t before;

	{
		GCA_FRAME(m, f, gca_ref *table);
		f.table = gca_new_refs(m, room);
		while (live < LIMIT * 6 / 10) {
			size = 128 + rng_below(&rng, 900);
			gca_store(m, &f.table[nr], gca_new_bytes(m, size));
			nr++;
			live += size;
		}
		before = stats_of(heap).num_gc;
		while (volume < want) {
			void *bytes;

			size = 128 + rng_below(&rng, 900);
			bytes = gca_new_bytes(m, size);
			failed += !bytes;
			gca_store(m, &f.table[rng_below(&rng, (uint32_t)nr)], bytes);
			volume += size;
		}
	}
	eq(failed, 0, "%zu MiB of churn beside %zu MiB that live", volume / MIB, live / MIB);
	/*
	 * Some 30, and twice or three times that where marking is slow (ASan, a busy
	 * machine).  A goal below what lives has a cycle each 32 KiB.
	 */
	ok(stats_of(heap).num_gc - before < volume / (512 * KIB), "cycles: %llu",
	   (unsigned long long)(stats_of(heap).num_gc - before));
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

struct failure {
	struct gca_heap *heap;
	unsigned int calls;
	unsigned int give_in;	/* the call that makes room; 0: none */
	size_t size;
	gca_ref *hoard;		/* what is let go of instead of a higher limit */
};

static bool on_failure(struct gca_mutator *m, size_t size, void *arg)
{
	struct failure *failure = arg;

	failure->calls++;
	failure->size = size;
	if (failure->heap != gca_heap_of(m))
		failure->size = 0;
	if (failure->calls != failure->give_in)
		return false;
	if (failure->hoard)
		gca_store(m, failure->hoard, NULL);
	else
		gca_set_limit(failure->heap, 2 * LIMIT);
	return true;
}

static void test_handler(void)
{
	struct gca_heap *heap = limited(LIMIT, 0, GCA_PERCENT_DEFAULT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct failure failure = { .heap = heap };

	{
		GCA_FRAME(m, f, struct link *head);
		gca_set_failure_handler(heap, on_failure, &failure);
		fill(m, &f.head, 10000);
		eq(failure.calls, 1, "the handler is called once for one failure");
		ok(failure.size == 10000 || failure.size == sizeof(struct link),
		   "with the size: %zu", failure.size);
		failure.calls = 0;
		failure.give_in = 1;
		ok(gca_new_bytes(m, 4 * MIB), "it makes room and the allocation succeeds");
		eq(failure.calls, 1, "after one call");
		failure.give_in = 0;
		gca_set_failure_handler(heap, NULL, NULL);
		fill(m, &f.head, 10000);
		eq(failure.calls, 1, "a removed handler is not called");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* A handler that lets go of what a root holds, by a barrier. */
static void test_handler_lets_go(void)
{
	static gca_ref hoard;
	struct gca_heap *heap = limited(LIMIT, 0, GCA_PERCENT_DEFAULT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct failure failure = { .heap = heap, .give_in = 1, .hoard = &hoard };

	eq(gca_root_add(heap, &hoard, sizeof(hoard)), 0, "a root range");
	{
		GCA_FRAME(m, f, struct link *head);
		fill(m, &f.head, 10000);
		gca_store(m, &hoard, f.head);
	}
	gca_set_failure_handler(heap, on_failure, &failure);
	ok(gca_new_bytes(m, LIMIT / 2), "what the handler let go of is collected and serves");
	eq(failure.calls, 1, "after one call");
	ok(!gca_load(&hoard), "the root is clear");
	eq(gca_root_remove(heap, &hoard), 0, "the range removed");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void test_address_space(void)
{
	struct gca_heap *heap = limited(0, 8 * MIB, GCA_PERCENT_DEFAULT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t count;

	{
		GCA_FRAME(m, f, struct link *head);
		count = fill(m, &f.head, 5000);
		ok(count * 5000 > 4 * MIB, "%zu KiB were had of a heap of 8 MiB",
		   count * 5000 / KIB);
		eq(intact(f.head, count), count, "and are intact");
		ok(!gca_new_bytes(m, 1 * MIB), "no more");
		f.head = NULL;
		ok(gca_new_bytes(m, 1 * MIB), "until something is dropped");
	}
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static void *greedy(void *arg)
{
	struct gca_heap *heap = arg;
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	size_t bad = 0;

	for (size_t round = 0; round < scaled(5); round++) {
		GCA_FRAME(m, f, struct link *head);
		size_t count = fill(m, &f.head, 3000);

		bad += intact(f.head, count) != count;
	}
	gca_detach(m);
	return (void *)bad;
}

static void test_threads(void)
{
	struct gca_heap *heap = limited(LIMIT, 0, GCA_PERCENT_DEFAULT);
	pthread_t threads[4];
	struct gca_mutator *m;
	size_t bad = 0;

	for (unsigned int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, greedy, heap))
			bail("pthread_create");
	for (unsigned int i = 0; i < 4; i++) {
		void *result;

		pthread_join(threads[i], &result);
		bad += (size_t)result;
	}
	eq(bad, 0, "four threads at one limit lose nothing");
	m = attach(heap, GCA_STACK_PRECISE);
	ok(gca_new_bytes(m, LIMIT / 2), "and leave room when they are gone");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

static const struct backend_ops *real_ops;
static unsigned int refused;

/* As the device without memory for a list: nothing was looked at, nothing is written. */
static int refuse_spent(struct gca_heap *heap, struct gcarena_refill *args)
{
	if (!args->nr_spent || refused)
		return real_ops->refill(heap, args);
	refused = args->nr_spent;
	return -ENOMEM;
}

static void test_refused(void)
{
	struct gca_heap *heap = limited(LIMIT, 0, 100);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gcarena_stats stats;
	struct backend_ops spy;

	real_ops = heap->ops;
	spy = *real_ops;
	spy.refill = refuse_spent;
	heap->ops = &spy;
	refused = 0;
	for (unsigned int i = 0; i < 200000 && !refused; i++)
		must(gca_new_bytes(m, 16 + i % 61 * 16));
	ok(refused, "a refill with spent spans had no memory for them");
	heap->ops = real_ops;
	gca_detach(m);
	eq(heap->ops->stats(heap, &stats), 0, "statistics");
	eq(stats.counters.spans_held, 0, "they are given back all the same");
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	test_refused();
	test_limit(100);
	test_limit(5000);
	test_limit(300000);
	test_garbage(GCA_PERCENT_DEFAULT);
	test_garbage(GCA_PERCENT_OFF);
	test_churn();
	test_handler();
	test_handler_lets_go();
	test_address_space();
	test_threads();
	test_machine();
	return tap_done();
}
