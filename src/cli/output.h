/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/specs.h"
#include "cli/table.h"

/* From the NODEs of the interface to text. */

/* One value as people read it: times in UTC, links as "3:0". Freed by the caller; NULL if memory is out. */
char *output_value(const char *type, json_t *value) NODISCARD;
/* Whether the node is one single value. */
bool output_is_single(json_t *node);
/* Prints a single value on a line of its own, everything else as a table: path, name, value, units. */
void output_node(struct cli *c, const struct specs *specs, const struct path *path, json_t *node);
/* Prints a composite, {PATH:NODE,...}, as one such table. */
void output_composite(struct cli *c, const struct specs *specs, json_t *map);
/* The value of a single node, or "(6 values)" of another. Freed by the caller. */
char *output_brief(json_t *node) NODISCARD;
