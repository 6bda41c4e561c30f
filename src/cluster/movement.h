/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "store/store.h"

/*
 * Memory of which devices came and went lately (architecture, rule 4). A balancer that cannot make up its
 * mind would move a device with each datagram: so a node that gave a device away passes its late datagrams on
 * for a while instead of asking for it back, and for twice as long each time that it happens again within a
 * minute.
 */

enum {
	MOVEMENT_HOLD_MS = 2000,
	MOVEMENT_HOLD_MAX_MS = 60000,
	MOVEMENT_AGAIN_MS = 60000,
	MOVEMENT_REST_MS = 1000
};

struct movements {
	struct siphash_key hash_key;
	struct map by_key;
	struct list order; /* oldest first */
	size_t max;
};

void movements_init(struct movements *m, const struct siphash_key *hash_key, size_t max);
void movements_deinit(struct movements *m);
/* It is the other node's from now on. Without memory, or with too many, it is forgotten, which costs damping.
 */
void movements_left(struct movements *m, struct store_key key, uint32_t to, uint64_t now_ms);
void movements_came(struct movements *m, struct store_key key, uint64_t now_ms);
/* Whether what comes of it is to be passed on; then to whom. */
bool movements_held(const struct movements *m, struct store_key key, uint64_t now_ms, uint32_t *to);
/* It came less than MOVEMENT_REST_MS ago: without security it may not move again yet. */
bool movements_is_fresh(const struct movements *m, struct store_key key, uint64_t now_ms);
