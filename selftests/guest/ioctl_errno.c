// SPDX-License-Identifier: MIT
/*
 * Bad input: every call with what is wrong about it, the documented error, the
 * outputs untouched, the arena unharmed.
 *
 * What is the same for all calls is tested from a table; what only one can get
 * wrong has a function.  Outputs are poisoned before each call.
 */
#include "guest.h"

#define SIZE	(32 * MIB)
#define POISON	0xcc

struct call {
	const char *name;
	unsigned long cmd;
	uint32_t size;
	int err;		/* of a good call on a fresh arena */
	int err_other;		/* of a good call by another process */
	int reserved[3];	/* fields by offset and size, see AT(); 0 ends */
};

#define CALL(nm, cmd, type, ...) { nm, cmd, sizeof(struct type), __VA_ARGS__ }
#define AT(type, field) (offsetof(struct type, field) | sizeof(((struct type *)0)->field) << 16)

static const struct call calls[] = {
	CALL("features", GCARENA_IOC_FEATURES, gcarena_features, 0, 0,
	     { AT(gcarena_features, reserved) }),
	CALL("set-up", GCARENA_IOC_SETUP, gcarena_setup, -EBUSY, -EIO,
	     { AT(gcarena_setup, reserved) }),
	CALL("refill", GCARENA_IOC_REFILL, gcarena_refill, 0, -EIO,
	     { AT(gcarena_refill, reserved), AT(gcarena_refill, reserved2) }),
	CALL("return", GCARENA_IOC_RETURN, gcarena_return, 0, -EIO,
	     { AT(gcarena_return, reserved) }),
	CALL("start sweep", GCARENA_IOC_START_SWEEP, gcarena_sweep, 0, -EIO, {}),
	CALL("sweep assist", GCARENA_IOC_SWEEP_ASSIST, gcarena_sweep, 0, -EIO, {}),
	CALL("scavenge", GCARENA_IOC_SCAVENGE, gcarena_scavenge, 0, -EIO, {}),
	CALL("policy", GCARENA_IOC_POLICY, gcarena_policy_call, 0, -EIO, {}),
	CALL("residency", GCARENA_IOC_RESIDENCY, gcarena_residency, 0, -EIO,
	     { AT(gcarena_residency, reserved) }),
	CALL("collapse", GCARENA_IOC_COLLAPSE, gcarena_collapse, 0, -EIO, {}),
	CALL("statistics", GCARENA_IOC_STATS, gcarena_stats, 0, -EIO, {}),
};

#define NR_CALLS	(sizeof(calls) / sizeof(calls[0]))

/* A structure with room before and after it, and the arrays it points to. */
static union {
	uint32_t size;
	unsigned char bytes[2 * BASE_PAGE];
	struct gcarena_setup setup;
	struct gcarena_refill refill;
	struct gcarena_sweep sweep;
	struct gcarena_policy_call policy;
} args, before;
static struct gcarena_policy policy_out;
static struct gcarena_span ready_out[GCARENA_BATCH_MAX];
static uint32_t generation;

/* A call with nothing wrong about it. */
static void make_good(const struct call *call)
{
	memset(&args, 0, sizeof(args));
	args.size = call->size;
	policy_out.size = sizeof(policy_out);
	switch (call->cmd) {
	case GCARENA_IOC_SETUP:
		args.setup.heap_size = SIZE;
		args.setup.classes = (uintptr_t)g_classes;
		args.setup.nr_classes = C_COUNT;
		args.setup.class_size = sizeof(struct gcarena_class);
		break;
	case GCARENA_IOC_REFILL:
		args.refill.ready = (uintptr_t)ready_out;
		args.refill.nr_ready = 0;
		args.refill.span_class = C_64;
		break;
	case GCARENA_IOC_START_SWEEP:
		args.sweep.generation = generation;
		break;
	case GCARENA_IOC_POLICY:
		args.policy.policy = (uintptr_t)&policy_out;
		break;
	}
	before = args;
}

static bool untouched(void)
{
	return !memcmp(&args, &before, sizeof(args));
}

