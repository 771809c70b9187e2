// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Backing: the heap's memory is a shmem file on a tmpfs mount of our own.
 *
 * The mount says huge=always, so that a populated chunk is one 2 MiB folio if
 * the system has one.  Charging, swap, NUMA policy, GUP and migration are
 * shmem's; there is no page-table code here.
 *
 * Nothing here may be called with a lock held, and only gca_backing_reclaim()
 * from within reclaim.  Populating allocates with __GFP_FS and so may enter
 * reclaim; releasing locks folios, and splitting one allocates.
 *
 * The core's view of what is backed is a hint: the owner may fault a released
 * page back in or MADV_REMOVE a held one, and reclaim drops or swaps pages.
 * What was freed is therefore counted in the mapping, never assumed.
 */
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/memcontrol.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>

#include "arena.h"
#include "compat.h"
#include "core/bits.h"
#include "trace.h"

/* Reclaims hard, but returns an error where others would have a task killed:
 * a limit is to show as -ENOMEM from refill.
 */
#define GCA_GFP_HEAP	(GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/* Ahead of demand: no reclaim, no compaction, and no reserves of the system. */
#define GCA_GFP_HEAP_AHEAD	((GFP_HIGHUSER_MOVABLE & ~__GFP_RECLAIM) | \
				 __GFP_NORETRY | __GFP_NOWARN)

/*
 * What a cgroup must have left once a chunk was backed ahead: as much again, for
 * whatever its tasks need next.
 */
#define GCA_AHEAD_LEFT		GCA_CHUNK_BASES
/*
 * And before: the room is looked at, then the chunk is zeroed, then charged.  In that
 * time a CPU zeroes, and so charges, about as much.  On big machines few of the
 * CPUs run tasks of the cgroup at once.
 */
#define GCA_AHEAD_CPUS		16U

/*
 * Base pages in use between two that go, up to which both are unmapped at once.  A
 * page that is unmapped costs 600 instructions for that and 2,300 for the fault
 * that maps it again (a sixteenth of one if it is read first); unmapping twice
 * costs 2,000 and a TLB flush, which on several CPUs is an interrupt to each.
 */
#define GCA_UNMAP_GAP	2

/*
 * Times that splitting a chunk is tried before what stays of it has a pin.  Again,
 * because khugepaged collapsed it meanwhile, of which it does one after another; or
 * because somebody has a reference, as khugepaged has who looks at it: then after a
 * while.  Together less than what releasing a chunk by base pages takes.
 */
#define GCA_BREAK_TRIES		8
#define GCA_BREAK_WAIT_US	50

static struct vfsmount *gca_mount;

/**
 * gca_backing_init - mount the module's tmpfs
 *
 * Return: 0 or a negative errno.
 */
int gca_backing_init(void)
{
	struct file_system_type *type = get_fs_type("tmpfs");
	char options[] = "huge=always";	/* parsed in place */

	BUILD_BUG_ON(GCARENA_CHUNK_SHIFT != HPAGE_PMD_SHIFT);
	/* The core's halves are base pages. */
	BUILD_BUG_ON(GCA_HALF_SHIFT != PAGE_SHIFT);

	if (!type)
		return -ENODEV;
	gca_mount = vfs_kern_mount(type, SB_KERNMOUNT, type->name, options);
	return PTR_ERR_OR_ZERO(gca_mount);
}

/**
 * gca_backing_exit - drop the mount
 *
 * Heap mappings that are still alive hold it on their own.
 */
void gca_backing_exit(void)
{
	kern_unmount(gca_mount);
}

/**
 * gca_backing_create - make the heap's file
 * @arena: with heap_size set
 *
 * Return: 0 or a negative errno.
 */
int gca_backing_create(struct gca_arena *arena)
{
	struct file *heap;

	/* The file's gfp mask stays as it is.  Without __GFP_FS reclaim cannot
	 * write this very memory to swap, and whoever faults or collapses at a
	 * cgroup's limit meets the OOM killer instead.
	 */
	heap = shmem_file_setup_with_mnt(gca_mount, "gcarena", arena->heap_size, VM_NORESERVE);
	/* Without memory for the inode shmem says that its device is full. */
	if (IS_ERR(heap))
		return PTR_ERR(heap) == -ENOSPC ? -ENOMEM : PTR_ERR(heap);
	arena->heap = heap;
	return 0;
}

/**
 * gca_backing_empty - give everything back, for good
 * @arena: whose owner is gone
 *
 * The file ends with size 0, so that whoever still maps it (a child of an
 * owner that said MADV_DOFORK) gets SIGBUS instead of fresh memory.
 */
