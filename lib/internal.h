/* SPDX-License-Identifier: MIT */
/*
 * What the library's files share: the heap, the mutator, the tables, and how an
 * address becomes an object.
 *
 * Lock order: heap->world, then a backend's own locks.  heap->world is held
 * throughout a cycle, by attach and detach, and by whoever changes roots or
 * pacing; a mutator waits for it only while blocked (world_lock() sees to it).
 * What is marked "fixed" below is written by gca_open() and never again.
 *
 * Only 64-bit machines: a heap is larger than a 32-bit address space.
 */
#ifndef GCARENA_INTERNAL_H
#define GCARENA_INTERNAL_H

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <linux/gcarena.h>

#include "gcarena.h"
#include "debug.h"
#include "fault.h"
#include "pacer.h"
#include "worth.h"
#include "probes.h"
#include "timeline.h"
#include "uncancelled.h"
#include "profile.h"
#include "special.h"

_Static_assert(sizeof(void *) == 8, "libgcarena needs 64-bit pointers");

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static inline size_t align_up(size_t value, size_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* A broken invariant of the library: going on would corrupt the program. */
#define gca_assert(condition)	do { \
	if (unlikely(!(condition))) \
		assertion_failed(#condition, __FILE__, __LINE__); \
} while (0)
void assertion_failed(const char *condition, const char *file, int line)
	__attribute__((noreturn, cold));

/*
 * The first line of every function that a program can call: from here to the end of
 * the block no signal stops this thread (signal.c).
 */
#define RUNTIME_TLS	__attribute__((tls_model("initial-exec")))
extern __thread unsigned int runtime_depth RUNTIME_TLS;

static inline void runtime_leave(const bool *unused)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	runtime_depth--;
}

static inline bool runtime_enter(void)
{
	runtime_depth++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return true;
}

#define RUNTIME() \
	bool runtime_ __attribute__((cleanup(runtime_leave), unused)) = runtime_enter()

#define KIB		(1UL << 10)
#define MIB		(1UL << 20)
#define GIB		(1UL << 30)
#define NSEC_PER_SEC	1000000000ULL

#define PAGE_WORDS	(GCARENA_PAGE_SIZE / sizeof(void *))
#define CELL_SHIFT	6	/* 64 bytes: the unit of the kind table */

/* ----------------------------------------------------------- sizeclass.c */

#define SMALL_MAX	32768u	/* bytes: the largest slot */
#define SIZE_CLASSES_MAX 80
#define SPAN_CLASSES_MAX 256	/* of the design: a mutator has a cache for each */

/* Fixed since sizeclass_init(); the process's, shared by all heaps. */
struct size_class {
	uint32_t slot;		/* bytes */
	uint32_t npages;	/* of its spans */
};

enum {
	CLASS_LARGE_NOSCAN,
	CLASS_LARGE_SCAN,
	CLASS_MANUAL,
	CLASS_SMALL,		/* the first small one */
};

/* What the library knows of a span class, by its id. */
struct span_class {
	uint32_t elem;		/* bytes from slot to slot; 0: large or manual */
	uint32_t npages;	/* 0: large or manual */
	uint32_t objects;	/* slots of a span */
	uint16_t flavour;	/* enum gca_flavour; of LARGE_SCAN: KINDED */
	uint16_t size;		/* index into size_classes */
	uint64_t reciprocal;	/* of elem in granules, 2^32 over it rounded up */
	uint64_t words;		/* of PRECISE: a bit for each that may be a pointer; or 0 */
};

extern struct size_class size_classes[SIZE_CLASSES_MAX];
extern unsigned int nr_size_classes;
extern struct span_class span_classes[SPAN_CLASSES_MAX];
extern unsigned int nr_span_classes;
/* Span class of small requests, by flavour and (size + 16) / 16. */
extern uint16_t small_class_of[GCA_FLAVOURS][SMALL_MAX / GCARENA_GRANULE_SIZE + 1];
/* The same of objects that may fill their slot, GCA_LAYOUT_EXACT. */
extern uint16_t exact_class_of[GCA_INLINE_MAX / GCARENA_GRANULE_SIZE + 2];

/* Of bytes: the offset of their class's cache. */
extern uint16_t noscan_cache_of[GCA_INLINE_BYTES_MAX / GCARENA_GRANULE_SIZE + 2];

void sizeclass_init(void);	/* idempotent, any thread */
void sizeclass_table(struct gcarena_class *table); /* nr_span_classes entries */

/* The flavour that objects of @size bytes of a kind of @flavour really have. */
static inline unsigned int flavour_of(unsigned int flavour, size_t size)
{
	if (flavour != GCA_FLAVOUR_NOSCAN && size > GCA_INLINE_MAX)
		return GCA_FLAVOUR_KINDED;
	return flavour;
}

struct object;

/* ---------------------------------------------------------------- kind.c */

enum {
	KIND_BAD,		/* every allocation fails */
	KIND_NOSCAN,
	KIND_REFS,
	KIND_CONSERVATIVE,
	KIND_FIRST,		/* of the registered ones */
	KINDS_MAX = 65536,	/* ids are 16 bits in the kind table */
};

/* Fixed once registered; never freed. */
struct kind {
	struct gca_kind abi;	/* first: what the program holds */
	const char *name;
	const char *wrong;	/* why it is bad, or NULL */
	const struct gca_run *runs; /* pointer slots, ended by count 0 */
	gca_trace_fn trace;
	uint32_t tail;		/* offset, or GCA_NO_TAIL */
	uint32_t elem;		/* bytes of an element, of an array of a kind; or 0 */
	bool conservative;
	bool interior;		/* pointers into objects too */
	bool changes;		/* objects may become of another such kind */
	const struct kind *array; /* of these; atomic, NULL until one is asked for */
};

/* NULL for an id that nobody registered: the table was overwritten. */
const struct kind *kind_by_id(uint32_t id);

const struct kind *kind_array_of(const struct kind *of);

/* Around fork(). */
void kind_lock(void);
void kind_unlock(void);

static inline const struct kind *kind_of(const struct gca_kind *kind)
{
	return container_of(kind, const struct kind, abi);
}

/* --------------------------------------------------------------- backend */

/*
 * A backend is the device or the in-process core.  Structures are the uapi's;
 * results are 0 or a negative errno.  Any call may block for as long as the
 * system does; none waits for a mutator.
 */
struct backend_ops {
	const char *name;
	void (*close)(struct gca_heap *heap);
	int (*refill)(struct gca_heap *heap, struct gcarena_refill *args);
	int (*give_back)(struct gca_heap *heap, struct gcarena_return *args);
	int (*start_sweep)(struct gca_heap *heap, struct gcarena_sweep *args);
	int (*sweep_assist)(struct gca_heap *heap, struct gcarena_sweep *args);
	int (*scavenge)(struct gca_heap *heap, struct gcarena_scavenge *args);
	int (*set_policy)(struct gca_heap *heap, const struct gcarena_policy *policy);
	/* Collapses each and tells the arena. */
	int (*collapse)(struct gca_heap *heap, struct gcarena_collapse *args);
	int (*stats)(struct gca_heap *heap, struct gcarena_stats *stats);
	int (*wait_sweep)(struct gca_heap *heap); /* until the sweep is complete */
	/* A letter a page of @chunk, as in "chunks" of debugfs. */
	int (*chunk_map)(struct gca_heap *heap, uint32_t chunk, char map[GCARENA_CHUNK_PAGES]);
	/* 0, or -EUCLEAN, the particulars on stderr.  NULL: the kernel's to do. */
	int (*validate)(struct gca_heap *heap, FILE *complaints);
};

