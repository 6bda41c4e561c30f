/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * text/plain (0): one value as text (LwM2M Core 1.1.1, 7.4.2). Text has no types of its own, so all meaning
 * comes from the model; without one it stays a string.
 */

#include "codec/base64.h"
#include "codec/delivery.h"
#include "codec/formats.h"

int text_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct delivery d = delivery_of(c, out);
	struct record record = {.path = c->base, .value = {.type = VALUE_STRING, .bytes = payload}};
	const struct resource_def *def = typing_find(&d.typing, &c->base);
	int rc = CODEC_OK;

	if (c->base.depth < PATH_RESOURCE)
		return codec_unsupported(c, "text carries a single value");
	if (def && def->type == VALUE_OPAQUE)
		rc = opaque_of_text(c, &record);
	return rc ? rc : deliver(&d, &record);
}

int text_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct typing typing = typing_of(c);
	char text[VALUE_TEXT];
	struct value value;
	size_t len;
	int rc;

	if (count != 1)
		return codec_unsupported(c, "text carries a single value");
	rc = value_to_write(c, &typing, items, &value);
	if (rc)
		return rc;
	switch (value.type) {
	case VALUE_STRING:
	case VALUE_CORELNK:
		buffer_bytes(out, value.bytes);
		return CODEC_OK;
	case VALUE_OPAQUE:
		base64_encode(out, value.bytes, BASE64_STANDARD);
		return CODEC_OK;
	default:
		len = value_format(&value, text);
		if (len == 0)
			return codec_misfit(c, &items->path, "no value that text can carry");
		buffer_bytes(out, span_of(text, len));
		return CODEC_OK;
	}
}
