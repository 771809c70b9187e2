// SPDX-License-Identifier: MIT
/*
 * plain: C as it was written for malloc(), in a heap that stops the world to mark.  No barriers,
 * no declarations: assignments, memcpy() and qsort() do what they always did, locals are
 * found by themselves, and free() is gone.
 */
#include <gcarena.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS	64
#define ROUNDS	20000

struct word {
	struct word *next;
	unsigned long uses;
	char *text;
};

static struct word *buckets[BUCKETS];	/* registered as roots: globals are not found */

static struct word *find(struct gca_mutator *m, const char *text)
{
	size_t hash = 5381;
	struct word *word;

	for (const char *c = text; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	for (word = buckets[hash % BUCKETS]; word; word = word->next)
		if (!strcmp(word->text, text))
			return word;
	word = gca_alloc(m, gca_kind_conservative(), sizeof(*word));
	if (!word)
		return NULL;
	word->text = gca_strdup(m, text);
	if (!word->text)
		return NULL;
	word->next = buckets[hash % BUCKETS];
	buckets[hash % BUCKETS] = word;
	return word;
}

static int by_uses(const void *a, const void *b)
{
	const struct word * const *x = a, * const *y = b;

	return ((*x)->uses < (*y)->uses) - ((*x)->uses > (*y)->uses);
}

static int run(struct gca_mutator *m)
{
	static const char * const text[] = { "to", "be", "or", "not", "to", "be" };
	struct gca_stats stats = { .size = sizeof(stats) };
	struct word **sorted;
	size_t nr = 0;

	for (unsigned int i = 0; i < ROUNDS * 6; i++) {
		char *copy = gca_new_bytes(m, 100);	/* what a tokenizer leaves behind */
		struct word *word;

		if (!copy)
			return 1;
		strcpy(copy, text[i % 6]);
		word = find(m, copy);
		if (!word)
			return 1;
		word->uses++;
	}
	sorted = gca_alloc(m, gca_kind_conservative(), 16 * sizeof(*sorted));
	if (!sorted)
		return 1;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct word *word = buckets[i]; word; word = word->next)
			sorted[nr++] = word;
	qsort(sorted, nr, sizeof(*sorted), by_uses);
	memset(buckets, 0, sizeof(buckets));
	gca_collect(m);					/* they live by the array alone */
	gca_stats(gca_heap_of(m), &stats);
	for (size_t i = 0; i < nr; i++)
		printf("%s%lu", i ? " " : "", sorted[i]->uses);
	printf(" uses of %zu words, %s cycles on the way\n", nr, stats.num_gc > 1 ? "some" : "no");
	return nr != 4 || sorted[0]->uses != 2 * ROUNDS || sorted[3]->uses != ROUNDS ||
	       stats.num_gc < 2;
}

int main(void)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	gca_config_init(&config);
	config.mode = GCA_MODE_STOP_THE_WORLD;
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_CONSERVATIVE, &m) ||
	    gca_root_add(heap, buckets, sizeof(buckets))) {
		fprintf(stderr, "plain: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_root_remove(heap, buckets);
	gca_detach(m);
	return gca_close(heap) || status;
}