/* Each fills base, rows, bitmap, status, ops and backend of @heap. */
int backend_device_open(struct gca_heap *heap, const char *path,
			const struct gcarena_setup *setup);
int backend_process_open(struct gca_heap *heap, const struct gcarena_setup *setup);

/* ------------------------------------------------------------- mutator.c */

/*
 * States of a mutator; see stop.c.  Only the mutator leaves RUNNING, only a
 * stopper claims and unclaims.
 */
enum mutator_state {
	MUTATOR_RUNNING,
	MUTATOR_BLOCKED,	/* stack published; the thread keeps off the heap */
	MUTATOR_CLAIMED,	/* the same, and must not leave it */
	MUTATOR_AWAITED,	/* claimed, and the thread sleeps until it is not */
};

/* What a handshake asks each mutator to do; handshake.c. */
enum handshake {
	HANDSHAKE_NONE,
	HANDSHAKE_BLACK,	/* barrier on */
	HANDSHAKE_SETTLE,	/* black allocation on; stores from before the first are over */
	HANDSHAKE_SCAN,		/* shade registers, stack and frames */
	HANDSHAKE_FLUSH,	/* hand over what was shaded */
	HANDSHAKE_WHITE,	/* marking is over, generation flipped: spans back */
	HANDSHAKE_ONE_FOR_TWO,	/* BLACK and SCAN in one: only to be caught */
};

/* Words that a mutator shades before it marks them, even: some 3 us of work; and that it
 * has room for while what it marked last waits for somebody who has no CPU.
 */
#define SHADES_FLUSH	128
#define SHADES_MAX	256

/* Bytes of stack copied: more than the frame of a function that blocks is likely
 * to have, and cheap beside the system call that follows.
 */
#define STACK_COPY_MAX	(16 * KIB)
/* Slots of frames that are copied where a thread blocks: those of the functions of an
 * ordinary thread; of a deep recursion they stay where they are.
 */
#define FRAME_SLOTS	128u
#define FRAMES_IN_PLACE	UINT32_MAX

#define STOCK_MAX	16	/* spans of one class that one refill brings at most */

/* A mutator's spans of one class. */
struct holding {
	struct gcarena_span span; /* that the cache's run is in; npages 0: none */
	uintptr_t run;		/* where the run began */
	uintptr_t run_end;	/* and ends; the cache's part of it may end before */
	uintptr_t limit;	/* end of the span's last slot */
	uint32_t nr_stock;	/* of the mutator's stock */
	uint32_t batch;		/* how many spans the next refill asks for */
	uint32_t uncounted;	/* objects that heap->classes does not have yet */
	uint64_t sample_left;	/* bytes from the cache's end to the next sample, SAMPLE_* */
};

/* What a mutator's time is spent on: account.c. */
enum account_state {
	ACCOUNT_RUNNING,
	ACCOUNT_BLOCKED,
	ACCOUNT_LOST,		/* from here on it is lost to the collector */
	ACCOUNT_ASSIST = ACCOUNT_LOST,
	ACCOUNT_STALL,
	ACCOUNT_GATE,
	ACCOUNT_HANDSHAKE,
	ACCOUNT_REFILL,
	ACCOUNT_STATES,
};

#define MMU_WINDOWS	3
#define MMU_PARTS	16

struct mmu_window {		/* own thread; worst is read by others */
	uint64_t lost[MMU_PARTS + 1]; /* ns, by sixteenth of a window */
	uint64_t sum;
	uint64_t newest;	/* sixteenth, from the clock's beginning */
	uint64_t end;		/* ns: of that, once something was lost in it */
	uint64_t *part;		/* that one's of lost, then */
	uint64_t worst;		/* ns lost in any window */
};

struct account {		/* own thread writes, others read by sequence */
	uint64_t ns[ACCOUNT_STATES];
	uint64_t since;
	uint32_t state;
	uint32_t sequence;
	int tid;
	uint64_t delayed;	/* ns that the thread had waited for a CPU before */
	struct mmu_window windows[MMU_WINDOWS];
};

void account_begin(struct account *account);
enum account_state account_switch(struct account *account, enum account_state to);
void account_gone(struct gca_heap *heap, const struct account *account);
/* profile.c: the same as account_switch(), of a state that is lost to the collector. */
void profile_wait_end(struct gca_mutator *mutator, enum account_state to);
/* As gca_account_all(); false: a cycle holds the world, and nothing was done. */
bool account_try_all(struct gca_heap *heap, struct gca_account *out);

struct stopwatch {
	uint64_t wall;
	uint64_t cpu;
	long switches;
};

void stopwatch_start(struct stopwatch *watch);
uint64_t stopwatch_stop(const struct stopwatch *watch, uint64_t *unscheduled);
uint64_t unscheduled_ns(void);

struct mark_result {
	uint64_t bytes;		/* of marked objects, by slot */
	uint64_t objects;
	uint64_t scanned;	/* bytes of those that may hold pointers */
	uint64_t stack_bytes;	/* scanned */
	uint64_t range_bytes;
};

/* What a mutator has marked while somebody had work->lock: for whoever has it next. */
struct deposit {
	struct deposit *next;
	uint32_t pending;	/* atomic: it is on the list */
	uint32_t nr;
	uint32_t busy;		/* 1: and it is no longer busy */
	struct mark_result result;
	uint64_t entries[SHADES_MAX];
};

struct gca_mutator {
	struct gca_mutator_abi abi; /* first: what the inlines touch */

	/* fixed while attached */
	struct gca_heap *heap;
	uint32_t flags;
	uintptr_t stack_limit;	/* low end of the thread's stack */
	uintptr_t stack_base;	/* high end */
	uintptr_t *stack_copy;	/* STACK_COPY_MAX bytes; NULL: precise roots only */

	uint32_t state;		/* enum mutator_state, atomic, futex while awaited */
	uint32_t request;	/* enum handshake, atomic: what it is asked for */
	uint32_t depth;		/* of blocking regions; own thread */

	/* Written before the mutator leaves RUNNING, read by a stopper after it
	 * has claimed it.  Of a stack, [stack_copy, + copied) is what
	 * [stack_low, + copied) held then; the rest, up to stack_base, is
	 * scanned in place.
	 */
	uintptr_t stack_low;
	size_t copied;
	struct gca_frame *frames;
	/* Of frames' slots while the thread is in a blocking region, if they are so few. */
	void *frame_slots[FRAME_SLOTS];
	uint32_t nr_frame_slots;	/* FRAMES_IN_PLACE: they are not copied */

