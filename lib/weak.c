// SPDX-License-Identifier: MIT
/*
 * Weak references, ephemerons, and the gate that weak loads wait at.
 *
 * A weak reference is an object of its own without pointers, as far as the marker
 * knows: a box with the target's address.  An ephemeron is one with key and value.
 * The heap lists the boxes; a cycle looks through the lists and clears.
 *
 * A weak load while marking is on shades what it returns.  So that marking can end,
 * the gate is closed before its last round: who reads the gate open has shaded
 * before its answer in that round; who reads it closed is given only what is marked,
 * and else waits, blocked, until the clearing is over.  Gate and handshake order
 * each other (both sequentially consistent); nothing between the look at the gate
 * and the shade is a safepoint.
 *
 * Boxes are written by their maker before they are listed, and then only by a cycle
 * behind the closed gate, or with the world stopped; by gca_weak_clear() and
 * gca_ephemeron_set_value() at any time.
 */
#include "internal.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Passes over the ephemerons before they are indexed by key: chains that run with or
 * against the order in which they were made take two.
 */
#define PASSES		4u

struct gca_weak {
	uintptr_t target;	/* atomic; 0: cleared */
};

struct gca_ephemeron {
	uintptr_t key;		/* atomic; 0: cleared, and so is value */
	uintptr_t value;	/* atomic */
};

