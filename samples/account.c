// SPDX-License-Identifier: MIT
/*
 * account: where threads' time goes.  One computes, one waits, one allocates as fast as it can
 * beside a live heap.  Each has its account, whose states add up to the time since it
 * attached; all together are what a server would export.
 */
#include <gcarena.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define NODE_FIELDS(F) F(REF, struct node, next)
GCA_STRUCT(node, NODE_FIELDS);

static struct gca_heap *heap;

static uint64_t sum(const struct gca_account *a)
{
	return a->running_ns + a->blocked_ns + a->unscheduled_ns + a->assist_ns + a->stall_ns +
	       a->gate_ns + a->handshake_ns + a->refill_ns;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void compute(struct gca_mutator *m)
{
	uint64_t begin = cpu_ns();

	while (cpu_ns() - begin < 20000000)
		gca_safepoint(m);
}

static void wait_a_while(struct gca_mutator *m)
{
	const struct timespec time = { 0, 20000000 };

	gca_blocking_begin(m);
	nanosleep(&time, NULL);
	gca_blocking_end(m);
}

static void allocate(struct gca_mutator *m)
{
	struct node *list = NULL;

	for (unsigned int i = 0; i < 300000; i++) {
		struct node *node = gca_new(m, node);

		if (!node)
			return;
		gca_init(m, &node->next, i % 100000 ? list : NULL);
		list = node;
	}
	gca_collect(m);
}

struct worker {
	const char *name;
	void (*work)(struct gca_mutator *m);
	struct gca_account account;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	struct gca_mutator *m;

	worker->account.size = sizeof(worker->account);
	if (gca_attach(heap, GCA_STACK_CONSERVATIVE, &m))
		return NULL;
	worker->work(m);
	gca_account(m, &worker->account);
	gca_detach(m);
	return NULL;
}

static void show(const char *name, const struct gca_account *a)
{
	fprintf(stderr, "%-9s %7llu us: ran %llu, blocked %llu, without CPU %llu, lost %llu; "
		"of 10 ms at least %u/1000 its own\n", name, (unsigned long long)a->wall_ns / 1000,
		(unsigned long long)a->running_ns / 1000, (unsigned long long)a->blocked_ns / 1000,
		(unsigned long long)a->unscheduled_ns / 1000,
		(unsigned long long)(a->assist_ns + a->stall_ns + a->gate_ns + a->handshake_ns +
				     a->refill_ns) / 1000, a->mmu[1]);
}

int main(void)
{
	struct worker workers[] = {
		{ .name = "computes", .work = compute }, { .name = "waits", .work = wait_a_while },
		{ .name = "allocates", .work = allocate },
	};
	struct gca_account all = { .size = sizeof(all) };
	pthread_t threads[3];
	bool good = true;

	if (gca_open(NULL, &heap)) {
		fprintf(stderr, "account: %s\n", gca_error());
		return 1;
	}
	for (int i = 0; i < 3; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			return 1;
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		show(workers[i].name, &workers[i].account);
		good = good && sum(&workers[i].account) == workers[i].account.wall_ns;
	}
	gca_account_all(heap, &all);
	show("all", &all);
	good = good && sum(&all) == all.wall_ns;
	printf("the states add up to the time: %s\n", good ? "yes" : "no");
	/* On a busy machine what computes is without a CPU for most of the time. */
	all = workers[0].account;
	good = good && all.running_ns + all.unscheduled_ns >= 1000000 &&
	       workers[1].account.blocked_ns >= 20000000 &&
	       workers[2].account.refill_ns + workers[2].account.handshake_ns;
	printf("what computes ran, what waits was blocked, what allocates paid: %s\n",
	       good ? "yes" : "no");
	return gca_close(heap) || !good;
}
