// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Sweeping: the flip of the generation, and its completion.
 *
 * The flip makes the mark bitmap the alloc bitmap of every span at once and
 * every span one of an older generation.  A span is swept when somebody has
 * counted its bits since: a refill of its class, an assist, the worker; or its
 * holder has returned or kept it.  The sweep is complete when none is left,
 * and no other starts before.  Sweeping never touches a span that is held.
 */
#include "core_internal.h"

/**
 * gca_sweep_check_done - complete the sweep if no span is left
 * @core: the arena, lock held
 */
void gca_sweep_check_done(struct gca_core *core)
{
	gca_lock_assert_held(&core->lock);
	if (!core->sweeping || core->sweep_left)
		return;
	gca_pages_put_end(core);
	WRITE_ONCE(core->sweeping, false);
	core->sequence++;
	gca_collapse_name(core);
	gca_publish(core);
	core->ops->sweep_done(core->host);
}

/**
 * gca_sweep_one - sweep one span of a class
 * @core: the arena, lock held; dropped meanwhile
 * @span_class: of which class
 * @wanted: it is to be handed out, also if it is empty
 *
 * Return: false if there was none.
 */
bool gca_sweep_one(struct gca_core *core, u16 span_class, bool wanted)
{
	u32 page = gca_central_pop_unswept(core, span_class);

	if (page == GCA_NONE)
		return false;
	gca_record_at(core, page)->state = GCARENA_STATE_SWEEPING;
	core->nr_sweeping++;
	gca_span_settle(core, page, wanted && !gca_class_large(&core->classes[span_class]));
	return true;
}

/**
 * gca_sweep_idle - sweep spans of any class that refills do not want lately
 * @core: the arena, lock held; dropped meanwhile
 * @nr: how many at most
 * @wanted: also of the others
 *
 * Return: how many were swept; less than @nr means none is left to take.
 */
u32 gca_sweep_idle(struct gca_core *core, u32 nr, bool wanted)
{
	u32 span_class;
	u32 done = 0;

	for (span_class = gca_central_unswept_class(core, 0);
	     done < nr && span_class != GCA_NONE;) {
		gca_pages_put_begin(core);
		if ((!wanted && core->classes[span_class].taken_before >= GCA_SWEEP_LEAVE) ||
		    !gca_sweep_one(core, span_class, false)) {
			/* None is left, or a part of each is being released. */
			span_class = gca_central_unswept_class(core, span_class + 1);
			continue;
		}
		done++;
		if (done % GCA_WORK_SPANS == 0) {
			gca_pages_put_end(core);
			gca_unlock(&core->lock);
			gca_relax();
			gca_lock(&core->lock);
		}
	}
	gca_pages_put_end(core);
	return done;
}

/**
 * gca_sweep_some - sweep spans of any class
 * @core: the arena, lock held; dropped meanwhile
 * @nr: how many at most
 *
 * Return: how many were swept; less than @nr means none is left to take.
 */
u32 gca_sweep_some(struct gca_core *core, u32 nr)
{
	return gca_sweep_idle(core, nr, true);
}

/**
 * gca_core_start_sweep - flip the generation
 * @core: the arena
 * @args: in: the generation expected; out: the new one, and what is left
 *
 * Return: 0, -EINVAL for another generation than the current, -EBUSY while a
 * sweep is going on.
 */
int gca_core_start_sweep(struct gca_core *core, struct gcarena_sweep *args)
{
	int err = 0;
	u32 i;

	if (args->flags & ~GCARENA_SWEEP_STICKY)
		return -EINVAL;
	gca_lock(&core->lock);
	if (args->generation != core->generation) {
		err = -EINVAL;
		goto out;
	}
	if (core->sweeping) {
		err = -EBUSY;
		goto out;
	}
	GCA_ASSERT(gca_central_unswept_class(core, 0) == GCA_NONE);
	/* What lies ready is of the generation that ends, and to be swept. */
	gca_slots_drain(core);
	gca_withheld_check(core, GCA_WITHHELD_SOME);
	core->stock_next = 0;
	core->generation++;
	for (i = 0; i < core->nr_classes; i++) {
		core->classes[i].taken_before = core->classes[i].taken;
		core->classes[i].taken = 0;
	}
	core->sticky = args->flags & GCARENA_SWEEP_STICKY;
	core->counters.cycles++;
	core->sweep_left = core->nr_listed + core->counters.spans_held + core->nr_returning;
	WRITE_ONCE(core->sweeping, true);
	args->generation = core->generation;
	args->left = core->sweep_left;
	if (core->nr_listed) {
		/* Even if it is awake: it may be resting from scavenging. */
		core->worker_awake = false;
		gca_worker_wake(core);
	}
	gca_publish(core);
	if (core->ops->sweep_started)
		core->ops->sweep_started(core->host);
	gca_sweep_check_done(core);
out:
	gca_unlock(&core->lock);
	return err;
}

/**
 * gca_core_sweep_assist - sweep in the caller's context
 * @core: the arena
 * @args: in: how many spans at most; out: how many were swept, generation, left
 *
 * Return: 0 or -EINVAL.
 */
int gca_core_sweep_assist(struct gca_core *core, struct gcarena_sweep *args)
{
	if (args->flags)
		return -EINVAL;
	gca_lock(&core->lock);
	args->nr_spans = gca_sweep_some(core, args->nr_spans);
	args->generation = core->generation;
	args->left = core->sweep_left;
	gca_publish(core);
	gca_unlock(&core->lock);
	return 0;
}

/**
 * gca_core_sweeping - whether a sweep is in progress
 * @core: the arena
 *
 * Return: a snapshot, without the lock.
 */
bool gca_core_sweeping(struct gca_core *core)
{
	return READ_ONCE(core->sweeping);
}
