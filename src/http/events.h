/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/* Server-sent events: from the log of the store to the streams of clients. */

struct events *events_new(struct http *h) NODISCARD;
/* No stream may be left. */
struct events *events_free(struct events *e);
/* Asks the store to be told of new events; or not any more. */
void events_subscribe(struct events *e);
void events_unsubscribe(struct events *e);
/* Once per heartbeat: sends it, ends streams that stall, tries again what failed. */
void events_tick(struct events *e);

struct events_stats {
	size_t streams, behind;
	uint64_t sent, gaps, ended_slow, unreadable;
};
void events_stats(const struct events *e, struct events_stats *out);

/* A block without a place in the log, for those who listen now: to all whose filter is not another endpoint.
 */
void events_announce(struct events *e, struct buffer *text, struct span ep);

/* GET /api/event */
void api_events(struct http_request *r);
