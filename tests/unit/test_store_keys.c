/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The schema: everything comes back as it was written, its bytes never change, and nothing shorter or longer
 * is taken. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/keys.h"

#include <stdio.h>

static const uint8_t body[] = {1, 2, 3, 4, 5, 6, 7};

static struct store_key device(void)
{
	return (struct store_key){STORE_BOOTSTRAP, span_str("urn:dev")};
}

static struct coap_dedup ring(void)
{
	struct coap_dedup d = {.next = 5};

	d.entries[1] = (struct coap_dedup_entry){
		.hash = 0x11223344, .time_s = 0x55667788, .mid = 0x99aa, .code = 0x44};
	d.entries[7] = (struct coap_dedup_entry){.hash = 1, .time_s = 2, .mid = 3, .code = 4};
	return d;
}

static struct store_row row(void)
{
	return (struct store_row){
		.epoch = 0x01020304,
		.deleted = true,
		.deleted_ms = 0x1112131415161718,
		.sequence = 0x2122232425262728,
		.hot =
			{
				.fence = {.node = 0x31323334,
					  .gen = 0x41424344,
					  .incarnation = 0x5152535455565758},
				.number = 0x6162636465666768,
				.mark = 0x7172737475767778,
				.seen_ms = 0x8182838485868788,
				.dedup = ring(),
			},
	};
}

static struct store_entry entry(void)
{
	return (struct store_entry){
		.time_ms = 1,
		.number = 2,
		.mark = 3,
		.seen_ms = 4,
		.dedup = ring(),
		.key = device(),
		.event = 6,
		.body = span_of(body, sizeof(body)),
	};
}

static void assert_span(struct span s, struct span expected)
{
	assert_int_equal(s.len, expected.len);
	if (s.len)
		assert_memory_equal(s.data, expected.data, s.len);
}

static void assert_device(struct store_key key)
{
	assert_int_equal(key.role, STORE_BOOTSTRAP);
	assert_span(key.endpoint, span_str("urn:dev"));
}

static void assert_ring(const struct coap_dedup *a)
{
	struct coap_dedup b = ring();

	assert_int_equal(a->next, b.next);
	assert_memory_equal(a->entries, b.entries, sizeof(b.entries));
}

/* ---- each kind: write it, read it back, compare ---- */

static void encode_row(struct writer *w)
{
	struct store_row r = row();

	store_row_encode(w, &r);
}

static bool decode_row(struct span s)
{
	struct store_row r;

	return store_row_decode(s, &r);
}

static void check_row(struct span s)
{
	struct store_row r, expected = row();

	assert_int_equal(s.len, STORE_ROW_BYTES);
	assert_true(store_row_decode(s, &r));
	assert_int_equal(r.epoch, expected.epoch);
	assert_true(r.deleted);
	assert_int_equal(r.deleted_ms, expected.deleted_ms);
	assert_int_equal(r.sequence, expected.sequence);
	assert_int_equal(r.hot.fence.node, expected.hot.fence.node);
	assert_int_equal(r.hot.fence.gen, expected.hot.fence.gen);
	assert_int_equal(r.hot.fence.incarnation, expected.hot.fence.incarnation);
	assert_int_equal(r.hot.number, expected.hot.number);
	assert_int_equal(r.hot.mark, expected.hot.mark);
	assert_int_equal(r.hot.seen_ms, expected.hot.seen_ms);
	assert_ring(&r.hot.dedup);
}

static void encode_record(struct writer *w)
{
	struct store_record r = {77, span_of(body, sizeof(body))};

	store_record_encode(w, &r);
	assert_int_equal(store_record_size(&r), writer_len(w));
}

static bool decode_record(struct span s)
{
	struct store_record r;

	return store_record_decode(s, &r);
}

static void check_record(struct span s)
{
	struct store_record r;

	assert_true(store_record_decode(s, &r));
	assert_int_equal(r.expires_ms, 77);
	assert_span(r.bytes, span_of(body, sizeof(body)));
}

static void encode_entry(struct writer *w)
{
	struct store_entry e = entry();

	store_entry_encode(w, &e);
	assert_int_equal(store_entry_size(&e), writer_len(w));
}

static bool decode_entry(struct span s)
{
	struct store_entry e;

	return store_entry_decode(s, &e);
}

static void check_entry(struct span s)
{
	struct store_entry e;

	assert_true(store_entry_decode(s, &e));
	assert_int_equal(e.time_ms, 1);
	assert_int_equal(e.number, 2);
	assert_int_equal(e.mark, 3);
	assert_int_equal(e.seen_ms, 4);
	assert_ring(&e.dedup);
	assert_device(e.key);
	assert_int_equal(e.event, 6);
	assert_span(e.body, span_of(body, sizeof(body)));
}

