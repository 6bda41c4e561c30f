/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * JSON of LwM2M 1.0 (11543, before IANA 1543; LwM2M Core 1.0.2, 6.4.4): an object with a list "e" of values,
 * and a base name and time for all of them. A draft of what became SenML, with two differences that matter:
 * opaque values are strings, so only the model tells them apart; and without a base name, names are relative
 * to the path of the request. Where a base name lacks the slash at its end, the names say whether it was
 * meant. Leaves out composites, which LwM2M 1.0 has not.
 */

#include "codec/formats.h"
#include "codec/json_tree.h"
#include "codec/senml.h"

enum entry_field {
	ENTRY_NAME,
	ENTRY_TIME,
	ENTRY_NUMBER,
	ENTRY_STRING,
	ENTRY_BOOLEAN,
	ENTRY_LINK,
	ENTRY_FIELDS
};

static const char *const entry_labels[ENTRY_FIELDS] = {
	[ENTRY_NAME] = "n",    [ENTRY_TIME] = "t",     [ENTRY_NUMBER] = "v",
	[ENTRY_STRING] = "sv", [ENTRY_BOOLEAN] = "bv", [ENTRY_LINK] = "ov",
};

static const uint32_t entry_values =
	1U << ENTRY_NUMBER | 1U << ENTRY_STRING | 1U << ENTRY_BOOLEAN | 1U << ENTRY_LINK;

struct entry {
	uint32_t present; /* bit per field */
	struct value fields[ENTRY_FIELDS];
};

/* What holds for all entries. */
struct base {
	struct span name; /* empty: the path of the request */
	double time;
	bool timed;
};

static int read_entry(struct codec_context *c, json_t *object, size_t number, struct entry *out)
{
	out->present = 0;
	for (unsigned f = 0; f < ENTRY_FIELDS; f++) {
		const json_t *json = json_object_get(object, entry_labels[f]);
		int rc = json ? json_tree_value(c, json, &out->fields[f]) : CODEC_OK;

		if (rc == CODEC_MALFORMED)
			return codec_malformed(c, "entry %zu: \"%s\" is no value", number, entry_labels[f]);
		if (rc)
			return rc;
		if (json)
			out->present |= 1U << f;
	}
	return CODEC_OK;
}

static int read_base(struct codec_context *c, const json_t *root, struct base *out)
{
	const json_t *name = json_object_get(root, "bn"), *time = json_object_get(root, "bt");
	struct value value;
	int rc;

	*out = (struct base){0};
	if (name) {
		rc = json_tree_value(c, name, &value);
		if (rc < 0)
			return rc;
		if (rc || value.type != VALUE_STRING)
			return codec_malformed(c, "the base name is no text");
		out->name = value.bytes;
	}
	if (time) {
		rc = json_tree_value(c, time, &value);
		if (rc < 0)
			return rc;
		if (rc || !senml_seconds_of(&value, &out->time))
			return codec_malformed(c, "the base time is no number");
		out->timed = true;
	}
	return CODEC_OK;
}

static bool join(const struct codec_context *c, struct span base, const char *between, struct span rest,
		 struct path *out)
{
	uint8_t name[SENML_NAME_MAX];
	struct writer w = writer_of(name, sizeof(name));

	writer_bytes(&w, base);
	writer_str(&w, between);
	writer_bytes(&w, rest);
	return !w.failed && path_parse(senml_below_root(c, writer_span(&w)), out);
}

/* "/3/0/6" and "0": /3/0/60 to the letter, but not for one who asked for /3/0/6. */
static int take_path(struct codec_context *c, const struct base *base, const struct entry *e, size_t number,
		     struct path *out)
{
	struct span name = {NULL, 0};
	struct path meant;

	if (e->present & 1U << ENTRY_NAME) {
		if (e->fields[ENTRY_NAME].type != VALUE_STRING)
			return codec_malformed(c, "entry %zu: the name is no text", number);
		name = e->fields[ENTRY_NAME].bytes;
	}
	if (base->name.len == 0) {
		bool absolute = name.len && name.data[0] == '/';

		if (absolute ? path_parse(senml_below_root(c, name), out)
			     : path_parse_below(&c->base, name, out))
			return CODEC_OK;
	} else {
		bool joined = join(c, base->name, "", name, out);

		if (joined && path_is_within(out, &c->base))
			return CODEC_OK;
		if (join(c, base->name, "/", name, &meant) && (!joined || path_is_within(&meant, &c->base))) {
			*out = meant;
			return CODEC_OK;
		}
		if (joined)
			return CODEC_OK;
	}
	return codec_malformed(c, "entry %zu: the name is no path", number);
}

static int take_time(struct codec_context *c, const struct base *base, struct entry *e, size_t number,
		     struct record *out)
{
	double seconds = 0;
	bool timed = e->present & 1U << ENTRY_TIME;

	if (timed && !senml_seconds_of(&e->fields[ENTRY_TIME], &seconds))
		return codec_malformed(c, "entry %zu: the time is no number", number);
	if ((timed || base->timed) && !senml_set_time(c, base->time + seconds, out))
		return codec_malformed(c, "entry %zu: the time is out of range", number);
	return CODEC_OK;
}

