/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Maps of path to NODE. Records come sorted, so each path is a run of records: the map is one walk, and a
 * node looks at no record but its own.
 */

#include "http/node_map.h"

#include "http/node_json.h"

#include <errno.h>

/* How many records from `items` on have the same path. */
static size_t run_of(const struct record *items, size_t count)
{
	size_t n = 1;

	while (n < count && path_compare(&items[n].path, &items->path) == 0)
		n++;
	return n;
}

static void member(struct json *j, const struct model *model, const struct path *path,
		   const struct record *items, size_t count)
{
	char text[PATH_TEXT];

	json_key(j, path_format(path, text));
	if (node_json(j, model, path, items, count) != 0)
		json_nil(j);
}

void node_map_json(struct json *j, const struct model *model, const struct record *items, size_t count)
{
	json_open(j, '{');
	for (size_t at = 0, run; at < count; at += run) {
		run = run_of(items + at, count - at);
		if (items[at].path.depth >= PATH_RESOURCE && items[at + run - 1].value.type != VALUE_NONE)
			member(j, model, &items[at].path, items + at, run);
	}
	json_close(j, '}');
}

void node_map_json_at(struct json *j, const struct model *model, const struct path *paths, size_t path_count,
		      const struct record *items, size_t count)
{
	json_open(j, '{');
	for (size_t i = 0; i < path_count; i++) {
		size_t first = 0, end;

		while (first < count && !path_is_within(&items[first].path, &paths[i]))
			first++;
		for (end = first; end < count && path_is_within(&items[end].path, &paths[i]);)
			end++;
		if (end > first)
			member(j, model, &paths[i], items + first, end - first);
	}
	json_close(j, '}');
}

static int compare_time(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	return path_compare(&x->path, &y->path);
}

int node_map_series(struct json *j, const struct model *model, const struct record *items, size_t count,
		    uint64_t now_ms, struct arena *arena)
{
	struct record *sorted = arena_alloc(arena, MAX(count, 1) * sizeof(*sorted));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		sorted[i] = items[i];
		if (!items[i].timed)
			sorted[i].time_ms = (int64_t)now_ms;
	}
	qsort(sorted, count, sizeof(*sorted), compare_time);
	json_open(j, '[');
	for (size_t at = 0, end; at < count; at = end) {
		for (end = at + 1; end < count && sorted[end].time_ms == sorted[at].time_ms;)
			end++;
		json_open(j, '{');
		json_key(j, "timestamp");
		json_int(j, sorted[at].time_ms);
		json_key(j, "val");
		node_map_json(j, model, sorted + at, end - at);
		json_close(j, '}');
	}
	json_close(j, ']');
	return 0;
}

void node_units_json(struct json *j, const struct model *model, const struct record *items, size_t count)
{
	struct path last = {0};
	bool open = false;
	char text[PATH_TEXT];

	for (size_t i = 0; i < count; i++) {
		struct path path = path_up_to(items[i].path, MIN(items[i].path.depth, PATH_RESOURCE));
		const struct resource_def *def;

		if (path.depth < PATH_RESOURCE || path_compare(&path, &last) == 0)
			continue;
		last = path;
		def = model_resource(model, path.ids[0], path.ids[2]);
		if (!def || def->units[0] == 0)
			continue;
		if (!open) {
			json_key(j, "units");
			json_open(j, '{');
			open = true;
		}
		json_member_str(j, path_format(&path, text), def->units);
	}
	if (open)
		json_close(j, '}');
}
