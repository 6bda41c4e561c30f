/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Datagram to message and back (RFC 7252, section 3).
 *
 * The hard idea is that a datagram has three fates, not two: a message, something that a confirmable sender
 * must be told we cannot read (RST), or noise that must meet silence, since an answer to it could start a
 * ping-pong between two endpoints. What comes out as a message is therefore always a legal combination of
 * type and code, so that nobody behind this file has to think about acknowledgements that are requests.
 *
 * coap_parse and coap_encode run for every datagram: they set what they fill and never clear the option
 * array. Leaves out what options mean (option.c) and all state (exchange.c).
 */

#include "coap/message.h"

#include "base/bytes.h"

#include <errno.h>

enum {
	VERSION = 1,
	PAYLOAD_MARKER = 0xFF,
	TOKEN_MAX = 8,
	EXTEND_8 = 13,	   /* nibble: one more byte, counted from 13 */
	EXTEND_16 = 14,	   /* nibble: two more bytes, counted from 269 */
	EXTEND_NEVER = 15, /* nibble: reserved */
	EXTEND_16_BASE = 269,
};

/* Bit per coap_type that may carry a code of this kind (RFC 7252, table 1; 4.2: a reserved class is
 * rejected). */
static unsigned types_for(uint8_t code)
{
	if (code == COAP_EMPTY)
		return 1u << COAP_CON | 1u << COAP_ACK | 1u << COAP_RST;
	if (coap_is_request(code))
		return 1u << COAP_CON | 1u << COAP_NON;
	if (coap_is_response(code))
		return 1u << COAP_CON | 1u << COAP_NON | 1u << COAP_ACK;
	return 0;
}

static bool read_extended(struct reader *r, unsigned nibble, uint32_t *out)
{
	switch (nibble) {
	case EXTEND_8:
		*out = (uint32_t)EXTEND_8 + reader_u8(r);
		return true;
	case EXTEND_16:
		*out = (uint32_t)EXTEND_16_BASE + reader_u16(r);
		return true;
	case EXTEND_NEVER:
		return false;
	default:
		*out = nibble;
		return true;
	}
}

/* Everything behind the token. A failed reader yields zeroes and no bytes left, so one look at the end is
 * enough. */
static bool parse_options(struct reader *r, struct coap_message *out)
{
	uint32_t number = 0;

	while (reader_left(r) > 0) {
		uint8_t head = reader_u8(r);
		uint32_t delta, len;

		if (head == PAYLOAD_MARKER) {
			out->payload = reader_rest(r);
			return out->payload.len > 0;
		}
		if (!read_extended(r, head >> 4, &delta) || !read_extended(r, head & 15, &len))
			return false;
		number += delta;
		if (number > UINT16_MAX || len > UINT16_MAX || out->option_count == COAP_OPTIONS_MAX)
			return false;
		out->options[out->option_count++] = (struct coap_option){
			.number = (uint16_t)number,
			.len = (uint16_t)len,
			.value = reader_bytes(r, len).data,
		};
	}
	return !r->failed;
}

static bool parse_body(struct reader *r, unsigned token_len, struct coap_message *out)
{
	struct span token;

	if (!(types_for(out->code) & 1u << out->type))
		return false;
	if (out->code == COAP_EMPTY)
		return token_len == 0 && reader_left(r) == 0;
	if (token_len > TOKEN_MAX)
		return false;
	token = reader_bytes(r, token_len);
	if (r->failed)
		return false;
	out->token.len = (uint8_t)token_len;
	if (token_len)
		memcpy(out->token.bytes, token.data, token_len);
	return parse_options(r, out);
}

enum coap_parse coap_parse(struct span datagram, struct coap_message *out)
{
	struct reader r = reader_of(datagram);
	uint32_t head = reader_u32(&r);

	if (r.failed || head >> 30 != VERSION)
		return COAP_PARSE_IGNORE;
	coap_message_init(out, head >> 28 & 3, (uint8_t)(head >> 16), (uint16_t)head,
			  (struct coap_token){.len = 0});
	if (parse_body(&r, head >> 24 & 15, out))
		return COAP_PARSED;
	return out->type == COAP_CON ? COAP_PARSE_RESET : COAP_PARSE_IGNORE;
}

void coap_message_init(struct coap_message *m, enum coap_type type, uint8_t code, uint16_t mid,
		       struct coap_token token)
{
	m->type = (uint8_t)type;
	m->code = code;
	m->mid = mid;
	m->token = token;
	m->payload = (struct span){NULL, 0};
	m->option_count = 0;
	m->scratch_used = 0;
}

static unsigned nibble_for(unsigned value)
{
	return value < EXTEND_8 ? value : value < EXTEND_16_BASE ? EXTEND_8 : EXTEND_16;
}

static void write_extended(struct writer *w, unsigned value)
{
	if (value >= EXTEND_16_BASE)
		writer_u16(w, (uint16_t)(value - EXTEND_16_BASE));
	else if (value >= EXTEND_8)
		writer_u8(w, (uint8_t)(value - EXTEND_8));
}

static void write_options(struct writer *w, const struct coap_message *m)
{
	unsigned number = 0;

	for (unsigned i = 0; i < m->option_count; i++) {
		const struct coap_option *o = &m->options[i];
		unsigned delta = o->number - number;

		writer_u8(w, (uint8_t)(nibble_for(delta) << 4 | nibble_for(o->len)));
		write_extended(w, delta);
		write_extended(w, o->len);
		writer_bytes(w, coap_value(o));
		number = o->number;
	}
}

static bool is_encodable(const struct coap_message *m)
{
	if (m->type > COAP_RST || m->token.len > TOKEN_MAX || !(types_for(m->code) & 1u << m->type))
		return false;
	return m->code != COAP_EMPTY || (m->token.len == 0 && m->option_count == 0 && m->payload.len == 0);
}

int coap_encode(const struct coap_message *m, uint8_t *out, size_t size)
{
	struct writer w = writer_of(out, size);

	if (!is_encodable(m))
		return -EINVAL;
	writer_u32(&w, (uint32_t)VERSION << 30 | (uint32_t)m->type << 28 | (uint32_t)m->token.len << 24 |
			       (uint32_t)m->code << 16 | m->mid);
	writer_bytes(&w, span_of(m->token.bytes, m->token.len));
	write_options(&w, m);
	if (m->payload.len) {
		writer_u8(&w, PAYLOAD_MARKER);
		writer_bytes(&w, m->payload);
	}
	return w.failed ? -ENOSPC : (int)writer_len(&w);
}

bool coap_token_equal(const struct coap_token *a, const struct coap_token *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}
