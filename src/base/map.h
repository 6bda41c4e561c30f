/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * Open-addressing hash map from a 32-bit hash to items that somebody else owns. It stores 12 bytes per slot
 * and calls back to compare. The caller hashes (with siphash, since peers choose the keys), so that one
 * map can be searched by several keys that share the hash. Several items may have the same hash.
 */

/* True if `item` is the one that `key` names. */
typedef bool map_match(const void *item, const void *key);

struct map {
	void **items;
	uint32_t *hashes; /* 0: free */
	uint32_t mask;	  /* slots - 1; 0 while nothing is allocated */
	uint32_t count;
};

void map_init(struct map *m);
/* Frees the table, not the items. */
void map_deinit(struct map *m);
/* -ENOMEM, or 0. Does not look for an equal item: find first. */
int map_insert(struct map *m, uint32_t hash, void *item) NODISCARD;
/* The first item with this hash for which `match` is true, or NULL. */
void *map_find(const struct map *m, uint32_t hash, map_match *match, const void *key);
/* Removes exactly this item. False if it is not there. Deletion leaves no tombstones (backward shift). */
bool map_remove(struct map *m, uint32_t hash, const void *item);
/* Walks over all items: start with *cursor = 0, NULL at the end. Do not insert or remove meanwhile. */
void *map_next(const struct map *m, uint32_t *cursor);
