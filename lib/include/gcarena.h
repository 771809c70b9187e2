/* SPDX-License-Identifier: MIT */
/*
 * libgcarena: a garbage-collected heap for C programs and language runtimes.
 *
 * Open a heap, attach each thread that touches it, describe your structures
 * once, allocate.  Non-moving mark-sweep; objects are 16-byte aligned and
 * zeroed.  Documentation/library.rst is the guide; each function below says
 * its units and errors.  Functions that return int return 0 or a negative
 * errno and leave a sentence in gca_error().
 *
 * Threads: a heap may be used by any number of threads; a mutator only by the
 * thread that attached it.  GNU C11, or C++11 for structures that are C's (gcc or clang).
 *
 * The inline functions touch the first members of struct gca_mutator, struct
 * gca_cache and struct gca_kind.  Those are ABI: their layout does not change
 * within one soname.
 */
#ifndef GCARENA_H
#define GCARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
/* C as it is: casts, and structures with a function of their name. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wshadow"
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wuseless-cast"
#endif
#endif

#if defined(__GNUC__)
#define GCA_API __attribute__((visibility("default")))
#else
#error "libgcarena needs GNU C (gcc or clang)"
#endif
#ifdef __cplusplus
#define GCA_STATIC_ASSERT_	static_assert
#define GCA_NO_FRAME_		{}
#else
#define GCA_STATIC_ASSERT_	_Static_assert
#define GCA_NO_FRAME_		{ .gca_head = { NULL, NULL, 0 } }
#endif
#define GCA_LIKELY_(x)		__builtin_expect(!!(x), 1)
#define GCA_ALWAYS_INLINE_	static inline __attribute__((always_inline))

struct gca_heap;
struct gca_mutator;
struct gca_visitor;

/* ------------------------------------------------------------------ heap */

enum gca_backend {
	GCA_BACKEND_AUTO = 0,	/* the device when present and permitted, else */
	GCA_BACKEND_DEVICE,	/* /dev/gcarena */
	GCA_BACKEND_PROCESS,	/* the same span core, in this process */
};

enum gca_mode {
	/* Marking runs beside the mutators, on a thread of the heap's: every
	 * pointer store into the heap or a registered range goes through a
	 * barrier, stores into conservative objects too.
	 */
	GCA_MODE_CONCURRENT = 0,
	/* Marking stops every mutator: plain stores everywhere. */
	GCA_MODE_STOP_THE_WORLD,
};

/* Minor cycles mark only what was allocated since the cycle before: see
 * Documentation/generations.rst.  Concurrent heaps have them.
 */
enum gca_generations {
	GCA_GENERATIONS_DEFAULT = 0,
	GCA_GENERATIONS_OFF,	/* each cycle marks all that is alive */
	GCA_GENERATIONS_AUTO,	/* minor cycles where they pay */
	GCA_GENERATIONS_ON,	/* wherever there is room for one */
};

#define GCA_PERCENT_DEFAULT	100
#define GCA_PERCENT_OFF		(-1)	/* no collection but by gca_collect() or a limit */

/**
 * struct gca_config - how to open a heap
 * @size: sizeof(struct gca_config); gca_config_init() sets it
 * @backend: which backend; anything but AUTO is an error when it is missing
 * @mode: concurrent (default) or stop-the-world
 * @percent: GC percent as Go's GOGC; 0 means GCA_PERCENT_DEFAULT
 * @heap_size: address space in bytes, rounded up to 2 MiB; 0 means 64 GiB, or
 *	what RLIMIT_AS leaves of it
 * @limit: bytes of memory at most, in use, metadata and reserve; 0 for none (as
 *	Go's GOMEMLIMIT, but an allocation that cannot be met fails)
 * @device: path of the device, NULL for /dev/gcarena
 * @share: per cent of the CPUs that marking beside the program may use, up to 100;
 *	0 means 25.  A thread that waits for a cycle adds the CPU it does not use
 * @workers: threads that mark, at most, up to 64; 0 means one for each CPU
 * @heap_max: bytes of objects at most, live and not yet collected, 0 for any; beyond
 *	it an allocation does what it does at the limit
 * @generations: whether cycles may be minor ones
 * @reserved: zero
 *
 * The environment overrides: GCARENA_BACKEND (device, process, auto),
 * GCARENA_PERCENT (a number or off), GCARENA_LIMIT (bytes, or with KiB, MiB, GiB;
 * cgroup, or as 80% a part of the control group's; or off), GCARENA_HEAP_MAX (bytes as
 * there, or off), GCARENA_SHARE (per cent),
 * GCARENA_WORKERS (threads), GCARENA_GENERATIONS (off, auto or on),
 * GCARENA_SIGNAL (a real-time signal, or off),
 * GCARENA_PROFILE (see Documentation/profiling.rst), GCARENA_DEBUG
 * (comma-separated key=value: verify, shadow, gctrace, scavtrace, pacertrace, poison,
 * stress, each 0 or 1), GCARENA_TIMELINE (ftrace, or a file), GCARENA_ENDPOINT (a
 * directory instead of XDG_RUNTIME_DIR for the socket that gcarena(1) asks, or off).
 */
struct gca_config {
	size_t size;
	enum gca_backend backend;
	enum gca_mode mode;
	int percent;
	size_t heap_size;
	size_t limit;
	const char *device;
	unsigned int share;
	unsigned int workers;
	size_t heap_max;
	enum gca_generations generations;
	uintptr_t reserved;
};

GCA_API void gca_config_init(struct gca_config *config);

/* -EINVAL: a field or an environment variable; -ENODEV, -EACCES: the forced
 * backend; -ENOMEM: address space or memory.  @config may be NULL: defaults.
 */
GCA_API int gca_open(const struct gca_config *config, struct gca_heap **heap);

/* -EBUSY while a mutator is attached, and from a finalizer.  Everything in the heap is gone. */
GCA_API int gca_close(struct gca_heap *heap);

/* The calling thread's last failure in a sentence; never NULL. */
GCA_API const char *gca_error(void);

/* GCA_BACKEND_DEVICE or GCA_BACKEND_PROCESS. */
GCA_API enum gca_backend gca_backend(const struct gca_heap *heap);

/* At run time; each returns the previous value and acts at once. */
GCA_API int gca_set_percent(struct gca_heap *heap, int percent);
GCA_API size_t gca_set_limit(struct gca_heap *heap, size_t bytes);
GCA_API size_t gca_set_heap_max(struct gca_heap *heap, size_t bytes);
/* Whether threads that allocate while marking is on help to mark, as they do at first;
 * else they wait when the heap is at its goal.
 */
GCA_API bool gca_set_assist(struct gca_heap *heap, bool on);
/* Whether cycles may be minor ones; from the next cycle on.  The previous value. */
GCA_API enum gca_generations gca_set_generations(struct gca_heap *heap,
						 enum gca_generations generations);
/* Whether marking uses idle CPUs beyond its share; at first it does.  The previous value. */
GCA_API bool gca_set_idle(struct gca_heap *heap, bool on);
/* Whether the percent follows load and pressure, from a quarter of it to four times; off at
 * first.  Documentation/pacing.rst has the law.
 */
GCA_API bool gca_set_adaptive(struct gca_heap *heap, bool on);
/* The limit is @percent of the control group's memory.max or memory.high, read at each
 * cycle's start; 0: no longer.  -EINVAL.
 */
GCA_API int gca_follow_cgroup(struct gca_heap *heap, unsigned int percent);
/* After how many milliseconds a thread that comes to no safepoint while one is asked
 * for is named to the report handler, or on stderr; 10000 at first, 0: never.
 */
