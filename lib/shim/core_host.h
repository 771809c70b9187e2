/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the span core needs of the kernel, in user space.
 *
 * Replaces kmod/core_host.h (same include guard) and must stay as small as it
 * is there: an API of the core's own, not an imitation of the kernel.  The
 * tables are linear mappings here, so the accessors are inline.  Faults for
 * tests come in at this seam: gca_seam_fails, asked by the process host before
 * each thing that a system may refuse.
 */
#ifndef GCARENA_CORE_HOST_H
#define GCARENA_CORE_HOST_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/gcarena.h>

/* As the uapi has them, so that pointers and formats agree. */
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s64 s64;

#define U16_MAX			((u16)~0U)
#define U32_MAX			((u32)~0U)
#define U64_MAX			((u64)~0ULL)

#ifndef EUCLEAN
#define EUCLEAN			117
#endif

/* Annotations that only sparse reads. */
#define __must_hold(lock)

#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)

#undef static_assert
#define static_assert(condition)	_Static_assert(condition, #condition)

/* Relaxed atomics, so that ThreadSanitizer sees the intent. */
#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), (v), __ATOMIC_RELAXED)
/* Here defined; what each use pairs with is said where it stands. */
#define smp_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)
/* As above. */
#define smp_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer knows no fences; the status protocol's stores are atomic. */
#define smp_wmb()		__asm__ __volatile__("" ::: "memory")
#else
/* As above. */
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#endif

#if defined(__x86_64__) && !defined(__POPCNT__)
/* Set when a process host opens: one instruction instead of a call. */
extern bool gca_have_popcnt;

static inline unsigned int hweight64(u64 x)
{
	u64 count;

	if (!gca_have_popcnt)
		return (unsigned int)__builtin_popcountll(x);
	__asm__("popcnt %1, %0" : "=r"(count) : "rm"(x) : "cc");
	return (unsigned int)count;
}
#else
#define hweight64(x)		((unsigned int)__builtin_popcountll(x))
#endif

/* Bits set in a line. */
static inline u32 gca_line_weight(const u64 *line)
{
	u32 count = 0;
	u32 k;

#if defined(__x86_64__) && !defined(__POPCNT__)
	if (likely(gca_have_popcnt)) {
		u64 a, b, c, d;

		/* Each word is read once: it is an operand. */
		for (k = 0; k < GCARENA_LINE_WORDS; k += 4) {
			__asm__("popcnt %1, %0" : "=r"(a) : "m"(line[k]) : "cc");
			__asm__("popcnt %1, %0" : "=r"(b) : "m"(line[k + 1]) : "cc");
			__asm__("popcnt %1, %0" : "=r"(c) : "m"(line[k + 2]) : "cc");
			__asm__("popcnt %1, %0" : "=r"(d) : "m"(line[k + 3]) : "cc");
			count += (u32)(a + b + c + d);
		}
		return count;
	}
#endif
	for (k = 0; k < GCARENA_LINE_WORDS; k++)
		count += hweight64(READ_ONCE(line[k]));
	return count;
}

/* Memory that is going to be written to. */
#define gca_prefetch(address)	__builtin_prefetch(address, 1)

#define __ffs64(x)		((unsigned int)__builtin_ctzll(x))
#define fls64(x)		((x) ? 64 - __builtin_clzll(x) : 0)

/* Whoever is on the other side of a process's own core is the process. */
#define gca_nospec(index, size)	(index)

#define min(a, b)	({ __typeof__(a) min_a = (a); __typeof__(b) min_b = (b); \
			   min_a < min_b ? min_a : min_b; })
#define max(a, b)	({ __typeof__(a) max_a = (a); __typeof__(b) max_b = (b); \
			   max_a > max_b ? max_a : max_b; })
#define min_t(type, a, b)	min((type)(a), (type)(b))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))

#ifndef container_of
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr) - offsetof(type, member)))
#endif

