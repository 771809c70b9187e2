// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * KUnit: backing, metadata, the shrinker's entries and the thread of an arena
 * that is real but for its file.
 *
 * What only the kernel can arrange is tested here: a folio that somebody has
 * locked, contents seen past any mapping, slots of the tables themselves.  What
 * user space can see is tested from there (selftests/guest).
 */
#include <linux/delay.h>
#include <linux/highmem.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>

#include "core/bits.h"
#include "linux.h"

static const struct gcarena_class linux_classes[LINUX_CLASSES] = {
	[LINUX_TINY] = { .elem_size = 16, .npages = 1 },
	[LINUX_LARGE] = { .flags = GCARENA_CLASS_LARGE },
	[LINUX_MANUAL] = { .flags = GCARENA_CLASS_MANUAL },
};

/**
 * linux_case_init - give a case an mm and an arena
 * @test: the case
 *
 * Return: 0 or a negative errno.
 */
int linux_case_init(struct kunit *test)
{
	struct linux_case *lc = kunit_kzalloc(test, sizeof(*lc), GFP_KERNEL);
	unsigned long user;

	if (!lc)
		return -ENOMEM;
	init_waitqueue_head(&lc->events);
	user = kunit_vm_mmap(test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (!user || IS_ERR_VALUE(user))
		return -ENOMEM;
	lc->user = (void __user *)user;
	lc->inode = gca_meta_inode();
	if (IS_ERR(lc->inode))
		return PTR_ERR(lc->inode);
	test->priv = lc;
	return gca_arena_create((u64)LINUX_CHUNKS * GCARENA_CHUNK_SIZE, linux_classes,
				LINUX_CLASSES, NULL, &lc->events, lc->inode, &lc->arena);
}

/**
 * linux_case_exit - the counterpart, in another thread
 * @test: the case
 */
void linux_case_exit(struct kunit *test)
{
	struct linux_case *lc = test->priv;
	int left = 10000;	/* ms */

	if (!lc)
		return;
	if (lc->arena) {
		/* The case's thread says that it is done before it exits. */
		for (; !READ_ONCE(lc->arena->dead) && left > 0; left -= 20)
			msleep(20);
		KUNIT_EXPECT_TRUE_MSG(test, lc->arena->dead, "the arena dies with its mm");
		gca_arena_destroy(lc->arena);
	}
	iput(lc->inode);
}

static struct gca_arena *linux_arena(struct kunit *test)
{
	struct linux_case *lc = test->priv;

	return lc->arena;
}

/* Backing. */

static void back_chunk(struct kunit *test, u32 chunk)
{
	struct gca_arena *arena = linux_arena(test);

	KUNIT_ASSERT_GE(test, gca_meta_back(arena, chunk), 0);
	KUNIT_ASSERT_EQ_MSG(test, gca_backing_back(arena, chunk * GCARENA_CHUNK_PAGES,
						   GCARENA_CHUNK_PAGES, GCA_NODE_ANY), 0,
			    "a huge page for chunk %u", chunk);
}

/* Give arena pages of a chunk back: bytes that came free, none of it kept. */
static u64 release(struct kunit *test, u32 page, u32 npages)
{
	u64 going[GCA_HALF_WORDS] = {};
	u64 kept[GCA_HALF_WORDS] = {};
	u64 bytes;

	gca_map_set(going, page % GCARENA_CHUNK_PAGES * GCA_PAGE_BASES, npages * GCA_PAGE_BASES);
	bytes = gca_backing_release(linux_arena(test), page / GCARENA_CHUNK_PAGES, going, kept);
	gca_backing_recount(linux_arena(test));
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(kept, 0, sizeof(kept)), "nothing is kept");
	return bytes;
}

/* Base pages of a chunk in @state. */
static u32 bases(struct kunit *test, u32 chunk, enum gcarena_residency_state state)
{
	struct gca_resident *res = kunit_kzalloc(test, sizeof(*res), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, res);
	gca_residency_look(linux_arena(test), chunk * GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES,
			   res);
	return res->bases[state];
}

static struct page *base_page(struct kunit *test, pgoff_t index)
{
	struct page *page = shmem_read_mapping_page(linux_arena(test)->heap->f_mapping, index);

	KUNIT_ASSERT_FALSE(test, IS_ERR(page));
	return page;
}

