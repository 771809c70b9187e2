// SPDX-License-Identifier: MIT
/*
 * Every allocation and every copy of user memory that a call makes fails once:
 * the first, then the second, and so on until the call gets through with nothing
 * left to inject.  For a kernel with fault injection (vm/run --kernel debug).
 *
 * After each injected failure: the call succeeded nonetheless (something could
 * be done without) or failed with the errno that belongs to what was injected;
 * it failed as a whole, as the statistics tell; the arena is valid; the same call
 * without injection succeeds; and with the arena closed nothing of it is left.
 *
 * Each round has an arena of its own, in this one process; nothing may be
 * printed while injection is armed.  With GCARENA_TEST_SCALE below 1000 the
 * failures of an operation are visited in strides that grow with their number.
 */
#include <sys/syscall.h>

#include "guest.h"

#define HEAP		(64 * MIB)
#define BATCH		40	/* more than a call keeps on its stack */
#define ROUNDS_MAX	20000
#define CREDIT		1000000L	/* of each kind; what was used tells the kind */

enum kind { KIND_SLAB, KIND_PAGE, KIND_COPY, KINDS };

static const char * const kind_dir[KINDS] = {
	[KIND_SLAB] = "/sys/kernel/debug/failslab",
	[KIND_PAGE] = "/sys/kernel/debug/fail_page_alloc",
	[KIND_COPY] = "/sys/kernel/debug/fail_usercopy",
};

static int nth_fd;

static void set(enum kind kind, const char *name, const char *value)
{
	char path[96];
	int err;

	snprintf(path, sizeof(path), "%s/%s", kind_dir[kind], name);
	err = g_write_file(path, value);
	if (err)
		bail("%s: %s", path, strerror(-err));
}

/* Which kind was injected since the last call: its number, KINDS for none. */
static enum kind injected(void)
{
	enum kind found = KINDS, k;
	char path[96], credit[16];

	snprintf(credit, sizeof(credit), "%ld", CREDIT);
	for (k = 0; k < KINDS; k++) {
		snprintf(path, sizeof(path), "%s/times", kind_dir[k]);
		if (g_file_number(path) == CREDIT)
			continue;
		found = k;
		set(k, "times", credit);
	}
	return found;
}

static void arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(nth_fd, text, len, 0) != len)
		bail("fail-nth: %s", strerror(errno));
}

/* True if the failure armed has happened.  Reading copies to user memory, too. */
static bool disarm(void)
{
	char text[16] = "";
	ssize_t n = pread(nth_fd, text, sizeof(text) - 1, 0);
	bool left = n < 0 || atoi(text);

	if (left)
		while (pwrite(nth_fd, "0", 1, 0) != 1)
			;
	return !left;
}

/* What an operation works on; @a as g_open() makes it but for what @op is to do. */
struct round {
	struct arena a;
	struct gcarena_span spans[BATCH];
	int nr;
	void *mapped;
	size_t length;
	int fd;
	struct gcarena_setup setup;
};

static void prepare_nothing(struct round *r)
{
}

static void prepare_spans(struct round *r)
{
	r->nr = g_refill(&r->a, C_64, 0, r->spans, BATCH);
	if (r->nr != BATCH)
		bail("refill: %d", r->nr);
}

/* A chunk with holes: every other span returned empty. */
static void prepare_holes(struct round *r)
{
	int i;

	prepare_spans(r);
	for (i = 0; i < r->nr; i++) {
		struct gcarena_span spent = g_spent(r->spans[i], 0);

		if (!(i & 1))
			g_set_bit(&r->a, r->a.status->generation & 1, spent.page, 0);
		else if (g_return(&r->a, &spent, 1))
			bail("return");
	}
	g_start_sweep(&r->a, r->a.status->generation);
	g_assist(&r->a);
}

static void prepare_broken(struct round *r)
{
	prepare_holes(r);
	if (g_scavenge(&r->a, GCARENA_SCAVENGE_ALL, 0) <= 0)
		bail("scavenge");
}

static void prepare_swept(struct round *r)
{
	int i;

	prepare_spans(r);
	for (i = 0; i < r->nr; i++)
		r->spans[i].flags = 0;
	if (g_return(&r->a, r->spans, r->nr))
		bail("return");
}

/* Swept spans with one object each: the second base page has none. */
static void prepare_lone(struct round *r)
{
	int i;

	prepare_spans(r);
	for (i = 0; i < r->nr; i++) {
		r->spans[i].flags = 0;
		g_set_bit(&r->a, r->a.status->generation & 1, r->spans[i].page, 0);
	}
	if (g_return(&r->a, r->spans, r->nr))
		bail("return");
}

