/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands about the nodes of a cluster, and whose a device is. */

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

static void add_number(struct table *t, json_t *object, const char *member)
{
	json_t *number = json_object_get(object, member);

	if (number)
		table_printf(t, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
	else
		table_add(t, "-");
}

static void print_nodes(struct cli *c, json_t *cluster)
{
	static const char *const titles[] = {"NODE",  "STATE",	 "VERSION", "INCARNATION",
					     "SLOTS", "DEVICES", "LEASE",   "LINK"};
	_cleanup_table_ struct table t;
	json_t *n, *left;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (json_object_get(cluster, "nodes"), i, n) {
		table_printf(&t, "%" JSON_INTEGER_FORMAT "%s", json_integer_value(json_object_get(n, "id")),
			     json_is_true(json_object_get(n, "self")) ? " (asked)" : "");
		left = json_object_get(n, "leaseLeftMs");
		table_add(&t, text_of(n, "state"));
		table_add(&t, text_of(n, "version"));
		add_number(&t, n, "incarnation");
		add_number(&t, n, "slots");
		add_number(&t, n, "devices");
		if (left)
			table_printf(&t, "%.1fs", (double)json_integer_value(left) / 1000);
		else
			table_add(&t, "-");
		table_add(&t, *text_of(n, "link") ? text_of(n, "link") : "-");
	}
	if (t.count)
		table_print(&t, c->out, c->width);
	else /* it has just started, or its store is away since */
		fputs("The node that was asked has not met the others yet.\n", c->out);
	if (json_is_true(json_object_get(cluster, "storeAway")))
		fputs("The store does not answer.\n", c->out);
	else if (json_is_true(json_object_get(cluster, "settling")))
		fputs("The store was away: for a moment nobody is declared dead.\n", c->out);
}

static int list_nodes(struct cli *c)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	const struct api_request q = {.method = "GET", .path = "/api/cluster"};
	int rc = api_call(c, &q, &reply);

	if (rc != EXIT_OK)
		return rc;
	if (c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	else
		print_nodes(c, reply.json);
	return EXIT_OK;
}

static int drain_node(struct cli *c, const char *id)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_buffer_ struct buffer path = buffer_of(1024);
	struct api_request q = {.method = "POST"};

	buffer_str(&path, "/api/cluster/nodes/");
	text_add_encoded(&path, span_str(id));
	buffer_str(&path, "/drain");
	buffer_u8(&path, 0);
	if (path.failed) {
		fputs("shoalctl: ID is the number of a node\n", c->error);
		return EXIT_USAGE;
	}
	q.path = (const char *)path.data;
	return api_call(c, &q, &reply);
}

int command_node(struct cli *c, const struct cli_args *args)
{
	if (args->operand_count == 0)
		return list_nodes(c);
	if (args->operand_count == 2 && strcmp(args->operands[0], "drain") == 0)
		return drain_node(c, args->operands[1]);
	fputs("shoalctl: node: expected nothing, or drain ID\n", c->error);
	return EXIT_USAGE;
}

int command_owner(struct cli *c, const struct cli_args *args)
{
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_free_ char *path = api_device_path(args->operands[0], "", "/owner");
	const struct api_request q = {.method = "GET", .path = path, .ep = args->operands[0]};
	int rc = api_call(c, &q, &reply);

	if (rc != EXIT_OK)
		return rc;
	if (c->json)
		fprintf(c->out, "%s\n", (const char *)reply.response.body.data);
	else
		fprintf(c->out, "node %" JSON_INTEGER_FORMAT ", generation %" JSON_INTEGER_FORMAT "%s\n",
			json_integer_value(json_object_get(reply.json, "node")),
			json_integer_value(json_object_get(reply.json, "generation")),
			json_is_true(json_object_get(reply.json, "live"))
				? ""
				: " (that process is gone: another takes the device when it is asked for)");
	return EXIT_OK;
}
