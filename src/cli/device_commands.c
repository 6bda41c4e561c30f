/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Commands that ask something of a device. */

#include "cli/api.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/output.h"
#include "cli/text.h"

#include <errno.h>

enum { FILE_LIMIT = 16 << 20 };

static char *with_query(char *path, const struct cli_args *args)
{
	if (args_has(args, OPTION_FORMAT))
		path = api_add_query(path, "format", args->options[OPTION_FORMAT]);
	if (args_has(args, OPTION_TIMEOUT))
		path = api_add_query(path, "timeout", args->options[OPTION_TIMEOUT]);
	return command_add_ttl(path, args);
}

/* What a command asks of a device at one path, and what comes back. */
struct call {
	const char *ep;
	struct path path;
	char text[PATH_TEXT]; /* of the path */
	char *target;
	struct api_reply reply;
	bool delayed;
};

static void call_deinit(struct call *call)
{
	api_reply_deinit(&call->reply);
	free(call->target);
}
#define _cleanup_call_ _cleanup_(call_deinit)

/* The path in the second operand, of this depth, with `suffix` behind it in the target. */
static int call_prepare(struct cli *c, const struct cli_args *args, unsigned min, unsigned max,
			const char *suffix, struct call *out)
{
	int rc = command_path(c, args->operands[1], min, max, &out->path, out->text);

	if (rc != EXIT_OK)
		return rc;
	out->ep = args->operands[0];
	out->target = with_query(api_device_path(out->ep, out->text, suffix), args);
	return EXIT_OK;
}

/* `content_type` NULL: no body. */
static int call_send(struct cli *c, struct call *call, const char *method, const char *content_type,
		     const char *body)
{
	return api_device_call(c,
			       &(struct api_request){.method = method,
						     .path = call->target,
						     .content_type = content_type,
						     .body = span_str(body),
						     .ep = call->ep},
			       &call->reply, &call->delayed);
}

/* Tells what happened where there is nothing to show: on a terminal only, scripts have the exit code. */
static void call_tell(struct cli *c, const struct call *call, const char *what, const char *detail)
{
	if (c->interactive && !c->json && !call->delayed)
		fprintf(c->out, "%s%s\n", what, detail);
}

static int read_composite(struct cli *c, const struct cli_args *args)
{
	const char *ep = args->operands[0];
	_cleanup_buffer_ struct buffer list = buffer_of(OPERANDS_MAX * PATH_TEXT);
	_cleanup_reply_ struct api_reply reply = {.json = NULL};
	_cleanup_specs_ struct specs specs = {NULL};
	_cleanup_free_ char *target = NULL;
	bool delayed;
	int rc = command_paths(c, args, &list);

	if (rc != EXIT_OK)
		return rc;
	target = command_composite_path(args, "", &list);
	rc = api_device_call(c, &(struct api_request){.method = "GET", .path = target, .ep = ep}, &reply,
			     &delayed);
	if (rc != EXIT_OK || delayed || c->json)
		return rc;
	specs_load(c, ep, &specs);
	output_composite(c, &specs, json_object_get(reply.json, "content"));
	return EXIT_OK;
}

static int read_one(struct cli *c, const struct cli_args *args)
{
	_cleanup_specs_ struct specs specs = {NULL};
	_cleanup_call_ struct call call = {.ep = NULL};
	json_t *content;
	int rc = call_prepare(c, args, PATH_OBJECT, PATH_RESOURCE_INSTANCE, "", &call);

	if (rc == EXIT_OK)
		rc = call_send(c, &call, "GET", NULL, "");
	if (rc != EXIT_OK || call.delayed || c->json)
		return rc;
	content = json_object_get(call.reply.json, "content");
	if (!output_is_single(content))
		specs_load(c, call.ep, &specs);
	output_node(c, &specs, &call.path, content);
	return EXIT_OK;
}

int command_read(struct cli *c, const struct cli_args *args)
{
	return command_is_composite(args) ? read_composite(c, args) : read_one(c, args);
}

/* ---- discover ---- */

static void add_attributes(struct table *t, json_t *attributes)
{
	_cleanup_buffer_ struct buffer out = buffer_of(64 << 10);
	const char *name;
	json_t *value;

	json_object_foreach (attributes, name, value) {
		buffer_printf(&out, "%s%s", out.len ? " " : "", name);
		if (json_is_string(value))
			buffer_printf(&out, "=%s", json_string_value(value));
	}
	table_add(t, out.data ? (const char *)out.data : "");
}

static void print_links(struct cli *c, const struct specs *specs, json_t *links)
{
	static const char *const titles[] = {"PATH", "NAME", "ATTRIBUTES"};
	_cleanup_table_ struct table t;
	json_t *link;
	size_t i;

	table_init(&t, ARRAY_SIZE(titles), titles);
	json_array_foreach (links, i, link) {
		const char *url = json_string_value(json_object_get(link, "url"));
		struct path path;
		bool known = url && path_parse(span_str(url), &path);

		table_add(&t, url ? url : "");
		table_add(&t,
			  known && path.depth != PATH_INSTANCE ? specs_of_path(specs, &path, "name") : "");
		add_attributes(&t, json_object_get(link, "attributes"));
	}
	table_print(&t, c->out, c->width);
}