/* And given back: a refill has to fill it. */
static void prepare_inside(struct round *r)
{
	prepare_lone(r);
	if (g_scavenge(&r->a, GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE, 0) <= 0)
		bail("scavenge inside spans");
}

static void prepare_file(struct round *r)
{
	r->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (r->fd < 0)
		bail("open");
}

static int op_open(struct round *r)
{
	r->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	return r->fd < 0 ? -errno : 0;
}

static int op_setup(struct round *r)
{
	struct gcarena_policy policy = { .size = sizeof(policy), .limit_bytes = HEAP };
	struct gcarena_setup args = {
		.size = sizeof(args),
		.heap_size = HEAP,
		.classes = (uintptr_t)g_classes,
		.nr_classes = C_COUNT,
		.class_size = sizeof(struct gcarena_class),
		.policy = (uintptr_t)&policy,
	};

	return g_ioctl(r->fd, GCARENA_IOC_SETUP, &args);
}

static int map(struct round *r, uint64_t offset, size_t length, int prot)
{
	r->mapped = mmap(NULL, length, prot, MAP_SHARED, r->a.fd, offset);
	r->length = length;
	return r->mapped == MAP_FAILED ? -errno : 0;
}

static int op_mmap_heap(struct round *r)
{
	return map(r, GCARENA_OFF_HEAP, HEAP, PROT_READ | PROT_WRITE);
}

static int op_mmap_spans(struct round *r)
{
	return map(r, r->a.setup.spans_offset, r->a.setup.spans_size, PROT_READ);
}

static int op_mmap_bitmaps(struct round *r)
{
	return map(r, r->a.setup.bitmaps_offset, 2 * r->a.setup.bitmap_size,
		   PROT_READ | PROT_WRITE);
}

static int op_mmap_status(struct round *r)
{
	return map(r, r->a.setup.status_offset, r->a.setup.status_size, PROT_READ);
}

static int op_features(struct round *r)
{
	struct gcarena_features args = { .size = sizeof(args) };

	return g_ioctl(r->a.fd, GCARENA_IOC_FEATURES, &args);
}

/* A partial batch is a success; what is missing is asked for again. */
static int refill(struct round *r, unsigned int cls, uint32_t npages, int nr)
{
	int got = g_refill(&r->a, cls, npages, r->spans, nr);

	return got < 0 ? got : got == nr ? 0 : -EAGAIN;
}

static int op_refill_one(struct round *r)
{
	return refill(r, C_16, 0, 1);
}

static int op_refill_batch(struct round *r)
{
	return refill(r, C_CHUNKY, 0, BATCH);
}

static int op_refill_large(struct round *r)
{
	return refill(r, C_LARGE, 3 * GCARENA_CHUNK_PAGES + 7, 1);
}

static int op_refill_manual(struct round *r)
{
	return refill(r, C_MANUAL, 5, 2);
}

static int op_refill_swept(struct round *r)
{
	return refill(r, C_64, 0, BATCH);
}

/* What a call that failed has taken nevertheless is not there to hand over again. */
static void forget_taken(struct round *r)
{
	uint32_t page = r->spans[0].page;

	if (g_row_state(&r->a, page) != GCARENA_STATE_HELD ||
	    (r->a.rows[page].word0 & 0xffff) != r->spans[0].span_class)
		r->nr = 0;
}

static int op_exchange(struct round *r)
{
	struct gcarena_span ready[BATCH];
	struct gcarena_refill args = {
		.size = sizeof(args),
		.spent = (uintptr_t)r->spans,
		.nr_spent = r->nr,
		.ready = (uintptr_t)ready,
		.nr_ready = BATCH,
		.span_class = C_1K,
	};
	int i, err;

	for (i = 0; i < r->nr; i++)
		r->spans[i].flags = 0;
	err = g_ioctl(r->a.fd, GCARENA_IOC_REFILL, &args);
	forget_taken(r);
	return err;
}

static int op_return(struct round *r)
{
	int i, err;

	for (i = 0; i < r->nr; i++)
		r->spans[i].flags = 0;
	err = r->nr ? g_return(&r->a, r->spans, r->nr) : 0;
	forget_taken(r);
	return err;
}

static int op_start_sweep(struct round *r)
{
	return g_start_sweep(&r->a, r->a.status->generation);
}

static int op_assist(struct round *r)
{
	long left = g_assist(&r->a);

	return left < 0 ? left : 0;
}

static int op_scavenge_all(struct round *r)
{
	long bytes = g_scavenge(&r->a, GCARENA_SCAVENGE_ALL, 0);

	return bytes < 0 ? bytes : 0;
}

static int op_scavenge_inside(struct round *r)
{
	long bytes = g_scavenge(&r->a, GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE, 0);

	return bytes < 0 ? bytes : 0;
}

