// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Rows of the span table and lines of the bitmaps: what an arena shares with
 * its owner.
 *
 * Rows are only ever written here: word1 before word0, which is a release, so
 * that whoever loads word0 with acquire and finds it in use sees the rest.
 * Lines are the owner's to scribble on: the outcome of reading them
 * is only ever "how many bits", so that a lie moves a span from one list to
 * another or frees what its owner said was empty, and no more.  Works on spans
 * that the caller owns, with or without the lock.
 */
#include "core_internal.h"

/**
 * gca_rows_write - publish a span, but its state
 * @core: the arena
 * @page: its first page; the caller owns the span
 * @npages: its length
 * @span_class: its class
 */
void gca_rows_write(struct gca_core *core, u32 page, u32 npages, u16 span_class)
{
	bool large = core->classes[span_class].flags & GCARENA_CLASS_FLAGS;
	u64 word0 = (u64)span_class << GCARENA_ROW_CLASS_SHIFT | GCARENA_ROW_IN_USE;
	u32 i;

	if (large)
		word0 |= GCARENA_ROW_LARGE;
	for (i = 0; i < npages; i++) {
		struct gcarena_row *row = gca_host_row(core->host, page + i);
		u64 offset = min_t(u32, i, GCARENA_ROW_OFFSET_ESCAPE);

		if (i)
			WRITE_ONCE(row->word1, large ? page : 0);
		else
			WRITE_ONCE(row->word1, gca_row_word1(gca_record_at(core, page)));
		/* Pairs with the acquire of whoever reads a row; see above. */
		smp_store_release(&row->word0, word0 | offset << GCARENA_ROW_OFFSET_SHIFT);
	}
}

/**
 * gca_rows_clear - a span's pages are of no span any more
 * @core: the arena
 * @page: its first page; the caller owns the span
 * @npages: its length
 */
void gca_rows_clear(struct gca_core *core, u32 page, u32 npages)
{
	u32 i;

	for (i = 0; i < npages; i++)
		WRITE_ONCE(gca_host_row(core->host, page + i)->word0, 0);
}

/**
 * gca_lines_clear - clear a span's lines of one bitmap
 * @core: the arena
 * @which: of the two bitmaps
 * @page: its first page; the caller owns the span
 * @npages: its length
 */
void gca_lines_clear(struct gca_core *core, unsigned int which, u32 page, u32 npages)
{
	u32 i, k;

	for (i = 0; i < npages; i++) {
		u64 *line = gca_host_line(core->host, which, page + i);

		for (k = 0; k < GCARENA_LINE_WORDS; k += 4) {
			WRITE_ONCE(line[k], 0);
			WRITE_ONCE(line[k + 1], 0);
			WRITE_ONCE(line[k + 2], 0);
			WRITE_ONCE(line[k + 3], 0);
		}
	}
}

/**
 * gca_lines_copy - make a span's lines of one bitmap those of the other
 * @core: the arena
 * @from: the bitmap to copy
 * @page: its first page; the caller owns the span
 * @npages: its length
 */
void gca_lines_copy(struct gca_core *core, unsigned int from, u32 page, u32 npages)
{
	u32 i, k;

	for (i = 0; i < npages; i++) {
		const u64 *line = gca_host_line(core->host, from, page + i);
		u64 *to = gca_host_line(core->host, !from, page + i);

		for (k = 0; k < GCARENA_LINE_WORDS; k++)
			WRITE_ONCE(to[k], READ_ONCE(line[k]));
	}
}

/* Most are of what is swept. */
static bool line_empty(const u64 *line)
{
	static_assert(GCARENA_LINE_WORDS == 8);
	return !(READ_ONCE(line[0]) | READ_ONCE(line[1]) | READ_ONCE(line[2]) |
		 READ_ONCE(line[3]) | READ_ONCE(line[4]) | READ_ONCE(line[5]) |
		 READ_ONCE(line[6]) | READ_ONCE(line[7]));
}

/**
 * gca_lines_count - how many objects a span's lines name
 * @core: the arena
 * @which: of the two bitmaps
 * @page: its first page
 * @npages: its length
 * @cls: its class
 *
 * Return: bits set; for large spans, whose one bit is the first, 0 or 1; for
 * manual ones 0.
 */
u32 gca_lines_count(struct gca_core *core, unsigned int which, u32 page, u32 npages,
		    const struct gca_class *cls)
{
	u32 count = 0;
	u32 i;

	if (unlikely(cls->flags)) {
		if (gca_class_manual(cls))
			return 0;
		return READ_ONCE(*gca_host_line(core->host, which, page)) & 1;
	}
	for (i = 0; i < npages; i++) {
		const u64 *line = gca_host_line(core->host, which, page + i);

		if (!line_empty(line))
			count += gca_line_weight(line);
	}
	return count;
}
