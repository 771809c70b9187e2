// SPDX-License-Identifier: MIT
/*
 * cache: weak references.  A cache of decoded pictures that keeps none of them alive: what
 * somebody still holds is found again, what nobody holds is decoded anew when it is next
 * asked for.  It never has to be trimmed, and never needs a size.
 */
#include <gcarena.h>
#include <stdio.h>

#define PICTURES	32
#define HELD		8
#define PIXELS		4096

#define PICTURE_FIELDS(F)		\
	F(REF, char, pixels)		\
	F(VAL, size_t, number)
GCA_STRUCT(picture, PICTURE_FIELDS);

static GCA_REF(struct gca_weak) cache[PICTURES];	/* registered as roots */
static unsigned int decoded;

static struct picture *decode(struct gca_mutator *m, size_t number)
{
	GCA_FRAME(m, f, struct picture *picture);
	char *pixels;

	f.picture = gca_new(m, picture);
	if (!f.picture)
		return NULL;
	f.picture->number = number;
	pixels = gca_new_bytes(m, PIXELS);
	if (!pixels)
		return NULL;
	memset(pixels, (int)number, PIXELS);
	gca_store(m, &f.picture->pixels, pixels);
	decoded++;
	return f.picture;
}

static struct picture *picture(struct gca_mutator *m, size_t number)
{
	GCA_FRAME(m, f, struct picture *picture);
	struct gca_weak *weak = gca_load(&cache[number]);

	/* What gca_weak_get() gives lives for as long as it is held. */
	f.picture = weak ? gca_weak_get(m, weak) : NULL;
	if (f.picture)
		return f.picture;
	f.picture = decode(m, number);
	if (!f.picture)
		return NULL;
	weak = gca_weak_new(m, f.picture);
	if (weak)	/* else there is no memory for it: not cached, and no harm */
		gca_store(m, &cache[number], weak);
	return f.picture;
}

/* Asks for each picture once; the first HELD of them go to @held.  How many were decoded. */
static unsigned int show_all(struct gca_mutator *m, gca_ref *held)
{
	unsigned int before = decoded;

	for (size_t i = 0; i < PICTURES; i++) {
		struct picture *shown = picture(m, i);

		if (!shown || shown->number != i || gca_load(&shown->pixels)[PIXELS - 1] != (char)i)
			return UINT32_MAX;
		if (i < HELD)
			gca_store(m, &held[i], shown);
	}
	return decoded - before;
}

static int run(struct gca_mutator *m)
{
	GCA_FRAME(m, f, gca_ref *held);
	unsigned int first, again, later, reread;

	f.held = gca_new_refs(m, HELD);
	if (!f.held)
		return 1;
	first = show_all(m, f.held);
	again = show_all(m, f.held);
	printf("%u decoded, then %u: the cache has them\n", first, again);
	gca_collect(m);
	later = show_all(m, f.held);
	printf("after a cycle %u: the %d that are held were there\n", later, HELD);

	/* The file has changed: whoever asks from now on gets the new picture. */
	gca_weak_clear(gca_load(&cache[0]));
	reread = decoded;
	if (!picture(m, 0))
		return 1;
	reread = decoded - reread;
	printf("and %u that was cleared\n", reread);
	return first != PICTURES || again || later != PICTURES - HELD || reread != 1;
}

int main(void)
{
	struct gca_mutator *m;
	struct gca_heap *heap;
	int status;

	if (gca_open(NULL, &heap) || gca_attach(heap, GCA_STACK_PRECISE, &m) ||
	    gca_root_add(heap, cache, sizeof(cache))) {
		fprintf(stderr, "cache: %s\n", gca_error());
		return 1;
	}
	status = run(m);
	gca_root_remove(heap, cache);
	gca_detach(m);
	return gca_close(heap) || status;
}