	/* world held */
	struct gca_mutator *next;
	struct gca_mutator **link;
	bool stressing;		/* own thread: at a safepoint of stress=1 */
	bool asking;		/* own thread: in the failure handler */
	bool late;		/* it answered the last time when a signal came */
	uint64_t signalled_at;	/* ns after it was asked */

	/* signal.c, atomic */
	uint32_t signalled;	/* a signal is on its way */
	uint32_t parked;	/* it stands in the handler; own thread writes */

	/* own thread, or a stopper that has claimed it */
	struct gca_mutator *next_mine;	/* of the thread's, other heaps */
	uint32_t nr_spent;
	struct gcarena_span spent[GCARENA_BATCH_MAX];
	uint32_t generation;	/* that abi.alloc_bits is of */
	uint32_t epoch;		/* index into heap->allocated */
	uint64_t *mark_bits;	/* where it marks, its barrier on; NULL: white */
	bool born_black;	/* what it allocates is: everybody has a barrier */
	uint64_t wakes;		/* times it left a blocking region */
	uint64_t charged;	/* total_alloc that was paid for */
	int64_t debt;		/* bytes to scan; below 0: scanned in advance */
	uint64_t quiet_since;	/* wakes when a proxy made it black; UINT64_MAX: it
				 * has answered itself in this cycle
				 */
	/* To be marked: words, not yet looked at, [shades, abi.shades). */
	uintptr_t shades[SHADES_MAX];
	struct deposit deposit;
	uint64_t held_bytes;	/* of spans that it has, spent ones not */
	uintptr_t tiny;		/* where the next tiny object may go */
	uintptr_t tiny_end;
	uint64_t uncounted;	/* bytes of closed runs that the heap does not know yet */
	uint64_t uncounted_objects;

	uint64_t total_alloc;	/* counted when a run ends */
	/* Objects that it marked in this cycle, by class; all 0 unless @has_marked. */
	uint32_t marked[SPAN_CLASSES_MAX];
	bool has_marked;

	struct account account;
	enum account_state outside; /* what it did before it was blocked */

	/* Of the classes, those that it ever had: what is walked at a handshake, and all of
	 * holdings that takes memory.  Own thread.
	 */
	uint64_t used[SPAN_CLASSES_MAX / 64];

	uint64_t profile_rate;	/* that sample_left is of */
	struct profile_stack profile_stacks[2]; /* the last one, and room for the next */
	uint32_t profile_last;	/* which it is */
	uint64_t profile_random; /* state of random numbers */
	uint64_t wait_random;

	struct holding holdings[SPAN_CLASSES_MAX];
	/* Ready, not begun: by place first, so that who has little of each class, as most
	 * blocked threads have, touches few pages.
	 */
	struct gcarena_span stock[STOCK_MAX][SPAN_CLASSES_MAX];
	struct gca_cache caches[SPAN_CLASSES_MAX]; /* the real ones */
};

_Static_assert(offsetof(struct gca_mutator, abi) == 0, "abi is first");

/* The calling thread's mutator of @heap, or NULL. */
struct gca_mutator *mutator_self(struct gca_heap *heap);

/* In a child of fork(): the thread that is left. */
void mutator_forked(void);
void mutator_drop(struct gca_heap *heap);

/* Leave and enter RUNNING, around a wait inside the library too; nothing
 * between them touches the heap.  Regions nest.  @mutator may be NULL.
 */
void blocked_enter(struct gca_mutator *mutator);
void blocked_leave(struct gca_mutator *mutator);

/* heap->world, waited for while blocked. */
void world_lock(struct gca_heap *heap, struct gca_mutator *mutator);
void world_unlock(struct gca_heap *heap);

/* ---------------------------------------------------------------- stop.c */

/* World held.  Every mutator but @self is then claimed; @self, if not NULL, is
 * running here and published its stack.
 */
void world_stop(struct gca_heap *heap, struct gca_mutator *self);
void world_start(struct gca_heap *heap, struct gca_mutator *self);

/* World held: gives a claimed mutator free. */
void mutator_unclaim(struct gca_mutator *mutator);
/* Waits for an acknowledgment that is not one of @acks; the nth wait of a loop that
 * began then.
 */
void stop_wait(struct gca_heap *heap, uint32_t acks, unsigned int nth, uint64_t begin);
void stop_acknowledge(struct gca_heap *heap);
void futex_wake(uint32_t *word);
/* A mutator was kept from running for so long. */
void stop_note(struct gca_heap *heap, enum gca_stop cause, uint64_t ns);
/* What all stops of mutators have taken so far, in their own time. */
uint64_t stops_ns(const struct gca_heap *heap);

/* -------------------------------------------------------------- signal.c */

#define STOP_SIGNAL_BELOW	4	/* SIGRTMAX less this: what a heap begins with */
#define STOP_SIGNAL_TRIES	4	/* and how many more below, if that has a handler */

/* World held: ns until the next call, or 0. */
uint64_t signal_late(struct gca_heap *heap, uint64_t waited);
void signal_lock(void);
void signal_unlock(void);
int signal_default(void);
/* The calling thread's mutators, by next_mine. */
struct gca_mutator *mutators_mine(void);
/* Own thread, in a signal: no object is taken that is not published. */
bool alloc_settled(const struct gca_mutator *mutator);

/* ----------------------------------------------------------- handshake.c */

/* World held: when it returns every mutator has done @what, itself or by proxy. */
void handshake(struct gca_heap *heap, enum handshake what);
/* Owner, running, asked to. */
void handshake_answer(struct gca_mutator *mutator);
/* World held: HANDSHAKE_FLUSH, or more where a thread was stopped amid a store. */
void handshake_round(struct gca_heap *heap);
/* World stopped: the same as HANDSHAKE_SCAN of all, and the root callbacks. */
void handshake_scan_stopped(struct gca_heap *heap);

/* ---------------------------------------------------------- concurrent.c */

/* One whole cycle begun after the call, waited for while blocked.  -EAGAIN: there
 * is no collector thread, and none can be had.
 */
int concurrent_run(struct gca_mutator *mutator, bool forced);
/* Asks for a new and full one, from any thread: which one, or 0 as above. */
uint64_t concurrent_ask(struct gca_heap *heap);
/* Asks for a cycle, if none is under way: which one, or 0 as above.  May be a
 * minor one, unless it has to be full.
 */
uint64_t concurrent_request(struct gca_heap *heap);
uint64_t concurrent_request_full(struct gca_heap *heap);
/* Runs one on the calling thread, if there is little to do.  A safepoint. */
bool concurrent_small(struct gca_mutator *mutator);
/* Waits while blocked until that cycle is over, @ns at most; true: it is. */
bool concurrent_wait(struct gca_mutator *mutator, uint64_t cycle, uint64_t ns);
bool concurrent_over(struct gca_heap *heap, uint64_t cycle);
void concurrent_open(struct gca_heap *heap);
/* The period has changed. */
void concurrent_wake(struct gca_heap *heap);
/* Ends the thread, after the cycle that it is at. */
void concurrent_close(struct gca_heap *heap);

