/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "codec/codec.h"

/*
 * Where the formats meet the model: what all decoders do with a record once they know its path, and all
 * encoders before they write one.
 */

/* Types of the resources in one payload: remembers the last object, because a payload seldom has two. */
struct typing {
	const struct model *model; /* NULL: nothing is known */
	const struct object_def *object;
	int32_t id; /* of `object`, -1 if none was looked up yet */
};

static inline struct typing typing_of(const struct codec_context *c)
{
	return (struct typing){c->model, NULL, -1};
}
/* NULL if the path is no resource, or an unknown one. */
const struct resource_def *typing_find(struct typing *t, const struct path *p);

struct delivery {
	struct codec_context *c;
	struct records *out;
	struct typing typing;
};

static inline struct delivery delivery_of(struct codec_context *c, struct records *out)
{
	return (struct delivery){c, out, typing_of(c)};
}
/*
 * Hands a decoded record over: converts its value to the type of the resource if nothing is lost, else marks
 * it as misfit; a string that is no UTF-8 becomes OPAQUE and misfit; one outside of the base is marked as
 * extra. 0 or -ENOMEM.
 */
int deliver(struct delivery *d, struct record *record) NODISCARD;

/*
 * Makes the bytes of a record whose value is the text of an opaque one: Base64, in the arena. What is none is
 * taken for the bytes themselves, a misfit. 0 or -ENOMEM.
 */
int opaque_of_text(struct codec_context *c, struct record *record) NODISCARD;

/*
 * The value of a record as it is to be written, converted to the type of its resource. CODEC_MISFIT, and
 * c->error says why, if the resource cannot take it; else 0.
 */
int value_to_write(struct codec_context *c, struct typing *t, const struct record *item,
		   struct value *out) NODISCARD;

/* They set c->error and return their outcome. No text may show a value: it may be a key. */
int codec_malformed(struct codec_context *c, const char *format, ...) PRINTF_LIKE(2, 3);
int codec_unsupported(struct codec_context *c, const char *format, ...) PRINTF_LIKE(2, 3);
int codec_misfit(struct codec_context *c, const struct path *p, const char *format, ...) PRINTF_LIKE(3, 4);
