// SPDX-License-Identifier: MIT
/*
 * The contract from a 32-bit program (built with -m32): the same bytes, every
 * call, every region, by mmap2's page offsets.
 *
 * selftests/core/layout.c compares the layouts as compiled; this shows that the
 * kernel takes them.  Sizes and offsets must not depend on long or on pointers,
 * so no check here may use either.
 */
#include "guest.h"

#define SIZE		(32 * MIB)
/* More than a 32-bit process could map. */
#define LARGE		(8ULL << 30)
#define FAR		(5ULL << 30)

_Static_assert(sizeof(void *) == 4 && sizeof(off_t) == 8, "32 bit with 64-bit offsets");

#define SIZED(type, bytes) eq(sizeof(struct type), bytes, "compat: size of " #type)

static void test_sizes(void)
{
	SIZED(gcarena_class, 8);
	SIZED(gcarena_span, 16);
	SIZED(gcarena_run, 16);
	SIZED(gcarena_row, 16);
	ok(sizeof(struct gcarena_features) >= GCARENA_FEATURES_SIZE_VER0 &&
	   sizeof(struct gcarena_setup) >= GCARENA_SETUP_SIZE_VER0 &&
	   sizeof(struct gcarena_policy) >= GCARENA_POLICY_SIZE_VER0 &&
	   sizeof(struct gcarena_refill) >= GCARENA_REFILL_SIZE_VER0 &&
	   sizeof(struct gcarena_return) >= GCARENA_RETURN_SIZE_VER0 &&
	   sizeof(struct gcarena_sweep) >= GCARENA_SWEEP_SIZE_VER0 &&
	   sizeof(struct gcarena_scavenge) >= GCARENA_SCAVENGE_SIZE_VER0 &&
	   sizeof(struct gcarena_policy_call) >= GCARENA_POLICY_CALL_SIZE_VER0 &&
	   sizeof(struct gcarena_residency) >= GCARENA_RESIDENCY_SIZE_VER0 &&
	   sizeof(struct gcarena_stats) >= GCARENA_STATS_SIZE_VER0,
	   "compat: structures are as large as published");
}

static void test_features(void)
{
	struct gcarena_features f = { .size = sizeof(f) };
	int fd = open(DEVICE, O_RDWR);

	eq(g_ioctl(fd, GCARENA_IOC_FEATURES, &f), 0, "compat: features");
	eq(f.setup_size, sizeof(struct gcarena_setup), "compat: the kernel's set-up is as long");
	eq(f.policy_size, sizeof(struct gcarena_policy), "compat: so is its policy");
	eq(f.refill_size, sizeof(struct gcarena_refill), "compat: its refill");
	eq(f.stats_size, sizeof(struct gcarena_stats), "compat: its statistics");
	eq(f.status_size, sizeof(struct gcarena_status), "compat: its status page");
	close(fd);
}

