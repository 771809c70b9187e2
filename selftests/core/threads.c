// SPDX-License-Identifier: MIT
/*
 * The core under several threads, on the process host, for a thread sanitizer
 * as well as for the address sanitizer.
 *
 * Mutators refill, fill, check and return spans; one thread flips generations
 * as a collector would; others assist, scavenge and read the status page; the
 * worker does its part.  A span's memory carries its owner's stamp, so that two
 * owners of one page, or a release of memory in use, show at once.  Objects
 * survive a cycle exactly if their owner's thread marked them.
 *
 *	threads [-s SEED] [-t SECONDS]
 */
#include <getopt.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "process.h"
#include "core.h"
#include "tap.h"

#define MUTATORS	3
#define HOLD		24	/* spans that a mutator holds at most */
#define HEAP		(48ULL << 20)
#define CHECK_EVERY	64	/* operations */

enum { SMALL_CLASS, WIDE_CLASS, LARGE_CLASS, MANUAL_CLASS, CLASSES };

static const struct gcarena_class classes[CLASSES] = {
	[SMALL_CLASS] = { .elem_size = 1024, .npages = 1 },
	[WIDE_CLASS] = { .elem_size = 4096, .npages = 8 },
	[LARGE_CLASS] = { .flags = GCARENA_CLASS_LARGE },
	[MANUAL_CLASS] = { .flags = GCARENA_CLASS_MANUAL },
};

static struct gca_process *process;
static atomic_bool stop;
static atomic_uint wrong;
static atomic_ulong operations, cycles, torn_reads, status_reads;

/*
 * The handshake of a flip, much simplified: mutators call in between two
 * operations; the collector holds the lock for writing while it flips, and
 * mutators then keep or return what they hold.
 */
static pthread_rwlock_t world = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

struct mutator {
	pthread_t thread;
	u64 random;
	u32 nr;
	struct gcarena_span held[HOLD];
	u64 stamp[HOLD];
	u64 next_stamp;
};

static u32 rnd(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dULL) >> 32;
}

static void bad(const char *what, const struct gcarena_span *span)
{
	if (atomic_fetch_add(&wrong, 1) < 10)
		printf("# wrong: %s, span %u+%u class %u generation %u\n", what, span->page,
		       span->npages, span->span_class, span->generation);
}

static u64 *page_of(const struct gcarena_span *span, u32 i)
{
	return (u64 *)((char *)process->heap + ((size_t)(span->page + i) << GCARENA_PAGE_SHIFT));
}

static u64 *line_of(const struct gcarena_span *span, u32 generation)
{
	return gca_host_line(&process->tables, generation & 1, span->page);
}

/* First and last word of each page. */
static void stamp(const struct gcarena_span *span, u64 value)
{
	const u32 last = GCARENA_PAGE_SIZE / sizeof(u64) - 1;
	u32 i;

	for (i = 0; i < span->npages; i++) {
		page_of(span, i)[0] = value + i;
		page_of(span, i)[last] = ~(value + i);
	}
}

static void check_stamp(const struct gcarena_span *span, u64 value)
{
	const u32 last = GCARENA_PAGE_SIZE / sizeof(u64) - 1;
	u32 i;

	for (i = 0; i < span->npages; i++)
		if (page_of(span, i)[0] != value + i || page_of(span, i)[last] != ~(value + i)) {
			bad("stamp", span);
			return;
		}
}

static void check_fresh(const struct gcarena_span *span)
{
	const struct gcarena_row *row = gca_host_row(&process->tables, span->page);
	/* Pairs with the release in gca_rows_write(). */
	u64 word0 = smp_load_acquire(&row->word0);
	u32 i, k;

	if (!(word0 & GCARENA_ROW_IN_USE) || (word0 & 0xffff) != span->span_class)
		bad("row", span);
	if (span->flags & GCARENA_SPAN_NEEDS_ZERO)
		return;
	for (i = 0; i < span->npages; i++)
		for (k = 0; k < GCARENA_PAGE_SIZE / sizeof(u64); k += 61)
			if (page_of(span, i)[k]) {
				bad("not zero", span);
				return;
			}
}

/* One object at the first granule, alive or not, in both bitmaps. */
static void set_alive(const struct gcarena_span *span, bool alive)
{
	if (span->span_class == MANUAL_CLASS)
		return;
	__atomic_store_n(line_of(span, span->generation), alive, __ATOMIC_RELAXED);
	__atomic_store_n(line_of(span, span->generation + 1), alive, __ATOMIC_RELAXED);
}

