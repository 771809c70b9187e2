// SPDX-License-Identifier: MIT
/*
 * Many attached threads, nearly all of them blocked: what they hold stays small, so
 * that the memory is there for those that run; cycles answer for them at a small
 * price each; and what they keep is there when they wake.
 *
 * Two hundred in make check, ten thousand with GCARENA_TEST_SCALE=1000 (make
 * check-long).  Costs are CPU time, which a busy machine changes little.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>
#include <stdio.h>

#define CROWD		200u
#define CROWD_LONG	10000u
#define RUNNERS		2u
#define STACK		(64 * KIB)
#define CLASSES		12u	/* size classes that each thread allocates of */
#define CYCLES		10u
/* Bytes of spans that all blocked threads may hold (BLOCKED_HELD_MAX), and as much
 * again for spans that nobody holds and objects are in.
 */
#define HELD_MOST	(8 * MIB)
/* Resident, for each: stack, mutator, its copy of the stack; and for all, the heap. */
#define RESIDENT_MOST	(80 * KIB)
#define RESIDENT_HEAP	(32 * MIB)
/* CPU time of a cycle for each blocked thread: five answers of some microseconds.  And
 * for the cycle; an emulated machine takes its time.
 */
#define CYCLE_MOST_NS	100000u
#define CYCLE_BASE_NS	50000000u
#define EMULATED	10u

struct token;
#define TOKEN_FIELDS(F)				\
	F(REF, struct token, other)		\
	F(VAL, uint64_t, number)
GCA_STRUCT(token, TOKEN_FIELDS);

static struct gca_heap *heap;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool awake;
static uint32_t asleep, wrong, quit;

/* Its frames are gone when the thread blocks: only the frame's token is kept. */
static NOINLINE void litter(struct gca_mutator *m, unsigned int number)
{
	for (unsigned int i = 0; i < CLASSES; i++)
		memset(must(gca_new_bytes(m, 16 + i * 40)), (int)number, 16);
}

static void *one_of_many(void *arg)
{
	unsigned int number = (unsigned int)(uintptr_t)arg;
	struct gca_mutator *m = attach(heap, number % 2 ? GCA_STACK_PRECISE :
							   GCA_STACK_CONSERVATIVE);

	{
		GCA_FRAME(m, f, struct token *token);
		f.token = must(gca_new(m, token));
		f.token->number = number;
		gca_store(m, &f.token->other, must(gca_new(m, token)));
		gca_load(&f.token->other)->number = ~(uint64_t)number;
		litter(m, number);
		gca_blocking_begin(m);
		__atomic_add_fetch(&asleep, 1, __ATOMIC_RELEASE);
		pthread_mutex_lock(&lock);
		while (!awake)
			pthread_cond_wait(&wake, &lock);
		pthread_mutex_unlock(&lock);
		gca_blocking_end(m);
		if (f.token->number != number ||
		    gca_load(&f.token->other)->number != ~(uint64_t)number)
			__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
	}
	gca_detach(m);
	return NULL;
}

static void *runs(void *arg)
{
	struct gca_mutator *m = attach(heap, GCA_STACK_CONSERVATIVE);

	while (!__atomic_load_n(&quit, __ATOMIC_ACQUIRE)) {
		litter(m, 1);
		usleep(10);
	}
	gca_detach(m);
	return NULL;
}

static uint64_t resident(void)
{
	unsigned long long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned int crowd(void)
{
	if (scaled(100) >= 1000 && !test_on_device() && !TEST_ASAN)
		return CROWD_LONG;
	return scaled(CROWD) < CROWD ? (unsigned int)scaled(CROWD) : CROWD;
}

int main(void)
{
	uint64_t before = resident(), begin, cpu, inuse, most;
	unsigned int nr = crowd(), made = 0;
	pthread_t runners[RUNNERS];
	struct gca_mutator *m;
	pthread_attr_t attr;
	pthread_t *threads;

	heap = open_quiet(GCA_MODE_CONCURRENT);
	m = attach(heap, GCA_STACK_PRECISE);
	threads = calloc(nr, sizeof(*threads));
	if (!threads)
		bail("no memory");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	gca_blocking_begin(m);
	begin = clock_ns();
	/* The system may have a limit on threads. */
	for (; made < nr; made++)
		if (pthread_create(&threads[made], &attr, one_of_many, (void *)(uintptr_t)made))
			break;
	while (__atomic_load_n(&asleep, __ATOMIC_ACQUIRE) < made)
		usleep(1000);
	gca_blocking_end(m);
	if (made < nr)
		printf("# the system allows %u threads of %u\n", made, nr);
	ok(made >= nr / 10 && made >= scaled(20), "%u threads attached and blocked, in %llu ms",
	   made, (unsigned long long)(clock_ns() - begin) / 1000000);
	inuse = stats_of(heap).heap_inuse;
	most = HELD_MOST + stats_of(heap).heap_alloc;
	ok(inuse <= most, "they hold little: %llu KiB in use of %llu",
	   (unsigned long long)inuse / KIB, (unsigned long long)most / KIB);
	if (TEST_ASAN)
		skip(1, "memory under ASan");
	else
		ok(resident() - before <= RESIDENT_HEAP + made * RESIDENT_MOST,
		   "%llu KiB resident for each",
		   (unsigned long long)(resident() - before) / made / KIB);

	cpu = process_cpu_ns();
	for (unsigned int i = 0; i < CYCLES; i++)
		if (gca_collect(m))
			bail("gca_collect: %s", gca_error());
	cpu = (process_cpu_ns() - cpu) / CYCLES;
	ok(cpu <= (CYCLE_BASE_NS + made * (uint64_t)CYCLE_MOST_NS) *
		  (test_on_device() ? EMULATED : 1),
	   "a cycle answers for each in %llu ns of CPU time", (unsigned long long)cpu / made);
	for (unsigned int i = 0; i < RUNNERS; i++)
		if (pthread_create(&runners[i], NULL, runs, NULL))
			bail("pthread_create");
	for (unsigned int i = 0; i < CYCLES; i++)
		gca_collect(m);
	ok(stats_of(heap).heap_live_objects >= 2ull * made, "and keeps what it has");
	__atomic_store_n(&quit, 1, __ATOMIC_RELEASE);

	pthread_mutex_lock(&lock);
	awake = true;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < made; i++)
		pthread_join(threads[i], NULL);
	for (unsigned int i = 0; i < RUNNERS; i++)
		pthread_join(runners[i], NULL);
	gca_blocking_end(m);
	eq(wrong, 0, "all of them wake and find it");
	eq(stats_of(heap).mutators, 1, "and are gone");
	ok(live_objects(m) <= 2, "with what they kept");
	free(threads);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
