/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* application/octet-stream (42): one opaque value, as it is (LwM2M Core 1.1.1, 7.4.3). */

#include "codec/delivery.h"
#include "codec/formats.h"

int opaque_decode(struct codec_context *c, struct span payload, struct records *out)
{
	struct delivery d = delivery_of(c, out);
	struct record record = {.path = c->base, .value = {.type = VALUE_OPAQUE, .bytes = payload}};

	if (c->base.depth < PATH_RESOURCE)
		return codec_unsupported(c, "octets carry a single value");
	return deliver(&d, &record);
}

int opaque_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out)
{
	struct typing typing = typing_of(c);
	struct value value;
	int rc;

	if (count != 1)
		return codec_unsupported(c, "octets carry a single value");
	rc = value_to_write(c, &typing, items, &value);
	if (rc)
		return rc;
	if (value.type != VALUE_OPAQUE)
		return codec_misfit(c, &items->path, "octets carry opaque values only");
	buffer_bytes(out, value.bytes);
	return CODEC_OK;
}
