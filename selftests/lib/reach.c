// SPDX-License-Identifier: MIT
/*
 * Random object graphs against a model: after each collection exactly the
 * objects that the model reaches are there, with the contents they were given.
 *
 * The model lives outside the heap and holds addresses as numbers, so that it
 * keeps nothing alive.  Stacks are precise; the only roots are one registered
 * range.
 */
#include "lib.h"

#define EDGES_MAX	6
#define ROOTS		64

struct node;
#define NODE_FIELDS(F)					\
	F(VAL, uint32_t, id)				\
	F(VAL, uint32_t, bytes)				\
	F(REFS, struct node, edge, EDGES_MAX)		\
	F(REF, unsigned char, payload)
GCA_STRUCT(node, NODE_FIELDS);

/* The same with a pad that makes it a kind with an id, not pointer bits. */
#define BIG_FIELDS(F)					\
	F(VAL, uint32_t, id)				\
	F(VAL, uint32_t, bytes)				\
	F(REFS, struct node, edge, EDGES_MAX)		\
	F(REF, unsigned char, payload)			\
	F(VALS, uintptr_t, pad, 80)
GCA_STRUCT(bignode, BIG_FIELDS);

static void trace_node(const void *object, size_t size, struct gca_visitor *visitor)
{
	const struct node *node = object;

	gca_visit_slots(visitor, node->edge, EDGES_MAX);
	gca_visit(visitor, &node->payload);
}

typedef GCA_REF(struct node) node_ref;
typedef GCA_REF(unsigned char) payload_ref;

struct tracednode {
	uint32_t id;
	uint32_t bytes;
	node_ref edge[EDGES_MAX];
	payload_ref payload;
};

GCA_TRACED(tracednode, trace_node);

struct model_node {
	uintptr_t address;	/* 0: not allocated */
	uintptr_t payload;
	uint32_t bytes;
	uint32_t edge[EDGES_MAX];	/* model index + 1, or 0 */
	bool reached;
};

static struct model_node *model;
static uint32_t nr_model;
static uint32_t root_of[ROOTS];		/* model index + 1, or 0 */
static node_ref roots[ROOTS];

static unsigned char payload_byte(uint32_t id)
{
	return (unsigned char)(id * 167 + 13);
}

static uint32_t random_reached(struct rng *rng)
{
	/* From a root along a few edges, as a program would find it. */
	uint32_t index = root_of[rng_below(rng, ROOTS)];
	unsigned int steps = (unsigned int)rng_below(rng, 12);

	while (index && steps--) {
		uint32_t next = model[index - 1].edge[rng_below(rng, EDGES_MAX)];

		if (next)
			index = next;
	}
	return index;
}

static struct node *node_of(uint32_t index)
{
	return index ? (struct node *)model[index - 1].address : NULL;
}

static uint32_t add_node(struct gca_mutator *m, struct rng *rng)
{
	struct model_node *entry;
	unsigned int sort = (unsigned int)rng_below(rng, 8);

	GCA_FRAME(m, f, struct node *node);
	/* Never so many that the model's array is short: see main(). */
	entry = &model[nr_model];
	memset(entry, 0, sizeof(*entry));
	if (sort == 0)
		f.node = must(gca_new(m, bignode));
	else if (sort == 1)
		f.node = must(gca_new(m, tracednode));
	else
		f.node = must(gca_new(m, node));
	entry->address = (uintptr_t)f.node;
	f.node->id = nr_model;
	if (rng_below(rng, 2)) {
		uint32_t bytes = (uint32_t)rng_below(rng, rng_below(rng, 200) ? 700 : 70000);
		unsigned char *payload;

		entry->bytes = bytes + 16;
		payload = must(gca_new_bytes(m, entry->bytes));
		memset(payload, payload_byte(nr_model), entry->bytes);
		entry->payload = (uintptr_t)payload;
		gca_store(m, &f.node->payload, payload);
		f.node->bytes = entry->bytes;
	}
	return ++nr_model;
}

