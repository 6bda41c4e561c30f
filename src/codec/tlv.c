/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * OMA TLV (11542): nested type-length-value (LwM2M Core 1.1.1, 7.4.4). The one hard idea is that the payload
 * says neither types nor where it begins: types are the model's, and the first level may be instances,
 * resources, or instances of a resource, whatever was asked for, because clients wrap more or less than they
 * should. Reading keeps a stack of at most three levels; writing puts the content first and then shoves its
 * header in front. Leaves out times: TLV has none.
 */

#include "codec/delivery.h"
#include "codec/formats.h"

#include <float.h>
#include <math.h>

/* Bits 7 and 6 of the first byte. */
enum tlv_kind { TLV_INSTANCE = 0, TLV_RESOURCE_INSTANCE = 1, TLV_MULTIPLE = 2, TLV_RESOURCE = 3 };

enum { TLV_ID16 = 0x20, LEVELS_MAX = 3, LENGTH_MAX = 0xFFFFFF };

struct tlv {
	enum tlv_kind kind;
	uint16_t id;
	struct span value;
};

/* One item: its bytes, and the path of what it is in. */
struct level {
	struct reader in;
	struct path parent;
};

struct tlv_input {
	struct delivery d;
	const uint8_t *start;
	struct level levels[LEVELS_MAX];
	size_t depth;
};

static bool read_item(struct reader *in, struct tlv *out)
{
	uint8_t type = reader_u8(in), length_width = type >> 3 & 3;
	size_t len;

	out->kind = (enum tlv_kind)(type >> 6);
	out->id = type & TLV_ID16 ? reader_u16(in) : reader_u8(in);
	len = length_width ? (size_t)reader_uint(in, length_width) : type & 7U;
	out->value = reader_bytes(in, len);
	return !in->failed && out->id != PATH_ID_NONE;
}

static int64_t sign_extended(uint64_t v, size_t width)
{
	unsigned unused = 64 - 8 * (unsigned)width;

	return (int64_t)(v << unused) >> unused;
}

/*
 * Integers have 1, 2, 4 or 8 bytes; some clients leave out a zero altogether, and some write digits, which is
 * plain where the length is that of no integer.
 */
static bool read_number(struct span bytes, enum value_type type, struct value *out)
{
	struct reader in = reader_of(bytes);
	uint64_t raw;

	if (bytes.len != 0 && bytes.len != 1 && bytes.len != 2 && bytes.len != 4 && bytes.len != 8) {
		*out = (struct value){.type = VALUE_STRING, .bytes = bytes};
		return value_coerce(out, type, NULL);
	}
	raw = reader_uint(&in, bytes.len);
	if (type == VALUE_UNSIGNED)
		*out = (struct value){.type = VALUE_UNSIGNED, .unsigned_ = raw};
	else
		*out = (struct value){.type = VALUE_INTEGER,
				      .integer = bytes.len ? sign_extended(raw, bytes.len) : 0};
	return value_coerce(out, type, NULL);
}

static bool read_real(struct span bytes, struct value *out)
{
	struct reader in = reader_of(bytes);
	uint64_t raw;
	uint32_t raw32;
	float single;

	if (bytes.len != 4 && bytes.len != 8)
		return read_number(bytes, VALUE_FLOAT, out);
	*out = (struct value){.type = VALUE_FLOAT};
	raw = reader_uint(&in, bytes.len);
	if (bytes.len == 8) {
		memcpy(&out->real, &raw, sizeof(raw));
		return true;
	}
	raw32 = (uint32_t)raw;
	memcpy(&single, &raw32, sizeof(single));
	out->real = (double)single;
	return true;
}

static bool read_link(struct span bytes, struct value *out)
{
	struct reader in = reader_of(bytes);

	if (bytes.len != 4) {
		*out = (struct value){.type = VALUE_STRING, .bytes = bytes};
		return value_coerce(out, VALUE_OBJLNK, NULL);
	}
	*out = (struct value){.type = VALUE_OBJLNK};
	out->link.object = reader_u16(&in);
	out->link.instance = reader_u16(&in);
	return true;
}

static bool read_value(struct span bytes, enum value_type type, struct value *out)
{
	switch (type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
	case VALUE_OPAQUE:
		*out = (struct value){.type = type, .bytes = bytes};
		return true;
	case VALUE_INTEGER:
	case VALUE_UNSIGNED:
	case VALUE_TIME:
	case VALUE_BOOLEAN:
		return read_number(bytes, type, out);
	case VALUE_FLOAT:
		return read_real(bytes, out);
	case VALUE_OBJLNK:
		return read_link(bytes, out);
	default:
		return false;
	}
}

