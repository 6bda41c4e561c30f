/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Events to text. Everything is made from the event's body and the model registry alone, never from what is
 * known of the device now: so an event reads the same whenever it is replayed. What a device sent and nobody
 * can decode is handed on as it came ("raw"): it was acknowledged, so it must not vanish.
 *
 * "data:" stays one line, because JSON has no line breaks of its own.
 */

#include "http/event_json.h"

#include "codec/codec.h"
#include "http/answer_json.h"
#include "http/node_json.h"
#include "http/node_map.h"
#include "http/registration_json.h"
#include "http/request_json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/*
 * A Register of a device that was registered is one event in the log and two for the readers: the end of the
 * old registration comes first, with this behind the id that both share.
 */
#define FIRST_HALF ".0"

struct rendering {
	struct json *json;
	const struct registry *registry;
	const struct lwm2m_event *event;
	uint64_t time_ms;
	struct arena *arena;
};

const char *event_id_format(struct store_cursor at, char text[EVENT_ID_TEXT])
{
	snprintf(text, EVENT_ID_TEXT, "%" PRIu64 "-%" PRIu64, at.time_ms, at.sequence);
	return text;
}

bool event_id_parse(struct span text, struct store_cursor *out)
{
	const uint8_t *dash = text.len ? memchr(text.data, '-', text.len) : NULL;
	struct span time = dash ? span_of(text.data, (size_t)(dash - text.data)) : text;
	struct span sequence = dash ? span_from(text, time.len + 1) : (struct span){0};
	bool first_half = sequence.len > 2 && !memcmp(sequence.data + sequence.len - 2, FIRST_HALF, 2);

	*out = (struct store_cursor){0};
	if (first_half)
		sequence.len -= 2;
	if (dash && !span_to_uint(sequence, UINT64_MAX, &out->sequence))
		return false;
	/* Who has seen the first half only has yet to see the event: its place is before it. */
	if (first_half && out->sequence)
		out->sequence--;
	return span_to_uint(time, UINT64_MAX, &out->time_ms);
}

static const char *deregistration_reason(uint8_t reason)
{
	switch (reason) {
	case DEREGISTERED_BY_CLIENT:
		return "client";
	case DEREGISTERED_EXPIRED:
		return "expired";
	case DEREGISTERED_REPLACED:
		return "replaced";
	case DEREGISTERED_BY_API:
		return "api";
	default:
		return "unknown";
	}
}

static const char *observation_end_reason(uint8_t reason)
{
	switch (reason) {
	case OBSERVATION_CANCELLED:
		return "cancelled";
	case OBSERVATION_REFUSED:
		return "refused";
	case OBSERVATION_ERROR:
		return "error";
	default:
		return "unknown";
	}
}

/* Who has just spoken is awake; who expired or was removed may not be. */
static struct registration_view view_of(const struct lwm2m_event *e)
{
	bool spoke = e->type != EVENT_DEREGISTERED || e->reason == DEREGISTERED_BY_CLIENT ||
		     e->reason == DEREGISTERED_REPLACED;

	return (struct registration_view){
		.endpoint = e->endpoint,
		.registration = &e->registration,
		.seen_ms = e->seen_ms,
		.awake = spoke,
		.reason = e->type == EVENT_DEREGISTERED ? deregistration_reason(e->reason) : NULL,
	};
}

static void registration_event(const struct rendering *r)
{
	struct registration_view view = view_of(r->event);

	registration_json(r->json, &view);
}

static void updated_event(const struct rendering *r)
{
	struct registration_view view = view_of(r->event);

	json_open(r->json, '{');
	json_key(r->json, "registration");
	registration_json(r->json, &view);
	json_key(r->json, "update");
	registration_update_json(r->json, &r->event->registration, r->event->update_flags);
	json_close(r->json, '}');
}

static bool any_timed(const struct records *records)
{
	for (size_t i = 0; i < records->count; i++) {
		if (records->items[i].timed)
			return true;
	}
	return false;
}

/* "val" and, of a history, "values"; "units" of what has one. */
static void single_values(const struct rendering *r, const struct model *model, const struct records *records)
{
	json_key(r->json, "val");
	if (node_json(r->json, model, &r->event->path, records->items, records->count) != 0)
		json_nil(r->json);
	if (any_timed(records)) {
		json_key(r->json, "values");
		if (node_json_series(r->json, model, &r->event->path, records->items, records->count,
				     r->time_ms, r->arena) != 0)
			json_nil(r->json);
	}
	node_units_json(r->json, model, records->items, records->count);
}