static void encode_body(struct writer *w)
{
	struct store_body b = {88, span_of(body, sizeof(body))};

	store_body_encode(w, &b);
	assert_int_equal(store_body_size(&b), writer_len(w));
}

static bool decode_body(struct span s)
{
	struct store_body b;

	return store_body_decode(s, &b);
}

static void check_body(struct span s)
{
	struct store_body b;

	assert_true(store_body_decode(s, &b));
	assert_int_equal(b.version, 88);
	assert_span(b.bytes, span_of(body, sizeof(body)));
}

static void encode_request(struct writer *w)
{
	struct store_request r = {span_str("ticket"), 3, 99, span_of(body, sizeof(body))};

	store_request_encode(w, &r);
	assert_int_equal(store_request_size(&r), writer_len(w));
}

static bool decode_request(struct span s)
{
	struct store_request r;

	return store_request_decode(s, &r);
}

static void check_request(struct span s)
{
	struct store_request r;

	assert_true(store_request_decode(s, &r));
	assert_int_equal(r.state, 3);
	assert_int_equal(r.deadline_ms, 99);
	assert_span(r.id, span_str("ticket"));
	assert_span(r.body, span_of(body, sizeof(body)));
}

static void encode_format(struct writer *w)
{
	store_format_encode(w, &(struct store_format){STORE_FORMAT, 7, {{1, 2, 3}}});
}

static bool decode_format(struct span s)
{
	struct store_format f;

	return store_format_decode(s, &f);
}

static void check_format(struct span s)
{
	struct store_format f;

	assert_int_equal(s.len, STORE_FORMAT_BYTES);
	assert_true(store_format_decode(s, &f));
	assert_int_equal(f.format, STORE_FORMAT);
	assert_int_equal(f.epoch, 7);
	assert_int_equal(f.hash_key.bytes[2], 3);
}

static void encode_state(struct writer *w)
{
	store_state_encode(w, &(struct store_state){1, 2, 3, {4, 5}, 6, 7});
}

static bool decode_state(struct span s)
{
	struct store_state f;

	return store_state_decode(s, &f);
}

static void check_state(struct span s)
{
	struct store_state f;

	assert_int_equal(s.len, STORE_STATE_BYTES);
	assert_true(store_state_decode(s, &f));
	assert_int_equal(f.checkpoint, 1);
	assert_int_equal(f.bytes, 2);
	assert_int_equal(f.bytes_sequence, 3);
	assert_int_equal(f.trimmed.time_ms, 4);
	assert_int_equal(f.trimmed.sequence, 5);
	assert_int_equal(f.events_trimmed, 6);
	assert_int_equal(f.document_version, 7);
}

#define ZERO_PLACE "0000000000000000000000"

/*
 * `least`: the shortest prefix that is a value of its own, since the last field takes all that is left; the
 * whole length where it is fixed. `text`: the bytes, which files in the field have.
 */
static const struct kind {
	const char *name;
	void (*encode)(struct writer *w);
	bool (*decode)(struct span s);
	void (*check)(struct span s);
	size_t least;
	bool fixed;
	const char *text;
} kinds[] = {
	{"row", encode_row, decode_row, check_row, STORE_ROW_BYTES, true,
	 "010101020304111213141516171821222324252627283132333441424344515253545556575861626364656667687172737"
	 "475767778"
	 "818283848586878805" ZERO_PLACE
	 "112233445566778899aa44" ZERO_PLACE ZERO_PLACE ZERO_PLACE ZERO_PLACE ZERO_PLACE
	 "0000000100000002000304"},
	{"record", encode_record, decode_record, check_record, 9, false, "01000000000000004d01020304050607"},
	{"entry", encode_entry, decode_entry, check_entry, 1 + 32 + 2 + 22 + 9 + 1, false,
	 "0100000000000000010000000000000002000000000000000300000000000000040582112233445566778899aa44"
	 "0000000100000002000304010775726e3a6465760601020304050607"},
	{"body", encode_body, decode_body, check_body, 9, false, "01000000000000005801020304050607"},
	{"request", encode_request, decode_request, check_request, 11 + 6, false,
	 "01030000000000000063067469636b657401020304050607"},
	{"format", encode_format, decode_format, check_format, STORE_FORMAT_BYTES, true,
	 "73686f616c2d6462000000010000000701020300000000000000000000000000"},
	{"state", encode_state, decode_state, check_state, STORE_STATE_BYTES, true,
	 "010000000000000001000000000000000200000000000000030000000000000004000000000000000500000000000000060"
	 "0000000000000"
	 "07"},
};

static struct span encoded(const struct kind *k, uint8_t *buffer, size_t size)
{
	struct writer w = writer_of(buffer, size);

	k->encode(&w);
	assert_false(w.failed);
	return writer_span(&w);
}

