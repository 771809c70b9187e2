// SPDX-License-Identifier: MIT
/*
 * Building the graph, replacing packages in it, and summing it up.
 *
 * Loading is one thread's work; replacing may run in several threads at once,
 * each with packages of its own, while any number of threads read.  What makes
 * that right: a version is complete before the one store that publishes it, no
 * published version changes, and the name table does not change after loading.
 *
 * These functions run on threads with conservative stacks: locals, and struct
 * builder, keep what they point to alive, without ceremony.  They must never be
 * called on a thread attached with GCA_STACK_PRECISE, except where said.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "graph.h"
#include "hash.h"

#define BYTES_PER_BUCKET	512	/* of the index: chains of one or two names */
#define BUCKETS_MIN		64
#define LIST_ROOM		1024

struct graph_roots roots;

/*
 * What building one version needs.
 * @version: being built, not published yet
 * @last: its latest relation
 * @clauses: how many of its clauses have begun
 * @old: the version that it replaces, or NULL when loading
 * @old_last: the relation of @old that corresponds to @last
 */
struct builder {
	struct gca_mutator *m;
	struct graph *graph;
	const struct index *index;
	struct mistake *mistake;
	struct version *version;
	struct relation *last;
	uint32_t clauses;
	struct version *old;
	struct relation *old_last;
};

static char *text_new(struct gca_mutator *m, struct slice text)
{
	char *copy = gca_new_bytes(m, text.length + 1);

	if (copy)
		memcpy(copy, text.at, text.length);
	return copy;
}

static bool slice_is(struct slice slice, const char *text)
{
	return strlen(text) == slice.length && !memcmp(text, slice.at, slice.length);
}

static gca_ref *bucket_of(const struct graph *graph, uint32_t hash)
{
	return &gca_load(&graph->buckets)[hash & (graph->nr_buckets - 1)];
}

static uint32_t hash_of(struct slice name)
{
	return hash_bytes(HASH_START, name.at, name.length);
}

/* NULL when there is no such name.  May run beside replacing. */
static struct package *package_find(const struct graph *graph, struct slice name)
{
	uint32_t hash = hash_of(name);
	struct package *package = gca_load(bucket_of(graph, hash));

	while (package && (package->hash != hash || !slice_is(name, gca_load(&package->name))))
		package = gca_load(&package->next);
	return package;
}

/* The package of that name, made when there is none.  Loading only. */
static struct package *package_intern(struct gca_mutator *m, struct graph *graph,
				      struct slice name)
{
	struct package *package = package_find(graph, name), *base = NULL;
	const char *colon;
	char *text;

	if (package)
		return package;
	colon = memchr(name.at, ':', name.length);
	if (colon) {
		base = package_intern(m, graph, (struct slice){ name.at, colon - name.at });
		if (!base)
			return NULL;
	}
	text = text_new(m, name);
	if (!text)
		return NULL;
	package = gca_new(m, package);
	if (!package)
		return NULL;
	/* New, and no allocation until it is published: these are its first stores. */
	package->hash = hash_of(name);
	package->id = gca_load(&graph->packages)->nr;
	gca_init(m, &package->name, text);
	gca_init(m, &package->base, base);
	if (base)
		gca_init(m, &package->qualified, gca_load(&base->qualified));
	gca_init(m, &package->next, gca_load(bucket_of(graph, package->hash)));
	if (list_add(m, gca_load(&graph->packages), package))
		return NULL;
	gca_store(m, bucket_of(graph, package->hash), package);
	if (base)
		gca_store(m, &base->qualified, package);
	return package;
}

/* The relation of the old version that says what the next new one will. */
static struct relation *old_counterpart(const struct builder *b, const struct term *term)
{
	if (term->alternative)
		return b->old_last ? gca_load(&b->old_last->alternative) : NULL;
	return b->clauses < b->old->clauses ? gca_load(&b->old->clause[b->clauses]) : NULL;
}

/* The way back for a new relation: a new edge, or the one its counterpart has. */
static struct edge *edge_for(struct builder *b, const struct term *term, enum relation_kind kind,
			     struct package *target)
{
	struct edge *edge;