void gca_backing_empty(struct gca_arena *arena)
{
	struct inode *inode = file_inode(arena->heap);

	/* No inode lock: this is the last write of the size, and 64-bit. */
	i_size_write(inode, 0);
	unmap_mapping_range(inode->i_mapping, 0, 0, 1);
	shmem_truncate_range(inode, 0, (loff_t)-1);
}

/**
 * gca_backing_recount - have shmem count its pages, after releases
 * @arena: the arena
 *
 * Folios left the page cache behind its back.  It counts when it truncates, and a
 * byte past the end is nothing to truncate.
 */
void gca_backing_recount(struct gca_arena *arena)
{
	if (!READ_ONCE(arena->recount))
		return;
	WRITE_ONCE(arena->recount, false);
	shmem_truncate_range(file_inode(arena->heap), arena->heap_size, arena->heap_size);
}

/* Base pages in memory in [first, last].  Racy against whoever touches them. */
static unsigned long gca_backing_resident(struct address_space *mapping, pgoff_t first,
					  pgoff_t last)
{
	XA_STATE(xas, &mapping->i_pages, first);
	unsigned long count = 0;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, last) {
		struct folio *folio = entry;
		pgoff_t lo, hi;

		if (xas_retry(&xas, entry) || xa_is_value(entry))
			continue;
		lo = max(first, folio->index);
		hi = min(last + 1, folio_next_index(folio));
		if (hi > lo)
			count += hi - lo;
	}
	rcu_read_unlock();
	return min(count, last - first + 1);
}

/* The chunk's folio if it is a huge one, referenced, or NULL. */
static struct folio *gca_backing_huge(struct address_space *mapping, pgoff_t first)
{
	struct folio *folio = filemap_get_folio(mapping, first);

	if (IS_ERR_OR_NULL(folio))
		return NULL;
	if (folio_test_pmd_mappable(folio))
		return folio;
	folio_put(folio);
	return NULL;
}

/*
 * Whether nobody but the page cache and the caller has a reference of an unmapped
 * folio.  If somebody has, I/O perhaps, it cannot be split and is not written to.
 */
static bool gca_backing_unused(struct folio *folio)
{
	return folio_ref_count(folio) == folio_nr_pages(folio) + 1;
}

/*
 * Split the chunk's huge folio, unmapped, of which a part goes at @at.  shmem has
 * to be told that a part goes: a byte, since it zeroes that part first.
 */
static void gca_backing_split(struct inode *inode, pgoff_t at)
{
	shmem_truncate_range(inode, (loff_t)at << PAGE_SHIFT, (loff_t)at << PAGE_SHIFT);
}

/*
 * The end of what is unmapped and looked up at once from @from on: runs of @going
 * and what is in use between them, where that is worth it.
 */
static u32 gca_backing_stretch(const u64 *going, u32 from)
{
	u32 end = gca_map_next_clear(going, GCA_CHUNK_BASES, from);

	for (;;) {
		u32 next = gca_map_next(going, GCA_CHUNK_BASES, end);

		if (next >= GCA_CHUNK_BASES || next - end > GCA_UNMAP_GAP)
			return end;
		end = gca_map_next_clear(going, GCA_CHUNK_BASES, next);
	}
}

/* Whether all of a folio of a chunk at @first is in the map @going. */
static bool gca_backing_goes(struct folio *folio, pgoff_t first, const u64 *going)
{
	u32 at = folio->index - first;
	u32 nr = folio_nr_pages(folio);

	if (likely(nr == 1))
		return gca_map_test(going, at);
	return folio->index >= first && at + nr <= GCA_CHUNK_BASES &&
	       gca_map_count(going, at, nr) == nr;
}

/* What goes of a folio that cannot go as a whole. */
static void gca_backing_keep(struct folio *folio, pgoff_t first, const u64 *going, u64 *kept)
{
	u32 at = max(folio->index, first) - first;
	u32 end = min(folio_next_index(folio) - first, (pgoff_t)GCA_CHUNK_BASES);

	for (; at < end; at++)
		if (gca_map_test(going, at))
			gca_map_set(kept, at, 1);
}

/*
 * Drop what is in memory of the map @going in [@lo, @hi) of a chunk at @first.
 * Waits for locks.  Base pages that left the mapping.
 */
