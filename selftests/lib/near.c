// SPDX-License-Identifier: MIT
/*
 * Objects that point to their neighbours: marked by the kilobyte and the page
 * (lib/mark_near.c), exactly those live that a model reaches.  Every size that fits
 * a kilobyte in its own way, edges down, up, to anywhere near and to far, beside fields
 * that hold neighbours' addresses and are no pointers; by the instructions of this CPU,
 * and by those that every CPU has.
 */
#include "lib.h"

#include "internal.h"

#define OBJECTS		3000u
#define EDGES		2
#define ROOTS		3

#define N16_FIELDS(F)	F(REF, struct n16, a) F(REF, struct n16, b)
#define N32_FIELDS(F)	F(REF, struct n32, a) F(VAL, uintptr_t, bait) F(REF, struct n32, b) \
			F(VAL, uintptr_t, last)
#define N48_FIELDS(F)	F(VAL, uintptr_t, bait) F(REF, struct n48, a) F(VALS, uintptr_t, pad, 2) \
			F(REF, struct n48, b) F(VAL, uintptr_t, last)
#define N64_FIELDS(F)	F(REF, struct n64, a) F(VAL, uintptr_t, bait) \
			F(VALS, uintptr_t, pad, 4) F(REF, struct n64, b) F(VAL, uintptr_t, last)
#define N208_FIELDS(F)	F(REF, struct n208, a) F(VAL, uintptr_t, bait) \
			F(VALS, uintptr_t, pad, 22) F(REF, struct n208, b) F(VAL, uintptr_t, last)
GCA_STRUCT(n16, N16_FIELDS);
GCA_STRUCT(n32, N32_FIELDS);
GCA_STRUCT(n48, N48_FIELDS);
GCA_STRUCT(n64, N64_FIELDS);
GCA_STRUCT(n208, N208_FIELDS);

enum shape { DOWN, UP, AROUND, SHAPES };

static const char * const shape_names[SHAPES] = { "down", "up", "around" };
static gca_ref *objects;	/* while they are linked: in a frame of run() */
static uintptr_t address[OBJECTS];
static uint32_t edge[OBJECTS][EDGES];	/* index + 1, or 0 */
static bool reached[OBJECTS];

/* To which object the edges of the @i'th go. */
static uint32_t choose(struct rng *rng, enum shape shape, uint32_t i, unsigned int which)
{
	uint32_t step = which ? 1 + (uint32_t)rng_below(rng, 40) : 1;

	if (rng_below(rng, 5) == 0)
		return 0;
	if (shape == AROUND && rng_below(rng, 16) == 0)
		return 1 + (uint32_t)rng_below(rng, OBJECTS);
	if (shape == UP || (shape == AROUND && rng_below(rng, 2)))
		return i + step < OBJECTS ? i + step + 1 : 0;
	return i >= step ? i - step + 1 : 0;
}

static size_t reach(const uint32_t *from)
{
	static uint32_t stack[OBJECTS];
	size_t count = 0, top = 0;

	memset(reached, 0, sizeof(reached));
	for (unsigned int i = 0; i < ROOTS; i++) {
		if (!reached[from[i]])
			stack[top++] = from[i];
		reached[from[i]] = true;
	}
	for (; top; count++) {
		uint32_t at = stack[--top];

		for (unsigned int i = 0; i < EDGES; i++) {
			uint32_t to = edge[at][i];

			if (!to || reached[to - 1])
				continue;
			reached[to - 1] = true;
			stack[top++] = to - 1;
		}
	}
	return count;
}

static void bait16(struct n16 *node, uintptr_t value)
{
}

#define BAIT(tag)							\
static void bait##tag(struct n##tag *node, uintptr_t value)		\
{									\
	node->bait = value;						\
	node->last = value;						\
}

BAIT(32)
BAIT(48)
BAIT(64)
BAIT(208)

/* All of one size: made in order, then linked, so that edges go both ways. */
#define MAKE(tag)							\
static void make##tag(struct gca_mutator *m)				\
{									\
	for (uint32_t i = 0; i < OBJECTS; i++)				\
		gca_store(m, &objects[i], must(gca_new(m, n##tag)));	\
	for (uint32_t i = 0; i < OBJECTS; i++) {			\
		struct n##tag *node = gca_load(&objects[i]);		\
									\
		address[i] = (uintptr_t)node;				\
		if (edge[i][0])						\
			gca_store(m, &node->a, (struct n##tag *)	\
				  gca_load(&objects[edge[i][0] - 1]));	\
		if (edge[i][1])						\
			gca_store(m, &node->b, (struct n##tag *)	\
				  gca_load(&objects[edge[i][1] - 1]));	\
		bait##tag(node, (uintptr_t)gca_load(&objects[i ^ 1]));	\
	}								\
}

MAKE(16)
MAKE(32)
MAKE(48)
MAKE(64)
MAKE(208)

static void run(unsigned int bytes, void (*make)(struct gca_mutator *m), enum shape shape)
{
	static gca_ref roots[ROOTS];
	struct rng rng = rng_seeded(bytes + shape);
	size_t wrong = 0, want;
	struct gca_config config;
	struct gca_mutator *m;
	struct gca_heap *heap;
	uint32_t from[ROOTS];

	gca_config_init(&config);
	config.percent = GCA_PERCENT_OFF;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	if (gca_root_add(heap, roots, sizeof(roots)))
		bail("gca_root_add: %s", gca_error());
	for (uint32_t i = 0; i < OBJECTS; i++)
		for (unsigned int k = 0; k < EDGES; k++)
			edge[i][k] = choose(&rng, shape, i, k);
	for (unsigned int i = 0; i < ROOTS; i++)
		from[i] = OBJECTS / 4 * (i + 1);
	{
		GCA_FRAME(m, f, gca_ref *objects);
		f.objects = must(gca_new_refs(m, OBJECTS));
		objects = f.objects;
		make(m);
		for (unsigned int i = 0; i < ROOTS; i++)
			gca_store(m, &roots[i], gca_load(&objects[from[i]]));
	}
	want = reach(from);
	/* Twice: the second time beside what is dead and not used again. */
	eq(live_objects(m), want, "%u bytes, edges %s: as many live as are reached", bytes,
	   shape_names[shape]);
	eq(live_objects(m), want, "%u bytes, edges %s: and again", bytes, shape_names[shape]);
	for (uint32_t i = 0; i < OBJECTS; i++)
		wrong += reached[i] != (gca_object_of(heap, (void *)address[i], NULL) ==
					(void *)address[i]);
	eq(wrong, 0, "%u bytes, edges %s: these and no others", bytes, shape_names[shape]);
	ok(want > 20 && want < OBJECTS, "%zu of %u", want, OBJECTS);
	memset(roots, 0, sizeof(roots));
	eq(live_objects(m), 0, "%u bytes, edges %s: then none", bytes, shape_names[shape]);
	gca_root_remove(heap, roots);
	gca_detach(m);
	eq(gca_close(heap), 0, "close");
}

int main(void)
{
	for (int narrow = 0; narrow < 2; narrow++) {
		diag("%s", narrow ? "instructions that every CPU has" : "this CPU's");
		gca_fault_arm(GCA_FAULT_NARROW, (uint64_t)narrow);
		for (enum shape shape = DOWN; shape < SHAPES; shape++) {
			run(16, make16, shape);
			run(32, make32, shape);
			run(48, make48, shape);
			run(64, make64, shape);
			run(208, make208, shape);
		}
	}
	gca_fault_arm(GCA_FAULT_NARROW, 0);
	return tap_done();
}
