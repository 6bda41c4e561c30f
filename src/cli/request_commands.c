/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands about requests that wait for a device in queue mode. */

#include "base/clock.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/words.h"

#include <inttypes.h>

/* "/3/0/9", or "/3/0/9,/1" of a composite. */
static void add_paths(struct table *t, json_t *item)
{
	_cleanup_buffer_ struct buffer out = buffer_of(1 << 16);
	json_t *path;
	size_t i;

	buffer_str(&out, text_of(item, "path"));
	json_array_foreach (json_object_get(item, "paths"), i, path)
		buffer_printf(&out, "%s%s", i ? "," : "", json_string_value(path));
	table_add(t, out.data ? (const char *)out.data : "");
}

/* What the device said, what is wrong, or when it is given up. */
static void add_result(struct table *t, json_t *item, uint64_t now_ms)
{
	json_t *response = json_object_get(item, "response"), *content = json_object_get(response, "content");
	_cleanup_free_ char *value =
		json_is_string(json_object_get(content, "kind")) ? output_brief(content) : NULL;
	char text[STATUS_TEXT], when[TEXT_TIME];

	if (response)
		table_printf(t, "%s%s%s", api_status_text(text_of(response, "status"), text),
			     value ? "  " : "", value ? value : "");
	else if (*text_of(item, "error"))
		table_add(t, text_of(item, "error"));
	else if (number_of(item, "ended"))
		table_add(t, "");
	else
		table_printf(t, "ends %s", text_ago(number_of(item, "expires"), now_ms, when));
}

static void print_requests(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"ID", "OPERATION", "PATH", "STATE", "ASKED", ""};
	_cleanup_table_ struct table t;
	uint64_t now_ms = clock_wall_ms();
	char text[TEXT_TIME];
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		table_add(&t, text_of(item, "requestId"));
		table_add(&t, text_of(item, "operation"));
		add_paths(&t, item);
		table_add(&t, text_of(item, "state"));
		table_add(&t, text_ago(number_of(item, "added"), now_ms, text));
		add_result(&t, item, now_ms);
	}
	table_print(&t, c->out, c->width);
}

static int requests_list(struct cli *c, const struct cli_args *args)
{
	_cleanup_free_ char *path = api_device_path(args->operands[1], "/requests", "");

	return list_call(c, path, print_requests);
}

static void print_request(struct cli *c, json_t *item)
{
	json_t *list = json_pack("[O]", item);

	print_requests(c, list);
	json_decref(list);
}

static int requests_show(struct cli *c, const struct cli_args *args)
{
	_cleanup_free_ char *path = path_of("/api/requests/", args->operands[1]);

	return list_call(c, path, print_request);
}

static int requests_cancel(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};

	return delete_call(c, "/api/requests/", args->operands[1], &reply);
}

int command_requests(struct cli *c, const struct cli_args *args)
{
	static const struct word words[] = {{"list", 1, 1, requests_list},
					    {"show", 1, 1, requests_show},
					    {"cancel", 1, 1, requests_cancel}};

	return run_word(c, args, words, ARRAY_SIZE(words));
}

/* ---- policies ---- */

static void add_list(struct buffer *out, const char *before, json_t *paths)
{
	json_t *path;
	size_t i;

	json_array_foreach (paths, i, path)
		buffer_printf(out, "%s%s", i ? "," : before, json_string_value(path));
}

static void print_policies(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"NAME", "PATTERN", "FORMAT", "ATTRIBUTES", "OBSERVES"};
	_cleanup_table_ struct table t;
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		_cleanup_buffer_ struct buffer out = buffer_of(1 << 16);

		table_add(&t, text_of(item, "name"));
		table_add(&t, text_of(item, "pattern"));
		table_add(&t, text_of(item, "format"));
		table_add(&t, text_of(item, "attributes"));
		add_list(&out, "", json_object_get(item, "paths"));
		add_list(&out, out.len ? "  together " : "together ", json_object_get(item, "composite"));
		table_add(&t, out.data ? (const char *)out.data : "");
	}
	table_print(&t, c->out, c->width);
}

static int policy_list(struct cli *c, const struct cli_args *args)
{
	(void)args;
	return list_call(c, "/api/observations", print_policies);
}

static json_t *path_list(const struct cli_args *args, unsigned from)
{
	json_t *list = json_array();

	for (unsigned i = from; i < args->operand_count; i++)
		json_array_append_new(list, json_string(args->operands[i]));
	return list;
}

/* `from`: the operand that is the first path. Freed by the caller. */
static char *declaration(const struct cli_args *args, unsigned from)
{
	json_t *body = json_object();
	char *text;

	json_object_set_new(body, args_has(args, OPTION_COMPOSITE) ? "composite" : "paths",
			    path_list(args, from));
	if (from > 2)
		json_object_set_new(body, "pattern", json_string(args->operands[2]));
	if (args_has(args, OPTION_ATTRIBUTES))
		json_object_set_new(body, "attributes", json_string(args->options[OPTION_ATTRIBUTES]));
	if (args_has(args, OPTION_FORMAT))
		json_object_set_new(body, "format", json_string(args->options[OPTION_FORMAT]));
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

static int put(struct cli *c, const char *path, const char *body)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	int rc = api_call(c,
			  &(struct api_request){.method = "PUT",
						.path = path,
						.content_type = "application/json",
						.body = span_str(body ? body : "")},
			  &reply);

	if (rc == EXIT_OK && c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	return rc;
}

static int policy_set(struct cli *c, const struct cli_args *args)
{
	_cleanup_free_ char *path = path_of("/api/observations/", args->operands[1]);
	_cleanup_free_ char *body = declaration(args, 3);

	return put(c, path, body);
}

static int policy_delete(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};

	return delete_call(c, "/api/observations/", args->operands[1], &reply);
}

int command_policy(struct cli *c, const struct cli_args *args)
{
	static const struct word words[] = {{"list", 0, 0, policy_list},
					    {"set", 3, OPERANDS_MAX, policy_set},
					    {"delete", 1, 1, policy_delete}};

	return run_word(c, args, words, ARRAY_SIZE(words));
}

/* ---- of one device ---- */

static void print_observations(struct cli *c, json_t *list)
{
	static const char *const titles[] = {"PATH", "STATE", "WANTED BY", "FORMAT"};
	_cleanup_table_ struct table t;
	json_t *item;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (list, i, item) {
		const char *policy = text_of(item, "policy");

		add_paths(&t, item);
		table_add(&t, text_of(item, "state"));
		table_printf(&t, "%s%s%s", text_of(item, "origin"), *policy ? " " : "", policy);
		table_add(&t, text_of(item, "format"));
	}
	table_print(&t, c->out, c->width);
}

int command_observations(struct cli *c, const struct cli_args *args)
{
	_cleanup_free_ char *path = api_device_path(args->operands[0], "/observations", "");

	return list_call(c, path, print_observations);
}
