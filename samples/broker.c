// SPDX-License-Identifier: MIT
/*
 * broker: minor cycles.  A table of subscribers that hardly changes, and messages that live
 * for a moment: most of what a full cycle marks it has marked before.  With minor cycles only
 * what was allocated since the last one is marked, and what refers to it from the table.
 *
 * Nothing in the program is different.  What it must know: what survived one cycle is found
 * dead only by a full one; gca_collect() is.
 */
#include <gcarena.h>
#include <stdio.h>

#define SUBSCRIBERS	60000
#define MESSAGES	400000

#define MESSAGE_FIELDS(F)		\
	F(REF, struct message, before)	\
	F(VAL, size_t, number)		\
	F(VALS, char, text, 32)
GCA_STRUCT(message, MESSAGE_FIELDS);

#define SUBSCRIBER_FIELDS(F)		\
	F(REF, struct message, last)	\
	F(VALS, char, name, 88)
GCA_STRUCT(subscriber, SUBSCRIBER_FIELDS);

/* The last message of every hundredth subscriber is kept: young objects that old ones hold. */
static int publish(struct gca_mutator *m, gca_ref *table, size_t count, size_t *sum)
{
	for (size_t i = 0; i < count; i++) {
		struct message *message = gca_new(m, message);
		struct subscriber *to;

		if (!message)
			return -1;
		message->number = i;
		to = (struct subscriber *)gca_load(&table[i * 7919 % SUBSCRIBERS / 100 * 100]);
		gca_store(m, &to->last, message);	/* notes the place, for the next cycle */
	}
	*sum = 0;
	for (size_t i = 0; i < SUBSCRIBERS; i += 100) {
		struct message *last = gca_load(&((struct subscriber *)gca_load(&table[i]))->last);

		*sum += last ? last->number : 0;
	}
	return 0;
}

static int run(enum gca_generations generations, struct gca_stats *stats, size_t *sum)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status = 0;

	gca_config_init(&config);
	config.generations = generations;	/* or gca_set_generations(), at any time */
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "broker: %s\n", gca_error());
		return 1;
	}
	{
		GCA_FRAME(m, f, gca_ref *table);

		f.table = gca_new_refs(m, SUBSCRIBERS);
		for (size_t i = 0; f.table && i < SUBSCRIBERS; i++) {
			struct subscriber *subscriber = gca_new(m, subscriber);

			gca_store(m, &f.table[i], subscriber);
			status |= !subscriber;
		}
		gca_collect(m);
		status = status || !f.table || publish(m, f.table, MESSAGES, sum);
	}
	stats->size = sizeof(*stats);
	gca_stats(heap, stats);
	gca_detach(m);
	return gca_close(heap) || status;
}

int main(void)
{
	struct gca_stats full, minor;
	size_t sum[2];

	if (run(GCA_GENERATIONS_OFF, &full, &sum[0]) || run(GCA_GENERATIONS_ON, &minor, &sum[1]))
		return 1;
	fprintf(stderr, "off: %llu cycles, %llu us of CPU; on: %llu, %llu of them minor, %llu us\n",
		(unsigned long long)full.num_gc, (unsigned long long)full.gc_cpu_ns / 1000,
		(unsigned long long)minor.num_gc, (unsigned long long)minor.minor_gc,
		(unsigned long long)minor.gc_cpu_ns / 1000);
	printf("minor cycles when off: %s, when on: %s\n", full.minor_gc ? "some" : "none",
	       minor.minor_gc ? "some" : "none");
	printf("the subscribers have the same messages: %s\n", sum[0] == sum[1] ? "yes" : "no");
	return full.minor_gc || !minor.minor_gc || sum[0] != sum[1];
}
