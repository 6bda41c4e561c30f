/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Records to NODE. Records are flat and sorted, nodes are nested: so each level walks over runs of records
 * that share one more id. Depth is four at most; there is a function per level and no recursion.
 */

#include "http/node_json.h"

#include "http/float_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct items {
	const struct record *at;
	size_t count;
};

/* The first run of records which have the same id number `level`, taken off `left`. All are at least that
 * deep. */
static struct items take_run(struct items *left, unsigned level)
{
	struct items run = {left->at, 1};

	while (run.count < left->count && left->at[run.count].path.ids[level] == run.at->path.ids[level])
		run.count++;
	left->at += run.count;
	left->count -= run.count;
	return run;
}

/* Without the records that only say that something is empty: those which are not deeper than `depth`. */
static struct items skip_shallow(struct items all, unsigned depth)
{
	while (all.count && all.at->path.depth <= depth) {
		all.at++;
		all.count--;
	}
	return all;
}

static void json_seconds_as_ms(struct json *j, int64_t seconds)
{
	int64_t ms;

	if (__builtin_mul_overflow(seconds, (int64_t)1000, &ms))
		ms = seconds < 0 ? INT64_MIN : INT64_MAX;
	json_int(j, ms);
}

static void json_link(struct json *j, const struct value *v)
{
	json_open(j, '{');
	json_member_uint(j, "objectId", v->link.object);
	json_member_uint(j, "objectInstanceId", v->link.instance);
	json_member_bool(j, "nullLink", v->link.object == PATH_ID_NONE && v->link.instance == PATH_ID_NONE);
	json_close(j, '}');
}

void node_json_value(struct json *j, const struct value *v)
{
	char text[FLOAT_TEXT];

	switch (v->type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		json_text(j, v->bytes);
		break;
	case VALUE_INTEGER:
		snprintf(text, sizeof(text), "%" PRId64, v->integer);
		json_str(j, text);
		break;
	case VALUE_UNSIGNED:
		snprintf(text, sizeof(text), "%" PRIu64, v->unsigned_);
		json_str(j, text);
		break;
	case VALUE_FLOAT:
		json_str(j, float_text(v->real, text));
		break;
	case VALUE_BOOLEAN:
		json_bool(j, v->boolean);
		break;
	case VALUE_OPAQUE:
		json_hex(j, v->bytes);
		break;
	case VALUE_TIME:
		json_seconds_as_ms(j, v->integer);
		break;
	case VALUE_OBJLNK:
		json_link(j, v);
		break;
	case VALUE_NONE:
	case VALUE_TYPES:
		json_nil(j);
		break;
	}
}

static void write_value_node(struct json *j, const char *kind, const struct record *r, uint16_t id)
{
	json_open(j, '{');
	json_member_str(j, "kind", kind);
	json_member_uint(j, "id", id);
	json_member_str(j, "type", value_type_name(r->value.type));
	json_key(j, "value");
	node_json_value(j, &r->value);
	json_close(j, '}');
}

static void write_multiple(struct json *j, const struct resource_def *def, struct items all, uint16_t id)
{
	struct items left = skip_shallow(all, PATH_RESOURCE);
	enum value_type type = left.count ? left.at->value.type : def ? def->type : VALUE_NONE;

	json_open(j, '{');
	json_member_str(j, "kind", "multiResource");
	json_key(j, "values");
	json_open(j, '{');
	while (left.count) {
		struct items run = take_run(&left, 3);
		char name[8];

		snprintf(name, sizeof(name), "%u", run.at->path.ids[3]);
		json_key(j, name);
		node_json_value(j, &run.at[run.count - 1].value);
	}
	json_close(j, '}');
	json_member_uint(j, "id", id);
	json_member_str(j, "type", value_type_name(type));
	json_close(j, '}');
}

