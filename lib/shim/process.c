// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The process host: the span core over anonymous memory, with one worker.
 *
 * Heap and tables are reserved at open and not charged until used.  A chunk is
 * backed by populating it and released by MADV_DONTNEED.  The worker starts at
 * the first thing there is for it to do; it sweeps without rest and scavenges
 * at WORKER_SHARE per cent of a CPU.  Without it (no thread to be had) refills
 * and waits sweep for themselves, and nothing is scavenged unasked.
 *
 * Lock order: the core lock, then process.lock, which is a leaf.  Must never
 * write to a page of the heap that is in use.
 */
#include "process_internal.h"
#include "bits.h"
#include "relax.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24
#endif

/* Per cent of one CPU that scavenging may take. */
#define WORKER_SHARE		5
/* Shorter rests than this are saved up, so as not to wake for nothing. */
#define WORKER_REST_MIN_NS	1000000ULL
/* The worker's stack: its deepest path is some frames of the core. */
#define WORKER_STACK		(256UL << 10)
/* Backing a chunk by one huge page takes one fault, by small ones 512. */
#define HUGE_FAULTS_MAX		16
/* While refills go on they sweep what they need: the worker then takes a batch of
 * spans so often, so that it neither takes the lock from them nor empties spans
 * that they are about to fill again.
 */
#define WORKER_YIELD_NS		1000000ULL
/* With nothing to do it looks by itself for so long whether there is something again: heaps
 * that die at once flip every some 100 us, and waking a thread of another CPU each time costs
 * the program more than the worker does for it.
 */
#define WORKER_LINGER_NS	2000000ULL
/* Who finds the core lock taken looks again for so long: it is held for 4 us on the average and
 * for 10 by a sweep of 64 spans, and to sleep and be woken takes 30 to 60 (bench/collector).
 */
#define LOCK_LOOK_NS		20000
/* Populating is interrupted by signals; so often in a row means trouble. */
#define POPULATE_TRIES		1000
#define NS_PER_S		1000000000ULL

/* As of the last heap that was opened: a lock's holder can't run beside who waits for it. */
static bool one_cpu;

static struct process *of_host(void *host)
{
	return container_of((struct gca_tables *)host, struct process, pub.tables);
}

static bool refuses(enum gca_seam seam)
{
	return gca_seam_fails && gca_seam_fails(seam);
}

/* Memory. */

static void *reserve(size_t size)
{
	void *mem;

	if (refuses(GCA_SEAM_MAP))
		return NULL;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return mem == MAP_FAILED ? NULL : mem;
}

static void *reserve_chunks(size_t size)
{
	char *mem = reserve(size + GCARENA_CHUNK_SIZE);
	size_t head;

	if (!mem)
		return NULL;
	head = -(uintptr_t)mem % GCARENA_CHUNK_SIZE;
	if (head)
		munmap(mem, head);
	munmap(mem + head + size, GCARENA_CHUNK_SIZE - head);
	return mem + head;
}

/* Before MADV_POPULATE_WRITE (5.14).  The pages are not there, so read zero. */
static void touch(char *mem, size_t size, size_t step)
{
	size_t i;

	for (i = 0; i < size; i += step)
		*(volatile char *)(mem + i) = 0;
}

/* Make memory present without changing it, or say why not. */
static int populate(const struct process *p, void *mem, size_t size)
{
	size_t head = (uintptr_t)mem % p->base_page;
	int tries = POPULATE_TRIES;
	int err;

	/* A kernel's page may be longer than the lines of one chunk. */
	mem = (char *)mem - head;
	size = (size + head + p->base_page - 1) / p->base_page * p->base_page;
	do {
		err = madvise(mem, size, MADV_POPULATE_WRITE) ? errno : 0;
	} while ((err == EINTR || err == EAGAIN) && --tries);
	return err == EINVAL ? -EINVAL : err ? -ENOMEM : 0;
}

/* What a failed op_fill() has to take back: what was there of it was zero. */
static void drop(char *mem, const u64 *halves)
{
	u32 from, end;

	for (from = gca_map_next(halves, GCA_CHUNK_HALVES, 0); from < GCA_CHUNK_HALVES;
	     from = gca_map_next(halves, GCA_CHUNK_HALVES, end)) {
		end = gca_map_next_clear(halves, GCA_CHUNK_HALVES, from);
		madvise(mem + ((size_t)from << GCA_HALF_SHIFT),
			(size_t)(end - from) << GCA_HALF_SHIFT, MADV_DONTNEED);
	}
}

