// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Metadata regions: span table, bitmaps, status page.
 *
 * Zeroed base pages, charged to whoever makes the kernel allocate them and
 * kept until the arena dies.  The core reaches them through gca_host_row() and
 * gca_host_line(), the owner by mapping the device file; a fault inside the
 * region makes the page if the core has not yet.
 *
 * Nothing here takes a lock: a slot goes from NULL to a page once, by cmpxchg.
 * Death is the exception and needs none either, because a fault in a mapping
 * of the owner, or a call by it, means that its mm is not going away.
 *
 * The owner writes the bitmaps whenever it likes.  It must never get to write
 * the span table or the status page: such mappings lose VM_MAYWRITE, do not
 * grow, and know their region by vm_private_data and not by offset.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mount.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "arena.h"
#include "compat.h"

#define GCA_FS_MAGIC		0x47434152	/* "GCAR" */

/* A leaf describes 1 GiB of heap. */
#define GCA_LEAF_CHUNKS		512
#define GCA_CHUNK_BITS		4U	/* base pages of one bitmap for a chunk */
#define GCA_LINES_PER_BASE	(PAGE_SIZE / GCARENA_LINE_SIZE)

/**
 * struct gca_meta_leaf - the metadata pages of 512 chunks
 * @rows: one base page of the span table for each chunk
 * @bits: four base pages of each bitmap for each chunk
 * @idle: entry of each chunk that is backed; the shrinker's
 * @pin: a referenced page of each chunk that is broken; see pin.c
 */
struct gca_meta_leaf {
	void *rows[GCA_LEAF_CHUNKS];
	struct gca_idle *idle[GCA_LEAF_CHUNKS];
	struct folio *pin[GCA_LEAF_CHUNKS];
	void *bits[2][GCA_LEAF_CHUNKS * GCA_CHUNK_BITS];
};

static int gca_fs_init_context(struct fs_context *fc)
{
	return init_pseudo(fc, GCA_FS_MAGIC) ? 0 : -ENOMEM;
}

/* Only there to give each arena an inode, and so an address space, of its own:
 * all opens of a character device share one.
 */
static struct file_system_type gca_fs = {
	.name = "gcarena",
	.init_fs_context = gca_fs_init_context,
	.kill_sb = kill_anon_super,
};

static struct vfsmount *gca_fs_mount;

/**
 * gca_meta_init - prepare for arenas' inodes
 *
 * Return: 0 or a negative errno.
 */
int gca_meta_init(void)
{
	BUILD_BUG_ON(GCARENA_CHUNK_PAGES * sizeof(struct gcarena_row) != PAGE_SIZE);
	BUILD_BUG_ON(GCARENA_CHUNK_PAGES * GCARENA_LINE_SIZE != GCA_CHUNK_BITS * PAGE_SIZE);
	BUILD_BUG_ON(sizeof(struct gcarena_status) > PAGE_SIZE);

	gca_fs_mount = kern_mount(&gca_fs);
	return PTR_ERR_OR_ZERO(gca_fs_mount);
}

/**
 * gca_meta_exit - the counterpart, all arenas being gone
 */
void gca_meta_exit(void)
{
	kern_unmount(gca_fs_mount);
}

static void gca_meta_count(struct gca_meta *meta, size_t bytes)
{
	atomic_long_add(bytes, &meta->bytes);
	atomic_long_add(bytes, &meta->unreported);
}

/* The page in *@slot, made if need be; NULL without memory. */
static void *gca_meta_page(struct gca_meta *meta, void **slot, gfp_t gfp)
{
	void *mem = READ_ONCE(*slot);
	void *old;

	if (likely(mem))
		return mem;
	mem = (void *)get_zeroed_page(gfp);
	if (!mem)
		return NULL;
	old = cmpxchg(slot, NULL, mem);
	if (old) {
		free_page((unsigned long)mem);
		return old;
	}
	gca_meta_count(meta, PAGE_SIZE);
	return mem;
}

