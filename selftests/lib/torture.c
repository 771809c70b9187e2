// SPDX-License-Identifier: MIT
/*
 * Torture: a random graph that many threads change at once, and beside it a shadow
 * that knows what every object is to hold and what can be reached.
 *
 * The graph is cut into regions with a lock each; who changes an edge holds the
 * locks of both its ends, and changes heap and shadow together.  Every object that is
 * touched is compared; when all threads rest, everything that the shadow reaches is
 * compared, what it does not reach is counted, and weak references must say the same.
 *
 * Threads have precise or conservative stacks; the collector's steps are delayed at
 * random; cycles are minor ones in every other phase.  GCARENA_TEST_SEED repeats the
 * choices of each thread, if not how they interleave; the seed is in each result.
 * GCARENA_TORTURE_SECONDS is how long all of it takes; 3 at first.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

#define THREADS		4u
#define REGIONS		8u
#define ROOTS		6u	/* of a region */
#define EDGES		5u
#define WEAKS		16u	/* of a region */
/* Objects of a region's shadow, at which what cannot be reached is forgotten. */
#define REGION_MOST	1500u
#define PHASES		6u	/* of one configuration at least, a rest after each */
/* Nor longer than this: twins are forgotten at rests, and a full region grows no more. */
#define PHASE_MOST_NS	60000000u
/* Objects that a stack with conservative roots may keep beside those it holds. */
#define STRAY		64u

struct item;
#define ITEM_FIELDS(F)				\
	F(VAL, uint64_t, id)			\
	F(REFS, struct item, edge, EDGES)	\
	F(VAL, uint64_t, check)
GCA_STRUCT(item, ITEM_FIELDS);

/* The same by the kind's id, and larger. */
#define WIDE_FIELDS(F)				\
	F(VAL, uint64_t, id)			\
	F(REFS, struct item, edge, EDGES)	\
	F(VAL, uint64_t, check)			\
	F(VALS, uint64_t, pad, 90)
GCA_STRUCT(wide, WIDE_FIELDS);

/* What is to be.  Never in the heap's sight: addresses are complemented. */
struct twin {
	struct twin *next;	/* of the region's */
	uintptr_t hidden;
	uint64_t id;
	struct twin *edge[EDGES];
	uint32_t region;
	bool reached;
};

struct region {
	pthread_mutex_t lock;
	struct twin *twins;
	size_t nr;
	struct twin *roots[ROOTS];
	struct twin *weak[WEAKS];
	uintptr_t weak_hidden[WEAKS];	/* of a target that the shadow has forgotten */
};

static struct region regions[REGIONS];
static GCA_REF(struct item) roots[REGIONS][ROOTS];
static gca_ref weaks[REGIONS][WEAKS];

struct worker {
	struct gca_heap *heap;
	unsigned int number;
	unsigned int flags;
	struct rng rng;
	size_t operations;
	size_t wrong;
	pthread_t thread;
};

static pthread_barrier_t rest;
static uint32_t phase_over;
static bool done;
static uint64_t seed_used;
static uint32_t delays;		/* per thousand of the steps */

static struct item *item_of(const struct twin *twin)
{
	return twin ? (struct item *)~twin->hidden : NULL;
}

static uint64_t check_of(uint64_t id)
{
	return id * 0x9e3779b97f4a7c15ull ^ 0x5bd1e995;
}

static bool is_right(const struct twin *twin)
{
	const struct item *item = item_of(twin);

	if (item->id != twin->id || item->check != check_of(twin->id))
		return false;
	for (unsigned int i = 0; i < EDGES; i++)
		if (gca_load(&item->edge[i]) != item_of(twin->edge[i]))
			return false;
	return true;
}

/* Delays of the collector, and of stores: what its steps leave open is long open. */
static void delay(struct gca_heap *heap, enum gca_stage stage)
{
	static __thread uint64_t state;

	if (!state)
		state = ((uint64_t)(uintptr_t)&state ^ seed_used << 20) | 1;
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	if ((state >> 20) % 1000 >= delays)
		return;
	if (state >> 40 & 3)
		sched_yield();
	else if (stage < GCA_STAGE_STORING)
		usleep((useconds_t)(state >> 44 & 255));
}

