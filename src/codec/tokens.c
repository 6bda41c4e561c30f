/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * CBOR token by token, over libcbor's stateless decoder and its encoders of single items. That decoder
 * reports through callbacks; the one idea here is that all callbacks only fill a struct, so that what reads a
 * format is a plain loop which knows where it is, instead of a state machine turned inside out. A count that
 * a stranger announces is never allocated for: it is only counted up to. Leaves out big numbers (tags 2, 3,
 * 5).
 */

#include "codec/tokens.h"

#include <cbor.h>
#include <errno.h>
#include <float.h>
#include <math.h>

enum { TAG_DECIMAL = 4, TAGS_MAX = 8, SKIP_DEPTH = 16, HEAD_MAX = 9 };

static void set_number(struct token *t, enum token_kind kind, uint64_t number)
{
	t->kind = kind;
	t->indefinite = false;
	t->number = number;
}

static void set_bytes(struct token *t, enum token_kind kind, const uint8_t *data, size_t len)
{
	t->kind = kind;
	t->indefinite = false;
	t->bytes = span_of(data, len);
}

static void set_kind(struct token *t, enum token_kind kind, bool indefinite)
{
	t->kind = kind;
	t->indefinite = indefinite;
}

static void on_uint8(void *t, uint8_t v)
{
	set_number(t, TOKEN_UINT, v);
}

static void on_uint16(void *t, uint16_t v)
{
	set_number(t, TOKEN_UINT, v);
}

static void on_uint32(void *t, uint32_t v)
{
	set_number(t, TOKEN_UINT, v);
}

static void on_uint64(void *t, uint64_t v)
{
	set_number(t, TOKEN_UINT, v);
}

static void on_negint8(void *t, uint8_t v)
{
	set_number(t, TOKEN_NEGINT, v);
}

static void on_negint16(void *t, uint16_t v)
{
	set_number(t, TOKEN_NEGINT, v);
}

static void on_negint32(void *t, uint32_t v)
{
	set_number(t, TOKEN_NEGINT, v);
}

static void on_negint64(void *t, uint64_t v)
{
	set_number(t, TOKEN_NEGINT, v);
}

static void on_bytes(void *t, cbor_data data, size_t len)
{
	set_bytes(t, TOKEN_BYTES, data, len);
}

static void on_bytes_start(void *t)
{
	set_kind(t, TOKEN_BYTES, true);
}

static void on_text(void *t, cbor_data data, size_t len)
{
	set_bytes(t, TOKEN_TEXT, data, len);
}

static void on_text_start(void *t)
{
	set_kind(t, TOKEN_TEXT, true);
}

static void on_array(void *t, size_t items)
{
	set_number(t, TOKEN_ARRAY, items);
}

static void on_array_start(void *t)
{
	set_kind(t, TOKEN_ARRAY, true);
}

static void on_map(void *t, size_t pairs)
{
	set_number(t, TOKEN_MAP, pairs);
}

static void on_map_start(void *t)
{
	set_kind(t, TOKEN_MAP, true);
}

static void on_tag(void *t, uint64_t v)
{
	set_number(t, TOKEN_TAG, v);
}

static void on_double(void *context, double v)
{
	struct token *t = context;

	set_kind(t, TOKEN_FLOAT, false);
	t->real = v;
}

static void on_float(void *t, float v)
{
	on_double(t, (double)v);
}

static void on_boolean(void *context, bool v)
{
	struct token *t = context;

	set_kind(t, TOKEN_BOOL, false);
	t->boolean = v;
}

static void on_null(void *t)
{
	set_kind(t, TOKEN_NULL, false);
}

static void on_break(void *t)
{
	set_kind(t, TOKEN_BREAK, false);
}

static const struct cbor_callbacks callbacks = {
	.uint8 = on_uint8,
	.uint16 = on_uint16,
	.uint32 = on_uint32,
	.uint64 = on_uint64,
	.negint8 = on_negint8,
	.negint16 = on_negint16,
	.negint32 = on_negint32,
	.negint64 = on_negint64,
	.byte_string = on_bytes,
	.byte_string_start = on_bytes_start,
	.string = on_text,
	.string_start = on_text_start,
	.array_start = on_array,
	.indef_array_start = on_array_start,
	.map_start = on_map,
	.indef_map_start = on_map_start,
	.tag = on_tag,
	.float2 = on_float,
	.float4 = on_float,
	.float8 = on_double,
	.undefined = on_null,
	.null = on_null,
	.boolean = on_boolean,
	.indef_break = on_break,
};

bool tokens_next_any(struct tokens *t, struct token *out)
{
	struct cbor_decoder_result result;

	if (tokens_at_end(t))
		return false;
	result = cbor_stream_decode(t->pos, (size_t)(t->end - t->pos), &callbacks, out);
	if (result.status != CBOR_DECODER_FINISHED)
		return false;
	t->pos += result.read;
	return true;
}

