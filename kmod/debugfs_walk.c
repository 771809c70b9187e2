// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The debugfs files of one row a thing: spans, span_classes, chunks, percpu.
 *
 * Each is a walk that takes the core lock for one span or chunk at a time, so a
 * long file never holds the arena up, and is of no one moment: rows may not
 * add up while the arena is in use.  Documentation/debugfs.rst describes the
 * columns; the first line names them.
 */
#include <linux/debugfs.h>
#include <linux/math64.h>
#include <linux/numa.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "arena.h"

/* A row of span_classes at its longest, to size the buffer at open. */
#define GCA_CLASS_ROW_CHARS	96

/**
 * gca_state_name - a span's state in words
 * @state: enum gcarena_state
 *
 * Return: the word of the uapi, in small letters.
 */
const char *gca_state_name(unsigned int state)
{
	static const char * const names[GCA_STATES] = {
		[GCARENA_STATE_FREE] = "free",
		[GCARENA_STATE_READY] = "ready",
		[GCARENA_STATE_HELD] = "held",
		[GCARENA_STATE_SWEPT] = "swept",
		[GCARENA_STATE_UNSWEPT] = "unswept",
		[GCARENA_STATE_SWEEPING] = "sweeping",
		[GCARENA_STATE_MANUAL] = "manual",
		[GCARENA_STATE_TRANSIT] = "transit",
	};

	return state < GCA_STATES ? names[state] : "?";
}

/* The arena of an open file; its seq_file has the walk's own data. */
static struct gca_arena *walked_arena(struct seq_file *m)
{
	return file_inode(m->file)->i_private;
}

static void walk_stop(struct seq_file *m, void *v)
{
}

/* spans */

/* Position 0 is the heading, page + 1 the first span at or after page. */
static void *spans_find(struct seq_file *m, loff_t *pos)
{
	struct gca_span_info *info = m->private;

	if (*pos == 0)
		return SEQ_START_TOKEN;
	if (*pos - 1 > U32_MAX || !gca_core_next_span(walked_arena(m)->core, *pos - 1, info))
		return NULL;
	*pos = (loff_t)info->page + 1;
	return info;
}

static void *spans_start(struct seq_file *m, loff_t *pos)
{
	return spans_find(m, pos);
}

static void *spans_next(struct seq_file *m, void *v, loff_t *pos)
{
	if (v == SEQ_START_TOKEN)
		*pos = 1;
	else
		*pos += ((struct gca_span_info *)v)->npages;
	return spans_find(m, pos);
}

static int spans_show(struct seq_file *m, void *v)
{
	struct gca_span_info *info = v;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "page npages class state generation objects\n");
		return 0;
	}
	seq_printf(m, "%u %u %u %s %u %u\n", info->page, info->npages, info->span_class,
		   gca_state_name(info->state), info->generation, info->objects);
	return 0;
}

static const struct seq_operations spans_seq_ops = {
	.start = spans_start,
	.next = spans_next,
	.stop = walk_stop,
	.show = spans_show,
};

static int spans_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &spans_seq_ops, sizeof(struct gca_span_info));
}

const struct file_operations gca_spans_fops = {
	.owner = THIS_MODULE,
	.open = spans_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/* chunks */

/**
 * struct gca_chunk_row - a walk over chunks
 * @info: what the core knows of the chunk
 * @known: it knows it: the chunk was used at least once
 * @resident: what is behind it
 */
struct gca_chunk_row {
	struct gca_chunk_info info;
	bool known;
	struct gca_resident resident;
};

/* Position 0 is the heading, chunk + 1 the first chunk at or after chunk that
 * the core knows or that has anything behind it.
 */
static void *chunks_find(struct seq_file *m, loff_t *pos)
{
	struct gca_arena *arena = walked_arena(m);
	struct gca_chunk_row *row = m->private;
	u32 chunk, resident;
	bool found;

	if (*pos == 0)
		return SEQ_START_TOKEN;
	if (*pos - 1 >= arena->meta.nr_chunks)
		return NULL;
	chunk = *pos - 1;
	resident = chunk;
	row->known = gca_core_next_chunk(arena->core, chunk, &row->info);
	found = gca_residency_next(arena, &resident);
	if (!row->known && !found)
		return NULL;
	if (found && (!row->known || resident < row->info.chunk)) {
		/* The owner touched what the arena never gave out. */
		row->known = false;
		row->info.chunk = resident;
		row->info.nr_free = GCARENA_CHUNK_PAGES;
		row->info.nr_holes = 0;
		row->info.longest = GCARENA_CHUNK_PAGES;
		row->info.transit = false;
		row->info.withheld = false;
		memset(row->info.free, 0xff, sizeof(row->info.free));
	}
	gca_residency_look(arena, row->info.chunk * GCARENA_CHUNK_PAGES, GCARENA_CHUNK_PAGES,
			   &row->resident);
	*pos = (loff_t)row->info.chunk + 1;
	return row;
}

static void *chunks_start(struct seq_file *m, loff_t *pos)
{
	return chunks_find(m, pos);
}

static void *chunks_next(struct seq_file *m, void *v, loff_t *pos)
{
	++*pos;
	return chunks_find(m, pos);
}

static const char *chunk_backing(const struct gca_resident *resident)
{
	static const char * const names[GCA_RES_STATES] = {
		[GCARENA_RES_RELEASED] = "none",
		[GCARENA_RES_SMALL] = "small",
		[GCARENA_RES_HUGE] = "huge",
		[GCARENA_RES_SWAPPED] = "swapped",
	};
	unsigned int state = GCARENA_RES_RELEASED;
	unsigned int i;

	for (i = GCARENA_RES_RELEASED + 1; i < GCA_RES_STATES; i++) {
		if (!resident->bases[i])
			continue;
		if (state != GCARENA_RES_RELEASED)
			return "mixed";
		state = i;
	}
	return names[state];
}

static int chunks_show(struct seq_file *m, void *v)
{
	/* By state; the second half for pages that are in use. */
	static const char letters[2][GCA_RES_STATES + 1] = { ".shw", "-SHW" };
	struct gca_chunk_row *row = v;
	char map[GCARENA_CHUNK_PAGES + 1];
	u32 i;

	if (v == SEQ_START_TOKEN) {
		seq_puts(m, "chunk free longest transit backing node holes map\n");
		return 0;
	}
	for (i = 0; i < GCARENA_CHUNK_PAGES; i++) {
		bool in_use = !(row->info.free[i / 64] >> (i % 64) & 1);

		map[i] = letters[in_use][row->resident.state[i]];
	}
	map[GCARENA_CHUNK_PAGES] = 0;
	seq_printf(m, "%u %u %u %u %s %d %u %s\n", row->info.chunk, row->info.nr_free,
		   row->info.longest, row->info.withheld ? 2 : row->info.transit,
		   chunk_backing(&row->resident), row->resident.node, row->info.nr_holes, map);
	return 0;
}

static const struct seq_operations chunks_seq_ops = {
	.start = chunks_start,
	.next = chunks_next,
	.stop = walk_stop,
	.show = chunks_show,
};

static int chunks_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &chunks_seq_ops, sizeof(struct gca_chunk_row));
}

