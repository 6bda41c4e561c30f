/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/registry.h"

/* NODE to records: what a caller wants to be written or created. */

enum node_kind { NODE_INSTANCE, NODE_SINGLE, NODE_MULTIPLE, NODE_RESOURCE_INSTANCE, NODE_OBJECT };

enum { NODE_ERROR = 256 };

struct node_input {
	enum node_kind kind;
	uint16_t id; /* PATH_ID_NONE if an instance has none */
	struct records records;
};

/*
 * Parses the JSON of a node. `base` is the path that it is written to (Create: the object); the records'
 * paths are below it. Records and what they point to live in `arena`. 0, or -EINVAL with words for the caller
 * in `error` (text that came in may be part of it), -ENOMEM when the arena's ceiling is reached.
 *
 * What must fit: an instance to depth 2 (or, Create, to depth 1), a resource to depth 3, a resource instance
 * to depth 4, each with the id of the path.
 */
int node_parse(struct span body, const struct path *base, bool create, struct arena *arena,
	       struct node_input *out, char error[NODE_ERROR]) NODISCARD;

/*
 * Parses a map of path to node, as Write-Composite takes it: each node fits its path; no value is given
 * twice. Results and errors as above.
 */
int node_parse_map(struct span body, struct records *out, char error[NODE_ERROR]) NODISCARD;