static unsigned long gca_backing_drop(struct address_space *mapping, pgoff_t first, u32 lo, u32 hi,
				      const u64 *going, u64 *kept, struct folio_batch *batch)
{
	pgoff_t index = first + lo;
	unsigned long count = 0;
	unsigned int i;

	while (index < first + hi &&
	       filemap_get_folios(mapping, &index, first + hi - 1, batch)) {
		for (i = 0; i < folio_batch_count(batch); i++) {
			struct folio *folio = batch->folios[i];

			if (!gca_backing_goes(folio, first, going)) {
				if (folio_test_large(folio))
					gca_backing_keep(folio, first, going, kept);
				continue;
			}
			folio_lock(folio);
			/* Truncates as if the file ended there. */
			if (folio->mapping == mapping &&
			    !generic_error_remove_folio(mapping, folio))
				count += folio_nr_pages(folio);
			folio_unlock(folio);
		}
		folio_batch_release(batch);
		cond_resched();
	}
	return count;
}

/* Free what is in swap of the map @going, of a chunk at @first. */
static void gca_backing_drop_swapped(struct inode *inode, pgoff_t first, const u64 *going,
				     const u64 *kept)
{
	u32 from = 0;

	while ((from = gca_map_next(going, GCA_CHUNK_BASES, from)) < GCA_CHUNK_BASES) {
		u32 end = gca_map_next_clear(going, GCA_CHUNK_BASES, from);

		if (!gca_map_count(kept, from, end - from))
			shmem_truncate_range(inode, (loff_t)(first + from) << PAGE_SHIFT,
					     ((loff_t)(first + end) << PAGE_SHIFT) - 1);
		from = end;
	}
}

/*
 * Have a chunk of which @going goes on base pages, and one that stays pinned, as far
 * as that can be had.  Whether it was on a huge page: then all of it was unmapped.
 */
static bool gca_backing_break(struct gca_arena *arena, u32 chunk, const u64 *going)
{
	struct inode *inode = file_inode(arena->heap);
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = (pgoff_t)chunk * GCA_CHUNK_BASES;
	pgoff_t at = first + gca_map_next(going, GCA_CHUNK_BASES, 0);
	bool was_huge = false;
	int i;

	for (i = 0; i < GCA_BREAK_TRIES; i++) {
		struct folio *huge = gca_backing_huge(mapping, first);

		if (huge) {
			bool unused, pinned;

			was_huge = true;
			/* A part of a PMD cannot stay mapped. */
			unmap_mapping_range(mapping, (loff_t)first << PAGE_SHIFT,
					    GCARENA_CHUNK_SIZE, 0);
			/* Who collapses or maps it has it locked. */
			folio_lock(huge);
			folio_unlock(huge);
			unused = gca_backing_unused(huge);
			pinned = folio_maybe_dma_pinned(huge);
			folio_put(huge);
			if (pinned)
				break;
			if (!unused) {
				usleep_range(GCA_BREAK_WAIT_US, 2 * GCA_BREAK_WAIT_US);
				continue;
			}
			gca_backing_split(inode, at);
		}
		if (!gca_pin_set(arena, chunk, going))
			break;
	}
	return was_huge;
}

/**
 * gca_backing_release - give a part of a chunk back to the system
 * @host: the arena
 * @chunk: index; in transit
 * @going: bit map of base pages, at least one
 * @kept: zeroes; gets a bit for each of them that stays as it was
 *
 * A part of a huge page splits it; if that cannot be, as somebody holds a reference,
 * all of it is kept.  A base page that somebody has pinned leaves the file and is
 * free when it is unpinned; whoever gets the address next gets other memory.
 * gca_backing_recount() is to follow, once for all that a call releases.
 *
 * Return: bytes that came free.
 */
