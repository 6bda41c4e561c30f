/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * GnuTLS as the engine of a handshake. The hard idea: only its public interface is used, and all that happens
 * on the wire happens outside: it gets one record at a time when that is due, its timers never fire, and the
 * keys of epoch 1 are read by gnutls_record_get_state() as soon as they are there (GnuTLS does the same for
 * kernel TLS; no documentation promises it, so dtls_selftest() looks). Left out: fragments, retransmissions,
 * connection ids on records, which handshake.c and shim.c deal with.
 */

#include "dtls/context.h"
#include "dtls/engine.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/dtls.h>
#include <gnutls/x509.h>
#include <stdio.h>

enum {
	EXTENSION_CID = 54,
	NEVER_MS = INT32_MAX, /* its clock is not ours */
	STEPS = 64,	      /* records of one run; there are at most 16 messages */
};

struct dtls_engine {
	gnutls_session_t session;
	struct dtls_handshake *handshake;
	bool failed_to_send;
};

/* ---- transport ---- */

static ssize_t pull(gnutls_transport_ptr_t owner, void *out, size_t size)
{
	struct dtls_engine *e = owner;
	struct span record;

	if (!dtls_shim_take(e->handshake, &record)) {
		gnutls_transport_set_errno(e->session, EAGAIN);
		return -1;
	}
	memcpy(out, record.data, MIN(size, record.len));
	return (ssize_t)MIN(size, record.len);
}

static int pull_timeout(gnutls_transport_ptr_t owner, unsigned ms)
{
	struct dtls_engine *e = owner;

	(void)ms;
	return dtls_shim_ready(e->handshake);
}

static ssize_t push(gnutls_transport_ptr_t owner, const void *data, size_t len)
{
	struct dtls_engine *e = owner;

	if (!dtls_shim_sent(e->handshake, span_of(data, len)))
		e->failed_to_send = true;
	return (ssize_t)len;
}

/* ---- extension 54 (RFC 9146, 3) ---- */

static int receive_cid(gnutls_session_t session, const unsigned char *data, size_t len)
{
	struct dtls_engine *e = gnutls_session_get_ptr(session);

	return dtls_shim_peer_cid(e->handshake, span_of(data, len)) ? 0 : GNUTLS_E_RECEIVED_ILLEGAL_EXTENSION;
}

static int send_cid(gnutls_session_t session, gnutls_buffer_t out)
{
	struct dtls_engine *e = gnutls_session_get_ptr(session);
	uint8_t body[1 + DTLS_CID_OWN];
	struct writer w = writer_of(body, sizeof(body));
	int r;

	if (!dtls_shim_own_cid(e->handshake, &w))
		return 0;
	r = gnutls_buffer_append_data(out, body, writer_len(&w));
	return r < 0 ? r : (int)writer_len(&w);
}

/* ---- credentials ---- */

static int give(struct span s, gnutls_datum_t *out)
{
	out->data = gnutls_malloc(s.len ? s.len : 1);
	if (!out->data)
		return -1;
	memcpy(out->data, s.data, s.len);
	out->size = (unsigned)s.len;
	return 0;
}

static int psk_of_client(gnutls_session_t session, const gnutls_datum_t *username, gnutls_datum_t *key)
{
	struct dtls_engine *e = gnutls_session_get_ptr(session);
	struct span identity, secret;

	dtls_shim_psk(e->handshake, &identity, &secret);
	/* What was asked for is what is used. */
	if (secret.len == 0 || !span_equal(identity, span_of(username->data, username->size)))
		return -1;
	return give(secret, key);
}

static int own_psk(gnutls_session_t session, gnutls_datum_t *username, gnutls_datum_t *key)
{
	struct dtls_engine *e = gnutls_session_get_ptr(session);
	struct span identity, secret;

	dtls_shim_psk(e->handshake, &identity, &secret);
	if (secret.len == 0 || give(identity, username) < 0)
		return -1;
	if (give(secret, key) == 0)
		return 0;
	gnutls_free(username->data);
	username->data = NULL;
	return -1;
}

