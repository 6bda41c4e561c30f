/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * NODE to records. jansson reads the text (nesting is bounded before it sees it, repeated members are
 * refused); then there is one function per kind of node and one per type of value, found by tables. Words of
 * errors follow the compatible interface where it has any; the HTTP layer puts "Invalid request: " before
 * them. Encoding for the device, and whether a value fits the model, is the device manager's.
 */

#include "http/node_input.h"

#include "coap/linkformat.h"
#include "http/hex.h"
#include "http/json_depth.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { NESTING_MAX = 16 }; /* ten more than any node has */

struct parse {
	struct arena *arena;
	struct records *records;
	char *error;
};

static void cleanup_json(json_t **j)
{
	json_decref(*j);
}
#define _cleanup_json_ _cleanup_(cleanup_json)

static int PRINTF_LIKE(2, 3) fail(char error[NODE_ERROR], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, NODE_ERROR, format, args);
	va_end(args);
	return -EINVAL;
}

/* ---- values ---- */

static const char *json_type_name(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "boolean";
	case JSON_NULL:
		break;
	}
	return "null";
}

static struct span text_of(const json_t *v)
{
	return span_of(json_string_value(v), json_string_length(v));
}

static int copy_text(struct parse *p, const json_t *v, struct span *out)
{
	*out = arena_dup(p->arena, text_of(v));
	return out->data ? 0 : -ENOMEM;
}

static int not_valid(struct parse *p, const json_t *v, const char *what)
{
	return fail(p->error, "\"%.60s\" is not a valid %s.", json_string_value(v), what);
}

/* The readers of one type each: 0, < 0, or WRONG_TYPE. */
enum { WRONG_TYPE = 1 };

static int read_string(struct parse *p, const json_t *v, struct value *out)
{
	return json_is_string(v) ? copy_text(p, v, &out->bytes) : WRONG_TYPE;
}

static int read_integer(struct parse *p, const json_t *v, struct value *out)
{
	const char *text, *digits;
	char *end;

	if (json_is_integer(v)) {
		out->integer = json_integer_value(v);
		return 0;
	}
	if (!json_is_string(v))
		return WRONG_TYPE;
	text = json_string_value(v);
	digits = text + (*text == '-' || *text == '+');
	errno = 0;
	out->integer = strtoll(text, &end, 10);
	if (errno || *digits < '0' || *digits > '9' || (size_t)(end - text) != json_string_length(v))
		return not_valid(p, v, "Long");
	return 0;
}

static int read_unsigned(struct parse *p, const json_t *v, struct value *out)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0) {
		out->unsigned_ = (uint64_t)json_integer_value(v);
		return 0;
	}
	if (json_is_integer(v))
		return fail(p->error, "%" JSON_INTEGER_FORMAT " is not a valid Unsigned Long.",
			    json_integer_value(v));
	if (!json_is_string(v))
		return WRONG_TYPE;
	return span_to_uint(text_of(v), UINT64_MAX, &out->unsigned_) ? 0 : not_valid(p, v, "Unsigned Long");
}

static int read_float(struct parse *p, const json_t *v, struct value *out)
{
	const char *text;
	char *end;

	if (json_is_number(v)) {
		out->real = json_number_value(v);
		return 0;
	}
	if (!json_is_string(v))
		return WRONG_TYPE;
	text = json_string_value(v);
	/* strtod would also take hexadecimal, "nan" and "inf". */
	if (!*text || strspn(text, "0123456789+-.eE") != json_string_length(v))
		return not_valid(p, v, "Double");
	out->real = strtod(text, &end);
	return *end || !isfinite(out->real) ? not_valid(p, v, "Double") : 0;
}

static int read_boolean(struct parse *p, const json_t *v, struct value *out)
{
	(void)p;
	if (!json_is_boolean(v))
		return WRONG_TYPE;
	out->boolean = json_is_true(v);
	return 0;
}

static int read_opaque(struct parse *p, const json_t *v, struct value *out)
{
	struct span text;
	uint8_t *bytes;

	if (!json_is_string(v))
		return WRONG_TYPE;
	text = text_of(v);
	if (text.len % 2)
		return fail(p->error, "Invalid hexadecimal string: odd number of digits.");
	bytes = arena_alloc(p->arena, text.len / 2 + 1);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < text.len; i += 2) {
		int high = hex_digit(text.data[i]), low = hex_digit(text.data[i + 1]);

		if (high < 0 || low < 0)
			return not_valid(p, v, "hexadecimal string");
		bytes[i / 2] = (uint8_t)(high << 4 | low);
	}
	out->bytes = span_of(bytes, text.len / 2);
	return 0;
}

