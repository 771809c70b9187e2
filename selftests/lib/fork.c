// SPDX-License-Identifier: MIT
/*
 * A child of fork(): the heap is the parent's, every call in the child says so,
 * and the child may open a heap of its own.  The parent's heap does not notice,
 * not even when it forks in the middle of collections.
 */
#include "lib.h"

#include <dirent.h>
#include <sys/wait.h>

struct link;
#define LINK_FIELDS(F) F(REF, struct link, next) F(VAL, size_t, number)
GCA_STRUCT(link, LINK_FIELDS);

static struct gca_heap *heap;
static struct gca_mutator *mutator;

/* The child's exit status is the number of the first thing that is wrong. */
#define CHECK(number, condition) do {	\
	if (!(condition))		\
		_exit(number);		\
} while (0)

/*
 * The libasan of GCC 12 does not care for its own locks over fork(): what another
 * thread that begins or calls malloc() holds of them stays locked in the child.  With
 * it, fork only when they are past that.
 */
#ifdef __SANITIZE_ADDRESS__
static const bool past_malloc = true;
#else
static const bool past_malloc;
#endif

/* Whether this thread is the only one that does not sleep. */
static bool alone(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int awake = 0;

	while (dir && (entry = readdir(dir))) {
		char path[300], state = 0;
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		f = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		if (!f)
			continue;
		awake += fscanf(f, "%*d (%*[^)]) %c", &state) == 1 && state != 'S';
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return awake <= 1;
}

static int child(void (*fn)(void))
{
	int status = -1, waits;
	pid_t pid, ended;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		alarm(60);
		fn();
		_exit(0);
	}
	if (pid < 0)
		bail("fork");
	/* An alarm does not end one whose last thread has signals blocked. */
	for (waits = 0; !(ended = waitpid(pid, &status, WNOHANG)); waits++) {
		if (waits == 60000)
			kill(pid, SIGKILL);
		usleep(1000);
	}
	if (ended != pid)
		bail("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static gca_ref slot;
static struct gca_handle *handle;
static struct gca_pool *pool;
static struct link *object;	/* held by the handle; not there in a child */
static struct gca_weak *weak;
static struct gca_ephemeron *ephemeron;
static void *manual;

static void call(struct gca_mutator *m, void *finalized, void *arg)
{
	/* Nobody calls it. */
}

/* What is kept beside objects is the parent's as well. */
static void special_of_the_parents(void)
{
	struct gca_handle *own = NULL;

	CHECK(21, !gca_handle_new(mutator, NULL));
	gca_handle_set(mutator, handle, NULL);
	CHECK(22, gca_handle_free(mutator, handle) == -EIO);
	CHECK(23, gca_pin(mutator, object) == -EIO && gca_unpin(mutator, object) == -EIO);
	CHECK(24, !gca_pool_get(mutator, pool));
	gca_pool_put(mutator, pool, object);
	gca_pool_free(mutator, pool);
	CHECK(25, !gca_weak_new(mutator, object) && !gca_weak_get(mutator, weak));
	CHECK(26, !gca_ephemeron_new(mutator, object, NULL));
	CHECK(27, !gca_ephemeron_key(mutator, ephemeron));
	CHECK(27, !gca_ephemeron_value(mutator, ephemeron));
	gca_ephemeron_set_value(mutator, ephemeron, NULL);
	CHECK(28, gca_finalizer_set(mutator, object, call, NULL, 0) == -EIO);
	CHECK(29, !gca_finalizers_ready(heap) && !gca_finalizers_run(mutator, 0));
	CHECK(30, gca_finalizer_thread(heap) == -EIO);
	CHECK(31, !gca_manual_alloc(mutator, 100) && gca_manual_free(mutator, manual) == -EIO);
	CHECK(32, !gca_pool_new(heap));
	CHECK(33, gca_heap_walk(mutator, NULL, NULL, NULL) == -EIO);
	CHECK(34, strstr(gca_error(), "parent"));
	CHECK(35, !gca_handle_free(mutator, own));
	CHECK(36, !gca_handle_get(handle));
	gca_weak_clear(weak);
}

static void use_of_the_parents(void)
{
	struct gca_stats stats = { .size = sizeof(stats) };
	struct gca_mutator *m = NULL;

	CHECK(1, !gca_new(mutator, link));
	CHECK(2, strlen(gca_error()) > 10);
	CHECK(3, !gca_new_bytes(mutator, 100000));
	CHECK(4, gca_collect(mutator) == -EIO);
	CHECK(5, gca_release(mutator) == 0);
	CHECK(6, gca_root_add(heap, &slot, sizeof(slot)) == -EIO);
	CHECK(7, gca_attach(heap, 0, &m) == -EIO || gca_attach(heap, 0, &m) == -EBUSY);
	gca_safepoint(mutator);
	gca_blocking_begin(mutator);
	gca_blocking_end(mutator);
	gca_stats(heap, &stats);
	special_of_the_parents();
	CHECK(8, gca_detach(mutator) == 0);
	CHECK(9, gca_close(heap) == 0);
}

static size_t build(struct gca_mutator *m, size_t count)
{
	size_t good = 0;

	GCA_FRAME(m, f, struct link *first; struct link *link);
	for (size_t i = 0; i < count; i++) {
		f.link = must(gca_new(m, link));
		f.link->number = i;
		gca_store(m, &f.link->next, f.first);
		f.first = f.link;
		must(gca_new_bytes(m, 200));
	}
	gca_collect(m);
	for (struct link *link = f.first; link; link = gca_load(&link->next))
		good += link->number == count - 1 - good;
	return good;
}

static void heap_of_its_own(void)
{
	struct gca_heap *own = NULL;
	struct gca_mutator *m = NULL;

	CHECK(1, !gca_open(NULL, &own));
	CHECK(2, !gca_attach(own, GCA_STACK_PRECISE, &m));
	CHECK(3, build(m, 5000) == 5000);
	CHECK(4, !gca_detach(m));
	CHECK(5, !gca_close(own));
}

/* Others hold locks of the parent's heap when it forks. */
static void settings(void)
{
	CHECK(1, gca_set_period(heap, 1000) == 120000);
	CHECK(2, gca_set_percent(heap, 50) == GCA_PERCENT_OFF);
}

/* After its heap is closed a process ends with its last thread. */
static void leave_by_threads(void)
{
	heap_of_its_own();
	pthread_exit(NULL);
}

static char profiles[64] = "/tmp/gcarena-fork-XXXXXX";

/* The parent's signal asks for profiles of a child's heap, too. */
static void profiles_of_its_own(void)
{
	struct gca_heap *own = NULL;
	char name[128];

	CHECK(1, !gca_open(NULL, &own));
	raise(SIGUSR2);
	snprintf(name, sizeof(name), "%s/p.%d.2.wait.pb.gz", profiles, getpid());
	while (access(name, F_OK))
		usleep(1000);
	unlink(name);
	memcpy(strstr(name, "wait"), "heap", 4);
	CHECK(2, !unlink(name));
	CHECK(3, !gca_close(own));
}

static void test_profiles(void)
{
	struct gca_heap *sampled = NULL;
	char value[128];

	if (!mkdtemp(profiles))
		bail("mkdtemp");
	snprintf(value, sizeof(value), "close=1,signal=USR2,file=%s/p", profiles);
	setenv("GCARENA_PROFILE", value, 1);
	sampled = open_quiet(GCA_MODE_CONCURRENT);
	eq(gca_close(sampled), 0, "a heap with a profile");
	snprintf(value, sizeof(value), "signal=USR2,file=%s/p", profiles);
	setenv("GCARENA_PROFILE", value, 1);
	eq(child(profiles_of_its_own), 0, "one of a child's, asked for by the same signal");
	unsetenv("GCARENA_PROFILE");
	snprintf(value, sizeof(value), "rm -r %s", profiles);
	eq(system(value), 0, "files are where they should be");
}

static void leave_by_exit(void)
{
	exit(0);	/* destructors and all */
}

static int stop;

struct busy {
	pthread_t thread;
	unsigned int rounds;	/* atomic */
	size_t wrong;
};

static void *busy(void *arg)
{
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct busy *busy = arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		busy->wrong += build(m, 2000) != 2000;
		__atomic_add_fetch(&busy->rounds, 1, __ATOMIC_RELAXED);
	}
	gca_detach(m);
	return NULL;
}

static void test_beside_cycles(void)
{
	struct busy threads[2] = { 0 };
	size_t failed = 0;

	for (unsigned int i = 0; i < 2; i++)
		if (pthread_create(&threads[i].thread, NULL, busy, &threads[i]))
			bail("pthread_create");
	gca_blocking_begin(mutator);
	for (unsigned int i = 0; i < 2; i++)
		while (past_malloc && __atomic_load_n(&threads[i].rounds, __ATOMIC_RELAXED) < 10)
			usleep(1000);
	for (size_t i = 0; i < scaled(30); i++)
		failed += child(i % 2 ? heap_of_its_own : settings) != 0;
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i].thread, NULL);
	gca_blocking_end(mutator);
	eq(failed, 0, "forks beside collections: children are well");
	eq(threads[0].wrong + threads[1].wrong, 0, "and so are the parent's threads");
}

