// SPDX-License-Identifier: MIT
/*
 * What the endpoint says of a heap, as text: "name: value" lines for statistics, and
 * the files of the module's debugfs of the same names for what is in the heap.
 *
 * The same figures as gca_memstats() and its kin give the program itself, under the
 * same names.  Documentation/observability.rst lists them.  Lines may be added; none
 * changes its meaning.  Nothing here waits for a mutator.
 */
#include "internal.h"
#include "endpoint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define RESIDENT_INTERVAL_NS	NSEC_PER_SEC

static void put(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "%s: %" PRIu64 "\n", name, value);
}

/* What the command line calls it. */
static void put_process(FILE *out)
{
	char name[32] = "";
	FILE *comm = fopen("/proc/self/comm", "re");

	if (comm) {
		if (!fgets(name, sizeof(name), comm))
			name[0] = 0;
		fclose(comm);
		name[strcspn(name, "\n")] = 0;
	}
	put(out, "pid", (uint64_t)getpid());
	fprintf(out, "comm: %s\n", name);
}

static void put_memstats(const struct gca_memstats *stats, FILE *out)
{
	uint32_t i;

#define PUT(field)	put(out, #field, stats->field)
	PUT(generation);
	PUT(sequence);
	PUT(alloc);
	PUT(total_alloc);
	PUT(sys);
	PUT(mallocs);
	PUT(frees);
	PUT(heap_alloc);
	PUT(heap_sys);
	PUT(heap_idle);
	PUT(heap_inuse);
	PUT(heap_released);
	PUT(heap_objects);
	PUT(mspan_inuse);
	PUT(mspan_sys);
	PUT(gc_sys);
	PUT(next_gc);
	PUT(last_gc);
	PUT(pause_total_ns);
	PUT(num_gc);
	PUT(num_forced_gc);
#undef PUT
	fprintf(out, "gc_cpu_fraction: %.9f\n", stats->gc_cpu_fraction);
	for (i = 0; i < stats->nr_sizes; i++)
		if (stats->by_size[i].mallocs)
			fprintf(out, "by_size_%u: %" PRIu64 " %" PRIu64 "\n",
				stats->by_size[i].size, stats->by_size[i].mallocs,
				stats->by_size[i].frees);
}

static void put_stops(FILE *out, const char *name, const struct gca_stops *stops)
{
	unsigned int i;

	fprintf(out, "%s: %" PRIu64 " %" PRIu64 " %" PRIu64, name, stops->count, stops->total_ns,
		stops->max_ns);
	for (i = 0; i < GCA_STOP_BUCKETS; i++)
		fprintf(out, " %" PRIu64, stops->buckets[i]);
	fputc('\n', out);
}

static void put_gcstats(const struct gca_gcstats *stats, FILE *out)
{
	char name[32];
	unsigned int i;

	put_stops(out, "pauses", &stats->pauses);
	for (i = 0; i < GCA_STOP_CAUSES; i++) {
		snprintf(name, sizeof(name), "stops_%s", gca_stop_name(i));
		put_stops(out, name, &stats->stops[i]);
	}
	fputs("pause_ns:", out);
	for (i = 0; i < stats->nr_pauses; i++)
		fprintf(out, " %" PRIu64, stats->pause_ns[i]);
	fputs("\npause_end:", out);
	for (i = 0; i < stats->nr_pauses; i++)
		fprintf(out, " %" PRIu64, stats->pause_end[i]);
	fputc('\n', out);
}

static void put_account(struct gca_heap *heap, FILE *out)
{
	struct gca_account account = { .size = sizeof(account) };

	/* While a cycle holds the mutators still there is none to be had. */
	if (!account_try_all(heap, &account))
		return;
#define PUT(field)	put(out, "account_" #field, account.field)
	PUT(wall_ns);
	PUT(running_ns);
	PUT(blocked_ns);
	PUT(unscheduled_ns);
	PUT(assist_ns);
	PUT(stall_ns);
	PUT(gate_ns);
	PUT(handshake_ns);
	PUT(refill_ns);
#undef PUT
}

