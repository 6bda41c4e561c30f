/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * GnuTLS between two buffers. The hard idea: the library never sees a socket. It takes what came in from a
 * span and puts what goes out behind a buffer, so it can neither block nor be interrupted in the middle of a
 * write, and "more" always means that the span is used up.
 *
 * Left out: resumption (connections are few and last long), early data (it can be replayed), renegotiation.
 */

#include "net/tls_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>

enum { UNKNOWN_KEY = 32 };

struct net_tls {
	unsigned refs;
	bool server, asks_clients;
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t certificates;
	gnutls_psk_client_credentials_t client_psk;
	gnutls_psk_server_credentials_t server_psk;
	net_tls_find_psk *find_psk;
	void *ctx;
};

static gnutls_datum_t datum_of(struct span s)
{
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)s.data, (unsigned)s.len};
}

/* ---- what sessions share ---- */

/* Who is not known gets a key that nobody has, so that he learns no more than one with a wrong key. */
static int psk_of_client(gnutls_session_t session, const gnutls_datum_t *name, gnutls_datum_t *key)
{
	struct net_tls_session *t = gnutls_session_get_ptr(session);
	uint8_t found[NET_TLS_KEY_MAX];
	size_t len = 0;

	if (name->size <= sizeof(t->identity))
		len = t->tls->find_psk(t->tls->ctx, span_of(name->data, name->size), found);
	assert(len <= sizeof(found));
	if (len == 0) {
		len = UNKNOWN_KEY;
		if (gnutls_rnd(GNUTLS_RND_KEY, found, len) < 0)
			return -1;
	} else {
		if (name->size)
			memcpy(t->identity, name->data, name->size);
		t->identity_len = name->size;
	}
	key->data = gnutls_malloc(len);
	if (key->data) {
		memcpy(key->data, found, len);
		key->size = (unsigned)len;
	}
	explicit_bzero(found, sizeof(found));
	return key->data ? 0 : -1;
}

static int set_up_psk(struct net_tls *tls, const struct net_tls_options *o)
{
	gnutls_datum_t identity = datum_of(o->psk_identity), key = datum_of(o->psk);
	int r;

	if (tls->server) {
		r = gnutls_psk_allocate_server_credentials(&tls->server_psk);
		if (r == 0)
			gnutls_psk_set_server_credentials_function2(tls->server_psk, psk_of_client);
		return r;
	}
	r = gnutls_psk_allocate_client_credentials(&tls->client_psk);
	return r < 0 ? r
		     : gnutls_psk_set_client_credentials2(tls->client_psk, &identity, &key,
							  GNUTLS_PSK_KEY_RAW);
}

static int set_up_certificates(struct net_tls *tls, const struct net_tls_options *o)
{
	gnutls_datum_t trust = datum_of(o->trust), chain = datum_of(o->chain), key = datum_of(o->key);
	int r = gnutls_certificate_allocate_credentials(&tls->certificates);

	/* Both return how many certificates there were: none is a mistake. */
	if (r == 0 && o->trust.len) {
		r = gnutls_certificate_set_x509_trust_mem(tls->certificates, &trust, GNUTLS_X509_FMT_PEM);
		r = r == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : MIN(r, 0);
	} else if (r == 0 && !o->server) {
		r = MIN(gnutls_certificate_set_x509_system_trust(tls->certificates), 0);
	}
	if (r == 0 && o->chain.len)
		r = MIN(gnutls_certificate_set_x509_key_mem2(tls->certificates, &chain, &key,
							     GNUTLS_X509_FMT_PEM, NULL, 0),
			0);
	return r;
}

