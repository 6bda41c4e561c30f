/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The record layer against vectors that tests/oracle/dtls_model.py made with another library, and against all
 * that may happen to a record on its way.
 */

#include "dtls_test.h"

#include "dtls/record.h"

#include <errno.h>

enum { CIDS = 33, ROOM = 256 };

#define SEQ UINT64_C(0x000123456789)

static const struct {
	enum dtls_aead aead;
	const char *plain, *cid;
} vectors[] = {
	{DTLS_AES_128_CCM_8,
	 "17fefd0001000123456789001c0001000123456789a9957f17183a35dedee8ee7c36444a8193e120b6",
	 "19fefd0001000123456789c1d0000102030405001d0001000123456789a9957f17183a35dedee8ee7c69ceb8c9d90a5ebe5"
	 "7"},
	{DTLS_AES_128_CCM,
	 "17fefd000100012345678900240001000123456789a9957f17183a35dedee8ee7cfbc39776c692e6eba0b69ea7ab1542e9",
	 "19fefd0001000123456789c1d000010203040500250001000123456789a9957f17183a35dedee8ee7c69401e9e05a7777fe"
	 "3"
	 "43852d09d9196480"},
	{DTLS_AES_128_GCM,
	 "17fefd000100012345678900240001000123456789dcdac8dd3169a346f7b5b8cd4f1c8785668b7dcfb8629ea583aca110",
	 "19fefd0001000123456789c1d000010203040500250001000123456789dcdac8dd3169a346f7b5b8cd9ac5356812a7ea780"
	 "b"
	 "e24ff28ba779867c"},
	{DTLS_AES_256_CCM_8,
	 "17fefd0001000123456789001c00010001234567891b09e4c37343f40f2d34c51363e90a72d2a5e1ee",
	 "19fefd0001000123456789c1d0000102030405001d00010001234567891b09e4c37343f40f2d34c5139264b5d7113f276b6"
	 "3"},
	{DTLS_AES_256_CCM,
	 "17fefd0001000123456789002400010001234567891b09e4c37343f40f2d34c5136b2cc113b3cacf3d0be4cea8a539c69b",
	 "19fefd0001000123456789c1d0000102030405002500010001234567891b09e4c37343f40f2d34c5139214e2e2d331e7dee"
	 "1"
	 "808468ca1ae91b71"},
	{DTLS_AES_256_GCM,
	 "17fefd0001000123456789002400010001234567896fe0591d594a78553a367c3ec1c4a0cd143454535c3d88e71bd9284b",
	 "19fefd0001000123456789c1d0000102030405002500010001234567896fe0591d594a78553a367c3e076513d792c4b7325"
	 "a"
	 "e562afb7ccff01f5"},
};

static const uint8_t content[] = {0x44, 0x02, 0x12, 0x34, 'S', 'E', 'N', 'M', 0xb2, 'r', 'd', 0x0f};
static const uint8_t own_cid[] = {0xc1, 0xd0, 0, 1, 2, 3, 4, 5};

static struct dtls_secret the_secret(void)
{
	struct dtls_secret s = {.iv = {0xa0, 0xa1, 0xa2, 0xa3}};

	for (size_t i = 0; i < sizeof(s.key); i++)
		s.key[i] = (uint8_t)(0x20 + i);
	return s;
}

/* The only record of a datagram. */
static struct dtls_record only(struct span datagram, size_t cid_len)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	assert_int_equal(dtls_record_parse(&r, cid_len, &record), 0);
	assert_int_equal(reader_left(&r), 0);
	return record;
}

