/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"

/*
 * Devices that speak to us through another node, which passes their datagrams on. Their addresses carry, in
 * place of the local socket, an index of (node, its socket); what is sent to such an address leaves there,
 * since a NAT between lets no other source through.
 */

enum { VIA_FIRST = 32, VIA_COUNT = 256 - VIA_FIRST }; /* indexes below are local sockets */

struct via {
	uint32_t node;
	uint8_t listener;
	bool used;
};

struct via_table {
	struct via list[VIA_COUNT];
};

static inline bool via_is(const struct address *a)
{
	return a->family != ADDRESS_ASSOCIATION && a->listener >= VIA_FIRST;
}

/* Turns `place`, as the node `node` saw it, into what it is to us. False: there are too many. */
bool via_enter(struct via_table *t, uint32_t node, struct address *place) NODISCARD;
/* And back: the node, with `place` as it knows it. */
bool via_leave(const struct via_table *t, struct address *place, uint32_t *node) NODISCARD;
/* A node is gone: nobody is reached through it. */
void via_forget(struct via_table *t, uint32_t node);
