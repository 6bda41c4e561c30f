/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Linear probing over two arrays: a search walks the hashes alone, sixteen to a cache line, and touches an
 * item only where all 32 bits agree. A removal closes its gap by moving later entries of the same run back,
 * so there are no tombstones and a table that churns for years stays as fast as a fresh one. Leaves out
 * shrinking: a table keeps the size of its peak.
 */

#include "base/map.h"

#include <errno.h>

#define SLOTS_MIN ((size_t)16)
#define SLOTS_MAX ((size_t)1 << 31)

/* 0 marks a free slot, so the hash 0 is kept as 1; a shared value only costs a call of `match`. */
static inline uint32_t stored_hash(uint32_t hash)
{
	return hash ? hash : 1;
}

void map_init(struct map *m)
{
	*m = (struct map){0};
}

void map_deinit(struct map *m)
{
	free(m->items);
	free(m->hashes);
	map_init(m);
}

/* Puts an entry into a table that has room. */
static void put(struct map *m, uint32_t stored, void *item)
{
	uint32_t i = stored & m->mask;

	while (m->hashes[i])
		i = (i + 1) & m->mask;
	m->hashes[i] = stored;
	m->items[i] = item;
}

static int grow(struct map *m)
{
	size_t slots = m->mask ? ((size_t)m->mask + 1) * 2 : SLOTS_MIN;
	struct map larger = {.mask = (uint32_t)(slots - 1), .count = m->count};

	if (slots > SLOTS_MAX)
		return -ENOMEM;
	larger.items = calloc(slots, sizeof(*larger.items));
	larger.hashes = calloc(slots, sizeof(*larger.hashes));
	if (!larger.items || !larger.hashes) {
		map_deinit(&larger);
		return -ENOMEM;
	}
	for (size_t i = 0; m->mask && i <= m->mask; i++)
		if (m->hashes[i])
			put(&larger, m->hashes[i], m->items[i]);
	map_deinit(m);
	*m = larger;
	return 0;
}

int map_insert(struct map *m, uint32_t hash, void *item)
{
	assert(item);
	/* At most seven eighths full: a search that finds nothing walks 32 hashes then, two cache lines. */
	if (!m->mask || m->count >= m->mask / 8 * 7 + 7) {
		int rc = grow(m);

		if (rc < 0)
			return rc;
	}
	put(m, stored_hash(hash), item);
	m->count++;
	return 0;
}

void *map_find(const struct map *m, uint32_t hash, map_match *match, const void *key)
{
	uint32_t stored = stored_hash(hash);

	if (!m->count)
		return NULL;
	for (uint32_t i = stored & m->mask; m->hashes[i]; i = (i + 1) & m->mask)
		if (m->hashes[i] == stored && match(m->items[i], key))
			return m->items[i];
	return NULL;
}

/* Frees slot `gap` and moves back what probing would no longer reach across it. */
static void close_gap(struct map *m, uint32_t gap)
{
	for (uint32_t i = (gap + 1) & m->mask; m->hashes[i]; i = (i + 1) & m->mask) {
		uint32_t home = m->hashes[i] & m->mask;

		if (((i - home) & m->mask) < ((i - gap) & m->mask))
			continue;
		m->hashes[gap] = m->hashes[i];
		m->items[gap] = m->items[i];
		gap = i;
	}
	m->hashes[gap] = 0;
	m->items[gap] = NULL;
}

bool map_remove(struct map *m, uint32_t hash, const void *item)
{
	uint32_t stored = stored_hash(hash);

	if (!m->count)
		return false;
	for (uint32_t i = stored & m->mask; m->hashes[i]; i = (i + 1) & m->mask) {
		if (m->hashes[i] != stored || m->items[i] != item)
			continue;
		close_gap(m, i);
		m->count--;
		return true;
	}
	return false;
}

void *map_next(const struct map *m, uint32_t *cursor)
{
	for (size_t i = *cursor; m->count && i <= m->mask; i++) {
		if (!m->hashes[i])
			continue;
		*cursor = (uint32_t)(i + 1);
		return m->items[i];
	}
	return NULL;
}