static int run(int fd, const struct call *call)
{
	before = args;
	return g_ioctl(fd, call->cmd, &args);
}

/* As long as the structure was when it was first published. */
static uint32_t first_size(unsigned long cmd)
{
	switch (cmd) {
	case GCARENA_IOC_FEATURES:
		return GCARENA_FEATURES_SIZE_VER0;
	case GCARENA_IOC_SETUP:
		return GCARENA_SETUP_SIZE_VER0;
	case GCARENA_IOC_REFILL:
		return GCARENA_REFILL_SIZE_VER0;
	case GCARENA_IOC_RETURN:
		return GCARENA_RETURN_SIZE_VER0;
	case GCARENA_IOC_START_SWEEP:
	case GCARENA_IOC_SWEEP_ASSIST:
		return GCARENA_SWEEP_SIZE_VER0;
	case GCARENA_IOC_SCAVENGE:
		return GCARENA_SCAVENGE_SIZE_VER0;
	case GCARENA_IOC_POLICY:
		return GCARENA_POLICY_CALL_SIZE_VER0;
	case GCARENA_IOC_RESIDENCY:
		return GCARENA_RESIDENCY_SIZE_VER0;
	case GCARENA_IOC_COLLAPSE:
		return GCARENA_COLLAPSE_SIZE_VER0;
	case GCARENA_IOC_STATS:
		return GCARENA_STATS_SIZE_VER0;
	default:
		bail("no first size of %#lx", cmd);
	}
}

static void test_sizes(int fd, const struct call *call)
{
	unsigned char *odd = args.bytes + 2;

	eq(g_ioctl(fd, call->cmd, NULL), -EFAULT, "%s: null", call->name);
	make_good(call);
	memmove(odd, args.bytes, call->size);
	eq(g_ioctl(fd, call->cmd, odd), -EINVAL, "%s: misaligned", call->name);

	make_good(call);
	args.size = 0;
	eq(run(fd, call), -EINVAL, "%s: size 0", call->name);
	args.size = first_size(call->cmd) - 4;
	eq(run(fd, call), -EINVAL, "%s: shorter than it ever was", call->name);
	args.size = BASE_PAGE + 8;
	eq(run(fd, call), -E2BIG, "%s: longer than a page", call->name);
	args.size = ~0U;
	eq(run(fd, call), -E2BIG, "%s: absurd size", call->name);
	args.size = call->size + 8;
	args.bytes[call->size + 7] = 1;
	eq(run(fd, call), -E2BIG, "%s: an unknown field that is set", call->name);
	ok(untouched(), "%s: nothing written", call->name);
}

/* Flags that a call may be given; all others are refused. */
static unsigned int known_flags(unsigned long cmd)
{
	switch (cmd) {
	case GCARENA_IOC_SCAVENGE:
		return GCARENA_SCAVENGE_ALL | GCARENA_SCAVENGE_INSIDE;
	case GCARENA_IOC_START_SWEEP:
		return GCARENA_SWEEP_STICKY;
	case GCARENA_IOC_COLLAPSE:
		return GCARENA_COLLAPSE_BEGIN;
	case GCARENA_IOC_POLICY:
		return GCARENA_POLICY_SET;
	default:
		return 0;
	}
}

static void test_fields(int fd, const struct call *call)
{
	unsigned int known = known_flags(call->cmd), refused = 0, written = 0;
	int i;

	for (i = 0; i < 32; i++) {
		make_good(call);
		((uint32_t *)args.bytes)[1] = 1U << i;
		if (known >> i & 1)
			continue;
		refused += run(fd, call) == -EINVAL;
		written += !untouched();
	}
	eq(refused, 32 - __builtin_popcount(known), "%s: every unknown flag", call->name);
	eq(written, 0, "%s: nothing written", call->name);
	for (i = 0; call->reserved[i]; i++) {
		int at = call->reserved[i] & 0xffff, size = call->reserved[i] >> 16;
		int bytes = 0;

		for (int k = 0; k < size; k++) {
			make_good(call);
			args.bytes[at + k] = 1;
			bytes += run(fd, call) == -EINVAL;
			written += !untouched();
		}
		eq(bytes, size, "%s: each byte of reserved field %d", call->name, i);
		eq(written, 0, "%s: nothing written", call->name);
	}
}

