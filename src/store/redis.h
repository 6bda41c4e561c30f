/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "net/stream.h"
#include "store/backend.h"
#include "store/redis_keys.h"
#include "store/redis_script.h"
#include "store/redis_url.h"

#include <hiredis/hiredis.h>

/*
 * Private to the backend `redis*.c`: the connection, and what its parts share.
 *
 * A call is one command to Redis, on the heap, with what is needed when its answer comes. Calls are pipelined
 * on one connection and answered in order. When the connection is lost, those without an answer are sent
 * again on the next one, in order: each is made such that this does no harm (fences, tickets), and `again`
 * lets it tell what it finds then from what somebody else did.
 */

struct redis;
struct redis_call;

/* On the loop. err < 0: `reply` is NULL. The call is freed afterwards, with its memory. */
typedef void redis_answer_fn(struct redis_call *c, int err, const struct redisReply *reply);

/* Begins the struct of each kind of call. */
struct redis_call {
	struct redis *redis;
	struct redis_call *next;
	redis_answer_fn *answer;
	struct buffer text; /* the arguments as they are sent, without their number */
	unsigned count;
	size_t run_at;	     /* where in `text` the run id stands; 0: nowhere */
	struct arena memory; /* for what the call has to remember; freed with it */
	size_t charge;
	uint64_t deadline_ms; /* of the loop's clock */
	uint64_t sent_ms;
	struct redisReply *held; /* its answer, while it waits for a replica */
	bool change;		 /* counts as a write, and waits for a replica where durability says so */
	bool fenced;		 /* its outcome must not stay open: once sent it waits until it is known */
	bool replicated;	 /* waits for a replica if there is one */
	bool waits;		 /* it does */
	bool internal;		 /* part of something that is under way: not refused */
	bool background;	 /* nobody has asked for it: counts for nothing */
	bool setup;		 /* belongs to this connection */
	bool again;		 /* was sent on an earlier connection */
	bool abandoned;		 /* its time was over: nobody waits for the answer */
};

struct redis_calls {
	struct redis_call *first;
	struct redis_call **last;
};

enum redis_state {
	REDIS_DOWN,	  /* waits until `retry_ms` */
	REDIS_CONNECTING, /* there is a stream */
	REDIS_SETUP,	  /* it is open; answers about the server are awaited */
	REDIS_UP,
	REDIS_STOPPED, /* no more connections */
};

/* Where polling for events stands (redis_event.c). */
struct redis_events {
	void (*grown)(void *ctx);
	void *ctx;
	uv_timer_t timer;
	bool polling;
	bool again;		 /* events of our own were written while it polled */
	uint64_t horizon;	 /* of the poll under way */
	struct store_cursor end; /* as of the last poll that found something */
	size_t step;		 /* how many of each stream one read takes */
};

/* What trimming knows (redis_trim.c). */
struct redis_trims {
	bool running;
	uint64_t next_ms; /* of the loop's clock */
	uint64_t bytes, trimmed;
};

struct redis {
	struct store base;
	struct store_options options; /* strings in it are not used after opening */
	struct redis_target target;
	struct redis_layout layout;
	uint32_t node;
	struct log *log;
	uv_loop_t *loop;

	/* ---- connection ---- */
	enum redis_state state;
	struct net_tls *tls;
	struct net_stream *stream;
	redisReader *reader;
	struct redis_calls sent, waiting, held;
	unsigned setup_left;
	unsigned failures; /* in a row */
	uint64_t retry_ms;
	uv_timer_t tick;
	uv_idle_t turn;
	bool batch;	   /* something was sent in this turn */
	bool unreplicated; /* ... that has to wait for a replica */
	bool wait_again;   /* no replica had it yet */
	bool opening;	   /* on a loop of its own, while store_open waits */
	bool wants_incarnation;
	int fatal;	   /* opening: why it cannot work */
	char trouble[200]; /* what an operator has to mend, else empty */

	/* ---- the server ---- */
	uint32_t run; /* short hash of its run id */
	unsigned replicas;
	uint64_t heard_ms;    /* its clock, the highest it told ... */
	uint64_t heard_at_ms; /* ... and ours (the loop's) then */
	uint64_t silent_since_ms;
	uint64_t beat_ms;
	bool beat_open;
	bool away_told;

	struct redis_events events;
	struct redis_trims trims;
	uint32_t expiry_next; /* the partition at which the next look for expired devices begins */
	uint64_t tickets;
	uint64_t written; /* sequence of the last write of this process */
	bool leased;