static struct gca_meta_leaf *gca_meta_leaf(struct gca_meta *meta, u32 chunk, gfp_t gfp)
{
	struct gca_meta_leaf **slot = &meta->top[chunk / GCA_LEAF_CHUNKS];
	struct gca_meta_leaf *leaf = READ_ONCE(*slot);
	struct gca_meta_leaf *old;

	if (likely(leaf))
		return leaf;
	leaf = kvzalloc(sizeof(*leaf), gfp);
	if (!leaf)
		return NULL;
	old = cmpxchg(slot, NULL, leaf);
	if (old) {
		kvfree(leaf);
		return old;
	}
	gca_meta_count(meta, sizeof(*leaf));
	return leaf;
}

/**
 * gca_meta_inode - an address space for one file's metadata mappings
 *
 * Return: the inode, for iput(), or an ERR_PTR.
 */
struct inode *gca_meta_inode(void)
{
	return alloc_anon_inode(gca_fs_mount->mnt_sb);
}

/**
 * gca_meta_create - the metadata of a new arena, nothing of it present yet
 * @meta: to fill
 * @heap_size: bytes
 * @inode: from gca_meta_inode(), to outlive the arena
 *
 * Return: 0 or -ENOMEM, after which @meta needs no gca_meta_empty().
 */
int gca_meta_create(struct gca_meta *meta, u64 heap_size, struct inode *inode)
{
	meta->inode = inode;
	meta->nr_chunks = heap_size >> GCARENA_CHUNK_SHIFT;
	meta->nr_top = DIV_ROUND_UP(meta->nr_chunks, GCA_LEAF_CHUNKS);
	atomic_long_set(&meta->bytes, 0);
	atomic_long_set(&meta->unreported, 0);

	meta->top = kvcalloc(meta->nr_top, sizeof(*meta->top), GCA_GFP_META);
	if (!meta->top)
		return -ENOMEM;
	gca_meta_count(meta, meta->nr_top * sizeof(*meta->top));

	meta->status = NULL;
	if (!gca_meta_page(meta, &meta->status, GCA_GFP_META)) {
		kvfree(meta->top);
		return -ENOMEM;
	}
	return 0;
}

static void gca_meta_free_pages(void **slots, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		free_page((unsigned long)slots[i]);
		slots[i] = NULL;
	}
}

static void gca_meta_empty_chunk(struct gca_meta_leaf *leaf, u32 k)
{
	gca_shrinker_free(leaf->idle[k]);
	if (leaf->pin[k])
		folio_put(leaf->pin[k]);
}

/**
 * gca_meta_empty - free all pages
 * @meta: of an arena that is dying, so that neither core nor faults come here
 *
 * A page that is still mapped in the owner's remains stays until it is zapped.
 */
void gca_meta_empty(struct gca_meta *meta)
{
	u32 i, k;

	unmap_mapping_range(&meta->inode->i_data, 0, 0, 1);
	for (i = 0; i < meta->nr_top; i++) {
		struct gca_meta_leaf *leaf = meta->top[i];

		if (!leaf)
			continue;
		for (k = 0; k < GCA_LEAF_CHUNKS; k++)
			gca_meta_empty_chunk(leaf, k);
		gca_meta_free_pages(leaf->rows, ARRAY_SIZE(leaf->rows));
		gca_meta_free_pages(leaf->bits[0], ARRAY_SIZE(leaf->bits[0]));
		gca_meta_free_pages(leaf->bits[1], ARRAY_SIZE(leaf->bits[1]));
		kvfree(leaf);
		meta->top[i] = NULL;
		cond_resched();
	}
	gca_meta_free_pages(&meta->status, 1);
	kvfree(meta->top);
	meta->top = NULL;
	meta->nr_top = 0;
}

/**
 * gca_meta_back - make a chunk's rows and lines present
 * @host: the arena
 * @chunk: index
 *
 * Return: bytes allocated since the last call, by faults as well, or -ENOMEM.
 */
