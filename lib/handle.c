// SPDX-License-Identifier: MIT
/*
 * Handles and pins: strong references from outside of the heap.
 *
 * A handle is a slot of a block that is a registered range of roots, so stores to it
 * go through the barrier, and marking it is nobody's special case.  Blocks are never
 * given back before the heap is closed.
 *
 * A pin counts, for one object, those who need it where no reference shows: a buffer
 * that a device or another process works on.  The first pin takes a handle, which a
 * map from the object's address leads to; its block counts.
 */
#include "internal.h"

#define BLOCK_SLOTS	512u

struct gca_handle {
	gca_ref slot;
};

/* special.lock covers all but the slots. */
struct handle_block {
	struct handle_block *next;	/* of those with a free slot */
	struct gca_handle *handles;	/* BLOCK_SLOTS of them: a range of roots */
	uint32_t nr_free;
	uint16_t free[BLOCK_SLOTS];	/* indices, a stack */
	uint64_t used[BLOCK_SLOTS / 64];
	size_t pins[BLOCK_SLOTS];	/* how often its object is pinned by this handle */
};

#define BLOCK_BYTES	(BLOCK_SLOTS * sizeof(struct gca_handle))

/* A block is a page, and page-aligned: that is how a handle finds it. */
_Static_assert(BLOCK_BYTES == 4096, "bytes of handles in a block");

/* Lock held: a handle of some block, or NULL. */
static struct gca_handle *take(struct special *special)
{
	struct handle_block *block = special->handles;
	uint16_t at;

	if (!block)
		return NULL;
	at = block->free[--block->nr_free];
	block->used[at / 64] |= 1ULL << at % 64;
	if (!block->nr_free)
		special->handles = block->next;
	return &block->handles[at];
}

/* Lock held: the block that @handle would be of, or NULL. */
static struct handle_block *block_of(const struct special *special, const struct gca_handle *handle)
{
	uint64_t value;

	if (!addrmap_get(&special->handle_blocks, (uintptr_t)handle & ~(BLOCK_BYTES - 1), &value))
		return NULL;
	return (struct handle_block *)(uintptr_t)value;
}

/* Lock held: true when @handle is one in use, which it is no more then. */
static bool give_back(struct special *special, struct gca_handle *handle)
{
	struct handle_block *block = block_of(special, handle);
	uint16_t at;

	if (!block)
		return false;
	at = (uint16_t)(handle - block->handles);
	if (&block->handles[at] != handle || !(block->used[at / 64] >> at % 64 & 1))
		return false;
	block->used[at / 64] &= ~(1ULL << at % 64);
	if (!block->nr_free) {
		block->next = special->handles;
		special->handles = block;
	}
	block->free[block->nr_free++] = at;
	return true;
}

/* A safepoint. */
static int add_block(struct gca_heap *heap)
{
	struct handle_block *block = array_map(sizeof(*block));
	int error = -ENOMEM;

	if (!block)
		return error_set(-ENOMEM, "no memory for handles");
	block->handles = table_map(BLOCK_BYTES);
	if (block->handles)
		error = gca_root_add(heap, block->handles, BLOCK_BYTES);
	if (error)
		goto fail;
	for (; block->nr_free < BLOCK_SLOTS; block->nr_free++)
		block->free[block->nr_free] = (uint16_t)(BLOCK_SLOTS - 1 - block->nr_free);
	pthread_mutex_lock(&heap->special.lock);
	error = addrmap_put(&heap->special.handle_blocks, (uintptr_t)block->handles,
			    (uintptr_t)block);
	if (!error) {
		block->next = heap->special.handles;
		heap->special.handles = block;
	}
	pthread_mutex_unlock(&heap->special.lock);
	if (!error)
		return 0;
	gca_root_remove(heap, block->handles);
fail:
	table_unmap(block->handles, BLOCK_BYTES);
	array_unmap(block, sizeof(*block));
	return error_set(error, "no memory for handles");
}

/**
 * gca_handle_new - a strong reference for whoever is no root
 * @mutator: the calling thread's
 * @object: an object's base, or NULL
 *
 * A safepoint.  Return: the handle, or NULL: no memory, or the heap is gone.  Any
 * thread may use it.
 */
struct gca_handle *gca_handle_new(struct gca_mutator *mutator, void *object)
{
	RUNTIME();
	GCA_FRAME(mutator, f, void *object);
	struct special *special = &mutator->heap->special;
	struct gca_handle *handle;

	if (heap_usable(mutator->heap))
		return NULL;
	f.object = object;
	for (;;) {
		pthread_mutex_lock(&special->lock);
		handle = take(special);
		pthread_mutex_unlock(&special->lock);
		if (handle)
			break;
		if (add_block(mutator->heap))
			return NULL;
	}
	gca_store(mutator, &handle->slot, object);
	return handle;
}

/**
 * gca_handle_get - the object of a handle
 * @handle: the handle
 *
 * Return: the object, or NULL: there is none, or in a child of fork().
 */
void *gca_handle_get(const struct gca_handle *handle)
{
	return heap_inherited(handle) ? NULL : gca_load(&handle->slot);
}

/**
 * gca_handle_set - let a handle refer to another object
 * @mutator: the calling thread's
 * @handle: the handle
 * @object: an object's base, or NULL
 */