	/* ---- figures, closing ---- */
	struct store_stats stats;
	size_t jobs; /* of several calls, under way */
	bool closing;
	bool close_done; /* but for the handles */
	uint64_t close_ms;
	unsigned handles;
	void (*conn_closed)(struct redis *r);
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static inline struct redis *redis_of(struct store *s)
{
	return container_of(s, struct redis, base);
}

/* ---- calls (redis_call.c) ---- */

/* `size` bytes (at least those of a struct redis_call), cleared; NULL: no memory. */
void *redis_call_new(struct redis *r, size_t size, redis_answer_fn *answer) NODISCARD;
void redis_call_free(struct redis_call *c);
void redis_arg(struct redis_call *c, struct span s);
void redis_arg_str(struct redis_call *c, const char *s);
void redis_arg_uint(struct redis_call *c, uint64_t v);
/* An argument that has the run id of the server at `at`, filled in when it is sent: it may be another
 * server's by then. One per call. */
void redis_arg_run(struct redis_call *c, struct span s, size_t at);
/* EVALSHA of a script with so many keys. */
void redis_script(struct redis_call *c, enum redis_script script, unsigned keys);
/* The first argument of every script that asks for the time: what it is at least. */
void redis_arg_floor(struct redis_call *c);

/* -ENOBUFS (too much waits; not if it is internal), -ENOMEM; then the call is freed and never answered. */
int redis_send(struct redis_call *c) NODISCARD;
void redis_calls_init(struct redis_calls *q);
void redis_calls_append(struct redis_calls *q, struct redis_call *c);
struct redis_call *redis_calls_take(struct redis_calls *q);
/* All of `front` before all of `q`; `front` is empty afterwards. */
void redis_calls_prepend(struct redis_calls *q, struct redis_calls *front);

/* Answers, and frees. */
void redis_answer(struct redis_call *c, int err, const struct redisReply *reply);

/* ---- connection (redis_conn.c) ---- */

int redis_conn_init(struct redis *r, uv_loop_t *loop) NODISCARD;
/* The call is in `waiting`: sends what can be sent. */
void redis_conn_push(struct redis *r);
/* Sends a call in front of all that waits, for this connection alone. -ENOMEM: it is freed, never answered.
 */
int redis_conn_send_now(struct redis_call *c) NODISCARD;
/* Gives the connection up; what it has under way is sent again on the next one. */
void redis_conn_fail(struct redis *r, int err, const char *words);
/* No more connections; all that waits is answered with -ETIMEDOUT. */
void redis_conn_stop(struct redis *r);
/* Closes the handles; `handles` counts those that are still to close, redis_conn_closed is called for each.
 */
void redis_conn_deinit(struct redis *r, void (*closed)(struct redis *r));

/* What has to be asked on a new connection (redis_setup.c). Sets the state to REDIS_UP at last. */
void redis_setup(struct redis *r);
/* Goes on with closing, if there is nothing left to wait for (redis_open.c). */
void redis_close_step(struct redis *r);

/* ---- the server's clock ---- */

uint64_t redis_now(const struct redis *r);
/* The server said what time it is. */
void redis_heard(struct redis *r, uint64_t ms);

/* ---- reading replies ---- */

struct span redis_bytes(const struct redisReply *reply);
/* Element i of an array; NULL if it is none, or too short. */
const struct redisReply *redis_item(const struct redisReply *reply, size_t i);
/* The number in element i, also if it is written as text; `otherwise` if there is none. */
uint64_t redis_item_uint(const struct redisReply *reply, size_t i, uint64_t otherwise);
struct span redis_item_bytes(const struct redisReply *reply, size_t i);

/* ---- jobs: several calls ---- */

/* Something that ends later: closing waits for it. */
void redis_job_begin(struct redis *r);
void redis_job_end(struct redis *r);

/* ---- parts ---- */

int redis_write(struct store *s, const struct store_write *w, const struct store_fence *to,
		store_written_fn *done, void *ctx);
int redis_claim(struct store *s, struct store_key key, const struct store_fence *expected,
		store_device_fn *done, void *ctx);
int redis_find(struct store *s, struct store_key key, store_device_fn *done, void *ctx);
int redis_scan(struct store *s, enum store_role role,
	       int (*each)(void *ctx, const struct store_device *device), void *ctx);
int redis_find_hash(struct store *s, enum store_role role, uint32_t hash, store_device_fn *each, void *ctx);
int redis_walk(struct store *s, enum store_role role, uint64_t cursor, size_t count, store_walk_fn *each,
	       void *ctx);
int redis_expired(struct store *s, enum store_role role, size_t count, uint64_t defer_ms,
		  store_device_fn *each, void *ctx);
int redis_expiry_set(struct store *s, struct store_key key, uint64_t at_ms, store_device_fn *done, void *ctx);
int redis_index_find(struct store *s, enum store_index kind, struct span key, store_index_fn *done,
		     void *ctx);

int redis_events_read(struct store *s, struct store_cursor after, size_t count, store_events_fn *done,
		      void *ctx);
struct store_cursor redis_events_end(const struct store *s);
void redis_on_events(struct store *s, void (*grown)(void *ctx), void *ctx);
/* An event was written at this time: it can be read when the millisecond is over. */
void redis_events_written(struct redis *r);
void redis_events_stop(struct redis *r);
/* Once a tick. */
void redis_trim(struct redis *r);

int redis_document_put(struct store *s, enum store_document kind, struct span name, struct span body,
		       uint64_t expected, store_document_fn *done, void *ctx);
int redis_document_delete(struct store *s, enum store_document kind, struct span name,
			  store_document_fn *done, void *ctx);
int redis_document_get(struct store *s, enum store_document kind, struct span name, store_document_fn *done,
		       void *ctx);
int redis_document_list(struct store *s, enum store_document kind, struct span after, size_t count,
			store_document_fn *each, void *ctx);

int redis_request_add(struct store *s, struct store_key key, const struct store_request *q, size_t max,
		      store_request_fn *done, void *ctx);
int redis_request_set(struct store *s, struct store_key key, const struct store_fence *fence,
		      const struct store_request *q, store_request_fn *done, void *ctx);
int redis_request_list(struct store *s, struct store_key key, store_request_fn *each, void *ctx);

int redis_lease_take(struct store *s, struct span body, uint64_t ttl_ms, store_lease_fn *done, void *ctx);
int redis_lease_drop(struct store *s, store_lease_fn *done, void *ctx);
/* Of closing: the lease must not outlive its process. */
int redis_lease_give_up(struct redis *r, store_lease_fn *done) NODISCARD;
int redis_lease_list(struct store *s, store_lease_fn *each, void *ctx);

/* A device as a call found it. False: `value` is none, or a tombstone whose time is over. A tombstone has no
 * record. */
bool redis_device_decode(const struct redis *r, struct span value, bool *deleted, struct store_device *out);