/* The structure in memory that can be read, but not written. */
static void test_unwritable(int fd, const struct call *call)
{
	void *p = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);

	if (call->err)
		goto out;
	make_good(call);
	memcpy(p, args.bytes, call->size);
	mprotect(p, BASE_PAGE, PROT_READ);
	/* Reading the policy writes another structure. */
	if (call->cmd != GCARENA_IOC_POLICY)
		eq(g_ioctl(fd, call->cmd, p), -EFAULT, "%s: unwritable", call->name);
	if (call->cmd == GCARENA_IOC_START_SWEEP)
		generation++;
out:
	munmap(p, BASE_PAGE);
}

static void test_first_size(int fd, const struct call *call)
{
	uint32_t size = first_size(call->cmd);
	bool beyond = false;

	make_good(call);
	memset(args.bytes + size, POISON, sizeof(args) - size);
	args.size = size;
	eq(run(fd, call), call->err, "%s: of the first size", call->name);
	for (size_t i = size; i < sizeof(args); i++)
		beyond |= args.bytes[i] != POISON;
	ok(!beyond, "%s: and no byte more is written", call->name);
	if (!call->err && call->cmd == GCARENA_IOC_START_SWEEP)
		generation++;
}

static void test_good(int fd, const struct call *call)
{
	test_first_size(fd, call);
	make_good(call);
	eq(run(fd, call), call->err, "%s: good", call->name);
	if (!call->err && call->cmd == GCARENA_IOC_START_SWEEP)
		generation++;
	make_good(call);
	args.size = call->size + 8;
	eq(run(fd, call), call->err, "%s: longer, with zeroes", call->name);
	if (!call->err)
		eq(args.size, call->size + 8, "%s: size is the caller's", call->name);
	if (!call->err && call->cmd == GCARENA_IOC_START_SWEEP)
		generation++;
	make_good(call);
	eq(g_ioctl(fd, call->cmd & ~IOCSIZE_MASK, &args), call->err,
	   "%s: the size in the number does not count", call->name);
	if (!call->err && call->cmd == GCARENA_IOC_START_SWEEP)
		generation++;
}

static void test_numbers(int fd)
{
	struct gcarena_features features = { .size = sizeof(features) };

	eq(g_ioctl(fd, _IOWR('G', 0x7f, struct gcarena_features), &features), -ENOTTY,
	   "number below the range");
	eq(g_ioctl(fd, _IOWR('G', 0x8b, struct gcarena_features), &features), -ENOTTY,
	   "number above the range");
	eq(g_ioctl(fd, _IOWR('G', 0xff, struct gcarena_features), &features), -ENOTTY,
	   "last number");
	eq(g_ioctl(fd, _IOWR('H', 0x80, struct gcarena_features), &features), -ENOTTY,
	   "another driver's");
	eq(g_ioctl(fd, _IOR('G', 0x80, struct gcarena_features), &features), -ENOTTY,
	   "another direction");
}

static void test_features(int fd)
{
	struct gcarena_features f;

	memset(&f, POISON, sizeof(f));
	f.size = sizeof(f);
	f.flags = 0;
	f.reserved = 0;
	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &f), 0, "features, before set-up");
	eq(f.features, GCARENA_FEATURE_RESIDENCY | GCARENA_FEATURE_SHRINKER |
	   GCARENA_FEATURE_RESERVE | GCARENA_FEATURE_PRESSURE | GCARENA_FEATURE_COLLAPSE |
	   GCARENA_FEATURE_INSIDE |
	   GCARENA_FEATURE_PERCPU |
	   GCARENA_FEATURE_NUMA | GCARENA_FEATURE_STICKY,
	   "the features that there are");
	eq(f.heap_size_max, GCARENA_HEAP_SIZE_MAX, "heap_size_max");
	eq(f.classes_max, GCARENA_CLASSES_MAX, "classes_max");
	eq(f.batch_max, GCARENA_BATCH_MAX, "batch_max");
	eq(f.setup_size, sizeof(struct gcarena_setup), "setup_size");
	eq(f.policy_size, sizeof(struct gcarena_policy), "policy_size");
	eq(f.refill_size, sizeof(struct gcarena_refill), "refill_size");
	eq(f.stats_size, sizeof(struct gcarena_stats), "stats_size");
	eq(f.status_size, sizeof(struct gcarena_status), "status_size");
}

