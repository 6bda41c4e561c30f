/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Values as people type them. A table of types leads to one function each; what is wrong with a value is said
 * here, with an example of a right one, before anything is sent.
 *
 * Leaves out values of unknown resources: their type has to be said with --type, since a wrong guess would be
 * written.
 */

#include "cli/input.h"

#include "cli/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <strings.h>

static json_t *from_text(const char *text)
{
	return json_string(text);
}

static json_t *from_integer(const char *text)
{
	char *end;

	errno = 0;
	strtoll(text, &end, 10);
	return errno || end == text || *end || isspace((unsigned char)*text) ? NULL : json_string(text);
}

static json_t *from_unsigned(const char *text)
{
	uint64_t value;

	return span_to_uint(span_str(text), UINT64_MAX, &value) ? json_string(text) : NULL;
}

/* Only what is written with digits: no "nan", "inf" or hexadecimal. */
static json_t *from_float(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (!*text || *end || strspn(text, "0123456789+-.eE") != strlen(text) || !isfinite(value))
		return NULL;
	return json_string(text);
}

static json_t *from_boolean(const char *text)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"true", true}, {"false", false}, {"1", true},
		     {"0", false},   {"on", true},     {"off", false}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i].word) == 0)
			return json_boolean(words[i].value);
	return NULL;
}

static json_t *from_opaque(const char *text)
{
	size_t len = strlen(text);

	return len % 2 == 0 && strspn(text, "0123456789abcdefABCDEF") == len ? json_string(text) : NULL;
}

static json_t *from_time(const char *text)
{
	int64_t ms;

	return text_parse_time(text, &ms) ? json_integer(ms) : NULL;
}

static json_t *from_link(const char *text)
{
	const char *colon = strchr(text, ':');
	uint64_t object, instance;

	if (!colon || !span_to_uint(span_of(text, (size_t)(colon - text)), UINT16_MAX, &object) ||
	    !span_to_uint(span_str(colon + 1), UINT16_MAX, &instance))
		return NULL;
	return json_pack("{s:i,s:i}", "objectId", (int)object, "objectInstanceId", (int)instance);
}

static const struct {
	const char *name;
	json_t *(*convert)(const char *text);
	const char *expected;
} types[] = {
	{"string", from_text, "text"},
	{"integer", from_integer, "a whole number such as -5"},
	{"unsigned_integer", from_unsigned, "a whole number such as 5"},
	{"float", from_float, "a number such as 21.5"},
	{"boolean", from_boolean, "true or false"},
	{"opaque", from_opaque, "hexadecimal digits such as 0a1b"},
	{"time", from_time, "a time such as 2026-01-02T03:04:05Z, or seconds since 1970"},
	{"objlnk", from_link, "object and instance such as 3:0"},
	{"corelnk", from_text, "links such as </3/0>"},
};

json_t *input_value(const char *type, const char *text, char error[INPUT_ERROR])
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		json_t *value;

		if (strcasecmp(types[i].name, type) != 0)
			continue;
		value = types[i].convert(text);
		if (!value)
			snprintf(error, INPUT_ERROR, "\"%.80s\": expected %s", text, types[i].expected);
		return value;
	}
	snprintf(error, INPUT_ERROR, "unknown type \"%.80s\"; shoalctl write --help lists them", type);
	return NULL;
}

/* ---- nodes ---- */

static json_t *member(const struct specs *specs, const struct path *path, const char *type, const char *text,
		      char error[INPUT_ERROR], const char **used_type)
{
	char name[PATH_TEXT];

	*used_type = type ? type : specs_of_path(specs, path, "type");
	if (**used_type)
		return input_value(*used_type, text, error);
	snprintf(error, INPUT_ERROR, "the type of %s is not known; say it with --type",
		 path_format(path, name));
	return NULL;
}

/* In capitals, as the interface writes it. */
static void set_type(json_t *node, const char *type)
{
	char upper[32];
	size_t len = MIN(strlen(type), sizeof(upper) - 1);

	for (size_t i = 0; i < len; i++)
		upper[i] = (char)toupper((unsigned char)type[i]);
	json_object_set_new(node, "type", json_stringn(upper, len));
}

static json_t *node_of(const char *kind, uint16_t id)
{
	return json_pack("{s:s,s:i}", "kind", kind, "id", id);
}

