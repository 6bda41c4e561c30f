/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/cli.h"
#include "model/path.h"

/* Object definitions as the server has them for one device (GET /api/objectspecs/{ep}). */

struct specs {
	json_t *objects; /* array, or NULL: unknown */
};

#define _cleanup_specs_ _cleanup_(specs_deinit)
void specs_deinit(struct specs *s);
/* Without definitions if they cannot be had: then names are missing, and nothing else. */
void specs_load(struct cli *c, const char *ep, struct specs *out);
/* EXIT_OK, or why not, told on c->error: where types are needed. */
int specs_require(struct cli *c, const char *ep, struct specs *out) NODISCARD;
/* NULL if unknown. Borrowed from *s. */
json_t *specs_object(const struct specs *s, uint16_t object);
json_t *specs_resource(const struct specs *s, uint16_t object, uint16_t resource);
/* A text member of a definition, "" if there is none. */
const char *specs_text(json_t *definition, const char *member);
/* The same of what `path` names: "name", "units", "type". */
const char *specs_of_path(const struct specs *s, const struct path *path, const char *member);