/* Epoch milliseconds outside, seconds inside. */
static int read_time(struct parse *p, const json_t *v, struct value *out)
{
	json_int_t ms = json_integer_value(v);

	(void)p;
	if (!json_is_integer(v))
		return WRONG_TYPE;
	out->integer = ms / 1000 - (ms % 1000 < 0);
	return 0;
}

static bool read_id(const json_t *v, uint16_t *out)
{
	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > UINT16_MAX)
		return false;
	*out = (uint16_t)json_integer_value(v);
	return true;
}

static int read_objlnk(struct parse *p, const json_t *v, struct value *out)
{
	uint16_t object, instance;

	(void)p;
	if (!read_id(json_object_get(v, "objectId"), &object) ||
	    !read_id(json_object_get(v, "objectInstanceId"), &instance))
		return WRONG_TYPE;
	out->link.object = object;
	out->link.instance = instance;
	return 0;
}

static int read_corelnk(struct parse *p, const json_t *v, struct value *out)
{
	struct link_reader links;
	struct link link;
	enum link_next next;

	if (!json_is_string(v))
		return WRONG_TYPE;
	links = link_reader_of(text_of(v));
	while ((next = link_next(&links, &link)) == LINK_OK)
		;
	if (next == LINK_ERROR)
		return fail(p->error, "Invalid Links: \"%.60s\"", json_string_value(v));
	return copy_text(p, v, &out->bytes);
}

static const struct {
	int (*read)(struct parse *p, const json_t *v, struct value *out);
	const char *expected; /* of JSON */
	const char *tolerated;
} value_readers[VALUE_TYPES] = {
	[VALUE_STRING] = {read_string, "string", ""},
	[VALUE_INTEGER] = {read_integer, "string", " (number is tolerated but not advised)"},
	[VALUE_UNSIGNED] = {read_unsigned, "string", " (number is tolerated but not advised)"},
	[VALUE_FLOAT] = {read_float, "string", " (number is tolerated but not advised)"},
	[VALUE_BOOLEAN] = {read_boolean, "boolean", ""},
	[VALUE_OPAQUE] = {read_opaque, "string", ""},
	[VALUE_TIME] = {read_time, "number(long)", ""},
	[VALUE_OBJLNK] = {read_objlnk, "object{objectId:integer, objectInstanceId:integer}", ""},
	[VALUE_CORELNK] = {read_corelnk, "string", ""},
};

static int read_value(struct parse *p, const json_t *v, enum value_type type, struct value *out)
{
	_cleanup_free_ char *shown = NULL;
	int r;

	out->type = type;
	r = value_readers[type].read(p, v, out);
	if (r != WRONG_TYPE)
		return r;
	shown = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	return fail(
		p->error,
		"Unexpected JSON type of 'value' field [%.60s]: a JSON %s is expected for %s but was %s.%s",
		shown ? shown : "", value_readers[type].expected, value_type_name(type), json_type_name(v),
		value_readers[type].tolerated);
}

static int read_type(struct parse *p, const json_t *node, enum value_type *out)
{
	const json_t *v = json_object_get(node, "type");

	if (!json_is_string(v))
		return fail(p->error, "Missing type");
	*out = value_type_find(text_of(v));
	if (*out == VALUE_NONE || !value_readers[*out].read)
		return fail(p->error, "Unknown type \"%.40s\"", json_string_value(v));
	return 0;
}

/* ---- nodes ---- */

static const struct {
	const char *kind;
	const char *member; /* by which it is known if `kind` is not given */
	const char *class;  /* its name in error texts */
} kinds[] = {
	[NODE_INSTANCE] = {"instance", "resources", "LwM2mObjectInstance"},
	[NODE_SINGLE] = {"singleResource", "value", "LwM2mSingleResource"},
	[NODE_MULTIPLE] = {"multiResource", "values", "LwM2mMultipleResource"},
	[NODE_RESOURCE_INSTANCE] = {"resourceInstance", "value", "LwM2mResourceInstance"},
	[NODE_OBJECT] = {"obj", "instances", "LwM2mObject"},
};

