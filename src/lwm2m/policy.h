/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "model/path.h"

/*
 * Observations that a backend declares once: for all devices whose endpoint matches a pattern, or for one
 * device. They are wanted observations in the records of the devices like any other, which are issued again
 * after each Register; `origin` tells where they came from.
 */

enum { POLICY_NAME_MAX = 64, POLICY_PATTERN_MAX = 255, POLICY_PATHS_MAX = 32, POLICY_ATTRIBUTES_MAX = 200 };
enum { POLICIES_MAX = 256 };

/* struct observation.origin; all others name a policy. */
enum { ORIGIN_REQUEST = 0, ORIGIN_DECLARED = 1, ORIGIN_POLICIES = 2 };

struct policy {
	struct span pattern; /* `*` any text, `?` one byte; empty where it is for one device */
	struct span
		attributes; /* "pmin=10&pmax=60", written to each path before it is observed; empty: none */
	uint16_t format;    /* of the notifications; FORMAT_NONE: chosen by what the device can */
	size_t path_count;  /* observed one by one */
	size_t composite_count; /* observed together, in this order */
	struct path paths[POLICY_PATHS_MAX];
	struct path composite[POLICY_PATHS_MAX];
};

/* What is wrong with it, in words; NULL: nothing. `words` has room for them. */
const char *policy_check(const struct policy *p, char words[160]);
bool policy_name_valid(struct span name);
bool policy_matches(struct span pattern, struct span endpoint);
int policy_encode(const struct policy *p, struct buffer *out);
/* Borrows from `body`. -EPROTO for bytes that are no policy (of a version we read). */
int policy_decode(struct span body, struct policy *out);
