// SPDX-License-Identifier: MIT
/*
 * late: threads that come to no safepoint.  One that computes for long should be in a blocking
 * region, or call gca_safepoint() now and then.  One with a conservative stack that does
 * neither is stopped by a signal; one with a precise stack cannot be, holds every cycle
 * up, and is named.
 */
#define _GNU_SOURCE
#include <gcarena.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define ITEM_FIELDS(F) F(VAL, long, number)
GCA_STRUCT(item, ITEM_FIELDS);

static struct gca_heap *heap;
static int ready, done, named;
static const char *missing = "";

static bool is(int *flag)
{
	return __atomic_load_n(flag, __ATOMIC_ACQUIRE);
}

static void set(int *flag)
{
	__atomic_store_n(flag, 1, __ATOMIC_RELEASE);
}

/* Its item is known to a register, or to this stack, and to nobody else. */
static void *conservative(void *result)
{
	struct gca_mutator *m;
	struct item *item;

	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		return NULL;
	item = gca_new(m, item);
	if (item)
		item->number = 4711;
	set(&ready);
	while (!is(&done))
		;				/* computes */
	*(long *)result = item ? item->number : 0;
	gca_detach(m);
	return NULL;
}

static void *precise(void *unused)
{
	struct gca_mutator *m;

	if (gca_attach(heap, GCA_STACK_PRECISE, &m))
		return NULL;
	set(&ready);
	while (!is(&named))
		;				/* computes, and forgets to poll */
	gca_safepoint(m);
	gca_detach(m);
	return unused;
}

/* "thread 1234 (busy) has come to no safepoint for 20 ms: it does not poll" */
static void on_report(struct gca_heap *of, const char *report, void *arg)
{
	if (!strstr(report, "(busy)"))
		missing = "not ";
	set(&named);
}

/* The cycle is over before @fn comes to a safepoint, or because it did. */
static int beside(struct gca_mutator *m, void *(*fn)(void *), void *result)
{
	pthread_t thread;
	int error;

	__atomic_store_n(&ready, 0, __ATOMIC_RELEASE);
	if (pthread_create(&thread, NULL, fn, result))
		return -1;
	pthread_setname_np(thread, "busy");
	while (!is(&ready))
		gca_safepoint(m);
	error = gca_collect(m);
	set(&done);
	gca_blocking_begin(m);
	pthread_join(thread, NULL);
	gca_blocking_end(m);
	return error;
}

int main(void)
{
	struct gca_mutator *m;
	long result = 0;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m)) {
		fprintf(stderr, "late: %s\n", gca_error());
		return 1;
	}
	/* Another signal than SIGRTMAX - 4, if the program needs that one: */
	if (gca_set_stop_signal(heap, SIGRTMAX - 3)) {
		fprintf(stderr, "late: %s\n", gca_error());
		return 1;
	}
	if (beside(m, conservative, &result))
		return 1;
	printf("a cycle went by beside a loop, and what it held is %s\n",
	       result == 4711 ? "there" : "gone");

	gca_set_report_handler(heap, on_report, NULL);	/* or it is said on stderr */
	gca_set_watchdog(heap, 20);
	if (beside(m, precise, NULL))
		return 1;
	printf("one that could not be stopped was %snamed\n", missing);
	gca_detach(m);
	return gca_close(heap) || result != 4711 || *missing;
}