static int read_kind(struct parse *p, const json_t *node, enum node_kind *out)
{
	static const enum node_kind order[] = {NODE_OBJECT, NODE_INSTANCE, NODE_MULTIPLE};
	const json_t *v = json_object_get(node, "kind");
	const char *kind = json_is_string(v) ? json_string_value(v) : "";

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		const char *member = kinds[order[i]].member;
		bool has = json_object_get(node, member) != NULL;

		*out = order[i];
		if (has)
			return 0;
		if (!strcmp(kind, kinds[order[i]].kind))
			return fail(p->error, "Missing %s", member);
	}
	if (!json_object_get(node, "value"))
		return fail(p->error, "Invalid node element");
	*out = strcmp(kind, kinds[NODE_RESOURCE_INSTANCE].kind) ? NODE_SINGLE : NODE_RESOURCE_INSTANCE;
	return 0;
}

static bool parse_id_text(struct span text, uint16_t *out)
{
	uint64_t id;

	if (!span_to_uint(text, PATH_ID_NONE - 1, &id))
		return false;
	*out = (uint16_t)id;
	return true;
}

/* PATH_ID_NONE if there is none. */
static int read_node_id(struct parse *p, const json_t *node, uint16_t *out)
{
	const json_t *v = json_object_get(node, "id");

	*out = PATH_ID_NONE;
	if (!v)
		return 0;
	if (json_is_string(v) ? parse_id_text(text_of(v), out) : read_id(v, out) && *out != PATH_ID_NONE)
		return 0;
	return fail(p->error, "Invalid id");
}

static int add_record(struct parse *p, const struct path *path, const struct value *v)
{
	struct record record = {.path = *path};

	if (v)
		record.value = *v;
	return records_add(p->records, &record);
}

static int parse_single(struct parse *p, const json_t *node, const struct path *path)
{
	enum value_type type = VALUE_NONE;
	struct value value = {0};
	int r = read_type(p, node, &type);

	if (r == 0)
		r = read_value(p, json_object_get(node, "value"), type, &value);
	return r ? r : add_record(p, path, &value);
}

static int parse_multiple(struct parse *p, json_t *node, const struct path *path)
{
	json_t *values = json_object_get(node, "values"), *v;
	enum value_type type = VALUE_NONE;
	const char *name;
	int r = read_type(p, node, &type);

	if (r == 0 && !json_is_object(values))
		r = fail(p->error, "Values element is not an object");
	if (r == 0 && json_object_size(values) == 0)
		return add_record(p, path, NULL);
	if (r)
		return r;
	json_object_foreach (values, name, v) {
		struct path child;
		struct value value = {0};
		uint16_t id;

		if (!parse_id_text(span_str(name), &id))
			return fail(p->error, "Invalid resource instance id \"%.20s\"", name);
		child = path_child(*path, id);
		r = read_value(p, v, type, &value);
		if (r == 0)
			r = add_record(p, &child, &value);
		if (r)
			return r;
	}
	return 0;
}

/* A resource of the instance at `parent`. */
static int parse_resource(struct parse *p, json_t *node, const struct path *parent)
{
	enum node_kind kind;
	struct path path;
	uint16_t id;
	int r;

	if (!json_is_object(node))
		return fail(p->error, "Invalid node element");
	r = read_kind(p, node, &kind);
	if (r == 0)
		r = read_node_id(p, node, &id);
	if (r)
		return r;
	if (kind != NODE_SINGLE && kind != NODE_MULTIPLE)
		return fail(p->error, "'%s' where a resource is expected", kinds[kind].kind);
	if (id == PATH_ID_NONE)
		return fail(p->error, "Missing id");
	path = path_child(*parent, id);
	return kind == NODE_SINGLE ? parse_single(p, node, &path) : parse_multiple(p, node, &path);
}

static int parse_instance(struct parse *p, const json_t *node, const struct path *path)
{
	json_t *resources = json_object_get(node, "resources"), *resource;
	size_t i;

	if (!json_is_array(resources))
		return fail(p->error, "Resources element is not an array");
	if (json_array_size(resources) == 0)
		return add_record(p, path, NULL);
	json_array_foreach (resources, i, resource) {
		int r = parse_resource(p, resource, path);

		if (r)
			return r;
	}
	return 0;
}