/* One set-up with a field changed by @change. */
#define BAD_SETUP(want, name, ...)					\
	do {								\
		make_good(&calls[1]);					\
		__VA_ARGS__;						\
		eq(run(fd, &calls[1]), want, "set-up: " name);		\
		ok(untouched(), "set-up: nothing written");		\
	} while (0)

#define BAD_CLASS(name, ...)						\
	do {								\
		struct gcarena_class cls = { __VA_ARGS__ };		\
									\
		BAD_SETUP(-EINVAL, "class with " name,			\
			  args.setup.classes = (uintptr_t)&cls;		\
			  args.setup.nr_classes = 1);			\
	} while (0)

#define BAD_POLICY(want, name, ...)					\
	do {								\
		struct gcarena_policy policy = { .size = sizeof(policy) }; \
									\
		policy.__VA_ARGS__;					\
		BAD_SETUP(want, "policy with " name,			\
			  args.setup.policy = (uintptr_t)&policy);	\
	} while (0)

static void test_setup(int fd)
{
	struct gcarena_setup *s = &args.setup;
	void *p;

	BAD_SETUP(-EINVAL, "empty heap", s->heap_size = 0);
	BAD_SETUP(-EINVAL, "heap below a chunk", s->heap_size = CHUNK / 2);
	BAD_SETUP(-EINVAL, "heap not of whole chunks", s->heap_size = CHUNK + BASE_PAGE);
	BAD_SETUP(-EINVAL, "heap too large", s->heap_size = GCARENA_HEAP_SIZE_MAX + CHUNK);
	BAD_SETUP(-EINVAL, "heap absurd", s->heap_size = -CHUNK);
	BAD_SETUP(-EINVAL, "no classes", s->nr_classes = 0);
	BAD_SETUP(-EINVAL, "too many classes", s->nr_classes = GCARENA_CLASSES_MAX + 1);
	BAD_SETUP(-EINVAL, "absurdly many classes", s->nr_classes = ~0U);
	BAD_SETUP(-EINVAL, "class size", s->class_size = 4);
	BAD_SETUP(-EINVAL, "classes misaligned", s->classes += 2);
	BAD_SETUP(-EFAULT, "classes null", s->classes = 0);
	BAD_SETUP(-EFAULT, "classes in the kernel", s->classes = 1ULL << 63);
	BAD_SETUP(-EFAULT, "policy in the kernel", s->policy = 1ULL << 63);
	BAD_SETUP(-EINVAL, "policy misaligned", s->policy = 2);

	BAD_CLASS("no pages", .elem_size = 16);
	BAD_CLASS("too many pages", .elem_size = 16, .npages = GCARENA_SPAN_PAGES_MAX + 1);
	BAD_CLASS("no size", .npages = 1);
	BAD_CLASS("half a granule", .elem_size = 24, .npages = 1);
	BAD_CLASS("objects over the span", .elem_size = PAGE + 16, .npages = 1);
	BAD_CLASS("unknown flag", .elem_size = 16, .npages = 1, .flags = 4);
	BAD_CLASS("both flags", .flags = GCARENA_CLASS_LARGE | GCARENA_CLASS_MANUAL);
	BAD_CLASS("large and pages", .flags = GCARENA_CLASS_LARGE, .npages = 1);
	BAD_CLASS("manual and size", .flags = GCARENA_CLASS_MANUAL, .elem_size = 16);

	BAD_POLICY(-EINVAL, "size", size = 8);
	BAD_POLICY(-E2BIG, "absurd size", size = ~0U);
	BAD_POLICY(-EINVAL, "unknown flag", flags = 1);
	BAD_POLICY(-EINVAL, "reserved", reserved = 1);
	BAD_POLICY(-EINVAL, "reserved2", reserved2[1] = 1);
	BAD_POLICY(-EINVAL, "high watermark above the other's default", watermark_high = 93);
	BAD_POLICY(-EINVAL, "watermark above the limit", watermark_max = 101);
	BAD_POLICY(-EINVAL, "low watermark as high as the high one", watermark_low = 85);
	BAD_POLICY(-EINVAL, "no such node", node = 1025);
	BAD_POLICY(-EINVAL, "what can be no node", node = -1);

	p = mmap(NULL, BASE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	make_good(&calls[1]);
	memcpy(p, args.bytes, sizeof(*s));
	mprotect(p, BASE_PAGE, PROT_READ);
	eq(g_ioctl(fd, GCARENA_IOC_SETUP, p), -EFAULT, "set-up: unwritable");
	munmap(p, BASE_PAGE);
}

static void test_before_setup(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLPRI };
	unsigned int i;

	for (i = 2; i < NR_CALLS; i++) {
		make_good(&calls[i]);
		eq(run(fd, &calls[i]), -ENXIO, "%s: before set-up", calls[i].name);
		ok(untouched(), "%s: nothing written", calls[i].name);
	}
	eq(poll(&pfd, 1, 0), 0, "poll: nothing before set-up");
}

