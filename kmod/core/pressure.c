// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Pressure: when the owner is told that memory runs short.
 *
 * Three causes, each with episodes of its own: somebody reclaims memory, bytes
 * in use reached watermark_high, or watermark_max.  An episode begins with one
 * event, which is a step of the arena's sequence; the level is that of the worst
 * cause going on.  Episodes of watermarks end when in use, less what lies ready in
 * the per-CPU caches, is back at watermark_low, that of reclaim when the host says so.
 *
 * Setting a policy is no event, whatever it is set to: an arena that is past a
 * watermark then is in its episode, without having been told.
 */
#include "core_internal.h"

#define WATERMARKS	(GCARENA_PRESSURE_HIGH | GCARENA_PRESSURE_MAX)

/* @percent of @bytes, which may be any number. */
static u64 part_of(u64 bytes, u32 percent, u32 otherwise)
{
	if (!percent)
		percent = otherwise;
	return bytes / GCA_PERCENT * percent + bytes % GCA_PERCENT * percent / GCA_PERCENT;
}

/* The watermarks' causes as they are now, given those that went on before. */
static u32 watermark_causes(const struct gca_core *core, u32 before)
{
	const struct gca_pressure *pressure = &core->pressure;
	u64 inuse = core->counters.heap_inuse;
	u32 causes = before & WATERMARKS;

	/* What lies ready on CPUs is nobody's yet: it keeps no episode going. */
	if (!core->policy.limit_bytes || inuse - core->counters.heap_ready <= pressure->low)
		return 0;
	if (inuse >= pressure->high)
		causes |= GCARENA_PRESSURE_HIGH;
	if (inuse >= pressure->max)
		causes |= GCARENA_PRESSURE_MAX;
	return causes;
}

static void set_watermarks(struct gca_core *core, u32 causes)
{
	core->pressure.causes = (core->pressure.causes & ~WATERMARKS) | causes;
}

static void note_event(struct gca_core *core)
{
	core->sequence++;
	core->pressure.sequence = core->sequence;
	core->counters.pressure_events++;
}

/**
 * gca_pressure_level - how bad it is
 * @core: the arena, lock held
 *
 * Return: GCARENA_PRESSURE_NONE, _SOME or _FULL.
 */
u32 gca_pressure_level(const struct gca_core *core)
{
	if (core->pressure.causes & GCARENA_PRESSURE_MAX)
		return GCARENA_PRESSURE_FULL;
	return core->pressure.causes ? GCARENA_PRESSURE_SOME : GCARENA_PRESSURE_NONE;
}

/**
 * gca_pressure_policy - the policy has changed
 * @core: the arena, lock held
 */
void gca_pressure_policy(struct gca_core *core)
{
	const struct gcarena_policy *policy = &core->policy;
	struct gca_pressure *pressure = &core->pressure;
	u64 limit = policy->limit_bytes;

	pressure->high = part_of(limit, policy->watermark_high, GCARENA_WATERMARK_HIGH);
	pressure->max = part_of(limit, policy->watermark_max, GCARENA_WATERMARK_MAX);
	pressure->low = part_of(limit, policy->watermark_low, GCARENA_WATERMARK_LOW);
	set_watermarks(core, watermark_causes(core, pressure->causes));
}

/**
 * gca_pressure_check - compare bytes in use with the watermarks
 * @core: the arena, lock held
 *
 * Return: true if an episode began, of either or both: the status page is to say
 * so, and then the owner.
 */
bool gca_pressure_check(struct gca_core *core)
{
	u32 before = core->pressure.causes & WATERMARKS;
	u32 now = watermark_causes(core, before);

	if (now == before)
		return false;
	set_watermarks(core, now);
	if (!(now & ~before))
		return false;
	note_event(core);
	return true;
}

/**
 * gca_core_reclaim - somebody reclaims memory, or has stopped
 * @core: the arena
 * @asking: an episode begins or goes on; else it is over
 *
 * In any context that may take the core lock.
 */
void gca_core_reclaim(struct gca_core *core, bool asking)
{
	u32 before, now;

	gca_lock(&core->lock);
	before = core->pressure.causes;
	now = asking ? before | GCARENA_PRESSURE_RECLAIM : before & ~GCARENA_PRESSURE_RECLAIM;
	core->pressure.causes = now;
	if (asking)
		gca_reserve_yield(core);
	if (now & ~before)
		note_event(core);
	gca_publish(core);
	if (now & ~before && core->ops->pressure)
		core->ops->pressure(core->host);
	gca_unlock(&core->lock);
}