GCA_API uint64_t gca_set_watchdog(struct gca_heap *heap, uint64_t ms);
/* The signal that stops threads with conservative stacks which come to no safepoint
 * for 10 ms; SIGRTMAX - 4 at first, or one of the four below it if that has a handler;
 * 0: they are waited for.  -EINVAL: no real-time
 * signal; -EBUSY: it has a handler; -ENOTSUP: not on this machine.
 */
GCA_API int gca_set_stop_signal(struct gca_heap *heap, int number);
/* How many milliseconds may pass without a cycle, 120000 at first; 0: any. */
GCA_API uint64_t gca_set_period(struct gca_heap *heap, uint64_t ms);

/* Called when an allocation of @size bytes cannot be met, after the heap has
 * collected and scavenged: true to try once more (after a cycle, so clearing
 * references helps), false to let it return NULL.  Runs on the allocating thread,
 * whose @mutator it may store with; must not allocate, and must return: no longjmp().
 */
typedef bool (*gca_failure_fn)(struct gca_mutator *mutator, size_t size, void *arg);
GCA_API void gca_set_failure_handler(struct gca_heap *heap, gca_failure_fn fn, void *arg);

/* Memory runs short: SOME, somebody reclaims this program's memory, or 85 % of the limit
 * are in use; FULL, 92 % are; NONE, none of it any more (in use is back at 75 %).
 */
enum gca_pressure {
	GCA_PRESSURE_NONE,
	GCA_PRESSURE_SOME,
	GCA_PRESSURE_FULL,
};

/* Called once for each time that the arena reports pressure, and when that is over, by
 * a thread that allocates, before it does: so while nobody allocates nobody is told.  To
 * let go of caches, take less work, collect later; may store with @mutator, must not
 * allocate.
 */
typedef void (*gca_pressure_fn)(struct gca_mutator *mutator, enum gca_pressure level, void *arg);
GCA_API void gca_set_pressure_handler(struct gca_heap *heap, gca_pressure_fn fn, void *arg);

/* What a failed check (verify, shadow) reports to.  Without one the report goes
 * to stderr and the process aborts.  Runs with the world stopped, on any thread.
 */
typedef void (*gca_report_fn)(struct gca_heap *heap, const char *report, void *arg);
GCA_API void gca_set_report_handler(struct gca_heap *heap, gca_report_fn fn, void *arg);

/* --------------------------------------------------------------- threads */

#define GCA_STACK_CONSERVATIVE	0x0u	/* scan this thread's stack and registers */
#define GCA_STACK_PRECISE	0x1u	/* roots are this mutator's frames only */

/* -EBUSY: this thread is attached to this heap already. */
GCA_API int gca_attach(struct gca_heap *heap, unsigned int flags, struct gca_mutator **mutator);
/* On the thread that attached.  -EBUSY: frames still pushed. */
GCA_API int gca_detach(struct gca_mutator *mutator);
GCA_API struct gca_heap *gca_heap_of(struct gca_mutator *mutator);

/* Between the two the thread must not touch the heap; cycles do not wait for
 * it.  Regions nest.  For system calls, lock waits, long computations.
 */
GCA_API void gca_blocking_begin(struct gca_mutator *mutator);
GCA_API void gca_blocking_end(struct gca_mutator *mutator);

GCA_API void gca_safepoint_slow(struct gca_mutator *mutator);

/* ----------------------------------------------------- ABI of the inlines */

struct gca_cache {
	uintptr_t cur;		/* next free slot */
	uintptr_t end;		/* end of the run of free slots */
	uint32_t elem;		/* bytes from slot to slot */
	uint32_t needs_zero;	/* slots may hold old data */
	uintptr_t reserved;
};

/* Bits: MARK alone and CARD alone are done inline, all else by the slow path. */
enum {
	GCA_BARRIER_OFF,	/* a store is a store */
	GCA_BARRIER_MARK = 1,	/* marking: it shades */
	GCA_BARRIER_SLOW = 2,	/* it takes the slow path */
	GCA_BARRIER_CARD = 4,	/* it dirties its slot's card */
};

#define GCA_CARD_SHIFT		9	/* a card is 512 bytes of heap */

struct gca_mutator_abi {
	uint32_t poll;		/* non-zero: gca_safepoint_slow() */
	uint32_t barrier;	/* GCA_BARRIER_* */
	uintptr_t heap_base;
	uint64_t *alloc_bits;	/* bitmap[generation & 1]: one bit a granule */
	uint64_t *pointer_bits;	/* one bit a word, for GCA_FLAVOUR_PRECISE */
	struct gca_cache *cache; /* by span class; empty ones while allocation
				  * must take the slow path
				  */
	const uint16_t *noscan_cache; /* offset of the cache of bytes, by (size + 16) / 16 */
	uintptr_t *shades;	/* where the next shaded word goes */
	uintptr_t *shades_end;	/* there is room for two below it */
	uint8_t *cards;		/* one a card of the heap; not 0: dirty */
	uintptr_t heap_size;
};

#define GCA_MUTATOR_(m)	((struct gca_mutator_abi *)(void *)(m))

/* How the collector finds the pointers of an object. */
enum gca_flavour {
	GCA_FLAVOUR_NOSCAN = 0,	/* none */
	GCA_FLAVOUR_PRECISE,	/* pointer bits, objects up to 512 bytes */
	GCA_FLAVOUR_CONSERVATIVE, /* every aligned word may be one */
	GCA_FLAVOUR_KINDED,	/* by the kind's id in a side table */
	GCA_FLAVOURS,
};

#define GCA_INLINE_MAX	512	/* bytes: larger requests take the slow path */
#define GCA_INLINE_BYTES_MAX 4096 /* the same of bytes without pointers */

struct gca_kind {
	const uint16_t *class_of; /* span class by (size + 16) / 16 */
	uint64_t pointer_mask;	/* for PRECISE: bit i = word i, for size @size */
	uint32_t size;		/* of the layout; 0: any */
	uint32_t id;
	uint32_t flavour;	/* of objects up to GCA_INLINE_MAX */
	uint32_t inline_ok;	/* the inline path may serve size == @size */
	uint32_t cache_offset;	/* of the cache for @size, in bytes; 0: an empty one */
	uint32_t reserved;
};

/* ----------------------------------------------------------------- kinds */

/* A run of @count pointer slots at @offset bytes. */
struct gca_run {
	uint32_t offset;
	uint32_t count;
};

/* The pointer slots of @object, and nothing else, by gca_visit().  May run
 * beside the mutators, and on several threads at once: reads only fields fixed
 * before publication.
 */
typedef void (*gca_trace_fn)(const void *object, size_t size, struct gca_visitor *visitor);

#define GCA_NO_TAIL	UINT32_MAX

/**
 * struct gca_layout - where a kind's pointers are; made by the macros below
 * @name: for reports
 * @size: bytes of the fixed part
 * @tail: offset of a flexible array of pointers, or GCA_NO_TAIL
 * @runs: pointer slots of the fixed part, ended by a run of count 0
 * @trace: instead of @runs and @tail, or NULL
 * @kind: set by gca_kind_register()
 * @flags: GCA_LAYOUT_*
 */
struct gca_layout {
	const char *name;
	uint32_t size;
	uint32_t tail;
	const struct gca_run *runs;
	gca_trace_fn trace;
	const struct gca_kind *kind;
	uint32_t flags;
};

/* No pointer one past the end of such an object is ever the only one to it, as
 * a loop over an array at its end may leave: it may fill its slot to the brim.
 */
#define GCA_LAYOUT_EXACT	0x1u
/* The pointer fields may point into objects, or one past their end, not only to where
 * they begin.  Such objects have a kind's id instead of pointer bits: at least 64 bytes.
 */
