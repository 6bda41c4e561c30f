/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A server's handshake with a client that is GnuTLS and nothing of ours, so that our two roles do not only
 * agree with each other. */

#include "dtls_pair.h"

#include <errno.h>
#include <gnutls/dtls.h>

static const struct span key = {(const uint8_t *)"0123456789abcdef", 16};

static struct pair *psk_server(void)
{
	struct pair *p = pair_new(1);

	pair_context(p, DTLS_SERVER,
		     (struct dtls_context_options){
			     .credentials = DTLS_WITH_PSK, .connection_ids = true, .resumption = true});
	return p;
}

/* Its records go as they are, or, if it has a connection id, through as little of RFC 9146 as that needs. */
struct alone {
	gnutls_session_t session;
	struct dtls_handshake *server;
	bool uses_cid;
	size_t cid_len, server_cid_len;
	uint8_t cid[DTLS_CID_MAX], server_cid[DTLS_CID_MAX];
	struct packet packets[16];
	size_t count;
};

static struct dtls_secret secret_of(const struct alone *a, bool read)
{
	gnutls_datum_t mac, iv, secret_key;
	struct dtls_secret secret = {0};
	unsigned char seq[8];

	assert_int_equal(gnutls_record_get_state(a->session, read, &mac, &iv, &secret_key, seq), 0);
	assert_int_equal(secret_key.size, 16);
	memcpy(secret.key, secret_key.data, secret_key.size);
	memcpy(secret.iv, iv.data, iv.size);
	return secret;
}

/* From one form of a record to the other; plain ones of epoch 0 stay as they are. */
static size_t reform(const struct alone *a, bool read, struct span whole, uint8_t out[DATAGRAM_MAX])
{
	struct reader in = reader_of(whole);
	struct writer w = writer_of(out, DATAGRAM_MAX);
	struct dtls_record record;

	assert_int_equal(dtls_record_parse(&in, a->cid_len, &record), 0);
	if (!a->uses_cid || record.epoch == 0) {
		writer_bytes(&w, record.whole);
	} else {
		struct span to = read ? (struct span){0} : span_of(a->server_cid, a->server_cid_len);
		struct dtls_secret secret = secret_of(a, read);
		uint8_t bytes[DATAGRAM_MAX], type;
		struct span plaintext;

		if (read)
			assert_int_equal(record.type, a->cid_len ? DTLS_TLS12_CID : DTLS_HANDSHAKE);
		assert_int_equal(dtls_open(DTLS_AES_128_CCM_8, &secret, &record, bytes, &plaintext, &type),
				 0);
		dtls_seal(&w, DTLS_AES_128_CCM_8, &secret, to, record.epoch, record.seq, type, plaintext);
	}
	assert_false(w.failed);
	return writer_len(&w);
}

static ssize_t push_alone(gnutls_transport_ptr_t owner, const void *data, size_t len)
{
	struct alone *a = owner;
	uint8_t bytes[DATAGRAM_MAX];
	struct reader in = reader_of(span_of(bytes, reform(a, false, span_of(data, len), bytes)));
	struct dtls_record record;

	assert_int_equal(dtls_record_parse(&in, DTLS_CID_OWN, &record), 0);
	dtls_handshake_input(a->server, &record);
	return (ssize_t)len;
}

static ssize_t pull_alone(gnutls_transport_ptr_t owner, void *out, size_t size)
{
	struct alone *a = owner;
	uint8_t bytes[DATAGRAM_MAX];
	size_t len;

	if (a->count == 0) {
		gnutls_transport_set_errno(a->session, EAGAIN);
		return -1;
	}
	len = reform(a, true, span_of(a->packets[0].bytes, a->packets[0].len), bytes);
	memmove(a->packets, a->packets + 1, --a->count * sizeof(a->packets[0]));
	assert_in_range(len, 1, size);
	memcpy(out, bytes, len);
	return (ssize_t)len;
}

static int wait_alone(gnutls_transport_ptr_t owner, unsigned ms)
{
	(void)ms;
	return ((struct alone *)owner)->count > 0;
}

