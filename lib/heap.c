// SPDX-License-Identifier: MIT
/*
 * Heaps: open, close, configuration, and what fork() does to them.
 *
 * gca_open() builds a heap bottom-up and tears it down by the same gca_close()
 * path when a step fails, so every part tolerates one that was not opened.  A
 * child of fork() has none of the heap's memory (mappings are not inherited): its
 * heaps are marked, and every call says so.
 */
#include "internal.h"
#include "endpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define HEAP_SIZE_DEFAULT	(64 * GIB)
/* Below this a default that does not fit is an error and not made smaller. */
#define HEAP_SIZE_LEAST		(64 * MIB)
/* Of what a limit on address space leaves, the rest being for stacks, malloc, and
 * the tables, which are a sixteenth of the heap.
 */
#define AS_SHARE_NUM		3
#define AS_SHARE_DEN		4

/* A heap that allocates little is collected so often all the same, as Go's. */
#define PERIOD_NS		(120 * NSEC_PER_SEC)
#define NS_PER_MS		1000000u
/* Longer than any loop that polls; beside it a stuck program would be silent. */
#define WATCHDOG_NS		(10 * NSEC_PER_SEC)
/* Without an answer until a thread is sent a signal: longer than most waits for a CPU. */
#define LATE_NS			10000000u

/* The process's heaps, for fork(). */
static pthread_mutex_t heaps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct gca_heap *heaps;
static uint32_t heaps_ever;
/* In a child: some of them are the parent's. */
static bool inherited;

static void fork_prepare(void)
{
	endpoint_lock();
	pthread_mutex_lock(&heaps_lock);
	kind_lock();
	signal_lock();
}

static void fork_parent(void)
{
	signal_unlock();
	kind_unlock();
	pthread_mutex_unlock(&heaps_lock);
	endpoint_unlock();
}

static void fork_child(void)
{
	struct gca_heap *heap;

	for (heap = heaps; heap; heap = heap->next_heap) {
		__atomic_store_n(&heap->forked, 1, __ATOMIC_RELAXED);
		inherited = true;
	}
	mutator_forked();
	idle_forked();
	profile_writer_forked();
	signal_unlock();
	kind_unlock();
	pthread_mutex_unlock(&heaps_lock);
	endpoint_forked();
}

static void register_fork(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
}

static void heap_list(struct gca_heap *heap)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, register_fork);
	pthread_mutex_lock(&heaps_lock);
	heap->number = ++heaps_ever;
	heap->next_heap = heaps;
	if (heap->next_heap)
		heap->next_heap->heap_link = &heap->next_heap;
	heap->heap_link = &heaps;
	heaps = heap;
	pthread_mutex_unlock(&heaps_lock);
}

static void heap_unlist(struct gca_heap *heap)
{
	if (!heap->heap_link)
		return;
	pthread_mutex_lock(&heaps_lock);
	*heap->heap_link = heap->next_heap;
	if (heap->next_heap)
		heap->next_heap->heap_link = heap->heap_link;
	pthread_mutex_unlock(&heaps_lock);
}

/**
 * heaps_lock_all - no heap is listed or closed from now on
 */
void heaps_lock_all(void)
{
	pthread_mutex_lock(&heaps_lock);
}

/**
 * heaps_unlock_all - the end of that
 */
void heaps_unlock_all(void)
{
	pthread_mutex_unlock(&heaps_lock);
}

/**
 * heaps_next - go through the process's heaps, which are locked
 * @heap: one, or NULL
 *
 * Return: the next, the first; NULL: there are no more.
 */
struct gca_heap *heaps_next(const struct gca_heap *heap)
{
	return heap ? heap->next_heap : heaps;
}

/**
 * heap_usable - may the calling process use a heap?
 * @heap: the heap
 *
 * Return: 0, or -EIO with gca_error() set.
 */
int heap_usable(const struct gca_heap *heap)
{
	if (unlikely(__atomic_load_n(&heap->forked, __ATOMIC_RELAXED)))
		return error_set(-EIO, "the heap belongs to the parent process");
	if (unlikely(__atomic_load_n(&heap->broken, __ATOMIC_RELAXED)))
		return error_set(-EIO, "the heap's arena is gone");
	return 0;
}

/**
 * heap_inherited - for calls that are given no heap: is it the parent's?
 * @address: an object's, or a handle
 *
 * Return: true in a child of fork(), of what is not there, with gca_error() set.
 */