#define GCA_LAYOUT_INTERIOR	0x2u
/* Objects may change into another such kind, by gca_relayout(); stored like those. */
#define GCA_LAYOUT_CHANGES	0x4u

/* Kinds are the process's, not one heap's.  Never NULL: when a layout is bad or
 * there are 65535 kinds already, a kind from which every allocation fails.
 */
GCA_API const struct gca_kind *gca_kind_register(struct gca_layout *layout);

/**
 * gca_kind_of - the kind of a layout
 * @layout: a static one; GCA_KIND(tag) is this for a struct @tag
 *
 * Registers it the first time.  Return: as gca_kind_register().
 */
GCA_ALWAYS_INLINE_ const struct gca_kind *gca_kind_of(struct gca_layout *layout)
{
	const struct gca_kind *kind = __atomic_load_n(&layout->kind, __ATOMIC_ACQUIRE);

	return GCA_LIKELY_(kind) ? kind : gca_kind_register(layout);
}

/* Kinds that need no layout. */
GCA_API const struct gca_kind *gca_kind_noscan(void);	/* no pointers: bytes */
GCA_API const struct gca_kind *gca_kind_refs(void);	/* an array of gca_ref */
GCA_API const struct gca_kind *gca_kind_conservative(void); /* plain C data */

/* A pointer field: a structure of one member, so that a plain assignment to or
 * from it does not compile.
 */
#define GCA_REF(type)	struct { type *gca_raw; }
typedef GCA_REF(void) gca_ref;

/*
 * One declaration gives the structure and its layout:
 *
 *	#define NODE_FIELDS(F)			\
 *		F(REF, struct node, next)	\
 *		F(REFS, struct node, child, 4)	\
 *		F(VAL, int, key)		\
 *		F(VALS, char, name, 16)		\
 *		F(RAW, FILE *, log)		\
 *		F(TAIL, struct node, more)
 *	GCA_STRUCT(node, NODE_FIELDS);
 *
 * REF a pointer into the heap, REFS an array of them, TAIL a flexible array of
 * them (last), VAL and VALS data without pointers (a pointer type does not
 * compile), RAW a pointer to something outside the heap.
 */
#define GCA_FIELD_REF_(type, name)	GCA_REF(type) name;
#define GCA_FIELD_REFS_(type, name, n)	GCA_REF(type) name[n];
#define GCA_FIELD_TAIL_(type, name)	GCA_REF(type) name[];
#define GCA_FIELD_VAL_(type, name)	type name;
#define GCA_FIELD_VALS_(type, name, n)	type name[n];
#define GCA_FIELD_RAW_(type, name)	type name;
#define GCA_FIELD_(sort, ...)		GCA_FIELD_##sort##_(__VA_ARGS__)

#define GCA_RUN_REF_(type, name)	{ offsetof(gca_self_, name), 1 },
#define GCA_RUN_REFS_(type, name, n)	{ offsetof(gca_self_, name), (n) },
#define GCA_RUN_TAIL_(type, name)
#define GCA_RUN_VAL_(type, name)
#define GCA_RUN_VALS_(type, name, n)
#define GCA_RUN_RAW_(type, name)
#define GCA_RUN_(sort, ...)		GCA_RUN_##sort##_(__VA_ARGS__)

#define GCA_TAIL_REF_(type, name)
#define GCA_TAIL_REFS_(type, name, n)
#define GCA_TAIL_TAIL_(type, name)	+ offsetof(gca_self_, name) - GCA_NO_TAIL
#define GCA_TAIL_VAL_(type, name)
#define GCA_TAIL_VALS_(type, name, n)
#define GCA_TAIL_RAW_(type, name)
#define GCA_TAIL_(sort, ...)		GCA_TAIL_##sort##_(__VA_ARGS__)

