/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "lwm2m/policy.h"

/*
 * Parses {"pattern":"sensor-*","paths":["/3303/0/5700"],"composite":["/3/0/9","/1"],"attributes":"pmin=10",
 * "format":"SENML_CBOR"}. `pattern` false: for one device, then there are neither pattern nor attributes.
 * NULL, or what is wrong, in words. What it points to lives in `arena`.
 */
enum { POLICY_ERROR = 200 };
const char *policy_parse(struct span body, bool pattern, struct arena *arena, struct policy *out,
			 char error[POLICY_ERROR]);
