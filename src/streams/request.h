/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"

#include <jansson.h>

/*
 * A request of a backend, told as JSON, and what that is in the words of the REST interface. The JSON is that
 * of Leshan's former cluster module where it had a word for it (docs/redis.md has the table).
 */

enum {
	BACKEND_ERROR = 256,
	BACKEND_REQUEST_MAX = 1 << 20,
	BACKEND_TIMEOUT_S = 30,
	BACKEND_TIMEOUT_MAX_S = 600
};

struct backend_request {
	const char *method; /* "GET" */
	struct span target; /* "/api/clients/dev-1/3/0?timeout=30" */
	const char *type;   /* Content-Type of the body; NULL: there is none */
	struct span body;
	bool repeatable; /* it does no harm if the device gets it twice (architecture, rule 10) */
};

struct backend_ask {
	struct span ep;
	uint64_t timeout_s; /* 0: BACKEND_TIMEOUT_S */
	bool has_ttl;
	uint64_t ttl_s;
};

/* Spans of `out` lie in the arena. 0; -EINVAL with words in `error`; -ENOMEM. */
int backend_request_of(const json_t *req, const struct backend_ask *ask, struct arena *arena,
		       struct backend_request *out, char error[BACKEND_ERROR]) NODISCARD;
/* The same of a text. */
int backend_request_parse(struct span text, const struct backend_ask *ask, struct arena *arena,
			  struct backend_request *out, char error[BACKEND_ERROR]) NODISCARD;
/* An object of bounded depth, or NULL with words in `error`; the caller's (json_decref). */
json_t *backend_json(struct span text, char error[BACKEND_ERROR]) NODISCARD;

static inline void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ _cleanup_(cleanup_json)