u64 gca_backing_release(void *host, u32 chunk, const u64 *going, u64 *kept)
{
	struct gca_arena *arena = host;
	struct inode *inode = file_inode(arena->heap);
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = (pgoff_t)chunk * GCA_CHUNK_BASES;
	u32 nr = gca_map_count(going, 0, GCA_CHUNK_BASES);
	u32 from = gca_map_next(going, GCA_CHUNK_BASES, 0);
	u32 page = (first + from) / GCA_PAGE_BASES;
	struct folio_batch batch;
	bool unmapped = false;
	u64 bytes = 0;

	might_sleep();
	folio_batch_init(&batch);
	if (nr < GCA_CHUNK_BASES)
		unmapped = gca_backing_break(arena, chunk, going);
	while (from < GCA_CHUNK_BASES) {
		u32 end = gca_backing_stretch(going, from);

		if (!unmapped)
			unmap_mapping_range(mapping, (loff_t)(first + from) << PAGE_SHIFT,
					    (loff_t)(end - from) << PAGE_SHIFT, 0);
		bytes += (u64)gca_backing_drop(mapping, first, from, end, going, kept, &batch)
			<< PAGE_SHIFT;
		from = gca_map_next(going, GCA_CHUNK_BASES, end);
	}
	if (READ_ONCE(SHMEM_I(inode)->swapped))
		gca_backing_drop_swapped(inode, first, going, kept);
	WRITE_ONCE(arena->recount, true);
	if (nr == GCA_CHUNK_BASES) {
		gca_pin_drop(arena, chunk);
		gca_shrinker_forget(arena, chunk);
	}
	trace_gcarena_scavenge(arena->id, page, DIV_ROUND_UP(nr, GCA_PAGE_BASES), bytes);
	return bytes;
}

/* What a failed backing of @halves, or of all of a chunk, has to take back. */
static void gca_backing_undo(struct gca_arena *arena, u32 chunk, const u64 *halves)
{
	u64 kept[GCA_HALF_WORDS] = {};
	u64 all[GCA_HALF_WORDS];

	memset(all, 0xff, sizeof(all));
	gca_backing_release(arena, chunk, halves ? halves : all, kept);
	gca_backing_recount(arena);
}

/**
 * gca_backing_fill - populate base pages of a broken chunk
 * @host: the arena
 * @chunk: index; in transit
 * @halves: bit map of them, none of which has memory
 * @node: preferred, or GCA_NODE_ANY
 *
 * As gca_backing_back().  On failure all of them are released.
 *
 * Return: 0, -ENOMEM, or -EINTR when the caller is being killed.
 */
int gca_backing_fill(void *host, u32 chunk, const u64 *halves, int node)
{
	struct gca_arena *arena = host;
	pgoff_t first = (pgoff_t)chunk * GCA_CHUNK_BASES;
	u32 from = gca_map_next(halves, GCA_CHUNK_BASES, 0);
	u32 page = (first + from) / GCA_PAGE_BASES;
	int err = 0;

	might_sleep();
	while (from < GCA_CHUNK_BASES && !err) {
		u32 end = gca_map_next_clear(halves, GCA_CHUNK_BASES, from);
		struct gca_populate what = {
			.arena = arena,
			.index = first + from,
			.end = first + end,
			.gfp = GCA_GFP_HEAP,
		};

		err = gca_populate(&what, node);
		from = gca_map_next(halves, GCA_CHUNK_BASES, end);
	}
	if (err)
		gca_backing_undo(arena, chunk, halves);
	trace_gcarena_back(arena->id, page,
			   DIV_ROUND_UP(gca_map_count(halves, 0, GCA_CHUNK_BASES), GCA_PAGE_BASES),
			   err ? err : 1);
	return err;
}

/**
 * gca_backing_back - populate a chunk
 * @host: the arena
 * @page: its first arena page
 * @npages: a chunk's
 * @node: preferred, or GCA_NODE_ANY
 *
 * In the caller's context but for another node's, charged to the caller.  What had no
 * memory reads as zero afterwards.  On failure all of it is released.
 *
 * Return: 0 if all of it is on a huge page, 1 if not, -ENOMEM, or -EINTR when
 * the caller is being killed.
 */
int gca_backing_back(void *host, u32 page, u32 npages, int node)
{
	struct gca_arena *arena = host;
	struct gca_populate what = {
		.arena = arena,
		.index = (pgoff_t)page * GCA_PAGE_BASES,
		.end = (pgoff_t)(page + npages) * GCA_PAGE_BASES,
		.gfp = GCA_GFP_HEAP,
	};
	int err;

	might_sleep();
	err = gca_shrinker_prepare(arena, page / GCARENA_CHUNK_PAGES, GCA_GFP_META);
	if (err)
		return err;
	err = gca_populate(&what, node);
	if (err)
		gca_backing_undo(arena, page / GCARENA_CHUNK_PAGES, NULL);
	else
		err = what.huge ? 0 : 1;
	trace_gcarena_back(arena->id, page, npages, err);
	return err;
}

/*
 * Whether the cgroup to be charged and those above it have so many base pages left
 * to their limits, memory.high as well: there its tasks would have to reclaim for
 * the reserve.
 */
