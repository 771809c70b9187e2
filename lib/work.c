// SPDX-License-Identifier: MIT
/*
 * Marking by several threads: who has which grey objects, and when none is left.
 *
 * Each worker marks from a stack of its own.  The pool, under work->lock, is where
 * grey objects go from one thread to another: a worker that has many gives some
 * when the pool runs low, whoever has none takes from it, and mutators put there
 * what they have marked.  work->busy counts the threads that may hold grey objects
 * outside the pool; it changes only under the lock, together with the taking.  So
 * "pool empty and nobody busy", seen under the lock, means that nothing is grey but
 * what mutators have in their buffers, and those are asked in rounds.
 *
 * Worker 0 is the thread that runs the cycle: the heap's collector, or in a stop
 * the mutator whose world it is.  The others are made when they are first needed,
 * and sleep while there is nothing to take or no CPU for them: a concurrent
 * cycle has a share of the CPUs, whole ones and one in time slices, a stopped one
 * all of them.  A mutator that waits for the cycle gives its CPU.  Workers without a
 * share mark on CPUs that nobody wants (idle.c), a short time for each asking.
 *
 * The pool itself, and what mutators do of all this, is in grey.c.
 */
#include "mark.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

/* Bytes scanned between two looks at what others need, and the clock: 10 us. */
#define TICK_WORK	(16 * KIB)
/* Entries that one thread takes at a time, at most half of what there is: of objects that
 * lead to nothing some 15 us.
 */
#define TAKE_MAX	256u
/* In a stop a worker gives when the pool has fewer entries and it has twice that itself, the
 * oldest half of its own up to GIVE_MAX: those lead to most.
 */
#define POOL_LOW	64u
#define GIVE_MAX	1024u
/* Beside mutators it gives all but a few as long as the pool has fewer: a worker may lose
 * its CPU at any time and for long, and mutators have to assist meanwhile.  So many 64-byte
 * objects are a millisecond without what they lead to.
 */
#define POOL_BESIDE	4096u
#define KEEP_BESIDE	64u
/* Given before a sleep: others may need all of it, but not wait for the copy. */
#define GIVE_SLEEP	4096u
/* Kept mapped from cycle to cycle; the rest goes back. */
#define STACK_KEEP	(1 * MIB)
/* Slots of registered ranges between two chances for others to take world. */
#define RANGE_PIECE	1024u
/* Trace callbacks and reports run on it. */
#define WORKER_STACK	(1 * MIB)
/* CPU time that a worker with a part of a CPU uses between two sleeps: short beside
 * the 10 ms in which utilisation is felt, long beside a sleep's own cost.
 */
#define SLICE_NS	(500 * 1000u)
/* What it may catch up on when it was kept from its CPU. */
#define BEHIND_NS	(5 * 1000 * 1000u)
#define MILLE		1000u
/* Bytes scanned for each idle CPU that was granted: half a millisecond. */
#define IDLE_WORK	(50 * (int64_t)TICK_WORK)
/* Workers beyond the share, at most: a small heap on a large machine. */
#define IDLE_WORKERS	8u

struct worker {
	struct marker marker;	/* first */
	struct work *work;
	unsigned int index;
	bool idle;		/* it has no share, but an idle CPU for a while */
	int64_t idle_left;	/* bytes that it may still scan there */
	bool small;		/* it marks for one tick */
	bool spent;		/* that is over */
	uint32_t quota;		/* thousandths of a CPU, as of the times below */
	uint64_t began;		/* ns */
	uint64_t cpu_began;
	uint64_t looked;
	uint64_t cpu_counted;	/* CPU time that is in work->cpu_ns */
	struct mark_stack stack;
	uint32_t marked[SPAN_CLASSES_MAX];
};

static unsigned int cpus_allowed(void)
{
	cpu_set_t set;
	int count = 0;

	if (!sched_getaffinity(0, sizeof(set), &set))
		count = CPU_COUNT(&set);
	return count > 0 ? (unsigned int)count : 1;
}

/* ------------------------------------------------------------------ shares */

