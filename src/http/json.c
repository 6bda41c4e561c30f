/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * JSON output (RFC 8259). The one hard idea: device data is bytes, JSON is Unicode. Endpoint names,
 * diagnostics and string values may hold anything, so every string is checked as UTF-8 on the way out; what
 * is no UTF-8 becomes U+FFFD, one per byte, rather than a document which strict readers refuse as a whole.
 * Reading JSON is jansson's (see node_input.c).
 */

#include "http/json.h"

#include "http/json_depth.h"

#include <inttypes.h>

static void before_value(struct json *j)
{
	if (j->comma)
		buffer_u8(j->out, ',');
	j->comma = true;
}

void json_open(struct json *j, char bracket)
{
	before_value(j);
	buffer_u8(j->out, (uint8_t)bracket);
	j->comma = false;
}

void json_close(struct json *j, char bracket)
{
	buffer_u8(j->out, (uint8_t)bracket);
	j->comma = true;
}

/* Length of the UTF-8 sequence at the start of `s`, 0 if there is none (Unicode 15, table 3-7). */
static size_t utf8_sequence(struct span s)
{
	uint8_t lead = s.data[0];
	uint8_t low = 0x80, high = 0xBF;
	size_t len;

	if (lead < 0x80)
		return 1;
	if (lead < 0xC2 || lead > 0xF4)
		return 0;
	len = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
	if (lead == 0xE0)
		low = 0xA0; /* overlong */
	else if (lead == 0xED)
		high = 0x9F; /* surrogates */
	else if (lead == 0xF0)
		low = 0x90;
	else if (lead == 0xF4)
		high = 0x8F; /* above U+10FFFF */
	if (s.len < len || s.data[1] < low || s.data[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++) {
		if ((s.data[i] & 0xC0) != 0x80)
			return 0;
	}
	return len;
}

/* What stands for a byte that may not stand for itself; NULL for all others but the rest of the control
 * characters. */
static const char *short_escape(uint8_t c)
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		return NULL;
	}
}

static void write_escaped(struct buffer *b, uint8_t c)
{
	const char *escape = short_escape(c);

	if (escape)
		buffer_str(b, escape);
	else if (c < 0x20)
		buffer_printf(b, "\\u%04X", c);
	else
		buffer_str(b, "\xEF\xBF\xBD");
}

static void write_characters(struct buffer *b, struct span text)
{
	size_t plain = 0; /* start of a run that needs no change */

	for (size_t i = 0; i < text.len;) {
		uint8_t c = text.data[i];
		size_t len = utf8_sequence(span_from(text, i));

		if (len && c >= 0x20 && c != '"' && c != '\\') {
			i += len;
			continue;
		}
		buffer_bytes(b, span_of(text.data + plain, i - plain));
		write_escaped(b, c);
		plain = ++i;
	}
	if (text.len > plain)
		buffer_bytes(b, span_of(text.data + plain, text.len - plain));
}

static void write_string(struct buffer *b, struct span text)
{
	buffer_u8(b, '"');
	write_characters(b, text);
	buffer_u8(b, '"');
}

void json_key_span(struct json *j, struct span name)
{
	before_value(j);
	write_string(j->out, name);
	buffer_u8(j->out, ':');
	j->comma = false;
}

void json_key(struct json *j, const char *name)
{
	json_key_span(j, span_str(name));
}

void json_text(struct json *j, struct span text)
{
	before_value(j);
	write_string(j->out, text);
}

void json_text_pair(struct json *j, struct span first, struct span second)
{
	before_value(j);
	buffer_u8(j->out, '"');
	write_characters(j->out, first);
	write_characters(j->out, second);
	buffer_u8(j->out, '"');
}

void json_str(struct json *j, const char *text)
{
	json_text(j, span_str(text));
}

void json_uint(struct json *j, uint64_t v)
{
	before_value(j);
	buffer_printf(j->out, "%" PRIu64, v);
}

void json_int(struct json *j, int64_t v)
{
	before_value(j);
	buffer_printf(j->out, "%" PRId64, v);
}

void json_bool(struct json *j, bool v)
{
	before_value(j);
	buffer_str(j->out, v ? "true" : "false");
}

void json_nil(struct json *j)
{
	before_value(j);
	buffer_str(j->out, "null");
}

void json_hex(struct json *j, struct span bytes)
{
	static const char digits[] = "0123456789abcdef";

	before_value(j);
	buffer_u8(j->out, '"');
	for (size_t i = 0; i < bytes.len; i++) {
		buffer_u8(j->out, (uint8_t)digits[bytes.data[i] >> 4]);
		buffer_u8(j->out, (uint8_t)digits[bytes.data[i] & 15]);
	}
	buffer_u8(j->out, '"');
}

static bool is_text(struct span s)
{
	for (size_t i = 0, len; i < s.len; i += len) {
		len = utf8_sequence(span_from(s, i));
		if (!len || s.data[i] < 0x20 || s.data[i] == 0x7f)
			return false;
	}
	return true;
}

void json_member_bytes(struct json *j, const char *name, const char *hex_name, struct span bytes)
{
	bool text = is_text(bytes);

	json_key(j, text ? name : hex_name);
	if (text)
		json_text(j, bytes);
	else
		json_hex(j, bytes);
}

void json_member_text(struct json *j, const char *name, struct span text)
{
	json_key(j, name);
	json_text(j, text);
}

void json_member_str(struct json *j, const char *name, const char *text)
{
	json_key(j, name);
	json_str(j, text);
}

void json_member_uint(struct json *j, const char *name, uint64_t v)
{
	json_key(j, name);
	json_uint(j, v);
}

void json_member_bool(struct json *j, const char *name, bool v)
{
	json_key(j, name);
	json_bool(j, v);
}

bool json_depth_is(struct span text, unsigned max)
{
	unsigned depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (!in_string && (c == '{' || c == '[') && ++depth > max)
			return false;
		else if (!in_string && (c == '}' || c == ']') && depth)
			depth--;
	}
	return true;
}