/* 5 is pointer_type_class in gcc's and clang's __builtin_classify_type(). */
#define GCA_CHECK_VAL_(type, name)						\
	GCA_STATIC_ASSERT_(__builtin_classify_type(*(type *)0) != 5,		\
		       #name ": a pointer is REF (into the heap) or RAW (outside it)");
#define GCA_CHECK_VALS_(type, name, n)	GCA_CHECK_VAL_(type, name)
#define GCA_CHECK_REF_(type, name)
#define GCA_CHECK_REFS_(type, name, n)
#define GCA_CHECK_TAIL_(type, name)
#define GCA_CHECK_RAW_(type, name)
#define GCA_CHECK_(sort, ...)		GCA_CHECK_##sort##_(__VA_ARGS__)

/* An array at the end, of fields or inside of one, is what a loop runs over. */
#define GCA_LOOPED_(type, name, length)						\
	+ (offsetof(gca_self_, name) + sizeof(type) * (length) == sizeof(gca_self_))
#define GCA_END_REF_(type, name)
#define GCA_END_REFS_(type, name, n)	GCA_LOOPED_(void *, name, n)
#define GCA_END_TAIL_(type, name)	+ 1
#define GCA_END_VAL_(type, name)						\
	+ (sizeof(type) > sizeof(void *) &&					\
	   offsetof(gca_self_, name) + sizeof(type) == sizeof(gca_self_))
#define GCA_END_VALS_(type, name, n)	GCA_LOOPED_(type, name, n)
#define GCA_END_RAW_(type, name)
#define GCA_END_(sort, ...)		GCA_END_##sort##_(__VA_ARGS__)

#define GCA_STRUCT(tag, FIELDS)	GCA_STRUCT_FLAGS(tag, FIELDS, 0)

/* The same with GCA_LAYOUT_INTERIOR or _CHANGES, or both. */
#define GCA_STRUCT_FLAGS(tag, FIELDS, flags_)					\
	struct tag { FIELDS(GCA_FIELD_) };					\
	FIELDS(GCA_CHECK_)							\
	static inline __attribute__((unused)) struct gca_layout *		\
	gca_layout_##tag(void)							\
	{									\
		typedef struct tag gca_self_ __attribute__((unused));		\
		static const struct gca_run runs[] = { FIELDS(GCA_RUN_) { 0, 0 } }; \
		static struct gca_layout layout = {				\
			#tag, sizeof(struct tag),				\
			(uint32_t)(GCA_NO_TAIL FIELDS(GCA_TAIL_)),		\
			runs, NULL, NULL,					\
			((0 FIELDS(GCA_END_)) ? 0 : GCA_LAYOUT_EXACT) | (flags_) }; \
		return &layout;							\
	}									\
	struct tag

/* A structure whose pointers a callback visits. */
#define GCA_TRACED(tag, callback)						\
	static inline __attribute__((unused)) struct gca_layout *		\
	gca_layout_##tag(void)							\
	{									\
		static const struct gca_run runs[] = { { 0, 0 } };		\
		static struct gca_layout layout = {				\
			#tag, sizeof(struct tag), GCA_NO_TAIL,			\
			runs, callback, NULL, 0 };				\
		return &layout;							\
	}									\
	struct tag

#define GCA_KIND(tag)	gca_kind_of(gca_layout_##tag())

/* For trace and root callbacks. */
GCA_API void gca_visit_slots(struct gca_visitor *visitor, const void *slots, size_t count);
GCA_API void gca_visit_value(struct gca_visitor *visitor, const void *object);
/* Conservative: any aligned word of [@low, @high) may be a pointer; for stacks that are
 * the program's own.
 */
GCA_API void gca_visit_words(struct gca_visitor *visitor, const void *low, const void *high);
/* From a callback: the REF field at @slot holds a pointer. */
#define gca_visit(visitor, slot) \
	gca_visit_slots((visitor), (const void *)&(slot)->gca_raw, 1)

/* ------------------------------------------------------------ allocation */

GCA_API void *gca_alloc_slow(struct gca_mutator *mutator, const struct gca_kind *kind,
			     size_t size);
/* The same of bytes that need not be zero. */
GCA_API void *gca_alloc_raw_slow(struct gca_mutator *mutator, size_t size);

/* By the only writer of the word, which a marker may be reading. */
GCA_ALWAYS_INLINE_ void gca_bits_or_(uint64_t *word, uint64_t bits)
{
	__atomic_store_n(word, *word | bits, __ATOMIC_RELAXED);
}

/* The slot is zero and its layout written: its alloc bit, with release.  While a
 * span is held only its holder writes its alloc bits.
 */
GCA_ALWAYS_INLINE_ void gca_publish_(struct gca_mutator_abi *abi, uint64_t granule)
{
	__atomic_store_n(&abi->alloc_bits[granule >> 6],
			 abi->alloc_bits[granule >> 6] | 1ULL << (granule & 63),
			 __ATOMIC_RELEASE);
}

/* The pointer bits of a slot; those of a free one are clear. */
GCA_ALWAYS_INLINE_ void gca_set_layout_(struct gca_mutator_abi *abi, uint64_t granule,
					uint64_t mask, size_t size)
{
	uint64_t word = granule << 1;
	unsigned int shift = word & 63;

	gca_bits_or_(&abi->pointer_bits[word >> 6], mask << shift);
	/* Two words never cross: they are aligned to two. */
	if (size > 2 * sizeof(void *) && shift && mask >> (64 - shift))
		gca_bits_or_(&abi->pointer_bits[(word >> 6) + 1], mask >> (64 - shift));
}

/*
 * GCA_TAKE_ - take the next slot of a cache, which is full when it gives false.  Where it
 * can be interrupted by a stop, one instruction takes the slot, so that it is taken or not.
 * Who stops us before that may close the run, and its end is looked at last.  (One
 * instruction that gives the old value too, xadd, takes three times as long.)
 */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define GCA_TAKE_(cache, slot) __extension__ ({					\
	uint64_t gca_elem_ = (cache)->elem;					\
	bool gca_there_;							\
										\
	__asm__ volatile("movq %[cur], %[slot]\n\t"				\
			 "addq %[elem], %[cur]\n\t"				\
			 "cmpq %[end], %[slot]"					\
			 : [slot] "=&r" (slot), [cur] "+m" ((cache)->cur),	\
			   "=@ccb" (gca_there_)					\
			 : [elem] "r" (gca_elem_), [end] "m" ((cache)->end));	\
	GCA_LIKELY_(gca_there_);						\
})
#else
#define GCA_TAKE_(cache, slot) \
	(((slot) = (cache)->cur) < (cache)->end && ((cache)->cur += (cache)->elem, 1))
#endif

/* Clears a slot.  What is too long to be cleared by a few stores is left to the C
 * library, which knows the processor: compilers make of a constant size a string
 * instruction, that is slower below a kilobyte or two.
 */
GCA_ALWAYS_INLINE_ void gca_clear_(void *slot, size_t size)
{
#if defined(__x86_64__)
	if (__builtin_constant_p(size) && size > 128)
		__asm__("" : "+r" (size));
#endif
	memset(slot, 0, size);
}

/**
 * gca_alloc - allocate a zeroed object
 * @mutator: the calling thread's
 * @kind: where its pointers are
 * @size: bytes, at least the layout's size; more is the flexible array's, or, of a
 *	layout without one, data in which no pointer is looked for
 *
 * A safepoint.  The object is reachable while its address is on a scanned
 * stack, in a frame, in a registered range or in a reachable object.
 *
 * Return: the object, or NULL when memory, address space or the limit is out
 * (after collecting, and after the failure handler declined) or @size is below
 * the layout's or too large; gca_error() says which.
 */
GCA_ALWAYS_INLINE_ void *gca_alloc(struct gca_mutator *mutator, const struct gca_kind *kind,
				   size_t size)
{
	struct gca_mutator_abi *abi = GCA_MUTATOR_(mutator);
	struct gca_cache *cache;
	uint64_t granule;
	uintptr_t slot;

	if (!GCA_LIKELY_(kind->inline_ok && size - 1 < GCA_INLINE_MAX &&
			 (!kind->size || size == kind->size)))
		return gca_alloc_slow(mutator, kind, size);
	cache = &abi->cache[kind->class_of[(size + 16) >> 4]];
	if (!GCA_TAKE_(cache, slot))
		return gca_alloc_slow(mutator, kind, size);
	/* Only of slots without pointers: others were zeroed with their run. */
	if (cache->needs_zero)
		gca_clear_((void *)slot, size);
	granule = (slot - abi->heap_base) >> 4;
	if (kind->pointer_mask)
		gca_set_layout_(abi, granule, kind->pointer_mask, size);
	gca_publish_(abi, granule);
	return (void *)slot;
}

/* The same of @size == @kind->size, a constant. */
GCA_ALWAYS_INLINE_ void *gca_alloc_fixed_(struct gca_mutator *mutator,
					  const struct gca_kind *kind, size_t size)
{
	struct gca_mutator_abi *abi = GCA_MUTATOR_(mutator);
	struct gca_cache *cache = (struct gca_cache *)(void *)
				  ((char *)abi->cache + kind->cache_offset);
	uint64_t granule;
	uintptr_t slot;

	if (!GCA_TAKE_(cache, slot))
		return gca_alloc_slow(mutator, kind, size);
	if (cache->needs_zero)
		gca_clear_((void *)slot, size);
	granule = (slot - abi->heap_base) >> 4;
	if (kind->pointer_mask)
		gca_set_layout_(abi, granule, kind->pointer_mask, size);
	gca_publish_(abi, granule);
	return (void *)slot;
}

/* @size bytes without pointers, zeroed or as they come. */
GCA_ALWAYS_INLINE_ void *gca_alloc_bytes_(struct gca_mutator *mutator, size_t size, bool zeroed)
{
	struct gca_mutator_abi *abi = GCA_MUTATOR_(mutator);
	struct gca_cache *cache;
	uintptr_t slot;

	if (!GCA_LIKELY_(size - 1 < GCA_INLINE_BYTES_MAX))
		goto slow;
	cache = (struct gca_cache *)(void *)
		((char *)abi->cache + abi->noscan_cache[(size + 16) >> 4]);
	if (!GCA_TAKE_(cache, slot))
		goto slow;
	if (zeroed && cache->needs_zero)
		gca_clear_((void *)slot, size);
	gca_publish_(abi, (slot - abi->heap_base) >> 4);
	return (void *)slot;
slow:
	return zeroed ? gca_alloc_slow(mutator, gca_kind_noscan(), size) :
			gca_alloc_raw_slow(mutator, size);
}

/* A new struct @tag. */
#define gca_new(mutator, tag) \
	((struct tag *)gca_alloc_fixed_((mutator), GCA_KIND(tag), sizeof(struct tag)))
/* With @n elements of its TAIL. */
#define gca_new_tail(mutator, tag, n) \
	((struct tag *)gca_alloc_tail_((mutator), GCA_KIND(tag), sizeof(struct tag), (n)))
/* @n of them in a row, in one object that any pointer into keeps. */
#define gca_new_array(mutator, tag, n) \
	((struct tag *)gca_alloc_array_((mutator), GCA_KIND(tag), (n)))
/* An array of @n null pointers. */
#define gca_new_refs(mutator, n) \
	((gca_ref *)gca_alloc_tail_((mutator), gca_kind_refs(), 0, (n)))
/* @size bytes without pointers. */
#define gca_new_bytes(mutator, size) \
	gca_alloc_bytes_((mutator), (size), true)
/* The same, not zeroed: they hold what was there before. */
#define gca_new_bytes_raw(mutator, size) \
	gca_alloc_bytes_((mutator), (size), false)

GCA_API void *gca_alloc_tail_(struct gca_mutator *mutator, const struct gca_kind *kind,
			      size_t size, size_t count);
GCA_API void *gca_alloc_array_(struct gca_mutator *mutator, const struct gca_kind *kind,
			       size_t count);

/* As gca_alloc(), aligned to @align bytes: a power of two up to 8192. */
GCA_API void *gca_alloc_aligned(struct gca_mutator *mutator, const struct gca_kind *kind,
				size_t size, size_t align);

/* As gca_new_bytes(), for up to 15 bytes, several of which share 16: aligned only to
 * the power of two, up to 8, that divides @size, and alive while any of them is.
 */
GCA_API void *gca_new_tiny(struct gca_mutator *mutator, size_t size);

/* A copy of @string, of @length bytes at most for the second; without pointers. */
GCA_API char *gca_strdup(struct gca_mutator *mutator, const char *string);
GCA_API char *gca_strndup(struct gca_mutator *mutator, const char *string, size_t length);

/* An object of @kind with @object's contents, as far as both reach, @object itself
 * where that will do; what is new of it is zero.  @old_size is what it was
 * allocated with.  @object may be NULL.  NULL: as gca_alloc(), @object is as it was.
 */
GCA_API void *gca_realloc(struct gca_mutator *mutator, const struct gca_kind *kind, void *object,
			  size_t old_size, size_t size);

/*
 * gca_relayout - let an object be of another kind from now on
 *
 * Both kinds are GCA_LAYOUT_CHANGES, the new one fits the object's slot, the object is in
 * no other thread's hands meanwhile.  What is a pointer field in both keeps its value;
 * what becomes one is NULL; what was one and is data now may be written with plain
 * stores after the call.  -EINVAL: one of these is not so.
 */
GCA_API int gca_relayout(struct gca_mutator *mutator, void *object,
			 const struct gca_kind *kind);

/*
 * gca_free - say that nobody will use @object again
 *
 * Never needed.  Its memory is used again at once if it is the last that this
 * mutator allocated of its size, or else when its span is next refilled; while
 * marking is on, and for objects in spans that this mutator does not hold, the
 * collector finds it.  With GCARENA_DEBUG=poison=1 or shadow=1 a pointer that is no
 * object's, or one freed already, is reported.  Returns whether the memory came
 * free now.  @object may be NULL.
 */
GCA_API bool gca_free(struct gca_mutator *mutator, void *object);

/* ---------------------------------------------------------------- stores */

/*
 * Slots are of three sorts:
 *  - in the heap or in a registered range: every store by gca_store() or one of
 *    its kin below;
 *  - in an object that no other thread and no marker can know yet, from its
 *    allocation to its first publication or to the allocating thread's next
 *    safepoint, whichever is first: gca_init() will do, and is cheaper;
 *  - on the mutator's own stack or in its frames: plain assignment.
 * With GCARENA_DEBUG=shadow=1 a store that went another way is reported.
 */
typedef void *__attribute__((may_alias)) gca_word_;

GCA_API void gca_store_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value);
GCA_API void gca_init_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value);
GCA_API void *gca_exchange_slow(struct gca_mutator *mutator, gca_word_ *slot, void *value);
GCA_API bool gca_cas_slow(struct gca_mutator *mutator, gca_word_ *slot, void *expected,
			  void *desired);
