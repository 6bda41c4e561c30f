/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * SenML in JSON (110; RFC 8428, 5). The parser is jansson, which builds a tree on the heap, goes into itself
 * for each bracket, and has 63 bits for integers. So the one idea here is a look at the payload before it
 * gets it: how deep it nests, what its tree will cost (charged against the arena's ceiling), and which
 * integers are too wide; those are put in quotes, and come back as text that is a number. The tree is gone
 * when the call returns. Leaves out JSON that is not UTF-8: that is no JSON.
 */

#include "codec/base64.h"
#include "codec/formats.h"
#include "codec/senml.h"

#include <errno.h>
#include <jansson.h>

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

static void cleanup_json(json_t **json)
{
	json_decref(*json);
}

static int parse(struct codec_context *c, struct span payload, json_t **out)
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

/* Strings that outlive the tree. */
static int keep_string(struct codec_context *c, struct value *v)
{
	if (v->type != VALUE_STRING)
		return CODEC_OK;
	v->bytes = arena_dup(c->arena, v->bytes);
	return v->bytes.data ? CODEC_OK : -ENOMEM;
}

static int read_item(struct codec_context *c, json_t *object, size_t number, struct senml_item *item)
{
	const char *label;
	json_t *json;

	item->present = 0;
	json_object_foreach (object, label, json) {
		enum senml_field field = senml_field_of_text(span_str(label));
		struct value *value;

		if (field == SENML_UNKNOWN) {
			if (senml_must_be_known(span_str(label)))
				return codec_malformed(c, "SenML record %zu has an unknown label", number);
			continue;
		}
		value = senml_set(item, field);
		if (!value_of(json, value))
			return codec_malformed(c, "SenML record %zu: \"%s\" is no value", number, label);
		if (keep_string(c, value))
			return -ENOMEM;
	}
	return CODEC_OK;
}

int senml_json_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct senml_input in = senml_input_of(c, out);
	_cleanup_(cleanup_json) json_t *array = NULL;
	struct senml_item item;
	json_t *object;
	size_t i;
	int rc = parse(c, payload, &array);

	if (rc)
		return rc;
	if (!json_is_array(array))
		return codec_malformed(c, "SenML is an array");
	json_array_foreach (array, i, object) {
		if (!json_is_object(object))
			return codec_malformed(c, "SenML record %zu is no object", i);
		rc = read_item(c, object, i, &item);
		if (rc == CODEC_OK)
			rc = senml_add(&in, &item);
		if (rc)
			return rc;
	}
	return senml_finish(&in);
}

static void put_string(struct buffer *out, struct span s)
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

static void put_label(struct buffer *out, enum senml_field field)
{
	if (out->data[out->len - 1] != '{')
		buffer_u8(out, ',');
	buffer_printf(out, "\"%s\":", senml_text(field));
}

/* False if JSON cannot carry it. */
static bool put_value(struct buffer *out, const struct value *v)
{
	char text[VALUE_TEXT];
	size_t len;

	switch (v->type) {
	case VALUE_BOOLEAN:
		buffer_str(out, v->boolean ? "true" : "false");
		return true;
	case VALUE_STRING:
	case VALUE_CORELNK:
		put_string(out, v->bytes);
		return true;
	case VALUE_OPAQUE:
		buffer_u8(out, '"');
		base64_encode(out, v->bytes, BASE64_URL);
		buffer_u8(out, '"');
		return true;
	case VALUE_OBJLNK:
		put_string(out, span_of(text, value_format(v, text)));
		return true;
	default:
		len = value_format(v, text);
		buffer_bytes(out, span_of(text, len));
		return len > 0;
	}
}

static bool put_record(struct buffer *out, const struct senml_frame *f, const struct record *item,
		       const struct value *value, bool first)
{
	char name[PATH_TEXT];
	struct value time;
	bool good = true;

	buffer_str(out, first ? "{" : ",{");
	if (first) {
		put_label(out, SENML_BASE_NAME);
		put_string(out, span_str(f->base_name));
		if (f->has_base_time) {
			put_label(out, SENML_BASE_TIME);
			buffer_printf(out, "%lld", (long long)f->base_time_s);
		}
	}
	if (senml_name(f, item, name)) {
		put_label(out, SENML_NAME);
		put_string(out, span_str(name));
	}
	if (value->type != VALUE_NONE) {
		put_label(out, senml_field_of_type(value->type));
		good = put_value(out, value);
	}
	if (senml_time(f, item, &time)) {
		put_label(out, SENML_TIME);
		(void)put_value(out, &time);
	}
	buffer_u8(out, '}');
	return good;
}

int senml_json_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct senml_frame frame = senml_frame_of(c, items, count);
	struct typing typing = typing_of(c);
	int rc = senml_check(c, items, count);

	buffer_u8(out, '[');
	for (size_t i = 0; rc == CODEC_OK && i < count && !out->failed; i++) {
		struct value value;

		rc = value_to_write(c, &typing, &items[i], &value);
		if (rc == CODEC_OK && !put_record(out, &frame, &items[i], &value, i == 0))
			rc = codec_misfit(c, &items[i].path, "no number that JSON can carry");
	}
	buffer_u8(out, ']');
	return rc;
}