/* Thousandths of a CPU that all workers may use together. */
static uint32_t share_of(const struct work *work)
{
	uint32_t waiters = __atomic_load_n(&work->waiters, __ATOMIC_RELAXED);
	uint32_t all = work->workers_max * MILLE;
	uint32_t share;

	if (__atomic_load_n(&work->stopped, __ATOMIC_RELAXED) || waiters >= work->workers_max)
		return all;
	share = __atomic_load_n(&work->cpus, __ATOMIC_RELAXED) * MILLE / 100 * work->share;
	share += waiters * MILLE;
	return share < all ? share : all;
}

static uint32_t quota_of(const struct work *work, unsigned int index)
{
	uint32_t share = share_of(work);

	if (share <= index * MILLE)
		return 0;
	share -= index * MILLE;
	return share < MILLE ? share : MILLE;
}

static void count_cpu(struct worker *worker)
{
	uint64_t cpu = thread_cpu_ns();
	struct work *work = worker->work;

	__atomic_add_fetch(worker->idle ? &work->idle_ns : &work->cpu_ns,
			   cpu - worker->cpu_counted, __ATOMIC_RELAXED);
	worker->cpu_counted = cpu;
}

static void quota_begin(struct worker *worker, uint32_t quota)
{
	worker->quota = quota;
	worker->began = now_ns();
	worker->looked = worker->began;
	worker->cpu_began = thread_cpu_ns();
	worker->cpu_counted = worker->cpu_began;
}

/* ---------------------------------------------------------------- workers */

/* @nr of the oldest entries, if others may want them; the pool need not take them. */
static void give(struct worker *worker, size_t low, size_t nr, size_t max)
{
	struct mark_stack *stack = worker->marker.stack;
	struct work *work = worker->work;

	if (!nr || __atomic_load_n(&work->pool.nr, __ATOMIC_RELAXED) >= low)
		return;
	if (nr > max)
		nr = max;
	grey_lock(work);
	if (grey_add(work, &stack->entries[stack->low], nr))
		stack->low += nr;
	grey_unlock(work);
}

/* A worker with a part of a CPU sleeps when it has used that. */
static void throttle(struct worker *worker)
{
	struct work *work = worker->work;
	uint32_t quota = quota_of(work, worker->index);
	uint64_t now, cpu, due;
	struct timespec until;

	if (quota != worker->quota) {
		count_cpu(worker);
		quota_begin(worker, quota);
	}
	if (quota >= MILLE)
		return;
	now = now_ns();
	if (now - worker->looked < SLICE_NS)
		return;
	worker->looked = now;
	cpu = thread_cpu_ns() - worker->cpu_began;
	/* None is left: what it still has it gives in slices, and sleeps long. */
	due = worker->began + cpu * MILLE / (quota ? quota : 1);
	if (due <= now) {
		if (now - due > BEHIND_NS)
			worker->began += now - due - BEHIND_NS;
		return;
	}
	give(worker, SIZE_MAX, stack_left(worker->marker.stack), GIVE_SLEEP);
	until.tv_sec = (time_t)(due / NSEC_PER_SEC);
	until.tv_nsec = (long)(due % NSEC_PER_SEC);
	grey_lock(work);
	if (quota_of(work, worker->index) == quota)
		pthread_cond_timedwait(&work->hurry, &work->lock, &until);
	grey_unlock(work);
	worker->looked = now_ns();
}

static void note_scanned(struct worker *worker)
{
	struct marker *marker = &worker->marker;
	int64_t scanned = (int64_t)TICK_WORK - marker->left;

	__atomic_add_fetch(&worker->work->scanned, (uint64_t)scanned, __ATOMIC_RELAXED);
	__atomic_add_fetch(&worker->work->credit, scanned, __ATOMIC_RELAXED);
	worker->idle_left -= scanned;
	marker->left = TICK_WORK;
}

static bool worker_tick(struct marker *marker)
{
	struct worker *worker = (struct worker *)marker;

	size_t own = stack_left(marker->stack);

	note_scanned(worker);
	if (worker->small) {
		worker->spent = true;
		return false;
	}
	if (!__atomic_load_n(&worker->work->stopped, __ATOMIC_RELAXED))
		give(worker, POOL_BESIDE, own > KEEP_BESIDE ? own - KEEP_BESIDE : 0, GIVE_MAX);
	else if (own >= 2 * POOL_LOW)
		give(worker, POOL_LOW, own / 2, GIVE_MAX);
	if (worker->idle)
		return worker->idle_left > 0;
	throttle(worker);
	return true;
}

