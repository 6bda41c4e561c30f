/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of slots. There is no idea in it but that of the header: no state, no leader, no order of events,
 * so two nodes that know of the same leases cannot disagree. It is computed when leases change, not per
 * datagram: 4096 slots times the members, some 20 ms for a hundred of them.
 */

#include "cluster/slots.h"

#include "base/bytes.h"
#include "base/siphash.h"

#include <errno.h>

static const struct siphash_key key = {"shoal slot table"};

static uint64_t score(uint32_t slot, uint32_t node, uint32_t i)
{
	uint8_t bytes[12];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u32(&w, slot);
	writer_u32(&w, node);
	writer_u32(&w, i);
	return siphash(&key, writer_span(&w));
}

static int by_node(const void *a, const void *b)
{
	uint32_t x = ((const struct slot_member *)a)->node, y = ((const struct slot_member *)b)->node;

	return (x > y) - (x < y);
}

static uint32_t node_of(uint32_t slot, const struct slot_member *members, size_t count)
{
	uint64_t best = 0;
	uint32_t node = 0;

	/* In order of nodes: of equal scores the first stays. */
	for (size_t m = 0; m < count; m++) {
		for (uint32_t i = 0; i < members[m].weight; i++) {
			uint64_t s = score(slot, members[m].node, i);

			if (!node || s > best) {
				best = s;
				node = members[m].node;
			}
		}
	}
	return node;
}

int slot_table_make(const struct slot_member *members, size_t count, struct slot_table *out)
{
	struct slot_member sorted[SLOT_MEMBERS_MAX];

	if (count > SLOT_MEMBERS_MAX)
		return -EINVAL;
	if (count)
		memcpy(sorted, members, count * sizeof(*members));
	qsort(sorted, count, sizeof(*sorted), by_node);
	for (size_t i = 0; i < count; i++) {
		if (sorted[i].node == 0 || (i && sorted[i].node == sorted[i - 1].node))
			return -EINVAL;
		if (sorted[i].weight < 1 || sorted[i].weight > SLOT_WEIGHT_MAX)
			return -EINVAL;
	}
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		out->node[slot] = node_of(slot, sorted, count);
	return 0;
}

unsigned slot_table_moved(const struct slot_table *from, const struct slot_table *to)
{
	unsigned moved = 0;

	for (size_t i = 0; i < SLOTS; i++)
		moved += from->node[i] != to->node[i];
	return moved;
}