static int take_value(struct delivery *d, const struct entry *e, size_t number, struct record *out)
{
	uint32_t present = e->present & entry_values;
	const struct resource_def *def;
	struct value *v = &out->value;
	enum entry_field field;

	if (!present)
		return CODEC_OK;
	if (present & (present - 1))
		return codec_malformed(d->c, "entry %zu has several values", number);
	if (out->path.depth < PATH_RESOURCE)
		return codec_malformed(d->c, "entry %zu: value of no resource", number);
	field = (enum entry_field)__builtin_ctz(present);
	*v = e->fields[field];
	if (field == ENTRY_NUMBER) {
		(void)senml_number_of(v);
	} else if (field == ENTRY_BOOLEAN) {
		(void)value_coerce(v, VALUE_BOOLEAN, NULL);
	} else if (field == ENTRY_LINK) {
		(void)value_coerce(v, VALUE_OBJLNK, NULL);
	} else if (v->type == VALUE_STRING) {
		def = typing_find(&d->typing, &out->path);
		if (def && def->type == VALUE_OPAQUE)
			return opaque_of_text(d->c, out);
	}
	return CODEC_OK;
}

static int take_entry(struct delivery *d, const struct base *base, json_t *object, size_t number)
{
	struct record record = {0};
	struct entry entry;
	int rc;

	if (!json_is_object(object))
		return codec_malformed(d->c, "entry %zu is no object", number);
	rc = read_entry(d->c, object, number, &entry);
	if (rc == CODEC_OK)
		rc = take_path(d->c, base, &entry, number, &record.path);
	if (rc == CODEC_OK)
		rc = take_time(d->c, base, &entry, number, &record);
	if (rc == CODEC_OK)
		rc = take_value(d, &entry, number, &record);
	return rc ? rc : deliver(d, &record);
}

int oma_json_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct delivery d = delivery_of(c, out);
	_cleanup_(json_tree_cleanup) json_t *root = NULL;
	const json_t *entries;
	struct base base;
	json_t *object;
	size_t i;
	int rc;

	if (c->any_path || c->base.depth == PATH_ROOT)
		return codec_unsupported(c, "JSON of LwM2M 1.0 has no composites");
	rc = json_tree_parse(c, payload, &root);
	if (rc)
		return rc;
	entries = json_object_get(root, "e");
	if (!json_is_array(entries))
		return codec_malformed(c, "JSON of LwM2M 1.0 is an object with a list \"e\"");
	rc = read_base(c, root, &base);
	json_array_foreach (entries, i, object) {
		if (rc == CODEC_OK)
			rc = take_entry(&d, &base, object, i);
		if (rc)
			break;
	}
	return rc;
}

static enum entry_field field_of_type(enum value_type type)
{
	switch (type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		return ENTRY_STRING;
	case VALUE_BOOLEAN:
		return ENTRY_BOOLEAN;
	case VALUE_OBJLNK:
		return ENTRY_LINK;
	default:
		return ENTRY_NUMBER;
	}
}

static bool put_entry(struct buffer *out, const struct senml_frame *f, const struct record *item,
		      const struct value *value)
{
	char name[PATH_TEXT];
	const char *comma = "";
	struct value time;
	bool good = true;

	buffer_u8(out, '{');
	if (senml_name(f, item, name)) {
		buffer_printf(out, "\"n\":\"%s\"", name);
		comma = ",";
	}
	if (value->type != VALUE_NONE) {
		buffer_printf(out, "%s\"%s\":", comma, entry_labels[field_of_type(value->type)]);
		good = json_put_value(out, value, BASE64_STANDARD);
		comma = ",";
	}
	if (senml_time(f, item, &time)) {
		buffer_printf(out, "%s\"t\":", comma);
		(void)json_put_value(out, &time, BASE64_STANDARD);
	}
	buffer_u8(out, '}');
	return good;
}

int oma_json_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct typing typing = typing_of(c);
	struct codec_context bare = *c;
	struct senml_frame frame;
	int rc;

	if (c->any_path || c->base.depth == PATH_ROOT)
		return codec_unsupported(c, "JSON of LwM2M 1.0 has no composites");
	bare.root = (struct span){NULL, 0};
	frame = senml_frame_of(&bare, items, count);
	rc = senml_check(c, items, count);
	buffer_printf(out, "{\"bn\":\"%s\",", frame.base_name);
	if (frame.has_base_time)
		buffer_printf(out, "\"bt\":%lld,", (long long)frame.base_time_s);
	buffer_str(out, "\"e\":[");
	for (size_t i = 0; rc == CODEC_OK && i < count && !out->failed; i++) {
		struct value value;

		if (i)
			buffer_u8(out, ',');
		rc = value_to_write(c, &typing, &items[i], &value);
		if (rc == CODEC_OK && !put_entry(out, &frame, &items[i], &value))
			rc = codec_misfit(c, &items[i].path, "no number that JSON can carry");
	}
	buffer_str(out, "]}");
	return rc;
}
