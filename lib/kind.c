// SPDX-License-Identifier: MIT
/*
 * Kinds: where the pointers of an object are.
 *
 * Kinds belong to the process, are registered once and never freed, so that the
 * marker reads them without a lock: an entry of the table is published with
 * release after the kind is complete.  Layouts are the program's static data and
 * are checked here once; a bad one gives a kind from which every allocation
 * fails with the reason, rather than a null pointer in the fast path.
 */
#include "internal.h"

#define RUNS_MAX	(1u << 20)	/* a layout without an end is a mistake */
#define WORD		((uint32_t)sizeof(void *))

static const struct gca_run no_runs[] = { { 0, 0 } };

static struct kind bad_layout = {
	.name = "(bad)", .wrong = "the layout of this kind is bad", .runs = no_runs,
	.tail = GCA_NO_TAIL,
};

static struct kind too_many = {
	.name = "(bad)", .wrong = "there are 65535 kinds already", .runs = no_runs,
	.tail = GCA_NO_TAIL,
};

static struct kind no_memory = {
	.name = "(bad)", .wrong = "no memory for the kind", .runs = no_runs,
	.tail = GCA_NO_TAIL,
};

static struct kind noscan = {
	.abi = {
		.class_of = small_class_of[GCA_FLAVOUR_NOSCAN], .id = KIND_NOSCAN,
		.flavour = GCA_FLAVOUR_NOSCAN, .inline_ok = 1,
	},
	.name = "bytes", .runs = no_runs, .tail = GCA_NO_TAIL,
};

/* Its pointers are counted by the request: the slow path sets the bits. */
static struct kind refs = {
	.abi = {
		.class_of = small_class_of[GCA_FLAVOUR_PRECISE], .id = KIND_REFS,
		.flavour = GCA_FLAVOUR_PRECISE,
	},
	.name = "refs", .runs = no_runs, .tail = 0,
};

static struct kind conservative = {
	.abi = {
		.class_of = small_class_of[GCA_FLAVOUR_CONSERVATIVE], .id = KIND_CONSERVATIVE,
		.flavour = GCA_FLAVOUR_CONSERVATIVE, .inline_ok = 1,
	},
	.name = "conservative", .runs = no_runs, .tail = GCA_NO_TAIL, .conservative = true,
};

static const struct kind *kinds[KINDS_MAX] = {
	[KIND_NOSCAN] = &noscan,
	[KIND_REFS] = &refs,
	[KIND_CONSERVATIVE] = &conservative,
};

#define KINDS_MAPPED	64u	/* at a time */

static pthread_mutex_t kinds_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t nr_kinds = KIND_FIRST;	/* kinds_lock */

/**
 * kind_by_id - the kind that a cell of the kind table names
 * @id: what the cell holds
 */
const struct kind *kind_by_id(uint32_t id)
{
	if (unlikely(id >= KINDS_MAX))
		return NULL;
	return __atomic_load_n(&kinds[id], __ATOMIC_ACQUIRE);
}

/**
 * kind_lock - no kind is being registered until kind_unlock()
 */
void kind_lock(void)
{
	pthread_mutex_lock(&kinds_lock);
}

/**
 * kind_unlock - the counterpart of kind_lock()
 */
void kind_unlock(void)
{
	pthread_mutex_unlock(&kinds_lock);
}

/* NULL when @layout is good, else what is wrong with it. */
static const char *layout_fault(const struct gca_layout *layout)
{
	const struct gca_run *run;

	if (!layout->runs)
		return "a layout without runs";
	if (layout->tail != GCA_NO_TAIL &&
	    (layout->tail % WORD || layout->tail > layout->size))
		return "the tail is not inside the structure or not aligned";
	for (run = layout->runs; run->count; run++) {
		if (run - layout->runs == RUNS_MAX)
			return "the runs do not end";
		if (run->offset % WORD)
			return "a pointer field is not aligned (packed?)";
		if (run->offset > layout->size ||
		    run->count > (layout->size - run->offset) / WORD)
			return "a pointer field is outside the structure";
	}
	if (layout->trace && (layout->runs->count || layout->tail != GCA_NO_TAIL))
		return "a trace callback and pointer fields exclude each other";
	if (layout->flags & ~(GCA_LAYOUT_EXACT | GCA_LAYOUT_INTERIOR | GCA_LAYOUT_CHANGES))
		return "an unknown flag";
	if (layout->trace && layout->flags & ~GCA_LAYOUT_EXACT)
		return "a trace callback excludes flags: it goes by fields that do not change";
	return NULL;
}

static uint64_t pointer_mask_of(const struct gca_run *run)
{
	uint64_t mask = 0;
	uint32_t i;

	for (; run->count; run++)
		for (i = 0; i < run->count; i++)
			mask |= 1ULL << (run->offset / WORD + i);
	return mask;
}

/* kinds_lock held.  Kinds are for ever. */
static struct kind *kind_memory(void)
{
	static struct kind *left;
	static unsigned int nr_left;

	if (!nr_left) {
		left = array_map(KINDS_MAPPED * sizeof(*left));
		if (!left)
			return NULL;
		nr_left = KINDS_MAPPED;
	}
	nr_left--;
	return left++;
}

static struct kind *kind_new(const struct gca_layout *layout, uint32_t id)
{
	struct kind *kind = kind_memory();

