/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * JSON of a payload as a tree, and pieces of JSON written. The parser is jansson, which builds the tree on
 * the heap, goes into itself for each bracket, and has 63 bits for integers. So the one idea here is a look
 * at the payload before it gets it: how deep it nests, what its tree will cost (charged against the arena's
 * ceiling), and which integers are too wide; those are put in quotes, and come back as text that is a number.
 * The tree is gone when its owner returns. Leaves out JSON that is not UTF-8: that is no JSON.
 */

#include "codec/json_tree.h"

#include "codec/delivery.h"

#include <errno.h>

enum {
	NESTING_MAX = 8,
	/* Of jansson's tree, malloc included, generously. */
	CONTAINER_COST = 384,
	VALUE_COST = 128,
	/* 2^63 has 19 digits. */
	WIDE_DIGITS = 19,
};

/* What the look before the parser finds. */
struct survey {
	size_t containers;
	size_t values;
	size_t wide; /* integers to be quoted */
	size_t depth, deepest;
};

/* The length of a string from behind its opening quote on, with the closing one; all that is left if there is
 * none. */
static size_t string_length(struct span rest)
{
	for (size_t i = 0; i < rest.len; i++) {
		if (rest.data[i] == '"')
			return i + 1;
		if (rest.data[i] == '\\')
			i++;
	}
	return rest.len;
}

static size_t number_length(struct span rest, bool *wide)
{
	size_t len = 0, digits = 0;

	while (len < rest.len && rest.data[len] && strchr("+-.eE0123456789", rest.data[len])) {
		digits += rest.data[len] >= '0' && rest.data[len] <= '9';
		len++;
	}
	*wide = digits >= WIDE_DIGITS && digits + (rest.data[0] == '-') == len;
	return len;
}

static void survey_character(struct survey *s, uint8_t c)
{
	switch (c) {
	case '[':
	case '{':
		s->containers++;
		s->depth++;
		s->deepest = MAX(s->deepest, s->depth);
		break;
	case ']':
	case '}':
		s->depth -= s->depth > 0;
		break;
	case ',':
	case ':':
		s->values++;
		break;
	default:
		break;
	}
}

/* Walks over the payload outside of strings. With `copy`, writes it there with wide integers in quotes. */
static void survey(struct span payload, struct survey *s, struct writer *copy)
{
	size_t len;

	*s = (struct survey){0};
	for (size_t i = 0; i < payload.len; i += len) {
		struct span rest = span_from(payload, i);
		bool wide = false;

		len = 1;
		if (rest.data[0] == '"')
			len += string_length(span_from(rest, 1));
		else if (rest.data[0] == '-' || (rest.data[0] >= '0' && rest.data[0] <= '9'))
			len = number_length(rest, &wide);
		else
			survey_character(s, rest.data[0]);
		len = MIN(len, rest.len);
		s->wide += wide;
		if (!copy)
			continue;
		if (wide)
			writer_u8(copy, '"');
		writer_bytes(copy, span_of(rest.data, len));
		if (wide)
			writer_u8(copy, '"');
	}
}

static int quote_wide_integers(struct codec_context *c, const struct survey *s, struct span *payload)
{
	size_t size = payload->len + 2 * s->wide;
	uint8_t *copy = arena_alloc(c->arena, size);
	struct writer w = writer_of(copy, copy ? size : 0);
	struct survey again;

	if (!copy)
		return -ENOMEM;
	survey(*payload, &again, &w);
	*payload = writer_span(&w);
	return CODEC_OK;
}

void json_tree_cleanup(json_t **json)
{
	json_decref(*json);
}

int json_tree_parse(struct codec_context *c, struct span payload, json_t **out)
{
	struct survey s;
	size_t cost;
	json_error_t error;
	int rc;

	survey(payload, &s, NULL);
	if (s.deepest > NESTING_MAX)
		return codec_malformed(c, "JSON is nested too deep");
	cost = s.containers * CONTAINER_COST + s.values * VALUE_COST + payload.len;
	if (cost > c->arena->limit - c->arena->used)
		return -ENOMEM;
	if (s.wide) {
		rc = quote_wide_integers(c, &s, &payload);
		if (rc)
			return rc;
	}
	*out = json_loadb((const char *)payload.data, payload.len, JSON_ALLOW_NUL, &error);
	if (*out)
		return CODEC_OK;
	if (json_error_code(&error) == json_error_out_of_memory)
		return -ENOMEM;
	return codec_malformed(c, "no JSON at byte %d", error.position);
}

/* False for containers. */
static bool value_of(const json_t *json, struct value *out)
{
	switch (json_typeof(json)) {
	case JSON_STRING:
		*out = (struct value){.type = VALUE_STRING,
				      .bytes = span_of(json_string_value(json), json_string_length(json))};
		return true;
	case JSON_INTEGER:
		*out = (struct value){.type = VALUE_INTEGER, .integer = json_integer_value(json)};
		return true;
	case JSON_REAL:
		*out = (struct value){.type = VALUE_FLOAT, .real = json_real_value(json)};
		return true;
	case JSON_TRUE:
	case JSON_FALSE:
		*out = (struct value){.type = VALUE_BOOLEAN, .boolean = json_is_true(json)};
		return true;
	case JSON_NULL:
		*out = (struct value){.type = VALUE_NONE};
		return true;
	case JSON_OBJECT:
	case JSON_ARRAY:
		break;
	}
	return false;
}

int json_tree_value(struct codec_context *c, const json_t *json, struct value *out)
{
	if (!value_of(json, out))
		return CODEC_MALFORMED;
	if (out->type != VALUE_STRING)
		return CODEC_OK;
	out->bytes = arena_dup(c->arena, out->bytes);
	return out->bytes.data ? CODEC_OK : -ENOMEM;
}

void json_put_text(struct buffer *out, struct span s)
{
	size_t from = 0;

	buffer_u8(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];

		if (c >= ' ' && c != '"' && c != '\\')
			continue;
		buffer_bytes(out, span_of(s.data + from, i - from));
		if (c < ' ')
			buffer_printf(out, "\\u%04x", c);
		else
			buffer_printf(out, "\\%c", c);
		from = i + 1;
	}
	buffer_bytes(out, span_from(s, from));
	buffer_u8(out, '"');
}

bool json_put_value(struct buffer *out, const struct value *v, enum base64_alphabet alphabet)
{
	char text[VALUE_TEXT];
	size_t len;

	switch (v->type) {
	case VALUE_BOOLEAN:
		buffer_str(out, v->boolean ? "true" : "false");
		return true;
	case VALUE_STRING:
	case VALUE_CORELNK:
		json_put_text(out, v->bytes);
		return true;
	case VALUE_OPAQUE:
		buffer_u8(out, '"');
		base64_encode(out, v->bytes, alphabet);
		buffer_u8(out, '"');
		return true;
	case VALUE_OBJLNK:
		json_put_text(out, span_of(text, value_format(v, text)));
		return true;
	default:
		len = value_format(v, text);
		buffer_bytes(out, span_of(text, len));
		return len > 0;
	}
}
