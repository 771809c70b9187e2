// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The core's entry points: creation, refill and return, the worker's step,
 * policy and statistics.
 *
 * Each takes the core lock, does its work in pieces, publishes the counters and
 * drops the lock.  Arguments are the host's copies, never memory that a user
 * can still write to.  Bad input is refused before anything changes, but for
 * lists of spans, which are taken up to the first bad one.
 */
#include "core_internal.h"

/**
 * gca_core_check_classes - is this a class table
 * @classes: the table
 * @nr: its length
 *
 * Return: 0 or -EINVAL.
 */
int gca_core_check_classes(const struct gcarena_class *classes, u32 nr)
{
	u32 i;

	if (!nr || nr > GCARENA_CLASSES_MAX)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		const struct gcarena_class *cls = &classes[i];

		if (cls->flags & ~GCARENA_CLASS_FLAGS || cls->flags == GCARENA_CLASS_FLAGS)
			return -EINVAL;
		if (cls->flags) {
			if (cls->npages || cls->elem_size)
				return -EINVAL;
			continue;
		}
		if (!cls->npages || cls->npages > GCARENA_SPAN_PAGES_MAX)
			return -EINVAL;
		if (!cls->elem_size || cls->elem_size % GCARENA_GRANULE_SIZE ||
		    cls->elem_size > gca_page_bytes(cls->npages))
			return -EINVAL;
	}
	return 0;
}

/**
 * gca_core_check_policy - is this a policy that the core can keep
 * @policy: the policy; its size field is the host's to check
 *
 * Return: 0, or -EINVAL for unknown flags, reserved fields, watermarks in the
 * wrong order, and what can be no node.
 */
int gca_core_check_policy(const struct gcarena_policy *policy)
{
	u32 high = policy->watermark_high ? policy->watermark_high : GCARENA_WATERMARK_HIGH;
	u32 max = policy->watermark_max ? policy->watermark_max : GCARENA_WATERMARK_MAX;
	u32 low = policy->watermark_low ? policy->watermark_low : GCARENA_WATERMARK_LOW;

	if (policy->flags || policy->reserved || policy->reserved2[0] || policy->reserved2[1])
		return -EINVAL;
	if (low >= high || high > max || max > GCA_PERCENT)
		return -EINVAL;
	return policy->node < 0 ? -EINVAL : 0;
}

/* As the uapi has it: 0 for none, else the node + 1. */
static bool node_valid(const struct gca_host_ops *ops, void *host, int node)
{
	if (node <= 0)
		return !node;
	return ops->node_valid ? ops->node_valid(host, node - 1) : node == 1;
}

/**
 * gca_core_node - the node that a chunk was backed on
 * @core: the arena, no lock held
 * @chunk: index
 *
 * Return: the node, or GCA_NODE_ANY if the host cannot tell.
 */
int gca_core_node(struct gca_core *core, u32 chunk)
{
	return core->ops->node ? core->ops->node(core->host, chunk) : 0;
}

/* Which node a refill prefers: the call's, the policy's, the caller's. */
static int node_wanted(struct gca_core *core, const struct gcarena_refill *args)
{
	int node = args->node ? args->node : READ_ONCE(core->policy_node);

	if (node)
		return node - 1;
	return core->ops->caller_node ? core->ops->caller_node(core->host) : GCA_NODE_ANY;
}

/* And one that its host can keep. */
static int check_policy_of(const struct gca_host_ops *ops, void *host,
			   const struct gcarena_policy *policy)
{
	int err = gca_core_check_policy(policy);

	if (!err && !node_valid(ops, host, policy->node))
		err = -EINVAL;
	if (!err && policy->reserve_chunks && !ops->back_ahead)
		err = -EOPNOTSUPP;
	return err;
}

static void *meta_alloc(struct gca_core *core, size_t size)
{
	void *mem = core->ops->meta_alloc(core->host, size);

	if (mem)
		core->counters.meta_sys += size;
	return mem;
}

