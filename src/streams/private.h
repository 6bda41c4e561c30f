/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "http/http.h"
#include "store/redis_side.h"
#include "streams/outcome.h"
#include "streams/request.h"
#include "streams/streams.h"

#include <uv.h>

/* What the files of this folder share. */

enum {
	TICK_MS = 50,	    /* also: how long a request may take before it is told that it was accepted */
	INFLIGHT_MAX = 256, /* requests that one node works on */
	READ_MAX = 32,	    /* requests of one read */
	LATE_MAX = 64,
	TICKET_MAX = 128,
	REPLY_MAX = 200,
	KEY_MAX = REDIS_PREFIX_MAX + 16 + 2 * REPLY_MAX + TICKET_MAX,
};

#define STREAMS_GROUP "shoal"

/* The consumer of the stream of requests (inbox.c). */
struct inbox {
	struct redis_feed *feed;
	bool up;
	bool ready;   /* the consumer group is there */
	bool opening; /* it is being made */
	bool reading;
	bool claiming, holding, counting;
	bool refusing;				       /* what comes now is refused: there is too much */
	uint64_t open_ms, claim_ms, hold_ms, count_ms; /* when next; of the loop's clock */
};

struct bridge;

struct streams {
	struct streams_config config;
	uv_loop_t *loop;
	struct http *http;
	struct store *store;
	struct log *log;
	char consumer[48];
	uv_timer_t tick;
	struct inbox inbox;
	struct list tickets; /* in work here */
	size_t ticket_count;
	uint64_t takes; /* each has a number */
	bool sweeping;
	uint64_t sweep_ms;
	size_t late_count;
	struct bridge *bridge; /* NULL: none */
	bool stopping;
	unsigned closing; /* handles and feeds that are still to close */
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* Keys: `name` behind the prefix. */
struct span streams_key(const struct streams *s, struct redis_key *k, const char *name);
/* Something that streams_stop waits for is closed. */
void streams_closed(void *ctx);

/* ---- inbox.c ---- */

int inbox_start(struct streams *s) NODISCARD;
void inbox_tick(struct streams *s, uint64_t now);
/* There may be room for more. */
void inbox_pump(struct streams *s);

/* ---- ticket.c ---- */

/* One entry of the stream of requests: [id, [name, value, ...]]. `refuse`: it is not executed. */
void ticket_take(struct streams *s, const struct redisReply *entry, bool refuse);
void ticket_tick(struct streams *s, uint64_t now);
/* Lets go of those that wait for nobody. */
void ticket_stop(struct streams *s);

/* Where a ticket is known, and where it is answered. */
struct ticket_place {
	struct span name;  /* the ticket */
	struct span reply; /* the stream of answers */
	struct span entry; /* id of the request */
};
/* The key of a ticket; empty if `reply` cannot have one. It has the hash tag of the stream of answers. */
struct span ticket_key(const struct streams *s, const struct ticket_place *at, uint8_t key[KEY_MAX]);
/* ticket_end.lua: 0 or < 0; `done` as redis_command_send has it. */
int ticket_send_end(struct streams *s, const struct ticket_place *at, const struct outcome *o,
		    redis_command_fn *done, void *ctx) NODISCARD;

/* ---- waiting.c ---- */

/* waiting_add.lua */
int waiting_send_add(struct streams *s, struct span id, uint64_t ends_ms, const struct ticket_place *at,
		     struct span ep, redis_command_fn *done, void *ctx) NODISCARD;
void waiting_tick(struct streams *s, uint64_t now);

/* ---- bridge.c ---- */

int bridge_start(struct streams *s) NODISCARD;
void bridge_tick(struct streams *s, uint64_t now);
void bridge_stop(struct streams *s);
void bridge_free(struct streams *s);