static int deliver_value(struct tlv_input *t, struct path path, struct span bytes)
{
	struct record record = {.path = path};
	const struct resource_def *def = typing_find(&t->d.typing, &path);

	if (!def || !read_value(bytes, def->type, &record.value))
		record.value = (struct value){.type = VALUE_OPAQUE, .bytes = bytes};
	return deliver(&t->d, &record);
}

/* Goes down into an item; if there is nothing, that is what is delivered. */
static int enter(struct tlv_input *t, struct path path, struct span content)
{
	struct record nothing = {.path = path};

	if (content.len == 0)
		return deliver(&t->d, &nothing);
	assert(t->depth < LEVELS_MAX);
	t->levels[t->depth++] = (struct level){reader_of(content), path};
	return CODEC_OK;
}

/*
 * Resources right below an object: its only instance, or (Create) one whose id the client is to choose, which
 * is PATH_ID_NONE.
 */
static struct path implied_instance(const struct codec_context *c)
{
	const struct object_def *o = c->model ? model_object(c->model, c->base.ids[0]) : NULL;

	return path_child(c->base, o && !o->multiple ? 0 : PATH_ID_NONE);
}

/* The depth of what holds an item. */
static const uint8_t holder_depth[] = {
	[TLV_INSTANCE] = PATH_OBJECT,
	[TLV_RESOURCE_INSTANCE] = PATH_RESOURCE,
	[TLV_MULTIPLE] = PATH_INSTANCE,
	[TLV_RESOURCE] = PATH_INSTANCE,
};

/* What an item is in: on the first level as much of the path of the request as the item leaves out. */
static bool find_holder(const struct tlv_input *t, enum tlv_kind kind, struct path *out)
{
	const struct codec_context *c = t->d.c;
	unsigned depth = holder_depth[kind];

	if (t->depth > 1) {
		*out = t->levels[t->depth - 1].parent;
		return out->depth == depth;
	}
	*out = c->base.depth == PATH_OBJECT && depth == PATH_INSTANCE ? implied_instance(c)
								      : path_up_to(c->base, depth);
	return out->depth == depth;
}

static int read_one(struct tlv_input *t)
{
	struct reader *in = &t->levels[t->depth - 1].in;
	size_t offset = (size_t)(in->pos - t->start);
	struct path path;
	struct tlv item;

	if (!read_item(in, &item))
		return codec_malformed(t->d.c, "TLV at byte %zu is cut short or has no id", offset);
	if (!find_holder(t, item.kind, &path))
		return codec_malformed(t->d.c, "TLV at byte %zu is in the wrong place", offset);
	path = path_child(path, item.id);
	if (item.kind == TLV_INSTANCE || item.kind == TLV_MULTIPLE)
		return enter(t, path, item.value);
	return deliver_value(t, path, item.value);
}

int tlv_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct tlv_input t = {.d = delivery_of(c, out), .start = payload.data, .depth = 1};
	int rc = CODEC_OK;

	if (c->base.depth == PATH_ROOT)
		return codec_unsupported(c, "TLV does not name objects");
	t.levels[0] = (struct level){.in = reader_of(payload)};
	while (rc == CODEC_OK && t.depth) {
		if (reader_left(&t.levels[t.depth - 1].in))
			rc = read_one(&t);
		else
			t.depth--;
	}
	return rc;
}

struct tlv_output {
	struct codec_context *c;
	struct buffer *out;
	struct typing typing;
};

/* Puts a header in front of what was written from `start` on. */
static int wrap(struct tlv_output *o, enum tlv_kind kind, const struct path *p, size_t start)
{
	uint16_t id = p->ids[p->depth - 1];
	size_t len = o->out->len - start, head_len;
	unsigned width = len < 8 ? 0 : len <= UINT8_MAX ? 1 : len <= UINT16_MAX ? 2 : 3;
	unsigned type = (unsigned)kind << 6 | (id > UINT8_MAX ? TLV_ID16 : 0) | width << 3;
	uint8_t head[6];
	struct writer w = writer_of(head, sizeof(head));

	if (len > LENGTH_MAX)
		return codec_misfit(o->c, p, "too long for TLV");
	writer_u8(&w, (uint8_t)(width ? type : type | len));
	writer_uint(&w, id, id > UINT8_MAX ? 2 : 1);
	writer_uint(&w, len, width);
	head_len = writer_len(&w);
	if (!buffer_extend(o->out, head_len))
		return CODEC_OK; /* the buffer says that it failed */
	memmove(o->out->data + start + head_len, o->out->data + start, len);
	memcpy(o->out->data + start, head, head_len);
	return CODEC_OK;
}

static size_t integer_width(int64_t v)
{
	return v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 8;
}

static size_t unsigned_width(uint64_t v)
{
	return v <= UINT8_MAX ? 1 : v <= UINT16_MAX ? 2 : v <= UINT32_MAX ? 4 : 8;
}

