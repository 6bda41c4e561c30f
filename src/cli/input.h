/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "cli/specs.h"

/* From what somebody types to the NODE that the interface wants. */

enum { INPUT_ERROR = 256 };

/*
 * A value of the type ("integer", any case) as JSON has it: numbers as strings, times as milliseconds, opaque
 * as hexadecimal. NULL, and `error` says what would be right.
 */
json_t *input_value(const char *type, const char *text, char error[INPUT_ERROR]) NODISCARD;
/*
 * The node for a Write to `path`, from "VALUE" for a resource or resource instance, from "ID=VALUE"... for
 * the instances of a multiple resource or the resources of an instance. `type` NULL: looked up in `specs`.
 */
json_t *input_node(const struct specs *specs, const struct path *path, const char *type,
		   const char *const *operands, unsigned count, char error[INPUT_ERROR]) NODISCARD;
/* The node for a Create of an instance of `object`; `id` < 0: the device chooses. */
json_t *input_new_instance(const struct specs *specs, uint16_t object, int64_t id,
			   const char *const *operands, unsigned count, char error[INPUT_ERROR]) NODISCARD;