static void values_come_back(void **state)
{
	uint8_t buffer[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		kinds[i].check(encoded(&kinds[i], buffer, sizeof(buffer)));
}

static void the_bytes_of_values_never_change(void **state)
{
	uint8_t buffer[512];
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct span s = encoded(&kinds[i], buffer, sizeof(buffer));

		for (size_t j = 0; j < s.len; j++)
			snprintf(text + 2 * j, 3, "%02x", s.data[j]);
		assert_string_equal(text, kinds[i].text);
	}
}

/* Each prefix in memory of exactly its size, so that a byte read too much is found by AddressSanitizer. */
static void prefixes_are_refused_at_every_length(void **state)
{
	uint8_t buffer[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct span s = encoded(&kinds[i], buffer, sizeof(buffer));

		for (size_t len = 0; len <= s.len; len++) {
			_cleanup_free_ uint8_t *exact = malloc(len ? len : 1);

			memcpy(exact, s.data, len);
			if (kinds[i].decode(span_of(exact, len)) != (len >= kinds[i].least))
				fail_msg("%s at length %zu", kinds[i].name, len);
		}
	}
}

static void more_than_the_value_is_refused(void **state)
{
	uint8_t buffer[512] = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct span s = encoded(&kinds[i], buffer, sizeof(buffer));

		assert_int_equal(kinds[i].decode(span_of(s.data, s.len + 1)), !kinds[i].fixed);
	}
}

static void another_layout_is_refused(void **state)
{
	uint8_t buffer[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct span s = encoded(&kinds[i], buffer, sizeof(buffer));

		buffer[0] ^= 2;
		assert_false(kinds[i].decode(s));
	}
}

static void too_small_a_buffer_fails_the_writer(void **state)
{
	uint8_t buffer[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = encoded(&kinds[i], buffer, sizeof(buffer)).len;
		_cleanup_free_ uint8_t *small = malloc(len);
		struct writer w = writer_of(small, len - 1);

		if (!kinds[i].fixed)
			continue;
		kinds[i].encode(&w);
		assert_true(w.failed);
	}
}

static void values_out_of_range_are_refused(void **state)
{
	uint8_t buffer[512];
	struct span s;

	(void)state;
	s = encoded(&kinds[0], buffer, sizeof(buffer));
	buffer[1] = 2; /* deleted */
	assert_false(decode_row(s));
	s = encoded(&kinds[0], buffer, sizeof(buffer));
	buffer[1 + 1 + 4 + 8 + 8 + 16 + 24] = COAP_DEDUP_ENTRIES; /* the ring's next place */
	assert_false(decode_row(s));
	s = encoded(&kinds[2], buffer, sizeof(buffer));
	buffer[33] = COAP_DEDUP_ENTRIES; /* the same of an entry */
	assert_false(decode_entry(s));
	s = encoded(&kinds[2], buffer, sizeof(buffer));
	memset(buffer + 35 + 4, 0, 4); /* a place in use without a time */
	assert_false(decode_entry(s));
	s = encoded(&kinds[2], buffer, sizeof(buffer));
	buffer[35 + 22] = 2; /* role */
	assert_false(decode_entry(s));
	s = encoded(&kinds[4], buffer, sizeof(buffer));
	buffer[10] = 0; /* length of a request's id */
	assert_false(decode_request(s));
	buffer[10] = STORE_REQUEST_ID_MAX + 1;
	assert_false(decode_request(s));
	s = encoded(&kinds[5], buffer, sizeof(buffer));
	buffer[11] = 0; /* format */
	assert_false(decode_format(s));
}

static void a_newer_format_is_read_as_far_as_its_number(void **state)
{
	uint8_t buffer[64];
	struct writer w = writer_of(buffer, sizeof(buffer));
	struct store_format f;

	(void)state;
	writer_str(&w, "shoal-db");
	writer_u32(&w, STORE_FORMAT + 1);
	writer_str(&w, "whatever");
	assert_true(store_format_decode(writer_span(&w), &f));
	assert_int_equal(f.format, STORE_FORMAT + 1);
}

static void lengths_have_limits(void **state)
{
	size_t size = STORE_DOCUMENT_MAX + 64;
	_cleanup_free_ uint8_t *buffer = calloc(1, size);

	(void)state;
	buffer[0] = 1;
	assert_true(decode_record(span_of(buffer, 9 + STORE_RECORD_MAX)));
	assert_false(decode_record(span_of(buffer, 9 + STORE_RECORD_MAX + 1)));
	assert_true(decode_body(span_of(buffer, 9 + STORE_DOCUMENT_MAX)));
	assert_false(decode_body(span_of(buffer, 9 + STORE_DOCUMENT_MAX + 1)));
	buffer[10] = 1;
	assert_true(decode_request(span_of(buffer, 12 + STORE_REQUEST_MAX)));
	assert_false(decode_request(span_of(buffer, 12 + STORE_REQUEST_MAX + 1)));
	buffer[10] = 0;
	buffer[36] = 1; /* an entry without ring, of an endpoint of one byte */
	assert_true(decode_entry(span_of(buffer, 39 + STORE_EVENT_MAX)));
	assert_false(decode_entry(span_of(buffer, 39 + STORE_EVENT_MAX + 1)));
}