/* The pieces of an indefinite string, each of its kind and definite. Runs twice: to measure, then to copy. */
static bool join_pieces(struct tokens *t, enum token_kind kind, uint8_t *to, size_t *len)
{
	const struct token string = {.kind = kind, .indefinite = true};
	struct token piece;

	for (*len = 0; tokens_more(t, &string, 0);) {
		if (!tokens_next(t, &piece) || piece.kind != kind || piece.indefinite)
			return false;
		if (to && piece.bytes.len)
			memcpy(to + *len, piece.bytes.data, piece.bytes.len);
		*len += piece.bytes.len;
	}
	return true;
}

static int read_string(struct tokens *t, const struct token *token, struct arena *arena, struct value *out)
{
	struct tokens again;
	uint8_t *joined;
	size_t len;

	out->type = token->kind == TOKEN_TEXT ? VALUE_STRING : VALUE_OPAQUE;
	if (!token->indefinite) {
		out->bytes = token->bytes;
		return TOKENS_OK;
	}
	again = *t;
	if (!join_pieces(t, token->kind, NULL, &len))
		return TOKENS_MALFORMED;
	joined = arena_alloc(arena, len);
	if (!joined)
		return -ENOMEM;
	(void)join_pieces(&again, token->kind, joined, &len);
	out->bytes = span_of(joined, len);
	return TOKENS_OK;
}

/* False if it is no integer, or none of 64 bits. */
static bool integer_of(const struct token *token, struct value *out)
{
	if (token->number > INT64_MAX) {
		out->type = VALUE_UNSIGNED;
		out->unsigned_ = token->number;
		return token->kind == TOKEN_UINT;
	}
	out->type = VALUE_INTEGER;
	out->integer = token->kind == TOKEN_NEGINT ? -1 - (int64_t)token->number : (int64_t)token->number;
	return token->kind == TOKEN_UINT || token->kind == TOKEN_NEGINT;
}

static bool read_integer(struct tokens *t, struct value *out)
{
	struct token token;

	return tokens_next(t, &token) && (token.kind == TOKEN_UINT || token.kind == TOKEN_NEGINT) &&
	       integer_of(&token, out);
}

/* [exponent, mantissa], as if it had been written "1234e-2": text to number is where exactness is decided. */
static bool read_decimal(struct tokens *t, const struct token *array, struct value *out)
{
	struct value exponent, mantissa;
	char text[2 * VALUE_TEXT];
	size_t len;

	if (array->kind != TOKEN_ARRAY || (!array->indefinite && array->number != 2))
		return false;
	if (!read_integer(t, &exponent) || !read_integer(t, &mantissa) || tokens_more(t, array, 2))
		return false;
	len = value_format(&mantissa, text);
	text[len++] = 'e';
	len += value_format(&exponent, text + len);
	*out = (struct value){.type = VALUE_STRING, .bytes = span_of(text, len)};
	return value_coerce(out, VALUE_INTEGER, NULL) || value_coerce(out, VALUE_UNSIGNED, NULL) ||
	       value_coerce(out, VALUE_FLOAT, NULL);
}

/* A value behind its tags, of which only that of a decimal fraction changes how it is read. */
static int read_tagged(struct tokens *t, uint64_t tag, struct token *token, struct value *decimal)
{
	for (unsigned tags = 1; tags <= TAGS_MAX; tags++) {
		if (!tokens_next(t, token))
			return TOKENS_MALFORMED;
		if (token->kind != TOKEN_TAG) {
			decimal->type = VALUE_NONE;
			return tag != TAG_DECIMAL || read_decimal(t, token, decimal) ? TOKENS_OK
										     : TOKENS_MALFORMED;
		}
		tag = token->number;
	}
	return TOKENS_MALFORMED;
}

int tokens_value(struct tokens *t, struct arena *arena, struct value *out)
{
	struct token token;

	if (!tokens_next(t, &token))
		return TOKENS_MALFORMED;
	if (token.kind == TOKEN_TAG) {
		int rc = read_tagged(t, token.number, &token, out);

		if (rc || out->type != VALUE_NONE)
			return rc;
	}
	switch (token.kind) {
	case TOKEN_UINT:
	case TOKEN_NEGINT:
		return integer_of(&token, out) ? TOKENS_OK : TOKENS_MALFORMED;
	case TOKEN_FLOAT:
		out->type = VALUE_FLOAT;
		out->real = token.real;
		return TOKENS_OK;
	case TOKEN_BOOL:
		out->type = VALUE_BOOLEAN;
		out->boolean = token.boolean;
		return TOKENS_OK;
	case TOKEN_NULL:
		out->type = VALUE_NONE;
		return TOKENS_OK;
	case TOKEN_BYTES:
	case TOKEN_TEXT:
		return read_string(t, &token, arena, out);
	default:
		return TOKENS_MALFORMED;
	}
}

/* What is left of the containers around the item that is skipped. */
struct level {
	struct token container;
	uint64_t done; /* items, which in a map are two for each pair */
};

static bool enter(struct level *levels, size_t *depth, const struct token *token)
{
	struct level *level = &levels[*depth];

	if (*depth == SKIP_DEPTH)
		return false;
	*level = (struct level){.container = *token};
	if (token->kind == TOKEN_MAP && !token->indefinite &&
	    __builtin_mul_overflow(token->number, (uint64_t)2, &level->container.number))
		return false;
	(*depth)++;
	return true;
}