int main(void)
{
	heap = open_quiet(GCA_MODE_CONCURRENT);
	mutator = attach(heap, GCA_STACK_PRECISE);
	eq(build(mutator, 1000), 1000, "the parent has a heap");
	/* What is not objects, either: a child closes what it has of them. */
	handle = must(gca_handle_new(mutator, must(gca_new(mutator, link))));
	object = gca_handle_get(handle);
	pool = must(gca_pool_new(heap));
	weak = must(gca_weak_new(mutator, object));
	ephemeron = must(gca_ephemeron_new(mutator, object, NULL));
	manual = must(gca_manual_alloc(mutator, 100000));
	/* It waits for work in the parent; who closes in the child must not wait for it. */
	eq(gca_finalizer_thread(heap), 0, "a thread for finalizers");
	for (size_t i = 0; i < 100; i++)
		if (gca_pin(mutator, must(gca_new(mutator, link))))
			bail("pin: %s", gca_error());
	while (past_malloc && !alone())
		usleep(1000);
	eq(child(use_of_the_parents), 0, "in a child every call refuses");
	eq(child(heap_of_its_own), 0, "a child can open a heap");
	eq(child(leave_by_exit), 0, "a child can exit");
	eq(child(leave_by_threads), 0, "or end with its last thread");
	test_profiles();
	eq(build(mutator, 5000), 5000, "the parent goes on");
	test_beside_cycles();
	eq(build(mutator, 1000), 1000, "and on");
	eq(gca_detach(mutator), 0, "detach");
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
