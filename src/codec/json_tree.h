/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "codec/base64.h"
#include "codec/codec.h"

#include <jansson.h>

/* JSON that strangers send, as a tree whose size and depth are known to be bounded; and JSON for them. */

/*
 * The caller owns the tree (json_tree_cleanup). Integers beyond 64 bits signed come as strings. CODEC_OK, or
 * CODEC_MALFORMED with c->error set, or -ENOMEM if the arena could not hold as much.
 */
int json_tree_parse(struct codec_context *c, struct span payload, json_t **out) NODISCARD;
void json_tree_cleanup(json_t **json);
/* A string (copied to the arena), number, boolean, or NONE for null. CODEC_MALFORMED for containers; -ENOMEM.
 */
int json_tree_value(struct codec_context *c, const json_t *json, struct value *out) NODISCARD;

/* In quotes. */
void json_put_text(struct buffer *out, struct span text);
/* Opaque values as Base64. False, and nothing written, if JSON cannot carry it: NaN, the infinities, NONE. */
bool json_put_value(struct buffer *out, const struct value *v, enum base64_alphabet alphabet);