static bool gca_backing_room(unsigned long room)
{
#ifdef CONFIG_MEMCG
	struct mem_cgroup *memcg = current->active_memcg;

	/* The root has no limits. */
	for (; memcg && parent_mem_cgroup(memcg); memcg = parent_mem_cgroup(memcg)) {
		unsigned long most = min(READ_ONCE(memcg->memory.max),
					 READ_ONCE(memcg->memory.high));

		if (page_counter_read(&memcg->memory) + room > most)
			return false;
	}
#endif
	return true;
}

/* With the owner's last task its cgroup is gone, and root's would be charged. */
static bool gca_backing_owned(const struct gca_arena *arena)
{
#ifdef CONFIG_MEMCG
	return READ_ONCE(arena->mm->owner);
#else
	return true;
#endif
}

/**
 * gca_backing_ahead - populate a chunk that nobody waits for
 * @host: the arena
 * @page: its first arena page
 * @npages: a chunk's
 * @node: preferred, or GCA_NODE_ANY
 *
 * By the thread, with the owner's memcg active, resolved before.  Without
 * reclaim; and a folio that is not huge is dropped, since with one of those in
 * it the chunk could not become huge any more.  So is one after which others,
 * who took their part meanwhile, are close to a limit.
 *
 * Return: 0, or -ENOMEM.
 */
int gca_backing_ahead(void *host, u32 page, u32 npages, int node)
{
	struct gca_arena *arena = host;
	struct gca_populate what = {
		.arena = arena,
		.index = (pgoff_t)page * GCA_PAGE_BASES,
		.gfp = GCA_GFP_HEAP_AHEAD,
	};
	unsigned long meanwhile = min(num_online_cpus(), GCA_AHEAD_CPUS) * GCA_CHUNK_BASES;
	int err;

	might_sleep();
	if (!gca_backing_owned(arena) ||
	    !gca_backing_room(GCA_CHUNK_BASES + GCA_AHEAD_LEFT + meanwhile))
		return -ENOMEM;
	err = gca_shrinker_prepare(arena, page / GCARENA_CHUNK_PAGES, GCA_GFP_AHEAD);
	if (err)
		return err;
	/* One folio, which is to be all of it. */
	what.end = what.index + 1;
	err = gca_populate(&what, node);
	if (!err && (!what.huge || !gca_backing_room(GCA_AHEAD_LEFT)))
		err = -ENOMEM;
	if (err)
		gca_backing_undo(arena, page / GCARENA_CHUNK_PAGES, NULL);
	trace_gcarena_back(arena->id, page, npages, err);
	return err;
}

/*
 * Whether a folio in a free chunk may go: not while it is on its way to swap;
 * not if it was locked, since reclaim keeps off such memory; not if it is pinned,
 * as nothing would come free.
 */
static bool gca_backing_may_remove(struct folio *folio)
{
	return !folio_test_writeback(folio) && !folio_test_mlocked(folio) &&
	       !folio_maybe_dma_pinned(folio);
}

