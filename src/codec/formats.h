/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "codec/codec.h"

/* What the table of codecs consists of: one file per format. Contracts as of codec_decode and codec_encode.
 */

int text_decode(struct codec_context *c, struct span payload, struct records *out);
int text_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int opaque_decode(struct codec_context *c, struct span payload, struct records *out);
int opaque_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int link_decode(struct codec_context *c, struct span payload, struct records *out);
int link_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int cbor_decode(struct codec_context *c, struct span payload, struct records *out);
int cbor_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int tlv_decode(struct codec_context *c, struct span payload, struct records *out);
int tlv_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int senml_json_decode(struct codec_context *c, struct span payload, struct records *out);
int senml_json_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int senml_cbor_decode(struct codec_context *c, struct span payload, struct records *out);
int senml_cbor_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
int oma_json_decode(struct codec_context *c, struct span payload, struct records *out);
int oma_json_encode(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
