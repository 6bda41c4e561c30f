/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Between formats and the model. The one idea: a value that is not what the model says is no error on the way
 * in - clients send integers as floats, booleans as integers, numbers as strings, and operators lack the
 * right version of a definition - but it is one on the way out, where the caller can still be told. Leaves
 * out every wire format.
 */

#include "codec/delivery.h"

#include "codec/base64.h"

#include <stdarg.h>
#include <stdio.h>

const struct resource_def *typing_find(struct typing *t, const struct path *p)
{
	const struct resource_def *found;

	if (!t->model || p->depth < PATH_RESOURCE)
		return NULL;
	if (t->id != p->ids[0]) {
		t->object = model_object(t->model, p->ids[0]);
		t->id = p->ids[0];
	}
	if (!t->object)
		return NULL;
	found = object_resource(t->object, p->ids[2]);
	return found ? found : model_resource(t->model, p->ids[0], p->ids[2]);
}

static bool is_text(const struct value *v)
{
	return v->type == VALUE_STRING || v->type == VALUE_CORELNK;
}

/* A resource has instances, or a value itself. */
static bool depth_fits(const struct resource_def *def, const struct path *p)
{
	return def->multiple == (p->depth == PATH_RESOURCE_INSTANCE);
}

static bool settle(struct delivery *d, struct record *record)
{
	struct value *v = &record->value;
	const struct resource_def *def;
	bool fits;

	if (v->type == VALUE_NONE)
		return true;
	def = typing_find(&d->typing, &record->path);
	if (is_text(v) && !utf8_valid(v->bytes)) {
		v->type = VALUE_OPAQUE;
		return false;
	}
	if (!def)
		return true;
	/* A value in the wrong place still gets its type. */
	fits = value_coerce(v, def->type, d->c->arena);
	return fits && depth_fits(def, &record->path);
}

int deliver(struct delivery *d, struct record *record)
{
	if (!settle(d, record))
		record->misfit = true;
	record->extra = !d->c->any_path && !path_is_within(&record->path, &d->c->base);
	return records_add(d->out, record);
}

int opaque_of_text(struct codec_context *c, struct record *record)
{
	int rc = base64_decode(record->value.bytes, c->arena, &record->value.bytes);

	if (rc < 0)
		return rc;
	record->value.type = VALUE_OPAQUE;
	record->misfit = rc == BASE64_MALFORMED;
	return 0;
}

int value_to_write(struct codec_context *c, struct typing *t, const struct record *item, struct value *out)
{
	const struct resource_def *def = typing_find(t, &item->path);

	*out = item->value;
	if (out->type == VALUE_NONE)
		return CODEC_OK;
	if (item->path.depth < PATH_RESOURCE)
		return codec_misfit(c, &item->path, "a value needs a resource");
	if (is_text(out) && !utf8_valid(out->bytes))
		return codec_misfit(c, &item->path, "a string must be UTF-8");
	if (!def)
		return CODEC_OK;
	if (def->type == VALUE_NONE)
		return codec_misfit(c, &item->path, "an executable resource has no value");
	if (!depth_fits(def, &item->path))
		return codec_misfit(c, &item->path, "%s",
				    def->multiple ? "a multiple resource has its values in instances"
						  : "a single resource has no instances");
	if (!value_coerce(out, def->type, c->arena))
		return codec_misfit(c, &item->path, "%s does not fit %s", value_type_name(item->value.type),
				    value_type_name(def->type));
	return CODEC_OK;
}

static void say(struct codec_context *c, const char *format, va_list args)
{
	(void)vsnprintf(c->error, sizeof(c->error), format, args);
}

int codec_malformed(struct codec_context *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(c, format, args);
	va_end(args);
	return CODEC_MALFORMED;
}

int codec_unsupported(struct codec_context *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(c, format, args);
	va_end(args);
	return CODEC_UNSUPPORTED;
}

int codec_misfit(struct codec_context *c, const struct path *p, const char *format, ...)
{
	char text[PATH_TEXT];
	va_list args;
	int len;

	len = snprintf(c->error, sizeof(c->error), "%s: ", path_format(p, text));
	va_start(args, format);
	(void)vsnprintf(c->error + len, sizeof(c->error) - (size_t)len, format, args);
	va_end(args);
	return CODEC_MISFIT;
}