static u64 faults_of_thread(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? U64_MAX / 2 : (u64)usage.ru_minflt;
}

static int op_back(void *host, u32 page, u32 npages, int node)
{
	struct process *p = of_host(host);
	char *mem = (char *)p->pub.heap + ((size_t)page << GCARENA_PAGE_SHIFT);
	size_t size = (size_t)npages << GCARENA_PAGE_SHIFT;
	u64 faults;
	int err;

	(void)node;
	if (refuses(GCA_SEAM_BACK))
		return -ENOMEM;
	faults = faults_of_thread();
	err = populate(p, mem, size);
	if (err == -EINVAL) {
		touch(mem, size, p->base_page);
		err = 0;
	}
	if (err) {
		madvise(mem, size, MADV_DONTNEED);
		return err;
	}
	return faults_of_thread() - faults > HUGE_FAULTS_MAX;
}

static int op_fill(void *host, u32 chunk, const u64 *halves, int node)
{
	struct process *p = of_host(host);
	char *mem = (char *)p->pub.heap + ((size_t)chunk << GCARENA_CHUNK_SHIFT);
	int err = refuses(GCA_SEAM_BACK) ? -ENOMEM : 0;
	u32 from, end;

	(void)node;
	for (from = gca_map_next(halves, GCA_CHUNK_HALVES, 0); !err && from < GCA_CHUNK_HALVES;
	     from = gca_map_next(halves, GCA_CHUNK_HALVES, end)) {
		char *start = mem + ((size_t)from << GCA_HALF_SHIFT);

		end = gca_map_next_clear(halves, GCA_CHUNK_HALVES, from);
		err = populate(p, start, (size_t)(end - from) << GCA_HALF_SHIFT);
		if (err == -EINVAL) {
			touch(start, (size_t)(end - from) << GCA_HALF_SHIFT, 1UL << GCA_HALF_SHIFT);
			err = 0;
		}
	}
	if (err)
		drop(mem, halves);
	return err;
}

/*
 * All of the range was backed as far as the core knows, and mincore() does not
 * tell for anonymous memory: what is reported is the range's length, which is
 * too much where the system had swapped it out.
 */
static u64 release_run(struct process *p, char *mem, size_t size)
{
	if (!refuses(GCA_SEAM_RELEASE) &&
	    (!madvise(mem, size, MADV_DONTNEED) || !madvise(mem, size, MADV_DONTNEED_LOCKED)))
		return size;
	/* Locked, on an old kernel.  It must read as zero all the same. */
	memset(mem, 0, size);
	return 0;
}

static u64 op_release(void *host, u32 chunk, const u64 *going, u64 *kept)
{
	struct process *p = of_host(host);
	char *mem = (char *)p->pub.heap + ((size_t)chunk << GCARENA_CHUNK_SHIFT);
	u64 bytes = 0;
	u32 from = 0;

	while ((from = gca_map_next(going, GCA_CHUNK_HALVES, from)) < GCA_CHUNK_HALVES) {
		u32 end = gca_map_next_clear(going, GCA_CHUNK_HALVES, from);

		bytes += release_run(p, mem + ((size_t)from << GCA_HALF_SHIFT),
				     (size_t)(end - from) << GCA_HALF_SHIFT);
		from = end;
	}
	return bytes;
}

static int op_collapse(void *host, u32 chunk)
{
	struct process *p = of_host(host);
	char *mem = (char *)p->pub.heap + ((size_t)chunk << GCARENA_CHUNK_SHIFT);

	if (refuses(GCA_SEAM_COLLAPSE))
		return -EAGAIN;
	return madvise(mem, GCARENA_CHUNK_SIZE, MADV_COLLAPSE) ? -errno : 0;
}

static void *op_meta_alloc(void *host, size_t size)
{
	return refuses(GCA_SEAM_META_ALLOC) ? NULL : calloc(1, size);
}

static void op_meta_free(void *host, void *mem, size_t size)
{
	free(mem);
}

