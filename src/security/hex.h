/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/* Hexadecimal digits, of either case when read, small when written. */

/* Exactly `len` bytes of twice as many digits. False, with `out` undefined, for anything else. */
bool hex_decode(struct span text, uint8_t *out, size_t len);
/* Two digits of each byte and a NUL: `text` has room for them. */
void hex_encode(struct span bytes, char *text);
