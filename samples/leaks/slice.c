// SPDX-License-Identifier: MIT
/*
 * A small slice of a large buffer is kept, and the whole buffer with it: of each page
 * that is read eight bytes are wanted, and a pointer to them is what is kept.
 *
 * Documentation/finding-leaks.rst finds it: read_page() is in use, although every page
 * is read and left at once.  The cure is to copy: gca_strndup(m, found, 8).
 */
#include <gcarena.h>

#define PAGES		400
#define PAGE_BYTES	(64 * 1024)
#define TITLE_AT	1000

static __attribute__((noinline)) char *read_page(struct gca_mutator *m, unsigned int number)
{
	char *page = gca_new_bytes(m, PAGE_BYTES);

	if (page)
		memset(page + TITLE_AT, 'a' + (int)(number % 26), 8);
	return page;
}

static __attribute__((noinline)) const char *find_title(const char *page)
{
	return page + TITLE_AT;
}

int main(void)
{
	struct gca_heap *heap;
	struct gca_mutator *m;
	const char **titles;
	unsigned int i;

	if (gca_open(NULL, &heap) || gca_attach(heap, 0, &m))
		return 1;
	/* Words that may point anywhere into objects, as plain C has them. */
	titles = gca_alloc(m, gca_kind_conservative(), PAGES * sizeof(*titles));
	for (i = 0; titles && i < PAGES; i++) {
		const char *page = read_page(m, i);

		/* The leak: it points into the page. */
		if (page)
			gca_store(m, (gca_ref *)(void *)&titles[i], (void *)find_title(page));
	}
	gca_collect(m);
	gca_keepalive(titles);
	gca_detach(m);
	return gca_close(heap);
}