static long op_meta_back(void *host, u32 chunk)
{
	const size_t rows = GCARENA_CHUNK_PAGES * sizeof(struct gcarena_row);
	const size_t lines = GCARENA_CHUNK_PAGES * GCARENA_LINE_SIZE;
	struct process *p = of_host(host);
	u32 page = chunk * GCARENA_CHUNK_PAGES;
	int err = refuses(GCA_SEAM_META_BACK) ? -ENOMEM : 0;
	unsigned int i;

	if (!err)
		err = populate(p, gca_host_row(host, page), rows);
	for (i = 0; i < 2 && !err; i++)
		err = populate(p, gca_host_line(host, i, page), lines);
	/* An old kernel makes them present at the first write. */
	if (err && err != -EINVAL)
		return err;
	return rows + 2 * lines;
}

/* Events. */

static void op_chunk_event(void *host, struct gca_chunk *chunk)
{
	/* The process host keeps no list of idle chunks. */
}

static void op_wake_worker(void *host)
{
	struct process *p = of_host(host);

	pthread_mutex_lock(&p->lock);
	WRITE_ONCE(p->wanted, true);
	if (!p->lingers)
		pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

static void op_sweep_done(void *host)
{
	struct process *p = of_host(host);

	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->swept);
	pthread_mutex_unlock(&p->lock);
}

static int op_transit_wait(void *host, u32 sequence)
{
	UNCANCELLED();
	struct process *p = of_host(host);

	pthread_mutex_lock(&p->lock);
	while (gca_core_transit_sequence(p->pub.core) == sequence)
		pthread_cond_wait(&p->transit, &p->lock);
	pthread_mutex_unlock(&p->lock);
	return 0;
}

static void op_transit_wake(void *host)
{
	struct process *p = of_host(host);

	pthread_mutex_lock(&p->lock);
	pthread_cond_broadcast(&p->transit);
	pthread_mutex_unlock(&p->lock);
}

/**
 * process_clock_ns() - read a clock
 * @clock: which
 *
 * Return: nanoseconds.
 */
u64 process_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/**
 * gca_lock_wait - take a core lock that was found taken
 * @lock: the lock
 *
 * Its holder mostly runs, on another CPU: looks again for a while, then sleeps.
 */
void gca_lock_wait(gca_lock_t *lock)
{
	u64 until = process_clock_ns(CLOCK_MONOTONIC) + LOCK_LOOK_NS;

	while (!READ_ONCE(one_cpu) && process_clock_ns(CLOCK_MONOTONIC) < until) {
		relax();
		if (!READ_ONCE(lock->held) && !pthread_mutex_trylock(&lock->mutex))
			return;
	}
	pthread_mutex_lock(&lock->mutex);
}

static u64 op_now(void *host)
{
	return process_clock_ns(CLOCK_MONOTONIC);
}

static const struct gca_host_ops process_ops = {
	.back = op_back,
	.fill = op_fill,
	.release = op_release,
	.meta_alloc = op_meta_alloc,
	.meta_free = op_meta_free,
	.meta_back = op_meta_back,
	.chunk_idle = op_chunk_event,
	.chunk_busy = op_chunk_event,
	.collapse = op_collapse,
	.wake_worker = op_wake_worker,
	.sweep_done = op_sweep_done,
	.transit_wait = op_transit_wait,
	.transit_wake = op_transit_wake,
	.now = op_now,
};

/* The worker. */

/**
 * process_wait_ns() - wait for a condition, but not for long
 * @cond: of CLOCK_MONOTONIC
 * @lock: held
 * @ns: how long at most
 *
 * Returns early as well, so its callers look again.
 */
void process_wait_ns(pthread_cond_t *cond, pthread_mutex_t *lock, u64 ns)
{
	u64 until = process_clock_ns(CLOCK_MONOTONIC) + ns;
	struct timespec when = { .tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S };

	pthread_cond_timedwait(cond, lock, &when);
}

static u64 refills(const struct process *p)
{
	return READ_ONCE(gca_host_status((void *)&p->pub.tables)->counters.refill_calls);
}

/* Not woken, but by who waits for it, if that is short. */
static void worker_linger(struct process *p, u64 ns)
{
	p->lingers = ns <= WORKER_LINGER_NS;
	process_wait_ns(&p->work, &p->lock, ns);
	p->lingers = false;
}

