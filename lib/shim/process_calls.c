// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The process host's calls: what /dev/gcarena's ioctls do, without a kernel.
 *
 * Checks in the device's order, on copies of the caller's structures, so that a
 * program sees the same errno from both.  No lock is held here; what only the
 * core can judge it judges.
 */
#include "process_internal.h"

/* No structure is longer: the same bound as the device has. */
#define STRUCT_SIZE_MAX		4096
#define NS_PER_MS		1000000

/**
 * process_take_in - a structure whose first field is its size
 * @to: where it goes, missing fields zero
 * @known: sizeof(*@to)
 * @min_size: as first published
 * @from: the caller's
 *
 * Return: 0, -EFAULT for NULL, -EINVAL, or -E2BIG for a longer one with more
 * than zeros in what is not known here.
 */
int process_take_in(void *to, u32 known, u32 min_size, const void *from)
{
	const u8 *bytes = from;
	u32 size, i;

	if (!from)
		return -EFAULT;
	if ((uintptr_t)from % sizeof(u32))
		return -EINVAL;
	size = *(const u32 *)from;
	if (size < min_size)
		return -EINVAL;
	if (size > STRUCT_SIZE_MAX)
		return -E2BIG;
	for (i = known; i < size; i++)
		if (bytes[i])
			return -E2BIG;
	memset(to, 0, known);
	memcpy(to, from, min(size, known));
	return 0;
}

/* @to's size stays its own. */
static void give_out(void *to, const void *from, u32 known)
{
	u32 size = *(u32 *)to;

	memcpy(to, from, min(size, known));
	*(u32 *)to = size;
}

/* The caller's list, so that nobody changes it under the core. */
static int spans_in(struct gcarena_span *to, u64 from, u32 nr)
{
	if (nr > GCARENA_BATCH_MAX || from % sizeof(u32))
		return -EINVAL;
	if (nr && !from)
		return -EFAULT;
	if (nr)
		memcpy(to, process_address(from), nr * sizeof(*to));
	return 0;
}

/**
 * gca_process_refill - GCARENA_IOC_REFILL
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_refill(struct gca_process *process, struct gcarena_refill *args)
{
	struct gcarena_span spent[GCARENA_BATCH_MAX], ready[GCARENA_BATCH_MAX];
	struct process *p = process_of(process);
	struct gcarena_refill call;
	enum gca_level level;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_REFILL_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags || call.reserved || call.reserved2 || call.ready % sizeof(u32))
		return -EINVAL;
	if (process_forked(p))
		return -EIO;
	if (call.nr_ready > GCARENA_BATCH_MAX)
		return -EINVAL;
	if (call.nr_ready && !call.ready)
		return -EFAULT;
	err = spans_in(spent, call.spent, call.nr_spent);
	if (err)
		return err;

	err = gca_core_refill_slot(process->core, GCA_SLOT_NONE, &call, spent, ready, &level);
	if (level >= GCA_LEVELS)
		return err;
	if (err)
		call.nr_ready = 0;
	if (call.nr_ready)
		memcpy(process_address(call.ready), ready, call.nr_ready * sizeof(*ready));
	give_out(args, &call, sizeof(call));
	process_tend_worker(p);
	return err;
}

/**
 * gca_process_return - GCARENA_IOC_RETURN
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_return(struct gca_process *process, struct gcarena_return *args)
{
	struct gcarena_span spent[GCARENA_BATCH_MAX];
	struct process *p = process_of(process);
	struct gcarena_return call;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_RETURN_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags || call.reserved)
		return -EINVAL;
	if (process_forked(p))
		return -EIO;
	err = spans_in(spent, call.spent, call.nr_spent);
	if (err)
		return err;

	err = gca_core_return(process->core, spent, call.nr_spent, &call.nr_spent);
	give_out(args, &call, sizeof(call));
	process_tend_worker(p);
	return err;
}

static int sweep_call(struct gca_process *process, struct gcarena_sweep *args, u32 flags,
		      int (*core_call)(struct gca_core *core, struct gcarena_sweep *args))
{
	struct process *p = process_of(process);
	struct gcarena_sweep call;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_SWEEP_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags & ~flags)
		return -EINVAL;
	if (process_forked(p))
		return -EIO;
	err = core_call(process->core, &call);
	if (!err)
		give_out(args, &call, sizeof(call));
	process_tend_worker(p);
	return err;
}

/**
 * gca_process_start_sweep - GCARENA_IOC_START_SWEEP
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_start_sweep(struct gca_process *process, struct gcarena_sweep *args)
{
	return sweep_call(process, args, GCARENA_SWEEP_STICKY, gca_core_start_sweep);
}

/**
 * gca_process_sweep_assist - GCARENA_IOC_SWEEP_ASSIST
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_sweep_assist(struct gca_process *process, struct gcarena_sweep *args)
{
	return sweep_call(process, args, 0, gca_core_sweep_assist);
}

/**
 * gca_process_scavenge - GCARENA_IOC_SCAVENGE
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_scavenge(struct gca_process *process, struct gcarena_scavenge *args)
{
	struct gcarena_scavenge call;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_SCAVENGE_SIZE_VER0, args);
	if (err)
		return err;
	if (gca_core_check_scavenge(&call))
		return -EINVAL;
	if (process_forked(process_of(process)))
		return -EIO;
	err = gca_core_scavenge(process->core, &call);
	if (!err)
		give_out(args, &call, sizeof(call));
	return err;
}

/**
 * gca_process_collapse - GCARENA_IOC_COLLAPSE, and what comes before it
 * @process: the arena
 * @args: as there, without GCARENA_COLLAPSE_BEGIN; each is collapsed first
 *
 * Return: as there.
 */