/* Whether such a node may be written to a path of this depth. */
static bool kind_fits(enum node_kind kind, unsigned depth)
{
	switch (kind) {
	case NODE_INSTANCE:
		return depth == PATH_INSTANCE;
	case NODE_SINGLE:
	case NODE_MULTIPLE:
		return depth == PATH_RESOURCE;
	case NODE_RESOURCE_INSTANCE:
		return depth == PATH_RESOURCE_INSTANCE;
	case NODE_OBJECT:
		break;
	}
	return false;
}

static int check_target(struct parse *p, const struct path *path, const struct node_input *in)
{
	char text[PATH_TEXT];

	path_format(path, text);
	if (!kind_fits(in->kind, path->depth))
		return fail(p->error, "path '%s' and node type '%s' do not match", text,
			    kinds[in->kind].class);
	if (in->id == PATH_ID_NONE && in->kind != NODE_INSTANCE)
		return fail(p->error, "Missing id");
	if (in->id != PATH_ID_NONE && in->id != path->ids[path->depth - 1])
		return fail(p->error, "path '%s' and node id '%u' do not match", text, in->id);
	return 0;
}

static int check_repetition(struct parse *p)
{
	char text[PATH_TEXT];

	records_sort(p->records);
	for (size_t i = 1; i < p->records->count; i++) {
		const struct path *path = &p->records->items[i].path;

		if (path_is_within(path, &p->records->items[i - 1].path))
			return fail(p->error, "'%s' is given twice", path_format(path, text));
	}
	return 0;
}

static int parse_node(struct parse *p, json_t *node, const struct path *base, bool create,
		      struct node_input *out)
{
	struct path path = *base;
	int r;

	if (!json_is_object(node))
		return fail(p->error, "Invalid node element");
	r = read_kind(p, node, &out->kind);
	if (r == 0)
		r = read_node_id(p, node, &out->id);
	if (r)
		return r;
	if (create) {
		if (out->kind != NODE_INSTANCE)
			return 0;
		path = path_child(*base, out->id);
	} else {
		r = check_target(p, base, out);
	}
	if (r)
		return r;
	if (out->kind == NODE_INSTANCE)
		r = parse_instance(p, node, &path);
	else if (out->kind == NODE_MULTIPLE)
		r = parse_multiple(p, node, &path);
	else
		r = parse_single(p, node, &path);
	return r ? r : check_repetition(p);
}

/* Errors are told like those of JSON: the body is the caller's text. */
static int load(struct span body, json_t **out, char error[NODE_ERROR])
{
	json_error_t why;

	if (!json_depth_is(body, NESTING_MAX))
		return fail(error, "unable to parse json: nested too deeply");
	*out = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (!*out)
		return fail(error, "unable to parse json: %s (line %d, column %d)", why.text, why.line,
			    why.column);
	return 0;
}

int node_parse(struct span body, const struct path *base, bool create, struct arena *arena,
	       struct node_input *out, char error[NODE_ERROR])
{
	_cleanup_json_ json_t *node = NULL;
	struct parse p = {arena, &out->records, error};
	int r;

	*out = (struct node_input){.records = records_of(arena), .id = PATH_ID_NONE};
	r = load(body, &node, error);
	return r ? r : parse_node(&p, node, base, create, out);
}

int node_parse_map(struct span body, struct records *out, char error[NODE_ERROR])
{
	_cleanup_json_ json_t *map = NULL;
	struct parse p = {out->arena, out, error};
	const char *name;
	json_t *node;
	int r = load(body, &map, error);

	if (r == 0 && !json_is_object(map))
		return fail(error, "a map of path to node is expected");
	if (r)
		return r;
	json_object_foreach (map, name, node) {
		struct node_input in = {.id = PATH_ID_NONE};
		struct path path;

		if (!path_parse(span_str(name), &path) || path.depth < PATH_INSTANCE)
			return fail(error, "Invalid path %.64s", name);
		r = parse_node(&p, node, &path, false, &in);
		if (r)
			return r;
	}
	return out->count > 0 ? 0 : fail(error, "the map is empty");
}
