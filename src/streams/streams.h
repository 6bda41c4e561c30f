/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "base/log.h"

/*
 * Backends that have nothing but Redis: their requests come by a stream, and are answered by streams
 * (docs/redis.md is the contract with them). Each node is a consumer of the one stream of requests; a request
 * is executed through the REST interface, at whichever node has its device, and answered exactly once, by a
 * state per ticket in Redis.
 */

struct uv_loop_s;
struct store;
struct http;
struct store_event;
struct streams;

struct streams_config {
	uint32_t node;
	uint64_t incarnation;
	bool requests;		 /* take them */
	bool needs_token;	 /* each request has to have one */
	uint64_t requests_max;	 /* in the stream; the oldest of more are refused */
	uint64_t answers_max;	 /* that a stream of answers keeps, about */
	uint64_t answers_ttl_ms; /* how long a stream of answers stays after the last one */
	uint64_t tickets_ttl_ms; /* how long an answer is known by its ticket */
	uint64_t claim_ms; /* a request that its node says nothing of for so long is taken over by another */
	bool bridge;	   /* serve the channels of Leshan's former cluster module */
	/* The JSON of an event: event_text of http/event_json.h. */
	int (*render)(void *ctx, const struct store_event *event, struct buffer *json,
		      struct buffer *replaced, const char **name);
	void *render_ctx;
};

/* All are borrowed until streams_free; the store has to be one in Redis. -ENOMEM: *out may
 * be set all the same, and is to be stopped then. */
int streams_new(const struct streams_config *config, struct uv_loop_s *loop, struct http *http,
		struct store *store, struct log *log, struct streams **out) NODISCARD;
/* A request that waited for its device is over, and that is stored: its id, and the JSON of the event
 * (REQUEST_RESPONSE). */
void streams_ended(struct streams *s, struct span id, struct span json);
/* Takes nothing more; before http_stop. What was begun and has no answer is left to the other nodes.
 * `stopped` later. */
void streams_stop(struct streams *s, void (*stopped)(void *ctx), void *ctx);
/* After the store was closed. */
struct streams *streams_free(struct streams *s);