static void meta_free(struct gca_core *core, void *mem, size_t size)
{
	if (mem)
		core->ops->meta_free(core->host, mem, size);
}

static size_t chunk_map_size(const struct gca_core *core)
{
	return GCA_MAP_WORDS(core->nr_chunks) * sizeof(u64);
}

static size_t class_map_size(const struct gca_core *core)
{
	return GCA_MAP_WORDS(core->nr_classes) * sizeof(u64);
}

static size_t leaves_size(const struct gca_core *core)
{
	return DIV_ROUND_UP(core->nr_chunks, GCA_LEAF_CHUNKS) * sizeof(*core->leaves);
}

static void core_free(struct gca_core *core)
{
	const struct gca_host_ops *ops = core->ops;
	void *host = core->host;

	if (core->leaves)
		gca_chunks_free(core);
	gca_slots_free(core);
	meta_free(core, core->leaves, leaves_size(core));
	meta_free(core, core->map_idle, chunk_map_size(core));
	meta_free(core, core->map_empty, chunk_map_size(core));
	meta_free(core, core->class_map[0], class_map_size(core));
	meta_free(core, core->class_map[1], class_map_size(core));
	meta_free(core, core->classes, core->nr_classes * sizeof(*core->classes));
	ops->meta_free(host, core, sizeof(*core));
}

static void class_init(struct gca_class *cls, const struct gcarena_class *from)
{
	cls->elem_size = from->elem_size;
	cls->npages = from->npages;
	cls->flags = from->flags;
	cls->capacity = cls->flags ? 1 : gca_page_bytes(cls->npages) / cls->elem_size;
	cls->partial[0] = GCA_NONE;
	cls->partial[1] = GCA_NONE;
	cls->full[0] = GCA_NONE;
	cls->full[1] = GCA_NONE;
}

/**
 * gca_core_lock_init - initialise a core lock
 * @lock: of a core, or one to tell the host's lock checker about core locks
 */
void gca_core_lock_init(gca_lock_t *lock)
{
	gca_lock_init(lock);
}

/**
 * gca_core_create - set an arena's core up
 * @ops: the host's operations, which outlive the core
 * @host: their argument
 * @heap_size: bytes of address space, a multiple of the chunk
 * @classes: the class table; copied
 * @nr_classes: its length
 * @policy: the policy, or NULL for none
 * @out: where the core goes
 *
 * The status page is valid after it.
 *
 * Return: 0, -EINVAL, -EOPNOTSUPP or -ENOMEM.
 */
int gca_core_create(const struct gca_host_ops *ops, void *host, u64 heap_size,
		    const struct gcarena_class *classes, u32 nr_classes,
		    const struct gcarena_policy *policy, struct gca_core **out)
{
	struct gca_core *core;
	int err = 0;
	u32 i;

	if (heap_size < GCARENA_HEAP_SIZE_MIN || heap_size > GCARENA_HEAP_SIZE_MAX ||
	    heap_size % GCARENA_CHUNK_SIZE)
		return -EINVAL;
	if (gca_core_check_classes(classes, nr_classes))
		return -EINVAL;
	if (policy)
		err = check_policy_of(ops, host, policy);
	if (err)
		return err;

	core = ops->meta_alloc(host, sizeof(*core));
	if (!core)
		return -ENOMEM;
	core->ops = ops;
	core->host = host;
	core->nr_pages = heap_size >> GCARENA_PAGE_SHIFT;
	core->nr_chunks = heap_size >> GCARENA_CHUNK_SHIFT;
	core->nr_classes = nr_classes;
	core->counters.meta_sys = sizeof(*core);
	core->low_idle = core->nr_chunks;
	core->reserve.node = GCA_NODE_ANY;
	gca_core_lock_init(&core->lock);

	core->leaves = meta_alloc(core, leaves_size(core));
	core->map_idle = meta_alloc(core, chunk_map_size(core));
	core->map_empty = meta_alloc(core, chunk_map_size(core));
	core->class_map[0] = meta_alloc(core, class_map_size(core));
	core->class_map[1] = meta_alloc(core, class_map_size(core));
	core->classes = meta_alloc(core, nr_classes * sizeof(*core->classes));
	if (!core->leaves || !core->map_idle || !core->map_empty || !core->class_map[0] ||
	    !core->class_map[1] || !core->classes) {
		core_free(core);
		return -ENOMEM;
	}
	gca_map_set(core->map_empty, 0, core->nr_chunks);
	for (i = 0; i < nr_classes; i++)
		class_init(&core->classes[i], &classes[i]);
	if (policy)
		core->policy = *policy;
	core->policy.size = sizeof(core->policy);
	core->policy_node = core->policy.node;

	gca_lock(&core->lock);
	gca_pressure_policy(core);
	gca_publish(core);
	gca_unlock(&core->lock);
	*out = core;
	return 0;
}

