/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Requests of backends to requests of the REST interface: a table of kinds, each with a method, what stands
 * behind the path, and what becomes query and body. So there is one way in which a request is understood and
 * answered, and any node can pass it on. What is wrong with paths, formats and nodes beyond their shape is
 * said by the handlers.
 */

#include "streams/request.h"

#include "codec/codec.h"
#include "http/json_depth.h"
#include "model/path.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { DEPTH_MAX = 20, TARGET_MAX = 16384 };

struct asking {
	const json_t *req;
	const struct backend_ask *ask;
	const struct kind *kind;
	struct buffer target;
	bool has_query;
	struct arena *arena;
	struct backend_request *out;
	char *error;
};

static int PRINTF_LIKE(2, 3) fail(char error[BACKEND_ERROR], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, BACKEND_ERROR, format, args);
	va_end(args);
	return -EINVAL;
}

static const char *string_of(const struct asking *a, const char *name)
{
	const json_t *v = json_object_get(a->req, name);

	return json_is_string(v) ? json_string_value(v) : NULL;
}

/* ---- the target ---- */

static void percent(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (isalnum(text.data[i]) || (text.data[i] && strchr("-._~", text.data[i])))
			buffer_u8(out, text.data[i]);
		else
			buffer_printf(out, "%%%02X", text.data[i]);
	}
}

static void parameter(struct asking *a, const char *name, const char *value)
{
	buffer_printf(&a->target, "%c%s", a->has_query ? '&' : '?', name);
	if (value) {
		buffer_u8(&a->target, '=');
		percent(&a->target, span_str(value));
	}
	a->has_query = true;
}

static void number_parameter(struct asking *a, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	parameter(a, name, text);
}

/* "contentFormat": a number of the registry, or a name of the REST interface. */
static int format_parameter(struct asking *a, const char *member, const char *name)
{
	const json_t *v = json_object_get(a->req, member);
	const struct codec *codec = NULL;

	if (!v || json_is_null(v))
		return 0;
	if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= UINT16_MAX)
		codec = codec_find((uint16_t)json_integer_value(v));
	else if (json_is_string(v))
		codec = codec_find_name(span_str(json_string_value(v)));
	if (!codec)
		return fail(a->error, "%s is not a content format that is known here", member);
	parameter(a, name, codec->name);
	return 0;
}

static int node_format(struct asking *a)
{
	return format_parameter(a, "contentFormat", "format");
}

static int mode(struct asking *a)
{
	const char *text = string_of(a, "mode");

	if (text && strcmp(text, "REPLACE") != 0 && strcmp(text, "UPDATE") != 0)
		return fail(a->error, "mode has to be REPLACE or UPDATE");
	if (text && strcmp(text, "UPDATE") == 0) {
		parameter(a, "replace", "false");
		a->out->repeatable = false;
	}
	return node_format(a);
}

static int active(struct asking *a)
{
	if (!json_is_false(json_object_get(a->req, "active")))
		parameter(a, "active", NULL);
	return 0;
}

/* The query is what the device gets: nothing of ours may stand in it. */
static int attributes(struct asking *a)
{
	const char *text = string_of(a, "observeSpec");

	if (!text)
		return fail(a->error, "observeSpec is missing: attributes such as pmin=10&pmax=60");
	for (const char *at = text; *at; at++) {
		if (!isalnum((unsigned char)*at) && !strchr("=&.+-_", *at))
			return fail(a->error, "observeSpec is not of the form pmin=10&pmax=60");
	}
	buffer_u8(&a->target, '?');
	buffer_str(&a->target, text);
	return 0;
}

static int composite_formats(struct asking *a)
{
	int err = format_parameter(a, "pathFormat", "pathformat");

	return err ? err : format_parameter(a, "contentFormat", "nodeformat");
}

static int paths(struct asking *a)
{
	const json_t *list = json_object_get(a->req, "paths"), *item;
	_cleanup_buffer_ struct buffer text = buffer_of(TARGET_MAX);
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return fail(a->error, "paths is missing: an array of paths");
	json_array_foreach ((json_t *)(uintptr_t)list, i, item) {
		struct path path;
		char path_text[PATH_TEXT];

		if (!json_is_string(item) || !path_parse(span_str(json_string_value(item)), &path))
			return fail(a->error, "paths has what is no path");
		buffer_printf(&text, "%s%s", i ? "," : "", path_format(&path, path_text));
	}
	buffer_u8(&text, 0);
	if (text.failed)
		return fail(a->error, "there are too many paths");
	parameter(a, "paths", (const char *)text.data);
	return composite_formats(a);
}

static int active_paths(struct asking *a)
{
	int err = active(a);

	return err ? err : paths(a);
}

/* ---- bodies ---- */

static int dump(struct asking *a, const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT);

	if (!text)
		return -ENOMEM;
	a->out->body = arena_dup(a->arena, span_str(text));
	free(text);
	a->out->type = "application/json";
	return a->out->body.data ? 0 : -ENOMEM;
}

static int node(struct asking *a)
{
	const json_t *v = json_object_get(a->req, "node");

	return json_is_object(v) ? dump(a, v) : fail(a->error, "node is missing: what is to be written");
}

static int nodes(struct asking *a)
{
	const json_t *v = json_object_get(a->req, "nodes");

	return json_is_object(v) ? dump(a, v) : fail(a->error, "nodes is missing: a map of path to node");
}

