/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A handful of entries, walked from the front. */

#include "cluster/via.h"

bool via_enter(struct via_table *t, uint32_t node, struct address *place)
{
	size_t free_at = VIA_COUNT;

	if (place->listener >= VIA_FIRST)
		return false;
	for (size_t i = 0; i < VIA_COUNT; i++) {
		const struct via *v = &t->list[i];

		if (v->used && v->node == node && v->listener == place->listener) {
			place->listener = (uint8_t)(VIA_FIRST + i);
			return true;
		}
		if (!v->used && free_at == VIA_COUNT)
			free_at = i;
	}
	if (free_at == VIA_COUNT)
		return false;
	t->list[free_at] = (struct via){node, place->listener, true};
	place->listener = (uint8_t)(VIA_FIRST + free_at);
	return true;
}

bool via_leave(const struct via_table *t, struct address *place, uint32_t *node)
{
	const struct via *v;

	if (!via_is(place))
		return false;
	v = &t->list[place->listener - VIA_FIRST];
	if (!v->used)
		return false;
	*node = v->node;
	place->listener = v->listener;
	return true;
}

void via_forget(struct via_table *t, uint32_t node)
{
	for (size_t i = 0; i < VIA_COUNT; i++)
		if (t->list[i].node == node)
			t->list[i].used = false;
}
