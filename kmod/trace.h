/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Tracepoints of gcarena, for tracefs, trace-cmd, perf and bpftrace.
 *
 * Read by <trace/define_trace.h> several times; trace.c instantiates them.
 * Fields are numbers that mean the same to every reader (arena id, page index,
 * bytes): never an address.  Some are emitted with the core lock held, so
 * nothing here may sleep or call back.  TP_printk() takes fields as they are:
 * tools outside the kernel parse it, and know no min() or the like.
 * Documentation/tracepoints.rst explains each event and field.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM gcarena

#if !defined(GCARENA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GCARENA_TRACE_H

#include <linux/tracepoint.h>

#include <linux/gcarena.h>
#include "core/core.h"

TRACE_DEFINE_ENUM(GCA_LEVEL_READY);
TRACE_DEFINE_ENUM(GCA_LEVEL_CENTRAL);
TRACE_DEFINE_ENUM(GCA_LEVEL_SWEEP);
TRACE_DEFINE_ENUM(GCA_LEVEL_FRESH);
TRACE_DEFINE_ENUM(GCA_LEVEL_BACK);

TRACE_EVENT(gcarena_refill,
	TP_PROTO(u32 arena, const struct gcarena_refill *args, u32 wanted, int level, int err),

	TP_ARGS(arena, args, wanted, level, err),

	TP_STRUCT__entry(
		__field(u32, arena)
		__field(u32, span_class)
		__field(u32, npages)
		__field(u32, spent)
		__field(u32, wanted)
		__field(u32, ready)
		__field(int, level)
		__field(int, err)
	),

	TP_fast_assign(
		__entry->arena = arena;
		__entry->span_class = args->span_class;
		__entry->npages = args->npages;
		__entry->spent = args->nr_spent;
		__entry->wanted = wanted;
		__entry->ready = args->nr_ready;
		__entry->level = level;
		__entry->err = err;
	),

	TP_printk("arena=%u class=%u npages=%u spent=%u wanted=%u ready=%u level=%s err=%d",
		  __entry->arena, __entry->span_class, __entry->npages, __entry->spent,
		  __entry->wanted, __entry->ready,
		  __print_symbolic(__entry->level,
				   { GCA_LEVEL_READY, "ready" },
				   { GCA_LEVEL_CENTRAL, "central" },
				   { GCA_LEVEL_SWEEP, "sweep" },
				   { GCA_LEVEL_FRESH, "fresh" },
				   { GCA_LEVEL_BACK, "back" }),
		  __entry->err)
);

TRACE_EVENT(gcarena_back,
	TP_PROTO(u32 arena, u32 page, u32 npages, int result),

	TP_ARGS(arena, page, npages, result),

	TP_STRUCT__entry(
		__field(u32, arena)
		__field(u32, page)
		__field(u32, npages)
		__field(int, huge)
		__field(int, err)
	),

	TP_fast_assign(
		__entry->arena = arena;
		__entry->page = page;
		__entry->npages = npages;
		__entry->huge = !result;
		__entry->err = result < 0 ? result : 0;
	),

	TP_printk("arena=%u page=%u npages=%u huge=%d err=%d", __entry->arena, __entry->page,
		  __entry->npages, __entry->huge, __entry->err)
);

/* Memory that went back to the system: on whose behalf says the event's name. */
DECLARE_EVENT_CLASS(gcarena_released,
	TP_PROTO(u32 arena, u32 page, u32 npages, u64 bytes),

	TP_ARGS(arena, page, npages, bytes),

	TP_STRUCT__entry(
		__field(u64, bytes)
		__field(u32, arena)
		__field(u32, page)
		__field(u32, npages)
	),

	TP_fast_assign(
		__entry->bytes = bytes;
		__entry->arena = arena;
		__entry->page = page;
		__entry->npages = npages;
	),

	TP_printk("arena=%u page=%u npages=%u bytes=%llu", __entry->arena, __entry->page,
		  __entry->npages, __entry->bytes)
);

DEFINE_EVENT(gcarena_released, gcarena_scavenge,
	TP_PROTO(u32 arena, u32 page, u32 npages, u64 bytes),
	TP_ARGS(arena, page, npages, bytes)
);

DEFINE_EVENT(gcarena_released, gcarena_shrink,
	TP_PROTO(u32 arena, u32 page, u32 npages, u64 bytes),
	TP_ARGS(arena, page, npages, bytes)
);

TRACE_EVENT(gcarena_sweep_begin,
	TP_PROTO(u32 arena, u32 generation, u64 left),

	TP_ARGS(arena, generation, left),

	TP_STRUCT__entry(
		__field(u64, left)
		__field(u32, arena)
		__field(u32, generation)
	),

	TP_fast_assign(
		__entry->left = left;
		__entry->arena = arena;
		__entry->generation = generation;
	),

	TP_printk("arena=%u generation=%u left=%llu", __entry->arena, __entry->generation,
		  __entry->left)
);

TRACE_EVENT(gcarena_sweep_end,
	TP_PROTO(u32 arena, u32 generation, u64 swept, u64 freed, u64 ns),

	TP_ARGS(arena, generation, swept, freed, ns),

	TP_STRUCT__entry(
		__field(u64, swept)
		__field(u64, freed)
		__field(u64, ns)
		__field(u32, arena)
		__field(u32, generation)
	),

	TP_fast_assign(
		__entry->swept = swept;
		__entry->freed = freed;
		__entry->ns = ns;
		__entry->arena = arena;
		__entry->generation = generation;
	),

	TP_printk("arena=%u generation=%u swept=%llu freed=%llu ns=%llu", __entry->arena,
		  __entry->generation, __entry->swept, __entry->freed, __entry->ns)
);

TRACE_EVENT(gcarena_pressure,
	TP_PROTO(u32 arena, const struct gcarena_status *status),

	TP_ARGS(arena, status),

	TP_STRUCT__entry(
		__field(u64, sequence)
		__field(u64, inuse)
		__field(u32, arena)
		__field(u32, level)
		__field(u32, causes)
	),

	TP_fast_assign(
		__entry->sequence = status->pressure_sequence;
		__entry->inuse = status->counters.heap_inuse;
		__entry->arena = arena;
		__entry->level = status->pressure;
		__entry->causes = status->pressure_causes;
	),

	TP_printk("arena=%u level=%u causes=%u sequence=%llu inuse=%llu", __entry->arena,
		  __entry->level, __entry->causes, __entry->sequence, __entry->inuse)
);

TRACE_EVENT(gcarena_cycle,
	TP_PROTO(u32 arena, u32 generation, const struct gcarena_counters *counters),

	TP_ARGS(arena, generation, counters),

	TP_STRUCT__entry(
		__field(u64, inuse)
		__field(u64, idle)
		__field(u64, released)
		__field(u64, spans)
		__field(u32, arena)
		__field(u32, generation)
	),

	TP_fast_assign(
		__entry->inuse = counters->heap_inuse;
		__entry->idle = counters->heap_idle;
		__entry->released = counters->heap_released;
		__entry->spans = counters->spans_inuse;
		__entry->arena = arena;
		__entry->generation = generation;
	),

	TP_printk("arena=%u generation=%u inuse=%llu idle=%llu released=%llu spans=%llu",
		  __entry->arena, __entry->generation, __entry->inuse, __entry->idle,
		  __entry->released, __entry->spans)
);

#endif /* GCARENA_TRACE_H */

/* Outside the guard: this file is read again, and by another path. */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