/* ------------------------------------------------------------- the regions */

/* The locks of both, in order; others' safepoints are not waited for meanwhile. */
static void lock_regions(struct gca_mutator *m, unsigned int a, unsigned int b)
{
	unsigned int first = a < b ? a : b, second = a < b ? b : a;

	if (pthread_mutex_trylock(&regions[first].lock)) {
		gca_blocking_begin(m);
		pthread_mutex_lock(&regions[first].lock);
		gca_blocking_end(m);
	}
	if (second != first && pthread_mutex_trylock(&regions[second].lock)) {
		gca_blocking_begin(m);
		pthread_mutex_lock(&regions[second].lock);
		gca_blocking_end(m);
	}
}

static void unlock_regions(unsigned int a, unsigned int b)
{
	if (a != b)
		pthread_mutex_unlock(&regions[b].lock);
	pthread_mutex_unlock(&regions[a].lock);
}

/* A twin of the region that the program could find: from a root, along some edges
 * inside of the region.
 */
static struct twin *wander(struct worker *worker, unsigned int region)
{
	struct twin *twin = regions[region].roots[rng_below(&worker->rng, ROOTS)];
	unsigned int steps = (unsigned int)rng_below(&worker->rng, 10);

	while (twin && steps--) {
		struct twin *next = twin->edge[rng_below(&worker->rng, EDGES)];

		if (next && next->region == region)
			twin = next;
	}
	return twin;
}

static struct twin *make(struct worker *worker, struct gca_mutator *m, unsigned int region,
			 struct twin *edge, struct item **item)
{
	struct twin *twin = calloc(1, sizeof(*twin));

	if (!twin)
		bail("no memory");
	twin->id = rng_next(&worker->rng);
	twin->region = region;
	*item = rng_below(&worker->rng, 6) ? must(gca_new(m, item)) : must(gca_new(m, wide));
	(*item)->id = twin->id;
	(*item)->check = check_of(twin->id);
	/* No safepoint since: it is fresh. */
	if (edge)
		gca_init(m, &(*item)->edge[0], item_of(edge));
	twin->edge[0] = edge;
	twin->hidden = ~(uintptr_t)*item;
	twin->next = regions[region].twins;
	regions[region].twins = twin;
	regions[region].nr++;
	return twin;
}

/* As the program asks for it; or as the pacer does, which may have a minor cycle. */
static void collect(struct worker *worker, struct gca_mutator *m)
{
	RUNTIME();
	uint64_t cycle;

	if (worker->heap->mode != GCA_MODE_CONCURRENT || rng_below(&worker->rng, 4) == 0) {
		gca_collect(m);
		return;
	}
	cycle = concurrent_request(worker->heap);
	concurrent_wait(m, cycle, UINT64_MAX);
}

