/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands about registrations, and about the server itself. */

#include "base/clock.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/text.h"

#include <inttypes.h>

static const char *text_of(json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

static uint64_t number_of(json_t *object, const char *member)
{
	json_int_t number = json_integer_value(json_object_get(object, member));

	return number > 0 ? (uint64_t)number : 0;
}

static const char *state_of(json_t *registration)
{
	if (!json_is_true(json_object_get(registration, "queuemode")))
		return "on";
	return json_is_true(json_object_get(registration, "sleeping")) ? "asleep" : "awake";
}

static const char *lifetime_of(json_t *registration, char text[TEXT_TIME])
{
	uint64_t seconds = number_of(registration, "lifetime");

	return seconds ? text_duration(seconds * 1000, text) : "for ever";
}

/* "1 3 3303(2)": objects, and how many instances if not one. */
static void add_objects(struct table *t, json_t *registration)
{
	_cleanup_buffer_ struct buffer out = buffer_of(64 << 10);
	json_t *instances;
	const char *object;

	json_object_foreach (json_object_get(registration, "availableInstances"), object, instances) {
		buffer_printf(&out, "%s%s", out.len ? " " : "", object);
		if (json_array_size(instances) != 1)
			buffer_printf(&out, "(%zu)", json_array_size(instances));
	}
	table_add(t, out.data ? (const char *)out.data : "");
}

static void print_list(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"ENDPOINT", "ADDRESS", "LWM2M",  "LIFETIME",
					     "SEEN",	 "STATE",   "OBJECTS"};
	uint64_t now_ms = clock_wall_ms();
	_cleanup_table_ struct table t;
	char text[TEXT_TIME];
	json_t *r;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, r) {
		table_add(&t, text_of(r, "endpoint"));
		table_add(&t, text_of(r, "address"));
		table_add(&t, text_of(r, "lwM2mVersion"));
		table_add(&t, lifetime_of(r, text));
		table_add(&t, text_ago(number_of(r, "lastUpdate"), now_ms, text));
		table_add(&t, state_of(r));
		add_objects(&t, r);
	}
	table_print(&t, c->out, c->width);
}

int command_list(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	const struct api_request q = {.method = "GET", .path = "/api/clients"};
	int rc = api_call(c, &q, &reply);

	(void)args;
	if (rc != EXIT_OK)
		return rc;
	if (c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	else if (json_array_size(reply.json))
		print_list(c, reply.json);
	else
		fputs("No devices are registered.\n", c->out);
	return EXIT_OK;
}

/* ---- show ---- */

static void add_field(struct table *t, const char *name, const char *value)
{
	table_add(t, name);
	table_add(t, value);
}

static void add_time(struct table *t, const char *name, uint64_t ms, uint64_t now_ms)
{
	char ago[TEXT_TIME], utc[TEXT_TIME];

	table_add(t, name);
	table_printf(t, "%s (%s)", text_ago(ms, now_ms, ago), text_utc((int64_t)ms, utc));
}

static void print_registration(struct cli *c, json_t *r)
{
	uint64_t now_ms = clock_wall_ms(), seen_ms = number_of(r, "lastUpdate"),
		 lifetime_s = number_of(r, "lifetime");
	_cleanup_table_ struct table t;
	char text[TEXT_TIME];
	const char *name;
	json_t *value;

	table_init(&t, 2, NULL);
	add_field(&t, "Endpoint", text_of(r, "endpoint"));
	add_field(&t, "Registration", text_of(r, "registrationId"));
	add_field(&t, "Address", text_of(r, "address"));
	add_field(&t, "LwM2M version", text_of(r, "lwM2mVersion"));
	add_field(&t, "Binding", text_of(r, "bindingMode"));
	add_field(&t, "Security", json_is_true(json_object_get(r, "secure")) ? "DTLS" : "none");
	add_field(&t, "State", state_of(r));
	add_time(&t, "Registered", number_of(r, "registrationDate"), now_ms);
	add_time(&t, "Last update", seen_ms, now_ms);
	add_field(&t, "Lifetime", lifetime_of(r, text));
	if (lifetime_s)
		add_time(&t, "Ends", seen_ms + lifetime_s * 1000, now_ms);
	if (*text_of(r, "smsNumber"))
		add_field(&t, "SMS", text_of(r, "smsNumber"));
	add_field(&t, "Root path", text_of(r, "rootPath"));
	json_object_foreach (json_object_get(r, "additionalRegistrationAttributes"), name, value)
		add_field(&t, name, json_is_string(value) ? json_string_value(value) : "");
	table_print(&t, c->out, c->width);
}

static void print_objects(struct cli *c, const struct specs *specs, json_t *registration)
{
	static const char *const titles[] = {"OBJECT", "VERSION", "INSTANCES", "NAME"};
	_cleanup_table_ struct table t;
	json_t *instances, *id;
	const char *object;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_object_foreach (json_object_get(registration, "availableInstances"), object, instances) {
		_cleanup_buffer_ struct buffer list = buffer_of(64 << 10);
		json_t *def = specs_object(specs, (uint16_t)strtoul(object, NULL, 10));

		json_array_foreach (instances, i, id)
			buffer_printf(&list, "%s%" JSON_INTEGER_FORMAT, i ? " " : "", json_integer_value(id));
		table_printf(&t, "/%s", object);
		table_add(&t, specs_text(def, "version"));
		table_add(&t, list.data ? (const char *)list.data : "");
		table_add(&t, def ? specs_text(def, "name") : "(unknown)");
	}
	fputc('\n', c->out);
	table_print(&t, c->out, c->width);
}

int command_show(struct cli *c, const struct cli_args *args)
{
	const char *ep = args->operands[0];
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_free_ char *path = api_device_path(ep, "", "");
	const struct api_request q = {.method = "GET", .path = path};
	_cleanup_specs_ struct specs specs = {NULL};
	int rc = api_call(c, &q, &reply);

	if (rc != EXIT_OK)
		return rc;
	if (c->json) {
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
		return EXIT_OK;
	}
	specs_load(c, ep, &specs);
	print_registration(c, reply.json);
	print_objects(c, &specs, reply.json);
	return EXIT_OK;
}

int command_remove(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_free_ char *path = api_device_path(args->operands[0], "", "");
	const struct api_request q = {.method = "DELETE", .path = path};

	return api_call(c, &q, &reply);
}

/* ---- status ---- */

/* The value of a line "NAME VALUE" of /metrics, or -1: it is only shown where it is there. */
static int64_t find_metric(struct cli *c, const char *name)
{
	_cleanup_response_ struct response r = {.status = 0};
	size_t len = strlen(name);

	if (client_request(&c->client, "GET", "/metrics", NULL, (struct span){NULL, 0}, 10, &r) != EXIT_OK ||
	    r.status != 200)
		return -1;
	for (const char *line = (const char *)r.body.data; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, len) == 0 && line[len] == ' ')
			return strtoll(line + len + 1, NULL, 10);
	}
	return -1;
}

