/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Cookies, and the few handshake messages that are read before the library has them. */

#include "dtls_test.h"

#include "dtls/cookie.h"

#include <errno.h>

static const struct dtls_cookie_keys keys = {7, {1, 2, 3}, {4, 5, 6}};

/* What a ClientHello is made of here, with room to change it. */
struct hello {
	uint8_t session_id_len, cookie_len;
	uint8_t cookie[DTLS_COOKIE];
	uint8_t extension;	 /* a byte of the extensions */
	uint8_t random, version; /* differences to others */
	uint16_t message_seq;
	uint64_t record_seq;
	size_t cut; /* bytes of the first fragment's body; 0: all */
};

static struct span write_hello(const struct hello *h, uint8_t *bytes, size_t size)
{
	uint8_t body[256];
	struct writer b = writer_of(body, sizeof(body)), w = writer_of(bytes, size);
	size_t cut;

	writer_u16(&b, (uint16_t)(DTLS_VERSION_1_2 + h->version));
	memset(writer_extend(&b, DTLS_RANDOM), 'r', DTLS_RANDOM);
	b.pos[-1] = (uint8_t)(b.pos[-1] + h->random);
	writer_u8(&b, h->session_id_len);
	if (h->session_id_len)
		memset(writer_extend(&b, h->session_id_len), 's', h->session_id_len);
	writer_u8(&b, h->cookie_len);
	writer_bytes(&b, span_of(h->cookie, h->cookie_len));
	writer_u16(&b, 2);
	writer_u16(&b, 0xC0A8);
	writer_u16(&b, 0x0100);
	writer_u16(&b, 4 + 8);
	writer_u16(&b, 0);
	writer_u16(&b, 8);
	writer_u16(&b, 6);
	writer_u8(&b, 0);
	writer_u16(&b, 3);
	writer_str(&b, "abc");
	b.pos[-1] = (uint8_t)(b.pos[-1] + h->extension);
	assert_false(b.failed);
	cut = h->cut ? h->cut : writer_len(&b);
	writer_u8(&w, DTLS_HANDSHAKE);
	writer_u16(&w, DTLS_VERSION_1_0);
	writer_u16(&w, 0);
	writer_uint(&w, h->record_seq, 6);
	writer_u16(&w, (uint16_t)(DTLS_MESSAGE_HEADER + cut));
	writer_u8(&w, DTLS_CLIENT_HELLO);
	writer_u24(&w, (uint32_t)writer_len(&b));
	writer_u16(&w, h->message_seq);
	writer_u24(&w, 0);
	writer_u24(&w, (uint32_t)cut);
	writer_bytes(&w, span_of(body, cut));
	assert_false(w.failed);
	return writer_span(&w);
}

struct outcome {
	enum dtls_hello found;
	struct dtls_prestate prestate;
	struct dtls_client_hello hello;
	uint8_t bytes[512], answer[64];
	size_t answer_len, hello_len;
};

static void ask(const struct hello *h, const struct dtls_cookie_keys *with, const struct address *from,
		struct outcome *o)
{
	struct writer w = writer_of(o->answer, sizeof(o->answer));
	struct span datagram = write_hello(h, o->bytes, sizeof(o->bytes));
	struct reader in = reader_of(datagram);
	struct dtls_record record;

	assert_int_equal(dtls_record_parse(&in, DTLS_CID_OWN, &record), 0);
	o->found = dtls_cookie_check(with, from, &record, &w, &o->prestate, &o->hello);
	o->answer_len = writer_len(&w);
	o->hello_len = datagram.len;
}

/* Asks, and puts the cookie that is answered into `h`. */
static void ask_for_cookie(struct hello *h, const struct address *from, struct outcome *o)
{
	h->cookie_len = 0;
	ask(h, &keys, from, o);
	assert_int_equal(o->found, DTLS_HELLO_ANSWERED);
	assert_int_equal(o->answer_len, 13 + 12 + 3 + DTLS_COOKIE);
	h->cookie_len = DTLS_COOKIE;
	memcpy(h->cookie, o->answer + 28, DTLS_COOKIE);
	h->message_seq++;
	h->record_seq++;
}

static const struct address peer = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4};

