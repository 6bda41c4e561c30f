/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * RFC 6690 link-format, read leniently: any white space between parts, quoted or bare values, unknown and
 * repeated parameters, empty links ("," ",") skipped. Allocates nothing, does not recurse.
 *
 * LwM2M 1.0 begins the answer to Bootstrap-Discover with an item that is no link: `lwm2m="1.0",</0/0>`. Such
 * an item, `name=value` where a link should be, comes out as a link with target.data == NULL and itself as
 * the parameters.
 */

struct link_param {
	struct span name;
	struct span value; /* without quotes; backslash escapes are left as they are */
	struct span raw;   /* as on the wire, with quotes; empty for a parameter without value */
	bool has_value;
};

struct link {
	struct span target; /* between < and >; data is NULL if there were none (see above) */
	struct span params; /* raw, from behind '>' to the next link */
};

struct link_reader {
	struct span left;
};

static inline struct link_reader link_reader_of(struct span text)
{
	return (struct link_reader){text};
}

enum link_next {
	LINK_ERROR = -1, /* not link-format from here on */
	LINK_END = 0,
	LINK_OK = 1,
};

enum link_next link_next(struct link_reader *r, struct link *out);
/* Walks the parameters of a link: start with *left = link->params. */
enum link_next link_param_next(struct span *left, struct link_param *out);
/* The first parameter with this name; false if absent (or the parameters are malformed before it). */
bool link_param_find(const struct link *l, const char *name, struct link_param *out);