/* --------------------------------------------------------------- stack.c */

/* Finds the calling thread's stack.  0 or -ENOTSUP. */
int stack_find(uintptr_t *low, uintptr_t *high);
/* Where the main thread's stack began, above all frames: the C library's. */
extern void *__libc_stack_end __attribute__((weak));
/* Copies the registers and the frames near the top of the calling thread's
 * stack to where a stopper finds them.
 */
void stack_publish(struct gca_mutator *mutator);

/* --------------------------------------------------------------- alloc.c */

bool alloc_ready(struct gca_mutator *mutator, const struct kind *kind, size_t size);
void *alloc_in_class(struct gca_mutator *mutator, const struct kind *kind, unsigned int class,
		     size_t size, bool zeroed);
void *alloc_fail(struct gca_mutator *mutator, size_t size, const char *why)
	__attribute__((cold));

/* Owner: what the run of @class has handed out is counted, and is not taken back. */
void alloc_count_class(struct gca_mutator *mutator, unsigned int class);
/* Owner or stopper: counts and closes every run; all spans go to the backend. */
void alloc_flush(struct gca_mutator *mutator);
/* Owner or stopper, at the handshakes of those names. */
void alloc_turn_black(struct gca_mutator *mutator);
void alloc_turn_white(struct gca_mutator *mutator, uint32_t generation);
/* The same, counting only: runs stay open.  Owner. */
void alloc_count(struct gca_mutator *mutator);
/* A manual span of so many pages: 0, or a negative errno with gca_error() set.  A
 * safepoint.
 */
int alloc_manual(struct gca_mutator *mutator, uint32_t npages, struct gcarena_span *span);
/* Owner, about to block: gives spans back if there are many that might. */
void alloc_before_block(struct gca_mutator *mutator);
/* Spent spans: off a mutator, to the arena, or both. */
uint32_t alloc_take_spent(struct gca_mutator *mutator, struct gcarena_span *spent);
void alloc_give_back(struct gca_heap *heap, const struct gcarena_span *spent, uint32_t nr);
void alloc_return_spent(struct gca_mutator *mutator);

/* --------------------------------------------------------------- array.c */

/* Not malloc's, and inherited by a child: NULL without memory. */
void *array_map(size_t bytes);
void array_unmap(void *memory, size_t bytes);
/* Room for one more of @size bytes in @array of @max: false, array unharmed. */
bool array_room(void **array, size_t nr, size_t *max, size_t size);
void array_free(void *array, size_t max, size_t size);
void *memory_grow(void *memory, size_t bytes, size_t want);

/* ---------------------------------------------------------------- root.c */

struct root_range {
	uintptr_t start;
	size_t bytes;
};

struct root_callback {
	gca_root_fn fn;
	void *arg;
};

struct roots {			/* world held */
	struct root_range *ranges; /* by address */
	size_t nr_ranges;
	size_t max_ranges;
	struct root_callback *callbacks;
	size_t nr_callbacks;
	size_t max_callbacks;
};

/*
 * Somebody who wants to see pointers: the marker, or verify.  The functions get
 * what the program has there, good or bad.
 */
struct gca_visitor {
	/* Precise: @count slots at @slots; each holds NULL or a base pointer. */
	void (*slots)(struct gca_visitor *visitor, void *const *slots, size_t count);
	/* Precise: one base pointer, or NULL. */
	void (*value)(struct gca_visitor *visitor, const void *object);
	/* Every aligned word of [low, high) may be a pointer, an interior one too.
	 * May be another thread's stack.
	 */
	void (*words)(struct gca_visitor *visitor, uintptr_t low, uintptr_t high);
	struct gca_heap *heap;
	/* Slots outside [low, high) are passed over: a trace callback sees only
	 * its own object.
	 */
	uintptr_t low;
	uintptr_t high;
	/* A root callback has shown words, of a stack that is in use perhaps: they need
	 * not be the same when they are shown again.
	 */
	bool fleeting;
};

/* World stopped: all roots.  Stacks first, then frames, ranges, callbacks. */
void roots_visit(struct gca_heap *heap, struct gca_visitor *visitor);
/* The stack as published and the frames of @mutator: its own, or claimed. */
void roots_visit_mutator(struct gca_mutator *mutator, struct gca_visitor *visitor);
void frames_publish(struct gca_mutator *mutator);
void roots_visit_callbacks(struct gca_heap *heap, struct gca_visitor *visitor);
/* World held: at most @slots slots of the ranges from @at on; 0: no more. */
size_t roots_next_piece(struct gca_heap *heap, uintptr_t *at, size_t slots, void *const **start);

/* ----------------------------------------------- mark.c, work.c and grey.c */

struct mark_stack {
	uint64_t *entries;
	size_t low;		/* the oldest one; nr == low: empty, both 0 */
	size_t nr;
	size_t max;
	bool fixed;		/* an array of its owner's: goes to the pool when full */
	bool overflow;		/* an entry was dropped: its object is marked */
};

#define WORKERS_MAX	64u	/* threads that mark one heap, the cycle's included */
#define SHARE_DEFAULT	25u	/* per cent of the CPUs, as Go's */

struct helper {
	struct gca_heap *heap;
	pthread_t thread;
	unsigned int index;	/* from 1; 0 is the thread that runs the cycle */
	int place;		/* of idle.c, or -1: it has its share only */
	uint64_t bytes;		/* atomic: of its stack */
};

struct work {
	/* fixed */
	uint32_t workers_max;	/* threads, the cycle's included */

	/* the thread that runs the cycle */
	uint32_t cpus;		/* read by helpers: atomic */
	uint32_t nr_helpers;
	bool refused;		/* a thread could not be made; not tried again */
	struct helper helpers[WORKERS_MAX - 1];

	uint32_t near_rest;	/* atomic: of the marker that changed it last; mark.c */

	pthread_mutex_t lock;
	pthread_cond_t changed;	/* something to take, or nothing any more */
	pthread_cond_t plenty;	/* so much to take that an idle CPU is worth asking for */
	pthread_cond_t hurry;	/* the share has changed; monotonic clock */

	/* lock held */
	struct mark_stack pool;	/* nr and max are also read without */
	struct mark_result result; /* of those who are not marking now */
	uint32_t busy;		/* threads that may hold grey objects */
	uint32_t waiting;	/* for changed */
	uint32_t waiting_idle;	/* for plenty */
	bool open;		/* a phase is on */
	bool quit;
	bool alone;		/* helpers are not woken */
	bool roots_left;	/* in a stop: there may be some that nobody took */
	struct gca_mutator *next_mutator;
	uintptr_t next_range;

