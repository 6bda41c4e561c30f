/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * What the embedded store has to know about every device to decide on a write without reading the file: 32
 * bytes each, in one open-addressing array. A device is named by the 64-bit keyed hash of its key alone (the
 * hash key is a random one per process, so nobody can aim at a collision, and among ten million devices the
 * chance that any two ever meet is below one in 300,000).
 */

enum overlay_flag {
	OVERLAY_DELETED = 1, /* a tombstone */
	OVERLAY_FOREIGN = 2, /* the owner is not this process: its fence is in the row */
	OVERLAY_STALE = 4,   /* the device's last journal entry is newer than its row */
	OVERLAY_REMOVED = 8, /* in a commit's own changes: no longer there at all */
};

struct overlay_item {
	uint64_t hash;	   /* 0: free slot; a hash of 0 is kept as 1 */
	uint64_t number;   /* of the last write */
	uint64_t sequence; /* of the last journal entry, or of the row if that is newer */
	uint32_t gen;	   /* as of this opening */
	uint16_t queue;	   /* moves with each request that is added */
	uint16_t flags;	   /* enum overlay_flag */
};

struct overlay {
	struct overlay_item *items;
	uint32_t mask; /* slots - 1; 0 while nothing is allocated */
	uint32_t count;
};

static inline uint64_t overlay_hash(uint64_t hash)
{
	return hash ? hash : 1;
}

void overlay_init(struct overlay *o);
void overlay_deinit(struct overlay *o);
/* Makes room for `more` items. -ENOMEM, or 0. */
int overlay_reserve(struct overlay *o, size_t more) NODISCARD;
/* NULL if there is none. Valid until the next call that changes the table. */
const struct overlay_item *overlay_find(const struct overlay *o, uint64_t hash);
/* Adds or replaces. Room for it must have been reserved. */
void overlay_put(struct overlay *o, const struct overlay_item *item);
/* Harmless if there is none. */
void overlay_remove(struct overlay *o, uint64_t hash);
/* Forgets all items; keeps memory for about `expected` of them, gives back what is much more. */
void overlay_reset(struct overlay *o, size_t expected);
/* Walks over all items: start with *cursor = 0, NULL at the end. */
const struct overlay_item *overlay_next(const struct overlay *o, size_t *cursor);