static void set_edge(struct gca_mutator *m, uint32_t from, unsigned int edge, uint32_t to)
{
	gca_store(m, &node_of(from)->edge[edge], node_of(to));
	model[from - 1].edge[edge] = to;
}

static void set_root(struct gca_mutator *m, unsigned int root, uint32_t to)
{
	gca_store(m, &roots[root], node_of(to));
	root_of[root] = to;
}

static void step(struct gca_mutator *m, struct rng *rng)
{
	uint32_t from = random_reached(rng);
	uint32_t fresh;

	switch (rng_below(rng, 16)) {
	case 0:	/* a root goes elsewhere */
		if (rng_below(rng, 8) == 0)
			set_root(m, (unsigned int)rng_below(rng, ROOTS), from);
		break;
	case 1:
		if (rng_below(rng, 16) == 0)
			set_root(m, (unsigned int)rng_below(rng, ROOTS), add_node(m, rng));
		break;
	case 2:
		if (rng_below(rng, 64) == 0)
			set_root(m, (unsigned int)rng_below(rng, ROOTS), 0);
		break;
	case 3:
	case 4:
	case 5:	/* an edge goes elsewhere, making cycles */
		if (from)
			set_edge(m, from, (unsigned int)rng_below(rng, EDGES_MAX),
				 random_reached(rng));
		break;
	case 6:
		if (from)
			set_edge(m, from, (unsigned int)rng_below(rng, EDGES_MAX), 0);
		break;
	default: {
		GCA_FRAME(m, f, struct node *fresh);

		if (!from)
			break;
		fresh = add_node(m, rng);
		f.fresh = node_of(fresh);
		set_edge(m, from, (unsigned int)rng_below(rng, EDGES_MAX), fresh);
	}
	}
}

static uint64_t reach(uint32_t *stack)
{
	uint64_t objects = 0;
	size_t top = 0;

	for (uint32_t i = 0; i < nr_model; i++)
		model[i].reached = false;
	for (unsigned int i = 0; i < ROOTS; i++)
		if (root_of[i] && !model[root_of[i] - 1].reached) {
			model[root_of[i] - 1].reached = true;
			stack[top++] = root_of[i] - 1;
		}
	while (top) {
		struct model_node *node = &model[stack[--top]];

		objects += 1 + (node->payload != 0);
		for (unsigned int i = 0; i < EDGES_MAX; i++)
			if (node->edge[i] && !model[node->edge[i] - 1].reached) {
				model[node->edge[i] - 1].reached = true;
				stack[top++] = node->edge[i] - 1;
			}
	}
	return objects;
}

struct verdict {
	size_t gone;		/* reachable, yet not an object */
	size_t wrong;		/* contents */
	size_t kept;		/* unreachable, yet an object */
};

static void check_node(struct gca_heap *heap, uint32_t index, struct verdict *verdict)
{
	struct model_node *entry = &model[index];
	struct node *node = (struct node *)entry->address;

	if (gca_object_of(heap, node, NULL) != node) {
		verdict->gone++;
		return;
	}
	verdict->wrong += node->id != index || node->bytes != entry->bytes;
	for (unsigned int i = 0; i < EDGES_MAX; i++)
		verdict->wrong += gca_load(&node->edge[i]) != node_of(entry->edge[i]);
	verdict->wrong += (uintptr_t)gca_load(&node->payload) != entry->payload;
	if (entry->payload &&
	    !is_filled((void *)entry->payload, payload_byte(index), entry->bytes))
		verdict->wrong++;
}