const struct file_operations gca_chunks_fops = {
	.owner = THIS_MODULE,
	.open = chunks_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = seq_release_private,
};

/* span_classes */

/**
 * struct gca_class_sum - what the spans of one class add up to
 * @spans: how many
 * @pages: their pages
 * @objects: their alloc bits
 */
struct gca_class_sum {
	u64 spans;
	u64 pages;
	u64 objects;
};

static u32 count_classes(struct gca_arena *arena)
{
	struct gcarena_class cls;
	u32 capacity;
	u32 nr = 0;

	while (gca_core_class(arena->core, nr, &cls, &capacity))
		nr++;
	return nr;
}

static void class_row(struct seq_file *m, u32 index, const struct gcarena_class *cls, u32 capacity,
		      const struct gca_class_sum *sum)
{
	u64 room = sum->spans * capacity;
	/* The bits are the owner's: there may be more than there is room for. */
	u64 vacant = room - min(room, sum->objects);
	u64 bytes = sum->pages << GCARENA_PAGE_SHIFT;
	u64 tail = cls->flags ? 0 : bytes - room * cls->elem_size;

	seq_printf(m, "%u %u %u %u %llu %llu %llu %llu %llu %llu %llu\n", index, cls->elem_size,
		   cls->npages, cls->flags, sum->spans, bytes, sum->objects, room,
		   room ? div64_u64(sum->objects * 1000, room) : 0, vacant * cls->elem_size,
		   tail);
}

static int span_classes_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	u32 nr = count_classes(arena);
	struct gcarena_class cls;
	struct gca_class_sum *sums;
	struct gca_span_info info;
	u32 capacity, i;
	u32 page = 0;

	sums = kvcalloc(nr, sizeof(*sums), GFP_KERNEL);
	if (!sums)
		return -ENOMEM;
	while (!fatal_signal_pending(current) &&
	       gca_core_next_span(arena->core, page, &info)) {
		sums[info.span_class].spans++;
		sums[info.span_class].pages += info.npages;
		sums[info.span_class].objects += info.objects;
		page = info.page + info.npages;
		cond_resched();
	}
	seq_puts(m, "class elem_size npages flags spans bytes objects room occupancy_permille ");
	seq_puts(m, "vacant_bytes tail_bytes\n");
	for (i = 0; i < nr; i++)
		if (gca_core_class(arena->core, i, &cls, &capacity))
			class_row(m, i, &cls, capacity, &sums[i]);
	kvfree(sums);
	return 0;
}

static int span_classes_open(struct inode *inode, struct file *file)
{
	/* Enough at once: a buffer that is too small makes a second walk. */
	size_t size = (count_classes(inode->i_private) + 2) * GCA_CLASS_ROW_CHARS;

	return single_open_size(file, span_classes_show, inode->i_private, size);
}

const struct file_operations gca_span_classes_fops = {
	.owner = THIS_MODULE,
	.open = span_classes_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

/* percpu: from slot to slot, which are the CPUs. */

static int percpu_show(struct seq_file *m, void *unused)
{
	struct gca_arena *arena = m->private;
	struct gca_ready_info info = {};

	seq_puts(m, "cpu class spans bytes demand refills\n");
	for (; !fatal_signal_pending(current) && gca_core_next_ready(arena->core, &info);
	     info.span_class++) {
		seq_printf(m, "%u %u %u %llu %u %u\n", info.slot, info.span_class, info.spans,
			   info.bytes, info.demand, info.refills);
		cond_resched();
	}
	return 0;
}

static int percpu_open(struct inode *inode, struct file *file)
{
	return single_open(file, percpu_show, inode->i_private);
}

const struct file_operations gca_percpu_fops = {
	.owner = THIS_MODULE,
	.open = percpu_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};
