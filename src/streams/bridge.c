/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The channels of Leshan's former cluster module, as they were: requests on LESHAN_REQ, answers on
 * LESHAN_RESP, registrations on LESHAN_REG_NEW, _UP and _DEL.
 *
 * The hard idea: each node hears everything that is published, but only the one with the lease acts, so each
 * request is answered once, also that for a device nobody knows. What is published comes from the log of
 * events behind a place that is kept in Redis: whoever has the lease next goes on from there. Tickets of
 * observations, which a notification is told under, are kept in Redis with the device's name, because
 * observations outlive nodes.
 *
 * Publishing has no guarantee, then as now: who is not subscribed gets nothing.
 */

#include "streams/private.h"

#include "streams/former.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum {
	LEASE_MS = 3000,
	RENEW_MS = 1000,
	MARGIN_MS = 500, /* we stop before another one may begin */
	POLL_MS = 100,
	PING_MS = 2000,
	QUIET_MS = 6000,
	EVENTS = 256,
	ARENA_MAX = 4 << 20,
	ASKED_MAX = 1024,
};

struct bridge {
	struct streams *streams;
	struct redis_feed *feed;
	bool subscribed;
	uint64_t ping_ms, renew_ms, poll_ms;
	uint64_t until_ms; /* the lease is ours */
	uint64_t asked_ms; /* when it was asked for */
	bool renewing;
	bool placed; /* `after` is known */
	bool reading;
	struct store_cursor after;
	size_t asked; /* requests under way */
};

static bool holds(const struct bridge *b)
{
	return !b->streams->stopping && uv_now(b->streams->loop) < b->until_ms;
}

/* ---- telling ---- */

static void on_nothing(void *ctx, int err, const struct redisReply *reply)
{
	(void)ctx;
	(void)err;
	(void)reply;
}

static void send_quietly(struct redis_command *c)
{
	/* What cannot be sent is lost, as all that is published. */
	if (c && redis_command_send(c) < 0)
		return;
}

static void publish(struct streams *s, const char *channel, const json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT) : NULL;
	struct redis_command *c = text ? redis_command_new(s->store, "PUBLISH", on_nothing, NULL) : NULL;

	if (c) {
		redis_command_arg_str(c, channel);
		redis_command_arg_str(c, text);
	}
	send_quietly(c);
	free(text);
}

static void respond(struct streams *s, struct span ticket, const char *name, json_t *value)
{
	_cleanup_json_ json_t *message = json_object();

	if (value &&
	    json_object_set_new(message, "ticket", json_stringn((const char *)ticket.data, ticket.len)) ==
		    0 &&
	    json_object_set_new(message, name, value) == 0)
		publish(s, "LESHAN_RESP", message);
	else
		log_limited(s->log, LOG_WARN, 6, "response-not-published", "ticket=%s", LOG_SPAN(ticket));
}

static void respond_error(struct streams *s, struct span ticket, struct span words)
{
	respond(s, ticket, "err",
		json_pack("{s:s%}", "errorMessage", words.len ? (const char *)words.data : "", words.len));
}

/* ---- tickets of observations: of a device, path -> ticket ---- */

static struct redis_command *tickets_command(struct streams *s, const char *name, struct span ep,
					     redis_command_fn *done, void *ctx)
{
	struct redis_command *c = redis_command_new(s->store, name, done, ctx);
	uint8_t key[KEY_MAX + STORE_ENDPOINT_MAX];
	struct writer w = writer_of(key, sizeof(key));

	writer_str(&w, redis_side_layout(s->store)->prefix);
	writer_str(&w, "bridge:");
	writer_bytes(&w, ep);
	if (c)
		redis_command_arg(c, writer_span(&w));
	return c;
}

/* ---- requests ---- */

struct asked {
	struct bridge *bridge;
	struct arena arena;
	struct span ticket, ep, path;
	const char *kind;
};

static void asked_free(struct asked *a)
{
	a->bridge->asked--;
	arena_deinit(&a->arena);
	free(a);
}

static void remember_observation(const struct asked *a)
{
	struct redis_command *c = tickets_command(a->bridge->streams, "HSET", a->ep, on_nothing, NULL);

	if (c) {
		redis_command_arg(c, a->path);
		redis_command_arg(c, a->ticket);
	}
	send_quietly(c);
}