/* That the peer has the private key is GnuTLS' to see; whom the certificate stands for was asked before. */
static int verify(gnutls_session_t session)
{
	struct dtls_engine *e = gnutls_session_get_ptr(session);
	gnutls_datum_t words = {0};
	unsigned status = 0, count = 0;

	/* A peer without one is refused elsewhere, if it needs one. */
	if (!gnutls_certificate_get_peers(session, &count) || count == 0)
		return 0;
	/* The library may have understood a message in which we saw no certificate. */
	if (!dtls_shim_peer_is_accepted(e->handshake))
		return GNUTLS_E_CERTIFICATE_ERROR;
	if (!dtls_shim_verifies_chain(e->handshake) || dtls_engine_peer_has_raw_key(e))
		return 0;
	if (gnutls_certificate_verify_peers3(session, NULL, &status) < 0) {
		dtls_shim_set_reason(e->handshake, "the certificate cannot be verified");
		return GNUTLS_E_CERTIFICATE_ERROR;
	}
	if (status == 0)
		return 0;
	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &words, 0) == 0)
		dtls_shim_set_reason(e->handshake, (const char *)words.data);
	gnutls_free(words.data);
	return GNUTLS_E_CERTIFICATE_ERROR;
}

void dtls_engine_prepare(struct dtls_context *c)
{
	if (c->server_psk)
		gnutls_psk_set_server_credentials_function2(c->server_psk, psk_of_client);
	if (c->client_psk)
		gnutls_psk_set_client_credentials_function2(c->client_psk, own_psk);
	if (c->certificates)
		gnutls_certificate_set_verify_function(c->certificates, verify);
}

/* ---- resumption ---- */

static int store(void *owner, gnutls_datum_t id, gnutls_datum_t ticket)
{
	struct dtls_engine *e = owner;

	dtls_shim_store(e->handshake, span_of(id.data, id.size), span_of(ticket.data, ticket.size));
	return 0;
}

static gnutls_datum_t retrieve(void *owner, gnutls_datum_t id)
{
	struct dtls_engine *e = owner;
	struct span ticket = dtls_shim_stored(e->handshake, span_of(id.data, id.size));
	gnutls_datum_t found = {0};

	if (ticket.len)
		(void)give(ticket, &found);
	return found;
}

/* Whoever keeps tickets lets them expire. */
static int ignore(void *owner, gnutls_datum_t id)
{
	(void)owner;
	(void)id;
	return 0;
}

/* ---- life ---- */

static int set_up_server(gnutls_session_t s, struct dtls_engine *e, const struct dtls_context *c,
			 const struct dtls_handshake_options *o)
{
	static const gnutls_certificate_request_t requests[] = {
		[DTLS_ASK_NOTHING] = GNUTLS_CERT_IGNORE,
		[DTLS_ASK_OPTIONAL] = GNUTLS_CERT_REQUEST,
		[DTLS_ASK_REQUIRED] = GNUTLS_CERT_REQUIRE,
	};
	/* Its own messages count from one more. A hello with number 0 had no HelloVerifyRequest before it. */
	gnutls_dtls_prestate_st before = {.record_seq = 0,
					  .hsk_read_seq = o->prestate.message_seq,
					  .hsk_write_seq = o->prestate.message_seq - 1u};

	if (o->prestate.message_seq)
		gnutls_dtls_prestate_set(s, &before);
	gnutls_certificate_server_set_request(s, requests[c->ask]);
	if (c->resumption) {
		gnutls_db_set_ptr(s, e);
		gnutls_db_set_store_function(s, store);
		gnutls_db_set_retrieve_function(s, retrieve);
		gnutls_db_set_remove_function(s, ignore);
	}
	return 0;
}

static int set_up_client(gnutls_session_t s, const struct dtls_context *c,
			 const struct dtls_handshake_options *o)
{
	int r = 0;

	if (o->server_name.len)
		r = gnutls_server_name_set(s, GNUTLS_NAME_DNS, o->server_name.data, o->server_name.len);
	/* A ticket of another version or form is no error: the handshake is a full one then. */
	if (r == 0 && c->resumption && o->resume.len)
		(void)gnutls_session_set_data(s, o->resume.data, o->resume.len);
	return r;
}

