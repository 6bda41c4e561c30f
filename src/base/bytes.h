/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * Bounded reading and writing of bytes, big-endian (network order).
 *
 * Both carry a sticky `failed`: after the first read past the end (write past the capacity) every further
 * call is harmless, reads give zeroes, and one check at the end decides. No packet is read any other way.
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

uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u24(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
/* An unsigned number in `width` (0..8) bytes. */
uint64_t reader_uint(struct reader *r, size_t width);
/* The next `len` bytes, borrowed from the input; empty and failed if there are fewer. */
struct span reader_bytes(struct reader *r, size_t len);
/* All that is left. */
struct span reader_rest(struct reader *r);
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
	return (struct writer){buffer, buffer, (uint8_t *)buffer + size, false};
}

static inline size_t writer_len(const struct writer *w)
{
	return (size_t)(w->pos - w->start);
}

static inline struct span writer_span(const struct writer *w)
{
	return (struct span){w->start, writer_len(w)};
}

void writer_u8(struct writer *w, uint8_t v);
void writer_u16(struct writer *w, uint16_t v);
void writer_u24(struct writer *w, uint32_t v);
void writer_u32(struct writer *w, uint32_t v);
void writer_u64(struct writer *w, uint64_t v);
/* The low `width` (0..8) bytes of `v`. */
void writer_uint(struct writer *w, uint64_t v, size_t width);
void writer_bytes(struct writer *w, struct span s);
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