bool tokens_skip(struct tokens *t)
{
	struct level levels[SKIP_DEPTH];
	size_t depth = 0;
	struct token token;

	do {
		bool container;

		if (!tokens_next(t, &token) || token.kind == TOKEN_BREAK)
			return false;
		if (token.kind == TOKEN_TAG)
			continue;
		container = token.kind == TOKEN_ARRAY || token.kind == TOKEN_MAP || token.indefinite;
		if (container && !enter(levels, &depth, &token))
			return false;
		if (!container && depth)
			levels[depth - 1].done++;
		/* An item that is complete may complete those around it. */
		while (depth && !tokens_more(t, &levels[depth - 1].container, levels[depth - 1].done)) {
			if (--depth)
				levels[depth - 1].done++;
		}
	} while (depth || token.kind == TOKEN_TAG);
	return true;
}

static void put(struct buffer *out, const unsigned char *item, size_t len)
{
	buffer_bytes(out, span_of(item, len));
}

void tokens_put_unsigned(struct buffer *out, uint64_t v)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_uint(v, item, sizeof(item)));
}

void tokens_put_integer(struct buffer *out, int64_t v)
{
	unsigned char item[HEAD_MAX];

	if (v >= 0)
		tokens_put_unsigned(out, (uint64_t)v);
	else
		put(out, item, cbor_encode_negint(~(uint64_t)v, item, sizeof(item)));
}

static bool fits_single(double v)
{
	return isinf(v) || (fabs(v) <= (double)FLT_MAX && (double)(float)v == v);
}

/*
 * Half precision has 10 bits behind the point from 2^-14 to 2^15, and multiples of 2^-24 below. False if `v`
 * is none of these. (The library's own encoder is wrong below 2^-14.)
 */
static bool to_half(float v, uint16_t *out)
{
	uint32_t bits, fraction, lost = 13;
	uint16_t sign;
	int exponent;

	memcpy(&bits, &v, sizeof(bits));
	sign = (uint16_t)(bits >> 16 & 0x8000);
	exponent = (int)(bits >> 23 & 0xFF) - 127;
	fraction = (bits & 0x7FFFFF) | 1U << 23;
	if (v == 0 || isinf(v)) {
		*out = v == 0 ? sign : sign | 0x7C00;
		return true;
	}
	if (exponent < -24 || exponent > 15)
		return false;
	if (exponent < -14)
		lost += (uint32_t)(-14 - exponent);
	if (fraction & ((1U << lost) - 1))
		return false;
	fraction >>= lost;
	/* The leading bit adds one to the exponent, unless there is none. */
	*out = (uint16_t)(sign | ((lost == 13 ? (uint32_t)(exponent + 14) << 10 : 0) + fraction));
	return true;
}

static void put_half(struct buffer *out, uint16_t half)
{
	buffer_u8(out, 0xF9);
	buffer_uint(out, half, sizeof(half));
}

void tokens_put_real(struct buffer *out, double v)
{
	unsigned char item[HEAD_MAX];
	uint16_t half;

	if (isnan(v))
		put_half(out, 0x7E00);
	else if (!fits_single(v))
		put(out, item, cbor_encode_double(v, item, sizeof(item)));
	else if (to_half((float)v, &half))
		put_half(out, half);
	else
		put(out, item, cbor_encode_single((float)v, item, sizeof(item)));
}

void tokens_put_boolean(struct buffer *out, bool v)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_bool(v, item, sizeof(item)));
}

void tokens_put_bytes(struct buffer *out, struct span bytes)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_bytestring_start(bytes.len, item, sizeof(item)));
	buffer_bytes(out, bytes);
}

void tokens_put_text(struct buffer *out, struct span text)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_string_start(text.len, item, sizeof(item)));
	buffer_bytes(out, text);
}

void tokens_put_array(struct buffer *out, size_t items)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_array_start(items, item, sizeof(item)));
}

void tokens_put_tag(struct buffer *out, uint64_t tag)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_tag(tag, item, sizeof(item)));
}

void tokens_put_map(struct buffer *out, size_t pairs)
{
	unsigned char item[HEAD_MAX];

	put(out, item, cbor_encode_map_start(pairs, item, sizeof(item)));
}

void tokens_put_value(struct buffer *out, const struct value *v)
{
	char text[VALUE_TEXT];

	switch (v->type) {
	case VALUE_INTEGER:
	case VALUE_TIME:
		tokens_put_integer(out, v->integer);
		break;
	case VALUE_UNSIGNED:
		tokens_put_unsigned(out, v->unsigned_);
		break;
	case VALUE_FLOAT:
		tokens_put_real(out, v->real);
		break;
	case VALUE_BOOLEAN:
		tokens_put_boolean(out, v->boolean);
		break;
	case VALUE_OPAQUE:
		tokens_put_bytes(out, v->bytes);
		break;
	case VALUE_OBJLNK:
		tokens_put_text(out, span_of(text, value_format(v, text)));
		break;
	default:
		tokens_put_text(out, v->bytes);
	}
}
