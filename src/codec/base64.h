/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "base/bytes.h"

/* RFC 4648, sections 4 and 5. */

enum base64_alphabet { BASE64_STANDARD, BASE64_URL };

/* Appends the text: the standard alphabet with padding, the one for URLs without. */
void base64_encode(struct buffer *out, struct span bytes, enum base64_alphabet alphabet);

enum base64_outcome { BASE64_OK = 0, BASE64_MALFORMED = 1 };
/*
 * Takes both alphabets, also mixed, with padding or without; bits beyond the last byte are ignored. The bytes
 * lie in the arena. -ENOMEM, or an enum base64_outcome.
 */
int base64_decode(struct span text, struct arena *arena, struct span *out) NODISCARD;