static NOINLINE void operate(struct worker *worker, struct gca_mutator *m)
{
	unsigned int a = (unsigned int)rng_below(&worker->rng, REGIONS);
	unsigned int b = (unsigned int)rng_below(&worker->rng, REGIONS);
	unsigned int slot = (unsigned int)rng_below(&worker->rng, EDGES);
	unsigned int root = (unsigned int)rng_below(&worker->rng, ROOTS);
	struct twin *from, *to, *twin;

	GCA_FRAME(m, f, struct item *item; struct item *old; struct gca_weak *weak);
	lock_regions(m, a, b);
	from = wander(worker, a);
	to = wander(worker, b);
	if (from && !is_right(from))
		worker->wrong++;
	if (to && !is_right(to))
		worker->wrong++;
	f.item = item_of(from);
	switch (rng_below(&worker->rng, 16)) {
	case 0:
	case 1:
	case 2:
		/* A new one before the root's. */
		if (regions[a].nr >= REGION_MOST)
			break;
		from = regions[a].roots[root];
		twin = make(worker, m, a, from, &f.item);
		gca_store(m, &roots[a][root], f.item);
		regions[a].roots[root] = twin;
		break;
	case 3:
	case 4:
		/* A new one at an edge. */
		if (!from || regions[b].nr >= REGION_MOST)
			break;
		twin = make(worker, m, b, to, &f.old);
		gca_store(m, &f.item->edge[slot], f.old);
		from->edge[slot] = twin;
		break;
	case 5:
	case 6:
	case 7:
		if (!from)
			break;
		gca_store(m, &f.item->edge[slot], item_of(to));
		from->edge[slot] = to;
		break;
	case 8:
		if (!from)
			break;
		if (gca_exchange(m, &f.item->edge[slot], item_of(to)) !=
		    item_of(from->edge[slot]))
			worker->wrong++;
		from->edge[slot] = to;
		break;
	case 9:
		if (!from)
			break;
		if (!gca_compare_exchange(m, &f.item->edge[slot], item_of(from->edge[slot]),
					  item_of(to)))
			worker->wrong++;
		from->edge[slot] = to;
		break;
	case 10:
		if (!from || rng_below(&worker->rng, 4))
			break;
		gca_clear_refs(m, f.item->edge, EDGES);
		memset(from->edge, 0, sizeof(from->edge));
		break;
	case 11:
		if (!from || !to)
			break;
		gca_copy_refs(m, f.item->edge, item_of(to)->edge, EDGES);
		memmove(from->edge, to->edge, sizeof(from->edge));
		break;
	case 12:
		if (rng_below(&worker->rng, 8))
			break;
		gca_store(m, &roots[a][root], NULL);
		regions[a].roots[root] = NULL;
		break;
	case 13:
		/* The only path to it leads over this thread's hands for a while. */
		twin = regions[a].roots[root];
		f.item = gca_load(&roots[a][root]);
		gca_store(m, &roots[a][root], NULL);
		regions[a].roots[root] = NULL;
		if (rng_below(&worker->rng, 4) == 0)
			collect(worker, m);
		else
			gca_safepoint(m);
		slot = (unsigned int)rng_below(&worker->rng, ROOTS);
		gca_store(m, &roots[a][slot], f.item);
		regions[a].roots[slot] = twin;
		break;
	case 14:
		if (!to)
			break;
		root = (unsigned int)rng_below(&worker->rng, WEAKS);
		f.item = item_of(to);
		f.weak = gca_weak_new(m, f.item);
		gca_store(m, &weaks[a][root], (void *)f.weak);
		regions[a].weak[root] = to;
		break;
	default:
		root = (unsigned int)rng_below(&worker->rng, WEAKS);
		f.weak = (struct gca_weak *)gca_load(&weaks[a][root]);
		if (!f.weak)
			break;
		f.item = gca_weak_get(m, f.weak);
		/* Either gone, or whole. */
		if (f.item && f.item->check != check_of(f.item->id))
			worker->wrong++;
		break;
	}
	unlock_regions(a, b);
	worker->operations++;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m = attach(worker->heap, worker->flags);

	for (;;) {
		while (!__atomic_load_n(&phase_over, __ATOMIC_ACQUIRE)) {
			operate(worker, m);
			if (rng_below(&worker->rng, 500) == 0) {
				gca_detach(m);
				m = attach(worker->heap, worker->flags);
			}
		}
		gca_blocking_begin(m);
		pthread_barrier_wait(&rest);
		pthread_barrier_wait(&rest);
		gca_blocking_end(m);
		if (__atomic_load_n(&done, __ATOMIC_ACQUIRE))
			break;
	}
	gca_detach(m);
	return NULL;
}

/* --------------------------------------------------------------- the shadow */

static size_t reach(void)
{
	static struct twin *stack[REGIONS * (REGION_MOST + THREADS) * 2];
	size_t depth = 0, nr = 0;

	for (unsigned int r = 0; r < REGIONS; r++)
		for (struct twin *twin = regions[r].twins; twin; twin = twin->next)
			twin->reached = false;
	for (unsigned int r = 0; r < REGIONS; r++) {
		for (unsigned int i = 0; i < ROOTS; i++) {
			struct twin *root = regions[r].roots[i];

			if (root && !root->reached) {
				root->reached = true;
				stack[depth++] = root;
			}
		}
	}
	while (depth) {
		struct twin *twin = stack[--depth];

		nr++;
		for (unsigned int i = 0; i < EDGES; i++) {
			struct twin *to = twin->edge[i];

			if (to && !to->reached) {
				to->reached = true;
				stack[depth++] = to;
			}
		}
	}
	return nr;
}