void gca_handle_set(struct gca_mutator *mutator, struct gca_handle *handle, void *object)
{
	RUNTIME();
	if (!heap_usable(mutator->heap))
		gca_store(mutator, &handle->slot, object);
}

/**
 * gca_handle_free - end a handle
 * @mutator: the calling thread's
 * @handle: the handle, or NULL
 *
 * Return: 0, -EINVAL: not a handle of this heap, or -EIO.
 */
int gca_handle_free(struct gca_mutator *mutator, struct gca_handle *handle)
{
	RUNTIME();
	struct special *special = &mutator->heap->special;
	int error = handle ? heap_usable(mutator->heap) : 0;
	bool done;

	if (!handle || error)
		return error;
	pthread_mutex_lock(&special->lock);
	done = give_back(special, handle);
	if (done)
		gca_store(mutator, &handle->slot, NULL);
	pthread_mutex_unlock(&special->lock);
	return done ? 0 : error_set(-EINVAL, "%p is not a handle of this heap", (void *)handle);
}

/* Lock held: how often @object is pinned, or NULL: it is not. */
static size_t *pins_of(struct special *special, const void *object, struct gca_handle **handle)
{
	struct handle_block *block;
	uint64_t value;

	if (!addrmap_get(&special->pins, (uintptr_t)object, &value))
		return NULL;
	*handle = (struct gca_handle *)(uintptr_t)value;
	block = block_of(special, *handle);
	return &block->pins[*handle - block->handles];
}

/* Lock held: @object's first pin, by @handle. */
static int add_pin(struct special *special, const void *object, struct gca_handle *handle)
{
	struct handle_block *block = block_of(special, handle);

	if (addrmap_put(&special->pins, (uintptr_t)object, (uintptr_t)handle))
		return -ENOMEM;
	block->pins[handle - block->handles] = 1;
	return 0;
}

/**
 * gca_pin - keep an object alive until it is unpinned as often
 * @mutator: the calling thread's
 * @address: points into it
 *
 * Objects never move: a pin is about life, not about place.  A safepoint.
 *
 * Return: 0; -EINVAL: no object is there; -ENOMEM; -EIO.
 */
int gca_pin(struct gca_mutator *mutator, const void *address)
{
	RUNTIME();
	GCA_FRAME(mutator, f, void *object);
	struct special *special = &mutator->heap->special;
	struct gca_handle *handle, *first;
	int error = heap_usable(mutator->heap);
	size_t *pins;

	if (error)
		return error;
	f.object = gca_object_of(mutator->heap, address, NULL);
	if (!f.object)
		return error_set(-EINVAL, "pin: %p is not in an object of this heap", address);
	pthread_mutex_lock(&special->lock);
	pins = pins_of(special, f.object, &first);
	if (pins)
		++*pins;
	pthread_mutex_unlock(&special->lock);
	if (pins)
		return 0;
	handle = gca_handle_new(mutator, f.object);
	if (!handle)
		return error_set(-ENOMEM, "no memory for a pin");
	pthread_mutex_lock(&special->lock);
	/* Another thread may have been first. */
	pins = pins_of(special, f.object, &first);
	if (pins)
		++*pins;
	else
		error = add_pin(special, f.object, handle);
	pthread_mutex_unlock(&special->lock);
	if (pins || error)
		gca_handle_free(mutator, handle);
	return error ? error_set(error, "no memory for a pin") : 0;
}

/**
 * gca_unpin - take one pin back
 * @mutator: the calling thread's
 * @address: points into the object
 *
 * Return: 0, -EINVAL: it is not pinned, or -EIO.
 */
int gca_unpin(struct gca_mutator *mutator, const void *address)
{
	RUNTIME();
	void *object = gca_object_of(mutator->heap, address, NULL);
	struct special *special = &mutator->heap->special;
	struct gca_handle *handle = NULL;
	int error = heap_usable(mutator->heap);
	size_t *pins, left = 0;

	if (error)
		return error;
	pthread_mutex_lock(&special->lock);
	pins = object ? pins_of(special, object, &handle) : NULL;
	if (pins) {
		left = --*pins;
		if (!left)
			addrmap_remove(&special->pins, (uintptr_t)object);
	}
	pthread_mutex_unlock(&special->lock);
	if (!pins)
		return error_set(-EINVAL, "unpin: %p is not pinned", address);
	return left ? 0 : gca_handle_free(mutator, handle);
}

/**
 * handle_known - whether an address is that of a handle, used or not
 * @heap: of this heap; locked, or nobody else's
 * @handle: the address
 */
bool handle_known(const struct gca_heap *heap, const void *handle)
{
	return block_of(&heap->special, handle);
}

/**
 * handles_close - the heap goes
 * @heap: the heap
 */
void handles_close(struct gca_heap *heap)
{
	struct addrmap *blocks = &heap->special.handle_blocks;
	size_t i;

	for (i = 0; i < blocks->size; i++) {
		struct handle_block *block = (void *)(uintptr_t)blocks->slots[i].value;

		if (!blocks->slots[i].key)
			continue;
		/* A child has not inherited it. */
		if (!heap->forked)
			table_unmap(block->handles, BLOCK_BYTES);
		array_unmap(block, sizeof(*block));
	}
	addrmap_free(blocks);
	addrmap_free(&heap->special.pins);
	heap->special.handles = NULL;
}
