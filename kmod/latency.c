// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * How long refills took, by how deep they had to go.
 *
 * Of those that went the long way only: two looks at the clock would cost a hit
 * in a per-CPU cache more than all of its own work.  No lock; numbers that are
 * read while refills end may not add up.
 */
#include <linux/atomic.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/seq_file.h>

#include "arena.h"

/**
 * gca_latency_add - one more
 * @latency: of the level
 * @ns: that it took
 */
void gca_latency_add(struct gca_latency *latency, u64 ns)
{
	unsigned int bucket = ns ? ilog2(ns) : 0;
	s64 max = atomic64_read(&latency->max_ns);

	atomic64_inc(&latency->count);
	atomic64_add(ns, &latency->sum_ns);
	atomic64_inc(&latency->bucket[min(bucket, GCA_LATENCY_BUCKETS - 1U)]);
	while (ns > max && !atomic64_try_cmpxchg(&latency->max_ns, &max, ns))
		;
}

/**
 * gca_latency_show - as lines of debugfs
 * @m: the file
 * @name: of the level
 * @latency: of the level
 */
void gca_latency_show(struct seq_file *m, const char *name, const struct gca_latency *latency)
{
	u64 count = atomic64_read(&latency->count);
	int i;

	seq_printf(m, "latency_%s_count: %llu\n", name, count);
	seq_printf(m, "latency_%s_mean_ns: %llu\n", name,
		   count ? div64_u64(atomic64_read(&latency->sum_ns), count) : 0);
	seq_printf(m, "latency_%s_max_ns: %lld\n", name, atomic64_read(&latency->max_ns));
	for (i = 0; i < GCA_LATENCY_BUCKETS; i++) {
		u64 nr = atomic64_read(&latency->bucket[i]);

		if (nr)
			seq_printf(m, "latency_%s_%llu_ns: %llu\n", name, 1ULL << i, nr);
	}
}