/**
 * gca_core_destroy - free the core's own memory
 * @core: the arena; nobody uses it any more
 *
 * The heap and the tables are the host's to drop.
 */
void gca_core_destroy(struct gca_core *core)
{
	core_free(core);
}

/**
 * gca_publish - bring the status page up to date
 * @core: the arena, lock held
 */
void gca_publish(struct gca_core *core)
{
	struct gcarena_status *status = gca_host_status(core->host);
	const u64 *from = (const u64 *)&core->counters;
	u64 *to = (u64 *)&status->counters;
	const unsigned int nr = sizeof(core->counters) / sizeof(*from);
	bool pressed;
	unsigned int i;

	static_assert(sizeof(core->counters) % sizeof(*from) == 0);
	gca_lock_assert_held(&core->lock);
	pressed = gca_pressure_check(core);
	WRITE_ONCE(status->update, ++core->status_update);
	/* Odd before any of what follows; pairs with the reader's acquires. */
	smp_wmb();
	WRITE_ONCE(status->size, sizeof(*status));
	WRITE_ONCE(status->sequence, core->sequence);
	WRITE_ONCE(status->generation, core->generation);
	WRITE_ONCE(status->sweeping, core->sweeping);
	WRITE_ONCE(status->sweep_left, core->sweep_left);
	WRITE_ONCE(status->pressure, gca_pressure_level(core));
	WRITE_ONCE(status->pressure_causes, core->pressure.causes);
	WRITE_ONCE(status->pressure_sequence, core->pressure.sequence);
	WRITE_ONCE(status->reserve_chunks, core->reserve.nr);
	for (i = 0; i + 1 < nr; i += 2) {
		WRITE_ONCE(to[i], from[i]);
		WRITE_ONCE(to[i + 1], from[i + 1]);
	}
	if (i < nr)
		WRITE_ONCE(to[i], from[i]);
	/* Even after all of it; pairs with the reader's first load of update. */
	smp_store_release(&status->update, ++core->status_update);
	if (pressed && core->ops->pressure)
		core->ops->pressure(core->host);
}

/**
 * gca_worker_wake - there is work for gca_core_work()
 * @core: the arena, lock held
 */
void gca_worker_wake(struct gca_core *core)
{
	if (core->worker_awake)
		return;
	core->worker_awake = true;
	core->counters.worker_wakeups++;
	core->ops->wake_worker(core->host);
}

/* Take spans back in order.  Stops at the first bad one. */
static int give_back_all(struct gca_core *core, const struct gcarena_span *spent, u32 nr,
			 u32 *taken) __must_hold(&core->lock)
{
	int err = 0;

	for (*taken = 0; *taken < nr && !err; *taken += !err)
		err = gca_span_give_back(core, &spent[*taken]);
	return err;
}

/*
 * Before a refill fails: take what lies ready for others, sweep all there is, or
 * wait for who is sweeping, or backing a chunk ahead of demand that is there now.
 * 0 to try again.
 */
