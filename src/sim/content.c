/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * From values to payloads. What is too long for one message goes out in blocks, and the values change from
 * one block to the next: so the payload that the first block was cut from is kept until the next such
 * transfer, and an ETag tells the server which one it is (RFC 7959, 2.4).
 *
 * Leaves out where the payload goes: an answer (answer.c) or a notification (observation.c).
 */

#include "sim/content.h"

#include "codec/codec.h"

enum { BLOCK_SZX_MAX = 6 };

struct snapshot {
	struct path path;
	uint16_t accept;
	struct content content;
};

/* What may be asked for by Accept, and since which minor version of LwM2M 1. */
static const struct {
	uint16_t format;
	uint8_t minor;
} formats[] = {
	{FORMAT_TEXT, 0}, {FORMAT_OPAQUE, 0},	  {FORMAT_TLV, 0},
	{FORMAT_CBOR, 1}, {FORMAT_SENML_JSON, 1}, {FORMAT_SENML_CBOR, 1},
};

bool content_knows(const struct sim *s, uint16_t format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].format == format)
			return formats[i].minor <= s->model.lwm2m.minor && codec_find(format);
	return false;
}

void content_formats(const struct sim *s, struct buffer *out)
{
	const char *separator = "";

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (!content_knows(s, formats[i].format))
			continue;
		buffer_printf(out, "%s%u", separator, formats[i].format);
		separator = " ";
	}
}

struct objects_env content_env(const struct device *d, uint64_t now_ms, char name[DEVICE_NAME])
{
	return (struct objects_env){
		.model = &d->sim->model,
		.endpoint = span_str(device_name(d, name)),
		.wall_ms = sim_wall_ms(d->sim, now_ms),
		.up_ms = now_ms - d->sim->begun_ms,
	};
}

static uint16_t default_format(const struct sim *s, const struct path *path, const struct records *records)
{
	bool single = path->depth >= PATH_RESOURCE && records->count == 1 &&
		      path_compare(&records->items[0].path, path) == 0;

	if (single)
		return records->items[0].value.type == VALUE_OPAQUE ? FORMAT_OPAQUE : FORMAT_TEXT;
	return s->model.lwm2m.minor >= 1 ? FORMAT_SENML_CBOR : FORMAT_TLV;
}

static double number_of(const struct records *records)
{
	struct value v = records->count ? records->items[0].value : (struct value){.type = VALUE_NONE};

	switch (v.type) {
	case VALUE_INTEGER:
		return (double)v.integer;
	case VALUE_UNSIGNED:
		return (double)v.unsigned_;
	case VALUE_FLOAT:
		return v.real;
	default:
		return 0;
	}
}

static void read_values(struct device *d, const struct path *path, uint16_t accept, uint64_t now_ms,
			struct content *out)
{
	_cleanup_arena_ struct arena arena;
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);
	struct codec_context codec = {.model = &d->sim->model, .base = *path, .now_ms = env.wall_ms};
	struct records records;
	int rc;

	arena_init(&arena, CONTENT_LIMIT);
	codec.arena = &arena;
	records = records_of(&arena);
	*out = (struct content){.format = accept, .payload = buffer_of(CONTENT_LIMIT)};
	out->code = objects_read(&d->objects, &env, path, &records);
	if (out->code != COAP_CONTENT)
		return;
	out->number = number_of(&records);
	if (accept == COAP_FORMAT_NONE)
		out->format = default_format(d->sim, path, &records);
	rc = content_knows(d->sim, out->format)
		     ? codec_encode(&codec, out->format, records.items, records.count, &out->payload)
		     : CODEC_UNSUPPORTED;
	if (rc != CODEC_OK)
		out->code = rc < 0 ? COAP_INTERNAL_SERVER_ERROR : COAP_NOT_ACCEPTABLE;
}

/* ---- Discover ---- */

static void add_link(const struct path *path, struct buffer *out)
{
	char text[PATH_TEXT];

	buffer_printf(out, "%s<%s>", out->len ? "," : "", path_format(path, text));
}

static void discover_resource(struct device *d, const struct objects_env *env, const struct path *path,
			      bool asked, struct buffer *out)
{
	size_t cursor = 0, count = 0;
	uint16_t id;

	add_link(path, out);
	while (objects_next(&d->objects, env, path, &cursor, &id))
		count++;
	if (count)
		buffer_printf(out, ";dim=%zu", count);
	/* Asked for one resource, all that holds for it is shown; in a list only its own (Core 1.1.1, 6.3.2).
	 */
	if (asked)
		attributes_format_effective(&d->attributes, path, out);
	else
		attributes_format(&d->attributes, path, out);
	if (!asked || d->sim->model.lwm2m.minor == 0)
		return;
	cursor = 0;
	while (objects_next(&d->objects, env, path, &cursor, &id)) {
		const struct path below = path_child(*path, id);

		add_link(&below, out);
		attributes_format(&d->attributes, &below, out);
	}
}

