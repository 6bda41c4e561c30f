/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The connection to Redis: pipelining, reconnecting, waiting for replicas, ends of waiting.
 *
 * The hard idea: a call is in exactly one of three queues - `waiting` to be sent, `sent`, or `held` until a
 * replica has what it did - and leaves the last one only with its answer. A connection that is lost puts held
 * and sent calls back in front of the waiting ones, so everything is done again in the order in which it was
 * asked for. A fenced call that was sent once is never given up: its device could not go on without knowing.
 *
 * Leaves out what is asked on a new connection (redis_setup.c), and what calls mean.
 */

#include "store/redis.h"

#include <errno.h>
#include <stdio.h>

enum {
	TICK_MS = 50,
	BEAT_MS = 1000,
	DEAD_MS = 5000, /* without an answer the connection counts as lost */
	RETRY_MIN_MS = 50,
	RETRY_MAX_MS = 3000,
	REPLY_MAX = 256 << 20, /* bytes of one reply */
	WAIT_MS = 20, /* it keeps all behind it waiting too, so it is tried again instead of being long */
};

/* ---- what Redis says when it does not do a command ---- */

enum { NOT_NOW = 1 };

static const struct {
	const char *code;
	int err; /* or NOT_NOW: on another connection, or after a while */
} errors[] = {
	{"OOM", -ENOSPC},	  {"WRONGTYPE", -EBADMSG}, {"BADVALUE", -EBADMSG}, {"NOPERM", -EACCES},
	{"NOSCRIPT", NOT_NOW},	  {"LOADING", NOT_NOW},	   {"READONLY", NOT_NOW},  {"MASTERDOWN", NOT_NOW},
	{"CLUSTERDOWN", NOT_NOW}, {"TRYAGAIN", NOT_NOW},   {"MOVED", NOT_NOW},	   {"ASK", NOT_NOW},
	{"BUSY", NOT_NOW},	  {"NOAUTH", NOT_NOW},
};

static int error_of(const struct redisReply *reply)
{
	struct span text = span_of(reply->str, (size_t)reply->len);

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		size_t len = strlen(errors[i].code);

		if (text.len > len && text.data[len] == ' ' && memcmp(text.data, errors[i].code, len) == 0)
			return errors[i].err;
	}
	return -EIO;
}

/* ---- sending ---- */

static void on_turn(uv_idle_t *idle);

/* False: not now. */
static bool transmit(struct redis *r, struct redis_call *c)
{
	char head[24];
	int len = snprintf(head, sizeof(head), "*%u\r\n", c->count);
	struct span parts[] = {span_of(head, (size_t)len), buffer_span(&c->text)};

	if (c->run_at) {
		struct writer w = writer_of(c->text.data + c->run_at, 4);

		writer_u32(&w, r->run);
	}
	if (net_stream_writev(r->stream, parts, ARRAY_SIZE(parts)) < 0)
		return false;
	c->sent_ms = uv_now(r->loop);
	redis_calls_append(&r->sent, c);
	if (c->change && !r->batch) {
		r->batch = true;
		r->stats.commits++;
	}
	c->waits = c->change ? r->options.durability == STORE_REPLICA : c->replicated && r->replicas;
	r->unreplicated |= c->waits;
	if (r->batch || r->unreplicated)
		uv_idle_start(&r->turn, on_turn);
	return true;
}

void redis_conn_push(struct redis *r)
{
	struct redis_call *c;

	while (r->state == REDIS_UP && (c = r->waiting.first)) {
		struct redis_call *next = c->next;

		if (!transmit(r, c))
			return;
		r->waiting.first = next;
		if (!next)
			r->waiting.last = &r->waiting.first;
	}
}

int redis_conn_send_now(struct redis_call *c)
{
	c->setup = true;
	if (!c->text.failed && c->redis->stream && transmit(c->redis, c))
		return 0;
	redis_call_free(c);
	return -ENOMEM;
}

/* ---- replicas ---- */

static void send_wait(struct redis *r);

