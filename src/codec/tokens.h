/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "model/value.h"

/* CBOR (RFC 8949) read one token at a time, and written. No tree, no recursion, no allocation but for strings
 * in pieces. */

enum token_kind {
	TOKEN_UINT,   /* number */
	TOKEN_NEGINT, /* -1 - number */
	TOKEN_FLOAT,  /* real: half, single and double precision */
	TOKEN_BOOL,   /* boolean */
	TOKEN_NULL,   /* null and undefined */
	TOKEN_BYTES,  /* bytes, unless indefinite */
	TOKEN_TEXT,   /* bytes, unless indefinite; not validated */
	TOKEN_ARRAY,  /* number of items, unless indefinite */
	TOKEN_MAP,    /* number of pairs, unless indefinite */
	TOKEN_TAG,    /* number; what is tagged follows */
	TOKEN_BREAK,  /* ends what is indefinite */
};

struct token {
	enum token_kind kind;
	bool indefinite;
	union {
		uint64_t number;
		double real;
		bool boolean;
		struct span bytes; /* borrowed from the input */
	};
};

struct tokens {
	const uint8_t *start;
	const uint8_t *pos;
	const uint8_t *end;
};

static inline struct tokens tokens_of(struct span s)
{
	return (struct tokens){s.data, s.data, s.len ? s.data + s.len : s.data};
}

static inline size_t tokens_offset(const struct tokens *t)
{
	return (size_t)(t->pos - t->start);
}

static inline bool tokens_at_end(const struct tokens *t)
{
	return t->pos == t->end;
}

enum tokens_outcome { TOKENS_OK = 0, TOKENS_MALFORMED = 1 };

/* The next token, whatever it is. */
bool tokens_next_any(struct tokens *t, struct token *out);

/*
 * The next token. False at the end, or if it is cut short or no CBOR: the position stays. Most heads of our
 * payloads have a single byte - small numbers, short strings and containers - and are read right here.
 */
static inline bool tokens_next(struct tokens *t, struct token *out)
{
	static const uint8_t kinds[8] = {TOKEN_UINT,  TOKEN_NEGINT, TOKEN_BYTES, TOKEN_TEXT,
					 TOKEN_ARRAY, TOKEN_MAP,    TOKEN_TAG,	 0};
	enum { INFO = 0x1F, SMALL = 24, SIMPLE = 7 };
	uint8_t head = t->pos < t->end ? *t->pos : 0xFF;
	unsigned major = head >> 5, info = head & INFO;

	if (info >= SMALL || major == SIMPLE)
		return tokens_next_any(t, out);
	out->kind = (enum token_kind)kinds[major];
	out->indefinite = false;
	if (out->kind != TOKEN_BYTES && out->kind != TOKEN_TEXT) {
		out->number = info;
		t->pos++;
		return true;
	}
	if (info > (size_t)(t->end - t->pos) - 1)
		return false;
	out->bytes = span_of(t->pos + 1, info);
	t->pos += 1 + info;
	return true;
}
/*
 * Whether an array or map whose first `done` entries were read has one more; steps over the break of an
 * indefinite one. True, too, at a premature end: the next read finds out.
 */
static inline bool tokens_more(struct tokens *t, const struct token *container, uint64_t done)
{
	enum { BREAK = 0xFF };

	if (!container->indefinite)
		return done < container->number;
	if (tokens_at_end(t) || *t->pos != BREAK)
		return true;
	t->pos++;
	return false;
}
/*
 * One value that is no container, its tags (times; decimal fractions, RFC 8949, 3.4.4) resolved, strings in
 * pieces put together in the arena: INTEGER (UNSIGNED only above INT64_MAX), FLOAT, BOOLEAN, STRING (not
 * validated), OPAQUE, or NONE for null. -ENOMEM, or an enum tokens_outcome.
 */
int tokens_value(struct tokens *t, struct arena *arena, struct value *out) NODISCARD;
/* Steps over one item with all that it holds. False if it is malformed or nested more than 16 deep. */
bool tokens_skip(struct tokens *t);

/* The shortest form of each; floats in the smallest precision that holds them exactly. */
void tokens_put_integer(struct buffer *out, int64_t v);
void tokens_put_unsigned(struct buffer *out, uint64_t v);
void tokens_put_real(struct buffer *out, double v);
void tokens_put_boolean(struct buffer *out, bool v);
void tokens_put_bytes(struct buffer *out, struct span bytes);
void tokens_put_text(struct buffer *out, struct span text);
void tokens_put_array(struct buffer *out, size_t items);
void tokens_put_map(struct buffer *out, size_t pairs);
void tokens_put_tag(struct buffer *out, uint64_t tag);
/* A value as LwM2M writes it, which is not NONE: times are plain numbers, links text. */
void tokens_put_value(struct buffer *out, const struct value *v);
