/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Sessions are sealed under the name of their device whichever way they go: also to another node, so that
 * nothing on the way there has to be trusted with the keys. What is opened here lies on the stack and is
 * wiped.
 */

#include "daemon/sessions.h"

#include <errno.h>

static struct vault_place place_of(struct span endpoint)
{
	return (struct vault_place){VAULT_SESSION, STORE_MANAGEMENT, endpoint};
}

/* Secrets, to be wiped after use. */
static int unseal(const struct sessions *s, struct span endpoint, struct span sealed, struct writer *w)
{
	struct vault_place place = place_of(endpoint);

	return vault_open(s->vault, &place, sealed, w);
}

static void seal(const struct sessions *s, struct span endpoint, struct span plain, struct buffer *out)
{
	struct vault_place place = place_of(endpoint);
	uint8_t sealed[DTLS_CARRIED_MAX + VAULT_OVERHEAD];
	struct writer w = writer_of(sealed, sizeof(sealed));

	vault_seal(s->vault, &place, plain, &w);
	if (!w.failed)
		buffer_bytes(out, writer_span(&w));
}

static void note_loss(const struct sessions *s, int err)
{
	if (err < 0 && err != -ETIME)
		log_limited(s->log, LOG_WARN, 10, "session-lost",
			    "error=\"%s\" hint=\"its device has to make a new handshake\"",
			    err == -ENOKEY ? "sealed by another cluster key" : strerror(-err));
}

void sessions_save(const struct sessions *s, const struct address *peer, struct span endpoint,
		   uint32_t generation, struct buffer *out)
{
	uint8_t encoded[DTLS_SESSION_ENCODED_MAX];
	struct writer plain = writer_of(encoded, sizeof(encoded));

	if (dtls_endpoint_export(s->endpoint, peer, generation, &plain) == 0)
		seal(s, endpoint, writer_span(&plain), out);
	explicit_bzero(encoded, sizeof(encoded));
}

bool sessions_restore(const struct sessions *s, struct span endpoint, struct span sealed, uint32_t generation,
		      uint64_t mark, struct address *peer)
{
	uint8_t encoded[DTLS_SESSION_ENCODED_MAX];
	struct writer w = writer_of(encoded, sizeof(encoded));
	int err = unseal(s, endpoint, sealed, &w);

	if (err == 0)
		err = dtls_endpoint_import(s->endpoint, writer_span(&w), generation, mark, peer);
	explicit_bzero(encoded, sizeof(encoded));
	note_loss(s, err);
	return err == 0;
}

void sessions_carry(const struct sessions *s, const struct address *peer, struct span endpoint,
		    struct buffer *out)
{
	uint8_t carried[DTLS_CARRIED_MAX];
	struct writer plain = writer_of(carried, sizeof(carried));

	if (dtls_endpoint_give(s->endpoint, peer, &plain) == 0)
		seal(s, endpoint, writer_span(&plain), out);
	explicit_bzero(carried, sizeof(carried));
}

/* Without it the copy in the record goes on, which is told if it cannot. */
bool sessions_arrive(const struct sessions *s, struct span endpoint, struct span carried,
		     struct address *peer)
{
	uint8_t bytes[DTLS_CARRIED_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	int err = unseal(s, endpoint, carried, &w);

	if (err == 0)
		err = dtls_endpoint_take(s->endpoint, writer_span(&w), peer);
	explicit_bzero(bytes, sizeof(bytes));
	return err == 0;
}

bool sessions_locate(const struct sessions *s, struct span endpoint, struct span sealed,
		     uint8_t cid[LWM2M_CID_MAX], size_t *len, struct address *peer)
{
	uint8_t encoded[DTLS_SESSION_ENCODED_MAX];
	struct writer w = writer_of(encoded, sizeof(encoded));
	struct dtls_session session = {0};
	int err = unseal(s, endpoint, sealed, &w);

	static_assert((int)DTLS_CID_OWN <= (int)LWM2M_CID_MAX, "it fits");
	if (err == 0)
		err = dtls_session_decode(writer_span(&w), &session);
	if (err == 0) {
		memcpy(cid, session.own_cid, session.own_cid_len);
		*len = session.own_cid_len;
		*peer = session.peer;
	}
	explicit_bzero(encoded, sizeof(encoded));
	dtls_session_wipe(&session);
	return err == 0;
}

bool sessions_prove(const struct sessions *s, struct span endpoint, struct span sealed, uint32_t generation,
		    uint64_t mark, struct span datagram)
{
	uint8_t encoded[DTLS_SESSION_ENCODED_MAX];
	struct writer w = writer_of(encoded, sizeof(encoded));
	int err = unseal(s, endpoint, sealed, &w);

	if (err == 0)
		err = dtls_endpoint_proves(s->endpoint, writer_span(&w), generation, mark, datagram);
	explicit_bzero(encoded, sizeof(encoded));
	return err == 0;
}
