// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Populating: memory for a part of a heap's file, and of which node.
 *
 * shmem decides by the policy of the range (mbind() of the heap), else by that of the
 * task that allocates, else takes the node where that runs.  So who wants memory of
 * another node than his own has it populated there, by a work item, unless his cpuset
 * forbids that node.  A policy of the range holds there as well; that of the task does
 * not, as it was asked for something else.
 *
 * No lock may be held: allocating enters reclaim, and a work item is waited for.
 */
#include <linux/cpuset.h>
#include <linux/err.h>
#include <linux/memcontrol.h>
#include <linux/mempolicy.h>
#include <linux/nodemask.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/topology.h>
#include <linux/workqueue.h>

#include "arena.h"
#include "compat.h"

/*
 * Done with a folio just populated.  The owner writes through mappings, whose
 * dirty bits khugepaged drops because shmem is dirty anyway.  Make it so, or
 * reclaim takes the folio for clean and its contents go.
 */
static void gca_populate_done(struct folio *folio)
{
	folio_mark_dirty(folio);
	folio_put(folio);
}

static int gca_populate_here(struct gca_populate *what)
{
	struct address_space *mapping = what->arena->heap->f_mapping;

	what->huge = true;
	while (what->index < what->end) {
		struct folio *folio;

		if (fatal_signal_pending(current))
			return -EINTR;
		folio = shmem_read_folio_gfp(mapping, what->index, what->gfp);
		/* Overcommit says -ENOSPC, a dying task -EINTR. */
		if (IS_ERR(folio))
			return PTR_ERR(folio) == -EINTR ? -EINTR : -ENOMEM;
		if (!folio_test_pmd_mappable(folio))
			what->huge = false;
		what->index = folio_next_index(folio);
		gca_populate_done(folio);
		cond_resched();
	}
	return 0;
}

/**
 * struct gca_populate_work - populating, elsewhere
 * @work: where
 * @what: of the waiting caller
 * @memcg: to be charged, of the caller
 * @err: what came of it
 */
struct gca_populate_work {
	struct work_struct work;
	struct gca_populate *what;
	struct mem_cgroup *memcg;
	int err;
};

static void gca_populate_work(struct work_struct *work)
{
	struct gca_populate_work *there = container_of(work, struct gca_populate_work, work);
	struct mem_cgroup *old = set_active_memcg(there->memcg);

	there->err = gca_populate_here(there->what);
	set_active_memcg(old);
}

/* Whether the caller's cpuset lets it have memory of a node. */
static bool gca_populate_allowed(int node)
{
#ifdef CONFIG_NUMA
	return node_isset(node, cpuset_current_mems_allowed);
#else
	return true;
#endif
}

/**
 * gca_populate - get memory for a part of a heap
 * @what: which, and how; @index and @huge say what came of it
 * @node: preferred, or GCA_NODE_ANY
 *
 * Charged to the caller, or to the active memcg.
 *
 * Return: 0, -ENOMEM, or -EINTR when the caller is being killed; then a part of it may
 * be there.
 */
int gca_populate(struct gca_populate *what, int node)
{
	struct gca_populate_work there = { .what = what };
	unsigned int cpu;

	if (node == GCA_NODE_ANY || node == gca_populate_caller_node(what->arena) ||
	    num_node_state(N_MEMORY) == 1 || !gca_populate_allowed(node))
		return gca_populate_here(what);
	cpu = cpumask_any_and(cpumask_of_node(node), cpu_online_mask);
	/* A node without CPUs. */
	if (cpu >= nr_cpu_ids)
		return gca_populate_here(what);
	there.memcg = get_mem_cgroup_from_mm(current->mm);
	INIT_WORK_ONSTACK(&there.work, gca_populate_work);
	/* An unbound one may run elsewhere. */
	schedule_work_on(cpu, &there.work);
	flush_work(&there.work);
	destroy_work_on_stack(&there.work);
	mem_cgroup_put(there.memcg);
	return there.err;
}

/**
 * gca_populate_node - of which node a chunk's memory is
 * @host: the arena
 * @chunk: index
 *
 * Return: the node of its first base page, or GCA_NODE_ANY if that is not in memory.
 */
int gca_populate_node(void *host, u32 chunk)
{
	struct gca_arena *arena = host;
	struct folio *folio = filemap_get_folio(arena->heap->f_mapping,
						(pgoff_t)chunk * GCA_CHUNK_BASES);
	int node;

	if (IS_ERR_OR_NULL(folio))
		return GCA_NODE_ANY;
	node = folio_nid(folio);
	folio_put(folio);
	return node;
}

/**
 * gca_populate_caller_node - the node that the calling task's memory is to be of
 * @host: the arena
 *
 * Where it runs, unless its policy says otherwise.
 *
 * Return: the node; GCA_NODE_ANY if there is but one, or several are as good.
 */
int gca_populate_caller_node(void *host)
{
#ifdef CONFIG_NUMA
	const struct mempolicy *policy = current->mempolicy;
	int here = numa_mem_id();
	int first;

	if (num_node_state(N_MEMORY) == 1)
		return GCA_NODE_ANY;
	if (!policy || policy->mode == MPOL_LOCAL)
		return here;
	if (policy->mode != MPOL_BIND && policy->mode != MPOL_PREFERRED &&
	    policy->mode != MPOL_PREFERRED_MANY)
		return GCA_NODE_ANY;
	first = first_node(policy->nodes);
	if (first >= MAX_NUMNODES)
		return GCA_NODE_ANY;
	return node_isset(here, policy->nodes) ? here : first;
#else
	return GCA_NODE_ANY;
#endif
}

/**
 * gca_populate_node_valid - whether a user may name a node
 * @host: the arena
 * @node: any value from 0 on
 *
 * Return: true if it is a node with memory.
 */
bool gca_populate_node_valid(void *host, int node)
{
	return node < nr_node_ids && node_state(node, N_MEMORY);
}
