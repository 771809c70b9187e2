// SPDX-License-Identifier: MIT
/*
 * Everything at once: mutators, a collector, a scavenger and a reader of
 * debugfs on one arena, and no object may lose its contents.
 *
 * A mutator fills spans with checked objects, remembers some of them, forgets
 * others, and returns or keeps its spans.  The collector stops the mutators,
 * marks what they remember, flips, lets them go on, and waits for the sweep,
 * which mutators (by refill and assist) and the kernel thread do meanwhile.
 * Sums over the whole are checked at each stop.
 */
#include <pthread.h>

#include "guest.h"

#define SIZE		(64 * MIB)
#define NR_MUTATORS	3
#define NR_OBJECTS	1500
#define SECONDS		12
#define MIN_CYCLES	10

struct object {
	uint32_t page;		/* of its span */
	uint32_t npages;
	uint32_t granule;	/* from the span's first page */
	uint32_t bytes;
	uint64_t seed;		/* 0: no object */
};

struct mutator {
	pthread_t thread;
	unsigned int random;
	struct object objects[NR_OBJECTS];
	struct gcarena_span held;	/* over stops; npages 0: none */
	uint64_t spans;
	uint64_t lies;			/* said zero, was not */
	uint64_t torn;			/* object with other contents */
	uint64_t errors;		/* call with an unexpected result */
};

static struct arena arena;
static struct mutator mutators[NR_MUTATORS];
static pthread_barrier_t stop_begin, stop_end;
static _Atomic bool stopping, finish;
static uint64_t next_seed = 1;

static unsigned int roll(struct mutator *m, unsigned int n)
{
	m->random = m->random * 1103515245 + 12345;
	return (m->random >> 16) % n;
}

static uint64_t *object_words(const struct object *o)
{
	return (uint64_t *)(g_addr(&arena, o->page) + o->granule * GCARENA_GRANULE_SIZE);
}

static void object_write(const struct object *o)
{
	uint64_t *w = object_words(o);

	for (uint32_t i = 0; i < o->bytes / 8; i++)
		w[i] = o->seed * 0x9e3779b97f4a7c15ULL + i;
}

static bool object_intact(const struct object *o)
{
	uint64_t *w = object_words(o);

	for (uint32_t i = 0; i < o->bytes / 8; i++)
		if (w[i] != o->seed * 0x9e3779b97f4a7c15ULL + i)
			return false;
	return true;
}

static uint64_t *line_of(unsigned int which, uint32_t page)
{
	return arena.bits[which] + (uint64_t)page * GCARENA_LINE_WORDS;
}

static void set_bit(unsigned int which, uint32_t page, uint32_t granule)
{
	uint64_t *line = line_of(which, page);

	__atomic_fetch_or(&line[granule / 64], 1ULL << granule % 64, __ATOMIC_RELAXED);
}

static bool test_bit(unsigned int which, uint32_t page, uint32_t granule)
{
	return line_of(which, page)[granule / 64] >> granule % 64 & 1;
}

static bool is_zero(const char *p, size_t len)
{
	const uint64_t *w = (const uint64_t *)p;

	for (size_t i = 0; i < len / 8; i++)
		if (w[i])
			return false;
	return true;
}

/* A new object in a held span, in place of an old one, which is forgotten. */
static void new_object(struct mutator *m, const struct gcarena_span *s, uint32_t granule,
		       uint32_t bytes)
{
	struct object *o = &m->objects[roll(m, NR_OBJECTS)];

	if (o->seed && !object_intact(o))
		m->torn++;
	*o = (struct object) {
		.page = s->page, .npages = s->npages, .granule = granule, .bytes = bytes,
		.seed = __atomic_fetch_add(&next_seed, 1, __ATOMIC_RELAXED),
	};
	object_write(o);
	set_bit(s->generation & 1, s->page, granule);
}

/* Allocate in what is free of a span, some of it. */
static void use_span(struct mutator *m, const struct gcarena_span *s)
{
	uint32_t size = g_classes[s->span_class].elem_size;
	uint32_t count, i;

	m->spans++;
	if (!(s->flags & GCARENA_SPAN_NEEDS_ZERO) &&
	    !is_zero(g_addr(&arena, s->page), s->npages * PAGE))
		m->lies++;
	if (!size) {
		new_object(m, s, 0, 4096);
		return;
	}
	count = s->npages * PAGE / size;
	for (i = 0; i < count; i++) {
		uint32_t granule = i * size / GCARENA_GRANULE_SIZE;

		if (!test_bit(s->generation & 1, s->page, granule) && !roll(m, 8))
			new_object(m, s, granule, size);
	}
}

