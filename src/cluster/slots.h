/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * Slots of connection ids: which node a connection id names. Every node and every load balancer computes the
 * table from the leases, each for itself, and all have to come to the same one; so all of it is told here.
 *
 * Rendezvous hashing (Thaler, Ravishankar, 1998): each slot goes to the member with the highest score for it,
 * so a member that comes or goes moves only the slots that it gains or had. A member of weight w takes part w
 * times, and so has w times as many.
 *
 *   score(slot, node, i) = SipHash-2-4 under the key of the 16 bytes "shoal slot table" over 12 bytes: slot,
 * node and i as 4 bytes each, big-endian; its 8 bytes read as a little-endian number, as in its definition
 *   node of a slot       = the one with the highest score over all members and 0 <= i < weight; of equal
 * scores, the lowest node
 */

enum { SLOTS = 4096, SLOT_MEMBERS_MAX = 1024, SLOT_WEIGHT_MAX = 16 };

struct slot_member {
	uint32_t node;	 /* not 0; each node once */
	uint32_t weight; /* 1 to SLOT_WEIGHT_MAX; 1 unless told otherwise */
};

struct slot_table {
	uint32_t node[SLOTS]; /* 0: there is no member */
};

/*
 * The table of these members, in any order. -EINVAL: more than SLOT_MEMBERS_MAX, a node that is 0 or there
 * twice, a weight out of range; the table is left as it was.
 */
int slot_table_make(const struct slot_member *members, size_t count, struct slot_table *out) NODISCARD;
/* How many slots have another node. */
unsigned slot_table_moved(const struct slot_table *from, const struct slot_table *to);