static void acquire(struct mutator *m)
{
	struct gcarena_span ready[4];
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)ready,
		.nr_ready = 1 + rnd(&m->random) % 4,
		.span_class = rnd(&m->random) % CLASSES,
	};
	u32 i;
	int err;

	if (args.nr_ready > HOLD - m->nr)
		return;
	if (args.span_class >= LARGE_CLASS) {
		args.npages = rnd(&m->random) % 100 ? 1 + rnd(&m->random) % 40 : 600;
		args.nr_ready = 1;
	}
	err = gca_process_refill(process, &args);
	if (err && err != -ENOMEM)
		bad("refill", &ready[0]);
	for (i = 0; !err && i < args.nr_ready; i++) {
		check_fresh(&ready[i]);
		m->stamp[m->nr] = m->next_stamp;
		m->next_stamp += 1000;
		stamp(&ready[i], m->stamp[m->nr]);
		set_alive(&ready[i], rnd(&m->random) % 2);
		m->held[m->nr++] = ready[i];
	}
}

static void release(struct mutator *m, u32 i)
{
	struct gcarena_return args = {
		.size = sizeof(args),
		.spent = (uintptr_t)&m->held[i],
		.nr_spent = 1,
	};

	check_stamp(&m->held[i], m->stamp[i]);
	m->held[i].flags = 0;
	if (gca_process_return(process, &args) || args.nr_spent != 1)
		bad("return", &m->held[i]);
	m->nr--;
	m->held[i] = m->held[m->nr];
	m->stamp[i] = m->stamp[m->nr];
}

/* After a flip: keep some, return the others. */
static void adopt(struct mutator *m, u32 generation)
{
	u32 i = 0;

	while (i < m->nr) {
		struct gcarena_span *span = &m->held[i];
		struct gcarena_return args = {
			.size = sizeof(args),
			.spent = (uintptr_t)span,
			.nr_spent = 1,
		};

		if (span->generation == generation || span->span_class == MANUAL_CLASS) {
			i++;
			continue;
		}
		if (rnd(&m->random) % 3 == 0) {
			release(m, i);
			continue;
		}
		span->flags = GCARENA_SPAN_KEEP;
		if (gca_process_return(process, &args))
			bad("keep", span);
		span->generation = generation;
		i++;
	}
}

static void *mutate(void *arg)
{
	struct mutator *m = arg;

	while (!atomic_load(&stop)) {
		pthread_rwlock_rdlock(&world);
		adopt(m, READ_ONCE(process->tables.status->generation));
		if (m->nr && rnd(&m->random) % 2)
			release(m, rnd(&m->random) % m->nr);
		else
			acquire(m);
		pthread_rwlock_unlock(&world);
		if (atomic_fetch_add(&operations, 1) % CHECK_EVERY == 0 &&
		    gca_core_validate(process->core))
			atomic_fetch_add(&wrong, 1);
	}
	while (m->nr)
		release(m, 0);
	return NULL;
}

static void *collect(void *arg)
{
	while (!atomic_load(&stop)) {
		struct gcarena_sweep args = { .size = sizeof(args) };
		int err;

		pthread_rwlock_wrlock(&world);
		args.generation = READ_ONCE(process->tables.status->generation);
		err = gca_process_start_sweep(process, &args);
		pthread_rwlock_unlock(&world);
		if (err && err != -EBUSY)
			atomic_fetch_add(&wrong, 1);
		if (!err)
			atomic_fetch_add(&cycles, 1);
		gca_process_wait_sweep(process, 20);
	}
	return NULL;
}

/* Acquiring loads in place of a fence, which ThreadSanitizer lacks. */
#define load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)

/* Assist, scavenge, change the policy, and read the status page consistently. */
static void *disturb(void *arg)
{
	const struct gcarena_status *status = process->tables.status;
	u64 random = *(u64 *)arg;

	while (!atomic_load(&stop)) {
		struct gcarena_policy policy = { .size = sizeof(policy) };
		struct gcarena_policy_call set = {
			.size = sizeof(set),
			.flags = GCARENA_POLICY_SET,
			.policy = (uintptr_t)&policy,
		};
		struct gcarena_scavenge scavenge = { .size = sizeof(scavenge) };
		struct gcarena_sweep sweep = { .size = sizeof(sweep), .nr_spans = 3 };
		u64 sys, inuse, idle;
		u32 update;

		switch (rnd(&random) % 8) {
		case 0:
			scavenge.flags = GCARENA_SCAVENGE_ALL;
			if (rnd(&random) % 2)
				scavenge.flags |= GCARENA_SCAVENGE_INSIDE;
			gca_process_scavenge(process, &scavenge);
			break;
		case 1:
			scavenge.bytes = 3 << 20;
			gca_process_scavenge(process, &scavenge);
			break;
		case 2:
			policy.retain_bytes = rnd(&random) % HEAP;
			policy.limit_bytes = rnd(&random) % 2 ? HEAP / 3 : 0;
			if (gca_process_policy(process, &set))
				atomic_fetch_add(&wrong, 1);
			break;
		case 3:
		case 4:
			gca_process_sweep_assist(process, &sweep);
			break;
		default:
			update = load(&status->update);
			sys = load(&status->counters.heap_sys);
			inuse = load(&status->counters.heap_inuse);
			idle = load(&status->counters.heap_idle);
			if (update % 2 || READ_ONCE(status->update) != update)
				atomic_fetch_add(&torn_reads, 1);
			else if (sys != inuse + idle)
				atomic_fetch_add(&wrong, 1);
			atomic_fetch_add(&status_reads, 1);
			break;
		}
		sched_yield();
	}
	return NULL;
}