static uintptr_t get(const uintptr_t *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* -------------------------------------------------------------------- gate */

/**
 * weak_gate_close - let weak loads of unmarked objects wait
 * @heap: the heap, marking on; a flush handshake follows
 */
void weak_gate_close(struct gca_heap *heap)
{
	if (!gca_fault_hit(GCA_FAULT_OPEN_GATE))
		__atomic_store_n(&heap->special.gate, 1, __ATOMIC_SEQ_CST);
}

/**
 * weak_gate_open - let them go on
 * @heap: the heap
 */
void weak_gate_open(struct gca_heap *heap)
{
	__atomic_store_n(&heap->special.gate, 0, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &heap->special.gate, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static bool gate_closed(struct gca_heap *heap)
{
	return __atomic_load_n(&heap->special.gate, __ATOMIC_SEQ_CST);
}

static void gate_wait(struct gca_mutator *mutator)
{
	struct gca_heap *heap = mutator->heap;
	enum account_state before = account_switch(&mutator->account, ACCOUNT_GATE);
	uint64_t begin = mutator->account.since;

	blocked_enter(mutator);
	syscall(SYS_futex, &heap->special.gate, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	blocked_leave(mutator);
	profile_wait_end(mutator, before);
	__atomic_add_fetch(&heap->special.gate_wait_ns, mutator->account.since - begin,
			   __ATOMIC_RELAXED);
}

/* While marking is on.  @box, which @word is in, must outlive a wait. */
static void *weak_load_marking(struct gca_mutator *mutator, void *box, const uintptr_t *word)
{
	GCA_FRAME(mutator, f, void *box);
	uintptr_t object;

	f.box = box;
	for (;;) {
		/*
		 * Before the reference: seen open, it cannot close, and so what is
		 * read cannot be cleared, until this mutator has answered.  Seen
		 * open after it, it may have been closed when the reference was read.
		 */
		bool closed = gate_closed(mutator->heap);

		object = get(word);
		gca_stage(mutator->heap, GCA_STAGE_WEAK_LOADED);
		/* By the mutator's own bits, which are those of this cycle until it is
		 * told: the heap's may be the next one's already.
		 */
		if (!object || !mutator->mark_bits ||
		    bit_test(mutator->mark_bits, granule_of(mutator->heap, object)))
			return (void *)object;
		if (gca_fault_hit(GCA_FAULT_GATE_SEEN_LATE))
			closed = gate_closed(mutator->heap);
		if (!closed) {
			mark_shade(mutator, object);
			return (void *)object;
		}
		gate_wait(mutator);
	}
}

/* What @word of @box holds, alive while the caller holds it: NULL when cleared. */
static void *weak_load(struct gca_mutator *mutator, void *box, const uintptr_t *word)
{
	/* Nothing is cleared before every mutator's marking is on. */
	if (likely(!mutator->mark_bits))
		return (void *)get(word);
	return weak_load_marking(mutator, box, word);
}

/* -------------------------------------------------------------------- boxes */

static bool is_object(struct gca_heap *heap, const void *object, const char *what)
{
	if (heap_usable(heap))
		return false;
	if (object && gca_object_of(heap, object, NULL) == object)
		return true;
	error_set(-EINVAL, "%s: %p is not an object of this heap", what, object);
	return false;
}

/* Lock held, room made.  Cycles ask without it whether there is anything. */
static void list_append(struct address_list *list, uintptr_t address)
{
	list->entries[list->nr] = address;
	__atomic_store_n(&list->nr, list->nr + 1, __ATOMIC_RELAXED);
}

/* Only after this may @box hold what it refers to: an unlisted one is never cleared. */
static bool list_box(struct gca_heap *heap, struct address_list *list, void *box)
{
	bool done;

	pthread_mutex_lock(&heap->special.lock);
	done = array_room((void **)&list->entries, list->nr, &list->max,
			  sizeof(*list->entries));
	if (done)
		list_append(list, (uintptr_t)box);
	pthread_mutex_unlock(&heap->special.lock);
	if (!done)
		error_set(-ENOMEM, "no memory for a weak reference");
	return done;
}

/**
 * gca_weak_new - a weak reference to an object
 * @mutator: the calling thread's
 * @target: the object's base
 *
 * A safepoint.  Return: the reference, an object of the heap, or NULL: no memory, or
 * @target is no object.
 */
struct gca_weak *gca_weak_new(struct gca_mutator *mutator, void *target)
{
	RUNTIME();
	GCA_FRAME(mutator, f, void *target);
	struct gca_weak *weak;

	f.target = target;
	if (!is_object(mutator->heap, target, "weak reference"))
		return NULL;
	weak = gca_new_bytes(mutator, sizeof(*weak));
	if (!weak || !list_box(mutator->heap, &mutator->heap->special.weaks, weak))
		return NULL;
	/* No safepoint since it was listed: @target is held, hence marked when a
	 * cycle looks at the box.
	 */
	__atomic_store_n(&weak->target, (uintptr_t)target, __ATOMIC_RELEASE);
	return weak;
}

/**
 * gca_weak_get - the target of a weak reference
 * @mutator: the calling thread's
 * @weak: the reference
 *
 * May wait for the end of a cycle's marking, blocked: a safepoint.
 *
 * Return: the target, which lives while the caller holds it, or NULL: it is gone.
 */
void *gca_weak_get(struct gca_mutator *mutator, struct gca_weak *weak)
{
	RUNTIME();
	/* In a child of fork() there is no box either. */
	return heap_usable(mutator->heap) ? NULL : weak_load(mutator, weak, &weak->target);
}

/**
 * gca_weak_clear - let a weak reference refer to nothing
 * @weak: the reference
 */
void gca_weak_clear(struct gca_weak *weak)
{
	RUNTIME();
	if (!heap_inherited(weak))
		__atomic_store_n(&weak->target, 0, __ATOMIC_RELEASE);
}

static void set_value(struct gca_mutator *mutator, struct gca_ephemeron *ephemeron, void *value)
{
	/* The ephemeron may have been looked at already in this cycle. */
	if (mutator->mark_bits && value)
		mark_shade(mutator, (uintptr_t)value);
	__atomic_store_n(&ephemeron->value, (uintptr_t)value, __ATOMIC_RELEASE);
}

/**
 * gca_ephemeron_new - a value that lives as long as its key does
 * @mutator: the calling thread's
 * @key: an object's base; the ephemeron does not keep it alive
 * @value: an object, or NULL; kept alive while ephemeron and key are
 *
 * A safepoint.  Return: the ephemeron, an object of the heap, or NULL: no memory, or
 * @key or @value is no object.
 */
struct gca_ephemeron *gca_ephemeron_new(struct gca_mutator *mutator, void *key, void *value)
{
	RUNTIME();
	GCA_FRAME(mutator, f, void *key; void *value);
	struct gca_ephemeron *ephemeron;

	f.key = key;
	f.value = value;
	if (!is_object(mutator->heap, key, "ephemeron's key") ||
	    (value && !is_object(mutator->heap, value, "ephemeron's value")))
		return NULL;
	ephemeron = gca_new_bytes(mutator, sizeof(*ephemeron));
	if (!ephemeron ||
	    !list_box(mutator->heap, &mutator->heap->special.ephemerons, ephemeron))
		return NULL;
	set_value(mutator, ephemeron, value);
	__atomic_store_n(&ephemeron->key, (uintptr_t)key, __ATOMIC_RELEASE);
	return ephemeron;
}

/**
 * gca_ephemeron_key - the key of an ephemeron
 * @mutator: the calling thread's
 * @ephemeron: the ephemeron
 *
 * A safepoint, as gca_weak_get().  Return: the key, or NULL: it is gone.
 */
void *gca_ephemeron_key(struct gca_mutator *mutator, struct gca_ephemeron *ephemeron)
{
	RUNTIME();
	return heap_usable(mutator->heap) ? NULL :
					    weak_load(mutator, ephemeron, &ephemeron->key);
}

/**
 * gca_ephemeron_value - the value of an ephemeron
 * @mutator: the calling thread's
 * @ephemeron: the ephemeron
 *
 * A safepoint, as gca_weak_get().  Return: the value, or NULL: the key is gone, or
 * the value is NULL.
 */
void *gca_ephemeron_value(struct gca_mutator *mutator, struct gca_ephemeron *ephemeron)
{
	RUNTIME();
	/* What was set after the key was gone is nobody's to keep. */
	if (heap_usable(mutator->heap) || !get(&ephemeron->key))
		return NULL;
	return weak_load(mutator, ephemeron, &ephemeron->value);
}

/**
 * gca_ephemeron_set_value - give an ephemeron another value
 * @mutator: the calling thread's
 * @ephemeron: the ephemeron; when its key is gone the value is not kept alive
 * @value: an object, or NULL; what is neither is refused, and gca_error() says so
 */
void gca_ephemeron_set_value(struct gca_mutator *mutator, struct gca_ephemeron *ephemeron,
			     void *value)
{
	RUNTIME();
	if (heap_usable(mutator->heap) ||
	    (value && !is_object(mutator->heap, value, "ephemeron's value")))
		return;
	set_value(mutator, ephemeron, value);
}

/* ---------------------------------------------------------------- the cycle */

/* Entries [*at, *at + SPECIAL_PIECE) of @list are copied to @piece: how many. */
static size_t next_piece(struct gca_heap *heap, const struct address_list *list, size_t *at,
			 uintptr_t *piece)
{
	size_t nr;

	pthread_mutex_lock(&heap->special.lock);
	nr = list->nr - *at < SPECIAL_PIECE ? list->nr - *at : SPECIAL_PIECE;
	if (nr)
		memcpy(piece, list->entries + *at, nr * sizeof(*piece));
	pthread_mutex_unlock(&heap->special.lock);
	*at += nr;
	return nr;
}

/* A value that has to be marked because of @ephemeron, or 0. */
static uintptr_t owed(const struct gca_heap *heap, const struct gca_ephemeron *ephemeron)
{
	uintptr_t key = get(&ephemeron->key);
	uintptr_t value = get(&ephemeron->value);

	if (!key || !value || special_marked(heap, value) || !special_marked(heap, key) ||
	    !special_marked(heap, (uintptr_t)ephemeron))
		return 0;
	return value;
}

static bool pass(struct gca_heap *heap, struct gca_visitor *visitor, uintptr_t *piece)
{
	bool some = false;
	size_t at = 0, nr, i;

	while ((nr = next_piece(heap, &heap->special.ephemerons, &at, piece))) {
		for (i = 0; i < nr; i++) {
			uintptr_t value = owed(heap, (struct gca_ephemeron *)piece[i]);

			if (!value)
				continue;
			visitor->value(visitor, (void *)value);
			mark_drain(visitor);
			some = true;
		}
	}
	return some;
}

/* By keys and by ephemerons: whose marking may make a value owed. */
struct index {
	struct addrmap first;	/* address to entry + 1 */
	struct entry {
		struct gca_ephemeron *ephemeron;
		size_t next;	/* entry + 1, 0: the last */
	} *entries;
	size_t nr;
	size_t max;
	struct gca_heap *heap;
	uintptr_t *owed;	/* values, a stack; each entry is there once at most */
	size_t nr_owed;
};

static bool index_add(struct index *index, uintptr_t address, struct gca_ephemeron *ephemeron)
{
	struct entry *entry = &index->entries[index->nr];
	uint64_t next = 0;

	addrmap_get(&index->first, address, &next);
	if (addrmap_put(&index->first, address, index->nr + 1))
		return false;
	*entry = (struct entry){ ephemeron, next };
	index->nr++;
	return true;
}

/* From the marker, for each object that it marks. */
static void see_marked(void *arg, uintptr_t object)
{
	struct index *index = arg;
	uint64_t at;

	if (!addrmap_get(&index->first, object, &at))
		return;
	for (; at; at = index->entries[at - 1].next) {
		uintptr_t value = owed(index->heap, index->entries[at - 1].ephemeron);

		/* Each of the two of an ephemeron is marked once. */
		if (value)
			index->owed[index->nr_owed++] = value;
	}
}

static bool index_build(struct index *index, struct gca_heap *heap, uintptr_t *piece)
{
	size_t max, at = 0, nr, i;

	pthread_mutex_lock(&heap->special.lock);
	max = heap->special.ephemerons.nr;
	pthread_mutex_unlock(&heap->special.lock);
	/* Not malloc's: in a stop somebody who stands still may hold its locks. */
	index->max = max * 2;
	index->entries = table_map(index->max * sizeof(*index->entries));
	index->owed = table_map(index->max * sizeof(*index->owed));
	if (!index->entries || !index->owed)
		return false;
	while ((nr = next_piece(heap, &heap->special.ephemerons, &at, piece))) {
		for (i = 0; i < nr && index->nr + 2 <= max * 2; i++) {
			struct gca_ephemeron *ephemeron = (struct gca_ephemeron *)piece[i];
			uintptr_t key = get(&ephemeron->key);

			if (!key)
				continue;
			if ((!special_marked(heap, key) && !index_add(index, key, ephemeron)) ||
			    (!special_marked(heap, piece[i]) &&
			     !index_add(index, piece[i], ephemeron)))
				return false;
		}
	}
	return true;
}

/* As pass(), in time linear in what is marked, whatever the order of a chain. */
static void pass_indexed(struct gca_heap *heap, struct gca_visitor *visitor, uintptr_t *piece)
{
	struct index index = { .heap = heap };

	/* Without memory for it: by passes. */
	if (index_build(&index, heap, piece)) {
		mark_watch(visitor, see_marked, &index);
		do {
			while (index.nr_owed) {
				visitor->value(visitor, (void *)index.owed[--index.nr_owed]);
				mark_drain(visitor);
			}
			/* What was owed when the index was built, and what mutators
			 * have marked since.
			 */
		} while (pass(heap, visitor, piece) || index.nr_owed);
		mark_watch(visitor, NULL, NULL);
	}
	addrmap_free(&index.first);
	table_unmap(index.entries, index.max * sizeof(*index.entries));
	table_unmap(index.owed, index.max * sizeof(*index.owed));
}

/**
 * ephemerons_mark - mark what live ephemerons with live keys keep alive
 * @heap: the heap, marking on or stopped
 * @visitor: the marker's, which has nothing grey
 *
 * Return: whether it marked something; then nothing is grey again.
 */
bool ephemerons_mark(struct gca_heap *heap, struct gca_visitor *visitor)
{
	uintptr_t *piece = heap->special.piece;
	unsigned int passes = 0;
	bool some = false;

	if (!__atomic_load_n(&heap->special.ephemerons.nr, __ATOMIC_RELAXED))
		return false;
	while (pass(heap, visitor, piece)) {
		some = true;
		if (++passes == PASSES)
			pass_indexed(heap, visitor, piece);
	}
	return some;
}

/**
 * ephemerons_visit - show a visitor the values that ephemerons keep alive
 * @heap: the heap, stopped
 * @visitor: who wants to see them
 * @seen: whether it has seen an object
 *
 * Return: true when something new was shown: call again.
 */
bool ephemerons_visit(struct gca_heap *heap, struct gca_visitor *visitor,
		      bool (*seen)(struct gca_visitor *visitor, uintptr_t object))
{
	const struct address_list *list = &heap->special.ephemerons;
	bool some = false;
	size_t i;

	for (i = 0; i < list->nr; i++) {
		const struct gca_ephemeron *ephemeron = (void *)list->entries[i];
		uintptr_t key = get(&ephemeron->key), value = get(&ephemeron->value);

		if (!key || !value || seen(visitor, value) || !seen(visitor, key) ||
		    !seen(visitor, list->entries[i]))
			continue;
		visitor->value(visitor, (void *)value);
		some = true;
	}
	return some;
}

/**
 * weak_clear - clear what refers to unmarked objects
 * @heap: the heap, gate closed or stopped, marking done but for resurrection
 *
 * Boxes that are unmarked themselves too: a finalizer may bring them back.
 */
void weak_clear(struct gca_heap *heap)
{
	uintptr_t *piece = heap->special.piece;
	size_t at = 0, nr, i;

	while ((nr = next_piece(heap, &heap->special.weaks, &at, piece))) {
		for (i = 0; i < nr; i++) {
			struct gca_weak *weak = (struct gca_weak *)piece[i];
			uintptr_t target = get(&weak->target);

			if (target && !special_marked(heap, target))
				__atomic_store_n(&weak->target, 0, __ATOMIC_RELEASE);
		}
	}
	at = 0;
	while ((nr = next_piece(heap, &heap->special.ephemerons, &at, piece))) {
		for (i = 0; i < nr; i++) {
			struct gca_ephemeron *ephemeron = (struct gca_ephemeron *)piece[i];
			uintptr_t key = get(&ephemeron->key);

			if (!key || special_marked(heap, key))
				continue;
			__atomic_store_n(&ephemeron->key, 0, __ATOMIC_RELEASE);
			__atomic_store_n(&ephemeron->value, 0, __ATOMIC_RELEASE);
		}
	}
}

/* Takes out of @list what is unmarked or cleared: a cleared box stays so. */
static void forget(struct gca_heap *heap, struct address_list *list)
{
	size_t from = 0, to = 0, end;

	pthread_mutex_lock(&heap->special.lock);
	while (from < list->nr) {
		end = list->nr - from < SPECIAL_PIECE ? list->nr : from + SPECIAL_PIECE;
		for (; from < end; from++) {
			uintptr_t box = list->entries[from];

			/* Both sorts begin with the word that is cleared; one just
			 * listed has not got it yet.
			 */
			if (special_marked(heap, box))
				list->entries[to++] = box;
		}
		/* Whoever adds one now does so behind @from. */
		pthread_mutex_unlock(&heap->special.lock);
		pthread_mutex_lock(&heap->special.lock);
	}
	__atomic_store_n(&list->nr, to, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&heap->special.lock);
}

/**
 * weak_forget - forget the boxes that are dead
 * @heap: the heap, as for weak_clear(), after resurrection
 */
void weak_forget(struct gca_heap *heap)
{
	forget(heap, &heap->special.weaks);
	forget(heap, &heap->special.ephemerons);
}
