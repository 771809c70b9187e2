// SPDX-License-Identifier: MIT
/*
 * NUMA: memory policies hold for a heap as for any shared memory, and refills
 * prefer memory of the node that the caller, the call or the arena's policy says.
 *
 * With two nodes of memory, a CPU each (selftests/vm/run --numa 2), each wish is
 * shown by where the memory is.  With one there is little to see, but that wishes
 * are checked.
 */
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/syscall.h>

#include "guest.h"

#define SIZE		(32 * MIB)
#define CHUNK_PAGES	GCARENA_CHUNK_PAGES

static struct gcarena_span spans[4 * CHUNK_PAGES];

/* One CPU is of node 0, the other of node 1. */
static void run_on(int node)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(node, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		bail("CPU %d: %s", node, strerror(errno));
}

static int node_of(struct arena *a, const struct gcarena_span *span)
{
	int node = -1;

	*(volatile char *)g_addr(a, span->page) = 1;
	if (syscall(SYS_get_mempolicy, &node, NULL, 0, g_addr(a, span->page),
		    MPOL_F_NODE | MPOL_F_ADDR))
		return -errno;
	return node;
}

static int on_node(struct arena *a, const struct gcarena_span *s, int nr, int node)
{
	int n = 0;

	for (int i = 0; i < nr; i++)
		n += node_of(a, &s[i]) == node;
	return n;
}

/* @node as the uapi has it: 0 for none, or the node + 1. */
static int refill_on(struct arena *a, uint32_t npages, struct gcarena_span *ready, uint32_t nr,
		     int node)
{
	struct gcarena_refill args = {
		.size = sizeof(args),
		.ready = (uintptr_t)ready,
		.nr_ready = nr,
		.npages = npages,
		.span_class = C_MANUAL,
		.node = node,
	};
	int err = g_ioctl(a->fd, GCARENA_IOC_REFILL, &args);

	return err ? err : (int)args.nr_ready;
}

static int set_policy(struct arena *a, int node, uint32_t reserve)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .node = node, .reserve_chunks = reserve,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args), .flags = GCARENA_POLICY_SET, .policy = (uintptr_t)&policy,
	};

	return g_ioctl(a->fd, GCARENA_IOC_POLICY, &args);
}

static long remote(struct arena *a)
{
	struct gcarena_stats stats;

	g_stats(a, &stats);
	return stats.counters.refill_remote;
}

static void test_checked(void)
{
	struct gcarena_features features = { .size = sizeof(features) };
	struct arena a;

	g_open(&a, SIZE);
	eq(g_ioctl(a.fd, GCARENA_IOC_FEATURES, &features), 0, "NUMA: features");
	ok(features.features & GCARENA_FEATURE_NUMA, "NUMA: is one of them");
	eq(refill_on(&a, 1, spans, 1, 1), 1, "NUMA: node 0 is there");
	eq(refill_on(&a, 1, spans + 1, 1, 65), -EINVAL, "NUMA: node 64 is not");
	eq(refill_on(&a, 1, spans + 1, 1, -1), -EINVAL, "NUMA: and -2 is none");
	eq(set_policy(&a, 65, 0), -EINVAL, "NUMA: nor in a policy");
	eq(set_policy(&a, 1, 0), 0, "NUMA: node 0 in a policy");
	g_close(&a);
}

