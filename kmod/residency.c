// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Residency: in what state the memory behind a range is.
 *
 * Read from the heap file's page cache, which knows what is in memory, in
 * folios of which size, and what is in swap, whether or not anybody has it
 * mapped.  The walk is under RCU and looks at the tree only: an entry's order
 * stands in the tree, so no folio is referenced, which could make a split or a
 * release of it fail.  What is free or in use the core says, a chunk at a time.
 *
 * Nothing is held from one chunk to the next, so the answer is true of each
 * chunk at its moment; nobody is held up for longer than it takes to copy a
 * chunk's maps.
 */
#include <linux/errno.h>
#include <linux/numa.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>

#include "arena.h"

/* A page whose base pages are in these two states. */
static u8 gca_residency_merge(u8 one, u8 other)
{
	if (one == other || one == GCARENA_RES_RELEASED)
		return other;
	if (one == GCARENA_RES_SWAPPED || other == GCARENA_RES_SWAPPED)
		return GCARENA_RES_SWAPPED;
	return GCARENA_RES_SMALL;
}

/**
 * gca_residency_look - what is in memory of a part of a chunk
 * @arena: alive
 * @page: first arena page
 * @npages: how many, all in @page's chunk
 * @out: filled, state[0] being @page's
 */
void gca_residency_look(struct gca_arena *arena, u32 page, u32 npages, struct gca_resident *out)
{
	pgoff_t first = (pgoff_t)page * GCA_PAGE_BASES;
	pgoff_t last = first + (pgoff_t)npages * GCA_PAGE_BASES - 1;
	XA_STATE(xas, &arena->heap->f_mapping->i_pages, first);
	pgoff_t index = first;

	memset(out, 0, sizeof(*out));
	out->node = NUMA_NO_NODE;
	rcu_read_lock();
	while (index <= last) {
		unsigned long nr, at, end;
		void *entry;
		u8 state;

		/* From the root each time: a swap entry may be of many pages, and
		 * stepping from one would not say so.
		 */
		xas_set(&xas, index);
		entry = xas_find(&xas, last);
		if (!entry)
			break;
		if (xas_retry(&xas, entry))
			continue;
		nr = 1UL << xas_get_order(&xas);
		index = max(index, xas.xa_index);
		end = min(round_down(index, nr) + nr, last + 1);
		if (xa_is_value(entry))
			state = GCARENA_RES_SWAPPED;
		else if (nr >= HPAGE_PMD_NR)
			state = GCARENA_RES_HUGE;
		else
			state = GCARENA_RES_SMALL;
		if (state != GCARENA_RES_SWAPPED && out->node == NUMA_NO_NODE)
			out->node = folio_nid(entry);
		out->bases[state] += end - index;
		if (end - index == (pgoff_t)npages * GCA_PAGE_BASES) {
			memset(out->state, state, npages);
			break;
		}
		for (at = (index - first) / GCA_PAGE_BASES;
		     at <= (end - 1 - first) / GCA_PAGE_BASES; at++)
			out->state[at] = gca_residency_merge(out->state[at], state);
		index = end;
	}
	rcu_read_unlock();
	out->bases[GCARENA_RES_RELEASED] = npages * GCA_PAGE_BASES - out->bases[GCARENA_RES_SMALL] -
					   out->bases[GCARENA_RES_HUGE] -
					   out->bases[GCARENA_RES_SWAPPED];
}

/**
 * gca_residency_next - find a chunk that has anything in memory or in swap
 * @arena: alive
 * @chunk: where to begin; set to the first such chunk at or after it
 *
 * Return: false if there is none.
 */
bool gca_residency_next(struct gca_arena *arena, u32 *chunk)
{
	unsigned long index = (unsigned long)*chunk * GCA_CHUNK_BASES;

	if (!xa_find(&arena->heap->f_mapping->i_pages, &index, ULONG_MAX, XA_PRESENT))
		return false;
	/* An entry of many pages may begin before; it ends in its chunk. */
	*chunk = max_t(u32, *chunk, index / GCA_CHUNK_BASES);
	return true;
}