long gca_meta_back(void *host, u32 chunk)
{
	struct gca_arena *arena = host;
	struct gca_meta *meta = &arena->meta;
	struct gca_meta_leaf *leaf;
	u32 at = chunk % GCA_LEAF_CHUNKS;
	u32 i;

	might_sleep();
	leaf = gca_meta_leaf(meta, chunk, gca_gfp_meta());
	if (!leaf || !gca_meta_page(meta, &leaf->rows[at], gca_gfp_meta()))
		return -ENOMEM;
	for (i = at * GCA_CHUNK_BITS; i < (at + 1) * GCA_CHUNK_BITS; i++)
		if (!gca_meta_page(meta, &leaf->bits[0][i], gca_gfp_meta()) ||
		    !gca_meta_page(meta, &leaf->bits[1][i], gca_gfp_meta()))
			return -ENOMEM;
	return atomic_long_xchg(&meta->unreported, 0);
}

/**
 * gca_meta_pin - where a chunk's pin is kept
 * @meta: of an arena
 * @chunk: any
 *
 * Return: the place, or NULL for a chunk that was never used.
 */
struct folio **gca_meta_pin(struct gca_meta *meta, u32 chunk)
{
	struct gca_meta_leaf *leaf;

	if (chunk >= meta->nr_chunks)
		return NULL;
	/* It may be a user's. */
	chunk = array_index_nospec(chunk, meta->nr_chunks);
	leaf = READ_ONCE(meta->top[chunk / GCA_LEAF_CHUNKS]);
	return leaf ? &leaf->pin[chunk % GCA_LEAF_CHUNKS] : NULL;
}

/**
 * gca_meta_idle - where a chunk's entry for the shrinker is kept
 * @meta: of an arena
 * @chunk: a chunk that gca_meta_back() has seen
 *
 * Written by who has the chunk in transit, read under the core lock besides.
 *
 * Return: the place.
 */
struct gca_idle **gca_meta_idle(struct gca_meta *meta, u32 chunk)
{
	struct gca_meta_leaf *leaf = READ_ONCE(meta->top[chunk / GCA_LEAF_CHUNKS]);

	return &leaf->idle[chunk % GCA_LEAF_CHUNKS];
}

/**
 * gca_host_row - the core's way to a span table row
 * @host: the arena
 * @page: arena page of a chunk that gca_meta_back() has seen
 *
 * Return: the row.
 */
struct gcarena_row *gca_host_row(void *host, u32 page)
{
	struct gca_arena *arena = host;
	u32 chunk = page / GCARENA_CHUNK_PAGES;
	struct gca_meta_leaf *leaf = READ_ONCE(arena->meta.top[chunk / GCA_LEAF_CHUNKS]);
	struct gcarena_row *rows = READ_ONCE(leaf->rows[chunk % GCA_LEAF_CHUNKS]);

	return rows + page % GCARENA_CHUNK_PAGES;
}

/**
 * gca_host_line - the core's way to the bitmap words of a page
 * @host: the arena
 * @which: bitmap 0 or 1
 * @page: arena page of a chunk that gca_meta_back() has seen
 *
 * Return: GCARENA_LINE_WORDS words.
 */
u64 *gca_host_line(void *host, unsigned int which, u32 page)
{
	struct gca_arena *arena = host;
	u32 chunk = page / GCARENA_CHUNK_PAGES;
	u32 base = page / GCA_LINES_PER_BASE;
	struct gca_meta_leaf *leaf = READ_ONCE(arena->meta.top[chunk / GCA_LEAF_CHUNKS]);
	void *bits = READ_ONCE(leaf->bits[which][base % (GCA_LEAF_CHUNKS * GCA_CHUNK_BITS)]);

	return bits + page % GCA_LINES_PER_BASE * GCARENA_LINE_SIZE;
}

/**
 * gca_host_status - the core's way to the status page
 * @host: the arena
 *
 * Return: the page.
 */
struct gcarena_status *gca_host_status(void *host)
{
	struct gca_arena *arena = host;