static int last_resort(struct gca_core *core) __must_hold(&core->lock)
{
	u32 swept;

	if (gca_slots_drain(core)) {
		core->stock_rest = GCA_STOCK_REST;
		return 0;
	}
	swept = gca_sweep_some(core, U32_MAX);

	core->counters.refill_swept += swept;
	if (swept)
		return 0;
	/* Or what is left to sweep is in spans of which a part is being released. */
	if (core->nr_sweeping || core->reserve.backing ||
	    gca_central_unswept_class(core, 0) != GCA_NONE)
		return gca_transit_wait(core);
	return -ENOMEM;
}

static void deepen(enum gca_level *level, enum gca_level to)
{
	if (*level < to)
		*level = to;
}

static void note_node(struct gca_core *core, u32 page, int node)
{
	if (node != GCA_NODE_ANY && gca_chunk_at(core, gca_page_chunk(page))->node != node)
		core->counters.refill_remote++;
}

static int fill(struct gca_core *core, u32 slot, struct gcarena_refill *args, u32 npages,
		int node, struct gcarena_span *ready,
		enum gca_level *level) __must_hold(&core->lock)
{
	bool manual = gca_class_manual(&core->classes[args->span_class]);
	u32 budget = GCA_REFILL_SWEEP_OWN;
	u32 want = args->nr_ready;
	bool paced = false;
	bool whole = false;
	int err = 0;

	args->nr_ready = want ? gca_slot_take(core, slot, args->span_class, want, node, ready) :
				0;
	while (args->nr_ready < want) {
		struct gcarena_span *span = &ready[args->nr_ready];
		enum gca_took took;
		u32 swept, more;

		if (!manual) {
			u32 page = gca_central_pop_partial(core, args->span_class, node, whole);

			if (page != GCA_NONE && gca_span_holed(core, page)) {
				/* It is back in its list then, and the next to be had. */
				err = gca_span_fill(core, page, node);
				deepen(level, GCA_LEVEL_BACK);
				if (err == -EINTR)
					break;
				/* Without memory: what needs none. */
				whole = err;
				continue;
			}
			if (page != GCA_NONE) {
				deepen(level, GCA_LEVEL_CENTRAL);
				gca_span_hold(core, page, GCARENA_SPAN_NEEDS_ZERO, span);
				note_node(core, page, node);
				core->counters.refill_central++;
				core->counters.refill_spans++;
				args->nr_ready++;
				continue;
			}
			took = budget ? gca_span_sweep_hold(core, args->span_class, span) :
					GCA_TOOK_NONE;
			if (took != GCA_TOOK_NONE) {
				deepen(level, GCA_LEVEL_SWEEP);
				core->counters.refill_swept++;
				budget--;
			}
			if (took == GCA_TOOK_SPAN) {
				note_node(core, span->page, node);
				core->counters.refill_central++;
				core->counters.refill_spans++;
				args->nr_ready++;
				budget = GCA_REFILL_SWEEP_OWN;
			}
			if (took != GCA_TOOK_NONE)
				continue;
		}
		/*
		 * Other classes' garbage before growth, also when the worker
		 * gets no CPU.
		 */
		if (!paced) {
			paced = true;
			swept = gca_sweep_some(core, GCA_REFILL_SWEEP);
			core->counters.refill_swept += swept;
			if (swept) {
				deepen(level, GCA_LEVEL_SWEEP);
				continue;
			}
		}
		err = gca_span_fresh(core, args->span_class, npages, node, span);
		if (err >= 0) {
			deepen(level, err ? GCA_LEVEL_BACK : GCA_LEVEL_FRESH);
			note_node(core, span->page, node);
			/* With garbage left, each of them is paid for by sweeping. */
			more = core->sweeping ? 0 :
						gca_span_more(core, span, want - args->nr_ready - 1);
			core->counters.refill_fresh += 1 + more;
			core->counters.refill_spans += 1 + more;
			args->nr_ready += 1 + more;
			budget = GCA_REFILL_SWEEP_OWN;
			paced = false;
			continue;
		}
		if (args->nr_ready)
			break;
		if (err == -ENOMEM)
			err = last_resort(core);
		if (err)
			break;
		deepen(level, GCA_LEVEL_SWEEP);
	}
	core->classes[args->span_class].taken += args->nr_ready;
	if (args->nr_ready)
		return 0;
	if (err == -ENOMEM)
		core->counters.refill_failed++;
	return err;
}

