/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * An arena is a list of chunks, newest first, of which only the newest has room. The first chunk survives a
 * reset, so that the common datagram costs no malloc at all. What was not handed out, or was forgotten by a
 * reset, is poisoned for AddressSanitizer: use of a datagram's memory after its end is found in tests. Leaves
 * out giving back single pieces.
 */

#include "base/arena.h"

#include <sanitizer/asan_interface.h>
#include <stdalign.h>

enum { FIRST_CHUNK = 4096, LARGEST_STEP = 65536, ALIGNMENT = alignof(max_align_t) };

struct arena_chunk {
	struct arena_chunk *next; /* older */
	size_t size;		  /* of data */
	size_t used;
	alignas(max_align_t) uint8_t data[];
};

void arena_init(struct arena *a, size_t limit)
{
	*a = (struct arena){.limit = limit};
}

static void chunk_forget(struct arena_chunk *chunk)
{
	chunk->used = 0;
	ASAN_POISON_MEMORY_REGION(chunk->data, chunk->size);
}

/* Frees all chunks but the first; returns it. */
static struct arena_chunk *free_later_chunks(struct arena *a)
{
	while (a->chunks && a->chunks->next) {
		struct arena_chunk *older = a->chunks->next;

		free(a->chunks);
		a->chunks = older;
	}
	return a->chunks;
}

void arena_deinit(struct arena *a)
{
	free(free_later_chunks(a));
	arena_init(a, a->limit);
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *first = free_later_chunks(a);

	if (first)
		chunk_forget(first);
	a->used = 0;
}

static struct arena_chunk *add_chunk(struct arena *a, size_t size)
{
	size_t step = a->chunks ? MIN(a->chunks->size * 2, (size_t)LARGEST_STEP) : FIRST_CHUNK;
	struct arena_chunk *chunk;

	size = MAX(size, step);
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk_forget(chunk);
	chunk->next = a->chunks;
	a->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *chunk = a->chunks;
	size_t rounded;
	void *at;

	if (size > a->limit - a->used)
		return NULL;
	/* An empty piece has an address of its own, too. */
	rounded = (MAX(size, (size_t)1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (rounded < size || rounded > a->limit - a->used)
		return NULL;
	if (!chunk || rounded > chunk->size - chunk->used)
		chunk = add_chunk(a, rounded);
	if (!chunk)
		return NULL;
	at = chunk->data + chunk->used;
	ASAN_UNPOISON_MEMORY_REGION(at, size);
	chunk->used += rounded;
	a->used += rounded;
	return at;
}

struct span arena_dup(struct arena *a, struct span s)
{
	uint8_t *copy = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;

	if (!copy)
		return (struct span){NULL, 0};
	if (s.len)
		memcpy(copy, s.data, s.len);
	copy[s.len] = '\0';
	return (struct span){copy, s.len};
}