static void give_back(struct mutator *m, struct gcarena_span *s, uint32_t nr)
{
	if (nr && g_return(&arena, s, nr))
		m->errors++;
}

/* The span held over the flip: kept or returned, both are allowed. */
static void after_stop(struct mutator *m)
{
	struct gcarena_span *s = &m->held;
	uint32_t generation = arena.status->generation;

	if (!s->npages)
		return;
	if (roll(m, 2)) {
		for (uint32_t i = 0; i < s->npages; i++)
			memset(line_of(s->generation & 1, s->page + i), 0, GCARENA_LINE_SIZE);
		s->flags = GCARENA_SPAN_KEEP;
		give_back(m, s, 1);
		s->generation = generation;
		s->flags = GCARENA_SPAN_NEEDS_ZERO;
		use_span(m, s);
	}
	s->flags = 0;
	give_back(m, s, 1);
	s->npages = 0;
}

static void one_step(struct mutator *m)
{
	static const unsigned int classes[] = { C_16, C_64, C_1K, C_CHUNKY, C_LARGE, C_MANUAL };
	unsigned int cls = classes[roll(m, 20) ? roll(m, 3) : roll(m, 6)];
	uint32_t npages = cls >= C_LARGE ? 1 + roll(m, 400) : 0;
	struct gcarena_span s[8];
	int n, i;

	n = g_refill(&arena, cls, npages, s, npages ? 1 : 1 + roll(m, 8));
	if (n < 0) {
		if (n != -ENOMEM)
			m->errors++;
		return;
	}
	for (i = 0; i < n; i++) {
		if (cls == C_MANUAL)
			memset(g_addr(&arena, s[i].page), 0xaa, s[i].npages * PAGE);
		else
			use_span(m, &s[i]);
	}
	if (!m->held.npages && cls < C_LARGE)
		m->held = s[--n];
	give_back(m, s, n);
	if (!roll(m, 16))
		g_assist(&arena);
	i = roll(m, NR_OBJECTS);
	if (m->objects[i].seed && !object_intact(&m->objects[i]))
		m->torn++;
}

static void *mutate(void *arg)
{
	struct mutator *m = arg;

	for (;;) {
		if (stopping) {
			pthread_barrier_wait(&stop_begin);
			pthread_barrier_wait(&stop_end);
			if (finish)
				break;
			after_stop(m);
		}
		one_step(m);
	}
	return NULL;
}

/* Mutators stopped: mark what they remember, check what it says, flip. */
static int mark_and_flip(uint64_t *torn, uint64_t *lost)
{
	uint32_t generation = arena.status->generation;

	for (int i = 0; i < NR_MUTATORS; i++) {
		for (int k = 0; k < NR_OBJECTS; k++) {
			struct object *o = &mutators[i].objects[k];

			if (!o->seed)
				continue;
			*torn += !object_intact(o);
			*lost += !test_bit(generation & 1, o->page, o->granule) ||
				 !g_row_in_use(&arena, o->page);
			set_bit(!(generation & 1), o->page, o->granule);
		}
	}
	return g_start_sweep(&arena, generation);
}

static void *scavenge(void *arg)
{
	unsigned int turn = 0;

	while (!finish) {
		if (turn++ % 4)
			g_scavenge(&arena, 0, 4 * MIB);
		else
			g_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0);
		g_msleep(20);
	}
	return NULL;
}

static _Atomic unsigned long odd_sums;

static void *watch(void *arg)
{
	char path[64], buf[4096];
	struct gcarena_stats stats;

	snprintf(path, sizeof(path), DEBUGFS "/%u/spans", arena.setup.id);
	while (!finish) {
		struct gcarena_counters *c = &stats.counters;
		int fd = open(path, O_RDONLY);

		while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			;
		close(fd);
		g_stats(&arena, &stats);
		odd_sums += g_validate(arena.setup.id) != 0;
		odd_sums += c->heap_sys != c->heap_inuse + c->heap_idle ||
			    c->heap_released > c->heap_idle || c->spans_held > c->spans_inuse ||
			    c->chunks_idle > c->chunks_backed || c->heap_manual > c->heap_inuse;
		g_msleep(10);
	}
	return NULL;
}