GCA_API void gca_shade_flush(struct gca_mutator *mutator);

/* The card of a slot is dirty before the slot is written. */
GCA_ALWAYS_INLINE_ void gca_card_(struct gca_mutator_abi *abi, const gca_word_ *slot)
{
	uintptr_t offset = (uintptr_t)slot - abi->heap_base;
	uint8_t *card;

	/* Registered ranges have no cards. */
	if (offset >= abi->heap_size)
		return;
	card = &abi->cards[offset >> GCA_CARD_SHIFT];
	if (!__atomic_load_n(card, __ATOMIC_RELAXED))
		__atomic_store_n(card, 1, __ATOMIC_RELAXED);
}

/* While marking a store only notes two words, what it overwrites and what it
 * writes: what they are is looked at when the buffer is full.
 */
GCA_ALWAYS_INLINE_ void gca_store_(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	struct gca_mutator_abi *abi = GCA_MUTATOR_(mutator);
	uintptr_t *shades;

	if (GCA_LIKELY_(!abi->barrier)) {
		__atomic_store_n(slot, value, __ATOMIC_RELEASE);
		return;
	}
	if (abi->barrier != GCA_BARRIER_MARK) {
		if (abi->barrier != GCA_BARRIER_CARD) {
			gca_store_slow(mutator, slot, value);
			return;
		}
		gca_card_(abi, slot);
		__atomic_store_n(slot, value, __ATOMIC_RELEASE);
		return;
	}
	shades = abi->shades;
	shades[0] = (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED);
	shades[1] = (uintptr_t)value;
	shades += 2;
	abi->shades = shades;
	__atomic_store_n(slot, value, __ATOMIC_RELEASE);
	if (!GCA_LIKELY_(shades < abi->shades_end))
		gca_shade_flush(mutator);
}

GCA_ALWAYS_INLINE_ void gca_init_(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	struct gca_mutator_abi *abi = GCA_MUTATOR_(mutator);

	/* A new object is not old before the next cycle has marked it. */
	if (GCA_LIKELY_(!(abi->barrier & ~(uint32_t)GCA_BARRIER_CARD))) {
		*slot = value;
		return;
	}
	if (abi->barrier != GCA_BARRIER_MARK) {
		gca_init_slow(mutator, slot, value);
		return;
	}
	/* There was nothing there: only what it writes. */
	*abi->shades++ = (uintptr_t)value;
	__atomic_store_n(slot, value, __ATOMIC_RELAXED);
	if (!GCA_LIKELY_(abi->shades < abi->shades_end))
		gca_shade_flush(mutator);
}

GCA_ALWAYS_INLINE_ void *gca_exchange_(struct gca_mutator *mutator, gca_word_ *slot, void *value)
{
	if (GCA_LIKELY_(!GCA_MUTATOR_(mutator)->barrier))
		return __atomic_exchange_n(slot, value, __ATOMIC_ACQ_REL);
	return gca_exchange_slow(mutator, slot, value);
}

GCA_ALWAYS_INLINE_ bool gca_cas_(struct gca_mutator *mutator, gca_word_ *slot, void *expected,
				 void *desired)
{
	if (GCA_LIKELY_(!GCA_MUTATOR_(mutator)->barrier))
		return __atomic_compare_exchange_n(slot, &expected, desired, false,
						   __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return gca_cas_slow(mutator, slot, expected, desired);
}

#define GCA_SLOT_(slot)	((gca_word_ *)(void *)&(slot)->gca_raw)

/* Each macro's variable has a name of its own, so that they nest without a warning. */

/* Stores @value, an object or NULL, into the REF field at @slot, in the heap or in a
 * registered range.  Release.
 */
#define gca_store(mutator, slot, value) do {					\
	__typeof__((slot)->gca_raw) gca_value_ = (value);			\
	gca_store_((mutator), GCA_SLOT_(slot), (void *)gca_value_);		\
} while (0)

/* The same into an object that no other thread and no marker can know yet: from its
 * allocation to its publication or the thread's next safepoint.  A plain store.
 */
#define gca_init(mutator, slot, value) do {					\
	__typeof__((slot)->gca_raw) gca_fresh_ = (value);			\
	gca_init_((mutator), GCA_SLOT_(slot), (void *)gca_fresh_);		\
} while (0)

