/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The order of notifications (RFC 7641, 3.4). The hard part is that the sequence number has 24 bits and
 * wraps: newer is what lies less than half the circle ahead, and after 128 s the number says nothing any
 * more. Leaves out the state of an observation, which is its owner's.
 */

#include "coap/observe.h"

enum { HALF_CIRCLE = 1 << 23, STALE_MS = 128000 };

bool coap_observe_is_newer(uint32_t v1, uint64_t t1_ms, uint32_t v2, uint64_t t2_ms)
{
	if (v1 < v2 && v2 - v1 < HALF_CIRCLE)
		return true;
	if (v1 > v2 && v1 - v2 > HALF_CIRCLE)
		return true;
	return t2_ms > t1_ms + STALE_MS;
}
