/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What all handshakes of a kind share: suites, own key and certificates, trust anchors. The hard idea is only
 * that GnuTLS may share its priority cache and credentials between sessions as long as nobody writes to them.
 * Left out: pre-shared keys, which are looked up one by one.
 */

#include "dtls/context.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <stdio.h>

enum { MTU = 1200, RETRANSMIT_MS = 1000, TIMEOUT_MS = 60000 };

static const char *const ciphers[DTLS_AEAD_COUNT] = {
	[DTLS_AES_128_CCM_8] = "AES-128-CCM-8", [DTLS_AES_128_CCM] = "AES-128-CCM",
	[DTLS_AES_128_GCM] = "AES-128-GCM",	[DTLS_AES_256_CCM_8] = "AES-256-CCM-8",
	[DTLS_AES_256_CCM] = "AES-256-CCM",	[DTLS_AES_256_GCM] = "AES-256-GCM",
};

static gnutls_datum_t datum_of(struct span s)
{
	return (gnutls_datum_t){(unsigned char *)(uintptr_t)s.data, (unsigned)s.len};
}

static int wrong(char words[DTLS_WORDS], const char *what, int error)
{
	(void)snprintf(words, DTLS_WORDS, "%s: %s", what, gnutls_strerror(error));
	return error == GNUTLS_E_MEMORY_ERROR ? -ENOMEM : -EINVAL;
}

/* PSK comes first: a device that has both shall do what costs least. The server's order decides, because some
 * clients list what they like least first. */
static void write_priority(struct writer *w, const struct dtls_context_options *o,
			   const struct dtls_suite *only)
{
	unsigned certified = o->credentials & (DTLS_WITH_X509 | DTLS_WITH_RAW_KEY);

	/* Without a signature algorithm GnuTLS takes no priorities, not even for PSK. */
	writer_str(w, "NONE:%SERVER_PRECEDENCE:+VERS-DTLS1.2:+COMP-NULL:+AEAD"
		      ":+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-RSA-SHA256");
	if (o->credentials & DTLS_WITH_PSK && (!only || only->psk))
		writer_str(w, ":+PSK");
	if (certified && (!only || !only->psk))
		writer_str(w, ":+ECDHE-ECDSA:+GROUP-SECP256R1");
	for (size_t i = 0; i < DTLS_AEAD_COUNT; i++) {
		if (only && only->aead != i)
			continue;
		writer_str(w, ":+");
		writer_str(w, ciphers[i]);
	}
	if (o->credentials & DTLS_WITH_X509 || !certified)
		writer_str(w, ":+CTYPE-CLI-X509:+CTYPE-SRV-X509");
	if (o->credentials & DTLS_WITH_RAW_KEY)
		writer_str(w, ":+CTYPE-CLI-RAWPK:+CTYPE-SRV-RAWPK");
	writer_u8(w, 0);
}

static int set_priority(struct dtls_context *c, const struct dtls_context_options *o, char words[DTLS_WORDS])
{
	const struct dtls_suite *only = o->suite ? dtls_suite_find(o->suite) : NULL;
	unsigned needed = DTLS_WITH_X509 | DTLS_WITH_RAW_KEY;
	char text[512];
	struct writer w = writer_of(text, sizeof(text));
	int r;

	if (only && only->psk)
		needed = DTLS_WITH_PSK;
	if ((o->suite && !only) || (only && !(o->credentials & needed)) || !o->credentials) {
		(void)snprintf(words, DTLS_WORDS, "no suite that the credentials permit");
		return -EINVAL;
	}
	write_priority(&w, o, only);
	assert(!w.failed);
	r = gnutls_priority_init(&c->priority, text, NULL);
	return r < 0 ? wrong(words, "the suites", r) : 0;
}

static int export_public_key(struct dtls_context *c, const gnutls_datum_t *pem)
{
	gnutls_privkey_t key = NULL;
	gnutls_pubkey_t public = NULL;
	int r = gnutls_privkey_init(&key);

	if (r == 0)
		r = gnutls_privkey_import_x509_raw(key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (r == 0)
		r = gnutls_pubkey_init(&public);
	if (r == 0)
		r = gnutls_pubkey_import_privkey(public, key, GNUTLS_KEY_DIGITAL_SIGNATURE, 0);
	if (r == 0)
		r = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, &c->public_key);
	if (public)
		gnutls_pubkey_deinit(public);
	if (key)
		gnutls_privkey_deinit(key);
	return r;
}

