/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What Linux 6.1 calls otherwise than 6.12: the only file with a kernel version
 * in it.
 *
 * The rest of the Linux side is written to 6.12's names; here 6.1 gets those
 * that it lacks.  Where the two differ in more than a name, both get a gca_
 * function.  Must never hold a decision of its own: who reads the callers need
 * not read this.
 */
#ifndef GCARENA_COMPAT_H
#define GCARENA_COMPAT_H

#include <linux/err.h>
#include <linux/list_lru.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/shrinker.h>
#include <linux/slab.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "gcarena needs Linux 6.1 or newer"
#endif

/* A variable that is not to be zeroed where the kernel's compiler does that. */
#ifndef __uninitialized
#define __uninitialized		__attribute__((__uninitialized__))
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags &= ~flags;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
static inline struct folio *shmem_read_folio_gfp(struct address_space *mapping, pgoff_t index,
						 gfp_t gfp)
{
	struct page *page = shmem_read_mapping_page_gfp(mapping, index, gfp);

	return IS_ERR(page) ? ERR_CAST(page) : page_folio(page);
}
#endif

/* Page table entries that map any of a folio of a file, each with a reference. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
static inline int gca_folio_mapcount(struct folio *folio)
{
	int nr = folio_nr_pages(folio);
	int count = 0;
	int i;

	/* A mapping of the whole counts in each page, and once more. */
	for (i = 0; i < nr; i++)
		count += atomic_read(&folio_page(folio, i)->_mapcount) + 1;
	return nr == 1 ? count : count - (nr - 1) * folio_entire_mapcount(folio);
}
#else
static inline int gca_folio_mapcount(struct folio *folio)
{
	return folio_mapcount(folio);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
static inline int generic_error_remove_folio(struct address_space *mapping, struct folio *folio)
{
	return generic_error_remove_page(mapping, &folio->page);
}

static inline bool list_lru_add_obj(struct list_lru *lru, struct list_head *item)
{
	return list_lru_add(lru, item);
}

static inline bool list_lru_del_obj(struct list_lru *lru, struct list_head *item)
{
	return list_lru_del(lru, item);
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
static inline unsigned long mm_get_unmapped_area(struct mm_struct *mm, struct file *file,
						 unsigned long addr, unsigned long len,
						 unsigned long pgoff, unsigned long flags)
{
	return mm->get_unmapped_area(file, addr, len, pgoff, flags);
}
#endif

static inline int gca_shrinker_lists(struct shrinker *shrinker, struct list_lru *first,
				     struct list_lru *second)
{
	int err = list_lru_init_memcg(first, shrinker);

	if (err)
		return err;
	err = list_lru_init_memcg(second, shrinker);
	if (err)
		list_lru_destroy(first);
	return err;
}

/*
 * A memcg-aware shrinker and its lists know each other by a number that 6.1 gives
 * out when the shrinker is registered, and 6.7 when it is allocated.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 7, 0)
static inline struct shrinker *gca_shrinker_alloc(unsigned int flags)
{
	struct shrinker *shrinker = kzalloc(sizeof(*shrinker), GFP_KERNEL);

	if (shrinker)
		shrinker->flags = flags;
	return shrinker;
}

static inline int gca_shrinker_register(struct shrinker *shrinker, struct list_lru *first,
					struct list_lru *second)
{
	int err = gca_shrinker_lists(shrinker, first, second);

	if (err)
		return err;
	err = register_shrinker(shrinker, "gcarena");
	if (err) {
		list_lru_destroy(second);
		list_lru_destroy(first);
		return err;
	}
#ifdef CONFIG_MEMCG_KMEM
	/* Nothing is on the lists yet, so nobody has used the number. */
	first->shrinker_id = shrinker->id;
	second->shrinker_id = shrinker->id;
#endif
	return 0;
}

static inline void gca_shrinker_unregister(struct shrinker *shrinker)
{
	unregister_shrinker(shrinker);
	kfree(shrinker);
}
#else
static inline struct shrinker *gca_shrinker_alloc(unsigned int flags)
{
	return shrinker_alloc(flags, "gcarena");
}

static inline int gca_shrinker_register(struct shrinker *shrinker, struct list_lru *first,
					struct list_lru *second)
{
	int err = gca_shrinker_lists(shrinker, first, second);

	if (!err)
		shrinker_register(shrinker);
	return err;
}

static inline void gca_shrinker_unregister(struct shrinker *shrinker)
{
	shrinker_free(shrinker);
}
#endif

#endif /* GCARENA_COMPAT_H */
