/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A stream of server-sent events gives the same events whichever pieces it comes in. */

#include "fuzz.h"

#include "cli/sse.h"

enum { HEARD_MAX = 1 << 20 };

static void hear(void *ctx, const struct sse_event *event)
{
	struct buffer *heard = ctx;

	assert(strlen(event->name) < SSE_NAME && strlen(event->id) < SSE_ID);
	assert(event->data.data[event->data.len] == '\0');
	buffer_str(heard, event->name);
	buffer_u8(heard, 0);
	buffer_str(heard, event->id);
	buffer_u8(heard, 0);
	buffer_bytes(heard, event->data);
	buffer_u8(heard, 0);
}

/* Pieces of `step` bytes; 0: all at once. */
static bool listen_to(struct span stream, size_t step, struct buffer *heard)
{
	struct sse s;
	bool ok = true;

	sse_init(&s);
	for (size_t at = 0; ok && at < stream.len; at += step ? step : stream.len) {
		struct span rest = span_from(stream, at);
		_cleanup_copy_ struct span piece =
			fuzz_copy(span_of(rest.data, step ? MIN(step, rest.len) : rest.len));

		ok = sse_feed(&s, piece, hear, heard);
	}
	sse_restart(&s);
	sse_deinit(&s);
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer whole = buffer_of(HEARD_MAX), pieces = buffer_of(HEARD_MAX);
	size_t step = size ? data[0] % 16 + 1U : 1;
	struct span stream = span_from(span_of(data, size), 1);
	bool ok = listen_to(stream, 0, &whole);

	assert(listen_to(stream, step, &pieces) == ok);
	if (ok && !whole.failed)
		assert(span_equal(buffer_span(&whole), buffer_span(&pieces)));
	return 0;
}
