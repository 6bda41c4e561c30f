/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Lists of paths: the bodies of FETCH. SenML with names and nothing else, in the order of the caller, because
 * the cancel of a composite observation has to repeat it to the byte. Read as all SenML is, wherever a client
 * cuts its names (senml.c).
 */

#include "codec/senml.h"

#include <cbor.h>
#include <errno.h>

enum { HEAD_MAX = 9 }; /* the longest head of a CBOR item */

static void add_head(struct buffer *out, size_t (*encode)(size_t value, unsigned char *to, size_t size),
		     size_t value)
{
	uint8_t head[HEAD_MAX];

	buffer_bytes(out, span_of(head, encode(value, head, sizeof(head))));
}

static void encode_cbor(struct span root, const struct path *paths, size_t count, struct buffer *out)
{
	static const uint8_t label_name = 0; /* RFC 8428, 6 */
	char text[PATH_TEXT];

	add_head(out, cbor_encode_array_start, count);
	for (size_t i = 0; i < count; i++) {
		struct span name = span_str(path_format(&paths[i], text));

		add_head(out, cbor_encode_map_start, 1);
		buffer_u8(out, label_name);
		add_head(out, cbor_encode_string_start, root.len + name.len);
		buffer_bytes(out, root);
		buffer_bytes(out, name);
	}
}

/* A root came as the target of a link: it may hold what JSON has to escape. */
static void add_escaped(struct buffer *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < 0x20 || text.data[i] == '"' || text.data[i] == '\\')
			buffer_printf(out, "\\u%04x", text.data[i]);
		else
			buffer_u8(out, text.data[i]);
	}
}

static void encode_json(struct span root, const struct path *paths, size_t count, struct buffer *out)
{
	char text[PATH_TEXT];

	buffer_u8(out, '[');
	for (size_t i = 0; i < count; i++) {
		buffer_str(out, i ? ",{\"n\":\"" : "{\"n\":\"");
		add_escaped(out, root);
		buffer_printf(out, "%s\"}", path_format(&paths[i], text));
	}
	buffer_u8(out, ']');
}

int codec_encode_paths(uint16_t format, struct span root, const struct path *paths, size_t count,
		       struct buffer *out)
{
	switch (format) {
	case FORMAT_SENML_CBOR:
		encode_cbor(root, paths, count, out);
		break;
	case FORMAT_SENML_JSON:
		encode_json(root, paths, count, out);
		break;
	default:
		return CODEC_UNSUPPORTED;
	}
	return out->failed ? -ENOMEM : CODEC_OK;
}

int codec_decode_paths(struct codec_context *c, uint16_t format, struct span payload, struct path *out,
		       size_t max, size_t *count)
{
	struct senml_paths paths = {.list = out, .max = max};
	struct senml_input in = senml_input_of(c, NULL);
	int rc;

	in.paths = &paths;
	c->error[0] = '\0';
	switch (format) {
	case FORMAT_SENML_CBOR:
		rc = senml_cbor_read(&in, payload);
		break;
	case FORMAT_SENML_JSON:
		rc = senml_json_read(&in, payload);
		break;
	default:
		rc = codec_unsupported(c, "no lists of paths in content format %u", format);
	}
	*count = rc ? 0 : paths.count;
	return rc;
}