static void on_replied(void *arg, const struct http_reply *reply)
{
	struct asked *a = arg;
	struct streams *s = a->bridge->streams;
	json_t *response = reply->status == 200
				   ? json_loadb((const char *)reply->body.data, reply->body.len, 0, NULL)
				   : NULL;
	json_t *rep = response ? former_response(response, a->kind, &a->arena) : NULL;

	if (rep && strcmp(a->kind, "observe") == 0 && json_object_get(rep, "content"))
		remember_observation(a);
	if (rep)
		respond(s, a->ticket, "rep", rep);
	else if (reply->status == 400 && reply->body.len > 20 &&
		 !memcmp(reply->body.data, "No registered client", 20))
		respond(s, a->ticket, "err",
			json_pack("{s:o}", "errorMessage",
				  json_sprintf("No registration for this endpoint %.*s.", (int)a->ep.len,
					       (const char *)a->ep.data)));
	else
		respond_error(s, a->ticket,
			      response ? span_str("the answer cannot be told in this format") : reply->body);
	json_decref(response);
	asked_free(a);
}

static struct span dup_text(struct arena *arena, const json_t *from, const char *name)
{
	const char *text = json_string_value(json_object_get(from, name));

	return text ? arena_dup(arena, span_str(text)) : span_of(NULL, 0);
}

static struct asked *asked_new(struct bridge *b, const json_t *message)
{
	struct asked *a = calloc(1, sizeof(*a));
	const json_t *req = json_object_get(message, "req");
	struct span kind;

	if (!a)
		return NULL;
	b->asked++;
	a->bridge = b;
	arena_init(&a->arena, ARENA_MAX);
	a->ticket = dup_text(&a->arena, message, "ticket");
	a->ep = dup_text(&a->arena, message, "ep");
	a->path = dup_text(&a->arena, req, "path");
	kind = dup_text(&a->arena, req, "kind");
	a->kind = kind.data ? (const char *)kind.data : "";
	return a;
}

static void take_request(struct bridge *b, struct span text)
{
	char error[BACKEND_ERROR] = "";
	_cleanup_json_ json_t *message = backend_json(text, error), *req = NULL;
	struct asked *a = message ? asked_new(b, message) : NULL;
	struct backend_request request;
	/* There was no queue: who sleeps does not answer. */
	struct backend_ask ask = {.has_ttl = true};

	if (!a) {
		log_limited(b->streams->log, LOG_WARN, 6, "request-not-answered",
			    "channel=LESHAN_REQ error=\"%s\"", error[0] ? error : "out of memory");
		return;
	}
	ask.ep = a->ep;
	req = former_request_to_rest(json_object_get(message, "req"), &a->arena);
	if (b->asked > ASKED_MAX)
		snprintf(error, sizeof(error), "too many requests wait");
	else if (!req)
		snprintf(error, sizeof(error), "req is missing, or has a node that is none");
	else if (backend_request_of(req, &ask, &a->arena, &request, error) < 0 && !error[0])
		snprintf(error, sizeof(error), "out of memory");
	if (error[0]) {
		respond_error(b->streams, a->ticket, span_str(error));
		asked_free(a);
		return;
	}
	respond(b->streams, a->ticket, "ack", json_true());
	http_submit(
		b->streams->http,
		&(struct http_submission){.method = request.method,
					  .target = request.target,
					  .type = request.type ? span_str(request.type) : span_of(NULL, 0),
					  .body = request.body,
					  .repeatable = request.repeatable},
		on_replied, a);
}

/* ---- the feed ---- */

static void on_up(void *ctx)
{
	struct bridge *b = ctx;
	const struct span args[] = {span_str("SUBSCRIBE"), span_str("LESHAN_REQ")};

	b->subscribed = redis_feed_send(b->feed, args, ARRAY_SIZE(args)) == 0;
}

/* ["message", channel, text] */
static void on_message(void *ctx, const struct redisReply *reply)
{
	struct bridge *b = ctx;

	if (reply->type == REDIS_REPLY_ERROR) {
		redis_feed_fail(b->feed, reply->str);
		return;
	}
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 3 &&
	    reply->element[2]->type == REDIS_REPLY_STRING && holds(b))
		take_request(b, span_of(reply->element[2]->str, (size_t)reply->element[2]->len));
}

static const struct redis_feed_handlers handlers = {on_up, on_message};

static void ping(struct bridge *b)
{
	const struct span args[] = {span_str("PING")};

	if (redis_feed_send(b->feed, args, ARRAY_SIZE(args)) < 0)
		b->subscribed = false;
}

