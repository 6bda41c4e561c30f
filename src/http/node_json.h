/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "model/registry.h"

/* LwM2M data as the NODE of the northbound interface: out here, in by node_input.h. */

/*
 * Writes the node at `path` (depth 1..4) made of `items`: sorted by path, then by time, those outside of
 * `path` are left out. Of several values of one path the last (newest) is written. `model` tells types and
 * multiplicity where the data does not; may be NULL. -ENOENT, and nothing written: a resource or resource
 * instance of which `items` holds no value.
 */
int node_json(struct json *j, const struct model *model, const struct path *path, const struct record *items,
	      size_t count) NODISCARD;

/* One value in the form of its type: INTEGER "42", TIME 1700000000000, OPAQUE "0a0b"; null if there is none.
 */
void node_json_value(struct json *j, const struct value *v);

/*
 * Writes an array of the nodes at each point of time, oldest first: [{"timestamp":ms,"val":NODE}, ...].
 * Values without time count as of `now_ms`. Uses `arena` for a sorted copy. -ENOMEM.
 */
int node_json_series(struct json *j, const struct model *model, const struct path *path,
		     const struct record *items, size_t count, uint64_t now_ms,
		     struct arena *arena) NODISCARD;
