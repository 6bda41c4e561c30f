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

#include <errno.h>

enum { VALUES_LIMIT = 4 << 20 };

struct snapshot {
	struct target target;
	struct content content;
};

/* What may be asked for by Accept, and in which minor versions of LwM2M 1. */
static const struct {
	uint16_t format;
	uint8_t since, until;
	bool composite;
} formats[] = {
	{FORMAT_TEXT, 0, UINT8_MAX, false},
	{FORMAT_OPAQUE, 0, UINT8_MAX, false},
	{FORMAT_CBOR, 1, UINT8_MAX, false},
	{FORMAT_SENML_JSON, 1, UINT8_MAX, true},
	{FORMAT_SENML_CBOR, 1, UINT8_MAX, true},
	{FORMAT_TLV, 0, UINT8_MAX, false},
	{FORMAT_JSON, 0, 0, false}, /* clients of 1.1 do not use it any more (Core 1.1.1, 7.4) */
};

/* ---- targets ---- */

int target_copy(struct target *to, const struct target *from)
{
	struct path *paths = malloc(MAX(from->count, (size_t)1) * sizeof(*paths));

	*to = *from;
	to->paths = paths;
	if (!paths) {
		to->count = 0;
		return -ENOMEM;
	}
	for (size_t i = 0; i < from->count; i++)
		paths[i] = from->paths[i];
	return 0;
}

void target_deinit(struct target *t)
{
	free((void *)t->paths);
	*t = (struct target){0};
}

/* ---- formats ---- */

bool content_knows(const struct sim *s, uint16_t format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].format == format)
			return formats[i].since <= s->model.lwm2m.minor &&
			       s->model.lwm2m.minor <= formats[i].until && codec_find(format);
	return false;
}

bool content_is_composite(uint16_t format)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].format == format)
			return formats[i].composite;
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

static uint16_t default_format(const struct sim *s, const struct target *t, const struct records *records)
{
	bool single = !t->composite && t->paths->depth >= PATH_RESOURCE && records->count == 1 &&
		      path_compare(&records->items[0].path, t->paths) == 0;

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

/* Sorts, and leaves one of what several paths of the list lead to; nothing that is only empty. */
static void unite(struct records *r)
{
	size_t kept = 0;

	records_sort(r);
	for (size_t i = 0; i < r->count; i++) {
		bool again = kept && path_compare(&r->items[kept - 1].path, &r->items[i].path) == 0;

		if (!again && r->items[i].value.type != VALUE_NONE)
			r->items[kept++] = r->items[i];
	}
	r->count = kept;
}

static uint8_t read_composite(struct device *d, const struct objects_env *env, const struct target *t,
			      struct records *out)
{
	for (size_t i = 0; i < t->count; i++)
		if (objects_read(&d->objects, env, &t->paths[i], out) == COAP_INTERNAL_SERVER_ERROR)
			return COAP_INTERNAL_SERVER_ERROR;
	unite(out);
	return COAP_CONTENT;
}

static uint8_t read_records(struct device *d, const struct objects_env *env, const struct target *t,
			    struct records *out)
{
	return t->composite ? read_composite(d, env, t, out) : objects_read(&d->objects, env, t->paths, out);
}

static void read_values(struct device *d, const struct target *t, uint64_t now_ms, struct content *out)
{
	_cleanup_arena_ struct arena arena;
	char name[DEVICE_NAME];
	const struct objects_env env = content_env(d, now_ms, name);
	struct codec_context codec = {
		.model = &d->sim->model, .any_path = t->composite, .now_ms = env.wall_ms, .arena = &arena};
	struct records records = records_of(&arena);
	int rc;

	arena_init(&arena, VALUES_LIMIT);
	if (!t->composite)
		codec.base = *t->paths;
	*out = (struct content){.format = t->accept, .payload = buffer_of(CONTENT_LIMIT)};
	out->code = read_records(d, &env, t, &records);
	if (out->code != COAP_CONTENT)
		return;
	out->number = number_of(&records);
	if (t->accept == COAP_FORMAT_NONE)
		out->format = default_format(d->sim, t, &records);
	rc = content_knows(d->sim, out->format) && (!t->composite || content_is_composite(out->format))
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

static bool is_kept(const struct device *d, const struct target *t)
{
	const struct target *kept = d->snapshot ? &d->snapshot->target : NULL;

	if (!kept || kept->accept != t->accept || kept->composite != t->composite || kept->count != t->count)
		return false;
	for (size_t i = 0; i < t->count; i++)
		if (path_compare(&kept->paths[i], &t->paths[i]) != 0)
			return false;
	return true;
}

void content_take(struct device *d, const struct target *target, const struct coap_block *block2,
		  uint64_t now_ms, struct content *out)
{
	if (block2 && block2->num > 0 && is_kept(d, target)) {
		*out = d->snapshot->content;
		d->snapshot->content.payload = buffer_of(0);
		return;
	}
	if (target->accept == FORMAT_LINK && !target->composite)
		discover(d, target->paths, now_ms, out);
	else
		read_values(d, target, now_ms, out);
}

bool content_attach(struct content *c, const struct siphash_key *key, const struct coap_block *block2,
		    struct coap_message *m, uint8_t etag[COAP_BODY_ETAG])
{
	enum coap_served served = coap_serve_body(m, buffer_span(&c->payload), block2, key, etag);
	int rc;

	if (served == COAP_SERVED_BEYOND)
		return false;
	c->blocks = served == COAP_SERVED_BLOCK;
	rc = coap_add_uint(m, COAP_OPTION_CONTENT_FORMAT, c->format);
	assert(rc == 0); /* a handful of options always has room */
	(void)rc;
	return true;
}

void content_release(struct device *d, const struct target *target, struct content *c)
{
	if (!c->blocks) {
		buffer_deinit(&c->payload);
		return;
	}
	content_forget(d);
	d->snapshot = calloc(1, sizeof(*d->snapshot));
	if (d->snapshot && target_copy(&d->snapshot->target, target) == 0) {
		d->snapshot->content = *c;
		return;
	}
	buffer_deinit(&c->payload);
	content_forget(d);
}

void content_forget(struct device *d)
{
	if (d->snapshot) {
		target_deinit(&d->snapshot->target);
		buffer_deinit(&d->snapshot->content.payload);
	}
	free(d->snapshot);
	d->snapshot = NULL;
}
