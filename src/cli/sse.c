/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The parser of event streams. Bytes come in any pieces; lines end in LF, CR or CRLF, and a CR at the end of
 * one piece may have its LF in the next. An id counts from the end of its block, not before: a connection
 * that breaks within a block resumes before it.
 */

#include "cli/sse.h"

enum { LIMIT = 32 << 20 };

void sse_init(struct sse *s)
{
	*s = (struct sse){.line = buffer_of(LIMIT), .data = buffer_of(LIMIT)};
}

void sse_deinit(struct sse *s)
{
	buffer_deinit(&s->line);
	buffer_deinit(&s->data);
}

static void begin_block(struct sse *s)
{
	s->data.len = 0;
	s->has_data = false;
	s->name[0] = '\0';
	memcpy(s->id, s->last_id, sizeof(s->id));
}

void sse_restart(struct sse *s)
{
	s->line.len = 0;
	s->after_cr = false;
	begin_block(s);
}

static void copy(char *to, size_t size, struct span value)
{
	/* One that is too long, or has a NUL, is no name that anybody gave. */
	if (value.len >= size || (value.len && memchr(value.data, 0, value.len)))
		return;
	if (value.len)
		memcpy(to, value.data, value.len);
	to[value.len] = '\0';
}

static void take_field(struct sse *s, struct span name, struct span value)
{
	if (span_is(name, "event"))
		copy(s->name, sizeof(s->name), value);
	else if (span_is(name, "id"))
		copy(s->id, sizeof(s->id), value);
	else if (span_is(name, "data")) {
		if (s->has_data)
			buffer_u8(&s->data, '\n');
		buffer_bytes(&s->data, value);
		s->has_data = true;
	}
}

static void take_line(struct sse *s, struct span line, sse_fn *on_event, void *ctx)
{
	const uint8_t *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
	struct span name = colon ? span_of(line.data, (size_t)(colon - line.data)) : line;
	struct span value = span_from(line, name.len + 1);

	if (line.len) {
		if (value.len && value.data[0] == ' ')
			value = span_from(value, 1);
		take_field(s, name, value); /* a comment has the empty name */
		return;
	}
	memcpy(s->last_id, s->id, sizeof(s->last_id));
	buffer_bytes(&s->data, (struct span){NULL, 0});
	if (s->has_data && !s->data.failed) {
		const struct sse_event event = {s->name[0] ? s->name : "message", s->last_id,
						buffer_span(&s->data)};

		on_event(ctx, &event);
	}
	begin_block(s);
}

bool sse_feed(struct sse *s, struct span bytes, sse_fn *on_event, void *ctx)
{
	for (size_t i = 0; i < bytes.len && !s->line.failed && !s->data.failed; i++) {
		uint8_t c = bytes.data[i];
		bool second = c == '\n' && s->after_cr;

		s->after_cr = c == '\r';
		if (second)
			continue;
		if (c != '\n' && c != '\r') {
			buffer_u8(&s->line, c);
			continue;
		}
		take_line(s, buffer_span(&s->line), on_event, ctx);
		s->line.len = 0;
	}
	return !s->line.failed && !s->data.failed;
}
