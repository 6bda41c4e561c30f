/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Linear probing over slots of half a cache line, so that a look-up costs about one miss. A removal moves
 * later items of the run back: no tombstones. Growing is a call of its own (overlay_reserve), because the one
 * place where the table must not fail - a commit that is already on the disk - comes after the place where it
 * still may.
 */

#include "store/overlay.h"

#include <errno.h>

enum { SLOTS_MIN = 64 };

void overlay_init(struct overlay *o)
{
	*o = (struct overlay){0};
}

void overlay_deinit(struct overlay *o)
{
	free(o->items);
	overlay_init(o);
}

/* The slot of the item, or the free one where it would go. Some slot is always free. */
static struct overlay_item *slot_of(const struct overlay *o, uint64_t hash)
{
	uint32_t i = (uint32_t)hash & o->mask;

	while (o->items[i].hash && o->items[i].hash != hash)
		i = (i + 1) & o->mask;
	return &o->items[i];
}

/* The smallest table that holds `count` items in at most seven eighths of its slots: a look-up that finds its
 * item - all but those of new devices - walks four and a half slots then. */
static size_t slots_for(size_t count)
{
	size_t slots = SLOTS_MIN;

	while (slots / 8 * 7 < count)
		slots *= 2;
	return slots;
}

int overlay_reserve(struct overlay *o, size_t more)
{
	size_t slots = slots_for(o->count + more);
	struct overlay larger = {0};
	size_t cursor = 0;

	if (o->mask && slots <= (size_t)o->mask + 1)
		return 0;
	if (slots > (size_t)UINT32_MAX / 2)
		return -ENOMEM;
	larger.items = calloc(slots, sizeof(*larger.items));
	if (!larger.items)
		return -ENOMEM;
	larger.mask = (uint32_t)(slots - 1);
	for (const struct overlay_item *item; (item = overlay_next(o, &cursor));)
		overlay_put(&larger, item);
	overlay_deinit(o);
	*o = larger;
	return 0;
}

const struct overlay_item *overlay_find(const struct overlay *o, uint64_t hash)
{
	const struct overlay_item *slot;

	if (!o->mask)
		return NULL;
	slot = slot_of(o, hash);
	return slot->hash ? slot : NULL;
}

void overlay_put(struct overlay *o, const struct overlay_item *item)
{
	struct overlay_item *slot = slot_of(o, item->hash);

	assert(item->hash);
	if (!slot->hash) {
		assert(o->count < o->mask);
		o->count++;
	}
	*slot = *item;
}

void overlay_remove(struct overlay *o, uint64_t hash)
{
	const struct overlay_item *found = overlay_find(o, hash);
	uint32_t gap;

	if (!found)
		return;
	gap = (uint32_t)(found - o->items);
	for (uint32_t i = (gap + 1) & o->mask; o->items[i].hash; i = (i + 1) & o->mask) {
		uint32_t home = (uint32_t)o->items[i].hash & o->mask;

		if (((i - home) & o->mask) < ((i - gap) & o->mask))
			continue;
		o->items[gap] = o->items[i];
		gap = i;
	}
	o->items[gap].hash = 0;
	o->count--;
}

void overlay_reset(struct overlay *o, size_t expected)
{
	if (o->mask && o->mask / 4 > slots_for(expected))
		overlay_deinit(o);
	if (o->mask)
		memset(o->items, 0, ((size_t)o->mask + 1) * sizeof(*o->items));
	o->count = 0;
}

const struct overlay_item *overlay_next(const struct overlay *o, size_t *cursor)
{
	for (size_t i = *cursor; o->mask && i <= o->mask; i++) {
		if (!o->items[i].hash)
			continue;
		*cursor = i + 1;
		return &o->items[i];
	}
	return NULL;
}