static json_t *status_json(struct cli *c, bool ready, const char *text, json_t *endpoints)
{
	int64_t devices = find_metric(c, "shoal_devices");
	json_t *status = json_pack("{s:s,s:b,s:s}", "url", c->client.url, "ready", ready, "message", text);

	if (devices >= 0)
		json_object_set_new(status, "devices", json_integer(devices));
	json_object_set(status, "endpoints", endpoints);
	return status;
}

static void print_status(struct cli *c, json_t *status)
{
	_cleanup_table_ struct table t;
	json_t *endpoint;
	size_t i;

	table_init(&t, 2, NULL);
	add_field(&t, "Server", text_of(status, "url"));
	add_field(&t, "Ready",
		  json_is_true(json_object_get(status, "ready")) ? "yes" : text_of(status, "message"));
	if (json_object_get(status, "devices")) {
		table_add(&t, "Devices");
		table_printf(&t, "%" PRIu64, number_of(status, "devices"));
	}
	json_array_foreach (json_object_get(status, "endpoints"), i, endpoint) {
		add_field(&t, i ? "" : "For devices", text_of(json_object_get(endpoint, "uri"), "full"));
	}
	table_print(&t, c->out, c->width);
}

int command_status(struct cli *c, const struct cli_args *args)
{
	_cleanup_response_ struct response ready = {.status = 0};
	_cleanup_reply_ struct api_reply endpoints = {.json = NULL};
	const struct api_request q = {.method = "GET", .path = "/api/server/endpoint"};
	int rc = client_request(&c->client, "GET", "/readyz", NULL, (struct span){NULL, 0}, 10, &ready);
	json_t *status;

	(void)args;
	if (rc == EXIT_OK)
		rc = api_call(c, &q, &endpoints);
	if (rc != EXIT_OK)
		return rc;
	status = status_json(c, ready.status == 200, (const char *)ready.body.data, endpoints.json);
	if (c->json) {
		json_dumpf(status, c->out, JSON_COMPACT);
		fputc('\n', c->out);
	} else {
		print_status(c, status);
	}
	json_decref(status);
	return ready.status == 200 ? EXIT_OK : EXIT_REFUSED;
}