	return arena->meta.status;
}

/**
 * gca_meta_region_size - bytes of a region's mapping
 * @arena: set up
 * @region: any
 *
 * Return: bytes; for the bitmaps, of both.
 */
u64 gca_meta_region_size(const struct gca_arena *arena, enum gca_region region)
{
	u64 pages = arena->heap_size >> GCARENA_PAGE_SHIFT;

	switch (region) {
	case GCA_REGION_HEAP:
		return arena->heap_size;
	case GCA_REGION_SPANS:
		return pages * sizeof(struct gcarena_row);
	case GCA_REGION_BITMAPS:
		return pages * GCARENA_LINE_SIZE * 2;
	default:
		return PAGE_SIZE;
	}
}

/* The slot of base page @index of @region, its leaf made if need be. */
static void **gca_meta_slot(struct gca_meta *meta, enum gca_region region, u64 index, gfp_t gfp)
{
	u32 bitmap_bases = meta->nr_chunks * GCA_CHUNK_BITS;
	struct gca_meta_leaf *leaf;
	unsigned int which;

	switch (region) {
	case GCA_REGION_STATUS:
		return &meta->status;
	case GCA_REGION_SPANS:
		leaf = gca_meta_leaf(meta, index, gfp);
		return leaf ? &leaf->rows[index % GCA_LEAF_CHUNKS] : NULL;
	default:
		which = index >= bitmap_bases;
		index -= which ? bitmap_bases : 0;
		leaf = gca_meta_leaf(meta, index / GCA_CHUNK_BITS, gfp);
		index %= GCA_LEAF_CHUNKS * GCA_CHUNK_BITS;
		return leaf ? &leaf->bits[which][index] : NULL;
	}
}

static const u64 gca_region_offset[GCA_REGIONS] = {
	[GCA_REGION_HEAP] = GCARENA_OFF_HEAP,
	[GCA_REGION_SPANS] = GCARENA_OFF_SPANS,
	[GCA_REGION_BITMAPS] = GCARENA_OFF_BITMAPS,
	[GCA_REGION_STATUS] = GCARENA_OFF_STATUS,
};

static vm_fault_t gca_meta_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct gca_arena *arena = gca_file_arena(vma->vm_file);
	enum gca_region region = (uintptr_t)vma->vm_private_data;
	u64 index = vmf->pgoff - (gca_region_offset[region] >> PAGE_SHIFT);
	void **slot;
	void *mem;

	/* A child whose parent said MADV_DOFORK has no business here; the
	 * owner's mm cannot die while it faults.
	 */
	if (vma->vm_mm != arena->mm || READ_ONCE(arena->dead))
		return VM_FAULT_SIGBUS;
	if (index >= gca_meta_region_size(arena, region) >> PAGE_SHIFT)
		return VM_FAULT_SIGBUS;

	/* A fault has no errno to fail with: let it wait for memory. */
	slot = gca_meta_slot(&arena->meta, region, index, GFP_KERNEL_ACCOUNT);
	mem = slot ? gca_meta_page(&arena->meta, slot, GFP_KERNEL_ACCOUNT) : NULL;
	if (!mem)
		return VM_FAULT_OOM;
	vmf->page = virt_to_page(mem);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct gca_meta_vm_ops = {
	.fault = gca_meta_fault,
};

/**
 * gca_meta_mmap - map a metadata region, or a part of it
 * @arena: the caller's
 * @region: not the heap
 * @vma: being set up, shared, starting inside @region
 *
 * Return: 0, or -EACCES for a right that the region does not give.
 */
int gca_meta_mmap(struct gca_arena *arena, enum gca_region region, struct vm_area_struct *vma)
{
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	if (region != GCA_REGION_BITMAPS) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	/* Not dumped: a dump would fault in the whole region. */
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_private_data = (void *)(uintptr_t)region;
	vma->vm_ops = &gca_meta_vm_ops;
	return 0;
}
