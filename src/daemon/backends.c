/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The node's side of the northbound through Redis: events become readable for everybody in the write that
 * stores them, and whoever asked for what waited in a queue is told when its end is stored.
 */

#include "daemon/backends.h"

#include "http/event_json.h"
#include "lwm2m/event.h"
#include "store/redis_side.h"

#include <errno.h>
#include <stdio.h>

enum { ARENA_MAX = 4 << 20 };

struct backends {
	struct backends_parts parts;
	struct streams *streams; /* NULL: no requests come this way */
	bool json;
	struct buffer text, replaced; /* of the event that is being written */
	struct arena arena;
};

static bool wants_json(const struct daemon_settings *set)
{
	return set->redis_events == REDIS_EVENTS_JSON ||
	       (set->redis_events == REDIS_EVENTS_AUTO &&
		(set->redis_requests || set->redis_leshan_channels));
}

int backends_new(const struct backends_parts *parts, struct backends **out)
{
	const struct daemon_settings *set = parts->settings;
	bool wanted = set->redis_requests || set->redis_leshan_channels || wants_json(set);
	struct backends *b;

	*out = NULL;
	if (wanted && !redis_side_is(parts->store)) {
		log_event(
			parts->log, LOG_ERROR, "cannot-start",
			"error=\"[redis] needs a store in Redis\" hint=\"set [store] url to redis://HOST\"");
		return -EINVAL;
	}
	if (!wanted)
		return 0;
	b = calloc(1, sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->parts = *parts;
	b->json = wants_json(set);
	b->text = buffer_of(STORE_EVENT_TEXT_MAX / 2);
	b->replaced = buffer_of(STORE_EVENT_TEXT_MAX / 2);
	arena_init(&b->arena, ARENA_MAX);
	*out = b;
	return 0;
}

static void on_told(void *ctx, int err, const struct redisReply *reply)
{
	(void)ctx;
	(void)err;
	(void)reply;
}

/* How many streams of events there are, apart from the store's own keys, which are not for everybody. */
static int tell_partitions(const struct backends *b)
{
	const struct redis_layout *layout = redis_side_layout(b->parts.store);
	struct redis_command *c = redis_command_new(b->parts.store, "SET", on_told, NULL);
	char key[REDIS_PREFIX_MAX + 16];

	if (!c)
		return -ENOMEM;
	snprintf(key, sizeof(key), "%spartitions", layout->prefix);
	redis_command_arg_str(c, key);
	redis_command_arg_uint(c, layout->partitions);
	return redis_command_send(c);
}

static int render_event(void *ctx, const struct store_event *event, struct buffer *json,
			struct buffer *replaced, const char **name)
{
	struct backends *b = ctx;

	return event_text(json, replaced, name, b->parts.registry, event, &b->arena);
}

int backends_serve(struct backends *b, struct http *http)
{
	const struct daemon_settings *set = b->parts.settings;
	const struct streams_config config = {.node = (uint32_t)set->node_id,
					      .incarnation = store_incarnation(b->parts.store),
					      .requests = set->redis_requests,
					      .needs_token = set->redis_require_token,
					      .requests_max = set->redis_requests_max,
					      .answers_max = set->redis_answers_max,
					      .answers_ttl_ms = set->redis_answers_ttl_ms,
					      .tickets_ttl_ms = set->redis_tickets_ttl_ms,
					      .claim_ms = set->redis_claim_ms,
					      .bridge = set->redis_leshan_channels,
					      .render = render_event,
					      .render_ctx = b};

	int err = b->json ? tell_partitions(b) : 0;

	if (err < 0 || (!config.requests && !config.bridge))
		return err;
	return streams_new(&config, b->parts.loop, http, b->parts.store, b->parts.log, &b->streams);
}

/* ---- writes ---- */

/* The end of a queued request, on its way to the store. */
struct ending {
	struct backends *backends;
	store_written_fn *done;
	void *ctx;
	struct buffer id, json;
};

static void ending_free(struct ending *e)
{
	buffer_deinit(&e->id);
	buffer_deinit(&e->json);
	free(e);
}

static void ending_written(void *ctx, const struct store_written *written)
{
	struct ending *e = ctx;
	struct backends *b = e->backends;

	e->done(e->ctx, written);
	if (written->result == STORE_DONE || written->result == STORE_ALREADY)
		streams_ended(b->streams, buffer_span(&e->id), buffer_span(&e->json));
	ending_free(e);
}

static struct ending *ending_new(struct backends *b, const struct store_write *w, store_written_fn *done,
				 void *ctx)
{
	struct lwm2m_event event;
	struct ending *e;

	if (lwm2m_event_decode(w->event, w->key.endpoint, w->event_body, &event) < 0)
		return NULL;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->backends = b;
	e->done = done;
	e->ctx = ctx;
	e->id = buffer_of(STORE_REQUEST_ID_MAX);
	e->json = buffer_of(STORE_EVENT_TEXT_MAX);
	buffer_bytes(&e->id, event.request_id);
	buffer_bytes(&e->json, buffer_span(&b->text));
	if (!e->id.failed && !e->json.failed)
		return e;
	ending_free(e);
	return NULL;
}

static void render(struct backends *b, const struct store_write *w, struct store_event_text *text)
{
	const struct store_event event = {.time_ms = store_now_ms(b->parts.store),
					  .type = w->event,
					  .key = w->key,
					  .body = w->event_body};

	b->text.len = b->replaced.len = 0;
	b->text.failed = b->replaced.failed = false;
	/* What cannot be told keeps its place, with an empty text. */
	if (event_text(&b->text, &b->replaced, &text->name, b->parts.registry, &event, &b->arena) < 0)
		b->text.len = b->replaced.len = 0;
	text->json = buffer_span(&b->text);
	text->replaced = buffer_span(&b->replaced);
}

int backends_write(struct backends *b, const struct store_write *w, store_written_fn *done, void *ctx)
{
	bool ends = w->event == EVENT_REQUEST_ENDED && b->streams;
	struct store_event_text text = {.name = "OTHER"};
	struct store_write with = *w;
	struct ending *e = NULL;
	int err;

	if (!w->event || w->key.role != STORE_MANAGEMENT || (!b->json && !ends))
		return store_write(b->parts.store, w, done, ctx);
	render(b, w, &text);
	if (b->json)
		with.event_text = &text;
	/* Without memory nobody is told at once: the end is found later. */
	if (ends)
		e = ending_new(b, w, done, ctx);
	if (!e)
		return store_write(b->parts.store, &with, done, ctx);
	err = store_write(b->parts.store, &with, ending_written, e);
	if (err < 0)
		ending_free(e);
	return err;
}

/* ---- end ---- */

void backends_stop(struct backends *b, void (*stopped)(void *ctx), void *ctx)
{
	if (b && b->streams)
		streams_stop(b->streams, stopped, ctx);
	else
		stopped(ctx);
}

struct backends *backends_free(struct backends *b)
{
	if (!b)
		return NULL;
	streams_free(b->streams);
	buffer_deinit(&b->text);
	buffer_deinit(&b->replaced);
	arena_deinit(&b->arena);
	free(b);
	return NULL;
}