/* The same as maps of path to node: of the paths that were asked for, or, Send, of all that came. */
static void composite_values(const struct rendering *r, const struct model *model,
			     const struct records *records)
{
	struct path paths[LWM2M_PATHS_MAX];
	struct span left = r->event->paths;
	size_t count = 0;

	while (count < LWM2M_PATHS_MAX && paths_next(&left, &paths[count]))
		count++;
	json_key(r->json, "val");
	if (count > 0)
		node_map_json_at(r->json, model, paths, count, records->items, records->count);
	else
		node_map_json(r->json, model, records->items, records->count);
	if (any_timed(records)) {
		json_key(r->json, "values");
		if (node_map_series(r->json, model, records->items, records->count, r->time_ms, r->arena) !=
		    0)
			json_nil(r->json);
	}
	node_units_json(r->json, model, records->items, records->count);
}

static void notification_raw(const struct rendering *r, const char *error)
{
	const struct lwm2m_event *e = r->event;

	json_key(r->json, "val");
	json_nil(r->json);
	json_key(r->json, "raw");
	json_open(r->json, '{');
	json_key(r->json, "contentFormat");
	if (e->format == FORMAT_NONE)
		json_nil(r->json);
	else
		json_uint(r->json, e->format);
	json_key(r->json, "payload");
	json_hex(r->json, e->payload);
	json_close(r->json, '}');
	json_member_str(r->json, "error", error);
}

/* Decodes the payload and writes its values, or the payload as it came. */
static void content(const struct rendering *r,
		    void (*values)(const struct rendering *r, const struct model *model,
				   const struct records *records))
{
	const struct lwm2m_event *e = r->event;
	struct declared_object declared[DECLARED_MAX];
	struct model model = lwm2m_event_model(e, r->registry, declared, ARRAY_SIZE(declared));
	struct codec_context codec = {.model = &model,
				      .base = e->path,
				      .root = e->root,
				      .any_path = values == composite_values,
				      .now_ms = r->time_ms,
				      .arena = r->arena};
	struct records records = records_of(r->arena);
	int decoded = codec_decode(&codec, e->format, e->payload, &records);

	if (decoded == CODEC_OK) {
		records_sort(&records);
		values(r, &model, &records);
	} else if (decoded < 0) {
		notification_raw(r, "the content is too large");
	} else {
		notification_raw(r, codec.error[0] ? codec.error : "undecodable content");
	}
}

static void paths_member(const struct rendering *r)
{
	struct span left = r->event->paths;
	struct path path;
	char text[PATH_TEXT];

	json_key(r->json, "paths");
	json_open(r->json, '[');
	while (paths_next(&left, &path))
		json_str(r->json, path_format(&path, text));
	json_close(r->json, ']');
}

static void notification_event(const struct rendering *r)
{
	const struct lwm2m_event *e = r->event;
	bool composite = e->paths.len > 0;
	char path[PATH_TEXT];

	json_open(r->json, '{');
	json_member_text(r->json, "ep", e->endpoint);
	json_member_str(r->json, "kind", composite ? "composite" : "single");
	if (!composite)
		json_member_str(r->json, "res", path_format(&e->path, path));
	content(r, composite ? composite_values : single_values);
	if (composite)
		paths_member(r);
	json_close(r->json, '}');
}

static void send_event(const struct rendering *r)
{
	json_open(r->json, '{');
	json_member_text(r->json, "ep", r->event->endpoint);
	content(r, composite_values);
	json_close(r->json, '}');
}

static void observation_ended_event(const struct rendering *r)
{
	const struct lwm2m_event *e = r->event;
	char path[PATH_TEXT], code[CODE_TEXT];

	json_open(r->json, '{');
	json_member_text(r->json, "ep", e->endpoint);
	if (e->paths.len > 0)
		paths_member(r);
	else
		json_member_str(r->json, "res", path_format(&e->path, path));
	json_member_str(r->json, "reason", observation_end_reason(e->reason));
	if (e->code)
		json_member_str(r->json, "code", code_dotted(e->code, code));
	json_close(r->json, '}');
}

static void request_ended_event(const struct rendering *r)
{
	const struct lwm2m_event *e = r->event;
	const struct queued_view view = {.endpoint = e->endpoint,
					 .id = e->request_id,
					 .state = e->state,
					 .request = &e->request,
					 .registry = r->registry,
					 .now_ms = r->time_ms,
					 .arena = r->arena};

	json_open(r->json, '{');
	json_member_text(r->json, "ep", e->endpoint);
	queued_path_json(r->json, &e->request);
	json_member_text(r->json, "requestId", e->request_id);
	queued_result_json(r->json, &view);
	json_member_bool(r->json, "delayed", true);
	json_member_str(r->json, "state", queued_state_name(e->state));
	json_close(r->json, '}');
}

static void presence_event(const struct rendering *r)
{
	json_open(r->json, '{');
	json_member_text(r->json, "ep", r->event->endpoint);
	json_close(r->json, '}');
}

