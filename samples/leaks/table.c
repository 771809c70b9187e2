// SPDX-License-Identifier: MIT
/*
 * A table that grows and is never trimmed: answers are remembered by their question,
 * and nobody ever forgets one.
 *
 * Documentation/finding-leaks.rst finds it: what is in use grows in remember().
 */
#include <gcarena.h>

#define BUCKETS		1024
#define QUESTIONS	40000

#define ANSWER_FIELDS(F)			\
	F(REF, struct answer, next)		\
	F(REF, char, text)			\
	F(VAL, unsigned long, question)
GCA_STRUCT(answer, ANSWER_FIELDS);

typedef GCA_REF(struct answer) bucket_t;

static bucket_t cache[BUCKETS];

/* The leak: an entry for each question that was ever asked. */
static __attribute__((noinline)) void remember(struct gca_mutator *m, unsigned long question,
					       const char *text)
{
	struct answer *answer = gca_new(m, answer);
	char *copy = gca_strdup(m, text);

	if (!answer || !copy)
		return;
	answer->question = question;
	gca_store(m, &answer->text, copy);
	gca_store(m, &answer->next, gca_load(&cache[question % BUCKETS]));
	gca_store(m, &cache[question % BUCKETS], answer);
}

static __attribute__((noinline)) void ask(struct gca_mutator *m, unsigned long question)
{
	char *text = gca_new_bytes(m, 200);

	if (!text)
		return;
	memset(text, 'a' + (int)(question % 26), 100);
	remember(m, question, text);
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	unsigned long question;

	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m) ||
	    gca_root_add(heap, cache, sizeof(cache)))
		return 1;
	for (question = 0; question < QUESTIONS; question++)
		ask(m, question);
	gca_collect(m);
	gca_detach(m);
	return gca_close(heap);
}