/* Weak references to what is reached, and to what is not, after a cycle. */
static void check_weaks(struct gca_mutator *m, size_t *wrong, size_t *kept, size_t *boxes)
{
	for (unsigned int r = 0; r < REGIONS; r++) {
		for (unsigned int i = 0; i < WEAKS; i++) {
			struct gca_weak *weak = (struct gca_weak *)gca_load(&weaks[r][i]);
			struct twin *twin = regions[r].weak[i];
			void *target;

			if (!weak)
				continue;
			++*boxes;
			target = gca_weak_get(m, weak);
			if (twin && twin->reached)
				*wrong += target != (void *)item_of(twin);
			else
				*kept += !!target;
		}
	}
}

static void forget(struct twin *twin)
{
	for (unsigned int r = 0; r < REGIONS; r++)
		for (unsigned int i = 0; i < WEAKS; i++)
			if (regions[r].weak[i] == twin)
				regions[r].weak[i] = NULL;
}

static void prune(void)
{
	for (unsigned int r = 0; r < REGIONS; r++) {
		struct twin **link = &regions[r].twins;

		while (*link) {
			struct twin *twin = *link;

			if (twin->reached) {
				link = &twin->next;
				continue;
			}
			*link = twin->next;
			forget(twin);
			regions[r].nr--;
			free(twin);
		}
	}
}

struct found {
	size_t reached;
	size_t wrong;		/* contents or weak references */
	size_t lost;
	size_t stray;		/* kept, and not reached */
};

static NOINLINE void compare(struct gca_mutator *m, struct found *found)
{
	size_t live, reached = reach(), boxes = 0, kept = 0;

	/* Once for what floats, once to count. */
	if (gca_collect(m) || gca_collect(m))
		bail("gca_collect: %s", gca_error());
	live = stats_of(gca_heap_of(m)).heap_live_objects;
	for (unsigned int r = 0; r < REGIONS; r++) {
		for (struct twin *twin = regions[r].twins; twin; twin = twin->next) {
			size_t size;

			if (!twin->reached)
				continue;
			if (gca_object_of(gca_heap_of(m), item_of(twin), &size) != item_of(twin))
				found->lost++;
			else if (!is_right(twin))
				found->wrong++;
		}
	}
	check_weaks(m, &found->wrong, &kept, &boxes);
	found->reached += reached;
	if (live < reached + boxes)
		found->lost += reached + boxes - live;
	else
		found->stray += live - reached - boxes;
	found->stray += kept;
	prune();
}

/* ----------------------------------------------------------- configurations */

struct setting {
	const char *name;
	const char *debug;	/* GCARENA_DEBUG */
	enum gca_mode mode;
	int percent;
	bool precise;		/* all of them: what is kept is exact */
	bool signals;		/* every handshake by one, where possible */
	uint32_t delays;
};

static const struct setting settings[] = {
	{ "concurrent", NULL, GCA_MODE_CONCURRENT, 20, true, false, 0 },
	{ "delayed", NULL, GCA_MODE_CONCURRENT, 50, true, false, 300 },
	{ "by signal", NULL, GCA_MODE_CONCURRENT, 50, false, true, 50 },
	{ "verify", "verify=1", GCA_MODE_CONCURRENT, 50, true, false, 100 },
	{ "poison and shadow", "poison=1,shadow=1", GCA_MODE_CONCURRENT, 50, true, false, 100 },
	{ "stress", "stress=1", GCA_MODE_CONCURRENT, 100, false, false, 20 },
	{ "stopped", NULL, GCA_MODE_STOP_THE_WORLD, 20, true, false, 0 },
	{ "stopped, stress", "stress=1,verify=1", GCA_MODE_STOP_THE_WORLD, 100, true, false, 0 },
};

static void clear_all(void)
{
	for (unsigned int r = 0; r < REGIONS; r++) {
		memset(regions[r].roots, 0, sizeof(regions[r].roots));
		memset(regions[r].weak, 0, sizeof(regions[r].weak));
	}
	reach();
	prune();
}