static void finish(void)
{
	struct gcarena_scavenge all = { .size = sizeof(all), .flags = GCARENA_SCAVENGE_ALL };
	struct gcarena_stats stats = { .size = sizeof(stats) };
	struct gcarena_sweep sweep = { .size = sizeof(sweep) };
	u32 page;
	int i;

	/* Drop every mark, twice: what is listed dies in the second cycle at last. */
	for (i = 0; i < 2; i++) {
		if (gca_process_wait_sweep(process, 5000))
			atomic_fetch_add(&wrong, 1);
		sweep.generation = READ_ONCE(process->tables.status->generation);
		for (page = 0; page < HEAP >> GCARENA_PAGE_SHIFT; page++)
			if (READ_ONCE(gca_host_row(&process->tables, page)->word0) &
			    GCARENA_ROW_IN_USE)
				__atomic_store_n(gca_host_line(&process->tables,
							       ~sweep.generation & 1, page),
						 0, __ATOMIC_RELAXED);
		if (gca_process_start_sweep(process, &sweep))
			atomic_fetch_add(&wrong, 1);
	}
	ok(!gca_process_wait_sweep(process, 5000), "the last sweep completes");
	gca_process_scavenge(process, &all);
	gca_process_stats(process, &stats);
	ok(!gca_core_validate(process->core), "the core is valid");
	eq(stats.counters.heap_inuse, 0, "nothing is in use");
	eq(stats.counters.heap_released, stats.counters.heap_sys, "everything was given back");
	diag("%lu operations, %lu cycles, %llu spans refilled, %llu from lists",
	     atomic_load(&operations), atomic_load(&cycles), stats.counters.refill_spans,
	     stats.counters.refill_central);
	diag("%llu spans swept, %llu freed, %llu chunks backed, %llu broken, %llu KiB inside spans",
	     stats.counters.swept_spans, stats.counters.swept_freed,
	     stats.counters.refill_backed, stats.counters.scavenge_broken,
	     stats.counters.scavenge_inside / 1024);
	diag("worker woken %llu times, %llu us, %lu of %lu status reads torn",
	     stats.counters.worker_wakeups, stats.counters.worker_ns / 1000,
	     atomic_load(&torn_reads), atomic_load(&status_reads));
}

int main(int argc, char **argv)
{
	struct gcarena_setup setup = {
		.size = sizeof(setup),
		.heap_size = HEAP,
		.classes = (uintptr_t)classes,
		.nr_classes = CLASSES,
		.class_size = sizeof(classes[0]),
	};
	struct mutator mutators[MUTATORS] = {};
	pthread_t collector, disturber;
	double seconds = 3;
	u64 seed = 1;
	const char *scale = getenv("GCARENA_TEST_SCALE");
	int opt, i;

	/* Per cent of the usual work. */
	if (scale && atoi(scale) > 0)
		seconds = seconds * atoi(scale) / 100;
	while ((opt = getopt(argc, argv, "s:t:")) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 't')
			seconds = atof(optarg);
		else
			bail("usage: threads [-s SEED] [-t SECONDS]");
	}
	diag("seed %llu", seed);
	if (gca_process_open(&setup, &process))
		bail("no arena");
	for (i = 0; i < MUTATORS; i++) {
		mutators[i].random = (seed + i) * 0x9e3779b97f4a7c15ULL | 1;
		mutators[i].next_stamp = (u64)(i + 1) << 48;
		if (pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]))
			bail("no thread");
	}
	seed = seed * 77 | 1;
	if (pthread_create(&collector, NULL, collect, NULL) ||
	    pthread_create(&disturber, NULL, disturb, &seed))
		bail("no thread");
	usleep(seconds * 1e6);
	atomic_store(&stop, true);
	for (i = 0; i < MUTATORS; i++)
		pthread_join(mutators[i].thread, NULL);
	pthread_join(collector, NULL);
	pthread_join(disturber, NULL);

	ok(atomic_load(&operations) > 100, "threads made progress");
	ok(atomic_load(&cycles) > 2, "cycles ran meanwhile");
	finish();
	eq(atomic_load(&wrong), 0, "nothing was wrong");
	gca_process_close(process);
	return tap_done();
}
