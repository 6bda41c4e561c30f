/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/handshake.h"

#include <gnutls/gnutls.h>

/* What a context is made of; for this folder alone. Read only once it is made. */
struct dtls_context {
	enum dtls_role role;
	unsigned credentials;
	enum dtls_ask ask;
	bool connection_ids;
	bool resumption;
	bool hide_identities;
	bool has_key;
	bool has_trust;
	uint16_t mtu;
	uint32_t retransmit_ms;
	uint32_t timeout_ms;
	gnutls_priority_t priority;
	gnutls_certificate_credentials_t certificates; /* NULL if only PSK is offered */
	gnutls_psk_server_credentials_t server_psk;
	gnutls_psk_client_credentials_t client_psk;
	gnutls_datum_t public_key; /* DER */
};

/* Sets the callbacks of the credentials (engine_gnutls.c). */
void dtls_engine_prepare(struct dtls_context *context);
