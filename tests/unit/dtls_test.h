/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* What the tests of records, sessions and the vault share. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

#include <stdio.h>

static inline uint8_t hex_nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* Bytes of lower-case digits, in `bytes`. */
static inline struct span unhex(const char *text, uint8_t *bytes, size_t size)
{
	size_t len = strlen(text) / 2;

	assert_true(len <= size && strlen(text) % 2 == 0);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(hex_nibble(text[2 * i]) << 4 | hex_nibble(text[2 * i + 1]));
	return span_of(bytes, len);
}

static inline void assert_bytes(struct span got, struct span wanted)
{
	assert_int_equal(got.len, wanted.len);
	if (wanted.len)
		assert_memory_equal(got.data, wanted.data, wanted.len);
}

static inline bool all_are(const uint8_t *at, size_t len, uint8_t value)
{
	while (len && at[len - 1] == value)
		len--;
	return len == 0;
}