static void worker_begin(struct worker *worker, struct gca_heap *heap, struct mark_stack *stack,
			 unsigned int index)
{
	memset(worker->marked, 0, sizeof(worker->marked));
	marker_init(&worker->marker, heap, stack, worker->marked);
	worker->marker.tick = worker_tick;
	worker->marker.left = TICK_WORK;
	worker->work = &heap->work;
	worker->index = index;
	worker->idle = false;
	worker->idle_left = 0;
	worker->small = false;
	worker->spent = false;
	quota_begin(worker, quota_of(worker->work, index));
}

/* The lock held. */
static void fold(struct worker *worker)
{
	struct marker *marker = &worker->marker;
	struct work *work = worker->work;

	work->result.bytes += marker->result.bytes;
	work->result.objects += marker->result.objects;
	work->result.scanned += marker->result.scanned;
	memset(&marker->result, 0, sizeof(marker->result));
	class_marked(marker->heap, worker->marked);
	note_scanned(worker);
	work->pool.overflow |= marker->stack->overflow;
	marker->stack->overflow = false;
	count_cpu(worker);
}

struct root_job {
	struct gca_mutator *mutator;
	void *const *slots;
	size_t nr;
};

/* The lock held, in a stop: something that nobody else has taken. */
static bool take_root(struct gca_heap *heap, struct root_job *job)
{
	struct work *work = &heap->work;

	memset(job, 0, sizeof(*job));
	if (!work->roots_left)
		return false;
	job->mutator = work->next_mutator;
	if (job->mutator) {
		work->next_mutator = job->mutator->next;
		return true;
	}
	job->nr = roots_next_piece(heap, &work->next_range, RANGE_PIECE, &job->slots);
	work->roots_left = job->nr;
	return job->nr;
}

static void visit_root(struct marker *marker, const struct root_job *job)
{
	if (job->mutator)
		roots_visit_mutator(job->mutator, &marker->visitor);
	else
		marker->visitor.slots(&marker->visitor, job->slots, job->nr);
}

/* The lock held, and again when it returns: takes something and drains it.  False:
 * there was nothing.
 */
static bool work_once(struct worker *worker)
{
	struct marker *marker = &worker->marker;
	struct work *work = worker->work;
	size_t own = stack_left(marker->stack);
	struct root_job job;
	bool root;

	root = take_root(marker->heap, &job);
	if (!root && !own && !work->pool.nr)
		return false;
	if (!root && !own) {
		if (marker->stack->max < TAKE_MAX && !stack_grow(marker->stack)) {
			/* Not one entry of memory: the walk will find them. */
			grey_lose(work, work->pool.entries, work->pool.nr);
			work->pool.nr = 0;
			return true;
		}
		grey_take(work, marker->stack, TAKE_MAX);
	}
	work->busy++;
	grey_unlock(work);
	if (root)
		visit_root(marker, &job);
	marker_drain(marker);
	grey_lock(work);
	/* Its time on an idle CPU was over. */
	own = stack_left(marker->stack);
	if (own && !grey_add(work, &marker->stack->entries[marker->stack->low], own))
		work->pool.overflow = true;
	if (own) {
		marker->stack->nr = 0;
		marker->stack->low = 0;
	}
	work->busy--;
	fold(worker);
	if (!work->busy && !work->pool.nr && !work->roots_left)
		pthread_cond_broadcast(&work->changed);
	return true;
}

/* The lock held. */
static bool may_idle(const struct work *work, const struct helper *self)
{
	return self->place >= 0 && !work->stopped &&
	       __atomic_load_n(&work->idle_on, __ATOMIC_RELAXED);
}

/* There is something else for those who wait for an idle CPU. */
static void release_helpers(struct work *work)
{
	unsigned int i, nr = __atomic_load_n(&work->nr_helpers, __ATOMIC_ACQUIRE);

	for (i = 0; i < nr; i++)
		idle_release(work->helpers[i].place);
}

