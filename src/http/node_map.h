/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "model/registry.h"

/* Maps of path to NODE: what composites and Send carry. `items` are sorted by path, then by time. */

/* {"/3/0/1":NODE,...}: a node for each path that has a value, the newest of several. */
void node_map_json(struct json *j, const struct model *model, const struct record *items, size_t count);
/* The same for these paths, in this order; those without a value are left out. */
void node_map_json_at(struct json *j, const struct model *model, const struct path *paths, size_t path_count,
		      const struct record *items, size_t count);
/*
 * [{"timestamp":ms,"val":{"/3303/0/5700":NODE,...}},...], oldest first. Values without time count as of
 * `now_ms`. Uses `arena` for a sorted copy. -ENOMEM.
 */
int node_map_series(struct json *j, const struct model *model, const struct record *items, size_t count,
		    uint64_t now_ms, struct arena *arena) NODISCARD;
/* The member "units":{"/3303/0/5700":"Cel",...} of all resources whose definition has one; nothing if none
 * has. */
void node_units_json(struct json *j, const struct model *model, const struct record *items, size_t count);