static void worker_rest(struct process *p, u64 ns)
{
	pthread_mutex_lock(&p->lock);
	if (!p->stop && !p->wanted)
		worker_linger(p, ns);
	/* A sweep has started, or the rest is over: go on in any case. */
	WRITE_ONCE(p->wanted, false);
	pthread_mutex_unlock(&p->lock);
}

/* Works until there is nothing to do or @stop; the lock is not held. */
static void worker_run(struct process *p)
{
	u64 owed = 0, seen = refills(p), now;

	while (!READ_ONCE(p->stop)) {
		u64 start = process_clock_ns(CLOCK_THREAD_CPUTIME_ID);
		enum gca_work work = gca_core_work(p->pub.core);
		u64 used = process_clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;

		gca_core_add_worker_time(p->pub.core, used);
		if (work == GCA_WORK_IDLE)
			return;
		if (work == GCA_WORK_MORE) {
			now = refills(p);
			if (now != seen)
				worker_rest(p, WORKER_YIELD_NS);
			seen = now;
			continue;
		}
		owed += used * (100 - WORKER_SHARE) / WORKER_SHARE;
		if (owed < WORKER_REST_MIN_NS)
			continue;
		worker_rest(p, owed);
		owed = 0;
	}
}

static void *worker_main(void *arg)
{
	struct process *p = arg;

	pthread_setname_np(pthread_self(), "gcarena");
	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (!p->wanted) {
			pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		WRITE_ONCE(p->wanted, false);
		pthread_mutex_unlock(&p->lock);
		worker_run(p);
		pthread_mutex_lock(&p->lock);
		if (!p->stop && !p->wanted)
			worker_linger(p, WORKER_LINGER_NS);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/**
 * process_tend_worker() - start the worker if there is work
 * @p: whose call ends; the core lock is not held
 */
void process_tend_worker(struct process *p)
{
	pthread_attr_t attr;
	sigset_t all, old;

	if (likely(!READ_ONCE(p->wanted) || READ_ONCE(p->running) || READ_ONCE(p->refused)))
		return;
	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WORKER_STACK);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	pthread_mutex_lock(&p->lock);
	if (!p->running && !p->refused) {
		if (refuses(GCA_SEAM_THREAD) || pthread_create(&p->worker, &attr, worker_main, p))
			WRITE_ONCE(p->refused, true);
		else
			WRITE_ONCE(p->running, true);
	}
	pthread_mutex_unlock(&p->lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
}

static void unmap(struct process *p)
{
	if (p->pub.heap)
		munmap(p->pub.heap, p->pub.heap_size);
	if (p->pub.tables.spans)
		munmap(p->pub.tables.spans, p->spans_size);
	if (p->pub.tables.bitmap[0])
		munmap(p->pub.tables.bitmap[0], p->bitmap_size);
	if (p->pub.tables.bitmap[1])
		munmap(p->pub.tables.bitmap[1], p->bitmap_size);
	if (p->pub.tables.status)
		munmap(p->pub.tables.status, p->status_size);
}

static int map(struct process *p)
{
	struct gca_tables *tables = &p->pub.tables;
	u64 npages = p->pub.heap_size >> GCARENA_PAGE_SHIFT;

	p->spans_size = npages * sizeof(struct gcarena_row);
	p->bitmap_size = npages * GCARENA_LINE_SIZE;
	p->status_size = sizeof(struct gcarena_status);
	p->pub.heap = reserve_chunks(p->pub.heap_size);
	tables->spans = reserve(p->spans_size);
	tables->bitmap[0] = reserve(p->bitmap_size);
	tables->bitmap[1] = reserve(p->bitmap_size);
	tables->status = reserve(p->status_size);
	if (!p->pub.heap || !tables->spans || !tables->bitmap[0] || !tables->bitmap[1] ||
	    !tables->status) {
		unmap(p);
		return -ENOMEM;
	}
	/* Without huge pages in the kernel this fails, and small ones do. */
	madvise(p->pub.heap, p->pub.heap_size, MADV_HUGEPAGE);
	madvise(p->pub.heap, p->pub.heap_size, MADV_DONTFORK);
	madvise(tables->spans, p->spans_size, MADV_DONTFORK);
	madvise(tables->bitmap[0], p->bitmap_size, MADV_DONTFORK);
	madvise(tables->bitmap[1], p->bitmap_size, MADV_DONTFORK);
	madvise(tables->status, p->status_size, MADV_WIPEONFORK);
	/* The tables of a small heap would take a huge page each. */
	madvise(tables->spans, p->spans_size, MADV_NOHUGEPAGE);
	madvise(tables->bitmap[0], p->bitmap_size, MADV_NOHUGEPAGE);
	madvise(tables->bitmap[1], p->bitmap_size, MADV_NOHUGEPAGE);
	return 0;
}

static int check_setup(const struct gcarena_setup *setup)
{
	if (setup->flags || setup->reserved)
		return -EINVAL;
	if (setup->heap_size < GCARENA_HEAP_SIZE_MIN ||
	    setup->heap_size > GCARENA_HEAP_SIZE_MAX || setup->heap_size % GCARENA_CHUNK_SIZE)
		return -EINVAL;
	if (!setup->nr_classes || setup->nr_classes > GCARENA_CLASSES_MAX ||
	    setup->class_size != sizeof(struct gcarena_class) || setup->classes % sizeof(u32))
		return -EINVAL;
	if (!setup->classes)
		return -EFAULT;
	return 0;
}

static void init_sync(struct process *p)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->transit, &attr);
	pthread_cond_init(&p->swept, &attr);
	pthread_cond_init(&p->work, &attr);
	pthread_condattr_destroy(&attr);
}