	/* atomic */
	struct deposit *deposits; /* taken under lock */
	bool ending;		/* the cycle's thread waits for those who are busy */
	bool stopped;		/* the phase is one in a stop: all CPUs */
	bool idle_on;		/* idle CPUs are used beyond the share */
	uint32_t share;		/* per cent of the CPUs */
	uint32_t waiters;	/* mutators that wait for the cycle; written under lock */
	uint64_t marked;	/* objects ever marked by mutators */
	uint64_t scanned;	/* bytes ever scanned, by workers and mutators */
	int64_t credit;		/* of those in this cycle by workers, not yet claimed */
	uint64_t cpu_ns;	/* CPU time ever used by workers, of their share */
	uint64_t idle_ns;	/* and on idle CPUs */
};

int idle_join(void);
void idle_leave(int place);
void idle_await(int place);
void idle_release(int place);
void idle_forked(void);

void work_open(struct gca_heap *heap, unsigned int workers, unsigned int share);
void work_close(struct gca_heap *heap);
void work_trim(struct gca_heap *heap);
void grey_settle(struct gca_mutator *mutator);
uint64_t work_bytes(struct gca_heap *heap);
void work_wait_begin(struct gca_heap *heap);
void work_wait_end(struct gca_heap *heap);
void work_prepare(struct gca_heap *heap);
/* A mutator, black: scans some @bytes; how many, 0 if there was nothing. */
uint64_t work_assist(struct gca_mutator *mutator, uint64_t bytes);
int thread_start(pthread_t *thread, const char *name, size_t stack, void *(*fn)(void *),
		 void *arg);

/* World stopped, sweep complete: fills bitmap[(generation + 1) & 1]. */
void mark_heap(struct gca_heap *heap, struct mark_result *result);

/* World held, marking on: from now on grey objects may be scanned. */
void work_open_phase(struct gca_heap *heap, bool stopped);
/* Marks beside the mutators until nothing is grey; all of them are black, scanned. */
void mark_beside(struct gca_heap *heap, struct mark_result *result);
/* The same in a bounded time, without helpers.  False: mark_beside() is to go on. */
bool mark_small(struct gca_heap *heap, struct mark_result *result);
void work_alone(struct gca_heap *heap, bool alone);
/* World held, marking on: marks what @words point to, and hands it to the workers. */
void mark_shades(struct gca_heap *heap, const uintptr_t *words, size_t nr);
/* Owner or claimed: a word for its buffer, and the buffer's end. */
void mark_shade_flush(struct gca_mutator *mutator);
static inline void mark_shades_drop(struct gca_mutator *mutator)
{
	mutator->abi.shades = mutator->shades;
}

static inline void mark_shade(struct gca_mutator *mutator, uintptr_t word)
{
	*mutator->abi.shades++ = word;
	if (unlikely(mutator->abi.shades >= mutator->abi.shades_end))
		gca_shade_flush(mutator);
}

/* What a mutator has marked lies beside the pool, and nobody has taken it yet. */
static inline bool grey_pending(const struct gca_mutator *mutator)
{
	return __atomic_load_n(&mutator->deposit.pending, __ATOMIC_ACQUIRE);
}

/* For whoever has the marker's visitor: marks until nothing that it knows is grey. */
void mark_drain(struct gca_visitor *visitor);
/* Calls @fn for each object that it marks from now on; NULL: no more. */
void mark_watch(struct gca_visitor *visitor, void (*fn)(void *arg, uintptr_t object), void *arg);

/* ------------------------------------------------------------- barrier.c */

/* Owner, no safepoint since or before the change: @value comes into a place that is
 * no slot, or leaves it.
 */
void barrier_shade(struct gca_mutator *mutator, void *value);

/* --------------------------------------------------------------- cycle.c */

/* Owner, running, world not held: one whole cycle begun after the call; its sweep
 * may still be under way.
 */
/* Of a heap that stops the world, by no thread of its: the number of a cycle to come. */
uint64_t cycle_ask(struct gca_heap *heap);
bool cycle_over(const struct gca_heap *heap, uint64_t cycle);
int cycle_run(struct gca_mutator *mutator, bool forced);
/* Owner, running: sweeps until nothing is left to sweep, and waits for others. */
int cycle_finish_sweep(struct gca_mutator *mutator);
/* Owner, running: everything free goes back to the system. */
int cycle_scavenge_all(struct gca_mutator *mutator, uint32_t flags, size_t *released);
/* Any thread, if a mutator's then blocked: as cycle_finish_sweep(). */
int cycle_finish_sweep_for(struct gca_heap *heap);
/* World held, marking done: the mark bitmap becomes the truth of every span. */
int cycle_flip(struct gca_heap *heap);
void cycle_note_peak(struct gca_heap *heap);

/* ---------------------------------------------------------------- pace.c */

/* Owner, running: collects when it is time to, or would be with @bytes more. */
void pace_poll(struct gca_mutator *mutator, size_t bytes);
/* Owner, running, no safepoint: pays for what was allocated, if it must. */
void pace_assist_slow(struct gca_mutator *mutator);
static inline void pace_assist(struct gca_mutator *mutator)
{
	if (unlikely(mutator->mark_bits))
		pace_assist_slow(mutator);
}

/* World held, or heap not yet shared. */
int pace_set(struct gca_heap *heap);
/* Whether the hard heap size leaves room for @bytes more. */
bool pace_may_grow(const struct gca_heap *heap, uint64_t bytes);
void pace_begin(struct gca_heap *heap, bool minor, struct pacer_cycle *cycle);
int pace_end(struct gca_heap *heap, const struct mark_result *result, struct pacer_cycle *cycle);
/* CPU time of marking since it began, of workers and mutators. */
uint64_t pace_marking_ns(const struct gca_heap *heap, const struct pacer_cycle *begun);

/* --------------------------------------------------- generations.c, cards.c */

struct gen_count {		/* atomic */
	uint64_t bytes;
	uint64_t objects;
};

#define GENERATIONS_DEFAULT	GCA_GENERATIONS_AUTO

struct generations {
	uint32_t mode;		/* atomic: enum gca_generations, not DEFAULT */
	/* Atomic, written with world held: from the end of one cycle to the beginning of
	 * the next the mark bits of what is alive stay set, and stores dirty cards.
	 */
	bool remember;
	bool conservative;	/* atomic: there is an object of such a kind with a kind id */
	/* the thread that runs the cycle, world held */
	bool minor;		/* the cycle under way, or the last */
	bool dirty;		/* cards may be */
	uint64_t cards;		/* dirty ones in this cycle */
	struct worth worth;
	/* when it began */
	struct pacer_cycle begun;
	uint64_t before;	/* heap_live */
	uint64_t allocated;	/* bytes since the last one began */
	/* Of old objects that no marking counts: born black, freed by hand; by epoch. */
	struct gen_count black[2];
	struct gen_count freed[2];
	/* atomic */
	uint64_t minors;	/* cycles ever */
	uint64_t old_bytes;	/* of the last cycle, if it was minor */
	uint64_t cards_ever;
};

