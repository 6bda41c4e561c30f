/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Base64 as bytes travel in text formats. Clients mix up the two alphabets and whether to pad (LwM2M changed
 * its mind between versions), so reading takes all of it; writing is exact. Leaves out line breaks: there are
 * none in a payload.
 */

#include "codec/base64.h"

#include <errno.h>

static const char alphabets[2][65] = {
	[BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_encode(struct buffer *out, struct span bytes, enum base64_alphabet alphabet)
{
	const char *digits = alphabets[alphabet];

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t left = MIN(bytes.len - i, (size_t)3);
		uint32_t group = (uint32_t)bytes.data[i] << 16;
		char text[4];

		if (left > 1)
			group |= (uint32_t)bytes.data[i + 1] << 8;
		if (left > 2)
			group |= bytes.data[i + 2];
		for (unsigned d = 0; d < 4; d++)
			text[d] = d > left ? '=' : digits[group >> (18 - 6 * d) & 63];
		buffer_bytes(out, span_of(text, alphabet == BASE64_URL ? left + 1 : 4));
	}
}

/* -1 for what is no digit. */
static int digit_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int base64_decode(struct span text, struct arena *arena, struct span *out)
{
	size_t len = text.len, written = 0;
	uint32_t bits = 0;
	unsigned have = 0;
	uint8_t *bytes;

	for (unsigned pad = 0; pad < 2 && len && text.data[len - 1] == '='; pad++)
		len--;
	/* Padding only fills a group of four. */
	if (len % 4 == 1 || (len != text.len && text.len % 4))
		return BASE64_MALFORMED;
	bytes = arena_alloc(arena, len / 4 * 3 + 2);
	if (!bytes)
		return -ENOMEM;
	for (size_t i = 0; i < len; i++) {
		int value = digit_value(text.data[i]);

		if (value < 0)
			return BASE64_MALFORMED;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			bytes[written++] = (uint8_t)(bits >> have);
		}
	}
	*out = span_of(bytes, written);
	return BASE64_OK;
}