/* What the REF field at @slot holds.  Acquire. */
#define gca_load(slot) \
	((__typeof__((slot)->gca_raw))__atomic_load_n(GCA_SLOT_(slot), __ATOMIC_ACQUIRE))

/* The old value. */
#define gca_exchange(mutator, slot, value) __extension__ ({			\
	__typeof__((slot)->gca_raw) gca_new_ = (value);			\
	(__typeof__((slot)->gca_raw))						\
		gca_exchange_((mutator), GCA_SLOT_(slot), (void *)gca_new_);	\
})

/* True when *@slot was @expected and is now @desired. */
#define gca_compare_exchange(mutator, slot, expected, desired) __extension__ ({	\
	__typeof__((slot)->gca_raw) gca_expected_ = (expected);			\
	__typeof__((slot)->gca_raw) gca_desired_ = (desired);			\
	gca_cas_((mutator), GCA_SLOT_(slot), (void *)gca_expected_,		\
		 (void *)gca_desired_);						\
})

/* Bulk forms over arrays of slots: @count slots, overlap allowed; each slot is
 * stored whole, in no stated order.
 */
GCA_API void gca_copy_slots_slow(struct gca_mutator *mutator, gca_word_ *dst,
				 const gca_word_ *src, size_t count);
GCA_API void gca_clear_slots_slow(struct gca_mutator *mutator, gca_word_ *dst, size_t count);

/**
 * gca_copy_slots - copy references from one array of slots to another
 * @mutator: the calling thread's
 * @dst: to, in the heap or a registered range
 * @src: from; may overlap @dst
 * @count: slots
 *
 * Each slot is stored whole, in no stated order.
 */
GCA_ALWAYS_INLINE_ void gca_copy_slots(struct gca_mutator *mutator, void *dst, const void *src,
				       size_t count)
{
	gca_copy_slots_slow(mutator, (gca_word_ *)dst, (const gca_word_ *)src, count);
}

/**
 * gca_clear_slots - store NULL to an array of slots
 * @mutator: the calling thread's
 * @dst: the array, in the heap or a registered range
 * @count: slots
 */
GCA_ALWAYS_INLINE_ void gca_clear_slots(struct gca_mutator *mutator, void *dst, size_t count)
{
	gca_clear_slots_slow(mutator, (gca_word_ *)dst, count);
}

/* @n structures of GCA_STRUCT @tag from @src to @dst, data and pointers, as memmove()
 * would; not their tails.  Neither may be in another thread's hands meanwhile, but
 * for what loads whole pointers.
 */
#define gca_copy_structs(mutator, tag, dst, src, n) do {			\
	struct tag *gca_to_ = (dst);						\
	const struct tag *gca_from_ = (src);					\
	gca_copy_structs_((mutator), GCA_KIND(tag), gca_to_, gca_from_, (n));	\
} while (0)
GCA_API void gca_copy_structs_(struct gca_mutator *mutator, const struct gca_kind *kind,
			       void *dst, const void *src, size_t n);

/* @count references from the array of REF @src to @dst, which may overlap. */
#define gca_copy_refs(mutator, dst, src, count) do {				\
	GCA_STATIC_ASSERT_(sizeof(*(dst)) == sizeof(void *), "dst: an array of REF"); \
	(void)sizeof((dst)->gca_raw == (src)->gca_raw);				\
	gca_copy_slots((mutator), (dst), (src), (count));			\
} while (0)
/* @count NULLs to the array of REF @dst. */
#define gca_clear_refs(mutator, dst, count) do {				\
	(void)sizeof((dst)->gca_raw);						\
	gca_clear_slots((mutator), (dst), (count));				\
} while (0)
/* Copies, then clears what of @src is not in @dst: the slots have moved. */
#define gca_move_refs(mutator, dst, src, count) do {				\
	(void)sizeof((dst)->gca_raw == (src)->gca_raw);				\
	gca_move_slots((mutator), (dst), (src), (count));			\
} while (0)
GCA_API void gca_move_slots(struct gca_mutator *mutator, void *dst, void *src, size_t count);

/* ----------------------------------------------------------------- roots */

/* @bytes at @start, pointer-aligned, become roots and are set to zero; stores
 * into them as into the heap.  -EINVAL: alignment or overlap; -ENOMEM.
 */
GCA_API int gca_root_add(struct gca_heap *heap, void *start, size_t bytes);
/* -ENOENT: not a range that was added. */
GCA_API int gca_root_remove(struct gca_heap *heap, void *start);

/* @fn visits roots that only the program can find.  Runs with the world
 * stopped, at every cycle, on any thread: a concurrent heap is then stopped for
 * as long as all stacks and callbacks take.
 */
typedef void (*gca_root_fn)(struct gca_visitor *visitor, void *arg);
GCA_API int gca_root_callback_add(struct gca_heap *heap, gca_root_fn fn, void *arg);
GCA_API int gca_root_callback_remove(struct gca_heap *heap, gca_root_fn fn, void *arg);

struct gca_frame {
	struct gca_frame *next;
	struct gca_mutator *mutator;
	size_t count;		/* pointer slots behind this structure */
};

GCA_API void gca_frame_push(struct gca_mutator *mutator, struct gca_frame *frame);
GCA_API void gca_frame_pop(void *frame);
/* After longjmp(), which pops nothing: @frame, a GCA_FRAME's variable, is the innermost
 * one that is still there, NULL: none is.
 */
GCA_API void gca_frame_unwind(struct gca_mutator *mutator, void *frame);

/*
 * Precise stack roots, popped when the block is left (by a C++ exception too; by
 * pthread_exit() and cancellation with -fexceptions; for longjmp() see above):
 *
 *	GCA_FRAME(m, f, struct node *a; struct node *b);
 *	f.a = gca_new(m, node);
 */
#define GCA_FRAME(mutator_, name, ...)						\
	struct {								\
		struct gca_frame gca_head;					\
		__VA_ARGS__;							\
	} name __attribute__((cleanup(gca_frame_pop))) = GCA_NO_FRAME_;		\
	(name).gca_head.mutator = (mutator_);					\
	(name).gca_head.count =							\
		(sizeof(name) - sizeof(struct gca_frame)) / sizeof(void *);	\
	gca_frame_push((mutator_), &(name).gca_head)

/* Keeps @object alive up to here although only a derived pointer is left. */
#define gca_keepalive(object)	__asm__ volatile("" : : "r"(object) : "memory")

/* ------------------------------------------------------------ collection */

/**
 * gca_safepoint - let the collector act on the calling thread, if it wants to
 * @mutator: the calling thread's
 *
 * Allocations are safepoints; this is for long loops without any.
 */
GCA_ALWAYS_INLINE_ void gca_safepoint(struct gca_mutator *mutator)
{
	if (!GCA_LIKELY_(!__atomic_load_n(&GCA_MUTATOR_(mutator)->poll, __ATOMIC_RELAXED)))
		gca_safepoint_slow(mutator);
}

/* One whole new cycle, its sweep included.  A safepoint. */
GCA_API int gca_collect(struct gca_mutator *mutator);

/* gca_collect(), then everything free goes back to the system.  Returns the
 * bytes released.
 */
GCA_API size_t gca_release(struct gca_mutator *mutator);

/*
 * And pages between objects that live: least memory, for a program that is going to
 * idle.  What it costs: chunks with such pages lose their huge page, and to allocate
 * there again takes memory, and page faults, as it did the first time.
 */
GCA_API size_t gca_release_all(struct gca_mutator *mutator);

/* The object that @address points into, or NULL.  @size: its usable bytes. */
GCA_API void *gca_object_of(struct gca_heap *heap, const void *address, size_t *size);

