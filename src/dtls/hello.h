/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/* What has to be known of handshake messages before the library sees them (RFC 6347, 4.2.2; RFC 5246, 7.4).
 * All spans borrow from what is parsed. */

enum dtls_message_type {
	DTLS_HELLO_REQUEST = 0,
	DTLS_CLIENT_HELLO = 1,
	DTLS_SERVER_HELLO = 2,
	DTLS_HELLO_VERIFY_REQUEST = 3,
	DTLS_NEW_SESSION_TICKET = 4,
	DTLS_CERTIFICATE = 11,
	DTLS_SERVER_KEY_EXCHANGE = 12,
	DTLS_CERTIFICATE_REQUEST = 13,
	DTLS_SERVER_HELLO_DONE = 14,
	DTLS_CERTIFICATE_VERIFY = 15,
	DTLS_CLIENT_KEY_EXCHANGE = 16,
	DTLS_FINISHED = 20,
	DTLS_CERTIFICATE_STATUS = 22,
};

enum {
	DTLS_MESSAGE_HEADER = 12,
	DTLS_RANDOM = 32,
	DTLS_SESSION_ID_MAX = 32,
	DTLS_CHAIN_MAX = 8, /* certificates of a chain that are looked at */
	DTLS_VERSION_1_0 = 0xFEFF,
	DTLS_VERSION_1_2 = 0xFEFD,
};

/* One fragment of a handshake message; `body` has the bytes from `offset` on. */
struct dtls_fragment {
	uint8_t type;
	uint32_t total; /* bytes of the whole message */
	uint16_t seq;
	uint32_t offset;
	struct span body;
};
/* The next fragment of a record. -EBADMSG: there is none that is whole and lies within its message. */
int dtls_fragment_parse(struct reader *record, struct dtls_fragment *out) NODISCARD;

struct dtls_client_hello {
	uint16_t version;
	struct span random;
	struct span session_id;
	struct span cookie;
	struct span suites; /* two bytes each; empty, as all below, if it lies behind the first fragment */
	struct span server_name; /* RFC 6066, 3; empty: none */
};
/*
 * From the beginning of a ClientHello: all of it, or its first fragment if that goes on to the end of the
 * cookie. -EBADMSG: shorter, or malformed.
 */
int dtls_client_hello_parse(struct span body, struct dtls_client_hello *out) NODISCARD;

struct dtls_server_hello {
	struct span session_id;
	uint16_t suite;
};
/* From the beginning of a ServerHello. -EBADMSG. */
int dtls_server_hello_parse(struct span body, struct dtls_server_hello *out) NODISCARD;

/*
 * A Certificate message: an X.509 chain of which at most DTLS_CHAIN_MAX are given out, the end entity first,
 * or with `raw_key` one SubjectPublicKeyInfo (RFC 7250, 3). *count is 0 if the peer has none. -EBADMSG.
 */
int dtls_certificate_parse(struct span body, bool raw_key, struct span chain[DTLS_CHAIN_MAX],
			   size_t *count) NODISCARD;

/* The identity in a ClientKeyExchange of a PSK suite (RFC 4279, 2). -EBADMSG. */
int dtls_psk_identity_parse(struct span body, struct span *identity) NODISCARD;
