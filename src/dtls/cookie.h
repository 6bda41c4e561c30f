/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "dtls/hello.h"
#include "dtls/record.h"

/*
 * The stateless first exchange (RFC 6347, 4.2.1): a ClientHello without a valid cookie is answered by a
 * HelloVerifyRequest, and nothing is remembered. Whoever comes back with the cookie can receive at its
 * address.
 */

enum { DTLS_COOKIE = 16, DTLS_COOKIE_KEY = 32 };

/* The keys of this period and the one before: any node that has them can verify what another one sent. */
struct dtls_cookie_keys {
	uint64_t period; /* of `current`; `previous` is that of period - 1 */
	uint8_t current[DTLS_COOKIE_KEY];
	uint8_t previous[DTLS_COOKIE_KEY];
};

/* What a handshake has to know of the messages before it. */
struct dtls_prestate {
	uint64_t record_seq;  /* of the ClientHello's record; our first record takes it */
	uint16_t message_seq; /* of the ClientHello; our ServerHello takes it */
};

enum dtls_hello {
	DTLS_HELLO_IGNORED = 0,	 /* no ClientHello, or its cookie does not lie in its first fragment */
	DTLS_HELLO_ANSWERED = 1, /* the writer has what is to be sent */
	DTLS_HELLO_VERIFIED = 2, /* *prestate and *hello are filled: a handshake may begin with this record */
};
/*
 * Looks at a plain record of epoch 0 from an address. The answer goes into `w`, which needs 64 bytes, and is
 * never larger than `record` (a shorter hello is ignored). The cookie covers period, address, version, random
 * and session id, and not the extensions, which some clients order otherwise the second time. *hello borrows
 * from the record.
 */
enum dtls_hello dtls_cookie_check(const struct dtls_cookie_keys *keys, const struct address *peer,
				  const struct dtls_record *record, struct writer *w,
				  struct dtls_prestate *prestate, struct dtls_client_hello *hello);
