/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Requests that wait for their devices, perhaps for days: nobody has them in memory. What has to be known of
 * each lies in one hash, by the id of the queued request. The node that stores the end of such a request
 * answers its ticket; if it dies in between, or the end came before we knew of it, somebody looks at the
 * queue later and finds it. Which of the two comes first does not matter: a ticket is answered once.
 */

#include "streams/private.h"

#include <errno.h>

enum { SWEEP_MS = 1000, SWEEP_MAX = 32, GRACE_MS = 10000, ARENA_MAX = 8192, VALUE_MAX = 2048 };

/* A request whose end is told, or looked for. */
struct late {
	struct streams *streams;
	struct arena arena;
	struct ticket_place at;
	struct span id, ep;
	uint64_t ends_ms;
	struct outcome outcome;
};

static void late_free(struct late *l)
{
	l->streams->late_count--;
	outcome_deinit(&l->outcome);
	arena_deinit(&l->arena);
	free(l);
}

static struct late *late_new(struct streams *s, struct span id)
{
	struct late *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	s->late_count++;
	l->streams = s;
	arena_init(&l->arena, ARENA_MAX);
	l->id = arena_dup(&l->arena, id);
	if (l->id.data)
		return l;
	late_free(l);
	return NULL;
}

/* ---- what is known ---- */

/* One script on both keys. */
static struct redis_command *script(struct streams *s, enum redis_script which, redis_command_fn *done,
				    void *ctx)
{
	struct redis_command *c = redis_command_script(s->store, which, 2, done, ctx);
	struct redis_key k;

	if (!c)
		return NULL;
	redis_command_arg(c, streams_key(s, &k, "{waiting}requests"));
	redis_command_arg(c, streams_key(s, &k, "{waiting}when"));
	return c;
}

static void put_span(struct buffer *out, struct span s)
{
	buffer_uint(out, s.len, 2);
	buffer_bytes(out, s);
}

int waiting_send_add(struct streams *s, struct span id, uint64_t ends_ms, const struct ticket_place *at,
		     struct span ep, redis_command_fn *done, void *ctx)
{
	struct redis_command *c = script(s, REDIS_WAITING_ADD, done, ctx);
	_cleanup_buffer_ struct buffer value = buffer_of(VALUE_MAX);

	if (!c)
		return -ENOMEM;
	put_span(&value, at->name);
	put_span(&value, at->reply);
	put_span(&value, at->entry);
	put_span(&value, ep);
	redis_command_arg_floor(c);
	redis_command_arg(c, id);
	redis_command_arg_uint(c, ends_ms);
	redis_command_arg(c, buffer_span(&value));
	return redis_command_send(c);
}

static bool read_value(struct late *l, struct span value)
{
	struct reader in = reader_of(value);
	struct span *const parts[] = {&l->at.name, &l->at.reply, &l->at.entry, &l->ep};

	(void)reader_u64(&in);
	l->ends_ms = reader_u64(&in);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		*parts[i] = arena_dup(&l->arena, reader_span16(&in));
		if (!parts[i]->data)
			return false;
	}
	return !in.failed;
}

/* ---- telling ---- */

static void on_removed(void *ctx, int err, const struct redisReply *reply)
{
	(void)err; /* then it is found once more, and was answered */
	(void)reply;
	late_free(ctx);
}

static void forget(struct late *l)
{
	struct redis_command *c = script(l->streams, REDIS_WAITING_REMOVE, on_removed, l);

	if (c)
		redis_command_arg(c, l->id);
	if (!c || redis_command_send(c) < 0)
		late_free(l);
}

static void on_ended(void *ctx, int err, const struct redisReply *reply)
{
	struct late *l = ctx;

	(void)reply;
	/* Without an answer for now: it comes back. Nor can one that has no stream be kept for ever. */
	if (err == 0 || err == -EBADMSG || err == -EACCES)
		forget(l);
	else
		late_free(l);
}