/* What only the arena knows, of the same moment as the rest if the tag is the same. */
static void put_arena(const struct gca_heap *heap, FILE *out)
{
	const struct gcarena_status *status = heap->status;
	struct gcarena_counters counters = { 0 };
	uint32_t update, generation;
	uint64_t partial, idle;

	stats_arena(heap, &counters, &update, &generation);
	idle = counters.chunks_idle << GCARENA_CHUNK_SHIFT;
	partial = counters.heap_idle - counters.heap_released;
	partial = partial > idle ? partial - idle : 0;
	put(out, "arena_sequence", update);
	put(out, "partial_idle_bytes", partial);
	put(out, "heap_manual", counters.heap_manual);
	put(out, "spans_inuse", counters.spans_inuse);
	put(out, "chunks_backed", counters.chunks_backed);
	put(out, "chunks_small", counters.chunks_small);
	put(out, "chunks_idle", counters.chunks_idle);
	put(out, "scavenged_bytes", counters.scavenged_bytes);
	put(out, "shrink_bytes", counters.shrink_bytes);
	put(out, "refill_calls", counters.refill_calls);
	put(out, "refill_failed", counters.refill_failed);
	put(out, "refill_backed", counters.refill_backed);
	put(out, "worker_ns", counters.worker_ns);
	put(out, "pressure_events", counters.pressure_events);
	put(out, "pressure", __atomic_load_n(&status->pressure, __ATOMIC_RELAXED));
	put(out, "pressure_causes", __atomic_load_n(&status->pressure_causes, __ATOMIC_RELAXED));
	put(out, "reserve_chunks", __atomic_load_n(&status->reserve_chunks, __ATOMIC_RELAXED));
}

/* Adds up what the kernel says of the heap's mappings; false: it says nothing. */
static bool read_resident(struct gca_heap *heap)
{
	uint64_t resident = 0, huge = 0, kib;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	unsigned long start, end;
	bool ours = false;
	char line[512];

	if (!smaps)
		return false;
	while (fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = heap_has(heap, start);
		else if (ours && sscanf(line, "Rss: %" SCNu64, &kib) == 1)
			resident += kib;
		else if (ours && sscanf(line, "AnonHugePages: %" SCNu64, &kib) == 1)
			huge += kib;
	}
	fclose(smaps);
	heap->resident_bytes = resident * KIB;
	heap->resident_huge_bytes = huge * KIB;
	return true;
}

/*
 * The kernel walks the page tables for it: not for who asks all the time.  On the device the
 * arena knows what it backed, and not all of that need be mapped.
 */
static void put_resident(struct gca_heap *heap, FILE *out)
{
	uint64_t now = now_ns();

	if (heap->backend_kind != GCA_BACKEND_PROCESS)
		return;
	/* What has nothing is soon looked at, and soon has something. */
	if (!heap->resident_bytes || now - heap->resident_ns >= RESIDENT_INTERVAL_NS) {
		if (!read_resident(heap))
			return;
		heap->resident_ns = now;
	}
	put(out, "resident_bytes", heap->resident_bytes);
	put(out, "resident_huge_bytes", heap->resident_huge_bytes);
}

/**
 * endpoint_stats - all figures of a heap
 * @heap: the heap
 * @args: none
 * @out: where they go
 *
 * Return: 0 or a negative errno.
 */
int endpoint_stats(struct gca_heap *heap, const char *args, FILE *out)
{
	struct gca_memstats mem = { .size = sizeof(mem) };
	struct gca_gcstats gc = { .size = sizeof(gc) };
	int error;

	error = gca_memstats(heap, &mem);
	if (!error)
		error = gca_gcstats(heap, &gc);
	if (error)
		return error;
	put(out, "heap", heap->number);
	put_process(out);
	fprintf(out, "backend: %s\n", heap->ops->name);
	put(out, "arena", heap->arena);
	put(out, "uptime_ns", now_ns() - heap->open_ns);
	put(out, "mutators", __atomic_load_n(&heap->nr_mutators, __ATOMIC_RELAXED));
	put(out, "heap_live", __atomic_load_n(&heap->heap_live, __ATOMIC_RELAXED));
	put(out, "limit", __atomic_load_n(&heap->pacer.limit, __ATOMIC_RELAXED));
	put(out, "failed_allocs", __atomic_load_n(&heap->failed_allocs, __ATOMIC_RELAXED));
	put(out, "minor_gc", __atomic_load_n(&heap->generations.minors, __ATOMIC_RELAXED));
	put(out, "old_bytes", __atomic_load_n(&heap->generations.old_bytes, __ATOMIC_RELAXED));
	put(out, "cards_scanned",
	    __atomic_load_n(&heap->generations.cards_ever, __ATOMIC_RELAXED));
	put(out, "gc_cpu_ns", __atomic_load_n(&heap->work.cpu_ns, __ATOMIC_RELAXED));
	put(out, "gc_idle_ns", __atomic_load_n(&heap->work.idle_ns, __ATOMIC_RELAXED));
	put(out, "assist_ns", __atomic_load_n(&heap->assist_ns, __ATOMIC_RELAXED));
	put(out, "assists", __atomic_load_n(&heap->assists, __ATOMIC_RELAXED));
	put(out, "stalls", __atomic_load_n(&heap->stalls, __ATOMIC_RELAXED));
	put(out, "stall_ns", __atomic_load_n(&heap->stall_ns, __ATOMIC_RELAXED));
	put_memstats(&mem, out);
	put_gcstats(&gc, out);
	put_account(heap, out);
	put_arena(heap, out);
	put_resident(heap, out);
	return 0;
}