	if (b->old)
		return gca_load(&b->old_last->edge);
	edge = gca_new(b->m, edge);
	if (!edge)
		return NULL;
	edge->kind = kind;
	gca_init(b->m, &edge->from, b->version);
	if (kind == KIND_PROVIDES) {
		gca_init(b->m, &edge->next, gca_load(&target->providers));
		gca_store(b->m, &target->providers, edge);
	} else {
		gca_init(b->m, &edge->next, gca_load(&target->dependers));
		gca_store(b->m, &target->dependers, edge);
	}
	return edge;
}

static int relation_build(struct builder *b, const struct term *term, enum relation_kind kind)
{
	struct gca_mutator *m = b->m;
	struct relation *relation;
	struct package *target;
	struct edge *edge;
	char *bound = NULL;

	if (b->old) {
		b->old_last = old_counterpart(b, term);
		target = package_find(b->graph, term->name);
		if (!target || !b->old_last || gca_load(&b->old_last->target) != target ||
		    b->old_last->kind != kind)
			return mistake_set(b->mistake, term->name.at,
					   "the index changed while it was in use");
	} else {
		target = package_intern(m, b->graph, term->name);
	}
	if (term->op != OP_NONE)
		bound = text_new(m, term->bound);
	if (!target || (term->op != OP_NONE && !bound))
		return -ENOMEM;
	edge = edge_for(b, term, kind, target);
	if (!edge)
		return -ENOMEM;
	relation = gca_new(m, relation);
	if (!relation)
		return -ENOMEM;
	relation->kind = kind;
	relation->op = term->op;
	gca_init(m, &relation->target, target);
	gca_init(m, &relation->bound, bound);
	gca_init(m, &relation->edge, edge);
	/* Older objects, though still this thread's own: gca_store(). */
	if (term->alternative)
		gca_store(m, &b->last->alternative, relation);
	else
		gca_store(m, &b->version->clause[b->clauses++], relation);
	b->last = relation;
	return 0;
}

static const struct {
	enum field field;
	enum relation_kind kind;
} relation_fields[] = {
	{ FIELD_DEPENDS, KIND_DEPENDS },
	{ FIELD_PRE_DEPENDS, KIND_PRE_DEPENDS },
	{ FIELD_RECOMMENDS, KIND_RECOMMENDS },
	{ FIELD_PROVIDES, KIND_PROVIDES },
};

static enum multi_arch multi_arch_of(struct slice value)
{
	if (value.at && slice_is(value, "same"))
		return MULTI_ARCH_SAME;
	if (value.at && slice_is(value, "foreign"))
		return MULTI_ARCH_FOREIGN;
	if (value.at && slice_is(value, "allowed"))
		return MULTI_ARCH_ALLOWED;
	return MULTI_ARCH_NO;
}

/* A fresh version of @package as @stanza has it; not published. */
static int version_build(struct builder *b, struct package *package, const struct stanza *stanza,
			 uint32_t round)
{
	struct gca_mutator *m = b->m;
	uint32_t clauses = 0;
	char *text, *arch;
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(relation_fields); i++)
		clauses += clause_count(stanza->field[relation_fields[i].field]);
	text = text_new(m, stanza->field[FIELD_VERSION]);
	arch = text_new(m, stanza->field[FIELD_ARCHITECTURE]);
	b->version = gca_new_tail(m, version, clauses);
	if (!text || !arch || !b->version)
		return -ENOMEM;
	b->version->offset = stanza->offset;
	b->version->round = round;
	b->version->clauses = clauses;
	b->version->multi_arch = multi_arch_of(stanza->field[FIELD_MULTI_ARCH]);
	gca_init(m, &b->version->package, package);
	gca_init(m, &b->version->text, text);
	gca_init(m, &b->version->arch, arch);
	b->clauses = 0;
	for (size_t i = 0; i < ARRAY_SIZE(relation_fields); i++) {
		enum relation_kind kind = relation_fields[i].kind;
		struct term_cursor cursor;
		struct term term;

		term_begin(&cursor, stanza->field[relation_fields[i].field],
			   kind == KIND_PROVIDES);
		while ((err = term_next(&cursor, &term, b->mistake)) > 0) {
			err = relation_build(b, &term, kind);
			if (err)
				return err;
			if (b->old)
				continue;
			if (term.alternative)
				b->graph->nr_alternatives++;
			else
				b->graph->nr_relations[kind]++;
		}
		if (err)
			return err;
	}
	return 0;
}

/* Puts a version among those of its package, newest first.  Loading only. */
static void version_insert(struct gca_mutator *m, struct package *package,
			   struct version *version)
{
	const char *text = gca_load(&version->text);
	struct version *at = gca_load(&package->versions), *previous = NULL;

