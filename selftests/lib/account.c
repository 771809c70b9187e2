// SPDX-License-Identifier: MIT
/*
 * Where a thread's time goes: the states of its account add up to the time since it
 * attached, each holds what was done in it, and the utilisation of windows follows.
 */
#include "lib.h"

#include "internal.h"

#include <sched.h>

#define NS_PER_MS	1000000ull

static struct gca_account account_of(struct gca_mutator *m)
{
	struct gca_account account = { .size = sizeof(account) };

	if (gca_account(m, &account))
		bail("gca_account: %s", gca_error());
	return account;
}

static uint64_t sum_of(const struct gca_account *a)
{
	return a->running_ns + a->blocked_ns + a->unscheduled_ns + a->assist_ns + a->stall_ns +
	       a->gate_ns + a->handshake_ns + a->refill_ns;
}

static void test_states(void)
{
	struct gca_account wrong = { .size = 8 }, before, after, all = { .size = sizeof(all) };
	struct gca_heap *heap = open_with(NULL);
	uint64_t begin = clock_ns(), until, wall;
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

	eq(gca_account(m, &wrong), -EINVAL, "a size that nobody has: %s", gca_error());
	before = account_of(m);
	gca_blocking_begin(m);
	sleep_ms(20);
	gca_blocking_end(m);
	after = account_of(m);
	ok(after.blocked_ns - before.blocked_ns >= 19 * NS_PER_MS, "a blocking region");
	eq(after.handshake_ns + after.stall_ns + after.assist_ns + after.gate_ns, 0,
	   "nor lost");

	before = after;
	for (unsigned int i = 0; i < 20000; i++)
		must(gca_new_bytes(m, 500));
	after = account_of(m);
	ok(after.refill_ns > before.refill_ns, "refills");
	gca_collect(m);
	after = account_of(m);
	ok(after.blocked_ns > before.blocked_ns, "who asks for a cycle waits for it");

	until = clock_ns() + 30 * NS_PER_MS;
	before = account_of(m);
	while (clock_ns() < until)
		;
	after = account_of(m);
	ok(after.running_ns - before.running_ns + after.unscheduled_ns - before.unscheduled_ns >=
	   29 * NS_PER_MS, "computing is running, or waiting for a CPU");

	wall = clock_ns() - begin;
	eq(sum_of(&after), after.wall_ns, "the states add up");
	ok(after.wall_ns <= wall && wall - after.wall_ns < 50 * NS_PER_MS,
	   "to the time since the thread attached: %llu of %llu us",
	   (unsigned long long)after.wall_ns / 1000, (unsigned long long)wall / 1000);
	gca_detach(m);
	eq(gca_account_all(heap, &all), 0, "of all threads");
	eq(sum_of(&all), all.wall_ns, "those that are gone too, it adds up");
	ok(all.wall_ns >= after.wall_ns, "and is no less");
	gca_close(heap);
}

/* Lost time is put in by hand: the windows' arithmetic. */
static void lose(struct gca_mutator *m, unsigned int ms)
{
	enum account_state before = account_switch(&m->account, ACCOUNT_STALL);

	sleep_ms(ms);
	account_switch(&m->account, before);
}

static void test_windows(void)
{
	struct gca_heap *heap = open_quiet(GCA_MODE_CONCURRENT);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	struct gca_account a = account_of(m), b;
	uint64_t lost;

	eq(a.mmu[0] + a.mmu[1] + a.mmu[2], 3000, "nothing lost: all of each window");
	lose(m, 5);
	a = account_of(m);
	ok(a.stall_ns >= 5 * NS_PER_MS, "five milliseconds");
	eq(a.mmu[0], 0, "are a whole one");
	ok(a.mmu[1] <= 500, "at least half of ten: %u left", a.mmu[1]);
	ok(a.mmu[2] <= 950, "and a twentieth of a hundred: %u left", a.mmu[2]);
	/* On a machine that has time for it. */
	if (a.stall_ns < 7 * NS_PER_MS) {
		ok(a.mmu[1] >= 250, "not much more of ten");
		ok(a.mmu[2] >= 900, "nor of a hundred");
	} else {
		skip(2, "the sleep took longer");
	}
	gca_blocking_begin(m);
	sleep_ms(150);
	gca_blocking_end(m);
	lose(m, 1);
	b = account_of(m);
	/* In thousandths of 100 ms, and a sixteenth of a window for the rounding. */
	lost = (b.stall_ns - a.stall_ns) / 100000 + 10;
	ok(b.mmu[2] >= a.mmu[2] || (lost < 1000 && b.mmu[2] >= 1000 - lost),
	   "what was long ago is in no window with it");
	for (unsigned int i = 0; i < 12; i++) {
		lose(m, 5);
		sleep_ms(1);
	}
	a = account_of(m);
	ok(a.mmu[2] <= 500, "sixty of a hundred: %u left", a.mmu[2]);
	lose(m, 120);
	eq(account_of(m).mmu[2], 0, "more than a window");
	gca_detach(m);
	gca_close(heap);
}