/* ---- events ---- */

struct notified {
	struct streams *streams;
	json_t *node; /* REST */
};

/* The ticket under which a notification is told. */
static void on_ticket(void *ctx, int err, const struct redisReply *reply)
{
	struct notified *n = ctx;
	struct arena arena;
	json_t *content, *rep;

	arena_init(&arena, ARENA_MAX);
	if (err == 0 && reply->type == REDIS_REPLY_STRING) {
		content = former_node_of_rest(n->node, &arena);
		rep = content ? json_pack("{s:s,s:s,s:o}", "code", "CONTENT", "kind", "observe", "content",
					  content)
			      : NULL;
		respond(n->streams, span_of(reply->str, (size_t)reply->len), "rep", rep);
	}
	arena_deinit(&arena);
	json_decref(n->node);
	free(n);
}

static void tell_notification(struct bridge *b, struct span ep, const json_t *event)
{
	const char *path = json_string_value(json_object_get(event, "res"));
	json_t *node = json_object_get(event, "val");
	struct notified *n = path && json_is_object(node) ? calloc(1, sizeof(*n)) : NULL;
	struct redis_command *c;

	if (!n)
		return; /* of a composite, which the module did not have, or not to be understood */
	n->streams = b->streams;
	n->node = json_incref(node);
	c = tickets_command(b->streams, "HGET", ep, on_ticket, n);
	if (c) {
		redis_command_arg_str(c, path);
		if (redis_command_send(c) == 0)
			return;
	}
	json_decref(n->node);
	free(n);
}

static void tell_registration(struct bridge *b, const char *channel, const json_t *registration)
{
	_cleanup_json_ json_t *message = former_registration(registration);

	publish(b->streams, channel, message);
}

static void tell_update(struct bridge *b, const json_t *event)
{
	const json_t *registration = json_object_get(event, "registration");
	json_t *update = former_update(json_object_get(event, "update"), registration);
	json_t *updated = former_registration(registration);
	_cleanup_json_ json_t *message =
		update && updated ? json_pack("{s:O,s:O}", "regUpdate", update, "regUpdated", updated) : NULL;

	json_decref(update);
	json_decref(updated);
	publish(b->streams, "LESHAN_REG_UP", message);
}

static void forget_observations(struct bridge *b, struct span ep, const char *path)
{
	struct redis_command *c = tickets_command(b->streams, path ? "HDEL" : "DEL", ep, on_nothing, NULL);

	if (c && path)
		redis_command_arg_str(c, path);
	send_quietly(c);
}

static void tell_event(struct bridge *b, struct span ep, const char *name, const json_t *event,
		       const json_t *replaced)
{
	const char *path = json_string_value(json_object_get(event, "res"));

	if (strcmp(name, "REGISTRATION") == 0) {
		if (replaced)
			tell_registration(b, "LESHAN_REG_DEL", replaced);
		tell_registration(b, "LESHAN_REG_NEW", event);
	} else if (strcmp(name, "UPDATED") == 0) {
		tell_update(b, event);
	} else if (strcmp(name, "DEREGISTRATION") == 0) {
		forget_observations(b, ep, NULL);
		tell_registration(b, "LESHAN_REG_DEL", event);
	} else if (strcmp(name, "NOTIFICATION") == 0) {
		tell_notification(b, ep, event);
	} else if (strcmp(name, "OBSERVATION_ENDED") == 0 && path) {
		forget_observations(b, ep, path);
	}
}

static void tell_stored(struct bridge *b, const struct store_event *event)
{
	const struct streams_config *config = &b->streams->config;
	_cleanup_buffer_ struct buffer json = buffer_of(STORE_EVENT_TEXT_MAX),
				       before = buffer_of(STORE_EVENT_TEXT_MAX);
	_cleanup_json_ json_t *parsed = NULL, *replaced = NULL;
	const char *name = "";

	if (event->key.role != STORE_MANAGEMENT ||
	    config->render(config->render_ctx, event, &json, &before, &name) < 0)
		return;
	parsed = json_loadb((const char *)json.data, json.len, 0, NULL);
	if (before.len)
		replaced = json_loadb((const char *)before.data, before.len, 0, NULL);
	if (parsed)
		tell_event(b, event->key.endpoint, name, parsed, replaced);
}

