/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * gcarena: the contract between an arena and the program that owns it.
 *
 * Ioctls, mapped layouts and geometry, the same on 32 and 64 bit.  The same
 * structures pass between libgcarena and the span core when the library runs
 * the core in-process.  Documentation/uapi.rst says in prose what each call
 * does, every error it returns, and who may write which bit when.
 *
 * Every structure that a call takes starts with its own size.  A caller's
 * structure may be shorter than the kernel's (missing fields read as zero) or
 * longer (what the kernel does not know must be zero, else -E2BIG).  Unknown
 * flags and non-zero reserved fields are -EINVAL.
 */
#ifndef _UAPI_LINUX_GCARENA_H
#define _UAPI_LINUX_GCARENA_H

#include <linux/types.h>
#include <linux/ioctl.h>

/* Geometry. */
#define GCARENA_CHUNK_SHIFT	21	/* 2 MiB: one PMD */
#define GCARENA_PAGE_SHIFT	13	/* 8 KiB */
#define GCARENA_GRANULE_SHIFT	4	/* 16 bytes */
#define GCARENA_CHUNK_SIZE	(1UL << GCARENA_CHUNK_SHIFT)
#define GCARENA_PAGE_SIZE	(1UL << GCARENA_PAGE_SHIFT)
#define GCARENA_GRANULE_SIZE	(1UL << GCARENA_GRANULE_SHIFT)
#define GCARENA_CHUNK_PAGES	256	/* pages in a chunk */
#define GCARENA_PAGE_GRANULES	512	/* granules in a page */
#define GCARENA_LINE_SIZE	64	/* bytes of one bitmap for one page */
#define GCARENA_LINE_WORDS	8	/* the same in 64-bit words */

#define GCARENA_HEAP_SIZE_MIN	(1ULL << GCARENA_CHUNK_SHIFT)
#define GCARENA_HEAP_SIZE_MAX	(1ULL << 40)
#define GCARENA_CLASSES_MAX	4096	/* entries of a class table */
#define GCARENA_SPAN_PAGES_MAX	64	/* pages of a span of a fixed class */
#define GCARENA_BATCH_MAX	256	/* span entries in one call */

/* Where the regions lie in the device file. */
#define GCARENA_OFF_HEAP	0x0ULL
#define GCARENA_OFF_SPANS	(1ULL << 41)
#define GCARENA_OFF_BITMAPS	(1ULL << 42)
#define GCARENA_OFF_STATUS	(1ULL << 43)

/*
 * Span table: one row for each page of the heap.  Readers load word0 first
 * (acquire); word1 is valid while word0 says in use.
 */
struct gcarena_row {
	__u64 word0;
	__u64 word1;
};

/* word0 */
#define GCARENA_ROW_CLASS_SHIFT		0	/* 16 bits: span class */
#define GCARENA_ROW_OFFSET_SHIFT	16	/* 16 bits: pages from the first */
#define GCARENA_ROW_OFFSET_ESCAPE	0xffff	/* word1 is the first page */
#define GCARENA_ROW_IN_USE		(1ULL << 32)
#define GCARENA_ROW_LARGE		(1ULL << 33) /* one object, or manual */

/* word1 of a span's first page; on other pages of a large span, the index of
 * that first page; on other pages of a small span, zero.
 */
#define GCARENA_ROW_STATE_SHIFT		0	/* 4 bits: GCARENA_STATE_* */
#define GCARENA_ROW_NPAGES_SHIFT	4	/* 28 bits */
#define GCARENA_ROW_GENERATION_SHIFT	32	/* 32 bits */
#define GCARENA_ROW_STATE_MASK		0xfULL
#define GCARENA_ROW_NPAGES_MASK		0xfffffffULL