int command_discover(struct cli *c, const struct cli_args *args)
{
	_cleanup_specs_ struct specs specs = {NULL};
	_cleanup_call_ struct call call = {.ep = NULL};
	int rc = call_prepare(c, args, PATH_OBJECT, PATH_RESOURCE, "/discover", &call);

	if (rc == EXIT_OK)
		rc = call_send(c, &call, "GET", NULL, "");
	if (rc != EXIT_OK || call.delayed || c->json)
		return rc;
	specs_load(c, call.ep, &specs);
	print_links(c, &specs, json_object_get(call.reply.json, "objectLinks"));
	return EXIT_OK;
}

/* ---- writing ---- */

/* The whole of a file, or of the standard input. */
static int read_file(struct cli *c, const char *name, struct buffer *out)
{
	FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	char piece[4096];
	size_t len;
	bool failed;

	if (!file) {
		fprintf(c->error, "shoalctl: cannot open %s: %s\n", name, strerror(errno));
		return EXIT_USAGE;
	}
	while ((len = fread(piece, 1, sizeof(piece), file)) > 0)
		buffer_bytes(out, span_of(piece, len));
	failed = ferror(file) || out->failed;
	if (file != stdin)
		fclose(file);
	if (!failed)
		return EXIT_OK;
	fprintf(c->error, "shoalctl: cannot read %s: %s\n", name,
		out->failed ? "it is too large" : strerror(errno));
	return EXIT_USAGE;
}

static int read_node(struct cli *c, const char *name, json_t **out)
{
	_cleanup_buffer_ struct buffer text = buffer_of(FILE_LIMIT);
	json_error_t error;
	int rc = read_file(c, name, &text);

	if (rc != EXIT_OK)
		return rc;
	*out = json_loadb(text.data ? (const char *)text.data : "", text.len, 0, &error);
	if (*out)
		return EXIT_OK;
	fprintf(c->error, "shoalctl: %s, line %d: %s\n", name, error.line, error.text);
	return EXIT_USAGE;
}

/* What is common to Write and Create: the node goes out as JSON. */
static int send_node(struct cli *c, struct call *call, const char *method, json_t *node)
{
	_cleanup_free_ char *body = json_dumps(node, JSON_COMPACT);

	if (!body) {
		fputs("shoalctl: out of memory\n", c->error);
		return EXIT_REFUSED;
	}
	return call_send(c, call, method, "application/json", body);
}

/* What became of the values on the command line. */
static int check_node(struct cli *c, const json_t *node, const char *error)
{
	if (node)
		return EXIT_OK;
	fprintf(c->error, "shoalctl: %s\n", error);
	return EXIT_USAGE;
}

static int node_to_write(struct cli *c, const struct cli_args *args, const struct path *path, json_t **out)
{
	const char *ep = args->operands[0], *type = args->options[OPTION_TYPE];
	_cleanup_specs_ struct specs specs = {NULL};
	char error[INPUT_ERROR] = "out of memory";
	bool from_file = args_has(args, OPTION_FILE);
	int rc = EXIT_OK;

	if (from_file == (args->operand_count > 2)) {
		fprintf(c->error, "shoalctl: expected a value%s\n",
			from_file ? " or --file, and not both" : ", or --file with its JSON");
		return EXIT_USAGE;
	}
	if (from_file)
		return read_node(c, args->options[OPTION_FILE], out);
	if (type)
		specs_load(c, ep, &specs);
	else
		rc = specs_require(c, ep, &specs);
	if (rc != EXIT_OK)
		return rc;
	*out = input_node(&specs, path, type, args->operands + 2, args->operand_count - 2, error);
	return check_node(c, *out, error);
}

/* Of an instance, values on the command line are a part, and a file is the whole, unless told otherwise. */
static bool wants_partial(const struct cli_args *args, const struct path *path)
{
	if (args_has(args, OPTION_PARTIAL) || args_has(args, OPTION_REPLACE))
		return !args_has(args, OPTION_REPLACE);
	return path->depth == PATH_INSTANCE && !args_has(args, OPTION_FILE);
}

int command_write(struct cli *c, const struct cli_args *args)
{
	_cleanup_call_ struct call call = {.ep = NULL};
	json_t *node = NULL;
	int rc = call_prepare(c, args, PATH_INSTANCE, PATH_RESOURCE_INSTANCE, "", &call);

	if (rc != EXIT_OK)
		return rc;
	if (args_has(args, OPTION_PARTIAL) && args_has(args, OPTION_REPLACE)) {
		fputs("shoalctl: --partial and --replace contradict each other\n", c->error);
		return EXIT_USAGE;
	}
	rc = node_to_write(c, args, &call.path, &node);
	if (rc != EXIT_OK)
		return rc;
	if (wants_partial(args, &call.path))
		call.target = api_add_query(call.target, "replace", "false");
	rc = send_node(c, &call, "PUT", node);
	json_decref(node);
	if (rc == EXIT_OK)
		call_tell(c, &call, "Written.", "");
	return rc;
}