static void tell_end(struct late *l)
{
	if (ticket_send_end(l->streams, &l->at, &l->outcome, on_ended, l) < 0)
		late_free(l);
}

/* ---- the end was just stored here ---- */

static void on_found(void *ctx, int err, const struct redisReply *reply)
{
	struct late *l = ctx;

	/* Not one of ours, most likely. */
	if (err < 0 || reply->type != REDIS_REPLY_STRING ||
	    !read_value(l, span_of(reply->str, (size_t)reply->len)))
		late_free(l);
	else
		tell_end(l);
}

void streams_ended(struct streams *s, struct span id, struct span json)
{
	json_t *event = s->config.requests ? json_loadb((const char *)json.data, json.len, 0, NULL) : NULL;
	struct late *l = event ? late_new(s, id) : NULL;
	struct redis_command *c = NULL;
	struct redis_key k;

	if (l && outcome_of_queued(&l->outcome, event))
		c = redis_command_new(s->store, "HGET", on_found, l);
	json_decref(event);
	if (c) {
		redis_command_arg(c, streams_key(s, &k, "{waiting}requests"));
		redis_command_arg(c, l->id);
	}
	if (l && (!c || redis_command_send(c) < 0))
		late_free(l);
}

/* ---- looking for ends ---- */

static const json_t *request_with(const json_t *list, struct span id)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *request = json_array_get(list, i);
		const char *text = json_string_value(json_object_get(request, "requestId"));

		if (text && span_is(id, text))
			return request;
	}
	return NULL;
}

static void on_listed(void *arg, const struct http_reply *reply)
{
	struct late *l = arg;
	json_t *list = reply->status == 200
			       ? json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL)
			       : NULL;
	const json_t *request = request_with(list, l->id);
	bool over = request && outcome_of_queued(&l->outcome, request);
	bool known = request || (reply->status != 200 && reply->status != 400);

	/* The queue does not have it any more, and nothing will come. */
	if (!over && !known && store_now_ms(l->streams->store) > l->ends_ms + GRACE_MS) {
		outcome_error(&l->outcome, "accepted", 504, "outcome-unknown",
			      span_str("what became of the request is not known any more"));
		over = true;
	}
	json_decref(list);
	if (over && !l->streams->stopping)
		tell_end(l);
	else
		late_free(l);
}

static void look(struct late *l)
{
	_cleanup_buffer_ struct buffer target = buffer_of(2048);
	struct http_submission submission = {.method = "GET", .repeatable = true};

	buffer_str(&target, "/api/clients/");
	for (size_t i = 0; i < l->ep.len; i++)
		buffer_printf(&target, "%%%02X", l->ep.data[i]);
	buffer_str(&target, "/requests");
	submission.target = buffer_span(&target);
	http_submit(l->streams->http, &submission, on_listed, l);
}

static void on_due(void *ctx, int err, const struct redisReply *reply)
{
	struct streams *s = ctx;

	s->sweeping = false;
	if (err < 0 || s->stopping || reply->type != REDIS_REPLY_ARRAY)
		return;
	for (size_t i = 1; i + 1 < reply->elements; i += 2) {
		const struct redisReply *id = reply->element[i], *value = reply->element[i + 1];
		struct late *l;

		if (id->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING)
			continue;
		l = late_new(s, span_of(id->str, (size_t)id->len));
		if (!l)
			return;
		if (read_value(l, span_of(value->str, (size_t)value->len)))
			look(l);
		else
			forget(l);
	}
}

void waiting_tick(struct streams *s, uint64_t now)
{
	struct redis_command *c;

	if (s->sweeping || now < s->sweep_ms || s->late_count > LATE_MAX)
		return;
	s->sweep_ms = now + SWEEP_MS;
	c = script(s, REDIS_WAITING_DUE, on_due, s);
	if (!c)
		return;
	redis_command_arg_floor(c);
	redis_command_arg_uint(c, SWEEP_MAX);
	s->sweeping = redis_command_send(c) == 0;
}
