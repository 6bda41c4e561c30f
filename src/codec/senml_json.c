/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * SenML in JSON (110; RFC 8428, 5): an array of objects whose keys are short words. Leaves out what the
 * records mean (senml.c) and the parser (json_tree.c).
 */

#include "codec/formats.h"
#include "codec/json_tree.h"
#include "codec/senml.h"

static int read_item(struct codec_context *c, json_t *object, size_t number, struct senml_item *item)
{
	const char *label;
	json_t *json;

	item->present = 0;
	json_object_foreach (object, label, json) {
		enum senml_field field = senml_field_of_text(span_str(label));
		int rc;

		if (field == SENML_UNKNOWN) {
			if (senml_must_be_known(span_str(label)))
				return codec_malformed(c, "SenML record %zu has an unknown label", number);
			continue;
		}
		rc = json_tree_value(c, json, senml_set(item, field));
		if (rc == CODEC_MALFORMED)
			return codec_malformed(c, "SenML record %zu: \"%s\" is no value", number, label);
		if (rc)
			return rc;
	}
	return CODEC_OK;
}

int senml_json_read(struct senml_input *in, struct span payload)
{
	struct codec_context *c = in->d.c;
	_cleanup_(json_tree_cleanup) json_t *array = NULL;
	struct senml_item item;
	json_t *object;
	size_t i;
	int rc = json_tree_parse(c, payload, &array);

	if (rc)
		return rc;
	if (!json_is_array(array))
		return codec_malformed(c, "SenML is an array");
	json_array_foreach (array, i, object) {
		if (!json_is_object(object))
			return codec_malformed(c, "SenML record %zu is no object", i);
		rc = read_item(c, object, i, &item);
		if (rc == CODEC_OK)
			rc = senml_add(in, &item);
		if (rc)
			return rc;
	}
	return CODEC_OK;
}

int senml_json_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct senml_input in = senml_input_of(c, out);

	return senml_json_read(&in, payload);
}

static void put_label(struct buffer *out, enum senml_field field)
{
	if (out->data[out->len - 1] != '{')
		buffer_u8(out, ',');
	buffer_printf(out, "\"%s\":", senml_text(field));
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
		json_put_text(out, span_str(f->base_name));
		if (f->has_base_time) {
			put_label(out, SENML_BASE_TIME);
			buffer_printf(out, "%lld", (long long)f->base_time_s);
		}
	}
	if (senml_name(f, item, name)) {
		put_label(out, SENML_NAME);
		json_put_text(out, span_str(name));
	}
	if (value->type != VALUE_NONE) {
		put_label(out, senml_field_of_type(value->type));
		good = json_put_value(out, value, BASE64_URL);
	}
	if (senml_time(f, item, &time)) {
		put_label(out, SENML_TIME);
		(void)json_put_value(out, &time, BASE64_URL);
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
