/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The stream of requests: each node is a consumer of one group. It reads no more than it can work on, so that
 * what it cannot take is left to the others, and waits at Redis for more on a connection of its own. While it
 * works on entries it says so; those of which nobody says so any more it takes over.
 *
 * A stream that grows beyond its bound is shortened by refusing the oldest, with an answer each: trimming
 * would lose them in silence.
 */

#include "streams/private.h"

#include <errno.h>
#include <stdio.h>

enum { BLOCK_MS = 1000, QUIET_MS = 5000, RETRY_MS = 1000, COUNT_MS = 100, CONSUMER_IDLE_MS = 3600 * 1000 };

static void read_more(struct streams *s, bool refusing)
{
	struct inbox *in = &s->inbox;
	char count[24], block[24];
	struct redis_key k;
	size_t room = refusing ? READ_MAX : MIN((size_t)READ_MAX, INFLIGHT_MAX - s->ticket_count);

	snprintf(count, sizeof(count), "%zu", room);
	/* 0 would wait for ever. */
	snprintf(block, sizeof(block), "%d", refusing ? 1 : BLOCK_MS);

	const struct span args[] = {span_str("XREADGROUP"),
				    span_str("GROUP"),
				    span_str(STREAMS_GROUP),
				    span_str(s->consumer),
				    span_str("COUNT"),
				    span_str(count),
				    span_str("BLOCK"),
				    span_str(block),
				    span_str("STREAMS"),
				    streams_key(s, &k, "requests"),
				    span_str(">")};

	in->refusing = refusing;
	in->reading = redis_feed_send(in->feed, args, ARRAY_SIZE(args)) == 0;
}

void inbox_pump(struct streams *s)
{
	struct inbox *in = &s->inbox;

	if (in->up && in->ready && !in->reading && !s->stopping && s->ticket_count < INFLIGHT_MAX)
		read_more(s, false);
}

/* ---- the group ---- */

static void on_open(void *ctx, int err, const struct redisReply *reply)
{
	struct streams *s = ctx;

	(void)reply;
	s->inbox.opening = false;
	s->inbox.ready = err == 0;
	s->inbox.open_ms = uv_now(s->loop) + RETRY_MS;
	if (err == 0)
		inbox_pump(s);
	else if (!s->stopping)
		log_limited(s->log, LOG_ERROR, 2, "requests-not-read", "error=\"%s\"",
			    err == -EBADMSG ? "the key of the stream of requests is of another type"
					    : strerror(-err));
}

static void open_group(struct streams *s)
{
	struct redis_command *c = redis_command_script(s->store, REDIS_INBOX_OPEN, 1, on_open, s);
	struct redis_key k;

	if (!c)
		return;
	redis_command_arg(c, streams_key(s, &k, "requests"));
	redis_command_arg_str(c, STREAMS_GROUP);
	redis_command_arg_uint(c, CONSUMER_IDLE_MS);
	s->inbox.opening = redis_command_send(c) == 0;
}

/* ---- the feed ---- */

static void on_up(void *ctx)
{
	struct streams *s = ctx;

	s->inbox.up = true;
	s->inbox.reading = false;
	s->inbox.ready = false;
	s->inbox.open_ms = 0;
}

/* [[key, [entry, ...]]] */
static void on_reply(void *ctx, const struct redisReply *reply)
{
	struct streams *s = ctx;
	const struct redisReply *stream, *entries;

	s->inbox.reading = false;
	if (reply->type == REDIS_REPLY_ERROR) {
		s->inbox.ready = false;
		s->inbox.open_ms = uv_now(s->loop) + RETRY_MS;
		/* The group is made anew where it is missing; a server that became a replica is left. */
		if (strncmp(reply->str, "NOGROUP", strlen("NOGROUP")) != 0)
			redis_feed_fail(s->inbox.feed, reply->str);
		return;
	}
	if (s->stopping)
		return;
	stream = reply->type == REDIS_REPLY_ARRAY && reply->elements ? reply->element[0] : NULL;
	entries = stream && stream->type == REDIS_REPLY_ARRAY && stream->elements == 2 ? stream->element[1]
										       : NULL;
	for (size_t i = 0; entries && entries->type == REDIS_REPLY_ARRAY && i < entries->elements; i++)
		ticket_take(s, entries->element[i], s->inbox.refusing);
	inbox_pump(s);
}

static const struct redis_feed_handlers handlers = {on_up, on_reply};

/* ---- what others left ---- */

/* [next, [entry, ...], ...] */
static void on_claimed(void *ctx, int err, const struct redisReply *reply)
{
	struct streams *s = ctx;
	const struct redisReply *entries;

	s->inbox.claiming = false;
	if (err < 0 || s->stopping || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
		return;
	entries = reply->element[1];
	for (size_t i = 0; entries->type == REDIS_REPLY_ARRAY && i < entries->elements; i++)
		ticket_take(s, entries->element[i], false);
}

static void claim(struct streams *s)
{
	struct redis_command *c = redis_command_new(s->store, "XAUTOCLAIM", on_claimed, s);
	struct redis_key k;

	if (!c)
		return;
	redis_command_arg(c, streams_key(s, &k, "requests"));
	redis_command_arg_str(c, STREAMS_GROUP);
	redis_command_arg_str(c, s->consumer);
	redis_command_arg_uint(c, s->config.claim_ms);
	redis_command_arg_str(c, "0-0");
	redis_command_arg_str(c, "COUNT");
	redis_command_arg_uint(c, READ_MAX);
	s->inbox.claiming = redis_command_send(c) == 0;
}

/* ---- too many ---- */

static void on_count(void *ctx, int err, const struct redisReply *reply)
{
	struct streams *s = ctx;

	s->inbox.counting = false;
	if (err == 0 && !s->stopping && reply->type == REDIS_REPLY_INTEGER &&
	    (uint64_t)reply->integer > s->config.requests_max && s->inbox.up && s->inbox.ready &&
	    !s->inbox.reading)
		read_more(s, true);
}

static void count(struct streams *s)
{
	struct redis_command *c = redis_command_new(s->store, "XLEN", on_count, s);
	struct redis_key k;

	if (!c)
		return;
	redis_command_arg(c, streams_key(s, &k, "requests"));
	s->inbox.counting = redis_command_send(c) == 0;
}

/* ---- time ---- */

void inbox_tick(struct streams *s, uint64_t now)
{
	struct inbox *in = &s->inbox;

	if (in->up && !in->ready && !in->opening && now >= in->open_ms)
		open_group(s);
	if (!in->ready)
		return;
	inbox_pump(s);
	if (!in->claiming && now >= in->claim_ms && s->ticket_count < INFLIGHT_MAX) {
		in->claim_ms = now + s->config.claim_ms / 4;
		claim(s);
	}
	if (!in->counting && now >= in->count_ms && s->ticket_count >= INFLIGHT_MAX) {
		in->count_ms = now + COUNT_MS;
		count(s);
	}
}

int inbox_start(struct streams *s)
{
	return redis_feed_new(s->store, &handlers, s, QUIET_MS, &s->inbox.feed);
}
