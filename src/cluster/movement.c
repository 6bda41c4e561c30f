/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A bounded memory: whoever has not moved for two minutes is forgotten, and at the bound the oldest is. */

#include "cluster/movement.h"

enum { FORGET_MS = 2 * MOVEMENT_AGAIN_MS };

struct movement {
	struct list node;
	uint64_t moved_ms; /* the last time it left */
	uint64_t came_ms;
	uint64_t held_until_ms;
	uint64_t touched_ms;
	uint32_t hold_ms; /* 0: it never left */
	uint32_t to;
	uint32_t hash;
	uint8_t role;
	uint8_t endpoint_len;
	uint8_t endpoint[];
};

static uint32_t hash_of(const struct movements *m, struct store_key key)
{
	return (uint32_t)(store_key_hash(&m->hash_key, key) >> 32);
}

static bool match(const void *item, const void *wanted)
{
	const struct movement *one = item;
	const struct store_key *key = wanted;

	return one->role == key->role && span_equal(span_of(one->endpoint, one->endpoint_len), key->endpoint);
}

static struct movement *find(const struct movements *m, struct store_key key)
{
	return map_find(&m->by_key, hash_of(m, key), match, &key);
}

static void forget(struct movements *m, struct movement *one)
{
	list_remove(&one->node);
	map_remove(&m->by_key, one->hash, one);
	free(one);
}

static void make_room(struct movements *m, uint64_t now_ms)
{
	while (!list_empty(&m->order)) {
		struct movement *oldest = container_of(m->order.next, struct movement, node);

		if (m->by_key.count < m->max && now_ms < oldest->touched_ms + FORGET_MS)
			return;
		forget(m, oldest);
	}
}

static struct movement *touch(struct movements *m, struct store_key key, uint64_t now_ms)
{
	struct movement *one = find(m, key);

	if (!one) {
		make_room(m, now_ms);
		one = calloc(1, sizeof(*one) + key.endpoint.len);
		if (!one)
			return NULL;
		one->role = (uint8_t)key.role;
		one->endpoint_len = (uint8_t)key.endpoint.len;
		memcpy(one->endpoint, key.endpoint.data, key.endpoint.len);
		one->hash = hash_of(m, key);
		if (map_insert(&m->by_key, one->hash, one) < 0) {
			free(one);
			return NULL;
		}
	}
	list_remove(&one->node);
	list_append(&m->order, &one->node);
	one->touched_ms = now_ms;
	return one;
}

void movements_init(struct movements *m, const struct siphash_key *hash_key, size_t max)
{
	*m = (struct movements){.hash_key = *hash_key, .max = max};
	map_init(&m->by_key);
	list_init(&m->order);
}

void movements_deinit(struct movements *m)
{
	while (!list_empty(&m->order))
		forget(m, container_of(m->order.next, struct movement, node));
	map_deinit(&m->by_key);
}

void movements_left(struct movements *m, struct store_key key, uint32_t to, uint64_t now_ms)
{
	struct movement *one = touch(m, key, now_ms);

	if (!one)
		return;
	one->hold_ms = one->hold_ms && now_ms < one->moved_ms + MOVEMENT_AGAIN_MS
			       ? MIN(2 * one->hold_ms, (uint32_t)MOVEMENT_HOLD_MAX_MS)
			       : MOVEMENT_HOLD_MS;
	one->moved_ms = now_ms;
	one->held_until_ms = now_ms + one->hold_ms;
	one->to = to;
}

void movements_came(struct movements *m, struct store_key key, uint64_t now_ms)
{
	struct movement *one = touch(m, key, now_ms);

	if (!one)
		return;
	one->came_ms = now_ms;
	one->held_until_ms = 0;
}

bool movements_held(const struct movements *m, struct store_key key, uint64_t now_ms, uint32_t *to)
{
	const struct movement *one = find(m, key);

	if (!one || now_ms >= one->held_until_ms)
		return false;
	*to = one->to;
	return true;
}

bool movements_is_fresh(const struct movements *m, struct store_key key, uint64_t now_ms)
{
	const struct movement *one = find(m, key);

	return one && one->came_ms && now_ms < one->came_ms + MOVEMENT_REST_MS;
}
