// SPDX-License-Identifier: MIT
/*
 * The conservative stack: an object lives while an address of it, of its inside
 * or of one past its end stands in a register or on the stack; and garbage goes
 * for the most part, exact counts being no promise here.
 */
#include "lib.h"

#include "internal.h"

#include <sys/resource.h>

#define PATTERN	0xa5

struct link;
#define LINK_FIELDS(F) F(REF, struct link, next) F(VALS, unsigned char, data, 40)
GCA_STRUCT(link, LINK_FIELDS);

/* Overwrites what earlier calls left below the caller's frame. */
static NOINLINE void scrub(void)
{
	volatile unsigned char junk[8192];

	for (unsigned int i = 0; i < sizeof(junk); i++)
		junk[i] = 0;
	__asm__ volatile("" : : "r"(junk) : "memory");
}

static NOINLINE unsigned char *filled(struct gca_mutator *m, size_t size)
{
	unsigned char *p = must(gca_new_bytes(m, size));

	memset(p, PATTERN, size);
	return p;
}

/* Uses again what was freed of @size's sort, so that a lost object shows. */
static NOINLINE void reuse(struct gca_mutator *m, size_t size)
{
	size_t count = 4 * MIB / size;

	for (size_t i = 0; i < 300 && i < count + 2; i++)
		memset(must(gca_new_bytes(m, size)), 0, size);
}

static NOINLINE void collect_and_reuse(struct gca_mutator *m, size_t size)
{
	scrub();
	gca_collect(m);
	reuse(m, size);
}

static NOINLINE bool base_survives(struct gca_mutator *m, size_t size)
{
	unsigned char *p = filled(m, size);

	collect_and_reuse(m, size);
	return is_filled(p, PATTERN, size);
}

static NOINLINE bool interior_survives(struct gca_mutator *m, size_t size, size_t at)
{
	unsigned char *p = filled(m, size) + at;

	/* The base is not to be recomputed before the collection. */
	__asm__ volatile("" : "+r"(p));
	collect_and_reuse(m, size);
	__asm__ volatile("" : "+r"(p));
	return is_filled(p - at, PATTERN, size);
}

/* Only callee-saved registers hold the addresses, as far as C can ask for it. */
static NOINLINE bool registers_survive(struct gca_mutator *m, size_t size)
{
	register unsigned char *a = filled(m, size);
	register unsigned char *b = filled(m, size);
	register unsigned char *c = filled(m, size);
	register unsigned char *d = filled(m, size);

	gca_collect(m);
	reuse(m, size);
	return is_filled(a, PATTERN, size) && is_filled(b, PATTERN, size) &&
	       is_filled(c, PATTERN, size) && is_filled(d, PATTERN, size);
}

/* More stack than what a mutator copies of it. */
#define DEPTH	3000u

static NOINLINE unsigned int deep(struct gca_mutator *m, unsigned int depth)
{
	unsigned char *p = filled(m, 64);
	unsigned int good;

	if (depth) {
		good = deep(m, depth - 1);
	} else {
		collect_and_reuse(m, 64);
		gca_collect(m);
		reuse(m, 64);
		good = 0;
	}
	return good + (gca_object_of(gca_heap_of(m), p, NULL) == p && is_filled(p, PATTERN, 64));
}

#if defined(__x86_64__)
/* That a register alone holds an address is hard to arrange across the calls to
 * a collection, each of which may save it: the publication is looked at itself.
 */
#define TEST_REGISTER(m, name) do {						\
	register uintptr_t value_ __asm__(name) = hidden ^ key;			\
	size_t found_ = 0;							\
	__asm__ volatile("" : "+r"(value_));					\
	stack_publish(m);							\
	__asm__ volatile("" : "+r"(value_));					\
	for (size_t i = 0; i < (m)->copied / sizeof(uintptr_t); i++)		\
		found_ += ((m)->stack_copy[i] ^ key) == hidden;			\
	ok(found_, "what %s holds is published", name);				\
} while (0)

static NOINLINE void test_registers(struct gca_mutator *m, uintptr_t hidden, uintptr_t key)
{
	TEST_REGISTER(m, "rbx");
	TEST_REGISTER(m, "r12");
	TEST_REGISTER(m, "r13");
	TEST_REGISTER(m, "r14");
	TEST_REGISTER(m, "r15");
}
#else
static void test_registers(struct gca_mutator *m, uintptr_t hidden, uintptr_t key)
{
	skip(5, "not x86-64");
}
#endif

static NOINLINE struct link *chain(struct gca_mutator *m, unsigned int length)
{
	struct link *first = NULL;

	for (unsigned int i = 0; i < length; i++) {
		struct link *link = must(gca_new(m, link));

		memset(link->data, PATTERN, sizeof(link->data));
		gca_init(m, &link->next, first);
		first = link;
	}
	return first;
}

