/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/settings.h"

/* What the parsers of settings and the pages about them share: the words for names, units and ranges. */

struct settings_unit {
	const char *name; /* NULL ends the table */
	uint64_t factor;
};

/* From the smallest to the largest. A duration has no unit of factor 1 without a name, a size has. */
extern const struct settings_unit settings_duration_units[];
extern const struct settings_unit settings_size_units[];

/* "--http-listen" */
void settings_option_name(const struct setting *setting, char *text, size_t size);
/* What a value has to be: "a whole number from 1 to 65535", "one of: error, warn". Returns `text`. */
const char *settings_describe(const struct setting *setting, char *text, size_t size);