static void on_wait(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	bool there_are = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
	struct redis_calls done;

	if (err < 0)
		return;
	/* Without any replica left only durability `replica` insists on one. */
	if (!there_are && (r->replicas || r->options.durability == STORE_REPLICA)) {
		log_limited(r->log, LOG_WARN, 2, "store-not-replicated", "replicas=%u", r->replicas);
		r->wait_again = true;
		return;
	}
	done = r->held;
	if (!done.first)
		redis_calls_init(&done);
	redis_calls_init(&r->held);
	while ((c = redis_calls_take(&done))) {
		struct redisReply *held = c->held;

		c->held = NULL;
		redis_answer(c, 0, held);
		freeReplyObject(held);
	}
}

/* Asks whether a replica has what was sent before. The server answers nothing else on this connection until
 * one has, or the time is over. */
static void send_wait(struct redis *r)
{
	struct redis_call *c = redis_call_new(r, sizeof(*c), on_wait);

	if (c) {
		redis_arg_str(c, "WAIT");
		redis_arg_uint(c, 1);
		redis_arg_uint(c, WAIT_MS);
	}
	if (!c || redis_conn_send_now(c) < 0)
		redis_conn_fail(r, -ENOMEM, "no memory");
}

static void on_turn(uv_idle_t *idle)
{
	struct redis *r = container_of(idle, struct redis, turn);
	bool wait = r->unreplicated;

	uv_idle_stop(idle);
	r->batch = false;
	r->unreplicated = false;
	if (wait && r->state == REDIS_UP)
		send_wait(r);
}

/* ---- receiving ---- */

static void note_latency(struct redis *r, const struct redis_call *c)
{
	r->stats.commit_us_last = (uv_now(r->loop) - c->sent_ms) * 1000;
	r->stats.commit_us_max = MAX(r->stats.commit_us_max, r->stats.commit_us_last);
}

static void receive(struct redis *r, struct redis_call *c, struct redisReply *reply)
{
	int err = reply->type == REDIS_REPLY_ERROR ? error_of(reply) : 0;

	if (c->change)
		note_latency(r, c);
	if (c->setup) {
		redis_answer(c, MIN(err, 0), reply);
	} else if (err == NOT_NOW) {
		struct redis_calls front;

		redis_calls_init(&front);
		redis_calls_append(&front, c);
		redis_calls_prepend(&r->sent, &front);
		redis_conn_fail(r, -EAGAIN, reply->str);
	} else if (err < 0) {
		log_limited(r->log, LOG_WARN, 5, "store-refused-command", "error=%s",
			    LOG_SPAN(span_of(reply->str, (size_t)reply->len)));
		redis_answer(c, err, NULL);
	} else if (c->waits && !c->abandoned) {
		c->held = reply;
		redis_calls_append(&r->held, c);
		return;
	} else {
		redis_answer(c, 0, reply);
	}
	freeReplyObject(reply);
}

static void on_data(void *ctx, struct net_stream *s, struct span data)
{
	struct redis *r = ctx;

	r->silent_since_ms = 0;
	if (redisReaderFeed(r->reader, (const char *)data.data, data.len) != REDIS_OK ||
	    r->reader->len - r->reader->pos > REPLY_MAX) {
		redis_conn_fail(r, -EPROTO, "too large an answer");
		return;
	}
	while (r->stream == s && (r->state == REDIS_UP || r->state == REDIS_SETUP)) {
		void *reply = NULL;
		struct redis_call *c;

		if (redisReaderGetReply(r->reader, &reply) != REDIS_OK) {
			redis_conn_fail(r, -EPROTO, r->reader->errstr);
			return;
		}
		if (!reply)
			return;
		c = redis_calls_take(&r->sent);
		if (!c) {
			freeReplyObject(reply);
			redis_conn_fail(r, -EPROTO, "an answer to nothing");
			return;
		}
		receive(r, c, reply);
		redis_close_step(r);
	}
}

/* ---- life of a connection ---- */

static void on_opened(void *ctx, struct net_stream *s)
{
	struct redis *r = ctx;

	(void)s;
	r->state = REDIS_SETUP;
	r->beat_ms = uv_now(r->loop);
	redis_setup(r);
}

static void on_drained(void *ctx, struct net_stream *s)
{
	(void)s;
	redis_conn_push(ctx);
}

