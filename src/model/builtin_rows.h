/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/builtin.h"

/*
 * Short words for the tables of built-in definitions, and for nothing else. A row is: id, since, until,
 * operations, type, instances, presence, name, range, units, description.
 */

enum { R = RESOURCE_READ, W = RESOURCE_WRITE, RW = R | W, E = RESOURCE_EXECUTE };
enum { ONE = false, MANY = true };
enum { OPTIONAL = false, MANDATORY = true };
enum { STILL = BUILTIN_STILL };

#define ROWS(array) array, ARRAY_SIZE(array)