static int op_scavenge_bytes(struct round *r)
{
	long bytes = g_scavenge(&r->a, 0, CHUNK);

	return bytes < 0 ? bytes : 0;
}

static int policy(struct round *r, uint32_t flags, uint64_t retain)
{
	struct gcarena_policy p = { .size = sizeof(p), .retain_bytes = retain };
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = flags,
		.policy = (uintptr_t)&p,
	};

	return g_ioctl(r->a.fd, GCARENA_IOC_POLICY, &args);
}

static int op_policy_get(struct round *r)
{
	return policy(r, 0, 0);
}

/* Something to scavenge: the thread is started. */
static int op_policy_set(struct round *r)
{
	return policy(r, GCARENA_POLICY_SET, 1);
}

static int collapse(struct round *r, uint32_t flags)
{
	uint32_t chunks[] = { 0, 1 };
	struct gcarena_collapse args = {
		.size = sizeof(args),
		.flags = flags,
		.chunks = (uintptr_t)chunks,
		.nr_chunks = 2,
	};

	return g_ioctl(r->a.fd, GCARENA_IOC_COLLAPSE, &args);
}

/* Of a broken chunk: first its pin goes, then it is looked at. */
static int op_collapse_begin(struct round *r)
{
	return collapse(r, GCARENA_COLLAPSE_BEGIN);
}

static int op_collapse_end(struct round *r)
{
	return collapse(r, 0);
}

static int op_residency(struct round *r)
{
	struct gcarena_run runs[BATCH];
	struct gcarena_residency args = {
		.size = sizeof(args),
		.npages = HEAP / PAGE,
		.runs = (uintptr_t)runs,
		.nr_runs = BATCH,
	};

	return g_ioctl(r->a.fd, GCARENA_IOC_RESIDENCY, &args);
}

static int op_stats(struct round *r)
{
	struct gcarena_stats args = { .size = sizeof(args) };

	return g_ioctl(r->a.fd, GCARENA_IOC_STATS, &args);
}

/* A fault has no errno: it is tried again until it succeeds. */
static int op_touch_heap(struct round *r)
{
	memset(r->a.heap, 1, BASE_PAGE);
	return 0;
}

static int op_touch_meta(struct round *r)
{
	r->a.bits[1][0] = 0;
	return r->a.rows[0].word0 == 1;
}

static int op_poll(struct round *r)
{
	struct pollfd pfd = { .fd = r->a.fd, .events = POLLIN };

	return poll(&pfd, 1, 0) < 0 ? -errno : 0;
}

static int op_unmap(struct round *r)
{
	return munmap(r->a.heap + 4 * CHUNK, CHUNK) ? -errno : 0;
}

static int op_read(struct round *r, const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;
	int err = 0;

	while (n > 0)
		n = read(fd, text, sizeof(text));
	if (n < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int op_debugfs(struct round *r)
{
	static const char * const files[] = { "stats", "chunks", "spans", "span_classes" };
	char path[96];
	unsigned int i;
	int err = 0;

	for (i = 0; i < sizeof(files) / sizeof(files[0]) && !err; i++) {
		snprintf(path, sizeof(path), DEBUGFS "/%u/%s", r->a.setup.id, files[i]);
		err = op_read(r, path);
	}
	return err;
}

static int op_fdinfo(struct round *r)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", r->a.fd);
	return op_read(r, path);
}

static const struct operation {
	const char *name;
	void (*prepare)(struct round *r);
	int (*run)(struct round *r);
} operations[] = {
	{ "open", prepare_nothing, op_open },
	{ "set-up", prepare_file, op_setup },
	{ "features", prepare_nothing, op_features },
	{ "mmap of the heap", prepare_nothing, op_mmap_heap },
	{ "mmap of the span table", prepare_nothing, op_mmap_spans },
	{ "mmap of the bitmaps", prepare_nothing, op_mmap_bitmaps },
	{ "mmap of the status page", prepare_nothing, op_mmap_status },
	{ "refill of one span", prepare_nothing, op_refill_one },
	{ "refill of a batch", prepare_nothing, op_refill_batch },
	{ "refill of a large span", prepare_nothing, op_refill_large },
	{ "refill of manual spans", prepare_nothing, op_refill_manual },
	{ "refill of swept spans", prepare_swept, op_refill_swept },
	{ "refill of spans with holes", prepare_inside, op_refill_swept },
	{ "refill with spent spans", prepare_spans, op_exchange },
	{ "return", prepare_spans, op_return },
	{ "start sweep", prepare_swept, op_start_sweep },
	{ "sweep assist", prepare_holes, op_assist },
	{ "scavenge everything", prepare_holes, op_scavenge_all },
	{ "scavenge inside spans", prepare_lone, op_scavenge_inside },
	{ "scavenge bytes", prepare_swept, op_scavenge_bytes },
	{ "policy, read", prepare_nothing, op_policy_get },
	{ "policy, set", prepare_swept, op_policy_set },
	{ "collapse, announced", prepare_broken, op_collapse_begin },
	{ "collapse, told", prepare_broken, op_collapse_end },
	{ "residency", prepare_holes, op_residency },
	{ "statistics", prepare_nothing, op_stats },
	{ "poll", prepare_nothing, op_poll },
	{ "a touch of the heap", prepare_spans, op_touch_heap },
	{ "a touch of the metadata", prepare_nothing, op_touch_meta },
	{ "munmap of a part", prepare_spans, op_unmap },
	{ "debugfs", prepare_holes, op_debugfs },
	{ "fdinfo", prepare_nothing, op_fdinfo },
};

/* The errnos that belong to what was injected. */
static bool expected(enum kind kind, int err)
{
	if (kind == KIND_COPY)
		return err == -EFAULT;
	return err == -ENOMEM || err == -EAGAIN;
}

static void finish(struct round *r)
{
	if (r->mapped && r->mapped != MAP_FAILED)
		munmap(r->mapped, r->length);
	if (r->fd >= 0)
		close(r->fd);
	g_close(&r->a);
}

/* The arenas that exist, by debugfs: directories with a number for a name. */
static unsigned int arenas(void)
{
	DIR *dir = opendir(DEBUGFS);
	struct dirent *entry;
	unsigned int count = 0;

	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] >= '0' && entry->d_name[0] <= '9';
	if (dir)
		closedir(dir);
	return count;
}