	while (at && version_compare(gca_load(&at->text), text) >= 0) {
		previous = at;
		at = gca_load(&at->older);
	}
	gca_store(m, &version->older, at);
	if (previous)
		gca_store(m, &previous->older, version);
	else
		gca_store(m, &package->versions, version);
}

static bool version_known(const struct package *package, const struct stanza *stanza)
{
	const struct version *v;

	for (v = gca_load(&package->versions); v; v = gca_load(&v->older))
		if (slice_is(stanza->field[FIELD_VERSION], gca_load(&v->text)) &&
		    slice_is(stanza->field[FIELD_ARCHITECTURE], gca_load(&v->arch)))
			return true;
	return false;
}

static int stanza_load(struct builder *b, const struct stanza *stanza)
{
	struct package *package = package_intern(b->m, b->graph, stanza->field[FIELD_PACKAGE]);
	int err;

	if (!package)
		return -ENOMEM;
	if (version_known(package, stanza)) {
		/* Two archives have it: the first stanza counts. */
		b->graph->nr_duplicates++;
		return 0;
	}
	err = version_build(b, package, stanza, 0);
	if (err)
		return err;
	if (!gca_load(&package->versions) &&
	    list_add(b->m, gca_load(&b->graph->indexed), package))
		return -ENOMEM;
	version_insert(b->m, package, b->version);
	b->graph->nr_versions++;
	return 0;
}

static struct graph *graph_new(struct gca_mutator *m, const struct index *index)
{
	uint32_t nr_buckets = BUCKETS_MIN;
	struct list *packages, *indexed;
	struct graph *graph;
	gca_ref *buckets;

	while (nr_buckets < index->length / BYTES_PER_BUCKET && nr_buckets < UINT32_MAX / 2)
		nr_buckets *= 2;
	buckets = gca_new_refs(m, nr_buckets);
	packages = list_new(m, LIST_ROOM);
	indexed = list_new(m, LIST_ROOM);
	graph = gca_new(m, graph);
	if (!buckets || !packages || !indexed || !graph)
		return NULL;
	graph->nr_buckets = nr_buckets;
	gca_init(m, &graph->buckets, buckets);
	gca_init(m, &graph->packages, packages);
	gca_init(m, &graph->indexed, indexed);
	return graph;
}

/**
 * graph_load - build the graph of an index and make it the root
 * @m: the calling thread's
 * @index: the index
 * @mistake: what is wrong with it
 *
 * Return: 0, -ENOMEM, or -EINVAL; the root is set only at 0.
 */
int graph_load(struct gca_mutator *m, const struct index *index, struct mistake *mistake)
{
	struct builder b = { .m = m, .index = index, .mistake = mistake };
	struct stanza stanza;
	uint64_t offset = 0;
	int err;

	b.graph = graph_new(m, index);
	if (!b.graph)
		return -ENOMEM;
	while ((err = stanza_next(index, &offset, &stanza, mistake)) > 0) {
		err = stanza_load(&b, &stanza);
		if (err)
			return err;
	}
	if (!err && !b.graph->nr_versions)
		err = mistake_set(mistake, index->text, "no package in it");
	if (!err)
		gca_store(m, &roots.graph, b.graph);
	return err;
}

/* Fresh versions for all of @package's, in the same order; the first, or NULL. */
static struct version *versions_rebuild(struct builder *b, struct package *package,
					uint32_t round, int *err)
{
	struct version *first = NULL, *last = NULL, *old;

	for (old = gca_load(&package->versions); old; old = gca_load(&old->older)) {
		uint64_t offset = old->offset;
		struct stanza stanza;

		*err = stanza_next(b->index, &offset, &stanza, b->mistake);
		if (*err == 1 && slice_is(stanza.field[FIELD_PACKAGE], gca_load(&package->name))) {
			b->old = old;
			b->old_last = NULL;
			*err = version_build(b, package, &stanza, round);
		} else if (*err >= 0) {
			*err = mistake_set(b->mistake, NULL,
					   "the index changed while it was in use");
		}
		if (*err)
			return NULL;
		if (last)
			gca_store(b->m, &last->older, b->version);
		else
			first = b->version;
		last = b->version;
	}
	return first;
}