static void fill(struct kunit *test, pgoff_t index, u8 value)
{
	struct page *page = base_page(test, index);

	memset_page(page, 0, value, PAGE_SIZE);
	put_page(page);
}

static bool holds(struct kunit *test, pgoff_t index, u8 value)
{
	struct page *page = base_page(test, index);
	void *mem = kmap_local_page(page);
	bool same = !memchr_inv(mem, value, PAGE_SIZE);

	kunmap_local(mem);
	put_page(page);
	return same;
}

static void backing_whole(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);

	back_chunk(test, 1);
	KUNIT_EXPECT_EQ(test, bases(test, 1, GCARENA_RES_HUGE), GCA_CHUNK_BASES);
	KUNIT_EXPECT_NOT_NULL(test, *gca_meta_idle(&arena->meta, 1));
	KUNIT_EXPECT_EQ(test, release(test, GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES),
			GCARENA_CHUNK_SIZE);
	KUNIT_EXPECT_EQ(test, bases(test, 1, GCARENA_RES_HUGE), 0);
	KUNIT_EXPECT_EQ(test, bases(test, 1, GCARENA_RES_SMALL), 0);
	KUNIT_EXPECT_NULL(test, *gca_meta_idle(&arena->meta, 1));
	KUNIT_EXPECT_EQ_MSG(test, arena->heap->f_mapping->nrpages, 0, "the file is empty");
}

static void backing_zero(struct kunit *test)
{
	pgoff_t last = GCA_CHUNK_BASES - 1;

	back_chunk(test, 0);
	KUNIT_EXPECT_TRUE(test, holds(test, 0, 0) && holds(test, last, 0));
	fill(test, 0, 0x5a);
	fill(test, last, 0x5a);
	release(test, 0, GCARENA_CHUNK_PAGES);
	back_chunk(test, 0);
	KUNIT_EXPECT_TRUE_MSG(test, holds(test, 0, 0) && holds(test, last, 0),
			      "what comes back reads as zero");
}

static void backing_part(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	/* Arena pages 3 and 4, and the base pages to either side. */
	pgoff_t first = 3 * GCA_PAGE_BASES, after = 5 * GCA_PAGE_BASES;
	u64 halves[GCA_HALF_WORDS] = {};

	back_chunk(test, 0);
	fill(test, first - 1, 0x11);
	fill(test, first, 0x22);
	fill(test, after, 0x33);
	KUNIT_EXPECT_EQ(test, release(test, 3, 2), 2 * GCARENA_PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, bases(test, 0, GCARENA_RES_HUGE), 0);
	KUNIT_EXPECT_EQ(test, bases(test, 0, GCARENA_RES_SMALL),
			GCA_CHUNK_BASES - 2 * GCA_PAGE_BASES);
	KUNIT_EXPECT_TRUE_MSG(test, holds(test, first - 1, 0x11) && holds(test, after, 0x33),
			      "what stays has its contents");
	gca_map_set(halves, 3 * GCA_PAGE_BASES, 2 * GCA_PAGE_BASES);
	KUNIT_EXPECT_EQ_MSG(test, gca_backing_fill(arena, 0, halves, GCA_NODE_ANY), 0,
			    "small pages come back");
	KUNIT_EXPECT_TRUE(test, holds(test, first, 0));
	KUNIT_EXPECT_EQ(test, release(test, 0, GCARENA_CHUNK_PAGES),
			GCARENA_CHUNK_SIZE);
	KUNIT_EXPECT_EQ_MSG(test, release(test, 0, 1), 0, "nothing twice");
}

static void backing_reclaim(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};

	back_chunk(test, 2);
	back_chunk(test, 3);
	KUNIT_EXPECT_EQ(test, gca_backing_reclaim(arena, 2, kept), GCARENA_CHUNK_SIZE);
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(kept, 0, sizeof(kept)), "nothing is kept");
	KUNIT_EXPECT_EQ(test, bases(test, 3, GCARENA_RES_HUGE), GCA_CHUNK_BASES);
}

/* A scan that waited for this folio would wait for its own task. */
static void backing_reclaim_locked(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};
	struct folio *folio;

	back_chunk(test, 0);
	folio = page_folio(base_page(test, 7));
	folio_lock(folio);
	KUNIT_EXPECT_EQ(test, gca_backing_reclaim(arena, 0, kept), 0);
	KUNIT_EXPECT_NULL_MSG(test, memchr_inv(kept, 0xff, sizeof(kept)), "all of it is kept");
	folio_unlock(folio);
	folio_put(folio);
	memset(kept, 0, sizeof(kept));
	KUNIT_EXPECT_EQ(test, gca_backing_reclaim(arena, 0, kept), GCARENA_CHUNK_SIZE);
}