bool heap_inherited(const void *address)
{
	const struct gca_heap *heap;
	bool found = false;

	if (likely(!inherited))
		return false;
	RUNTIME();
	pthread_mutex_lock(&heaps_lock);
	for (heap = heaps; heap && !found; heap = heap->next_heap)
		found = heap->forked && ((uintptr_t)address - heap->base < heap->size ||
					 handle_known(heap, address));
	pthread_mutex_unlock(&heaps_lock);
	if (found)
		error_set(-EIO, "the heap belongs to the parent process");
	return found;
}

/**
 * gca_config_init - the defaults
 * @config: to fill
 */
void gca_config_init(struct gca_config *config)
{
	memset(config, 0, sizeof(*config));
	config->size = sizeof(*config);
}

static int check_config(const struct gca_config *config)
{
	if (config->backend > GCA_BACKEND_PROCESS)
		return error_set(-EINVAL, "config: unknown backend %d", (int)config->backend);
	if (config->mode > GCA_MODE_STOP_THE_WORLD)
		return error_set(-EINVAL, "config: unknown mode %d", (int)config->mode);
	if (config->percent < GCA_PERCENT_OFF)
		return error_set(-EINVAL, "config: percent %d", config->percent);
	if (config->heap_size > GCARENA_HEAP_SIZE_MAX)
		return error_set(-EINVAL, "config: heap_size %zu, at most %llu", config->heap_size,
				 GCARENA_HEAP_SIZE_MAX);
	if (config->share > 100)
		return error_set(-EINVAL, "config: share %u, at most 100 per cent", config->share);
	if (config->workers > WORKERS_MAX)
		return error_set(-EINVAL, "config: %u workers, at most %u", config->workers,
				 WORKERS_MAX);
	if (config->generations > GCA_GENERATIONS_ON)
		return error_set(-EINVAL, "config: unknown generations %d",
				 (int)config->generations);
	if (config->reserved)
		return error_set(-EINVAL, "config: a reserved field is not zero");
	return 0;
}

/* Copies the program's structure, which may be an older and shorter one. */
static int take_config(struct gca_config *to, const struct gca_config *from)
{
	gca_config_init(to);
	if (!from)
		return 0;
	if (from->size < offsetof(struct gca_config, backend) + sizeof(from->backend) ||
	    from->size > sizeof(*to))
		return error_set(-EINVAL, "config: size %zu (call gca_config_init() first)",
				 from->size);
	memcpy(to, from, from->size);
	to->size = sizeof(*to);
	return check_config(to);
}