enum gcarena_state {
	GCARENA_STATE_FREE	= 0,
	GCARENA_STATE_READY	= 1,	/* cached by one CPU */
	GCARENA_STATE_HELD	= 2,	/* the owner's, at a generation */
	GCARENA_STATE_SWEPT	= 3,	/* in a central list, or full */
	GCARENA_STATE_UNSWEPT	= 4,	/* of an older generation */
	GCARENA_STATE_SWEEPING	= 5,
	GCARENA_STATE_MANUAL	= 6,	/* the owner's until returned */
	GCARENA_STATE_TRANSIT	= 7	/* being backed */
};

/*
 * Class table.  A span class is its index.  npages is 0 exactly for classes
 * with GCARENA_CLASS_LARGE or GCARENA_CLASS_MANUAL, whose length is given with
 * each refill and whose elem_size is 0.
 */
#define GCARENA_CLASS_LARGE	0x1	/* a span is one object */
#define GCARENA_CLASS_MANUAL	0x2	/* never swept, freed by return */
#define GCARENA_CLASS_FLAGS	0x3

struct gcarena_class {
	__u32 elem_size;	/* bytes, a multiple of the granule */
	__u16 npages;
	__u16 flags;
};

/* What the arena does by itself.  Zero means "no such limit or goal". */
struct gcarena_policy {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 limit_bytes;	/* refill fails rather than take in-use over it */
	__u64 retain_bytes;	/* the worker keeps so much backed, at least what
				 * is in use; ~0 keeps everything
				 */
	__u32 reserve_chunks;	/* backed ahead of demand, at most; .._RESERVE */
	__u32 watermark_high;	/* per cent of limit_bytes, 0: the default; */
	__u32 watermark_max;	/* .._PRESSURE */
	__u32 watermark_low;
	__s32 node;		/* preferred node + 1, 0 = the caller's; .._NUMA */
	__u32 reserved;
	__u64 reserved2[2];
};

/* Watermarks that are 0, if there is a limit; low < high <= max <= 100. */
#define GCARENA_WATERMARK_HIGH		85
#define GCARENA_WATERMARK_MAX		92
#define GCARENA_WATERMARK_LOW		75

/* Bits of gcarena_features.features. */
#define GCARENA_FEATURE_RESERVE		(1ULL << 0)
#define GCARENA_FEATURE_SHRINKER	(1ULL << 1)
#define GCARENA_FEATURE_PERCPU		(1ULL << 2)
#define GCARENA_FEATURE_PRESSURE	(1ULL << 3)
#define GCARENA_FEATURE_NUMA		(1ULL << 4)
#define GCARENA_FEATURE_RESIDENCY	(1ULL << 5)
#define GCARENA_FEATURE_COLLAPSE	(1ULL << 6)
#define GCARENA_FEATURE_STICKY		(1ULL << 7)
#define GCARENA_FEATURE_INSIDE		(1ULL << 8)

struct gcarena_features {
	__u32 size;
	__u32 flags;		/* in: 0 */
	__u64 features;		/* out: GCARENA_FEATURE_* */
	__u64 heap_size_max;	/* out: bytes */
	__u32 classes_max;	/* out */
	__u32 batch_max;	/* out */
	__u32 setup_size;	/* out: sizes of the structures known */
	__u32 policy_size;
	__u32 refill_size;
	__u32 stats_size;
	__u32 status_size;
	__u32 reserved;
};

struct gcarena_setup {
	__u32 size;
	__u32 flags;		/* in: 0 */
	__u64 heap_size;	/* in: bytes, a multiple of the chunk */
	__u64 classes;		/* in: address of struct gcarena_class[] */
	__u32 nr_classes;	/* in */
	__u32 class_size;	/* in: sizeof(struct gcarena_class) */
	__u64 policy;		/* in: address of struct gcarena_policy, or 0 */
	/* out */
	__u64 spans_offset;
	__u64 spans_size;
	__u64 bitmaps_offset;	/* bitmap[0], then bitmap[1] at +bitmap_size */
	__u64 bitmap_size;	/* of one */
	__u64 status_offset;
	__u64 status_size;	/* of the mapping */
	__u32 id;		/* the arena's name in debugfs */
	__u32 reserved;
};

