/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Commands about observations and events. To observe and miss nothing, the stream of events is opened first
 * and the device asked then: a notification that comes in between waits in the connection.
 */

#include "base/clock.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/event_text.h"
#include "cli/follow.h"
#include "cli/output.h"
#include "cli/text.h"

static void print_clock(struct cli *c, uint64_t ms)
{
	char text[TEXT_TIME];

	fprintf(c->out, "%s  ", text_clock(ms ? ms : clock_wall_ms(), text));
}

static json_t *parse(const struct sse_event *event)
{
	return json_loadb((const char *)event->data.data, event->data.len, JSON_DECODE_ANY | JSON_ALLOW_NUL,
			  NULL);
}

/* ---- events ---- */

static void on_any_event(void *ctx, const struct sse_event *event)
{
	_cleanup_buffer_ struct buffer line = buffer_of(1 << 20);
	json_t *data = parse(event);
	struct cli *c = ctx;

	if (c->json) {
		event_print_json(event, data, c->out);
	} else {
		event_describe(event->name, data, &line);
		print_clock(c, event_time_ms(event));
		fprintf(c->out, "%s\n", line.data && !line.failed ? (const char *)line.data : event->name);
	}
	json_decref(data);
}

static bool check_id(struct cli *c, const char *id)
{
	if (!id || (*id && strlen(id) < SSE_ID && strspn(id, "0123456789-") == strlen(id)))
		return true;
	fprintf(c->error,
		"shoalctl: --since %s: expected the id of an event, such as 1700000000000-42, or 0\n", id);
	return false;
}

int command_events(struct cli *c, const struct cli_args *args)
{
	const char *ep = args->options[OPTION_EP], *since = args->options[OPTION_SINCE];
	_cleanup_free_ char *path = strdup("/api/event");

	if (ep)
		path = api_add_query(path, "ep", ep);
	if (!check_id(c, since) || !path)
		return EXIT_USAGE;
	return follow_run(c,
			  &(struct follow){.path = path, .since = since, .on_event = on_any_event, .ctx = c});
}

/* ---- observe ---- */

struct observing {
	struct cli *c;
	const char *ep;
	const char *target; /* of the request that starts it */
	struct path path;
	struct buffer list; /* the path, or those of a composite: "/3/0/1,/1/0" */
	bool composite;
	struct specs specs;
};

static void print_value(struct observing *o, uint64_t ms, json_t *node)
{
	struct cli *c = o->c;

	if (!o->composite && output_is_single(node)) {
		print_clock(c, ms);
	} else {
		char clock[TEXT_TIME];

		fprintf(c->out, "%s\n", text_clock(ms ? ms : clock_wall_ms(), clock));
	}
	if (o->composite)
		output_composite(c, &o->specs, node);
	else
		output_node(c, &o->specs, &o->path, node);
}

/* Starts the observation and prints the first value. */
static int start_observing(void *ctx)
{
	struct observing *o = ctx;
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	json_t *content;
	bool delayed;
	int rc =
		api_device_call(o->c, &(struct api_request){.method = "POST", .path = o->target, .ep = o->ep},
				&reply, &delayed);

	if (rc != EXIT_OK || delayed || o->c->json) {
		fflush(o->c->out);
		return rc;
	}
	content = json_object_get(reply.json, "content");
	if (o->composite || !output_is_single(content))
		specs_load(o->c, o->ep, &o->specs);
	print_value(o, 0, content);
	fflush(o->c->out);
	return EXIT_OK;
}

/* Whether the event names the very paths that are observed. */
static bool names_paths(const struct observing *o, json_t *data)
{
	_cleanup_buffer_ struct buffer list = buffer_of(o->list.len + 1);
	const char *resource = json_string_value(json_object_get(data, "res"));
	json_t *path;
	size_t i;

	if (!o->composite)
		return resource && span_is(buffer_span(&o->list), resource);
	json_array_foreach (json_object_get(data, "paths"), i, path)
		buffer_printf(&list, "%s%s", i ? "," : "",
			      json_is_string(path) ? json_string_value(path) : "");
	return !list.failed && span_equal(buffer_span(&list), buffer_span(&o->list));
}

