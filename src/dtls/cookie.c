/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Cookies against forged source addresses. The hard idea: the cookie is a MAC over what the client cannot
 * change between its two hellos, keyed by period, so that it expires and every node can check it. Nothing is
 * allocated. Left out: budgets per network, which belong to whoever reads the socket.
 */

#include "dtls/cookie.h"

#include <nettle/hmac.h>
#include <nettle/memops.h>

enum { VERIFY_BODY = 2 + 1 + DTLS_COOKIE, VERIFY_RECORD = DTLS_HEADER + DTLS_MESSAGE_HEADER + VERIFY_BODY };

static void make_cookie(const uint8_t key[DTLS_COOKIE_KEY], uint64_t period, const struct address *peer,
			const struct dtls_client_hello *hello, uint8_t cookie[DTLS_COOKIE])
{
	uint8_t covered[8 + 16 + 2 + 1 + 2 + DTLS_RANDOM + 1 + DTLS_SESSION_ID_MAX];
	struct writer w = writer_of(covered, sizeof(covered));
	struct hmac_sha256_ctx hmac;

	writer_u64(&w, period);
	writer_bytes(&w, span_of(peer->ip, sizeof(peer->ip)));
	writer_u16(&w, peer->port);
	writer_u8(&w, peer->family);
	writer_u16(&w, hello->version);
	writer_bytes(&w, hello->random);
	writer_u8(&w, (uint8_t)hello->session_id.len);
	writer_bytes(&w, hello->session_id);
	assert(!w.failed);
	hmac_sha256_set_key(&hmac, DTLS_COOKIE_KEY, key);
	hmac_sha256_update(&hmac, writer_len(&w), covered);
	hmac_sha256_digest(&hmac, DTLS_COOKIE, cookie);
}

static bool cookie_is_valid(const struct dtls_cookie_keys *keys, const struct address *peer,
			    const struct dtls_client_hello *hello)
{
	uint8_t now[DTLS_COOKIE], before[DTLS_COOKIE];

	if (hello->cookie.len != DTLS_COOKIE)
		return false;
	make_cookie(keys->current, keys->period, peer, hello, now);
	make_cookie(keys->previous, keys->period - 1, peer, hello, before);
	return memeql_sec(now, hello->cookie.data, DTLS_COOKIE) |
	       memeql_sec(before, hello->cookie.data, DTLS_COOKIE);
}

/* Record and message number are the hello's own, so that nobody has to count (RFC 6347, 4.2.1). */
static void write_verify_request(struct writer *w, uint64_t record_seq, uint16_t message_seq,
				 const uint8_t cookie[DTLS_COOKIE])
{
	writer_u8(w, DTLS_HANDSHAKE);
	writer_u16(w, DTLS_VERSION_1_0);
	writer_u16(w, 0);
	writer_uint(w, record_seq, 6);
	writer_u16(w, DTLS_MESSAGE_HEADER + VERIFY_BODY);
	writer_u8(w, DTLS_HELLO_VERIFY_REQUEST);
	writer_u24(w, VERIFY_BODY);
	writer_u16(w, message_seq);
	writer_u24(w, 0);
	writer_u24(w, VERIFY_BODY);
	writer_u16(w, DTLS_VERSION_1_0);
	writer_u8(w, DTLS_COOKIE);
	writer_bytes(w, span_of(cookie, DTLS_COOKIE));
}

enum dtls_hello dtls_cookie_check(const struct dtls_cookie_keys *keys, const struct address *peer,
				  const struct dtls_record *record, struct writer *w,
				  struct dtls_prestate *prestate, struct dtls_client_hello *hello)
{
	struct reader r = reader_of(record->fragment);
	struct dtls_fragment fragment;
	uint8_t cookie[DTLS_COOKIE];

	if (record->type != DTLS_HANDSHAKE || record->epoch != 0 || record->version >> 8 != 0xFE ||
	    dtls_fragment_parse(&r, &fragment) < 0)
		return DTLS_HELLO_IGNORED;
	if (fragment.type != DTLS_CLIENT_HELLO || fragment.offset != 0 ||
	    dtls_client_hello_parse(fragment.body, hello) < 0)
		return DTLS_HELLO_IGNORED;
	if (cookie_is_valid(keys, peer, hello)) {
		*prestate = (struct dtls_prestate){record->seq, fragment.seq};
		return DTLS_HELLO_VERIFIED;
	}
	if (record->whole.len < VERIFY_RECORD)
		return DTLS_HELLO_IGNORED;
	make_cookie(keys->current, keys->period, peer, hello, cookie);
	write_verify_request(w, record->seq, fragment.seq, cookie);
	return w->failed ? DTLS_HELLO_IGNORED : DTLS_HELLO_ANSWERED;
}