/* World held, sweep complete, every mutator white: is the cycle a minor one? */
void generations_begin(struct gca_heap *heap, bool full);
/* What there was to mark is marked: whether the next may be a minor one.  No world held. */
void generations_decide(struct gca_heap *heap);
/* Marking is over: @result is of all that is alive. */
void generations_add_old(struct gca_heap *heap, struct mark_result *result);
/* Owner, white: an object of a span that it holds was freed, its alloc bit clear. */
void generations_freed(struct gca_mutator *mutator, const struct object *object);
/* Owner: a new object gets @size bytes of another's by a plain copy. */
void generations_copying(struct gca_mutator *mutator, void *object, size_t size);

static inline void generations_count(struct gen_count *count, uint64_t bytes, uint64_t objects)
{
	__atomic_add_fetch(&count->bytes, bytes, __ATOMIC_RELAXED);
	__atomic_add_fetch(&count->objects, objects, __ATOMIC_RELAXED);
}

/* All cards become clean. */
void cards_clear(struct gca_heap *heap);

/* -------------------------------------------------------------- cgroup.c */

uint64_t cgroup_limit(const char *proc, const char *root);

/* --------------------------------------------------------------- stats.c */

#define PAUSE_BUCKETS	512	/* 16 to a power of two of nanoseconds */

struct pause_stats {		/* between stats_begin() and stats_end() */
	uint32_t buckets[PAUSE_BUCKETS];
	uint64_t count;
	uint64_t total_ns;
	uint64_t max_ns;
	/* The last ones: of the nth pause, from 0, at n modulo their number. */
	uint64_t ns[GCA_PAUSES];
	uint64_t end[GCA_PAUSES]; /* ns since 1970 */
};

/* Objects of a span class; memstats.c. */
struct class_count {
	uint64_t allocated[2];	/* atomic; by epoch, of cycles that are not over */
	uint64_t black[2];	/* atomic; of these, while marking was on */
	uint64_t freed[2];	/* atomic; old ones, by hand; by epoch */
	uint64_t marked;	/* atomic; in this cycle, by those who are done */
	/* between stats_begin() and stats_end() */
	uint64_t settled;	/* allocated before the last cycle began, ever */
	uint64_t dead;		/* of these: not found by a cycle */
};

uint64_t now_ns(void);
uint64_t thread_cpu_ns(void);
uint64_t process_cpu_ns(void);
void pause_record(struct gca_heap *heap, uint64_t ns);
unsigned int stop_bucket(uint64_t ns);
uint64_t pause_bucket_end(unsigned int bucket);
void pause_quantiles(const struct pause_stats *pauses, const unsigned int *per_mille,
		     uint64_t *ns, unsigned int nr);

/* ------------------------------------------------------------ memstats.c */

/* Around changes that a reader must see all of or none; world held. */
void stats_begin(struct gca_heap *heap);
void stats_end(struct gca_heap *heap);
/* Readers: copy between the two, again while stats_retry() says so. */
uint64_t stats_read(const struct gca_heap *heap);
bool stats_retry(const struct gca_heap *heap, uint64_t sequence);
/* The arena's counters of one moment, that moment's update and generation. */
double stats_cpu_fraction(const struct gca_heap *heap);
void stats_arena(const struct gca_heap *heap, struct gcarena_counters *counters,
		 uint32_t *update, uint32_t *generation);
/* A consistent copy of the pauses. */
void stats_pauses(const struct gca_heap *heap, struct pause_stats *pauses);

/* Owner or claimed: objects of a small class, of a large one. */
void class_count_slow(struct gca_mutator *mutator, unsigned int class);
static inline void class_count_out(struct gca_mutator *mutator, unsigned int class)
{
	if (mutator->holdings[class].uncounted)
		class_count_slow(mutator, class);
}

/* The first of the small classes from @class on whose bit is set in @used, or nr_span_classes. */
static inline unsigned int next_used(const uint64_t *used, unsigned int class)
{
	unsigned int word = class / 64;
	uint64_t bits;

	if (class >= nr_span_classes)
		return nr_span_classes;
	bits = __atomic_load_n(&used[word], __ATOMIC_RELAXED) & ~0ULL << (class & 63);
	while (!bits) {
		if (++word == SPAN_CLASSES_MAX / 64)
			return nr_span_classes;
		bits = __atomic_load_n(&used[word], __ATOMIC_RELAXED);
	}
	return word * 64 + (unsigned int)__builtin_ctzll(bits);
}

void class_count_large(struct gca_mutator *mutator, unsigned int class);
/* Owner or claimed: what it marked is the heap's. */
void class_marked_out(struct gca_mutator *mutator);
void class_marked(struct gca_heap *heap, uint32_t *marked);
/* Between stats_begin() and stats_end(), every mutator white: what was allocated in
 * these epochs and before, and not marked, is dead.
 */
void class_settle(struct gca_heap *heap, uint32_t epoch, bool both);

/* ------------------------------------------------------------------ heap */

struct gca_heap {
	/* fixed */
	uintptr_t base;
	size_t size;
	struct gcarena_row *rows;
	uint64_t *bitmap[2];
	const struct gcarena_status *status;
	uint64_t *pointer_bits;	/* a bit a word, for PRECISE */
	uint64_t *grey_bits;	/* a bit a granule: marked, and not scanned; mark_near.c */
	uint16_t *kind_ids;	/* a cell each 64 bytes, for KINDED and LARGE_SCAN */
	uint8_t *cards;		/* one each 512 bytes */
	const struct backend_ops *ops;
	void *backend;		/* the backend's own */
	enum gca_backend backend_kind;
	uint32_t number;	/* in the process, from 1; never used again */
	uint32_t arena;		/* its name in debugfs; 0: it has none */
	bool has_reserve;	/* the backend can back chunks ahead of demand */
	bool has_sticky;	/* its sweep can leave mark bits set */
	bool has_inside;	/* it can release what has no object inside spans */
	enum gca_mode mode;
	bool debug_verify;
	bool debug_shadow;
	bool debug_gctrace;
	bool debug_poison;
	bool debug_stress;
	bool debug_pacertrace;
	bool debug_scavtrace;
	uint64_t scav_seen;	/* bytes given back that scavtrace's lines have told of */
	uint64_t scav_eager;	/* given back by calls since its last line */
	/* The endpoint's thread: what smaps said, and when. */
	uint64_t resident_ns;
	uint64_t resident_bytes;
	uint64_t resident_huge_bytes;
	bool slow_alloc;	/* mutators' abi.cache are the empty ones */
	uint64_t open_ns;

	pthread_mutex_t turn;	/* to take world next; held for nothing but the wait */
	pthread_mutex_t world;

	/* world held */
	struct gca_mutator *mutators;
	uint32_t nr_mutators;
	struct roots roots;
	struct gcarena_policy policy;
	struct pacer pacer;
	uint64_t assist_cpu_ns;	/* CPU time of assists, by what they scanned */
	uint64_t gc_seen_ns;	/* CPU time that the pacer has been told of */
	uint64_t cpu_seen_ns;
	struct mark_stack mark_stack; /* while marking: the cycle's thread's */
	uint64_t trimmed;	/* heap_idle when the tables were last trimmed */