static void test_prefers(void)
{
	struct gcarena_span *other = spans + CHUNK_PAGES, *got = spans + 2 * CHUNK_PAGES;
	struct arena a;

	g_open_uncached(&a, SIZE);
	run_on(0);
	eq(refill_on(&a, 1, spans, CHUNK_PAGES, 0), CHUNK_PAGES, "NUMA: a chunk for node 0");
	run_on(1);
	eq(refill_on(&a, 1, other, CHUNK_PAGES, 0), CHUNK_PAGES, "NUMA: another for node 1");
	eq(on_node(&a, spans, CHUNK_PAGES, 0), CHUNK_PAGES, "NUMA: the one is on node 0");
	eq(on_node(&a, other, CHUNK_PAGES, 1), CHUNK_PAGES, "NUMA: the other on node 1");
	eq(remote(&a), 0, "NUMA: nothing is remote");
	/* The chunk of node 0 becomes the fuller one, which is otherwise preferred. */
	for (int i = 0; i < CHUNK_PAGES; i++)
		if (i % 4 == 0 && g_return(&a, &spans[i], 1))
			bail("return");
	for (int i = 0; i < CHUNK_PAGES; i++)
		if (i % 2 && g_return(&a, &other[i], 1))
			bail("return");
	eq(refill_on(&a, 1, got, 32, 0), 32, "NUMA: refill on node 1");
	eq(on_node(&a, got, 32, 1), 32, "NUMA: all of node 1");
	run_on(0);
	eq(refill_on(&a, 1, got, 32, 0), 32, "NUMA: refill on node 0");
	eq(on_node(&a, got, 32, 0), 32, "NUMA: all of node 0");
	eq(refill_on(&a, 1, got, 32, 2), 32, "NUMA: node 1 asked for on node 0");
	eq(on_node(&a, got, 32, 1), 32, "NUMA: all of node 1");
	eq(remote(&a), 0, "NUMA: nothing is remote");
	eq(refill_on(&a, 1, got, 48, 0), 48, "NUMA: more than node 0 has left");
	eq(on_node(&a, got, 48, 0), 32, "NUMA: what it has left");
	eq(remote(&a), 16, "NUMA: before new memory comes what another node has, counted");
	g_close(&a);

	g_open_uncached(&a, SIZE);
	eq(refill_on(&a, 1, got, 4, 2), 4, "NUMA: new memory of node 1 asked for on node 0");
	eq(on_node(&a, got, 4, 1), 4, "NUMA: is of node 1");
	ok(g_smaps(a.heap, "ShmemPmdMapped") == (long)CHUNK, "NUMA: and huge");
	g_close(&a);
}

static void test_reserve(void)
{
	struct arena a;
	int n = 0;

	g_open_uncached(&a, SIZE);
	run_on(0);
	eq(set_policy(&a, 2, 2), 0, "NUMA: an arena that prefers node 1, with a reserve");
	for (int i = 0; i < 4; i++)
		n += refill_on(&a, CHUNK_PAGES, &spans[i], 1, 0);
	eq(n, 4, "NUMA: refilled on node 0");
	ok(g_wait_for(a.status->reserve_chunks > 0, 5000), "NUMA: there is a reserve");
	for (n = 4; n < 8; n++)
		if (refill_on(&a, CHUNK_PAGES, &spans[n], 1, 0) != 1)
			break;
	ok(g_debugfs_stat(a.setup.id, "reserve_taken") > 0, "NUMA: it is taken");
	eq(on_node(&a, spans, n, 1), n, "NUMA: all is of node 1");
	g_close(&a);
}

static void test_policies(void)
{
	unsigned long one = 1UL << 1;
	struct arena a;
	int mode = -1;

	run_on(0);
	g_open_uncached(&a, SIZE);
	eq(syscall(SYS_mbind, a.heap, SIZE, MPOL_BIND, &one, 64, 0), 0, "NUMA: mbind of the heap");
	eq(syscall(SYS_get_mempolicy, &mode, NULL, 0, a.heap + CHUNK, MPOL_F_ADDR), 0,
	   "NUMA: get_mempolicy");
	eq(mode, MPOL_BIND, "NUMA: says so");
	eq(refill_on(&a, CHUNK_PAGES, spans, 2, 0), 2, "NUMA: refill on node 0");
	eq(on_node(&a, spans, 2, 1), 2, "NUMA: gets what the heap is bound to");
	eq(remote(&a), 2, "NUMA: which is remote");
	g_close(&a);

	g_open_uncached(&a, SIZE);
	eq(syscall(SYS_set_mempolicy, MPOL_BIND, &one, 64), 0, "NUMA: set_mempolicy");
	eq(refill_on(&a, 1, spans, 8, 0), 8, "NUMA: refill on node 0");
	eq(on_node(&a, spans, 8, 1), 8, "NUMA: gets what the task is bound to");
	eq(remote(&a), 0, "NUMA: and that is what it prefers");
	syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
	g_close(&a);
}

int main(void)
{
	test_checked();
	if (g_exists("/sys/devices/system/node/node1/meminfo")) {
		test_prefers();
		test_reserve();
		test_policies();
	}
	return tap_done();
}
