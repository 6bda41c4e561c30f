/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* Server-sent events (WHATWG HTML, 9.2.6), as they come in. */

enum { SSE_NAME = 64, SSE_ID = 128 };

struct sse_event {
	const char *name; /* "message" if none was given */
	const char *id;	  /* of the last event that had one, this one included; "" if none */
	struct span data; /* NUL behind it; borrowed for the call */
};

typedef void sse_fn(void *ctx, const struct sse_event *event);

struct sse {
	struct buffer line, data;
	char name[SSE_NAME];
	char id[SSE_ID];      /* of the block that is being read */
	char last_id[SSE_ID]; /* where to resume */
	bool has_data;
	bool after_cr; /* a CR ended the last line: a LF now belongs to it */
};

void sse_init(struct sse *s);
void sse_deinit(struct sse *s);
/* Forgets a block that was cut off by the end of the connection; keeps last_id. */
void sse_restart(struct sse *s);
/* Calls back for each event that is complete. False: a line or event beyond all bounds, or memory is out. */
bool sse_feed(struct sse *s, struct span bytes, sse_fn *on_event, void *ctx);