static int set_up(struct dtls_engine *e, const struct dtls_handshake_options *o)
{
	const struct dtls_context *c = dtls_shim_context(e->handshake);
	gnutls_session_t s = e->session;
	int r = gnutls_priority_set(s, c->priority);

	gnutls_session_set_ptr(s, e);
	if (r == 0 && c->certificates)
		r = gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, c->certificates);
	if (r == 0 && c->server_psk)
		r = gnutls_credentials_set(s, GNUTLS_CRD_PSK, c->server_psk);
	if (r == 0 && c->client_psk)
		r = gnutls_credentials_set(s, GNUTLS_CRD_PSK, c->client_psk);
	if (r == 0)
		r = c->role == DTLS_SERVER ? set_up_server(s, e, c, o) : set_up_client(s, c, o);
	/* Mandatory is the one parse point that is also looked at when a session is resumed. */
	if (r == 0 && c->connection_ids)
		r = gnutls_session_ext_register(s, "connection_id", EXTENSION_CID, GNUTLS_EXT_MANDATORY,
						receive_cid, send_cid, NULL, NULL, NULL,
						GNUTLS_EXT_FLAG_CLIENT_HELLO |
							GNUTLS_EXT_FLAG_TLS12_SERVER_HELLO |
							GNUTLS_EXT_FLAG_DTLS);
	gnutls_dtls_set_mtu(s, c->mtu);
	gnutls_dtls_set_timeouts(s, NEVER_MS, NEVER_MS);
	gnutls_handshake_set_timeout(s, NEVER_MS);
	gnutls_transport_set_ptr(s, e);
	gnutls_transport_set_pull_function(s, pull);
	gnutls_transport_set_pull_timeout_function(s, pull_timeout);
	gnutls_transport_set_push_function(s, push);
	return r;
}

struct dtls_engine *dtls_engine_new(struct dtls_handshake *h, const struct dtls_handshake_options *options)
{
	const struct dtls_context *c = dtls_shim_context(h);
	/* Without NO_REPLAY_PROTECTION a forged record number in epoch 0 would make it ignore the true ones.
	 */
	unsigned flags = GNUTLS_DATAGRAM | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_REPLAY_PROTECTION |
			 GNUTLS_NO_TICKETS;
	struct dtls_engine *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->handshake = h;
	flags |= c->role == DTLS_SERVER ? GNUTLS_SERVER : GNUTLS_CLIENT;
	if (c->credentials & DTLS_WITH_RAW_KEY)
		flags |= GNUTLS_ENABLE_RAWPK;
	if (gnutls_init(&e->session, flags) < 0) {
		free(e);
		return NULL;
	}
	if (set_up(e, options) < 0)
		return dtls_engine_free(e);
	return e;
}

struct dtls_engine *dtls_engine_free(struct dtls_engine *e)
{
	if (!e)
		return NULL;
	gnutls_deinit(e->session);
	free(e);
	return NULL;
}

/* ---- steps ---- */

static const struct {
	int error;
	enum dtls_cause cause;
} causes[] = {
	{GNUTLS_E_NO_CIPHER_SUITES, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_UNKNOWN_CIPHER_SUITE, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_UNSUPPORTED_VERSION_PACKET, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_INSUFFICIENT_CREDENTIALS, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_NO_COMMON_KEY_SHARE, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_UNSUPPORTED_SIGNATURE_ALGORITHM, DTLS_NO_COMMON_SUITE},
	{GNUTLS_E_CERTIFICATE_ERROR, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_NO_CERTIFICATE_FOUND, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_CERTIFICATE_REQUIRED, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_PK_SIG_VERIFY_FAILED, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_UNSUPPORTED_CERTIFICATE_TYPE, DTLS_BAD_CERTIFICATE},
	{GNUTLS_E_FATAL_ALERT_RECEIVED, DTLS_PEER_ALERT},
	{GNUTLS_E_SESSION_EOF, DTLS_PEER_ALERT},
	{GNUTLS_E_MEMORY_ERROR, DTLS_INTERNAL_ERROR},
	{GNUTLS_E_INTERNAL_ERROR, DTLS_INTERNAL_ERROR},
};

