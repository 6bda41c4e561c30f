/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Readers, writers, growing buffers and numbers in spans: every width, every truncation, every ceiling. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"

#include <stdio.h>

/* Input of exactly its length on the heap, so that AddressSanitizer sees any read past the end. */
static uint8_t *heap_copy(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, data, len);
	return copy;
}

static void reads_every_width(void **state)
{
	static const uint8_t input[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
					0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
					0x11, 0x12, 0x80, 0x81, 0x82, 0x83, 0x84};
	struct reader r = reader_of(span_of(input, sizeof(input)));

	(void)state;
	assert_int_equal(reader_u8(&r), 0x01);
	assert_int_equal(reader_u16(&r), 0x0203);
	assert_int_equal(reader_u24(&r), 0x040506);
	assert_int_equal(reader_u32(&r), 0x0708090a);
	assert_int_equal(reader_u64(&r), 0x0b0c0d0e0f101112);
	assert_int_equal(reader_uint(&r, 0), 0);
	assert_int_equal(reader_uint(&r, 5), 0x8081828384);
	assert_int_equal(reader_left(&r), 0);
	assert_false(r.failed);
}

static void failure_is_sticky_and_reads_zeroes(void **state)
{
	static const uint8_t input[] = {0xff, 0xff, 0xff};
	struct reader r = reader_of(span_of(input, sizeof(input)));

	(void)state;
	assert_int_equal(reader_u32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(reader_u16(&r), 0);
	assert_int_equal(reader_u24(&r), 0);
	assert_int_equal(reader_u64(&r), 0);
	assert_int_equal(reader_uint(&r, 1), 0);
	assert_int_equal(reader_bytes(&r, 1).len, 0);
	assert_int_equal(reader_bytes(&r, 0).len, 0);
	assert_int_equal(reader_rest(&r).len, 0);
	assert_int_equal(reader_span16(&r).len, 0);
}

static void reads_nothing_from_nothing(void **state)
{
	struct reader r = reader_of((struct span){NULL, 0});

	(void)state;
	assert_int_equal(reader_rest(&r).len, 0);
	assert_int_equal(reader_bytes(&r, 0).len, 0);
	assert_false(r.failed);
	assert_int_equal(reader_u8(&r), 0);
	assert_true(r.failed);
}

static void borrowed_bytes_point_into_the_input(void **state)
{
	static const uint8_t input[] = {0x00, 0x02, 'a', 'b', 'c', 'd', 'e'};
	struct reader r = reader_of(span_of(input, sizeof(input)));
	struct span s = reader_span16(&r);

	(void)state;
	assert_ptr_equal(s.data, input + 2);
	assert_true(span_is(s, "ab"));
	assert_true(span_is(reader_bytes(&r, 1), "c"));
	assert_true(span_is(reader_rest(&r), "de"));
	assert_false(r.failed);
	r = reader_of(span_of(input, 3));
	assert_int_equal(reader_span16(&r).len, 0);
	assert_true(r.failed);
}

/* A record with every kind of field, written to `w`. */
static void write_record(struct writer *w)
{
	writer_u8(w, 0xa1);
	writer_u16(w, 0xb1b2);
	writer_u24(w, 0xffc1c2c3);
	writer_u32(w, 0xd1d2d3d4);
	writer_u64(w, 0xe1e2e3e4e5e6e7e8);
	writer_uint(w, 0x0102030405060708, 3);
	writer_uint(w, 9, 0);
	writer_bytes(w, span_str("raw"));
	writer_str(w, "text");
	writer_span16(w, span_str("spanned"));
}

enum { RECORD = 1 + 2 + 3 + 4 + 8 + 3 + 3 + 4 + 9 };

static void writes_what_was_asked(void **state)
{
	static const uint8_t expected[RECORD] =
		"\xa1\xb1\xb2\xc1\xc2\xc3\xd1\xd2\xd3\xd4\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\x06\x07\x08"
		"rawtext\0\x07spanned";
	uint8_t out[RECORD];
	struct writer w = writer_of(out, sizeof(out));

	(void)state;
	write_record(&w);
	assert_false(w.failed);
	assert_int_equal(writer_len(&w), RECORD);
	assert_memory_equal(writer_span(&w).data, expected, RECORD);
}

static void no_capacity_is_ever_exceeded(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < RECORD; cap++) {
		uint8_t *out = malloc(cap ? cap : 1);
		struct writer w = writer_of(out, cap);

		write_record(&w);
		assert_true(w.failed);
		assert_true(writer_len(&w) <= cap);
		free(out);
	}
}

/* Reads the record back; true if nothing was missing. */
static bool read_record(struct span s)
{
	struct reader r = reader_of(s);

	reader_u8(&r);
	reader_u16(&r);
	reader_u24(&r);
	reader_u32(&r);
	reader_u64(&r);
	reader_uint(&r, 3);
	reader_bytes(&r, 3);
	reader_bytes(&r, 4);
	reader_span16(&r);
	return !r.failed && reader_left(&r) == 0;
}

static void no_input_is_ever_overrun(void **state)
{
	uint8_t whole[RECORD];
	struct writer w = writer_of(whole, sizeof(whole));

	(void)state;
	write_record(&w);
	for (size_t len = 0; len <= RECORD; len++) {
		uint8_t *input = heap_copy(whole, len);

		assert_int_equal(read_record(span_of(input, len)), len == RECORD);
		free(input);
	}
}