	/* atomic; written with the world held; a mutator's own are its alloc_bits */
	uint32_t generation;
	uint32_t epoch;		/* of mutators that turn black */
	uint32_t marking;	/* from the first handshake to the flip */
	uint32_t drifted;	/* a mutator left while marking was on */
	uint32_t forked;	/* this is a child: nothing works */
	uint32_t broken;	/* a cycle could not be finished: nothing works */

	/* signal.c, atomic */
	int stop_signal;	/* 0: none */
	uint64_t late_ns;	/* without an answer until the first */
	uint32_t in_flight;	/* since marking began a store may have been interrupted */
	uint64_t signal_stops;

	/* stop.c, atomic */
	uint32_t stop;		/* futex: 1 while a stop is asked for or in force */
	uint32_t acks;		/* futex: counts mutators that became safe in it */

	/* atomic */
	uint64_t heap_live;	/* bytes that the last cycle marked */
	uint64_t heap_live_objects;
	uint64_t allocated[2];	/* bytes since, by epoch, counted when a run ends */
	uint64_t last_freed;	/* bytes that it found dead */
	uint64_t next_gc;	/* of heap_live + allocated; UINT64_MAX: off */
	uint64_t trigger;	/* of the same: where a concurrent cycle starts */
	uint64_t assist_from;	/* the pacer's from, due and expected, for assists */
	uint64_t assist_due;
	uint64_t expected;
	uint64_t scan_begun;	/* work.scanned when it began */
	uint64_t assist_on;	/* mutators assist */
	uint64_t assists;
	uint64_t assist_bytes;
	uint64_t assist_ns;
	uint64_t mark_ns;	/* of the clock */
	uint64_t stalls;	/* waits for a cycle's end */
	uint64_t stall_ns;
	uint64_t sweep_spans;	/* unswept when the sweep began */
	uint64_t sweep_assisted; /* spans swept by refills */
	uint64_t period_ns;	/* without a cycle at most; 0: any */
	uint64_t watchdog_ns;	/* without a safepoint until it is reported; 0: never */
	uint64_t late_told;	/* when the last wait began that was reported; world held */
	uint32_t follow_cgroup;	/* per cent of its limit that are ours; 0: not followed */
	uint64_t pressure_seen;	/* status->pressure_sequence that a cycle came of */
	uint64_t pressure_told;	/* that the program knows of, and the level; see pace.c */
	bool thrashing;		/* the pacer's */
	bool refused;		/* the arena refused memory, for which a cycle is run */
	uint64_t holes;		/* in use beyond objects, when they were at their most; */
	uint64_t holes_objects;	/* so many bytes of them; world held */
	uint64_t holes_refused;	/* added for refusals */
	uint64_t black_objects;	/* allocated black in this cycle */
	uint64_t stop_longest;	/* ns, of any one mutator in this cycle */
	uint64_t peak_inuse;
	uint32_t pages_high;	/* end of the highest span ever held */
	uint64_t cycles_begun;
	uint64_t cycles;
	uint64_t cycle_asked;	/* one that a thread is to run when it allocates; 0: none */
	uint64_t forced_cycles;
	uint64_t gc_cpu_ns;
	uint64_t gc_idle_ns;
	uint64_t safepoint_max_ns;
	uint64_t failed_allocs;
	uint64_t meta_bytes;	/* of the library's own, mapped and in use */
	uint64_t total_alloc;	/* bytes, ever, of closed runs */
	uint64_t mallocs;	/* objects, the same */
	uint64_t collapse_rest_ns; /* no collapsing before */
	struct gca_account gone; /* of the same; world held */
	uint64_t stop_unscheduled_ns; /* waits for a CPU that are not counted as stops */
	struct gcarena_span proxy_spent[GCARENA_BATCH_MAX]; /* handshake.c; world held */

	struct generations generations;
	struct work work;	/* work.c */

	/* concurrent.c */
	pthread_mutex_t gc_lock;
	pthread_cond_t gc_asked;
	pthread_cond_t gc_ended;
	pthread_t gc_thread;
	bool gc_running;	/* there is a thread */
	bool gc_refused;	/* it could not be made; not tried again */
	bool gc_quit;
	uint64_t gc_wanted;	/* number of the last cycle asked for */
	uint64_t gc_forced;	/* the same, by gca_collect() */
	uint64_t gc_full;	/* the same, that may not be a minor one */
	uint64_t gc_begun;
	uint64_t gc_finished;
	uint64_t gc_ended_ns;	/* atomic: end of the cycle before */
	uint64_t inuse_ended;	/* atomic: bytes in use then */
	int gc_error;		/* of the last finished one */
	struct cycle *gc_cycle;	/* room for one that a mutator runs; NULL: none yet */
	struct cycle *gc_handed; /* the same, for the collector to go on with */
	bool gc_small;		/* atomic: the next one is little work */

	/* memstats.c */
	uint64_t stats_sequence; /* odd while what must be seen at once is written */
	struct pause_stats pauses;
	struct class_count classes[SPAN_CLASSES_MAX];
	uint64_t used[SPAN_CLASSES_MAX / 64]; /* small classes that a mutator ever had; atomic */
	struct gca_stops stops[GCA_STOP_CAUSES]; /* atomic */
	uint32_t shaded[SPAN_CLASSES_MAX]; /* marked by whoever holds world */

	/* world held; read by whoever calls them */
	gca_failure_fn failure;
	void *failure_arg;
	gca_pressure_fn pressure;
	void *pressure_arg;
	gca_report_fn report;
	void *report_arg;

	/* the checks' own */
	void *shadow;
	void *verify;
	void *poison;

	/* fixed */
	int timeline;		/* file descriptor; 0: none */
	bool timeline_marks;	/* the kernel's, which adds thread and time */

	struct special special;
	struct profile profile;

	/* heap.c: the process's heaps, for fork */
	struct gca_heap *next_heap;
	struct gca_heap **heap_link;
};

/* What abi.barrier is to be. */
static inline uint32_t generations_barrier(const struct gca_heap *heap, bool marking)
{
	return (heap->debug_shadow ? GCA_BARRIER_SLOW : 0) |
	       (marking ? GCA_BARRIER_MARK : 0) |
	       (__atomic_load_n(&heap->generations.remember, __ATOMIC_RELAXED) ?
		GCA_BARRIER_CARD : 0);
}

/* An object of @kind gets a kind id: are there any that plain stores may be into? */
static inline void generations_note_kind(struct gca_heap *heap, const struct kind *kind)
{
	if (unlikely(kind->conservative))
		__atomic_store_n(&heap->generations.conservative, true, __ATOMIC_RELAXED);
}

/* 0, or -EIO with gca_error() set: a child of fork(), or the arena is gone. */
int heap_usable(const struct gca_heap *heap);
bool heap_inherited(const void *address);

/* env.c */
int env_read(struct gca_config *config, struct gca_heap *heap);