int command_exec(struct cli *c, const struct cli_args *args)
{
	const char *arguments = args->operand_count > 2 ? args->operands[2] : NULL;
	_cleanup_call_ struct call call = {.ep = NULL};
	int rc = call_prepare(c, args, PATH_RESOURCE, PATH_RESOURCE, "", &call);

	if (rc == EXIT_OK)
		rc = call_send(c, &call, "POST", arguments ? "text/plain" : NULL, arguments ? arguments : "");
	if (rc == EXIT_OK)
		call_tell(c, &call, "Executed.", "");
	return rc;
}

/* ---- instances ---- */

/* The id that was asked for, -1 if none was. */
static int wanted_id(struct cli *c, const struct cli_args *args, int64_t *out)
{
	uint64_t id;

	*out = -1;
	if (!args_has(args, OPTION_ID))
		return EXIT_OK;
	if (!span_to_uint(span_str(args->options[OPTION_ID]), PATH_ID_NONE - 1, &id)) {
		fprintf(c->error, "shoalctl: --id %s: expected a number from 0 to %d\n",
			args->options[OPTION_ID], PATH_ID_NONE - 1);
		return EXIT_USAGE;
	}
	*out = (int64_t)id;
	return EXIT_OK;
}

static int node_to_create(struct cli *c, const struct cli_args *args, const struct path *path, json_t **out)
{
	unsigned values = args->operand_count - 2;
	_cleanup_specs_ struct specs specs = {NULL};
	char error[INPUT_ERROR] = "out of memory";
	int64_t id;
	int rc = wanted_id(c, args, &id);

	if (rc == EXIT_OK && args_has(args, OPTION_FILE)) {
		if (values == 0 && id < 0)
			return read_node(c, args->options[OPTION_FILE], out);
		fputs("shoalctl: --file has the whole instance; leave out values and --id\n", c->error);
		return EXIT_USAGE;
	}
	if (rc == EXIT_OK && values)
		rc = specs_require(c, args->operands[0], &specs);
	if (rc != EXIT_OK)
		return rc;
	*out = input_new_instance(&specs, path->ids[0], id, args->operands + 2, values, error);
	return check_node(c, *out, error);
}

int command_create(struct cli *c, const struct cli_args *args)
{
	_cleanup_call_ struct call call = {.ep = NULL};
	_cleanup_free_ char *safe = NULL;
	const char *location;
	json_t *node = NULL;
	int rc = call_prepare(c, args, PATH_OBJECT, PATH_OBJECT, "", &call);

	if (rc == EXIT_OK)
		rc = node_to_create(c, args, &call.path, &node);
	if (rc != EXIT_OK)
		return rc;
	rc = send_node(c, &call, "POST", node);
	json_decref(node);
	if (rc != EXIT_OK || call.delayed || c->json)
		return rc;
	/* The path of the new instance, to go on with; where the device chose it, there is no other way to
	 * know. */
	location = json_string_value(json_object_get(call.reply.json, "location"));
	safe = location ? text_safe(location) : NULL;
	if (safe)
		fprintf(c->out, "/%s\n", safe);
	return EXIT_OK;
}

int command_delete(struct cli *c, const struct cli_args *args)
{
	_cleanup_call_ struct call call = {.ep = NULL};
	int rc = call_prepare(c, args, PATH_INSTANCE, PATH_INSTANCE, "", &call);

	if (rc == EXIT_OK)
		rc = call_send(c, &call, "DELETE", NULL, "");
	if (rc == EXIT_OK)
		call_tell(c, &call, "Deleted ", call.text);
	return rc;
}

/* ---- attributes ---- */

/* "pmin=10" "gt": as a query, which is what goes to the device. */
static char *attribute_query(char *path, const struct cli_args *args)
{
	struct buffer out = buffer_of(1 << 20);

	buffer_str(&out, path);
	for (unsigned i = 2; i < args->operand_count; i++) {
		const char *operand = args->operands[i];
		size_t len = strcspn(operand, "=");

		buffer_str(&out, i == 2 ? "?" : "&");
		text_add_encoded(&out, span_of(operand, len));
		if (operand[len]) {
			buffer_str(&out, "=");
			text_add_encoded(&out, span_str(operand + len + 1));
		}
	}
	free(path);
	if (out.failed)
		buffer_deinit(&out);
	return (char *)out.data;
}

int command_attributes(struct cli *c, const struct cli_args *args)
{
	_cleanup_call_ struct call call = {.ep = NULL};
	int rc = call_prepare(c, args, PATH_OBJECT, PATH_RESOURCE_INSTANCE, "/attributes", &call);

	if (rc != EXIT_OK)
		return rc;
	call.target = call.target ? attribute_query(call.target, args) : NULL;
	rc = call_send(c, &call, "PUT", NULL, "");
	if (rc == EXIT_OK)
		call_tell(c, &call, "Written.", "");
	return rc;
}