static int instance(struct asking *a)
{
	json_t *id = json_object_get(a->req, "instanceId"), *resources = json_object_get(a->req, "resources");
	_cleanup_json_ json_t *v = json_object();

	if (!json_is_array(resources))
		return fail(a->error, "resources is missing: an array of nodes");
	if (id && !json_is_null(id) && !json_is_integer(id))
		return fail(a->error, "instanceId has to be a number");
	/* The former module had -1 for: the client chooses. */
	if (json_is_integer(id) && json_integer_value(id) >= 0 && json_object_set(v, "id", id) < 0)
		return -ENOMEM;
	return json_object_set(v, "resources", resources) < 0 ? -ENOMEM : dump(a, v);
}

static int parameters(struct asking *a)
{
	const json_t *v = json_object_get(a->req, "parameters");

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return fail(a->error, "parameters has to be a string");
	a->out->body = arena_dup(a->arena, span_of(json_string_value(v), json_string_length(v)));
	a->out->type = "text/plain";
	return a->out->body.data ? 0 : -ENOMEM;
}

/* ---- kinds ---- */

static const struct kind {
	const char *name, *method, *suffix;
	uint8_t depth_min, depth_max; /* of the path; 0: there is none */
	bool repeatable, untimed;
	int (*query)(struct asking *a);
	int (*body)(struct asking *a);
} kinds[] = {
	{"read", "GET", "", 1, 4, true, false, node_format, NULL},
	{"discover", "GET", "/discover", 1, 3, true, false, NULL, NULL},
	{"write", "PUT", "", 2, 4, true, false, mode, node},
	{"writeAttributes", "PUT", "/attributes", 1, 4, true, true, attributes, NULL},
	{"execute", "POST", "", 3, 3, false, false, NULL, parameters},
	{"create", "POST", "", 1, 1, false, false, node_format, instance},
	{"delete", "DELETE", "", 2, 2, true, false, NULL, NULL},
	{"observe", "POST", "/observe", 1, 4, true, false, node_format, NULL},
	{"cancelObserve", "DELETE", "/observe", 1, 4, true, false, active, NULL},
	{"readComposite", "GET", "/composite", 0, 0, true, false, paths, NULL},
	{"writeComposite", "PUT", "/composite", 0, 0, false, false, composite_formats, nodes},
	{"observeComposite", "POST", "/composite/observe", 0, 0, true, false, paths, NULL},
	{"cancelObserveComposite", "DELETE", "/composite/observe", 0, 0, true, false, active_paths, NULL},
};

static const struct kind *kind_named(const char *name)
{
	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

static int add_path(struct asking *a)
{
	const char *text = string_of(a, "path");
	char normal[PATH_TEXT];
	struct path path;

	if (a->kind->depth_max == 0)
		return 0;
	if (!text || !path_parse(span_str(text), &path))
		return fail(a->error, "path is missing, or no path");
	if (path.depth < a->kind->depth_min || path.depth > a->kind->depth_max)
		return fail(a->error, "Invalid path %s: %s needs %d to %d ids", path_format(&path, normal),
			    a->kind->name, a->kind->depth_min, a->kind->depth_max);
	buffer_str(&a->target, path_format(&path, normal));
	return 0;
}

static int make(struct asking *a)
{
	int err;

	buffer_str(&a->target, "/api/clients/");
	percent(&a->target, a->ask->ep);
	err = add_path(a);
	buffer_str(&a->target, a->kind->suffix);
	if (!err && a->kind->query)
		err = a->kind->query(a);
	if (!err && a->kind->body)
		err = a->kind->body(a);
	if (!err && !a->kind->untimed) {
		number_parameter(a, "timeout", a->ask->timeout_s ? a->ask->timeout_s : BACKEND_TIMEOUT_S);
		if (a->ask->has_ttl)
			number_parameter(a, "ttl", a->ask->ttl_s);
	}
	if (!err && a->target.failed)
		err = fail(a->error, "the request is too long");
	return err;
}

int backend_request_of(const json_t *req, const struct backend_ask *ask, struct arena *arena,
		       struct backend_request *out, char error[BACKEND_ERROR])
{
	struct asking a = {.req = req,
			   .ask = ask,
			   .target = buffer_of(TARGET_MAX),
			   .arena = arena,
			   .out = out,
			   .error = error};
	int err;

	*out = (struct backend_request){0};
	if (ask->ep.len == 0)
		return fail(error, "ep is missing");
	a.kind = kind_named(string_of(&a, "kind"));
	if (!a.kind)
		return fail(error, "kind is missing, or none of those in docs/redis.md");
	out->method = a.kind->method;
	out->repeatable = a.kind->repeatable;
	err = make(&a);
	if (!err) {
		out->target = arena_dup(arena, buffer_span(&a.target));
		err = out->target.data ? 0 : -ENOMEM;
	}
	buffer_deinit(&a.target);
	return err;
}

json_t *backend_json(struct span text, char error[BACKEND_ERROR])
{
	json_error_t why;
	json_t *v;

	if (text.len == 0 || text.len > BACKEND_REQUEST_MAX || !json_depth_is(text, DEPTH_MAX)) {
		fail(error, "the JSON is missing, too long or too deep");
		return NULL;
	}
	v = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, &why);
	if (!v)
		fail(error, "this is no JSON: %s (at byte %d)", why.text, why.position);
	else if (!json_is_object(v))
		fail(error, "this is no JSON object");
	if (json_is_object(v))
		return v;
	json_decref(v);
	return NULL;
}

int backend_request_parse(struct span text, const struct backend_ask *ask, struct arena *arena,
			  struct backend_request *out, char error[BACKEND_ERROR])
{
	_cleanup_json_ json_t *req = backend_json(text, error);

	*out = (struct backend_request){0};
	return req ? backend_request_of(req, ask, arena, out, error) : -EINVAL;
}