/* Fail the @nth: true if there was one. */
static bool fail_one(const struct operation *op, unsigned int nth, unsigned int by_kind[],
		     unsigned int *wrong)
{
	struct round r = { .fd = -1 };
	bool happened;
	enum kind kind;
	int err, again;

	g_open(&r.a, HEAP);
	op->prepare(&r);
	injected();

	arm(nth);
	err = op->run(&r);
	happened = disarm();
	kind = injected();
	if (!happened) {
		/* Nothing was left to fail. */
		if (err) {
			(*wrong)++;
			diag("%s: %s with nothing injected", op->name, strerror(-err));
		}
	} else if (kind == KINDS) {
		(*wrong)++;
		diag("%s, %u: injected, but of no kind", op->name, nth);
	} else {
		by_kind[kind]++;
		if (err && !expected(kind, err)) {
			(*wrong)++;
			diag("%s, %u: %s after %s", op->name, nth, strerror(-err), kind_dir[kind]);
		}
		/* A refill's spans that could not be told are the arena's again, or
		 * held for good; asking anew works either way.
		 */
		again = err ? op->run(&r) : 0;
		if (again && again != -EBUSY) {
			(*wrong)++;
			diag("%s, %u: %s when tried again", op->name, nth, strerror(-again));
		}
	}
	finish(&r);
	return happened;
}

static unsigned int stride(unsigned int nth)
{
	const char *scale = getenv("GCARENA_TEST_SCALE");

	if (scale && atoi(scale) >= 1000)
		return 1;
	return nth < 24 ? 1 : nth / 8;
}

static void fail_all(const struct operation *op)
{
	unsigned int by_kind[KINDS] = { 0 };
	unsigned int nth = 1, wrong = 0, rounds = 0, before = arenas();
	int64_t since = g_now_ns();

	while (nth < ROUNDS_MAX && fail_one(op, nth, by_kind, &wrong)) {
		rounds++;
		nth += stride(nth);
	}
	ok(!wrong && nth < ROUNDS_MAX && arenas() == before, "%s", op->name);
	diag("%u rounds to the %uth: %u objects, %u pages, %u copies; %lld ms", rounds, nth,
	     by_kind[KIND_SLAB], by_kind[KIND_PAGE], by_kind[KIND_COPY],
	     (long long)(g_now_ns() - since) / 1000000);
}

int main(void)
{
	unsigned int i;
	enum kind k;

	if (!g_exists(kind_dir[KIND_SLAB]))
		skip_all("this kernel injects no faults");
	nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth_fd < 0)
		bail("fail-nth: %s", strerror(errno));
	for (k = 0; k < KINDS; k++) {
		char credit[16];

		snprintf(credit, sizeof(credit), "%ld", CREDIT);
		set(k, "verbose", getenv("FAILNTH_VERBOSE") ? "2" : "0");
		set(k, "times", credit);
	}
	set(KIND_SLAB, "ignore-gfp-wait", "N");
	set(KIND_PAGE, "ignore-gfp-wait", "N");
	set(KIND_PAGE, "ignore-gfp-highmem", "N");
	set(KIND_PAGE, "min-order", "0");

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		fail_all(&operations[i]);
	return tap_done();
}
