/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* What the tests of src/coap share: datagrams written as hexadecimal, and copies that end where they end. */

/* cmocka needs these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

#include <ctype.h>
#include <stdio.h>

struct bytes {
	uint8_t data[1500];
	size_t len;
};

static inline struct span bytes_span(const struct bytes *b)
{
	return span_of(b->data, b->len);
}

static inline void bytes_add(struct bytes *b, struct span s)
{
	assert_true(b->len + s.len <= sizeof(b->data));
	if (s.len)
		memcpy(b->data + b->len, s.data, s.len);
	b->len += s.len;
}

static inline uint8_t hex_digit(char c)
{
	return (uint8_t)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

/* "40 01 7d34 'temperature' ff": hexadecimal, blanks anywhere, text in single quotes. */
static inline struct bytes bytes_of(const char *text)
{
	struct bytes b = {.len = 0};
	const char *p = text;

	while (*p) {
		if (*p == ' ') {
			p++;
		} else if (*p == '\'') {
			size_t len = strcspn(p + 1, "'");

			bytes_add(&b, span_of(p + 1, len));
			p += len + 2;
		} else {
			uint8_t byte = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));

			bytes_add(&b, span_of(&byte, 1));
			p += 2;
		}
	}
	return b;
}

static inline void assert_bytes(struct span got, const char *expected)
{
	struct bytes want = bytes_of(expected);

	assert_int_equal(got.len, want.len);
	if (want.len)
		assert_memory_equal(got.data, want.data, want.len);
}

static inline void assert_text(struct span got, const char *expected)
{
	assert_int_equal(got.len, strlen(expected));
	if (got.len)
		assert_memory_equal(got.data, expected, got.len);
}

/* A copy of exactly this size on the heap, so that AddressSanitizer sees a step too far. Freed by the caller.
 */
static inline struct span exact_copy(struct span s)
{
	uint8_t *copy = malloc(s.len ? s.len : 1);

	assert_non_null(copy);
	if (s.len)
		memcpy(copy, s.data, s.len);
	return span_of(copy, s.len);
}
