/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Calls: making the text of a command, queues of them, reading what Redis replies. Leaves out when they are
 * sent and what becomes of them.
 */

#include "store/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { TEXT_MAX = 8 << 20, MEMORY_MAX = 4 << 20 };

void *redis_call_new(struct redis *r, size_t size, redis_answer_fn *answer)
{
	struct redis_call *c = calloc(1, size);

	if (!c)
		return NULL;
	c->redis = r;
	c->answer = answer;
	c->text = buffer_of(TEXT_MAX);
	c->charge = size;
	arena_init(&c->memory, MEMORY_MAX);
	return c;
}

void redis_call_free(struct redis_call *c)
{
	if (!c)
		return;
	buffer_deinit(&c->text);
	arena_deinit(&c->memory);
	if (c->held)
		freeReplyObject(c->held);
	free(c);
}

void redis_arg(struct redis_call *c, struct span s)
{
	char head[24];
	int len = snprintf(head, sizeof(head), "$%zu\r\n", s.len);

	buffer_bytes(&c->text, span_of(head, (size_t)len));
	if (s.len)
		buffer_bytes(&c->text, s);
	buffer_str(&c->text, "\r\n");
	c->count++;
}

void redis_arg_str(struct redis_call *c, const char *s)
{
	redis_arg(c, span_str(s));
}

void redis_arg_uint(struct redis_call *c, uint64_t v)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, v);

	redis_arg(c, span_of(text, (size_t)len));
}

void redis_arg_run(struct redis_call *c, struct span s, size_t at)
{
	redis_arg(c, s);
	c->run_at = c->text.len - 2 - s.len + at;
}

void redis_script(struct redis_call *c, enum redis_script script, unsigned keys)
{
	redis_arg_str(c, "EVALSHA");
	redis_arg_str(c, redis_scripts[script].sha);
	redis_arg_uint(c, keys);
}

/* A clock that stands in for the server's (in tests) is ahead of it. */
static uint64_t floor_of(const struct redis *r)
{
	return r->options.wall_ms == clock_wall_ms ? r->heard_ms : r->options.wall_ms();
}

void redis_arg_floor(struct redis_call *c)
{
	redis_arg_uint(c, floor_of(c->redis));
}

int redis_send(struct redis_call *c)
{
	struct redis *r = c->redis;
	int err = c->text.failed ? -ENOMEM : 0;

	c->charge += c->text.len;
	if (err == 0 && !c->internal && r->stats.pending_bytes + c->charge > r->options.pending_bytes_max)
		err = -ENOBUFS;
	if (err < 0) {
		redis_call_free(c);
		return err;
	}
	c->deadline_ms = uv_now(r->loop) + r->options.timeout_ms;
	if (c->background)
		c->charge = 0;
	r->stats.pending_bytes += c->charge;
	r->stats.pending_writes += c->change;
	redis_calls_append(&r->waiting, c);
	redis_conn_push(r);
	return 0;
}

void redis_answer(struct redis_call *c, int err, const struct redisReply *reply)
{
	struct redis *r = c->redis;

	if (!c->setup) {
		r->stats.pending_bytes -= c->charge;
		r->stats.pending_writes -= c->change;
	}
	if (!c->abandoned)
		c->answer(c, err, reply);
	redis_call_free(c);
}

/* ---- queues ---- */

void redis_calls_init(struct redis_calls *q)
{
	q->first = NULL;
	q->last = &q->first;
}

void redis_calls_append(struct redis_calls *q, struct redis_call *c)
{
	c->next = NULL;
	*q->last = c;
	q->last = &c->next;
}

struct redis_call *redis_calls_take(struct redis_calls *q)
{
	struct redis_call *c = q->first;

	if (!c)
		return NULL;
	q->first = c->next;
	if (!q->first)
		q->last = &q->first;
	c->next = NULL;
	return c;
}

void redis_calls_prepend(struct redis_calls *q, struct redis_calls *front)
{
	if (!front->first)
		return;
	*front->last = q->first;
	if (!q->first)
		q->last = front->last;
	q->first = front->first;
	redis_calls_init(front);
}

/* ---- the clock ---- */

void redis_heard(struct redis *r, uint64_t ms)
{
	if (ms < r->heard_ms)
		return;
	r->heard_ms = ms;
	r->heard_at_ms = uv_now(r->loop);
}

uint64_t redis_now(const struct redis *r)
{
	if (r->options.wall_ms != clock_wall_ms)
		return r->options.wall_ms();
	return r->heard_ms + (uv_now(r->loop) - r->heard_at_ms);
}

/* ---- replies ---- */

struct span redis_bytes(const struct redisReply *reply)
{
	if (!reply || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
		return (struct span){NULL, 0};
	return span_of(reply->str, (size_t)reply->len);
}

const struct redisReply *redis_item(const struct redisReply *reply, size_t i)
{
	if (!reply || reply->type != REDIS_REPLY_ARRAY || i >= reply->elements)
		return NULL;
	return reply->element[i];
}

uint64_t redis_item_uint(const struct redisReply *reply, size_t i, uint64_t otherwise)
{
	const struct redisReply *item = redis_item(reply, i);
	uint64_t v;

	if (item && item->type == REDIS_REPLY_INTEGER && item->integer >= 0)
		return (uint64_t)item->integer;
	return span_to_uint(redis_bytes(item), UINT64_MAX, &v) ? v : otherwise;
}

struct span redis_item_bytes(const struct redisReply *reply, size_t i)
{
	return redis_bytes(redis_item(reply, i));
}

/* ---- jobs ---- */

void redis_job_begin(struct redis *r)
{
	r->jobs++;
}

void redis_job_end(struct redis *r)
{
	assert(r->jobs > 0);
	r->jobs--;
}
