/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of formats, and what holds for all of them around it: guessing a format that was not said, an
 * empty answer, what says nothing, and paths that must lie within what was asked for. The one hard idea is
 * the last: an answer may hold instances of other objects if a link in it leads there (LwM2M Core 1.2,
 * 6.3.1), which is known only when the whole payload was read. Leaves out the formats.
 */

#include "codec/codec.h"

#include "codec/delivery.h"
#include "codec/formats.h"

#include <errno.h>
#include <strings.h>

/* No object has more links; a payload that does is not worth a search in a square. */
enum { LINKS_MAX = 64 };

static const struct codec codecs[] = {
	{FORMAT_TEXT, "TEXT", 1, text_decode, text_encode},
	{FORMAT_LINK, "LINK", 1, link_decode, link_encode},
	{FORMAT_OPAQUE, "OPAQUE", 1, opaque_decode, opaque_encode},
	{FORMAT_CBOR, "CBOR", 1, cbor_decode, cbor_encode},
	{FORMAT_SENML_JSON, "SENML_JSON", 0, senml_json_decode, senml_json_encode},
	{FORMAT_SENML_CBOR, "SENML_CBOR", 0, senml_cbor_decode, senml_cbor_encode},
	{FORMAT_TLV, "TLV", 0, tlv_decode, tlv_encode},
	{FORMAT_JSON, "JSON", 0, oma_json_decode, oma_json_encode},
};

static uint16_t present_number(uint16_t format)
{
	switch (format) {
	case FORMAT_OLD_TEXT:
		return FORMAT_TEXT;
	case FORMAT_OLD_TLV:
		return FORMAT_TLV;
	case FORMAT_OLD_JSON:
		return FORMAT_JSON;
	case FORMAT_OLD_OPAQUE:
		return FORMAT_OPAQUE;
	default:
		return format;
	}
}

const struct codec *codec_find(uint16_t format)
{
	format = present_number(format);
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (codecs[i].format == format)
			return &codecs[i];
	return NULL;
}

const struct codec *codec_find_name(struct span name)
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (name.len == strlen(codecs[i].name) &&
		    strncasecmp((const char *)name.data, codecs[i].name, name.len) == 0)
			return &codecs[i];
	return NULL;
}

static bool is_multiple(const struct codec_context *c, bool if_unknown)
{
	struct typing typing = typing_of(c);
	const struct resource_def *def = typing_find(&typing, &c->base);

	return def ? def->multiple : if_unknown;
}

/* JSON begins with a bracket. No TLV of an instance or resource does: it would be a resource instance. */
static uint16_t guess_format(const struct codec_context *c, struct span payload)
{
	bool json = payload.len && payload.data[0] == '[', oma_json = payload.len && payload.data[0] == '{';

	if (c->any_path || c->base.depth == PATH_ROOT)
		return json ? FORMAT_SENML_JSON : FORMAT_SENML_CBOR;
	if (c->base.depth == PATH_RESOURCE_INSTANCE)
		return FORMAT_TEXT;
	if (c->base.depth == PATH_RESOURCE && !is_multiple(c, false))
		return FORMAT_TEXT;
	return json ? FORMAT_SENML_JSON : oma_json ? FORMAT_JSON : FORMAT_TLV;
}

/* An answer without records says that there is nothing below the path, where that can be. */
static int decode_nothing(struct codec_context *c, struct records *out)
{
	struct record record = {.path = c->base};

	if (c->any_path || c->base.depth == PATH_ROOT)
		return CODEC_OK;
	if (c->base.depth == PATH_RESOURCE_INSTANCE ||
	    (c->base.depth == PATH_RESOURCE && !is_multiple(c, true)))
		return codec_malformed(c, "no value");
	return records_add(out, &record);
}

/*
 * "There is nothing at this path", and then comes what is: an empty instance in front of its resources, or
 * the base name of those that follow in a SenML record of its own. What is there holds. Marks them in `out`,
 * by the place that each had before it was sorted.
 */
static void mark_contradicted(const struct records *sorted, bool *out)
{
	const struct record *items = sorted->items;

	for (size_t i = 0, end; i < sorted->count; i = end) {
		bool filled = false;

		for (end = i; end < sorted->count && path_compare(&items[i].path, &items[end].path) == 0;
		     end++)
			filled = filled || items[end].value.type != VALUE_NONE;
		filled = filled || (end < sorted->count && path_is_within(&items[end].path, &items[i].path));
		for (size_t at = i; at < end; at++)
			out[items[at].order] = filled && items[at].value.type == VALUE_NONE;
	}
}

