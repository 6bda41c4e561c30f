/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* CBOR as tokens: each kind (examples of RFC 8949, appendix A), skipping, and the shortest forms both ways.
 */

#include "codec_fixture.h"

#include "codec/tokens.h"

#include <float.h>

static void reads_tokens(void **state)
{
	static const struct {
		const char *hex;
		enum token_kind kind;
		bool indefinite;
		uint64_t number;
	} cases[] = {
		{"00", TOKEN_UINT, false, 0},
		{"17", TOKEN_UINT, false, 23},
		{"1818", TOKEN_UINT, false, 24},
		{"1903e8", TOKEN_UINT, false, 1000},
		{"1a000f4240", TOKEN_UINT, false, 1000000},
		{"1bffffffffffffffff", TOKEN_UINT, false, UINT64_MAX},
		{"20", TOKEN_NEGINT, false, 0},
		{"3863", TOKEN_NEGINT, false, 99},
		{"3903e7", TOKEN_NEGINT, false, 999},
		{"3a000f423f", TOKEN_NEGINT, false, 999999},
		{"3bffffffffffffffff", TOKEN_NEGINT, false, UINT64_MAX},
		{"83", TOKEN_ARRAY, false, 3},
		{"9818", TOKEN_ARRAY, false, 24},
		{"9bffffffffffffffff", TOKEN_ARRAY, false, UINT64_MAX},
		{"9f", TOKEN_ARRAY, true, 0},
		{"a2", TOKEN_MAP, false, 2},
		{"b818", TOKEN_MAP, false, 24},
		{"bf", TOKEN_MAP, true, 0},
		{"c1", TOKEN_TAG, false, 1},
		{"d820", TOKEN_TAG, false, 32},
		{"d9d9f7", TOKEN_TAG, false, 55799},
		{"f6", TOKEN_NULL, false, 0},
		{"f7", TOKEN_NULL, false, 0},
		{"ff", TOKEN_BREAK, false, 0},
		{"5f", TOKEN_BYTES, true, 0},
		{"7f", TOKEN_TEXT, true, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct span bytes = from_hex(*state, cases[i].hex);
		struct tokens t = tokens_of(bytes);
		struct token token = {0};

		assert_true(tokens_next(&t, &token));
		assert_int_equal(token.kind, cases[i].kind);
		assert_int_equal(token.indefinite, cases[i].indefinite);
		if (!token.indefinite && token.kind != TOKEN_NULL && token.kind != TOKEN_BREAK)
			assert_true(token.number == cases[i].number);
		assert_int_equal(tokens_offset(&t), bytes.len);
		assert_true(tokens_at_end(&t));
		assert_false(tokens_next(&t, &token));
		/* And not if the last byte is missing. */
		t = tokens_of(span_of(bytes.data, bytes.len - 1));
		assert_false(tokens_next(&t, &token));
		assert_int_equal(tokens_offset(&t), 0);
	}
}

static void reads_floats(void **state)
{
	static const struct {
		const char *hex;
		double real;
	} cases[] = {
		{"f90000", 0.0},
		{"f98000", -0.0},
		{"f93c00", 1.0},
		{"fb3ff199999999999a", 1.1},
		{"f93e00", 1.5},
		{"f97bff", 65504.0},
		{"fa47c35000", 100000.0},
		{"fa7f7fffff", FLT_MAX},
		{"fb7e37e43c8800759c", 1e300},
		{"f90001", 5.960464477539063e-8},
		{"f90400", 0.00006103515625},
		{"f9c400", -4.0},
		{"fbc010666666666666", -4.1},
		{"f97c00", INFINITY},
		{"f9fc00", -INFINITY},
		{"fa7f800000", INFINITY},
		{"fbfff0000000000000", -INFINITY},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tokens t = tokens_of(from_hex(*state, cases[i].hex));
		struct token token;

		assert_true(tokens_next(&t, &token));
		assert_int_equal(token.kind, TOKEN_FLOAT);
		assert_memory_equal(&token.real, &cases[i].real, sizeof(double));
	}
}

/* All half floats there are go through the writer and come back as they were, in three bytes. */
static void half_floats_survive(void **state)
{
	struct fixture *f = *state;

	for (uint32_t bits = 0; bits <= UINT16_MAX; bits++) {
		uint8_t half[3] = {0xF9, (uint8_t)(bits >> 8), (uint8_t)bits};
		struct tokens t = tokens_of(span_of(half, sizeof(half)));
		struct token token;

		assert_true(tokens_next(&t, &token));
		f->out.len = 0;
		tokens_put_real(&f->out, token.real);
		assert_int_equal(f->out.len, 3);
		if (isnan(token.real))
			assert_true(span_equal(buffer_span(&f->out), from_hex(f, "f97e00")));
		else
			assert_memory_equal(f->out.data, half, 3);
		arena_reset(&f->arena);
	}
}

static size_t real_length(struct fixture *f, double v)
{
	struct tokens t;
	struct token token;

	f->out.len = 0;
	tokens_put_real(&f->out, v);
	t = tokens_of(buffer_span(&f->out));
	assert_true(tokens_next(&t, &token));
	assert_memory_equal(&token.real, &v, sizeof(v));
	return f->out.len;
}

static void floats_are_as_short_as_exact(void **state)
{
	struct random random;

	assert_int_equal(real_length(*state, 65504), 3);
	assert_int_equal(real_length(*state, 65505), 5);
	assert_int_equal(real_length(*state, 65536), 5);
	assert_int_equal(real_length(*state, 0x1p-24), 3);
	assert_int_equal(real_length(*state, 0x1.8p-24), 5);
	assert_int_equal(real_length(*state, 0x1p-25), 5);
	assert_int_equal(real_length(*state, 0x1.004p0), 3);
	assert_int_equal(real_length(*state, 0x1.002p0), 5);
	assert_int_equal(real_length(*state, (double)FLT_MAX), 5);
	assert_int_equal(real_length(*state, (double)FLT_MAX * 2), 9);
	assert_int_equal(real_length(*state, 0x1p-149), 5);
	assert_int_equal(real_length(*state, 0x1p-150), 9);
	assert_int_equal(real_length(*state, 0.1), 9);
	assert_int_equal(real_length(*state, -0.0), 3);
	random_init_seed(&random, 11);
	for (unsigned i = 0; i < 100000; i++) {
		uint32_t bits = random_u32(&random);
		float single;

		memcpy(&single, &bits, sizeof(single));
		if (!isnan(single))
			assert_true(real_length(*state, (double)single) <= 5);
	}
}

static void writes_the_shortest_forms(void **state)
{
	struct fixture *f = *state;
	struct buffer *out = &f->out;

	tokens_put_array(out, 3);
	tokens_put_map(out, 24);
	tokens_put_integer(out, -1);
	tokens_put_integer(out, INT64_MIN);
	tokens_put_integer(out, 23);
	tokens_put_unsigned(out, 256);
	tokens_put_unsigned(out, UINT64_MAX);
	tokens_put_boolean(out, true);
	tokens_put_text(out, span_str("a"));
	tokens_put_bytes(out, span_str(""));
	assert_true(span_equal(
		buffer_span(out),
		from_hex(f, "83 b818 20 3b7fffffffffffffff 17 190100 1bffffffffffffffff f5 61\"a\" 40")));
}

static void skips_items(void **state)
{
	static const struct {
		const char *hex;
		size_t len; /* 0: malformed */
	} cases[] = {
		{"00 00", 1},
		{"63\"abc\" 00", 4},
		{"80 00", 1},
		{"A0 00", 1},
		{"83 01 82 02 03 04 00", 6},
		{"A2 01 02 03 A1 04 05 00", 7},
		{"9F 01 9F FF BF 01 02 FF FF 00", 9},
		{"5F 41 00 FF 00", 4},
		{"7F FF 00", 2},
		{"C1 C1 9F C1 01 FF 00", 6},
		{"82 C4 82 01 02 5F FF 00", 7},
		{"81 81 81 81 81 81 81 81 81 81 81 81 81 81 81 81 00", 17},
		{"81 81 81 81 81 81 81 81 81 81 81 81 81 81 81 81 81 00", 0},
		{"", 0},
		{"83 01 02", 0},
		{"A1 01", 0},
		{"9F 01", 0},
		{"C1", 0},
		{"FF", 0},
		{"C1 FF", 0},
		{"82 01 FF", 0},
		{"BBFFFFFFFFFFFFFFFF 01", 0},
		{"63\"ab\"", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tokens t = tokens_of(from_hex(*state, cases[i].hex));
		bool good = tokens_skip(&t);

		if (good != (cases[i].len > 0))
			fail_msg("case %zu", i);
		if (good)
			assert_int_equal(tokens_offset(&t), cases[i].len);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_FIXTURE(reads_tokens),
		WITH_FIXTURE(reads_floats),
		WITH_FIXTURE(half_floats_survive),
		WITH_FIXTURE(floats_are_as_short_as_exact),
		WITH_FIXTURE(writes_the_shortest_forms),
		WITH_FIXTURE(skips_items),
	};

	return cmocka_run_group_tests_name("codec_tokens", tests, NULL, NULL);
}
