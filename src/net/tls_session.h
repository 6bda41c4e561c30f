/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "net/tls.h"

#include <gnutls/gnutls.h>

/* Only for src/net: one TLS session between buffers; whoever has a socket moves the bytes. */

struct net_tls_session {
	gnutls_session_t session;
	struct net_tls *tls;
	struct span in;	    /* came from the peer, not yet looked at */
	bool done;	    /* the handshake is */
	struct buffer *out; /* where what goes to the peer is appended */
	uint8_t identity[NET_TLS_IDENTITY_MAX];
	size_t identity_len;
};

enum net_tls_step { NET_TLS_MORE = 1, NET_TLS_ENDED = 2 };

/* One more user of it, who calls net_tls_free. NULL gives NULL. */
struct net_tls *net_tls_ref(struct net_tls *tls);
/* `server_name` is borrowed as long as the session. -EINVAL: a client with certificates needs one; -ENOMEM.
 */
int net_tls_session_init(struct net_tls_session *t, struct net_tls *tls, const char *server_name,
			 struct buffer *out) NODISCARD;
/* Harmless on zeroes. */
void net_tls_session_deinit(struct net_tls_session *t);
/*
 * 0: done; NET_TLS_MORE: all of `in` was used, and more is needed; -EACCES, -EPROTO, -ENOMEM, with words, and
 * an alert for the peer in `out`.
 */
int net_tls_session_handshake(struct net_tls_session *t, char words[NET_TLS_WORDS]) NODISCARD;
/* 0: *got bytes (1 or more) are in `data`; NET_TLS_MORE; NET_TLS_ENDED: the peer says that it is done; errors
 * as above. */
int net_tls_session_receive(struct net_tls_session *t, void *data, size_t size, size_t *got,
			    char words[NET_TLS_WORDS]) NODISCARD;
/* Encrypts all of it into `out`. -ENOMEM: `out` takes no more; other errors as above. */
int net_tls_session_send(struct net_tls_session *t, struct span data) NODISCARD;
/* Tells the peer that nothing more follows. */
void net_tls_session_bye(struct net_tls_session *t);
