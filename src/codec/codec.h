/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "model/registry.h"

/*
 * Content-Formats: between payloads and records. One file per format behind one table. Decoders are strict
 * about the format and lenient about the client (lwm2m.md, 1.6), never recurse on input, allocate only from
 * the arena; but for the JSON parser, whose depth and memory are bounded before it begins.
 */

enum content_format {
	FORMAT_TEXT = 0,
	FORMAT_LINK = 40,
	FORMAT_OPAQUE = 42,
	FORMAT_CBOR = 60,
	FORMAT_SENML_JSON = 110,
	FORMAT_SENML_CBOR = 112,
	FORMAT_TLV = 11542,
	FORMAT_JSON = 11543,
	FORMAT_LWM2M_CBOR = 11544,
	FORMAT_OLD_TEXT = 1541, /* before IANA: accepted on input */
	FORMAT_OLD_TLV = 1542,
	FORMAT_OLD_JSON = 1543,
	FORMAT_OLD_OPAQUE = 1544,
	FORMAT_NONE = 0xFFFF,
};

enum codec_outcome {
	CODEC_OK = 0,
	CODEC_MALFORMED = 1,   /* `error` says what, and where */
	CODEC_UNSUPPORTED = 2, /* no codec for this format (in this direction, at this depth) */
	CODEC_MISFIT = 3,      /* encode: a value that this format or the resource's type cannot carry */
};

struct codec_context {
	/* Types of resources; NULL or an unknown object: types are guessed, else OPAQUE. */
	const struct model *model;
	/* Path of the request: what relative payloads are relative to, and what answers must be within. */
	struct path base;
	/*
	 * Alternate path ("/lwm2m") or prefix of a gateway's device ("/d01"), without a slash behind; empty:
	 * none. SenML names are written with it and read with and without it (lwm2m.md, R13: stacks
	 * disagree); those of OMA JSON, which is older than the rule, are written without it; other formats
	 * have no names. `base` is without it.
	 */
	struct span root;
	/* Composites and Send: paths outside of `base` are fine. */
	bool any_path;
	/* Unix time, for relative timestamps. */
	uint64_t now_ms;
	/* Decode: owns all that the records point to, except what borrows from the payload. Encode: for
	 * strings made of numbers; may be NULL. */
	struct arena *arena;
	/* Out: what is wrong and where, never the value itself, which may be a key. */
	char error[96];
};

struct codec {
	uint16_t format;
	const char *name;      /* "TEXT", "SENML_CBOR": names of the northbound API */
	uint8_t max_count_one; /* 1: carries one value only (text, opaque, CBOR) */
	int (*decode)(struct codec_context *c, struct span payload, struct records *out);
	int (*encode)(struct codec_context *c, const struct record *items, size_t count, struct buffer *out);
};

/* NULL if unknown. Old numbers find their present codec. */
const struct codec *codec_find(uint16_t format);
/* By name, any case. NULL if unknown. */
const struct codec *codec_find_name(struct span name);

/*
 * Both return an enum codec_outcome or < 0 (-ENOMEM: the arena's or buffer's ceiling; a payload that wants
 * more is refused). After any but CODEC_OK `out` has no more than before.
 *
 * codec_decode checks paths against `base`, coerces values to the model's types and marks what does not fit
 * as misfit. Instances outside of `base` are accepted, as `extra`, if a link in the payload leads to them.
 * `FORMAT_NONE` guesses: a payload without Content-Format is text, unless the path is not a single resource.
 * An answer without records gives one without a value: there is nothing below the path. A record without a
 * value is dropped where another has one, or lies below.
 *
 * codec_encode wants records sorted by path, all within `base`, a path several times only with different
 * times; else CODEC_MISFIT. An instance-level TLV Write has `base` of depth 2. In TLV below an object the
 * instance PATH_ID_NONE is one whose id the client chooses (Create), in both directions.
 */
int codec_decode(struct codec_context *c, uint16_t format, struct span payload, struct records *out);
int codec_encode(struct codec_context *c, uint16_t format, const struct record *items, size_t count,
		 struct buffer *out);
/*
 * The body of a FETCH (Read-Composite, Observe-Composite): a list of names without values. SenML JSON and
 * CBOR only. Paths are written in this order, each behind `root` (the alternate path, may be empty).
 */
int codec_encode_paths(uint16_t format, struct span root, const struct path *paths, size_t count,
		       struct buffer *out);
/*
 * The reverse: what the body of a FETCH asks for, in its order, at most `max` paths into `out`. Names may be
 * cut anywhere, and have c->root in front or not; times are ignored, values are malformed. Uses c->root and
 * c->arena only, sets c->error. An enum codec_outcome, or -ENOMEM if there are more than `max` or the arena
 * is too small; *count is 0 unless CODEC_OK.
 */
int codec_decode_paths(struct codec_context *c, uint16_t format, struct span payload, struct path *out,
		       size_t max, size_t *count);
