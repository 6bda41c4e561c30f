/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Framing. A frame that lies whole in what came is read where it lies; only one that is cut is put together
 * in a buffer, which grows with what has really come, not with what a length promises.
 */

#include "cluster/wire.h"

#include <errno.h>

enum { LENGTH = 4, REST = WIRE_HEAD - LENGTH, KEPT = 1 << 14 };

void wire_head_encode(const struct wire_frame *frame, struct writer *w)
{
	assert(frame->body.len <= UINT32_MAX - WIRE_HEAD);
	writer_u32(w, (uint32_t)(REST + frame->body.len));
	writer_u8(w, WIRE_VERSION);
	writer_u8(w, frame->type);
	writer_u16(w, frame->kind);
	writer_u64(w, frame->ticket);
	writer_u64(w, frame->floor);
	writer_u32(w, frame->time);
}

void wire_hello_encode(const struct wire_hello *hello, struct writer *w)
{
	writer_u32(w, hello->from);
	writer_u32(w, hello->to);
	writer_u64(w, hello->from_incarnation);
	writer_u64(w, hello->to_incarnation);
}

int wire_hello_parse(struct span body, struct wire_hello *out)
{
	struct reader r = reader_of(body);

	out->from = reader_u32(&r);
	out->to = reader_u32(&r);
	out->from_incarnation = reader_u64(&r);
	out->to_incarnation = reader_u64(&r);
	return r.failed ? -EPROTO : 0;
}

void wire_input_init(struct wire_input *in, size_t body_max)
{
	*in = (struct wire_input){.partial = buffer_of(body_max + WIRE_HEAD), .body_max = body_max};
}

void wire_input_deinit(struct wire_input *in)
{
	buffer_deinit(&in->partial);
}

/*
 * How many bytes the frame has that `have` begins, as far as can be said: of less than a head, a head.
 * Version and length are looked at as soon as they are there.
 */
static int frame_len(const struct wire_input *in, struct span have, size_t *len)
{
	struct reader r = reader_of(have);
	uint32_t rest = reader_u32(&r);
	uint8_t version = reader_u8(&r);

	*len = WIRE_HEAD;
	if (r.failed)
		return 0;
	if (version != WIRE_VERSION || rest < REST)
		return -EPROTO;
	if (rest - REST > in->body_max)
		return -EMSGSIZE;
	*len = LENGTH + rest;
	return 0;
}

static int parse(struct span bytes, struct wire_frame *out)
{
	struct reader r = reader_of(span_from(bytes, LENGTH + 1));

	out->type = reader_u8(&r);
	out->kind = reader_u16(&r);
	out->ticket = reader_u64(&r);
	out->floor = reader_u64(&r);
	out->time = reader_u32(&r);
	out->body = reader_rest(&r);
	return out->type < WIRE_HELLO || out->type >= WIRE_TYPES ? -EPROTO : 0;
}

/* Moves bytes from *data to the partial frame until it has `len`. */
static void top_up(struct wire_input *in, struct span *data, size_t len)
{
	size_t part = MIN(len - in->partial.len, data->len);

	buffer_bytes(&in->partial, span_of(data->data, part));
	*data = span_from(*data, part);
}

static void start_anew(struct wire_input *in)
{
	if (in->partial.cap > KEPT)
		buffer_deinit(&in->partial);
	in->partial.len = 0;
	in->given = false;
}

int wire_next(struct wire_input *in, struct span *data, struct wire_frame *out)
{
	struct span whole;
	size_t len;
	int err;

	if (in->given)
		start_anew(in);
	if (in->partial.len == 0) {
		err = frame_len(in, *data, &len);
		if (err < 0)
			return err;
		if (len <= data->len) {
			whole = span_of(data->data, len);
			*data = span_from(*data, len);
			return parse(whole, out);
		}
	}
	/* Each round has more of it than the one before: first a head, then all. */
	for (;;) {
		err = frame_len(in, buffer_span(&in->partial), &len);
		if (err < 0)
			return err;
		if (in->partial.len == len)
			break;
		if (data->len == 0)
			return WIRE_MORE;
		top_up(in, data, len);
		if (in->partial.failed)
			return -ENOMEM;
	}
	in->given = true;
	return parse(buffer_span(&in->partial), out);
}
