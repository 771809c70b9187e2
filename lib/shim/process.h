/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The process host: an arena in the process's own anonymous memory.
 *
 * The same calls as /dev/gcarena has, with the uapi's structures, checked as
 * the device checks them; each returns 0 or a negative errno.  Any thread may
 * call, but for gca_process_close(), which must be the last call.  In a child
 * after fork() the heap is not there and every call gives -EIO.
 */
#ifndef GCARENA_PROCESS_H
#define GCARENA_PROCESS_H

#include "core_host.h"

struct gca_core;

/**
 * struct gca_process - an arena; what the library may read of it
 * @tables: span table, bitmaps and status page, for the whole heap
 * @heap: where page 0 begins, aligned to the chunk
 * @heap_size: bytes
 * @core: for the tests' validator
 */
struct gca_process {
	struct gca_tables tables;
	void *heap;
	u64 heap_size;
	struct gca_core *core;
};

int gca_process_open(const struct gcarena_setup *setup, struct gca_process **out);
void gca_process_close(struct gca_process *process);

int gca_process_refill(struct gca_process *process, struct gcarena_refill *args);
int gca_process_return(struct gca_process *process, struct gcarena_return *args);
int gca_process_start_sweep(struct gca_process *process, struct gcarena_sweep *args);
int gca_process_sweep_assist(struct gca_process *process, struct gcarena_sweep *args);
int gca_process_scavenge(struct gca_process *process, struct gcarena_scavenge *args);
int gca_process_collapse(struct gca_process *process, struct gcarena_collapse *args);
int gca_process_policy(struct gca_process *process, struct gcarena_policy_call *args);
int gca_process_stats(struct gca_process *process, struct gcarena_stats *args);
/* A letter a page, as in "chunks" of debugfs, by what the core believes. */
void gca_process_chunk_map(struct gca_process *process, u32 chunk, char *map);
/* 0 or -EUCLEAN, the particulars on stderr. */
int gca_process_validate(struct gca_process *process, FILE *complaints);

/* poll() for the end of a sweep: milliseconds, -1 for ever.  -ETIMEDOUT. */
int gca_process_wait_sweep(struct gca_process *process, int timeout_ms);

#endif /* GCARENA_PROCESS_H */
