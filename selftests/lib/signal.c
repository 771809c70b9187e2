// SPDX-License-Identifier: MIT
/*
 * Stops by signal: threads with conservative stacks that never poll hold no cycle up,
 * wherever they are; what only their registers know survives; and what the inline
 * functions were in the middle of is neither lost nor torn.
 *
 * The storms send the signals at once (late_ns), so that every answer is one.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>
#include <signal.h>

#define NS_PER_S	1000000000ull
#define STORMERS	3
#define SHARED		64

struct node;
#define NODE_FIELDS(F)				\
	F(REF, struct node, next)		\
	F(VAL, uint64_t, value)			\
	F(VAL, uint64_t, check)
GCA_STRUCT(node, NODE_FIELDS);

static uint32_t ready, quit;

static bool stopping(void)
{
	return __atomic_load_n(&quit, __ATOMIC_RELAXED);
}

static void wait_for(uint32_t count)
{
	while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < count)
		sched_yield();
}

static void spawn(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	if (pthread_create(thread, NULL, fn, arg))
		bail("pthread_create");
}

/* A node that no memory knows: its address is complemented until the loop has it. */
static NOINLINE uintptr_t hidden_node(struct gca_mutator *m)
{
	struct node *node = must(gca_new(m, node));

	node->value = 4711;
	node->check = ~4711ull;
	return ~(uintptr_t)node;
}

/* In one register for as long as the loop lasts, and nowhere else. */
static NOINLINE uintptr_t loop_with(uintptr_t hidden)
{
	uintptr_t object = ~hidden;

#if defined(__x86_64__)
	__asm__ volatile("1: cmpl $0, %1\n\tje 1b" : "+r" (object) : "m" (quit) : "cc", "memory");
#else
	while (!stopping())
		gca_keepalive(object);
#endif
	return object;
}

#if defined(__x86_64__)
/* The same in a vector register. */
static NOINLINE uintptr_t loop_with_vector(uintptr_t hidden)
{
	uintptr_t object = 0;

	hidden = ~hidden;
	__asm__ volatile("movq %1, %%xmm7\n\txorl %k1, %k1\n"
			 "1: cmpl $0, %2\n\tje 1b\n\tmovq %%xmm7, %0"
			 : "=&r" (object), "+r" (hidden) : "m" (quit) : "cc", "memory", "xmm7");
	return object;
}
#endif

static void *loops(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	uintptr_t hidden = hidden_node(m), found;
	struct node *node;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	found = loop_with(hidden);
	node = (struct node *)found;
	found = node->value == 4711 && node->check == ~4711ull;
	gca_detach(m);
	return (void *)found;
}

static void *loops_vector(void *arg)
{
#if defined(__x86_64__)
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	uintptr_t hidden = hidden_node(m), found;
	struct node *node;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	found = loop_with_vector(hidden);
	node = (struct node *)found;
	found = node->value == 4711 && node->check == ~4711ull;
	gca_detach(m);
	return (void *)found;
#else
	return loops(arg);
#endif
}

/* With a stack for signals, as a runtime that looks for overflows has. */
static void *loops_altstack(void *arg)
{
	static char memory[256 * KIB];
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) };
	stack_t none = { .ss_flags = SS_DISABLE };
	void *result;

	if (sigaltstack(&stack, NULL))
		bail("sigaltstack");
	result = loops(arg);
	sigaltstack(&none, NULL);
	return result;
}

static void *mallocs(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	struct node *node = must(gca_new(m, node));
	struct rng rng = rng_seeded(1);

	node->value = 1;
	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stopping()) {
		char *memory = malloc(rng_below(&rng, 100000) + 1);

		if (!memory)
			break;
		memory[0] = 1;
		__asm__ volatile("" : : "r" (memory) : "memory");
		free(memory);
	}
	gca_keepalive(node);
	gca_detach(m);
	return (void *)(uintptr_t)(node->value == 1);
}