static int refill_check(struct gca_core *core, const struct gcarena_refill *args)
{
	if (args->flags || args->reserved || args->reserved2)
		return -EINVAL;
	if (!node_valid(core->ops, core->host, args->node))
		return -EINVAL;
	if (args->nr_spent > GCARENA_BATCH_MAX || args->nr_ready > GCARENA_BATCH_MAX)
		return -EINVAL;
	if (args->span_class >= core->nr_classes)
		return -EINVAL;
	/* The length is the class's or the caller's, never both or neither. */
	if (!core->classes[args->span_class].npages == !args->npages)
		return -EINVAL;
	return 0;
}

/**
 * gca_core_refill_slot - exchange spent spans for ready ones
 * @core: the arena
 * @slot: whose ready spans may be used, and which is stocked; or GCA_SLOT_NONE
 * @args: as in the uapi; nr_spent and nr_ready are set to what was done, also
 *	when an error is returned
 * @spent: args->nr_spent entries
 * @ready: room for args->nr_ready entries
 * @level: how deep it had to go, or had before an error; GCA_LEVELS for bad
 *	arguments
 *
 * Return: 0, also for a part of the batch; -EINVAL for bad arguments or a bad
 * spent entry; -ENOMEM for not one span; or another
 * errno of the host.
 */
int gca_core_refill_slot(struct gca_core *core, u32 slot, struct gcarena_refill *args,
			 const struct gcarena_span *spent, struct gcarena_span *ready,
			 enum gca_level *level)
{
	u32 npages;
	int node;
	int err = refill_check(core, args);

	*level = err ? GCA_LEVELS : GCA_LEVEL_READY;

	if (err) {
		args->nr_spent = 0;
		args->nr_ready = 0;
		return err;
	}
	args->span_class = gca_nospec(args->span_class, core->nr_classes);
	npages = core->classes[args->span_class].npages;
	if (!npages) {
		npages = args->npages;
		slot = GCA_SLOT_NONE;
	}
	/* What lies ready is of nobody's wishes. */
	if (args->node)
		slot = GCA_SLOT_NONE;
	node = node_wanted(core, args);
	gca_slot_prepare(core, slot);

	gca_lock(&core->lock);
	core->counters.refill_calls++;
	err = give_back_all(core, spent, args->nr_spent, &args->nr_spent);
	if (err)
		args->nr_ready = 0;
	else
		err = fill(core, slot, args, npages, node, ready, level);
	if (!err && args->nr_ready)
		gca_slot_stock(core, slot, args->span_class);
	gca_publish(core);
	gca_unlock(&core->lock);
	return err;
}

/**
 * gca_core_refill - gca_core_refill_slot() without a slot
 * @core: the arena
 * @args: as there
 * @spent: as there
 * @ready: as there
 *
 * Return: as there.
 */
int gca_core_refill(struct gca_core *core, struct gcarena_refill *args,
		    const struct gcarena_span *spent, struct gcarena_span *ready)
{
	enum gca_level level;

	return gca_core_refill_slot(core, GCA_SLOT_NONE, args, spent, ready, &level);
}

/**
 * gca_core_return - take spans back
 * @core: the arena
 * @spent: the spans, returned or kept
 * @nr_spent: how many
 * @taken: how many were taken
 *
 * Return: 0, or -EINVAL at the first bad one.
 */
int gca_core_return(struct gca_core *core, const struct gcarena_span *spent, u32 nr_spent,
		    u32 *taken)
{
	int err;

	*taken = 0;
	if (nr_spent > GCARENA_BATCH_MAX)
		return -EINVAL;
	gca_lock(&core->lock);
	err = give_back_all(core, spent, nr_spent, taken);
	gca_publish(core);
	gca_unlock(&core->lock);
	return err;
}