/* One span, in either direction. */
#define GCARENA_SPAN_NEEDS_ZERO	0x1	/* out: free slots may hold old data */
#define GCARENA_SPAN_SMALL	0x2	/* out: not (all) on huge pages */
#define GCARENA_SPAN_KEEP	0x4	/* in: stays held, its mark lines ready */

struct gcarena_span {
	__u32 page;		/* index of the first page */
	__u32 npages;
	__u16 span_class;
	__u16 flags;
	__u32 generation;	/* at which it is held */
};

/*
 * Refill: hand over the spans in @spent (returned or kept, in order, up to the
 * first bad one), then fill @ready with up to @nr_ready spans of @span_class.
 */
struct gcarena_refill {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 spent;		/* in: address of struct gcarena_span[] */
	__u64 ready;		/* out: address of struct gcarena_span[] */
	__u32 nr_spent;		/* in: entries; out: entries taken */
	__u32 nr_ready;		/* in: room; out: entries filled */
	__u32 npages;		/* in: for large and manual classes, else 0 */
	__u16 span_class;	/* in */
	__u16 reserved;
	__s32 node;		/* in: preferred node + 1; 0 = the caller's */
	__u32 reserved2;
};

struct gcarena_return {
	__u32 size;
	__u32 flags;		/* 0 */
	__u64 spent;		/* in: address of struct gcarena_span[] */
	__u32 nr_spent;		/* in: entries; out: entries taken */
	__u32 reserved;
};

/* Start: the sweep leaves in the mark lines what is alive, instead of clearing them;
 * .._STICKY
 */
#define GCARENA_SWEEP_STICKY	0x1

struct gcarena_sweep {
	__u32 size;
	__u32 flags;		/* start: GCARENA_SWEEP_STICKY; assist: 0 */
	__u32 generation;	/* start: in, the one expected; out, the new one.
				 * assist: out
				 */
	__u32 nr_spans;		/* assist: in, at most so many; out, swept */
	__u64 left;		/* out: spans still of an older generation */
};

#define GCARENA_SCAVENGE_ALL	0x1	/* all that is free, broken chunks too */
#define GCARENA_SCAVENGE_INSIDE	0x2	/* with .._ALL: and inside spans; .._INSIDE */

struct gcarena_scavenge {
	__u32 size;
	__u32 flags;		/* GCARENA_SCAVENGE_*; with .._ALL bytes = 0 */
	__u64 bytes;		/* in: how much to release; out: released */
};

#define GCARENA_POLICY_SET	0x1	/* else: read it */

struct gcarena_policy_call {
	__u32 size;
	__u32 flags;		/* GCARENA_POLICY_SET */
	__u64 policy;		/* address of struct gcarena_policy */
};

#define GCARENA_RESIDENCY_PAGES	(1U << 17) /* looked at in one call: 1 GiB */

/*
 * States of residency.  A page of base pages that differ is swapped if any of
 * it is; else small if any has memory; else released.
 */
enum gcarena_residency_state {
	GCARENA_RES_RELEASED	= 0,
	GCARENA_RES_SMALL	= 1,
	GCARENA_RES_HUGE	= 2,
	GCARENA_RES_SWAPPED	= 3
};

struct gcarena_run {
	__u32 page;
	__u32 npages;
	__u32 state;		/* GCARENA_RES_* */
	__u32 in_use;		/* 1: of spans, 0: free */
};

struct gcarena_residency {
	__u32 size;
	__u32 flags;		/* 0 */
	__u32 page;		/* in: where to begin; out: where to go on */
	__u32 npages;		/* in: how far; out: what is left */
	__u64 runs;		/* address of struct gcarena_run[] */
	__u32 nr_runs;		/* in: room, at least 1; out: entries filled */
	__u32 reserved;
};