/* ---- keys ---- */

static void keys_come_back_and_only_whole(void **state)
{
	struct store_key_bytes k;
	struct store_key d;
	struct span s, name;
	uint64_t number;
	uint8_t kind;

	(void)state;
	s = store_device_key(&k, device());
	assert_true(store_device_key_decode(s, &d));
	assert_device(d);
	for (size_t len = 0; len < s.len; len++)
		assert_false(store_device_key_decode(span_of(s.data, len), &d));
	s = store_sequence_key(&k, 0x0102030405060708);
	assert_true(store_sequence_key_decode(s, &number));
	assert_int_equal(number, 0x0102030405060708);
	assert_int_equal(s.data[0], 1);
	assert_false(store_sequence_key_decode(span_of(s.data, 7), &number));
	s = store_name_key(&k, 3, span_str("name"));
	assert_true(store_name_key_decode(s, &kind, &name));
	assert_int_equal(kind, 3);
	assert_span(name, span_str("name"));
	assert_false(store_name_key_decode(span_of(s.data, 1), &kind, &name));
	assert_false(store_name_key_decode(span_of(s.data, 0), &kind, &name));
	s = store_request_key(&k, device(), 9);
	assert_true(store_request_key_decode(s, &d, &number));
	assert_device(d);
	assert_int_equal(number, 9);
	for (size_t len = 0; len < s.len; len++)
		assert_false(store_request_key_decode(span_of(s.data, len), &d, &number));
	s = store_grave_key(&k, 10, device());
	assert_true(store_grave_key_decode(s, &number, &d));
	assert_device(d);
	assert_int_equal(number, 10);
	for (size_t len = 0; len < s.len; len++)
		assert_false(store_grave_key_decode(span_of(s.data, len), &number, &d));
}

static void the_longest_keys_fit_into_lmdb(void **state)
{
	char name[STORE_NAME_MAX];
	struct store_key_bytes k;
	struct store_key d = {STORE_MANAGEMENT, span_of(name, STORE_ENDPOINT_MAX)};

	(void)state;
	memset(name, 'n', sizeof(name));
	/* Its limit, which is fixed when the library is built, is 511 in all distributions. */
	assert_true(store_name_key(&k, 1, span_of(name, sizeof(name))).len <= 511);
	assert_int_equal(store_grave_key(&k, 1, d).len, STORE_KEY_BYTES);
	assert_int_equal(store_request_key(&k, d, 1).len, STORE_KEY_BYTES);
}

static void the_order_of_keys_is_that_of_their_numbers(void **state)
{
	struct store_key_bytes a, b;

	(void)state;
	assert_true(memcmp(store_sequence_key(&a, 255).data, store_sequence_key(&b, 256).data, 8) < 0);
	assert_true(memcmp(store_grave_key(&a, 0xffff, device()).data,
			   store_grave_key(&b, 0x10000, device()).data, 17) < 0);
	assert_true(memcmp(store_request_key(&a, device(), 1).data, store_request_key(&b, device(), 256).data,
			   17) < 0);
}

static void tables_have_different_names(void **state)
{
	(void)state;
	for (unsigned a = 0; a < STORE_TABLES; a++)
		for (unsigned b = 0; b < a; b++)
			assert_string_not_equal(store_table_name((enum store_table)a),
						store_table_name((enum store_table)b));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_come_back),
		cmocka_unit_test(the_bytes_of_values_never_change),
		cmocka_unit_test(prefixes_are_refused_at_every_length),
		cmocka_unit_test(more_than_the_value_is_refused),
		cmocka_unit_test(another_layout_is_refused),
		cmocka_unit_test(too_small_a_buffer_fails_the_writer),
		cmocka_unit_test(values_out_of_range_are_refused),
		cmocka_unit_test(a_newer_format_is_read_as_far_as_its_number),
		cmocka_unit_test(lengths_have_limits),
		cmocka_unit_test(keys_come_back_and_only_whole),
		cmocka_unit_test(the_longest_keys_fit_into_lmdb),
		cmocka_unit_test(the_order_of_keys_is_that_of_their_numbers),
		cmocka_unit_test(tables_have_different_names),
	};

	return cmocka_run_group_tests_name("store-keys", tests, NULL, NULL);
}
