/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "base/span.h"

#include <jansson.h>

/*
 * JSON of Leshan's former cluster module (rest.md, part C), to and from that of the REST interface. It
 * differs in names of kinds, in maps where REST has arrays, and in values: numbers are numbers, opaque ones
 * Base64. Pure functions; what they give is the caller's (json_decref), NULL if it cannot be told or memory
 * is out.
 */

json_t *former_node_to_rest(const json_t *node, struct arena *arena);
json_t *former_node_of_rest(const json_t *node, struct arena *arena);
/* "req", with the nodes in it as REST has them. */
json_t *former_request_to_rest(const json_t *req, struct arena *arena);
/* "rep" of a Response of the REST interface; `kind` is that of the request. */
json_t *former_response(const json_t *response, const char *kind, struct arena *arena);
/* Of a Registration, and of "update" in the event UPDATED, which needs the registration too. */
json_t *former_registration(const json_t *registration);
json_t *former_update(const json_t *update, const json_t *registration);
