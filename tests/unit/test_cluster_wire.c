/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Frames of links, by bytes and by all the ways a stream may cut them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/wire.h"

#include <errno.h>

static void encode_head(const struct wire_frame *frame, uint8_t head[WIRE_HEAD])
{
	struct writer w = writer_of(head, WIRE_HEAD);

	wire_head_encode(frame, &w);
}

static void encode_hello(const struct wire_hello *hello, uint8_t body[WIRE_HELLO_LEN])
{
	struct writer w = writer_of(body, WIRE_HELLO_LEN);

	wire_hello_encode(hello, &w);
}

enum { BODY_MAX = 1000 };

static void append(struct buffer *b, const struct wire_frame *frame)
{
	uint8_t head[WIRE_HEAD];

	encode_head(frame, head);
	buffer_bytes(b, span_of(head, sizeof(head)));
	buffer_bytes(b, frame->body);
}

/* The bytes of another version of this program must be the same. */
static void test_bytes(void **state)
{
	static const uint8_t expected[] = {
		0,    0,    0,	  27,	1,    3,    0x12, 0x34, /* length, version, type, kind */
		1,    2,    3,	  4,	5,    6,    7,	  8,	/* ticket */
		0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0, 0, 0x01, 0x2c, /* floor, time */
		'a',  'b',  'c'};
	static const struct wire_frame frame = {.type = WIRE_CALL,
						.kind = 0x1234,
						.ticket = 0x0102030405060708,
						.floor = 0xa1a2a3a4a5a6a7a8,
						.time = 300,
						.body = {(const uint8_t *)"abc", 3}};
	_cleanup_buffer_ struct buffer b = buffer_of(100);
	struct wire_frame read;
	struct wire_input in;
	struct span data;

	(void)state;
	append(&b, &frame);
	assert_int_equal(b.len, sizeof(expected));
	assert_memory_equal(b.data, expected, sizeof(expected));
	wire_input_init(&in, BODY_MAX);
	data = buffer_span(&b);
	assert_int_equal(wire_next(&in, &data, &read), 0);
	assert_int_equal(read.type, WIRE_CALL);
	assert_int_equal(read.kind, 0x1234);
	assert_true(read.ticket == frame.ticket && read.floor == frame.floor && read.time == 300);
	assert_true(span_is(read.body, "abc"));
	assert_int_equal(wire_next(&in, &data, &read), WIRE_MORE);
	wire_input_deinit(&in);
}

static void test_hello(void **state)
{
	static const uint8_t expected[] = {0, 0, 0, 7, 0, 0, 0, 9, 1, 2, 3, 4,
					   5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1};
	struct wire_hello hello = {
		.from = 7, .to = 9, .from_incarnation = 0x0102030405060708, .to_incarnation = 1};
	struct wire_hello read = {0};
	uint8_t body[WIRE_HELLO_LEN + 1] = {0};

	(void)state;
	encode_hello(&hello, body);
	assert_memory_equal(body, expected, sizeof(expected));
	assert_int_equal(wire_hello_parse(span_of(body, WIRE_HELLO_LEN), &read), 0);
	assert_memory_equal(&read, &hello, sizeof(read));
	/* A later version may say more. */
	assert_int_equal(wire_hello_parse(span_of(body, WIRE_HELLO_LEN + 1), &read), 0);
	assert_int_equal(wire_hello_parse(span_of(body, WIRE_HELLO_LEN - 1), &read), -EPROTO);
}

/* Three frames, in pieces of each length: always the same frames. */
static void test_cut(void **state)
{
	static const char *const bodies[] = {"first", "", "the third and last"};
	_cleanup_buffer_ struct buffer b = buffer_of(1000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		append(&b, &(struct wire_frame){
				   .type = WIRE_ANSWER, .ticket = i + 1, .body = span_str(bodies[i])});
	for (size_t step = 1; step <= b.len; step++) {
		struct wire_input in;
		size_t seen = 0;

		wire_input_init(&in, BODY_MAX);
		for (size_t at = 0; at < b.len; at += step) {
			struct span data = span_of(b.data + at, MIN(step, b.len - at));
			struct wire_frame frame;
			int r;

			while ((r = wire_next(&in, &data, &frame)) == 0) {
				assert_true(seen < ARRAY_SIZE(bodies));
				assert_true(frame.ticket == seen + 1);
				assert_true(span_is(frame.body, bodies[seen]));
				seen++;
			}
			assert_int_equal(r, WIRE_MORE);
			assert_int_equal(data.len, 0);
		}
		assert_int_equal(seen, ARRAY_SIZE(bodies));
		wire_input_deinit(&in);
	}
}

/* What `bytes` bring, whole and byte by byte. */
static void assert_refused(const uint8_t *bytes, size_t len, int expected)
{
	struct wire_frame frame;
	struct wire_input in;
	struct span data = span_of(bytes, len);
	int r = WIRE_MORE;

	wire_input_init(&in, BODY_MAX);
	assert_int_equal(wire_next(&in, &data, &frame), expected);
	wire_input_deinit(&in);
	wire_input_init(&in, BODY_MAX);
	for (size_t i = 0; i < len && r == WIRE_MORE; i++) {
		data = span_of(bytes + i, 1);
		r = wire_next(&in, &data, &frame);
	}
	assert_int_equal(r, expected);
	wire_input_deinit(&in);
}

static void test_refused(void **state)
{
	uint8_t head[WIRE_HEAD];
	static const uint8_t body[BODY_MAX + 1];
	struct wire_frame frame = {.type = WIRE_MESSAGE, .body = span_of(body, BODY_MAX + 1)};

	(void)state;
	/* Seen by the first five bytes: no memory is taken for it. */
	encode_head(&frame, head);
	assert_refused(head, 5, -EMSGSIZE);
	frame.body.len = BODY_MAX;
	encode_head(&frame, head);
	assert_refused(head, sizeof(head), WIRE_MORE);
	head[4] = WIRE_VERSION + 1;
	assert_refused(head, 5, -EPROTO);
	frame.body.len = 0;
	encode_head(&frame, head);
	head[3]--;
	assert_refused(head, sizeof(head), -EPROTO);
	frame.type = 0;
	encode_head(&frame, head);
	assert_refused(head, sizeof(head), -EPROTO);
	frame.type = WIRE_TYPES;
	encode_head(&frame, head);
	assert_refused(head, sizeof(head), -EPROTO);
}

/* A long length promises memory to nobody. */
static void test_memory(void **state)
{
	uint8_t head[WIRE_HEAD];
	static const uint8_t body[BODY_MAX];
	struct wire_frame frame = {.type = WIRE_MESSAGE, .body = span_of(body, BODY_MAX)}, read;
	struct span data = span_of(head, sizeof(head));
	struct wire_input in;

	(void)state;
	encode_head(&frame, head);
	wire_input_init(&in, BODY_MAX);
	assert_int_equal(wire_next(&in, &data, &read), WIRE_MORE);
	assert_true(in.partial.cap < 100);
	wire_input_deinit(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	cmocka_unit_test(test_hello),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_memory),
	};

	return cmocka_run_group_tests_name("cluster_wire", tests, NULL, NULL);
}