static json_t *value_node(const struct specs *specs, const struct path *path, const char *kind,
			  const char *type, const char *text, char error[INPUT_ERROR])
{
	const char *used_type;
	json_t *value = member(specs, path, type, text, error, &used_type);
	json_t *node = value ? node_of(kind, path->ids[path->depth - 1]) : NULL;

	if (!node) {
		json_decref(value);
		return NULL;
	}
	set_type(node, used_type);
	json_object_set_new(node, "value", value);
	return node;
}

/* Splits "6=true"; the value is what is behind the first "=". */
static const char *split(const char *operand, uint16_t *id, char error[INPUT_ERROR])
{
	size_t len = strcspn(operand, "=");
	uint64_t number;

	if (operand[len] && span_to_uint(span_of(operand, len), PATH_ID_NONE - 1, &number)) {
		*id = (uint16_t)number;
		return operand + len + 1;
	}
	snprintf(error, INPUT_ERROR, "\"%.80s\": expected ID=VALUE, such as 1=120", operand);
	return NULL;
}

/* A multiple resource from "0=a" "1=b". */
static json_t *multiple_node(const struct specs *specs, const struct path *path, const char *type,
			     const char *const *operands, unsigned count, char error[INPUT_ERROR])
{
	json_t *node = node_of("multiResource", path->ids[2]), *values = json_object();
	const char *used_type = type ? type : specs_of_path(specs, path, "type");

	for (unsigned i = 0; i < count; i++) {
		uint16_t id = 0;
		const char *text = split(operands[i], &id, error);
		json_t *value = text ? member(specs, path, type, text, error, &used_type) : NULL;
		char name[8];

		if (!value) {
			json_decref(node);
			json_decref(values);
			return NULL;
		}
		snprintf(name, sizeof(name), "%u", id);
		json_object_set_new(values, name, value);
	}
	set_type(node, used_type);
	json_object_set_new(node, "values", values);
	return node;
}

static bool is_multiple(const struct specs *specs, const struct path *path)
{
	return strcmp(specs_of_path(specs, path, "instancetype"), "multiple") == 0;
}

/* The resource nodes for "1=120" "6=true"; NULL, or an array. */
static json_t *resource_nodes(const struct specs *specs, const struct path *instance, const char *type,
			      const char *const *operands, unsigned count, char error[INPUT_ERROR])
{
	json_t *resources = json_array();

	for (unsigned i = 0; i < count; i++) {
		uint16_t id = 0;
		const char *text = split(operands[i], &id, error);
		struct path path = path_child(*instance, id);
		json_t *node = NULL;

		if (text && is_multiple(specs, &path))
			snprintf(error, INPUT_ERROR,
				 "%u is a multiple resource; write it on its own, or with --file", id);
		else if (text)
			node = value_node(specs, &path, "singleResource", type, text, error);
		if (!node) {
			json_decref(resources);
			return NULL;
		}
		json_array_append_new(resources, node);
	}
	return resources;
}

json_t *input_node(const struct specs *specs, const struct path *path, const char *type,
		   const char *const *operands, unsigned count, char error[INPUT_ERROR])
{
	json_t *resources, *node;

	if (path->depth == PATH_INSTANCE) {
		resources = resource_nodes(specs, path, type, operands, count, error);
		node = resources ? node_of("instance", path->ids[1]) : NULL;
		json_object_set_new(node, "resources", resources);
		return node;
	}
	if (path->depth == PATH_RESOURCE && is_multiple(specs, path))
		return multiple_node(specs, path, type, operands, count, error);
	if (path->depth < PATH_RESOURCE || count != 1) {
		snprintf(error, INPUT_ERROR, "expected %s",
			 path->depth < PATH_RESOURCE ? "the path of an instance or a resource" : "one value");
		return NULL;
	}
	return value_node(specs, path, path->depth == PATH_RESOURCE ? "singleResource" : "resourceInstance",
			  type, operands[0], error);
}

json_t *input_new_instance(const struct specs *specs, uint16_t object, int64_t id,
			   const char *const *operands, unsigned count, char error[INPUT_ERROR])
{
	const struct path instance = {.ids = {object, 0}, .depth = PATH_INSTANCE};
	json_t *resources = resource_nodes(specs, &instance, NULL, operands, count, error);
	json_t *node = resources ? json_pack("{s:s}", "kind", "instance") : NULL;

	if (id >= 0)
		json_object_set_new(node, "id", json_integer(id));
	json_object_set_new(node, "resources", resources);
	return node;
}
