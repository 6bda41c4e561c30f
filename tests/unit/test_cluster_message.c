/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Bodies of messages between nodes: written and read alike, and nothing shorter is one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster/message.h"

static const struct store_key key = {STORE_BOOTSTRAP, {(const uint8_t *)"ep\0x", 4}};

/* Cut anywhere it is refused; what a newer version puts behind is not looked at. */
#define ASSERT_WHOLE_ONLY(out, decode)                                                \
	do {                                                                          \
		for (size_t len_ = 0; len_ < (out)->len; len_++) {                    \
			uint8_t *cut_ = malloc(len_ + 1);                             \
                                                                                      \
			memcpy(cut_, (out)->data, len_);                              \
			assert_false(decode(span_of(cut_, len_), &(typeof(got)){0})); \
			free(cut_);                                                   \
		}                                                                     \
		buffer_str((out), "behind");                                          \
		assert_true(decode(buffer_span(out), &got));                          \
	} while (0)

static void a_question_for_a_device(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4096);
	const struct message_ask ask = {key, {7, 9, 0x123456789abcdef0}, true, span_str("record")};
	struct message_ask got;

	(void)state;
	message_ask_encode(&ask, &out);
	ASSERT_WHOLE_ONLY(&out, message_ask_decode);
	assert_int_equal(got.key.role, STORE_BOOTSTRAP);
	assert_true(span_equal(got.key.endpoint, key.endpoint));
	assert_memory_equal(&got.owner, &ask.owner, sizeof(ask.owner));
	assert_true(got.session && span_is(got.record, "record"));
}

static void a_device_with_its_luggage(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(4096);
	const struct message_given given = {
		GIVEN,
		{.key = key,
		 .hot = {.fence = {1, 2, 3}, .number = 4, .mark = 5, .seen_ms = 6, .dedup = {.next = 3}},
		 .record = span_str("what it said"),
		 .expires_ms = 77},
		span_str("what it carries")};
	struct message_given got;

	(void)state;
	message_given_encode(&given, &out);
	ASSERT_WHOLE_ONLY(&out, message_given_decode);
	assert_int_equal(got.result, GIVEN);
	assert_memory_equal(&got.device.hot.fence, &given.device.hot.fence, sizeof(struct store_fence));
	assert_int_equal(got.device.hot.number, 4);
	assert_int_equal(got.device.hot.mark, 5);
	assert_int_equal(got.device.hot.seen_ms, 6);
	assert_int_equal(got.device.hot.dedup.next, 3);
	assert_int_equal(got.device.expires_ms, 77);
	assert_true(span_is(got.device.record, "what it said") && span_is(got.luggage, "what it carries"));
}

static void a_refusal(void **state)
{
	(void)state;
	for (enum given result = GIVEN_NOT; result <= GIVEN_UNKNOWN; result++) {
		_cleanup_buffer_ struct buffer out = buffer_of(64);
		struct message_given got;

		message_given_encode(&(struct message_given){.result = result}, &out);
		ASSERT_WHOLE_ONLY(&out, message_given_decode);
		assert_int_equal(got.result, result);
		out.data[1] = GIVEN_UNKNOWN + 1;
		assert_false(message_given_decode(buffer_span(&out), &got));
	}
}

static void who_lost_a_device(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(64);
	struct message_lost got;

	(void)state;
	message_lost_encode(&(struct message_lost){key, 12}, &out);
	ASSERT_WHOLE_ONLY(&out, message_lost_decode);
	assert_true(span_equal(got.key.endpoint, key.endpoint));
	assert_int_equal(got.gen, 12);
	out.data[1] = STORE_BOOTSTRAP + 1;
	assert_false(message_lost_decode(buffer_span(&out), &got));
}

static void a_datagram(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(128);
	struct message_datagram d = {.dtls = true, .datagram = span_str("bytes")}, got;

	(void)state;
	assert_int_equal(address_parse("[fe80::1%7]:5684", &d.place), 0);
	d.place.listener = 3;
	message_datagram_encode(&d, &out);
	ASSERT_WHOLE_ONLY(&out, message_datagram_decode);
	assert_true(address_equal(&got.place, &d.place));
	assert_true(got.dtls && span_is(got.datagram, "bytes"));
	out.data[3] = ADDRESS_ASSOCIATION; /* names nothing at another node */
	assert_false(message_datagram_decode(buffer_span(&out), &got));
}

static void a_changed_document(void **state)
{
	_cleanup_buffer_ struct buffer out = buffer_of(1024);
	struct message_changed got;

	(void)state;
	message_changed_encode(&(struct message_changed){STORE_MODEL, span_str("33000/1.1")}, &out);
	ASSERT_WHOLE_ONLY(&out, message_changed_decode);
	assert_int_equal(got.kind, STORE_MODEL);
	assert_true(span_is(got.name, "33000/1.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_for_a_device),
		cmocka_unit_test(a_device_with_its_luggage),
		cmocka_unit_test(a_refusal),
		cmocka_unit_test(who_lost_a_device),
		cmocka_unit_test(a_datagram),
		cmocka_unit_test(a_changed_document),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