static int receive_cid(gnutls_session_t session, const unsigned char *data, size_t len)
{
	struct alone *a = gnutls_session_get_ptr(session);

	assert_int_equal(len, 1u + data[0]);
	a->server_cid_len = len - 1;
	memcpy(a->server_cid, data + 1, len - 1);
	return 0;
}

static int send_cid(gnutls_session_t session, gnutls_buffer_t out)
{
	struct alone *a = gnutls_session_get_ptr(session);
	uint8_t len = (uint8_t)a->cid_len;

	gnutls_buffer_append_data(out, &len, 1);
	gnutls_buffer_append_data(out, a->cid, a->cid_len);
	return 1 + len;
}

static void collect(struct alone *a)
{
	struct span datagram;

	while (dtls_handshake_next_datagram(a->server, &datagram)) {
		struct reader in = reader_of(datagram);
		struct dtls_record record;

		while (dtls_record_parse(&in, a->cid_len, &record) == 0) {
			assert_in_range(a->count, 0, ARRAY_SIZE(a->packets) - 1);
			a->packets[a->count].len = record.whole.len;
			memcpy(a->packets[a->count++].bytes, record.whole.data, record.whole.len);
		}
	}
}

static void talk_alone(struct alone *a)
{
	enum dtls_progress progress = DTLS_WAITING;
	int r = GNUTLS_E_AGAIN;

	for (unsigned round = 0; round < 20 && (r < 0 || progress != DTLS_DONE); round++) {
		if (r < 0)
			r = gnutls_handshake(a->session);
		if (r < 0)
			assert_false(gnutls_error_is_fatal(r));
		while ((progress = dtls_handshake_run(a->server, 0, true)) == DTLS_NEED_PSK ||
		       progress == DTLS_NEED_PEER) {
			dtls_handshake_set_psk(a->server, key);
			dtls_handshake_accept_peer(a->server, false);
		}
		collect(a);
	}
	assert_int_equal(r, 0);
	assert_int_equal(progress, DTLS_DONE);
}

static struct alone *alone_new(const struct pair *p, const char *priority, bool uses_cid, size_t cid_len)
{
	struct dtls_handshake_options server = {.own_cid = span_of(p->sides[DTLS_SERVER].cid, DTLS_CID_OWN)};
	struct alone *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	*a = (struct alone){.uses_cid = uses_cid, .cid_len = cid_len};
	memset(a->cid, 'c', cid_len);
	a->server = dtls_handshake_new(p->sides[DTLS_SERVER].context, &server, 0);
	assert_non_null(a->server);
	assert_int_equal(gnutls_init(&a->session, GNUTLS_CLIENT | GNUTLS_DATAGRAM | GNUTLS_NONBLOCK), 0);
	gnutls_session_set_ptr(a->session, a);
	assert_int_equal(gnutls_priority_set_direct(a->session, priority, NULL), 0);
	gnutls_dtls_set_mtu(a->session, 1200);
	gnutls_transport_set_ptr(a->session, a);
	gnutls_transport_set_push_function(a->session, push_alone);
	gnutls_transport_set_pull_function(a->session, pull_alone);
	gnutls_transport_set_pull_timeout_function(a->session, wait_alone);
	if (uses_cid)
		assert_int_equal(gnutls_session_ext_register(a->session, "cid", 54, GNUTLS_EXT_MANDATORY,
							     receive_cid, send_cid, NULL, NULL, NULL,
							     GNUTLS_EXT_FLAG_CLIENT_HELLO |
								     GNUTLS_EXT_FLAG_TLS12_SERVER_HELLO |
								     GNUTLS_EXT_FLAG_DTLS),
				 0);
	return a;
}

/* Each has the other's keys and connection id. */
static void assert_fits(const struct alone *a)
{
	const struct dtls_session *session = &dtls_handshake_result(a->server)->session;

	assert_int_equal(session->own_cid_len, a->uses_cid ? DTLS_CID_OWN : 0);
	assert_bytes(span_of(session->peer_cid, session->peer_cid_len), span_of(a->cid, a->cid_len));
	assert_memory_equal(secret_of(a, true).key, session->write.key, 16);
	assert_memory_equal(secret_of(a, false).key, session->read.key, 16);
}