#define GCARENA_COLLAPSE_MAX	64	/* chunks in one call */
#define GCARENA_COLLAPSE_BEGIN	0x1	/* before, else after, MADV_COLLAPSE */

struct gcarena_collapse {
	__u32 size;
	__u32 flags;		/* GCARENA_COLLAPSE_BEGIN */
	__u64 chunks;		/* in: address of __u32[], indices of chunks */
	__u32 nr_chunks;	/* in */
	__u32 nr_huge;		/* out: of them, on a huge page since this call */
};

/*
 * Counters.  Bytes unless they say otherwise, with Go's meanings:
 * heap_sys == heap_inuse + heap_idle, heap_released <= heap_idle,
 * heap_holes <= heap_inuse, and heap_sys - heap_released - heap_holes is what is
 * backed.
 */
struct gcarena_counters {
	__u64 heap_sys;		/* address space taken into use so far */
	__u64 heap_inuse;	/* in spans that are not free */
	__u64 heap_idle;	/* in free pages */
	__u64 heap_released;	/* of heap_idle: not backed */
	__u64 heap_manual;	/* of heap_inuse: in manual spans */
	__u64 meta_sys;		/* the arena's own memory, tables included */
	__u64 spans_inuse;	/* spans */
	__u64 spans_held;	/* of spans_inuse: held by the owner */
	__u64 chunks_backed;	/* chunks with any backing */
	__u64 chunks_small;	/* of those: not on a huge page */
	__u64 chunks_idle;	/* of those: wholly free */
	__u64 swept_spans;	/* since set-up, as all that follow */
	__u64 swept_freed;	/* spans that sweeping freed */
	__u64 refill_calls;
	__u64 refill_spans;
	__u64 refill_central;	/* spans from central lists */
	__u64 refill_swept;	/* spans swept by refill itself */
	__u64 refill_fresh;	/* spans from the page heap */
	__u64 refill_backed;	/* chunks backed in a caller's context */
	__u64 refill_failed;	/* refills that ended in -ENOMEM */
	__u64 back_small;	/* backings that did not get a huge page */
	__u64 returned_spans;
	__u64 scavenged_bytes;
	__u64 scavenge_broken;	/* chunks broken by a release inside them */
	__u64 worker_ns;	/* CPU time of the worker */
	__u64 worker_wakeups;
	__u64 cycles;		/* sweeps started */
	__u64 shrink_calls;	/* idle chunks that reclaim took up */
	__u64 shrink_bytes;	/* that came free there */
	__u64 scavenge_kept;	/* asked to go, but in somebody's hands */
	__u64 scavenge_inside;	/* of scavenged_bytes: inside spans */
	__u64 heap_holes;	/* now, of heap_inuse: not backed, inside spans */
	__u64 collapsed;	/* broken chunks that are on a huge page again */
	__u64 collapse_failed;	/* chunks that were to be and are not */
	__u64 reserve_backed;	/* chunks that the worker backed ahead */
	__u64 reserve_taken;	/* of those, taken by a refill */
	__u64 reserve_released;	/* of those, given back before one came */
	__u64 reserve_failed;	/* attempts: no room, or no huge page at hand */
	__u64 reserve_backoffs;	/* times it stopped trying for a while */
	__u64 pressure_events;	/* of beginning episodes */
	__u64 heap_ready;	/* of heap_inuse: ready in per-CPU caches */
	__u64 spans_ready;	/* spans there */
	__u64 refill_ready;	/* spans handed out from there, since set-up */
	__u64 refill_hits;	/* refills that needed nothing else */
	__u64 ready_drained;	/* spans that left unused */
	__u64 chunks_withheld;	/* chunks of which nothing is given out: in somebody's hands */
	__u64 refill_remote;	/* spans not of the node that was preferred */
};

struct gcarena_stats {
	__u32 size;
	__u32 flags;		/* in: 0 */
	__u64 sequence;		/* event sequence; reading it re-arms poll */
	__u32 generation;
	__u32 sweeping;		/* 1 from start to completion of a sweep */
	__u64 sweep_left;
	struct gcarena_counters counters;
};

