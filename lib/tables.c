// SPDX-License-Identifier: MIT
/*
 * The library's own memory, and the side tables of a heap.
 *
 * Tables are reserved for the whole heap and use memory only where they were
 * written: pointer bits (128 bytes a page), kind ids (256), grey bits (64) and cards
 * (16).  What belongs to wholly free chunks is given back with the world stopped, since the
 * owner of a span writes its part of the tables without a lock.  A table reads as
 * zero after that; every reader of a cell or bit finds an alloc bit first.
 */
#include "internal.h"

#include <sys/mman.h>

/* Bytes of heap in chunks that came free since the tables were last trimmed. */
#define TRIM_MIN	(64 * MIB)
#define POINTER_BYTES	(GCARENA_CHUNK_SIZE / sizeof(void *) / 8)	/* of a chunk */
#define KIND_BYTES	((GCARENA_CHUNK_SIZE >> CELL_SHIFT) * sizeof(uint16_t))
#define GREY_BYTES	(GCARENA_CHUNK_SIZE / GCARENA_GRANULE_SIZE / 8)
#define CARD_BYTES	(GCARENA_CHUNK_SIZE >> GCA_CARD_SHIFT)

_Static_assert(POINTER_BYTES + KIND_BYTES + GREY_BYTES + CARD_BYTES == TABLE_BYTES,
	       "bytes of tables for a chunk");

/**
 * table_map - memory of the library's own
 * @bytes: how much is reserved
 *
 * Return: zeroed memory that a child does not inherit, or NULL.
 */
void *table_map(size_t bytes)
{
	void *table;

	if (gca_fault_hit(GCA_FAULT_NO_MEMORY))
		return NULL;
	table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		return NULL;
	madvise(table, bytes, MADV_DONTFORK);
	return table;
}

/**
 * table_unmap - the counterpart of table_map()
 * @table: what it returned
 * @bytes: as given to it
 */
void table_unmap(void *table, size_t bytes)
{
	if (table)
		munmap(table, bytes);
}

/**
 * table_release - give a part of a table back
 * @table: the table
 * @offset: bytes, a multiple of the system's page size
 * @bytes: the same
 */
void table_release(void *table, size_t offset, size_t bytes)
{
	madvise((char *)table + offset, bytes, MADV_DONTNEED);
}

/**
 * tables_open - reserve a heap's side tables
 * @heap: its size is set
 *
 * Return: 0 or -ENOMEM; what was reserved is left to tables_close().
 */
int tables_open(struct gca_heap *heap)
{
	size_t chunks = heap->size >> GCARENA_CHUNK_SHIFT;

	heap->pointer_bits = table_map(chunks * POINTER_BYTES);
	heap->kind_ids = table_map(chunks * KIND_BYTES);
	heap->cards = table_map(chunks * CARD_BYTES);
	heap->grey_bits = table_map(chunks * GREY_BYTES);
	if (heap->pointer_bits && heap->kind_ids && heap->cards && heap->grey_bits)
		return 0;
	return error_set(-ENOMEM, "no address space for the tables of a heap of %zu bytes",
			 heap->size);
}

/**
 * tables_close - drop them
 * @heap: the heap
 */
void tables_close(struct gca_heap *heap)
{
	size_t chunks = heap->size >> GCARENA_CHUNK_SHIFT;

	table_unmap(heap->pointer_bits, chunks * POINTER_BYTES);
	table_unmap(heap->kind_ids, chunks * KIND_BYTES);
	table_unmap(heap->cards, chunks * CARD_BYTES);
	table_unmap(heap->grey_bits, chunks * GREY_BYTES);
	heap->grey_bits = NULL;
	heap->pointer_bits = NULL;
	heap->kind_ids = NULL;
	heap->cards = NULL;
}

/* The first page of [page, end) that is in use, or @end. */
static uint32_t next_in_use(const struct gca_heap *heap, uint32_t page, uint32_t end)
{
	while (page < end && !(row_word0(heap, page) & GCARENA_ROW_IN_USE))
		page++;
	return page;
}

static void release_chunks(struct gca_heap *heap, uint32_t chunk, uint32_t nr)
{
	table_release(heap->pointer_bits, chunk * POINTER_BYTES, nr * POINTER_BYTES);
	table_release(heap->kind_ids, chunk * KIND_BYTES, nr * KIND_BYTES);
	table_release(heap->cards, chunk * CARD_BYTES, nr * CARD_BYTES);
	table_release(heap->grey_bits, chunk * GREY_BYTES, nr * GREY_BYTES);
}

/**
 * tables_trim - give back what the tables hold of wholly free chunks
 * @heap: the heap, stopped
 * @all: even if it is not much
 */
void tables_trim(struct gca_heap *heap, bool all)
{
	uint64_t idle = __atomic_load_n(&heap->status->counters.heap_idle, __ATOMIC_RELAXED);
	uint32_t used = heap_pages_used(heap);
	uint32_t page = 0, free, nr;

	if (idle < heap->trimmed)
		heap->trimmed = idle;
	if (!all && idle - heap->trimmed < TRIM_MIN)
		return;
	heap->trimmed = idle;
	while (page < used) {
		free = next_in_use(heap, page, used) - page;
		nr = free / GCARENA_CHUNK_PAGES;
		if (nr)
			release_chunks(heap, page / GCARENA_CHUNK_PAGES, nr);
		/* On to the chunk after the one in use. */
		page += nr * GCARENA_CHUNK_PAGES;
		page += GCARENA_CHUNK_PAGES;
	}
}