static const char *misfit(const struct net_tls_options *o)
{
	bool certificates = o->trust.len || o->chain.len || o->key.len;
	bool psk = o->server ? o->find_psk != NULL : o->psk.len != 0;

	if (psk && certificates)
		return "either certificates or a pre-shared key";
	if (!o->chain.len != !o->key.len)
		return "a certificate and its private key belong together";
	if (o->server && !psk && !o->chain.len)
		return "a server needs a certificate and its private key";
	if (o->psk.len > NET_TLS_KEY_MAX || o->psk_identity.len > NET_TLS_IDENTITY_MAX)
		return "the pre-shared key or its identity is too long";
	return NULL;
}

static int set_up(struct net_tls *tls, const struct net_tls_options *o)
{
	bool psk = o->server ? o->find_psk != NULL : o->psk.len != 0;
	char priority[160];
	int r;

	(void)snprintf(priority, sizeof(priority), "NORMAL:-VERS-ALL:+VERS-TLS1.3%s%s%s",
		       o->tls13_only ? "" : ":+VERS-TLS1.2", o->server ? ":%SERVER_PRECEDENCE" : "",
		       psk ? ":-KX-ALL:+ECDHE-PSK:+DHE-PSK" : "");
	r = gnutls_priority_init(&tls->priority, priority, NULL);
	if (r == 0)
		r = psk ? set_up_psk(tls, o) : set_up_certificates(tls, o);
	return r;
}

int net_tls_new(const struct net_tls_options *o, struct net_tls **out, char words[NET_TLS_WORDS])
{
	const char *wrong = misfit(o);
	struct net_tls *tls;
	int r;

	if (wrong) {
		(void)snprintf(words, NET_TLS_WORDS, "%s", wrong);
		return -EINVAL;
	}
	words[0] = '\0';
	tls = calloc(1, sizeof(*tls));
	if (!tls)
		return -ENOMEM;
	*tls = (struct net_tls){.refs = 1,
				.server = o->server,
				.asks_clients = o->server && o->trust.len,
				.find_psk = o->find_psk,
				.ctx = o->ctx};
	r = set_up(tls, o);
	if (r < 0) {
		(void)snprintf(words, NET_TLS_WORDS, "%s", gnutls_strerror(r));
		net_tls_free(tls);
		return r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
	}
	*out = tls;
	return 0;
}

struct net_tls *net_tls_ref(struct net_tls *tls)
{
	if (tls)
		tls->refs++;
	return tls;
}

struct net_tls *net_tls_free(struct net_tls *tls)
{
	if (!tls || --tls->refs)
		return NULL;
	if (tls->certificates)
		gnutls_certificate_free_credentials(tls->certificates);
	if (tls->client_psk)
		gnutls_psk_free_client_credentials(tls->client_psk);
	if (tls->server_psk)
		gnutls_psk_free_server_credentials(tls->server_psk);
	if (tls->priority)
		gnutls_priority_deinit(tls->priority);
	free(tls);
	return NULL;
}

/* ---- one session ---- */

static ssize_t pull(gnutls_transport_ptr_t owner, void *data, size_t size)
{
	struct net_tls_session *t = owner;
	size_t len = MIN(size, t->in.len);

	if (len == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	memcpy(data, t->in.data, len);
	t->in = span_from(t->in, len);
	return (ssize_t)len;
}

static int pull_timeout(gnutls_transport_ptr_t owner, unsigned ms)
{
	struct net_tls_session *t = owner;

	(void)ms;
	return t->in.len > 0;
}

static ssize_t push(gnutls_transport_ptr_t owner, const void *data, size_t len)
{
	struct net_tls_session *t = owner;

	buffer_bytes(t->out, span_of(data, len));
	if (!t->out->failed)
		return (ssize_t)len;
	gnutls_transport_set_errno(t->session, ENOBUFS);
	return -1;
}

static int set_up_client(gnutls_session_t s, const struct net_tls *tls, const char *name)
{
	struct in6_addr number;
	int r = 0;

	if (!tls->certificates)
		return gnutls_credentials_set(s, GNUTLS_CRD_PSK, tls->client_psk);
	if (!name)
		return GNUTLS_E_INVALID_REQUEST;
	/* A number is no server name (RFC 6066, 3), but certificates may hold it. */
	if (inet_pton(AF_INET, name, &number) != 1 && inet_pton(AF_INET6, name, &number) != 1)
		r = gnutls_server_name_set(s, GNUTLS_NAME_DNS, name, strlen(name));
	gnutls_session_set_verify_cert(s, name, 0);
	return r < 0 ? r : gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, tls->certificates);
}

