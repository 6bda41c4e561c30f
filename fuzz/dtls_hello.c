/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What a stranger sends first. Mode 0: the bytes are a datagram, mode 1: the body of a ClientHello; each is
 * looked at without a cookie, and again with the cookie that it got. The other modes are the bodies of the
 * messages that are read before the library has them.
 */

#include "fuzz.h"

#include "dtls/cookie.h"

enum mode { DATAGRAM, CLIENT_HELLO, SERVER_HELLO, CERTIFICATE, RAW_KEY, IDENTITY, MODES };
enum { ANSWER = DTLS_HEADER + DTLS_MESSAGE_HEADER + 3 + DTLS_COOKIE };

static const struct dtls_cookie_keys keys = {7, {1, 2, 3}, {4, 5, 6}};
static const struct address peer = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4};

/* The record of a ClientHello, as its only fragment if `total` is the length of the body. */
static void write_hello(struct writer *w, uint64_t record_seq, uint16_t message_seq, uint32_t total,
			struct span body)
{
	writer_u8(w, DTLS_HANDSHAKE);
	writer_u16(w, DTLS_VERSION_1_2);
	writer_u16(w, 0);
	writer_uint(w, record_seq, 6);
	writer_u16(w, (uint16_t)(DTLS_MESSAGE_HEADER + body.len));
	writer_u8(w, DTLS_CLIENT_HELLO);
	writer_u24(w, total);
	writer_u16(w, message_seq);
	writer_u24(w, 0);
	writer_u24(w, (uint32_t)body.len);
	writer_bytes(w, body);
}

static enum dtls_hello check(const struct address *from, struct span datagram, struct writer *answer,
			     struct dtls_prestate *prestate)
{
	struct reader r = reader_of(datagram);
	struct dtls_client_hello hello;
	struct dtls_record record;
	int rc = dtls_record_parse(&r, DTLS_CID_OWN, &record);

	assert(rc == 0);
	return dtls_cookie_check(&keys, from, &record, answer, prestate, &hello);
}

/* The same hello with the cookie that was answered is verified, from the same address alone. */
static void come_back(const struct dtls_record *record, const struct dtls_client_hello *hello,
		      struct span answer)
{
	size_t size = record->whole.len + DTLS_COOKIE + DTLS_HEADER + DTLS_MESSAGE_HEADER;
	_cleanup_free_ uint8_t *body = malloc(size), *bytes = malloc(size);
	struct writer b = writer_of(body, size), w = writer_of(bytes, size);
	const uint8_t *after = hello->cookie.data + hello->cookie.len;
	uint8_t out[ANSWER];
	struct writer again = writer_of(out, sizeof(out));
	struct dtls_prestate prestate;
	struct address elsewhere = peer;
	struct reader r = reader_of(record->fragment);
	struct dtls_fragment f;
	int rc = dtls_fragment_parse(&r, &f);

	assert(body && bytes && rc == 0);
	writer_u16(&b, hello->version);
	writer_bytes(&b, hello->random);
	writer_u8(&b, (uint8_t)hello->session_id.len);
	writer_bytes(&b, hello->session_id);
	writer_u8(&b, DTLS_COOKIE);
	writer_bytes(&b, span_from(answer, ANSWER - DTLS_COOKIE));
	writer_bytes(&b, span_of(after, (size_t)(f.body.data + f.body.len - after)));
	write_hello(&w, 9, 1, (uint32_t)writer_len(&b), writer_span(&b));
	assert(!b.failed);
	if (w.failed || writer_len(&b) > UINT16_MAX - DTLS_MESSAGE_HEADER ||
	    DTLS_MESSAGE_HEADER + writer_len(&b) > DTLS_FRAGMENT_MAX)
		return;
	assert(check(&peer, writer_span(&w), &again, &prestate) == DTLS_HELLO_VERIFIED);
	assert(prestate.record_seq == 9 && prestate.message_seq == 1 && writer_len(&again) == 0);
	elsewhere.port++;
	assert(check(&elsewhere, writer_span(&w), &again, &prestate) == DTLS_HELLO_ANSWERED);
}

static void look_at(const struct dtls_record *record)
{
	uint8_t bytes[64];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct dtls_client_hello hello;
	struct dtls_prestate prestate;
	struct dtls_record answer;
	struct reader r;
	int rc;

	switch (dtls_cookie_check(&keys, &peer, record, &w, &prestate, &hello)) {
	case DTLS_HELLO_IGNORED:
		assert(writer_len(&w) == 0);
		return;
	case DTLS_HELLO_VERIFIED:
		assert(hello.cookie.len == DTLS_COOKIE && writer_len(&w) == 0);
		break;
	case DTLS_HELLO_ANSWERED:
		assert(writer_len(&w) == ANSWER && ANSWER <= record->whole.len);
		r = reader_of(writer_span(&w));
		rc = dtls_record_parse(&r, 0, &answer);
		assert(rc == 0 && answer.seq == record->seq && reader_left(&r) == 0);
		come_back(record, &hello, writer_span(&w));
		break;
	}
	assert(record->type == DTLS_HANDSHAKE && record->epoch == 0);
	assert(hello.random.len == DTLS_RANDOM && fuzz_within(hello.random, record->fragment));
	assert(hello.session_id.len <= DTLS_SESSION_ID_MAX &&
	       fuzz_within(hello.session_id, record->fragment));
	assert(hello.suites.len % 2 == 0 && fuzz_within(hello.suites, record->fragment));
	assert(fuzz_within(hello.server_name, record->fragment));
}

static void look_at_all(struct span datagram)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	while (dtls_record_parse(&r, DTLS_CID_OWN, &record) == 0)
		look_at(&record);
}

static void look_at_chain(struct span body, bool raw_key)
{
	struct span chain[DTLS_CHAIN_MAX];
	size_t count;

	if (dtls_certificate_parse(body, raw_key, chain, &count) < 0)
		return;
	assert(count <= DTLS_CHAIN_MAX && (!raw_key || count <= 1));
	for (size_t i = 0; i < count; i++)
		assert(chain[i].len && fuzz_within(chain[i], body));
}

static void look_at_body(enum mode mode, struct span body)
{
	struct dtls_server_hello hello;
	struct span identity;

	switch (mode) {
	case SERVER_HELLO:
		if (dtls_server_hello_parse(body, &hello) == 0)
			assert(hello.session_id.len <= DTLS_SESSION_ID_MAX &&
			       fuzz_within(hello.session_id, body));
		break;
	case IDENTITY:
		if (dtls_psk_identity_parse(body, &identity) == 0)
			assert(identity.len + 2 == body.len && fuzz_within(identity, body));
		break;
	default:
		look_at_chain(body, mode == RAW_KEY);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	enum mode mode = (enum mode)(reader_u8(&in) % MODES);
	uint8_t bytes[8192];
	struct writer w = writer_of(bytes, sizeof(bytes));
	_cleanup_copy_ struct span body = fuzz_copy(reader_rest(&in));

	if (mode == DATAGRAM)
		look_at_all(body);
	else if (mode == CLIENT_HELLO)
		write_hello(&w, 8, 0, (uint32_t)body.len, body);
	else
		look_at_body(mode, body);
	if (mode == CLIENT_HELLO && !w.failed) {
		_cleanup_copy_ struct span datagram = fuzz_copy(writer_span(&w));

		look_at_all(datagram);
	}
	return 0;
}