/* One small folio locked among many: the others go, and it is told. */
static void backing_reclaim_rest(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	u64 kept[GCA_CHUNK_MAP_WORDS] = {};
	struct folio *folio;

	back_chunk(test, 0);
	release(test, 0, 1);
	folio = page_folio(base_page(test, 70 * GCA_PAGE_BASES));
	KUNIT_ASSERT_EQ_MSG(test, folio_nr_pages(folio), 1, "the chunk is broken");
	folio_lock(folio);
	KUNIT_EXPECT_EQ(test, gca_backing_reclaim(arena, 0, kept),
			GCARENA_CHUNK_SIZE - GCARENA_PAGE_SIZE - PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, kept[1], 1ULL << (70 - 64));
	KUNIT_EXPECT_EQ(test, kept[0] | kept[2] | kept[3], 0);
	folio_unlock(folio);
	folio_put(folio);
}

static struct kunit_case backing_cases[] = {
	KUNIT_CASE(backing_whole),
	KUNIT_CASE(backing_zero),
	KUNIT_CASE(backing_part),
	KUNIT_CASE(backing_reclaim),
	KUNIT_CASE(backing_reclaim_locked),
	KUNIT_CASE(backing_reclaim_rest),
	{}
};

static struct kunit_suite backing_suite = {
	.name = "gcarena_backing",
	.init = linux_case_init,
	.exit = linux_case_exit,
	.test_cases = backing_cases,
};

/* Metadata. */

static void meta_slots(struct kunit *test)
{
	static const u32 chunks[] = { 0, 1, 511, 512, 1023, 1024, LINUX_CHUNKS - 1 };
	struct gca_arena *arena = linux_arena(test);
	u32 i, page, at, wrong = 0;
	struct gcarena_row *row;
	unsigned int which;

	for (i = 0; i < ARRAY_SIZE(chunks); i++)
		KUNIT_ASSERT_GT(test, gca_meta_back(arena, chunks[i]), 0);
	/* Each line and row gets what only it can have, then all are read. */
	for (i = 0; i < ARRAY_SIZE(chunks); i++)
		for (at = 0; at < GCARENA_CHUNK_PAGES; at++) {
			page = chunks[i] * GCARENA_CHUNK_PAGES + at;
			for (which = 0; which < 2; which++) {
				wrong += !!memchr_inv(gca_host_line(arena, which, page), 0,
						      GCARENA_LINE_SIZE);
				memset64(gca_host_line(arena, which, page),
					 (u64)page << 1 | which, GCARENA_LINE_WORDS);
			}
			row = gca_host_row(arena, page);
			wrong += row->word0 || row->word1;
			row->word0 = page;
		}
	KUNIT_EXPECT_EQ_MSG(test, wrong, 0, "everything is zero at first, and nobody's twice");
	for (i = 0; i < ARRAY_SIZE(chunks); i++)
		for (at = 0; at < GCARENA_CHUNK_PAGES; at++) {
			page = chunks[i] * GCARENA_CHUNK_PAGES + at;
			for (which = 0; which < 2; which++) {
				u64 *line = gca_host_line(arena, which, page);

				wrong += line[0] != ((u64)page << 1 | which) ||
					 line[GCARENA_LINE_WORDS - 1] != line[0];
			}
			wrong += gca_host_row(arena, page)->word0 != page;
		}
	KUNIT_EXPECT_EQ(test, wrong, 0);
}

static void meta_bytes(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	long before = atomic_long_read(&arena->meta.bytes);
	long first = gca_meta_back(arena, 600);
	long tables = 9 * PAGE_SIZE;	/* rows, and four pages of each bitmap */

	KUNIT_EXPECT_GT_MSG(test, first, tables, "with a leaf, and what was there before");
	KUNIT_EXPECT_EQ_MSG(test, gca_meta_back(arena, 600), 0, "nothing twice");
	KUNIT_EXPECT_EQ_MSG(test, gca_meta_back(arena, 601), tables, "the leaf is there");
	KUNIT_EXPECT_EQ(test, atomic_long_read(&arena->meta.bytes) - before,
			first - before + tables);
}