static void a_failed_write_leaves_earlier_ones_whole(void **state)
{
	uint8_t out[4];
	struct writer w = writer_of(out, sizeof(out));

	(void)state;
	writer_u16(&w, 0x0102);
	writer_span16(&w, span_str("x"));
	assert_true(w.failed);
	assert_int_equal(writer_len(&w), 2);
	writer_u8(&w, 3);
	assert_int_equal(writer_len(&w), 2);
}

static void span16_refuses_what_its_length_cannot_say(void **state)
{
	uint8_t *out = malloc(70000), *data = calloc(1, 65536);
	struct writer w = writer_of(out, 70000);

	(void)state;
	writer_span16(&w, span_of(data, 65535));
	assert_false(w.failed);
	assert_int_equal(writer_len(&w), 65537);
	w = writer_of(out, 70000);
	writer_span16(&w, span_of(data, 65536));
	assert_true(w.failed);
	free(out);
	free(data);
}

static void buffers_grow_and_stay_terminated(void **state)
{
	_cleanup_buffer_ struct buffer b = buffer_of(100000);

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		buffer_u8(&b, (uint8_t)('a' + i % 26));
		assert_int_equal(b.data[b.len], '\0');
	}
	assert_int_equal(b.len, 10000);
	buffer_uint(&b, 0x010203, 2);
	buffer_bytes(&b, (struct span){NULL, 0});
	assert_int_equal(b.len, 10002);
	assert_int_equal(b.data[9999], 'a' + 9999 % 26);
	assert_memory_equal(b.data + 10000, "\x02\x03", 3);
	assert_false(b.failed);
}

static void a_buffer_stops_at_its_ceiling(void **state)
{
	_cleanup_buffer_ struct buffer b = buffer_of(8);

	(void)state;
	buffer_str(&b, "12345678");
	assert_false(b.failed);
	assert_string_equal(b.data, "12345678");
	buffer_u8(&b, '9');
	assert_true(b.failed);
	assert_string_equal(b.data, "12345678");
	assert_null(buffer_extend(&b, 0));
	buffer_deinit(&b);
	assert_false(b.failed);
	buffer_printf(&b, "%d-%s", 1234, "567");
	assert_string_equal(b.data, "1234-567");
	buffer_printf(&b, "%s", "");
	assert_false(b.failed);
	buffer_printf(&b, "x");
	assert_true(b.failed);
	assert_string_equal(b.data, "1234-567");
	assert_int_equal(b.len, 8);
}

static void printf_grows_at_any_fill(void **state)
{
	(void)state;
	for (int fill = 0; fill < 200; fill++) {
		_cleanup_buffer_ struct buffer b = buffer_of(SIZE_MAX);
		char expected[512];

		for (int i = 0; i < fill; i++)
			buffer_u8(&b, ' ');
		buffer_printf(&b, "<%090d>", fill);
		snprintf(expected, sizeof(expected), "%*s<%090d>", fill, "", fill);
		assert_string_equal(b.data, expected);
		assert_int_equal(b.len, fill + 92);
	}
}

static void numbers_parse_within_their_bounds(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"0", 0, true, 0},
		{"1", 0, false, 0},
		{"007", 7, true, 7},
		{"8", 7, false, 0},
		{"65535", 65535, true, 65535},
		{"65536", 65535, false, 0},
		{"655350", 65535, false, 0},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999", UINT64_MAX, false, 0},
		{"", 9, false, 0},
		{"-1", 9, false, 0},
		{"+1", 9, false, 0},
		{" 1", 9, false, 0},
		{"1 ", 9, false, 0},
		{"0x1", 9, false, 0},
		{"1.0", 99, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 12345;

		assert_int_equal(span_to_uint(span_str(cases[i].text), cases[i].max, &value), cases[i].ok);
		assert_int_equal(value, cases[i].ok ? cases[i].value : 12345);
	}
}

static void spans_compare_cut_and_copy(void **state)
{
	char *copy = span_dup(span_of("a\0b", 3));

	(void)state;
	assert_memory_equal(copy, "a\0b", 4);
	free(copy);
	copy = span_dup((struct span){NULL, 0});
	assert_string_equal(copy, "");
	free(copy);
	assert_true(span_equal((struct span){NULL, 0}, span_str("")));
	assert_false(span_is(span_str("abc"), "ab"));
	assert_false(span_is(span_str("abc"), "abd"));
	assert_true(span_is(span_from(span_str("abc"), 1), "bc"));
	assert_int_equal(span_from(span_str("abc"), 3).len, 0);
	assert_int_equal(span_from(span_str("abc"), 4).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_width),
		cmocka_unit_test(failure_is_sticky_and_reads_zeroes),
		cmocka_unit_test(reads_nothing_from_nothing),
		cmocka_unit_test(borrowed_bytes_point_into_the_input),
		cmocka_unit_test(writes_what_was_asked),
		cmocka_unit_test(no_capacity_is_ever_exceeded),
		cmocka_unit_test(no_input_is_ever_overrun),
		cmocka_unit_test(a_failed_write_leaves_earlier_ones_whole),
		cmocka_unit_test(span16_refuses_what_its_length_cannot_say),
		cmocka_unit_test(buffers_grow_and_stay_terminated),
		cmocka_unit_test(a_buffer_stops_at_its_ceiling),
		cmocka_unit_test(printf_grows_at_any_fill),
		cmocka_unit_test(numbers_parse_within_their_bounds),
		cmocka_unit_test(spans_compare_cut_and_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
