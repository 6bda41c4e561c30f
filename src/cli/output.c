/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * NODEs as tables. A node has at most four levels (objects, instances, resources, resource instances), and
 * one function walks each: what a server sends cannot make this recurse.
 */

#include "cli/output.h"

#include "cli/text.h"

#include <inttypes.h>

static char *link_text(json_t *value)
{
	char *text;

	if (asprintf(&text, "%" JSON_INTEGER_FORMAT ":%" JSON_INTEGER_FORMAT,
		     json_integer_value(json_object_get(value, "objectId")),
		     json_integer_value(json_object_get(value, "objectInstanceId"))) < 0)
		return NULL;
	return text;
}

char *output_value(const char *type, json_t *value)
{
	char time[TEXT_TIME];

	if (json_is_string(value))
		return strdup(json_string_value(value));
	if (json_is_integer(value) && strcmp(type, "TIME") == 0)
		return strdup(text_utc(json_integer_value(value), time));
	if (json_is_object(value) && json_object_get(value, "objectId"))
		return link_text(value);
	return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("");
}

bool output_is_single(json_t *node)
{
	return json_object_get(node, "value") != NULL;
}

static const char *type_of(json_t *node)
{
	const char *type = json_string_value(json_object_get(node, "type"));

	return type ? type : "";
}

static uint16_t id_of(json_t *node)
{
	return (uint16_t)json_integer_value(json_object_get(node, "id"));
}

/* A path has four levels at most, whatever a server sends below it. */
static struct path below(const struct path *path, uint16_t id)
{
	return path->depth < PATH_RESOURCE_INSTANCE ? path_child(*path, id) : *path;
}

struct rows {
	struct table table;
	const struct specs *specs;
};

static void add_row(struct rows *r, const struct path *path, const char *type, json_t *value)
{
	_cleanup_free_ char *text = output_value(type, value);
	char name[PATH_TEXT];

	table_add(&r->table, path_format(path, name));
	table_add(&r->table, specs_of_path(r->specs, path, "name"));
	table_add(&r->table, specs_of_path(r->specs, path, "units"));
	table_add(&r->table, text ? text : "");
}

/* A row that has nothing below it. */
static void add_empty(struct rows *r, const struct path *path)
{
	char name[PATH_TEXT];

	table_add(&r->table, path_format(path, name));
	table_add(&r->table, specs_of_path(r->specs, path, "name"));
	table_add(&r->table, "");
	table_add(&r->table, "(empty)");
}

static void add_resource(struct rows *r, const struct path *path, json_t *node)
{
	json_t *values = json_object_get(node, "values"), *value;
	const char *key;

	if (!values) {
		add_row(r, path, type_of(node), json_object_get(node, "value"));
		return;
	}
	if (json_object_size(values) == 0)
		add_empty(r, path);
	json_object_foreach (values, key, value) {
		struct path value_path = below(path, (uint16_t)strtoul(key, NULL, 10));

		add_row(r, &value_path, type_of(node), value);
	}
}

static void add_instance(struct rows *r, const struct path *path, json_t *node)
{
	json_t *resources = json_object_get(node, "resources"), *resource;
	size_t i;

	if (json_array_size(resources) == 0)
		add_empty(r, path);
	json_array_foreach (resources, i, resource) {
		struct path resource_path = below(path, id_of(resource));

		add_resource(r, &resource_path, resource);
	}
}

static void add_object(struct rows *r, const struct path *path, json_t *node)
{
	json_t *instances = json_object_get(node, "instances"), *instance;
	size_t i;

	if (json_array_size(instances) == 0)
		add_empty(r, path);
	json_array_foreach (instances, i, instance) {
		struct path instance_path = below(path, id_of(instance));

		add_instance(r, &instance_path, instance);
	}
}

static void add_root(struct rows *r, json_t *node)
{
	json_t *object;
	size_t i;

	json_array_foreach (json_object_get(node, "objects"), i, object) {
		struct path path = {.ids = {id_of(object)}, .depth = PATH_OBJECT};

		add_object(r, &path, object);
	}
}

static void add_node(struct rows *r, const struct path *path, json_t *node)
{
	if (json_object_get(node, "objects"))
		add_root(r, node);
	else if (json_object_get(node, "instances"))
		add_object(r, path, node);
	else if (json_object_get(node, "resources"))
		add_instance(r, path, node);
	else
		add_resource(r, path, node);
}

/* Starts a table with this head. */
static void begin_rows(struct rows *r, const struct specs *specs)
{
	static const char *const titles[] = {"PATH", "NAME", "UNITS", "VALUE"};

	*r = (struct rows){.specs = specs};
	table_init(&r->table, ARRAY_SIZE(titles), titles);
}

void output_composite(struct cli *c, const struct specs *specs, json_t *map)
{
	const char *name;
	struct rows rows;
	struct path path;
	json_t *node;

	begin_rows(&rows, specs);
	json_object_foreach (map, name, node)
		if (path_parse(span_str(name), &path))
			add_node(&rows, &path, node);
	table_print(&rows.table, c->out, c->width);
	table_deinit(&rows.table);
}

void output_node(struct cli *c, const struct specs *specs, const struct path *path, json_t *node)
{
	struct rows rows;

	if (output_is_single(node)) {
		_cleanup_free_ char *text = output_value(type_of(node), json_object_get(node, "value"));
		_cleanup_free_ char *safe = text ? text_safe(text) : NULL;

		fprintf(c->out, "%s\n", safe ? safe : "");
		return;
	}
	begin_rows(&rows, specs);
	add_node(&rows, path, node);
	table_print(&rows.table, c->out, c->width);
	table_deinit(&rows.table);
}

/* How many values a node has; of a row that is empty, one. */
static size_t count_values(json_t *node)
{
	static const struct path none = {.depth = PATH_ROOT};
	static const struct specs unknown = {NULL};
	struct rows rows = {.specs = &unknown};
	size_t count;

	table_init(&rows.table, 4, NULL);
	add_node(&rows, &none, node);
	count = rows.table.count / 4;
	table_deinit(&rows.table);
	return count;
}

char *output_brief(json_t *node)
{
	char *text;

	if (output_is_single(node))
		return output_value(type_of(node), json_object_get(node, "value"));
	if (!json_is_object(node))
		return json_dumps(node, JSON_ENCODE_ANY | JSON_COMPACT);
	return asprintf(&text, "(%zu values)", count_values(node)) < 0 ? NULL : text;
}