/* The next one who has the lease goes on behind it: what he tells again was told at the end of this one. */
static void keep_place(struct bridge *b)
{
	struct redis_command *c = redis_command_new(b->streams->store, "SET", on_nothing, NULL);
	struct redis_key k;
	char text[48];

	snprintf(text, sizeof(text), "%" PRIu64 "-%" PRIu64, b->after.time_ms, b->after.sequence);
	if (c) {
		redis_command_arg(c, streams_key(b->streams, &k, "{bridge}place"));
		redis_command_arg_str(c, text);
	}
	send_quietly(c);
}

static void on_events(void *ctx, const struct store_events *events)
{
	struct bridge *b = ctx;

	b->reading = false;
	if (events->result < 0 || !holds(b))
		return;
	for (size_t i = 0; i < events->count; i++)
		tell_stored(b, &events->items[i]);
	if (events->next.sequence == b->after.sequence && events->next.time_ms == b->after.time_ms)
		return;
	b->after = events->next;
	b->poll_ms = 0;
	keep_place(b);
}

static void poll_events(struct bridge *b, uint64_t now)
{
	if (b->reading || !b->placed || now < b->poll_ms)
		return;
	b->poll_ms = now + POLL_MS;
	b->reading = store_events_read(b->streams->store, b->after, EVENTS, on_events, b) == 0;
}

static void on_place(void *ctx, int err, const struct redisReply *reply)
{
	struct bridge *b = ctx;
	uint64_t ms, sequence;

	if (err < 0)
		return; /* asked again with the next renewal */
	b->after = store_events_end(b->streams->store);
	if (reply->type == REDIS_REPLY_STRING &&
	    sscanf(reply->str, "%" SCNu64 "-%" SCNu64, &ms, &sequence) == 2)
		b->after = (struct store_cursor){ms, sequence};
	else
		keep_place(b);
	b->placed = true;
}

static void ask_place(struct bridge *b)
{
	struct redis_command *c = redis_command_new(b->streams->store, "GET", on_place, b);
	struct redis_key k;

	if (c)
		redis_command_arg(c, streams_key(b->streams, &k, "{bridge}place"));
	send_quietly(c);
}

/* ---- the lease ---- */

static void on_lease(void *ctx, int err, const struct redisReply *reply)
{
	struct bridge *b = ctx;
	bool ours = err == 0 && reply->type == REDIS_REPLY_INTEGER && reply->integer == STORE_DONE;

	b->renewing = false;
	if (ours && !b->until_ms)
		log_event(b->streams->log, LOG_INFO, "leshan-channels-served", "node=%" PRIu32,
			  b->streams->config.node);
	if (ours)
		b->until_ms = b->asked_ms + LEASE_MS - MARGIN_MS;
	else if (err == 0)
		b->until_ms = 0;
	if (!ours)
		b->placed = false;
	else if (!b->placed)
		ask_place(b);
}

static void renew(struct bridge *b, uint64_t now)
{
	struct redis_command *c;
	struct redis_key k;

	if (b->renewing || now < b->renew_ms)
		return;
	b->renew_ms = now + RENEW_MS;
	b->asked_ms = now;
	c = redis_command_script(b->streams->store, REDIS_BRIDGE_LEASE, 1, on_lease, b);
	if (!c)
		return;
	redis_command_arg(c, streams_key(b->streams, &k, "{bridge}lease"));
	redis_command_arg_str(c, b->streams->consumer);
	redis_command_arg_uint(c, LEASE_MS);
	b->renewing = redis_command_send(c) == 0;
}

/* ---- life ---- */

void bridge_tick(struct streams *s, uint64_t now)
{
	struct bridge *b = s->bridge;

	/* Who does not hear requests must not be the one to answer them. */
	if (b->subscribed && now >= b->ping_ms) {
		b->ping_ms = now + PING_MS;
		ping(b);
	}
	if (b->subscribed)
		renew(b, now);
	if (holds(b))
		poll_events(b, now);
}

int bridge_start(struct streams *s)
{
	struct bridge *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	b->streams = s;
	err = redis_feed_new(s->store, &handlers, b, QUIET_MS, &b->feed);
	if (err < 0)
		free(b);
	else
		s->bridge = b;
	return err;
}

void bridge_stop(struct streams *s)
{
	s->closing++;
	redis_feed_free(s->bridge->feed, streams_closed, s);
	s->bridge->feed = NULL;
}

void bridge_free(struct streams *s)
{
	if (s->bridge)
		assert(s->bridge->asked == 0);
	free(s->bridge);
	s->bridge = NULL;
}