/* The kernel's list with a one-pointer head: as much of it as is used. */
struct hlist_node {
	struct hlist_node *next;
	struct hlist_node **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

static inline bool hlist_empty(const struct hlist_head *head)
{
	return !head->first;
}

static inline void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	node->next = head->first;
	if (node->next)
		node->next->pprev = &node->next;
	node->pprev = &head->first;
	head->first = node;
}

static inline void hlist_del_init(struct hlist_node *node)
{
	if (!node->pprev)
		return;
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
	node->next = NULL;
	node->pprev = NULL;
}

#define hlist_entry_or_null(node, type, member)	({ \
	struct hlist_node *entry_node = (node); \
	entry_node ? container_of(entry_node, type, member) : NULL; })

#define hlist_entry(node, type, member)	container_of(node, type, member)

#define hlist_for_each_entry(pos, head, member) \
	for (pos = hlist_entry_or_null((head)->first, __typeof__(*pos), member); pos; \
	     pos = hlist_entry_or_null((pos)->member.next, __typeof__(*pos), member))

/* The core lock, which knows whether it is held.  Who finds it taken looks again for a
 * while before sleeping: gca_lock_wait().
 */
typedef struct {
	pthread_mutex_t mutex;
	bool held;
} gca_lock_t;

static inline void gca_lock_init(gca_lock_t *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
	lock->held = false;
}

void gca_lock_wait(gca_lock_t *lock);

static inline void gca_lock(gca_lock_t *lock)
{
	if (unlikely(pthread_mutex_trylock(&lock->mutex)))
		gca_lock_wait(lock);
	WRITE_ONCE(lock->held, true);
}

static inline bool gca_trylock(gca_lock_t *lock)
{
	if (pthread_mutex_trylock(&lock->mutex))
		return false;
	WRITE_ONCE(lock->held, true);
	return true;
}

static inline void gca_unlock(gca_lock_t *lock)
{
	WRITE_ONCE(lock->held, false);
	pthread_mutex_unlock(&lock->mutex);
}

#define gca_lock_assert_held(lock)	GCA_ASSERT((lock)->held)

/* User space is preemptible as it is. */
#define gca_relax()			do { } while (0)

/* Who is killed here takes the heap along. */
#define gca_killed()			false

/* A broken invariant of the core: going on would corrupt the program. */
#define GCA_ASSERT(condition)	do { \
	if (unlikely(!(condition))) \
		gca_assert_failed(#condition, __FILE__, __LINE__); \
} while (0)

void gca_assert_failed(const char *condition, const char *file, int line)
	__attribute__((noreturn, cold));
void gca_complain(const char *format, ...) __attribute__((format(printf, 1, 2), cold));

/**
 * struct gca_tables - what is mapped for an arena beside its heap
 * @spans: the span table
 * @bitmap: bitmap[0] and bitmap[1]
 * @status: the status page
 *
 * Every user-space host starts with it; the core's host pointer points to it.
 */
struct gca_tables {
	struct gcarena_row *spans;
	u64 *bitmap[2];
	struct gcarena_status *status;
};

static inline struct gcarena_row *gca_host_row(void *host, u32 page)
{
	return ((struct gca_tables *)host)->spans + page;
}

static inline u64 *gca_host_line(void *host, unsigned int which, u32 page)
{
	return ((struct gca_tables *)host)->bitmap[which] + (size_t)page * GCARENA_LINE_WORDS;
}

static inline struct gcarena_status *gca_host_status(void *host)
{
	return ((struct gca_tables *)host)->status;
}

/* What a system may refuse to the process host. */
enum gca_seam {
	GCA_SEAM_MAP,
	GCA_SEAM_BACK,
	GCA_SEAM_RELEASE,
	GCA_SEAM_META_ALLOC,
	GCA_SEAM_META_BACK,
	GCA_SEAM_THREAD,
	GCA_SEAM_COLLAPSE
};

/* Set by tests, before threads exist: true makes this one fail. */
extern bool (*gca_seam_fails)(enum gca_seam seam);

/* Set by tests: where complaints go instead of stderr. */
extern void (*gca_complaint)(const char *text);
/* Where those of this thread go, NULL: stderr. */
extern __thread FILE *gca_complaints;

#endif /* GCARENA_CORE_HOST_H */
