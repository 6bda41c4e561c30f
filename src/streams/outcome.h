/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "http/http.h"

#include <jansson.h>

/* What became of a request, in the words of docs/redis.md. Pure functions. */

enum { OUTCOME_TEXT_MAX = 17 << 20 };

struct outcome {
	const char *ack;    /* "accepted", "refused": what is told before it, if nothing was */
	bool result;	    /* the device answered; else an error */
	unsigned status;    /* of HTTP */
	const char *error;  /* "timeout", ...; "" of a result */
	struct buffer text; /* JSON of the result, or words */
};
void outcome_deinit(struct outcome *o);

void outcome_error(struct outcome *o, const char *ack, unsigned status, const char *error, struct span words);
/* Of an answer of the REST interface. */
void outcome_of_reply(struct outcome *o, const struct http_reply *reply);

/* Whether the answer says that the request waits for its device. `id` has room for 36 bytes and a NUL. */
bool outcome_is_queued(const struct http_reply *reply, char id[37], uint64_t *expires_ms);
/* Of a queued request as the REST interface and its events tell it; false if it is not over. */
bool outcome_of_queued(struct outcome *o, const json_t *request);
