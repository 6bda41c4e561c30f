/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Answers as bytes, for the way back to the node where an operation began. */

#include "lwm2m/server.h"
#include "lwm2m/wire.h"

#include <errno.h>

enum { ANSWER_FORMAT = 1 };

/* format 1, outcome 1, code 1, Content-Format 2, expires 8; payload behind 4; location, request id and the
 * words with their NUL (none: empty) each behind 2. */
int lwm2m_answer_encode(const struct lwm2m_answer *answer, struct buffer *out)
{
	size_t words = answer->error ? strlen(answer->error) + 1 : 0;

	if (answer->location.len > UINT16_MAX || answer->request_id.len > UINT16_MAX || words > UINT16_MAX)
		return -EMSGSIZE;
	buffer_u8(out, ANSWER_FORMAT);
	buffer_u8(out, (uint8_t)answer->outcome);
	buffer_u8(out, answer->code);
	buffer_uint(out, answer->format, 2);
	buffer_uint(out, answer->expires_ms, 8);
	write_span32(out, answer->payload);
	buffer_uint(out, answer->location.len, 2);
	buffer_bytes(out, answer->location);
	buffer_uint(out, answer->request_id.len, 2);
	buffer_bytes(out, answer->request_id);
	buffer_uint(out, words, 2);
	buffer_bytes(out, span_of(answer->error, words));
	return out->failed ? -ENOSPC : 0;
}

/* Text with one NUL, at its end. */
static bool is_text(struct span s)
{
	return memchr(s.data, 0, s.len) == s.data + s.len - 1;
}

int lwm2m_answer_decode(struct span bytes, struct lwm2m_answer *out)
{
	struct reader r = reader_of(bytes);
	uint8_t format = reader_u8(&r), outcome = reader_u8(&r);
	struct span words;

	*out = (struct lwm2m_answer){.outcome = (enum lwm2m_outcome)outcome};
	out->code = reader_u8(&r);
	out->format = reader_u16(&r);
	out->expires_ms = reader_u64(&r);
	out->payload = read_span32(&r);
	out->location = reader_span16(&r);
	out->request_id = reader_span16(&r);
	words = reader_span16(&r);
	if (r.failed || reader_left(&r) > 0 || format != ANSWER_FORMAT || outcome > LWM2M_UNKNOWN)
		return -EPROTO;
	if (words.len > 0 && !is_text(words))
		return -EPROTO;
	out->error = words.len > 0 ? (const char *)words.data : NULL;
	return 0;
}