int gca_process_collapse(struct gca_process *process, struct gcarena_collapse *args)
{
	struct gcarena_collapse call;
	const u32 *chunks;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_COLLAPSE_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags || call.chunks % sizeof(*chunks) || call.nr_chunks > GCARENA_COLLAPSE_MAX)
		return -EINVAL;
	if (process_forked(process_of(process)))
		return -EIO;
	chunks = process_address(call.chunks);
	if (!chunks && call.nr_chunks)
		return -EFAULT;
	err = gca_core_collapse(process->core, chunks, call.nr_chunks, &call.nr_huge);
	if (!err)
		give_out(args, &call, sizeof(call));
	return err;
}

/**
 * gca_process_policy - GCARENA_IOC_POLICY
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_policy(struct gca_process *process, struct gcarena_policy_call *args)
{
	struct gcarena_policy policy = {};
	struct process *p = process_of(process);
	struct gcarena_policy_call call;
	void *out;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_POLICY_CALL_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags & ~GCARENA_POLICY_SET)
		return -EINVAL;
	if (process_forked(p))
		return -EIO;
	if (call.flags & GCARENA_POLICY_SET) {
		err = process_take_in(&policy, sizeof(policy), GCARENA_POLICY_SIZE_VER0,
				      process_address(call.policy));
		if (!err)
			err = gca_core_set_policy(process->core, &policy);
		process_tend_worker(p);
		return err;
	}
	out = process_address(call.policy);
	err = process_take_in(&policy, sizeof(policy), GCARENA_POLICY_SIZE_VER0, out);
	if (err)
		return err;
	gca_core_get_policy(process->core, &policy);
	give_out(out, &policy, sizeof(policy));
	return 0;
}

/**
 * gca_process_stats - GCARENA_IOC_STATS
 * @process: the arena
 * @args: as there
 *
 * Return: as there.
 */
int gca_process_stats(struct gca_process *process, struct gcarena_stats *args)
{
	struct gcarena_stats call;
	int err;

	err = process_take_in(&call, sizeof(call), GCARENA_STATS_SIZE_VER0, args);
	if (err)
		return err;
	if (call.flags)
		return -EINVAL;
	if (process_forked(process_of(process)))
		return -EIO;
	gca_core_stats(process->core, &call);
	give_out(args, &call, sizeof(call));
	return 0;
}

static bool map_bit(const u64 *bits, u32 page)
{
	return bits[page / 64] >> (page % 64) & 1;
}

/**
 * gca_process_chunk_map - the state of each page of a chunk
 * @process: the arena
 * @chunk: its index
 * @map: GCARENA_CHUNK_PAGES letters
 */
void gca_process_chunk_map(struct gca_process *process, u32 chunk, char *map)
{
	struct gca_chunk_info info;
	u32 page;

	if (!gca_core_next_chunk(process->core, chunk, &info) || info.chunk != chunk) {
		memset(map, '.', GCARENA_CHUNK_PAGES);
		return;
	}
	for (page = 0; page < GCARENA_CHUNK_PAGES; page++) {
		if (!map_bit(info.free, page) && map_bit(info.holes, 2 * page) &&
		    map_bit(info.holes, 2 * page + 1))
			map[page] = '-';
		else if (!map_bit(info.free, page))
			map[page] = info.small ? 'S' : 'H';
		else if (map_bit(info.released, page))
			map[page] = '.';
		else
			map[page] = info.small ? 's' : 'h';
	}
}

/**
 * gca_process_validate - recompute the core's structures and compare
 * @process: the arena
 * @complaints: for a line of each thing that is wrong
 *
 * Return: 0, or -EUCLEAN.
 */
int gca_process_validate(struct gca_process *process, FILE *complaints)
{
	int error;

	gca_complaints = complaints;
	error = gca_core_validate(process->core);
	gca_complaints = NULL;
	return error;
}

/**
 * gca_process_wait_sweep - wait until no sweep is in progress
 * @process: the arena
 * @timeout_ms: how long at most; 0 only looks, -1 waits for ever
 *
 * Without a worker the caller sweeps what nobody holds.
 *
 * Return: 0, -ETIMEDOUT or -EIO.
 */
int gca_process_wait_sweep(struct gca_process *process, int timeout_ms)
{
	UNCANCELLED();
	struct process *p = process_of(process);
	u64 until = process_clock_ns(CLOCK_MONOTONIC) + (u64)max(timeout_ms, 0) * NS_PER_MS;
	struct gcarena_sweep all = { .size = sizeof(all), .nr_spans = U32_MAX };
	int err = 0;

	if (process_forked(p))
		return -EIO;
	if (READ_ONCE(p->refused) && timeout_ms)
		gca_core_sweep_assist(process->core, &all);
	pthread_mutex_lock(&p->lock);
	if (p->wanted)
		pthread_cond_signal(&p->work);
	while (gca_core_sweeping(process->core) && !err) {
		u64 now = process_clock_ns(CLOCK_MONOTONIC);

		if (timeout_ms < 0)
			pthread_cond_wait(&p->swept, &p->lock);
		else if (now >= until)
			err = -ETIMEDOUT;
		else
			process_wait_ns(&p->swept, &p->lock, until - now);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}