static void test_loops(enum gca_mode mode)
{
	void *(*const fns[])(void *) = { loops, loops_vector, loops_altstack, mallocs };
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t threads[ARRAY_SIZE(fns)];
	uint64_t begin, kept = 0;
	bool reused = true;

	ready = 0;
	quit = 0;
	for (size_t i = 0; i < ARRAY_SIZE(fns); i++)
		spawn(&threads[i], fns[i], heap);
	gca_blocking_begin(m);
	wait_for(ARRAY_SIZE(fns));
	gca_blocking_end(m);
	begin = clock_ns();
	for (unsigned int i = 0; i < scaled(10); i++) {
		if (gca_collect(m))
			bail("gca_collect: %s", gca_error());
		/* What was lost is overwritten. */
		for (unsigned int j = 0; j < 1000; j++) {
			struct node *node = must(gca_new(m, node));

			node->value = 1;
			reused &= node->value == 1;
		}
	}
	ok(reused, "mode %d: %zu cycles beside four threads that never poll, %llu ms", mode,
	   scaled(10), (unsigned long long)(clock_ns() - begin) / 1000000);
	ok(heap->signal_stops >= ARRAY_SIZE(fns), "by signals: %llu",
	   (unsigned long long)heap->signal_stops);
	__atomic_store_n(&quit, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	for (size_t i = 0; i < ARRAY_SIZE(fns); i++) {
		void *result;

		pthread_join(threads[i], &result);
		kept += (uintptr_t)result;
	}
	gca_blocking_end(m);
	eq(kept, ARRAY_SIZE(fns), "what registers, general and vector, and stacks know survives");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* The end of a store that a signal stopped when its buffer was full, and the cycle ended. */
static void test_late_store(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_CONSERVATIVE);
	struct node *node = must(gca_new(m, node));
	uintptr_t *word;

	gca_collect(m);
	for (word = m->shades; word < m->abi.shades_end; word++)
		*word = (uintptr_t)node;
	m->abi.shades = m->abi.shades_end;
	gca_shade_flush(m);
	ok(m->abi.shades == m->shades, "a store that ends after its cycle shades nothing");
	gca_keepalive(node);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* -------------------------------------------------------- where it must not */

static uint32_t step;

static void await_step(uint32_t value)
{
	while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) < value)
		;
}

/* The inline allocation, held up between its first step and its last. */
static void *half_way(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	const struct gca_kind *kind = GCA_KIND(node);
	struct gca_mutator_abi *abi = GCA_MUTATOR_(m);
	struct gca_cache *cache;
	struct node *node;
	uint64_t granule;
	uintptr_t slot;
	bool right;

	must(gca_new(m, node));
	cache = (struct gca_cache *)(void *)((char *)abi->cache + kind->cache_offset);
	if (!GCA_TAKE_(cache, slot))
		bail("a run of one object");
	__atomic_store_n(&step, 1, __ATOMIC_RELEASE);
	await_step(2);
	granule = (slot - abi->heap_base) >> 4;
	gca_set_layout_(abi, granule, kind->pointer_mask, sizeof(struct node));
	gca_publish_(abi, granule);
	node = (struct node *)slot;
	node->value = 99;
	gca_store(m, &node->next, must(gca_new(m, node)));
	gca_load(&node->next)->value = 98;
	__atomic_store_n(&step, 3, __ATOMIC_RELEASE);
	await_step(4);
	right = node->value == 99 && gca_load(&node->next)->value == 98;
	gca_detach(m);
	return (void *)(uintptr_t)right;
}

/* Inside the library, as a handler of the program's that it calls. */
static void *inside(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);

	must(gca_new(m, node));
	runtime_depth++;
	__atomic_store_n(&step, 1, __ATOMIC_RELEASE);
	await_step(2);
	runtime_depth--;
	__atomic_store_n(&step, 3, __ATOMIC_RELEASE);
	await_step(4);
	gca_detach(m);
	return (void *)1;
}

static void test_where_not(void *(*fn)(void *), const char *what)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	unsigned int sent = 0;
	pthread_t thread;
	uint64_t cycle;
	void *right;

	step = 0;
	heap->late_ns = 0;
	spawn(&thread, fn, heap);
	await_step(1);
	cycle = concurrent_request(heap);
	/* Once one is sent, long enough for many, each of which finds it where it must not stop. */
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < 10000 && sent < 30; i++) {
		if (sent || heap->mutators->signalled_at || heap->mutators->next->signalled_at)
			sent++;
		sleep_ms(1);
	}
	gca_blocking_end(m);
	ok(sent && !heap->signal_stops, "%s: signals come, and stop nobody", what);
	__atomic_store_n(&step, 2, __ATOMIC_RELEASE);
	concurrent_wait(m, cycle, UINT64_MAX);
	await_step(3);
	for (unsigned int i = 0; i < 3; i++) {
		gca_collect(m);
		for (unsigned int j = 0; j < 1000; j++)
			must(gca_new(m, node));
	}
	ok(heap->signal_stops, "afterwards they do");
	__atomic_store_n(&step, 4, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, &right);
	gca_blocking_end(m);
	ok(right, "nothing was lost");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* ------------------------------------------------------------- the storms */

static gca_ref shared[SHARED];

static void check_node(const struct node *node, size_t *wrong)
{
	if (node && node->check != ~node->value)
		++*wrong;
}

/*
 * Inline functions without a pause, and library calls between: lists are taken from a
 * table and put back, longer and shorter; nobody polls but by the slow paths.
 */
