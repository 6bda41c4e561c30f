/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/registry.h"

/*
 * The definitions that come with the program, as source tables: one per object, for all its versions. Those
 * have a list; a row says from which place in it on it holds, and up to which if a later version changed it.
 */

enum { BUILTIN_STILL = 255 };

struct builtin_resource {
	uint16_t id;
	uint8_t since, until; /* places in the object's list of versions, both included */
	uint8_t operations;
	uint8_t type;
	bool multiple;
	bool mandatory;
	const char *name;
	const char *range;
	const char *units;
	const char *description;
};

struct builtin_version {
	struct object_version version;
	struct object_version lwm2m; /* the enabler it came with */
};

struct builtin_object {
	uint16_t id;
	bool multiple;
	bool mandatory;
	const char *name;
	const char *description;
	const struct builtin_version *versions; /* ascending */
	size_t version_count;
	const struct builtin_resource *resources; /* ascending by id */
	size_t resource_count;
};

struct builtin_family {
	const struct builtin_object *objects;
	size_t count;
};

/* Objects 0 to 7 and 3303. */
extern const struct builtin_family builtin_basic;
/* Further ones of OMA: software, cellular, data, logs, keys, gateways. */
extern const struct builtin_family builtin_further;
