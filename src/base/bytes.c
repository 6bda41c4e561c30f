/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The rarer half of the bounded readers and writers, and buffers on the heap. The one hard idea is that
 * failure is sticky: nobody checks between two fields, and what was written before the failure stays whole,
 * so a caller may also cut back to it. Leaves out everything that knows a format.
 */

#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

uint64_t reader_uint(struct reader *r, size_t width)
{
	const uint8_t *at = width ? reader_take(r, width) : NULL;
	uint64_t v = 0;

	assert(width <= 8);
	for (size_t i = 0; at && i < width; i++)
		v = v << 8 | at[i];
	return v;
}

struct span reader_span16(struct reader *r)
{
	size_t len = reader_u16(r);

	return reader_bytes(r, len);
}

static void put_uint(uint8_t *at, uint64_t v, size_t width)
{
	for (size_t i = width; i > 0; i--, v >>= 8)
		at[i - 1] = (uint8_t)v;
}

void writer_uint(struct writer *w, uint64_t v, size_t width)
{
	uint8_t *at = width ? writer_extend(w, width) : NULL;

	assert(width <= 8);
	if (at)
		put_uint(at, v, width);
}

void writer_str(struct writer *w, const char *s)
{
	writer_bytes(w, span_str(s));
}

void writer_span16(struct writer *w, struct span s)
{
	if (s.len > UINT16_MAX || s.len + 2 > (size_t)(w->end - w->pos)) {
		w->failed = true;
		return;
	}
	writer_u16(w, (uint16_t)s.len);
	writer_bytes(w, s);
}

void buffer_deinit(struct buffer *b)
{
	free(b->data);
	*b = buffer_of(b->limit);
}

/* Makes room for `len` more bytes and a NUL. The ceiling holds for `len`; the NUL comes on top. */
static bool buffer_reserve(struct buffer *b, size_t len)
{
	size_t cap;
	uint8_t *data;

	if (b->failed || len > b->limit - b->len) {
		b->failed = true;
		return false;
	}
	if (len < b->cap - b->len)
		return true;
	cap = MAX(b->cap * 2, (size_t)64);
	cap = MAX(cap, b->len + len + 1);
	if (cap - 1 > b->limit)
		cap = b->limit + 1;
	data = realloc(b->data, cap);
	if (!data) {
		b->failed = true;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *buffer_extend(struct buffer *b, size_t len)
{
	uint8_t *at;

	if (!buffer_reserve(b, len))
		return NULL;
	at = b->data + b->len;
	b->len += len;
	b->data[b->len] = '\0';
	return at;
}

void buffer_bytes(struct buffer *b, struct span s)
{
	uint8_t *at = buffer_extend(b, s.len);

	if (at && s.len)
		memcpy(at, s.data, s.len);
}

void buffer_u8(struct buffer *b, uint8_t v)
{
	uint8_t *at = buffer_extend(b, 1);

	if (at)
		*at = v;
}

void buffer_uint(struct buffer *b, uint64_t v, size_t width)
{
	uint8_t *at = buffer_extend(b, width);

	assert(width <= 8);
	if (at)
		put_uint(at, v, width);
}

void buffer_str(struct buffer *b, const char *s)
{
	buffer_bytes(b, span_str(s));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	size_t room = b->cap - b->len;
	va_list args;
	int len;

	if (b->failed)
		return;
	va_start(args, format);
	len = vsnprintf(b->data ? (char *)b->data + b->len : NULL, room, format, args);
	va_end(args);
	if (len < 0 || !buffer_reserve(b, (size_t)len)) {
		b->failed = true;
		if (b->data)
			b->data[b->len] = '\0';
		return;
	}
	if ((size_t)len >= room) {
		va_start(args, format);
		(void)vsnprintf((char *)b->data + b->len, (size_t)len + 1, format, args);
		va_end(args);
	}
	b->len += (size_t)len;
}