/* The lock held: until there may be something to do for a helper. */
static void wait_for_work(struct work *work, bool may, bool idle)
{
	uint32_t *waiting = idle ? &work->waiting_idle : &work->waiting;

	/* Without a CPU it is not for what is given that it waits. */
	*waiting += may || idle;
	pthread_cond_wait(idle ? &work->plenty : &work->changed, &work->lock);
	*waiting -= may || idle;
}

/* The lock held: there is something else for helpers to look at than what is given. */
static void wake_helpers(struct work *work)
{
	pthread_cond_broadcast(&work->changed);
	pthread_cond_broadcast(&work->plenty);
}

static void *helper(void *arg)
{
	struct helper *self = arg;
	struct gca_heap *heap = self->heap;
	struct work *work = &heap->work;
	struct mark_stack stack = { 0 };
	struct worker worker;
	bool may, idle, begun = false;
	int64_t idle_left = 0;

	grey_lock(work);
	while (!work->quit) {
		may = work->open && quota_of(work, self->index);
		idle = work->open && !may && may_idle(work, self);
		if (!(may || idle) ||
		    !(work->roots_left || work->pool.nr >= (idle ? IDLE_LEAST : 1))) {
			wait_for_work(work, may, idle);
			begun = false;
			idle_left = 0;
			continue;
		}
		if (idle && idle_left <= 0) {
			grey_unlock(work);
			idle_await(self->place);
			grey_lock(work);
			begun = false;
			idle_left = IDLE_WORK;
			continue;
		}
		if (!begun)
			worker_begin(&worker, heap, &stack, self->index);
		begun = true;
		worker.idle = idle;
		worker.idle_left = idle_left;
		work_once(&worker);
		idle_left = worker.idle_left;
		if (stack.max * sizeof(*stack.entries) > STACK_KEEP)
			stack_drop(&stack);
		__atomic_store_n(&self->bytes, stack.max * sizeof(*stack.entries),
				 __ATOMIC_RELAXED);
	}
	grey_unlock(work);
	stack_drop(&stack);
	return NULL;
}

/* The program's signals are not for these threads. */
static bool make_helper(struct gca_heap *heap)
{
	struct work *work = &heap->work;
	struct helper *self = &work->helpers[work->nr_helpers];

	self->heap = heap;
	self->index = work->nr_helpers + 1;
	self->place = heap->mode == GCA_MODE_CONCURRENT ? idle_join() : -1;
	if (thread_start(&self->thread, "gca-mark", WORKER_STACK, helper, self)) {
		idle_leave(self->place);
		return false;
	}
	__atomic_store_n(&work->nr_helpers, work->nr_helpers + 1, __ATOMIC_RELEASE);
	return true;
}

/* Not with the world stopped: it takes locks of the C library. */
static void make_helpers(struct gca_heap *heap)
{
	struct work *work = &heap->work;
	uint32_t want;

	want = (share_of(work) + MILLE - 1) / MILLE;
	if (heap->mode == GCA_MODE_CONCURRENT && __atomic_load_n(&work->idle_on, __ATOMIC_RELAXED))
		want += IDLE_WORKERS;
	if (want > work->workers_max)
		want = work->workers_max;
	while (!work->refused && work->nr_helpers + 1 < want)
		work->refused = !make_helper(heap);
}

/**
 * thread_start - start a thread of the library's own, all signals blocked
 * @thread: out
 * @name: what ps, perf and gdb call it; 15 bytes
 * @stack: bytes
 * @fn: what it runs
 * @arg: for it
 *
 * Return: 0 or an errno.
 */
int thread_start(pthread_t *thread, const char *name, size_t stack, void *(*fn)(void *),
		 void *arg)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_attr_init(&attr);
	if (!error) {
		pthread_attr_setstacksize(&attr, stack);
		error = pthread_create(thread, &attr, fn, arg);
		pthread_attr_destroy(&attr);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!error)
		pthread_setname_np(*thread, name);
	return error;
}

/**
 * work_open - what a heap needs to be marked, but no thread yet
 * @heap: the heap, not shared yet
 * @workers: threads that mark at most; 0: one for each CPU
 * @share: per cent of the CPUs that concurrent marking may use; 0: the default
 */