/**
 * struct gca_runs - runs on their way to user memory
 * @to: where they go
 * @room: for how many
 * @filled: written so far
 * @last: begun and not written; npages 0 for none
 */
struct gca_runs {
	struct gcarena_run __user *to;
	u32 room;
	u32 filled;
	struct gcarena_run last;
};

static int gca_runs_write(struct gca_runs *runs)
{
	if (!runs->last.npages)
		return 0;
	if (copy_to_user(&runs->to[runs->filled], &runs->last, sizeof(runs->last)))
		return -EFAULT;
	runs->filled++;
	runs->last.npages = 0;
	return 0;
}

/* 0, -ENOSPC for no room, -EFAULT. */
static int gca_runs_add(struct gca_runs *runs, u32 page, u32 npages, u32 state, bool in_use)
{
	struct gcarena_run *last = &runs->last;
	int err;

	if (last->npages && last->state == state && last->in_use == in_use) {
		last->npages += npages;
		return 0;
	}
	err = gca_runs_write(runs);
	if (err)
		return err;
	if (runs->filled == runs->room)
		return -ENOSPC;
	*last = (struct gcarena_run) {
		.page = page, .npages = npages, .state = state, .in_use = in_use,
	};
	return 0;
}

/*
 * Pages that one run takes from the first of a piece of @npages on: all of it where the
 * piece is of one state and use, as heaps on huge pages mostly are.
 */
static u32 gca_residency_step(const struct gca_resident *resident, u32 npages, u32 nr_free)
{
	if (resident->bases[resident->state[0]] != npages * GCA_PAGE_BASES)
		return 1;
	return nr_free && nr_free < GCARENA_CHUNK_PAGES ? 1 : npages;
}

/**
 * gca_residency_runs - GCARENA_IOC_RESIDENCY
 * @arena: the caller's
 * @args: flags and alignment checked; page, npages and nr_runs are set
 *
 * Looks at GCARENA_RESIDENCY_PAGES at most, so that a call is bounded; the
 * cursor in @args says where the next one goes on.
 *
 * Return: 0, -EINVAL, -EFAULT, or -EINTR when the caller is being killed.
 */
int gca_residency_runs(struct gca_arena *arena, struct gcarena_residency *args)
{
	struct gca_runs runs = { .to = u64_to_user_ptr(args->runs), .room = args->nr_runs };
	u32 nr_pages = arena->heap_size >> GCARENA_PAGE_SHIFT;
	u32 left = min(args->npages, GCARENA_RESIDENCY_PAGES);
	struct gca_chunk_info info = {};
	struct gca_resident resident;
	bool more = true;
	int err = 0;

	if (args->page > nr_pages || args->npages > nr_pages - args->page)
		return -EINVAL;
	if (args->npages && !args->nr_runs)
		return -EINVAL;

	while (left && !err) {
		u32 chunk = args->page / GCARENA_CHUNK_PAGES;
		u32 from = args->page % GCARENA_CHUNK_PAGES;
		u32 n = min(left, GCARENA_CHUNK_PAGES - from);
		bool known;
		u32 i, step;

		if (fatal_signal_pending(current))
			return -EINTR;
		/* A chunk that is known to be the next one ever used need not be
		 * asked for before it is reached.
		 */
		if (more && info.chunk <= chunk)
			more = gca_core_next_chunk(arena->core, chunk, &info);
		gca_residency_look(arena, args->page, n, &resident);
		known = more && info.chunk == chunk;
		step = gca_residency_step(&resident, n, known ? info.nr_free : 0);
		for (i = 0; i < n; i += step) {
			bool in_use = known &&
				      !(info.free[(from + i) / 64] >> ((from + i) % 64) & 1);

			err = gca_runs_add(&runs, args->page, step, resident.state[i], in_use);
			if (err)
				break;
			args->page += step;
			args->npages -= step;
			left -= step;
		}
		cond_resched();
	}
	if (!err)
		err = gca_runs_write(&runs);
	if (err && err != -ENOSPC)
		return err;
	args->nr_runs = runs.filled;
	return 0;
}