static void explain(const struct dtls_engine *e, int error, struct dtls_failure *out)
{
	int level = 0;

	*out = (struct dtls_failure){.cause = DTLS_PROTOCOL_ERROR};
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (causes[i].error == error)
			out->cause = causes[i].cause;
	(void)snprintf(out->words, sizeof(out->words), "%s", gnutls_strerror(error));
	if (out->cause == DTLS_PEER_ALERT) {
		gnutls_alert_description_t alert = gnutls_alert_get(e->session);
		const char *name = gnutls_alert_get_strname(alert);

		out->by_peer = true;
		out->alert = (uint8_t)alert;
		(void)snprintf(out->words, sizeof(out->words), "the peer sent alert %d, %s", (int)alert,
			       name ? name : "unknown");
		return;
	}
	out->alert = (uint8_t)gnutls_error_to_alert(error, &level);
}

enum dtls_engine_step dtls_engine_step(struct dtls_engine *e, struct dtls_failure *failure)
{
	int r, steps = 0;

	/* It may come back after one odd record, with more of them waiting. */
	do
		r = gnutls_handshake(e->session);
	while (r < 0 && !gnutls_error_is_fatal(r) && dtls_shim_ready(e->handshake) && ++steps < STEPS);
	if (e->failed_to_send)
		r = GNUTLS_E_INTERNAL_ERROR;
	if (r == GNUTLS_E_SUCCESS)
		return DTLS_ENGINE_DONE;
	if (!gnutls_error_is_fatal(r))
		return DTLS_ENGINE_WAITS;
	explain(e, r, failure);
	return DTLS_ENGINE_FAILED;
}

bool dtls_engine_secret(const struct dtls_engine *e, bool read, size_t key_len, struct dtls_secret *out)
{
	gnutls_datum_t mac, iv, key;
	unsigned char seq[8];

	/* In epoch 0 there is no key. */
	if (gnutls_record_get_state(e->session, read, &mac, &iv, &key, seq) < 0 || key.size != key_len ||
	    iv.size != DTLS_IV)
		return false;
	memcpy(out->key, key.data, key.size);
	memcpy(out->iv, iv.data, iv.size);
	return true;
}

void dtls_engine_random(void *out, size_t len)
{
	int r = gnutls_rnd(GNUTLS_RND_NONCE, out, len);

	assert(r == 0);
}

bool dtls_engine_peer_has_raw_key(const struct dtls_engine *e)
{
	return gnutls_certificate_type_get2(e->session, GNUTLS_CTYPE_PEERS) == GNUTLS_CRT_RAWPK;
}

bool dtls_engine_has_extended_master_secret(const struct dtls_engine *e)
{
	return gnutls_session_ext_master_secret_status(e->session) != 0;
}

bool dtls_engine_is_resumed(const struct dtls_engine *e)
{
	return gnutls_session_is_resumed(e->session) != 0;
}

int dtls_engine_identity(const struct dtls_engine *e, enum dtls_identity *kind, struct buffer *out)
{
	gnutls_datum_t name;
	unsigned count = 0;
	const gnutls_datum_t *peer;

	*kind = DTLS_IDENTITY_NONE;
	if (gnutls_kx_get(e->session) == GNUTLS_KX_PSK) {
		if (dtls_shim_context(e->handshake)->role == DTLS_CLIENT)
			return 0;
		if (gnutls_psk_server_get_username2(e->session, &name) < 0)
			return -ENOMEM;
		*kind = DTLS_IDENTITY_PSK;
		buffer_bytes(out, span_of(name.data, name.size));
		return out->failed ? -ENOMEM : 0;
	}
	peer = gnutls_certificate_get_peers(e->session, &count);
	if (!peer || count == 0)
		return 0;
	*kind = dtls_engine_peer_has_raw_key(e) ? DTLS_IDENTITY_RAW_KEY : DTLS_IDENTITY_X509;
	buffer_bytes(out, span_of(peer[0].data, peer[0].size));
	return out->failed ? -ENOMEM : 0;
}

int dtls_engine_ticket(const struct dtls_engine *e, struct buffer *session_id, struct buffer *ticket)
{
	gnutls_datum_t data = {0}, id = {0};
	int r = 0;

	if (gnutls_session_get_data2(e->session, &data) < 0 || gnutls_session_get_id2(e->session, &id) < 0)
		r = -ENOMEM;
	if (r == 0) {
		buffer_bytes(session_id, span_of(id.data, id.size));
		buffer_bytes(ticket, span_of(data.data, data.size));
		r = session_id->failed || ticket->failed ? -ENOMEM : 0;
	}
	gnutls_free(data.data);
	return r;
}