	if (!kind)
		return NULL;
	kind->name = layout->name ? layout->name : "(unnamed)";
	kind->runs = layout->runs;
	kind->tail = layout->tail;
	kind->trace = layout->trace;
	kind->abi.id = id;
	kind->abi.size = layout->size;
	kind->interior = layout->flags & GCA_LAYOUT_INTERIOR;
	kind->changes = layout->flags & GCA_LAYOUT_CHANGES;
	if (layout->trace || layout->flags & (GCA_LAYOUT_INTERIOR | GCA_LAYOUT_CHANGES)) {
		kind->abi.flavour = GCA_FLAVOUR_KINDED;
	} else if (!layout->runs->count && layout->tail == GCA_NO_TAIL) {
		kind->abi.flavour = GCA_FLAVOUR_NOSCAN;
		kind->abi.inline_ok = 1;
	} else {
		kind->abi.flavour = GCA_FLAVOUR_PRECISE;
		if (layout->size <= GCA_INLINE_MAX)
			kind->abi.pointer_mask = pointer_mask_of(layout->runs);
		/* The inline path compares sizes only when there is one. */
		kind->abi.inline_ok = layout->size > 0 && layout->size <= GCA_INLINE_MAX;
	}
	kind->abi.class_of = small_class_of[kind->abi.flavour];
	if (!kind->abi.inline_ok || !layout->size || layout->size > GCA_INLINE_MAX)
		return kind;
	if (kind->abi.flavour == GCA_FLAVOUR_PRECISE && layout->flags & GCA_LAYOUT_EXACT &&
	    layout->tail == GCA_NO_TAIL && layout->size % GCARENA_GRANULE_SIZE == 0)
		kind->abi.class_of = exact_class_of;
	kind->abi.cache_offset = (uint32_t)sizeof(struct gca_cache) *
		kind->abi.class_of[(layout->size + 16) >> GCARENA_GRANULE_SHIFT];
	return kind;
}

/**
 * gca_kind_register - make a kind of a layout, once
 * @layout: the program's, static; its @kind is set
 *
 * Any thread, any time, before a heap is open too.
 *
 * Return: the kind; never NULL.  gca_error() says why a bad one is bad.
 */
const struct gca_kind *gca_kind_register(struct gca_layout *layout)
{
	RUNTIME();
	const struct gca_kind *done;
	const char *fault;
	struct kind *kind;

	sizeclass_init();
	pthread_mutex_lock(&kinds_lock);
	done = __atomic_load_n(&layout->kind, __ATOMIC_ACQUIRE);
	if (done) {
		pthread_mutex_unlock(&kinds_lock);
		return done;
	}
	fault = layout_fault(layout);
	if (fault) {
		error_set(-EINVAL, "kind %s: %s", layout->name ? layout->name : "(unnamed)", fault);
		kind = &bad_layout;
	} else if (nr_kinds == KINDS_MAX) {
		error_set(-ENOSPC, "kind %s: %s", layout->name ? layout->name : "(unnamed)",
			  too_many.wrong);
		kind = &too_many;
	} else {
		kind = kind_new(layout, nr_kinds);
		if (kind)
			__atomic_store_n(&kinds[nr_kinds++], kind, __ATOMIC_RELEASE);
	}
	/* Memory may be there the next time: this one is not remembered. */
	if (kind)
		__atomic_store_n(&layout->kind, &kind->abi, __ATOMIC_RELEASE);
	else
		error_set(-ENOMEM, "kind %s: %s", layout->name ? layout->name : "(unnamed)",
			  no_memory.wrong);
	pthread_mutex_unlock(&kinds_lock);
	return kind ? &kind->abi : &no_memory.abi;
}

static struct kind *array_new(const struct kind *of, uint32_t id)
{
	struct kind *kind = kind_memory();

	if (!kind)
		return NULL;
	*kind = (struct kind){
		.abi = {
			.class_of = small_class_of[of->abi.flavour], .id = id,
			.flavour = of->abi.flavour,
		},
		.name = of->name, .runs = of->runs, .trace = of->trace, .tail = GCA_NO_TAIL,
		.elem = of->abi.size, .interior = of->interior,
	};
	return kind;
}

/**
 * kind_array_of - the kind of arrays of a kind
 * @of: the elements', with a size, without a tail, good
 *
 * Return: it, or NULL with gca_error() set: no memory, or too many kinds.
 */
const struct kind *kind_array_of(const struct kind *of)
{
	struct kind *element = (struct kind *)of;
	const struct kind *array = __atomic_load_n(&of->array, __ATOMIC_ACQUIRE);
	struct kind *made = NULL;

	if (array)
		return array;
	pthread_mutex_lock(&kinds_lock);
	array = element->array;
	if (!array && nr_kinds < KINDS_MAX)
		made = array_new(of, nr_kinds);
	if (made) {
		__atomic_store_n(&kinds[nr_kinds++], made, __ATOMIC_RELEASE);
		__atomic_store_n(&element->array, made, __ATOMIC_RELEASE);
		array = made;
	}
	pthread_mutex_unlock(&kinds_lock);
	if (!array)
		error_set(-ENOMEM, "kind %s: no array of it can be had", of->name);
	return array;
}

/**
 * gca_kind_noscan - the kind of bytes without pointers
 */
const struct gca_kind *gca_kind_noscan(void)
{
	return &noscan.abi;
}

/**
 * gca_kind_refs - the kind of arrays of pointers
 */
const struct gca_kind *gca_kind_refs(void)
{
	return &refs.abi;
}

/**
 * gca_kind_conservative - the kind of data in which any word may be a pointer
 */
const struct gca_kind *gca_kind_conservative(void)
{
	return &conservative.abi;
}