/* Levels of pressure: FULL past watermark_max, SOME for the other causes. */
enum gcarena_pressure {
	GCARENA_PRESSURE_NONE	= 0,
	GCARENA_PRESSURE_SOME	= 1,
	GCARENA_PRESSURE_FULL	= 2
};

/* What causes it; each has episodes of its own, each begins with one event. */
#define GCARENA_PRESSURE_RECLAIM	0x1	/* somebody wants memory */
#define GCARENA_PRESSURE_HIGH		0x2	/* in use past watermark_high */
#define GCARENA_PRESSURE_MAX		0x4	/* in use past watermark_max */

#define GCARENA_STATUS_COLLAPSE	GCARENA_COLLAPSE_MAX

/*
 * Status page, read without a system call.  Fields before counters are single
 * words and may be read at any time.  A consistent copy of counters: read
 * update (acquire, even), copy, read update again; equal means consistent.
 */
struct gcarena_status {
	__u32 size;		/* bytes of this structure that are valid */
	__u32 update;		/* odd while counters are being written */
	__u64 sequence;		/* event sequence */
	__u32 generation;
	__u32 sweeping;
	__u64 sweep_left;
	__u32 pressure;		/* GCARENA_PRESSURE_* */
	__u32 nr_collapse;	/* valid entries of collapse[] */
	__u64 pressure_sequence; /* sequence at the last event of pressure */
	__u64 reserve_chunks;	/* backed ahead, waiting for a refill */
	__u64 pressure_causes;	/* GCARENA_PRESSURE_RECLAIM, .. */
	__u64 reserved[3];
	struct gcarena_counters counters;
	__u32 collapse[GCARENA_STATUS_COLLAPSE]; /* chunks worth collapsing */
};

/* Sizes of the structures as first published: nobody has shorter ones. */
#define GCARENA_FEATURES_SIZE_VER0	56
#define GCARENA_SETUP_SIZE_VER0		96
#define GCARENA_POLICY_SIZE_VER0	64
#define GCARENA_REFILL_SIZE_VER0	48
#define GCARENA_RETURN_SIZE_VER0	24
#define GCARENA_SWEEP_SIZE_VER0		24
#define GCARENA_SCAVENGE_SIZE_VER0	16
#define GCARENA_POLICY_CALL_SIZE_VER0	16
#define GCARENA_RESIDENCY_SIZE_VER0	32
#define GCARENA_COLLAPSE_SIZE_VER0	24
#define GCARENA_STATS_SIZE_VER0		264

#define GCARENA_IOC_MAGIC	'G'
#define GCARENA_IOC_FEATURES	_IOWR('G', 0x80, struct gcarena_features)
#define GCARENA_IOC_SETUP	_IOWR('G', 0x81, struct gcarena_setup)
#define GCARENA_IOC_REFILL	_IOWR('G', 0x82, struct gcarena_refill)
#define GCARENA_IOC_RETURN	_IOWR('G', 0x83, struct gcarena_return)
#define GCARENA_IOC_START_SWEEP	_IOWR('G', 0x84, struct gcarena_sweep)
#define GCARENA_IOC_SWEEP_ASSIST _IOWR('G', 0x85, struct gcarena_sweep)
#define GCARENA_IOC_SCAVENGE	_IOWR('G', 0x86, struct gcarena_scavenge)
#define GCARENA_IOC_POLICY	_IOWR('G', 0x87, struct gcarena_policy_call)
#define GCARENA_IOC_RESIDENCY	_IOWR('G', 0x88, struct gcarena_residency)
#define GCARENA_IOC_STATS	_IOWR('G', 0x89, struct gcarena_stats)
#define GCARENA_IOC_COLLAPSE	_IOWR('G', 0x8a, struct gcarena_collapse)

#endif /* _UAPI_LINUX_GCARENA_H */