static void test_calls(void)
{
	struct gcarena_policy policy = { .size = sizeof(policy) };
	struct gcarena_policy_call pc = { .size = sizeof(pc), .policy = (uintptr_t)&policy };
	struct gcarena_run runs[64];
	struct gcarena_residency res = {
		.size = sizeof(res), .npages = SIZE / PAGE, .runs = (uintptr_t)runs,
		.nr_runs = 64,
	};
	struct gcarena_span s[4];
	struct gcarena_stats stats;
	struct arena a;

	g_open(&a, SIZE);
	ok(true, "compat: set-up, and all regions mapped");
	eq(a.setup.status_offset >> 32, GCARENA_OFF_STATUS >> 32, "compat: at 64-bit offsets");
	eq(g_refill(&a, C_CHUNKY, 0, s, 4), 4, "compat: refill");
	memset(g_addr(&a, s[0].page), 0x77, 4 * 64 * PAGE);
	ok(g_row_in_use(&a, s[3].page), "compat: the span table shows it");
	eq(g_row_state(&a, s[3].page), GCARENA_STATE_HELD, "compat: as held");
	eq(a.rows[s[3].page].word1 >> GCARENA_ROW_GENERATION_SHIFT, s[3].generation,
	   "compat: in the high half of its word");
	for (int i = 0; i < 4; i++)
		g_set_bit(&a, s[i].generation & 1, s[i].page, 0);

	eq(g_ioctl(a.fd, GCARENA_IOC_RESIDENCY, &res), 0, "compat: residency");
	eq(res.npages, 0, "compat: to the end");
	ok(res.nr_runs >= 2 && runs[0].in_use && runs[0].npages == 4 * 64,
	   "compat: finds the spans");
	eq(g_return(&a, s, 4), 0, "compat: return");
	g_stats(&a, &stats);
	eq(stats.counters.returned_spans, 4, "compat: statistics");
	eq(a.status->counters.returned_spans, 4, "compat: status page");
	eq(g_start_sweep(&a, stats.generation), 0, "compat: start sweep");
	ok(g_assist(&a) >= 0, "compat: assist");
	ok(g_wait_for(!a.status->sweeping, 5000), "compat: which completes");
	g_stats(&a, &stats);
	eq(stats.counters.swept_freed, 4, "compat: and frees what was not marked");
	eq(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0), (long)CHUNK, "compat: scavenge");

	eq(g_ioctl(a.fd, GCARENA_IOC_POLICY, &pc), 0, "compat: policy, read");
	policy.limit_bytes = 1ULL << 40;
	pc.flags = GCARENA_POLICY_SET;
	eq(g_ioctl(a.fd, GCARENA_IOC_POLICY, &pc), 0, "compat: policy, set");
	policy.limit_bytes = 0;
	pc.flags = 0;
	eq(g_ioctl(a.fd, GCARENA_IOC_POLICY, &pc), 0, "compat: read again");
	ok(policy.limit_bytes == 1ULL << 40, "compat: has a 64-bit limit");
	g_close(&a);
}

/* The upper half of an address counts: it must be 0 here. */
static void test_addresses(void)
{
	const uint64_t high = 1ULL << 40;
	struct gcarena_span s[2];
	struct gcarena_refill refill = {
		.size = sizeof(refill), .ready = (uintptr_t)s | high, .nr_ready = 1,
	};
	struct gcarena_return give = {
		.size = sizeof(give), .spent = (uintptr_t)s | high, .nr_spent = 1,
	};
	struct gcarena_stats stats;
	struct arena a;

	g_open(&a, SIZE);
	eq(g_ioctl(a.fd, GCARENA_IOC_REFILL, &refill), -EFAULT,
	   "compat: an address over 4 GiB is -EFAULT");
	eq(g_ioctl(a.fd, GCARENA_IOC_RETURN, &give), -EFAULT, "compat: for reading as well");
	g_stats(&a, &stats);
	eq(stats.counters.spans_held, 0, "compat: and nothing was handed out");
	g_close(&a);
}

/* An arena larger than the address space: by windows. */
static void test_large(void)
{
	struct gcarena_run run[4];
	struct gcarena_residency res = {
		.size = sizeof(res), .page = FAR >> GCARENA_PAGE_SHIFT, .npages = 256,
		.runs = (uintptr_t)run, .nr_runs = 4,
	};
	struct gcarena_setup setup;
	int fd = open(DEVICE, O_RDWR);
	char *p;

	eq(g_setup(fd, LARGE, &setup), 0, "compat: an arena of 8 GiB");
	p = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, FAR);
	ok(p != MAP_FAILED, "compat: a window of its heap at 5 GiB");
	if (p == MAP_FAILED)
		return;
	ok(!((uintptr_t)p & (CHUNK - 1)), "compat: aligned for a huge page");
	p[0] = 1;
	eq(g_ioctl(fd, GCARENA_IOC_RESIDENCY, &res), 0, "compat: residency there");
	ok(res.nr_runs && run[0].page == FAR >> GCARENA_PAGE_SHIFT &&
	   run[0].state != GCARENA_RES_RELEASED, "compat: finds what was touched");
	munmap(p, CHUNK);
	p = mmap(NULL, BASE_PAGE, PROT_READ, MAP_SHARED, fd,
		 setup.spans_offset + (FAR >> GCARENA_PAGE_SHIFT) * sizeof(struct gcarena_row));
	ok(p != MAP_FAILED && !((struct gcarena_row *)p)->word0, "compat: and of its span table");
	close(fd);
}

int main(void)
{
	test_sizes();
	test_features();
	test_calls();
	test_addresses();
	test_large();
	return tap_done();
}