/* `all`: the records of this resource, none or more. False: nothing was written. */
static bool write_resource(struct json *j, const struct model *model, const struct path *path,
			   struct items all)
{
	const struct resource_def *def = model ? model_resource(model, path->ids[0], path->ids[2]) : NULL;
	const struct record *last = all.count ? &all.at[all.count - 1] : NULL;
	bool has_instances = last && last->path.depth == PATH_RESOURCE_INSTANCE;
	bool has_value = last && last->value.type != VALUE_NONE;

	/* What is empty is a multiple resource, if it can be one. */
	if (has_instances || (!has_value && (def ? def->multiple : last != NULL)))
		write_multiple(j, def, all, path->ids[2]);
	else if (has_value)
		write_value_node(j, "singleResource", last, path->ids[2]);
	else
		return false;
	return true;
}

static void write_instance(struct json *j, const struct model *model, const struct path *path,
			   struct items all)
{
	struct items left = skip_shallow(all, PATH_INSTANCE);

	json_open(j, '{');
	json_member_str(j, "kind", "instance");
	json_key(j, "resources");
	json_open(j, '[');
	while (left.count) {
		struct items run = take_run(&left, 2);
		struct path child = path_child(*path, run.at->path.ids[2]);

		write_resource(j, model, &child, run);
	}
	json_close(j, ']');
	json_member_uint(j, "id", path->ids[1]);
	json_close(j, '}');
}

static void write_object(struct json *j, const struct model *model, const struct path *path, struct items all)
{
	struct items left = skip_shallow(all, PATH_OBJECT);

	json_open(j, '{');
	json_key(j, "instances");
	json_open(j, '[');
	while (left.count) {
		struct items run = take_run(&left, 1);
		struct path child = path_child(*path, run.at->path.ids[1]);

		write_instance(j, model, &child, run);
	}
	json_close(j, ']');
	json_member_str(j, "kind", "obj");
	json_member_uint(j, "id", path->ids[0]);
	json_close(j, '}');
}

/* The part of the sorted records which lies within `path`. */
static struct items within(const struct path *path, const struct record *items, size_t count)
{
	struct items part = {items, 0};

	while (count && !path_is_within(&part.at->path, path)) {
		part.at++;
		count--;
	}
	while (part.count < count && path_is_within(&part.at[part.count].path, path))
		part.count++;
	return part;
}

int node_json(struct json *j, const struct model *model, const struct path *path, const struct record *items,
	      size_t count)
{
	struct items part = within(path, items, count);

	switch (path->depth) {
	case PATH_OBJECT:
		write_object(j, model, path, part);
		return 0;
	case PATH_INSTANCE:
		write_instance(j, model, path, part);
		return 0;
	case PATH_RESOURCE:
		return write_resource(j, model, path, part) ? 0 : -ENOENT;
	case PATH_RESOURCE_INSTANCE:
		if (!part.count || part.at[part.count - 1].value.type == VALUE_NONE)
			return -ENOENT;
		write_value_node(j, "resourceInstance", &part.at[part.count - 1], path->ids[3]);
		return 0;
	default:
		return -ENOENT;
	}
}

static int by_time_then_path(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	return path_compare(&x->path, &y->path);
}

int node_json_series(struct json *j, const struct model *model, const struct path *path,
		     const struct record *items, size_t count, uint64_t now_ms, struct arena *arena)
{
	struct record *sorted = arena_alloc(arena, count * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	if (count)
		memcpy(sorted, items, count * sizeof(*sorted));
	for (size_t i = 0; i < count; i++) {
		if (!sorted[i].timed)
			sorted[i].time_ms = (int64_t)now_ms;
	}
	qsort(sorted, count, sizeof(*sorted), by_time_then_path);
	json_open(j, '[');
	for (size_t from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && sorted[to].time_ms == sorted[from].time_ms;)
			to++;
		if (!within(path, sorted + from, to - from).count)
			continue;
		json_open(j, '{');
		json_key(j, "timestamp");
		json_int(j, sorted[from].time_ms);
		json_key(j, "val");
		if (node_json(j, model, path, sorted + from, to - from) != 0)
			json_nil(j);
		json_close(j, '}');
	}
	json_close(j, ']');
	return 0;
}
