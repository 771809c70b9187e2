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
#include <linux/err.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pagevec.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/xarray.h>

#include "arena.h"
#include "compat.h"
#include "trace.h"

/* Reclaims hard, but returns an error where others would have a task killed:
 * a limit is to show as -ENOMEM from refill.
 */
#define GCA_GFP_HEAP	(GFP_HIGHUSER_MOVABLE | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

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
	BUILD_BUG_ON(GCARENA_PAGE_SHIFT < PAGE_SHIFT);

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
	if (IS_ERR(heap))
		return PTR_ERR(heap);
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

/**
 * gca_backing_back - populate pages of one chunk
 * @host: the arena
 * @page: first arena page
 * @npages: how many, all in @page's chunk
 *
 * In the caller's context, charged to the caller.  What had no memory reads as
 * zero afterwards.  On failure the whole range is released.
 *
 * Return: 0 if all of it is on a huge page, 1 if not, -ENOMEM, or -EINTR when
 * the caller is being killed.
 */
int gca_backing_back(void *host, u32 page, u32 npages)
{
	struct gca_arena *arena = host;
	struct address_space *mapping = arena->heap->f_mapping;
	pgoff_t index = (pgoff_t)page * GCA_PAGE_BASES;
	pgoff_t end = index + (pgoff_t)npages * GCA_PAGE_BASES;
	bool huge = true;
	int err = 0;

	might_sleep();
	if (npages == GCARENA_CHUNK_PAGES) {
		err = gca_shrinker_prepare(arena, page / GCARENA_CHUNK_PAGES);
		if (err)
			return err;
	}
	while (index < end) {
		struct folio *folio;

		if (fatal_signal_pending(current)) {
			err = -EINTR;
			break;
		}
		folio = shmem_read_folio_gfp(mapping, index, GCA_GFP_HEAP);
		if (IS_ERR(folio)) {
			/* Overcommit says -ENOSPC, a dying task -EINTR. */
			err = PTR_ERR(folio) == -EINTR ? -EINTR : -ENOMEM;
			break;
		}
		if (!folio_test_pmd_mappable(folio))
			huge = false;
		index = folio_next_index(folio);
		/* The owner writes through mappings, whose dirty bits
		 * khugepaged drops because shmem is dirty anyway.  Make it so,
		 * or reclaim takes the folio for clean and its contents go.
		 */
		folio_mark_dirty(folio);
		folio_put(folio);
		cond_resched();
	}
	if (err)
		gca_backing_release(host, page, npages);
	else
		err = huge ? 0 : 1;
	trace_gcarena_back(arena->id, page, npages, err);
	return err;
}

/**
 * gca_backing_release - give pages of one chunk back to the system
 * @host: the arena
 * @page: first arena page
 * @npages: how many, all in @page's chunk
 *
 * A part of a huge page splits it.  If that fails (somebody holds a reference)
 * shmem zeroes the part and keeps it, and the return value says so.
 *
 * Return: bytes that came free.
 */
u64 gca_backing_release(void *host, u32 page, u32 npages)
{
	struct gca_arena *arena = host;
	struct inode *inode = file_inode(arena->heap);
	struct address_space *mapping = inode->i_mapping;
	pgoff_t first = (pgoff_t)page * GCA_PAGE_BASES;
	pgoff_t last = first + (pgoff_t)npages * GCA_PAGE_BASES - 1;
	loff_t start = (loff_t)page << GCARENA_PAGE_SHIFT;
	loff_t len = (loff_t)npages << GCARENA_PAGE_SHIFT;
	unsigned long before, after;
	u64 bytes;

	might_sleep();
	before = gca_backing_resident(mapping, first, last);
	unmap_mapping_range(mapping, start, len, 0);
	shmem_truncate_range(inode, start, start + len - 1);
	after = gca_backing_resident(mapping, first, last);
	if (npages == GCARENA_CHUNK_PAGES)
		gca_shrinker_forget(arena, page / GCARENA_CHUNK_PAGES);
	bytes = before > after ? (u64)(before - after) << PAGE_SHIFT : 0;
	trace_gcarena_scavenge(arena->id, page, npages, bytes);
	return bytes;
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
	/* Beyond the end there is no folio: only has shmem count its pages. */
	shmem_truncate_range(inode, arena->heap_size, arena->heap_size + PAGE_SIZE - 1);
	return before > after ? (u64)(before - after) << PAGE_SHIFT : 0;
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