static const struct {
	const char *name;
	void (*data)(const struct rendering *r);
} event_types[] = {
	[EVENT_REGISTERED] = {"REGISTRATION", registration_event},
	[EVENT_UPDATED] = {"UPDATED", updated_event},
	[EVENT_DEREGISTERED] = {"DEREGISTRATION", registration_event},
	[EVENT_NOTIFICATION] = {"NOTIFICATION", notification_event},
	[EVENT_OBSERVATION_ENDED] = {"OBSERVATION_ENDED", observation_ended_event},
	[EVENT_SEND] = {"SEND", send_event},
	[EVENT_REQUEST_ENDED] = {"REQUEST_RESPONSE", request_ended_event},
	[EVENT_AWAKE] = {"AWAKE", presence_event},
	[EVENT_SLEEPING] = {"SLEEPING", presence_event},
};

static void block_begin(struct buffer *out, const char *name)
{
	buffer_printf(out, "event: %s\r\ndata: ", name);
}

static void block_end(struct buffer *out, struct store_cursor id)
{
	char text[EVENT_ID_TEXT];

	buffer_printf(out, "\r\nid: %s\r\n\r\n", event_id_format(id, text));
}

static void replaced_json(struct json *json, const struct lwm2m_event *e)
{
	struct registration_view view = {
		.endpoint = e->endpoint,
		.registration = &e->previous,
		.seen_ms = e->previous_seen_ms,
		.awake = true,
		.reason = deregistration_reason(DEREGISTERED_REPLACED),
	};

	registration_json(json, &view);
}

static void replaced_block(struct buffer *out, const struct lwm2m_event *e, struct store_cursor id)
{
	struct json json = json_to(out);
	char text[EVENT_ID_TEXT];

	block_begin(out, event_types[EVENT_DEREGISTERED].name);
	replaced_json(&json, e);
	buffer_printf(out, "\r\nid: %s" FIRST_HALF "\r\n\r\n", event_id_format(id, text));
}

static int decode(const struct store_event *event, struct arena *arena, struct lwm2m_event *out)
{
	if (event->type >= ARRAY_SIZE(event_types) || !event_types[event->type].data)
		return -EPROTO;
	arena_reset(arena);
	return lwm2m_event_decode(event->type, event->key.endpoint, event->body, out);
}

static bool has_first_half(const struct lwm2m_event *e)
{
	return e->type == EVENT_REGISTERED && e->replaces;
}

int event_block(struct buffer *out, const struct registry *registry, const struct store_event *event,
		struct arena *arena)
{
	struct store_cursor id = {event->time_ms, event->sequence};
	struct json json = json_to(out);
	struct lwm2m_event decoded;
	struct rendering rendering = {&json, registry, &decoded, event->time_ms, arena};
	int r = decode(event, arena, &decoded);

	if (r < 0)
		return r;
	if (has_first_half(&decoded))
		replaced_block(out, &decoded, id);
	block_begin(out, event_types[event->type].name);
	event_types[event->type].data(&rendering);
	block_end(out, id);
	return out->failed ? -ENOMEM : 0;
}

int event_text(struct buffer *json, struct buffer *replaced, const char **name,
	       const struct registry *registry, const struct store_event *event, struct arena *arena)
{
	struct json out = json_to(json), before = json_to(replaced);
	struct lwm2m_event decoded;
	struct rendering rendering = {&out, registry, &decoded, event->time_ms, arena};
	int r = decode(event, arena, &decoded);

	if (event->type < ARRAY_SIZE(event_types) && event_types[event->type].name)
		*name = event_types[event->type].name;
	if (r < 0)
		return r;
	if (has_first_half(&decoded))
		replaced_json(&before, &decoded);
	event_types[event->type].data(&rendering);
	return json->failed || replaced->failed ? -ENOMEM : 0;
}

static void json_member_id(struct json *j, const char *name, struct store_cursor at)
{
	char text[EVENT_ID_TEXT];

	json_member_str(j, name, event_id_format(at, text));
}

void event_gap_block(struct buffer *out, struct store_cursor from, struct store_cursor to)
{
	struct json json = json_to(out);

	block_begin(out, "GAP");
	json_open(&json, '{');
	json_member_id(&json, "from", from);
	json_member_id(&json, "to", to);
	json_close(&json, '}');
	block_end(out, to);
}

void event_resume_block(struct buffer *out, const char *reason, struct store_cursor from)
{
	struct json json = json_to(out);

	block_begin(out, "RESUME");
	json_open(&json, '{');
	json_member_str(&json, "reason", reason);
	json_member_id(&json, "from", from);
	json_close(&json, '}');
	block_end(out, from);
}