static void finish_sweep(void)
{
	struct pollfd pfd = { .fd = arena.fd, .events = POLLIN };

	if (poll(&pfd, 1, 20000) != 1)
		bail("a sweep does not end: %llu left",
		     (unsigned long long)arena.status->sweep_left);
}

/* What is to have happened, on a machine that has little time for it, too. */
static bool much_swept(void)
{
	struct gcarena_stats stats;

	g_stats(&arena, &stats);
	return stats.counters.swept_spans > 100 && stats.counters.swept_freed > 10;
}

int main(void)
{
	uint64_t torn = 0, lost = 0, lies = 0, errors = 0, spans = 0;
	struct gcarena_policy policy = { .size = sizeof(policy), .retain_bytes = 8 * MIB };
	struct gcarena_policy_call call = {
		.size = sizeof(call), .flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)&policy,
	};
	pthread_t scavenger, watcher;
	struct gcarena_stats stats;
	time_t end = time(NULL) + SECONDS;
	unsigned int cycles = 0;

	g_open(&arena, SIZE);
	eq(g_ioctl(arena.fd, GCARENA_IOC_POLICY, &call), 0, "retain 8 MiB");
	pthread_barrier_init(&stop_begin, NULL, NR_MUTATORS + 1);
	pthread_barrier_init(&stop_end, NULL, NR_MUTATORS + 1);
	for (int i = 0; i < NR_MUTATORS; i++) {
		mutators[i].random = 77 + i;
		pthread_create(&mutators[i].thread, NULL, mutate, &mutators[i]);
	}
	pthread_create(&scavenger, NULL, scavenge, NULL);
	pthread_create(&watcher, NULL, watch, NULL);

	while (time(NULL) < end || cycles < MIN_CYCLES || !much_swept()) {
		g_msleep(100);
		stopping = true;
		pthread_barrier_wait(&stop_begin);
		errors += mark_and_flip(&torn, &lost) != 0;
		stopping = false;
		pthread_barrier_wait(&stop_end);
		finish_sweep();
		cycles++;
	}
	stopping = true;
	pthread_barrier_wait(&stop_begin);
	finish = true;
	pthread_barrier_wait(&stop_end);
	for (int i = 0; i < NR_MUTATORS; i++) {
		pthread_join(mutators[i].thread, NULL);
		if (mutators[i].held.npages)
			give_back(&mutators[i], &mutators[i].held, 1);
		torn += mutators[i].torn;
		lies += mutators[i].lies;
		errors += mutators[i].errors;
		spans += mutators[i].spans;
	}
	pthread_join(scavenger, NULL);
	pthread_join(watcher, NULL);
	g_stats(&arena, &stats);
	diag("%u cycles, %llu spans used, %llu swept, %llu freed, %llu bytes scavenged", cycles,
	     (unsigned long long)spans, (unsigned long long)stats.counters.swept_spans,
	     (unsigned long long)stats.counters.swept_freed,
	     (unsigned long long)stats.counters.scavenged_bytes);

	eq(torn, 0, "every object has its contents");
	eq(lost, 0, "every remembered object is allocated");
	eq(lies, 0, "what needs no zeroing is zero");
	eq(errors, 0, "every call did what it says");
	eq(odd_sums, 0, "the arena is valid, and its counters add up, at every moment");
	ok(much_swept(), "a good deal was swept");
	ok(stats.counters.scavenged_bytes > 0, "and scavenged");
	eq(stats.counters.spans_held, 0, "nothing is held at the end");

	/* Two cycles without a mark: all goes, whoever was where. */
	eq(g_start_sweep(&arena, arena.status->generation), 0, "a last flip");
	g_assist(&arena);
	finish_sweep();
	g_stats(&arena, &stats);
	eq(stats.counters.heap_inuse, stats.counters.heap_manual, "unmarked, all is free");
	eq(stats.counters.heap_manual, 0, "manual spans were returned");
	g_scavenge(&arena, GCARENA_SCAVENGE_ALL, 0);
	/* The worker, whose goal is near, may have the last one in its hands. */
	ok(g_wait_for(g_debugfs_stat(arena.setup.id, "mapping_bytes") == 0, 5000),
	   "and no memory is left");
	eq(g_debugfs_stat(arena.setup.id, "host_chunks_idle"), 0, "nor an idle chunk");
	g_close(&arena);
	return tap_done();
}