static int drop_contradicted(struct codec_context *c, struct records *out, size_t first)
{
	size_t count = out->count - first, kept = first, nothing = 0;
	struct records sorted = records_of(c->arena);
	bool *contradicted;

	for (size_t i = first; i < out->count; i++)
		nothing += out->items[i].value.type == VALUE_NONE;
	if (nothing == 0 || count == 1)
		return CODEC_OK;
	sorted.items = arena_alloc(c->arena, count * sizeof(*sorted.items));
	contradicted = arena_alloc(c->arena, count * sizeof(*contradicted));
	if (!sorted.items || !contradicted)
		return -ENOMEM;
	sorted.count = sorted.cap = count;
	memcpy(sorted.items, out->items + first, count * sizeof(*sorted.items));
	records_sort(&sorted);
	mark_contradicted(&sorted, contradicted);
	for (size_t i = 0; i < count; i++)
		if (!contradicted[i])
			out->items[kept++] = out->items[first + i];
	out->count = kept;
	return CODEC_OK;
}

struct links {
	struct value list[LINKS_MAX];
	size_t count;
};

static bool links_to(const struct links *l, const struct path *p)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].link.object == p->ids[0] && l->list[i].link.instance == p->ids[1])
			return true;
	return false;
}

static void collect_links(const struct records *records, size_t first, struct links *out)
{
	out->count = 0;
	for (size_t i = first; i < records->count; i++)
		if (records->items[i].value.type == VALUE_OBJLNK && out->count < LINKS_MAX)
			out->list[out->count++] = records->items[i].value;
}

static int check_extras(struct codec_context *c, const struct records *out, size_t first)
{
	struct links links;
	char text[PATH_TEXT];
	size_t i = first;

	while (i < out->count && !out->items[i].extra)
		i++;
	if (i == out->count)
		return CODEC_OK;
	collect_links(out, first, &links);
	for (; i < out->count; i++) {
		const struct record *r = &out->items[i];

		if (r->extra && (r->path.depth < PATH_INSTANCE || !links_to(&links, &r->path)))
			return codec_malformed(c, "%s was not asked for", path_format(&r->path, text));
	}
	return CODEC_OK;
}

int codec_decode(struct codec_context *c, uint16_t format, struct span payload, struct records *out)
{
	const struct codec *codec;
	size_t before = out->count;
	int rc = CODEC_OK;

	c->error[0] = '\0';
	if (format == FORMAT_NONE)
		format = guess_format(c, payload);
	codec = codec_find(format);
	if (!codec)
		return codec_unsupported(c, "no codec for content format %u", format);
	if (payload.len || codec->max_count_one)
		rc = codec->decode(c, payload, out);
	if (rc == CODEC_OK && out->count == before)
		rc = decode_nothing(c, out);
	if (rc == CODEC_OK)
		rc = drop_contradicted(c, out, before);
	if (rc == CODEC_OK)
		rc = check_extras(c, out, before);
	if (rc)
		out->count = before;
	return rc;
}

/* What encoders rely on: within the base, in order, and a path again only at another time. */
static int check_order(struct codec_context *c, const struct record *items, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct path *p = &items[i].path;
		int order = i ? path_compare(&items[i - 1].path, p) : -1;

		if (!c->any_path && !path_is_within(p, &c->base))
			return codec_misfit(c, p, "outside of the path of the request");
		if (order > 0)
			return codec_misfit(c, p, "records are out of order");
		if (order == 0 && !items[i].timed)
			return codec_misfit(c, p, "there twice");
	}
	return CODEC_OK;
}

int codec_encode(struct codec_context *c, uint16_t format, const struct record *items, size_t count,
		 struct buffer *out)
{
	const struct codec *codec = codec_find(format);
	size_t before = out->len;
	int rc;

	c->error[0] = '\0';
	if (!codec)
		return codec_unsupported(c, "no codec for content format %u", format);
	rc = check_order(c, items, count);
	if (rc == CODEC_OK)
		rc = codec->encode(c, items, count, out);
	if (rc == CODEC_OK && out->failed)
		rc = -ENOMEM;
	if (rc)
		out->len = before;
	return rc;
}