/**
 * graph_replace - put freshly parsed versions in the place of a package's own
 * @m: the calling thread's
 * @index: the index that the graph was loaded from
 * @package: which one; no other thread replaces it at the same time
 * @round: what the new versions are marked with
 * @mistake: what is wrong with the index
 *
 * Readers need no lock and see the old versions or the new ones.  What was
 * replaced becomes garbage.
 *
 * Return: 0, -ENOMEM, or -EINVAL; the package is changed only at 0.
 */
int graph_replace(struct gca_mutator *m, const struct index *index, struct package *package,
		  uint32_t round, struct mistake *mistake)
{
	struct builder b = {
		.m = m, .graph = gca_load(&roots.graph), .index = index, .mistake = mistake,
	};
	struct version *old = gca_load(&package->versions), *fresh;
	int err = 0;

	fresh = versions_rebuild(&b, package, round, &err);
	if (err)
		return err;
	if (!gca_compare_exchange(m, &package->versions, old, fresh)) {
		/* A second writer: the caller's mistake, not the input's. */
		abort();
	}
	/* The ways back follow.  Until then they lead to the old version, which
	 * still names the same package and says the same.
	 */
	for (; fresh; fresh = gca_load(&fresh->older))
		for (uint32_t i = 0; i < fresh->clauses; i++)
			for (struct relation *r = gca_load(&fresh->clause[i]); r;
			     r = gca_load(&r->alternative))
				gca_store(m, &gca_load(&r->edge)->from, fresh);
	return 0;
}

static bool published(const struct version *version)
{
	const struct version *v;

	for (v = gca_load(&gca_load(&version->package)->versions); v; v = gca_load(&v->older))
		if (v == version)
			return true;
	return false;
}

static uint64_t hash_string(uint64_t hash, const char *text)
{
	return text ? hash_bytes(hash, text, strlen(text)) : hash_add(hash, 0);
}

static uint64_t version_hash(uint64_t hash, const struct version *version)
{
	hash = hash_string(hash, gca_load(&version->text));
	hash = hash_string(hash, gca_load(&version->arch));
	hash = hash_add(hash, version->round);
	hash = hash_add(hash, version->multi_arch);
	for (uint32_t i = 0; i < version->clauses; i++) {
		const struct relation *r;

		for (r = gca_load(&version->clause[i]); r; r = gca_load(&r->alternative)) {
			hash = hash_add(hash, r->kind << 8 | r->op);
			hash = hash_add(hash, gca_load(&r->target)->hash);
			hash = hash_string(hash, gca_load(&r->bound));
		}
		hash = hash_add(hash, i);
	}
	return hash;
}

static uint64_t edges_hash(uint64_t hash, const struct edge *edge, struct graph_summary *summary)
{
	for (; edge; edge = gca_load(&edge->next)) {
		const struct version *from = gca_load(&edge->from);

		hash = hash_add(hash, gca_load(&from->package)->hash ^ edge->kind);
		summary->edges++;
		summary->stale += !published(from);
	}
	return hash;
}

/**
 * graph_summarise - look at everything in the graph
 * @graph: which no thread may be replacing in
 * @summary: filled in
 *
 * Allocates nothing; for any thread.
 */
void graph_summarise(const struct graph *graph, struct graph_summary *summary)
{
	const struct list *packages = gca_load(&graph->packages);
	uint64_t hash = HASH_START;

	memset(summary, 0, sizeof(*summary));
	for (uint32_t i = 0; i < packages->nr; i++) {
		const struct package *package = list_get(packages, i);
		const struct version *v;

		hash = hash_string(hash, gca_load(&package->name));
		for (v = gca_load(&package->versions); v; v = gca_load(&v->older))
			hash = version_hash(hash, v);
		hash = edges_hash(hash, gca_load(&package->dependers), summary);
		hash = edges_hash(hash, gca_load(&package->providers), summary);
	}
	summary->hash = hash;
}

/**
 * graph_lose_edge - make the graph wrong, so that a comparison can be tested
 * @m: the calling thread's
 * @graph: loses the newest edge of the first package that has any
 *
 * Allocates nothing; for any thread.
 */
void graph_lose_edge(struct gca_mutator *m, struct graph *graph)
{
	const struct list *packages = gca_load(&graph->packages);

	for (uint32_t i = 0; i < packages->nr; i++) {
		struct package *package = list_get(packages, i);
		struct edge *edge = gca_load(&package->dependers);

		if (edge) {
			gca_store(m, &package->dependers, gca_load(&edge->next));
			return;
		}
	}
}