static void a_cookie_is_verified(void **state)
{
	struct hello h = {.record_seq = 0x010203040506, .session_id_len = 32};
	struct outcome o;

	(void)state;
	ask_for_cookie(&h, &peer, &o);
	/* A HelloVerifyRequest with the record number of the hello, and FE FF in both places. */
	assert_memory_equal(o.answer,
			    "\x16\xfe\xff\0\0\1\2\3\4\5\6\0\x1f\3\0\0\x13\0\0\0\0\0\0\0\x13\xfe\xff\x10", 28);
	ask(&h, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_VERIFIED);
	assert_int_equal(o.answer_len, 0);
	assert_int_equal(o.prestate.record_seq, 0x010203040507);
	assert_int_equal(o.prestate.message_seq, 1);
	assert_int_equal(o.hello.session_id.len, 32);
	assert_true(span_is(o.hello.server_name, "abc"));
	assert_int_equal(o.hello.suites.len, 2);
}

static void what_it_covers(void **state)
{
	struct hello h = {.session_id_len = 4}, other;
	struct dtls_cookie_keys next = {8, {9}, {1, 2, 3}}, after = {9, {8}, {9}};
	struct address elsewhere = peer;
	struct outcome o;

	(void)state;
	ask_for_cookie(&h, &peer, &o);
	elsewhere.port++;
	ask(&h, &keys, &elsewhere, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	elsewhere = peer;
	elsewhere.ip[3]++;
	ask(&h, &keys, &elsewhere, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	elsewhere = peer;
	elsewhere.family = 6;
	ask(&h, &keys, &elsewhere, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	other = h;
	other.session_id_len = 5;
	ask(&other, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	other = h;
	other.random = 1;
	ask(&other, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	other = h;
	other.version = 2;
	ask(&other, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	other = h;
	other.cookie[15] ^= 1;
	ask(&other, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	/* Some clients order their extensions otherwise the second time. */
	other = h;
	other.extension = 1;
	ask(&other, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_VERIFIED);
	/* It holds for this period and the next one. */
	ask(&h, &next, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_VERIFIED);
	ask(&h, &after, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_ANSWERED);
	assert_int_equal(o.answer[18],
			 1); /* the message number of the second hello: the answer is the second too */
}

static void the_first_fragment_is_enough(void **state)
{
	struct hello h = {.cut = 2 + 32 + 1 + 1};
	struct outcome o;

	(void)state;
	ask_for_cookie(&h, &peer, &o);
	assert_in_range(o.answer_len, 1, o.hello_len);
	h.cut = 2 + 32 + 1 + 1 + DTLS_COOKIE;
	ask(&h, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_VERIFIED);
	assert_int_equal(o.hello.suites.len, 0);
	h.cut--;
	ask(&h, &keys, &peer, &o);
	assert_int_equal(o.found, DTLS_HELLO_IGNORED);
}

static void nothing_larger_than_what_came(void **state)
{
	uint8_t bytes[13 + 12 + 2 + 32 + 2] = {22, 0xFE, 0xFD};
	uint8_t answer[64];
	struct writer w = writer_of(answer, sizeof(answer));
	struct dtls_record record = {.type = DTLS_HANDSHAKE, .version = 0xFEFD};
	struct dtls_prestate prestate;
	struct dtls_client_hello hello;

	(void)state;
	/* The shortest hello there is. */
	bytes[13] = DTLS_CLIENT_HELLO;
	bytes[16] = bytes[24] = 36;
	record.fragment = span_of(bytes + 13, sizeof(bytes) - 13);
	record.whole = span_of(bytes, sizeof(bytes));
	assert_int_equal(dtls_cookie_check(&keys, &peer, &record, &w, &prestate, &hello),
			 DTLS_HELLO_ANSWERED);
	assert_in_range(writer_len(&w), 1, sizeof(bytes));
	/* Anything that is none. */
	record.epoch = 1;
	assert_int_equal(dtls_cookie_check(&keys, &peer, &record, &w, &prestate, &hello), DTLS_HELLO_IGNORED);
	record.epoch = 0;
	record.version = 0x0303;
	assert_int_equal(dtls_cookie_check(&keys, &peer, &record, &w, &prestate, &hello), DTLS_HELLO_IGNORED);
	record.version = 0xFEFD;
	bytes[13] = DTLS_FINISHED;
	assert_int_equal(dtls_cookie_check(&keys, &peer, &record, &w, &prestate, &hello), DTLS_HELLO_IGNORED);
	bytes[13] = DTLS_CLIENT_HELLO;
	bytes[21] = 1; /* not the first fragment */
	assert_int_equal(dtls_cookie_check(&keys, &peer, &record, &w, &prestate, &hello), DTLS_HELLO_IGNORED);
}

/*
 * Of a hello with its cookie, each beginning as a first fragment: verified as soon as the cookie is whole,
 * and before that never answered, since the cookie may lie behind it.
 */
static void every_first_fragment(void **state)
{
	enum { BEFORE = 2 + 32 + 1 + 5 + 1, ALL = BEFORE + DTLS_COOKIE + 2 + 2 + 2 + 2 + 12 };
	struct hello h = {.session_id_len = 5};
	struct outcome o;

	(void)state;
	ask_for_cookie(&h, &peer, &o);
	for (h.cut = 1; h.cut <= ALL; h.cut++) {
		ask(&h, &keys, &peer, &o);
		assert_int_equal(o.found,
				 h.cut < BEFORE + DTLS_COOKIE ? DTLS_HELLO_IGNORED : DTLS_HELLO_VERIFIED);
		assert_int_equal(o.answer_len, 0);
		assert_int_equal(o.hello.server_name.len, h.cut == ALL ? 3 : 0);
	}
	/* Without a cookie it is answered as soon as that is seen, by less than it has. */
	h.cookie_len = 0;
	for (h.cut = 1; h.cut <= ALL - DTLS_COOKIE; h.cut++) {
		ask(&h, &keys, &peer, &o);
		assert_int_equal(o.found, h.cut < BEFORE ? DTLS_HELLO_IGNORED : DTLS_HELLO_ANSWERED);
		assert_in_range(o.answer_len, 0, o.hello_len);
	}
}

/* A record that says more than it has, at each of its bytes. */
static void every_byte_that_lies(void **state)
{
	struct hello h = {.session_id_len = 3};
	struct outcome o;
	struct span datagram;

	(void)state;
	ask_for_cookie(&h, &peer, &o);
	datagram = write_hello(&h, o.bytes, sizeof(o.bytes));
	for (size_t at = 0; at < datagram.len; at++) {
		uint8_t was = o.bytes[at];
		struct reader in = reader_of(datagram);
		struct writer w = writer_of(o.answer, sizeof(o.answer));
		struct dtls_record record;

		o.bytes[at] = 0xff;
		if (dtls_record_parse(&in, DTLS_CID_OWN, &record) == 0 &&
		    dtls_cookie_check(&keys, &peer, &record, &w, &o.prestate, &o.hello) ==
			    DTLS_HELLO_VERIFIED)
			/* Record number, message length and number, what stands behind the cookie. */
			assert_true((at >= 5 && at <= 10) || (at >= 14 && at <= 18) ||
				    at >= 64 + DTLS_COOKIE || was == 0xff || at == 1 || at == 2);
		assert_in_range(writer_len(&w), 0, datagram.len);
		o.bytes[at] = was;
	}
}

static void certificates_are_listed(void **state)
{
	uint8_t bytes[64];
	struct span chain[DTLS_CHAIN_MAX];
	size_t count;

	(void)state;
	assert_int_equal(dtls_certificate_parse(unhex("0000090000026162000001630000", bytes, 64), false,
						chain, &count),
			 -EBADMSG);
	assert_int_equal(
		dtls_certificate_parse(unhex("000009000002616200000163", bytes, 64), false, chain, &count),
		0);
	assert_int_equal(count, 2);
	assert_true(span_is(chain[0], "ab") && span_is(chain[1], "c"));
	assert_int_equal(dtls_certificate_parse(unhex("000000", bytes, 64), false, chain, &count), 0);
	assert_int_equal(count, 0);
	assert_int_equal(dtls_certificate_parse(unhex("0000026162", bytes, 64), true, chain, &count), 0);
	assert_true(count == 1 && span_is(chain[0], "ab"));
	assert_int_equal(dtls_certificate_parse(unhex("000003000000", bytes, 64), false, chain, &count),
			 -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cookie_is_verified),
		cmocka_unit_test(what_it_covers),
		cmocka_unit_test(the_first_fragment_is_enough),
		cmocka_unit_test(nothing_larger_than_what_came),
		cmocka_unit_test(every_first_fragment),
		cmocka_unit_test(every_byte_that_lies),
		cmocka_unit_test(certificates_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
