/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * SenML in CBOR (112; RFC 8428, 6): an array of maps whose keys are small numbers, but for "vlo", which LwM2M
 * added without one. Reads what any CBOR encoder may write: text keys, indefinite lengths, tags, all float
 * widths. Writes definite lengths and the shortest forms.
 */

#include "codec/formats.h"
#include "codec/senml.h"
#include "codec/tokens.h"

static int cut_short(struct codec_context *c, const struct tokens *t)
{
	return codec_malformed(c, "CBOR at byte %zu is cut short or not SenML", tokens_offset(t));
}

static int read_label(struct codec_context *c, struct tokens *t, enum senml_field *out)
{
	struct tokens before = *t;
	struct token token;
	struct value label;
	int rc;

	/* Nearly always: a number from -8 to 8. */
	if (tokens_next(t, &token) && token.kind <= TOKEN_NEGINT && token.number <= INT8_MAX) {
		int64_t number = (int64_t)token.number;

		*out = senml_field_of_number(token.kind == TOKEN_UINT ? number : -1 - number);
		return CODEC_OK;
	}
	*t = before;
	*out = SENML_UNKNOWN;
	rc = tokens_value(t, c->arena, &label);
	if (rc)
		return rc < 0 ? rc : cut_short(c, t);
	if (label.type != VALUE_STRING)
		return CODEC_OK;
	*out = senml_field_of_text(label.bytes);
	if (*out == SENML_UNKNOWN && senml_must_be_known(label.bytes))
		return codec_malformed(c, "CBOR before byte %zu: unknown label", tokens_offset(t));
	return CODEC_OK;
}

static int read_item(struct codec_context *c, struct tokens *t, struct senml_item *item)
{
	struct token map;

	item->present = 0;
	if (!tokens_next(t, &map) || map.kind != TOKEN_MAP)
		return cut_short(c, t);
	for (uint64_t pairs = 0; tokens_more(t, &map, pairs); pairs++) {
		enum senml_field field;
		int rc = read_label(c, t, &field);

		if (rc)
			return rc;
		if (field == SENML_UNKNOWN) {
			if (!tokens_skip(t))
				return cut_short(c, t);
			continue;
		}
		rc = tokens_value(t, c->arena, senml_set(item, field));
		if (rc)
			return rc < 0 ? rc : cut_short(c, t);
	}
	return CODEC_OK;
}

int senml_cbor_read(struct senml_input *in, struct span payload)
{
	struct codec_context *c = in->d.c;
	struct tokens t = tokens_of(payload);
	struct senml_item item;
	struct token array;

	do {
		if (!tokens_next(&t, &array))
			return cut_short(c, &t);
	} while (array.kind == TOKEN_TAG);
	if (array.kind != TOKEN_ARRAY)
		return cut_short(c, &t);
	for (uint64_t items = 0; tokens_more(&t, &array, items); items++) {
		int rc = read_item(c, &t, &item);

		if (rc == CODEC_OK)
			rc = senml_add(in, &item);
		if (rc)
			return rc;
	}
	if (!tokens_at_end(&t))
		return codec_malformed(c, "CBOR goes on behind its end at byte %zu", tokens_offset(&t));
	return CODEC_OK;
}

int senml_cbor_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct senml_input in = senml_input_of(c, out);

	return senml_cbor_read(&in, payload);
}

static void put_label(struct buffer *out, enum senml_field field)
{
	int64_t number;

	if (senml_number(field, &number))
		tokens_put_integer(out, number);
	else
		tokens_put_text(out, span_str(senml_text(field)));
}

static void put_record(struct buffer *out, const struct senml_frame *f, const struct record *item,
		       const struct value *value, bool first)
{
	char name[PATH_TEXT];
	struct value time;
	bool named = senml_name(f, item, name), timed = senml_time(f, item, &time);
	bool base_time = first && f->has_base_time, valued = value->type != VALUE_NONE;

	tokens_put_map(out, (size_t)first + base_time + named + valued + timed);
	if (first) {
		put_label(out, SENML_BASE_NAME);
		tokens_put_text(out, span_str(f->base_name));
	}
	if (base_time) {
		put_label(out, SENML_BASE_TIME);
		tokens_put_integer(out, f->base_time_s);
	}
	if (named) {
		put_label(out, SENML_NAME);
		tokens_put_text(out, span_str(name));
	}
	if (valued) {
		put_label(out, senml_field_of_type(value->type));
		tokens_put_value(out, value);
	}
	if (timed) {
		put_label(out, SENML_TIME);
		tokens_put_value(out, &time);
	}
}

int senml_cbor_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct senml_frame frame = senml_frame_of(c, items, count);
	struct typing typing = typing_of(c);
	int rc = senml_check(c, items, count);

	tokens_put_array(out, count);
	for (size_t i = 0; rc == CODEC_OK && i < count; i++) {
		struct value value;

		rc = value_to_write(c, &typing, &items[i], &value);
		if (rc == CODEC_OK)
			put_record(out, &frame, &items[i], &value, i == 0);
	}
	return rc;
}
