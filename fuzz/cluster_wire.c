/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A stream of frames between nodes: the first byte says how long a body may be, the second how the stream is
 * cut, the rest is the stream. It gives the same frames and the same end however it is cut, and each frame,
 * written again, is the bytes it was read from.
 */

#include "fuzz.h"

#include "cluster/wire.h"

#include <errno.h>

static void encode_head(const struct wire_frame *frame, uint8_t head[WIRE_HEAD])
{
	struct writer w = writer_of(head, WIRE_HEAD);

	wire_head_encode(frame, &w);
}

static void encode_hello(const struct wire_hello *hello, uint8_t body[WIRE_HELLO_LEN])
{
	struct writer w = writer_of(body, WIRE_HELLO_LEN);

	wire_hello_encode(hello, &w);
}

enum { FRAMES_MAX = 4096 };

struct seen {
	uint64_t hashes[FRAMES_MAX];
	size_t count;
	int end;
};

/* Of all that a frame says. */
static uint64_t hash_of(const struct wire_frame *f)
{
	uint64_t h = f->type + f->kind * UINT64_C(31) + f->ticket * 1009 + f->floor * 65537 + f->time;

	for (size_t i = 0; i < f->body.len; i++)
		h = h * 131 + f->body.data[i];
	return h;
}

static void check(const struct wire_frame *f, size_t body_max)
{
	struct wire_hello hello;
	uint8_t bytes[WIRE_HELLO_LEN];

	assert(f->type >= WIRE_HELLO && f->type < WIRE_TYPES);
	assert(f->body.len <= body_max);
	if (wire_hello_parse(f->body, &hello) < 0) {
		assert(f->body.len < WIRE_HELLO_LEN);
		return;
	}
	encode_hello(&hello, bytes);
	assert(memcmp(bytes, f->body.data, sizeof(bytes)) == 0);
}

static void read_cut(struct span stream, size_t piece, size_t body_max, struct seen *out)
{
	struct wire_input in;
	struct wire_frame frame;
	int r = WIRE_MORE;

	out->count = 0;
	wire_input_init(&in, body_max);
	for (size_t at = 0; at < stream.len && r == WIRE_MORE; at += piece) {
		struct span data = span_of(stream.data + at, MIN(piece, stream.len - at));

		while ((r = wire_next(&in, &data, &frame)) == 0) {
			check(&frame, body_max);
			if (out->count < FRAMES_MAX)
				out->hashes[out->count++] = hash_of(&frame);
		}
		assert(r < 0 || data.len == 0);
	}
	assert(in.partial.len <= body_max + WIRE_HEAD);
	wire_input_deinit(&in);
	out->end = r;
}

/* Whole frames at the beginning are the bytes that their encoding gives. */
static void assert_encoded(struct span stream, size_t body_max)
{
	struct span left = stream;
	struct wire_input in;
	struct wire_frame frame;

	wire_input_init(&in, body_max);
	for (;;) {
		struct span before = left;
		uint8_t head[WIRE_HEAD];

		if (wire_next(&in, &left, &frame) != 0)
			break;
		encode_head(&frame, head);
		assert(fuzz_within(frame.body, stream));
		assert(memcmp(head, before.data, sizeof(head)) == 0);
		assert(frame.body.len == 0 || frame.body.data == before.data + WIRE_HEAD);
		assert(left.len == before.len - WIRE_HEAD - frame.body.len);
	}
	wire_input_deinit(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(span_of(data, size));
	size_t body_max = (size_t)reader_u8(&r) * 4, piece = (size_t)reader_u8(&r) + 1;
	_cleanup_free_ struct seen *whole = malloc(sizeof(*whole)), *cut = malloc(sizeof(*cut));
	struct span stream = reader_rest(&r);

	assert(whole && cut);
	if (stream.len == 0)
		return 0;
	read_cut(stream, stream.len, body_max, whole);
	read_cut(stream, piece, body_max, cut);
	assert(whole->end == cut->end && whole->count == cut->count);
	assert(memcmp(whole->hashes, cut->hashes, whole->count * sizeof(*whole->hashes)) == 0);
	assert_encoded(stream, body_max);
	return 0;
}
