// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Pins: what keeps khugepaged from filling the holes of a broken chunk.
 *
 * khugepaged makes a huge page of 2 MiB of shmem that have as little as one base
 * page in memory (max_ptes_none), and what is missing becomes memory again.  It
 * leaves alone what somebody else holds a reference of.  So of each broken chunk
 * one base page that stays is referenced: the first, which is where it looks first;
 * and that before anything of the chunk goes, as khugepaged may be at it already.
 *
 * That page cannot be migrated or swapped meanwhile; it can be released like any
 * other, and is replaced by the next.  Memory that is to be movable (a hot-pluggable
 * zone) is not pinned.  One page a chunk at most, until the chunk is backed all
 * over, collapsed, or wholly released.
 *
 * A pin changes by exchange and may be dropped by anybody, in reclaim too.  It is
 * set only by who has the chunk in transit, in process context.
 */
#include <linux/mmzone.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/xarray.h>

#include "arena.h"
#include "compat.h"
#include "core/bits.h"

static bool pin_broken = true;
module_param(pin_broken, bool, 0644);
MODULE_PARM_DESC(pin_broken, "Keep khugepaged from filling what was released of broken chunks");

/*
 * The first folio in memory of a chunk at @first that is not in the map @going,
 * referenced, or NULL.  A huge page is never all in it, whatever its first page is.
 */
static struct folio *gca_pin_find(struct address_space *mapping, pgoff_t first, const u64 *going)
{
	XA_STATE(xas, &mapping->i_pages, first);
	struct folio *found = NULL;
	struct folio *folio;

	rcu_read_lock();
	xas_for_each(&xas, folio, first + GCA_CHUNK_BASES - 1) {
		if (xas_retry(&xas, folio) || xa_is_value(folio))
			continue;
		if (!folio_try_get(folio)) {
			xas_reset(&xas);
			continue;
		}
		if (folio != xas_reload(&xas)) {
			folio_put(folio);
			xas_reset(&xas);
			continue;
		}
		if (going && !folio_test_pmd_mappable(folio) &&
		    gca_map_test(going, xas.xa_index - first)) {
			folio_put(folio);
			continue;
		}
		found = folio;
		break;
	}
	rcu_read_unlock();
	return found;
}

/**
 * gca_pin_drop - let a chunk be collapsed
 * @arena: the arena
 * @chunk: index of any chunk
 */
void gca_pin_drop(struct gca_arena *arena, u32 chunk)
{
	struct folio **slot = gca_meta_pin(&arena->meta, chunk);
	struct folio *folio = slot ? xchg(slot, NULL) : NULL;

	if (!folio)
		return;
	atomic_long_dec(&arena->pins);
	folio_put(folio);
}

/*
 * Whether a chunk at @first has a pin that does its work, also when @going is gone.
 * Nobody else sets it, and one that is dropped now was not wanted.  Its page may then
 * be anything, as another page of this very heap.
 */
static bool gca_pin_good(struct folio *folio, struct address_space *mapping, pgoff_t first,
			 const u64 *going)
{
	pgoff_t at;

	if (!folio || READ_ONCE(folio->mapping) != mapping)
		return false;
	at = READ_ONCE(folio->index) - first;
	return at < GCA_CHUNK_BASES && !(going && gca_map_test(going, at));
}

/**
 * gca_pin_set - see to it that a broken chunk has a pin, on a page that is there
 * @arena: the arena
 * @chunk: index; in transit
 * @going: map of its base pages that are about to go, so that none of them will do;
 *	or NULL
 *
 * Waits for a folio's lock: khugepaged, which has it while it collapses, either saw
 * our reference or is done.
 *
 * Return: 0, or -EAGAIN if the chunk is on a huge page.
 */
int gca_pin_set(struct gca_arena *arena, u32 chunk, const u64 *going)
{
	struct address_space *mapping = arena->heap->f_mapping;
	struct folio **slot = gca_meta_pin(&arena->meta, chunk);
	pgoff_t first = (pgoff_t)chunk * GCA_CHUNK_BASES;
	struct folio *folio;
	bool collapsed;

	if (gca_pin_good(READ_ONCE(*slot), mapping, first, going))
		return 0;
	/* The old one, if any, goes last: there is one all the time. */
	folio = READ_ONCE(pin_broken) ? gca_pin_find(mapping, first, going) : NULL;
	if (folio) {
		folio_lock(folio);
		collapsed = folio->mapping != mapping || folio_test_pmd_mappable(folio);
		folio_unlock(folio);
		if (collapsed) {
			folio_put(folio);
			return -EAGAIN;
		}
		if (folio_test_large(folio) || folio_zonenum(folio) == ZONE_MOVABLE) {
			folio_put(folio);
			folio = NULL;
		}
	}
	gca_pin_drop(arena, chunk);
	if (!folio)
		return 0;
	atomic_long_inc(&arena->pins);
	if (cmpxchg(slot, NULL, folio)) {
		atomic_long_dec(&arena->pins);
		folio_put(folio);
	}
	return 0;
}
