/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

#include <endian.h>

/*
 * Bounded reading and writing of bytes, big-endian (network order).
 *
 * Both carry a sticky `failed`: after the first read past the end (write past the capacity) every further
 * call is harmless, reads give zeroes, and one check at the end decides. No packet is read any other way.
 * What every datagram goes through is inline.
 */

struct reader {
	const uint8_t *pos;
	const uint8_t *end;
	bool failed;
};

static inline struct reader reader_of(struct span s)
{
	return (struct reader){s.data, s.len ? s.data + s.len : s.data, false};
}

static inline size_t reader_left(const struct reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->pos);
}

/* Steps over `len` (1 or more) bytes: where they are, or NULL and failed if there are fewer. */
static inline const uint8_t *reader_take(struct reader *r, size_t len)
{
	const uint8_t *at = r->pos;

	if (len > reader_left(r)) {
		r->failed = true;
		return NULL;
	}
	r->pos += len;
	return at;
}

static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *at = reader_take(r, 1);

	return at ? *at : 0;
}

static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *at = reader_take(r, 2);
	uint16_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return be16toh(v);
}

static inline uint32_t reader_u24(struct reader *r)
{
	const uint8_t *at = reader_take(r, 3);

	return at ? (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2] : 0;
}

static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *at = reader_take(r, 4);
	uint32_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return be32toh(v);
}

static inline uint64_t reader_u64(struct reader *r)
{
	const uint8_t *at = reader_take(r, 8);
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return be64toh(v);
}

/* An unsigned number in `width` (0..8) bytes. */
uint64_t reader_uint(struct reader *r, size_t width);

/* The next `len` bytes, borrowed from the input; empty and failed if there are fewer. */
static inline struct span reader_bytes(struct reader *r, size_t len)
{
	const uint8_t *at = len ? reader_take(r, len) : r->pos;

	return (struct span){at, at && !r->failed ? len : 0};
}

/* All that is left. */
static inline struct span reader_rest(struct reader *r)
{
	return reader_bytes(r, reader_left(r));
}

/* Bytes behind a length of 2 bytes, as writer_span16 writes them. */
struct span reader_span16(struct reader *r);

struct writer {
	uint8_t *start;
	uint8_t *pos;
	uint8_t *end;
	bool failed;
};

static inline struct writer writer_of(void *buffer, size_t size)
{
	return (struct writer){buffer, buffer, size ? (uint8_t *)buffer + size : buffer, false};
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->pos - w->start);
}

static inline struct span writer_span(const struct writer *w)
{
	return (struct span){w->start, writer_len(w)};
}

/* Room for `len` (1 or more) bytes, which count as written; NULL and failed if they do not fit. */
static inline uint8_t *writer_extend(struct writer *w, size_t len)
{
	uint8_t *at = w->pos;

	if (w->failed || len > (size_t)(w->end - at)) {
		w->failed = true;
		return NULL;
	}
	w->pos += len;
	return at;
}

static inline void writer_u8(struct writer *w, uint8_t v)
{
	uint8_t *at = writer_extend(w, 1);

	if (at)
		*at = v;
}

static inline void writer_u16(struct writer *w, uint16_t v)
{
	uint8_t *at = writer_extend(w, 2);

	v = htobe16(v);
	if (at)
		memcpy(at, &v, sizeof(v));
}

static inline void writer_u24(struct writer *w, uint32_t v)
{
	uint8_t *at = writer_extend(w, 3);

	if (at) {
		at[0] = (uint8_t)(v >> 16);
		at[1] = (uint8_t)(v >> 8);
		at[2] = (uint8_t)v;
	}
}

static inline void writer_u32(struct writer *w, uint32_t v)
{
	uint8_t *at = writer_extend(w, 4);

	v = htobe32(v);
	if (at)
		memcpy(at, &v, sizeof(v));
}

static inline void writer_u64(struct writer *w, uint64_t v)
{
	uint8_t *at = writer_extend(w, 8);

	v = htobe64(v);
	if (at)
		memcpy(at, &v, sizeof(v));
}

/* The low `width` (0..8) bytes of `v`. */
void writer_uint(struct writer *w, uint64_t v, size_t width);

static inline void writer_bytes(struct writer *w, struct span s)
{
	uint8_t *at = s.len ? writer_extend(w, s.len) : NULL;

	if (at)
		memcpy(at, s.data, s.len);
}

void writer_str(struct writer *w, const char *s);
/* A length of 2 bytes and the bytes; fails above 65,535. */
void writer_span16(struct writer *w, struct span s);

/*
 * Text or bytes on the heap that grow up to a ceiling. Same sticky failure: once `limit` or memory is
 * reached the buffer stays as it was and `failed` is set. Always NUL-terminated behind `len` once written to.
 */
struct buffer {
	uint8_t *data;
	size_t len;
	size_t cap;
	size_t limit;
	bool failed;
};

static inline struct buffer buffer_of(size_t limit)
{
	return (struct buffer){NULL, 0, 0, limit, false};
}

void buffer_deinit(struct buffer *b);
#define _cleanup_buffer_ _cleanup_(buffer_deinit)
/* Room for `len` more bytes: where to write them, or NULL (failed). `len` counts as written. */
uint8_t *buffer_extend(struct buffer *b, size_t len);
void buffer_bytes(struct buffer *b, struct span s);
void buffer_u8(struct buffer *b, uint8_t v);
void buffer_uint(struct buffer *b, uint64_t v, size_t width);
void buffer_str(struct buffer *b, const char *s);
void buffer_printf(struct buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);

static inline struct span buffer_span(const struct buffer *b)
{
	return (struct span){b->data, b->len};
}