static void test_other_process(struct arena *a)
{
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < NR_CALLS; i++) {
		fflush(stdout);
		pid = fork();
		if (!pid) {
			make_good(&calls[i]);
			_exit(-run(a->fd, &calls[i]));
		}
		waitpid(pid, &status, 0);
		eq(-WEXITSTATUS(status), calls[i].err_other, "%s: from another process",
		   calls[i].name);
	}
	fflush(stdout);
	pid = fork();
	if (!pid) {
		void *p = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, a->fd, 0);

		_exit(p == MAP_FAILED ? errno : 0);
	}
	waitpid(pid, &status, 0);
	eq(WEXITSTATUS(status), EIO, "mmap: from another process");
}

static struct gcarena_refill refill_args(unsigned int cls, uint32_t npages, uint32_t nr)
{
	return (struct gcarena_refill) {
		.size = sizeof(struct gcarena_refill),
		.ready = (uintptr_t)ready_out,
		.nr_ready = nr,
		.npages = npages,
		.span_class = cls,
	};
}

#define BAD_REFILL(want, name, cls, npages, nr, ...)			\
	do {								\
		struct gcarena_refill r = refill_args(cls, npages, nr), was; \
									\
		__VA_ARGS__;						\
		was = r;						\
		memset(ready_out, POISON, sizeof(ready_out));		\
		eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &r), want, "refill: " name); \
		eq(ready_out[0].page, 0xccccccccu, "refill: nothing handed out"); \
		if ((want) == -EINVAL)					\
			ok(!memcmp(&r, &was, sizeof(r)), "refill: nothing written"); \
	} while (0)

