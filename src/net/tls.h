/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/span.h"

/*
 * What a byte stream (net/stream.h) needs for TLS 1.2 and 1.3: who we are, and whom we believe. Made once,
 * shared by any number of streams; each keeps it alive, so it may be freed, or replaced by one with a newer
 * certificate, while streams are open.
 */

enum { NET_TLS_KEY_MAX = 64, NET_TLS_IDENTITY_MAX = 128, NET_TLS_WORDS = 200 };

/* The key of a client that names itself `identity`: at most NET_TLS_KEY_MAX bytes into `key`, and their
 * number; 0: nobody is known by that name. */
typedef size_t net_tls_find_psk(void *ctx, struct span identity, uint8_t key[NET_TLS_KEY_MAX]);

struct net_tls_options {
	bool server;
	bool tls13_only;
	/* X.509, in PEM. A client without `trust` takes the system's. A server has `chain` and `key`; one
	 * with `trust` lets only clients in which have a certificate by it. A client may have `chain` and
	 * `key`. */
	struct span trust;
	struct span chain, key;
	/* Or PSK (always with an ephemeral key exchange): of a client its identity and key, which are copied;
	 * of a server the function that knows the keys. No certificates then. */
	struct span psk_identity, psk;
	net_tls_find_psk *find_psk;
	void *ctx; /* for find_psk; borrowed until the last stream is closed */
};

struct net_tls;

/*
 * -EINVAL: the options do not fit together, or what they hold cannot be read, of which `words` says more;
 * -ENOMEM. The options are not needed any more after the call.
 */
int net_tls_new(const struct net_tls_options *options, struct net_tls **out,
		char words[NET_TLS_WORDS]) NODISCARD;
struct net_tls *net_tls_free(struct net_tls *tls);