/**
 * gca_process_open - set an arena up in this process
 * @setup: as for GCARENA_IOC_SETUP; its out fields are not written
 * @out: where the arena goes
 *
 * Return: 0 or -EFAULT, -E2BIG, -EINVAL, -EOPNOTSUPP (as the device), or -ENOMEM
 * for address space or memory.
 */
int gca_process_open(const struct gcarena_setup *setup, struct gca_process **out)
{
	struct gcarena_policy policy = { .size = sizeof(policy) };
	struct gcarena_setup args;
	struct process *p;
	cpu_set_t cpus;
	int err;

#if defined(__x86_64__) && !defined(__POPCNT__) && !defined(__CHECKER__)
	/* Once: other heaps are reading it. */
	if (__builtin_cpu_supports("popcnt") &&
	    !__atomic_load_n(&gca_have_popcnt, __ATOMIC_RELAXED))
		__atomic_store_n(&gca_have_popcnt, true, __ATOMIC_RELAXED);
#endif
	if (!sched_getaffinity(0, sizeof(cpus), &cpus))
		WRITE_ONCE(one_cpu, CPU_COUNT(&cpus) == 1);
	err = process_take_in(&args, sizeof(args), GCARENA_SETUP_SIZE_VER0, setup);
	if (!err)
		err = check_setup(&args);
	if (!err && args.policy)
		err = process_take_in(&policy, sizeof(policy), GCARENA_POLICY_SIZE_VER0,
				      process_address(args.policy));
	if (!err)
		err = gca_core_check_policy(&policy);
	if (!err)
		err = gca_core_check_classes(process_address(args.classes), args.nr_classes);
	if (err)
		return err;

	p = op_meta_alloc(NULL, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->pub.heap_size = args.heap_size;
	p->base_page = sysconf(_SC_PAGESIZE);
	err = map(p);
	if (err)
		goto fail_map;
	err = gca_core_create(&process_ops, &p->pub.tables, args.heap_size,
			      process_address(args.classes), args.nr_classes, &policy,
			      &p->pub.core);
	if (err)
		goto fail_core;
	init_sync(p);
	*out = &p->pub;
	return 0;

fail_core:
	unmap(p);
fail_map:
	free(p);
	return err;
}

/**
 * gca_process_close - drop an arena and all its memory
 * @process: the arena; nobody else uses it any more
 */
void gca_process_close(struct gca_process *process)
{
	struct process *p = process_of(process);

	/* In a child: only what fork() copied, whose locks may be taken. */
	if (process_forked(p)) {
		gca_core_destroy(process->core);
		munmap(process->tables.status, p->status_size);
		free(p);
		return;
	}
	pthread_mutex_lock(&p->lock);
	WRITE_ONCE(p->stop, true);
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	if (p->running)
		pthread_join(p->worker, NULL);
	gca_core_destroy(process->core);
	unmap(p);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->swept);
	pthread_cond_destroy(&p->transit);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
