/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

enum { FLOAT_TEXT = 32 };

/* The text which Java's Double.toString gives (since JDK 19): "42.0", "1.0E-9", "NaN", "-Infinity". Returns
 * `text`. */
const char *float_text(double v, char text[FLOAT_TEXT]);