/* ------------------------- weak references, ephemerons, finalizers, pools */

/*
 * A weak reference is an object of the heap, held as any other, that does not keep
 * its target alive.  NULL from gca_weak_get(): the target is gone.  Loads may wait,
 * blocked, while a cycle ends: safepoints.
 */
struct gca_weak;
GCA_API struct gca_weak *gca_weak_new(struct gca_mutator *mutator, void *target);
GCA_API void *gca_weak_get(struct gca_mutator *mutator, struct gca_weak *weak);
GCA_API void gca_weak_clear(struct gca_weak *weak);

/*
 * An ephemeron keeps its value alive while it and its key are alive, even if the
 * value refers to the key; it does not keep the key.  For tables keyed by objects.
 */
struct gca_ephemeron;
GCA_API struct gca_ephemeron *gca_ephemeron_new(struct gca_mutator *mutator, void *key,
						void *value);
GCA_API void *gca_ephemeron_key(struct gca_mutator *mutator, struct gca_ephemeron *ephemeron);
GCA_API void *gca_ephemeron_value(struct gca_mutator *mutator,
				  struct gca_ephemeron *ephemeron);
GCA_API void gca_ephemeron_set_value(struct gca_mutator *mutator,
				     struct gca_ephemeron *ephemeron, void *value);

/*
 * Called once for an object that nothing reaches any more, which lives again until
 * the call is over or as long as something refers to it; may set a finalizer again.
 * Weak references to it are cleared before.  Nothing is called by a cycle itself: the
 * program calls gca_finalizers_run(), or starts a thread for it once.
 *
 * ORDERED: of objects that refer to each other the referring one first; objects on a
 * cycle of references never.  UNORDERED: all at once.
 */
typedef void (*gca_finalizer_fn)(struct gca_mutator *mutator, void *object, void *arg);
#define GCA_FINALIZE_ORDERED	0x0u
#define GCA_FINALIZE_UNORDERED	0x1u
/* -EINVAL: not an object; -ENOENT: @fn is NULL and there was none; -ENOMEM. */
GCA_API int gca_finalizer_set(struct gca_mutator *mutator, void *object, gca_finalizer_fn fn,
			      void *arg, unsigned int flags);
/* @max 0: all.  How many were called. */
GCA_API size_t gca_finalizers_run(struct gca_mutator *mutator, size_t max);
GCA_API size_t gca_finalizers_ready(struct gca_heap *heap);
GCA_API int gca_finalizer_thread(struct gca_heap *heap);

/* Objects for reuse; what was not asked for during two cycles is garbage. */
struct gca_pool;
GCA_API struct gca_pool *gca_pool_new(struct gca_heap *heap);
GCA_API void gca_pool_free(struct gca_mutator *mutator, struct gca_pool *pool);
GCA_API void gca_pool_put(struct gca_mutator *mutator, struct gca_pool *pool, void *object);
GCA_API void *gca_pool_get(struct gca_mutator *mutator, struct gca_pool *pool);

/* -------------------------- handles, pins, manual memory, the heap walk */

/* A strong reference held by whoever is no root; usable by any attached thread. */
struct gca_handle;
GCA_API struct gca_handle *gca_handle_new(struct gca_mutator *mutator, void *object);
GCA_API void *gca_handle_get(const struct gca_handle *handle);
GCA_API void gca_handle_set(struct gca_mutator *mutator, struct gca_handle *handle,
			    void *object);
GCA_API int gca_handle_free(struct gca_mutator *mutator, struct gca_handle *handle);

/* Keeps the object that @address points into alive, counted; -EINVAL, -ENOMEM. */
GCA_API int gca_pin(struct gca_mutator *mutator, const void *address);
GCA_API int gca_unpin(struct gca_mutator *mutator, const void *address);

/* Pages that no cycle looks at, freed by hand: stacks, buffers.  Not zeroed. */
GCA_API void *gca_manual_alloc(struct gca_mutator *mutator, size_t bytes);
GCA_API int gca_manual_free(struct gca_mutator *mutator, void *memory);

struct gca_object_info {
	size_t size;		/* of this structure */
	void *object;
	size_t bytes;		/* usable */
	const char *kind;	/* name of its layout, or of its flavour */
	unsigned int flavour;	/* enum gca_flavour */
};

/* Runs with the world stopped: must not allocate or store.  false: enough. */
typedef bool (*gca_walk_fn)(const struct gca_object_info *info, void *arg);
GCA_API int gca_heap_walk(struct gca_mutator *mutator, gca_walk_fn fn, void *arg, size_t *nr);

/* ------------------------------------------------------------ statistics */

/*
 * struct gca_stats - what the heap has done and holds; bytes unless said
 *
 * heap_sys == heap_inuse + heap_idle; heap_released is a part of heap_idle.
 */
struct gca_stats {
	size_t size;		/* in: sizeof(struct gca_stats) */
	uint64_t total_alloc;	/* allocated since open, size classes' bytes */
	uint64_t mallocs;	/* objects allocated since open */
	uint64_t heap_live;	/* marked by the last cycle */
	uint64_t heap_live_objects;
	uint64_t heap_alloc;	/* heap_live and what was allocated since */
	uint64_t heap_sys;	/* address space taken into use */
	uint64_t heap_inuse;	/* in spans in use */
	uint64_t heap_idle;
	uint64_t heap_released;
	uint64_t meta_sys;	/* tables, bitmaps, the library's own */
	uint64_t next_gc;	/* heap_alloc that the next cycle is to keep the heap
				 * below: a concurrent one starts before it
				 */
	uint64_t peak_inuse;	/* largest heap_inuse seen at a cycle's start */
	uint64_t num_gc;	/* cycles */
	uint64_t num_forced_gc;	/* of those by gca_collect() */
	uint64_t gc_cpu_ns;	/* CPU time of marking, by the workers' share */
	uint64_t pause_total_ns;
	uint64_t pause_p50_ns;	/* longest stop of any one mutator, by cycle */
	uint64_t pause_p99_ns;
	uint64_t pause_max_ns;
	uint64_t safepoint_max_ns; /* longest time to safepoint */
	uint64_t mutators;	/* attached now */
	uint64_t failed_allocs;	/* that returned NULL */
	uint64_t weak_refs;	/* listed: those alive at the last cycle, and new ones */
	uint64_t ephemerons;
	uint64_t finalizers;	/* set and not ready */
	uint64_t finalizers_ready;
	uint64_t finalizers_run;	/* called since open */
	uint64_t gate_wait_ns;	/* that weak loads waited for cycles' ends */
	uint64_t mark_ns;	/* of the clock, that concurrent cycles marked for */
	uint64_t assists;	/* times that an allocating thread marked */
	uint64_t assist_bytes;	/* that it scanned */
	uint64_t assist_ns;	/* that it took */
	uint64_t stalls;	/* waits of an allocation for a cycle to end */
	uint64_t stall_ns;
	uint64_t sweep_assisted; /* spans swept by allocating threads, for pace */
	uint64_t stop_unscheduled_ns; /* of stops: waits for a CPU, taken off the pauses */
	uint64_t minor_gc;	/* of num_gc: minor cycles */
	uint64_t old_bytes;	/* that the last cycle, a minor one, took for alive; or 0 */
	uint64_t cards_scanned;	/* dirty cards that minor cycles looked at */
	uint64_t gc_idle_ns;	/* CPU time of marking on CPUs that were idle */
};

/*
 * struct gca_account - where threads' time went, in nanoseconds since they attached
 *
 * The states add up to wall_ns.  Those from assist_ns on are lost to the collector.
 */
