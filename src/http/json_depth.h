/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/* Whether brackets in a text are nested at most so deep: parsers of JSON go down by recursion. Apart from
 * json.h, whose names are also those of a parser. */
bool json_depth_is(struct span text, unsigned max);
