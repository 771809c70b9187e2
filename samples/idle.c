// SPDX-License-Identifier: MIT
/*
 * idle: memory that goes back to the system.  While a program works the heap gives back by
 * itself what it has beyond its goal.  One that is about to idle can have all that is
 * free go back, and the free pages between what lives too, which costs it huge pages and
 * page faults when it goes on.
 */
#include <gcarena.h>
#include <stdio.h>

#define BLOCKS	32768
#define BYTES	1000
#define KEPT	16	/* one of so many lives on */

static size_t fill(struct gca_mutator *m, gca_ref *table)
{
	size_t there = 0;

	for (size_t i = 0; i < BLOCKS; i++) {
		char *bytes = gca_load(&table[i]);

		if (!bytes) {
			bytes = gca_new_bytes_raw(m, BYTES);
			if (!bytes)
				return 0;
			memset(bytes, 'b', BYTES);
			gca_store(m, &table[i], bytes);
		}
		there += bytes[0] == 'b' && bytes[BYTES - 1] == 'b';
	}
	return there;
}

static int run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, gca_ref *table);
	struct gca_stats stats = { .size = sizeof(stats) };
	size_t whole, all, again, nothing;

	f.table = gca_new_refs(m, BLOCKS);
	if (!f.table || fill(m, f.table) != BLOCKS)
		return 1;
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % KEPT)
			gca_store(m, &f.table[i], NULL);
	whole = gca_release(m);
	all = gca_release_all(m);
	gca_stats(gca_heap_of(m), &stats);
	fprintf(stderr, "%zu KiB went, then %zu KiB; %llu KiB are in use, %llu KiB released\n",
		whole / 1024, all / 1024, (unsigned long long)stats.heap_inuse / 1024,
		(unsigned long long)stats.heap_released / 1024);
	printf("of %d MiB most went back: %s\n", BLOCKS * BYTES / 1000000,
	       whole + all > BLOCKS * BYTES / 2 ? "yes" : "no");
	printf("most of that from between what lives: %s\n", all > whole ? "yes" : "no");
	nothing = gca_release_all(m);
	printf("a second time there is little to give: %s\n", nothing < 2 << 20 ? "yes" : "no");
	again = fill(m, f.table);
	printf("%zu blocks are there again\n", again);
	return whole + all <= BLOCKS * BYTES / 2 || all <= whole || nothing >= 2 << 20 ||
	       again != BLOCKS;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m)) {
		fprintf(stderr, "idle: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_detach(m);
	return gca_close(heap) || status;
}