static uint32_t computed;

static void *computes(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_CONSERVATIVE);

	while (!__atomic_load_n(&computed, __ATOMIC_ACQUIRE))
		gca_safepoint(m);
	gca_detach(m);
	return NULL;
}

static void test_handshakes(enum gca_mode mode)
{
	struct gca_account all = { .size = sizeof(all) };
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t thread;

	computed = 0;
	if (pthread_create(&thread, NULL, computes, heap))
		bail("pthread_create");
	while (stats_of(heap).mutators < 2)
		sched_yield();
	/* Each asks it for an answer; how long that takes is no matter. */
	for (unsigned int i = 0; i < 10; i++)
		gca_collect(m);
	__atomic_store_n(&computed, 1, __ATOMIC_RELEASE);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	gca_account_all(heap, &all);
	ok(all.handshake_ns, "mode %d: handshakes: %llu ns", mode,
	   (unsigned long long)all.handshake_ns);
	eq(sum_of(&all), all.wall_ns, "and all adds up");
	ok(all.mmu[2] <= 1000 && all.mmu[0] <= all.mmu[2], "the shorter window is the worse");
	gca_detach(m);
	gca_close(heap);
}

/* ------------------------------------------------------------- watchdog */

static struct {
	unsigned int count;
	char text[256];
} report;

static void on_report(struct gca_heap *heap, const char *text, void *arg)
{
	report.count++;
	snprintf(report.text, sizeof(report.text), "%s", text);
}

static uint32_t silent;

static void *never_polls(void *arg)
{
	struct gca_mutator *m = attach(arg, GCA_STACK_PRECISE);

	pthread_setname_np(pthread_self(), "never-polls");
	__atomic_store_n(&silent, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&silent, __ATOMIC_ACQUIRE) == 1)
		sched_yield();
	gca_detach(m);
	return NULL;
}

static void *lets_it_go(void *arg)
{
	while (!__atomic_load_n(&report.count, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	sleep_ms(20);
	__atomic_store_n(&silent, 2, __ATOMIC_RELEASE);
	return NULL;
}

static void test_watchdog(enum gca_mode mode)
{
	struct gca_heap *heap = open_quiet(mode);
	struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);
	pthread_t threads[2];

	memset(&report, 0, sizeof(report));
	silent = 0;
	gca_set_report_handler(heap, on_report, NULL);
	eq(gca_set_watchdog(heap, 5), 10000, "mode %d: ten seconds at first", mode);
	gca_collect(m);
	eq(report.count, 0, "nobody is named without a reason");
	if (pthread_create(&threads[0], NULL, never_polls, heap))
		bail("pthread_create");
	while (!__atomic_load_n(&silent, __ATOMIC_ACQUIRE))
		sched_yield();
	if (pthread_create(&threads[1], NULL, lets_it_go, NULL))
		bail("pthread_create");
	gca_collect(m);
	ok(report.count >= 1 && strstr(report.text, "never-polls"), "who does not poll is: %s",
	   report.text);
	ok(stats_of(heap).safepoint_max_ns >= 5 * NS_PER_MS, "the time is measured");
	gca_blocking_begin(m);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	gca_blocking_end(m);
	gca_detach(m);
	gca_close(heap);
}

int main(void)
{
	test_watchdog(GCA_MODE_CONCURRENT);
	test_watchdog(GCA_MODE_STOP_THE_WORLD);
	test_states();
	test_windows();
	test_handshakes(GCA_MODE_CONCURRENT);
	test_handshakes(GCA_MODE_STOP_THE_WORLD);
	return tap_done();
}