static int set_up_server(gnutls_session_t s, const struct net_tls *tls)
{
	if (!tls->certificates)
		return gnutls_credentials_set(s, GNUTLS_CRD_PSK, tls->server_psk);
	gnutls_certificate_server_set_request(s,
					      tls->asks_clients ? GNUTLS_CERT_REQUIRE : GNUTLS_CERT_IGNORE);
	if (tls->asks_clients)
		gnutls_session_set_verify_cert(s, NULL, 0);
	return gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, tls->certificates);
}

int net_tls_session_init(struct net_tls_session *t, struct net_tls *tls, const char *server_name,
			 struct buffer *out)
{
	unsigned flags = GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS;
	int r = gnutls_init(&t->session, flags | (tls->server ? GNUTLS_SERVER : GNUTLS_CLIENT));

	if (r < 0) {
		t->session = NULL;
		return -ENOMEM;
	}
	t->tls = net_tls_ref(tls);
	t->out = out;
	gnutls_session_set_ptr(t->session, t);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, pull);
	gnutls_transport_set_pull_timeout_function(t->session, pull_timeout);
	gnutls_transport_set_push_function(t->session, push);
	r = gnutls_priority_set(t->session, tls->priority);
	if (r == 0)
		r = tls->server ? set_up_server(t->session, tls)
				: set_up_client(t->session, tls, server_name);
	return r == 0 ? 0 : r == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

void net_tls_session_deinit(struct net_tls_session *t)
{
	if (t->session)
		gnutls_deinit(t->session);
	t->session = NULL;
	t->tls = net_tls_free(t->tls);
}

/* ---- what went wrong ---- */

/* Alerts by which a peer says that it does not accept who we are, or cannot verify that we are it. */
static bool is_refusal(gnutls_alert_description_t alert)
{
	static const gnutls_alert_description_t refusals[] = {
		GNUTLS_A_BAD_CERTIFICATE,     GNUTLS_A_UNSUPPORTED_CERTIFICATE, GNUTLS_A_CERTIFICATE_REVOKED,
		GNUTLS_A_CERTIFICATE_EXPIRED, GNUTLS_A_CERTIFICATE_UNKNOWN,	GNUTLS_A_UNKNOWN_CA,
		GNUTLS_A_ACCESS_DENIED,	      GNUTLS_A_DECRYPT_ERROR,		GNUTLS_A_UNKNOWN_PSK_IDENTITY,
		GNUTLS_A_CERTIFICATE_REQUIRED};

	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i] == alert)
			return true;
	return false;
}

static const struct {
	int error;
	int err;
} causes[] = {
	{GNUTLS_E_MEMORY_ERROR, -ENOMEM},	  {GNUTLS_E_PUSH_ERROR, -ENOMEM},
	{GNUTLS_E_CERTIFICATE_ERROR, -EACCES},	  {GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR, -EACCES},
	{GNUTLS_E_NO_CERTIFICATE_FOUND, -EACCES}, {GNUTLS_E_CERTIFICATE_REQUIRED, -EACCES},
	{GNUTLS_E_PK_SIG_VERIFY_FAILED, -EACCES}, {GNUTLS_E_PREMATURE_TERMINATION, -ECONNRESET},
};

static int explain_certificate(gnutls_session_t session, char words[NET_TLS_WORDS])
{
	unsigned status = gnutls_session_get_verify_cert_status(session);
	gnutls_datum_t text = {0};

	if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) == 0)
		(void)snprintf(words, NET_TLS_WORDS, "TLS: %s", text.data);
	else
		(void)snprintf(words, NET_TLS_WORDS, "TLS: the peer's certificate is not acceptable");
	gnutls_free(text.data);
	return -EACCES;
}

