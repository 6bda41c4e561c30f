/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * application/link-format (40): what Discover answers (RFC 6690). To the codecs it is one text about the path
 * that was asked for, never the value of a resource, so the model has no say; taking the links apart is the
 * business of whoever asked.
 */

#include "codec/delivery.h"
#include "codec/formats.h"

int link_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct record record = {.path = c->base, .value = {.type = VALUE_CORELNK, .bytes = payload}};

	if (!utf8_valid(payload))
		return codec_malformed(c, "links must be UTF-8");
	return records_add(out, &record);
}

int link_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	if (count != 1 || items->value.type != VALUE_CORELNK)
		return codec_unsupported(c, "link-format carries one list of links");
	buffer_bytes(out, items->value.bytes);
	return CODEC_OK;
}
