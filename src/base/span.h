/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* Some bytes that somebody else owns. `data` may be NULL only if `len` is 0. */
struct span {
	const uint8_t *data;
	size_t len;
};

/* A literal or any C string, without its NUL. */
static inline struct span span_str(const char *s)
{
	return (struct span){(const uint8_t *)s, strlen(s)};
}

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){data, len};
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_equal(a, span_str(s));
}

/* The part from `from` on, empty if `from` is behind the end. */
static inline struct span span_from(struct span s, size_t from)
{
	return from >= s.len ? (struct span){s.data, 0} : (struct span){s.data + from, s.len - from};
}

/*
 * Parses the whole span as an unsigned decimal of at most `max`.
 * False if it is empty, has any other character, or is larger.
 */
bool span_to_uint(struct span s, uint64_t max, uint64_t *out);

/* A NUL-terminated copy on the heap (freed by the caller); NULL if memory is out. Inner NULs are copied. */
char *span_dup(struct span s) NODISCARD;