struct gca_account {
	size_t size;		/* in: sizeof(struct gca_account) */
	uint64_t wall_ns;
	uint64_t running_ns;
	uint64_t blocked_ns;	/* in blocking regions */
	uint64_t unscheduled_ns; /* ready to run, and without a CPU */
	uint64_t assist_ns;	/* marking, to pay for what was allocated */
	uint64_t stall_ns;	/* allocations waiting for a cycle to end */
	uint64_t gate_ns;	/* weak loads waiting for the end of marking */
	uint64_t handshake_ns;	/* answering the collector, or stopped by it */
	uint64_t refill_ns;	/* fetching spans */
	/* The least part of any window of 1, 10 and 100 ms that was not lost to the
	 * collector, in thousandths; of several threads the least.
	 */
	uint32_t mmu[4];
};

/* -EINVAL: size.  The calling thread's; and all threads', those gone included. */
GCA_API int gca_account(struct gca_mutator *mutator, struct gca_account *account);
GCA_API int gca_account_all(struct gca_heap *heap, struct gca_account *account);

/* -EINVAL: size.  Never stops a mutator. */
GCA_API int gca_stats(struct gca_heap *heap, struct gca_stats *stats);

#define GCA_PAUSES		256	/* that are remembered */
#define GCA_SIZES		80	/* rows of by_size at most */

/*
 * struct gca_memstats - the fields of Go's runtime.MemStats; bytes unless said
 *
 * Of one moment each: what the arena counts (marked A), tagged with its sequence, and
 * what cycles settle (marked C).  What threads count as they go (marked T) is of the runs
 * of slots that they have finished; of the calling thread's it is exact.
 *
 * heap_sys == heap_inuse + heap_idle; heap_released is a part of heap_idle;
 * heap_objects == mallocs - frees; sys == heap_sys + mspan_sys + gc_sys.
 */
struct gca_memstats {
	size_t size;		/* in: sizeof(struct gca_memstats) */
	uint32_t sequence;	/* A: of the counters, as "update" in debugfs */
	uint32_t generation;	/* A: of sweeping */
	uint32_t arena;		/* its name in debugfs; 0: the process backend */
	uint32_t nr_sizes;	/* rows of by_size */
	uint64_t alloc;		/* heap_alloc, as in Go */
	uint64_t total_alloc;	/* T: allocated since open */
	uint64_t sys;
	uint64_t mallocs;	/* T: objects allocated since open */
	uint64_t frees;		/* C: objects found dead since open */
	uint64_t heap_alloc;	/* C, T: live at the last cycle, and allocated since */
	uint64_t heap_sys;	/* A: address space taken into use */
	uint64_t heap_idle;	/* A: in free pages */
	uint64_t heap_inuse;	/* A: in spans in use */
	uint64_t heap_released;	/* A: of heap_idle, given back to the system */
	uint64_t heap_objects;
	uint64_t mspan_inuse;	/* A: of the span table, rows of pages in use */
	uint64_t mspan_sys;	/* A: and of all pages of heap_sys */
	uint64_t gc_sys;	/* A: bitmaps, side tables, the library's own */
	uint64_t next_gc;	/* goal of heap_alloc; UINT64_MAX: none */
	uint64_t last_gc;	/* C: when the last cycle ended, ns since 1970; 0: never */
	uint64_t pause_total_ns; /* C: the longest stop of any thread, summed over cycles */
	uint64_t num_gc;	/* C: cycles */
	uint64_t num_forced_gc;	/* C: of those by gca_collect() */
	double gc_cpu_fraction;	/* of the CPUs' time since open, for collection */
	uint64_t pause_ns[GCA_PAUSES]; /* C: a ring; the last is [(num_gc + 255) % 256] */
	uint64_t pause_end[GCA_PAUSES]; /* C: when they ended, ns since 1970 */
	struct {
		uint32_t size;	/* of the slot */
		uint32_t reserved;
		uint64_t mallocs; /* T: objects */
		uint64_t frees;	/* C */
	} by_size[GCA_SIZES];
};

/* -EINVAL: size; -EIO.  Stops nobody and waits for nobody. */
GCA_API int gca_memstats(struct gca_heap *heap, struct gca_memstats *stats);

/* What a thread was kept from running by. */
enum gca_stop {
	GCA_STOP_BLACK,		/* handshake: marking begins */
	GCA_STOP_SETTLE,	/* handshake: stores begun before are over */
	GCA_STOP_SCAN,		/* handshake: its stack is scanned */
	GCA_STOP_FLUSH,		/* handshake: hands over what it shaded */
	GCA_STOP_WHITE,		/* handshake: marking is over */
	GCA_STOP_WORLD,		/* all threads stopped */
	GCA_STOP_LEAVE,		/* left a blocking region while it was answered for */
	GCA_STOP_PROXY,		/* the answer for one that was blocked, seen from the other
				 * side: kept from running had it left
				 */
	GCA_STOP_SIGNAL,	/* stood still in a signal, for any of these */
	GCA_STOP_CAUSES,
};

#define GCA_STOP_BUCKETS	26
/* The longest stop that bucket @i counts, in ns; the last counts longer ones too. */
#define GCA_STOP_BUCKET_NS(i)	(256ull << (i))
#define GCA_QUANTILES		5

struct gca_stops {
	uint64_t count;
	uint64_t total_ns;
	uint64_t max_ns;
	uint64_t buckets[GCA_STOP_BUCKETS];
};

/*
 * struct gca_gcstats - the fields of Go's debug.GCStats, and stops by cause
 *
 * A pause is a cycle's: the longest stop of any one thread in it.
 */
struct gca_gcstats {
	size_t size;		/* in: sizeof(struct gca_gcstats) */
	uint64_t last_gc;	/* when the last cycle ended, ns since 1970; 0: never */
	uint64_t num_gc;
	uint64_t pause_total_ns;
	uint32_t nr_pauses;	/* of those that follow: the last ones */
	uint32_t reserved;
	uint64_t pause_ns[GCA_PAUSES]; /* the most recent first */
	uint64_t pause_end[GCA_PAUSES]; /* ns since 1970 */
	uint64_t pause_quantiles[GCA_QUANTILES]; /* least, 25, 50, 75 per cent, most */
	struct gca_stops pauses; /* all of them */
	struct gca_stops stops[GCA_STOP_CAUSES];
};

/* -EINVAL: size; -EIO.  Stops nobody and waits for nobody. */
GCA_API int gca_gcstats(struct gca_heap *heap, struct gca_gcstats *stats);
/* "scan", "world", ...; NULL: no such cause. */
GCA_API const char *gca_stop_name(enum gca_stop cause);

/* -------------------------------------------------------------- profiles */

/*
 * Profiles that "go tool pprof" opens, of a heap's life so far.  In-use is what was alive
 * at the end of the last cycle, or everything if there was none.  None of this stops a
 * mutator; from any thread, not in a signal handler.
 */

/* Bytes allocated between two samples on average: 524288 at first, 1 for every object,
 * 0 for none.  Another one forgets the samples so far.  The previous one.
 */
GCA_API uint64_t gca_profile_set_rate(struct gca_heap *heap, uint64_t bytes);
/* Waits of so many nanoseconds are all recorded, shorter ones in proportion: 1000000 at
 * first, 0 for none.
 */
GCA_API uint64_t gca_profile_set_wait_rate(struct gca_heap *heap, uint64_t ns);
/* Where objects were allocated: all and in use, their number and bytes. */
GCA_API int gca_profile_heap_write(struct gca_heap *heap, int fd);
/* Where threads waited for the collector: how often and how long, by cause. */
GCA_API int gca_profile_wait_write(struct gca_heap *heap, int fd);

#ifdef __cplusplus
#pragma GCC diagnostic pop
}
#endif

#endif /* GCARENA_H */
