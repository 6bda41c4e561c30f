/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "coap/message.h"
#include "model/path.h"

/* Notification attributes which the server wrote (LwM2M Core 1.1.1, 5.1.2), by path. */

enum { ATTRIBUTE_PATHS_MAX = 32 };

enum attribute {
	ATTRIBUTE_PMIN,
	ATTRIBUTE_PMAX,
	ATTRIBUTE_EPMIN,
	ATTRIBUTE_EPMAX,
	ATTRIBUTE_GT,
	ATTRIBUTE_LT,
	ATTRIBUTE_ST,
	ATTRIBUTES
};

struct attributes {
	double values[ATTRIBUTES];
	uint8_t set; /* bit per attribute */
};

struct attribute_entry {
	struct path path;
	struct attributes attributes;
};

/* All zero is empty. */
struct attribute_list {
	struct attribute_entry *entries;
	uint32_t count;
};

static inline bool attribute_is_set(const struct attributes *a, enum attribute which)
{
	return a->set & 1u << which;
}

void attributes_deinit(struct attribute_list *l);
/*
 * What the Uri-Query options of a Write-Attributes say: "pmin=10" sets, "pmin" takes back. `numeric`: gt, lt
 * and st make sense for this path. All or nothing. Returns COAP_CHANGED, COAP_BAD_REQUEST for what is
 * unknown, malformed or contradicts, or COAP_INTERNAL_SERVER_ERROR.
 */
uint8_t attributes_write(struct attribute_list *l, const struct path *path,
			 const struct coap_message *request, bool numeric);
/* What holds for `path`: the most exact level wins. */
struct attributes attributes_effective(const struct attribute_list *l, const struct path *path);
/* ";pmin=10;gt=22.5" of exactly this path. */
void attributes_format(const struct attribute_list *l, const struct path *path, struct buffer *out);
/* The same of what holds for it, those inherited included. */
void attributes_format_effective(const struct attribute_list *l, const struct path *path, struct buffer *out);
/* Forgets what is at and below `path`. */
void attributes_forget(struct attribute_list *l, const struct path *path);
