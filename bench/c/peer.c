// SPDX-License-Identifier: MIT
/*
 * What a workload asks of its heap once a run: to open, to collect, to give back
 * what is free, and what the heap knows about its own work.
 *
 * A figure that a peer does not have is not printed; none is made up.
 */
#include "bench.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdbool.h>

#if defined(PEER_GCARENA)

static struct gca_heap *peer_heap;

void peer_open(void)
{
	if (gca_open(NULL, &peer_heap))
		bench_die(gca_error());
}

peer_thread peer_enter(void)
{
	struct gca_mutator *m;

	if (gca_attach(peer_heap, GCA_STACK_CONSERVATIVE, &m))
		bench_die(gca_error());
	return m;
}

void peer_leave(peer_thread t)
{
	gca_detach(t);
}

/**
 * peer_roots - make static slots roots
 * @roots: the first of them; they are NULL from now on
 * @n: how many
 */
void peer_roots(peer_ref *roots, size_t n)
{
	if (gca_root_add(peer_heap, roots, n * sizeof(*roots)))
		bench_die(gca_error());
}

void peer_collect(peer_thread t)
{
	gca_collect(t);
}

void peer_release(peer_thread t)
{
	gca_release(t);
}

bool peer_release_inside(peer_thread t)
{
	gca_release_all(t);
	return true;
}

void peer_figures(void)
{
	struct gca_account account = { .size = sizeof(account) };
	struct gca_stats stats = { .size = sizeof(stats) };

	if (gca_stats(peer_heap, &stats) || gca_account_all(peer_heap, &account))
		bench_die(gca_error());
	bench_figure("cycles", "1", (double)stats.num_gc);
	bench_figure("gc_cpu", "s", (double)(stats.gc_cpu_ns + stats.assist_ns) / 1e9);
	bench_figure("stop_p50", "us", (double)stats.pause_p50_ns / 1e3);
	bench_figure("stop_p99", "us", (double)stats.pause_p99_ns / 1e3);
	bench_figure("stop_max", "us", (double)stats.pause_max_ns / 1e3);
	bench_figure("safepoint_max", "us", (double)stats.safepoint_max_ns / 1e3);
	bench_figure("assist", "s", (double)stats.assist_ns / 1e9);
	bench_figure("stall", "s", (double)stats.stall_ns / 1e9);
	bench_figure("refill", "s", (double)account.refill_ns / 1e9);
	bench_figure("mmu_1ms", "1", account.mmu[0] / 1e3);
	bench_figure("mmu_10ms", "1", account.mmu[1] / 1e3);
	bench_figure("mmu_100ms", "1", account.mmu[2] / 1e3);
}

#elif defined(PEER_BDWGC)

void peer_open(void)
{
	GC_INIT();
	GC_allow_register_threads();
	GC_start_performance_measurement();
}

/* Its pthread_create() registers the others. */
peer_thread peer_enter(void)
{
	return 0;
}

void peer_leave(peer_thread t)
{
}

/* Static data are roots already. */
void peer_roots(peer_ref *roots, size_t n)
{
}

void peer_collect(peer_thread t)
{
	GC_gcollect();
}

void peer_release(peer_thread t)
{
	GC_gcollect_and_unmap();
}

/* It stops the world for all of a cycle and times only their sum. */
void peer_figures(void)
{
	bench_figure("cycles", "1", (double)GC_get_gc_no());
	bench_figure("gc_wall", "s", (double)GC_get_full_gc_total_time() / 1e3);
}

#else /* malloc */

void peer_open(void)
{
}

peer_thread peer_enter(void)
{
	return 0;
}

void peer_leave(peer_thread t)
{
}

void peer_roots(peer_ref *roots, size_t n)
{
}

void peer_collect(peer_thread t)
{
}

/* Which malloc it is shows when the program runs. */
void peer_release(peer_thread t)
{
	int (*mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t size);
	void (*mi_collect)(bool force);

	*(void **)&mallctl = dlsym(RTLD_DEFAULT, "mallctl");
	*(void **)&mi_collect = dlsym(RTLD_DEFAULT, "mi_collect");
	if (mallctl)
		/* 4096 is jemalloc's number for all arenas. */
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	else if (mi_collect)
		mi_collect(true);
	else
		malloc_trim(0);
}

void peer_figures(void)
{
}

#endif

#ifndef PEER_GCARENA
/* Others have no such call. */
bool peer_release_inside(peer_thread t)
{
	return false;
}
#endif