/**
 * gca_core_set_policy - change what the arena does by itself
 * @core: the arena
 * @policy: the new policy
 *
 * Return: 0, -EINVAL or -EOPNOTSUPP.
 */
int gca_core_set_policy(struct gca_core *core, const struct gcarena_policy *policy)
{
	int err = check_policy_of(core->ops, core->host, policy);

	if (err)
		return err;
	gca_lock(&core->lock);
	core->policy = *policy;
	core->policy.size = sizeof(core->policy);
	WRITE_ONCE(core->policy_node, policy->node);
	gca_pressure_policy(core);
	gca_reserve_policy(core);
	gca_scavenge_wake(core);
	gca_publish(core);
	gca_unlock(&core->lock);
	return 0;
}

/**
 * gca_core_get_policy - what the arena does by itself
 * @core: the arena
 * @policy: where it goes
 */
void gca_core_get_policy(struct gca_core *core, struct gcarena_policy *policy)
{
	gca_lock(&core->lock);
	*policy = core->policy;
	gca_unlock(&core->lock);
}

/**
 * gca_core_stats - counters and the state of sweeping
 * @core: the arena
 * @stats: filled, but for size and flags
 */
void gca_core_stats(struct gca_core *core, struct gcarena_stats *stats)
{
	gca_core_snapshot(core, stats);
}

/**
 * gca_core_snapshot - the same, and which state of the status page it is
 * @core: the arena
 * @stats: what is filled in
 *
 * Return: the status page's update: as long as it is that, its counters are these.
 */
u32 gca_core_snapshot(struct gca_core *core, struct gcarena_stats *stats)
{
	struct gcarena_counters before;
	u32 update;

	gca_lock(&core->lock);
	before = core->counters;
	gca_slots_fold(core);
	if (memcmp(&before, &core->counters, sizeof(before)))
		gca_publish(core);
	update = core->status_update;
	stats->sequence = core->sequence;
	stats->generation = core->generation;
	stats->sweeping = core->sweeping;
	stats->sweep_left = core->sweep_left;
	stats->counters = core->counters;
	gca_unlock(&core->lock);
	return update;
}

/**
 * gca_core_add_worker_time - account CPU time of the worker
 * @core: the arena
 * @ns: since the last call
 */
void gca_core_add_worker_time(struct gca_core *core, u64 ns)
{
	gca_lock(&core->lock);
	core->counters.worker_ns += ns;
	gca_publish(core);
	gca_unlock(&core->lock);
}

/**
 * gca_core_transit_sequence - what transit_wait() compares
 * @core: the arena
 *
 * Return: a value that differs after anything in transit came to its end.
 */
u32 gca_core_transit_sequence(struct gca_core *core)
{
	return READ_ONCE(core->transit_sequence);
}

/**
 * gca_core_work - one bounded piece of the worker's work
 * @core: the arena
 *
 * Stocks a slot after a flip, sweeps some spans and backs a chunk ahead, if one is
 * lacking: each has somebody waiting, and none is to wait for another's end.  With
 * nothing of that to do it sweeps some of what it had left to refills, or releases
 * one chunk: of what is above the retain goal, or of the reserve.
 *
 * Return: what the caller should do next.
 */
enum gca_work gca_core_work(struct gca_core *core)
{
	enum gca_work work = GCA_WORK_IDLE;
	bool backed;

	gca_lock(&core->lock);
	backed = gca_reserve_step(core);
	if (gca_slots_stock_ahead(core) || gca_sweep_idle(core, GCA_WORK_SPANS, false) || backed)
		work = GCA_WORK_MORE;
	else if (gca_sweep_some(core, GCA_WORK_SPANS) || gca_scavenge_retain(core) ||
		 gca_scavenge_reserve(core))
		work = GCA_WORK_PACED;
	else
		core->worker_awake = false;
	gca_publish(core);
	gca_unlock(&core->lock);
	return work;
}
