/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Events as people read them: a table from their name to the function that picks what matters. What is not in
 * the table is shown as it came, so that a newer server's events are not lost on an older program.
 */

#include "cli/event_text.h"

#include "cli/output.h"
#include "cli/text.h"

#include <inttypes.h>

uint64_t event_time_ms(const struct sse_event *event)
{
	size_t len = strcspn(event->id, "-");
	uint64_t ms;

	return span_to_uint(span_of(event->id, len), UINT64_MAX, &ms) ? ms : 0;
}

static void add(struct buffer *out, const char *before, const char *text)
{
	if (!text)
		return;
	buffer_str(out, before);
	text_add_safe(out, span_str(text));
}

static void add_member(struct buffer *out, const char *before, json_t *data, const char *member)
{
	add(out, before, json_string_value(json_object_get(data, member)));
}

static void describe_registration(json_t *data, struct buffer *out)
{
	json_t *lifetime = json_object_get(data, "lifetime");

	add_member(out, "  ", data, "endpoint");
	add_member(out, "  from ", data, "address");
	if (json_is_integer(lifetime))
		buffer_printf(out, "  for %" JSON_INTEGER_FORMAT "s", json_integer_value(lifetime));
	add_member(out, "  LwM2M ", data, "lwM2mVersion");
	add_member(out, "  as ", data, "registrationId");
}

static void describe_update(json_t *data, struct buffer *out)
{
	static const char *const members[] = {"lifetime", "smsNumber", "alternatePath", "objectLinks"};
	json_t *registration = json_object_get(data, "registration"),
	       *update = json_object_get(data, "update");
	const char *separator = "  changed ";

	add_member(out, "  ", registration, "endpoint");
	add_member(out, "  from ", registration, "address");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (!json_object_get(update, members[i]))
			continue;
		buffer_printf(out, "%s%s", separator, members[i]);
		separator = ", ";
	}
}

static void describe_deregistration(json_t *data, struct buffer *out)
{
	add_member(out, "  ", data, "endpoint");
	add_member(out, "  reason ", data, "reason");
}

/* {PATH:NODE,...}: "/3/0/9 = 100  /3/0/13 = ...". */
static void add_composite(struct buffer *out, json_t *map)
{
	const char *path;
	json_t *node;

	json_object_foreach (map, path, node) {
		_cleanup_free_ char *value = output_brief(node);

		add(out, "  ", path);
		add(out, " = ", value);
	}
}

static void describe_send(json_t *data, struct buffer *out)
{
	add_member(out, "  ", data, "ep");
	add_composite(out, json_object_get(data, "val"));
	add_member(out, "  not understood: ", data, "error");
}

static void describe_notification(json_t *data, struct buffer *out)
{
	_cleanup_free_ char *value = NULL;

	if (json_is_array(json_object_get(data, "paths"))) {
		describe_send(data, out);
		return;
	}
	value = output_brief(json_object_get(data, "val"));
	add_member(out, "  ", data, "ep");
	add_member(out, "  ", data, "res");
	if (json_is_object(json_object_get(data, "val")))
		add(out, " = ", value);
	add_member(out, "  not understood: ", data, "error");
}

static void describe_end(json_t *data, struct buffer *out)
{
	json_t *path;
	size_t i;

	add_member(out, "  ", data, "ep");
	add_member(out, "  ", data, "res");
	json_array_foreach (json_object_get(data, "paths"), i, path)
		add(out, i ? "," : "  ", json_string_value(path));
	add_member(out, "  reason ", data, "reason");
	add_member(out, "  code ", data, "code");
}

static void describe_failure(json_t *data, struct buffer *out)
{
	add_member(out, "  ", data, "kind");
	add_member(out, " ", data, "name");
	add_member(out, "  from ", data, "address");
	add_member(out, "  ", data, "cause");
	add_member(out, ": ", data, "detail");
}

static void describe_device(json_t *data, struct buffer *out)
{
	add_member(out, "  ", data, "ep");
}

static void describe_request(json_t *data, struct buffer *out)
{
	json_t *path, *response = json_object_get(data, "response"),
		      *content = json_object_get(response, "content");
	_cleanup_free_ char *value =
		json_is_string(json_object_get(content, "kind")) ? output_brief(content) : NULL;
	size_t i;

	add_member(out, "  ", data, "ep");
	add_member(out, "  ", data, "path");
	json_array_foreach (json_object_get(data, "paths"), i, path)
		add(out, i ? "," : "  ", json_string_value(path));
	add(out, " = ", value);
	add_member(out, "  ", data, "state");
	add_member(out, "  ", response, "status");
	add_member(out, ": ", data, "error");
	add_member(out, "  ", data, "requestId");
}

static void describe_gap(json_t *data, struct buffer *out)
{
	add_member(out, "  events are lost from ", data, "from");
	add_member(out, " to ", data, "to");
}

static void describe_resume(json_t *data, struct buffer *out)
{
	add_member(out, "  the server ended this stream: ", data, "reason");
}

static const struct {
	const char *name;
	void (*describe)(json_t *data, struct buffer *out);
} events[] = {
	{"REGISTRATION", describe_registration},
	{"UPDATED", describe_update},
	{"DEREGISTRATION", describe_deregistration},
	{"NOTIFICATION", describe_notification},
	{"SEND", describe_send},
	{"OBSERVATION_ENDED", describe_end},
	{"AUTH_FAILURE", describe_failure},
	{"REQUEST_RESPONSE", describe_request},
	{"AWAKE", describe_device},
	{"SLEEPING", describe_device},
	{"GAP", describe_gap},
	{"RESUME", describe_resume},
};

void event_describe(const char *name, json_t *data, struct buffer *out)
{
	_cleanup_free_ char *raw = NULL;

	text_add_safe(out, span_str(name));
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		if (strcmp(events[i].name, name) != 0)
			continue;
		events[i].describe(data, out);
		return;
	}
	raw = json_dumps(data, JSON_COMPACT | JSON_ENCODE_ANY);
	add(out, "  ", raw);
}

void event_print_json(const struct sse_event *event, json_t *data, FILE *to)
{
	json_t *line = json_pack("{s:s,s:s}", "event", event->name, "id", event->id);

	if (data)
		json_object_set(line, "data", data);
	else
		json_object_set_new(line, "data",
				    json_stringn((const char *)event->data.data, event->data.len));
	json_dumpf(line, to, JSON_COMPACT);
	fputc('\n', to);
	json_decref(line);
}
