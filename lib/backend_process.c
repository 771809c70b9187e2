// SPDX-License-Identifier: MIT
/*
 * The process backend: the span core in this process, over lib/shim.
 *
 * The same structures and results as the device's.  This file only names the
 * process host's functions; it keeps no state of its own.
 */
#include "internal.h"
#include "process.h"

static void process_close(struct gca_heap *heap)
{
	gca_process_close(heap->backend);
	heap->backend = NULL;
	heap->base = 0;
}

static int process_refill(struct gca_heap *heap, struct gcarena_refill *args)
{
	return gca_process_refill(heap->backend, args);
}

static int process_give_back(struct gca_heap *heap, struct gcarena_return *args)
{
	return gca_process_return(heap->backend, args);
}

static int process_start_sweep(struct gca_heap *heap, struct gcarena_sweep *args)
{
	return gca_process_start_sweep(heap->backend, args);
}

static int process_sweep_assist(struct gca_heap *heap, struct gcarena_sweep *args)
{
	return gca_process_sweep_assist(heap->backend, args);
}

static int process_scavenge(struct gca_heap *heap, struct gcarena_scavenge *args)
{
	return gca_process_scavenge(heap->backend, args);
}

static int process_collapse(struct gca_heap *heap, struct gcarena_collapse *args)
{
	return gca_process_collapse(heap->backend, args);
}

static int process_set_policy(struct gca_heap *heap, const struct gcarena_policy *policy)
{
	struct gcarena_policy_call args = {
		.size = sizeof(args),
		.flags = GCARENA_POLICY_SET,
		.policy = (uintptr_t)policy,
	};

	return gca_process_policy(heap->backend, &args);
}

static int process_stats(struct gca_heap *heap, struct gcarena_stats *stats)
{
	stats->size = sizeof(*stats);
	stats->flags = 0;
	return gca_process_stats(heap->backend, stats);
}

static int process_wait_sweep(struct gca_heap *heap)
{
	return gca_process_wait_sweep(heap->backend, -1);
}

static int process_chunk_map(struct gca_heap *heap, uint32_t chunk,
			     char map[GCARENA_CHUNK_PAGES])
{
	gca_process_chunk_map(heap->backend, chunk, map);
	return 0;
}

static int process_validate(struct gca_heap *heap, FILE *complaints)
{
	return gca_process_validate(heap->backend, complaints);
}

static const struct backend_ops process_ops = {
	.name = "process",
	.close = process_close,
	.refill = process_refill,
	.give_back = process_give_back,
	.start_sweep = process_start_sweep,
	.sweep_assist = process_sweep_assist,
	.scavenge = process_scavenge,
	.set_policy = process_set_policy,
	.collapse = process_collapse,
	.stats = process_stats,
	.wait_sweep = process_wait_sweep,
	.chunk_map = process_chunk_map,
	.validate = process_validate,
};

/**
 * backend_process_open - set up an arena in this process for @heap
 * @heap: on success everything that a backend fills
 * @setup: size, classes and policy
 *
 * Return: 0, -EINVAL or -ENOMEM; gca_error() says more.
 */
int backend_process_open(struct gca_heap *heap, const struct gcarena_setup *setup)
{
	struct gca_process *process;
	int error = gca_process_open(setup, &process);

	if (error)
		return error_set(error, "set-up of %llu bytes in the process: %s",
				 (unsigned long long)setup->heap_size, strerror(-error));
	heap->base = (uintptr_t)process->heap;
	heap->rows = process->tables.spans;
	heap->bitmap[0] = (uint64_t *)process->tables.bitmap[0];
	heap->bitmap[1] = (uint64_t *)process->tables.bitmap[1];
	heap->status = process->tables.status;
	heap->backend = process;
	heap->ops = &process_ops;
	heap->has_sticky = true;
	heap->has_inside = true;
	heap->backend_kind = GCA_BACKEND_PROCESS;
	return 0;
}