static void check_vector(enum dtls_aead aead, struct span cid, const char *hex)
{
	struct dtls_secret secret = the_secret();
	uint8_t bytes[ROOM], sealed[ROOM], out[ROOM], type;
	struct span wanted = unhex(hex, bytes, sizeof(bytes)), plaintext;
	struct writer w = writer_of(sealed, sizeof(sealed));
	struct dtls_record r;

	dtls_seal(&w, aead, &secret, cid, 1, SEQ, DTLS_APPLICATION_DATA, span_of(content, sizeof(content)));
	assert_false(w.failed);
	assert_bytes(writer_span(&w), wanted);
	r = only(wanted, cid.len);
	assert_int_equal(r.type, cid.len ? DTLS_TLS12_CID : DTLS_APPLICATION_DATA);
	assert_int_equal(r.version, DTLS_VERSION);
	assert_int_equal(r.epoch, 1);
	assert_int_equal(r.seq, SEQ);
	assert_bytes(r.cid, cid);
	assert_bytes(r.whole, wanted);
	assert_int_equal(dtls_open(aead, &secret, &r, out, &plaintext, &type), 0);
	assert_bytes(plaintext, span_of(content, sizeof(content)));
	assert_int_equal(type, DTLS_APPLICATION_DATA);
}

static void vectors_of_another_library_hold(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		check_vector(vectors[i].aead, span_of(NULL, 0), vectors[i].plain);
		check_vector(vectors[i].aead, span_of(own_cid, sizeof(own_cid)), vectors[i].cid);
	}
}

static void a_foreign_nonce_and_hidden_length_are_understood(void **state)
{
	struct dtls_secret secret = the_secret();
	uint8_t bytes[ROOM], out[ROOM], type;
	struct span plaintext;
	struct dtls_record r =
		only(unhex("19fefd0001000000000007c1d00001020304050019f0f1f2f3f4f5f6f7b2bc927a4177e3"
			   "78e59dcbc9bb83b66c37",
			   bytes, sizeof(bytes)),
		     sizeof(own_cid));

	(void)state;
	assert_int_equal(dtls_open(DTLS_AES_128_CCM_8, &secret, &r, out, &plaintext, &type), 0);
	assert_bytes(plaintext, span_str("abc"));
	assert_int_equal(type, DTLS_HANDSHAKE);
}

static void a_record_of_zeroes_alone_is_none(void **state)
{
	struct dtls_secret secret = the_secret();
	uint8_t bytes[ROOM], out[ROOM], type;
	struct span plaintext;
	struct dtls_record r = only(
		unhex("19fefd0001000000000007c1d0000102030405001400010000000000071925f280c568067894aea375",
		      bytes, sizeof(bytes)),
		sizeof(own_cid));

	(void)state;
	assert_int_equal(dtls_open(DTLS_AES_128_CCM_8, &secret, &r, out, &plaintext, &type), -EBADMSG);
}

static void every_length_of_a_connection_id_works(void **state)
{
	struct dtls_secret secret = the_secret();
	uint8_t cid[CIDS], sealed[ROOM], out[ROOM], type;
	struct span plaintext;

	(void)state;
	memset(cid, 0x5a, sizeof(cid));
	for (unsigned aead = 0; aead < DTLS_AEAD_COUNT; aead++)
		for (size_t len = 0; len <= DTLS_CID_MAX; len++) {
			struct writer w = writer_of(sealed, sizeof(sealed));
			struct dtls_record r;

			dtls_seal(&w, (enum dtls_aead)aead, &secret, span_of(cid, len), 1, len, DTLS_ALERT,
				  span_of(content, len % sizeof(content)));
			r = only(writer_span(&w), len);
			assert_int_equal(dtls_open((enum dtls_aead)aead, &secret, &r, out, &plaintext, &type),
					 0);
			assert_bytes(plaintext, span_of(content, len % sizeof(content)));
			assert_int_equal(type, DTLS_ALERT);
		}
}

/* Refused, and nothing of the plaintext is left behind. */
static void assert_refused(enum dtls_aead aead, struct span datagram, size_t cid_len)
{
	struct dtls_secret secret = the_secret();
	struct reader reader = reader_of(datagram);
	uint8_t out[ROOM], type;
	struct span plaintext;
	struct dtls_record r;

	memset(out, 0, sizeof(out));
	if (dtls_record_parse(&reader, cid_len, &r) < 0)
		return;
	assert_int_equal(dtls_open(aead, &secret, &r, out, &plaintext, &type), -EBADMSG);
	assert_true(all_are(out, sizeof(out), 0));
}

