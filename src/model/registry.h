/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/value.h"

/* Object definitions: those built in and (later) those which operators load; several versions side by side.
 */

enum resource_operations { RESOURCE_READ = 1, RESOURCE_WRITE = 2, RESOURCE_EXECUTE = 4 };

struct resource_def {
	uint16_t id;
	uint8_t operations; /* 0: only the bootstrap server writes it */
	uint8_t type;	    /* enum value_type; VALUE_NONE for executables */
	bool multiple;
	bool mandatory;
	const char *name;
	const char *range; /* "" if none */
	const char *units;
	const char *description;
};

struct object_version {
	uint8_t major, minor;
};

enum object_origin {
	ORIGIN_BUILTIN, /* comes with the program */
	ORIGIN_FILE,	/* the operator's directory of definitions */
	ORIGIN_STORED,	/* given by the northbound interface, kept in the store */
};

struct object_def {
	uint16_t id;
	uint8_t origin;			     /* enum object_origin */
	struct object_version version;	     /* 1.0 if the definition has none */
	struct object_version lwm2m_version; /* the enabler it came with */
	bool multiple;
	bool mandatory;
	const char *name;
	const char *description;
	const struct resource_def *resources; /* ascending by id */
	size_t resource_count;
};

struct registry;

/* All built-in definitions (builtin.h), each in its versions. NULL if memory is out. */
struct registry *registry_new(void) NODISCARD;
/* The same without any. */
struct registry *registry_new_empty(void) NODISCARD;
struct registry *registry_free(struct registry *r);
/*
 * Adds a definition, or puts it in the place of the one with the same object and version. It is one block on
 * the heap, with all that it points to inside or constant, and is taken, also on -ENOMEM.
 */
int registry_take(struct registry *r, struct object_def *definition) NODISCARD;
/* The definition of exactly this version; else the nearest lower minor of the same major; else NULL (unknown
 * object). */
const struct object_def *registry_find(const struct registry *r, uint16_t object,
				       struct object_version version);
/*
 * Takes the definition of exactly this version away; a built-in one that it stood for comes back. False if
 * there is none of this origin.
 */
bool registry_remove(struct registry *r, uint16_t object, struct object_version version,
		     enum object_origin origin);
/* All definitions, ascending by id and version: NULL at the end. */
const struct object_def *registry_at(const struct registry *r, size_t index);
const struct resource_def *object_resource(const struct object_def *o, uint16_t resource);
/* "urn:oma:lwm2m:oma:3", with ":1.1" behind if the version is not 1.0. `text` has room for 64 bytes.
 * Returned. */
const char *object_urn(const struct object_def *o, char text[64]);

/* Parses "1.1" (a third part is allowed and ignored: "1.0.2"). */
bool object_version_parse(struct span text, struct object_version *out);
/*
 * The version of an object whose link has no `ver`: 1.0 for all but the core objects, whose version comes
 * with the enabler that the client announced (lwm2m.md, table "Default versions").
 */
struct object_version object_version_default(uint16_t object, struct object_version lwm2m);

/* One object version which a device declares. */
struct declared_object {
	uint16_t object;
	struct object_version version;
};

/* The model as one device sees it. Plain data, everything borrowed. */
struct model {
	const struct registry *registry;
	struct object_version lwm2m;
	const struct declared_object *declared; /* objects with an explicit version, any order */
	size_t declared_count;
};
const struct object_def *model_object(const struct model *m, uint16_t object);
/*
 * NULL if object or resource is unknown. A resource that only a newer minor version has counts as known
 * (lwm2m.md, 1.11: tolerate those of /5 1.2 in 1.1).
 */
const struct resource_def *model_resource(const struct model *m, uint16_t object, uint16_t resource);