static void test_refill(struct arena *a)
{
	struct gcarena_span held[1];
	struct gcarena_stats stats;
	uint64_t in_use;

	BAD_REFILL(-EINVAL, "no such class", C_COUNT, 0, 1);
	BAD_REFILL(-EINVAL, "absurd class", 0xffff, 0, 1);
	BAD_REFILL(-EINVAL, "batch too long", C_64, 0, GCARENA_BATCH_MAX + 1);
	BAD_REFILL(-EINVAL, "absurd batch", C_64, 0, ~0U);
	BAD_REFILL(-EINVAL, "pages for a fixed class", C_64, 1, 1);
	BAD_REFILL(-EINVAL, "no pages for a large one", C_LARGE, 0, 1);
	BAD_REFILL(-EINVAL, "no pages for a manual one", C_MANUAL, 0, 1);
	BAD_REFILL(-ENOMEM, "more pages than the heap", C_LARGE, SIZE / PAGE + 1, 1);
	BAD_REFILL(-ENOMEM, "absurd pages", C_LARGE, ~0U, 1);
	BAD_REFILL(-EINVAL, "no such node", C_64, 0, 1, r.node = 1025);
	BAD_REFILL(-EINVAL, "no such class, with spent", C_COUNT, 0, 1,
		   r.spent = (uintptr_t)held; r.nr_spent = 1);
	BAD_REFILL(-EINVAL, "what can be no node", C_64, 0, 1, r.node = -1);
	BAD_REFILL(-EINVAL, "ready misaligned", C_64, 0, 1, r.ready += 2);
	BAD_REFILL(-EINVAL, "spent misaligned", C_64, 0, 1, r.spent = 2);
	BAD_REFILL(-EFAULT, "spent null", C_64, 0, 1, r.nr_spent = 1);
	BAD_REFILL(-EFAULT, "spent in the kernel", C_64, 0, 1,
		   r.spent = 1ULL << 63; r.nr_spent = 1);
	BAD_REFILL(-EINVAL, "too many spent", C_64, 0, 1,
		   r.spent = (uintptr_t)held; r.nr_spent = GCARENA_BATCH_MAX + 1);

	g_stats(a, &stats);
	in_use = stats.counters.heap_inuse;
	BAD_REFILL(-EFAULT, "ready null", C_64, 0, 4, r.ready = 0);
	BAD_REFILL(-EFAULT, "ready in the kernel", C_LARGE, 300, 2, r.ready = 1ULL << 63);
	g_stats(a, &stats);
	eq(stats.counters.heap_inuse, in_use, "refill: spans that could not be told of went back");
	eq(stats.counters.spans_held, 0, "refill: none is held");
}

/* Two good spent entries, then a bad one. */
static void test_refill_partly(struct arena *a)
{
	struct gcarena_span held[3], spent[3];
	struct gcarena_stats stats;
	struct gcarena_refill r;

	eq(g_refill(a, C_64, 0, held, 3), 3, "refill: three spans");
	memcpy(spent, held, sizeof(spent));
	spent[2].npages++;
	r = refill_args(C_64, 0, 4);
	r.spent = (uintptr_t)spent;
	r.nr_spent = 3;
	memset(ready_out, POISON, sizeof(ready_out));
	eq(g_ioctl(a->fd, GCARENA_IOC_REFILL, &r), -EINVAL, "refill: bad spent entry");
	eq(r.nr_spent, 2, "refill: says how many went before it");
	eq(r.nr_ready, 0, "refill: and that none came");
	eq(ready_out[0].page, 0xccccccccu, "refill: ready untouched");
	g_stats(a, &stats);
	eq(stats.counters.spans_held, 1, "refill: the bad one is still held");
	eq(g_return(a, &held[2], 1), 0, "refill: and can be returned");
}

#define BAD_RETURN(want, name, ...)					\
	do {								\
		struct gcarena_span span = held;			\
									\
		__VA_ARGS__;						\
		eq(g_return(a, &span, 1), want, "return: " name);	\
	} while (0)