void work_open(struct gca_heap *heap, unsigned int workers, unsigned int share)
{
	struct work *work = &heap->work;
	pthread_condattr_t attr;

	pthread_mutex_init(&work->lock, NULL);
	pthread_cond_init(&work->changed, NULL);
	pthread_cond_init(&work->plenty, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&work->hurry, &attr);
	pthread_condattr_destroy(&attr);
	work->cpus = cpus_allowed();
	work->workers_max = workers ? workers : work->cpus;
	if (work->workers_max > WORKERS_MAX)
		work->workers_max = WORKERS_MAX;
	work->share = share ? share : SHARE_DEFAULT;
	work->idle_on = true;
}

/**
 * work_close - end the workers
 * @heap: the heap, not being marked; not in a child of fork()
 */
void work_close(struct gca_heap *heap)
{
	struct work *work = &heap->work;
	unsigned int i;

	grey_lock(work);
	work->quit = true;
	wake_helpers(work);
	grey_unlock(work);
	release_helpers(work);
	for (i = 0; i < work->nr_helpers; i++) {
		pthread_join(work->helpers[i].thread, NULL);
		idle_leave(work->helpers[i].place);
	}
	work->nr_helpers = 0;
	work_trim(heap);
}

/**
 * work_trim - give the stacks of marking back
 * @heap: the heap, not being marked
 */
void work_trim(struct gca_heap *heap)
{
	stack_drop(&heap->mark_stack);
	stack_drop(&heap->work.pool);
}

/**
 * work_bytes - memory that marking holds
 * @heap: the heap
 */
uint64_t work_bytes(struct gca_heap *heap)
{
	struct work *work = &heap->work;
	uint64_t bytes;
	unsigned int i;

	bytes = (__atomic_load_n(&heap->mark_stack.max, __ATOMIC_RELAXED) +
		 __atomic_load_n(&work->pool.max, __ATOMIC_RELAXED)) * sizeof(uint64_t);
	for (i = 0; i < ARRAY_SIZE(work->helpers); i++)
		bytes += __atomic_load_n(&work->helpers[i].bytes, __ATOMIC_RELAXED);
	return bytes;
}

/**
 * work_wait_begin - a mutator waits for the cycle: its CPU is the workers'
 * @heap: the heap
 */
void work_wait_begin(struct gca_heap *heap)
{
	struct work *work = &heap->work;

	grey_lock(work);
	__atomic_store_n(&work->waiters, work->waiters + 1, __ATOMIC_RELAXED);
	pthread_cond_broadcast(&work->hurry);
	wake_helpers(work);
	grey_unlock(work);
	release_helpers(work);
}

/**
 * work_wait_end - the end of such a wait
 * @heap: the heap
 */
void work_wait_end(struct gca_heap *heap)
{
	struct work *work = &heap->work;

	grey_lock(work);
	__atomic_store_n(&work->waiters, work->waiters - 1, __ATOMIC_RELAXED);
	grey_unlock(work);
}

/* ------------------------------------------------------- what a cycle calls */

/**
 * work_prepare - before a stop: threads, as many as it will want
 * @heap: the heap, about to be stopped by the calling thread
 */
void work_prepare(struct gca_heap *heap)
{
	struct work *work = &heap->work;

	__atomic_store_n(&work->stopped, true, __ATOMIC_RELAXED);
	make_helpers(heap);
	__atomic_store_n(&work->stopped, false, __ATOMIC_RELAXED);
}

/**
 * work_open_phase - grey objects may be scanned from now on
 * @heap: the heap, its world held; every mutator black and settled
 * @stopped: the world is, and stays so: all CPUs, roots too
 */
void work_open_phase(struct gca_heap *heap, bool stopped)
{
	struct work *work = &heap->work;

	grey_lock(work);
	gca_assert(!work->open && !work->busy);
	work->open = true;
	__atomic_store_n(&work->stopped, stopped, __ATOMIC_RELAXED);
	work->roots_left = stopped;
	work->next_mutator = stopped ? heap->mutators : NULL;
	work->next_range = 0;
	if (!work->alone)
		wake_helpers(work);
	grey_unlock(work);
	if (stopped)
		release_helpers(work);
}

