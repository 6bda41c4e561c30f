/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/registry.h"

/*
 * The definitions that come with the program, as source tables: one per object, for all its versions. A row
 * says from which minor version on it holds, and up to which if a later one changed it. All are of major
 * version 1.
 */

enum { BUILTIN_STILL = 255 };

struct builtin_resource {
	uint16_t id;
	uint8_t since, until; /* minor versions of the object, both included */
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
	uint8_t minor;
	struct object_version lwm2m;
};

struct builtin_object {
	uint16_t id;
	bool multiple;
	bool mandatory;
	const char *name;
	const char *description;
	const struct builtin_version *versions;
	size_t version_count;
	const struct builtin_resource *resources; /* ascending by id */
	size_t resource_count;
};

extern const struct builtin_object builtin_objects[];
extern const size_t builtin_object_count;
