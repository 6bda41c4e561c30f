/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A connection of its own to the Redis of a store, for what waits there. It knows no pipeline and repeats
 * nothing: whoever uses it begins anew with each connection. Whether the server will do, the store's
 * connection judges.
 */

#include "store/redis_side.h"

#include "store/redis.h"

#include <errno.h>
#include <stdio.h>

enum { TICK_MS = 250, RETRY_MIN_MS = 100, RETRY_MAX_MS = 3000, TEXT_MAX = 1 << 20 };

struct redis_feed {
	struct redis *redis;
	const struct redis_feed_handlers *handlers;
	void *ctx;
	struct net_stream *stream;
	redisReader *reader;
	uv_timer_t tick;
	bool opened;
	unsigned setup_left; /* answers to come before it is up */
	unsigned failures;   /* in a row */
	uint64_t heard_ms, quiet_ms, retry_ms;
	bool tick_closed;
	bool closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
};

static bool is_up(const struct redis_feed *f)
{
	return f->opened && f->setup_left == 0;
}

void redis_feed_fail(struct redis_feed *f, const char *words)
{
	if (f->stream)
		net_stream_fail(f->stream, -EPROTO, words);
	f->opened = false;
}

static int send_words(struct redis_feed *f, const struct span *args, size_t count)
{
	_cleanup_buffer_ struct buffer text = buffer_of(TEXT_MAX);

	buffer_printf(&text, "*%zu\r\n", count);
	for (size_t i = 0; i < count; i++) {
		buffer_printf(&text, "$%zu\r\n", args[i].len);
		if (args[i].len)
			buffer_bytes(&text, args[i]);
		buffer_str(&text, "\r\n");
	}
	return text.failed ? -ENOMEM : net_stream_write(f->stream, buffer_span(&text));
}

int redis_feed_send(struct redis_feed *f, const struct span *args, size_t count)
{
	return is_up(f) ? send_words(f, args, count) : -ENOTCONN;
}

/* ---- life of a connection ---- */

static void setup(struct redis_feed *f, const struct span *args, size_t count)
{
	f->setup_left++;
	if (send_words(f, args, count) < 0)
		redis_feed_fail(f, "no memory");
}

static void now_up(struct redis_feed *f)
{
	f->failures = 0;
	f->handlers->up(f->ctx);
}

static void on_opened(void *ctx, struct net_stream *s)
{
	struct redis_feed *f = ctx;
	const struct redis_target *t = &f->redis->target;
	char db[16];

	(void)s;
	f->opened = true;
	f->heard_ms = uv_now(f->redis->loop);
	f->setup_left = 0;
	snprintf(db, sizeof(db), "%u", t->db);
	if (t->password && t->user)
		setup(f, (struct span[]){span_str("AUTH"), span_str(t->user), span_str(t->password)}, 3);
	else if (t->password)
		setup(f, (struct span[]){span_str("AUTH"), span_str(t->password)}, 2);
	if (t->db)
		setup(f, (struct span[]){span_str("SELECT"), span_str(db)}, 2);
	if (is_up(f))
		now_up(f);
}

static void take_reply(struct redis_feed *f, const struct redisReply *reply)
{
	if (f->setup_left == 0) {
		f->handlers->reply(f->ctx, reply);
		return;
	}
	if (reply->type == REDIS_REPLY_ERROR)
		redis_feed_fail(f, reply->str);
	else if (--f->setup_left == 0)
		now_up(f);
}

static void on_data(void *ctx, struct net_stream *s, struct span data)
{
	struct redis_feed *f = ctx;

	(void)s;
	f->heard_ms = uv_now(f->redis->loop);
	if (redisReaderFeed(f->reader, (const char *)data.data, data.len) != REDIS_OK) {
		redis_feed_fail(f, "too large an answer");
		return;
	}
	while (f->opened && !f->closing) {
		void *reply = NULL;

		if (redisReaderGetReply(f->reader, &reply) != REDIS_OK) {
			redis_feed_fail(f, f->reader->errstr);
			return;
		}
		if (!reply)
			return;
		take_reply(f, reply);
		freeReplyObject(reply);
	}
}

static void finish(struct redis_feed *f)
{
	void (*closed)(void *ctx) = f->closed;
	void *ctx = f->closed_ctx;

	if (!f->closing || f->stream || !f->tick_closed)
		return;
	free(f);
	closed(ctx);
}

static void on_closed(void *ctx, int err, const char *words)
{
	struct redis_feed *f = ctx;
	uint64_t wait = RETRY_MIN_MS;

	(void)err;
	f->stream = NULL;
	f->opened = false;
	redisReaderFree(f->reader);
	f->reader = NULL;
	if (f->closing) {
		finish(f);
		return;
	}
	for (unsigned i = 0; i < f->failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	f->failures++;
	f->retry_ms = uv_now(f->redis->loop) + wait;
	log_limited(f->redis->log, LOG_WARN, 6, "store-feed-away", "error=\"%s\"", words);
}

static const struct net_stream_handlers handlers = {
	.opened = on_opened, .data = on_data, .closed = on_closed};

static void connect_now(struct redis_feed *f)
{
	const struct redis_target *t = &f->redis->target;
	struct net_stream_options options = {.host = t->host,
					     .port = t->port,
					     .path = t->path,
					     .tls = f->redis->tls,
					     .dead_ms = f->quiet_ms};

	f->reader = redisReaderCreate();
	if (f->reader && net_stream_connect(f->redis->loop, &options, &handlers, f, &f->stream) == 0)
		return;
	if (f->reader)
		redisReaderFree(f->reader);
	f->reader = NULL;
	f->retry_ms = uv_now(f->redis->loop) + RETRY_MAX_MS;
}

static void on_tick(uv_timer_t *timer)
{
	struct redis_feed *f = container_of(timer, struct redis_feed, tick);
	uint64_t now = uv_now(f->redis->loop);

	if (!f->stream && now >= f->retry_ms)
		connect_now(f);
	else if (f->opened && now - f->heard_ms > f->quiet_ms)
		redis_feed_fail(f, "no answer");
}

int redis_feed_new(struct store *s, const struct redis_feed_handlers *h, void *ctx, uint64_t quiet_ms,
		   struct redis_feed **out)
{
	struct redis_feed *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	f->redis = redis_of(s);
	f->handlers = h;
	f->ctx = ctx;
	f->quiet_ms = quiet_ms;
	uv_timer_init(f->redis->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 0, TICK_MS);
	*out = f;
	return 0;
}

static void tick_closed(uv_handle_t *handle)
{
	struct redis_feed *f = container_of((uv_timer_t *)handle, struct redis_feed, tick);

	f->tick_closed = true;
	finish(f);
}

void redis_feed_free(struct redis_feed *f, void (*closed)(void *ctx), void *ctx)
{
	if (!f) {
		closed(ctx);
		return;
	}
	f->closing = true;
	f->closed = closed;
	f->closed_ctx = ctx;
	if (f->stream)
		net_stream_close(f->stream);
	uv_close((uv_handle_t *)&f->tick, tick_closed);
}