static void alone_free(struct alone *a)
{
	dtls_handshake_free(a->server);
	gnutls_deinit(a->session);
	free(a);
}

static void shake_hands_by_psk(bool uses_cid, size_t cid_len)
{
	struct pair *p = psk_server();
	gnutls_datum_t psk = {(uint8_t *)(uintptr_t)key.data, (unsigned)key.len};
	struct alone *a =
		alone_new(p, "NORMAL:-VERS-ALL:+VERS-DTLS1.2:+PSK:+AES-128-CCM-8", uses_cid, cid_len);
	gnutls_psk_client_credentials_t credentials;

	assert_int_equal(gnutls_psk_allocate_client_credentials(&credentials), 0);
	assert_int_equal(gnutls_psk_set_client_credentials(credentials, "alone", &psk, GNUTLS_PSK_KEY_RAW),
			 0);
	assert_int_equal(gnutls_credentials_set(a->session, GNUTLS_CRD_PSK, credentials), 0);
	talk_alone(a);
	assert_fits(a);
	assert_int_equal(dtls_handshake_result(a->server)->session.suite, 0xC0A8);
	assert_true(span_is(dtls_handshake_result(a->server)->identity, "alone"));
	alone_free(a);
	gnutls_psk_free_client_credentials(credentials);
	pair_free(p);
}

/* Both verify the other's chain. */
static void shake_hands_by_certificate(bool uses_cid, size_t cid_len)
{
	struct authority authority;
	struct entity server, client;
	gnutls_certificate_credentials_t credentials;
	gnutls_datum_t trust, chain, client_key;
	struct pair *p = pair_new(1);
	struct alone *a;

	make_authority(&authority, "authority");
	make_entity(&server, "server", &authority);
	make_entity(&client, "device-1", &authority);
	trust = (gnutls_datum_t){(uint8_t *)authority.pem.text, (unsigned)authority.pem.len};
	chain = (gnutls_datum_t){(uint8_t *)client.chain.text, (unsigned)client.chain.len};
	client_key = (gnutls_datum_t){(uint8_t *)client.key.text, (unsigned)client.key.len};
	pair_context(p, DTLS_SERVER,
		     (struct dtls_context_options){.credentials = DTLS_WITH_X509,
						   .key = pem_span(&server.key),
						   .chain = pem_span(&server.chain),
						   .trust = pem_span(&authority.pem),
						   .ask = DTLS_ASK_REQUIRED,
						   .connection_ids = true});
	a = alone_new(p, "NORMAL:-VERS-ALL:+VERS-DTLS1.2:+AES-128-CCM-8", uses_cid, cid_len);
	assert_int_equal(gnutls_certificate_allocate_credentials(&credentials), 0);
	assert_int_equal(gnutls_certificate_set_x509_trust_mem(credentials, &trust, GNUTLS_X509_FMT_PEM), 1);
	assert_int_equal(
		gnutls_certificate_set_x509_key_mem(credentials, &chain, &client_key, GNUTLS_X509_FMT_PEM),
		0);
	assert_int_equal(gnutls_credentials_set(a->session, GNUTLS_CRD_CERTIFICATE, credentials), 0);
	gnutls_session_set_verify_cert(a->session, NULL, 0);
	talk_alone(a);
	assert_fits(a);
	assert_int_equal(dtls_handshake_result(a->server)->session.suite, 0xC0AE);
	assert_int_equal(dtls_handshake_result(a->server)->kind, DTLS_IDENTITY_X509);
	assert_bytes(dtls_handshake_result(a->server)->identity,
		     span_of(gnutls_certificate_get_ours(a->session)->data,
			     gnutls_certificate_get_ours(a->session)->size));
	alone_free(a);
	gnutls_certificate_free_credentials(credentials);
	pair_free(p);
	drop_authority(&authority);
}

static void without_connection_ids(void **state)
{
	(void)state;
	shake_hands_by_psk(false, 0);
	shake_hands_by_certificate(false, 0);
}

static void with_connection_ids(void **state)
{
	static const size_t lengths[] = {0, 1, 8, 32};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		shake_hands_by_psk(true, lengths[i]);
		shake_hands_by_certificate(true, lengths[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_connection_ids),
		cmocka_unit_test(with_connection_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
