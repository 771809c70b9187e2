// SPDX-License-Identifier: MIT
/*
 * Reverse-dependency closures and install sets.
 *
 * Locals on a conservatively scanned stack are all it takes to keep the working
 * sets alive: nothing is registered, nothing is freed.  Must not run on a thread
 * with a precise stack, and must not store into the graph.
 *
 * Pointers out of the graph are loaded once and used from the local: loading
 * twice may give two versions when another thread replaces the package.
 */
#include <errno.h>
#include <string.h>

#include "hash.h"
#include "query.h"

/* ------------------------------------------------------------- dependers */

/* Everything whose Depends or Pre-Depends name @package. */
static int add_dependers(struct gca_mutator *m, struct set *set, const struct package *package)
{
	const struct edge *edge;

	for (edge = gca_load(&package->dependers); edge; edge = gca_load(&edge->next)) {
		struct package *from = gca_load(&gca_load(&edge->from)->package);

		if (edge->kind == KIND_RECOMMENDS)
			continue;
		if (set_add(m, set, from->id, from) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The other names that @package answers to: what depends on them may mean it. */
static int add_aliases(struct gca_mutator *m, struct set *set, const struct package *package)
{
	const struct version *v;
	struct package *other;

	for (v = gca_load(&package->versions); v; v = gca_load(&v->older))
		for (uint32_t i = 0; i < v->clauses; i++) {
			const struct relation *r = gca_load(&v->clause[i]);

			if (r->kind != KIND_PROVIDES)
				continue;
			other = gca_load(&r->target);
			if (set_add(m, set, other->id, other) < 0)
				return -ENOMEM;
		}
	if (gca_load(&package->base))
		return 0;
	for (other = gca_load(&package->qualified); other; other = gca_load(&other->qualified))
		if (set_add(m, set, other->id, other) < 0)
			return -ENOMEM;
	return 0;
}

/**
 * query_dependers - everything that may need a package, directly or not
 * @m: the calling thread's
 * @package: which
 * @answer: filled in; the package itself counts
 *
 * Return: 0 or -ENOMEM.
 */
int query_dependers(struct gca_mutator *m, struct package *package, struct answer *answer)
{
	struct set *set = set_new(m);

	if (!set || set_add(m, set, package->id, package) < 0)
		return -ENOMEM;
	/* The set grows while it is walked: the order of insertion is the queue. */
	for (uint32_t i = 0; i < set_size(set); i++) {
		const struct package *at = set_member(set, i);

		if (add_dependers(m, set, at) || add_aliases(m, set, at))
			return -ENOMEM;
	}
	memset(answer, 0, sizeof(*answer));
	for (uint32_t i = 0; i < set_size(set); i++) {
		const struct package *at = set_member(set, i);

		if (gca_load(&at->versions))
			answer->size++;
		else
			answer->extra++;
		answer->hash += hash_mix(at->hash);
	}
	return 0;
}

/* --------------------------------------------------------------- install */

static bool arch_fits(const struct version *wants, const struct version *has)
{
	const char *a = gca_load(&wants->arch), *b = gca_load(&has->arch);

	return !strcmp(a, b) || !strcmp(a, "all") || !strcmp(b, "all") ||
	       has->multi_arch == MULTI_ARCH_FOREIGN;
}

static bool bound_holds(const char *version, enum relation_op op, const char *bound)
{
	int order;

	if (op == OP_NONE)
		return true;
	order = version_compare(version, bound);
	switch (op) {
	case OP_LT:
		return order < 0;
	case OP_LE:
		return order <= 0;
	case OP_EQ:
		return order == 0;
	case OP_GE:
		return order >= 0;
	default:
		return order > 0;
	}
}

/* Whether @version satisfies @relation of @wants under its own name. */
static bool satisfies_by_name(const struct version *wants, const struct relation *relation,
			      const struct version *version)
{
	const struct package *target = gca_load(&relation->target);

	if (gca_load(&target->base)) {
		const char *qualifier = strchr(gca_load(&target->name), ':') + 1;

		if (!strcmp(qualifier, "any")) {
			if (version->multi_arch != MULTI_ARCH_ALLOWED)
				return false;
		} else if (strcmp(qualifier, "native") &&
			   strcmp(qualifier, gca_load(&version->arch))) {
			return false;
		}
	} else if (!arch_fits(wants, version)) {
		return false;
	}
	return bound_holds(gca_load(&version->text), relation->op, gca_load(&relation->bound));
}

/* Whether @version provides what @relation of @wants asks for. */
static bool satisfies_by_providing(const struct version *wants, const struct relation *relation,
				   const struct version *version)
{
	const struct package *target = gca_load(&relation->target);

	if (!arch_fits(wants, version))
		return false;
	for (uint32_t i = 0; i < version->clauses; i++) {
		const struct relation *r = gca_load(&version->clause[i]);

		if (r->kind != KIND_PROVIDES || gca_load(&r->target) != target)
			continue;
		if (relation->op == OP_NONE ||
		    (r->op == OP_EQ && bound_holds(gca_load(&r->bound), relation->op,
						   gca_load(&relation->bound))))
			return true;
	}
	return false;
}

/* The package whose versions satisfy @relation by name. */
static const struct package *named_package(const struct relation *relation)
{
	const struct package *target = gca_load(&relation->target);
	const struct package *base = gca_load(&target->base);

	return base ? base : target;
}

/* The version to take for one alternative: the newest of that name, else the first
 * provider.  NULL: nothing satisfies it.
 */
static struct version *candidate(const struct version *wants, const struct relation *relation)
{
	const struct edge *edge;
	struct version *v;

	for (v = gca_load(&named_package(relation)->versions); v; v = gca_load(&v->older))
		if (satisfies_by_name(wants, relation, v))
			return v;
	edge = gca_load(&gca_load(&relation->target)->providers);
	for (; edge; edge = gca_load(&edge->next)) {
		v = gca_load(&edge->from);
		if (satisfies_by_providing(wants, relation, v))
			return v;
	}
	return NULL;
}

/* Whether what is chosen already satisfies one alternative. */
static bool satisfied(const struct set *chosen, const struct version *wants,
		      const struct relation *relation)
{
	const struct version *v = set_find(chosen, named_package(relation)->id);
	const struct edge *edge;

	if (v && satisfies_by_name(wants, relation, v))
		return true;
	edge = gca_load(&gca_load(&relation->target)->providers);
	for (; edge; edge = gca_load(&edge->next)) {
		v = set_find(chosen, gca_load(&gca_load(&edge->from)->package)->id);
		if (v && satisfies_by_providing(wants, relation, v))
			return true;
	}
	return false;
}

/* Chooses for one clause: 1 satisfied, 0 nothing satisfies it, -ENOMEM. */
static int choose(struct gca_mutator *m, struct set *chosen, const struct version *wants,
		  const struct relation *clause)
{
	const struct relation *r;

	for (r = clause; r; r = gca_load(&r->alternative))
		if (satisfied(chosen, wants, r))
			return 1;
	for (r = clause; r; r = gca_load(&r->alternative)) {
		struct version *v = candidate(wants, r);
		int added;

		if (!v)
			continue;
		added = set_add(m, chosen, gca_load(&v->package)->id, v);
		/* Chosen before in another version: one of the two loses, and that is
		 * a conflict for a package manager, which this is not.
		 */
		return added;
	}
	return 0;
}

/**
 * query_install - what installing a package brings along
 * @m: the calling thread's
 * @package: which; a name that has versions
 * @recommends: follow Recommends too
 * @answer: filled in
 *
 * As apt without a solver: for each clause the first alternative that can be
 * satisfied, in the newest version, unless something chosen does already.
 *
 * Return: 0 or -ENOMEM.
 */
int query_install(struct gca_mutator *m, struct package *package, bool recommends,
		  struct answer *answer)
{
	struct set *chosen = set_new(m);
	struct version *newest = gca_load(&package->versions);
	int err;

	memset(answer, 0, sizeof(*answer));
	if (!chosen || set_add(m, chosen, package->id, newest) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < set_size(chosen); i++) {
		const struct version *v = set_member(chosen, i);

		for (uint32_t c = 0; c < v->clauses; c++) {
			const struct relation *clause = gca_load(&v->clause[c]);

			if (clause->kind == KIND_PROVIDES ||
			    (clause->kind == KIND_RECOMMENDS && !recommends))
				continue;
			err = choose(m, chosen, v, clause);
			if (err < 0)
				return err;
			if (!err && clause->kind != KIND_RECOMMENDS)
				answer->extra++;
		}
		answer->hash = hash_add(answer->hash, gca_load(&v->package)->hash);
		answer->hash = hash_bytes(answer->hash, gca_load(&v->text),
					  strlen(gca_load(&v->text)));
	}
	answer->size = set_size(chosen);
	return 0;
}