/* Drop the folios in [first, last] that can be had without waiting. */
static void gca_backing_remove(struct address_space *mapping, pgoff_t first, pgoff_t last)
{
	struct folio_batch batch;
	unsigned int i;

	folio_batch_init(&batch);
	while (filemap_get_folios(mapping, &first, last, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			if (!folio_trylock(folio))
				continue;
			/* Unmaps it, and truncates as if the file ended there. */
			if (folio->mapping == mapping && gca_backing_may_remove(folio))
				generic_error_remove_folio(mapping, folio);
			folio_unlock(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
}

/* What is left of a chunk, in memory or swapped, as a map of arena pages. */
static void gca_backing_left(struct address_space *mapping, pgoff_t first, u64 *left)
{
	unsigned long index = first;
	u32 page;

	if (!xa_find(&mapping->i_pages, &index, first + GCA_CHUNK_BASES - 1, XA_PRESENT))
		return;
	for (index = 0; index < GCA_CHUNK_BASES; index++) {
		if (!xa_load(&mapping->i_pages, first + index))
			continue;
		page = index / GCA_PAGE_BASES;
		left[page / 64] |= 1ULL << page % 64;
	}
}

/**
 * gca_backing_reclaim - give a wholly free chunk back, from within reclaim
 * @arena: the arena
 * @chunk: index; in transit, the caller's
 * @kept: zeroes; gets a bit for each arena page of which something is left
 *
 * Does not wait for a folio's lock: whoever holds one may be waiting for memory,
 * perhaps this task further up, in a fault or a split.  shmem_truncate_range()
 * does in the end, and so is not for here; what was swapped out stays swapped.
 * Takes i_mmap_rwsem and page table locks, as all of reclaim does.
 *
 * Return: bytes that came free.
 */
u64 gca_backing_reclaim(struct gca_arena *arena, u32 chunk, u64 *kept)
{
	struct inode *inode = file_inode(arena->heap);
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = (pgoff_t)chunk * GCA_CHUNK_BASES;
	pgoff_t last = first + GCA_CHUNK_BASES - 1;
	unsigned long before, after;

	before = gca_backing_resident(mapping, first, last);
	gca_backing_remove(mapping, first, last);
	after = gca_backing_resident(mapping, first, last);
	gca_backing_left(mapping, first, kept);
	/* Which may hold the last reference of what went. */
	gca_pin_drop(arena, chunk);
	WRITE_ONCE(arena->recount, true);
	gca_backing_recount(arena);
	return before > after ? (u64)(before - after) << PAGE_SHIFT : 0;
}

/*
 * Whether somebody has a reference of a folio beside the page cache, who maps it, and
 * the caller.  Pins are counted apart.  The rest is what is left of the references, so
 * mappings that come or go meanwhile are taken for references of somebody's.
 */
static bool gca_backing_folio_held(struct folio *folio)
{
	int maps, refs;

	if (folio_maybe_dma_pinned(folio))
		return true;
	if (!folio_test_large(folio))
		return false;
	maps = gca_folio_mapcount(folio);
	/* A mapping counts after its reference came, and until before that goes. */
	smp_rmb();
	refs = folio_ref_count(folio);
	smp_rmb();	/* as above */
	maps = min(maps, gca_folio_mapcount(folio));
	return refs > folio_nr_pages(folio) + maps + 1;
}

/**
 * gca_backing_held - does somebody have a part of a chunk in his hands?
 * @host: the arena
 * @chunk: index (core lock held)
 *
 * Of a huge page any reference counts, as that is what kept it from being split.  Base
 * pages leave the file under their references; only from reclaim a pin keeps one.
 *
 * Return: true if so, or if it just looks so.
 */
bool gca_backing_held(void *host, u32 chunk)
{
	struct gca_arena *arena = host;
	pgoff_t index = (pgoff_t)chunk * GCA_CHUNK_BASES;
	pgoff_t last = index + GCA_CHUNK_BASES - 1;
	struct folio_batch batch;
	bool held = false;
	unsigned int i;

	folio_batch_init(&batch);
	while (!held && filemap_get_folios(arena->heap->f_mapping, &index, last, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			held |= gca_backing_folio_held(batch.folios[i]);
			folio_put(batch.folios[i]);
		}
		folio_batch_init(&batch);
	}
	return held;
}

/**
 * gca_backing_collapse - was a chunk collapsed?
 * @host: the arena
 * @chunk: index; in transit
 *
 * The owner has asked for it by madvise(), after its pin was dropped.  If it was
 * not, the pin is set again.
 *
 * Return: 0 if it is on a huge page, or -EAGAIN.
 */
int gca_backing_collapse(void *host, u32 chunk)
{
	struct gca_arena *arena = host;
	struct folio *folio = gca_backing_huge(arena->heap->f_mapping,
					       (pgoff_t)chunk * GCA_CHUNK_BASES);

	/* The pin finds out if khugepaged was faster. */
	if (!folio && !gca_pin_set(arena, chunk, NULL))
		return -EAGAIN;
	if (folio)
		folio_put(folio);
	gca_pin_drop(arena, chunk);
	return 0;
}

/**
 * gca_backing_filled - a broken chunk has no holes any more (core lock held)
 * @host: the arena
 * @chunk: index
 *
 * khugepaged may have it.
 */
void gca_backing_filled(void *host, u32 chunk)
{
	gca_pin_drop(host, chunk);
}

/**
 * gca_backing_mmap - map the heap
 * @arena: the caller's
 * @vma: being set up, shared
 *
 * The mapping becomes one of the shmem file: from here on it holds neither the
 * arena nor the module.
 *
 * Return: 0 or a negative errno.
 */
int gca_backing_mmap(struct gca_arena *arena, struct vm_area_struct *vma)
{
	vma_set_file(vma, arena->heap);
	/* A heap is its owner's: no copy on fork.  Populating gives huge pages
	 * anyway; VM_HUGEPAGE lets a fault try as hard.
	 */
	vm_flags_set(vma, VM_DONTCOPY | VM_HUGEPAGE);
	return call_mmap(arena->heap, vma);
}