static void torture(const struct setting *setting, uint64_t ns, uint64_t salt)
{
	struct gca_heap *heap = open_debug(setting->debug, setting->mode, setting->percent);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct worker workers[THREADS];
	uint64_t phase_ns = ns / PHASES < PHASE_MOST_NS ? ns / PHASES : PHASE_MOST_NS;
	uint64_t phases = ns / phase_ns;
	struct found found = { 0 };
	size_t operations = 0, stray;

	if (setting->signals)
		heap->late_ns = 0;
	delays = setting->delays;
	__atomic_store_n(&gca_stage_hook, delays ? delay : NULL, __ATOMIC_RELEASE);
	gca_root_add(heap, roots, sizeof(roots));
	gca_root_add(heap, weaks, sizeof(weaks));
	pthread_barrier_init(&rest, NULL, THREADS + 1);
	done = false;
	phase_over = 0;
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.heap = heap, .number = i, .rng = rng_seeded(salt * 100 + i),
			.flags = setting->precise || i % 2 ? GCA_STACK_PRECISE :
							     GCA_STACK_CONSERVATIVE,
		};
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			bail("pthread_create");
	}
	for (uint64_t phase = 0; phase < phases; phase++) {
		uint64_t until = clock_ns() + phase_ns;

		/* In every other phase with minor cycles, wherever there can be one. */
		gca_set_generations(heap, phase & 1 ? GCA_GENERATIONS_ON : GCA_GENERATIONS_OFF);
		gca_blocking_begin(m);
		while (clock_ns() < until)
			usleep(1000);
		__atomic_store_n(&phase_over, 1, __ATOMIC_RELEASE);
		pthread_barrier_wait(&rest);
		gca_blocking_end(m);
		compare(m, &found);
		__atomic_store_n(&phase_over, 0, __ATOMIC_RELEASE);
		if (phase == phases - 1)
			__atomic_store_n(&done, true, __ATOMIC_RELEASE);
		gca_blocking_begin(m);
		pthread_barrier_wait(&rest);
		gca_blocking_end(m);
	}
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		operations += workers[i].operations;
		found.wrong += workers[i].wrong;
	}
	gca_blocking_end(m);
	stray = setting->precise ? 0 : (size_t)phases * THREADS * STRAY;
	eq(found.lost + found.wrong, 0,
	   "%s: seed %llu, %zu operations, %llu cycles (%llu minor), %zu reached: %zu lost, %zu wrong",
	   setting->name, (unsigned long long)seed_used, operations,
	   (unsigned long long)stats_of(heap).num_gc,
	   (unsigned long long)stats_of(heap).minor_gc, found.reached, found.lost, found.wrong);
	/* A slow machine gets nowhere with a cycle at each step. */
	ok(found.reached >= phases || operations < 1000, "there was something to lose");
	ok(found.stray <= stray, "and no more than those is kept: %zu", found.stray);
	eq(reports.count, 0, "nothing to report %s", reports.text);
	__atomic_store_n(&gca_stage_hook, NULL, __ATOMIC_RELEASE);
	gca_root_remove(heap, roots);
	gca_root_remove(heap, weaks);
	pthread_barrier_destroy(&rest);
	clear_all();
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	const char *text = getenv("GCARENA_TORTURE_SECONDS");
	const char *seed = getenv("GCARENA_TEST_SEED");
	uint64_t seconds = text ? strtoull(text, NULL, 10) : 0;
	uint64_t ns = (seconds ? seconds * 1000000000 : scaled(3000) * 1000000ull) /
		      ARRAY_SIZE(settings);
	/* Not all of the time in one heap. */
	const uint64_t most = 20 * 1000000000ull;
	uint64_t rounds = (ns + most - 1) / most;

	seed_used = seed ? strtoull(seed, NULL, 0) : 1;
	for (unsigned int r = 0; r < REGIONS; r++)
		pthread_mutex_init(&regions[r].lock, NULL);
	for (uint64_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
			torture(&settings[i], ns / rounds, round * ARRAY_SIZE(settings) + i);
	return tap_done();
}
