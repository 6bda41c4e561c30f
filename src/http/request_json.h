/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "lwm2m/queued.h"

/* Queued requests, and what became of them. */

struct queued_view {
	struct span endpoint, id;
	uint8_t state;
	const struct queued_request *request;
	const struct registry *registry;
	uint64_t now_ms;
	struct arena *arena; /* for what is decoded; reset */
};

/* "path", or "paths" of a composite. */
void queued_path_json(struct json *j, const struct queued_request *q);
/* "response", if the device answered, "raw" if nobody can read it, and "error", if there is one. */
void queued_result_json(struct json *j, const struct queued_view *v);
/* The whole request, as an object. */
void queued_json(struct json *j, const struct queued_view *v);