static void test_return(struct arena *a)
{
	struct gcarena_return args_ret = { .size = sizeof(args_ret) };
	struct gcarena_span held, manual;
	struct gcarena_stats stats;

	eq(g_refill(a, C_1K, 0, &held, 1), 1, "return: a span to return");
	eq(g_refill(a, C_MANUAL, 3, &manual, 1), 1, "return: a manual span");
	BAD_RETURN(-EINVAL, "absurd page", span.page = ~0U);
	BAD_RETURN(-EINVAL, "page beyond the heap", span.page = SIZE / PAGE);
	BAD_RETURN(-EINVAL, "page never used", span.page = SIZE / PAGE - 1);
	BAD_RETURN(-EINVAL, "not its first page", span.page++);
	BAD_RETURN(-EINVAL, "length", span.npages++);
	BAD_RETURN(-EINVAL, "class", span.span_class = C_64);
	BAD_RETURN(-EINVAL, "generation", span.generation++);
	BAD_RETURN(-EINVAL, "unknown flag", span.flags = 0x80);
	BAD_RETURN(-EINVAL, "manual span kept", span = manual; span.flags = GCARENA_SPAN_KEEP);
	g_stats(a, &stats);
	eq(stats.counters.spans_held, 1, "return: still held");

	eq(g_return(a, &held, GCARENA_BATCH_MAX + 1), -EINVAL, "return: batch too long");
	args_ret.nr_spent = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_RETURN, &args_ret), -EFAULT, "return: null list");
	args_ret.spent = 2;
	eq(g_ioctl(a->fd, GCARENA_IOC_RETURN, &args_ret), -EINVAL, "return: misaligned list");
	BAD_RETURN(0, "good");
	BAD_RETURN(-EINVAL, "twice");
	eq(g_return(a, &manual, 1), 0, "return: manual");
	eq(g_return(a, &manual, 1), -EINVAL, "return: manual twice");
}

static void test_sweep_scavenge(struct arena *a)
{
	struct gcarena_span held;

	eq(g_start_sweep(a, generation + 1), -EINVAL, "start sweep: another generation");
	eq(g_refill(a, C_64, 0, &held, 1), 1, "a held span");
	eq(g_start_sweep(a, generation), 0, "start sweep");
	generation++;
	eq(g_start_sweep(a, generation), -EBUSY, "start sweep: while sweeping");
	eq(g_return(a, &held, 1), 0, "the old span returned");
	eq(g_start_sweep(a, generation), 0, "start sweep: again");
	generation++;
	eq(g_scavenge(a, GCARENA_SCAVENGE_ALL, 4096), -EINVAL, "scavenge: all, and bytes");
	eq(g_scavenge(a, GCARENA_SCAVENGE_INSIDE, 4096), -EINVAL,
	   "scavenge: bytes, and inside spans");
	eq(g_scavenge(a, 0, 0), 0, "scavenge: nothing asked");
}

#define RESIDENCY(want, name, ...)					\
	do {								\
		struct gcarena_run runs[2] = { { .page = POISON } };	\
		struct gcarena_residency c = {				\
			.size = sizeof(c), .runs = (uintptr_t)runs,	\
			.nr_runs = 2, .npages = SIZE / PAGE,		\
		};							\
									\
		__VA_ARGS__;						\
		eq(g_ioctl(a->fd, GCARENA_IOC_RESIDENCY, &c), want, "residency: " name); \
		if (want)						\
			eq(runs[0].page, POISON, "residency: no run written"); \
	} while (0)

static void test_residency(struct arena *a)
{
	RESIDENCY(-EINVAL, "no room", c.nr_runs = 0);
	RESIDENCY(-EINVAL, "longer than the heap", c.npages++);
	RESIDENCY(-EINVAL, "beyond its end", c.page = 1);
	RESIDENCY(-EINVAL, "page outside", c.page = SIZE / PAGE + 1; c.npages = 0);
	RESIDENCY(-EINVAL, "absurd page", c.page = ~0U);
	RESIDENCY(-EINVAL, "absurd length", c.page = 2; c.npages = ~0U);
	RESIDENCY(-EINVAL, "runs misaligned", c.runs += 2);
	RESIDENCY(-EFAULT, "runs null", c.runs = 0);
	RESIDENCY(-EFAULT, "runs in the kernel", c.runs = 1ULL << 63);
	RESIDENCY(0, "nothing asked, at the end",
		  c.page = SIZE / PAGE; c.npages = 0; c.nr_runs = 0);
	RESIDENCY(0, "absurd room", c.nr_runs = ~0U; c.npages = 1);
}

#define POLICY(want, name, set_flags, ...)				\
	do {								\
		struct gcarena_policy policy = { .size = sizeof(policy) }; \
		struct gcarena_policy_call c = {			\
			.size = sizeof(c), .flags = set_flags, .policy = (uintptr_t)&policy, \
		};							\
									\
		__VA_ARGS__;						\
		eq(g_ioctl(a->fd, GCARENA_IOC_POLICY, &c), want, "policy: " name); \
	} while (0)