/* Whether the event is about the path observed, or about the device as a whole. */
static bool concerns(const struct observing *o, const struct sse_event *event, json_t *data)
{
	if (strcmp(event->name, "NOTIFICATION") == 0 || strcmp(event->name, "OBSERVATION_ENDED") == 0)
		return names_paths(o, data);
	return strcmp(event->name, "DEREGISTRATION") == 0 || strcmp(event->name, "GAP") == 0;
}

static void on_observed_event(void *ctx, const struct sse_event *event)
{
	struct observing *o = ctx;
	json_t *data = parse(event);

	if (!concerns(o, event, data)) {
		json_decref(data);
		return;
	}
	if (o->c->json || strcmp(event->name, "NOTIFICATION") != 0 ||
	    !json_is_object(json_object_get(data, "val")))
		on_any_event(o->c, event);
	else
		print_value(o, event_time_ms(event), json_object_get(data, "val"));
	json_decref(data);
}

static int follow_observation(struct observing *o)
{
	_cleanup_free_ char *path = api_add_query(strdup("/api/event"), "ep", o->ep);
	int rc;

	if (!path)
		return EXIT_REFUSED;
	rc = follow_run(o->c, &(struct follow){.path = path,
					       .on_event = on_observed_event,
					       .on_open = start_observing,
					       .ctx = o});
	if (rc == EXIT_OK && o->c->interactive)
		fprintf(o->c->error, "\nThe observation goes on; `shoalctl cancel` ends it.\n");
	return rc;
}

/*
 * Where an observation of the operands is started and cancelled: *target, the caller's to free. `list` gets
 * the paths as one text, *path the first.
 */
static int observation_target(struct cli *c, const struct cli_args *args, const char *query,
			      struct buffer *list, struct path *path, char **target)
{
	char text[PATH_TEXT], suffix[32];
	int rc;

	snprintf(suffix, sizeof(suffix), "/observe%s", query);
	if (command_is_composite(args)) {
		rc = command_paths(c, args, list);
		*target = rc == EXIT_OK ? command_composite_path(args, suffix, list) : NULL;
		return rc;
	}
	rc = command_path(c, args->operands[1], PATH_OBJECT, PATH_RESOURCE_INSTANCE, path, text);
	if (rc != EXIT_OK)
		return rc;
	buffer_str(list, text);
	*target = api_device_path(args->operands[0], text, suffix);
	if (args_has(args, OPTION_FORMAT))
		*target = api_add_query(*target, "format", args->options[OPTION_FORMAT]);
	if (args_has(args, OPTION_TIMEOUT))
		*target = api_add_query(*target, "timeout", args->options[OPTION_TIMEOUT]);
	*target = command_add_ttl(*target, args);
	return EXIT_OK;
}

int command_observe(struct cli *c, const struct cli_args *args)
{
	struct observing o = {.c = c,
			      .ep = args->operands[0],
			      .list = buffer_of(OPERANDS_MAX * PATH_TEXT),
			      .composite = command_is_composite(args)};
	_cleanup_free_ char *target = NULL;
	int rc = observation_target(c, args, "", &o.list, &o.path, &target);

	if (rc == EXIT_OK) {
		o.target = target;
		rc = args_has(args, OPTION_ONCE) ? start_observing(&o) : follow_observation(&o);
	}
	buffer_deinit(&o.list);
	specs_deinit(&o.specs);
	return rc;
}

int command_cancel(struct cli *c, const struct cli_args *args)
{
	const char *ep = args->operands[0];
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_buffer_ struct buffer list = buffer_of(OPERANDS_MAX * PATH_TEXT);
	_cleanup_free_ char *target = NULL;
	struct path path;
	bool delayed;
	int rc = observation_target(c, args, args_has(args, OPTION_ACTIVE) ? "?active" : "", &list, &path,
				    &target);

	if (rc != EXIT_OK)
		return rc;
	rc = api_device_call(c, &(struct api_request){.method = "DELETE", .path = target, .ep = ep}, &reply,
			     &delayed);
	if (rc == EXIT_OK && !delayed && c->interactive && !c->json)
		fputs("Cancelled.\n", c->out);
	return rc;
}