static NOINLINE unsigned int chain_length(struct link *first)
{
	unsigned int length = 0;

	for (; first; first = gca_load(&first->next)) {
		if (!is_filled(first->data, PATTERN, sizeof(first->data)))
			return 0;
		length++;
	}
	return length;
}

static NOINLINE void test_chain(struct gca_mutator *m)
{
	struct link *first = chain(m, 5000);

	collect_and_reuse(m, sizeof(struct link));
	gca_collect(m);
	eq(chain_length(first), 5000, "a list hangs on one address on the stack");
}

static NOINLINE void test_keepalive(struct gca_mutator *m)
{
	unsigned char *p = filled(m, 200);
	uintptr_t hidden = (uintptr_t)p ^ 0xffff000000000000ul;

	gca_collect(m);
	reuse(m, 200);
	ok(is_filled((void *)(hidden ^ 0xffff000000000000ul), PATTERN, 200),
	   "gca_keepalive() keeps an object to the place where it stands");
	gca_keepalive(p);
}

static NOINLINE void litter(struct gca_mutator *m, size_t count)
{
	for (size_t i = 0; i < count; i++)
		filled(m, 100);
}

static void test_garbage(struct gca_mutator *m)
{
	size_t count = scaled(100000);
	uint64_t live;

	litter(m, count);
	scrub();
	live = live_objects(m);
	ok(live < count / 100, "of %zu dropped objects %llu are mistaken for live", count,
	   (unsigned long long)live);
}

static NOINLINE size_t kept_below(struct gca_mutator *m, size_t bytes)
{
	volatile unsigned char frame[16384];
	unsigned char *mine = filled(m, 100);
	size_t kept = 0;

	frame[0] = 0;
	if (bytes > sizeof(frame))
		kept = kept_below(m, bytes - sizeof(frame));
	else
		collect_and_reuse(m, 100);
	return kept + frame[0] + is_filled(mine, PATTERN, 100);
}

/* The main thread's stack is as large as its limit is, and that may change. */
static void test_limits(struct gca_heap *heap)
{
	struct rlimit before, limit;
	struct gca_mutator *m;

	if (getrlimit(RLIMIT_STACK, &before))
		bail("getrlimit");
	limit = before;
	limit.rlim_cur = MIB;
	setrlimit(RLIMIT_STACK, &limit);
	m = attach(heap, GCA_STACK_CONSERVATIVE);
	setrlimit(RLIMIT_STACK, &before);
	eq(kept_below(m, 3 * MIB), 192, "a stack that has grown beyond its first limit");
	setrlimit(RLIMIT_STACK, &limit);
	eq(kept_below(m, 2 * MIB), 128, "one that is beyond it when it is set");
	eq(gca_detach(m), 0, "detach");
	setrlimit(RLIMIT_STACK, &before);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = before;
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &limit);
	m = attach(heap, GCA_STACK_CONSERVATIVE);
	setrlimit(RLIMIT_NOFILE, &before);
	eq(kept_below(m, MIB), 64, "one whose bounds cannot be read in /proc");
	eq(gca_detach(m), 0, "detach");
}

static const size_t sizes[] = { 16, 24, 63, 64, 100, 496, 512, 1000, 8192, 30000, 32767, 50000,
				200000, 3000000 };

int main(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_CONSERVATIVE);
	unsigned int nr = sizeof(sizes) / sizeof(sizes[0]);
	unsigned int base = 0, middle = 0, last = 0, past = 0, registers = 0;

	for (unsigned int i = 0; i < nr; i++) {
		base += base_survives(m, sizes[i]);
		middle += interior_survives(m, sizes[i], sizes[i] / 2);
		last += interior_survives(m, sizes[i], sizes[i] - 1);
		past += interior_survives(m, sizes[i], sizes[i]);
		registers += registers_survive(m, sizes[i]);
	}
	eq(base, nr, "an address on the stack keeps");
	eq(middle, nr, "so does one inside the object");
	eq(last, nr, "one of its last byte");
	eq(past, nr, "and one past its end");
	eq(registers, nr, "addresses in registers keep");
	eq(deep(m, DEPTH), DEPTH + 1, "every frame of a deep stack is scanned");
	test_registers(m, 0x1234567890abcdeful, 0xfedcba9876543210ul);
	test_chain(m);
	test_keepalive(m);
	test_garbage(m);
	eq(gca_detach(m), 0, "detach");
	test_limits(heap);
	eq(gca_close(heap), 0, "close");
	return tap_done();
}
