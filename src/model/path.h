/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* A LwM2M path: object, object instance, resource, resource instance (LwM2M Core 1.1.1, 7). Ids 0..65534. */

enum path_depth {
	PATH_ROOT = 0,
	PATH_OBJECT = 1,
	PATH_INSTANCE = 2,
	PATH_RESOURCE = 3,
	PATH_RESOURCE_INSTANCE = 4
};

enum { PATH_TEXT = 32, PATH_ID_NONE = 65535 };

struct path {
	uint16_t ids[4];
	uint8_t depth; /* how many of them count; the rest is zero */
};

/*
 * Parses "/3/0/1" or "3/0/1" (a trailing slash is allowed, "/" and "" are the root). False for anything else,
 * also for leading zeros.
 */
bool path_parse(struct span text, struct path *out);
/* The same, without a leading slash, for what lies below `base`: "0/1" below /3 is /3/0/1, "" is `base`. */
bool path_parse_below(const struct path *base, struct span text, struct path *out);
/*
 * "0/1" of /3/0/1 from depth 2 on: what a name relative to a base path says. Returns the length, 0 if nothing
 * is that deep.
 */
size_t path_format_tail(const struct path *p, unsigned from, char text[PATH_TEXT]);
/* "/3/0/1", the root is "/". Returns `text`. */
const char *path_format(const struct path *p, char text[PATH_TEXT]);
/* Order by ids, a prefix before what is below it: < 0, 0, > 0. */
int path_compare(const struct path *a, const struct path *b);
/* `p` is `base` or below it. */
static inline bool path_is_within(const struct path *p, const struct path *base)
{
	if (p->depth < base->depth)
		return false;
	for (size_t i = 0; i < base->depth; i++)
		if (p->ids[i] != base->ids[i])
			return false;
	return true;
}

static inline struct path path_child(struct path parent, uint16_t id)
{
	assert(parent.depth < ARRAY_SIZE(parent.ids));
	parent.ids[parent.depth++] = id;
	return parent;
}

static inline struct path path_up_to(struct path p, unsigned depth)
{
	while (p.depth > depth)
		p.ids[--p.depth] = 0;
	return p;
}