static void put_spans(const struct gca_heap *heap, FILE *out)
{
	uint32_t used = heap_pages_used(heap), page = 0;
	struct span span;

	fputs("page npages class elem\n", out);
	while (page < used) {
		if (!span_at(heap, page, &span) || !span.npages) {
			page++;
			continue;
		}
		fprintf(out, "%u %u %u %u\n", span.page, span.npages, span.span_class,
			span_classes[span.span_class].elem);
		page = span.page + span.npages;
	}
}

/**
 * endpoint_map - the heap's chunks and spans, as in debugfs
 * @heap: the heap
 * @args: none
 * @out: where they go
 *
 * Return: 0 or a negative errno.
 */
int endpoint_map(struct gca_heap *heap, const char *args, FILE *out)
{
	uint32_t chunks = (heap_pages_used(heap) + GCARENA_CHUNK_PAGES - 1) / GCARENA_CHUNK_PAGES;
	char map[GCARENA_CHUNK_PAGES + 1] = "";
	uint32_t chunk;
	int error;

	fputs("chunk map\n", out);
	for (chunk = 0; chunk < chunks; chunk++) {
		error = heap->ops->chunk_map(heap, chunk, map);
		if (error)
			return error_set(error, "map: %s", strerror(-error));
		fprintf(out, "%u %s\n", chunk, map);
	}
	put_spans(heap, out);
	return 0;
}

/**
 * endpoint_check - validate the arena's tables
 * @heap: the heap
 * @args: none
 * @out: "ok", or "damaged" and a line for each thing that is wrong
 *
 * Return: 0 or a negative errno.
 */
int endpoint_check(struct gca_heap *heap, const char *args, FILE *out)
{
	FILE *complaints;
	char *text = NULL;
	size_t length = 0;
	int error;

	if (!heap->ops->validate)
		return error_set(-EOPNOTSUPP, "arena %u is the kernel's, which root asks for it",
				 heap->arena);
	complaints = open_memstream(&text, &length);
	if (!complaints)
		return error_set(-ENOMEM, "no memory to check heap %u with", heap->number);
	error = heap->ops->validate(heap, complaints);
	fclose(complaints);
	/* What is wrong is the answer, not that there is none. */
	fputs(error ? "damaged\n" : "ok\n", out);
	if (error)
		fwrite(text, 1, length, out);
	free(text);
	return 0;
}

/**
 * endpoint_collect - have a cycle run, or ask whether one is over
 * @heap: the heap
 * @args: none, for a new one; or its number
 * @out: "cycle: " and its number, "over: " and 0 or 1
 *
 * Nobody waits here: who wants to asks again.  A heap that stops the world has no thread to
 * collect: the next of the program's that allocates, some KiB of small objects or a large
 * one, runs the cycle.
 *
 * Return: 0 or a negative errno with gca_error() set.
 */
int endpoint_collect(struct gca_heap *heap, const char *args, FILE *out)
{
	bool stops = heap->mode == GCA_MODE_STOP_THE_WORLD;
	uint64_t cycle = strtoull(args, NULL, 10);

	if (cycle) {
		put(out, "over", stops ? cycle_over(heap, cycle) : concurrent_over(heap, cycle));
		return 0;
	}
	cycle = stops ? cycle_ask(heap) : concurrent_ask(heap);
	if (!cycle)
		return error_set(-EAGAIN, "heap %u has no thread to collect", heap->number);
	put(out, "cycle", cycle);
	return 0;
}