/* In single precision if that is exact; which NaN it is does not matter. */
static void write_real(struct buffer *out, double v)
{
	float single;
	uint32_t bits32;
	uint64_t bits;

	if (isnan(v) || isinf(v) || (fabs(v) <= (double)FLT_MAX && (double)(float)v == v)) {
		single = (float)v;
		memcpy(&bits32, &single, sizeof(bits32));
		buffer_uint(out, bits32, sizeof(bits32));
	} else {
		memcpy(&bits, &v, sizeof(bits));
		buffer_uint(out, bits, sizeof(bits));
	}
}

static void write_value(struct buffer *out, const struct value *v)
{
	switch (v->type) {
	case VALUE_INTEGER:
	case VALUE_TIME:
		buffer_uint(out, (uint64_t)v->integer, integer_width(v->integer));
		break;
	case VALUE_UNSIGNED:
		buffer_uint(out, v->unsigned_, unsigned_width(v->unsigned_));
		break;
	case VALUE_FLOAT:
		write_real(out, v->real);
		break;
	case VALUE_BOOLEAN:
		buffer_u8(out, v->boolean);
		break;
	case VALUE_OBJLNK:
		buffer_uint(out, (uint64_t)v->link.object << 16 | v->link.instance, 4);
		break;
	default:
		buffer_bytes(out, v->bytes);
	}
}

static int encode_value(struct tlv_output *o, const struct record *item, enum tlv_kind kind)
{
	size_t start = o->out->len;
	struct value value;
	int rc = value_to_write(o->c, &o->typing, item, &value);

	if (rc)
		return rc;
	if (value.type == VALUE_NONE)
		return codec_misfit(o->c, &item->path, "no value");
	write_value(o->out, &value);
	return wrap(o, kind, &item->path, start);
}

/* How many of the records, from the first on, have the same path up to `depth`. */
static size_t count_below(const struct record *items, size_t count, unsigned depth)
{
	struct path head = path_up_to(items->path, depth);
	size_t n = 1;

	while (n < count && path_is_within(&items[n].path, &head))
		n++;
	return n;
}

static int encode_multiple(struct tlv_output *o, const struct record *items, size_t count)
{
	struct path resource = path_up_to(items->path, PATH_RESOURCE);
	size_t start = o->out->len;

	for (size_t i = 0; i < count; i++) {
		int rc = encode_value(o, &items[i], TLV_RESOURCE_INSTANCE);

		if (rc)
			return rc;
	}
	return wrap(o, TLV_MULTIPLE, &resource, start);
}

static int encode_resource(struct tlv_output *o, const struct record *items, size_t count)
{
	if (items->path.depth == PATH_RESOURCE_INSTANCE)
		return encode_multiple(o, items, count);
	if (count > 1)
		return codec_misfit(o->c, &items->path, "a value and instances");
	if (items->value.type == VALUE_NONE)
		return wrap(o, TLV_MULTIPLE, &items->path, o->out->len);
	return encode_value(o, items, TLV_RESOURCE);
}

static int encode_instance(struct tlv_output *o, const struct record *items, size_t count)
{
	int rc = CODEC_OK;

	for (size_t i = 0, n; rc == CODEC_OK && i < count; i += n) {
		n = 1;
		if (items[i].path.depth < PATH_RESOURCE)
			continue; /* there is nothing in it */
		n = count_below(&items[i], count - i, PATH_RESOURCE);
		rc = encode_resource(o, &items[i], n);
	}
	return rc;
}

static int encode_object(struct tlv_output *o, const struct record *items, size_t count)
{
	int rc = CODEC_OK;

	for (size_t i = 0, n; rc == CODEC_OK && i < count; i += n) {
		struct path instance = path_up_to(items[i].path, PATH_INSTANCE);
		size_t start = o->out->len;

		n = 1;
		if (instance.depth < PATH_INSTANCE)
			continue; /* there are none */
		n = count_below(&items[i], count - i, PATH_INSTANCE);
		rc = encode_instance(o, &items[i], n);
		if (rc == CODEC_OK && instance.ids[1] != PATH_ID_NONE)
			rc = wrap(o, TLV_INSTANCE, &instance, start);
	}
	return rc;
}

int tlv_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct tlv_output o = {c, out, typing_of(c)};

	if (c->base.depth == PATH_ROOT || c->any_path)
		return codec_unsupported(c, "TLV does not name objects");
	for (size_t i = 1; i < count; i++)
		if (path_compare(&items[i - 1].path, &items[i].path) == 0)
			return codec_misfit(c, &items[i].path, "TLV has one value for each path");
	if (c->base.depth == PATH_OBJECT)
		return encode_object(&o, items, count);
	return encode_instance(&o, items, count);
}