static void *storms(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);
	struct rng rng = rng_seeded((uint64_t)(uintptr_t)&rng & 0xffff00);
	size_t wrong = 0;

	__atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
	while (!stopping()) {
		gca_ref *slot = &shared[rng_below(&rng, SHARED)];
		struct node *node, *old;
		unsigned int length = 0;

		/* An allocation may be a safepoint: seldom. */
		switch (rng_below(&rng, 64) ? rng_below(&rng, 7) + 1 : 0) {
		case 0:
			node = must(gca_new(m, node));
			node->value = rng_next(&rng);
			node->check = ~node->value;
			gca_init(m, &node->next, (struct node *)gca_load(slot));
			gca_store(m, slot, (void *)node);
			break;
		case 1:
			node = gca_load(slot);
			gca_store(m, &shared[rng_below(&rng, SHARED)], (void *)node);
			break;
		case 2:
			old = gca_exchange(m, slot, NULL);
			for (node = old; node && length++ < 100; node = gca_load(&node->next))
				check_node(node, &wrong);
			gca_store(m, &shared[rng_below(&rng, SHARED)], (void *)old);
			break;
		case 3:
			old = gca_load(slot);
			check_node(old, &wrong);
			if (old)
				gca_compare_exchange(m, slot, (void *)old,
						     (void *)gca_load(&old->next));
			check_node(old, &wrong);
			break;
		case 4:
			gca_copy_refs(m, &shared[8], &shared[rng_below(&rng, 40)], 16);
			break;
		case 5:
			gca_store(m, slot, NULL);
			break;
		case 6:
			for (node = gca_load(slot); node && length++ < 200;
			     node = gca_load(&node->next))
				check_node(node, &wrong);
			break;
		default:
			old = gca_load(slot);
			if (old && !gca_pin(m, old)) {
				check_node(old, &wrong);
				gca_unpin(m, old);
			}
			break;
		}
	}
	gca_detach(m);
	return (void *)wrong;
}

static void test_storm(enum gca_mode mode, const char *debug)
{
	uint64_t until = clock_ns() + (uint64_t)scaled(700) * 1000000;
	struct gca_heap *heap = open_debug(debug, mode, 100);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t threads[STORMERS];
	size_t wrong = 0, cycles = 0;

	ready = 0;
	quit = 0;
	heap->late_ns = 0;
	gca_root_add(heap, shared, sizeof(shared));
	for (unsigned int i = 0; i < STORMERS; i++)
		spawn(&threads[i], storms, heap);
	while (clock_ns() < until || cycles < 5) {
		if (gca_collect(m))
			bail("gca_collect: %s", gca_error());
		cycles++;
	}
	__atomic_store_n(&quit, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < STORMERS; i++) {
		void *result;

		pthread_join(threads[i], &result);
		wrong += (size_t)result;
	}
	gca_blocking_end(m);
	eq(wrong, 0, "mode %d, %s: a storm of %llu signals, %zu cycles", mode,
	   debug ? debug : "as it is", (unsigned long long)heap->signal_stops, cycles);
	eq(reports.count, 0, "and nothing to report %s", reports.text);
	ok(heap->signal_stops, "signals were what stopped them");
	gca_root_remove(heap, shared);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

/* ---------------------------------------------------------------- choice */

static void on_other(int number)
{
}

static void test_choice(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT), *none = NULL;
	int taken = SIGRTMIN + 9;

	ok(heap->stop_signal >= SIGRTMIN, "a heap begins with signal %d", heap->stop_signal);
	eq(gca_set_stop_signal(heap, SIGUSR1), -EINVAL, "no ordinary one: %s", gca_error());
	eq(gca_set_stop_signal(heap, -1), -EINVAL, "nor none at all");
	signal(taken, on_other);
	eq(gca_set_stop_signal(heap, taken), -EBUSY, "nor one that is taken: %s", gca_error());
	signal(taken, SIG_DFL);
	eq(gca_set_stop_signal(heap, taken), 0, "one that is free");
	eq(heap->stop_signal, taken, "is used");
	eq(gca_set_stop_signal(heap, 0), 0, "or none");
	eq(gca_close(heap), 0, "close");

	setenv("GCARENA_SIGNAL", "2", 1);
	eq(gca_open(NULL, &none), -EINVAL, "GCARENA_SIGNAL=2: %s", gca_error());
	setenv("GCARENA_SIGNAL", "off", 1);
	heap = open_with(NULL);
	eq(heap->stop_signal, 0, "GCARENA_SIGNAL=off");
	gca_close(heap);
	setenv("GCARENA_SIGNAL", "40", 1);
	heap = open_with(NULL);
	eq(heap->stop_signal, 40, "GCARENA_SIGNAL=40");
	gca_close(heap);
	unsetenv("GCARENA_SIGNAL");
}

