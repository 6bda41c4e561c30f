/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Hexadecimal digits. No table is indexed by what may be a secret, so nothing of it shows in the cache. */

#include "security/hex.h"

static int digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct span text, uint8_t *out, size_t len)
{
	if (text.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = digit(text.data[2 * i]), low = digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static char to_digit(unsigned v)
{
	return (char)(v < 10 ? '0' + v : 'a' + v - 10);
}

void hex_encode(struct span bytes, char *text)
{
	for (size_t i = 0; i < bytes.len; i++) {
		*text++ = to_digit(bytes.data[i] >> 4);
		*text++ = to_digit(bytes.data[i] & 15);
	}
	*text = 0;
}