static void phase_end(struct gca_heap *heap, struct mark_result *result)
{
	struct work *work = &heap->work;

	grey_lock(work);
	gca_assert(!work->busy && !work->pool.nr);
	work->open = false;
	__atomic_store_n(&work->stopped, false, __ATOMIC_RELAXED);
	result->bytes += work->result.bytes;
	result->objects += work->result.objects;
	result->scanned += work->result.scanned;
	memset(&work->result, 0, sizeof(work->result));
	grey_unlock(work);
	if (heap->mark_stack.max * sizeof(uint64_t) > STACK_KEEP)
		stack_drop(&heap->mark_stack);
}

/* Around marking that work_once() does not do. */
static void busy_begin(struct worker *worker)
{
	grey_lock(worker->work);
	worker->work->busy++;
	grey_unlock(worker->work);
}

static void busy_end(struct worker *worker)
{
	grey_lock(worker->work);
	worker->work->busy--;
	fold(worker);
	grey_unlock(worker->work);
}

/* Until nothing is grey outside of mutators' buffers: nobody is busy then. */
static void work_all(struct worker *worker)
{
	struct work *work = worker->work;

	grey_lock(work);
	for (;;) {
		if (work_once(worker))
			continue;
		if (work->busy) {
			grey_wait(work);
		} else if (work->pool.overflow) {
			/* Each walk marks something new or overflows no more. */
			work->pool.overflow = false;
			work->busy++;
			grey_unlock(work);
			marker_rescan(&worker->marker);
			grey_lock(work);
			work->busy--;
			fold(worker);
		} else {
			break;
		}
	}
	grey_unlock(work);
}

/*
 * One round of the mutators: true when it found nothing.
 *
 * When it begins, no worker holds a grey object, and neither does the pool if it is
 * empty, nobody is busy, and nothing was marked meanwhile.  A mutator's buffer only
 * grows between its flushes; so one that had a grey object at the beginning has it
 * at its flush, which marks it.  Hence, nothing marked: nothing was grey at the
 * beginning, and every object that a mutator can reach is marked.
 */
static bool round_found_nothing(struct gca_heap *heap)
{
	struct work *work = &heap->work;
	uint64_t before = __atomic_load_n(&work->marked, __ATOMIC_SEQ_CST);
	bool nothing;

	grey_lock(work);
	nothing = !work->pool.nr && !work->pool.overflow && !work->busy;
	grey_unlock(work);
	if (!nothing)
		return false;
	gca_stage(heap, GCA_STAGE_DRAINED);
	if (gca_fault_hit(GCA_FAULT_EARLY_END))
		return true;
	pthread_mutex_lock(&heap->world);
	handshake_round(heap);
	pthread_mutex_unlock(&heap->world);
	return __atomic_load_n(&work->marked, __ATOMIC_SEQ_CST) == before;
}

/* What old objects may refer to.  Nobody dirties cards now, and nobody will before the
 * first round.
 */
static void mark_cards(struct gca_heap *heap)
{
	if (heap->generations.minor)
		cards_give(heap);
	else
		cards_clear(heap);
}

/* Registered ranges, a piece at a time: who attaches need not wait for all. */
static void mark_ranges(struct worker *worker, struct mark_result *result)
{
	struct gca_heap *heap = worker->marker.heap;
	void *const *slots;
	uintptr_t at = 0;
	size_t nr;

	busy_begin(worker);
	do {
		pthread_mutex_lock(&heap->world);
		nr = roots_next_piece(heap, &at, RANGE_PIECE, &slots);
		worker->marker.visitor.slots(&worker->marker.visitor, slots, nr);
		pthread_mutex_unlock(&heap->world);
		result->range_bytes += nr * sizeof(void *);
		marker_drain(&worker->marker);
		if (worker->small && nr == RANGE_PIECE)
			worker->spent = true;
	} while (nr && !worker->spent);
	busy_end(worker);
}

/**
 * mark_drain - mark all that is grey, but for what is in mutators' buffers
 * @visitor: the marker's of the thread that runs the cycle
 */
void mark_drain(struct gca_visitor *visitor)
{
	struct worker *worker = (struct worker *)visitor;

	busy_begin(worker);
	marker_drain(&worker->marker);
	busy_end(worker);
	work_all(worker);
}