static void each_flipped_bit_is_found(void **state)
{
	uint8_t bytes[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		for (unsigned with_cid = 0; with_cid < 2; with_cid++) {
			struct span s =
				unhex(with_cid ? vectors[i].cid : vectors[i].plain, bytes, sizeof(bytes));

			for (size_t bit = 0; bit < 8 * s.len; bit++) {
				bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
				assert_refused(vectors[i].aead, s, with_cid ? sizeof(own_cid) : 0);
				bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
			}
		}
}

/* The fragment is shortened with its length, so that it is a record, and without, so that it is none. */
static void each_truncation_is_found(void **state)
{
	uint8_t bytes[ROOM];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		for (unsigned with_cid = 0; with_cid < 2; with_cid++) {
			size_t cid_len = with_cid ? sizeof(own_cid) : 0, header = DTLS_HEADER + cid_len;
			struct span s =
				unhex(with_cid ? vectors[i].cid : vectors[i].plain, bytes, sizeof(bytes));
			struct dtls_record r;

			for (size_t len = 1; len < s.len; len++) {
				struct reader reader = reader_of(span_of(s.data, len));

				assert_int_equal(dtls_record_parse(&reader, cid_len, &r), -EBADMSG);
				assert_int_equal(dtls_record_parse(&reader, cid_len, &r), -EBADMSG);
			}
			for (size_t len = header; len < s.len; len++) {
				bytes[header - 1] = (uint8_t)(len - header);
				r = only(span_of(s.data, len), cid_len);
				assert_int_equal(r.fragment.len, len - header);
				assert_refused(vectors[i].aead, span_of(s.data, len), cid_len);
			}
		}
}

static void a_datagram_has_several_records(void **state)
{
	static const uint8_t bytes[] = {22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 7, 8,
					25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 2, 9, 0, 1, 5,
					99, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 1};
	struct reader r = reader_of(span_of(bytes, sizeof(bytes)));
	struct dtls_record record;

	(void)state;
	assert_int_equal(dtls_record_parse(&r, 1, &record), 0);
	assert_int_equal(record.type, DTLS_HANDSHAKE);
	assert_int_equal(record.version, 0xFEFF);
	assert_bytes(record.fragment, span_of("\7\10", 2));
	assert_int_equal(dtls_record_parse(&r, 1, &record), 0);
	assert_bytes(record.cid, span_of("\11", 1));
	assert_bytes(record.fragment, span_of("\5", 1));
	assert_ptr_equal(record.whole.data, bytes + 15);
	assert_int_equal(record.whole.len, 15);
	assert_int_equal(dtls_record_parse(&r, 1, &record), 0);
	assert_int_equal(record.type, 99);
	assert_int_equal(record.fragment.len, 0);
	assert_int_equal(dtls_record_parse(&r, 1, &record), -EBADMSG);
	r = reader_of(span_of(NULL, 0));
	assert_int_equal(dtls_record_parse(&r, 1, &record), -ENODATA);
}

static void the_longest_record_is_16_kib(void **state)
{
	static const uint8_t cid[DTLS_CID_MAX];
	size_t room = DTLS_PLAINTEXT_MAX + DTLS_EXPANSION_MAX;
	uint8_t *text = calloc(2, room), *sealed = text + room, type;
	struct dtls_secret secret = the_secret();
	struct span plaintext;
	struct writer w;
	struct dtls_record r;

	(void)state;
	assert_non_null(text);
	w = writer_of(sealed, room);
	dtls_seal(&w, DTLS_AES_256_GCM, &secret, span_of(cid, sizeof(cid)), 1, 1, DTLS_APPLICATION_DATA,
		  span_of(text, DTLS_PLAINTEXT_MAX));
	assert_false(w.failed);
	assert_int_equal(writer_len(&w), room);
	r = only(writer_span(&w), sizeof(cid));
	assert_int_equal(dtls_open(DTLS_AES_256_GCM, &secret, &r, text, &plaintext, &type), 0);
	assert_int_equal(plaintext.len, DTLS_PLAINTEXT_MAX);
	w = writer_of(sealed, room);
	dtls_seal(&w, DTLS_AES_128_CCM_8, &secret, span_of(NULL, 0), 1, 1, DTLS_APPLICATION_DATA,
		  span_of(text, DTLS_PLAINTEXT_MAX + 1));
	assert_true(w.failed);
	assert_int_equal(writer_len(&w), 0);
	free(text);
}

/* Longer than a fragment may be: no record, though all of it is there. */
static void a_fragment_that_is_too_long_is_refused(void **state)
{
	size_t size = DTLS_HEADER + DTLS_FRAGMENT_MAX + 1;
	uint8_t *bytes = calloc(1, size);
	struct dtls_record r;
	struct reader reader;

	(void)state;
	assert_non_null(bytes);
	bytes[0] = DTLS_APPLICATION_DATA;
	bytes[DTLS_HEADER - 2] = DTLS_FRAGMENT_MAX >> 8;
	bytes[DTLS_HEADER - 1] = DTLS_FRAGMENT_MAX & 0xff;
	r = only(span_of(bytes, size - 1), 0);
	assert_int_equal(r.fragment.len, DTLS_FRAGMENT_MAX);
	bytes[DTLS_HEADER - 1]++;
	reader = reader_of(span_of(bytes, size));
	assert_int_equal(dtls_record_parse(&reader, 0, &r), -EBADMSG);
	free(bytes);
}

static void a_writer_without_room_fails_whole(void **state)
{
	struct dtls_secret secret = the_secret();
	uint8_t sealed[ROOM];
	size_t needed = strlen(vectors[0].cid) / 2;

	(void)state;
	for (size_t size = 0; size <= needed; size++) {
		struct writer w = writer_of(sealed, size);

		memset(sealed, 0xee, sizeof(sealed));
		dtls_seal(&w, DTLS_AES_128_CCM_8, &secret, span_of(own_cid, sizeof(own_cid)), 1, SEQ,
			  DTLS_APPLICATION_DATA, span_of(content, sizeof(content)));
		assert_int_equal(w.failed, size < needed);
		assert_int_equal(writer_len(&w), size < needed ? 0 : needed);
		assert_true(all_are(sealed + writer_len(&w), sizeof(sealed) - writer_len(&w), 0xee));
	}
}

static void suites_are_found_by_number(void **state)
{
	static const uint16_t ours[] = {0xC0A8, 0xC0A4, 0x00A8, 0xC0A9, 0xC0A5, 0x00A9,
					0xC0AE, 0xC0AC, 0xC02B, 0xC0AF, 0xC0AD, 0xC02C};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		const struct dtls_suite *s = dtls_suite_find(ours[i]);

		assert_non_null(s);
		assert_int_equal(s->id, ours[i]);
		assert_int_equal(s->psk, i < 6);
		assert_int_equal(s->aead, i % 6);
		assert_int_equal(dtls_key_len((enum dtls_aead)s->aead), i % 6 < 3 ? 16 : 32);
		assert_int_equal(dtls_tag_len((enum dtls_aead)s->aead), i % 3 == 0 ? 8 : 16);
	}
	assert_null(dtls_suite_find(0x00AE)); /* TLS_PSK_WITH_AES_128_CBC_SHA256 */
	assert_null(dtls_suite_find(0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_another_library_hold),
		cmocka_unit_test(a_foreign_nonce_and_hidden_length_are_understood),
		cmocka_unit_test(a_record_of_zeroes_alone_is_none),
		cmocka_unit_test(every_length_of_a_connection_id_works),
		cmocka_unit_test(each_flipped_bit_is_found),
		cmocka_unit_test(each_truncation_is_found),
		cmocka_unit_test(a_datagram_has_several_records),
		cmocka_unit_test(the_longest_record_is_16_kib),
		cmocka_unit_test(a_fragment_that_is_too_long_is_refused),
		cmocka_unit_test(a_writer_without_room_fails_whole),
		cmocka_unit_test(suites_are_found_by_number),
	};

	return cmocka_run_group_tests_name("dtls_record", tests, NULL, NULL);
}