static int set_certificates(struct dtls_context *c, const struct dtls_context_options *o,
			    char words[DTLS_WORDS])
{
	gnutls_datum_t key = datum_of(o->key), chain = datum_of(o->chain), trust = datum_of(o->trust);
	int r = gnutls_certificate_allocate_credentials(&c->certificates);

	if (r < 0)
		return wrong(words, "certificates", r);
	if (o->key.len) {
		r = export_public_key(c, &key);
		if (r < 0)
			return wrong(words, "the private key", r);
		c->has_key = true;
	}
	if (o->key.len && o->credentials & DTLS_WITH_X509) {
		r = gnutls_certificate_set_x509_key_mem2(c->certificates, &chain, &key, GNUTLS_X509_FMT_PEM,
							 NULL, 0);
		if (r < 0)
			return wrong(words, "the certificate and its key", r);
	}
	if (o->key.len && o->credentials & DTLS_WITH_RAW_KEY) {
		/* The key is PEM and its public part DER, but one format is said of both. */
		gnutls_datum_t spki = {0};

		r = gnutls_pem_base64_encode2("PUBLIC KEY", &c->public_key, &spki);
		if (r == 0)
			r = gnutls_certificate_set_rawpk_key_mem(c->certificates, &spki, &key,
								 GNUTLS_X509_FMT_PEM, NULL,
								 GNUTLS_KEY_DIGITAL_SIGNATURE, NULL, 0, 0);
		gnutls_free(spki.data);
		if (r < 0)
			return wrong(words, "the raw public key", r);
	}
	if (o->trust.len) {
		r = gnutls_certificate_set_x509_trust_mem(c->certificates, &trust, GNUTLS_X509_FMT_PEM);
		if (r <= 0)
			return wrong(words, "the trust anchors", r < 0 ? r : GNUTLS_E_NO_CERTIFICATE_FOUND);
		c->has_trust = true;
	}
	return 0;
}

static int set_psk(struct dtls_context *c, char words[DTLS_WORDS])
{
	int r = c->role == DTLS_SERVER ? gnutls_psk_allocate_server_credentials(&c->server_psk)
				       : gnutls_psk_allocate_client_credentials(&c->client_psk);

	return r < 0 ? wrong(words, "pre-shared keys", r) : 0;
}

static int fill(struct dtls_context *c, const struct dtls_context_options *o, char words[DTLS_WORDS])
{
	bool certified = o->credentials & (DTLS_WITH_X509 | DTLS_WITH_RAW_KEY);
	int r = set_priority(c, o, words);

	if (r == 0 && o->mtu && (o->mtu < DTLS_MTU_MIN || o->mtu > DTLS_MTU_MAX)) {
		(void)snprintf(words, DTLS_WORDS, "the MTU is not within %d and %d", DTLS_MTU_MIN,
			       DTLS_MTU_MAX);
		r = -EINVAL;
	}
	if (r == 0 && certified && o->role == DTLS_SERVER && !o->key.len) {
		(void)snprintf(words, DTLS_WORDS,
			       "a server needs a private key for X.509 and raw public keys");
		r = -EINVAL;
	}
	if (r == 0 && certified)
		r = set_certificates(c, o, words);
	if (r == 0 && o->credentials & DTLS_WITH_PSK)
		r = set_psk(c, words);
	if (r == 0)
		dtls_engine_prepare(c);
	return r;
}

int dtls_context_new(const struct dtls_context_options *o, struct dtls_context **out, char words[DTLS_WORDS])
{
	struct dtls_context *c = calloc(1, sizeof(*c));
	int r;

	*out = NULL;
	words[0] = '\0';
	if (!c)
		return -ENOMEM;
	c->role = o->role;
	c->credentials = o->credentials;
	c->ask = o->ask;
	c->connection_ids = o->connection_ids;
	c->resumption = o->resumption;
	c->hide_identities = o->hide_identities;
	c->mtu = o->mtu ? o->mtu : MTU;
	c->retransmit_ms = o->retransmit_ms ? o->retransmit_ms : RETRANSMIT_MS;
	c->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
	r = fill(c, o, words);
	if (r < 0)
		c = dtls_context_free(c);
	*out = c;
	return r;
}

struct dtls_context *dtls_context_free(struct dtls_context *c)
{
	if (!c)
		return NULL;
	if (c->priority)
		gnutls_priority_deinit(c->priority);
	if (c->certificates)
		gnutls_certificate_free_credentials(c->certificates);
	if (c->server_psk)
		gnutls_psk_free_server_credentials(c->server_psk);
	if (c->client_psk)
		gnutls_psk_free_client_credentials(c->client_psk);
	gnutls_free(c->public_key.data);
	free(c);
	return NULL;
}

struct span dtls_context_public_key(const struct dtls_context *c)
{
	return span_of(c->public_key.data, c->public_key.size);
}