static void meta_sizes(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	u64 pages = LINUX_CHUNKS * GCARENA_CHUNK_PAGES;

	KUNIT_EXPECT_EQ(test, gca_meta_region_size(arena, GCA_REGION_HEAP),
			pages * GCARENA_PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gca_meta_region_size(arena, GCA_REGION_SPANS), pages * 16);
	KUNIT_EXPECT_EQ(test, gca_meta_region_size(arena, GCA_REGION_BITMAPS), pages * 128);
	KUNIT_EXPECT_EQ(test, gca_meta_region_size(arena, GCA_REGION_STATUS), PAGE_SIZE);
}

static struct kunit_case meta_cases[] = {
	KUNIT_CASE(meta_slots),
	KUNIT_CASE(meta_bytes),
	KUNIT_CASE(meta_sizes),
	{}
};

static struct kunit_suite meta_suite = {
	.name = "gcarena_meta",
	.init = linux_case_init,
	.exit = linux_case_exit,
	.test_cases = meta_cases,
};

/* The shrinker's entries, and the thread. */

static struct gcarena_span take(struct kunit *test, u32 npages)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.span_class = LINUX_MANUAL,
		.npages = npages,
		.nr_ready = 1,
	};
	struct gcarena_span span = {};

	KUNIT_ASSERT_EQ(test, gca_core_refill(linux_arena(test)->core, &args, NULL, &span), 0);
	KUNIT_ASSERT_EQ(test, args.nr_ready, 1);
	return span;
}

static void give(struct kunit *test, struct gcarena_span span)
{
	u32 taken;

	span.flags = 0;
	KUNIT_ASSERT_EQ(test, gca_core_return(linux_arena(test)->core, &span, 1, &taken), 0);
}

static void shrinker_entries(struct kunit *test)
{
	struct gca_arena *arena = linux_arena(test);
	struct gcarena_span span;

	KUNIT_EXPECT_EQ(test, atomic_long_read(&arena->idle_chunks), 0);
	span = take(test, GCARENA_CHUNK_PAGES);
	KUNIT_EXPECT_EQ_MSG(test, atomic_long_read(&arena->idle_chunks), 0, "in use, so not idle");
	give(test, span);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&arena->idle_chunks), 1);
	span = take(test, 1);
	KUNIT_EXPECT_EQ_MSG(test, atomic_long_read(&arena->idle_chunks), 0, "one page suffices");
	give(test, span);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&arena->idle_chunks), 1);
	KUNIT_EXPECT_EQ(test, gca_core_validate(arena->core), 0);
	/* The arena now dies with a chunk on the list. */
}

static void worker_scavenges(struct kunit *test)
{
	struct gcarena_policy policy = { .size = sizeof(policy), .retain_bytes = 1 };
	struct gca_arena *arena = linux_arena(test);
	struct gcarena_span spans[3];
	int i, left = 2000;	/* ms */

	KUNIT_EXPECT_NULL_MSG(test, arena->worker.task, "no thread without work");
	for (i = 0; i < ARRAY_SIZE(spans); i++)
		spans[i] = take(test, GCARENA_CHUNK_PAGES);
	for (i = 0; i < ARRAY_SIZE(spans); i++)
		give(test, spans[i]);
	gca_worker_tend(arena);
	KUNIT_EXPECT_NULL_MSG(test, arena->worker.task, "no goal, no thread");
	KUNIT_ASSERT_EQ(test, gca_core_set_policy(arena->core, &policy), 0);
	gca_worker_tend(arena);
	KUNIT_ASSERT_NOT_NULL(test, arena->worker.task);
	while (atomic_long_read(&arena->idle_chunks) > 1 && left > 0) {
		msleep(20);
		left -= 20;
	}
	KUNIT_EXPECT_LE_MSG(test, atomic_long_read(&arena->idle_chunks), 1, "down to the goal");
	KUNIT_EXPECT_LE(test, arena->heap->f_mapping->nrpages, GCA_CHUNK_BASES);
}

static struct kunit_case host_cases[] = {
	KUNIT_CASE(shrinker_entries),
	KUNIT_CASE(worker_scavenges),
	{}
};

static struct kunit_suite host_suite = {
	.name = "gcarena_host",
	.init = linux_case_init,
	.exit = linux_case_exit,
	.test_cases = host_cases,
};

kunit_test_suites(&backing_suite, &meta_suite, &host_suite);
