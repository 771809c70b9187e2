// SPDX-License-Identifier: MIT
/*
 * overload: a server that stays within its memory.  It remembers answers for as long as
 * there is room; at the watermark (85 per cent of the limit in use) it forgets them and turns
 * requests away until there is room again (75 per cent).  A single request that is larger than
 * all the rest gets the reserve that was kept back for such a moment, or a refusal.  Nothing
 * is lost, and nobody crashes.
 */
#include <gcarena.h>
#include <stdio.h>

#define MIB		(1024 * 1024)
#define LIMIT		(48 * MIB)
#define RESERVE		(16 * MIB)
#define REQUESTS	4000
#define ANSWER		(32 * 1024)

#define ANSWER_FIELDS(F)		\
	F(REF, struct answer, older)	\
	F(REF, char, text)
GCA_STRUCT(answer, ANSWER_FIELDS);

static GCA_REF(struct answer) remembered;	/* registered as a root */
static unsigned int answered, refused, alarms, all_clears;
static enum gca_pressure level;

/* On a thread that is about to allocate: it may store, and must not allocate. */
static void on_pressure(struct gca_mutator *m, enum gca_pressure now, void *arg)
{
	level = now;
	if (now == GCA_PRESSURE_NONE) {
		all_clears++;
		return;
	}
	alarms++;
	gca_store(m, &remembered, NULL);
}

/* Collecting and giving back did not help: the last thing before NULL. */
static bool on_failure(struct gca_mutator *m, size_t size, void *arg)
{
	size_t *reserve = arg;

	if (!*reserve)
		return false;
	gca_set_limit(gca_heap_of(m), LIMIT + *reserve);
	*reserve = 0;
	return true;		/* once more */
}

static int answer(struct gca_mutator *m)
{
	GCA_FRAME(m, f, char *text);
	struct answer *made;

	f.text = gca_new_bytes_raw(m, ANSWER);
	made = f.text ? gca_new(m, answer) : NULL;
	if (!made)
		return -1;	/* the language's own error, in a runtime */
	memset(f.text, 'x', ANSWER);
	gca_init(m, &made->text, f.text);
	gca_init(m, &made->older, gca_load(&remembered));
	gca_store(m, &remembered, made);
	answered++;
	return 0;
}

/* While it turns requests away it asks whether it still has to: that is an allocation. */
static int turn_away(struct gca_mutator *m)
{
	refused++;
	if (refused % 16 == 1 && gca_collect(m))
		return -1;
	return gca_new_bytes_raw(m, ANSWER) ? 0 : -1;
}

static int run(struct gca_heap *heap, struct gca_mutator *m)
{
	struct gca_stats stats = { .size = sizeof(stats) };
	size_t reserve = RESERVE;
	bool first, second;

	for (unsigned int i = 0; i < REQUESTS; i++)
		if (level == GCA_PRESSURE_NONE ? answer(m) : turn_away(m))
			return 1;
	gca_stats(heap, &stats);
	printf("each request was answered or turned away: %s\n",
	       answered + refused == REQUESTS ? "yes" : "no");
	printf("most were answered: %s\n", answered > REQUESTS / 2 ? "yes" : "no");
	printf("it was told to shed load, and when it was over: %s\n",
	       alarms && all_clears ? "yes" : "no");
	printf("and stayed within the limit: %s\n",
	       stats.peak_inuse <= LIMIT && !stats.failed_allocs ? "yes" : "no");
	if (answered + refused != REQUESTS || answered <= REQUESTS / 2 || !alarms || !all_clears ||
	    stats.peak_inuse > LIMIT || stats.failed_allocs)
		return 1;

	gca_store(m, &remembered, NULL);
	gca_set_failure_handler(heap, on_failure, &reserve);
	first = gca_new_bytes_raw(m, LIMIT);
	second = gca_new_bytes_raw(m, 2 * LIMIT);
	printf("one very large request: %s; a larger one: %s\n", first ? "served" : "refused",
	       second ? "served" : "refused");
	return !first || second;
}

int main(void)
{
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	gca_config_init(&config);
	config.limit = LIMIT;
	config.percent = 400;		/* all the room there is */
	if (gca_open(&config, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_add(heap, &remembered, sizeof(remembered))) {
		fprintf(stderr, "overload: %s\n", gca_error());
		return 1;
	}
	gca_set_pressure_handler(heap, on_pressure, NULL);
	status = run(heap, m);
	gca_root_remove(heap, &remembered);
	gca_detach(m);
	return gca_close(heap) || status;
}