static void discover_instance(struct device *d, const struct objects_env *env, const struct path *path,
			      struct buffer *out)
{
	size_t cursor = 0;
	uint16_t id;

	add_link(path, out);
	attributes_format(&d->attributes, path, out);
	while (objects_next(&d->objects, env, path, &cursor, &id)) {
		const struct path below = path_child(*path, id);

		discover_resource(d, env, &below, false, out);
	}
}

static void discover_object(struct device *d, const struct objects_env *env, const struct path *path,
			    struct buffer *out)
{
	size_t cursor = 0;
	uint16_t id;

	add_link(path, out);
	objects_version(env, path->ids[0], out);
	attributes_format(&d->attributes, path, out);
	while (objects_next(&d->objects, env, path, &cursor, &id)) {
		const struct path below = path_child(*path, id);

		discover_instance(d, env, &below, out);
	}
}

static void discover(struct device *d, const struct path *path, uint64_t now_ms, struct content *out)
{
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);

	*out = (struct content){.format = FORMAT_LINK, .payload = buffer_of(CONTENT_LIMIT)};
	out->code = objects_check(&d->objects, &env, path);
	if (out->code)
		return;
	out->code = COAP_CONTENT;
	if (path->depth == PATH_OBJECT)
		discover_object(d, &env, path, &out->payload);
	else if (path->depth == PATH_INSTANCE)
		discover_instance(d, &env, path, &out->payload);
	else if (path->depth == PATH_RESOURCE)
		discover_resource(d, &env, path, true, &out->payload);
	else
		out->code = COAP_METHOD_NOT_ALLOWED;
	if (out->payload.failed)
		out->code = COAP_INTERNAL_SERVER_ERROR;
}

/* ---- blocks ---- */

static bool is_kept(const struct device *d, const struct path *path, uint16_t accept)
{
	return d->snapshot && d->snapshot->accept == accept && path_compare(&d->snapshot->path, path) == 0;
}

void content_take(struct device *d, const struct path *path, uint16_t accept, int64_t block2, uint64_t now_ms,
		  struct content *out)
{
	bool later = block2 != CONTENT_NO_BLOCK && block2 >> 4 > 0;

	if (later && is_kept(d, path, accept)) {
		*out = d->snapshot->content;
		d->snapshot->content.payload = buffer_of(0);
		return;
	}
	if (accept == FORMAT_LINK)
		discover(d, path, now_ms, out);
	else
		read_values(d, path, accept, now_ms, out);
}

bool content_attach(struct content *c, const struct siphash_key *key, int64_t block2, struct coap_message *m,
		    uint8_t etag[4])
{
	struct span payload = buffer_span(&c->payload);
	uint32_t asked = block2 == CONTENT_NO_BLOCK ? BLOCK_SZX_MAX : (uint32_t)block2;
	uint32_t szx = MIN(asked & 7, (uint32_t)BLOCK_SZX_MAX);
	size_t size = (size_t)16 << szx;
	size_t start = (asked >> 4) * size;
	bool more = payload.len > start + size;
	uint64_t digest;
	int rc;

	if (start && start >= payload.len)
		return false;
	rc = coap_add_uint(m, COAP_OPTION_CONTENT_FORMAT, c->format);
	c->blocks = more || start;
	if (c->blocks) {
		digest = siphash(key, payload);
		memcpy(etag, &digest, 4);
		rc |= coap_add(m, COAP_OPTION_ETAG, span_of(etag, 4));
		rc |= coap_add_uint(m, COAP_OPTION_BLOCK2,
				    (uint32_t)(start / size) << 4 | (uint32_t)more << 3 | szx);
		rc |= coap_add_uint(m, COAP_OPTION_SIZE2, (uint32_t)payload.len);
	}
	assert(rc == 0); /* a handful of options always has room */
	(void)rc;
	m->payload = span_of(payload.data + start, MIN(size, payload.len - start));
	return true;
}

void content_release(struct device *d, const struct path *path, uint16_t accept, struct content *c)
{
	if (!c->blocks) {
		buffer_deinit(&c->payload);
		return;
	}
	content_forget(d);
	d->snapshot = malloc(sizeof(*d->snapshot));
	if (d->snapshot)
		*d->snapshot = (struct snapshot){*path, accept, *c};
	else
		buffer_deinit(&c->payload);
}

void content_forget(struct device *d)
{
	if (d->snapshot)
		buffer_deinit(&d->snapshot->content.payload);
	free(d->snapshot);
	d->snapshot = NULL;
}
