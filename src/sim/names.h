/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/* Names of devices, and what is named after them. */

struct credentials;
struct sim_options;

enum { NAME_OF_DEVICE = 256, NAME_EXPANDED = 512 };

/* "sim-000001", or what the file of credentials (NULL: none) says. Returns `name`. */
const char *name_of_device(const struct sim_options *options, const struct credentials *credentials,
			   uint32_t index, char name[NAME_OF_DEVICE]);

/* Whether {ep} stands in it. */
bool name_is_pattern(const char *pattern);
/* Writes `name` for each {ep}. False: it gets too long. */
bool name_expand(const char *pattern, const char *name, char out[NAME_EXPANDED]);

/* 1 to `max` bytes from pairs of hexadecimal digits. */
bool name_hex(struct span text, uint8_t *out, size_t max, size_t *len);