/* Indices of the dead are not used again, so the array is compacted. */
static void forget_dead(uint32_t *map)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < nr_model; i++)
		map[i] = model[i].reached ? ++kept : 0;
	for (uint32_t i = 0; i < nr_model; i++) {
		if (!map[i])
			continue;
		for (unsigned int j = 0; j < EDGES_MAX; j++)
			if (model[i].edge[j])
				model[i].edge[j] = map[model[i].edge[j] - 1];
		/* The object's id follows, and its payload's bytes. */
		((struct node *)model[i].address)->id = map[i] - 1;
		if (model[i].payload)
			memset((void *)model[i].payload, payload_byte(map[i] - 1), model[i].bytes);
		model[map[i] - 1] = model[i];
	}
	for (unsigned int i = 0; i < ROOTS; i++)
		if (root_of[i])
			root_of[i] = map[root_of[i] - 1];
	nr_model = kept;
}

static void run(enum gca_mode mode, uint64_t salt, int percent)
{
	const char *name = mode == GCA_MODE_CONCURRENT ? "concurrent" : "stop-the-world";
	/* Below these the graph does not grow to be one. */
	size_t rounds = scaled(20) < 4 ? 4 : scaled(20);
	size_t steps = scaled(20000) < 4000 ? 4000 : scaled(20000);
	size_t room = rounds * steps + ROOTS;
	struct rng rng = rng_seeded(salt);
	struct verdict verdict = { 0, 0, 0 };
	uint64_t most = 0, counted = 0;
	struct gca_config config;
	uint32_t *scratch;
	struct gca_mutator *m;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.mode = mode;
	config.percent = percent;
	heap = open_with(&config);
	m = attach(heap, GCA_STACK_PRECISE);
	model = calloc(room, sizeof(*model));
	scratch = calloc(room, sizeof(*scratch));
	nr_model = 0;
	memset(root_of, 0, sizeof(root_of));
	if (gca_root_add(heap, roots, sizeof(roots)))
		bail("gca_root_add: %s", gca_error());

	for (size_t round = 0; round < rounds; round++) {
		uint64_t want, got;

		for (size_t i = 0; i < steps; i++)
			step(m, &rng);
		want = reach(scratch);
		got = live_objects(m);
		if (got != want) {
			counted++;
			diag("round %zu: %llu objects live, the model has %llu", round,
			     (unsigned long long)got, (unsigned long long)want);
		}
		if (want > most)
			most = want;
		for (uint32_t i = 0; i < nr_model; i++) {
			if (model[i].reached)
				check_node(heap, i, &verdict);
			else if (gca_object_of(heap, (void *)model[i].address, NULL) ==
				 (void *)model[i].address)
				verdict.kept++;
		}
		forget_dead(scratch);
		if (round % 4 == 3)	/* many deaths at once */
			for (unsigned int i = 0; i < ROOTS; i += 2)
				set_root(m, i, 0);
	}
	diag("%s: up to %llu objects live in %zu rounds, %llu cycles", name,
	     (unsigned long long)most, rounds, (unsigned long long)stats_of(heap).num_gc);
	/* With more steps a round it dies together more often, and is no larger. */
	ok(most > (steps < 20000 ? steps : 20000) / 10, "%s, percent %d: the graph is not trivial",
	   name, percent);
	eq(counted, 0, "%s: as many objects live as the model reaches", name);
	eq(verdict.gone, 0, "%s: everything reachable is there", name);
	eq(verdict.wrong, 0, "%s: with its contents", name);
	if (percent == GCA_PERCENT_OFF)
		eq(verdict.kept, 0, "%s: nothing else is", name);
	eq(gca_root_remove(heap, roots), 0, "%s: roots removed", name);
	eq(live_objects(m), 0, "%s: then nothing is left", name);
	gca_detach(m);
	eq(gca_close(heap), 0, "%s: close", name);
	free(model);
	free(scratch);
}

int main(void)
{
	run(GCA_MODE_CONCURRENT, 11, GCA_PERCENT_OFF);
	run(GCA_MODE_STOP_THE_WORLD, 12, GCA_PERCENT_OFF);
	/* Cycles at any moment of the steps, as the pace has it. */
	run(GCA_MODE_CONCURRENT, 13, 20);
	return tap_done();
}