/* Until a round finds nothing, and no ephemeron owes anything. */
static void mark_until_done(struct worker *worker)
{
	struct gca_heap *heap = worker->marker.heap;

	do {
		work_all(worker);
	} while (ephemerons_mark(heap, &worker->marker.visitor) || !round_found_nothing(heap));
}

/**
 * mark_beside - mark what can be reached, while the program runs
 * @heap: the heap, marking on, every mutator scanned, the phase open
 * @result: what was marked
 */
void mark_beside(struct gca_heap *heap, struct mark_result *result)
{
	struct worker worker;

	gca_assert(!stack_left(&heap->mark_stack));
	/* The program may have changed them; how many threads there are stays. */
	__atomic_store_n(&heap->work.cpus, cpus_allowed(), __ATOMIC_RELAXED);
	make_helpers(heap);
	worker_begin(&worker, heap, &heap->mark_stack, 0);
	mark_ranges(&worker, result);
	special_visit_roots(heap, &worker.marker.visitor);
	mark_cards(heap);
	mark_drain(&worker.marker.visitor);
	generations_decide(heap);
	mark_until_done(&worker);
	if (special_wants_gate(heap)) {
		weak_gate_close(heap);
		mark_until_done(&worker);
		gca_stage(heap, GCA_STAGE_GATED);
		special_end(heap, &worker.marker.visitor);
		weak_gate_open(heap);
	}
	phase_end(heap, result);
	generations_add_old(heap, result);
}

/**
 * work_alone - whether the thread that runs the cycle marks by itself
 * @heap: the heap
 * @alone: it does; or helpers are welcome
 */
void work_alone(struct gca_heap *heap, bool alone)
{
	struct work *work = &heap->work;

	grey_lock(work);
	work->alone = alone;
	if (work->open)
		wake_helpers(work);
	grey_unlock(work);
}

/**
 * mark_small - mark what can be reached, if it is little
 * @heap: as for mark_beside(), but alone
 * @result: what was marked
 *
 * Return: false: it is more than that, and mark_beside() has to be called.
 */
bool mark_small(struct gca_heap *heap, struct mark_result *result)
{
	struct work *work = &heap->work;
	struct worker worker;
	bool some = true;

	gca_assert(!stack_left(&heap->mark_stack));
	worker_begin(&worker, heap, &heap->mark_stack, 0);
	worker.small = true;
	mark_ranges(&worker, result);
	special_visit_roots(heap, &worker.marker.visitor);
	mark_cards(heap);
	if (stack_left(&heap->mark_stack))
		grey_put(heap, &heap->mark_stack);
	grey_lock(work);
	while (some && !worker.spent)
		some = work_once(&worker);
	grey_unlock(work);
	if (worker.spent) {
		memset(result, 0, sizeof(*result));
		return false;
	}
	worker.small = false;
	generations_decide(heap);
	mark_until_done(&worker);
	phase_end(heap, result);
	generations_add_old(heap, result);
	return true;
}

/**
 * mark_heap - mark what can be reached
 * @heap: the heap, stopped, its sweep complete, work_prepare() called before
 * @result: what was marked and scanned
 */
void mark_heap(struct gca_heap *heap, struct mark_result *result)
{
	struct gca_mutator *mutator;
	struct worker worker;
	size_t i;

	memset(result, 0, sizeof(*result));
	for (mutator = heap->mutators; mutator; mutator = mutator->next)
		if (mutator->stack_copy)
			result->stack_bytes += mutator->stack_base - mutator->stack_low;
	for (i = 0; i < heap->roots.nr_ranges; i++)
		result->range_bytes += heap->roots.ranges[i].bytes;

	gca_assert(!stack_left(&heap->mark_stack));
	work_open_phase(heap, true);
	worker_begin(&worker, heap, &heap->mark_stack, 0);
	/* The program's functions expect one thread. */
	roots_visit_callbacks(heap, &worker.marker.visitor);
	special_visit_roots(heap, &worker.marker.visitor);
	mark_drain(&worker.marker.visitor);
	while (ephemerons_mark(heap, &worker.marker.visitor))
		;
	special_end(heap, &worker.marker.visitor);
	phase_end(heap, result);
}