static void test_policy(struct arena *a)
{
	struct gcarena_policy longer[2] = {};

	POLICY(-EFAULT, "set from null", GCARENA_POLICY_SET, c.policy = 0);
	POLICY(-EFAULT, "read to null", 0, c.policy = 0);
	POLICY(-EINVAL, "set, misaligned", GCARENA_POLICY_SET, c.policy += 2);
	POLICY(-EINVAL, "read, misaligned", 0, c.policy += 2);
	POLICY(-EINVAL, "set, short", GCARENA_POLICY_SET, policy.size = 8);
	POLICY(-EINVAL, "read, short", 0, policy.size = 8);
	POLICY(-E2BIG, "read, absurd size", 0, policy.size = ~0U);
	longer[0].size = sizeof(longer);
	POLICY(0, "read, longer", 0, c.policy = (uintptr_t)longer);
	longer[1].reserved2[1] = 1;
	POLICY(-E2BIG, "read, an unknown field that is set", 0, c.policy = (uintptr_t)longer);
	POLICY(-E2BIG, "set, an unknown field that is set", GCARENA_POLICY_SET,
	       c.policy = (uintptr_t)longer);
	POLICY(-EINVAL, "set, unknown flag", GCARENA_POLICY_SET, policy.flags = 1);
	POLICY(-EINVAL, "set, watermark", GCARENA_POLICY_SET, policy.watermark_high = 101);
	POLICY(-EINVAL, "set, no such node", GCARENA_POLICY_SET, policy.node = 1025);
	POLICY(0, "set, node 0", GCARENA_POLICY_SET, policy.node = 1);
	POLICY(0, "set", GCARENA_POLICY_SET, policy.limit_bytes = SIZE / 2);
	POLICY(0, "read", 0, policy.limit_bytes = 1; policy.retain_bytes = 1);
	policy_out.size = sizeof(policy_out);
	make_good(&calls[7]);
	run(a->fd, &calls[7]);
	eq(policy_out.limit_bytes, SIZE / 2, "policy: what was set last without error");
	POLICY(0, "set back", GCARENA_POLICY_SET, policy.limit_bytes = 0);
}

static void test_unharmed(struct arena *a)
{
	struct gcarena_span span;

	eq(g_refill(a, C_64, 0, &span, 1), 1, "afterwards: a span");
	memset(g_addr(a, span.page), 0x5a, PAGE);
	g_set_bit(a, span.generation & 1, span.page, 0);
	eq(g_return(a, &span, 1), 0, "afterwards: returned");
	ok(g_row_in_use(a, span.page), "afterwards: in use, with one object");
	eq(g_debugfs_stat(a->setup.id, "spans_inuse") - g_debugfs_stat(a->setup.id, "spans_ready"),
	   1, "afterwards: debugfs agrees");
}

int main(void)
{
	struct arena a;
	unsigned int i;
	int fd = open(DEVICE, O_RDWR);

	if (fd < 0)
		bail("%s: %s", DEVICE, strerror(errno));
	test_numbers(fd);
	test_features(fd);
	test_before_setup(fd);
	test_setup(fd);
	eq(g_setup(fd, SIZE, NULL), 0, "after all that the descriptor can be set up");
	close(fd);

	g_open(&a, SIZE);
	for (i = 0; i < NR_CALLS; i++) {
		test_sizes(a.fd, &calls[i]);
		test_fields(a.fd, &calls[i]);
		test_unwritable(a.fd, &calls[i]);
		test_good(a.fd, &calls[i]);
	}
	test_other_process(&a);
	test_refill(&a);
	test_refill_partly(&a);
	test_return(&a);
	test_sweep_scavenge(&a);
	test_residency(&a);
	test_policy(&a);
	test_unharmed(&a);
	g_close(&a);
	return tap_done();
}