/* Fills gca_error() and returns @error, a negative errno. */
int error_set(int error, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* debug.c: to the report handler, or to stderr. */
void gca_warn(struct gca_heap *heap, const char *format, ...)
	__attribute__((format(printf, 2, 3), cold));
/* To the report handler, or to stderr and abort. */
void gca_report(struct gca_heap *heap, const char *format, ...)
	__attribute__((format(printf, 2, 3), cold));

/* ------------------------------------------------------------ collapse.c */

/* Any thread that is no running mutator. */
void collapse_some(struct gca_heap *heap);

/* -------------------------------------------------------------- tables.c */

#define TABLE_BYTES	(116 * KIB)	/* of side tables for a chunk of heap */

int tables_open(struct gca_heap *heap);
void tables_close(struct gca_heap *heap);
/* World stopped. */
void tables_trim(struct gca_heap *heap, bool all);

/* The library's own memory: zeroed, NORESERVE, not inherited by a child; NULL
 * when there is none.  table_unmap(NULL, ...) does nothing.
 */
void *table_map(size_t bytes);
void table_unmap(void *table, size_t bytes);
/* Gives back what [offset, offset + bytes) holds; it reads as zero then. */
void table_release(void *table, size_t offset, size_t bytes);

/* ------------------------------------------- from an address to an object */

static inline uint32_t heap_pages(const struct gca_heap *heap)
{
	return (uint32_t)(heap->size >> GCARENA_PAGE_SHIFT);
}

static inline bool heap_has(const struct gca_heap *heap, uintptr_t address)
{
	return address - heap->base < heap->size;
}

static inline uint64_t row_word0(const struct gca_heap *heap, uint32_t page)
{
	return gca_fault_row(page, __atomic_load_n(&heap->rows[page].word0, __ATOMIC_ACQUIRE));
}

static inline uint64_t row_word1(const struct gca_heap *heap, uint32_t page)
{
	return __atomic_load_n(&heap->rows[page].word1, __ATOMIC_RELAXED);
}

static inline uint64_t granule_of(const struct gca_heap *heap, uintptr_t address)
{
	return (address - heap->base) >> GCARENA_GRANULE_SHIFT;
}

static inline bool bit_test(const uint64_t *bits, uint64_t index)
{
	return __atomic_load_n(&bits[index >> 6], __ATOMIC_ACQUIRE) >> (index & 63) & 1;
}

/* By the only writer of the word, after everything written before. */
static inline void bit_publish(uint64_t *bits, uint64_t index)
{
	__atomic_store_n(&bits[index >> 6], bits[index >> 6] | 1ULL << (index & 63),
			 __ATOMIC_RELEASE);
}

/* The alloc bitmap, and the one that marking fills. */
static inline uint64_t *alloc_bitmap(const struct gca_heap *heap)
{
	return heap->bitmap[__atomic_load_n(&heap->generation, __ATOMIC_RELAXED) & 1];
}

static inline uint64_t *mark_bitmap(const struct gca_heap *heap)
{
	return heap->bitmap[(__atomic_load_n(&heap->generation, __ATOMIC_RELAXED) + 1) & 1];
}

/* Bytes allocated that the last cycle's heap_live does not have. */
static inline uint64_t heap_allocated(const struct gca_heap *heap)
{
	return __atomic_load_n(&heap->allocated[0], __ATOMIC_RELAXED) +
	       __atomic_load_n(&heap->allocated[1], __ATOMIC_RELAXED);
}

/* Pages [0, used) of the heap are all that spans were ever made of. */
static inline uint32_t heap_pages_used(const struct gca_heap *heap)
{
	return __atomic_load_n(&heap->pages_high, __ATOMIC_RELAXED);
}

struct span {
	uintptr_t base;
	uint32_t page;		/* the first */
	uint32_t npages;
	uint32_t span_class;
	bool large;		/* one object, or manual */
};

/* The span that @page belongs to, whatever its state; false: not in use. */
static inline bool span_at(const struct gca_heap *heap, uint32_t page, struct span *span)
{
	uint64_t word0 = row_word0(heap, page);
	uint32_t offset = (uint32_t)(word0 >> GCARENA_ROW_OFFSET_SHIFT) & 0xffff;

	if (!(word0 & GCARENA_ROW_IN_USE))
		return false;
	span->span_class = (uint32_t)(word0 >> GCARENA_ROW_CLASS_SHIFT) & 0xffff;
	span->large = word0 & GCARENA_ROW_LARGE;
	if (unlikely(offset == GCARENA_ROW_OFFSET_ESCAPE))
		span->page = (uint32_t)row_word1(heap, page);
	else
		span->page = page - offset;
	if (unlikely(span->span_class >= nr_span_classes || span->page > page))
		return false;
	if (span->large)
		span->npages = (uint32_t)(row_word1(heap, span->page) >>
					  GCARENA_ROW_NPAGES_SHIFT & GCARENA_ROW_NPAGES_MASK);
	else
		span->npages = span_classes[span->span_class].npages;
	span->base = heap->base + ((uintptr_t)span->page << GCARENA_PAGE_SHIFT);
	return true;
}

struct object {
	uintptr_t base;
	size_t size;		/* of the slot */
	uint64_t granule;	/* its bit in either bitmap */
	uint32_t span_class;
};

size_t object_usable(const struct object *object);

/* The slot of a collected span that @address points into, whether or not an
 * object is there.
 */
static inline bool object_at(const struct gca_heap *heap, uintptr_t address,
			     struct object *object)
{
	const struct span_class *class;
	struct span span;
	uint64_t index;

	if (!heap_has(heap, address) ||
	    !span_at(heap, (uint32_t)((address - heap->base) >> GCARENA_PAGE_SHIFT), &span))
		return false;
	class = &span_classes[span.span_class];
	object->span_class = span.span_class;
	if (unlikely(span.large)) {
		if (span.span_class == CLASS_MANUAL)
			return false;
		object->base = span.base;
		object->size = (size_t)span.npages << GCARENA_PAGE_SHIFT;
	} else {
		index = ((address - span.base) >> GCARENA_GRANULE_SHIFT) * class->reciprocal >> 32;
		if (index >= class->objects)
			return false;
		object->base = span.base + index * class->elem;
		object->size = class->elem;
	}
	object->granule = granule_of(heap, object->base);
	return true;
}

/* What reports and the heap walk call the kind of @object; never NULL. */
const char *object_kind_name(const struct gca_heap *heap, const struct object *object);

/* Of class LARGE_SCAN: a part of an object, and whether one can be had. */
bool object_splits(const struct gca_heap *heap, const struct object *object);
bool object_conservative(const struct gca_heap *heap, const struct object *object);
void object_visit_part(struct gca_heap *heap, const struct object *object, uintptr_t low,
		       uintptr_t high, struct gca_visitor *visitor);
/* Calls @visitor for the pointers of @object, by its class, bits or kind. */
void object_visit(struct gca_heap *heap, const struct object *object,
		  struct gca_visitor *visitor);

#endif /* GCARENA_INTERNAL_H */