void redis_conn_fail(struct redis *r, int err, const char *words)
{
	if (!r->stream || r->state == REDIS_DOWN || r->state == REDIS_STOPPED)
		return;
	r->state = REDIS_DOWN;
	net_stream_fail(r->stream, err, words);
}

/* Drops what belonged to the connection, marks the rest. */
static void sort_out(struct redis_calls *from, struct redis_calls *kept)
{
	struct redis_call *c;

	while ((c = redis_calls_take(from))) {
		if (c->held)
			freeReplyObject(c->held);
		c->held = NULL;
		if (c->setup || c->abandoned) {
			c->abandoned = true;
			redis_answer(c, -ECONNRESET, NULL);
			continue;
		}
		c->again = true;
		redis_calls_append(kept, c);
	}
}

static void on_closed(void *ctx, int err, const char *words)
{
	struct redis *r = ctx;
	struct redis_calls kept;
	uint64_t now = uv_now(r->loop), wait = RETRY_MIN_MS;

	r->stream = NULL;
	redisReaderFree(r->reader);
	r->reader = NULL;
	redis_calls_init(&kept);
	sort_out(&r->held, &kept);
	sort_out(&r->sent, &kept);
	redis_calls_prepend(&r->waiting, &kept);
	r->setup_left = 0;
	r->beat_open = false;
	r->wait_again = false;
	if (!r->silent_since_ms)
		r->silent_since_ms = now;
	if (r->state == REDIS_STOPPED) {
		redis_close_step(r);
		return;
	}
	r->state = REDIS_DOWN;
	for (unsigned i = 0; i < r->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	r->failures++;
	r->retry_ms = now + wait;
	if (r->opening) {
		snprintf(r->trouble, sizeof(r->trouble), "%s", words);
		r->fatal = r->fatal ? r->fatal : err == -EAGAIN ? 0 : MIN(err, -1);
		uv_stop(r->loop);
		return;
	}
	log_limited(r->log, LOG_WARN, 6, "store-away",
		    "error=\"%s\" waiting=%llu hint=\"devices that are known go on being served\"", words,
		    (unsigned long long)r->stats.pending_writes);
	r->away_told = true;
	redis_close_step(r);
}

static const struct net_stream_handlers handlers = {
	.opened = on_opened, .data = on_data, .drained = on_drained, .closed = on_closed};

static void connect_now(struct redis *r)
{
	const struct redis_target *t = &r->target;
	struct net_stream_options options = {
		.host = t->host,
		.port = t->port,
		.path = t->path,
		.tls = r->tls,
		.dead_ms = DEAD_MS,
		/* What waits is bounded by pending_bytes_max, and this is not to be a second bound. */
		.buffer_max = r->options.pending_bytes_max + ((size_t)64 << 20),
	};

	r->reader = redisReaderCreate();
	if (!r->reader || net_stream_connect(r->loop, &options, &handlers, r, &r->stream) < 0) {
		if (r->reader)
			redisReaderFree(r->reader);
		r->reader = NULL;
		r->retry_ms = uv_now(r->loop) + RETRY_MAX_MS;
		return;
	}
	r->state = REDIS_CONNECTING;
}

/* ---- time ---- */

static void on_beat(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	uint64_t seconds = redis_item_uint(reply, 0, 0), us = redis_item_uint(reply, 1, 0);

	r->beat_open = false;
	if (err == 0 && seconds)
		redis_heard(r, seconds * 1000 + us / 1000);
}

static void on_role(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;
	const struct redisReply *replicas = redis_item(reply, 2);

	if (err < 0)
		return; /* not allowed by the ACL: what INFO said stays */
	if (!span_is(redis_item_bytes(reply, 0), "master"))
		redis_conn_fail(r, -EROFS, "it has become a replica");
	else if (replicas && replicas->type == REDIS_REPLY_ARRAY)
		r->replicas = (unsigned)replicas->elements;
}

static void beat(struct redis *r)
{
	struct redis_call *time = redis_call_new(r, sizeof(*time), on_beat);
	struct redis_call *role = redis_call_new(r, sizeof(*role), on_role);

	r->beat_ms = uv_now(r->loop);
	if (time)
		redis_arg_str(time, "TIME");
	if (role)
		redis_arg_str(role, "ROLE");
	r->beat_open = time && redis_conn_send_now(time) == 0;
	if (role && redis_conn_send_now(role) < 0)
		return;
}

/* Calls whose time is over, to be answered; a fenced one stays if it was ever sent, and all behind it. */
static void collect(struct redis_calls *from, uint64_t now, bool *stuck, struct redis_calls *over)
{
	struct redis_call **at = &from->first, *c;

	while ((c = *at) && c->deadline_ms <= now) {
		*stuck |= c->fenced && c->again;
		if (c->fenced && *stuck) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		if (from->last == &c->next)
			from->last = at;
		redis_calls_append(over, c);
	}
}

static void expire(struct redis *r, uint64_t now)
{
	bool stuck = r->held.first != NULL;
	struct redis_calls over;
	struct redis_call *c;

	redis_calls_init(&over);
	for (c = r->sent.first; c && c->deadline_ms <= now; c = c->next) {
		stuck |= c->fenced;
		if (c->abandoned || c->fenced || c->setup)
			continue;
		c->answer(c, -ETIMEDOUT, NULL);
		c->abandoned = true;
	}
	collect(&r->waiting, now, &stuck, &over);
	while ((c = redis_calls_take(&over)))
		redis_answer(c, -ETIMEDOUT, NULL);
}

static void on_tick(uv_timer_t *timer)
{
	struct redis *r = container_of(timer, struct redis, tick);
	uint64_t now = uv_now(r->loop);

	if (r->state == REDIS_DOWN && !r->stream && now >= r->retry_ms)
		connect_now(r);
	if (r->state == REDIS_UP && !r->beat_open && now - r->beat_ms >= BEAT_MS)
		beat(r);
	if (r->state == REDIS_UP && r->beat_open && now - r->beat_ms >= BEAT_MS && !r->silent_since_ms)
		r->silent_since_ms = r->beat_ms;
	if ((r->state == REDIS_UP ? r->beat_open : r->state == REDIS_SETUP) && now - r->beat_ms >= DEAD_MS)
		redis_conn_fail(r, -ETIMEDOUT, "no answer");
	if (r->state == REDIS_UP && r->wait_again) {
		r->wait_again = false;
		send_wait(r);
	}
	expire(r, now);
	if (r->state == REDIS_UP && !r->opening && !r->closing)
		redis_trim(r);
	redis_close_step(r);
}

int redis_conn_init(struct redis *r, uv_loop_t *loop)
{
	r->loop = loop;
	redis_calls_init(&r->sent);
	redis_calls_init(&r->waiting);
	redis_calls_init(&r->held);
	r->state = REDIS_DOWN;
	r->failures = 0;
	r->handles = 3;
	uv_update_time(loop);
	uv_timer_init(loop, &r->tick);
	uv_timer_init(loop, &r->events.timer);
	uv_idle_init(loop, &r->turn);
	uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	connect_now(r);
	return r->stream ? 0 : -ENOMEM;
}

void redis_conn_stop(struct redis *r)
{
	struct redis_calls left = r->waiting;
	struct redis_call *c;

	r->state = REDIS_STOPPED;
	if (r->stream)
		net_stream_close(r->stream);
	if (!left.first)
		redis_calls_init(&left);
	redis_calls_init(&r->waiting);
	redis_calls_prepend(&left, &r->sent);
	redis_calls_prepend(&left, &r->held);
	while ((c = redis_calls_take(&left))) {
		if (c->held)
			freeReplyObject(c->held);
		c->held = NULL;
		redis_answer(c, -ETIMEDOUT, NULL);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct redis *r = handle->data;

	r->handles--;
	if (r->handles == 0 && r->conn_closed)
		r->conn_closed(r);
}

void redis_conn_deinit(struct redis *r, void (*closed)(struct redis *r))
{
	uv_handle_t *const handles[] = {(uv_handle_t *)&r->tick, (uv_handle_t *)&r->events.timer,
					(uv_handle_t *)&r->turn};

	r->conn_closed = closed;
	for (size_t i = 0; i < ARRAY_SIZE(handles); i++) {
		handles[i]->data = r;
		uv_close(handles[i], on_handle_closed);
	}
}