/* Address space that a limit on it leaves, or SIZE_MAX. */
static size_t address_space_left(void)
{
	unsigned long pages = 0;
	struct rlimit limit;
	size_t used;
	FILE *file;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	file = fopen("/proc/self/statm", "re");
	if (file) {
		if (fscanf(file, "%lu", &pages) != 1)
			pages = 0;
		fclose(file);
	}
	used = pages * (size_t)sysconf(_SC_PAGESIZE);
	return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

static size_t default_heap_size(void)
{
	size_t left = address_space_left();
	size_t size = HEAP_SIZE_DEFAULT;

	if (left / AS_SHARE_DEN * AS_SHARE_NUM < size)
		size = left / AS_SHARE_DEN * AS_SHARE_NUM;
	return size;
}

static int open_backend(struct gca_heap *heap, const struct gca_config *config)
{
	struct gcarena_class classes[SPAN_CLASSES_MAX];
	struct gcarena_setup setup = {
		.size = sizeof(setup),
		.heap_size = heap->size,
		.classes = (uintptr_t)classes,
		.nr_classes = nr_span_classes,
		.class_size = sizeof(classes[0]),
		.policy = (uintptr_t)&heap->policy,
	};
	int error;

	sizeclass_table(classes);
	if (config->backend != GCA_BACKEND_PROCESS) {
		error = backend_device_open(heap, config->device, &setup);
		if (!error || config->backend == GCA_BACKEND_DEVICE)
			return error;
		/* The sentence stays, unless there is simply no device for us. */
		if (error == -ENODEV || error == -EACCES || error == -EPERM)
			error_set(0, "%s", "");
	}
	return backend_process_open(heap, &setup);
}

/* Every part that has an address range, for a heap of @size bytes. */
static int open_sized(struct gca_heap *heap, const struct gca_config *config, size_t size)
{
	int error;

	heap->size = align_up(size, GCARENA_CHUNK_SIZE);
	error = open_backend(heap, config);
	if (!error)
		error = tables_open(heap);
	if (!error && heap->debug_shadow)
		error = shadow_open(heap);
	return error;
}

static void close_sized(struct gca_heap *heap)
{
	if (heap->backend)
		poison_close(heap);
	if (heap->debug_shadow)
		shadow_close(heap);
	verify_close(heap);
	tables_close(heap);
	if (heap->backend)
		heap->ops->close(heap);
}

static int open_address_range(struct gca_heap *heap, const struct gca_config *config)
{
	size_t size = config->heap_size ? config->heap_size : default_heap_size();
	int error;

	if (!size)
		return error_set(-ENOMEM, "no address space for a heap");
	for (;;) {
		error = open_sized(heap, config, size);
		if (!error)
			return 0;
		close_sized(heap);
		/* Only the default may shrink: the system may not overcommit. */
		if (error != -ENOMEM || config->heap_size || size / 2 < HEAP_SIZE_LEAST)
			return error;
		size /= 2;
	}
}

static void heap_free(struct gca_heap *heap)
{
	array_free(heap->roots.ranges, heap->roots.max_ranges, sizeof(*heap->roots.ranges));
	array_free(heap->roots.callbacks, heap->roots.max_callbacks,
		   sizeof(*heap->roots.callbacks));
	special_close(heap);
	profile_close(heap);
	timeline_close(heap);
	pthread_mutex_destroy(&heap->world);
	pthread_mutex_destroy(&heap->turn);
	pthread_mutex_destroy(&heap->work.lock);
	pthread_mutex_destroy(&heap->gc_lock);
	free(heap);
}

/**
 * gca_open - open a heap
 * @config: how, or NULL for the defaults; the environment overrides it
 * @out: where the heap goes
 *
 * Return: 0; -EINVAL: a field or a variable; -ENODEV, -EACCES: a forced backend
 * that is missing; -ENOMEM: memory or address space; gca_error() says which.
 */
int gca_open(const struct gca_config *config, struct gca_heap **out)
{
	RUNTIME();
	UNCANCELLED();
	struct gca_config taken;
	struct gca_heap *heap;
	int error;

	error = take_config(&taken, config);
	if (error)
		return error;
	heap = calloc(1, sizeof(*heap));
	if (!heap)
		return error_set(-ENOMEM, "no memory for a heap");
	pthread_mutex_init(&heap->turn, NULL);
	pthread_mutex_init(&heap->world, NULL);
	special_open(heap);
	profile_open(heap);
	concurrent_open(heap);
	error = env_read(&taken, heap);
	work_open(heap, taken.workers, taken.share);
	if (error)
		goto fail;
	sizeclass_init();
	heap->mode = taken.mode;
	heap->pacer.percent = taken.percent ? taken.percent : GCA_PERCENT_DEFAULT;
	heap->pacer.limit = heap->follow_cgroup ?
			    cgroup_limit(NULL, NULL) / 100 * heap->follow_cgroup : taken.limit;
	heap->pacer.heap_max = taken.heap_max;
	heap->watchdog_ns = WATCHDOG_NS;
	heap->late_ns = LATE_NS;
	if (heap->stop_signal < 0)
		heap->stop_signal = 0;
	else if (!heap->stop_signal)
		heap->stop_signal = signal_default();
	heap->pacer.eager = 100;
	heap->generations.mode = taken.generations ? taken.generations : GENERATIONS_DEFAULT;
	heap->assist_on = 1;
	heap->period_ns = PERIOD_NS;
	heap->slow_alloc = heap->debug_shadow || heap->debug_stress || poison_wants_slow();
	heap->policy.size = sizeof(heap->policy);
	heap->open_ns = now_ns();
	error = open_address_range(heap, &taken);
	if (error)
		goto fail;
	heap->generation = __atomic_load_n(&heap->status->generation, __ATOMIC_RELAXED);
	heap->meta_bytes = sizeof(*heap);
	error = pace_set(heap);
	if (error) {
		error_set(error, "policy: %s", strerror(-error));
		close_sized(heap);
		goto fail;
	}
	error = profile_writer_open(heap);
	if (error) {
		close_sized(heap);
		goto fail;
	}
	heap_list(heap);
	error = endpoint_open();
	if (error) {
		heap_unlist(heap);
		close_sized(heap);
		goto fail;
	}
	*out = heap;
	return 0;
fail:
	heap_free(heap);
	return error;
}

/**
 * gca_close - close a heap
 * @heap: the heap; gone afterwards, with everything in it; NULL does nothing
 *
 * Return: 0 or -EBUSY: a mutator is attached, be it the heap's own in a finalizer, which
 * calls this.  In a child of fork() it only drops
 * what the child inherited.
 */
int gca_close(struct gca_heap *heap)
{
	RUNTIME();
	UNCANCELLED();
	uint32_t mutators;

	if (!heap)
		return 0;
	if (__atomic_load_n(&heap->forked, __ATOMIC_RELAXED)) {
		mutator_drop(heap);
		heap_unlist(heap);
		heap->ops->close(heap);
		heap_free(heap);
		return 0;
	}
	world_lock(heap, mutator_self(heap));
	mutators = heap->nr_mutators;
	/* The heap's own goes with it, but for one of whose finalizers this is called. */
	if (heap->special.thread_running &&
	    !pthread_equal(heap->special.thread, pthread_self()))
		mutators--;
	world_unlock(heap);
	if (mutators)
		return error_set(-EBUSY, "%u mutators are attached", mutators);
	finalizer_thread_stop(heap);
	profile_writer_close(heap);
	heap_unlist(heap);
	endpoint_close();
	concurrent_close(heap);
	work_close(heap);
	close_sized(heap);
	heap_free(heap);
	return 0;
}

/**
 * gca_backend - which backend a heap is on
 * @heap: the heap
 */
enum gca_backend gca_backend(const struct gca_heap *heap)
{
	return heap->backend_kind;
}

/**
 * gca_set_percent - change the GC percent
 * @heap: the heap
 * @percent: above 0; 0: the default; below: off
 *
 * Return: the previous one.
 */
int gca_set_percent(struct gca_heap *heap, int percent)
{
	RUNTIME();
	int previous;

	if (heap_usable(heap))
		return heap->pacer.percent;
	world_lock(heap, mutator_self(heap));
	previous = heap->pacer.percent;
	heap->pacer.percent = percent < 0 ? GCA_PERCENT_OFF :
			      percent ? percent : GCA_PERCENT_DEFAULT;
	/* A policy that was taken before is taken again; a dead arena shows later. */
	pace_set(heap);
	world_unlock(heap);
	return previous;
}

/**
 * gca_set_limit - change the limit on memory in use
 * @heap: the heap
 * @bytes: the limit; 0: none
 *
 * Return: the previous one.
 */
size_t gca_set_limit(struct gca_heap *heap, size_t bytes)
{
	RUNTIME();
	size_t previous;

	if (heap_usable(heap))
		return heap->pacer.limit;
	world_lock(heap, mutator_self(heap));
	previous = heap->pacer.limit;
	heap->pacer.limit = bytes;
	pace_set(heap);
	world_unlock(heap);
	return previous;
}

/**
 * gca_set_heap_max - change the hard heap size
 * @heap: the heap
 * @bytes: of objects at most, live and not yet collected; 0: any
 *
 * What there is beyond it already stays until it is garbage.
 *
 * Return: the previous one.
 */
size_t gca_set_heap_max(struct gca_heap *heap, size_t bytes)
{
	RUNTIME();
	size_t previous;

	if (heap_usable(heap))
		return heap->pacer.heap_max;
	world_lock(heap, mutator_self(heap));
	previous = heap->pacer.heap_max;
	__atomic_store_n(&heap->pacer.heap_max, bytes, __ATOMIC_RELAXED);
	pace_set(heap);
	world_unlock(heap);
	return previous;
}

/**
 * gca_set_assist - whether allocating threads help to mark
 * @heap: the heap
 * @on: true, as when the heap was opened; false: they wait at the goal instead
 *
 * Return: the previous one.
 */
bool gca_set_assist(struct gca_heap *heap, bool on)
{
	RUNTIME();
	return __atomic_exchange_n(&heap->assist_on, on, __ATOMIC_RELAXED);
}

/**
 * gca_set_idle - whether concurrent marking uses idle CPUs beyond its share
 * @heap: the heap
 * @on: whether; at first it does
 *
 * From the next cycle on.
 *
 * Return: what it was.
 */
bool gca_set_idle(struct gca_heap *heap, bool on)
{
	RUNTIME();
	return __atomic_exchange_n(&heap->work.idle_on, on, __ATOMIC_RELAXED);
}

/**
 * gca_set_adaptive - let the percent follow load and pressure, or not
 * @heap: the heap
 * @on: whether it does
 *
 * Between a quarter of the set percent and four times it.
 *
 * Return: whether it did.
 */
bool gca_set_adaptive(struct gca_heap *heap, bool on)
{
	RUNTIME();
	bool before;

	if (heap_usable(heap))
		return false;
	world_lock(heap, mutator_self(heap));
	before = heap->pacer.adaptive;
	heap->pacer.adaptive = on;
	if (!on)
		heap->pacer.eager = 100;
	pace_set(heap);
	world_unlock(heap);
	return before;
}

/**
 * gca_follow_cgroup - let the limit be the control group's, at each cycle
 * @heap: the heap
 * @percent: of it, up to 100; 0: the limit stays as it is
 *
 * Return: 0, or -EINVAL.
 */
int gca_follow_cgroup(struct gca_heap *heap, unsigned int percent)
{
	RUNTIME();
	int error = heap_usable(heap);

	if (error)
		return error;
	if (percent > 100)
		return error_set(-EINVAL, "%u per cent of the control group's limit", percent);
	world_lock(heap, mutator_self(heap));
	heap->follow_cgroup = percent;
	if (percent) {
		heap->pacer.limit = cgroup_limit(NULL, NULL) / 100 * percent;
		pace_set(heap);
	}
	world_unlock(heap);
	return 0;
}

/**
 * gca_set_watchdog - after how long a thread that does not poll is named
 * @heap: the heap
 * @ms: milliseconds, 0: never
 *
 * Return: the previous one.
 */
uint64_t gca_set_watchdog(struct gca_heap *heap, uint64_t ms)
{
	RUNTIME();
	uint64_t ns = ms > UINT64_MAX / NS_PER_MS ? 0 : ms * NS_PER_MS;

	return __atomic_exchange_n(&heap->watchdog_ns, ns, __ATOMIC_RELAXED) / NS_PER_MS;
}

/**
 * gca_set_period - how long the heap may go without a cycle
 * @heap: the heap
 * @ms: milliseconds, 0: for ever
 *
 * Return: the previous one.
 */
uint64_t gca_set_period(struct gca_heap *heap, uint64_t ms)
{
	RUNTIME();
	uint64_t ns = ms > UINT64_MAX / NS_PER_MS ? 0 : ms * NS_PER_MS;

	if (heap_usable(heap))
		return heap->period_ns / NS_PER_MS;
	ns = __atomic_exchange_n(&heap->period_ns, ns, __ATOMIC_RELAXED);
	concurrent_wake(heap);
	return ns / NS_PER_MS;
}

/**
 * gca_set_failure_handler - whom to ask when an allocation cannot be met
 * @heap: the heap
 * @fn: the handler, or NULL
 * @arg: for it
 */
void gca_set_failure_handler(struct gca_heap *heap, gca_failure_fn fn, void *arg)
{
	RUNTIME();
	if (heap_usable(heap))
		return;
	world_lock(heap, mutator_self(heap));
	heap->failure = fn;
	heap->failure_arg = arg;
	world_unlock(heap);
}

/**
 * gca_set_pressure_handler - whom to tell that memory runs short
 * @heap: the heap
 * @fn: the handler, or NULL
 * @arg: for it
 */
void gca_set_pressure_handler(struct gca_heap *heap, gca_pressure_fn fn, void *arg)
{
	RUNTIME();
	if (heap_usable(heap))
		return;
	world_lock(heap, mutator_self(heap));
	heap->pressure = fn;
	heap->pressure_arg = arg;
	world_unlock(heap);
}

/**
 * gca_set_report_handler - whom to tell what a check found
 * @heap: the heap
 * @fn: the handler, or NULL: to stderr, and abort
 * @arg: for it
 */
void gca_set_report_handler(struct gca_heap *heap, gca_report_fn fn, void *arg)
{
	RUNTIME();
	if (heap_usable(heap))
		return;
	world_lock(heap, mutator_self(heap));
	heap->report = fn;
	heap->report_arg = arg;
	world_unlock(heap);
}
