/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "daemon/settings.h"
#include "dtls/endpoint.h"
#include "dtls/vault.h"
#include "lwm2m/server.h"
#include "security/credentials.h"
#include "security/failures.h"

#include <uv.h>

/* The DTLS endpoint of a node, wired to credentials, store, thread pool and devices. */

struct secure;

/* All borrowed until secure_free. */
struct secure_parts {
	const struct daemon_settings *settings;
	uv_loop_t *loop;
	struct timers *timers;
	struct random *random;
	struct log *log;
	struct store *store;
	struct vault *vault;
	struct credentials *credentials;
	struct failures *failures;
	void *ctx;
	void (*send)(void *ctx, const struct address *to, struct span datagram);
	/* A datagram for a session that is not here (dtls_host.unknown); NULL: nobody knows more. */
	bool (*unknown)(void *ctx, const struct address *from, struct span cid, struct span datagram);
	/* Somebody could not connect; not more often than people can read. */
	void (*failed)(void *ctx, const struct failure_row *row);
};

/* Says what is wrong; < 0 then: -EINVAL for settings. */
int secure_new(const struct secure_parts *parts, struct secure **out) NODISCARD;
/* When the loop has ended, so that no job and no look-up is left. */
struct secure *secure_free(struct secure *s);

/* What the management server needs from here. */
const struct lwm2m_security *secure_layer(struct secure *s);
/* Before the first datagram. */
void secure_serve(struct secure *s, struct lwm2m_server *server);
void secure_input(struct secure *s, const struct address *from, struct span datagram);
/* One that `unknown` was asked about. */
void secure_input_asked(struct secure *s, const struct address *from, struct span datagram);
/*
 * Whether a datagram speaks for the session in the record of this device, sealed, at this generation and
 * mark: what a claim needs (dtls_endpoint_proves).
 */
bool secure_proves(const struct secure *s, struct span endpoint, struct span sealed, uint32_t generation,
		   uint64_t mark, struct span datagram);
void secure_send(struct secure *s, const struct address *association, struct span datagram);
/* The endpoint's credential has changed: whoever came by the old one has to leave. */
void secure_revoke(struct secure *s, struct span endpoint);
/* As dtls_endpoint_is_news, dtls_endpoint_set_slots. */
bool secure_is_news(const struct secure *s, const struct address *association, struct span datagram);
int secure_set_slots(struct secure *s, const uint16_t *slots, size_t count) NODISCARD;
void secure_stats(const struct secure *s, struct dtls_endpoint_stats *out);
/* What clients are shown, DER; empty: none. Borrowed. */
struct span secure_public_key(const struct secure *s);
struct span secure_certificate(const struct secure *s);