/* What GnuTLS and its alerts say when a key is not the one of the other side, in TLS 1.3 and 1.2. */
static bool is_wrong_psk(const struct net_tls_session *t, int error)
{
	static const gnutls_alert_description_t alerts[] = {GNUTLS_A_ILLEGAL_PARAMETER,
							    GNUTLS_A_BAD_RECORD_MAC, GNUTLS_A_DECRYPT_ERROR,
							    GNUTLS_A_UNKNOWN_PSK_IDENTITY};

	if (t->tls->certificates || t->done)
		return false;
	if (error != GNUTLS_E_FATAL_ALERT_RECEIVED)
		return error == GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER || error == GNUTLS_E_DECRYPTION_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(alerts); i++)
		if (alerts[i] == gnutls_alert_get(t->session))
			return true;
	return false;
}

static int explain(struct net_tls_session *t, int error, char words[NET_TLS_WORDS])
{
	if (is_wrong_psk(t, error)) {
		(void)snprintf(words, NET_TLS_WORDS,
			       "TLS: the two sides have no pre-shared key and identity in common");
		return -EACCES;
	}
	if (error == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
		return explain_certificate(t->session, words);
	if (error == GNUTLS_E_FATAL_ALERT_RECEIVED) {
		gnutls_alert_description_t alert = gnutls_alert_get(t->session);
		const char *name = gnutls_alert_get_name(alert);

		(void)snprintf(words, NET_TLS_WORDS, "TLS: the peer refuses: %s",
			       name ? name : "unknown alert");
		return is_refusal(alert) ? -EACCES : -EPROTO;
	}
	(void)snprintf(words, NET_TLS_WORDS, "TLS: %s", gnutls_strerror(error));
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (causes[i].error == error)
			return causes[i].err;
	return -EPROTO;
}

/* ---- steps ---- */

int net_tls_session_handshake(struct net_tls_session *t, char words[NET_TLS_WORDS])
{
	int r, err;

	do
		r = gnutls_handshake(t->session);
	while (r < 0 && r != GNUTLS_E_AGAIN && gnutls_error_is_fatal(r) == 0);
	if (r == GNUTLS_E_AGAIN)
		return NET_TLS_MORE;
	if (r == 0) {
		t->done = true;
		return 0;
	}
	err = explain(t, r, words);
	(void)gnutls_alert_send_appropriate(t->session, r);
	return err;
}

int net_tls_session_receive(struct net_tls_session *t, void *data, size_t size, size_t *got,
			    char words[NET_TLS_WORDS])
{
	size_t before;
	ssize_t r;

	/* GnuTLS says "again" behind a ticket too, although what follows it may be there already. */
	do {
		before = t->in.len;
		r = gnutls_record_recv(t->session, data, size);
	} while (r < 0 && r != GNUTLS_E_REHANDSHAKE && gnutls_error_is_fatal((int)r) == 0 &&
		 (r != GNUTLS_E_AGAIN || (t->in.len && t->in.len < before)));
	if (r > 0) {
		*got = (size_t)r;
		return 0;
	}
	return r == 0 ? NET_TLS_ENDED : r == GNUTLS_E_AGAIN ? NET_TLS_MORE : explain(t, (int)r, words);
}

int net_tls_session_send(struct net_tls_session *t, struct span data)
{
	while (data.len) {
		ssize_t r = gnutls_record_send(t->session, data.data, data.len);

		if (r <= 0)
			return t->out->failed ? -ENOMEM : -EPROTO;
		data = span_from(data, (size_t)r);
	}
	return 0;
}

void net_tls_session_bye(struct net_tls_session *t)
{
	(void)gnutls_bye(t->session, GNUTLS_SHUT_WR);
}