/* Taken after the heap was opened: said once, and waited for. */
static void test_taken(void)
{
	struct gca_heap *heap = open_debug(NULL, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	int number = SIGRTMIN + 11;
	pthread_t thread;

	ready = 0;
	quit = 0;
	heap->stop_signal = number;
	signal(number, on_other);
	spawn(&thread, loops, heap);
	wait_for(1);
	heap->late_ns = 0;
	if (!concurrent_request(heap))
		bail("no collector");
	while (!__atomic_load_n(&reports.count, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	eq(heap->stop_signal, 0, "a signal that the program took is not sent: %s", reports.text);
	__atomic_store_n(&quit, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	gca_collect(m);
	eq(heap->signal_stops, 0, "nobody was stopped by it");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
	signal(number, SIG_DFL);
}

/* What a heap begins with has a handler already, as with a second copy of the library. */
static void test_second(void)
{
	struct gca_heap *heap = open_debug(NULL, GCA_MODE_CONCURRENT, GCA_PERCENT_OFF);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	int number = heap->stop_signal;
	pthread_t thread;

	ready = 0;
	quit = 0;
	signal(number, on_other);
	spawn(&thread, loops, heap);
	wait_for(1);
	eq(gca_collect(m), 0, "a cycle with a thread that does not poll");
	ok(heap->stop_signal < number && heap->stop_signal > number - 5,
	   "signal %d is taken, and another one used", number);
	ok(heap->signal_stops && !reports.count, "which stops it: %s", reports.text);
	__atomic_store_n(&quit, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
	signal(number, SIG_DFL);
}

#if defined(__x86_64__) && !TEST_ASAN && !defined(__SANITIZE_THREAD__)
#include <ucontext.h>

#define TRAP_FLAG	0x100
#define STEPS		64u

/* Before which instruction of an inline allocation the run is closed. */
static struct {
	struct gca_mutator *m;
	struct gca_cache *cache;
	uintptr_t cur;
	unsigned int left;
	bool closed;		/* the slot was not taken yet */
} stepping;

static void on_trap(int number, siginfo_t *info, void *context)
{
	greg_t *flags = &((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL];

	if (--stepping.left) {
		*flags |= TRAP_FLAG;
		return;
	}
	*flags &= ~(greg_t)TRAP_FLAG;
	if (runtime_depth || !alloc_settled(stepping.m))
		return;
	stepping.closed = stepping.cache->cur == stepping.cur;
	alloc_flush(stepping.m);
}

static void trap_flag(bool on)
{
	unsigned long flags = __builtin_ia32_readeflags_u64();

	__builtin_ia32_writeeflags_u64(on ? flags | TRAP_FLAG : flags & ~(unsigned long)TRAP_FLAG);
}

/* What a cycle does to a thread that stands still, at each instruction of GCA_TAKE_ too. */
static void test_take(void)
{
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO }, before;
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	unsigned int wrong = 0, closed = 0, nth;
	const struct gcarena_span *span;
	struct object object;
	void *got;

	sigaction(SIGTRAP, &action, &before);
	stepping.m = m;
	for (nth = 1; nth < STEPS; nth++) {
		got = must(gca_new_bytes_raw(m, 40));
		if (!object_at(heap, (uintptr_t)got, &object))
			bail("no object");
		span = &m->holdings[object.span_class].span;
		stepping.cache = &m->caches[object.span_class];
		stepping.cur = stepping.cache->cur;
		stepping.left = nth;
		stepping.closed = false;
		trap_flag(true);
		got = gca_new_bytes_raw(m, 40);
		trap_flag(false);
		if (!stepping.closed)
			continue;
		/* It was taken afterwards, so from a span that is held. */
		closed++;
		wrong += !span->npages ||
			 ((uintptr_t)got - heap->base) >> GCARENA_PAGE_SHIFT != span->page;
	}
	sigaction(SIGTRAP, &before, NULL);
	ok(closed >= 4, "a run is closed amid %u allocations", closed);
	eq(wrong, 0, "and each gives an object of a span that is held");
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}
#else
static void test_take(void)
{
	skip(3, "it is not inline, or not taken that way");
}
#endif

int main(void)
{
	test_take();
	if (!signal_default()) {
		skip(1, "no stops by signal on this machine");
		return tap_done();
	}
	test_choice();
	test_taken();
	test_second();
	test_loops(GCA_MODE_CONCURRENT);
	test_loops(GCA_MODE_STOP_THE_WORLD);
	test_late_store();
	if (TEST_ASAN)
		skip(4, "allocation is not inline");
	else
		test_where_not(half_way, "amid an allocation");
	test_where_not(inside, "inside the library");
	test_storm(GCA_MODE_CONCURRENT, NULL);
	test_storm(GCA_MODE_STOP_THE_WORLD, NULL);
	test_storm(GCA_MODE_CONCURRENT, "verify=1");
	return tap_done();
}
